// SPDX-License-Identifier: Apache-2.0
/*
 * ptx_exec_matrix.c: matrix fragments: loads, stores, products (ptx_matrix.h has the model). All
 * live lanes of the warp are there.
 *
 * PTX leaves the order and the rounding of sums open, but for f64 (a chain of fused multiply-adds).
 * Here products are exact and summed up in double precision, then rounded once.
 */
#include <fenv.h>
#include <math.h>
#include <string.h>

#include "ptx_exec.h"

#define SIDE PTX_MATRIX_SIDE
typedef double doubles[SIDE * SIDE] __attribute__((aligned(32)));
typedef int32_t ints[SIDE * SIDE] __attribute__((aligned(32)));

/* ---- fragments as matrices and back */
struct gather {
	const struct ptx_warp *w;
	const struct ptx_matrix *x;
	const uint32_t *regs[4]; /* by enum ptx_factor */
};

/* Element i of all lanes, of each of the first n registers the j-th. */
#define EACH_ELEMENT(f, n, i, r, j)                                                                \
	for (uint32_t per = ptx_matrix_per_register(f), r = 0, i = 0; r < (n); r++)                \
		for (uint32_t j = 0; j < per; j++, i++)

static void widen(const struct gather *g, const struct ptx_fragment *f, const void *reg, uint32_t j,
                  double *out)
{
	const struct ptx_lane_set *lanes = g->w->worker->lanes;
	const uint32_t *words = reg;
	switch ((enum ptx_element)f->element) {
	case PTX_E_F16:
		lanes->widen_f16(out, words, 16 * j);
		break;
	case PTX_E_BF16:
		lanes->widen_f32(out, words, 16 - 16 * j, 0xffff0000);
		break;
	case PTX_E_TF32: /* the rest is ignored */
		lanes->widen_f32(out, words, 0, 0xffffe000);
		break;
	case PTX_E_F64:
		memcpy(out, reg, PTX_LANES * sizeof(*out));
		break;
	case PTX_E_E4M3:
	case PTX_E_E5M2:
		for (uint32_t lane = 0; lane < PTX_LANES; lane++) {
			uint8_t v = (uint8_t)(words[lane] >> (8 * j));
			out[lane] = f->element == PTX_E_E4M3 ? ptx_e4m3_to(v) : ptx_e5m2_to(v);
		}
		break;
	default:
		lanes->widen_f32(out, words, 0, UINT32_MAX);
	}
}

static void gather_doubles(const struct gather *g, enum ptx_factor which, double *out)
{
	const struct ptx_fragment *f = &g->x->of[which];
	EACH_ELEMENT(f, f->whole, i, r, j)
	{
		const uint16_t *map = g->x->map[which] + i * PTX_LANES;
		double v[PTX_LANES];
		widen(g, f, ptx_reg(g->w, g->regs[which][r]), j, v);
		for (uint32_t lane = 0; lane < PTX_LANES; lane++)
			out[map[lane]] = v[lane];
	}
}

static void gather_ints(const struct gather *g, enum ptx_factor which, int32_t *out)
{
	const struct ptx_fragment *f = &g->x->of[which];
	bool sign = f->element == PTX_E_S8;
	EACH_ELEMENT(f, f->whole, i, r, j)
	{
		const uint16_t *map = g->x->map[which] + i * PTX_LANES;
		const uint32_t *words = (const uint32_t *)ptx_reg(g->w, g->regs[which][r]);
		uint32_t up = f->bits == 8 ? 24 - 8 * j : 0, down = f->bits == 8 ? 24 : 0;
		int32_t v[PTX_LANES];
		for (uint32_t lane = 0; lane < PTX_LANES && sign; lane++)
			v[lane] = (int32_t)(words[lane] << up) >> down;
		for (uint32_t lane = 0; lane < PTX_LANES && !sign; lane++)
			v[lane] = (int32_t)((words[lane] << up) >> down);
		for (uint32_t lane = 0; lane < PTX_LANES; lane++)
			out[map[lane]] = v[lane];
	}
}

static void narrow_to_f32(float *out, const double *v)
{
	static const uint32_t nan_bits = 0x7fffffff;
	float nan;
	memcpy(&nan, &nan_bits, sizeof(nan));
	for (uint32_t lane = 0; lane < PTX_LANES; lane++)
		out[lane] = v[lane] != v[lane] ? nan : (float)v[lane];
}

static void give_doubles(const struct gather *g, const double *in)
{
	const struct ptx_fragment *f = &g->x->of[PTX_D];
	EACH_ELEMENT(f, f->whole, i, r, j)
	{
		const uint16_t *map = g->x->map[PTX_D] + i * PTX_LANES;
		uint8_t *reg = ptx_reg(g->w, g->regs[PTX_D][r]);
		double v[PTX_LANES];
		for (uint32_t lane = 0; lane < PTX_LANES; lane++)
			v[lane] = in[map[lane]];
		if (f->bits == 64)
			memcpy(reg, v, sizeof(v));
		else if (f->bits == 32)
			narrow_to_f32((void *)reg, v);
		for (uint32_t lane = 0; lane < PTX_LANES && f->bits == 16; lane++)
			((uint16_t *)reg)[2 * lane + j] = ptx_f16_from(v[lane], 0);
	}
}

/* ---- products */
static void multiply_float(const struct gather *g)
{
	static const int modes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
	const struct ptx_matrix *x = g->x;
	doubles a, b, c;
	struct ptx_product p = {.m = x->quads ? 4u * x->m : x->m,
	                        .n = x->n,
	                        .k = x->k,
	                        .apart = x->m,
	                        .chain = x->of[PTX_A].element == PTX_E_F64};
	gather_doubles(g, PTX_A, a);
	gather_doubles(g, PTX_B, b);
	gather_doubles(g, PTX_C, c);
	if (x->round)
		fesetround(modes[x->round]);
	g->w->worker->lanes->product(c, a, b, &p);
	if (x->round)
		fesetround(FE_TONEAREST);
	give_doubles(g, c);
}

/* The sum of products of two words of elements smaller than a byte. */
static int32_t multiply_words(const struct ptx_matrix *x, uint32_t a, uint32_t b)
{
	bool sa = x->of[PTX_A].element == PTX_E_S4, sb = x->of[PTX_B].element == PTX_E_S4;
	int32_t sum = 0;
	if (x->of[PTX_A].bits == 1)
		return __builtin_popcount(x->with_and ? a & b : a ^ b);
	for (unsigned i = 0; i < 32; i += 4) {
		int32_t va = (int32_t)(a >> i) & 15, vb = (int32_t)(b >> i) & 15;
		sum += (sa && va > 7 ? va - 16 : va) * (sb && vb > 7 ? vb - 16 : vb);
	}
	return sum;
}

static void product_words(const struct ptx_matrix *x, int32_t *out, const int32_t *a,
                          const int32_t *b)
{
	for (uint32_t m = 0; m < x->m; m++)
		for (uint32_t n = 0; n < x->n; n++) {
			int32_t sum = 0;
			for (uint32_t k = 0; k < ptx_matrix_depth(x); k++)
				/* the maps cover the matrices */
				// NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage)
				sum += multiply_words(x, (uint32_t)a[m * SIDE + k],
				                      (uint32_t)b[k * SIDE + n]);
			out[m * SIDE + n] = sum;
		}
}

static void multiply_int(const struct gather *g)
{
	const struct ptx_matrix *x = g->x;
	const struct ptx_fragment *f = &x->of[PTX_D];
	const struct ptx_product p = {.m = x->m, .n = x->n, .k = x->k, .apart = x->m};
	ints a, b, c, sums;
	gather_ints(g, PTX_A, a);
	gather_ints(g, PTX_B, b);
	gather_ints(g, PTX_C, c);
	if (x->of[PTX_A].bits < 8)
		product_words(x, sums, a, b);
	else
		g->w->worker->lanes->product_int(sums, a, b, &p);
	EACH_ELEMENT(f, f->whole, i, r, j)
	{
		const uint16_t *map = x->map[PTX_D] + i * PTX_LANES;
		uint32_t *reg = (uint32_t *)ptx_reg(g->w, g->regs[PTX_D][r]);
		for (uint32_t lane = 0; lane < PTX_LANES; lane++) {
			int64_t v = (int64_t)c[map[lane]] + sums[map[lane]];
			if (x->saturate)
				v = v > INT32_MAX ? INT32_MAX : v < INT32_MIN ? INT32_MIN : v;
			reg[lane] = (uint32_t)v;
		}
	}
}

/* D may lie where a factor was: everything is gathered before anything is given. */
static void multiply(struct ptx_warp *w, const struct ptx_inst *in, const uint32_t *list)
{
	const struct ptx_matrix *x = in->matrix;
	struct gather g = {.w = w, .x = x};
	g.regs[PTX_D] = list;
	g.regs[PTX_A] = g.regs[PTX_D] + x->of[PTX_D].regs;
	g.regs[PTX_B] = g.regs[PTX_A] + x->of[PTX_A].regs;
	g.regs[PTX_C] = g.regs[PTX_B] + x->of[PTX_B].regs;
	if (x->of[PTX_D].element == PTX_E_S32)
		multiply_int(&g);
	else
		multiply_float(&g);
}

/* ---- memory: lines of a matrix, in pieces that are checked one by one */
struct lines {
	struct ptx_warp *w;
	struct ptx_inst access; /* the instruction as a load or store, for what it finds wrong */
	unsigned lane;          /* that is named then */
	bool store;
};

static struct lines lines_of(struct ptx_warp *w, const struct ptx_inst *in, bool store)
{
	struct lines l = {.w = w, .access = *in, .store = store};
	l.access.kind = store ? PTX_K_ST : PTX_K_LD;
	l.lane = (unsigned)__builtin_ctz(w->live);
	return l;
}

/* Between memory and `bytes` (a multiple of `step`); elements are `step` bytes. */
static bool line(struct lines *l, uint64_t addr, uint8_t *bytes, uint32_t n, uint32_t step)
{
	if (!(addr & 15) && !(n & 15))
		step = 16;
	for (uint32_t at = 0; at < n; at += step) {
		enum ptx_space space;
		uint8_t *p = ptx_locate(l->w, &l->access, l->lane, addr + at, step, &space);
		if (!p)
			return false;
		if (l->store)
			ptx_copy_out(p, bytes + at, step);
		else
			ptx_copy_in(bytes + at, p, step);
		if (space == PTX_SPACE_GLOBAL)
			l->w->worker->res.global_bytes += step;
	}
	return true;
}

/* Between registers and a tile of lines of `width` elements, those of memory; PER of them are in a
 * register. */
#define EXCHANGE(T, PER)                                                                           \
	for (uint32_t i = 0; i < f->whole * (uint32_t)(PER); i++) {                                \
		const uint16_t *map = x->map[which] + i * PTX_LANES;                               \
		T *reg = (T *)ptx_reg(w, list[i / (PER)]) + i % (PER);                             \
		for (uint32_t lane = 0; lane < PTX_LANES; lane++) {                                \
			T *at = (T *)tile + map[lane] / SIDE * down + map[lane] % SIDE * right;    \
			if (store)                                                                 \
				*at = reg[lane * (PER)];                                           \
			else                                                                       \
				reg[lane * (PER)] = *at;                                           \
		}                                                                                  \
	}

static void exchange(struct ptx_warp *w, const struct ptx_matrix *x, const uint32_t *list,
                     void *tile, uint32_t width, bool store)
{
	enum ptx_factor which = (enum ptx_factor)x->which;
	const struct ptx_fragment *f = &x->of[which];
	uint32_t down = f->col ? 1 : width, right = f->col ? width : 1;
	switch (f->bits) {
	case 8:
		EXCHANGE(uint8_t, 4)
		break;
	case 16:
		EXCHANGE(uint16_t, 2)
		break;
	case 64:
		EXCHANGE(uint64_t, 1)
		break;
	default:
		EXCHANGE(uint32_t, 1)
	}
	for (uint32_t r = f->whole; r < f->regs && !store; r++) /* copies: of 32 bits */
		memcpy(ptx_reg(w, list[r]), ptx_reg(w, list[r % f->whole]), 4 * PTX_LANES);
}

/* wmma.load and wmma.store: all lanes have one address and one stride, of line to line. */
static bool fragment(struct ptx_warp *w, const struct ptx_inst *in, const uint32_t *list)
{
	const struct ptx_matrix *x = in->matrix;
	const struct ptx_fragment *f = &x->of[x->which];
	uint8_t tile[SIDE * SIDE * 8] __attribute__((aligned(16)));
	uint64_t addr[PTX_LANES];
	uint32_t size = f->bits < 8 ? 4 : f->bits / 8u, deep = ptx_matrix_depth(x);
	uint32_t height = x->which == PTX_B ? deep : x->m, width = x->which == PTX_A ? deep : x->n;
	uint32_t n = f->col ? width : height, across = f->col ? height : width;
	struct lines l = lines_of(w, in, x->which == PTX_D);
	uint64_t stride = (uint64_t)((const uint32_t *)ptx_reg(w, in->b))[l.lane] * f->bits / 8;
	ptx_addresses(w, in, addr);
	if (l.store)
		exchange(w, x, list, tile, across, true);
	for (uint32_t i = 0; i < n; i++)
		if (!line(&l, addr[l.lane] + i * stride, tile + (size_t)i * across * size,
		          across * size, size))
			return false;
	if (!l.store)
		exchange(w, x, list, tile, across, false);
	return true;
}

/* ldmatrix, stmatrix: lane 8·m + r has the address of row r of matrix m; lane L of the fragment
 * has the elements 2·(L%4) and the next of row L/4, transposed of column L/4. */
static bool rows(struct ptx_warp *w, const struct ptx_inst *in, const uint32_t *list)
{
	const struct ptx_matrix *x = in->matrix;
	struct lines l = lines_of(w, in, in->op == PTX_X_STORE8);
	uint64_t addr[PTX_LANES];
	ptx_addresses(w, in, addr); /* before a register of the result takes the place */
	for (uint32_t m = 0; m < x->of[0].regs; m++) {
		uint32_t *reg = (uint32_t *)ptx_reg(w, list[m]);
		uint16_t e[8][8];
		for (uint32_t lane = 0; lane < PTX_LANES && l.store; lane++)
			for (uint32_t i = 0; i < 2; i++) {
				uint32_t r = lane / 4, c = lane % 4 * 2 + i;
				e[x->trans ? c : r][x->trans ? r : c] =
				    (uint16_t)(reg[lane] >> (16 * i));
			}
		for (uint32_t r = 0; r < 8; r++) {
			l.lane = 8 * m + r;
			if (addr[l.lane] & 15)
				return ptx_fault(w, in, l.lane, PTX_MISALIGNED,
				                 "misaligned address 0x%llx: a row of a matrix "
				                 "begins at a multiple of 16",
				                 (unsigned long long)addr[l.lane]);
			if (!line(&l, addr[l.lane], (uint8_t *)e[r], 16, 16))
				return false;
		}
		for (uint32_t lane = 0; lane < PTX_LANES && !l.store; lane++) {
			uint32_t r = lane / 4, c = lane % 4 * 2;
			reg[lane] = x->trans ? e[c][r] | (uint32_t)e[c + 1][r] << 16
			                     : e[r][c] | (uint32_t)e[r][c + 1] << 16;
		}
	}
	return true;
}

static void transpose(struct ptx_warp *w, const uint32_t *list)
{
	uint32_t *d = (uint32_t *)ptx_reg(w, list[0]), out[PTX_LANES];
	const uint16_t *a = (const uint16_t *)ptx_reg(w, list[1]); /* 8 a row */
	for (uint32_t lane = 0; lane < PTX_LANES; lane++) {
		uint32_t r = lane / 4, c = lane % 4 * 2;
		out[lane] = a[8 * c + r] | (uint32_t)a[8 * (c + 1) + r] << 16;
	}
	memcpy(d, out, sizeof(out));
}

bool ptx_exec_matrix(struct ptx_warp *w, const struct ptx_inst *in)
{
	const uint32_t *list = &w->worker->job->k->ext[in->target];
	switch ((enum ptx_matrix_op)in->op) {
	case PTX_X_MULTIPLY:
		multiply(w, in, list);
		return true;
	case PTX_X_TRANSPOSE:
		transpose(w, list);
		return true;
	case PTX_X_LOAD8:
	case PTX_X_STORE8:
		return rows(w, in, list);
	default:
		return fragment(w, in, list);
	}
}
