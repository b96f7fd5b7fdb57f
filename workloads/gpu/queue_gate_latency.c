// SPDX-License-Identifier: Apache-2.0
/*
 * queue_gate_latency.c: how fast does a store to the gate word stop and resume queued work?
 *
 * Asks: with a few hundred kernels of 20 us queued, a point after each, the host stores "closed"
 * at a random moment: how long until the last kernel ends, how many kernels begin or end after
 * the store? Then it stores "open": how long until the next kernel begins? The same with points
 * that only wait (the GPU's front end may have passed them while the kernel before still ran),
 * and how far such a front end runs ahead.
 * Read: kernels stamp %globaltimer into pinned memory; lib/gpuclock turns that into the host's
 * clock, with the error that the fact clock_error_ns says. Latencies are per close or open.
 * --quick: only points of both kinds of operations, and fewer closes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/clock.h"
#include "../lib/fact.h"
#include "lib/gate.h"
#include "lib/gpuclock.h"

WL_EMBED(gpu_kernels, GPU_FATBIN);

#define LIMIT_S 15
#define QUEUED 200
#define KERNEL_NS 20e3
#define CLOSES 60
#define QUICK_CLOSES 15
#define ROUND_LIMIT_NS 1000000000ull
#define MANY_LIMIT_NS 3000000000ull
#define POLL_NS 50000ull
#define SETTLE_NS 2000000ull /* no kernel ended for so long: it is held */

static struct wl_gate gate;
static struct wl_gpuclock gpu_clock;

struct findings {
	struct wl_samples close_ns, past, open_ns;
	unsigned rounds;
	unsigned missed; /* rounds that were over before the close took effect */
};

struct round { /* one close; converted when the clock has been synchronised again */
	uint64_t closed_ns, opened_ns;
	unsigned ended; /* kernels that had ended when it was held */
	uint64_t begin[QUEUED], end[QUEUED];
};

static unsigned ended_kernels(void)
{
	unsigned n = 0;
	while (n < QUEUED && __atomic_load_n((uint64_t *)&gate.stamps[2 * n + 1], __ATOMIC_ACQUIRE))
		n++;
	return n;
}

/* Waits until no kernel has ended for a while. */
static unsigned settle(void)
{
	unsigned n = ended_kernels();
	uint64_t since = wl_now_ns(), limit = since + ROUND_LIMIT_NS;
	for (uint64_t now = since; now - since < SETTLE_NS && now < limit; now = wl_now_ns()) {
		unsigned m = ended_kernels();
		if (m != n)
			since = now;
		n = m;
		wl_gate_idle(POLL_NS);
	}
	return n;
}

/* Closes after about `after` kernels, lets it settle, opens. */
static CUresult one_round(CUstream s, enum wl_gate_point kind, unsigned after, struct round *r)
{
	unsigned rounds = wl_gate_rounds(&gate, KERNEL_NS);
	memset((void *)gate.stamps, 0, 2 * QUEUED * sizeof(uint64_t));
	CUresult e = CUDA_SUCCESS;
	for (unsigned i = 0; i < QUEUED && e == CUDA_SUCCESS; i++) {
		e = wl_gate_spin(&gate, s, rounds, i);
		if (e == CUDA_SUCCESS)
			e = wl_gate_point(&gate, s, kind, i + 1);
	}
	uint64_t limit = wl_now_ns() + ROUND_LIMIT_NS;
	while (e == CUDA_SUCCESS && ended_kernels() < after && wl_now_ns() < limit)
		wl_gate_idle(POLL_NS);
	uint64_t phase = wl_now_ns() + (uint64_t)(rand() % (int)KERNEL_NS);
	while (wl_now_ns() < phase)
		;
	r->closed_ns = wl_now_ns();
	wl_gate_set(gate.open, 0);
	r->ended = settle();
	r->opened_ns = wl_now_ns();
	wl_gate_set(gate.open, 1);
	if (e == CUDA_SUCCESS)
		e = cuStreamSynchronize(s);
	for (unsigned i = 0; i < QUEUED; i++) {
		r->begin[i] = gate.stamps[2 * i];
		r->end[i] = gate.stamps[2 * i + 1];
	}
	return e;
}

static uint64_t since(uint64_t from, uint64_t to)
{
	return to > from ? to - from : 0; /* the clocks' error can make it negative */
}

static void evaluate(const struct round *r, struct findings *f)
{
	if (r->ended == 0 || r->ended >= QUEUED) {
		f->missed++;
		return;
	}
	unsigned past = 0;
	for (unsigned i = 0; i < r->ended; i++)
		past += wl_gpuclock_host_ns(&gpu_clock, r->begin[i]) > r->closed_ns;
	uint64_t last = wl_gpuclock_host_ns(&gpu_clock, r->end[r->ended - 1]);
	uint64_t next = wl_gpuclock_host_ns(&gpu_clock, r->begin[r->ended]);
	wl_samples_add(&f->close_ns, since(r->closed_ns, last));
	wl_samples_add(&f->past, past);
	wl_samples_add(&f->open_ns, since(r->opened_ns, next));
}

static CUresult many(CUstream s, enum wl_gate_point kind, unsigned closes, struct findings *f)
{
	static struct round round[CLOSES];
	CUresult e = CUDA_SUCCESS;
	unsigned n = 0;
	memset(f, 0, sizeof(*f));
	if (wl_gpuclock_sync(&gpu_clock) != 0)
		fprintf(stderr, "queue_gate_latency: the clock kernel did not answer\n");
	uint64_t limit = wl_now_ns() + MANY_LIMIT_NS;
	for (; n < closes && e == CUDA_SUCCESS && wl_now_ns() < limit; n++)
		e = one_round(s, kind, 10 + (unsigned)rand() % (QUEUED / 3), &round[n]);
	if (wl_gpuclock_sync(&gpu_clock) != 0)
		fprintf(stderr, "queue_gate_latency: the clock kernel did not answer\n");
	f->rounds = n;
	for (unsigned i = 0; i < n && e == CUDA_SUCCESS && gpu_clock.n; i++)
		evaluate(&round[i], f);
	return e;
}

static void report(const char *prefix, CUresult e, struct findings *f)
{
	char close[64], past[64], open[64];
	snprintf(close, sizeof(close), "queue-gate.%sclose_us", prefix);
	snprintf(past, sizeof(past), "queue-gate.%skernels_past_close", prefix);
	snprintf(open, sizeof(open), "queue-gate.%sopen_us", prefix);
	if (e != CUDA_SUCCESS || !f->close_ns.n) {
		const char *why = e != CUDA_SUCCESS
		                      ? wl_gate_error(e)
		                      : "no close took effect before the queue was empty";
		wl_fact_skip(close, "%s", why);
		wl_fact_skip(past, "%s", why);
		wl_fact_skip(open, "%s", why);
		return;
	}
	wl_fact_samples(close, "us", &f->close_ns, 1e3,
	                "store to the end of the last 20 us kernel; %u of %u closes came too late",
	                f->missed, f->rounds);
	wl_fact_samples(past, "kernels", &f->past, 1, "that began after the store");
	wl_fact_samples(open, "us", &f->open_ns, 1e3, "store to the begin of the next kernel");
}

/* A point that only waits, behind a kernel of 3 ms: the gate is closed when the kernel has run for
 * 1 ms. Does the next kernel run all the same? Then the front end had passed the point. */
static void runs_ahead(CUstream s, enum wl_gate_point kind, const char *id)
{
	memset((void *)gate.stamps, 0, 4 * sizeof(uint64_t));
	unsigned rounds = wl_gate_rounds(&gate, 3e6);
	CUevent ended;
	WL_CU(cuEventCreate, &ended, CU_EVENT_DISABLE_TIMING);
	CUresult e = wl_gate_spin(&gate, s, rounds, 0);
	if (e == CUDA_SUCCESS)
		e = cuEventRecord(ended, s);
	if (e == CUDA_SUCCESS)
		e = wl_gate_point(&gate, s, kind, 1);
	if (e == CUDA_SUCCESS)
		e = wl_gate_spin(&gate, s, 1, 1);
	wl_gate_idle(1000000);
	wl_gate_set(gate.open, 0);
	bool early = cuEventQuery(ended) == CUDA_SUCCESS;
	wl_gate_idle(20000000);
	bool passed = gate.stamps[3] != 0;
	cuEventDestroy(ended);
	wl_gate_set(gate.open, 1);
	if (e == CUDA_SUCCESS)
		e = cuStreamSynchronize(s);
	if (e != CUDA_SUCCESS || early)
		wl_fact_skip(id, "%s",
		             e != CUDA_SUCCESS ? wl_gate_error(e) : "the host was too slow");
	else
		wl_fact_flag(id, passed,
		             "closed 2 ms before the kernel in front of the point ended");
}

/* The stamps' greatest common step: %globaltimer may count by 32 ns, or by 1 us. */
static void clock_step(void)
{
	uint64_t step = 0;
	for (unsigned i = 1; i < 2 * QUEUED; i++) {
		uint64_t a = step, b = gate.stamps[i] - gate.stamps[0];
		while (b) {
			uint64_t rest = a % b;
			a = b;
			b = rest;
		}
		step = a;
	}
	wl_fact("queue-gate.globaltimer_step_ns", (double)step, "ns",
	        "common divisor of the differences of %d stamps", 2 * QUEUED);
}

int main(int argc, char **argv)
{
	bool quick = argc > 1 && strcmp(argv[1], "--quick") == 0;
	struct findings f;
	wl_fact_bound(LIMIT_S);
	if (!wl_gate_init(&gate, gpu_kernels)) {
		wl_fact_skip("queue-gate.close_us", "no stream memory operations here");
		return WL_EXIT_SKIPPED;
	}
	srand(1);
	wl_gpuclock_init(&gpu_clock, gate.clock);
	CUstream s = wl_gate_stream();
	if (!quick)
		runs_ahead(s, WL_POINT_WAIT, "queue-gate.wait_alone_runs_ahead");
	runs_ahead(s, WL_POINT_BATCH, "queue-gate.point_runs_ahead");
	CUresult e = many(s, WL_POINT_BATCH, quick ? QUICK_CLOSES : CLOSES, &f);
	report("", e, &f);
	if (e == CUDA_SUCCESS && !quick) {
		e = many(s, WL_POINT_WAIT, CLOSES, &f);
		report("wait_alone_", e, &f);
	}
	if (!gpu_clock.n)
		return 1;
	clock_step();
	wl_fact("queue-gate.clock_error_ns", (double)wl_gpuclock_error_ns(&gpu_clock), "ns",
	        "half the shortest round trip to a running kernel");
	wl_fact("queue-gate.clock_drift_ppm", wl_gpuclock_drift_ppm(&gpu_clock), "ppm",
	        "%%globaltimer against CLOCK_MONOTONIC");
	return e == CUDA_SUCCESS ? 0 : 1;
}
