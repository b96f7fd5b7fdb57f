// SPDX-License-Identifier: Apache-2.0
/*
 * ptx_live.c: nvcc gives every value a register of its own; a warp's registers would not fit the
 * CPU's cache. Computes which registers are live where (data flow over basic blocks), takes the
 * span from first to last live place as a register's interval, and lets intervals that do not
 * overlap share a place (linear scan), each size apart: so operands either coincide or are
 * disjoint, as the lane functions need.
 *
 * A thread's view is enough, although lanes of a warp are at different places: each lane has its
 * own part of a register, and an instruction writes all lanes only if all live ones take part.
 * A guarded write keeps the old value in some lanes: it counts as a read too.
 *
 * Functions that are called have registers of their own: places are shared within a function only,
 * and what a lane must save when it enters one a second time is listed.
 */
#include <stdlib.h>
#include <string.h>

#include "ptx_dec.h"

#define RESERVED 256          /* operand code 0: "none" */
#define WORK_LIMIT (1u << 28) /* bits of liveness; beyond, registers stay as they are */

struct interval {
	uint32_t from, to; /* 2i: read by instruction i, 2i+1: written */
	uint32_t reg;
};
struct block {
	uint32_t first, last; /* instructions, inclusive */
};
struct live {
	struct ptx_dec *d;
	uint32_t *id; /* offset / 4 → register */
	uint32_t n_blocks;
	struct block *blocks;
	uint32_t *block_of; /* instruction → block */
	uint32_t words;     /* of a set of registers */
	uint64_t *in, *out, *use, *def;
	struct interval *ivs;
	uint32_t *place;    /* register → new offset */
	uint32_t *first[4]; /* size class, area → its first place */
};

/* Calls fn for each register operand of an instruction. */
typedef void visit_fn(struct live *l, uint32_t *code, bool write, void *arg);

static void visit(struct live *l, struct ptx_inst *in, visit_fn *fn, void *arg)
{
	uint32_t *reads[] = {&in->a, &in->b, &in->c, &in->e};
	uint32_t *writes[] = {&in->d, &in->d2};
	bool list = in->vec > 1 && (in->kind == PTX_K_LD || in->kind == PTX_K_ST);
	list |= in->kind == PTX_K_PACK || in->kind == PTX_K_UNPACK;
	bool list_written = in->kind == PTX_K_LD || in->kind == PTX_K_UNPACK;
	if (in->guarded)
		fn(l, &in->guard, false, arg);
	for (int i = 0; i < 4; i++)
		if (*reads[i] >= RESERVED && !(*reads[i] & PTX_CONST))
			fn(l, reads[i], false, arg);
	uint32_t *ext = l->d->ext;
	bool both = in->kind == PTX_K_MATRIX || in->kind == PTX_K_TEXTURE ||
	            in->kind == PTX_K_SURFACE || in->kind == PTX_K_TENSOR;
	for (uint32_t i = 0; both && i < in->rsize; i++)
		if (!(ext[in->target + in->vec + i] & PTX_CONST))
			fn(l, &ext[in->target + in->vec + i], false, arg);
	list |= both;
	list_written |= both;
	for (uint32_t i = 0; list && i < in->vec; i++)
		if (!(l->d->ext[in->target + i] & PTX_CONST))
			fn(l, &l->d->ext[in->target + i], list_written, arg);
	for (int i = 0; i < 2; i++) {
		if (*writes[i] < RESERVED)
			continue;
		if (i == 1 && in->kind == PTX_K_CARRY)
			fn(l, writes[i], false, arg);
		fn(l, writes[i], true, arg);
	}
}

static uint32_t reg_of(const struct live *l, uint32_t code)
{
	return l->id[code / 4];
}

/* ---- basic blocks */
static void targets(const struct live *l, const struct ptx_inst *in, const uint32_t **list,
                    uint32_t *n)
{
	*n = in->kind == PTX_K_BRA ? 1 : in->kind == PTX_K_BRX ? (uint32_t)in->imm : 0;
	*list = in->kind == PTX_K_BRX ? &l->d->ext[in->target] : &in->target;
}

static bool ends_block(const struct ptx_inst *in)
{
	return in->kind == PTX_K_BRA || in->kind == PTX_K_BRX || in->kind == PTX_K_EXIT ||
	       in->kind == PTX_K_RET;
}

static void find_blocks(struct live *l)
{
	struct ptx_dec *d = l->d;
	struct ptx_pool *pool = &d->ld->temp;
	uint8_t *starts = ptx_alloc(d->ld, pool, d->n_code + 1);
	const uint32_t *list;
	uint32_t n, cap = 0;
	starts[0] = 1;
	for (uint32_t i = 1; i < d->n_areas; i++)
		starts[d->areas[i].pc] = 1;
	for (uint32_t i = 0; i < d->n_code; i++) {
		targets(l, &d->code[i], &list, &n);
		for (uint32_t k = 0; k < n; k++)
			starts[list[k]] = 1;
		if (ends_block(&d->code[i]))
			starts[i + 1] = 1;
	}
	l->block_of = ptx_alloc(d->ld, pool, d->n_code * sizeof(*l->block_of));
	for (uint32_t i = 0; i < d->n_code; i++) {
		if (starts[i]) {
			l->blocks =
			    ptx_grow(d->ld, pool, l->blocks, l->n_blocks, &cap, sizeof(*l->blocks));
			l->blocks[l->n_blocks++] = (struct block){i, i};
		}
		l->blocks[l->n_blocks - 1].last = i;
		l->block_of[i] = l->n_blocks - 1;
	}
}

/* ---- data flow */
struct scan {
	uint64_t *use, *def;
	bool guarded;
};

static void note_use_def(struct live *l, uint32_t *code, bool write, void *arg)
{
	struct scan *s = arg;
	uint32_t r = reg_of(l, *code);
	uint64_t bit = 1ull << (r % 64);
	if ((!write || s->guarded) && !(s->def[r / 64] & bit))
		s->use[r / 64] |= bit;
	if (write && !s->guarded)
		s->def[r / 64] |= bit;
}

static bool flow(struct live *l, uint32_t b, const uint32_t *succ, uint32_t n, bool falls)
{
	uint64_t *in = l->in + (size_t)b * l->words, *out = l->out + (size_t)b * l->words;
	const uint64_t *use = l->use + (size_t)b * l->words, *def = l->def + (size_t)b * l->words;
	bool changed = false;
	for (uint32_t k = 0; k < n + falls; k++) {
		uint32_t s = k < n ? l->block_of[succ[k]] : b + 1;
		const uint64_t *next = l->in + (size_t)s * l->words;
		for (uint32_t w = 0; w < l->words; w++)
			out[w] |= next[w];
	}
	for (uint32_t w = 0; w < l->words; w++) {
		uint64_t v = use[w] | (out[w] & ~def[w]);
		changed |= v != in[w];
		in[w] = v;
	}
	return changed;
}

static void solve(struct live *l)
{
	struct ptx_dec *d = l->d;
	size_t bytes = (size_t)l->n_blocks * l->words * sizeof(uint64_t);
	l->in = ptx_alloc(d->ld, &d->ld->temp, bytes);
	l->out = ptx_alloc(d->ld, &d->ld->temp, bytes);
	l->use = ptx_alloc(d->ld, &d->ld->temp, bytes);
	l->def = ptx_alloc(d->ld, &d->ld->temp, bytes);
	for (uint32_t b = 0; b < l->n_blocks; b++) {
		struct scan s = {l->use + (size_t)b * l->words, l->def + (size_t)b * l->words,
		                 false};
		for (uint32_t i = l->blocks[b].first; i <= l->blocks[b].last; i++) {
			s.guarded = d->code[i].guarded;
			visit(l, &d->code[i], note_use_def, &s);
		}
	}
	for (bool changed = true; changed;) {
		changed = false;
		for (uint32_t b = l->n_blocks; b--;) {
			struct ptx_inst *last = &d->code[l->blocks[b].last];
			const uint32_t *list;
			uint32_t n;
			targets(l, last, &list, &n);
			bool falls = b + 1 < l->n_blocks && (!ends_block(last) || last->guarded ||
			                                     last->kind == PTX_K_BRX);
			changed |= flow(l, b, list, n, falls);
		}
	}
}

/* ---- intervals */
static void extend(struct live *l, uint32_t reg, uint32_t at)
{
	struct interval *iv = &l->ivs[reg];
	if (iv->from > at)
		iv->from = at;
	if (iv->to < at || iv->to == UINT32_MAX)
		iv->to = at;
}

static void note_interval(struct live *l, uint32_t *code, bool write, void *arg)
{
	uint32_t i = *(uint32_t *)arg;
	extend(l, reg_of(l, *code), 2 * i + write);
}

static void find_intervals(struct live *l)
{
	struct ptx_dec *d = l->d;
	l->ivs = ptx_alloc(d->ld, &d->ld->temp, (size_t)d->n_regs * sizeof(*l->ivs));
	for (uint32_t r = 0; r < d->n_regs; r++)
		l->ivs[r] = (struct interval){UINT32_MAX, UINT32_MAX, r};
	for (uint32_t b = 0; b < l->n_blocks; b++) {
		const struct block *bl = &l->blocks[b];
		for (uint32_t w = 0; w < l->words; w++) {
			uint64_t in = l->in[(size_t)b * l->words + w];
			uint64_t out = l->out[(size_t)b * l->words + w];
			for (; in; in &= in - 1)
				extend(l, w * 64 + (uint32_t)__builtin_ctzll(in), 2 * bl->first);
			for (; out; out &= out - 1)
				extend(l, w * 64 + (uint32_t)__builtin_ctzll(out),
				       2 * bl->last + 1);
		}
		for (uint32_t i = bl->first; i <= bl->last; i++)
			visit(l, &d->code[i], note_interval, &i);
	}
}

/* ---- places */
static int by_start(const void *a, const void *b)
{
	const struct interval *x = a, *y = b;
	if (x->from != y->from)
		return x->from < y->from ? -1 : 1;
	return x->reg < y->reg ? -1 : x->reg > y->reg;
}

/* Places of one size: until when each is taken; a heap by that time. */
struct heap {
	struct {
		uint32_t until, place;
	} * at;
	uint32_t n, cap, places;
};

static void heap_push(struct ptx_load *ld, struct heap *h, uint32_t until, uint32_t place)
{
	h->at = ptx_grow(ld, &ld->temp, h->at, h->n, &h->cap, sizeof(*h->at));
	uint32_t i = h->n++;
	for (; i && h->at[(i - 1) / 2].until > until; i = (i - 1) / 2)
		h->at[i] = h->at[(i - 1) / 2];
	h->at[i].until = until;
	h->at[i].place = place;
}

static uint32_t heap_pop(struct heap *h)
{
	uint32_t place = h->at[0].place, i = 0;
	h->n--;
	uint32_t until = h->at[h->n].until, moved = h->at[h->n].place;
	for (uint32_t c; (c = 2 * i + 1) < h->n; i = c) {
		if (c + 1 < h->n && h->at[c + 1].until < h->at[c].until)
			c++;
		if (h->at[c].until >= until)
			break;
		h->at[i] = h->at[c];
	}
	h->at[i].until = until;
	h->at[i].place = moved;
	return place;
}

static const uint32_t place_bytes[] = {4, 64, 128, 256};

static unsigned size_class(uint8_t size)
{
	return size == 0 ? 0 : size == 2 ? 1 : size == 4 ? 2 : 3;
}

static void add_save(struct ptx_dec *d, uint32_t place, unsigned class)
{
	d->saves =
	    ptx_grow(d->ld, &d->ld->temp, d->saves, d->n_saves, &d->cap_saves, sizeof(*d->saves));
	d->saves[d->n_saves++] = place | class;
}

/* The same where registers stay as they were declared. */
static void list_declared(struct ptx_dec *d)
{
	for (uint32_t i = 1; i < d->n_areas; i++) {
		uint32_t end = i + 1 < d->n_areas ? d->areas[i + 1].first_reg : d->n_regs;
		d->areas[i].first_save = d->n_saves;
		for (uint32_t r = d->areas[i].first_reg; r < end; r++)
			add_save(d, d->regs[r].off, size_class(d->regs[r].size));
		d->areas[i].n_saves = d->n_saves - d->areas[i].first_save;
	}
}

/* The area whose registers these are; they come in the order of the areas. */
static void next_area(struct live *l, uint32_t reg, uint32_t *area, struct heap *heaps)
{
	struct ptx_dec *d = l->d;
	while (*area + 1 < d->n_areas && reg >= d->areas[*area + 1].first_reg) {
		++*area;
		for (int c = 0; c < 4; c++) {
			heaps[c].n = 0; /* nothing is free that is not this area's own */
			l->first[c][*area] = heaps[c].places;
		}
	}
}

/* What a lane saves when it enters a function that it is in already: all places of its area. */
static void list_saves(struct live *l, const struct heap *heaps, const uint32_t *base)
{
	struct ptx_dec *d = l->d;
	for (uint32_t i = 1; i < d->n_areas; i++) {
		d->areas[i].first_save = d->n_saves;
		for (unsigned c = 0; c < 4; c++) {
			uint32_t end = i + 1 < d->n_areas ? l->first[c][i + 1] : heaps[c].places;
			for (uint32_t p = l->first[c][i]; p < end; p++)
				add_save(d, base[c] + p * place_bytes[c], c);
		}
		d->areas[i].n_saves = d->n_saves - d->areas[i].first_save;
	}
}

static uint32_t assign(struct live *l, uint32_t *estimate)
{
	struct ptx_dec *d = l->d;
	struct heap heaps[4] = {{0}};
	uint32_t base[4], at = RESERVED, area = 0;
	for (int c = 0; c < 4; c++)
		l->first[c] =
		    ptx_alloc(d->ld, &d->ld->temp, (d->n_areas + 1) * sizeof(*l->first[c]));
	qsort(l->ivs, d->n_regs, sizeof(*l->ivs), by_start);
	l->place = ptx_alloc(d->ld, &d->ld->temp, (size_t)d->n_regs * sizeof(*l->place));
	for (uint32_t i = 0; i < d->n_regs; i++) {
		const struct interval *iv = &l->ivs[i];
		if (iv->from == UINT32_MAX)
			continue; /* never used */
		next_area(l, iv->reg, &area, heaps);
		struct heap *h = &heaps[size_class(d->regs[iv->reg].size)];
		bool again = h->n && h->at[0].until < iv->from;
		uint32_t place = again ? heap_pop(h) : h->places++;
		heap_push(d->ld, h, iv->to, place);
		l->place[iv->reg] = place;
	}
	for (int c = 0; c < 4; c++) {
		at = (at + 63) & ~63u;
		base[c] = at;
		at += heaps[c].places * place_bytes[c];
	}
	for (uint32_t r = 0; r < d->n_regs; r++) {
		unsigned c = size_class(d->regs[r].size);
		l->place[r] = base[c] + l->place[r] * place_bytes[c];
	}
	next_area(l, UINT32_MAX, &area, heaps);
	list_saves(l, heaps, base);
	uint32_t regs = heaps[1].places + heaps[2].places + 2 * heaps[3].places + 6;
	*estimate = regs < 16 ? 16 : regs > 255 ? 255 : regs;
	return at;
}

static void rename_operand(struct live *l, uint32_t *code, bool write, void *arg)
{
	*code = l->place[reg_of(l, *code)];
}

/* An operand that is read and written is visited twice, but may be renamed only once. */
static void rename_all(struct live *l)
{
	for (uint32_t i = 0; i < l->d->n_code; i++) {
		struct ptx_inst *in = &l->d->code[i];
		uint8_t kind = in->kind;
		if (kind == PTX_K_CARRY)
			in->kind = PTX_K_ALU; /* the same operands without the second visit */
		visit(l, in, rename_operand, NULL);
		in->kind = kind;
		if (in->vec > 1 && in->kind == PTX_K_LD)
			in->d = l->d->ext[in->target];
		if (in->vec > 1 && in->kind == PTX_K_ST)
			in->b = l->d->ext[in->target];
	}
}

uint32_t ptx_compact_registers(struct ptx_dec *d, uint32_t *estimate)
{
	struct live l = {.d = d, .words = (d->n_regs + 63) / 64};
	*estimate = 255;
	if (!d->n_regs) {
		*estimate = 16;
		return d->reg_bytes;
	}
	find_blocks(&l);
	if ((uint64_t)l.n_blocks * l.words * 64 > WORK_LIMIT) {
		list_declared(d);
		return d->reg_bytes;
	}
	l.id = ptx_alloc(d->ld, &d->ld->temp, (size_t)d->reg_bytes / 4 * sizeof(*l.id) + 4);
	for (uint32_t r = 0; r < d->n_regs; r++)
		l.id[d->regs[r].off / 4] = r;
	solve(&l);
	find_intervals(&l);
	uint32_t bytes = assign(&l, estimate);
	rename_all(&l);
	return bytes;
}
