// SPDX-License-Identifier: Apache-2.0
/*
 * cudart.h: what the files of the runtime library share. The library turns CUDA's runtime API,
 * which nvcc's programs call, into the driver API of whatever libcuda.so.1 the process finds.
 *
 *   - The driver is reached by dlopen("libcuda.so.1"), dlsym("cuGetProcAddress_v2") and from there
 *     by (name, version, flags) only: what is preloaded between program and driver sees each call.
 *   - There are two tables of driver functions: for the legacy default stream and for per-thread
 *     ones. An entry point X_ptsz or X_ptds is X with the second table.
 *   - calls.tbl says what each exported function does; gen_cudart.py writes those functions. Those
 *     that are more than one driver call are do_<function>() here, by theme: device.c, memory.c,
 *     copy.c, launch.c, function.c, graph.c, graph_copy.c, …
 *   - What a function returns is the driver's result as it is: enum cudaError and enum CUresult
 *     agree on what both have. The few that differ are told apart where they arise.
 *   - No lock is held while the application's code runs; registry.c's and device.c's are
 *     held while the driver loads code or makes a primary context.
 *
 * The ABI between nvcc's output and this library (__cuda…) is that of crt/host_runtime.h and
 * crt/device_functions.h of CUDA 13.0.
 */
#ifndef SOFTGPU_CUDART_H
#define SOFTGPU_CUDART_H

/* The exact, unversioned prototypes: cuMemAlloc and cuMemAlloc_v2 are two functions. */
#ifndef __CUDA_API_VERSION_INTERNAL
#define __CUDA_API_VERSION_INTERNAL
#endif
#include <cuda.h>
#include <cudaProfiler.h>
#include <cuda_profiler_api.h>
#include <cuda_runtime_api.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/atomic.h"
#include "../../common/util.h"
#include "cudart_driver.h"

#define CUDART_EXPORT __attribute__((visibility("default")))
#define CUDART_MISSING __attribute__((weak, visibility("default"))) cudaError_t

/* ---- the driver: driver.c */

extern struct cudart_driver cudart_drivers[2]; /* legacy, per-thread default stream */
struct cudart_wanted {                         /* generated */
	const char *name;
	int version;
	size_t at; /* offset in struct cudart_driver */
};
extern const struct cudart_wanted cudart_wanted[];
extern const unsigned cudart_wanted_count;
/* Loads and initialises it, once. */
cudaError_t cudart_need_driver(void);
CUresult cudart_entry_point(const char *name, void **f, int version, uint64_t flags,
                            CUdriverProcAddressQueryResult *found);
/* "cudart: …" as one line on stderr. */
void cudart_say(const char *fmt, ...) REIN_PRINTF(1, 2);
/* Names what this runtime lacks, once each; cudaErrorNotSupported, which becomes the last error. */
cudaError_t cudart_missing(const char *what);
/* Mutexes that a fork may have caught locked are made anew in the child. */
void cudart_forked(void);
void cudart_registry_forked(void);
void cudart_device_forked(void);

/* ---- errors: error.c */

struct cudart_error_name { /* generated */
	int value;
	const char *name;
};
extern const struct cudart_error_name cudart_error_names[];
static inline cudaError_t cudart_error(CUresult r)
{
	return (cudaError_t)r;
}
/* Makes e (no success) the thread's last error; returns it. */
cudaError_t cudart_failed(cudaError_t e);
void cudart_errors_forget(void); /* a device was reset: its sticky errors are over */

/* ---- devices and contexts: device.c */

/* A current context for this thread. */
cudaError_t cudart_need_context(void);
/* The primary context of a device, retained once. */
cudaError_t cudart_primary(int device, CUcontext *out);
/* The device of the current context. */
cudaError_t cudart_device(int *device);

/* ---- what nvcc's programs register: registry.c */

struct cudart_function;
/* The function registered for a host function; NULL: none. */
struct cudart_function *cudart_function_find(const void *host);
/* Its kernel; loads its code if that was not loaded yet. */
cudaError_t cudart_function_kernel(struct cudart_function *f, CUkernel *out);
/* The host function that stands for a kernel, or for its function in the current context; NULL:
 * none was registered for it. */
const void *cudart_function_host(CUkernel kernel, CUfunction function);
/* Address and size of a __device__ or __constant__ variable, by the host's variable. */
cudaError_t cudart_symbol(const void *host, CUdeviceptr *address, size_t *size);

/* ---- functions and launches: function.c, launch.c */

/* `func` as the application names it: a host function, a cudaKernel_t or a cudaFunction_t. *out is
 * what cuLaunchKernel takes; *kernel (may be NULL) the kernel, or NULL for a cudaFunction_t. */
cudaError_t cudart_launchable(const void *func, CUfunction *out, CUkernel *kernel);
/* The driver's form of a configuration whose shared memory fits 32 bits. */
CUlaunchConfig cudart_config(const cudaLaunchConfig_t *c);
/* What to say of a launch that the driver refused. */
cudaError_t cudart_launch_error(CUresult r, CUfunction f, const void *func);

/* ---- copies: copy.c */

/* Checks the kind; what memory it says is on either side. */
cudaError_t cudart_kind(enum cudaMemcpyKind kind, CUmemorytype *dst, CUmemorytype *src);
cudaError_t cudart_copy3d(CUDA_MEMCPY3D *out, const struct cudaMemcpy3DParms *p);
/* A copy of `count` bytes in one row. */
cudaError_t cudart_copy1d(CUDA_MEMCPY3D *out, void *dst, const void *src, size_t count,
                          enum cudaMemcpyKind kind);
/* The part of a symbol: INVALID_SYMBOL, or INVALID_VALUE if it is not that large. `to`: the copy
 * goes to the symbol (else from it). */
cudaError_t cudart_symbol_part(const void *symbol, size_t offset, size_t count,
                               enum cudaMemcpyKind kind, bool to, void **address);

/* ---- arrays: array.c */

/* A description of texels as the driver has it, and back. */
cudaError_t cudart_format(const struct cudaChannelFormatDesc *d, CUarray_format *format,
                          unsigned *channels);
struct cudaChannelFormatDesc cudart_channel_desc(CUarray_format format, unsigned channels);
cudaError_t cudart_texel_bytes(cudaArray_const_t array, size_t *bytes);

#endif
