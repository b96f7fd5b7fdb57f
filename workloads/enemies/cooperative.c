// SPDX-License-Identifier: Apache-2.0
/*
 * cooperative.c: an enemy whose blocks wait for each other: a cooperative grid as large as the GPU
 * holds at once, which meets after each of its `batch` steps. It can only be stopped as a whole,
 * and needs every SM that it was sized for. A unit is one such launch.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "../lib/affine.h"
#include "../lib/chain.h"
#include "../lib/options.h"
#include "enemy.h"

#define THREADS 256u

static struct {
	CUfunction kernel;
	CUdeviceptr data, other;
	uint32_t blocks;
} co;

static void cooperative_open(struct enemy *e)
{
	int able = 0, sms = 1, fit = 1;
	WL_CU(cuDeviceGetAttribute, &able, CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH, e->gpu.device);
	if (!able) {
		fprintf(stderr, "enemy: %s has no cooperative launch; use another --kind\n",
		        e->gpu.name);
		exit(1);
	}
	if (e->batch % 2) {
		fprintf(stderr, "enemy: --batch: %u is odd; this kind takes an even number\n",
		        e->batch);
		exit(WL_EXIT_USAGE);
	}
	co.kernel = wl_gpu_function(&e->gpu, "enemy_cooperative");
	WL_CU(cuDeviceGetAttribute, &sms, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, e->gpu.device);
	WL_CU(cuOccupancyMaxActiveBlocksPerMultiprocessor, &fit, co.kernel, (int)THREADS, 0);
	if (!e->elements)
		e->elements = (uint32_t)sms * (uint32_t)fit * THREADS;
	enemy_need_multiple(e, THREADS);
	co.blocks = e->elements / THREADS;
	enemy_find_iterations(e, e->kernel_us / e->batch);
	WL_CU(cuStreamCreate, &e->stream, CU_STREAM_NON_BLOCKING);
	co.data = enemy_data(e, e->elements);
	co.other = enemy_data(e, e->elements);
	e->words = e->elements;
}

static void cooperative_submit(struct enemy *e, uint64_t unit)
{
	struct wl_affine f = WL_AFFINE_STEP;
	uint32_t steps = e->batch;
	void *args[] = {&co.data, &co.other, &f.mul, &f.add, &e->iterations, &steps};
	WL_CU(cuLaunchCooperativeKernel, co.kernel, co.blocks, 1, 1, THREADS, 1, 1, 0, e->stream,
	      args);
}

static void cooperative_collect(struct enemy *e)
{
	enemy_download(e, co.data, e->result, e->words);
}

/* Each step takes an element to n / 2 + 1 places before. */
static void cooperative_expect(const struct enemy *e, uint64_t units, uint32_t *want)
{
	uint64_t steps = units * e->batch, n = e->elements;
	struct wl_affine f = wl_affine_power(WL_AFFINE_STEP, steps * e->iterations);
	uint64_t shift = steps % n * (n / 2 + 1) % n;
	wl_chain_fill(want, n, e->seed);
	uint32_t *moved = malloc(n * sizeof(*moved));
	if (!moved) {
		fprintf(stderr, "enemy: no memory for %u words\n", e->elements);
		exit(1);
	}
	for (uint64_t i = 0; i < n; i++)
		moved[i] = wl_affine_apply(f, want[(i + shift) % n]);
	for (uint64_t i = 0; i < n; i++)
		want[i] = moved[i];
	free(moved);
}

static void cooperative_close(struct enemy *e)
{
	WL_CU(cuMemFree, co.other);
	WL_CU(cuMemFree, co.data);
	WL_CU(cuStreamDestroy, e->stream);
}

const struct enemy_kind enemy_cooperative = {
    .name = "cooperative",
    .summary = "cooperative grids that synchronise 20 times in 10 ms",
    .kernel_us = 10000,
    .batch = 20,
    .depth = 32,
    .stamps = true,
    .open = cooperative_open,
    .submit = cooperative_submit,
    .collect = cooperative_collect,
    .expect = cooperative_expect,
    .close = cooperative_close,
};
