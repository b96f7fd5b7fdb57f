// SPDX-License-Identifier: Apache-2.0
/* test_policy_cbs.c: what constant-bandwidth servers promise: nobody takes more than its budget in
 * any window, whoever keeps to it gets it in time, and what is left is used. */
#include "policy/server.h"
#include "tests/unit/policy_rig.h"

#define STRETCHES 40000

static struct policy_rig rig;

/* ---------------------------------------------------------------- the bound */

/* When one client ran: merged stretches. */
static struct {
	unsigned client, n;
	struct {
		uint64_t from_ns, to_ns;
	} at[STRETCHES];
} record;

static void keep(void *arg, unsigned client, uint64_t from_ns, uint64_t to_ns)
{
	if (client != record.client)
		return;
	if (record.n && record.at[record.n - 1].to_ns == from_ns) {
		record.at[record.n - 1].to_ns = to_ns;
		return;
	}
	CHECK(record.n < STRETCHES);
	record.at[record.n].from_ns = from_ns;
	record.at[record.n++].to_ns = to_ns;
}

/* Service in any window that begins and ends with service (the worst ones do) ≤ (⌈t/P⌉ + 1)·Q + q
 */
static void check_bound(uint64_t budget_ns, uint64_t period_ns, uint64_t overrun_ns)
{
	for (unsigned i = 0; i < record.n; i++) {
		uint64_t sum_ns = 0;
		for (unsigned k = i; k < record.n; k++) {
			sum_ns += record.at[k].to_ns - record.at[k].from_ns;
			uint64_t t = record.at[k].to_ns - record.at[i].from_ns;
			uint64_t most =
			    ((t + period_ns - 1) / period_ns + 1) * budget_ns + overrun_ns;
			if (sum_ns > most)
				ck_abort_msg("%llu ns in %llu ns, at most %llu",
				             (unsigned long long)sum_ns, (unsigned long long)t,
				             (unsigned long long)most);
		}
	}
}

static void start(bool no_reclaim)
{
	rig.params = (struct rein_policy_params){.no_reclaim = no_reclaim};
	rig_start(&rig, "cbs");
	rig.hard = true;
	rig.served = keep;
	record.n = 0;
}

static struct rig_client *add_server(uint64_t budget_ms, uint64_t period_ms, bool hard)
{
	return rig_add(&rig, &(struct rig_client){.c.budget_ns = budget_ms * RIG_MS,
	                                          .c.period_ns = period_ms * RIG_MS,
	                                          .c.budget_hard = hard,
	                                          .cost_ns = RIG_ENDLESS});
}

static struct rig_client *add_best_effort(uint32_t weight)
{
	return rig_add(&rig, &(struct rig_client){.c.weight = weight, .cost_ns = RIG_ENDLESS});
}

/* ---------------------------------------------------------------- the server alone */

/* A client that comes and goes as it likes and is served at once: what it gets is within the bound,
 * and what its deadlines ask for in any window is at most its bandwidth. */
TEST(a_server_asks_for_no_more_than_its_bandwidth)
{
	enum { PIECES = 400 };
	static struct {
		uint64_t release_ns, due_ns, ns;
	} piece[PIECES];
	for (unsigned round = 0; round < 50; round++) {
		const uint64_t budget = 100 + rig_random(900), period = 1000;
		struct rein_policy_client c = {.budget_ns = budget, .period_ns = period};
		struct rein_server s;
		uint64_t now_ns = 1;
		rein_server_join(&s, 1);
		record.n = 0;
		c.active = true;
		for (unsigned i = 0; i < PIECES; i++) {
			rein_server_look(&s, &c, now_ns);
			if (rein_server_spent(&s)) {
				now_ns = s.due_ns; /* waits for it */
				rein_server_look(&s, &c, now_ns);
			} else {
				rein_server_ready(&s, &c, now_ns);
			}
			uint64_t left = (uint64_t)s.left_ns, ns = 1 + rig_random(left);
			piece[i].release_ns = now_ns;
			piece[i].due_ns = s.due_ns;
			piece[i].ns = ns;
			keep(NULL, record.client, now_ns, now_ns + ns);
			rein_server_charge(&s, &c, ns, false);
			now_ns += ns;
			now_ns += rig_random(3) ? rig_random(ns + 1) : rig_random(2 * period);
		}
		check_bound(budget, period, 0);
		for (unsigned i = 0; i < PIECES; i++) {
			uint64_t sum_ns = 0;
			for (unsigned k = i; k < PIECES; k++) {
				sum_ns += piece[k].ns;
				uint64_t t = piece[k].due_ns - piece[i].release_ns;
				/* rounding; filled a nanosecond early */
				CHECK(sum_ns * period <= t * budget + period * (k - i + 2));
			}
		}
	}
}
TEST_END

/* Back early with much left: later, not more. Back after the deadline: full. */
TEST(a_server_that_comes_back)
{
	struct rein_policy_client c = {.budget_ns = 10, .period_ns = 100, .active = true};
	struct rein_server s;
	rein_server_join(&s, 2);
	rein_server_ready(&s, &c, 1000);
	ck_assert(s.left_ns == 10 && s.due_ns == 1100);
	rein_server_charge(&s, &c, 4, false);
	ck_assert_uint_eq(rein_server_deadline(&s, &c, 1010), 1100);
	rein_server_ready(&s, &c, 1010); /* 6 in 90: within a tenth */
	ck_assert(s.left_ns == 6 && s.due_ns == 1100);
	rein_server_ready(&s, &c, 1080); /* 6 in 20: more than a tenth */
	ck_assert(s.left_ns == 6 && s.due_ns == 1140);
	rein_server_charge(&s, &c, 9, false);
	ck_assert(rein_server_spent(&s) && s.left_ns == -3);
	rein_server_ready(&s, &c, 1100);
	ck_assert(rein_server_spent(&s) && s.due_ns == 1140);
	rein_server_look(&s, &c, 1140);
	ck_assert(s.left_ns == 7 && s.due_ns == 1240);
	rein_server_ready(&s, &c, 1238); /* early by the reaction time: the next one is not */
	ck_assert(s.left_ns == 10 && s.due_ns == 1340);
	rein_server_charge(&s, &c, 10, false);
	rein_server_ready(&s, &c, 1337);
	ck_assert(rein_server_spent(&s));
}
TEST_END

/* ---------------------------------------------------------------- the policy */

/* Misbehaving in every way the rig knows, beside others that want the device all the time. */
TEST(no_window_holds_more_than_the_budget)
{
	for (unsigned round = 0; round < 120; round++) {
		start(round & 1);
		uint64_t period_ms = 5 + rig_random(60), budget_ms = 1 + rig_random(period_ms / 2);
		struct rig_client *bad = add_server(budget_ms, period_ms, round & 2);
		bad->kernel_ns = 1 + rig_random(rig_random(2) ? 40 * RIG_MS : RIG_MS);
		bad->random = rig_random(3);
		bad->cost_ns = bad->random ? 1 + rig_random(30 * RIG_MS) : RIG_ENDLESS;
		bad->pause_ns = rig_random(2 * period_ms * RIG_MS);
		record.client = 0;
		add_best_effort(100);
		if (rig_random(2))
			add_server(1 + rig_random(10), 20 + rig_random(20), rig_random(2));
		rig_run(&rig, 3 * RIG_S);
		check_bound(budget_ms * RIG_MS, period_ms * RIG_MS, bad->kernel_ns);
		ck_assert_uint_gt(bad->service_ns, 0);
		rig_end(&rig);
	}
}
TEST_END

/* A hard budget holds alone on the device too. */
TEST(hard_budgets_hold_without_competition)
{
	start(false);
	struct rig_client *c = add_server(10, 40, true);
	record.client = 0;
	rig_run(&rig, 4 * RIG_S);
	check_bound(10 * RIG_MS, 40 * RIG_MS, 0);
	ck_assert_uint_ge(c->service_ns, 99 * 10 * RIG_MS);
	ck_assert(c->v.metered);
	rig_end(&rig);
}
TEST_END

/* Overruns are paid for: kernels of four budgets, and still one budget per period in the long run.
 */
TEST(long_kernels_are_paid_for)
{
	for (unsigned hard = 0; hard < 2; hard++) {
		start(false);
		struct rig_client *c = add_server(5, 50, hard);
		c->kernel_ns = 20 * RIG_MS;
		add_best_effort(100);
		rig_run(&rig, 10 * RIG_S);
		ck_assert_uint_le(c->service_ns, 201 * 5 * RIG_MS + 20 * RIG_MS);
		ck_assert_uint_ge(c->service_ns, 195 * 5 * RIG_MS);
		rig_end(&rig);
	}
}
TEST_END

/* ---------------------------------------------------------------- guarantees */

/* Servers that keep to their budgets get them within the period, whatever the others do. */
TEST(who_keeps_to_its_budget_is_never_late)
{
	for (unsigned round = 0; round < 60; round++) {
		start(round & 1);
		double load = 0;
		unsigned good = 0;
		for (; good < 6; good++) {
			uint64_t period_ms = 30 + rig_random(100),
				 budget_ms = 1 + rig_random(period_ms / 3);
			load += (double)(budget_ms + 1) / (double)period_ms;
			if (load > 0.6)
				break;
			struct rig_client *k = add_server(budget_ms, period_ms, rig_random(2));
			k->cost_ns = budget_ms * RIG_MS;
			k->every_ns = period_ms * RIG_MS + (rig_random(2) ? rig_random(RIG_MS) : 0);
			k->first_ns = rig_random(100 * RIG_MS);
		}
		/* a fifth for one that asks for everything, in bursts or for ever */
		struct rig_client *bad = add_server(10, 50, round & 2);
		bad->random = round & 4;
		bad->cost_ns = bad->random ? 12 * RIG_MS : RIG_ENDLESS;
		bad->pause_ns = 20 * RIG_MS;
		add_best_effort(100);
		rig_run(&rig, 3 * RIG_S);
		for (unsigned i = 0; i < good; i++) {
			ck_assert_uint_gt(rig.client[i].done, 10);
			ck_assert_uint_le(rig.client[i].response_max_ns, rig.client[i].c.period_ns);
		}
		rig_end(&rig);
	}
}
TEST_END

/* ---------------------------------------------------------------- what is left */

TEST(those_without_a_budget_share_the_rest_by_weight)
{
	start(false);
	struct rig_client *server = add_server(40, 100, false);
	struct rig_client *light = add_best_effort(100), *heavy = add_best_effort(200);
	rig_run(&rig, 20 * RIG_S);
	ck_assert_uint_le(server->service_ns, 201 * 40 * RIG_MS);
	ck_assert_uint_ge(server->service_ns, 199 * 40 * RIG_MS);
	ck_assert_uint_gt(light->service_ns, 39 * RIG_S / 10);
	ck_assert_uint_lt(light->service_ns, 41 * RIG_S / 10);
	ck_assert_uint_gt(heavy->service_ns, 78 * RIG_S / 10);
	ck_assert_uint_eq(rig.idle_ns, 0);
	rig_end(&rig);
}
TEST_END

/* Alone, a soft server uses everything. With reclaiming that costs it nothing afterwards; without,
 * it is an advance of one budget. */
TEST(idle_time_is_reclaimed)
{
	uint64_t after_ns[2];
	for (unsigned no_reclaim = 0; no_reclaim < 2; no_reclaim++) {
		start(no_reclaim);
		struct rig_client *c = add_server(10, 100, false);
		struct rig_client *be = add_best_effort(100);
		be->release_ns = 2 * RIG_S;
		rig_run(&rig, 2 * RIG_S);
		ck_assert_uint_ge(c->service_ns, 2 * RIG_S - RIG_MS);
		uint64_t then_ns = c->service_ns;
		rig_run(&rig, 3 * RIG_S);
		after_ns[no_reclaim] = c->service_ns - then_ns;
		rig_end(&rig);
	}
	ck_assert_uint_ge(after_ns[0], 99 * RIG_MS);
	ck_assert_uint_le(after_ns[0], 111 * RIG_MS);
	ck_assert_uint_ge(after_ns[1], 80 * RIG_MS);
	ck_assert_uint_lt(after_ns[1], after_ns[0]);
}
TEST_END

/* Used up and hard: held for nobody's sake, told when it ends, and open again then. */
TEST(a_used_up_hard_budget_names_no_holder)
{
	start(false);
	struct rig_client *c = add_server(10, 40, true);
	add_best_effort(100);
	rig_run(&rig, 11 * RIG_MS);
	ck_assert(c->v.hold && !c->v.holder);
	c->c.exempt = true;
	rig_decide(&rig);
	ck_assert(!c->v.hold);
	c->c.exempt = false;
	rig_run(&rig, 41 * RIG_MS);
	ck_assert(!c->v.hold);
	rig_end(&rig);
}
TEST_END

/* The budget is for its requests: background work of a server runs among the others. */
TEST(background_work_leaves_the_budget_alone)
{
	start(false);
	struct rig_client *c = add_server(20, 40, false);
	add_best_effort(100);
	c->c.background = true;
	rig_run(&rig, 4 * RIG_S);
	ck_assert_uint_gt(c->service_ns, 19 * RIG_S / 10); /* half, by weight */
	ck_assert_uint_lt(c->service_ns, 21 * RIG_S / 10);
	c->c.background = false;
	uint64_t then_ns = c->service_ns;
	rig_run(&rig, 4 * RIG_S + 22 * RIG_MS);
	ck_assert_uint_ge(c->service_ns - then_ns, 19 * RIG_MS); /* a full budget, at once */
	rig_end(&rig);
}
TEST_END

/* A server without a request keeps its gate open as long as it would run at once. */
TEST(who_would_run_at_once_is_not_held)
{
	start(false);
	struct rig_client *idle = add_server(10, 40, false), *sooner = add_server(5, 20, false);
	struct rig_client *rest = add_best_effort(100);
	idle->release_ns = UINT64_MAX;
	idle->c.active = false;
	sooner->release_ns = rig.now_ns + 100 * RIG_MS;
	rig_run(&rig, 50 * RIG_MS);
	ck_assert(rest->c.active && !rest->v.hold && !idle->v.hold && !sooner->v.hold);
	rig_run(&rig, 102 * RIG_MS); /* due at 120, before what `idle` would ask for now */
	ck_assert(sooner->c.active && !sooner->v.hold && idle->v.hold && rest->v.hold);
	ck_assert_uint_eq(idle->v.holder, sooner->c.id);
	rig_end(&rig);
}
TEST_END

TESTS("policy cbs", a_server_asks_for_no_more_than_its_bandwidth, a_server_that_comes_back,
      no_window_holds_more_than_the_budget, hard_budgets_hold_without_competition,
      long_kernels_are_paid_for, who_keeps_to_its_budget_is_never_late,
      those_without_a_budget_share_the_rest_by_weight, idle_time_is_reclaimed,
      a_used_up_hard_budget_names_no_holder, background_work_leaves_the_budget_alone,
      who_would_run_at_once_is_not_held)
