// SPDX-License-Identifier: Apache-2.0
/* common.c: what several kinds need; see enemy.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "../lib/chain.h"
#include "../lib/options.h"
#include "enemy.h"

void enemy_fill_gpu(struct enemy *e)
{
	int sms = 1, threads = 1024;
	if (e->elements)
		return;
	WL_CU(cuDeviceGetAttribute, &sms, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, e->gpu.device);
	WL_CU(cuDeviceGetAttribute, &threads, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR,
	      e->gpu.device);
	e->elements = (uint32_t)sms * (uint32_t)threads;
}

void enemy_find_iterations(struct enemy *e, double us)
{
	struct wl_chain c = {.elements = e->elements, .kernels = 1};
	if (e->iterations)
		return;
	wl_chain_open(&c, &e->gpu, "enemy_step");
	wl_chain_calibrate(&c, us);
	e->iterations = c.work;
	wl_chain_close(&c);
}

static void *words_new(size_t words)
{
	void *p = malloc(words * sizeof(uint32_t));
	if (!p) {
		fprintf(stderr, "enemy: no memory for %zu words\n", words);
		exit(1);
	}
	return p;
}

CUdeviceptr enemy_data(const struct enemy *e, size_t words)
{
	CUdeviceptr at;
	uint32_t *host = words_new(words);
	wl_chain_fill(host, words, e->seed);
	WL_CU(cuMemAlloc, &at, words * sizeof(uint32_t));
	WL_CU(cuMemcpyHtoD, at, host, words * sizeof(uint32_t));
	free(host);
	return at;
}

void enemy_download(const struct enemy *e, CUdeviceptr from, uint32_t *to, size_t words)
{
	WL_CU(cuMemcpyDtoHAsync, to, from, words * sizeof(uint32_t), e->stream);
	WL_CU(cuStreamSynchronize, e->stream);
}

void enemy_need_multiple(const struct enemy *e, uint32_t of)
{
	if (e->elements % of == 0)
		return;
	fprintf(stderr, "enemy: --elements: %u is no multiple of %u, as this kind needs\n",
	        e->elements, of);
	exit(WL_EXIT_USAGE);
}
