// SPDX-License-Identifier: Apache-2.0
/*
 * event.h: what a completed event proves. For each recorded event: the row of its stream and how
 * many submissions had returned there before the record was asked for.
 *
 * A fixed table; an event that finds no room is not tracked, and then proves nothing. An entry
 * holds one atomic word, void from before a record until after it: so a reader that finds the
 * same word before and after its own driver call knows that this very record has completed.
 *
 * Some records cannot be seen: those of a graph's event node and those of another process. An event
 * that may be recorded so is special from the moment that this becomes possible, before the call
 * that makes it so, until it is destroyed: it proves nothing any more. One that is shared between
 * processes also orders work across them: recording it and waiting for it are submissions.
 *
 * Threads: any, no locks.
 */
#ifndef REIN_EVENT_H
#define REIN_EVENT_H

#include "stream.h"

/* Before the record: what was known of the event is void. */
void rein_event_forget(CUevent event);
/* After it succeeded; `target`: the row's `returned` before it. */
void rein_event_note(CUevent event, struct rein_row *row, uint64_t target);
/* A launch whose attributes record events in its stream, before its end: they prove nothing. */
void rein_event_launched(const CUlaunchConfig *config);
/* The event was destroyed. */
void rein_event_drop(CUevent event);

#define REIN_EVENT_ELSEWHERE 1u /* may be recorded where we do not see it */
#define REIN_EVENT_SHARED 2u    /* between processes */
void rein_event_special(CUevent event, unsigned kinds);
/* If ever there were more special ones than fit the table: both kinds, for every event. */
unsigned rein_event_kinds(CUevent event);

/* What the event proves, 0: nothing; a word for rein_event_done() after the driver's answer. */
uint64_t rein_event_look(CUevent event);
/* The event has completed, and it is still the one looked at: completes what it proves. */
void rein_event_done(CUevent event, uint64_t word);
/* What that is: all of this row up to *target; NULL: nothing. */
struct rein_row *rein_event_proves(uint64_t word, uint64_t *target);

#endif
