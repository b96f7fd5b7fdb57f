// SPDX-License-Identifier: Apache-2.0
/*
 * timing.h: what a program asks for in time: a *reservation*. Its requests come at least
 * `period_ns` apart, take at most `budget_ns` of GPU time each, and are due `deadline_ns` after
 * they arrive; nothing can be promised about requests of unknown number or length, so a deadline
 * needs the other two. Without a deadline it is bandwidth that is reserved: `budget_ns` of every
 * `period_ns`, however much is asked for. rein run, librein.so and rein.conf ask these functions
 * what makes sense, so that all of them say the same.
 *
 * Pure, no allocation. Units: ns.
 */
#ifndef REIN_COMMON_TIMING_H
#define REIN_COMMON_TIMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util.h"

#define REIN_TIMING_MIN_NS 100000ull        /* deadline and period: 100us */
#define REIN_TIMING_MAX_NS 3600000000000ull /* and 3600s */
#define REIN_BUDGET_MIN_NS 10000ull         /* 10us */
#define REIN_WEIGHT_MAX 10000
#define REIN_NICE_MIN (-20) /* as nice(1): lower is sooner */
#define REIN_NICE_MAX 19
#define REIN_NICE_UNSET INT32_MIN

struct rein_timing {
	uint64_t deadline_ns, period_ns, budget_ns; /* all 0: none */
};

static inline bool rein_timing_any(const struct rein_timing *t)
{
	return t->deadline_ns || t->period_ns || t->budget_ns;
}
static inline bool rein_timing_equal(const struct rein_timing *a, const struct rein_timing *b)
{
	return a->deadline_ns == b->deadline_ns && a->period_ns == b->period_ns &&
	       a->budget_ns == b->budget_ns;
}

/* Until when a request has to be done: the deadline, else the period. */
static inline uint64_t rein_timing_due(const struct rein_timing *t)
{
	return t->deadline_ns ? t->deadline_ns : t->period_ns;
}

/* 0 (also if it is all 0), or -EINVAL with one line: what is wrong, what is accepted. */
REIN_MUST_CHECK int rein_timing_check(const struct rein_timing *t, char *why, size_t why_len);

/* "20 ms", "1.5 ms", "200 us", "4 s": for people. Returns buf. */
#define REIN_TIME_TEXT_LEN 32
const char *rein_time_text(char buf[REIN_TIME_TEXT_LEN], uint64_t ns);

#endif
