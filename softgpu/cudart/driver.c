// SPDX-License-Identifier: Apache-2.0
/*
 * driver.c: finds the driver and its functions, the way NVIDIA's runtime does it: by name from
 * dlopen, then by (name, version, flags) from cuGetProcAddress_v2.
 */
#include "cudart.h"

#include <cudaTypedefs.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

#define MISSING_MAX 512

struct cudart_driver cudart_drivers[2];

static pthread_once_t once = PTHREAD_ONCE_INIT;
static cudaError_t status;
static PFN_cuGetProcAddress_v12000 get;

void cudart_say(const char *fmt, ...)
{
	char line[400] = "cudart: ";
	int saved = errno;
	size_t n = strlen(line);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
	va_end(ap);
	strcat(line, "\n");
	if (write(2, line, strlen(line)) < 0) {
		/* nobody listens */
	}
	errno = saved;
}

cudaError_t cudart_missing(const char *what)
{
	static const char *_Atomic said[MISSING_MAX];
	for (unsigned i = 0; i < MISSING_MAX; i++) {
		const char *none = NULL;
		if (rein_cas(&said[i], &none, what)) {
			cudart_say("%s is not provided by the software GPU's runtime", what);
			break;
		}
		if (strcmp(none, what) == 0)
			break;
	}
	return cudart_failed(cudaErrorNotSupported);
}

void cudart_forked(void)
{
	cudart_registry_forked();
	cudart_device_forked();
}

/* For a function that an older driver lacks. */
static CUresult absent(void)
{
	return CUDA_ERROR_NOT_SUPPORTED;
}

static CUresult look_up(struct cudart_driver *table, uint64_t flags)
{
	for (unsigned i = 0; i < cudart_wanted_count; i++) {
		void *f = NULL;
		CUresult r = get(cudart_wanted[i].name, &f, cudart_wanted[i].version, flags, NULL);
		if (r != CUDA_SUCCESS && r != CUDA_ERROR_NOT_FOUND)
			return r;
		if (!f)
			f = (void *)absent;
		memcpy((char *)table + cudart_wanted[i].at, &f, sizeof(f));
	}
	return CUDA_SUCCESS;
}

static cudaError_t start(void)
{
	const struct cudart_driver *cu = &cudart_drivers[0];
	PFN_cuDriverGetVersion_v2020 get_version = NULL;
	int version = 0;
	void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
	if (!library)
		return cudaErrorInsufficientDriver;
	get = (PFN_cuGetProcAddress_v12000)dlsym(library, "cuGetProcAddress_v2");
	if (!get)
		return cudaErrorInsufficientDriver;
	CUresult r = get("cuDriverGetVersion", (void **)&get_version, 2020, 0, NULL);
	if (r == CUDA_SUCCESS && get_version)
		r = get_version(&version);
	if (r != CUDA_SUCCESS || version / 1000 < CUDART_VERSION / 1000)
		return cudaErrorInsufficientDriver; /* any of our major version will do */
	r = look_up(&cudart_drivers[0], CU_GET_PROC_ADDRESS_DEFAULT);
	if (r == CUDA_SUCCESS)
		r = look_up(&cudart_drivers[1], CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM);
	if (r == CUDA_SUCCESS)
		r = cu->cuInit(0);
	return cudart_error(r);
}

static void start_once(void)
{
	pthread_atfork(NULL, NULL, cudart_forked);
	status = start();
}

cudaError_t cudart_need_driver(void)
{
	pthread_once(&once, start_once);
	return status;
}

CUresult cudart_entry_point(const char *name, void **f, int version, uint64_t flags,
                            CUdriverProcAddressQueryResult *found)
{
	return get(name, f, version, flags, found);
}

/* ---- versions and entry points */

#include "cudart_calls.h"

/* Without an initialised driver: its version is no question to a device. */
cudaError_t do_cudaDriverGetVersion(const struct cudart_driver *cu, int *driverVersion)
{
	if (!driverVersion)
		return cudaErrorInvalidValue;
	cudaError_t e = cudart_need_driver();
	*driverVersion = 0;
	if (e == cudaErrorInsufficientDriver)
		return get ? e : cudaSuccess; /* 0: there is no driver */
	return cudart_error(cu->cuDriverGetVersion(driverVersion));
}

cudaError_t do_cudaRuntimeGetVersion(const struct cudart_driver *cu, int *runtimeVersion)
{
	if (!runtimeVersion)
		return cudaErrorInvalidValue;
	*runtimeVersion = CUDART_VERSION;
	return cudaSuccess;
}

static cudaError_t entry_point(const struct cudart_driver *cu, const char *symbol, void **f,
                               unsigned version, uint64_t flags,
                               enum cudaDriverEntryPointQueryResult *found)
{
	CUdriverProcAddressQueryResult result = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
	if (flags == cudaEnableDefault && cu == &cudart_drivers[1])
		flags = cudaEnablePerThreadDefaultStream;
	CUresult r = cudart_entry_point(symbol, f, (int)version, flags, &result);
	if (found)
		*found = (enum cudaDriverEntryPointQueryResult)result;
	return cudart_error(r);
}

cudaError_t do_cudaGetDriverEntryPoint(const struct cudart_driver *cu, const char *symbol,
                                       void **funcPtr, unsigned long long flags,
                                       enum cudaDriverEntryPointQueryResult *driverStatus)
{
	return entry_point(cu, symbol, funcPtr, CUDART_VERSION, flags, driverStatus);
}

cudaError_t do_cudaGetDriverEntryPointByVersion(const struct cudart_driver *cu, const char *symbol,
                                                void **funcPtr, unsigned int cudaVersion,
                                                unsigned long long flags,
                                                enum cudaDriverEntryPointQueryResult *driverStatus)
{
	return entry_point(cu, symbol, funcPtr, cudaVersion, flags, driverStatus);
}
