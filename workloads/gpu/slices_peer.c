// SPDX-License-Identifier: Apache-2.0
/*
 * slices_peer.c: one of several processes that share the GPU, each on its part of the SMs.
 *
 * WHAT IT ASKS. How much of the load of lib/slices.h gets done, and on which SMs, when the process
 * is given the whole device, half of it by a green context, or so many SMs by execution affinity;
 * alone and while others run. The stage `slices` starts several and tells them when.
 *
 * HOW THE ANSWER IS READ. On start it prints one line, {"peer": "ready", …}, with what the process
 * sees of the device. For each line "go SECONDS" on its input it runs the load that long and prints
 * {"peer": "ran", "blocks_per_s": …, "seen": N, "sms": "0-7 …"}. It ends on "quit", or with its
 * input.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/clock.h"
#include "../lib/fact.h"
#include "../lib/options.h"
#include "lib/slices.h"

WL_EMBED(gpu_kernels, GPU_FATBIN);

#define BOUND_S 60
#define LOAD_MS 5.0
#define SECONDS_MAX 5

static const char usage[] = "usage: slices_peer [--whole | --half 0|1 | --affinity SMS]\n";

struct peer {
	struct wl_slices s;
	struct wl_part part;
	CUstream stream;
	unsigned resource; /* SMs, as cuCtxGetDevResource has it; 0: it does not say */
	unsigned granted;  /* SMs, as execution affinity has it; 0: none was asked for */
};

/* Ends the process with one line that is an answer: this way of sharing is not to be had. */
static void refuse(const char *what, CUresult r)
{
	printf("{\"peer\":\"refused\",\"why\":\"%s: %s\"}\n", what, wl_slices_error(r));
	fflush(stdout);
	exit(0);
}

static void open_affinity(struct peer *p, unsigned sms)
{
	struct wl_gpu *g = &p->s.gpu;
	CUexecAffinityParam want = {.type = CU_EXEC_AFFINITY_TYPE_SM_COUNT}, got = want;
	int supported = 0;
	want.param.smCount.val = sms;
	WL_CU(cuInit, 0);
	WL_CU(cuDeviceGet, &g->device, 0);
	WL_CU(cuDeviceGetName, g->name, (int)sizeof(g->name), g->device);
	CUresult r =
	    cuDeviceGetExecAffinitySupport(&supported, CU_EXEC_AFFINITY_TYPE_SM_COUNT, g->device);
	if (r != CUDA_SUCCESS || !supported)
		refuse("cuDeviceGetExecAffinitySupport says no",
		       r == CUDA_SUCCESS ? CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY : r);
#if CUDA_VERSION >= 13000
	CUctxCreateParams params = {.execAffinityParams = &want, .numExecAffinityParams = 1};
	r = cuCtxCreate(&g->context, &params, 0, g->device);
#else
	r = cuCtxCreate_v3(&g->context, &want, 1, 0, g->device);
#endif
	if (r != CUDA_SUCCESS)
		refuse("cuCtxCreate with execution affinity", r);
	if (cuCtxGetExecAffinity(&got, CU_EXEC_AFFINITY_TYPE_SM_COUNT) == CUDA_SUCCESS)
		p->granted = got.param.smCount.val;
	wl_slices_use(&p->s, gpu_kernels, LOAD_MS);
}

static void open_half(struct peer *p, unsigned which)
{
	unsigned step = p->s.all.sm.smCoscheduledAlignment;
	unsigned half = p->s.all.sm.smCount / 2;
	if (step)
		half = half / step * step;
	CUresult r = wl_part_make(&p->s, half, which, 0, &p->part);
	if (r != CUDA_SUCCESS)
		refuse("a green context of half of the SMs", r);
	p->stream = p->part.stream;
}

static void ready(struct peer *p)
{
	CUdevResource r;
	if (cuCtxGetDevResource(p->s.gpu.context, &r, CU_DEV_RESOURCE_TYPE_SM) == CUDA_SUCCESS)
		p->resource = r.sm.smCount;
	printf("{\"peer\":\"ready\",\"attribute\":%u,\"resource\":%u,\"part\":%u,\"granted\":%u}\n",
	       p->s.sms, p->resource, p->part.sms, p->granted);
	fflush(stdout);
}

/* Two loads are queued at any time, so that the GPU never waits for this thread. */
static void run(struct peer *p, double seconds)
{
	struct wl_seen seen;
	char text[1024];
	CUevent over[2];
	unsigned n = 0;
	for (int i = 0; i < 2; i++)
		over[i] = wl_slices_event(p->stream,
		                          CU_EVENT_DISABLE_TIMING | CU_EVENT_BLOCKING_SYNC, NULL);
	uint64_t begin = wl_now_ns(), until = begin + (uint64_t)(seconds * 1e9), end = begin;
	for (unsigned i = 0; i < 2; i++) {
		wl_slices_launch(&p->s, p->stream, p->s.blocks, p->s.iterations);
		WL_CU(cuEventRecord, over[i], p->stream);
	}
	while (end < until) {
		WL_CU(cuEventSynchronize, over[n % 2]);
		end = wl_now_ns();
		wl_slices_launch(&p->s, p->stream, p->s.blocks, p->s.iterations);
		WL_CU(cuEventRecord, over[n % 2], p->stream);
		n++;
	}
	WL_CU(cuStreamSynchronize, p->stream);
	wl_slices_seen(&p->s, p->s.blocks, &seen);
	wl_seen_text(&seen, text, sizeof(text));
	double rate = (double)n * p->s.blocks / ((double)(end - begin) / 1e9);
	printf("{\"peer\":\"ran\",\"blocks_per_s\":%.0f,\"seen\":%u,\"sms\":\"%s\"}\n", rate,
	       seen.n, text);
	fflush(stdout);
	for (int i = 0; i < 2; i++)
		WL_CU(cuEventDestroy, over[i]);
}

static void usage_error(void)
{
	fputs(usage, stderr);
	exit(2);
}

int main(int argc, char **argv)
{
	struct peer p = {0};
	char line[64];
	double seconds;
	wl_fact_bound(BOUND_S);
	if (argc == 3 && strcmp(argv[1], "--affinity") == 0) {
		open_affinity(&p, (unsigned)wl_option_integer(argv[1], argv[2], 1, 1024));
		p.stream = p.s.stream;
	} else if (argc == 3 && strcmp(argv[1], "--half") == 0) {
		unsigned which = (unsigned)wl_option_integer(argv[1], argv[2], 0, 1);
		wl_slices_open(&p.s, gpu_kernels, LOAD_MS);
		open_half(&p, which);
	} else if (argc == 1 || (argc == 2 && strcmp(argv[1], "--whole") == 0)) {
		wl_slices_open(&p.s, gpu_kernels, LOAD_MS);
		p.stream = p.s.stream;
	} else {
		usage_error();
	}
	ready(&p);
	while (fgets(line, sizeof(line), stdin) && strncmp(line, "quit", 4) != 0)
		if (sscanf(line, "go %lf", &seconds) == 1 && seconds > 0 && seconds <= SECONDS_MAX)
			run(&p, seconds);
	return 0;
}
