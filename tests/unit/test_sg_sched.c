// SPDX-License-Identifier: Apache-2.0
/* The SM scheduler in virtual time: durations, waves, priorities, co-running, freezing. */
#include <string.h>

#include "softgpu/sched.h"
#include "tests/harness.h"

static struct sg_model model; /* 4 SMs × 4 blocks of 256 threads: 16 slots for small blocks */
static struct sg_sched sched;

static void setup(void)
{
	memset(&model, 0, sizeof(model));
	model.sms = 4;
	model.blocks_per_sm = 4;
	model.threads_per_sm = 1024;
	model.shared_per_sm = 64 * 1024;
	model.registers_per_sm = 65536;
	ck_assert_int_eq(sg_sched_init(&sched, &model), 0);
	sg_sched_resume(&sched, 0);
}

static struct sg_kernel kernel(uint64_t ready_ns, uint64_t blocks, uint32_t threads,
                               uint64_t solo_ns)
{
	return (struct sg_kernel){
	    .ready_ns = ready_ns, .blocks = blocks, .block_threads = threads, .solo_ns = solo_ns};
}

TEST(alone_takes_its_time)
{
	setup();
	/* one block, exactly one wave, a bit over one wave, many waves */
	const uint64_t blocks[] = {1, 16, 17, 1000003};
	uint64_t start = 100;
	for (int i = 0; i < 4; i++) {
		struct sg_kernel k = kernel(start, blocks[i], 256, 1000001);
		sg_sched_add(&sched, &k);
		ck_assert_uint_eq(sg_sched_wants_ns(&sched), start);
		ck_assert_ptr_null(sg_sched_advance(&sched, start + 1000000));
		ck_assert_ptr_eq(sg_sched_advance(&sched, SG_NEVER - 1), &k);
		ck_assert_uint_eq(k.start_ns, start);
		ck_assert_uint_eq(k.end_ns, start + 1000001);
		ck_assert_uint_eq(sg_sched_wants_ns(&sched), SG_NEVER);
		start = k.end_ns;
	}
	ck_assert_uint_eq(sched.busy_ns, 4 * 1000001);
	sg_sched_fini(&sched);
}
TEST_END

TEST(wake_does_not_come_for_every_wave)
{
	setup();
	struct sg_kernel k = kernel(0, 160000, 256, 10000000); /* 10000 waves */
	sg_sched_add(&sched, &k);
	ck_assert_ptr_null(sg_sched_advance(&sched, 0));
	int wakes = 0;
	while (!sg_sched_advance(&sched, sg_sched_wake_ns(&sched)))
		ck_assert_int_lt(++wakes, 5);
	ck_assert_uint_eq(k.end_ns, 10000000);
	sg_sched_fini(&sched);
}
TEST_END

TEST(two_that_fit_run_together)
{
	setup();
	struct sg_kernel a = kernel(0, 8, 256, 1000), b = kernel(10, 8, 256, 500);
	sg_sched_add(&sched, &a);
	sg_sched_add(&sched, &b);
	ck_assert_ptr_eq(sg_sched_advance(&sched, 5000), &b);
	ck_assert_uint_eq(b.start_ns, 10);
	ck_assert_uint_eq(b.end_ns, 510);
	ck_assert_ptr_eq(sg_sched_advance(&sched, 5000), &a);
	ck_assert_uint_eq(a.end_ns, 1000);
	sg_sched_fini(&sched);
}
TEST_END

TEST(two_that_do_not_fit_take_turns)
{
	setup();
	struct sg_kernel a = kernel(0, 16, 256, 1000), b = kernel(10, 16, 256, 500);
	sg_sched_add(&sched, &a);
	sg_sched_add(&sched, &b);
	ck_assert_ptr_eq(sg_sched_advance(&sched, 5000), &a);
	ck_assert_ptr_eq(sg_sched_advance(&sched, 5000), &b);
	ck_assert_uint_eq(b.start_ns, 1000);
	ck_assert_uint_eq(b.end_ns, 1500);
	sg_sched_fini(&sched);
}
TEST_END

TEST(every_resource_limits)
{
	setup();
	ck_assert_uint_eq(sg_model_blocks_per_sm(&model, 32, 0, 0), 4);
	ck_assert_uint_eq(sg_model_blocks_per_sm(&model, 257, 0, 0), 3);
	ck_assert_uint_eq(sg_model_blocks_per_sm(&model, 1024, 0, 0), 1);
	ck_assert_uint_eq(sg_model_blocks_per_sm(&model, 32, 40 * 1024, 0), 1);
	ck_assert_uint_eq(sg_model_blocks_per_sm(&model, 32, 80 * 1024, 0), 0);
	ck_assert_uint_eq(sg_model_blocks_per_sm(&model, 256, 0, 121), 2);
	/* 8 blocks that need a whole SM's shared memory each: two waves */
	struct sg_kernel k = kernel(0, 8, 32, 1000), tiny = kernel(0, 4, 32, 10);
	k.shared_bytes = 64 * 1024;
	sg_sched_add(&sched, &k);
	sg_sched_add(&sched, &tiny);
	ck_assert_uint_eq(k.waves, 2);
	/* threads and slots are free, but all blocks of k go first */
	ck_assert_ptr_eq(sg_sched_advance(&sched, 5000), &tiny);
	ck_assert_uint_eq(tiny.start_ns, 500);
	ck_assert_ptr_eq(sg_sched_advance(&sched, 5000), &k);
	ck_assert_uint_eq(k.end_ns, 1000);
	sg_sched_fini(&sched);
}
TEST_END

TEST(urgent_blocks_go_first)
{
	setup();
	struct sg_kernel low = kernel(0, 64, 256, 4000); /* 4 waves of 1000 */
	struct sg_kernel late = kernel(100, 16, 256, 500), high = kernel(200, 16, 256, 500);
	high.priority = -1;
	sg_sched_add(&sched, &low);
	sg_sched_add(&sched, &late);
	sg_sched_add(&sched, &high);
	ck_assert_ptr_eq(sg_sched_advance(&sched, SG_NEVER - 1), &high);
	ck_assert_uint_eq(high.start_ns,
	                  1000); /* at the first wave's end: nothing is interrupted */
	ck_assert_uint_eq(high.end_ns, 1500);
	ck_assert_ptr_eq(sg_sched_advance(&sched, SG_NEVER - 1), &low);
	ck_assert_uint_eq(low.end_ns, 4500);
	ck_assert_ptr_eq(sg_sched_advance(&sched, SG_NEVER - 1), &late);
	ck_assert_uint_eq(late.end_ns, 5000);
	sg_sched_fini(&sched);
}
TEST_END

TEST(frozen_keeps_what_remains)
{
	setup();
	struct sg_kernel k = kernel(0, 32, 256, 2000);
	sg_sched_add(&sched, &k);
	ck_assert_ptr_null(sg_sched_advance(&sched, 300));
	sg_sched_freeze(&sched, 300);
	ck_assert_ptr_null(sg_sched_advance(&sched, 1000000));
	ck_assert_uint_eq(sg_sched_wake_ns(&sched), SG_NEVER);
	ck_assert_uint_eq(sg_sched_wants_ns(&sched), 300);
	sg_sched_resume(&sched, 5300);
	ck_assert_ptr_null(sg_sched_advance(&sched, 6999));
	ck_assert_ptr_eq(sg_sched_advance(&sched, 7000), &k);
	ck_assert_uint_eq(k.end_ns, 7000);
	ck_assert_uint_eq(sched.busy_ns, 2000);
	sg_sched_fini(&sched);
}
TEST_END

TEST(unknown_duration_stalls_the_clock)
{
	setup();
	struct sg_kernel unknown = kernel(50, 16, 256, 0), next = kernel(60, 16, 256, 100);
	sg_sched_add(&sched, &unknown);
	sg_sched_add(&sched, &next);
	ck_assert_ptr_null(sg_sched_advance(&sched, 100000));
	ck_assert_uint_eq(sg_sched_wake_ns(&sched), SG_NEVER);
	sg_sched_set_solo(&sched, &unknown, 1000);
	ck_assert_ptr_eq(sg_sched_advance(&sched, 100000), &unknown);
	ck_assert_uint_eq(unknown.start_ns, 50); /* the host's delay is not the model's */
	ck_assert_uint_eq(unknown.end_ns, 1050);
	ck_assert_ptr_eq(sg_sched_advance(&sched, 100000), &next);
	ck_assert_uint_eq(next.end_ns, 1150);
	sg_sched_fini(&sched);
}
TEST_END

TEST(cooperative_waits_for_all_its_slots)
{
	setup();
	struct sg_kernel small = kernel(0, 1, 256, 1000), coop = kernel(10, 16, 256, 100);
	coop.cooperative = true;
	sg_sched_add(&sched, &small);
	sg_sched_add(&sched, &coop);
	ck_assert_ptr_eq(sg_sched_advance(&sched, 100000), &small);
	ck_assert_ptr_eq(sg_sched_advance(&sched, 100000), &coop);
	ck_assert_uint_eq(coop.start_ns, 1000);
	sg_sched_fini(&sched);
}
TEST_END

TEST(a_late_successor_starts_at_its_predecessors_end)
{
	setup();
	struct sg_kernel a = kernel(0, 16, 256, 1000);
	sg_sched_add(&sched, &a);
	ck_assert_ptr_eq(sg_sched_advance(&sched, 90000), &a); /* looked at 89 µs late */
	struct sg_kernel b = kernel(a.end_ns + 5, 16, 256, 1000);
	sg_sched_add(&sched, &b);
	ck_assert_ptr_eq(sg_sched_advance(&sched, 90000), &b);
	ck_assert_uint_eq(b.end_ns, 2005);
	sg_sched_fini(&sched);
}
TEST_END

static struct sg_kernel hungry(uint64_t ready_ns, uint64_t blocks, uint64_t solo_ns, double memory)
{
	struct sg_kernel k = kernel(ready_ns, blocks, 256, solo_ns);
	k.memory = memory;
	return k;
}

TEST(memory_bandwidth_is_shared)
{
	setup();
	/* each alone uses all of the bandwidth, on half of the slots: both take twice as long */
	struct sg_kernel a = hungry(0, 8, 1000, 1), b = hungry(0, 8, 1000, 1);
	sg_sched_add(&sched, &a);
	sg_sched_add(&sched, &b);
	struct sg_kernel *done = sg_sched_advance(&sched, 5000);
	ck_assert_uint_eq(a.end_ns, 2000);
	ck_assert_uint_eq(b.end_ns, 2000);
	ck_assert_ptr_nonnull(done);
	/* c: 600 alone, 200 beside d (at half speed: 100 done), 300 alone. d: 100 at half speed */
	struct sg_kernel c = hungry(3000, 8, 1000, 1), d = hungry(3600, 8, 100, 1);
	sg_sched_add(&sched, &c);
	sg_sched_add(&sched, &d);
	ck_assert_ptr_eq(sg_sched_advance(&sched, 9000), &d);
	ck_assert_uint_eq(d.end_ns, 3800);
	ck_assert_ptr_eq(sg_sched_advance(&sched, 9000), &c);
	ck_assert_uint_eq(c.end_ns, 4100);
	sg_sched_fini(&sched);
}
TEST_END

TEST(what_does_not_need_memory_is_not_slowed)
{
	setup();
	/* 1 + 0.5 wanted: half of b's time is stretched by 1.5; c does not use memory */
	struct sg_kernel a = hungry(0, 4, 10000, 1), b = hungry(0, 4, 1000, 0.5);
	struct sg_kernel c = hungry(0, 4, 1000, 0), d = hungry(20000, 4, 1000, 0.5);
	struct sg_kernel e = hungry(20000, 4, 1000, 0.5);
	sg_sched_add(&sched, &a);
	sg_sched_add(&sched, &b);
	sg_sched_add(&sched, &c);
	ck_assert_ptr_eq(sg_sched_advance(&sched, 19000), &c);
	ck_assert_uint_eq(c.end_ns, 1000);
	ck_assert_ptr_eq(sg_sched_advance(&sched, 19000), &b);
	ck_assert_uint_eq(b.end_ns, 1250);
	ck_assert_ptr_null(sg_sched_advance(&sched, 1250));
	ck_assert_uint_eq(sg_sched_wake_ns(&sched), 10417);
	ck_assert_ptr_eq(sg_sched_advance(&sched, 19000), &a);
	ck_assert_uint_eq(a.end_ns, 10417); /* 1250 / 1.5 = 833 done beside b */
	sg_sched_add(&sched, &d);           /* together they want just what there is */
	sg_sched_add(&sched, &e);
	ck_assert_ptr_nonnull(sg_sched_advance(&sched, 30000));
	ck_assert_uint_eq(d.end_ns, 21000);
	ck_assert_uint_eq(e.end_ns, 21000);
	sg_sched_fini(&sched);
}
TEST_END

TEST(a_freeze_keeps_what_is_stretched)
{
	setup();
	struct sg_kernel a = hungry(0, 8, 1000, 1), b = hungry(0, 8, 1000, 1);
	sg_sched_add(&sched, &a);
	sg_sched_add(&sched, &b);
	ck_assert_ptr_null(sg_sched_advance(&sched, 500));
	sg_sched_freeze(&sched, 500);
	sg_sched_resume(&sched, 10500);
	ck_assert_ptr_nonnull(sg_sched_advance(&sched, 20000));
	ck_assert_uint_eq(a.end_ns, 12000);
	ck_assert_uint_eq(b.end_ns, 12000);
	sg_sched_fini(&sched);
}
TEST_END

TESTS("software GPU: SM scheduler", memory_bandwidth_is_shared,
      what_does_not_need_memory_is_not_slowed, a_freeze_keeps_what_is_stretched,
      alone_takes_its_time, wake_does_not_come_for_every_wave, two_that_fit_run_together,
      two_that_do_not_fit_take_turns, every_resource_limits, urgent_blocks_go_first,
      frozen_keeps_what_remains, unknown_duration_stalls_the_clock,
      cooperative_waits_for_all_its_slots, a_late_successor_starts_at_its_predecessors_end)
