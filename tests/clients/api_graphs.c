// SPDX-License-Identifier: Apache-2.0
/* api_graphs.c: stream capture with its rules, and graphs: launched ones give what the same calls
 * give eagerly. */
#include "api_client.h"

#include <pthread.h>
#include <stdatomic.h>

#define N 300
#define MODE_G CU_STREAM_CAPTURE_MODE_GLOBAL
#define MODE_T CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
#define MODE_R CU_STREAM_CAPTURE_MODE_RELAXED

static struct gpu g;
static CUdeviceptr p, q;
static CUstream s, s2, blocking;
static int *pinned;

static void begin(void)
{
	g = gpu_open();
	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	OK(cuStreamCreate(&s2, CU_STREAM_NON_BLOCKING));
	OK(cuStreamCreate(&blocking, CU_STREAM_DEFAULT));
	OK(cuMemAlloc(&p, N * sizeof(int)));
	OK(cuMemAlloc(&q, N * sizeof(int)));
	OK(cuMemAllocHost((void **)&pinned, N * sizeof(int)));
}

static void CUDA_CB bump(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
}

/* Work over two streams, joined by events: q = 3 * (p + 4), then copied out. */
static void work(CUevent fork, CUevent join, atomic_int *bumped)
{
	OK(cuMemsetD32Async(p, 2, N, s));
	OK(cuEventRecord(fork, s));
	OK(cuStreamWaitEvent(s2, fork, 0));
	OK(launch(g.add, p, 4, N, s));
	OK(cuMemsetD32Async(q, 0, N, s2));
	OK(cuLaunchHostFunc(s2, bump, bumped));
	OK(cuEventRecord(join, s2));
	OK(cuStreamWaitEvent(s, join, 0));
	OK(cuMemcpyDtoDAsync(q, p, N * sizeof(int), s));
	OK(launch(g.mul, q, 3, N, s));
	OK(cuMemcpyDtoHAsync(pinned, q, N * sizeof(int), s));
}

static void check_work(void)
{
	for (int i = 0; i < N; i++)
		CHECK(pinned[i] == 18);
	memset(pinned, 0, N * sizeof(int));
	EXPECT_ALL(p, 6, N);
}

static void capture_and_launch(void)
{
	CUevent fork, join;
	CUgraph graph;
	CUgraphExec exec;
	CUstreamCaptureStatus status;
	size_t nodes = 0, edges = 0, roots = 0;
	atomic_int bumped = 0;
	begin();
	OK(cuEventCreate(&fork, CU_EVENT_DISABLE_TIMING));
	OK(cuEventCreate(&join, CU_EVENT_DISABLE_TIMING));
	work(fork, join, &bumped);
	OK(cuStreamSynchronize(s));
	check_work();
	CHECK(atomic_load(&bumped) == 1);

	OK(cuMemsetD32(p, 0, N));
	OK(cuCtxSynchronize());
	OK(cuStreamBeginCapture(s, MODE_T));
	work(fork, join, &bumped);
	OK(cuStreamIsCapturing(s, &status));
	CHECK(status == CU_STREAM_CAPTURE_STATUS_ACTIVE);
	OK(cuStreamIsCapturing(s2, &status));
	CHECK(status == CU_STREAM_CAPTURE_STATUS_ACTIVE);
	OK(cuStreamEndCapture(s, &graph));
	OK(cuStreamIsCapturing(s2, &status));
	CHECK(status == CU_STREAM_CAPTURE_STATUS_NONE);
	OK(cuCtxSynchronize());
	EXPECT_ALL(p, 0, N); /* nothing has run */
	CHECK(atomic_load(&bumped) == 1);

	OK(cuGraphGetNodes(graph, NULL, &nodes));
	OK(cuGraphGetEdges(graph, NULL, NULL, NULL, &edges));
	OK(cuGraphGetRootNodes(graph, NULL, &roots));
	CHECK(nodes == 7 && edges == 7 && roots == 1);
	OK(cuGraphInstantiate(&exec, graph, 0));
	OK(cuGraphDestroy(graph));
	for (int i = 0; i < 3; i++) {
		OK(cuGraphLaunch(exec, i == 2 ? s2 : s));
		OK(cuStreamSynchronize(i == 2 ? s2 : s));
		check_work();
	}
	CHECK(atomic_load(&bumped) == 4);
	/* many launches without waiting, from two streams, one after the other all the same */
	for (int i = 0; i < 20; i++)
		OK(cuGraphLaunch(exec, i % 2 ? s : blocking));
	OK(cuGraphExecDestroy(exec)); /* launches are not affected */
	OK(cuCtxSynchronize());
	check_work();
	CHECK(atomic_load(&bumped) == 24);
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphLaunch(exec, s));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphDestroy(graph));
	OK(cuEventDestroy(fork));
	OK(cuEventDestroy(join));
}

static void expect_invalidated(void)
{
	CUgraph graph = (CUgraph)&graph;
	CUstreamCaptureStatus status;
	OK(cuStreamIsCapturing(s, &status));
	CHECK(status == CU_STREAM_CAPTURE_STATUS_INVALIDATED);
	EXPECT(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, launch(g.add, p, 1, N, s));
	EXPECT(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(s, &graph));
	CHECK(graph == NULL);
	OK(cuStreamIsCapturing(s, &status));
	CHECK(status == CU_STREAM_CAPTURE_STATUS_NONE);
}

static void rules(void)
{
	CUgraph graph;
	CUevent e, before;
	CUdeviceptr d;
	int host = 0;
	begin();
	OK(cuEventCreate(&e, 0));
	OK(cuEventCreate(&before, 0));
	OK(cuEventRecord(before, s2));
	EXPECT(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuStreamBeginCapture(NULL, MODE_R));
	EXPECT(CUDA_ERROR_ILLEGAL_STATE, cuStreamEndCapture(s, &graph));
	OK(cuStreamBeginCapture(s, MODE_R));
	EXPECT(CUDA_ERROR_ILLEGAL_STATE, cuStreamBeginCapture(s, MODE_R));
	OK(cuStreamEndCapture(s, &graph));
	OK(cuGraphDestroy(graph));

	/* waiting for, or asking after, what is only recorded */
	OK(cuStreamBeginCapture(s, MODE_R));
	EXPECT(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuStreamSynchronize(s));
	expect_invalidated();
	OK(cuStreamBeginCapture(s, MODE_R));
	EXPECT(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuStreamQuery(s));
	expect_invalidated();
	OK(cuStreamBeginCapture(s, MODE_R));
	EXPECT(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuCtxSynchronize());
	expect_invalidated();
	OK(cuStreamBeginCapture(s, MODE_R));
	OK(cuEventRecord(e, s));
	EXPECT(CUDA_ERROR_CAPTURED_EVENT, cuEventQuery(e));
	expect_invalidated();
	OK(cuStreamBeginCapture(s, MODE_R));
	OK(cuEventRecord(e, s));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuEventSynchronize(e));
	expect_invalidated();

	/* the legacy stream meets a blocking stream's capture, not a non-blocking one's */
	OK(cuStreamBeginCapture(s, MODE_R));
	OK(launch(g.add, p, 1, N, NULL));
	OK(cuMemcpyDtoH(&host, p, 4));
	OK(cuStreamEndCapture(s, &graph));
	OK(cuGraphDestroy(graph));
	OK(cuStreamBeginCapture(blocking, MODE_R));
	EXPECT(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, launch(g.add, p, 1, N, NULL));
	EXPECT(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(blocking, &graph));
	OK(cuStreamBeginCapture(blocking, MODE_R));
	EXPECT(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, cuMemcpyDtoH(&host, p, 4));
	EXPECT(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(blocking, &graph));

	/* work from outside may not be waited for; forks must come back; captures do not merge */
	OK(cuStreamBeginCapture(s, MODE_R));
	EXPECT(CUDA_ERROR_STREAM_CAPTURE_ISOLATION, cuStreamWaitEvent(s, before, 0));
	expect_invalidated();
	OK(cuStreamBeginCapture(s, MODE_R));
	OK(cuEventRecord(e, s));
	OK(cuStreamWaitEvent(s2, e, 0));
	OK(launch(g.add, p, 1, N, s2));
	EXPECT(CUDA_ERROR_STREAM_CAPTURE_UNJOINED, cuStreamEndCapture(s, &graph));
	OK(cuStreamBeginCapture(s, MODE_R));
	OK(cuEventRecord(e, s));
	OK(cuStreamWaitEvent(s2, e, 0));
	EXPECT(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, cuStreamEndCapture(s2, &graph));
	expect_invalidated();
	OK(cuStreamBeginCapture(s, MODE_R));
	OK(cuStreamBeginCapture(s2, MODE_R));
	OK(cuEventRecord(e, s));
	EXPECT(CUDA_ERROR_STREAM_CAPTURE_MERGE, cuStreamWaitEvent(s2, e, 0));
	EXPECT(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(s2, &graph));
	expect_invalidated();

	/* calls that may synchronise: as the modes have it */
	OK(cuStreamBeginCapture(s, MODE_G));
	EXPECT(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuMemAlloc(&d, 16));
	expect_invalidated();
	OK(cuStreamBeginCapture(s, MODE_T));
	EXPECT(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuEventQuery(before));
	expect_invalidated();
	OK(cuStreamBeginCapture(s, MODE_R));
	OK(cuMemAlloc(&d, 16));
	OK(cuEventQuery(before));
	OK(cuMemFree(d));
	OK(cuStreamEndCapture(s, &graph));
	OK(cuGraphDestroy(graph));
	OK(cuEventDestroy(e));
	OK(cuEventDestroy(before));
}

/* Another thread, while this one captures. */
static void *elsewhere(void *arg)
{
	CUstreamCaptureMode mode = *(CUstreamCaptureMode *)arg;
	CUdeviceptr d;
	OK(cuCtxSetCurrent(g.ctx));
	OK(cuThreadExchangeStreamCaptureMode(&mode));
	CHECK(mode == MODE_G); /* what a thread begins with */
	CUresult r = cuMemAlloc(&d, 16);
	if (r == CUDA_SUCCESS)
		OK(cuMemFree(d));
	return (void *)(size_t)r;
}

static CUresult alloc_elsewhere(CUstreamCaptureMode mode)
{
	pthread_t t;
	void *r;
	CHECK(pthread_create(&t, NULL, elsewhere, &mode) == 0);
	pthread_join(t, &r);
	return (CUresult)(size_t)r;
}

static void *end_elsewhere(void *arg)
{
	CUgraph graph;
	OK(cuCtxSetCurrent(g.ctx));
	EXPECT(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, cuStreamEndCapture(s, &graph));
	return arg;
}

static void threads(void)
{
	CUgraph graph;
	CUstreamCaptureMode mode = MODE_R;
	CUstreamCaptureStatus status;
	CUdeviceptr d;
	pthread_t t;
	begin();
	BEYOND(CUDA_ERROR_INVALID_VALUE, cuThreadExchangeStreamCaptureMode(NULL));
	OK(cuStreamBeginCapture(s, MODE_G));
	OK(alloc_elsewhere(MODE_R));
	OK(alloc_elsewhere(MODE_T));
	OK(cuThreadExchangeStreamCaptureMode(&mode));
	OK(cuMemAlloc(&d, 16));
	OK(cuMemFree(d));
	OK(cuThreadExchangeStreamCaptureMode(&mode));
	CHECK(mode == MODE_R);
	OK(cuStreamEndCapture(s, &graph));
	OK(cuGraphDestroy(graph));
	OK(cuStreamBeginCapture(s, MODE_G));
	EXPECT(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, alloc_elsewhere(MODE_G));
	expect_invalidated();
	OK(cuStreamBeginCapture(s, MODE_T));
	OK(alloc_elsewhere(MODE_G));
	OK(cuStreamEndCapture(s, &graph));
	OK(cuGraphDestroy(graph));

	/* what the wrong thread ends is an error, and ended */
	OK(cuStreamBeginCapture(s, MODE_T));
	CHECK(pthread_create(&t, NULL, end_elsewhere, NULL) == 0);
	pthread_join(t, NULL);
	OK(cuStreamIsCapturing(s, &status));
	CHECK(status == CU_STREAM_CAPTURE_STATUS_NONE);
	EXPECT(CUDA_ERROR_ILLEGAL_STATE, cuStreamEndCapture(s, &graph));
}

/* Memory that is allocated and freed in a capture: there in each launch of the graph, as cuBLAS and
 * PyTorch use it. */
static void captured_memory(void)
{
	CUgraph graph;
	CUgraphExec exec;
	CUgraphNode nodes[8];
	CUgraphNodeType type;
	CUdeviceptr d = 0;
	size_t n = 8, before, after, total;
	begin();
	OK(cuMemsetD32(p, 1, N));
	OK(cuCtxSynchronize());
	OK(cuMemGetInfo(&before, &total));
	OK(cuStreamBeginCapture(s, MODE_T));
	OK(cuMemAllocAsync(&d, N * sizeof(int), s));
	CHECK(d != 0);
	OK(cuMemcpyDtoDAsync(d, p, N * sizeof(int), s));
	OK(launch(g.mul, d, 3, N, s));
	OK(cuMemcpyDtoDAsync(p, d, N * sizeof(int), s));
	OK(cuMemFreeAsync(d, s));
	OK(cuStreamEndCapture(s, &graph));
	OK(cuGraphGetNodes(graph, nodes, &n));
	CHECK(n == 5);
	OK(cuGraphNodeGetType(nodes[0], &type));
	CHECK(type == CU_GRAPH_NODE_TYPE_MEM_ALLOC);
	OK(cuGraphNodeGetType(nodes[4], &type));
	CHECK(type == CU_GRAPH_NODE_TYPE_MEM_FREE);
	OK(cuGraphInstantiate(&exec, graph, 0));
	OK(cuGraphDestroy(graph));
	for (int i = 0; i < 3; i++)
		OK(cuGraphLaunch(exec, s));
	OK(cuGraphExecDestroy(exec));
	OK(cuStreamSynchronize(s));
	EXPECT_ALL(p, 27, N);
	OK(cuDeviceGraphMemTrim(0));
	OK(cuMemGetInfo(&after, &total));
	CHECK(after == before || api_on_driver); /* a driver's own share is not given back */
}

static CUDA_KERNEL_NODE_PARAMS kernel_node(CUfunction f, void **params)
{
	return (CUDA_KERNEL_NODE_PARAMS){.func = f,
	                                 .gridDimX = 3,
	                                 .gridDimY = 1,
	                                 .gridDimZ = 1,
	                                 .blockDimX = 128,
	                                 .blockDimY = 1,
	                                 .blockDimZ = 1,
	                                 .kernelParams = params};
}

/* By hand: set → add → child { mul } → record → copy out; then changed in each way there is. */
static void explicit_graph(void)
{
	begin(); /* makes p, pinned */
	CUgraph graph, child, clone;
	CUgraphExec exec;
	CUgraphNode set, add, mul, nested, record, copy, host, found;
	CUgraphNodeType type;
	CUevent e;
	unsigned enabled;
	atomic_int bumped = 0;
	int four = 4, three = 3, nine = 9, n = N;
	void *add_params[] = {&p, &four, &n}, *mul_params[] = {&p, &three, &n};
	CUDA_KERNEL_NODE_PARAMS k = kernel_node(g.add, add_params), got;
	CUDA_MEMSET_NODE_PARAMS m = {
	    .dst = p, .elementSize = 4, .value = 1, .width = N, .height = 1};
	CUDA_HOST_NODE_PARAMS h = {.fn = bump, .userData = &bumped};
	CUDA_MEMCPY3D c = {.srcMemoryType = CU_MEMORYTYPE_DEVICE,
	                   .srcDevice = p,
	                   .dstMemoryType = CU_MEMORYTYPE_HOST,
	                   .dstHost = pinned,
	                   .WidthInBytes = N * sizeof(int),
	                   .Height = 1,
	                   .Depth = 1};
	OK(cuEventCreate(&e, 0));
	OK(cuGraphCreate(&graph, 0));
	OK(cuGraphCreate(&child, 0));
	OK(cuGraphAddMemsetNode(&set, graph, NULL, 0, &m, g.ctx));
	OK(cuGraphAddKernelNode(&add, graph, &set, 1, &k));
	k = kernel_node(g.mul, mul_params);
	OK(cuGraphAddKernelNode(&mul, child, NULL, 0, &k));
	OK(cuGraphAddChildGraphNode(&nested, graph, &add, 1, child));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphAddEmptyNode(&found, graph, &mul, 1)); /* not its */
	OK(cuGraphDestroy(child)); /* the node has a copy */
	OK(cuGraphAddEventRecordNode(&record, graph, &nested, 1, e));
	OK(cuGraphAddMemcpyNode(&copy, graph, &record, 1, &c, g.ctx));
	OK(cuGraphAddHostNode(&host, graph, &copy, 1, &h));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphAddKernelNode(&found, graph, NULL, 0, NULL));
	OK(cuGraphKernelNodeGetParams(add, &got));
	CHECK(got.func == g.add && got.gridDimX == 3 && *(int *)got.kernelParams[1] == 4);
	OK(cuGraphNodeGetType(nested, &type));
	CHECK(type == CU_GRAPH_NODE_TYPE_GRAPH);
	OK(cuGraphClone(&clone, graph));
	OK(cuGraphNodeFindInClone(&found, add, clone));
	CHECK(found != add);

	OK(cuGraphInstantiate(&exec, graph, 0));
	OK(cuGraphLaunch(exec, s));
	OK(cuEventSynchronize(e)); /* what the graph recorded */
	OK(cuStreamSynchronize(s));
	CHECK(pinned[0] == 15 && pinned[N - 1] == 15 && atomic_load(&bumped) == 1);

	add_params[1] = &nine;
	k = kernel_node(g.add, add_params);
	OK(cuGraphExecKernelNodeSetParams(exec, add, &k));
	OK(cuGraphLaunch(exec, s));
	OK(cuStreamSynchronize(s));
	CHECK(pinned[0] == 30);
	OK(cuGraphNodeSetEnabled(exec, add, 0));
	OK(cuGraphNodeGetEnabled(exec, add, &enabled));
	CHECK(!enabled);
	OK(cuGraphLaunch(exec, s));
	OK(cuStreamSynchronize(s));
	CHECK(pinned[0] == 3);
	OK(cuGraphNodeSetEnabled(exec, add, 1));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphNodeSetEnabled(exec, host, 0));

	/* the whole from a clone that was changed; then from one of another shape */
	CUgraphExecUpdateResultInfo info;
	m.value = 100;
	OK(cuGraphNodeFindInClone(&found, set, clone));
	OK(cuGraphMemsetNodeSetParams(found, &m));
	OK(cuGraphExecUpdate(exec, clone, &info));
	CHECK(info.result == CU_GRAPH_EXEC_UPDATE_SUCCESS);
	OK(cuGraphLaunch(exec, s));
	OK(cuStreamSynchronize(s));
	CHECK(pinned[0] == 312);
	OK(cuGraphNodeFindInClone(&found, host, clone));
	OK(cuGraphDestroyNode(found));
	EXPECT(CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE, cuGraphExecUpdate(exec, clone, &info));
	CHECK(info.result == CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED);
	OK(cuGraphDestroy(clone));

	/* a cycle cannot be instantiated */
	CUgraphExec none;
	OK(cuGraphAddDependencies(graph, &copy, &set, NULL, 1));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphInstantiate(&none, graph, 0));
	OK(cuGraphRemoveDependencies(graph, &copy, &set, NULL, 1));
	OK(cuGraphInstantiate(&none, graph, 0));
	OK(cuGraphExecDestroy(none));

	/* the graph may go, and its events, before it is launched again */
	OK(cuGraphDestroy(graph));
	OK(cuEventDestroy(e));
	OK(cuGraphLaunch(exec, s));
	OK(cuStreamSynchronize(s));
	CHECK(pinned[0] == 312);
	OK(cuGraphExecDestroy(exec));
}

int main(int argc, char **argv)
{
	static const struct api_section list[] = {SECTION(capture_and_launch), SECTION(rules),
	                                          SECTION(threads), SECTION(captured_memory),
	                                          SECTION(explicit_graph)};
	return API_RUN(argc, argv, list);
}
