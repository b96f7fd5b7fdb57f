// SPDX-License-Identifier: Apache-2.0
/*
 * peers.c: baselines.
 *
 * rr      One active client at a time, `quantum_ns` each (default 2 s), no backlog control.
 * nvshare's scheme (github.com/grgalex/nvshare: an exclusive lock with a quantum of 30 s), with a
 *         quantum that shows something in a short run.
 * hpf     The most urgent active clients run, all others are suspended, and nobody keeps a queue
 *         short: XSched's highest-priority-first at its level 1 with an unbounded queue (Shen et
 *         al., "XSched: Preemptive Scheduling for Diverse XPUs", OSDI 2025).
 * tokens  Each client may use its part of the device, by weight among all that are registered.
 *         A feedback every 120 ms compares what it used with its part and grants or takes tokens;
 *         launches take tokens, and who has none waits: not work-conserving. HAMi-core's limiter
 * (github.com/Project-HAMi/ HAMi-core, src/multiprocess/multiprocess_utilization_watcher.c), whose
 * loop sleeps 120 ms. srpt    The active client with the least left of its request runs;
 * `budget_ns` is what a request takes, known beforehand (no real scheduler knows it); who has none
 * comes last. Optimal for the mean response on one preemptive machine (Schrage, Operations Research
 * 16(3), 1968). Queues are kept short as for prio.
 */
#include "peers.h"

#include <errno.h>
#include <string.h>

#include "../../common/clock.h"

struct peer {
	struct rein_policy base;
	uint64_t quantum_ns;
	/* rr */
	uint32_t turn; /* client id; 0: nobody's */
	uint64_t turn_ends_ns;
	/* tokens */
	uint64_t refill_ns;
};

struct peer_client { /* rein_policy_client.priv */
	int64_t tokens_ns;
	uint64_t used_ns; /* since the last feedback; srpt: in this request */
};

static struct rein_policy *peer_new(const struct rein_policy_ops *ops,
                                    const struct rein_policy_params *params)
{
	struct peer *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->base.ops = ops;
	p->quantum_ns = params && params->quantum_ns ? params->quantum_ns : 2 * REIN_S;
	return &p->base;
}

static void peer_fini(struct rein_policy *p)
{
	free(p);
}

static int peer_join(struct rein_policy *p, struct rein_policy_client *c, uint64_t now_ns)
{
	c->priv = calloc(1, sizeof(struct peer_client));
	return c->priv ? 0 : -ENOMEM;
}

static void peer_leave(struct rein_policy *p, struct rein_policy_client *c, uint64_t now_ns)
{
	free(c->priv);
	c->priv = NULL;
}

static void peer_charge(struct rein_policy *p, struct rein_policy_client *c, uint64_t now_ns,
                        uint64_t ns)
{
	struct peer_client *pc = c->priv;
	pc->used_ns += ns;
}

/* Only client `index` runs, the others are held for it; with n: nobody is held. */
static void hold_others(struct rein_policy_client *const *c, struct rein_policy_verdict *v,
                        unsigned n, unsigned index)
{
	for (unsigned i = 0; i < n && index < n; i++) {
		v[i].hold = i != index && !c[i]->exempt;
		v[i].holder = v[i].hold ? c[index]->id : 0;
	}
}

/* ---------------------------------------------------------------- rr */

static struct rein_policy *rr_init(const struct rein_policy_params *params)
{
	return peer_new(&rein_peer_rr, params);
}

/* The active client with the next higher id, around. */
static unsigned rr_next(struct rein_policy_client *const *c, unsigned n, uint32_t after)
{
	unsigned best = n;
	for (unsigned i = 0; i < n; i++)
		if (c[i]->active && (best == n || c[i]->id - after - 1 < c[best]->id - after - 1))
			best = i;
	return best;
}

static uint64_t rr_decide(struct rein_policy *base, struct rein_policy_client *const *c,
                          struct rein_policy_verdict *v, unsigned n, uint64_t now_ns)
{
	struct peer *p = (struct peer *)base;
	unsigned owner = n;
	for (unsigned i = 0; i < n; i++)
		if (c[i]->id == p->turn && c[i]->active && now_ns < p->turn_ends_ns)
			owner = i;
	if (owner == n) {
		owner = rr_next(c, n, p->turn);
		if (owner == n)
			return UINT64_MAX;
		p->turn = c[owner]->id;
		p->turn_ends_ns = now_ns + p->quantum_ns;
	}
	hold_others(c, v, n, owner);
	return p->turn_ends_ns;
}

const struct rein_policy_ops rein_peer_rr = {
    .name = "rr",
    .summary = "peer: one client at a time, in turns of `quantum`",
    .init = rr_init,
    .fini = peer_fini,
    .decide = rr_decide,
};

/* ---------------------------------------------------------------- hpf */

static struct rein_policy *hpf_init(const struct rein_policy_params *params)
{
	return peer_new(&rein_peer_hpf, params);
}

static uint64_t hpf_decide(struct rein_policy *base, struct rein_policy_client *const *c,
                           struct rein_policy_verdict *v, unsigned n, uint64_t now_ns)
{
	unsigned top = n;
	for (unsigned i = 0; i < n; i++)
		if (c[i]->active && (top == n || c[i]->prio > c[top]->prio))
			top = i;
	for (unsigned i = 0; i < n && top < n; i++) {
		v[i].hold = c[i]->prio < c[top]->prio && !c[i]->exempt;
		v[i].holder = v[i].hold ? c[top]->id : 0;
	}
	return UINT64_MAX;
}

const struct rein_policy_ops rein_peer_hpf = {
    .name = "hpf",
    .summary = "peer: highest priority first, nobody keeps its queue short",
    .init = hpf_init,
    .fini = peer_fini,
    .decide = hpf_decide,
};

/* ---------------------------------------------------------------- tokens */

#define TOKENS_EVERY_NS (120 * REIN_MS)

static struct rein_policy *tokens_init(const struct rein_policy_params *params)
{
	return peer_new(&rein_peer_tokens, params);
}

static int tokens_join(struct rein_policy *p, struct rein_policy_client *c, uint64_t now_ns)
{
	int err = peer_join(p, c, now_ns);
	if (!err)
		((struct peer_client *)c->priv)->tokens_ns = TOKENS_EVERY_NS;
	return err;
}

/* What was used is taken, the part of the period is given; nobody saves up more than a period. */
static void tokens_feedback(struct rein_policy_client *const *c, unsigned n)
{
	uint64_t weights = 0;
	for (unsigned i = 0; i < n; i++)
		weights += c[i]->weight ? c[i]->weight : REIN_POLICY_WEIGHT;
	for (unsigned i = 0; i < n; i++) {
		struct peer_client *pc = c[i]->priv;
		uint64_t weight = c[i]->weight ? c[i]->weight : REIN_POLICY_WEIGHT;
		int64_t part_ns = (int64_t)(TOKENS_EVERY_NS * weight / weights);
		pc->tokens_ns += part_ns - (int64_t)pc->used_ns;
		if (pc->tokens_ns > part_ns)
			pc->tokens_ns = part_ns;
		pc->used_ns = 0;
	}
}

static uint64_t tokens_decide(struct rein_policy *base, struct rein_policy_client *const *c,
                              struct rein_policy_verdict *v, unsigned n, uint64_t now_ns)
{
	struct peer *p = (struct peer *)base;
	if (now_ns >= p->refill_ns) {
		tokens_feedback(c, n);
		p->refill_ns = now_ns + TOKENS_EVERY_NS;
	}
	for (unsigned i = 0; i < n; i++) {
		const struct peer_client *pc = c[i]->priv;
		v[i].hold = pc->tokens_ns <= 0 && !c[i]->exempt;
		/* a launch takes its tokens when it is made */
		v[i].metered = true;
		v[i].backlog_ns = pc->tokens_ns > 0 ? (uint64_t)pc->tokens_ns : 0;
		v[i].backlog_launches = UINT32_MAX;
	}
	return p->refill_ns;
}

const struct rein_policy_ops rein_peer_tokens = {
    .name = "tokens",
    .summary = "peer: parts by weight, enforced by tokens every 120 ms",
    .init = tokens_init,
    .fini = peer_fini,
    .join = tokens_join,
    .leave = peer_leave,
    .charge = peer_charge,
    .decide = tokens_decide,
};

/* ---------------------------------------------------------------- srpt */

static struct rein_policy *srpt_init(const struct rein_policy_params *params)
{
	return peer_new(&rein_peer_srpt, params);
}

static void srpt_ready(struct rein_policy *p, struct rein_policy_client *c, uint64_t now_ns)
{
	((struct peer_client *)c->priv)->used_ns = 0;
}

static uint64_t srpt_left(const struct rein_policy_client *c)
{
	const struct peer_client *pc = c->priv;
	if (!c->budget_ns)
		return UINT64_MAX;
	return c->budget_ns > pc->used_ns ? c->budget_ns - pc->used_ns : 0;
}

static uint64_t srpt_decide(struct rein_policy *base, struct rein_policy_client *const *c,
                            struct rein_policy_verdict *v, unsigned n, uint64_t now_ns)
{
	unsigned shortest = n;
	bool any = false;
	for (unsigned i = 0; i < n; i++) {
		any |= c[i]->budget_ns > 0;
		if (c[i]->active && (shortest == n || srpt_left(c[i]) < srpt_left(c[shortest])))
			shortest = i;
	}
	for (unsigned i = 0; i < n; i++)
		v[i].metered = any && n > 1;
	if (shortest < n && c[shortest]->budget_ns)
		hold_others(c, v, n, shortest);
	return UINT64_MAX;
}

const struct rein_policy_ops rein_peer_srpt = {
    .name = "srpt",
    .summary = "peer: the least remaining time first, known beforehand",
    .init = srpt_init,
    .fini = peer_fini,
    .join = peer_join,
    .leave = peer_leave,
    .ready = srpt_ready,
    .charge = peer_charge,
    .decide = srpt_decide,
};

/* ---------------------------------------------------------------- the table */

const struct rein_policy_ops *const rein_peers[] = {
    &rein_peer_rr, &rein_peer_hpf, &rein_peer_tokens, &rein_peer_srpt, NULL,
};

const struct rein_policy_ops *rein_peer_find(const char *name)
{
	const struct rein_policy_ops *ops = rein_policy_find(name);
	for (unsigned i = 0; !ops && rein_peers[i]; i++)
		if (strcmp(rein_peers[i]->name, name) == 0)
			ops = rein_peers[i];
	return ops;
}
