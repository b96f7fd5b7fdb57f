// SPDX-License-Identifier: Apache-2.0
/* telemetry.c: see telemetry.h. */
#include "telemetry.h"

#include "../../lib/affine.h"
#include "../../lib/clock.h"
#include "warm.h"

#define ELEMENTS (WL_WORK_GRID_X * WL_WORK_GRID_Y * WL_WORK_BLOCK)
#define CALIBRATE_ROUNDS 4
#define WARM_ITERATIONS 200000u     /* some 0.5 ms */
#define ITERATIONS_MAX 4000000000.0 /* fits the kernel's parameter */

void wl_work_open(struct wl_work *w, const void *image)
{
	wl_gpu_open(&w->gpu, image);
	w->kernel = wl_gpu_function(&w->gpu, WL_WORK_KERNEL);
	WL_CU(cuStreamCreate, &w->stream, CU_STREAM_NON_BLOCKING);
	WL_CU(cuMemAlloc, &w->data, ELEMENTS * sizeof(uint32_t));
	WL_CU(cuMemsetD32Async, w->data, 1, ELEMENTS, w->stream);
	wl_work_sync(w);
	for (uint64_t until = wl_now_ns() + wl_warm_ns(&w->gpu); wl_now_ns() < until;) {
		wl_work_launch(w, WARM_ITERATIONS);
		wl_work_sync(w);
	}
}

void wl_work_launch(const struct wl_work *w, uint32_t iterations)
{
	struct wl_affine f = WL_AFFINE_STEP;
	CUdeviceptr data = w->data;
	void *args[] = {&data, &f.mul, &f.add, &iterations};
	WL_CU(cuLaunchKernel, w->kernel, WL_WORK_GRID_X, WL_WORK_GRID_Y, 1, WL_WORK_BLOCK, 1, 1, 0,
	      w->stream, args, NULL);
}

void wl_work_sync(const struct wl_work *w)
{
	WL_CU(cuStreamSynchronize, w->stream);
}

/* µs of one kernel by the GPU's events, the shortest of three */
static double measure(const struct wl_work *w, CUevent from, CUevent to, uint32_t iterations)
{
	float ms, best = 0;
	for (int i = 0; i < 3; i++) {
		WL_CU(cuEventRecord, from, w->stream);
		wl_work_launch(w, iterations);
		WL_CU(cuEventRecord, to, w->stream);
		WL_CU(cuEventSynchronize, to);
		WL_CU(cuEventElapsedTime, &ms, from, to);
		if (i == 0 || ms < best)
			best = ms;
	}
	return 1000.0 * (double)best;
}

uint32_t wl_work_calibrate(const struct wl_work *w, double us)
{
	CUevent from, to;
	WL_CU(cuEventCreate, &from, CU_EVENT_DEFAULT);
	WL_CU(cuEventCreate, &to, CU_EVENT_DEFAULT);
	/* two points of a line: what a launch takes anyhow, and what an iteration adds */
	uint32_t iterations = 4000;
	double none = measure(w, from, to, 1), took = measure(w, from, to, iterations);
	for (int i = 0; i < CALIBRATE_ROUNDS; i++) {
		double each = (took - none) / iterations;
		double want = each > 0 ? us / each : 4.0 * iterations;
		iterations =
		    want < 1 ? 1 : (uint32_t)(want < ITERATIONS_MAX ? want : ITERATIONS_MAX);
		took = measure(w, from, to, iterations);
	}
	WL_CU(cuEventDestroy, from);
	WL_CU(cuEventDestroy, to);
	return iterations;
}
