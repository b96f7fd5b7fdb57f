// SPDX-License-Identifier: Apache-2.0
/*
 * slices.h: what the probes of SM slices share: parts of the device as green contexts, a kernel
 * that fills every SM it may use and says which these were, and its time.
 *
 * The load: a grid of WL_SLICE_WAVES × 8 blocks per SM of the whole device, 256 threads each, so
 * that an SM is full with 8 of them and the last wave matters little whatever part is used.
 */
#ifndef WORKLOADS_GPU_LIB_SLICES_H
#define WORKLOADS_GPU_LIB_SLICES_H

#include <stdbool.h>
#include <stdint.h>

#include "../../lib/gpu.h"

#define WL_SLICE_THREADS 256
#define WL_SLICE_BLOCKS_PER_SM 8
#define WL_SLICE_WAVES 40
#define WL_SLICE_SMS_MAX 1024

struct wl_slices {
	struct wl_gpu gpu;
	CUfunction busy, copy;
	CUstream stream; /* non-blocking, of the whole device */
	CUdeviceptr where, sink;
	unsigned sms, blocks;   /* of the device; of the load */
	uint32_t iterations;    /* of the load, as calibrated */
	double load_ms;         /* what it was calibrated for */
	double iterations_a_ms; /* of one block alone */
	bool simulated;
	CUresult supported; /* what asking for the device's SMs gave */
	CUdevResource all;
};

/* Opens device 0 with the kernels of `image` and calibrates the load to about load_ms on the whole
 * device (sixteen times that on the software GPU, whose time is mostly fixed costs otherwise).
 * Ends the program on failure; check `supported` before making parts. */
void wl_slices_open(struct wl_slices *s, const void *image, double load_ms);
/* The same in a context of the program's own: gpu.device, name and context are set. */
void wl_slices_use(struct wl_slices *s, const void *image, double load_ms);
const char *wl_slices_error(CUresult r);

/* A green context of at least n SMs, the index-th of such a split, and a stream of it. */
struct wl_part {
	CUgreenCtx green;
	CUstream stream;
	unsigned sms, groups, rest; /* how many it has; parts like it; SMs left over */
};
/* The first error; then nothing is left of it. */
CUresult wl_part_make(const struct wl_slices *s, unsigned n, unsigned index, unsigned flags,
                      struct wl_part *p);
void wl_part_end(struct wl_part *p);

void wl_slices_launch(const struct wl_slices *s, CUstream stream, unsigned blocks,
                      uint32_t iterations);
/* One block that lasts about that long. */
void wl_slices_spin(const struct wl_slices *s, CUstream stream, double ms);
/* An event that can be recorded in that stream: of the current context or, if the driver wants it
 * so for the stream of a green context, of the stream's own (*crossed, if asked for, is false
 * then). It has been recorded once. */
CUevent wl_slices_event(CUstream stream, unsigned flags, bool *crossed);
/* ms of the load in that stream, alone: the shortest of `times`. */
double wl_slices_time(struct wl_slices *s, CUstream stream, unsigned times);

/* On which SMs the blocks of the last launch ran. */
struct wl_seen {
	uint64_t bit[WL_SLICE_SMS_MAX / 64];
	unsigned n;
};
void wl_slices_seen(const struct wl_slices *s, unsigned blocks, struct wl_seen *out);
bool wl_seen_overlap(const struct wl_seen *a, const struct wl_seen *b);
/* "0-7 16 18-19" */
void wl_seen_text(const struct wl_seen *a, char *buf, size_t len);

#endif
