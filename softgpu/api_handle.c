// SPDX-License-Identifier: Apache-2.0
/*
 * api_handle.c: the registry of live handles. Every handle that an application passes is looked
 * up here before it is followed, so that stale and made-up ones give an error instead of a crash.
 */
#include "api.h"

#include <pthread.h>

#define uthash_fatal(msg) abort()
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct entry {
	const void *object;
	enum sg_handle_kind kind;
	UT_hash_handle hh;
};

static struct entry *entries;
static size_t count[SG_HANDLE_KINDS];
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;

CUresult sg_handle_add(const void *object, enum sg_handle_kind kind)
{
	struct entry *e = calloc(1, sizeof(*e));
	if (!e)
		return CUDA_ERROR_OUT_OF_MEMORY;
	e->object = object;
	e->kind = kind;
	pthread_rwlock_wrlock(&lock);
	HASH_ADD_PTR(entries, object, e);
	bool added = e->hh.tbl != NULL;
	if (added)
		count[kind]++;
	pthread_rwlock_unlock(&lock);
	if (!added) {
		free(e);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	return CUDA_SUCCESS;
}

bool sg_handle_remove(const void *object, enum sg_handle_kind kind)
{
	struct entry *e;
	pthread_rwlock_wrlock(&lock);
	HASH_FIND_PTR(entries, &object, e);
	if (e && e->kind == kind) {
		HASH_DEL(entries, e);
		count[kind]--;
	} else {
		e = NULL;
	}
	pthread_rwlock_unlock(&lock);
	free(e);
	return e != NULL;
}

bool sg_handle_is(const void *object, enum sg_handle_kind kind)
{
	struct entry *e;
	if (!object)
		return false;
	pthread_rwlock_rdlock(&lock);
	HASH_FIND_PTR(entries, &object, e);
	bool is = e && e->kind == kind;
	pthread_rwlock_unlock(&lock);
	return is;
}

void **sg_handle_list(enum sg_handle_kind kind, size_t *n)
{
	size_t got = 0;
	pthread_rwlock_rdlock(&lock);
	void **list = count[kind] ? malloc(count[kind] * sizeof(*list)) : NULL;
	for (struct entry *e = entries; list && e; e = e->hh.next)
		if (e->kind == kind)
			list[got++] = (void *)e->object;
	pthread_rwlock_unlock(&lock);
	*n = got;
	return list;
}
