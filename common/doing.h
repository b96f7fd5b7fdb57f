// SPDX-License-Identifier: Apache-2.0
/*
 * doing.h: what a thread of a client is waiting for, for whoever looks at it from outside while it
 * is off its CPU: the daemon's BPF programs (profiler/bpf/), which read it at each switch of tasks.
 *
 * 16 bytes of the shim's thread-local memory, at the same distance from the thread pointer in all
 * threads of a process; the distance stands in the first page of its rings (ring.h). The thread
 * itself writes it, on slow paths only, and nobody else: plain stores. The reader runs on the same
 * CPU between two instructions of that thread, and trusts nothing: a client can lie about itself.
 *
 * Also included by BPF programs: no other header of ours, fixed-width types only.
 */
#ifndef REIN_COMMON_DOING_H
#define REIN_COMMON_DOING_H

#include <stdint.h>

enum rein_phase {
	REIN_PHASE_NONE,
	REIN_PHASE_GATE,    /* at the closed gate */
	REIN_PHASE_BACKLOG, /* for room in the backlog */
	REIN_PHASE_SYNC,    /* in a driver call that waits for work */
	REIN_PHASES
};

struct rein_doing {
	uint64_t request; /* that it declared last and has not ended; 0: none */
	uint32_t phase;   /* enum rein_phase */
	uint32_t holder;  /* gate: the client for whose sake, 0: unknown */
};

#endif
