// SPDX-License-Identifier: Apache-2.0
/*
 * ptx_lanes_cvt.inc.h: conversions. The common ones are single functions ("cvt.u64.u32"); any
 * other is a chain of stages over a 64-bit value a lane:
 *   fetch.T.S   integer register of S bytes, read as type T      → s64
 *   wide.T      floating-point register                          → f64 (exact)
 *   rint.M      f64 → f64, integral
 *   toint[.nan].T  f64 → T's range, as s64
 *   clamp.T / clampu.T   s64 / u64 → T's range, as s64
 *   make.F.T    s64 or u64 → float of type T
 *   narrow.T    f64 → float of type T; rounding by the mode set, or for halves by e[0]
 *   store.T.S   s64 → T, extended to a register of S bytes
 */

/* clang-format finds no stable layout for lists of macros */
/* clang-format off */

/* ---- direct ones; register and type are of one size */
#define CVT_TO(X, D)                                                                               \
	X(D, u16, u16) X(D, s16, s16) X(D, u32, u32) X(D, s32, s32) X(D, u64, u64) X(D, s64, s64)
#define CVT_INTS(X)                                                                                \
	CVT_TO(X, u16) CVT_TO(X, s16) CVT_TO(X, u32) CVT_TO(X, s32) CVT_TO(X, u64) CVT_TO(X, s64)
#define DEF_CVT(D, T, U) FN(cvt_##D##_##T, D, U, u8, u8, A)
#define ROW_CVT(D, T, U) {"cvt." #D "." #T, cvt_##D##_##T},
CVT_INTS(DEF_CVT)
CVT_TO(DEF_CVT, f32)
CVT_TO(DEF_CVT, f64)
FN(cvt_f64_f32, f64, f32, u8, u8, A)
FN(cvt_f32_f64, f32, f64, u8, u8, canon32((f32)A))
/* 2^31 as a float is just outside; a NaN gives 0 */
static inline s32 s32_of_f32(f32 a)
{
	f32 in = a >= -2147483648.0f && a < 2147483648.0f ? a : 0.0f;
	s32 r = (s32)in;
	r = a >= 2147483648.0f ? INT32_MAX : r;
	return a < -2147483648.0f ? INT32_MIN : r;
}
FN(cvt_rzi_s32_f32, s32, f32, u8, u8, s32_of_f32(A))

/* ---- stages */
#define FETCH_S(X, S, R) X(u8, S, R) X(s8, S, R) X(u16, S, R) X(s16, S, R)
#define FETCH_ALL(X)                                                                               \
	FETCH_S(X, 2, u16)                                                                         \
	FETCH_S(X, 4, u32)                                                                         \
	X(u32, 4, u32)                                                                             \
	X(s32, 4, u32)                                                                             \
	FETCH_S(X, 8, u64) X(u32, 8, u64) X(s32, 8, u64) X(u64, 8, u64) X(s64, 8, u64)
#define DEF_FETCH(T, S, R) FN(fetch_##T##_##S, s64, R, u8, u8, (T)A)
#define ROW_FETCH(T, S, R) {"fetch." #T "." #S, fetch_##T##_##S},
FETCH_ALL(DEF_FETCH)
#define DEF_STORE(T, S, R) FN(store_##T##_##S, R, s64, u8, u8, (T)A)
#define ROW_STORE(T, S, R) {"store." #T "." #S, store_##T##_##S},
FETCH_ALL(DEF_STORE)

FN(wide_f16, f64, u16, u8, u8, H(A))
FN(wide_bf16, f64, u16, u8, u8, BF(A))
FN(wide_f32, f64, f32, u8, u8, A)
FN(wide_f64, u64, u64, u8, u8, A)
FN(rint_rni, f64, f64, u8, u8, nearbyint(A))
FN(rint_rzi, f64, f64, u8, u8, trunc(A))
FN(rint_rmi, f64, f64, u8, u8, floor(A))
FN(rint_rpi, f64, f64, u8, u8, ceil(A))

/* [lo, hi] clamped; top: the first double above hi */
#define TOINT(T, lo, hi, top)                                                                      \
	static inline s64 toint_of_##T(f64 v, s64 nan)                                             \
	{                                                                                          \
		if (v != v)                                                                        \
			return nan;                                                                \
		if (v >= (top))                                                                    \
			return (s64)(hi);                                                          \
		return v <= (f64)(lo) ? (s64)(lo) : (s64)(T)v;                                     \
	}
TOINT(u8, 0, UINT8_MAX, 256.0)
TOINT(s8, INT8_MIN, INT8_MAX, 128.0)
TOINT(u16, 0, UINT16_MAX, 65536.0)
TOINT(s16, INT16_MIN, INT16_MAX, 32768.0)
TOINT(u32, 0, UINT32_MAX, 4294967296.0)
TOINT(s32, INT32_MIN, INT32_MAX, 2147483648.0)
TOINT(u64, 0, UINT64_MAX, 18446744073709551616.0)
TOINT(s64, INT64_MIN, INT64_MAX, 9223372036854775808.0)
/* NaN: 0, but the top bit if a 64-bit type takes part */
#define EACH_INT(X)                                                                                \
	X(u8, 8) X(s8, 8) X(u16, 16) X(s16, 16) X(u32, 32) X(s32, 32) X(u64, 64) X(s64, 64)
#define DEF_TOINT(T, bits)                                                                         \
	FN(toint_##T, s64, f64, u8, u8, toint_of_##T(A, 0))                                        \
	FN(toint_nan_##T, s64, f64, u8, u8, toint_of_##T(A, (s64)(1ull << (bits - 1))))
#define ROW_TOINT(T, bits) {"toint." #T, toint_##T}, {"toint.nan." #T, toint_nan_##T},
EACH_INT(DEF_TOINT)

#define CLAMP(T, lo, hi)                                                                           \
	FN(clamp_##T, s64, s64, u8, u8, A<(s64)(lo) ? (s64)(lo) : A>(s64)(hi) ? (s64)(hi) : A)     \
	FN(clampu_##T, u64, u64, u8, u8, A > (u64)(hi) ? (u64)(hi) : A)
CLAMP(u8, 0, UINT8_MAX)
CLAMP(s8, INT8_MIN, INT8_MAX)
CLAMP(u16, 0, UINT16_MAX)
CLAMP(s16, INT16_MIN, INT16_MAX)
CLAMP(u32, 0, UINT32_MAX)
CLAMP(s32, INT32_MIN, INT32_MAX)
FN(clamp_u64, s64, s64, u8, u8, A < 0 ? 0 : A)
FN(clampu_u64, u64, u64, u8, u8, A)
FN(clamp_s64, s64, s64, u8, u8, A)
FN(clampu_s64, u64, u64, u8, u8, A > (u64)INT64_MAX ? (u64)INT64_MAX : A)
#define ROW_CLAMP(T, bits) {"clamp." #T, clamp_##T}, {"clampu." #T, clampu_##T},

FN(make_f32_s, f32, s64, u8, u8, A)
FN(make_f32_u, f32, u64, u8, u8, A)
FN(make_f64_s, f64, s64, u8, u8, A)
FN(make_f64_u, f64, u64, u8, u8, A)
FN(make_f16_s, u16, s64, u8, u8, ptx_f16_from((f64)A, *(const int *)e))
FN(make_f16_u, u16, u64, u8, u8, ptx_f16_from((f64)A, *(const int *)e))
FN(make_bf16_s, u16, s64, u8, u8, ptx_bf16_from((f64)A, *(const int *)e))
FN(make_bf16_u, u16, u64, u8, u8, ptx_bf16_from((f64)A, *(const int *)e))
FN(narrow_f32, f32, f64, u8, u8, canon32((f32)A))
FN(narrow_f64, u64, u64, u8, u8, A)
FN(narrow_f16, u16, f64, u8, u8, ptx_f16_from(A, *(const int *)e))
FN(narrow_bf16, u16, f64, u8, u8, ptx_bf16_from(A, *(const int *)e))
/* cvt.f16x2.f32 d, a, b: a goes to the upper half; both as f32 */
FN(narrow_f16x2, u32, f32, f32, u8,
   (u32)ptx_f16_from((f64)A, *(const int *)e) << 16 | ptx_f16_from((f64)B, *(const int *)e))
FN(narrow_bf16x2, u32, f32, f32, u8,
   (u32)ptx_bf16_from((f64)A, *(const int *)e) << 16 | ptx_bf16_from((f64)B, *(const int *)e))

/* cvt.tf32.f32: the 13 lowest bits go; ties away from zero, to even, or cut off */
#define TF32(id, ex)                                                                               \
	FN(id, u32, u32, u8, u8, (A & 0x7fffffff) > 0x7f800000 ? 0x7fffffff : (ex) & ~0x1fffu)
TF32(tf32_rna, A + 0x1000)
TF32(tf32_rn, A + 0xfff + ((A >> 13) & 1))
TF32(tf32_rz, A)
FN(relu_f32, f32, f32, u8, u8, A != A ? canon32(A) : A > 0 ? A : 0)
/* two floats of eight bits each */
static inline u16 two_e4m3(f64 hi, f64 lo)
{
	return (u16)((u32)ptx_e4m3_from(hi) << 8 | ptx_e4m3_from(lo));
}
static inline u16 two_e5m2(f64 hi, f64 lo)
{
	return (u16)((u32)ptx_e5m2_from(hi) << 8 | ptx_e5m2_from(lo));
}
static inline u8 relu_e(u8 x)
{
	return (x & 0x7f) == 0x7f || !(x & 0x80) ? x & 0x7f : 0;
}
FN(pair_e4m3x2_f32, u16, f32, f32, u8, two_e4m3((f64)A, (f64)B))
FN(pair_e5m2x2_f32, u16, f32, f32, u8, two_e5m2((f64)A, (f64)B))
FN(pair_e4m3x2_f16x2, u16, u32, u8, u8, two_e4m3(H((u16)(A >> 16)), H((u16)A)))
FN(pair_e5m2x2_f16x2, u16, u32, u8, u8, two_e5m2(H((u16)(A >> 16)), H((u16)A)))
FN(pair_e4m3x2, u32, u16, u8, u8,
   (u32)TO_H(ptx_e4m3_to((u8)(A >> 8))) << 16 | TO_H(ptx_e4m3_to((u8)A)))
FN(pair_e5m2x2, u32, u16, u8, u8,
   (u32)TO_H(ptx_e5m2_to((u8)(A >> 8))) << 16 | TO_H(ptx_e5m2_to((u8)A)))
FN(relu_e4m3x2, u16, u16, u8, u8, relu_e((u8)(A >> 8)) << 8 | relu_e((u8)A))

#define CVT_ROWS                                                                                   \
	CVT_INTS(ROW_CVT)                                                                          \
	CVT_TO(ROW_CVT, f32)                                                                       \
	CVT_TO(ROW_CVT, f64){"cvt.f64.f32", cvt_f64_f32}, {"cvt.f32.f64", cvt_f32_f64},            \
	    {"cvt.rzi.s32.f32", cvt_rzi_s32_f32},                                                  \
	    FETCH_ALL(ROW_FETCH) FETCH_ALL(ROW_STORE){"wide.f16", wide_f16},                       \
	    {"wide.bf16", wide_bf16}, {"wide.f32", wide_f32}, {"wide.f64", wide_f64},              \
	    {"rint.rni", rint_rni}, {"rint.rzi", rint_rzi}, {"rint.rmi", rint_rmi},                \
	    {"rint.rpi", rint_rpi},                                                                \
	    EACH_INT(ROW_TOINT) EACH_INT(ROW_CLAMP){"make.s.f32", make_f32_s},                     \
	    {"make.u.f32", make_f32_u}, {"make.s.f64", make_f64_s}, {"make.u.f64", make_f64_u},    \
	    {"make.s.f16", make_f16_s}, {"make.u.f16", make_f16_u}, {"make.s.bf16", make_bf16_s},  \
	    {"make.u.bf16", make_bf16_u}, {"narrow.f32", narrow_f32}, {"narrow.f64", narrow_f64},  \
	    {"narrow.f16", narrow_f16}, {"narrow.bf16", narrow_bf16},                              \
	    {"tf32.rna", tf32_rna}, {"tf32.rn", tf32_rn}, {"tf32.rz", tf32_rz},                    \
	    {"relu.f32", relu_f32}, {"pair.e4m3x2.f32", pair_e4m3x2_f32},                          \
	    {"pair.e5m2x2.f32", pair_e5m2x2_f32}, {"pair.e4m3x2.f16x2", pair_e4m3x2_f16x2},        \
	    {"pair.e5m2x2.f16x2", pair_e5m2x2_f16x2}, {"pair.e4m3x2", pair_e4m3x2},                \
	    {"pair.e5m2x2", pair_e5m2x2}, {"relu.e4m3x2", relu_e4m3x2},                            \
	    {"relu.e5m2x2", relu_e4m3x2},                                                          \
	    {"narrow.f16x2", narrow_f16x2}, {"narrow.bf16x2", narrow_bf16x2},
