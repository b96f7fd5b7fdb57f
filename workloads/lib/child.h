// SPDX-License-Identifier: Apache-2.0
/*
 * child.h: child programs: start, watch their output, stop. Children die with their parent
 * (PR_SET_PDEATHSIG), so that an interrupted run leaves nothing behind. One thread only.
 */
#ifndef WORKLOADS_LIB_CHILD_H
#define WORKLOADS_LIB_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define WL_CHILD_OUTPUT 16384

struct wl_child {
	const char *name; /* for messages */
	pid_t pid;        /* 0: not started, or reaped */
	int fd;           /* its stdout and stderr; -1: closed */
	int status;       /* as waitpid gives it, once reaped */
	size_t len;
	char out[WL_CHILD_OUTPUT]; /* NUL-terminated; the oldest half goes when it is full */
};

/* Starts argv[0]. env: NULL-terminated "NAME=value" (set) or "NAME" (unset), on top of ours; may
 * be NULL. 0 or -errno. A program that cannot be executed exits with 127 and says so. */
int wl_child_start(struct wl_child *c, const char *name, char *const argv[], char *const env[]);
/* Takes in output and deaths of the children for up to timeout_ms; returns earlier when something
 * happened. -EINTR if a signal came. Entries with pid 0 are skipped. */
int wl_child_watch(struct wl_child *const *children, size_t n, int timeout_ms);
/* Signals it and waits up to grace_ms for its end, then kills it. Does nothing without a child. */
void wl_child_stop(struct wl_child *c, int signal, int grace_ms);
/* Ended with status 0? */
bool wl_child_ok(const struct wl_child *c);
/* "exit status 3", "signal 9 (Killed)", "running" */
const char *wl_child_describe(const struct wl_child *c, char *buf, size_t len);

#endif
