// SPDX-License-Identifier: Apache-2.0
/*
 * edf.c: earliest deadline first. Of the requests on a device the one that is due first runs; all
 * others are held.
 *
 * Suits: programs whose requests have deadlines (video, control, inference with a latency target):
 * whatever any order of theirs can keep, this keeps, up to what cannot be preempted. With admission
 * control, deadlines that were promised are kept.
 * Fails: programs without deadlines come last, however urgent; a program that asks for more than it
 * declared is only put behind others once it is late (budgets are enforced by `cbs`).
 *
 * Order, each kind only while none of the kinds above is active
 *	in time   the earliest deadline; ties by id. A client that declares a budget and a period,
 *	          but no deadline, is a server here (server.h): its budget is enforced, and its
 *	          deadline is the server's. A period without a budget is a deadline.
 *	late      requests past their deadline. Overload `shed`: the one that became late last is
 *	          first, so that one that never ends sinks below all others. `degrade`: nothing is
 *	          late, a deadline that has passed counts as one period later instead, as often as
 *it takes; then nobody starves, and lateness is spread over all. others    without a deadline, and
 *clients in the background: by priority, equals together spare     servers that used up a soft
 *budget; with a hard budget they are held (holder 0, and the device may be idle although they have
 *work) until it is filled Under overload a late request never delays one that is in time, so misses
 *do not cascade.
 *
 * A client without a request is held unless it would run at once if it had one; its gate closes in
 * time when that ends.
 *
 * Metered: a client with a deadline, if another one with a deadline is registered: if that is the
 * shorter one it may come any time, and if it is the longer one then as soon as this one is late.
 *One without, if anybody with a deadline or a higher priority is registered. A server always: its
 * budget ends.
 *
 * Source: Liu & Layland, J. ACM 20(1), 1973; the domino effect of overload and what helps against
 * it, Buttazzo, Spuri & Sensini, "Value vs. deadline scheduling in overload conditions", RTSS 1995.
 */
#include "policies.h"
#include "server.h"

#include <errno.h>

#define PRIO_MAX 99
#define STEP_NS 1000000ull /* degrade, without a period: or who is always late is always first */

enum kind { IN_TIME, LATE, OTHER, SPARE, SPENT };

/* Where a client stands: the lower kind first, then the lower key. */
struct rank {
	enum kind kind;
	uint64_t key;
};

struct edf {
	struct rein_policy base;
	enum rein_overload overload;
	uint64_t reaction_ns;
};

struct edf_client {
	struct rein_server server;
	uint64_t relative_ns; /* from release to deadline, declared or last seen; 0: none */
	struct rank rank;     /* in the decision that is being made */
};

static struct rein_policy *edf_init(const struct rein_policy_params *params)
{
	struct edf *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->base.ops = &rein_policy_edf;
	p->overload = params ? params->overload : REIN_OVERLOAD_SHED;
	p->reaction_ns = params ? params->reaction_ns : 0;
	return &p->base;
}

static void edf_fini(struct rein_policy *base)
{
	free(base);
}

static bool is_server(const struct rein_policy_client *c)
{
	return c->budget_ns && c->period_ns && !c->deadline_ns;
}

static bool has_deadline(const struct rein_policy_client *c)
{
	const struct edf_client *e = c->priv;
	return e->relative_ns || is_server(c);
}

static void edf_ready(struct rein_policy *base, struct rein_policy_client *c, uint64_t now_ns)
{
	struct edf_client *e = c->priv;
	if (is_server(c) && !c->background)
		rein_server_ready(&e->server, c, now_ns);
}

static int edf_join(struct rein_policy *base, struct rein_policy_client *c, uint64_t now_ns)
{
	const struct edf *p = (const struct edf *)base;
	struct edf_client *e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	rein_server_join(&e->server, p->reaction_ns);
	e->relative_ns = c->deadline_ns ? c->deadline_ns : c->period_ns;
	c->priv = e;
	return 0;
}

static void edf_leave(struct rein_policy *base, struct rein_policy_client *c, uint64_t now_ns)
{
	free(c->priv);
	c->priv = NULL;
}

static void edf_charge(struct rein_policy *base, struct rein_policy_client *c, uint64_t now_ns,
                       uint64_t ns)
{
	struct edf_client *e = c->priv;
	if (is_server(c) && !c->background)
		rein_server_charge(&e->server, c, ns, false);
}

/* ---------------------------------------------------------------- ranks */

static struct rank other(const struct rein_policy_client *c)
{
	return (struct rank){OTHER, (uint64_t)(PRIO_MAX - rein_policy_level(c))};
}

static struct rank rank_server(const struct rein_policy_client *c, uint64_t now_ns)
{
	const struct rein_server *s = &((struct edf_client *)c->priv)->server;
	uint64_t due_ns = rein_server_deadline(s, c, now_ns);
	if (due_ns != UINT64_MAX)
		return (struct rank){IN_TIME, due_ns};
	return (struct rank){c->budget_hard ? SPENT : SPARE, s->due_ns};
}

static struct rank rank_request(const struct edf *p, const struct rein_policy_client *c,
                                uint64_t now_ns)
{
	struct edf_client *e = c->priv;
	uint64_t due_ns = c->due_ns;
	if (due_ns && !c->deadline_ns && due_ns > c->release_ns)
		e->relative_ns = due_ns - c->release_ns;
	if (!due_ns)
		due_ns = rein_policy_add(c->release_ns, e->relative_ns);
	if (due_ns <= now_ns && p->overload == REIN_OVERLOAD_SHED)
		return (struct rank){LATE, UINT64_MAX - due_ns};
	if (due_ns <= now_ns) {
		uint64_t own_ns = e->relative_ns > STEP_NS ? e->relative_ns : STEP_NS;
		uint64_t step_ns = c->period_ns ? c->period_ns : own_ns;
		due_ns = rein_policy_add(now_ns - (now_ns - due_ns) % step_ns, step_ns);
	}
	return (struct rank){IN_TIME, due_ns};
}

/* Where it stands with its request, or would if it had one now. */
static struct rank rank(const struct edf *p, const struct rein_policy_client *c, uint64_t now_ns)
{
	const struct edf_client *e = c->priv;
	if (c->background)
		return other(c);
	if (is_server(c))
		return rank_server(c, now_ns);
	if (c->active && (c->due_ns || e->relative_ns))
		return rank_request(p, c, now_ns);
	if (e->relative_ns)
		return (struct rank){IN_TIME, rein_policy_add(now_ns, e->relative_ns)};
	return other(c);
}

static bool before(struct rank a, struct rank b)
{
	return a.kind != b.kind ? a.kind < b.kind : a.key < b.key;
}

/* ---------------------------------------------------------------- deciding */

struct top {
	const struct rein_policy_client *c; /* NULL: nobody runs */
	struct rank rank;
};

static void compete(struct top *top, const struct rein_policy_client *c, struct rank r)
{
	if (!c->active || r.kind == SPENT)
		return;
	bool tie = top->c && !before(r, top->rank) && !before(top->rank, r);
	if (!top->c || before(r, top->rank) || (tie && c->id < top->c->id))
		*top = (struct top){c, r};
}

/* May it go on beside the one on top: because it is that one, or its equal, or would be on top? */
static bool runs(const struct top *top, const struct rein_policy_client *c, struct rank r)
{
	if (r.kind == SPENT)
		return false;
	if (!top->c || c == top->c || (r.kind == OTHER && !before(top->rank, r)))
		return true;
	return !c->active && before(r, top->rank);
}

/* When what was decided for it may change by itself. */
static uint64_t changes(const struct top *top, const struct rein_policy_client *c, struct rank r,
                        uint64_t now_ns)
{
	const struct edf_client *e = c->priv;
	if (r.kind == SPENT || (r.kind == SPARE && c->active))
		return r.key; /* its budget is filled */
	if (r.kind != IN_TIME || c->background)
		return UINT64_MAX;
	if (!c->active) /* held from when on it would no longer be on top */
		return top->c && top->rank.kind == IN_TIME && before(r, top->rank)
		           ? rein_policy_add(now_ns, top->rank.key - r.key)
		           : UINT64_MAX;
	if (!is_server(c))
		return r.key; /* it is late */
	return c == top->c ? rein_server_ends(&e->server, now_ns) : UINT64_MAX;
}

struct registered {
	unsigned deadlines;
	int prio;
};

static bool metered(const struct registered *all, const struct rein_policy_client *c)
{
	if (!c->background && has_deadline(c))
		return all->deadlines > 1 || is_server(c);
	return all->deadlines || rein_policy_level(c) < all->prio;
}

static uint64_t edf_decide(struct rein_policy *base, struct rein_policy_client *const *c,
                           struct rein_policy_verdict *v, unsigned n, uint64_t now_ns)
{
	const struct edf *p = (const struct edf *)base;
	uint64_t next = UINT64_MAX;
	struct top top = {NULL, {SPENT, 0}};
	struct registered all = {0, -1};

	for (unsigned i = 0; i < n; i++) {
		struct edf_client *e = c[i]->priv;
		if (is_server(c[i]))
			rein_server_look(&e->server, c[i], now_ns);
		else if (c[i]->active && !c[i]->deadline_ns && c[i]->due_ns > c[i]->release_ns)
			e->relative_ns = c[i]->due_ns - c[i]->release_ns;
		e->rank = rank(p, c[i], now_ns);
		compete(&top, c[i], e->rank);
		all.deadlines += has_deadline(c[i]);
		all.prio = c[i]->prio > all.prio ? c[i]->prio : all.prio;
	}
	for (unsigned i = 0; i < n; i++) {
		struct edf_client *e = c[i]->priv;
		v[i].metered = metered(&all, c[i]);
		v[i].hold = !runs(&top, c[i], e->rank) && !c[i]->exempt;
		v[i].spare = e->rank.kind == SPARE && !v[i].hold;
		if (v[i].hold && e->rank.kind != SPENT)
			v[i].holder = top.c->id;
		rein_policy_sooner(&next, changes(&top, c[i], e->rank, now_ns));
	}
	return next;
}

/* A server's promise is its own, whatever it asks for; see is_server(). */
static int edf_admit(const struct rein_policy_params *params, const struct rein_task *task,
                     unsigned n, struct rein_bounds *out)
{
	struct rein_task with[REIN_POLICY_TASKS_MAX];
	if (n > REIN_POLICY_TASKS_MAX)
		return -E2BIG;
	for (unsigned i = 0; i < n; i++) {
		with[i] = task[i];
		with[i].server |= task[i].period_ns && !task[i].deadline_ns;
	}
	return rein_admission_edf(params, with, n, out);
}

const struct rein_policy_ops rein_policy_edf = {
    .name = "edf",
    .summary = "earliest deadline first, with admission; those without a deadline come last",
    .init = edf_init,
    .fini = edf_fini,
    .admit = edf_admit,
    .join = edf_join,
    .leave = edf_leave,
    .ready = edf_ready,
    .charge = edf_charge,
    .decide = edf_decide,
};
