// SPDX-License-Identifier: Apache-2.0
/* What looks like a proof of completion and is none; and work that nobody could ever ask about. */
#include "tests/harness.h"
#include "tests/unit/fake_driver.h"

#include <sys/socket.h>
#include <unistd.h>

#include "interpose/attach.h"

static uint64_t left(CUstream s)
{
	struct rein_row *row = rein_row_seek(s, 0);
	return row ? rein_load_seqcst(&row->begun) - rein_load_seqcst(&row->completed) : 0;
}

/* A driver may return at once from a copy of nothing. */
TEST(a_blocking_copy_of_nothing_proves_nothing)
{
	fake_start();
	launch(NULL);
	hook_cuMemcpyDtoH_v2(NULL, 0, 0);
	ck_assert(active());
	ck_assert_uint_eq(left(NULL), 2);
	hook_cuMemcpyDtoH_v2(NULL, 0, 4);
	ck_assert(!active());
}
TEST_END

static CUresult launch_ex(const CUlaunchConfig *config, CUfunction f, void **params, void **extra)
{
	return fake_submit(config->hStream);
}

/* A kernel records the event of such an attribute, in its own stream and before its end. */
static void launch_records(CUlaunchAttributeID id)
{
	CUevent e;
	CUlaunchAttribute attribute = {.id = id};
	fake_start();
	real.cuLaunchKernelEx = launch_ex;
	CUstream a = new_stream(CU_STREAM_NON_BLOCKING), b = new_stream(CU_STREAM_NON_BLOCKING);
	real.cuEventCreate(&e, 0);
	launch(a);
	hook_cuEventRecord(e, a);
	if (id == CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT)
		attribute.value.programmaticEvent.event = e;
	else
		attribute.value.launchCompletionEvent.event = e;
	CUlaunchConfig config = {.gridDimX = 1,
	                         .gridDimY = 1,
	                         .gridDimZ = 1,
	                         .blockDimX = 1,
	                         .blockDimY = 1,
	                         .blockDimZ = 1,
	                         .hStream = b,
	                         .attrs = &attribute,
	                         .numAttrs = 1};
	ck_assert_int_eq(hook_cuLaunchKernelEx(&config, (CUfunction)(uintptr_t)1, NULL, NULL), 0);
	ck_assert_int_eq(hook_cuEventSynchronize(e), CUDA_SUCCESS);
	ck_assert_uint_eq(left(a), 1);
	ck_assert_uint_eq(left(b), 1);
}

TEST(an_event_that_a_launch_records_proves_nothing)
{
	launch_records(CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT);
}
TEST_END

TEST(nor_one_that_tells_of_a_launch)
{
	launch_records(CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT);
}
TEST_END

/* After these nothing of the process runs any more, says cuda.h. */
TEST(errors_that_end_everything)
{
	static const CUresult fatal[] = {CUDA_ERROR_CONTAINED, CUDA_ERROR_TENSOR_MEMORY_LEAK,
	                                 CUDA_ERROR_MPS_CLIENT_TERMINATED,
	                                 CUDA_ERROR_EXTERNAL_DEVICE, CUDA_ERROR_LAUNCH_FAILED};
	fake_start();
	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++) {
		launch(NULL);
		ck_assert(active());
		fake_sync_result = fatal[i];
		ck_assert_int_eq(hook_cuStreamSynchronize(NULL), (int)fatal[i]);
		ck_assert_msg(!active(), "after error %d", (int)fatal[i]);
	}
}
TEST_END

static int references;

static CUresult push(CUcontext ctx)
{
	return references ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

static CUresult detach(CUcontext ctx)
{
	if (--references == 0)
		fake_current = -1;
	return CUDA_SUCCESS;
}

TEST(a_context_ends_with_its_last_reference)
{
	fake_start();
	references = 2;
	real.cuCtxDetach = detach;
	real.cuCtxPushCurrent_v2 = push;
	CUstream a = new_stream(0);
	launch(a);
	hook_cuCtxDetach(fake_context(0));
	ck_assert(active());
	ck_assert_ptr_nonnull(rein_row_seek(a, 0));
	hook_cuCtxDetach(fake_context(0));
	ck_assert(!active());
	ck_assert_ptr_null(rein_row_seek(a, 0));
}
TEST_END

static CUresult set_current(CUcontext ctx)
{
	fake_current = (int)((char *)ctx - fake_context_handle);
	return CUDA_SUCCESS;
}

/* Made by a call that is not in cuda.h (OpenGL interoperability) or from a green context: known
 * from the moment that it is current, also while the client is active. */
TEST(a_context_that_nobody_saw_being_made)
{
	fake_start();
	real.cuCtxSetCurrent = set_current;
	launch(NULL);
	hook_cuCtxSetCurrent(fake_context(1));
	launch(NULL);
	ck_assert_int_eq(hook_cuCtxSynchronize(), CUDA_SUCCESS);
	ck_assert(active()); /* the first one's work has not completed */
	hook_cuCtxSetCurrent(fake_context(0));
	ck_assert_uint_eq(left(NULL), 1);
	ck_assert_int_eq(hook_cuCtxSynchronize(), CUDA_SUCCESS);
	ck_assert(!active());
}
TEST_END

/* ---------------------------------------------------------------- what nobody can be asked about
 */

static void *submit_and_end(void *unused)
{
	(void)hook_cuLaunchKernel_ptsz((CUfunction)(uintptr_t)1, 1, 1, 1, 1, 1, 1, 0, NULL, NULL,
	                               NULL);
	return NULL;
}

/* Requests that come and end all the time must not keep a dead thread's stream alive. */
TEST(a_dead_threads_stream_does_not_outlive_a_lease)
{
	pthread_t t;
	fake_start();
	CUstream a = new_stream(CU_STREAM_NON_BLOCKING);
	pthread_create(&t, NULL, submit_and_end, NULL);
	pthread_join(t, NULL);
	for (int i = 0; i < 20000 && active(); i++) {
		launch(a);
		hook_cuStreamSynchronize(a);
		rein_helper_look(false);
		if (active())
			usleep(1000);
	}
	ck_assert(!active());
	launch(a);
	ck_assert(active());
}
TEST_END

static CUresult face(CUcontext *out, CUgreenCtx green)
{
	*out = fake_context(1);
	return CUDA_SUCCESS;
}

static int green_pushed;

static CUresult push_other(CUcontext ctx)
{
	green_pushed += ctx == fake_context(1);
	return CUDA_SUCCESS;
}

/* One thread at a time may have it current: the helper never does. */
TEST(a_green_context_is_its_threads)
{
	CUcontext ctx;
	fake_start();
	real.cuCtxFromGreenCtx = face;
	real.cuCtxSetCurrent = set_current;
	real.cuCtxPushCurrent_v2 = push_other;
	launch(NULL);
	ck_assert_int_eq(hook_cuStreamSynchronize(NULL), CUDA_SUCCESS);
	hook_cuCtxFromGreenCtx(&ctx, (CUgreenCtx)fake_context(1));
	hook_cuCtxSetCurrent(ctx);
	CUstream a = new_stream(CU_STREAM_NON_BLOCKING);
	launch(NULL);
	launch(a);
	hook_cuStreamDestroy_v2(a); /* with a mark, in the green context */
	for (int i = 0; i < 20000 && active(); i++) {
		rein_helper_look(false);
		usleep(1000);
	}
	ck_assert(!active());
	ck_assert_int_eq(green_pushed, 0);
	(void)rein_mark_look(true);
	ck_assert(!rein_mark_pending());
}
TEST_END

/* Its last event tells, however long that takes. */
TEST(a_destroyed_stream_with_a_mark_is_waited_for)
{
	fake_start();
	CUstream a = new_stream(CU_STREAM_NON_BLOCKING);
	launch(a);
	hook_cuStreamDestroy_v2(a);
	ck_assert_uint_eq(fake_records, 1);
	ck_assert(!rein_helper_look(true));
	ck_assert(active());
	finish(a);
	ck_assert(rein_helper_look(false));
	ck_assert(!active());
}
TEST_END

static CUresult begin_here(CUstream s, CUstreamCaptureMode mode)
{
	return CUDA_SUCCESS;
}

static CUresult end_here(CUstream s, CUgraph *graph)
{
	return CUDA_SUCCESS;
}

/* The rows of threads are the first to go when there are no more: not while one captures. */
TEST(a_capture_on_a_threads_stream_outlives_a_full_table)
{
	CUgraph graph;
	fake_start();
	real.cuStreamBeginCapture_v2_ptsz = begin_here;
	real.cuStreamEndCapture_ptsz = end_here;
	hook_cuStreamBeginCapture_v2_ptsz(NULL, CU_STREAM_CAPTURE_MODE_RELAXED);
	ck_assert(rein_capture_any());
	for (int i = 0; i < REIN_ROWS + 8; i++)
		(void)new_stream(CU_STREAM_NON_BLOCKING);
	hook_cuStreamEndCapture_ptsz(NULL, &graph);
	ck_assert(!rein_capture_any());
}
TEST_END

/* ---------------------------------------------------------------- threads that are cancelled */

static bool submitted;

static void *cancelled_main(void *unused)
{
	pthread_cancel(pthread_self()); /* from now on the next point is its end */
	launch(NULL);
	submitted = true;
	pthread_testcancel();
	return NULL;
}

/* No call of ours is a point where a thread can be cancelled: not even the doorbell's. */
TEST(a_cancelled_thread_ends_after_its_launch)
{
	int bell[2];
	char rung;
	void *how;
	pthread_t t;
	fake_start();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, bell), 0);
	ck_assert_int_eq(rein_attach_bell(bell[1]), 0);
	rein_store_release(&REIN_BOARD->asleep, 1);
	pthread_create(&t, NULL, cancelled_main, NULL);
	pthread_join(t, &how);
	ck_assert_ptr_eq(how, PTHREAD_CANCELED);
	ck_assert(submitted);
	ck_assert_int_eq(recv(bell[0], &rung, 1, MSG_DONTWAIT), 1);
	ck_assert_int_eq(hook_cuStreamSynchronize(NULL), CUDA_SUCCESS);
	ck_assert(!active());
}
TEST_END

TESTS("proof", a_blocking_copy_of_nothing_proves_nothing,
      an_event_that_a_launch_records_proves_nothing, nor_one_that_tells_of_a_launch,
      errors_that_end_everything, a_context_ends_with_its_last_reference,
      a_context_that_nobody_saw_being_made, a_dead_threads_stream_does_not_outlive_a_lease,
      a_green_context_is_its_threads, a_destroyed_stream_with_a_mark_is_waited_for,
      a_capture_on_a_threads_stream_outlives_a_full_table, a_cancelled_thread_ends_after_its_launch)
