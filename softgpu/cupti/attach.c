// SPDX-License-Identifier: Apache-2.0
/*
 * attach.c: finding the software GPU of this process, fork, ids, and what needs neither.
 *
 * It is the libcuda.so.1 that the process has loaded or would load. One that does not export
 * sg_cupti_attach() is not the software GPU's, and has a CUPTI of its own.
 */
#include "double.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>

#include "../../common/clock.h"

static _Atomic(const struct sg_trace_driver *) driver;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static __thread CUptiResult last_error;

void sg_cupti_say(const char *fmt, ...)
{
	char line[512] = "softgpu: CUPTI: ";
	size_t n = strlen(line), room = sizeof(line) - n - 1;
	int saved = errno;
	va_list ap;
	va_start(ap, fmt);
	int more = vsnprintf(line + n, room, fmt, ap);
	va_end(ap);
	if (more > 0)
		n += (size_t)more < room ? (size_t)more : room - 1;
	line[n++] = '\n';
	ssize_t ignored = write(STDERR_FILENO, line, n);
	(void)ignored;
	errno = saved;
}

CUptiResult sg_cupti_result(CUptiResult r)
{
	if (r != CUPTI_SUCCESS)
		last_error = r;
	return r;
}

/* ---- attaching */

static void on_call(struct sg_trace_call *c)
{
	int saved = errno;
	sg_cupti_record_call(c);
	sg_cupti_callback(c);
	errno = saved;
}

static const struct sg_trace_listener listener = {
    .call = on_call,
    .work = sg_cupti_record_work,
};

/* A child has no GPU if its parent had one, and nobody's profiler in any case. */
static void in_child(void)
{
	pthread_mutex_init(&lock, NULL);
	sg_cupti_queue_forget();
	sg_cupti_delivery_forget();
	sg_cupti_kinds_off();
	sg_cupti_subscribe_forget();
	sg_cupti_record_child();
}

static const struct sg_trace_driver *find(void)
{
	void *lib = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
	if (!lib)
		lib = dlopen("libcuda.so.1", RTLD_NOW);
	if (!lib) {
		const char *why = dlerror();
		sg_cupti_say("no CUDA driver: %s", why ? why : "libcuda.so.1 was not found");
		return NULL;
	}
	sg_cupti_attach_fn *attach = (sg_cupti_attach_fn *)dlsym(lib, "sg_cupti_attach");
	const struct sg_trace_driver *d = attach ? attach(SG_TRACE_VERSION) : NULL;
	if (!d) {
		struct link_map *map = NULL;
		dlinfo(lib, RTLD_DI_LINKMAP, &map);
		sg_cupti_say("%s is not the software GPU of this version; this libcupti.so.13 "
		             "works with that only",
		             map && map->l_name[0] ? map->l_name : "libcuda.so.1");
		dlclose(lib);
		return NULL;
	}
	if (pthread_atfork(NULL, NULL, in_child) != 0)
		return NULL;
	return d; /* the library stays loaded: it never leaves a process anyhow */
}

const struct sg_trace_driver *sg_cupti_driver(void)
{
	const struct sg_trace_driver *d = rein_load_acquire(&driver);
	if (d)
		return d;
	pthread_mutex_lock(&lock);
	d = rein_load_acquire(&driver);
	if (!d) {
		d = find();
		rein_store_release(&driver, d);
	}
	pthread_mutex_unlock(&lock);
	return d;
}

void sg_cupti_listen(void)
{
	const struct sg_trace_driver *d = rein_load_acquire(&driver);
	if (!d)
		return;
	pthread_mutex_lock(&lock); /* so that the last look counts */
	d->listen(sg_cupti_records_on() || sg_cupti_called_back() ? &listener : NULL);
	pthread_mutex_unlock(&lock);
}

/* ---- the process */

CUptiResult cuptiGetVersion(uint32_t *version)
{
	if (!version)
		return sg_cupti_result(CUPTI_ERROR_INVALID_PARAMETER);
	*version = CUPTI_API_VERSION;
	return CUPTI_SUCCESS;
}

CUptiResult cuptiGetLastError(void)
{
	CUptiResult r = last_error;
	last_error = CUPTI_SUCCESS;
	return r;
}

#define RESULTS(X)                                                                                 \
	X(CUPTI_SUCCESS)                                                                           \
	X(CUPTI_ERROR_INVALID_PARAMETER)                                                           \
	X(CUPTI_ERROR_INVALID_DEVICE)                                                              \
	X(CUPTI_ERROR_INVALID_CONTEXT)                                                             \
	X(CUPTI_ERROR_INVALID_EVENT_DOMAIN_ID)                                                     \
	X(CUPTI_ERROR_INVALID_EVENT_ID)                                                            \
	X(CUPTI_ERROR_INVALID_EVENT_NAME)                                                          \
	X(CUPTI_ERROR_INVALID_OPERATION)                                                           \
	X(CUPTI_ERROR_OUT_OF_MEMORY)                                                               \
	X(CUPTI_ERROR_HARDWARE)                                                                    \
	X(CUPTI_ERROR_PARAMETER_SIZE_NOT_SUFFICIENT)                                               \
	X(CUPTI_ERROR_API_NOT_IMPLEMENTED)                                                         \
	X(CUPTI_ERROR_MAX_LIMIT_REACHED)                                                           \
	X(CUPTI_ERROR_NOT_READY)                                                                   \
	X(CUPTI_ERROR_NOT_COMPATIBLE)                                                              \
	X(CUPTI_ERROR_NOT_INITIALIZED)                                                             \
	X(CUPTI_ERROR_INVALID_METRIC_ID)                                                           \
	X(CUPTI_ERROR_INVALID_METRIC_NAME)                                                         \
	X(CUPTI_ERROR_QUEUE_EMPTY)                                                                 \
	X(CUPTI_ERROR_INVALID_HANDLE)                                                              \
	X(CUPTI_ERROR_INVALID_STREAM)                                                              \
	X(CUPTI_ERROR_INVALID_KIND)                                                                \
	X(CUPTI_ERROR_INVALID_EVENT_VALUE)                                                         \
	X(CUPTI_ERROR_DISABLED)                                                                    \
	X(CUPTI_ERROR_INVALID_MODULE)                                                              \
	X(CUPTI_ERROR_INVALID_METRIC_VALUE)                                                        \
	X(CUPTI_ERROR_HARDWARE_BUSY)                                                               \
	X(CUPTI_ERROR_NOT_SUPPORTED)                                                               \
	X(CUPTI_ERROR_UM_PROFILING_NOT_SUPPORTED)                                                  \
	X(CUPTI_ERROR_UM_PROFILING_NOT_SUPPORTED_ON_DEVICE)                                        \
	X(CUPTI_ERROR_UM_PROFILING_NOT_SUPPORTED_ON_NON_P2P_DEVICES)                               \
	X(CUPTI_ERROR_UM_PROFILING_NOT_SUPPORTED_WITH_MPS)                                         \
	X(CUPTI_ERROR_CDP_TRACING_NOT_SUPPORTED)                                                   \
	X(CUPTI_ERROR_VIRTUALIZED_DEVICE_NOT_SUPPORTED)                                            \
	X(CUPTI_ERROR_CUDA_COMPILER_NOT_COMPATIBLE)                                                \
	X(CUPTI_ERROR_INSUFFICIENT_PRIVILEGES)                                                     \
	X(CUPTI_ERROR_OLD_PROFILER_API_INITIALIZED)                                                \
	X(CUPTI_ERROR_OPENACC_UNDEFINED_ROUTINE)                                                   \
	X(CUPTI_ERROR_LEGACY_PROFILER_NOT_SUPPORTED)                                               \
	X(CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED)                                          \
	X(CUPTI_ERROR_VIRTUALIZED_DEVICE_INSUFFICIENT_PRIVILEGES)                                  \
	X(CUPTI_ERROR_CONFIDENTIAL_COMPUTING_NOT_SUPPORTED)                                        \
	X(CUPTI_ERROR_CMP_DEVICE_NOT_SUPPORTED)                                                    \
	X(CUPTI_ERROR_MIG_DEVICE_NOT_SUPPORTED)                                                    \
	X(CUPTI_ERROR_SLI_DEVICE_NOT_SUPPORTED)                                                    \
	X(CUPTI_ERROR_WSL_DEVICE_NOT_SUPPORTED)                                                    \
	X(CUPTI_ERROR_INVALID_CHIP_NAME)                                                           \
	X(CUPTI_ERROR_UNKNOWN)

CUptiResult cuptiGetResultString(CUptiResult result, const char **str)
{
	if (!str)
		return sg_cupti_result(CUPTI_ERROR_INVALID_PARAMETER);
	switch ((int)result) {
#define NAME(r)                                                                                    \
	case r:                                                                                    \
		*str = #r;                                                                         \
		return CUPTI_SUCCESS;
		RESULTS(NAME)
#undef NAME
	default:
		return sg_cupti_result(CUPTI_ERROR_INVALID_PARAMETER);
	}
}

/* ---- ids */

static CUptiResult translate(CUresult r)
{
	switch ((int)r) {
	case CUDA_SUCCESS:
		return CUPTI_SUCCESS;
	case CUDA_ERROR_NOT_INITIALIZED:
	case CUDA_ERROR_DEINITIALIZED:
		return CUPTI_ERROR_NOT_INITIALIZED;
	case CUDA_ERROR_INVALID_CONTEXT:
	case CUDA_ERROR_CONTEXT_IS_DESTROYED:
		return CUPTI_ERROR_INVALID_CONTEXT;
	case CUDA_ERROR_INVALID_HANDLE:
		return CUPTI_ERROR_INVALID_STREAM;
	case CUDA_ERROR_OUT_OF_MEMORY:
		return CUPTI_ERROR_OUT_OF_MEMORY;
	case CUDA_ERROR_INVALID_VALUE:
		return CUPTI_ERROR_INVALID_PARAMETER;
	default:
		return CUPTI_ERROR_UNKNOWN;
	}
}

/* The driver, if an id may be put out. */
static CUptiResult ask(const void *out, const struct sg_trace_driver **d)
{
	if (!out)
		return CUPTI_ERROR_INVALID_PARAMETER;
	*d = sg_cupti_driver();
	return *d ? CUPTI_SUCCESS : CUPTI_ERROR_NOT_INITIALIZED;
}

CUptiResult cuptiGetContextId(CUcontext context, uint32_t *contextId)
{
	const struct sg_trace_driver *d;
	CUptiResult r = ask(contextId, &d);
	return sg_cupti_result(r ? r : translate(d->context_id(context, contextId)));
}

CUptiResult cuptiGetDeviceId(CUcontext context, uint32_t *deviceId)
{
	const struct sg_trace_driver *d;
	CUptiResult r = ask(deviceId, &d);
	return sg_cupti_result(r ? r : translate(d->context_device(context, deviceId)));
}

CUptiResult cuptiGetStreamIdEx(CUcontext context, CUstream stream, uint8_t perThreadStream,
                               uint32_t *streamId)
{
	const struct sg_trace_driver *d;
	CUptiResult r = ask(streamId, &d);
	return sg_cupti_result(
	    r ? r : translate(d->stream_id(context, stream, perThreadStream, streamId)));
}

CUptiResult cuptiGetStreamId(CUcontext context, CUstream stream, uint32_t *streamId)
{
	return cuptiGetStreamIdEx(context, stream, 0, streamId);
}

CUptiResult cuptiGetGraphExecId(CUgraphExec graphExec, uint32_t *pId)
{
	const struct sg_trace_driver *d;
	CUptiResult r = ask(pId, &d);
	return sg_cupti_result(r ? r : translate(d->exec_id(graphExec, pId)));
}
