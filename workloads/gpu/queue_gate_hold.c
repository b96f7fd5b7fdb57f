// SPDX-License-Identifier: Apache-2.0
/*
 * queue_gate_hold.c: how long may a gate stay closed? Arguments: the holds in seconds, 1 3 10.
 *
 * Asks: with 50 kernels queued behind a closed gate, is there an error (a channel's acquire
 * time-out) during a hold of so long, does the stream go on after re-opening, and did every kernel
 * run exactly once? Do other streams of the process make progress all the time?
 * Read: hold_Ns true: no error, all kernels ran, none while it was closed. The first failing hold
 * ends the program: its context is lost. hold_Ns_other_us is the time of a launch with sync on
 * another stream, during the hold.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../lib/clock.h"
#include "../lib/fact.h"
#include "lib/gate.h"

WL_EMBED(gpu_kernels, GPU_FATBIN);

#define QUEUED 50
#define MAX_S 15
#define OTHER_NS 5000000ull /* between launches on the other stream */

static struct wl_gate gate;

/* Keeps the other stream busy now and then; an error ends it. If that one is held too, which is
 * CUDA_ERROR_NOT_READY, what is left of the time is waited out all the same. */
static CUresult hold(CUstream other, unsigned seconds, struct wl_samples *t)
{
	CUresult r = CUDA_SUCCESS;
	uint64_t end = wl_now_ns() + (uint64_t)seconds * 1000000000ull;
	while (r == CUDA_SUCCESS && wl_now_ns() < end) {
		uint64_t start = wl_now_ns(), limit = start + 1000000000ull;
		r = wl_gate_spin(&gate, other, 1, WL_GATE_NO_STAMP);
		/* not by cuStreamSynchronize: it would hang if the other one is held too */
		while (r == CUDA_SUCCESS && (r = cuStreamQuery(other)) == CUDA_ERROR_NOT_READY &&
		       wl_now_ns() < limit)
			r = CUDA_SUCCESS;
		if (r == CUDA_SUCCESS) /* a second or more: it is held too */
			wl_samples_add(t, wl_now_ns() - start);
		wl_gate_idle(OTHER_NS);
	}
	while (r == CUDA_ERROR_NOT_READY && wl_now_ns() < end)
		wl_gate_idle(OTHER_NS);
	return r;
}

static bool one(unsigned seconds)
{
	char id[64], time[64];
	struct wl_samples t = {0};
	CUstream s = wl_gate_used_stream(&gate), other = wl_gate_used_stream(&gate);
	snprintf(id, sizeof(id), "queue-gate.hold_%us", seconds);
	snprintf(time, sizeof(time), "queue-gate.hold_%us_other_us", seconds);
	WL_CU(cuMemsetD32, gate.count_at, 0, 1);
	WL_CU(cuCtxSynchronize);
	wl_gate_set(gate.progress, 0);
	wl_gate_set(gate.open, 0);
	CUresult r = CUDA_SUCCESS;
	for (unsigned i = 1; i <= QUEUED && r == CUDA_SUCCESS; i++) {
		r = wl_gate_point(&gate, s, WL_POINT_BATCH, i);
		if (r == CUDA_SUCCESS)
			r = wl_gate_spin(&gate, s, 1, WL_GATE_NO_STAMP);
	}
	CUresult during = r == CUDA_SUCCESS ? hold(other, seconds, &t) : r;
	uint32_t progress = wl_gate_get(gate.progress);
	CUresult held = cuStreamQuery(s);
	uint64_t opened = wl_now_ns(), limit = opened + 2000000000ull;
	wl_gate_set(gate.open, 1);
	CUresult end;
	while ((end = cuStreamQuery(s)) == CUDA_ERROR_NOT_READY && wl_now_ns() < limit)
		;
	uint64_t drained = wl_now_ns() - opened;
	while (cuStreamQuery(other) == CUDA_ERROR_NOT_READY && wl_now_ns() < limit)
		; /* its launches are counted too */
	uint32_t ran = end == CUDA_SUCCESS ? wl_gate_count(&gate) - (uint32_t)t.n : 0;
	bool good = during == CUDA_SUCCESS && held == CUDA_ERROR_NOT_READY && progress == 1 &&
	            end == CUDA_SUCCESS && ran == QUEUED;
	wl_fact_flag(id, good,
	             "during: %s; points reached when closed: %u of %d; after opening: %s, %u of "
	             "%d kernels ran, %.0f us to drain",
	             wl_gate_error(during), progress, QUEUED, wl_gate_error(end), ran, QUEUED,
	             (double)drained / 1e3);
	if (t.n)
		wl_fact_samples(time, "us", &t, 1e3, "launch and completion on another stream");
	else
		wl_fact_skip(time, "the other stream made no progress");
	wl_samples_fini(&t);
	return good;
}

int main(int argc, char **argv)
{
	unsigned total = 10;
	for (int i = 1; i < argc; i++) {
		int s = atoi(argv[i]);
		if (s < 1 || s > MAX_S) {
			fprintf(stderr, "queue_gate_hold: %s: seconds from 1 to %d\n", argv[i],
			        MAX_S);
			return 2;
		}
		total += (unsigned)s + 3;
	}
	wl_fact_bound(total);
	if (!wl_gate_init(&gate, gpu_kernels)) {
		wl_fact_skip("queue-gate.hold_1s", "no stream memory operations here");
		return WL_EXIT_SKIPPED;
	}
	for (int i = 1; i < argc; i++)
		if (!one((unsigned)atoi(argv[i])))
			return 0; /* the fact says it; a lost context cannot be asked further */
	return 0;
}
