// SPDX-License-Identifier: Apache-2.0
/*
 * captures.c: stream captures while the gate is closed or metered: nothing of a capture waits, and
 * nothing comes into it that the program did not put there; what is not captured waits as ever. In
 * each capture mode; interrupted by errors; into a graph that exists; graphs updated and made anew.
 * The same checks hold without any gate.
 */
#include "puppet_client.h"

#include <pthread.h>

#define N 256
#define BYTES (N * sizeof(int))
#define NODES 6 /* of the graph that captured_work() makes */

static const CUstreamCaptureMode modes[] = {CU_STREAM_CAPTURE_MODE_GLOBAL,
                                            CU_STREAM_CAPTURE_MODE_THREAD_LOCAL,
                                            CU_STREAM_CAPTURE_MODE_RELAXED};

static struct gpu g;
static CUdeviceptr p, q, idle;
static CUstream s, s2, other;
static CUevent fork_event, join_event;

static void CUDA_CB nothing(void *arg)
{
	(void)arg;
}

/* q = p + v, over two streams joined by events. */
static void captured_work(int v)
{
	OK(cuMemsetD32Async(p, 1, N, s));
	OK(cuEventRecord(fork_event, s));
	OK(cuStreamWaitEvent(s2, fork_event, 0));
	OK(cuMemsetD32Async(q, 0, N, s2));
	OK(cuLaunchHostFunc(s2, nothing, NULL));
	OK(cuEventRecord(join_event, s2));
	OK(launch(g.add, p, v, N, s));
	OK(cuStreamWaitEvent(s, join_event, 0));
	OK(cuMemcpyDtoDAsync(q, p, BYTES, s));
	OK(launch(g.add, q, 0, N, s));
}

static void expect_nodes(CUgraph graph, size_t want)
{
	size_t nodes = 0;
	OK(cuGraphGetNodes(graph, NULL, &nodes));
	CHECK(nodes == want);
}

/* Everything has completed and the shim can tell: so it counts no capture as under way. */
static void expect_idle(void)
{
	OK(launch(g.add, idle, 0, N, other)); /* nobody synchronises: somebody must ask */
	for (int i = 0; ask('a') == 'y'; i++) {
		CHECK(i < 20000);
		usleep(1000);
	}
}

/* ---------------------------------------------------------------- plain captures */

static CUgraph capture(CUstreamCaptureMode mode, char gate, int v)
{
	CUgraph graph;
	OK(cuStreamBeginCapture(s, mode));
	(void)ask(gate);
	captured_work(v);
	OK(cuStreamEndCapture(s, &graph));
	expect_held(0, "a capture", __LINE__);
	(void)ask('o');
	expect_nodes(graph, NODES);
	return graph;
}

static void plain(CUstreamCaptureMode mode)
{
	static const char gates[] = {'o', 'c', 'm', 'M'};
	for (int i = 0; i < 4; i++) {
		CUgraphExec exec;
		CUgraph graph = capture(mode, gates[i], 4 + i);
		OK(cuGraphInstantiate(&exec, graph, 0));
		HELD(cuGraphLaunch(exec, s));
		OK(cuStreamSynchronize(s));
		EXPECT_ALL(q, 5 + i, N);
		OK(cuGraphExecDestroy(exec));
		OK(cuGraphDestroy(graph));
	}
	expect_idle();
}

/* The gate is closed before the capture begins, and the first captured call is a launch. */
static void closed_before(CUstreamCaptureMode mode)
{
	CUgraph graph;
	(void)ask('c');
	OK(cuStreamBeginCapture(s, mode));
	OK(launch(g.add, p, 1, N, s));
	OK(cuStreamEndCapture(s, &graph));
	expect_held(0, "a capture", __LINE__);
	(void)ask('o');
	expect_nodes(graph, 1);
	OK(cuGraphDestroy(graph));
}

/* ---------------------------------------------------------------- beside a capture */

static void *launch_beside(void *arg)
{
	(void)arg;
	OK(cuCtxSetCurrent(g.ctx));
	HELD(launch(g.add, idle, 0, N, other));
	(void)ask('m'); /* marks are recorded and asked about beside the capture */
	for (int i = 0; i < 30; i++)
		OK(launch(g.add, idle, 0, N, other));
	OK(launch(g.add, idle, 0, N, CU_STREAM_PER_THREAD));
	(void)ask('o');
	return NULL;
}

/* Another thread's work is held, and counted, while this one captures; the helper has time to ask.
 */
static void beside(CUstreamCaptureMode mode)
{
	pthread_t thread;
	CUgraph graph;
	OK(cuStreamBeginCapture(s, mode));
	OK(launch(g.add, p, 1, N, s));
	CHECK(pthread_create(&thread, NULL, launch_beside, NULL) == 0);
	pthread_join(thread, NULL);
	usleep(20000);
	HELD(launch(g.add, idle, 0, N, other));
	OK(launch(g.add, p, 1, N, s));
	OK(cuStreamEndCapture(s, &graph));
	expect_nodes(graph, 2);
	OK(cuGraphDestroy(graph));
	expect_idle();
}

/* A capture of the thread's own default stream; another thread's is not captured. */
static void per_thread(void)
{
	pthread_t thread;
	CUgraph graph;
	OK(cuStreamBeginCapture(CU_STREAM_PER_THREAD, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
	NOT_HELD(launch(g.add, idle, 1, N, CU_STREAM_PER_THREAD));
	CHECK(pthread_create(&thread, NULL, launch_beside, NULL) == 0);
	pthread_join(thread, NULL);
	OK(cuStreamEndCapture(CU_STREAM_PER_THREAD, &graph));
	expect_nodes(graph, 1);
	OK(cuGraphDestroy(graph));
	HELD(launch(g.add, idle, 0, N, CU_STREAM_PER_THREAD));
	OK(cuStreamSynchronize(CU_STREAM_PER_THREAD));
}

/* ---------------------------------------------------------------- interrupted */

static void invalidated(void)
{
	CUgraph graph = (CUgraph)&graph;
	EXPECT(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, launch(g.add, p, 1, N, s));
	EXPECT(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(s, &graph));
	CHECK(graph == NULL);
	expect_held(0, "an interrupted capture", __LINE__);
	(void)ask('o');
	HELD(launch(g.add, p, 0, N, s));
	OK(cuStreamSynchronize(s));
	expect_idle();
}

static void interrupted(void)
{
	CUgraph graph;
	CUdeviceptr a;
	CUstream blocking;
	OK(cuStreamCreate(&blocking, CU_STREAM_DEFAULT));
	OK(cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_RELAXED));
	(void)ask('c');
	EXPECT(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuStreamSynchronize(s));
	invalidated();

	OK(cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_GLOBAL));
	(void)ask('c');
	EXPECT(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuMemAlloc(&a, 64));
	invalidated();

	/* the legacy default stream waits for blocking streams: it cannot while one captures */
	OK(cuStreamBeginCapture(blocking, CU_STREAM_CAPTURE_MODE_RELAXED));
	(void)ask('c');
	EXPECT(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, launch(g.add, p, 1, N, NULL));
	expect_held(0, "a launch that cannot be", __LINE__);
	EXPECT(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(blocking, &graph));
	(void)ask('o');
	expect_idle();

	/* a branch that is not joined; a capture begun twice; one that was never begun */
	OK(cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
	(void)ask('c');
	OK(cuEventRecord(fork_event, s));
	OK(cuStreamWaitEvent(s2, fork_event, 0));
	OK(launch(g.add, p, 1, N, s2));
	CHECK(cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL) != CUDA_SUCCESS);
	CHECK(cuStreamEndCapture(s, &graph) != CUDA_SUCCESS);
	expect_held(0, "an unjoined capture", __LINE__);
	(void)ask('o');
	CHECK(cuStreamEndCapture(s, &graph) != CUDA_SUCCESS);
	expect_idle();

	/* the stream goes with its capture */
	OK(cuStreamBeginCapture(blocking, CU_STREAM_CAPTURE_MODE_RELAXED));
	OK(launch(g.add, p, 1, N, blocking));
	OK(cuStreamDestroy(blocking));
	expect_idle();
}

/* ---------------------------------------------------------------- into graphs, and out of them */

static void to_a_graph(CUstreamCaptureMode mode)
{
	CUgraph graph, same;
	CUgraphNode node;
	CUgraphExec exec;
	CUDA_MEMSET_NODE_PARAMS set = {
	    .dst = p, .value = 10, .elementSize = 4, .width = N, .height = 1};
	OK(cuGraphCreate(&graph, 0));
	OK(cuGraphAddMemsetNode(&node, graph, NULL, 0, &set, g.ctx));
	(void)ask('c');
	OK(cuStreamBeginCaptureToGraph(s, graph, &node, NULL, 1, mode));
	OK(launch(g.add, p, 3, N, s));
	OK(cuStreamEndCapture(s, &same));
	expect_held(0, "a capture to a graph", __LINE__);
	CHECK(same == graph);
	expect_nodes(graph, 2);
	(void)ask('o');
	OK(cuGraphInstantiate(&exec, graph, 0));
	HELD(cuGraphUpload(exec, s));
	HELD(cuGraphLaunch(exec, s));
	OK(cuStreamSynchronize(s));
	EXPECT_ALL(p, 13, N);
	OK(cuGraphExecDestroy(exec));
	OK(cuGraphDestroy(graph));
}

static void updated(void)
{
	CUgraphExec exec, anew;
	CUgraphExecUpdateResultInfo info;
	CUgraph first = capture(modes[1], 'c', 4), second = capture(modes[1], 'c', 40);
	OK(cuGraphInstantiate(&exec, first, 0));
	OK(cuGraphLaunch(exec, s));
	(void)ask('c');
	OK(cuGraphExecUpdate(exec, second, &info)); /* work under way keeps what it was given */
	expect_held(0, "an update", __LINE__);
	(void)ask('o');
	OK(cuStreamSynchronize(s));
	EXPECT_ALL(q, 5, N);
	HELD(cuGraphLaunch(exec, s));
	OK(cuStreamSynchronize(s));
	EXPECT_ALL(q, 41, N);
	for (int i = 0; i < 10; i++) { /* made anew while the old one runs */
		OK(cuGraphInstantiate(&anew, i % 2 ? first : second, 0));
		if (i % 3 == 0)
			HELD(cuGraphLaunch(anew, s));
		else
			OK(cuGraphLaunch(anew, s));
		OK(cuGraphExecDestroy(exec));
		exec = anew;
	}
	OK(cuStreamSynchronize(s));
	EXPECT_ALL(q, 5, N);
	OK(cuGraphExecDestroy(exec));
	OK(cuGraphDestroy(first));
	OK(cuGraphDestroy(second));
}

/* An event that a graph records says nothing of what this program recorded before. */
static void graph_records(void)
{
	CUgraph graph;
	CUgraphNode node;
	CUgraphExec exec;
	CUevent e;
	OK(cuEventCreate(&e, CU_EVENT_DISABLE_TIMING));
	OK(cuGraphCreate(&graph, 0));
	OK(cuGraphAddEventRecordNode(&node, graph, NULL, 0, e));
	OK(cuGraphInstantiate(&exec, graph, 0));
	OK(launch(g.add, p, 0, N, s));
	OK(cuEventRecord(e, s));
	OK(cuGraphLaunch(exec, s2));
	OK(cuEventSynchronize(e));
	OK(cuGraphExecDestroy(exec));
	OK(cuGraphDestroy(graph));
	OK(cuEventDestroy(e));
	OK(cuCtxSynchronize());
	expect_idle();
}

/* ---------------------------------------------------------------- the thread's capture mode */

/* What the thread set is what it finds, whatever the shim had to do in between; and a thread that
 * has made itself relaxed may allocate beside a global capture, gate or not. */
static void *exchange(void *arg)
{
	CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
	CUdeviceptr a;
	(void)arg;
	OK(cuCtxSetCurrent(g.ctx));
	OK(cuThreadExchangeStreamCaptureMode(&mode));
	CHECK(mode == CU_STREAM_CAPTURE_MODE_GLOBAL);
	(void)ask('m');
	for (int i = 0; i < 20; i++)
		OK(launch(g.add, idle, 0, N, other));
	HELD(launch(g.add, idle, 0, N, other));
	mode = CU_STREAM_CAPTURE_MODE_RELAXED;
	OK(cuThreadExchangeStreamCaptureMode(&mode));
	CHECK(mode == CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
	(void)ask('i');
	NOT_HELD(cuMemAlloc(&a, 64));
	(void)ask('I');
	OK(cuMemFree(a));
	OK(cuThreadExchangeStreamCaptureMode(&mode));
	CHECK(mode == CU_STREAM_CAPTURE_MODE_RELAXED);
	return NULL;
}

static void capture_mode(void)
{
	pthread_t thread;
	CUgraph graph;
	OK(cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_GLOBAL));
	OK(launch(g.add, p, 1, N, s));
	CHECK(pthread_create(&thread, NULL, exchange, NULL) == 0);
	pthread_join(thread, NULL);
	OK(cuStreamEndCapture(s, &graph));
	expect_nodes(graph, 1);
	OK(cuGraphDestroy(graph));
}

/* The context goes while a capture is under way in it. */
static void context_goes(void)
{
	CUcontext own;
	CUstream gone;
	OK(cuCtxCreate(&own, NULL, 0, 0));
	OK(cuStreamCreate(&gone, CU_STREAM_NON_BLOCKING));
	OK(cuStreamBeginCapture(gone, CU_STREAM_CAPTURE_MODE_RELAXED));
	(void)ask('c');
	OK(cuCtxDestroy(own));
	expect_held(0, "destroying a context", __LINE__);
	(void)ask('o');
	OK(cuCtxSetCurrent(g.ctx));
	expect_idle();
}

int main(void)
{
	g = gpu_open();
	OK(cuMemAlloc(&p, BYTES));
	OK(cuMemAlloc(&q, BYTES));
	OK(cuMemAlloc(&idle, BYTES));
	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	OK(cuStreamCreate(&s2, CU_STREAM_NON_BLOCKING));
	OK(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
	OK(cuEventCreate(&fork_event, CU_EVENT_DISABLE_TIMING));
	OK(cuEventCreate(&join_event, CU_EVENT_DISABLE_TIMING));
	for (int i = 0; i < 3; i++) {
		plain(modes[i]);
		closed_before(modes[i]);
		beside(modes[i]);
		to_a_graph(modes[i]);
	}
	per_thread();
	interrupted();
	updated();
	graph_records();
	capture_mode();
	context_goes();

	puts("ok");
	return 0;
}
