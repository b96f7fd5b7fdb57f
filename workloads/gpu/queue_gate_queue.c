// SPDX-License-Identifier: Apache-2.0
/*
 * queue_gate_queue.c: who else is held by a closed gate, and when does the host block? Argument:
 * "streams N" or "depth".
 *
 * streams N: of N streams the first waits at a closed gate with a kernel behind it. Which of the
 * others complete a kernel now? Those that do not share its hardware queue (channel). The stage
 * asks with CUDA_DEVICE_MAX_CONNECTIONS 8, 32 and unset. Also of streams of another priority and
 * of the NULL stream, with the gate on a stream that does not synchronise with it.
 * Read: streams_NcC_blocked, out of N - 1; queues ≈ N / (blocked + 1).
 *
 * depth: how many kernels, and how many points, fit behind a closed gate before the call blocks?
 * Read: depth_kernels and depth_points, with blocked = true; the note says if the limit of the
 * probe came first. Also: does a launch on another stream return while one call is blocked?
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/clock.h"
#include "../lib/fact.h"
#include "lib/gate.h"

WL_EMBED(gpu_kernels, GPU_FATBIN);

#define LIMIT_S 15
#define STREAMS_MAX 128
#define PROGRESS_NS 200000000ull
#define COMMANDS_MAX 100000u
#define STALL_NS 300000000ull /* a call that takes longer is blocked */
#define FILL_NS 3000000000ull

static struct wl_gate gate;

static CUresult close_and_queue(CUstream s)
{
	wl_gate_set(gate.open, 0);
	CUresult r = wl_gate_point(&gate, s, WL_POINT_BATCH, 1);
	return r == CUDA_SUCCESS ? wl_gate_spin(&gate, s, 1, WL_GATE_NO_STAMP) : r;
}

/* How many of the streams have not completed after a while. */
static int still_blocked(CUstream *s, unsigned n)
{
	uint64_t end = wl_now_ns() + PROGRESS_NS;
	int blocked;
	do {
		blocked = 0;
		for (unsigned i = 0; i < n; i++)
			blocked += cuStreamQuery(s[i]) == CUDA_ERROR_NOT_READY;
		if (blocked)
			wl_gate_idle(1000000);
	} while (blocked && wl_now_ns() < end);
	return blocked;
}

static void put_in_all(CUstream *s, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		WL_CU(wl_gate_spin, &gate, s[i], 1, WL_GATE_NO_STAMP);
}

static void ask_streams(unsigned n)
{
	char id[80];
	CUstream s[STREAMS_MAX], high[4], null_stream = NULL;
	int least, greatest;
	const char *connections = getenv("CUDA_DEVICE_MAX_CONNECTIONS");
	if (!connections)
		connections = "default";
	WL_CU(cuCtxGetStreamPriorityRange, &least, &greatest);
	for (unsigned i = 0; i < n; i++)
		s[i] = wl_gate_stream();
	for (unsigned i = 0; i < 4; i++)
		WL_CU(cuStreamCreateWithPriority, &high[i], CU_STREAM_NON_BLOCKING, greatest);
	put_in_all(s, n); /* nothing is allocated for the first time behind the gate */
	put_in_all(high, 4);
	put_in_all(&null_stream, 1);
	WL_CU(cuCtxSynchronize);

	CUresult r = close_and_queue(s[0]);
	put_in_all(s + 1, n - 1);
	int blocked = still_blocked(s + 1, n - 1);
	put_in_all(high, 4);
	int high_blocked = still_blocked(high, 4);
	put_in_all(&null_stream, 1);
	int null_blocked = still_blocked(&null_stream, 1);
	wl_gate_set(gate.open, 1);
	CUresult end = cuCtxSynchronize();
	if (r != CUDA_SUCCESS || end != CUDA_SUCCESS) {
		snprintf(id, sizeof(id), "queue-gate.streams_%u_connections_%s_blocked", n,
		         connections);
		wl_fact_skip(id, "%s", wl_gate_error(r != CUDA_SUCCESS ? r : end));
		return;
	}
	snprintf(id, sizeof(id), "queue-gate.streams_%u_connections_%s_blocked", n, connections);
	wl_fact(id, blocked, "streams",
	        "of %u others by a closed gate on one; about %.0f hardware queues", n - 1,
	        (double)n / (blocked + 1));
	snprintf(id, sizeof(id), "queue-gate.high_priority_connections_%s_blocked", connections);
	wl_fact(id, high_blocked, "streams", "of 4 of the highest priority");
	snprintf(id, sizeof(id), "queue-gate.null_stream_connections_%s_blocked", connections);
	wl_fact_flag(id, null_blocked, "by a closed gate on a non-blocking stream; %u streams", n);
}

/* ---- depth */

struct filler {
	CUstream stream;
	enum wl_gate_point point; /* NONE: kernels */
	uint32_t n;               /* calls that have returned */
	uint32_t done;
	CUresult result;
};

static void *fill(void *arg)
{
	struct filler *f = arg;
	uint64_t end = wl_now_ns() + FILL_NS;
	WL_CU(cuCtxSetCurrent, gate.gpu.context);
	while (f->result == CUDA_SUCCESS && f->n < COMMANDS_MAX && wl_now_ns() < end &&
	       !wl_gate_get(gate.open)) {
		f->result = f->point == WL_POINT_NONE
		                ? wl_gate_spin(&gate, f->stream, 1, WL_GATE_NO_STAMP)
		                : wl_gate_point(&gate, f->stream, f->point, f->n);
		wl_gate_set(&f->n, f->n + 1);
	}
	wl_gate_set(&f->done, 1);
	return NULL;
}

/* Waits until it makes no progress any more. True: it is blocked. */
static bool until_blocked(struct filler *f)
{
	uint32_t seen = wl_gate_get(&f->n);
	uint64_t since = wl_now_ns();
	while (!wl_gate_get(&f->done)) {
		wl_gate_idle(1000000);
		uint32_t n = wl_gate_get(&f->n);
		if (n != seen)
			since = wl_now_ns();
		else if (wl_now_ns() - since > STALL_NS)
			return true;
		seen = n;
	}
	return false;
}

static void ask_other_stream(CUstream other)
{
	struct filler o = {.stream = other, .point = WL_POINT_NONE};
	pthread_t thread;
	if (pthread_create(&thread, NULL, fill, &o) != 0)
		return;
	uint64_t limit = wl_now_ns() + STALL_NS;
	while (!wl_gate_get(&o.n) && wl_now_ns() < limit)
		wl_gate_idle(1000000);
	wl_fact_flag("queue-gate.full_queue_blocks_other_streams", !wl_gate_get(&o.n),
	             "another thread's launch on another stream, while one call is blocked");
	wl_gate_set(gate.open, 1); /* which ends both fillers */
	pthread_join(thread, NULL);
}

static void ask_depth(const char *id, enum wl_gate_point point, bool ask_other)
{
	struct filler f = {.stream = wl_gate_used_stream(&gate), .point = point};
	CUstream other = wl_gate_used_stream(&gate);
	pthread_t thread;
	f.result = close_and_queue(f.stream);
	if (f.result == CUDA_SUCCESS && pthread_create(&thread, NULL, fill, &f) == 0) {
		bool blocked = until_blocked(&f);
		uint32_t n = wl_gate_get(&f.n);
		if (blocked && ask_other)
			ask_other_stream(other);
		else if (ask_other)
			wl_fact_skip("queue-gate.full_queue_blocks_other_streams",
			             "no call was blocked");
		wl_gate_set(gate.open, 1);
		pthread_join(thread, NULL);
		if (f.result == CUDA_SUCCESS)
			f.result = cuStreamSynchronize(f.stream);
		if (f.result == CUDA_SUCCESS)
			wl_fact(id, n, "commands", "%s",
			        blocked ? "then the call blocked until the gate opened"
			                : "without blocking: the probe's own limit came first");
	}
	if (f.result != CUDA_SUCCESS)
		wl_fact_skip(id, "%s", wl_gate_error(f.result));
	wl_gate_set(gate.open, 1);
	cuStreamSynchronize(other);
}

int main(int argc, char **argv)
{
	int n = argc == 3 && strcmp(argv[1], "streams") == 0 ? atoi(argv[2]) : 0;
	bool depth = argc == 2 && strcmp(argv[1], "depth") == 0;
	if (!depth && (n < 2 || n > STREAMS_MAX)) {
		fprintf(stderr, "usage: queue_gate_queue streams N (2 to %d) | depth\n",
		        STREAMS_MAX);
		return 2;
	}
	wl_fact_bound(LIMIT_S);
	if (!wl_gate_init(&gate, gpu_kernels)) {
		wl_fact_skip("queue-gate.depth_kernels", "no stream memory operations here");
		return WL_EXIT_SKIPPED;
	}
	if (depth) {
		ask_depth("queue-gate.depth_kernels", WL_POINT_NONE, true);
		ask_depth("queue-gate.depth_points", WL_POINT_BATCH, false);
	} else {
		ask_streams((unsigned)n);
	}
	return 0;
}
