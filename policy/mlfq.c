// SPDX-License-Identifier: Apache-2.0
/*
 * mlfq.c: a multi-level feedback queue. Clients of which nobody said anything sort themselves by
 * what they ask for: those with short requests get in front of those that never stop.
 *
 * Suits: undeclared clients: notebooks, services and training on one GPU, none of them configured.
 * Fails: promises (there are none); a program that needs more than its share of the device and has
 * to be fast: give it a priority. Priorities and deadlines are ignored here. One at a time, as
 * `fair`, so gaps between kernels stay idle.
 *
 * Model. Each client has a *debt*: GPU time charged to it, paid off at three quarters of its fair
 * share (by weight, among those that had a request in the last second), whether it runs, waits or
 * sleeps. The debt says its level, of four: below half a quantum, two, eight quanta, and above. So
 * who takes less than that rate is on the top level, except in the middle of a long request, which
 * sinks as it goes on. The highest level with an active client runs, its clients by turns (turn.h);
 * all others are held. On the lowest level that is fair shares. The debt is at most sixteen quanta,
 * and every boost_ns (default 5 s) all debts are forgiven, so nobody is judged by long ago.
 *
 * Gaming. The debt belongs to the client, not to its stay on a level: to yield just before a
 * level's allotment ends changes nothing, and over any time a client gets on the upper levels no
 * more than three quarters of its fair share plus eight quanta. Who waits pays off its debt and so
 * rises: the lowest level cannot starve.
 *
 * A client without a request is held unless it would run at once; metered is whoever is not alone
 * on the device.
 *
 * Source: Corbató, Merwin-Daggett & Daley, "An experimental time-sharing system", AFIPS 1962; the
 * rules on gaming and boosts as in Arpaci-Dusseau & Arpaci-Dusseau, "Operating Systems: Three Easy
 * Pieces", chapter 8; allotments here are a leaky bucket in place of a count that starts anew.
 */
#include "policies.h"
#include "turn.h"

#include <errno.h>

#define BOOST_NS 5000000000ull
#define RECENT_NS 1000000000ull /* so long a client counts in the shares of the others */
#define STEP_NS 500000ull       /* least time between two looks at a debt that grows */
#define LEVELS 4
#define DEBT_QUANTA 16

struct mlfq {
	struct rein_policy base;
	uint64_t quantum_ns, boost_ns;
	uint64_t limit_ns[LEVELS - 1]; /* debts from which on a client is on the next level */
};

struct mlfq_client {
	struct rein_turn turn; /* first, for turn.c */
	uint64_t debt_ns;
	uint64_t paid_ns;   /* time up to which it has been paid off */
	uint64_t wanted_ns; /* when it last had a request; 0: never */
	uint64_t boosts;    /* how many it has seen */
	unsigned level;     /* 0 is the highest */
};

static struct rein_policy *mlfq_init(const struct rein_policy_params *params)
{
	struct mlfq *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->base.ops = &rein_policy_mlfq;
	p->quantum_ns = params && params->quantum_ns ? params->quantum_ns : REIN_TURN_QUANTUM_NS;
	if (p->quantum_ns > REIN_TURN_QUANTUM_MAX_NS)
		p->quantum_ns = REIN_TURN_QUANTUM_MAX_NS;
	p->boost_ns = params && params->boost_ns ? params->boost_ns : BOOST_NS;
	p->limit_ns[0] = p->quantum_ns / 2;
	p->limit_ns[1] = p->quantum_ns * 2;
	p->limit_ns[2] = p->quantum_ns * 8;
	return &p->base;
}

static void mlfq_fini(struct rein_policy *base)
{
	free(base);
}

static int mlfq_join(struct rein_policy *base, struct rein_policy_client *c, uint64_t now_ns)
{
	const struct mlfq *p = (const struct mlfq *)base;
	struct mlfq_client *m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	rein_turn_join(&m->turn, now_ns);
	m->paid_ns = now_ns;
	m->boosts = now_ns / p->boost_ns;
	c->priv = m;
	return 0;
}

static void mlfq_leave(struct rein_policy *base, struct rein_policy_client *c, uint64_t now_ns)
{
	free(c->priv);
	c->priv = NULL;
}

static void mlfq_ready(struct rein_policy *base, struct rein_policy_client *c, uint64_t now_ns)
{
	struct mlfq_client *m = c->priv;
	rein_turn_ready(&m->turn, now_ns);
}

static void mlfq_idle(struct rein_policy *base, struct rein_policy_client *c, uint64_t now_ns)
{
	struct mlfq_client *m = c->priv;
	rein_turn_idle(&m->turn);
	m->wanted_ns = now_ns;
}

static void mlfq_charge(struct rein_policy *base, struct rein_policy_client *c, uint64_t now_ns,
                        uint64_t ns)
{
	const struct mlfq *p = (const struct mlfq *)base;
	struct mlfq_client *m = c->priv;
	uint64_t most_ns = DEBT_QUANTA * p->quantum_ns;
	rein_turn_charge(&m->turn, c, now_ns, ns);
	m->debt_ns = rein_policy_add(m->debt_ns, ns);
	m->debt_ns = m->debt_ns < most_ns ? m->debt_ns : most_ns;
}

/* ---------------------------------------------------------------- levels */

static uint64_t weight(const struct rein_policy_client *c)
{
	return c->weight ? c->weight : REIN_POLICY_WEIGHT;
}

static bool counts(const struct rein_policy_client *c, uint64_t now_ns)
{
	const struct mlfq_client *m = c->priv;
	return c->active || (m->wanted_ns && now_ns - m->wanted_ns < RECENT_NS);
}

/* `weights`: of all that count; `boosts`: how many there have been. */
static void pay(const struct mlfq *p, struct rein_policy_client *c, uint64_t weights,
                uint64_t boosts, uint64_t now_ns)
{
	struct mlfq_client *m = c->priv;
	uint64_t since_ns = now_ns - m->paid_ns, most_ns = UINT64_MAX >> 18;
	if (!counts(c, now_ns))
		weights += weight(c);
	since_ns = since_ns < most_ns ? since_ns : most_ns;
	uint64_t part_ns = since_ns * 3 * weight(c) / (4 * weights);
	m->debt_ns -= part_ns < m->debt_ns ? part_ns : m->debt_ns;
	m->paid_ns = now_ns;
	if (m->boosts != boosts)
		m->debt_ns = 0;
	m->boosts = boosts;
	m->level = 0;
	while (m->level < LEVELS - 1 && m->debt_ns >= p->limit_ns[m->level])
		m->level++;
}

/* The highest level with an active client; LEVELS if there is none. */
static unsigned find_level(const struct mlfq *p, struct rein_policy_client *const *c, unsigned n,
                           uint64_t now_ns)
{
	uint64_t weights = 0, boosts = now_ns / p->boost_ns;
	unsigned top = LEVELS;
	for (unsigned i = 0; i < n; i++)
		weights += counts(c[i], now_ns) ? weight(c[i]) : 0;
	for (unsigned i = 0; i < n; i++) {
		pay(p, c[i], weights, boosts, now_ns);
		const struct mlfq_client *m = c[i]->priv;
		top = c[i]->active && m->level < top ? m->level : top;
	}
	return top;
}

/* When the running client's debt may have brought it to the next level. */
static uint64_t sinks_ns(const struct mlfq *p, const struct mlfq_client *m, uint64_t now_ns)
{
	if (m->level == LEVELS - 1)
		return UINT64_MAX;
	uint64_t room_ns = p->limit_ns[m->level] - m->debt_ns;
	return rein_policy_add(now_ns, room_ns > STEP_NS ? room_ns : STEP_NS);
}

static uint64_t mlfq_decide(struct rein_policy *base, struct rein_policy_client *const *c,
                            struct rein_policy_verdict *v, unsigned n, uint64_t now_ns)
{
	const struct mlfq *p = (const struct mlfq *)base;
	uint64_t next = UINT64_MAX;
	unsigned top = find_level(p, c, n, now_ns), active = 0;
	for (unsigned i = 0; i < n; i++) {
		struct mlfq_client *m = c[i]->priv;
		m->turn.shares = true;
		m->turn.in = c[i]->active && m->level == top;
		active += c[i]->active;
	}
	unsigned w = rein_turn_pick(c, n, p->quantum_ns, now_ns, &next);
	for (unsigned i = 0; i < n; i++) {
		const struct mlfq_client *m = c[i]->priv;
		bool would_run = !c[i]->active && m->level < top;
		v[i].metered = n > 1;
		v[i].hold = w < n && i != w && !would_run && !c[i]->exempt;
		v[i].holder = v[i].hold ? c[w]->id : 0;
	}
	if (active > 1) {
		rein_policy_sooner(&next, sinks_ns(p, c[w]->priv, now_ns));
		rein_policy_sooner(&next, (now_ns / p->boost_ns + 1) * p->boost_ns);
	}
	return next;
}

const struct rein_policy_ops rein_policy_mlfq = {
    .name = "mlfq",
    .summary = "short requests before long ones, without being told; promises nothing",
    .init = mlfq_init,
    .fini = mlfq_fini,
    .join = mlfq_join,
    .leave = mlfq_leave,
    .ready = mlfq_ready,
    .idle = mlfq_idle,
    .charge = mlfq_charge,
    .decide = mlfq_decide,
};
