// SPDX-License-Identifier: Apache-2.0
/*
 * stall.c: clients for whose sake others are held and that make no progress (arbiter.h, "Leases").
 * They may be waiting for one of those, so whoever is held for them gets the GPU for a while.
 */
#include "arbiter_int.h"

#include "../common/clock.h"

#define SAY_AGAIN_NS (10 * REIN_S) /* long requests are that client's way: not a line for each */

/* ---------------------------------------------------------------- exemptions */

static void exempt(struct rein_arbiter *a, struct rein_arbiter_client *c,
                   const struct rein_arbiter_client *holder, uint64_t until_ns)
{
	c->policy.exempt = true;
	c->exempt_for = holder->policy.id;
	c->exempt_until_ns = until_ns;
	rein_device_mark(a, c);
}

static void exempt_end(struct rein_arbiter *a, struct rein_arbiter_client *c)
{
	c->policy.exempt = false;
	c->exempt_for = 0;
	rein_device_mark(a, c);
}

static void report(struct rein_arbiter *a, const struct rein_arbiter_client *c,
                   const struct rein_arbiter_client *first, unsigned opened, uint64_t now_ns)
{
	char line[320];
	snprintf(line, sizeof(line),
	         "opened the hold of %s (pid %d)%s for %s (pid %d): no progress of %s for %llu ms",
	         first->name, (int)first->pid, opened > 1 ? " and others" : "", c->name,
	         (int)c->pid, c->name, (unsigned long long)((now_ns - c->progress_ns) / REIN_MS));
	if (a->say)
		a->say(a->say_arg, line);
}

/* Lets all run that are held for `c`, as asked last. How many, and the first of them. */
static unsigned exempt_all(struct rein_arbiter *a, const struct rein_arbiter_client *c,
                           uint64_t until_ns, const struct rein_arbiter_client **first)
{
	unsigned opened = 0;
	for (unsigned i = 0; i < a->n; i++) {
		struct rein_arbiter_client *other = a->client[i];
		if (other == c || !rein_decide_held_for(other, c->policy.id))
			continue;
		if (!opened++)
			*first = other;
		exempt(a, other, c, until_ns);
	}
	return opened;
}

/* ---------------------------------------------------------------- hung */

/*
 * It made no progress while others are held for it: let those run for a lease. To the policy it
 * is idle from then on, and nobody is held for it; but it may wait for one who is held for a third.
 * So while that goes on it counts as back for a moment, now and then, to see who would be held for
 * it: whatever the policy goes by, nobody gets in the way of one who outranks it.
 */
static void relieve(struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns)
{
	const struct rein_arbiter_client *first = NULL;
	bool fresh = !c->stalled;
	if (!fresh) {
		c->stalled = false;
		rein_active_publish(a, c, now_ns);
		rein_decide_ask(a, now_ns);
	}
	unsigned opened = exempt_all(a, c, now_ns + REIN_LEASE_NS, &first);
	if (fresh && opened)
		report(a, c, first, opened, now_ns);
	c->stalled = true;
	c->relief_ns = now_ns + REIN_ARBITER_RELIEF_NS;
	rein_active_publish(a, c, now_ns);
}

static void unstall(struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns)
{
	c->stalled = false;
	for (unsigned i = 0; i < a->n; i++)
		if (a->client[i]->exempt_for == c->policy.id)
			exempt_end(a, a->client[i]);
	rein_active_publish(a, c, now_ns);
}

/* ---------------------------------------------------------------- slow */

/* Long work, or waiting for one of those that are held for it: nobody can tell from here. */
static bool is_slow(const struct rein_arbiter_client *c, uint64_t now_ns)
{
	return !c->stalled && now_ns - c->alive_ns <= REIN_ARBITER_ALIVE_NS &&
	       now_ns - c->progress_ns < c->patience_ns + REIN_ARBITER_SLOW_MAX_NS;
}

static void breathe(struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns)
{
	const struct rein_arbiter_client *first = NULL;
	unsigned opened = exempt_all(a, c, now_ns + REIN_ARBITER_BREATH_NS, &first);
	if (!c->breath_ns && opened && now_ns - c->said_ns >= SAY_AGAIN_NS) {
		c->said_ns = now_ns;
		report(a, c, first, opened, now_ns);
	}
	c->breath_ns = now_ns + REIN_ARBITER_BREATH_EVERY_NS;
}

/* ---------------------------------------------------------------- progress */

void rein_stall_progress(struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns)
{
	c->progress_ns = now_ns;
	c->breath_ns = 0;
	if (c->stalled)
		unstall(a, c, now_ns);
}

static void look_progress(struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns)
{
	uint64_t submissions = rein_load_relaxed(&c->status->total.submissions);
	uint64_t requests = rein_load_relaxed(&c->status->total.requests);
	uint64_t heartbeats = rein_load_relaxed(&c->status->total.heartbeats);
	if (heartbeats != c->heartbeats)
		c->alive_ns = now_ns;
	c->heartbeats = heartbeats;
	if (submissions == c->submissions && requests == c->requests)
		return;
	c->submissions = submissions;
	c->requests = requests;
	rein_stall_progress(a, c, now_ns);
}

uint64_t rein_stall_next(const struct rein_arbiter_client *c)
{
	uint64_t end_ns = c->progress_ns + c->patience_ns;
	if (c->stalled)
		return c->relief_ns;
	if (!c->holding)
		return UINT64_MAX;
	return c->breath_ns > end_ns ? c->breath_ns : end_ns;
}

uint64_t rein_stall_look(struct rein_arbiter *a, struct rein_arbiter_client *c, bool tick,
                         uint64_t now_ns)
{
	if (c->policy.exempt && c->exempt_until_ns <= now_ns)
		exempt_end(a, c);
	if (!c->holding && !c->stalled)
		return UINT64_MAX;
	if (tick || now_ns >= rein_stall_next(c))
		look_progress(a, c, now_ns);
	if (now_ns < rein_stall_next(c))
		return rein_stall_next(c);
	if (is_slow(c, now_ns))
		breathe(a, c, now_ns);
	else
		relieve(a, c, now_ns);
	return rein_stall_next(c);
}
