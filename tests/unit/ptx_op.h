// SPDX-License-Identifier: Apache-2.0
/*
 * ptx_op.h: one operation of the interpreter against a function of the CPU, over edge cases and
 * random values, by full warps and by warps of which half the lanes take part. Each operation makes
 * a kernel: load the inputs, do the operation, store the result.
 */
#ifndef REIN_TESTS_PTX_OP_H
#define REIN_TESTS_PTX_OP_H

#include <math.h>

#include "tests/unit/ptx_util.h"

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
typedef unsigned __int128 u128;
typedef __int128 s128;

struct op {
	const char *name, *text; /* text: %d is the result, %a %b %c the inputs */
	int d, a, b, c;          /* bytes; b 0: there is one input */
	char kind; /* of the result: u, f, or ~ = approximate f; h, B: f16 or bf16, NaNs alike */
	u64 (*ref)(u64 a, u64 b, u64 c);
	u64 (*ref_of)(const struct op *op, u64 a, u64 b, u64 c); /* instead of ref */
	int arg[6];                                              /* for ref_of */
};

/* ---- a kernel for one operation */
static inline const char *reg_type(int bytes)
{
	return bytes == 2 ? "b16" : bytes == 4 ? "b32" : "b64";
}

static inline void write_op(char *out, size_t len, const char *text)
{
	size_t n = 0;
	for (; *text && n + 4 < len; text++) {
		if (text[0] == '%' && strchr("abcd", text[1])) {
			n += (size_t)snprintf(out + n, len - n, "%%v%c", text[1]);
			text++;
		} else {
			out[n++] = *text;
		}
	}
	out[n] = 0;
}

static inline void make_kernel(char *out, size_t len, const struct op *op, bool guarded)
{
	char body[512];
	write_op(body, sizeof(body), op->text);
	/* the operation is under a guard, so that half the lanes must keep their value */
	snprintf(out, len,
	         PTX_HEAD ".visible .entry k(.param .u64 p)\n{\n"
	                  ".reg .pred %%g; .reg .b32 %%i, %%odd; .reg .b64 %%base, %%off, %%at;\n"
	                  ".reg .%s %%va; .reg .%s %%vb; .reg .%s %%vc; .reg .%s %%vd;\n"
	                  "ld.param.u64 %%base, [p];\n"
	                  "mov.u32 %%i, %%ctaid.x; mov.u32 %%odd, %%tid.x; mad.lo.u32 %%i, %%i, "
	                  "%%ntid.x, %%odd;\n"
	                  "mul.wide.u32 %%off, %%i, 32; add.u64 %%at, %%base, %%off;\n"
	                  "ld.global.%s %%va, [%%at]; ld.global.%s %%vb, [%%at+8]; ld.global.%s "
	                  "%%vc, [%%at+16];\n"
	                  "mov.%s %%vd, 77;\n"
	                  "and.b32 %%odd, %%i, %d; setp.ne.u32 %%g, %%odd, 0;\n"
	                  "@%%g bra skip;\n%s\nskip:\n"
	                  "st.global.%s [%%at+24], %%vd;\nret;\n}\n",
	         reg_type(op->a), reg_type(op->b), reg_type(op->c), reg_type(op->d),
	         reg_type(op->a), reg_type(op->b), reg_type(op->c), reg_type(op->d),
	         guarded ? 1 : 0, body, reg_type(op->d));
}

static const u64 op_edges[] = {
    0,
    1,
    2,
    3,
    5,
    31,
    32,
    33,
    63,
    64,
    127,
    128,
    255,
    0x7fff,
    0x8000,
    0xffff,
    0x10000,
    0x7fffffff,
    0x80000000,
    0xffffffff,
    0x7fffffffffffffff,
    0x8000000000000000,
    ~0ull,
    /* f32: ±0, ±1, smallest, largest, denormals, infinities, NaN, 2^31, 2^63 */
    0x3f800000,
    0xbf800000,
    0x00000001,
    0x807fffff,
    0x00800000,
    0x7f7fffff,
    0xff7fffff,
    0x7f800000,
    0xff800000,
    0x7fc00000,
    0xffc00001,
    0x7f800001,
    0x4f000000,
    0xcf000000,
    0x4f800000,
    0x5f000000,
    0x3f000000,
    0x3fc00000,
    0x40200000,
    0x42ff0000,
    0x3effffff,
    /* the same in f64 */
    0x3ff0000000000000,
    0xbff0000000000000,
    0x0000000000000001,
    0x800fffffffffffff,
    0x0010000000000000,
    0x7fefffffffffffff,
    0x7ff0000000000000,
    0xfff0000000000000,
    0x7ff8000000000000,
    0x7ff0000000000001,
    0x41e0000000000000,
    0xc1e0000000000000,
    0x43e0000000000000,
    0x3fe0000000000000,
    0x3ff8000000000000,
    0x380fffffffffffff,
    0x36a0000000000000,
    0x47efffffefffffff,
};
#define N_EDGES (sizeof(op_edges) / sizeof(op_edges[0]))
#define N_RANDOM 2048

static inline bool is_nan(u64 v, int bytes)
{
	return bytes == 4 ? (v & 0x7fffffff) > 0x7f800000 : (v << 1) > (0x7ff0000000000000ull << 1);
}

static inline bool half_nan(u64 v, char kind)
{
	return (v & 0x7fff) > (kind == 'h' ? 0x7c00 : 0x7f80);
}

static inline bool near(u64 got, u64 want, int bytes)
{
	f32 g32, w32;
	f64 g, w;
	memcpy(&g32, &got, 4);
	memcpy(&w32, &want, 4);
	memcpy(&g, &got, 8);
	memcpy(&w, &want, 8);
	if (bytes == 4) {
		g = (f64)g32;
		w = (f64)w32;
	}
	f64 tolerance = fabs(w) * (bytes == 4 ? 4e-7 : 1e-15) + (bytes == 4 ? 3e-45 : 1e-323);
	return g == w || fabs(g - w) <= tolerance;
}

static inline void check_op(const struct op *op, bool guarded)
{
	char text[2048];
	u64 state = 1;
	/* one for all: fresh pages cost more than the test */
	const size_t most = (N_EDGES * N_EDGES + N_RANDOM + 255) / 256 * 256;
	static u64(*v)[4];
	if (!v)
		v = device_alloc(NULL, most * sizeof(*v), 64);
	bool unary = !op->b; /* one input: fewer rows do */
	size_t n = unary ? 1024 : most;
	for (size_t i = 0; i < n; i++) {
		for (int k = 0; k < 3; k++) {
			v[i][k] = next_random(&state);
			if (i % 3 == 1) /* random numbers of moderate exponent */
				v[i][k] = (v[i][k] & 0x803fffff807fffffull) | 0x3f8000003e800000ull;
			if (i % 3 == 2)
				v[i][k] >>= next_random(&state) % 64;
		}
		if (unary && i < N_EDGES) {
			v[i][0] = op_edges[i];
		} else if (!unary && i < N_EDGES * N_EDGES) {
			v[i][0] = op_edges[i / N_EDGES];
			v[i][1] = op_edges[i % N_EDGES];
			v[i][2] = op_edges[(i * 7 + i / N_EDGES) % N_EDGES];
		}
		v[i][3] = 0;
	}
	make_kernel(text, sizeof(text), op, guarded);
	struct ptx_module *m = load_ptx(text);
	u64 *param = (u64 *)v;
	must_run(m, "k", (struct shape){.gx = (uint32_t)(n / 256), .bx = 256}, &param);
	u64 keep = op->d == 8 ? ~0ull : (1ull << (8 * op->d)) - 1;
	for (size_t i = 0; i < n; i++) {
		u64 want = guarded && i & 1
		               ? 77
		               : keep & (op->ref ? op->ref(v[i][0], v[i][1], v[i][2])
		                                 : op->ref_of(op, v[i][0], v[i][1], v[i][2]));
		u64 got = v[i][3] & keep;
		bool ok = got == want;
		if (!ok && (op->kind == 'h' || op->kind == 'B'))
			ok = half_nan(got, op->kind) && half_nan(want, op->kind);
		else if (!ok && op->kind != 'u')
			ok = (is_nan(got, op->d) && is_nan(want, op->d)) ||
			     (op->kind == '~' && near(got, want, op->d));
		if (ok)
			continue; /* each ck_assert is a write to a pipe */
		ck_abort_msg("%s (%s): a=%llx b=%llx c=%llx: got %llx, want %llx", op->name,
		             op->text, (unsigned long long)v[i][0], (unsigned long long)v[i][1],
		             (unsigned long long)v[i][2], (unsigned long long)got,
		             (unsigned long long)want);
	}
	ptx_module_free(m);
}

#endif
