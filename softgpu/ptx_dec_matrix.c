// SPDX-License-Identifier: Apache-2.0
/* ptx_dec_matrix.c: wmma, mma, ldmatrix, stmatrix, movmatrix (ptx_matrix.h has the model). */
#include <stdio.h>
#include <string.h>

#include "ptx_dec.h"

static const struct ptx_type b32_type = {"b32", 'b', 4};
static const struct ptx_type b64_type = {"b64", 'b', 8};

/* ---- element types */
static const struct {
	const char *name;
	uint8_t bits;
} elements[] = {
    [PTX_E_F16] = {".f16", 16},  [PTX_E_BF16] = {".bf16", 16}, [PTX_E_TF32] = {".tf32", 32},
    [PTX_E_F32] = {".f32", 32},  [PTX_E_F64] = {".f64", 64},   [PTX_E_E4M3] = {".e4m3", 8},
    [PTX_E_E5M2] = {".e5m2", 8}, [PTX_E_S8] = {".s8", 8},      [PTX_E_U8] = {".u8", 8},
    [PTX_E_S4] = {".s4", 4},     [PTX_E_U4] = {".u4", 4},      [PTX_E_B1] = {".b1", 1},
    [PTX_E_S32] = {".s32", 32},
};
#define N_ELEMENTS (sizeof(elements) / sizeof(elements[0]))

/* The next modifier that names one; false: none left. */
static bool take_element(struct ptx_dec *d, struct ptx_fragment *f)
{
	struct ptx_stmt *s = d->stmt;
	for (uint32_t i = 0; i < s->n_mod; i++)
		for (uint8_t e = 0; !s->taken[i] && e < N_ELEMENTS; e++)
			if (ptx_str_is(s->mod[i], elements[e].name)) {
				s->taken[i] = true;
				f->element = e;
				f->bits = elements[e].bits;
				return true;
			}
	return false;
}

static bool is_small_int(uint8_t e)
{
	return e == PTX_E_S8 || e == PTX_E_U8 || e == PTX_E_S4 || e == PTX_E_U4;
}

/* ---- shapes: PTX ISA, "Matrix Shape" of wmma and of mma */
static const struct shape {
	uint16_t m, n, k;
	uint8_t bits; /* of an element of A */
	bool wmma, with_float, with_int;
} shapes[] = {
    {16, 16, 16, 16, true, true, false}, {32, 8, 16, 16, true, true, false},
    {8, 32, 16, 16, true, true, false},  {16, 16, 16, 8, true, false, true},
    {32, 8, 16, 8, true, false, true},   {8, 32, 16, 8, true, false, true},
    {16, 16, 8, 32, true, true, false},  {8, 8, 4, 64, true, true, false},
    {8, 8, 32, 4, true, false, true},    {8, 8, 128, 1, true, false, true},
    {8, 8, 4, 16, false, true, false},   {16, 8, 8, 16, false, true, false},
    {16, 8, 16, 16, false, true, false}, {16, 8, 4, 32, false, true, false},
    {16, 8, 8, 32, false, true, false},  {8, 8, 4, 64, false, true, false},
    {16, 8, 4, 64, false, true, false},  {16, 8, 8, 64, false, true, false},
    {16, 8, 16, 64, false, true, false}, {8, 8, 16, 8, false, false, true},
    {16, 8, 16, 8, false, true, true},   {16, 8, 32, 8, false, true, true},
    {8, 8, 32, 4, false, false, true},   {16, 8, 32, 4, false, false, true},
    {16, 8, 64, 4, false, false, true},  {8, 8, 128, 1, false, false, true},
    {16, 8, 128, 1, false, false, true}, {16, 8, 256, 1, false, false, true},
};

static void take_shape(struct ptx_dec *d, struct ptx_matrix *x)
{
	struct ptx_stmt *s = d->stmt;
	for (uint32_t i = 0; i < s->n_mod; i++) {
		char text[16], end;
		unsigned m, n, k;
		snprintf(text, sizeof(text), "%.*s", (int)(s->mod[i].len < 15 ? s->mod[i].len : 15),
		         s->mod[i].p);
		if (s->taken[i] || sscanf(text, ".m%2un%2uk%3u%c", &m, &n, &k, &end) != 3)
			continue;
		s->taken[i] = true;
		x->m = (uint8_t)m;
		x->n = (uint8_t)n;
		x->k = (uint16_t)k;
		return;
	}
	ptx_unsupported(d, "without a shape it is");
}

/* Is there this shape for this element of A (or B)? */
static void check_shape(struct ptx_dec *d, const struct ptx_matrix *x, const struct ptx_fragment *f)
{
	bool integer = is_small_int(f->element) || f->element == PTX_E_B1;
	bool factor = f->element != PTX_E_F32 && f->element != PTX_E_S32;
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]) && factor; i++) {
		const struct shape *s = &shapes[i];
		if (s->wmma == x->wmma && s->m == x->m && s->n == x->n && s->k == x->k &&
		    s->bits == f->bits && (integer ? s->with_int : s->with_float) &&
		    !(x->quads && f->element != PTX_E_F16))
			return;
	}
	ptx_unsupported(d, "this shape with this type is");
}

/* How many registers a lane has of a fragment. */
static void count_registers(struct ptx_matrix *x, enum ptx_factor which)
{
	struct ptx_fragment *f = &x->of[which];
	uint32_t rows = which == PTX_B ? x->n : x->m;
	uint32_t cols = which >= PTX_C ? x->n : x->k;
	uint32_t reg_bits = f->bits == 64 ? 64 : 32;
	/* of four products a quarter of the warp has one */
	f->whole = (uint8_t)(rows * cols * f->bits * (x->quads ? 4 : 1) / 32 / reg_bits);
	f->regs = x->wmma && which < PTX_C && f->element == PTX_E_F16 ? 8 : f->whole;
}

static bool take_major(struct ptx_dec *d, bool *col)
{
	struct ptx_stmt *s = d->stmt;
	for (uint32_t i = 0; i < s->n_mod; i++) {
		if (s->taken[i])
			continue;
		*col = ptx_str_is(s->mod[i], ".col");
		if (*col || ptx_str_is(s->mod[i], ".row"))
			return s->taken[i] = true;
	}
	return false;
}

static void take_sync(struct ptx_dec *d)
{
	if (!ptx_take(d, ".sync") || !ptx_take(d, ".aligned"))
		ptx_unsupported(d, NULL);
}

/* ---- register lists */
static const struct ptx_type *register_type(const struct ptx_fragment *f)
{
	return f->bits == 64 ? &b64_type : &b32_type;
}

/* Appends a fragment's registers to the list that begins at in->target. */
static void add_registers(struct ptx_dec *d, const struct ptx_fragment *f, const struct ptx_opd *o,
                          bool written, struct ptx_inst *in)
{
	const struct ptx_type *t = register_type(f);
	const struct ptx_opd *items = o->kind == PTX_O_VEC ? o->items : o;
	uint32_t n = o->kind == PTX_O_VEC ? o->n_items : 1, regs[16];
	if (n != f->regs || n > 16)
		ptx_bad(d, "the number of registers differs from the fragment's");
	for (uint32_t i = 0; i < n; i++)
		regs[i] = written ? ptx_dst(d, &items[i], t->size) : ptx_src(d, &items[i], t);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = ptx_ext(d, regs[i]);
		if (!in->vec && !in->rsize)
			in->target = at;
		in->vec += written;
		in->rsize += !written;
	}
}

struct ptx_matrix_node {
	struct ptx_matrix_node *next;
	const struct ptx_matrix *kept;
};

static bool same_fragment(const struct ptx_fragment *a, const struct ptx_fragment *b)
{
	return a->element == b->element && a->bits == b->bits && a->regs == b->regs &&
	       a->whole == b->whole && a->col == b->col;
}

static bool same(const struct ptx_matrix *a, const struct ptx_matrix *b)
{
	for (int i = 0; i < 4; i++)
		if (!same_fragment(&a->of[i], &b->of[i]))
			return false;
	return a->m == b->m && a->n == b->n && a->k == b->k && a->which == b->which &&
	       a->wmma == b->wmma && a->quads == b->quads && a->trans == b->trans &&
	       a->saturate == b->saturate && a->with_and == b->with_and && a->round == b->round;
}

/* One for all instructions of a kernel that differ in registers only. */
static const struct ptx_matrix *keep(struct ptx_dec *d, const struct ptx_matrix *x)
{
	struct ptx_matrix_node *n = d->matrices;
	while (n && !same(n->kept, x))
		n = n->next;
	if (n)
		return n->kept;
	struct ptx_matrix *kept = ptx_keep(d, x, sizeof(*x));
	for (int i = 0; i < 4 && x->k; i++) {
		uint32_t n_elements = x->of[i].regs * ptx_matrix_per_register(&x->of[i]);
		uint16_t *map =
		    ptx_alloc(d->ld, d->ld->keep, n_elements * PTX_LANES * sizeof(*map));
		ptx_matrix_map(x, (enum ptx_factor)i, map);
		kept->map[i] = map;
	}
	n = ptx_alloc(d->ld, &d->ld->temp, sizeof(*n));
	*n = (struct ptx_matrix_node){d->matrices, kept};
	d->matrices = n;
	return kept;
}

static void emit(struct ptx_dec *d, struct ptx_inst *in, const struct ptx_matrix *x)
{
	in->matrix = keep(d, x);
	ptx_emit_built(d, PTX_K_MATRIX, in);
}

/* ---- wmma.load and wmma.store */
static void decode_fragment(struct ptx_dec *d, struct ptx_matrix *x, bool store)
{
	static const char *const parts[] = {".a", ".b", ".c", ".d", NULL};
	struct ptx_inst in = {.op = store ? PTX_X_STORE : PTX_X_LOAD};
	const struct ptx_opd *o = d->stmt->opd;
	int which = ptx_take_any(d, parts);
	take_sync(d);
	take_shape(d, x);
	int space = ptx_take_space(d);
	if (which < 0 || store != (which == PTX_D))
		ptx_unsupported(d, NULL);
	struct ptx_fragment *f = &x->of[which];
	if (!take_major(d, &f->col) || !take_element(d, f))
		ptx_unsupported(d, "without a layout and a type it is");
	x->which = (uint8_t)which;
	if (which < PTX_C)
		check_shape(d, x, f);
	else if (f->element != PTX_E_F16 && f->element != PTX_E_F32 && f->element != PTX_E_F64 &&
	         f->element != PTX_E_S32)
		ptx_unsupported(d, NULL);
	if (f->bits < 8 && f->col != (which == PTX_B))
		ptx_unsupported(d, "this layout with elements smaller than a byte is");
	count_registers(x, (enum ptx_factor)which);
	ptx_need_operands(d, 2, 3);
	const struct ptx_opd *address = &o[store ? 0 : 1], *regs = &o[store ? 1 : 0];
	ptx_address(d, address, space, &in);
	uint32_t rows = which == PTX_B ? x->k : x->m, cols = which == PTX_A ? x->k : x->n;
	in.b = d->stmt->n_opd == 3 ? ptx_src(d, &o[2], &b32_type)
	                           : ptx_const(d, f->col ? rows : cols, 4);
	add_registers(d, f, regs, !store, &in);
	emit(d, &in, x);
}

/* ---- the products */
static void check_types(struct ptx_dec *d, const struct ptx_matrix *x)
{
	const struct ptx_fragment *f = x->of;
	uint8_t a = f[PTX_A].element, b = f[PTX_B].element, c = f[PTX_C].element,
		r = f[PTX_D].element;
	bool eight = a == PTX_E_E4M3 || a == PTX_E_E5M2;
	bool mixed = (eight && (b == PTX_E_E4M3 || b == PTX_E_E5M2)) ||
	             (is_small_int(a) && is_small_int(b) && f[PTX_A].bits == f[PTX_B].bits);
	bool half = (a == PTX_E_F16 || eight) && (c == PTX_E_F16 || c == PTX_E_F32) &&
	            (r == PTX_E_F16 || r == PTX_E_F32);
	uint8_t result = a == PTX_E_F64                     ? PTX_E_F64
	                 : is_small_int(a) || a == PTX_E_B1 ? PTX_E_S32
	                                                    : PTX_E_F32;
	if ((a != b && !mixed) || (!half && (c != result || r != result)))
		ptx_unsupported(d, "this combination of types is");
}

static void decode_multiply(struct ptx_dec *d, struct ptx_matrix *x)
{
	static const enum ptx_factor order[] = {PTX_D, PTX_A, PTX_B, PTX_C};
	struct ptx_inst in = {.op = PTX_X_MULTIPLY};
	const struct ptx_opd *o = d->stmt->opd;
	x->with_and = ptx_take(d, ".and");
	bool bits = (x->with_and || ptx_take(d, ".xor")) && ptx_take(d, ".popc");
	take_sync(d);
	take_shape(d, x);
	if (!take_major(d, &x->of[PTX_A].col) || !take_major(d, &x->of[PTX_B].col))
		ptx_unsupported(d, "without layouts it is");
	for (int i = 0; i < 4; i++)
		if (!take_element(d, &x->of[order[i]])) {
			/* wmma.mma….f32.f16 has D and C only */
			if (i != 2 || !x->wmma)
				ptx_unsupported(d, "without its types it is");
			x->of[PTX_C] = x->of[PTX_A];
			x->of[PTX_A].element = x->of[PTX_B].element = PTX_E_F16;
			x->of[PTX_A].bits = x->of[PTX_B].bits = 16;
			break;
		}
	x->quads = !x->wmma && x->m == 8 && x->k == 4 && x->of[PTX_A].element == PTX_E_F16;
	if (!x->wmma && !x->quads && (x->of[PTX_A].col || !x->of[PTX_B].col))
		ptx_unsupported(d, "a layout other than .row.col is");
	check_shape(d, x, &x->of[PTX_A]);
	check_types(d, x);
	if (bits != (x->of[PTX_A].element == PTX_E_B1))
		ptx_unsupported(d, NULL);
	if (is_small_int(x->of[PTX_A].element))
		x->saturate = ptx_take(d, ".satfinite");
	if (x->of[PTX_A].element == PTX_E_F64) {
		int round = ptx_take_round(d);
		x->round = round < 0 ? PTX_RN : (uint8_t)round;
	}
	ptx_need_operands(d, 4, 4);
	for (int i = 0; i < 4; i++) {
		count_registers(x, order[i]);
		add_registers(d, &x->of[order[i]], &o[i], i == 0, &in);
	}
	emit(d, &in, x);
}

static void decode_wmma(struct ptx_dec *d, const struct ptx_opcode *self)
{
	static const char *const ops[] = {".load", ".store", ".mma", NULL};
	struct ptx_matrix x = {.wmma = true};
	int op = ptx_take_any(d, ops);
	if (op < 0)
		ptx_unsupported(d, NULL);
	if (op == 2)
		decode_multiply(d, &x);
	else
		decode_fragment(d, &x, op == 1);
}

static void decode_mma(struct ptx_dec *d, const struct ptx_opcode *self)
{
	struct ptx_matrix x = {0};
	decode_multiply(d, &x);
}

/* ---- ldmatrix, stmatrix, movmatrix: one to four matrices of 8 × 8 elements of 16 bits */
static void decode_rows(struct ptx_dec *d, const struct ptx_opcode *self)
{
	static const char *const counts[] = {".x1", ".x2", ".x4", NULL};
	bool store = self->arg == PTX_X_STORE8;
	struct ptx_inst in = {.op = (uint8_t)self->arg};
	const struct ptx_opd *o = d->stmt->opd;
	take_sync(d);
	int count = ptx_take_any(d, counts);
	struct ptx_matrix x = {.m = 8, .n = 8, .trans = ptx_take(d, ".trans")};
	if (!ptx_take(d, ".m8n8") || count < 0)
		ptx_unsupported(d, NULL);
	int space = ptx_take_space(d);
	if ((space >= 0 && space != PTX_SPACE_SHARED) || !ptx_take(d, ".b16"))
		ptx_unsupported(d, NULL);
	ptx_need_operands(d, 2, 2);
	ptx_address(d, &o[store ? 0 : 1], space, &in);
	x.of[0] =
	    (struct ptx_fragment){.element = PTX_E_F16, .bits = 16, .regs = (uint8_t)(1u << count)};
	add_registers(d, &x.of[0], &o[store ? 1 : 0], !store, &in);
	emit(d, &in, &x);
}

static void decode_movmatrix(struct ptx_dec *d, const struct ptx_opcode *self)
{
	struct ptx_inst in = {.op = PTX_X_TRANSPOSE};
	struct ptx_matrix x = {.m = 8, .n = 8, .trans = true};
	take_sync(d);
	if (!ptx_take(d, ".m8n8") || !ptx_take(d, ".trans") || !ptx_take(d, ".b16"))
		ptx_unsupported(d, NULL);
	ptx_need_operands(d, 2, 2);
	x.of[0] = (struct ptx_fragment){.element = PTX_E_F16, .bits = 16, .regs = 1};
	add_registers(d, &x.of[0], &d->stmt->opd[0], true, &in);
	add_registers(d, &x.of[0], &d->stmt->opd[1], false, &in);
	emit(d, &in, &x);
}

const struct ptx_opcode ptx_matrix_opcodes[] = {
    {"wmma", decode_wmma, NULL, NULL, 0},
    {"mma", decode_mma, NULL, NULL, 0},
    {"ldmatrix", decode_rows, NULL, NULL, PTX_X_LOAD8},
    {"stmatrix", decode_rows, NULL, NULL, PTX_X_STORE8},
    {"movmatrix", decode_movmatrix, NULL, NULL, 0},
    {NULL, NULL, NULL, NULL, 0},
};
