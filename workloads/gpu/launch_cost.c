// SPDX-License-Identifier: Apache-2.0
/*
 * launch_cost.c: what submissions cost the calling thread on this driver.
 *
 * Asks: how long do a kernel launch (in a burst, paced, with a synchronise, after idleness), the
 * launch of a graph of one and of 64 nodes, a small copy, an event record and a synchronise of an
 * idle stream take? The overhead stage keeps one such process without the shim and one under it and
 * asks them in turn (--serve), which gives what the shim adds; workloads/bench.c asks the same of a
 * driver that does nothing.
 * Read: wall time on the calling thread, per call; kernels are empty, and a burst is short enough
 * that the GPU's queue never fills. A burst may still go at the GPU's pace, which hides what the
 * host does; "paced" leaves the GPU time to finish each. "Request" is a launch and a synchronise,
 * with 10 us of something else in between, as Python has; "work" is that something else, timed: it
 * shows whether another thread of the shim's or the daemon's slows this core down. Each figure is
 * the median over the bursts. Facts are PREFIX_<name>_ns.
 *
 * --serve: the line `measure NAME BURSTS [CPU]` on stdin, this thread pinned to that processor, is
 * answered {"measure": {"what": NAME, "ns": [per call, a burst each]}}; `quit`, or the end, ends.
 */
#include <errno.h>
#include <getopt.h>
#include <sched.h>
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
#define PACE_NS 10000   /* longer than an empty kernel takes, from the call to its end */
#define WORK_STEPS 2000 /* some microseconds of arithmetic */
#define STREAMS 150     /* as many as PyTorch makes, and hardly uses */
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
	CUstream unused[STREAMS];
	volatile uint64_t sum; /* so that the work is done */
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

static void launch_and_synchronize_all(struct rig *r)
{
	launch(r);
	WL_CU(cuCtxSynchronize);
}

static void work(struct rig *r)
{
	uint64_t x = r->sum;
	for (unsigned i = 0; i < WORK_STEPS; i++)
		x = (x ^ x >> 7) * 0x9e3779b97f4a7c15ull + i;
	r->sum = x;
}

static void spin(uint64_t ns) /* a sleep would let the core's clock drop */
{
	uint64_t end = wl_now_ns() + ns;
	while (wl_now_ns() < end)
		;
}

static void pace(struct rig *r)
{
	spin(PACE_NS);
}

static void idle(struct rig *r)
{
	synchronize(r);
	spin(PAUSE_NS);
}

static const struct ask {
	const char *name;
	void (*before)(struct rig *); /* each burst */
	void (*call)(struct rig *);
	unsigned calls; /* of a burst */
	unsigned share; /* of the asked number of bursts: one in so many */
	const char *note;
} asks[] = {
    {"launch", synchronize, launch, 256, 1, "cuLaunchKernel of an empty kernel, in a burst"},
    {"launch_paced", pace, launch, 1, 1, "one cuLaunchKernel each 10 us"},
    {"launch_sync", synchronize, launch_and_synchronize, 16, 1,
     "cuLaunchKernel and cuStreamSynchronize, back to back"},
    {"request", pace, launch_and_synchronize, 1, 1, "the same with 10 us of other work between"},
    {"request_streams", pace, launch_and_synchronize_all, 1, 1,
     "the same with cuCtxSynchronize, and 150 streams that are not used"},
    {"work", launch_and_synchronize, work, 1, 1, "the work of a program between its requests"},
    {"launch_idle", idle, launch, 1, 2, "one cuLaunchKernel after 0.4 ms of idleness"},
    {"graph1", synchronize, launch_one, 64, 2, "cuGraphLaunch of one empty kernel, in a burst"},
    {"graph64", synchronize, launch_many, 8, 1, "cuGraphLaunch of 64 empty kernels in a chain"},
    {"copy_64b", synchronize, copy, 64, 2, "cuMemcpyHtoDAsync of 64 bytes from pinned memory"},
    {"event_record", synchronize, record, 64, 2, "cuEventRecord, in a burst"},
    {"sync_idle", synchronize, synchronize, 64, 2, "cuStreamSynchronize of an idle stream"},
};
#define ASKS (sizeof(asks) / sizeof(asks[0]))

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

static bool possible(const struct rig *r, const struct ask *a)
{
	return !(a->call == launch_one && !r->one) && !(a->call == launch_many && !r->many);
}

static void take(struct rig *r, const struct ask *a, unsigned bursts, struct wl_samples *s)
{
	bool streams = a->call == launch_and_synchronize_all;
	for (unsigned i = 0; streams && i < STREAMS; i++)
		WL_CU(cuStreamCreate, &r->unused[i], CU_STREAM_NON_BLOCKING);
	for (unsigned b = 0; b < WARM_UPS + bursts; b++) {
		a->before(r);
		uint64_t t0 = wl_now_ns();
		for (unsigned i = 0; i < a->calls; i++)
			a->call(r);
		uint64_t took = wl_now_ns() - t0;
		if (b >= WARM_UPS)
			wl_samples_add(s, took);
	}
	synchronize(r);
	for (unsigned i = 0; streams && i < STREAMS; i++)
		WL_CU(cuStreamDestroy, r->unused[i]);
}

static void measure(struct rig *r, const struct ask *a, unsigned bursts, const char *prefix)
{
	struct wl_samples s = {0};
	char id[128];
	snprintf(id, sizeof(id), "%s_%s_ns", prefix, a->name);
	if (!possible(r, a)) {
		wl_fact_skip(id, "this driver did not make the graph");
		return;
	}
	take(r, a, bursts / a->share ? bursts / a->share : 1, &s);
	wl_fact_samples(id, "ns", &s, a->calls, "%s", a->note);
	wl_samples_fini(&s);
}

/* ---- on demand */

static void pin(int cpu)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET((unsigned)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0)
		fprintf(stderr, "launch_cost: not on processor %d: %s\n", cpu, strerror(errno));
}

static const struct ask *ask_named(const char *name)
{
	for (size_t i = 0; i < ASKS; i++)
		if (strcmp(asks[i].name, name) == 0)
			return &asks[i];
	return NULL;
}

static void answer(struct rig *r, const struct ask *a, unsigned bursts)
{
	struct wl_samples s = {0};
	take(r, a, bursts, &s);
	printf("{\"measure\": {\"what\": \"%s\", \"ns\": [", a->name);
	for (size_t i = 0; i < s.n; i++)
		printf("%s%.1f", i ? ", " : "", (double)s.v[i] / a->calls);
	printf("]}}\n");
	fflush(stdout);
	wl_samples_fini(&s);
}

static void serve(struct rig *r)
{
	char line[128], name[32];
	fputs("ready\n", stderr);
	while (fgets(line, sizeof(line), stdin) && strcmp(line, "quit\n") != 0) {
		unsigned bursts;
		int cpu = -1;
		int words = sscanf(line, "measure %31s %u %d", name, &bursts, &cpu);
		const struct ask *a = words >= 2 ? ask_named(name) : NULL;
		if (!a || !bursts || bursts > 100000 || cpu >= CPU_SETSIZE) {
			printf("{\"error\": \"want: measure NAME BURSTS [CPU]\"}\n");
		} else if (!possible(r, a)) {
			printf("{\"error\": \"this driver did not make the graph\"}\n");
		} else {
			if (cpu >= 0)
				pin(cpu);
			answer(r, a, bursts);
		}
		fflush(stdout);
	}
}

static const char usage[] =
    "usage: launch_cost [options]\n"
    "  --prefix ID      how the facts' ids begin (default overhead.bare)\n"
    "  --bursts N       of the burst measurement; the others take a share (default 400)\n"
    "  --limit SECONDS  ends the program (default 30)\n"
    "  --serve          measures what stdin asks for, as the top of launch_cost.c says\n"
    "Exit status: 0 done, 1 a CUDA call failed, 2 usage.\n";

int main(int argc, char **argv)
{
	static const struct option options[] = {{"prefix", 1, 0, 'p'}, {"bursts", 1, 0, 'b'},
	                                        {"limit", 1, 0, 'l'},  {"serve", 0, 0, 's'},
	                                        {"help", 0, 0, 'h'},   {0}};
	const char *prefix = "overhead.bare";
	unsigned bursts = 400, limit_s = 30;
	bool serves = false;
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
		case 's':
			serves = true;
			break;
		default:
			wl_option_usage(c, usage);
		}
	}
	wl_option_no_more(argc, argv, usage);
	wl_fact_bound(limit_s);
	open_rig(&r);
	for (size_t i = 0; i < ASKS && !serves; i++)
		measure(&r, &asks[i], bursts, prefix);
	if (serves)
		serve(&r);
	close_rig(&r);
	return 0;
}
