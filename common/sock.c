// SPDX-License-Identifier: Apache-2.0
#include "sock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "env.h"
#include "wire.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

int rein_run_dir(char *buf, size_t len)
{
	const char *dir = rein_env(REIN_ENV_RUN_DIR);
	const char *xdg = rein_env(REIN_ENV_XDG_RUNTIME_DIR);
	int n;
	if (dir && *dir)
		n = snprintf(buf, len, "%s", dir);
	else if (geteuid() == 0 || access("/run/rein/" REIN_CLIENT_SOCKET, W_OK) == 0)
		n = snprintf(buf, len, "/run/rein");
	else if (xdg && *xdg)
		n = snprintf(buf, len, "%s/rein", xdg);
	else
		n = snprintf(buf, len, "/tmp/rein-%u", (unsigned)geteuid());
	if (n < 0 || (size_t)n >= len)
		return -ENAMETOOLONG;
	/* Anybody may have made a folder of that name in /tmp, and would be our daemon. */
	struct stat st;
	if (strncmp(buf, "/tmp/", 5) == 0 && !(dir && *dir) && lstat(buf, &st) == 0 &&
	    (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || st.st_mode & (S_IWGRP | S_IWOTH)))
		return -EPERM;
	return 0;
}

const char *rein_run_dir_why(int err)
{
	return err == -EPERM
	           ? "the run directory in /tmp belongs to somebody else; set REIN_RUN_DIR"
	           : "the run directory's path is too long; set REIN_RUN_DIR to a short one";
}

int rein_sock_addr(struct sockaddr_un *addr, const char *dir, const char *file)
{
	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	int n = snprintf(addr->sun_path, sizeof(addr->sun_path), "%s/%s", dir, file);
	return n < 0 || (size_t)n >= sizeof(addr->sun_path) ? -ENAMETOOLONG : 0;
}

int rein_sock_connect(const char *dir, const char *file)
{
	struct sockaddr_un addr;
	int err = rein_sock_addr(&addr, dir, file);
	if (err)
		return err;
	REIN_AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	return rein_take_fd(&fd);
}

int rein_sock_listen(const char *dir, const char *file, mode_t mode, int backlog)
{
	struct sockaddr_un addr;
	int err = rein_sock_addr(&addr, dir, file);
	if (err)
		return err;
	REIN_AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		if (errno != EADDRINUSE)
			return -errno;
		int peer = rein_sock_connect(dir, file);
		if (peer >= 0)
			close(peer);
		if (peer != -ECONNREFUSED)
			return -EADDRINUSE;
		if (unlink(addr.sun_path) < 0 ||
		    bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
			return -errno;
	}
	if (chmod(addr.sun_path, mode) < 0 || listen(fd, backlog) < 0)
		return -errno;
	return rein_take_fd(&fd);
}

int rein_sock_send(int fd, const void *buf, size_t len, const int *fds, unsigned n_fds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * REIN_SOCK_FDS)];
	} control;
	struct iovec iov = {.iov_base = (void *)buf, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	if (n_fds > REIN_SOCK_FDS)
		return -EINVAL;
	if (n_fds) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
	}
	ssize_t n = sendmsg(fd, &msg, MSG_NOSIGNAL);
	return n < 0 ? -errno : 0;
}

static void collect_fds(struct msghdr *msg, int *fds, unsigned room, unsigned *n)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int passed;
			memcpy(&passed, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (*n < room)
				fds[(*n)++] = passed;
			else
				close(passed);
		}
	}
}

ssize_t rein_sock_recv(int fd, void *buf, size_t len, int *fds, unsigned *n_fds, int timeout_ms)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * REIN_SOCK_FDS)];
	} control;
	unsigned room = n_fds ? *n_fds : 0;
	unsigned got = 0;
	if (n_fds)
		*n_fds = 0;
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	int ready = poll(&pfd, 1, timeout_ms);
	if (ready < 0)
		return -errno;
	if (ready == 0)
		return timeout_ms ? -ETIMEDOUT : -EAGAIN;
	struct iovec iov = {.iov_base = buf, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov,
	                     .msg_iovlen = 1,
	                     .msg_control = control.bytes,
	                     .msg_controllen = sizeof(control.bytes)};
	ssize_t n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (n < 0)
		return -errno;
	collect_fds(&msg, fds, room, &got);
	if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		for (unsigned i = 0; i < got; i++)
			close(fds[i]);
		return -EMSGSIZE;
	}
	if (n_fds)
		*n_fds = got;
	return n;
}

int rein_memfd_new(const char *name, size_t size)
{
	REIN_AUTO_CLOSE int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
		return -errno;
	return rein_take_fd(&fd);
}

int rein_memfd_freeze(int fd)
{
	return fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0 ? -errno : 0;
}
