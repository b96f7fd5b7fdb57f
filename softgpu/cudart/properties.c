// SPDX-License-Identifier: Apache-2.0
/* properties.c: cudaDeviceProp, from the driver's attributes; the device that fits one best. */
#include "cudart.h"

#include "cudart_calls.h"

#define INT(field, attribute)                                                                      \
	{                                                                                          \
		offsetof(struct cudaDeviceProp, field), sizeof(int), attribute                     \
	}
#define SIZE(field, attribute)                                                                     \
	{                                                                                          \
		offsetof(struct cudaDeviceProp, field), sizeof(size_t), attribute                  \
	}
#define A(name) CU_DEVICE_ATTRIBUTE_##name

static const struct {
	size_t at, width;
	CUdevice_attribute attribute;
} properties[] = {
    SIZE(sharedMemPerBlock, A(MAX_SHARED_MEMORY_PER_BLOCK)),
    INT(regsPerBlock, A(MAX_REGISTERS_PER_BLOCK)),
    INT(warpSize, A(WARP_SIZE)),
    SIZE(memPitch, A(MAX_PITCH)),
    INT(maxThreadsPerBlock, A(MAX_THREADS_PER_BLOCK)),
    INT(maxThreadsDim[0], A(MAX_BLOCK_DIM_X)),
    INT(maxThreadsDim[1], A(MAX_BLOCK_DIM_Y)),
    INT(maxThreadsDim[2], A(MAX_BLOCK_DIM_Z)),
    INT(maxGridSize[0], A(MAX_GRID_DIM_X)),
    INT(maxGridSize[1], A(MAX_GRID_DIM_Y)),
    INT(maxGridSize[2], A(MAX_GRID_DIM_Z)),
    SIZE(totalConstMem, A(TOTAL_CONSTANT_MEMORY)),
    INT(major, A(COMPUTE_CAPABILITY_MAJOR)),
    INT(minor, A(COMPUTE_CAPABILITY_MINOR)),
    SIZE(textureAlignment, A(TEXTURE_ALIGNMENT)),
    SIZE(texturePitchAlignment, A(TEXTURE_PITCH_ALIGNMENT)),
    INT(multiProcessorCount, A(MULTIPROCESSOR_COUNT)),
    INT(integrated, A(INTEGRATED)),
    INT(canMapHostMemory, A(CAN_MAP_HOST_MEMORY)),
    INT(maxTexture1D, A(MAXIMUM_TEXTURE1D_WIDTH)),
    INT(maxTexture1DMipmap, A(MAXIMUM_TEXTURE1D_MIPMAPPED_WIDTH)),
    INT(maxTexture2D[0], A(MAXIMUM_TEXTURE2D_WIDTH)),
    INT(maxTexture2D[1], A(MAXIMUM_TEXTURE2D_HEIGHT)),
    INT(maxTexture2DMipmap[0], A(MAXIMUM_TEXTURE2D_MIPMAPPED_WIDTH)),
    INT(maxTexture2DMipmap[1], A(MAXIMUM_TEXTURE2D_MIPMAPPED_HEIGHT)),
    INT(maxTexture2DLinear[0], A(MAXIMUM_TEXTURE2D_LINEAR_WIDTH)),
    INT(maxTexture2DLinear[1], A(MAXIMUM_TEXTURE2D_LINEAR_HEIGHT)),
    INT(maxTexture2DLinear[2], A(MAXIMUM_TEXTURE2D_LINEAR_PITCH)),
    INT(maxTexture2DGather[0], A(MAXIMUM_TEXTURE2D_GATHER_WIDTH)),
    INT(maxTexture2DGather[1], A(MAXIMUM_TEXTURE2D_GATHER_HEIGHT)),
    INT(maxTexture3D[0], A(MAXIMUM_TEXTURE3D_WIDTH)),
    INT(maxTexture3D[1], A(MAXIMUM_TEXTURE3D_HEIGHT)),
    INT(maxTexture3D[2], A(MAXIMUM_TEXTURE3D_DEPTH)),
    INT(maxTexture3DAlt[0], A(MAXIMUM_TEXTURE3D_WIDTH_ALTERNATE)),
    INT(maxTexture3DAlt[1], A(MAXIMUM_TEXTURE3D_HEIGHT_ALTERNATE)),
    INT(maxTexture3DAlt[2], A(MAXIMUM_TEXTURE3D_DEPTH_ALTERNATE)),
    INT(maxTextureCubemap, A(MAXIMUM_TEXTURECUBEMAP_WIDTH)),
    INT(maxTexture1DLayered[0], A(MAXIMUM_TEXTURE1D_LAYERED_WIDTH)),
    INT(maxTexture1DLayered[1], A(MAXIMUM_TEXTURE1D_LAYERED_LAYERS)),
    INT(maxTexture2DLayered[0], A(MAXIMUM_TEXTURE2D_LAYERED_WIDTH)),
    INT(maxTexture2DLayered[1], A(MAXIMUM_TEXTURE2D_LAYERED_HEIGHT)),
    INT(maxTexture2DLayered[2], A(MAXIMUM_TEXTURE2D_LAYERED_LAYERS)),
    INT(maxTextureCubemapLayered[0], A(MAXIMUM_TEXTURECUBEMAP_LAYERED_WIDTH)),
    INT(maxTextureCubemapLayered[1], A(MAXIMUM_TEXTURECUBEMAP_LAYERED_LAYERS)),
    INT(maxSurface1D, A(MAXIMUM_SURFACE1D_WIDTH)),
    INT(maxSurface2D[0], A(MAXIMUM_SURFACE2D_WIDTH)),
    INT(maxSurface2D[1], A(MAXIMUM_SURFACE2D_HEIGHT)),
    INT(maxSurface3D[0], A(MAXIMUM_SURFACE3D_WIDTH)),
    INT(maxSurface3D[1], A(MAXIMUM_SURFACE3D_HEIGHT)),
    INT(maxSurface3D[2], A(MAXIMUM_SURFACE3D_DEPTH)),
    INT(maxSurface1DLayered[0], A(MAXIMUM_SURFACE1D_LAYERED_WIDTH)),
    INT(maxSurface1DLayered[1], A(MAXIMUM_SURFACE1D_LAYERED_LAYERS)),
    INT(maxSurface2DLayered[0], A(MAXIMUM_SURFACE2D_LAYERED_WIDTH)),
    INT(maxSurface2DLayered[1], A(MAXIMUM_SURFACE2D_LAYERED_HEIGHT)),
    INT(maxSurface2DLayered[2], A(MAXIMUM_SURFACE2D_LAYERED_LAYERS)),
    INT(maxSurfaceCubemap, A(MAXIMUM_SURFACECUBEMAP_WIDTH)),
    INT(maxSurfaceCubemapLayered[0], A(MAXIMUM_SURFACECUBEMAP_LAYERED_WIDTH)),
    INT(maxSurfaceCubemapLayered[1], A(MAXIMUM_SURFACECUBEMAP_LAYERED_LAYERS)),
    SIZE(surfaceAlignment, A(SURFACE_ALIGNMENT)),
    INT(concurrentKernels, A(CONCURRENT_KERNELS)),
    INT(ECCEnabled, A(ECC_ENABLED)),
    INT(pciBusID, A(PCI_BUS_ID)),
    INT(pciDeviceID, A(PCI_DEVICE_ID)),
    INT(pciDomainID, A(PCI_DOMAIN_ID)),
    INT(tccDriver, A(TCC_DRIVER)),
    INT(asyncEngineCount, A(ASYNC_ENGINE_COUNT)),
    INT(unifiedAddressing, A(UNIFIED_ADDRESSING)),
    INT(memoryBusWidth, A(GLOBAL_MEMORY_BUS_WIDTH)),
    INT(l2CacheSize, A(L2_CACHE_SIZE)),
    INT(persistingL2CacheMaxSize, A(MAX_PERSISTING_L2_CACHE_SIZE)),
    INT(maxThreadsPerMultiProcessor, A(MAX_THREADS_PER_MULTIPROCESSOR)),
    INT(streamPrioritiesSupported, A(STREAM_PRIORITIES_SUPPORTED)),
    INT(globalL1CacheSupported, A(GLOBAL_L1_CACHE_SUPPORTED)),
    INT(localL1CacheSupported, A(LOCAL_L1_CACHE_SUPPORTED)),
    SIZE(sharedMemPerMultiprocessor, A(MAX_SHARED_MEMORY_PER_MULTIPROCESSOR)),
    INT(regsPerMultiprocessor, A(MAX_REGISTERS_PER_MULTIPROCESSOR)),
    INT(managedMemory, A(MANAGED_MEMORY)),
    INT(isMultiGpuBoard, A(MULTI_GPU_BOARD)),
    INT(multiGpuBoardGroupID, A(MULTI_GPU_BOARD_GROUP_ID)),
    INT(hostNativeAtomicSupported, A(HOST_NATIVE_ATOMIC_SUPPORTED)),
    INT(pageableMemoryAccess, A(PAGEABLE_MEMORY_ACCESS)),
    INT(concurrentManagedAccess, A(CONCURRENT_MANAGED_ACCESS)),
    INT(computePreemptionSupported, A(COMPUTE_PREEMPTION_SUPPORTED)),
    INT(canUseHostPointerForRegisteredMem, A(CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM)),
    INT(cooperativeLaunch, A(COOPERATIVE_LAUNCH)),
    SIZE(sharedMemPerBlockOptin, A(MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)),
    INT(pageableMemoryAccessUsesHostPageTables, A(PAGEABLE_MEMORY_ACCESS_USES_HOST_PAGE_TABLES)),
    INT(directManagedMemAccessFromHost, A(DIRECT_MANAGED_MEM_ACCESS_FROM_HOST)),
    INT(maxBlocksPerMultiProcessor, A(MAX_BLOCKS_PER_MULTIPROCESSOR)),
    INT(accessPolicyMaxWindowSize, A(MAX_ACCESS_POLICY_WINDOW_SIZE)),
    SIZE(reservedSharedMemPerBlock, A(RESERVED_SHARED_MEMORY_PER_BLOCK)),
    INT(hostRegisterSupported, A(HOST_REGISTER_SUPPORTED)),
    INT(sparseCudaArraySupported, A(SPARSE_CUDA_ARRAY_SUPPORTED)),
    INT(hostRegisterReadOnlySupported, A(READ_ONLY_HOST_REGISTER_SUPPORTED)),
    INT(timelineSemaphoreInteropSupported, A(TIMELINE_SEMAPHORE_INTEROP_SUPPORTED)),
    INT(memoryPoolsSupported, A(MEMORY_POOLS_SUPPORTED)),
    INT(gpuDirectRDMASupported, A(GPU_DIRECT_RDMA_SUPPORTED)),
    INT(gpuDirectRDMAFlushWritesOptions, A(GPU_DIRECT_RDMA_FLUSH_WRITES_OPTIONS)),
    INT(gpuDirectRDMAWritesOrdering, A(GPU_DIRECT_RDMA_WRITES_ORDERING)),
    INT(memoryPoolSupportedHandleTypes, A(MEMPOOL_SUPPORTED_HANDLE_TYPES)),
    INT(deferredMappingCudaArraySupported, A(DEFERRED_MAPPING_CUDA_ARRAY_SUPPORTED)),
    INT(ipcEventSupported, A(IPC_EVENT_SUPPORTED)),
    INT(clusterLaunch, A(CLUSTER_LAUNCH)),
    INT(unifiedFunctionPointers, A(UNIFIED_FUNCTION_POINTERS)),
    INT(deviceNumaConfig, A(NUMA_CONFIG)),
    INT(deviceNumaId, A(NUMA_ID)),
    INT(mpsEnabled, A(MPS_ENABLED)),
    INT(hostNumaId, A(HOST_NUMA_ID)),
};

/* An attribute that the driver does not know leaves its field 0. */
cudaError_t do_cudaGetDeviceProperties(const struct cudart_driver *cu, struct cudaDeviceProp *prop,
                                       int device)
{
	CUuuid uuid;
	unsigned mask = 0;
	if (!prop)
		return cudaErrorInvalidValue;
	memset(prop, 0, sizeof(*prop));
	CUresult r = cu->cuDeviceGetName(prop->name, sizeof(prop->name), device);
	if (r == CUDA_SUCCESS)
		r = cu->cuDeviceTotalMem(&prop->totalGlobalMem, device);
	if (r == CUDA_SUCCESS)
		r = cu->cuDeviceGetUuid(&uuid, device);
	if (r != CUDA_SUCCESS)
		return cudart_error(r);
	memcpy(&prop->uuid, &uuid, sizeof(uuid));
	if (cu->cuDeviceGetLuid(prop->luid, &mask, device) == CUDA_SUCCESS)
		prop->luidDeviceNodeMask = mask;
	for (size_t i = 0; i < REIN_ARRAY_LEN(properties); i++) {
		int v = 0;
		if (cu->cuDeviceGetAttribute(&v, properties[i].attribute, device) != CUDA_SUCCESS)
			continue;
		char *field = (char *)prop + properties[i].at;
		size_t wide = (size_t)v;
		if (properties[i].width == sizeof(wide))
			memcpy(field, &wide, sizeof(wide));
		else
			memcpy(field, &v, sizeof(v));
	}
	return cudaSuccess;
}

/* The manual leaves open what "best" is: at least that compute capability and that much memory,
 * then the first. */
cudaError_t do_cudaChooseDevice(const struct cudart_driver *cu, int *device,
                                const struct cudaDeviceProp *prop)
{
	int n = 0;
	if (!device || !prop)
		return cudaErrorInvalidValue;
	CUresult r = cu->cuDeviceGetCount(&n);
	if (r != CUDA_SUCCESS)
		return cudart_error(r);
	*device = 0;
	for (int i = 0; i < n; i++) {
		struct cudaDeviceProp p;
		cudaError_t e = do_cudaGetDeviceProperties(cu, &p, i);
		if (e != cudaSuccess)
			return e;
		if (p.major * 10 + p.minor >= prop->major * 10 + prop->minor &&
		    p.totalGlobalMem >= prop->totalGlobalMem) {
			*device = i;
			return cudaSuccess;
		}
	}
	return n ? cudaSuccess : cudaErrorNoDevice;
}
