// SPDX-License-Identifier: Apache-2.0
/*
 * launch_cost.c: what submissions cost the calling thread on this driver.
 *
 * Asks: how long do a kernel launch (in a burst, with a synchronise, after idleness), the launch
 * of a graph of one and of 64 nodes, a small copy, an event record and a synchronise of an idle
 * stream take? The overhead stage runs it in turn without the shim and under it, which gives what
 * the shim adds; workloads/bench.c asks the same of a driver that does nothing.
 * Read: wall time on the calling thread, per call; kernels are empty, and a burst is short enough
 * that the GPU's queue never fills, so that no call waits for the GPU but those that are to. Each
 * figure is the median over the bursts. Facts are PREFIX_<name>_ns.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cuda.h>

#include "../lib/clock.h"
#include "../lib/fact.h"
#include "../lib/gpu.h"
#include "../lib/options.h"
#include "../lib/stats.h"

WL_EMBED(gpu_kernels, GPU_FATBIN);

#define PAUSE_NS 400000 /* longer than any linger: the GPU is idle, and a daemon knows */
#define COPY_BYTES 64
#define GRAPH_NODES 64
#define WARM_UPS 3 /* bursts that do not count */

struct rig {
	struct wl_gpu gpu;
	CUfunction empty;
	CUstream stream;
	CUevent event;
	CUdeviceptr device;
	void *host;
	CUgraphExec one, many; /* NULL: this driver does not make them */
};

static void launch(struct rig *r)
{
	WL_CU(cuLaunchKernel, r->empty, 1, 1, 1, 1, 1, 1, 0, r->stream, NULL, NULL);
}

static void synchronize(struct rig *r)
{
	WL_CU(cuStreamSynchronize, r->stream);
}

static void launch_and_synchronize(struct rig *r)
{
	launch(r);
	synchronize(r);
}

static void launch_one(struct rig *r)
{
	WL_CU(cuGraphLaunch, r->one, r->stream);
}

static void launch_many(struct rig *r)
{
	WL_CU(cuGraphLaunch, r->many, r->stream);
}

static void copy(struct rig *r)
{
	WL_CU(cuMemcpyHtoDAsync, r->device, r->host, COPY_BYTES, r->stream);
}

static void record(struct rig *r)
{
	WL_CU(cuEventRecord, r->event, r->stream);
}

static const struct ask {
	const char *name;
	void (*call)(struct rig *);
	unsigned calls;  /* of a burst */
	unsigned share;  /* of the asked number of bursts: one in so many */
	bool after_idle; /* a pause before each burst */
	const char *note;
} asks[] = {
    {"launch", launch, 256, 1, false, "cuLaunchKernel of an empty kernel, in a burst"},
    {"launch_sync", launch_and_synchronize, 16, 1, false,
     "cuLaunchKernel and cuStreamSynchronize, back to back"},
    {"launch_idle", launch, 1, 2, true, "one cuLaunchKernel after 0.4 ms of idleness"},
    {"graph1", launch_one, 64, 2, false, "cuGraphLaunch of one empty kernel, in a burst"},
    {"graph64", launch_many, 8, 4, false, "cuGraphLaunch of 64 empty kernels in a chain"},
    {"copy_64b", copy, 64, 2, false, "cuMemcpyHtoDAsync of 64 bytes from pinned memory"},
    {"event_record", record, 64, 2, false, "cuEventRecord, in a burst"},
    {"sync_idle", synchronize, 64, 2, false, "cuStreamSynchronize of an idle stream"},
};

/* A chain of empty kernels, ready to launch. */
static CUresult make_graph(struct rig *r, unsigned nodes, CUgraphExec *exec)
{
	CUDA_KERNEL_NODE_PARAMS params = {.func = r->empty,
	                                  .gridDimX = 1,
	                                  .gridDimY = 1,
	                                  .gridDimZ = 1,
	                                  .blockDimX = 1,
	                                  .blockDimY = 1,
	                                  .blockDimZ = 1};
	CUgraphNode last = NULL, node = NULL;
	CUgraph graph;
	CUresult e = cuGraphCreate(&graph, 0);
	if (e != CUDA_SUCCESS)
		return e;
	for (unsigned i = 0; i < nodes && e == CUDA_SUCCESS; i++) {
		e = cuGraphAddKernelNode(&node, graph, last ? &last : NULL, last ? 1 : 0, &params);
		last = node;
	}
	if (e == CUDA_SUCCESS)
		e = cuGraphInstantiate(exec, graph, 0);
	cuGraphDestroy(graph);
	return e;
}

static void open_rig(struct rig *r)
{
	wl_gpu_open(&r->gpu, gpu_kernels);
	r->empty = wl_gpu_function(&r->gpu, "overhead_empty");
	WL_CU(cuStreamCreate, &r->stream, CU_STREAM_NON_BLOCKING);
	WL_CU(cuEventCreate, &r->event, CU_EVENT_DISABLE_TIMING);
	WL_CU(cuMemAlloc, &r->device, COPY_BYTES);
	WL_CU(cuMemHostAlloc, &r->host, COPY_BYTES, 0);
	memset(r->host, 0, COPY_BYTES);
	if (make_graph(r, 1, &r->one) != CUDA_SUCCESS)
		r->one = NULL;
	if (make_graph(r, GRAPH_NODES, &r->many) != CUDA_SUCCESS)
		r->many = NULL;
}

static void close_rig(struct rig *r)
{
	if (r->one)
		WL_CU(cuGraphExecDestroy, r->one);
	if (r->many)
		WL_CU(cuGraphExecDestroy, r->many);
	WL_CU(cuMemFreeHost, r->host);
	WL_CU(cuMemFree, r->device);
	WL_CU(cuEventDestroy, r->event);
	WL_CU(cuStreamDestroy, r->stream);
	wl_gpu_close(&r->gpu);
}

static void pause_ns(uint64_t ns)
{
	uint64_t end = wl_now_ns() + ns; /* spun: a sleep would let the core's clock drop */
	while (wl_now_ns() < end)
		;
}

static void measure(struct rig *r, const struct ask *a, unsigned bursts, const char *prefix)
{
	struct wl_samples s = {0};
	char id[128];
	snprintf(id, sizeof(id), "%s_%s_ns", prefix, a->name);
	if ((a->call == launch_one && !r->one) || (a->call == launch_many && !r->many)) {
		wl_fact_skip(id, "this driver did not make the graph");
		return;
	}
	bursts = bursts / a->share ? bursts / a->share : 1;
	for (unsigned b = 0; b < WARM_UPS + bursts; b++) {
		synchronize(r);
		if (a->after_idle)
			pause_ns(PAUSE_NS);
		uint64_t t0 = wl_now_ns();
		for (unsigned i = 0; i < a->calls; i++)
			a->call(r);
		uint64_t took = wl_now_ns() - t0;
		if (b >= WARM_UPS)
			wl_samples_add(&s, took);
	}
	synchronize(r);
	wl_fact_samples(id, "ns", &s, a->calls, "%s", a->note);
	wl_samples_fini(&s);
}

static const char usage[] =
    "usage: launch_cost [options]\n"
    "  --prefix ID      how the facts' ids begin (default overhead.bare)\n"
    "  --bursts N       of the burst measurement; the others take a share (default 400)\n"
    "  --limit SECONDS  ends the program (default 30)\n"
    "Exit status: 0 done, 1 a CUDA call failed, 2 usage.\n";

int main(int argc, char **argv)
{
	static const struct option options[] = {{"prefix", 1, 0, 'p'},
	                                        {"bursts", 1, 0, 'b'},
	                                        {"limit", 1, 0, 'l'},
	                                        {"help", 0, 0, 'h'},
	                                        {0}};
	const char *prefix = "overhead.bare";
	unsigned bursts = 400, limit_s = 30;
	struct rig r = {0};
	int c;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'p':
			prefix = optarg;
			break;
		case 'b':
			bursts = (unsigned)wl_option_integer("--bursts", optarg, 1, 1000000);
			break;
		case 'l':
			limit_s = (unsigned)wl_option_integer("--limit", optarg, 1, 3600);
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			fputs(usage, stderr);
			return WL_EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "launch_cost: unexpected argument '%s'\n%s", argv[optind], usage);
		return WL_EXIT_USAGE;
	}
	wl_fact_bound(limit_s);
	open_rig(&r);
	for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++)
		measure(&r, &asks[i], bursts, prefix);
	close_rig(&r);
	return 0;
}
