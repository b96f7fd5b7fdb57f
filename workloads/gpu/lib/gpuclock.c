// SPDX-License-Identifier: Apache-2.0
/* gpuclock.c: see gpuclock.h. */
#include "gpuclock.h"

#include <errno.h>
#include <stdlib.h>

#include "../../lib/clock.h"
#include "../../lib/gpu.h"

#define ATTEMPTS 5
#define GOOD_NS 10000ull
#define QUESTIONS 200
#define ENOUGH 10             /* questions, */
#define ENOUGH_NS 2000000ull  /* if they took so long */
#define BOUND_NS 20000000ull  /* the kernel gives up after so long without a question */
#define LIMIT_NS 100000000ull /* and the host */
#define LOOKS 2000000u
#define END UINT64_MAX

void wl_gpuclock_init(struct wl_gpuclock *c, CUfunction gate_clock)
{
	void *page;
	*c = (struct wl_gpuclock){.ask = gate_clock};
	WL_CU(cuMemHostAlloc, &page, 4096, CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_PORTABLE);
	c->page = page;
	WL_CU(cuMemHostGetDevicePointer, &c->page_at, page, 0);
	WL_CU(cuStreamCreate, &c->stream, CU_STREAM_NON_BLOCKING);
}

static void store(volatile uint64_t *p, uint64_t v)
{
	__atomic_store_n((uint64_t *)p, v, __ATOMIC_RELEASE);
}

static uint64_t load(const volatile uint64_t *p)
{
	return __atomic_load_n((const uint64_t *)p, __ATOMIC_ACQUIRE);
}

/* Question `i`: until when it was answered; 0: not at all. */
static uint64_t ask(struct wl_gpuclock *c, uint64_t i, uint64_t until_ns)
{
	uint64_t now;
	store(&c->page[0], i);
	do
		now = wl_now_ns();
	while (load(&c->page[2]) != i && now < until_ns);
	return load(&c->page[2]) == i ? wl_now_ns() : 0;
}

/* One kernel, many questions; better points replace *best. */
static void ask_many(struct wl_gpuclock *c, struct wl_gpuclock_point *best)
{
	uint64_t bound = BOUND_NS;
	unsigned looks = LOOKS;
	void *params[] = {&c->page_at, &bound, &looks};
	uint64_t start_ns = wl_now_ns(), until = start_ns + LIMIT_NS;
	store(&c->page[0], 0);
	store(&c->page[2], 0);
	WL_CU(cuLaunchKernel, c->ask, 1, 1, 1, 1, 1, 1, 0, c->stream, params, NULL);
	for (uint64_t i = 1; i <= QUESTIONS; i++) {
		uint64_t asked = wl_now_ns(), seen = ask(c, i, until);
		if (!seen)
			break;
		if (i == 1) { /* it waited for the launch */
			start_ns = seen;
			continue;
		}
		if (seen - asked < best->rtt_ns)
			*best = (struct wl_gpuclock_point){.gpu_ns = load(&c->page[1]),
			                                   .host_ns = asked + (seen - asked) / 2,
			                                   .rtt_ns = seen - asked};
		if (i >= ENOUGH && seen - start_ns > ENOUGH_NS)
			break;
	}
	store(&c->page[0], END);
	WL_CU(cuStreamSynchronize, c->stream);
}

int wl_gpuclock_sync(struct wl_gpuclock *c)
{
	struct wl_gpuclock_point best = {.rtt_ns = UINT64_MAX};
	for (int i = 0; i < ATTEMPTS && best.rtt_ns > GOOD_NS; i++)
		ask_many(c, &best);
	if (best.rtt_ns == UINT64_MAX)
		return -ETIMEDOUT;
	if (!c->n++)
		c->first = best;
	c->last = best;
	return 0;
}

static double rate(const struct wl_gpuclock *c)
{
	double gpu = (double)(int64_t)(c->last.gpu_ns - c->first.gpu_ns);
	double host = (double)(int64_t)(c->last.host_ns - c->first.host_ns);
	/* too close together, the errors of the two points would outweigh the drift */
	return c->n < 2 || host < 1e8 || gpu <= 0 ? 1 : host / gpu;
}

uint64_t wl_gpuclock_host_ns(const struct wl_gpuclock *c, uint64_t gpu_ns)
{
	double since = (double)(int64_t)(gpu_ns - c->first.gpu_ns);
	return c->first.host_ns + (uint64_t)(int64_t)(since * rate(c));
}

double wl_gpuclock_drift_ppm(const struct wl_gpuclock *c)
{
	return (1 / rate(c) - 1) * 1e6;
}

uint64_t wl_gpuclock_error_ns(const struct wl_gpuclock *c)
{
	uint64_t worst = c->first.rtt_ns > c->last.rtt_ns ? c->first.rtt_ns : c->last.rtt_ns;
	return worst / 2;
}
