// SPDX-License-Identifier: Apache-2.0
/* The simulator itself: small cases with results computed by hand, conservation, order,
 * determinism. */
#include "sim_run.h"

#include <errno.h>
#include <string.h>

#include "policy/policies.h"

#define MS REIN_MS
#define US REIN_US

/* ---------------------------------------------------------------- by hand */

TEST(alone_a_request_takes_the_sum_of_its_parts)
{
	struct rein_sim_client c = sim_periodic("a", 10, 50 * MS, 3, 2 * MS);
	c.copy_in_ns = 1 * MS;
	c.copy_out_ns = 500 * US;
	c.gap_every = 2; /* after the copy and the first kernel, and after the third kernel */
	c.gap_ns = 100 * US;
	const struct rein_sim_setup setup = {
	    .ops = &rein_policy_prio, .duration_ns = REIN_S, .client = &c, .n = 1};
	REIN_AUTO_SIM struct rein_sim *s = sim_run(&setup);
	const struct rein_sim_result *r = rein_sim_result(s, 0);
	/* the request that arrives at the very end does not count as done */
	ck_assert_uint_eq(r->done, 20);
	ck_assert_uint_eq(r->released, 21);
	ck_assert_uint_eq(r->response_max_ns, 1 * MS + 3 * 2 * MS + 500 * US + 2 * 100 * US);
	ck_assert_uint_eq(r->gpu_ns, 20 * 6 * MS);
	ck_assert_uint_eq(r->copy_ns, 20 * 1500 * US);
	ck_assert_uint_eq(r->segments, 20 * 5);
}
TEST_END

/* Two endless clients, 1 ms kernels, slices of 4 ms, 0.5 ms to switch: 4 + 0.5 + 4 + 0.5 … */
TEST(time_slices_take_turns)
{
	const struct rein_sim_client c[] = {sim_endless("a", 0, 1 * MS),
	                                    sim_endless("b", 0, 1 * MS)};
	for (int preempts = 0; preempts < 2; preempts++) {
		const struct rein_sim_setup setup = {.ops = &rein_policy_fifo,
		                                     .duration_ns = 90 * MS,
		                                     .timeslice_ns = 4 * MS,
		                                     .switch_ns = 500 * US,
		                                     .slice_preempts = preempts,
		                                     .client = c,
		                                     .n = 2};
		REIN_AUTO_SIM struct rein_sim *s = sim_run(&setup);
		ck_assert_uint_eq(rein_sim_result(s, 0)->gpu_ns, 40 * MS);
		ck_assert_uint_eq(rein_sim_result(s, 1)->gpu_ns, 40 * MS);
		ck_assert_uint_eq(rein_sim_totals(s)->switches, 20);
		ck_assert_uint_eq(rein_sim_totals(s)->idle_ns, 0);
	}
}
TEST_END

/* Kernels of 3 ms in slices of 2 ms: cut off, or run to their end. */
TEST(a_slice_cuts_kernels_only_where_it_may)
{
	const struct rein_sim_client c[] = {sim_endless("a", 0, 3 * MS),
	                                    sim_endless("b", 0, 1 * MS)};
	struct rein_sim_setup setup = {.ops = &rein_policy_fifo,
	                               .duration_ns = 100 * MS,
	                               .timeslice_ns = 2 * MS,
	                               .client = c,
	                               .n = 2};
	REIN_AUTO_SIM struct rein_sim *whole = sim_run(&setup);
	ck_assert_uint_eq(rein_sim_result(whole, 0)->gpu_ns, 60 * MS);
	setup.slice_preempts = true;
	REIN_AUTO_SIM struct rein_sim *cut = sim_run(&setup);
	ck_assert_uint_eq(rein_sim_result(cut, 0)->gpu_ns, 50 * MS);
}
TEST_END

/*
 * BE keeps 4 ms queued in 1 ms kernels when a request of 10 ms comes at 20 ms. Run to the end one
 * after the other: 4 + 10. The gate stays closed for all of it, and BE goes on right after.
 */
TEST(an_urgent_request_waits_for_the_backlog)
{
	struct rein_sim_client c[] = {sim_endless("be", 0, 1 * MS),
	                              sim_periodic("lc", 50, 100 * MS, 5, 2 * MS)};
	c[1].offset_ns = 20 * MS;
	struct rein_sim_setup setup = {
	    .ops = &rein_policy_prio, .duration_ns = 100 * MS, .client = c, .n = 2};
	REIN_AUTO_SIM struct rein_sim *s = sim_run(&setup);
	ck_assert_uint_eq(rein_sim_result(s, 1)->response_max_ns, 14 * MS);
	ck_assert_uint_eq(rein_sim_result(s, 0)->gpu_ns, 90 * MS);
	ck_assert_uint_eq(rein_sim_totals(s)->idle_ns, 0);
	ck_assert_uint_eq(rein_sim_result(s, 0)->waited_ns, 14 * MS);

	/* unknown kernels: one at a time */
	c[0].unknown = true;
	REIN_AUTO_SIM struct rein_sim *unknown = sim_run(&setup);
	ck_assert_uint_eq(rein_sim_result(unknown, 1)->response_max_ns, 11 * MS);
	c[0].unknown = false;

	/* in slices of 2 ms: BE's 4 ms are through after LC's second slice */
	setup.timeslice_ns = 2 * MS;
	REIN_AUTO_SIM struct rein_sim *sliced = sim_run(&setup);
	ck_assert_uint_eq(rein_sim_result(sliced, 1)->response_max_ns, 14 * MS);
	setup.timeslice_ns = 0;

	/* an arbiter that reacts after 3 ms: BE has refilled its backlog by three kernels */
	setup.reaction_ns = 3 * MS;
	REIN_AUTO_SIM struct rein_sim *late = sim_run(&setup);
	ck_assert_uint_eq(rein_sim_result(late, 1)->response_max_ns, 17 * MS);
	setup.reaction_ns = 0;

	/* a context gate of 1.5 ms stops BE's queue, whatever is in it */
	setup.context_gate_ns = 1500 * US;
	REIN_AUTO_SIM struct rein_sim *gated = sim_run(&setup);
	ck_assert_uint_eq(rein_sim_result(gated, 1)->response_max_ns, 11500 * US);
}
TEST_END

/* Nobody holds back what fifo lets through: BE has 1,024 kernels queued. */
TEST(an_unmetered_queue_is_as_deep_as_the_driver_takes)
{
	struct rein_sim_client c[] = {sim_endless("be", 0, 1 * MS),
	                              sim_periodic("lc", 50, 2000 * MS, 1, 2 * MS)};
	c[1].offset_ns = 100 * MS;
	const struct rein_sim_setup setup = {.ops = &rein_policy_fifo,
	                                     .duration_ns = 2000 * MS,
	                                     .queue_max = 300,
	                                     .client = c,
	                                     .n = 2};
	/* without time slices the queue never drains: LC starves */
	REIN_AUTO_SIM struct rein_sim *s = sim_run(&setup);
	ck_assert_uint_eq(rein_sim_result(s, 1)->done, 0);
	struct rein_sim_setup prio = setup;
	prio.ops = &rein_policy_prio;
	REIN_AUTO_SIM struct rein_sim *p = sim_run(&prio);
	ck_assert_uint_eq(rein_sim_result(p, 1)->response_max_ns, 6 * MS);
}
TEST_END

/* A submission of 1 ms that has begun goes through the closed gate, and into the room it took. */
TEST(one_submission_is_past_the_check)
{
	struct rein_sim_client c[] = {sim_endless("be", 0, 2 * MS),
	                              sim_periodic("lc", 50, 100 * MS, 1, 2 * MS)};
	c[0].submit_ns = 1 * MS;
	c[0].policy.backlog_ns = 2 * MS; /* one kernel: submitted for 1 ms, then running for 2 */
	c[1].offset_ns = 30 * MS + 500 * US;
	const struct rein_sim_setup setup = {
	    .ops = &rein_policy_prio, .duration_ns = 100 * MS, .client = c, .n = 2};
	REIN_AUTO_SIM struct rein_sim *s = sim_run(&setup);
	/* LC had the device at 30.5 ms; BE's kernel came at 31 ms, behind it */
	ck_assert_uint_eq(rein_sim_result(s, 1)->response_max_ns, 2 * MS);
	ck_assert_uint_eq(rein_sim_result(s, 0)->segments, 32);
}
TEST_END

TEST(a_linger_keeps_others_out)
{
	struct rein_sim_client c[] = {sim_endless("be", 0, 1 * MS),
	                              sim_periodic("lc", 50, 10 * MS, 1, 1 * MS)};
	c[1].declares = false;
	c[1].policy.linger_us = 300;
	c[1].offset_ns = 5 * MS + 1;
	c[0].policy.backlog_ns = 1 * MS;
	const struct rein_sim_setup setup = {
	    .ops = &rein_policy_prio, .duration_ns = 1000 * MS, .client = c, .n = 2};
	REIN_AUTO_SIM struct rein_sim *s = sim_run(&setup);
	const struct rein_sim_totals *t = rein_sim_totals(s);
	ck_assert_uint_eq(t->idle_ns, 100 * 300 * US);
	ck_assert_uint_eq(t->starved_ns, t->idle_ns);
}
TEST_END

/* ---------------------------------------------------------------- MPS, copies, chains */

TEST(contexts_share_the_sms_by_their_number)
{
	struct rein_sim_client c[] = {sim_periodic("a", 0, 100 * MS, 1, 10 * MS),
	                              sim_periodic("b", 0, 100 * MS, 1, 4 * MS)};
	const struct rein_sim_setup setup = {.ops = &rein_policy_fifo,
	                                     .duration_ns = 100 * MS - 1,
	                                     .sharing = REIN_SIM_MPS,
	                                     .client = c,
	                                     .n = 2};
	REIN_AUTO_SIM struct rein_sim *s = sim_run(&setup);
	/* half speed until b is done at 8 ms, then a has 6 ms left */
	ck_assert_uint_eq(rein_sim_result(s, 1)->response_max_ns, 8 * MS);
	ck_assert_uint_eq(rein_sim_result(s, 0)->response_max_ns, 14 * MS);
	ck_assert_uint_eq(rein_sim_totals(s)->busy_ns, 14 * MS);
}
TEST_END

/* A policy of our own: client 1 is confined to 33 of 132 SMs. */
static uint64_t quarter_decide(struct rein_policy *p, struct rein_policy_client *const *c,
                               struct rein_policy_verdict *v, unsigned n, uint64_t now_ns)
{
	for (unsigned i = 0; i < n; i++)
		v[i].sms = c[i]->id == 1 ? 33 : 0;
	return UINT64_MAX;
}

static struct rein_policy *quarter_init(const struct rein_policy_params *params);
static const struct rein_policy_ops quarter;

static void quarter_fini(struct rein_policy *p)
{
}

static const struct rein_policy_ops quarter = {
    .name = "quarter", .init = quarter_init, .fini = quarter_fini, .decide = quarter_decide};

static struct rein_policy *quarter_init(const struct rein_policy_params *params)
{
	static struct rein_policy p = {&quarter};
	return &p;
}

TEST(a_slice_of_the_sms_slows_down_and_makes_room)
{
	struct rein_sim_client c[] = {sim_periodic("a", 0, 100 * MS, 1, 10 * MS),
	                              sim_periodic("b", 0, 100 * MS, 1, 20 * MS)};
	struct rein_sim_setup setup = {.ops = &quarter,
	                               .duration_ns = 100 * MS - 1,
	                               .sharing = REIN_SIM_MPS,
	                               .client = c,
	                               .n = 1};
	REIN_AUTO_SIM struct rein_sim *alone = sim_run(&setup);
	ck_assert_uint_eq(rein_sim_result(alone, 0)->response_max_ns, 40 * MS);
	setup.n = 2;
	REIN_AUTO_SIM struct rein_sim *both = sim_run(&setup);
	/* 165 SMs are wanted of 132: b runs at 0.8, is done at 25 ms; a did 5 of 10 ms by then */
	ck_assert_uint_eq(rein_sim_result(both, 1)->response_max_ns, 25 * MS);
	ck_assert_uint_eq(rein_sim_result(both, 0)->response_max_ns, 45 * MS);
}
TEST_END

TEST(copies_run_beside_kernels)
{
	struct rein_sim_client c[] = {sim_periodic("a", 0, 100 * MS, 0, 0),
	                              sim_periodic("b", 0, 100 * MS, 2, 5 * MS),
	                              sim_periodic("c", 0, 100 * MS, 0, 0)};
	c[0].copy_in_ns = 6 * MS;
	c[2].copy_in_ns = 1 * MS;
	struct rein_sim_setup setup = {.ops = &rein_policy_fifo,
	                               .duration_ns = 100 * MS - 1,
	                               .copy_engines = 1,
	                               .client = c,
	                               .n = 3};
	REIN_AUTO_SIM struct rein_sim *one = sim_run(&setup);
	ck_assert_uint_eq(rein_sim_result(one, 0)->response_max_ns, 6 * MS);
	ck_assert_uint_eq(rein_sim_result(one, 1)->response_max_ns, 10 * MS);
	ck_assert_uint_eq(rein_sim_result(one, 2)->response_max_ns, 7 * MS);
	setup.copy_engines = 2;
	REIN_AUTO_SIM struct rein_sim *two = sim_run(&setup);
	ck_assert_uint_eq(rein_sim_result(two, 2)->response_max_ns, 1 * MS);
}
TEST_END

TEST(chains_and_times_release_requests)
{
	static const uint64_t times[] = {3 * MS, 10 * MS, 10 * MS, 40 * MS};
	struct rein_sim_client c[] = {sim_periodic("a", 10, 0, 1, 2 * MS),
	                              sim_periodic("b", 10, 0, 1, 1 * MS)};
	c[0].arrival = REIN_SIM_TIMES;
	c[0].times_ns = times;
	c[0].n_times = 4;
	c[1].arrival = REIN_SIM_AFTER;
	c[1].after = 0;
	const struct rein_sim_setup setup = {
	    .ops = &rein_policy_fifo, .duration_ns = 100 * MS, .client = c, .n = 2};
	REIN_AUTO_SIM struct rein_sim *s = sim_run(&setup);
	ck_assert_uint_eq(rein_sim_result(s, 0)->done, 4);
	ck_assert_uint_eq(rein_sim_result(s, 1)->done, 4);
	/* b's second comes at 12 ms, when a's third begins; a is first in line */
	ck_assert_uint_eq(rein_sim_result(s, 0)->response_max_ns, 4 * MS);
	ck_assert_uint_eq(rein_sim_result(s, 1)->response_max_ns, 3 * MS);
}
TEST_END

TEST(clients_come_and_go)
{
	struct rein_sim_client c[] = {sim_endless("be", 0, 1 * MS), sim_endless("lc", 50, 1 * MS)};
	c[1].join_ns = 20 * MS;
	c[1].leave_ns = 60 * MS;
	const struct rein_sim_setup setup = {
	    .ops = &rein_policy_prio, .duration_ns = 200 * MS, .queue_max = 8, .client = c, .n = 2};
	REIN_AUTO_SIM struct rein_sim *s = sim_run(&setup);
	/* unmetered BE has queued 8 ms by then; LC's last 8 ms are through at 68 */
	ck_assert_uint_eq(rein_sim_result(s, 1)->gpu_ns, 40 * MS);
	ck_assert_uint_eq(rein_sim_result(s, 0)->gpu_ns, 160 * MS);
}
TEST_END

/* ---------------------------------------------------------------- on random scenarios */

struct watch {
	uint64_t hash, events;
	uint64_t at_ns;
	uint64_t submitted[REIN_SIM_CLIENTS_MAX], begun[REIN_SIM_CLIENTS_MAX],
	    ended[REIN_SIM_CLIENTS_MAX];
	uint64_t ran_until_ns, ran_ns, done_ns[REIN_SIM_CLIENTS_MAX];
	bool mps;
};

static void watch_event(void *arg, const struct rein_sim_event *e)
{
	struct watch *w = arg;
	const uint64_t fields[] = {e->type,   e->client, e->at_ns,  e->since_ns, e->ns,
	                           e->engine, e->other,  e->closed, e->metered,  e->missed};
	w->events++;
	for (size_t i = 0; i < REIN_ARRAY_LEN(fields); i++) {
		w->hash += fields[i];
		w->hash = rein_sim_random(&w->hash);
	}
	ck_assert_uint_ge(e->at_ns, w->at_ns);
	ck_assert_uint_le(e->since_ns, e->at_ns);
	w->at_ns = e->at_ns;
	switch (e->type) {
	case REIN_SIM_EV_SUBMIT:
		w->submitted[e->client]++;
		break;
	case REIN_SIM_EV_RUN:
		/* only what was submitted and has not ended */
		ck_assert_uint_lt(w->ended[e->client], w->submitted[e->client]);
		if (e->engine == REIN_SIM_ENGINE_SMS) {
			if (!w->mps)
				ck_assert_uint_ge(e->since_ns, w->ran_until_ns);
			w->ran_until_ns = e->at_ns;
			w->ran_ns += e->at_ns - e->since_ns;
		}
		break;
	case REIN_SIM_EV_END:
		w->ended[e->client]++;
		ck_assert_uint_le(w->ended[e->client], w->submitted[e->client]);
		break;
	case REIN_SIM_EV_DONE:
		ck_assert_uint_eq(e->ns, e->at_ns - e->since_ns);
		w->done_ns[e->client] += e->ns;
		break;
	default:
		break;
	}
}

static struct rein_sim_client random_client(uint64_t *random)
{
	unsigned kernels = (unsigned)rein_sim_between(random, 1, 20);
	uint64_t kernel_ns = rein_sim_between(random, 10 * US, 4 * MS);
	struct rein_sim_client c =
	    sim_periodic("x", (int)rein_sim_between(random, 0, 99),
	                 rein_sim_log_uniform(random, 1 * MS, 300 * MS), kernels, kernel_ns);
	static const enum rein_sim_arrival kinds[] = {REIN_SIM_PERIODIC, REIN_SIM_SPORADIC,
	                                              REIN_SIM_POISSON,  REIN_SIM_BURSTS,
	                                              REIN_SIM_CLOSED,   REIN_SIM_ENDLESS};
	c.arrival = kinds[rein_sim_between(random, 0, REIN_ARRAY_LEN(kinds) - 1)];
	c.jitter_ns = rein_sim_between(random, 0, c.period_ns / 2);
	c.on_ns = 10 * c.period_ns;
	c.off_ns = 30 * c.period_ns;
	c.think_ns = rein_sim_between(random, 0, 5 * MS);
	c.kernel_min_ns = rein_sim_between(random, 0, 1) ? kernel_ns / 3 : 0;
	c.copy_in_ns = rein_sim_between(random, 0, 1) * 200 * US;
	c.copy_out_ns = rein_sim_between(random, 0, 1) * 100 * US;
	c.gap_every = (unsigned)rein_sim_between(random, 0, 4);
	c.gap_ns = rein_sim_between(random, 0, 500 * US);
	c.submit_ns = rein_sim_between(random, 0, 1) * 7 * US;
	c.unknown = rein_sim_between(random, 0, 3) == 0;
	c.declares = rein_sim_between(random, 0, 1);
	c.policy.linger_us = (uint32_t)rein_sim_between(random, 0, 500);
	c.policy.weight = (uint32_t)rein_sim_between(random, 1, 1000);
	c.policy.deadline_ns = rein_sim_between(random, 0, 1) * c.period_ns;
	c.policy.period_ns = c.policy.deadline_ns;
	c.policy.budget_ns = c.policy.deadline_ns / 4;
	c.policy.budget_hard = rein_sim_between(random, 0, 3) == 0;
	c.policy.declared = true;
	if (c.policy.deadline_ns)
		c.policy.band = REIN_BAND_REALTIME;
	c.join_ns = rein_sim_between(random, 0, 3) ? 0 : rein_sim_between(random, 0, 100 * MS);
	c.leave_ns = rein_sim_between(random, 0, 3) ? 0 : rein_sim_between(random, 0, 400 * MS);
	return c;
}

static void random_setup(uint64_t seed, struct rein_sim_setup *setup, struct rein_sim_client *c)
{
	uint64_t random = seed;
	unsigned policies = 1; /* there is always a default */
	while (rein_policies[policies])
		policies++;
	*setup = (struct rein_sim_setup){
	    .ops = rein_policies[seed % policies],
	    .seed = seed,
	    .duration_ns = 400 * MS,
	    .sharing = seed % 4 == 0 ? REIN_SIM_MPS : REIN_SIM_SLICES,
	    .timeslice_ns = rein_sim_between(&random, 0, 3) * MS,
	    .slice_preempts = rein_sim_between(&random, 0, 1),
	    .switch_ns = rein_sim_between(&random, 0, 1) * 150 * US,
	    .reaction_ns = rein_sim_between(&random, 0, 1) * 20 * US,
	    .context_gate_ns = rein_sim_between(&random, 0, 2) ? 0 : 60 * US,
	    .copy_engines = (unsigned)rein_sim_between(&random, 1, 3),
	    .queue_max = (unsigned)rein_sim_between(&random, 1, 200),
	    .charging = rein_sim_between(&random, 0, 1) ? REIN_SIM_EXACT : REIN_SIM_ESTIMATE,
	    .noise = (double)rein_sim_between(&random, 0, 3) / 10,
	    .client = c,
	    .n = (unsigned)rein_sim_between(&random, 1, 9),
	};
	for (unsigned i = 0; i < setup->n; i++)
		c[i] = random_client(&random);
}

TEST(time_and_work_are_conserved)
{
	for (uint64_t seed = 1; seed <= 300; seed++) {
		struct rein_sim_client c[9];
		struct rein_sim_setup setup;
		struct watch w = {0};
		random_setup(seed, &setup, c);
		w.mps = setup.sharing == REIN_SIM_MPS;
		setup.observe = watch_event;
		setup.arg = &w;
		REIN_AUTO_SIM struct rein_sim *s = sim_run(&setup);
		const struct rein_sim_totals *t = rein_sim_totals(s);
		uint64_t gpu_ns = 0;
		ck_assert_uint_eq(t->busy_ns + t->switch_ns + t->idle_ns, setup.duration_ns);
		for (unsigned i = 0; i < setup.n; i++) {
			const struct rein_sim_result *r = rein_sim_result(s, i);
			gpu_ns += r->gpu_ns;
			ck_assert_uint_eq(r->segments, w.ended[i]);
			if (c[i].arrival != REIN_SIM_ENDLESS)
				ck_assert_uint_le(r->done, r->released);
			ck_assert_uint_le(rein_sim_response(r->response, 500),
			                  rein_sim_response(r->response, 990));
			ck_assert_uint_le(rein_sim_response(r->response, 1000),
			                  r->response_max_ns + r->response_max_ns / 100 + 1);
		}
		if (w.mps) { /* rounded down once a client, up to a ns an end */
			ck_assert_uint_le(gpu_ns, t->busy_ns + setup.n);
		} else {
			ck_assert_uint_eq(gpu_ns, t->busy_ns);
			ck_assert_uint_eq(gpu_ns, w.ran_ns);
		}
	}
}
TEST_END

TEST(the_same_seed_gives_the_same_events)
{
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct rein_sim_client c[9];
		struct rein_sim_setup setup;
		struct watch w[3] = {0};
		random_setup(seed, &setup, c);
		for (int i = 0; i < 3; i++) {
			w[i].mps = true;
			setup.seed = i < 2 ? seed : seed + 1000;
			setup.observe = watch_event;
			setup.arg = &w[i];
			rein_sim_free(sim_run(&setup));
		}
		ck_assert_uint_eq(w[0].hash, w[1].hash);
		ck_assert_uint_eq(w[0].events, w[1].events);
	}
}
TEST_END

TEST(mistakes_are_told)
{
	struct rein_sim_client c[] = {sim_periodic("a", 0, 0, 1, 1), sim_periodic("b", 0, 1, 1, 1)};
	struct rein_sim_setup setup = {.ops = &rein_policy_fifo, .client = c, .n = 2};
	struct rein_sim *s;
	char why[200] = "";
	ck_assert_int_eq(rein_sim_new(&setup, &s, why, sizeof(why)), -EINVAL);
	ck_assert_str_eq(why, "client a: its arrivals need a distance");
	c[0].arrival = REIN_SIM_AFTER;
	c[0].after = 0;
	ck_assert_int_eq(rein_sim_new(&setup, &s, why, sizeof(why)), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "not another one"));
	setup.n = 0;
	ck_assert_int_eq(rein_sim_new(&setup, &s, why, sizeof(why)), -EINVAL);
}
TEST_END

TESTS("sim", alone_a_request_takes_the_sum_of_its_parts, time_slices_take_turns,
      a_slice_cuts_kernels_only_where_it_may, an_urgent_request_waits_for_the_backlog,
      an_unmetered_queue_is_as_deep_as_the_driver_takes, one_submission_is_past_the_check,
      a_linger_keeps_others_out, contexts_share_the_sms_by_their_number,
      a_slice_of_the_sms_slows_down_and_makes_room, copies_run_beside_kernels,
      chains_and_times_release_requests, clients_come_and_go, time_and_work_are_conserved,
      the_same_seed_gives_the_same_events, mistakes_are_told)
