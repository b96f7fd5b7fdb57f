// SPDX-License-Identifier: Apache-2.0
/*
 * persistent.c: an enemy that never lets go: a kernel that fills every SM and stays, in steps,
 * looking at a word of the host's in each, as polling servers and persistent megakernels do. A unit
 * is one such kernel of `batch` steps; the next is queued behind it.
 */
#include <stdlib.h>
#include <string.h>

#include "../lib/affine.h"
#include "../lib/arrivals.h"
#include "enemy.h"

#define THREADS 256u

static struct {
	CUfunction kernel;
	CUdeviceptr data, done; /* done: steps of each block, 64 bits */
	uint32_t blocks;
	volatile uint32_t *stop;     /* host memory that the kernel reads */
	volatile uint64_t *progress; /* and writes */
} p;

/* Blocks that stay must all fit at once, or the rest would wait for the first to end. */
static void choose_blocks(struct enemy *e)
{
	int sms = 1, fit = 1;
	WL_CU(cuDeviceGetAttribute, &sms, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, e->gpu.device);
	WL_CU(cuOccupancyMaxActiveBlocksPerMultiprocessor, &fit, p.kernel, (int)THREADS, 0);
	if (!e->elements)
		e->elements = (uint32_t)sms * (uint32_t)fit * THREADS;
	enemy_need_multiple(e, THREADS);
	p.blocks = e->elements / THREADS;
}

static void persistent_open(struct enemy *e)
{
	void *host;
	p.kernel = wl_gpu_function(&e->gpu, "enemy_persistent");
	choose_blocks(e);
	enemy_find_iterations(e, e->kernel_us / e->batch);
	WL_CU(cuStreamCreate, &e->stream, CU_STREAM_NON_BLOCKING);
	p.data = enemy_data(e, e->elements);
	WL_CU(cuMemAlloc, &p.done, p.blocks * sizeof(uint64_t));
	WL_CU(cuMemsetD32, p.done, 0, 2ul * p.blocks);
	WL_CU(cuMemHostAlloc, &host, 4096, CU_MEMHOSTALLOC_DEVICEMAP);
	memset(host, 0, 4096);
	p.stop = host;
	p.progress = (volatile uint64_t *)((char *)host + 2048);
	e->words = e->elements + 2ul * p.blocks;
}

static void persistent_submit(struct enemy *e, uint64_t unit)
{
	struct wl_affine f = WL_AFFINE_STEP;
	CUdeviceptr stop, progress;
	uint64_t steps = e->batch;
	WL_CU(cuMemHostGetDevicePointer, &stop, (void *)p.stop, 0);
	WL_CU(cuMemHostGetDevicePointer, &progress, (void *)p.progress, 0);
	void *args[] = {&p.data, &f.mul, &f.add, &e->iterations, &steps, &p.done, &stop, &progress};
	WL_CU(cuLaunchKernel, p.kernel, p.blocks, 1, 1, THREADS, 1, 1, 0, e->stream, args, NULL);
}

static void persistent_stop(struct enemy *e)
{
	*p.stop = 1;
}

static void persistent_collect(struct enemy *e)
{
	enemy_download(e, p.data, e->result, e->elements);
	enemy_download(e, p.done, e->result + e->elements, 2ul * p.blocks);
}

/* Steps that a block did: as many as were asked for, or, of one that was told to stop, what it says
 * itself, if that is possible. */
static uint64_t steps_of(const struct enemy *e, uint32_t block, uint64_t asked)
{
	uint64_t said;
	memcpy(&said, e->result + e->elements + 2ul * block, sizeof(said));
	return e->stopped && said <= asked ? said : asked;
}

static void persistent_expect(const struct enemy *e, uint64_t units, uint32_t *want)
{
	uint64_t seed = e->seed;
	for (uint32_t b = 0; b < p.blocks; b++) {
		uint64_t steps = steps_of(e, b, units * e->batch);
		struct wl_affine f = wl_affine_power(WL_AFFINE_STEP, steps * e->iterations);
		for (uint32_t i = 0; i < THREADS; i++)
			want[b * THREADS + i] = wl_affine_apply(f, (uint32_t)wl_random(&seed));
		memcpy(want + e->elements + 2ul * b, &steps, sizeof(steps));
	}
}

static void persistent_close(struct enemy *e)
{
	WL_CU(cuMemFreeHost, (void *)p.stop);
	WL_CU(cuMemFree, p.done);
	WL_CU(cuMemFree, p.data);
	WL_CU(cuStreamDestroy, e->stream);
}

const struct enemy_kind enemy_persistent = {
    .name = "persistent",
    .summary = "a kernel that fills every SM and stays for 2 s, then the next",
    .kernel_us = 2000000,
    .batch = 2000,
    .depth = 2,
    .stamps = true,
    .open = persistent_open,
    .submit = persistent_submit,
    .stop = persistent_stop,
    .collect = persistent_collect,
    .expect = persistent_expect,
    .close = persistent_close,
};
