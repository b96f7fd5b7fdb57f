// SPDX-License-Identifier: Apache-2.0
/*
 * copy.c: an enemy of the link to the host: page-locked memory to the GPU and back, both ways at
 * once. A unit is a copy in, a small kernel that adds it to a sum, and a copy of the sum out, on
 * three streams; units overlap as far as a ring of buffers lets them. The sum tells that every
 * buffer came once and in its turn.
 */
#include "../lib/affine.h"
#include "../lib/arrivals.h"
#include "enemy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RING 3u
#define THREADS 256u
#define BLOCKS 64u

static struct {
	CUfunction kernel;
	CUstream in, work; /* the copies out are e->stream's */
	CUevent came[RING], used[RING], left[RING];
	CUdeviceptr inbox[RING], sum, outbox[RING];
	uint32_t *from[RING], *to[RING]; /* page-locked */
	uint64_t units;
} c;

static const struct wl_affine first = {.mul = 1664525u, .add = 0};

static void copy_open(struct enemy *e)
{
	if (!e->elements)
		e->elements = 1u << 20;
	size_t bytes = (size_t)e->elements * sizeof(uint32_t);
	uint64_t seed = e->seed;
	c.kernel = wl_gpu_function(&e->gpu, "enemy_sum");
	WL_CU(cuStreamCreate, &c.in, CU_STREAM_NON_BLOCKING);
	WL_CU(cuStreamCreate, &c.work, CU_STREAM_NON_BLOCKING);
	WL_CU(cuStreamCreate, &e->stream, CU_STREAM_NON_BLOCKING);
	WL_CU(cuMemAlloc, &c.sum, bytes);
	WL_CU(cuMemsetD32, c.sum, 0, e->elements);
	for (unsigned r = 0; r < RING; r++) {
		WL_CU(cuEventCreate, &c.came[r], CU_EVENT_DISABLE_TIMING);
		WL_CU(cuEventCreate, &c.used[r], CU_EVENT_DISABLE_TIMING);
		WL_CU(cuEventCreate, &c.left[r], CU_EVENT_DISABLE_TIMING);
		WL_CU(cuMemAlloc, &c.inbox[r], bytes);
		WL_CU(cuMemAlloc, &c.outbox[r], bytes);
		WL_CU(cuMemHostAlloc, (void **)&c.from[r], bytes, 0);
		WL_CU(cuMemHostAlloc, (void **)&c.to[r], bytes, 0);
		memset(c.to[r], 0, bytes);
		for (uint32_t i = 0; i < e->elements; i++)
			c.from[r][i] = (uint32_t)wl_random(&seed);
	}
	WL_CU(cuCtxSynchronize);
	e->words = (size_t)e->elements * RING; /* what the last units copied out */
}

/* An event that was never recorded is no reason to wait. */
static void copy_submit(struct enemy *e, uint64_t unit)
{
	unsigned r = (unsigned)(unit % RING);
	size_t bytes = (size_t)e->elements * sizeof(uint32_t);
	uint32_t n = e->elements, mul = first.mul;
	void *args[] = {&c.sum, &c.inbox[r], &n, &mul};
	WL_CU(cuStreamWaitEvent, c.in, c.used[r], 0);
	WL_CU(cuMemcpyHtoDAsync, c.inbox[r], c.from[r], bytes, c.in);
	WL_CU(cuEventRecord, c.came[r], c.in);
	WL_CU(cuStreamWaitEvent, c.work, c.came[r], 0);
	WL_CU(cuStreamWaitEvent, c.work, c.left[r], 0);
	WL_CU(cuLaunchKernel, c.kernel, BLOCKS, 1, 1, THREADS, 1, 1, 0, c.work, args, NULL);
	WL_CU(cuMemcpyDtoDAsync, c.outbox[r], c.sum, bytes, c.work);
	WL_CU(cuEventRecord, c.used[r], c.work);
	WL_CU(cuStreamWaitEvent, e->stream, c.used[r], 0);
	WL_CU(cuMemcpyDtoHAsync, c.to[r], c.outbox[r], bytes, e->stream);
	WL_CU(cuEventRecord, c.left[r], e->stream);
	c.units++;
}

static void copy_collect(struct enemy *e)
{
	for (unsigned r = 0; r < RING; r++)
		memcpy(e->result + (size_t)r * e->elements, c.to[r],
		       (size_t)e->elements * sizeof(uint32_t));
}

/* Buffer r holds the sum after the last unit of r. */
static void copy_expect(const struct enemy *e, uint64_t units, uint32_t *want)
{
	for (uint32_t i = 0; i < e->elements; i++) {
		struct wl_affine f[RING], round = {.mul = 1, .add = 0};
		for (unsigned r = 0; r < RING; r++) {
			f[r] = (struct wl_affine){.mul = first.mul, .add = c.from[r][i]};
			round = wl_affine_then(round, f[r]);
		}
		/* the last full round but one, then unit by unit */
		uint64_t done = units > RING ? (units - RING) / RING * RING : 0;
		uint32_t sum = wl_affine_apply(wl_affine_power(round, done / RING), 0);
		for (unsigned r = 0; units < RING && r < RING; r++)
			want[(size_t)r * e->elements + i] = 0;
		for (uint64_t u = done; u < units; u++) {
			sum = wl_affine_apply(f[u % RING], sum);
			want[u % RING * e->elements + i] = sum;
		}
	}
}

static void copy_close(struct enemy *e)
{
	for (unsigned r = 0; r < RING; r++) {
		WL_CU(cuMemFreeHost, c.to[r]);
		WL_CU(cuMemFreeHost, c.from[r]);
		WL_CU(cuMemFree, c.outbox[r]);
		WL_CU(cuMemFree, c.inbox[r]);
		WL_CU(cuEventDestroy, c.left[r]);
		WL_CU(cuEventDestroy, c.used[r]);
		WL_CU(cuEventDestroy, c.came[r]);
	}
	WL_CU(cuMemFree, c.sum);
	WL_CU(cuStreamDestroy, c.in);
	WL_CU(cuStreamDestroy, c.work);
	WL_CU(cuStreamDestroy, e->stream);
}

const struct enemy_kind enemy_copy = {
    .name = "copy",
    .summary = "copies from and to page-locked memory, both ways at once",
    .iterations = 1,
    .batch = 1,
    .depth = 64,
    .open = copy_open,
    .submit = copy_submit,
    .collect = copy_collect,
    .expect = copy_expect,
    .close = copy_close,
};
