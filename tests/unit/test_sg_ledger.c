// SPDX-License-Identifier: Apache-2.0
/* Who owns a shared device when, in virtual time. */
#include <string.h>

#include "softgpu/ledger.h"
#include "tests/harness.h"

#define OPEN UINT64_MAX

static struct sg_ledger l;

static void setup(void) /* slices of 1000, switches of 50 */
{
	static const struct sg_model m = {.timeslice_ns = 1000, .switch_ns = 50, .copy_engines = 2};
	sg_ledger_init(&l, &m);
}

static struct sg_grant last(uint32_t seat)
{
	ck_assert_uint_gt(l.seat[seat].grants, 0);
	return l.seat[seat].grant[(l.seat[seat].grants - 1) % SG_GRANTS];
}

static void check_owner(uint32_t seat, uint64_t start, uint64_t end)
{
	ck_assert_uint_eq(l.owner, seat);
	ck_assert_uint_eq(last(seat).start_ns, start);
	ck_assert_uint_eq(last(seat).end_ns, end);
}

TEST(alone_the_device_is_free_of_charge)
{
	setup();
	sg_ledger_request(&l, 3, 100, 90);
	check_owner(3, 100, OPEN);
	ck_assert_uint_eq(l.bells, 1 << 3);
	sg_ledger_settle(&l, 100000);
	check_owner(3, 100, OPEN);
	sg_ledger_give(&l, 3, 5000, 100000);
	ck_assert_uint_eq(l.owner, SG_NOBODY);
	ck_assert_uint_eq(last(3).end_ns, 5000);
	sg_ledger_request(&l, 3, 4000, 100001); /* the host was late: the model is not */
	check_owner(3, 5000, OPEN);
	ck_assert_uint_eq(l.seat[3].switches, 0);
}
TEST_END

TEST(a_waiter_ends_the_slice_at_its_boundary)
{
	setup();
	sg_ledger_request(&l, 0, 100, 100);
	l.bells = 0;
	sg_ledger_request(&l, 1, 2500, 2510);
	check_owner(0, 100, 3100);
	ck_assert_uint_eq(l.bells, 1); /* the owner is told */
	sg_ledger_settle(&l, 3099);
	check_owner(0, 100, 3100);
	sg_ledger_settle(&l, 3400); /* looked at late; handed over when it was due */
	check_owner(1, 3150, 4150); /* the old owner waits: a slice has an end */
	ck_assert_uint_eq(last(0).end_ns, 3100);
	ck_assert_uint_eq(l.seat[1].switches, 1);
}
TEST_END

TEST(a_request_in_the_past_does_not_take_back_used_time)
{
	setup();
	sg_ledger_request(&l, 0, 0, 0);
	sg_ledger_request(&l, 1, 100, 7500);
	check_owner(0, 0, 8000);
}
TEST_END

TEST(two_that_saturate_get_equal_slices)
{
	setup();
	uint64_t got[2] = {0}, seen[2] = {0};
	sg_ledger_request(&l, 0, 0, 0);
	sg_ledger_request(&l, 1, 0, 1);
	for (uint64_t now = 0; now < 1000000; now += 333) {
		sg_ledger_settle(&l, now);
		for (uint32_t s = 0; s < 2; s++) { /* each is done with what has ended */
			for (; seen[s] < l.seat[s].grants; seen[s]++) {
				struct sg_grant g = l.seat[s].grant[seen[s] % SG_GRANTS];
				if (g.end_ns > now)
					break;
				got[s] += g.end_ns - g.start_ns;
			}
			l.seat[s].taken = seen[s];
		}
	}
	ck_assert_uint_ge(got[0], 470000);
	ck_assert_uint_ge(got[1], 470000);
	ck_assert_uint_le(got[0] + got[1], 1000000 * 1000ull / 1050 + 1100);
}
TEST_END

TEST(nothing_to_run_means_nothing_held)
{
	setup();
	sg_ledger_request(&l, 0, 0, 0);
	sg_ledger_request(&l, 1, 10, 10);
	check_owner(0, 0, 1000);
	sg_ledger_give(&l, 0, 300, 350);
	check_owner(1, 350, OPEN);
	ck_assert_uint_eq(l.seat[0].wants, 0);
}
TEST_END

TEST(who_waited_longest_is_next)
{
	setup();
	sg_ledger_request(&l, 0, 0, 0);
	sg_ledger_request(&l, 2, 20, 20);
	sg_ledger_request(&l, 1, 30, 30);
	sg_ledger_give(&l, 0, 100, 100);
	check_owner(2, 150, 1150);
	sg_ledger_settle(&l, 1150);
	check_owner(1, 1200, 2200);
	sg_ledger_settle(&l, 2200);
	check_owner(2, 2250, 3250); /* it had not given up, so it is taken to want more */
}
TEST_END

TEST(a_waiter_that_changes_its_mind_reopens_the_slice)
{
	setup();
	sg_ledger_request(&l, 0, 0, 0);
	sg_ledger_request(&l, 1, 10, 10);
	sg_ledger_give(&l, 1, 20, 20);
	sg_ledger_settle(&l, 5000);
	check_owner(0, 0, OPEN);
}
TEST_END

TEST(a_stopped_process_soon_drops_out)
{
	setup();
	sg_ledger_request(&l, 0, 0, 0); /* and never looks again */
	sg_ledger_request(&l, 1, 0, 1);
	uint64_t seen = 0;
	for (uint64_t now = 1; now < 50000; now += 100) {
		sg_ledger_settle(&l, now);
		while (seen < l.seat[1].grants && l.seat[1].grant[seen % SG_GRANTS].end_ns <= now)
			seen++;
		l.seat[1].taken = seen;
	}
	ck_assert_uint_eq(l.owner, 1);
	ck_assert_uint_le(l.seat[0].grants, SG_GRANTS - 1);
	ck_assert_uint_eq(last(1).end_ns, OPEN);
	sg_ledger_request(&l, 0, 50000, 50000); /* it continues, and has its share again */
	ck_assert_uint_ne(last(1).end_ns, OPEN);
	sg_ledger_settle(&l, last(1).end_ns);
	ck_assert_uint_eq(l.owner, 0);
}
TEST_END

TEST(the_dead_hold_nothing)
{
	setup();
	sg_ledger_request(&l, 0, 0, 0);
	sg_ledger_request(&l, 1, 10, 10);
	sg_ledger_vacate(&l, 0, 400);
	check_owner(1, 450, OPEN);
	ck_assert_uint_eq(l.seat[0].grants, 0);
	sg_ledger_request(&l, 2, 500, 500);
	sg_ledger_vacate(&l, 2, 600); /* a waiter that dies */
	sg_ledger_settle(&l, 9000);
	check_owner(1, 450, OPEN);
}
TEST_END

TEST(copy_engines_are_first_come_first_served)
{
	setup();
	ck_assert_uint_eq(sg_ledger_copy(&l, SG_COPY_D2D, 100, 50), 100);
	ck_assert_uint_eq(sg_ledger_copy(&l, SG_COPY_D2D, 100, 500), 100); /* the second engine */
	ck_assert_uint_eq(sg_ledger_copy(&l, SG_COPY_D2D, 110, 50), 150);
	ck_assert_uint_eq(sg_ledger_copy(&l, SG_COPY_D2D, 110, 50), 200);
	ck_assert_uint_eq(sg_ledger_copy(&l, SG_COPY_D2D, 900, 50), 900);
}
TEST_END

TEST(copies_in_one_direction_share_the_link)
{
	setup();
	ck_assert_uint_eq(sg_ledger_copy(&l, SG_COPY_H2D, 100, 500), 100);
	ck_assert_uint_eq(sg_ledger_copy(&l, SG_COPY_D2H, 100, 100), 100); /* the other way */
	ck_assert_uint_eq(sg_ledger_copy(&l, SG_COPY_H2D, 100, 100), 600); /* an engine is free */
	ck_assert_uint_eq(sg_ledger_copy(&l, SG_COPY_H2H, 100, 100), 700); /* both ways */
	ck_assert_uint_eq(sg_ledger_copy(&l, SG_COPY_D2H, 100, 100), 800);
}
TEST_END

TESTS("software GPU: sharing ledger", alone_the_device_is_free_of_charge,
      a_waiter_ends_the_slice_at_its_boundary, a_request_in_the_past_does_not_take_back_used_time,
      two_that_saturate_get_equal_slices, nothing_to_run_means_nothing_held,
      who_waited_longest_is_next, a_waiter_that_changes_its_mind_reopens_the_slice,
      a_stopped_process_soon_drops_out, the_dead_hold_nothing,
      copy_engines_are_first_come_first_served, copies_in_one_direction_share_the_link)
