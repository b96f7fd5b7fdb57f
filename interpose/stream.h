// SPDX-License-Identifier: Apache-2.0
/*
 * stream.h: what this process has submitted and what of it has completed, per (context, stream).
 *
 * A row counts submissions: `begun` before the driver call, `returned` after it, `completed` as
 * far as is proven. The argument is one of numbers, not of identities: a synchronisation proves
 * that all submissions which had returned when it began have completed, so completed may rise to
 * the `returned` read at its begin. completed ≤ returned ≤ begun at any time, and equality of the
 * outer two means that everything has completed.
 *
 * Counters are never reset. A destroyed stream's row is DEAD: no look-up finds it, what is
 * outstanding in it still counts, and once that has completed the row may serve another stream,
 * counting on from where it stood. So a late reference (an event recorded there, a mark, a thread
 * still inside a launch) can be wrong about nothing.
 *
 * Identity: a stream made by the application is its handle. The legacy default stream (0, 1) is
 * one per context, the per-thread default stream (2, and 0 in _ptsz entries) one per context and
 * thread. The context is a constant until a second one was seen, then the driver is asked.
 *
 * Programs make far more streams than they use (PyTorch some 150). Whoever asks what is outstanding
 * goes through the rows that were ever given work: a row enters that list at its first look-up for
 * a submission, before it is counted, and never leaves it.
 *
 * Threads: look-ups take no lock; making a row takes one for some 100 ns, with no driver call
 * under it. Errors: none; a full table gives the context's overflow row, or NULL: not counted.
 */
#ifndef REIN_STREAM_H
#define REIN_STREAM_H

#include "shim.h"

#define REIN_ROWS 1024 /* row numbers fit event.c's packing */

enum rein_row_state { REIN_ROW_FREE, REIN_ROW_LIVE, REIN_ROW_DEAD };

#define REIN_ROW_BLOCKING 1u  /* synchronises with the legacy default stream */
#define REIN_ROW_CAPTURING 2u /* a capture was begun on it */
#define REIN_ROW_GONE 4u      /* its context is no more: whatever was outstanding is over */

struct rein_row {
	_Alignas(128) rein_a64 begun;
	rein_a64 returned;
	rein_a64 completed;
	rein_a64 handle;  /* the stream, REIN_HANDLE_* */
	rein_a64 scope;   /* what a context synchronisation covers: the context or green context */
	rein_a64 context; /* to make current before asking about the stream */
	rein_a32 state;   /* enum rein_row_state */
	rein_a32 thread;  /* per-thread default stream: whose */
	rein_a32 flags;   /* REIN_ROW_* */
	rein_a32 disturbed; /* waits put into the stream: no kernel is timed across one */
	rein_a64 marked;    /* up to here marks tell of completion (backlog.c) */
	rein_a32 stuck;     /* marks of it that were written off and have not completed yet */
	rein_a32 slot;      /* of the verdict of the context's device */
	rein_a32 id;        /* as event records name it (common/ring.h) */
	rein_a32 used;      /* 1: given work, once or more; in the list of those */
	rein_a32 place;     /* point.c: where its progress is written + 1; 0: nowhere */
	rein_a32 waiting;   /* backlog.c: of those that have begun, how many wait for room */
	rein_a64 past;      /* backlog.c: reserved since its last point, as `outstanding` counts */
	rein_a64 still;     /* backlog.c: `completed` + 1 when it was given up on; 0: never */
};

/* Stands for streams beyond the table's end; not a handle that the driver gives out. */
#define REIN_HANDLE_LEGACY 1u
#define REIN_HANDLE_PER_THREAD 2u
#define REIN_HANDLE_OVERFLOW 3u
static inline bool rein_handle_special(uint64_t handle)
{
	return handle <= REIN_HANDLE_OVERFLOW;
}
static inline uint64_t rein_handle_of(CUstream stream, unsigned options)
{
	if (stream)
		return (uint64_t)(uintptr_t)stream;
	return options & REIN_OPT_PER_THREAD ? REIN_HANDLE_PER_THREAD : REIN_HANDLE_LEGACY;
}

/* How many streams were ever made that synchronise with the legacy default stream. */
extern rein_a32 rein_rows_blocking;
extern struct rein_row rein_row_none; /* of submissions that are not counted */

/* Each thread's most recent rows; void when its generation is not the current one. */
#define REIN_TLS_ROWS 16u
struct rein_tls {
	uint32_t generation;
	uint32_t thread; /* a number of our own, from 1 */
	/* trace.c: the thread's ID, and its ring + 1; beyond REIN_RING_SHARED: the shared one; 0:
	 * none yet */
	uint32_t kernel_thread, ring;
	struct {
		uint64_t handle;
		struct rein_row *row;
	} recent[REIN_TLS_ROWS];
};
extern __thread struct rein_tls rein_tls __attribute__((tls_model("initial-exec")));
extern rein_a32 rein_rows_generation;

static inline unsigned rein_tls_slot(uint64_t handle)
{
	return (unsigned)(handle ^ handle >> 4 ^ handle >> 9) % REIN_TLS_ROWS;
}

/* The row of a stream, made if need be. Not to be called for a stream that is capturing. */
struct rein_row *rein_row_of_slow(uint64_t handle);
static inline struct rein_row *rein_row_of(CUstream stream, unsigned options)
{
	uint64_t handle = rein_handle_of(stream, options);
	unsigned i = rein_tls_slot(handle);
	if (REIN_LIKELY(rein_tls.recent[i].handle == handle &&
	                rein_tls.generation == rein_load_relaxed(&rein_rows_generation)))
		return rein_tls.recent[i].row;
	return rein_row_of_slow(handle);
}
/* The same, but NULL if the stream was never used. */
struct rein_row *rein_row_seek(CUstream stream, unsigned options);

/* A stream was made: flags REIN_ROW_BLOCKING or 0. scope 0: the current context. */
void rein_row_new(CUstream stream, uint64_t scope, unsigned flags);
/* A stream is about to be destroyed; NULL, or the row for _back (it was not) or _dead (it was). */
struct rein_row *rein_row_leaving(CUstream stream);
void rein_row_back(struct rein_row *row);
void rein_row_dead(struct rein_row *row);

/* The submissions up to `target` have completed. True if that is news. */
bool rein_row_complete(struct rein_row *row, uint64_t target);
/* Everything that had returned is over; `scope` 0: in all contexts. */
void rein_rows_complete_scope(uint64_t scope);
bool rein_rows_all_completed(void);
uint64_t rein_rows_begun(void);
uint64_t rein_rows_returned(void);
static inline bool rein_row_outstanding(const struct rein_row *row)
{
	uint64_t completed = rein_load_seqcst(&row->completed);
	return rein_load_seqcst(&row->returned) != completed;
}
/* The rows that were ever given work; how many grows only. */
unsigned rein_rows_used(void);
struct rein_row *rein_row_used(unsigned i);
/* By their places in the table, below REIN_ROWS. */
unsigned rein_row_number(const struct rein_row *row);
struct rein_row *rein_row_at(unsigned number);
/* +1 whenever anything completes. */
extern rein_a64 rein_progress;

/* ---- contexts */
/* The calling thread's context as a scope; asks the driver only if there are several. 0: none. */
uint64_t rein_context_scope(void);
/* Takes note of a context; `device` -1: ask the driver, it is the current one. */
void rein_context_note(CUcontext ctx, CUdevice device);
void rein_context_note_current(void);
/* It is a green one: current to one thread at a time, says cuda.h, so the helper must not push it.
 */
void rein_context_note_green(CUcontext ctx);
bool rein_context_pushable(uint64_t ctx);
/* The primary context of a device, as last retained; notes `ctx` if it is not NULL. */
CUcontext rein_context_primary(CUdevice device, CUcontext ctx);
/* Its streams and events are about to go; _back: they did not; _gone: they are. */
void rein_context_leaving(CUcontext ctx);
void rein_context_back(CUcontext ctx);
void rein_context_gone(CUcontext ctx);

/* ---- captures: counted in rein_attention */
bool rein_capture_any(void);
/* Whether work on this stream would be recorded into a graph. */
bool rein_capture_on(CUstream stream, unsigned options);
void rein_capture_begin(void);
void rein_capture_end(void);
/* A capture on a stream that has no row of its own (the table is full). _note: it has begun; false:
 * it was noted before. _over: it has ended, or its stream is going; true: it was noted. More than
 * 64 at once are noted but never found again: such a process keeps to the slow path. */
bool rein_capture_note(CUstream stream, unsigned options);
bool rein_capture_over(CUstream stream, unsigned options);

#endif
