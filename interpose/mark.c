// SPDX-License-Identifier: Apache-2.0
#include "mark.h"

#include "../common/futex.h"
#include "attach.h"
#include "backlog.h"
#include "helper.h"

#define QUIESCE_NS (2 * REIN_LEASE_NS)
#define BUSY_ROWS 8 /* streams whose later marks a look passes by */

enum mark_state { FREE, OWNED, MARKED };

static struct rein_mark marks[REIN_MARKS];
static rein_a32 marked; /* marks in state MARKED, or about to be */
static rein_a32 next_mark;
static rein_a32 looking;   /* threads inside rein_mark_look() */
static rein_a32 recording; /* threads between rein_mark_call_begin() and _end() */

/* ---------------------------------------------------------------- events and slots */

/* Around our own calls: they must not disturb a capture that any thread has under way. */
static CUstreamCaptureMode relaxed(void)
{
	CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
	if (real.cuThreadExchangeStreamCaptureMode(&mode) != CUDA_SUCCESS)
		mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
	return mode;
}

static void restore(CUstreamCaptureMode mode)
{
	(void)real.cuThreadExchangeStreamCaptureMode(&mode);
}

static bool give_events(struct rein_mark *m, uint64_t context)
{
	if (m->context == context)
		return true;
	if (m->context) {
		(void)real.cuEventDestroy_v2(m->begin);
		(void)real.cuEventDestroy_v2(m->end);
		m->context = 0;
	}
	if (real.cuEventCreate(&m->begin, CU_EVENT_DEFAULT) != CUDA_SUCCESS)
		return false;
	if (real.cuEventCreate(&m->end, CU_EVENT_DEFAULT) != CUDA_SUCCESS) {
		(void)real.cuEventDestroy_v2(m->begin);
		return false;
	}
	m->context = context;
	return true;
}

/* First a slot with the context's events, or none yet (pass 0); then any. */
static struct rein_mark *take_slot(uint64_t context)
{
	unsigned from = rein_add_relaxed(&next_mark, 1);
	for (unsigned pass = 0; pass < 2; pass++)
		for (unsigned i = 0; i < REIN_MARKS; i++) {
			struct rein_mark *m = &marks[(from + i) % REIN_MARKS];
			uint32_t state = FREE;
			if (rein_load_relaxed(&m->state) != FREE ||
			    !rein_cas(&m->state, &state, OWNED))
				continue;
			if (pass || m->context == context || m->context == 0) {
				m->reserved = m->written_off = false;
				m->key = 0;
				return m;
			}
			rein_store_release(&m->state, FREE);
		}
	return NULL;
}

struct rein_mark *rein_mark_take(void)
{
	uint64_t context = rein_context_scope();
	struct rein_mark *m = context ? take_slot(context) : NULL;
	if (!m)
		return NULL;
	CUstreamCaptureMode mode = relaxed();
	bool ok = give_events(m, context);
	restore(mode);
	if (ok)
		return m;
	rein_store_release(&m->state, FREE);
	return NULL;
}

void rein_mark_free(struct rein_mark *m)
{
	if (m->reserved)
		rein_backlog_release(m->reserved_ns);
	if (m->written_off)
		rein_add_seqcst(&m->row->stuck, (uint32_t)-1);
	m->reserved = m->written_off = false;
	rein_store_release(&m->state, FREE);
}

/*
 * A mark never enters a capture. We count ourselves, then look for captures; begin-capture counts
 * itself, then waits for us, and calls the driver after that: so if the driver says that the stream
 * does not capture it will not until we are done.
 */
bool rein_mark_call_begin(CUstream stream)
{
	rein_add_seqcst(&recording, 1);
	if (!rein_capture_on(stream, 0))
		return true;
	rein_mark_call_end();
	return false;
}

bool rein_mark_quiet_begin(bool capturer)
{
	rein_add_seqcst(&recording, 1);
	if (capturer || !rein_capture_any())
		return true;
	rein_mark_call_end();
	return false;
}

void rein_mark_call_end(void)
{
	if (rein_add_seqcst(&recording, (uint32_t)-1) == 1 && rein_capture_any())
		rein_futex_wake_all(&recording);
}

static bool record(CUevent event, CUstream stream)
{
	if (!rein_mark_call_begin(stream))
		return false;
	bool ok = real.cuEventRecord(event, stream) == CUDA_SUCCESS;
	rein_mark_call_end();
	return ok;
}

static void wait_for_none(rein_a32 *threads)
{
	uint64_t until = rein_now_ns() + QUIESCE_NS;
	uint32_t n;
	while ((n = rein_load_seqcst(threads)) != 0 && rein_now_ns() < until)
		rein_futex_wait(threads, n, until);
}

void rein_mark_settle(void)
{
	wait_for_none(&recording);
}

/* ---------------------------------------------------------------- samples */

/* Of the row's device. */
static const rein_a32 *owners_gen(const struct rein_row *row)
{
	uint32_t slot = rein_load_relaxed(&row->slot) % REIN_DEVICES_MAX;
	uint32_t i = rein_load_relaxed(&REIN_CONTROL->verdict[slot].board_device);
	return i < REIN_BOARD_DEVICES_MAX ? &REIN_BOARD->device[i].owners_gen : NULL;
}

void rein_mark_begin(struct rein_mark *m, struct rein_row *row, CUstream stream, uint64_t key)
{
	const rein_a32 *owners = owners_gen(row);
	m->row = row;
	m->owners_gen = owners ? rein_load_acquire(owners) : 1;
	m->disturbed = rein_load_relaxed(&row->disturbed);
	m->begun = rein_load_seqcst(&row->begun);
	if (rein_load_seqcst(&row->returned) + 1 != m->begun)
		return; /* another thread is submitting to this stream */
	if (record(m->begin, stream))
		m->key = key;
}

static void sample(const struct rein_mark *m)
{
	const rein_a32 *owners = owners_gen(m->row);
	float ms = 0;
	CUresult r = CUDA_ERROR_NOT_SUPPORTED;
#ifdef REIN_HAS_cuEventElapsedTime_v2
	if (rein_real_has(REIN_E_cuEventElapsedTime_v2))
		r = real.cuEventElapsedTime_v2(&ms, m->begin, m->end);
	else
#endif
		r = real.cuEventElapsedTime(&ms, m->begin, m->end);
	if (r != CUDA_SUCCESS || ms <= 0)
		return;
	bool sole = owners && m->owners_gen % 2 == 0 && rein_load_acquire(owners) == m->owners_gen;
	if (sole)
		rein_kmodel_sample(&REIN_STATUS->kmodel, m->key, (uint64_t)(ms * 1e6f), NULL);
	else
		rein_kmodel_bound(&REIN_STATUS->kmodel, m->key, (uint64_t)(ms * 1e6f));
}

/* ---------------------------------------------------------------- marking */

/* After the mark: did anything else go into the stream between the two events? */
static bool undisturbed(const struct rein_mark *m)
{
	return rein_load_seqcst(&m->row->begun) == m->begun &&
	       rein_load_relaxed(&m->row->disturbed) == m->disturbed;
}

bool rein_mark_end(struct rein_mark *m, struct rein_row *row, CUstream stream, uint64_t target)
{
	m->row = row;
	m->target = target;
	m->stamp_ns = rein_now_ns();
	if (!record(m->end, stream))
		return false;
	if (m->key && !undisturbed(m))
		m->key = 0;
	uint64_t before = rein_load_relaxed(&row->marked);
	while (before < target && !rein_cas(&row->marked, &before, target))
		;
	rein_add_seqcst(&marked, 1);
	rein_store_release(&m->state, MARKED);
	return true;
}

/* ---------------------------------------------------------------- looking at marks */

/* Without its context a push fails, which says that nothing of it runs any more. */
static CUresult query(const struct rein_mark *m, bool push)
{
	CUcontext popped;
	if (rein_load_seqcst(&m->row->completed) >= m->target)
		return CUDA_SUCCESS; /* a synchronisation has said so */
	if (!push)
		return real.cuEventQuery(m->end);
	if (!rein_context_pushable(m->context))
		return CUDA_ERROR_NOT_READY;
	if (real.cuCtxPushCurrent_v2((CUcontext)(uintptr_t)m->context) != CUDA_SUCCESS)
		return CUDA_ERROR_CONTEXT_IS_DESTROYED;
	CUresult r = real.cuEventQuery(m->end);
	(void)real.cuCtxPopCurrent_v2(&popped);
	return r;
}

static void look_at(struct rein_mark *m, bool push, struct rein_row **busy, unsigned *n,
                    struct rein_mark_watch *w)
{
	uint32_t state = MARKED;
	if (!rein_cas(&m->state, &state, OWNED))
		return;
	for (unsigned i = 0; i < *n; i++)
		if (busy[i] == m->row) {
			rein_store_release(&m->state, MARKED);
			return; /* an earlier one of its stream has not completed */
		}
	CUresult r = query(m, push);
	if (r == CUDA_ERROR_NOT_READY || r == CUDA_ERROR_INVALID_CONTEXT) {
		if (*n < BUSY_ROWS)
			busy[(*n)++] = m->row;
		if (!w->stamp_ns || m->stamp_ns < w->stamp_ns) {
			w->stamp_ns = m->stamp_ns;
			w->expected_ns = m->expected_ns;
		}
		rein_store_release(&m->state, MARKED);
		return;
	}
	/* Any other error: the context is past saving, nothing of it runs any more. */
	if (r == CUDA_SUCCESS && m->key)
		sample(m);
	rein_row_complete(m->row, m->target);
	rein_add_seqcst(&marked, (uint32_t)-1);
	rein_mark_free(m);
	w->done++;
}

/* Slots are taken in turn, so from the next one on they are about in order of age. Whoever
 * inhibits us (helper.h) raises its flag and waits for `looking`; we count and look at the flag. */
struct rein_mark_watch rein_mark_look(bool push)
{
	struct rein_mark_watch w = {0};
	struct rein_row *busy[BUSY_ROWS];
	unsigned n = 0;
	if (!rein_load_seqcst(&marked))
		return w;
	rein_add_seqcst(&looking, 1);
	CUstreamCaptureMode mode = relaxed();
	unsigned from = rein_load_relaxed(&next_mark);
	for (unsigned i = 0; i < REIN_MARKS && !rein_helper_inhibited(); i++) {
		struct rein_mark *m = &marks[(from + i) % REIN_MARKS];
		if (rein_load_relaxed(&m->state) == MARKED)
			look_at(m, push, busy, &n, &w);
	}
	restore(mode);
	if (rein_add_seqcst(&looking, (uint32_t)-1) == 1 && rein_helper_inhibited())
		rein_futex_wake_all(&looking);
	return w;
}

bool rein_mark_tells(const struct rein_row *row)
{
	bool tells = false;
	uint64_t returned = rein_load_seqcst(&row->returned);
	for (unsigned i = 0; i < REIN_MARKS && !tells; i++) {
		struct rein_mark *m = &marks[i];
		uint32_t state = MARKED;
		if (rein_load_relaxed(&m->state) != MARKED || !rein_cas(&m->state, &state, OWNED))
			continue;
		tells = m->row == row && m->target >= returned && rein_context_pushable(m->context);
		rein_store_release(&m->state, MARKED);
	}
	return tells;
}

bool rein_mark_pending(void)
{
	return rein_load_seqcst(&marked);
}

void rein_mark_write_off(uint64_t before_ns)
{
	for (unsigned i = 0; i < REIN_MARKS; i++) {
		struct rein_mark *m = &marks[i];
		uint32_t state = MARKED;
		if (rein_load_relaxed(&m->state) != MARKED || !rein_cas(&m->state, &state, OWNED))
			continue;
		if (m->reserved && m->stamp_ns <= before_ns) {
			m->reserved = false;
			rein_backlog_release(m->reserved_ns);
			m->written_off = true;
			rein_add_seqcst(&m->row->stuck, 1);
		}
		rein_store_release(&m->state, MARKED);
	}
}

void rein_mark_quiesce(void)
{
	wait_for_none(&looking);
}

void rein_mark_forget(CUcontext ctx)
{
	for (unsigned i = 0; i < REIN_MARKS; i++) {
		struct rein_mark *m = &marks[i];
		uint32_t state = rein_load_acquire(&m->state);
		if (state == OWNED || !rein_cas(&m->state, &state, OWNED))
			continue;
		bool theirs = m->context == (uint64_t)(uintptr_t)ctx;
		if (theirs)
			m->context = 0;
		if (theirs && state == MARKED) {
			rein_add_seqcst(&marked, (uint32_t)-1);
			rein_mark_free(m);
		} else {
			rein_store_release(&m->state, state);
		}
	}
}

void rein_mark_last(struct rein_row *row, CUstream stream)
{
	if (!rein_row_outstanding(row) || rein_capture_any())
		return;
	struct rein_mark *m = rein_mark_take();
	if (m && !rein_mark_end(m, row, stream, rein_load_seqcst(&row->returned)))
		rein_mark_free(m);
}
