// SPDX-License-Identifier: Apache-2.0
/*
 * heap.cu: memory that kernels allocate: objects with virtual functions made by one kernel, used by
 * the next and deleted by a third; arrays of each thread and of each block; and what does not fit.
 */
#include <assert.h>

#include "t.h"

struct shape {
	__device__ virtual int area() const = 0;
	__device__ virtual ~shape()
	{
	}
};

struct square : shape {
	int side;
	__device__ square(int s) : side(s)
	{
	}
	__device__ int area() const
	{
		return side * side;
	}
};

struct oblong : shape {
	int width, height;
	__device__ oblong(int w, int h) : width(w), height(h)
	{
	}
	__device__ int area() const
	{
		return width * height;
	}
};

enum { N = 256 };
__device__ shape *shapes[N];

__global__ void make()
{
	int i = threadIdx.x + blockIdx.x * blockDim.x;
	if (i % 2)
		shapes[i] = new oblong(i, 3);
	else
		shapes[i] = new square(i);
}

__global__ void use(int *out)
{
	int i = threadIdx.x + blockIdx.x * blockDim.x;
	out[i] = shapes[i]->area();
}

__global__ void destroy()
{
	delete shapes[threadIdx.x + blockIdx.x * blockDim.x];
}

/* Each thread's own array, as long as its number, and a copy of it. */
__global__ void sums(int *out)
{
	int n = threadIdx.x + 1, sum = 0;
	int *v = new int[n], *w = (int *)malloc(n * sizeof(*w));
	for (int i = 0; i < n; i++)
		v[i] = i;
	memcpy(w, v, n * sizeof(*w));
	for (int i = 0; i < n; i++)
		sum += w[i];
	out[threadIdx.x] = sum;
	delete[] v;
	free(w);
}

/* One array for the block, by its first thread. */
__global__ void reversed(int *out)
{
	__shared__ int *p;
	if (threadIdx.x == 0)
		p = (int *)malloc(blockDim.x * sizeof(*p));
	__syncthreads();
	assert(p);
	p[threadIdx.x] = threadIdx.x;
	__syncthreads();
	out[threadIdx.x] = p[blockDim.x - 1 - threadIdx.x];
	__syncthreads();
	if (threadIdx.x == 0)
		free(p);
}

__global__ void too_much(int *out)
{
	out[0] = malloc((size_t)1 << 40) == NULL;
}

int main()
{
	int *out;
	size_t heap;
	OK(cudaDeviceSetLimit(cudaLimitMallocHeapSize, 16 << 20));
	OK(cudaDeviceGetLimit(&heap, cudaLimitMallocHeapSize));
	TRUE(heap >= 16 << 20);
	OK(cudaMallocManaged(&out, N * sizeof(*out)));
	make<<<2, N / 2>>>();
	use<<<2, N / 2>>>(out);
	destroy<<<2, N / 2>>>();
	OK(cudaDeviceSynchronize());
	for (int i = 0; i < N; i++)
		TRUE(out[i] == (i % 2 ? i * 3 : i * i));
	sums<<<1, 100>>>(out);
	OK(cudaDeviceSynchronize());
	for (int i = 0; i < 100; i++)
		TRUE(out[i] == i * (i + 1) / 2);
	reversed<<<1, 64>>>(out);
	OK(cudaDeviceSynchronize());
	for (int i = 0; i < 64; i++)
		TRUE(out[i] == 63 - i);
	too_much<<<1, 1>>>(out);
	OK(cudaDeviceSynchronize());
	TRUE(out[0]);
	printf("ok\n");
	return 0;
}
