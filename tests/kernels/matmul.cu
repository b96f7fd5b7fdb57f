// SPDX-License-Identifier: Apache-2.0
// matmul.cu: matrix products by tiles: each thread one element; and each thread four by four, with
// tiles that are copied asynchronously, the next one while this one is used.
#include <cuda_pipeline.h>

#define T 16

extern "C" __global__ void matmul(const float *a, const float *b, float *c, int m, int n, int k)
{
	__shared__ float as[T][T], bs[T][T];
	int row = blockIdx.y * T + threadIdx.y, col = blockIdx.x * T + threadIdx.x;
	float sum = 0;
	for (int t = 0; t < k; t += T) {
		int ka = t + threadIdx.x, kb = t + threadIdx.y;
		as[threadIdx.y][threadIdx.x] = row < m && ka < k ? a[row * k + ka] : 0;
		bs[threadIdx.y][threadIdx.x] = kb < k && col < n ? b[kb * n + col] : 0;
		__syncthreads();
		for (int i = 0; i < T; i++)
			sum += as[threadIdx.y][i] * bs[i][threadIdx.x];
		__syncthreads();
	}
	if (row < m && col < n)
		c[row * n + col] = sum;
}

#define TILE 64
#define DEPTH 16

// m and n multiples of 64, k of 16; 256 threads
extern "C" __global__ void matmul_async(const float *a, const float *b, float *c, int n, int k)
{
	__shared__ __align__(16) float as[2][TILE][DEPTH], bs[2][DEPTH][TILE];
	int t = threadIdx.x, row = blockIdx.y * TILE, col = blockIdx.x * TILE;
	float sum[4][4] = {};
	auto fetch = [&](int stage, int first) {
		__pipeline_memcpy_async(&as[stage][t / 4][t % 4 * 4],
		                        &a[(size_t)(row + t / 4) * k + first + t % 4 * 4], 16);
		__pipeline_memcpy_async(&bs[stage][t / 16][t % 16 * 4],
		                        &b[(size_t)(first + t / 16) * n + col + t % 16 * 4], 16);
		__pipeline_commit();
	};
	fetch(0, 0);
	for (int first = 0, stage = 0; first < k; first += DEPTH, stage ^= 1) {
		if (first + DEPTH < k)
			fetch(stage ^ 1, first + DEPTH);
		__pipeline_wait_prior(first + DEPTH < k ? 1 : 0);
		__syncthreads();
		for (int i = 0; i < DEPTH; i++)
			for (int y = 0; y < 4; y++)
				for (int x = 0; x < 4; x++)
					sum[y][x] += as[stage][t / 16 * 4 + y][i] *
					             bs[stage][i][t % 16 * 4 + x];
		__syncthreads();
	}
	for (int y = 0; y < 4; y++)
		for (int x = 0; x < 4; x++)
			c[(size_t)(row + t / 16 * 4 + y) * n + col + t % 16 * 4 + x] = sum[y][x];
}
