// SPDX-License-Identifier: Apache-2.0
/*
 * cupti_client.h: what cupti.c needs of a profiler: CUPTI's functions, bound at run time, and a
 * collection of the records that come.
 */
#ifndef CUPTI_CLIENT_H
#define CUPTI_CLIENT_H

#include "api_client.h"

#include <cupti.h>

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define N 1000
#define LAUNCHES 20
#define RECORDS_MAX 70000
#define MULTIPLE CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED

#define FUNCTIONS(X)                                                                               \
	X(GetVersion)                                                                              \
	X(GetTimestamp)                                                                            \
	X(GetResultString)                                                                         \
	X(GetStreamId)                                                                             \
	X(GetContextId)                                                                            \
	X(GetGraphExecId)                                                                          \
	X(SetThreadIdType)                                                                         \
	X(Subscribe)                                                                               \
	X(Subscribe_v2)                                                                            \
	X(Unsubscribe)                                                                             \
	X(EnableCallback)                                                                          \
	X(EnableDomain)                                                                            \
	X(Finalize)                                                                                \
	X(ActivityEnable)                                                                          \
	X(ActivityDisable)                                                                         \
	X(ActivityEnableDriverApi)                                                                 \
	X(ActivityEnableLatencyTimestamps)                                                         \
	X(ActivityFlushAll)                                                                        \
	X(ActivityFlushPeriod)                                                                     \
	X(ActivityGetNextRecord)                                                                   \
	X(ActivityGetNumDroppedRecords)                                                            \
	X(ActivityGetAttribute)                                                                    \
	X(ActivitySetAttribute)                                                                    \
	X(ActivityPushExternalCorrelationId)                                                       \
	X(ActivityPopExternalCorrelationId)                                                        \
	X(ActivityRegisterCallbacks)                                                               \
	X(ActivityRegisterTimestampCallback)

static struct {
#define MEMBER(f) __typeof__(&cupti##f) f;
	FUNCTIONS(MEMBER)
} cupti;

#define IS(code, call) CHECK((call) == (code))
#define FINE(call) IS(CUPTI_SUCCESS, call)

static void load(void)
{
	void *lib = dlopen("libcupti.so.13", RTLD_NOW | RTLD_LOCAL);
	if (!lib)
		fprintf(stderr, "%s\n", dlerror());
	CHECK(lib);
#define BIND(f)                                                                                    \
	cupti.f = (__typeof__(cupti.f))dlsym(lib, "cupti" #f);                                     \
	CHECK(cupti.f);
	FUNCTIONS(BIND)
	/* what there is not is absent */
	CHECK(!dlsym(lib, "cuptiProfilerInitialize") && !dlsym(lib, "cuptiEventGroupCreate"));
	CHECK(dlvsym(lib, "cuptiSubscribe", "libcupti.so.13"));
}

/* ---- collecting */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static union record {
	CUpti_Activity any;
	CUpti_ActivityKernel10 kernel;
	CUpti_ActivityMemcpy6 copy;
	CUpti_ActivityMemcpyPtoP4 peer;
	CUpti_ActivityMemset4 set;
	CUpti_ActivityAPI api;
	CUpti_ActivitySynchronization2 sync;
	CUpti_ActivityExternalCorrelation external;
	CUpti_ActivityGraphTrace2 graph;
} * records;
static size_t n_records, n_buffers, buffer_bytes = 128 << 10, records_max;
static bool decline;

static size_t size_of(CUpti_ActivityKind kind)
{
	switch ((int)kind) {
	case CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL:
		return sizeof(CUpti_ActivityKernel10);
	case CUPTI_ACTIVITY_KIND_MEMCPY:
		return sizeof(CUpti_ActivityMemcpy6);
	case CUPTI_ACTIVITY_KIND_MEMCPY2:
		return sizeof(CUpti_ActivityMemcpyPtoP4);
	case CUPTI_ACTIVITY_KIND_MEMSET:
		return sizeof(CUpti_ActivityMemset4);
	case CUPTI_ACTIVITY_KIND_DRIVER:
		return sizeof(CUpti_ActivityAPI);
	case CUPTI_ACTIVITY_KIND_SYNCHRONIZATION:
		return sizeof(CUpti_ActivitySynchronization2);
	case CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION:
		return sizeof(CUpti_ActivityExternalCorrelation);
	case CUPTI_ACTIVITY_KIND_GRAPH_TRACE:
		return sizeof(CUpti_ActivityGraphTrace2);
	default:
		CHECK(!"a kind that was not asked for");
		return 0;
	}
}

static void on_request(uint8_t **buffer, size_t *size, size_t *max)
{
	*buffer = decline ? NULL : aligned_alloc(8, buffer_bytes);
	*size = buffer_bytes;
	*max = records_max;
}

static void on_complete(CUcontext context, uint32_t stream, uint8_t *buffer, size_t size,
                        size_t valid)
{
	CUpti_Activity *r = NULL;
	size_t bytes = 0, n = 0;
	CHECK(!context && !stream && size == buffer_bytes && valid <= size);
	IS(CUPTI_ERROR_INVALID_OPERATION, cupti.ActivityFlushAll(0)); /* within its own callback */
	pthread_mutex_lock(&lock);
	while (cupti.ActivityGetNextRecord(buffer, valid, &r) == CUPTI_SUCCESS) {
		CHECK(n_records < RECORDS_MAX);
		memcpy(&records[n_records++], r, size_of(r->kind));
		bytes += size_of(r->kind);
		n++;
	}
	CHECK(bytes == valid && (!records_max || n <= records_max));
	n_buffers++;
	pthread_mutex_unlock(&lock);
	free(buffer);
}

static uint64_t monotonic(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static size_t count(CUpti_ActivityKind kind)
{
	size_t n = 0;
	for (size_t i = 0; i < n_records; i++)
		n += records[i].any.kind == kind;
	return n;
}

static union record *find(CUpti_ActivityKind kind, size_t nth)
{
	for (size_t i = 0; i < n_records; i++)
		if (records[i].any.kind == kind && nth-- == 0)
			return &records[i];
	CHECK(!"there is no such record");
	return NULL;
}

static void flush(void)
{
	FINE(cupti.ActivityFlushAll(0));
}

static void collect(void)
{
	records = calloc(RECORDS_MAX, sizeof(*records));
	CHECK(records);
	FINE(cupti.ActivityRegisterTimestampCallback(monotonic));
	FINE(cupti.ActivityRegisterCallbacks(on_request, on_complete));
}

#define KERNEL CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL
#define COPY CUPTI_ACTIVITY_KIND_MEMCPY
#define PEER CUPTI_ACTIVITY_KIND_MEMCPY2
#define SET CUPTI_ACTIVITY_KIND_MEMSET
#define GRAPH CUPTI_ACTIVITY_KIND_GRAPH_TRACE
#define SYNC CUPTI_ACTIVITY_KIND_SYNCHRONIZATION
#define EXTERNAL CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION
#define DRIVER CUPTI_ACTIVITY_KIND_DRIVER

#endif
