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
 * queue gate, the arbiter asleep between requests or spinning; with the context gate. The last
 * three are asked of the daemon: `rein status --json`
 * lists "gates"; a gate that is not in it is "not offered here". The software GPU has a profile of
 * its own (lib/profile.h).
 *
 * Below the rows: what the queue gate costs the enemy while nobody urgent is active, that is with
 * an urgent program registered, which makes it put points into its queue, and with none.
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
#include "lib/profile.h"
#include "lib/table.h"
#include "lib/words.h"

#define DEPTH 128 /* kernels that the enemy keeps queued */
#define QUEUED_MIN 100
#define QUEUED_MIN_REAL 30 /* a stamped kernel is more than one command there */
#define URGENT_KERNELS 3   /* of 1 ms: more than a time slice, so that sharing shows */
#define URGENT_KERNEL_US 1000
#define GAP_MS 20
#define ELEMENTS_SIMULATED "256" /* as little to interpret as possible: times are declared */
#define URGENT_ELEMENTS_REAL "262144"
#define HEAD_START_NS 300000000ull /* the enemy fills its queue */
#define START_TIMEOUT_MS 60000

#define IDLE_S 2

/* A persistent kernel stays for 2 s, and the next is queued behind it; the software GPU executes
 * it, and has it last that long by declaration. */
static const struct wl_preempt_load loads[WL_PREEMPT_LOADS] = {
    {"long", 50, DEPTH},    {"long", 500, DEPTH},       {"long", 5000, DEPTH},
    {"long", 50000, DEPTH}, {"persistent", 2000000, 2},
};

static const struct wl_preempt_row rows[WL_PREEMPT_ROWS] = {
    {"native", "none: native sharing", NULL, NULL, NULL},
    {"launch_unbounded", "launch, backlog unlimited", "launch", "launch",
     "[class default]\nbacklog = 10s\nbacklog_launches = 1000000\n"},
    {"launch", "launch, backlog 4 ms", "launch", "launch", "[class default]\nbacklog = 4ms\n"},
    {"queue", "queue", "queue", "launch queue", "[class default]\nbacklog = 4ms\n"},
    {"queue_spin", "queue, arbiter spins", "queue", "launch queue",
     "mode = spin\n[class default]\nbacklog = 4ms\n"},
    {"context", "context", "context", "launch queue context", "[class default]\nbacklog = 4ms\n"},
};
#define ROW_NATIVE 0
#define ROW_QUEUE 3

struct bench {
	char build[PATH_MAX / 2], out[PATH_MAX / 2], run[PATH_MAX / 2];
	char config[512];
	struct wl_preempt_result result;
	const struct wl_preempt_row *only; /* NULL: all */
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

/* prio NULL: for the daemon. */
static int environment(const struct bench *b, size_t row, const struct wl_preempt_load *l,
                       const char *prio, struct wl_words *e)
{
	char path[PATH_MAX];
	wl_words_clear(e);
	if (rows[row].needs && prio) {
		wl_words_print(e, "LD_PRELOAD=%s/librein.so", b->build);
		wl_words_print(e, "REIN_PRIO=%s", prio);
		wl_words_print(e, "REIN_RUN_DIR=%s", b->run);
	} else {
		wl_words_add(e, "LD_PRELOAD", NULL); /* unset: natively means natively */
	}
	if (!b->result.simulated) {
		wl_real_library_path(b->build, path, sizeof(path));
		wl_words_print(e, "%s", path);
		return 0;
	}
	wl_words_print(e, "LD_LIBRARY_PATH=%s/softgpu", b->build);
	wl_words_print(e, "SOFTGPU_TIMES=enemy_step=%uus,enemy_persistent=%uus,urgent_step=%dus",
	               l->us, l->us, URGENT_KERNEL_US);
	wl_words_print(e, "SOFTGPU_SHM=rein-preempt-%d", (int)getpid());
	wl_words_print(e, "SOFTGPU_OWNER_LOG=%s/preempt-owner.log", b->out);
	wl_words_print(e, "SOFTGPU_ORDER_LOG=%s/preempt-order.log", b->out);
	wl_words_print(e, "SOFTGPU_STATS=%s/preempt-stats.log", b->out);
	wl_words_add(e, "SOFTGPU_MODE=wall", NULL);
	snprintf(path, sizeof(path), "%s/profile.json", b->out);
	return wl_profile_software(e, path);
}

static int start(struct wl_child *c, const char *name, const struct wl_words *argv,
                 const struct wl_words *env)
{
	int r = wl_child_start(c, name, argv->list, env->list);
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

static int start_urgent(struct bench *b, size_t row, const struct wl_preempt_load *l)
{
	static struct wl_words a, e;
	if (environment(b, row, l, "50", &e))
		return -1;
	wl_words_clear(&a);
	wl_words_print(&a, "%s/workloads/urgent", b->build);
	wl_words_add(&a, "--hold", "--requests");
	wl_words_print(&a, "%" PRIu64, b->result.requests);
	wl_words_add(&a, "--seed", NULL);
	wl_words_print(&a, "%" PRIu64, b->result.seed);
	wl_words_add(&a, "--gap", NULL);
	wl_words_print(&a, "%d", GAP_MS);
	wl_words_add(&a, "--kernels", NULL);
	wl_words_print(&a, "%d", URGENT_KERNELS);
	wl_words_add(&a, "--json", NULL);
	wl_words_print(&a, "%s/preempt-urgent.json", b->out);
	wl_words_add(&a, "--elements",
	             b->result.simulated ? ELEMENTS_SIMULATED : URGENT_ELEMENTS_REAL);
	wl_words_add(&a, b->result.simulated ? "--iterations" : "--kernel-us", NULL);
	wl_words_print(&a, "%d", b->result.simulated ? 1 : URGENT_KERNEL_US);
	if (!b->result.simulated) {
		wl_words_add(&a, "--stamps", NULL);
		wl_words_print(&a, "%s/preempt-urgent.stamps", b->out);
	}
	return start(&b->urgent, "urgent", &a, &e) ||
	       wait_for(b, &b->urgent, "urgent: running", START_TIMEOUT_MS);
}

static int start_enemy(struct bench *b, size_t row, const struct wl_preempt_load *l)
{
	static struct wl_words a, e;
	if (environment(b, row, l, "0", &e))
		return -1;
	wl_words_clear(&a);
	wl_words_print(&a, "%s/workloads/enemy", b->build);
	wl_words_add(&a, "--kind", l->kind);
	wl_words_add(&a, "--seconds", "0");
	wl_words_add(&a, "--check", "--depth");
	wl_words_print(&a, "%u", l->depth);
	wl_words_add(&a, "--seed", NULL);
	wl_words_print(&a, "%" PRIu64, b->result.seed);
	wl_words_add(&a, "--json", NULL);
	wl_words_print(&a, "%s/preempt-enemy.json", b->out);
	if (b->result.simulated) {
		wl_words_add(&a, "--elements", ELEMENTS_SIMULATED);
		wl_words_add(&a, "--iterations", "1");
	} else {
		wl_words_add(&a, "--kernel-us", NULL);
		wl_words_print(&a, "%u", l->us);
		wl_words_add(&a, "--stamps", NULL);
		wl_words_print(&a, "%s/preempt-enemy.stamps", b->out);
	}
	return start(&b->enemy, "enemy", &a, &e) ||
	       wait_for(b, &b->enemy, "enemy: running", START_TIMEOUT_MS);
}

/* ---- the daemon */

/* Which rows are possible. */
static int ask_gates(struct bench *b)
{
	static struct wl_words e;
	struct wl_gates has;
	b->daemon.config = NULL;
	if (environment(b, ROW_NATIVE, &b->result.load[0], NULL, &e))
		return -1;
	if (wl_daemon_start(&b->daemon, e.list) || wl_daemon_gates(&b->daemon, &has))
		return fail(&b->daemon.child, "%s", b->daemon.why);
	for (size_t i = 0; i < WL_PREEMPT_ROWS; i++) {
		const char *gate = rows[i].needs ? rows[i].needs : "";
		b->result.offered[i] = strcmp(gate, "queue") == 0     ? has.queue
		                       : strcmp(gate, "context") == 0 ? has.context
		                                                      : true;
	}
	return wl_daemon_stop(&b->daemon);
}

static int start_daemon(struct bench *b, size_t row)
{
	static struct wl_words e;
	snprintf(b->config, sizeof(b->config), "[daemon]\ngates = %s\n%s", rows[row].allows,
	         rows[row].config);
	b->daemon.config = b->config;
	if (environment(b, row, &b->result.load[0], NULL, &e))
		return -1;
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

/* The urgent program's kernels in their order, and when the enemy was on the GPU. */
static int load_gpu(struct bench *b, pid_t urgent, pid_t enemy, struct wl_slices *kernels,
                    struct wl_slices *lower)
{
	struct wl_slices all = {0};
	if (!b->result.simulated)
		return wl_slices_load(kernels, out_file(b, "urgent.stamps")) ||
		       wl_slices_load(lower, out_file(b, "enemy.stamps"));
	int r = wl_preempt_load_order(kernels, out_file(b, "order.log"), urgent, "urgent_step");
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

static int compute(const struct bench *b, struct wl_preempt_cell *c, const json_t *records,
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

static int read_run(struct bench *b, struct wl_preempt_cell *c, pid_t urgent_pid, pid_t enemy_pid)
{
	struct wl_slices kernels = {0}, lower = {0};
	json_t *urgent = wl_json_read(out_file(b, "urgent.json"));
	json_t *enemy = wl_json_read(out_file(b, "enemy.json"));
	int r = urgent && enemy ? load_gpu(b, urgent_pid, enemy_pid, &kernels, &lower) : -1;
	if (!r && b->result.simulated)
		r = wl_overruns_load(&c->overruns, out_file(b, "stats.log"));
	if (!r)
		r = compute(b, c, json_object_get(urgent, "records"), &kernels, &lower);
	c->queued = (uint64_t)json_integer_value(json_object_get(enemy, "queued_p50"));
	c->enemy_units_per_s = json_number_value(json_object_get(enemy, "units_per_s"));
	const char *gpu = json_string_value(json_object_get(urgent, "gpu"));
	snprintf(b->result.gpu, sizeof(b->result.gpu), "%s", gpu ? gpu : "");
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
	const struct wl_preempt_load *load = &b->result.load[l];
	struct wl_preempt_cell *c = &b->result.cell[row][l];
	int queue_ms = (int)(load->depth * (uint64_t)load->us / 1000);
	remove_files(b);
	if (start_urgent(b, row, load) || start_enemy(b, row, load))
		return -1;
	pid_t urgent = b->urgent.pid, enemy = b->enemy.pid;
	wl_sleep_until(wl_now_ns() + HEAD_START_NS);
	if (rows[row].needs && check_joined(b))
		return -1;
	kill(urgent, SIGUSR1);
	if (wait_for(b, &b->urgent, "urgent: served", 60000 + (int)b->result.requests * 1000))
		return -1;
	if (rows[row].needs && wl_daemon_held(&b->daemon, enemy, &c->held))
		return fail(&b->daemon.tool, "%s", b->daemon.why);
	kill(enemy, SIGTERM);
	if (wait_for(b, &b->enemy, NULL, 60000 + 2 * queue_ms))
		return -1;
	kill(urgent, SIGUSR1);
	if (wait_for(b, &b->urgent, NULL, 60000) || read_run(b, c, urgent, enemy))
		return -1;
	uint64_t least = b->result.simulated ? QUEUED_MIN : QUEUED_MIN_REAL;
	if (!rows[row].needs && load->depth == DEPTH && c->queued < least)
		return fail(NULL, "only %" PRIu64 " kernels of %u us were queued; run it alone",
		            c->queued, load->us);
	remove_files(b);
	return 0;
}

static void progress(const char *what, const struct wl_preempt_load *l, const char *how)
{
	if (isatty(2))
		fprintf(stderr, "\r\033[Kbench: %s, kernels of %g ms, %s", what, l->us / 1e3, how);
}

static int run_row(struct bench *b, size_t row)
{
	int r = rows[row].needs ? start_daemon(b, row) : 0;
	for (size_t l = 0; l < b->result.loads && !r; l++) {
		progress("preemption", &b->result.load[l], rows[row].title);
		r = run_cell(b, row, l);
	}
	wl_child_stop(&b->enemy, SIGKILL, 0);
	wl_child_stop(&b->urgent, SIGKILL, 0);
	if (rows[row].needs && wl_daemon_stop(&b->daemon) && !r)
		r = fail(&b->daemon.child, "%s", b->daemon.why);
	return r;
}

/* The shortest kernels, which points part most often. */
static int run_idle(struct bench *b, enum wl_preempt_idle what, unsigned round)
{
	size_t row = what == WL_PREEMPT_IDLE_NATIVE ? ROW_NATIVE : ROW_QUEUE;
	struct wl_held held = {0};
	progress("nobody urgent active", &b->result.load[0], rows[row].title);
	remove_files(b);
	if ((what != WL_PREEMPT_IDLE_NOBODY && start_urgent(b, row, &b->result.load[0])) ||
	    start_enemy(b, row, &b->result.load[0]))
		return -1;
	wl_sleep_until(wl_now_ns() + (uint64_t)(b->result.idle_s * 1e9));
	if (rows[row].needs && wl_daemon_held(&b->daemon, b->enemy.pid, &held))
		return fail(&b->daemon.tool, "%s", b->daemon.why);
	kill(b->enemy.pid, SIGTERM);
	if (wait_for(b, &b->enemy, NULL, 60000))
		return -1;
	if (what != WL_PREEMPT_IDLE_NOBODY) {
		kill(b->urgent.pid, SIGTERM);
		if (wait_for(b, &b->urgent, NULL, 60000))
			return -1;
	}
	json_t *enemy = wl_json_read(out_file(b, "enemy.json"));
	if (!enemy)
		return -1;
	b->result.idle_units_per_s[what][round] =
	    json_number_value(json_object_get(enemy, "units_per_s"));
	if (held.points > b->result.idle_points[what])
		b->result.idle_points[what] = held.points;
	json_decref(enemy);
	remove_files(b);
	return 0;
}

/* In turn, so that whatever else this machine does meets all three alike. */
static int run_idles(struct bench *b)
{
	int r = start_daemon(b, ROW_QUEUE);
	for (unsigned i = 0; i < WL_PREEMPT_ROUNDS * WL_PREEMPT_IDLES && !r; i++)
		r = run_idle(b, (enum wl_preempt_idle)(i % WL_PREEMPT_IDLES), i / WL_PREEMPT_IDLES);
	if (!r && wl_daemon_stop(&b->daemon))
		r = fail(&b->daemon.child, "%s", b->daemon.why);
	b->result.has_idle = !r;
	return r;
}

static int run_all(struct bench *b)
{
	const struct wl_preempt_result *p = &b->result;
	int r = ask_gates(b);
	for (size_t row = 0; row < WL_PREEMPT_ROWS && !r; row++)
		if (p->asked[row] && p->offered[row])
			r = run_row(b, row);
	/* a persistent kernel's pace says nothing within seconds */
	if (!r && p->idle_s > 0 && p->asked[ROW_QUEUE] && p->offered[ROW_QUEUE] &&
	    p->load[0].depth == DEPTH)
		r = run_idles(b);
	return r;
}

/* ---- telling and starting */

static int tell(const struct bench *b)
{
	wl_preempt_print(&b->result, stdout);
	if (wl_preempt_write(&b->result, b->out))
		return -1;
	printf("\n%s/preempt.json\n", b->out);
	return 0;
}

static const char usage[] =
    "usage: bench_preempt [options]\n"
    "  --out DIR      where preempt.json and preempt.md go (default: bench/ in the build folder)\n"
    "  --requests N   urgent requests for each length and gate (default 100)\n"
    "  --kernel-us US one length of the enemy's kernels, not the four and a persistent one\n"
    "  --kind KIND    only these kernels: long, or persistent\n"
    "  --gate KEY     one row only: native, launch_unbounded, launch, queue, queue_spin\n          "
    "       or context\n"
    "  --idle-s S     length of the runs with nobody urgent active, 0: none (default 2)\n"
    "  --seed N       of their times and of all data (default 1)\n"
    "Exit status: 0 done, 1 a run failed or a result was wrong, 2 usage, 128 + N ended by signal "
    "N.\n";

static const struct wl_preempt_row *row_find(const char *key)
{
	for (size_t i = 0; i < WL_PREEMPT_ROWS; i++)
		if (strcmp(rows[i].key, key) == 0)
			return &rows[i];
	fprintf(stderr, "bench_preempt: --gate: there is no '%s'\n%s", key, usage);
	exit(WL_EXIT_USAGE);
}

static void keep_kind(struct wl_preempt_result *p, const char *kind)
{
	p->loads = 0;
	for (size_t i = 0; i < WL_PREEMPT_LOADS; i++)
		if (strcmp(loads[i].kind, kind) == 0)
			p->load[p->loads++] = loads[i];
	if (p->loads)
		return;
	fprintf(stderr, "bench_preempt: --kind: there is no '%s'\n%s", kind, usage);
	exit(WL_EXIT_USAGE);
}

static void parse(struct bench *b, int argc, char **argv)
{
	static const struct option options[] = {
	    {"out", 1, 0, 'o'},       {"requests", 1, 0, 'r'}, {"seed", 1, 0, 's'},
	    {"kernel-us", 1, 0, 'k'}, {"kind", 1, 0, 'K'},     {"gate", 1, 0, 'g'},
	    {"idle-s", 1, 0, 'i'},    {"help", 0, 0, 'h'},     {0}};
	int c;
	snprintf(b->out, sizeof(b->out), "%.2000s/bench", b->build);
	memcpy(b->result.load, loads, sizeof(b->result.load));
	b->result.loads = WL_PREEMPT_LOADS;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'o')
			snprintf(b->out, sizeof(b->out), "%s", optarg);
		else if (c == 'r')
			b->result.requests = wl_option_integer("--requests", optarg, 1, 100000);
		else if (c == 's')
			b->result.seed = wl_option_integer("--seed", optarg, 0, UINT32_MAX);
		else if (c == 'k') {
			b->result.load[0] = loads[0];
			b->result.load[0].us =
			    (unsigned)wl_option_integer("--kernel-us", optarg, 10, 1000000);
			b->result.loads = 1;
		} else if (c == 'g') {
			b->only = row_find(optarg);
		} else if (c == 'i') {
			b->result.idle_s = wl_option_number("--idle-s", optarg, 0, 3600);
		} else if (c == 'K') {
			keep_kind(&b->result, optarg);
		} else {
			wl_option_usage(c, usage);
		}
	}
	for (size_t i = 0; i < WL_PREEMPT_ROWS; i++)
		b->result.asked[i] = !b->only || b->only == &rows[i];
	wl_option_no_more(argc, argv, usage);
}

int main(int argc, char **argv)
{
	static struct bench b = {.result = {.requests = 100,
	                                    .seed = 1,
	                                    .urgent_kernels = URGENT_KERNELS,
	                                    .urgent_kernel_us = URGENT_KERNEL_US,
	                                    .row = rows,
	                                    .idle_s = IDLE_S}};
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
	b.result.simulated = !wl_probe_gpu(b.build, b.result.gpu, sizeof(b.result.gpu));
	int r = run_all(&b);
	wl_child_stop(&b.enemy, SIGKILL, 0);
	wl_child_stop(&b.urgent, SIGKILL, 0);
	wl_child_stop(&b.daemon.child, SIGTERM, 3000);
	wl_run_folder_remove(b.out, b.run);
	if (isatty(2))
		fputs("\r\033[K", stderr);
	if (!r)
		r = tell(&b);
	for (size_t i = 0; i < WL_PREEMPT_ROWS * WL_PREEMPT_LOADS; i++)
		wl_preempt_fini(&b.result.cell[i / WL_PREEMPT_LOADS][i % WL_PREEMPT_LOADS].figures);
	if (interrupted) {
		remove_files(&b);
		return 128 + (int)interrupted;
	}
	return r ? 1 : 0;
}
