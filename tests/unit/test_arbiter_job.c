// SPDX-License-Identifier: Apache-2.0
/* test_arbiter_job.c: jobs: processes that run together on all their devices or not at all; under
 * prio, and under a policy of this test that lets one client of each device run, whom the test
 * ranks. */
#include "tests/unit/arbiter_rig.h"

#include <errno.h>

/* ---------------------------------------------------------------- one at a time */

static int rank[64]; /* by client id; the lowest of the active runs, then the lowest id */
static unsigned asked;

static struct rein_policy *one_init(const struct rein_policy_params *params);
static void one_fini(struct rein_policy *p)
{
	free(p);
}

static uint64_t one_decide(struct rein_policy *p, struct rein_policy_client *const *c,
                           struct rein_policy_verdict *v, unsigned n, uint64_t at_ns)
{
	const struct rein_policy_client *first = NULL;
	asked++;
	for (unsigned i = 0; i < n; i++) {
		if (!c[i]->active || (first && rank[c[i]->id] > rank[first->id]))
			continue;
		if (!first || rank[c[i]->id] < rank[first->id] || c[i]->id < first->id)
			first = c[i];
	}
	for (unsigned i = 0; first && i < n; i++) {
		v[i].hold = c[i] != first && !c[i]->exempt;
		v[i].holder = v[i].hold ? first->id : 0;
	}
	return UINT64_MAX;
}

static const struct rein_policy_ops one = {
    .name = "one", .init = one_init, .fini = one_fini, .decide = one_decide};

static struct rein_policy *one_init(const struct rein_policy_params *params)
{
	struct rein_policy *p = calloc(1, sizeof(*p));
	p->ops = &one;
	return p;
}

/* ---------------------------------------------------------------- helpers */

static struct party *join_job(const char *name, uint32_t job, int prio, const char *devices)
{
	struct party *p = join(name, prio, devices);
	char why[160];
	struct rein_arbiter_params params = {.prio = prio,
	                                     .weight = 1,
	                                     .linger_us = REIN_POLICY_LINGER_US,
	                                     .backlog_ns = REIN_POLICY_BACKLOG_NS,
	                                     .backlog_launches = 64,
	                                     .patience_ns = REIN_LEASE_NS,
	                                     .job = job};
	ck_assert_int_eq(rein_arbiter_set(a, &p->c, &params, now_ns, why, sizeof(why)), 0);
	return p;
}

static void order(unsigned first, unsigned second, unsigned third, unsigned fourth)
{
	rank[first] = 1, rank[second] = 2, rank[third] = 3, rank[fourth] = 4;
}

/* Whoever runs, of those that are asked for: the bits of their places. */
static unsigned running(struct party *const *p, unsigned n)
{
	unsigned who = 0;
	for (unsigned i = 0; i < n; i++)
		who |= (unsigned)!closed(p[i]) << i;
	return who;
}

/* Something about it changes, and nothing that counts here. */
static void ask_again(struct party *p)
{
	uint32_t word = rein_load_relaxed(&p->status.demand);
	demand(p, (word ^ REIN_DEMAND_WAITING) & (REIN_DEMAND_ACTIVE | REIN_DEMAND_WAITING));
}

/* Two jobs of two ranks each, one rank a device: 0 and 1 against 2 and 3. */
static void two_jobs(struct party *p[4], int prio_x, int prio_y)
{
	p[0] = join_job("x0", 100, prio_x, "A");
	p[1] = join_job("x1", 100, prio_x, "B");
	p[2] = join_job("y0", 200, prio_y, "A");
	p[3] = join_job("y1", 200, prio_y, "B");
	for (unsigned i = 0; i < 4; i++)
		busy(p[i]);
}

static void leave_all(struct party **p, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		leave(p[i]);
	ck_assert_uint_eq(a->wide, 0);
	finish();
}

/* ---------------------------------------------------------------- tests */

TEST(one_held_all_held_and_the_holder_is_named)
{
	start(&rein_policy_prio);
	struct party *p[4];
	p[0] = join_job("x0", 100, 10, "A");
	p[1] = join_job("x1", 100, 10, "B");
	p[2] = join("lc", 50, "A");
	p[3] = join("small", 0, "B");
	busy(p[0]), busy(p[1]), busy(p[3]);
	ck_assert_uint_eq(running(p, 4), 0x7);
	busy(p[2]); /* on A: x1 stops on B too, and makes nobody wait there */
	ck_assert_uint_eq(running(p, 4), 0xc);
	ck_assert_uint_eq(p[1]->c.holder, p[2]->c.policy.id);
	ck_assert_uint_eq(rein_load_relaxed(&p[1]->control.verdict[0].holder), p[2]->c.policy.id);
	idle(p[2]);
	pass(LINGER_NS);
	ck_assert_uint_eq(running(p, 4), 0x7);
	leave_all(p, 4);
}
TEST_END

TEST(priority_decides_between_jobs)
{
	struct party *p[4];
	start(&rein_policy_prio);
	two_jobs(p, 10, 20);
	ck_assert_uint_eq(running(p, 4), 0xc);
	leave_all(p, 4);
	/* of two jobs that each have the upper hand on one device, the first device's wins */
	start(&rein_policy_prio);
	p[0] = join_job("x0", 100, 20, "A");
	p[1] = join_job("x1", 100, 10, "B");
	p[2] = join_job("y0", 200, 10, "A");
	p[3] = join_job("y1", 200, 20, "B");
	for (unsigned i = 0; i < 4; i++)
		busy(p[i]);
	ck_assert_uint_eq(running(p, 4), 0x3);
	idle(p[0]);
	pass(LINGER_NS); /* y0 has A to itself, and y1 is the more urgent on B */
	ck_assert_uint_eq(running(p, 4), 0xc);
	leave_all(p, 4);
}
TEST_END

TEST(equals_take_turns_on_all_devices_at_once)
{
	struct party *p[4];
	start(&one);
	two_jobs(p, 0, 0);
	for (unsigned turn = 0; turn < 20; turn++) {
		if (turn % 2) /* what B's policy would like is not asked for */
			order(1, turn % 4 == 3 ? 2 : 4, 3, turn % 4 == 3 ? 4 : 2);
		else
			order(3, turn % 4 ? 2 : 4, 1, turn % 4 ? 4 : 2);
		asked = 0;
		ask_again(p[turn % 2]);
		ck_assert_uint_eq(running(p, 4), turn % 2 ? 0x3 : 0xc);
		ck_assert_uint_le(asked, 8);
		for (unsigned i = 0; i < 4; i++)
			rein_add_relaxed(&p[i]->status.total.submissions, 1);
	}
	leave_all(p, 4);
}
TEST_END

/* The first device's winner loses on the second to one that is there alone. */
TEST(who_loses_later_makes_room_earlier)
{
	struct party *p[4];
	start(&one);
	p[0] = join_job("x0", 100, 0, "A");
	p[1] = join_job("x1", 100, 0, "B");
	p[2] = join("other", 0, "A");
	p[3] = join("rival", 0, "B");
	order(1, 4, 3, 2);
	for (unsigned i = 0; i < 4; i++)
		busy(p[i]);
	ck_assert_uint_eq(running(p, 4), 0xc); /* and not `rival` alone */
	order(1, 2, 3, 4);
	ask_again(p[3]);
	ck_assert_uint_eq(running(p, 4), 0x3);
	leave_all(p, 4);
}
TEST_END

TEST(ranks_on_one_device_do_not_hold_each_other)
{
	struct party *p[3];
	start(&one);
	p[0] = join_job("x0", 100, 0, "A");
	p[1] = join_job("x1", 100, 0, "A");
	p[2] = join("other", 0, "A");
	order(1, 2, 3, 4);
	for (unsigned i = 0; i < 3; i++)
		busy(p[i]);
	ck_assert_uint_eq(running(p, 3), 0x3);
	order(3, 1, 2, 4);
	ask_again(p[2]);
	ck_assert_uint_eq(running(p, 3), 0x4);
	leave(p[2]);
	ck_assert_uint_eq(running(p, 2), 0x3);
	leave_all(p, 2);
}
TEST_END

TEST(members_come_and_go)
{
	struct party *p[4];
	start(&rein_policy_prio);
	two_jobs(p, 10, 20);
	struct rein_arbiter_params alone = {.prio = 10, .weight = 1, .linger_us = 200};
	char why[160];
	ck_assert_uint_eq(running(p, 4), 0xc);
	leave(p[2]); /* y0: y1 still holds B, and with it all of x */
	p[2] = join("z", 0, "A");
	busy(p[2]);
	ck_assert_uint_eq(running(p, 4), 0xc);
	ck_assert_int_eq(rein_arbiter_set(a, &p[0]->c, &alone, now_ns, why, sizeof(why)), 0);
	ck_assert_uint_eq(running(p, 4), 0x9); /* x0 has left the job: it runs, above z */
	leave_all(p, 4);
}
TEST_END

TEST(a_job_that_hangs_lets_go)
{
	struct party *p[4];
	start(&rein_policy_prio);
	two_jobs(p, 10, 20);
	pass(REIN_LEASE_NS);
	ck_assert_uint_eq(running(p, 4), 0xf);
	ck_assert_uint_ge(says, 1);
	leave_all(p, 4);
}
TEST_END

TEST(a_job_has_a_limit)
{
	struct party *p[REIN_JOB_MAX + 2];
	start(&rein_policy_prio);
	for (unsigned i = 0; i < REIN_JOB_MAX + 2; i++)
		p[i] = join_job("rank", 5, 0, i % 2 ? "A" : "B");
	unsigned members = 1;
	for (struct rein_arbiter_client *m = p[0]->c.mate; m != &p[0]->c; m = m->mate)
		members++;
	ck_assert_uint_eq(members, REIN_JOB_MAX);
	leave_all(p, REIN_JOB_MAX + 2);
}
TEST_END

/* Whatever is active, ranked and grouped how: someone runs on each device that somebody wants, or
 * all who want it belong to jobs that wait for another; nobody is held by one of his own. */
TEST(random_jobs_never_stand_still)
{
	uint64_t seed = 88172645463325252ull;
	struct party *p[12];
	start(&one);
	static const char *const devices[] = {"A", "B", "C", "AB", "BC", "A"};
	for (unsigned i = 0; i < 12; i++)
		p[i] = join_job("p", i < 8 ? 100 + i / 3 : 0, 0, devices[i % 6]);
	for (unsigned round = 0; round < 20000; round++) {
		seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
		rank[1 + (seed >> 20) % 12] = (int)(seed >> 40 & 7);
		asked = 0;
		demand(p[seed % 12], seed >> 50 & 3 ? REIN_DEMAND_ACTIVE : 0);
		ck_assert_uint_le(asked, 4 * 3 * 2);
		if (seed >> 60 == 0)
			pass(LINGER_NS);
		unsigned live = 0, run_now = 0;
		for (unsigned i = 0; i < 12; i++) {
			const struct rein_arbiter_client *c = &p[i]->c;
			live += c->live && !c->stalled;
			run_now += c->live && !c->stalled && !c->held;
			ck_assert_int_eq(closed(p[i]), c->held);
			ck_assert_int_eq(c->held, c->mate->held);
			if (!c->held || !c->holder)
				continue;
			const struct rein_arbiter_client *h = rein_arbiter_find(a, c->holder);
			ck_assert(h && h->live);
			ck_assert_uint_ne(h->policy.job, c->policy.job);
		}
		ck_assert(!live || run_now);
	}
	leave_all(p, 12);
}
TEST_END

TESTS("jobs", one_held_all_held_and_the_holder_is_named, priority_decides_between_jobs,
      equals_take_turns_on_all_devices_at_once, who_loses_later_makes_room_earlier,
      ranks_on_one_device_do_not_hold_each_other, members_come_and_go, a_job_that_hangs_lets_go,
      a_job_has_a_limit, random_jobs_never_stand_still)
