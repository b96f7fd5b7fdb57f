// SPDX-License-Identifier: Apache-2.0
/*
 * chain.h: a chain of equal kernels on one stream over one array, as lc and be use it.
 * `work` (iterations per kernel) is the only knob for the length of a kernel; calibration turns
 * a wanted time into it by measuring with events, on whatever GPU this is.
 */
#ifndef WORKLOADS_LIB_CHAIN_H
#define WORKLOADS_LIB_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gpu.h"

#define WL_WORK_MAX 4000000000ull /* fits the kernels' 32-bit parameter */

struct wl_chain {
	CUfunction kernel;
	CUstream stream;
	CUdeviceptr data;
	uint32_t *host; /* pinned, `elements` long */
	uint32_t elements, kernels;
	uint32_t work;
};

/* Makes the stream and the buffers. Set elements, kernels and work before. */
void wl_chain_open(struct wl_chain *c, const struct wl_gpu *gpu, const char *kernel);
void wl_chain_close(struct wl_chain *c);
/* Queues the chain's kernels once; waits for nothing. */
void wl_chain_launch(const struct wl_chain *c);
/* Sets work so that one kernel takes about kernel_us alone on this GPU. */
void wl_chain_calibrate(struct wl_chain *c, double kernel_us);

/* Fills x with data that depends on `seed` only. */
void wl_chain_fill(uint32_t *x, size_t n, uint64_t seed);
/* Is x what `iterations` in all make of wl_chain_fill(seed)? If not, *bad is the first wrong
 * index and *want what should stand there. */
bool wl_chain_check(const uint32_t *x, size_t n, uint64_t seed, uint64_t iterations, size_t *bad,
                    uint32_t *want);

#endif
