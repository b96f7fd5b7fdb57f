// SPDX-License-Identifier: Apache-2.0
/*
 * account.c: who had the GPU, as far as demand words and gates tell. A client that was alone
 * active with an open gate is charged the whole time; several are charged equal parts, which is
 * an estimate. A declared request (include/rein.h) is charged from its begin to its end, gaps
 * included: others were held for all of it. "The last second" is a ring of 100 ms buckets.
 */
#include "arbiter_int.h"

#include <string.h>

static bool owns(const struct rein_arbiter_client *c)
{
	return rein_client_working(c) && !c->held;
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

void rein_account_device(struct rein_arbiter *a, struct rein_arbiter_device *d, uint64_t now_ns)
{
	if (now_ns <= d->charged_ns)
		return;
	uint64_t from_ns = d->charged_ns;
	d->charged_ns = now_ns;
	unsigned owners = 0;
	for (unsigned i = 0; i < d->n; i++)
		owners += owns(d->client[i]);
	for (unsigned i = 0; owners && i < d->n; i++) {
		struct rein_arbiter_client *c = d->client[i];
		if (!owns(c))
			continue;
		uint64_t part_ns = (now_ns - from_ns) / owners;
		c->policy.used_ns += part_ns;
		buckets_add(c, from_ns, now_ns, owners);
		if (a->policy->ops->charge) {
			a->policy->ops->charge(a->policy, &c->policy, now_ns, part_ns);
			d->dirty = a->dirty = true;
		}
	}
}

void rein_account_client(struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns)
{
	for (unsigned i = 0; i < REIN_DEVICES_MAX; i++)
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
