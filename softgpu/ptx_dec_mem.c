// SPDX-License-Identifier: Apache-2.0
/*
 * ptx_dec_mem.c: loads, stores, atomics, address conversion. Caching and eviction hints change
 * nothing here; orderings (volatile, relaxed, acquire, release) do.
 */
#include <stdio.h>
#include <string.h>

#include "ptx_dec.h"

/* Where to access; -1: not said, so generic. */
int ptx_take_space(struct ptx_dec *d)
{
	static const struct {
		const char *name;
		enum ptx_space space;
	} spaces[] = {
	    {".global", PTX_SPACE_GLOBAL},      {".shared", PTX_SPACE_SHARED},
	    {".shared::cta", PTX_SPACE_SHARED}, {".shared::cluster", PTX_SPACE_SHARED},
	    {".local", PTX_SPACE_LOCAL},        {".param", PTX_SPACE_PARAM},
	    {".param::entry", PTX_SPACE_PARAM}, {".param::func", PTX_SPACE_PARAM},
	    {".const", PTX_SPACE_CONST},
	};
	for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++)
		if (ptx_take(d, spaces[i].name))
			return (int)spaces[i].space;
	return -1;
}

/* Hints: taken, without effect. True if there is an operand for a cache policy. */
bool ptx_take_hints(struct ptx_dec *d)
{
	static const char *const plain[] = {".ca", ".cg", ".cs",   ".lu",      ".cv",   ".wb",
	                                    ".wt", ".nc", ".weak", ".unified", ".mmio", NULL};
	struct ptx_stmt *s = d->stmt;
	bool policy = false;
	while (ptx_take_any(d, plain) >= 0)
		continue;
	for (uint32_t i = 0; i < s->n_mod; i++) {
		struct ptx_str m = s->mod[i];
		if (s->taken[i] || m.len < 6)
			continue;
		if (ptx_str_is(m, ".L2::cache_hint"))
			policy = s->taken[i] = true;
		else if (!strncmp(m.p, ".L1::", 5) || !strncmp(m.p, ".L2::", 5))
			s->taken[i] = true;
	}
	return policy;
}

/* Memory order and scope; a scope has no effect: all threads share one memory. */
int ptx_take_order(struct ptx_dec *d)
{
	static const char *const scopes[] = {".cta", ".cluster", ".gpu", ".sys", NULL};
	int order = PTX_ORDER_NONE;
	ptx_take_any(d, scopes);
	if (ptx_take(d, ".acquire"))
		order |= PTX_ORDER_ACQUIRE;
	if (ptx_take(d, ".release"))
		order |= PTX_ORDER_RELEASE;
	if (ptx_take(d, ".acq_rel"))
		order |= PTX_ORDER_ACQUIRE | PTX_ORDER_RELEASE;
	ptx_take(d, ".relaxed");
	ptx_take(d, ".volatile");
	return order;
}

/* Address operand into the instruction. */
void ptx_address(struct ptx_dec *d, const struct ptx_opd *o, int space, struct ptx_inst *in)
{
	if (o->kind != PTX_O_MEM || o->n_items)
		ptx_bad(d, "an address in brackets is expected");
	in->space = space < 0 ? PTX_SPACE_GENERIC : (uint8_t)space;
	in->site = d->sites++;
	/* in a function .param is its own parameters, which are local memory */
	if (space == PTX_SPACE_PARAM && ptx_in_function(d))
		in->space = PTX_SPACE_LOCAL;
	if (o->has_base) {
		if (o->size < 4)
			ptx_bad(d, "the address register is narrower than 32 bits");
		in->a = o->reg;
		in->asize = o->size;
		in->imm = o->offset;
		return;
	}
	if (o->sym) {
		/* parameters of calls are local memory */
		if (space == PTX_SPACE_PARAM && o->sym->space == PTX_SPACE_LOCAL)
			in->space = PTX_SPACE_LOCAL;
		else if (space < 0) /* generic, by the name of a variable */
			in->space = o->sym->space;
		else if (o->sym->space != (enum ptx_space)space)
			ptx_bad(d, "the variable is in another state space");
	}
	in->asize = 8;
	if (o->sym && o->sym->frame) {
		in->a = PTX_FRAME;
		in->imm = (int64_t)o->sym->addr + o->offset;
		return;
	}
	struct ptx_opd value = *o;
	static const struct ptx_type u64 = {"u64", 'u', 8};
	value.kind = o->sym ? PTX_O_ADDR : PTX_O_INT;
	value.value = (uint64_t)o->offset;
	in->a = ptx_src(d, &value, &u64);
}

static uint32_t take_vector(struct ptx_dec *d)
{
	static const char *const names[] = {".v2", ".v4", ".v8", NULL};
	static const uint32_t n[] = {1, 2, 4, 8};
	return n[ptx_take_any(d, names) + 1];
}

static const struct ptx_type *memory_type(struct ptx_dec *d, uint32_t vec)
{
	const struct ptx_type *t = ptx_need_type(d);
	if (t->kind == 'p')
		ptx_unsupported(d, NULL);
	if (t->size * vec > 32)
		ptx_bad(d, "more than 32 bytes a lane");
	return t;
}

/* The registers of a load: all of one size, so that one loop serves them. */
static void load_registers(struct ptx_dec *d, const struct ptx_opd *o, const struct ptx_type *t,
                           struct ptx_inst *in)
{
	const struct ptx_opd *items = o->kind == PTX_O_VEC ? o->items : o;
	uint32_t n = o->kind == PTX_O_VEC ? o->n_items : 1, regs[8] = {0};
	if (n != in->vec)
		ptx_bad(d, "the number of registers differs from the vector's");
	in->rsize = t->size < 2 ? 2 : t->size;
	for (uint32_t i = 0; i < n; i++)
		if (items[i].kind == PTX_O_REG && items[i].size > in->rsize)
			in->rsize = items[i].size;
	for (uint32_t i = 0; i < n; i++)
		regs[i] = ptx_dst(d, &items[i], in->rsize);
	in->d = regs[0];
	if (n > 1) {
		in->target = d->n_ext;
		for (uint32_t i = 0; i < n; i++)
			ptx_ext(d, regs[i]);
	}
}

static void decode_ld(struct ptx_dec *d, const struct ptx_opcode *self)
{
	struct ptx_inst in = {.order = (uint8_t)ptx_take_order(d)};
	int space = ptx_take_space(d);
	bool policy = ptx_take_hints(d);
	in.vec = (uint8_t)take_vector(d);
	const struct ptx_type *t = memory_type(d, in.vec);
	ptx_need_operands(d, policy ? 3 : 2, policy ? 3 : 2);
	if (self->arg) /* ldu: global, read-only */
		space = PTX_SPACE_GLOBAL;
	in.size = t->size;
	in.sign = t->kind == 's';
	ptx_address(d, &d->stmt->opd[1], space, &in);
	load_registers(d, &d->stmt->opd[0], t, &in);
	enum ptx_kind kind = PTX_K_LD;
	const struct ptx_opd *o = &d->stmt->opd[1];
	if (in.space == PTX_SPACE_PARAM && !o->has_base && in.vec == 1) {
		uint64_t at = (o->sym ? o->sym->addr : 0) + (uint64_t)o->offset;
		if (at > d->k->info.param_bytes || at + t->size > d->k->info.param_bytes)
			ptx_bad(d, "the address is outside the parameters");
		in.imm = (int64_t)at;
		in.a = 0;
		kind = PTX_K_LDPARAM;
	}
	ptx_emit_built(d, kind, &in);
}

/* st.async, red.async: told to a barrier, in a further operand. */
static bool take_async(struct ptx_dec *d)
{
	if (!ptx_take(d, ".async"))
		return false;
	if (!ptx_take(d, ".mbarrier::complete_tx::bytes"))
		ptx_unsupported(d, NULL);
	return true;
}

static void decode_st(struct ptx_dec *d, const struct ptx_opcode *self)
{
	bool async = take_async(d);
	struct ptx_inst in = {.order = (uint8_t)ptx_take_order(d)};
	int space = ptx_take_space(d);
	bool policy = ptx_take_hints(d);
	uint32_t regs[8] = {0};
	uint8_t sizes[8] = {0};
	in.vec = (uint8_t)take_vector(d);
	const struct ptx_type *t = memory_type(d, in.vec);
	ptx_need_operands(d, policy || async ? 3 : 2, policy || async ? 3 : 2);
	if (async && (space != PTX_SPACE_SHARED || policy))
		ptx_unsupported(d, NULL);
	in.size = t->size;
	ptx_address(d, &d->stmt->opd[0], space, &in);
	if (in.space == PTX_SPACE_PARAM || in.space == PTX_SPACE_CONST)
		ptx_bad(d, "this state space is read-only");
	const struct ptx_opd *o = &d->stmt->opd[1];
	const struct ptx_opd *items = o->kind == PTX_O_VEC ? o->items : o;
	uint32_t n = o->kind == PTX_O_VEC ? o->n_items : 1;
	if (n != in.vec)
		ptx_bad(d, "the number of registers differs from the vector's");
	for (uint32_t i = 0; i < n; i++)
		regs[i] = ptx_src_any(d, &items[i], t, &sizes[i]);
	for (uint32_t i = 0; i < n; i++)
		in.rsize = sizes[i] > in.rsize ? sizes[i] : in.rsize;
	for (uint32_t i = 0; i < n; i++) {
		if (sizes[i] == in.rsize)
			continue;
		if (items[i].kind != PTX_O_INT)
			ptx_unsupported(d, "a vector of registers of several sizes is");
		regs[i] = ptx_const(d, items[i].value, in.rsize);
	}
	in.b = regs[0];
	if (n > 1) {
		in.target = d->n_ext;
		for (uint32_t i = 0; i < n; i++)
			ptx_ext(d, regs[i]);
	}
	ptx_emit_built(d, PTX_K_ST, &in);
	if (async)
		ptx_complete_bytes(d, &d->stmt->opd[2], (uint32_t)in.size * in.vec);
}

/* ---- atomics */
enum ptx_scalar ptx_scalar_of(const struct ptx_type *t)
{
	if (!strcmp(t->name, "f16x2"))
		return PTX_T_F16X2;
	if (!strcmp(t->name, "bf16x2"))
		return PTX_T_BF16X2;
	if (!strcmp(t->name, "f16"))
		return PTX_T_F16;
	if (!strcmp(t->name, "bf16"))
		return PTX_T_BF16;
	return t->kind == 'f' ? PTX_T_F : t->kind == 's' ? PTX_T_S : PTX_T_U;
}

bool ptx_atomic_exists(enum ptx_atom_op op, const struct ptx_type *t)
{
	bool i32 = t->size == 4 && t->kind != 'f', i64 = t->size == 8 && t->kind != 'f';
	switch (op) {
	case PTX_A_ADD:
		return t->kind == 'f' || i32 || i64;
	case PTX_A_MIN:
	case PTX_A_MAX:
		return (i32 || i64) && t->kind != 'b';
	case PTX_A_AND:
	case PTX_A_OR:
	case PTX_A_XOR:
		return i32 || i64;
	case PTX_A_EXCH:
		return t->size == 4 || t->size == 8;
	case PTX_A_CAS:
		return t->size == 4 || t->size == 8 || (t->size == 2 && t->kind == 'b');
	case PTX_A_INC:
	case PTX_A_DEC:
		return i32 && t->kind == 'u';
	}
	return false;
}

/* atom.add.v4.f32: one of each element; PTX does not promise more */
static void atom_vector(struct ptx_dec *d, const struct ptx_inst *one, const struct ptx_type *t,
                        uint32_t n, int space, bool red)
{
	const struct ptx_opd *o = d->stmt->opd, *from = red ? &o[1] : &o[2];
	if (from->kind != PTX_O_VEC || from->n_items != n ||
	    (!red && (o[0].kind != PTX_O_VEC || o[0].n_items != n)))
		ptx_bad(d, "the number of registers differs from the vector's");
	for (uint32_t i = 0; i < n; i++) {
		struct ptx_inst in = *one;
		ptx_address(d, red ? &o[0] : &o[1], space, &in);
		in.imm += (int64_t)i * t->size;
		if (!red)
			in.d = ptx_dst(d, &o[0].items[i], t->size);
		in.vec = !red;
		in.b = ptx_src(d, &from->items[i], t);
		ptx_emit_built(d, PTX_K_ATOM, &in);
		d->code[d->n_code - 1].count = i == 0;
	}
}

static void decode_atom(struct ptx_dec *d, const struct ptx_opcode *self)
{
	static const char *const ops[] = {".add",  ".min", ".max", ".and", ".or", ".xor",
	                                  ".exch", ".cas", ".inc", ".dec", NULL};
	bool red = self->arg, async = red && take_async(d);
	struct ptx_inst in = {.order = (uint8_t)ptx_take_order(d)};
	int space = ptx_take_space(d), op = ptx_take_any(d, ops);
	bool policy = ptx_take_hints(d);
	ptx_take(d, ".noftz");
	uint32_t vec = take_vector(d);
	const struct ptx_type *t = ptx_need_type(d);
	bool half_vector =
	    vec > 1 && (op == PTX_A_MIN || op == PTX_A_MAX) && strstr(t->name, "f16");
	if (op < 0 || (!ptx_atomic_exists((enum ptx_atom_op)op, t) && !half_vector) ||
	    (red && (op == PTX_A_EXCH || op == PTX_A_CAS)) || space == PTX_SPACE_LOCAL ||
	    space == PTX_SPACE_PARAM || space == PTX_SPACE_CONST)
		ptx_unsupported(d, NULL);
	if (async && (space != PTX_SPACE_SHARED || policy || vec > 1))
		ptx_unsupported(d, NULL);
	uint32_t n = (red ? 2u : 3u) + (op == PTX_A_CAS) + policy + async;
	const struct ptx_opd *o = d->stmt->opd;
	ptx_need_operands(d, n, n);
	in.op = (uint8_t)op;
	in.scalar = (uint8_t)ptx_scalar_of(t);
	in.size = in.rsize = t->size;
	if (vec > 1) {
		if (t->kind != 'f' || t->size == 8 || (op != PTX_A_ADD && !half_vector))
			ptx_unsupported(d, NULL);
		atom_vector(d, &in, t, vec, space, red);
		return;
	}
	ptx_address(d, red ? &o[0] : &o[1], space, &in);
	if (red)
		in.vec = 0;
	else {
		in.d = ptx_dst(d, &o[0], t->size);
		in.vec = 1; /* there is a result */
	}
	in.b = ptx_src(d, red ? &o[1] : &o[2], t);
	if (op == PTX_A_CAS)
		in.c = ptx_src(d, &o[3], t);
	ptx_emit_built(d, PTX_K_ATOM, &in);
	if (async)
		ptx_complete_bytes(d, &o[2], t->size);
}

/* ---- addresses */
static uint64_t window(struct ptx_dec *d, int space)
{
	switch (space) {
	case PTX_SPACE_GLOBAL:
	case PTX_SPACE_CONST:
		return 0;
	case PTX_SPACE_SHARED:
		return PTX_SHARED_BASE;
	case PTX_SPACE_LOCAL:
		return PTX_LOCAL_BASE;
	case PTX_SPACE_PARAM:
		return ptx_in_function(d) ? PTX_LOCAL_BASE : PTX_PARAM_BASE;
	default:
		ptx_unsupported(d, NULL);
	}
}

static void decode_cvta(struct ptx_dec *d, const struct ptx_opcode *self)
{
	bool to = ptx_take(d, ".to");
	uint64_t base = window(d, ptx_take_space(d));
	const struct ptx_type *t = ptx_need_type(d);
	if (t->size != 8)
		ptx_unsupported(d, NULL);
	ptx_need_operands(d, 2, 2);
	struct ptx_inst in = {.size = 8};
	in.d = ptx_dst(d, &d->stmt->opd[0], 8);
	in.a = ptx_src(d, &d->stmt->opd[1], t);
	in.b = ptx_const(d, base, 8);
	in.fn = ptx_lanes_find(base ? (to ? "sub.u64" : "add.u64") : "mov.b64");
	ptx_emit_built(d, PTX_K_ALU, &in);
}

static void decode_isspacep(struct ptx_dec *d, const struct ptx_opcode *self)
{
	static const struct ptx_type u64 = {"u64", 'u', 8};
	bool cluster = ptx_take(d, ".shared::cluster");
	int space = cluster ? PTX_SPACE_SHARED : ptx_take_space(d);
	ptx_need_operands(d, 2, 2);
	struct ptx_inst in = {.space = (uint8_t)(window(d, space) >> PTX_WINDOW_SHIFT)};
	in.op = space == PTX_SPACE_SHARED && !cluster;
	in.sign = space == PTX_SPACE_CONST; /* variables in const look like global ones: say no */
	in.d = ptx_dst_pred(d, &d->stmt->opd[0]);
	in.a = ptx_src(d, &d->stmt->opd[1], &u64);
	ptx_emit_built(d, PTX_K_ISSPACE, &in);
}

/* prefetch, discard, applypriority: hints */
static void decode_hint(struct ptx_dec *d, const struct ptx_opcode *self)
{
	static const char *const levels[] = {".L1", ".L2", ".tensormap", NULL};
	ptx_take_space(d);
	ptx_take_any(d, levels);
	ptx_take_hints(d);
	ptx_need_operands(d, 1, 2);
	if (d->stmt->opd[0].kind != PTX_O_MEM)
		ptx_bad(d, "an address in brackets is expected");
	ptx_emit(d, PTX_K_NOP);
}

/* createpolicy: the policy is only ever given to hints */
static void decode_createpolicy(struct ptx_dec *d, const struct ptx_opcode *self)
{
	static const char *const forms[] = {".fractional", ".cvt", ".range", NULL};
	const struct ptx_type *t;
	if (ptx_take_any(d, forms) < 0)
		ptx_unsupported(d, NULL);
	ptx_take_hints(d);
	ptx_take(d, ".L2");
	ptx_take(d, ".global");
	t = ptx_need_type(d);
	if (t->size != 8)
		ptx_unsupported(d, NULL);
	ptx_need_operands(d, 1, 4);
	struct ptx_inst in = {.size = 8, .fn = ptx_lanes_find("mov.b64")};
	in.d = ptx_dst(d, &d->stmt->opd[0], 8);
	in.a = ptx_const(d, 0, 8);
	ptx_emit_built(d, PTX_K_ALU, &in);
}

const struct ptx_opcode ptx_mem_opcodes[] = {
    {"ld", decode_ld, NULL, NULL, 0},
    {"ldu", decode_ld, NULL, NULL, 1},
    {"st", decode_st, NULL, NULL, 0},
    {"atom", decode_atom, NULL, NULL, 0},
    {"red", decode_atom, NULL, NULL, 1},
    {"cvta", decode_cvta, NULL, NULL, 0},
    {"isspacep", decode_isspacep, NULL, NULL, 0},
    {"prefetch", decode_hint, NULL, NULL, 0},
    {"prefetchu", decode_hint, NULL, NULL, 0},
    {"applypriority", decode_hint, NULL, NULL, 0},
    {"discard", decode_hint, NULL, NULL, 0},
    {"createpolicy", decode_createpolicy, NULL, NULL, 0},
    {NULL, NULL, NULL, NULL, 0},
};
