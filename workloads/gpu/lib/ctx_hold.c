// SPDX-License-Identifier: Apache-2.0
/* ctx_hold.c: see ctx_hold.h. */
#include "ctx_hold.h"

#include <stdio.h>
#include <unistd.h>

#include "../../lib/clock.h"
#include "../../lib/fact.h"

#define PREEMPT_TIMEOUT_US 200000
#define SETTLE_US 300 /* for stores on their way to host memory */
#define MOVE_MS 3000  /* the load moves again after a release */
#define RELEASES 5

const char *const wl_recipe_name[WL_RECIPES] = {"disable_preempt", "disable", "schedule"};
const char *const wl_recipe_text[WL_RECIPES] = {
    "DISABLE_CHANNELS(only scheduling), then PREEMPT(wait)",
    "DISABLE_CHANNELS that preempts",
    "GPFIFO_SCHEDULE(off) of the group",
};

struct wl_hold_result wl_hold_local(void *arg, struct wl_rm_group *g, enum wl_recipe recipe,
                                    bool hold)
{
	struct wl_hold_result r = {0};
	if (recipe == WL_HOLD_SCHEDULE) {
		r.first = wl_rm_schedule(g, !hold);
		return r;
	}
	r.first = wl_rm_channels(g, hold, recipe == WL_HOLD_DISABLE_PREEMPT);
	if (hold && recipe == WL_HOLD_DISABLE_PREEMPT && wl_rm_ok(r.first))
		r.second = wl_rm_preempt(g, PREEMPT_TIMEOUT_US);
	return r;
}

static bool release(const struct wl_hold_plan *p, struct wl_rm_group *g, struct wl_hold_result *r)
{
	for (int i = 0; i < RELEASES; i++) {
		*r = p->by(p->arg, g, p->recipe, false);
		if (wl_hold_ok(r)) {
			wl_guard_held(WL_HELD_NOT);
			return true;
		}
		usleep(10000);
	}
	return false;
}

struct found {
	struct wl_samples hold_call, release_call, stop, resume;
	uint64_t moved; /* chunks done while held */
	struct wl_hold_result last;
	const char *failed; /* which control, or NULL */
};

/* One hold and release. */
static void cycle(const struct wl_hold_plan *p, struct wl_load *l, struct wl_watch *w,
                  struct wl_rm_group *g, struct wl_hold_tally *t, struct found *f)
{
	uint64_t begin = wl_now_ns();
	wl_guard_held(p->recipe == WL_HOLD_SCHEDULE ? WL_HELD_SCHEDULE : WL_HELD_CHANNELS);
	f->last = p->by(p->arg, g, p->recipe, true);
	if (!wl_hold_ok(&f->last)) {
		struct wl_hold_result undo;
		t->refused = true;
		f->failed = wl_rm_ok(f->last.first) ? "PREEMPT" : "the first control";
		t->stuck = !release(p, g, &undo) && wl_rm_ok(f->last.first);
		return;
	}
	wl_samples_add(&f->hold_call, wl_hold_ns(&f->last));
	usleep(SETTLE_US);
	uint64_t stopped = atomic_load(&w->last_ns);
	uint64_t at = wl_load_progress(l);
	usleep(p->hold_ms * 1000);
	uint64_t moved = wl_load_progress(l) - at;
	t->cycles++;
	t->still += moved == 0;
	f->moved += moved;
	if (moved == 0)
		wl_samples_add(&f->stop, stopped > begin ? stopped - begin : 0);
	wl_watch_arm(w);
	begin = wl_now_ns();
	struct wl_hold_result r;
	if (!release(p, g, &r)) {
		t->refused = t->stuck = true;
		f->failed = "the release";
		f->last = r;
		return;
	}
	wl_samples_add(&f->release_call, wl_hold_ns(&r));
	uint64_t first = wl_watch_first(w, MOVE_MS);
	t->stuck = first == 0;
	if (first && moved == 0)
		wl_samples_add(&f->resume, first - begin);
}

static void say(const struct wl_hold_plan *p, const struct wl_load *l,
                const struct wl_hold_tally *t, struct found *f)
{
	static const char *const quantities[] = {"hold_call", "hold_stop", "release_call",
	                                         "resume"};
	static const char *const notes[] = {
	    "from the first control to the end of the last",
	    "from the first control to the last progress seen, in cycles that held",
	    NULL,
	    "from the release to the first progress seen, in cycles that held",
	};
	struct wl_samples *const samples[] = {&f->hold_call, &f->stop, &f->release_call,
	                                      &f->resume};
	const char *name = wl_recipe_name[p->recipe];
	char id[96];
	snprintf(id, sizeof(id), "context-gate.%shold_status_%s_%ums", p->prefix, name, p->hold_ms);
	const struct wl_rm_result *r = wl_rm_ok(f->last.first) ? &f->last.second : &f->last.first;
	wl_fact_text(id, wl_rm_result_text(*r), "%s%s%s", wl_recipe_text[p->recipe],
	             f->failed ? "; failed: " : "", f->failed ? f->failed : "");
	if (t->cycles == 0)
		return;
	snprintf(id, sizeof(id), "context-gate.%sholds_%s_%ums", p->prefix, name, p->hold_ms);
	double whole = (double)t->cycles * p->hold_ms * 1e6 / l->chunk_ns;
	wl_fact(id, (double)t->still / t->cycles, "of cycles",
	        "share of %u cycles of %u ms in which nothing moved; progress while held: %.4f of "
	        "an undisturbed load's",
	        t->cycles, p->hold_ms, whole > 0 ? (double)f->moved / whole : 0);
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		snprintf(id, sizeof(id), "context-gate.%s%s_%s_%ums_us", p->prefix, quantities[i],
		         name, p->hold_ms);
		wl_fact_samples(id, "us", samples[i], 1e3, notes[i] ? "%s" : NULL, notes[i]);
	}
}

struct wl_hold_tally wl_hold_run(const struct wl_hold_plan *p, struct wl_load *l,
                                 struct wl_watch *w, struct wl_rm_group *g)
{
	struct wl_hold_tally t = {0};
	struct found f = {0};
	for (unsigned i = 0; i < p->cycles && !t.refused && !t.stuck; i++) {
		cycle(p, l, w, g, &t, &f);
		if (atomic_load(&l->failed))
			break;
		usleep(2000 + i % 11 * 500); /* another point of the kernel each time */
	}
	say(p, l, &t, &f);
	struct wl_samples *const samples[] = {&f.hold_call, &f.stop, &f.release_call, &f.resume};
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
		wl_samples_fini(samples[i]);
	return t;
}
