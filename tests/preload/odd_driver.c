// SPDX-License-Identifier: Apache-2.0
/*
 * odd_driver.c: a driver that is older and newer than our header at once: it lacks most functions,
 * hands out other addresses than it exports, and knows an ABI of cuMemsetD32 that came after 13.x.
 */
#define __CUDA_API_VERSION_INTERNAL
#include <cuda.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT CUresult cuInit(unsigned int flags)
{
	return flags ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

EXPORT CUresult cuMemsetD32(CUdeviceptr_v1 dst, unsigned int value, unsigned int n)
{
	return CUDA_SUCCESS;
}

EXPORT CUresult cuMemsetD32_v2(CUdeviceptr dst, unsigned int value, size_t n)
{
	return CUDA_SUCCESS;
}

static CUresult inner_v1(CUdeviceptr_v1 dst, unsigned int value, unsigned int n)
{
	return cuMemsetD32(dst, value, n);
}

static CUresult inner_v2(CUdeviceptr dst, unsigned int value, size_t n)
{
	return cuMemsetD32_v2(dst, value, n);
}

/* later than any header: another order of the arguments */
EXPORT CUresult of_the_future(size_t n, CUdeviceptr dst, unsigned int value, void *more);
CUresult of_the_future(size_t n, CUdeviceptr dst, unsigned int value, void *more)
{
	return CUDA_SUCCESS;
}

static void *find(const char *symbol, int version)
{
	if (!strcmp(symbol, "cuMemsetD32"))
		return version >= 20000  ? (void *)of_the_future
		       : version >= 3020 ? (void *)inner_v2
		                         : (void *)inner_v1;
	if (!strcmp(symbol, "cuMemsetD32_v2"))
		return (void *)inner_v2;
	if (!strcmp(symbol, "cuOfTheFuture"))
		return (void *)of_the_future;
	if (!strcmp(symbol, "cuStreamSynchronize")) /* not exported at all */
		return (void *)inner_v1;
	return NULL;
}

EXPORT CUresult cuGetProcAddress(const char *symbol, void **pfn, int version, cuuint64_t flags)
{
	*pfn = find(symbol, version);
	return *pfn ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

EXPORT CUresult cuGetProcAddress_v2(const char *symbol, void **pfn, int version, cuuint64_t flags,
                                    CUdriverProcAddressQueryResult *status)
{
	*pfn = find(symbol, version);
	if (status)
		*status = *pfn ? CU_GET_PROC_ADDRESS_SUCCESS : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
	return CUDA_SUCCESS;
}
