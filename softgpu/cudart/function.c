// SPDX-License-Identifier: Apache-2.0
/* function.c: a kernel by any of its names; its attributes, and how many of its blocks fit. */
#include "cudart.h"

#include "cudart_calls.h"

cudaError_t cudart_launchable(const void *func, CUfunction *out, CUkernel *kernel)
{
	const struct cudart_driver *cu = &cudart_drivers[0];
	struct cudart_function *f = cudart_function_find(func);
	const char *name;
	CUkernel k = (CUkernel)(uintptr_t)func;
	if (!func)
		return cudaErrorInvalidDeviceFunction;
	if (f) {
		cudaError_t e = cudart_function_kernel(f, &k);
		if (e != cudaSuccess)
			return e;
	} else if (kernel && cu->cuKernelGetName(&name, k) != CUDA_SUCCESS) {
		k = NULL; /* then it can only be a function */
	}
	*out = k ? (CUfunction)k : (CUfunction)(uintptr_t)func;
	if (kernel)
		*kernel = k;
	return cudaSuccess;
}

/* The function of the current context. */
static cudaError_t function_of(const void *func, CUfunction *out)
{
	const struct cudart_driver *cu = &cudart_drivers[0];
	CUkernel kernel;
	int v;
	cudaError_t e = cudart_launchable(func, out, &kernel);
	if (e == cudaSuccess && kernel)
		return cudart_error(cu->cuKernelGetFunction(out, kernel));
	if (e == cudaSuccess && cu->cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK,
	                                               *out) != CUDA_SUCCESS)
		return cudaErrorInvalidDeviceFunction;
	return e;
}

cudaError_t do_cudaGetFuncBySymbol(const struct cudart_driver *cu, cudaFunction_t *functionPtr,
                                   const void *symbolPtr)
{
	return functionPtr ? function_of(symbolPtr, functionPtr) : cudaErrorInvalidValue;
}

cudaError_t do_cudaGetKernel(const struct cudart_driver *cu, cudaKernel_t *kernelPtr,
                             const void *entryFuncAddr)
{
	struct cudart_function *f = cudart_function_find(entryFuncAddr);
	if (!kernelPtr)
		return cudaErrorInvalidValue;
	return f ? cudart_function_kernel(f, kernelPtr) : cudaErrorInvalidDeviceFunction;
}

/* ---- attributes */

#define FIELD(field, attribute)                                                                    \
	{                                                                                          \
		offsetof(struct cudaFuncAttributes, field),                                        \
		    sizeof(((struct cudaFuncAttributes *)0)->field), CU_FUNC_ATTRIBUTE_##attribute \
	}

static const struct {
	size_t at, width;
	CUfunction_attribute attribute;
} attributes[] = {
    FIELD(sharedSizeBytes, SHARED_SIZE_BYTES),
    FIELD(constSizeBytes, CONST_SIZE_BYTES),
    FIELD(localSizeBytes, LOCAL_SIZE_BYTES),
    FIELD(maxThreadsPerBlock, MAX_THREADS_PER_BLOCK),
    FIELD(numRegs, NUM_REGS),
    FIELD(ptxVersion, PTX_VERSION),
    FIELD(binaryVersion, BINARY_VERSION),
    FIELD(cacheModeCA, CACHE_MODE_CA),
    FIELD(maxDynamicSharedSizeBytes, MAX_DYNAMIC_SHARED_SIZE_BYTES),
    FIELD(preferredShmemCarveout, PREFERRED_SHARED_MEMORY_CARVEOUT),
    FIELD(clusterDimMustBeSet, CLUSTER_SIZE_MUST_BE_SET),
    FIELD(requiredClusterWidth, REQUIRED_CLUSTER_WIDTH),
    FIELD(requiredClusterHeight, REQUIRED_CLUSTER_HEIGHT),
    FIELD(requiredClusterDepth, REQUIRED_CLUSTER_DEPTH),
    FIELD(clusterSchedulingPolicyPreference, CLUSTER_SCHEDULING_POLICY_PREFERENCE),
    FIELD(nonPortableClusterSizeAllowed, NON_PORTABLE_CLUSTER_SIZE_ALLOWED),
};

cudaError_t do_cudaFuncGetAttributes(const struct cudart_driver *cu,
                                     struct cudaFuncAttributes *attr, const void *func)
{
	CUfunction f;
	if (!attr)
		return cudaErrorInvalidValue;
	cudaError_t e = function_of(func, &f);
	if (e != cudaSuccess)
		return e;
	memset(attr, 0, sizeof(*attr));
	for (size_t i = 0; i < REIN_ARRAY_LEN(attributes); i++) {
		int v = 0;
		if (cu->cuFuncGetAttribute(&v, attributes[i].attribute, f) != CUDA_SUCCESS)
			continue; /* one that this driver does not have */
		char *field = (char *)attr + attributes[i].at;
		size_t wide = (size_t)v;
		if (attributes[i].width == sizeof(wide))
			memcpy(field, &wide, sizeof(wide));
		else
			memcpy(field, &v, sizeof(v));
	}
	return cudaSuccess;
}

cudaError_t do_cudaFuncSetAttribute(const struct cudart_driver *cu, const void *func,
                                    enum cudaFuncAttribute attr, int value)
{
	CUfunction f;
	cudaError_t e = function_of(func, &f);
	return e == cudaSuccess
	           ? cudart_error(cu->cuFuncSetAttribute(f, (CUfunction_attribute)attr, value))
	           : e;
}

cudaError_t do_cudaFuncSetCacheConfig(const struct cudart_driver *cu, const void *func,
                                      enum cudaFuncCache cacheConfig)
{
	CUfunction f;
	cudaError_t e = function_of(func, &f);
	return e == cudaSuccess
	           ? cudart_error(cu->cuFuncSetCacheConfig(f, (CUfunc_cache)cacheConfig))
	           : e;
}

cudaError_t do_cudaFuncSetSharedMemConfig(const struct cudart_driver *cu, const void *func,
                                          enum cudaSharedMemConfig config)
{
	CUfunction f;
	cudaError_t e = function_of(func, &f);
	return e == cudaSuccess
	           ? cudart_error(cu->cuFuncSetSharedMemConfig(f, (CUsharedconfig)config))
	           : e;
}

cudaError_t do_cudaFuncGetName(const struct cudart_driver *cu, const char **name, const void *func)
{
	CUfunction f;
	cudaError_t e = function_of(func, &f);
	return e == cudaSuccess ? cudart_error(cu->cuFuncGetName(name, f)) : e;
}

cudaError_t do_cudaFuncGetParamInfo(const struct cudart_driver *cu, const void *func,
                                    size_t paramIndex, size_t *paramOffset, size_t *paramSize)
{
	CUfunction f;
	cudaError_t e = function_of(func, &f);
	return e == cudaSuccess
	           ? cudart_error(cu->cuFuncGetParamInfo(f, paramIndex, paramOffset, paramSize))
	           : e;
}

/* ---- occupancy */

cudaError_t do_cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
    const struct cudart_driver *cu, int *numBlocks, const void *func, int blockSize,
    size_t dynamicSMemSize, unsigned int flags)
{
	CUfunction f;
	cudaError_t e = function_of(func, &f);
	return e == cudaSuccess
	           ? cudart_error(cu->cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
			 numBlocks, f, blockSize, dynamicSMemSize, flags))
	           : e;
}

cudaError_t do_cudaOccupancyMaxActiveBlocksPerMultiprocessor(const struct cudart_driver *cu,
                                                             int *numBlocks, const void *func,
                                                             int blockSize, size_t dynamicSMemSize)
{
	return do_cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
	    cu, numBlocks, func, blockSize, dynamicSMemSize, cudaOccupancyDefault);
}

cudaError_t do_cudaOccupancyAvailableDynamicSMemPerBlock(const struct cudart_driver *cu,
                                                         size_t *dynamicSmemSize, const void *func,
                                                         int numBlocks, int blockSize)
{
	CUfunction f;
	cudaError_t e = function_of(func, &f);
	return e == cudaSuccess ? cudart_error(cu->cuOccupancyAvailableDynamicSMemPerBlock(
				      dynamicSmemSize, f, numBlocks, blockSize))
	                        : e;
}

_Static_assert(sizeof(cudaLaunchAttribute) == sizeof(CUlaunchAttribute) &&
                   offsetof(cudaLaunchAttribute, val) == offsetof(CUlaunchAttribute, value),
               "one attribute, two names");

CUlaunchConfig cudart_config(const cudaLaunchConfig_t *c)
{
	return (CUlaunchConfig){
	    .gridDimX = c->gridDim.x,
	    .gridDimY = c->gridDim.y,
	    .gridDimZ = c->gridDim.z,
	    .blockDimX = c->blockDim.x,
	    .blockDimY = c->blockDim.y,
	    .blockDimZ = c->blockDim.z,
	    .sharedMemBytes = (unsigned)c->dynamicSmemBytes,
	    .hStream = c->stream,
	    .attrs = (CUlaunchAttribute *)c->attrs,
	    .numAttrs = c->numAttrs,
	};
}

cudaError_t do_cudaOccupancyMaxPotentialClusterSize(const struct cudart_driver *cu,
                                                    int *clusterSize, const void *func,
                                                    const cudaLaunchConfig_t *launchConfig)
{
	CUfunction f;
	cudaError_t e = launchConfig ? function_of(func, &f) : cudaErrorInvalidValue;
	if (e != cudaSuccess)
		return e;
	CUlaunchConfig c = cudart_config(launchConfig);
	return cudart_error(cu->cuOccupancyMaxPotentialClusterSize(clusterSize, f, &c));
}

cudaError_t do_cudaOccupancyMaxActiveClusters(const struct cudart_driver *cu, int *numClusters,
                                              const void *func,
                                              const cudaLaunchConfig_t *launchConfig)
{
	CUfunction f;
	cudaError_t e = launchConfig ? function_of(func, &f) : cudaErrorInvalidValue;
	if (e != cudaSuccess)
		return e;
	CUlaunchConfig c = cudart_config(launchConfig);
	return cudart_error(cu->cuOccupancyMaxActiveClusters(numClusters, f, &c));
}
