// SPDX-License-Identifier: Apache-2.0
/*
 * buffers.c: the memory that CUPTI fills with records, and reading it. Buffers are recycled; when
 * all are lent out CUPTI gets none, drops records and counts them. CUPTI may be given to another
 * profiler while it still has a buffer of ours: each is a block of the heap of its own.
 */
#include "agent_int.h"

#include <stdlib.h>
#include <string.h>

#include "../../common/clock.h"
#include "../../common/util.h"

#define BUFFER_BYTES (128u << 10) /* some 600 kernels */
#define BUFFERS 128u

enum { EMPTY, OWNED, FREE, LENT, FULL };

static struct {
	rein_a32 state;
	uint8_t *v;
	size_t valid;
} buffers[BUFFERS];

static bool take(unsigned i, uint32_t state)
{
	return rein_load_relaxed(&buffers[i].state) == state &&
	       rein_cas(&buffers[i].state, &state, OWNED);
}

/* First one that was used before. */
static uint8_t *lend(void)
{
	for (unsigned i = 0; i < BUFFERS; i++)
		if (take(i, FREE)) {
			rein_store_release(&buffers[i].state, LENT);
			return buffers[i].v;
		}
	for (unsigned i = 0; i < BUFFERS; i++)
		if (take(i, EMPTY)) {
			buffers[i].v = malloc(BUFFER_BYTES); /* aligned to 8, as CUPTI asks */
			rein_store_release(&buffers[i].state, buffers[i].v ? LENT : EMPTY);
			return buffers[i].v;
		}
	return NULL;
}

void rein_buffers_request(uint8_t **buffer, size_t *size, size_t *records_max)
{
	*buffer = lend();
	*size = *buffer ? BUFFER_BYTES : 0;
	*records_max = 0; /* as many as fit */
}

/* One that is not ours was lent by another profiler, and is lost to both. */
void rein_buffers_complete(void *context, uint32_t stream, uint8_t *buffer, size_t size,
                           size_t valid)
{
	for (unsigned i = 0; i < BUFFERS; i++)
		if (rein_load_acquire(&buffers[i].state) == LENT && buffers[i].v == buffer) {
			buffers[i].valid = valid < BUFFER_BYTES ? valid : BUFFER_BYTES;
			rein_store_release(&buffers[i].state, FULL);
			return;
		}
}

/* ---------------------------------------------------------------- reading */

static uint64_t at64(const uint8_t *r, size_t offset)
{
	uint64_t v;
	memcpy(&v, r + offset, sizeof(v));
	return v;
}

static uint32_t at32(const uint8_t *r, size_t offset)
{
	uint32_t v;
	memcpy(&v, r + offset, sizeof(v));
	return v;
}

static const struct cupti_layout *layout_of(uint32_t kind, enum rein_trace_gpu *what)
{
	switch (kind) {
	case CUPTI_KIND_KERNEL:
		*what = REIN_GPU_KERNEL;
		return &cupti_kernel;
	case CUPTI_KIND_COPY:
		*what = REIN_GPU_COPY;
		return &cupti_copy;
	case CUPTI_KIND_PEER_COPY:
		*what = REIN_GPU_COPY;
		return &cupti_peer_copy;
	case CUPTI_KIND_SET:
		*what = REIN_GPU_SET;
		return &cupti_set;
	case CUPTI_KIND_GRAPH:
		*what = REIN_GPU_GRAPH;
		return &cupti_graph;
	default: /* of a kind that somebody else enabled */
		return NULL;
	}
}

static uint64_t size_in(const uint8_t *r, const struct cupti_layout *l, enum rein_trace_gpu what)
{
	if (what == REIN_GPU_KERNEL)
		return at32(r, l->bytes) | (uint64_t)at32(r, l->bytes + 4u) << 32 |
		       (uint64_t)at32(r, l->bytes + 8u) << 48;
	return l->bytes ? at64(r, l->bytes) : 0;
}

/* False: it is no activity, or its times cannot be. */
static bool decode(const uint8_t *r, size_t room, uint64_t since_ns, uint64_t now_ns,
                   struct rein_agent_activity *a)
{
	const struct cupti_layout *l = layout_of(at32(r, 0), &a->what);
	if (!l)
		return true;
	if (room < l->prefix)
		return false;
	a->begin_ns = at64(r, l->start);
	a->end_ns = at64(r, l->end);
	if (a->begin_ns < since_ns || a->end_ns < a->begin_ns || a->end_ns > now_ns)
		return false;
	a->copy_kind = a->what == REIN_GPU_COPY ? r[CUPTI_COPY_KIND] : 0;
	a->size = size_in(r, l, a->what);
	a->stream = at32(r, l->stream);
	a->correlation = at32(r, l->correlation);
	a->name = l->name ? (const char *)(uintptr_t)at64(r, l->name) : NULL;
	a->ticket = rein_correlate_find(a->correlation);
	return true;
}

static size_t read_one(uint8_t *buffer, size_t valid, uint64_t since_ns, unsigned *skip)
{
	void *at = NULL;
	size_t n = 0;
	uint64_t now_ns = rein_now_ns(), lost = 0;
	while (valid >= sizeof(uint32_t) &&
	       rein_cupti.ActivityGetNextRecord(buffer, valid, &at) == CUPTI_OK && at) {
		const uint8_t *r = at;
		struct rein_agent_activity a = {0};
		size_t offset = (size_t)(r - buffer);
		if (offset > valid - sizeof(uint32_t))
			break;
		if (*skip || !decode(r, valid - offset, since_ns, now_ns, &a)) {
			*skip -= *skip != 0;
			lost++;
		} else if (a.what) {
			rein_cupti_host->activity(&a);
			n++;
		}
	}
	if (lost)
		rein_cupti_host->lost(lost);
	return n;
}

size_t rein_buffers_read(uint64_t since_ns, unsigned *skip)
{
	size_t n = 0, dropped = 0;
	for (unsigned i = 0; i < BUFFERS; i++) {
		if (!take(i, FULL))
			continue;
		n += read_one(buffers[i].v, buffers[i].valid, since_ns, skip);
		rein_store_release(&buffers[i].state, FREE);
	}
	if (rein_cupti.ActivityGetNumDroppedRecords &&
	    rein_cupti.ActivityGetNumDroppedRecords(NULL, 0, &dropped) == CUPTI_OK && dropped)
		rein_cupti_host->lost(dropped);
	return n;
}
