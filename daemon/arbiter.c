// SPDX-License-Identifier: Apache-2.0
/* arbiter.c: joining and leaving, reading demand words, and what time brings: lingers that end,
 * stalls, leases, accounts. Decisions are decide.c, devices device.c, charging account.c. */
#include "arbiter.h"

#include <errno.h>
#include <string.h>

#include "../common/clock.h"
#include "../common/futex.h"
#include "arbiter_int.h"

/* Requests at least this far apart ring at their end too, whoever waits: it costs them nothing
 * to speak of and makes the accounts right while the arbiter sleeps. */
#define RARE_NS (5 * REIN_MS)

static struct rein_policy_params no_params;

static void flags_publish(struct rein_arbiter_client *c)
{
	uint32_t notify = c->notified ? REIN_CONTROL_NOTIFY_IDLE : 0;
	uint32_t implicit = c->gate_implicit ? REIN_CONTROL_GATE_IMPLICIT : 0;
	rein_store_release(&c->control->flags, notify | implicit);
}

void rein_client_notify(struct rein_arbiter_client *c)
{
	bool notify = c->holding || c->rare;
	if (notify == c->notified)
		return;
	c->notified = notify;
	flags_publish(c);
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

static int policy_join(struct rein_policy *p, struct rein_policy_client *c, uint64_t now_ns,
                       char *why, unsigned why_len)
{
	int err = p->ops->join ? p->ops->join(p, c, now_ns) : 0;
	if (err == -ENOMEM)
		snprintf(why, why_len, "out of memory");
	return err;
}

static void policy_leave(struct rein_policy *p, struct rein_policy_client *c, uint64_t now_ns)
{
	if (p->ops->leave)
		p->ops->leave(p, c, now_ns);
}

static void control_publish(struct rein_arbiter_client *c)
{
	rein_store_release(&c->control->prio, (uint32_t)c->policy.prio);
	rein_store_release(&c->control->linger_us, c->policy.linger_us);
	flags_publish(c);
}

static void control_init(struct rein_arbiter_client *c)
{
	for (unsigned i = 0; i < REIN_DEVICES_MAX; i++) {
		struct rein_verdict *v = &c->control->verdict[i];
		rein_store_relaxed(&v->board_device, UINT32_MAX);
		rein_store_relaxed(&v->backlog_ns, c->policy.backlog_ns);
		rein_store_relaxed(&v->backlog_launches, c->policy.backlog_launches);
		rein_store_release(&v->gate, REIN_GATE_OPEN);
		c->slot[i].device = -1;
		c->slot[i].backlog_ns = c->slot[i].written.backlog_ns = c->policy.backlog_ns;
		c->slot[i].backlog_launches = c->policy.backlog_launches;
		c->slot[i].written.backlog_launches = c->policy.backlog_launches;
	}
	c->notified = false;
	c->rare = true;
	rein_client_notify(c);
	control_publish(c);
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
	control_init(c);
	c->position = a->n;
	a->client[a->n++] = c;
	rein_arbiter_look(a, c, now_ns);
	return 0;
}

void rein_arbiter_leave(struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns)
{
	rein_account_client(a, c, now_ns);
	rein_device_leave(a, c);
	policy_leave(a->policy, &c->policy, now_ns);
	HASH_DEL(a->by_id, c);
	a->client[c->position] = a->client[--a->n];
	a->client[c->position]->position = c->position;
	rein_decide(a, now_ns);
}

int rein_arbiter_set(struct rein_arbiter *a, struct rein_arbiter_client *c,
                     const struct rein_arbiter_params *params, uint64_t now_ns, char *why,
                     unsigned why_len)
{
	const struct rein_policy_client old = c->policy;
	rein_account_client(a, c, now_ns);
	policy_leave(a->policy, &c->policy, now_ns);
	c->policy.prio = params->prio;
	c->policy.weight = params->weight;
	c->policy.linger_us = params->linger_us;
	c->policy.backlog_ns = params->backlog_ns;
	c->policy.backlog_launches = params->backlog_launches;
	int err = policy_join(a->policy, &c->policy, now_ns, why, why_len);
	if (err) {
		c->policy.prio = old.prio;
		c->policy.weight = old.weight;
		c->policy.linger_us = old.linger_us;
		c->policy.backlog_ns = old.backlog_ns;
		c->policy.backlog_launches = old.backlog_launches;
		char ignored[64];
		if (policy_join(a->policy, &c->policy, now_ns, ignored, sizeof(ignored)))
			c->policy.priv = NULL;
	} else {
		c->patience_ns = params->patience_ns;
		c->gate_implicit = params->gate_implicit;
	}
	control_publish(c);
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

/* ---------------------------------------------------------------- demand */

/* What the policy sees follows from live and stalled. */
static void publish_active(struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns)
{
	const struct rein_policy_ops *ops = a->policy->ops;
	bool active = c->live && !c->stalled;
	if (active == c->policy.active)
		return;
	c->policy.active = active;
	if (active && ops->ready)
		ops->ready(a->policy, &c->policy, now_ns);
	if (!active && ops->idle)
		ops->idle(a->policy, &c->policy, now_ns);
	rein_device_mark(a, c);
}

static void exempt_end(struct rein_arbiter *a, struct rein_arbiter_client *c)
{
	c->policy.exempt = false;
	c->exempt_for = 0;
	rein_device_mark(a, c);
}

static void unstall(struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns)
{
	c->stalled = false;
	for (unsigned i = 0; i < a->n; i++)
		if (a->client[i]->exempt_for == c->policy.id)
			exempt_end(a, a->client[i]);
	publish_active(a, c, now_ns);
}

static void progressed(struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns)
{
	c->progress_ns = now_ns;
	c->breath_ns = 0;
	if (c->stalled)
		unstall(a, c, now_ns);
}

/* Counts a change of its word; false: one too many for now. */
static bool may_change(struct rein_arbiter_client *c, uint64_t now_ns)
{
	if (now_ns - c->window_ns >= REIN_ARBITER_WINDOW_NS) {
		c->window_ns = now_ns;
		c->words = 0;
	}
	if (++c->words <= REIN_ARBITER_WORDS_MAX || c->policy.prio > 0)
		return true;
	c->deaf_until_ns = c->window_ns + REIN_ARBITER_WINDOW_NS;
	return false;
}

static void look_word(struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns)
{
	if (now_ns < c->deaf_until_ns)
		return;
	c->deaf_until_ns = 0;
	uint32_t word = rein_load_acquire(&c->status->demand);
	if (word == c->demand || !may_change(c, now_ns))
		return;
	rein_account_client(a, c, now_ns);
	bool waiting = word & REIN_DEMAND_WAITING;
	uint32_t flags = rein_load_acquire(&c->status->request_flags);
	bool background = flags & REIN_REQUEST_BACKGROUND;
	c->demand = word;
	if (word & REIN_DEMAND_ACTIVE) {
		if (!c->live) {
			c->rare = now_ns - c->policy.active_since_ns >= RARE_NS;
			c->policy.active_since_ns = now_ns;
			rein_client_notify(c);
		}
		c->live = true;
		c->idle_since_ns = 0;
	} else if (c->live) {
		c->idle_since_ns = now_ns ? now_ns : 1;
		c->exact = flags & REIN_REQUEST_EXACT;
	}
	if (waiting != c->policy.waiting || background != c->policy.background)
		rein_device_mark(a, c);
	c->policy.waiting = waiting;
	c->policy.background = background;
	progressed(a, c, now_ns);
	publish_active(a, c, now_ns);
	if (c->live && a->tick_ns > now_ns + REIN_ARBITER_IDLE_TICK_NS)
		a->tick_ns = now_ns + REIN_ARBITER_IDLE_TICK_NS;
	rein_device_look(a, c, now_ns);
}

void rein_arbiter_scan(struct rein_arbiter *a, uint64_t now_ns)
{
	for (unsigned i = 0; i < a->n; i++)
		look_word(a, a->client[i], now_ns);
}

bool rein_arbiter_changed(const struct rein_arbiter *a)
{
	for (unsigned i = 0; i < a->n; i++) {
		const struct rein_arbiter_client *c = a->client[i];
		if (!c->deaf_until_ns && rein_load_seqcst(&c->status->demand) != c->demand)
			return true;
	}
	return false;
}

bool rein_arbiter_urgent_changed(const struct rein_arbiter *a)
{
	for (unsigned i = 0; i < a->n; i++) {
		const struct rein_arbiter_client *c = a->client[i];
		if (c->policy.prio > 0 && rein_load_relaxed(&c->status->demand) != c->demand)
			return true;
	}
	return false;
}

void rein_arbiter_look(struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns)
{
	look_word(a, c, now_ns);
	rein_device_look(a, c, now_ns);
}

/* ---------------------------------------------------------------- time */

static void exempt(struct rein_arbiter *a, struct rein_arbiter_client *c,
                   const struct rein_arbiter_client *holder, uint64_t until_ns)
{
	c->policy.exempt = true;
	c->exempt_for = holder->policy.id;
	c->exempt_until_ns = until_ns;
	rein_device_mark(a, c);
}

static void report_stall(struct rein_arbiter *a, const struct rein_arbiter_client *c,
                         const struct rein_arbiter_client *first, unsigned opened, uint64_t now_ns)
{
	char line[320];
	snprintf(line, sizeof(line),
	         "opened the hold of %s (pid %d)%s for %s (pid %d): no progress of %s for %llu ms",
	         first->name, (int)first->pid, opened > 1 ? " and others" : "", c->name,
	         (int)c->pid, c->name, (unsigned long long)((now_ns - c->progress_ns) / REIN_MS));
	if (a->say)
		a->say(a->say_arg, line);
}

/* It made no progress while others are held for it, or below it: let those run for a lease. */
static void relieve(struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns)
{
	const struct rein_arbiter_client *first = NULL;
	unsigned opened = 0;
	bool fresh = !c->stalled;
	for (unsigned i = 0; i < a->n; i++) {
		struct rein_arbiter_client *other = a->client[i];
		bool below = other->policy.prio < c->policy.prio;
		if (other == c || !other->held || !(fresh ? other->holder == c->policy.id : below))
			continue;
		first = first ? first : other;
		opened++;
		exempt(a, other, c, now_ns + REIN_LEASE_NS);
	}
	if (fresh && first)
		report_stall(a, c, first, opened, now_ns);
	c->stalled = true;
	c->relief_ns = now_ns + REIN_ARBITER_RELIEF_NS;
	publish_active(a, c, now_ns);
}

/* Long work, or waiting for one of those that are held for it: nobody can tell from here. */
static bool is_slow(const struct rein_arbiter_client *c, uint64_t now_ns)
{
	return !c->stalled && now_ns - c->alive_ns <= REIN_ARBITER_ALIVE_NS &&
	       now_ns - c->progress_ns < c->patience_ns + REIN_ARBITER_SLOW_MAX_NS;
}

#define SAY_AGAIN_NS (10 * REIN_S) /* long requests are that client's way: not a line for each */

static void breathe(struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns)
{
	const struct rein_arbiter_client *first = NULL;
	unsigned opened = 0;
	for (unsigned i = 0; i < a->n; i++) {
		struct rein_arbiter_client *other = a->client[i];
		if (other == c || !other->held || other->holder != c->policy.id)
			continue;
		first = first ? first : other;
		opened++;
		exempt(a, other, c, now_ns + REIN_ARBITER_BREATH_NS);
	}
	if (!c->breath_ns && first && now_ns - c->said_ns >= SAY_AGAIN_NS) {
		c->said_ns = now_ns;
		report_stall(a, c, first, opened, now_ns);
	}
	c->breath_ns = now_ns + REIN_ARBITER_BREATH_EVERY_NS;
}

/* When something is to be done about a holder that goes on like this. */
static uint64_t patience_ends(const struct rein_arbiter_client *c)
{
	uint64_t end_ns = c->progress_ns + c->patience_ns;
	if (c->stalled)
		return c->relief_ns;
	return c->breath_ns > end_ns ? c->breath_ns : end_ns;
}

static void look_progress(struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns)
{
	uint64_t submissions = rein_load_relaxed(&c->status->total.submissions);
	uint64_t requests = rein_load_relaxed(&c->status->total.requests);
	uint64_t heartbeats = rein_load_relaxed(&c->status->total.heartbeats);
	if (heartbeats != c->heartbeats)
		c->alive_ns = now_ns;
	c->heartbeats = heartbeats;
	if (submissions == c->submissions && requests == c->requests)
		return;
	c->submissions = submissions;
	c->requests = requests;
	progressed(a, c, now_ns);
}

static uint64_t min_ns(uint64_t x, uint64_t y)
{
	return x < y ? x : y;
}

/* What is due for one client; returns when it is next. */
static uint64_t step_client(struct rein_arbiter *a, struct rein_arbiter_client *c, bool tick,
                            uint64_t now_ns)
{
	uint64_t next = UINT64_MAX;
	if (c->idle_since_ns) {
		uint64_t linger_ns = c->exact ? 0 : c->policy.linger_us * REIN_US;
		uint64_t end_ns = c->idle_since_ns + linger_ns;
		if (end_ns <= now_ns) {
			c->idle_since_ns = 0;
			c->live = false;
			publish_active(a, c, now_ns);
			rein_device_mark(a, c);
		} else {
			next = end_ns;
		}
	}
	if (c->policy.exempt && c->exempt_until_ns <= now_ns)
		exempt_end(a, c);
	if (tick)
		rein_device_look(a, c, now_ns);
	if (!c->holding && !c->stalled)
		return next;
	if (tick || now_ns >= patience_ends(c))
		look_progress(a, c, now_ns);
	if (now_ns >= patience_ends(c)) {
		if (is_slow(c, now_ns))
			breathe(a, c, now_ns);
		else
			relieve(a, c, now_ns);
	}
	return min_ns(next, patience_ends(c));
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
		next = min_ns(next, step_client(a, a->client[i], tick, now_ns));
	for (unsigned i = 0; i < REIN_BOARD_DEVICES_MAX; i++)
		if (a->device[i] && a->device[i]->next_ns <= now_ns)
			a->device[i]->dirty = a->dirty = true;
	rein_decide(a, now_ns);
	if (tick) {
		rein_decide_renew(a, now_ns);
		a->tick_ns = next_tick(a, now_ns);
	}
	/* A decision can shorten any of these. */
	for (unsigned i = 0; i < a->n; i++) {
		const struct rein_arbiter_client *c = a->client[i];
		if (c->deaf_until_ns)
			next = min_ns(next, c->deaf_until_ns);
		if (c->holding)
			next = min_ns(next, patience_ends(c));
		if (c->policy.exempt)
			next = min_ns(next, c->exempt_until_ns);
	}
	for (unsigned i = 0; i < REIN_BOARD_DEVICES_MAX; i++)
		if (a->device[i])
			next = min_ns(next, a->device[i]->next_ns);
	return min_ns(next, a->tick_ns);
}

void rein_arbiter_open_all(struct rein_arbiter *a)
{
	a->opened = true;
	for (unsigned i = 0; i < a->n; i++)
		rein_decide_open(a, a->client[i]);
}
