// SPDX-License-Identifier: Apache-2.0
/* record.c: CUPTI's activity records, of what libcuda.so.1 tells. Times are CLOCK_MONOTONIC here.
 */
#include "double.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

#include "../../common/clock.h"

enum { MARK_ENTERED = 1 << 1, MARK_API = 1 << 2 }; /* of a call; subscribe.c has another */

/* ---- calls */

static void record_external(const struct sg_trace_call *c)
{
	CUpti_ActivityExternalCorrelation r = {.kind = CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION,
	                                       .correlationId = c->correlation};
	for (int k = CUPTI_EXTERNAL_CORRELATION_KIND_INVALID + 1;
	     k < CUPTI_EXTERNAL_CORRELATION_KIND_SIZE; k++) {
		uint64_t id;
		if (!sg_cupti_external((CUpti_ExternalCorrelationKind)k, &id))
			continue;
		r.externalKind = (CUpti_ExternalCorrelationKind)k;
		r.externalId = id;
		sg_cupti_push(&r, sizeof(r));
	}
}

static void record_api(const struct sg_trace_call *c, uint64_t now)
{
	CUpti_ActivityAPI r = {
	    .kind = CUPTI_ACTIVITY_KIND_DRIVER,
	    .cbid = sg_cupti_calls[c->id].cbid,
	    .start = c->enter_ns,
	    .end = now,
	    .processId = (uint32_t)getpid(),
	    .threadId = sg_cupti_thread_id(),
	    .correlationId = c->correlation,
	    .returnValue = (uint32_t)c->result,
	};
	sg_cupti_push(&r, sizeof(r));
}

static void record_sync(const struct sg_trace_call *c, uint64_t now)
{
	struct sg_cupti_sync s = sg_cupti_sync_of(c);
	const struct sg_trace_driver *d = sg_cupti_driver();
	uint32_t stream = CUPTI_SYNCHRONIZATION_INVALID_VALUE;
	if (s.type == CUPTI_ACTIVITY_SYNCHRONIZATION_TYPE_UNKNOWN)
		return;
	if (s.in_stream && d && d->stream_id(NULL, s.stream, s.per_thread, &stream) != CUDA_SUCCESS)
		stream = CUPTI_SYNCHRONIZATION_INVALID_VALUE;
	CUpti_ActivitySynchronization2 r = {
	    .kind = CUPTI_ACTIVITY_KIND_SYNCHRONIZATION,
	    .type = s.type,
	    .start = c->enter_ns,
	    .end = now,
	    .correlationId = c->correlation,
	    .contextId = c->context,
	    .streamId = stream,
	    .cudaEventId = CUPTI_SYNCHRONIZATION_INVALID_VALUE, /* events have no ids here */
	    .returnValue = (uint32_t)c->result,
	};
	sg_cupti_push(&r, sizeof(r));
}

void sg_cupti_record_call(struct sg_trace_call *c)
{
	bool api = sg_cupti_api_on(c->id);
	uint64_t now = rein_now_ns();
	if (!c->exit) {
		c->enter_ns = now;
		c->marks |= MARK_ENTERED | (api ? MARK_API : 0);
		if (api && sg_cupti_kind_on(CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION))
			record_external(c);
		return;
	}
	if (api && (c->marks & MARK_API))
		record_api(c, now);
	if ((c->marks & MARK_ENTERED) && sg_cupti_kind_on(CUPTI_ACTIVITY_KIND_SYNCHRONIZATION))
		record_sync(c, now);
}

/* ---- work */

static void record_kernel(const struct sg_trace_work *w)
{
	bool latency = sg_cupti_latency_on();
	CUpti_ActivityKernel10 r = {
	    .kind = CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL,
	    .registersPerThread = (uint16_t)w->kernel.registers,
	    .start = w->start_ns,
	    .end = w->end_ns,
	    .completed = w->end_ns,
	    .deviceId = w->device,
	    .contextId = w->context,
	    .streamId = (uint32_t)w->stream,
	    .gridX = (int32_t)w->kernel.grid[0],
	    .gridY = (int32_t)w->kernel.grid[1],
	    .gridZ = (int32_t)w->kernel.grid[2],
	    .blockX = (int32_t)w->kernel.block[0],
	    .blockY = (int32_t)w->kernel.block[1],
	    .blockZ = (int32_t)w->kernel.block[2],
	    .staticSharedMemory = (int32_t)w->kernel.static_shared,
	    .dynamicSharedMemory = (int32_t)w->kernel.dynamic_shared,
	    .localMemoryPerThread = w->kernel.local,
	    .correlationId = w->correlation,
	    .name = sg_cupti_intern(w->kernel.name),
	    .queued = latency ? w->queued_ns : CUPTI_TIMESTAMP_UNKNOWN,
	    .submitted = latency ? w->submit_ns : CUPTI_TIMESTAMP_UNKNOWN,
	    .launchType = w->kernel.cooperative
	                      ? CUPTI_ACTIVITY_LAUNCH_TYPE_COOPERATIVE_SINGLE_DEVICE
	                      : CUPTI_ACTIVITY_LAUNCH_TYPE_REGULAR,
	    .sharedMemoryExecuted = w->kernel.static_shared + w->kernel.dynamic_shared,
	    .graphNodeId = w->node,
	    .graphId = w->graph,
	    .channelType = CUPTI_CHANNEL_TYPE_COMPUTE,
	};
	static rein_a64 grids;
	r.gridId = (int64_t)rein_add_relaxed(&grids, 1) + 1;
	sg_cupti_push(&r, sizeof(r));
}

static bool on_device(const struct sg_trace_side *s)
{
	return s->memory == SG_TRACE_DEVICE || s->memory == SG_TRACE_MANAGED ||
	       s->memory == SG_TRACE_STATIC;
}

static bool between_devices(const struct sg_trace_work *w)
{
	return on_device(&w->copy.src) && on_device(&w->copy.dst) &&
	       w->copy.src.device != w->copy.dst.device;
}

static void record_peer_copy(const struct sg_trace_work *w)
{
	CUpti_ActivityMemcpyPtoP4 r = {
	    .kind = CUPTI_ACTIVITY_KIND_MEMCPY2,
	    .copyKind = CUPTI_ACTIVITY_MEMCPY_KIND_PTOP,
	    .srcKind = (uint8_t)w->copy.src.memory,
	    .dstKind = (uint8_t)w->copy.dst.memory,
	    .flags = w->async ? CUPTI_ACTIVITY_FLAG_MEMCPY_ASYNC : 0,
	    .bytes = w->copy.bytes,
	    .start = w->start_ns,
	    .end = w->end_ns,
	    .deviceId = w->device,
	    .contextId = w->context,
	    .streamId = (uint32_t)w->stream,
	    .srcDeviceId = w->copy.src.device,
	    .srcContextId = w->copy.src.context,
	    .dstDeviceId = w->copy.dst.device,
	    .dstContextId = w->copy.dst.context,
	    .correlationId = w->correlation,
	    .graphNodeId = w->node,
	    .graphId = w->graph,
	    .channelType = CUPTI_CHANNEL_TYPE_ASYNC_MEMCPY,
	};
	sg_cupti_push(&r, sizeof(r));
}

static void record_copy(const struct sg_trace_work *w)
{
	bool from = on_device(&w->copy.src), to = on_device(&w->copy.dst);
	CUpti_ActivityMemcpy6 r = {
	    .kind = CUPTI_ACTIVITY_KIND_MEMCPY,
	    .copyKind =
		from ? (to ? CUPTI_ACTIVITY_MEMCPY_KIND_DTOD : CUPTI_ACTIVITY_MEMCPY_KIND_DTOH)
		     : (to ? CUPTI_ACTIVITY_MEMCPY_KIND_HTOD : CUPTI_ACTIVITY_MEMCPY_KIND_HTOH),
	    .srcKind = (uint8_t)w->copy.src.memory,
	    .dstKind = (uint8_t)w->copy.dst.memory,
	    .flags = w->async ? CUPTI_ACTIVITY_FLAG_MEMCPY_ASYNC : 0,
	    .bytes = w->copy.bytes,
	    .start = w->start_ns,
	    .end = w->end_ns,
	    .deviceId = w->device,
	    .contextId = w->context,
	    .streamId = (uint32_t)w->stream,
	    .correlationId = w->correlation,
	    .graphNodeId = w->node,
	    .graphId = w->graph,
	    .channelType = CUPTI_CHANNEL_TYPE_ASYNC_MEMCPY,
	    .copyCount = 1,
	};
	sg_cupti_push(&r, sizeof(r));
}

static void record_set(const struct sg_trace_work *w)
{
	CUpti_ActivityMemset4 r = {
	    .kind = CUPTI_ACTIVITY_KIND_MEMSET,
	    .value = w->set.value,
	    .bytes = w->set.bytes,
	    .start = w->start_ns,
	    .end = w->end_ns,
	    .deviceId = w->device,
	    .contextId = w->context,
	    .streamId = (uint32_t)w->stream,
	    .correlationId = w->correlation,
	    .flags = w->async ? CUPTI_ACTIVITY_FLAG_MEMSET_ASYNC : 0,
	    .memoryKind = (uint16_t)w->set.memory,
	    .graphNodeId = w->node,
	    .graphId = w->graph,
	    .channelType = CUPTI_CHANNEL_TYPE_COMPUTE,
	};
	sg_cupti_push(&r, sizeof(r));
}

/* ---- graphs as a whole: one record when the last command of a launch has completed */

struct run {
	struct run *next;
	uint32_t left;
	bool failed;
	CUpti_ActivityGraphTrace2 record;
};
static pthread_mutex_t runs_lock = PTHREAD_MUTEX_INITIALIZER;
static struct run *runs;
static uint64_t graphs_since_ns; /* of launches before only a part would be seen */

void sg_cupti_record_graphs(void)
{
	pthread_mutex_lock(&runs_lock);
	graphs_since_ns = rein_now_ns();
	pthread_mutex_unlock(&runs_lock);
}

void sg_cupti_record_child(void)
{
	pthread_mutex_init(&runs_lock, NULL);
	while (runs) {
		struct run *next = runs->next;
		free(runs);
		runs = next;
	}
}

static struct run *new_run(const struct sg_trace_work *w)
{
	struct run *run = calloc(1, sizeof(*run));
	if (!run)
		return NULL;
	run->left = w->graph_commands;
	run->record = (CUpti_ActivityGraphTrace2){
	    .kind = CUPTI_ACTIVITY_KIND_GRAPH_TRACE,
	    .correlationId = w->correlation,
	    .start = UINT64_MAX,
	    .deviceId = w->device,
	    .graphId = w->graph,
	    .contextId = w->context,
	    .streamId = (uint32_t)w->stream,
	};
	run->next = runs;
	runs = run;
	return run;
}

/* A node that takes no time of the GPU counts from where it ends. */
static void count(struct run *run, const struct sg_trace_work *w)
{
	uint64_t start = w->what == SG_TRACE_OTHER ? w->end_ns : w->start_ns;
	if (start < run->record.start)
		run->record.start = start;
	if (w->end_ns >= run->record.end) {
		run->record.end = w->end_ns;
		run->record.endDeviceId = w->device;
		run->record.endContextId = w->context;
	}
	run->failed |= w->failed;
	run->left--;
}

static void record_graph(const struct sg_trace_work *w)
{
	pthread_mutex_lock(&runs_lock);
	struct run **at = &runs, *run = NULL;
	while (*at && (*at)->record.correlationId != w->correlation)
		at = &(*at)->next;
	if (*at)
		run = *at;
	else if (w->queued_ns >= graphs_since_ns && (run = new_run(w)))
		at = &runs;
	if (run)
		count(run, w);
	if (run && run->left == 0) {
		*at = run->next;
		if (!run->failed)
			sg_cupti_push(&run->record, sizeof(run->record));
		free(run);
	}
	pthread_mutex_unlock(&runs_lock);
}

void sg_cupti_record_work(const struct sg_trace_work *w)
{
	if (w->graph && sg_cupti_kind_on(CUPTI_ACTIVITY_KIND_GRAPH_TRACE)) {
		record_graph(w); /* instead of records of its nodes */
		return;
	}
	if (w->failed)
		return;
	if (w->what == SG_TRACE_KERNEL && sg_cupti_kind_on(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL))
		record_kernel(w);
	else if (w->what == SG_TRACE_SET && sg_cupti_kind_on(CUPTI_ACTIVITY_KIND_MEMSET))
		record_set(w);
	else if (w->what != SG_TRACE_COPY)
		return;
	else if (between_devices(w) && sg_cupti_kind_on(CUPTI_ACTIVITY_KIND_MEMCPY2))
		record_peer_copy(w);
	else if (!between_devices(w) && sg_cupti_kind_on(CUPTI_ACTIVITY_KIND_MEMCPY))
		record_copy(w);
}

/* ---- records of all kinds: sizes, and where their times are */

#define IN_STEP(type) static_assert(sizeof(type) % 8 == 0, "records follow one another")
IN_STEP(CUpti_ActivityKernel10);
IN_STEP(CUpti_ActivityMemcpy6);
IN_STEP(CUpti_ActivityMemcpyPtoP4);
IN_STEP(CUpti_ActivityMemset4);
IN_STEP(CUpti_ActivityAPI);
IN_STEP(CUpti_ActivitySynchronization2);
IN_STEP(CUpti_ActivityExternalCorrelation);
IN_STEP(CUpti_ActivityGraphTrace2);

static const struct layout {
	CUpti_ActivityKind kind;
	size_t bytes;
	size_t time[5];
	size_t times;
} layouts[] = {
#define LAYOUT(k, type, n, ...)                                                                    \
	{                                                                                          \
		CUPTI_ACTIVITY_KIND_##k, sizeof(type), {__VA_ARGS__}, n                            \
	}
#define AT(type, member) offsetof(type, member)
#define SPAN(type) AT(type, start), AT(type, end)
    LAYOUT(CONCURRENT_KERNEL, CUpti_ActivityKernel10, 5, SPAN(CUpti_ActivityKernel10),
           AT(CUpti_ActivityKernel10, completed), AT(CUpti_ActivityKernel10, queued),
           AT(CUpti_ActivityKernel10, submitted)),
    LAYOUT(MEMCPY, CUpti_ActivityMemcpy6, 2, SPAN(CUpti_ActivityMemcpy6)),
    LAYOUT(MEMCPY2, CUpti_ActivityMemcpyPtoP4, 2, SPAN(CUpti_ActivityMemcpyPtoP4)),
    LAYOUT(MEMSET, CUpti_ActivityMemset4, 2, SPAN(CUpti_ActivityMemset4)),
    LAYOUT(DRIVER, CUpti_ActivityAPI, 2, SPAN(CUpti_ActivityAPI)),
    LAYOUT(SYNCHRONIZATION, CUpti_ActivitySynchronization2, 2,
           SPAN(CUpti_ActivitySynchronization2)),
    LAYOUT(EXTERNAL_CORRELATION, CUpti_ActivityExternalCorrelation, 0, 0),
    LAYOUT(GRAPH_TRACE, CUpti_ActivityGraphTrace2, 2, SPAN(CUpti_ActivityGraphTrace2)),
};

static const struct layout *layout_of(CUpti_ActivityKind kind)
{
	for (size_t i = 0; i < REIN_ARRAY_LEN(layouts); i++)
		if (layouts[i].kind == kind)
			return &layouts[i];
	return NULL;
}

size_t sg_cupti_record_bytes(CUpti_ActivityKind kind)
{
	const struct layout *l = layout_of(kind);
	return l ? l->bytes : 0;
}

void sg_cupti_record_shift(CUpti_Activity *record, int64_t ns)
{
	const struct layout *l = layout_of(record->kind);
	for (size_t i = 0; l && i < l->times; i++) {
		uint64_t t;
		memcpy(&t, (char *)record + l->time[i], sizeof(t));
		if (t == CUPTI_TIMESTAMP_UNKNOWN)
			continue;
		t += (uint64_t)ns;
		memcpy((char *)record + l->time[i], &t, sizeof(t));
	}
}
