// SPDX-License-Identifier: Apache-2.0
/* ptx_util.h: device memory and launches for the unit tests of the PTX interpreter. */
#ifndef REIN_TESTS_PTX_UTIL_H
#define REIN_TESTS_PTX_UTIL_H

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "softgpu/ptx.h"
#include "tests/harness.h"

/* ---- device memory: a list of allocations, each with a gap to the next */
static struct {
	char *p;
	size_t size;
} device_blocks[256];
static int device_n;
static pthread_mutex_t device_lock = PTHREAD_MUTEX_INITIALIZER;

static inline bool device_check(void *self, uint64_t addr, uint64_t size, uint64_t *lo,
                                uint64_t *hi)
{
	bool ok = false;
	pthread_mutex_lock(&device_lock);
	for (int i = 0; i < device_n && !ok; i++) {
		uint64_t b = (uint64_t)(uintptr_t)device_blocks[i].p;
		if (addr < b || addr - b > device_blocks[i].size ||
		    device_blocks[i].size - (addr - b) < size)
			continue;
		*lo = b;
		*hi = b + device_blocks[i].size;
		ok = true;
	}
	pthread_mutex_unlock(&device_lock);
	return ok;
}

static inline void *device_alloc(void *self, size_t size, size_t align)
{
	void *p = NULL;
	if (posix_memalign(&p, align < 64 ? 64 : align, size ? size : 1))
		return NULL;
	memset(p, 0, size);
	pthread_mutex_lock(&device_lock);
	if (device_n < 256) {
		device_blocks[device_n].p = p;
		device_blocks[device_n++].size = size;
	}
	pthread_mutex_unlock(&device_lock);
	return p;
}

static inline void device_free(void *self, void *p)
{
	pthread_mutex_lock(&device_lock);
	for (int i = 0; i < device_n; i++) {
		if (device_blocks[i].p == p) {
			device_blocks[i] = device_blocks[--device_n];
			break;
		}
	}
	pthread_mutex_unlock(&device_lock);
	free(p);
}

static const struct ptx_memory device = {
    .check = device_check, .alloc = device_alloc, .free = device_free};

/* ---- modules and launches */
#define PTX_HEAD ".version 8.0\n.target sm_90\n.address_size 64\n"

static inline struct ptx_module *load_ptx(const char *text)
{
	struct ptx_module *m = NULL;
	struct ptx_error err;
	enum ptx_status s = ptx_module_load(text, strlen(text), &device, &m, &err);
	ck_assert_msg(s == PTX_OK, "load: status %d, line %d: %s\n%s", s, err.line, err.text,
	              strlen(text) < 3000 ? text : "");
	return m;
}

struct shape {
	uint32_t gx, bx, by;
	uint32_t dynamic_shared, workers;
	bool cooperative;
};

static inline enum ptx_status run_ptx(const struct ptx_module *m, const char *name, struct shape s,
                                      const void *params, struct ptx_result *res,
                                      struct ptx_error *err)
{
	struct ptx_result r;
	struct ptx_error e;
	struct ptx_kernel *k = ptx_kernel_find(m, name);
	ck_assert_ptr_nonnull(k);
	struct ptx_launch l = {
	    .grid = {s.gx, 1, 1},
	    .block = {s.bx, s.by ? s.by : 1, 1},
	    .dynamic_shared_bytes = s.dynamic_shared,
	    .params = params,
	    .n_sms = 4,
	    .max_workers = s.workers ? s.workers : 1,
	    .cooperative = s.cooperative,
	};
	return ptx_run(k, &l, &device, res ? res : &r, err ? err : &e);
}

static inline void must_run(const struct ptx_module *m, const char *name, struct shape s,
                            const void *params)
{
	struct ptx_error err;
	enum ptx_status st = run_ptx(m, name, s, params, NULL, &err);
	ck_assert_msg(st == PTX_OK, "run %s: status %d, line %d: %s", name, st, err.line, err.text);
}

/* the same numbers in every run */
static inline uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ull);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

#endif
