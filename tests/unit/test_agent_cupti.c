// SPDX-License-Identifier: Apache-2.0
/*
 * test_agent_cupti.c: librein-cupti.so with a CUPTI of this test's own: what it asks for in which
 * order, whom it gives way to, how it reads records, longer ones of other versions and broken ones
 * too; and that the numbers it knows CUPTI by are those of the installed headers.
 */
#include "tests/harness.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "profiler/cupti/agent.h"
#include "profiler/cupti/cupti_abi.h"

#if __has_include(<cupti.h>)
#include <cupti.h>
#define IS_AT(type, field, offset) _Static_assert(offsetof(type, field) == (offset), #field)
#define IS(value, known) _Static_assert((int)(value) == (int)(known), #value)
#define IS_LAID_OUT(type, stream_field, correlation_field, s, e, st, c)                            \
	IS_AT(type, start, s);                                                                     \
	IS_AT(type, end, e);                                                                       \
	IS_AT(type, stream_field, st);                                                             \
	IS_AT(type, correlation_field, c)
IS_LAID_OUT(CUpti_ActivityKernel9, streamId, correlationId, 16, 24, 48, 92);
IS_AT(CUpti_ActivityKernel9, gridX, 52);
IS_AT(CUpti_ActivityKernel9, name, 104);
#if CUPTI_API_VERSION >= 130000
IS_LAID_OUT(CUpti_ActivityKernel10, streamId, correlationId, 16, 24, 48, 92);
IS_AT(CUpti_ActivityKernel10, gridX, 52);
IS_AT(CUpti_ActivityKernel10, name, 104);
IS_LAID_OUT(CUpti_ActivityMemcpy6, streamId, correlationId, 16, 24, 40, 44);
IS_LAID_OUT(CUpti_ActivityMemcpyPtoP4, streamId, correlationId, 16, 24, 40, 60);
IS_LAID_OUT(CUpti_ActivityMemset4, streamId, correlationId, 16, 24, 40, 44);
#endif
IS_LAID_OUT(CUpti_ActivityMemcpy5, streamId, correlationId, 16, 24, 40, 44);
IS_AT(CUpti_ActivityMemcpy5, copyKind, CUPTI_COPY_KIND);
IS_AT(CUpti_ActivityMemcpy5, bytes, 8);
IS_AT(CUpti_ActivityMemcpyPtoP4, copyKind, CUPTI_COPY_KIND);
IS_AT(CUpti_ActivityMemcpyPtoP4, bytes, 8);
IS_AT(CUpti_ActivityMemset4, bytes, 8);
IS_LAID_OUT(CUpti_ActivityGraphTrace2, streamId, correlationId, 8, 16, 36, 4);
IS_AT(CUpti_CallbackData, callbackSite, offsetof(struct cupti_call, site));
IS_AT(CUpti_CallbackData, correlationId, offsetof(struct cupti_call, correlation));
IS_AT(CUpti_SubscriberParams, subscriberName, offsetof(struct cupti_subscriber_params, name));
IS_AT(CUpti_SubscriberParams, oldSubscriberName,
      offsetof(struct cupti_subscriber_params, incumbent));
IS(sizeof(CUpti_SubscriberParams), sizeof(struct cupti_subscriber_params));
#ifdef CUPTI_OLD_SUBSCRIBER_NAME_MIN_LEN
IS(CUPTI_OLD_SUBSCRIBER_NAME_MIN_LEN, CUPTI_NAME_BYTES);
#endif
IS(CUPTI_SUCCESS, CUPTI_OK);
IS(CUPTI_ERROR_NOT_INITIALIZED, CUPTI_NOT_INITIALIZED);
IS(CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED, CUPTI_MULTIPLE_SUBSCRIBERS);
IS(CUPTI_ACTIVITY_KIND_MEMCPY, CUPTI_KIND_COPY);
IS(CUPTI_ACTIVITY_KIND_MEMSET, CUPTI_KIND_SET);
IS(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, CUPTI_KIND_KERNEL);
IS(CUPTI_ACTIVITY_KIND_MEMCPY2, CUPTI_KIND_PEER_COPY);
IS(CUPTI_ACTIVITY_KIND_GRAPH_TRACE, CUPTI_KIND_GRAPH);
IS(CUPTI_ACTIVITY_THREAD_ID_TYPE_SYSTEM, CUPTI_THREAD_IDS_SYSTEM);
IS(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED, CUPTI_FLUSH_FORCED);
IS(CUPTI_CB_DOMAIN_DRIVER_API, CUPTI_DOMAIN_DRIVER);
IS(CUPTI_API_ENTER, CUPTI_ENTER);

static bool is_noted(uint32_t cbid)
{
	for (size_t i = 0; i < sizeof(cupti_calls) / sizeof(cupti_calls[0]); i++)
		if (cbid >= cupti_calls[i].first && cbid <= cupti_calls[i].last)
			return true;
	return false;
}

#define CBID(name) CUPTI_DRIVER_TRACE_CBID_##name

/* The ends of all ranges, and what is right beside them. */
TEST(calls_are_those_that_submit)
{
	static const uint32_t noted[] = {CBID(cuLaunchKernel),
	                                 CBID(cuLaunchKernel_ptsz),
	                                 CBID(cuLaunchKernelEx),
	                                 CBID(cuLaunchKernelEx_ptsz),
	                                 CBID(cuLaunchCooperativeKernel),
	                                 CBID(cuLaunchCooperativeKernel_ptsz),
	                                 CBID(cuLaunchCooperativeKernelMultiDevice),
	                                 CBID(cuGraphLaunch),
	                                 CBID(cuGraphLaunch_ptsz),
	                                 CBID(cuMemcpyHtoD_v2),
	                                 CBID(cuMemcpyHtoAAsync_v2),
	                                 CBID(cuMemcpy),
	                                 CBID(cuMemcpyAsync),
	                                 CBID(cuMemcpyPeer),
	                                 CBID(cuMemcpy3DPeerAsync),
	                                 CBID(cuMemcpyHtoD_v2_ptds),
	                                 CBID(cuMemcpy3DPeer_ptds),
	                                 CBID(cuMemcpyAsync_ptsz),
	                                 CBID(cuMemcpy3DPeerAsync_ptsz),
	                                 CBID(cuMemsetD8_v2),
	                                 CBID(cuMemsetD2D32_v2),
	                                 CBID(cuMemsetD8_v2_ptds),
	                                 CBID(cuMemsetD2D32_v2_ptds),
	                                 CBID(cuMemsetD8Async),
	                                 CBID(cuMemsetD16Async),
	                                 CBID(cuMemsetD32Async),
	                                 CBID(cuMemsetD2D8Async),
	                                 CBID(cuMemsetD2D16Async),
	                                 CBID(cuMemsetD2D32Async),
	                                 CBID(cuMemsetD8Async_ptsz),
	                                 CBID(cuMemsetD2D32Async_ptsz)};
	static const uint32_t not_noted[] = {
	    CBID(cuMemAllocHost_v2),        CBID(cuArray3DGetDescriptor_v2),
	    CBID(cuCtxGetCurrent),          CBID(cuMemPeerGetDevicePointer),
	    CBID(cuCtxDestroy_v2),          CBID(cuTexRefSetAddress_v2),
	    CBID(cuStreamGetPriority_ptsz), CBID(cuGLMapBufferObject_v2_ptds),
	    CBID(cuLaunchHostFunc),         CBID(cuEventRecord),
	    CBID(cuStreamSynchronize),      CBID(cuMemFree_v2)};
	for (size_t i = 0; i < sizeof(noted) / sizeof(noted[0]); i++)
		ck_assert_msg(is_noted(noted[i]), "%zu: %u", i, noted[i]);
	for (size_t i = 0; i < sizeof(not_noted) / sizeof(not_noted[0]); i++)
		ck_assert_msg(!is_noted(not_noted[i]), "%zu: %u", i, not_noted[i]);
#if CUPTI_API_VERSION >= 130000
	ck_assert(is_noted(CBID(cuMemcpyBatchAsync)) && is_noted(CBID(cuMemcpy3DBatchAsync_ptsz)));
	ck_assert(is_noted(CBID(cuMemcpyBatchAsync_v2)) &&
	          is_noted(CBID(cuMemcpy3DBatchAsync_v2_ptsz)));
#endif
}
TEST_END
#else
TEST(calls_are_those_that_submit)
{
	puts("CUPTI's headers are missing: its numbers are not compared");
}
TEST_END
#endif

/* ---------------------------------------------------------------- a CUPTI */

static char history[1 << 14]; /* what it was asked for, in order */
static int subscribe_result, enable_result;
static bool without_v2;
static cupti_callback *callback;
static cupti_request *request;
static cupti_complete *complete;
static uint64_t (*client_clock)(void);
static unsigned callbacks_on;
static size_t dropped;
static uint8_t *lent;
static size_t lent_n;

__attribute__((format(printf, 1, 2))) static void note(const char *fmt, ...)
{
	size_t n = strlen(history);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(history + n, sizeof(history) - n, fmt, ap);
	va_end(ap);
}

static int fake_Subscribe(void **subscriber, cupti_callback *fn, void *arg)
{
	note("subscribe ");
	*subscriber = &callback;
	callback = fn;
	return subscribe_result;
}
static int fake_Subscribe_v2(void **subscriber, cupti_callback *fn, void *arg,
                             struct cupti_subscriber_params *p)
{
	ck_assert_uint_eq(p->size, sizeof(*p));
	ck_assert_str_eq(p->name, "rein");
	if (subscribe_result)
		snprintf(p->incumbent, p->incumbent_size, "CUPTI for somebody");
	return fake_Subscribe(subscriber, fn, arg);
}
static int fake_Unsubscribe(void *subscriber)
{
	ck_assert_ptr_eq(subscriber, &callback);
	note("unsubscribe ");
	return CUPTI_OK;
}
static int fake_EnableCallback(uint32_t enable, void *subscriber, int domain, uint32_t cbid)
{
	ck_assert_int_eq(domain, CUPTI_DOMAIN_DRIVER);
	callbacks_on += enable ? 1 : -1u;
	return cbid == 480 ? 27 : CUPTI_OK; /* one that it does not have */
}
static int fake_GetResultString(int result, const char **text)
{
	*text = "CUPTI_ERROR_OF_SOME_KIND";
	return CUPTI_OK;
}
static int fake_SetThreadIdType(int type)
{
	ck_assert_int_eq(type, CUPTI_THREAD_IDS_SYSTEM);
	return CUPTI_OK;
}
static int fake_ActivityRegisterCallbacks(cupti_request *req, cupti_complete *done)
{
	note("buffers ");
	request = req;
	complete = done;
	return CUPTI_OK;
}
static int fake_ActivityRegisterTimestampCallback(uint64_t (*now)(void))
{
	note("clock ");
	client_clock = now;
	return CUPTI_OK;
}
static int fake_ActivityEnable(int kind)
{
	note("+%d ", kind);
	return kind == CUPTI_KIND_KERNEL ? enable_result : CUPTI_OK;
}
static int fake_ActivityDisable(int kind)
{
	note("-%d ", kind);
	return CUPTI_OK;
}
static int fake_ActivityFlushAll(uint32_t flags)
{
	size_t size = lent_n;
	if (flags)
		note("flush ");
	lent_n = 0;
	if (lent)
		complete(NULL, 0, lent, 128 << 10, size);
	lent = NULL;
	return CUPTI_OK;
}
#define RECORD 256u /* longer than any: as a later version has them */
static int fake_ActivityGetNextRecord(uint8_t *buffer, size_t valid, void **record)
{
	uint8_t *next = *record ? (uint8_t *)*record + RECORD : buffer;
	if (next >= buffer + valid)
		return 12;
	*record = next;
	return CUPTI_OK;
}
static int fake_ActivityGetNumDroppedRecords(void *context, uint32_t stream, size_t *n)
{
	*n = dropped;
	dropped = 0;
	return CUPTI_OK;
}

static void *on_symbol(void *handle, const char *name)
{
	if (without_v2 && strcmp(name, "cuptiSubscribe_v2") == 0)
		return NULL;
#define GIVE(f, needed, args)                                                                      \
	if (strcmp(name, "cupti" #f) == 0)                                                         \
		return (void *)fake_##f;
	CUPTI_FUNCTIONS(GIVE)
	return NULL;
}

/* ---------------------------------------------------------------- librein.so's side */

static struct rein_agent_ticket ticket;
static struct rein_agent_activity got[1000];
static unsigned n_got;
static uint64_t n_lost;
static const struct rein_agent_ops *agent;
static char why[200];

static const struct rein_agent_ticket *on_ticket(void)
{
	return &ticket;
}
static void on_activity(const struct rein_agent_activity *a)
{
	ck_assert_uint_lt(n_got, 1000);
	got[n_got++] = *a;
}
static void on_lost(uint64_t records)
{
	n_lost += records;
}

static const struct rein_agent_host host = {
    REIN_AGENT_VERSION, on_symbol, on_ticket, on_activity, on_lost,
};

/* Any library will do: its functions are the test's. */
static int start(bool late)
{
	return agent->start(&host, "libm.so.6", late, why, sizeof(why));
}

static void open_agent(void)
{
	void *lib = dlopen(built("librein-cupti.so"), RTLD_NOW);
	ck_assert_msg(lib != NULL, "%s", dlerror());
	rein_agent_fn *entry = (rein_agent_fn *)dlsym(lib, REIN_AGENT_SYMBOL);
	ck_assert_ptr_nonnull(entry);
	ck_assert_ptr_null(entry(REIN_AGENT_VERSION + 1));
	agent = entry(REIN_AGENT_VERSION);
	ck_assert_ptr_nonnull(agent);
}

/* ---------------------------------------------------------------- order */

TEST(subscribes_first_and_leaves_nothing)
{
	open_agent();
	ck_assert_int_eq(start(false), 0);
	ck_assert_str_eq(history, "subscribe clock buffers +10 +1 +22 +2 +51 ");
	ck_assert_uint_gt(callbacks_on, 50);
	uint64_t before = rein_now_ns(), now = client_clock();
	ck_assert(before <= now && now <= rein_now_ns());
	history[0] = 0;
	agent->stop();
	ck_assert_str_eq(history, "-10 -1 -22 -2 -51 flush unsubscribe ");
	ck_assert_uint_eq(callbacks_on, 0);
	/* whoever comes next has CUPTI's own clock */
	uint64_t seconds = client_clock() / 1000000000u;
	ck_assert(seconds + 10 > (uint64_t)time(NULL) && seconds < (uint64_t)time(NULL) + 10);
	history[0] = 0;
	ck_assert_int_eq(start(false), 0);
	ck_assert_str_eq(history, "subscribe buffers +10 +1 +22 +2 +51 "); /* the clock once */
	now = client_clock();
	ck_assert(before <= now && now <= rein_now_ns());
	agent->stop();
}
TEST_END

TEST(gives_way_to_who_is_there)
{
	open_agent();
	subscribe_result = CUPTI_MULTIPLE_SUBSCRIBERS;
	ck_assert_int_eq(start(false), -EBUSY);
	ck_assert_str_eq(why, "another profiler has CUPTI: CUPTI for somebody");
	ck_assert_str_eq(history, "subscribe "); /* nothing else was touched */
	subscribe_result = 999;
	ck_assert_int_eq(start(false), -EIO);
	ck_assert_str_eq(why, "cuptiSubscribe: CUPTI_ERROR_OF_SOME_KIND");
}
TEST_END

TEST(an_older_cupti_cannot_name_it)
{
	open_agent();
	without_v2 = true;
	subscribe_result = CUPTI_MULTIPLE_SUBSCRIBERS;
	ck_assert_int_eq(start(false), -EBUSY);
	ck_assert_str_eq(why, "another profiler has CUPTI");
}
TEST_END

TEST(what_was_begun_is_undone)
{
	open_agent();
	enable_result = 15;
	ck_assert_int_eq(start(false), -EIO);
	ck_assert_str_eq(why, "cuptiActivityEnable: CUPTI_ERROR_OF_SOME_KIND");
	ck_assert_ptr_nonnull(strstr(history, "unsubscribe "));
	ck_assert_uint_eq(callbacks_on, 0);
}
TEST_END

TEST(no_library)
{
	open_agent();
	ck_assert_int_eq(agent->start(&host, "/nonexistent.so", false, why, sizeof(why)), -ENOENT);
	ck_assert_ptr_nonnull(strstr(why, "/nonexistent.so cannot be loaded"));
}
TEST_END

/* ---------------------------------------------------------------- records */

static void put32(uint8_t *r, size_t at, uint32_t v)
{
	memcpy(r + at, &v, sizeof(v));
}
static void put64(uint8_t *r, size_t at, uint64_t v)
{
	memcpy(r + at, &v, sizeof(v));
}

/* Room in the buffer of the moment. */
static uint8_t *add_record(uint32_t kind)
{
	size_t size, max;
	if (!lent)
		request(&lent, &size, &max);
	ck_assert_ptr_nonnull(lent);
	uint8_t *r = lent + lent_n;
	memset(r, 0xee, RECORD);
	put32(r, 0, kind);
	lent_n += RECORD;
	return r;
}

static void add(uint32_t kind, const struct cupti_layout *l, uint64_t begin, uint64_t end_ns,
                uint32_t correlation)
{
	uint8_t *r = add_record(kind);
	put64(r, l->start, begin);
	put64(r, l->end, end_ns);
	put32(r, l->stream, 5);
	put32(r, l->correlation, correlation);
	if (kind == CUPTI_KIND_KERNEL) {
		put32(r, l->bytes, 3);
		put32(r, l->bytes + 4u, 4);
		put32(r, l->bytes + 8u, 5);
		put64(r, l->name, (uintptr_t) "kernel");
	} else if (l->bytes) {
		put64(r, l->bytes, 777);
	}
	if (kind == CUPTI_KIND_COPY || kind == CUPTI_KIND_PEER_COPY)
		r[CUPTI_COPY_KIND] = 2;
}

static void call(uint32_t correlation, uint64_t where)
{
	struct cupti_call data = {.site = CUPTI_ENTER, .correlation = correlation};
	ticket = (struct rein_agent_ticket){
	    .where = where, .key = where * 10, .owners_gen = 4, .board_device = 2};
	callback(NULL, CUPTI_DOMAIN_DRIVER, 307, &data);
	data.site = CUPTI_ENTER + 1; /* its end says nothing */
	ticket.where = 99;
	callback(NULL, CUPTI_DOMAIN_DRIVER, 307, &data);
}

TEST(records_are_read_and_find_their_submission)
{
	open_agent();
	ck_assert_int_eq(start(false), 0);
	call(11, 1);
	call(12, 2);
	call(13, 3);
	call(14, 4);
	call(15, 0); /* of no submission */
	uint64_t t = rein_now_ns();
	add(CUPTI_KIND_KERNEL, &cupti_kernel, t, t + 1, 11);
	add(CUPTI_KIND_COPY, &cupti_copy, t, t + 2, 12);
	add(CUPTI_KIND_SET, &cupti_set, t, t + 3, 13);
	add_record(38); /* of a kind that is somebody else's */
	add(CUPTI_KIND_GRAPH, &cupti_graph, t, t + 4, 14);
	add(CUPTI_KIND_PEER_COPY, &cupti_peer_copy, t, t + 5, 15);
	add(CUPTI_KIND_KERNEL, &cupti_kernel, t, t + 6, 11 + 65536); /* same slot, never made */
	while (rein_now_ns() < t + 100)
		;
	ck_assert_uint_eq(agent->flush(), 6);
	ck_assert_uint_eq(n_got, 6);
	ck_assert_uint_eq(n_lost, 0);
	static const enum rein_trace_gpu what[] = {REIN_GPU_KERNEL, REIN_GPU_COPY, REIN_GPU_SET,
	                                           REIN_GPU_GRAPH,  REIN_GPU_COPY, REIN_GPU_KERNEL};
	for (unsigned i = 0; i < 6; i++) {
		const struct rein_agent_activity *a = &got[i];
		uint64_t where = i < 4 ? i + 1 : 0;
		ck_assert_int_eq(a->what, what[i]);
		ck_assert_uint_eq(a->begin_ns, t);
		ck_assert_uint_eq(a->end_ns, t + 1 + i);
		ck_assert_uint_eq(a->stream, 5);
		ck_assert_uint_eq(a->ticket.where, where);
		ck_assert_uint_eq(a->ticket.key, where * 10);
		ck_assert_uint_eq(a->ticket.board_device, where ? 2 : REIN_BOARD_DEVICES_MAX);
		ck_assert_uint_eq(a->copy_kind, what[i] == REIN_GPU_COPY ? 2 : 0);
		if (what[i] == REIN_GPU_KERNEL) {
			ck_assert_uint_eq(a->size, 3 | 4ull << 32 | 5ull << 48);
			ck_assert_str_eq(a->name, "kernel");
		} else {
			ck_assert_uint_eq(a->size, what[i] == REIN_GPU_GRAPH ? 0 : 777);
			ck_assert_ptr_null(a->name);
		}
	}
	ck_assert_uint_eq(agent->flush(), 0);
	agent->stop();
}
TEST_END

/* Times that cannot be, a record that is cut, what CUPTI dropped: counted, never believed. */
TEST(what_cannot_be_is_lost)
{
	uint64_t long_ago = rein_now_ns();
	open_agent();
	ck_assert_int_eq(start(false), 0);
	uint64_t t = rein_now_ns();
	add(CUPTI_KIND_KERNEL, &cupti_kernel, long_ago - 1, t, 1); /* before it was enabled */
	add(CUPTI_KIND_KERNEL, &cupti_kernel, t, t - 1, 2);
	add(CUPTI_KIND_KERNEL, &cupti_kernel, t, t + 3600000000000u, 3); /* in the future */
	add(CUPTI_KIND_GRAPH, &cupti_graph, 0, 0, 4);                    /* not complete yet */
	add(CUPTI_KIND_KERNEL, &cupti_kernel, t, t, 5);
	add(CUPTI_KIND_KERNEL, &cupti_kernel, t, t, 6);
	lent_n -= RECORD - 100; /* cut */
	dropped = 7;
	ck_assert_uint_eq(agent->flush(), 1);
	ck_assert_uint_eq(got[0].correlation, 5);
	ck_assert_uint_eq(n_lost, 4 + 1 + 7);
	add_record(CUPTI_KIND_KERNEL);
	lent_n = 2; /* not even a kind */
	ck_assert_uint_eq(agent->flush(), 0);
	agent->stop();
}
TEST_END

TEST(enabled_late_the_first_is_left_out)
{
	open_agent();
	ck_assert_int_eq(start(true), 0);
	uint64_t t = rein_now_ns();
	for (uint32_t i = 1; i <= 3; i++)
		add(CUPTI_KIND_KERNEL, &cupti_kernel, t, t, i);
	ck_assert_uint_eq(agent->flush(), 2);
	ck_assert_uint_eq(n_lost, 1);
	ck_assert_uint_eq(got[0].correlation, 2);
	/* what is left comes with the end */
	add(CUPTI_KIND_KERNEL, &cupti_kernel, t, t, 9);
	agent->stop();
	ck_assert_uint_eq(n_got, 3);
	ck_assert_uint_eq(got[2].correlation, 9);
}
TEST_END

/* Buffers go round; there is an end to them, and somebody else's are none of ours. */
TEST(buffers_are_bounded)
{
	static uint8_t *buffer[1000];
	uint8_t theirs[64];
	size_t size = 1, max = 1;
	unsigned n = 0;
	open_agent();
	ck_assert_int_eq(start(false), 0);
	while (n < 1000) {
		request(&buffer[n], &size, &max);
		if (!buffer[n])
			break;
		ck_assert_uint_eq(size, 128 << 10);
		ck_assert_uint_eq((uintptr_t)buffer[n] % 8, 0);
		ck_assert_uint_eq(max, 0);
		memset(buffer[n++], 0x55, size);
	}
	ck_assert_uint_ge(n, 64);
	ck_assert_uint_le(n, 256);
	ck_assert_uint_eq(size, 0);
	complete(NULL, 0, theirs, sizeof(theirs), sizeof(theirs));
	complete(NULL, 0, buffer[3], 128 << 10, 0);
	request(&buffer[n], &size, &max);
	ck_assert_ptr_null(buffer[n]); /* it is full until it was read */
	ck_assert_uint_eq(agent->flush(), 0);
	request(&buffer[n], &size, &max);
	ck_assert_ptr_eq(buffer[n], buffer[3]);
	agent->stop();
}
TEST_END

TESTS("CUPTI agent", calls_are_those_that_submit, subscribes_first_and_leaves_nothing,
      gives_way_to_who_is_there, an_older_cupti_cannot_name_it, what_was_begun_is_undone,
      no_library, records_are_read_and_find_their_submission, what_cannot_be_is_lost,
      enabled_late_the_first_is_left_out, buffers_are_bounded)
