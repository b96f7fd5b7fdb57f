// SPDX-License-Identifier: Apache-2.0
/* child.c: see child.h. */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"

#define CHILDREN_MAX 8

static _Noreturn void become(char *const argv[], char *const env[], int out, pid_t parent)
{
	struct sigaction plain = {.sa_handler = SIG_DFL};
	sigset_t none;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent) /* it died before the line above */
		_exit(127);
	/* a signal that comes now is for the program, not for our handlers */
	for (int sig = 1; sig < NSIG; sig++)
		sigaction(sig, &plain, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	int null = open("/dev/null", O_RDONLY);
	dup2(null, 0);
	dup2(out, 1);
	dup2(out, 2);
	for (size_t i = 0; env && env[i]; i++) {
		if (strchr(env[i], '='))
			putenv(env[i]);
		else
			unsetenv(env[i]);
	}
	execvp(argv[0], argv);
	dprintf(2, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

int wl_child_start(struct wl_child *c, const char *name, char *const argv[], char *const env[])
{
	int fds[2];
	sigset_t all, before;
	pid_t self = getpid();
	c->name = name;
	c->pid = 0;
	c->fd = -1;
	c->status = 0;
	c->len = 0;
	c->out[0] = 0;
	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	fflush(NULL);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	pid_t pid = fork();
	if (pid == 0)
		become(argv, env, fds[1], self);
	int e = errno;
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (pid < 0) {
		close(fds[0]);
		close(fds[1]);
		return -e;
	}
	close(fds[1]);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	c->pid = pid;
	c->fd = fds[0];
	return 0;
}

/* Returns whether anything was read. */
static bool take_output(struct wl_child *c)
{
	bool some = false;
	while (c->fd >= 0) {
		if (c->len > WL_CHILD_OUTPUT - 1024) {
			size_t drop = c->len / 2;
			memmove(c->out, c->out + drop, c->len - drop);
			c->len -= drop;
		}
		ssize_t n = read(c->fd, c->out + c->len, WL_CHILD_OUTPUT - 1 - c->len);
		if (n < 0)
			break;
		some = true;
		if (n == 0) {
			close(c->fd);
			c->fd = -1;
		} else {
			c->len += (size_t)n;
			c->out[c->len] = 0;
		}
	}
	return some;
}

static bool reap(struct wl_child *c)
{
	if (c->pid <= 0 || waitpid(c->pid, &c->status, WNOHANG) != c->pid)
		return false;
	take_output(c);
	if (c->fd >= 0)
		close(c->fd); /* a grandchild may still hold the other end */
	c->fd = -1;
	c->pid = 0;
	return true;
}

int wl_child_watch(struct wl_child *const *children, size_t n, int timeout_ms)
{
	uint64_t end = wl_now_ns() + (uint64_t)timeout_ms * 1000000;
	for (;;) {
		struct pollfd p[CHILDREN_MAX];
		bool something = false;
		for (size_t i = 0; i < n && i < CHILDREN_MAX; i++) {
			if (children[i]->pid > 0) {
				something |= take_output(children[i]);
				something |= reap(children[i]);
			}
			p[i] = (struct pollfd){.fd = children[i]->pid > 0 ? children[i]->fd : -1,
			                       .events = POLLIN};
		}
		uint64_t now = wl_now_ns();
		if (something || now >= end)
			return 0;
		/* a death is seen as the end of its output, or at the latest after 20 ms */
		uint64_t left_ms = (end - now) / 1000000 + 1;
		if (poll(p, n < CHILDREN_MAX ? n : CHILDREN_MAX, left_ms < 20 ? (int)left_ms : 20) <
		    0)
			return -errno;
	}
}

void wl_child_stop(struct wl_child *c, int signal, int grace_ms)
{
	uint64_t end = wl_now_ns() + (uint64_t)grace_ms * 1000000;
	if (c->pid <= 0)
		return;
	kill(c->pid, signal);
	while (c->pid > 0 && wl_now_ns() < end)
		wl_child_watch(&c, 1, 20);
	if (c->pid > 0) {
		kill(c->pid, SIGKILL);
		while (waitpid(c->pid, &c->status, 0) < 0 && errno == EINTR)
			;
		take_output(c);
		c->pid = 0;
	}
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

bool wl_child_ok(const struct wl_child *c)
{
	return c->pid == 0 && WIFEXITED(c->status) && WEXITSTATUS(c->status) == 0;
}

const char *wl_child_describe(const struct wl_child *c, char *buf, size_t len)
{
	if (c->pid > 0)
		snprintf(buf, len, "still running");
	else if (WIFSIGNALED(c->status))
		snprintf(buf, len, "signal %d (%s)", WTERMSIG(c->status),
		         strsignal(WTERMSIG(c->status)));
	else
		snprintf(buf, len, "exit status %d", WEXITSTATUS(c->status));
	return buf;
}
