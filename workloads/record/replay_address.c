// SPDX-License-Identifier: Apache-2.0
/* replay_address.c: which of this run's values a recorded handle or address stands for. */
#include "replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

struct range {
	uint64_t recorded, ours, size; /* ours = 0: the call that gave it could not be made */
	bool freed; /* in the recording: its addresses may be those of something newer */
};

static struct rp_map handles;
static struct range *ranges;
static size_t n_ranges;

/* ---------------------------------------------------------------- maps */

static size_t slot_of(const struct rp_map *m, uint64_t key)
{
	size_t i = (size_t)(key * 0x9e3779b97f4a7c15u >> 20) & (m->room - 1);
	while (m->keys[i] && m->keys[i] != key)
		i = (i + 1) & (m->room - 1);
	return i;
}

bool rp_map_get(const struct rp_map *m, uint64_t key, uint64_t *value)
{
	if (!m->room || !key)
		return false;
	size_t i = slot_of(m, key);
	if (m->keys[i] == key)
		*value = m->values[i];
	return m->keys[i] == key;
}

static void map_grow(struct rp_map *m)
{
	struct rp_map more = {.room = m->room ? 2 * m->room : 256};
	more.keys = calloc(more.room, sizeof(uint64_t));
	more.values = calloc(more.room, sizeof(uint64_t));
	if (!more.keys || !more.values) {
		fprintf(stderr, "replay: out of memory\n");
		exit(1);
	}
	for (size_t i = 0; i < m->room; i++)
		if (m->keys[i])
			rp_map_put(&more, m->keys[i], m->values[i]);
	free(m->keys);
	free(m->values);
	*m = more;
}

void rp_map_put(struct rp_map *m, uint64_t key, uint64_t value)
{
	if (!key)
		return;
	if (2 * m->used >= m->room)
		map_grow(m);
	size_t i = slot_of(m, key);
	m->used += m->keys[i] == 0;
	m->keys[i] = key;
	m->values[i] = value;
}

/* ---------------------------------------------------------------- addresses */

static struct range *range_of(uint64_t v, bool freed)
{
	for (size_t i = n_ranges; i-- > 0;)
		if (ranges[i].freed == freed && v - ranges[i].recorded < ranges[i].size)
			return &ranges[i];
	return NULL;
}

void rp_range_add(uint64_t recorded, uint64_t ours, uint64_t size)
{
	const struct range *r = range_of(recorded, false);
	if (r && ours && r->ours && r->ours + (recorded - r->recorded) == ours)
		return; /* known: a part of an allocation, or the device's view of host memory */
	if ((n_ranges & (n_ranges - 1)) == 0) {
		struct range *more =
		    realloc(ranges, (n_ranges ? 2 * n_ranges : 1) * sizeof(*ranges));
		if (!more) {
			fprintf(stderr, "replay: out of memory\n");
			exit(1);
		}
		ranges = more;
	}
	ranges[n_ranges++] = (struct range){recorded, ours, size, false};
}

static enum rp_found look_up_memory(uint64_t *v)
{
	const struct range *r = range_of(*v, false);
	if (!r)
		r = range_of(*v, true);
	if (!r || !r->ours)
		return r ? RP_LOST : RP_UNKNOWN;
	*v = r->ours + (*v - r->recorded);
	return RP_FOUND;
}

enum rp_found rp_look_up(uint64_t *v)
{
	uint64_t ours = 0;
	if (*v <= RP_SMALL)
		return RP_FOUND;
	if (rp_map_get(&handles, *v, &ours)) {
		*v = ours ? ours : *v;
		return ours ? RP_FOUND : RP_LOST;
	}
	return look_up_memory(v);
}

uint64_t rp_scratch(void)
{
	static void *area;
	if (!area) {
		area = mmap(NULL, RP_SCRATCH, PROT_READ | PROT_WRITE,
		            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (area == MAP_FAILED) {
			perror("replay: scratch memory");
			exit(1);
		}
	}
	return (uintptr_t)area;
}

uint64_t rp_host(uint64_t v)
{
	/* not the handles: a heap gives the address of one that was destroyed to a buffer */
	return v <= RP_SMALL || look_up_memory(&v) == RP_FOUND ? v : rp_scratch();
}

bool rp_range_live(uint64_t v)
{
	return range_of(v, false) != NULL;
}

void rp_range_free(uint64_t v)
{
	struct range *r = range_of(v, false);
	if (r)
		r->freed = true;
}

void rp_handle_put(uint64_t recorded, uint64_t ours)
{
	rp_map_put(&handles, recorded, ours);
}
