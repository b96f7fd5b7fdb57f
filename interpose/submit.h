// SPDX-License-Identifier: Apache-2.0
/*
 * submit.h: the launch gate. A generated wrapper reads:
 *
 *	CUresult hook_cuLaunchKernel(CUfunction f, …, CUstream hStream, …)
 *	{
 *		struct rein_row *row = rein_submit_fast(hStream, OPTIONS);
 *		CUresult r;
 *		if (REIN_LIKELY(row != NULL)) {
 *			r = real.cuLaunchKernel(f, …);
 *			rein_submit_fast_done(row);
 *			return r;
 *		}
 *		struct rein_work w = {.entry = REIN_E_cuLaunchKernel, .stream = hStream, .func = f,
 *…}; struct rein_ticket t; rein_submit_slow(&t, &w);            // may wait; errno kept r =
 *real.cuLaunchKernel(f, …);       // always called, exactly once, by this thread
 *		rein_submit_slow_done(&t, r);
 *		return r;
 *	}
 *
 * and a class-sync wrapper (cuStreamSynchronize, cuCtxSynchronize, cuEventSynchronize and the
 * queries; blocking copies do it inside the submit path through REIN_OPT_BLOCKING):
 *
 *		struct rein_sync s;
 *		rein_sync_begin(&s, REIN_SYNC_STREAM, handle, OPTIONS);
 *		r = real.cuStreamSynchronize(handle);
 *		rein_sync_end(&s, r);
 *
 * The fast path is two counts (before and after the driver call) and two loads: the process'
 * attention word (demand.h) and the gate word of the daemon's verdict. Whatever is unusual makes
 * one of the two words non-zero and so takes the slow path: nothing else is looked at. If all that
 * is unusual is that records are wanted, a third function between the two writes one (trace.h).
 */
#ifndef REIN_SUBMIT_H
#define REIN_SUBMIT_H

#include "agent.h"
#include "attach.h"
#include "demand.h"
#include "shim.h"
#include "slice.h"
#include "stream.h"
#include "trace.h"

/* What the slow path may know of a submission; zero where the wrapper cannot tell. */
struct rein_work {
	enum rein_entry_id entry;
	CUstream stream;
	void *func; /* kernels: the CUfunction; graphs: the CUgraphExec */
	uint32_t grid[3], block[3];
	uint32_t shared_bytes;
	uint64_t bytes; /* copies and sets, where one argument says so */
	bool dependent; /* may begin before the one before it in its stream has ended */
	bool whole;     /* a launch that must have all SMs */
	bool across; /* orders work across processes: a submission even if its row says NO_WORK */
};

enum rein_sync_kind { REIN_SYNC_NONE, REIN_SYNC_STREAM, REIN_SYNC_CONTEXT, REIN_SYNC_EVENT };

/* Rows that one sync can complete; what is beyond stays outstanding until the helper looks. */
#define REIN_SYNC_ROWS 64

/* One synchronising call under way, on its caller's stack. */
struct rein_sync {
	enum rein_sync_kind kind;
	enum rein_entry_id entry; /* the wrapper's, before rein_sync_begin() */
	uint32_t stream, number;  /* for the record: what it waits for */
	uint64_t began;           /* rein_trace_now(); 0: no record */
	unsigned n; /* rows in done[]: each is completed up to `target` if the call succeeds */
	uint64_t event, event_value;
	struct {
		struct rein_row *row;
		uint64_t target;
	} done[REIN_SYNC_ROWS];
};

struct rein_mark; /* backlog.c */

/* One submission on the slow path, on its caller's stack. */
struct rein_ticket {
	const struct rein_work *work;
	struct rein_row *row; /* NULL: not counted (capturing, shim off, no row to be had) */
	unsigned options;
	uint64_t number, began; /* for the record: of the row; rein_trace_now(), 0: no record */
	/* backlog.c */
	bool known;      /* the estimate is one, not the whole backlog */
	bool sampled;    /* its time is to be taken */
	CUstream stream; /* by its explicit handle */
	uint64_t estimate_ns, key;
	uint64_t progress;      /* rein_progress when it last changed, as this thread saw it */
	uint64_t stalled_ns;    /* waited for room since then, over all openings of the gate */
	uint64_t waited_ns;     /* waited for room in all */
	bool lapsed;            /* that wait was given up */
	uint64_t every_ns;      /* the queue gate: between points of its stream; 0: no points */
	bool in_line;           /* counted in row->waiting */
	bool behind;            /* it is reserved in its row's `past` */
	bool point;             /* one is due before it */
	struct rein_mark *mark; /* to be recorded behind it: it has entered the backlog */
	struct rein_sync sync;  /* REIN_OPT_BLOCKING: what its return completes */
	uint64_t proven;        /* the row's `returned` before it was decided where it goes */
	struct rein_slice_visit slice; /* slice.stream: to be given to the driver */
};

void rein_submit_slow(struct rein_ticket *t, const struct rein_work *w);
void rein_submit_slow_done(struct rein_ticket *t, CUresult r);

void rein_sync_begin(struct rein_sync *s, enum rein_sync_kind kind, void *handle, unsigned options);
void rein_sync_end(struct rein_sync *s, CUresult r);
/* Errors after which nothing of the context runs any more. */
bool rein_sync_is_fatal(CUresult r);
/* Whether a thread is inside a synchronising call, whose return will tell what has completed. */
bool rein_sync_under_way(void);

/*
 * Allocation, free, module loads and their like (class implicit) are no work, but may stall others
 * on the driver's locks. For a client whose class says so they pass the gate, and count as one
 * submission while they are under way, so that who waits is asked for. True: _end() must follow.
 */
bool rein_implicit_slow(struct rein_ticket *t);
static inline bool rein_implicit_begin(struct rein_ticket *t)
{
	return REIN_UNLIKELY(rein_load_relaxed(&REIN_CONTROL->flags) & REIN_CONTROL_GATE_IMPLICIT ||
	                     rein_slice_any()) &&
	       rein_implicit_slow(t);
}
void rein_implicit_end(struct rein_ticket *t, CUresult r);

/* True if the hooks are to do their work: the driver is found, rein is not disabled, this is not a
 * forked child. The first call resolves the driver and reads the environment. */
bool rein_shim_on(void);
/* The second half of that, for tests that fill `real` themselves. */
void rein_shim_ready(void);

/*
 * Counts the submission and returns its row if the driver may be called at once, else NULL with
 * nothing counted. The count comes before the two loads: whoever declares the client idle sets
 * REIN_ATT_IDLE first and looks at the counts after, so one of the two sees the other. `ignored`:
 * bits of the gate word; *number, if not NULL: of the submission, in its row.
 */
static inline __attribute__((always_inline)) struct rein_row *
rein_submit_enter(CUstream stream, unsigned options, uint32_t ignored, uint64_t *number)
{
	if (options & REIN_OPT_BLOCKING)
		return NULL;
	uint32_t attention = (uint32_t)rein_load_relaxed(&rein_attention);
	if (options & REIN_OPT_NO_WORK) {
		if (REIN_LIKELY(!(attention & REIN_ATT_UNRESOLVED) &&
		                !(rein_load_relaxed(&REIN_GATE_WORD) & ~ignored)))
			return &rein_row_none;
		return NULL;
	}
	if (REIN_UNLIKELY(attention | (rein_load_relaxed(&REIN_GATE_WORD) & ~ignored)))
		return NULL;
	struct rein_row *row = rein_row_of(stream, options);
	if (REIN_UNLIKELY(row == NULL))
		return NULL;
	if (number)
		*number = rein_add_seqcst(&row->begun, 1) + 1;
	else
		rein_add_seqcst(&row->begun, 1);
	attention = (uint32_t)rein_load_seqcst(&rein_attention);
	if (REIN_LIKELY(!(attention | (rein_load_acquire(&REIN_GATE_WORD) & ~ignored))))
		return row;
	rein_add_seqcst(&row->begun, (uint64_t)-1);
	return NULL;
}

static inline __attribute__((always_inline)) struct rein_row *rein_submit_fast(CUstream stream,
                                                                               unsigned options)
{
	return rein_submit_enter(stream, options, 0, NULL);
}

static inline void rein_submit_fast_done(struct rein_row *row)
{
	if (row != &rein_row_none)
		rein_add_seqcst(&row->returned, 1);
}

/* ---- the same with a record, while that is all that the gate word asks for */

/* One submission of that kind, on its caller's stack. */
struct rein_traced {
	struct rein_row *row;
	uint64_t number, began;
};

/* `w`: what it is; NULL: pure ordering. */
static inline __attribute__((always_inline)) bool rein_submit_traced(struct rein_traced *t,
                                                                     CUstream stream,
                                                                     unsigned options,
                                                                     const struct rein_work *w)
{
	t->row = rein_submit_enter(stream, options, REIN_GATE_TRACED, &t->number);
	if (w && REIN_LIKELY(t->row != NULL))
		rein_agent_submits(w, t->row, t->number);
	t->began = rein_trace_now();
	return t->row != NULL;
}

static inline __attribute__((always_inline)) void
rein_trace_submission(const struct rein_work *w, const struct rein_row *row, unsigned flags,
                      uint64_t number, uint64_t began, CUresult r)
{
	uint64_t end = rein_trace_now();
	flags |= rein_load_relaxed(&rein_trace_clock);
	uint64_t grid = w->grid[0] | (uint64_t)w->grid[1] << 32 | (uint64_t)w->grid[2] << 48;
	uint64_t block =
	    (uint64_t)w->block[0] << 32 | (uint64_t)w->block[1] << 44 | (uint64_t)w->block[2] << 56;
	rein_trace_write(
	    rein_trace_what(REIN_TRACE_SUBMIT, flags, (unsigned)r, rein_entries[w->entry].id),
	    began, end, rein_load_relaxed(&row->id) | number << 32, (uint64_t)(uintptr_t)w->func,
	    w->bytes | grid, w->shared_bytes | block);
}

/* Right after the driver call. */
static inline __attribute__((always_inline)) void
rein_submit_traced_done(const struct rein_traced *t, const struct rein_work *w, CUresult r)
{
	if (t->row == &rein_row_none)
		return;
	rein_agent_submitted();
	rein_trace_submission(w, t->row, 0, t->number, t->began, r);
	rein_add_seqcst(&t->row->returned, 1);
}

#endif
