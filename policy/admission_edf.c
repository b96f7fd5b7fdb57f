// SPDX-License-Identifier: Apache-2.0
/*
 * admission_edf.c: response times under earliest deadline first.
 *
 * Take a request with the absolute deadline d, and go back to t0, the last instant before its
 * release at which no request with a deadline up to d was unfinished or lingering. From t0 on until
 * it ends the device works on nothing but requests that are released at t0 or later and due by
 * d, the remainders of what is due later and was let in before the gates closed, and what is ahead
 * of all (upper bands of `classes`). With the *window* t = d − t0, o_j for what a request of j
 * takes from others, and n_j(t) = ⌊(t − D_j)/T_j⌋ + 1 of them due within t, that is done at the
 * latest after
 *
 *     W(t) = B(t) + ρ + A(W(t)) + Σ_{D_j ≤ t} min(⌈W(t)/T_j⌉, n_j(t))·o_j      (least solution)
 *     B(t) = remainders of all j with D_j > t, of all servers, and of all without timing
 *
 * (Spuri, INRIA RR-2772, 1996, with remainders; he lets the task's own requests begin later, which
 * can only shorten this.) The request was released t − D_i after t0, so its response time is at
 * most D_i − slack, where slack is the least t − W(t) of all windows t ≥ D_i. All deadlines are
 * kept if no slack is negative: without B that is the processor demand criterion of Baruah,
 * Rosier & Howell 1990, which is exact.
 *
 * What ρ does to the order. The arbiter learns of a request up to ρ after its release and then
 * counts its deadline from there, so two deadlines less than ρ apart can change places, and who is
 * let in because it would be first can turn out to be second by so much. Hence requests that are
 * due up to ρ after d count as due by d, and B(t) takes all with D_j > t − 2ρ. Besides, a task
 * whose next request may come before the arbiter has taken notice of the end of the last one (R_j +
 * linger + ρ > T_j) lets in work of it at an open gate, whatever its deadline: its remainder is in
 * B of every window. And if it does not declare its requests (it lingers) the two would be taken
 * for one, with the first's deadline: that has no bound, so its response time counts the linger.
 *
 * One descent through the windows gives the slack of all tasks, the one with the longest deadline
 * first. It leaps as QPA does (Zhang & Burns, IEEE Trans. Computers 58(9), 2009): while B(t) stays
 * the same W never rises as t falls, so with m for the least slack so far, every t' between
 * W(t) + m and t has t' − W(t') ≥ t' − W(t) > m and can be left out. B rises where t falls below
 * one D_j + 2ρ, so no leap goes past that. Between two ends of windows only the larger t has the
 * larger slack, so only ends are looked at.
 *
 * Servers (Abeni & Buttazzo, RTSS 1998, theorem 1): what a server with Q every P does by deadlines
 * within a window of t is at most t·Q/P, however much is asked of it, and it need not come in
 * steps of P; it pays what a request pays for each of its pieces, one of them partial. It can
 * overrun by what is queued when its budget ends, and that is paid for by its next budget: one
 * remainder, in every window.
 */
#include "admission_int.h"

#define MARK_PASSES 3
#define GUESSES 16

struct descent {
	struct rein_scene *scene;
	const struct rein_load *load; /* by `due`, ascending */
	unsigned n;
	bool always[REIN_POLICY_TASKS_MAX];        /* its remainder is in B of every window */
	uint64_t later[REIN_POLICY_TASKS_MAX + 1]; /* B(t) by the first that is due later */
	uint64_t jobs[REIN_POLICY_TASKS_MAX];      /* n_j(t) */
	int64_t beyond[REIN_POLICY_TASKS_MAX];     /* slack of the windows beyond D_j + 2ρ */
};

/* ---------------------------------------------------------------- W(t) */

static uint64_t server_demand(const struct rein_load *l, uint64_t t)
{
	return ns_add(ns_scale(t, l->occupancy, l->period), l->overhead);
}

/*
 * load[0…k) are due within t; load[b…n) may have let in remainders of what is due later. W(t), or
 * more than that if it is no more than `enough`: the sum without regard to when the requests come.
 */
static uint64_t finish(struct descent *d, uint64_t t, unsigned k, unsigned b, uint64_t enough)
{
	uint64_t fixed = ns_add(d->later[b], d->scene->reaction);
	uint64_t sum = d->scene->n_ahead ? NS_UNBOUNDED : fixed;
	for (unsigned j = 0; j < k; j++) {
		const struct rein_load *l = &d->load[j];
		uint64_t demand =
		    l->server ? server_demand(l, t)
			      : ns_mul(d->jobs[j] = (t - l->due) / l->period + 1, l->occupancy);
		fixed = l->server ? ns_add(fixed, demand) : fixed;
		sum = ns_add(sum, demand);
	}
	if (!rein_scene_visit(d->scene, k))
		return NS_UNBOUNDED;
	if (sum <= enough)
		return sum;
	uint64_t w = fixed; /* and at least one of each */
	for (unsigned j = 0; j < k; j++)
		w = ns_add(w, d->load[j].server ? 0 : d->load[j].occupancy);
	while (w <= REIN_ADMISSION_TIME_MAX_NS) {
		if (!rein_scene_visit(d->scene, k))
			return NS_UNBOUNDED;
		uint64_t all = ns_add(fixed, rein_scene_ahead(d->scene, w));
		for (unsigned j = 0; j < k; j++) {
			const struct rein_load *l = &d->load[j];
			if (!l->server)
				all =
				    ns_add(all, ns_mul(ns_min(ns_periods(w, l->period), d->jobs[j]),
				                       l->occupancy));
		}
		if (all <= w)
			return w;
		w = all;
	}
	return NS_UNBOUNDED;
}

/* B(t): later[b] where load[b…n) can have let in what is due later than the window. */
static void find_remainders(struct descent *d)
{
	d->later[d->n] = d->scene->below;
	for (unsigned j = 0; j < d->n; j++)
		if (d->always[j])
			d->later[d->n] = ns_add(d->later[d->n], d->load[j].block);
	for (unsigned k = d->n; k > 0; k--)
		d->later[k - 1] = ns_add(d->later[k], d->always[k - 1] ? 0 : d->load[k - 1].block);
}

/* ---------------------------------------------------------------- where to begin */

/* The longest busy period; UINT64_MAX: there is no end to it, or not soon enough. */
static uint64_t busy_period(struct descent *d)
{
	uint64_t w = 1;
	for (unsigned step = 0; step < 1000; step++) {
		if (!rein_scene_visit(d->scene, d->n))
			return NS_UNBOUNDED;
		uint64_t next = ns_add(d->later[0], d->scene->reaction);
		next = ns_add(next, rein_scene_ahead(d->scene, w));
		for (unsigned j = 0; j < d->n; j++)
			next = ns_add(
			    next, ns_mul(ns_periods(w, d->load[j].period), d->load[j].occupancy));
		if (next > REIN_ADMISSION_TIME_MAX_NS)
			return NS_UNBOUNDED;
		if (next <= w)
			return w;
		w = next;
	}
	return NS_UNBOUNDED;
}

/*
 * A window beyond which every slack is greater than that of some window which is looked at. Two
 * ways. A request of i is released within a busy period L, so t < L + D_i; but servers may keep the
 * device busy for ever. Or by rates: what is ahead takes at most a·w + burst, demand is at most
 * u·t + burst, so that t − W(t) ≥ max D for all t above (all bursts + B + ρ + max D) / (1 − a − u),
 * and the slack of the window D_i is below that.
 */
static uint64_t horizon(struct descent *d)
{
	uint64_t rate, bursts, longest = d->load[d->n - 1].due;
	bool servers = false;
	rein_scene_ahead_rate(d->scene, &rate, &bursts);
	bursts = ns_add(ns_add(bursts, d->later[0]), ns_mul(2, d->scene->reaction));
	for (unsigned j = 0; j < d->n; j++) {
		const struct rein_load *l = &d->load[j];
		rate = ns_add(rate, ns_rate(l->occupancy, l->period));
		/* n_j(t)·o_j ≤ t·o_j/T_j + o_j·max(0, T_j − D_j)/T_j */
		if (l->due < l->period)
			bursts =
			    ns_add(bursts, ns_scale(l->period - l->due, l->occupancy, l->period));
		if (l->server)
			bursts = ns_add(bursts, l->occupancy);
		servers |= l->server;
	}
	if (rate > NS_RATE_ONE + 2 * REIN_POLICY_TASKS_MAX) /* rounded up, so: for certain */
		return NS_UNBOUNDED;
	uint64_t far = NS_UNBOUNDED;
	if (rate < NS_RATE_ONE)
		far = ns_scale(ns_add(bursts, longest), NS_RATE_ONE, NS_RATE_ONE - rate);
	if (!servers)
		far = ns_min(far, ns_add(busy_period(d), ns_add(longest, d->scene->reaction)));
	return far > REIN_ADMISSION_TIME_MAX_NS ? NS_UNBOUNDED : far;
}

/* ---------------------------------------------------------------- the descent */

/* The latest end of a window up to t: D_j + a multiple of T_j, for j in load[0…k), k > 0. */
static uint64_t deadline_up_to(const struct descent *d, uint64_t t, unsigned k)
{
	uint64_t latest = 0;
	for (unsigned j = 0; j < k; j++) {
		const struct rein_load *l = &d->load[j];
		latest = ns_max(latest, l->server ? l->due : t - (t - l->due) % l->period);
	}
	return latest;
}

/* The response time of load[k], from the least slack of all windows from its deadline on. */
static void bound(const struct descent *d, unsigned k, int64_t slack, uint64_t *response)
{
	const struct rein_load *l = &d->load[k];
	/* its own remainder is not in its way where B counts it */
	if (!l->server) {
		int64_t own = (int64_t)l->block, beyond = d->beyond[k] + (d->always[k] ? own : 0);
		slack = slack + own < beyond ? slack + own : beyond;
	}
	uint64_t r = (uint64_t)((int64_t)l->due - slack);
	r = r > l->tail + l->cost ? r - l->tail : l->cost;
	/* its linger must be over before the next request: as if that were its deadline */
	bool lingers = l->tail > d->scene->reaction && !l->server;
	if (lingers && l->tail + l->deadline > l->period)
		r += l->tail + l->deadline - l->period;
	response[l->index] = r;
}

/* The slack of the window t − ρ, or `least` if that is no more. UINT64_MAX in *w: cannot tell. */
static int64_t slack_of(struct descent *d, int64_t t, unsigned k, unsigned b, int64_t least,
                        uint64_t *w)
{
	int64_t window = t - (int64_t)d->scene->reaction;
	*w = finish(d, (uint64_t)t, k, b, window > least ? (uint64_t)(window - least) : 0);
	return window - (int64_t)*w < least ? window - (int64_t)*w : least;
}

/* A slack that every task has at most, to begin with: of some windows beyond all deadlines. The
 * closer it is to the least one, the further the descent can leap. */
static int64_t first_guess(struct descent *d, uint64_t far)
{
	uint64_t first = d->load[d->n - 1].due + 3 * d->scene->reaction, w;
	uint64_t t = first, step = t / GUESSES + 1;
	int64_t least = 2 * (int64_t)REIN_ADMISSION_TIME_MAX_NS;
	for (unsigned i = 0; i < GUESSES && t <= far; i++, t += step) {
		uint64_t end = deadline_up_to(d, t, d->n);
		if (end < first)
			continue;
		int64_t slack = slack_of(d, (int64_t)end, d->n, d->n, least, &w);
		least = w == NS_UNBOUNDED ? least : slack;
	}
	return least;
}

/* Who can have let in what is due later than the window t − ρ: load[*b…n). */
static void fall_below(struct descent *d, int64_t t, int64_t slack, unsigned *b)
{
	while (*b > 0 && (int64_t)(d->load[*b - 1].due + 3 * d->scene->reaction) > t)
		d->beyond[--*b] = slack;
}

static void descend(struct descent *d, uint64_t from, uint64_t *response)
{
	const int64_t reaction = (int64_t)d->scene->reaction;
	int64_t slack = first_guess(d, from), t = (int64_t)from; /* t: window + ρ */
	unsigned k = d->n, b = d->n;
	while (k > 0) {
		uint64_t w;
		t = (int64_t)deadline_up_to(d, (uint64_t)t, k);
		fall_below(d, t, slack, &b);
		slack = slack_of(d, t, k, b, slack, &w);
		if (w == NS_UNBOUNDED)
			return; /* the rest stays without a bound */
		/* leap, but not below where B rises */
		int64_t leap = (int64_t)w + reaction + slack, floor = -1;
		if (b > 0)
			floor = (int64_t)d->load[b - 1].due + 3 * reaction - 1;
		leap = leap > floor ? leap : floor;
		t = leap < t ? leap : t - 1;
		fall_below(d, t, slack, &b);
		while (k > 0 && (int64_t)d->load[k - 1].due > t)
			bound(d, --k, slack, response);
	}
}

/* Marks the tasks whose requests can follow each other too closely; false: no new ones. */
static bool mark_close(struct descent *d, const uint64_t *response, bool all)
{
	bool marked = false;
	for (unsigned j = 0; j < d->n && d->scene->reaction; j++) {
		const struct rein_load *l = &d->load[j];
		uint64_t r = all ? l->deadline : response[l->index];
		if (d->always[j] || ns_add(r, l->tail) <= l->period)
			continue;
		d->always[j] = marked = true;
	}
	return marked;
}

void rein_scene_edf(struct rein_scene *s, const struct rein_load *load, unsigned n,
                    uint64_t *response)
{
	struct descent d = {.scene = s, .load = load, .n = n};
	for (unsigned j = 0; j < n; j++)
		d.always[j] = load[j].server;
	for (unsigned pass = 0; n > 0; pass++) {
		find_remainders(&d);
		for (unsigned j = 0; j < n; j++)
			response[load[j].index] = NS_UNBOUNDED;
		uint64_t far = horizon(&d);
		if (far == NS_UNBOUNDED)
			return;
		descend(&d, far, response);
		/* marking one can lengthen the others' bounds; in the end, all that may be */
		if (!mark_close(&d, response, pass == MARK_PASSES))
			return;
	}
}

uint64_t rein_admission_server_response(const struct rein_task *server, uint64_t cost_ns)
{
	if (!server->server || !server->cost_ns || !server->period_ns)
		return NS_UNBOUNDED;
	/* it may find next to nothing of a budget, and owe an overrun; then one budget a period */
	uint64_t all = ns_add(cost_ns, ns_max(server->backlog_ns, server->longest_ns));
	return ns_mul(ns_add(ns_periods(all, server->cost_ns), 1), server->period_ns);
}
