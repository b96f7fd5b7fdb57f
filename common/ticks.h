// SPDX-License-Identifier: Apache-2.0
/*
 * ticks.h: the CPU's time-stamp counter as a clock: half the cost of clock_gettime (11 against 23
 * ns where it was measured, a virtual machine on an AMD EPYC), and an event record takes two
 * readings.
 *
 * Only where it is one clock for all cores and for good: the CPU says that it is invariant (CPUID
 * 80000007h EDX bit 8: Intel SDM vol. 3, "Invariant TSC"; AMD APM vol. 3) and the kernel keeps its
 * own time by it, which it does only as long as it finds the cores' counters in step. A process may
 * have forbidden itself the instruction (prctl(2), PR_SET_TSC). Everywhere else: CLOCK_MONOTONIC.
 *
 * A reading is not ordered with the loads and stores around it: it may be early by what the CPU has
 * in flight, some ten ns. That is below what the records are used for.
 *
 * Converting is the reader's: rein_tick_clock follows CLOCK_MONOTONIC, which is slewed against the
 * counter, by pairs of readings taken now and then. One thread per clock.
 */
#ifndef REIN_COMMON_TICKS_H
#define REIN_COMMON_TICKS_H

#include <stdbool.h>
#include <stdint.h>

#include "clock.h"

static inline uint64_t rein_ticks(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#else
	return rein_now_ns();
#endif
}

/* Whether the machine's counter is such a clock; looks at files, so not on anybody's hot path. */
bool rein_ticks_invariant(void);
/* Whether this process may read it. errno kept. */
bool rein_ticks_allowed(void);

struct rein_tick_clock {
	uint64_t tick, ns;  /* the last pair */
	double ns_per_tick; /* 0: not known yet */
};

/* Takes the first pairs; sleeps for some ms. */
void rein_tick_clock_init(struct rein_tick_clock *c);
/* Takes another pair; call it about as often as records are converted. */
void rein_tick_clock_adjust(struct rein_tick_clock *c);
/* The pure half of it: a pair that the caller took. */
void rein_tick_clock_pair(struct rein_tick_clock *c, uint64_t tick, uint64_t ns);
/* The time of a reading near the last pair, before or after it. */
static inline uint64_t rein_tick_clock_ns(const struct rein_tick_clock *c, uint64_t tick)
{
	double ns = (double)(int64_t)(tick - c->tick) * c->ns_per_tick;
	return c->ns + (uint64_t)(int64_t)(ns > -9e18 && ns < 9e18 ? ns : 0);
}

#endif
