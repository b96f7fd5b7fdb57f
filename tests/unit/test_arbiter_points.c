// SPDX-License-Identifier: Apache-2.0
/* How a client is held: by which gates, the word that its GPU waits for, pulses; profiles. */
#include "common/rm.h"
#include "daemon/arbiter_int.h"
#include "daemon/profile.h"
#include "tests/unit/arbiter_rig.h"

static struct rein_points points;
static unsigned rings;

static void count_ring(struct rein_arbiter_client *c)
{
	rings++;
}

/* Its shim offers these gates. */
static void offer(struct party *p, uint32_t can)
{
	rein_store_release(&p->status.can, can);
	uint32_t bits = rein_load_relaxed(&p->status.demand) & (REIN_DEMAND_COUNT - 1);
	demand(p, bits);
}

static void allow(struct rein_gates gates)
{
	struct rein_gates_of all = {.other = gates};
	rein_arbiter_set_gates(a, &all, now_ns);
}

/* A client that can stop in the GPU's queue, and an urgent one. */
static struct party *be, *lc;
static void start_two(uint32_t can)
{
	start(&rein_policy_prio);
	a->ring = count_ring;
	allow((struct rein_gates){.can = REIN_CAN_QUEUE | REIN_CAN_CONTEXT,
	                          .context_recipe = REIN_RM_RECIPE_DISABLE_PREEMPT});
	memset(&points, 0, sizeof(points));
	rein_store_relaxed(&points.open, 1);
	rings = 0;
	be = join("be", 0, "A");
	be->c.points = &points;
	offer(be, can);
	lc = join("lc", 50, "A");
	busy(be);
}

static void end_two(void)
{
	leave(be), leave(lc);
	finish();
}

static bool is_open(void)
{
	return rein_load_relaxed(&points.open) & 1;
}

static uint32_t mode(const struct party *p)
{
	return rein_load_relaxed(&p->control.verdict[0].hold_mode);
}

static uint64_t every_ns(const struct party *p)
{
	return rein_load_relaxed(&p->control.verdict[0].point_ns);
}

TEST(points_only_while_somebody_could_preempt)
{
	start_two(REIN_CAN_QUEUE);
	ck_assert_uint_eq(every_ns(be), REIN_POINT_NS);
	ck_assert_uint_eq(rings, 1); /* its warden is to watch */
	ck_assert_uint_eq(every_ns(lc), 0);
	leave(lc);
	run();
	ck_assert_uint_eq(every_ns(be), 0);
	lc = join("lc", 50, "A");
	ck_assert_uint_eq(every_ns(be), REIN_POINT_NS);
	ck_assert_uint_eq(rings, 2);
	end_two();
}
TEST_END

TEST(the_word_moves_with_the_gate)
{
	start_two(REIN_CAN_QUEUE);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert(is_open());
		busy(lc);
		ck_assert(closed(be) && !is_open());
		ck_assert_uint_eq(mode(be), REIN_HOLD_QUEUE);
		idle(lc);
		pass(LINGER_NS);
		ck_assert(!closed(be) && is_open());
		ck_assert_uint_eq(mode(be), REIN_HOLD_NONE);
	}
	busy(lc);
	leave(be); /* whoever it was runs on */
	ck_assert(is_open());
	be = join("be", 0, "A");
	end_two();
}
TEST_END

TEST(who_cannot_is_held_at_the_launch_gate)
{
	start_two(0);
	busy(lc);
	ck_assert_uint_eq(every_ns(be), 0);
	ck_assert_uint_eq(mode(be), REIN_HOLD_LAUNCH);
	ck_assert(closed(be) && is_open());
	offer(be, REIN_CAN_QUEUE);
	ck_assert_uint_eq(mode(be), REIN_HOLD_QUEUE);
	ck_assert(!is_open());
	offer(be, 0); /* it has opened an event of another process */
	ck_assert(closed(be) && is_open());
	ck_assert_uint_eq(mode(be), REIN_HOLD_LAUNCH);
	offer(be, REIN_CAN_QUEUE);
	allow((struct rein_gates){0});
	ck_assert(closed(be) && is_open());
	end_two();
}
TEST_END

TEST(ranks_of_a_job_do_not_stop_between_kernels)
{
	start_two(REIN_CAN_QUEUE);
	struct rein_arbiter_params params = {.prio = 0,
	                                     .weight = 100,
	                                     .linger_us = 200,
	                                     .backlog_ns = REIN_MS,
	                                     .backlog_launches = 8,
	                                     .patience_ns = REIN_LEASE_NS,
	                                     .job = be->c.policy.id};
	char why[160];
	struct party *mate = join("mate", 0, "A");
	ck_assert_int_eq(rein_arbiter_set(a, &mate->c, &params, now_ns, why, sizeof(why)), 0);
	busy(lc);
	ck_assert(closed(be) && closed(mate) && is_open());
	leave(mate);
	run();
	end_two();
}
TEST_END

TEST(keep_open_is_heeded)
{
	start_two(REIN_CAN_QUEUE);
	rein_store_relaxed(&points.keep_open, 1);
	busy(lc);
	ck_assert(closed(be) && is_open());
	pass(REIN_ARBITER_TICK_NS);
	ck_assert(is_open());
	rein_store_relaxed(&points.keep_open, 0);
	pass(REIN_ARBITER_TICK_NS);
	ck_assert(!is_open());
	rein_store_relaxed(&points.open, 1); /* a lease had lapsed: it was us who were late */
	pass(REIN_ARBITER_TICK_NS);
	ck_assert(!is_open());
	end_two();
}
TEST_END

/* A holder that goes on and on: its counters show progress. */
static void hold_for(uint64_t ns, uint64_t *longest_ns, unsigned *opens)
{
	uint64_t since_ns = now_ns, end_ns = now_ns + ns;
	bool was_open = is_open();
	*longest_ns = *opens = 0;
	while (now_ns < end_ns) {
		rein_add_relaxed(&lc->status.total.submissions, 1);
		demand(lc, REIN_DEMAND_ACTIVE);
		pass(REIN_MS / 2);
		*opens += is_open() && !was_open;
		if (is_open())
			since_ns = now_ns;
		was_open = is_open();
		if (now_ns - since_ns > *longest_ns)
			*longest_ns = now_ns - since_ns;
		ck_assert(closed(be));
	}
}

TEST(no_closure_is_longer_than_a_second)
{
	uint64_t longest_ns;
	unsigned opens;
	start_two(REIN_CAN_QUEUE);
	busy(lc);
	hold_for(5 * REIN_S, &longest_ns, &opens);
	ck_assert_uint_lt(longest_ns, REIN_S);
	ck_assert_uint_eq(opens, 5);
	allow((struct rein_gates){.can = REIN_CAN_QUEUE, .waits_for_ever = true});
	hold_for(3 * REIN_S, &longest_ns, &opens);
	ck_assert_uint_le(opens, 1);
	ck_assert_uint_gt(longest_ns, 2 * REIN_S);
	end_two();
}
TEST_END

static void kernels_of(struct party *p, uint64_t func, uint64_t ns)
{
	static const uint32_t dim[3] = {1, 1, 1};
	for (unsigned k = 0; k < 4; k++)
		rein_kmodel_sample(&p->status.kmodel, rein_kmodel_key(func, dim, dim, 0), ns, NULL);
	pass(REIN_S);
}

/* A kernel longer than the distance of points. */
static void long_kernels(struct party *p)
{
	kernels_of(p, 7, REIN_MS);
}

TEST(the_context_gate_is_for_long_kernels_and_long_holds)
{
	start_two(REIN_CAN_QUEUE | REIN_CAN_CONTEXT);
	ck_assert_uint_eq(rein_load_relaxed(&be->control.context_recipe),
	                  REIN_RM_RECIPE_DISABLE_PREEMPT);
	busy(lc);
	ck_assert_uint_eq(mode(be), REIN_HOLD_CONTEXT); /* it may have one that never ends */
	idle(lc);
	pass(LINGER_NS);
	kernels_of(be, 6, 20 * REIN_US);
	busy(lc);
	ck_assert_uint_eq(mode(be), REIN_HOLD_QUEUE);
	unsigned before = wakes;
	pass(2 * REIN_ARBITER_TICK_NS);
	ck_assert_uint_eq(mode(be), REIN_HOLD_CONTEXT);
	ck_assert_uint_gt(wakes, before); /* a thread of its shim waits for that */
	idle(lc);
	pass(LINGER_NS);
	ck_assert(is_open());
	long_kernels(be);
	before = wakes;
	busy(lc);
	ck_assert_uint_eq(mode(be), REIN_HOLD_CONTEXT);
	ck_assert_uint_gt(wakes, before);
	ck_assert(!is_open());
	end_two();
}
TEST_END

/* Short kernels that wait inside for a mate's, which is off the GPU, are as long as its hold. */
TEST(ranks_of_a_job_leave_the_gpu_together)
{
	struct rein_arbiter_params params = {.prio = 0,
	                                     .weight = 100,
	                                     .linger_us = 200,
	                                     .backlog_ns = REIN_MS,
	                                     .backlog_launches = 8,
	                                     .patience_ns = REIN_LEASE_NS};
	char why[160];
	start_two(REIN_CAN_CONTEXT);
	struct party *mate = join("mate", 0, "A");
	params.job = be->c.policy.id;
	ck_assert_int_eq(rein_arbiter_set(a, &mate->c, &params, now_ns, why, sizeof(why)), 0);
	offer(mate, REIN_CAN_CONTEXT);
	kernels_of(mate, 6, 20 * REIN_US);
	kernels_of(be, 7, REIN_MS);
	pass(2 * REIN_S); /* each client's turn to be looked at */
	busy(lc);
	ck_assert(closed(be) && closed(mate));
	ck_assert_uint_eq(mode(be), REIN_HOLD_CONTEXT);
	ck_assert_uint_eq(mode(mate), REIN_HOLD_CONTEXT);
	leave(mate);
	run();
	end_two();
}
TEST_END

/* Else it pays for half of each request that it is held for, and the urgent one for the other. */
TEST(what_is_off_the_gpu_is_not_charged)
{
	start_two(REIN_CAN_CONTEXT);
	rein_store_relaxed(&be->status.drained_ns, 1); /* it tells; and has not drained since */
	kernels_of(be, 7, 50 * REIN_MS);
	busy(lc);
	ck_assert_uint_eq(mode(be), REIN_HOLD_CONTEXT);
	uint64_t be_ns = be->c.policy.used_ns, lc_ns = lc->c.policy.used_ns;
	pass(10 * REIN_MS);
	rein_arbiter_account(a, now_ns);
	ck_assert_uint_le(be->c.policy.used_ns - be_ns, REIN_POINT_NS);
	ck_assert_uint_ge(lc->c.policy.used_ns - lc_ns, 9 * REIN_MS);
	end_two();
}
TEST_END

/* The kernels of long_kernels() take a millisecond. */
TEST(a_hold_that_costs_more_than_it_saves_is_not_made)
{
	struct rein_gates g = {.can = REIN_CAN_QUEUE | REIN_CAN_CONTEXT,
	                       .context_recipe = REIN_RM_RECIPE_DISABLE,
	                       .context_us = 499};
	start_two(REIN_CAN_QUEUE | REIN_CAN_CONTEXT);
	allow(g);
	long_kernels(be);
	busy(lc);
	ck_assert_uint_eq(mode(be), REIN_HOLD_CONTEXT);
	idle(lc);
	pass(LINGER_NS);
	g.context_us = 501;
	allow(g);
	busy(lc);
	ck_assert_uint_eq(mode(be), REIN_HOLD_QUEUE);
	pass(2 * REIN_ARBITER_TICK_NS); /* what cannot be known is held in the end */
	ck_assert_uint_eq(mode(be), REIN_HOLD_CONTEXT);
	end_two();
}
TEST_END

static uint32_t slice_us(const struct party *p)
{
	return rein_load_relaxed(&p->control.verdict[0].timeslice_us);
}

TEST(short_time_slices_while_somebody_could_preempt)
{
	start_two(REIN_CAN_CONTEXT);
	ck_assert_uint_eq(slice_us(be), 0);
	unsigned before = wakes;
	allow((struct rein_gates){.can = REIN_CAN_CONTEXT,
	                          .context_recipe = REIN_RM_RECIPE_TIMESLICE,
	                          .timeslice_us = 200});
	ck_assert_uint_eq(slice_us(be), 200);
	ck_assert_uint_gt(wakes, before); /* a thread of its shim waits for that */
	ck_assert_uint_eq(slice_us(lc), 0);
	long_kernels(be);
	busy(lc);
	pass(2 * REIN_ARBITER_TICK_NS);
	ck_assert_uint_eq(mode(be), REIN_HOLD_LAUNCH); /* that recipe holds nothing */
	leave(lc);
	run();
	ck_assert_uint_eq(slice_us(be), 0);
	lc = join("lc", 50, "A");
	ck_assert_uint_eq(slice_us(be), 200);
	struct party *other = join("other", 0, "A");
	ck_assert_uint_eq(slice_us(be), 200);
	busy(other); /* they would change places all the time */
	ck_assert_uint_eq(slice_us(be), 0);
	ck_assert_uint_eq(slice_us(other), 0);
	idle(other);
	pass(REIN_S / 2);
	ck_assert_uint_eq(slice_us(be), 0);
	pass(REIN_S);
	idle(lc), busy(lc);
	ck_assert_uint_eq(slice_us(be), 200);
	leave(other);
	run();
	offer(be, 0);
	pass(2 * REIN_ARBITER_TICK_NS);
	ck_assert_uint_eq(slice_us(be), 0);
	end_two();
}
TEST_END

/* A shim holds all its contexts alike: where the profiles of its GPUs differ it gets no recipe. */
TEST(two_gpus_whose_profiles_differ)
{
	struct rein_gates g = {.can = REIN_CAN_QUEUE | REIN_CAN_CONTEXT,
	                       .context_recipe = REIN_RM_RECIPE_DISABLE,
	                       .timeslice_us = 200};
	struct rein_gates_of all = {.other = g, .n = 1, .device = {{.gates = g}}};
	memset(all.device[0].uuid, 'B', 16);
	start_two(REIN_CAN_QUEUE | REIN_CAN_CONTEXT);
	declare(be, 1, 'B');
	declare(lc, 1, 'B');
	idle(be), busy(be), busy(lc), idle(lc);
	pass(LINGER_NS);
	rein_arbiter_set_gates(a, &all, now_ns);
	ck_assert_uint_eq(rein_load_relaxed(&be->control.context_recipe), REIN_RM_RECIPE_DISABLE);
	ck_assert_uint_eq(slice_us(be), 200);
	busy(lc);
	ck_assert_uint_eq(mode(be), REIN_HOLD_CONTEXT);
	idle(lc);
	pass(LINGER_NS);
	static const struct rein_gates others[] = {
	    {.can = REIN_CAN_QUEUE | REIN_CAN_CONTEXT, .context_recipe = REIN_RM_RECIPE_SCHEDULE},
	    {.can = REIN_CAN_QUEUE | REIN_CAN_CONTEXT,
	     .context_recipe = REIN_RM_RECIPE_TIMESLICE,
	     .timeslice_us = 200},
	    {.can = REIN_CAN_QUEUE}};
	for (unsigned i = 0; i < 3; i++) {
		all.device[0].gates = others[i];
		rein_arbiter_set_gates(a, &all, now_ns);
		ck_assert_uint_eq(rein_load_relaxed(&be->control.context_recipe),
		                  REIN_RM_RECIPE_OFF);
		ck_assert_uint_eq(slice_us(be), 0);
		busy(lc);
		ck_assert_uint_eq(mode(be), REIN_HOLD_QUEUE);
		pass(2 * REIN_ARBITER_TICK_NS);
		ck_assert_uint_eq(mode(be), REIN_HOLD_QUEUE);
		idle(lc);
		pass(LINGER_NS);
	}
	all.device[0].gates = g; /* the same recipe, other slices */
	all.device[0].gates.timeslice_us = 300;
	rein_arbiter_set_gates(a, &all, now_ns);
	ck_assert_uint_eq(rein_load_relaxed(&be->control.context_recipe), REIN_RM_RECIPE_DISABLE);
	ck_assert_uint_eq(slice_us(be), 0);
	end_two();
}
TEST_END

/* Who is told what no gate can stop is told its name. */
TEST(the_longest_kernel_by_name)
{
	static const uint32_t dim[3] = {1, 1, 1};
	struct rein_measured m;
	start_two(0);
	rein_arbiter_measured(&be->c, &m);
	ck_assert_str_eq(m.longest_name, "");
	for (unsigned k = 0; k < 4; k++) {
		rein_kmodel_sample(&be->status.kmodel, rein_kmodel_key(1, dim, dim, 0), REIN_MS,
		                   "short");
		rein_kmodel_sample(&be->status.kmodel, rein_kmodel_key(2, dim, dim, 0),
		                   30 * REIN_MS, "long\033kernel");
	}
	pass(REIN_S);
	rein_arbiter_measured(&be->c, &m);
	ck_assert_str_eq(m.longest_name, "long?kernel");
	ck_assert_uint_ge(m.longest_ns, 30 * REIN_MS);
	end_two();
}
TEST_END

TEST(what_its_queue_delays_the_urgent_by)
{
	start_two(REIN_CAN_QUEUE | REIN_CAN_CONTEXT);
	allow((struct rein_gates){.can = 0});
	ck_assert_uint_eq(rein_points_delay(a, &be->c, now_ns), be->c.slot[0].limits.backlog_ns);
	ck_assert_uint_eq(rein_points_delay(a, &lc->c, now_ns), 0);
	kernels_of(be, 6, 50 * REIN_MS);
	ck_assert_uint_ge(rein_points_delay(a, &be->c, now_ns), 45 * REIN_MS);
	allow((struct rein_gates){.can = REIN_CAN_QUEUE});
	ck_assert_uint_ge(rein_points_delay(a, &be->c, now_ns), 45 * REIN_MS);
	allow((struct rein_gates){.can = REIN_CAN_QUEUE | REIN_CAN_CONTEXT,
	                          .context_recipe = REIN_RM_RECIPE_DISABLE,
	                          .context_us = 700});
	ck_assert_uint_eq(rein_points_delay(a, &be->c, now_ns), 700 * REIN_US);
	leave(lc);
	run();
	ck_assert_uint_eq(rein_points_delay(a, &be->c, now_ns), 0);
	lc = join("lc", 50, "A");
	end_two();
}
TEST_END

TEST(points_cost_two_percent)
{
	start_two(REIN_CAN_QUEUE);
	allow((struct rein_gates){.can = REIN_CAN_QUEUE, .point_cost_ns = 5000});
	ck_assert_uint_eq(every_ns(be), 320 * REIN_US);
	ck_assert_uint_eq(rein_load_relaxed(&be->control.point_cost_ns), 5000);
	end_two();
}
TEST_END

/* ---------------------------------------------------------------- profiles */

static const char whole[] =
    "{\"profile_version\": 1, \"gpu\": \"GPU-00010203-0405-0607-0809-0a0b0c0d0eff\", "
    "\"driver\": \"580.1\", \"queue\": {\"works\": true, \"point_ns\": 900, "
    "\"gives_up_slice\": true, \"waits_for_ever\": true}, "
    "\"context\": {\"recipe\": \"schedule\", \"hold_us\": 700, \"timeslice_us\": 200}, "
    "\"else\": 1}";

static int parse(const char *text, struct rein_gates *g, char why[256])
{
	uint8_t uuid[16];
	char driver[64];
	memset(g, 0, sizeof(*g));
	int err = rein_profile_parse(text, strlen(text), g, uuid, driver, sizeof(driver), why, 256);
	if (!err && text == whole) {
		ck_assert_str_eq(driver, "580.1");
		ck_assert_uint_eq(uuid[0], 0);
		ck_assert_uint_eq(uuid[10], 10);
		ck_assert_uint_eq(uuid[15], 0xff);
	}
	return err;
}

TEST(a_profile_says_what_was_proven)
{
	struct rein_gates g;
	char why[256];
	ck_assert_int_eq(parse(whole, &g, why), 0);
	ck_assert_uint_eq(g.can, REIN_CAN_QUEUE | REIN_CAN_CONTEXT);
	ck_assert_uint_eq(g.context_recipe, REIN_RM_RECIPE_SCHEDULE);
	ck_assert_uint_eq(g.context_us, 700);
	ck_assert_uint_eq(g.timeslice_us, 200);
	ck_assert_uint_eq(g.point_cost_ns, 900);
	ck_assert(g.waits_for_ever);
	ck_assert_int_eq(parse("{\"profile_version\": 1, \"gpu\": \"*\", \"driver\": \"\", "
	                       "\"queue\": {\"works\": true}}",
	                       &g, why),
	                 0);
	ck_assert_uint_eq(g.can, 0); /* waiting keeps its slice: worse than none */
}
TEST_END

TEST(a_bad_profile_is_one_clear_line)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
	    {"{", "line 1"},
	    {"[]", "object"},
	    {"{\"profile_version\": 1}", "gpu"},
	    {"{\"profile_version\": 2, \"gpu\": \"*\", \"driver\": \"\"}", "calibrate again"},
	    {"{\"profile_version\": 1, \"gpu\": \"GPU-12\", \"driver\": \"\"}", "bad gpu"},
	    {"{\"profile_version\": 1, \"gpu\": \"*\", \"driver\": \"\", \"context\": "
	     "{\"recipe\": \"hope\"}}",
	     "unknown recipe 'hope'"},
	    {"{\"profile_version\": 1, \"gpu\": \"*\", \"driver\": \"\", \"queue\": "
	     "{\"point_ns\": -1}}",
	     "bad point_ns"},
	    {"{\"profile_version\": 1, \"gpu\": \"*\", \"driver\": \"\", \"context\": "
	     "{\"timeslice_us\": 1000001}}",
	     "bad hold_us or timeslice_us"},
	};
	struct rein_gates g;
	char why[256];
	for (unsigned i = 0; i < REIN_ARRAY_LEN(bad); i++) {
		ck_assert_int_lt(parse(bad[i].text, &g, why), 0);
		ck_assert_msg(strstr(why, bad[i].why), "%u: %s", i, why);
	}
}
TEST_END

TEST(the_configuration_allows_and_forbids)
{
	const struct rein_gates both = {.can = REIN_CAN_QUEUE | REIN_CAN_CONTEXT}, none = {0};
	struct rein_config c = {.has_gates = false};
	ck_assert_uint_eq(rein_profile_allowed(&none, false, &c).can, 0);
	ck_assert_uint_eq(rein_profile_allowed(&both, true, &c).can, both.can);
	c.has_gates = true;
	c.gates = REIN_CAN_QUEUE | REIN_CAN_CONTEXT; /* nothing proves a recipe */
	ck_assert_uint_eq(rein_profile_allowed(&none, false, &c).can, REIN_CAN_QUEUE);
	ck_assert_uint_eq(rein_profile_allowed(&none, true, &c).can, 0);
	c.gates = 0;
	ck_assert_uint_eq(rein_profile_allowed(&both, true, &c).can, 0);
}
TEST_END

TESTS("how a client is held", points_only_while_somebody_could_preempt,
      the_word_moves_with_the_gate, who_cannot_is_held_at_the_launch_gate,
      ranks_of_a_job_do_not_stop_between_kernels, keep_open_is_heeded,
      no_closure_is_longer_than_a_second, the_context_gate_is_for_long_kernels_and_long_holds,
      ranks_of_a_job_leave_the_gpu_together, what_is_off_the_gpu_is_not_charged,
      a_hold_that_costs_more_than_it_saves_is_not_made,
      short_time_slices_while_somebody_could_preempt, two_gpus_whose_profiles_differ,
      the_longest_kernel_by_name, what_its_queue_delays_the_urgent_by, points_cost_two_percent,
      a_profile_says_what_was_proven, a_bad_profile_is_one_clear_line,
      the_configuration_allows_and_forbids)
