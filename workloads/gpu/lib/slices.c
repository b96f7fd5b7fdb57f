// SPDX-License-Identifier: Apache-2.0
/* slices.c: see slices.h. */
#include "slices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/clock.h"
#include "warm.h"

#define ITERATIONS_MAX (1u << 26)
#define SIMULATED 16 /* times as long a load */

const char *wl_slices_error(CUresult r)
{
	const char *name = NULL;
	if (cuGetErrorName(r, &name) == CUDA_SUCCESS && name)
		return name;
	return "an unknown error";
}

/* ---- the load */

void wl_slices_launch(const struct wl_slices *s, CUstream stream, unsigned blocks,
                      uint32_t iterations)
{
	CUdeviceptr where = s->where, sink = s->sink;
	void *args[] = {&where, &sink, &iterations};
	WL_CU(cuLaunchKernel, s->busy, blocks, 1, 1, WL_SLICE_THREADS, 1, 1, 0, stream, args, NULL);
}

CUevent wl_slices_event(CUstream stream, unsigned flags, bool *crossed)
{
	CUevent e;
	CUcontext own, before;
	WL_CU(cuEventCreate, &e, flags);
	CUresult r = cuEventRecord(e, stream);
	if (crossed)
		*crossed = r == CUDA_SUCCESS;
	if (r == CUDA_SUCCESS)
		return e;
	WL_CU(cuEventDestroy, e);
	WL_CU(cuCtxGetCurrent, &before);
	WL_CU(cuStreamGetCtx, stream, &own);
	WL_CU(cuCtxSetCurrent, own);
	WL_CU(cuEventCreate, &e, flags);
	WL_CU(cuCtxSetCurrent, before);
	WL_CU(cuEventRecord, e, stream);
	return e;
}

static double timed(struct wl_slices *s, CUstream stream, unsigned blocks, uint32_t iterations)
{
	float ms = 0;
	CUevent begin = wl_slices_event(stream, CU_EVENT_DEFAULT, NULL);
	CUevent end = wl_slices_event(stream, CU_EVENT_DEFAULT, NULL);
	WL_CU(cuEventRecord, begin, stream);
	wl_slices_launch(s, stream, blocks, iterations);
	WL_CU(cuEventRecord, end, stream);
	WL_CU(cuEventSynchronize, end);
	WL_CU(cuEventElapsedTime, &ms, begin, end);
	WL_CU(cuEventDestroy, begin);
	WL_CU(cuEventDestroy, end);
	return ms;
}

/* Until the clocks are those of work. */
static void warm(struct wl_slices *s)
{
	uint64_t until = wl_now_ns() + wl_warm_ns(&s->gpu);
	while (wl_now_ns() < until)
		timed(s, s->stream, s->blocks, 1000);
}

/* Iterations for about `ms`: doubled until that takes long enough to be scaled. */
static uint32_t calibrate(struct wl_slices *s, unsigned blocks, double ms)
{
	uint32_t n = 8;
	timed(s, s->stream, blocks, n); /* the first launch loads the code */
	double got = timed(s, s->stream, blocks, n);
	while (got < ms / 2 && n < ITERATIONS_MAX / 2) {
		n *= 2;
		got = timed(s, s->stream, blocks, n);
	}
	if (got > 0)
		n = (uint32_t)(n * ms / got);
	return n < 1 ? 1 : n > ITERATIONS_MAX ? ITERATIONS_MAX : n;
}

void wl_slices_spin(const struct wl_slices *s, CUstream stream, double ms)
{
	wl_slices_launch(s, stream, 1, (uint32_t)(ms * s->iterations_a_ms) + 1);
}

double wl_slices_time(struct wl_slices *s, CUstream stream, unsigned times)
{
	double best = 0;
	for (unsigned i = 0; i < times; i++) {
		double ms = timed(s, stream, s->blocks, s->iterations);
		if (i == 0 || ms < best)
			best = ms;
	}
	return best;
}

void wl_slices_use(struct wl_slices *s, const void *image, double load_ms)
{
	int sms = 0;
	if (!s->gpu.module)
		WL_CU(cuModuleLoadData, &s->gpu.module, image);
	WL_CU(cuDeviceGetAttribute, &sms, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, s->gpu.device);
	s->sms = (unsigned)sms;
	s->blocks = s->sms * WL_SLICE_BLOCKS_PER_SM * WL_SLICE_WAVES;
	s->simulated = strstr(s->gpu.name, "Software GPU") != NULL;
	s->load_ms = s->simulated ? SIMULATED * load_ms : load_ms;
	s->busy = wl_gpu_function(&s->gpu, "slices_busy");
	s->copy = wl_gpu_function(&s->gpu, "slices_copy");
	WL_CU(cuMemAlloc, &s->where, s->blocks * sizeof(uint32_t));
	WL_CU(cuMemAlloc, &s->sink, (size_t)s->blocks * WL_SLICE_THREADS * sizeof(uint32_t));
	WL_CU(cuStreamCreate, &s->stream, CU_STREAM_NON_BLOCKING);
	s->supported = cuDeviceGetDevResource(s->gpu.device, &s->all, CU_DEV_RESOURCE_TYPE_SM);
	warm(s);
	s->iterations = calibrate(s, s->blocks, s->load_ms);
	s->iterations_a_ms = calibrate(s, 1, 2) / 2.0;
}

void wl_slices_open(struct wl_slices *s, const void *image, double load_ms)
{
	memset(s, 0, sizeof(*s));
	wl_gpu_open(&s->gpu, image);
	wl_slices_use(s, image, load_ms);
}

/* ---- parts */

CUresult wl_part_make(const struct wl_slices *s, unsigned n, unsigned index, unsigned flags,
                      struct wl_part *p)
{
	CUdevResource part[WL_SLICE_SMS_MAX / 2], rest;
	CUdevResourceDesc desc;
	unsigned groups = WL_SLICE_SMS_MAX / 2;
	memset(p, 0, sizeof(*p));
	memset(&rest, 0, sizeof(rest));
	if (s->supported != CUDA_SUCCESS)
		return s->supported;
	CUresult r = cuDevSmResourceSplitByCount(part, &groups, &s->all, &rest, flags, n);
	if (r == CUDA_SUCCESS && index >= groups)
		r = CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION;
	if (r == CUDA_SUCCESS)
		r = cuDevResourceGenerateDesc(&desc, &part[index], 1);
	if (r == CUDA_SUCCESS)
		r = cuGreenCtxCreate(&p->green, desc, s->gpu.device, CU_GREEN_CTX_DEFAULT_STREAM);
	if (r != CUDA_SUCCESS)
		return r;
	p->sms = part[index].sm.smCount;
	p->groups = groups;
	p->rest = rest.type == CU_DEV_RESOURCE_TYPE_SM ? rest.sm.smCount : 0;
	r = cuGreenCtxStreamCreate(&p->stream, p->green, CU_STREAM_NON_BLOCKING, 0);
	if (r != CUDA_SUCCESS) {
		cuGreenCtxDestroy(p->green);
		p->green = NULL;
	}
	return r;
}

void wl_part_end(struct wl_part *p)
{
	if (!p->green)
		return;
	WL_CU(cuStreamSynchronize, p->stream);
	WL_CU(cuStreamDestroy, p->stream);
	WL_CU(cuGreenCtxDestroy, p->green);
	p->green = NULL;
}

/* ---- where */

void wl_slices_seen(const struct wl_slices *s, unsigned blocks, struct wl_seen *out)
{
	uint32_t *sm = calloc(blocks, sizeof(*sm));
	if (!sm) {
		fprintf(stderr, "out of memory\n");
		exit(1);
	}
	memset(out, 0, sizeof(*out));
	WL_CU(cuMemcpyDtoH, sm, s->where, blocks * sizeof(*sm));
	for (unsigned i = 0; i < blocks; i++) {
		if (sm[i] >= WL_SLICE_SMS_MAX)
			continue;
		out->n += !(out->bit[sm[i] / 64] >> sm[i] % 64 & 1);
		out->bit[sm[i] / 64] |= 1ull << sm[i] % 64;
	}
	free(sm);
}

bool wl_seen_overlap(const struct wl_seen *a, const struct wl_seen *b)
{
	for (unsigned i = 0; i < WL_SLICE_SMS_MAX / 64; i++)
		if (a->bit[i] & b->bit[i])
			return true;
	return false;
}

static bool has(const struct wl_seen *a, unsigned i)
{
	return i < WL_SLICE_SMS_MAX && a->bit[i / 64] >> i % 64 & 1;
}

void wl_seen_text(const struct wl_seen *a, char *buf, size_t len)
{
	size_t used = 0;
	buf[0] = 0;
	for (unsigned i = 0; i < WL_SLICE_SMS_MAX && used + 16 < len; i++) {
		unsigned from = i;
		if (!has(a, i))
			continue;
		while (has(a, i + 1))
			i++;
		int n = snprintf(buf + used, len - used, from == i ? "%s%u" : "%s%u-%u",
		                 used ? " " : "", from, i);
		used += n > 0 ? (size_t)n : 0;
	}
}
