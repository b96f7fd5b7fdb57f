// SPDX-License-Identifier: Apache-2.0
/* test_cupti.c: what the probes read of CUPTI's records is where the installed headers have it, and
 * collecting reads no further than a buffer goes. */
#include "tests/harness.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/gpu/lib/cupti.h"

#if __has_include(<cupti.h>)
#include <cupti.h>
#define IS_AT(type, field, offset) _Static_assert(offsetof(type, field) == (offset), #field)
#define IS_KERNEL(type)                                                                            \
	IS_AT(type, start, WL_CUPTI_K_START);                                                      \
	IS_AT(type, end, WL_CUPTI_K_END);                                                          \
	IS_AT(type, deviceId, WL_CUPTI_K_DEVICE);                                                  \
	IS_AT(type, contextId, WL_CUPTI_K_CONTEXT);                                                \
	IS_AT(type, streamId, WL_CUPTI_K_STREAM);                                                  \
	IS_AT(type, gridX, WL_CUPTI_K_GRID);                                                       \
	IS_AT(type, correlationId, WL_CUPTI_K_CORRELATION);                                        \
	IS_AT(type, name, WL_CUPTI_K_NAME);                                                        \
	IS_AT(type, queued, WL_CUPTI_K_QUEUED);                                                    \
	IS_AT(type, submitted, WL_CUPTI_K_SUBMITTED);                                              \
	IS_AT(type, graphNodeId, WL_CUPTI_K_GRAPH_NODE);                                           \
	IS_AT(type, graphId, WL_CUPTI_K_GRAPH)
IS_KERNEL(CUpti_ActivityKernel9);
#if CUPTI_API_VERSION >= 130000
IS_KERNEL(CUpti_ActivityKernel10);
#endif
IS_AT(CUpti_ActivityGraphTrace2, correlationId, 4);
IS_AT(CUpti_ActivityGraphTrace2, start, WL_CUPTI_G_START);
IS_AT(CUpti_ActivityGraphTrace2, end, WL_CUPTI_G_END);
_Static_assert((int)CUPTI_ACTIVITY_KIND_DRIVER == WL_CUPTI_DRIVER, "kind");
_Static_assert((int)CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL == WL_CUPTI_KERNEL, "kind");
_Static_assert((int)CUPTI_ACTIVITY_KIND_GRAPH_TRACE == WL_CUPTI_GRAPH, "kind");
_Static_assert((int)CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED == WL_CUPTI_MULTIPLE_SUBSCRIBERS,
               "error");
_Static_assert((int)CUPTI_CB_DOMAIN_DRIVER_API == WL_CUPTI_DOMAIN_DRIVER, "domain");
_Static_assert((int)CUPTI_DRIVER_TRACE_CBID_cuLaunchKernel == WL_CUPTI_CBID_LAUNCH, "cbid");
#endif

/* ---- a CUPTI whose records are of one length, and whose one buffer is delivered at a flush */
#define RECORD 168u
static void (*request)(uint8_t **buf, size_t *size, size_t *max);
static void (*complete)(CUcontext context, uint32_t stream, uint8_t *buf, size_t size,
                        size_t valid);
static uint8_t content[4 * RECORD];
static size_t content_len;

static int fake_register(void (*req)(uint8_t **, size_t *, size_t *),
                         void (*comp)(CUcontext, uint32_t, uint8_t *, size_t, size_t))
{
	request = req;
	complete = comp;
	return WL_CUPTI_OK;
}

static int fake_next(uint8_t *buf, size_t valid, void **record)
{
	uint8_t *r = *record ? (uint8_t *)*record + RECORD : buf;
	if (r >= buf + valid)
		return 12; /* CUPTI_ERROR_MAX_LIMIT_REACHED */
	*record = r;
	return WL_CUPTI_OK;
}

static int fake_flush(uint32_t flags)
{
	uint8_t *given, *exact = malloc(content_len); /* no longer than its content: watched */
	size_t size, max;
	request(&given, &size, &max);
	ck_assert_ptr_nonnull(given);
	ck_assert_uint_ge(size, 64u << 10);
	ck_assert_uint_eq((uintptr_t)given % 8, 0); /* as CUPTI demands */
	free(given);
	ck_assert_ptr_nonnull(exact);
	memcpy(exact, content, content_len);
	complete(NULL, 0, exact, content_len, content_len); /* frees it */
	return WL_CUPTI_OK;
}

static void put(size_t at, size_t offset, const void *value, size_t len)
{
	memcpy(content + at * RECORD + offset, value, len);
}

static void fill(void)
{
	static const int kinds[] = {WL_CUPTI_KERNEL, WL_CUPTI_DRIVER, WL_CUPTI_GRAPH,
	                            WL_CUPTI_KERNEL};
	static const char name[] = "some_kernel", *at = name;
	memset(content, 0, sizeof(content));
	for (size_t i = 0; i < 4; i++) {
		uint64_t start = 100 * (i + 1), end = start + 7;
		bool graph = kinds[i] == WL_CUPTI_GRAPH;
		put(i, 0, &kinds[i], 4);
		put(i, graph ? WL_CUPTI_G_START : WL_CUPTI_K_START, &start, 8);
		put(i, graph ? WL_CUPTI_G_END : WL_CUPTI_K_END, &end, 8);
		put(i, graph ? 4 : WL_CUPTI_K_CORRELATION, &(uint32_t){40 + (uint32_t)i}, 4);
		if (kinds[i] == WL_CUPTI_KERNEL) {
			put(i, WL_CUPTI_K_GRID, (int32_t[]){3, 2, 1}, 12);
			put(i, WL_CUPTI_K_NAME, &at, sizeof(at));
			put(i, WL_CUPTI_K_GRAPH, &(uint32_t){9}, 4);
		}
	}
	content_len = sizeof(content);
}

static struct wl_cupti fake(void)
{
	return (struct wl_cupti){.ActivityRegisterCallbacks = fake_register,
	                         .ActivityGetNextRecord = fake_next,
	                         .ActivityFlushAll = fake_flush};
}

TEST(reads_what_is_there)
{
	struct wl_cupti c = fake();
	struct wl_cupti_collected got;
	fill();
	ck_assert_int_eq(wl_cupti_collect(&c), WL_CUPTI_OK);
	ck_assert_int_eq(wl_cupti_take(&c, &got), WL_CUPTI_OK);
	ck_assert_uint_eq(got.n, 3);
	ck_assert_uint_eq(got.driver, 1);
	ck_assert_uint_eq(got.truncated, 0);
	ck_assert_uint_eq(got.kernel_bytes, RECORD);
	ck_assert_int_eq(got.v[0].kind, WL_CUPTI_KERNEL);
	ck_assert_uint_eq(got.v[0].start, 100);
	ck_assert_uint_eq(got.v[0].end, 107);
	ck_assert_uint_eq(got.v[0].correlation, 40);
	ck_assert_uint_eq(got.v[0].graph, 9);
	ck_assert_int_eq(got.v[0].grid[1], 2);
	ck_assert_str_eq(got.v[0].name, "some_kernel");
	ck_assert_int_eq(got.v[1].kind, WL_CUPTI_GRAPH);
	ck_assert_uint_eq(got.v[1].start, 300);
	ck_assert_uint_eq(got.v[1].correlation, 42);
	free(got.v);
}
TEST_END

/* A last record that is shorter than what is read of it is counted, not read. */
TEST(reads_no_further_than_the_buffer)
{
	struct wl_cupti c = fake();
	struct wl_cupti_collected got;
	fill();
	ck_assert_int_eq(wl_cupti_collect(&c), WL_CUPTI_OK);
	for (size_t cut = 1; cut <= RECORD; cut++) {
		content_len = sizeof(content) - cut;
		ck_assert_int_eq(wl_cupti_take(&c, &got), WL_CUPTI_OK);
		bool whole = RECORD - cut >= WL_CUPTI_K_PREFIX;
		ck_assert_uint_eq(got.n, whole ? 3 : 2);
		ck_assert_uint_eq(got.truncated, whole || cut == RECORD ? 0 : 1);
		free(got.v);
	}
}
TEST_END

TEST(says_why_there_is_no_library)
{
	struct wl_cupti c;
	ck_assert_int_eq(wl_cupti_open(&c, "/nowhere/libcupti.so.13"), -1);
	ck_assert_ptr_nonnull(strstr(c.why, "/nowhere/libcupti.so.13"));
	ck_assert_int_eq(wl_cupti_open(&c, "libc.so.6"), -1); /* a library, another one */
	ck_assert_ptr_nonnull(strstr(c.why, "cuptiGetVersion"));
}
TEST_END

TESTS("cupti", reads_what_is_there, reads_no_further_than_the_buffer, says_why_there_is_no_library)
