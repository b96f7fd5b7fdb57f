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
 * backlog. Unmetered: no events, no waiting, nothing of this.
 *
 * A kernel's time is the time between an event before and the mark behind it, taken only if
 * nothing else went into the stream in between and this client was the device's sole owner all
 * the while (board.owners_gen).
 *
 * Bounded: a stream may wait for what the waiting thread itself would do next. If nothing at all
 * completes for two leases the wait ends (a lapse), and so do the following ones until something
 * completes: the program's correctness comes before scheduling.
 *
 * Marks are a fixed array; a slot's state says who owns it, no lock is held across a driver call.
 */
#ifndef REIN_BACKLOG_H
#define REIN_BACKLOG_H

#include "submit.h"

/* How long nothing may complete before a wait is given up: two leases; tests change it. */
extern uint64_t rein_backlog_patience_ns;

/* Waits for room while the gate word is `gate`; reserves. False: the word changed first. */
bool rein_backlog_enter(struct rein_ticket *t, uint32_t gate);
/* Gives a reservation back unused. */
void rein_backlog_leave(struct rein_ticket *t);
/* Right before and right after the driver call. `target`: the row's `returned` with this one.
 * queued: it was accepted and may still run. */
void rein_backlog_before(struct rein_ticket *t);
void rein_backlog_after(struct rein_ticket *t, uint64_t target, bool queued);

/* Looks at the marks and completes what they prove; the number of marks that had completed. */
unsigned rein_backlog_reap(void);
bool rein_backlog_pending(void);
/* A mark on a stream that is about to be destroyed: tells when its work is over. */
void rein_backlog_last_mark(struct rein_row *row, CUstream stream);
/* While the helper is inhibited: returns when no thread looks at a mark; bounded. */
void rein_backlog_quiesce(void);
/* The context's events are gone or about to go. After rein_backlog_quiesce(). */
void rein_backlog_forget(CUcontext ctx);
/* A thread waits for room, and marks will tell when there is some: queries are not needed. */
bool rein_backlog_watches(void);

#endif
