// SPDX-License-Identifier: Apache-2.0
// NVCC: -arch=sm_90
/*
 * pipeline.cu: asynchronous copies with the C++ library: cuda::pipeline in stages,
 * cuda::memcpy_async on a cuda::barrier, and bulk copies in and out with the cuda::ptx functions.
 * Against the CPU.
 */
#include <cooperative_groups.h>
#include <cuda/barrier>
#include <cuda/pipeline>
#include <cuda/ptx>

#include "t.h"

// barriers are made by init(), not by their constructors
#pragma nv_diag_suppress static_var_with_dynamic_init

namespace cg = cooperative_groups;

enum { N = 1 << 13, THREADS = 128, STAGES = 3, TILE = THREADS };
using barrier_t = cuda::barrier<cuda::thread_scope_block>;

/* Each block sums up its part, tile by tile, STAGES tiles under way. */
__global__ void staged(const int *in, int *out, int tiles)
{
	__shared__ int buffer[STAGES][TILE];
	__shared__ cuda::pipeline_shared_state<cuda::thread_scope_block, STAGES> state;
	auto block = cg::this_thread_block();
	auto pipe = cuda::make_pipeline(block, &state);
	const int *mine = in + blockIdx.x * tiles * TILE;
	int sum = 0, fetched = 0;
	for (int t = 0; t < tiles; t++) {
		for (; fetched < tiles && fetched < t + STAGES; fetched++) {
			pipe.producer_acquire();
			cuda::memcpy_async(block, buffer[fetched % STAGES], mine + fetched * TILE,
			                   sizeof(int) * TILE, pipe);
			pipe.producer_commit();
		}
		pipe.consumer_wait();
		sum += buffer[t % STAGES][(threadIdx.x + 1) % TILE] * (t + 1);
		pipe.consumer_release();
	}
	atomicAdd(&out[blockIdx.x], sum);
}

/* Bulk copies: in, told to a barrier; doubled; out, and once more as a sum. */
__global__ void bulk(const int *in, int *out, int *sums)
{
	__shared__ alignas(128) int tile[TILE];
	__shared__ barrier_t bar;
	barrier_t::arrival_token token;
	if (!threadIdx.x) {
		init(&bar, THREADS);
		cuda::ptx::fence_proxy_async(cuda::ptx::space_shared);
	}
	__syncthreads();
	if (!threadIdx.x) {
		cuda::memcpy_async(tile, in + blockIdx.x * TILE,
		                   cuda::aligned_size_t<16>(sizeof(tile)), bar);
		cuda::ptx::cp_async_bulk(cuda::ptx::space_cluster, cuda::ptx::space_global, tile,
		                         in + blockIdx.x * TILE, sizeof(tile),
		                         cuda::device::barrier_native_handle(bar));
		token = cuda::device::barrier_arrive_tx(bar, 1, sizeof(tile));
	} else {
		token = bar.arrive();
	}
	bar.wait(std::move(token));
	tile[threadIdx.x] = tile[threadIdx.x] * 2 + (int)threadIdx.x;
	cuda::ptx::fence_proxy_async(cuda::ptx::space_shared);
	__syncthreads();
	if (threadIdx.x)
		return;
	cuda::ptx::cp_async_bulk(cuda::ptx::space_global, cuda::ptx::space_shared,
	                         out + blockIdx.x * TILE, tile, sizeof(tile));
	cuda::ptx::cp_reduce_async_bulk(cuda::ptx::space_global, cuda::ptx::space_shared,
	                                cuda::ptx::op_add, sums, tile, sizeof(tile));
	cuda::ptx::cp_async_bulk_commit_group();
	cuda::ptx::cp_async_bulk_wait_group_read(cuda::ptx::n32_t<0>());
}

int main()
{
	static int host[N], got[N];
	int *in, *out, *sums;
	const int tiles = 8, blocks = N / TILE / tiles;
	for (int i = 0; i < N; i++)
		host[i] = (int)((unsigned)i * 2654435761u >> 20);
	OK(cudaMalloc(&in, sizeof(host)));
	OK(cudaMalloc(&out, sizeof(host)));
	OK(cudaMalloc(&sums, sizeof(int) * TILE));
	OK(cudaMemcpy(in, host, sizeof(host), cudaMemcpyHostToDevice));
	OK(cudaMemset(out, 0, sizeof(host)));
	OK(cudaMemset(sums, 0, sizeof(int) * TILE));

	staged<<<blocks, THREADS>>>(in, out, tiles);
	OK(cudaGetLastError());
	OK(cudaMemcpy(got, out, sizeof(int) * blocks, cudaMemcpyDeviceToHost));
	for (int b = 0; b < blocks; b++) {
		int want = 0;
		for (int i = 0; i < tiles * TILE; i++)
			want += host[b * tiles * TILE + i] * (i / TILE + 1);
		TRUE(got[b] == want);
	}

	bulk<<<N / TILE, THREADS>>>(in, out, sums);
	OK(cudaGetLastError());
	OK(cudaMemcpy(got, out, sizeof(got), cudaMemcpyDeviceToHost));
	for (int i = 0; i < N; i++)
		TRUE(got[i] == host[i] * 2 + i % TILE);
	OK(cudaMemcpy(got, sums, sizeof(int) * TILE, cudaMemcpyDeviceToHost));
	for (int t = 0; t < TILE; t++) {
		int want = 0;
		for (int i = t; i < N; i += TILE)
			want += host[i] * 2 + t;
		TRUE(got[t] == want);
	}
	OK(cudaFree(in));
	OK(cudaFree(out));
	OK(cudaFree(sums));
	printf("ok\n");
	return 0;
}
