// SPDX-License-Identifier: Apache-2.0
/*
 * timers.h: a fixed set of timers, numbered from 0, in an indexed heap: setting, moving and
 * stopping one takes O(log n) and no memory. Timers that are due at the same time come in the
 * order of their numbers.
 */
#ifndef REIN_SIM_TIMERS_H
#define REIN_SIM_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

#include "../../common/util.h"

struct rein_sim_timers {
	unsigned n, set; /* timers there are; those in the heap */
	uint64_t *at_ns; /* UINT64_MAX: not set */
	uint32_t *heap, *place;
};

/* 0 or -ENOMEM. */
REIN_MUST_CHECK int rein_sim_timers_init(struct rein_sim_timers *t, unsigned n);
void rein_sim_timers_fini(struct rein_sim_timers *t);
/* UINT64_MAX stops it. */
void rein_sim_timers_set(struct rein_sim_timers *t, unsigned timer, uint64_t at_ns);
/* The next one; there must be one (set > 0). */
static inline unsigned rein_sim_timers_first(const struct rein_sim_timers *t)
{
	return t->heap[0];
}

#endif
