// SPDX-License-Identifier: Apache-2.0
// NVCC: -rdc=true
// LINK: -lcudadevrt
/*
 * children.cu: kernels that launch kernels, as tree builders and sorts do: a quicksort that
 * launches itself, grids from many threads, parameters of several types, memory of the device
 * runtime, and launches that are refused.
 */
#include <algorithm>
#include <vector>

#include "t.h"

/* ---- a sort whose kernels launch themselves on both parts */

__global__ void quicksort(unsigned *data, int left, int right, int depth)
{
	if (depth > 16 || right - left < 16) {
		for (int i = left; i <= right; i++) {
			int least = i;
			for (int k = i + 1; k <= right; k++)
				least = data[k] < data[least] ? k : least;
			unsigned v = data[i];
			data[i] = data[least];
			data[least] = v;
		}
		return;
	}
	unsigned pivot = data[(left + right) / 2];
	int l = left, r = right;
	while (l <= r) {
		while (data[l] < pivot)
			l++;
		while (data[r] > pivot)
			r--;
		if (l <= r) {
			unsigned v = data[l];
			data[l++] = data[r];
			data[r--] = v;
		}
	}
	cudaStream_t s;
	if (left < r) {
		cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking);
		quicksort<<<1, 1, 0, s>>>(data, left, r, depth + 1);
		cudaStreamDestroy(s);
	}
	if (l < right) {
		cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking);
		quicksort<<<1, 1, 0, s>>>(data, l, right, depth + 1);
		cudaStreamDestroy(s);
	}
}

static void sorts(void)
{
	enum { N = 5000 };
	unsigned *data;
	std::vector<unsigned> want;
	OK(cudaMallocManaged(&data, N * sizeof(*data)));
	for (unsigned i = 0, v = 1; i < N; i++, v = v * 1664525 + 1013904223)
		want.push_back(data[i] = v >> 8);
	quicksort<<<1, 1>>>(data, 0, N - 1, 0);
	OK(cudaDeviceSynchronize());
	std::sort(want.begin(), want.end());
	TRUE(!memcmp(data, want.data(), N * sizeof(*data)));
	OK(cudaFree(data));
}

/* ---- many children of one grid, each a grid with shared memory */

__global__ void scale(double by, char add, int n, float *rows, short row)
{
	extern __shared__ float s[];
	s[threadIdx.x] = rows[row * n + threadIdx.x];
	__syncthreads();
	rows[row * n + threadIdx.x] = (float)(s[n - 1 - threadIdx.x] * by) + add;
}

__global__ void each_row(float *rows, int n)
{
	short row = (short)(blockIdx.x * blockDim.x + threadIdx.x);
	scale<<<1, n, n * sizeof(float)>>>(0.5, 3, n, rows, row);
}

static void rows(void)
{
	enum { ROWS = 40, N = 64 };
	float *m;
	OK(cudaMallocManaged(&m, ROWS * N * sizeof(*m)));
	for (int i = 0; i < ROWS * N; i++)
		m[i] = (float)i;
	each_row<<<4, ROWS / 4>>>(m, N);
	OK(cudaDeviceSynchronize());
	for (int i = 0; i < ROWS * N; i++)
		TRUE(m[i] == (float)(i / N * N + N - 1 - i % N) * 0.5f + 3);
	OK(cudaFree(m));
}

/* ---- the device runtime */

__global__ void fill(int *p, int v)
{
	p[threadIdx.x] = v;
}

__global__ void collect(int *p, int *out)
{
	out[3] = p[0] + p[31];
	cudaFree(p);
}

__global__ void manager(int *out)
{
	int *p = NULL;
	out[0] = cudaMalloc((void **)&p, 32 * sizeof(*p));
	fill<<<1, 32>>>(p, 21);
	collect<<<1, 1, 0, cudaStreamTailLaunch>>>(p, out);
	fill<<<1, 2000>>>(p, 1); /* too many threads */
	out[1] = cudaGetLastError();
	out[2] = cudaGetLastError();
	int device = -1;
	cudaGetDevice(&device);
	out[4] = device;
	cudaMemsetAsync(out + 5, 0x11, sizeof(int), 0);
	cudaMemcpyAsync(out + 6, out + 5, sizeof(int), cudaMemcpyDeviceToDevice, 0);
	if (out[1])
		printf("%s\n", cudaGetErrorString((cudaError_t)out[1]));
}

__global__ void deeper(int *depth)
{
	*depth = *depth + 1;
	deeper<<<1, 1>>>(depth);
}

__global__ void broken(int *p)
{
	fill<<<1, 1>>>(p, 1);
}

int main()
{
	int *out;
	sorts();
	rows();
	OK(cudaMallocManaged(&out, 16 * sizeof(*out)));
	manager<<<1, 1>>>(out);
	OK(cudaDeviceSynchronize());
	TRUE(out[0] == cudaSuccess && out[1] == cudaErrorInvalidConfiguration && !out[2]);
	TRUE(out[3] == 42 && out[4] == 0 && out[5] == 0x11111111 && out[6] == 0x11111111);
	out[0] = 0;
	deeper<<<1, 1>>>(out);
	OK(cudaDeviceSynchronize());
	TRUE(out[0] == 25); /* 24 levels below the first */
	broken<<<1, 1>>>((int *)16);
	IS(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
	printf("ok\n");
	return 0;
}
