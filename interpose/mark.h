// SPDX-License-Identifier: Apache-2.0
/*
 * mark.h: the events that a metered client's submissions leave behind them, so that somebody can
 * see how far the GPU has come. Part of backlog.c, which decides when to leave and look at them.
 *
 * A mark is one slot of a fixed array with a pair of events of one context: `end` is recorded
 * behind a submission; `begin` before it, if the time between the two is to be a sample of the
 * kernel-time model. A slot's state says who owns it: FREE nobody, OWNED one thread, which alone
 * touches the rest of it, MARKED whoever looks next. No lock is held across a driver call.
 *
 * A measured span counts only if nothing else went into the stream between the two events. It is a
 * sample if this client was the device's sole owner all the while (board.owners_gen even, and the
 * same), else an upper bound.
 */
#ifndef REIN_MARK_H
#define REIN_MARK_H

#include "stream.h"

#define REIN_MARKS 128

struct rein_mark {
	rein_a32 state;
	bool written_off; /* counted in its row's `stuck` */
	bool reserved;    /* to be given back when it completes: */
	uint64_t reserved_ns;
	uint64_t expected_ns; /* 0: nobody knows */
	uint64_t context;     /* that the two events belong to; 0: there are none */
	CUevent begin, end;
	struct rein_row *row;
	uint64_t target; /* completes the row up to here */
	uint64_t stamp_ns;
	/* the sample: what was there when `begin` was recorded */
	uint64_t key; /* 0: not a sample */
	uint64_t begun;
	uint32_t disturbed, owners_gen;
};

/* What a look finds out. */
struct rein_mark_watch {
	unsigned done;                  /* marks that had completed */
	uint64_t stamp_ns, expected_ns; /* of the oldest one that has not; 0: there is none */
};

/* A slot with events for the current context, OWNED; NULL: none is to be had. */
struct rein_mark *rein_mark_take(void);
/* Ends its reservation and lets it go. */
void rein_mark_free(struct rein_mark *m);
/* Records `begin`, if the span to `end` may tell something. */
void rein_mark_begin(struct rein_mark *m, struct rein_row *row, CUstream stream, uint64_t key);
/* Records `end`: the row's work up to `target` now hangs on it. False: the driver refused, or the
 * stream has begun to capture. */
bool rein_mark_end(struct rein_mark *m, struct rein_row *row, CUstream stream, uint64_t target);

/* Asks the driver about the marks; what has completed is completed in its row and let go. `push`:
 * the calling thread has no context of its own. */
struct rein_mark_watch rein_mark_look(bool push);
bool rein_mark_pending(void);
/* Whether a mark will tell the helper when all that the row was given has completed. */
bool rein_mark_tells(const struct rein_row *row);
/* Gives back the reservations of the marks recorded before `before_ns`: their streams wait for
 * something that may be up to whoever waits for room now. Until such a mark completes its row
 * counts as stuck. */
void rein_mark_write_off(uint64_t before_ns);
/* A mark on a stream that is about to be destroyed: tells when its work is over. */
void rein_mark_last(struct rein_row *row, CUstream stream);
/* While the helper is inhibited: returns when no thread looks any more; bounded. */
void rein_mark_quiesce(void);
/* Around a call of ours that puts something into a stream, so that it never enters a capture.
 * False: the stream captures; nothing is to be ended. */
bool rein_mark_call_begin(CUstream stream);
/* The same for calls on any streams: only if no capture is under way at all, or if it is the
 * caller's. */
bool rein_mark_quiet_begin(bool capturer);
void rein_mark_call_end(void);
/* Begin-capture has raised its count: returns when no thread is about to record a mark that it had
 * decided on before; bounded. From then on none is recorded on a stream that captures. */
void rein_mark_settle(void);
/* The context's events are gone, or about to go. After rein_mark_quiesce(). */
void rein_mark_forget(CUcontext ctx);

#endif
