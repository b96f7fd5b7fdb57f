// SPDX-License-Identifier: Apache-2.0
/*
 * ptx_dec_alu.c: arithmetic: instructions that map sources to one destination lane by lane. A row
 * says the operands' types and which modifiers belong to the name; whether the combination exists
 * is decided by the table of lane functions.
 */
#include <stdio.h>
#include <string.h>

#include "ptx_dec.h"

static const struct ptx_type *type_named(const char *name)
{
	return ptx_type_find((struct ptx_str){name, (uint32_t)strlen(name)});
}

/* Takes at most one modifier of each '|'-separated group of `subs` and appends it to the key. */
static void take_subs(struct ptx_dec *d, const char *subs, char *key, size_t len)
{
	char mod[16];
	bool found = false;
	while (subs && *subs) {
		size_t n = strcspn(subs, " |");
		snprintf(mod, sizeof(mod), ".%.*s", (int)n, subs);
		if (!found && ptx_take(d, mod)) {
			strncat(key, mod, len - strlen(key) - 1);
			found = true;
		}
		subs += n;
		if (*subs == '|')
			found = false;
		if (*subs)
			subs++;
	}
}

static bool is_half(const struct ptx_type *t)
{
	return strstr(t->name, "f16") != NULL;
}

/* rounding, flush to zero, saturation */
static void take_float_mods(struct ptx_dec *d, const struct ptx_type *t, struct ptx_inst *in,
                            uint32_t n_src)
{
	static const char *const precision[] = {".approx", ".full", NULL};
	int round = ptx_take_round(d);
	in->round = round < 0 ? PTX_RN : (uint8_t)round;
	if (is_half(t) && in->round != PTX_RN)
		ptx_unsupported(d, "rounding of half precision other than .rn is");
	in->scalar = (uint8_t)ptx_scalar_of(t);
	ptx_take_any(d, precision); /* computed exactly, which is within their bounds */
	if (ptx_take(d, ".ftz") && t->size <= 4)
		in->flags |= PTX_F_FTZ_IN | PTX_F_FTZ_OUT;
	if (ptx_take(d, ".sat"))
		in->flags |= PTX_F_SAT;
	if (is_half(t) && ptx_take(d, ".relu"))
		in->flags |= PTX_F_RELU;
	if (in->flags & PTX_F_SAT && in->flags & PTX_F_RELU)
		ptx_bad(d, ".sat and .relu exclude each other");
	in->vec = (uint8_t)n_src;
	if (in->flags || in->round != PTX_RN)
		in->kind = PTX_K_ALUX;
}

static const struct ptx_type *wide_of(struct ptx_dec *d, const struct ptx_type *t)
{
	char name[8];
	snprintf(name, sizeof(name), ".%c%u", t->kind, t->size * 16u);
	const struct ptx_type *w = type_named(name);
	if (!w || t->kind == 'f' || t->size > 4)
		ptx_unsupported(d, NULL);
	return w;
}

/* Fills destination and sources by the row's letters: t type, w twice as wide, u u32, s s32. */
static void fill_operands(struct ptx_dec *d, const char *sig, const struct ptx_type *t, bool wide,
                          struct ptx_inst *in)
{
	uint32_t n = (uint32_t)strlen(sig), src[4] = {0};
	ptx_need_operands(d, n, n);
	for (uint32_t i = 0; i < n; i++) {
		const struct ptx_type *ot = t;
		if (sig[i] == 'u')
			ot = type_named(".u32");
		else if (wide && (i == 0 || i == 3))
			ot = wide_of(d, t);
		if (i == 0) {
			in->d = ptx_dst(d, &d->stmt->opd[0], ot->size);
			in->size = ot->size < 2 ? 2 : ot->size;
		} else {
			src[i - 1] = ptx_src(d, &d->stmt->opd[i], ot);
		}
	}
	in->a = src[0];
	in->b = src[1];
	in->c = src[2];
	in->e = src[3];
}

/* and.pred and its like */
static void predicate_logic(struct ptx_dec *d, const struct ptx_opcode *self)
{
	static const char *const names[] = {"and", "or", "xor", "not", NULL};
	int op = 0;
	bool neg = false;
	while (names[op] && strcmp(names[op], self->name))
		op++;
	if (!names[op])
		ptx_unsupported(d, NULL);
	ptx_need_operands(d, op == PTX_NOT ? 2 : 3, op == PTX_NOT ? 2 : 3);
	struct ptx_inst in = {.kind = PTX_K_PRED, .op = (uint8_t)op};
	in.d = ptx_dst_pred(d, &d->stmt->opd[0]);
	in.a = ptx_src_pred(d, &d->stmt->opd[1], NULL);
	if (op != PTX_NOT)
		in.b = ptx_src_pred(d, &d->stmt->opd[2], &neg);
	if (neg)
		ptx_bad(d, "a negated predicate is not allowed here");
	ptx_emit_built(d, in.kind, &in);
}

/* add.cc, addc, mad.lo.cc …: with the carry flag */
static void with_carry(struct ptx_dec *d, int base, bool in_carry)
{
	static const char *const half[] = {".lo", ".hi", NULL};
	int op = base;
	if (base == PTX_C_MADLO && ptx_take_any(d, half) == 1)
		op = PTX_C_MADHI;
	if (ptx_take(d, ".cc"))
		op |= PTX_C_OUT;
	if (in_carry)
		op |= PTX_C_IN;
	const struct ptx_type *t = ptx_need_type(d);
	if (t->size < 4 || t->kind == 'f')
		ptx_unsupported(d, NULL);
	if (t->kind == 's')
		op |= PTX_C_SIGNED;
	struct ptx_inst in = {.kind = PTX_K_CARRY, .op = (uint8_t)op};
	fill_operands(d, base == PTX_C_MADLO ? "tttt" : "ttt", t, false, &in);
	if (!d->carry)
		d->carry = ptx_new_reg(d, 0);
	in.d2 = d->carry;
	ptx_emit_built(d, in.kind, &in);
}

static void decode_carry(struct ptx_dec *d, const struct ptx_opcode *self)
{
	with_carry(d, self->arg, true);
}

static void decode_alu(struct ptx_dec *d, const struct ptx_opcode *self)
{
	char key[64], type_name[16];
	struct ptx_inst in = {.kind = PTX_K_ALU};
	if (self->arg == 1 || self->arg == 2) { /* add, sub, mad: perhaps with carry */
		for (uint32_t i = 0; i < d->stmt->n_mod; i++)
			if (ptx_str_is(d->stmt->mod[i], ".cc")) {
				with_carry(d,
				           !strcmp(self->name, "add")   ? PTX_C_ADD
				           : !strcmp(self->name, "sub") ? PTX_C_SUB
				                                        : PTX_C_MADLO,
				           false);
				return;
			}
	}
	snprintf(key, sizeof(key), "%s", self->name);
	const struct ptx_type *t = ptx_need_type(d);
	if (t->kind == 'p') {
		predicate_logic(d, self);
		return;
	}
	if (t->kind == 'f' && !strcmp(key, "mad"))
		strcpy(key, "fma"); /* mad.f32 is the fused one since sm_20 */
	take_subs(d, self->subs, key, sizeof(key));
	bool wide = strstr(key, ".wide") != NULL;
	if (t->kind == 'f')
		take_float_mods(d, t, &in, (uint32_t)strlen(self->operands) - 1);
	else if (ptx_take(d, ".sat"))
		strcat(key, ".sat");
	else if (self->arg == 3 && (!strcmp(t->name, "s32") || !strcmp(t->name, "s16x2")) &&
	         ptx_take(d, ".relu")) {
		in.kind = PTX_K_ALUX;
		in.flags = PTX_F_RELU;
		in.scalar = t->name[3] ? PTX_T_S16X2 : PTX_T_S;
	}
	snprintf(type_name, sizeof(type_name), ".%s", t->name);
	strcat(key, type_name);
	in.fn = ptx_lanes_find(key);
	if (!in.fn)
		ptx_unsupported(d, NULL);
	fill_operands(d, self->operands, t, wide, &in);
	ptx_emit_built(d, in.kind, &in);
}

/* prmt.b32.f4e: the mode comes behind the type */
static void decode_prmt(struct ptx_dec *d, const struct ptx_opcode *self)
{
	char key[64] = "prmt.b32";
	struct ptx_inst in = {.kind = PTX_K_ALU};
	const struct ptx_type *t = ptx_need_type(d);
	take_subs(d, "f4e b4e rc8 ecl ecr rc16", key, sizeof(key));
	in.fn = ptx_lanes_find(key);
	if (!in.fn || strcmp(t->name, "b32"))
		ptx_unsupported(d, NULL);
	fill_operands(d, "tttt", t, false, &in);
	ptx_emit_built(d, in.kind, &in);
}

/* lop3.or.b32 d|p, a, b, c, lut, q: also p = (d != 0) or q */
static void lop3_bool(struct ptx_dec *d, int logic)
{
	const struct ptx_opd *o = d->stmt->opd;
	struct ptx_inst test = {.kind = PTX_K_SETP, .size = 4, .vec = 2, .combine = true};
	struct ptx_inst in = {.kind = PTX_K_ALU, .fn = ptx_lanes_find("lop3.b32")};
	bool neg;
	ptx_need_operands(d, 6, 6);
	if (!o[0].second)
		ptx_bad(d, "a predicate result is expected");
	test.cmp = ptx_lanes_find_cmp("ne.b32");
	test.op = (uint8_t)logic;
	test.d = ptx_dst_pred(d, o[0].second);
	test.c = ptx_src_pred(d, &o[5], &neg);
	test.sign = neg;
	d->stmt->n_opd = 5;
	fill_operands(d, "ttttt", type_named(".b32"), false, &in);
	test.a = in.d;
	test.b = ptx_const(d, 0, 4);
	ptx_emit_built(d, in.kind, &in);
	ptx_emit_built(d, test.kind, &test);
	d->code[d->n_code - 1].count = 0;
}

/* lop3.b32 d, a, b, c, lut */
static void decode_lop3(struct ptx_dec *d, const struct ptx_opcode *self)
{
	static const char *const logics[] = {".and", ".or", NULL};
	int logic = ptx_take_any(d, logics);
	struct ptx_inst in = {.kind = PTX_K_ALU, .fn = ptx_lanes_find("lop3.b32")};
	const struct ptx_type *t = ptx_need_type(d);
	if (strcmp(t->name, "b32"))
		ptx_unsupported(d, NULL);
	ptx_need_operands(d, logic < 0 ? 5 : 6, logic < 0 ? 5 : 6);
	if (d->stmt->opd[4].kind != PTX_O_INT)
		ptx_bad(d, "the look-up table is not a constant");
	if (logic >= 0) {
		lop3_bool(d, logic);
		return;
	}
	fill_operands(d, "ttttt", t, false, &in);
	ptx_emit_built(d, in.kind, &in);
}

/* dp4a.u32.s32, dp2a.lo.u32.s32 */
static void decode_dot(struct ptx_dec *d, const struct ptx_opcode *self)
{
	char key[64];
	struct ptx_inst in = {.kind = PTX_K_ALU};
	snprintf(key, sizeof(key), "%s", self->name);
	take_subs(d, "lo hi", key, sizeof(key));
	const struct ptx_type *ta = ptx_need_type(d), *tb = ptx_need_type(d);
	snprintf(key + strlen(key), sizeof(key) - strlen(key), ".%s.%s", ta->name, tb->name);
	in.fn = ptx_lanes_find(key);
	if (!in.fn)
		ptx_unsupported(d, NULL);
	fill_operands(d, "tttt", type_named(".u32"), false, &in);
	ptx_emit_built(d, in.kind, &in);
}

static void decode_slct(struct ptx_dec *d, const struct ptx_opcode *self)
{
	char key[64];
	struct ptx_inst in = {.kind = PTX_K_ALU};
	const struct ptx_type *t = ptx_need_type(d), *tc = ptx_need_type(d);
	ptx_need_operands(d, 4, 4);
	snprintf(key, sizeof(key), "slct.b%u.%s", t->size * 8u, tc->name);
	in.fn = ptx_lanes_find(key);
	if (!in.fn)
		ptx_unsupported(d, NULL);
	in.d = ptx_dst(d, &d->stmt->opd[0], t->size);
	in.size = t->size;
	in.a = ptx_src(d, &d->stmt->opd[1], t);
	in.b = ptx_src(d, &d->stmt->opd[2], t);
	in.c = ptx_src(d, &d->stmt->opd[3], tc);
	ptx_emit_built(d, in.kind, &in);
}

/* testp.finite.f32 p, a */
static void decode_testp(struct ptx_dec *d, const struct ptx_opcode *self)
{
	static const char *const tests[] = {".finite", ".infinite",  ".number", ".notanumber",
	                                    ".normal", ".subnormal", NULL};
	char key[64];
	int test = ptx_take_any(d, tests);
	const struct ptx_type *t = ptx_need_type(d);
	ptx_need_operands(d, 2, 2);
	if (test < 0)
		ptx_unsupported(d, NULL);
	snprintf(key, sizeof(key), "%s.%s", tests[test] + 1, t->name);
	struct ptx_inst in = {.kind = PTX_K_SETP, .cmp = ptx_lanes_find_cmp(key)};
	if (!in.cmp)
		ptx_unsupported(d, NULL);
	in.d = ptx_dst_pred(d, &d->stmt->opd[0]);
	in.d2 = in.d;
	in.size = t->size;
	in.a = in.b = ptx_src(d, &d->stmt->opd[1], t);
	in.vec = 1;
	ptx_emit_built(d, in.kind, &in);
}

const struct ptx_opcode ptx_alu_opcodes[] = {
    {"add", decode_alu, "ttt", NULL, 1},
    {"sub", decode_alu, "ttt", NULL, 1},
    {"mul", decode_alu, "ttt", "lo hi wide", 0},
    {"mad", decode_alu, "tttt", "lo hi wide", 2},
    {"fma", decode_alu, "tttt", NULL, 0},
    {"mul24", decode_alu, "ttt", "lo hi", 0},
    {"mad24", decode_alu, "tttt", "lo hi", 0},
    {"sad", decode_alu, "tttt", NULL, 0},
    {"div", decode_alu, "ttt", NULL, 0},
    {"rem", decode_alu, "ttt", NULL, 0},
    {"abs", decode_alu, "tt", NULL, 0},
    {"neg", decode_alu, "tt", NULL, 0},
    {"min", decode_alu, "ttt", "NaN", 3},
    {"max", decode_alu, "ttt", "NaN", 3},
    {"and", decode_alu, "ttt", NULL, 0},
    {"or", decode_alu, "ttt", NULL, 0},
    {"xor", decode_alu, "ttt", NULL, 0},
    {"not", decode_alu, "tt", NULL, 0},
    {"cnot", decode_alu, "tt", NULL, 0},
    {"shl", decode_alu, "ttu", NULL, 0},
    {"shr", decode_alu, "ttu", NULL, 0},
    {"shf", decode_alu, "tttu", "l r|clamp wrap", 0},
    {"bfe", decode_alu, "ttuu", NULL, 0},
    {"bfi", decode_alu, "tttuu", NULL, 0},
    {"bmsk", decode_alu, "tuu", "clamp wrap", 0},
    {"szext", decode_alu, "ttu", "clamp wrap", 0},
    {"bfind", decode_alu, "ut", "shiftamt", 0},
    {"popc", decode_alu, "ut", NULL, 0},
    {"clz", decode_alu, "ut", NULL, 0},
    {"brev", decode_alu, "tt", NULL, 0},
    {"fns", decode_alu, "tttu", NULL, 0},
    {"copysign", decode_alu, "ttt", NULL, 0},
    {"sqrt", decode_alu, "tt", NULL, 0},
    {"rsqrt", decode_alu, "tt", NULL, 0},
    {"rcp", decode_alu, "tt", NULL, 0},
    {"sin", decode_alu, "tt", NULL, 0},
    {"cos", decode_alu, "tt", NULL, 0},
    {"ex2", decode_alu, "tt", NULL, 0},
    {"lg2", decode_alu, "tt", NULL, 0},
    {"tanh", decode_alu, "tt", NULL, 0},
    {"addc", decode_carry, NULL, NULL, PTX_C_ADD},
    {"subc", decode_carry, NULL, NULL, PTX_C_SUB},
    {"madc", decode_carry, NULL, NULL, PTX_C_MADLO},
    {"prmt", decode_prmt, NULL, NULL, 0},
    {"lop3", decode_lop3, NULL, NULL, 0},
    {"dp4a", decode_dot, NULL, NULL, 0},
    {"dp2a", decode_dot, NULL, NULL, 0},
    {"slct", decode_slct, NULL, NULL, 0},
    {"testp", decode_testp, NULL, NULL, 0},
    {NULL, NULL, NULL, NULL, 0},
};
