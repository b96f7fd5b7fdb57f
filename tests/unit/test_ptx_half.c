// SPDX-License-Identifier: Apache-2.0
/*
 * test_ptx_half.c: half precision over all 65536 values, against arithmetic in double and a search
 * for the nearest half.
 */
#include <math.h>

#include "tests/unit/ptx_util.h"

typedef uint16_t u16;
typedef uint32_t u32;
typedef float f32;
typedef double f64;

static f64 half_value(u32 h)
{
	int exp = h >> 10 & 31, man = h & 1023;
	f64 v = exp == 31 ? (man ? NAN : INFINITY)
	        : exp     ? ldexp(1024 + man, exp - 25)
	                  : ldexp(man, -24);
	return h & 0x8000 ? -v : v;
}
/* nearest half by search: the values are monotonic in the bits */
static u32 half_nearest(f64 v)
{
	u32 lo = 0, hi = 0x7c00;
	u32 sign = signbit(v) ? 0x8000 : 0;
	if (isnan(v))
		return 0x7fff;
	v = fabs(v);
	if (v >= 65520)
		return sign | 0x7c00;
	while (hi - lo > 1) {
		u32 mid = (lo + hi) / 2;
		if (half_value(mid) <= v)
			lo = mid;
		else
			hi = mid;
	}
	f64 up = hi == 0x7c00 ? 65536 : half_value(hi), low = v - half_value(lo), high = up - v;
	return sign | (low < high || (low == high && !(lo & 1)) ? lo : hi);
}

TEST(half)
{
	struct ptx_module *m = load_ptx(
	    PTX_HEAD
	    ".visible .entry k(.param .u64 p)\n{\n"
	    ".reg .b64 %d<4>; .reg .b32 %r<6>; .reg .f32 %f<4>; .reg .b16 %h<6>;\n"
	    "ld.param.u64 %d0, [p]; mov.u32 %r0, %ctaid.x; mov.u32 %r1, %tid.x;\n"
	    "mad.lo.u32 %r0, %r0, 256, %r1; mul.wide.u32 %d1, %r0, 16; add.u64 %d0, %d0, %d1;\n"
	    "cvt.u16.u32 %h0, %r0; cvt.f32.f16 %f0, %h0; st.global.f32 [%d0], %f0;\n"
	    "mul.f32 %f1, %f0, 0f3FAAAAAB; cvt.rn.f16.f32 %h1, %f1; st.global.b16 [%d0+4], %h1;\n"
	    "mul.lo.u16 %h2, %h0, 31421; add.f16 %h3, %h0, %h2; st.global.b16 [%d0+6], %h3;\n"
	    "mul.f16 %h3, %h0, %h2; st.global.b16 [%d0+8], %h3;\n"
	    "fma.rn.f16 %h3, %h0, %h2, %h0; st.global.b16 [%d0+10], %h3;\n"
	    "mov.b32 %r2, {%h0, %h2}; mov.b32 %r3, {%h2, %h0}; sub.f16x2 %r4, %r2, %r3;\n"
	    "st.global.b32 [%d0+12], %r4; ret;\n}\n");
	struct row {
		f32 wide;
		u16 third, sum, product, fused;
		u16 diff[2];
	} *v = device_alloc(NULL, 65536 * sizeof(*v), 64);
	must_run(m, "k", (struct shape){.gx = 256, .bx = 256}, &v);
	for (u32 i = 0; i < 65536; i++) {
		f64 a = half_value(i), b = half_value((u16)(i * 31421u));
		u32 want[6] = {half_nearest((f64)((f32)a * 4.0f / 3.0f)),
		               half_nearest(a + b),
		               half_nearest(a * b),
		               half_nearest(fma(a, b, a)),
		               half_nearest(a - b),
		               half_nearest(b - a)};
		u32 got[6] = {v[i].third, v[i].sum,     v[i].product,
		              v[i].fused, v[i].diff[0], v[i].diff[1]};
		want[0] = half_nearest((f64)((f32)a * 0x1.555556p+0f));
		if (v[i].wide != (f32)a && !isnan(a))
			ck_abort_msg("half %04x to f32", i);
		for (int k = 0; k < 6; k++)
			ck_assert_msg(got[k] == want[k],
			              "half %04x, result %d: got %04x, want %04x", i, k, got[k],
			              want[k]);
	}
	ptx_module_free(m);
	device_free(NULL, v);
}
TEST_END

TESTS("ptx_half", half)
