// SPDX-License-Identifier: Apache-2.0
/*
 * rt_graphs.cu: CUDA graphs: captured from streams that fork and join, built node by node, updated,
 * cloned, nested, replayed many times, on two streams at once.
 *
 * WHAT IT ASKS of the GPU: do replays give what the same calls give one by one. HOW THE ANSWER IS
 * READ: exit status 0 and the bytes of --dump.
 */
#include "rt.h"

#include <atomic>

#define N 8192u
#define REPLAYS 500u

static std::atomic<unsigned> host_calls(0);

static void CUDART_CB host_node(void *arg)
{
	(void)arg;
	host_calls.fetch_add(1);
}

static uint32_t *filled(const std::vector<uint32_t> &v)
{
	uint32_t *d;
	RT(cudaMalloc(&d, v.size() * 4));
	RT(cudaMemcpy(d, v.data(), v.size() * 4, cudaMemcpyHostToDevice));
	return d;
}

static void finish(uint32_t *d, const std::vector<uint32_t> &want, const char *what)
{
	std::vector<uint32_t> got(want.size());
	RT(cudaDeviceSynchronize());
	RT(cudaMemcpy(got.data(), d, want.size() * 4, cudaMemcpyDeviceToHost));
	rt_same(got.data(), want.data(), (unsigned)want.size(), what);
	RT(cudaFree(d));
}

/* x: two halves, worked on by two captured branches, then 3·x + 1 over all of it */
static cudaGraph_t captured(uint32_t *d, cudaStream_t s, cudaStream_t side, uint32_t a)
{
	cudaEvent_t fork, join;
	cudaGraph_t graph;
	RT(cudaEventCreateWithFlags(&fork, cudaEventDisableTiming));
	RT(cudaEventCreateWithFlags(&join, cudaEventDisableTiming));
	RT(cudaStreamBeginCapture(s, cudaStreamCaptureModeGlobal));
	RT(cudaEventRecord(fork, s));
	RT(cudaStreamWaitEvent(side, fork, 0));
	rt_affine<<<rt_blocks(N / 2), 256, 0, s>>>(d, N / 2, a, 2, 4);
	rt_affine<<<rt_blocks(N / 2), 256, 0, side>>>(d + N / 2, N / 2, a + 2, 3, 4);
	RT(cudaEventRecord(join, side));
	RT(cudaStreamWaitEvent(s, join, 0));
	rt_affine<<<rt_blocks(N), 256, 0, s>>>(d, N, 3, 1, 1);
	RT(cudaStreamEndCapture(s, &graph));
	RT_LAUNCHED();
	RT(cudaEventDestroy(fork));
	RT(cudaEventDestroy(join));
	return graph;
}

static void captured_cpu(std::vector<uint32_t> &v, uint32_t a, unsigned times)
{
	for (unsigned t = 0; t < times; t++)
		for (unsigned i = 0; i < N; i++) {
			bool low = i < N / 2;
			v[i] = 3 * rt_affine_cpu(v[i], low ? a : a + 2, low ? 2 : 3, 4) + 1;
		}
}

static void capture_and_update(void)
{
	std::vector<uint32_t> want = rt_filled(N, 1);
	uint32_t *d = filled(want);
	cudaStream_t s, side;
	cudaGraphExec_t exec;
	cudaGraphExecUpdateResultInfo info;
	RT(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
	RT(cudaStreamCreateWithFlags(&side, cudaStreamNonBlocking));
	RT(cudaDeviceSynchronize());
	cudaGraph_t graph = captured(d, s, side, 5);
	RT(cudaGraphInstantiate(&exec, graph, 0));
	RT(cudaGraphUpload(exec, s));
	for (unsigned i = 0; i < REPLAYS; i++)
		RT(cudaGraphLaunch(exec, s));
	captured_cpu(want, 5, REPLAYS);
	RT(cudaGraphDestroy(graph));
	graph = captured(d, s, side, 9); /* the same shape, other arguments */
	RT(cudaGraphExecUpdate(exec, graph, &info));
	RT_TRUE(info.result == cudaGraphExecUpdateSuccess);
	for (unsigned i = 0; i < REPLAYS; i++) {
		RT(cudaGraphLaunch(exec, s));
		if (i % 10 == 0)
			RT(cudaStreamSynchronize(s));
	}
	captured_cpu(want, 9, REPLAYS);
	finish(d, want, "captured graph");
	RT(cudaGraphExecDestroy(exec));
	RT(cudaGraphDestroy(graph));
	RT(cudaStreamDestroy(s));
	RT(cudaStreamDestroy(side));
}

static cudaGraphNode_t kernel_node(cudaGraph_t graph, const cudaGraphNode_t *after, size_t n,
                                   cudaKernelNodeParams *p, void **args, uint32_t **d)
{
	static unsigned count = N, rounds = 3;
	static uint32_t a = 11, b = 7;
	cudaGraphNode_t node;
	args[0] = d;
	args[1] = &count;
	args[2] = &a;
	args[3] = &b;
	args[4] = &rounds;
	*p = cudaKernelNodeParams();
	p->func = (void *)rt_affine;
	p->gridDim = dim3(rt_blocks(N));
	p->blockDim = dim3(256);
	p->kernelParams = args;
	RT(cudaGraphAddKernelNode(&node, graph, after, n, p));
	return node;
}

/* set e to 0 → copy d to e → kernel on e → host function; then the kernel's arguments change */
static void explicit_nodes(void)
{
	std::vector<uint32_t> want = rt_filled(N, 2);
	uint32_t *d = filled(want), *e;
	cudaGraph_t graph, copy_of_it;
	cudaGraphExec_t exec;
	cudaGraphNode_t set, copy, kernel, host;
	cudaMemsetParams zero = {};
	cudaKernelNodeParams launch;
	cudaHostNodeParams call = {};
	void *args[5];
	uint32_t other = 13;
	cudaStream_t s;
	RT(cudaMalloc(&e, N * 4));
	RT(cudaStreamCreate(&s));
	RT(cudaGraphCreate(&graph, 0));
	zero.dst = e;
	zero.elementSize = 4;
	zero.width = N;
	zero.height = 1;
	RT(cudaGraphAddMemsetNode(&set, graph, NULL, 0, &zero));
	RT(cudaGraphAddMemcpyNode1D(&copy, graph, &set, 1, e, d, N * 4, cudaMemcpyDeviceToDevice));
	kernel = kernel_node(graph, &copy, 1, &launch, args, &e);
	call.fn = host_node;
	RT(cudaGraphAddHostNode(&host, graph, &kernel, 1, &call));
	RT(cudaGraphInstantiate(&exec, graph, 0));
	for (unsigned i = 0; i < 50; i++)
		RT(cudaGraphLaunch(exec, s));
	args[2] = &other;
	RT(cudaGraphExecKernelNodeSetParams(exec, kernel, &launch));
	for (unsigned i = 0; i < 50; i++)
		RT(cudaGraphLaunch(exec, s));
	RT(cudaStreamSynchronize(s));
	RT_TRUE(host_calls == 100);
	for (uint32_t &x : want)
		x = rt_affine_cpu(x, 13, 7, 3);
	finish(e, want, "explicit nodes");
	RT(cudaGraphClone(&copy_of_it, graph));
	RT(cudaGraphDestroy(copy_of_it));
	RT(cudaGraphExecDestroy(exec));
	RT(cudaGraphDestroy(graph));
	RT(cudaFree(d));
	RT(cudaStreamDestroy(s));
}

/* A graph within a graph, replayed on two streams in turn, each of which waits for the other. */
static void nested_on_two_streams(void)
{
	std::vector<uint32_t> want = rt_filled(N, 3);
	uint32_t *d = filled(want);
	cudaGraph_t inner, outer;
	cudaGraphNode_t first, second;
	cudaGraphExec_t exec[2];
	cudaStream_t s[2];
	cudaEvent_t e;
	cudaKernelNodeParams launch;
	void *args[5];
	RT(cudaGraphCreate(&inner, 0));
	RT(cudaGraphCreate(&outer, 0));
	kernel_node(inner, NULL, 0, &launch, args, &d);
	RT(cudaGraphAddChildGraphNode(&first, outer, NULL, 0, inner));
	RT(cudaGraphAddChildGraphNode(&second, outer, &first, 1, inner));
	RT(cudaEventCreateWithFlags(&e, cudaEventDisableTiming));
	for (unsigned i = 0; i < 2; i++) {
		RT(cudaStreamCreateWithFlags(&s[i], cudaStreamNonBlocking));
		RT(cudaGraphInstantiate(&exec[i], outer, 0));
	}
	RT(cudaDeviceSynchronize());
	for (unsigned i = 0; i < REPLAYS; i++) {
		RT(cudaStreamWaitEvent(s[i % 2], e, 0));
		RT(cudaGraphLaunch(exec[i % 2], s[i % 2]));
		RT(cudaEventRecord(e, s[i % 2]));
	}
	for (uint32_t &x : want)
		x = rt_affine_cpu(x, 11, 7, 3ull * 2 * REPLAYS);
	finish(d, want, "nested graphs on two streams");
	for (unsigned i = 0; i < 2; i++) {
		RT(cudaGraphExecDestroy(exec[i]));
		RT(cudaStreamDestroy(s[i]));
	}
	RT(cudaGraphDestroy(outer));
	RT(cudaGraphDestroy(inner));
	RT(cudaEventDestroy(e));
}

/* What must not be called during a capture is refused, and ends it. */
static void refused_in_capture(void)
{
	cudaStream_t s;
	cudaGraph_t graph = NULL;
	RT(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
	RT(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal));
	cudaError_t e = cudaStreamSynchronize(s);
	printf("synchronise in a capture: %s\n", cudaGetErrorName(e));
	RT_TRUE(e == cudaErrorStreamCaptureUnsupported);
	e = cudaStreamEndCapture(s, &graph);
	printf("its end: %s\n", cudaGetErrorName(e));
	RT_TRUE(e == cudaErrorStreamCaptureInvalidated && graph == NULL);
	(void)cudaGetLastError();
	RT(cudaStreamSynchronize(s));
	RT(cudaStreamDestroy(s));
}

int main(int argc, char **argv)
{
	rt_begin("rt_graphs", argc, argv);
	rt_device();
	/* code is loaded when first used, which must not be in a capture */
	rt_affine<<<1, 1>>>(NULL, 0, 0, 0, 0);
	RT(cudaDeviceSynchronize());
	capture_and_update();
	explicit_nodes();
	nested_on_two_streams();
	refused_in_capture();
	return rt_end();
}
