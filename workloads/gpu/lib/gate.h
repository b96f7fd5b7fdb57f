// SPDX-License-Identifier: Apache-2.0
/*
 * gate.h: what the queue_gate_* probes share: a gate word and a progress word that streams wait
 * for and write (stream memory operations), and a kernel of a chosen length that may leave stamps.
 *
 * The gate is one 32-bit word, 1 = open; a preemption point is [write progress; wait until the
 * gate is 1]. CUDA errors of the set-up end the program (lib/gpu.h); those of what is asked are
 * returned.
 */
#ifndef WORKLOADS_GPU_GATE_H
#define WORKLOADS_GPU_GATE_H

#include <cuda.h>
#include <stdbool.h>
#include <stdint.h>

#include "../../lib/gpu.h"

#define WL_GATE_STAMPS 4096
#define WL_GATE_NO_STAMP UINT32_MAX

struct wl_gate {
	struct wl_gpu gpu;
	CUfunction spin, clock;
	uint32_t *open, *progress; /* by wl_gate_set(), wl_gate_get() */
	CUdeviceptr open_at, progress_at;
	volatile uint64_t *stamps; /* begin and end of slot i: [2i], [2i + 1] */
	CUdeviceptr stamps_at, count_at;
	double round_ns, empty_ns; /* of gate_spin: a round; a launch without any */
};

/* Device, kernels, words (open), and how long the kernel takes. False: no stream memory operations
 * here; the caller says what it skips. */
bool wl_gate_init(struct wl_gate *g, const void *image);
void wl_gate_set(uint32_t *word, uint32_t value);
uint32_t wl_gate_get(const uint32_t *word);

enum wl_gate_point {
	WL_POINT_NONE,
	WL_POINT_BATCH,    /* [write; wait] as one batch */
	WL_POINT_SEPARATE, /* the same by two calls */
	WL_POINT_WAIT,     /* wait only */
	WL_POINT_WRITE,    /* write only */
};
CUresult wl_gate_point(struct wl_gate *g, CUstream s, enum wl_gate_point kind, uint32_t progress);
/* The parameters of a batch point, for graphs. */
void wl_gate_params(const struct wl_gate *g, CUstreamBatchMemOpParams op[2], uint32_t progress);

unsigned wl_gate_rounds(const struct wl_gate *g, double ns); /* that take so long */
CUresult wl_gate_spin(struct wl_gate *g, CUstream s, unsigned rounds, unsigned slot);
uint32_t wl_gate_count(struct wl_gate *g); /* launches of it that have run; synchronous */
CUstream wl_gate_stream(void);             /* a new non-blocking one */
/* And one that has run a kernel: what a first use takes never happens beside a closed gate. */
CUstream wl_gate_used_stream(struct wl_gate *g);
void wl_gate_idle(uint64_t ns);        /* sleeps */
const char *wl_gate_error(CUresult r); /* CUDA_ERROR_… */

#endif
