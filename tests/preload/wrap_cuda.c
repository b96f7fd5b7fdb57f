// SPDX-License-Identifier: Apache-2.0
/*
 * wrap_cuda.c: somebody else's CUDA interposer: wraps one driver function through
 * dlsym(RTLD_NEXT) and says at the end how often it was called.
 */
#define __CUDA_API_VERSION_INTERNAL
#include <cuda.h>
#include <dlfcn.h>
#include <stdio.h>

static int calls;

__attribute__((visibility("default"))) CUresult cuMemsetD32_v2(CUdeviceptr dst, unsigned int value,
                                                               size_t n)
{
	CUresult (*next)(CUdeviceptr, unsigned int, size_t);
	*(void **)&next = dlsym(RTLD_NEXT, "cuMemsetD32_v2");
	calls++;
	return next(dst, value, n);
}

__attribute__((destructor)) static void report(void)
{
	fprintf(stderr, "wrap_cuda: %d\n", calls);
}
