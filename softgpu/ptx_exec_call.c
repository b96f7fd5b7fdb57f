// SPDX-License-Identifier: Apache-2.0
/*
 * ptx_exec_call.c: calls that are not inlined, and the stack. A lane's frames lie one behind the
 * other in its local memory, behind the kernel's own variables; where it returns to, and what the
 * registers of a function held that it enters while it is in it already, is kept by us, out of the
 * guest's reach.
 */
#include <stdlib.h>
#include <string.h>

#include "ptx_exec.h"

struct record { /* behind what was saved */
	uint64_t frame, top;
	uint32_t return_pc, region, saved;
};
struct lane_stack {
	uint8_t *p;
	uint32_t used, cap;
};
struct ptx_stacks {
	uint64_t top[PTX_LANES]; /* where the next frame may begin */
	struct lane_stack lane[PTX_LANES];
	uint32_t n_regions;
	uint16_t active[]; /* region × lane: how often it is in there */
};

struct ptx_stacks *ptx_stacks_new(const struct ptx_kernel *k)
{
	struct ptx_stacks *s =
	    calloc(1, sizeof(*s) + (size_t)k->n_regions * PTX_LANES * sizeof(s->active[0]));
	if (s)
		s->n_regions = k->n_regions;
	return s;
}

void ptx_stacks_free(struct ptx_stacks *s)
{
	if (!s)
		return;
	for (int i = 0; i < PTX_LANES; i++)
		free(s->lane[i].p);
	free(s);
}

void ptx_stacks_reset(struct ptx_warp *w)
{
	struct ptx_stacks *s = w->stacks;
	uint64_t *frame = (uint64_t *)ptx_reg(w, PTX_FRAME);
	for (int i = 0; i < PTX_LANES; i++) {
		frame[i] = 0;
		s->top[i] = w->worker->job->k->info.local_bytes;
		s->lane[i].used = 0;
	}
	memset(s->active, 0, (size_t)s->n_regions * PTX_LANES * sizeof(s->active[0]));
}

static uint8_t *lane_memory(const struct ptx_warp *w, unsigned lane)
{
	return w->local + (size_t)lane * w->worker->job->lane_bytes;
}

/* Moves what a frame holds for its end; NULL: no memory. */
static uint8_t *grow(struct lane_stack *s, uint32_t bytes)
{
	if (s->cap - s->used < bytes) {
		uint32_t cap = s->cap ? s->cap * 2 : 256;
		while (cap - s->used < bytes)
			cap *= 2;
		uint8_t *p = realloc(s->p, cap);
		if (!p)
			return NULL;
		s->p = p;
		s->cap = cap;
	}
	s->used += bytes;
	return s->p + s->used - bytes;
}

static void save(const struct ptx_warp *w, const struct ptx_region *r, unsigned lane, uint8_t *to)
{
	const uint32_t *list = w->worker->job->k->saves + r->first_save;
	for (uint32_t i = 0; i < r->n_saves; i++) {
		const uint8_t *reg = ptx_reg(w, list[i] & ~3u);
		unsigned class = list[i] & 3, bytes = 1u << class;
		if (class)
			memcpy(to, reg + lane * bytes, bytes);
		else
			*to = (*(const uint32_t *)reg >> lane) & 1;
		to += bytes;
	}
}

static void restore(const struct ptx_warp *w, const struct ptx_region *r, unsigned lane,
                    const uint8_t *from)
{
	const uint32_t *list = w->worker->job->k->saves + r->first_save;
	for (uint32_t i = 0; i < r->n_saves; i++) {
		uint8_t *reg = ptx_reg(w, list[i] & ~3u);
		unsigned class = list[i] & 3, bytes = 1u << class;
		uint32_t *mask = (uint32_t *)reg;
		if (class)
			memcpy(reg + lane * bytes, from, bytes);
		else
			*mask = (*mask & ~(1u << lane)) | (uint32_t)*from << lane;
		from += bytes;
	}
}

/* The region that a lane calls; 0: the job has failed. */
static uint32_t callee(struct ptx_warp *w, const struct ptx_inst *in, unsigned lane)
{
	const struct ptx_kernel *k = w->worker->job->k;
	if (!in->op)
		return in->target;
	uint64_t p = ((const uint64_t *)ptx_reg(w, in->a))[lane];
	uint32_t number = (uint32_t)p;
	if (p >> 32 != (PTX_FUNC_BASE >> 32) + k->module_id || !number || number > k->n_funcs ||
	    !k->region_of[number]) {
		ptx_fault(w, in, lane, PTX_ILLEGAL_ADDRESS,
		          "call of 0x%llx, which is no function of this module",
		          (unsigned long long)p);
		return 0;
	}
	const uint32_t *ext = &k->ext[in->imm];
	if (k->regions[k->region_of[number]].signature != (ext[0] | (uint64_t)ext[1] << 32)) {
		ptx_fault(w, in, lane, PTX_TRAP,
		          "call through a pointer to a function with other parameters");
		return 0;
	}
	return k->region_of[number];
}

static bool enter(struct ptx_warp *w, const struct ptx_inst *in, uint32_t pc, unsigned lane,
                  uint32_t region)
{
	const struct ptx_job *j = w->worker->job;
	const struct ptx_region *r = &j->k->regions[region];
	struct ptx_stacks *s = w->stacks;
	uint64_t *frame = (uint64_t *)ptx_reg(w, PTX_FRAME) + lane;
	uint64_t at = (s->top[lane] + r->frame_align - 1) & ~(uint64_t)(r->frame_align - 1);
	uint16_t *active = &s->active[region * PTX_LANES + lane];
	/* a frame takes 16 bytes at least, so that endless recursion ends here */
	uint64_t top = at + (r->frame_bytes ? r->frame_bytes : 16);
	if (top > j->lane_bytes || *active == UINT16_MAX)
		return ptx_fault(w, in, lane, PTX_ILLEGAL_ADDRESS,
		                 "stack overflow: %u bytes are not enough",
		                 j->lane_bytes - j->k->info.local_bytes);
	struct record rec = {*frame, s->top[lane], pc + 1, region, 0};
	if (*active) {
		uint8_t *to = grow(&s->lane[lane], r->save_bytes);
		if (!to)
			return ptx_fault(w, in, lane, PTX_NO_MEMORY, "no memory for the stack");
		save(w, r, lane, to);
		rec.saved = r->save_bytes;
	}
	uint8_t *p = grow(&s->lane[lane], sizeof(rec));
	if (!p)
		return ptx_fault(w, in, lane, PTX_NO_MEMORY, "no memory for the stack");
	memcpy(p, &rec, sizeof(rec));
	const uint32_t *ext = &j->k->ext[in->imm], *c = ext + 4 + 3 * (size_t)ext[2];
	uint8_t *mem = lane_memory(w, lane);
	for (uint32_t i = 0; i < ext[3]; i++, c += 3)
		memmove(mem + at + c[1], mem + *frame + c[0], c[2]);
	++*active;
	*frame = at;
	s->top[lane] = top;
	return true;
}

bool ptx_exec_call(struct ptx_warp *w, const struct ptx_inst *in, uint32_t pc, uint32_t mask)
{
	for (uint32_t rest = mask; rest; rest &= rest - 1) {
		unsigned lane = (unsigned)__builtin_ctz(rest);
		uint32_t region = callee(w, in, lane);
		if (!region || !enter(w, in, pc, lane, region))
			return false;
		ptx_group_push(w, w->worker->job->k->regions[region].pc, 1u << lane, PTX_RUN);
	}
	return true;
}

bool ptx_exec_ret(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask)
{
	const struct ptx_kernel *k = w->worker->job->k;
	struct ptx_stacks *s = w->stacks;
	for (uint32_t rest = mask; rest; rest &= rest - 1) {
		unsigned lane = (unsigned)__builtin_ctz(rest);
		uint64_t *frame = (uint64_t *)ptx_reg(w, PTX_FRAME) + lane;
		struct lane_stack *st = &s->lane[lane];
		struct record rec;
		if (st->used < sizeof(rec)) /* cannot be: only calls lead here */
			return ptx_fault(w, in, lane, PTX_TRAP, "return without a call");
		st->used -= (uint32_t)sizeof(rec);
		memcpy(&rec, st->p + st->used, sizeof(rec));
		const uint32_t *ext = &k->ext[k->code[rec.return_pc - 1].imm], *c = ext + 4;
		uint8_t *mem = lane_memory(w, lane);
		for (uint32_t i = 0; i < ext[2]; i++, c += 3)
			memmove(mem + rec.frame + c[0], mem + *frame + c[1], c[2]);
		st->used -= rec.saved;
		if (rec.saved)
			restore(w, &k->regions[rec.region], lane, st->p + st->used);
		s->active[rec.region * PTX_LANES + lane]--;
		*frame = rec.frame;
		s->top[lane] = rec.top;
		ptx_group_push(w, rec.return_pc, 1u << lane, PTX_RUN);
	}
	return true;
}

/* op 0: alloca d, a bytes, aligned to imm; 1: stacksave d; 2: stackrestore a */
bool ptx_exec_stack(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask)
{
	const struct ptx_job *j = w->worker->job;
	struct ptx_stacks *s = w->stacks;
	const uint8_t *a = ptx_reg(w, in->a);
	for (uint32_t rest = mask; rest; rest &= rest - 1) {
		unsigned lane = (unsigned)__builtin_ctz(rest);
		uint64_t align = (uint64_t)in->imm, v = ptx_lane_get(a, in->size, lane);
		uint64_t at = (s->top[lane] + align - 1) & ~(align - 1);
		if (in->op == 2) {
			if (v > s->top[lane])
				return ptx_fault(w, in, lane, PTX_ILLEGAL_ADDRESS,
				                 "stackrestore of what stacksave did not give");
			s->top[lane] = v;
			continue;
		}
		if (in->op == 0) {
			if (at > j->lane_bytes || v > j->lane_bytes - at)
				return ptx_fault(w, in, lane, PTX_ILLEGAL_ADDRESS,
				                 "stack overflow: alloca of %llu bytes",
				                 (unsigned long long)v);
			s->top[lane] = (at + v + 15) & ~(uint64_t)15;
		} else {
			at = s->top[lane];
		}
		ptx_lane_set(ptx_reg(w, in->d), in->size, lane, at);
	}
	return true;
}
