// SPDX-License-Identifier: Apache-2.0
/*
 * Declared requests: begin and end instead of the linger, several at once, deadlines, threads in
 * the background, and the same by NVTX ranges, through NVTX's own headers where they are installed.
 */
#include "tests/harness.h"
#include "tests/unit/fake_driver.h"

#include <errno.h>
#include <sys/wait.h>

#include "include/rein.h"
#include "interpose/request.h"

static CUstream stream;

static void start(void)
{
	fake_start();
	stream = new_stream(CU_STREAM_NON_BLOCKING);
}

static uint32_t flags(void)
{
	return rein_load_acquire(&REIN_STATUS->request_flags);
}

static uint64_t requests(void)
{
	return rein_load_relaxed(&REIN_STATUS->total.requests);
}

static unsigned open_now(void)
{
	return rein_load_relaxed(&REIN_STATUS->requests_open);
}

static void launch_and_sync(void)
{
	ck_assert_int_eq(launch(stream), CUDA_SUCCESS);
	ck_assert_int_eq(hook_cuStreamSynchronize(stream), CUDA_SUCCESS);
}

/* ---------------------------------------------------------------- begin and end */

TEST(active_from_begin_to_end)
{
	start();
	errno = 77;
	uint64_t request = rein_requests_begin(0, 0);
	ck_assert_uint_ne(request, 0);
	ck_assert(active());
	for (int i = 0; i < 3; i++) {
		launch_and_sync();
		ck_assert(!rein_helper_look(true)); /* no query ends it either */
		ck_assert(active());
	}
	ck_assert(!(flags() & REIN_REQUEST_BACKGROUND));
	rein_requests_end(request);
	ck_assert(!active());
	ck_assert_uint_eq(flags(), REIN_REQUEST_DECLARED | REIN_REQUEST_EXACT);
	ck_assert_uint_eq(requests(), 1);
	ck_assert_int_eq(errno, 77);
	/* the same once more, then what is no open request */
	rein_requests_end(request);
	rein_requests_end(0);
	rein_requests_end(UINT64_MAX);
	rein_requests_end(12345);
	uint64_t next = rein_requests_begin(0, 0);
	ck_assert_uint_ne(next, request);
	rein_requests_end(request);
	ck_assert(active());
	rein_requests_end(next);
	ck_assert(!active());
	ck_assert_uint_eq(requests(), 2);
}
TEST_END

TEST(unfinished_work_outlives_the_end)
{
	start();
	uint64_t request = rein_requests_begin(0, 0);
	launch(stream);
	rein_requests_end(request);
	ck_assert(active());
	ck_assert_uint_eq(open_now(), 0);
	finish(stream);
	ck_assert(rein_helper_look(false));
	ck_assert(!active());
	ck_assert(flags() & REIN_REQUEST_EXACT);
}
TEST_END

TEST(work_outside_of_requests_is_as_ever)
{
	start();
	launch_and_sync();
	ck_assert_uint_eq(requests(), 1);
	ck_assert_uint_eq(flags(), 0);
	rein_requests_end(rein_requests_begin(0, 0));
	ck_assert_uint_eq(requests(), 2);
	/* from now on it says what its requests are; the linger is for the rest */
	launch_and_sync();
	ck_assert(!active());
	ck_assert_uint_eq(requests(), 2);
	ck_assert_uint_eq(flags(), REIN_REQUEST_DECLARED);
	/* one that begins while something else is under way */
	launch(stream);
	uint64_t request = rein_requests_begin(0, 0);
	hook_cuStreamSynchronize(stream);
	ck_assert(active());
	rein_requests_end(request);
	ck_assert(!active());
	ck_assert(flags() & REIN_REQUEST_EXACT);
}
TEST_END

static void *end_it(void *request)
{
	rein_requests_end(*(uint64_t *)request);
	return NULL;
}

TEST(several_and_other_threads)
{
	pthread_t thread;
	start();
	uint64_t outer = rein_requests_begin(0, 0), inner = rein_requests_begin(0, 0);
	ck_assert_uint_eq(open_now(), 2);
	pthread_create(&thread, NULL, end_it, &outer);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(open_now(), 1);
	ck_assert(active());
	rein_requests_end(inner);
	ck_assert(!active());
	ck_assert_uint_eq(requests(), 2);
}
TEST_END

#define MANY 300 /* more than are told apart */
TEST(more_than_are_told_apart)
{
	uint64_t request[MANY];
	start();
	for (int i = 0; i < MANY; i++)
		ck_assert_uint_ne(request[i] = rein_requests_begin(0, 0), 0);
	ck_assert_uint_eq(open_now(), MANY);
	for (int i = 0; i < MANY; i++) {
		ck_assert(active());
		rein_requests_end(request[i]);
	}
	ck_assert(!active());
	ck_assert_uint_eq(open_now(), 0);
	rein_requests_end(UINT64_MAX);
	ck_assert_uint_eq(open_now(), 0);
}
TEST_END

TEST(deadlines)
{
	const struct rein_status *s = REIN_STATUS;
	start();
	uint64_t now = rein_now_ns();
	uint64_t late = rein_requests_begin(now - 5 * REIN_S, REIN_S);
	uint64_t loose = rein_requests_begin(now - 9 * REIN_S, 0);
	uint64_t far = rein_requests_begin(0, 3600 * REIN_S);
	uint64_t huge = rein_requests_begin(now + 60 * REIN_S, UINT64_MAX);
	ck_assert_uint_eq(rein_load_relaxed(&s->deadline_ns), now - 4 * REIN_S);
	ck_assert_uint_eq(rein_load_relaxed(&s->arrival_ns), now - 9 * REIN_S);
	rein_requests_end(late);
	ck_assert_uint_eq(rein_load_relaxed(&s->late), 1);
	ck_assert_uint_ge(rein_load_relaxed(&s->deadline_ns), now + 3600 * REIN_S);
	ck_assert_uint_lt(rein_load_relaxed(&s->deadline_ns), UINT64_MAX);
	rein_requests_end(far);
	rein_requests_end(loose);
	ck_assert_uint_eq(rein_load_relaxed(&s->deadline_ns), UINT64_MAX);
	ck_assert_uint_le(rein_load_relaxed(&s->arrival_ns),
	                  rein_now_ns()); /* not from the future */
	rein_requests_end(huge);
	ck_assert_uint_eq(rein_load_relaxed(&s->late), 1);
	ck_assert_uint_eq(rein_load_relaxed(&s->deadline_ns), 0);
	ck_assert_uint_eq(rein_load_relaxed(&s->arrival_ns), 0);
}
TEST_END

TEST(before_the_first_use_it_is_only_counted)
{
	uint64_t request = rein_requests_begin(0, 0);
	ck_assert_uint_ne(request, 0);
	ck_assert_uint_eq(demand(), 0);
	start();
	launch_and_sync();
	ck_assert(active());
	rein_requests_end(request);
	ck_assert(!active());
}
TEST_END

TEST(disabled)
{
	setenv("REIN_DISABLE", "1", 1);
	start();
	const struct rein_api *api = rein_api(REIN_API_VERSION);
	ck_assert_uint_eq(api->request_begin(0, 0), 0);
	ck_assert_int_eq(api->thread_background(1), 0);
	ck_assert_int_eq(api->thread_background(1), 0);
	ck_assert_int_eq(api->present(), 0);
	ck_assert_int_eq(api->joined(), 0);
	ck_assert_int_eq(api->priority(), -1);
	ck_assert_uint_eq(demand(), 0);
	ck_assert_uint_eq(requests(), 0);
	ck_assert_int_eq(InitializeInjectionNvtx2(NULL), 0);
}
TEST_END

TEST(table_and_header)
{
	start();
	const struct rein_api *api = rein_api(1);
	ck_assert_ptr_nonnull(api);
	ck_assert_uint_eq(api->version, REIN_API_VERSION);
	ck_assert_uint_eq(api->size, sizeof(*api));
	ck_assert_int_eq(api->present(), 1);
	ck_assert_int_eq(api->joined(), 0);
	ck_assert_ptr_null(rein_api(0));
	ck_assert_ptr_null(rein_api(REIN_API_VERSION + 1));
	/* this program exports nothing: for the header there is no library */
	errno = 77;
	ck_assert_int_eq(rein_present(), 0);
	ck_assert_int_eq(rein_joined(), 0);
	ck_assert_int_eq(rein_priority(), -1);
	ck_assert_uint_eq(rein_request_begin(0, 1), 0);
	rein_request_end(0);
	ck_assert_int_eq(rein_thread_background(1), 0);
	ck_assert_int_eq(errno, 77);
	ck_assert_uint_eq(requests(), 0);
}
TEST_END

TEST(forked_child_has_none)
{
	int status;
	uint64_t request = rein_requests_begin(0, 0);
	pid_t pid = fork();
	if (pid == 0) {
		start();
		launch_and_sync();
		_exit(active() || rein_requests_any());
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	rein_requests_end(request);
}
TEST_END

/* ---------------------------------------------------------------- many threads at once */

#define THREADS 4
#define TURNS 2000
static void *turn(void *unused)
{
	CUstream own = new_stream(CU_STREAM_NON_BLOCKING);
	for (int i = 0; i < TURNS; i++) {
		uint64_t request = rein_requests_begin(0, REIN_S);
		ck_assert(active());
		if (i % 3 == 0)
			launch(own);
		ck_assert(active());
		if (i % 2)
			rein_requests_end(request);
		hook_cuStreamSynchronize(own);
		rein_requests_end(request); /* ignored if it has ended */
	}
	return NULL;
}

TEST(threads_leave_the_truth_behind)
{
	pthread_t thread[THREADS];
	start();
	for (int i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, turn, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	ck_assert(!active());
	ck_assert(rein_demand_is_idle());
	ck_assert_uint_eq(requests(), THREADS * TURNS);
	ck_assert_uint_eq(open_now(), 0);
	ck_assert_uint_eq(rein_load_relaxed(&REIN_STATUS->deadline_ns), 0);
	ck_assert_uint_eq(flags(), REIN_REQUEST_DECLARED | REIN_REQUEST_EXACT);
}
TEST_END

/* ---------------------------------------------------------------- background threads */

static rein_a32 launched;
static void *background_launches(void *unused)
{
	(void)rein_requests_background(1);
	launch(stream);
	rein_store_release(&launched, 1);
	return NULL;
}

static bool has_launched(void *unused)
{
	return rein_load_acquire(&launched);
}

TEST(background_waits_for_the_request)
{
	pthread_t thread;
	start();
	uint64_t request = rein_requests_begin(0, 0);
	pthread_create(&thread, NULL, background_launches, NULL);
	/* bounded: it goes on after a lease, which is told */
	ck_assert(eventually(has_launched, NULL, 10000));
	pthread_join(thread, NULL);
	ck_assert_uint_eq(rein_load_relaxed(&REIN_STATUS->total.gate_waits), 1);
	ck_assert_uint_ge(rein_load_relaxed(&REIN_STATUS->total.gate_wait_ns), REIN_LEASE_NS);
	ck_assert_uint_eq(rein_load_relaxed(&REIN_STATUS->total.lapses), 1);
	/* the thread is gone, and with it what it declared */
	ck_assert(!(rein_load_relaxed(&rein_attention) & REIN_ATT_YIELD));
	rein_requests_end(request);
	ck_assert(!(flags() & REIN_REQUEST_BACKGROUND));
}
TEST_END

TEST(background_goes_on_at_the_end)
{
	pthread_t thread;
	start();
	rein_store_relaxed(&launched, 0);
	for (int i = 0; i < 20; i++) { /* a wait that is not ended by the end takes 100 ms each */
		uint64_t request = rein_requests_begin(0, 0);
		pthread_create(&thread, NULL, background_launches, NULL);
		rein_requests_end(request);
		pthread_join(thread, NULL);
		hook_cuStreamSynchronize(stream);
	}
	ck_assert_uint_lt(rein_load_relaxed(&REIN_STATUS->total.lapses), 20);
	ck_assert(!active());
}
TEST_END

TEST(background_lowers_what_is_outside_of_requests)
{
	start();
	ck_assert_int_eq(rein_requests_background(1), 0);
	ck_assert_int_eq(rein_requests_background(1), 1);
	ck_assert(flags() & REIN_REQUEST_BACKGROUND);
	uint32_t before = demand();
	launch(stream);
	ck_assert(flags() & REIN_REQUEST_BACKGROUND);
	ck_assert_uint_ne(demand(), before);
	before = demand();
	uint64_t request = rein_requests_begin(0, 0);
	ck_assert(!(flags() & REIN_REQUEST_BACKGROUND));
	ck_assert_uint_ne(demand(), before); /* the daemon looks only if the word has changed */
	launch(stream);                      /* its own request: it does not wait */
	ck_assert_uint_eq(rein_load_relaxed(&REIN_STATUS->total.gate_waits), 0);
	before = demand();
	rein_requests_end(request);
	ck_assert(active());
	ck_assert(flags() & REIN_REQUEST_BACKGROUND);
	ck_assert_uint_ne(demand(), before);
	ck_assert_int_eq(rein_requests_background(0), 1);
	ck_assert(!(flags() & REIN_REQUEST_BACKGROUND));
	hook_cuStreamSynchronize(stream);
	ck_assert(!active());
	/* and the fast path is back */
	ck_assert_uint_eq(rein_load_relaxed(&rein_attention) & REIN_ATT_YIELD, 0);
}
TEST_END

/* ---------------------------------------------------------------- NVTX */

#if defined(__has_include) && __has_include(<nvtx3/nvToolsExt.h>)
/* we are the injected library */
#define NVTX_STATIC_INJECTION_IMPL
int (*InitializeInjectionNvtx2_fnptr)(const void *(*)(uint32_t)) = InitializeInjectionNvtx2;
#include <nvtx3/nvToolsExt.h>

static void nvtx_start(void)
{
	unsetenv("NVTX_INJECTION64_PATH");
	start();
	launch_and_sync(); /* so that requests are counted below only if declared */
}

TEST(nvtx_push_and_pop)
{
	nvtx_start();
	ck_assert_int_eq(nvtxRangePushA("forward"), 0);
	ck_assert(!active());
	ck_assert_int_eq(nvtxRangePushA("rein:request?deadline=20ms"), 1);
	ck_assert(active());
	ck_assert_uint_ne(rein_load_relaxed(&REIN_STATUS->deadline_ns), 0);
	ck_assert_int_eq(nvtxRangePushA("inner"), 2);
	ck_assert_int_eq(nvtxRangePushW(L"rein:request"), 3);
	ck_assert_uint_eq(open_now(), 2);
	ck_assert_int_eq(nvtxRangePop(), 3);
	ck_assert_uint_eq(open_now(), 1);
	ck_assert_int_eq(nvtxRangePop(), 2);
	ck_assert_uint_eq(open_now(), 1);
	ck_assert_int_eq(nvtxRangePop(), 1);
	ck_assert(!active());
	ck_assert_int_eq(nvtxRangePop(), 0);
	ck_assert_int_lt(nvtxRangePop(), 0);
	ck_assert_uint_eq(requests(), 3); /* the one before, and two */
}
TEST_END

static nvtxEventAttributes_t attributes(int type, const void *message)
{
	nvtxEventAttributes_t a = {0};
	a.version = NVTX_VERSION;
	a.size = NVTX_EVENT_ATTRIB_STRUCT_SIZE;
	a.messageType = type;
	a.message.ascii = message;
	return a;
}

TEST(nvtx_domains)
{
	nvtx_start();
	nvtxDomainHandle_t x = nvtxDomainCreateA("x"), y = nvtxDomainCreateW(L"y");
	ck_assert_ptr_ne(x, y);
	nvtxStringHandle_t name = nvtxDomainRegisterStringA(x, "rein:request");
	ck_assert_ptr_nonnull(name);
	ck_assert_ptr_null(nvtxDomainRegisterStringA(x, "other"));
	nvtxEventAttributes_t ours = attributes(NVTX_MESSAGE_TYPE_REGISTERED, name);
	nvtxEventAttributes_t wide = attributes(NVTX_MESSAGE_TYPE_UNICODE, L"rein:request");
	nvtxEventAttributes_t other = attributes(NVTX_MESSAGE_TYPE_ASCII, "other");
	nvtxEventAttributes_t wild = attributes(NVTX_MESSAGE_TYPE_REGISTERED, &other);
	nvtxDomainRangePushEx(x, &ours);
	nvtxDomainRangePushEx(y, &other);
	nvtxRangePushEx(&wide);
	ck_assert_uint_eq(open_now(), 2);
	nvtxDomainRangePop(y);
	ck_assert_uint_eq(open_now(), 2);
	nvtxDomainRangePop(x);
	ck_assert_uint_eq(open_now(), 1);
	nvtxRangePop();
	ck_assert(!active());
	nvtxDomainRangePushEx(x, &wild);
	ck_assert(!active());
	nvtxDomainRangePop(x);
	/* by start and end, which need no order */
	nvtxRangeId_t a = nvtxDomainRangeStartEx(x, &ours), b = nvtxRangeStartA("rein:request");
	ck_assert_uint_eq(nvtxRangeStartA("other"), 0);
	nvtxRangeEnd(0);
	ck_assert_uint_eq(open_now(), 2);
	nvtxDomainRangeEnd(x, a);
	nvtxRangeEnd(b);
	ck_assert(!active());
}
TEST_END

static void *push_and_end(void *unused)
{
	nvtxRangePushA("rein:background");
	ck_assert(flags() & REIN_REQUEST_BACKGROUND);
	nvtxRangePushA("rein:request");
	ck_assert(!(flags() & REIN_REQUEST_BACKGROUND));
	return NULL;
}

TEST(nvtx_ranges_end_with_their_thread)
{
	pthread_t thread;
	nvtx_start();
	pthread_create(&thread, NULL, push_and_end, NULL);
	pthread_join(thread, NULL);
	ck_assert(!active());
	ck_assert_uint_eq(open_now(), 0);
	ck_assert(!(flags() & REIN_REQUEST_BACKGROUND));
}
TEST_END

TEST(nvtx_names_that_mean_nothing)
{
	static const char *const names[] = {
	    "rein",
	    "rein:",
	    "rein:requests",
	    "rein:request?",
	    "rein:request?deadline=",
	    "rein:request?deadline=20",
	    "rein:request?deadline=ms",
	    "rein:request?deadline=0ms",
	    "rein:request?deadline=-1ms",
	    "rein:request?deadline=1ms ",
	    "rein:request?patience=1ms",
	    "REIN:request",
	    "",
	};
	nvtx_start();
	for (size_t i = 0; i < REIN_ARRAY_LEN(names); i++) {
		nvtxRangePushA(names[i]);
		ck_assert_msg(!active(), "'%s'", names[i]);
		nvtxRangePop();
	}
	nvtxRangePushA(NULL);
	nvtxRangePop();
	for (int i = 0; i < 100; i++) /* more than are kept of one thread */
		nvtxRangePushA("rein:request");
	ck_assert(active());
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(nvtxRangePop(), 99 - i);
	ck_assert(!active());
}
TEST_END
#define NVTX_TESTS                                                                                 \
	nvtx_push_and_pop, nvtx_domains, nvtx_ranges_end_with_their_thread,                        \
	    nvtx_names_that_mean_nothing,
#else
#pragma message "left out: tests of NVTX ranges (needs nvtx3/nvToolsExt.h)"
#define NVTX_TESTS
#endif

TESTS("requests", NVTX_TESTS active_from_begin_to_end, unfinished_work_outlives_the_end,
      work_outside_of_requests_is_as_ever, several_and_other_threads, more_than_are_told_apart,
      deadlines, before_the_first_use_it_is_only_counted, disabled, table_and_header,
      forked_child_has_none, threads_leave_the_truth_behind, background_waits_for_the_request,
      background_goes_on_at_the_end, background_lowers_what_is_outside_of_requests)
