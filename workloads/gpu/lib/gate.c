// SPDX-License-Identifier: Apache-2.0
/* gate.c: see gate.h. */
#include "gate.h"

#include <stdlib.h>
#include <string.h>

#include "../../lib/clock.h"
#include "warm.h"

#define CALIBRATION_LAUNCHES 20

static uint32_t *at_exit; /* the gate word of this process */

void wl_gate_set(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

uint32_t wl_gate_get(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

void wl_gate_idle(uint64_t ns)
{
	wl_sleep_until(wl_now_ns() + ns);
}

const char *wl_gate_error(CUresult r)
{
	const char *name = NULL;
	return cuGetErrorName(r, &name) == CUDA_SUCCESS && name ? name : "an unknown CUDA error";
}

CUstream wl_gate_stream(void)
{
	CUstream s;
	WL_CU(cuStreamCreate, &s, CU_STREAM_NON_BLOCKING);
	return s;
}

CUstream wl_gate_used_stream(struct wl_gate *g)
{
	CUstream s = wl_gate_stream();
	WL_CU(wl_gate_spin, g, s, 1, WL_GATE_NO_STAMP);
	WL_CU(cuStreamSynchronize, s);
	return s;
}

void wl_gate_params(const struct wl_gate *g, CUstreamBatchMemOpParams op[2], uint32_t progress)
{
	memset(op, 0, 2 * sizeof(*op));
	op[0].writeValue.operation = CU_STREAM_MEM_OP_WRITE_VALUE_32;
	op[0].writeValue.address = g->progress_at;
	op[0].writeValue.value = progress;
	op[1].waitValue.operation = CU_STREAM_MEM_OP_WAIT_VALUE_32;
	op[1].waitValue.address = g->open_at;
	op[1].waitValue.value = 1;
	op[1].waitValue.flags = CU_STREAM_WAIT_VALUE_EQ;
}

CUresult wl_gate_point(struct wl_gate *g, CUstream s, enum wl_gate_point kind, uint32_t progress)
{
	CUstreamBatchMemOpParams op[2];
	CUresult r = CUDA_SUCCESS;
	if (kind == WL_POINT_BATCH) {
		wl_gate_params(g, op, progress);
		return cuStreamBatchMemOp(s, 2, op, 0);
	}
	if (kind == WL_POINT_SEPARATE || kind == WL_POINT_WRITE)
		r = cuStreamWriteValue32(s, g->progress_at, progress, 0);
	if (r == CUDA_SUCCESS && (kind == WL_POINT_SEPARATE || kind == WL_POINT_WAIT))
		r = cuStreamWaitValue32(s, g->open_at, 1, CU_STREAM_WAIT_VALUE_EQ);
	return r;
}

CUresult wl_gate_spin(struct wl_gate *g, CUstream s, unsigned rounds, unsigned slot)
{
	CUdeviceptr stamps = slot < WL_GATE_STAMPS ? g->stamps_at : 0;
	void *params[] = {&rounds, &stamps, &slot, &g->count_at};
	return cuLaunchKernel(g->spin, 1, 1, 1, 32, 1, 1, 0, s, params, NULL);
}

uint32_t wl_gate_count(struct wl_gate *g)
{
	uint32_t n = 0;
	WL_CU(cuMemcpyDtoH, &n, g->count_at, sizeof(n));
	return n;
}

unsigned wl_gate_rounds(const struct wl_gate *g, double ns)
{
	double n = (ns - g->empty_ns) / g->round_ns;
	return n < 1 ? 1 : n > 4e9 ? 4000000000u : (unsigned)n;
}

/* A launch's time in a row of them, by events. */
static double launch_ns(struct wl_gate *g, CUstream s, unsigned rounds)
{
	CUevent a, b;
	float ms = 0;
	WL_CU(cuEventCreate, &a, CU_EVENT_DEFAULT);
	WL_CU(cuEventCreate, &b, CU_EVENT_DEFAULT);
	WL_CU(wl_gate_spin, g, s, rounds, WL_GATE_NO_STAMP);
	WL_CU(cuEventRecord, a, s);
	for (int i = 0; i < CALIBRATION_LAUNCHES; i++)
		WL_CU(wl_gate_spin, g, s, rounds, WL_GATE_NO_STAMP);
	WL_CU(cuEventRecord, b, s);
	WL_CU(cuEventSynchronize, b);
	WL_CU(cuEventElapsedTime, &ms, a, b);
	WL_CU(cuEventDestroy, a);
	WL_CU(cuEventDestroy, b);
	return (double)ms * 1e6 / CALIBRATION_LAUNCHES;
}

/* Clocks rise only under load: warm up first. Then long kernels, so that launching does not
 * count, until they take at least a millisecond. */
static void calibrate(struct wl_gate *g, CUstream s)
{
	unsigned rounds = 100;
	double ns = launch_ns(g, s, rounds);
	uint64_t until = wl_now_ns() + wl_warm_ns(&g->gpu);
	while (ns < 1e6 && rounds < 1u << 28) {
		rounds *= ns < 2.5e5 ? 4 : 2;
		ns = launch_ns(g, s, rounds);
	}
	while (wl_now_ns() < until)
		ns = launch_ns(g, s, rounds);
	unsigned fewer = rounds / 2;
	double half = launch_ns(g, s, fewer);
	g->round_ns = (ns - half) / (rounds - fewer);
	if (g->round_ns <= 0)
		g->round_ns = ns / rounds;
	g->empty_ns = half - g->round_ns * fewer;
	if (g->empty_ns < 0)
		g->empty_ns = 0;
}

static void *pinned(size_t bytes, CUdeviceptr *at)
{
	void *p;
	WL_CU(cuMemHostAlloc, &p, bytes, CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_PORTABLE);
	WL_CU(cuMemHostGetDevicePointer, at, p, 0);
	memset(p, 0, bytes);
	return p;
}

/* However the program ends, the driver's own clean-up must not wait behind a closed gate. */
static void open_at_exit(void)
{
	if (at_exit)
		wl_gate_set(at_exit, 1);
}

bool wl_gate_init(struct wl_gate *g, const void *image)
{
	memset(g, 0, sizeof(*g));
	wl_gpu_open(&g->gpu, image);
	g->spin = wl_gpu_function(&g->gpu, "gate_spin");
	g->clock = wl_gpu_function(&g->gpu, "gate_clock");
	g->open = pinned(4096, &g->open_at);
	g->progress = g->open + 32; /* another cache line */
	g->progress_at = g->open_at + 32 * sizeof(uint32_t);
	g->stamps = pinned(2 * WL_GATE_STAMPS * sizeof(uint64_t), &g->stamps_at);
	WL_CU(cuMemAlloc, &g->count_at, 256);
	WL_CU(cuMemsetD32, g->count_at, 0, 64);
	wl_gate_set(g->open, 1);
	if (!at_exit)
		atexit(open_at_exit); /* after the driver has begun: so before its own handlers */
	at_exit = g->open;
	CUstream s = wl_gate_stream();
	CUresult r = wl_gate_point(g, s, WL_POINT_BATCH, 0);
	if (r == CUDA_SUCCESS) {
		calibrate(g, s);
		WL_CU(cuMemsetD32, g->count_at, 0, 64);
		WL_CU(cuCtxSynchronize);
	}
	WL_CU(cuStreamDestroy, s);
	return r == CUDA_SUCCESS;
}
