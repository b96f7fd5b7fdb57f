// SPDX-License-Identifier: Apache-2.0
// bench_softgpu.cu: what bench_softgpu runs: a sum of vectors, and a product of matrices by tiles.
#define TILE 16

extern "C" __global__ void vectorAdd(const float *a, const float *b, float *c, int n)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < n)
		c[i] = a[i] + b[i];
}

// n is a multiple of TILE
extern "C" __global__ void matmul(const float *a, const float *b, float *c, int n)
{
	__shared__ float ta[TILE][TILE], tb[TILE][TILE];
	int x = threadIdx.x, y = threadIdx.y, row = blockIdx.y * TILE + y,
	    col = blockIdx.x * TILE + x;
	float sum = 0;
	for (int k0 = 0; k0 < n; k0 += TILE) {
		ta[y][x] = a[row * n + k0 + x];
		tb[y][x] = b[(k0 + y) * n + col];
		__syncthreads();
		for (int k = 0; k < TILE; k++)
			sum += ta[y][k] * tb[k][x];
		__syncthreads();
	}
	c[row * n + col] = sum;
}
