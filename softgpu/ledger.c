// SPDX-License-Identifier: Apache-2.0
/* ledger.c: see ledger.h. */
#include "ledger.h"

#include <string.h>

#define OPEN UINT64_MAX

static uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

void sg_ledger_init(struct sg_ledger *l, const struct sg_model *m)
{
	memset(l, 0, sizeof(*l));
	l->owner = l->last = SG_NOBODY;
	l->slice_ns = m->timeslice_ns;
	l->switch_ns = m->switch_ns;
	l->n_copy_engines = m->copy_engines;
}

static struct sg_grant *last_grant(struct sg_ledger *l, uint32_t seat)
{
	struct sg_seat *s = &l->seat[seat];
	return &s->grant[(s->grants - 1) % SG_GRANTS];
}

uint64_t sg_ledger_owner_end(const struct sg_ledger *l)
{
	if (l->owner == SG_NOBODY)
		return OPEN;
	const struct sg_seat *s = &l->seat[l->owner];
	return s->grant[(s->grants - 1) % SG_GRANTS].end_ns;
}

/* Who has waited longest; of equals the next after the last owner. SG_NOBODY: nobody waits. */
static uint32_t next_waiter(const struct sg_ledger *l)
{
	uint32_t best = SG_NOBODY;
	uint32_t first = l->last == SG_NOBODY ? 0 : l->last + 1;
	for (uint32_t i = 0; i < SG_SEATS; i++) {
		uint32_t seat = (first + i) % SG_SEATS;
		const struct sg_seat *s = &l->seat[seat];
		if (s->wants && !s->held &&
		    (best == SG_NOBODY || s->want_ns < l->seat[best].want_ns))
			best = seat;
	}
	return best;
}

static uint64_t slice_of(const struct sg_ledger *l, uint32_t seat)
{
	return l->seat[seat].slice_ns ? l->seat[seat].slice_ns : l->slice_ns;
}

static void ring(struct sg_ledger *l, uint32_t seat)
{
	if (seat < SG_SEATS)
		l->bells |= 1ull << seat;
}

/* An open grant ends at a slice boundary when somebody waits, and is open again when nobody does.
 * The boundary is not before now: up to then the owner may have used the device. */
static void bound_owner(struct sg_ledger *l, uint64_t now_ns)
{
	if (l->owner == SG_NOBODY)
		return;
	const struct sg_seat *s = &l->seat[l->owner];
	struct sg_grant *g = last_grant(l, l->owner);
	uint32_t waiter = next_waiter(l);
	uint64_t was = g->end_ns;
	uint64_t evict = s->evict_ns ? max_u64(s->evict_ns, g->start_ns) : OPEN;
	if (waiter == SG_NOBODY) {
		g->end_ns = evict;
	} else if (g->end_ns == OPEN) {
		uint64_t from = max_u64(l->seat[waiter].want_ns, now_ns);
		g->end_ns = sg_model_slice_end_ns(slice_of(l, l->owner), g->start_ns, from);
	}
	if (g->end_ns > evict)
		g->end_ns = evict;
	if (g->end_ns < was)
		ring(l, l->owner);
}

/* The device is free since at_ns: the next waiter gets it. */
static void grant_next(struct sg_ledger *l, uint64_t at_ns)
{
	uint32_t seat = next_waiter(l);
	l->owner = SG_NOBODY;
	l->free_ns = at_ns;
	if (seat == SG_NOBODY)
		return;
	struct sg_seat *s = &l->seat[seat];
	uint64_t start = max_u64(at_ns, s->want_ns);
	if (l->last != SG_NOBODY && l->last != seat) {
		start += l->switch_ns;
		s->switches++;
	}
	l->owner = l->last = seat;
	s->wants = 0;
	s->grants++;
	*last_grant(l, seat) = (struct sg_grant){start, OPEN};
	if (next_waiter(l) != SG_NOBODY)
		last_grant(l, seat)->end_ns = start + slice_of(l, seat);
	ring(l, seat);
}

void sg_ledger_settle(struct sg_ledger *l, uint64_t now_ns)
{
	bound_owner(l, now_ns);
	while (sg_ledger_owner_end(l) <= now_ns) {
		uint64_t end = sg_ledger_owner_end(l);
		struct sg_seat *old = &l->seat[l->owner];
		if (old->evict_ns &&
		    !old->held) /* its context was saved; held, it is let go later */
			l->last = SG_SEATS;
		old->evict_ns = 0;
		if (old->grants - old->taken < SG_GRANTS - 1) {
			old->wants = 1;
			old->want_ns = end;
		}
		ring(l, l->owner);
		grant_next(l, end);
		bound_owner(l, now_ns);
	}
}

void sg_ledger_request(struct sg_ledger *l, uint32_t seat, uint64_t want_ns, uint64_t now_ns)
{
	struct sg_seat *s = &l->seat[seat];
	sg_ledger_settle(l, now_ns);
	if (l->owner == seat || s->wants)
		return;
	s->wants = 1;
	s->want_ns = want_ns;
	if (l->owner == SG_NOBODY)
		grant_next(l, l->free_ns);
	bound_owner(l, now_ns);
	sg_ledger_settle(l, now_ns);
}

void sg_ledger_give(struct sg_ledger *l, uint32_t seat, uint64_t at_ns, uint64_t now_ns)
{
	struct sg_seat *s = &l->seat[seat];
	s->wants = 0;
	s->evict_ns = 0;
	if (l->owner == seat) { /* before settling: at_ns may precede an end that has passed */
		struct sg_grant *g = last_grant(l, seat);
		uint64_t end = max_u64(at_ns, g->start_ns);
		g->end_ns = end < g->end_ns ? end : g->end_ns;
		grant_next(l, g->end_ns);
	}
	s->taken = s->grants;
	sg_ledger_settle(l, now_ns);
}

void sg_ledger_vacate(struct sg_ledger *l, uint32_t seat, uint64_t now_ns)
{
	sg_ledger_give(l, seat, now_ns, now_ns);
	memset(&l->seat[seat], 0, sizeof(l->seat[seat]));
	if (l->last == seat) /* its context is gone, but unloading it costs a switch all the same */
		l->last = SG_SEATS;
}

void sg_ledger_hold(struct sg_ledger *l, uint32_t seat, bool held, uint64_t at_ns, uint64_t now_ns)
{
	struct sg_seat *s = &l->seat[seat];
	sg_ledger_settle(l, now_ns);
	if (s->held && !held && s->wants)
		s->want_ns = max_u64(s->want_ns, at_ns);
	s->held = held;
	if (!held && s->wants && l->owner == SG_NOBODY)
		grant_next(l, l->free_ns);
	bound_owner(l, now_ns);
	sg_ledger_settle(l, now_ns);
}

void sg_ledger_evict(struct sg_ledger *l, uint32_t seat, uint64_t at_ns, uint64_t now_ns)
{
	sg_ledger_settle(l, now_ns);
	if (l->owner != seat)
		return;
	l->seat[seat].evict_ns = max_u64(at_ns, 1);
	bound_owner(l, now_ns);
	sg_ledger_settle(l, now_ns);
}

uint64_t sg_ledger_copy(struct sg_ledger *l, enum sg_copy_dir dir, uint64_t ready_ns,
                        uint64_t dur_ns)
{
	uint32_t best = 0;
	for (uint32_t i = 1; i < l->n_copy_engines; i++)
		if (l->copy_free_ns[i] < l->copy_free_ns[best])
			best = i;
	uint64_t start = max_u64(ready_ns, l->copy_free_ns[best]);
	bool in = dir == SG_COPY_H2D || dir == SG_COPY_H2H;
	bool out = dir == SG_COPY_D2H || dir == SG_COPY_H2H;
	if (in)
		start = max_u64(start, l->link_free_ns[0]);
	if (out)
		start = max_u64(start, l->link_free_ns[1]);
	l->copy_free_ns[best] = start + dur_ns;
	if (in)
		l->link_free_ns[0] = start + dur_ns;
	if (out)
		l->link_free_ns[1] = start + dur_ns;
	return start;
}
