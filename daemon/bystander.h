// SPDX-License-Identifier: Apache-2.0
/*
 * bystander.h: processes that have the GPU open and are no clients. They submit when they like, so
 * while there is one no deadline can be promised.
 *
 * What is looked at: descriptors of /dev/nvidia0, /dev/nvidia1 … in /proc/PID/fd; and, where a
 * client maps a software GPU's shared memory (/dev/shm/softgpu-*), other processes that map the
 * same; then the real device's only if a client has that open too. Left out: the daemon, the
 * clients, their forked children (a fork inherits descriptors, but cannot use the CUDA of its
 * parent; one that has called exec is looked at), and management programs that hold the device open
 * without giving it work.
 *
 * Limits: a daemon that is not root sees the processes of its own user only. Which of several GPUs
 * a process uses cannot be told from its descriptors.
 *
 * Threads: reading /proc takes milliseconds to a second, so a thread of its own does it, at the
 * lowest priority, when asked; all functions but scan are the session thread's and never wait, but
 * for the time given to rein_bystander_wait().
 */
#ifndef REIN_BYSTANDER_H
#define REIN_BYSTANDER_H

#include <stdbool.h>
#include <sys/types.h>

#include "../common/util.h"

#define REIN_BYSTANDERS_MAX 16 /* named; more are only counted */

struct rein_bystanders {
	unsigned n; /* how many there are */
	struct {
		pid_t pid;
		char comm[32]; /* printable */
	} process[REIN_BYSTANDERS_MAX];
};

/* One look, on the caller's thread. `proc` and `shm`: "/proc" and "/dev/shm", but in tests. */
void rein_bystander_scan(const char *proc, const char *shm, const pid_t *client, unsigned n_clients,
                         struct rein_bystanders *out);

struct rein_bystander_watch;
/* NULL if the thread cannot be made. */
struct rein_bystander_watch *rein_bystander_start(void);
/* Waits for a look that is under way. */
void rein_bystander_stop(struct rein_bystander_watch *w);
/* Begins a look, unless one is under way. `client` is copied. */
void rein_bystander_look(struct rein_bystander_watch *w, const pid_t *client, unsigned n_clients);
/* The result of the latest look that is complete; false: there is none since the last call. */
bool rein_bystander_get(struct rein_bystander_watch *w, struct rein_bystanders *out);
/* Waits until no look is under way, at most so long; false: one still is. */
bool rein_bystander_wait(struct rein_bystander_watch *w, int timeout_ms);

#endif
