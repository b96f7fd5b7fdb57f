// SPDX-License-Identifier: Apache-2.0
/*
 * kernels.c: two enemies that are nothing but kernels, one after the other, over all the GPU:
 * `long` ones, each of which no launch gate can interrupt, and `short` ones, thousands of which
 * fill any queue and make every cost per launch tell. A unit is `batch` kernels.
 */
#include "../lib/affine.h"
#include "../lib/arrivals.h"
#include "../lib/chain.h"
#include "enemy.h"

static struct wl_chain chain;

static void kernels_open(struct enemy *e)
{
	enemy_fill_gpu(e);
	enemy_find_iterations(e, e->kernel_us);
	chain =
	    (struct wl_chain){.elements = e->elements, .kernels = e->batch, .work = e->iterations};
	wl_chain_open(&chain, &e->gpu, "enemy_step");
	wl_chain_fill(chain.host, chain.elements, e->seed);
	WL_CU(cuMemcpyHtoD, chain.data, chain.host, (size_t)chain.elements * sizeof(uint32_t));
	e->stream = chain.stream;
	e->words = e->elements;
}

static void kernels_submit(struct enemy *e, uint64_t unit)
{
	wl_chain_launch(&chain);
}

static void kernels_collect(struct enemy *e)
{
	enemy_download(e, chain.data, e->result, e->words);
}

static void kernels_expect(const struct enemy *e, uint64_t units, uint32_t *want)
{
	uint64_t seed = e->seed;
	struct wl_affine f =
	    wl_affine_power(WL_AFFINE_STEP, units * e->batch * (uint64_t)e->iterations);
	for (uint32_t i = 0; i < e->elements; i++)
		want[i] = wl_affine_apply(f, (uint32_t)wl_random(&seed));
}

static void kernels_close(struct enemy *e)
{
	wl_chain_close(&chain);
}

const struct enemy_kind enemy_long = {
    .name = "long",
    .summary = "kernels of 50 ms over all the GPU",
    .kernel_us = 50000,
    .batch = 1,
    .depth = 128,
    .stamps = true,
    .open = kernels_open,
    .submit = kernels_submit,
    .collect = kernels_collect,
    .expect = kernels_expect,
    .close = kernels_close,
};

const struct enemy_kind enemy_short = {
    .name = "short",
    .summary = "thousands of kernels of 3 us",
    .kernel_us = 3,
    .batch = 1000,
    .depth = 4,
    .stamps = true,
    .open = kernels_open,
    .submit = kernels_submit,
    .collect = kernels_collect,
    .expect = kernels_expect,
    .close = kernels_close,
};
