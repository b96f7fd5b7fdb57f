// SPDX-License-Identifier: Apache-2.0
/*
 * test_ptx_matrix.c: mma with the fragments that the PTX ISA documents (its formulas are the table
 * below), wmma with every shape, type and layout, and ldmatrix, stmatrix, movmatrix; against plain
 * loops over small integers, which every type holds exactly. Rounding, clamping and the odd values
 * apart.
 */
#include <fenv.h>
#include <math.h>

#include "tests/unit/ptx_util.h"

enum type { F16, BF16, TF32, F32, F64, E4M3, E5M2, S8, U8, S4, U4, B1, S32 };
static const struct {
	const char *name;
	unsigned bits, exp, mant; /* exp 0: an integer */
	int lo, hi;               /* what is tried: all sums are exact */
} types[] = {
    [F16] = {"f16", 16, 5, 10, -4, 4},   [BF16] = {"bf16", 16, 8, 7, -4, 4},
    [TF32] = {"tf32", 32, 8, 23, -9, 9}, [F32] = {"f32", 32, 8, 23, -99, 99},
    [F64] = {"f64", 64, 11, 52, -9, 9},  [E4M3] = {"e4m3", 8, 4, 3, -4, 4},
    [E5M2] = {"e5m2", 8, 5, 2, -3, 3},   [S8] = {"s8", 8, 0, 0, -128, 127},
    [U8] = {"u8", 8, 0, 0, 0, 255},      [S4] = {"s4", 4, 0, 0, -8, 7},
    [U4] = {"u4", 4, 0, 0, 0, 15},       [B1] = {"b1", 1, 0, 0, 0, 1},
    [S32] = {"s32", 32, 0, 0, -99, 99},
};

/* ---- small integers as elements */
static uint64_t encode(enum type t, int v)
{
	uint64_t mask = types[t].bits == 64 ? ~0ull : (1ull << types[t].bits) - 1;
	if (!types[t].exp)
		return (uint64_t)(int64_t)v & mask;
	if (!v)
		return 0;
	unsigned a = (unsigned)(v < 0 ? -v : v), e = 31 - (unsigned)__builtin_clz(a);
	uint64_t bias = (1ull << (types[t].exp - 1)) - 1;
	uint64_t m = ((uint64_t)a << types[t].mant >> e) & ((1ull << types[t].mant) - 1);
	return (uint64_t)(v < 0) << (types[t].exp + types[t].mant) | (bias + e) << types[t].mant |
	       m;
}

static uint64_t state;
static int any(enum type t)
{
	unsigned n = (unsigned)(types[t].hi - types[t].lo + 1);
	return types[t].lo + (int)(next_random(&state) % n);
}

/* ---- matrices and what they multiply to */
static int A[32][256], B[256][32], C[32][32];
static int D[32][32];

static void make(enum type a, enum type b, enum type c, unsigned m, unsigned n, unsigned k)
{
	for (unsigned i = 0; i < m; i++)
		for (unsigned j = 0; j < k; j++)
			A[i][j] = any(a);
	for (unsigned i = 0; i < k; i++)
		for (unsigned j = 0; j < n; j++)
			B[i][j] = any(b);
	for (unsigned i = 0; i < m; i++)
		for (unsigned j = 0; j < n; j++)
			C[i][j] = any(c);
}

static void multiply(unsigned m, unsigned n, unsigned k, const char *bits)
{
	for (unsigned i = 0; i < m; i++)
		for (unsigned j = 0; j < n; j++) {
			D[i][j] = C[i][j];
			for (unsigned l = 0; l < k; l++)
				D[i][j] += !*bits           ? A[i][l] * B[l][j]
				           : bits[1] == 'a' ? A[i][l] & B[l][j]
				                            : A[i][l] ^ B[l][j];
		}
}

/* ---- mma: "row = groupID for a_i where …": e elements in a run, the other half of the rows after
 * a_half, `step` columns on after twice that */
static const struct mma {
	const char *bits; /* ".and.popc" */
	unsigned m, k;
	enum type a, b, c, d;
	unsigned e, half, a_step, b_step;
} mmas[] = {
    {"", 16, 8, F16, F16, F32, F32, 2, 2, 0, 0},
    {"", 16, 8, F16, F16, F16, F16, 2, 2, 0, 0},
    {"", 16, 16, F16, F16, F32, F32, 2, 2, 8, 8},
    {"", 16, 16, F16, F16, F16, F16, 2, 2, 8, 8},
    {"", 16, 8, BF16, BF16, F32, F32, 2, 2, 0, 0},
    {"", 16, 16, BF16, BF16, F32, F32, 2, 2, 8, 8},
    {"", 16, 4, TF32, TF32, F32, F32, 1, 1, 0, 0},
    {"", 16, 8, TF32, TF32, F32, F32, 1, 1, 4, 4},
    {"", 8, 4, F64, F64, F64, F64, 1, 99, 0, 0},
    {"", 16, 4, F64, F64, F64, F64, 1, 1, 0, 0},
    {"", 16, 8, F64, F64, F64, F64, 1, 1, 4, 4},
    {"", 16, 16, F64, F64, F64, F64, 1, 1, 4, 4},
    {"", 16, 32, E4M3, E4M3, F32, F32, 4, 4, 16, 16},
    {"", 16, 32, E5M2, E4M3, F16, F16, 4, 4, 16, 16},
    {"", 16, 16, E5M2, E5M2, F32, F32, 4, 4, 0, 0},
    {"", 8, 16, S8, S8, S32, S32, 4, 99, 0, 0},
    {"", 16, 16, U8, S8, S32, S32, 4, 4, 0, 0},
    {"", 16, 32, S8, S8, S32, S32, 4, 4, 16, 16},
    {"", 16, 32, U8, U8, S32, S32, 4, 4, 16, 16},
    {"", 8, 32, S4, U4, S32, S32, 8, 99, 0, 0},
    {"", 16, 32, U4, S4, S32, S32, 8, 8, 0, 0},
    {"", 16, 64, S4, S4, S32, S32, 8, 8, 32, 32},
    {".xor.popc", 8, 128, B1, B1, S32, S32, 32, 99, 0, 0},
    {".and.popc", 16, 128, B1, B1, S32, S32, 32, 32, 0, 0},
    {".xor.popc", 16, 256, B1, B1, S32, S32, 32, 32, 128, 128},
};

/* Sets or reads element i of a lane's fragment; `at` is the lane's first byte. */
static void put(uint8_t *at, unsigned bits, unsigned i, uint64_t v)
{
	for (unsigned b = 0; b < bits; b++)
		at[(i * bits + b) / 8] |= (uint8_t)(((v >> b) & 1) << ((i * bits + b) % 8));
}

static uint64_t get(const uint8_t *at, unsigned bits, unsigned i)
{
	uint64_t v = 0;
	for (unsigned b = 0; b < bits; b++)
		v |= (uint64_t)((at[(i * bits + b) / 8] >> ((i * bits + b) % 8)) & 1) << b;
	return v;
}

/* Every fragment has 128 bytes of a lane's 512 in the buffer: D, A, B, C. */
struct frag {
	char name;
	unsigned regs, size;
	unsigned at;
};

static size_t list(char *out, size_t len, const struct frag *f)
{
	size_t n = 0;
	for (unsigned i = 0; i < f->regs; i++)
		n += (size_t)snprintf(out + n, len - n, "%s%%%c%u", i ? ", " : "", f->name, i);
	return n;
}

/* A kernel that loads the fragments of A, B, C, executes the text (%D, %A … are their registers)
 * and stores D. */
static void run_fragments(const char *text, const struct frag *f, uint8_t *buf)
{
	char ptx[8000], regs[256];
	size_t n = (size_t)snprintf(
	    ptx, sizeof(ptx),
	    ".version 8.7\n.target sm_90\n.address_size 64\n.visible .entry k(.param .u64 p)\n{\n"
	    ".reg .b64 %%rd<4>; .reg .b32 %%r<4>;\n");
	for (int i = 0; i < 4; i++)
		n += (size_t)snprintf(ptx + n, sizeof(ptx) - n, ".reg .b%u %%%c<%u>;\n",
		                      f[i].size * 8, f[i].name, f[i].regs + 1);
	n += (size_t)snprintf(ptx + n, sizeof(ptx) - n,
	                      "ld.param.u64 %%rd0, [p]; mov.u32 %%r0, %%tid.x;\n"
	                      "mul.wide.u32 %%rd1, %%r0, 512; add.u64 %%rd0, %%rd0, %%rd1;\n");
	for (int i = 1; i < 4; i++)
		for (unsigned r = 0; r < f[i].regs; r++)
			n += (size_t)snprintf(ptx + n, sizeof(ptx) - n,
			                      "ld.global.b%u %%%c%u, [%%rd0+%u];\n", f[i].size * 8,
			                      f[i].name, r, f[i].at + r * f[i].size);
	for (; *text; text++) {
		const char *which = "DABC", *w = *text == '%' ? strchr(which, text[1]) : NULL;
		if (w) {
			list(regs, sizeof(regs), &f[w - which]);
			n += (size_t)snprintf(ptx + n, sizeof(ptx) - n, "{%s}", regs);
			text++;
		} else {
			ptx[n++] = *text;
		}
	}
	for (unsigned r = 0; r < f[0].regs; r++)
		n += (size_t)snprintf(ptx + n, sizeof(ptx) - n,
		                      "st.global.b%u [%%rd0+%u], %%%c%u;\n", f[0].size * 8,
		                      f[0].at + r * f[0].size, f[0].name, r);
	snprintf(ptx + n, sizeof(ptx) - n, "ret;\n}\n");
	struct ptx_module *m = load_ptx(ptx);
	must_run(m, "k", (struct shape){.gx = 1, .bx = 32}, &buf);
	ptx_module_free(m);
}

static struct frag frag_of(char name, unsigned at, enum type t, unsigned elements)
{
	unsigned size = types[t].bits == 64 ? 8 : 4;
	return (struct frag){name, elements * types[t].bits / 32 / (size * 8), size, at};
}

TEST(documented_fragments)
{
	uint8_t *buf = device_alloc(NULL, 32 * 512, 64);
	for (size_t t = 0; t < sizeof(mmas) / sizeof(mmas[0]); t++) {
		const struct mma *x = &mmas[t];
		const struct frag f[] = {
		    frag_of('d', 0, x->d, x->m * 8), frag_of('a', 128, x->a, x->m * x->k),
		    frag_of('b', 256, x->b, x->k * 8), frag_of('c', 384, x->c, x->m * 8)};
		char text[200];
		make(x->a, x->b, x->c, x->m, 8, x->k);
		multiply(x->m, 8, x->k, x->bits);
		memset(buf, 0, 32 * 512);
		for (unsigned lane = 0; lane < 32; lane++) {
			uint8_t *at = buf + (size_t)lane * 512;
			unsigned group = lane / 4, id = lane % 4, e = x->e;
			for (unsigned i = 0; i < x->m * x->k / 32; i++)
				put(at + 128, types[x->a].bits, i,
				    encode(x->a, A[group + i / x->half % 2 * 8]
				                  [id * e + i % e + i / x->half / 2 * x->a_step]));
			for (unsigned i = 0; i < x->k * 8 / 32; i++)
				put(at + 256, types[x->b].bits, i,
				    encode(x->b, B[id * e + i % e + i / e * x->b_step][group]));
			for (unsigned i = 0; i < x->m * 8 / 32; i++)
				put(at + 384, types[x->c].bits, i,
				    encode(x->c, C[group + i / 2 * 8][id * 2 + i % 2]));
		}
		snprintf(text, sizeof(text),
		         "mma.sync.aligned.m%un8k%u.row.col.%s.%s.%s.%s%s %%D, %%A, %%B, %%C;\n",
		         x->m, x->k, types[x->d].name, types[x->a].name, types[x->b].name,
		         types[x->c].name, "");
		if (*x->bits)
			snprintf(text, sizeof(text),
			         "mma.sync.aligned.m%un8k%u.row.col.s32.b1.b1.s32%s %%D, %%A, %%B, "
			         "%%C;\n",
			         x->m, x->k, x->bits);
		run_fragments(text, f, buf);
		for (unsigned lane = 0; lane < 32; lane++)
			for (unsigned i = 0; i < x->m * 8 / 32; i++) {
				int want = D[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2];
				uint64_t got = get(buf + (size_t)lane * 512, types[x->d].bits, i);
				ck_assert_msg(got == encode(x->d, want),
				              "%s lane %u, d%u: %llx, not %d", text, lane, i,
				              (unsigned long long)got, want);
			}
	}
	device_free(NULL, buf);
}
TEST_END

/* mma.m8n8k4 with f16: four products, each of lanes 4q … 4q+3 and 16 on. The ISA's formulas. */
TEST(quarter_warps)
{
	uint8_t *buf = device_alloc(NULL, 32 * 512, 64);
	static int a[4][8][4], b[4][4][8], c[4][8][8];
	for (int t = 0; t < 8; t++) {
		bool acol = t & 1, bcol = t & 2, wide = t & 4;
		enum type r = wide ? F32 : F16;
		const struct frag f[] = {frag_of('d', 0, r, 256), frag_of('a', 128, F16, 128),
		                         frag_of('b', 256, F16, 128), frag_of('c', 384, r, 256)};
		char text[200];
		memset(buf, 0, 32 * 512);
		for (unsigned lane = 0; lane < 32; lane++) {
			uint8_t *at = buf + (size_t)lane * 512;
			unsigned q = lane / 4 % 4, id = lane % 4, high = lane < 16 ? 0 : 4;
			for (unsigned i = 0; i < 4; i++) {
				int va = any(F16), vb = any(F16);
				put(at + 128, 16, i, encode(F16, va));
				put(at + 256, 16, i, encode(F16, vb));
				a[q][acol ? i % 4 + high : id + high][acol ? id : i] = va;
				b[q][bcol ? i : id][bcol ? id + high : i + high] = vb;
			}
			for (unsigned i = 0; i < 8; i++) {
				int v = any(F16);
				put(at + 384, types[r].bits, i, encode(r, v));
				if (wide)
					c[q][(lane & 1) + (i & 2) + high]
					 [(i & 4) + (lane & 2) + (i & 1)] = v;
				else
					c[q][id + high][i] = v;
			}
		}
		snprintf(text, sizeof(text),
		         "mma.sync.aligned.m8n8k4.%s.%s.%s.f16.f16.%s %%D, %%A, %%B, %%C;\n",
		         acol ? "col" : "row", bcol ? "col" : "row", types[r].name, types[r].name);
		run_fragments(text, f, buf);
		for (unsigned lane = 0; lane < 32; lane++)
			for (unsigned i = 0; i < 8; i++) {
				unsigned q = lane / 4 % 4, high = lane < 16 ? 0 : 4;
				unsigned m = wide ? (lane & 1) + (i & 2) + high : lane % 4 + high;
				unsigned n = wide ? (i & 4) + (lane & 2) + (i & 1) : i;
				int want = c[q][m][n];
				for (unsigned k = 0; k < 4; k++)
					want += a[q][m][k] * b[q][k][n];
				ck_assert_msg(get(buf + (size_t)lane * 512, types[r].bits, i) ==
				                  encode(r, want),
				              "%s lane %u, d%u", text, lane, i);
			}
	}
	device_free(NULL, buf);
}
TEST_END

/* ---- wmma: from memory to memory */
static const struct wmma {
	const char *bits;
	unsigned m, n, k;
	enum type a, c, d;
	unsigned ra, rb; /* registers of A and B, as PTX has them */
} wmmas[] = {
    {"", 16, 16, 16, F16, F32, F32, 8, 8},        {"", 16, 16, 16, F16, F16, F16, 8, 8},
    {"", 32, 8, 16, F16, F32, F16, 8, 8},         {"", 8, 32, 16, F16, F16, F32, 8, 8},
    {"", 16, 16, 16, BF16, F32, F32, 4, 4},       {"", 32, 8, 16, BF16, F32, F32, 8, 2},
    {"", 8, 32, 16, BF16, F32, F32, 2, 8},        {"", 16, 16, 8, TF32, F32, F32, 4, 4},
    {"", 8, 8, 4, F64, F64, F64, 1, 1},           {"", 16, 16, 16, S8, S32, S32, 2, 2},
    {"", 32, 8, 16, U8, S32, S32, 4, 1},          {"", 8, 32, 16, S8, S32, S32, 1, 4},
    {"", 8, 8, 32, S4, S32, S32, 1, 1},           {"", 8, 8, 32, U4, S32, S32, 1, 1},
    {".xor.popc", 8, 8, 128, B1, S32, S32, 1, 1}, {".and.popc", 8, 8, 128, B1, S32, S32, 1, 1},
};
#define PITCH 48 /* of every matrix in memory, in elements; of single bits 128 */

static size_t registers(char *out, size_t len, char name, unsigned n)
{
	return list(out, len, &(struct frag){.name = name, .regs = n});
}

static void wmma_text(char *ptx, size_t len, const struct wmma *x, const char *la, const char *lb,
                      const char *lc, unsigned pitch, const char *space)
{
	char ra[128], rb[128], rc[128], rd[128], shape[24], kinds[40];
	unsigned wide = types[x->a].bits == 64 ? 64 : 32;
	registers(ra, sizeof(ra), 'a', x->ra);
	registers(rb, sizeof(rb), 'b', x->rb);
	registers(rc, sizeof(rc), 'c', x->m * x->n * types[x->c].bits / 32 / wide);
	registers(rd, sizeof(rd), 'd', x->m * x->n * types[x->d].bits / 32 / wide);
	snprintf(shape, sizeof(shape), "m%un%uk%u", x->m, x->n, x->k);
	if (x->a == F16)
		snprintf(kinds, sizeof(kinds), "%s.%s", types[x->d].name, types[x->c].name);
	else
		snprintf(kinds, sizeof(kinds), "%s.%s.%s.%s", types[x->d].name, types[x->a].name,
		         types[x->a].name, types[x->c].name);
	snprintf(
	    ptx, len,
	    ".version 8.7\n.target sm_90\n.address_size 64\n.visible .entry k(.param .u64 p)\n{\n"
	    ".reg .b64 %%rd<4>; .reg .b32 %%r<4>; .reg .b%u %%a<9>, %%b<9>, %%c<9>, %%d<9>;\n"
	    "ld.param.u64 %%rd0, [p]; mov.u32 %%r0, %u;\n"
	    "wmma.load.a.sync.aligned.%s.%s%s.%s {%s}, [%%rd0+8192], %%r0;\n"
	    "wmma.load.b.sync.aligned.%s.%s%s.%s {%s}, [%%rd0+16384], %u;\n"
	    "wmma.load.c.sync.aligned.%s.%s%s.%s {%s}, [%%rd0+24576], 48;\n"
	    "wmma.mma%s.sync.aligned.%s.%s.%s.%s {%s}, {%s}, {%s}, {%s};\n"
	    "wmma.store.d.sync.aligned.%s.%s%s.%s [%%rd0], {%s}, 48;\nret;\n}\n",
	    wide, pitch, la, shape, space, types[x->a].name, ra, lb, shape, space, types[x->a].name,
	    rb, pitch, lc, shape, space, types[x->c].name, rc, x->bits, la, lb, shape, kinds, rd,
	    ra, rb, rc, lc, shape, space, types[x->d].name, rd);
}

static void wmma(const struct wmma *x, bool acol, bool bcol, bool ccol)
{
	char ptx[3000];
	uint8_t *buf = device_alloc(NULL, 32768, 64);
	unsigned pitch = types[x->a].bits == 1 ? 256 : types[x->a].bits == 4 ? 64 : PITCH;
	make(x->a, x->a, x->c, x->m, x->n, x->k);
	multiply(x->m, x->n, x->k, x->bits);
	for (unsigned m = 0; m < x->m; m++)
		for (unsigned k = 0; k < x->k; k++)
			put(buf + 8192, types[x->a].bits, acol ? k * pitch + m : m * pitch + k,
			    encode(x->a, A[m][k]));
	for (unsigned k = 0; k < x->k; k++)
		for (unsigned n = 0; n < x->n; n++)
			put(buf + 16384, types[x->a].bits, bcol ? n * pitch + k : k * pitch + n,
			    encode(x->a, B[k][n]));
	for (unsigned m = 0; m < x->m; m++)
		for (unsigned n = 0; n < x->n; n++)
			put(buf + 24576, types[x->c].bits, ccol ? n * PITCH + m : m * PITCH + n,
			    encode(x->c, C[m][n]));
	wmma_text(ptx, sizeof(ptx), x, acol ? "col" : "row", bcol ? "col" : "row",
	          ccol ? "col" : "row", pitch, ccol ? ".global" : "");
	struct ptx_module *module = load_ptx(ptx);
	must_run(module, "k", (struct shape){.gx = 1, .bx = 32}, &buf);
	ptx_module_free(module);
	for (unsigned m = 0; m < x->m; m++)
		for (unsigned n = 0; n < x->n; n++) {
			uint64_t got =
			    get(buf, types[x->d].bits, ccol ? n * PITCH + m : m * PITCH + n);
			ck_assert_msg(got == encode(x->d, D[m][n]), "(%u, %u): %llx, not %d\n%s", m,
			              n, (unsigned long long)got, D[m][n], ptx);
		}
	device_free(NULL, buf);
}

TEST(wmma_shapes)
{
	for (size_t i = 0; i < sizeof(wmmas) / sizeof(wmmas[0]); i++)
		for (int l = 0; l < 8; l++)
			if (types[wmmas[i].a].bits >= 8 || (l & 3) == 2)
				wmma(&wmmas[i], l & 1, l & 2, l & 4);
}
TEST_END

/* ---- numbers */
static uint64_t f64_bits(double v)
{
	uint64_t b;
	memcpy(&b, &v, sizeof(b));
	return b;
}

TEST(rounding_of_f64)
{
	static const char *const names[] = {".rn", ".rz", ".rm", ".rp"};
	static const int modes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
	uint8_t *buf = device_alloc(NULL, 32 * 512, 64);
	const struct frag f[] = {frag_of('d', 0, F64, 64), frag_of('a', 128, F64, 32),
	                         frag_of('b', 256, F64, 32), frag_of('c', 384, F64, 64)};
	double a[8][4], b[4][8], c[8][8];
	uint64_t *words = (uint64_t *)buf;
	for (int mode = 0; mode < 4; mode++) {
		char text[100];
		for (unsigned lane = 0; lane < 32; lane++) {
			unsigned g = lane / 4, id = lane % 4;
			a[g][id] = (double)next_random(&state) * 0x1p-63 - 1;
			b[id][g] = (double)next_random(&state) * 0x1p-63 - 1;
			words[lane * 64 + 16] = f64_bits(a[g][id]);
			words[lane * 64 + 32] = f64_bits(b[id][g]);
			for (unsigned i = 0; i < 2; i++) {
				c[g][id * 2 + i] = (double)next_random(&state) * 0x1p-40;
				words[lane * 64 + 48 + i] = f64_bits(c[g][id * 2 + i]);
			}
		}
		snprintf(text, sizeof(text),
		         "mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64%s %%D, %%A, %%B, %%C;\n",
		         names[mode]);
		run_fragments(text, f, buf);
		for (unsigned lane = 0; lane < 32; lane++)
			for (unsigned i = 0; i < 2; i++) {
				unsigned m = lane / 4, n = lane % 4 * 2 + i;
				volatile double want = c[m][n];
				fesetround(modes[mode]);
				for (unsigned k = 0; k < 4; k++)
					want = fma(a[m][k], b[k][n], want);
				fesetround(FE_TONEAREST);
				ck_assert_uint_eq(words[lane * 64 + i], f64_bits(want));
			}
	}
	device_free(NULL, buf);
}
TEST_END

/* One product in lane 0's first element: a0 · b0 + c0. */
static uint32_t product(const char *text, uint32_t a, uint32_t b, uint32_t c, unsigned ra,
                        unsigned rb, unsigned rc)
{
	uint8_t *buf = device_alloc(NULL, 32 * 512, 64);
	const struct frag f[] = {
	    {'d', rc, 4, 0}, {'a', ra, 4, 128}, {'b', rb, 4, 256}, {'c', rc, 4, 384}};
	memcpy(buf + 128, &a, 4);
	memcpy(buf + 256, &b, 4);
	memcpy(buf + 384, &c, 4);
	run_fragments(text, f, buf);
	memcpy(&a, buf, 4);
	device_free(NULL, buf);
	return a;
}

TEST(odd_values)
{
	const char *h = "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 %D, %A, %B, %C;\n";
	const char *hh = "mma.sync.aligned.m16n8k8.row.col.f16.f16.f16.f16 %D, %A, %B, %C;\n";
	const char *t = "mma.sync.aligned.m16n8k4.row.col.f32.tf32.tf32.f32 %D, %A, %B, %C;\n";
	const char *i = "mma.sync.aligned.m8n8k16.row.col.s32.u8.u8.s32 %D, %A, %B, %C;\n";
	const char *is =
	    "mma.sync.aligned.m8n8k16.row.col.satfinite.s32.u8.u8.s32 %D, %A, %B, %C;\n";
	/* the smallest subnormal by one; by infinity; zero by infinity */
	ck_assert_uint_eq(product(h, 1, 0x3c00, 0, 2, 1, 4), 0x33800000);
	ck_assert_uint_eq(product(h, 1, 0x7c00, 0, 2, 1, 4), 0x7f800000);
	ck_assert_uint_eq(product(h, 0, 0x7c00, 0, 2, 1, 4), 0x7fffffff);
	ck_assert_uint_eq(product(h, 0xbc00, 0x3c00, 0x40000000, 2, 1, 4), 0x3f800000);
	/* beyond f16; a tie to even */
	ck_assert_uint_eq(product(hh, 0x7bff, 0x4000, 0, 2, 1, 2) & 0xffff, 0x7c00);
	ck_assert_uint_eq(product(hh, 0x3c00, 0x1000, 0x3c00, 2, 1, 2) & 0xffff, 0x3c00);
	ck_assert_uint_eq(product(hh, 0x3c00, 0x1001, 0x3c00, 2, 1, 2) & 0xffff, 0x3c01);
	/* the lower 13 bits of a tf32 are ignored */
	ck_assert_uint_eq(product(t, 0x3f801fff, 0x3f803fff, 0, 2, 1, 4), 0x3f802000);
	ck_assert_uint_eq(product(i, 2, 3, 0x7fffffff, 1, 1, 2), 0x80000005);
	ck_assert_uint_eq(product(is, 2, 3, 0x7fffffff, 1, 1, 2), 0x7fffffff);
}
TEST_END

/* ---- ldmatrix, stmatrix, movmatrix */
TEST(rows_of_matrices)
{
	uint16_t *buf = device_alloc(NULL, 8192, 64);
	struct ptx_error e;
	/* 32 rows with a gap: through shared memory as they are, then transposed, then moved */
	static const char text[] =
	    ".version 8.7\n.target sm_90\n.address_size 64\n.visible .entry k(.param .u64 p)\n{\n"
	    ".reg .b64 %rd<9>; .reg .b32 %r<20>; .shared .align 16 .b8 s[2048];\n"
	    "ld.param.u64 %rd0, [p]; mov.u32 %r0, %tid.x; mul.wide.u32 %rd1, %r0, 16;\n"
	    "add.u64 %rd1, %rd0, %rd1; mov.u32 %r1, s; mad.lo.u32 %r2, %r0, 48, %r1;\n"
	    "ld.global.v4.u32 {%r4, %r5, %r6, %r7}, [%rd1];\n"
	    "st.shared.v4.u32 [%r2], {%r4, %r5, %r6, %r7}; bar.warp.sync -1;\n"
	    "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r4, %r5, %r6, %r7}, [%r2];\n"
	    "st.global.v4.u32 [%rd1+512], {%r4, %r5, %r6, %r7};\n"
	    "movmatrix.sync.aligned.m8n8.trans.b16 %r8, %r4;\n"
	    "mul.wide.u32 %rd2, %r0, 4; add.u64 %rd2, %rd0, %rd2; st.global.u32 [%rd2+1024], %r8;\n"
	    "stmatrix.sync.aligned.m8n8.x2.trans.shared.b16 [%r2], {%r4, %r5}; bar.warp.sync -1;\n"
	    "ldmatrix.sync.aligned.m8n8.x1.trans.shared::cta.b16 {%r2}, [%r2];\n"
	    "st.global.u32 [%rd2+1152], %r2;\n"
	    "cvta.shared.u64 %rd3, %rd4;\n"
	    "mov.u64 %rd4, s; mad.wide.u32 %rd4, %r0, 48, %rd4; cvta.shared.u64 %rd4, %rd4;\n"
	    "stmatrix.sync.aligned.m8n8.x4.b16 [%rd4], {%r7, %r6, %r5, %r4}; bar.warp.sync -1;\n"
	    "ldmatrix.sync.aligned.m8n8.x2.trans.b16 {%r4, %r5}, [%rd4];\n"
	    "st.global.v2.u32 [%rd1+1280], {%r4, %r5};\nret;\n}\n";
	for (unsigned i = 0; i < 256; i++)
		buf[i] = (uint16_t)(i * 257);
	struct ptx_module *m = load_ptx(text);
	must_run(m, "k", (struct shape){.gx = 1, .bx = 32}, &buf);
	for (unsigned lane = 0; lane < 32; lane++)
		for (unsigned i = 0; i < 2; i++) {
			unsigned row = lane / 4, col = lane % 4 * 2 + i;
			for (unsigned x = 0; x < 4; x++)
				ck_assert_uint_eq(buf[256 + lane * 8 + x * 2 + i],
				                  buf[64 * x + row * 8 + col]);
			ck_assert_uint_eq(buf[512 + lane * 2 + i], buf[col * 8 + row]);
			ck_assert_uint_eq(buf[576 + lane * 2 + i], buf[row * 8 + col]);
			ck_assert_uint_eq(buf[640 + lane * 8 + i], buf[192 + col * 8 + row]);
			ck_assert_uint_eq(buf[642 + lane * 8 + i], buf[128 + col * 8 + row]);
		}
	ptx_module_free(m);
	m = load_ptx(PTX_HEAD
	             ".visible .entry k(.param .u64 p)\n{\n.reg .b32 %r<3>;\n"
	             ".shared .align 16 .b8 s[64];\nmov.u32 %r0, s;\n"
	             "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r1}, [%r0+4];\nret;\n}\n");
	ck_assert_int_eq(run_ptx(m, "k", (struct shape){.gx = 1, .bx = 32}, &buf, NULL, &e),
	                 PTX_MISALIGNED);
	ck_assert_int_eq(e.line, 9);
	ptx_module_free(m);
	m = load_ptx(
	    PTX_HEAD
	    ".visible .entry k(.param .u64 p)\n{\n.reg .b32 %r<3>;\n"
	    ".reg .pred %p;\n.shared .align 16 .b8 s[64];\n"
	    "mov.u32 %r0, %tid.x; setp.lt.u32 %p, %r0, 8;\n"
	    "@%p ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r1}, [s];\nbar.sync 0; ret;\n}\n");
	ck_assert_int_eq(run_ptx(m, "k", (struct shape){.gx = 1, .bx = 32}, &buf, NULL, &e),
	                 PTX_BARRIER);
	ptx_module_free(m);
	device_free(NULL, buf);
}
TEST_END

TESTS("ptx_matrix", documented_fragments, quarter_warps, wmma_shapes, rounding_of_f64, odd_values,
      rows_of_matrices)
