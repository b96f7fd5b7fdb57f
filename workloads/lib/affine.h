// SPDX-License-Identifier: Apache-2.0
/*
 * affine.h: the arithmetic of kernels.cu on the host. The map x → mul·x + add (mod 2³²) composed
 * with itself n times is again such a map, found in log2(n) steps: a check of any length is cheap.
 */
#ifndef WORKLOADS_LIB_AFFINE_H
#define WORKLOADS_LIB_AFFINE_H

#include <stdint.h>

struct wl_affine {
	uint32_t mul, add;
};

/* One iteration, as the workloads use it (full period: no element gets stuck). */
#define WL_AFFINE_STEP ((struct wl_affine){.mul = 1664525u, .add = 1013904223u})

static inline uint32_t wl_affine_apply(struct wl_affine f, uint32_t x)
{
	return f.mul * x + f.add;
}

/* first f, then g */
static inline struct wl_affine wl_affine_then(struct wl_affine f, struct wl_affine g)
{
	return (struct wl_affine){.mul = g.mul * f.mul, .add = g.mul * f.add + g.add};
}

/* f, n times */
static inline struct wl_affine wl_affine_power(struct wl_affine f, uint64_t n)
{
	struct wl_affine r = {.mul = 1, .add = 0};
	for (; n; n >>= 1, f = wl_affine_then(f, f))
		if (n & 1)
			r = wl_affine_then(r, f);
	return r;
}

#endif
