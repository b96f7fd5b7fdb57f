// SPDX-License-Identifier: Apache-2.0
/*
 * queue.c: records on their way from whoever makes them, which may be the engine under its lock,
 * to whoever delivers them; and the names of kernels, which must outlive their modules.
 */
#include "double.h"

#include <pthread.h>
#include <string.h>

#include "../../common/clock.h"

#define CHUNKS_MAX 4096u /* 64 MiB; what comes then is dropped and counted */
#define CHUNKS_MUCH 4u
#define NAME_BUCKETS 256u

static struct {
	pthread_mutex_t lock;
	pthread_cond_t much;
	struct sg_cupti_chunk *head, *tail;
	unsigned chunks;
	bool woken;
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER, .much = PTHREAD_COND_INITIALIZER};
static rein_a64 dropped;

/* ---- records */

static struct sg_cupti_chunk *room_for(size_t bytes)
{
	if (queue.tail && sizeof(queue.tail->v) - queue.tail->n >= bytes)
		return queue.tail;
	struct sg_cupti_chunk *c = queue.chunks < CHUNKS_MAX ? malloc(sizeof(*c)) : NULL;
	if (!c)
		return NULL;
	c->next = NULL;
	c->n = 0;
	*(queue.tail ? &queue.tail->next : &queue.head) = c;
	queue.tail = c;
	if (++queue.chunks == CHUNKS_MUCH)
		pthread_cond_signal(&queue.much);
	return c;
}

void sg_cupti_push(const void *record, size_t bytes)
{
	pthread_mutex_lock(&queue.lock);
	struct sg_cupti_chunk *c = room_for(bytes);
	if (c) {
		memcpy(c->v + c->n, record, bytes);
		c->n += bytes;
	}
	pthread_mutex_unlock(&queue.lock);
	if (!c)
		sg_cupti_drop(1);
}

struct sg_cupti_chunk *sg_cupti_take_all(void)
{
	pthread_mutex_lock(&queue.lock);
	struct sg_cupti_chunk *list = queue.head;
	queue.head = queue.tail = NULL;
	queue.chunks = 0;
	pthread_mutex_unlock(&queue.lock);
	return list;
}

void sg_cupti_wait_much(uint32_t ms)
{
	struct timespec until = rein_timespec(rein_now_ns() + ms * REIN_MS);
	int e = 0;
	pthread_mutex_lock(&queue.lock);
	while (queue.chunks < CHUNKS_MUCH && !queue.woken && !e) {
		if (ms)
			e = pthread_cond_clockwait(&queue.much, &queue.lock, CLOCK_MONOTONIC,
			                           &until);
		else
			pthread_cond_wait(&queue.much, &queue.lock);
	}
	queue.woken = false;
	pthread_mutex_unlock(&queue.lock);
}

void sg_cupti_wake(void)
{
	pthread_mutex_lock(&queue.lock);
	queue.woken = true;
	pthread_cond_signal(&queue.much);
	pthread_mutex_unlock(&queue.lock);
}

void sg_cupti_drop(size_t records)
{
	rein_add_relaxed(&dropped, records);
}

size_t sg_cupti_dropped(void)
{
	return rein_swap_seqcst(&dropped, 0);
}

/* ---- names */

struct name {
	struct name *next;
	char text[];
};
static struct name *names[NAME_BUCKETS];
static pthread_mutex_t names_lock = PTHREAD_MUTEX_INITIALIZER;

static unsigned bucket_of(const char *text)
{
	uint32_t h = 2166136261u; /* FNV-1a */
	for (; *text; text++)
		h = (h ^ (uint8_t)*text) * 16777619u;
	return h % NAME_BUCKETS;
}

const char *sg_cupti_intern(const char *text)
{
	struct name **bucket = &names[bucket_of(text)];
	pthread_mutex_lock(&names_lock);
	struct name *n = *bucket;
	while (n && strcmp(n->text, text) != 0)
		n = n->next;
	if (!n) {
		size_t bytes = strlen(text) + 1;
		n = malloc(sizeof(*n) + bytes);
		if (n) {
			memcpy(n->text, text, bytes);
			n->next = *bucket;
			*bucket = n;
		}
	}
	pthread_mutex_unlock(&names_lock);
	return n ? n->text : NULL;
}

/* ---- fork: what was under way in the parent is the parent's */

void sg_cupti_queue_forget(void)
{
	pthread_mutex_init(&queue.lock, NULL);
	pthread_cond_init(&queue.much, NULL);
	pthread_mutex_init(&names_lock, NULL);
	queue.head = queue.tail = NULL; /* the parent may have been in the middle of it */
	queue.chunks = 0;
	queue.woken = false;
	rein_store_relaxed(&dropped, 0);
}
