// SPDX-License-Identifier: Apache-2.0
/*
 * bandwidth.c: an enemy that leaves others no memory bandwidth: a unit is `batch` passes that read
 * one array and write another, back and forth, each four times what the L2 cache holds.
 */
#include "../lib/affine.h"
#include "../lib/arrivals.h"
#include "enemy.h"

#define THREADS 256u
#define VECTOR 4u /* elements that a thread moves at once */

static struct {
	CUfunction kernel;
	CUdeviceptr data[2];
	uint32_t blocks;
	uint64_t passes;
} b;

static void bandwidth_open(struct enemy *e)
{
	int sms = 1, l2 = 0;
	WL_CU(cuDeviceGetAttribute, &sms, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, e->gpu.device);
	WL_CU(cuDeviceGetAttribute, &l2, CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE, e->gpu.device);
	if (!e->elements)
		e->elements = l2 > 1 << 20 ? (uint32_t)l2 / VECTOR * VECTOR : 1u << 20;
	enemy_need_multiple(e, VECTOR);
	b.kernel = wl_gpu_function(&e->gpu, "enemy_bandwidth");
	b.blocks = (uint32_t)sms * 8;
	WL_CU(cuStreamCreate, &e->stream, CU_STREAM_NON_BLOCKING);
	b.data[0] = enemy_data(e, e->elements);
	b.data[1] = enemy_data(e, e->elements);
	e->words = e->elements;
}

static void bandwidth_submit(struct enemy *e, uint64_t unit)
{
	struct wl_affine f = WL_AFFINE_STEP;
	uint32_t n = e->elements / VECTOR;
	for (uint32_t i = 0; i < e->batch; i++, b.passes++) {
		void *args[] = {&b.data[(b.passes + 1) % 2], &b.data[b.passes % 2], &n, &f.mul,
		                &f.add};
		WL_CU(cuLaunchKernel, b.kernel, b.blocks, 1, 1, THREADS, 1, 1, 0, e->stream, args,
		      NULL);
	}
}

static void bandwidth_collect(struct enemy *e)
{
	enemy_download(e, b.data[b.passes % 2], e->result, e->words);
}

static void bandwidth_expect(const struct enemy *e, uint64_t units, uint32_t *want)
{
	uint64_t seed = e->seed;
	struct wl_affine f = wl_affine_power(WL_AFFINE_STEP, units * e->batch);
	for (uint32_t i = 0; i < e->elements; i++)
		want[i] = wl_affine_apply(f, (uint32_t)wl_random(&seed));
}

static void bandwidth_close(struct enemy *e)
{
	WL_CU(cuMemFree, b.data[1]);
	WL_CU(cuMemFree, b.data[0]);
	WL_CU(cuStreamDestroy, e->stream);
}

const struct enemy_kind enemy_bandwidth = {
    .name = "bandwidth",
    .summary = "passes over arrays larger than the L2 cache",
    .iterations = 1,
    .batch = 8,
    .depth = 16,
    .stamps = true,
    .open = bandwidth_open,
    .submit = bandwidth_submit,
    .collect = bandwidth_collect,
    .expect = bandwidth_expect,
    .close = bandwidth_close,
};
