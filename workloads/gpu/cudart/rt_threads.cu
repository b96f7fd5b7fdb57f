// SPDX-License-Identifier: Apache-2.0
/*
 * rt_threads.cu: eight host threads at once: each launches on streams of its own that it creates,
 * synchronises and destroys again and again, on one stream that all share, and ends with work of
 * its own still under way.
 *
 * WHAT IT ASKS of the GPU: is every launch of every thread made once. HOW THE ANSWER IS READ: exit
 * status 0 and the bytes of --dump.
 */
#include "rt.h"

#include <atomic>
#include <thread>

#define N 2048u
#define THREADS 8u
#define ROUNDS 60u
#define LAUNCHES 20u

static __global__ void add(uint32_t *x, unsigned n, uint32_t v)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < n)
		atomicAdd(&x[i], v);
}

struct shared {
	uint32_t *sum; /* all threads add to it: order does not matter, number does */
	cudaStream_t stream;
	std::atomic<unsigned> host_calls;
};

static void CUDART_CB count(void *arg)
{
	((struct shared *)arg)->host_calls.fetch_add(1);
}

static void worker(unsigned t, struct shared *all, uint32_t *own)
{
	cudaEvent_t e;
	RT(cudaSetDevice(0));
	RT(cudaEventCreateWithFlags(&e, cudaEventDisableTiming));
	for (unsigned r = 0; r < ROUNDS; r++) {
		cudaStream_t s;
		RT(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
		if (r)
			RT(cudaStreamWaitEvent(s, e, 0));
		for (unsigned i = 0; i < LAUNCHES; i++) {
			uint32_t k = r * LAUNCHES + i;
			rt_affine<<<rt_blocks(N), 256, 0, s>>>(own, N, 2 * k + 3, t + k, 4);
			add<<<rt_blocks(N), 256, 0, i % 2 ? s : all->stream>>>(all->sum, N, t + 1);
		}
		RT_LAUNCHED();
		RT(cudaEventRecord(e, s));
		if (r % 4 == 0)
			RT(cudaStreamSynchronize(s));
		else if (r % 4 == 1)
			RT(cudaEventSynchronize(e));
		else if (r % 4 == 2)
			RT(cudaLaunchHostFunc(all->stream, count, all));
		RT(cudaStreamDestroy(s));
		if (r % 16 == 0)
			RT(cudaDeviceSynchronize());
	}
	RT(cudaEventDestroy(e));
}

int main(int argc, char **argv)
{
	std::vector<std::thread> threads;
	std::vector<uint32_t> got(N), want[THREADS], sum(N, 0);
	struct shared all;
	uint32_t *own[THREADS];
	rt_begin("rt_threads", argc, argv);
	rt_device();
	all.host_calls = 0;
	RT(cudaMalloc(&all.sum, N * 4));
	RT(cudaMemset(all.sum, 0, N * 4));
	RT(cudaStreamCreateWithFlags(&all.stream, cudaStreamNonBlocking));
	for (unsigned t = 0; t < THREADS; t++) {
		want[t] = rt_filled(N, t);
		RT(cudaMalloc(&own[t], N * 4));
		RT(cudaMemcpy(own[t], want[t].data(), N * 4, cudaMemcpyHostToDevice));
	}
	RT(cudaDeviceSynchronize());
	for (unsigned t = 0; t < THREADS; t++)
		threads.emplace_back(worker, t, &all, own[t]);
	for (std::thread &t : threads)
		t.join();
	RT(cudaDeviceSynchronize());
	RT_TRUE(all.host_calls == THREADS * ROUNDS / 4);
	for (unsigned t = 0; t < THREADS; t++) {
		for (uint32_t &x : want[t])
			for (uint32_t k = 0; k < ROUNDS * LAUNCHES; k++)
				x = rt_affine_cpu(x, 2 * k + 3, t + k, 4);
		RT(cudaMemcpy(got.data(), own[t], N * 4, cudaMemcpyDeviceToHost));
		rt_same(got.data(), want[t].data(), N, "a thread's own data");
		for (uint32_t &x : sum)
			x += ROUNDS * LAUNCHES * (t + 1);
		RT(cudaFree(own[t]));
	}
	RT(cudaMemcpy(got.data(), all.sum, N * 4, cudaMemcpyDeviceToHost));
	rt_same(got.data(), sum.data(), N, "shared data");
	RT(cudaFree(all.sum));
	RT(cudaStreamDestroy(all.stream));
	return rt_end();
}
