// SPDX-License-Identifier: Apache-2.0
/*
 * ptx_dec_texture.c: tex, tld4, txq, suld, sust, sured, suq: of objects by their handles in
 * registers (the unified mode, the only one that nvcc has had since CUDA 12). Images of several
 * samples, texture references and samplers of their own are refused, and so are formatted stores.
 */
#include <string.h>

#include "ptx_dec.h"
#include "ptx_texture.h"

static const struct ptx_type b32_type = {"b32", 'b', 4}, f32_type = {"f32", 'f', 4},
			     b64_type = {"b64", 'b', 8};

/* "[image, {…}]": its handle. */
static uint32_t handle(struct ptx_dec *d, const struct ptx_opd *o)
{
	struct ptx_opd reg = *o;
	if (o->kind != PTX_O_MEM)
		ptx_bad(d, "an image in brackets is expected");
	if (!o->has_base || o->offset)
		ptx_unsupported(d, "an image that is not a handle in a register is");
	reg.kind = PTX_O_REG;
	reg.n_items = 0;
	return ptx_src(d, &reg, &b64_type);
}

static enum ptx_geometry take_geometry(struct ptx_dec *d)
{
	static const char *const names[] = {".1d",  ".2d",   ".3d",    ".a1d",
	                                    ".a2d", ".cube", ".acube", NULL};
	int g = ptx_take_any(d, names);
	if (g < 0)
		ptx_unsupported(d, NULL);
	return (enum ptx_geometry)g;
}

#define LIST_MAX 16

/* Registers are listed: those written, then those read. */
struct list {
	uint32_t reg[LIST_MAX];
	uint32_t n;
};

static void add(struct ptx_dec *d, struct list *l, uint32_t reg)
{
	if (l->n == LIST_MAX)
		ptx_bad(d, "too many operands");
	l->reg[l->n++] = reg;
}

static void emit(struct ptx_dec *d, enum ptx_kind kind, struct ptx_inst *in,
                 const struct list *writes, const struct list *reads)
{
	in->vec = (uint8_t)writes->n;
	in->rsize = (uint8_t)reads->n;
	in->target = d->n_ext;
	for (uint32_t i = 0; i < writes->n; i++)
		ptx_ext(d, writes->reg[i]);
	for (uint32_t i = 0; i < reads->n; i++)
		ptx_ext(d, reads->reg[i]);
	ptx_emit_built(d, kind, in);
}

/* The layer, then the place; a vector of three has a fourth element that says nothing. */
static void add_place(struct ptx_dec *d, struct list *reads, const struct ptx_opd *o,
                      enum ptx_geometry g, const struct ptx_type *t)
{
	const struct ptx_geometry_info *info = &ptx_geometries[g];
	uint32_t n = info->dims + info->layer;
	if (o->n_items != n && !(n == 3 && o->n_items == 4))
		ptx_bad(d, "the number of coordinates differs from the geometry's");
	for (uint32_t i = 0; i < n; i++)
		add(d, reads, ptx_src(d, &o->items[i], info->layer && i == 0 ? &b32_type : t));
}

/* A derivative by one direction: a vector as long as the place, without a layer. */
static void add_derivative(struct ptx_dec *d, struct list *reads, const struct ptx_opd *o,
                           enum ptx_geometry g)
{
	uint32_t n = ptx_geometries[g].dims;
	const struct ptx_opd *items = o->kind == PTX_O_VEC ? o->items : o;
	uint32_t have = o->kind == PTX_O_VEC ? o->n_items : 1;
	if (have != n && !(n == 3 && have == 4))
		ptx_bad(d, "the number of derivatives differs from the geometry's");
	for (uint32_t i = 0; i < n; i++)
		add(d, reads, ptx_src(d, &items[i], &f32_type));
}

/* Four channels, or with .v2.f16x2 two in each of two registers; and whether they are there. */
static void add_results(struct ptx_dec *d, struct list *writes, struct ptx_inst *in)
{
	const struct ptx_opd *o = &d->stmt->opd[0];
	static const char *const vectors[] = {".v2", ".v4", NULL};
	int vector = ptx_take_any(d, vectors);
	const struct ptx_type *t = ptx_need_type(d);
	bool packed = !strcmp(t->name, "f16x2");
	if (vector != !packed || (!packed && t->size != 4))
		ptx_unsupported(d, "its vector or type is");
	in->size = packed ? 2 : 4;
	if (o->kind != PTX_O_VEC || o->n_items != (packed ? 2 : 4))
		ptx_bad(d, "the number of registers differs from the vector's");
	for (uint32_t i = 0; i < o->n_items; i++)
		add(d, writes, ptx_dst(d, &o->items[i], 4));
	if (o->second)
		in->d = ptx_dst_pred(d, o->second);
}

static void decode_tex(struct ptx_dec *d, const struct ptx_opcode *self)
{
	static const char *const how[] = {".base", ".level", ".grad", NULL};
	static const uint8_t ops[] = {PTX_TEX_SAMPLE, PTX_TEX_SAMPLE, PTX_TEX_LEVEL, PTX_TEX_GRAD};
	const struct ptx_opd *o = d->stmt->opd;
	struct ptx_inst in = {0};
	struct list writes = {.n = 0}, reads = {.n = 0};
	in.op = ops[ptx_take_any(d, how) + 1];
	enum ptx_geometry g = take_geometry(d);
	uint32_t more = in.op == PTX_TEX_GRAD ? 2 : in.op == PTX_TEX_LEVEL ? 1 : 0;
	ptx_need_operands(d, 2, 5);
	if (d->stmt->n_opd != 2 + more)
		ptx_unsupported(d, "an offset, or a comparison, is");
	add_results(d, &writes, &in);
	const struct ptx_type *c = ptx_need_type(d);
	in.sign = c->kind == 's';
	if (c->size != 4 || (c->kind != 's' && c->kind != 'f') ||
	    (in.sign && (ptx_geometries[g].cube || in.op == PTX_TEX_GRAD)))
		ptx_unsupported(d, "its type of coordinates is");
	in.space = (uint8_t)g;
	in.a = handle(d, &o[1]);
	add_place(d, &reads, &o[1], g, c);
	if (in.op == PTX_TEX_LEVEL)
		add(d, &reads, ptx_src(d, &o[2], c));
	for (uint32_t i = 0; in.op == PTX_TEX_GRAD && i < 2; i++)
		add_derivative(d, &reads, &o[2 + i], g);
	emit(d, PTX_K_TEXTURE, &in, &writes, &reads);
}

static void decode_tld4(struct ptx_dec *d, const struct ptx_opcode *self)
{
	static const char *const channels[] = {".r", ".g", ".b", ".a", NULL};
	const struct ptx_opd *o = d->stmt->opd;
	struct ptx_inst in = {.op = PTX_TEX_GATHER};
	struct list writes = {.n = 0}, reads = {.n = 0};
	int channel = ptx_take_any(d, channels);
	enum ptx_geometry g = take_geometry(d);
	ptx_need_operands(d, 2, 4);
	if (channel < 0 || d->stmt->n_opd != 2 || g == PTX_1D || g == PTX_3D || g == PTX_A1D)
		ptx_unsupported(d, NULL);
	add_results(d, &writes, &in);
	if (in.size == 2 || ptx_need_type(d)->kind != 'f')
		ptx_unsupported(d, "its type is");
	in.round = (uint8_t)channel;
	in.space = (uint8_t)g;
	in.a = handle(d, &o[1]);
	add_place(d, &reads, &o[1], g, &f32_type);
	emit(d, PTX_K_TEXTURE, &in, &writes, &reads);
}

/* txq, suq: what an image is like */
static void decode_query(struct ptx_dec *d, const struct ptx_opcode *self)
{
	static const char *const what[] = {[PTX_Q_WIDTH] = ".width",
	                                   [PTX_Q_HEIGHT] = ".height",
	                                   [PTX_Q_DEPTH] = ".depth",
	                                   [PTX_Q_LAYERS] = ".array_size",
	                                   [PTX_Q_LEVELS] = ".num_mipmap_levels",
	                                   [PTX_Q_SAMPLES] = ".num_samples",
	                                   [PTX_Q_NORMALIZED] = ".normalized_coords",
	                                   NULL};
	struct ptx_inst in = {.op = PTX_TEX_QUERY, .size = 4, .sign = (uint8_t)self->arg};
	struct list writes = {.n = 0}, reads = {.n = 0};
	bool level = ptx_take(d, ".level");
	int q = ptx_take_any(d, what);
	if (q < 0 || ptx_need_type(d)->size != 4)
		ptx_unsupported(d, NULL);
	ptx_need_operands(d, 2u + level, 2u + level);
	in.round = (uint8_t)q;
	in.a = handle(d, &d->stmt->opd[1]);
	add(d, &writes, ptx_dst(d, &d->stmt->opd[0], 4));
	if (level)
		add(d, &reads, ptx_src(d, &d->stmt->opd[2], &b32_type));
	emit(d, PTX_K_TEXTURE, &in, &writes, &reads);
}

/* ---- surfaces: the place first, then the values that are stored */

/* .trap, .clamp, .zero */
static uint8_t take_outside(struct ptx_dec *d)
{
	static const char *const names[] = {".trap", ".clamp", ".zero", NULL};
	int outside = ptx_take_any(d, names);
	return (uint8_t)(outside < 0 ? PTX_OUT_TRAP : outside);
}

static enum ptx_geometry take_surface_geometry(struct ptx_dec *d)
{
	enum ptx_geometry g = take_geometry(d);
	if (ptx_geometries[g].cube)
		ptx_unsupported(d, NULL);
	return g;
}

/* The registers of values; they may be wider than these, all of one size. */
static void add_values(struct ptx_dec *d, struct list *l, const struct ptx_opd *o, uint32_t n,
                       const struct ptx_type *t, bool written, struct ptx_inst *in)
{
	const struct ptx_opd *items = o->kind == PTX_O_VEC ? o->items : o;
	uint8_t size;
	if ((o->kind == PTX_O_VEC ? o->n_items : 1) != n)
		ptx_bad(d, "the number of registers differs from the vector's");
	in->asize = 0;
	for (uint32_t i = 0; i < n; i++) {
		add(d, l,
		    written ? ptx_dst_any(d, &items[i], t->size, &size)
		            : ptx_src_any(d, &items[i], t, &size));
		if (in->asize && in->asize != size)
			ptx_unsupported(d, "a vector of registers of several sizes is");
		in->asize = size;
	}
}

/* suld.b, sust.b; self->arg: a store */
static void decode_surface(struct ptx_dec *d, const struct ptx_opcode *self)
{
	static const char *const vectors[] = {".v2", ".v4", NULL};
	struct ptx_inst in = {.op = self->arg ? PTX_SURF_STORE : PTX_SURF_LOAD};
	struct list writes = {.n = 0}, reads = {.n = 0};
	const struct ptx_opd *o = d->stmt->opd, *image = &o[!self->arg];
	if (!ptx_take(d, ".b"))
		ptx_unsupported(d, NULL);
	enum ptx_geometry g = take_surface_geometry(d);
	ptx_take_hints(d);
	uint32_t n = 1u << (ptx_take_any(d, vectors) + 1);
	const struct ptx_type *t = ptx_need_type(d);
	if (t->kind != 'b' || (uint32_t)t->size * n > 16)
		ptx_unsupported(d, "its vector or type is");
	ptx_need_operands(d, 2, 2);
	in.size = t->size;
	in.space = (uint8_t)g;
	in.order = take_outside(d);
	in.a = handle(d, image);
	add_place(d, &reads, image, g, &b32_type);
	add_values(d, self->arg ? &reads : &writes, &o[self->arg ? 1 : 0], n, t, !self->arg, &in);
	in.round = (uint8_t)n;
	emit(d, PTX_K_SURFACE, &in, &writes, &reads);
}

/* sured.b.op.geometry.type [surface, {x, …}], value */
static void decode_sured(struct ptx_dec *d, const struct ptx_opcode *self)
{
	static const char *const names[] = {".add", ".min", ".max", ".and", ".or", NULL};
	static const uint8_t codes[] = {PTX_A_ADD, PTX_A_MIN, PTX_A_MAX, PTX_A_AND, PTX_A_OR};
	struct ptx_inst in = {.op = PTX_SURF_REDUCE};
	struct list none = {.n = 0}, reads = {.n = 0};
	const struct ptx_opd *o = d->stmt->opd;
	int op = ptx_take(d, ".b") ? ptx_take_any(d, names) : -1;
	if (op < 0)
		ptx_unsupported(d, NULL);
	enum ptx_geometry g = take_surface_geometry(d);
	const struct ptx_type *t = ptx_need_type(d);
	if (!ptx_atomic_exists((enum ptx_atom_op)codes[op], t) || t->kind == 'f')
		ptx_unsupported(d, "its type is");
	ptx_need_operands(d, 2, 2);
	in.size = t->size;
	in.scalar = (uint8_t)ptx_scalar_of(t);
	in.space = (uint8_t)g;
	in.order = take_outside(d);
	in.a = handle(d, &o[0]);
	add_place(d, &reads, &o[0], g, &b32_type);
	add_values(d, &reads, &o[1], 1, t, false, &in);
	in.round = codes[op];
	emit(d, PTX_K_SURFACE, &in, &none, &reads);
}

const struct ptx_opcode ptx_texture_opcodes[] = {
    {"tex", decode_tex, NULL, NULL, 0},      {"tld4", decode_tld4, NULL, NULL, 0},
    {"txq", decode_query, NULL, NULL, 0},    {"suq", decode_query, NULL, NULL, 1},
    {"suld", decode_surface, NULL, NULL, 0}, {"sust", decode_surface, NULL, NULL, 1},
    {"sured", decode_sured, NULL, NULL, 0},  {NULL, NULL, NULL, NULL, 0},
};
