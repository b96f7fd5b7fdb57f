// SPDX-License-Identifier: Apache-2.0
/*
 * Budgets are enforced: a client with a budget of Q in P that asks for ever gets, in any window t,
 * at most (⌈t/P⌉ + 1)·Q + q of the SMs' time, and the others' responses stay within their bounds.
 * q is what runs unbidden: what it has queued when its gate closes (its backlog or its longest
 * kernel), and what it runs until the arbiter knows that it asks (the reaction time). Random sets
 * (sets.h), charges that are right.
 */
#include <errno.h>

#include "sets.h"
#include "shrink.h"

#define RUNS_MAX 200000u

struct usage { /* of one client: when it had the SMs */
	unsigned client, n;
	uint64_t from_ns[RUNS_MAX], to_ns[RUNS_MAX], before_ns[RUNS_MAX + 1];
};

static struct usage usage;

static void watch(void *arg, const struct rein_sim_event *e)
{
	struct usage *u = arg;
	if (e->type != REIN_SIM_EV_RUN || e->engine != REIN_SIM_ENGINE_SMS ||
	    e->client != u->client)
		return;
	if (u->n && u->to_ns[u->n - 1] == e->since_ns) {
		u->to_ns[u->n - 1] = e->at_ns;
	} else {
		ck_assert_uint_lt(u->n, RUNS_MAX);
		u->from_ns[u->n] = e->since_ns;
		u->to_ns[u->n++] = e->at_ns;
	}
}

/* Its time in the run before x, of which interval `i` is the first that ends after x. */
static uint64_t until(const struct usage *u, unsigned i, uint64_t x)
{
	uint64_t ns = u->before_ns[i];
	return i < u->n && x > u->from_ns[i] ? ns + (x - u->from_ns[i]) : ns;
}

/*
 * The most in any window of this length. The usage of a sliding window grows while its end is in
 * an interval and its begin is not, so the greatest are among windows that begin with an interval
 * or end with one.
 */
static uint64_t most_in(const struct usage *u, uint64_t length_ns)
{
	uint64_t most = 0;
	unsigned begin = 0, end = 0;
	for (unsigned i = 0; i < u->n; i++) {
		uint64_t to_ns = u->from_ns[i] + length_ns;
		while (end < u->n && u->to_ns[end] <= to_ns)
			end++;
		uint64_t got = until(u, end, to_ns) - u->before_ns[i];
		most = got > most ? got : most;
	}
	for (unsigned i = 0; i < u->n; i++) {
		uint64_t from_ns = u->to_ns[i] > length_ns ? u->to_ns[i] - length_ns : 0;
		while (begin < u->n && u->to_ns[begin] <= from_ns)
			begin++;
		uint64_t got = u->before_ns[i + 1] - until(u, begin, from_ns);
		most = got > most ? got : most;
	}
	return most;
}

/* The bound steps up behind each multiple of P, so the longest windows before the steps tell. */
static bool windows_hold(struct usage *u, const struct rein_sim_setup *setup, char *why,
                         size_t why_len)
{
	const struct rein_sim_client *c = &setup->client[u->client];
	uint64_t budget_ns = c->policy.budget_ns, period_ns = c->policy.period_ns;
	uint64_t rest_ns =
	    c->policy.backlog_ns > c->kernel_ns ? c->policy.backlog_ns : c->kernel_ns;
	rest_ns += setup->reaction_ns;
	for (unsigned i = 0; i < u->n; i++)
		u->before_ns[i + 1] = u->before_ns[i] + (u->to_ns[i] - u->from_ns[i]);
	for (uint64_t k = 1; k <= setup->duration_ns / period_ns + 1; k++) {
		uint64_t got_ns = most_in(u, k * period_ns);
		uint64_t bound_ns = (k + 1) * budget_ns + rest_ns;
		if (got_ns <= bound_ns)
			continue;
		snprintf(why, why_len, "%s got %.6f ms in %llu periods; the bound is %.6f ms",
		         c->name, (double)got_ns / 1e6, (unsigned long long)k,
		         (double)bound_ns / 1e6);
		return false;
	}
	return true;
}

/* The one that asks for ever: an endless client with a budget. */
static unsigned greedy(const struct rein_sim_setup *setup)
{
	for (unsigned i = 0; i < setup->n; i++)
		if (setup->client[i].policy.budget_ns &&
		    setup->client[i].arrival == REIN_SIM_ENDLESS)
			return i;
	return setup->n;
}

/* Somebody without a budget always wants the device: what nobody wants a soft budget may have. */
static bool contended(const struct rein_sim_setup *setup)
{
	for (unsigned i = 0; i < setup->n; i++)
		if (!setup->client[i].policy.budget_ns &&
		    setup->client[i].arrival == REIN_SIM_ENDLESS)
			return true;
	return false;
}

static unsigned long long accepted, others;

static bool budget_holds(const struct rein_sim_setup *setup, char *why, size_t why_len)
{
	struct rein_sim_client client[SETS_MAX];
	uint64_t bound_ns[SETS_MAX];
	struct rein_sim_setup run = *setup;
	struct rein_admission answer;
	unsigned bad = greedy(setup);
	if (bad == setup->n || (!setup->client[bad].policy.budget_hard && !contended(setup)))
		return true;
	memcpy(client, setup->client, setup->n * sizeof(client[0]));
	run.client = client;
	int err = rein_sim_admit(setup, client, bound_ns, &answer);
	if (err || answer.verdict != REIN_ADMIT_ACCEPT)
		return true;
	usage.client = bad;
	usage.n = 0;
	run.observe = watch;
	run.arg = &usage;
	REIN_AUTO_SIM struct rein_sim *s = sim_run(&run);
	accepted++;
	for (unsigned i = 0; i < setup->n; i++) {
		uint64_t took_ns = rein_sim_result(s, i)->response_max_ns;
		if (i == bad || !client[i].policy.budget_ns)
			continue;
		others += rein_sim_result(s, i)->done;
		if (took_ns <= bound_ns[i])
			continue;
		snprintf(why, why_len, "%s took %.6f ms, its bound is %.6f ms", client[i].name,
		         (double)took_ns / 1e6, (double)bound_ns[i] / 1e6);
		return false;
	}
	return windows_hold(&usage, &run, why, why_len);
}

static void prove(const struct rein_policy_ops *ops, bool hard, bool no_reclaim, bool deadlines)
{
	static const struct property property = {budget_holds};
	unsigned sets = sets_wanted();
	accepted = others = 0;
	for (uint64_t seed = 1; accepted < sets; seed++) {
		struct set set;
		uint64_t random = seed;
		set_make(&set, seed);
		set.charging = REIN_SIM_EXACT;
		set.params.no_reclaim = no_reclaim;
		unsigned bad = (unsigned)rein_sim_between(&random, 0, set.timed - 1);
		for (unsigned i = 0; i < set.timed; i++)
			if (i == bad || !deadlines)
				set.client[i].policy.deadline_ns = 0;
		set.client[bad].policy.budget_hard = hard;
		uint64_t duration_ns =
		    set_phase(&set, (enum set_phase)rein_sim_between(&random, 0, PHASES - 1), seed);
		set.client[bad].arrival = REIN_SIM_ENDLESS;
		set.client[bad].gap_every = 0;
		set.client[bad].offset_ns = rein_sim_between(&random, 0, 1) ? 0 : 30 * REIN_MS;
		const struct rein_sim_setup setup = set_setup(&set, ops, duration_ns);
		check_property(&setup, &property);
	}
	printf("%s, %s budgets%s: one of %llu sets asks for ever; %llu requests of others\n",
	       ops->name, hard ? "hard" : "soft", no_reclaim ? ", no reclaiming" : "", accepted,
	       others);
	fflush(stdout);
}

TEST(soft_servers)
{
	prove(&rein_policy_cbs, false, false, false);
}
TEST_END

TEST(servers_without_reclaiming)
{
	prove(&rein_policy_cbs, false, true, false);
}
TEST_END

TEST(hard_servers)
{
	prove(&rein_policy_cbs, true, false, false);
}
TEST_END

TEST(servers_among_deadlines)
{
	prove(&rein_policy_edf, false, false, true);
	prove(&rein_policy_edf, true, false, true);
}
TEST_END

TEST(servers_of_the_realtime_band)
{
	prove(&rein_policy_classes, false, false, true);
	prove(&rein_policy_classes, true, false, true);
}
TEST_END

/* The measure itself: 2 ms at 0, 10 and 13. */
TEST(windows_are_measured_right)
{
	usage = (struct usage){
	    .n = 3, .from_ns = {0, 10, 13}, .to_ns = {2, 12, 15}, .before_ns = {0, 2, 4, 6}};
	ck_assert_uint_eq(most_in(&usage, 1), 1);
	ck_assert_uint_eq(most_in(&usage, 2), 2);
	ck_assert_uint_eq(most_in(&usage, 4), 3);
	ck_assert_uint_eq(most_in(&usage, 5), 4);
	ck_assert_uint_eq(most_in(&usage, 12), 4);
	ck_assert_uint_eq(most_in(&usage, 13), 4);
	ck_assert_uint_eq(most_in(&usage, 14), 5);
	ck_assert_uint_eq(most_in(&usage, 15), 6);
}
TEST_END

TESTS("budgets", windows_are_measured_right, soft_servers, servers_without_reclaiming, hard_servers,
      servers_among_deadlines, servers_of_the_realtime_band)
