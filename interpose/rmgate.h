// SPDX-License-Identifier: Apache-2.0
/*
 * rmgate.h: the context gate: taking the process' channel groups off the GPU, a running kernel
 * included, and letting them on again, by controls of NVIDIA's resource manager (common/rm.h).
 *
 * Model. librein.so stands in front of libc's ioctl (preload.c) and learns from the driver's own
 * calls which groups run kernels (rmtable.h). A thread of ours waits on the gate word; while it is
 * closed, its lease runs and the verdict says REIN_HOLD_CONTEXT, the groups are held, all of them
 * and on all devices, by the recipe that the daemon names (rein_control.context_recipe). The thread
 * is made when there are a recipe and a group, never else.
 *
 * Time slices. As long as the verdict names one, and not only while the gate is closed, the groups
 * have it: where it is short, a more urgent program's kernel preempts theirs by itself, without a
 * control at that moment. With REIN_RM_RECIPE_TIMESLICE that is all there is, and nothing is held.
 *
 * It lets go when the gate opens, the lease lapses, the daemon is gone, before an object of a group
 * is freed, and when the process ends by exit(). Whoever ends otherwise, or by exec, has its groups
 * torn down by the kernel with its descriptors. A forked child can hold nothing and lets nothing
 * go; its parent's hold goes on.
 *
 * Never under MPS, where a process' work is in the server's groups. The stand-in libcuda.so.1 is
 * not in front of ioctl: with it there are the launch gate and the queue gate only. A driver that
 * this cannot follow, and controls that are refused, switch the gate off for good, said once at
 * debug level; the client then no longer offers it (rein_status.can).
 *
 * Threads. Hooks run on any thread, in signal handlers too; the table's lock is held for a few
 * hundred nanoseconds, never across a call, and who does not get it in time switches the gate off.
 * Controls are issued by the one thread alone. It never calls CUDA, allocates or takes another lock
 * and may block in the kernel's driver: whoever waits for it does so for at most 0.2 s.
 */
#ifndef REIN_RMGATE_H
#define REIN_RMGATE_H

#include "rmhold.h"
#include "shim.h"

/* Around a call of ioctl whose type is the resource manager's. errno is kept. */
struct rein_rm_watch {
	unsigned long request;
	void *arg;
	bool frees; /* something that is in the table */
};
void rein_rmgate_before(struct rein_rm_watch *w);
void rein_rmgate_after(const struct rein_rm_watch *w, int fd, int result);

/* Makes the thread if there is reason to. When the program becomes active, on its thread, and while
 * it is, on the helper: the daemon says its recipe when it has been told the device. */
void rein_rmgate_arm(void);
/* A device that this process uses: under MPS the gate is off. */
void rein_rmgate_device(CUdevice device);
/* The warden has mapped a daemon's pages: tells it what we can do. */
void rein_rmgate_joined(void);
/* Lets go and holds no more: the process ends. */
void rein_rmgate_stop(void);
/* In a forked child, which is alone. */
void rein_rmgate_child(void);

/* For tests. */
struct rein_rmgate_state {
	bool armed, held;
	const char *off; /* NULL, or why */
	uint64_t holds, failures;
};
struct rein_rmgate_state rein_rmgate_state(void);

#endif
