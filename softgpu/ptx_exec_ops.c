// SPDX-License-Identifier: Apache-2.0
/* ptx_exec_ops.c: instructions on registers that are more than one lane function. */
#include <fenv.h>
#include <string.h>
#include <time.h>

#include "ptx_exec.h"

static const int modes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};

static ptx_fn *named(ptx_fn *_Atomic *cache, const char *key)
{
	ptx_fn *fn = atomic_load_explicit(cache, memory_order_relaxed);
	if (!fn) {
		fn = ptx_lanes_find(key);
		atomic_store_explicit(cache, fn, memory_order_relaxed);
	}
	return fn;
}

static void flush32(void *d, const void *s)
{
	static ptx_fn *_Atomic cache;
	named(&cache, "ftz.f32")(d, s, s, s, s);
}

enum adjust { FLUSH, SATURATE, RELU };

/* Flushes, saturates or clamps values of the instruction's type. */
static void adjust(const struct ptx_inst *in, enum adjust how, void *d, const void *s)
{
	static const char *const keys[][PTX_T_S16X2 + 1] = {
	    [FLUSH] = {[PTX_T_F] = "ftz.f32",
	               [PTX_T_F16] = "ftz.f16",
	               [PTX_T_BF16] = "ftz.bf16",
	               [PTX_T_F16X2] = "ftz.f16x2",
	               [PTX_T_BF16X2] = "ftz.bf16x2"},
	    [SATURATE] = {[PTX_T_F] = "sat.f32",
	                  [PTX_T_U] = "sat.f64", /* stands for f64 here */
	                  [PTX_T_F16] = "sat.f16",
	                  [PTX_T_BF16] = "sat.bf16",
	                  [PTX_T_F16X2] = "sat.f16x2",
	                  [PTX_T_BF16X2] = "sat.bf16x2"},
	    [RELU] = {[PTX_T_S] = "relu.s32",
	              [PTX_T_S16X2] = "relu.s16x2",
	              [PTX_T_F16] = "relu.f16",
	              [PTX_T_BF16] = "relu.bf16",
	              [PTX_T_F16X2] = "relu.f16x2",
	              [PTX_T_BF16X2] = "relu.bf16x2"},
	};
	static ptx_fn *_Atomic cache[3][PTX_T_S16X2 + 1];
	unsigned t = in->scalar == PTX_T_F && in->size == 8 ? PTX_T_U : in->scalar;
	named(&cache[how][t], keys[how][t])(d, s, s, s, s);
}

void ptx_exec_alux(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask)
{
	uint64_t out[PTX_LANES], flushed[3][PTX_LANES];
	const void *src[3] = {ptx_reg(w, in->a), ptx_reg(w, in->b), ptx_reg(w, in->c)};
	if (in->flags & PTX_F_FTZ_IN)
		for (int i = 0; i < in->vec && i < 3; i++) {
			adjust(in, FLUSH, flushed[i], src[i]);
			src[i] = flushed[i];
		}
	/* the call through a pointer keeps the arithmetic between the two mode changes */
	if (in->round)
		fesetround(modes[in->round]);
	in->fn(out, src[0], src[1], src[2], ptx_reg(w, in->e));
	if (in->round)
		fesetround(FE_TONEAREST);
	if (in->flags & PTX_F_FTZ_OUT)
		adjust(in, FLUSH, out, out);
	if (in->flags & PTX_F_SAT)
		adjust(in, SATURATE, out, out);
	if (in->flags & PTX_F_RELU)
		adjust(in, RELU, out, out);
	ptx_blend(w, in->d, out, in->size, mask);
}

void ptx_exec_cvt(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask)
{
	const struct ptx_stage *s = &w->worker->job->k->stages[in->target];
	uint64_t buf[2][PTX_LANES];
	const void *from = ptx_reg(w, in->a);
	int mode = in->round;
	for (unsigned i = 0; i < in->vec; i++) {
		if (s[i].rounds && in->round)
			fesetround(modes[in->round]);
		s[i].fn(buf[i & 1], from, ptx_reg(w, in->b), from, &mode);
		if (s[i].rounds && in->round)
			fesetround(FE_TONEAREST);
		from = buf[i & 1];
	}
	ptx_blend(w, in->d, from, in->size, mask);
}

static uint32_t combine(uint32_t r, uint32_t c, uint8_t op)
{
	return op == PTX_AND ? r & c : op == PTX_OR ? r | c : r ^ c;
}

static uint32_t compare(struct ptx_warp *w, const struct ptx_inst *in)
{
	uint64_t flushed[2][PTX_LANES];
	const void *a = ptx_reg(w, in->a), *b = ptx_reg(w, in->b);
	if (in->flags & PTX_F_FTZ_IN) {
		flush32(flushed[0], a);
		flush32(flushed[1], b);
		a = flushed[0];
		b = flushed[1];
	}
	return in->cmp(a, b);
}

static uint32_t third(struct ptx_warp *w, const struct ptx_inst *in)
{
	uint32_t c = ptx_pred(w, in->c);
	return in->sign ? ~c : c;
}

/* Two halves a lane, compared apart: bit i of *low and of the result for lane i. */
static uint32_t compare_pair(struct ptx_warp *w, const struct ptx_inst *in, uint32_t *low)
{
	const uint32_t *a = (const uint32_t *)ptx_reg(w, in->a);
	const uint32_t *b = (const uint32_t *)ptx_reg(w, in->b);
	uint16_t half[2][2][PTX_LANES];
	for (int i = 0; i < PTX_LANES; i++) {
		half[0][0][i] = (uint16_t)a[i];
		half[0][1][i] = (uint16_t)b[i];
		half[1][0][i] = (uint16_t)(a[i] >> 16);
		half[1][1][i] = (uint16_t)(b[i] >> 16);
	}
	*low = in->cmp(half[0][0], half[0][1]);
	return in->cmp(half[1][0], half[1][1]);
}

void ptx_exec_setp(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask)
{
	uint32_t r, second;
	if (in->flags & PTX_F_PAIR) {
		second = compare_pair(w, in, &r);
	} else {
		r = compare(w, in);
		second = ~r;
	}
	if (in->combine) {
		uint32_t c = third(w, in);
		r = combine(r, c, in->op);
		second = combine(second, c, in->op);
	}
	ptx_set_pred(w, in->d, r, mask);
	if (in->rsize)
		ptx_set_pred(w, in->d2, second, mask);
}

void ptx_exec_set(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask)
{
	uint32_t r, high = 0, c = in->combine ? third(w, in) : 0;
	uint64_t out[PTX_LANES];
	bool pair = in->flags & PTX_F_PAIR;
	if (pair)
		high = compare_pair(w, in, &r);
	else
		r = compare(w, in);
	if (in->combine) {
		r = combine(r, c, in->op);
		high = combine(high, c, in->op);
	}
	for (unsigned i = 0; i < PTX_LANES; i++) {
		uint64_t v = (r >> i) & 1 ? (uint64_t)in->imm : 0;
		if (pair && (high >> i) & 1)
			v |= (uint64_t)in->imm << 16;
		ptx_lane_set(out, in->size, i, v);
	}
	ptx_blend(w, in->d, out, in->size, mask);
}

void ptx_exec_selp(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask)
{
	uint64_t out[PTX_LANES];
	unsigned size = in->size;
	/* a full warp in place, unless the destination is the source that goes second */
	bool direct = mask == w->live && in->d != in->a;
	void *d = direct ? (void *)ptx_reg(w, in->d) : out;
	if (in->d != in->b || !direct)
		memcpy(d, ptx_reg(w, in->b), (size_t)size * PTX_LANES);
	w->worker->lanes->blend[ptx_size_index(size)](d, ptx_reg(w, in->a), third(w, in));
	if (!direct)
		ptx_blend(w, in->d, out, size, mask);
}

void ptx_exec_pred(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask)
{
	uint32_t a = ptx_pred(w, in->a), r;
	switch ((enum ptx_logic)in->op) {
	case PTX_NOT:
		r = ~a;
		break;
	case PTX_MOV:
		r = a;
		break;
	case PTX_SEL:
		r = (a & ptx_pred(w, in->c)) | (ptx_pred(w, in->b) & ~ptx_pred(w, in->c));
		break;
	default:
		r = combine(a, ptx_pred(w, in->b), in->op);
	}
	ptx_set_pred(w, in->d, r, mask);
}

/*
 * One lane of add.cc and its like: 64-bit arithmetic does for 32 bits, 128-bit for 64.
 *
 * After a subtraction the carry flag is the carry of a + ~b + 1: set when nothing was borrowed. A
 * chain of sub.cc and subc cannot tell, but nvcc's 128-bit division reads the flag with addc.
 */
static uint64_t with_carry(uint8_t op, unsigned size, uint64_t a, uint64_t b, uint64_t c, bool *cc)
{
	unsigned bits = size * 8;
	unsigned __int128 top = (unsigned __int128)1 << bits, x, in = op & PTX_C_IN ? *cc : 0;
	if ((op & PTX_C_KIND) == PTX_C_SUB) {
		unsigned borrow = op & PTX_C_IN ? !*cc : 0;
		unsigned __int128 r = (unsigned __int128)a - b - borrow;
		*cc = a >= (unsigned __int128)b + borrow;
		return (uint64_t)(r & (top - 1));
	}
	if ((op & PTX_C_KIND) == PTX_C_ADD) {
		x = a;
		c = b;
	} else {
		unsigned __int128 p = (unsigned __int128)a * b;
		if (op & PTX_C_SIGNED)
			p = size == 4 ? (unsigned __int128)((__int128)(int32_t)a * (int32_t)b)
			              : (unsigned __int128)((__int128)(int64_t)a * (int64_t)b);
		x = ((op & PTX_C_KIND) == PTX_C_MADHI ? p >> bits : p) & (top - 1);
	}
	x += (unsigned __int128)c + in;
	*cc = (x >> bits) != 0;
	return (uint64_t)(x & (top - 1));
}

void ptx_exec_carry(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask)
{
	uint32_t flags = ptx_pred(w, in->d2);
	const uint8_t *a = ptx_reg(w, in->a), *b = ptx_reg(w, in->b), *c = ptx_reg(w, in->c);
	for (uint32_t rest = mask; rest; rest &= rest - 1) {
		unsigned lane = (unsigned)__builtin_ctz(rest);
		bool cc = (flags >> lane) & 1;
		uint64_t r = with_carry(in->op, in->size, ptx_lane_get(a, in->size, lane),
		                        ptx_lane_get(b, in->size, lane),
		                        ptx_lane_get(c, in->size, lane), &cc);
		ptx_lane_set(ptx_reg(w, in->d), in->size, lane, r);
		flags = (flags & ~(1u << lane)) | (uint32_t)cc << lane;
	}
	if (in->op & PTX_C_OUT)
		ptx_set_pred(w, in->d2, flags, mask);
}

/* ---- special registers */
static uint64_t now(const struct ptx_launch *l)
{
	struct timespec ts;
	if (l->now_ns)
		return l->now_ns();
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

/* The same in all lanes. */
static uint64_t uniform_sreg(const struct ptx_warp *w, enum ptx_sreg r)
{
	const struct ptx_job *j = w->worker->job;
	const struct ptx_block *b = w->block;
	const struct ptx_launch *l = j->l;
	uint32_t sms = l->n_sms ? l->n_sms : 1, i;
	switch (r) {
	case PTX_R_NTID_X:
	case PTX_R_NTID_Y:
	case PTX_R_NTID_Z:
		return l->block[r - PTX_R_NTID_X];
	case PTX_R_CTAID_X:
	case PTX_R_CTAID_Y:
	case PTX_R_CTAID_Z:
		return b->ctaid[r - PTX_R_CTAID_X];
	case PTX_R_NCTAID_X:
	case PTX_R_NCTAID_Y:
	case PTX_R_NCTAID_Z:
		return l->grid[r - PTX_R_NCTAID_X];
	case PTX_R_WARPID:
		return w->id;
	case PTX_R_NWARPID:
		return PTX_MAX_WARPS * 2;
	case PTX_R_SMID:
		return l->on && l->n_on ? l->on[b->index % l->n_on] : b->index % sms;
	case PTX_R_NSMID:
		return sms;
	case PTX_R_GRIDID:
		return j->grid_id;
	case PTX_R_CLOCK:
	case PTX_R_CLOCK64:
	case PTX_R_TIMER:
	case PTX_R_TIMER_LO:
		return now(l);
	case PTX_R_CLOCK_HI:
	case PTX_R_TIMER_HI:
		return now(l) >> 32;
	case PTX_R_DYN_SMEM:
		return l->dynamic_shared_bytes;
	case PTX_R_TOTAL_SMEM:
		return b->shared_bytes - j->k->reserved_shared;
	case PTX_R_AGGR_SMEM:
	case PTX_R_RESERVED_END:
		return b->shared_bytes;
	case PTX_R_RESERVED_BEGIN:
		return b->shared_bytes - PTX_RESERVED_BYTES;
	case PTX_R_RESERVED_1:
		return b->shared_bytes - PTX_RESERVED_BYTES / 2;
	case PTX_R_RESERVED_CAP:
		return PTX_RESERVED_BYTES;
	case PTX_R_ENVREG1:
		return j->workspace >> 32;
	case PTX_R_ENVREG2:
		return (uint32_t)j->workspace;
	case PTX_R_CLUSTERID_X:
	case PTX_R_CLUSTERID_Y:
	case PTX_R_CLUSTERID_Z:
		i = r - PTX_R_CLUSTERID_X;
		return b->ctaid[i] / j->cluster[i];
	case PTX_R_NCLUSTERID_X:
	case PTX_R_NCLUSTERID_Y:
	case PTX_R_NCLUSTERID_Z:
		i = r - PTX_R_NCLUSTERID_X;
		return l->grid[i] / j->cluster[i];
	case PTX_R_CLUSTER_CTAID_X:
	case PTX_R_CLUSTER_CTAID_Y:
	case PTX_R_CLUSTER_CTAID_Z:
		i = r - PTX_R_CLUSTER_CTAID_X;
		return b->ctaid[i] % j->cluster[i];
	case PTX_R_CLUSTER_NCTAID_X:
	case PTX_R_CLUSTER_NCTAID_Y:
	case PTX_R_CLUSTER_NCTAID_Z:
		return j->cluster[r - PTX_R_CLUSTER_NCTAID_X];
	case PTX_R_CLUSTER_RANK:
		return b->rank;
	case PTX_R_CLUSTER_SIZE:
		return b->cluster->n;
	case PTX_R_IS_CLUSTER:
		return j->is_cluster;
	default:
		return 0;
	}
}

static uint64_t lane_sreg(enum ptx_sreg r, unsigned lane)
{
	uint32_t bit = 1u << lane;
	switch (r) {
	case PTX_R_LANEID:
		return lane;
	case PTX_R_LT:
		return bit - 1;
	case PTX_R_LE:
		return bit | (bit - 1);
	case PTX_R_EQ:
		return bit;
	case PTX_R_GE:
		return ~(bit - 1);
	default:
		return ~(bit | (bit - 1));
	}
}

void ptx_exec_sreg(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask)
{
	enum ptx_sreg r = (enum ptx_sreg)in->op;
	uint64_t out[PTX_LANES];
	if (!in->size) {
		ptx_set_pred(w, in->d, uniform_sreg(w, r) ? ~0u : 0, mask);
		return;
	}
	if (r <= PTX_R_TID_Z && in->size == 4) {
		ptx_blend(w, in->d, w->tid[r - PTX_R_TID_X], 4, mask);
		return;
	}
	if (r > PTX_R_TID_Z && r != PTX_R_LANEID && (r < PTX_R_LT || r > PTX_R_GT)) {
		ptx_splat(w, in->d, uniform_sreg(w, r), in->size, mask);
		return;
	}
	for (unsigned i = 0; i < PTX_LANES; i++)
		ptx_lane_set(out, in->size, i,
		             r <= PTX_R_TID_Z ? w->tid[r - PTX_R_TID_X][i] : lane_sreg(r, i));
	ptx_blend(w, in->d, out, in->size, mask);
}

/* ---- packing */
void ptx_exec_pack(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask)
{
	const uint32_t *regs = &w->worker->job->k->ext[in->target];
	uint64_t out[PTX_LANES];
	if (in->vec == 2 && in->rsize == 4) { /* of a double, say, that is shuffled */
		const uint32_t *lo = (const uint32_t *)ptx_reg(w, regs[0]);
		const uint32_t *hi = (const uint32_t *)ptx_reg(w, regs[1]);
		for (unsigned lane = 0; lane < PTX_LANES; lane++)
			out[lane] = lo[lane] | (uint64_t)hi[lane] << 32;
		ptx_blend(w, in->d, out, 8, mask);
		return;
	}
	for (unsigned lane = 0; lane < PTX_LANES; lane++) {
		uint64_t v = 0;
		for (unsigned i = 0; i < in->vec; i++)
			v |= ptx_lane_get(ptx_reg(w, regs[i]), in->rsize, lane)
			     << (8 * in->rsize * i);
		ptx_lane_set(out, in->size, lane, v);
	}
	ptx_blend(w, in->d, out, in->size, mask);
}

void ptx_exec_unpack(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask)
{
	const uint32_t *regs = &w->worker->job->k->ext[in->target];
	uint64_t out[4][PTX_LANES];
	const uint8_t *a = ptx_reg(w, in->a);
	if (in->vec == 2 && in->rsize == 4) {
		const uint64_t *v = (const uint64_t *)a;
		uint32_t lo[PTX_LANES], hi[PTX_LANES];
		for (unsigned lane = 0; lane < PTX_LANES; lane++) {
			lo[lane] = (uint32_t)v[lane];
			hi[lane] = (uint32_t)(v[lane] >> 32);
		}
		ptx_blend(w, regs[0], lo, 4, mask);
		ptx_blend(w, regs[1], hi, 4, mask);
		return;
	}
	for (unsigned lane = 0; lane < PTX_LANES; lane++) {
		uint64_t v = ptx_lane_get(a, in->size, lane);
		for (unsigned i = 0; i < in->vec; i++)
			ptx_lane_set(out[i], in->rsize, lane, v >> (8 * in->rsize * i));
	}
	for (unsigned i = 0; i < in->vec; i++)
		ptx_blend(w, regs[i], out[i], in->rsize, mask);
}

void ptx_exec_isspace(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask)
{
	const uint64_t *a = (const uint64_t *)ptx_reg(w, in->a);
	uint32_t r = 0, own = w->block->rank + 1;
	for (unsigned i = 0; i < PTX_LANES; i++)
		r |= (uint32_t)((a[i] >> PTX_WINDOW_SHIFT) == in->space && !in->sign) << i;
	for (unsigned i = 0; i < PTX_LANES && in->op; i++) { /* .shared::cta: not another block's */
		uint32_t rank = (uint32_t)a[i] >> PTX_RANK_SHIFT;
		r &= ~((uint32_t)(rank && rank != own) << i);
	}
	ptx_set_pred(w, in->d, r, mask);
}
