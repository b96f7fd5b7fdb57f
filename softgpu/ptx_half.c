// SPDX-License-Identifier: Apache-2.0
/*
 * ptx_half.c: binary16, bfloat16 and eight-bit floats to and from double, with every rounding mode.
 * A double holds each value of all exactly, so one conversion from double serves all sources.
 */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "ptx_lanes.h"

/* Rounds v to a float of `mant` stored mantissa bits whose smallest normal exponent is `emin`
 * and largest `emax`; returns exponent and mantissa without the sign. */
static uint32_t small_from(double v, int mant, int emin, int emax, int rounding)
{
	uint64_t bits;
	memcpy(&bits, &v, sizeof(bits));
	bool negative = bits >> 63;
	uint32_t inf = (uint32_t)(emax - emin + 2) << mant;
	if (isinf(v))
		return inf;
	int exp = (int)((bits >> 52) & 0x7ff) - 1023;
	uint64_t sig = (bits & 0xfffffffffffffull) | (exp > -1023 ? 1ull << 52 : 0);
	if (!sig || exp < emin - mant - 2) { /* rounds like the smallest value's quarter */
		sig = sig ? 1 : 0;
		exp = emin;
	} else if (exp < emin) { /* subnormal: keep what falls off as a sticky bit */
		int shift = emin - exp;
		uint64_t lost = sig & ((1ull << shift) - 1);
		sig = (sig >> shift) | (lost != 0);
		exp = emin;
	}
	int drop = 52 - mant;
	uint64_t kept = sig >> drop, rest = sig & ((1ull << drop) - 1), half = 1ull << (drop - 1);
	bool up = false;
	if (rounding == 0)
		up = rest > half || (rest == half && (kept & 1));
	else if (rounding == 2)
		up = negative && rest;
	else if (rounding == 3)
		up = !negative && rest;
	kept += up;
	/* kept carries into the exponent by itself, also from subnormal to normal */
	uint64_t out = ((uint64_t)(exp - emin) << mant) + kept;
	if (out >= inf) { /* overflow: to infinity, or to the largest number if rounded towards 0 */
		bool to_max =
		    rounding == 1 || (rounding == 2 && !negative) || (rounding == 3 && negative);
		return to_max ? inf - 1 : inf;
	}
	return (uint32_t)out;
}

static double small_to(uint32_t h, int mant, int emin)
{
	uint32_t man = h & ((1u << mant) - 1);
	int ebits = 15 - mant;
	uint32_t exp = (h >> mant) & ((1u << ebits) - 1);
	double v;
	if (exp == (1u << ebits) - 1)
		v = man ? (double)NAN : (double)INFINITY;
	else if (exp == 0)
		v = ldexp((double)man, emin - mant);
	else
		v = ldexp((double)(man | (1u << mant)), emin - mant + (int)exp - 1);
	return (h >> 15) ? -v : v;
}

uint16_t ptx_f16_from(double v, int rounding)
{
	if (v != v)
		return 0x7fff;
	return (uint16_t)(small_from(v, 10, -14, 15, rounding) | (signbit(v) ? 0x8000 : 0));
}

uint16_t ptx_bf16_from(double v, int rounding)
{
	if (v != v)
		return 0x7fff;
	return (uint16_t)(small_from(v, 7, -126, 127, rounding) | (signbit(v) ? 0x8000 : 0));
}

double ptx_f16_to(uint16_t h)
{
	return small_to(h, 10, -14);
}

double ptx_bf16_to(uint16_t h)
{
	uint32_t bits = (uint32_t)h << 16;
	float f;
	memcpy(&f, &bits, sizeof(f));
	return (double)f;
}

/* A NaN is 0x7f in both formats; e4m3 has no infinity and uses the largest exponent for numbers. */
static uint8_t e_from(double v, int mant, int emin, int emax, uint32_t largest)
{
	if (v != v)
		return 0x7f;
	uint32_t r = small_from(v, mant, emin, emax, 0);
	return (uint8_t)((r > largest ? largest : r) | (signbit(v) ? 0x80 : 0));
}

uint8_t ptx_e4m3_from(double v)
{
	return e_from(v, 3, -6, 8, 0x7e);
}

uint8_t ptx_e5m2_from(double v)
{
	return e_from(v, 2, -14, 15, 0x7b);
}

double ptx_e4m3_to(uint8_t h)
{
	uint32_t man = h & 7, exp = (h >> 3) & 15;
	double v = (h & 0x7f) == 0x7f ? (double)NAN
	           : exp              ? ldexp((double)(man | 8), (int)exp - 10)
	                              : ldexp((double)man, -9);
	return h & 0x80 ? -v : v;
}

double ptx_e5m2_to(uint8_t h)
{
	return ptx_f16_to((uint16_t)(h << 8)); /* the upper half of an f16 */
}
