// SPDX-License-Identifier: Apache-2.0
/*
 * sched.h: how the arbiter's thread asks the kernel for the CPU. Asleep it is SCHED_FIFO, so that
 * a doorbell wakes it at once; a FIFO thread that spins is throttled by the kernel (50 ms holes
 * each second), so spinning it is SCHED_OTHER at nice -20. Where that is not permitted it stays
 * an ordinary thread; a line at debug level says so.
 */
#ifndef REIN_SCHED_H
#define REIN_SCHED_H

#include <stdbool.h>
#include <stdint.h>

struct rein_sched {
	bool may_fifo;
	bool is_fifo;
	int cpus;       /* this thread may run on */
	int loadavg_fd; /* -1: cannot tell */
	bool core_free;
	uint64_t looked_ns;
};

/* On the thread itself. */
void rein_sched_init(struct rein_sched *s);
void rein_sched_fini(struct rein_sched *s);
void rein_sched_sleeping(struct rein_sched *s);
void rein_sched_spinning(struct rein_sched *s);
/* With this thread spinning, does every runnable thread still have a core? Cached for 1 ms.
 * Always false with fewer than three cores. */
bool rein_sched_core_is_free(struct rein_sched *s, uint64_t now_ns);

#endif
