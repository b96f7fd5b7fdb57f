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
#include "ptx_lanes_mem.inc.h"
#include "ptx_lanes_matrix.inc.h"

#define LANE_SET ptx_lanes_base
#include "ptx_lanes_set.inc.h"

/* ---- look-up: both tables hashed once; a slot holds a row's number + 1 */
#define SLOTS 4096

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const struct ptx_lane_set *chosen;
static u16 fn_slots[SLOTS], cmp_slots[SLOTS];

static u32 hash(const char *key)
{
	u32 h = 2166136261u;
	while (*key)
		h = (h ^ (u8)*key++) * 16777619u;
	return (h ^ (h >> 13)) % SLOTS;
}

/* The slot of a key, or the empty one where it belongs. Both row types begin with the key. */
static u16 *slot_of(u16 *slots, const void *rows, size_t size, const char *key)
{
	u32 i = hash(key);
	while (slots[i] && strcmp(*(const char *const *)(const void *)((const char *)rows +
	                                                               (slots[i] - 1u) * size),
	                          key))
		i = (i + 1) % SLOTS;
	return &slots[i];
}

static void choose(void)
{
	chosen = &ptx_lanes_base;
#if defined(__x86_64__)
	__builtin_cpu_init();
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
		chosen = &ptx_lanes_avx2;
#endif
	_Static_assert(sizeof(fn_rows) / sizeof(fn_rows[0]) < SLOTS / 2, "room in the table");
	_Static_assert(sizeof(cmp_rows) / sizeof(cmp_rows[0]) < SLOTS / 2, "room in the table");
	for (size_t i = 0; i < chosen->n_fns; i++)
		*slot_of(fn_slots, chosen->fns, sizeof(*chosen->fns), chosen->fns[i].key) =
		    (u16)(i + 1);
	for (size_t i = 0; i < chosen->n_cmps; i++)
		*slot_of(cmp_slots, chosen->cmps, sizeof(*chosen->cmps), chosen->cmps[i].key) =
		    (u16)(i + 1);
}

const struct ptx_lane_set *ptx_lanes(void)
{
	pthread_once(&once, choose);
	return chosen;
}

ptx_fn *ptx_lanes_find(const char *key)
{
	const struct ptx_lane_set *s = ptx_lanes();
	u16 at = *slot_of(fn_slots, s->fns, sizeof(*s->fns), key);
	return at ? s->fns[at - 1].fn : NULL;
}

ptx_cmp_fn *ptx_lanes_find_cmp(const char *key)
{
	const struct ptx_lane_set *s = ptx_lanes();
	u16 at = *slot_of(cmp_slots, s->cmps, sizeof(*s->cmps), key);
	return at ? s->cmps[at - 1].fn : NULL;
}
