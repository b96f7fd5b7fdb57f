// SPDX-License-Identifier: Apache-2.0
/*
 * cupti_cost.c: what does CUPTI tracing cost a program of short kernels, and does it keep its word?
 *
 * Asks, one mode a process because CUPTI's state cannot be taken back:
 *   off             launches of 5 µs kernels in bursts, without CUPTI: the base line
 *   kernel          with kernel records enabled before CUDA starts
 *   latency         with the time stamps of queueing and submitting as well
 *   driver          with a record of each cuLaunchKernel as well
 *   callback        with a callback before and after each cuLaunchKernel instead
 *   graph_off, graph_trace, graph_kernel   launches of a graph of 20 kernels, without records, with
 *                   one record a graph, with one a kernel
 *   late, late_busy enabling after 1000 launches, with an idle and with a busy GPU
 *   features        what this CUPTI has; who may subscribe a second time
 * Read: …_launch_ns is the host's time to issue one launch, …_wall_ns the time until a burst is
 * done, by the number of its launches: the first minus the base line's is what the program's
 * thread pays, the second minus the base line's what the GPU's work is delayed. …_missing is
 * launches without a record. "prefix" compares the records with what was launched: name, grid,
 * device, times within the host's.
 *
 * Exit status 77 where CUPTI refuses (no driver of NVIDIA's).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/clock.h"
#include "../lib/fact.h"
#include "lib/cupti.h"
#include "lib/telemetry.h"

WL_EMBED(gpu_kernels, GPU_FATBIN);

#define LIMIT_S 40
#define KERNEL_US 5.0
#define BURST 100u
#define NODES 20u
#define LATE_LAUNCHES 1000u
#define LATE_BUSY_KERNELS 200u
#define LATE_BUSY_US 1000.0

enum { USE_NONE, USE_EARLY, USE_LATE, USE_FEATURES };
struct mode {
	const char *name;
	int use;
	int kinds[2]; /* 0: none */
	bool graph, latency, driver, callback;
};
static const struct mode modes[] = {
    {.name = "off", .use = USE_NONE},
    {.name = "kernel", .use = USE_EARLY, .kinds = {WL_CUPTI_KERNEL}},
    {.name = "latency", .use = USE_EARLY, .kinds = {WL_CUPTI_KERNEL}, .latency = true},
    {.name = "driver", .use = USE_EARLY, .kinds = {WL_CUPTI_KERNEL}, .driver = true},
    {.name = "callback", .use = USE_EARLY, .callback = true},
    {.name = "graph_off", .use = USE_NONE, .graph = true},
    {.name = "graph_trace", .use = USE_EARLY, .graph = true, .kinds = {WL_CUPTI_GRAPH}},
    {.name = "graph_kernel", .use = USE_EARLY, .graph = true, .kinds = {WL_CUPTI_KERNEL}},
    {.name = "late", .use = USE_LATE},
    {.name = "late_busy", .use = USE_LATE},
    {.name = "features", .use = USE_FEATURES},
};

struct run {
	const struct mode *mode;
	const char *library; /* NULL: the usual places */
	unsigned bursts;
	struct wl_cupti cupti;
	struct wl_work work;
	uint32_t iterations;
	CUgraphExec graph;
	uint64_t begin_ns, end_ns; /* of what was measured */
};

static volatile uint64_t callbacks;

static const char *id_of(const struct run *run, const char *what)
{
	static char id[128];
	snprintf(id, sizeof(id), "telemetry.cupti_%s_%s", run->mode->name, what);
	return id;
}

/* CUPTI will not: that ends the process, as something that cannot be asked here. */
static _Noreturn void refuse(const struct run *run, const char *what, int result)
{
	char id[96];
	snprintf(id, sizeof(id), "telemetry.cupti_%s", run->mode->name);
	wl_fact_skip(id, "CUPTI refuses %s: %s", what, wl_cupti_text(&run->cupti, result));
	exit(WL_EXIT_SKIPPED);
}

static void must(const struct run *run, const char *what, int result)
{
	if (result != WL_CUPTI_OK)
		refuse(run, what, result);
}

static void on_launch(void *arg, int domain, uint32_t cbid, const void *data)
{
	callbacks++;
}

static void open_library(struct run *run)
{
	if (wl_cupti_open(&run->cupti, run->library) == 0)
		return;
	char id[96];
	snprintf(id, sizeof(id), "telemetry.cupti_%s", run->mode->name);
	wl_fact_skip(id, "%s", run->cupti.why);
	exit(WL_EXIT_SKIPPED);
}

/* Everything of the mode, before CUDA starts. */
static void enable(struct run *run)
{
	struct wl_cupti *c = &run->cupti;
	const struct mode *m = run->mode;
	void *subscriber;
	must(run, "its buffers", wl_cupti_collect(c));
	if (m->latency && c->ActivityEnableLatencyTimestamps)
		must(run, "latency time stamps", c->ActivityEnableLatencyTimestamps(1));
	for (int i = 0; i < 2 && m->kinds[i]; i++)
		must(run, "an activity kind", c->ActivityEnable(m->kinds[i]));
	if (m->driver) {
		if (!c->ActivityEnableDriverApi)
			refuse(run, "records of single driver calls", -1);
		must(run, "records of cuLaunchKernel",
		     c->ActivityEnableDriverApi(WL_CUPTI_CBID_LAUNCH, 1));
	}
	if (m->callback) {
		must(run, "a subscriber", c->Subscribe(&subscriber, on_launch, NULL));
		must(
		    run, "a callback",
		    c->EnableCallback(1, subscriber, WL_CUPTI_DOMAIN_DRIVER, WL_CUPTI_CBID_LAUNCH));
	}
}

/* ---- what is launched */
static void capture_graph(struct run *run)
{
	CUgraph graph;
	WL_CU(cuStreamBeginCapture, run->work.stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
	for (unsigned i = 0; i < NODES; i++)
		wl_work_launch(&run->work, run->iterations);
	WL_CU(cuStreamEndCapture, run->work.stream, &graph);
	WL_CU(cuGraphInstantiate, &run->graph, graph, 0);
	WL_CU(cuGraphDestroy, graph);
}

static void launch(const struct run *run)
{
	if (run->mode->graph)
		WL_CU(cuGraphLaunch, run->graph, run->work.stream);
	else
		wl_work_launch(&run->work, run->iterations);
}

/* A burst of launches is one sample, so that the queue never fills. */
static unsigned burst_of(const struct run *run)
{
	return run->mode->graph ? BURST / NODES : BURST;
}

static void measure(struct run *run, struct wl_samples *issue, struct wl_samples *wall)
{
	unsigned n = burst_of(run);
	run->begin_ns = wl_now_ns();
	for (unsigned b = 0; b < run->bursts; b++) {
		uint64_t begin = wl_now_ns();
		for (unsigned i = 0; i < n; i++)
			launch(run);
		uint64_t issued = wl_now_ns();
		wl_work_sync(&run->work);
		wl_samples_add(wall, wl_now_ns() - begin);
		wl_samples_add(issue, issued - begin);
	}
	run->end_ns = wl_now_ns();
}

static void say_measured(struct run *run, const char *prefix)
{
	struct wl_samples issue = {0}, wall = {0};
	char what[64];
	measure(run, &issue, &wall);
	snprintf(what, sizeof(what), "%slaunch_ns", prefix);
	wl_fact_samples(id_of(run, what), "ns", &issue, burst_of(run), "the host's time, a launch");
	snprintf(what, sizeof(what), "%swall_ns", prefix);
	wl_fact_samples(id_of(run, what), "ns", &wall, burst_of(run), "until done, a launch");
	wl_samples_fini(&issue);
	wl_samples_fini(&wall);
}

/* ---- what was recorded */
static const char *wrong_in(const struct run *run, const struct wl_cupti_record *r)
{
	if (r->start < run->begin_ns)
		return "it starts before its launch";
	if (r->end > run->end_ns)
		return "it ends after its synchronisation";
	if (r->end < r->start)
		return "it ends before it starts";
	if (r->kind != WL_CUPTI_KERNEL)
		return NULL;
	if (r->device != 0)
		return "the device is not 0";
	if (r->grid[0] != WL_WORK_GRID_X || r->grid[1] != WL_WORK_GRID_Y || r->grid[2] != 1)
		return "the grid is another";
	if (!r->name || strcmp(r->name, WL_WORK_KERNEL) != 0)
		return "the name is another";
	if (run->mode->graph && (!r->graph_node || !r->graph))
		return "the ids of graph and node are missing";
	if (run->mode->latency && (!r->queued || r->submitted < r->queued))
		return "the latency time stamps are missing or out of order";
	return NULL;
}

static void say_records(struct run *run, const struct wl_cupti_collected *got, unsigned launched)
{
	const char *wrong = NULL;
	size_t n_wrong = 0, unique = 0;
	uint32_t last = 0;
	for (size_t i = 0; i < got->n; i++) {
		const char *w = wrong_in(run, &got->v[i]);
		n_wrong += w != NULL;
		wrong = wrong ? wrong : w;
		unique += got->v[i].correlation != last;
		last = got->v[i].correlation;
	}
	wl_fact(id_of(run, "missing"), (double)launched - (double)got->n, "records",
	        "%u expected, %zu came in %zu buffers; CUPTI says it dropped %zu", launched, got->n,
	        got->buffers, got->dropped);
	if (got->truncated)
		wl_fact(id_of(run, "truncated"), (double)got->truncated, "records",
		        "too short for what is read of them, or too many to keep");
	if (!got->n)
		return;
	wl_fact_text(id_of(run, "prefix"), wrong ? wrong : "as expected",
	             "%zu of %zu records are not; %zu correlation ids", n_wrong, got->n, unique);
	if (got->kernel_bytes)
		wl_fact(id_of(run, "record_bytes"), (double)got->kernel_bytes, "bytes",
		        "from one kernel record to the next");
}

/* Lengths of the kernels and, if they were asked for, the ways to the GPU. */
static void say_times(struct run *run, const struct wl_cupti_collected *got)
{
	struct wl_samples length = {0}, submit = {0}, start = {0};
	for (size_t i = 0; i < got->n; i++) {
		const struct wl_cupti_record *r = &got->v[i];
		if (r->end >= r->start)
			wl_samples_add(&length, r->end - r->start);
		if (!run->mode->latency || r->submitted < r->queued || r->start < r->submitted)
			continue;
		wl_samples_add(&submit, r->submitted - r->queued);
		wl_samples_add(&start, r->start - r->submitted);
	}
	wl_fact_samples(id_of(run, "length_ns"), "ns", &length, 1, "end - start");
	if (run->mode->latency) {
		wl_fact_samples(id_of(run, "submit_ns"), "ns", &submit, 1, "submitted - queued");
		wl_fact_samples(id_of(run, "start_ns"), "ns", &start, 1,
		                "start - submitted, with the kernels before it in the burst");
	}
	wl_samples_fini(&length);
	wl_samples_fini(&submit);
	wl_samples_fini(&start);
}

static void drop_records(struct run *run)
{
	struct wl_cupti_collected got;
	must(run, "a flush", wl_cupti_take(&run->cupti, &got));
	free(got.v);
}

static void traced(struct run *run)
{
	struct wl_cupti_collected got;
	const struct mode *m = run->mode;
	drop_records(run);
	uint64_t before = callbacks;
	say_measured(run, "");
	unsigned launched = run->bursts * burst_of(run);
	if (m->callback) {
		wl_fact(id_of(run, "calls"), (double)(callbacks - before) / launched, NULL,
		        "callbacks a launch");
		return;
	}
	uint64_t begin = wl_now_ns();
	must(run, "a flush", wl_cupti_take(&run->cupti, &got));
	wl_fact(id_of(run, "flush_us"), (double)(wl_now_ns() - begin) / 1e3, "us", "of %zu records",
	        got.n);
	say_records(run, &got,
	            m->kinds[0] == WL_CUPTI_KERNEL && m->graph ? launched * NODES : launched);
	say_times(run, &got);
	if (m->driver)
		wl_fact(id_of(run, "calls"), (double)got.driver / launched, NULL,
		        "records of cuLaunchKernel a launch");
	free(got.v);
	for (int i = 0; i < 2 && m->kinds[i]; i++)
		must(run, "disabling", run->cupti.ActivityDisable(m->kinds[i]));
	if (m->driver)
		must(run, "disabling", run->cupti.ActivityEnableDriverApi(WL_CUPTI_CBID_LAUNCH, 0));
	say_measured(run, "disabled_");
}

/* ---- enabling late */
static void say_since(struct run *run, const char *what, uint64_t begin, double per,
                      const char *unit, const char *note)
{
	wl_fact(id_of(run, what), (double)(wl_now_ns() - begin) / per, unit, "%s", note);
}

static void late(struct run *run)
{
	bool busy = strcmp(run->mode->name, "late_busy") == 0;
	struct wl_cupti_collected got;
	for (unsigned i = 0; i < LATE_LAUNCHES; i++)
		launch(run);
	wl_work_sync(&run->work);
	uint32_t millisecond = busy ? wl_work_calibrate(&run->work, LATE_BUSY_US) : 0;
	for (unsigned i = 0; busy && i < LATE_BUSY_KERNELS; i++)
		wl_work_launch(&run->work, millisecond);
	uint64_t begin = wl_now_ns();
	open_library(run);
	say_since(run, "open_ms", begin, 1e6, "ms", "loading the library");
	begin = wl_now_ns();
	must(run, "its buffers", wl_cupti_collect(&run->cupti));
	must(run, "kernel records", run->cupti.ActivityEnable(WL_CUPTI_KERNEL));
	say_since(run, "enable_ms", begin, 1e6, "ms", "registering and enabling, after launches");
	if (busy)
		wl_fact_flag(
		    id_of(run, "enable_waits"), cuStreamQuery(run->work.stream) == CUDA_SUCCESS,
		    "the GPU's %u ms of work were done when enabling returned", LATE_BUSY_KERNELS);
	begin = wl_now_ns();
	launch(run);
	say_since(run, "first_launch_us", begin, 1e3, "us", "the first launch after enabling");
	begin = wl_now_ns();
	wl_work_sync(&run->work);
	say_since(run, "first_sync_ms", begin, 1e6, "ms", "and until it was done");
	drop_records(run);
	say_measured(run, "");
	must(run, "a flush", wl_cupti_take(&run->cupti, &got));
	say_records(run, &got, run->bursts * burst_of(run));
	free(got.v);
}

/* ---- what this CUPTI has */
static void say_second_subscriber(struct run *run)
{
	struct wl_cupti *c = &run->cupti;
	void *first, *second;
	char incumbent[2 * WL_CUPTI_NAME_BYTES] = "";
	struct wl_cupti_subscriber_params p = {.size = sizeof(p), .name = "rein first"};
	int r = c->Subscribe_v2 ? c->Subscribe_v2(&first, on_launch, NULL, &p)
	                        : c->Subscribe(&first, on_launch, NULL);
	must(run, "a subscriber", r);
	r = c->Subscribe(&second, on_launch, NULL);
	wl_fact_text("telemetry.cupti_second_subscriber",
	             r == WL_CUPTI_OK ? "accepted" : wl_cupti_text(c, r), "cuptiSubscribe");
	if (c->Subscribe_v2) {
		p = (struct wl_cupti_subscriber_params){.size = sizeof(p),
		                                        .name = "rein second",
		                                        .incumbent = incumbent,
		                                        .incumbent_size = WL_CUPTI_NAME_BYTES};
		r = c->Subscribe_v2(&second, on_launch, NULL, &p);
		incumbent[WL_CUPTI_NAME_BYTES] = '\0';
		wl_fact_text("telemetry.cupti_incumbent", incumbent[0] ? incumbent : "not named",
		             "cuptiSubscribe_v2 by a second one: %s", wl_cupti_text(c, r));
	}
	must(run, "unsubscribing", c->Unsubscribe(first));
	r = c->Subscribe(&second, on_launch, NULL);
	wl_fact_flag("telemetry.cupti_subscribe_again", r == WL_CUPTI_OK,
	             "after cuptiUnsubscribe: %s", wl_cupti_text(c, r));
}

static void features(struct run *run)
{
	struct wl_cupti *c = &run->cupti;
	wl_fact("telemetry.cupti_version", c->version, NULL, "%s", c->path);
	wl_fact_flag("telemetry.cupti_subscribe_v2", c->Subscribe_v2, "names the incumbent");
	wl_fact_flag("telemetry.cupti_user_records", c->ActivityEnable_v2,
	             "cuptiActivityEnable_v2: records of chosen fields, from 13.2 on");
	wl_fact_flag("telemetry.cupti_has_driver_records", c->ActivityEnableDriverApi,
	             "records of single driver calls");
	must(run, "its buffers", wl_cupti_collect(c));
	int r = c->ActivityEnable(WL_CUPTI_KERNEL);
	must(run, "kernel records", r);
	must(run, "disabling", c->ActivityDisable(WL_CUPTI_KERNEL));
	r = c->ActivityEnable(WL_CUPTI_CONTEXT_SWITCH);
	wl_fact_text("telemetry.cupti_context_switches",
	             r == WL_CUPTI_OK ? "enabled" : wl_cupti_text(c, r),
	             "records of context switches, from 13.1 on");
	if (r == WL_CUPTI_OK)
		c->ActivityDisable(WL_CUPTI_CONTEXT_SWITCH);
	say_second_subscriber(run);
	if (c->ActivityEnableHWTrace) {
		r = c->ActivityEnableHWTrace(1);
		wl_fact_text("telemetry.cupti_hwtrace",
		             r == WL_CUPTI_OK ? "enabled" : wl_cupti_text(c, r),
		             "time stamps by hardware (Blackwell)");
	}
}

/* ---- */
static _Noreturn void usage(void)
{
	fprintf(stderr, "usage: cupti_cost MODE [--cupti LIBRARY] [--bursts N] [--work N]\nmodes:");
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		fprintf(stderr, " %s", modes[i].name);
	fprintf(stderr, "\n");
	exit(2);
}

static bool parse(struct run *run, int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(modes) / sizeof(modes[0]); i++)
		if (strcmp(argv[1], modes[i].name) == 0)
			run->mode = &modes[i];
	for (int i = 2; i < argc; i += 2) {
		if (i + 1 < argc && strcmp(argv[i], "--cupti") == 0)
			run->library = argv[i + 1];
		else if (i + 1 < argc && strcmp(argv[i], "--bursts") == 0)
			run->bursts = (unsigned)strtoul(argv[i + 1], NULL, 10);
		else if (i + 1 < argc && strcmp(argv[i], "--work") == 0)
			run->iterations = (uint32_t)strtoul(argv[i + 1], NULL, 10);
		else
			return false;
	}
	return run->bursts > 0 && run->bursts <= 100000;
}

int main(int argc, char **argv)
{
	static struct run run = {.bursts = 100};
	if (!parse(&run, argc, argv) || !run.mode)
		usage();
	wl_fact_bound(LIMIT_S);
	int use = run.mode->use;
	if (use == USE_EARLY || use == USE_FEATURES)
		open_library(&run);
	if (use == USE_FEATURES) {
		WL_CU(cuInit, 0);
		features(&run);
		return 0;
	}
	if (use == USE_EARLY)
		enable(&run);
	wl_work_open(&run.work, gpu_kernels);
	if (!run.iterations) { /* the modes are compared: their kernels must be the same */
		run.iterations = wl_work_calibrate(&run.work, KERNEL_US);
		wl_fact("telemetry.cupti_work", run.iterations, "iterations",
		        "of a kernel of 5 us; --work repeats it");
	}
	if (run.mode->graph)
		capture_graph(&run);
	for (unsigned i = 0; i < burst_of(&run); i++)
		launch(&run);
	wl_work_sync(&run.work);
	if (use == USE_EARLY)
		traced(&run);
	else if (use == USE_LATE)
		late(&run);
	else
		say_measured(&run, "");
	return 0;
}
