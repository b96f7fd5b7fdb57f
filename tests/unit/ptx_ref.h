// SPDX-License-Identifier: Apache-2.0
/*
 * ptx_ref.h: references that are told type and rounding at run time: integers of 128 bits, and for
 * half precision a search among all its numbers.
 */
#ifndef REIN_TESTS_PTX_REF_H
#define REIN_TESTS_PTX_REF_H

#include <fenv.h>
#include <stdarg.h>

#include "tests/unit/ptx_op.h"

#if defined(__aarch64__)
typedef long double f128;
#else
typedef __float128 f128;
#endif

/* ---- the frame: text from a format, the reference with its arguments */
static int op_turn;

static inline void check(struct op op, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static inline void check(struct op op, const char *fmt, ...)
{
	char text[400];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	op.name = op.text = text;
	check_op(&op, op_turn++ & 1); /* full and half warps by turns */
}

/* ---- integers */
struct type {
	const char *name;
	int bits;
	bool sign;
};
static const struct type ints[] __attribute__((unused)) = {
    {"u16", 16, false}, {"s16", 16, true}, {"u32", 32, false}, {"s32", 32, true},
    {"u64", 64, false}, {"s64", 64, true}, {"u8", 8, false},   {"s8", 8, true}};
#define N_WIDE 6 /* types that arithmetic has */

static inline s128 extend(u64 v, int bits, bool sign)
{
	if (bits < 64)
		v &= (1ull << bits) - 1;
	return sign && v >> (bits - 1) ? (s128)v - ((s128)1 << bits) : (s128)v;
}

/* ---- half precision */
struct small {
	const char *name;
	int mant, emin;
	char kind;
};
static const struct small halves[]
    __attribute__((unused)) = {{"f16", 10, -14, 'h'}, {"bf16", 7, -126, 'B'}};

static inline f64 small_value(const struct small *s, u32 h)
{
	u32 exp_mask = 0x7fff >> s->mant, exp = h >> s->mant & exp_mask,
	    man = h & ((1u << s->mant) - 1);
	f64 v = exp == exp_mask ? (man ? NAN : INFINITY)
	        : exp ? ldexp((f64)(man | 1u << s->mant), (int)exp - 1 + s->emin - s->mant)
	              : ldexp((f64)man, s->emin - s->mant);
	return h & 0x8000 ? -v : v;
}

/* v, and what is left over (only its sign counts), to the type in a rounding mode (0 … 3: to
 * nearest, to zero, down, up): the largest number that is not above is searched, then it or the
 * next. */
static inline u16 small_round(const struct small *s, f128 v, f128 rest, int mode)
{
	u32 inf = 0x7fffu >> s->mant << s->mant, lo = 0, hi = inf;
	bool neg = v < 0 || (v == 0 && (rest < 0 || (rest == 0 && signbit((f64)v))));
	if (v != v)
		return 0x7fff;
	if (neg) {
		v = -v;
		rest = -rest;
	}
	u16 sign = neg ? 0x8000 : 0;
	if (v - v != 0)
		return (u16)(sign | inf);
	f128 top = 2 * (f128)small_value(s, inf - (1u << s->mant)); /* what follows the largest */
	if (v > top || (v == top && rest >= 0)) {
		v = top;
		rest = 0;
		lo = inf - 1;
		hi = inf;
		bool max = mode == 1 || (mode == 2 && !neg) || (mode == 3 && neg);
		return (u16)(sign | (max ? lo : hi));
	}
	while (hi - lo > 1) {
		u32 mid = (lo + hi) / 2;
		f128 x = (f128)small_value(s, mid);
		if (x < v || (x == v && rest >= 0))
			lo = mid;
		else
			hi = mid;
	}
	f128 low = (f128)small_value(s, lo), high = hi == inf ? top : (f128)small_value(s, hi);
	if (v == low && rest == 0)
		return (u16)(sign | lo);
	f128 over = v - (low + high) / 2;
	bool up = mode == 0   ? over > 0 || (over == 0 && (rest > 0 || (rest == 0 && (lo & 1))))
	          : mode == 2 ? neg
	                      : mode == 3 && !neg;
	return (u16)(sign | (up ? hi : lo));
}

/* ---- single precision, rounding modes */
static const int modes[]
    __attribute__((unused)) = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
static const char *const mode_names[] __attribute__((unused)) = {"rn", "rz", "rm", "rp"};
static inline f32 flush(f32 x)
{
	return fpclassify(x) == FP_SUBNORMAL ? copysignf(0, x) : x;
}

#endif
