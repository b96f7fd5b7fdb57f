// SPDX-License-Identifier: Apache-2.0
/* arrivals.c: see arrivals.h. */
#include "arrivals.h"

#include <math.h>
#include <string.h>

static const char *const names[] = {
    [WL_ARRIVAL_POISSON] = "poisson",
    [WL_ARRIVAL_PERIODIC] = "periodic",
    [WL_ARRIVAL_CLOSED] = "closed",
};

bool wl_arrival_parse(const char *name, enum wl_arrival_kind *kind)
{
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(name, names[i]) == 0) {
			*kind = (enum wl_arrival_kind)i;
			return true;
		}
	}
	return false;
}

const char *wl_arrival_name(enum wl_arrival_kind kind)
{
	return names[kind];
}

uint64_t wl_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ull);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

uint64_t wl_arrival_next(struct wl_arrivals *a)
{
	if (a->kind == WL_ARRIVAL_CLOSED)
		return 0;
	if (!a->started) {
		a->started = true;
		return 0;
	}
	double gap = (double)a->period_ns;
	if (a->kind == WL_ARRIVAL_POISSON) {
		/* 53 bits, never 0, so that the logarithm is finite */
		double u = ((double)(wl_random(&a->random) >> 11) + 1) / 9007199254740992.0;
		gap *= -log(u);
	}
	a->at_ns += gap;
	return (uint64_t)a->at_ns;
}
