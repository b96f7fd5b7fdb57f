// SPDX-License-Identifier: Apache-2.0
/*
 * decide.c: asks the policy, device by device, and writes the verdicts that changed.
 *
 * Jobs. A process with several devices, and processes that form a job, run together or not at all:
 * one held, all held, on all their devices. A hold for the sake of one of its own does not count.
 * Who is held on one device makes nobody wait on another: to the policy there it is idle.
 *
 * So the devices that share a job are asked together, each time, in the order of their index: what
 * an earlier one holds is idle on the later ones. That makes one winner of two jobs that both want
 * the same devices, and a turn that ends on the first device ends on all. If the winner of an
 * earlier device is held on a later one, all are asked again with that job idle on all devices but
 * the one where it lost, at most ROUNDS_MAX times. Then a hold for the sake of one that is held
 * itself is dropped: too much may run then, but never nothing.
 */
#include "arbiter_int.h"

#include <string.h>

#define ROUNDS_MAX 4

/* ---------------------------------------------------------------- jobs */

static uint64_t job_held_on(const struct rein_arbiter_client *c)
{
	const struct rein_arbiter_client *m = c;
	uint64_t held_on = 0;
	do
		held_on |= m->held_on;
	while ((m = m->mate) != c);
	return held_on;
}

static bool is_mate(const struct rein_arbiter_client *c, uint32_t id)
{
	const struct rein_arbiter_client *m = c;
	do {
		if (m->policy.id == id)
			return true;
	} while ((m = m->mate) != c);
	return false;
}

/* Does the policy hold it on the device of this slot? */
static bool holds_here(const struct rein_arbiter_client *c, unsigned slot)
{
	const struct rein_arbiter_slot *s = &c->slot[slot];
	return s->seen && s->device >= 0 && c->held_on & 1ull << s->device;
}

bool rein_decide_held_for(const struct rein_arbiter_client *c, uint32_t id)
{
	const struct rein_arbiter_client *m = c;
	do {
		for (unsigned i = 0; m->held_on && i < m->slots; i++)
			if (holds_here(m, i) && m->slot[i].holder == id)
				return true;
	} while ((m = m->mate) != c);
	return false;
}

/* ---------------------------------------------------------------- asking */

/* Keeps the policy's answer. Without a holder and an end a hold would last for ever: it is none. */
static void take_answer(const struct rein_arbiter *a, const struct rein_arbiter_device *d,
                        struct rein_arbiter_client *c, const struct rein_policy_verdict *v)
{
	bool hold = v->hold && (v->holder ? !is_mate(c, v->holder) : d->next_ns != UINT64_MAX);
	c->held_on &= ~(1ull << d->index);
	c->held_on |= (uint64_t)hold << d->index;
	for (unsigned i = 0; i < c->slots; i++) {
		struct rein_arbiter_slot *s = &c->slot[i];
		if (!s->seen || s->device != d->index)
			continue;
		s->metered = v->metered;
		s->holder = hold ? v->holder : 0;
		s->limits = (struct rein_arbiter_limits){
		    .backlog_ns = v->backlog_ns ? v->backlog_ns : c->policy.backlog_ns,
		    .backlog_launches =
			v->backlog_launches ? v->backlog_launches : c->policy.backlog_launches,
		    .point_ns = v->metered ? rein_points_every(a, c, d, v->point_ns) : 0,
		    .sms = rein_points_sms(a, c, d, v->sms),
		    .timeslice_us = rein_points_timeslice(a, c, d, v->timeslice_us)};
	}
}

/* Is it active here, as far as its job is not held elsewhere? */
static bool is_active_on(const struct rein_arbiter_client *c, int index)
{
	if (!c->live || c->stalled)
		return false;
	return !rein_client_wide(c) || !((c->lost_on | job_held_on(c)) & ~(1ull << index));
}

static void ask(struct rein_arbiter *a, struct rein_arbiter_device *d, uint64_t now_ns)
{
	struct rein_policy_client *ask_for[REIN_CLIENTS_MAX];
	rein_account_device(a, d,
	                    now_ns); /* what it goes by is to be what has happened until now */
	for (unsigned i = 0; i < d->n; i++) {
		struct rein_arbiter_client *c = d->client[i];
		ask_for[i] = &c->policy;
		c->policy.active = is_active_on(c, d->index);
	}
	memset(a->verdict, 0, d->n * sizeof(a->verdict[0]));
	d->next_ns = a->policy->ops->decide(a->policy, ask_for, a->verdict, d->n, now_ns);
	if (d->next_ns < now_ns + REIN_ARBITER_ASK_NS)
		d->next_ns = now_ns + REIN_ARBITER_ASK_NS;
	for (unsigned i = 0; i < d->n; i++) {
		struct rein_arbiter_client *c = d->client[i];
		c->policy.active = c->live && !c->stalled;
		take_answer(a, d, c, &a->verdict[i]);
	}
	a->decisions++;
}

static uint64_t dirty_devices(const struct rein_arbiter *a)
{
	uint64_t dirty = 0;
	for (unsigned i = 0; i < REIN_BOARD_DEVICES_MAX; i++)
		dirty |= (uint64_t)(a->device[i] && a->device[i]->dirty) << i;
	return dirty;
}

/* Devices that share a job with a dirty one are dirty too. */
static uint64_t spread(const struct rein_arbiter *a, uint64_t dirty)
{
	uint64_t before = 0;
	while (a->wide && dirty != before) {
		before = dirty;
		for (unsigned i = 0; i < a->n; i++)
			if (a->client[i]->job_devices & dirty)
				dirty |= a->client[i]->job_devices;
	}
	return dirty;
}

/* Who is held on one device while others are held for it on another, lost. True: that is news. */
static bool find_losers(struct rein_arbiter *a)
{
	bool news = false;
	for (unsigned i = 0; a->wide && i < a->n; i++) {
		const struct rein_arbiter_client *c = a->client[i];
		for (unsigned k = 0; c->held_on && k < c->slots; k++) {
			if (!holds_here(c, k) || !c->slot[k].holder)
				continue;
			struct rein_arbiter_client *h = rein_arbiter_find(a, c->slot[k].holder);
			struct rein_arbiter_client *m = h;
			uint64_t by = h && rein_client_wide(h) ? job_held_on(h) : 0;
			if (!by || h->lost_on)
				continue;
			do
				m->lost_on = by & -by; /* the first of them */
			while ((m = m->mate) != h);
			news = true;
		}
	}
	return news;
}

static void drop_empty_holds(struct rein_arbiter *a)
{
	for (unsigned i = 0; i < a->n; i++) {
		struct rein_arbiter_client *c = a->client[i];
		for (unsigned k = 0; c->held_on && k < c->slots; k++) {
			uint32_t id = holds_here(c, k) ? c->slot[k].holder : 0;
			const struct rein_arbiter_client *h = id ? rein_arbiter_find(a, id) : NULL;
			if (h && rein_client_wide(h) && job_held_on(h))
				c->held_on &= ~(1ull << c->slot[k].device);
		}
	}
}

void rein_decide_ask(struct rein_arbiter *a, uint64_t now_ns)
{
	uint64_t dirty = spread(a, dirty_devices(a));
	for (unsigned i = 0; a->wide && i < a->n; i++)
		a->client[i]->lost_on = 0;
	for (unsigned i = 0; i < REIN_BOARD_DEVICES_MAX; i++)
		if (dirty >> i & 1) /* all first: whose contexts are sliced goes by each of them */
			rein_points_rank(a->device[i], now_ns);
	for (unsigned round = 0; round < ROUNDS_MAX; round++) {
		for (unsigned i = 0; a->wide && i < a->n; i++)
			if (rein_client_wide(a->client[i]))
				a->client[i]->held_on &= ~dirty;
		for (unsigned i = 0; i < REIN_BOARD_DEVICES_MAX; i++)
			if (dirty >> i & 1)
				ask(a, a->device[i], now_ns);
		if (!find_losers(a))
			break;
	}
	if (a->wide)
		drop_empty_holds(a);
	a->dirty = false;
	for (unsigned i = 0; i < REIN_BOARD_DEVICES_MAX; i++)
		if (a->device[i])
			a->device[i]->dirty = false;
}

/* ---------------------------------------------------------------- writing */

static bool same_limits(const struct rein_arbiter_limits *x, const struct rein_arbiter_limits *y)
{
	return x->backlog_ns == y->backlog_ns && x->backlog_launches == y->backlog_launches &&
	       x->point_ns == y->point_ns && x->sms == y->sms && x->timeslice_us == y->timeslice_us;
}

/* The order of a close (abi.h): lease, the rest under seq, then the gate. */
static void write_slot(struct rein_arbiter *a, struct rein_arbiter_client *c, unsigned i,
                       uint32_t gate, uint64_t now_ns)
{
	struct rein_arbiter_slot *s = &c->slot[i];
	struct rein_verdict *v = &c->control->verdict[i];
	const struct rein_arbiter_limits *l = &s->limits;
	uint32_t mode = gate & REIN_GATE_CLOSED ? c->mode : REIN_HOLD_NONE;
	if (gate == s->written.gate && same_limits(l, &s->written.limits) &&
	    c->holder == s->written.holder && mode == s->written.mode)
		return;
	if (gate & ~s->written.gate & REIN_GATE_CLOSED)
		rein_store_relaxed(&v->lease_until_ns, now_ns + REIN_LEASE_NS);
	/* Each release keeps the odd count before it; ThreadSanitizer does not see fences. */
	uint32_t seq = rein_load_relaxed(&v->seq);
	rein_store_relaxed(&v->seq, seq + 1);
	rein_store_release(&v->hold_mode, mode);
	rein_store_release(&v->backlog_ns, l->backlog_ns);
	rein_store_release(&v->backlog_launches, l->backlog_launches);
	rein_store_release(&v->point_ns, l->point_ns);
	rein_store_release(&v->sms, l->sms);
	rein_store_release(&v->timeslice_us, l->timeslice_us);
	rein_store_release(&v->holder, c->holder);
	rein_store_release(&v->generation, rein_load_relaxed(&v->generation) + 1);
	rein_store_release(&v->seq, seq + 2);

	bool sliced = l->timeslice_us != s->written.limits.timeslice_us;
	bool opens = s->written.gate & ~gate, first = l->point_ns && !s->written.limits.point_ns;
	bool context = mode != s->written.mode &&
	               (mode == REIN_HOLD_CONTEXT || s->written.mode == REIN_HOLD_CONTEXT);
	s->written.gate = gate;
	s->written.limits = *l;
	s->written.holder = c->holder;
	s->written.mode = mode;
	rein_swap_seqcst(&v->gate, gate);
	/* A thread that waits set its bit before it looked at the gate; one of us sees the other.
	 * A thread of the client's shim that holds contexts or shortens slices always waits there.
	 */
	if (context || sliced ||
	    (opens &&
	     rein_load_seqcst(&c->status->demand) & (REIN_DEMAND_ACTIVE | REIN_DEMAND_WAITING)))
		a->wake(&v->gate);
	if (first && a->ring) /* its warden is to watch over its points */
		a->ring(c);
}

/* The gate word of all its slots, alike: each bit that some device asks for. */
static uint32_t gate_of(const struct rein_arbiter *a, const struct rein_arbiter_client *c)
{
	uint32_t gate = c->to_hold ? REIN_GATE_CLOSED : REIN_GATE_OPEN;
	if (a->traced && c->traceable)
		gate |= REIN_GATE_TRACED;
	for (unsigned i = 0; i < c->slots; i++)
		if (c->slot[i].seen) {
			gate |= c->slot[i].metered ? REIN_GATE_METERED : 0;
			gate |=
			    c->slot[i].limits.sms && c->can & REIN_CAN_SLICE ? REIN_GATE_SLICED : 0;
		}
	return gate;
}

/* Gates close before points and open after them: what is let through finds the queue moving. */
static void write_client(struct rein_arbiter *a, struct rein_arbiter_client *c, uint32_t gate,
                         uint64_t now_ns)
{
	bool points = gate & REIN_GATE_CLOSED && c->mode != REIN_HOLD_LAUNCH;
	if (!points)
		rein_points_open(a, c);
	for (unsigned i = 0; i < c->slots; i++)
		if (c->slot[i].seen)
			write_slot(a, c, i, gate, now_ns);
	if (points)
		rein_points_close(a, c, now_ns);
}

/* One held, all held; the reason is a holder, if there is one among them. */
static void unite_jobs(struct rein_arbiter *a)
{
	for (unsigned i = 0; i < a->n; i++)
		a->client[i]->to_hold = false;
	for (unsigned i = 0; i < a->n; i++) {
		struct rein_arbiter_client *c = a->client[i], *m = c;
		if (!c->held_on)
			continue;
		uint32_t holder = 0;
		for (unsigned k = 0; k < c->slots && !holder; k++)
			holder = holds_here(c, k) ? c->slot[k].holder : 0;
		if (c->to_hold && (c->to_hold_for || !holder))
			continue;
		do {
			m->to_hold = true;
			m->to_hold_for = holder;
		} while ((m = m->mate) != c);
	}
}

static void apply_client(struct rein_arbiter *a, struct rein_arbiter_client *c, bool closing,
                         uint64_t now_ns)
{
	uint32_t gate = gate_of(a, c);
	bool held = c->to_hold;
	if (held != closing)
		return;
	if (held != c->held)
		rein_account_client(a, c, now_ns);
	c->mode = held ? rein_points_mode(a, c, now_ns) : REIN_HOLD_NONE;
	if (held && !c->held)
		rein_account_close(c, now_ns);
	if (held && !c->held && rein_client_working(c)) {
		c->history.preemptions++;
		if (c->tally)
			c->tally->preemptions++;
	}
	c->held = c->policy.held = held;
	c->holder = held ? c->to_hold_for : 0;
	rein_recent_wait(a, c, now_ns);
	write_client(a, c, gate, now_ns);
	rein_hold_note(a, c, now_ns);
	if (held && a->tick_ns > now_ns + REIN_ARBITER_TICK_NS)
		a->tick_ns = now_ns + REIN_ARBITER_TICK_NS;
}

/* Who makes somebody wait must ring when it goes idle too, and show progress. */
static void apply_holders(struct rein_arbiter *a, uint64_t now_ns)
{
	bool was_holding[REIN_CLIENTS_MAX] = {false};
	for (unsigned i = 0; i < a->n; i++) {
		was_holding[i] = a->client[i]->holding;
		a->client[i]->holding = false;
	}
	struct rein_arbiter_client *holder = NULL;
	for (unsigned i = 0; i < a->n; i++) {
		uint32_t id = a->client[i]->held ? a->client[i]->holder : 0;
		if (!id)
			continue;
		if (!holder || holder->policy.id != id)
			holder = rein_arbiter_find(a, id);
		if (holder)
			holder->holding = true;
	}
	for (unsigned i = 0; i < a->n; i++) {
		struct rein_arbiter_client *c = a->client[i];
		if (c->holding == was_holding[i])
			continue;
		if (c->holding && !c->breath_ns) /* not after a breath: it goes on being slow */
			c->progress_ns = now_ns;
		rein_client_notify(a, c);
	}
}

void rein_decide(struct rein_arbiter *a, uint64_t now_ns)
{
	if (!a->dirty || a->opened)
		return;
	rein_decide_ask(a, now_ns);
	for (unsigned i = 0; i < REIN_BOARD_DEVICES_MAX; i++)
		if (a->device[i])
			rein_device_publish_owners(a, i);
	unite_jobs(a);
	/* Closing first: who is let through must not meet work that is admitted a moment later. */
	for (unsigned i = 0; i < a->n; i++)
		apply_client(a, a->client[i], true, now_ns);
	for (unsigned i = 0; i < a->n; i++)
		apply_client(a, a->client[i], false, now_ns);
	apply_holders(a, now_ns);
}

void rein_decide_renew(struct rein_arbiter *a, uint64_t now_ns)
{
	for (unsigned i = 0; i < a->n; i++) {
		struct rein_arbiter_client *c = a->client[i];
		for (unsigned k = 0; c->held && k < c->slots; k++)
			if (c->slot[k].written.gate & REIN_GATE_CLOSED)
				rein_store_relaxed(&c->control->verdict[k].lease_until_ns,
				                   now_ns + REIN_LEASE_NS);
		rein_hold_tick(a, c, now_ns);
		uint32_t mode = c->held ? rein_points_mode(a, c, now_ns) : c->mode;
		if (mode == c->mode)
			continue;
		c->mode = mode;
		rein_account_harder(c);
		write_client(a, c, gate_of(a, c), now_ns);
		rein_hold_note(a, c, now_ns);
	}
}

void rein_decide_open(struct rein_arbiter *a, struct rein_arbiter_client *c)
{
	for (unsigned i = 0; i < c->slots; i++) {
		struct rein_arbiter_slot *s = &c->slot[i];
		s->metered = false;
	}
	c->held = c->to_hold = false;
	c->mode = REIN_HOLD_NONE;
	c->holder = 0;
	c->held_on = 0;
	write_client(a, c, REIN_GATE_OPEN, 0);
}
