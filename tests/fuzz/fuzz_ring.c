// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_ring.c: a hostile client: any bytes as its event rings, changing between the collector's
 * looks. Each 16 bytes of input store one word: a head, or a word of a cell.
 */
#include <stdlib.h>

#include "common/ring.h"

static struct rein_ring_area area;
static struct rein_trace_record out[REIN_RING_CELLS];

static void look(struct rein_ring_cursor *c, unsigned ring, bool last)
{
	uint64_t lost = 0;
	unsigned n = rein_ring_read(&area, ring, c, out, REIN_RING_CELLS, last, &lost);
	if (n > REIN_RING_CELLS || c->tail[ring] > rein_load_relaxed(&area.ring[ring].head))
		abort();
	for (unsigned i = 0; i < n; i++)
		if (out[i].kind == REIN_TRACE_NONE || out[i].kind >= REIN_TRACE_CLIENT_KINDS)
			abort();
	for (unsigned i = 0; i < n; i++)
		(void)rein_trace_key(&out[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct rein_ring_cursor c = {0};
	struct {
		uint8_t what, ring, last, word;
		uint32_t cell;
		uint64_t value;
	} step;
	memset((void *)&area, 0, sizeof(area.head) + sizeof(area.ring));
	memset((void *)area.cell[0], 0, 64 * sizeof(area.cell[0][0]));
	memset((void *)area.cell[REIN_RING_SHARED], 0, 64 * sizeof(area.cell[0][0]));
	for (; len >= sizeof(step); data += sizeof(step), len -= sizeof(step)) {
		memcpy(&step, data, sizeof(step));
		unsigned ring = step.ring & 1 ? REIN_RING_SHARED : 0;
		if (step.what % 4 == 0)
			rein_store_relaxed(&area.ring[ring].head, step.value);
		else if (step.what % 4 == 1)
			look(&c, ring, step.last & 1);
		else
			rein_store_relaxed(&area.cell[ring][step.cell % 64].word[step.word % 8],
			                   step.value);
	}
	look(&c, 0, true);
	look(&c, REIN_RING_SHARED, true);
	return 0;
}
