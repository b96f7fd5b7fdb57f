// SPDX-License-Identifier: Apache-2.0
/* ptx_dec_ctl.c: control flow, fences, barriers, and what the lanes of a warp do together. */
#include <string.h>

#include "ptx_dec.h"

static const struct ptx_type u32_type = {"u32", 'u', 4};
static const struct ptx_type b32_type = {"b32", 'b', 4};

/* ---- control flow */
static void decode_bra(struct ptx_dec *d, const struct ptx_opcode *self)
{
	ptx_take(d, ".uni");
	ptx_need_operands(d, 1, 1);
	if (d->stmt->opd[0].kind != PTX_O_NAME)
		ptx_bad(d, "a label is expected");
	ptx_emit(d, PTX_K_BRA);
	ptx_branch_to(d, d->n_code - 1, false, d->stmt->opd[0].name);
}

/* brx.idx %r1, table: a list of targets in ext */
static void decode_brx(struct ptx_dec *d, const struct ptx_opcode *self)
{
	struct ptx_load *ld = d->ld;
	ptx_take(d, ".uni");
	if (!ptx_take(d, ".idx"))
		ptx_unsupported(d, NULL);
	ptx_need_operands(d, 2, 2);
	const struct ptx_sym *table = d->stmt->opd[1].sym;
	if (!table || table->kind != PTX_SYM_TABLE)
		ptx_bad(d, "a list of .branchtargets is expected");
	struct ptx_inst in = {.target = d->n_ext};
	uint32_t scope = d->scope;
	d->scope = table->table_scope; /* labels are looked up where the list stands */
	for (uint32_t at = table->first; at < table->last; at++) {
		if (in.imm && !ptx_accept(ld, &at, ','))
			ptx_bad(d, "the list of targets is malformed");
		if (ld->tok[at].kind != PTX_TOK_IDENT)
			ptx_bad(d, "the list of targets is malformed");
		ptx_branch_to(d, ptx_ext(d, 0), true, ld->tok[at].s);
		in.imm++;
	}
	d->scope = scope;
	in.a = ptx_src(d, &d->stmt->opd[0], &u32_type);
	ptx_emit_built(d, PTX_K_BRX, &in);
}

static void decode_exit(struct ptx_dec *d, const struct ptx_opcode *self)
{
	ptx_need_operands(d, 0, 0);
	ptx_emit(d, (enum ptx_kind)self->arg);
}

/* ret: out of an inlined function, a branch to its end; out of the kernel, an exit */
static void decode_ret(struct ptx_dec *d, const struct ptx_opcode *self)
{
	ptx_take(d, ".uni");
	ptx_need_operands(d, 0, 0);
	if (!d->inline_depth) {
		ptx_emit(d, d->area ? PTX_K_RET : PTX_K_EXIT);
		return;
	}
	ptx_emit(d, PTX_K_BRA);
	d->returns = ptx_grow(d->ld, &d->ld->temp, d->returns, d->n_returns, &d->cap_returns,
	                      sizeof(*d->returns));
	d->returns[d->n_returns++] = d->n_code - 1;
}

static void decode_call(struct ptx_dec *d, const struct ptx_opcode *self)
{
	ptx_decode_call(d);
}

/* alloca.u64 d, bytes{, align}; stacksave.u64 d; stackrestore.u64 a */
static void decode_stack(struct ptx_dec *d, const struct ptx_opcode *self)
{
	const struct ptx_type *t = ptx_need_type(d);
	const struct ptx_opd *o = d->stmt->opd;
	struct ptx_inst in = {.op = (uint8_t)self->arg, .size = t->size, .imm = 8};
	if (t->size != 8)
		ptx_unsupported(d, NULL);
	ptx_need_operands(d, self->arg ? 1 : 2, self->arg ? 1 : 3);
	if (d->stmt->n_opd == 3) {
		in.imm = (int64_t)o[2].value;
		if (o[2].kind != PTX_O_INT || in.imm < 1 || in.imm > 4096 || in.imm & (in.imm - 1))
			ptx_bad(d, "the alignment is not a power of two");
	}
	if (self->arg != 1)
		in.a = ptx_src(d, &o[self->arg == 0], t);
	if (self->arg != 2)
		in.d = ptx_dst(d, &o[0], t->size);
	d->uses_stack = true;
	ptx_emit_built(d, PTX_K_STACK, &in);
}

/* ---- fences and the like */
static void decode_fence(struct ptx_dec *d, const struct ptx_opcode *self)
{
	static const char *const words[] = {".sc",
	                                    ".acq_rel",
	                                    ".acquire",
	                                    ".release",
	                                    ".cta",
	                                    ".gl",
	                                    ".gpu",
	                                    ".sys",
	                                    ".cluster",
	                                    ".proxy",
	                                    ".alias",
	                                    ".async",
	                                    ".async::generic",
	                                    ".tensormap::generic",
	                                    ".global",
	                                    ".shared::cta",
	                                    ".shared::cluster",
	                                    ".sync_restrict::shared::cta",
	                                    ".sync_restrict::shared::cluster",
	                                    ".mbarrier_init",
	                                    NULL};
	ptx_need_operands(d, 0, 2); /* of a tensor map: which memory */
	while (ptx_take_any(d, words) >= 0)
		continue;
	ptx_emit(d, PTX_K_FENCE);
}

static void decode_nanosleep(struct ptx_dec *d, const struct ptx_opcode *self)
{
	const struct ptx_type *t = ptx_need_type(d);
	ptx_need_operands(d, 1, 1);
	ptx_src(d, &d->stmt->opd[0], t); /* how long is only a hint: the warp gives way */
	ptx_emit(d, PTX_K_NANOSLEEP);
}

/* griddepcontrol, setmaxnreg, pmevent: no effect on results */
static void decode_nop(struct ptx_dec *d, const struct ptx_opcode *self)
{
	static const char *const words[] = {".launch_dependents", ".wait", ".inc",  ".dec", ".sync",
	                                    ".aligned",           ".u32",  ".mask", NULL};
	ptx_need_operands(d, 0, 1);
	while (ptx_take_any(d, words) >= 0)
		continue;
	ptx_emit(d, PTX_K_NOP);
}

/* ---- barriers of the block, bar.warp.sync */
static void decode_bar(struct ptx_dec *d, const struct ptx_opcode *self)
{
	static const char *const kinds[] = {".sync", ".arrive", ".red", NULL};
	static const char *const reds[] = {".popc", ".and", ".or", NULL};
	const struct ptx_opd *o = d->stmt->opd;
	struct ptx_inst in = {0};
	if (ptx_take(d, ".cluster")) {
		ptx_decode_cluster_barrier(d);
		return;
	}
	if (ptx_take(d, ".warp")) {
		ptx_take(d, ".sync");
		ptx_need_operands(d, 1, 1);
		in.a = ptx_src(d, &o[0], &b32_type);
		ptx_emit_built(d, PTX_K_WARPBAR, &in);
		return;
	}
	ptx_take(d, ".cta");
	ptx_take(d, ".aligned");
	int kind = ptx_take_any(d, kinds), red = kind == 2 ? ptx_take_any(d, reds) : 0;
	uint32_t i = 0;
	bool neg = false;
	if (kind < 0 || red < 0)
		ptx_unsupported(d, NULL);
	in.op = (uint8_t)(kind == 2 ? PTX_B_POPC + red : kind);
	if (kind == 2) {
		const struct ptx_type *t = ptx_need_type(d);
		ptx_need_operands(d, 3, 4);
		in.size = t->size;
		if ((red == 0) != (t->size == 4) || (red != 0) != (t->kind == 'p'))
			ptx_unsupported(d, NULL);
		in.d = red ? ptx_dst_pred(d, &o[0]) : ptx_dst(d, &o[0], 4);
		in.c = ptx_src_pred(d, &o[d->stmt->n_opd - 1], &neg);
		in.sign = neg;
		i = 1;
	}
	uint32_t n = d->stmt->n_opd - i - (kind == 2);
	if (n < 1 || n > 2 || (kind == 1 && n != 2))
		ptx_bad(d, "wrong number of operands");
	in.a = ptx_src(d, &o[i], &u32_type);
	in.combine = n == 2; /* with a number of threads */
	if (n == 2)
		in.b = ptx_src(d, &o[i + 1], &u32_type);
	ptx_emit_built(d, PTX_K_BAR, &in);
}

/* ---- warp-wide operations. in.e: member mask; in.combine: there is one (".sync") */
static void member_mask(struct ptx_dec *d, bool sync, const struct ptx_opd *o, struct ptx_inst *in)
{
	in->combine = sync;
	if (sync)
		in->e = ptx_src(d, o, &b32_type);
}

static void decode_shfl(struct ptx_dec *d, const struct ptx_opcode *self)
{
	static const char *const modes[] = {".up", ".down", ".bfly", ".idx", NULL};
	bool sync = ptx_take(d, ".sync");
	int mode = ptx_take_any(d, modes);
	const struct ptx_type *t = ptx_need_type(d);
	const struct ptx_opd *o = d->stmt->opd;
	if (mode < 0 || t->size != 4)
		ptx_unsupported(d, NULL);
	ptx_need_operands(d, sync ? 5 : 4, sync ? 5 : 4);
	struct ptx_inst in = {.op = (uint8_t)mode, .size = 4};
	in.d = ptx_dst(d, &o[0], 4);
	if (o[0].second) {
		in.d2 = ptx_dst_pred(d, o[0].second);
		in.rsize = 1;
	}
	in.a = ptx_src(d, &o[1], &b32_type);
	in.b = ptx_src(d, &o[2], &b32_type);
	in.c = ptx_src(d, &o[3], &b32_type);
	member_mask(d, sync, &o[4], &in);
	ptx_emit_built(d, PTX_K_SHFL, &in);
}

static void decode_vote(struct ptx_dec *d, const struct ptx_opcode *self)
{
	static const char *const modes[] = {".all", ".any", ".uni", ".ballot", NULL};
	bool sync = ptx_take(d, ".sync"), neg;
	int mode = ptx_take_any(d, modes);
	const struct ptx_type *t = ptx_need_type(d);
	const struct ptx_opd *o = d->stmt->opd;
	if (mode < 0 || (mode == PTX_V_BALLOT ? t->size != 4 : t->kind != 'p'))
		ptx_unsupported(d, NULL);
	ptx_need_operands(d, sync ? 3 : 2, sync ? 3 : 2);
	struct ptx_inst in = {.op = (uint8_t)mode, .size = 4};
	in.d = mode == PTX_V_BALLOT ? ptx_dst(d, &o[0], 4) : ptx_dst_pred(d, &o[0]);
	in.a = ptx_src_pred(d, &o[1], &neg);
	in.sign = neg;
	member_mask(d, sync, &o[2], &in);
	ptx_emit_built(d, PTX_K_VOTE, &in);
}

static void decode_match(struct ptx_dec *d, const struct ptx_opcode *self)
{
	static const char *const modes[] = {".any", ".all", NULL};
	int mode = ptx_take_any(d, modes);
	const struct ptx_opd *o = d->stmt->opd;
	if (mode < 0 || !ptx_take(d, ".sync"))
		ptx_unsupported(d, NULL);
	const struct ptx_type *t = ptx_need_type(d);
	if (t->size < 4)
		ptx_unsupported(d, NULL);
	ptx_need_operands(d, 3, 3);
	struct ptx_inst in = {.op = (uint8_t)(PTX_V_MATCH_ANY + mode), .size = 4, .asize = t->size};
	in.d = ptx_dst(d, &o[0], 4);
	if (o[0].second) {
		if (mode == 0)
			ptx_bad(d, "match.any has no predicate result");
		in.d2 = ptx_dst_pred(d, o[0].second);
		in.rsize = 1;
	}
	in.a = ptx_src(d, &o[1], t);
	member_mask(d, true, &o[2], &in);
	ptx_emit_built(d, PTX_K_MATCH, &in);
}

static void decode_redux(struct ptx_dec *d, const struct ptx_opcode *self)
{
	static const char *const ops[] = {".add", ".min", ".max", ".and", ".or", ".xor", NULL};
	if (!ptx_take(d, ".sync"))
		ptx_unsupported(d, NULL);
	int op = ptx_take_any(d, ops);
	const struct ptx_type *t = ptx_need_type(d);
	const struct ptx_opd *o = d->stmt->opd;
	if (op < 0 || t->size != 4 || t->kind == 'f')
		ptx_unsupported(d, NULL);
	ptx_need_operands(d, 3, 3);
	struct ptx_inst in = {.op = (uint8_t)op, .size = 4};
	in.scalar = t->kind == 's' ? PTX_T_S : PTX_T_U;
	in.d = ptx_dst(d, &o[0], 4);
	in.a = ptx_src(d, &o[1], t);
	member_mask(d, true, &o[2], &in);
	ptx_emit_built(d, PTX_K_REDUX, &in);
}

static void decode_activemask(struct ptx_dec *d, const struct ptx_opcode *self)
{
	ptx_need_type(d);
	ptx_need_operands(d, 1, 1);
	struct ptx_inst in = {.size = 4};
	in.d = ptx_dst(d, &d->stmt->opd[0], 4);
	ptx_emit_built(d, PTX_K_ACTIVEMASK, &in);
}

/* elect.sync d|p, mask: the lowest lane of the mask */
static void decode_elect(struct ptx_dec *d, const struct ptx_opcode *self)
{
	const struct ptx_opd *o = d->stmt->opd;
	if (!ptx_take(d, ".sync"))
		ptx_unsupported(d, NULL);
	ptx_need_operands(d, 2, 2);
	if (!o[0].second)
		ptx_bad(d, "a predicate result is expected");
	struct ptx_inst in = {.op = 0xff, .size = 4, .rsize = 1};
	in.d = ptx_dst(d, &o[0], 4);
	in.d2 = ptx_dst_pred(d, o[0].second);
	member_mask(d, true, &o[1], &in);
	ptx_emit_built(d, PTX_K_VOTE, &in);
}

const struct ptx_opcode ptx_ctl_opcodes[] = {
    {"bra", decode_bra, NULL, NULL, 0},
    {"brx", decode_brx, NULL, NULL, 0},
    {"call", decode_call, NULL, NULL, 0},
    {"ret", decode_ret, NULL, NULL, 0},
    {"alloca", decode_stack, NULL, NULL, 0},
    {"stacksave", decode_stack, NULL, NULL, 1},
    {"stackrestore", decode_stack, NULL, NULL, 2},
    {"exit", decode_exit, NULL, NULL, PTX_K_EXIT},
    {"trap", decode_exit, NULL, NULL, PTX_K_TRAP},
    {"brkpt", decode_exit, NULL, NULL, PTX_K_TRAP},
    {"membar", decode_fence, NULL, NULL, 0},
    {"fence", decode_fence, NULL, NULL, 0},
    {"nanosleep", decode_nanosleep, NULL, NULL, 0},
    {"griddepcontrol", decode_nop, NULL, NULL, 0},
    {"setmaxnreg", decode_nop, NULL, NULL, 0},
    {"pmevent", decode_nop, NULL, NULL, 0},
    {NULL, NULL, NULL, NULL, 0},
};

const struct ptx_opcode ptx_sync_opcodes[] = {
    {"bar", decode_bar, NULL, NULL, 0},
    {"barrier", decode_bar, NULL, NULL, 0},
    {"shfl", decode_shfl, NULL, NULL, 0},
    {"vote", decode_vote, NULL, NULL, 0},
    {"match", decode_match, NULL, NULL, 0},
    {"redux", decode_redux, NULL, NULL, 0},
    {"activemask", decode_activemask, NULL, NULL, 0},
    {"elect", decode_elect, NULL, NULL, 0},
    {NULL, NULL, NULL, NULL, 0},
};
