// SPDX-License-Identifier: Apache-2.0
/*
 * device.c: which device and which context a thread uses. A thread that has a current context, of
 * its own making or the primary one, uses that; one that has none gets the primary context of the
 * device it chose (device 0 if it chose none), when it first needs one.
 */
#include "cudart.h"

#include <pthread.h>

#include "cudart_calls.h"

#define DEVICE_MAX 64

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static CUcontext primaries[DEVICE_MAX]; /* retained; under lock */
static rein_a32 resets;                 /* how often a device was reset */
static int valid[DEVICE_MAX];           /* cudaSetValidDevices, under lock */
static int n_valid;

static __thread int chosen = -1; /* cudaSetDevice; -1: not called */
static __thread uint32_t seen_resets;

void cudart_device_forked(void)
{
	pthread_mutex_init(&lock, NULL);
}

static cudaError_t device_check(const struct cudart_driver *cu, int device)
{
	int n = 0;
	CUresult r = cu->cuDeviceGetCount(&n);
	if (r != CUDA_SUCCESS)
		return cudart_error(r);
	if (n == 0)
		return cudaErrorNoDevice;
	return device >= 0 && device < n && device < DEVICE_MAX ? cudaSuccess
	                                                        : cudaErrorInvalidDevice;
}

cudaError_t cudart_primary(int device, CUcontext *out)
{
	const struct cudart_driver *cu = &cudart_drivers[0];
	cudaError_t e = device_check(cu, device);
	if (e != cudaSuccess)
		return e;
	pthread_mutex_lock(&lock);
	if (!primaries[device])
		e = cudart_error(cu->cuDevicePrimaryCtxRetain(&primaries[device], device));
	*out = primaries[device];
	pthread_mutex_unlock(&lock);
	return e;
}

static int device_of_thread(void)
{
	pthread_mutex_lock(&lock);
	int device = chosen >= 0 ? chosen : n_valid ? valid[0] : 0;
	pthread_mutex_unlock(&lock);
	return device;
}

static cudaError_t use_primary(int device)
{
	const struct cudart_driver *cu = &cudart_drivers[0];
	CUcontext ctx;
	cudaError_t e = cudart_primary(device, &ctx);
	return e == cudaSuccess ? cudart_error(cu->cuCtxSetCurrent(ctx)) : e;
}

/* After a reset the context that is current here may be a primary one that was reset since: it
 * needs retaining anew, which the next user does. */
static bool is_primary(CUcontext ctx, int *device)
{
	const struct cudart_driver *cu = &cudart_drivers[0];
	CUdevice dev;
	if (cu->cuCtxGetDevice(&dev) != CUDA_SUCCESS) {
		*device = device_of_thread();
		return true; /* it is gone */
	}
	CUcontext mine = NULL;
	*device = dev;
	return cudart_primary(dev, &mine) == cudaSuccess && mine == ctx;
}

cudaError_t cudart_need_context(void)
{
	const struct cudart_driver *cu = &cudart_drivers[0];
	CUcontext ctx = NULL;
	int device = -1;
	cudaError_t e = cudart_need_driver();
	if (e == cudaSuccess)
		e = cudart_error(cu->cuCtxGetCurrent(&ctx));
	if (e != cudaSuccess)
		return e;
	uint32_t now = rein_load_acquire(&resets);
	if (REIN_LIKELY(ctx && seen_resets == now))
		return cudaSuccess;
	seen_resets = now;
	if (ctx && !is_primary(ctx, &device))
		return cudaSuccess;
	return use_primary(device >= 0 ? device : device_of_thread());
}

cudaError_t cudart_device(int *device)
{
	const struct cudart_driver *cu = &cudart_drivers[0];
	CUdevice dev;
	CUresult r = cu->cuCtxGetDevice(&dev);
	if (r == CUDA_SUCCESS)
		*device = dev;
	return cudart_error(r);
}

/* ---- the calls */

cudaError_t do_cudaSetDevice(const struct cudart_driver *cu, int device)
{
	cudaError_t e = device_check(cu, device);
	if (e == cudaSuccess)
		e = use_primary(device);
	if (e == cudaSuccess) {
		chosen = device;
		seen_resets = rein_load_acquire(&resets);
	}
	return e;
}

cudaError_t do_cudaGetDevice(const struct cudart_driver *cu, int *device)
{
	CUcontext ctx = NULL;
	if (!device)
		return cudaErrorInvalidValue;
	CUresult r = cu->cuCtxGetCurrent(&ctx);
	if (r == CUDA_SUCCESS && ctx && cudart_device(device) == cudaSuccess)
		return cudaSuccess;
	*device = device_of_thread();
	return cudart_error(r);
}

cudaError_t do_cudaSetValidDevices(const struct cudart_driver *cu, int *device_arr, int len)
{
	if (len < 0 || len > DEVICE_MAX || (len && !device_arr))
		return cudaErrorInvalidValue;
	for (int i = 0; i < len; i++) {
		cudaError_t e = device_check(cu, device_arr[i]);
		if (e != cudaSuccess)
			return e;
	}
	pthread_mutex_lock(&lock);
	for (n_valid = 0; n_valid < len; n_valid++)
		valid[n_valid] = device_arr[n_valid];
	pthread_mutex_unlock(&lock);
	return cudaSuccess;
}

cudaError_t do_cudaInitDevice(const struct cudart_driver *cu, int device, unsigned int deviceFlags,
                              unsigned int flags)
{
	CUcontext ctx;
	cudaError_t e = device_check(cu, device);
	if (flags & ~(unsigned)cudaInitDeviceFlagsAreValid)
		return cudaErrorInvalidValue;
	if (e == cudaSuccess && (flags & cudaInitDeviceFlagsAreValid))
		e = cudart_error(cu->cuDevicePrimaryCtxSetFlags(device, deviceFlags));
	return e == cudaSuccess ? cudart_primary(device, &ctx) : e;
}

cudaError_t do_cudaSetDeviceFlags(const struct cudart_driver *cu, unsigned int flags)
{
	int device = 0;
	cudaError_t e = do_cudaGetDevice(cu, &device);
	if (e == cudaSuccess)
		e = device_check(cu, device);
	/* mapping host memory is always possible, and no flag of a context any more */
	flags &= ~(unsigned)cudaDeviceMapHost;
	return e == cudaSuccess ? cudart_error(cu->cuDevicePrimaryCtxSetFlags(device, flags)) : e;
}

cudaError_t do_cudaGetDeviceFlags(const struct cudart_driver *cu, unsigned int *flags)
{
	int device = 0, active;
	CUcontext ctx = NULL;
	if (!flags)
		return cudaErrorInvalidValue;
	if (cu->cuCtxGetCurrent(&ctx) == CUDA_SUCCESS && ctx &&
	    cu->cuCtxGetFlags(flags) == CUDA_SUCCESS) {
		*flags |= cudaDeviceMapHost;
		return cudaSuccess;
	}
	cudaError_t e = do_cudaGetDevice(cu, &device);
	if (e == cudaSuccess)
		e = cudart_error(cu->cuDevicePrimaryCtxGetState(device, flags, &active));
	*flags |= cudaDeviceMapHost;
	return e;
}

/* The next call of any thread makes the device's context anew. */
cudaError_t do_cudaDeviceReset(const struct cudart_driver *cu)
{
	int device = 0;
	cudaError_t e = do_cudaGetDevice(cu, &device);
	if (e == cudaSuccess)
		e = device_check(cu, device);
	if (e != cudaSuccess)
		return e;
	pthread_mutex_lock(&lock);
	CUcontext mine = primaries[device], current = NULL;
	primaries[device] = NULL;
	if (mine && cu->cuCtxGetCurrent(&current) == CUDA_SUCCESS && current == mine)
		(void)cu->cuCtxSetCurrent(NULL);
	CUresult r = cu->cuDevicePrimaryCtxReset(device);
	rein_add_seqcst(&resets, 1);
	pthread_mutex_unlock(&lock);
	cudart_errors_forget();
	return cudart_error(r);
}

/* ---- peers */

static cudaError_t peer(int device, CUcontext *out)
{
	int own = 0;
	cudaError_t e = cudart_device(&own);
	if (e != cudaSuccess)
		return e;
	return device == own ? cudaErrorInvalidDevice : cudart_primary(device, out);
}

cudaError_t do_cudaDeviceEnablePeerAccess(const struct cudart_driver *cu, int peerDevice,
                                          unsigned int flags)
{
	CUcontext ctx;
	cudaError_t e = peer(peerDevice, &ctx);
	return e == cudaSuccess ? cudart_error(cu->cuCtxEnablePeerAccess(ctx, flags)) : e;
}

cudaError_t do_cudaDeviceDisablePeerAccess(const struct cudart_driver *cu, int peerDevice)
{
	CUcontext ctx;
	cudaError_t e = peer(peerDevice, &ctx);
	return e == cudaSuccess ? cudart_error(cu->cuCtxDisablePeerAccess(ctx)) : e;
}

/* ---- memory and events of other processes: the handles are the driver's */

_Static_assert(sizeof(cudaIpcEventHandle_t) == sizeof(CUipcEventHandle) &&
                   sizeof(cudaIpcMemHandle_t) == sizeof(CUipcMemHandle),
               "one handle, two names");

cudaError_t do_cudaIpcOpenEventHandle(const struct cudart_driver *cu, cudaEvent_t *event,
                                      cudaIpcEventHandle_t handle)
{
	CUipcEventHandle h;
	memcpy(&h, &handle, sizeof(h));
	return cudart_error(cu->cuIpcOpenEventHandle(event, h));
}

cudaError_t do_cudaIpcOpenMemHandle(const struct cudart_driver *cu, void **devPtr,
                                    cudaIpcMemHandle_t handle, unsigned int flags)
{
	CUipcMemHandle h;
	memcpy(&h, &handle, sizeof(h));
	return cudart_error(cu->cuIpcOpenMemHandle((CUdeviceptr *)devPtr, h, flags));
}
