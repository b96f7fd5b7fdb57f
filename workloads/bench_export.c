// SPDX-License-Identifier: Apache-2.0
/*
 * bench_export.c: what it takes to make a trace of a long recording: time and memory of one export
 * of ten million events, to Perfetto's format. The recording is made up: eight programs whose
 * requests are submissions, GPU times, a synchronisation, now and then a wait at the gate, written
 * in the daemon's order, one pass over all rings every four ms; the GPU's times come late. It is
 * in bigger segments than the daemon's, which keeps a tenth of that.
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/clock.h"
#include "../common/kmodel.h"
#include "../profiler/export.h"
#include "../profiler/recorder.h"
#include "lib/clock.h"
#include "lib/daemon.h"
#include "lib/jsonout.h"
#include "lib/options.h"
#include "lib/probe.h"
#include "lib/table.h"

#define EVENTS 10000000u
#define CLIENTS 8u
#define LAUNCHES 4u /* a request */
#define PASS_NS (4 * REIN_MS)
#define GPU_LATE_NS (60 * REIN_MS)
#define GPU_ROOM 65536u
#define SEGMENT_BYTES (32u << 20)
#define SEGMENTS REIN_ARRAY_LEN(((struct rein_recording *)0)->segment) /* as many as are read */
#define WANTED_S 30
#define WANTED_MIB 500

struct client {
	uint64_t now_ns, gpu_ns;
	uint32_t number, requests;
	unsigned head, tail; /* of what the GPU did and was not told yet */
	struct rein_trace_record gpu[GPU_ROOM];
};

struct maker {
	struct rein_recorder *recorder;
	uint64_t made, wanted;
	struct client client[CLIENTS];
};

static void put(struct maker *m, const void *cell)
{
	(void)rein_recorder_room(m->recorder, 1, 0);
	memcpy(rein_recorder_next(m->recorder), cell, sizeof(struct rein_trace_record));
	rein_recorder_add(m->recorder, 1);
}

static void put_event(struct maker *m, struct rein_trace_record r)
{
	if (m->made++ < m->wanted)
		put(m, &r);
}

static struct rein_trace_record event(uint8_t kind, unsigned client, uint64_t begin, uint64_t end)
{
	return (struct rein_trace_record){.stamp = client + 1,
	                                  .thread = 100 + client,
	                                  .kind = kind,
	                                  .begin = begin,
	                                  .end = end,
	                                  .stream = 1};
}

static void launch(struct maker *m, unsigned i)
{
	struct client *c = &m->client[i];
	struct rein_trace_record r =
	    event(REIN_TRACE_SUBMIT, i, c->now_ns, c->now_ns + 3 * REIN_US);
	r.entry = rein_trace_entry("cuLaunchKernel");
	r.number = ++c->number;
	r.func = 0x1000 + c->number % 16;
	r.a = 256 | 1ull << 32 | 1ull << 48;
	r.b = 128ull << 32 | 1ull << 44 | 1ull << 56;
	put_event(m, r);
	c->gpu_ns = (c->gpu_ns > r.end ? c->gpu_ns : r.end) + 5 * REIN_US;
	struct rein_trace_record *g = &c->gpu[c->head++ % GPU_ROOM];
	*g = event(REIN_TRACE_GPU, i, c->gpu_ns, c->gpu_ns + 40 * REIN_US);
	g->result = REIN_GPU_KERNEL;
	g->number = r.number;
	g->func = rein_trace_key(&r);
	g->a = r.a;
	g->b = 7ull << 32 | r.number;
	c->gpu_ns = g->end;
	c->now_ns += 4 * REIN_US;
}

static void request(struct maker *m, unsigned i)
{
	struct client *c = &m->client[i];
	struct rein_trace_record r = event(REIN_TRACE_ACTIVE, i, c->now_ns, c->now_ns);
	put_event(m, r);
	if (c->requests++ % 8 == i) {
		r = event(REIN_TRACE_GATE, i, c->now_ns, c->now_ns + 200 * REIN_US);
		r.number = (i + 1) % CLIENTS + 1;
		put_event(m, r);
		c->now_ns = r.end;
	}
	for (unsigned n = 0; n < LAUNCHES; n++)
		launch(m, i);
	r = event(REIN_TRACE_SYNC, i, c->now_ns, c->gpu_ns + 2 * REIN_US);
	r.entry = rein_trace_entry("cuStreamSynchronize");
	r.number = c->number;
	put_event(m, r);
	r.kind = REIN_TRACE_IDLE;
	r.begin = r.end;
	put_event(m, r);
	c->now_ns = r.end + 500 * REIN_US;
}

/* What CUPTI had to tell by now, of one client. */
static void tell_gpu(struct maker *m, struct client *c, uint64_t now_ns)
{
	while (c->tail != c->head && c->gpu[c->tail % GPU_ROOM].end + GPU_LATE_NS < now_ns)
		put_event(m, c->gpu[c->tail++ % GPU_ROOM]);
}

static void put_names(struct maker *m)
{
	const uint32_t grid[3] = {256, 1, 1}, block[3] = {128, 1, 1};
	for (unsigned i = 0; i < CLIENTS; i++) {
		struct rein_trace_name n = {
		    .client = i + 1, .pid = 1000 + i, .kind = REIN_TRACE_CLIENT, .prio = 10 * i};
		snprintf(n.name, sizeof(n.name), "program-%u", i);
		put(m, &n);
		n.kind = REIN_TRACE_KERNEL;
		for (unsigned k = 0; k < 16; k++) {
			n.key = rein_kmodel_key(0x1000 + k, grid, block, 0);
			snprintf(n.name, sizeof(n.name), "kernel_%u", k);
			put(m, &n);
		}
	}
}

/* 0, or 1 after a line on stderr. */
static int make(const char *dir, uint64_t wanted)
{
	struct maker *m = calloc(1, sizeof(*m));
	struct rein_recorder *r = calloc(1, sizeof(*r));
	if (!m || !r) {
		fprintf(stderr, "bench_export: out of memory\n");
		return 1;
	}
	m->recorder = r;
	m->wanted = wanted;
	rein_recorder_init(r, dir, (gid_t)-1);
	r->segment_bytes = SEGMENT_BYTES;
	r->segments = SEGMENTS;
	for (unsigned i = 0; i < CLIENTS; i++)
		m->client[i].now_ns = REIN_S + i * 100 * REIN_US;
	put_names(m);
	for (uint64_t now_ns = REIN_S; m->made < wanted; now_ns += PASS_NS)
		for (unsigned i = 0; i < CLIENTS; i++) {
			tell_gpu(m, &m->client[i], now_ns);
			while (m->client[i].now_ns < now_ns)
				request(m, i);
		}
	rein_recorder_close(r, rein_now_ns());
	bool failed = r->failing || r->lost;
	if (failed)
		fprintf(stderr, "bench_export: cannot write to %s; is there room for %u MiB?\n",
		        dir, (unsigned)(wanted * 64 >> 20));
	free(r);
	free(m);
	return failed;
}

/* In a process of its own, whose memory is that of the export. */
static int export(const char *dir, const char *file)
{
	static struct rein_recording recording;
	const struct rein_export_wish wish = {0};
	struct rein_export_result result;
	char why[256];
	if (rein_recording_open(&recording, dir, why, sizeof(why))) {
		fprintf(stderr, "bench_export: %s\n", why);
		return 1;
	}
	FILE *out = fopen(file, "we");
	int err =
	    out ? rein_export_write(out, REIN_EXPORT_PERFETTO, &recording, &wish, &result) : -errno;
	if (out && fclose(out) != 0 && !err)
		err = -errno;
	if (err)
		fprintf(stderr, "bench_export: %s: %s\n", file, strerror(-err));
	return err != 0;
}

static void clean(const char *dir, const char *file)
{
	char events[PATH_MAX], path[PATH_MAX];
	snprintf(events, sizeof(events), "%.2000s/%s", dir, REIN_RECORDING_DIR);
	DIR *d = opendir(events);
	for (const struct dirent *e; d && (e = readdir(d));) {
		snprintf(path, sizeof(path), "%.2000s/%.200s", events, e->d_name);
		if (rein_segment_number(e->d_name))
			unlink(path);
	}
	if (d)
		closedir(d);
	rmdir(events);
	unlink(file);
}

static int write_figures(const char *out, uint64_t events, double seconds, double cpu_seconds,
                         double mib, uint64_t bytes)
{
	char path[PATH_MAX];
	struct wl_out o;
	snprintf(path, sizeof(path), "%.2000s/export.json", out);
	wl_out_file(&o, path);
	wl_out_object(&o, NULL);
	wl_out_uint(&o, "schema_version", 1);
	wl_out_uint(&o, "events", events);
	wl_out_double(&o, "seconds", seconds);
	wl_out_double(&o, "cpu_seconds", cpu_seconds);
	wl_out_double(&o, "memory_mib", mib);
	wl_out_uint(&o, "file_bytes", bytes);
	wl_out_uint(&o, "wanted_seconds", WANTED_S);
	wl_out_uint(&o, "wanted_mib", WANTED_MIB);
	wl_out_end(&o);
	if (wl_out_close(&o))
		return 1;
	printf("\n%s\n", path);
	return 0;
}

static int run(const char *out, uint64_t events)
{
	char dir[PATH_MAX / 2], file[PATH_MAX];
	struct wl_table t = {.columns = 5};
	struct rusage used;
	struct stat st = {0};
	int status = 1;
	snprintf(dir, sizeof(dir), "%.1900s/export", out);
	snprintf(file, sizeof(file), "%s/trace", dir);
	if (wl_make_folder(dir))
		return 1;
	clean(dir, file);
	if (make(dir, events)) {
		clean(dir, file);
		return 1;
	}
	uint64_t began_ns = wl_now_ns();
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0)
		_exit(export(dir, file));
	if (pid < 0 || wait4(pid, &status, 0, &used) < 0 || status != 0)
		status = 1;
	double seconds = (double)(wl_now_ns() - began_ns) / 1e9;
	(void)stat(file, &st);
	clean(dir, file);
	rmdir(dir);
	if (status)
		return 1;
	double mib = (double)used.ru_maxrss / 1024;
	double cpu_seconds = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
	                     (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
	wl_table_row(&t, "events", "s", "s of one CPU", "MiB of memory", "MB of trace");
	wl_table_row(&t, wl_cell("%llu", (unsigned long long)events),
	             wl_cell("%.1f%s", seconds, seconds > WANTED_S ? " missed" : ""),
	             wl_cell("%.1f", cpu_seconds),
	             wl_cell("%.0f%s", mib, mib > WANTED_MIB ? " missed" : ""),
	             wl_cell("%.0f", (double)st.st_size / 1e6));
	printf("\nOne export of a recording to Perfetto's format; wanted for %u events: %d s, %d "
	       "MiB.\n\n",
	       EVENTS, WANTED_S, WANTED_MIB);
	wl_table_markdown(&t, stdout);
	return write_figures(out, events, seconds, cpu_seconds, mib, (uint64_t)st.st_size);
}

static const char usage[] =
    "usage: bench_export [--events N] [--out DIR]\n"
    "  --events N     how many (default: 10000000, which take 640 MB on disk "
    "and the trace as much again)\n"
    "  --out DIR      where export.json goes, and the recording meanwhile "
    "(default: bench/ in the build folder)\n"
    "Exit status: 0 done, 1 a measurement failed, 2 usage.\n";

int main(int argc, char **argv)
{
	static const struct option options[] = {
	    {"out", 1, 0, 'o'}, {"events", 1, 0, 'e'}, {"help", 0, 0, 'h'}, {0}};
	char build[PATH_MAX / 2], out[PATH_MAX / 2];
	uint64_t events = EVENTS;
	int c;
	if (wl_build_folder(build, sizeof(build)))
		return 1;
	snprintf(out, sizeof(out), "%.1900s/bench", build);
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'e') {
			events = wl_option_integer("--events", optarg, 1000, 15000000);
		} else if (c == 'o') {
			snprintf(out, sizeof(out), "%s", optarg);
		} else {
			wl_option_usage(c, usage);
		}
	}
	wl_option_no_more(argc, argv, usage);
	return wl_make_folder(out) ? 1 : run(out, events);
}
