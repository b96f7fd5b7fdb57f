// SPDX-License-Identifier: Apache-2.0
/*
 * ctx_hold.c: can a process' running kernel be held off the GPU for as long as we like, and how
 * fast does it stop and go on? Runs under preload/rm_spy.so.
 *
 * Asks, for three recipes of controls (lib/ctx_hold.h), the least dangerous first: the load fills
 * the GPU; hold it for 5 ms, 100 ms, 1 s; does its progress stand still all that time; how long do
 * the calls take, how soon does it stop and, after the release, move again; is the result of the
 * interrupted kernels intact; and what is it good for: latency of a short kernel of another process
 * (LC) alone, beside the running load, beside the held load. Read: progress that the kernels write
 * to host memory each 5 µs, timed by the host's clock.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "../lib/clock.h"
#include "../lib/fact.h"
#include "lib/ctx_hold.h"

#define LIMIT_S 70
#define RIVAL_MS 8000
#define LC_WINDOW_MS 300
#define SIDE_US 20000
#define SIDE_MS 1000
#define MOVE_MS 3000

WL_EMBED(gpu_kernels, GPU_FATBIN);

static struct wl_load load;
static struct wl_watch watch;
static struct wl_rival rival;
static unsigned lc_window_ms = LC_WINDOW_MS;

/* Latency of LC's short kernels from now on, for the window. */
static void lc_latency(const char *beside, const char *note)
{
	char id[96];
	struct wl_samples s = {0};
	if (!wl_rival_set(&rival, WL_RIVAL_SHORT, RIVAL_MS)) {
		fprintf(stderr, "ctx_hold: the other process did not do as told in time\n");
		return;
	}
	usleep(lc_window_ms * 1000);
	wl_rival_samples(&rival, &s);
	snprintf(id, sizeof(id), "context-gate.hold_lc_latency_%s_us", beside);
	wl_fact_samples(id, "us", &s, 1e3, "%s", note);
	wl_samples_fini(&s);
	wl_rival_set(&rival, WL_RIVAL_IDLE, RIVAL_MS);
}

/* What became of a launch that was made while the context was held. false: it never ran. */
static bool after_side(struct wl_side *side, uint64_t while_held_ns, enum wl_recipe recipe)
{
	char id[96];
	struct wl_side another;
	const char *answer = "at once";
	bool ran = wl_side_end(side, SIDE_MS);
	if (!ran) { /* a doorbell that was lost is made up for by the next one */
		answer = "not within a second";
		ran = wl_side_begin(&another, &load) && wl_side_end(&another, SIDE_MS);
		if (ran)
			answer = "only after another launch";
	}
	snprintf(id, sizeof(id), "context-gate.launch_while_held_%s_us", wl_recipe_name[recipe]);
	if (while_held_ns)
		wl_fact(id, (double)while_held_ns / 1e3, "us",
		        "length of a launch on another stream while the context is held");
	else
		wl_fact_text(id, "blocks",
		             "a launch while the context is held had not returned "
		             "20 ms later");
	snprintf(id, sizeof(id), "context-gate.launch_while_held_runs_%s", wl_recipe_name[recipe]);
	wl_fact_text(id, answer,
	             "when the kernel that was launched meanwhile runs after the release");
	return ran;
}

/* What others, and this process itself, can do while it is held. false: the load does not run
 * again; nothing more can be asked. */
static bool beside_held(struct wl_rm_group *g, enum wl_recipe recipe)
{
	char beside[48];
	struct wl_side side = {0};
	bool launched = false;
	wl_guard_held(recipe == WL_HOLD_SCHEDULE ? WL_HELD_SCHEDULE : WL_HELD_CHANNELS);
	struct wl_hold_result r = wl_hold_local(NULL, g, recipe, true);
	if (wl_hold_ok(&r)) {
		snprintf(beside, sizeof(beside), "held_%s", wl_recipe_name[recipe]);
		lc_latency(beside, "a short kernel of another process beside the held load");
		launched = wl_side_begin(&side, &load);
		usleep(SIDE_US);
	}
	uint64_t at = wl_load_progress(&load), while_held_ns = atomic_load(&side.ns);
	for (int i = 0; i < 5; i++) {
		r = wl_hold_local(NULL, g, recipe, false);
		if (wl_hold_ok(&r)) {
			wl_guard_held(WL_HELD_NOT);
			break;
		}
	}
	bool moves = wl_load_moves(&load, at, MOVE_MS);
	if (launched && !after_side(&side, while_held_ns, recipe)) {
		fprintf(stderr, "ctx_hold: a stream no longer runs after %s\n",
		        wl_recipe_text[recipe]);
		return false;
	}
	if (!moves)
		fprintf(stderr, "ctx_hold: the load does not run again after %s\n",
		        wl_recipe_text[recipe]);
	return moves;
}

static bool intact(enum wl_recipe recipe)
{
	char id[96];
	wl_load_stop(&load);
	bool ok = wl_load_intact(&load);
	snprintf(id, sizeof(id), "context-gate.hold_result_intact_%s", wl_recipe_name[recipe]);
	wl_fact_flag(id, ok, "every element of the load's data against the host's computation%s",
	             atomic_load(&load.failed) ? "; CUDA failed" : "");
	if (atomic_load(&load.failed))
		return false;
	wl_load_start(&load);
	return wl_load_moves(&load, wl_load_progress(&load), MOVE_MS);
}

/* false: stop here. */
static bool try_recipe(struct wl_rm_group *g, enum wl_recipe recipe, bool quick)
{
	static const struct {
		unsigned cycles, hold_ms;
	} whole[] = {{50, 5}, {6, 100}, {2, 1000}}, brief[] = {{3, 5}, {1, 20}};
	struct wl_hold_tally t = {0};
	size_t n = quick ? 2 : recipe == WL_HOLD_DISABLE_PREEMPT ? 3 : 2;
	for (size_t i = 0; i < n; i++) {
		struct wl_hold_plan p = {
		    .prefix = "",
		    .recipe = recipe,
		    .cycles = quick ? brief[i].cycles : whole[i].cycles,
		    .hold_ms = quick ? brief[i].hold_ms : whole[i].hold_ms,
		    .by = wl_hold_local,
		};
		t = wl_hold_run(&p, &load, &watch, g);
		if (t.stuck || atomic_load(&load.failed)) {
			fprintf(stderr, "ctx_hold: the load does not run again after %s\n",
			        wl_recipe_text[recipe]);
			return false;
		}
		if (t.refused)
			return true; /* the status is the answer; the next recipe */
	}
	return beside_held(g, recipe) && intact(recipe);
}

/* Interleaving needs privilege; asked on our own group, and put back. */
static void try_interleave(struct wl_rm_group *g)
{
	uint32_t before = 1;
	struct wl_rm_result r = wl_rm_get_interleave(g, &before);
	bool known = wl_rm_ok(r);
	r = wl_rm_set_interleave(g, 0);
	wl_fact_text("context-gate.set_interleave_status", wl_rm_result_text(r),
	             "level low, on our own group, uid %u; the level was %u", (unsigned)getuid(),
	             before);
	if (wl_rm_ok(r))
		wl_rm_set_interleave(g, known ? before : 1);
}

int main(int argc, char **argv)
{
	struct wl_shape shape = WL_SHAPE_DEFAULT;
	struct wl_rm_group g;
	char why[160];
	wl_shape_options(&shape, argc, argv);
	if (shape.quick)
		lc_window_ms = 40;
	wl_guard(LIMIT_S);
	if (!wl_rival_start(&rival, gpu_kernels, &shape))
		return 1;
	wl_load_open(&load, gpu_kernels, &shape);
	if (wl_rm_capture(&g, NULL, why, sizeof(why)) || !g.subdevice) {
		wl_fact_skip("context-gate.hold_status_disable_preempt_5ms", "%s", why);
		wl_rival_stop(&rival);
		return WL_EXIT_SKIPPED;
	}
	wl_guard_group(&g);
	lc_latency("solo", "a short kernel of another process, alone");
	wl_load_start(&load);
	if (!wl_load_moves(&load, wl_load_progress(&load), 5000)) {
		fprintf(stderr, "ctx_hold: the load shows no progress\n");
		wl_guard_exit(1);
	}
	wl_watch_start(&watch, &load.page[0]);
	lc_latency("native", "a short kernel of another process beside the running load");
	bool running = true;
	for (int i = 0; i < WL_RECIPES && running; i++)
		running = try_recipe(&g, (enum wl_recipe)i, shape.quick);
	if (running)
		try_interleave(&g);
	wl_rival_stop(&rival);
	if (!running)
		wl_guard_exit(1);
	wl_load_stop(&load);
	wl_watch_stop(&watch);
	return 0;
}
