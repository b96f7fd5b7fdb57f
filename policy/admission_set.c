// SPDX-License-Identifier: Apache-2.0
/*
 * admission_set.c: a set of tasks made ready for analysis, and what the policies' admit functions
 * call: one analysis for all, or one for each band of `classes` below those above it.
 */
#include "admission_int.h"

#include <errno.h>
#include <string.h>

enum kind { KIND_NONE, KIND_FIXED, KIND_EDF };

/* ---------------------------------------------------------------- scene */

bool rein_scene_visit(struct rein_scene *s, uint64_t n)
{
	s->visits -= ns_min(n + 1, s->visits);
	return s->visits > 0;
}

/* A server may have saved one budget, and overrun by what it had queued. */
static uint64_t ahead_extra(const struct rein_load *l)
{
	return l->server ? ns_add(l->occupancy, l->block) : 0;
}

uint64_t rein_scene_ahead(struct rein_scene *s, uint64_t w)
{
	uint64_t total = 0;
	for (unsigned i = 0; i < s->n_ahead; i++) {
		const struct rein_ahead *a = &s->ahead[i];
		uint64_t sum = a->unbounded ? NS_UNBOUNDED : 0;
		for (unsigned j = 0; j < a->n && sum != NS_UNBOUNDED; j++) {
			const struct rein_load *l = &a->load[j];
			sum = ns_add(sum, ns_mul(ns_periods(w, l->period), l->occupancy));
			sum = ns_add(sum, ahead_extra(l));
		}
		/* the window can begin just before one period of the cap ends */
		if (a->cap)
			sum = ns_min(sum, ns_mul(ns_periods(w, a->cap_period) + 1, a->cap));
		total = ns_add(total, sum);
		(void)rein_scene_visit(s, a->n);
	}
	return total;
}

void rein_scene_ahead_rate(const struct rein_scene *s, uint64_t *rate, uint64_t *burst)
{
	*rate = *burst = 0;
	for (unsigned i = 0; i < s->n_ahead; i++) {
		const struct rein_ahead *a = &s->ahead[i];
		uint64_t r = a->unbounded ? NS_UNBOUNDED : 0, b = 0;
		for (unsigned j = 0; j < a->n && r != NS_UNBOUNDED; j++) {
			const struct rein_load *l = &a->load[j];
			r = ns_add(r, ns_rate(l->occupancy, l->period));
			b = ns_add(b, ns_add(l->occupancy, ahead_extra(l)));
		}
		if (a->cap && ns_rate(a->cap, a->cap_period) < r) {
			r = ns_rate(a->cap, a->cap_period);
			b = ns_mul(2, a->cap);
		}
		*rate = ns_add(*rate, r);
		*burst = ns_add(*burst, b);
	}
}

/* ---------------------------------------------------------------- loads */

static int read_task(const struct rein_task *t, uint64_t backlog_ns, struct rein_load *l)
{
	const uint64_t times[] = {t->period_ns,  t->deadline_ns, t->cost_ns,
	                          t->longest_ns, backlog_ns,     t->linger_ns};
	for (unsigned i = 0; i < REIN_ARRAY_LEN(times); i++)
		if (times[i] > REIN_ADMISSION_TIME_MAX_NS)
			return -EINVAL;
	l->prio = t->prio;
	l->band = t->band;
	l->block = ns_max(backlog_ns, t->longest_ns);
	l->timed = t->period_ns != 0;
	if (!l->timed)
		return 0;
	l->server = t->server;
	l->period = t->period_ns;
	l->deadline = t->deadline_ns ? t->deadline_ns : t->period_ns;
	l->due = t->server ? l->period : l->deadline;
	l->cost = t->cost_ns;
	l->tail = t->linger_ns;
	return t->cost_ns == 0 || t->cost_ns > l->deadline ? -EINVAL : 0;
}

/* More urgent first. Equal: neither preempts the other. */
static int by_prio(const void *a, const void *b)
{
	const struct rein_load *x = a, *y = b;
	return (y->prio > x->prio) - (y->prio < x->prio);
}

static int by_due(const void *a, const void *b)
{
	const struct rein_load *x = a, *y = b;
	if (x->timed != y->timed)
		return y->timed - x->timed;
	return (x->due > y->due) - (x->due < y->due);
}

static int alike(const void *a, const void *b)
{
	return 0;
}

static int by_band(const void *a, const void *b)
{
	const struct rein_load *x = a, *y = b;
	return (x->band > y->band) - (x->band < y->band);
}

/* How the tasks of one analysis preempt each other. */
static const struct {
	int (*order)(const void *, const void *);
	bool turns; /* equals both have open gates, and take turns on the device all the time */
} rule[] = {
    [KIND_NONE] = {alike, true}, [KIND_FIXED] = {by_prio, true}, [KIND_EDF] = {by_due, false}};

/* The longest remainder of a task with timing: what a request may leave in the queues by preempting
 * it. (One without timing is not let in again before the busy period is over: its remainder
 * counts once, as a block.) */
static uint64_t longest_block(const struct rein_load *load, unsigned n)
{
	uint64_t longest = 0;
	for (unsigned i = 0; i < n; i++)
		longest = ns_max(longest, load[i].timed ? load[i].block : 0);
	return longest;
}

static bool has_server(const struct rein_load *load, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (load[i].timed && load[i].server)
			return true;
	return false;
}

/* What changes of context add to one task, which preempts remainders up to `preempted`. */
static void add_changes(const struct rein_policy_params *p, struct rein_load *l, bool turns,
                        uint64_t preempted)
{
	uint64_t slice = p && p->timeslice_ns ? p->timeslice_ns : REIN_ADMISSION_TIMESLICE_NS;
	uint64_t two = p ? ns_mul(2, p->switch_ns) : 0, declared = l->cost;
	l->block = ns_add(l->block, ns_mul(two, ns_periods(l->block, slice)));
	if (!l->timed)
		return;
	l->cost = ns_add(declared, ns_mul(two, 1 + (turns ? declared / slice : 0)));
	l->tail = ns_add(l->tail, p ? p->reaction_ns : 0);
	l->occupancy = ns_add(ns_add(l->cost, l->tail), ns_mul(two, ns_periods(preempted, slice)));
	l->overhead = l->occupancy - declared;
}

/* Sorts load[0…n) by urgency and makes them ready; `preempted` by all of them, from below. */
static void arrange(const struct rein_policy_params *p, enum kind kind, struct rein_load *load,
                    unsigned n, uint64_t preempted)
{
	int (*order)(const void *, const void *) = rule[kind].order;
	qsort(load, n, sizeof(*load), order);
	/* a server's deadline may be any time away: it can preempt every other */
	if (kind == KIND_EDF && has_server(load, n))
		preempted = ns_max(preempted, longest_block(load, n));
	for (unsigned end = n, i; end > 0; end = i) {
		for (i = end - 1; i > 0 && order(&load[i - 1], &load[end - 1]) == 0; i--)
			;
		uint64_t longest = ns_max(preempted, longest_block(&load[i], end - i));
		bool turns = rule[kind].turns && end - i > 1;
		for (unsigned k = i; k < end; k++)
			add_changes(p, &load[k], turns, turns ? preempted : longest);
		preempted = longest;
	}
}

/* ---------------------------------------------------------------- one band */

static void analyse(enum kind kind, struct rein_scene *scene, const struct rein_load *load,
                    unsigned n, uint64_t *response)
{
	unsigned timed = n;
	if (kind == KIND_FIXED)
		rein_scene_fixed(scene, load, n, response);
	if (kind != KIND_EDF)
		return;
	for (; timed > 0 && !load[timed - 1].timed; timed--)
		scene->below = ns_add(scene->below, load[timed - 1].block);
	rein_scene_edf(scene, load, timed, response);
}

static int verdict(const struct rein_load *load, unsigned n, const uint64_t *response)
{
	for (unsigned i = 0; i < n; i++)
		if (load[i].timed && response[load[i].index] > load[i].deadline)
			return 1;
	return 0;
}

static int read_set(const struct rein_task *task, unsigned n, struct rein_bounds *out,
                    struct rein_load *load)
{
	if (n > REIN_POLICY_TASKS_MAX)
		return -E2BIG;
	for (unsigned i = 0; i < n; i++)
		out->response_ns[i] = NS_UNBOUNDED;
	for (unsigned i = 0; i < n; i++) {
		load[i] = (struct rein_load){.index = i};
		if (read_task(&task[i], out->backlog_ns[i], &load[i]))
			return -EINVAL;
	}
	return 0;
}

static struct rein_scene new_scene(const struct rein_policy_params *p)
{
	return (struct rein_scene){.reaction = p ? p->reaction_ns : 0,
	                           .visits = ADMISSION_VISITS_MAX};
}

static bool params_ok(const struct rein_policy_params *p)
{
	return !p || (p->switch_ns <= REIN_ADMISSION_TIME_MAX_NS &&
	              p->reaction_ns <= REIN_ADMISSION_TIME_MAX_NS);
}

static int analyse_all(enum kind kind, const struct rein_policy_params *params,
                       const struct rein_task *task, unsigned n, struct rein_bounds *out)
{
	struct rein_load load[REIN_POLICY_TASKS_MAX];
	int err = params_ok(params) ? read_set(task, n, out, load) : -EINVAL;
	if (err)
		return err;
	arrange(params, kind, load, n, 0);
	struct rein_scene scene = new_scene(params);
	analyse(kind, &scene, load, n, out->response_ns);
	return verdict(load, n, out->response_ns);
}

/* Ageing lets less urgent tasks in, some time: then nothing is promised. */
static enum kind kind_fixed(const struct rein_policy_params *p)
{
	return p && p->ageing_ns ? KIND_NONE : KIND_FIXED;
}

int rein_admission_fixed(const struct rein_policy_params *params, const struct rein_task *task,
                         unsigned n, struct rein_bounds *out)
{
	return analyse_all(kind_fixed(params), params, task, n, out);
}

int rein_admission_edf(const struct rein_policy_params *params, const struct rein_task *task,
                       unsigned n, struct rein_bounds *out)
{
	return analyse_all(KIND_EDF, params, task, n, out);
}

/* ---------------------------------------------------------------- classes */

struct band {
	struct rein_load *load;
	unsigned n;
	enum kind kind;
	bool at_cap;    /* its own tasks could come to its cap */
	uint64_t block; /* of all its tasks */
	struct rein_ahead ahead;
};

static enum kind kind_of(const struct rein_policy_params *p, unsigned band)
{
	static const char *const usual[REIN_BANDS] = {"edf", "prio"};
	const char *name = p && p->inner[band] ? p->inner[band]->name : usual[band];
	if (name && (strcmp(name, "edf") == 0 || strcmp(name, "cbs") == 0))
		return KIND_EDF;
	return name && strcmp(name, "prio") == 0 ? kind_fixed(p) : KIND_NONE;
}

/* Could its own tasks come to the cap of the band? A request that ends in time runs only in the
 * periods of the cap that its deadline reaches. It is charged for what it waits for behind its open
 * gate too (daemon/account.c): `others`, the remainders of all other bands, once a request. */
static bool cap_binds(const struct band *b, uint64_t cap, uint64_t cap_period, uint64_t others)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < b->n; i++) {
		const struct rein_load *l = &b->load[i];
		if (!l->timed)
			return true;
		uint64_t requests = ns_periods(ns_add(cap_period, l->deadline), l->period);
		sum = ns_add(sum, ns_mul(requests, ns_add(l->occupancy, others)));
		sum = ns_add(sum, ahead_extra(l));
	}
	return sum > cap;
}

static void make_band(const struct rein_policy_params *p, unsigned index, struct band *b,
                      uint64_t preempted)
{
	b->kind = kind_of(p, index);
	arrange(p, b->kind, b->load, b->n, preempted);
	b->ahead = (struct rein_ahead){.load = b->load, .n = b->n};
	for (unsigned i = 0; i < b->n; i++) {
		b->block = ns_add(b->block, b->load[i].block);
		b->ahead.unbounded |= !b->load[i].timed;
	}
}

/* `others`: the remainders of all other bands. */
static void set_cap(const struct rein_policy_params *p, unsigned index, struct band *b,
                    uint64_t others)
{
	if (!p || !p->cap_permille[index] || p->cap_permille[index] >= 1000)
		return;
	b->ahead.cap_period = p->cap_period_ns ? p->cap_period_ns : REIN_POLICY_CAP_PERIOD_NS;
	uint64_t cap = ns_scale(b->ahead.cap_period, p->cap_permille[index], 1000);
	b->at_cap = cap_binds(b, cap, b->ahead.cap_period, others);
	b->ahead.cap =
	    ns_add(cap, ns_add(b->block, p->reaction_ns)); /* what is queued at its end */
}

int rein_admission_classes(const struct rein_policy_params *params, const struct rein_task *task,
                           unsigned n, struct rein_bounds *out)
{
	struct rein_load load[REIN_POLICY_TASKS_MAX];
	struct band band[REIN_BANDS] = {0};
	int err = params_ok(params) ? read_set(task, n, out, load) : -EINVAL, unsafe = 0;
	for (unsigned i = 0; !err && i < n; i++)
		err = task[i].band < 0 || task[i].band >= REIN_BANDS ? -EINVAL : 0;
	if (err)
		return err;
	qsort(load, n, sizeof(load[0]), by_band);
	uint64_t preempted = 0;
	unsigned end = n;
	for (unsigned b = REIN_BANDS; b-- > 0;) {
		unsigned first = end;
		while (first > 0 && load[first - 1].band == (int)b)
			first--;
		band[b].load = load + first;
		band[b].n = end - first;
		uint64_t longest = longest_block(load + first, end - first);
		make_band(params, b, &band[b], preempted);
		preempted = ns_max(preempted, longest);
		end = first;
	}
	for (unsigned b = 0; b < REIN_BANDS; b++) {
		uint64_t others = 0;
		for (unsigned o = 0; o < REIN_BANDS; o++)
			others = o != b ? ns_add(others, band[o].block) : others;
		set_cap(params, b, &band[b], others);
	}
	struct rein_scene scene = new_scene(params);
	for (unsigned b = 0; b < REIN_BANDS; b++) {
		/* what may have been let in before: all below, and above what was at its cap */
		scene.below = 0;
		for (unsigned o = 0; o < REIN_BANDS; o++)
			if (o > b || (o < b && band[o].ahead.cap))
				scene.below = ns_add(scene.below, band[o].block);
		if (!band[b].at_cap)
			analyse(band[b].kind, &scene, band[b].load, band[b].n, out->response_ns);
		if (band[b].kind != KIND_NONE)
			unsafe |= verdict(band[b].load, band[b].n, out->response_ns);
		scene.ahead[scene.n_ahead++] = band[b].ahead;
	}
	return unsafe;
}
