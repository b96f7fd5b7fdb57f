// SPDX-License-Identifier: Apache-2.0
/*
 * gpuclock.h: %globaltimer stamps of kernels, as times of CLOCK_MONOTONIC.
 *
 * A kernel (gate_clock of kernels.cu) answers the host's question for the time; the shortest of
 * many round trips says best when it was answered. Each sync adds a point; two or more, a while
 * apart, also tell how much faster one clock runs than the other: sync before and after what is
 * measured.
 */
#ifndef WORKLOADS_GPU_GPUCLOCK_H
#define WORKLOADS_GPU_GPUCLOCK_H

#include <cuda.h>
#include <stdint.h>

struct wl_gpuclock {
	CUfunction ask; /* gate_clock */
	CUstream stream;
	volatile uint64_t *page; /* page-locked */
	CUdeviceptr page_at;
	unsigned n; /* points so far: the first and the last are kept */
	struct wl_gpuclock_point {
		uint64_t gpu_ns, host_ns, rtt_ns;
	} first, last;
};

/* Ends the program if CUDA fails. */
void wl_gpuclock_init(struct wl_gpuclock *c, CUfunction gate_clock);
/* 0, or -ETIMEDOUT: the kernel did not answer. Nothing else should run meanwhile. */
int wl_gpuclock_sync(struct wl_gpuclock *c);
/* After at least one sync. */
uint64_t wl_gpuclock_host_ns(const struct wl_gpuclock *c, uint64_t gpu_ns);
/* The GPU's clock gains so much on the host's; 0 with fewer than two points. */
double wl_gpuclock_drift_ppm(const struct wl_gpuclock *c);
/* Half of the worse of the two round trips: how far a time may be off. */
uint64_t wl_gpuclock_error_ns(const struct wl_gpuclock *c);

#endif
