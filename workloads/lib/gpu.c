// SPDX-License-Identifier: Apache-2.0
/* gpu.c: see gpu.h. */
#include "gpu.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const char *error_name(CUresult r)
{
	const char *name = NULL;
	if (cuGetErrorName(r, &name) == CUDA_SUCCESS && name)
		return name;
	return "unknown CUDA error";
}

static const char *error_text(CUresult r)
{
	const char *text = NULL;
	if (cuGetErrorString(r, &text) == CUDA_SUCCESS && text)
		return text;
	return "no description";
}

void wl_gpu_check(const char *call, CUresult r)
{
	if (r == CUDA_SUCCESS)
		return;
	fflush(stdout);
	fprintf(stderr, "%s: %s: %s (%s)\n", program_invocation_short_name, call, error_name(r),
	        error_text(r));
	exit(1);
}

void wl_gpu_open(struct wl_gpu *g, const void *image)
{
	int n = 0;
	CUresult r = cuInit(0);
	if (r == CUDA_SUCCESS)
		r = cuDeviceGetCount(&n);
	if (r != CUDA_SUCCESS || n == 0) {
		if (r == CUDA_SUCCESS)
			r = CUDA_ERROR_NO_DEVICE;
		fprintf(stderr, "%s: no usable GPU: %s (%s)\n", program_invocation_short_name,
		        error_name(r), error_text(r));
		exit(1);
	}
	WL_CU(cuDeviceGet, &g->device, 0);
	WL_CU(cuDeviceGetName, g->name, (int)sizeof(g->name), g->device);
	WL_CU(cuDevicePrimaryCtxRetain, &g->context, g->device);
	WL_CU(cuCtxSetCurrent, g->context);
	WL_CU(cuModuleLoadData, &g->module, image);
}

void wl_gpu_close(struct wl_gpu *g)
{
	WL_CU(cuModuleUnload, g->module);
	WL_CU(cuDevicePrimaryCtxRelease, g->device);
}

CUfunction wl_gpu_function(const struct wl_gpu *g, const char *name)
{
	CUfunction f;
	WL_CU(cuModuleGetFunction, &f, g->module, name);
	return f;
}
