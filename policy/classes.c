// SPDX-License-Identifier: Apache-2.0
/*
 * classes.c: the default, a composite of the other policies. Each client belongs to a band
 * (policy.h); inside each band a policy of its own decides, and a band in which somebody runs holds
 * all bands below it.
 *
 *	realtime      edf    a deadline, a period or a budget was declared
 *	interactive   prio   a priority above 0
 *	batch         mlfq   everybody of whom nothing was said; also whoever says that it does
 *	                     background work now (include/rein.h)
 *	idle          fair   what nobody else wants
 *
 * Suits: a machine with programs of all kinds, most of them not configured.
 * Fails: as its inner policies do. A band that never goes idle starves those below: give it a cap.
 *
 * Deadlines and budgets in one band: edf orders by deadline and does not enforce the budget of a
 * client that has a deadline, because the budget is somebody's estimate and the deadline is what
 * matters to it; a client with a budget and no deadline has reserved bandwidth and is a server
 * there (edf.c). Where budgets are to be enforced whatever was declared, put `cbs` into the band.
 *
 * Holding the bands below: does whoever is active in the band and not held by its inner policy,
 * except `spare` ones: a soft budget that is used up goes on only if no band below wants the device
 * either.
 *
 * Caps. A band that has used cap_permille of cap_period_ns on a device comes after all others until
 * the period is over (periods begin at multiples of cap_period_ns). It still runs if nobody else
 * wants the device.
 *
 * Metered: whom its inner policy meters, whoever has a band above it registered, and a band with a
 * cap.
 *
 * How it is made. A client joins the policy of its band, and that of `batch` too if it may work in
 * the background; its `priv` is lent to the inner policy for the time of each call. Inner policies
 * of bands that are held as a whole are not asked.
 *
 * Source: scheduling classes as in Linux and Solaris; caps as in Linux' sched_rt_runtime_us.
 */
#include "policies.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define N_MAX REIN_POLICY_TASKS_MAX

static const struct rein_policy_ops *const inner_default[REIN_BANDS] = {
    &rein_policy_edf, &rein_policy_prio, &rein_policy_mlfq, &rein_policy_fair};

struct member { /* rein_policy_client.priv */
	enum rein_band home, at;
	void *priv[2];       /* of the inner policy at home, and in batch if that is another */
	uint64_t cap_period; /* number of the period that `used_ns` is of */
	uint64_t used_ns;
};

/* The clients of one band, during a decision. */
struct sorted {
	struct rein_policy_client *client[N_MAX];
	struct member *member[N_MAX];
	unsigned index[N_MAX]; /* in the caller's arrays */
	struct rein_policy_verdict verdict[N_MAX];
};

struct classes {
	struct rein_policy base;
	struct rein_policy *inner[REIN_BANDS];
	uint64_t cap_ns[REIN_BANDS]; /* 0: none */
	uint64_t cap_period_ns;
	struct sorted sorted[REIN_BANDS];
};

/* ---------------------------------------------------------------- instances */

static void classes_fini(struct rein_policy *base)
{
	struct classes *p = (struct classes *)base;
	for (unsigned b = 0; b < REIN_BANDS; b++)
		if (p->inner[b])
			p->inner[b]->ops->fini(p->inner[b]);
	free(p);
}

static const struct rein_policy_ops *inner_of(const struct rein_policy_params *params, unsigned b)
{
	const struct rein_policy_ops *ops = params ? params->inner[b] : NULL;
	return ops && ops != &rein_policy_classes ? ops : inner_default[b];
}

static struct rein_policy *classes_init(const struct rein_policy_params *params)
{
	struct classes *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->base.ops = &rein_policy_classes;
	p->cap_period_ns =
	    params && params->cap_period_ns ? params->cap_period_ns : REIN_POLICY_CAP_PERIOD_NS;
	for (unsigned b = 0; b < REIN_BANDS; b++) {
		uint32_t permille = params ? params->cap_permille[b] : 0;
		if (permille && permille < 1000)
			p->cap_ns[b] = p->cap_period_ns / 1000 * permille +
			               p->cap_period_ns % 1000 * permille / 1000;
		p->inner[b] = inner_of(params, b)->init(params);
		if (!p->inner[b]) {
			classes_fini(&p->base);
			return NULL;
		}
	}
	return &p->base;
}

/* ---------------------------------------------------------------- members */

static struct rein_policy *policy_of(struct classes *p, const struct member *m)
{
	return p->inner[m->at];
}

static void **slot(struct member *m)
{
	return &m->priv[m->at != m->home];
}

/* Lends the client to the inner policy of band m->at, and takes it back. */
static struct member *lend(struct rein_policy_client *c)
{
	struct member *m = c->priv;
	c->priv = *slot(m);
	return m;
}

static void take_back(struct rein_policy_client *c, struct member *m)
{
	*slot(m) = c->priv;
	c->priv = m;
}

static enum rein_band home_of(const struct rein_policy_client *c)
{
	return (unsigned)c->band < REIN_BANDS ? c->band : REIN_BAND_BATCH;
}

static enum rein_band band_now(const struct rein_policy_client *c, const struct member *m)
{
	return c->background && m->home < REIN_BAND_BATCH ? REIN_BAND_BATCH : m->home;
}

static void tell(struct classes *p, struct rein_policy_client *c, bool ready, uint64_t now_ns)
{
	struct member *m = lend(c);
	const struct rein_policy_ops *ops = policy_of(p, m)->ops;
	if (ready && ops->ready)
		ops->ready(policy_of(p, m), c, now_ns);
	if (!ready && ops->idle)
		ops->idle(policy_of(p, m), c, now_ns);
	take_back(c, m);
}

static void inner_leave(struct classes *p, struct rein_policy_client *c, uint64_t now_ns)
{
	struct member *m = lend(c);
	if (policy_of(p, m)->ops->leave)
		policy_of(p, m)->ops->leave(policy_of(p, m), c, now_ns);
	take_back(c, m);
}

static int inner_join(struct classes *p, struct rein_policy_client *c, uint64_t now_ns)
{
	struct member *m = lend(c);
	const struct rein_policy_ops *ops = policy_of(p, m)->ops;
	int err = ops->join ? ops->join(policy_of(p, m), c, now_ns) : 0;
	take_back(c, m);
	return err;
}

static void classes_leave(struct rein_policy *base, struct rein_policy_client *c, uint64_t now_ns)
{
	struct classes *p = (struct classes *)base;
	struct member *m = c->priv;
	m->at = m->home;
	inner_leave(p, c, now_ns);
	m->at = REIN_BAND_BATCH;
	if (m->home < REIN_BAND_BATCH)
		inner_leave(p, c, now_ns);
	free(m);
	c->priv = NULL;
}

static int classes_join(struct rein_policy *base, struct rein_policy_client *c, uint64_t now_ns)
{
	struct classes *p = (struct classes *)base;
	struct member *m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	c->priv = m;
	m->home = m->at = home_of(c);
	int err = inner_join(p, c, now_ns);
	if (!err && m->home < REIN_BAND_BATCH) {
		m->at = REIN_BAND_BATCH;
		err = inner_join(p, c, now_ns);
		m->at = m->home;
		if (err)
			inner_leave(p, c, now_ns);
	}
	if (err) {
		free(m);
		c->priv = NULL;
		return err;
	}
	return 0;
}

static void classes_ready(struct rein_policy *base, struct rein_policy_client *c, uint64_t now_ns)
{
	struct member *m = c->priv;
	m->at = band_now(c, m);
	tell((struct classes *)base, c, true, now_ns);
}

static void classes_idle(struct rein_policy *base, struct rein_policy_client *c, uint64_t now_ns)
{
	tell((struct classes *)base, c, false, now_ns);
}

static void classes_charge(struct rein_policy *base, struct rein_policy_client *c, uint64_t now_ns,
                           uint64_t ns)
{
	struct classes *p = (struct classes *)base;
	struct member *m = lend(c);
	if (policy_of(p, m)->ops->charge)
		policy_of(p, m)->ops->charge(policy_of(p, m), c, now_ns, ns);
	take_back(c, m);
	if (m->cap_period != now_ns / p->cap_period_ns) {
		m->cap_period = now_ns / p->cap_period_ns;
		m->used_ns = 0;
	}
	m->used_ns = rein_policy_add(m->used_ns, ns);
}

/* Background or not may have changed since. */
static void settle(struct classes *p, struct rein_policy_client *c, uint64_t now_ns)
{
	struct member *m = c->priv;
	enum rein_band now = band_now(c, m);
	if (m->at == now)
		return;
	if (c->active)
		tell(p, c, false, now_ns);
	m->at = now;
	if (c->active)
		tell(p, c, true, now_ns);
}

/* ---------------------------------------------------------------- deciding */

struct band {
	struct sorted *at;
	struct rein_policy_verdict *v; /* at->verdict, or the caller's: nobody else is there */
	uint64_t used_ns;              /* in this cap period */
	unsigned n;
	unsigned homes; /* clients that belong to it, here or in the background */
	bool over;      /* its cap */
};

/* Sorts the device's clients by band; lends them all. One pass: with many clients, reading them is
 * most of what a decision costs. */
static void sort(struct classes *p, struct band *band, struct rein_policy_client *const *c,
                 unsigned n, uint64_t now_ns)
{
	uint64_t period = now_ns / p->cap_period_ns;
	for (unsigned i = 0; i < n; i++) {
		settle(p, c[i], now_ns);
		struct member *m = lend(c[i]);
		struct band *b = &band[m->at];
		b->at->client[b->n] = c[i];
		b->at->member[b->n] = m;
		b->at->index[b->n++] = i;
		band[m->home].homes++;
		if (p->cap_ns[m->at] && m->cap_period == period)
			b->used_ns = rein_policy_add(b->used_ns, m->used_ns);
	}
	for (unsigned b = 0; b < REIN_BANDS; b++)
		band[b].over = p->cap_ns[b] && band[b].used_ns >= p->cap_ns[b];
}

static void hold(struct rein_policy_verdict *v, const struct rein_policy_client *c, uint32_t holder)
{
	v->hold = !c->exempt;
	v->holder = v->hold ? holder : 0;
	v->spare = false;
}

/* Asks the inner policy, or holds the whole band for `holder`. */
static void ask(const struct band *b, struct rein_policy *inner,
                const struct rein_policy_client *holder, uint64_t now_ns, uint64_t *next)
{
	struct rein_policy_verdict *v = b->v;
	if (v == b->at->verdict)
		memset(v, 0, b->n * sizeof(*v));
	if (!holder) {
		rein_policy_sooner(next, inner->ops->decide(inner, b->at->client, v, b->n, now_ns));
		return;
	}
	for (unsigned i = 0; i < b->n; i++)
		hold(&v[i], b->at->client[i], holder->id);
}

/* Who of the band runs in earnest; NULL if nobody does. */
static const struct rein_policy_client *runner(const struct band *b)
{
	for (unsigned i = 0; i < b->n; i++) {
		const struct rein_policy_verdict *v = &b->v[i];
		if (b->at->client[i]->active && !v->hold && !v->spare)
			return b->at->client[i];
	}
	return NULL;
}

/* The spare ones of a band stop for a band below, and nobody is held for them any more. */
static void yield_spare(const struct band *b, uint32_t holder)
{
	struct rein_policy_verdict *v = b->v;
	uint32_t spare = 0;
	for (unsigned i = 0; i < b->n; i++)
		if (v[i].spare && !v[i].hold) {
			const struct rein_policy_client *c = b->at->client[i];
			spare = c->active ? c->id : spare;
			hold(&v[i], c, holder);
		}
	for (unsigned i = 0; spare && i < b->n; i++)
		if (v[i].hold && v[i].holder == spare)
			v[i].holder = holder;
}

/* Bands within their caps in their order, then the others. */
static void ask_all(struct classes *p, const struct band *band, uint64_t now_ns, uint64_t *next)
{
	const struct rein_policy_client *top = NULL;
	for (unsigned k = 0; k < 2 * REIN_BANDS; k++) {
		const struct band *b = &band[k % REIN_BANDS];
		if (!b->n || b->over != (k >= REIN_BANDS))
			continue;
		ask(b, p->inner[k % REIN_BANDS], top, now_ns, next);
		if (b->over)
			rein_policy_sooner(next,
			                   (now_ns / p->cap_period_ns + 1) * p->cap_period_ns);
		if (top)
			continue;
		top = runner(b);
		uint64_t cap_ns = p->cap_ns[k % REIN_BANDS];
		if (top && !b->over && cap_ns)
			rein_policy_sooner(next, rein_policy_add(now_ns, cap_ns - b->used_ns));
	}
	for (unsigned b = 0; top && b < REIN_BANDS; b++)
		yield_spare(&band[b], top->id);
}

static uint64_t classes_decide(struct rein_policy *base, struct rein_policy_client *const *c,
                               struct rein_policy_verdict *v, unsigned n, uint64_t now_ns)
{
	struct classes *p = (struct classes *)base;
	struct band band[REIN_BANDS] = {0};
	uint64_t next = UINT64_MAX;
	assert(n <= N_MAX);
	for (unsigned b = 0; b < REIN_BANDS; b++)
		band[b].at = &p->sorted[b];
	sort(p, band, c, n, now_ns);
	for (unsigned b = 0; b < REIN_BANDS; b++)
		band[b].v = band[b].n == n ? v : band[b].at->verdict;
	ask_all(p, band, now_ns, &next);
	unsigned above = 0;
	for (unsigned b = 0; b < REIN_BANDS; b++) {
		const struct sorted *at = band[b].at;
		/* also those of this band that are in the background now: they come back */
		bool away = band[b].homes > band[b].n;
		bool metered = above || away || (p->cap_ns[b] && n > band[b].n);
		for (unsigned i = 0; i < band[b].n; i++) {
			struct rein_policy_verdict *to = &v[at->index[i]];
			if (band[b].v != v)
				*to = at->verdict[i];
			to->metered |= metered;
			take_back(at->client[i], at->member[i]);
		}
		above += band[b].homes;
	}
	return next;
}

/* Which tasks are servers depends on the policy of their band, as in their own admit. */
static int classes_admit(const struct rein_policy_params *params, const struct rein_task *task,
                         unsigned n, struct rein_bounds *out)
{
	struct rein_task with[REIN_POLICY_TASKS_MAX];
	if (n > REIN_POLICY_TASKS_MAX)
		return -E2BIG;
	for (unsigned i = 0; i < n; i++) {
		with[i] = task[i];
		unsigned b =
		    (unsigned)task[i].band < REIN_BANDS ? (unsigned)task[i].band : REIN_BAND_BATCH;
		const struct rein_policy_ops *inner = inner_of(params, b);
		if (inner == &rein_policy_cbs)
			with[i].server = task[i].period_ns && task[i].cost_ns;
		else if (inner == &rein_policy_edf)
			with[i].server |= task[i].period_ns && !task[i].deadline_ns;
	}
	return rein_admission_classes(params, with, n, out);
}

const struct rein_policy_ops rein_policy_classes = {
    .name = "classes",
    .summary = "realtime over interactive over batch over idle, each band with its own policy",
    .init = classes_init,
    .fini = classes_fini,
    .admit = classes_admit,
    .join = classes_join,
    .leave = classes_leave,
    .ready = classes_ready,
    .idle = classes_idle,
    .charge = classes_charge,
    .decide = classes_decide,
};
