// SPDX-License-Identifier: Apache-2.0
/*
 * event.h: what a completed event proves. For each recorded event: the row of its stream and how
 * many submissions had returned there before the record was asked for.
 *
 * A fixed table; an event that finds no room is not tracked, and then proves nothing. An entry
 * holds one atomic word, void from before a record until after it: so a reader that finds the
 * same word before and after its own driver call knows that this very record has completed.
 *
 * Not seen: records made by a graph's event node, by another process through an IPC handle, and by
 * cuCtxRecordEvent. Threads: any, no locks.
 */
#ifndef REIN_EVENT_H
#define REIN_EVENT_H

#include "stream.h"

/* Before the record: what was known of the event is void. */
void rein_event_forget(CUevent event);
/* After it succeeded; `target`: the row's `returned` before it. */
void rein_event_note(CUevent event, struct rein_row *row, uint64_t target);
/* The event was destroyed. */
void rein_event_drop(CUevent event);

/* What the event proves, 0: nothing; a word for rein_event_done() after the driver's answer. */
uint64_t rein_event_look(CUevent event);
/* The event has completed, and it is still the one looked at: completes what it proves. */
void rein_event_done(CUevent event, uint64_t word);

#endif
