// SPDX-License-Identifier: Apache-2.0
/*
 * bench_cupti.c: what true GPU times (cupti = on) cost a launch, and that off costs nothing. The
 *GPU is the software GPU and CUPTI its double: the figures are those of our own path (the callback
 *that notes whose a call is, the records' way through the agent into the rings) and of the double,
 *not of NVIDIA's CUPTI, which an H200 measured (docs/gpu-facts.md: 785 ns for a record, 244 ns for
 *a callback). Each figure comes from child processes (this program again, --child) that alternate:
 *
 *	native     without the shim
 *	off        with it, `cupti = on`, and nobody recording: nothing is loaded
 *	events     events are recorded, `cupti = off`
 *	cupti      events and GPU times are recorded
 *
 * A child launches kernels that do nothing in bursts: "launch" is the CPU time that its thread
 *takes to issue one, "done" the time until a burst is done, by the number of its launches. Rounds
 *are paired; medians and quartiles of the paired differences are printed.
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <dlfcn.h>

#include <cuda.h>

#include "lib/child.h"
#include "lib/clock.h"
#include "lib/daemon.h"
#include "lib/jsonfile.h"
#include "lib/options.h"
#include "lib/probe.h"
#include "lib/stats.h"
#include "lib/table.h"

#define CHILD_FLAG "--child"
#define WAIT_ENV "BENCH_AGENT" /* the child waits until its agent is there */
#define CHILD_TIMEOUT_NS 60000000000ull
#define AGENT_TIMEOUT_NS 10000000000ull
#define ROUNDS_MAX 99
#define BURST 200
#define BURSTS 300

enum how { NATIVE, OFF, EVENTS, CUPTI, HOWS };
enum what { LAUNCH, DONE, WHATS };
static const struct {
	const char *key, *title, *config; /* config NULL: no daemon */
} hows[HOWS] = {
    {"native", "", NULL},
    {"off", "cupti = on, not recording", "[class default]\ncupti = on\n"},
    {"events", "events, cupti = off", "[daemon]\nevents = on\n"},
    {"cupti", "events, cupti = on", "[daemon]\nevents = on\n[class default]\ncupti = on\n"},
};
static const char *const whats[WHATS] = {"launch", "done"};

struct bench {
	char build[PATH_MAX], out[PATH_MAX], run[PATH_MAX], runs[HOWS][PATH_MAX];
	unsigned rounds;
	struct wl_daemon daemon[HOWS];
	double ns[HOWS][WHATS][ROUNDS_MAX];
};

/* ---- the child */

static const char ptx[] = ".version 7.0\n.target sm_75\n.address_size 64\n"
			  ".visible .entry nothing()\n{\n\tret;\n}\n";

static bool agent_is_there(void)
{
	char path[300], comm[32] = "";
	bool found = false;
	DIR *d = opendir("/proc/self/task");
	for (struct dirent *e; d && !found && (e = readdir(d));) {
		snprintf(path, sizeof(path), "/proc/self/task/%.20s/comm", e->d_name);
		FILE *f = fopen(path, "re");
		found = f && fscanf(f, "%31s", comm) == 1 && strcmp(comm, "rein-cupti") == 0;
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
	return found;
}

static void *need(void *library, const char *name)
{
	void *f = library ? dlsym(library, name) : NULL;
	if (!f) {
		fprintf(stderr, "bench_cupti: %s: %s\n", name, dlerror());
		exit(1);
	}
	return f;
}

static double thread_cpu_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int child(void)
{
	void *lib = dlopen("libcuda.so.1", RTLD_NOW);
	__typeof__(cuInit) *init = need(lib, "cuInit");
	__typeof__(cuDevicePrimaryCtxRetain) *retain = need(lib, "cuDevicePrimaryCtxRetain");
	__typeof__(cuCtxSetCurrent) *set_current = need(lib, "cuCtxSetCurrent");
	__typeof__(cuModuleLoadData) *load = need(lib, "cuModuleLoadData");
	__typeof__(cuModuleGetFunction) *get = need(lib, "cuModuleGetFunction");
	__typeof__(cuStreamCreate) *create = need(lib, "cuStreamCreate");
	__typeof__(cuLaunchKernel) *launch = need(lib, "cuLaunchKernel");
	__typeof__(cuStreamSynchronize) *sync = need(lib, "cuStreamSynchronize");
	static double issue[BURSTS], done[BURSTS];
	CUcontext context;
	CUmodule module;
	CUfunction f;
	CUstream s;
	if (init(0) || retain(&context, 0) || set_current(context) || load(&module, ptx) ||
	    get(&f, module, "nothing") || create(&s, CU_STREAM_NON_BLOCKING)) {
		fprintf(stderr, "bench_cupti: the software GPU refuses to start\n");
		return 1;
	}
	uint64_t until = wl_now_ns() + AGENT_TIMEOUT_NS;
	for (int b = -10; b < BURSTS; b++) { /* the first ones warm up */
		uint64_t t0 = wl_now_ns();
		double cpu = thread_cpu_ns();
		for (int i = 0; i < BURST; i++)
			launch(f, 1, 1, 1, 32, 1, 1, 0, s, NULL, NULL);
		cpu = thread_cpu_ns() - cpu;
		sync(s);
		if (b >= 0) {
			issue[b] = cpu / BURST;
			done[b] = (double)(wl_now_ns() - t0) / BURST;
		} else if (getenv(WAIT_ENV) && !agent_is_there() && wl_now_ns() < until) {
			b = -11;
		}
	}
	if (agent_is_there() != (getenv(WAIT_ENV) != NULL)) {
		fprintf(stderr, "bench_cupti: the agent is there, or not, against all reason\n");
		return 1;
	}
	printf("result %.3f %.3f end\n", wl_spread(issue, BURSTS).median,
	       wl_spread(done, BURSTS).median);
	return 0;
}

/* ---- the parent */

static int measure_one(struct bench *b, enum how how, unsigned round)
{
	static struct wl_child c;
	char library[PATH_MAX], preload[PATH_MAX], run[PATH_MAX], shm[64], text[64];
	char *argv[] = {"/proc/self/exe", CHILD_FLAG, NULL};
	char *env[] = {
	    library, shm, run, preload, "SOFTGPU_MODE=fast", how == CUPTI ? WAIT_ENV "=1" : NULL,
	    NULL};
	snprintf(library, sizeof(library), "LD_LIBRARY_PATH=%.4000s/softgpu", b->build);
	snprintf(shm, sizeof(shm), "SOFTGPU_SHM=bench-cupti-%d", (int)getpid());
	snprintf(run, sizeof(run), "REIN_RUN_DIR=%.4000s", b->runs[how]);
	snprintf(preload, sizeof(preload), how == NATIVE ? "LD_PRELOAD" : "LD_PRELOAD=%.4000s/%s",
	         b->build, "librein.so");
	int r = wl_child_start(&c, "bench_cupti child", argv, env);
	uint64_t end = wl_now_ns() + CHILD_TIMEOUT_NS;
	struct wl_child *const one[] = {&c};
	while (!r && c.pid && wl_now_ns() < end)
		if (wl_child_watch(one, 1, 100) == -EINTR)
			r = -EINTR;
	const char *at = strstr(c.out, "result ");
	if (r || !wl_child_ok(&c) || !at ||
	    sscanf(at, "result %lf %lf end", &b->ns[how][LAUNCH][round],
	           &b->ns[how][DONE][round]) != 2) {
		fprintf(stderr, "bench_cupti: the measuring child gave no result (%s): %s\n",
		        wl_child_describe(&c, text, sizeof(text)), c.out);
		wl_child_stop(&c, SIGTERM, 2000);
		return -1;
	}
	return 0;
}

/* Alternating the order, so that a drift of the machine favours nobody. */
static int measure_all(struct bench *b)
{
	for (unsigned round = 0; round < b->rounds; round++) {
		if (isatty(2))
			fprintf(stderr, "\r\033[Kbench_cupti: round %u of %u", round + 1,
			        b->rounds);
		for (int i = 0; i < HOWS; i++)
			if (measure_one(b, (enum how)(round % 2 ? HOWS - 1 - i : i), round))
				return -1;
	}
	if (isatty(2))
		fputs("\r\033[K", stderr);
	return 0;
}

static void remove_folder(const char *path)
{
	char file[PATH_MAX];
	DIR *dir = opendir(path);
	for (struct dirent *e; dir && (e = readdir(dir));) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(file, sizeof(file), "%.3000s/%.255s", path, e->d_name);
		if (e->d_type == DT_DIR)
			remove_folder(file);
		else
			unlink(file);
	}
	if (dir)
		closedir(dir);
	rmdir(path);
}

static int measure(struct bench *b)
{
	int r = 0;
	for (int how = OFF; how < HOWS && !r; how++) {
		struct wl_daemon *d = &b->daemon[how];
		snprintf(b->runs[how], sizeof(b->runs[how]), "%.3000s/%s", b->run, hows[how].key);
		d->build = b->build;
		d->run = b->runs[how];
		d->config = hows[how].config;
		r = wl_make_folder(b->runs[how]);
		if (!r && wl_daemon_start(d, NULL)) {
			fprintf(stderr, "bench_cupti: %s\n%s", d->why, d->child.out);
			r = -1;
		}
	}
	if (!r)
		r = measure_all(b);
	for (int how = OFF; how < HOWS; how++) {
		if (b->daemon[how].child.pid && wl_daemon_stop(&b->daemon[how]) && !r) {
			fprintf(stderr, "bench_cupti: %s\n", b->daemon[how].why);
			r = -1;
		}
		if (b->runs[how][0])
			remove_folder(b->runs[how]);
	}
	return r;
}

/* ---- telling */

static struct wl_spread spread_of(const double *v, const double *less, unsigned n)
{
	double d[ROUNDS_MAX];
	for (unsigned i = 0; i < n; i++)
		d[i] = v[i] - (less ? less[i] : 0);
	return wl_spread(d, n);
}

static int tell(const struct bench *b)
{
	struct wl_table t = {.columns = 6};
	char path[PATH_MAX];
	json_t *rows = json_array();
	wl_table_row(&t, "software GPU", "with", "native ns", "ns", "added ns", "quartiles");
	for (int w = 0; w < WHATS; w++)
		for (int how = OFF; how < HOWS; how++) {
			struct wl_spread native = spread_of(b->ns[NATIVE][w], NULL, b->rounds),
					 with = spread_of(b->ns[how][w], NULL, b->rounds),
					 added =
					     spread_of(b->ns[how][w], b->ns[NATIVE][w], b->rounds);
			wl_table_row(&t, whats[w], hows[how].title, wl_cell("%.0f", native.median),
			             wl_cell("%.0f", with.median), wl_cell("%.0f", added.median),
			             wl_cell("%.0f … %.0f", added.q1, added.q3));
			json_array_append_new(
			    rows, json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:f}", "what", whats[w],
			                    "with", hows[how].key, "native_ns", native.median,
			                    "rein_ns", with.median, "added_ns", added.median,
			                    "added_q1_ns", added.q1, "added_q3_ns", added.q3));
		}
	printf("What true GPU times cost a launch: medians of %u rounds on the software GPU with "
	       "its CUPTI double.\nNVIDIA's CUPTI costs more: docs/gpu-facts.md, telemetry.\n\n",
	       b->rounds);
	wl_table_markdown(&t, stdout);
	json_t *root =
	    json_pack("{s:i, s:s, s:s, s:i, s:o}", "schema_version", 1, "driver", "softgpu",
	              "cupti", "double", "rounds", (int)b->rounds, "rows", rows);
	snprintf(path, sizeof(path), "%.4000s/cupti.json", b->out);
	if (wl_json_write_indented(root, path))
		return -1;
	printf("\n%s\n", path);
	return 0;
}

static const char usage[] =
    "usage: bench_cupti [options]\n"
    "  --out DIR      where cupti.json goes (default: bench/ in the build folder)\n"
    "  --rounds N     rounds of each measurement (default 11)\n"
    "Exit status: 0 done, 1 a measurement failed, 2 usage.\n";

static void parse(struct bench *b, int argc, char **argv)
{
	static const struct option options[] = {
	    {"out", 1, 0, 'o'}, {"rounds", 1, 0, 'r'}, {"help", 0, 0, 'h'}, {0}};
	int c;
	snprintf(b->out, sizeof(b->out), "%.2000s/bench", b->build);
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'o':
			snprintf(b->out, sizeof(b->out), "%s", optarg);
			break;
		case 'r':
			b->rounds = (unsigned)wl_option_integer("--rounds", optarg, 1, ROUNDS_MAX);
			break;
		default:
			wl_option_usage(c, usage);
		}
	}
	wl_option_no_more(argc, argv, usage);
}

int main(int argc, char **argv)
{
	static struct bench b = {.rounds = 11};
	char absolute[PATH_MAX];
	if (argc == 2 && !strcmp(argv[1], CHILD_FLAG))
		return child();
	if (wl_build_folder(b.build, sizeof(b.build)))
		return 1;
	parse(&b, argc, argv);
	if (wl_make_folder(b.out))
		return 1;
	if (!realpath(b.out, absolute) || strlen(absolute) > 2000) {
		fprintf(stderr, "bench_cupti: %s: path unusable\n", b.out);
		return 1;
	}
	strcpy(b.out, absolute);
	if (wl_run_folder(b.out, b.run, sizeof(b.run)))
		return 1;
	int r = measure(&b);
	wl_run_folder_remove(b.out, b.run);
	return r || tell(&b) ? 1 : 0;
}
