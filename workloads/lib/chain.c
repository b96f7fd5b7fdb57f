// SPDX-License-Identifier: Apache-2.0
/* chain.c: see chain.h. */
#include "chain.h"

#include "affine.h"
#include "arrivals.h"

#define BLOCK 256u
#define CALIBRATE_MIN_MS 0.2f /* long enough that launch overhead does not matter */

void wl_chain_open(struct wl_chain *c, const struct wl_gpu *gpu, const char *kernel)
{
	size_t bytes = (size_t)c->elements * sizeof(uint32_t);
	c->kernel = wl_gpu_function(gpu, kernel);
	WL_CU(cuStreamCreate, &c->stream, CU_STREAM_NON_BLOCKING);
	WL_CU(cuMemAlloc, &c->data, bytes);
	WL_CU(cuMemHostAlloc, (void **)&c->host, bytes, 0);
}

void wl_chain_close(struct wl_chain *c)
{
	WL_CU(cuMemFreeHost, c->host);
	WL_CU(cuMemFree, c->data);
	WL_CU(cuStreamDestroy, c->stream);
}

void wl_chain_launch(const struct wl_chain *c)
{
	struct wl_affine f = WL_AFFINE_STEP;
	CUdeviceptr data = c->data;
	uint32_t n = c->elements, work = c->work;
	void *args[] = {&data, &n, &f.mul, &f.add, &work};
	unsigned grid = (n + BLOCK - 1) / BLOCK;
	for (uint32_t i = 0; i < c->kernels; i++)
		WL_CU(cuLaunchKernel, c->kernel, grid, 1, 1, BLOCK, 1, 1, 0, c->stream, args, NULL);
}

/* milliseconds of one kernel with the present work, the shortest of three */
static float measure(const struct wl_chain *c, CUevent from, CUevent to)
{
	struct wl_chain one = *c;
	float best = 0;
	one.kernels = 1;
	for (int i = 0; i < 3; i++) {
		float ms;
		WL_CU(cuEventRecord, from, c->stream);
		wl_chain_launch(&one);
		WL_CU(cuEventRecord, to, c->stream);
		WL_CU(cuEventSynchronize, to);
		WL_CU(cuEventElapsedTime, &ms, from, to);
		if (i == 0 || ms < best)
			best = ms;
	}
	return best;
}

static uint32_t clamp_work(double work)
{
	if (work < 1)
		return 1;
	return work > (double)WL_WORK_MAX ? (uint32_t)WL_WORK_MAX : (uint32_t)work;
}

void wl_chain_calibrate(struct wl_chain *c, double kernel_us)
{
	CUevent from, to;
	WL_CU(cuEventCreate, &from, CU_EVENT_DEFAULT);
	WL_CU(cuEventCreate, &to, CU_EVENT_DEFAULT);
	WL_CU(cuMemsetD32Async, c->data, 1, c->elements, c->stream);
	c->work = 64;
	float ms = measure(c, from, to);
	while (ms < CALIBRATE_MIN_MS && c->work < WL_WORK_MAX / 4) {
		c->work *= 4;
		ms = measure(c, from, to);
	}
	for (int i = 0; i < 2 && ms > 0; i++) {
		c->work = clamp_work((double)c->work * kernel_us / (1000.0 * (double)ms));
		ms = measure(c, from, to);
	}
	WL_CU(cuEventDestroy, from);
	WL_CU(cuEventDestroy, to);
}

void wl_chain_fill(uint32_t *x, size_t n, uint64_t seed)
{
	for (size_t i = 0; i < n; i++)
		x[i] = (uint32_t)wl_random(&seed);
}

bool wl_chain_check(const uint32_t *x, size_t n, uint64_t seed, uint64_t iterations, size_t *bad,
                    uint32_t *want)
{
	struct wl_affine f = wl_affine_power(WL_AFFINE_STEP, iterations);
	for (size_t i = 0; i < n; i++) {
		uint32_t y = wl_affine_apply(f, (uint32_t)wl_random(&seed));
		if (x[i] != y) {
			*bad = i;
			*want = y;
			return false;
		}
	}
	return true;
}
