// SPDX-License-Identifier: Apache-2.0
/* Backlog control: how deep a metered client's queue may get, and that nothing waits for ever. */
#include "tests/harness.h"
#include "tests/unit/fake_driver.h"

#include <unistd.h>

static CUstream stream;
static rein_a32 gpu_stop;

static void start(uint64_t backlog_ns, uint32_t launches)
{
	fake_start();
	stream = new_stream(CU_STREAM_NON_BLOCKING);
	rein_store_relaxed(&REIN_CONTROL->verdict[0].backlog_ns, backlog_ns);
	rein_store_relaxed(&REIN_CONTROL->verdict[0].backlog_launches, launches);
	rein_store_relaxed(&fake_kernel_ns, REIN_MS);
	rein_backlog_patience_ns = 60 * REIN_S; /* the machine may be busy */
}

/* Completes one piece of work of `stream` after another. */
static void *gpu_main(void *unused)
{
	struct fake_stream *s = (struct fake_stream *)stream;
	while (!rein_load_acquire(&gpu_stop)) {
		usleep(50);
		if (rein_load_seqcst(&s->done) < rein_load_seqcst(&s->given))
			rein_add_seqcst(&s->done, 1);
	}
	return NULL;
}

static pthread_t gpu_start(void)
{
	pthread_t t;
	pthread_create(&t, NULL, gpu_main, NULL);
	return t;
}

static void gpu_end(pthread_t t)
{
	rein_store_release(&gpu_stop, 1);
	pthread_join(t, NULL);
}

static uint64_t waits(void)
{
	return rein_load_relaxed(&REIN_STATUS->total.backlog_waits);
}

static uint64_t lapses(void)
{
	return rein_load_relaxed(&REIN_STATUS->total.lapses);
}

static void launch_n(unsigned n, unsigned grid)
{
	for (unsigned i = 0; i < n; i++)
		ck_assert_int_eq(hook_cuLaunchKernel((CUfunction)0x1000, grid, 1, 1, 32, 1, 1, 0,
		                                     stream, NULL, NULL),
		                 CUDA_SUCCESS);
}

/* Makes a kernel's time known: `ns`. */
static void learn(unsigned grid, uint64_t ns)
{
	uint64_t key = rein_kmodel_key(0x1000, (uint32_t[]){grid, 1, 1}, (uint32_t[]){32, 1, 1}, 0);
	for (int i = 0; i < 3; i++)
		rein_kmodel_sample(&REIN_STATUS->kmodel, key, ns, NULL);
}

TEST(unmetered_never_waits_nor_marks)
{
	start(1, 1);
	launch_n(1000, 1);
	ck_assert_uint_eq(given(stream), 1000);
	ck_assert_uint_eq(fake_records, 0);
	ck_assert_uint_eq(waits(), 0);
}
TEST_END

TEST(unknown_kernel_is_the_whole_backlog)
{
	start(4 * REIN_MS, 64);
	rein_store_release(&fake_kernel_ns, 0); /* the driver's events tell nothing */
	pthread_t gpu = gpu_start();
	set_gate(REIN_GATE_METERED, 0);
	launch_n(30, 1);
	gpu_end(gpu);
	ck_assert_uint_eq(fake_depth_max, 1);
	ck_assert_uint_gt(waits(), 0);
	ck_assert_uint_eq(lapses(), 0);
}
TEST_END

TEST(backlog_ns_bounds_the_queue)
{
	start(4 * REIN_MS, 64);
	pthread_t gpu = gpu_start();
	set_gate(REIN_GATE_METERED, 0);
	learn(1, REIN_MS);
	launch_n(100, 1);
	gpu_end(gpu);
	ck_assert_uint_eq(fake_depth_max, 4);
}
TEST_END

TEST(backlog_launches_bounds_the_queue)
{
	start(REIN_S, 3);
	pthread_t gpu = gpu_start();
	set_gate(REIN_GATE_METERED, 0);
	learn(1, REIN_MS);
	launch_n(100, 1);
	gpu_end(gpu);
	ck_assert_uint_eq(fake_depth_max, 3);
}
TEST_END

TEST(long_kernel_runs_alone)
{
	start(4 * REIN_MS, 64);
	pthread_t gpu = gpu_start();
	set_gate(REIN_GATE_METERED, 0);
	learn(1, 10 * REIN_MS);
	launch_n(10, 1);
	gpu_end(gpu);
	ck_assert_uint_eq(fake_depth_max, 1);
	ck_assert_uint_eq(lapses(), 0);
}
TEST_END

static void *launch_20(void *unused)
{
	launch_n(20, 1);
	return NULL;
}

TEST(threads_share_one_backlog)
{
	pthread_t thread[3];
	start(4 * REIN_MS, 64);
	pthread_t gpu = gpu_start();
	set_gate(REIN_GATE_METERED, 0);
	learn(1, 2 * REIN_MS);
	for (int i = 0; i < 3; i++)
		pthread_create(&thread[i], NULL, launch_20, NULL);
	for (int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	gpu_end(gpu);
	ck_assert_uint_le(fake_depth_max, 2);
	ck_assert_uint_eq(given(stream), 60);
}
TEST_END

TEST(kernel_times_are_learned)
{
	uint64_t key = rein_kmodel_key(0x1000, (uint32_t[]){7, 1, 1}, (uint32_t[]){32, 1, 1}, 0);
	start(4 * REIN_MS, 64);
	pthread_t gpu = gpu_start();
	set_gate(REIN_GATE_METERED, 0);
	launch_n(20, 7);
	gpu_end(gpu);
	ck_assert_uint_eq(rein_kmodel_estimate(&REIN_STATUS->kmodel, key), REIN_MS);
	ck_assert_uint_gt(fake_depth_max, 1);
}
TEST_END

static uint64_t key_of_grid(unsigned grid)
{
	return rein_kmodel_key(0x1000, (uint32_t[]){grid, 1, 1}, (uint32_t[]){32, 1, 1}, 0);
}

/* Each launch has a mark behind it; only what is to be timed has one before it. */
TEST(well_known_kernels_are_hardly_ever_timed)
{
	enum { N = 4000, GRIDS = 8 };
	start(REIN_S, 64);
	set_gate(REIN_GATE_METERED, 0);
	for (unsigned grid = 1; grid <= GRIDS; grid++)
		for (int i = 0; i < 40; i++)
			rein_kmodel_sample(&REIN_STATUS->kmodel, key_of_grid(grid), REIN_MS, NULL);
	pthread_t gpu = gpu_start();
	for (unsigned i = 0; i < N; i++)
		launch_n(1, i % GRIDS + 1);
	gpu_end(gpu);
	ck_assert_uint_le(fake_records - N, N / 100);
	ck_assert_uint_gt(fake_records, N);
}
TEST_END

/* A loop of as many kernels as launches between two samples: all of them are timed all the same. */
TEST(kernels_in_a_loop_are_all_timed)
{
	enum { GRIDS = 8 };
	start(REIN_S, 64);
	set_gate(REIN_GATE_METERED, 0);
	pthread_t gpu = gpu_start();
	for (unsigned i = 0; i < 100 * GRIDS; i++)
		launch_n(1, i % GRIDS + 1);
	gpu_end(gpu);
	for (unsigned grid = 1; grid <= GRIDS; grid++)
		ck_assert_uint_gt(rein_kmodel_samples(&REIN_STATUS->kmodel, key_of_grid(grid)), 4);
}
TEST_END

TEST(unmetered_kernels_are_sampled_rarely)
{
	start(4 * REIN_MS, 64);
	uint64_t key = key_of_grid(1);
	for (int round = 1; round <= 3; round++) {
		launch_n(100, 1);
		rein_backlog_sample_next(rein_rows_begun());
		launch_n(50, 1);
		ck_assert_uint_eq(fake_records, 2 * round); /* one launch: before and behind it */
		rein_backlog_sample_next(rein_rows_begun());
		launch_n(49, 1);
		ck_assert_uint_eq(fake_records, 2 * round);
		finish(stream);
		(void)rein_mark_look(false);
		ck_assert_uint_eq(rein_kmodel_samples(&REIN_STATUS->kmodel, key), round);
		usleep(11000);
	}
	ck_assert_uint_eq(rein_kmodel_estimate(&REIN_STATUS->kmodel, key), REIN_MS);
	/* so when metering begins the queue may be as deep as it should */
	pthread_t gpu = gpu_start();
	set_gate(REIN_GATE_METERED, 0);
	rein_store_relaxed(&fake_depth_max, 0);
	launch_n(50, 1);
	gpu_end(gpu);
	ck_assert_uint_eq(fake_depth_max, 4);
	/* nothing else is timed, least of all in a capture */
	set_gate(REIN_GATE_OPEN, 0);
	usleep(11000);
	launch_n(200, 1);
	rein_backlog_sample_next(rein_rows_begun());
	uint32_t before = fake_records;
	CUgraph graph;
	hook_cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL);
	launch_n(5, 1);
	hook_cuStreamEndCapture(stream, &graph);
	hook_cuMemcpyHtoDAsync_v2(0, NULL, 100, stream);
	launch_n(5, 1);
	ck_assert_uint_eq(fake_records, before);
}
TEST_END

TEST(a_shared_device_teaches_upper_bounds)
{
	uint64_t key = rein_kmodel_key(0x1000, (uint32_t[]){7, 1, 1}, (uint32_t[]){32, 1, 1}, 0);
	struct fake_stream *s;
	start(4 * REIN_MS, 64);
	s = (struct fake_stream *)stream;
	set_gate(REIN_GATE_METERED, 0);
	for (int i = 0; i < 5; i++) {
		launch_n(1, 7);
		rein_add_seqcst(&REIN_BOARD->device[0].owners_gen, 2); /* shared for a moment */
		s->done = s->given;
		(void)rein_mark_look(false);
	}
	struct rein_kmodel_entry entry = {0};
	for (unsigned i = 0; i < REIN_KMODEL_ROWS && entry.key != key; i++)
		(void)rein_kmodel_read(&REIN_STATUS->kmodel, i, &entry);
	ck_assert_uint_eq(entry.count, 0); /* no sample */
	ck_assert_uint_eq(rein_kmodel_estimate(&REIN_STATUS->kmodel, key), REIN_MS);
}
TEST_END

/* A stream that waits for its host must not keep the others from going on (found in review). */
TEST(a_stuck_stream_is_written_off)
{
	CUstream other;
	start(4 * REIN_MS, 64);
	rein_backlog_patience_ns = 50 * REIN_MS;
	rein_store_release(&fake_kernel_ns, 0);
	ck_assert_int_eq(real.cuStreamCreate(&other, 0), CUDA_SUCCESS);
	set_gate(REIN_GATE_METERED, 0);
	launch_n(1, 1); /* never completes, and is the whole backlog */
	CUstream stuck = stream;
	stream = other;
	pthread_t gpu = gpu_start();
	launch_n(100, 2);
	ck_assert_uint_eq(lapses(), 1);
	ck_assert_uint_eq(given(other), 100);
	gpu_end(gpu);
	finish(stuck);
}
TEST_END

static rein_a32 end_others;

static void *launch_on(void *unused)
{
	while (!rein_load_relaxed(&end_others))
		launch_n(1, 1);
	return NULL;
}

/* Known kernels of other threads keep the backlog filled: the unknown one gets its turn all the
 * same (found in review). */
TEST(who_waits_long_goes_first)
{
	pthread_t thread[3];
	start(4 * REIN_MS, 64);
	pthread_t gpu = gpu_start();
	set_gate(REIN_GATE_METERED, 0);
	learn(1, REIN_MS);
	for (int i = 0; i < 3; i++)
		pthread_create(&thread[i], NULL, launch_on, NULL);
	for (unsigned grid = 10; grid < 15; grid++)
		launch_n(1, grid);
	rein_store_relaxed(&end_others, 1);
	for (int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	ck_assert_uint_eq(lapses(), 0);
	gpu_end(gpu);
}
TEST_END

TEST(work_from_before_metering_counts)
{
	start(4 * REIN_MS, 64);
	launch_n(50, 1);
	learn(1, REIN_MS);
	set_gate(REIN_GATE_METERED, 0);
	pthread_t gpu = gpu_start();
	launch_n(1, 1);
	/* what was there when it was let through: nothing but itself */
	ck_assert_uint_ge(rein_load_seqcst(&((struct fake_stream *)stream)->done), 50);
	gpu_end(gpu);
}
TEST_END

TEST(no_progress_ends_the_wait)
{
	start(4 * REIN_MS, 64);
	rein_backlog_patience_ns = 50 * REIN_MS;
	set_gate(REIN_GATE_METERED, 0);
	launch_n(1, 1);
	uint64_t before = rein_now_ns();
	launch_n(1, 1); /* nothing ever completes */
	ck_assert_uint_ge(rein_now_ns() - before, 50 * REIN_MS);
	ck_assert_uint_eq(lapses(), 1);
	launch_n(300, 1); /* more than there are marks: no waiting until something completes */
	ck_assert_uint_eq(lapses(), 1);
	ck_assert_uint_eq(given(stream), 302);
	finish(stream);
	rein_backlog_patience_ns = 60 * REIN_S;
	pthread_t gpu = gpu_start();
	rein_store_relaxed(&fake_depth_max, 0);
	rein_store_release(&fake_kernel_ns, 0);
	launch_n(10, 1);
	gpu_end(gpu);
	ck_assert_uint_eq(fake_depth_max, 1); /* and then the bound holds again */
}
TEST_END

static void *launch_1(void *unused)
{
	launch_n(1, 1);
	return NULL;
}

TEST(end_of_metering_ends_the_wait)
{
	pthread_t thread;
	start(4 * REIN_MS, 64);
	set_gate(REIN_GATE_METERED, 0);
	launch_n(1, 1);
	pthread_create(&thread, NULL, launch_1, NULL);
	usleep(5000);
	set_gate(REIN_GATE_OPEN, 0);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(given(stream), 2);
	ck_assert_uint_eq(lapses(), 0);
}
TEST_END

static bool is_waiting(void *unused)
{
	return demand() & REIN_DEMAND_WAITING;
}

TEST(gate_closes_while_waiting_for_room)
{
	pthread_t thread;
	start(4 * REIN_MS, 64);
	set_gate(REIN_GATE_METERED, 0);
	launch_n(1, 1);
	pthread_create(&thread, NULL, launch_1, NULL);
	usleep(2000);
	set_gate(REIN_GATE_METERED | REIN_GATE_CLOSED, 60 * REIN_S);
	ck_assert(eventually(is_waiting, NULL, 10000));
	finish(stream); /* there is room, but the gate is closed */
	usleep(2000);
	ck_assert_uint_eq(given(stream), 1);
	set_gate(REIN_GATE_METERED, 0);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(given(stream), 2);
}
TEST_END

TEST(refused_and_blocking_work_gives_its_room_back)
{
	start(4 * REIN_MS, 64);
	set_gate(REIN_GATE_METERED, 0);
	fake_launch_result = CUDA_ERROR_INVALID_VALUE;
	for (int i = 0; i < 300; i++)
		ck_assert_int_eq(launch(stream), CUDA_ERROR_INVALID_VALUE);
	fake_launch_result = CUDA_SUCCESS;
	for (int i = 0; i < 300; i++)
		hook_cuMemcpyDtoH_v2(NULL, 0, 1 << 30);
	ck_assert_uint_eq(lapses(), 0);
}
TEST_END

TEST(other_streams_share_the_backlog)
{
	CUstream other;
	start(4 * REIN_MS, 64);
	other = new_stream(0);
	learn(1, 3 * REIN_MS);
	set_gate(REIN_GATE_METERED, 0);
	rein_backlog_patience_ns = 50 * REIN_MS;
	launch(other);
	uint64_t before = rein_now_ns();
	launch(stream); /* no room beside it, and it never completes: the patience runs out */
	ck_assert_uint_ge(rein_now_ns() - before, 50 * REIN_MS);
	ck_assert_uint_eq(lapses(), 1);
}
TEST_END

TEST(copies_are_estimated_by_their_size)
{
	start(4 * REIN_MS, 64);
	set_gate(REIN_GATE_METERED, 0);
	for (int i = 0; i < 4; i++) /* 10 MB: 1 ms each */
		hook_cuMemcpyHtoDAsync_v2(0, NULL, 10000000, stream);
	ck_assert_uint_eq(waits(), 0);
	pthread_t gpu = gpu_start();
	hook_cuMemcpyHtoDAsync_v2(0, NULL, 10000000, stream);
	ck_assert_uint_eq(waits(), 1);
	gpu_end(gpu);
}
TEST_END

TEST(marks_prove_completion)
{
	start(4 * REIN_MS, 64);
	set_gate(REIN_GATE_METERED, 0);
	launch_n(1, 1);
	ck_assert(active());
	finish(stream);
	uint32_t asked = fake_queries;
	ck_assert_uint_eq(rein_mark_look(false).done, 1);
	rein_demand_try_idle();
	ck_assert(!active());
	ck_assert_uint_eq(fake_queries, asked);
}
TEST_END

TEST(destroyed_context_takes_its_marks_along)
{
	start(4 * REIN_MS, 64);
	set_gate(REIN_GATE_METERED, 0);
	launch_n(1, 1);
	ck_assert(rein_mark_pending());
	hook_cuCtxDestroy_v2(fake_context(0));
	ck_assert(!rein_mark_pending());
	ck_assert(!active());
	stream = new_stream(0);
	launch_n(1, 1);
	ck_assert_uint_eq(waits(), 0);
}
TEST_END

TESTS("backlog", unmetered_never_waits_nor_marks, unknown_kernel_is_the_whole_backlog,
      backlog_ns_bounds_the_queue, backlog_launches_bounds_the_queue, long_kernel_runs_alone,
      threads_share_one_backlog, kernel_times_are_learned, well_known_kernels_are_hardly_ever_timed,
      kernels_in_a_loop_are_all_timed, unmetered_kernels_are_sampled_rarely,
      a_shared_device_teaches_upper_bounds, a_stuck_stream_is_written_off,
      who_waits_long_goes_first, work_from_before_metering_counts, no_progress_ends_the_wait,
      end_of_metering_ends_the_wait, gate_closes_while_waiting_for_room,
      refused_and_blocking_work_gives_its_room_back, other_streams_share_the_backlog,
      copies_are_estimated_by_their_size, marks_prove_completion,
      destroyed_context_takes_its_marks_along)
