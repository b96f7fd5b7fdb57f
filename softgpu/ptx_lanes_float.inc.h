// SPDX-License-Identifier: Apache-2.0
/*
 * ptx_lanes_float.inc.h: floating-point operations on 32 lanes, round to nearest unless the
 * caller has set another mode. f32 results that are NaN are the canonical 0x7fffffff, as on GPUs.
 * Approximate operations are computed to full precision: PTX bounds their error from above only.
 */

/* clang-format finds no stable layout for lists of macros */
/* clang-format off */

static inline f32 canon32(f32 x)
{
	return x == x ? x : __builtin_nanf("0x3fffff");
}
static inline u32 bits32(f32 x)
{
	u32 b;
	__builtin_memcpy(&b, &x, 4);
	return b;
}
static inline f32 float32(u32 b)
{
	f32 x;
	__builtin_memcpy(&x, &b, 4);
	return x;
}
static inline u64 bits64(f64 x)
{
	u64 b;
	__builtin_memcpy(&b, &x, 8);
	return b;
}
static inline f64 float64(u64 b)
{
	f64 x;
	__builtin_memcpy(&x, &b, 8);
	return x;
}
/* A NaN gives way to a number; -0 < +0. */
static inline f32 lesser32(f32 a, f32 b)
{
	f32 r = a < b ? a : b;
	r = a == b ? float32(bits32(a) | bits32(b)) : r;
	r = a != a ? b : r;
	return canon32(b != b ? a : r);
}
static inline f32 greater32(f32 a, f32 b)
{
	f32 r = a > b ? a : b;
	r = a == b ? float32(bits32(a) & bits32(b)) : r;
	r = a != a ? b : r;
	return canon32(b != b ? a : r);
}
static inline f64 lesser64(f64 a, f64 b)
{
	f64 r = a < b ? a : b;
	r = a == b ? float64(bits64(a) | bits64(b)) : r;
	r = a != a ? b : r;
	return b != b ? a : r;
}
static inline f64 greater64(f64 a, f64 b)
{
	f64 r = a > b ? a : b;
	r = a == b ? float64(bits64(a) & bits64(b)) : r;
	r = a != a ? b : r;
	return b != b ? a : r;
}
/*
 * Powers and logarithms of floats, computed in doubles without a branch, so that the loop over the
 * lanes is vectorised. The error before the last rounding is below 1e-12 of the result: almost
 * always the float nearest to it, with one rounding of a · b + c or two.
 */
#if defined(__FMA__)
#define MADD(a, b, c) __builtin_fma(a, b, c)
#else
#define MADD(a, b, c) ((a) * (b) + (c))
#endif
static const f64 exp2_terms[] = {
	0.69314718055994529, 0.24022650695910072, 0.055504108664821583, 0.0096181291076284769,
	0.0013333558146428443, 0.00015403530393381609, 1.5252733804059841e-05,
	1.321548679014431e-06, 1.01780860092397e-07, 7.0549116208011234e-09,
}; /* of the series of 2^f: ln(2)^k / k!, from k = 1 on */
static inline f32 exp2_of(f32 a)
{
	const f64 whole = 0x1.8p52; /* adding it rounds to an integer, which is in the low bits */
	f64 x = a < -160.0f ? -160.0 : a > 160.0f ? 160.0 : (f64)a, p = exp2_terms[9];
	f64 t = x + whole, f = x - (t - whole);
#pragma GCC unroll 9
	for (int k = 8; k >= 0; k--)
		p = MADD(f, p, exp2_terms[k]);
	p = MADD(f, p, 1.0);
	return canon32((f32)(p * float64((bits64(t) + 1023) << 52)));
}
static const f64 log2_terms[] = {
	2.8853900817779268, 0.96179669392597555, 0.57707801635558531, 0.41219858311113239,
	0.3205988979753252, 0.26230818925253879, 0.22195308321368667, 0.19235933878519512,
	0.16972882833987804,
}; /* of log2(m) = sum of 2 / ln(2) / (2k + 1) · s^(2k + 1), s = (m - 1) / (m + 1) */
static inline f32 log2_of(f32 a)
{
	const u64 root = 0x3fe6a09e667f3bcdull, bias = 1024ull << 52; /* of the square root of 1/2 */
	const f64 whole = 0x1p52;
	/* a = m · 2^e, m from that root to the root of 2 */
	u64 b = bits64((f64)a), k = b - root + bias;
	f64 e = float64(bits64(whole) | k >> 52) - (whole + 1024.0);
	f64 m = float64(b - ((k & 0xfffull << 52) - bias));
	f64 s = (m - 1.0) / (m + 1.0), z = s * s, p = log2_terms[8];
#pragma GCC unroll 8
	for (int i = 7; i >= 0; i--)
		p = MADD(z, p, log2_terms[i]);
	f32 r = (f32)MADD(s, p, e);
	r = a <= FLT_MAX ? r : a; /* infinite, or no number */
	return canon32(a > 0.0f || a != a ? r : a == 0.0f ? -__builtin_inff() : __builtin_nanf(""));
}
/* x + y to odd: rounding the result again, to fewer bits, then equals rounding once */
static inline f64 add_odd(f64 x, f64 y)
{
	f64 s = x + y;
	f64 bb = s - x, err = (x - (s - bb)) + (y - bb);
	u64 b = bits64(s);
	if (err == err && err != 0 && !(b & 1))
		b += ((err > 0) == (s > 0)) ? 1 : (u64)-1;
	return float64(b);
}
#define H(x) ptx_f16_to(x)
#define TO_H(x) ptx_f16_from(x, 0)
#define BF(x) ptx_bf16_to(x)
#define TO_BF(x) ptx_bf16_from(x, 0)

/* X(id, key, T, U, ex) as for integers; T is f32 or f64 */
#define F32_OPS(X)                                                                                 \
	X(add, "add", f32, f32, canon32(A + B))                                                    \
	X(sub, "sub", f32, f32, canon32(A - B))                                                    \
	X(mul, "mul", f32, f32, canon32(A *B))                                                     \
	X(fma, "fma", f32, f32, canon32(__builtin_fmaf(A, B, C)))                                  \
	X(div, "div", f32, f32, canon32(A / B))                                                    \
	X(min, "min", f32, f32, lesser32(A, B))                                                    \
	X(max, "max", f32, f32, greater32(A, B))                                                   \
	X(min_nan, "min.NaN", f32, f32, A != A || B != B ? canon32(A + B) : lesser32(A, B))        \
	X(max_nan, "max.NaN", f32, f32, A != A || B != B ? canon32(A + B) : greater32(A, B))       \
	X(neg, "neg", f32, u32, A ^ 0x80000000u)                                                   \
	X(abs, "abs", f32, u32, A & 0x7fffffffu)                                                   \
	X(copysign, "copysign", f32, u32, (A & 0x80000000u) | (B & 0x7fffffffu))                   \
	X(sqrt, "sqrt", f32, f32, canon32(__builtin_sqrtf(A)))                                     \
	X(rsqrt, "rsqrt", f32, f32, canon32(1.0f / __builtin_sqrtf(A)))                            \
	X(rcp, "rcp", f32, f32, canon32(1.0f / A))                                                 \
	X(sin, "sin", f32, f32, canon32(sinf(A)))                                                  \
	X(cos, "cos", f32, f32, canon32(cosf(A)))                                                  \
	X(ex2, "ex2", f32, f32, exp2_of(A))                                                 \
	X(lg2, "lg2", f32, f32, log2_of(A))                                                 \
	X(tanh, "tanh", f32, f32, canon32(tanhf(A)))                                               \
	X(sat, "sat", f32, f32, A > 0.0f ? (A < 1.0f ? A : 1.0f) : 0.0f)                           \
	X(ftz, "ftz", f32, u32, A & 0x7f800000u ? A : A & 0x80000000u)
#define F64_OPS(X)                                                                                 \
	X(add, "add", f64, f64, A + B)                                                             \
	X(sub, "sub", f64, f64, A - B)                                                             \
	X(mul, "mul", f64, f64, A *B)                                                              \
	X(fma, "fma", f64, f64, __builtin_fma(A, B, C))                                            \
	X(div, "div", f64, f64, A / B)                                                             \
	X(min, "min", f64, f64, lesser64(A, B))                                                    \
	X(max, "max", f64, f64, greater64(A, B))                                                   \
	X(neg, "neg", f64, u64, A ^ (1ull << 63))                                                  \
	X(abs, "abs", f64, u64, A & ~(1ull << 63))                                                 \
	X(copysign, "copysign", f64, u64, (A & (1ull << 63)) | (B & ~(1ull << 63)))                \
	X(sqrt, "sqrt", f64, f64, __builtin_sqrt(A))                                               \
	X(rsqrt, "rsqrt", f64, f64, 1.0 / __builtin_sqrt(A))                                       \
	X(rcp, "rcp", f64, f64, 1.0 / A)                                                           \
	X(sat, "sat", f64, f64, A > 0.0 ? (A < 1.0 ? A : 1.0) : 0.0)
#define HALF_OPS(X, T, IN, OUT)                                                                    \
	X(add, "add", T, u16, OUT(add_odd(IN(A), IN(B))))                                          \
	X(sub, "sub", T, u16, OUT(add_odd(IN(A), -IN(B))))                                         \
	X(mul, "mul", T, u16, OUT(IN(A) * IN(B)))                                                  \
	X(fma, "fma", T, u16, OUT(add_odd(IN(A) * IN(B), IN(C))))                                  \
	X(min, "min", T, u16, OUT(lesser64(IN(A), IN(B))))                                         \
	X(max, "max", T, u16, OUT(greater64(IN(A), IN(B))))                                        \
	X(min_nan, "min.NaN", T, u16,                                                              \
	  OUT(IN(A) != IN(A) || IN(B) != IN(B) ? IN(A) + IN(B) : lesser64(IN(A), IN(B))))          \
	X(max_nan, "max.NaN", T, u16,                                                              \
	  OUT(IN(A) != IN(A) || IN(B) != IN(B) ? IN(A) + IN(B) : greater64(IN(A), IN(B))))         \
	X(neg, "neg", T, u16, A ^ 0x8000)                                                          \
	X(abs, "abs", T, u16, A & 0x7fff)                                                          \
	X(ex2, "ex2", T, u16, OUT(exp2(IN(A))))                                                    \
	X(tanh, "tanh", T, u16, OUT(tanh(IN(A))))                                                  \
	X(sat, "sat", T, u16, OUT(IN(A) > 0 ? (IN(A) < 1 ? IN(A) : 1) : 0))                        \
	X(relu, "relu", T, u16, IN(A) != IN(A) ? 0x7fff : IN(A) > 0 ? A : 0)
#define F16_OPS(X)                                                                                 \
	HALF_OPS(X, f16, H, TO_H)                                                                  \
	X(ftz, "ftz", f16, u16, A & 0x7c00 ? A : A & 0x8000)                                       \
	X(finite, "finite", f16, u16, (A & 0x7fff) == 0x7c00 ? A - 1 : A)
#define BF16_OPS(X)                                                                                \
	HALF_OPS(X, bf16, BF, TO_BF)                                                               \
	X(ftz, "ftz", bf16, u16, A & 0x7f80 ? A : A & 0x8000)                                      \
	X(finite, "finite", bf16, u16, (A & 0x7fff) == 0x7f80 ? A - 1 : A)

F32_OPS(DEF_SAME)
F64_OPS(DEF_SAME)
F16_OPS(DEF_SAME)
BF16_OPS(DEF_SAME)

/* two halves a lane: the same loop over 64 */
#define DEF_X2(id, key, T, U, ex)                                                                  \
	static void id##_##T##x2(void *d, const void *a, const void *b, const void *c,             \
	                         const void *e)                                                    \
	{                                                                                          \
		for (int half = 0; half < 128; half += 64)                                         \
			id##_##T((char *)d + half, (const char *)a + half, (const char *)b + half, \
			         (const char *)c + half, e);                                       \
	}
#define ROW_X2(id, key, T, U, ex) {key "." #T "x2", id##_##T##x2},
F16_OPS(DEF_X2)
BF16_OPS(DEF_X2)

#define FLOAT_ROWS                                                                                 \
	F32_OPS(ROW) F64_OPS(ROW) F16_OPS(ROW) BF16_OPS(ROW) F16_OPS(ROW_X2) BF16_OPS(ROW_X2)
