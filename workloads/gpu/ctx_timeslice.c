// SPDX-License-Identifier: Apache-2.0
/*
 * ctx_timeslice.c: does a channel group's time slice decide its share of the GPU, and what does it
 * do to another process' latency? Runs under preload/rm_spy.so.
 *
 * Asks: two processes saturate the GPU; the time slice of one (BE, this one) is set to 1, 50, 100,
 * 200 and 1024 µs and back. What is left of BE's own speed while nobody else has work? Which share
 * does each get; how long does a short kernel of the other (LC) take, launch to end, beside BE?
 * Read: chunks of work done, written by the kernels to host memory while they run, within a fixed
 * time, relative to the same alone; latencies by the host's clock. Without effect: shares of about
 * a half at each setting, and the same latency.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "../lib/clock.h"
#include "../lib/fact.h"
#include "lib/ctx.h"

#define LIMIT_S 60
#define WINDOW_MS 800
#define QUICK_WINDOW_MS 60
#define RIVAL_MS 8000

WL_EMBED(gpu_kernels, GPU_FATBIN);

static struct wl_load load;
static struct wl_rival rival;
static unsigned window_ms = WINDOW_MS;
static double solo_be, solo_lc; /* chunks a second */

/* Chunks a second of both, over the window. */
static void rates(double *be, double *lc)
{
	uint64_t begin = wl_now_ns(), be_before = wl_load_progress(&load);
	uint64_t lc_before = wl_rival_progress(&rival);
	usleep(window_ms * 1000);
	uint64_t ns = wl_now_ns() - begin;
	*be = (double)(wl_load_progress(&load) - be_before) * 1e9 / (double)ns;
	*lc = (double)(wl_rival_progress(&rival) - lc_before) * 1e9 / (double)ns;
}

static void lost_rival(void)
{
	fprintf(stderr, "ctx_timeslice: the other process did not do as told in time\n");
	wl_rival_stop(&rival);
	wl_guard_exit(1);
}

static void set_rival(enum wl_rival_mode mode)
{
	if (!wl_rival_set(&rival, mode, RIVAL_MS))
		lost_rival();
}

static void alone(void)
{
	double other;
	struct wl_samples s = {0};
	set_rival(WL_RIVAL_IDLE);
	wl_load_start(&load);
	wl_load_moves(&load, wl_load_progress(&load), 2000);
	rates(&solo_be, &other);
	wl_load_stop(&load);
	set_rival(WL_RIVAL_BUSY);
	rates(&other, &solo_lc);
	set_rival(WL_RIVAL_SHORT);
	usleep(window_ms * 1000);
	wl_rival_samples(&rival, &s);
	wl_fact_samples("context-gate.lc_latency_solo_us", "us", &s, 1e3,
	                "a short kernel of the other process, alone, launch to end");
	wl_samples_fini(&s);
}

static void share_at(const char *setting)
{
	char id[64];
	double be, lc;
	struct wl_samples s = {0};
	set_rival(WL_RIVAL_IDLE);
	rates(&be, &lc);
	snprintf(id, sizeof(id), "context-gate.be_alone_%s", setting);
	wl_fact(id, solo_be > 0 ? be / solo_be : 0, "of solo",
	        "the other process has a context and no work");
	set_rival(WL_RIVAL_BUSY);
	rates(&be, &lc);
	snprintf(id, sizeof(id), "context-gate.share_be_%s", setting);
	wl_fact(id, solo_be > 0 ? be / solo_be : 0, "of solo",
	        "two saturating processes; the other, with its own slice unchanged, got %.3f",
	        solo_lc > 0 ? lc / solo_lc : 0);
	set_rival(WL_RIVAL_SHORT);
	usleep(window_ms * 1000);
	wl_rival_samples(&rival, &s);
	snprintf(id, sizeof(id), "context-gate.lc_latency_%s_us", setting);
	wl_fact_samples(id, "us", &s, 1e3, "a short kernel of the other process beside BE");
	wl_samples_fini(&s);
}

static void sweep(struct wl_rm_group *g)
{
	static const struct {
		uint64_t us;
		const char *name;
	} settings[] = {{1024, "1024us"}, {200, "200us"}, {100, "100us"}, {50, "50us"}, {1, "1us"}};
	uint64_t before = 0, now = 0;
	struct wl_samples calls = {0};
	struct wl_rm_result r = wl_rm_get_timeslice(g, &before);
	bool known = wl_rm_ok(r) && before > 0;
	wl_fact_text("context-gate.get_timeslice_status", wl_rm_result_text(r), "%llu us",
	             (unsigned long long)before);
	wl_load_start(&load);
	share_at("default");
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		char id[64];
		r = wl_rm_set_timeslice(g, settings[i].us);
		snprintf(id, sizeof(id), "context-gate.set_timeslice_%s_status", settings[i].name);
		wl_rm_get_timeslice(g, &now);
		wl_fact_text(id, wl_rm_result_text(r), "the call took %.1f us; read back: %llu us",
		             (double)r.ns / 1e3, (unsigned long long)now);
		if (!wl_rm_ok(r))
			continue;
		wl_samples_add(&calls, r.ns);
		share_at(settings[i].name);
	}
	if (known && calls.n > 0) {
		r = wl_rm_set_timeslice(g, before);
		wl_fact_text("context-gate.restore_timeslice_status", wl_rm_result_text(r),
		             "%llu us", (unsigned long long)before);
		share_at("restored");
	}
	wl_load_stop(&load);
	wl_fact_samples("context-gate.set_timeslice_us", "us", &calls, 1e3, "length of the call");
	wl_samples_fini(&calls);
}

int main(int argc, char **argv)
{
	struct wl_shape shape = WL_SHAPE_DEFAULT;
	struct wl_rm_group g;
	char why[160];
	shape.kernel_ms = 20;
	wl_shape_options(&shape, argc, argv);
	if (shape.quick)
		window_ms = QUICK_WINDOW_MS;
	wl_guard(LIMIT_S);
	if (!wl_rival_start(&rival, gpu_kernels, &shape))
		return 1;
	wl_load_open(&load, gpu_kernels, &shape);
	if (wl_rm_capture(&g, NULL, why, sizeof(why))) {
		wl_fact_skip("context-gate.share_be_default", "%s", why);
		wl_rival_stop(&rival);
		return WL_EXIT_SKIPPED;
	}
	wl_guard_group(&g);
	alone();
	sweep(&g);
	wl_rival_stop(&rival);
	wl_fact_flag("context-gate.timeslice_result_intact", wl_load_intact(&load),
	             "BE's data against the host's computation");
	return atomic_load(&load.failed) != 0;
}
