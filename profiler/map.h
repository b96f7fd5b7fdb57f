// SPDX-License-Identifier: Apache-2.0
/*
 * map.h: finds, or makes, an item by three numbers. Items stay where they are until all are freed.
 * An item is a struct of the caller's that starts with its key, `uint64_t key[3]`; a new one is
 * zeroed but for that. Open addressing, half full at most. Threads: one at a time.
 */
#ifndef REIN_MAP_H
#define REIN_MAP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct rein_map {
	uint64_t **slots;
	size_t n, room;
	size_t limit; /* items at most; 0: as many as memory has room for */
};

/* Bits mixed as by MurmurHash3's 64-bit finaliser (Austin Appleby, public domain). */
static inline uint64_t rein_mix(uint64_t x)
{
	x = (x ^ x >> 33) * 0xff51afd7ed558ccdull;
	x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53ull;
	return x ^ x >> 33;
}

static inline uint64_t rein_mix3(uint64_t a, uint64_t b, uint64_t c)
{
	return rein_mix(a + rein_mix(b + rein_mix(c)));
}

static inline uint64_t **rein_map_slot(const struct rein_map *m, const uint64_t key[3])
{
	size_t i = (size_t)rein_mix3(key[0], key[1], key[2]) & (m->room - 1);
	while (m->slots[i] && memcmp(m->slots[i], key, 3 * sizeof(key[0])) != 0)
		i = (i + 1) & (m->room - 1);
	return &m->slots[i];
}

static inline bool rein_map_grow(struct rein_map *m)
{
	struct rein_map old = *m;
	m->room = old.room ? old.room * 2 : 64;
	m->slots = calloc(m->room, sizeof(m->slots[0]));
	if (!m->slots) {
		*m = old;
		return false;
	}
	for (size_t i = 0; i < old.room; i++)
		if (old.slots[i])
			*rein_map_slot(m, old.slots[i]) = old.slots[i];
	free(old.slots);
	return true;
}

/* The item; `size` bytes if it is new. NULL: there is no room for it. */
static inline void *rein_map_at(struct rein_map *m, uint64_t a, uint64_t b, uint64_t c, size_t size)
{
	const uint64_t key[3] = {a, b, c};
	uint64_t **slot;
	if (m->room && *(slot = rein_map_slot(m, key)))
		return *slot;
	if ((m->limit && m->n == m->limit) || (2 * m->n >= m->room && !rein_map_grow(m)))
		return NULL;
	slot = rein_map_slot(m, key);
	*slot = calloc(1, size);
	if (!*slot)
		return NULL;
	memcpy(*slot, key, sizeof(key));
	m->n++;
	return *slot;
}

/* Each item in turn, in no order: `for (size_t i = 0; (item = rein_map_next(m, &i));)`. */
static inline void *rein_map_next(const struct rein_map *m, size_t *i)
{
	while (*i < m->room && !m->slots[*i])
		++*i;
	return *i < m->room ? m->slots[(*i)++] : NULL;
}

static inline void rein_map_free(struct rein_map *m)
{
	void *item;
	for (size_t i = 0; (item = rein_map_next(m, &i));)
		free(item);
	free(m->slots);
	*m = (struct rein_map){0};
}

#endif
