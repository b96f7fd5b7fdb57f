// SPDX-License-Identifier: Apache-2.0
/*
 * bench_record.c: what the flight recorder takes of a core while a program makes 50,000 events a
 * second, on the driver that does nothing: the CPU time of all of the daemon's threads, without and
 * with recording, in turn.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cuda.h>

#include "lib/benchout.h"
#include "lib/clock.h"
#include "lib/daemon.h"
#include "lib/jsonout.h"
#include "lib/probe.h"
#include "lib/stats.h"
#include "lib/table.h"

#define CHILD_FLAG "--paced-child"
#define ROUNDS 3
#define WAYS 3 /* events off; recorded; and the BPF programs, where they are permitted */
#define SECONDS 3
#define LAUNCHES_PER_MS 47 /* with a synchronisation and its request: 50 events */
#define WARM_MS 500
#define RECORD_BYTES 64
#define WANTED 2.0 /* percent of a core */

/* ---- the child: 50 events each millisecond, until it is ended */

static void *need(void *library, const char *name)
{
	void *f = dlsym(library, name);
	if (!f)
		exit(1);
	return f;
}

static int child(void)
{
	void *lib = dlopen("libcuda.so.1", RTLD_NOW);
	CUcontext context;
	CUmodule module;
	CUfunction function;
	CUstream stream;
	if (!lib)
		return 1;
	typeof(cuInit) *init = need(lib, "cuInit");
	typeof(cuDevicePrimaryCtxRetain) *retain = need(lib, "cuDevicePrimaryCtxRetain");
	typeof(cuCtxSetCurrent) *set_current = need(lib, "cuCtxSetCurrent");
	typeof(cuModuleLoadData) *load = need(lib, "cuModuleLoadData");
	typeof(cuModuleGetFunction) *get = need(lib, "cuModuleGetFunction");
	typeof(cuStreamCreate) *create = need(lib, "cuStreamCreate");
	typeof(cuLaunchKernel) *launch = need(lib, "cuLaunchKernel");
	typeof(cuStreamSynchronize) *sync = need(lib, "cuStreamSynchronize");
	if (init(0) || retain(&context, 0) || set_current(context) || load(&module, "") ||
	    get(&function, module, "null") || create(&stream, CU_STREAM_NON_BLOCKING))
		return 1;
	for (uint64_t next = wl_now_ns();; next += 1000000) {
		for (int i = 0; i < LAUNCHES_PER_MS; i++)
			(void)launch(function, 1, 1, 1, 32, 1, 1, 0, stream, NULL, NULL);
		(void)sync(stream);
		uint64_t now = wl_now_ns();
		if (now < next + 1000000)
			usleep((useconds_t)((next + 1000000 - now) / 1000));
	}
}

/* ---- the parent */

/* CPU time of a process' threads and of its children's. */
static uint64_t cpu_ns(pid_t pid)
{
	char path[PATH_MAX];
	uint64_t sum = 0, ns;
	struct dirent *d;
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	DIR *tasks = opendir(path);
	while (tasks && (d = readdir(tasks)) != NULL) {
		int of;
		if (d->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%.16s/schedstat", (int)pid, d->d_name);
		FILE *f = fopen(path, "re");
		sum += f && fscanf(f, "%" SCNu64, &ns) == 1 ? ns : 0;
		if (f)
			fclose(f);
		snprintf(path, sizeof(path), "/proc/%d/task/%.16s/children", (int)pid, d->d_name);
		f = fopen(path, "re");
		while (f && fscanf(f, "%d", &of) == 1)
			sum += cpu_ns(of);
		if (f)
			fclose(f);
	}
	if (tasks)
		closedir(tasks);
	return sum;
}

/* Bytes of the recording; `remove_it`: and it is gone. */
static off_t recorded(const char *run, bool remove_it)
{
	char path[PATH_MAX];
	off_t bytes = 0;
	struct stat st;
	struct dirent *d;
	snprintf(path, sizeof(path), "%s/events", run);
	DIR *dir = opendir(path);
	while (dir && (d = readdir(dir)) != NULL) {
		if (d->d_name[0] == '.')
			continue;
		bytes += fstatat(dirfd(dir), d->d_name, &st, 0) == 0 ? st.st_blocks * 512 : 0;
		if (remove_it)
			unlinkat(dirfd(dir), d->d_name, 0);
	}
	if (dir)
		closedir(dir);
	if (remove_it)
		rmdir(path);
	return bytes;
}

struct result {
	double percent, events_per_s;
};

static int watch(struct wl_daemon *d, struct wl_child *c, struct result *r)
{
	usleep(WARM_MS * 1000);
	if (wl_daemon_has(d, &c->pid, 1))
		return -1;
	uint64_t began = wl_now_ns(), cpu = cpu_ns(d->child.pid);
	off_t bytes = recorded(d->run, false);
	sleep(SECONDS);
	uint64_t took = wl_now_ns() - began;
	r->percent = 100 * (double)(cpu_ns(d->child.pid) - cpu) / (double)took;
	r->events_per_s =
	    (double)(recorded(d->run, false) - bytes) / RECORD_BYTES / ((double)took / 1e9);
	return 0;
}

static int measure(const char *build, const char *run, const char *config, struct result *r)
{
	static struct wl_child c;
	char library[PATH_MAX], preload[PATH_MAX], run_env[PATH_MAX], conf[PATH_MAX];
	char *argv[] = {"/proc/self/exe", CHILD_FLAG, NULL};
	char *env[] = {library, run_env, preload, "NULL_DEVICES=1", NULL};
	struct wl_daemon d = {.build = build, .run = run, .config = config};
	snprintf(library, sizeof(library), "LD_LIBRARY_PATH=%s/workloads/null", build);
	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s/librein.so", build);
	snprintf(run_env, sizeof(run_env), "REIN_RUN_DIR=%s", run);
	int err = wl_daemon_start(&d, NULL);
	if (!err && wl_child_start(&c, "paced child", argv, env) == 0) {
		err = watch(&d, &c, r);
		wl_child_stop(&c, SIGTERM, 2000);
	}
	if (err)
		fprintf(stderr, "bench_record: %s\n", d.why);
	if (wl_daemon_stop(&d) && !err) {
		fprintf(stderr, "bench_record: %s\n", d.why);
		err = -1;
	}
	recorded(run, true);
	snprintf(conf, sizeof(conf), "%s/rein.conf", run);
	remove(conf);
	return err;
}

static int report(const char *out, const struct wl_spread cpu[WAYS], const struct wl_spread *events)
{
	static const char *const keys[WAYS] = {"off", "recorded", "recorded_with_bpf"};
	static const char *const titles[WAYS] = {"off", "recorded", "recorded, and eBPF"};
	struct wl_table t = {.columns = 4};
	char path[PATH_MAX];
	struct wl_out o;
	snprintf(path, sizeof(path), "%s/record.json", out);
	wl_out_file(&o, path);
	wl_out_object(&o, NULL);
	wl_out_int(&o, "schema_version", 1);
	wl_table_row(&t, "events", "a second", "% of a core", "quartiles");
	for (int i = 0; i < WAYS; i++) {
		wl_out_object(&o, keys[i]);
		wl_out_double(&o, "cpu_percent", cpu[i].median);
		wl_out_double(&o, "events_per_s", i ? events->median : 0);
		wl_out_end(&o);
		wl_table_row(&t, titles[i], wl_cell("%.0f", i ? events->median : 0),
		             wl_cell("%.2f", cpu[i].median),
		             wl_cell("%.2f … %.2f", cpu[i].q1, cpu[i].q3));
	}
	wl_out_end(&o);
	printf("\nThe daemon's CPU time beside a program that makes some 50,000 events a second, "
	       "%d rounds of %d s in turn; wanted with recording: at most %.0f %%.\n\n",
	       ROUNDS, SECONDS, WANTED);
	wl_table_markdown(&t, stdout);
	printf("\n%s\n", path);
	return wl_out_close(&o) ? 1 : 0;
}

static const char usage[] = "usage: bench_record [--out DIR]\n"
			    "  --out DIR      where record.json goes (default: bench/ in the build "
			    "folder)\n"
			    "Exit status: 0 done, 1 a measurement failed, 2 usage.\n";

int main(int argc, char **argv)
{
	static const char *const configs[] = {"[daemon]\nevents = off\n",
	                                      "[daemon]\nevents = on\nbpf = off\n",
	                                      "[daemon]\nevents = on\n"};
	char out[PATH_MAX / 2], build[PATH_MAX / 2], run[PATH_MAX / 2];
	double cpu[WAYS][ROUNDS], events[ROUNDS];
	struct result r = {0};
	if (argc == 2 && strcmp(argv[1], CHILD_FLAG) == 0)
		return child();
	if (wl_bench_out(argc, argv, usage, out, sizeof(out)) ||
	    wl_build_folder(build, sizeof(build)) || wl_run_folder(out, run, sizeof(run)))
		return 1;
	int err = 0;
	for (int i = 0; i < WAYS * ROUNDS && !err; i++) {
		err = measure(build, run, configs[i % WAYS], &r);
		cpu[i % WAYS][i / WAYS] = r.percent;
		events[i / WAYS] = r.events_per_s;
	}
	wl_run_folder_remove(out, run);
	if (err)
		return 1;
	struct wl_spread spread[WAYS];
	for (int i = 0; i < WAYS; i++)
		spread[i] = wl_spread(cpu[i], ROUNDS);
	struct wl_spread of_events = wl_spread(events, ROUNDS);
	return report(out, spread, &of_events);
}
