// SPDX-License-Identifier: Apache-2.0
/*
 * What admission accepts holds: random task sets (sets.h) that rein_admission_ask accepts, under
 * each policy that promises something, in the simulator, in several phasings. No request misses its
 * deadline, none takes longer than its bound. Reported on stdout: how tight the bounds are
 * (longest response / bound, per task), and how many of the sets that are rejected do miss.
 *
 * REIN_SIM_SETS: how many sets to accept per policy (default below). REIN_SIM_SEED: the first.
 */
#include <errno.h>

#include "sets.h"
#include "shrink.h"

#define REJECTED_MAX 200 /* simulated, of those that are rejected */

struct report {
	unsigned accepted, rejected, rejected_missed, rejected_run;
	uint64_t requests, events;
	unsigned tight[1001]; /* tasks by 1000 · longest response / bound */
	unsigned tasks;
};

static uint64_t first_seed(void)
{
	const char *text = getenv("REIN_SIM_SEED");
	return text ? strtoull(text, NULL, 10) : 1;
}

/* ---------------------------------------------------------------- one set */

/* Backlogs are lowered to what admission says. */
static bool accepted(const struct rein_sim_setup *setup, struct rein_sim_client *client,
                     uint64_t *bound_ns)
{
	struct rein_admission answer;
	int err = rein_sim_admit(setup, client, bound_ns, &answer);
	ck_assert_msg(err == 0 || err == -EINVAL, "seed %llu: %d", (unsigned long long)setup->seed,
	              err);
	return !err && answer.verdict == REIN_ADMIT_ACCEPT;
}

/* False: the first client with a budget that was late, or took longer than its bound, is *bad. */
static bool in_time(const struct rein_sim_setup *setup, const uint64_t *bound_ns,
                    uint64_t *longest_ns, struct report *report, unsigned *bad)
{
	REIN_AUTO_SIM struct rein_sim *s = sim_run(setup);
	*bad = setup->n;
	report->events += rein_sim_totals(s)->events;
	for (unsigned i = 0; i < setup->n; i++) {
		const struct rein_sim_result *r = rein_sim_result(s, i);
		if (!setup->client[i].policy.budget_ns)
			continue;
		report->requests += r->done;
		if (r->response_max_ns > longest_ns[i])
			longest_ns[i] = r->response_max_ns;
		if (*bad == setup->n && (r->missed || r->response_max_ns > bound_ns[i]))
			*bad = i;
	}
	return *bad == setup->n;
}

/* The property that is shrunk: if it is accepted, everybody is in time. */
static bool promise_holds(const struct rein_sim_setup *setup, char *why, size_t why_len)
{
	struct rein_sim_client client[SETS_MAX];
	uint64_t bound_ns[SETS_MAX], longest_ns[SETS_MAX] = {0};
	struct rein_sim_setup admitted = *setup;
	struct report report = {0};
	unsigned bad;
	memcpy(client, setup->client, setup->n * sizeof(client[0]));
	admitted.client = client;
	if (!accepted(setup, client, bound_ns) ||
	    in_time(&admitted, bound_ns, longest_ns, &report, &bad))
		return true;
	snprintf(why, why_len, "%s took %.6f ms, its bound is %.6f ms, its deadline %.6f ms",
	         client[bad].name, (double)longest_ns[bad] / 1e6, (double)bound_ns[bad] / 1e6,
	         (double)client[bad].policy.deadline_ns / 1e6);
	return false;
}

/* ---------------------------------------------------------------- all sets */

static void try_accepted(const struct set *set, const struct rein_policy_ops *ops,
                         const uint64_t *bound_ns, struct report *report)
{
	static const struct property promise = {promise_holds};
	uint64_t longest_ns[SETS_MAX] = {0};
	unsigned bad;
	for (enum set_phase phase = 0; phase < PHASES; phase++) {
		struct set phased = *set;
		uint64_t duration_ns = set_phase(&phased, phase, set->seed);
		const struct rein_sim_setup setup = set_setup(&phased, ops, duration_ns);
		if (in_time(&setup, bound_ns, longest_ns, report, &bad))
			continue;
		check_property(&setup, &promise);
		ck_abort_msg("seed %llu: not seen again", (unsigned long long)set->seed);
	}
	for (unsigned i = 0; i < set->timed; i++) {
		report->tight[longest_ns[i] * 1000 / bound_ns[i]]++;
		report->tasks++;
	}
	report->accepted++;
}

/* With the least backlogs that admission hands out: does it miss? */
static void try_rejected(struct set *set, const struct rein_policy_ops *ops, struct report *report)
{
	uint64_t bound_ns[SETS_MAX] = {0}, longest_ns[SETS_MAX] = {0};
	bool missed = false;
	unsigned bad;
	report->rejected++;
	if (report->rejected_run == REJECTED_MAX)
		return;
	report->rejected_run++;
	for (unsigned i = 0; i < set->n; i++) {
		set->client[i].policy.backlog_ns = REIN_ADMISSION_BACKLOG_MIN_NS;
		bound_ns[i] = set->client[i].policy.period_ns; /* of who has no deadline */
	}
	for (enum set_phase phase = 0; phase < PHASES && !missed; phase++) {
		uint64_t duration_ns = set_phase(set, phase, set->seed);
		const struct rein_sim_setup setup = set_setup(set, ops, duration_ns);
		missed = !in_time(&setup, bound_ns, longest_ns, report, &bad);
	}
	report->rejected_missed += missed;
}

static double tightness(const struct report *r, unsigned permille)
{
	uint64_t rank = ((uint64_t)r->tasks * permille + 999) / 1000, seen = 0;
	for (unsigned i = 0; i <= 1000; i++) {
		seen += r->tight[i];
		if (rank && seen >= rank)
			return i / 1000.0;
	}
	return 0;
}

static void prove(const struct rein_policy_ops *ops, void (*adapt)(struct set *set))
{
	struct report r = {0};
	bool exact = false;
	unsigned wanted = sets_wanted();
	uint64_t began_ns = rein_now_ns();
	ck_assert_msg(ops->admit != NULL, "%s promises nothing", ops->name);
	for (uint64_t seed = first_seed(); r.accepted < wanted; seed++) {
		struct set set;
		uint64_t bound_ns[SETS_MAX];
		set_make(&set, seed);
		if (adapt)
			adapt(&set);
		exact = set.charging == REIN_SIM_EXACT;
		const struct rein_sim_setup setup = set_setup(&set, ops, 0);
		if (accepted(&setup, set.client, bound_ns))
			try_accepted(&set, ops, bound_ns, &r);
		else
			try_rejected(&set, ops, &r);
	}
	printf(
	    "%s%s: %u sets accepted, %u rejected; %llu requests, 0 late; longest response / bound "
	    "of a task: median %.2f, p99 %.2f, max %.2f; of %u rejected sets %u miss; "
	    "%llu events, %.1f s\n",
	    ops->name, exact ? " (exact charges)" : "", r.accepted, r.rejected,
	    (unsigned long long)r.requests, tightness(&r, 500), tightness(&r, 990),
	    tightness(&r, 1000), r.rejected_run, r.rejected_missed, (unsigned long long)r.events,
	    (double)(rein_now_ns() - began_ns) / 1e9);
	fflush(stdout);
}

TEST(fixed_priorities)
{
	prove(&rein_policy_prio, NULL);
}
TEST_END

TEST(earliest_deadline)
{
	prove(&rein_policy_edf, NULL);
}
TEST_END

/* Servers: a budget in each period, no deadline of their own. */
static void budgets(struct set *set)
{
	for (unsigned i = 0; i < set->timed; i++)
		set->client[i].policy.deadline_ns = 0;
	set->charging = REIN_SIM_EXACT;
}

TEST(constant_bandwidth)
{
	prove(&rein_policy_cbs, budgets);
}
TEST_END

/* What a client still runs after its gate closed, and the changes of context that it takes. */
static uint64_t remainder_of(const struct set *set, const struct rein_sim_client *c)
{
	uint64_t ns = c->policy.backlog_ns > c->kernel_ns ? c->policy.backlog_ns : c->kernel_ns;
	return ns + (ns / set->timeslice_ns + 1) * 2 * set->switch_ns;
}

/* The daemon charges a server for what it waits for behind its open gate: budgets cover that. */
static void ample_budgets(struct set *set)
{
	uint64_t all_ns = 2 * set->reaction_ns + 4 * set->switch_ns;
	for (unsigned i = 0; i < set->n; i++)
		all_ns += remainder_of(set, &set->client[i]);
	for (unsigned i = 0; i < set->timed; i++) {
		set->client[i].policy.deadline_ns = 0;
		set->client[i].policy.budget_ns += all_ns;
	}
}

TEST(constant_bandwidth_as_the_daemon_charges)
{
	prove(&rein_policy_cbs, ample_budgets);
}
TEST_END

/*
 * The later deadlines by priority, below the others by deadline; some work in the idle band. In
 * some sets other inner policies than the default, and a cap on the realtime band.
 */
static void layers(struct set *set)
{
	static const struct rein_policy_ops *const inner[] = {NULL, NULL, &rein_policy_edf,
	                                                      &rein_policy_prio};
	uint64_t random = set->seed;
	struct rein_policy_params *params = &set->params;
	unsigned realtime = (unsigned)rein_sim_between(&random, 0, set->timed);
	for (unsigned i = realtime; i < set->timed; i++)
		set->client[i].policy.band = REIN_BAND_INTERACTIVE;
	if (set->n > set->timed + 1)
		set->client[set->n - 1].policy.band = REIN_BAND_IDLE;
	params->inner[REIN_BAND_REALTIME] = inner[rein_sim_between(&random, 0, 3)];
	params->inner[REIN_BAND_INTERACTIVE] = inner[rein_sim_between(&random, 0, 3)];
	if (rein_sim_between(&random, 0, 3) == 0) {
		params->cap_permille[REIN_BAND_REALTIME] =
		    (uint32_t)rein_sim_between(&random, 300, 950);
		params->cap_period_ns = rein_sim_between(&random, 50, 300) * REIN_MS;
	}
}

TEST(classes)
{
	prove(&rein_policy_classes, layers);
}
TEST_END

TESTS("admitted sets", fixed_priorities, earliest_deadline, constant_bandwidth,
      constant_bandwidth_as_the_daemon_charges, classes)
