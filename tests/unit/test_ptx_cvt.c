// SPDX-License-Identifier: Apache-2.0
/*
 * test_ptx_cvt.c: cvt between all types, in all roundings, with saturation, flush to zero, .relu
 * and .satfinite.
 */
#include "tests/unit/ptx_ref.h"

/* ---- conversions. Numbers in a form that holds all: a value, exactly */
static const struct {
	const char *name;
	int bytes;
} float_types[] = {{"f16", 2}, {"bf16", 2}, {"f32", 4}, {"f64", 8}};

static f64 float_value(int t, u64 v)
{
	f64 d;
	f32 f;
	memcpy(&d, &v, 8);
	memcpy(&f, &v, 4);
	return t < 2 ? small_value(&halves[t], (u16)v) : t == 2 ? (f64)f : d;
}

static u64 float_round(int t, f128 v, int mode)
{
	volatile f128 x = v;
	u64 out = 0;
	if (t < 2)
		return small_round(&halves[t], v, 0, mode);
	if (t == 2) {
		/* by way of a double rounded to odd, which keeps what decides */
		f64 d = (f64)v;
		fesetround(FE_TOWARDZERO);
		volatile f64 z = (f64)x;
		fesetround(FE_TONEAREST);
		d = z;
		u64 bits;
		memcpy(&bits, &d, 8);
		if (d == d && d - d == 0 && (f128)d != v)
			bits |= 1;
		memcpy(&d, &bits, 8);
		fesetround(modes[mode]);
		volatile f64 in = d;
		volatile f32 r = (f32)in;
		fesetround(FE_TONEAREST);
		f32 f = r;
		memcpy(&out, &f, 4);
		return out;
	}
	fesetround(modes[mode]);
	volatile f64 r = (f64)x;
	fesetround(FE_TONEAREST);
	f64 d = r;
	memcpy(&out, &d, 8);
	return out;
}

/* arg: bits and sign of the source, bits and sign of the result, sat */
static u64 int_to_int(const struct op *op, u64 a, u64 b, u64 c)
{
	s128 v = extend(a, op->arg[0], op->arg[1]);
	s128 lo = op->arg[3] ? -((s128)1 << (op->arg[2] - 1)) : 0;
	s128 hi = ((s128)1 << (op->arg[2] - op->arg[3])) - 1;
	if (op->arg[4])
		v = v < lo ? lo : v > hi ? hi : v;
	return (u64)extend((u64)v, op->arg[2], op->arg[3]);
}

TEST(integer_conversions)
{
	for (int from = 0; from < 8; from++)
		for (int to = 0; to < 8; to++)
			for (int sat = 0; sat < 2; sat++) {
				int nf = ints[from].bits / 8, nt = ints[to].bits / 8;
				struct op op = {.d = nt < 2 ? 2 : nt, .a = nf < 2 ? 2 : nf};
				op.kind = 'u';
				op.ref_of = int_to_int;
				op.arg[0] = ints[from].bits;
				op.arg[1] = ints[from].sign;
				op.arg[2] = ints[to].bits;
				op.arg[3] = ints[to].sign;
				op.arg[4] = sat;
				check(op, "cvt%s.%s.%s %%d, %%a;", sat ? ".sat" : "", ints[to].name,
				      ints[from].name);
			}
}
TEST_END

/* arg: bits and sign of the integer, float type, mode */
static u64 int_to_float(const struct op *op, u64 a, u64 b, u64 c)
{
	return float_round(op->arg[2], (f128)extend(a, op->arg[0], op->arg[1]), op->arg[3]);
}

static f64 integral(f64 v, int mode)
{
	return mode == 0 ? nearbyint(v) : mode == 1 ? trunc(v) : mode == 2 ? floor(v) : ceil(v);
}

/* the same, and ftz. A NaN is 0, or the top bit where 64 bits take part. */
static u64 float_to_int(const struct op *op, u64 a, u64 b, u64 c)
{
	int bits = op->arg[0], sign = op->arg[1];
	f64 v = float_value(op->arg[2], a);
	if (op->arg[4])
		v = (f64)flush((f32)v);
	s128 lo = sign ? -((s128)1 << (bits - 1)) : 0, hi = ((s128)1 << (bits - sign)) - 1, r;
	if (isnan(v))
		return bits == 64 || op->arg[2] == 3 ? (u64)extend(1ull << (bits - 1), bits, sign)
		                                     : 0;
	v = integral(v, op->arg[3]);
	r = v >= 0x1p100 ? hi : v <= -0x1p100 ? lo : (s128)v;
	r = r < lo ? lo : r > hi ? hi : r;
	return (u64)r;
}

TEST(float_conversions)
{
	for (int i = 0; i < 8; i++)
		for (int f = 0; f < 4; f++)
			for (int mode = 0; mode < 4; mode++) {
				int n = ints[i].bits < 16 ? 2 : ints[i].bits / 8;
				int nf = float_types[f].bytes;
				char kind = f < 2 ? halves[f].kind : 'f';
				struct op op = {
				    .d = nf, .a = n, .kind = kind, .ref_of = int_to_float};
				op.arg[0] = ints[i].bits;
				op.arg[1] = ints[i].sign;
				op.arg[2] = f;
				op.arg[3] = mode;
				check(op, "cvt.%s.%s.%s %%d, %%a;", mode_names[mode],
				      float_types[f].name, ints[i].name);
				op.d = n;
				op.a = nf;
				op.kind = 'u';
				op.ref_of = float_to_int;
				check(op, "cvt.%si.%s.%s %%d, %%a;", mode_names[mode], ints[i].name,
				      float_types[f].name);
				if (f != 2)
					continue;
				op.arg[4] = 1;
				check(op, "cvt.%si.ftz.%s.f32 %%d, %%a;", mode_names[mode],
				      ints[i].name);
			}
}
TEST_END

/* arg: from, to, mode, 1 + integral mode, 1 ftz 2 sat 3 relu 4 satfinite */
static u64 float_to_float(const struct op *op, u64 a, u64 b, u64 c)
{
	int from = op->arg[0], to = op->arg[1], mod = op->arg[4];
	f64 v = float_value(from, a);
	if (mod == 1 && from == 2)
		v = (f64)flush((f32)v);
	if (op->arg[3])
		v = integral(v, op->arg[3] - 1);
	if (mod == 2)
		v = v > 0 ? fmin(v, 1) : 0;
	u64 r = float_round(to, (f128)v, op->arg[2]);
	if (mod == 1 && to == 2) {
		f32 f;
		memcpy(&f, &r, 4);
		f = flush(f);
		memcpy(&r, &f, 4);
	}
	if (mod == 4 && (r & 0x7fff) == 0x7fffu >> halves[to].mant << halves[to].mant)
		r--;
	if (mod == 3)
		r = isnan(v) ? 0x7fff : r & 0x8000 ? 0 : r;
	return r;
}

TEST(float_to_float_conversions)
{
	static const char *const mods[] = {"", ".ftz", ".sat", ".relu", ".satfinite"};
	for (int from = 0; from < 4; from++)
		for (int to = 0; to < 4; to++)
			for (int mode = 0; mode < 4; mode++)
				for (int mod = 0; mod < 5; mod++) {
					/* a rounding where something may be lost; integral where
					 * nothing */
					bool round = to < from || (from == 1 && to == 0) ||
					             (!from && to == 1);
					if ((!round && from != to && mode) ||
					    (mod == 1 && from != 2 && to != 2) ||
					    (mod >= 3 && (to > 1 || from != 2)))
						continue;
					struct op op = {.d = float_types[to].bytes,
					                .a = float_types[from].bytes};
					op.kind = to < 2 ? halves[to].kind : 'f';
					op.ref_of = float_to_float;
					op.arg[0] = from;
					op.arg[1] = to;
					op.arg[2] = round ? mode : 0;
					op.arg[3] = from == to ? 1 + mode : 0;
					op.arg[4] = mod;
					check(op, "cvt.%s%s%s%s.%s.%s %%d, %%a;",
					      round || from == to ? mode_names[mode] : "",
					      from == to ? "i" : "",
					      round || from == to ? "" : "rn", mods[mod],
					      float_types[to].name, float_types[from].name);
				}
}
TEST_END

TESTS("ptx_cvt", integer_conversions, float_conversions, float_to_float_conversions)
