// SPDX-License-Identifier: Apache-2.0
/*
 * prio.c: fixed priorities. On each device the most urgent active clients run; every client of
 * strictly lower priority is held, active or not, so that what it submits next waits too. Clients
 * of equal priority share the device as the driver shares it.
 *
 * Suits: few latency-critical programs above best-effort ones, each urgent one using the GPU for
 * less than its share of the time.
 * Fails: an urgent client that never goes idle starves everybody below it (set `ageing`, or use
 * a policy with budgets); equals get no guarantee between them.
 *
 * Metering: a client is metered while a client of strictly higher priority is registered on the
 * device, because only then can it be preempted and its queued work be in somebody's way. A client
 * in the background has priority 0, but what it will have when its next request begins is
 * registered: so it is metered too.
 *
 * Ageing (off by default): a client that waits at its closed gate gains one level per `ageing_ns`
 * of waiting, at most to 99. Once that opens its gate it keeps the level for another `ageing_ns`,
 * so that it gets some work done, and starts again from its own priority. With ageing no deadline
 * is promised: whoever waits comes before anybody in the end.
 *
 * Source: fixed-priority scheduling as in Liu & Layland, "Scheduling Algorithms for
 * Multiprogramming in a Hard-Real-Time Environment", J. ACM 20(1), 1973; ageing as in every
 * textbook on operating systems.
 */
#include "policies.h"

#include <errno.h>

#define PRIO_MAX 99

struct prio {
	struct rein_policy base;
	uint64_t ageing_ns;
};

struct prio_client {             /* rein_policy_client.priv, only with ageing */
	uint64_t waits_since_ns; /* 0: does not wait */
	uint64_t boost_until_ns; /* keeps `boost` until then; 0: none */
	int boost;
};

static struct rein_policy *prio_init(const struct rein_policy_params *params)
{
	struct prio *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->base.ops = &rein_policy_prio;
	p->ageing_ns = params ? params->ageing_ns : 0;
	return &p->base;
}

static void prio_fini(struct rein_policy *base)
{
	free(base);
}

static int prio_join(struct rein_policy *base, struct rein_policy_client *c, uint64_t now_ns)
{
	const struct prio *p = (const struct prio *)base;
	c->priv = NULL;
	if (!p->ageing_ns)
		return 0;
	c->priv = calloc(1, sizeof(struct prio_client));
	return c->priv ? 0 : -ENOMEM;
}

static void prio_leave(struct rein_policy *base, struct rein_policy_client *c, uint64_t now_ns)
{
	free(c->priv);
	c->priv = NULL;
}

static int own(const struct rein_policy_client *c)
{
	return c->background ? 0 : c->prio;
}

/* The priority that counts now; lowers *next to when it changes by itself. */
static int effective(const struct prio *p, struct rein_policy_client *c, uint64_t now_ns,
                     uint64_t *next)
{
	struct prio_client *pc = c->priv;
	if (!pc || !p->ageing_ns)
		return own(c);
	int levels = 0;
	if (c->waiting) {
		if (!pc->waits_since_ns)
			pc->waits_since_ns = now_ns;
		uint64_t steps = (now_ns - pc->waits_since_ns) / p->ageing_ns;
		levels = steps > PRIO_MAX ? PRIO_MAX : (int)steps;
		if (own(c) + levels < PRIO_MAX) {
			uint64_t step_ns = pc->waits_since_ns + (steps + 1) * p->ageing_ns;
			*next = step_ns < *next ? step_ns : *next;
		}
	} else {
		pc->waits_since_ns = 0;
	}
	if (pc->boost_until_ns > now_ns) {
		levels = pc->boost > levels ? pc->boost : levels;
		*next = pc->boost_until_ns < *next ? pc->boost_until_ns : *next;
	} else {
		pc->boost_until_ns = 0;
	}
	int prio = own(c) + levels;
	return prio > PRIO_MAX ? PRIO_MAX : prio;
}

/* It waited long enough to be let through: it keeps the level for a while. */
static void keep_boost(const struct prio *p, struct rein_policy_client *c, int level,
                       uint64_t now_ns, uint64_t *next)
{
	struct prio_client *pc = c->priv;
	if (!pc || level <= own(c) || pc->boost_until_ns)
		return;
	pc->boost = level - own(c);
	pc->boost_until_ns = now_ns + p->ageing_ns;
	pc->waits_since_ns = 0;
	*next = pc->boost_until_ns < *next ? pc->boost_until_ns : *next;
}

static uint64_t prio_decide(struct rein_policy *base, struct rein_policy_client *const *c,
                            struct rein_policy_verdict *v, unsigned n, uint64_t now_ns)
{
	const struct prio *p = (const struct prio *)base;
	uint64_t next = UINT64_MAX;
	int top = -1, top_own = -1, registered = -1;
	uint32_t holder = 0;

	for (unsigned i = 0; i < n; i++) {
		int level = effective(p, c[i], now_ns, &next);
		registered = c[i]->prio > registered ? c[i]->prio : registered;
		/* Among equals the one with the higher priority of its own is the reason. */
		if (c[i]->active && (level > top || (level == top && own(c[i]) > top_own))) {
			top = level;
			top_own = own(c[i]);
			holder = c[i]->id;
		}
	}
	for (unsigned i = 0; i < n; i++) {
		int level = effective(p, c[i], now_ns, &next);
		v[i].metered = own(c[i]) < registered;
		v[i].backlog_ns = c[i]->backlog_ns;
		v[i].backlog_launches = c[i]->backlog_launches;
		v[i].hold = level < top && !c[i]->exempt;
		if (v[i].hold)
			v[i].holder = holder;
		else
			keep_boost(p, c[i], level, now_ns, &next);
	}
	return next;
}

/* With ageing any task can come before any other, so nothing is promised. */
static int prio_admit(const struct rein_policy_params *params, const struct rein_task *task,
                      unsigned n, struct rein_bounds *out)
{
	if (!params || !params->ageing_ns)
		return rein_admission_fixed(params, task, n, out);
	bool timed = false;
	for (unsigned i = 0; i < n; i++) {
		out->response_ns[i] = UINT64_MAX;
		timed |= task[i].period_ns > 0;
	}
	return timed;
}

const struct rein_policy_ops rein_policy_prio = {
    .name = "prio",
    .summary = "fixed priorities: the most urgent active clients run, all below are held",
    .init = prio_init,
    .fini = prio_fini,
    .admit = prio_admit,
    .join = prio_join,
    .leave = prio_leave,
    .decide = prio_decide,
};
