// SPDX-License-Identifier: Apache-2.0
/* graph_memory.cu: allocations of graphs: by nodes and by captures, freed by the graph, by another
 * graph, in a stream and outside, launched again, freed by the next launch; what is refused; and
 * what the device says is in use. */
#include "t.h"

#define N 1000
#define BYTES (N * sizeof(int))

static cudaStream_t s;

static __global__ void fill(int *a, int v)
{
	a[threadIdx.x] = v + (int)threadIdx.x;
}

static __global__ void square(int *out, const int *in)
{
	out[threadIdx.x] = in[threadIdx.x] * in[threadIdx.x];
}

static cudaGraphNode_t alloc(cudaGraph_t g, cudaGraphNode_t after, int **out)
{
	cudaGraphNode_t node;
	cudaMemAllocNodeParams p = {}, got;
	p.poolProps.allocType = cudaMemAllocationTypePinned;
	p.poolProps.location.type = cudaMemLocationTypeDevice;
	p.bytesize = BYTES;
	OK(cudaGraphAddMemAllocNode(&node, g, after ? &after : NULL, after != NULL, &p));
	OK(cudaGraphMemAllocNodeGetParams(node, &got));
	TRUE(got.bytesize == BYTES && got.dptr == p.dptr && p.dptr);
	*out = (int *)p.dptr;
	return node;
}

static cudaGraphNode_t kernel(cudaGraph_t g, cudaGraphNode_t after, void *f, void **args)
{
	cudaGraphNode_t node;
	cudaKernelNodeParams p = {};
	p.func = f;
	p.gridDim = dim3(1);
	p.blockDim = dim3(N);
	p.kernelParams = args;
	OK(cudaGraphAddKernelNode(&node, g, &after, 1, &p));
	return node;
}

static cudaGraphNode_t release(cudaGraph_t g, cudaGraphNode_t after, int *p)
{
	void *got;
	cudaGraphNode_t node;
	OK(cudaGraphAddMemFreeNode(&node, g, after ? &after : NULL, after != NULL, p));
	OK(cudaGraphMemFreeNodeGetParams(node, &got));
	TRUE(got == p);
	return node;
}

/* in ← alloc, fill with 3…; out ← alloc, its squares; in is freed, out stays. */
static cudaGraphExec_t by_nodes(int **out)
{
	cudaGraph_t g;
	cudaGraphExec_t e;
	int *in, three = 3;
	OK(cudaGraphCreate(&g, 0));
	cudaGraphNode_t a = alloc(g, NULL, &in), b = alloc(g, a, out);
	void *args[] = {&in, &three}, *more[] = {out, &in};
	release(g, kernel(g, kernel(g, b, (void *)fill, args), (void *)square, more), in);
	OK(cudaGraphInstantiate(&e, g, 0));
	OK(cudaGraphDestroy(g));
	return e;
}

/* The same in a capture with two streams, one of which is gone before its end. */
static cudaGraphExec_t by_capture(int **out, unsigned flags)
{
	cudaGraph_t g;
	cudaGraphExec_t e;
	cudaStream_t other;
	cudaEvent_t fork, join;
	int *in;
	OK(cudaStreamCreate(&other));
	OK(cudaEventCreate(&fork));
	OK(cudaEventCreate(&join));
	OK(cudaStreamBeginCapture(s, cudaStreamCaptureModeGlobal));
	OK(cudaMallocAsync(&in, BYTES, s));
	OK(cudaMallocAsync(out, BYTES, s));
	fill<<<1, N, 0, s>>>(in, 3);
	OK(cudaEventRecord(fork, s));
	OK(cudaStreamWaitEvent(other, fork, 0));
	square<<<1, N, 0, other>>>(*out, in);
	OK(cudaFreeAsync(in, other));
	OK(cudaEventRecord(join, other));
	OK(cudaStreamWaitEvent(s, join, 0));
	OK(cudaStreamDestroy(other));
	OK(cudaEventDestroy(fork));
	OK(cudaEventDestroy(join));
	OK(cudaStreamEndCapture(s, &g));
	OK(cudaGraphInstantiateWithFlags(&e, g, flags));
	OK(cudaGraphDestroy(g));
	return e;
}

static void check(const int *squares)
{
	int h[N];
	OK(cudaMemcpyAsync(h, squares, BYTES, cudaMemcpyDeviceToHost, s));
	OK(cudaStreamSynchronize(s));
	for (int i = 0; i < N; i++)
		TRUE(h[i] == (i + 3) * (i + 3));
}

static unsigned long long usage(cudaGraphMemAttributeType what)
{
	unsigned long long bytes;
	OK(cudaDeviceGetGraphMemAttribute(0, what, &bytes));
	return bytes;
}

static void launched_and_freed(cudaGraphExec_t e, int *out)
{
	cudaGraph_t g;
	cudaGraphExec_t freeing;
	OK(cudaGraphCreate(&g, 0));
	release(g, NULL, out);
	OK(cudaGraphInstantiate(&freeing, g, 0));
	IS(cudaGraphLaunch(freeing, s), cudaErrorInvalidValue); /* nothing to free yet */
	OK(cudaGraphLaunch(e, s));
	IS(cudaGraphLaunch(e, s), cudaErrorInvalidValue); /* there already */
	check(out);
	TRUE(usage(cudaGraphMemAttrUsedMemCurrent) == 2 * BYTES); /* the freed one is kept */
	OK(cudaGraphLaunch(freeing, s));
	OK(cudaGraphLaunch(e, s));
	check(out);
	OK(cudaFreeAsync(out, s));
	IS(cudaFreeAsync(out, s), cudaErrorInvalidValue);
	OK(cudaGraphLaunch(e, s));
	check(out);
	OK(cudaFree(out));
	IS(cudaFree(out), cudaErrorInvalidValue);
	OK(cudaGraphLaunch(e, s));
	OK(cudaGraphExecDestroy(e)); /* what was not freed stays */
	check(out);
	OK(cudaFree(out));
	OK(cudaGraphExecDestroy(freeing));
	OK(cudaGraphDestroy(g));
}

/* One allocation after the other, which a launch can give the same memory. */
static cudaGraphExec_t in_turn(void)
{
	cudaGraph_t g;
	cudaGraphExec_t e;
	int *a;
	OK(cudaGraphCreate(&g, 0));
	cudaGraphNode_t node = alloc(g, NULL, &a);
	node = release(g, node, a);
	node = alloc(g, node, &a);
	release(g, node, a);
	OK(cudaGraphInstantiate(&e, g, 0));
	OK(cudaGraphDestroy(g));
	return e;
}

/* What a launch has freed is kept for the next one in its stream, whatever graph that is of. */
static void footprint(void)
{
	cudaStream_t other;
	int *out;
	cudaGraphExec_t e[2] = {in_turn(), in_turn()}, stays = by_nodes(&out);
	OK(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking));
	for (int i = 0; i < 4; i++) {
		OK(cudaGraphLaunch(e[i % 2], s));
		TRUE(usage(cudaGraphMemAttrUsedMemCurrent) == BYTES);
	}
	OK(cudaGraphLaunch(e[0], other));
	TRUE(usage(cudaGraphMemAttrUsedMemCurrent) == 2 * BYTES);
	OK(cudaGraphLaunch(stays, other));
	TRUE(usage(cudaGraphMemAttrUsedMemCurrent) == 3 * BYTES);
	OK(cudaStreamSynchronize(s));
	OK(cudaStreamSynchronize(other));
	OK(cudaDeviceGraphMemTrim(0));
	TRUE(usage(cudaGraphMemAttrUsedMemCurrent) == BYTES);
	OK(cudaFree(out));
	TRUE(usage(cudaGraphMemAttrReservedMemCurrent) == BYTES);
	OK(cudaGraphLaunch(e[1], s)); /* what no stream freed is anybody's */
	TRUE(usage(cudaGraphMemAttrReservedMemCurrent) == BYTES);
	OK(cudaStreamSynchronize(s));
	OK(cudaDeviceGraphMemTrim(0));
	TRUE(usage(cudaGraphMemAttrReservedMemCurrent) == 0);
	OK(cudaGraphExecDestroy(e[0]));
	OK(cudaGraphExecDestroy(e[1]));
	OK(cudaGraphExecDestroy(stays));
	OK(cudaStreamDestroy(other));
}

int main(void)
{
	int *out;
	unsigned long long none = 0;
	OK(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
	cudaGraphExec_t e = by_nodes(&out);
	launched_and_freed(e, out);
	e = by_capture(&out, 0);
	launched_and_freed(e, out);

	e = by_capture(&out, cudaGraphInstantiateFlagAutoFreeOnLaunch);
	for (int i = 0; i < 3; i++)
		OK(cudaGraphLaunch(e, s));
	check(out);
	OK(cudaFreeAsync(out, s));
	OK(cudaStreamSynchronize(s));
	TRUE(usage(cudaGraphMemAttrUsedMemHigh) == 2 * BYTES);
	TRUE(usage(cudaGraphMemAttrUsedMemCurrent) == 2 * BYTES);
	TRUE(usage(cudaGraphMemAttrReservedMemCurrent) == 2 * BYTES);
	OK(cudaDeviceGraphMemTrim(0));
	TRUE(usage(cudaGraphMemAttrReservedMemCurrent) == 0);
	TRUE(usage(cudaGraphMemAttrUsedMemCurrent) == 0);
	OK(cudaDeviceSetGraphMemAttribute(0, cudaGraphMemAttrUsedMemHigh, &none));
	TRUE(usage(cudaGraphMemAttrUsedMemHigh) == 0);
	OK(cudaGraphExecDestroy(e));
	footprint();
	puts("ok");
	return 0;
}
