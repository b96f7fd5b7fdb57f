// SPDX-License-Identifier: Apache-2.0
/* Gates and marks beside captures: nothing of ours ever enters one, whatever happens at once. */
#include "tests/harness.h"
#include "tests/unit/fake_driver.h"

#include <unistd.h>

#define GLOBAL CU_STREAM_CAPTURE_MODE_GLOBAL

static rein_a32 inside, go_on, began;

static void hold_here(void)
{
	rein_store_release(&inside, 1);
	while (!rein_load_acquire(&go_on))
		usleep(100);
}

static bool is_inside(void *unused)
{
	return rein_load_acquire(&inside);
}

static CUresult noted_begin(CUstream s, CUstreamCaptureMode mode)
{
	rein_store_release(&began, 1);
	return fake_begin_capture(s, mode);
}

static void *begin_capture(void *s)
{
	ck_assert_int_eq(hook_cuStreamBeginCapture_v2((CUstream)s, GLOBAL), CUDA_SUCCESS);
	return NULL;
}

/* Begin-capture must not get to the driver until what `other` does in the driver has ended. */
static void begin_waits_for(pthread_t other, CUstream s)
{
	pthread_t beginner;
	ck_assert(eventually(is_inside, NULL, 20000));
	pthread_create(&beginner, NULL, begin_capture, s);
	usleep(20000);
	ck_assert(!rein_load_acquire(&began));
	rein_store_release(&go_on, 1);
	pthread_join(beginner, NULL);
	pthread_join(other, NULL);
	ck_assert(rein_load_acquire(&began));
}

static CUresult slow_query(CUstream s)
{
	hold_here();
	return fake_stream_query(s);
}

static void *look(void *unused)
{
	(void)rein_helper_look(false);
	return NULL;
}

TEST(begin_waits_for_the_helpers_question)
{
	pthread_t helper;
	fake_start();
	CUstream a = new_stream(0), b = new_stream(0);
	real.cuStreamQuery = slow_query;
	real.cuStreamBeginCapture_v2 = noted_begin;
	launch(a);
	pthread_create(&helper, NULL, look, NULL);
	begin_waits_for(helper, b);
}
TEST_END

static CUresult noted_destroy(CUstream s)
{
	rein_store_release(&began, 1);
	return CUDA_SUCCESS;
}

static CUresult noted_ctx_destroy(CUcontext ctx)
{
	rein_store_release(&began, 1);
	return CUDA_SUCCESS;
}

static void *destroy(void *s)
{
	if (s)
		hook_cuStreamDestroy_v2(s);
	else
		hook_cuCtxDestroy_v2(fake_context(0));
	return NULL;
}

static void destroying_waits(bool context)
{
	pthread_t helper, destroyer;
	fake_start();
	CUstream a = new_stream(0), b = new_stream(0);
	real.cuStreamQuery = slow_query;
	real.cuStreamDestroy_v2 = noted_destroy;
	real.cuCtxDestroy_v2 = noted_ctx_destroy;
	launch(a);
	pthread_create(&helper, NULL, look, NULL);
	ck_assert(eventually(is_inside, NULL, 20000));
	pthread_create(&destroyer, NULL, destroy, context ? NULL : b);
	usleep(20000);
	ck_assert(!rein_load_acquire(&began));
	rein_store_release(&go_on, 1);
	pthread_join(destroyer, NULL);
	pthread_join(helper, NULL);
	ck_assert(rein_load_acquire(&began));
}

TEST(destroying_waits_for_the_helpers_question)
{
	destroying_waits(false);
}
TEST_END

TEST(destroying_a_context_waits_for_the_helpers_question)
{
	destroying_waits(true);
}
TEST_END

/* It may block in the driver for ever: then nobody waits for it for ever. */
TEST(waiting_for_the_helper_is_bounded)
{
	pthread_t helper;
	fake_start();
	CUstream a = new_stream(0), b = new_stream(0);
	real.cuStreamQuery = slow_query;
	launch(a);
	pthread_create(&helper, NULL, look, NULL);
	ck_assert(eventually(is_inside, NULL, 20000));
	begin_capture(b); /* returns, although the helper is still in there */
	ck_assert(!rein_load_acquire(&go_on));
	rein_store_release(&go_on, 1);
	pthread_join(helper, NULL);
}
TEST_END

static CUresult slow_record(CUevent e, CUstream s)
{
	hold_here();
	ck_assert(!rein_load_acquire(&fake_stream_of(s)->capturing));
	return fake_event_record(e, s);
}

static void *launch_on(void *s)
{
	launch(s);
	return NULL;
}

static void meter(void)
{
	rein_store_relaxed(&REIN_CONTROL->verdict[0].backlog_ns, 100 * REIN_MS);
	rein_store_relaxed(&REIN_CONTROL->verdict[0].backlog_launches, 64);
	set_gate(REIN_GATE_METERED, 0);
}

TEST(begin_waits_for_a_mark_under_way)
{
	pthread_t launcher;
	fake_start();
	CUstream s = new_stream(0);
	real.cuEventRecord = slow_record;
	real.cuStreamBeginCapture_v2 = noted_begin;
	meter();
	pthread_create(&launcher, NULL, launch_on, s);
	begin_waits_for(launcher, s);
}
TEST_END

/* While the driver works on the launch another thread begins to capture the same stream. */
static CUresult launch_overtaken(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                                 unsigned by, unsigned bz, unsigned shared, CUstream s,
                                 void **params, void **extra)
{
	pthread_t other;
	CUresult r = fake_submit(s);
	pthread_create(&other, NULL, begin_capture, s);
	pthread_join(other, NULL);
	return r;
}

TEST(no_mark_enters_a_capture_that_overtook_the_launch)
{
	CUgraph graph;
	fake_start();
	CUstream s = new_stream(0);
	real.cuLaunchKernel = launch_overtaken;
	meter();
	/* a known kernel, so that only the mark behind it is recorded */
	uint64_t key = rein_kmodel_key(0x1000, (uint32_t[]){1, 1, 1}, (uint32_t[]){32, 1, 1}, 0);
	for (int i = 0; i < 40; i++)
		rein_kmodel_sample(&REIN_STATUS->kmodel, key, REIN_US, NULL);
	launch(s);
	ck_assert(fake_stream_of(s)->capturing);
	uint32_t before = fake_records;
	real.cuLaunchKernel = fake_launch;
	launch(s);
	ck_assert_uint_eq(fake_records, before);
	ck_assert(!rein_mark_pending());
	hook_cuStreamEndCapture(s, &graph);
	ck_assert(!rein_capture_any());
}
TEST_END

TEST(other_streams_are_marked_beside_a_capture)
{
	CUgraph graph;
	fake_start();
	CUstream s = new_stream(0), other = new_stream(0);
	meter();
	hook_cuStreamBeginCapture_v2(s, GLOBAL);
	launch(other);
	ck_assert(rein_mark_pending());
	ck_assert_uint_gt(fake_modes, 0); /* our own calls are made in relaxed mode … */
	CUstreamCaptureMode mode = GLOBAL;
	fake_mode(&mode);
	ck_assert_int_eq(mode, GLOBAL); /* … which is taken back */
	hook_cuStreamEndCapture(s, &graph);
}
TEST_END

static CUresult end_result, begin_result;

static CUresult end_so(CUstream s, CUgraph *g)
{
	return end_result;
}

static CUresult begin_so(CUstream s, CUstreamCaptureMode mode)
{
	return begin_result;
}

TEST(interrupted_captures_end_and_refused_ones_do_not_begin)
{
	static const struct {
		CUresult r;
		bool over;
	} ends[] = {{CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, false},
	            {CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, true},
	            {CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, true},
	            {CUDA_ERROR_STREAM_CAPTURE_UNJOINED, true}};
	CUgraph graph;
	fake_start();
	CUstream s = new_stream(0);
	real.cuStreamEndCapture = end_so;
	for (unsigned i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		ck_assert_int_eq(hook_cuStreamBeginCapture_v2(s, GLOBAL), CUDA_SUCCESS);
		end_result = ends[i].r;
		ck_assert_int_eq(hook_cuStreamEndCapture(s, &graph), ends[i].r);
		ck_assert_msg(rein_capture_any() == !ends[i].over, "case %u", i);
		end_result = CUDA_SUCCESS;
		fake_stream_of(s)->capturing = 0;
		hook_cuStreamEndCapture(s, &graph);
		ck_assert(!rein_capture_any());
	}
	hook_cuStreamEndCapture(s, &graph); /* without a beginning */
	ck_assert(!rein_capture_any());
	real.cuStreamBeginCapture_v2 = begin_so;
	begin_result = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	ck_assert_int_eq(hook_cuStreamBeginCapture_v2(s, GLOBAL), begin_result);
	ck_assert(!rein_capture_any());
	launch(s);
	ck_assert(active());
}
TEST_END

/* ---------------------------------------------------------------- more streams than rows */

static CUstream beyond_the_table(void)
{
	CUstream last = NULL;
	fake_start();
	for (int i = 0; i < REIN_ROWS + 8; i++)
		launch(last = new_stream(0));
	return last;
}

static void the_fast_path_is_back(CUstream s)
{
	ck_assert(!rein_capture_any());
	rein_rows_complete_scope(0);
	rein_demand_try_idle();
	ck_assert(!active());
	(void)s;
}

TEST(captures_end_on_streams_beyond_the_table)
{
	CUgraph graph;
	CUstream s = beyond_the_table(), other = new_stream(0);
	for (int i = 0; i < 100; i++) { /* more than are noted at once */
		hook_cuStreamBeginCapture_v2(s, GLOBAL);
		hook_cuStreamBeginCapture_v2(other, GLOBAL);
		uint64_t given_before = rein_rows_begun();
		launch(s);
		ck_assert_uint_eq(rein_rows_begun(), given_before);
		hook_cuStreamEndCapture(s, &graph);
		ck_assert(rein_capture_any());
		hook_cuStreamEndCapture(other, &graph);
		ck_assert(!rein_capture_any());
	}
	the_fast_path_is_back(s);
}
TEST_END

TEST(captures_end_with_their_stream_or_context)
{
	CUstream s = beyond_the_table();
	hook_cuStreamBeginCapture_v2(s, GLOBAL);
	ck_assert(rein_capture_any());
	hook_cuStreamDestroy_v2(s);
	ck_assert(!rein_capture_any());
	s = new_stream(0);
	hook_cuStreamBeginCapture_v2(s, GLOBAL);
	ck_assert(rein_capture_any());
	hook_cuCtxDestroy_v2(fake_context(0));
	ck_assert(!rein_capture_any());
}
TEST_END

TESTS("captures", begin_waits_for_the_helpers_question, destroying_waits_for_the_helpers_question,
      destroying_a_context_waits_for_the_helpers_question, waiting_for_the_helper_is_bounded,
      begin_waits_for_a_mark_under_way, no_mark_enters_a_capture_that_overtook_the_launch,
      other_streams_are_marked_beside_a_capture,
      interrupted_captures_end_and_refused_ones_do_not_begin,
      captures_end_on_streams_beyond_the_table, captures_end_with_their_stream_or_context)
