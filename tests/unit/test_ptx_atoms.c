// SPDX-License-Identifier: Apache-2.0
/*
 * test_ptx_atoms.c: atom and red: each operation and type, in global and shared memory, by their
 * names and by generic addresses, in several orders and scopes: what was there and what is there
 * afterwards, over edge cases; and many threads at one place.
 */
#include <math.h>

#include "tests/unit/ptx_op.h"

enum { ADD, MIN, MAX, AND, OR, XOR, EXCH, CAS, INC, DEC };
static const char *const op_names[] = {"add", "min",  "max", "and", "or",
                                       "xor", "exch", "cas", "inc", "dec"};
struct atom {
	int op;
	const char *type;
	int bytes;
	char kind; /* u s b; f: float of that size; h, B: f16 or bf16, one or two */
};
static const struct atom atoms[] = {
    {ADD, "u32", 4, 'u'},    {ADD, "s32", 4, 's'}, {ADD, "u64", 8, 'u'},  {ADD, "f32", 4, 'f'},
    {ADD, "f64", 8, 'f'},    {ADD, "f16", 2, 'h'}, {ADD, "bf16", 2, 'B'}, {ADD, "f16x2", 4, 'h'},
    {ADD, "bf16x2", 4, 'B'}, {MIN, "u32", 4, 'u'}, {MIN, "s32", 4, 's'},  {MIN, "u64", 8, 'u'},
    {MIN, "s64", 8, 's'},    {MAX, "u32", 4, 'u'}, {MAX, "s32", 4, 's'},  {MAX, "u64", 8, 'u'},
    {MAX, "s64", 8, 's'},    {AND, "b32", 4, 'b'}, {AND, "b64", 8, 'b'},  {OR, "b32", 4, 'b'},
    {OR, "b64", 8, 'b'},     {XOR, "b32", 4, 'b'}, {XOR, "b64", 8, 'b'},  {EXCH, "b32", 4, 'b'},
    {EXCH, "b64", 8, 'b'},   {CAS, "b16", 2, 'b'}, {CAS, "b32", 4, 'b'},  {CAS, "b64", 8, 'b'},
    {CAS, "u64", 8, 'b'},    {INC, "u32", 4, 'u'}, {DEC, "u32", 4, 'u'},
};

static f64 half_value(u32 h, bool bf16)
{
	if (bf16) {
		u32 bits = h << 16;
		f32 f;
		memcpy(&f, &bits, 4);
		return (f64)f;
	}
	int exp = (int)(h >> 10) & 31, man = (int)h & 1023;
	f64 v = exp == 31 ? (man ? NAN : INFINITY)
	        : exp     ? ldexp(1024 + man, exp - 25)
	                  : ldexp(man, -24);
	return h & 0x8000 ? -v : v;
}

/* The nearest half of a sum, by search. A double holds sums of f16 exactly, those of bf16 nearly:
 * no value of the tests lies so near the middle of two that it matters. */
static u32 half_nearest(f64 v, bool bf16)
{
	u32 inf = bf16 ? 0x7f80 : 0x7c00, lo = 0, hi = inf, sign = signbit(v) ? 0x8000 : 0;
	if (isnan(v))
		return 0x7fff;
	v = fabs(v);
	f64 top = 2 * half_value(inf - (bf16 ? 0x80 : 0x400), bf16);
	if (v >= (top + half_value(inf - 1, bf16)) / 2)
		return sign | inf;
	while (hi - lo > 1) {
		u32 mid = (lo + hi) / 2;
		if (half_value(mid, bf16) <= v)
			lo = mid;
		else
			hi = mid;
	}
	f64 low = v - half_value(lo, bf16), high = (hi == inf ? top : half_value(hi, bf16)) - v;
	return sign | (low < high || (low == high && !(lo & 1)) ? lo : hi);
}

/* The new value; f32 in global memory flushes denormals, as GPUs do. */
static u64 want_of(const struct atom *t, u64 old, u64 b, u64 c, bool global)
{
	u64 mask = t->bytes == 8 ? ~0ull : (1ull << (8 * t->bytes)) - 1, r = 0;
	s64 so = t->bytes == 8 ? (s64)old : (s32)old, sb = t->bytes == 8 ? (s64)b : (s32)b;
	bool less = t->kind == 's' ? sb < so : b < old;
	f32 x, y;
	f64 p, q;
	switch (t->op) {
	case MIN:
		return less ? b : old;
	case MAX:
		return b == old || less ? old : b;
	case AND:
		return old & b;
	case OR:
		return old | b;
	case XOR:
		return old ^ b;
	case EXCH:
		return b;
	case CAS:
		return old == b ? c : old;
	case INC:
		return old >= b ? 0 : old + 1;
	case DEC:
		return old == 0 || old > b ? b : old - 1;
	default:
		break;
	}
	if (t->kind == 'f' && t->bytes == 8) {
		memcpy(&p, &old, 8);
		memcpy(&q, &b, 8);
		p += q;
		memcpy(&r, &p, 8);
		return r;
	}
	if (t->kind == 'f') {
		memcpy(&x, &old, 4);
		memcpy(&y, &b, 4);
		if (global) {
			x = fpclassify(x) == FP_SUBNORMAL ? copysignf(0, x) : x;
			y = fpclassify(y) == FP_SUBNORMAL ? copysignf(0, y) : y;
		}
		x += y;
		if (global && fpclassify(x) == FP_SUBNORMAL)
			x = copysignf(0, x);
		memcpy(&r, &x, 4);
		return r;
	}
	if (t->kind == 'h' || t->kind == 'B') {
		for (int i = 0; i < t->bytes * 8; i += 16)
			r |= (u64)half_nearest(half_value(old >> i & 0xffff, t->kind == 'B') +
			                           half_value(b >> i & 0xffff, t->kind == 'B'),
			                       t->kind == 'B')
			     << i;
		return r;
	}
	return (old + b) & mask;
}

/* A NaN is a NaN. */
static bool same(const struct atom *t, u64 got, u64 want)
{
	if (got == want)
		return true;
	if (t->kind == 'f')
		return is_nan(got, t->bytes) && is_nan(want, t->bytes);
	return false;
}

static const char *reg(const struct atom *t)
{
	return t->bytes == 2 ? "b16" : t->bytes == 4 ? "b32" : "b64";
}

/* rows of four: what is there, b, c, what atom returned */
static void make(char *text, size_t len, const struct atom *t, int space, const char *order,
                 bool red)
{
	static const char *const names[] = {".global", "", ".shared", ""};
	char what[160];
	const char *noftz = t->kind == 'h' || t->kind == 'B' ? ".noftz" : "";
	snprintf(what, sizeof(what), "%s%s%s.%s%s.%s", red ? "red" : "atom", order, names[space],
	         op_names[t->op], noftz, t->type);
	snprintf(text, len,
	         PTX_HEAD
	         ".visible .entry k(.param .u64 p)\n{\n"
	         ".reg .b64 %%rd<9>; .reg .b32 %%r<4>; .reg .%s %%a, %%b, %%c, %%d;\n"
	         ".shared .align 8 .b64 s[64]; ld.param.u64 %%rd0, [p];\n"
	         "mov.u32 %%r0, %%ctaid.x; mov.u32 %%r1, %%tid.x; mad.lo.u32 %%r0, %%r0, 64, "
	         "%%r1;\nmad.wide.u32 %%rd1, %%r0, 32, %%rd0; ld.global.%s %%a, [%%rd1];\n"
	         "ld.global.%s %%b, [%%rd1+8]; ld.global.%s %%c, [%%rd1+16]; mov.%s %%d, 0;\n"
	         "mov.u64 %%rd2, s; mad.wide.u32 %%rd2, %%r1, 8, %%rd2; st.shared.%s [%%rd2], "
	         "%%a;\n%s%s %s[%%rd%d], %%b%s;\n%s"
	         "st.global.%s [%%rd1+24], %%d; ret;\n}\n",
	         reg(t), reg(t), reg(t), reg(t), reg(t), reg(t),
	         space == 3 ? "cvta.shared.u64 %rd3, %rd2;\n" : "", what, red ? "" : "%d, ",
	         space < 2 ? 1 : space, t->op == CAS ? ", %c" : "",
	         space < 2 ? "" : "st.global.b64 [%rd1], 0; ", reg(t));
	if (space >= 2) { /* bring the cell back */
		char *end = strstr(text, "st.global.b64 [%rd1], 0; ");
		char tail[200];
		snprintf(tail, sizeof(tail),
		         "ld.shared.%s %%a, [%%rd2]; st.global.%s [%%rd1], %%a;\n%s", reg(t),
		         reg(t), end + strlen("st.global.b64 [%rd1], 0; "));
		snprintf(end, len - (size_t)(end - text), "%s", tail);
	}
}

static void check_atom(const struct atom *t, int space, const char *order, bool red)
{
	char text[2000];
	static u64(*v)[4];
	const size_t n = 1024;
	u64 state = 7, mask = t->bytes == 8 ? ~0ull : (1ull << (8 * t->bytes)) - 1;
	static u64 in[1024][3];
	if (!v)
		v = device_alloc(NULL, n * sizeof(*v), 64);
	ck_assert_ptr_nonnull(v);
	for (size_t i = 0; i < n; i++) {
		for (int k = 0; k < 3; k++) {
			u64 r = next_random(&state);
			in[i][k] = mask & (r % 3 ? op_edges[r / 3 % N_EDGES] : next_random(&state));
			if (r % 5 == 0) /* numbers of one size */
				in[i][k] =
				    mask & ((r & 0x803fffff807fffffull) | 0x3f8000003e803e80ull);
		}
		if (t->op == CAS && i % 2)
			in[i][1] = in[i][0];
		memcpy(v[i], in[i], sizeof(in[i]));
		v[i][3] = 0;
	}
	make(text, sizeof(text), t, space, order, red);
	struct ptx_module *m = load_ptx(text);
	u64 *param = (u64 *)v;
	must_run(m, "k", (struct shape){.gx = (u32)(n / 64), .bx = 64}, &param);
	for (size_t i = 0; i < n; i++) {
		u64 want = want_of(t, in[i][0], in[i][1], in[i][2], space < 2) & mask;
		u64 old = red ? 0 : in[i][0];
		if (!same(t, v[i][0] & mask, want) || (v[i][3] & mask) != old)
			ck_abort_msg("%s.%s, space %d: old %llx, b %llx: got %llx, %llx; want %llx",
			             op_names[t->op], t->type, space, (unsigned long long)in[i][0],
			             (unsigned long long)in[i][1], (unsigned long long)v[i][0],
			             (unsigned long long)v[i][3], (unsigned long long)want);
	}
	ptx_module_free(m);
}

TEST(operations)
{
	static const char *const orders[] = {"", ".relaxed.gpu", ".acq_rel.sys", ".acquire.cta",
	                                     ".release.cluster"};
	int turn = 0;
	for (size_t i = 0; i < sizeof(atoms) / sizeof(atoms[0]); i++)
		for (int space = 0; space < 4; space++)
			for (int red = 0; red < (atoms[i].op == EXCH || atoms[i].op == CAS ? 1 : 2);
			     red++) {
				const char *order = orders[turn++ % 5];
				if (red && !strcmp(order, ".acquire.cta"))
					order = ".relaxed.cta";
				check_atom(&atoms[i], space, order, red);
			}
}
TEST_END

/* Four threads of the host, one cell: sums, and a counter that wraps, come out exact. */
TEST(contention)
{
	u32 *b = device_alloc(NULL, 64, 64);
	struct ptx_module *m = load_ptx(
	    PTX_HEAD ".visible .entry k(.param .u64 p)\n{\n"
		     ".reg .b64 %rd<3>; .reg .b32 %r<5>; .reg .pred %p; .reg .b16 %h<3>;\n"
		     "ld.param.u64 %rd0, [p]; mov.u32 %r1, 0; mov.b16 %h1, 0x3c00;\n"
		     "again: atom.global.add.u32 %r2, [%rd0], 3; red.global.inc.u32 [%rd0+4], "
		     "99;\nld.relaxed.gpu.global.u32 %r2, [%rd0+8]; retry: add.u32 %r3, %r2, 5;\n"
		     "mov.u32 %r4, %r2; atom.global.cas.b32 %r2, [%rd0+8], %r4, %r3;\n"
		     "setp.ne.u32 %p, %r2, %r4; @%p bra retry;\n"
		     "red.global.xor.b32 [%rd0+12], 1; add.u32 %r1, %r1, 1;\n"
		     "setp.lt.u32 %p, %r1, 10; @%p bra again; ret;\n}\n");
	must_run(m, "k", (struct shape){.gx = 40, .bx = 96, .workers = 4}, &b);
	ck_assert_uint_eq(b[0], 3 * 10 * 40 * 96);
	ck_assert_uint_eq(b[1], 10 * 40 * 96 % 100);
	ck_assert_uint_eq(b[2], 5 * 10 * 40 * 96);
	ck_assert_uint_eq(b[3], 0);
	ptx_module_free(m);
	device_free(NULL, b);
}
TEST_END

TESTS("ptx_atoms", operations, contention)
