// SPDX-License-Identifier: Apache-2.0
/*
 * ptx_exec_sync.c: what lanes do together: shuffles, votes, matches and reductions of a warp, and
 * the barriers of a block.
 *
 * A warp-wide instruction names its members by a mask, which may differ from lane to lane (tiles
 * of a warp). Lanes whose members are all there execute; the others are parked at the instruction
 * and come again when more lanes reach it. They need not reach the same instruction: the two sides
 * of a branch may meet at an instruction each. Exited lanes are not waited for.
 */
#include <string.h>

#include "ptx_exec.h"

/* ---- who takes part */
struct part { /* lanes at one instruction; lanes of others may take part in the same operation */
	const struct ptx_inst *in;
	uint32_t pc, mask;
};
struct party {
	struct part
	    part[PTX_LANES + 1]; /* all instructions do the same; the first one has just come */
	uint32_t n, all;
};

enum source { SOURCE_A, SOURCE_B, SOURCE_C };

/* A source of all lanes of the party: the register, or put together in buf. */
static const void *source(const struct ptx_warp *w, const struct party *p, enum source which,
                          unsigned size, uint64_t *buf)
{
	for (uint32_t k = 0; k < p->n; k++) {
		const struct ptx_inst *in = p->part[k].in;
		const void *reg = ptx_reg(w, which == SOURCE_A   ? in->a
		                             : which == SOURCE_B ? in->b
		                                                 : in->c);
		if (p->n == 1)
			return reg;
		for (uint32_t rest = p->part[k].mask; rest; rest &= rest - 1) {
			unsigned lane = (unsigned)__builtin_ctz(rest);
			ptx_lane_set(buf, size, lane, ptx_lane_get(reg, size, lane));
		}
	}
	return buf;
}

static void give(const struct ptx_warp *w, const struct party *p, const uint32_t *out)
{
	for (uint32_t k = 0; k < p->n; k++)
		ptx_blend(w, p->part[k].in->d, out, 4, p->part[k].mask);
}

static void give_same(const struct ptx_warp *w, const struct party *p, uint32_t value)
{
	for (uint32_t k = 0; k < p->n; k++)
		ptx_splat(w, p->part[k].in->d, value, 4, p->part[k].mask);
}

/* The predicate that is the result, or the second one where there is one. */
static void give_pred(const struct ptx_warp *w, const struct party *p, uint32_t value, bool second)
{
	for (uint32_t k = 0; k < p->n; k++) {
		const struct ptx_inst *in = p->part[k].in;
		if (!second || in->rsize)
			ptx_set_pred(w, second ? in->d2 : in->d, value, p->part[k].mask);
	}
}

/* ---- the operations */
struct shuffled {
	uint32_t out[PTX_LANES], valid;
};

/* All lanes, whoever takes part: of one that does not, nobody asks. For one `op` at a time. */
static inline __attribute__((always_inline)) void shuffle_as(enum ptx_shfl op, const uint32_t *a,
                                                             const uint32_t *b, const uint32_t *c,
                                                             struct shuffled *r)
{
	uint32_t valid = 0;
	for (int lane = 0; lane < PTX_LANES; lane++) {
		int val = (int)(b[lane] & 31), clamp = (int)(c[lane] & 31);
		int seg = (int)((c[lane] >> 8) & 31), min = lane & seg;
		int max = min | (clamp & ~seg), j = min | (val & ~seg);
		j = op == PTX_S_UP     ? lane - val
		    : op == PTX_S_DOWN ? lane + val
		    : op == PTX_S_BFLY ? lane ^ val
		                       : j;
		bool ok = op == PTX_S_UP ? j >= max : j <= max;
		r->out[lane] = a[(ok ? j : lane) & 31];
		valid |= (uint32_t)ok << lane;
	}
	r->valid = valid;
}

static void shuffle(struct ptx_warp *w, const struct party *p)
{
	uint64_t buf[3][PTX_LANES / 2] = {0};
	const uint32_t *a = source(w, p, SOURCE_A, 4, buf[0]);
	const uint32_t *b = source(w, p, SOURCE_B, 4, buf[1]);
	const uint32_t *c = source(w, p, SOURCE_C, 4, buf[2]);
	struct shuffled r;
	/* PTX leaves open what comes of a lane that takes no part. Programs that add it in a loop
	 * over a part of a warp, right on GPUs, count on 0. */
	uint32_t there[PTX_LANES];
	if (p->all != UINT32_MAX) {
		for (int lane = 0; lane < PTX_LANES; lane++)
			there[lane] = (p->all >> lane) & 1 ? a[lane] : 0;
		a = there;
	}
	switch ((enum ptx_shfl)p->part[0].in->op) {
	case PTX_S_UP:
		shuffle_as(PTX_S_UP, a, b, c, &r);
		break;
	case PTX_S_DOWN:
		shuffle_as(PTX_S_DOWN, a, b, c, &r);
		break;
	case PTX_S_BFLY:
		shuffle_as(PTX_S_BFLY, a, b, c, &r);
		break;
	default:
		shuffle_as(PTX_S_IDX, a, b, c, &r);
	}
	give(w, p, r.out);
	give_pred(w, p, r.valid, true);
}

static void vote(struct ptx_warp *w, const struct party *p)
{
	uint32_t op = p->part[0].in->op, set = p->all, v = 0;
	if (op == 0xff) { /* elect */
		uint32_t leader = (uint32_t)__builtin_ctz(set);
		give_same(w, p, leader);
		give_pred(w, p, 1u << leader, true);
		return;
	}
	for (uint32_t k = 0; k < p->n; k++) {
		const struct ptx_inst *in = p->part[k].in;
		uint32_t a = ptx_pred(w, in->a);
		v |= (in->sign ? ~a : a) & p->part[k].mask;
	}
	bool r = op == PTX_V_ALL ? v == set : op == PTX_V_ANY ? v != 0 : v == 0 || v == set;
	if (op == PTX_V_BALLOT)
		give_same(w, p, v);
	else
		give_pred(w, p, r ? ~0u : 0, false);
}

static void match(struct ptx_warp *w, const struct party *p)
{
	uint64_t buf[PTX_LANES];
	unsigned size = p->part[0].in->asize;
	const void *a = source(w, p, SOURCE_A, size, buf);
	uint32_t out[PTX_LANES] = {0};
	bool all = true;
	for (uint32_t rest = p->all; rest; rest &= rest - 1) {
		unsigned lane = (unsigned)__builtin_ctz(rest);
		for (uint32_t others = p->all; others; others &= others - 1) {
			unsigned o = (unsigned)__builtin_ctz(others);
			if (ptx_lane_get(a, size, lane) == ptx_lane_get(a, size, o))
				out[lane] |= 1u << o;
		}
		all &= out[lane] == p->all;
	}
	if (p->part[0].in->op == PTX_V_MATCH_ALL) {
		give_same(w, p, all ? p->all : 0);
		give_pred(w, p, all ? ~0u : 0, true);
		return;
	}
	give(w, p, out);
}

static void reduce(struct ptx_warp *w, const struct party *p)
{
	uint64_t buf[PTX_LANES / 2];
	const struct ptx_inst *in = p->part[0].in;
	const uint32_t *a = source(w, p, SOURCE_A, 4, buf);
	uint32_t r = a[__builtin_ctz(p->all)];
	for (uint32_t rest = p->all & (p->all - 1); rest; rest &= rest - 1) {
		uint32_t v = a[__builtin_ctz(rest)];
		bool less = in->scalar == PTX_T_S ? (int32_t)v < (int32_t)r : v < r;
		switch (in->op) { /* in the decoder's order */
		case 0:
			r += v;
			break;
		case 1:
			r = less ? v : r;
			break;
		case 2:
			r = less ? r : v;
			break;
		case 3:
			r &= v;
			break;
		case 4:
			r |= v;
			break;
		default:
			r ^= v;
		}
	}
	give_same(w, p, r);
}

static void operate(struct ptx_warp *w, const struct party *p)
{
	switch ((enum ptx_kind)p->part[0].in->kind) {
	case PTX_K_SHFL:
		shuffle(w, p);
		break;
	case PTX_K_VOTE:
		vote(w, p);
		break;
	case PTX_K_MATCH:
		match(w, p);
		break;
	case PTX_K_REDUX:
		reduce(w, p);
		break;
	case PTX_K_MATRIX:
		w->failed = !ptx_exec_matrix(w, p->part[0].in);
		break;
	default: /* bar.warp.sync */
		break;
	}
}

/* ---- meeting */
/* The lanes that `lane` waits for; without ".sync" those that are there. */
static uint32_t members(const struct ptx_warp *w, const struct ptx_inst *in, unsigned lane,
                        uint32_t there)
{
	if (in->kind == PTX_K_WARPBAR)
		return (((const uint32_t *)ptx_reg(w, in->a))[lane] | 1u << lane) & w->live;
	if (in->kind == PTX_K_MATRIX) /* ".aligned": all are at this instruction */
		return w->live;
	if (!in->combine)
		return there;
	return (((const uint32_t *)ptx_reg(w, in->e))[lane] | 1u << lane) & w->live;
}

/* The lanes of `from` that wait for exactly `need`. */
static uint32_t agreed(const struct ptx_warp *w, const struct ptx_inst *in, uint32_t from,
                       uint32_t need, uint32_t there)
{
	uint32_t set = 0, differ = 0;
	if (in->kind != PTX_K_WARPBAR && (in->kind == PTX_K_MATRIX || !in->combine))
		return members(w, in, 0, there) == need ? from : 0;
	const uint32_t *m = (const uint32_t *)ptx_reg(w, in->kind == PTX_K_WARPBAR ? in->a : in->e);
	for (unsigned lane = 0; lane < PTX_LANES; lane++)
		differ |= m[lane] ^ m[0];
	if (!differ && !(from & ~m[0])) /* most have the same mask, and are in it */
		return (m[0] & w->live) == need ? from : 0;
	for (uint32_t k = from; k; k &= k - 1) {
		unsigned lane = (unsigned)__builtin_ctz(k);
		if (members(w, in, lane, there) == need)
			set |= 1u << lane;
	}
	return set;
}

/* The same operation but for its operands: lanes at the two meet (PTX: the same qualifiers and
 * member mask). */
static bool same_operation(const struct ptx_inst *x, const struct ptx_inst *y)
{
	return x->kind == y->kind && x->op == y->op && x->asize == y->asize &&
	       x->scalar == y->scalar && x->combine == y->combine;
}

/* Adds lanes that wait at other places. True if all of `need` are there. */
static bool find_others(const struct ptx_warp *w, struct party *p, uint32_t need)
{
	const struct ptx_inst *code = w->worker->job->k->code, *first = p->part[0].in;
	bool may = first->kind == PTX_K_WARPBAR || first->combine;
	for (uint32_t i = 0; i < w->n_groups && may && need & ~p->all; i++) {
		const struct ptx_group *g = &w->groups[i];
		const struct ptx_inst *in = &code[g->pc];
		if (g->wait != PTX_WAIT_WARP || !same_operation(in, first))
			continue;
		uint32_t set = agreed(w, in, g->mask & need, need, 0);
		if (!set)
			continue;
		p->part[p->n++] = (struct part){in, g->pc, set};
		p->all |= set;
	}
	return !(need & ~p->all);
}

/* The lanes of the other parts go on. */
static void release_others(struct ptx_warp *w, const struct party *p)
{
	for (uint32_t k = 1; k < p->n; k++) {
		const struct part *part = &p->part[k];
		for (uint32_t i = 0; i < w->n_groups; i++) {
			struct ptx_group *g = &w->groups[i];
			if (g->pc != part->pc || g->wait != PTX_WAIT_WARP)
				continue;
			g->mask &= ~part->mask;
			if (!g->mask)
				*g = w->groups[--w->n_groups];
			break;
		}
		ptx_group_push(w, part->pc + 1, part->mask, PTX_RUN);
	}
}

static uint32_t take_parked(struct ptx_warp *w, uint32_t pc)
{
	for (uint32_t i = 0; i < w->n_groups; i++) {
		if (w->groups[i].pc == pc && w->groups[i].wait == PTX_WAIT_WARP) {
			uint32_t mask = w->groups[i].mask;
			w->groups[i] = w->groups[--w->n_groups];
			return mask;
		}
	}
	return 0;
}

uint32_t ptx_exec_warp_op(struct ptx_warp *w, const struct ptx_inst *in, uint32_t pc, uint32_t mask)
{
	if (w->n_groups)
		mask |= take_parked(w, pc);
	uint32_t active = ptx_guarded(w, in, mask), wait = 0;
	for (uint32_t rest = active; rest;) {
		uint32_t need = members(w, in, (unsigned)__builtin_ctz(rest), active);
		uint32_t set = agreed(w, in, rest, need, active);
		struct party p;
		p.part[0] = (struct part){in, pc, set};
		p.n = 1;
		p.all = set;
		rest &= ~set;
		if (!(need & ~set) || find_others(w, &p, need)) {
			operate(w, &p);
			release_others(w, &p);
		} else {
			wait |= set;
		}
	}
	if (wait)
		ptx_group_push(w, pc, wait, PTX_WAIT_WARP);
	return mask & ~wait;
}

void ptx_exec_activemask(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask)
{
	ptx_splat(w, in->d, mask, 4, mask);
}

/* ---- barriers of the block */
static void release(struct ptx_block *b, struct ptx_barrier *bar)
{
	const struct ptx_inst *code = b->worker->job->k->code;
	struct ptx_barrier done = *bar;
	*bar = (struct ptx_barrier){.all = 1};
	for (uint32_t i = 0; i < b->n_warps; i++) {
		struct ptx_warp *w = &b->warps[i];
		if (!((done.waiting >> i) & 1))
			continue;
		uint32_t n = w->n_groups;
		struct ptx_group old[PTX_LANES + 1];
		memcpy(old, w->groups, n * sizeof(*old));
		w->n_groups = 0;
		for (uint32_t g = 0; g < n; g++) {
			const struct ptx_inst *in = &code[old[g].pc];
			if (in->op == PTX_B_POPC)
				ptx_splat(w, in->d, done.popc, 4, old[g].mask);
			else if (in->op == PTX_B_AND)
				ptx_set_pred(w, in->d, done.all ? ~0u : 0, old[g].mask);
			else if (in->op == PTX_B_OR)
				ptx_set_pred(w, in->d, done.any ? ~0u : 0, old[g].mask);
			ptx_group_push(w, old[g].pc + 1, old[g].mask, PTX_RUN);
		}
		w->state = PTX_WARP_READY;
	}
}

static bool complete(const struct ptx_block *b, const struct ptx_barrier *bar)
{
	if (!bar->arrived)
		return false;
	return bar->arrived >= (bar->expected ? bar->expected : b->live_warps * PTX_LANES);
}

void ptx_barrier_recheck(struct ptx_block *b)
{
	for (int i = 0; i < PTX_BARRIERS; i++)
		if (complete(b, &b->barriers[i]))
			release(b, &b->barriers[i]);
}

static void join_reduction(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask,
                           struct ptx_barrier *bar)
{
	if (in->op < PTX_B_POPC)
		return;
	uint32_t p = ptx_pred(w, in->c);
	p = (in->sign ? ~p : p) & mask;
	bar->popc += (uint32_t)__builtin_popcount(p);
	bar->any |= p != 0;
	bar->all &= p == mask;
}

bool ptx_barrier_arrive(struct ptx_warp *w)
{
	const struct ptx_inst *code = w->worker->job->k->code, *first = &code[w->groups[0].pc];
	struct ptx_block *b = w->block;
	unsigned lane = (unsigned)__builtin_ctz(w->groups[0].mask);
	uint32_t id = ((const uint32_t *)ptx_reg(w, first->a))[lane];
	uint32_t threads = first->combine ? ((const uint32_t *)ptx_reg(w, first->b))[lane] : 0;
	for (uint32_t g = 1; g < w->n_groups; g++) {
		const struct ptx_inst *in = &code[w->groups[g].pc];
		unsigned l = (unsigned)__builtin_ctz(w->groups[g].mask);
		if (((const uint32_t *)ptx_reg(w, in->a))[l] != id || in->op != first->op)
			return ptx_fault(w, in, l, PTX_BARRIER,
			                 "lanes of one warp wait at different barriers");
	}
	if (id >= PTX_BARRIERS)
		return ptx_fault(w, first, lane, PTX_BARRIER, "barrier %u: there are only %u", id,
		                 PTX_BARRIERS);
	struct ptx_barrier *bar = &b->barriers[id];
	threads = (threads + PTX_LANES - 1) / PTX_LANES * PTX_LANES;
	if (bar->arrived && bar->expected != threads)
		return ptx_fault(w, first, lane, PTX_BARRIER,
		                 "barrier %u is used with different numbers of threads", id);
	bar->expected = threads;
	bar->arrived += PTX_LANES;
	if (bar->arrived == PTX_LANES)
		bar->all = 1;
	for (uint32_t g = 0; g < w->n_groups; g++)
		join_reduction(w, &code[w->groups[g].pc], w->groups[g].mask, bar);
	if (first->op == PTX_B_ARRIVE) { /* does not wait */
		for (uint32_t g = 0; g < w->n_groups; g++) {
			w->groups[g].pc++;
			w->groups[g].wait = PTX_RUN;
		}
		w->state = PTX_WARP_READY;
	} else {
		bar->waiting |= 1u << w->id;
		w->state = PTX_WARP_WAITING;
	}
	if (complete(b, bar))
		release(b, bar);
	return true;
}
