// SPDX-License-Identifier: Apache-2.0
/* ptx_dec_async.c: cp.async, cp.async.bulk and mbarrier. A copy is done at once; its groups have
 * nothing to wait for, and what arrives at a barrier when copies are complete arrives at once too.
 */
#include <string.h>

#include "ptx_dec.h"

static const struct ptx_type u32_type = {"u32", 'u', 4};
static const struct ptx_type b64_type = {"b64", 'b', 8};

/* ---- mbarrier. a: address; b: count, state or parity; d: state, count or predicate */
static void barrier_address(struct ptx_dec *d, const struct ptx_opd *o, int space,
                            struct ptx_inst *in)
{
	if (space >= 0 && space != PTX_SPACE_SHARED)
		ptx_unsupported(d, NULL);
	ptx_address(d, o, space, in);
	in->rsize = 8; /* bytes of memory */
}

static void need_b64(struct ptx_dec *d)
{
	if (ptx_need_type(d)->size != 8)
		ptx_unsupported(d, NULL);
}

/* mbarrier.arrive.b64 state, [a]{, count}; with .expect_tx the number is of bytes */
static void decode_arrive(struct ptx_dec *d, bool drop, struct ptx_inst *in)
{
	const struct ptx_opd *o = d->stmt->opd;
	bool tx = ptx_take(d, ".expect_tx"), stays = ptx_take(d, ".noComplete");
	int space = ptx_take_space(d);
	need_b64(d);
	/* the form for other blocks of a cluster may leave the state out */
	bool state = o[0].kind != PTX_O_MEM;
	uint32_t n = d->stmt->n_opd - state;
	if (n < 1 || n > 2 || (tx && n != 2))
		ptx_bad(d, "wrong number of operands");
	barrier_address(d, &o[state], space, in);
	in->op = drop ? PTX_M_DROP : PTX_M_ARRIVE;
	in->flags = tx;
	in->sign = stays;
	in->size = 8;
	in->b = n == 2 ? ptx_src(d, &o[state + 1], &u32_type) : ptx_const(d, 1, 4);
	if (state && o[0].kind != PTX_O_SINK) {
		in->d = ptx_dst(d, &o[0], 8);
		in->vec = 1; /* there is a result */
	}
}

static void decode_wait(struct ptx_dec *d, struct ptx_inst *in)
{
	const struct ptx_opd *o = d->stmt->opd;
	bool parity = ptx_take(d, ".parity");
	int space = ptx_take_space(d);
	need_b64(d);
	ptx_need_operands(d, 3, 4); /* the fourth: how long to wait at most; a hint */
	barrier_address(d, &o[1], space, in);
	in->op = PTX_M_TEST;
	in->sign = parity;
	in->b = ptx_src(d, &o[2], parity ? &u32_type : &b64_type);
	in->d = ptx_dst_pred(d, &o[0]);
}

static void decode_mbarrier(struct ptx_dec *d, const struct ptx_opcode *self)
{
	static const char *const ops[] = {
	    ".init",        ".inval",     ".arrive",   ".arrive_drop",   ".expect_tx",
	    ".complete_tx", ".test_wait", ".try_wait", ".pending_count", NULL};
	const struct ptx_opd *o = d->stmt->opd;
	struct ptx_inst in = {0};
	int op;
	for (op = 0; ops[op]; op++) /* the first one: .arrive.expect_tx has two of them */
		if (d->stmt->n_mod && ptx_str_is(d->stmt->mod[0], ops[op]))
			break;
	if (!ops[op])
		ptx_unsupported(d, NULL);
	ptx_take(d, ops[op]);
	in.order = (uint8_t)ptx_take_order(d);
	if (op == 2 || op == 3) {
		decode_arrive(d, op == 3, &in);
	} else if (op == 6 || op == 7) {
		decode_wait(d, &in);
	} else if (op == 8) {
		need_b64(d);
		ptx_need_operands(d, 2, 2);
		in.op = PTX_M_PENDING;
		in.size = 4;
		in.d = ptx_dst(d, &o[0], 4);
		in.b = ptx_src(d, &o[1], &b64_type);
	} else {
		int space = ptx_take_space(d);
		need_b64(d);
		ptx_need_operands(d, op == 1 ? 1 : 2, op == 1 ? 1 : 2);
		barrier_address(d, &o[0], space, &in);
		in.op = op == 0   ? PTX_M_INIT
		        : op == 1 ? PTX_M_INVAL
		        : op == 4 ? PTX_M_EXPECT
		                  : PTX_M_COMPLETE;
		if (op != 1)
			in.b = ptx_src(d, &o[1], &u32_type);
	}
	ptx_emit_built(d, PTX_K_MBAR, &in);
}

/* ---- cp.async. a: from, with imm; b: to, with `site` of its own; c: bytes to copy, rest zeros */
static void copy_async(struct ptx_dec *d)
{
	const struct ptx_opd *o = d->stmt->opd;
	static const char *const cache[] = {".ca", ".cg", NULL};
	struct ptx_inst from = {0}, to = {0};
	bool ignore = false;
	ptx_take_any(d, cache);
	bool policy = ptx_take_hints(d);
	bool shared = ptx_take(d, ".shared") || ptx_take(d, ".shared::cta");
	if (!shared || !ptx_take(d, ".global"))
		ptx_unsupported(d, NULL);
	ptx_need_operands(d, policy ? 4 : 3, policy ? 5 : 4);
	uint64_t bytes = o[2].value;
	if (o[2].kind != PTX_O_INT || (bytes != 4 && bytes != 8 && bytes != 16))
		ptx_bad(d, "the size is not 4, 8 or 16");
	bool fourth = d->stmt->n_opd - policy == 4;
	ptx_address(d, &o[0], PTX_SPACE_SHARED, &to);
	ptx_address(d, &o[1], PTX_SPACE_GLOBAL, &from);
	struct ptx_inst in = from;
	in.rsize = (uint8_t)bytes;
	in.b = to.a;
	in.vec = to.asize;
	in.target = (uint32_t)to.imm;
	if (fourth && o[3].kind == PTX_O_PRED) {
		in.e = ptx_src_pred(d, &o[3], &ignore); /* lanes where it is set copy nothing */
		in.sign = ignore;
		in.combine = true;
	} else {
		in.c = fourth ? ptx_src(d, &o[3], &u32_type) : ptx_const(d, bytes, 4);
	}
	ptx_emit_built(d, PTX_K_COPY, &in);
}

/* ---- cp.async.bulk and cp.reduce.async.bulk */
/* The state space that the next modifier names. */
static int next_space(struct ptx_dec *d)
{
	struct ptx_stmt *s = d->stmt;
	for (uint32_t i = 0; i < s->n_mod; i++) {
		if (s->taken[i])
			continue;
		s->taken[i] = true;
		if (ptx_str_is(s->mod[i], ".global"))
			return PTX_SPACE_GLOBAL;
		if (ptx_str_is(s->mod[i], ".shared::cta") ||
		    ptx_str_is(s->mod[i], ".shared::cluster"))
			return PTX_SPACE_SHARED;
		s->taken[i] = false;
		break;
	}
	ptx_unsupported(d, NULL);
}

/* .add.f32 and the like into op, scalar, size. */
static void take_reduction(struct ptx_dec *d, struct ptx_inst *in)
{
	static const char *const ops[] = {".add", ".min", ".max", ".and", ".or",
	                                  ".xor", ".inc", ".dec", NULL};
	static const uint8_t codes[] = {PTX_A_ADD, PTX_A_MIN, PTX_A_MAX, PTX_A_AND,
	                                PTX_A_OR,  PTX_A_XOR, PTX_A_INC, PTX_A_DEC};
	int op = ptx_take_any(d, ops);
	ptx_take(d, ".noftz");
	const struct ptx_type *t = ptx_need_type(d);
	bool half = t->kind == 'f' && t->size == 2;
	if (op < 0 || t->size < 2 ||
	    (!half && !ptx_atomic_exists((enum ptx_atom_op)codes[op], t)) || (half && op > 2))
		ptx_unsupported(d, NULL);
	in->op = codes[op];
	in->scalar = (uint8_t)ptx_scalar_of(t);
	in->size = t->size;
	in->flags |= PTX_BULK_REDUCE;
}

/* The bytes that were announced to the barrier have come; with the copy's guard. */
static void complete(struct ptx_dec *d, const struct ptx_opd *barrier, uint32_t bytes,
                     uint32_t blocks)
{
	struct ptx_inst in = {
	    .op = PTX_M_COMPLETE, .b = bytes, .e = blocks, .combine = blocks != 0};
	barrier_address(d, barrier, PTX_SPACE_SHARED, &in);
	ptx_emit_built(d, PTX_K_MBAR, &in);
	d->code[d->n_code - 1].count = 0;
}

void ptx_complete_bytes(struct ptx_dec *d, const struct ptx_opd *barrier, uint32_t bytes)
{
	complete(d, barrier, ptx_const(d, bytes, 4), 0);
}

/* [to], [from], bytes{, [barrier]}{, blocks or bytes}{, cache policy} */
static void copy_bulk(struct ptx_dec *d, bool reduce)
{
	static const struct ptx_type b16_type = {"b16", 'b', 2};
	const struct ptx_opd *o = d->stmt->opd;
	struct ptx_inst in = {0}, to = {0};
	int target = next_space(d), source = next_space(d);
	bool barrier = ptx_take(d, ".mbarrier::complete_tx::bytes");
	if (!barrier && !ptx_take(d, ".bulk_group"))
		ptx_unsupported(d, NULL);
	/* into global memory nothing can be told to a barrier, out of it nothing else */
	if (barrier != (target == PTX_SPACE_SHARED) ||
	    (target == PTX_SPACE_GLOBAL && source == PTX_SPACE_GLOBAL))
		ptx_unsupported(d, NULL);
	in.flags = ptx_take(d, ".multicast::cluster") && barrier && !reduce ? PTX_BULK_MULTICAST
	           : ptx_take(d, ".cp_mask") && !barrier && !reduce         ? PTX_BULK_BYTES
	                                                                    : 0;
	uint32_t n = 3u + barrier + (in.flags != 0) + ptx_take_hints(d);
	bool policy = n > 3u + barrier + (in.flags != 0);
	if (reduce)
		take_reduction(d, &in);
	ptx_need_operands(d, n, n);
	ptx_address(d, &o[1], source, &in);
	ptx_address(d, &o[0], target, &to);
	in.b = to.a;
	in.vec = to.asize;
	in.rsize = to.space;
	in.target = (uint32_t)to.imm;
	in.c = ptx_src(d, &o[2], &u32_type);
	if (in.flags & (PTX_BULK_MULTICAST | PTX_BULK_BYTES)) /* the policy comes first or last */
		in.e = ptx_src(d, &o[n - 1 - (policy && in.flags & PTX_BULK_MULTICAST)], &b16_type);
	ptx_emit_built(d, PTX_K_BULK, &in);
	if (barrier)
		complete(d, &o[3], in.c, in.flags & PTX_BULK_MULTICAST ? in.e : 0);
}

/* ---- cp.async.bulk.tensor and its reduction, in tile mode */

/* [map, {x, …}]: the map's address in a register, the coordinates into the list. */
static uint32_t take_map(struct ptx_dec *d, const struct ptx_opd *o, uint32_t rank,
                         uint32_t *coords)
{
	struct ptx_opd reg = *o;
	if (o->kind != PTX_O_MEM || o->n_items != rank)
		ptx_bad(d, "a tensor map with a coordinate for each dimension is expected");
	if (!o->has_base || o->offset)
		ptx_unsupported(d, "a tensor map whose address is not in a register is");
	for (uint32_t i = 0; i < rank; i++)
		coords[i] = ptx_src(d, &o->items[i], &u32_type);
	reg.kind = PTX_O_REG;
	return ptx_src(d, &reg, &b64_type);
}

static void emit_tensor(struct ptx_dec *d, struct ptx_inst *in, uint32_t bytes,
                        const uint32_t *coords)
{
	in->vec = bytes != 0;
	in->rsize = in->space;
	in->target = d->n_ext;
	if (bytes)
		ptx_ext(d, bytes);
	for (uint32_t i = 0; i < in->space; i++)
		ptx_ext(d, coords[i]);
	ptx_emit_built(d, PTX_K_TENSOR, in);
}

static void shared_side(struct ptx_dec *d, const struct ptx_opd *o, struct ptx_inst *in)
{
	struct ptx_inst side = {0};
	ptx_address(d, o, PTX_SPACE_SHARED, &side);
	in->b = side.a;
	in->asize = side.asize;
	in->imm = side.imm;
	in->site = side.site;
}

static void copy_tensor(struct ptx_dec *d, bool reduce)
{
	static const char *const ranks[] = {".1d", ".2d", ".3d", ".4d", ".5d", NULL};
	static const char *const ops[] = {".add", ".min", ".max", ".and", ".or",
	                                  ".xor", ".inc", ".dec", NULL};
	static const uint8_t codes[] = {PTX_A_ADD, PTX_A_MIN, PTX_A_MAX, PTX_A_AND,
	                                PTX_A_OR,  PTX_A_XOR, PTX_A_INC, PTX_A_DEC};
	const struct ptx_opd *o = d->stmt->opd;
	uint32_t coords[5] = {0};
	struct ptx_inst in = {.space = (uint8_t)(ptx_take_any(d, ranks) + 1)};
	if (!in.space)
		ptx_unsupported(d, NULL);
	int target = next_space(d), source = next_space(d);
	ptx_take(d, ".tile");
	bool policy = ptx_take_hints(d);
	if (target == PTX_SPACE_SHARED && source == PTX_SPACE_GLOBAL && !reduce) {
		if (!ptx_take(d, ".mbarrier::complete_tx::bytes"))
			ptx_unsupported(d, NULL);
		ptx_need_operands(d, 3u + policy, 3u + policy);
		uint32_t bytes = ptx_new_reg(d, 4);
		in.op = PTX_TENSOR_LOAD;
		in.a = take_map(d, &o[1], in.space, coords);
		shared_side(d, &o[0], &in);
		emit_tensor(d, &in, bytes, coords);
		complete(d, &o[2], bytes, 0);
		return;
	}
	int op = reduce ? ptx_take_any(d, ops) : 0;
	if (target != PTX_SPACE_GLOBAL || source != PTX_SPACE_SHARED || op < 0 ||
	    !ptx_take(d, ".bulk_group"))
		ptx_unsupported(d, NULL);
	ptx_need_operands(d, 2u + policy, 2u + policy);
	in.op = reduce ? PTX_TENSOR_REDUCE : PTX_TENSOR_STORE;
	in.round = codes[op];
	in.a = take_map(d, &o[0], in.space, coords);
	shared_side(d, &o[1], &in);
	emit_tensor(d, &in, 0, coords);
}

static void decode_bulk(struct ptx_dec *d, bool reduce)
{
	if (ptx_take(d, ".tensor")) {
		copy_tensor(d, reduce);
		return;
	}
	if (!reduce && ptx_take(d, ".prefetch")) {
		ptx_take(d, ".L2");
		ptx_take_hints(d);
		if (!ptx_take(d, ".global"))
			ptx_unsupported(d, NULL);
		ptx_need_operands(d, 2, 3);
		ptx_emit(d, PTX_K_NOP);
	} else if (!reduce && (ptx_take(d, ".commit_group") || ptx_take(d, ".wait_group"))) {
		ptx_take(d, ".read");
		ptx_need_operands(d, 0, 1);
		ptx_emit(d, PTX_K_NOP);
	} else {
		copy_bulk(d, reduce);
	}
}

static void decode_cp(struct ptx_dec *d, const struct ptx_opcode *self)
{
	bool reduce = ptx_take(d, ".reduce");
	static const char *const groups[] = {".commit_group", ".wait_group", ".wait_all", NULL};
	struct ptx_inst in = {.op = PTX_M_ARRIVE, .size = 8};
	if (!ptx_take(d, ".async"))
		ptx_unsupported(d, NULL);
	if (ptx_take(d, ".bulk")) {
		decode_bulk(d, reduce);
		return;
	}
	if (reduce)
		ptx_unsupported(d, NULL);
	if (ptx_take(d, ".mbarrier")) {
		if (!ptx_take(d, ".arrive"))
			ptx_unsupported(d, NULL);
		bool counts = ptx_take(d, ".noinc");
		int space = ptx_take_space(d);
		need_b64(d);
		ptx_need_operands(d, 1, 1);
		barrier_address(d, &d->stmt->opd[0], space, &in);
		/* else it is expected once more, and arrives */
		in.b = ptx_const(d, counts, 4);
		ptx_emit_built(d, PTX_K_MBAR, &in);
		return;
	}
	int group = ptx_take_any(d, groups);
	if (group < 0) {
		copy_async(d);
		return;
	}
	ptx_need_operands(d, group == 1, group == 1);
	ptx_emit(d, PTX_K_NOP);
}

const struct ptx_opcode ptx_async_opcodes[] = {
    {"mbarrier", decode_mbarrier, NULL, NULL, 0},
    {"cp", decode_cp, NULL, NULL, 0},
    {NULL, NULL, NULL, NULL, 0},
};
