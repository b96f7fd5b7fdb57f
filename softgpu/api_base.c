// SPDX-License-Identifier: Apache-2.0
/*
 * api_base.c: the process: cuInit, versions, fork, the API lock, messages, missing calls.
 */
#include "api.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>

enum { STATE_NEW, STATE_READY, STATE_FORKED };
static rein_a32 state;
static pthread_mutex_t init_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t api_lock = PTHREAD_MUTEX_INITIALIZER;
static const struct sg_model *model;

void sg_lock(void)
{
	pthread_mutex_lock(&api_lock);
}

void sg_unlock(void)
{
	pthread_mutex_unlock(&api_lock);
}

CUresult sg_ready(void)
{
	return rein_load_acquire(&state) == STATE_READY ? CUDA_SUCCESS : CUDA_ERROR_NOT_INITIALIZED;
}

const struct sg_model *sg_the_model(void)
{
	return model;
}

/* The child has neither the engine's threads nor a usable copy of its state, and locks may be
 * held by threads that no longer exist: it must not get past sg_ready(). A child of a process
 * that had not called cuInit starts afresh. */
static void in_child(void)
{
	if (rein_load_relaxed(&state) == STATE_READY)
		rein_store_release(&state, STATE_FORKED);
}

CUresult cuInit(unsigned int Flags)
{
	if (Flags != 0)
		return CUDA_ERROR_INVALID_VALUE;
	uint32_t now = rein_load_acquire(&state);
	if (now != STATE_NEW)
		return now == STATE_READY ? CUDA_SUCCESS : CUDA_ERROR_NOT_INITIALIZED;
	CUresult r = CUDA_SUCCESS;
	pthread_mutex_lock(&init_lock);
	if (rein_load_acquire(&state) == STATE_NEW) {
		const char *why = NULL;
		model = sg_model(&why);
		if (!model) {
			sg_say("%s", why ? why : "bad configuration");
			r = CUDA_ERROR_INVALID_VALUE;
		} else if (model->n_devices == 0) {
			r = CUDA_ERROR_NO_DEVICE;
		} else if (pthread_atfork(NULL, NULL, in_child) != 0) {
			r = CUDA_ERROR_OUT_OF_MEMORY;
		} else {
			rein_store_release(&state, STATE_READY);
		}
	}
	pthread_mutex_unlock(&init_lock);
	return r;
}

CUresult cuDriverGetVersion(int *driverVersion)
{
	if (!driverVersion)
		return CUDA_ERROR_INVALID_VALUE;
	*driverVersion = SG_DRIVER_VERSION;
	return CUDA_SUCCESS;
}

/* The tables are NVIDIA's private interface. An error, not an empty table: callers take success
 * with a NULL table for a working one. */
CUresult cuGetExportTable(const void **ppExportTable, const CUuuid *pExportTableId)
{
	if (!ppExportTable || !pExportTableId)
		return CUDA_ERROR_INVALID_VALUE;
	*ppExportTable = NULL;
	return CUDA_ERROR_NOT_FOUND;
}

CUresult cuProfilerStart(void)
{
	CUcontext ctx;
	return sg_current(&ctx); /* nothing listens: as on a GPU without a profiler attached */
}

CUresult cuProfilerStop(void)
{
	CUcontext ctx;
	return sg_current(&ctx);
}

void sg_say(const char *fmt, ...)
{
	char line[512] = "softgpu: ";
	size_t n = strlen(line);
	int saved = errno;
	va_list ap;
	va_start(ap, fmt);
	int more = vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
	va_end(ap);
	if (more > 0)
		n += (size_t)more < sizeof(line) - n - 2 ? (size_t)more : sizeof(line) - n - 2;
	line[n++] = '\n';
	ssize_t ignored = write(STDERR_FILENO, line, n);
	(void)ignored;
	errno = saved;
}

CUresult sg_missing(const char *what)
{
	/* a set of what has been named already; when it is full every call is named */
	static const char *named[256];
	static unsigned n;
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	bool say = true;
	if (sg_ready() != CUDA_SUCCESS)
		return CUDA_ERROR_NOT_INITIALIZED;
	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < n && say; i++)
		say = strcmp(named[i], what) != 0;
	if (say && n < REIN_ARRAY_LEN(named))
		named[n++] = what;
	pthread_mutex_unlock(&lock);
	if (say)
		sg_say("%s is not provided by the software GPU", what);
	return CUDA_ERROR_NOT_SUPPORTED;
}
