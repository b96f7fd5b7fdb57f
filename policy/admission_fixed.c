// SPDX-License-Identifier: Apache-2.0
/*
 * admission_fixed.c: response times under fixed priorities.
 *
 * Task i waits for: the remainders of all that is less urgent, once (they are in the GPU's queues
 * when its busy period begins, and no further ones come, because whoever is active closes all less
 * urgent gates); every request of a task at least as urgent that arrives meanwhile; its own earlier
 * requests. Equals are served in whatever order the driver likes, so each counts as more urgent
 * than the other. With B for the remainders, o_j for what a request of j takes from others:
 *
 *     w(q) = B + ρ + (q+1)·C_i + Σ_{j at least as urgent} ⌈w(q)/T_j⌉·o_j
 *     R_i  = max over q of w(q) − q·T_i,   q = 0, 1, … until w(q) ≤ (q+1)·T_i
 *
 * The device works on one of these from the begin of the busy period to w(q) and by then it has
 * done all of them, so no order among them can end the request later: that is all that the
 * argument needs, and why it also holds on a device that takes its queues in turns. Exact for
 * B = ρ = 0, distinct priorities and independent phases (Joseph & Pandya 1986; deadlines beyond
 * the period, Lehoczky, RTSS 1990).
 */
#include "admission_int.h"

/* When the q-th request of a busy period ends, after its begin; load[0…end) are at least as urgent
 * as load[i], which is one of them. */
static uint64_t finish(struct rein_scene *s, const struct rein_load *load, unsigned end, unsigned i,
                       uint64_t blocked, uint64_t q, uint64_t w)
{
	uint64_t own = ns_add(blocked, ns_mul(q + 1, load[i].cost));
	for (;;) {
		if (!rein_scene_visit(s, end))
			return NS_UNBOUNDED;
		uint64_t next = ns_add(own, rein_scene_ahead(s, w));
		for (unsigned j = 0; j < end; j++)
			if (j != i)
				next = ns_add(
				    next, ns_mul(ns_periods(w, load[j].period), load[j].occupancy));
		if (next > REIN_ADMISSION_TIME_MAX_NS)
			return NS_UNBOUNDED;
		if (next <= w)
			return w;
		w = next;
	}
}

static uint64_t respond(struct rein_scene *s, const struct rein_load *load, unsigned end,
                        unsigned i, uint64_t blocked)
{
	uint64_t longest = 0, w = 1;
	for (uint64_t q = 0;; q++) {
		w = finish(s, load, end, i, blocked, q, w);
		if (w == NS_UNBOUNDED)
			return NS_UNBOUNDED;
		longest = ns_max(longest, w - q * load[i].period);
		if (w - q * load[i].period <= load[i].period)
			return longest;
	}
}

/* More than the whole device for certain? Then there is no fixed point to look for. */
static bool overloaded(const struct rein_scene *s, const struct rein_load *load, unsigned end,
                       unsigned i)
{
	uint64_t rate, burst;
	rein_scene_ahead_rate(s, &rate, &burst);
	for (unsigned j = 0; j < end; j++)
		rate = ns_add(rate,
		              ns_rate(j == i ? load[j].cost : load[j].occupancy, load[j].period));
	return rate > NS_RATE_ONE + REIN_POLICY_TASKS_MAX + end; /* each was rounded up */
}

void rein_scene_fixed(struct rein_scene *s, const struct rein_load *load, unsigned n,
                      uint64_t *response)
{
	uint64_t blocked = ns_add(s->below, s->reaction), pool = s->visits;
	for (unsigned i = 0; i < n; i++)
		blocked = ns_add(blocked, load[i].block);
	bool unbounded = false; /* somebody at least as urgent declares no timing */
	for (unsigned i = 0, end; i < n; i = end) {
		for (end = i; end < n && load[end].prio == load[i].prio; end++) {
			unbounded |= !load[end].timed;
			blocked -= blocked == NS_UNBOUNDED ? 0 : load[end].block;
		}
		for (unsigned k = i; k < end; k++) {
			if (!load[k].timed || unbounded || overloaded(s, load, end, k))
				continue;
			s->visits = pool / (n - k); /* a hard task must not starve the rest */
			pool -= s->visits;
			response[load[k].index] = respond(s, load, end, k, blocked);
			pool += s->visits;
		}
	}
	s->visits = pool;
}
