// SPDX-License-Identifier: Apache-2.0
/*
 * account.c: who had the GPU, as far as demand words and gates tell. A client that was alone
 * active with an open gate is charged the whole time; several are charged equal parts, which is
 * an estimate. The parts add up to the time that passed. A declared request (include/rein.h) is
 * charged from its begin to its end, gaps included: others were held for all of it. "The last
 * second" is a ring of 100 ms buckets.
 *
 * A closed gate does not call back what was queued before. Until that has drained the client goes
 * on being charged, beside whoever was let through: else each turn under `fair`, and each budget
 * under `cbs`, would be exceeded by a backlog at the expense of the next one, with no account ever
 * telling. The client says when it has drained (abi.h, drained_ns); it is charged for no more than
 * its backlog or its longest kernel, whatever it says, and for nothing if it never said so.
 */
#include "arbiter_int.h"

#include <string.h>

#include "../common/clock.h"

#define PIECES_MAX 8 /* of one interval: the last one is not looked at as closely */

/* When its queue was empty; UINT64_MAX: not yet. */
static uint64_t drained_ns(const struct rein_arbiter_client *c)
{
	uint64_t at_ns = rein_load_acquire(&c->status->drained_ns);
	return at_ns >= c->closed_ns ? at_ns : UINT64_MAX;
}

/* How long it goes on having the device, from `at_ns` on; `at_ns`: it does not. What the client
 * wrote is read once: it may change under our eyes. */
static uint64_t owns_until(const struct rein_arbiter_client *c, uint64_t at_ns)
{
	if (!rein_client_working(c))
		return at_ns;
	if (!c->held)
		return UINT64_MAX;
	uint64_t end_ns = c->drain_left_ns ? drained_ns(c) : at_ns;
	return end_ns > at_ns ? end_ns : at_ns;
}

void rein_account_close(struct rein_arbiter_client *c, uint64_t now_ns)
{
	bool stops = c->mode >= REIN_HOLD_QUEUE; /* at its next point, one kernel away at most */
	uint64_t queue_ns = stops ? REIN_POINT_NS : c->policy.backlog_ns;
	bool leaves = c->mode == REIN_HOLD_CONTEXT; /* the kernel that runs as well */
	if (c->history.longest_ns > queue_ns && !leaves)
		queue_ns = c->history.longest_ns;
	c->closed_ns = now_ns;
	c->drain_left_ns = rein_load_relaxed(&c->status->drained_ns) ? queue_ns : 0;
}

void rein_account_harder(struct rein_arbiter_client *c)
{
	if (c->mode == REIN_HOLD_CONTEXT)
		c->drain_left_ns = rein_min_ns(c->drain_left_ns, REIN_POINT_NS);
}

static void buckets_advance(struct rein_arbiter_client *c, uint64_t index)
{
	if (index >= c->bucket_index + REIN_SHARE_BUCKETS)
		memset(c->bucket, 0, sizeof(c->bucket));
	else
		for (uint64_t i = c->bucket_index + 1; i <= index; i++)
			c->bucket[i % REIN_SHARE_BUCKETS] = 0;
	if (index > c->bucket_index)
		c->bucket_index = index;
}

/* Spreads (to - from) / parts over the buckets that the interval touches. */
static void buckets_add(struct rein_arbiter_client *c, uint64_t from_ns, uint64_t to_ns,
                        unsigned parts)
{
	const uint64_t window_ns = REIN_SHARE_BUCKETS * REIN_SHARE_BUCKET_NS;
	if (to_ns - from_ns > window_ns)
		from_ns = to_ns - window_ns;
	while (from_ns < to_ns) {
		uint64_t index = from_ns / REIN_SHARE_BUCKET_NS;
		uint64_t end_ns = (index + 1) * REIN_SHARE_BUCKET_NS;
		if (end_ns > to_ns)
			end_ns = to_ns;
		buckets_advance(c, index);
		if (index + REIN_SHARE_BUCKETS > c->bucket_index)
			c->bucket[index % REIN_SHARE_BUCKETS] += (end_ns - from_ns) / parts;
		from_ns = end_ns;
	}
}

static void charge(struct rein_arbiter *a, struct rein_arbiter_device *d,
                   struct rein_arbiter_client *c, uint64_t from_ns, uint64_t to_ns, unsigned owners)
{
	uint64_t part_ns = (to_ns - from_ns) / owners;
	if (c->held)
		c->drain_left_ns -= rein_min_ns(part_ns + 1, c->drain_left_ns);
	c->policy.used_ns += part_ns;
	if (c->tally)
		c->tally->used_ns[d->gpu] += part_ns;
	buckets_add(c, from_ns, to_ns, owners);
	if (a->policy->ops->charge) {
		a->policy->ops->charge(a->policy, &c->policy, to_ns, part_ns);
		d->dirty = a->dirty = true;
	}
}

/* Charges the time up to `to_ns`, or less: until the next of those that drain has done so. */
static uint64_t charge_piece(struct rein_arbiter *a, struct rein_arbiter_device *d,
                             uint64_t from_ns, uint64_t to_ns, bool whole)
{
	struct rein_arbiter_client *owner[REIN_CLIENTS_MAX];
	uint64_t end_ns = to_ns;
	unsigned owners = 0;
	for (unsigned i = 0; i < d->n; i++) {
		uint64_t until_ns = owns_until(d->client[i], from_ns);
		if (until_ns == from_ns)
			continue;
		owner[owners++] = d->client[i];
		end_ns = rein_min_ns(end_ns, until_ns);
	}
	for (unsigned i = 0; i < owners; i++)
		if (owner[i]->held)
			end_ns = rein_min_ns(end_ns, from_ns + owner[i]->drain_left_ns * owners);
	end_ns = whole ? to_ns : end_ns;
	for (unsigned i = 0; i < owners; i++)
		charge(a, d, owner[i], from_ns, end_ns, owners);
	return end_ns;
}

void rein_account_device(struct rein_arbiter *a, struct rein_arbiter_device *d, uint64_t now_ns)
{
	for (unsigned pieces = 1; d->charged_ns < now_ns; pieces++)
		d->charged_ns = charge_piece(a, d, d->charged_ns, now_ns, pieces == PIECES_MAX);
}

void rein_account_client(struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns)
{
	for (unsigned i = 0; i < c->slots; i++)
		if (c->slot[i].seen && c->slot[i].device >= 0)
			rein_account_device(a, a->device[c->slot[i].device], now_ns);
}

void rein_arbiter_account(struct rein_arbiter *a, uint64_t now_ns)
{
	for (unsigned i = 0; i < REIN_BOARD_DEVICES_MAX; i++)
		if (a->device[i])
			rein_account_device(a, a->device[i], now_ns);
}

double rein_arbiter_share(const struct rein_arbiter_client *c, uint64_t now_ns)
{
	uint64_t index = now_ns / REIN_SHARE_BUCKET_NS, sum_ns = 0;
	for (uint64_t i = 0; i < REIN_SHARE_BUCKETS; i++) {
		uint64_t at = c->bucket_index >= i ? c->bucket_index - i : 0;
		if (at + REIN_SHARE_BUCKETS > index)
			sum_ns += c->bucket[at % REIN_SHARE_BUCKETS];
		if (at == 0)
			break;
	}
	double devices = c->n_devices > 1 ? c->n_devices : 1;
	double share = (double)sum_ns / (devices * REIN_SHARE_BUCKETS * REIN_SHARE_BUCKET_NS);
	return share > 1 ? 1 : share;
}
