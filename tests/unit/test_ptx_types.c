// SPDX-License-Identifier: Apache-2.0
/*
 * test_ptx_types.c: the operations of the interpreter through all their types, roundings and
 * modifiers (ptx_ref.h). Conversions: test_ptx_cvt.c.
 */
#include "tests/unit/ptx_ref.h"

enum { ADD, SUB, MULLO, MULHI, MADLO, MADHI, DIV, REM, MIN, MAX, SAD, ABS, NEG, WIDE, MADWIDE };
static const char *const int_ops[] = {
    "add.%s %%d, %%a, %%b;",    "sub.%s %%d, %%a, %%b;",         "mul.lo.%s %%d, %%a, %%b;",
    "mul.hi.%s %%d, %%a, %%b;", "mad.lo.%s %%d, %%a, %%b, %%c;", "mad.hi.%s %%d, %%a, %%b, %%c;",
    "div.%s %%d, %%a, %%b;",    "rem.%s %%d, %%a, %%b;",         "min.%s %%d, %%a, %%b;",
    "max.%s %%d, %%a, %%b;",    "sad.%s %%d, %%a, %%b, %%c;",    "abs.%s %%d, %%a;",
    "neg.%s %%d, %%a;",         "mul.wide.%s %%d, %%a, %%b;",    "mad.wide.%s %%d, %%a, %%b, %%c;"};

static u64 int_ref(const struct op *op, u64 xa, u64 xb, u64 xc)
{
	int bits = op->arg[1];
	bool sign = op->arg[2];
	s128 a = extend(xa, bits, sign), b = extend(xb, bits, sign), c = extend(xc, bits, sign);
	switch (op->arg[0]) {
	case ADD:
		return (u64)(a + b);
	case SUB:
		return (u64)(a - b);
	case MULLO:
		return (u64)((u128)a * (u128)b);
	case MULHI:
		return sign ? (u64)((a * b) >> bits) : (u64)((u128)a * (u128)b >> bits);
	case MADLO:
		return (u64)((u128)a * (u128)b + (u128)c);
	case MADHI:
		return (sign ? (u64)((a * b) >> bits) : (u64)((u128)a * (u128)b >> bits)) + (u64)c;
	case DIV:
		return b ? (u64)(a / b) : ~0ull;
	case REM:
		return b ? (u64)(a % b) : (u64)a;
	case MIN:
		return (u64)(a < b ? a : b);
	case MAX:
		return (u64)(a > b ? a : b);
	case SAD:
		return (u64)c + (u64)(a > b ? a - b : b - a);
	case ABS:
		return (u64)(a < 0 ? -a : a);
	case NEG:
		return (u64)-a;
	case WIDE:
		return (u64)((u128)a * (u128)b);
	default:
		return (u64)((u128)a * (u128)b) + xc;
	}
}

TEST(integers)
{
	for (int t = 0; t < N_WIDE; t++)
		for (int o = ADD; o <= MADWIDE; o++) {
			int n = ints[t].bits / 8, wide = o >= WIDE ? 2 * n : n;
			if (((o == ABS || o == NEG) && !ints[t].sign) || wide > 8)
				continue;
			struct op op = {.d = wide, .a = n, .b = n, .c = wide, .kind = 'u'};
			op.ref_of = int_ref;
			op.arg[0] = o;
			op.arg[1] = ints[t].bits;
			op.arg[2] = ints[t].sign;
			char fmt[80];
			snprintf(fmt, sizeof(fmt), int_ops[o], ints[t].name);
			check(op, "%s", fmt);
		}
}
TEST_END

/* ---- bits: by the name of the operation */
static u64 bits_ref(const struct op *op, u64 a, u64 b, u64 c)
{
	int n = op->arg[1];
	u64 mask = n == 64 ? ~0ull : (1ull << n) - 1, r = 0;
	a &= mask;
	switch (op->arg[0]) {
	case 0:
		return a & b;
	case 1:
		return a | b;
	case 2:
		return a ^ b;
	case 3:
		return ~a;
	case 4:
		return !a;
	case 5:
		return (u32)b >= (u32)n ? 0 : a << (u32)b;
	case 6: /* shr.b, shr.u */
		return (u32)b >= (u32)n ? 0 : a >> (u32)b;
	case 7: /* shr.s */
		return (u64)(extend(a, n, true) >> ((u32)b >= (u32)n ? n - 1 : (int)b));
	case 8:
		for (; a; a &= a - 1)
			r++;
		return r;
	case 9:
		for (r = (u64)n; a; a >>= 1)
			r--;
		return r;
	case 10:
		for (int i = 0; i < n; i++)
			r |= (a >> i & 1) << (n - 1 - i);
		return r;
	case 11: /* selp */
		return (s32)c > 5 ? a : b;
	case 12: /* slct by s32 */
		return (s32)c >= 0 ? a : b;
	default: { /* slct by f32 */
		f32 f;
		memcpy(&f, &c, 4);
		return f >= 0 ? a : b;
	}
	}
}

TEST(bit_operations)
{
	static const struct {
		const char *text;
		int shift, out, third; /* of b; of the result: bytes, 0: as the type; of c */
	} ops[] = {{"and.b%d %%d, %%a, %%b;", 0, 0, 0},
	           {"or.b%d %%d, %%a, %%b;", 0, 0, 0},
	           {"xor.b%d %%d, %%a, %%b;", 0, 0, 0},
	           {"not.b%d %%d, %%a;", 0, 0, 0},
	           {"cnot.b%d %%d, %%a;", 0, 0, 0},
	           {"shl.b%d %%d, %%a, %%b;", 4, 0, 0},
	           {"shr.u%d %%d, %%a, %%b;", 4, 0, 0},
	           {"shr.s%d %%d, %%a, %%b;", 4, 0, 0},
	           {"popc.b%d %%d, %%a;", 0, 4, 0},
	           {"clz.b%d %%d, %%a;", 0, 4, 0},
	           {"brev.b%d %%d, %%a;", 0, 0, 0},
	           {"{.reg .pred q; setp.gt.s32 q, %%c, 5; selp.b%d %%d, %%a, %%b, q;}", 0, 0, 4},
	           {"slct.b%d.s32 %%d, %%a, %%b, %%c;", 0, 0, 4},
	           {"slct.b%d.f32 %%d, %%a, %%b, %%c;", 0, 0, 4}};
	for (int o = 0; o < (int)(sizeof(ops) / sizeof(ops[0])); o++)
		for (int n = o >= 8 && o <= 10 ? 32 : 16; n <= 64; n *= 2) {
			char text[120];
			struct op op = {.d = ops[o].out ? ops[o].out : n / 8,
			                .a = n / 8,
			                .b = ops[o].shift ? ops[o].shift : n / 8,
			                .c = ops[o].third ? ops[o].third : n / 8,
			                .kind = 'u',
			                .ref_of = bits_ref,
			                .arg = {o, n}};
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
			snprintf(text, sizeof(text), ops[o].text, n);
#pragma GCC diagnostic pop
			check(op, "%s", text);
		}
}
TEST_END

enum { HADD, HSUB, HMUL, HFMA, HMIN, HMAX, HMINN, HMAXN, HNEG, HABS };
enum { NONE, HSAT, HRELU, HFTZ };
static const char *const half_ops[] = {"add", "sub",     "mul",     "fma.rn", "min",
                                       "max", "min.NaN", "max.NaN", "neg",    "abs"};

static u16 half_flush(const struct small *s, u16 h)
{
	return h >> s->mant & (0x7fff >> s->mant) ? h : h & 0x8000;
}

static f64 lesser(f64 a, f64 b)
{
	return a < b || (a == b && signbit(a)) ? a : b;
}

static u16 half_one(const struct op *op, u16 ha, u16 hb, u16 hc)
{
	const struct small *s = &halves[op->arg[1]];
	int o = op->arg[0], mod = op->arg[2];
	if (mod == HFTZ) {
		ha = half_flush(s, ha);
		hb = half_flush(s, hb);
		hc = half_flush(s, hc);
	}
	f64 a = small_value(s, ha), b = small_value(s, hb), c = small_value(s, hc);
	f128 v = 0, rest = 0;
	u16 r;
	if (o == HNEG || o == HABS) {
		r = o == HNEG ? ha ^ 0x8000 : ha & 0x7fff;
	} else {
		if (o >= HMIN) {
			bool nan = isnan(a) || isnan(b);
			v = nan && (o >= HMINN || (isnan(a) && isnan(b))) ? (f128)NAN
			    : isnan(a)                                    ? (f128)b
			    : isnan(b)                                    ? (f128)a
			    : o == HMIN || o == HMINN                     ? (f128)lesser(a, b)
			                                                  : -(f128)lesser(-a, -b);
		} else if (o == HFMA) { /* the sum in two parts, exactly */
			f128 p = (f128)a * b, q = (f128)c;
			v = p + q;
			if (v - v == 0)
				rest = (p - (v - (v - p))) + (q - (v - p));
		} else {
			v = o == HADD ? (f128)a + b : o == HSUB ? (f128)a - b : (f128)a * b;
		}
		r = small_round(s, v, rest, 0);
	}
	f64 x = small_value(s, r);
	if (mod == HFTZ)
		r = half_flush(s, r);
	if (mod == HSAT)
		r = x > 0 ? (x < 1 ? r : small_round(s, 1, 0, 0)) : 0;
	if (mod == HRELU)
		r = isnan(x) ? 0x7fff : x > 0 ? r : 0;
	return r;
}

static u64 half_ref(const struct op *op, u64 a, u64 b, u64 c)
{
	u64 r = half_one(op, (u16)a, (u16)b, (u16)c);
	if (op->d == 4)
		r |= (u64)half_one(op, (u16)(a >> 16), (u16)(b >> 16), (u16)(c >> 16)) << 16;
	return r;
}

/* A packed result's NaNs are compared as they are: all are the one that GPUs give. */
TEST(half_arithmetic)
{
	static const char *const mods[] = {"", ".sat", ".relu", ".ftz"};
	for (int t = 0; t < 2; t++)
		for (int o = HADD; o <= HABS; o++)
			for (int m = NONE; m <= HFTZ; m++)
				for (int packed = 0; packed < 2; packed++) {
					if ((m == HRELU && o != HFMA) || (m == HSAT && o > HFMA) ||
					    (t == 1 && m != NONE && m != HRELU) ||
					    (packed && (o == HNEG || o == HABS)))
						continue;
					int n = packed ? 4 : 2;
					struct op op = {.d = n, .a = n, .b = n, .c = n};
					op.kind = packed ? 'u' : halves[t].kind;
					op.ref_of = half_ref;
					op.arg[0] = o;
					op.arg[1] = t;
					op.arg[2] = m;
					check(op, "%s%s.%s%s %%d, %%a%s;", half_ops[o], mods[m],
					      halves[t].name, packed ? "x2" : "",
					      o == HFMA   ? ", %b, %c"
					      : o >= HNEG ? ""
					                  : ", %b");
				}
}
TEST_END

/* ex2 and tanh: PTX bounds their error from above; what is given is the nearest number */
static u64 half_function_ref(const struct op *op, u64 a, u64 b, u64 c)
{
	const struct small *s = &halves[op->arg[1]];
	u64 r = 0;
	for (int i = 0; i < op->d * 8; i += 16) {
		u16 x = (u16)(a >> i);
		if (op->arg[2])
			x = half_flush(s, x);
		f64 v = small_value(s, x);
		x = small_round(s, (f128)(op->arg[0] ? tanh(v) : exp2(v)), 0, 0);
		r |= (u64)(op->arg[2] ? half_flush(s, x) : x) << i;
	}
	return r;
}

TEST(half_functions)
{
	for (int t = 0; t < 2; t++)
		for (int f = 0; f < 2; f++)
			for (int packed = 0; packed < 2; packed++) {
				int n = packed ? 4 : 2;
				bool ftz = t == 1 && !f; /* ex2.approx.ftz.bf16 */
				struct op op = {
				    .d = n, .a = n, .kind = packed ? 'u' : halves[t].kind};
				op.ref_of = half_function_ref;
				op.arg[0] = f;
				op.arg[1] = t;
				op.arg[2] = ftz;
				check(op, "%s.approx%s.%s%s %%d, %%a;", f ? "tanh" : "ex2",
				      ftz ? ".ftz" : "", halves[t].name, packed ? "x2" : "");
			}
}
TEST_END

/* ---- single and double precision */
enum { FADD, FSUB, FMUL, FFMA, FDIV, FSQRT, FRCP, FMIN, FMAX, FNEG, FABS };
static const char *const float_names[] = {"add", "sub", "mul", "fma", "div", "sqrt",
                                          "rcp", "min", "max", "neg", "abs"};

static f32 single(int o, f32 xa, f32 xb, f32 xc)
{
	volatile f32 a = xa, b = xb, c = xc, r;
	switch (o) {
	case FADD:
		r = a + b;
		break;
	case FSUB:
		r = a - b;
		break;
	case FMUL:
		r = a * b;
		break;
	case FFMA:
		r = fmaf(a, b, c);
		break;
	case FDIV:
		r = a / b;
		break;
	case FSQRT:
		r = sqrtf(a);
		break;
	case FRCP:
		r = 1 / a;
		break;
	case FMIN:
		r = isnan(a) ? b : isnan(b) ? a : (f32)lesser((f64)a, (f64)b);
		break;
	case FMAX:
		r = isnan(a) ? b : isnan(b) ? a : (f32)-lesser(-(f64)a, -(f64)b);
		break;
	case FNEG:
		r = -a;
		break;
	default:
		r = fabsf(a);
	}
	return r;
}

static f64 twice(int o, f64 xa, f64 xb, f64 xc)
{
	volatile f64 a = xa, b = xb, c = xc, r;
	switch (o) {
	case FADD:
		r = a + b;
		break;
	case FSUB:
		r = a - b;
		break;
	case FMUL:
		r = a * b;
		break;
	case FFMA:
		r = fma(a, b, c);
		break;
	case FDIV:
		r = a / b;
		break;
	case FSQRT:
		r = sqrt(a);
		break;
	case FRCP:
		r = 1 / a;
		break;
	case FMIN:
		r = isnan(a) ? b : isnan(b) ? a : lesser(a, b);
		break;
	case FMAX:
		r = isnan(a) ? b : isnan(b) ? a : -lesser(-a, -b);
		break;
	case FNEG:
		r = -a;
		break;
	default:
		r = fabs(a);
	}
	return r;
}

/* arg: operation, mode, ftz, sat */
static u64 float_ref(const struct op *op, u64 xa, u64 xb, u64 xc)
{
	f64 a, b, c, r;
	f32 v[3], q;
	u64 out = 0;
	memcpy(&a, &xa, 8);
	memcpy(&b, &xb, 8);
	memcpy(&c, &xc, 8);
	memcpy(&v[0], &xa, 4);
	memcpy(&v[1], &xb, 4);
	memcpy(&v[2], &xc, 4);
	for (int i = 0; i < 3 && op->arg[2]; i++)
		v[i] = flush(v[i]);
	fesetround(modes[op->arg[1]]);
	r = op->d == 8 ? twice(op->arg[0], a, b, c) : 0;
	q = op->d == 4 ? single(op->arg[0], v[0], v[1], v[2]) : 0;
	fesetround(FE_TONEAREST);
	if (op->arg[2])
		q = flush(q);
	if (op->arg[3])
		q = q > 0 ? fminf(q, 1) : 0;
	if (op->d == 8)
		memcpy(&out, &r, 8);
	else
		memcpy(&out, &q, 4);
	return out;
}

TEST(float_arithmetic)
{
	for (int o = FADD; o <= FABS; o++)
		for (int n = 4; n <= 8; n += 4)
			for (int mode = 0; mode < (o < FMIN ? 4 : 1); mode++)
				for (int mods = 0; mods < (n == 8 ? 1 : 4); mods++) {
					int ftz = mods & 1, sat = mods >> 1;
					if (sat && o > FFMA)
						continue;
					struct op op = {
					    .d = n, .a = n, .b = n, .c = n, .kind = 'f'};
					op.ref_of = float_ref;
					op.arg[0] = o;
					op.arg[1] = mode;
					op.arg[2] = ftz;
					op.arg[3] = sat;
					check(op, "%s%s%s%s%s.f%d %%d, %%a%s;", float_names[o],
					      o < FMIN ? "." : "", o < FMIN ? mode_names[mode] : "",
					      ftz ? ".ftz" : "", sat ? ".sat" : "", n * 8,
					      o == FFMA                              ? ", %b, %c"
					      : o == FSQRT || o == FRCP || o >= FNEG ? ""
					                                             : ", %b");
				}
}
TEST_END

/* ---- comparisons */
static const char *const cmp_names[] = {"eq",  "ne",  "lt",  "le",  "gt",  "ge",  "equ",
                                        "neu", "ltu", "leu", "gtu", "geu", "num", "nan"};
static bool compared(int test, bool less, bool equal, bool unordered)
{
	bool more = !less && !equal && !unordered;
	const bool is[] = {equal, less || more, less, less || equal, more, more || equal};
	if (test == 12)
		return !unordered;
	if (test == 13)
		return unordered;
	return test < 6 ? is[test] : unordered || is[test - 6];
}

/* arg: test, 0 integer (bits, sign) or 1 … 4: f16, bf16, f32, f64; ftz */
static u64 compare_ref(const struct op *op, u64 xa, u64 xb, u64 xc)
{
	f64 a, b;
	f32 p, q;
	if (!op->arg[1]) {
		s128 x = extend(xa, op->arg[2], op->arg[3]), y = extend(xb, op->arg[2], op->arg[3]);
		return compared(op->arg[0], x < y, x == y, false);
	}
	memcpy(&a, &xa, 8);
	memcpy(&b, &xb, 8);
	memcpy(&p, &xa, 4);
	memcpy(&q, &xb, 4);
	if (op->arg[1] < 3) {
		a = small_value(&halves[op->arg[1] - 1], (u16)xa);
		b = small_value(&halves[op->arg[1] - 1], (u16)xb);
	} else if (op->arg[1] == 3) {
		a = (f64)(op->arg[2] ? flush(p) : p);
		b = (f64)(op->arg[2] ? flush(q) : q);
	}
	return compared(op->arg[0], a < b, a == b, isnan(a) || isnan(b));
}

#define SETP "{.reg .pred q; setp.%s%s.%s q, %%a, %%b; selp.b32 %%d, 1, 0, q;}"
TEST(comparisons)
{
	static const char *const unsigned_tests[] = {"lo", "ls", "hi", "hs"};
	static const struct {
		const char *name;
		int bytes;
	} floats[] = {{"f16", 2}, {"bf16", 2}, {"f32", 4}, {"f64", 8}};
	for (int t = 0; t < N_WIDE; t++)
		for (int c = 0; c < 6; c++) {
			int n = ints[t].bits / 8;
			struct op op = {.d = 4, .a = n, .b = n, .c = n, .kind = 'u'};
			op.ref_of = compare_ref;
			op.arg[0] = c;
			op.arg[2] = ints[t].bits;
			op.arg[3] = ints[t].sign;
			check(op, SETP, cmp_names[c], "", ints[t].name);
			if (c >= 2 && !ints[t].sign)
				check(op, SETP, unsigned_tests[c - 2], "", ints[t].name);
		}
	for (int t = 0; t < 4; t++)
		for (int c = 0; c < 14; c++)
			for (int ftz = 0; ftz < (t == 2 ? 2 : 1); ftz++) {
				int n = floats[t].bytes;
				struct op op = {.d = 4, .a = n, .b = n, .c = n, .kind = 'u'};
				op.ref_of = compare_ref;
				op.arg[0] = c;
				op.arg[1] = t + 1;
				op.arg[2] = ftz;
				check(op, SETP, cmp_names[c], ftz ? ".ftz" : "", floats[t].name);
			}
}
TEST_END

TESTS("ptx_types", integers, bit_operations, half_arithmetic, half_functions, float_arithmetic,
      comparisons)
