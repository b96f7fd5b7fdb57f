// SPDX-License-Identifier: Apache-2.0
/*
 * probe.h: what this process shows to whoever looks from outside: what each thread waits for
 * (common/doing.h), and probes for tracers as bpftrace (USDT, provider "rein"):
 *
 *	register(void *doing)                              once a thread, when it first waits
 *	block(uint32_t phase, uint32_t holder)             it waits at the gate, or for room
 *	resume(uint32_t phase, uint64_t ns, int lapsed)    that is over, after so long
 *	preempt(int on)                                    1: this process' channel groups are taken
 *	                                                   off the GPU; 0: they are let on again
 *
 * holder: the client for whose sake, 0: unknown. lapsed: the wait was given up.
 *
 * All of it is on slow paths. A probe is a one-byte no-operation and a semaphore, a counter that
 * tracers raise: while it is 0 nothing is worked out for it. Without <sys/sdt.h> at build time
 * there are none. How probes and semaphores are found: systemtap's wiki,
 *UserSpaceProbeImplementation.
 */
#ifndef REIN_PROBE_H
#define REIN_PROBE_H

#include "../common/atomic.h"
#include "../common/doing.h"
#include "../common/util.h"

extern __thread struct rein_doing rein_doing __attribute__((tls_model("initial-exec")));

/* Where rein_doing is, from the thread pointer: the same in all threads. */
intptr_t rein_doing_offset(void);

#if __has_include(<sys/sdt.h>)
#define _SDT_HAS_SEMAPHORES 1 /* the names and their meaning are <sys/sdt.h>'s */
#include <sys/sdt.h>
extern unsigned short rein_register_semaphore, rein_block_semaphore, rein_resume_semaphore,
    rein_preempt_semaphore;
#define REIN_PROBE(n, name, ...)                                                                   \
	do {                                                                                       \
		if (REIN_UNLIKELY(__atomic_load_n(&rein_##name##_semaphore, __ATOMIC_RELAXED)))    \
			STAP_PROBE##n(rein, name, __VA_ARGS__);                                    \
	} while (0)
#else
#define REIN_PROBE(n, name, ...) ((void)0)
#endif

/* First use in a thread that a tracer would like to hear of. */
void rein_probe_register(void);

/* The thread waits for something from here on, and no more. What it is, before anybody can see that
 * it is off its CPU: the compiler keeps the order, and the reader is on the same CPU. */
static inline void rein_doing_begin(enum rein_phase phase, uint32_t holder)
{
	rein_doing.holder = holder;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	__atomic_store_n(&rein_doing.phase, (uint32_t)phase, __ATOMIC_RELAXED);
	rein_probe_register();
}

static inline void rein_doing_end(void)
{
	__atomic_store_n(&rein_doing.phase, REIN_PHASE_NONE, __ATOMIC_RELAXED);
}

/* The same with probes, for waits that the gate makes. */
void rein_block(enum rein_phase phase, uint32_t holder);
void rein_resume(enum rein_phase phase, uint64_t waited_ns, int lapsed);

#endif
