// SPDX-License-Identifier: Apache-2.0
#include "timers.h"

#include <errno.h>

#define WAYS 4u /* children of a node: shallower than a binary heap, and in one cache line */
#define NOWHERE UINT32_MAX

int rein_sim_timers_init(struct rein_sim_timers *t, unsigned n)
{
	*t = (struct rein_sim_timers){.n = n};
	t->at_ns = malloc(n * sizeof(*t->at_ns));
	t->heap = malloc(n * sizeof(*t->heap));
	t->place = malloc(n * sizeof(*t->place));
	if (!t->at_ns || !t->heap || !t->place) {
		rein_sim_timers_fini(t);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < n; i++) {
		t->at_ns[i] = UINT64_MAX;
		t->place[i] = NOWHERE;
	}
	return 0;
}

void rein_sim_timers_fini(struct rein_sim_timers *t)
{
	free(t->at_ns);
	free(t->heap);
	free(t->place);
	*t = (struct rein_sim_timers){0};
}

static bool before(const struct rein_sim_timers *t, uint32_t a, uint32_t b)
{
	return t->at_ns[a] != t->at_ns[b] ? t->at_ns[a] < t->at_ns[b] : a < b;
}

static void put(struct rein_sim_timers *t, uint32_t place, uint32_t timer)
{
	t->heap[place] = timer;
	t->place[timer] = place;
}

static void up(struct rein_sim_timers *t, uint32_t place, uint32_t timer)
{
	while (place > 0) {
		uint32_t parent = (place - 1) / WAYS;
		if (!before(t, timer, t->heap[parent]))
			break;
		put(t, place, t->heap[parent]);
		place = parent;
	}
	put(t, place, timer);
}

static void down(struct rein_sim_timers *t, uint32_t place, uint32_t timer)
{
	for (;;) {
		uint32_t first = place * WAYS + 1, best = first;
		if (first >= t->set)
			break;
		for (uint32_t i = first + 1; i < t->set && i < first + WAYS; i++)
			if (before(t, t->heap[i], t->heap[best]))
				best = i;
		if (!before(t, t->heap[best], timer))
			break;
		put(t, place, t->heap[best]);
		place = best;
	}
	put(t, place, timer);
}

static void take_out(struct rein_sim_timers *t, uint32_t place)
{
	uint32_t last = t->heap[--t->set];
	if (place == t->set)
		return;
	if (place > 0 && before(t, last, t->heap[(place - 1) / WAYS]))
		up(t, place, last);
	else
		down(t, place, last);
}

void rein_sim_timers_set(struct rein_sim_timers *t, unsigned timer, uint64_t at_ns)
{
	uint64_t was_ns = t->at_ns[timer];
	uint32_t place = t->place[timer];
	t->at_ns[timer] = at_ns;
	if (place == NOWHERE) {
		if (at_ns != UINT64_MAX)
			up(t, t->set++, timer);
	} else if (at_ns == UINT64_MAX) {
		t->place[timer] = NOWHERE;
		take_out(t, place);
	} else if (at_ns < was_ns) {
		up(t, place, timer);
	} else if (at_ns > was_ns) {
		down(t, place, timer);
	}
}
