// SPDX-License-Identifier: Apache-2.0
/* test_preempt.c: what the preemption bench makes of times on the GPU (workloads/lib/preempt.h). */
#include "tests/harness.h"

#include <stdlib.h>

#include "workloads/lib/preempt.h"

/* Intervals in which the other program was on the GPU, and one request. */
static struct wl_preempt p;

static void request(uint64_t submitted, uint64_t begin, uint64_t end, struct wl_slice *other,
                    size_t n)
{
	struct wl_slices s = {.v = other, .n = n};
	wl_preempt_fini(&p);
	p = (struct wl_preempt){0};
	wl_preempt_add(&p, submitted, begin, end, &s);
}

static void expect(uint64_t leaves, uint64_t lower, uint64_t begin, uint64_t handover,
                   uint64_t alone, uint64_t end)
{
	const uint64_t want[] = {leaves, lower, begin, alone, handover, end};
	for (int w = 0; w < WL_PREEMPT_WHATS; w++) {
		ck_assert_uint_eq(p.sample[w].n, 1);
		ck_assert_msg(p.sample[w].v[0] == want[w], "[%d] is %lu, not %lu", w,
		              (unsigned long)p.sample[w].v[0], (unsigned long)want[w]);
	}
}

TEST(made_room_and_kept_away)
{
	struct wl_slice other[] = {{1, 100, 900}, {1, 900, 1400}, {1, 3000, 4000}};
	request(1000, 1450, 2500, other, 3);
	expect(400, 400, 450, 50, 450, 1500);
}
TEST_END

TEST(went_back_and_forth)
{
	struct wl_slice other[] = {{1, 100, 1200}, {1, 1600, 2100}, {1, 2600, 3000}};
	request(1000, 1300, 2500, other, 3);
	expect(200, 1100, 300, 100, 1100, 1500);
}
TEST_END

TEST(side_by_side)
{
	struct wl_slice other[] = {{1, 100, 9000}};
	request(1000, 1010, 2000, other, 1);
	expect(10, 1000, 10, 0, 1000, 1000);
}
TEST_END

TEST(nobody_else)
{
	struct wl_slice other[] = {{1, 100, 900}, {1, 2000, 3000}};
	request(1000, 1005, 2000, other, 2);
	expect(0, 0, 5, 5, 5, 1000);
	request(1000, 990, 995, other, 2); /* two clocks that differ a little */
	expect(0, 0, 0, 0, 0, 0);
}
TEST_END

TESTS("preempt", made_room_and_kept_away, went_back_and_forth, side_by_side, nobody_else)
