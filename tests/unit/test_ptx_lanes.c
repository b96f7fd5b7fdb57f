// SPDX-License-Identifier: Apache-2.0
/*
 * test_ptx_lanes.c: the lane functions are compiled once for the plain architecture and once for
 * AVX2: both must give the same bits (any NaN for a NaN), in place as well as to another register.
 * test_ptx_ops.c checks what they compute, with the set that this CPU gets.
 */
#include "softgpu/ptx_lanes.h"
#include "tests/unit/ptx_util.h"

struct lanes {
	uint64_t v[PTX_LANES];
};

static bool both_nan(const void *x, const void *y, int i, int size)
{
	if (size == 4) {
		uint32_t a = ((const uint32_t *)x)[i], b = ((const uint32_t *)y)[i];
		return (a & 0x7fffffff) > 0x7f800000 && (b & 0x7fffffff) > 0x7f800000;
	}
	uint64_t a = ((const uint64_t *)x)[i], b = ((const uint64_t *)y)[i];
	return a << 1 > 0x7ffull << 53 && b << 1 > 0x7ffull << 53;
}

static bool same(const char *key, const struct lanes *x, const struct lanes *y)
{
	size_t n = strlen(key);
	bool f32 = n > 3 && !strcmp(key + n - 3, "f32"), f64 = n > 3 && !strcmp(key + n - 3, "f64");
	bool stage = !strncmp(key, "rint.", 5) || !strncmp(key, "wide.", 5);
	int size = f64 || stage ? 8 : f32 ? 4 : 0;
	if (!memcmp(x, y, sizeof(*x)))
		return true;
	for (int i = 0; size && i < 256 / size; i++)
		if (memcmp((const char *)x + i * size, (const char *)y + i * size, (size_t)size) &&
		    !both_nan(x, y, i, size))
			return false;
	return size != 0;
}

static void fill(struct lanes *in, uint64_t *rng)
{
	for (int k = 0; k < 3; k++)
		for (int i = 0; i < PTX_LANES; i++) {
			uint64_t r = next_random(rng);
			/* small numbers, floats near 1, and anything */
			in[k].v[i] = r % 4 == 0 ? r >> 40 & 0xff
			             : r % 4 == 1
			                 ? (r & 0x803fffff807fffffull) | 0x3f8000003e800000ull
			                 : next_random(rng);
		}
	for (int i = 0; i < PTX_LANES; i++) /* a rounding mode or a look-up table */
		in[3].v[i] = (uint64_t)(*rng & 3) << 32 | (*rng & 3);
}

#if defined(__x86_64__)
TEST(sets_agree)
{
	const struct ptx_lane_set *base = &ptx_lanes_base, *avx2 = &ptx_lanes_avx2;
	uint64_t rng = 3;
	if (ptx_lanes() != avx2)
		return; /* this CPU has one set only */
	ck_assert_uint_eq(base->n_fns, avx2->n_fns);
	ck_assert_uint_eq(base->n_cmps, avx2->n_cmps);
	for (size_t f = 0; f < base->n_fns; f++) {
		for (int round = 0; round < 20; round++) {
			struct lanes in[4], x = {{0}}, y = {{0}};
			fill(in, &rng);
			ck_assert_str_eq(base->fns[f].key, avx2->fns[f].key);
			base->fns[f].fn(&x, &in[0], &in[1], &in[2], &in[3]);
			avx2->fns[f].fn(&y, &in[0], &in[1], &in[2], &in[3]);
			if (!same(base->fns[f].key, &x, &y))
				ck_abort_msg("%s differs", base->fns[f].key);
		}
	}
	for (size_t f = 0; f < base->n_cmps; f++) {
		struct lanes in[4];
		fill(in, &rng);
		ck_assert_uint_eq(base->cmps[f].fn(&in[0], &in[1]),
		                  avx2->cmps[f].fn(&in[0], &in[1]));
	}
}
TEST_END
#else
TEST(sets_agree)
{
	ck_assert_ptr_eq(ptx_lanes(), &ptx_lanes_base);
}
TEST_END
#endif

/* A destination may be a source: of one size a lane, as registers are. */
TEST(in_place)
{
	static const char *const keys[] = {"add.s32", "mad.lo.s32",    "lop3.b32", "fma.f32",
	                                   "min.f64", "bfi.b32",       "prmt.b32", "add.f16x2",
	                                   "sad.u64", "shf.l.wrap.b32"};
	uint64_t rng = 9;
	for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
		ptx_fn *fn = ptx_lanes_find(keys[k]);
		ck_assert_ptr_nonnull(fn);
		for (int which = 0; which < 3; which++) {
			struct lanes in[4], x = {{0}};
			fill(in, &rng);
			fn(&x, &in[0], &in[1], &in[2], &in[3]);
			struct lanes *d = &in[which];
			fn(d, &in[0], &in[1], &in[2], &in[3]);
			size_t bytes = strstr(keys[k], "64") ? 256 : 128;
			ck_assert_msg(!memcmp(d, &x, bytes), "%s onto source %d", keys[k], which);
		}
	}
	ck_assert_ptr_null(ptx_lanes_find("add.u33"));
}
TEST_END

TEST(helpers)
{
	const struct ptx_lane_set *l = ptx_lanes();
	uint64_t addr[PTX_LANES], out[PTX_LANES];
	uint32_t a[PTX_LANES], d[PTX_LANES], mem[64];
	for (unsigned i = 0; i < PTX_LANES; i++) {
		addr[i] = 4096 + 4 * i;
		a[i] = 4 * (63 - i);
	}
	for (uint32_t i = 0; i < 64; i++)
		mem[i] = i * i;
	ck_assert_int_eq(l->addr64(out, addr, 0, 4), 1);
	ck_assert_int_eq(l->addr64(out, addr, 0, 8), 2);
	ck_assert_uint_eq(l->reach(addr, 4096, 0x10), 16);
	ck_assert_uint_eq(l->reach(addr, 4100, 1), (uint64_t)-4); /* below the base: huge */
	ck_assert_int_eq(l->addr64(out, addr, (uint64_t)-4096, 4), 1);
	ck_assert_uint_eq(out[31], 124);
	addr[7] ^= 4;
	ck_assert_int_eq(l->addr64(out, addr, 0, 4), 2);
	for (unsigned i = 0; i < PTX_LANES; i++)
		addr[i] = 99;
	ck_assert_int_eq(l->addr64(out, addr, 0, 4), 0);
	ck_assert(l->load4(d, a, 0, (const uint8_t *)mem, sizeof(mem)));
	ck_assert_uint_eq(d[3], 3600);
	ck_assert(!l->load4(d, a, 4, (const uint8_t *)mem, sizeof(mem))); /* lane 0 is outside */
	ck_assert(!l->store4(d, a, (uint32_t)-2, (uint8_t *)mem, sizeof(mem))); /* misaligned */
	ck_assert(l->load4(d, a, (uint32_t)-128, (const uint8_t *)mem, sizeof(mem))); /* wraps */
	ck_assert_uint_eq(d[31], 0);
}
TEST_END

TESTS("ptx_lanes", sets_agree, in_place, helpers)
