// SPDX-License-Identifier: Apache-2.0
/* ptx_lanes_avx2.c: the lane functions once more, for x86-64 CPUs with AVX2 and FMA. */
#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx2,fma,bmi,bmi2,lzcnt,popcnt"))),            \
                             apply_to = function)
#else
#pragma GCC optimize("O3", "fp-contract=off", "no-math-errno", "no-trapping-math")
#pragma GCC target("avx2,fma,bmi,bmi2,lzcnt,popcnt")
#endif

#include "ptx_lanes_def.inc.h"
#include "ptx_lanes_int.inc.h"
#include "ptx_lanes_float.inc.h"
#include "ptx_lanes_cvt.inc.h"
#include "ptx_lanes_cmp.inc.h"
#include "ptx_lanes_mem.inc.h"
#include "ptx_lanes_matrix.inc.h"

#define LANE_SET ptx_lanes_avx2
#include "ptx_lanes_set.inc.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
/* ISO C wants a declaration in every file */
extern int ptx_lanes_no_avx2;
#endif
