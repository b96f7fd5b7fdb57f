// SPDX-License-Identifier: Apache-2.0
/*
 * active.c: demand words and requests: who is active, since when, and when that is due.
 *
 * Which request counts. One that is declared (include/rein.h): of those that are open the oldest,
 * with the earliest deadline of them all. As soon as that one has ended and another is the oldest
 * the policy is told of an end and a beginning, without idleness in between. Undeclared: from idle
 * to idle, linger included; its end is when the linger began. A program that declares its requests
 * has deadlines only while one is open.
 *
 * What programs say is not trusted: an arrival is not in the future, nor long ago, nor before the
 * one before it; a deadline counts only for who was granted a priority or a deadline, and is no
 * earlier than what was granted.
 */
#include "arbiter_int.h"

#include "../common/clock.h"

/* Requests at least this far apart ring at their end too, whoever waits: it costs them nothing
 * to speak of and makes the accounts right while the arbiter sleeps. */
#define RARE_NS (5 * REIN_MS)
#define ARRIVAL_AGE_MAX_NS (10 * REIN_S)
#define DUE_MAX_NS (3600 * REIN_S)

/* ---------------------------------------------------------------- what the policy sees */

void rein_active_publish(struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns)
{
	const struct rein_policy_ops *ops = a->policy->ops;
	bool active = c->live && !c->stalled;
	if (active == c->policy.active)
		return;
	c->policy.active = active;
	if (active && ops->ready)
		ops->ready(a->policy, &c->policy, now_ns);
	if (!active && ops->idle)
		ops->idle(a->policy, &c->policy, now_ns);
	rein_device_mark(a, c);
}

/* ---------------------------------------------------------------- requests */

/* The arrival of the declared request that counts; 0: none is open. */
static uint64_t declared_arrival(const struct rein_arbiter_client *c, uint32_t flags)
{
	bool open = flags & REIN_REQUEST_DECLARED && rein_load_relaxed(&c->status->requests_open);
	return open ? rein_load_relaxed(&c->status->arrival_ns) : 0;
}

void rein_active_due(struct rein_arbiter_client *c)
{
	struct rein_policy_client *p = &c->policy;
	bool declares = rein_load_relaxed(&c->status->request_flags) & REIN_REQUEST_DECLARED;
	uint64_t due_ns = 0, least_ns = p->release_ns + p->deadline_ns;
	if (c->arrival_ns && (p->prio > 0 || p->deadline_ns))
		due_ns = rein_load_relaxed(&c->status->deadline_ns);
	if (due_ns && due_ns < least_ns)
		due_ns = least_ns;
	if (!due_ns && p->deadline_ns && (c->arrival_ns || !declares))
		due_ns = least_ns;
	p->due_ns = rein_min_ns(due_ns, p->release_ns + DUE_MAX_NS);
}

static void request_begins(struct rein_arbiter_client *c, uint64_t arrival_ns, uint64_t now_ns)
{
	struct rein_policy_client *p = &c->policy;
	uint64_t least_ns = now_ns > ARRIVAL_AGE_MAX_NS ? now_ns - ARRIVAL_AGE_MAX_NS : 0;
	uint64_t release_ns = arrival_ns && arrival_ns < now_ns ? arrival_ns : now_ns;
	least_ns = p->release_ns > least_ns ? p->release_ns : least_ns;
	c->arrival_ns = arrival_ns;
	p->active_since_ns = now_ns;
	p->release_ns = release_ns > least_ns ? release_ns : least_ns;
	rein_active_due(c);
	rein_measure_begin(c);
}

/* Another request counts from now on, without idleness in between. */
static void request_changes(struct rein_arbiter *a, struct rein_arbiter_client *c,
                            uint64_t arrival_ns, uint64_t now_ns)
{
	const struct rein_policy_ops *ops = a->policy->ops;
	if (c->policy.active && ops->idle) {
		c->policy.active = false;
		ops->idle(a->policy, &c->policy, now_ns);
	}
	rein_measure_end(c, c->idle_since_ns ? c->idle_since_ns : now_ns);
	request_begins(c, arrival_ns, now_ns);
	if (c->live && !c->stalled && ops->ready) {
		c->policy.active = true;
		ops->ready(a->policy, &c->policy, now_ns);
	}
	c->policy.active = c->live && !c->stalled;
	rein_device_mark(a, c);
}

/* It is active: with the request that it had, or another. */
static void look_request(struct rein_arbiter *a, struct rein_arbiter_client *c, uint32_t flags,
                         uint64_t now_ns)
{
	uint64_t arrival_ns = declared_arrival(c, flags), due_ns = c->policy.due_ns;
	c->quick = now_ns - c->word_ns < RARE_NS;
	c->word_ns = now_ns;
	if (!c->live) {
		c->rare = now_ns - c->policy.active_since_ns >= RARE_NS;
		request_begins(c, arrival_ns, now_ns);
		rein_client_notify(a, c);
		return;
	}
	rein_client_notify(a, c);
	if (arrival_ns > c->arrival_ns || (!arrival_ns && c->arrival_ns)) {
		request_changes(a, c, arrival_ns, now_ns);
		return;
	}
	c->arrival_ns = arrival_ns; /* an older one came in late: the same, in effect */
	rein_active_due(c);
	if (c->policy.due_ns != due_ns)
		rein_device_mark(a, c);
}

uint64_t rein_active_linger(struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns)
{
	uint64_t linger_ns = c->exact ? 0 : c->policy.linger_us * REIN_US;
	uint64_t end_ns = c->idle_since_ns + linger_ns;
	if (!c->idle_since_ns)
		return UINT64_MAX;
	if (end_ns > now_ns)
		return end_ns;
	rein_measure_end(c, c->idle_since_ns);
	c->idle_since_ns = 0;
	c->live = false;
	rein_active_publish(a, c, now_ns);
	rein_device_mark(a, c);
	return UINT64_MAX;
}

/* ---------------------------------------------------------------- demand words */

/* Counts a change of its word; false: one too many for now. */
static bool may_change(struct rein_arbiter_client *c, uint64_t now_ns)
{
	if (now_ns - c->window_ns >= REIN_ARBITER_WINDOW_NS) {
		c->window_ns = now_ns;
		c->words = 0;
	}
	if (++c->words <= REIN_ARBITER_WORDS_MAX || rein_arbiter_is_urgent(c))
		return true;
	c->deaf_until_ns = c->window_ns + REIN_ARBITER_WINDOW_NS;
	return false;
}

static void look_word(struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns)
{
	if (now_ns < c->deaf_until_ns)
		return;
	c->deaf_until_ns = 0;
	uint32_t word = rein_load_acquire(&c->status->demand);
	if (word == c->demand || !may_change(c, now_ns))
		return;
	rein_account_client(a, c, now_ns);
	bool waiting = word & REIN_DEMAND_WAITING;
	uint32_t flags = rein_load_acquire(&c->status->request_flags);
	bool background = flags & REIN_REQUEST_BACKGROUND;
	c->demand = word;
	if (word & REIN_DEMAND_ACTIVE) {
		look_request(a, c, flags, now_ns);
		c->live = true;
		c->idle_since_ns = 0;
	} else {
		c->drain_left_ns = 0;
		c->idle_since_ns = c->live ? now_ns : 0;
		c->exact = flags & REIN_REQUEST_EXACT;
	}
	uint32_t can = rein_load_relaxed(&c->status->can);
	if (waiting != c->policy.waiting || background != c->policy.background || can != c->can)
		rein_device_mark(a, c);
	c->can = can;
	rein_recent_wait(a, c, now_ns);
	c->policy.waiting = waiting;
	c->policy.background = background;
	rein_stall_progress(a, c, now_ns);
	rein_active_publish(a, c, now_ns);
	if (c->live && a->tick_ns > now_ns + REIN_ARBITER_IDLE_TICK_NS)
		a->tick_ns = now_ns + REIN_ARBITER_IDLE_TICK_NS;
	rein_device_look(a, c, now_ns);
}

void rein_arbiter_scan(struct rein_arbiter *a, uint64_t now_ns)
{
	for (unsigned i = 0; i < a->n; i++)
		look_word(a, a->client[i], now_ns);
}

void rein_arbiter_look(struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns)
{
	look_word(a, c, now_ns);
	rein_device_look(a, c, now_ns);
}

bool rein_arbiter_changed(const struct rein_arbiter *a)
{
	for (unsigned i = 0; i < a->n; i++) {
		const struct rein_arbiter_client *c = a->client[i];
		if (!c->deaf_until_ns && rein_load_seqcst(&c->status->demand) != c->demand)
			return true;
	}
	return false;
}

bool rein_arbiter_urgent_changed(const struct rein_arbiter *a)
{
	for (unsigned i = 0; i < a->n; i++) {
		const struct rein_arbiter_client *c = a->client[i];
		if (rein_arbiter_is_urgent(c) && rein_load_relaxed(&c->status->demand) != c->demand)
			return true;
	}
	return false;
}
