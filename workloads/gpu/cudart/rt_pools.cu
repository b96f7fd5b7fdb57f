// SPDX-License-Identifier: Apache-2.0
/*
 * rt_pools.cu: stream-ordered allocation: cudaMallocAsync and cudaFreeAsync on two streams, pools
 * of our own, trimming, allocations inside graphs.
 *
 * WHAT IT ASKS of the GPU: is memory that is freed and had again in stream order right at each
 * step. HOW THE ANSWER IS READ: exit status 0 and the bytes of --dump.
 */
#include "rt.h"

#define N 20000u

static void chain(cudaStream_t s, cudaStream_t other, cudaMemPool_t pool, uint32_t seed)
{
	std::vector<uint32_t> want = rt_filled(N, seed), got(N);
	uint32_t *d, *next;
	cudaEvent_t e;
	RT(cudaEventCreateWithFlags(&e, cudaEventDisableTiming));
	RT(cudaMallocAsync(&d, N * 4, s));
	RT(cudaMemcpyAsync(d, want.data(), N * 4, cudaMemcpyHostToDevice, s));
	for (unsigned i = 0; i < 400; i++) {
		size_t room = (N + (size_t)(i % 17) * 4096) * 4;
		if (pool)
			RT(cudaMallocFromPoolAsync(&next, room, pool, s));
		else
			RT(cudaMallocAsync(&next, room, s));
		RT(cudaMemcpyAsync(next, d, N * 4, cudaMemcpyDeviceToDevice, s));
		rt_affine<<<rt_blocks(N), 256, 0, s>>>(next, N, 2 * i + 3, i, 2);
		RT_LAUNCHED();
		RT(cudaEventRecord(e, s)); /* the other stream frees what this one has used */
		RT(cudaStreamWaitEvent(other, e, 0));
		RT(cudaFreeAsync(d, i % 3 ? s : other));
		d = next;
	}
	RT(cudaMemcpyAsync(got.data(), d, N * 4, cudaMemcpyDeviceToHost, s));
	RT(cudaFreeAsync(d, s));
	RT(cudaStreamSynchronize(s));
	RT(cudaStreamSynchronize(other));
	for (uint32_t &x : want)
		for (unsigned i = 0; i < 400; i++)
			x = rt_affine_cpu(x, 2 * i + 3, i, 2);
	rt_same(got.data(), want.data(), N, pool ? "own pool" : "default pool");
	RT(cudaEventDestroy(e));
}

static void own_pool(cudaStream_t s, cudaStream_t other)
{
	cudaMemPoolProps props = {};
	cudaMemPool_t pool;
	uint64_t keep = 8 << 20, used = 1;
	props.allocType = cudaMemAllocationTypePinned;
	props.location.type = cudaMemLocationTypeDevice;
	props.location.id = 0;
	RT(cudaMemPoolCreate(&pool, &props));
	RT(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep));
	chain(s, other, pool, 2);
	RT(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrUsedMemCurrent, &used));
	RT_TRUE(used == 0);
	RT(cudaMemPoolTrimTo(pool, 0));
	RT(cudaMemPoolDestroy(pool));
}

static void in_a_graph(cudaStream_t s)
{
	std::vector<uint32_t> want = rt_filled(N, 3), got(N);
	uint32_t *d, *scratch;
	cudaGraph_t graph;
	cudaGraphExec_t exec;
	RT(cudaMalloc(&d, N * 4));
	RT(cudaMemcpy(d, want.data(), N * 4, cudaMemcpyHostToDevice));
	RT(cudaStreamBeginCapture(s, cudaStreamCaptureModeGlobal));
	cudaError_t e = cudaMallocAsync(&scratch, N * 4, s);
	if (e == cudaErrorNotSupported) { /* a driver that cannot capture it, and says so */
		printf("no allocation in a graph here\n");
		(void)cudaStreamEndCapture(s, &graph);
		(void)cudaGetLastError();
		RT(cudaFree(d));
		return;
	}
	RT(e);
	RT(cudaMemcpyAsync(scratch, d, N * 4, cudaMemcpyDeviceToDevice, s));
	rt_affine<<<rt_blocks(N), 256, 0, s>>>(scratch, N, 5, 3, 7);
	RT(cudaMemcpyAsync(d, scratch, N * 4, cudaMemcpyDeviceToDevice, s));
	RT(cudaFreeAsync(scratch, s));
	RT(cudaStreamEndCapture(s, &graph));
	RT_LAUNCHED();
	RT(cudaGraphInstantiate(&exec, graph, 0));
	for (unsigned i = 0; i < 200; i++)
		RT(cudaGraphLaunch(exec, s));
	RT(cudaStreamSynchronize(s));
	RT(cudaMemcpy(got.data(), d, N * 4, cudaMemcpyDeviceToHost));
	for (uint32_t &x : want)
		x = rt_affine_cpu(x, 5, 3, 7 * 200);
	rt_same(got.data(), want.data(), N, "allocation in a graph");
	RT(cudaGraphExecDestroy(exec));
	RT(cudaGraphDestroy(graph));
	RT(cudaFree(d));
}

int main(int argc, char **argv)
{
	cudaStream_t s, other;
	rt_begin("rt_pools", argc, argv);
	rt_device();
	if (!rt_attribute(cudaDevAttrMemoryPoolsSupported))
		rt_skip("this device has no memory pools");
	RT(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
	RT(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking));
	chain(s, other, NULL, 1);
	own_pool(s, other);
	in_a_graph(s);
	RT(cudaStreamDestroy(s));
	RT(cudaStreamDestroy(other));
	return rt_end();
}
