// SPDX-License-Identifier: Apache-2.0
/*
 * cupti.c: a profiler of its own process: loads libcupti.so.13 as profilers do, and compares what
 * it is told with what it did. One check a run: cupti CHECK. `records` prints each record as
 *	STREAM KIND NAME START END
 * which the test compares with the software GPU's own log.
 */
#include "api_client.h"

#if __has_include(<cupti.h>)
#include "cupti_client.h"

static struct gpu g;
static CUstream s;
static CUdeviceptr p;

static void start(void)
{
	g = gpu_open();
	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	OK(cuMemAlloc(&p, N * sizeof(int)));
}

static void check_kernel(const CUpti_ActivityKernel10 *k, const char *name, uint64_t begin)
{
	uint32_t stream, context;
	FINE(cupti.GetStreamId(g.ctx, s, &stream));
	FINE(cupti.GetContextId(g.ctx, &context));
	CHECK(k->name && strcmp(k->name, name) == 0);
	CHECK(k->gridX == (N + 127) / 128 && k->gridY == 1 && k->gridZ == 1);
	CHECK(k->blockX == 128 && k->blockY == 1 && k->blockZ == 1);
	CHECK(k->deviceId == 0 && k->contextId == context && k->streamId == stream);
	CHECK(k->start >= begin && k->start <= k->end && k->end <= monotonic());
	CHECK(k->correlationId && k->queued == 0 && k->submitted == 0 && !k->graphId);
}

static void do_records(void)
{
	static int host[N];
	static const char *const names[] = {"add", "mul"};
	uint64_t begin = monotonic();
	FINE(cupti.ActivityEnable(KERNEL));
	FINE(cupti.ActivityEnable(COPY));
	FINE(cupti.ActivityEnable(SET));
	start();
	OK(cuMemsetD32Async(p, 7, N, s));
	for (int i = 0; i < LAUNCHES; i++)
		OK(launch(i % 2 ? g.mul : g.add, p, 1, N, s));
	OK(cuMemcpyDtoHAsync(host, p, sizeof(host), s));
	OK(cuStreamSynchronize(s));
	flush();
	CHECK(count(KERNEL) == LAUNCHES && count(COPY) == 1 && count(SET) == 1);
	CHECK(n_records == LAUNCHES + 2);
	uint64_t end = find(SET, 0)->set.end;
	for (size_t i = 0; i < LAUNCHES; i++) {
		const CUpti_ActivityKernel10 *k = &find(KERNEL, i)->kernel;
		check_kernel(k, names[i % 2], begin);
		CHECK(k->start >= end);
		CHECK(!i || k->correlationId > find(KERNEL, i - 1)->kernel.correlationId);
		CHECK(k->name == find(KERNEL, i % 2)->kernel.name);
		end = k->end;
	}
	const CUpti_ActivityMemcpy6 *c = &find(COPY, 0)->copy;
	CHECK(c->copyKind == CUPTI_ACTIVITY_MEMCPY_KIND_DTOH && c->bytes == sizeof(host));
	CHECK(c->srcKind == CUPTI_ACTIVITY_MEMORY_KIND_DEVICE);
	CHECK(c->dstKind == CUPTI_ACTIVITY_MEMORY_KIND_PAGEABLE && c->start >= end);
	const CUpti_ActivityMemset4 *m = &find(SET, 0)->set;
	CHECK(m->value == 7 && m->bytes == sizeof(host) && m->start <= m->end);
	for (size_t i = 0; i < n_records; i++) {
		const union record *r = &records[i];
		if (r->any.kind == KERNEL)
			printf("%u kernel %s %llu %llu\n", r->kernel.streamId, r->kernel.name,
			       (unsigned long long)r->kernel.start,
			       (unsigned long long)r->kernel.end);
		else
			printf(
			    "%u %s - %llu %llu\n",
			    r->any.kind == SET ? r->set.streamId : r->copy.streamId,
			    r->any.kind == SET ? "set" : "copy",
			    (unsigned long long)(r->any.kind == SET ? r->set.start : r->copy.start),
			    (unsigned long long)(r->any.kind == SET ? r->set.end : r->copy.end));
	}
}

static void launches(int n)
{
	for (int i = 0; i < n; i++)
		OK(launch(g.add, p, 1, N, s));
	OK(cuStreamSynchronize(s));
}

/* The module may go: names stay. Disabled means no more; so does finalizing. */
static void do_disable(void)
{
	FINE(cupti.ActivityEnable(KERNEL));
	start();
	launches(3);
	FINE(cupti.ActivityDisable(KERNEL));
	launches(3);
	FINE(cupti.ActivityEnable(KERNEL));
	launches(2);
	OK(cuModuleUnload(g.module));
	flush();
	CHECK(n_records == 5 && strcmp(find(KERNEL, 4)->kernel.name, "add") == 0);
	OK(cuModuleLoadData(&g.module, kernels_ptx));
	OK(cuModuleGetFunction(&g.add, g.module, "add"));
	launches(1);
	FINE(cupti.Finalize());
	CHECK(n_records == 6);
	launches(1);
	flush();
	CHECK(n_records == 6);
	FINE(cupti.ActivityEnable(KERNEL));
	launches(1);
	flush();
	CHECK(n_records == 7);
}

/* Full buffers come by themselves; none given means dropped and counted. */
static void do_buffers(void)
{
	size_t dropped = 99;
	records_max = 4;
	FINE(cupti.ActivityEnable(KERNEL));
	start();
	launches(10);
	flush();
	CHECK(n_records == 10 && n_buffers == 3);
	records_max = 0;
	decline = true;
	launches(6);
	flush();
	CHECK(n_records == 10);
	FINE(cupti.ActivityGetNumDroppedRecords(NULL, 0, &dropped));
	CHECK(dropped == 6);
	FINE(cupti.ActivityGetNumDroppedRecords(NULL, 0, &dropped));
	CHECK(dropped == 0);
	decline = false;
	buffer_bytes = 16; /* holds nothing: that record is dropped, the next buffer has room */
	launches(1);
	flush();
	FINE(cupti.ActivityGetNumDroppedRecords(NULL, 0, &dropped));
	CHECK(dropped == 1);
	buffer_bytes = 4 * sizeof(CUpti_ActivityKernel10);
	n_buffers = 0;
	for (int i = 0; i < 50; i++)
		launches(20);
	for (int i = 0; i < 5000; i++) {
		pthread_mutex_lock(&lock);
		bool some = n_buffers;
		pthread_mutex_unlock(&lock);
		if (some)
			break;
		usleep(1000);
	}
	pthread_mutex_lock(&lock);
	CHECK(n_buffers); /* by the worker, without a flush */
	pthread_mutex_unlock(&lock);
	flush();
	CHECK(n_records == 1010 && n_buffers == 250);
}

static int enters, exits, symbols;
static uint32_t last_correlation;

static void on_call(void *arg, CUpti_CallbackDomain domain, CUpti_CallbackId cbid, const void *info)
{
	const CUpti_CallbackData *d = info;
	CHECK(arg == &enters && domain == CUPTI_CB_DOMAIN_DRIVER_API);
	CHECK(d->context == g.ctx && d->correlationId);
	if (d->callbackSite == CUPTI_API_ENTER) {
		enters++;
		*d->correlationData = 1000 + d->correlationId;
	} else {
		exits++;
		CHECK(*d->correlationData == 1000u + d->correlationId);
		CHECK(*(CUresult *)d->functionReturnValue == CUDA_SUCCESS);
		last_correlation = d->correlationId;
	}
	CHECK(enters == exits + (d->callbackSite == CUPTI_API_ENTER));
	if (cbid == CUPTI_DRIVER_TRACE_CBID_cuLaunchKernel) {
		const cuLaunchKernel_params *q = d->functionParams;
		CHECK(strcmp(d->functionName, "cuLaunchKernel") == 0);
		CHECK(q->f == g.add && q->gridDimX == (N + 127) / 128 && q->blockDimX == 128 &&
		      q->hStream == s && q->kernelParams && !q->extra);
		CHECK(d->symbolName && strcmp(d->symbolName, "add") == 0);
		symbols++;
	} else if (cbid == CUPTI_DRIVER_TRACE_CBID_cuMemcpyDtoHAsync_v2) {
		const cuMemcpyDtoHAsync_v2_params *q = d->functionParams;
		CHECK(q->srcDevice == p && q->ByteCount == 8 && q->hStream == s);
	}
}

static void do_callbacks(void)
{
	static int host[2];
	CUpti_SubscriberHandle first, second;
	start();
	FINE(cupti.Subscribe(&first, on_call, &enters));
	launches(1);
	CHECK(enters == 0);
	FINE(cupti.EnableCallback(1, first, CUPTI_CB_DOMAIN_DRIVER_API,
	                          CUPTI_DRIVER_TRACE_CBID_cuLaunchKernel));
	FINE(cupti.ActivityEnable(KERNEL));
	launches(4);
	flush();
	CHECK(enters == 4 && exits == 4 && symbols == 8);
	CHECK(find(KERNEL, 3)->kernel.correlationId == last_correlation);
	FINE(cupti.EnableDomain(1, first, CUPTI_CB_DOMAIN_DRIVER_API));
	OK(cuMemcpyDtoHAsync(host, p, sizeof(host), s));
	OK(cuCtxSynchronize());
	CHECK(enters == 6 && exits == 6);
	IS(CUPTI_ERROR_NOT_SUPPORTED, cupti.EnableDomain(1, first, CUPTI_CB_DOMAIN_RUNTIME_API));
	FINE(cupti.Unsubscribe(first));
	launches(1);
	CHECK(enters == 6);
	IS(CUPTI_ERROR_INVALID_PARAMETER, cupti.Unsubscribe(first));
	IS(CUPTI_ERROR_INVALID_PARAMETER, cupti.EnableDomain(1, first, CUPTI_CB_DOMAIN_DRIVER_API));
	FINE(cupti.Subscribe(&second, on_call, NULL));
}

static void do_subscribe(void)
{
	CUpti_SubscriberHandle first, second;
	char name[64] = "";
	uint32_t version = 0;
	const char *text = NULL;
	CUpti_SubscriberParams q = {CUpti_SubscriberParams_STRUCT_SIZE, "rein", NULL, 0};
	FINE(cupti.GetVersion(&version));
	CHECK(version == CUPTI_API_VERSION);
	FINE(cupti.GetResultString(MULTIPLE, &text));
	CHECK(strcmp(text, "CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED") == 0);
	IS(CUPTI_ERROR_INVALID_PARAMETER, cupti.Subscribe(NULL, on_call, NULL));
	FINE(cupti.Subscribe_v2(&first, on_call, NULL, &q));
	IS(MULTIPLE, cupti.Subscribe(&second, on_call, NULL));
	q.subscriberName = "other";
	q.oldSubscriberName = name;
	q.oldSubscriberSize = sizeof(name);
	IS(MULTIPLE, cupti.Subscribe_v2(&second, on_call, NULL, &q));
	CHECK(strcmp(name, "CUPTI for rein") == 0);
	FINE(cupti.Unsubscribe(first));
	FINE(cupti.Subscribe(&second, on_call, NULL));
	IS(CUPTI_ERROR_INVALID_KIND, cupti.ActivityEnable((CUpti_ActivityKind)300));
	IS(CUPTI_ERROR_INVALID_KIND, cupti.ActivityEnable(CUPTI_ACTIVITY_KIND_NVLINK));
	IS(CUPTI_ERROR_NOT_COMPATIBLE, cupti.ActivityEnable(CUPTI_ACTIVITY_KIND_KERNEL));
	FINE(cupti.ActivityEnable(CUPTI_ACTIVITY_KIND_OVERHEAD));
	size_t value = 0, bytes = sizeof(value), limit = 7;
	CUpti_ActivityAttribute attr = CUPTI_ACTIVITY_ATTR_DEVICE_BUFFER_POOL_LIMIT;
	FINE(cupti.ActivitySetAttribute(attr, &bytes, &limit));
	FINE(cupti.ActivityGetAttribute(attr, &bytes, &value));
	CHECK(value == 7 && bytes == sizeof(size_t));
	bytes = 4;
	IS(CUPTI_ERROR_PARAMETER_SIZE_NOT_SUFFICIENT,
	   cupti.ActivityGetAttribute(attr, &bytes, &value));
}

static CUgraphExec capture(void)
{
	CUgraph graph;
	CUgraphExec exec;
	OK(cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
	OK(cuMemsetD32Async(p, 1, N, s));
	for (int i = 0; i < 3; i++)
		OK(launch(g.add, p, 1, N, s));
	OK(cuStreamEndCapture(s, &graph));
	OK(cuGraphInstantiate(&exec, graph, 0));
	OK(cuGraphDestroy(graph));
	return exec;
}

/* A launch is one record with GRAPH_TRACE, else one a node, with the graph's and the node's id. */
static void do_graph(void)
{
	uint32_t id;
	start();
	CUgraphExec exec = capture();
	FINE(cupti.GetGraphExecId(exec, &id));
	FINE(cupti.ActivityEnable(KERNEL));
	FINE(cupti.ActivityEnable(SET));
	OK(cuGraphLaunch(exec, s));
	OK(cuStreamSynchronize(s));
	flush();
	CHECK(count(KERNEL) == 3 && count(SET) == 1);
	uint64_t node = find(SET, 0)->set.graphNodeId, end = find(SET, 0)->set.end;
	uint32_t correlation = find(SET, 0)->set.correlationId;
	for (size_t i = 0; i < 3; i++) {
		const CUpti_ActivityKernel10 *k = &find(KERNEL, i)->kernel;
		CHECK(k->graphId == id && k->graphNodeId != node && k->start >= end);
		CHECK(k->correlationId == correlation);
		node = k->graphNodeId;
		end = k->end;
	}
	FINE(cupti.ActivityEnable(GRAPH));
	uint64_t begin = monotonic();
	for (int i = 0; i < 5; i++)
		OK(cuGraphLaunch(exec, s));
	OK(cuStreamSynchronize(s));
	flush();
	CHECK(count(KERNEL) == 3 && count(SET) == 1 && count(GRAPH) == 5);
	for (size_t i = 0; i < 5; i++) {
		const CUpti_ActivityGraphTrace2 *r = &find(GRAPH, i)->graph;
		CHECK(r->graphId == id && r->start >= begin && r->start <= r->end);
		CHECK(r->correlationId > correlation);
		correlation = r->correlationId;
		begin = r->end;
	}
}

/* Records of calls, of waiting, of what the thread was about, and the way to the GPU. */
static void do_calls(void)
{
	uint64_t id = 0;
	uint32_t stream;
	FINE(cupti.ActivityEnableLatencyTimestamps(1));
	FINE(cupti.SetThreadIdType(CUPTI_ACTIVITY_THREAD_ID_TYPE_SYSTEM));
	FINE(cupti.ActivityEnable(KERNEL));
	FINE(cupti.ActivityEnable(SYNC));
	FINE(cupti.ActivityEnable(EXTERNAL));
	FINE(cupti.ActivityEnableDriverApi(CUPTI_DRIVER_TRACE_CBID_cuLaunchKernel, 1));
	IS(CUPTI_ERROR_NOT_SUPPORTED,
	   cupti.ActivityEnableDriverApi(CUPTI_DRIVER_TRACE_CBID_cuMemAlloc_v2, 1));
	start();
	FINE(cupti.ActivityPushExternalCorrelationId(CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0, 5));
	FINE(cupti.ActivityPushExternalCorrelationId(CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0, 6));
	launches(2);
	FINE(cupti.ActivityPopExternalCorrelationId(CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0, &id));
	CHECK(id == 6);
	FINE(cupti.ActivityPopExternalCorrelationId(CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0, &id));
	IS(CUPTI_ERROR_QUEUE_EMPTY,
	   cupti.ActivityPopExternalCorrelationId(CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0, &id));
	launches(1);
	flush();
	CHECK(count(KERNEL) == 3 && count(DRIVER) == 3 && count(SYNC) == 2 && count(EXTERNAL) == 2);
	FINE(cupti.GetStreamId(g.ctx, s, &stream));
	for (size_t i = 0; i < 3; i++) {
		const CUpti_ActivityKernel10 *k = &find(KERNEL, i)->kernel;
		const CUpti_ActivityAPI *a = &find(DRIVER, i)->api;
		CHECK(k->queued && k->submitted >= k->queued && k->start >= k->submitted);
		CHECK(a->correlationId == k->correlationId && a->start <= k->queued);
		CHECK(a->cbid == CUPTI_DRIVER_TRACE_CBID_cuLaunchKernel && a->start <= a->end);
		CHECK(a->processId == (uint32_t)getpid() && a->threadId == (uint32_t)gettid());
	}
	const CUpti_ActivitySynchronization2 *y = &find(SYNC, 0)->sync;
	CHECK(y->type == CUPTI_ACTIVITY_SYNCHRONIZATION_TYPE_STREAM_SYNCHRONIZE);
	CHECK(y->streamId == stream && y->returnValue == 0);
	CHECK(y->end >= find(KERNEL, 1)->kernel.end);
	const CUpti_ActivityExternalCorrelation *e = &find(EXTERNAL, 0)->external;
	CHECK(e->externalId == 6 && e->externalKind == CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0);
	CHECK(e->correlationId == find(KERNEL, 0)->kernel.correlationId);
}

/* Without a clock of the client's the times are those of cuptiGetTimestamp(). */
static void do_clock(void)
{
	uint64_t before, after;
	FINE(cupti.ActivityRegisterCallbacks(on_request, on_complete));
	FINE(cupti.ActivityEnable(KERNEL));
	start();
	FINE(cupti.GetTimestamp(&before));
	CHECK(before > 1700000000ull * 1000000000u); /* later than 2023: CLOCK_REALTIME */
	launches(3);
	FINE(cupti.GetTimestamp(&after));
	flush();
	/* two clocks are compared: to some microseconds, a step of the clock apart */
	CHECK(find(KERNEL, 0)->kernel.start + 1000000 >= before);
	CHECK(find(KERNEL, 2)->kernel.end <= after + 1000000);
}

/* A child has no subscriber and no records, and can have its own. */
static void do_fork(void)
{
	CUpti_SubscriberHandle first, second;
	int status;
	FINE(cupti.Subscribe(&first, on_call, &enters));
	FINE(cupti.ActivityEnable(KERNEL));
	pid_t before = fork(); /* a child may use CUDA: its parent does not yet */
	CHECK(before >= 0);
	if (before == 0) {
		FINE(cupti.Subscribe(&second, on_call, &enters));
		collect();
		FINE(cupti.ActivityEnable(KERNEL));
		start();
		launches(2);
		flush();
		_exit(count(KERNEL) == 2 ? 0 : 1);
	}
	CHECK(waitpid(before, &status, 0) == before && status == 0);
	start();
	launches(1);
	pid_t after = fork();
	CHECK(after >= 0);
	if (after == 0) {
		EXPECT(CUDA_ERROR_NOT_INITIALIZED, cuCtxSynchronize());
		FINE(cupti.Subscribe(&second, on_call, &enters));
		IS(CUPTI_ERROR_INVALID_OPERATION, cupti.ActivityFlushAll(1));
		_exit(0);
	}
	CHECK(waitpid(after, &status, 0) == after && status == 0);
	launches(1);
	flush();
	CHECK(count(KERNEL) == 2);
}

static void *flush_often(void *arg)
{
	for (int i = 0; i < 200; i++)
		flush();
	return NULL;
}

static void *launch_often(void *arg)
{
	CUstream own;
	OK(cuCtxSetCurrent(g.ctx));
	OK(cuStreamCreate(&own, CU_STREAM_NON_BLOCKING));
	for (int i = 0; i < 300; i++)
		OK(launch(g.add, p, 0, N, own));
	OK(cuStreamSynchronize(own));
	return NULL;
}

static void do_threads(void)
{
	pthread_t t[4];
	FINE(cupti.ActivityEnable(KERNEL));
	FINE(cupti.ActivityEnable(DRIVER));
	FINE(cupti.ActivityFlushPeriod(1));
	start();
	for (int i = 0; i < 4; i++)
		CHECK(pthread_create(&t[i], NULL, i < 2 ? launch_often : flush_often, NULL) == 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	flush();
	CHECK(count(KERNEL) == 600 && count(DRIVER) > 600);
}

/* The process ends with work and records pending, and a buffer half full. */
static void do_exit(void)
{
	FINE(cupti.ActivityEnable(KERNEL));
	FINE(cupti.ActivityEnable(DRIVER));
	start();
	launches(5);
	flush();
	for (int i = 0; i < 50; i++)
		OK(launch(g.add, p, 1, N, s));
}

/* Copies between two devices are a kind of their own. */
static void do_peer(void)
{
	CUcontext other;
	CUdeviceptr there;
	uint32_t own_id, other_id;
	FINE(cupti.ActivityEnable(COPY));
	FINE(cupti.ActivityEnable(PEER));
	start();
	OK(cuDevicePrimaryCtxRetain(&other, 1));
	OK(cuCtxSetCurrent(other));
	OK(cuMemAlloc(&there, N * sizeof(int)));
	OK(cuCtxSetCurrent(g.ctx));
	OK(cuMemcpyPeerAsync(there, other, p, g.ctx, N, s));
	OK(cuMemcpyDtoDAsync(p, p + N, N, s));
	OK(cuStreamSynchronize(s));
	flush();
	FINE(cupti.GetContextId(g.ctx, &own_id));
	FINE(cupti.GetContextId(other, &other_id));
	CHECK(n_records == 2 && count(COPY) == 1 && own_id != other_id);
	CHECK(find(COPY, 0)->copy.copyKind == CUPTI_ACTIVITY_MEMCPY_KIND_DTOD);
	const CUpti_ActivityMemcpyPtoP4 *r = &find(PEER, 0)->peer;
	CHECK(r->copyKind == CUPTI_ACTIVITY_MEMCPY_KIND_PTOP && r->bytes == N);
	CHECK(r->deviceId == 0 && r->srcDeviceId == 0 && r->dstDeviceId == 1);
	CHECK(r->srcContextId == own_id && r->dstContextId == other_id);
	CHECK(r->start <= r->end && r->end <= monotonic());
}

/* What has not run to its end leaves no record; what came before does. */
static void do_poison(void)
{
	FINE(cupti.ActivityEnable(KERNEL));
	start();
	launches(2);
	OK(launch(g.add, 4096, 1, N, s));
	launch(g.add, p, 1, N, s);
	EXPECT(CUDA_ERROR_ILLEGAL_ADDRESS, cuStreamSynchronize(s));
	flush();
	CHECK(n_records == 2);
}

/* On a driver that is not the software GPU's. */
static void do_foreign(void)
{
	CUpti_SubscriberHandle first;
	IS(CUPTI_ERROR_NOT_INITIALIZED, cupti.Subscribe(&first, on_call, NULL));
	IS(CUPTI_ERROR_NOT_INITIALIZED, cupti.ActivityEnable(KERNEL));
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*fn)(void);
		bool collects;
	} checks[] = {
	    {"records", do_records, true},     {"disable", do_disable, true},
	    {"buffers", do_buffers, true},     {"callbacks", do_callbacks, true},
	    {"subscribe", do_subscribe, true}, {"graph", do_graph, true},
	    {"calls", do_calls, true},         {"fork", do_fork, true},
	    {"threads", do_threads, true},     {"exit", do_exit, true},
	    {"peer", do_peer, true},           {"poison", do_poison, true},
	    {"clock", do_clock, false},        {"foreign", do_foreign, false},
	};
	load();
	for (size_t i = 0; argc == 2 && i < sizeof(checks) / sizeof(checks[0]); i++) {
		if (strcmp(argv[1], checks[i].name) != 0)
			continue;
		if (checks[i].collects)
			collect();
		else
			records = calloc(RECORDS_MAX, sizeof(*records));
		checks[i].fn();
		printf("ok\n");
		return 0;
	}
	fprintf(stderr, "usage: cupti CHECK\n");
	return 2;
}

#else

int main(void)
{
	fprintf(stderr, "CUPTI's headers were missing when this was built\n");
	return 77;
}
#endif
