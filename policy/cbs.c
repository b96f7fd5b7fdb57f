// SPDX-License-Identifier: Apache-2.0
/*
 * cbs.c: constant-bandwidth servers. Each client with a budget Q and a period P gets Q of GPU time
 * in every P, whatever the others do, and whatever it asks for the others keep theirs.
 *
 * Suits: reservations for programs that nobody trusts to keep to what they declared; tenants.
 * Fails: clients with a deadline and no budget (they come after all budgets: declare one, or use
 * `edf`); kernels that are long against the budget: one overruns it, and is paid for afterwards.
 *
 * Order, each kind only while none of the kinds above is active
 *	servers   with budget left: the earliest server deadline (server.h); ties by id
 *	others    without a budget, and clients in the background: turns by weight (turn.h)
 *	spent     soft budgets that are used up (verdict `spare`), the one that is filled first
 * A hard budget that is used up: held (holder 0) until it is filled, even if the device is idle;
 *the only case in which this policy is not work-conserving.
 *
 * Reclaiming. A spent soft server uses what nobody else wants, so the time that others reserve and
 * leave unused goes first to those without a budget and then to it, and costs it nothing. With
 * `no_reclaim` it is an advance, taken from its next budget (at most all of that). This keeps the
 * bound below, which reclaiming at server priority (GRUB, Lipari & Baruah 2000) gives up.
 *
 * What holds, with q for what a client still runs after its gate closed (the greater of its backlog
 * and its longest kernel). In any window t a server gets at most (⌈t/P⌉ + 1)·Q + q: of all GPU time
 *if its budget is hard, and of the time in which anybody else wants the device if it is soft.
 *Server requests of at most Q, at least P apart, end within P if admission accepts the set. Tested
 *on charges that are right; the daemon's are as good as daemon/account.c.
 *
 * Metered: whoever is not alone on the device, and a server always: its budget ends.
 *
 * Source: Abeni & Buttazzo, RTSS 1998, see server.h.
 */
#include "policies.h"
#include "server.h"
#include "turn.h"

#include <errno.h>

struct cbs {
	struct rein_policy base;
	uint64_t quantum_ns;
	uint64_t reaction_ns;
	bool no_reclaim;
};

struct cbs_client {
	struct rein_turn turn; /* first, for turn.c */
	struct rein_server server;
	uint64_t due_ns; /* in the decision that is being made; UINT64_MAX: spent */
};

static struct rein_policy *cbs_init(const struct rein_policy_params *params)
{
	struct cbs *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->base.ops = &rein_policy_cbs;
	p->quantum_ns = params && params->quantum_ns ? params->quantum_ns : REIN_TURN_QUANTUM_NS;
	p->reaction_ns = params ? params->reaction_ns : 0;
	p->no_reclaim = params && params->no_reclaim;
	return &p->base;
}

static void cbs_fini(struct rein_policy *base)
{
	free(base);
}

static bool is_server(const struct rein_policy_client *c)
{
	return c->budget_ns && c->period_ns;
}

/* Is it one now? Background work is not what the budget is for. */
static bool serves(const struct rein_policy_client *c)
{
	return is_server(c) && !c->background;
}

static int cbs_join(struct rein_policy *base, struct rein_policy_client *c, uint64_t now_ns)
{
	const struct cbs *p = (const struct cbs *)base;
	struct cbs_client *b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	rein_server_join(&b->server, p->reaction_ns);
	rein_turn_join(&b->turn, now_ns);
	c->priv = b;
	return 0;
}

static void cbs_leave(struct rein_policy *base, struct rein_policy_client *c, uint64_t now_ns)
{
	free(c->priv);
	c->priv = NULL;
}

static void cbs_ready(struct rein_policy *base, struct rein_policy_client *c, uint64_t now_ns)
{
	struct cbs_client *b = c->priv;
	rein_turn_ready(&b->turn, now_ns);
	if (serves(c))
		rein_server_ready(&b->server, c, now_ns);
}

static void cbs_idle(struct rein_policy *base, struct rein_policy_client *c, uint64_t now_ns)
{
	struct cbs_client *b = c->priv;
	rein_turn_idle(&b->turn);
}

static void cbs_charge(struct rein_policy *base, struct rein_policy_client *c, uint64_t now_ns,
                       uint64_t ns)
{
	const struct cbs *p = (const struct cbs *)base;
	struct cbs_client *b = c->priv;
	if (serves(c))
		rein_server_charge(&b->server, c, ns, p->no_reclaim);
	else
		rein_turn_charge(&b->turn, c, now_ns, ns);
}

/* ---------------------------------------------------------------- deciding */

enum kind { SERVER, TURN, SPENT, NOBODY };

struct top {
	enum kind kind;
	unsigned i; /* n: nobody */
	uint64_t due_ns;
};

static enum kind kind_of(const struct rein_policy_client *c)
{
	const struct cbs_client *b = c->priv;
	return !serves(c) ? TURN : b->due_ns == UINT64_MAX ? SPENT : SERVER;
}

/* What the kind is ordered by; turns have an order of their own. */
static uint64_t key_of(const struct rein_policy_client *c, enum kind kind)
{
	const struct cbs_client *b = c->priv;
	return kind == SPENT ? b->server.due_ns : b->due_ns;
}

static void look(struct rein_policy_client *c, uint64_t now_ns)
{
	struct cbs_client *b = c->priv;
	bool server = is_server(c);
	if (server) {
		rein_server_look(&b->server, c, now_ns);
		b->due_ns = rein_server_deadline(&b->server, c, now_ns);
	}
	b->turn.shares = !server || c->background;
	b->turn.in = b->turn.shares && c->active;
}

static struct top find_top(const struct cbs *p, struct rein_policy_client *const *c, unsigned n,
                           uint64_t now_ns, uint64_t *next)
{
	struct top top = {NOBODY, n, 0};
	uint64_t turn_ends_ns = UINT64_MAX;
	for (unsigned i = 0; i < n; i++)
		look(c[i], now_ns);
	unsigned turn = rein_turn_pick(c, n, p->quantum_ns, now_ns, &turn_ends_ns);
	for (unsigned i = 0; i < n; i++) {
		enum kind kind = kind_of(c[i]);
		uint64_t key = key_of(c[i], kind);
		if (!c[i]->active || kind > top.kind || (kind == TURN && i != turn) ||
		    (kind == SPENT && c[i]->budget_hard))
			continue;
		if (kind < top.kind || key < top.due_ns ||
		    (key == top.due_ns && c[i]->id < c[top.i]->id))
			top = (struct top){kind, i, key};
	}
	if (top.kind == TURN)
		rein_policy_sooner(next, turn_ends_ns);
	return top;
}

static bool runs(const struct top *top, const struct rein_policy_client *c, unsigned i)
{
	enum kind kind = kind_of(c);
	if (kind == SPENT && c->budget_hard)
		return false;
	if (top->kind == NOBODY || i == top->i)
		return true;
	/* without a request: would it run at once if it had one? */
	return !c->active &&
	       (kind < top->kind || (kind == SERVER && key_of(c, kind) < top->due_ns));
}

/* When what was decided for it may change by itself. */
static uint64_t changes(const struct top *top, const struct rein_policy_client *c, unsigned i,
                        uint64_t now_ns)
{
	const struct cbs_client *b = c->priv;
	enum kind kind = kind_of(c);
	if (kind == SPENT)
		return c->active || c->budget_hard ? b->server.due_ns : UINT64_MAX;
	if (kind == TURN)
		return UINT64_MAX;
	if (i == top->i)
		return rein_server_ends(&b->server, now_ns);
	bool would = !c->active && top->kind == SERVER && b->due_ns < top->due_ns;
	return would ? rein_policy_add(now_ns, top->due_ns - b->due_ns) : UINT64_MAX;
}

static uint64_t cbs_decide(struct rein_policy *base, struct rein_policy_client *const *c,
                           struct rein_policy_verdict *v, unsigned n, uint64_t now_ns)
{
	const struct cbs *p = (const struct cbs *)base;
	uint64_t next = UINT64_MAX;
	struct top top = find_top(p, c, n, now_ns, &next);

	for (unsigned i = 0; i < n; i++) {
		enum kind kind = kind_of(c[i]);
		v[i].metered = n > 1 || is_server(c[i]);
		v[i].hold = !runs(&top, c[i], i) && !c[i]->exempt;
		v[i].spare = kind == SPENT && !c[i]->budget_hard && !v[i].hold;
		if (v[i].hold && !(kind == SPENT && c[i]->budget_hard))
			v[i].holder = c[top.i]->id;
		rein_policy_sooner(&next, changes(&top, c[i], i, now_ns));
	}
	return next;
}

/* Whoever has a cost and a period is a server here. */
static int cbs_admit(const struct rein_policy_params *params, const struct rein_task *task,
                     unsigned n, struct rein_bounds *out)
{
	struct rein_task with[REIN_POLICY_TASKS_MAX];
	if (n > REIN_POLICY_TASKS_MAX)
		return -E2BIG;
	for (unsigned i = 0; i < n; i++) {
		with[i] = task[i];
		with[i].server = task[i].period_ns && task[i].cost_ns;
	}
	return rein_admission_edf(params, with, n, out);
}

const struct rein_policy_ops rein_policy_cbs = {
    .name = "cbs",
    .summary = "budgets per period, enforced, with admission; those without one get what is left",
    .init = cbs_init,
    .fini = cbs_fini,
    .admit = cbs_admit,
    .join = cbs_join,
    .leave = cbs_leave,
    .ready = cbs_ready,
    .idle = cbs_idle,
    .charge = cbs_charge,
    .decide = cbs_decide,
};
