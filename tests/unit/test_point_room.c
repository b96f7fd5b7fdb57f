// SPDX-License-Identifier: Apache-2.0
/* What waits for room under the queue gate, behind which points, and what that proves. */
#include "tests/unit/point_rig.h"

static uint64_t lapses(void)
{
	return rein_load_acquire(&REIN_STATUS->total.lapses);
}

static rein_a32 gpu_ends;

/* A GPU that gets its work done. */
static void *gpu_main(void *unused)
{
	struct fake_stream *s = fake_stream_of(stream);
	while (!rein_load_acquire(&gpu_ends)) {
		usleep(1000);
		rein_store_release(&s->done, rein_load_seqcst(&s->given));
	}
	return NULL;
}

/* A kernel of unknown length counts as the whole backlog, so it has to wait until what is behind
 * the last point has ended; and as it may overlap that, no point is put before it. */
TEST(a_dependent_kernel_of_unknown_length_waits_for_the_drain_only)
{
	pthread_t gpu;
	start();
	learn(1, 60 * REIN_US);
	launch_n(stream, 1, 1);
	rein_backlog_patience_ns = REIN_S;
	ck_assert_int_eq(pthread_create(&gpu, NULL, gpu_main, NULL), 0);
	for (uintptr_t i = 0; i < 5; i++)
		launch_dependent_of((CUfunction)(0x7770 + i), true);
	rein_store_release(&gpu_ends, 1);
	pthread_join(gpu, NULL);
	ck_assert_uint_eq(lapses(), 0);
	ck_assert_uint_eq(memops, 0);
}
TEST_END

/* A known one too: nobody asks about a stream that a mark tells of. */
static void *launch_dependent_one(void *unused)
{
	launch_dependent(true);
	return NULL;
}

TEST(a_dependent_kernel_that_waits_leaves_a_mark_before_it)
{
	pthread_t thread;
	start();
	uint32_t records;
	learn(1, 60 * REIN_US);
	learn(2, REIN_US);
	do {
		records = fake_records;
		launch_n(stream, 1, 2);
	} while (fake_records != records); /* it was a sample */
	rein_store_relaxed(&REIN_CONTROL->verdict[0].backlog_ns, 50 * REIN_US);
	uint64_t before = given(stream);
	ck_assert_int_eq(pthread_create(&thread, NULL, launch_dependent_one, NULL), 0);
	for (int i = 0; i < 5000 && fake_records == records; i++)
		usleep(100);
	ck_assert_uint_eq(fake_records, records + 1);
	finish(stream);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(given(stream), before + 1);
	ck_assert_uint_eq(lapses(), 0);
}
TEST_END

static bool waits_for_room(CUstream s)
{
	struct rein_row *row = rein_row_seek(s, 0);
	for (int i = 0; i < 5000 && !rein_load_seqcst(&row->waiting); i++)
		usleep(100);
	return rein_load_seqcst(&row->waiting);
}

static void *launch_long(void *s)
{
	launch_n(s, 1, 2);
	return NULL;
}

static void finish_one(CUstream s)
{
	finish(s);
	hook_cuStreamSynchronize(s);
}

/* What it will put a point behind is not behind one yet. */
TEST(who_waits_with_a_point_gives_no_room_to_others)
{
	CUstream s[3];
	pthread_t thread[2];
	start();
	rein_store_relaxed(&REIN_CONTROL->verdict[0].backlog_ns, 150 * REIN_US);
	learn(1, 60 * REIN_US);
	learn(2, 95 * REIN_US);
	for (int i = 0; i < 3; i++)
		s[i] = new_stream(CU_STREAM_NON_BLOCKING);
	launch_n(s[0], 1, 1);
	launch_n(s[1], 1, 1);
	pthread_create(&thread[0], NULL, launch_long, s[1]);
	ck_assert(waits_for_room(s[1]));
	pthread_create(&thread[1], NULL, launch_one, s[2]);
	usleep(20000);
	ck_assert_uint_eq(given(s[2]), 0); /* 2 × 60, and 60 more */
	bool over[2] = {false, false};
	while (!over[0] ||
	       !over[1]) { /* either may get the room first, and keep it from the other */
		for (int i = 0; i < 3; i++)
			finish_one(s[i]);
		for (int i = 0; i < 2; i++)
			over[i] = over[i] || pthread_tryjoin_np(thread[i], NULL) == 0;
		usleep(1000);
	}
}
TEST_END

/* What waits for another stream's work, or never ends, is given up on once and not again for each
 * submission to that other stream. */
TEST(a_stream_that_stands_still_does_not_keep_the_others_for_ever)
{
	CUstream other;
	start();
	rein_backlog_patience_ns = 20 * REIN_MS;
	rein_store_release(&fake_kernel_ns, 0);
	other = new_stream(CU_STREAM_NON_BLOCKING);
	launch_n(stream, 1, 7); /* of unknown length */
	learn(1, REIN_US);
	launch_n(other, 20, 1);
	ck_assert_uint_eq(given(other), 20);
	ck_assert_uint_eq(lapses(), 1);
}
TEST_END

TEST(a_launch_whose_attributes_are_missing_is_the_drivers_to_refuse)
{
	CUlaunchConfig config = {.gridDimX = 1, .hStream = stream, .numAttrs = 1};
	start();
	config.hStream = stream;
	ck_assert_int_eq(hook_cuLaunchKernelEx(&config, (CUfunction)0x1000, NULL, NULL), 0);
}
TEST_END

/* Another thread's launch, after it was decided where the event goes: that may be elsewhere. */
static rein_a32 comes_between;

static CUresult current_between(CUcontext *out)
{
	if (rein_swap_seqcst(&comes_between, 0))
		launch_n(stream, 1, 1);
	*out = fake_context(0);
	return CUDA_SUCCESS;
}

TEST(an_event_proves_what_had_returned_before_its_place_was_chosen)
{
	struct fake_event event = {NULL, 0, 0};
	start();
	learn(1, REIN_US);
	set_gate(REIN_GATE_SLICED, 0);
	launch_n(stream, 1, 1);
	real.cuCtxGetCurrent = current_between;
	rein_store_release(&comes_between, 1);
	hook_cuEventRecord((CUevent)&event, stream);
	ck_assert_uint_eq(given(stream), 2);
	hook_cuEventSynchronize((CUevent)&event);
	ck_assert_uint_eq(rein_load_relaxed(&rein_row_seek(stream, 0)->completed), 1);
}
TEST_END

TESTS("room behind points", a_dependent_kernel_of_unknown_length_waits_for_the_drain_only,
      a_dependent_kernel_that_waits_leaves_a_mark_before_it,
      who_waits_with_a_point_gives_no_room_to_others,
      a_stream_that_stands_still_does_not_keep_the_others_for_ever,
      a_launch_whose_attributes_are_missing_is_the_drivers_to_refuse,
      an_event_proves_what_had_returned_before_its_place_was_chosen)
