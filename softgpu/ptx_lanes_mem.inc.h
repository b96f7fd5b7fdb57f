// SPDX-License-Identifier: Apache-2.0
/* ptx_lanes_mem.inc.h: the helpers of the memory instructions: address arithmetic, address
 * patterns, and elements between a buffer, where those of a lane lie side by side, and registers.
 */

/* clang-format finds no stable layout for lists of macros */
/* clang-format off */

#define ADDRESSES(id, T)                                                                            \
	static int id(u64 *out, const T *in, T add, u32 size)                                      \
	{                                                                                          \
		u64 base = (T)(in[0] + add), spread = 0, run = 0;                                  \
		LANES_LOOP                                                                         \
		{                                                                                  \
			u64 x = (T)(in[i] + add);                                                  \
			out[i] = x;                                                                \
			spread |= x ^ base;                                                        \
			run |= x ^ (base + (u64)((u32)i * size));                                  \
		}                                                                                  \
		return !spread ? 0 : !run ? 1 : 2;                                                 \
	}
ADDRESSES(addr64, u64)
ADDRESSES(addr32, u32)
static u64 reach(const u64 *addr, u64 base, u32 mask)
{
	u64 most = 0;
	LANES_LOOP
	{
		u64 off = (mask >> i) & 1 ? addr[i] - base : 0;
		most = off > most ? off : most;
	}
	return most;
}

/* ---- shared memory */
static bool shared_addresses(u32 *at, const u32 *a, u32 add, u32 size)
{
	u32 bits = 0, most = 0;
	LANES_LOOP
	{
		u32 x = a[i] + add;
		at[i] = x;
		bits |= x;
		most = x > most ? x : most;
	}
	return !(bits & 3) && size >= 4 && most <= size - 4;
}
/* Are all lanes at a[0] (0), or four bytes apart from there on (1)? Else 2. */
static int shared_shape(const u32 *a)
{
	u32 first = a[0], far = a[31] - first;
	if (far != 0 && far != 31 * 4)
		return 2;
	u32 step = far / 31;
#if defined(__AVX2__)
	__m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), by = _mm256_set1_epi32((int)step);
	__m256i want = _mm256_add_epi32(_mm256_set1_epi32((int)first), _mm256_mullo_epi32(lane, by));
	__m256i next = _mm256_slli_epi32(by, 3), off = _mm256_setzero_si256();
	for (int i = 0; i < 32; i += 8) {
		__m256i x;
		memcpy(&x, a + i, sizeof(x));
		off = _mm256_or_si256(off, _mm256_xor_si256(x, want));
		want = _mm256_add_epi32(want, next);
	}
	bool same = _mm256_testz_si256(off, off);
#else
	u32 off = 0;
	LANES_LOOP off |= a[i] ^ (first + step * (u32)i);
	bool same = !off;
#endif
	return !same ? 2 : step ? 1 : 0;
}
/* Are n bytes there, from a multiple of 4 on? */
static bool shared_fits(u32 x, u32 n, u32 size)
{
	return !(x & 3) && n <= size && x <= size - n;
}
static bool load4(u32 *d, const u32 *a, u32 add, const u8 *mem, u32 size)
{
	u32 at[32], x = a[0] + add;
	int form = shared_shape(a);
	if (form == 0) {
		if (!shared_fits(x, 4, size))
			return false;
		u32 v = *(const u32 *)(mem + x);
		LANES_LOOP d[i] = v;
		return true;
	}
	if (form == 1 && shared_fits(x, 128, size)) {
		memcpy(d, mem + x, 128);
		return true;
	}
	if (!shared_addresses(at, a, add, size))
		return false;
	for (int i = 0; i < 32; i++)
		d[i] = *(const u32 *)(mem + at[i]);
	return true;
}
static bool store4(const u32 *s, const u32 *a, u32 add, u8 *mem, u32 size)
{
	u32 at[32], x = a[0] + add;
	if (shared_shape(a) == 1 && shared_fits(x, 128, size)) {
		memcpy(mem + x, s, 128);
		return true;
	}
	if (!shared_addresses(at, a, add, size))
		return false;
	for (int i = 0; i < 32; i++)
		*(u32 *)(mem + at[i]) = s[i];
	return true;
}

/* ---- between a buffer and registers: T an element, U a lane of a register; n elements a lane */
#define SPLIT(id, T, U)                                                                            \
	static void id(void *const *d, const void *from, u32 n)                                    \
	{                                                                                          \
		const T *s = from;                                                                 \
		U *d0 = d[0], *d1, *d2, *d3;                                                       \
		if (n == 1) {                                                                      \
			LANES_LOOP d0[i] = (U)s[i];                                                \
		} else if (n == 2) {                                                               \
			d1 = d[1];                                                                 \
			LANES_LOOP                                                                 \
			{                                                                          \
				d0[i] = (U)s[2 * i];                                               \
				d1[i] = (U)s[2 * i + 1];                                           \
			}                                                                          \
		} else {                                                                           \
			d1 = d[1], d2 = d[2], d3 = d[3];                                           \
			LANES_LOOP                                                                 \
			{                                                                          \
				d0[i] = (U)s[4 * i];                                               \
				d1[i] = (U)s[4 * i + 1];                                           \
				d2[i] = (U)s[4 * i + 2];                                           \
				d3[i] = (U)s[4 * i + 3];                                           \
			}                                                                          \
		}                                                                                  \
	}
#define JOIN(id, T, U)                                                                             \
	static void id(void *to, const void *const *s, u32 n)                                      \
	{                                                                                          \
		T *d = to;                                                                         \
		const U *s0 = s[0], *s1, *s2, *s3;                                                 \
		if (n == 1) {                                                                      \
			LANES_LOOP d[i] = (T)s0[i];                                                \
		} else if (n == 2) {                                                               \
			s1 = s[1];                                                                 \
			LANES_LOOP                                                                 \
			{                                                                          \
				d[2 * i] = (T)s0[i];                                               \
				d[2 * i + 1] = (T)s1[i];                                           \
			}                                                                          \
		} else {                                                                           \
			s1 = s[1], s2 = s[2], s3 = s[3];                                           \
			LANES_LOOP                                                                 \
			{                                                                          \
				d[4 * i] = (T)s0[i];                                               \
				d[4 * i + 1] = (T)s1[i];                                           \
				d[4 * i + 2] = (T)s2[i];                                           \
				d[4 * i + 3] = (T)s3[i];                                           \
			}                                                                          \
		}                                                                                  \
	}
#define ELEMENTS(X)                                                                                \
	X(u8, u16) X(u8, u32) X(u8, u64) X(u16, u16) X(u16, u32) X(u16, u64) X(u32, u32)           \
	X(u32, u64) X(u64, u64)
#define SIGNED_ELEMENTS(X) X(s8, u16) X(s8, u32) X(s8, u64) X(s16, u32) X(s16, u64) X(s32, u64)
#define DEF_SPLIT(T, U) SPLIT(split_##T##_##U, T, U)
#define DEF_JOIN(T, U) JOIN(join_##T##_##U, T, U)
ELEMENTS(DEF_SPLIT)
SIGNED_ELEMENTS(DEF_SPLIT)
ELEMENTS(DEF_JOIN)

/* by size of the element and of the register's lanes (1, 2, 4, 8: 0 … 3) */
#define SPLIT_TABLE                                                                                \
	{                                                                                          \
		{NULL, split_u8_u16, split_u8_u32, split_u8_u64},                                  \
		{NULL, split_u16_u16, split_u16_u32, split_u16_u64},                               \
		{NULL, NULL, split_u32_u32, split_u32_u64}, {NULL, NULL, NULL, split_u64_u64},     \
	}
#define SPLIT_SIGNED_TABLE                                                                         \
	{                                                                                          \
		{NULL, split_s8_u16, split_s8_u32, split_s8_u64},                                  \
		{NULL, split_u16_u16, split_s16_u32, split_s16_u64},                               \
		{NULL, NULL, split_u32_u32, split_s32_u64}, {NULL, NULL, NULL, split_u64_u64},     \
	}
#define JOIN_TABLE                                                                                 \
	{                                                                                          \
		{NULL, join_u8_u16, join_u8_u32, join_u8_u64},                                     \
		{NULL, join_u16_u16, join_u16_u32, join_u16_u64},                                  \
		{NULL, NULL, join_u32_u32, join_u32_u64}, {NULL, NULL, NULL, join_u64_u64},        \
	}
