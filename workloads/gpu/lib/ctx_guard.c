// SPDX-License-Identifier: Apache-2.0
/*
 * ctx_guard.c: nothing is left held, and nothing hangs; see ctx.h. A process that dies by SIGKILL
 * leaves nothing either: the kernel closes its descriptors and the resource manager tears its
 * channels down. The signal handler only issues ioctls, on a copy of what it needs.
 */
#include "ctx.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lib/clock.h"
#include "../../lib/fact.h"

#define GRACE_NS 3000000000ull
#define POLL_US 5000

static struct wl_rm_group guarded;
static pid_t guarded_pid;
static atomic_int held; /* enum wl_held */

static void let_go(void)
{
	if (getpid() != guarded_pid)
		return;
	int how = atomic_exchange(&held, WL_HELD_NOT);
	for (int i = 0; i < 3 && how != WL_HELD_NOT; i++) {
		struct wl_rm_group g = guarded;
		struct wl_rm_result r = how == WL_HELD_SCHEDULE ? wl_rm_schedule(&g, true)
		                                                : wl_rm_channels(&g, false, false);
		if (wl_rm_ok(r))
			return;
	}
}

static void on_signal(int sig)
{
	let_go();
	_exit(128 + sig);
}

void wl_guard_group(const struct wl_rm_group *g)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGALRM, SIGSEGV, SIGBUS, SIGABRT};
	struct sigaction sa = {.sa_handler = on_signal};
	guarded = *g;
	guarded_pid = getpid();
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &sa, NULL);
	atexit(let_go);
}

void wl_guard_exit(int status)
{
	let_go();
	fflush(NULL);
	_exit(status);
}

void wl_guard_held(enum wl_held how)
{
	atomic_store(&held, (int)how);
}

/* The child's status once it has ended, or -1. */
static int wait_until(pid_t pid, uint64_t end_ns)
{
	int status;
	for (;;) {
		pid_t r = waitpid(pid, &status, WNOHANG);
		if (r == pid)
			return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
		if (r < 0 && errno != EINTR)
			return 1;
		if (wl_now_ns() >= end_ns)
			return -1;
		usleep(POLL_US);
	}
}

void wl_guard(unsigned seconds)
{
	pid_t parent = getpid();
	fflush(NULL);
	pid_t pid = fork();
	if (pid < 0) {
		fprintf(stderr, "cannot fork: %s\n", strerror(errno));
		exit(1);
	}
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (getppid() != parent)
			_exit(1);
		return;
	}
	signal(SIGTERM, SIG_IGN); /* ours comes from the group's; the child's own ends us both */
	int status = wait_until(pid, wl_now_ns() + seconds * 1000000000ull);
	if (status < 0) {
		fprintf(stderr, "%s: stopped: it took longer than %u s\n",
		        program_invocation_short_name, seconds);
		kill(pid, SIGTERM);
		if (wait_until(pid, wl_now_ns() + GRACE_NS) < 0) {
			kill(pid, SIGKILL);
			if (wait_until(pid, wl_now_ns() + GRACE_NS) < 0)
				fprintf(stderr, "%s: process %d is stuck in the driver\n",
				        program_invocation_short_name, (int)pid);
		}
		status = WL_EXIT_TIMEOUT;
	}
	_exit(status);
}
