// SPDX-License-Identifier: Apache-2.0
/* memory.c: allocation; what a pointer is. 0 bytes and NULL are no errors here, unlike below. */
#include "cudart.h"

#include "cudart_calls.h"

#define PITCH_ELEMENT 4 /* the driver aligns rows for elements of this size */

cudaError_t do_cudaMalloc(const struct cudart_driver *cu, void **devPtr, size_t size)
{
	if (!devPtr)
		return cudaErrorInvalidValue;
	*devPtr = NULL;
	return size ? cudart_error(cu->cuMemAlloc((CUdeviceptr *)devPtr, size)) : cudaSuccess;
}

cudaError_t do_cudaHostAlloc(const struct cudart_driver *cu, void **pHost, size_t size,
                             unsigned int flags)
{
	if (!pHost)
		return cudaErrorInvalidValue;
	*pHost = NULL;
	return size ? cudart_error(cu->cuMemHostAlloc(pHost, size, flags)) : cudaSuccess;
}

cudaError_t do_cudaMallocHost(const struct cudart_driver *cu, void **ptr, size_t size)
{
	return do_cudaHostAlloc(cu, ptr, size, cudaHostAllocPortable);
}

cudaError_t do_cudaMallocPitch(const struct cudart_driver *cu, void **devPtr, size_t *pitch,
                               size_t width, size_t height)
{
	if (!devPtr || !pitch)
		return cudaErrorInvalidValue;
	*devPtr = NULL;
	*pitch = 0;
	if (!width || !height)
		return cudaSuccess;
	return cudart_error(
	    cu->cuMemAllocPitch((CUdeviceptr *)devPtr, pitch, width, height, PITCH_ELEMENT));
}

cudaError_t do_cudaMalloc3D(const struct cudart_driver *cu, struct cudaPitchedPtr *pitchedDevPtr,
                            struct cudaExtent extent)
{
	if (!pitchedDevPtr)
		return cudaErrorInvalidValue;
	struct cudaPitchedPtr p = {.xsize = extent.width, .ysize = extent.height};
	size_t rows;
	if (__builtin_mul_overflow(extent.height, extent.depth, &rows))
		return cudaErrorMemoryAllocation;
	cudaError_t e = do_cudaMallocPitch(cu, &p.ptr, &p.pitch, extent.width, rows);
	*pitchedDevPtr = p;
	return e;
}

cudaError_t do_cudaFree(const struct cudart_driver *cu, void *devPtr)
{
	return devPtr ? cudart_error(cu->cuMemFree((CUdeviceptr)devPtr)) : cudaSuccess;
}

cudaError_t do_cudaFreeHost(const struct cudart_driver *cu, void *ptr)
{
	return ptr ? cudart_error(cu->cuMemFreeHost(ptr)) : cudaSuccess;
}

/* An address that CUDA does not know is ordinary host memory. */
cudaError_t do_cudaPointerGetAttributes(const struct cudart_driver *cu,
                                        struct cudaPointerAttributes *attributes, const void *ptr)
{
	CUmemorytype type = 0;
	unsigned managed = 0;
	int device = 0;
	CUdeviceptr on_device = 0;
	void *on_host = NULL;
	CUpointer_attribute ask[] = {
	    CU_POINTER_ATTRIBUTE_MEMORY_TYPE, CU_POINTER_ATTRIBUTE_IS_MANAGED,
	    CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, CU_POINTER_ATTRIBUTE_DEVICE_POINTER,
	    CU_POINTER_ATTRIBUTE_HOST_POINTER};
	void *answers[] = {&type, &managed, &device, &on_device, &on_host};
	if (!attributes)
		return cudaErrorInvalidValue;
	CUresult r = cu->cuPointerGetAttributes(REIN_ARRAY_LEN(ask), ask, answers,
	                                        (CUdeviceptr)(uintptr_t)ptr);
	if (r != CUDA_SUCCESS)
		return cudart_error(r);
	memset(attributes, 0, sizeof(*attributes));
	if (!type) {
		attributes->type = cudaMemoryTypeUnregistered;
		attributes->device = cudaInvalidDeviceId;
		attributes->hostPointer = (void *)(uintptr_t)ptr;
		return cudaSuccess;
	}
	attributes->type = managed                      ? cudaMemoryTypeManaged
	                   : type == CU_MEMORYTYPE_HOST ? cudaMemoryTypeHost
	                                                : cudaMemoryTypeDevice;
	attributes->device = device;
	attributes->devicePointer = (void *)on_device;
	attributes->hostPointer = on_host;
	return cudaSuccess;
}

static CUmemLocation location_of(struct cudaMemLocation l)
{
	CUmemLocation out;
	_Static_assert(sizeof(out) == sizeof(l), "one location, two names");
	memcpy(&out, &l, sizeof(out));
	return out;
}

cudaError_t do_cudaMemAdvise(const struct cudart_driver *cu, const void *devPtr, size_t count,
                             enum cudaMemoryAdvise advice, struct cudaMemLocation location)
{
	return cudart_error(cu->cuMemAdvise((CUdeviceptr)(uintptr_t)devPtr, count,
	                                    (CUmem_advise)advice, location_of(location)));
}

cudaError_t do_cudaMemPrefetchAsync(const struct cudart_driver *cu, const void *devPtr,
                                    size_t count, struct cudaMemLocation location,
                                    unsigned int flags, cudaStream_t stream)
{
	return cudart_error(cu->cuMemPrefetchAsync((CUdeviceptr)(uintptr_t)devPtr, count,
	                                           location_of(location), flags, stream));
}

/* Pure: describes texels, as the headers' templates do for each type. */
CUDART_EXPORT struct cudaChannelFormatDesc cudaCreateChannelDesc(int x, int y, int z, int w,
                                                                 enum cudaChannelFormatKind f)
{
	return (struct cudaChannelFormatDesc){x, y, z, w, f};
}
