// SPDX-License-Identifier: Apache-2.0
/* errors.cu: the last error, per thread; refused launches; an error that ruins the context and what
 * a reset makes of it; names and texts. */
#include <assert.h>

#include <thread>

#include "t.h"

static __global__ void store(int *p, int v)
{
	p[threadIdx.x] = v;
}

static __global__ void __launch_bounds__(64) small(void)
{
}

static void not_a_kernel(void)
{
}

static void last_error(void)
{
	int *d;
	OK(cudaGetLastError());
	IS(cudaSetDevice(77), cudaErrorInvalidDevice);
	OK(cudaMalloc(&d, 4)); /* a success leaves it as it is */
	IS(cudaPeekAtLastError(), cudaErrorInvalidDevice);
	std::thread([] { OK(cudaGetLastError()); }).join();
	IS(cudaGetLastError(), cudaErrorInvalidDevice);
	OK(cudaGetLastError());
	OK(cudaFree(d));
	TRUE(strcmp(cudaGetErrorName(cudaErrorInvalidConfiguration),
	            "cudaErrorInvalidConfiguration") == 0);
	TRUE(strcmp(cudaGetErrorString(cudaErrorInvalidConfiguration),
	            "invalid configuration argument") == 0);
	TRUE(strcmp(cudaGetErrorString(cudaErrorMemoryAllocation), "out of memory") == 0);
	TRUE(strcmp(cudaGetErrorName((cudaError_t)12345), "unrecognized error code") == 0);
}

static void refused_launches(void)
{
	int *d;
	void *args[] = {&d, &d};
	OK(cudaMalloc(&d, 4096));
	store<<<0, 1>>>(d, 1);
	IS(cudaGetLastError(), cudaErrorInvalidValue);
	store<<<1, dim3(1, 1, 100)>>>(d, 1);
	IS(cudaGetLastError(), cudaErrorInvalidValue);
	store<<<1, 2048>>>(d, 1);
	IS(cudaGetLastError(), cudaErrorInvalidValue);
	small<<<1, 128>>>();
	IS(cudaGetLastError(), cudaErrorInvalidValue);
	store<<<1, 32, 1 << 20>>>(d, 1);
	IS(cudaGetLastError(), cudaErrorInvalidValue);
	cudaStream_t s;
	OK(cudaStreamCreate(&s));
	OK(cudaStreamDestroy(s));
	store<<<1, 32, 0, s>>>(d, 1);
	TRUE(cudaGetLastError() != cudaSuccess);
	IS(cudaLaunchKernel((const void *)not_a_kernel, dim3(1), dim3(1), args, 0, 0),
	   cudaErrorInvalidDeviceFunction);
	IS(cudaLaunchKernel(NULL, dim3(1), dim3(1), args, 0, 0), cudaErrorInvalidDeviceFunction);
	(void)cudaGetLastError();
	OK(cudaDeviceSynchronize());
	OK(cudaFree(d));
}

/* Every later call fails alike, in each thread, until the reset; then all is new. */
static void ruined(void)
{
	int *d, v = 0;
	cudaStream_t s;
	OK(cudaStreamCreate(&s));
	OK(cudaMalloc(&d, 4));
	store<<<1, 1>>>((int *)16, 1);
	OK(cudaGetLastError());
	IS(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
	IS(cudaGetLastError(), cudaErrorIllegalAddress);
	IS(cudaGetLastError(), cudaErrorIllegalAddress); /* asking does not heal it */
	IS(cudaMalloc(&d, 4), cudaErrorIllegalAddress);
	std::thread([] {
		int *p;
		OK(cudaGetLastError());
		IS(cudaMalloc(&p, 4), cudaErrorIllegalAddress);
	}).join();
	OK(cudaDeviceReset());
	OK(cudaGetLastError());
	OK(cudaMalloc(&d, 4));
	store<<<1, 1>>>(d, 42);
	OK(cudaGetLastError());
	OK(cudaMemcpy(&v, d, 4, cudaMemcpyDeviceToHost));
	TRUE(v == 42);
	TRUE(cudaStreamQuery(s) != cudaSuccess); /* it went with its context */
	(void)cudaGetLastError();
	std::thread([d] { OK(cudaFree(d)); }).join();
}

/* A thread whose context another thread reset gets the new one. */
static void reset_elsewhere(void)
{
	int *d;
	OK(cudaMalloc(&d, 4));
	std::thread([] { OK(cudaDeviceReset()); }).join();
	OK(cudaMalloc(&d, 4));
	store<<<1, 1>>>(d, 1);
	OK(cudaDeviceSynchronize());
	OK(cudaFree(d));
}

static __global__ void expects(int v)
{
	assert(v == 1 && "as expected");
}

static void assertions(void)
{
	expects<<<1, 1>>>(1);
	OK(cudaDeviceSynchronize());
	expects<<<1, 1>>>(2);
	IS(cudaDeviceSynchronize(), cudaErrorAssert);
	OK(cudaDeviceReset());
	OK(cudaDeviceSynchronize());
}

static void missing(void)
{
	cudaExternalMemory_t m;
	cudaExternalMemoryHandleDesc d = {};
	for (int i = 0; i < 2; i++)
		IS(cudaImportExternalMemory(&m, &d), cudaErrorNotSupported);
	IS(cudaGetLastError(), cudaErrorNotSupported);
}

int main(void)
{
	last_error();
	refused_launches();
	missing();
	ruined();
	reset_elsewhere();
	assertions();
	puts("ok");
	return 0;
}
