// SPDX-License-Identifier: Apache-2.0
/* ptx_dec_data.c: comparisons, selection, moves with packing, conversions. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ptx_dec.h"

/* Finds the comparison ".lt.and.ftz.f32"; takes the modifiers before the types. */
static const char *take_compare(struct ptx_dec *d, bool *is_unsigned)
{
	static const char *const names[] = {".eq",  ".ne",  ".lt",  ".le",  ".gt",  ".ge",  ".lo",
	                                    ".ls",  ".hi",  ".hs",  ".equ", ".neu", ".ltu", ".leu",
	                                    ".gtu", ".geu", ".num", ".nan", NULL};
	int i = ptx_take_any(d, names);
	if (i < 0)
		ptx_unsupported(d, NULL);
	*is_unsigned = i >= 6 && i < 10;
	return *is_unsigned ? names[i - 4] + 1 : names[i] + 1;
}

static int take_logic(struct ptx_dec *d)
{
	static const char *const names[] = {".and", ".or", ".xor", NULL};
	return ptx_take_any(d, names);
}

static ptx_cmp_fn *find_compare(struct ptx_dec *d, const char *cmp, bool is_unsigned,
                                const struct ptx_type *t)
{
	char key[32];
	size_t n = strlen(t->name);
	if (n > 2 && !strcmp(t->name + n - 2, "x2"))
		snprintf(key, sizeof(key), "%s.%.*s", cmp, (int)n - 2, t->name);
	else if (is_unsigned && t->kind == 'u')
		snprintf(key, sizeof(key), "%s.u%u", cmp, t->size * 8u);
	else if (is_unsigned)
		ptx_unsupported(d, NULL);
	else
		snprintf(key, sizeof(key), "%s.%s", cmp, t->name);
	ptx_cmp_fn *fn = ptx_lanes_find_cmp(key);
	if (!fn)
		ptx_unsupported(d, NULL);
	return fn;
}

/* setp and set: the part they share; operand 0 is left to the caller */
static struct ptx_inst compare(struct ptx_dec *d, bool is_set, const struct ptx_type **dtype)
{
	bool is_unsigned, neg = false;
	struct ptx_inst in = {0};
	const char *cmp = take_compare(d, &is_unsigned);
	int logic = take_logic(d);
	if (is_set)
		*dtype = ptx_need_type(d);
	const struct ptx_type *t = ptx_need_type(d);
	in.cmp = find_compare(d, cmp, is_unsigned, t);
	if (ptx_take(d, ".ftz") && !strcmp(t->name, "f32"))
		in.flags |= PTX_F_FTZ_IN;
	if (strstr(t->name, "16x2"))
		in.flags |= PTX_F_PAIR;
	ptx_need_operands(d, logic < 0 ? 3 : 4, logic < 0 ? 3 : 4);
	in.a = ptx_src(d, &d->stmt->opd[1], t);
	in.b = ptx_src(d, &d->stmt->opd[2], t);
	in.vec = 2;
	if (logic >= 0) {
		in.combine = true;
		in.op = (uint8_t)logic;
		in.c = ptx_src_pred(d, &d->stmt->opd[3], &neg);
		in.sign = neg;
	}
	return in;
}

static void decode_setp(struct ptx_dec *d, const struct ptx_opcode *self)
{
	struct ptx_inst in = compare(d, false, NULL);
	const struct ptx_opd *o = &d->stmt->opd[0];
	in.d = ptx_dst_pred(d, o);
	if (in.flags & PTX_F_PAIR && !o->second)
		ptx_bad(d, "a pair of predicates is expected");
	if (o->second) {
		in.d2 = ptx_dst_pred(d, o->second);
		in.rsize = 1; /* there is a second result */
	}
	ptx_emit_built(d, PTX_K_SETP, &in);
}

static void decode_set(struct ptx_dec *d, const struct ptx_opcode *self)
{
	const struct ptx_type *dt;
	struct ptx_inst in = compare(d, true, &dt);
	/* what true is, in the destination's type */
	static const struct {
		const char *type;
		uint32_t value, pair;
	} truth[] = {
	    {"u32", 0xffffffff, 0xffff}, {"s32", 0xffffffff, 0xffff}, {"f32", 0x3f800000, 0},
	    {"u16", 0xffff, 0},          {"s16", 0xffff, 0},          {"f16", 0x3c00, 0},
	    {"bf16", 0x3f80, 0},         {"f16x2", 0, 0x3c00},        {"bf16x2", 0, 0x3f80},
	};
	for (size_t i = 0; i < sizeof(truth) / sizeof(truth[0]); i++)
		if (!strcmp(dt->name, truth[i].type))
			in.imm = in.flags & PTX_F_PAIR ? truth[i].pair : truth[i].value;
	if (!in.imm)
		ptx_unsupported(d, NULL);
	in.d = ptx_dst(d, &d->stmt->opd[0], dt->size);
	in.size = dt->size;
	ptx_emit_built(d, PTX_K_SET, &in);
}

static void decode_selp(struct ptx_dec *d, const struct ptx_opcode *self)
{
	const struct ptx_type *t = ptx_need_type(d);
	bool neg;
	ptx_need_operands(d, 4, 4);
	struct ptx_inst in = {.size = t->size};
	if (t->kind == 'p') {
		in.op = PTX_SEL;
		in.d = ptx_dst_pred(d, &d->stmt->opd[0]);
		in.a = ptx_src_pred(d, &d->stmt->opd[1], NULL);
		in.b = ptx_src_pred(d, &d->stmt->opd[2], NULL);
		in.c = ptx_src_pred(d, &d->stmt->opd[3], NULL);
		ptx_emit_built(d, PTX_K_PRED, &in);
		return;
	}
	if (t->size < 2)
		ptx_unsupported(d, NULL);
	in.d = ptx_dst(d, &d->stmt->opd[0], t->size);
	in.a = ptx_src(d, &d->stmt->opd[1], t);
	in.b = ptx_src(d, &d->stmt->opd[2], t);
	in.c = ptx_src_pred(d, &d->stmt->opd[3], &neg);
	in.sign = neg;
	ptx_emit_built(d, PTX_K_SELP, &in);
}

/* ---- mov */
/* mov.b64 {%r1, %r2}, %rd1 and mov.b64 %rd1, {%r1, %r2} */
static void decode_packing(struct ptx_dec *d, const struct ptx_type *t)
{
	struct ptx_opd *o = d->stmt->opd;
	bool unpack = o[0].kind == PTX_O_VEC;
	const struct ptx_opd *vec = unpack ? &o[0] : &o[1];
	uint32_t n = vec->n_items, regs[4];
	if ((unpack && o[1].kind == PTX_O_VEC) || (n != 2 && n != 4) || t->size < n * 2)
		ptx_unsupported(d, "this packing is");
	unsigned part = t->size / n;
	char name[8];
	snprintf(name, sizeof(name), ".b%u", part * 8);
	const struct ptx_type *pt = ptx_type_find((struct ptx_str){name, (uint32_t)strlen(name)});
	struct ptx_inst in = {.size = t->size, .rsize = (uint8_t)part, .vec = (uint8_t)n};
	for (uint32_t i = 0; i < n; i++)
		regs[i] =
		    unpack ? ptx_dst(d, &vec->items[i], part) : ptx_src(d, &vec->items[i], pt);
	if (unpack)
		in.a = ptx_src(d, &o[1], t);
	else
		in.d = ptx_dst(d, &o[0], t->size);
	in.target = d->n_ext;
	for (uint32_t i = 0; i < n; i++)
		ptx_ext(d, regs[i]);
	ptx_emit_built(d, unpack ? PTX_K_UNPACK : PTX_K_PACK, &in);
}

static void decode_mov(struct ptx_dec *d, const struct ptx_opcode *self)
{
	const struct ptx_type *t = ptx_need_type(d);
	struct ptx_opd *o = d->stmt->opd;
	char key[16];
	ptx_need_operands(d, 2, 2);
	if (o[0].kind == PTX_O_VEC || o[1].kind == PTX_O_VEC) {
		decode_packing(d, t);
		return;
	}
	struct ptx_inst in = {.size = t->size};
	if (t->kind == 'p') {
		in.op = PTX_MOV;
		in.d = ptx_dst_pred(d, &o[0]);
		in.a = ptx_src_pred(d, &o[1], NULL);
		ptx_emit_built(d, PTX_K_PRED, &in);
		return;
	}
	if (t->size < 2)
		ptx_unsupported(d, NULL);
	in.d = ptx_dst(d, &o[0], t->size);
	if (o[1].kind == PTX_O_SREG && (o[1].size == t->size || (o[1].size == 4 && t->size == 8))) {
		in.op = (uint8_t)o[1].reg;
		ptx_emit_built(d, PTX_K_SREG, &in);
		return;
	}
	in.a = ptx_src(d, &o[1], t);
	snprintf(key, sizeof(key), "mov.b%u", t->size * 8u);
	in.fn = ptx_lanes_find(key);
	ptx_emit_built(d, PTX_K_ALU, &in);
}

/* ---- cvt */
static void stage(struct ptx_dec *d, struct ptx_inst *in, bool rounds, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static void stage(struct ptx_dec *d, struct ptx_inst *in, bool rounds, const char *fmt, ...)
{
	char key[32];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(key, sizeof(key), fmt, ap);
	va_end(ap);
	d->stages = ptx_grow(d->ld, &d->ld->temp, d->stages, d->n_stages, &d->cap_stages,
	                     sizeof(*d->stages));
	struct ptx_stage *s = &d->stages[d->n_stages++];
	*s = (struct ptx_stage){ptx_lanes_find(key), rounds};
	if (!s->fn)
		ptx_unsupported(d, NULL);
	in->vec++;
}

struct conversion {
	const struct ptx_type *to, *from;
	uint8_t to_size, from_size; /* of the registers */
	int round, integral;        /* -1: not given */
	bool ftz, sat, relu, finite;
};

static bool direct(const struct conversion *c, char *key, size_t len)
{
	if (c->ftz || c->sat || c->relu || c->finite || c->to_size != c->to->size ||
	    c->from_size != c->from->size)
		return false;
	bool fi = c->to->kind == 'f' || c->from->kind == 'f';
	if (fi && c->from->kind == 'f' && c->to->kind != 'f') {
		if (c->integral != 1)
			return false;
		snprintf(key, len, "cvt.rzi.%s.%s", c->to->name, c->from->name);
		return true;
	}
	if (c->round > 0 || c->integral >= 0)
		return false;
	snprintf(key, len, "cvt.%s.%s", c->to->name, c->from->name);
	return true;
}

static void chain_from_int(struct ptx_dec *d, const struct conversion *c, struct ptx_inst *in)
{
	bool u64 = c->from->kind != 's' && c->from->size == 8;
	const char *to = c->to->name;
	char ty[8];
	snprintf(ty, sizeof(ty), "%c%u", c->from->kind == 's' ? 's' : 'u', c->from->size * 8u);
	if (c->relu || c->finite)
		ptx_unsupported(d, NULL);
	stage(d, in, false, "fetch.%s.%u", ty, c->from_size);
	if (c->to->kind == 'f') {
		stage(d, in, true, "make.%c.%s", u64 ? 'u' : 's', to);
		if (c->sat && c->to->size >= 4)
			stage(d, in, false, "sat.%s", to);
		else if (c->sat)
			ptx_unsupported(d, NULL);
		return;
	}
	snprintf(ty, sizeof(ty), "%c%u", c->to->kind == 's' ? 's' : 'u', c->to->size * 8u);
	if (c->sat)
		stage(d, in, false, "clamp%s.%s", u64 ? "u" : "", ty);
	stage(d, in, false, "store.%s.%u", ty, c->to_size);
}

/* .satfinite and .relu of f16 and bf16 */
static void finish_half(struct ptx_dec *d, const struct conversion *c, struct ptx_inst *in)
{
	if ((c->finite || c->relu) && !strstr(c->to->name, "f16"))
		ptx_unsupported(d, NULL);
	if (c->finite)
		stage(d, in, false, "finite.%s", c->to->name);
	if (c->relu)
		stage(d, in, false, "relu.%s", c->to->name);
}

static void chain_from_float(struct ptx_dec *d, const struct conversion *c, struct ptx_inst *in)
{
	static const char *const modes[] = {"rni", "rzi", "rmi", "rpi"};
	const char *to = c->to->name, *from = c->from->name;
	if (c->ftz && !strcmp(from, "f32"))
		stage(d, in, false, "ftz.f32");
	stage(d, in, false, "wide.%s", from);
	if (c->to->kind != 'f') {
		char ty[8];
		bool wide = c->from->size == 8 || c->to->size == 8;
		snprintf(ty, sizeof(ty), "%c%u", c->to->kind == 's' ? 's' : 'u', c->to->size * 8u);
		if (c->relu || c->finite)
			ptx_unsupported(d, NULL);
		if (c->integral < 0)
			ptx_unsupported(d, "the conversion without .rni, .rzi, .rmi or .rpi is");
		stage(d, in, false, "rint.%s", modes[c->integral]);
		stage(d, in, false, "toint%s.%s", wide ? ".nan" : "", ty);
		stage(d, in, false, "store.%s.%u", ty, c->to_size);
		return;
	}
	if (c->integral >= 0)
		stage(d, in, false, "rint.%s", modes[c->integral]);
	if (c->sat)
		stage(d, in, false, "sat.f64");
	stage(d, in, true, "narrow.%s", to);
	if (c->ftz && !strcmp(to, "f32"))
		stage(d, in, false, "ftz.f32");
	finish_half(d, c, in);
}

/* cvt.rna.tf32.f32 */
static bool to_tf32(struct ptx_dec *d, const struct conversion *c, struct ptx_inst *in)
{
	if (strcmp(c->to->name, "tf32"))
		return false;
	bool away = ptx_take(d, ".rna");
	if (strcmp(c->from->name, "f32") || c->ftz || c->sat || c->integral >= 0 ||
	    (!away && c->round != PTX_RN && c->round != PTX_RZ))
		ptx_unsupported(d, NULL);
	stage(d, in, false, "tf32.%s", away ? "rna" : c->round == PTX_RN ? "rn" : "rz");
	if (c->relu)
		stage(d, in, false, "relu.f32");
	if (c->finite)
		ptx_unsupported(d, NULL);
	return true;
}

/* cvt.rn.f16x2.f32 d, a, b; cvt.rn.satfinite.e4m3x2.f32 d, a, b; cvt.rn.f16x2.e4m3x2 d, a */
static void decode_cvt_pair(struct ptx_dec *d, const struct conversion *c, struct ptx_inst *in)
{
	bool two = !strcmp(c->from->name, "f32"), small = c->to->name[0] == 'e';
	bool from_small = c->from->name[0] == 'e', to_half = !strcmp(c->to->name, "f16x2");
	if (c->sat || c->ftz || c->integral >= 0 ||
	    !(two || (small && !strcmp(c->from->name, "f16x2")) || (from_small && to_half)) ||
	    ((small || from_small) && c->round != PTX_RN) || (small && !c->finite))
		ptx_unsupported(d, NULL);
	in->d = ptx_dst(d, &d->stmt->opd[0], c->to->size);
	in->size = c->to->size;
	in->a = ptx_src(d, &d->stmt->opd[1], c->from);
	if (two)
		in->b = ptx_src(d, &d->stmt->opd[2], c->from);
	if (from_small) {
		stage(d, in, false, "pair.%s", c->from->name);
		finish_half(d, c, in);
	} else if (small) {
		stage(d, in, false, "pair.%s.%s", c->to->name, c->from->name);
		if (c->relu)
			stage(d, in, false, "relu.%s", c->to->name);
	} else {
		stage(d, in, true, "narrow.%s", c->to->name);
		finish_half(d, c, in);
	}
}

static void decode_cvt(struct ptx_dec *d, const struct ptx_opcode *self)
{
	static const char *const integral[] = {".rni", ".rzi", ".rmi", ".rpi", NULL};
	if (ptx_take(d, ".pack")) {
		ptx_decode_pack(d);
		return;
	}
	struct conversion c = {.round = ptx_take_round(d), .integral = ptx_take_any(d, integral)};
	char key[32];
	c.ftz = ptx_take(d, ".ftz");
	c.sat = ptx_take(d, ".sat");
	c.relu = ptx_take(d, ".relu");
	c.finite = ptx_take(d, ".satfinite");
	c.to = ptx_need_type(d);
	c.from = ptx_need_type(d);
	struct ptx_inst in = {.target = d->n_stages};
	in.round = c.round < 0 ? PTX_RN : (uint8_t)c.round;
	bool pair = strstr(c.to->name, "x2") != NULL;
	uint32_t n = pair && !strcmp(c.from->name, "f32") ? 3 : 2;
	ptx_need_operands(d, n, n);
	if (pair) {
		decode_cvt_pair(d, &c, &in);
		ptx_emit_built(d, PTX_K_CVT, &in);
		return;
	}
	if (c.to->kind == 'p' || c.from->kind == 'p' || strstr(c.from->name, "x2"))
		ptx_unsupported(d, NULL);
	in.a = ptx_src_any(d, &d->stmt->opd[1], c.from, &c.from_size);
	in.d = ptx_dst_any(d, &d->stmt->opd[0], c.to->size, &c.to_size);
	in.size = c.to_size;
	if ((c.from->kind == 'f' && c.from_size != c.from->size) ||
	    (c.to->kind == 'f' && c.to_size != c.to->size))
		ptx_bad(d, "a floating-point register has another size than the type");
	if (to_tf32(d, &c, &in)) {
		ptx_emit_built(d, PTX_K_CVT, &in);
		return;
	}
	if (direct(&c, key, sizeof(key)) && (in.fn = ptx_lanes_find(key))) {
		ptx_emit_built(d, PTX_K_ALU, &in);
		return;
	}
	if (c.from->kind == 'f')
		chain_from_float(d, &c, &in);
	else
		chain_from_int(d, &c, &in);
	ptx_emit_built(d, PTX_K_CVT, &in);
}

const struct ptx_opcode ptx_data_opcodes[] = {
    {"mov", decode_mov, NULL, NULL, 0}, {"setp", decode_setp, NULL, NULL, 0},
    {"set", decode_set, NULL, NULL, 0}, {"selp", decode_selp, NULL, NULL, 0},
    {"cvt", decode_cvt, NULL, NULL, 0}, {NULL, NULL, NULL, NULL, 0},
};
