// SPDX-License-Identifier: Apache-2.0
/*
 * preempt.h: what happens between the submission of an urgent request and the moment in which the
 * GPU is its own, from times on the GPU: of the request's blocks, and the intervals in which the
 * less urgent program had blocks there. All in ns of one clock.
 *
 *   submitted      lower         begin                 end
 *       |------------|-------------|--------------------|
 *                     <-hand-over->
 *
 * `lower` is the end of the last interval of the other's that has a part in [submitted, end]: where
 * the GPU goes back to the other before the request is done, as natively, it lies behind `begin`.
 * The request has the GPU to itself from the later of the two on.
 */
#ifndef WORKLOADS_LIB_PREEMPT_H
#define WORKLOADS_LIB_PREEMPT_H

#include "measure.h"
#include "stats.h"

enum wl_preempt_what {
	WL_PREEMPT_LOWER,    /* submitted → the other's last block ends, or leaves the SMs */
	WL_PREEMPT_BEGIN,    /* submitted → the request's first block begins */
	WL_PREEMPT_HANDOVER, /* the other's last block before it, or submitted → that begin */
	WL_PREEMPT_ALONE,    /* submitted → the later of the first two */
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

#endif
