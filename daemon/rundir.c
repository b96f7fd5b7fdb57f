// SPDX-License-Identifier: Apache-2.0
#include "rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "../common/wire.h"
#include "supervise.h"

#define LOCK_TRIES 100
#define DYING_US 20000

static int dir_make(const char *dir, char *err, size_t err_len)
{
	/* 0755 whatever the umask: other users' programs must reach client.sock */
	if (mkdir(dir, 0755) == 0)
		return chmod(dir, 0755) < 0 ? -errno : 0;
	int e = errno;
	struct stat st;
	if (e != EEXIST || stat(dir, &st) < 0) {
		snprintf(err, err_len,
		         "cannot make the run directory %s: %s; choose another with "
		         "--run-dir or $REIN_RUN_DIR",
		         dir, strerror(e));
		return -e;
	}
	if (!S_ISDIR(st.st_mode)) {
		snprintf(err, err_len, "the run directory %s is not a directory", dir);
		return -ENOTDIR;
	}
	if ((st.st_uid != geteuid() && st.st_uid != 0) || (st.st_mode & 0022)) {
		snprintf(err, err_len,
		         "the run directory %s can be written by others (owner %u, mode %o): "
		         "refusing it; choose another with --run-dir",
		         dir, (unsigned)st.st_uid, (unsigned)st.st_mode & 07777);
		return -EPERM;
	}
	return 0;
}

/* The pid in the pidfile; 0: none. */
static pid_t holder(int fd)
{
	char text[16] = "";
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = 0;
	long pid = strtol(text, NULL, 10);
	return pid > 0 && pid <= INT_MAX ? (pid_t)pid : 0;
}

/* A killed daemon's worker is killed with it, but its locks end a moment later. */
static bool is_dying(int fd)
{
	pid_t pid = holder(fd);
	REIN_AUTO_CLOSE int process = pid ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	struct pollfd p = {.fd = process, .events = POLLIN};
	return pid && ((process < 0 && errno == ESRCH) || poll(&p, 1, 0) == 1);
}

static void who_holds(int fd, const char *dir, char *err, size_t err_len)
{
	char pid[16] = "unknown";
	if (holder(fd))
		snprintf(pid, sizeof(pid), "%d", (int)holder(fd));
	snprintf(err, err_len, "another reind (pid %s) serves %s", pid, dir);
}

/* A daemon that ends unlinks the file under its lock: what we locked must still be the file. */
static bool still_there(int fd, const char *path)
{
	struct stat ours, named;
	return fstat(fd, &ours) == 0 && stat(path, &named) == 0 && ours.st_ino == named.st_ino &&
	       ours.st_dev == named.st_dev;
}

int rein_rundir_lock(const char *dir, char *err, size_t err_len)
{
	char path[256];
	int result = dir_make(dir, err, err_len);
	if (result)
		return result;
	snprintf(path, sizeof(path), "%s/%s", dir, REIN_PIDFILE);
	for (unsigned i = 0; i < LOCK_TRIES; i++) {
		REIN_AUTO_CLOSE int fd =
		    open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
		if (fd < 0) {
			int e = errno;
			snprintf(err, err_len,
			         "cannot write %s: %s; run as its owner, or choose "
			         "another directory with --run-dir",
			         path, strerror(e));
			return -e;
		}
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			if (is_dying(fd)) {
				usleep(DYING_US);
				continue;
			}
			who_holds(fd, dir, err, err_len);
			return -EBUSY;
		}
		if (!still_there(fd, path))
			continue;
		char pid[16];
		int n = snprintf(pid, sizeof(pid), "%d\n", (int)rein_supervise_pid());
		if (ftruncate(fd, 0) < 0 || pwrite(fd, pid, (size_t)n, 0) != n) {
			int e = errno;
			snprintf(err, err_len, "cannot write %s: %s", path, strerror(e));
			return -e;
		}
		return rein_take_fd(&fd);
	}
	snprintf(err, err_len, "%s keeps changing: is another reind starting and ending?", path);
	return -EBUSY;
}

void rein_rundir_clean(const char *dir)
{
	static const char *const files[] = {REIN_CLIENT_SOCKET, REIN_CONTROL_SOCKET, REIN_PIDFILE};
	for (unsigned i = 0; i < REIN_ARRAY_LEN(files); i++) {
		char path[256];
		snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		unlink(path);
	}
}
