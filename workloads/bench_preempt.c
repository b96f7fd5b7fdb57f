// SPDX-License-Identifier: Apache-2.0
/*
 * bench_preempt.c: how soon an urgent request has the GPU to itself beside a less urgent program
 * that keeps at least a hundred kernels queued, for kernels of 0.05 to 50 ms and for each gate. The
 * programs are `enemy` and `urgent`, which know nothing of rein; both check their results, so a row
 * that changed one bit of either fails. What is told of each request (lib/preempt.h): submission →
 * the other's last block ends → the request's first block begins, and when the request ended.
 *
 * Where the times come from. On the software GPU: its owner log (who had the SMs) and its order log
 * (when the request's kernels ran), which are modelled times; the programs' own stamps would be
 * times of the interpreter. On a real GPU: the stamps, %globaltimer taken by the blocks themselves;
 * a kernel that was preempted between its stamps and continued later counts as there until the
 * request's first block begins, since nobody sees when it left.
 *
 * Rows: natively; with the launch gate alone, without and with a limit on the backlog; with the
 * queue gate; with the context gate. The last two are asked of the daemon: `rein status --json`
 * lists "gates"; a gate that is not in it is "not offered here".
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/child.h"
#include "lib/clock.h"
#include "lib/daemon.h"
#include "lib/jsonfile.h"
#include "lib/measure.h"
#include "lib/options.h"
#include "lib/preempt.h"
#include "lib/probe.h"
#include "lib/table.h"

#define DEPTH 128 /* kernels that the enemy keeps queued */
#define QUEUED_MIN 100
#define URGENT_KERNELS 3 /* of 1 ms: more than a time slice, so that sharing shows */
#define URGENT_KERNEL_US 1000
#define GAP_MS 20
#define ELEMENTS_SIMULATED "256" /* as little to interpret as possible: times are declared */
#define URGENT_ELEMENTS_REAL "262144"
#define HEAD_START_NS 300000000ull /* the enemy fills its queue */
#define START_TIMEOUT_MS 60000

#define LENGTHS 4
static const unsigned length_us[LENGTHS] = {50, 500, 5000, 50000};

/* needs: the gate that the daemon must offer; allows: those that it may use in this row */
static const struct {
	const char *key, *title, *needs, *allows, *config;
} rows[] = {
    {"native", "none: native sharing", NULL, NULL, NULL},
    {"launch_unbounded", "launch, backlog unlimited", "launch", "launch",
     "[class default]\nbacklog = 10s\nbacklog_launches = 1000000\n"},
    {"launch", "launch, backlog 4 ms", "launch", "launch", "[class default]\nbacklog = 4ms\n"},
    {"queue", "queue", "queue", "launch queue", "[class default]\nbacklog = 4ms\n"},
    {"context", "context", "context", "launch queue context", "[class default]\nbacklog = 4ms\n"},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

struct cell {
	struct wl_preempt figures;
	uint64_t queued; /* by the enemy, the median */
	double enemy_units_per_s;
	struct wl_overruns overruns;
	uint64_t host_late_ns; /* the worst: how late the urgent program submitted a request */
};

struct bench {
	char build[PATH_MAX / 2], out[PATH_MAX / 2], run[PATH_MAX / 2];
	char gpu[96], config[512];
	bool simulated, lists_gates; /* the daemon says which gates it offers */
	bool offered[ROWS];
	uint64_t requests, seed;
	unsigned us[LENGTHS]; /* of the enemy's kernels */
	size_t lengths;
	struct cell cell[ROWS][LENGTHS];
	struct wl_child enemy, urgent;
	struct wl_daemon daemon;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	interrupted = sig;
}

static int fail(const struct wl_child *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static int fail(const struct wl_child *c, const char *fmt, ...)
{
	va_list ap;
	if (interrupted)
		return -1;
	fputs(isatty(2) ? "\r\033[Kbench_preempt: " : "bench_preempt: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	if (c && c->len)
		fprintf(stderr, "--- output of %s:\n%s---\n", c->name, c->out);
	return -1;
}

/* ---- the programs */

struct words {
	char text[12][PATH_MAX];
	char *list[24];
	size_t n, n_text;
};

static void word(struct words *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void word(struct words *w, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(w->text[w->n_text], PATH_MAX, fmt, ap);
	va_end(ap);
	w->list[w->n++] = w->text[w->n_text++];
}

/* Options that need no storage. */
static void fixed(struct words *w, const char *option, const char *value)
{
	w->list[w->n++] = (char *)option;
	if (value)
		w->list[w->n++] = (char *)value;
}

static void environment(const struct bench *b, size_t row, unsigned us, const char *prio,
                        struct words *e)
{
	memset(e, 0, sizeof(*e));
	if (rows[row].needs && prio) {
		word(e, "LD_PRELOAD=%s/librein.so", b->build);
		word(e, "REIN_PRIO=%s", prio);
		word(e, "REIN_RUN_DIR=%s", b->run);
	} else {
		fixed(e, "LD_PRELOAD", NULL); /* unset: natively means natively */
	}
	if (!b->simulated) {
		wl_real_library_path(b->build, e->text[e->n_text], PATH_MAX);
		e->list[e->n++] = e->text[e->n_text++];
		return;
	}
	word(e, "LD_LIBRARY_PATH=%s/softgpu", b->build);
	word(e, "SOFTGPU_TIMES=enemy_step=%uus,urgent_step=%dus", us, URGENT_KERNEL_US);
	word(e, "SOFTGPU_SHM=rein-preempt-%d", (int)getpid());
	word(e, "SOFTGPU_OWNER_LOG=%s/preempt-owner.log", b->out);
	word(e, "SOFTGPU_ORDER_LOG=%s/preempt-order.log", b->out);
	word(e, "SOFTGPU_STATS=%s/preempt-stats.log", b->out);
	fixed(e, "SOFTGPU_MODE=wall", NULL);
}

static int start(struct wl_child *c, const char *name, const struct words *argv,
                 const struct words *env)
{
	char *const *list = argv->list;
	int r = wl_child_start(c, name, list, env->list);
	return r ? fail(NULL, "cannot start %s: %s", name, strerror(-r)) : 0;
}

/* Until `c` has printed `text`, or has ended well if NULL. */
static int wait_for(struct bench *b, struct wl_child *c, const char *text, int timeout_ms)
{
	struct wl_child *const all[] = {&b->enemy, &b->urgent, &b->daemon.child};
	uint64_t end = wl_now_ns() + (uint64_t)timeout_ms * 1000000;
	char how[64];
	while (!(text && strstr(c->out, text))) {
		if (c->pid == 0 && !text && wl_child_ok(c))
			return 0;
		if (c->pid == 0)
			return fail(c, "%s: %s", c->name, wl_child_describe(c, how, sizeof(how)));
		if (wl_now_ns() > end)
			return fail(c, "%s did not %s within %d s", c->name,
			            text ? "get so far" : "end", timeout_ms / 1000);
		wl_child_watch(all, 3, 50);
		if (interrupted)
			return -1;
	}
	return 0;
}

static int start_urgent(struct bench *b, size_t row, unsigned us)
{
	static struct words a, e;
	memset(&a, 0, sizeof(a));
	environment(b, row, us, "50", &e);
	word(&a, "%s/workloads/urgent", b->build);
	fixed(&a, "--hold", NULL);
	fixed(&a, "--requests", NULL);
	word(&a, "%" PRIu64, b->requests);
	fixed(&a, "--seed", NULL);
	word(&a, "%" PRIu64, b->seed);
	fixed(&a, "--gap", NULL);
	word(&a, "%d", GAP_MS);
	fixed(&a, "--kernels", NULL);
	word(&a, "%d", URGENT_KERNELS);
	fixed(&a, "--json", NULL);
	word(&a, "%s/preempt-urgent.json", b->out);
	fixed(&a, "--elements", b->simulated ? ELEMENTS_SIMULATED : URGENT_ELEMENTS_REAL);
	fixed(&a, b->simulated ? "--iterations" : "--kernel-us", NULL);
	word(&a, "%d", b->simulated ? 1 : URGENT_KERNEL_US);
	if (!b->simulated) {
		fixed(&a, "--stamps", NULL);
		word(&a, "%s/preempt-urgent.stamps", b->out);
	}
	return start(&b->urgent, "urgent", &a, &e) ||
	       wait_for(b, &b->urgent, "urgent: running", START_TIMEOUT_MS);
}

static int start_enemy(struct bench *b, size_t row, unsigned us)
{
	static struct words a, e;
	memset(&a, 0, sizeof(a));
	environment(b, row, us, "0", &e);
	word(&a, "%s/workloads/enemy", b->build);
	fixed(&a, "--kind", "long");
	fixed(&a, "--seconds", "0");
	fixed(&a, "--check", NULL);
	fixed(&a, "--depth", NULL);
	word(&a, "%d", DEPTH);
	fixed(&a, "--seed", NULL);
	word(&a, "%" PRIu64, b->seed);
	fixed(&a, "--json", NULL);
	word(&a, "%s/preempt-enemy.json", b->out);
	if (b->simulated) {
		fixed(&a, "--elements", ELEMENTS_SIMULATED);
		fixed(&a, "--iterations", "1");
	} else {
		fixed(&a, "--kernel-us", NULL);
		word(&a, "%u", us);
		fixed(&a, "--stamps", NULL);
		word(&a, "%s/preempt-enemy.stamps", b->out);
	}
	return start(&b->enemy, "enemy", &a, &e) ||
	       wait_for(b, &b->enemy, "enemy: running", START_TIMEOUT_MS);
}

/* ---- the daemon */

static bool gate_listed(const json_t *status, const char *gate)
{
	const json_t *g;
	size_t i;
	json_array_foreach(json_object_get(status, "gates"), i,
	                   g) if (strcmp(gate, json_string_value(g) ? json_string_value(g) : "") ==
	                          0) return true;
	return false;
}

/* Which rows are possible: a daemon that lists no gates has the launch gate. */
static int ask_gates(struct bench *b)
{
	b->daemon.config = NULL;
	int r = wl_daemon_start(&b->daemon, NULL);
	if (!r)
		r = wl_daemon_ask(&b->daemon, "status", "--json");
	json_t *status = r ? NULL : json_loads(b->daemon.tool.out, 0, NULL);
	if (!status && b->daemon.why[0])
		fail(&b->daemon.child, "%s", b->daemon.why);
	b->lists_gates = json_object_get(status, "gates") != NULL;
	for (size_t i = 0; i < ROWS; i++)
		b->offered[i] = !rows[i].needs || gate_listed(status, rows[i].needs) ||
		                (!b->lists_gates && strcmp(rows[i].needs, "launch") == 0);
	r = status ? wl_daemon_stop(&b->daemon) : -1;
	json_decref(status);
	return r;
}

static int start_daemon(struct bench *b, size_t row)
{
	static struct words e;
	int n = b->lists_gates ? snprintf(b->config, sizeof(b->config), "[daemon]\ngates = %s\n",
	                                  rows[row].allows)
	                       : 0;
	snprintf(b->config + n, sizeof(b->config) - (size_t)n, "%s", rows[row].config);
	b->daemon.config = b->config;
	environment(b, row, b->us[0], NULL, &e);
	if (wl_daemon_start(&b->daemon, e.list) == 0)
		return 0;
	return fail(&b->daemon.child, "%s", b->daemon.why);
}

static int check_joined(struct bench *b)
{
	const pid_t pid[] = {b->enemy.pid, b->urgent.pid};
	return wl_daemon_has(&b->daemon, pid, 2) ? fail(NULL, "%s", b->daemon.why) : 0;
}

/* ---- what a run left behind */

static char *out_file(const struct bench *b, const char *name)
{
	static char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/preempt-%s", b->out, name);
	return path;
}

static void remove_files(const struct bench *b)
{
	static const char *const names[] = {"owner.log",   "order.log",  "stats.log",
	                                    "urgent.json", "enemy.json", "urgent.stamps",
	                                    "enemy.stamps"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		remove(out_file(b, names[i]));
}

/* Lines "pid stream kernel urgent_step start end" of one process. */
static int load_order(const char *path, pid_t pid, struct wl_slices *s)
{
	FILE *f = fopen(path, "re");
	char line[512];
	if (!f)
		return fail(NULL, "%s: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		struct wl_slice k;
		int who;
		if (sscanf(line, "%d %*s kernel urgent_step %" SCNu64 " %" SCNu64, &who,
		           &k.start_ns, &k.end_ns) == 3 &&
		    who == pid) {
			k.pid = who;
			wl_slices_add(s, k);
		}
	}
	fclose(f);
	return 0;
}

/* The urgent program's kernels in their order, and when the enemy was on the GPU. */
static int load_gpu(struct bench *b, pid_t urgent, pid_t enemy, struct wl_slices *kernels,
                    struct wl_slices *lower)
{
	struct wl_slices all = {0};
	if (!b->simulated)
		return wl_slices_load(kernels, out_file(b, "urgent.stamps")) ||
		       wl_slices_load(lower, out_file(b, "enemy.stamps"));
	int r = load_order(out_file(b, "order.log"), urgent, kernels);
	if (!r)
		r = wl_slices_load(&all, out_file(b, "owner.log"));
	for (size_t i = 0; i < all.n; i++)
		if (all.v[i].pid == enemy)
			wl_slices_add(lower, all.v[i]);
	free(all.v);
	/* its first use of everything: not a request */
	if (!r && kernels->n >= URGENT_KERNELS) {
		kernels->n -= URGENT_KERNELS;
		memmove(kernels->v, kernels->v + URGENT_KERNELS, kernels->n * sizeof(*kernels->v));
	}
	return r;
}

static int compute(const struct bench *b, struct cell *c, const json_t *records,
                   const struct wl_slices *kernels, const struct wl_slices *lower)
{
	const json_t *record;
	size_t i;
	if (kernels->n != json_array_size(records) * URGENT_KERNELS || kernels->n == 0)
		return fail(NULL, "%zu kernels on record, not %d for each of %zu requests",
		            kernels->n, URGENT_KERNELS, json_array_size(records));
	json_array_foreach(records, i, record)
	{
		uint64_t intended = (uint64_t)json_integer_value(json_array_get(record, 0));
		uint64_t submitted = (uint64_t)json_integer_value(json_array_get(record, 1));
		const struct wl_slice *k = &kernels->v[i * URGENT_KERNELS];
		wl_preempt_add(&c->figures, submitted, k[0].start_ns, k[URGENT_KERNELS - 1].end_ns,
		               lower);
		if (submitted - intended > c->host_late_ns)
			c->host_late_ns = submitted - intended;
	}
	wl_preempt_sort(&c->figures);
	return 0;
}

static int load(struct bench *b, struct cell *c, pid_t urgent_pid, pid_t enemy_pid)
{
	struct wl_slices kernels = {0}, lower = {0};
	json_t *urgent = wl_json_read(out_file(b, "urgent.json"));
	json_t *enemy = wl_json_read(out_file(b, "enemy.json"));
	int r = urgent && enemy ? load_gpu(b, urgent_pid, enemy_pid, &kernels, &lower) : -1;
	if (!r && b->simulated)
		r = wl_overruns_load(&c->overruns, out_file(b, "stats.log"));
	if (!r)
		r = compute(b, c, json_object_get(urgent, "records"), &kernels, &lower);
	c->queued = (uint64_t)json_integer_value(json_object_get(enemy, "queued_p50"));
	c->enemy_units_per_s = json_number_value(json_object_get(enemy, "units_per_s"));
	const char *gpu = json_string_value(json_object_get(urgent, "gpu"));
	snprintf(b->gpu, sizeof(b->gpu), "%s", gpu ? gpu : "");
	json_decref(urgent);
	json_decref(enemy);
	free(kernels.v);
	free(lower.v);
	return r;
}

/* ---- the runs */

/* The urgent program is there first and waits, as a service does; then the enemy fills its queue;
 * then requests come. Each is told to go on in its turn, and compares clocks while the other rests.
 */
static int run_cell(struct bench *b, size_t row, size_t l)
{
	unsigned us = b->us[l];
	int queue_ms = (int)(DEPTH * (uint64_t)us / 1000);
	remove_files(b);
	if (start_urgent(b, row, us) || start_enemy(b, row, us))
		return -1;
	pid_t urgent = b->urgent.pid, enemy = b->enemy.pid;
	wl_sleep_until(wl_now_ns() + HEAD_START_NS);
	if (rows[row].needs && check_joined(b))
		return -1;
	kill(urgent, SIGUSR1);
	if (wait_for(b, &b->urgent, "urgent: served", 60000 + (int)b->requests * 1000))
		return -1;
	kill(enemy, SIGTERM);
	if (wait_for(b, &b->enemy, NULL, 60000 + 2 * queue_ms))
		return -1;
	kill(urgent, SIGUSR1);
	if (wait_for(b, &b->urgent, NULL, 60000) || load(b, &b->cell[row][l], urgent, enemy))
		return -1;
	if (!rows[row].needs && b->cell[row][l].queued < QUEUED_MIN)
		return fail(NULL, "only %" PRIu64 " kernels of %u us were queued; run it alone",
		            b->cell[row][l].queued, us);
	remove_files(b);
	return 0;
}

static int run_all(struct bench *b)
{
	int r = ask_gates(b);
	for (size_t row = 0; row < ROWS && !r; row++) {
		if (!b->offered[row])
			continue;
		if (rows[row].needs)
			r = start_daemon(b, row);
		for (size_t l = 0; l < b->lengths && !r; l++) {
			if (isatty(2))
				fprintf(stderr,
				        "\r\033[Kbench: preemption, kernels of %g ms, gate %s",
				        b->us[l] / 1e3, rows[row].title);
			r = run_cell(b, row, l);
		}
		wl_child_stop(&b->enemy, SIGKILL, 0);
		wl_child_stop(&b->urgent, SIGKILL, 0);
		if (rows[row].needs && wl_daemon_stop(&b->daemon) && !r)
			r = fail(&b->daemon.child, "%s", b->daemon.why);
	}
	return r;
}

/* ---- telling */

static const char *const what_key[WL_PREEMPT_WHATS] = {
    [WL_PREEMPT_LOWER] = "last_lower_block", [WL_PREEMPT_BEGIN] = "first_urgent_block",
    [WL_PREEMPT_HANDOVER] = "hand_over",     [WL_PREEMPT_ALONE] = "alone",
    [WL_PREEMPT_END] = "request_end",
};

static double at(const struct cell *c, enum wl_preempt_what what, double percentile)
{
	const struct wl_samples *s = &c->figures.sample[what];
	return (double)wl_percentile(s->v, s->n, percentile) / 1e3;
}

static const char *three(const struct cell *c, enum wl_preempt_what what)
{
	return wl_cell("%.2f / %.2f / %.2f", at(c, what, 50) / 1e3, at(c, what, 99) / 1e3,
	               at(c, what, 100) / 1e3);
}

static void tell_table(const struct bench *b, FILE *f)
{
	struct wl_table t = {.columns = 7};
	const char *slice = getenv("SOFTGPU_TIMESLICE");
	uint64_t overruns = 0;
	wl_table_row(&t, "kernels", "gate", "queued", "last lower block ends",
	             "first urgent block begins", "alone, p99", "request ends, p50");
	for (size_t l = 0; l < b->lengths; l++)
		for (size_t r = 0; r < ROWS; r++) {
			const struct cell *c = &b->cell[r][l];
			const char *title = wl_cell("%g ms", b->us[l] / 1e3);
			overruns += c->overruns.count;
			if (!b->offered[r]) {
				wl_table_row(&t, title, rows[r].title, "", "not offered here", "",
				             "", "");
				continue;
			}
			wl_table_row(&t, title, rows[r].title, wl_cell("%" PRIu64, c->queued),
			             three(c, WL_PREEMPT_LOWER), three(c, WL_PREEMPT_BEGIN),
			             wl_cell("%.2f", at(c, WL_PREEMPT_ALONE, 99) / 1e3),
			             wl_cell("%.2f", at(c, WL_PREEMPT_END, 50) / 1e3));
		}
	fprintf(f, "\n**Preemption, %s** (%s", b->simulated ? "simulated" : "measured", b->gpu);
	if (b->simulated)
		fprintf(f, ", time slices of %s", slice ? slice : "2ms");
	fprintf(f,
	        "): ms from the submission of a request of %d x %g ms, p50 / p99 / max of %" PRIu64
	        " requests, seed %" PRIu64 ".\n\n",
	        URGENT_KERNELS, URGENT_KERNEL_US / 1e3, b->requests, b->seed);
	wl_table_markdown(&t, f);
	fputs("\nLast lower block: until the request ends; where it lies behind the first urgent "
	      "block, the GPU went back and forth. Alone: the later of the two.\n",
	      f);
	if (overruns)
		fprintf(f,
		        "NOT VALID: %" PRIu64 " commands took this machine longer than the model "
		        "allows; leave it alone and run again.\n",
		        overruns);
}

static json_t *cell_json(const struct bench *b, size_t row, size_t l)
{
	const struct cell *c = &b->cell[row][l];
	json_t *o = json_pack("{s:s, s:f, s:b}", "gate", rows[row].key, "kernel_us",
	                      (double)b->us[l], "offered", b->offered[row]);
	if (!b->offered[row])
		return o;
	json_object_update_new(
	    o, json_pack("{s:I, s:f, s:f, s:I}", "queued_p50", (json_int_t)c->queued,
	                 "enemy_units_per_s", c->enemy_units_per_s, "host_late_max_us",
	                 (double)c->host_late_ns / 1e3, "overruns", (json_int_t)c->overruns.count));
	for (int w = 0; w < WL_PREEMPT_WHATS; w++)
		json_object_set_new(o, what_key[w],
		                    json_pack("{s:f, s:f, s:f}", "p50_us", at(c, w, 50), "p99_us",
		                              at(c, w, 99), "max_us", at(c, w, 100)));
	return o;
}

static int tell(const struct bench *b)
{
	char path[PATH_MAX];
	json_t *list = json_array();
	tell_table(b, stdout);
	snprintf(path, sizeof(path), "%s/preempt.md", b->out);
	FILE *f = fopen(path, "we");
	if (!f)
		return fail(NULL, "%s: %s", path, strerror(errno));
	tell_table(b, f);
	if (fclose(f))
		return fail(NULL, "%s: %s", path, strerror(errno));
	for (size_t l = 0; l < b->lengths; l++)
		for (size_t r = 0; r < ROWS; r++)
			json_array_append_new(list, cell_json(b, r, l));
	const char *slice = getenv("SOFTGPU_TIMESLICE"),
		   *keeps = getenv("SOFTGPU_WAIT_KEEPS_SLICE");
	json_t *root = json_pack(
	    "{s:i, s:b, s:s, s:I, s:I, s:i, s:f, s:s, s:s, s:o}", "schema_version", 1, "simulated",
	    b->simulated, "gpu", b->gpu, "requests", (json_int_t)b->requests, "seed",
	    (json_int_t)b->seed, "urgent_kernels", URGENT_KERNELS, "urgent_kernel_us",
	    (double)URGENT_KERNEL_US, "softgpu_timeslice", slice ? slice : "2ms",
	    "softgpu_wait_keeps_slice", keeps ? keeps : "1", "rows", list);
	snprintf(path, sizeof(path), "%s/preempt.json", b->out);
	if (wl_json_write_indented(root, path))
		return -1;
	printf("\n%s\n", path);
	return 0;
}

static const char usage[] =
    "usage: bench_preempt [options]\n"
    "  --out DIR      where preempt.json and preempt.md go (default: bench/ in the build folder)\n"
    "  --requests N   urgent requests for each length and gate (default 100)\n"
    "  --kernel-us US one length of the enemy's kernels, not the four\n"
    "  --seed N       of their times and of all data (default 1)\n"
    "Exit status: 0 done, 1 a run failed or a result was wrong, 2 usage, 128 + N ended by signal "
    "N.\n";

static void parse(struct bench *b, int argc, char **argv)
{
	static const struct option options[] = {{"out", 1, 0, 'o'},  {"requests", 1, 0, 'r'},
	                                        {"seed", 1, 0, 's'}, {"kernel-us", 1, 0, 'k'},
	                                        {"help", 0, 0, 'h'}, {0}};
	int c;
	snprintf(b->out, sizeof(b->out), "%.2000s/bench", b->build);
	memcpy(b->us, length_us, sizeof(b->us));
	b->lengths = LENGTHS;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'o')
			snprintf(b->out, sizeof(b->out), "%s", optarg);
		else if (c == 'r')
			b->requests = wl_option_integer("--requests", optarg, 1, 100000);
		else if (c == 's')
			b->seed = wl_option_integer("--seed", optarg, 0, UINT32_MAX);
		else if (c == 'k') {
			b->us[0] = (unsigned)wl_option_integer("--kernel-us", optarg, 10, 1000000);
			b->lengths = 1;
		} else {
			fputs(usage, c == 'h' ? stdout : stderr);
			exit(c == 'h' ? 0 : WL_EXIT_USAGE);
		}
	}
	if (optind < argc) {
		fprintf(stderr, "bench_preempt: unexpected argument '%s'\n%s", argv[optind], usage);
		exit(WL_EXIT_USAGE);
	}
}

int main(int argc, char **argv)
{
	static struct bench b = {.requests = 100, .seed = 1};
	struct sigaction sa = {.sa_handler = on_signal};
	char absolute[PATH_MAX];
	if (argc == 2 && strcmp(argv[1], WL_PROBE_FLAG) == 0)
		return wl_probe_child();
	if (wl_build_folder(b.build, sizeof(b.build)))
		return 1;
	parse(&b, argc, argv);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	b.enemy.fd = b.urgent.fd = b.daemon.child.fd = -1;
	if (wl_make_folder(b.out))
		return 1;
	if (!realpath(b.out, absolute) || strlen(absolute) >= sizeof(b.out) - 32)
		return fail(NULL, "%s: path unusable", b.out) ? 1 : 0;
	strcpy(b.out, absolute);
	if (wl_run_folder(b.out, b.run, sizeof(b.run)))
		return 1;
	b.daemon.build = b.build;
	b.daemon.run = b.run;
	b.simulated = !wl_probe_gpu(b.build, b.gpu, sizeof(b.gpu));
	int r = run_all(&b);
	wl_child_stop(&b.enemy, SIGKILL, 0);
	wl_child_stop(&b.urgent, SIGKILL, 0);
	wl_child_stop(&b.daemon.child, SIGTERM, 3000);
	wl_run_folder_remove(b.out, b.run);
	if (isatty(2))
		fputs("\r\033[K", stderr);
	if (!r)
		r = tell(&b);
	for (size_t i = 0; i < ROWS * LENGTHS; i++)
		wl_preempt_fini(&b.cell[i / LENGTHS][i % LENGTHS].figures);
	if (interrupted) {
		remove_files(&b);
		return 128 + (int)interrupted;
	}
	return r ? 1 : 0;
}
