// SPDX-License-Identifier: Apache-2.0
/*
 * lottery.c: the example of docs/writing-a-policy.md. Every quantum one of the active clients is
 * drawn, each with as many tickets as its weight; the others are held.
 *
 * Suits: showing how little a policy is.
 * Fails: short windows: over k quanta a share is off by about √(share/k).
 *
 * Source: Waldspurger & Weihl, "Lottery scheduling", OSDI 1994.
 */
#include "lottery.h"

#define QUANTUM_NS 8000000ull

struct lottery {
	struct rein_policy base; /* first: what the arbiter holds */
	uint64_t quantum_ns;
};

static struct rein_policy *lottery_init(const struct rein_policy_params *params)
{
	struct lottery *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->base.ops = &rein_policy_lottery;
	p->quantum_ns = params && params->quantum_ns ? params->quantum_ns : QUANTUM_NS;
	return &p->base;
}

static void lottery_fini(struct rein_policy *base)
{
	free(base);
}

/* The same number for the same quantum (SplitMix64): whoever asks again gets the same answer. */
static uint64_t draw(uint64_t x)
{
	x = (x + 1) * 0x9e3779b97f4a7c15ull;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static uint64_t lottery_decide(struct rein_policy *base, struct rein_policy_client *const *c,
                               struct rein_policy_verdict *v, unsigned n, uint64_t now_ns)
{
	const struct lottery *p = (const struct lottery *)base;
	uint64_t tickets = 0, quantum = now_ns / p->quantum_ns;
	for (unsigned i = 0; i < n; i++)
		tickets += c[i]->active ? c[i]->weight : 0;
	if (!tickets)
		return UINT64_MAX; /* all verdicts stay zero: open */
	uint64_t ticket = draw(quantum) % tickets;
	unsigned w = 0;
	while (!c[w]->active || ticket >= c[w]->weight) {
		ticket -= c[w]->active ? c[w]->weight : 0;
		w++;
	}
	for (unsigned i = 0; i < n; i++) {
		v[i].metered = n > 1; /* anybody may be drawn next */
		v[i].hold = i != w && !c[i]->exempt;
		v[i].holder = v[i].hold ? c[w]->id : 0;
	}
	return (quantum + 1) * p->quantum_ns;
}

const struct rein_policy_ops rein_policy_lottery = {
    .name = "lottery",
    .summary = "one client a quantum, drawn by weight; shares are right in the long run only",
    .init = lottery_init,
    .fini = lottery_fini,
    .decide = lottery_decide,
};
