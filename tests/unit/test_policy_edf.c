// SPDX-License-Identifier: Apache-2.0
/* test_policy_edf.c: what earliest deadline first promises: the order, no domino under overload,
 * open gates for those who would run at once, servers for budgets without a deadline. */
#include "tests/unit/policy_rig.h"

static struct policy_rig rig;

static void start(enum rein_overload overload)
{
	rig.params = (struct rein_policy_params){.overload = overload};
	rig_start(&rig, "edf");
}

static struct rig_client *add_task(uint64_t cost_ms, uint64_t period_ms)
{
	return rig_add(&rig, &(struct rig_client){.c.deadline_ns = period_ms * RIG_MS,
	                                          .c.period_ns = period_ms * RIG_MS,
	                                          .cost_ns = cost_ms * RIG_MS,
	                                          .every_ns = period_ms * RIG_MS});
}

static struct rig_client *add_best_effort(int prio)
{
	return rig_add(&rig, &(struct rig_client){.c.prio = prio, .cost_ns = RIG_ENDLESS});
}

static uint64_t missed(unsigned n)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < n; i++)
		sum += rig.client[i].missed;
	return sum;
}

/* ---------------------------------------------------------------- order */

/* The definition, by hand: a comes before b. */
static bool comes_before(const struct rein_policy_client *a, const struct rein_policy_client *b,
                         uint64_t now_ns)
{
	int kind_a = !a->due_ns ? 2 : a->due_ns <= now_ns,
	    kind_b = !b->due_ns ? 2 : b->due_ns <= now_ns;
	if (kind_a != kind_b)
		return kind_a < kind_b;
	if (kind_a == 2)
		return a->prio > b->prio;
	if (a->due_ns != b->due_ns)
		return kind_a == 0 ? a->due_ns < b->due_ns : a->due_ns > b->due_ns;
	return a->id < b->id;
}

TEST(the_earliest_deadline_runs)
{
	enum { N = 12 };
	for (unsigned round = 0; round < 3000; round++) {
		struct rein_policy_client c[N] = {0}, *list[N];
		struct rein_policy_verdict v[N] = {0};
		struct rein_policy *p = rein_policy_edf.init(NULL);
		const uint64_t now_ns = 1000;
		for (unsigned i = 0; i < N; i++) {
			list[i] = &c[i];
			c[i].id = i + 1;
			c[i].prio = (int)rig_random(3);
			c[i].active = true;
			c[i].release_ns = 500;
			c[i].deadline_ns = rig_random(3) ? 1 + rig_random(12) * 100 : 0;
			c[i].due_ns = c[i].deadline_ns ? 500 + c[i].deadline_ns : 0;
			CHECK(p->ops->join(p, list[i], 600) == 0);
		}
		p->ops->decide(p, list, v, N, now_ns);
		for (unsigned i = 0; i < N; i++) {
			bool first = true;
			for (unsigned k = 0; k < N; k++)
				first &= k == i || !comes_before(&c[k], &c[i], now_ns);
			CHECK(v[i].hold == !first);
			p->ops->leave(p, list[i], now_ns);
		}
		p->ops->fini(p);
	}
}
TEST_END

/* Sets that any theory calls feasible: utilisation below 0.9, kernels of half a millisecond. */
TEST(feasible_sets_miss_nothing)
{
	for (unsigned round = 0; round < 60; round++) {
		double load = 0;
		start(round % 2 ? REIN_OVERLOAD_DEGRADE : REIN_OVERLOAD_SHED);
		unsigned tasks = 0;
		for (; tasks < 8; tasks++) {
			uint64_t period_ms = 30 + rig_random(200),
				 cost_ms = 1 + rig_random(period_ms / 4);
			load += (double)cost_ms / (double)period_ms;
			if (load > 0.8)
				break;
			add_task(cost_ms, period_ms);
		}
		add_best_effort(0);
		rig_run(&rig, 3 * RIG_S);
		ck_assert_uint_eq(missed(tasks), 0);
		ck_assert_uint_eq(rig.idle_ns, 0);
		rig_end(&rig);
	}
}
TEST_END

/* ---------------------------------------------------------------- overload */

/* One never ends its request. It is late after 100 ms; from then on nobody else misses anything. */
TEST(shed_an_endless_request_costs_the_others_nothing)
{
	start(REIN_OVERLOAD_SHED);
	add_task(4, 20);
	add_task(6, 30);
	add_task(12, 60);
	struct rig_client *bad = add_task(1, 100);
	bad->cost_ns = RIG_ENDLESS;
	rig_run(&rig, RIG_S / 5);
	uint64_t early = missed(3);
	ck_assert_uint_le(early, 6); /* while the bad one was in time */
	rig_run(&rig, 10 * RIG_S);
	ck_assert_uint_eq(missed(3), early);
	ck_assert_uint_gt(bad->service_ns, RIG_S); /* it gets what is left: 40 % */
	rig_end(&rig);
}
TEST_END

/* Load 1.25 for good. Plain EDF ends with everybody late; here most of them never miss. */
TEST(shed_overload_hits_few)
{
	start(REIN_OVERLOAD_SHED);
	for (unsigned i = 0; i < 10; i++)
		add_task(5, 40);
	rig_run(&rig, 20 * RIG_S);
	uint64_t done = 0, missed_in_all = missed(10);
	for (unsigned i = 0; i < 10; i++)
		done += rig.client[i].done;
	/* eight of ten fit: at best 80 % of all that is asked for is done in time */
	ck_assert_uint_gt(done - missed_in_all, 20 * 25 * 10 * 6 / 10);
	rig_end(&rig);
}
TEST_END

/* Degrade: all go on, nobody starves, and who stays in its bounds is late by a bounded time. */
TEST(degrade_starves_nobody)
{
	start(REIN_OVERLOAD_DEGRADE);
	add_task(4, 20);
	add_task(6, 30);
	struct rig_client *bad = add_task(1, 100);
	bad->cost_ns = RIG_ENDLESS;
	rig_run(&rig, 10 * RIG_S);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_uint_gt(rig.client[i].done, 200);
		ck_assert_uint_lt(rig.client[i].response_max_ns, 400 * RIG_MS);
	}
	ck_assert_uint_gt(bad->service_ns, RIG_S);
	rig_end(&rig);
}
TEST_END

/* A deadline that has passed counts as one period later, as often as it takes. */
TEST(degraded_deadlines_are_a_period_later)
{
	const struct rein_policy_params params = {.overload = REIN_OVERLOAD_DEGRADE};
	for (unsigned later = 0; later < 2; later++) {
		struct rein_policy *p = rein_policy_edf.init(&params);
		struct rein_policy_client late = {.id = 1, .deadline_ns = 100, .period_ns = 200};
		struct rein_policy_client other = {.id = 2, .deadline_ns = 1000};
		struct rein_policy_client *list[] = {&late, &other};
		struct rein_policy_verdict v[2] = {0};
		ck_assert(!p->ops->join(p, &late, 0) && !p->ops->join(p, &other, 0));
		late.active = other.active = true;
		late.due_ns = 1100; /* then 1300, 1500, 1700 */
		other.due_ns = later ? 1701 : 1699;
		uint64_t next_ns = p->ops->decide(p, list, v, 2, 1500);
		ck_assert_uint_eq(next_ns, later ? 1700 : 1699);
		ck_assert_int_eq(v[0].hold, !later);
		ck_assert_int_eq(v[1].hold, later);
		p->ops->leave(p, &late, 0);
		p->ops->leave(p, &other, 0);
		p->ops->fini(p);
	}
}
TEST_END

/* A program may say that it was due a nanosecond after its arrival, each time. */
TEST(degraded_deadlines_have_a_distance)
{
	const struct rein_policy_params params = {.overload = REIN_OVERLOAD_DEGRADE};
	struct rein_policy *p = rein_policy_edf.init(&params);
	struct rein_policy_client hasty = {.id = 1, .prio = 1}, other = {.id = 2, .prio = 1};
	struct rein_policy_client *list[] = {&hasty, &other};
	struct rein_policy_verdict v[2] = {0};
	ck_assert(!p->ops->join(p, &hasty, 0) && !p->ops->join(p, &other, 0));
	hasty.active = other.active = true;
	hasty.release_ns = other.release_ns = RIG_S;
	hasty.due_ns = RIG_S + 1;
	other.due_ns = RIG_S + 20 * RIG_MS;
	uint64_t now_ns = other.due_ns - RIG_MS / 2;
	uint64_t next_ns = p->ops->decide(p, list, v, 2, now_ns);
	ck_assert(v[0].hold && !v[1].hold);
	ck_assert_uint_eq(next_ns, other.due_ns);
	p->ops->leave(p, &hasty, 0);
	p->ops->leave(p, &other, 0);
	p->ops->fini(p);
}
TEST_END

/* ---------------------------------------------------------------- gates of the idle, metering */

TEST(who_would_run_at_once_is_not_held)
{
	struct rein_policy *p = rein_policy_edf.init(NULL);
	struct rein_policy_client c[4] = {{.id = 1, .deadline_ns = 50 * RIG_MS, .active = true},
	                                  {.id = 2, .deadline_ns = 20 * RIG_MS},
	                                  {.id = 3, .deadline_ns = 90 * RIG_MS},
	                                  {.id = 4, .prio = 99}};
	struct rein_policy_client *list[4];
	uint64_t now_ns = RIG_S;
	c[0].release_ns = now_ns;
	c[0].due_ns = now_ns + 50 * RIG_MS;
	for (unsigned i = 0; i < 4; i++) {
		list[i] = &c[i];
		ck_assert_int_eq(p->ops->join(p, list[i], now_ns), 0);
	}
	struct rein_policy_verdict v[4] = {0};
	uint64_t next_ns = p->ops->decide(p, list, v, 4, now_ns);
	ck_assert(!v[0].hold && !v[1].hold && v[2].hold && v[3].hold);
	ck_assert_uint_eq(v[2].holder, 1);
	ck_assert(v[0].metered && v[1].metered && v[2].metered && v[3].metered);
	/* at 30 ms a request of the second would be due with the first's: no longer sooner */
	ck_assert_uint_eq(next_ns, now_ns + 30 * RIG_MS);
	memset(v, 0, sizeof(v));
	next_ns = p->ops->decide(p, list, v, 4, next_ns);
	ck_assert(v[1].hold);
	ck_assert_uint_eq(next_ns, now_ns + 50 * RIG_MS);
	memset(v, 0, sizeof(v));
	p->ops->decide(p, list, v, 4, next_ns); /* late: anybody in time would come first */
	ck_assert(!v[1].hold && !v[2].hold && v[3].hold);
	for (unsigned i = 0; i < 4; i++)
		p->ops->leave(p, list[i], next_ns);
	p->ops->fini(p);
}
TEST_END

/* The only one with a deadline cannot be preempted; those without are metered by its presence. */
TEST(metered_by_who_is_registered)
{
	start(REIN_OVERLOAD_SHED);
	struct rig_client *task = add_task(1, 50), *be = add_best_effort(3);
	task->release_ns = 10 * RIG_S;
	rig_run(&rig, RIG_S);
	ck_assert(!task->v.metered && be->v.metered && !be->v.hold);
	add_task(1, 60)->release_ns = 10 * RIG_S;
	rig_run(&rig, RIG_S + RIG_MS);
	ck_assert(task->v.metered);
	rig_end(&rig);
}
TEST_END

/* A program that declares its deadlines itself is remembered for them. */
TEST(deadlines_of_the_program)
{
	start(REIN_OVERLOAD_SHED);
	struct rig_client *own = rig_add(&rig, &(struct rig_client){.release_ns = 0});
	struct rig_client *be = add_best_effort(99);
	own->release_ns = UINT64_MAX;
	rig_run(&rig, 2 * RIG_MS);
	ck_assert(own->v.hold && !be->v.metered);
	own->c.active = true;
	own->c.release_ns = rig.now_ns;
	own->c.due_ns = rig.now_ns + 10 * RIG_MS;
	rig_decide(&rig);
	ck_assert(!own->v.hold && be->v.hold && be->v.metered);
	own->c.active = false;
	own->c.due_ns = 0;
	rig_decide(&rig);
	ck_assert(!own->v.hold && be->v.metered); /* its next one would run at once */
	rig_end(&rig);
}
TEST_END

TEST(background_work_has_no_deadline)
{
	start(REIN_OVERLOAD_SHED);
	struct rig_client *task = add_task(1, 50), *be = add_best_effort(1);
	task->cost_ns = RIG_ENDLESS;
	rig_run(&rig, 10 * RIG_MS);
	ck_assert(!task->v.hold && be->v.hold);
	task->c.background = true;
	rig_decide(&rig);
	ck_assert(task->v.hold && task->v.metered && !be->v.hold);
	rig_end(&rig);
}
TEST_END

/* ---------------------------------------------------------------- budgets without a deadline */

TEST(a_budget_without_a_deadline_is_enforced)
{
	start(REIN_OVERLOAD_SHED);
	struct rig_client *server = rig_add(&rig, &(struct rig_client){.c.budget_ns = 10 * RIG_MS,
	                                                               .c.period_ns = 50 * RIG_MS,
	                                                               .cost_ns = RIG_ENDLESS});
	struct rig_client *task = add_task(20, 100), *be = add_best_effort(0);
	rig_run(&rig, 5 * RIG_S);
	ck_assert_uint_le(server->service_ns, 101 * 10 * RIG_MS);
	ck_assert_uint_ge(server->service_ns, 98 * 10 * RIG_MS);
	ck_assert_uint_eq(task->missed, 0);
	ck_assert_uint_gt(be->service_ns, 5 * RIG_S * 55 / 100);
	be->c.active = false;
	be->release_ns = UINT64_MAX;
	if (rig.running == 2)
		rig.running = -1;
	rig_run(&rig, 6 * RIG_S); /* soft: it gets what nobody wants */
	ck_assert_uint_ge(server->service_ns, 99 * 10 * RIG_MS + 7 * RIG_S / 10);
	rig_end(&rig);
}
TEST_END

TESTS("policy edf", the_earliest_deadline_runs, feasible_sets_miss_nothing,
      shed_an_endless_request_costs_the_others_nothing, shed_overload_hits_few,
      degrade_starves_nobody, degraded_deadlines_are_a_period_later,
      degraded_deadlines_have_a_distance, who_would_run_at_once_is_not_held,
      metered_by_who_is_registered, deadlines_of_the_program, background_work_has_no_deadline,
      a_budget_without_a_deadline_is_enforced)
