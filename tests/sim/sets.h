// SPDX-License-Identifier: Apache-2.0
/*
 * sets.h: random task sets for the proofs: timed tasks by UUniFast with log-uniform periods, and
 * best-effort programs that keep as much queued as they may. A set is an array of clients, from
 * which the tasks that admission analyses are derived (rein_sim_task), so that a shrunk set is
 * admitted anew.
 */
#ifndef REIN_TESTS_SETS_H
#define REIN_TESTS_SETS_H

#include <string.h>

#include "policy/policies.h"
#include "policy/sim/task.h"
#include "sim_run.h"

#define SETS_TIMED_MAX 12u
#define SETS_MAX (SETS_TIMED_MAX + 4u)

struct set {
	uint64_t seed;
	double utilisation;
	unsigned n, timed; /* the timed ones come first, the most urgent by deadline first */
	struct rein_sim_client client[SETS_MAX];
	struct rein_policy_params params;
	uint64_t switch_ns, reaction_ns, timeslice_ns;
	bool slice_preempts;
	enum rein_sim_charging charging;
};

/* How many sets a proof takes. Sanitizers look at the code, not at the theory. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SETS_DEFAULT 50
#else
#define SETS_DEFAULT 1000
#endif

static inline unsigned sets_wanted(void)
{
	const char *text = getenv("REIN_SIM_SETS");
	return text && atoi(text) > 0 ? (unsigned)atoi(text) : SETS_DEFAULT;
}

static inline uint64_t set_pick(uint64_t *random, uint64_t a, uint64_t b)
{
	return rein_sim_between(random, 0, 1) ? a : b;
}

/* A request of about cost_ns; what it takes alone, whatever its backlog, is its budget. */
static inline void set_request(uint64_t *random, struct rein_sim_client *c, uint64_t cost_ns)
{
	uint64_t longest_ns = rein_sim_log_uniform(random, 50 * REIN_US, 5 * REIN_MS);
	if (rein_sim_between(random, 0, 3) == 0)
		c->submit_ns = rein_sim_between(random, 1, 8) * REIN_US;
	c->kernel_ns = longest_ns < cost_ns ? longest_ns : cost_ns;
	c->kernels = (unsigned)(cost_ns / (c->kernel_ns + c->submit_ns));
	c->kernels = c->kernels ? c->kernels : 1;
	c->policy.linger_us = REIN_POLICY_LINGER_US;
	c->declares = rein_sim_between(random, 0, 2) > 0;
	uint64_t took_ns = c->kernels * (c->kernel_ns + c->submit_ns);
	if (rein_sim_between(random, 0, 2) == 0 && c->kernels > 1) {
		c->gap_every = (unsigned)rein_sim_between(random, 1, c->kernels);
		c->gap_ns = rein_sim_between(random, 1, 150) * REIN_US;
		/* no gap after the last kernel */
		took_ns += (c->kernels - 1) / c->gap_every * c->gap_ns;
	}
	if (rein_sim_between(random, 0, 3) == 0) {
		c->copy_in_ns = rein_sim_between(random, 10, 300) * REIN_US;
		took_ns += c->copy_in_ns + c->submit_ns + c->gap_ns;
	}
	if (rein_sim_between(random, 0, 2) == 0)
		c->kernel_min_ns = c->kernel_ns / 2 + 1;
	c->policy.budget_ns = took_ns;
}

static inline void set_timed(uint64_t *random, struct rein_sim_client *c, double utilisation)
{
	uint64_t period_ns = rein_sim_log_uniform(random, 30 * REIN_MS, 500 * REIN_MS);
	uint64_t cost_ns = (uint64_t)(utilisation * (double)period_ns);
	cost_ns = cost_ns < 20 * REIN_US ? 20 * REIN_US : cost_ns;
	*c = sim_periodic("", 0, period_ns, 1, 1);
	set_request(random, c, cost_ns);
	uint64_t least_ns = c->policy.budget_ns + (period_ns - c->policy.budget_ns) / 2;
	uint64_t deadline_ns =
	    set_pick(random, period_ns, rein_sim_between(random, least_ns, period_ns));
	/* now and then one request may still be under way when the next one comes */
	if (c->policy.budget_ns >= period_ns || rein_sim_between(random, 0, 7) == 0)
		deadline_ns = rein_sim_between(random, period_ns, 2 * period_ns);
	c->policy.period_ns = period_ns;
	c->policy.deadline_ns = deadline_ns;
	c->policy.declared = true;
	c->policy.band = REIN_BAND_REALTIME;
	c->policy.backlog_ns = rein_sim_log_uniform(random, 500 * REIN_US, 8 * REIN_MS);
	c->policy.backlog_launches = 1024;
}

static inline void set_best_effort(uint64_t *random, struct rein_sim_client *c)
{
	*c = sim_endless("", 0, rein_sim_log_uniform(random, 50 * REIN_US, 4 * REIN_MS));
	c->policy.backlog_ns = rein_sim_log_uniform(random, 500 * REIN_US, 8 * REIN_MS);
	c->policy.backlog_launches = 1024;
	c->policy.linger_us = REIN_POLICY_LINGER_US;
	c->unknown = rein_sim_between(random, 0, 3) == 0;
}

static inline void set_sort(struct set *set)
{
	for (unsigned i = 1; i < set->timed; i++)
		for (unsigned k = i; k > 0; k--) {
			struct rein_sim_client *a = &set->client[k - 1], *b = &set->client[k], t;
			if (a->policy.deadline_ns <= b->policy.deadline_ns)
				break;
			t = *a;
			*a = *b;
			*b = t;
		}
}

static inline void set_make(struct set *set, uint64_t seed)
{
	static const char *const names[SETS_MAX] = {"t1", "t2",  "t3",  "t4",  "t5",  "t6",
	                                            "t7", "t8",  "t9",  "t10", "t11", "t12",
	                                            "be", "be2", "be3", "be4"};
	uint64_t random = seed * 2654435761u;
	double u[SETS_TIMED_MAX];
	*set = (struct set){.seed = seed};
	set->timed = (unsigned)rein_sim_between(&random, 2, SETS_TIMED_MAX);
	set->utilisation = 0.1 + 0.9 * rein_sim_uniform(&random);
	set->n = set->timed + (unsigned)rein_sim_between(&random, 1, 3);
	rein_sim_uunifast(&random, set->timed, set->utilisation, u);
	for (unsigned i = 0; i < set->timed; i++)
		set_timed(&random, &set->client[i], u[i]);
	set_sort(set);
	for (unsigned i = set->timed; i < set->n; i++)
		set_best_effort(&random, &set->client[i]);
	/* deadline-monotonic, sometimes two of equal priority, sometimes any order */
	bool any = rein_sim_between(&random, 0, 4) == 0;
	for (unsigned i = 0; i < set->timed; i++)
		set->client[i].policy.prio =
		    any ? (int)rein_sim_between(&random, 1, 99) : 90 - 5 * (int)i;
	if (rein_sim_between(&random, 0, 3) == 0)
		set->client[1].policy.prio = set->client[0].policy.prio;
	for (unsigned i = 0; i < set->n; i++)
		set->client[i].name = names[i < set->timed ? i : SETS_TIMED_MAX + i - set->timed];
	set->timeslice_ns = set_pick(&random, 1 * REIN_MS, 2 * REIN_MS);
	set->switch_ns = set_pick(&random, 0, 150 * REIN_US);
	set->reaction_ns = set_pick(&random, 0, 100 * REIN_US);
	set->slice_preempts = rein_sim_between(&random, 0, 1);
	set->params = (struct rein_policy_params){.switch_ns = set->switch_ns,
	                                          .reaction_ns = set->reaction_ns,
	                                          .timeslice_ns = set->timeslice_ns};
}

/* ---------------------------------------------------------------- how requests come */

enum set_phase {
	PHASE_STACKED, /* the least urgent first, a moment apart: each has filled its backlog */
	PHASE_TOGETHER,
	PHASE_RANDOM, /* any offsets */
	PHASE_SPORADIC,
	PHASES
};

/* Enough time for everybody's worst case to build up. */
static inline uint64_t set_phase(struct set *set, enum set_phase phase, uint64_t seed)
{
	uint64_t random = seed ^ (uint64_t)phase << 32, start_ns = 10 * REIN_MS, longest_ns = 0;
	for (unsigned i = 0; i < set->timed; i++) {
		struct rein_sim_client *c = &set->client[i];
		longest_ns = c->period_ns > longest_ns ? c->period_ns : longest_ns;
		c->arrival = phase == PHASE_SPORADIC ? REIN_SIM_SPORADIC : REIN_SIM_PERIODIC;
		c->jitter_ns = phase == PHASE_SPORADIC ? c->period_ns / 10 : 0;
		c->offset_ns = start_ns;
		if (phase == PHASE_STACKED)
			c->offset_ns += (set->timed - i) * (set->reaction_ns + 10 * REIN_US);
		else if (phase != PHASE_TOGETHER)
			c->offset_ns += rein_sim_between(&random, 0, c->period_ns);
	}
	return start_ns + 2 * longest_ns + 200 * REIN_MS;
}

static inline struct rein_sim_setup
set_setup(const struct set *set, const struct rein_policy_ops *ops, uint64_t duration_ns)
{
	return (struct rein_sim_setup){.ops = ops,
	                               .params = set->params,
	                               .seed = set->seed,
	                               .duration_ns = duration_ns,
	                               .timeslice_ns = set->timeslice_ns,
	                               .slice_preempts = set->slice_preempts,
	                               .switch_ns = set->switch_ns,
	                               .reaction_ns = set->reaction_ns,
	                               .queue_max = 1024,
	                               .charging = set->charging,
	                               .client = set->client,
	                               .n = set->n};
}

#endif
