// SPDX-License-Identifier: Apache-2.0
/*
 * admission_int.h: what the files of admission control share.
 *
 *   admission.c        the search for an answer: smaller backlogs, a later deadline
 *   admission_set.c    a set of tasks made ready, the bands of `classes`, admit's verdict
 *   admission_fixed.c  fixed priorities: response-time analysis
 *   admission_edf.c    earliest deadline first: demand of every window
 *
 * All times are at most REIN_ADMISSION_TIME_MAX_NS; sums saturate at UINT64_MAX, which means
 * "unbounded" everywhere and stays so.
 */
#ifndef REIN_ADMISSION_INT_H
#define REIN_ADMISSION_INT_H

#include "policy.h"

#define NS_UNBOUNDED UINT64_MAX
/* One look at one task by one analysis; some nanoseconds each. What an analysis may spend. */
#define ADMISSION_VISITS_MAX 16000000ull

/* A task as the analyses see it. */
struct rein_load {
	unsigned index; /* in the caller's arrays */
	int prio, band;
	bool timed, server;
	uint64_t period, deadline; /* the latter is what was declared */
	uint64_t due;              /* what EDF orders it by: a server's period, else the deadline */
	uint64_t cost;             /* of a request, its own changes of context included */
	uint64_t occupancy;        /* what a request takes from others: cost, the remainder of
	                              whom it preempts, linger, reaction */
	uint64_t overhead;         /* occupancy less what was declared */
	uint64_t tail;             /* the part of that after its end: linger and reaction */
	uint64_t block;            /* its remainder when its gate closes, with its turns */
};

/* Tasks that are ahead of all others of the analysis: one band of `classes`. */
struct rein_ahead {
	const struct rein_load *load;
	unsigned n;
	bool unbounded; /* one of them declares no timing */
	uint64_t cap;   /* all they take in a cap_period, overrun included; 0: no cap */
	uint64_t cap_period;
};

/* What surrounds the tasks of one analysis. */
struct rein_scene {
	struct rein_ahead ahead[REIN_BANDS];
	unsigned n_ahead;
	uint64_t below; /* remainders of all that is less urgent than all of these tasks */
	uint64_t reaction;
	uint64_t visits; /* left to spend */
};

/* The analyses: bounds of load[0…n), which hold equal or falling urgency, to response[load.index];
 * UINT64_MAX where none can be given. For EDF all are timed, in the order of `due`. */
void rein_scene_fixed(struct rein_scene *s, const struct rein_load *load, unsigned n,
                      uint64_t *response);
void rein_scene_edf(struct rein_scene *s, const struct rein_load *load, unsigned n,
                    uint64_t *response);

/* The most that everything ahead takes in any window of w. */
uint64_t rein_scene_ahead(struct rein_scene *s, uint64_t w);
/* Its long-term rate in 1/2³², rounded up, and what it takes beyond the rate in a window. */
void rein_scene_ahead_rate(const struct rein_scene *s, uint64_t *rate, uint64_t *burst);
/* Spends visits: false if they are used up. */
bool rein_scene_visit(struct rein_scene *s, uint64_t n);

/* ---- arithmetic: a, b may be unbounded */
static inline uint64_t ns_add(uint64_t a, uint64_t b)
{
	uint64_t sum;
	return __builtin_add_overflow(a, b, &sum) ? NS_UNBOUNDED : sum;
}

static inline uint64_t ns_mul(uint64_t a, uint64_t b)
{
	uint64_t product;
	return __builtin_mul_overflow(a, b, &product) ? NS_UNBOUNDED : product;
}

static inline uint64_t ns_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t ns_max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* How many periods begin in a window of w: ⌈w / period⌉. */
static inline uint64_t ns_periods(uint64_t w, uint64_t period)
{
	return w / period + (w % period != 0);
}

/* a · b / c, rounded up. */
static inline uint64_t ns_scale(uint64_t a, uint64_t b, uint64_t c)
{
	unsigned __int128 x = ((unsigned __int128)a * b + c - 1) / c;
	return x > NS_UNBOUNDED ? NS_UNBOUNDED : (uint64_t)x;
}

#define NS_RATE_ONE (1ull << 32)

/* Part of the device in 1/2³², rounded up. */
static inline uint64_t ns_rate(uint64_t ns, uint64_t period)
{
	return ns_scale(ns, NS_RATE_ONE, period);
}

#endif
