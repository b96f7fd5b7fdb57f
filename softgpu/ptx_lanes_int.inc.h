// SPDX-License-Identifier: Apache-2.0
/* ptx_lanes_int.inc.h: integer and bit operations on 32 lanes. */

/* clang-format finds no stable layout for lists of macros */
/* clang-format off */

/* ---- scalar helpers, by type name */
static inline u16 mulhi_u16(u16 a, u16 b)
{
	return (u16)(((u32)a * b) >> 16);
}
static inline s16 mulhi_s16(s16 a, s16 b)
{
	return (s16)(((s32)a * b) >> 16);
}
static inline u32 mulhi_u32(u32 a, u32 b)
{
	return (u32)(((u64)a * b) >> 32);
}
static inline s32 mulhi_s32(s32 a, s32 b)
{
	return (s32)(((s64)a * b) >> 32);
}
static inline u64 mulhi_u64(u64 a, u64 b)
{
	return (u64)(((unsigned __int128)a * b) >> 64);
}
static inline s64 mulhi_s64(s64 a, s64 b)
{
	return (s64)(((__int128)a * b) >> 64);
}
/* Division by zero is unspecified in PTX; GPUs give all ones, and the dividend as remainder. */
#define UNSIGNED_DIV(T)                                                                            \
	static inline T div_of_##T(T a, T b)                                                       \
	{                                                                                          \
		return b ? (T)(a / b) : (T) ~(T)0;                                                 \
	}                                                                                          \
	static inline T rem_of_##T(T a, T b)                                                       \
	{                                                                                          \
		return b ? (T)(a % b) : a;                                                         \
	}
#define SIGNED_DIV(T, U)                                                                           \
	static inline T div_of_##T(T a, T b)                                                       \
	{                                                                                          \
		if (b == 0)                                                                        \
			return (T)-1;                                                              \
		return b == -1 ? (T)(U)(0 - (U)a) : (T)(a / b);                                    \
	}                                                                                          \
	static inline T rem_of_##T(T a, T b)                                                       \
	{                                                                                          \
		if (b == 0)                                                                        \
			return a;                                                                  \
		return b == -1 ? 0 : (T)(a % b);                                                   \
	}
UNSIGNED_DIV(u16)
UNSIGNED_DIV(u32)
UNSIGNED_DIV(u64)
SIGNED_DIV(s16, u16)
SIGNED_DIV(s32, u32)
SIGNED_DIV(s64, u64)

static inline u32 brev_32(u32 x)
{
	x = ((x >> 1) & 0x55555555u) | ((x & 0x55555555u) << 1);
	x = ((x >> 2) & 0x33333333u) | ((x & 0x33333333u) << 2);
	x = ((x >> 4) & 0x0f0f0f0fu) | ((x & 0x0f0f0f0fu) << 4);
	return __builtin_bswap32(x);
}
static inline u64 brev_64(u64 x)
{
	return ((u64)brev_32((u32)x) << 32) | brev_32((u32)(x >> 32));
}
/* position of the highest bit that differs from the sign, or -1 */
static inline u32 bfind_u64(u64 x)
{
	return x ? 63u - (u32)__builtin_clzll(x) : 0xffffffffu;
}
static inline u32 bfind_s32(u32 x)
{
	return bfind_u64((x >> 31) ? (u32)~x : x);
}
static inline u32 bfind_s64(u64 x)
{
	return bfind_u64((x >> 63) ? ~x : x);
}
/* bits [pos, pos+len) of a `width`-bit value; beyond the top: zeros or the sign */
static inline u64 bfe_bits(u64 x, u32 pos, u32 len, u32 width, int is_signed)
{
	pos &= 0xff;
	len &= 0xff;
	if (!len)
		return 0;
	u32 top = pos + len - 1 < width - 1 ? pos + len - 1 : width - 1;
	u64 sign = is_signed ? (x >> top) & 1 : 0;
	u64 field = pos < width ? x >> pos : 0;
	u32 have = pos < width ? (len < width - pos ? len : width - pos) : 0;
	if (have >= 64)
		return field;
	u64 low = ((u64)1 << have) - 1;
	return (field & low) | (sign ? ~low : 0);
}
static inline u64 bfi_bits(u64 a, u64 b, u32 pos, u32 len, u32 width)
{
	pos &= 0xff;
	len &= 0xff;
	if (pos >= width || !len)
		return b;
	if (len > width - pos)
		len = width - pos;
	u64 m = (len >= 64 ? ~(u64)0 : ((u64)1 << len) - 1) << pos;
	return (b & ~m) | ((a << pos) & m);
}
static inline u32 shf_l(u32 lo, u32 hi, u32 n)
{
	return n == 0 ? hi : n >= 32 ? lo : (hi << n) | (lo >> (32 - n));
}
static inline u32 shf_r(u32 lo, u32 hi, u32 n)
{
	return n == 0 ? lo : n >= 32 ? hi : (hi << (32 - n)) | (lo >> n);
}
static inline u32 prmt_pick(u64 bytes, u32 sel)
{
	u32 byte = (u32)(bytes >> (8 * (sel & 7))) & 0xff;
	return sel & 8 ? (byte & 0x80 ? 0xff : 0) : byte;
}
static inline u32 prmt_of(u32 a, u32 b, u32 s0, u32 s1, u32 s2, u32 s3)
{
	u64 x = ((u64)b << 32) | a;
	return prmt_pick(x, s0) | prmt_pick(x, s1) << 8 | prmt_pick(x, s2) << 16 |
	       prmt_pick(x, s3) << 24;
}
static inline u32 max_of(u32 a, u32 b)
{
	return a > b ? a : b;
}
static inline u32 min_of(u32 a, u32 b)
{
	return a < b ? a : b;
}
static inline u32 dp4a_of(u32 a, u32 b, u32 c, int a_signed, int b_signed)
{
	for (int k = 0; k < 32; k += 8) {
		s32 x = a_signed ? (s8)(a >> k) : (u8)(a >> k);
		s32 y = b_signed ? (s8)(b >> k) : (u8)(b >> k);
		c += (u32)(x * y);
	}
	return c;
}
static inline u32 dp2a_of(u32 a, u32 b, u32 c, int hi, int a_signed, int b_signed)
{
	for (int k = 0; k < 2; k++) {
		u32 byte = b >> (8 * (k + 2 * hi));
		s32 x = a_signed ? (s16)(a >> (16 * k)) : (u16)(a >> (16 * k));
		s32 y = b_signed ? (s8)byte : (u8)byte;
		c += (u32)(x * y);
	}
	return c;
}
static inline s32 sat_s32(s64 v)
{
	return v > INT32_MAX ? INT32_MAX : v < INT32_MIN ? INT32_MIN : (s32)v;
}
/* 24-bit operands: the low 24 bits, sign-extended when signed */
static inline s64 low24_s(u32 x)
{
	return (s32)(x << 8) >> 8;
}
static inline u64 low24_u(u32 x)
{
	return x & 0xffffff;
}
/* the n-th set bit from `base`, upwards (n > 0) or downwards (n < 0) */
static inline u32 fns_of(u32 mask, u32 base, s32 n)
{
	if (n == 0)
		return (mask >> (base & 31)) & 1 ? (base & 31) : 0xffffffffu;
	s32 step = n > 0 ? 1 : -1;
	s32 left = n > 0 ? n : n < -64 ? 64 : -n;
	for (s32 at = (s32)(base & 31); at >= 0 && at < 32; at += step)
		if ((mask >> at) & 1 && --left == 0)
			return (u32)at;
	return 0xffffffffu;
}

/* ---- operations whose operands all have the type of the name */
#define SAME_OPS(X)                                                                                \
	W6(X, add, "add", A + B)                                                                   \
	W6(X, sub, "sub", A - B)                                                                   \
	W6(X, mul_lo, "mul.lo", 1u * A * B)                                                        \
	W6(X, mad_lo, "mad.lo", 1u * A * B + C)                                                    \
	I6(X, min, "min", A < B ? A : B)                                                           \
	I6(X, max, "max", A > B ? A : B)                                                           \
	I6(X, sad, "sad", (u64)C + (A < B ? (u64)B - (u64)A : (u64)A - (u64)B))                    \
	S3(X, abs, "abs", A < 0 ? 0 - (u64)A : (u64)A)                                             \
	SW3(X, neg, "neg", 0u - A)                                                                 \
	B3(X, and, "and", A &B)                                                                    \
	B3(X, or, "or", A | B)                                                                     \
	B3(X, xor, "xor", A ^ B)                                                                   \
	B3(X, not, "not", ~A)                                                                      \
	B3(X, cnot, "cnot", A == 0)                                                                \
	B3(X, mov, "mov", A)
SAME_OPS(DEF_SAME)

/* the same, through a helper named after the type */
#define DEF_MULHI(id, key, T, U, ex) FN(id##_##T, U, U, U, U, mulhi_##T(A, B))
#define DEF_MADHI(id, key, T, U, ex) FN(id##_##T, U, U, U, U, (u64)mulhi_##T(A, B) + (u64)C)
#define DEF_DIV(id, key, T, U, ex) FN(id##_##T, U, U, U, U, div_of_##T(A, B))
#define DEF_REM(id, key, T, U, ex) FN(id##_##T, U, U, U, U, rem_of_##T(A, B))
I6(DEF_MULHI, mul_hi, , )
I6(DEF_MADHI, mad_hi, , )
I6(DEF_DIV, div, , )
I6(DEF_REM, rem, , )

/* ---- mixed types */
FN(mul_wide_u16, u32, u16, u16, u8, (u32)A *B)
FN(mul_wide_s16, s32, s16, s16, u8, (s32)A *B)
FN(mul_wide_u32, u64, u32, u32, u8, (u64)A *B)
FN(mul_wide_s32, s64, s32, s32, u8, (s64)A *B)
FN(mad_wide_u16, u32, u16, u16, u32, (u32)A *B + C)
FN(mad_wide_s16, u32, s16, s16, u32, (u32)((s32)A *B) + C)
FN(mad_wide_u32, u64, u32, u32, u64, (u64)A *B + C)
FN(mad_wide_s32, u64, s32, s32, u64, (u64)((s64)A *B) + C)
FN(add_sat_s32, s32, s32, s32, u8, sat_s32((s64)A + B))
FN(sub_sat_s32, s32, s32, s32, u8, sat_s32((s64)A - B))
FN(mad_hi_sat_s32, s32, s32, s32, s32, sat_s32((s64)mulhi_s32(A, B) + C))
FN(mul24_lo_u32, u32, u32, u32, u8, low24_u(A) * low24_u(B))
FN(mul24_lo_s32, u32, u32, u32, u8, low24_s(A) * low24_s(B))
FN(mul24_hi_u32, u32, u32, u32, u8, (low24_u(A) * low24_u(B)) >> 16)
FN(mul24_hi_s32, u32, u32, u32, u8, (low24_s(A) * low24_s(B)) >> 16)
FN(mad24_lo_u32, u32, u32, u32, u32, low24_u(A) * low24_u(B) + C)
FN(mad24_lo_s32, u32, u32, u32, u32, (u64)(low24_s(A) * low24_s(B)) + C)
FN(mad24_hi_u32, u32, u32, u32, u32, ((low24_u(A) * low24_u(B)) >> 16) + C)
FN(mad24_hi_s32, u32, u32, u32, u32, (u64)((low24_s(A) * low24_s(B)) >> 16) + C)

FN(shl_b16, u16, u16, u32, u8, B > 15 ? 0 : (u32)A << B)
FN(shl_b32, u32, u32, u32, u8, B > 31 ? 0 : A << (B & 31))
FN(shl_b64, u64, u64, u32, u8, B > 63 ? 0 : A << (B & 63))
FN(shr_u16, u16, u16, u32, u8, B > 15 ? 0 : A >> B)
FN(shr_u32, u32, u32, u32, u8, B > 31 ? 0 : A >> (B & 31))
FN(shr_u64, u64, u64, u32, u8, B > 63 ? 0 : A >> (B & 63))
FN(shr_s16, s16, s16, u32, u8, A >> (B > 15 ? 15 : B))
FN(shr_s32, s32, s32, u32, u8, A >> (B > 31 ? 31 : B))
FN(shr_s64, s64, s64, u32, u8, A >> (B > 63 ? 63 : B))

FN(popc_b32, u32, u32, u8, u8, __builtin_popcount(A))
FN(popc_b64, u32, u64, u8, u8, __builtin_popcountll(A))
FN(clz_b32, u32, u32, u8, u8, A ? __builtin_clz(A) : 32)
FN(clz_b64, u32, u64, u8, u8, A ? __builtin_clzll(A) : 64)
FN(brev_b32, u32, u32, u8, u8, brev_32(A))
FN(brev_b64, u64, u64, u8, u8, brev_64(A))
FN(bfind_of_u32, u32, u32, u8, u8, bfind_u64(A))
FN(bfind_of_s32, u32, u32, u8, u8, bfind_s32(A))
FN(bfind_of_u64, u32, u64, u8, u8, bfind_u64(A))
FN(bfind_of_s64, u32, u64, u8, u8, bfind_s64(A))
FN(bfind_amt_u32, u32, u32, u8, u8, A ? 31 - bfind_u64(A) : ~0u)
FN(bfind_amt_s32, u32, u32, u8, u8, bfind_s32(A) == ~0u ? ~0u : 31 - bfind_s32(A))
FN(bfind_amt_u64, u32, u64, u8, u8, A ? 63 - bfind_u64(A) : ~0u)
FN(bfind_amt_s64, u32, u64, u8, u8, bfind_s64(A) == ~0u ? ~0u : 63 - bfind_s64(A))
FN(bfe_u32, u32, u32, u32, u32, bfe_bits(A, B, C, 32, 0))
FN(bfe_s32, u32, u32, u32, u32, bfe_bits(A, B, C, 32, 1))
FN(bfe_u64, u64, u64, u32, u32, bfe_bits(A, B, C, 64, 0))
FN(bfe_s64, u64, u64, u32, u32, bfe_bits(A, B, C, 64, 1))
FN(bfi_b32, u32, u32, u32, u32, bfi_bits(A, B, C, ((const u32 *)e)[i], 32))
FN(bfi_b64, u64, u64, u64, u32, bfi_bits(A, B, C, ((const u32 *)e)[i], 64))
FN(bmsk_clamp_b32, u32, u32, u32, u8, bfi_bits(~(u64)0, 0, min_of(A, 255), min_of(B, 255), 32))
FN(bmsk_wrap_b32, u32, u32, u32, u8, bfi_bits(~(u64)0, 0, A & 31, B & 31, 32))
FN(shf_l_clamp, u32, u32, u32, u32, shf_l(A, B, min_of(C, 32)))
FN(shf_l_wrap, u32, u32, u32, u32, shf_l(A, B, C & 31))
FN(shf_r_clamp, u32, u32, u32, u32, shf_r(A, B, min_of(C, 32)))
FN(shf_r_wrap, u32, u32, u32, u32, shf_r(A, B, C & 31))
FN(fns_b32, u32, u32, u32, s32, fns_of(A, B, C))
FN(prmt_b32, u32, u32, u32, u32,
   prmt_of(A, B, C & 15, (C >> 4) & 15, (C >> 8) & 15, (C >> 12) & 15))
FN(prmt_f4e, u32, u32, u32, u32, prmt_of(A, B, C & 3, (C & 3) + 1, (C & 3) + 2, (C & 3) + 3))
FN(prmt_b4e, u32, u32, u32, u32,
   prmt_of(A, B, C & 3, ((C & 3) + 7) & 7, ((C & 3) + 6) & 7, ((C & 3) + 5) & 7))
FN(prmt_rc8, u32, u32, u32, u32, prmt_of(A, B, C & 3, C & 3, C & 3, C & 3))
FN(prmt_ecl, u32, u32, u32, u32,
   prmt_of(A, B, C & 3, max_of(C & 3, 1), max_of(C & 3, 2), max_of(C & 3, 3)))
FN(prmt_ecr, u32, u32, u32, u32,
   prmt_of(A, B, 0, min_of(C & 3, 1), min_of(C & 3, 2), min_of(C & 3, 3)))
FN(prmt_rc16, u32, u32, u32, u32,
   prmt_of(A, B, (C & 1) * 2, (C & 1) * 2 + 1, (C & 1) * 2, (C & 1) * 2 + 1))
FN(dp4a_uu, u32, u32, u32, u32, dp4a_of(A, B, C, 0, 0))
FN(dp4a_us, u32, u32, u32, u32, dp4a_of(A, B, C, 0, 1))
FN(dp4a_su, u32, u32, u32, u32, dp4a_of(A, B, C, 1, 0))
FN(dp4a_ss, u32, u32, u32, u32, dp4a_of(A, B, C, 1, 1))
FN(dp2a_lo_uu, u32, u32, u32, u32, dp2a_of(A, B, C, 0, 0, 0))
FN(dp2a_lo_us, u32, u32, u32, u32, dp2a_of(A, B, C, 0, 0, 1))
FN(dp2a_lo_su, u32, u32, u32, u32, dp2a_of(A, B, C, 0, 1, 0))
FN(dp2a_lo_ss, u32, u32, u32, u32, dp2a_of(A, B, C, 0, 1, 1))
FN(dp2a_hi_uu, u32, u32, u32, u32, dp2a_of(A, B, C, 1, 0, 0))
FN(dp2a_hi_us, u32, u32, u32, u32, dp2a_of(A, B, C, 1, 0, 1))
FN(dp2a_hi_su, u32, u32, u32, u32, dp2a_of(A, B, C, 1, 1, 0))
FN(dp2a_hi_ss, u32, u32, u32, u32, dp2a_of(A, B, C, 1, 1, 1))
FN(slct_b16_s32, u16, u16, u16, s32, C >= 0 ? A : B)
FN(slct_b32_s32, u32, u32, u32, s32, C >= 0 ? A : B)
FN(slct_b64_s32, u64, u64, u64, s32, C >= 0 ? A : B)
FN(slct_b16_f32, u16, u16, u16, f32, C >= 0 ? A : B)
FN(slct_b32_f32, u32, u32, u32, f32, C >= 0 ? A : B)
FN(slct_b64_f32, u64, u64, u64, f32, C >= 0 ? A : B)

/* two 16-bit integers a lane */
#define PACKED(name, T, ex)                                                                        \
	static inline u32 name##_pair_##T(u32 a, u32 b)                                            \
	{                                                                                          \
		u32 r = 0;                                                                         \
		for (int k = 0; k < 32; k += 16) {                                                 \
			T A = (T)(a >> k), B = (T)(b >> k);                                        \
			(void)B;                                                                   \
			r |= (u32)(u16)(ex) << k;                                                  \
		}                                                                                  \
		return r;                                                                          \
	}                                                                                          \
	FN(name##_##T##x2, u32, u32, u32, u8, name##_pair_##T(A, B))
PACKED(add, u16, A + B)
PACKED(min, u16, A < B ? A : B)
PACKED(min, s16, A < B ? A : B)
PACKED(max, u16, A > B ? A : B)
PACKED(max, s16, A > B ? A : B)
PACKED(relu, s16, A > 0 ? A : 0)
FN(relu_s32, s32, s32, s32, s32, A > 0 ? A : 0)
/* the low B bits of A, extended; none: 0 */
static inline u32 szext_of(u32 x, u32 n, int is_signed)
{
	return n > 31 ? x : (u32)bfe_bits(x, 0, n, 32, is_signed);
}
FN(szext_clamp_u32, u32, u32, u32, u8, szext_of(A, B, 0))
FN(szext_clamp_s32, u32, u32, u32, u8, szext_of(A, B, 1))
FN(szext_wrap_u32, u32, u32, u32, u8, szext_of(A, B & 31, 0))
FN(szext_wrap_s32, u32, u32, u32, u8, szext_of(A, B & 31, 1))

/* any function of three bits, by its truth table: the immediate, the same in all lanes */
static void lop3_b32(void *d, const void *a, const void *b, const void *c, const void *e)
{
	const u32 *pa = a, *pb = b, *pc = c;
	u32 *pd = d, out[32] = {0}, lut = *(const u32 *)e;
	for (u32 k = 0; k < 8; k++) {
		if (!((lut >> k) & 1))
			continue;
		u32 na = k & 4 ? 0 : ~0u, nb = k & 2 ? 0 : ~0u, nc = k & 1 ? 0 : ~0u;
		LANES_LOOP out[i] |= (pa[i] ^ na) & (pb[i] ^ nb) & (pc[i] ^ nc);
	}
	LANES_LOOP pd[i] = out[i];
}

#define INT_ROWS                                                                                   \
	SAME_OPS(ROW)                                                                              \
	I6(ROW, mul_hi, "mul.hi", )                                                                \
	I6(ROW, mad_hi, "mad.hi", )                                                                \
	I6(ROW, div, "div", )                                                                      \
	I6(ROW, rem, "rem", ){"mul.wide.u16", mul_wide_u16}, {"mul.wide.s16", mul_wide_s16},       \
	    {"mul.wide.u32", mul_wide_u32}, {"mul.wide.s32", mul_wide_s32},                        \
	    {"mad.wide.u16", mad_wide_u16}, {"mad.wide.s16", mad_wide_s16},                        \
	    {"mad.wide.u32", mad_wide_u32}, {"mad.wide.s32", mad_wide_s32},                        \
	    {"add.sat.s32", add_sat_s32}, {"sub.sat.s32", sub_sat_s32},                            \
	    {"mad.hi.sat.s32", mad_hi_sat_s32}, {"mul24.lo.u32", mul24_lo_u32},                    \
	    {"mul24.lo.s32", mul24_lo_s32}, {"mul24.hi.u32", mul24_hi_u32},                        \
	    {"mul24.hi.s32", mul24_hi_s32}, {"mad24.lo.u32", mad24_lo_u32},                        \
	    {"mad24.lo.s32", mad24_lo_s32}, {"mad24.hi.u32", mad24_hi_u32},                        \
	    {"mad24.hi.s32", mad24_hi_s32}, {"shl.b16", shl_b16}, {"shl.b32", shl_b32},            \
	    {"shl.b64", shl_b64}, {"shr.b16", shr_u16}, {"shr.b32", shr_u32},                      \
	    {"shr.b64", shr_u64}, {"shr.u16", shr_u16}, {"shr.u32", shr_u32},                      \
	    {"shr.u64", shr_u64}, {"shr.s16", shr_s16}, {"shr.s32", shr_s32},                      \
	    {"shr.s64", shr_s64}, {"popc.b32", popc_b32}, {"popc.b64", popc_b64},                  \
	    {"clz.b32", clz_b32}, {"clz.b64", clz_b64}, {"brev.b32", brev_b32},                    \
	    {"brev.b64", brev_b64}, {"bfind.u32", bfind_of_u32}, {"bfind.s32", bfind_of_s32},      \
	    {"bfind.u64", bfind_of_u64}, {"bfind.s64", bfind_of_s64},                              \
	    {"bfind.shiftamt.u32", bfind_amt_u32}, {"bfind.shiftamt.s32", bfind_amt_s32},          \
	    {"bfind.shiftamt.u64", bfind_amt_u64}, {"bfind.shiftamt.s64", bfind_amt_s64},          \
	    {"bfe.u32", bfe_u32}, {"bfe.s32", bfe_s32}, {"bfe.u64", bfe_u64},                      \
	    {"bfe.s64", bfe_s64}, {"bfi.b32", bfi_b32}, {"bfi.b64", bfi_b64},                      \
	    {"bmsk.clamp.b32", bmsk_clamp_b32}, {"bmsk.wrap.b32", bmsk_wrap_b32},                  \
	    {"shf.l.clamp.b32", shf_l_clamp}, {"shf.l.wrap.b32", shf_l_wrap},                      \
	    {"shf.r.clamp.b32", shf_r_clamp}, {"shf.r.wrap.b32", shf_r_wrap},                      \
	    {"add.u16x2", add_u16x2}, {"add.s16x2", add_u16x2}, {"min.u16x2", min_u16x2},          \
	    {"min.s16x2", min_s16x2}, {"max.u16x2", max_u16x2}, {"max.s16x2", max_s16x2},          \
	    {"relu.s32", relu_s32}, {"relu.s16x2", relu_s16x2},                                    \
	    {"szext.clamp.u32", szext_clamp_u32}, {"szext.clamp.s32", szext_clamp_s32},            \
	    {"szext.wrap.u32", szext_wrap_u32}, {"szext.wrap.s32", szext_wrap_s32},                \
	    {"fns.b32", fns_b32}, {"lop3.b32", lop3_b32}, {"prmt.b32", prmt_b32},                  \
	    {"prmt.b32.f4e", prmt_f4e}, {"prmt.b32.b4e", prmt_b4e}, {"prmt.b32.rc8", prmt_rc8},    \
	    {"prmt.b32.ecl", prmt_ecl}, {"prmt.b32.ecr", prmt_ecr}, {"prmt.b32.rc16", prmt_rc16},  \
	    {"dp4a.u32.u32", dp4a_uu}, {"dp4a.u32.s32", dp4a_us}, {"dp4a.s32.u32", dp4a_su},       \
	    {"dp4a.s32.s32", dp4a_ss}, {"dp2a.lo.u32.u32", dp2a_lo_uu},                            \
	    {"dp2a.lo.u32.s32", dp2a_lo_us}, {"dp2a.lo.s32.u32", dp2a_lo_su},                      \
	    {"dp2a.lo.s32.s32", dp2a_lo_ss}, {"dp2a.hi.u32.u32", dp2a_hi_uu},                      \
	    {"dp2a.hi.u32.s32", dp2a_hi_us}, {"dp2a.hi.s32.u32", dp2a_hi_su},                      \
	    {"dp2a.hi.s32.s32", dp2a_hi_ss}, {"slct.b16.s32", slct_b16_s32},                       \
	    {"slct.b32.s32", slct_b32_s32}, {"slct.b64.s32", slct_b64_s32},                        \
	    {"slct.b16.f32", slct_b16_f32}, {"slct.b32.f32", slct_b32_f32},                        \
	    {"slct.b64.f32", slct_b64_f32},
