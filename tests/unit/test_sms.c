// SPDX-License-Identifier: Apache-2.0
/* How many SMs a program is to have: as people write it, and what the arbiter makes of it. */
#include "common/rm.h"
#include "common/sms.h"
#include "tests/unit/arbiter_rig.h"

TEST(what_people_write)
{
	static const struct {
		const char *text, *back;
		uint32_t sms;
	} good[] = {
	    {"1", "1", 1},
	    {"65535", "65535", 65535},
	    {"32 shared", "32 shared", 32 | REIN_SMS_SHARED},
	    {"25%", "25%", 250 | REIN_SMS_PERMILLE},
	    {"1% shared", "1% shared", 10 | REIN_SMS_PERMILLE | REIN_SMS_SHARED},
	    {"75% long", "75% long", 750 | REIN_SMS_PERMILLE | REIN_SMS_LONG},
	    {"100%", "all", REIN_SMS_ALL},
	    {"all", "all", REIN_SMS_ALL},
	};
	static const char *const bad[] = {"",     "0",         "0%",           "101%", "65536",
	                                  "-1",   "+1",        " 1",           "1 ",   "1shared",
	                                  "25 %", "25%%",      "half",         "alle", "1 Shared",
	                                  "1.5%", "1 shared ", "1 shared long"};
	char text[REIN_SMS_TEXT_LEN];
	for (size_t i = 0; i < REIN_ARRAY_LEN(good); i++) {
		uint32_t sms = 0;
		ck_assert_msg(rein_sms_parse(good[i].text, &sms) == 0, "%s", good[i].text);
		ck_assert_uint_eq(sms, good[i].sms);
		ck_assert_str_eq(rein_sms_text(text, sms), good[i].back);
		ck_assert(rein_sms_ok(sms));
	}
	for (size_t i = 0; i < REIN_ARRAY_LEN(bad); i++) {
		uint32_t sms = 7;
		ck_assert_msg(rein_sms_parse(bad[i], &sms) != 0 && sms == 7, "'%s'", bad[i]);
	}
	ck_assert_str_eq(rein_sms_text(text, 0), "");
}
TEST_END

TEST(what_a_peer_may_not_say)
{
	ck_assert(rein_sms_ok(0));
	ck_assert(!rein_sms_ok(REIN_SMS_LAST | 8)); /* where its slice is is not its own to say */
	ck_assert(!rein_sms_ok(1u << 16));
	ck_assert(!rein_sms_ok(REIN_SMS_LONG | REIN_SMS_SHARED | 8));
	ck_assert(!rein_sms_ok(REIN_SMS_PERMILLE));
	ck_assert(!rein_sms_ok(REIN_SMS_PERMILLE | 1001));
}
TEST_END

static struct party *with(const char *name, int prio, uint32_t sms, uint32_t can)
{
	struct party *p = join(name, prio, "A");
	p->c.sms = sms;
	rein_store_release(&p->status.can, can);
	demand(p, 0);
	return p;
}

static uint32_t verdict(const struct party *p)
{
	return rein_load_relaxed(&p->control.verdict[0].sms);
}

static bool sliced(const struct party *p)
{
	return rein_load_relaxed(&p->control.verdict[0].gate) & REIN_GATE_SLICED;
}

TEST(the_more_urgent_have_the_first_sms)
{
	start(&rein_policy_fifo);
	struct party *be = with("be", 0, 750 | REIN_SMS_PERMILLE, REIN_CAN_SLICE);
	struct party *lc = with("lc", 50, 32, REIN_CAN_SLICE);
	struct party *old = with("old", 0, 32, 0); /* its shim cannot */
	struct party *free = with("free", 0, REIN_SMS_ALL, REIN_CAN_SLICE);
	busy(be), busy(lc), busy(old), busy(free);
	ck_assert_uint_eq(verdict(be), 750 | REIN_SMS_PERMILLE | REIN_SMS_LAST);
	ck_assert_uint_eq(verdict(lc), 32);
	ck_assert(sliced(be) && sliced(lc));
	ck_assert(!verdict(old) && !sliced(old));
	ck_assert(!verdict(free) && !sliced(free));
	leave(be), leave(lc), leave(old), leave(free);
	finish();
}
TEST_END

TEST(a_shared_slice_is_in_force_while_somebody_more_urgent_is_active)
{
	start(&rein_policy_fifo);
	struct party *be = with("be", 0, 8 | REIN_SMS_SHARED, REIN_CAN_SLICE);
	struct party *equal = with("equal", 0, 0, REIN_CAN_SLICE);
	struct party *lc = with("lc", 50, 0, REIN_CAN_SLICE);
	busy(be), busy(equal);
	ck_assert(!sliced(be));
	for (int i = 0; i < 3; i++) {
		busy(lc);
		ck_assert(sliced(be) && !sliced(lc) && !closed(be));
		ck_assert_uint_eq(verdict(be), 8 | REIN_SMS_LAST);
		idle(lc);
		pass(LINGER_NS);
		ck_assert(!sliced(be) && !verdict(be));
	}
	busy(lc);
	ck_assert(sliced(be));
	leave(lc);
	run();
	ck_assert(!sliced(be));
	leave(be), leave(equal);
	finish();
}
TEST_END

/* There before the urgent request is: what began on all SMs keeps them. */
TEST(a_slice_against_long_kernels_is_in_force_where_no_gate_stops_them)
{
	start(&rein_policy_fifo);
	struct party *be = with("be", 0, 8 | REIN_SMS_LONG, REIN_CAN_SLICE | REIN_CAN_CONTEXT);
	busy(be);
	ck_assert(!sliced(be)); /* nobody to reserve for */
	struct party *lc = with("lc", 50, 0, REIN_CAN_SLICE);
	run();
	ck_assert_uint_eq(verdict(be), 8 | REIN_SMS_LAST); /* not yet known, so taken for long */
	ck_assert(sliced(be));
	be->c.history.longest_ns = REIN_POINT_NS / 2;
	busy(lc);
	ck_assert(!sliced(be) && !verdict(be));
	be->c.history.longest_ns = 50 * REIN_MS;
	idle(lc), pass(LINGER_NS), busy(lc);
	ck_assert(sliced(be));
	struct rein_gates_of gates = {
	    .other = {.can = REIN_CAN_CONTEXT, .context_recipe = REIN_RM_RECIPE_DISABLE}};
	rein_arbiter_set_gates(a, &gates, now_ns);
	run();
	ck_assert(!sliced(be)); /* that stops them too */
	leave(be), leave(lc);
	finish();
}
TEST_END

/* What its kernels take is learnt while nobody comes, goes, or wakes. */
TEST(a_slice_against_long_kernels_follows_what_is_measured)
{
	static const uint32_t dim[3] = {1, 1, 1};
	start(&rein_policy_fifo);
	struct party *be = with("be", 0, 8 | REIN_SMS_LONG, REIN_CAN_SLICE);
	struct party *lc = with("lc", 50, 0, REIN_CAN_SLICE);
	busy(be);
	ck_assert(sliced(be)); /* not known yet */
	for (unsigned k = 0; k < 4; k++)
		rein_kmodel_sample(&be->status.kmodel, rein_kmodel_key(1, dim, dim, 0),
		                   REIN_POINT_NS / 4, "short");
	pass(REIN_S);
	ck_assert(!sliced(be) && !verdict(be));
	for (unsigned k = 0; k < 4; k++)
		rein_kmodel_sample(&be->status.kmodel, rein_kmodel_key(2, dim, dim, 0),
		                   50 * REIN_MS, "long");
	pass(REIN_S);
	ck_assert_uint_eq(verdict(be), 8 | REIN_SMS_LAST); /* before the urgent one wakes */
	leave(be), leave(lc);
	finish();
}
TEST_END

/* Two with deadlines are not more urgent than each other: both would have the first SMs, and nobody
 * the others. */
TEST(no_slice_against_long_kernels_among_those_with_deadlines)
{
	start(&rein_policy_fifo);
	struct party *one = with("one", 0, 8 | REIN_SMS_LONG, REIN_CAN_SLICE);
	struct party *two = with("two", 0, 8 | REIN_SMS_LONG, REIN_CAN_SLICE);
	struct party *be = with("be", 0, 8 | REIN_SMS_LONG, REIN_CAN_SLICE);
	one->c.policy.deadline_ns = two->c.policy.deadline_ns = 20 * REIN_MS;
	busy(one), busy(two), busy(be);
	ck_assert(!sliced(one) && !sliced(two));
	ck_assert_uint_eq(verdict(be), 8 | REIN_SMS_LAST);
	leave(one), leave(two), leave(be);
	finish();
}
TEST_END

TEST(it_changes_live)
{
	char why[160];
	start(&rein_policy_fifo);
	struct party *be = with("be", 0, 16, REIN_CAN_SLICE);
	busy(be);
	ck_assert_uint_eq(verdict(be), 16 | REIN_SMS_LAST);
	struct rein_arbiter_params p = {.weight = 100, .patience_ns = REIN_LEASE_NS, .sms = 24};
	ck_assert_int_eq(rein_arbiter_set(a, &be->c, &p, now_ns, why, sizeof(why)), 0);
	ck_assert_uint_eq(verdict(be), 24 | REIN_SMS_LAST);
	p.sms = REIN_SMS_ALL;
	ck_assert_int_eq(rein_arbiter_set(a, &be->c, &p, now_ns, why, sizeof(why)), 0);
	ck_assert(!verdict(be) && !sliced(be));
	leave(be);
	finish();
}
TEST_END

TESTS("sms", what_people_write, what_a_peer_may_not_say, the_more_urgent_have_the_first_sms,
      a_slice_against_long_kernels_is_in_force_where_no_gate_stops_them,
      a_slice_against_long_kernels_follows_what_is_measured,
      no_slice_against_long_kernels_among_those_with_deadlines,
      a_shared_slice_is_in_force_while_somebody_more_urgent_is_active, it_changes_live)
