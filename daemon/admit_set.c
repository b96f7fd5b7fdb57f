// SPDX-License-Identifier: Apache-2.0
#include "admit_set.h"

#include <string.h>

#include "../common/clock.h"
#include "../policy/policies.h"
#include "server.h"
#include "vitals.h"

#define BISECTIONS 16
#define MEASURE_AT_ONCE 32        /* about 15 µs */
#define EXPLAIN_NS (20 * REIN_MS) /* the session thread has others to serve */

/* ---------------------------------------------------------------- gathering */

/* The policy that decides among the clients of a band; NULL: one without proofs. */
static const struct rein_policy_ops *policy_in(const struct rein_admit_set *set, int band)
{
	static const struct rein_policy_ops *const usual[REIN_BANDS] = {
	    [REIN_BAND_REALTIME] = &rein_policy_edf, [REIN_BAND_INTERACTIVE] = &rein_policy_prio};
	if (set->ops != &rein_policy_classes)
		return set->ops;
	return set->params.inner[band] ? set->params.inner[band] : usual[band];
}

/* Does the policy keep a client to its budget, whatever it asks for? cbs does; edf only where no
 * deadline was declared (edf.c). */
static bool is_server(const struct rein_admit_set *set, const struct rein_timing *t, int band)
{
	const struct rein_policy_ops *ops = policy_in(set, band);
	return t->budget_ns &&
	       (ops == &rein_policy_cbs || (ops == &rein_policy_edf && !t->deadline_ns));
}

void rein_admit_member_set(const struct rein_admit_set *set, struct rein_admit_member *m,
                           const struct rein_timing *timing, const struct rein_grant *g)
{
	m->task.prio = g->prio;
	m->task.band = (int)rein_config_band(g->class, timing, g->prio);
	m->task.period_ns = timing->period_ns;
	m->task.deadline_ns = timing->deadline_ns;
	m->task.server = is_server(set, timing, m->task.band);
	m->task.backlog_ns = g->class->backlog_ns;
	/* also where it declares its requests: that is its own word */
	m->task.linger_ns = g->class->linger_us * REIN_US;
	m->declared_ns = m->task.cost_ns = timing->budget_ns;
}

/* A few at a time: between two calls the arbiter may have somebody to let in. */
static void do_measure(struct rein_arbiter *a, void *arg, uint64_t now_ns)
{
	struct rein_admit_set *set = arg;
	for (unsigned end = set->measured + MEASURE_AT_ONCE;
	     set->measured < set->n && set->measured < end; set->measured++) {
		struct rein_admit_member *m = &set->member[set->measured];
		const struct rein_arbiter_client *c = &m->client->member.arbiter;
		struct rein_measured measured;
		if (m->client->member.gone)
			continue;
		rein_arbiter_measured(c, &measured);
		m->measured_ns = measured.cost_repeated_ns;
		m->task.longest_ns = measured.longest_ns;
		memcpy(m->longest_name, measured.longest_name, sizeof(m->longest_name));
		for (unsigned k = 0; k < REIN_DEVICES_MAX; k++)
			if (c->slot[k].seen && c->slot[k].device >= 0)
				m->devices |= 1ull << c->slot[k].device;
	}
}

/* A job is held on all devices of its members. */
static void unite_jobs(struct rein_admit_set *set)
{
	for (unsigned i = 0; i < set->n; i++) {
		struct rein_admit_member *m = &set->member[i];
		for (unsigned k = 0; m->client->job[0] && k < set->n; k++)
			if (set->member[k].client->job_id == m->client->job_id)
				m->devices |= set->member[k].devices;
	}
}

void rein_admit_slices(const struct rein_gates_of *gates, struct rein_policy_params *params)
{
	for (unsigned i = 0; i <= gates->n; i++) {
		const struct rein_gates *g = i < gates->n ? &gates->device[i].gates : &gates->other;
		uint64_t ns = g->can & REIN_CAN_CONTEXT ? g->timeslice_us * REIN_US : 0;
		uint64_t is_ns =
		    params->timeslice_ns ? params->timeslice_ns : REIN_ADMISSION_TIMESLICE_NS;
		if (ns && ns < is_ns)
			params->timeslice_ns = ns;
	}
}

bool rein_admit_gather(struct rein_server *s, struct rein_admit_set *set)
{
	*set = (struct rein_admit_set){.ops = s->policy,
	                               .params = *rein_config_params(s->config, s->policy),
	                               .room = s->n_clients + 1,
	                               .explain_until_ns = rein_now_ns() + EXPLAIN_NS};
	rein_admit_slices(&s->gates, &set->params);
	set->member = calloc(set->room, sizeof(*set->member));
	set->index = calloc(set->room, sizeof(*set->index));
	set->task = calloc(set->room, sizeof(*set->task));
	set->backlog_ns = calloc(2ul * set->room, sizeof(*set->backlog_ns));
	if (!set->member || !set->index || !set->task || !set->backlog_ns) {
		rein_admit_set_fini(set);
		return false;
	}
	set->response_ns = set->backlog_ns + set->room;
	unsigned n = 0;
	for (const struct rein_conn *c = s->conns; c; c = c->next)
		if (c->client)
			set->member[n++].client = c->client;
	set->n = n;
	while (set->measured < set->n)
		rein_loop_call(s->loop, do_measure, set);
	unite_jobs(set);
	for (unsigned i = 0; i < set->n; i++) {
		struct rein_admit_member *m = &set->member[i];
		struct rein_grant g;
		rein_client_grant(m->client, s->config, &g);
		m->task.id = m->client->member.arbiter.policy.id;
		m->task.name = m->client->member.arbiter.name;
		rein_admit_member_set(set, m, &m->client->reservation.timing, &g);
		m->safe = true;
		m->cap_ns = UINT64_MAX;
	}
	return true;
}

void rein_admit_set_fini(struct rein_admit_set *set)
{
	free(set->member);
	free(set->index);
	free(set->task);
	free(set->backlog_ns);
	memset(set, 0, sizeof(*set));
}

struct rein_admit_member *rein_admit_member_for(struct rein_admit_set *set,
                                                const struct rein_client *client)
{
	for (unsigned i = 0; i < set->n; i++)
		if (client && set->member[i].client == client)
			return &set->member[i];
	struct rein_admit_member *m = &set->member[set->n++];
	m->safe = true;
	m->cap_ns = UINT64_MAX;
	return m;
}

/* ---------------------------------------------------------------- groups */

/* What the others may still have in the GPU's queues when a request begins: it counts as measured
 * of that request, and so does not yet mean that its own work is more than was declared. */
static uint64_t queued_by_others(const struct rein_admit_set *set, unsigned self)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < set->n_group; i++) {
		const struct rein_client *c = set->member[set->index[i]].client;
		uint64_t cap_ns = c ? c->backlog_cap_ns : UINT64_MAX;
		uint64_t queued =
		    set->task[i].backlog_ns < cap_ns ? set->task[i].backlog_ns : cap_ns;
		if (i != self)
			sum += queued > set->task[i].longest_ns ? queued : set->task[i].longest_ns;
	}
	return sum;
}

/*
 * A cost above the deadline cannot be in time whoever else is there, and no analysis takes it. What
 * it means for the others: under edf a request is put behind the others once it is late, so it
 * takes its deadline from them at most; under fixed priorities it takes all of its cost, and when
 * it is due is nobody's concern.
 */
static void beyond_its_deadline(const struct rein_admit_set *set, struct rein_admit_member *m,
                                struct rein_task *t)
{
	uint64_t due_ns = t->deadline_ns ? t->deadline_ns : t->period_ns;
	m->hopeless = t->cost_ns > due_ns;
	if (!m->hopeless)
		return;
	if (policy_in(set, t->band) == &rein_policy_prio)
		t->deadline_ns = t->cost_ns;
	else
		t->cost_ns = due_ns;
}

/* The costs that count in this group: what was declared, or measured where that is more. */
static void settle_costs(struct rein_admit_set *set)
{
	for (unsigned i = 0; i < set->n_group; i++) {
		struct rein_admit_member *m = &set->member[set->index[i]];
		uint64_t others_ns = queued_by_others(set, i);
		uint64_t doubt_ns = m->declared_ns / 16 + others_ns;
		m->beyond = m->declared_ns && m->measured_ns > m->declared_ns + doubt_ns;
		if (!m->beyond || m->task.server)
			continue;
		set->task[i].cost_ns = m->measured_ns - others_ns;
		beyond_its_deadline(set, m, &set->task[i]);
	}
}

bool rein_admit_group(struct rein_admit_set *set, uint64_t *covered)
{
	uint64_t all = 0, group;
	for (unsigned i = 0; i < set->n; i++)
		all |= set->member[i].devices;
	uint64_t left = all & ~*covered;
	if (!left && (all || *covered))
		return false;
	group = left & -left;
	for (uint64_t before = 0; before != group;) {
		before = group;
		for (unsigned i = 0; i < set->n; i++)
			if (set->member[i].devices & group)
				group |= set->member[i].devices;
	}
	*covered |= group ? group : UINT64_MAX; /* nobody has a device yet: all are one group */
	set->n_group = 0;
	for (unsigned i = 0; i < set->n; i++)
		if (!set->member[i].devices || set->member[i].devices & group) {
			set->task[set->n_group] = set->member[i].task;
			set->index[set->n_group++] = i;
		}
	settle_costs(set);
	return true;
}

/* ---------------------------------------------------------------- judging */

int rein_admit_set_ask(const struct rein_admit_set *set, unsigned candidate,
                       struct rein_admission *out)
{
	rein_vitals_admits(true);
	int err =
	    rein_admission_ask(set->ops, &set->params, set->task, set->n_group, candidate, out);
	rein_vitals_admits(false);
	return err;
}

/* The bounds with every backlog at most `cap_ns`. As `admit`. */
static int bounds(struct rein_admit_set *set, uint64_t cap_ns)
{
	struct rein_bounds out = {.backlog_ns = set->backlog_ns, .response_ns = set->response_ns};
	for (unsigned i = 0; i < set->n_group; i++) {
		uint64_t own = set->task[i].backlog_ns;
		set->backlog_ns[i] = own < cap_ns ? own : cap_ns;
	}
	rein_vitals_admits(true);
	int result = set->ops->admit(&set->params, set->task, set->n_group, &out);
	rein_vitals_admits(false);
	return result;
}

static uint64_t due_of(const struct rein_task *t)
{
	return t->deadline_ns ? t->deadline_ns : t->period_ns;
}

static bool keeps(const struct rein_admit_set *set, unsigned i)
{
	if (set->member[set->index[i]].hopeless)
		return false;
	return !set->task[i].period_ns || set->response_ns[i] <= due_of(&set->task[i]);
}

/* With this cap, is everybody in time that would be with the smallest? */
static bool all_kept(struct rein_admit_set *set, const bool *hopeless, uint64_t cap_ns)
{
	if (bounds(set, cap_ns) < 0)
		return false;
	for (unsigned i = 0; i < set->n_group; i++)
		if (!hopeless[i] && !keeps(set, i))
			return false;
	return true;
}

/* A set that is not safe: the largest backlog with which those keep their deadlines that can. */
static uint64_t cap_for_the_rest(struct rein_admit_set *set, bool *hopeless)
{
	uint64_t low = REIN_ADMISSION_BACKLOG_MIN_NS, high = low;
	bool some = false;
	if (bounds(set, low) < 0)
		return UINT64_MAX;
	for (unsigned i = 0; i < set->n_group; i++) {
		hopeless[i] = !keeps(set, i);
		some |= set->task[i].period_ns && !hopeless[i];
		high = set->task[i].backlog_ns > high ? set->task[i].backlog_ns : high;
	}
	if (!some || all_kept(set, hopeless, high))
		return UINT64_MAX;
	for (unsigned k = 0; k < BISECTIONS && high - low > low / 16; k++) {
		uint64_t middle = low + (high - low) / 2;
		if (all_kept(set, hopeless, middle))
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* ---------------------------------------------------------------- why */

static const char *name_of(const struct rein_admit_set *set, unsigned i)
{
	return set->task[i].name ? set->task[i].name : "?";
}

/* Would `i` be in time if the longest piece of `k` were so long? */
static bool kept_if(struct rein_admit_set *set, unsigned i, unsigned k, uint64_t longest_ns,
                    uint64_t cap_ns)
{
	uint64_t was = set->task[k].longest_ns;
	set->task[k].longest_ns = longest_ns;
	bool kept = bounds(set, cap_ns) >= 0 && keeps(set, i);
	set->task[k].longest_ns = was;
	return kept;
}

static bool may_explain(const struct rein_admit_set *set)
{
	return rein_now_ns() < set->explain_until_ns;
}

static bool blame_kernel(struct rein_admit_set *set, unsigned i, uint64_t cap_ns, char *why,
                         size_t len)
{
	for (unsigned k = 0; k < set->n_group && may_explain(set); k++) {
		const struct rein_client *c = set->member[set->index[k]].client;
		uint64_t low = 0, high = set->task[k].longest_ns;
		if (k == i || !c || high <= REIN_ADMISSION_BACKLOG_MIN_NS ||
		    !kept_if(set, i, k, 0, cap_ns))
			continue;
		for (unsigned b = 0; b < BISECTIONS && may_explain(set); b++) {
			uint64_t middle = low + (high - low) / 2;
			if (kept_if(set, i, k, middle, cap_ns))
				low = middle;
			else
				high = middle;
		}
		const char *kernel = set->member[set->index[k]].longest_name;
		char is[REIN_TIME_TEXT_LEN], room[REIN_TIME_TEXT_LEN];
		snprintf(why, len,
		         "%s's %s%s of %s is longer than the %s that %s's deadline leaves; make it "
		         "shorter, or the deadline later",
		         name_of(set, k), *kernel ? "kernel " : "longest kernel", kernel,
		         rein_time_text(is, set->task[k].longest_ns), rein_time_text(room, low),
		         name_of(set, i));
		return true;
	}
	return false;
}

static void say_overrun(const char *name, uint64_t takes_ns, uint64_t budget_ns, char *why,
                        size_t len)
{
	char takes[REIN_TIME_TEXT_LEN], budget[REIN_TIME_TEXT_LEN];
	snprintf(
	    why, len,
	    "%s's requests take %s of GPU time, more than its budget of %s; `rein set` changes "
	    "the budget, if the deadlines leave room",
	    name, rein_time_text(takes, takes_ns), rein_time_text(budget, budget_ns));
}

/* Somebody's requests, perhaps its own, take more than was declared. */
static bool blame_cost(struct rein_admit_set *set, unsigned i, uint64_t cap_ns, char *why,
                       size_t len)
{
	for (unsigned k = 0; k < set->n_group && may_explain(set); k++) {
		const struct rein_admit_member *m = &set->member[set->index[k]];
		uint64_t was = set->task[k].cost_ns;
		if (was <= m->declared_ns)
			continue;
		set->task[k].cost_ns = m->declared_ns;
		bool kept = bounds(set, cap_ns) >= 0 && keeps(set, i);
		set->task[k].cost_ns = was;
		if (!kept)
			continue;
		say_overrun(name_of(set, k), was, m->declared_ns, why, len);
		return true;
	}
	return false;
}

static void explain_one(struct rein_admit_set *set, unsigned i, uint64_t cap_ns,
                        const struct rein_admission *whole, char *why, size_t len)
{
	static const char remedy[] = "ask for less budget, a longer period or a later deadline";
	char bound[REIN_TIME_TEXT_LEN], due[REIN_TIME_TEXT_LEN];
	const struct rein_admit_member *m = &set->member[set->index[i]];
	if (m->hopeless) {
		say_overrun(name_of(set, i), m->measured_ns, m->declared_ns, why, len);
		return;
	}
	if (blame_kernel(set, i, cap_ns, why, len) || blame_cost(set, i, cap_ns, why, len))
		return;
	if (whole->binding == i && whole->why[0]) {
		snprintf(why, len, "%s", whole->why);
		return;
	}
	if (m->response_ns == UINT64_MAX)
		snprintf(why, len, "no bound can be given for %s beside the others; %s",
		         name_of(set, i), remedy);
	else
		snprintf(why, len,
		         "%s can take %s beside the others, longer than its deadline of %s; %s",
		         name_of(set, i), rein_time_text(bound, m->response_ns),
		         rein_time_text(due, due_of(&set->task[i])), remedy);
}

/* ---------------------------------------------------------------- the verdict on a group */

static void no_promise(struct rein_admit_set *set, const char *why)
{
	for (unsigned i = 0; i < set->n_group; i++) {
		struct rein_admit_member *m = &set->member[set->index[i]];
		m->safe = m->safe && !set->task[i].period_ns;
		if (!m->safe)
			snprintf(m->why, sizeof(m->why), "%s", why);
	}
}

/* A server is kept to its budget, so it may itself be late though everybody else is safe. */
static bool server_overruns(const struct rein_task *t, struct rein_admit_member *m)
{
	if (!t->server || !m->beyond ||
	    rein_admission_server_response(t, m->measured_ns) <= due_of(t))
		return false;
	say_overrun(t->name, m->measured_ns, t->cost_ns, m->why, sizeof(m->why));
	return true;
}

void rein_admit_judge(struct rein_admit_set *set)
{
	struct rein_admission whole = {0};
	bool hopeless[REIN_POLICY_TASKS_MAX] = {false};
	uint64_t cap_ns = UINT64_MAX;
	if (set->n_group > REIN_POLICY_TASKS_MAX) {
		no_promise(set, "too many programs share the device for a promise");
		return;
	}
	int err = rein_admit_set_ask(set, set->n_group, &whole);
	if (err || whole.verdict == REIN_ADMIT_NONE) {
		no_promise(set, whole.why);
		return;
	}
	cap_ns =
	    whole.verdict == REIN_ADMIT_REJECT ? cap_for_the_rest(set, hopeless) : whole.backlog_ns;
	(void)bounds(set, cap_ns);
	bool kept[REIN_POLICY_TASKS_MAX] = {false};
	for (unsigned i = 0; i < set->n_group; i++) {
		struct rein_admit_member *m = &set->member[set->index[i]];
		uint64_t response_ns = set->task[i].period_ns ? set->response_ns[i] : 0;
		kept[i] = keeps(set, i);
		m->response_ns = response_ns > m->response_ns ? response_ns : m->response_ns;
		m->cap_ns = cap_ns < m->cap_ns ? cap_ns : m->cap_ns;
	}
	for (unsigned i = 0; i < set->n_group; i++) {
		struct rein_admit_member *m = &set->member[set->index[i]];
		if (!kept[i])
			explain_one(set, i, cap_ns, &whole, m->why, sizeof(m->why));
		if (!kept[i] || server_overruns(&set->task[i], m))
			m->safe = false;
	}
}
