// SPDX-License-Identifier: Apache-2.0
#include "ring.h"

#define STUCK_PASSES 64 /* then the writer of a reserved cell counts as gone */

#define STAMP(word) ((uint32_t)(word))

void rein_ring_put_shared(struct rein_ring_area *area, const uint64_t word[8])
{
	struct rein_ring *r = &area->ring[REIN_RING_SHARED];
	uint64_t number = rein_add_relaxed(&r->head, 1);
	struct rein_ring_cell *cell = &area->cell[REIN_RING_SHARED][number % REIN_RING_CELLS];
	uint64_t mine = rein_ring_stamp(number, 0, false);
	uint64_t seen = rein_load_acquire(&cell->word[0]);
	bool busy = STAMP(seen) && !(STAMP(seen) & 1);
	bool newer = seen && (int32_t)(STAMP(seen) - STAMP(mine)) > 0;
	if (!busy && !newer && rein_cas(&cell->word[0], &seen, mine))
		rein_ring_fill(cell, word, number);
}

/* ---------------------------------------------------------------- reading */

enum took { TAKEN, GONE, NOT_YET };

static enum took take(const struct rein_ring_cell *cell, uint64_t number,
                      struct rein_trace_record *out)
{
	uint64_t word[8];
	uint32_t complete = STAMP(rein_ring_stamp(number, 0, true));
	word[0] = rein_load_acquire(&cell->word[0]);
	if (STAMP(word[0]) != complete)
		return (int32_t)(STAMP(word[0]) - complete) > 0 ? GONE : NOT_YET;
	for (unsigned i = 1; i < 8; i++)
		word[i] = rein_load_acquire(&cell->word[i]);
	if (rein_load_relaxed(&cell->word[0]) != word[0])
		return GONE;
	memcpy(out, word, sizeof(*out));
	return TAKEN;
}

/* The shared ring's next record is reserved and not written: it is waited for, but not for ever. */
static bool wait_on(struct rein_ring_cursor *c, unsigned ring, uint64_t behind, bool last)
{
	if (ring != REIN_RING_SHARED || last || behind > REIN_RING_CELLS / 2 ||
	    ++c->waited > STUCK_PASSES) {
		c->waited = 0;
		return false;
	}
	return true;
}

unsigned rein_ring_read(const struct rein_ring_area *area, unsigned ring,
                        struct rein_ring_cursor *c, struct rein_trace_record *out, unsigned max,
                        bool last, uint64_t *lost)
{
	const struct rein_ring *r = &area->ring[ring];
	uint64_t head = rein_load_acquire(&r->head), tail = c->tail[ring];
	unsigned n = 0;
	if (head < tail) /* no writer of ours does that */
		tail = head;
	if (head - tail > REIN_RING_CELLS) {
		*lost += head - tail - REIN_RING_CELLS;
		tail = head - REIN_RING_CELLS;
	}
	for (; tail != head && n < max; tail++) {
		enum took took = take(&area->cell[ring][tail % REIN_RING_CELLS], tail, &out[n]);
		if (took == NOT_YET && wait_on(c, ring, head - tail, last))
			break;
		if (took == TAKEN)
			c->waited = 0;
		if (took == TAKEN && out[n].kind > REIN_TRACE_NONE &&
		    out[n].kind < REIN_TRACE_CLIENT_KINDS)
			n++;
		else
			++*lost;
	}
	c->tail[ring] = tail;
	return n;
}

/* ---------------------------------------------------------------- what records say */

uint32_t rein_trace_entry(const char *name)
{
	uint32_t h = 2166136261u;
	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return h;
}

uint64_t rein_trace_key(const struct rein_trace_record *r)
{
	const uint32_t grid[3] = {(uint32_t)r->a, r->a >> 32 & 0xffff, (uint32_t)(r->a >> 48)};
	const uint32_t block[3] = {r->b >> 32 & 0xfff, r->b >> 44 & 0xfff, (uint32_t)(r->b >> 56)};
	if (r->kind == REIN_TRACE_GPU)
		return r->func;
	if (r->kind != REIN_TRACE_SUBMIT || !r->func)
		return 0;
	return rein_kmodel_key(r->func, grid, block, (uint32_t)r->b);
}
