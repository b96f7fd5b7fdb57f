// SPDX-License-Identifier: Apache-2.0
/*
 * bench.c: what the shim adds to a launch, with an open gate. The driver is workloads/null, which
 * does nothing, so that the difference between with and without is the shim alone. Each figure
 * comes from child processes (this program again, --child) that alternate: without the shim,
 * with it and no daemon, with it and joined to a private daemon; rounds are paired, and the
 * medians and quartiles of the paired differences are printed, with the target where there is one.
 *
 * "isolated" is a launch among other work of a program that is active: the first-level cache has
 * been filled with other things since the last one. A launch and a synchronise, and a launch after
 * idleness, are rows of their own: there the daemon is told, unless the program is alone, as here
 * (abi.h, REIN_CONTROL_IDLE_LATE); the overhead stage of gpu-check asks beside a neighbour too. "8
 * threads" is CPU time of each thread. "events" is with event records on ([daemon] events):
 * recorded, by a daemon that reads them as they come; or unread, by one that is stopped, which
 * leaves the launching thread's own cost. "two devices" is a process that has used both: its
 * default streams are then looked up by context.
 *
 * Also: what preloading costs a program that never uses CUDA (/bin/true).
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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
#define CHILD_TWO_FLAG "--child-two"
#define CHILD_TIMEOUT_NS 60000000000ull
#define ROUNDS_MAX 99
#define BATCH 2000       /* launches per timing in a burst */
#define BATCHES 200      /* timings; their median counts */
#define ISOLATED 4000    /* launches, each after other work */
#define OTHER_WORK 65536 /* bytes that it reads: more than a first-level data cache */
#define THREADS 8
#define THREAD_BATCHES 40
#define AFTER_IDLE 200         /* launches, each after a synchronise and a pause */
#define PAUSE_NS 400000        /* longer than any linger: the GPU is idle */
#define PAIRS 20000            /* of launch and synchronise, back to back */
#define TRUE_RUNS 15           /* of /bin/true, each way, per round */
#define STOP_ENV "BENCH_STOP"  /* the daemon that the child stops while it measures */
#define RECORDED_MIN (1 << 20) /* bytes; the bench launches far more */

/* the last two in a process with two devices */
enum what { BURST, ALONE, CROWD, CROWD_SHARED, PAIR, IDLE, TWO_BURST, TWO_DEFAULT, WHATS };
#define TWO_FIRST TWO_BURST
enum how { NATIVE, NO_DAEMON, DAEMON, UNREAD, RECORDED, HOWS };

static const struct {
	const char *daemon, *events; /* the column; in launch.json */
} hows[HOWS] = {{"", ""},
                {"none", "off"},
                {"joined", "off"},
                {"joined, events unread", "unread"},
                {"joined, events recorded", "recorded"}};

static const struct {
	const char *key, *title;
	double target_ns, traced_ns; /* added, with the daemon, and with events; 0: none */
} whats[WHATS] = {
    {"burst", "launch in a burst", 25, 60},
    {"isolated", "isolated launch", 60, 0},
    {"threads_8", "8 threads, a stream each", 60, 0},
    {"threads_8_shared", "8 threads, one stream", 0, 0},
    {"launch_and_sync", "launch + synchronise, back to back", 0, 0},
    {"after_idle", "launch after 0.4 ms of idleness", 0, 0},
    {"burst_two_devices", "burst, two devices", 25, 0},
    {"burst_two_devices_default", "burst, two devices, default stream", 60, 0},
};

struct bench {
	char build[PATH_MAX / 2], out[PATH_MAX / 2], run[PATH_MAX / 2], no_run[PATH_MAX / 2];
	unsigned rounds;
	char traced_run[PATH_MAX / 2];
	struct wl_daemon daemon, traced; /* without and with event records */
	double ns[HOWS][WHATS][ROUNDS_MAX];
	double true_ms[2][ROUNDS_MAX]; /* without and with the preload */
};

extern char **environ;

/* ---- the child: measures itself and prints its numbers */

struct driver {
	CUresult (*launch)(CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
	                   unsigned, CUstream, void **, void **);
	typeof(cuCtxSetCurrent) *set_current;
	typeof(cuStreamCreate) *create;
	CUresult (*sync)(CUstream);
	CUcontext context;
	CUfunction function;
	CUstream stream;
};

static void *need(void *library, const char *name)
{
	void *f = dlsym(library, name);
	if (!f) {
		fprintf(stderr, "bench: the null driver has no %s: %s\n", name, dlerror());
		exit(1);
	}
	return f;
}

static struct driver open_driver(int device)
{
	struct driver d;
	CUmodule module;
	void *lib = dlopen("libcuda.so.1", RTLD_NOW);
	if (!lib) {
		fprintf(stderr, "bench: %s\n", dlerror());
		exit(1);
	}
	typeof(cuInit) *init = need(lib, "cuInit");
	typeof(cuDevicePrimaryCtxRetain) *retain = need(lib, "cuDevicePrimaryCtxRetain");
	typeof(cuModuleLoadData) *load = need(lib, "cuModuleLoadData");
	typeof(cuModuleGetFunction) *get = need(lib, "cuModuleGetFunction");
	d.set_current = need(lib, "cuCtxSetCurrent");
	d.create = need(lib, "cuStreamCreate");
	d.launch = need(lib, "cuLaunchKernel");
	d.sync = need(lib, "cuStreamSynchronize");
	if (init(0) || retain(&d.context, device) || d.set_current(d.context) ||
	    load(&module, "") || get(&d.function, module, "null") ||
	    d.create(&d.stream, CU_STREAM_NON_BLOCKING)) {
		fprintf(stderr, "bench: the null driver refuses to start\n");
		exit(1);
	}
	return d;
}

static inline void launch(const struct driver *d)
{
	d->launch(d->function, 1, 1, 1, 1, 1, 1, 0, d->stream, NULL, NULL);
}

static void wait_ns(uint64_t ns)
{
	uint64_t end = wl_now_ns() + ns;
	while (wl_now_ns() < end)
		;
}

static double measure_burst(const struct driver *d)
{
	static double batch[BATCHES];
	for (int b = 0; b < BATCHES; b++) {
		uint64_t t0 = wl_now_ns();
		for (int i = 0; i < BATCH; i++)
			launch(d);
		batch[b] = (double)(wl_now_ns() - t0) / BATCH;
	}
	d->sync(d->stream);
	return wl_spread(batch, BATCHES).median;
}

static double measure_pairs(const struct driver *d)
{
	static double batch[PAIRS / 200];
	for (int b = 0; b < PAIRS / 200; b++) {
		uint64_t t0 = wl_now_ns();
		for (int i = 0; i < 200; i++) {
			launch(d);
			d->sync(d->stream);
		}
		batch[b] = (double)(wl_now_ns() - t0) / 200;
	}
	return wl_spread(batch, PAIRS / 200).median;
}

/* one launch at a time: the clock's own cost is in both sides and cancels */
static double measure_after_idle(const struct driver *d)
{
	static double one[AFTER_IDLE];
	for (int i = 0; i < AFTER_IDLE; i++) {
		d->sync(d->stream);
		wait_ns(PAUSE_NS);
		uint64_t t0 = wl_now_ns();
		launch(d);
		one[i] = (double)(wl_now_ns() - t0);
	}
	return wl_spread(one, AFTER_IDLE).median;
}

static double measure_isolated(const struct driver *d)
{
	static double one[ISOLATED];
	static volatile char other[OTHER_WORK];
	for (int i = 0; i < ISOLATED; i++) {
		for (size_t k = 0; k < OTHER_WORK; k += 64)
			(void)other[k];
		uint64_t t0 = wl_now_ns();
		launch(d);
		one[i] = (double)(wl_now_ns() - t0);
	}
	d->sync(d->stream);
	return wl_spread(one, ISOLATED).median;
}

/* ---- eight threads at once */

struct crowd {
	struct driver driver; /* with this thread's stream */
	pthread_barrier_t *start;
	double ns;
};

static double thread_cpu_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void *crowd_main(void *arg)
{
	struct crowd *c = arg;
	double batch[THREAD_BATCHES];
	c->driver.set_current(c->driver.context);
	launch(&c->driver);
	pthread_barrier_wait(c->start);
	for (int b = 0; b < THREAD_BATCHES; b++) {
		double t0 = thread_cpu_ns();
		for (int i = 0; i < BATCH; i++)
			launch(&c->driver);
		batch[b] = (thread_cpu_ns() - t0) / BATCH;
	}
	c->ns = wl_spread(batch, THREAD_BATCHES).median;
	return NULL;
}

/* CPU time of a launch, the median thread's */
static double measure_crowd(const struct driver *d, int one_stream)
{
	struct crowd crowd[THREADS];
	pthread_t thread[THREADS];
	pthread_barrier_t start;
	double ns[THREADS];
	pthread_barrier_init(&start, NULL, THREADS);
	for (int i = 0; i < THREADS; i++) {
		crowd[i] = (struct crowd){.driver = *d, .start = &start};
		if ((!one_stream && d->create(&crowd[i].driver.stream, CU_STREAM_NON_BLOCKING)) ||
		    pthread_create(&thread[i], NULL, crowd_main, &crowd[i])) {
			fprintf(stderr, "bench: cannot start %d threads\n", THREADS);
			exit(1);
		}
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(thread[i], NULL);
		ns[i] = crowd[i].ns;
		d->sync(crowd[i].driver.stream);
	}
	pthread_barrier_destroy(&start);
	return wl_spread(ns, THREADS).median;
}

/* ---- what a child measures */

static void warm_up(const struct driver *d)
{
	for (int i = 0; i < BATCH; i++) /* joins, warms up */
		launch(d);
	d->sync(d->stream);
	wait_ns(20000000);
}

/* No reader: its last moments of reading are over when the others begin. */
static void signal_daemon(int signal)
{
	const char *pid = getenv(STOP_ENV);
	if (pid && kill((pid_t)atoi(pid), signal)) {
		perror("bench: the daemon");
		exit(1);
	}
}

static void measure_one_device(double *ns)
{
	struct driver d = open_driver(0);
	warm_up(&d);
	signal_daemon(SIGSTOP);
	ns[BURST] = measure_burst(&d);
	ns[ALONE] = measure_isolated(&d);
	ns[CROWD] = measure_crowd(&d, 0);
	signal_daemon(SIGCONT); /* what follows talks to it */
	ns[CROWD_SHARED] = measure_crowd(&d, 1);
	ns[PAIR] = measure_pairs(&d);
	ns[IDLE] = measure_after_idle(&d);
}

static void measure_two_devices(double *ns)
{
	struct driver second = open_driver(1), d = open_driver(0);
	second.set_current(second.context);
	warm_up(&second);
	d.set_current(d.context);
	warm_up(&d);
	ns[TWO_BURST] = measure_burst(&d);
	d.stream = NULL;
	warm_up(&d);
	ns[TWO_DEFAULT] = measure_burst(&d);
}

static int child(bool two)
{
	double ns[WHATS];
	if (two)
		measure_two_devices(ns);
	else
		measure_one_device(ns);
	printf("result");
	for (int w = two ? TWO_FIRST : 0; w < (two ? WHATS : TWO_FIRST); w++)
		printf(" %.4f", ns[w]);
	printf(" end\n");
	fflush(stdout);
	pause(); /* until the parent has seen that we are still joined */
	return 0;
}

/* ---- the parent */

/* "result 1.5 2.5 end": the numbers from `first` to before `last`; true if they are all there. */
static bool read_result(const char *text, double *v, int first, int last)
{
	const char *at = strstr(text, "result ");
	if (!at || !strstr(at, " end\n"))
		return false;
	at += strlen("result");
	for (int w = first; w < last; w++) {
		char *end;
		v[w] = strtod(at, &end);
		if (end == at)
			return false;
		at = end;
	}
	return true;
}

static int take_result(struct bench *b, struct wl_child *c, enum how how, unsigned round, bool two)
{
	char text[64];
	struct wl_child *const one[] = {c};
	uint64_t end = wl_now_ns() + CHILD_TIMEOUT_NS;
	int first = two ? TWO_FIRST : 0, last = two ? WHATS : TWO_FIRST;
	double v[WHATS];
	bool done = false;
	while (!done && c->pid && wl_now_ns() < end) {
		done = read_result(c->out, v, first, last);
		if (!done && wl_child_watch(one, 1, 100) == -EINTR)
			return -1;
	}
	if (!done || c->pid == 0) {
		fprintf(stderr, "bench: the measuring child gave no result (%s): %s\n",
		        wl_child_describe(c, text, sizeof(text)), c->out);
		return -1;
	}
	for (int w = first; w < last; w++)
		b->ns[how][w][round] = v[w];
	return 0;
}

static int measure_one(struct bench *b, enum how how, unsigned round, bool two)
{
	static struct wl_child c;
	char library[PATH_MAX], preload[PATH_MAX], run[PATH_MAX], devices[32], stop[32];
	char *argv[] = {"/proc/self/exe", two ? CHILD_TWO_FLAG : CHILD_FLAG, NULL};
	char *env[] = {library, run, preload, devices, how == UNREAD ? stop : NULL, NULL};
	struct wl_daemon *daemon = how >= UNREAD ? &b->traced : &b->daemon;
	snprintf(library, sizeof(library), "LD_LIBRARY_PATH=%s/workloads/null", b->build);
	snprintf(run, sizeof(run), "REIN_RUN_DIR=%s", how >= DAEMON ? daemon->run : b->no_run);
	snprintf(stop, sizeof(stop), STOP_ENV "=%d", (int)daemon->child.pid);
	snprintf(devices, sizeof(devices), "NULL_DEVICES=%d", two ? 2 : 1);
	if (how == NATIVE)
		snprintf(preload, sizeof(preload), "LD_PRELOAD");
	else
		snprintf(preload, sizeof(preload), "LD_PRELOAD=%s/librein.so", b->build);
	int r = wl_child_start(&c, "bench child", argv, env);
	if (r) {
		fprintf(stderr, "bench: cannot start itself: %s\n", strerror(-r));
		return -1;
	}
	r = take_result(b, &c, how, round, two);
	if (how == UNREAD)
		kill(daemon->child.pid, SIGCONT); /* the child may have failed */
	if (!r && how >= DAEMON && wl_daemon_has(daemon, &c.pid, 1)) {
		fprintf(stderr, "bench: %s\n", daemon->why);
		r = -1;
	}
	wl_child_stop(&c, SIGTERM, 2000);
	return r;
}

static int measure_launches(struct bench *b)
{
	for (unsigned round = 0; round < b->rounds; round++) {
		if (isatty(2))
			fprintf(stderr, "\r\033[Kbench: round %u of %u", round + 1, b->rounds);
		/* alternate the order, so that a drift of the machine favours nobody */
		for (int i = 0; i < HOWS; i++) {
			enum how how = (enum how)(round % 2 ? HOWS - 1 - i : i);
			if (measure_one(b, how, round, false) ||
			    (how <= DAEMON && measure_one(b, how, round, true)))
				return -1;
		}
	}
	return 0;
}

static double one_true_ms(char *const env[])
{
	char *argv[] = {"/bin/true", NULL};
	pid_t pid;
	int status;
	uint64_t t0 = wl_now_ns();
	int e = posix_spawn(&pid, argv[0], NULL, NULL, argv, env);
	if (e || waitpid(pid, &status, 0) != pid || status != 0) {
		fprintf(stderr, "bench: cannot run /bin/true: %s\n", strerror(e ? e : errno));
		return -1;
	}
	return (double)(wl_now_ns() - t0) / 1e6;
}

static int measure_true(struct bench *b)
{
	char preload[PATH_MAX];
	char *plain[] = {"PATH=/bin", NULL}, *with[] = {"PATH=/bin", preload, NULL};
	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s/librein.so", b->build);
	for (unsigned round = 0; round < b->rounds; round++) {
		double ms[2][TRUE_RUNS];
		for (int i = 0; i < TRUE_RUNS; i++) {
			ms[0][i] = one_true_ms(plain);
			ms[1][i] = one_true_ms(with);
			if (ms[0][i] < 0 || ms[1][i] < 0)
				return -1;
		}
		b->true_ms[0][round] = wl_spread(ms[0], TRUE_RUNS).median;
		b->true_ms[1][round] = wl_spread(ms[1], TRUE_RUNS).median;
	}
	return 0;
}

/* ---- telling */

static struct wl_spread spread_of(const double *v, unsigned n)
{
	double copy[ROUNDS_MAX];
	memcpy(copy, v, n * sizeof(v[0]));
	return wl_spread(copy, n);
}

static struct wl_spread difference(const double *a, const double *b, unsigned n)
{
	double d[ROUNDS_MAX];
	for (unsigned i = 0; i < n; i++)
		d[i] = b[i] - a[i];
	return wl_spread(d, n);
}

static void tell_one(const struct bench *b, struct wl_table *t, json_t *rows, enum how how,
                     enum what what)
{
	struct wl_spread native = spread_of(b->ns[NATIVE][what], b->rounds),
			 rein = spread_of(b->ns[how][what], b->rounds),
			 added = difference(b->ns[NATIVE][what], b->ns[how][what], b->rounds);
	double ratio = native.median > 0 ? rein.median / native.median : 0;
	double target = how > DAEMON    ? whats[what].traced_ns
	                : how == DAEMON ? whats[what].target_ns
	                                : 0;
	wl_table_row(t, whats[what].title, hows[how].daemon, wl_cell("%.1f", native.median),
	             wl_cell("%.1f", rein.median), wl_cell("%.1f", added.median),
	             wl_cell("%.1f … %.1f", added.q1, added.q3), wl_cell("%.2f×", ratio),
	             target > 0 ? wl_cell("%.0f%s", target, added.median > target ? " missed" : "")
	                        : "");
	json_t *row =
	    json_pack("{s:s, s:b, s:s, s:f, s:f, s:f, s:f, s:f, s:f}", "what", whats[what].key,
	              "daemon", how >= DAEMON, "events", hows[how].events, "native_ns",
	              native.median, "rein_ns", rein.median, "added_ns", added.median,
	              "added_q1_ns", added.q1, "added_q3_ns", added.q3, "ratio", ratio);
	if (target > 0)
		json_object_set_new(row, "target_ns", json_real(target));
	json_array_append_new(rows, row);
}

static void cpu_model(char *buf, size_t len)
{
	char line[256];
	FILE *f = fopen("/proc/cpuinfo", "re");
	snprintf(buf, len, "unknown");
	while (f && fgets(line, sizeof(line), f)) {
		char *at = strstr(line, ": ");
		if (at && strncmp(line, "model name", 10) == 0) {
			snprintf(buf, len, "%.*s", (int)strcspn(at + 2, "\n"), at + 2);
			break;
		}
	}
	if (f)
		fclose(f);
}

static int tell(const struct bench *b)
{
	struct wl_table t = {.columns = 8};
	struct wl_spread plain = spread_of(b->true_ms[0], b->rounds),
			 with = spread_of(b->true_ms[1], b->rounds),
			 added = difference(b->true_ms[0], b->true_ms[1], b->rounds);
	char cpu[128], path[PATH_MAX];
	json_t *rows = json_array();
	wl_table_row(&t, "null driver", "daemon", "native ns", "with rein ns", "added ns",
	             "quartiles", "ratio", "target");
	for (int w = 0; w < WHATS; w++)
		for (int how = DAEMON; how > NATIVE; how--)
			tell_one(b, &t, rows, (enum how)how, (enum what)w);
	for (int w = BURST; w <= CROWD; w++)
		for (int how = UNREAD; how <= RECORDED; how++)
			tell_one(b, &t, rows, (enum how)how, (enum what)w);
	cpu_model(cpu, sizeof(cpu));
	printf(
	    "What the shim adds to a launch with an open gate: medians of %u rounds on %s, %ld "
	    "CPUs.\nThe driver does nothing, so the ratio is the worst there can be; a real launch "
	    "takes microseconds. Threads: CPU time.\n\n",
	    b->rounds, cpu, sysconf(_SC_NPROCESSORS_ONLN));
	wl_table_markdown(&t, stdout);
	printf(
	    "\nA program that never uses CUDA (/bin/true): %.3f ms, preloaded %.3f ms, added %.3f "
	    "ms (quartiles %.3f … %.3f).\n",
	    plain.median, with.median, added.median, added.q1, added.q3);
	json_t *root = json_pack(
	    "{s:i, s:s, s:i, s:i, s:s, s:o, s:{s:f, s:f, s:f}}", "schema_version", 1, "cpu", cpu,
	    "cpus", (int)sysconf(_SC_NPROCESSORS_ONLN), "rounds", (int)b->rounds, "driver", "null",
	    "rows", rows, "no_cuda_process", "native_ms", plain.median, "preloaded_ms", with.median,
	    "added_ms", added.median);
	snprintf(path, sizeof(path), "%s/launch.json", b->out);
	if (wl_json_write_indented(root, path))
		return -1;
	printf("\n%s\n", path);
	return 0;
}

static const char usage[] =
    "usage: bench [options]\n"
    "  --out DIR      where launch.json goes (default: bench/ in the build folder)\n"
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

/* The recording of the daemon with events: its bytes; removed on the way. */
static off_t remove_recording(const struct bench *b)
{
	char path[PATH_MAX];
	off_t bytes = 0;
	struct stat st;
	struct dirent *d;
	snprintf(path, sizeof(path), "%s/events", b->traced_run);
	DIR *dir = opendir(path);
	while (dir && (d = readdir(dir)) != NULL) {
		if (d->d_name[0] == '.')
			continue;
		if (fstatat(dirfd(dir), d->d_name, &st, 0) == 0)
			bytes += st.st_size;
		unlinkat(dirfd(dir), d->d_name, 0);
	}
	if (dir)
		closedir(dir);
	remove(path);
	snprintf(path, sizeof(path), "%s/rein.conf", b->traced_run);
	remove(path);
	remove(b->traced_run);
	return bytes;
}

static int stop_daemon(struct wl_daemon *d, int r)
{
	if (!wl_daemon_stop(d) || r)
		return r;
	fprintf(stderr, "bench: %s\n", d->why);
	return -1;
}

static int measure(struct bench *b)
{
	struct wl_daemon *bad = NULL;
	if (wl_daemon_start(&b->daemon, NULL))
		bad = &b->daemon;
	else if (wl_make_folder(b->traced_run) || wl_daemon_start(&b->traced, NULL))
		bad = &b->traced;
	if (bad)
		fprintf(stderr, "bench: %s\n%s", bad->why, bad->child.out);
	int r = bad ? -1 : measure_launches(b);
	if (isatty(2))
		fputs("\r\033[K", stderr);
	r = stop_daemon(&b->daemon, r);
	r = stop_daemon(&b->traced, r);
	if (remove_recording(b) < RECORDED_MIN && !r) {
		fprintf(stderr, "bench: the daemon with events recorded next to nothing\n");
		r = -1;
	}
	return r ? r : measure_true(b);
}

int main(int argc, char **argv)
{
	static struct bench b = {.rounds = 11};
	char absolute[PATH_MAX];
	if (argc == 2 && (!strcmp(argv[1], CHILD_FLAG) || !strcmp(argv[1], CHILD_TWO_FLAG)))
		return child(strcmp(argv[1], CHILD_TWO_FLAG) == 0);
	if (wl_build_folder(b.build, sizeof(b.build)))
		return 1;
	parse(&b, argc, argv);
	if (wl_make_folder(b.out))
		return 1;
	if (!realpath(b.out, absolute) || strlen(absolute) >= sizeof(b.out) - 16) {
		fprintf(stderr, "bench: %s: path unusable\n", b.out);
		return 1;
	}
	strcpy(b.out, absolute);
	snprintf(b.no_run, sizeof(b.no_run), "%.2000s/no-daemon", b.out);
	if (wl_run_folder(b.out, b.run, sizeof(b.run)) || wl_make_folder(b.no_run))
		return 1;
	b.daemon.build = b.build;
	b.daemon.run = b.run;
	snprintf(b.traced_run, sizeof(b.traced_run), "%.2000s/t", b.run);
	b.traced.build = b.build;
	b.traced.run = b.traced_run;
	b.traced.config = "[daemon]\nevents = on\n";
	int r = measure(&b);
	wl_run_folder_remove(b.out, b.run);
	return r || tell(&b) ? 1 : 0;
}
