// SPDX-License-Identifier: Apache-2.0
/*
 * bench_softgpu.c: how fast the software GPU itself is: instructions a core executes in a second,
 * by the interpreter alone (its archive is linked in); and, in processes that know only CUDA (this
 * program again, --child), what attaching, a first launch and a small launch take. The medians of
 * the rounds are printed beside what is wanted.
 */
#include <dlfcn.h>
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cuda.h>

#include "lib/child.h"
#include "lib/clock.h"
#include "lib/daemon.h"
#include "lib/gpu.h"
#include "lib/jsonfile.h"
#include "lib/options.h"
#include "lib/probe.h"
#include "lib/stats.h"
#include "lib/table.h"
#include "softgpu/image.h"
#include "softgpu/ptx.h"

WL_EMBED(bench_fatbin, BENCH_FATBIN);

#define CHILD_FLAG "--child"
#define CHILD_TIMEOUT_MS 30000
#define ROUNDS_MAX 99
#define ELEMENTS (1 << 16) /* of vectorAdd: all of it fits a core's cache */
#define SIZE 256           /* of the matrices */
#define BURST 1000         /* small launches behind each other; fewer than a queue holds */
#define BURSTS 5           /* the best of so many counts */
#define PAIRS 500          /* small launches, each waited for */

enum what { ADD_RATE, MATMUL_RATE, ATTACH, FIRST, SMALL, PAIR, WHATS };
static const struct {
	const char *key, *title, *unit;
	double wanted; /* 0: nothing is */
	bool least;    /* at least; else at most */
} figures[WHATS] = {
    {"vector_add", "vectorAdd, one core", "million thread instructions/s", 1000, true},
    {"matmul", "matrix product by tiles, one core", "million thread instructions/s", 1000, true},
    {"attach", "cuInit and a context", "ms", 20, false},
    {"first_launch", "module load, first launch, wait", "ms", 1, false},
    {"small_launch", "launch of 1×256 in a burst", "µs", 5, false},
    {"small_launch_and_sync", "launch of 1×256 and wait", "µs", 0, false},
};

/* ---- the child: attaches, launches, prints four numbers */
static void *driver;

static void *need(const char *name)
{
	void *f = dlsym(driver, name);
	if (!f) {
		fprintf(stderr, "bench_softgpu: %s\n", dlerror());
		exit(1);
	}
	return f;
}

static void ok(CUresult r, const char *what)
{
	if (r) {
		fprintf(stderr, "bench_softgpu: %s failed with CUDA error %d\n", what, (int)r);
		exit(1);
	}
}

static double since_us(uint64_t t0)
{
	return (double)(wl_now_ns() - t0) / 1e3;
}

static int child(void)
{
	CUcontext context;
	CUmodule module;
	CUfunction f;
	CUdeviceptr p;
	int n = 256;
	driver = dlopen("libcuda.so.1", RTLD_NOW);
	if (!driver) {
		fprintf(stderr, "bench_softgpu: %s\n", dlerror());
		return 1;
	}
	typeof(cuInit) *init = need("cuInit");
	typeof(cuDevicePrimaryCtxRetain) *retain = need("cuDevicePrimaryCtxRetain");
	typeof(cuCtxSetCurrent) *set_current = need("cuCtxSetCurrent");
	typeof(cuMemAlloc) *alloc = need("cuMemAlloc_v2");
	typeof(cuModuleLoadData) *load = need("cuModuleLoadData");
	typeof(cuModuleGetFunction) *get = need("cuModuleGetFunction");
	typeof(cuLaunchKernel) *launch = need("cuLaunchKernel");
	typeof(cuCtxSynchronize) *sync = need("cuCtxSynchronize");
	uint64_t t0 = wl_now_ns();
	ok(init(0), "cuInit");
	ok(retain(&context, 0), "cuDevicePrimaryCtxRetain");
	ok(set_current(context), "cuCtxSetCurrent");
	double attach = since_us(t0);
	ok(alloc(&p, 3 * 1024), "cuMemAlloc");
	CUdeviceptr b = p + 1024, c = p + 2048;
	void *args[] = {&p, &b, &c, &n};
	t0 = wl_now_ns();
	ok(load(&module, bench_fatbin), "cuModuleLoadData");
	ok(get(&f, module, "vectorAdd"), "cuModuleGetFunction");
	ok(launch(f, 1, 1, 1, 256, 1, 1, 0, NULL, args, NULL), "cuLaunchKernel");
	ok(sync(), "cuCtxSynchronize");
	double first = since_us(t0);
	for (int i = 0; i < BURST; i++) /* warm */
		ok(launch(f, 1, 1, 1, 256, 1, 1, 0, NULL, args, NULL), "cuLaunchKernel");
	ok(sync(), "cuCtxSynchronize");
	double burst = INFINITY; /* what the machine takes from us makes one slower only */
	for (int k = 0; k < BURSTS; k++) {
		t0 = wl_now_ns();
		for (int i = 0; i < BURST; i++)
			ok(launch(f, 1, 1, 1, 256, 1, 1, 0, NULL, args, NULL), "cuLaunchKernel");
		ok(sync(), "cuCtxSynchronize");
		burst = fmin(burst, since_us(t0) / BURST);
	}
	t0 = wl_now_ns();
	for (int i = 0; i < PAIRS; i++) {
		ok(launch(f, 1, 1, 1, 256, 1, 1, 0, NULL, args, NULL), "cuLaunchKernel");
		ok(sync(), "cuCtxSynchronize");
	}
	printf("result %.4f %.4f %.4f %.4f\n", attach / 1e3, first / 1e3, burst,
	       since_us(t0) / PAIRS);
	return 0;
}

static int run_child(const char *build, unsigned round, double ns[WHATS][ROUNDS_MAX])
{
	static struct wl_child c;
	char library[PATH_MAX], shm[64], text[64];
	char *argv[] = {"/proc/self/exe", CHILD_FLAG, NULL};
	char *env[] = {library, shm, "SOFTGPU_MODE=fast", "LD_PRELOAD", NULL};
	struct wl_child *const one[] = {&c};
	uint64_t end = wl_now_ns() + CHILD_TIMEOUT_MS * 1000000ull;
	snprintf(library, sizeof(library), "LD_LIBRARY_PATH=%s/softgpu", build);
	snprintf(shm, sizeof(shm), "SOFTGPU_SHM=bench-%d", (int)getpid());
	int r = wl_child_start(&c, "bench child", argv, env);
	if (r) {
		fprintf(stderr, "bench_softgpu: cannot start itself: %s\n", strerror(-r));
		return -1;
	}
	while (c.pid && wl_now_ns() < end && wl_child_watch(one, 1, 100) >= 0)
		continue;
	const char *at = strstr(c.out, "result ");
	int n = at ? sscanf(at, "result %lf %lf %lf %lf", &ns[ATTACH][round], &ns[FIRST][round],
	                    &ns[SMALL][round], &ns[PAIR][round])
	           : 0;
	bool good = wl_child_ok(&c) && n == 4;
	if (!good)
		fprintf(stderr, "bench_softgpu: the measuring child gave no result (%s): %s\n",
		        wl_child_describe(&c, text, sizeof(text)), c.out);
	wl_child_stop(&c, SIGKILL, 1000);
	return good ? 0 : -1;
}

/* ---- the interpreter alone: memory of this process, on one thread */
static bool anywhere(void *self, uint64_t addr, uint64_t size, uint64_t *lo, uint64_t *hi)
{
	*lo = 4096;
	*hi = UINT64_MAX >> 1;
	return addr >= *lo && addr < *hi;
}
static void *get_memory(void *self, size_t size, size_t align)
{
	void *p = NULL;
	return posix_memalign(&p, align < 64 ? 64 : align, size) ? NULL : p;
}
static void free_memory(void *self, void *p)
{
	free(p);
}

static double cpu_seconds(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Million thread instructions a second; negative after one line. */
static double rate(const struct ptx_module *m, const char *name, struct ptx_launch *l,
                   const struct ptx_memory *mem)
{
	struct ptx_result r;
	struct ptx_error e;
	double best = 0;
	for (int i = 0; i < 5; i++) { /* what the machine takes from us makes one slower only */
		double t0 = cpu_seconds();
		if (ptx_run(ptx_kernel_find(m, name), l, mem, &r, &e) != PTX_OK) {
			fprintf(stderr, "bench_softgpu: %s: %s\n", name, e.text);
			return -1;
		}
		double now = (double)r.thread_instructions / (cpu_seconds() - t0) / 1e6;
		best = now > best ? now : best;
	}
	return best;
}

static int measure_rates(double v[WHATS][ROUNDS_MAX], unsigned rounds)
{
	const struct ptx_memory mem = {.check = anywhere, .alloc = get_memory, .free = free_memory};
	struct ptx_error e = {0};
	struct ptx_module *m;
	char *text;
	size_t len;
	if (image_find_ptx(bench_fatbin, SIZE_MAX, 90, &text, &len, &e) != IMAGE_PTX ||
	    ptx_module_load(text, len, &mem, &m, &e) != PTX_OK) {
		fprintf(stderr, "bench_softgpu: %s\n", e.text);
		return -1;
	}
	struct {
		float *a, *b, *c;
		int n;
	} p = {calloc(ELEMENTS, 4), calloc(ELEMENTS, 4), calloc(ELEMENTS, 4), ELEMENTS};
	int r = p.a && p.b && p.c ? 0 : -1;
	for (unsigned i = 0; i < rounds && !r; i++) {
		struct ptx_launch add = {.grid = {ELEMENTS / 256, 1, 1},
		                         .block = {256, 1, 1},
		                         .params = &p,
		                         .n_sms = 1,
		                         .max_workers = 1};
		struct ptx_launch product = add;
		p.n = ELEMENTS;
		v[ADD_RATE][i] = rate(m, "vectorAdd", &add, &mem);
		p.n = SIZE;
		product.grid[0] = product.grid[1] = SIZE / 16;
		product.block[0] = product.block[1] = 16;
		v[MATMUL_RATE][i] = rate(m, "matmul", &product, &mem);
		if (v[ADD_RATE][i] < 0 || v[MATMUL_RATE][i] < 0)
			r = -1;
	}
	free(p.a);
	free(p.b);
	free(p.c);
	ptx_module_free(m);
	free(text);
	return r;
}

/* ---- telling */
static int tell(double v[WHATS][ROUNDS_MAX], unsigned rounds, const char *out)
{
	struct wl_table t = {.columns = 5};
	json_t *rows = json_array();
	char path[PATH_MAX];
	wl_table_row(&t, "software GPU", "median", "quartiles", "unit", "wanted");
	for (int w = 0; w < WHATS; w++) {
		struct wl_spread s = wl_spread(v[w], rounds);
		bool met = figures[w].least ? s.median >= figures[w].wanted
		                            : s.median <= figures[w].wanted;
		const char *digits = s.median >= 100 ? "%.0f" : "%.2f";
		const char *wanted = "";
		char median[32], q1[32], q3[32];
		snprintf(median, sizeof(median), digits[2] == '0' ? "%.0f" : "%.2f", s.median);
		snprintf(q1, sizeof(q1), digits[2] == '0' ? "%.0f" : "%.2f", s.q1);
		snprintf(q3, sizeof(q3), digits[2] == '0' ? "%.0f" : "%.2f", s.q3);
		if (figures[w].wanted > 0)
			wanted = wl_cell("%s %.0f: %s", figures[w].least ? "≥" : "≤",
			                 figures[w].wanted, met ? "met" : "NOT met");
		wl_table_row(&t, figures[w].title, median, wl_cell("%s … %s", q1, q3),
		             figures[w].unit, wanted);
		json_t *row =
		    json_pack("{s:s, s:f, s:f, s:f, s:s}", "what", figures[w].key, "median",
		              s.median, "q1", s.q1, "q3", s.q3, "unit", figures[w].unit);
		if (figures[w].wanted > 0)
			json_object_update_new(
			    row, json_pack("{s:f, s:b}", "wanted", figures[w].wanted, "met", met));
		json_array_append_new(rows, row);
	}
	printf("\nThe software GPU on this machine's CPU, as fast as it can; medians of %u "
	       "rounds.\n\n",
	       rounds);
	wl_table_markdown(&t, stdout);
	json_t *root =
	    json_pack("{s:i, s:i, s:o}", "schema_version", 1, "rounds", (int)rounds, "rows", rows);
	snprintf(path, sizeof(path), "%s/softgpu.json", out);
	if (wl_json_write_indented(root, path))
		return -1;
	printf("\n%s\n", path);
	return 0;
}

static const char usage[] =
    "usage: bench_softgpu [options]\n"
    "  --out DIR      where softgpu.json goes (default: bench/ in the build folder)\n"
    "  --rounds N     rounds of each measurement (default 11)\n"
    "Exit status: 0 done, 1 a measurement failed, 2 usage.\n";

int main(int argc, char **argv)
{
	static const struct option options[] = {
	    {"out", 1, 0, 'o'}, {"rounds", 1, 0, 'r'}, {"help", 0, 0, 'h'}, {0}};
	static double v[WHATS][ROUNDS_MAX];
	char build[PATH_MAX / 2], out[PATH_MAX / 2];
	unsigned rounds = 11;
	int c;
	if (argc == 2 && strcmp(argv[1], CHILD_FLAG) == 0)
		return child();
	if (wl_build_folder(build, sizeof(build)))
		return 1;
	snprintf(out, sizeof(out), "%.2000s/bench", build);
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'o') {
			snprintf(out, sizeof(out), "%s", optarg);
		} else if (c == 'r') {
			rounds = (unsigned)wl_option_integer("--rounds", optarg, 1, ROUNDS_MAX);
		} else {
			wl_option_usage(c, usage);
		}
	}
	wl_option_no_more(argc, argv, usage);
	if (wl_make_folder(out) || measure_rates(v, rounds))
		return 1;
	for (unsigned i = 0; i < rounds; i++)
		if (run_child(build, i, v))
			return 1;
	return tell(v, rounds, out) ? 1 : 0;
}
