// SPDX-License-Identifier: Apache-2.0
/*
 * launch.c: from <<<…>>>, cudaLaunchKernel and cudaLaunchKernelEx to the driver's launches.
 *
 * What nvcc makes of f<<<grid, block, shared, stream>>>(args): __cudaPushCallConfiguration() keeps
 * the configuration, then the host stand-in of f takes it back with __cudaPopCallConfiguration()
 * and calls __cudaLaunchKernel() with the handle that __cudaGetKernel() gave it on its first call.
 * That handle is ours to choose: it is the registered function, not yet loaded, so that code which
 * cannot be loaded fails each of its launches, with the reason.
 */
#include "cudart.h"

#include "cudart_calls.h"

#define CONFIGURATIONS 32 /* launches within the arguments of launches */

unsigned __cudaPushCallConfiguration(dim3 gridDim, dim3 blockDim, size_t sharedMem,
                                     struct CUstream_st *stream);
cudaError_t __cudaPopCallConfiguration(dim3 *gridDim, dim3 *blockDim, size_t *sharedMem,
                                       void *stream);
cudaError_t __cudaGetKernel(cudaKernel_t *kernel, const void *host);
cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 gridDim, dim3 blockDim, void **args,
                               size_t sharedMem, cudaStream_t stream);
cudaError_t __cudaLaunchKernel_ptsz(cudaKernel_t kernel, dim3 gridDim, dim3 blockDim, void **args,
                                    size_t sharedMem, cudaStream_t stream);

static __thread struct {
	dim3 grid, block;
	size_t shared;
	cudaStream_t stream;
} configurations[CONFIGURATIONS];
static __thread unsigned n_configurations;

/* Not 0: the program does not call the kernel. */
CUDART_EXPORT unsigned __cudaPushCallConfiguration(dim3 gridDim, dim3 blockDim, size_t sharedMem,
                                                   struct CUstream_st *stream)
{
	if (n_configurations == CONFIGURATIONS) {
		cudart_say("over %d launches within each other's arguments", CONFIGURATIONS);
		return (unsigned)cudart_failed(cudaErrorLaunchMaxDepthExceeded);
	}
	configurations[n_configurations].grid = gridDim;
	configurations[n_configurations].block = blockDim;
	configurations[n_configurations].shared = sharedMem;
	configurations[n_configurations++].stream = stream;
	return 0;
}

CUDART_EXPORT cudaError_t __cudaPopCallConfiguration(dim3 *gridDim, dim3 *blockDim,
                                                     size_t *sharedMem, void *stream)
{
	if (!n_configurations)
		return cudart_failed(cudaErrorMissingConfiguration);
	n_configurations--;
	*gridDim = configurations[n_configurations].grid;
	*blockDim = configurations[n_configurations].block;
	*sharedMem = configurations[n_configurations].shared;
	*(cudaStream_t *)stream = configurations[n_configurations].stream;
	return cudaSuccess;
}

CUDART_EXPORT cudaError_t __cudaGetKernel(cudaKernel_t *kernel, const void *host)
{
	struct cudart_function *f = cudart_function_find(host);
	if (!kernel || !f)
		return cudart_failed(cudaErrorInvalidDeviceFunction);
	*kernel = (cudaKernel_t)f;
	return cudaSuccess;
}

/* ---- the driver's launches */

/* A wrong grid or block is an invalid value, as runtime 13.0 passes on what driver 580 says. */
cudaError_t cudart_launch_error(CUresult r, CUfunction f, const void *func)
{
	const struct cudart_driver *cu = &cudart_drivers[0];
	int v;
	/* a registered function is valid, so then it is the stream */
	if (r == CUDA_ERROR_INVALID_HANDLE && !cudart_function_find(func) &&
	    cu->cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, f) != CUDA_SUCCESS)
		return cudaErrorInvalidDeviceFunction;
	return cudart_error(r);
}

static cudaError_t launch(const struct cudart_driver *cu, CUfunction f, dim3 grid, dim3 block,
                          void **args, size_t shared, cudaStream_t stream, const void *func)
{
	if (shared > UINT32_MAX)
		return cudaErrorInvalidValue;
	CUresult r = cu->cuLaunchKernel(f, grid.x, grid.y, grid.z, block.x, block.y, block.z,
	                                (unsigned)shared, stream, args, NULL);
	return REIN_LIKELY(r == CUDA_SUCCESS) ? cudaSuccess : cudart_launch_error(r, f, func);
}

static cudaError_t launch_registered(const struct cudart_driver *cu, cudaKernel_t handle, dim3 grid,
                                     dim3 block, void **args, size_t shared, cudaStream_t stream)
{
	struct cudart_function *f = (struct cudart_function *)handle;
	CUkernel kernel;
	cudaError_t e = f ? cudart_need_context() : cudaErrorInvalidDeviceFunction;
	if (e == cudaSuccess)
		e = cudart_function_kernel(f, &kernel);
	if (e == cudaSuccess)
		e = launch(cu, (CUfunction)kernel, grid, block, args, shared, stream, NULL);
	return e == cudaSuccess ? e : cudart_failed(e);
}

CUDART_EXPORT cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 gridDim, dim3 blockDim,
                                             void **args, size_t sharedMem, cudaStream_t stream)
{
	return launch_registered(&cudart_drivers[0], kernel, gridDim, blockDim, args, sharedMem,
	                         stream);
}

CUDART_EXPORT cudaError_t __cudaLaunchKernel_ptsz(cudaKernel_t kernel, dim3 gridDim, dim3 blockDim,
                                                  void **args, size_t sharedMem,
                                                  cudaStream_t stream)
{
	return launch_registered(&cudart_drivers[1], kernel, gridDim, blockDim, args, sharedMem,
	                         stream);
}

/* ---- the calls */

cudaError_t do_cudaLaunchKernel(const struct cudart_driver *cu, const void *func, dim3 gridDim,
                                dim3 blockDim, void **args, size_t sharedMem, cudaStream_t stream)
{
	CUfunction f;
	cudaError_t e = cudart_launchable(func, &f, NULL);
	return e == cudaSuccess ? launch(cu, f, gridDim, blockDim, args, sharedMem, stream, func)
	                        : e;
}

cudaError_t do_cudaLaunchCooperativeKernel(const struct cudart_driver *cu, const void *func,
                                           dim3 gridDim, dim3 blockDim, void **args,
                                           size_t sharedMem, cudaStream_t stream)
{
	CUfunction f;
	if (sharedMem > UINT32_MAX)
		return cudaErrorInvalidValue;
	cudaError_t e = cudart_launchable(func, &f, NULL);
	if (e != cudaSuccess)
		return e;
	CUresult r = cu->cuLaunchCooperativeKernel(f, gridDim.x, gridDim.y, gridDim.z, blockDim.x,
	                                           blockDim.y, blockDim.z, (unsigned)sharedMem,
	                                           stream, args);
	return r == CUDA_SUCCESS ? cudaSuccess : cudart_launch_error(r, f, func);
}

cudaError_t do_cudaLaunchKernelExC(const struct cudart_driver *cu, const cudaLaunchConfig_t *config,
                                   const void *func, void **args)
{
	CUfunction f;
	if (!config || config->dynamicSmemBytes > UINT32_MAX)
		return cudaErrorInvalidValue;
	cudaError_t e = cudart_launchable(func, &f, NULL);
	if (e != cudaSuccess)
		return e;
	CUlaunchConfig c = cudart_config(config);
	CUresult r = cu->cuLaunchKernelEx(&c, f, args, NULL);
	return r == CUDA_SUCCESS ? cudaSuccess : cudart_launch_error(r, f, func);
}
