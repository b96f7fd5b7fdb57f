// SPDX-License-Identifier: Apache-2.0
/*
 * Shares: `fair` divides the SMs' time by weight (Jain's index of time by weight at least 0.99 over
 * all windows in which the lowest share is at least 10 quanta), nobody starves; and every policy
 * that says so is work-conserving. Random scenarios; those that fail are shrunk.
 *
 * Work-conserving, precisely: there is no time in which nothing runs at all while a program waits
 * at a closed gate, given that the arbiter reacts at once, programs declare their requests (no
 * linger) and do not compute in the middle of one (no gaps).
 */
#include <math.h>

#include "policy/policies.h"
#include "policy/sim/peers.h"
#include "shrink.h"

#define PARTS 4 /* a window is so many buckets, and begins at any of them */
#define BUCKETS 64

/* ---------------------------------------------------------------- fair shares */

struct shares {
	uint64_t bucket_ns;
	uint64_t got_ns[BUCKETS][SHRINK_CLIENTS];
	uint64_t last_ns[SHRINK_CLIENTS], gap_ns[SHRINK_CLIENTS]; /* without any time */
};

static struct shares shares;

static void watch(void *arg, const struct rein_sim_event *e)
{
	struct shares *s = arg;
	if (e->type != REIN_SIM_EV_RUN || e->engine != REIN_SIM_ENGINE_SMS)
		return;
	uint64_t gap_ns = e->since_ns - s->last_ns[e->client];
	s->gap_ns[e->client] = gap_ns > s->gap_ns[e->client] ? gap_ns : s->gap_ns[e->client];
	s->last_ns[e->client] = e->at_ns;
	for (uint64_t at_ns = e->since_ns; at_ns < e->at_ns;) {
		uint64_t bucket = at_ns / s->bucket_ns;
		uint64_t end_ns = (bucket + 1) * s->bucket_ns;
		end_ns = end_ns < e->at_ns ? end_ns : e->at_ns;
		if (bucket < BUCKETS)
			s->got_ns[bucket][e->client] += end_ns - at_ns;
		at_ns = end_ns;
	}
}

static bool always_asks(const struct rein_sim_client *c)
{
	return c->arrival == REIN_SIM_ENDLESS;
}

/* Among those that always ask. */
static double jain(const struct rein_sim_setup *setup, unsigned first_bucket)
{
	double sum = 0, squares = 0;
	unsigned n = 0;
	for (unsigned i = 0; i < setup->n; i++) {
		double x = 0;
		if (!always_asks(&setup->client[i]))
			continue;
		for (unsigned b = first_bucket; b < first_bucket + PARTS; b++)
			x += (double)shares.got_ns[b][i];
		x /= setup->client[i].policy.weight;
		sum += x;
		squares += x * x;
		n++;
	}
	return n && squares > 0 ? sum * sum / (n * squares) : 1;
}

static double weights(const struct rein_sim_setup *setup, double *least)
{
	double sum = 0;
	*least = INFINITY;
	for (unsigned i = 0; i < setup->n; i++) {
		double w = setup->client[i].policy.weight;
		sum += w;
		*least = always_asks(&setup->client[i]) && w < *least ? w : *least;
	}
	return sum;
}

/* The longest turn of all: latency_nice makes turns up to 3.85 times as long (policy/turn.h). */
static uint64_t longest_turn(const struct rein_sim_setup *setup)
{
	int most = 0;
	for (unsigned i = 0; i < setup->n; i++)
		if (setup->client[i].policy.latency_nice > most)
			most = setup->client[i].policy.latency_nice;
	return setup->params.quantum_ns * (uint64_t)(20 + 3 * most) / 20;
}

static double worst_jain, wanted_jain;

static bool shares_hold(const struct rein_sim_setup *setup, char *why, size_t why_len)
{
	struct rein_sim_setup run = *setup;
	double least, sum = weights(setup, &least);
	uint64_t quantum_ns = longest_turn(setup);
	if (isinf(least))
		return true;
	memset(&shares, 0, sizeof(shares));
	/* the lowest share of a window is 10 quanta */
	uint64_t window_ns = (uint64_t)(10 * (double)quantum_ns * sum / least);
	shares.bucket_ns = window_ns / PARTS + 1;
	run.observe = watch;
	run.arg = &shares;
	REIN_AUTO_SIM struct rein_sim *s = sim_run(&run);
	unsigned buckets = (unsigned)(setup->duration_ns / shares.bucket_ns);
	for (unsigned b = 1; b + PARTS <= buckets && b + PARTS <= BUCKETS; b++) {
		double index = jain(setup, b);
		worst_jain = index < worst_jain ? index : worst_jain;
		if (index >= wanted_jain)
			continue;
		snprintf(why, why_len, "Jain %.4f in the window of %.1f ms from %.1f ms on", index,
		         (double)window_ns / 1e6, (double)(b * shares.bucket_ns) / 1e6);
		return false;
	}
	for (unsigned i = 0; i < setup->n; i++) {
		const struct rein_sim_client *c = &setup->client[i];
		/* its turn comes when the others have had theirs, twice over */
		double turn_ns = (double)quantum_ns * (sum / c->policy.weight + setup->n);
		uint64_t gap_ns = setup->duration_ns - shares.last_ns[i];
		gap_ns = gap_ns > shares.gap_ns[i] ? gap_ns : shares.gap_ns[i];
		if (!always_asks(c) || (double)gap_ns <= 2 * turn_ns)
			continue;
		snprintf(why, why_len, "%s had nothing for %.1f ms", c->name, (double)gap_ns / 1e6);
		return false;
	}
	return true;
}

static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h"};

/* n clients, weights 1 to 8, most of them asking all the time. */
static void shares_make(uint64_t seed, enum rein_sim_charging charging,
                        struct rein_sim_setup *setup, struct rein_sim_client *c)
{
	uint64_t random = seed;
	unsigned n = (unsigned)rein_sim_log_uniform(&random, 2, 65);
	/* estimates need turns of twice the backlog (policy/turn.h) */
	uint64_t least_ms = charging == REIN_SIM_EXACT ? 4 : 8;
	uint64_t quantum_ns = rein_sim_between(&random, least_ms, least_ms + 6) * REIN_MS;
	double sum = 0, least = INFINITY;
	n = n > 64 ? 64 : n;
	for (unsigned i = 0; i < n; i++) {
		uint64_t kernel_ns = rein_sim_log_uniform(&random, 50 * REIN_US, 2 * REIN_MS);
		c[i] = sim_endless(names[i % 8], 0, kernel_ns);
		c[i].policy.weight = (uint32_t)rein_sim_between(&random, 1, 8) * 100;
		c[i].kernel_min_ns = rein_sim_between(&random, 0, 1) ? kernel_ns / 4 : 0;
		if (charging == REIN_SIM_EXACT && rein_sim_between(&random, 0, 3) == 0)
			c[i].policy.latency_nice = (int)rein_sim_between(&random, 0, 39) - 20;
		c[i].policy.backlog_ns = rein_sim_between(&random, 1, 4) * REIN_MS;
		if (i > 1 && rein_sim_between(&random, 0, 4) == 0) {
			c[i].arrival = REIN_SIM_POISSON;
			c[i].declares = true;
			c[i].kernels = (unsigned)rein_sim_between(&random, 1, 10);
			c[i].period_ns = c[i].kernels * kernel_ns * n * 3;
		}
		sum += c[i].policy.weight;
		if (c[i].policy.weight < least)
			least = c[i].policy.weight;
	}
	*setup =
	    (struct rein_sim_setup){.ops = &rein_policy_fair,
	                            .params = {.quantum_ns = quantum_ns},
	                            .seed = seed,
	                            .timeslice_ns = 2 * REIN_MS,
	                            .slice_preempts = rein_sim_between(&random, 0, 1),
	                            .switch_ns = rein_sim_between(&random, 0, 1) * 150 * REIN_US,
	                            .reaction_ns = rein_sim_between(&random, 0, 1) * 20 * REIN_US,
	                            .charging = charging,
	                            .queue_max = 256,
	                            .client = c,
	                            .n = n};
	setup->duration_ns = (uint64_t)(3 * 10 * (double)longest_turn(setup) * sum / least);
}

static void share(enum rein_sim_charging charging, double noise)
{
	static const struct property property = {shares_hold};
	worst_jain = 1;
	wanted_jain = charging == REIN_SIM_EXACT ? 0.99 : 0.98; /* they are estimates */
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct rein_sim_client c[SHRINK_CLIENTS];
		struct rein_sim_setup setup;
		shares_make(seed, charging, &setup, c);
		setup.noise = noise;
		check_property(&setup, &property);
	}
	printf("fair, charges %s ± %.0f %%: least Jain of 60 scenarios %.4f\n",
	       charging == REIN_SIM_EXACT ? "exact" : "as the daemon estimates", 100 * noise,
	       worst_jain);
	fflush(stdout);
}

TEST(weights_are_kept)
{
	share(REIN_SIM_EXACT, 0);
}
TEST_END

TEST(weights_are_kept_with_estimates)
{
	share(REIN_SIM_ESTIMATE, 0);
}
TEST_END

TEST(weights_are_kept_with_noise)
{
	share(REIN_SIM_EXACT, 0.3);
}
TEST_END

/* ---------------------------------------------------------------- work conservation */

static bool conserving_holds(const struct rein_sim_setup *setup, char *why, size_t why_len)
{
	REIN_AUTO_SIM struct rein_sim *s = sim_run(setup);
	uint64_t starved_ns = rein_sim_totals(s)->starved_ns;
	snprintf(why, why_len, "nothing ran for %.6f ms while somebody was held",
	         (double)starved_ns / 1e6);
	return starved_ns == 0;
}

static struct rein_sim_client conserving_client(uint64_t *random, unsigned i)
{
	static const enum rein_sim_arrival kinds[] = {REIN_SIM_PERIODIC, REIN_SIM_POISSON,
	                                              REIN_SIM_CLOSED,   REIN_SIM_ENDLESS,
	                                              REIN_SIM_SPORADIC, REIN_SIM_BURSTS};
	uint64_t kernel_ns = rein_sim_log_uniform(random, 20 * REIN_US, 4 * REIN_MS);
	struct rein_sim_client c =
	    sim_periodic(names[i % 8], (int)rein_sim_between(random, 0, 3) * 30,
	                 rein_sim_log_uniform(random, 2 * REIN_MS, 200 * REIN_MS),
	                 (unsigned)rein_sim_between(random, 1, 10), kernel_ns);
	c.arrival = kinds[rein_sim_between(random, 0, REIN_ARRAY_LEN(kinds) - 1)];
	c.think_ns = rein_sim_between(random, 0, 3) * REIN_MS;
	c.jitter_ns = c.period_ns / 3;
	c.on_ns = 5 * c.period_ns;
	c.off_ns = 9 * c.period_ns;
	c.policy.weight = (uint32_t)rein_sim_between(random, 1, 8) * 100;
	if (rein_sim_between(random, 0, 2) == 0) {
		c.policy.band = REIN_BAND_REALTIME;
		c.policy.period_ns = c.period_ns;
		c.policy.budget_ns = c.period_ns / 8;
		c.policy.deadline_ns = rein_sim_between(random, 0, 1) * c.period_ns;
		c.policy.declared = true;
	}
	return c;
}

static void conserve(const struct rein_policy_ops *ops)
{
	static const struct property property = {conserving_holds};
	for (uint64_t seed = 1; seed <= 200; seed++) {
		uint64_t random = seed;
		struct rein_sim_client c[12];
		unsigned n = (unsigned)rein_sim_between(&random, 1, REIN_ARRAY_LEN(c));
		for (unsigned i = 0; i < n; i++)
			c[i] = conserving_client(&random, i);
		const struct rein_sim_setup setup = {
		    .ops = ops,
		    .seed = seed,
		    .duration_ns = 600 * REIN_MS,
		    .timeslice_ns = 2 * REIN_MS,
		    .switch_ns = rein_sim_between(&random, 0, 1) * 100 * REIN_US,
		    .slice_preempts = rein_sim_between(&random, 0, 1),
		    .charging =
			rein_sim_between(&random, 0, 1) ? REIN_SIM_EXACT : REIN_SIM_ESTIMATE,
		    .client = c,
		    .n = n};
		check_property(&setup, &property);
	}
}

TEST(nobody_waits_while_the_device_is_idle)
{
	for (unsigned i = 0; rein_policies[i]; i++)
		conserve(rein_policies[i]);
}
TEST_END

/* The property can fail: HAMi-core's tokens leave the device idle. */
TEST(idle_time_is_noticed)
{
	const struct rein_sim_client c[] = {sim_endless("a", 0, REIN_MS)};
	struct rein_sim_client two[] = {c[0], sim_periodic("b", 0, REIN_S, 1, REIN_MS)};
	const struct rein_sim_setup setup = {.ops = &rein_peer_tokens,
	                                     .duration_ns = REIN_S,
	                                     .timeslice_ns = 2 * REIN_MS,
	                                     .queue_max = 8,
	                                     .client = two,
	                                     .n = 2};
	char why[200];
	ck_assert(!conserving_holds(&setup, why, sizeof(why)));
}
TEST_END

TESTS("shares", weights_are_kept, weights_are_kept_with_estimates, weights_are_kept_with_noise,
      nobody_waits_while_the_device_is_idle, idle_time_is_noticed)
