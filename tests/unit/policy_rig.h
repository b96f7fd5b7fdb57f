// SPDX-License-Identifier: Apache-2.0
/*
 * policy_rig.h: a policy on a virtual device, for unit tests. The device runs one kernel at a time,
 * of clients that are active and not held, in turn; a kernel that has begun goes on when its
 * client's gate closes. Charges are exact. Decisions are made when a request begins or ends, when
 * the policy asked for one and every 100 ms, not between kernels, and each is checked against the
 * contract (policy.h). Much smaller than the simulator (policy/sim), and independent of it.
 */
#ifndef REIN_TESTS_POLICY_RIG_H
#define REIN_TESTS_POLICY_RIG_H

#include <string.h>

#include "policy/policies.h"
#include "tests/harness.h"

/* For hot loops: each ck_assert that holds costs a system call. */
#define CHECK(x)                                                                                   \
	do {                                                                                       \
		if (!(x))                                                                          \
			ck_abort_msg("%s", #x);                                                    \
	} while (0)

#define RIG_CLIENTS 80
#define RIG_MS 1000000ull
#define RIG_S 1000000000ull
#define RIG_ENDLESS (1ull << 62)
#define RIG_TICK_NS (100 * RIG_MS)

struct rig_client {
	struct rein_policy_client c;
	/* its work: requests of `cost_ns` every `every_ns` from `first_ns` on, or, with every_ns 0,
	 * each one `pause_ns` after the end of the one before; in kernels of `kernel_ns` */
	uint64_t cost_ns, every_ns, first_ns, pause_ns, kernel_ns;
	uint64_t stop_ns; /* no request after that; 0: never stops */
	bool random;      /* cost and pause are anything up to those */
	/* its state */
	uint64_t release_ns; /* of the current or next request */
	uint64_t left_ns;
	struct rein_policy_verdict v;
	/* what came of it */
	uint64_t service_ns, done, missed, response_ns, response_max_ns;
};

struct policy_rig {
	struct rein_policy *p;
	struct rein_policy_params params;
	unsigned n;
	struct rig_client client[RIG_CLIENTS];
	uint64_t now_ns, decide_ns, tick_ns, kernel_end_ns, decisions;
	int running; /* -1: idle */
	bool dirty;  /* a request began or ended */
	unsigned turn;
	uint64_t idle_ns; /* device idle although somebody had work */
	bool hard;        /* budgets may leave it idle */
	/* called for each stretch of service, if set */
	void (*served)(void *arg, unsigned client, uint64_t from_ns, uint64_t to_ns);
	void *arg;
};

static uint64_t rig_seed = 0x9e3779b97f4a7c15ull;

static inline uint64_t rig_random(uint64_t limit)
{
	rig_seed ^= rig_seed << 13;
	rig_seed ^= rig_seed >> 7;
	rig_seed ^= rig_seed << 17;
	return (rig_seed >> 11) % limit;
}

/* What policy.h promises of any decision; `hard`: budgets may hold somebody for nobody's sake. */
static inline void check_contract(struct rein_policy_client *const *c,
                                  const struct rein_policy_verdict *v, unsigned n, bool hard)
{
	bool any_active = false, any_runs = false, any_blameless = false;
	for (unsigned i = 0; i < n; i++) {
		any_active |= c[i]->active;
		any_runs |= c[i]->active && !v[i].hold;
		any_blameless |= v[i].hold && !v[i].holder;
		CHECK(!v[i].hold || !c[i]->exempt);
		CHECK(v[i].hold || !v[i].holder);
		if (!v[i].hold || (hard && !v[i].holder && c[i]->budget_hard))
			continue;
		unsigned h = 0;
		while (h < n && c[h]->id != v[i].holder)
			h++;
		CHECK(h < n);
		CHECK(h != i && c[h]->active && !v[h].hold);
		CHECK(v[i].metered);
	}
	CHECK(any_runs == any_active || (hard && any_blameless));
}

static inline void rig_start_ops(struct policy_rig *r, const struct rein_policy_ops *ops)
{
	ck_assert_ptr_nonnull(ops);
	r->p = ops->init(&r->params);
	ck_assert_ptr_nonnull(r->p);
	r->running = -1;
	r->now_ns = r->now_ns ? r->now_ns : 1000;
}

static inline void rig_start(struct policy_rig *r, const char *policy)
{
	rig_start_ops(r, rein_policy_find(policy));
}

/* The client's work and parameters are in *spec; its id is its index + 1 unless set. */
static inline struct rig_client *rig_add(struct policy_rig *r, const struct rig_client *spec)
{
	struct rig_client *k = &r->client[r->n++];
	ck_assert_uint_le(r->n, RIG_CLIENTS);
	*k = *spec;
	k->c.id = k->c.id ? k->c.id : r->n;
	k->c.job = k->c.id;
	k->c.weight = k->c.weight ? k->c.weight : REIN_POLICY_WEIGHT;
	k->kernel_ns = k->kernel_ns ? k->kernel_ns : RIG_MS / 2;
	k->release_ns = k->first_ns > r->now_ns ? k->first_ns : r->now_ns;
	if (r->p->ops->join)
		ck_assert_int_eq(r->p->ops->join(r->p, &k->c, r->now_ns), 0);
	return k;
}

static inline void rig_end(struct policy_rig *r)
{
	for (unsigned i = 0; i < r->n; i++)
		if (r->p->ops->leave)
			r->p->ops->leave(r->p, &r->client[i].c, r->now_ns);
	r->p->ops->fini(r->p);
	memset(r, 0, sizeof(*r));
}

static inline void rig_decide(struct policy_rig *r)
{
	struct rein_policy_client *list[RIG_CLIENTS];
	struct rein_policy_verdict v[RIG_CLIENTS] = {0};
	for (unsigned i = 0; i < r->n; i++)
		list[i] = &r->client[i].c;
	r->decide_ns = r->p->ops->decide(r->p, list, v, r->n, r->now_ns);
	CHECK(r->decide_ns > r->now_ns);
	check_contract(list, v, r->n, r->hard);
	for (unsigned i = 0; i < r->n; i++) {
		r->client[i].v = v[i];
		r->client[i].c.held = v[i].hold;
	}
	r->dirty = false;
	r->tick_ns = r->now_ns + RIG_TICK_NS;
	r->decisions++;
}

static inline void rig_begin(struct policy_rig *r, struct rig_client *k)
{
	k->c.active = true;
	k->c.active_since_ns = r->now_ns;
	k->c.release_ns = k->every_ns ? k->release_ns : r->now_ns;
	k->c.due_ns = k->c.deadline_ns ? k->c.release_ns + k->c.deadline_ns : 0;
	r->dirty = true;
	k->left_ns = k->random ? 1 + rig_random(k->cost_ns) : k->cost_ns;
	if (r->p->ops->ready)
		r->p->ops->ready(r->p, &k->c, r->now_ns);
}

static inline void rig_finish(struct policy_rig *r, struct rig_client *k)
{
	r->dirty = true;
	k->c.active = false;
	k->response_ns = r->now_ns - k->c.release_ns;
	if (k->response_ns > k->response_max_ns)
		k->response_max_ns = k->response_ns;
	k->done++;
	k->missed += k->c.due_ns && r->now_ns > k->c.due_ns;
	uint64_t pause_ns = k->random ? rig_random(k->pause_ns + 1) : k->pause_ns;
	k->release_ns = k->every_ns ? k->release_ns + k->every_ns : r->now_ns + pause_ns;
	if (k->stop_ns && k->release_ns > k->stop_ns)
		k->release_ns = UINT64_MAX;
	if (r->p->ops->idle)
		r->p->ops->idle(r->p, &k->c, r->now_ns);
}

/* Charges the running kernel up to now; ends it, and its client's request, if it is done. */
static inline void rig_advance(struct policy_rig *r, uint64_t to_ns)
{
	uint64_t from_ns = r->now_ns, ns = to_ns - from_ns;
	r->now_ns = to_ns;
	if (r->running < 0) {
		for (unsigned i = 0; i < r->n; i++)
			if (r->client[i].c.active) {
				r->idle_ns += ns;
				break;
			}
		return;
	}
	struct rig_client *k = &r->client[r->running];
	k->left_ns -= ns;
	k->service_ns += ns;
	k->c.used_ns += ns;
	if (ns && r->served)
		r->served(r->arg, (unsigned)r->running, from_ns, to_ns);
	if (ns && r->p->ops->charge)
		r->p->ops->charge(r->p, &k->c, to_ns, ns);
	if (to_ns < r->kernel_end_ns)
		return;
	r->running = -1;
	if (!k->left_ns)
		rig_finish(r, k);
}

static inline void rig_launch(struct policy_rig *r)
{
	for (unsigned i = 0; r->running < 0 && i < r->n; i++) {
		unsigned at = (r->turn + i) % r->n;
		struct rig_client *k = &r->client[at];
		if (!k->c.active || k->v.hold)
			continue;
		r->running = (int)at;
		r->turn = at + 1;
		r->kernel_end_ns =
		    r->now_ns + (k->kernel_ns < k->left_ns ? k->kernel_ns : k->left_ns);
	}
}

static inline void rig_run(struct policy_rig *r, uint64_t until_ns)
{
	rig_decide(r);
	rig_launch(r);
	while (r->now_ns < until_ns) {
		uint64_t to_ns = r->decide_ns < until_ns ? r->decide_ns : until_ns;
		to_ns = r->tick_ns < to_ns ? r->tick_ns : to_ns;
		if (r->running >= 0 && r->kernel_end_ns < to_ns)
			to_ns = r->kernel_end_ns;
		for (unsigned i = 0; i < r->n; i++)
			if (!r->client[i].c.active && r->client[i].release_ns < to_ns)
				to_ns = r->client[i].release_ns;
		rig_advance(r, to_ns > r->now_ns ? to_ns : r->now_ns);
		for (unsigned i = 0; i < r->n; i++)
			if (!r->client[i].c.active && r->client[i].release_ns <= r->now_ns)
				rig_begin(r, &r->client[i]);
		if (r->dirty || r->decide_ns <= r->now_ns || r->tick_ns <= r->now_ns)
			rig_decide(r);
		rig_launch(r);
	}
}

#endif
