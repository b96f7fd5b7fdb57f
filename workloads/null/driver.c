// SPDX-License-Identifier: Apache-2.0
/*
 * driver.c: a libcuda.so.1 that does nothing, at once. The bench measures a launch through it
 * with and without the shim: what is left between the two is the shim's own cost, free of any
 * driver's noise. One device (NULL_DEVICES: more), one context each; streams and events are
 * numbers; every wait returns; kernels and copies leave memory as it was. Memory is the host's, so
 * that copies would be possible addresses. An unknown symbol is an error, as with a real driver.
 */
#pragma GCC visibility push(default)
#ifndef __CUDA_API_VERSION_INTERNAL
#define __CUDA_API_VERSION_INTERNAL
#endif
#include <cuda.h>

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define DRIVER_VERSION 13000
#define FIRST_CONTEXT 0x1000 /* and one for each device after it */
#define DEVICES_MAX 8
#define THE_MODULE ((CUmodule)0x2000)
#define THE_FUNCTION ((CUfunction)0x3000)

static atomic_uintptr_t next_handle = 0x10000; /* of streams and events */
static _Thread_local CUcontext current;

static int devices(void)
{
	const char *text = getenv("NULL_DEVICES");
	int n = text ? atoi(text) : 1;
	return n < 1 ? 1 : n > DEVICES_MAX ? DEVICES_MAX : n;
}

static void *handle(void)
{
	return (void *)atomic_fetch_add_explicit(&next_handle, 64, memory_order_relaxed);
}

/* ---- the driver and its device */
CUresult cuInit(unsigned flags)
{
	return CUDA_SUCCESS;
}

CUresult cuDriverGetVersion(int *version)
{
	*version = DRIVER_VERSION;
	return CUDA_SUCCESS;
}

CUresult cuGetErrorName(CUresult error, const char **text)
{
	*text = error == CUDA_SUCCESS ? "CUDA_SUCCESS" : "CUDA_ERROR_UNKNOWN";
	return CUDA_SUCCESS;
}

CUresult cuGetErrorString(CUresult error, const char **text)
{
	*text = error == CUDA_SUCCESS ? "no error" : "unknown error";
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int *count)
{
	*count = devices();
	return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice *device, int ordinal)
{
	*device = ordinal;
	return ordinal >= 0 && ordinal < devices() ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuDeviceGetName(char *name, int len, CUdevice dev)
{
	strncpy(name, "null driver", (size_t)len);
	name[len - 1] = 0;
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice dev)
{
	memcpy(uuid->bytes, "rein null driver", 16);
	uuid->bytes[0] = (char)(uuid->bytes[0] + dev);
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetUuid(CUuuid *uuid, CUdevice dev)
{
	return cuDeviceGetUuid_v2(uuid, dev);
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice dev)
{
	*value = 1;
	return CUDA_SUCCESS;
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice dev)
{
	*bytes = 1u << 30;
	return CUDA_SUCCESS;
}

/* ---- contexts */
CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice dev)
{
	*context = (CUcontext)(uintptr_t)(FIRST_CONTEXT + dev);
	return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice dev)
{
	return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxReset_v2(CUdevice dev)
{
	return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxGetState(CUdevice dev, unsigned *flags, int *active)
{
	*flags = 0;
	*active = 1;
	return CUDA_SUCCESS;
}

CUresult cuCtxSetCurrent(CUcontext context)
{
	current = context;
	return CUDA_SUCCESS;
}

CUresult cuCtxGetCurrent(CUcontext *context)
{
	*context = current;
	return CUDA_SUCCESS;
}

CUresult cuCtxPushCurrent_v2(CUcontext context)
{
	current = context;
	return CUDA_SUCCESS;
}

CUresult cuCtxPopCurrent_v2(CUcontext *context)
{
	if (context)
		*context = current;
	current = NULL;
	return CUDA_SUCCESS;
}

CUresult cuCtxGetDevice(CUdevice *device)
{
	*device = current ? (CUdevice)((uintptr_t)current - FIRST_CONTEXT) : 0;
	return current ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

CUresult cuCtxGetId(CUcontext context, unsigned long long *id)
{
	*id = 1;
	return CUDA_SUCCESS;
}

CUresult cuCtxSynchronize(void)
{
	return CUDA_SUCCESS;
}

CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode *mode)
{
	return CUDA_SUCCESS;
}

/* ---- modules */
CUresult cuModuleLoadData(CUmodule *module, const void *image)
{
	*module = THE_MODULE;
	return CUDA_SUCCESS;
}

CUresult cuModuleUnload(CUmodule module)
{
	return CUDA_SUCCESS;
}

CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name)
{
	*function = THE_FUNCTION;
	return CUDA_SUCCESS;
}

CUresult cuFuncGetName(const char **name, CUfunction function)
{
	*name = "null";
	return CUDA_SUCCESS;
}

/* ---- streams */
CUresult cuStreamCreate(CUstream *stream, unsigned flags)
{
	*stream = handle();
	return CUDA_SUCCESS;
}

CUresult cuStreamCreateWithPriority(CUstream *stream, unsigned flags, int priority)
{
	*stream = handle();
	return CUDA_SUCCESS;
}

CUresult cuStreamDestroy_v2(CUstream stream)
{
	return CUDA_SUCCESS;
}

CUresult cuStreamSynchronize(CUstream stream)
{
	return CUDA_SUCCESS;
}

CUresult cuStreamQuery(CUstream stream)
{
	return CUDA_SUCCESS;
}

CUresult cuStreamGetCtx(CUstream stream, CUcontext *context)
{
	*context = current;
	return CUDA_SUCCESS;
}

CUresult cuStreamGetId(CUstream stream, unsigned long long *id)
{
	*id = (uintptr_t)stream;
	return CUDA_SUCCESS;
}

CUresult cuStreamGetFlags(CUstream stream, unsigned *flags)
{
	*flags = CU_STREAM_DEFAULT;
	return CUDA_SUCCESS;
}

CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus *status)
{
	*status = CU_STREAM_CAPTURE_STATUS_NONE;
	return CUDA_SUCCESS;
}

CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags)
{
	return CUDA_SUCCESS;
}

/* ---- events */
CUresult cuEventCreate(CUevent *event, unsigned flags)
{
	*event = handle();
	return CUDA_SUCCESS;
}

CUresult cuEventDestroy_v2(CUevent event)
{
	return CUDA_SUCCESS;
}

CUresult cuEventRecord(CUevent event, CUstream stream)
{
	return CUDA_SUCCESS;
}

CUresult cuEventRecordWithFlags(CUevent event, CUstream stream, unsigned flags)
{
	return CUDA_SUCCESS;
}

CUresult cuEventQuery(CUevent event)
{
	return CUDA_SUCCESS;
}

CUresult cuEventSynchronize(CUevent event)
{
	return CUDA_SUCCESS;
}

CUresult cuEventElapsedTime_v2(float *ms, CUevent start, CUevent end)
{
	*ms = 1;
	return CUDA_SUCCESS;
}

CUresult cuEventElapsedTime(float *ms, CUevent start, CUevent end)
{
	return cuEventElapsedTime_v2(ms, start, end);
}

/* ---- memory: the host's */
CUresult cuMemAlloc_v2(CUdeviceptr *pointer, size_t bytes)
{
	void *p = calloc(1, bytes ? bytes : 1);
	*pointer = (CUdeviceptr)(uintptr_t)p;
	return p ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuMemFree_v2(CUdeviceptr pointer)
{
	free((void *)(uintptr_t)pointer);
	return CUDA_SUCCESS;
}

CUresult cuMemHostAlloc(void **pointer, size_t bytes, unsigned flags)
{
	*pointer = calloc(1, bytes ? bytes : 1);
	return *pointer ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuMemFreeHost(void *pointer)
{
	free(pointer);
	return CUDA_SUCCESS;
}

CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t bytes)
{
	return CUDA_SUCCESS;
}

CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes)
{
	return CUDA_SUCCESS;
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream stream)
{
	return CUDA_SUCCESS;
}

CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream stream)
{
	return CUDA_SUCCESS;
}

CUresult cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t bytes)
{
	return CUDA_SUCCESS;
}

CUresult cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t n, CUstream stream)
{
	return CUDA_SUCCESS;
}

/* ---- launches */
CUresult cuLaunchKernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                        unsigned by, unsigned bz, unsigned shared, CUstream stream, void **params,
                        void **extra)
{
	return CUDA_SUCCESS;
}

CUresult cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction f, void **params, void **extra)
{
	return CUDA_SUCCESS;
}

/* ---- look-up by name */
CUresult cuGetProcAddress_v2(const char *symbol, void **address, int version, cuuint64_t flags,
                             CUdriverProcAddressQueryResult *status);
CUresult cuGetProcAddress(const char *symbol, void **address, int version, cuuint64_t flags);

struct named {
	const char *name;
	void *address;
};

#define SAME(f)                                                                                    \
	{                                                                                          \
#f, (void *)f                                                                      \
	}
#define V2(f)                                                                                      \
	{                                                                                          \
#f, (void *)f##_v2                                                                 \
	}
static const struct named table[] = {
    SAME(cuInit),
    SAME(cuDriverGetVersion),
    SAME(cuGetErrorName),
    SAME(cuGetErrorString),
    SAME(cuDeviceGetCount),
    SAME(cuDeviceGet),
    SAME(cuDeviceGetName),
    V2(cuDeviceGetUuid),
    SAME(cuDeviceGetAttribute),
    V2(cuDeviceTotalMem),
    SAME(cuDevicePrimaryCtxRetain),
    V2(cuDevicePrimaryCtxRelease),
    V2(cuDevicePrimaryCtxReset),
    SAME(cuDevicePrimaryCtxGetState),
    SAME(cuCtxSetCurrent),
    SAME(cuCtxGetCurrent),
    V2(cuCtxPushCurrent),
    V2(cuCtxPopCurrent),
    SAME(cuCtxGetDevice),
    SAME(cuCtxGetId),
    SAME(cuCtxSynchronize),
    SAME(cuThreadExchangeStreamCaptureMode),
    SAME(cuModuleLoadData),
    SAME(cuModuleUnload),
    SAME(cuModuleGetFunction),
    SAME(cuFuncGetName),
    SAME(cuStreamCreate),
    SAME(cuStreamCreateWithPriority),
    V2(cuStreamDestroy),
    SAME(cuStreamSynchronize),
    SAME(cuStreamQuery),
    SAME(cuStreamGetCtx),
    SAME(cuStreamGetId),
    SAME(cuStreamGetFlags),
    SAME(cuStreamIsCapturing),
    SAME(cuStreamWaitEvent),
    SAME(cuEventCreate),
    V2(cuEventDestroy),
    SAME(cuEventRecord),
    SAME(cuEventRecordWithFlags),
    SAME(cuEventQuery),
    SAME(cuEventSynchronize),
    V2(cuEventElapsedTime),
    V2(cuMemAlloc),
    V2(cuMemFree),
    SAME(cuMemHostAlloc),
    SAME(cuMemFreeHost),
    V2(cuMemcpyHtoD),
    V2(cuMemcpyDtoH),
    V2(cuMemcpyHtoDAsync),
    V2(cuMemcpyDtoHAsync),
    V2(cuMemsetD8),
    SAME(cuMemsetD32Async),
    SAME(cuLaunchKernel),
    SAME(cuLaunchKernelEx),
    V2(cuGetProcAddress),
};

CUresult cuGetProcAddress_v2(const char *symbol, void **address, int version, cuuint64_t flags,
                             CUdriverProcAddressQueryResult *status)
{
	*address = NULL;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (strcmp(symbol, table[i].name) == 0)
			*address = table[i].address;
	if (status)
		*status =
		    *address ? CU_GET_PROC_ADDRESS_SUCCESS : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
	return *address ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

CUresult cuGetProcAddress(const char *symbol, void **address, int version, cuuint64_t flags)
{
	return cuGetProcAddress_v2(symbol, address, version, flags, NULL);
}
#pragma GCC visibility pop
