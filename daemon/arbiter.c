// SPDX-License-Identifier: Apache-2.0
/* arbiter.c: joining, changing and leaving, and what time brings. Demand words are active.c, stalls
 * stall.c, decisions decide.c, points points.c, devices device.c, jobs job.c, charging account.c,
 * figures measure.c and recent.c.
 */
#include "arbiter.h"

#include <errno.h>
#include <string.h>

#include "../common/futex.h"
#include "arbiter_int.h"

static struct rein_policy_params no_params;

/* Its requests come quickly, nobody else uses its devices, and nothing hangs on the moment at which
 * one ends: what it costs to hear of each would buy nothing. */
static bool may_be_late(const struct rein_arbiter *a, const struct rein_arbiter_client *c)
{
	const struct rein_policy_client *p = &c->policy;
	bool timed = p->deadline_ns || p->period_ns || p->budget_ns ||
	             rein_load_acquire(&c->status->request_flags) & REIN_REQUEST_DECLARED;
	if (!c->quick || c->holding || !c->slots || timed || (a->traced && c->traceable))
		return false;
	for (unsigned i = 0; i < c->slots; i++)
		if (!c->slot[i].seen || c->slot[i].device < 0 ||
		    a->device[c->slot[i].device]->n > 1)
			return false;
	return true;
}

static bool wants_cupti(const struct rein_arbiter *a, const struct rein_arbiter_client *c)
{
	return a->traced && c->traceable &&
	       (c->cupti || a->cupti_for == UINT32_MAX || a->cupti_for == c->policy.id);
}

void rein_client_notify(const struct rein_arbiter *a, struct rein_arbiter_client *c)
{
	uint32_t flags = c->gate_implicit ? REIN_CONTROL_GATE_IMPLICIT : 0;
	if (may_be_late(a, c))
		flags |= REIN_CONTROL_IDLE_LATE;
	else if (c->holding || c->rare)
		flags |= REIN_CONTROL_NOTIFY_IDLE;
	if (wants_cupti(a, c))
		flags |= REIN_CONTROL_CUPTI;
	uint32_t changed = flags ^ c->flags;
	if (!changed)
		return;
	c->flags = flags;
	rein_store_release(&c->control->flags, flags);
	if (changed & REIN_CONTROL_CUPTI && a->ring)
		a->ring(c);
}

struct rein_arbiter *rein_arbiter_new(struct rein_board *board, const struct rein_policy_ops *ops,
                                      const struct rein_policy_params *params)
{
	struct rein_arbiter *a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	a->params = params ? *params : no_params;
	a->policy = ops->init(&a->params);
	if (!a->policy) {
		free(a);
		return NULL;
	}
	a->board = board;
	a->wake = rein_futex_wake_all;
	a->tick_ns = UINT64_MAX;
	return a;
}

void rein_arbiter_free(struct rein_arbiter *a)
{
	if (!a)
		return;
	while (a->n)
		rein_arbiter_leave(a, a->client[a->n - 1], 0);
	a->policy->ops->fini(a->policy);
	free(a);
}

struct rein_arbiter_client *rein_arbiter_find(struct rein_arbiter *a, uint32_t id)
{
	struct rein_arbiter_client *c = NULL;
	HASH_FIND (hh, a->by_id, &id, sizeof(id), c)
		;
	return c;
}

/* ---------------------------------------------------------------- joining, leaving, changing */

/* To a policy all join and leave idle: who is active begins a request right after, and ends it
 * right before. */
static int policy_join(struct rein_policy *p, struct rein_policy_client *c, uint64_t now_ns,
                       char *why, unsigned why_len)
{
	bool active = c->active;
	c->active = false;
	int err = p->ops->join ? p->ops->join(p, c, now_ns) : 0;
	if (err == -ENOMEM)
		snprintf(why, why_len, "out of memory");
	c->active = active;
	if (!err && active && p->ops->ready)
		p->ops->ready(p, c, now_ns);
	return err;
}

static void policy_leave(struct rein_policy *p, struct rein_policy_client *c, uint64_t now_ns)
{
	bool active = c->active;
	c->active = false;
	if (active && p->ops->idle)
		p->ops->idle(p, c, now_ns);
	if (p->ops->leave)
		p->ops->leave(p, c, now_ns);
	c->active = active;
}

void rein_arbiter_apply(struct rein_arbiter_client *c, const struct rein_arbiter_params *params)
{
	struct rein_policy_client *p = &c->policy;
	p->prio = params->prio;
	p->weight = params->weight;
	p->linger_us = params->linger_us;
	p->backlog_ns = params->backlog_ns;
	p->backlog_launches = params->backlog_launches;
	p->latency_nice = params->latency_nice;
	p->band = params->band;
	p->declared = params->declared;
	p->budget_hard = params->budget_hard;
	p->deadline_ns = params->deadline_ns;
	p->period_ns = params->period_ns;
	p->budget_ns = params->budget_ns;
	p->job = params->job ? params->job : p->id;
	c->patience_ns = params->patience_ns;
	c->gate_implicit = params->gate_implicit;
	c->cupti = params->cupti;
	c->sms = params->sms;
}

static void control_publish(const struct rein_arbiter *a, struct rein_arbiter_client *c)
{
	rein_store_release(&c->control->prio, (uint32_t)c->policy.prio);
	rein_store_release(&c->control->linger_us, c->policy.linger_us);
	rein_client_notify(a, c);
}

/* Its first call already is to leave a record, before it has declared a device. */
static void control_init(const struct rein_arbiter *a, struct rein_arbiter_client *c)
{
	uint32_t gate = a->traced && c->traceable ? REIN_GATE_TRACED : REIN_GATE_OPEN;
	for (unsigned i = 0; i < REIN_DEVICES_MAX; i++) {
		struct rein_verdict *v = &c->control->verdict[i];
		rein_store_relaxed(&v->board_device, UINT32_MAX);
		rein_store_relaxed(&v->backlog_ns, c->policy.backlog_ns);
		rein_store_relaxed(&v->backlog_launches, c->policy.backlog_launches);
		rein_store_release(&v->gate, gate);
		c->slot[i].written.gate = gate;
		c->slot[i].device = -1;
		c->slot[i].limits.backlog_ns = c->policy.backlog_ns;
		c->slot[i].limits.backlog_launches = c->policy.backlog_launches;
		c->slot[i].written.limits = c->slot[i].limits;
	}
	c->flags = 0;
	c->rare = true;
	c->quick = false;
	control_publish(a, c);
}

int rein_arbiter_join(struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns,
                      char *why, unsigned why_len)
{
	if (a->n == REIN_CLIENTS_MAX) {
		snprintf(why, why_len, "the daemon serves %d clients already", REIN_CLIENTS_MAX);
		return -EAGAIN;
	}
	int err = policy_join(a->policy, &c->policy, now_ns, why, why_len);
	if (err)
		return err;
	HASH_ADD(hh, a->by_id, policy.id, sizeof(c->policy.id), c);
	if (!c->hh.tbl) {
		policy_leave(a->policy, &c->policy, now_ns);
		snprintf(why, why_len, "out of memory");
		return -ENOMEM;
	}
	control_init(a, c);
	c->position = a->n;
	a->client[a->n++] = c;
	c->policy.job = c->policy.job ? c->policy.job : c->policy.id;
	rein_job_enter(a, c);
	rein_arbiter_look(a, c, now_ns);
	return 0;
}

void rein_arbiter_leave(struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns)
{
	rein_account_client(a, c, now_ns);
	rein_hold_end(a, c, now_ns);
	rein_points_open(a, c);
	rein_device_leave(a, c);
	rein_job_leave(a, c);
	policy_leave(a->policy, &c->policy, now_ns);
	c->demand = 0;
	rein_recent_wait(a, c, now_ns);
	HASH_DEL(a->by_id, c);
	a->client[c->position] = a->client[--a->n];
	a->client[c->position]->position = c->position;
	rein_decide(a, now_ns);
}

static struct rein_arbiter_params params_of(const struct rein_arbiter_client *c)
{
	const struct rein_policy_client *p = &c->policy;
	return (struct rein_arbiter_params){.prio = p->prio,
	                                    .weight = p->weight,
	                                    .linger_us = p->linger_us,
	                                    .backlog_launches = p->backlog_launches,
	                                    .backlog_ns = p->backlog_ns,
	                                    .patience_ns = c->patience_ns,
	                                    .gate_implicit = c->gate_implicit,
	                                    .cupti = c->cupti,
	                                    .sms = c->sms,
	                                    .latency_nice = p->latency_nice,
	                                    .band = p->band,
	                                    .declared = p->declared,
	                                    .budget_hard = p->budget_hard,
	                                    .deadline_ns = p->deadline_ns,
	                                    .period_ns = p->period_ns,
	                                    .budget_ns = p->budget_ns,
	                                    .job = p->job};
}

/* Else it joins anew, and what the policy knows of it (budget, debt, turn) is forgotten. */
static bool same_to_policy(const struct rein_arbiter_params *x, const struct rein_arbiter_params *y)
{
	return x->prio == y->prio && x->weight == y->weight && x->latency_nice == y->latency_nice &&
	       x->band == y->band && x->declared == y->declared &&
	       x->budget_hard == y->budget_hard && x->deadline_ns == y->deadline_ns &&
	       x->period_ns == y->period_ns && x->budget_ns == y->budget_ns;
}

int rein_arbiter_set(struct rein_arbiter *a, struct rein_arbiter_client *c,
                     const struct rein_arbiter_params *params, uint64_t now_ns, char *why,
                     unsigned why_len)
{
	const struct rein_arbiter_params old = params_of(c);
	bool rejoins = !same_to_policy(&old, params);
	rein_account_client(a, c, now_ns);
	if (rejoins)
		policy_leave(a->policy, &c->policy, now_ns);
	rein_job_leave(a, c);
	rein_arbiter_apply(c, params);
	rein_active_due(c);
	int err = rejoins ? policy_join(a->policy, &c->policy, now_ns, why, why_len) : 0;
	if (err) {
		char ignored[64];
		rein_arbiter_apply(c, &old);
		rein_active_due(c);
		if (policy_join(a->policy, &c->policy, now_ns, ignored, sizeof(ignored)))
			c->policy.priv = NULL;
	}
	rein_job_enter(a, c);
	control_publish(a, c);
	rein_device_mark(a, c);
	rein_decide(a, now_ns);
	return err;
}

int rein_arbiter_set_policy(struct rein_arbiter *a, const struct rein_policy_ops *ops,
                            const struct rein_policy_params *params, uint64_t now_ns)
{
	REIN_AUTO_FREE void **old_priv = calloc(a->n + 1, sizeof(*old_priv));
	struct rein_policy *fresh = old_priv ? ops->init(params) : NULL;
	int err = fresh ? 0 : -ENOMEM;
	unsigned joined = 0;
	char why[160];
	rein_arbiter_account(a, now_ns);
	for (; !err && joined < a->n; joined++) {
		struct rein_policy_client *pc = &a->client[joined]->policy;
		old_priv[joined] = pc->priv;
		pc->priv = NULL;
		err = policy_join(fresh, pc, now_ns, why, sizeof(why));
		if (err) {
			pc->priv = old_priv[joined];
			break;
		}
	}
	struct rein_policy *loser = err ? fresh : a->policy;
	for (unsigned i = 0; i < joined; i++) { /* whoever lost: its clients leave it */
		struct rein_policy_client *pc = &a->client[i]->policy;
		void *keep = err ? old_priv[i] : pc->priv;
		pc->priv = err ? pc->priv : old_priv[i];
		policy_leave(loser, pc, now_ns);
		pc->priv = keep;
	}
	if (loser)
		loser->ops->fini(loser);
	if (err)
		return err;
	a->policy = fresh;
	a->params = *params;
	for (unsigned i = 0; i < a->n; i++)
		rein_device_mark(a, a->client[i]);
	rein_decide(a, now_ns);
	return 0;
}

/* ---------------------------------------------------------------- time */

/* What is due for one client; returns when it is next. */
static uint64_t step_client(struct rein_arbiter *a, struct rein_arbiter_client *c, bool tick,
                            uint64_t now_ns)
{
	uint64_t next = rein_active_linger(a, c, now_ns);
	if (tick) {
		rein_device_look(a, c, now_ns);
		rein_recent_tick(c, now_ns);
	}
	next = rein_min_ns(next, rein_points_step(a, c, tick, now_ns));
	return rein_min_ns(next, rein_stall_look(a, c, tick, now_ns));
}

static uint64_t next_tick(const struct rein_arbiter *a, uint64_t now_ns)
{
	bool live = false;
	for (unsigned i = 0; i < a->n; i++) {
		if (a->client[i]->held || a->client[i]->stalled)
			return now_ns + REIN_ARBITER_TICK_NS;
		live |= a->client[i]->live;
	}
	return live ? now_ns + REIN_ARBITER_IDLE_TICK_NS : UINT64_MAX;
}

uint64_t rein_arbiter_step(struct rein_arbiter *a, uint64_t now_ns)
{
	if (a->opened)
		return UINT64_MAX;
	bool tick = now_ns >= a->tick_ns;
	if (tick)
		rein_arbiter_account(a, now_ns);
	uint64_t next = UINT64_MAX;
	for (unsigned i = 0; i < a->n; i++)
		next = rein_min_ns(next, step_client(a, a->client[i], tick, now_ns));
	for (unsigned i = 0; i < REIN_BOARD_DEVICES_MAX; i++)
		if (a->device[i] && a->device[i]->next_ns <= now_ns)
			a->device[i]->dirty = a->dirty = true;
	rein_decide(a, now_ns);
	if (tick) {
		rein_decide_renew(a, now_ns);
		rein_measure_tick(a);
		a->tick_ns = next_tick(a, now_ns);
	}
	/* A decision can shorten any of these. */
	for (unsigned i = 0; i < a->n; i++) {
		const struct rein_arbiter_client *c = a->client[i];
		if (c->deaf_until_ns)
			next = rein_min_ns(next, c->deaf_until_ns);
		next = rein_min_ns(next, rein_stall_next(c));
		if (c->policy.exempt)
			next = rein_min_ns(next, c->exempt_until_ns);
	}
	for (unsigned i = 0; i < REIN_BOARD_DEVICES_MAX; i++)
		if (a->device[i])
			next = rein_min_ns(next, a->device[i]->next_ns);
	return rein_min_ns(next, a->tick_ns);
}

void rein_arbiter_set_traced(struct rein_arbiter *a, bool traced, uint64_t now_ns)
{
	a->traced = traced;
	for (unsigned i = 0; i < a->n; i++) {
		rein_hold_end(a, a->client[i], now_ns);
		rein_client_notify(a, a->client[i]);
		rein_device_mark(a, a->client[i]);
	}
	rein_decide(a, now_ns);
}

void rein_arbiter_set_cupti(struct rein_arbiter *a, uint32_t client)
{
	a->cupti_for = client;
	for (unsigned i = 0; i < a->n; i++)
		rein_client_notify(a, a->client[i]);
}

void rein_arbiter_open_all(struct rein_arbiter *a)
{
	a->opened = true;
	for (unsigned i = 0; i < a->n; i++)
		rein_decide_open(a, a->client[i]);
}
