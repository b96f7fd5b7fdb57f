// SPDX-License-Identifier: Apache-2.0
/* test_agent.c: around the CUPTI agent: whom the daemon asks for true GPU times, when; how records
 * that were lost on the way are counted; what the kernel-time model calls a kernel. */
#include "tests/unit/arbiter_rig.h"

#include "common/kmodel.h"
#include "common/ring.h"

static unsigned rings;

static void count_ring(struct rein_arbiter_client *c)
{
	rings++;
}

static bool asked(const struct party *p)
{
	return rein_load_acquire(&p->control.flags) & REIN_CONTROL_CUPTI;
}

/* While events are recorded: whose class says so, and who is named. */
TEST(who_is_asked_for_gpu_times)
{
	const struct rein_arbiter_params by_class = {
	    .weight = 1, .backlog_launches = 1, .backlog_ns = 1, .cupti = true};
	char why[160];
	start(&rein_policy_prio);
	a->ring = count_ring;
	struct party *x = join("x", 0, "A"), *y = join("y", 0, "A"), *old = join("old", 0, "A");
	x->c.traceable = y->c.traceable = true; /* old has no rings */
	ck_assert_int_eq(rein_arbiter_set(a, &x->c, &by_class, now_ns, why, sizeof(why)), 0);
	rein_arbiter_set_cupti(a, UINT32_MAX);
	ck_assert(!asked(x) && !asked(y) && !asked(old)); /* nobody records it */
	ck_assert_uint_eq(rings, 0);
	rein_arbiter_set_traced(a, true, now_ns);
	ck_assert(asked(x) && asked(y) && !asked(old));
	ck_assert_uint_eq(rings, 2); /* so that they look */
	rein_arbiter_set_cupti(a, 0);
	ck_assert(asked(x) && !asked(y));
	rein_arbiter_set_cupti(a, y->c.policy.id);
	ck_assert(asked(x) && asked(y));
	rein_arbiter_set_cupti(a, y->c.policy.id);
	ck_assert_uint_eq(rings, 4); /* nothing changed */
	rein_arbiter_set_traced(a, false, now_ns);
	ck_assert(!asked(x) && !asked(y));
	ck_assert_uint_eq(rings, 6);
	leave(x), leave(y), leave(old);
	rein_arbiter_free(a);
}
TEST_END

/* ---------------------------------------------------------------- what is lost */

static struct rein_ring_area area;

static void put(uint64_t begin)
{
	const uint64_t word[8] = {1, REIN_TRACE_GPU, begin, begin, 0, 0, 0, 0};
	rein_ring_put(&area, 0, word);
}

TEST(skipped_numbers_are_lost_and_nothing_else)
{
	static struct rein_trace_record got[REIN_RING_CELLS];
	struct rein_ring_cursor cursor = {0};
	uint64_t lost = 0;
	for (int lap = 0; lap < 3; lap++) { /* over the end of the ring, where old records stand */
		for (uint64_t i = 0; i < 1000; i++)
			put(i);
		rein_ring_skip(&area, 0, 700);
		put(5000);
		unsigned n = rein_ring_read(&area, 0, &cursor, got, REIN_RING_CELLS, false, &lost);
		ck_assert_uint_eq(n, 1001);
		ck_assert_uint_eq(got[999].begin, 999);
		ck_assert_uint_eq(got[1000].begin, 5000);
		ck_assert_uint_eq(lost, 700u * (unsigned)(lap + 1));
	}
	rein_ring_skip(&area, 0, 1000000); /* more than a ring holds */
	put(1);
	lost = 0;
	ck_assert_uint_eq(rein_ring_read(&area, 0, &cursor, got, REIN_RING_CELLS, false, &lost), 1);
	ck_assert_uint_eq(lost, 1000000);
}
TEST_END

TEST(a_gpu_record_has_its_key)
{
	struct rein_trace_record r = {.kind = REIN_TRACE_GPU, .func = 77};
	ck_assert_uint_eq(rein_trace_key(&r), 77);
}
TEST_END

/* ---------------------------------------------------------------- names */

static const char *name_of(const struct rein_kmodel *m, uint64_t key)
{
	static struct rein_kmodel_entry e;
	for (unsigned i = 0; i < REIN_KMODEL_ROWS; i++)
		if (rein_kmodel_read(m, i, &e) && e.key == key)
			return e.name;
	return NULL;
}

TEST(a_kernel_is_named_once)
{
	static struct rein_kmodel m;
	rein_kmodel_sample(&m, 5, 100, NULL); /* by an event, which knows no names */
	ck_assert_str_eq(name_of(&m, 5), "");
	rein_kmodel_name(&m, 5, "gemm");
	rein_kmodel_name(&m, 5, "another");
	ck_assert_str_eq(name_of(&m, 5), "gemm");
	ck_assert_uint_eq(rein_kmodel_samples(&m, 5), 1);
	rein_kmodel_name(&m, 6, "never timed");
	ck_assert_str_eq(name_of(&m, 6), "never timed");
	ck_assert_uint_eq(rein_kmodel_samples(&m, 6), 0);
	rein_kmodel_sample(&m, 6, 100, "late");
	ck_assert_str_eq(name_of(&m, 6), "never timed");
}
TEST_END

TESTS("around the agent", who_is_asked_for_gpu_times, skipped_numbers_are_lost_and_nothing_else,
      a_gpu_record_has_its_key, a_kernel_is_named_once)
