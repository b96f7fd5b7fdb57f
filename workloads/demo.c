// SPDX-License-Identifier: Apache-2.0
/*
 * demo.c: the main job in one table. Runs lc and be alone, shared as the driver does it, and
 * shared under rein with one gate more in each row, on a real GPU if there is one and on the
 * software GPU otherwise (and says which), then prints a table and writes result.json and
 * report.html. A gate that the daemon does not offer on this GPU is left out, and costs no time.
 *
 * The programs do not know that they are watched: every figure comes from their own output. All
 * modes use the same seed, hence the same arrivals. Whatever ends the demo, its children and its
 * private daemon end with it.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/arrivals.h"
#include "lib/child.h"
#include "lib/clock.h"
#include "lib/daemon.h"
#include "lib/measure.h"
#include "lib/options.h"
#include "lib/probe.h"
#include "lib/profile.h"
#include "lib/report.h"
#include "lib/words.h"

/* A request is KERNELS × KERNEL_US of GPU time and a mean period makes that RHO of the whole. */
#define KERNELS 12
#define KERNEL_US 2000
#define RHO 0.3
#define LC_PRIO "50"
#define BE_PRIO "0"
/* On a real GPU the kernels fill it; on the software GPU they are small, and their declared
 * times say how long they last. */
#define ELEMENTS_REAL "262144"
#define ELEMENTS_SIMULATED "1024"
#define WORK_SIMULATED "8"

#define START_TIMEOUT_MS 60000
#define STOP_TIMEOUT_MS 60000
#define RERUNS 2 /* of rows in which this machine made the software GPU late; for all rows */
#define HEAD_START_MS 500 /* BE fills its queue before requests arrive */

struct demo {
	char build[PATH_MAX / 2], out[PATH_MAX / 2], run[PATH_MAX / 2];
	struct wl_result result;
	struct wl_child lc, be;
	struct wl_daemon daemon;
	char config[64];
	bool tty;
	int step, steps; /* of the runs */
	char phase[64];
};

/* Which gates a row lets rein use. */
static const char *const gates[WL_MODES] = {
    [WL_MODE_REIN] = "launch",
    [WL_MODE_REIN_QUEUE] = "launch queue",
    [WL_MODE_REIN_CONTEXT] = "launch queue context",
};

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	interrupted = sig;
}

static const char usage[] =
    "usage: demo [options]\n"
    "  --out DIR      where result.json and report.html go (default: demo/ in the build folder)\n"
    "  --seconds N    length of each run (default 10)\n"
    "  --seed N       of the arrivals (default 1)\n"
    "  --quick        runs of 3 s\n"
    "Exit status: 0 done, 1 a run failed, 2 usage, 128 + N ended by signal N.\n";

static void progress_clear(const struct demo *d)
{
	if (d->tty)
		fputs("\r\033[K", stderr);
}

/* Tells what went wrong, with the last output of the program concerned. Returns -1. */
static int fail(struct demo *d, const struct wl_child *c, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static int fail(struct demo *d, const struct wl_child *c, const char *fmt, ...)
{
	va_list ap;
	progress_clear(d);
	fprintf(stderr, "demo: %s: ", d->phase);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	if (c && c->len) {
		const char *tail = c->len > 2000 ? c->out + c->len - 2000 : c->out;
		fprintf(stderr, "--- output of %s:\n%s%s---\n", c->name, tail,
		        c->out[c->len - 1] == '\n' ? "" : "\n");
	}
	return -1;
}

static int fail_child(struct demo *d, const struct wl_child *c, const char *what)
{
	char buf[64];
	return fail(d, c, "%s %s (%s)", c->name, what, wl_child_describe(c, buf, sizeof(buf)));
}

static char *out_file(const struct demo *d, char *buf, const char *what, enum wl_mode mode,
                      const char *suffix)
{
	snprintf(buf, PATH_MAX, "%s/%s-%s%s", d->out, what, wl_mode_key[mode], suffix);
	return buf;
}

/* ---- watching */

static void progress(const struct demo *d, uint64_t begin_ns)
{
	double s = (double)(wl_now_ns() - begin_ns) / 1e9;
	if (d->tty)
		fprintf(stderr, "\r\033[K%s: %.1f s", d->phase, s);
}

static void enter(struct demo *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void enter(struct demo *d, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(d->phase, sizeof(d->phase), fmt, ap);
	va_end(ap);
	if (!d->tty)
		fprintf(stderr, "%s\n", d->phase);
}

static void enter_run(struct demo *d, const char *title)
{
	enter(d, "[%d/%d] %s, %g s", ++d->step, d->steps, title, d->result.seconds);
}

/* Waits until `c` has ended, or has printed `text` if not NULL; 0, or -1 after saying why not. */
static int wait_for(struct demo *d, struct wl_child *c, const char *text, int timeout_ms)
{
	struct wl_child *const all[] = {&d->lc, &d->be, &d->daemon.child};
	uint64_t begin = wl_now_ns(), end = begin + (uint64_t)timeout_ms * 1000000;
	for (;;) {
		wl_child_watch(all, 3, 100);
		if (interrupted)
			return -1;
		if (c->pid == 0 && text)
			return fail_child(d, c, "ended before it was ready");
		if (c->pid == 0)
			return wl_child_ok(c) ? 0 : fail_child(d, c, "failed");
		if (text && strstr(c->out, text))
			return 0;
		for (size_t i = 0; i < 3; i++)
			if (all[i] != c && all[i]->name && all[i]->pid == 0)
				return fail_child(d, all[i], "ended too early");
		if (wl_now_ns() > end)
			return fail(d, c, "%s did not %s within %d s", c->name,
			            text ? "get ready" : "end", timeout_ms / 1000);
		progress(d, begin);
	}
}

static void forget(struct wl_child *c)
{
	c->name = NULL;
}

/* ---- starting */

/* What the programs and the daemon see besides our own environment. */
static int environment(const struct demo *d, enum wl_mode mode, struct wl_words *e)
{
	char path[PATH_MAX];
	wl_words_clear(e);
	wl_words_add(e, "LD_PRELOAD", NULL); /* unset: natively means natively */
	wl_words_print(e, "REIN_RUN_DIR=%s", d->run);
	if (!d->result.simulated) {
		wl_real_library_path(d->build, path, sizeof(path));
		wl_words_print(e, "%s", path);
		return 0;
	}
	const char *inherited = getenv("LD_LIBRARY_PATH");
	wl_words_print(e, "LD_LIBRARY_PATH=%s/softgpu%s%s", d->build,
	               inherited && *inherited ? ":" : "", inherited ? inherited : "");
	wl_words_print(e, "SOFTGPU_TIMES=lc_step=%dus,be_step=%dus", KERNEL_US, KERNEL_US);
	wl_words_print(e, "SOFTGPU_SHM=rein-demo-%d", (int)getpid());
	wl_words_print(e, "SOFTGPU_OWNER_LOG=%s", out_file(d, path, "owner", mode, ".log"));
	wl_words_print(e, "SOFTGPU_STATS=%s", out_file(d, path, "softgpu", mode, ".log"));
	wl_words_add(e, "SOFTGPU_MODE=wall", NULL);
	snprintf(path, sizeof(path), "%s/profile.json", d->out);
	return wl_profile_software(e, path);
}

/* The begin of a program's command line, under `rein run` in rein's modes. */
static void begin_command(const struct demo *d, struct wl_words *c, enum wl_mode mode,
                          const char *program, const char *prio)
{
	char path[PATH_MAX];
	wl_words_clear(c);
	if (gates[mode]) {
		wl_words_print(c, "%s/rein", d->build);
		wl_words_add(c, "run", "--no-start");
		wl_words_add(c, "--prio", prio);
		wl_words_add(c, "--name", program);
		wl_words_add(c, "--", NULL);
	}
	wl_words_print(c, "%s/workloads/%s", d->build, program);
	wl_words_add(c, "--json", NULL);
	wl_words_print(c, "%s", out_file(d, path, program, mode, ".json"));
	wl_words_add(c, "--elements", d->result.simulated ? ELEMENTS_SIMULATED : ELEMENTS_REAL);
}

/* How long a kernel is: on a real GPU the first run finds the work that takes the wanted time,
 * and later runs, which are disturbed, use what it found. */
static void add_work(const struct demo *d, struct wl_words *c, uint32_t found)
{
	if (found) {
		wl_words_add(c, "--work", NULL);
		wl_words_print(c, "%u", found);
	} else if (d->result.simulated) {
		wl_words_add(c, "--work", WORK_SIMULATED);
	} else {
		wl_words_add(c, "--kernel-us", NULL);
		wl_words_print(c, "%d", KERNEL_US);
	}
}

static int start(struct demo *d, struct wl_child *child, const char *name, enum wl_mode mode,
                 const struct wl_words *c)
{
	static struct wl_words e;
	char path[PATH_MAX];
	if (environment(d, mode, &e))
		return -1;
	remove(out_file(d, path, name, mode, ".json"));
	int r = wl_child_start(child, name, c->list, e.list);
	return r ? fail(d, NULL, "cannot start %s: %s", name, strerror(-r)) : 0;
}

static int start_be(struct demo *d, enum wl_mode mode)
{
	static struct wl_words c;
	begin_command(d, &c, mode, "be", BE_PRIO);
	add_work(d, &c, d->result.be[WL_MODE_SOLO].work);
	wl_words_add(&c, "--seconds", NULL);
	/* shared: until LC is done */
	wl_words_print(&c, "%g", mode == WL_MODE_SOLO ? d->result.seconds : 0);
	if (start(d, &d->be, "be", mode, &c))
		return -1;
	return wait_for(d, &d->be, "be: running", START_TIMEOUT_MS);
}

static int start_lc(struct demo *d, enum wl_mode mode)
{
	static struct wl_words c;
	begin_command(d, &c, mode, "lc", LC_PRIO);
	add_work(d, &c, d->result.lc[WL_MODE_SOLO].work);
	wl_words_add(&c, "--seconds", NULL);
	wl_words_print(&c, "%g", d->result.seconds);
	wl_words_add(&c, "--period", NULL);
	wl_words_print(&c, "%g", d->result.period_ms);
	wl_words_add(&c, "--seed", NULL);
	wl_words_print(&c, "%" PRIu64, d->result.seed);
	wl_words_add(&c, "--kernels", NULL);
	wl_words_print(&c, "%d", KERNELS);
	wl_words_add(&c, "--arrivals", d->result.arrivals);
	wl_words_add(&c, "--hold", NULL);
	if (start(d, &d->lc, "lc", mode, &c))
		return -1;
	return wait_for(d, &d->lc, "lc: running", START_TIMEOUT_MS);
}

/* It is ready and waits: let its requests arrive. */
static int release_lc(struct demo *d)
{
	if (d->lc.pid > 0 && kill(d->lc.pid, SIGUSR1) == 0)
		return 0;
	return fail_child(d, &d->lc, "ended before its requests arrived");
}

/* ---- the daemon */

/* gates: those that it may use, or NULL: whatever this GPU's profile says. */
static int start_daemon(struct demo *d, enum wl_mode mode, const char *allowed)
{
	static struct wl_words e;
	d->config[0] = 0;
	if (allowed)
		snprintf(d->config, sizeof(d->config), "[daemon]\ngates = %s\n", allowed);
	if (environment(d, mode, &e))
		return -1;
	if (wl_daemon_start(&d->daemon, e.list) == 0)
		return 0;
	return interrupted ? -1 : fail(d, &d->daemon.child, "%s", d->daemon.why);
}

/* Under rein means that both have joined: else the row would show native sharing. */
static int check_joined(struct demo *d)
{
	const pid_t pids[] = {d->lc.pid, d->be.pid};
	if (wl_daemon_has(&d->daemon, pids, 2) == 0)
		return 0;
	return interrupted ? -1 : fail(d, &d->daemon.tool, "%s", d->daemon.why);
}

/* What its gate did to BE, while BE is still there. */
static int look_at_gate(struct demo *d, enum wl_mode mode)
{
	struct wl_held held;
	if (wl_daemon_held(&d->daemon, d->be.pid, &held))
		return interrupted ? -1 : fail(d, &d->daemon.tool, "%s", d->daemon.why);
	d->result.row[mode].acts = mode == WL_MODE_REIN_CONTEXT ? held.context_holds
	                           : mode == WL_MODE_REIN_QUEUE ? held.points
	                                                        : held.launch_waits;
	return 0;
}

static int stop_daemon(struct demo *d)
{
	if (wl_daemon_stop(&d->daemon) == 0) {
		forget(&d->daemon.child);
		return 0;
	}
	return fail(d, &d->daemon.child, "%s", d->daemon.why);
}

/* Which gates have been calibrated for this GPU: rows of others are left out. */
static int ask_gates(struct demo *d)
{
	struct wl_gates has;
	enter(d, "asking for gates");
	if (start_daemon(d, WL_MODE_REIN, NULL))
		return -1;
	if (wl_daemon_gates(&d->daemon, &has))
		return interrupted ? -1 : fail(d, &d->daemon.tool, "%s", d->daemon.why);
	d->result.row[WL_MODE_REIN_QUEUE].left_out = !has.queue;
	d->result.row[WL_MODE_REIN_CONTEXT].left_out = !has.context;
	d->steps -= !has.queue + !has.context;
	return stop_daemon(d);
}

/* ---- the runs */

static int load_gpu_log(struct demo *d, enum wl_mode mode)
{
	char path[PATH_MAX];
	struct wl_result *r = &d->result;
	if (r->simulated)
		return wl_slices_load(&r->slices[mode], out_file(d, path, "owner", mode, ".log")) ||
		               wl_overruns_load(&r->overruns,
		                                out_file(d, path, "softgpu", mode, ".log"))
		           ? -1
		           : 0;
	if (mode != WL_MODE_SOLO)
		wl_slices_guess(
		    &r->slices[mode], &r->lc[mode], &r->be[mode],
		    (uint64_t)(1e9 / wl_be_rate(&r->be[WL_MODE_SOLO], r->be[WL_MODE_SOLO].begin_ns,
		                                r->be[WL_MODE_SOLO].finish_ns)));
	return 0;
}

static void remove_gpu_logs(const struct demo *d, enum wl_mode mode)
{
	char path[PATH_MAX];
	remove(out_file(d, path, "owner", mode, ".log"));
	remove(out_file(d, path, "softgpu", mode, ".log"));
}

static int run_timeout_ms(const struct demo *d)
{
	return (int)(d->result.seconds * 20000) + 120000;
}

static int run_solo(struct demo *d)
{
	char path[PATH_MAX];
	struct wl_result *r = &d->result;
	remove_gpu_logs(d, WL_MODE_SOLO);
	enter_run(d, "lc alone");
	if (start_lc(d, WL_MODE_SOLO) || release_lc(d) ||
	    wait_for(d, &d->lc, NULL, run_timeout_ms(d)) ||
	    wl_lc_load(&r->lc[WL_MODE_SOLO], out_file(d, path, "lc", WL_MODE_SOLO, ".json")))
		return -1;
	forget(&d->lc);
	enter_run(d, "be alone");
	if (start_be(d, WL_MODE_SOLO) || wait_for(d, &d->be, NULL, run_timeout_ms(d)) ||
	    wl_be_load(&r->be[WL_MODE_SOLO], out_file(d, path, "be", WL_MODE_SOLO, ".json")))
		return -1;
	forget(&d->be);
	return load_gpu_log(d, WL_MODE_SOLO);
}

static int run_shared(struct demo *d, enum wl_mode mode)
{
	char path[PATH_MAX];
	struct wl_result *r = &d->result;
	remove_gpu_logs(d, mode);
	/* LC is the service that is there already, BE the job that comes; requests arrive when BE
	 * has queued as much as it may */
	if (start_lc(d, mode) || start_be(d, mode))
		return -1;
	wl_sleep_until(wl_now_ns() + HEAD_START_MS * 1000000ull);
	if (gates[mode] && check_joined(d))
		return -1;
	if (release_lc(d) || wait_for(d, &d->lc, NULL, run_timeout_ms(d)))
		return -1;
	forget(&d->lc);
	if (gates[mode] && look_at_gate(d, mode))
		return -1;
	if (d->be.pid)
		kill(d->be.pid, SIGTERM);
	if (wait_for(d, &d->be, NULL, STOP_TIMEOUT_MS))
		return -1;
	forget(&d->be);
	if (wl_lc_load(&r->lc[mode], out_file(d, path, "lc", mode, ".json")) ||
	    wl_be_load(&r->be[mode], out_file(d, path, "be", mode, ".json")))
		return -1;
	return load_gpu_log(d, mode);
}

static int run_row(struct demo *d, enum wl_mode m)
{
	if (m == WL_MODE_SOLO)
		return run_solo(d);
	enter_run(d, wl_mode_title[m]);
	if ((gates[m] && start_daemon(d, m, gates[m])) || run_shared(d, m))
		return -1;
	return gates[m] ? stop_daemon(d) : 0;
}

/* A row in which the software GPU fell behind its model is run again, whatever its figures are, as
 * long as the demo's time allows. */
static int run_undisturbed(struct demo *d, enum wl_mode m)
{
	struct wl_result *r = &d->result;
	const struct wl_overruns before = r->overruns;
	int step = d->step;
	for (;;) {
		if (run_row(d, m))
			return -1;
		if (r->overruns.count == before.count || r->reruns == RERUNS)
			return 0;
		wl_result_drop(r, m);
		r->overruns = before;
		r->reruns++;
		d->step = step;
	}
}

static int run_all(struct demo *d)
{
	int r = ask_gates(d);
	d->steps += WL_MODES + 1; /* alone are two */
	for (int m = 0; m < WL_MODES && !r; m++)
		if (!d->result.row[m].left_out)
			r = run_undisturbed(d, (enum wl_mode)m);
	return r;
}

static void stop_all(struct demo *d)
{
	struct wl_child *const all[] = {&d->lc, &d->be, &d->daemon.child};
	for (size_t i = 0; i < 3; i++)
		wl_child_stop(all[i], SIGTERM, 3000);
}

/* ---- setting up and telling */

static void parse(struct demo *d, int argc, char **argv)
{
	static const struct option options[] = {
	    {"out", 1, 0, 'o'},   {"seconds", 1, 0, 's'}, {"seed", 1, 0, 'e'},
	    {"quick", 0, 0, 'q'}, {"help", 0, 0, 'h'},    {0},
	};
	const char *out = NULL;
	int c;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'o':
			out = optarg;
			break;
		case 's':
			d->result.seconds = wl_option_number("--seconds", optarg, 1, 3600);
			break;
		case 'e':
			d->result.seed = wl_option_integer("--seed", optarg, 0, UINT32_MAX);
			break;
		case 'q':
			d->result.seconds = 3;
			break;
		default:
			wl_option_usage(c, usage);
		}
	}
	wl_option_no_more(argc, argv, usage);
	if (out)
		snprintf(d->out, sizeof(d->out), "%s", out);
	else
		snprintf(d->out, sizeof(d->out), "%.2000s/demo", d->build);
}

static int prepare(struct demo *d)
{
	char absolute[PATH_MAX];
	if (wl_make_folder(d->out))
		return -1;
	if (!realpath(d->out, absolute) || strlen(absolute) >= sizeof(d->out) - 8) {
		fprintf(stderr, "demo: %s: %s\n", d->out, strerror(errno ? errno : ENAMETOOLONG));
		return -1;
	}
	strcpy(d->out, absolute);
	if (wl_run_folder(d->out, d->run, sizeof(d->run)))
		return -1;
	d->result.simulated = !wl_probe_gpu(d->build, d->result.gpu, sizeof(d->result.gpu));
	if (d->result.simulated)
		printf("no NVIDIA GPU here: using the software GPU (simulated figures)\n");
	else
		printf("GPU: %s\n", d->result.gpu);
	fflush(stdout);
	return 0;
}

static int tell(struct demo *d)
{
	struct wl_result *r = &d->result;
	struct wl_table table = {0};
	char path[PATH_MAX], sentence[512], why[256];
	wl_result_compute(r);
	snprintf(r->gpu, sizeof(r->gpu), "%s", r->lc[WL_MODE_SOLO].gpu);
	wl_result_table(r, &table);
	wl_result_sentence(r, sentence, sizeof(sentence));
	printf("\n%s, %s; %s arrivals, %zu requests a run, ρ = %.2f, seed %" PRIu64
	       ", %g s a run\n\n",
	       r->gpu, r->simulated ? "simulated" : "measured", r->arrivals,
	       r->lc[WL_MODE_SOLO].latency.n, r->rho, r->seed, r->seconds);
	wl_table_print(&table, stdout);
	printf("\n%s\n", sentence);
	if (r->reruns)
		printf("Rows run again, since this machine had made the model late: %u\n",
		       r->reruns);
	if (!wl_result_valid(r, why, sizeof(why)))
		printf("NOT VALID: %s\n", why);
	snprintf(path, sizeof(path), "%s/result.json", d->out);
	if (wl_result_write(r, path))
		return -1;
	printf("\n%s\n", path);
	snprintf(path, sizeof(path), "%s/report.html", d->out);
	if (wl_report_write(r, path))
		return -1;
	printf("%s\n", path);
	return 0;
}

int main(int argc, char **argv)
{
	static struct demo d = {.result = {.seconds = 10, .seed = 1}};
	struct sigaction sa = {.sa_handler = on_signal};
	d.lc.fd = d.be.fd = d.daemon.child.fd = -1;
	d.daemon.build = d.build;
	d.daemon.run = d.run;
	d.daemon.config = d.config;
	d.result.arrivals = wl_arrival_name(WL_ARRIVAL_POISSON);
	d.result.period_ms = KERNELS * KERNEL_US / 1000.0 / RHO;
	d.result.kernels = KERNELS;
	d.result.kernel_us = KERNEL_US;
	d.tty = isatty(2);
	if (argc == 2 && strcmp(argv[1], WL_PROBE_FLAG) == 0)
		return wl_probe_child();
	if (wl_build_folder(d.build, sizeof(d.build)))
		return 1;
	parse(&d, argc, argv);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);

	/* What else this machine does should not be what we measure: where we may, go first. The
	 * same for all programs in all modes. */
	setpriority(PRIO_PROCESS, 0, -10);
	int r = prepare(&d);
	if (!r)
		r = run_all(&d);
	stop_all(&d);
	wl_run_folder_remove(d.out, d.run);
	progress_clear(&d);
	if (interrupted) {
		fprintf(stderr, "demo: interrupted; children and daemon are stopped\n");
		return 128 + (int)interrupted;
	}
	if (!r)
		r = tell(&d);
	wl_result_fini(&d.result);
	return r ? 1 : 0;
}
