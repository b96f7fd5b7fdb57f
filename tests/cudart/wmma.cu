// SPDX-License-Identifier: Apache-2.0
// NVCC: -arch=sm_80
/*
 * wmma.cu: matrix products with nvcuda::wmma in every type that it has, tiled over a larger matrix,
 * against the CPU's. Small integers: every sum is exact, so every result is.
 */
#include <mma.h>

#include "t.h"

using namespace nvcuda;

/* One warp a tile of C; A row-major, B column-major, C row-major. */
template <class In, class Frag, class Out, int M, int N, int K>
__global__ void product(const In *a, const In *b, Out *c, int m, int n, int k)
{
	wmma::fragment<wmma::matrix_a, M, N, K, Frag, wmma::row_major> fa;
	wmma::fragment<wmma::matrix_b, M, N, K, Frag, wmma::col_major> fb;
	wmma::fragment<wmma::accumulator, M, N, K, Out> fc;
	int row = blockIdx.y * M, col = blockIdx.x * N;
	wmma::fill_fragment(fc, Out(1));
	for (int i = 0; i < k; i += K) {
		wmma::load_matrix_sync(fa, a + row * k + i, k);
		wmma::load_matrix_sync(fb, b + col * k + i, k);
		wmma::mma_sync(fc, fa, fb, fc);
	}
	for (int i = 0; i < fc.num_elements; i++)
		fc.x[i] = fc.x[i] * Out(2);
	wmma::store_matrix_sync(c + row * n + col, fc, n, wmma::mem_row_major);
}

/* The same through shared memory, the factors the other way round in memory. */
__global__ void turned(const half *a, const half *b, float *c, int m, int n, int k)
{
	__shared__ __align__(32) half sa[16 * 16], sb[16 * 16];
	__shared__ __align__(32) float sc[16 * 16];
	wmma::fragment<wmma::matrix_a, 16, 16, 16, half, wmma::col_major> fa;
	wmma::fragment<wmma::matrix_b, 16, 16, 16, half, wmma::row_major> fb;
	wmma::fragment<wmma::accumulator, 16, 16, 16, float> fc;
	int row = blockIdx.y * 16, col = blockIdx.x * 16;
	wmma::fill_fragment(fc, 1.0f);
	for (int i = 0; i < k; i += 16) {
		for (int t = threadIdx.x; t < 256; t += 32) {
			sa[t] = a[(row + t % 16) * k + i + t / 16];
			sb[t] = b[(col + t % 16) * k + i + t / 16];
		}
		__syncwarp();
		wmma::load_matrix_sync(fa, sa, 16);
		wmma::load_matrix_sync(fb, sb, 16);
		wmma::mma_sync(fc, fa, fb, fc);
		__syncwarp();
	}
	wmma::store_matrix_sync(sc, fc, 16, wmma::mem_col_major);
	__syncwarp();
	for (int t = threadIdx.x; t < 256; t += 32)
		c[(row + t % 16) * n + col + t / 16] = 2 * sc[t];
}

static double value(int i, int range, bool sign)
{
	return (int)((unsigned)i * 2654435761u >> 20) % range - (sign ? range / 2 : 0);
}

template <class In, class Out, class Kernel>
static void check(const char *name, Kernel kernel, dim3 grid, int m, int n, int k, bool sign)
{
	In *a, *b;
	Out *c;
	OK(cudaMallocManaged(&a, sizeof(In) * m * k));
	OK(cudaMallocManaged(&b, sizeof(In) * n * k));
	OK(cudaMallocManaged(&c, sizeof(Out) * m * n));
	for (int i = 0; i < m * k; i++)
		a[i] = In((float)value(i, 5, sign));
	for (int i = 0; i < n * k; i++)
		b[i] = In((float)value(i + 7, 7, sign));
	kernel<<<grid, 32>>>(a, b, c, m, n, k);
	OK(cudaGetLastError());
	OK(cudaDeviceSynchronize());
	for (int i = 0; i < m; i++)
		for (int j = 0; j < n; j++) {
			double want = 1;
			for (int l = 0; l < k; l++)
				want += value(i * k + l, 5, sign) * value(j * k + l + 7, 7, sign);
			if ((double)c[i * n + j] != 2 * want) {
				fprintf(stderr, "%s (%d, %d): %g, not %g\n", name, i, j,
				        (double)c[i * n + j], 2 * want);
				exit(1);
			}
		}
	OK(cudaFree(a));
	OK(cudaFree(b));
	OK(cudaFree(c));
}

int main()
{
	using tf32 = wmma::precision::tf32;
	const int m = 64, n = 32, k = 64;
	check<half, float>("f16", product<half, half, float, 16, 16, 16>, dim3(n / 16, m / 16), m,
	                   n, k, true);
	check<half, half>("f16 in f16", product<half, half, half, 32, 8, 16>, dim3(n / 8, m / 32),
	                  m, n, k, true);
	check<half, float>("f16 turned", turned, dim3(n / 16, m / 16), m, n, k, true);
	check<__nv_bfloat16, float>("bf16", product<__nv_bfloat16, __nv_bfloat16, float, 8, 32, 16>,
	                            dim3(n / 32, m / 8), m, n, k, true);
	check<float, float>("tf32", product<float, tf32, float, 16, 16, 8>, dim3(n / 16, m / 16), m,
	                    n, k, true);
	check<double, double>("f64", product<double, double, double, 8, 8, 4>, dim3(n / 8, m / 8),
	                      m, n, k, true);
	check<signed char, int>("s8", product<signed char, signed char, int, 16, 16, 16>,
	                        dim3(n / 16, m / 16), m, n, k, true);
	check<unsigned char, int>("u8", product<unsigned char, unsigned char, int, 32, 8, 16>,
	                          dim3(n / 8, m / 32), m, n, k, false);
	printf("ok\n");
	return 0;
}
