// SPDX-License-Identifier: Apache-2.0
/*
 * ptx_exec_sync.c: what lanes do together: shuffles, votes, matches and reductions of a warp, and
 * the barriers of a block.
 *
 * A warp-wide instruction names its members by a mask, which may differ from lane to lane (tiles
 * of a warp). Lanes whose members are all there execute; the others are parked at the instruction
 * and come again when more lanes reach it. Exited lanes are not waited for.
 */
#include <string.h>

#include "ptx_exec.h"

/* ---- the operations, for one set of members */
static void shuffle(struct ptx_warp *w, const struct ptx_inst *in, uint32_t set)
{
	const uint32_t *a = (const uint32_t *)ptx_reg(w, in->a);
	const uint32_t *b = (const uint32_t *)ptx_reg(w, in->b);
	const uint32_t *c = (const uint32_t *)ptx_reg(w, in->c);
	uint32_t out[PTX_LANES] = {0}, valid = 0;
	for (uint32_t rest = set; rest; rest &= rest - 1) {
		int lane = __builtin_ctz(rest), j;
		int val = (int)(b[lane] & 31), clamp = (int)(c[lane] & 31);
		int seg = (int)((c[lane] >> 8) & 31);
		int max = (lane & seg) | (clamp & ~seg), min = lane & seg;
		bool ok;
		switch ((enum ptx_shfl)in->op) {
		case PTX_S_UP:
			j = lane - val;
			ok = j >= max;
			break;
		case PTX_S_DOWN:
			j = lane + val;
			ok = j <= max;
			break;
		case PTX_S_BFLY:
			j = lane ^ val;
			ok = j <= max;
			break;
		default:
			j = min | (val & ~seg);
			ok = j <= max;
		}
		out[lane] = a[ok ? j & 31 : lane];
		valid |= (uint32_t)ok << lane;
	}
	ptx_blend(w, in->d, out, 4, set);
	if (in->rsize)
		ptx_set_pred(w, in->d2, valid, set);
}

static void set_all(struct ptx_warp *w, uint32_t d, uint32_t value, uint32_t set)
{
	uint32_t out[PTX_LANES];
	for (int i = 0; i < PTX_LANES; i++)
		out[i] = value;
	ptx_blend(w, d, out, 4, set);
}

static void vote(struct ptx_warp *w, const struct ptx_inst *in, uint32_t set)
{
	if (in->op == 0xff) { /* elect */
		uint32_t leader = (uint32_t)__builtin_ctz(set);
		set_all(w, in->d, leader, set);
		ptx_set_pred(w, in->d2, 1u << leader, set);
		return;
	}
	uint32_t p = ptx_pred(w, in->a);
	p = (in->sign ? ~p : p) & set;
	bool r = in->op == PTX_V_ALL ? p == set : in->op == PTX_V_ANY ? p != 0 : p == 0 || p == set;
	if (in->op == PTX_V_BALLOT)
		set_all(w, in->d, p, set);
	else
		ptx_set_pred(w, in->d, r ? ~0u : 0, set);
}

static void match(struct ptx_warp *w, const struct ptx_inst *in, uint32_t set)
{
	const uint8_t *a = ptx_reg(w, in->a);
	uint32_t out[PTX_LANES] = {0};
	bool all = true;
	for (uint32_t rest = set; rest; rest &= rest - 1) {
		unsigned lane = (unsigned)__builtin_ctz(rest);
		for (uint32_t others = set; others; others &= others - 1) {
			unsigned o = (unsigned)__builtin_ctz(others);
			if (ptx_lane_get(a, in->asize, lane) == ptx_lane_get(a, in->asize, o))
				out[lane] |= 1u << o;
		}
		all &= out[lane] == set;
	}
	if (in->op == PTX_V_MATCH_ALL) {
		set_all(w, in->d, all ? set : 0, set);
		if (in->rsize)
			ptx_set_pred(w, in->d2, all ? ~0u : 0, set);
		return;
	}
	ptx_blend(w, in->d, out, 4, set);
}

static void reduce(struct ptx_warp *w, const struct ptx_inst *in, uint32_t set)
{
	const uint32_t *a = (const uint32_t *)ptx_reg(w, in->a);
	uint32_t r = a[__builtin_ctz(set)];
	for (uint32_t rest = set & (set - 1); rest; rest &= rest - 1) {
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
	set_all(w, in->d, r, set);
}

static void operate(struct ptx_warp *w, const struct ptx_inst *in, uint32_t set)
{
	switch ((enum ptx_kind)in->kind) {
	case PTX_K_SHFL:
		shuffle(w, in, set);
		break;
	case PTX_K_VOTE:
		vote(w, in, set);
		break;
	case PTX_K_MATCH:
		match(w, in, set);
		break;
	case PTX_K_REDUX:
		reduce(w, in, set);
		break;
	default: /* bar.warp.sync */
		break;
	}
}

/* ---- who takes part */
/* The lanes that `lane` waits for; without ".sync" those that are there. */
static uint32_t members(const struct ptx_warp *w, const struct ptx_inst *in, unsigned lane,
                        uint32_t there)
{
	if (in->kind == PTX_K_WARPBAR)
		return (((const uint32_t *)ptx_reg(w, in->a))[lane] | 1u << lane) & w->live;
	if (!in->combine)
		return there;
	return (((const uint32_t *)ptx_reg(w, in->e))[lane] | 1u << lane) & w->live;
}

/* bar.warp.sync at different places still meets: lets go all that wait for `need`, if it is there
 */
static bool meet_elsewhere(struct ptx_warp *w, uint32_t here, uint32_t need)
{
	const struct ptx_inst *code = w->worker->job->k->code;
	uint32_t there = here, n = w->n_groups;
	struct ptx_group old[PTX_LANES + 1];
	for (uint32_t i = 0; i < n; i++) {
		const struct ptx_group *g = &w->groups[i];
		if (g->wait == PTX_WAIT_WARP && code[g->pc].kind == PTX_K_WARPBAR)
			there |= g->mask;
	}
	if (need & ~there)
		return false;
	memcpy(old, w->groups, n * sizeof(*old));
	w->n_groups = 0;
	for (uint32_t i = 0; i < n; i++) {
		struct ptx_group *g = &old[i];
		bool waits = g->wait == PTX_WAIT_WARP && code[g->pc].kind == PTX_K_WARPBAR;
		uint32_t go = waits ? g->mask & need : 0;
		if (go)
			ptx_group_push(w, g->pc + 1, go, PTX_RUN);
		if (g->mask & ~go)
			ptx_group_push(w, g->pc, g->mask & ~go, g->wait);
	}
	return true;
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
		uint32_t need = members(w, in, (unsigned)__builtin_ctz(rest), active), set = 0;
		for (uint32_t k = rest; k; k &= k - 1) {
			unsigned lane = (unsigned)__builtin_ctz(k);
			if (members(w, in, lane, active) == need)
				set |= 1u << lane;
		}
		rest &= ~set;
		if (!(need & ~set) ||
		    (in->kind == PTX_K_WARPBAR && meet_elsewhere(w, active, need)))
			operate(w, in, set);
		else
			wait |= set;
	}
	if (wait)
		ptx_group_push(w, pc, wait, PTX_WAIT_WARP);
	return mask & ~wait;
}

void ptx_exec_activemask(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask)
{
	set_all(w, in->d, mask, mask);
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
				set_all(w, in->d, done.popc, old[g].mask);
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
	uint32_t need = bar->expected ? bar->expected : b->live_warps * PTX_LANES;
	return bar->arrived && bar->arrived >= need;
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
