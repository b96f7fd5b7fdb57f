// SPDX-License-Identifier: Apache-2.0
/* ptx_load.c: what the stages of loading share: memory, failing, the hash map. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ptx_lex.h"

/* A text may not make us allocate without limit: inlining can grow exponentially. */
#define POOL_LIMIT ((size_t)2 << 30)

struct ptx_chunk {
	struct ptx_chunk *next;
	_Alignas(16) uint8_t data[];
};

void ptx_fail(struct ptx_load *ld, enum ptx_status status, uint32_t line, const char *fmt, ...)
{
	va_list ap;
	ld->status = status;
	ld->err->line = (int)line;
	va_start(ap, fmt);
	vsnprintf(ld->err->text, sizeof(ld->err->text), fmt, ap);
	va_end(ap);
	longjmp(ld->out, 1);
}

void *ptx_alloc(struct ptx_load *ld, struct ptx_pool *pool, size_t size)
{
	size = (size + 15) & ~(size_t)15;
	if (pool->total + size > POOL_LIMIT)
		ptx_fail(ld, PTX_NO_MEMORY, 0, "the module needs more than %zu MiB to load",
		         POOL_LIMIT >> 20);
	if (!pool->chunks || size > pool->cap - pool->used) {
		size_t cap = size > 65536 ? size : 65536;
		struct ptx_chunk *c = calloc(1, sizeof(*c) + cap);
		if (!c)
			ptx_fail(ld, PTX_NO_MEMORY, 0, "out of memory while loading the module");
		pool->total += cap;
		/* a large piece alone: what is left of the current chunk stays in use */
		if (size > 65536 && pool->chunks) {
			c->next = pool->chunks->next;
			pool->chunks->next = c;
			return c->data;
		}
		c->next = pool->chunks;
		pool->chunks = c;
		pool->cap = cap;
		pool->used = 0;
	}
	void *p = pool->chunks->data + pool->used;
	pool->used += size;
	return p;
}

void ptx_pool_free(struct ptx_pool *pool)
{
	while (pool->chunks) {
		struct ptx_chunk *next = pool->chunks->next;
		free(pool->chunks);
		pool->chunks = next;
	}
	*pool = (struct ptx_pool){0};
}

void *ptx_grow(struct ptx_load *ld, struct ptx_pool *pool, void *array, uint32_t n, uint32_t *cap,
               size_t size)
{
	if (n < *cap)
		return array;
	if (*cap > 1u << 28)
		ptx_fail(ld, PTX_NO_MEMORY, 0, "the module is too large");
	/* what lies last in its chunk grows where it is */
	size_t old = (n * size + 15) & ~(size_t)15, more = (2 * n * size + 15) & ~(size_t)15;
	if (n && pool->chunks && n == *cap && more - old <= pool->cap - pool->used &&
	    (uint8_t *)array + old == pool->chunks->data + pool->used &&
	    pool->total + more <= POOL_LIMIT) {
		pool->used += more - old;
		*cap = 2 * n;
		return array;
	}
	*cap = *cap ? *cap * 2 : 16;
	void *bigger = ptx_alloc(ld, pool, *cap * size);
	if (n)
		memcpy(bigger, array, n * size);
	return bigger;
}

static uint32_t hash(uint32_t scope, struct ptx_str key)
{
	uint32_t h = 2166136261u ^ (scope * 0x9e3779b1u);
	for (uint32_t i = 0; i < key.len; i++)
		h = (h ^ (uint8_t)key.p[i]) * 16777619u;
	return h ^ (h >> 15);
}

static struct ptx_map_slot *find(const struct ptx_map *m, uint32_t scope, struct ptx_str key)
{
	uint32_t i = hash(scope, key) & (m->cap - 1);
	while (m->slots[i].value &&
	       !(m->slots[i].scope == scope && ptx_str_eq(m->slots[i].key, key)))
		i = (i + 1) & (m->cap - 1);
	return &m->slots[i];
}

void *ptx_map_get(const struct ptx_map *m, uint32_t scope, struct ptx_str key)
{
	return m->cap ? find(m, scope, key)->value : NULL;
}

void ptx_map_put(struct ptx_load *ld, struct ptx_map *m, uint32_t scope, struct ptx_str key,
                 void *value)
{
	if (m->n * 2 >= m->cap) {
		struct ptx_map old = *m;
		m->cap = old.cap ? old.cap * 2 : 64;
		m->slots = ptx_alloc(ld, &ld->temp, m->cap * sizeof(*m->slots));
		for (uint32_t i = 0; i < old.cap; i++)
			if (old.slots[i].value)
				*find(m, old.slots[i].scope, old.slots[i].key) = old.slots[i];
	}
	*find(m, scope, key) = (struct ptx_map_slot){key, scope, value};
	m->n++;
}
