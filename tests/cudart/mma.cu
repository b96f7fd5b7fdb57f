// SPDX-License-Identifier: Apache-2.0
// NVCC: -arch=sm_80
/*
 * mma.cu: a matrix product as libraries write it: tiles copied with cp.async into two buffers by
 * turns, fragments out of them with ldmatrix, mma.sync on them; and the same in int8 and in f64,
 * with fragments filled by the formulas of the PTX ISA. Against the CPU, exactly.
 */
#include <cuda_fp16.h>
#include <cuda_pipeline.h>

#include "t.h"

enum { M = 64, N = 64, K = 96, TILE_K = 16, PITCH = TILE_K + 8 };

__device__ static unsigned shared_address(const void *p)
{
	return (unsigned)__cvta_generic_to_shared(p);
}

/* A row-major, B as N rows of K; a block of 4 warps does 32 × 32 of C, each warp 16 × 16. */
__global__ void half_product(const half *a, const half *b, float *c)
{
	__shared__ __align__(16) half sa[2][32 * PITCH], sb[2][32 * PITCH];
	int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
	int row = blockIdx.y * 32, col = blockIdx.x * 32, wr = warp / 2 * 16, wc = warp % 2 * 16;
	float acc[2][4] = {};
	auto fetch = [&](int buffer, int k) {
		int i = threadIdx.x % 64, r = i / 2, h = i % 2 * 8;
		if (threadIdx.x < 64)
			__pipeline_memcpy_async(&sa[buffer][r * PITCH + h],
			                        &a[(row + r) * K + k + h], 16);
		else
			__pipeline_memcpy_async(&sb[buffer][r * PITCH + h],
			                        &b[(col + r) * K + k + h], 16);
		__pipeline_commit();
	};
	fetch(0, 0);
	for (int k = 0, buffer = 0; k < K; k += TILE_K, buffer ^= 1) {
		if (k + TILE_K < K)
			fetch(buffer ^ 1, k + TILE_K);
		__pipeline_wait_prior(k + TILE_K < K);
		__syncthreads();
		unsigned ra[4], rb[4];
		const half *pa = &sa[buffer][(wr + lane % 16) * PITCH + lane / 16 * 8];
		const half *pb =
		    &sb[buffer][(wc + lane / 16 * 8 + lane % 8) * PITCH + lane / 8 % 2 * 8];
		asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
		             : "=r"(ra[0]), "=r"(ra[1]), "=r"(ra[2]), "=r"(ra[3])
		             : "r"(shared_address(pa)));
		asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
		             : "=r"(rb[0]), "=r"(rb[1]), "=r"(rb[2]), "=r"(rb[3])
		             : "r"(shared_address(pb)));
		for (int t = 0; t < 2; t++)
			asm volatile(
			    "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
			    "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
			    : "+f"(acc[t][0]), "+f"(acc[t][1]), "+f"(acc[t][2]), "+f"(acc[t][3])
			    : "r"(ra[0]), "r"(ra[1]), "r"(ra[2]), "r"(ra[3]), "r"(rb[2 * t]),
			      "r"(rb[2 * t + 1]));
		__syncthreads();
	}
	for (int t = 0; t < 2; t++)
		for (int i = 0; i < 4; i++)
			c[(row + wr + lane / 4 + i / 2 * 8) * N + col + wc + t * 8 + lane % 4 * 2 +
			  i % 2] = acc[t][i];
}

/* One warp, 16 × 8 of C. */
__global__ void byte_product(const signed char *a, const signed char *b, int *c)
{
	int lane = threadIdx.x, g = lane / 4, t = lane % 4, row = blockIdx.y * 16,
	    col = blockIdx.x * 8;
	int acc[4] = {};
	for (int k = 0; k < K; k += 32) {
		unsigned ra[4], rb[2];
		for (int i = 0; i < 4; i++)
			ra[i] = *(
			    const unsigned *)&a[(row + g + i % 2 * 8) * K + k + t * 4 + i / 2 * 16];
		for (int i = 0; i < 2; i++)
			rb[i] = *(const unsigned *)&b[(col + g) * K + k + t * 4 + i * 16];
		asm volatile("mma.sync.aligned.m16n8k32.row.col.satfinite.s32.s8.s8.s32 "
		             "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
		             : "+r"(acc[0]), "+r"(acc[1]), "+r"(acc[2]), "+r"(acc[3])
		             : "r"(ra[0]), "r"(ra[1]), "r"(ra[2]), "r"(ra[3]), "r"(rb[0]),
		               "r"(rb[1]));
	}
	for (int i = 0; i < 4; i++)
		c[(row + g + i / 2 * 8) * N + col + t * 2 + i % 2] = acc[i];
}

__global__ void double_product(const double *a, const double *b, double *c)
{
	int lane = threadIdx.x, g = lane / 4, t = lane % 4, row = blockIdx.y * 8,
	    col = blockIdx.x * 8;
	double acc[2] = {};
	for (int k = 0; k < K; k += 4)
		asm volatile(
		    "mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%0, %1}, {%2}, {%3}, "
		    "{%0, %1};"
		    : "+d"(acc[0]), "+d"(acc[1])
		    : "d"(a[(row + g) * K + k + t]), "d"(b[(col + g) * K + k + t]));
	for (int i = 0; i < 2; i++)
		c[(row + g) * N + col + t * 2 + i] = acc[i];
}

static int value(int i)
{
	return (int)((unsigned)i * 2654435761u >> 20) % 9 - 4;
}

template <class In, class Out, class Kernel>
static void check(Kernel kernel, dim3 grid, int threads)
{
	static In a[M * K], b[N * K];
	static Out c[M * N];
	In *da, *db;
	Out *dc;
	for (int i = 0; i < M * K; i++)
		a[i] = In((float)value(i));
	for (int i = 0; i < N * K; i++)
		b[i] = In((float)value(i + 3));
	OK(cudaMalloc(&da, sizeof(a)));
	OK(cudaMalloc(&db, sizeof(b)));
	OK(cudaMalloc(&dc, sizeof(c)));
	OK(cudaMemcpy(da, a, sizeof(a), cudaMemcpyHostToDevice));
	OK(cudaMemcpy(db, b, sizeof(b), cudaMemcpyHostToDevice));
	kernel<<<grid, threads>>>(da, db, dc);
	OK(cudaGetLastError());
	OK(cudaMemcpy(c, dc, sizeof(c), cudaMemcpyDeviceToHost));
	for (int i = 0; i < M; i++)
		for (int j = 0; j < N; j++) {
			int want = 0;
			for (int k = 0; k < K; k++)
				want += value(i * K + k) * value(j * K + k + 3);
			TRUE((double)c[i * N + j] == want);
		}
	OK(cudaFree(da));
	OK(cudaFree(db));
	OK(cudaFree(dc));
}

int main()
{
	check<half, float>(half_product, dim3(N / 32, M / 32), 128);
	check<signed char, int>(byte_product, dim3(N / 8, M / 16), 32);
	check<double, double>(double_product, dim3(N / 8, M / 8), 32);
	printf("ok\n");
	return 0;
}
