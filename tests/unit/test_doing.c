// SPDX-License-Identifier: Apache-2.0
/* test_doing.c: what a thread's own memory says of what it waits for (interpose/probe.h). */
#include "tests/harness.h"
#include "tests/unit/fake_driver.h"

#include "interpose/probe.h"
#include "interpose/request.h"

static CUstream stream;
static struct rein_doing during; /* what it was while the driver was called */

static void note(void)
{
	during = rein_doing;
}

static CUresult (*real_sync)(CUstream);

static CUresult noting_sync(CUstream s)
{
	note();
	return real_sync(s);
}

static void start(void)
{
	fake_start();
	stream = new_stream(CU_STREAM_NON_BLOCKING);
	real_sync = real.cuStreamSynchronize;
	real.cuStreamSynchronize = noting_sync;
	fake_during = note;
}

TEST(a_launch_waits_for_nothing)
{
	start();
	during.phase = REIN_PHASES;
	ck_assert_int_eq(launch(stream), CUDA_SUCCESS);
	ck_assert_uint_eq(during.phase, REIN_PHASE_NONE);
	ck_assert_uint_eq(rein_doing.phase, REIN_PHASE_NONE);
}
TEST_END

TEST(a_synchronisation_says_so_until_it_returns)
{
	start();
	launch(stream);
	ck_assert_int_eq(hook_cuStreamSynchronize(stream), CUDA_SUCCESS);
	ck_assert_uint_eq(during.phase, REIN_PHASE_SYNC);
	ck_assert_uint_eq(rein_doing.phase, REIN_PHASE_NONE);
}
TEST_END

TEST(the_request_is_the_threads_latest_open_one)
{
	start();
	uint64_t first = rein_requests_begin(0, 0), second = rein_requests_begin(0, 0);
	ck_assert_uint_ne(first, 0);
	ck_assert_uint_eq(rein_doing.request, second);
	rein_requests_end(first);
	ck_assert_uint_eq(rein_doing.request, second);
	rein_requests_end(second);
	ck_assert_uint_eq(rein_doing.request, 0);
}
TEST_END

static const struct rein_doing *_Atomic theirs;

static void *launch_in_thread(void *unused)
{
	theirs = &rein_doing;
	(void)launch(stream);
	ck_assert_uint_eq(rein_doing.phase, REIN_PHASE_NONE);
	return NULL;
}

static bool is_held(void *phase)
{
	const struct rein_doing *d = theirs;
	return d && __atomic_load_n(&d->phase, __ATOMIC_ACQUIRE) == *(const uint32_t *)phase;
}

/* And where it says so is at the same distance from each thread's pointer, so that one number is
 * enough for all of them. */
TEST(a_held_thread_names_its_holder)
{
	pthread_t thread;
	uint32_t phase = REIN_PHASE_GATE;
	start();
	ck_assert_int_eq((intptr_t)&rein_doing - (intptr_t)__builtin_thread_pointer(),
	                 rein_doing_offset());
	rein_store_relaxed(&REIN_CONTROL->verdict[0].holder, 12);
	set_gate(REIN_GATE_CLOSED, 60 * REIN_S);
	pthread_create(&thread, NULL, launch_in_thread, NULL);
	ck_assert(eventually(is_held, &phase, 10000));
	ck_assert_uint_eq(theirs->holder, 12);
	/* pthread_t is the thread pointer on x86-64 and near it elsewhere: only said of x86-64 */
#ifdef __x86_64__
	ck_assert_int_eq((intptr_t)theirs - (intptr_t)thread, rein_doing_offset());
#endif
	ck_assert_uint_eq(rein_doing.phase, REIN_PHASE_NONE); /* ours */
	set_gate(REIN_GATE_OPEN, 0);
	pthread_join(thread, NULL);
}
TEST_END

TESTS("what threads wait for", a_launch_waits_for_nothing,
      a_synchronisation_says_so_until_it_returns, the_request_is_the_threads_latest_open_one,
      a_held_thread_names_its_holder)
