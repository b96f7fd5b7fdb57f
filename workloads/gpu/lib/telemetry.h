// SPDX-License-Identifier: Apache-2.0
/*
 * telemetry.h: what the telemetry probes launch: one small kernel of known name and grid, made as
 * long as wanted.
 */
#ifndef WORKLOADS_GPU_LIB_TELEMETRY_H
#define WORKLOADS_GPU_LIB_TELEMETRY_H

#include <stdint.h>

#include "../../lib/gpu.h"

#define WL_WORK_KERNEL "telemetry_work"
#define WL_WORK_GRID_X 3
#define WL_WORK_GRID_Y 2
#define WL_WORK_BLOCK 64

struct wl_work {
	struct wl_gpu gpu;
	CUfunction kernel;
	CUstream stream;
	CUdeviceptr data;
};

/* Device 0, the kernel out of `image`, a stream; returns when the clocks are those of work. Ends
 * the program on failure. */
void wl_work_open(struct wl_work *w, const void *image);
/* Queues one kernel; waits for nothing. */
void wl_work_launch(const struct wl_work *w, uint32_t iterations);
void wl_work_sync(const struct wl_work *w);
/* How many iterations make it last about that long alone. */
uint32_t wl_work_calibrate(const struct wl_work *w, double us);

#endif
