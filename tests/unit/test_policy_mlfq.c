// SPDX-License-Identifier: Apache-2.0
/* test_policy_mlfq.c: undeclared clients sort themselves: short requests get in front, long ones
 * sink, tricks do not pay, nobody starves. */
#include "policy/turn.h"
#include "tests/unit/policy_rig.h"

#define QUANTUM REIN_TURN_QUANTUM_NS

static struct policy_rig rig;

static struct rig_client *add_endless(void)
{
	return rig_add(&rig, &(struct rig_client){.cost_ns = RIG_ENDLESS});
}

static struct rig_client *add_periodic(uint64_t cost_us, uint64_t every_ms)
{
	return rig_add(
	    &rig, &(struct rig_client){.cost_ns = cost_us * 1000, .every_ns = every_ms * RIG_MS});
}

/* How many of the last requests took longer than their cost and a kernel? Measured one by one. */
static unsigned late_requests(const struct rig_client *k, uint64_t until_ns)
{
	unsigned late = 0;
	uint64_t done = k->done;
	while (rig.now_ns < until_ns) {
		rig_run(&rig, rig.now_ns + RIG_MS);
		if (k->done != done)
			late += k->response_ns > k->cost_ns + RIG_MS;
		done = k->done;
	}
	return late;
}

/* 10 % of the device in requests of 2 ms, beside endless ones: in front, without a word. */
TEST(short_requests_get_in_front)
{
	for (unsigned others = 1; others <= 4; others++) {
		rig_start(&rig, "mlfq");
		for (unsigned i = 0; i < others; i++)
			add_endless();
		struct rig_client *quick = add_periodic(2000, 20);
		rig_run(&rig, 2 * RIG_S); /* time to sort */
		unsigned late = late_requests(quick, 32 * RIG_S);
		ck_assert_uint_ge(quick->done, 1590);
		/* boosts every 5 s: for a while after each all are equal */
		ck_assert_uint_le(late, 6 + 6 * others);
		ck_assert_uint_eq(rig.idle_ns, 0);
		rig_end(&rig);
	}
}
TEST_END

/* Five of them, 10 % each, which never meet each other: all in front. */
TEST(many_short_requests_get_in_front)
{
	rig_start(&rig, "mlfq");
	struct rig_client *quick[5];
	add_endless();
	for (unsigned i = 0; i < 5; i++) {
		quick[i] = add_periodic(2000, 20);
		quick[i]->release_ns = (1 + 4 * i) * RIG_MS;
	}
	rig_run(&rig, 2 * RIG_S);
	for (unsigned i = 0; i < 5; i++)
		quick[i]->response_max_ns = 0;
	rig_run(&rig, 9 * RIG_S / 2); /* before the first boost */
	for (unsigned i = 0; i < 5; i++)
		ck_assert_uint_le(quick[i]->response_max_ns, 3 * RIG_MS);
	rig_end(&rig);
}
TEST_END

/* Two that are new: the endless one loses its first turn when half a quantum is on its account. */
TEST(a_turn_ends_where_a_level_does)
{
	rig_start(&rig, "mlfq");
	struct rig_client *endless = add_endless(), *quick = add_periodic(1000, 1000);
	quick->release_ns = RIG_MS;
	endless->kernel_ns = RIG_MS / 10;
	rig_run(&rig, 20 * RIG_MS);
	ck_assert_uint_eq(quick->done, 1);
	ck_assert_uint_lt(quick->response_ns, QUANTUM - RIG_MS / 2);
	rig_end(&rig);
}
TEST_END

/* The endless ones among themselves: equal shares, or by weight, of what the short one leaves. */
TEST(the_lowest_level_is_fair)
{
	rig_start(&rig, "mlfq");
	struct rig_client *a = add_endless(), *b = add_endless();
	struct rig_client *heavy =
	    rig_add(&rig, &(struct rig_client){.cost_ns = RIG_ENDLESS, .c.weight = 200});
	add_periodic(2000, 40);
	rig_run(&rig, 20 * RIG_S);
	double rest = 20e9 * 0.95;
	ck_assert_double_eq_tol((double)a->service_ns, rest / 4, rest / 50);
	ck_assert_double_eq_tol((double)b->service_ns, rest / 4, rest / 50);
	ck_assert_double_eq_tol((double)heavy->service_ns, rest / 2, rest / 50);
	rig_end(&rig);
}
TEST_END

/* A request that goes on sinks while it does: short ones pass it from then on. */
TEST(a_long_request_sinks)
{
	rig_start(&rig, "mlfq");
	struct rig_client *longs =
	    rig_add(&rig, &(struct rig_client){.cost_ns = 300 * RIG_MS, .every_ns = 3 * RIG_S});
	struct rig_client *quick = add_periodic(2000, 20);
	add_endless();
	rig_run(&rig, RIG_S);
	unsigned late = late_requests(quick, 13 * RIG_S);
	ck_assert_uint_ge(quick->done, 640);
	ck_assert_uint_le(late, 4 + 2 * 4); /* once a long request until it sank; boosts */
	ck_assert_uint_ge(longs->done, 4);
	rig_end(&rig);
}
TEST_END

/* Yields just before a level's allotment ends, for all allotments there are, and splits its work.
 */
TEST(gaming_does_not_pay)
{
	static const uint64_t cost_us[] = {3900, 3000, 500, 15900, 8000};
	for (unsigned i = 0; i < REIN_ARRAY_LEN(cost_us); i++) {
		rig_start(&rig, "mlfq");
		struct rig_client *gamer =
		    rig_add(&rig, &(struct rig_client){.cost_ns = cost_us[i] * 1000,
		                                       .pause_ns = 300000,
		                                       .kernel_ns = RIG_MS / 10});
		add_endless();
		add_endless();
		rig_run(&rig, 20 * RIG_S);
		ck_assert_uint_le(gamer->service_ns, 20 * RIG_S / 3 * 105 / 100);
		rig_end(&rig);
	}
}
TEST_END

/* Three that stay below their rate and take everything together: the endless one is served. */
TEST(nobody_starves)
{
	rig_start(&rig, "mlfq");
	struct rig_client *endless = add_endless();
	for (unsigned i = 0; i < 8; i++)
		add_periodic(2500, 20);
	uint64_t gap_ns = 0, since_ns = 0, had_ns = 0;
	while (rig.now_ns < 20 * RIG_S) {
		rig_run(&rig, rig.now_ns + RIG_MS);
		if (endless->service_ns != had_ns)
			since_ns = rig.now_ns;
		had_ns = endless->service_ns;
		gap_ns = rig.now_ns - since_ns > gap_ns ? rig.now_ns - since_ns : gap_ns;
	}
	ck_assert_uint_lt(gap_ns, 3 * RIG_S);
	ck_assert_uint_gt(endless->service_ns, 20 * RIG_S / 30);
	rig_end(&rig);
}
TEST_END

TEST(boosts_forgive_everything)
{
	rig.params.boost_ns = RIG_S;
	rig.now_ns = 10 * RIG_S;
	rig_start(&rig, "mlfq");
	struct rig_client *endless = add_endless(), *idle = add_periodic(1000, 10);
	idle->release_ns = UINT64_MAX;
	rig_run(&rig, 10 * RIG_S + 900 * RIG_MS);
	ck_assert(!endless->v.hold && !idle->v.hold); /* it would be above */
	rig_run(&rig, 11 * RIG_S);
	rig_decide(&rig);
	ck_assert(!endless->v.hold && idle->v.hold); /* level: it would have to wait */
	rig_end(&rig);
}
TEST_END

TESTS("policy mlfq", short_requests_get_in_front, many_short_requests_get_in_front,
      a_turn_ends_where_a_level_does, the_lowest_level_is_fair, a_long_request_sinks,
      gaming_does_not_pay, nobody_starves, boosts_forgive_everything)
