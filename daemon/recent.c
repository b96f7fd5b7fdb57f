// SPDX-License-Identifier: Apache-2.0
/*
 * recent.c: what happened to a client in the last seconds: how long its requests took, how much of
 * the time it waited at a closed gate, and for whose sake. The window is two halves: the newer one
 * fills, the older one is whole, so what is told covers the last 5 to 10 s. No allocation, and a
 * wait costs two changes of a demand word or of a gate.
 *
 * Waits are what the arbiter sees: from when a held client says that a thread of it waits until it
 * no longer does, or is no longer held. Several waiting threads are one wait. Of those for whose
 * sake it waited the REIN_RECENT_HOLDERS that took most are kept by the space-saving rule
 * (Metwally, Agrawal & El Abbadi, ICDT 2005): with more than that in turn, a time is at most what
 * is told.
 */
#include "arbiter_int.h"

#include <string.h>

/* The half that takes what happens now. */
static struct rein_recent_half *half_now(struct rein_recent *r, uint64_t now_ns)
{
	struct rein_recent_half *h = &r->half[r->newest];
	if (!h->begun_ns)
		h->begun_ns = now_ns;
	if (now_ns < h->begun_ns + REIN_RECENT_HALF_NS)
		return h;
	if (now_ns >= h->begun_ns + 2 * REIN_RECENT_HALF_NS)
		memset(h, 0, sizeof(*h));
	r->newest ^= 1;
	h = &r->half[r->newest];
	memset(h, 0, sizeof(*h));
	h->begun_ns = now_ns;
	return h;
}

static void blame(struct rein_recent_half *h, const struct rein_recent_holder *holder, uint64_t ns)
{
	struct rein_recent_holder *least = &h->by[0];
	for (unsigned i = 0; i < REIN_RECENT_HOLDERS; i++) {
		if (h->by[i].id == holder->id) {
			h->by[i].ns += ns;
			return;
		}
		if (h->by[i].ns < least->ns)
			least = &h->by[i];
	}
	ns += least->ns;
	*least = *holder;
	least->ns = ns;
}

/* Counts the wait that goes on, up to now. */
static void count(struct rein_recent *r, uint64_t now_ns)
{
	if (now_ns <= r->counted_ns)
		return;
	struct rein_recent_half *h = half_now(r, now_ns);
	h->wait_ns += now_ns - r->counted_ns;
	if (r->holder.id)
		blame(h, &r->holder, now_ns - r->counted_ns);
	r->counted_ns = now_ns;
}

static void wait_ends(struct rein_arbiter_client *c, uint64_t now_ns)
{
	struct rein_recent *r = &c->recent;
	if (c->tally && now_ns > r->wait_since_ns)
		rein_histogram_add(&c->tally->wait, now_ns - r->wait_since_ns);
	c->at_gate = false;
}

void rein_recent_wait(struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns)
{
	struct rein_recent *r = &c->recent;
	bool waits = c->held && c->demand & REIN_DEMAND_WAITING;
	if (!waits && !c->at_gate)
		return;
	if (c->at_gate) {
		if (waits && c->holder == r->holder.id)
			return;
		count(r, now_ns);
	}
	if (!waits) {
		wait_ends(c, now_ns);
		return;
	}
	if (!c->at_gate)
		r->wait_since_ns = r->counted_ns = now_ns;
	c->at_gate = true;
	/* its name now: it may be gone when the wait is over */
	const struct rein_arbiter_client *h = c->holder ? rein_arbiter_find(a, c->holder) : NULL;
	r->holder = (struct rein_recent_holder){.id = h ? c->holder : 0, .pid = h ? h->pid : 0};
	if (h)
		memcpy(r->holder.name, h->name, sizeof(r->holder.name));
}

void rein_recent_tick(struct rein_arbiter_client *c, uint64_t now_ns)
{
	if (c->at_gate)
		count(&c->recent, now_ns);
}

void rein_recent_response(struct rein_arbiter_client *c, uint64_t ns, uint64_t now_ns)
{
	rein_histogram_add(&half_now(&c->recent, now_ns)->response, ns);
}

/* Who held it most, of both halves. */
static void most_to_blame(const struct rein_recent *r, struct rein_recent_holder *out)
{
	memset(out, 0, sizeof(*out));
	for (unsigned i = 0; i < 2 * REIN_RECENT_HOLDERS; i++) {
		const struct rein_recent_holder *h =
		    &r->half[i / REIN_RECENT_HOLDERS].by[i % REIN_RECENT_HOLDERS];
		const struct rein_recent_half *other = &r->half[i < REIN_RECENT_HOLDERS];
		uint64_t ns = h->ns;
		for (unsigned k = 0; k < REIN_RECENT_HOLDERS; k++)
			ns += other->by[k].id == h->id ? other->by[k].ns : 0;
		if (!h->id || ns <= out->ns)
			continue;
		*out = *h;
		out->ns = ns;
	}
}

void rein_arbiter_recent(struct rein_arbiter_client *c, uint64_t now_ns,
                         struct rein_recent_figures *out)
{
	struct rein_recent *r = &c->recent;
	rein_recent_tick(c, now_ns);
	const struct rein_recent_half *new = half_now(r, now_ns), *old = &r->half[!r->newest];
	uint64_t since_ns = old->begun_ns ? old->begun_ns : new->begun_ns;
	struct rein_histogram both = new->response;
	rein_histogram_merge(&both, &old->response);
	memset(out, 0, sizeof(*out));
	out->window_ns = now_ns - since_ns;
	out->wait_ns = rein_min_ns(new->wait_ns + old->wait_ns, out->window_ns);
	out->requests = both.total;
	out->response_p99_ns = rein_histogram_quantile(&both, 990);
	most_to_blame(r, &out->culprit);
}
