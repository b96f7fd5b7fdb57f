// SPDX-License-Identifier: Apache-2.0
/*
 * backlog.h: how much unfinished work a metered client may have on the GPU, so that whoever
 * preempts it waits for no more than that.
 *
 * While the gate word has REIN_GATE_METERED each submission first reserves its estimated GPU time
 * in the backlog. It may go if nothing is reserved, or if the sum stays within the verdict's
 * backlog_ns and the number within backlog_launches; an unknown kernel counts as the whole
 * backlog. Behind the submission the caller's thread records an event, the *mark*, on the caller's
 * stream; when it has completed the reservation ends and all that was counted before it has
 * completed. Work that was queued before metering began is one more reservation, of the whole
 * backlog. Unmetered: no waiting, and no events but those of rare samples.
 *
 * Under the queue gate (point.h) the GPU stops at the next point by itself, so only what no point
 * stands behind counts: per stream, the submissions since its last point; together they keep to the
 * backlog. They leave no marks, but those of samples: what is before a point is released when the
 * point is put, the rest when its stream has drained; who waits leaves one behind its stream's
 * last. Work queued before metering began gets a point behind it, and is waited for no more.
 *
 * Fair: who has waited for long goes before all others, so that a kernel which needs the backlog to
 * itself gets it however many threads keep it filled.
 *
 * Bounded: a stream may wait for what the waiting thread itself would do next. If nothing at all
 * completes for two leases, or after five times that in any case, the wait ends (a lapse): what is
 * overdue is written off, and until it completes what its streams are given does not count. The
 * program's correctness comes before scheduling.
 */
#ifndef REIN_BACKLOG_H
#define REIN_BACKLOG_H

#include "mark.h"
#include "submit.h"

/* How long nothing may complete before a wait is given up: two leases; tests change it. */
extern uint64_t rein_backlog_patience_ns;

/* The kernel-time model's key of a kernel or graph launch; 0: no model applies. */
uint64_t rein_backlog_key(const struct rein_work *w);

/* Waits for room while the gate word is `gate`; reserves. False: the word changed first. */
bool rein_backlog_enter(struct rein_ticket *t, uint32_t gate);
/* Gives a reservation back unused. */
void rein_backlog_leave(struct rein_ticket *t);
/* Right before and right after the driver call. `target`: the row's `returned` with this one.
 * queued: it was accepted and may still run. */
void rein_backlog_before(struct rein_ticket *t);
void rein_backlog_after(struct rein_ticket *t, uint64_t target, bool queued);

/*
 * Unmetered there is nothing of this but samples, so that a client's kernels are known when
 * metering begins: the helper, while the client submits, asks for a launch to be timed, at most one
 * in 100 and every 10 ms. `begun`: rein_rows_begun().
 */
void rein_backlog_sample_next(uint64_t begun);
void rein_backlog_unmetered(struct rein_ticket *t);

/* A mark with a reservation of `ns` has completed or was given up. */
void rein_backlog_release(uint64_t ns);
/* A thread waits for room, and marks will tell when there is some: queries are not needed. */
bool rein_backlog_watches(void);

#endif
