// SPDX-License-Identifier: Apache-2.0
/*
 * bystander.h: processes that have the GPU open and are no clients. They submit when they like, so
 * while there is one no deadline can be promised, and no measurement trusted.
 *
 * What is looked at: descriptors of /dev/nvidia0, /dev/nvidia1 … in /proc/PID/fd; and, where a
 * client maps a software GPU's shared memory (/dev/shm/softgpu-*), other processes that map the
 * same; then the real device's only if a client has that open too. Left out: the caller, the
 * clients, their forked children (a fork inherits descriptors, but cannot use the CUDA of its
 * parent; one that has called exec is looked at), and management programs that hold the device open
 * without giving it work.
 *
 * Limits: a caller that is not root sees the processes of its own user only. Which of several GPUs
 * a process uses cannot be told from its descriptors.
 */
#ifndef REIN_COMMON_BYSTANDER_H
#define REIN_COMMON_BYSTANDER_H

#include <sys/types.h>

#define REIN_BYSTANDERS_MAX 16 /* named; more are only counted */

struct rein_bystanders {
	unsigned n; /* how many there are */
	struct {
		pid_t pid;
		char comm[32]; /* printable */
	} process[REIN_BYSTANDERS_MAX];
};

/* One look, on the caller's thread: milliseconds to a second. `proc` and `shm`: "/proc" and
 * "/dev/shm", but in tests. */
void rein_bystander_scan(const char *proc, const char *shm, const pid_t *client, unsigned n_clients,
                         struct rein_bystanders *out);

#endif
