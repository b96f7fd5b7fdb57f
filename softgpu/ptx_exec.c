// SPDX-License-Identifier: Apache-2.0
/* ptx_exec.c: the interpreter's loop: one warp, instruction by instruction, and its groups. */
#include <string.h>

#include "ptx_exec.h"

#if defined(__SANITIZE_THREAD__) || defined(PTX_TSAN)
int ptx_fence_word;
#endif

/* ---- groups */
static bool same_place(const struct ptx_group *g, uint32_t pc, enum ptx_wait wait)
{
	return g->pc == pc && g->wait == wait;
}

void ptx_group_push(struct ptx_warp *w, uint32_t pc, uint32_t mask, enum ptx_wait wait)
{
	for (uint32_t i = 0; i < w->n_groups; i++) {
		if (same_place(&w->groups[i], pc, wait)) {
			w->groups[i].mask |= mask;
			return;
		}
	}
	/* groups are disjoint sets of 32 lanes: there is room */
	w->groups[w->n_groups++] = (struct ptx_group){pc, mask, wait};
}

/* The lowest PC of the groups that can run; UINT32_MAX: none. */
static uint32_t lowest(const struct ptx_warp *w)
{
	uint32_t pc = UINT32_MAX;
	for (uint32_t i = 0; i < w->n_groups; i++)
		if (w->groups[i].wait == PTX_RUN && w->groups[i].pc < pc)
			pc = w->groups[i].pc;
	return pc;
}

/* Takes the group out whose PC is the `turn`-th lowest (round and round). */
static bool pick(struct ptx_warp *w, uint32_t turn, uint32_t *pc, uint32_t *mask)
{
	uint32_t runnable = 0, at = UINT32_MAX;
	for (uint32_t i = 0; i < w->n_groups; i++)
		runnable += w->groups[i].wait == PTX_RUN;
	if (!runnable)
		return false;
	at = lowest(w);
	for (turn %= runnable; turn; turn--) {
		uint32_t next = UINT32_MAX;
		for (uint32_t i = 0; i < w->n_groups; i++)
			if (w->groups[i].wait == PTX_RUN && w->groups[i].pc > at &&
			    w->groups[i].pc < next)
				next = w->groups[i].pc;
		at = next;
	}
	for (uint32_t i = 0; i < w->n_groups; i++) {
		if (same_place(&w->groups[i], at, PTX_RUN)) {
			*pc = at;
			*mask = w->groups[i].mask;
			w->groups[i] = w->groups[--w->n_groups];
			return true;
		}
	}
	return false;
}

/* No group can run: at a barrier, or waiting for each other for ever. */
static enum ptx_step blocked(struct ptx_warp *w)
{
	if (!w->n_groups)
		return PTX_STEP_DONE;
	for (uint32_t i = 0; i < w->n_groups; i++)
		if (w->groups[i].wait == PTX_WAIT_CLUSTER)
			return PTX_STEP_CLUSTER;
	for (uint32_t i = 0; i < w->n_groups; i++) {
		const struct ptx_group *g = &w->groups[i];
		if (g->wait == PTX_WAIT_BAR)
			continue;
		const struct ptx_inst *in = &w->worker->job->k->code[g->pc];
		ptx_fault(w, in, (unsigned)__builtin_ctz(g->mask), PTX_BARRIER,
		          "a warp-synchronous instruction waits for lanes that never reach it");
		return PTX_STEP_FAULT;
	}
	return PTX_STEP_BARRIER;
}

/* Lanes have exited: those that wait for them look again. */
static void wake_waiting(struct ptx_warp *w)
{
	uint32_t n = w->n_groups;
	struct ptx_group old[PTX_LANES + 1];
	memcpy(old, w->groups, n * sizeof(*old));
	w->n_groups = 0;
	for (uint32_t i = 0; i < n; i++)
		ptx_group_push(w, old[i].pc, old[i].mask,
		               old[i].wait == PTX_WAIT_WARP ? PTX_RUN : old[i].wait);
}

void ptx_blend(const struct ptx_warp *w, uint32_t d, const void *value, unsigned size,
               uint32_t mask)
{
	if (mask == w->live)
		memcpy(ptx_reg(w, d), value, (size_t)size * PTX_LANES);
	else
		w->worker->lanes->blend[ptx_size_index(size)](ptx_reg(w, d), value, mask);
}

void ptx_splat(const struct ptx_warp *w, uint32_t d, uint64_t value, unsigned size, uint32_t mask)
{
	const struct ptx_lane_set *lanes = w->worker->lanes;
	uint64_t all[PTX_LANES];
	unsigned k = ptx_size_index(size);
	if (mask == w->live) {
		lanes->splat[k](ptx_reg(w, d), value);
	} else {
		lanes->splat[k](all, value);
		lanes->blend[k](ptx_reg(w, d), all, mask);
	}
}

static bool execute(struct ptx_warp *w, const struct ptx_inst *in, uint32_t m)
{
	switch ((enum ptx_kind)in->kind) {
	case PTX_K_ALUX:
		ptx_exec_alux(w, in, m);
		return true;
	case PTX_K_CVT:
		ptx_exec_cvt(w, in, m);
		return true;
	case PTX_K_SET:
		ptx_exec_set(w, in, m);
		return true;
	case PTX_K_PRED:
		ptx_exec_pred(w, in, m);
		return true;
	case PTX_K_CARRY:
		ptx_exec_carry(w, in, m);
		return true;
	case PTX_K_PACK:
		ptx_exec_pack(w, in, m);
		return true;
	case PTX_K_UNPACK:
		ptx_exec_unpack(w, in, m);
		return true;
	case PTX_K_ISSPACE:
		ptx_exec_isspace(w, in, m);
		return true;
	case PTX_K_ATOM:
		return ptx_exec_atom(w, in, m);
	case PTX_K_ACTIVEMASK:
		ptx_exec_activemask(w, in, m);
		return true;
	case PTX_K_FENCE:
		ptx_fence();
		return true;
	case PTX_K_COPY:
		return ptx_exec_copy(w, in, m);
	case PTX_K_BULK:
		return ptx_exec_bulk(w, in, m);
	case PTX_K_TEXTURE:
		return ptx_exec_texture(w, in, m);
	case PTX_K_TENSOR:
		return ptx_exec_tensor(w, in, m);
	case PTX_K_SURFACE:
		return ptx_exec_surface(w, in, m);
	case PTX_K_VIDEO:
		ptx_exec_video(w, in, m);
		return true;
	case PTX_K_CLUSTER:
		return ptx_exec_cluster(w, in, m);
	case PTX_K_STACK:
		return ptx_exec_stack(w, in, m);
	case PTX_K_SYSCALL:
		return ptx_exec_syscall(w, in, m);
	case PTX_K_TRAP:
		return m ? ptx_fault(w, in, (unsigned)__builtin_ctz(m), PTX_TRAP, "trap") : true;
	case PTX_K_NOP:
		return true;
	default:
		return ptx_fault(w, in, 0, PTX_UNSUPPORTED, "internal: instruction kind %u",
		                 in->kind);
	}
}

/* Who looks at the clock again and again waits: for it, or for another warp with a limit. */
#define CLOCK_PRICE 64 /* backward branches that it counts as */
static inline bool is_clock(uint8_t sreg)
{
	return sreg >= PTX_R_CLOCK && sreg <= PTX_R_TIMER_HI;
}

/* The lanes of m take the branch of brx.idx: sends each to its target. False: out of range. */
static bool branch_indexed(struct ptx_warp *w, const struct ptx_inst *in, uint32_t m)
{
	const uint32_t *index = (const uint32_t *)ptx_reg(w, in->a);
	for (uint32_t rest = m; rest; rest &= rest - 1) {
		unsigned lane = (unsigned)__builtin_ctz(rest);
		if (index[lane] >= (uint64_t)in->imm)
			return ptx_fault(w, in, lane, PTX_TRAP,
			                 "brx.idx beyond its list of targets");
		ptx_group_push(w, w->worker->job->k->ext[in->target + index[lane]], 1u << lane,
		               PTX_RUN);
	}
	return true;
}

/* What `issued` instructions of the running group count for. */
static inline void account(struct ptx_worker *k, uint64_t *issued, uint32_t mask)
{
	k->res.warp_instructions += *issued;
	k->res.thread_instructions += *issued * (uint32_t)__builtin_popcount(mask);
	*issued = 0;
}

static inline void alu(const struct ptx_warp *w, const struct ptx_inst *in)
{
	in->fn(ptx_reg(w, in->d), ptx_reg(w, in->a), ptx_reg(w, in->b), ptx_reg(w, in->c),
	       ptx_reg(w, in->e));
}

/* The commonest memory access: 4 bytes of shared memory by the whole warp. False: not done. */
static inline bool load_shared(const struct ptx_warp *w, const struct ptx_inst *in)
{
	return w->worker->lanes->load4((uint32_t *)ptx_reg(w, in->d),
	                               (const uint32_t *)ptx_reg(w, in->a), (uint32_t)in->imm,
	                               w->block->shared, w->block->shared_bytes);
}

static inline bool store_shared(const struct ptx_warp *w, const struct ptx_inst *in)
{
	return w->worker->lanes->store4((const uint32_t *)ptx_reg(w, in->b),
	                                (const uint32_t *)ptx_reg(w, in->a), (uint32_t)in->imm,
	                                w->block->shared, w->block->shared_bytes);
}

enum ptx_step ptx_warp_run(struct ptx_warp *w, int budget)
{
	const struct ptx_inst *code = w->worker->job->k->code;
	struct ptx_worker *worker = w->worker;
	uint64_t scratch[PTX_LANES], issued = 0;
	uint32_t pc, mask, limit, live = w->live;
	bool rotated = w->turn != 0;

	if (!pick(w, w->turn, &pc, &mask))
		return blocked(w);
	limit = rotated ? UINT32_MAX : lowest(w);
	for (;;) {
		if (__builtin_expect(pc >= limit, 0)) {
			account(worker, &issued, mask);
			ptx_group_push(w, pc, mask, PTX_RUN);
			pick(w, 0, &pc, &mask);
			limit = lowest(w);
		}
		const struct ptx_inst *in = &code[pc];
		uint32_t m = ptx_guarded(w, in, mask);
		issued += in->count;
		switch ((enum ptx_kind)in->kind) {
		case PTX_K_ALU:
			if (__builtin_expect(m == live, 1)) {
				/* straight on, but not past the place where others join */
				uint32_t n = in->run < limit - pc ? in->run : limit - pc;
				for (alu(w, in); n > 1; n--) {
					alu(w, ++in);
					issued++;
					pc++;
				}
			} else if (m) {
				in->fn(scratch, ptx_reg(w, in->a), ptx_reg(w, in->b),
				       ptx_reg(w, in->c), ptx_reg(w, in->e));
				ptx_blend(w, in->d, scratch, in->size, m);
			}
			pc++;
			continue;
		case PTX_K_SETP:
			ptx_exec_setp(w, in, m);
			pc++;
			continue;
		case PTX_K_SELP:
			ptx_exec_selp(w, in, m);
			pc++;
			continue;
		case PTX_K_LDPARAM:
			ptx_exec_ldparam(w, in, m);
			pc++;
			continue;
		case PTX_K_LD:
			if (!(in->plain && m == ~0u && load_shared(w, in)) && m &&
			    !ptx_exec_ld(w, in, m))
				goto fault;
			pc++;
			continue;
		case PTX_K_ST:
			if (!(in->plain && m == ~0u && store_shared(w, in)) && m &&
			    !ptx_exec_st(w, in, m))
				goto fault;
			pc++;
			continue;
		case PTX_K_BRA:
			if (!m) {
				pc++;
				continue;
			}
			if (m != mask) { /* some do, some do not: continue with the lower */
				account(worker, &issued, mask);
				ptx_group_push(w, in->target, m, PTX_RUN);
				mask &= ~m;
				limit = rotated ? UINT32_MAX : lowest(w);
				budget -= in->target <= pc++;
			} else {
				budget -= in->target <= pc;
				pc = in->target;
			}
			if (__builtin_expect(budget < 0, 0))
				goto yield;
			continue;
		case PTX_K_BRX:
			account(worker, &issued, mask);
			if (!branch_indexed(w, in, m))
				goto fault;
			mask &= ~m;
			pc++;
			if (--budget < 0)
				goto yield;
			goto next_group;
		case PTX_K_CALL:
		case PTX_K_RET:
			account(worker, &issued, mask);
			if (in->kind == PTX_K_CALL ? !ptx_exec_call(w, in, pc, m)
			                           : !ptx_exec_ret(w, in, m))
				goto fault;
			mask &= ~m;
			pc++;
			if (--budget < 0)
				goto yield;
			goto next_group;
		case PTX_K_EXIT:
			account(worker, &issued, mask);
			live = w->live &= ~m;
			mask &= ~m;
			pc++;
			if (m)
				wake_waiting(w);
			goto next_group;
		case PTX_K_BAR:
			account(worker, &issued, mask);
			if (m)
				ptx_group_push(w, pc, m, PTX_WAIT_BAR);
			mask &= ~m;
			pc++;
			goto next_group;
		case PTX_K_CLUSTER_WAIT:
			account(worker, &issued, mask);
			if (m & w->cluster_arrived)
				ptx_group_push(w, pc, m & w->cluster_arrived, PTX_WAIT_CLUSTER);
			mask &= ~(m & w->cluster_arrived);
			pc++;
			goto next_group;
		case PTX_K_WARPBAR:
		case PTX_K_SHFL:
		case PTX_K_VOTE:
		case PTX_K_MATCH:
		case PTX_K_REDUX:
		case PTX_K_MATRIX: {
			/* counted for the lanes that go on: others wait and come again */
			issued -= in->count;
			account(worker, &issued, mask);
			mask = ptx_exec_warp_op(w, in, pc, mask);
			issued = mask ? in->count : 0;
			if (__builtin_expect(w->failed, 0))
				goto fault;
			pc++;
			goto next_group;
		}
		case PTX_K_MBAR:
			if (!ptx_exec_mbar(w, in, m))
				goto fault;
			pc++;
			/* whom it waits for may be any other warp */
			if (in->op == PTX_M_TEST && m & ~ptx_pred(w, in->d))
				goto yield;
			continue;
		case PTX_K_SREG:
			ptx_exec_sreg(w, in, m);
			pc++;
			if (is_clock(in->op))
				budget -= CLOCK_PRICE;
			continue;
		case PTX_K_NANOSLEEP:
			pc++;
			goto yield;
		default:
			if (!execute(w, in, m))
				goto fault;
			pc++;
			continue;
		}
	next_group: /* the set of groups has changed; the running one may be empty */
		if (!mask) {
			if (!pick(w, 0, &pc, &mask)) {
				w->turn = 0;
				return blocked(w);
			}
			rotated = false;
		}
		limit = rotated ? UINT32_MAX : lowest(w);
	}
yield:
	account(worker, &issued, mask);
	if (mask)
		ptx_group_push(w, pc, mask, PTX_RUN);
	/* spinning lanes may wait for others of their warp: let those run next time */
	w->turn = w->n_groups > 1 ? w->turn + 1 : 0;
	return PTX_STEP_YIELD;
fault:
	account(worker, &issued, mask);
	return PTX_STEP_FAULT;
}
