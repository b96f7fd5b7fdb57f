// SPDX-License-Identifier: Apache-2.0
/*
 * arrivals.h: when requests arrive. Open loop: the times do not depend on how fast requests are
 * served, so a slow server cannot slow its load down and hide its own delays. The same seed gives
 * the same times on every machine.
 */
#ifndef WORKLOADS_LIB_ARRIVALS_H
#define WORKLOADS_LIB_ARRIVALS_H

#include <stdbool.h>
#include <stdint.h>

enum wl_arrival_kind {
	WL_ARRIVAL_POISSON,  /* exponential gaps with mean `period_ns` */
	WL_ARRIVAL_PERIODIC, /* every `period_ns` */
	WL_ARRIVAL_CLOSED,   /* the next one when the last has ended: no schedule */
};

struct wl_arrivals {
	enum wl_arrival_kind kind;
	uint64_t period_ns;
	uint64_t random; /* state; start it with the seed */
	double at_ns;    /* of the last arrival, since the start */
	bool started;
};

/* false: not the name of a kind */
bool wl_arrival_parse(const char *name, enum wl_arrival_kind *kind);
const char *wl_arrival_name(enum wl_arrival_kind kind);

/* The next arrival in ns since the start; the first is at 0. Closed: always 0. */
uint64_t wl_arrival_next(struct wl_arrivals *a);

/* splitmix64: 64 well-mixed bits from a counter; also used for input data */
uint64_t wl_random(uint64_t *state);

#endif
