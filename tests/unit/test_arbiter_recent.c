// SPDX-License-Identifier: Apache-2.0
/* What the arbiter remembers of the last seconds: waits, for whose sake, response times; and what
 * it counts by class. */
#include "daemon/arbiter_int.h"
#include "tests/unit/arbiter_rig.h"

static struct rein_recent_figures of(struct party *p)
{
	struct rein_recent_figures f;
	rein_arbiter_recent(&p->c, now_ns, &f);
	return f;
}

static void wait_at_gate(struct party *p)
{
	demand(p, REIN_DEMAND_ACTIVE | REIN_DEMAND_WAITING);
}

static void request(struct party *p, uint64_t ns)
{
	busy(p);
	pass(ns);
	idle(p);
	pass(LINGER_NS);
}

TEST(a_wait_is_held_and_waiting)
{
	struct rein_tally tally = {0};
	start(&rein_policy_prio);
	struct party *be = join("be", 0, "A"), *lc = join("lc", 50, "A");
	be->c.tally = &tally;
	busy(be);
	busy(lc);
	ck_assert(closed(be));
	pass(10 * REIN_MS); /* held, but nobody waits */
	ck_assert_uint_eq(of(be).wait_ns, 0);
	wait_at_gate(be);
	pass(30 * REIN_MS);
	ck_assert_uint_eq(of(be).wait_ns, 30 * REIN_MS); /* it goes on */
	ck_assert_uint_eq(tally.wait.total, 0);
	idle(lc);
	pass(LINGER_NS);
	ck_assert(!closed(be));
	pass(10 * REIN_MS); /* the word says so still, but nobody holds it */
	struct rein_recent_figures f = of(be);
	ck_assert_uint_eq(f.wait_ns, 30 * REIN_MS + LINGER_NS);
	ck_assert_uint_eq(f.window_ns, 40 * REIN_MS + LINGER_NS);
	ck_assert_uint_eq(f.culprit.id, lc->c.policy.id);
	ck_assert_uint_eq(f.culprit.ns, f.wait_ns);
	ck_assert_int_eq(f.culprit.pid, lc->c.pid);
	ck_assert_str_eq(f.culprit.name, "lc");
	ck_assert_uint_eq(of(lc).culprit.id, 0);
	ck_assert_uint_eq(tally.wait.total, 1);
	ck_assert_uint_eq(tally.wait.sum_ns, f.wait_ns);
	ck_assert_uint_eq(tally.preemptions, 1);
	ck_assert_uint_eq(be->c.history.preemptions, 1);
	leave(be), leave(lc);
	finish();
}
TEST_END

TEST(the_culprit_is_who_held_it_most)
{
	start(&rein_policy_prio);
	struct party *be = join("be", 0, "A"), *x = join("x", 10, "A"), *y = join("y", 20, "A");
	uint32_t x_id = x->c.policy.id;
	wait_at_gate(be);
	request(y, 20 * REIN_MS);
	request(x, 30 * REIN_MS);
	ck_assert_uint_eq(of(be).culprit.id, x_id);
	busy(x);
	pass(5 * REIN_MS);
	busy(y); /* of one wait, from here on for the other */
	pass(50 * REIN_MS);
	ck_assert_uint_eq(of(be).culprit.id, y->c.policy.id);
	ck_assert_uint_eq(of(be).culprit.ns, 70 * REIN_MS + LINGER_NS);
	idle(y);
	pass(LINGER_NS + 100 * REIN_MS);
	leave(x); /* who is gone is still named */
	run();
	ck_assert_uint_eq(of(be).culprit.id, x_id);
	ck_assert_str_eq(of(be).culprit.name, "x");
	leave(be), leave(y);
	finish();
}
TEST_END

/* More culprits than there are places: who held it most stays. */
TEST(many_culprits)
{
	struct party *other[12];
	start(&rein_policy_prio);
	struct party *be = join("be", 0, "A"), *most = join("most", 50, "A");
	wait_at_gate(be);
	for (unsigned i = 0; i < 12; i++) {
		other[i] = join("other", 10, "A");
		request(other[i], REIN_MS);
		request(most, 5 * REIN_MS);
	}
	ck_assert_str_eq(of(be).culprit.name, "most");
	ck_assert_uint_ge(of(be).culprit.ns, 60 * REIN_MS);
	for (unsigned i = 0; i < 12; i++)
		leave(other[i]);
	leave(be), leave(most);
	finish();
}
TEST_END

TEST(the_window_slides)
{
	start(&rein_policy_prio);
	struct party *be = join("be", 0, "A"), *lc = join("lc", 50, "A");
	wait_at_gate(be);
	request(lc, 100 * REIN_MS);
	request(be, 0);
	for (unsigned i = 0; i < 99; i++)
		request(lc, REIN_MS);
	ck_assert_uint_eq(of(lc).requests, 100);
	uint64_t p99_ns = of(lc).response_p99_ns;
	ck_assert_uint_ge(p99_ns, REIN_MS);
	ck_assert_uint_le(p99_ns, 2 * REIN_MS); /* one of 100 was slow */
	uint64_t waited_ns = of(be).wait_ns;
	ck_assert_uint_ge(waited_ns, 100 * REIN_MS);
	pass(REIN_RECENT_HALF_NS); /* the older half still has it */
	ck_assert_uint_eq(of(be).wait_ns, waited_ns);
	ck_assert_uint_eq(of(lc).requests, 100);
	pass(REIN_RECENT_HALF_NS);
	ck_assert_uint_eq(of(be).wait_ns, 0);
	ck_assert_uint_eq(of(be).culprit.id, 0);
	ck_assert_uint_eq(of(lc).requests, 0);
	ck_assert_uint_eq(of(lc).response_p99_ns, 0);
	/* a wait longer than the window is all of it, and no more */
	wait_at_gate(be);
	busy(lc);
	for (unsigned i = 0; i < 100; i++) {
		pass(300 * REIN_MS);
		uint32_t word = rein_load_relaxed(&lc->status.demand);
		rein_store_release(&lc->status.demand, word + REIN_DEMAND_COUNT); /* progress */
		struct rein_recent_figures f = of(be);
		ck_assert_uint_le(f.window_ns, 2 * REIN_RECENT_HALF_NS);
		ck_assert_uint_le(f.wait_ns, f.window_ns);
	}
	ck_assert_uint_ge(of(be).wait_ns, REIN_RECENT_HALF_NS / 2);
	leave(be), leave(lc);
	finish();
}
TEST_END

TEST(a_class_counts_for_all_of_its_clients)
{
	struct rein_tally tally = {0};
	start(&rein_policy_edf);
	struct party *p = join("p", 50, "A"), *q = join("q", 50, "B");
	p->c.tally = q->c.tally = &tally;
	p->c.policy.deadline_ns = p->c.policy.period_ns = 10 * REIN_MS;
	request(p, 5 * REIN_MS);
	request(p, 20 * REIN_MS);
	request(q, 7 * REIN_MS);
	ck_assert_uint_eq(tally.response.total, 3);
	ck_assert_uint_eq(tally.response.sum_ns, 32 * REIN_MS);
	ck_assert_uint_eq(tally.met, 1);
	ck_assert_uint_eq(tally.missed, 1);
	ck_assert_uint_eq(a->n_gpus, 2);
	ck_assert_uint_eq(tally.used_ns[0], p->c.policy.used_ns);
	ck_assert_uint_eq(tally.used_ns[1], q->c.policy.used_ns);
	ck_assert_uint_ge(tally.used_ns[0], 25 * REIN_MS);
	leave(q); /* the device is forgotten, its place in the tally stays */
	q = join("q", 50, "B");
	q->c.tally = &tally;
	uint64_t before_ns = tally.used_ns[1];
	request(q, 7 * REIN_MS);
	ck_assert_uint_eq(a->n_gpus, 2);
	ck_assert_uint_ge(tally.used_ns[1], before_ns + 7 * REIN_MS);
	leave(p), leave(q);
	finish();
}
TEST_END

/* Who leaves in the middle of a wait has waited. */
TEST(leaving_ends_a_wait)
{
	struct rein_tally tally = {0};
	start(&rein_policy_prio);
	struct party *be = join("be", 0, "A"), *lc = join("lc", 50, "A");
	be->c.tally = &tally;
	busy(lc);
	wait_at_gate(be);
	pass(10 * REIN_MS);
	leave(be);
	ck_assert_uint_eq(tally.wait.total, 1);
	ck_assert_uint_eq(tally.wait.sum_ns, 10 * REIN_MS);
	leave(lc);
	finish();
}
TEST_END

TESTS("arbiter_recent", a_wait_is_held_and_waiting, the_culprit_is_who_held_it_most, many_culprits,
      the_window_slides, a_class_counts_for_all_of_its_clients, leaving_ends_a_wait)
