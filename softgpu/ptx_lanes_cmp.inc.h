// SPDX-License-Identifier: Apache-2.0
/* ptx_lanes_cmp.inc.h: comparisons and tests of 32 lanes, one result bit a lane; also how lanes are
 * blended, and one value put into all. */

/* clang-format finds no stable layout for lists of macros */
/* clang-format off */

static inline u32 pack_mask(const u8 *m)
{
#if defined(__SSE2__)
	__m128i lo, hi;
	memcpy(&lo, m, 16);
	memcpy(&hi, m + 16, 16);
	return (u32)_mm_movemask_epi8(lo) | (u32)_mm_movemask_epi8(hi) << 16;
#else
	u32 r = 0;
	for (int k = 0; k < 4; k++) {
		u64 w;
		memcpy(&w, m + 8 * k, 8);
		/* gathers bit 0 of each byte into the top byte */
		w = ((w & 0x0101010101010101ull) * 0x0102040810204080ull) >> 56;
		r |= (u32)w << (8 * k);
	}
	return r;
#endif
}

#define CMP(id, T, ex)                                                                             \
	static u32 id(const void *a, const void *b)                                                \
	{                                                                                          \
		const T *pa = a;                                                                   \
		const T *pb = b;                                                                   \
		u8 m[32];                                                                          \
		LANES_LOOP                                                                         \
		{                                                                                  \
			T A = pa[i];                                                               \
			T B = pb[i];                                                               \
			(void)A, (void)B;                                                          \
			m[i] = (ex) ? 0xff : 0;                                                    \
		}                                                                                  \
		return pack_mask(m);                                                               \
	}
#define DEF_CMP(id, key, T, U, ex) CMP(id##_##T, U, ex)
#define INT_CMPS(X)                                                                                \
	I6(X, lt, "lt", A < B)                                                                     \
	I6(X, le, "le", A <= B)                                                                    \
	I6(X, gt, "gt", A > B)                                                                     \
	I6(X, ge, "ge", A >= B)                                                                    \
	I6(X, eq, "eq", A == B) I6(X, ne, "ne", A != B) B3(X, eq, "eq", A == B)                    \
	    B3(X, ne, "ne", A != B)
/* V: how to read a value */
#define FLOAT_CMPS(X, T, U, V)                                                                     \
	X(eq, "eq", T, U, V(A) == V(B))                                                            \
	X(ne, "ne", T, U, V(A) < V(B) || V(A) > V(B))                                              \
	X(lt, "lt", T, U, V(A) < V(B))                                                             \
	X(le, "le", T, U, V(A) <= V(B))                                                            \
	X(gt, "gt", T, U, V(A) > V(B)) X(ge, "ge", T, U, V(A) >= V(B))                             \
	    X(equ, "equ", T, U, !(V(A) < V(B) || V(A) > V(B)))                                     \
		X(neu, "neu", T, U, !(V(A) == V(B))) X(ltu, "ltu", T, U, !(V(A) >= V(B)))          \
		    X(leu, "leu", T, U, !(V(A) > V(B))) X(gtu, "gtu", T, U, !(V(A) <= V(B)))       \
			X(geu, "geu", T, U, !(V(A) < V(B)))                                        \
			    X(num, "num", T, U, V(A) == V(A) && V(B) == V(B))                      \
				X(nan, "nan", T, U, V(A) != V(A) || V(B) != V(B))
#define TESTS_OF(X, T, U, exp, man)                                                                \
	X(finite, "finite", T, U, (A & (exp)) != (exp))                                            \
	X(infinite, "infinite", T, U, (A & (exp)) == (exp) && !(A & (man)))                        \
	X(number, "number", T, U, (A & (exp)) != (exp) || !(A & (man)))                            \
	X(notanumber, "notanumber", T, U, (A & (exp)) == (exp) && (A & (man)))                     \
	X(normal, "normal", T, U, (A & (exp)) && (A & (exp)) != (exp))                             \
	X(subnormal, "subnormal", T, U, !(A & (exp)) && (A & (man)))
#define FLOAT_TESTS(X)                                                                             \
	TESTS_OF(X, f32, u32, 0x7f800000u, 0x007fffffu)                                            \
	TESTS_OF(X, f64, u64, 0x7ff0000000000000ull, 0x000fffffffffffffull)
INT_CMPS(DEF_CMP)
FLOAT_CMPS(DEF_CMP, f32, f32, )
FLOAT_CMPS(DEF_CMP, f64, f64, )
FLOAT_CMPS(DEF_CMP, f16, u16, H)
FLOAT_CMPS(DEF_CMP, bf16, u16, BF)
FLOAT_TESTS(DEF_CMP)

#define CMP_ROWS                                                                                   \
	INT_CMPS(ROW)                                                                              \
	FLOAT_CMPS(ROW, f32, f32, )                                                                \
	FLOAT_CMPS(ROW, f64, f64, )                                                                \
	FLOAT_CMPS(ROW, f16, u16, ) FLOAT_CMPS(ROW, bf16, u16, ) FLOAT_TESTS(ROW)

/* ---- helpers */
#define BLEND(id, T)                                                                               \
	static void id(void *d, const void *s, u32 mask)                                           \
	{                                                                                          \
		T *pd = d;                                                                         \
		const T *ps = s;                                                                   \
		LANES_LOOP pd[i] = (mask >> i) & 1 ? ps[i] : pd[i];                                \
	}
BLEND(blend_2, u16)
BLEND(blend_4, u32)
BLEND(blend_8, u64)

#define SPLAT(id, T)                                                                               \
	static void id(void *d, u64 v)                                                             \
	{                                                                                          \
		T *pd = d;                                                                         \
		LANES_LOOP pd[i] = (T)v;                                                           \
	}
SPLAT(splat_2, u16)
SPLAT(splat_4, u32)
SPLAT(splat_8, u64)
