// SPDX-License-Identifier: Apache-2.0
/* ptx_lanes_base.c: the lane functions for the plain architecture, and how one is found. */
#if defined(__SSE2__)
#include <emmintrin.h>
#endif
#if defined(__GNUC__) && !defined(__clang__)
/* contracting a*b+c would change results; errno is not wanted of sqrt */
#pragma GCC optimize("O3", "fp-contract=off", "no-math-errno", "no-trapping-math")
#elif defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif
#include <pthread.h>
#include <stdlib.h>

#include "ptx_lanes_def.inc.h"
#include "ptx_lanes_int.inc.h"
#include "ptx_lanes_float.inc.h"
#include "ptx_lanes_cvt.inc.h"
#include "ptx_lanes_cmp.inc.h"

#define LANE_SET ptx_lanes_base
#include "ptx_lanes_set.inc.h"

/* ---- look-up: both tables sorted once */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static const struct ptx_lane_set *chosen;
static struct ptx_lane_fn *sorted_fns;
static struct ptx_lane_cmp *sorted_cmps;

static int by_key(const void *a, const void *b)
{
	/* both row types begin with the key */
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void choose(void)
{
	chosen = &ptx_lanes_base;
#if defined(__x86_64__)
	__builtin_cpu_init();
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
		chosen = &ptx_lanes_avx2;
#endif
	sorted_fns = malloc(chosen->n_fns * sizeof(*sorted_fns));
	sorted_cmps = malloc(chosen->n_cmps * sizeof(*sorted_cmps));
	if (!sorted_fns || !sorted_cmps)
		abort();
	memcpy(sorted_fns, chosen->fns, chosen->n_fns * sizeof(*sorted_fns));
	memcpy(sorted_cmps, chosen->cmps, chosen->n_cmps * sizeof(*sorted_cmps));
	qsort(sorted_fns, chosen->n_fns, sizeof(*sorted_fns), by_key);
	qsort(sorted_cmps, chosen->n_cmps, sizeof(*sorted_cmps), by_key);
}

const struct ptx_lane_set *ptx_lanes(void)
{
	pthread_once(&once, choose);
	return chosen;
}

ptx_fn *ptx_lanes_find(const char *key)
{
	const struct ptx_lane_set *s = ptx_lanes();
	struct ptx_lane_fn *f = bsearch(&key, sorted_fns, s->n_fns, sizeof(*f), by_key);
	return f ? f->fn : NULL;
}

ptx_cmp_fn *ptx_lanes_find_cmp(const char *key)
{
	const struct ptx_lane_set *s = ptx_lanes();
	struct ptx_lane_cmp *f = bsearch(&key, sorted_cmps, s->n_cmps, sizeof(*f), by_key);
	return f ? f->fn : NULL;
}
