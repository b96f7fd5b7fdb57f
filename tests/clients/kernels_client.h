// SPDX-License-Identifier: Apache-2.0
/* kernels_client.h: modules, device memory, launches and random numbers for kernels.c. */
#ifndef KERNELS_CLIENT_H
#define KERNELS_CLIENT_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "api_client.h"

#define BLOCKS_MAX 64
static CUmodule module;
static CUdeviceptr device_blocks[BLOCKS_MAX];
static void *host_blocks[BLOCKS_MAX];
static int n_device, n_host;
static uint64_t random_state = 1;

/* the same numbers in every run */
static inline uint32_t next_random(void)
{
	uint64_t z = (random_state += 0x9e3779b97f4a7c15ull);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return (uint32_t)((z ^ (z >> 31)) >> 16);
}
static inline float uniform(void)
{
	return (float)(next_random() >> 8) * 0x1p-24f;
}
static inline bool near_to(float got, double want, double bound)
{
	return fabs((double)got - want) <= bound;
}
static inline double half_value(uint32_t h)
{
	int exp = (int)(h >> 10) & 31, man = (int)h & 1023;
	double v = exp ? ldexp(1024 + man, exp - 25) : ldexp(man, -24);
	return h & 0x8000 ? -v : v;
}

/* ---- memory, given back by unload() */
static inline void *input(size_t bytes)
{
	CHECK(n_host < BLOCKS_MAX);
	void *p = calloc(1, bytes);
	CHECK(p);
	return host_blocks[n_host++] = p;
}
static inline CUdeviceptr device(size_t bytes)
{
	CUdeviceptr d;
	CHECK(n_device < BLOCKS_MAX);
	OK(cuMemAlloc(&d, bytes));
	OK(cuMemsetD8(d, 0, bytes));
	return device_blocks[n_device++] = d;
}
static inline CUdeviceptr to_device(const void *from, size_t bytes)
{
	CUdeviceptr d = device(bytes);
	OK(cuMemcpyHtoD(d, from, bytes));
	return d;
}
static inline void from_device(void *to, CUdeviceptr from, size_t bytes)
{
	OK(cuMemcpyDtoH(to, from, bytes));
}

/* ---- modules and launches */
static inline void start(void)
{
	CUdevice dev;
	CUcontext ctx;
	OK(cuInit(0));
	OK(cuDeviceGet(&dev, 0));
	OK(cuDevicePrimaryCtxRetain(&ctx, dev));
	OK(cuCtxSetCurrent(ctx));
}
static inline void load(const char *folder, const char *name)
{
	char path[1024];
	snprintf(path, sizeof(path), "%s/%s.fatbin", folder, name);
	OK(cuModuleLoad(&module, path));
}
static inline void unload(void)
{
	while (n_device)
		OK(cuMemFree(device_blocks[--n_device]));
	while (n_host)
		free(host_blocks[--n_host]);
	OK(cuModuleUnload(module));
}

/* The arguments of a kernel: lvalues or compound literals */
#define ARG1(a) &(a)
#define ARG2(a, ...) &(a), ARG1(__VA_ARGS__)
#define ARG3(a, ...) &(a), ARG2(__VA_ARGS__)
#define ARG4(a, ...) &(a), ARG3(__VA_ARGS__)
#define ARG5(a, ...) &(a), ARG4(__VA_ARGS__)
#define ARG6(a, ...) &(a), ARG5(__VA_ARGS__)
#define ARG7(a, ...) &(a), ARG6(__VA_ARGS__)
#define ARGN(a, b, c, d, e, f, g, N, ...) N
#define ARGS(...)                                                                                  \
	(void *[])                                                                                 \
	{                                                                                          \
		ARGN(__VA_ARGS__, ARG7, ARG6, ARG5, ARG4, ARG3, ARG2, ARG1, 0)(__VA_ARGS__)        \
	}

static inline void run_kernel(const char *name, int gx, int gy, int bx, int by, int shared,
                              void **args)
{
	CUfunction f;
	OK(cuModuleGetFunction(&f, module, name));
	OK(cuLaunchKernel(f, (unsigned)gx, (unsigned)gy, 1, (unsigned)bx, (unsigned)by, 1,
	                  (unsigned)shared, NULL, args, NULL));
	OK(cuCtxSynchronize());
}

#endif
