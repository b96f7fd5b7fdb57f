// SPDX-License-Identifier: Apache-2.0
/* What the arbiter makes of declared requests: no linger at their end, and clients in the
 * background. */
#include "tests/unit/arbiter_rig.h"

/* As the shim does it: the flags first, then the demand word. */
static void say(struct party *p, uint32_t flags, uint32_t bits)
{
	rein_store_release(&p->status.request_flags, REIN_REQUEST_DECLARED | flags);
	demand(p, bits);
}

TEST(a_declared_end_needs_no_linger)
{
	start(&rein_policy_prio);
	struct party *be = join("be", 0, "A"), *lc = join("lc", 50, "A");
	busy(be);
	say(lc, REIN_REQUEST_EXACT, REIN_DEMAND_ACTIVE);
	pass(LINGER_NS * 10); /* a gap longer than the linger, shorter than the patience */
	ck_assert(closed(be));
	say(lc, REIN_REQUEST_EXACT, 0);
	ck_assert(!closed(be)); /* no time has passed */
	/* what ends without having been declared lingers, with the same client */
	say(lc, 0, REIN_DEMAND_ACTIVE);
	ck_assert(closed(be));
	say(lc, 0, 0);
	ck_assert(closed(be));
	pass(LINGER_NS - 1);
	ck_assert(closed(be));
	pass(1);
	ck_assert(!closed(be));
	leave(be), leave(lc);
	finish();
}
TEST_END

TEST(an_open_request_holds_nobody_for_ever)
{
	start(&rein_policy_prio);
	struct party *be = join("be", 0, "A"), *lc = join("lc", 50, "A");
	busy(be);
	say(lc, REIN_REQUEST_EXACT, REIN_DEMAND_ACTIVE);
	pass(REIN_LEASE_NS); /* its patience; no heartbeat: it does not even run */
	ck_assert(!closed(be));
	ck_assert_uint_eq(says, 1);
	/* begin and end are progress, as any change of its word is */
	say(lc, REIN_REQUEST_EXACT, REIN_DEMAND_ACTIVE);
	ck_assert(closed(be));
	leave(lc); /* it dies inside its request */
	ck_assert(!closed(be));
	leave(be);
	finish();
}
TEST_END

TEST(the_background_has_priority_0)
{
	start(&rein_policy_prio);
	struct party *p = join("p", 50, "A"), *mid = join("mid", 10, "A");
	say(p, REIN_REQUEST_BACKGROUND, REIN_DEMAND_ACTIVE);
	ck_assert(!closed(mid) && !closed(p));
	busy(mid);
	ck_assert(closed(p) && !closed(mid));
	/* either may be preempted by the other: both keep to the backlog */
	ck_assert(metered(p) && metered(mid));
	say(p, REIN_REQUEST_EXACT, REIN_DEMAND_ACTIVE); /* its request begins */
	ck_assert(!closed(p) && closed(mid));
	ck_assert(!metered(p) && metered(mid));
	ck_assert_int_eq(rein_load_relaxed(&p->control.prio), 50);
	say(p, REIN_REQUEST_EXACT | REIN_REQUEST_BACKGROUND, REIN_DEMAND_ACTIVE); /* and ends */
	ck_assert(closed(p) && !closed(mid));
	leave(mid);
	ck_assert(!closed(p));
	leave(p);
	finish();
}
TEST_END

TEST(nobody_rises_above_what_was_granted)
{
	start(&rein_policy_prio);
	struct party *be = join("be", 0, "A"), *lc = join("lc", 50, "A");
	busy(lc);
	for (uint32_t flags = 0; flags < 64; flags++) {
		say(be, flags, REIN_DEMAND_ACTIVE);
		ck_assert(closed(be) && !closed(lc));
	}
	leave(be), leave(lc);
	finish();
}
TEST_END

TESTS("arbiter and declared requests", a_declared_end_needs_no_linger,
      an_open_request_holds_nobody_for_ever, the_background_has_priority_0,
      nobody_rises_above_what_was_granted)
