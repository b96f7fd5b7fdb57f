// SPDX-License-Identifier: Apache-2.0
/* The queue gate's points: where they are put and where not, what they prove, who opens them. */
#include "tests/unit/point_rig.h"

/* ---------------------------------------------------------------- where */

TEST(nobody_urgent_no_memory_operation)
{
	start();
	set_gate(REIN_GATE_OPEN, 0);
	launch_n(stream, 1000, 1);
	hook_cuStreamSynchronize(stream);
	rein_store_relaxed(&REIN_CONTROL->verdict[0].point_ns, 0);
	rein_store_relaxed(&REIN_CONTROL->verdict[0].backlog_ns, REIN_S);
	set_gate(REIN_GATE_METERED, 0);
	learn(1, REIN_US);
	launch_n(stream, 10, 1);
	ck_assert_uint_eq(memops + registered, 0);
	ck_assert_uint_eq(rein_load_relaxed(&REIN_STATUS->points), 0);
}
TEST_END

TEST(every_q_of_work_before_the_next_submission)
{
	start();
	learn(1, 30 * REIN_US);
	launch_n(stream, 10, 1);
	ck_assert_uint_eq(memops, 3);
	for (unsigned i = 0; i < memops; i++) {
		const struct memop *m = &memop[i];
		ck_assert_ptr_eq(m->stream, stream);
		ck_assert_uint_eq(m->behind, 3 * (i + 1)); /* 3 × 30 fit into q */
		ck_assert_int_eq(m->op[0].operation, CU_STREAM_MEM_OP_WRITE_VALUE_32);
		ck_assert_uint_eq(m->op[0].writeValue.value, 3 * (i + 1));
		ck_assert_int_eq(m->op[1].operation, CU_STREAM_MEM_OP_WAIT_VALUE_32);
		ck_assert_uint_eq(m->op[1].waitValue.flags, CU_STREAM_WAIT_VALUE_AND);
		ck_assert_uint_eq(m->op[1].waitValue.value, 1);
		/* the daemon's store is seen where the GPU looks */
		rein_a32 *seen = (rein_a32 *)(uintptr_t)m->op[1].waitValue.address;
		rein_store_release(&points->open, i % 2);
		ck_assert_uint_eq(rein_load_acquire(seen), i % 2);
	}
	ck_assert_uint_eq(registered, 1);
	ck_assert_uint_eq(rein_load_relaxed(&REIN_STATUS->points), 3);
}
TEST_END

TEST(before_each_kernel_that_is_long_or_unknown)
{
	start();
	learn(2, REIN_MS);
	launch_n(stream, 5, 2);
	ck_assert_uint_eq(memops, 5);
	rein_store_release(&fake_kernel_ns, 0); /* the driver's events tell nothing */
	launch_n(stream, 5, 7);
	ck_assert_uint_eq(memops, 10);
}
TEST_END

TEST(a_deep_queue_needs_no_room)
{
	start();
	learn(1, 30 * REIN_US);
	launch_n(stream, 1000, 1);
	ck_assert_uint_eq(fake_depth_max, 1000);
	ck_assert_uint_eq(waits(), 0);
	finish(stream);
	ck_assert_int_eq(hook_cuStreamSynchronize(stream), CUDA_SUCCESS);
	ck_assert(!active());
}
TEST_END

TEST(each_stream_has_its_own)
{
	CUstream other;
	start();
	other = new_stream(0);
	learn(1, 30 * REIN_US);
	for (unsigned i = 0; i < 4; i++) {
		launch_n(stream, 1, 1);
		launch_n(other, 1, 1);
	}
	ck_assert_uint_eq(memops, 2);
	ck_assert_ptr_eq(memop[0].stream, stream);
	ck_assert_ptr_eq(memop[1].stream, other);
	ck_assert_uint_ne(memop[0].op[0].writeValue.address, memop[1].op[0].writeValue.address);
	ck_assert_uint_eq(memop[0].op[1].waitValue.address, memop[1].op[1].waitValue.address);
}
TEST_END

TEST(what_no_point_stands_behind_is_summed_over_streams)
{
	CUstream s[41];
	pthread_t thread;
	start();
	learn(1, Q_NS);
	for (unsigned i = 0; i < 41; i++)
		s[i] = new_stream(CU_STREAM_NON_BLOCKING);
	for (unsigned i = 0; i < 40; i++)
		launch_n(s[i], 1, 1);
	ck_assert_uint_eq(waits(), 0);
	pthread_create(&thread, NULL, launch_one, s[40]);
	usleep(20000);
	ck_assert_uint_eq(given(s[40]), 0);
	finish(s[3]);
	hook_cuStreamSynchronize(s[3]); /* one has drained */
	pthread_join(thread, NULL);
	ck_assert_uint_eq(given(s[40]), 1);
	ck_assert_uint_eq(waits(), 1);
	ck_assert(somebody_waits(NULL));
	ck_assert_uint_eq(rein_load_relaxed(&REIN_STATUS->total.lapses), 0);
}
TEST_END

TEST(a_point_makes_room)
{
	CUstream s[40];
	start();
	learn(1, Q_NS);
	for (unsigned i = 0; i < 40; i++)
		launch_n(s[i] = new_stream(0), 1, 1);
	for (unsigned round = 0; round < 3; round++)
		for (unsigned i = 0; i < 40; i++)
			launch_n(s[i], 1, 1);
	ck_assert_uint_eq(waits(), 0);
	ck_assert_uint_eq(memops, 120);
}
TEST_END

TEST(work_of_before_gets_a_point_behind_it)
{
	start();
	set_gate(REIN_GATE_OPEN, 0);
	launch_n(stream, 50, 1);
	learn(1, REIN_US);
	set_gate(REIN_GATE_METERED, 0);
	launch_n(stream, 5, 1);
	ck_assert_uint_eq(waits(), 0);
	ck_assert_uint_eq(memops, 1);
	ck_assert_uint_eq(memop[0].behind, 50);
}
TEST_END

TEST(none_in_a_capture)
{
	CUgraph graph;
	start();
	hook_cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL);
	learn(1, REIN_MS);
	launch_n(stream, 10, 1);
	ck_assert_uint_eq(memops + registered, 0);
	hook_cuStreamEndCapture(stream, &graph);
	launch_n(stream, 2, 1);
	ck_assert_uint_eq(memops, 2);
}
TEST_END

TEST(none_between_a_dependent_pair)
{
	start();
	learn(1, 60 * REIN_US);
	launch_n(stream, 1, 1);
	uint32_t records = fake_records; /* it may be a sample */
	for (unsigned i = 0; i < 4; i++)
		launch_dependent(true);
	ck_assert_uint_eq(memops, 0);
	ck_assert_uint_eq(fake_records, records);
	launch_dependent(false);
	ck_assert_uint_eq(memops, 1);
	ck_assert_uint_eq(memop[0].behind, 5);
}
TEST_END

TEST(default_streams_by_their_names)
{
	start();
	learn(1, REIN_MS);
	launch_n(NULL, 1, 1);
	hook_cuLaunchKernel_ptsz((CUfunction)0x1000, 1, 1, 1, 32, 1, 1, 0, NULL, NULL, NULL);
	ck_assert_uint_eq(memops, 2);
	ck_assert_ptr_eq(memop[0].stream, CU_STREAM_LEGACY);
	ck_assert_ptr_eq(memop[1].stream, CU_STREAM_PER_THREAD);
	ck_assert_uint_ne(memop[0].op[0].writeValue.address, memop[1].op[0].writeValue.address);
}
TEST_END

TEST(a_refused_launch_leaves_no_reservation)
{
	start();
	learn(1, 60 * REIN_US);
	fake_launch_result = CUDA_ERROR_INVALID_VALUE;
	for (unsigned i = 0; i < 200; i++)
		launch(stream);
	fake_launch_result = CUDA_SUCCESS;
	ck_assert_uint_eq(memops, 0);
	ck_assert_uint_eq(waits(), 0);
	ck_assert(!active());
}
TEST_END

/* ---------------------------------------------------------------- what they prove */

TEST(progress_completes_what_stood_before)
{
	start();
	learn(1, REIN_MS);
	launch_n(stream, 3, 1);
	ck_assert_uint_eq(memops, 3);
	struct rein_row *row = rein_row_seek(stream, 0);
	rein_a32 *progress = (rein_a32 *)(uintptr_t)memop[2].op[0].writeValue.address;
	rein_point_look();
	ck_assert_uint_eq(rein_load_relaxed(&row->completed), 0);
	rein_store_release(progress, 2);
	rein_point_look();
	ck_assert_uint_eq(rein_load_relaxed(&row->completed), 2);
	rein_store_release(progress, 1); /* never back */
	rein_point_look();
	rein_store_release(progress, 77); /* and never beyond what was given */
	rein_point_look();
	ck_assert_uint_eq(rein_load_relaxed(&row->completed), 2);
}
TEST_END

/* ---------------------------------------------------------------- who opens */

TEST(the_warden_opens_when_the_lease_has_lapsed)
{
	start();
	close_points(60 * REIN_S);
	ck_assert(rein_point_closed());
	ck_assert_int_le(rein_point_watch(2000), 60);
	ck_assert(rein_point_closed());
	close_points(0);
	rein_point_watch(2000);
	ck_assert(!rein_point_closed());
	ck_assert_uint_eq(rein_load_relaxed(&points->open), 1);
	rein_store_relaxed(&REIN_CONTROL->verdict[0].point_ns, 0);
	ck_assert_int_eq(rein_point_watch(2000), 2000);
}
TEST_END

TEST(the_warden_wakes_when_the_lease_lapses)
{
	start();
	close_points(10 * REIN_MS);
	ck_assert_int_le(rein_point_watch(2000), 11);
}
TEST_END

TEST(another_daemon_another_word)
{
	start();
	learn(1, REIN_MS);
	launch_n(stream, 1, 1);
	rein_a32 *old = (rein_a32 *)(uintptr_t)memop[0].op[1].waitValue.address;
	close_points(60 * REIN_S);
	rein_point_leave();
	ck_assert_uint_eq(rein_load_relaxed(old), 1);
	ck_assert(!rein_point_closed());
	set_gate(REIN_GATE_METERED, 0);
	rein_store_release(old, 0); /* it was only stopped, and wrote what it still had in mind */
	rein_point_watch(2000);
	ck_assert_uint_eq(rein_load_relaxed(old), 1);
	join();
	launch_n(stream, 1, 1);
	ck_assert_uint_eq(registered, 2);
	rein_store_release(&points->open, 0);
	rein_a32 *now = (rein_a32 *)(uintptr_t)memop[1].op[1].waitValue.address;
	ck_assert_uint_eq(rein_load_relaxed(now), 0);
	ck_assert_uint_eq(rein_load_relaxed(old), 1);
}
TEST_END

static unsigned kept_open;
static CUresult destroy_and_look(CUcontext ctx)
{
	kept_open = rein_load_relaxed(&points->keep_open) & rein_load_relaxed(&points->open);
	return CUDA_SUCCESS;
}

TEST(a_context_ends_with_its_points_open)
{
	start();
	real.cuCtxDestroy_v2 = destroy_and_look;
	learn(1, REIN_MS);
	launch_n(stream, 2, 1);
	close_points(60 * REIN_S);
	ck_assert_int_eq(hook_cuCtxDestroy_v2(fake_context(0)), CUDA_SUCCESS);
	ck_assert_uint_eq(kept_open, 1);
	ck_assert_uint_eq(rein_load_relaxed(&points->keep_open), 0);
	set_gate(REIN_GATE_METERED, 0);
	launch_n(new_stream(0), 1, 1); /* a handle used again is another context */
	ck_assert_uint_eq(registered, 2);
}
TEST_END

/* ---------------------------------------------------------------- what cannot be had */

TEST(a_word_of_the_drivers_is_driven_by_the_warden)
{
	start();
	register_result = CUDA_ERROR_NOT_SUPPORTED;
	learn(1, REIN_MS);
	close_points(60 * REIN_S);
	rein_store_release(&points->open, 1);
	set_gate(REIN_GATE_METERED, 0);
	launch_n(stream, 1, 1);
	ck_assert_uint_eq(allocated, 1);
	ck_assert_uint_eq(rein_load_relaxed(&points->driven), 1);
	rein_a32 *seen = (rein_a32 *)(uintptr_t)memop[0].op[1].waitValue.address;
	ck_assert_uint_eq(rein_load_relaxed(seen), 1);
	close_points(60 * REIN_S);
	rein_point_watch(2000);
	ck_assert_uint_eq(rein_load_relaxed(seen), 0);
	close_points(0);
	rein_point_watch(2000);
	ck_assert_uint_eq(rein_load_relaxed(seen), 1);
	close_points(60 * REIN_S);
	rein_point_watch(2000);
	rein_point_leave();
	ck_assert_uint_eq(rein_load_relaxed(seen), 1);
}
TEST_END

TEST(without_memory_operations_the_launch_gate_remains)
{
	start();
	ck_assert(offered());
	memop_result = CUDA_ERROR_NOT_SUPPORTED;
	learn(1, REIN_MS);
	launch_n(stream, 1, 1);
	ck_assert(!offered());
	ck_assert_uint_ge(rein_load_relaxed(&points->keep_open), 1);
	memop_result = CUDA_SUCCESS;
	finish(stream);
	launch_n(stream, 3, 1);
	ck_assert_uint_eq(memops, 0);
	ck_assert_uint_ge(fake_records, 3); /* marks */
}
TEST_END

TEST(who_shares_events_never_stops_in_the_gpu)
{
	struct fake_event event = {NULL, 0, 0};
	CUipcEventHandle handle;
	start();
	learn(1, REIN_MS);
	launch_n(stream, 2, 1);
	close_points(60 * REIN_S);
	hook_cuIpcGetEventHandle(&handle, (CUevent)&event);
	ck_assert(!rein_point_closed());
	ck_assert(!offered());
	set_gate(REIN_GATE_METERED, 0);
	finish(stream);
	launch_n(stream, 2, 1);
	ck_assert_uint_eq(memops, 2);
}
TEST_END

TEST(until_the_warden_watches_there_are_none)
{
	start();
	rein_store_relaxed(&REIN_CONTROL->verdict[0].point_ns, 0);
	rein_point_watch(2000);
	rein_store_relaxed(&REIN_CONTROL->verdict[0].point_ns, Q_NS);
	learn(1, REIN_MS);
	launch_n(stream, 2, 1);
	ck_assert_uint_eq(memops, 0);
	rein_point_watch(2000);
	finish(stream);
	launch_n(stream, 2, 1);
	ck_assert_uint_eq(memops, 2);
}
TEST_END

TESTS("points", nobody_urgent_no_memory_operation, every_q_of_work_before_the_next_submission,
      before_each_kernel_that_is_long_or_unknown, a_deep_queue_needs_no_room,
      each_stream_has_its_own, what_no_point_stands_behind_is_summed_over_streams,
      a_point_makes_room, work_of_before_gets_a_point_behind_it, none_in_a_capture,
      none_between_a_dependent_pair, default_streams_by_their_names,
      a_refused_launch_leaves_no_reservation, progress_completes_what_stood_before,
      the_warden_opens_when_the_lease_has_lapsed, the_warden_wakes_when_the_lease_lapses,
      another_daemon_another_word, a_context_ends_with_its_points_open,
      a_word_of_the_drivers_is_driven_by_the_warden,
      without_memory_operations_the_launch_gate_remains, who_shares_events_never_stops_in_the_gpu,
      until_the_warden_watches_there_are_none)
