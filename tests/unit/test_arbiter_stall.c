// SPDX-License-Identifier: Apache-2.0
/* test_arbiter_stall.c: leases, and holders that make no progress: hung, slow, or flooding. */
#include "tests/unit/arbiter_rig.h"

/* ---------------------------------------------------------------- leases and stalls */

TEST(a_lease_is_renewed_only_while_the_holder_makes_progress)
{
	start(&rein_policy_prio);
	struct party *be = join("be", 0, "A"), *lc = join("lc", 50, "A");
	busy(be);
	busy(lc);
	for (unsigned i = 0; i < 200; i++) { /* 2 s of one request that keeps submitting */
		rein_add_relaxed(&lc->status.total.submissions, 1);
		pass(10 * REIN_MS);
		ck_assert(closed(be));
		ck_assert(lease(be) > now_ns + REIN_LEASE_NS / 2);
	}
	ck_assert_uint_eq(says, 0);
	/* Now it shows nothing more. */
	uint64_t last_ns = now_ns;
	while (closed(be) && now_ns < last_ns + REIN_S)
		pass(REIN_MS);
	ck_assert(!closed(be) && now_ns - last_ns <= REIN_LEASE_NS + REIN_MS);
	ck_assert_uint_eq(says, 1);
	ck_assert_ptr_nonnull(strstr(said, "be (pid 101)"));
	ck_assert_ptr_nonnull(strstr(said, "for lc (pid 102)"));
	ck_assert(be->c.policy.exempt);
	pass(5 * REIN_S);
	ck_assert(!closed(be)); /* nobody is held for a stalled client */
	ck_assert_uint_eq(says, 1);
	/* It comes back: holds again. */
	rein_add_relaxed(&lc->status.total.submissions, 1);
	pass(REIN_ARBITER_TICK_NS);
	ck_assert(closed(be) && !be->c.policy.exempt);
	leave(be);
	leave(lc);
	finish();
}
TEST_END

TEST(a_lease_lapses_when_the_daemon_does_not_run)
{
	start(&rein_policy_prio);
	struct party *be = join("be", 0, "A"), *lc = join("lc", 50, "A");
	busy(lc);
	uint64_t until_ns = lease(be);
	ck_assert(until_ns == now_ns + REIN_LEASE_NS);
	now_ns += REIN_S; /* stopped, then continued: it takes the hold up again or lets go */
	rein_add_relaxed(&lc->status.total.submissions, 1);
	run();
	ck_assert(closed(be) && lease(be) == now_ns + REIN_LEASE_NS);
	leave(be);
	leave(lc);
	finish();
}
TEST_END

TEST(patience_is_the_class)
{
	start(&rein_policy_prio);
	struct party *be = join("be", 0, "A"), *lc = join("lc", 50, "A");
	lc->c.patience_ns = 2 * REIN_S;
	busy(lc);
	pass(2 * REIN_S - 1);
	ck_assert(closed(be) && lease(be) > now_ns);
	pass(1);
	ck_assert(!closed(be));
	leave(be);
	leave(lc);
	finish();
}
TEST_END

/* The most urgent one hangs; the next makes progress. The lowest is held for that one again, but
 * gets a lease now and then, in case the hanging one waits for it. */
TEST(a_stalled_client_neither_rules_nor_waits_for_ever)
{
	start(&rein_policy_prio);
	struct party *be = join("be", 0, "A"), *mid = join("mid", 20, "A");
	struct party *top = join("top", 60, "A");
	busy(be);
	busy(mid);
	busy(top);
	ck_assert(closed(mid) && closed(be));
	pass(REIN_LEASE_NS);
	ck_assert(!closed(mid) && !closed(be)); /* both exempt */
	uint64_t open_ns = 0, step_ns = REIN_MS;
	for (uint64_t t = 0; t < 5 * REIN_S; t += step_ns) {
		rein_add_relaxed(&mid->status.total.submissions, 1);
		pass(step_ns);
		ck_assert(!closed(mid));
		open_ns += closed(be) ? 0 : step_ns;
	}
	ck_assert(open_ns >= 4 * REIN_LEASE_NS && open_ns <= 6 * REIN_LEASE_NS);
	idle(top); /* the end of its stall */
	pass(REIN_MS);
	ck_assert(closed(be) && !closed(mid));
	leave(be), leave(mid), leave(top);
	finish();
}
TEST_END

TEST(an_arrival_of_the_stalled_holds_at_once)
{
	start(&rein_policy_prio);
	struct party *be = join("be", 0, "A"), *lc = join("lc", 60, "A");
	busy(lc);
	pass(REIN_LEASE_NS);
	ck_assert(!closed(be));
	busy(lc);
	ck_assert(closed(be));
	leave(be), leave(lc);
	finish();
}
TEST_END

/* Its heartbeat rises, so the process runs: long work on the GPU, or a wait for who is held. The
 * hold stays, but for a breath now and then; after SLOW_MAX it counts as hung all the same. */
TEST(a_slow_holder_keeps_its_hold_but_for_breaths)
{
	start(&rein_policy_prio);
	struct party *be = join("be", 0, "A"), *lc = join("lc", 50, "A");
	busy(be);
	busy(lc);
	uint64_t open_ns = 0, first_ns = 0, begun_ns = now_ns;
	while (now_ns < begun_ns + REIN_ARBITER_SLOW_MAX_NS) {
		rein_add_relaxed(&lc->status.total.heartbeats, 1);
		pass(REIN_MS);
		open_ns += closed(be) ? 0 : REIN_MS;
		if (!closed(be) && !first_ns)
			first_ns = now_ns;
	}
	ck_assert_uint_le(first_ns - begun_ns, REIN_LEASE_NS + REIN_MS);
	uint64_t breaths = REIN_ARBITER_SLOW_MAX_NS / REIN_ARBITER_BREATH_EVERY_NS;
	ck_assert_uint_ge(open_ns, (breaths - 1) * REIN_ARBITER_BREATH_NS);
	ck_assert_uint_le(open_ns, (breaths + 1) * (REIN_ARBITER_BREATH_NS + 2 * REIN_MS));
	ck_assert_uint_eq(says, 1);
	for (unsigned i = 0; i < 1000; i++) {
		rein_add_relaxed(&lc->status.total.heartbeats, 1);
		pass(REIN_MS);
	}
	ck_assert(!closed(be) && lc->c.stalled);
	rein_add_relaxed(&lc->status.total.submissions, 1); /* and is back */
	pass(REIN_ARBITER_TICK_NS);
	ck_assert(closed(be));
	leave(be);
	leave(lc);
	finish();
}
TEST_END

/* Who rewrites its word without end does not keep the arbiter awake (found in review). */
TEST(a_flood_of_words_is_not_followed)
{
	start(&rein_policy_prio);
	struct party *liar = join("liar", 0, "A"), *urgent = join("urgent", 9, "A");
	for (unsigned i = 0; i < 2 * REIN_ARBITER_WORDS_MAX; i++) {
		i % 2 ? idle(liar) : busy(liar);
		i % 2 ? idle(urgent) : busy(urgent);
		rein_arbiter_scan(a, now_ns);
	}
	ck_assert(!rein_arbiter_changed(a)); /* it may sleep, until the window is over */
	ck_assert_uint_gt(liar->c.deaf_until_ns, now_ns);
	ck_assert_uint_le(next_ns, liar->c.deaf_until_ns);
	ck_assert_uint_eq(urgent->c.deaf_until_ns, 0);
	busy(urgent);
	busy(liar);
	pass(REIN_ARBITER_WINDOW_NS);
	ck_assert(closed(liar));
	leave(liar);
	leave(urgent);
	finish();
}
TEST_END

TESTS("stalls", a_lease_is_renewed_only_while_the_holder_makes_progress,
      a_lease_lapses_when_the_daemon_does_not_run, patience_is_the_class,
      a_stalled_client_neither_rules_nor_waits_for_ever, an_arrival_of_the_stalled_holds_at_once,
      a_slow_holder_keeps_its_hold_but_for_breaths, a_flood_of_words_is_not_followed)
