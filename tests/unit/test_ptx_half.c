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

/* ---- floats of eight bits: from every half, and every one of them to a half */
static f64 eight_value(u32 h, bool e5m2)
{
	int mant = e5m2 ? 2 : 3, bias = e5m2 ? 15 : 7, exp = (int)(h & 127) >> mant;
	f64 man = h & ((1u << mant) - 1), v;
	v = exp ? ldexp(man + (1 << mant), exp - bias - mant) : ldexp(man, 1 - bias - mant);
	if (e5m2 && exp == 31)
		v = man > 0 ? NAN : INFINITY;
	if (!e5m2 && (h & 127) == 127)
		v = NAN;
	return h & 128 ? -v : v;
}
static u32 eight_nearest(f64 v, bool e5m2)
{
	u32 best = 0, last = e5m2 ? 0x7b : 0x7e;
	if (isnan(v))
		return 0x7f;
	for (u32 h = 1; h <= last; h++) {
		f64 now = fabs(fabs(v) - eight_value(h, e5m2)),
		    then = fabs(fabs(v) - eight_value(best, e5m2));
		if (now < then || (now == then && !(h & 1)))
			best = h;
	}
	if (isinf(v))
		best = last;
	return best | (signbit(v) ? 128 : 0);
}

TEST(eight_bits)
{
	for (int e5m2 = 0; e5m2 < 2; e5m2++) {
		char text[1600];
		const char *ty = e5m2 ? "e5m2x2" : "e4m3x2";
		snprintf(
		    text, sizeof(text),
		    PTX_HEAD
		    ".visible .entry k(.param .u64 p)\n{\n"
		    ".reg .b64 %%d<4>; .reg .b32 %%r<6>; .reg .f32 %%f<4>; .reg .b16 %%h<6>;\n"
		    "ld.param.u64 %%d0, [p]; mov.u32 %%r0, %%ctaid.x; mov.u32 %%r1, %%tid.x;\n"
		    "mad.lo.u32 %%r0, %%r0, 256, %%r1; mul.wide.u32 %%d1, %%r0, 12; add.u64 %%d0, "
		    "%%d0, %%d1;\ncvt.u16.u32 %%h0, %%r0; cvt.f32.f16 %%f0, %%h0; mul.f32 %%f1, "
		    "%%f0, "
		    "0f3FAAAAAB;\ncvt.rn.satfinite.%s.f32 %%h1, %%f0, %%f1; st.global.b16 [%%d0], "
		    "%%h1;\nxor.b16 %%h2, %%h0, 0x5555; mov.b32 %%r2, {%%h0, %%h2};\n"
		    "cvt.rn.satfinite.%s.f16x2 %%h1, %%r2; st.global.b16 [%%d0+2], %%h1;\n"
		    "cvt.rn.satfinite.relu.%s.f16x2 %%h1, %%r2; st.global.b16 [%%d0+4], %%h1;\n"
		    "cvt.rn.f16x2.%s %%r3, %%h0; st.global.b32 [%%d0+8], %%r3; ret;\n}\n",
		    ty, ty, ty, ty);
		struct ptx_module *m = load_ptx(text);
		struct row {
			u16 single, half, relu, pad;
			u16 wide[2];
		} *v = device_alloc(NULL, 65536 * sizeof(*v), 64);
		must_run(m, "k", (struct shape){.gx = 256, .bx = 256}, &v);
		for (u32 i = 0; i < 65536; i += 7) {
			f64 a = half_value(i), b = half_value((u16)(i ^ 0x5555));
			f64 third = (f64)((f32)a * 0x1.555556p+0f);
			u32 lo = eight_nearest(a, e5m2), hi = eight_nearest(b, e5m2);
			u32 single = eight_nearest(a, e5m2) << 8 | eight_nearest(third, e5m2);
			u32 relu_lo = lo & 128 && (lo & 127) != 127 ? 0 : lo & 127;
			u32 relu_hi = hi & 128 && (hi & 127) != 127 ? 0 : hi & 127;
			ck_assert_msg(v[i].single == single && v[i].half == (hi << 8 | lo) &&
			                  v[i].relu == (relu_hi << 8 | relu_lo),
			              "%s of half %04x: %04x %04x %04x", ty, i, v[i].single,
			              v[i].half, v[i].relu);
			for (int k = 0; k < 2; k++) {
				f64 want = eight_value(i >> (8 * k) & 255, e5m2);
				f64 got = half_value(v[i].wide[k]);
				ck_assert_msg(got == want || (isnan(got) && isnan(want)), "%s %04x",
				              ty, i);
			}
		}
		ptx_module_free(m);
		device_free(NULL, v);
	}
}
TEST_END

TESTS("ptx_half", half, eight_bits)
