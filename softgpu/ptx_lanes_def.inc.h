// SPDX-License-Identifier: Apache-2.0
/*
 * ptx_lanes_def.inc.h: how a lane function and its table row are written. Included by the files
 * that compile the lane functions, once per instruction set.
 */

/* clang-format finds no stable layout for lists of macros */
/* clang-format off */

#include <float.h>
#include <math.h>
#include <string.h>

#include "ptx_lanes.h"
#include "ptx_matrix.h"

typedef uint8_t u8;
typedef int8_t s8;
typedef uint16_t u16;
typedef int16_t s16;
typedef uint32_t u32;
typedef int32_t s32;
typedef uint64_t u64;
typedef int64_t s64;
typedef float f32;
typedef double f64;

/* A destination equals a source or is disjoint from it: no dependence between lanes. */
#if defined(__clang__)
#pragma clang diagnostic ignored "-Wpass-failed" /* some loops call libm */
#define LANES_LOOP _Pragma("clang loop vectorize(assume_safety)") for (int i = 0; i < 32; i++)
#else
#define LANES_LOOP _Pragma("GCC ivdep") for (int i = 0; i < 32; i++)
#endif

/* D, TA, TB, TC: C types of the lanes; ex: an expression of A, B, C */
#define FN(id, D, TA, TB, TC, ex)                                                                  \
	static void id(void *d, const void *a, const void *b, const void *c, const void *e)        \
	{                                                                                          \
		D *pd = d;                                                                         \
		const TA *pa = a;                                                                  \
		const TB *pb = b;                                                                  \
		const TC *pc = c;                                                                  \
		LANES_LOOP                                                                         \
		{                                                                                  \
			TA A = pa[i];                                                              \
			TB B = pb[i];                                                              \
			TC C = pc[i];                                                              \
			(void)A, (void)B, (void)C;                                                 \
			pd[i] = (D)(ex);                                                           \
		}                                                                                  \
	}

/* Lists of operations are macros over X(id, key, type in the key, C type, expression). */
#define DEF_SAME(id, key, T, U, ex) FN(id##_##T, U, U, U, U, ex)
#define ROW(id, key, T, U, ex) {key "." #T, id##_##T},

#define U3(X, id, key, ex)                                                                         \
	X(id, key, u16, u16, ex) X(id, key, u32, u32, ex) X(id, key, u64, u64, ex)
#define S3(X, id, key, ex)                                                                         \
	X(id, key, s16, s16, ex) X(id, key, s32, s32, ex) X(id, key, s64, s64, ex)
#define B3(X, id, key, ex)                                                                         \
	X(id, key, b16, u16, ex) X(id, key, b32, u32, ex) X(id, key, b64, u64, ex)
/* signed and unsigned differ */
#define I6(X, id, key, ex) U3(X, id, key, ex) S3(X, id, key, ex)
/* they wrap alike: computed unsigned, as signed overflow is undefined in C */
#define W6(X, id, key, ex)                                                                         \
	U3(X, id, key, ex)                                                                         \
	X(id, key, s16, u16, ex) X(id, key, s32, u32, ex) X(id, key, s64, u64, ex)
#define SW3(X, id, key, ex)                                                                        \
	X(id, key, s16, u16, ex) X(id, key, s32, u32, ex) X(id, key, s64, u64, ex)
