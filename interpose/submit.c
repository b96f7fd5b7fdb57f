// SPDX-License-Identifier: Apache-2.0
#include "submit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../common/env.h"
#include "../common/futex.h"
#include "../common/log.h"
#include "backlog.h"
#include "event.h"
#include "probe.h"
#include "request.h"
#include "rmgate.h"

#define WAIT_MAX_NS REIN_S /* one sleep; then the lease is looked at again */

static rein_a32 syncing;
static rein_a32 launches_block; /* CUDA_LAUNCH_BLOCKING: until their kernels have ended */

/* ---------------------------------------------------------------- on or off */

void rein_shim_ready(void)
{
	static rein_a32 once;
	if (!rein_swap_seqcst(&once, 1)) {
		const char *block = rein_env_filled(REIN_ENV_LAUNCH_BLOCKING);
		rein_store_relaxed(&launches_block, block && strcmp(block, "0") != 0);
		rein_log_init("librein", REIN_LOG_ERROR, false);
		if (rein_env_disabled())
			rein_or_seqcst(&rein_attention, REIN_ATT_OFF);
	}
	rein_and_seqcst(&rein_attention, ~REIN_ATT_UNRESOLVED);
}

bool rein_shim_on(void)
{
	uint64_t attention = rein_load_acquire(&rein_attention);
	if (REIN_UNLIKELY(attention & REIN_ATT_UNRESOLVED)) {
		if (!rein_resolve())
			return false;
		rein_shim_ready();
		attention = rein_load_acquire(&rein_attention);
	}
	return !(attention & REIN_ATT_OFF);
}

/* ---------------------------------------------------------------- the closed gate */

/* Waits while the gate is closed and its lease runs. Returns the gate word that let us pass. */
static uint32_t pass_gate(const struct rein_row *row)
{
	uint64_t began = 0, now = 0;
	bool lapsed = false;
	uint32_t gate, holder = 0;
	for (;;) {
		gate = rein_load_acquire(&REIN_GATE_WORD);
		if (!(gate & REIN_GATE_CLOSED))
			break;
		uint64_t until = rein_load_acquire(&REIN_CONTROL->verdict[0].lease_until_ns);
		holder = rein_load_relaxed(&REIN_CONTROL->verdict[0].holder);
		now = rein_now_ns();
		lapsed = now >= until;
		if (lapsed)
			break;
		if (!began) {
			began = now;
			rein_block(REIN_PHASE_GATE, holder);
			rein_demand_wait();
			continue; /* what was announced may already have been answered */
		}
		if (until > now + WAIT_MAX_NS)
			until = now + WAIT_MAX_NS;
		rein_doing.holder = holder;
		rein_futex_wait(&REIN_GATE_WORD, gate, until);
	}
	if (began) {
		rein_resume(REIN_PHASE_GATE, rein_now_ns() - began, lapsed);
		rein_demand_wait_over();
		rein_trace_wait(REIN_TRACE_GATE, lapsed ? REIN_TRACE_LAPSED : 0, began,
		                rein_load_relaxed(&row->id), holder);
		rein_add_relaxed(&REIN_STATUS->total.gate_waits, 1);
		rein_add_relaxed(&REIN_STATUS->total.gate_wait_ns, rein_now_ns() - began);
		if (lapsed)
			rein_add_relaxed(&REIN_STATUS->total.lapses, 1);
	}
	return gate;
}

/* Until the gate is open and there is room in the backlog, both at once. */
static void wait_for_leave(struct rein_ticket *t)
{
	for (;;) {
		uint32_t gate = pass_gate(t->row);
		if (!(gate & REIN_GATE_METERED)) {
			rein_backlog_unmetered(t);
			return;
		}
		if (!rein_backlog_enter(t, gate))
			continue; /* the gate changed while it waited for room */
		uint32_t now = rein_load_acquire(&REIN_GATE_WORD);
		if (now == gate || !(now & REIN_GATE_CLOSED))
			return;
	}
}

/* ---------------------------------------------------------------- what a return proves */

static void sync_add(struct rein_sync *s, struct rein_row *row)
{
	uint64_t completed = rein_load_seqcst(&row->completed);
	uint64_t target = rein_load_seqcst(&row->returned);
	if (target == completed || s->n == REIN_SYNC_ROWS)
		return;
	s->done[s->n].row = row;
	s->done[s->n].target = target;
	s->n++;
}

/* All rows of a context, or those that the legacy default stream waits for. */
static void sync_add_scope(struct rein_sync *s, uint64_t scope, unsigned flags)
{
	unsigned n = rein_rows_used();
	for (unsigned i = 0; i < n; i++) {
		struct rein_row *row = rein_row_used(i);
		if (rein_load_relaxed(&row->scope) == scope &&
		    (!flags || (rein_load_acquire(&row->state) == REIN_ROW_LIVE &&
		                rein_load_relaxed(&row->flags) & flags)))
			sync_add(s, row);
	}
}

/*
 * A blocking copy from the device has completed when it returns, and so has what its stream held
 * before. On the legacy default stream it ran after everything that the context's blocking streams
 * had been given before it, so that has completed too.
 */
static void blocking_begin(struct rein_ticket *t)
{
	struct rein_sync *s = &t->sync;
	s->kind = REIN_SYNC_STREAM;
	s->n = 1;
	s->done[0].row = t->row;
	s->done[0].target = rein_load_seqcst(&t->row->returned) + 1; /* itself included */
	rein_add_seqcst(&syncing, 1);
	if (rein_load_relaxed(&t->row->handle) == REIN_HANDLE_LEGACY)
		sync_add_scope(s, rein_load_relaxed(&t->row->scope), REIN_ROW_BLOCKING);
}

/* The last ones say so in cuda.h; early CUDA 12 headers lack two of them. */
bool rein_sync_is_fatal(CUresult r)
{
	switch ((int)r) {
	case CUDA_ERROR_ECC_UNCORRECTABLE:
	case CUDA_ERROR_NVLINK_UNCORRECTABLE:
	case CUDA_ERROR_ILLEGAL_ADDRESS:
	case CUDA_ERROR_LAUNCH_TIMEOUT:
	case CUDA_ERROR_CONTEXT_IS_DESTROYED:
	case CUDA_ERROR_ASSERT:
	case CUDA_ERROR_HARDWARE_STACK_ERROR:
	case CUDA_ERROR_ILLEGAL_INSTRUCTION:
	case CUDA_ERROR_MISALIGNED_ADDRESS:
	case CUDA_ERROR_INVALID_ADDRESS_SPACE:
	case CUDA_ERROR_INVALID_PC:
	case CUDA_ERROR_LAUNCH_FAILED:
	case CUDA_ERROR_DEINITIALIZED:
	case CUDA_ERROR_UNKNOWN:
	case CUDA_ERROR_MPS_CLIENT_TERMINATED:
	case CUDA_ERROR_EXTERNAL_DEVICE:
	case 226: /* CUDA_ERROR_CONTAINED */
	case 721: /* CUDA_ERROR_TENSOR_MEMORY_LEAK */
		return true;
	default:
		return false;
	}
}

static void sync_finish(struct rein_sync *s, CUresult r)
{
	if (r == CUDA_SUCCESS) {
		for (unsigned i = 0; i < s->n; i++)
			rein_row_complete(s->done[i].row, s->done[i].target);
		if (s->kind == REIN_SYNC_EVENT)
			rein_event_done((CUevent)(uintptr_t)s->event, s->event_value);
	} else if (rein_sync_is_fatal(r)) {
		rein_rows_complete_scope(rein_context_scope());
	}
	rein_demand_try_idle_late();
	rein_add_seqcst(&syncing, (uint32_t)-1);
}

/* What is to be asked about is to stand for all of its work; an event was recorded where it was. */
static void come_home(enum rein_sync_kind kind, CUstream stream, unsigned options)
{
	struct rein_row *row = kind == REIN_SYNC_STREAM ? rein_row_seek(stream, options) : NULL;
	if (row)
		rein_slice_home(row);
	else if (kind == REIN_SYNC_CONTEXT)
		rein_slice_home_all(0);
}

void rein_sync_begin(struct rein_sync *s, enum rein_sync_kind kind, void *handle, unsigned options)
{
	s->kind = REIN_SYNC_NONE;
	if (!rein_shim_on())
		return;
	int saved = errno;
	s->kind = kind;
	s->n = 0;
	s->stream = REIN_TRACE_NO_STREAM;
	s->number = 0;
	rein_add_seqcst(&syncing, 1);
	rein_demand_announce(); /* another thread may be in its launch */
	if (kind == REIN_SYNC_STREAM) {
		struct rein_row *row = rein_row_seek((CUstream)handle, options);
		if (row) {
			sync_add(s, row);
			s->stream = rein_load_relaxed(&row->id);
			s->number = (uint32_t)rein_load_relaxed(&row->returned);
		}
	} else if (kind == REIN_SYNC_CONTEXT) {
		uint64_t scope = handle ? (uint64_t)(uintptr_t)handle : rein_context_scope();
		sync_add_scope(s, scope, 0);
	} else {
		s->event = (uint64_t)(uintptr_t)handle;
		s->event_value = rein_event_look((CUevent)handle);
		uint64_t target;
		const struct rein_row *row = rein_event_proves(s->event_value, &target);
		if (row) {
			s->stream = rein_load_relaxed(&row->id);
			s->number = (uint32_t)target;
		}
	}
	if (REIN_UNLIKELY(rein_slice_any()))
		come_home(kind, (CUstream)handle, options);
	s->began = rein_trace_on() ? rein_trace_now() : 0;
	rein_doing_begin(REIN_PHASE_SYNC, 0);
	errno = saved;
}

/* Not of questions that were answered with no: programs ask in loops. */
static void sync_record(const struct rein_sync *s, CUresult r)
{
	uint64_t end = rein_trace_now();
	unsigned clock = rein_load_relaxed(&rein_trace_clock);
	if (r != CUDA_ERROR_NOT_READY)
		rein_trace_write(
		    rein_trace_what(REIN_TRACE_SYNC, clock, (unsigned)r, rein_entries[s->entry].id),
		    s->began, end, s->stream | (uint64_t)s->number << 32, 0, 0, 0);
}

void rein_sync_end(struct rein_sync *s, CUresult r)
{
	if (s->kind == REIN_SYNC_NONE)
		return;
	int saved = errno;
	rein_doing_end();
	if (REIN_UNLIKELY(s->began))
		sync_record(s, r);
	sync_finish(s, r);
	errno = saved;
}

bool rein_sync_under_way(void)
{
	return rein_load_seqcst(&syncing);
}

/* ---------------------------------------------------------------- the slow path */

/* Not work of its own, but a kernel's time is not measured across it. */
static void note_order(const struct rein_work *w, unsigned options)
{
	struct rein_row *row = rein_row_seek(w->stream, options);
	if (row)
		rein_add_relaxed(&row->disturbed, 1);
}

/* An error means that nothing was submitted; a batch may have been in part. */
static bool was_refused(const struct rein_ticket *t, CUresult r)
{
	const char *name = rein_entries[t->work->entry].name;
	return r != CUDA_SUCCESS && !strstr(name, "Batch") && !strstr(name, "Multi");
}

/* As if it had never begun. */
static void take_back(struct rein_ticket *t, CUresult r)
{
	rein_backlog_leave(t);
	rein_add_seqcst(&t->row->begun, (uint64_t)-1);
	t->sync.n = 0;
	if (t->sync.kind == REIN_SYNC_NONE)
		rein_add_seqcst(&syncing, 1);
	sync_finish(&t->sync, r);
}

/* Marks and points go where the work goes. */
static void enter_slice(struct rein_ticket *t)
{
	const struct rein_work *w = t->work;
	unsigned class_id = rein_entries[w->entry].class_id;
	bool sliced = t->options & REIN_OPT_SLICED && !w->whole;
	if (!sliced && rein_slice_wanted(t->row) >= 0 &&
	    (class_id == REIN_CLASS_GRAPH || (class_id == REIN_CLASS_LAUNCH && w->func)))
		rein_slice_say_whole("graphs keep the SMs of the stream that captured them, "
		                     "cooperative launches and large clusters have all");
	rein_slice_enter(&t->slice, t->row, w->stream,
	                 sliced ? t->options : t->options & ~REIN_OPT_SLICED);
	t->stream = t->slice.stream != w->stream
	                ? t->slice.stream
	                : (CUstream)(uintptr_t)rein_handle_of(w->stream, t->options);
}

/* As launches do; a copy may wait for the work before it, or for its bytes, and making a graph that
 * is uploaded takes its time. */
static bool returns_at_once(const struct rein_work *w)
{
	unsigned class_id = rein_entries[w->entry].class_id;
	bool is_launch = class_id == REIN_CLASS_LAUNCH || (class_id == REIN_CLASS_GRAPH && w->func);
	return is_launch && !rein_load_relaxed(&launches_block);
}

void rein_submit_slow(struct rein_ticket *t, const struct rein_work *w)
{
	int saved = errno;
	t->work = w;
	t->row = NULL;
	t->mark = NULL;
	t->progress = t->stalled_ns = t->waited_ns = t->began = 0;
	t->lapsed = t->in_line = t->behind = t->point = false;
	t->slice = (struct rein_slice_visit){.stream = w->stream};
	t->options = rein_entries[w->entry].options & ~(w->across ? REIN_OPT_NO_WORK : 0u);
	if (!w->bytes) /* a driver may return from a copy of nothing at once */
		t->options &= ~REIN_OPT_BLOCKING;
	t->sync.kind = REIN_SYNC_NONE;
	if (!rein_shim_on())
		goto out;
	if (t->options & REIN_OPT_NO_WORK) {
		note_order(w, t->options);
		goto out;
	}
	if (rein_demand_is_idle()) {
		rein_attach_start();
		rein_context_note_current();
		rein_rmgate_arm();
	}
	if (!rein_capture_on(w->stream, t->options))
		t->row = rein_row_of(w->stream, t->options);
	if (!t->row) {
		rein_demand_try_idle(); /* the fast path may have counted for a moment */
		goto out;
	}
	rein_request_yield();
	t->number = rein_add_seqcst(&t->row->begun, 1) + 1;
	(void)rein_demand_begin();
	if (!returns_at_once(w))
		rein_demand_announce();
	wait_for_leave(t);
	if (rein_capture_on(w->stream, t->options)) { /* since then: another thread's doing */
		rein_demand_announce();
		take_back(t, CUDA_SUCCESS);
		t->row = NULL;
		goto out;
	}
	t->proven = rein_load_seqcst(&t->row->returned);
	if (REIN_UNLIKELY(rein_slice_any()))
		enter_slice(t);
	if (t->options & REIN_OPT_BLOCKING)
		blocking_begin(t);
	rein_backlog_before(t);
	t->began = rein_trace_on() ? rein_trace_now() : 0;
	if (t->began)
		rein_agent_submits(w, t->row, t->number);
	if (t->sync.kind != REIN_SYNC_NONE)
		rein_doing_begin(REIN_PHASE_SYNC, 0);
out:
	errno = saved;
}

/* ---------------------------------------------------------------- allocation and its like */

/* Not while anything is captured: some of it is legal then, and the capture must not wait. Without
 * a context there is nobody whom it could stall. */
bool rein_implicit_slow(struct rein_ticket *t)
{
	int saved = errno;
	t->row = NULL;
	t->mark = NULL;
	t->behind = false;
	t->sync.kind = REIN_SYNC_NONE;
	rein_slice_home_all(0); /* a free waits for work: not all of it would be seen */
	if (rein_load_relaxed(&REIN_CONTROL->flags) & REIN_CONTROL_GATE_IMPLICIT &&
	    rein_shim_on() && !rein_capture_any())
		t->row = rein_row_of(NULL, 0);
	if (t->row) {
		rein_add_seqcst(&t->row->begun, 1);
		rein_demand_active();
		(void)pass_gate(t->row);
	}
	errno = saved;
	return t->row != NULL;
}

void rein_implicit_end(struct rein_ticket *t, CUresult r)
{
	int saved = errno;
	take_back(t, r);
	errno = saved;
}

/* ---------------------------------------------------------------- the end of a submission */

void rein_submit_slow_done(struct rein_ticket *t, CUresult r)
{
	if (!t->row)
		return;
	int saved = errno;
	rein_doing_end();
	rein_demand_announce();
	if (REIN_UNLIKELY(t->slice.row))
		rein_slice_leave(&t->slice);
	if (REIN_UNLIKELY(t->began)) {
		rein_agent_submitted();
		rein_trace_submission(t->work, t->row,
		                      t->sync.kind != REIN_SYNC_NONE ? REIN_TRACE_BLOCKING : 0,
		                      t->number, t->began, r);
	}
	if (was_refused(t, r)) {
		take_back(t, r);
		errno = saved;
		return;
	}
	uint64_t target = rein_add_seqcst(&t->row->returned, 1) + 1;
	if (REIN_UNLIKELY(
		t->slice.row)) /* asked after the count: the mark is to stand for all of it */
		t->stream = rein_slice_stands(
		    t->row, (CUstream)(uintptr_t)rein_handle_of(t->work->stream, t->options));
	bool blocking = t->sync.kind != REIN_SYNC_NONE;
	rein_backlog_after(t, target, r == CUDA_SUCCESS && !blocking);
	if (blocking)
		sync_finish(&t->sync, r);
	errno = saved;
}
