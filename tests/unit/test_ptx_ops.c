// SPDX-License-Identifier: Apache-2.0
/*
 * test_ptx_ops.c: every arithmetic operation of the interpreter against the same function compiled
 * for the CPU, over edge cases and random values, by full warps and by warps of which half the
 * lanes take part (ptx_op.h). test_ptx_types.c takes the same operations through all their types.
 */
#include <fenv.h>
#include <math.h>

#include "tests/unit/ptx_op.h"

/* ---- reference functions that are more than an expression */
static u64 ref_bfe(u64 a, u32 b, u32 c, int width, bool sign)
{
	u64 r = 0;
	u32 pos = b & 0xff, len = c & 0xff;
	bool top = sign && len &&
	           (pos + len - 1 < (u32)width ? a >> (pos + len - 1) & 1 : a >> (width - 1) & 1);
	for (u32 i = 0; i < (u32)width; i++) {
		bool bit = i < len && pos + i < (u32)width ? (a >> (pos + i)) & 1 : top;
		r |= (u64)bit << i;
	}
	return r;
}
static u64 ref_bfi(u64 a, u64 b, u32 c, u32 d, int width)
{
	u32 pos = c & 0xff, len = d & 0xff;
	u64 f = b;
	for (u32 i = 0; i < len && pos + i < (u32)width; i++)
		f = (f & ~(1ull << (pos + i))) | ((a >> i & 1) << (pos + i));
	return f;
}
static u32 ref_bfind(u64 a, int width, bool sign, bool shift)
{
	if (sign && a >> (width - 1) & 1)
		a = ~a;
	for (int i = width - 1; i >= 0; i--)
		if (a >> i & 1)
			return shift ? (u32)(width - 1 - i) : (u32)i;
	return ~0u;
}
static u64 ref_brev(u64 a, int width)
{
	u64 r = 0;
	for (int i = 0; i < width; i++)
		r |= (a >> i & 1) << (width - 1 - i);
	return r;
}
static u32 ref_prmt(u32 a, u32 b, u32 c)
{
	u32 r = 0;
	for (int i = 0; i < 4; i++) {
		u32 sel = c >> (4 * i),
		    byte = (u32)((((u64)b << 32) | a) >> (8 * (sel & 7))) & 0xff;
		if (sel & 8)
			byte = byte & 0x80 ? 0xff : 0;
		r |= byte << (8 * i);
	}
	return r;
}
static u32 ref_lop3(u32 a, u32 b, u32 c, u32 lut)
{
	u32 r = 0;
	for (int i = 0; i < 32; i++)
		r |= (lut >> ((a >> i & 1) * 4 + (b >> i & 1) * 2 + (c >> i & 1)) & 1) << i;
	return r;
}
static u32 ref_dp4a(u32 a, u32 b, u32 c)
{
	for (int i = 0; i < 32; i += 8)
		c += (u32)((s8)(a >> i) * (s8)(b >> i));
	return c;
}
static s64 clamp_int(s128 v, s128 lo, s128 hi)
{
	return (s64)(v < lo ? lo : v > hi ? hi : v);
}
/* double to an integer type, saturating; a NaN gives `nan` */
static s64 to_int(f64 v, int bits, bool sign, s64 nan)
{
	f64 lo = sign ? -ldexp(1, bits - 1) : 0, hi = ldexp(1, sign ? bits - 1 : bits);
	if (isnan(v))
		return nan;
	if (v <= lo)
		return (s64)lo;
	if (v >= hi)
		return sign ? (s64)((1ull << (bits - 1)) - 1) : (s64)(~0ull >> (64 - bits));
	return sign ? (s64)v : (s64)(u64)v;
}
static f32 flush(f32 x)
{
	return fpclassify(x) == FP_SUBNORMAL ? copysignf(0, x) : x;
}
static f64 rounded(int mode, int op, f64 a, f64 b, f64 c, bool single)
{
	volatile f32 x = (f32)a, y = (f32)b, z = (f32)c, r32;
	volatile f64 d = a, e = b, f = c, r;
	fesetround(mode);
	if (single) {
		r32 = op == '+'   ? x + y
		      : op == '*' ? x * y
		      : op == '/' ? x / y
		      : op == 's' ? sqrtf(x)
		      : op == 'c' ? (f32)d
		                  : fmaf(x, y, z);
		r = r32;
	} else {
		r = op == '+'   ? d + e
		    : op == '*' ? d * e
		    : op == '/' ? d / e
		    : op == 's' ? sqrt(d)
		                : fma(d, e, f);
	}
	fesetround(FE_TONEAREST);
	return r;
}
static f32 truncated(s64 a)
{
	volatile s64 v = a;
	fesetround(FE_TOWARDZERO);
	volatile f32 r = (f32)v;
	fesetround(FE_TONEAREST);
	return r;
}
static f32 min32(f32 a, f32 b)
{
	if (isnan(a))
		return b;
	if (isnan(b) || a < b)
		return a;
	return a == b && signbit(a) ? a : b;
}
static f32 max32(f32 a, f32 b)
{
	return -min32(-a, -b);
}
static f64 min64(f64 a, f64 b)
{
	if (isnan(a))
		return b;
	if (isnan(b) || a < b)
		return a;
	return a == b && signbit(a) ? a : b;
}

/* arithmetic on the parts of a register; op: + - d(ifference) < > g(reater: 0 or 1) */
static u32 ref_parts(u32 a, u32 b, u32 c, int bits, char op, bool sign, bool sat, bool add)
{
	s64 lo = sign ? -(1 << (bits - 1)) : 0, hi = (1ll << (bits - sign)) - 1;
	u32 r = add ? c : 0;
	for (int i = 0; i < 32; i += bits) {
		s64 x = a >> i & ((1ll << bits) - 1), y = b >> i & ((1ll << bits) - 1);
		if (sign) {
			x = x > hi ? x - (1 << bits) : x;
			y = y > hi ? y - (1 << bits) : y;
		}
		s64 v = op == '+'   ? x + y
		        : op == '-' ? x - y
		        : op == 'd' ? (x > y ? x - y : y - x)
		        : op == '<' ? (x < y ? x : y)
		        : op == '>' ? (x > y ? x : y)
		                    : x > y;
		if (sat)
			v = clamp_int(v, lo, hi);
		r += add ? (u32)v : ((u32)v & ((1u << bits) - 1)) << i;
	}
	return r;
}
/* the n-th set bit from `base` upwards, or downwards; ~0: there is none */
static u32 ref_fns(u32 mask, u32 base, s32 n)
{
	for (s32 i = (s32)base, left = n > 0 ? n : -n; i >= 0 && i<32; i += n> 0 ? 1 : -1)
		if (mask >> i & 1 && --left == 0)
			return (u32)i;
	return ~0u;
}
/* the low bits, extended */
static u32 ref_szext(u32 a, u32 n, bool sign)
{
	if (n > 31)
		return a;
	u32 low = a & ((1u << n) - 1);
	return sign && n && a >> (n - 1) & 1 ? low | ~((1u << n) - 1) : low;
}
/* a float with ten bits of mantissa; ties 'a'way from zero, to 'e'ven, 'z': cut off */
static u32 ref_tf32(f32 x, char how)
{
	f64 step, v = fabs((f64)x);
	int e;
	if (isnan(x))
		return 0x7fffffff;
	if (isinf(x) || x == 0) {
		memcpy(&e, &x, 4);
		return (u32)e;
	}
	frexp(v, &e);
	step = ldexp(1, (e < -125 ? -125 : e) - 11);
	f64 q = v / step, t = trunc(q);
	if (how != 'z' && (q - t > 0.5 || (q - t == 0.5 && (how == 'a' || fmod(t, 2) != 0))))
		t += 1;
	f32 r = copysignf((f32)(t * step), x);
	u32 bits;
	memcpy(&bits, &r, 4);
	return bits;
}

/* X(id, text, D, A, B, C, expression of a, b, c); text: %d is the result, %a %b %c the inputs */
#define INTEGER(X)                                                                                 \
	X(add_u16, "add.u16 %d, %a, %b;", u16, u16, u16, u16, a + b)                               \
	X(add_s32, "add.s32 %d, %a, %b;", u32, u32, u32, u32, a + b)                               \
	X(add_u64, "add.u64 %d, %a, %b;", u64, u64, u64, u64, a + b)                               \
	X(add_sat, "add.sat.s32 %d, %a, %b;", s32, s32, s32, s32,                                  \
	  clamp_int((s128)a + b, INT32_MIN, INT32_MAX))                                            \
	X(sub_sat, "sub.sat.s32 %d, %a, %b;", s32, s32, s32, s32,                                  \
	  clamp_int((s128)a - b, INT32_MIN, INT32_MAX))                                            \
	X(sub_s16, "sub.s16 %d, %a, %b;", u16, u16, u16, u16, a - b)                               \
	X(sub_s64, "sub.s64 %d, %a, %b;", u64, u64, u64, u64, a - b)                               \
	X(add_imm, "add.s32 %d, %a, -7;", u32, u32, u32, u32, a - 7)                               \
	X(mul_lo_u16, "mul.lo.u16 %d, %a, %b;", u16, u16, u16, u16, (u32)a *b)                     \
	X(mul_lo_s32, "mul.lo.s32 %d, %a, %b;", u32, u32, u32, u32, a *b)                          \
	X(mul_lo_u64, "mul.lo.u64 %d, %a, %b;", u64, u64, u64, u64, a *b)                          \
	X(mul_hi_u16, "mul.hi.u16 %d, %a, %b;", u16, u16, u16, u16, (u32)a *b >> 16)               \
	X(mul_hi_s16, "mul.hi.s16 %d, %a, %b;", s16, s16, s16, s16, (s32)a *b >> 16)               \
	X(mul_hi_u32, "mul.hi.u32 %d, %a, %b;", u32, u32, u32, u32, (u64)a *b >> 32)               \
	X(mul_hi_s32, "mul.hi.s32 %d, %a, %b;", s32, s32, s32, s32, (s64)a *b >> 32)               \
	X(mul_hi_u64, "mul.hi.u64 %d, %a, %b;", u64, u64, u64, u64, (u128)a *b >> 64)              \
	X(mul_hi_s64, "mul.hi.s64 %d, %a, %b;", s64, s64, s64, s64, (s128)a *b >> 64)              \
	X(mul_wide_u16, "mul.wide.u16 %d, %a, %b;", u32, u16, u16, u16, (u32)a *b)                 \
	X(mul_wide_s16, "mul.wide.s16 %d, %a, %b;", s32, s16, s16, s16, (s32)a *b)                 \
	X(mul_wide_u32, "mul.wide.u32 %d, %a, %b;", u64, u32, u32, u32, (u64)a *b)                 \
	X(mul_wide_s32, "mul.wide.s32 %d, %a, %b;", s64, s32, s32, s32, (s64)a *b)                 \
	X(mad_lo_s32, "mad.lo.s32 %d, %a, %b, %c;", u32, u32, u32, u32, a *b + c)                  \
	X(mad_lo_u64, "mad.lo.u64 %d, %a, %b, %c;", u64, u64, u64, u64, a *b + c)                  \
	X(mad_hi_u32, "mad.hi.u32 %d, %a, %b, %c;", u32, u32, u32, u32, ((u64)a * b >> 32) + c)    \
	X(mad_hi_sat, "mad.hi.sat.s32 %d, %a, %b, %c;", s32, s32, s32, s32,                        \
	  clamp_int(((s128)a * b >> 32) + c, INT32_MIN, INT32_MAX))                                \
	X(mad_wide_u32, "mad.wide.u32 %d, %a, %b, %c;", u64, u32, u32, u64, (u64)a *b + c)         \
	X(mad_wide_s32, "mad.wide.s32 %d, %a, %b, %c;", u64, s32, s32, u64, (u64)((s64)a * b) + c) \
	X(mul24_lo, "mul24.lo.s32 %d, %a, %b;", u32, s32, s32, s32,                                \
	  (u64)((s64)((s32)((u32)a << 8) >> 8) * ((s32)((u32)b << 8) >> 8)))                       \
	X(mul24_hi, "mul24.hi.u32 %d, %a, %b;", u32, u32, u32, u32,                                \
	  (u64)(a & 0xffffff) * (b & 0xffffff) >> 16)                                              \
	X(mad24, "mad24.lo.u32 %d, %a, %b, %c;", u32, u32, u32, u32,                               \
	  (a & 0xffffff) * (b & 0xffffff) + c)                                                     \
	X(sad_s32, "sad.s32 %d, %a, %b, %c;", u32, s32, s32, u32,                                  \
	  c + (u32)((s64)a > b ? (s64)a - b : (s64)b - a))                                         \
	X(sad_u16, "sad.u16 %d, %a, %b, %c;", u16, u16, u16, u16, c + (a > b ? a - b : b - a))     \
	X(div_u32, "div.u32 %d, %a, %b;", u32, u32, u32, u32, b ? a / b : ~0u)                     \
	X(div_s32, "div.s32 %d, %a, %b;", s32, s32, s32, s32, b ? (s64)a / b : -1)                 \
	X(div_u64, "div.u64 %d, %a, %b;", u64, u64, u64, u64, b ? a / b : ~0ull)                   \
	X(div_s64, "div.s64 %d, %a, %b;", s64, s64, s64, s64, b ? (s64)((s128)a / b) : -1)         \
	X(div_s16, "div.s16 %d, %a, %b;", s16, s16, s16, s16, b ? a / b : -1)                      \
	X(rem_u32, "rem.u32 %d, %a, %b;", u32, u32, u32, u32, b ? a % b : a)                       \
	X(rem_s32, "rem.s32 %d, %a, %b;", s32, s32, s32, s32, b ? (s64)a % b : a)                  \
	X(rem_s64, "rem.s64 %d, %a, %b;", s64, s64, s64, s64, b ? (s64)((s128)a % b) : a)          \
	X(min_s32, "min.s32 %d, %a, %b;", s32, s32, s32, s32, a < b ? a : b)                       \
	X(min_u64, "min.u64 %d, %a, %b;", u64, u64, u64, u64, a < b ? a : b)                       \
	X(max_u32, "max.u32 %d, %a, %b;", u32, u32, u32, u32, a > b ? a : b)                       \
	X(max_s16, "max.s16 %d, %a, %b;", s16, s16, s16, s16, a > b ? a : b)                       \
	X(abs_s32, "abs.s32 %d, %a;", u32, s32, s32, s32, a < 0 ? 0 - (u32)a : (u32)a)             \
	X(abs_s64, "abs.s64 %d, %a;", u64, s64, s64, s64, a < 0 ? 0 - (u64)a : (u64)a)             \
	X(neg_s32, "neg.s32 %d, %a;", u32, u32, u32, u32, 0 - a)                                   \
	X(neg_s64, "neg.s64 %d, %a;", u64, u64, u64, u64, 0 - a)                                   \
	X(and_b32, "and.b32 %d, %a, %b;", u32, u32, u32, u32, a &b)                                \
	X(or_b64, "or.b64 %d, %a, %b;", u64, u64, u64, u64, a | b)                                 \
	X(xor_b16, "xor.b16 %d, %a, %b;", u16, u16, u16, u16, a ^ b)                               \
	X(not_b32, "not.b32 %d, %a;", u32, u32, u32, u32, ~a)                                      \
	X(cnot_b32, "cnot.b32 %d, %a;", u32, u32, u32, u32, !a)                                    \
	X(shl_b32, "shl.b32 %d, %a, %b;", u32, u32, u32, u32, b > 31 ? 0 : a << b)                 \
	X(shl_b64, "shl.b64 %d, %a, %b;", u64, u64, u32, u32, b > 63 ? 0 : a << b)                 \
	X(shl_b16, "shl.b16 %d, %a, %b;", u16, u16, u32, u32, b > 15 ? 0 : a << b)                 \
	X(shr_u32, "shr.u32 %d, %a, %b;", u32, u32, u32, u32, b > 31 ? 0 : a >> b)                 \
	X(shr_s32, "shr.s32 %d, %a, %b;", s32, s32, u32, u32, a >> (b > 31 ? 31 : b))              \
	X(shr_s64, "shr.s64 %d, %a, %b;", s64, s64, u32, u32, a >> (b > 63 ? 63 : b))              \
	X(shr_u16, "shr.u16 %d, %a, %b;", u16, u16, u32, u32, b > 15 ? 0 : a >> b)                 \
	X(shr_s16, "shr.s16 %d, %a, %b;", s16, s16, u32, u32, a >> (b > 15 ? 15 : b))              \
	X(shf_lw, "shf.l.wrap.b32 %d, %a, %b, %c;", u32, u32, u32, u32,                            \
	  (((u64)b << 32 | a) << (c & 31)) >> 32)                                                  \
	X(shf_rw, "shf.r.wrap.b32 %d, %a, %b, %c;", u32, u32, u32, u32,                            \
	  ((u64)b << 32 | a) >> (c & 31))                                                          \
	X(shf_lc, "shf.l.clamp.b32 %d, %a, %b, %c;", u32, u32, u32, u32,                           \
	  (((u64)b << 32 | a) << (c > 32 ? 32 : c)) >> 32)                                         \
	X(shf_rc, "shf.r.clamp.b32 %d, %a, %b, %c;", u32, u32, u32, u32,                           \
	  ((u64)b << 32 | a) >> (c > 32 ? 32 : c))                                                 \
	X(popc32, "popc.b32 %d, %a;", u32, u32, u32, u32, __builtin_popcount(a))                   \
	X(popc64, "popc.b64 %d, %a;", u32, u64, u64, u64, __builtin_popcountll(a))                 \
	X(clz32, "clz.b32 %d, %a;", u32, u32, u32, u32, a ? __builtin_clz(a) : 32)                 \
	X(clz64, "clz.b64 %d, %a;", u32, u64, u64, u64, a ? __builtin_clzll(a) : 64)               \
	X(brev32, "brev.b32 %d, %a;", u32, u32, u32, u32, ref_brev(a, 32))                         \
	X(brev64, "brev.b64 %d, %a;", u64, u64, u64, u64, ref_brev(a, 64))                         \
	X(bfind_u32, "bfind.u32 %d, %a;", u32, u32, u32, u32, ref_bfind(a, 32, false, false))      \
	X(bfind_s32, "bfind.s32 %d, %a;", u32, u32, u32, u32, ref_bfind(a, 32, true, false))       \
	X(bfind_s64, "bfind.shiftamt.s64 %d, %a;", u32, u64, u64, u64,                             \
	  ref_bfind(a, 64, true, true))                                                            \
	X(bfind_u64, "bfind.shiftamt.u64 %d, %a;", u32, u64, u64, u64,                             \
	  ref_bfind(a, 64, false, true))                                                           \
	X(bfe_u32, "bfe.u32 %d, %a, %b, %c;", u32, u32, u32, u32, ref_bfe(a, b, c, 32, false))     \
	X(bfe_s32, "bfe.s32 %d, %a, %b, %c;", u32, u32, u32, u32, ref_bfe(a, b, c, 32, true))      \
	X(bfe_u64, "bfe.u64 %d, %a, %b, %c;", u64, u64, u32, u32, ref_bfe(a, b, c, 64, false))     \
	X(bfe_s64, "bfe.s64 %d, %a, %b, %c;", u64, u64, u32, u32, ref_bfe(a, b, c, 64, true))      \
	X(bfi_b32, "bfi.b32 %d, %a, %b, %c, 9;", u32, u32, u32, u32, ref_bfi(a, b, c, 9, 32))      \
	X(bfi_b64, "bfi.b64 %d, %a, %b, %c, 40;", u64, u64, u64, u32, ref_bfi(a, b, c, 40, 64))    \
	X(prmt, "prmt.b32 %d, %a, %b, %c;", u32, u32, u32, u32, ref_prmt(a, b, c))                 \
	X(prmt_f4e, "prmt.b32.f4e %d, %a, %b, %c;", u32, u32, u32, u32,                            \
	  (u32)(((u64)b << 32 | a) >> (8 * (c & 3))))                                              \
	X(lop3_96, "lop3.b32 %d, %a, %b, %c, 0x96;", u32, u32, u32, u32, a ^ b ^ c)                \
	X(lop3_e8, "lop3.b32 %d, %a, %b, %c, 0xe8;", u32, u32, u32, u32, ref_lop3(a, b, c, 0xe8))  \
	X(lop3_1a, "lop3.b32 %d, %a, %b, %c, 0x1a;", u32, u32, u32, u32, ref_lop3(a, b, c, 0x1a))  \
	X(dp4a, "dp4a.s32.s32 %d, %a, %b, %c;", u32, u32, u32, u32, ref_dp4a(a, b, c))             \
	X(slct, "slct.b32.s32 %d, %a, %b, %c;", u32, u32, u32, s32, c >= 0 ? a : b)                \
	X(selp, "{.reg .pred q; setp.gt.s32 q, %c, 5; selp.b32 %d, %a, %b, q;}", u32, u32, u32,    \
	  s32, c > 5 ? a : b)                                                                      \
	X(selp64, "{.reg .pred q; setp.ne.b64 q, %a, %b; selp.b64 %d, %a, %c, q;}", u64, u64, u64, \
	  u64, a != b ? a : c)                                                                     \
	X(carry_add, "{.reg .b32 t; add.cc.u32 t, %a, %b; addc.u32 %d, %c, %a;}", u32, u32, u32,   \
	  u32, c + a + (u32)(((u64)a + b) >> 32))                                                  \
	X(carry_sub, "{.reg .b32 t; sub.cc.u32 t, %a, %b; subc.u32 %d, %c, %a;}", u32, u32, u32,   \
	  u32, c - a - (a < b))                                                                    \
	X(carry_flag_of_sub, "{.reg .b32 t; sub.cc.u32 t, %a, %b; addc.u32 %d, 0, 0;}", u32, u32,  \
	  u32, u32, a >= b)                                                                        \
	X(carry_flag_of_subc,                                                                      \
	  "{.reg .b32 t; sub.cc.u32 t, %a, %b; subc.cc.u32 t, %c, %a; addc.u32 %d, 0, 0;}", u32,   \
	  u32, u32, u32, (u64)c >= (u64)a + (a < b))                                               \
	X(carry_mad, "{.reg .b32 t; mad.lo.cc.u32 t, %a, %b, %c; madc.hi.u32 %d, %a, %b, %c;}",    \
	  u32, u32, u32, u32, (u32)((u64)a * b >> 32) + c + (u32)(((u64)(u32)(a * b) + c) >> 32))  \
	X(carry_64, "{.reg .b64 t; add.cc.u64 t, %a, %b; addc.u64 %d, %c, 0;}", u64, u64, u64,     \
	  u64, c + (u64)(((u128)a + b) >> 64))                                                     \
	X(pack, "{.reg .b32 x, y; mov.b64 {x, y}, %a; mov.b64 %d, {y, x};}", u64, u64, u64, u64,   \
	  a << 32 | a >> 32)                                                                       \
	X(pack16, "{.reg .b16 x, y; mov.b32 {x, y}, %a; mov.b32 %d, {y, x};}", u32, u32, u32, u32, \
	  a << 16 | a >> 16)

static u32 clamp64(s64 v, s64 lo, s64 hi)
{
	return (u32)(v < lo ? lo : v > hi ? hi : v);
}
#define MIN2(x, y) ((x) < (y) ? (x) : (y))
#define MAX2(x, y) ((x) > (y) ? (x) : (y))

#define PARTS(X)                                                                                   \
	X(vadd4, "vadd4.u32.u32.u32 %d, %a, %b, %c;", u32, u32, u32, u32,                          \
	  ref_parts(a, b, c, 8, '+', false, false, false))                                         \
	X(vadd2s, "vadd2.s32.s32.s32.sat %d, %a, %b, %c;", u32, u32, u32, u32,                     \
	  ref_parts(a, b, c, 16, '+', true, true, false))                                          \
	X(vsub4s, "vsub4.u32.u32.u32.sat %d, %a, %b, %c;", u32, u32, u32, u32,                     \
	  ref_parts(a, b, c, 8, '-', false, true, false))                                          \
	X(vsub2, "vsub2.s32.s32.s32 %d, %a, %b, %c;", u32, u32, u32, u32,                          \
	  ref_parts(a, b, c, 16, '-', true, false, false))                                         \
	X(vabsdiff4, "vabsdiff4.u32.u32.u32.add %d, %a, %b, %c;", u32, u32, u32, u32,              \
	  ref_parts(a, b, c, 8, 'd', false, false, true))                                          \
	X(vabsdiff2, "vabsdiff2.s32.s32.s32 %d, %a, %b, %c;", u32, u32, u32, u32,                  \
	  ref_parts(a, b, c, 16, 'd', true, false, false))                                         \
	X(vmin4, "vmin4.s32.s32.s32 %d, %a, %b, %c;", u32, u32, u32, u32,                          \
	  ref_parts(a, b, c, 8, '<', true, false, false))                                          \
	X(vmax2, "vmax2.u32.u32.u32.add %d, %a, %b, %c;", u32, u32, u32, u32,                      \
	  ref_parts(a, b, c, 16, '>', false, false, true))                                         \
	X(vadd_wide, "vadd.s32.u32.s32 %d, %a, %b;", u32, u32, u32, u32, a + b)                    \
	X(vadd_sat, "vadd.s32.u32.s32.sat %d, %a, %b;", u32, u32, u32, u32,                        \
	  clamp64((s64)a + (s32)b, INT32_MIN, INT32_MAX))                                          \
	X(vadd_parts, "vadd.u32.s32.u32.sat %d, %a.b1, %b.h1;", u32, u32, u32, u32,                \
	  clamp64((s8)(a >> 8) + (s64)(b >> 16), 0, UINT32_MAX))                                   \
	X(vsub_into, "vsub.s32.s32.s32.sat %d.b2, %a.h0, %b.b3, %c;", u32, u32, u32, u32,          \
	  (c & 0xff00ffff) | ((u32)clamp64((s16)a - (s8)(b >> 24), -128, 127) & 0xff) << 16)       \
	X(vmin_into, "vmin.u32.u32.u32 %d.h1, %a, %b, %c;", u32, u32, u32, u32,                    \
	  (c & 0xffff) | (a < b ? a : b) << 16)                                                    \
	X(vabsdiff_add, "vabsdiff.u32.u32.u32.add %d, %a.b0, %b.b1, %c;", u32, u32, u32, u32,      \
	  c + (u32)abs((int)(a & 255) - (int)((b >> 8) & 255)))                                    \
	X(vmax_min, "vmax.s32.s32.s32.min %d, %a, %b, %c;", u32, u32, u32, u32,                    \
	  (u32)MIN2(MAX2((s32)a, (s32)b), (s32)c))                                                 \
	X(vadd_max, "vadd.u32.u32.u32.max %d, %a.h0, %b.h1, %c;", u32, u32, u32, u32,              \
	  MAX2((a & 0xffff) + (b >> 16), c))                                                       \
	X(vset_one, "vset.s32.u32.lt.add %d, %a, %b, %c;", u32, u32, u32, u32,                     \
	  ((s64)(s32)a < (s64)b) + c)                                                              \
	X(vshl, "vshl.u32.u32.u32.clamp %d, %a, %b;", u32, u32, u32, u32, b > 31 ? 0 : a << b)     \
	X(vshl_wrap, "vshl.u32.u32.u32.wrap %d, %a, %b;", u32, u32, u32, u32, a << (b & 31))       \
	X(vshr, "vshr.s32.s32.u32.clamp.add %d, %a, %b, %c;", u32, u32, u32, u32,                  \
	  (u32)((s32)a >> (b > 31 ? 31 : b)) + c)                                                  \
	X(vmad, "vmad.s32.s32.u32 %d, %a.h0, %b.b1, %c;", u32, u32, u32, u32,                      \
	  (u32)((s16)a * (s32)((b >> 8) & 255)) + c)                                               \
	X(vmad_sat, "vmad.s32.s32.s32.sat.shr7 %d, %a, %b, -%c;", u32, u32, u32, u32,              \
	  clamp64(((s64)(s32)a * (s32)b - (s32)c) >> 7, INT32_MIN, INT32_MAX))                     \
	X(vmad_minus, "vmad.s32.s32.s32 %d, -%a, %b, %c;", u32, u32, u32, u32, c - a * b)          \
	X(vmad_po, "vmad.u32.u32.u32.po.shr15 %d, %a, %b, %c;", u32, u32, u32, u32,                \
	  (u32)(((u64)a * b + c + 1) >> 15))                                                       \
	X(pack16s, "cvt.pack.sat.s16.s32 %d, %a, %b;", u32, u32, u32, u32,                         \
	  ((u32)clamp64((s32)a, -32768, 32767) << 16) |                                            \
	      ((u32)clamp64((s32)b, -32768, 32767) & 0xffff))                                      \
	X(pack8u, "cvt.pack.sat.u8.s32.b32 %d, %a, %b, %c;", u32, u32, u32, u32,                   \
	  c << 16 | (u32)clamp64((s32)a, 0, 255) << 8 | (u32)clamp64((s32)b, 0, 255))              \
	X(pack4s, "cvt.pack.sat.s4.s32.b32 %d, %a, %b, %c;", u32, u32, u32, u32,                   \
	  c << 8 | ((u32)clamp64((s32)a, -8, 7) & 15) << 4 | ((u32)clamp64((s32)b, -8, 7) & 15))   \
	X(vset4, "vset4.s32.s32.gt %d, %a, %b, %c;", u32, u32, u32, u32,                           \
	  ref_parts(a, b, c, 8, 'g', true, false, false))                                          \
	X(relu_s32, "min.relu.s32 %d, %a, %b;", s32, s32, s32, s32,                                \
	  (a < b ? a : b) > 0 ? (a < b ? a : b) : 0)                                               \
	X(relu_s16x2, "max.s16x2.relu %d, %a, %b;", u32, u32, u32, u32,                            \
	  ref_parts(ref_parts(a, b, 0, 16, '>', true, false, false), 0, 0, 16, '>', true, false,   \
	            false))                                                                        \
	X(add_u16x2, "add.u16x2 %d, %a, %b;", u32, u32, u32, u32,                                  \
	  ref_parts(a, b, c, 16, '+', false, false, false))                                        \
	X(szext_s, "szext.clamp.s32 %d, %a, %b;", u32, u32, u32, u32, ref_szext(a, b, true))       \
	X(szext_u, "szext.clamp.u32 %d, %a, %b;", u32, u32, u32, u32, ref_szext(a, b, false))      \
	X(szext_w, "szext.wrap.s32 %d, %a, %b;", u32, u32, u32, u32, ref_szext(a, b & 31, true))   \
	X(lop3_or,                                                                                 \
	  "{.reg .pred p, q; setp.lt.u32 q, %a, 9; lop3.or.b32 %d|p, %a, %b, %c, 0x80, q;"         \
	  " @p xor.b32 %d, %d, 1;}",                                                               \
	  u32, u32, u32, u32, (a & b & c) ^ ((a & b & c) || a < 9))                                \
	X(lop3_and,                                                                                \
	  "{.reg .pred p, q; setp.lt.u32 q, %a, 9; lop3.and.b32 %d|p, %a, %b, %c, 0xfe, !q;"       \
	  " @p xor.b32 %d, %d, 1;}",                                                               \
	  u32, u32, u32, u32, (a | b | c) ^ ((a | b | c) && a >= 9))                               \
	X(tf32_rna, "cvt.rna.tf32.f32 %d, %a;", u32, f32, f32, f32, ref_tf32(a, 'a'))              \
	X(tf32_rn, "cvt.rn.tf32.f32 %d, %a;", u32, f32, f32, f32, ref_tf32(a, 'e'))                \
	X(tf32_rz, "cvt.rz.tf32.f32 %d, %a;", u32, f32, f32, f32, ref_tf32(a, 'z'))                \
	X(fns_up, "fns.b32 %d, %a, 3, 2;", u32, u32, u32, u32, ref_fns(a, 3, 2))                   \
	X(fns_down, "fns.b32 %d, %a, 20, -1;", u32, u32, u32, u32, ref_fns(a, 20, -1))             \
	X(dp2a, "dp2a.lo.s32.u32 %d, %a, %b, %c;", u32, u32, u32, u32,                             \
	  c + (u32)((s16)a * (s32)(b & 0xff)) + (u32)((s16)(a >> 16) * (s32)(b >> 8 & 0xff)))      \
	X(dp2a_hi, "dp2a.hi.u32.s32 %d, %a, %b, %c;", u32, u32, u32, u32,                          \
	  c + (u32)((s32)(a & 0xffff) * (s8)(b >> 16)) + (u32)((s32)(a >> 16) * (s8)(b >> 24)))    \
	X(dp4a_us, "dp4a.u32.s32 %d, %a, %b, %c;", u32, u32, u32, u32,                             \
	  c + (u32)((s32)(a & 255) * (s8)b) + (u32)((s32)(a >> 8 & 255) * (s8)(b >> 8)) +          \
	      (u32)((s32)(a >> 16 & 255) * (s8)(b >> 16)) + (u32)((s32)(a >> 24) * (s8)(b >> 24))) \
	X(bmsk, "bmsk.clamp.b32 %d, %a, %b;", u32, u32, u32, u32,                                  \
	  a > 31 ? 0 : (u32)((((1ull << (b > 32 ? 32 : b)) - 1) << a)))

#define COMPARE(X)                                                                                 \
	X(setp_and,                                                                                \
	  "{.reg .pred p, q; setp.lt.s32 p, %a, %b; setp.ge.and.u32 p|q, %b, %c, p;"               \
	  " selp.b32 %d, 1, 0, p; @q add.u32 %d, %d, 2;}",                                         \
	  u32, u32, u32, u32, ((s32)a < (s32)b && b >= c) + 2 * ((s32)a < (s32)b && !(b >= c)))    \
	X(setp_or,                                                                                 \
	  "{.reg .pred p, q; setp.eq.u32 p, %a, %b; setp.hi.or.u32 q, %b, %c, !p;"                 \
	  " selp.b32 %d, 1, 0, q;}",                                                               \
	  u32, u32, u32, u32, b > c || a != b)                                                     \
	X(setp_xor,                                                                                \
	  "{.reg .pred p, q; setp.le.s64 p, %a, %b; setp.gt.xor.s64 q, %b, %c, p;"                 \
	  " selp.b64 %d, 1, 0, q;}",                                                               \
	  u64, s64, s64, s64, (b > c) != (a <= b))                                                 \
	X(pred_ops,                                                                                \
	  "{.reg .pred p, q, r; setp.ne.b32 p, %a, %b; setp.lo.u32 q, %a, %b;"                     \
	  " not.pred r, p; or.pred r, r, q; xor.pred r, r, p; and.pred q, q, p;"                   \
	  " selp.b32 %d, 1, 0, r; @!q or.b32 %d, %d, 2;}",                                         \
	  u32, u32, u32, u32, ((a == b || a < b) != (a != b)) | (!(a < b && a != b)) << 1)         \
	X(set_u32, "set.gt.u32.s32 %d, %a, %b;", u32, s32, s32, s32, a > b ? ~0u : 0)              \
	X(set_f32, "set.lt.u32.f32 %d, %a, %b;", u32, f32, f32, f32, a < b ? ~0u : 0)              \
	X(lt_f, "{.reg .pred p; setp.lt.f32 p, %a, %b; selp.b32 %d, 1, 0, p;}", u32, f32, f32,     \
	  f32, a < b)                                                                              \
	X(ltu_f, "{.reg .pred p; setp.ltu.f32 p, %a, %b; selp.b32 %d, 1, 0, p;}", u32, f32, f32,   \
	  f32, !(a >= b))                                                                          \
	X(ne_f, "{.reg .pred p; setp.ne.f32 p, %a, %b; selp.b32 %d, 1, 0, p;}", u32, f32, f32,     \
	  f32, a<b || a> b)                                                                        \
	X(neu_f, "{.reg .pred p; setp.neu.f64 p, %a, %b; selp.b32 %d, 1, 0, p;}", u32, f64, f64,   \
	  f64, !(a == b))                                                                          \
	X(equ_f, "{.reg .pred p; setp.equ.f64 p, %a, %b; selp.b32 %d, 1, 0, p;}", u32, f64, f64,   \
	  f64, !(a < b || a > b))                                                                  \
	X(geu_f, "{.reg .pred p; setp.geu.f64 p, %a, %b; selp.b32 %d, 1, 0, p;}", u32, f64, f64,   \
	  f64, !(a < b))                                                                           \
	X(num_f, "{.reg .pred p; setp.num.f32 p, %a, %b; selp.b32 %d, 1, 0, p;}", u32, f32, f32,   \
	  f32, !isnan(a) && !isnan(b))                                                             \
	X(nan_f, "{.reg .pred p; setp.nan.f64 p, %a, %b; selp.b32 %d, 1, 0, p;}", u32, f64, f64,   \
	  f64, isnan(a) || isnan(b))                                                               \
	X(ftz_eq, "{.reg .pred p; setp.eq.ftz.f32 p, %a, %b; selp.b32 %d, 1, 0, p;}", u32, f32,    \
	  f32, f32, flush(a) == flush(b))                                                          \
	X(testp_n, "{.reg .pred p; testp.normal.f32 p, %a; selp.b32 %d, 1, 0, p;}", u32, f32, f32, \
	  f32, isnormal(a))                                                                        \
	X(testp_s, "{.reg .pred p; testp.subnormal.f64 p, %a; selp.b32 %d, 1, 0, p;}", u32, f64,   \
	  f64, f64, fpclassify(a) == FP_SUBNORMAL)                                                 \
	X(testp_f, "{.reg .pred p; testp.finite.f32 p, %a; selp.b32 %d, 1, 0, p;}", u32, f32, f32, \
	  f32, isfinite(a))

#define FLOAT(X)                                                                                   \
	X(add_f32, "add.f32 %d, %a, %b;", f32, f32, f32, f32, a + b)                               \
	X(sub_f32, "sub.rn.f32 %d, %a, %b;", f32, f32, f32, f32, a - b)                            \
	X(mul_f32, "mul.f32 %d, %a, %b;", f32, f32, f32, f32, a *b)                                \
	X(fma_f32, "fma.rn.f32 %d, %a, %b, %c;", f32, f32, f32, f32, fmaf(a, b, c))                \
	X(mad_f32, "mad.rn.f32 %d, %a, %b, %c;", f32, f32, f32, f32, fmaf(a, b, c))                \
	X(div_f32, "div.rn.f32 %d, %a, %b;", f32, f32, f32, f32, a / b)                            \
	X(min_f32, "min.f32 %d, %a, %b;", f32, f32, f32, f32, min32(a, b))                         \
	X(max_f32, "max.f32 %d, %a, %b;", f32, f32, f32, f32, max32(a, b))                         \
	X(minn_f32, "min.NaN.f32 %d, %a, %b;", f32, f32, f32, f32,                                 \
	  isnan(a) || isnan(b) ? NAN : min32(a, b))                                                \
	X(neg_f32, "neg.f32 %d, %a;", f32, f32, f32, f32, -a)                                      \
	X(abs_f32, "abs.f32 %d, %a;", f32, f32, f32, f32, fabsf(a))                                \
	X(sqrt_f32, "sqrt.rn.f32 %d, %a;", f32, f32, f32, f32, sqrtf(a))                           \
	X(rcp_f32, "rcp.rn.f32 %d, %a;", f32, f32, f32, f32, 1 / a)                                \
	X(copysign32, "copysign.f32 %d, %a, %b;", f32, f32, f32, f32, copysignf(b, a))             \
	X(add_f64, "add.f64 %d, %a, %b;", f64, f64, f64, f64, a + b)                               \
	X(mul_f64, "mul.rn.f64 %d, %a, %b;", f64, f64, f64, f64, a *b)                             \
	X(fma_f64, "fma.rn.f64 %d, %a, %b, %c;", f64, f64, f64, f64, fma(a, b, c))                 \
	X(div_f64, "div.rn.f64 %d, %a, %b;", f64, f64, f64, f64, a / b)                            \
	X(sqrt_f64, "sqrt.rn.f64 %d, %a;", f64, f64, f64, f64, sqrt(a))                            \
	X(min_f64, "min.f64 %d, %a, %b;", f64, f64, f64, f64, min64(a, b))                         \
	X(max_f64, "max.f64 %d, %a, %b;", f64, f64, f64, f64, -min64(-a, -b))                      \
	X(neg_f64, "neg.f64 %d, %a;", f64, f64, f64, f64, -a)                                      \
	X(abs_f64, "abs.f64 %d, %a;", f64, f64, f64, f64, fabs(a))                                 \
	X(sat_f32, "add.sat.f32 %d, %a, %b;", f32, f32, f32, f32,                                  \
	  a + b > 0 ? fminf(a + b, 1) : 0.0f)                                                      \
	X(ftz_mul, "mul.ftz.f32 %d, %a, %b;", f32, f32, f32, f32, flush(flush(a) * flush(b)))      \
	X(ftz_fma, "fma.rn.ftz.f32 %d, %a, %b, %c;", f32, f32, f32, f32,                           \
	  flush(fmaf(flush(a), flush(b), flush(c))))                                               \
	X(add_rz, "add.rz.f32 %d, %a, %b;", f32, f32, f32, f32,                                    \
	  rounded(FE_TOWARDZERO, '+', a, b, c, true))                                              \
	X(add_rm, "add.rm.f32 %d, %a, %b;", f32, f32, f32, f32,                                    \
	  rounded(FE_DOWNWARD, '+', a, b, c, true))                                                \
	X(mul_rp, "mul.rp.f32 %d, %a, %b;", f32, f32, f32, f32,                                    \
	  rounded(FE_UPWARD, '*', a, b, c, true))                                                  \
	X(fma_rz, "fma.rz.f32 %d, %a, %b, %c;", f32, f32, f32, f32,                                \
	  rounded(FE_TOWARDZERO, 'f', a, b, c, true))                                              \
	X(div_rm64, "div.rm.f64 %d, %a, %b;", f64, f64, f64, f64,                                  \
	  rounded(FE_DOWNWARD, '/', a, b, c, false))                                               \
	X(fma_rp64, "fma.rp.f64 %d, %a, %b, %c;", f64, f64, f64, f64,                              \
	  rounded(FE_UPWARD, 'f', a, b, c, false))                                                 \
	X(sqrt_rz, "sqrt.rz.f32 %d, %a;", f32, f32, f32, f32,                                      \
	  rounded(FE_TOWARDZERO, 's', a, b, c, true))                                              \
	X(mov_imm, "add.f32 %d, %a, 0f3FC00000;", f32, f32, f32, f32, a + 1.5f)                    \
	X(mov_immd, "add.f64 %d, %a, 0d3FF8000000000000;", f64, f64, f64, f64, a + 1.5)

/* within a few units in the last place of the exact result */
#define APPROXIMATE(X)                                                                             \
	X(div_approx, "div.approx.f32 %d, %a, %b;", f32, f32, f32, f32, a / b)                     \
	X(div_full, "div.full.f32 %d, %a, %b;", f32, f32, f32, f32, a / b)                         \
	X(rsqrt, "rsqrt.approx.f32 %d, %a;", f32, f32, f32, f32, (f32)(1 / sqrt((f64)a)))          \
	X(rcp_approx, "rcp.approx.ftz.f32 %d, %a;", f32, f32, f32, f32, flush(1 / flush(a)))       \
	X(sin, "sin.approx.f32 %d, %a;", f32, f32, f32, f32, (f32)sin((f64)a))                     \
	X(cos, "cos.approx.f32 %d, %a;", f32, f32, f32, f32, (f32)cos((f64)a))                     \
	X(ex2, "ex2.approx.f32 %d, %a;", f32, f32, f32, f32, (f32)exp2((f64)a))                    \
	X(lg2, "lg2.approx.f32 %d, %a;", f32, f32, f32, f32, (f32)log2((f64)a))                    \
	X(tanh, "tanh.approx.f32 %d, %a;", f32, f32, f32, f32, (f32)tanh((f64)a))                  \
	X(rsqrt64, "rsqrt.approx.f64 %d, %a;", f64, f64, f64, f64, 1 / sqrt(a))                    \
	X(rcp64, "rcp.approx.ftz.f64 %d, %a;", f64, f64, f64, f64, 1 / a)

#define CONVERT(X)                                                                                 \
	X(u64_u32, "cvt.u64.u32 %d, %a;", u64, u32, u32, u32, a)                                   \
	X(s64_s32, "cvt.s64.s32 %d, %a;", s64, s32, s32, s32, a)                                   \
	X(u32_u64, "cvt.u32.u64 %d, %a;", u32, u64, u64, u64, a)                                   \
	X(s32_s8, "cvt.s32.s8 %d, %a;", s32, u32, u32, u32, (s8)a)                                 \
	X(u16_u8, "cvt.u16.u8 %d, %a;", u16, u16, u16, u16, (u8)a)                                 \
	X(s8_s32, "cvt.s8.s32 %d, %a;", s32, s32, s32, s32, (s8)a)                                 \
	X(u8_u32, "cvt.u8.u32 %d, %a;", u32, u32, u32, u32, (u8)a)                                 \
	X(s16_s64, "cvt.s16.s64 %d, %a;", s16, s64, s64, s64, a)                                   \
	X(sat_s8, "cvt.sat.s8.s32 %d, %a;", s32, s32, s32, s32, clamp_int(a, -128, 127))           \
	X(sat_u8, "cvt.sat.u8.s32 %d, %a;", u32, s32, s32, s32, clamp_int(a, 0, 255))              \
	X(sat_s32u, "cvt.sat.s32.u64 %d, %a;", s32, u64, u64, u64, clamp_int(a, 0, INT32_MAX))     \
	X(sat_u64, "cvt.sat.u64.s64 %d, %a;", u64, s64, s64, s64, a < 0 ? 0 : a)                   \
	X(f32_s32, "cvt.rn.f32.s32 %d, %a;", f32, s32, s32, s32, (f32)a)                           \
	X(f32_u64, "cvt.rn.f32.u64 %d, %a;", f32, u64, u64, u64, (f32)a)                           \
	X(f32_s64z, "cvt.rz.f32.s64 %d, %a;", f32, s64, s64, s64, truncated(a))                    \
	X(f64_u32, "cvt.rn.f64.u32 %d, %a;", f64, u32, u32, u32, a)                                \
	X(f64_s64, "cvt.rn.f64.s64 %d, %a;", f64, s64, s64, s64, (f64)a)                           \
	X(f32_s16, "cvt.rn.f32.s16 %d, %a;", f32, s16, s16, s16, a)                                \
	X(s32_f32, "cvt.rzi.s32.f32 %d, %a;", s32, f32, f32, f32, to_int(a, 32, true, 0))          \
	X(s32_f32n, "cvt.rni.s32.f32 %d, %a;", s32, f32, f32, f32,                                 \
	  to_int(nearbyint((f64)a), 32, true, 0))                                                  \
	X(s32_f32m, "cvt.rmi.s32.f32 %d, %a;", s32, f32, f32, f32,                                 \
	  to_int(floor((f64)a), 32, true, 0))                                                      \
	X(s32_f32p, "cvt.rpi.s32.f32 %d, %a;", s32, f32, f32, f32,                                 \
	  to_int(ceil((f64)a), 32, true, 0))                                                       \
	X(u32_f32, "cvt.rzi.u32.f32 %d, %a;", u32, f32, f32, f32, to_int(a, 32, false, 0))         \
	X(u8_f32, "cvt.rzi.u8.f32 %d, %a;", u16, f32, f32, f32, to_int(a, 8, false, 0))            \
	X(s64_f32, "cvt.rzi.s64.f32 %d, %a;", s64, f32, f32, f32, to_int(a, 64, true, INT64_MIN))  \
	X(u64_f64, "cvt.rzi.u64.f64 %d, %a;", u64, f64, f64, f64, to_int(a, 64, false, INT64_MIN)) \
	X(s32_f64, "cvt.rni.s32.f64 %d, %a;", s32, f64, f64, f64,                                  \
	  to_int(nearbyint(a), 32, true, INT32_MIN))                                               \
	X(f64_f32, "cvt.f64.f32 %d, %a;", f64, f32, f32, f32, a)                                   \
	X(f32_f64, "cvt.rn.f32.f64 %d, %a;", f32, f64, f64, f64, (f32)a)                           \
	X(f32_f64z, "cvt.rz.f32.f64 %d, %a;", f32, f64, f64, f64,                                  \
	  rounded(FE_TOWARDZERO, 'c', a, 0, 0, true))                                              \
	X(f32_f64p, "cvt.rp.f32.f64 %d, %a;", f32, f64, f64, f64,                                  \
	  rounded(FE_UPWARD, 'c', a, 0, 0, true))                                                  \
	X(round_f32, "cvt.rni.f32.f32 %d, %a;", f32, f32, f32, f32, nearbyintf(a))                 \
	X(floor_f64, "cvt.rmi.f64.f64 %d, %a;", f64, f64, f64, f64, floor(a))                      \
	X(sat_f32f, "cvt.sat.f32.f32 %d, %a;", f32, f32, f32, f32, a > 0 ? fminf(a, 1) : 0.0f)     \
	X(ftz_f32f, "cvt.ftz.f64.f32 %d, %a;", f64, f32, f32, f32, flush(a))

#define DEFINE(id, text, D, A, B, C, ex)                                                           \
	static u64 ref_of_##id(u64 xa, u64 xb, u64 xc)                                             \
	{                                                                                          \
		A a;                                                                               \
		B b;                                                                               \
		C c;                                                                               \
		u64 out = 0;                                                                       \
		memcpy(&a, &xa, sizeof(a));                                                        \
		memcpy(&b, &xb, sizeof(b));                                                        \
		memcpy(&c, &xc, sizeof(c));                                                        \
		D d = (D)(ex);                                                                     \
		memcpy(&out, &d, sizeof(d));                                                       \
		return out;                                                                        \
	}
#define ENTRY(id, text, D, A, B, C, ex, k)                                                         \
	{#id, text, sizeof(D), sizeof(A), sizeof(B), sizeof(C), k, ref_of_##id, NULL, {0}},
#define ENTRY_U(...) ENTRY(__VA_ARGS__, 'u')
#define ENTRY_F(...) ENTRY(__VA_ARGS__, 'f')
#define ENTRY_A(...) ENTRY(__VA_ARGS__, '~')
/* the result's C type says whether NaNs compare equal */
#define ENTRY_T(id, text, D, A, B, C, ex)                                                          \
	ENTRY(id, text, D, A, B, C, ex, _Generic((D)0, f32 : 'f', f64 : 'f', default : 'u'))
INTEGER(DEFINE)
COMPARE(DEFINE)
PARTS(DEFINE)
FLOAT(DEFINE)
APPROXIMATE(DEFINE)
CONVERT(DEFINE)

static const struct op integer_ops[] = {INTEGER(ENTRY_U)};
static const struct op compare_ops[] = {COMPARE(ENTRY_U)};
static const struct op parts_ops[] = {PARTS(ENTRY_U)};
static const struct op float_ops[] = {FLOAT(ENTRY_F)};
static const struct op approximate_ops[] = {APPROXIMATE(ENTRY_A)};
static const struct op convert_ops[] = {CONVERT(ENTRY_T)};

static void check_all(const struct op *ops, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		check_op(&ops[i], false);
		check_op(&ops[i], true);
	}
}
#define CHECK(ops) check_all(ops, sizeof(ops) / sizeof(ops[0]))

TEST(integer)
{
	CHECK(integer_ops);
}
TEST_END
TEST(compare)
{
	CHECK(compare_ops);
}
TEST_END
TEST(parts)
{
	CHECK(parts_ops);
}
TEST_END
TEST(floating)
{
	CHECK(float_ops);
}
TEST_END
TEST(approximate)
{
	CHECK(approximate_ops);
}
TEST_END
TEST(convert)
{
	CHECK(convert_ops);
}
TEST_END

TESTS("ptx_ops", integer, compare, parts, floating, approximate, convert)
