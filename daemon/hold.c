// SPDX-License-Identifier: Apache-2.0
/*
 * hold.c: who was held, for whose sake, how, from when to when: told to whoever records events, as
 * it ends or changes, and for a long one now and then. It is the arbiter's side of
 * REIN_TRACE_HOLD (profiler/recording.h): a call that neither waits nor allocates.
 */
#include "arbiter_int.h"

#define PIECE_NS (10 * REIN_ARBITER_TICK_NS) /* a hold that goes on is told of so often */

static void tell(const struct rein_arbiter *a, const struct rein_arbiter_client *c, uint64_t now_ns)
{
	const struct rein_hold *h = &c->noted;
	if (a->note_hold && h->mode != REIN_HOLD_NONE && now_ns > h->since_ns)
		a->note_hold(a->note_arg, c->policy.id, h, now_ns);
}

void rein_hold_note(const struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns)
{
	struct rein_hold is = {.mode = c->held ? c->mode : REIN_HOLD_NONE, .since_ns = now_ns};
	is.holder = is.mode ? c->holder : 0;
	if (is.mode == c->noted.mode && is.holder == c->noted.holder)
		return;
	tell(a, c, now_ns);
	c->noted = is;
}

void rein_hold_tick(const struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns)
{
	if (!c->noted.mode || now_ns - c->noted.since_ns < PIECE_NS)
		return;
	tell(a, c, now_ns);
	c->noted.since_ns = now_ns;
}

void rein_hold_end(const struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns)
{
	tell(a, c, now_ns);
	c->noted.since_ns = now_ns;
}
