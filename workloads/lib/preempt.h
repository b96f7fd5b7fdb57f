// SPDX-License-Identifier: Apache-2.0
/*
 * preempt.h: what happens between the submission of an urgent request and the moment in which the
 * GPU is its own, from times on the GPU: of the request's blocks, and the intervals in which the
 * less urgent program had blocks there. All in ns of one clock.
 *
 *   submitted      leaves        begin                 end
 *       |------------|-------------|--------------------|
 *                     <-hand-over->
 *
 * `leaves` is the end of the last interval of the other's that has a part in [submitted, begin],
 * `lower` that of the last in [submitted, end]: where the GPU goes back to the other before the
 * request is done, as natively, it lies behind `begin`. The request has the GPU to itself from the
 * later of the two on.
 */
#ifndef WORKLOADS_LIB_PREEMPT_H
#define WORKLOADS_LIB_PREEMPT_H

#include <stdio.h>

#include "daemon.h"
#include "measure.h"
#include "stats.h"

enum wl_preempt_what {
	WL_PREEMPT_LEAVES, /* submitted → the other's last block before the request's first ends, or
	                    * leaves the SMs: the latency of preemption */
	WL_PREEMPT_LOWER,    /* submitted → the other's last block until the request ends */
	WL_PREEMPT_BEGIN,    /* submitted → the request's first block begins */
	WL_PREEMPT_ALONE,    /* submitted → the later of the two */
	WL_PREEMPT_HANDOVER, /* the other's last block before it, or submitted → that begin */
	WL_PREEMPT_END,      /* submitted → the request's last block ends */
	WL_PREEMPT_WHATS,
};

struct wl_preempt {
	struct wl_samples sample[WL_PREEMPT_WHATS]; /* one of each per request */
};

/* Times before submitted_ns count as submitted_ns. */
void wl_preempt_add(struct wl_preempt *p, uint64_t submitted_ns, uint64_t begin_ns, uint64_t end_ns,
                    const struct wl_slices *lower);
void wl_preempt_sort(struct wl_preempt *p);
void wl_preempt_fini(struct wl_preempt *p);

/* From an order log of the software GPU: when a process' kernels of that name ran, in the log's
 * order. 0, or -1 after one line on stderr. */
int wl_preempt_load_order(struct wl_slices *s, const char *path, pid_t pid, const char *kernel);

/* ---- the whole bench: rows by gate, for each load */

#define WL_PREEMPT_ROWS 6
#define WL_PREEMPT_LOADS 5
#define WL_PREEMPT_ROUNDS 3

struct wl_preempt_row {
	const char *key, *title;
	const char *needs;           /* the gate that the daemon must offer; NULL: no daemon */
	const char *allows, *config; /* the gates that it may use, and more of rein.conf */
};

/* The enemy's kernels: its --kind, how long one is, and how many it keeps queued. */
struct wl_preempt_load {
	const char *kind;
	unsigned us, depth;
};

struct wl_preempt_cell {
	struct wl_preempt figures;
	uint64_t queued; /* by the enemy, the median */
	double enemy_units_per_s;
	struct wl_held held; /* the enemy, by each gate */
	struct wl_overruns overruns;
	uint64_t host_late_ns; /* the worst: how late the urgent program submitted a request */
};

/* The enemy alone at work: natively; with the queue gate in place and an urgent program registered,
 * which makes it put points into its queue; the same with none. */
enum wl_preempt_idle {
	WL_PREEMPT_IDLE_NATIVE,
	WL_PREEMPT_IDLE_REGISTERED,
	WL_PREEMPT_IDLE_NOBODY,
	WL_PREEMPT_IDLES,
};

struct wl_preempt_result {
	char gpu[96];
	bool simulated;
	uint64_t requests, seed;
	uint32_t urgent_kernels, urgent_kernel_us; /* of a request */
	const struct wl_preempt_row *row;          /* WL_PREEMPT_ROWS of them */
	bool asked[WL_PREEMPT_ROWS], offered[WL_PREEMPT_ROWS];
	struct wl_preempt_load load[WL_PREEMPT_LOADS];
	size_t loads;
	struct wl_preempt_cell cell[WL_PREEMPT_ROWS][WL_PREEMPT_LOADS];
	bool has_idle; /* of load[0] */
	double idle_s; /* length of a run */
	double idle_units_per_s[WL_PREEMPT_IDLES][WL_PREEMPT_ROUNDS];
	uint64_t idle_points[WL_PREEMPT_IDLES]; /* the most of a round */
};

/* The enemy's pace as a part of its native one in the same round: the median. */
double wl_preempt_idle_over_native(const struct wl_preempt_result *p, enum wl_preempt_idle what);
/* The table and what is to be said about it, in Markdown. */
void wl_preempt_print(const struct wl_preempt_result *p, FILE *f);
/* preempt.md and preempt.json in a folder. 0, or -1 after one line on stderr. */
int wl_preempt_write(const struct wl_preempt_result *p, const char *folder);

#endif
