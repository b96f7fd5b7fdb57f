// SPDX-License-Identifier: Apache-2.0
/*
 * ctx_hold.h: holding a running context off the GPU and letting it run again, by several recipes of
 * controls; issued here or by another process (struct wl_hold_by).
 */
#ifndef WORKLOADS_GPU_LIB_CTX_HOLD_H
#define WORKLOADS_GPU_LIB_CTX_HOLD_H

#include "ctx.h"

enum wl_recipe {
	WL_HOLD_DISABLE_PREEMPT, /* disable scheduling of all channels, then PREEMPT(wait) */
	WL_HOLD_DISABLE,         /* disable all channels in the form that preempts by itself */
	WL_HOLD_SCHEDULE,        /* take the group off the runlist */
	WL_RECIPES,
};
extern const char *const wl_recipe_name[WL_RECIPES]; /* as in fact ids */
extern const char *const wl_recipe_text[WL_RECIPES];

/* What a hold or release took: the first control, and for WL_HOLD_DISABLE_PREEMPT the second. */
struct wl_hold_result {
	struct wl_rm_result first, second;
};
static inline bool wl_hold_ok(const struct wl_hold_result *r)
{
	return wl_rm_ok(r->first) && wl_rm_ok(r->second);
}
static inline uint64_t wl_hold_ns(const struct wl_hold_result *r)
{
	return r->first.ns + r->second.ns;
}

/* Issues a recipe's controls on g from this process. */
struct wl_hold_result wl_hold_local(void *arg, struct wl_rm_group *g, enum wl_recipe recipe,
                                    bool hold);
/* Who issues them: wl_hold_local, or a function that has another process do it. */
typedef struct wl_hold_result wl_hold_fn(void *arg, struct wl_rm_group *g, enum wl_recipe recipe,
                                         bool hold);

struct wl_hold_plan {
	const char *prefix; /* of fact ids, after "context-gate."; "" or "remote_" */
	enum wl_recipe recipe;
	unsigned cycles, hold_ms;
	wl_hold_fn *by;
	void *arg;
};
struct wl_hold_tally {
	unsigned cycles, still; /* how many, and in how many nothing moved while held */
	bool refused, stuck;    /* a control failed; the load did not move again */
};
/* Runs the plan on a load that is running, with its watcher; prints what it finds as facts
 * "context-gate.<prefix><quantity>_<recipe>_<hold_ms>ms…". */
struct wl_hold_tally wl_hold_run(const struct wl_hold_plan *p, struct wl_load *l,
                                 struct wl_watch *w, struct wl_rm_group *g);

#endif
