// SPDX-License-Identifier: Apache-2.0
/*
 * fair.c: weighted shares of GPU time. The active clients of a device take turns, one at a time,
 * in proportion to their weights (turn.h has the rules); all others are held meanwhile.
 *
 * Suits: programs of equal importance, or of 1 : 2 : 4; throughput that must not depend on who
 * launches more. latency_nice lets one have its turn sooner, never more of the GPU.
 * Fails: deadlines (a request waits for a turn of everybody else: n − 1 quanta); kernels longer
 * than the quantum (shares still come out right, over as many turns as it takes, but turns are as
 * long as the kernels).
 *
 * Equal weights are gated too, although the driver's time slices would share the GPU among them.
 * What each one used could not be told then: of clients with open gates each is charged an equal
 * part, whatever it had (daemon/account.c), so unequal weights, sleepers and those with gaps would
 * be judged by a guess. Alone behind an open gate, a client is charged what it had. Besides,
 * contexts that take turns every millisecond pay for each switch, and under MPS there are no time
 * slices.
 *
 * Metered: whoever is not alone on the device, because every turn ends. Never held: the only one
 * that is active.
 *
 * Source: see turn.h.
 */
#include "policies.h"
#include "turn.h"

#include <errno.h>

struct fair {
	struct rein_policy base;
	uint64_t quantum_ns;
};

static struct rein_policy *fair_init(const struct rein_policy_params *params)
{
	struct fair *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->base.ops = &rein_policy_fair;
	p->quantum_ns = params && params->quantum_ns ? params->quantum_ns : REIN_TURN_QUANTUM_NS;
	return &p->base;
}

static void fair_fini(struct rein_policy *base)
{
	free(base);
}

static int fair_join(struct rein_policy *base, struct rein_policy_client *c, uint64_t now_ns)
{
	c->priv = malloc(sizeof(struct rein_turn));
	if (!c->priv)
		return -ENOMEM;
	rein_turn_join(c->priv, now_ns);
	return 0;
}

static void fair_leave(struct rein_policy *base, struct rein_policy_client *c, uint64_t now_ns)
{
	free(c->priv);
	c->priv = NULL;
}

static void fair_ready(struct rein_policy *base, struct rein_policy_client *c, uint64_t now_ns)
{
	rein_turn_ready(c->priv, now_ns);
}

static void fair_idle(struct rein_policy *base, struct rein_policy_client *c, uint64_t now_ns)
{
	rein_turn_idle(c->priv);
}

static void fair_charge(struct rein_policy *base, struct rein_policy_client *c, uint64_t now_ns,
                        uint64_t ns)
{
	rein_turn_charge(c->priv, c, now_ns, ns);
}

static uint64_t fair_decide(struct rein_policy *base, struct rein_policy_client *const *c,
                            struct rein_policy_verdict *v, unsigned n, uint64_t now_ns)
{
	const struct fair *p = (const struct fair *)base;
	uint64_t next = UINT64_MAX;
	for (unsigned i = 0; i < n; i++) {
		struct rein_turn *t = c[i]->priv;
		t->shares = true;
		t->in = c[i]->active;
	}
	unsigned w = rein_turn_pick(c, n, p->quantum_ns, now_ns, &next);
	for (unsigned i = 0; i < n; i++) {
		v[i].metered = n > 1;
		v[i].hold = w < n && i != w && !c[i]->exempt;
		v[i].holder = v[i].hold ? c[w]->id : 0;
	}
	return next;
}

const struct rein_policy_ops rein_policy_fair = {
    .name = "fair",
    .summary = "shares by weight, one at a time; no deadlines: a request waits for all turns",
    .init = fair_init,
    .fini = fair_fini,
    .join = fair_join,
    .leave = fair_leave,
    .ready = fair_ready,
    .idle = fair_idle,
    .charge = fair_charge,
    .decide = fair_decide,
};
