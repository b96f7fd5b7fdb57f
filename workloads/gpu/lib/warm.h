// SPDX-License-Identifier: Apache-2.0
/*
 * warm.h: how long a GPU is kept busy before something is timed or calibrated on it. An idle one
 * runs at a fraction of its clock, and takes a hundred milliseconds of work or so to get to the
 * full one. The software GPU has but one speed.
 */
#ifndef WORKLOADS_GPU_LIB_WARM_H
#define WORKLOADS_GPU_LIB_WARM_H

#include <stdint.h>
#include <string.h>

#include "../../lib/gpu.h"

#define WL_WARM_NS 200000000ull

static inline uint64_t wl_warm_ns(const struct wl_gpu *g)
{
	return strstr(g->name, "Software GPU") ? 0 : WL_WARM_NS;
}

#endif
