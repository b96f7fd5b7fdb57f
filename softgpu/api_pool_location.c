// SPDX-License-Identifier: Apache-2.0
/* api_pool_location.c: memory pools by location, as CUDA 13 asks for them; those of devices. */
#include "api.h"

static CUresult device_of(const CUmemLocation *location, CUmemAllocationType type, CUdevice *dev)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!location)
		return CUDA_ERROR_INVALID_VALUE;
	if (location->type != CU_MEM_LOCATION_TYPE_DEVICE || type != CU_MEM_ALLOCATION_TYPE_PINNED)
		return sg_missing("a memory pool of other than pinned memory of a device");
	*dev = location->id;
	return CUDA_SUCCESS;
}

CUresult cuMemGetDefaultMemPool(CUmemoryPool *pool_out, CUmemLocation *location,
                                CUmemAllocationType type)
{
	CUdevice dev = 0;
	CUresult r = device_of(location, type, &dev);
	return r == CUDA_SUCCESS ? cuDeviceGetDefaultMemPool(pool_out, dev) : r;
}

CUresult cuMemGetMemPool(CUmemoryPool *pool, CUmemLocation *location, CUmemAllocationType type)
{
	CUdevice dev = 0;
	CUresult r = device_of(location, type, &dev);
	return r == CUDA_SUCCESS ? cuDeviceGetMemPool(pool, dev) : r;
}

CUresult cuMemSetMemPool(CUmemLocation *location, CUmemAllocationType type, CUmemoryPool pool)
{
	CUdevice dev = 0;
	CUresult r = device_of(location, type, &dev);
	return r == CUDA_SUCCESS ? cuDeviceSetMemPool(dev, pool) : r;
}
