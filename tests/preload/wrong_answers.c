// SPDX-License-Identifier: Apache-2.0
/*
 * wrong_answers.c: a driver that is not what tests/clients/api_memory.c takes it for: it refuses to
 * free nothing, and dies of a set of one byte of host memory.
 */
#define __CUDA_API_VERSION_INTERNAL
#include <cuda.h>
#include <dlfcn.h>
#include <signal.h>

#define VISIBLE __attribute__((visibility("default")))

VISIBLE CUresult cuMemFree_v2(CUdeviceptr dptr)
{
	CUresult (*next)(CUdeviceptr);
	*(void **)&next = dlsym(RTLD_NEXT, "cuMemFree_v2");
	return dptr ? next(dptr) : CUDA_ERROR_NOT_FOUND;
}

VISIBLE CUresult cuMemsetD8_v2(CUdeviceptr dst, unsigned char value, size_t n)
{
	CUresult (*next)(CUdeviceptr, unsigned char, size_t);
	*(void **)&next = dlsym(RTLD_NEXT, "cuMemsetD8_v2");
	if (n == 4)
		raise(SIGSEGV);
	return next(dst, value, n);
}
