// SPDX-License-Identifier: Apache-2.0
/*
 * ptx_lanes.h: the operations of PTX that map 32 lanes of inputs to 32 lanes of output, each a
 * plain loop that the compiler vectorises. They know nothing of masks, guards or registers: the
 * interpreter calls them with the register itself as destination when the whole warp takes part,
 * else with a scratch buffer that it blends in.
 *
 * The bodies (ptx_lanes_*.inc.h) are compiled once for the plain architecture and, on x86-64, once
 * for AVX2+FMA; which set is used is decided at first use. The decoder finds a function by its
 * canonical PTX name ("mad.lo.s32"): what is not in the table is not supported.
 */
#ifndef SOFTGPU_PTX_LANES_H
#define SOFTGPU_PTX_LANES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PTX_LANES 32

/* Destination and up to four sources, each 32 lanes of the type in the name. The destination is
 * either one of the sources or disjoint from them. */
typedef void ptx_fn(void *d, const void *a, const void *b, const void *c, const void *e);
/* One bit a lane. */
typedef uint32_t ptx_cmp_fn(const void *a, const void *b);

struct ptx_product;

struct ptx_lane_fn {
	const char *key;
	ptx_fn *fn;
};
struct ptx_lane_cmp {
	const char *key;
	ptx_cmp_fn *fn;
};
struct ptx_lane_set {
	const struct ptx_lane_fn *fns;
	size_t n_fns;
	const struct ptx_lane_cmp *cmps;
	size_t n_cmps;
	/* d[i] = s[i] where bit i of mask is set; by bytes a lane: [1] = 2, [2] = 4, [3] = 8 */
	void (*blend[4])(void *d, const void *s, uint32_t mask);
	/* out[i] = in[i] + add, for 64-bit and for (wrapping) 32-bit addresses; and what they look
	 * like: 0 all the same, 1 a run of `size` bytes a lane, 2 anything else. */
	int (*addr64)(uint64_t *out, const uint64_t *in, uint64_t add, uint32_t size);
	int (*addr32)(uint64_t *out, const uint32_t *in, uint32_t add, uint32_t size);
	/* v in all lanes, by bytes a lane as blend */
	void (*splat[4])(void *d, uint64_t v);
	/* A full warp's loads and stores of 4 bytes in shared memory: lane i at a[i] + add. False,
	 * and nothing is done, if one of them is misaligned or outside. */
	bool (*load4)(uint32_t *d, const uint32_t *a, uint32_t add, const uint8_t *mem,
	              uint32_t size);
	bool (*store4)(const uint32_t *s, const uint32_t *a, uint32_t add, uint8_t *mem,
	               uint32_t size);
	/* largest addr[i] - base over the lanes of mask */
	uint64_t (*reach)(const uint64_t *addr, uint64_t base, uint32_t mask);
	/* The n elements (1, 2 or 4) of each lane, side by side in a buffer, to n registers and
	 * back; split[1] extends the sign. By the sizes of an element and of a register's lane:
	 * 1, 2, 4, 8 bytes are 0 to 3. */
	void (*split[2][4][4])(void *const *d, const void *from, uint32_t n);
	void (*join[4][4])(void *to, const void *const *s, uint32_t n);
	/* c += a · b, and c = a · b (ptx_matrix.h) */
	void (*product)(double *c, const double *a, const double *b, const struct ptx_product *p);
	void (*product_int)(int32_t *c, const int32_t *a, const int32_t *b,
	                    const struct ptx_product *p);
	/* d[i] = the f16 at bit `shift` of s[i]; the f32 with the bits `keep` of s[i] << shift */
	void (*widen_f16)(double *d, const uint32_t *s, uint32_t shift);
	void (*widen_f32)(double *d, const uint32_t *s, uint32_t shift, uint32_t keep);
};

extern const struct ptx_lane_set ptx_lanes_base;
#if defined(__x86_64__)
extern const struct ptx_lane_set ptx_lanes_avx2;
#endif

/* The set for this CPU. */
const struct ptx_lane_set *ptx_lanes(void);
/* NULL: no such operation. */
ptx_fn *ptx_lanes_find(const char *key);
ptx_cmp_fn *ptx_lanes_find_cmp(const char *key);

/* half ← double and back, exact roundings (0 nearest even, 1 zero, 2 down, 3 up); shared with
 * the atomics */
uint16_t ptx_f16_from(double v, int rounding);
double ptx_f16_to(uint16_t h);
uint16_t ptx_bf16_from(double v, int rounding);
double ptx_bf16_to(uint16_t h);
/* eight-bit floats: to nearest even, what is too large becomes the largest number */
uint8_t ptx_e4m3_from(double v);
uint8_t ptx_e5m2_from(double v);
double ptx_e4m3_to(uint8_t h);
double ptx_e5m2_to(uint8_t h);

#endif
