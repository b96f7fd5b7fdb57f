// SPDX-License-Identifier: Apache-2.0
#include "backlog.h"

#include "../common/futex.h"
#include "helper.h"

#define MARKS 128
#define LAUNCHES_MAX 96  /* fewer than MARKS: waiting for room, not for a slot, is the rule */
#define QUIESCE_NS (2 * REIN_LEASE_NS)
#define SLEEP_MIN_NS (20 * REIN_US)
#define SLEEP_MAX_NS REIN_MS
#define ORDER_NS (10 * REIN_US)  /* what takes next to no GPU time: memory operations, host calls */
#define COPY_MIN_NS (5 * REIN_US)
#define COPY_BYTES_PER_NS 10     /* 10 GB/s, a slow link: copies are estimated long */
#define ESTIMATE_MAX (1ull << 40)
#define SAMPLE_EVERY 8 /* of launches whose time is known */
#define BUSY_ROWS 8

uint64_t rein_backlog_patience_ns = 2 * REIN_LEASE_NS;

enum mark_state { FREE, OWNED, MARKED };

/* OWNED by one thread, which alone touches the rest; MARKED: recorded, waiting to be looked at. */
struct rein_mark {
	rein_a32 state;
	uint32_t owners_gen;
	uint64_t context; /* that the two events belong to; 0: there are none */
	CUevent begin, end;
	struct rein_row *row;
	uint64_t target; /* completes the row up to here */
	uint64_t reserved_ns;
	uint64_t expected_ns; /* 0: nobody knows */
	uint64_t stamp_ns;
	uint64_t key; /* to be sampled as; 0: not a sample */
	uint64_t begun;
	uint32_t disturbed;
	bool reserved;
};

static struct rein_mark marks[MARKS];
static rein_a32 marked;      /* marks in state MARKED, about */
static rein_a32 next_mark;
static rein_a32 looking;     /* threads inside rein_backlog_reap() */
static rein_a32 waiting;     /* threads waiting for room */
static rein_a64 outstanding; /* number of reservations << 48 | their ns */
static rein_a64 stalled_at = UINT64_MAX; /* rein_progress when a wait was given up */
static rein_a64 released_ns; /* when a reservation last ended */
static rein_a32 launches;

#define COUNT_ONE (1ull << 48)
#define NS_MASK (COUNT_ONE - 1)

/* ---------------------------------------------------------------- estimates */

static bool one_of(enum rein_entry_id entry, enum rein_entry_id a, enum rein_entry_id b)
{
	return entry == a || entry == b;
}

static uint64_t bytes_ns(uint64_t bytes)
{
	uint64_t ns = bytes / COPY_BYTES_PER_NS;
	return bytes == 0 ? 0 : ns < COPY_MIN_NS ? COPY_MIN_NS : ns;
}

/* The model's key; 0 where no model applies. */
static uint64_t key_of(const struct rein_work *w)
{
	unsigned class_id = rein_entries[w->entry].class_id;
	if (!w->func || (class_id != REIN_CLASS_LAUNCH && class_id != REIN_CLASS_GRAPH))
		return 0;
	if (class_id == REIN_CLASS_GRAPH &&
	    !one_of(w->entry, REIN_E_cuGraphLaunch, REIN_E_cuGraphLaunch_ptsz))
		return 0;
	return rein_kmodel_key((uint64_t)(uintptr_t)w->func, w->grid, w->block, w->shared_bytes);
}

/* GPU time, ns; 0: unknown. */
static uint64_t estimate(const struct rein_work *w, uint64_t key)
{
	if (key)
		return rein_kmodel_estimate(&REIN_STATUS->kmodel, key);
	switch (rein_entries[w->entry].class_id) {
	case REIN_CLASS_LAUNCH: /* a host function keeps the stream, not the GPU */
		return one_of(w->entry, REIN_E_cuLaunchHostFunc, REIN_E_cuLaunchHostFunc_ptsz)
		               ? ORDER_NS
		               : 0;
	case REIN_CLASS_COPY:
	case REIN_CLASS_SET:
		return bytes_ns(w->bytes);
	case REIN_CLASS_MEMORY:
		return w->bytes ? bytes_ns(w->bytes) : ORDER_NS;
	default:
		return ORDER_NS;
	}
}

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
		for (unsigned i = 0; i < MARKS; i++) {
			struct rein_mark *m = &marks[(from + i) % MARKS];
			uint32_t state = FREE;
			if (rein_load_relaxed(&m->state) != FREE ||
			    !rein_cas(&m->state, &state, OWNED))
				continue;
			if (pass || m->context == context || m->context == 0) {
				m->reserved = false;
				m->key = 0;
				return m;
			}
			rein_store_release(&m->state, FREE);
		}
	return NULL;
}

static struct rein_mark *take_mark(void)
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

static void unreserve(uint64_t ns)
{
	rein_add_seqcst(&outstanding, -(COUNT_ONE | ns));
	rein_store_relaxed(&released_ns, rein_now_ns());
	rein_add_seqcst(&rein_progress, 1);
}

static void free_mark(struct rein_mark *m)
{
	if (m->reserved)
		unreserve(m->reserved_ns);
	m->reserved = false;
	rein_store_release(&m->state, FREE);
}

/* After the mark: did anything else go into the stream between the two events? */
static bool undisturbed(const struct rein_mark *m)
{
	return rein_load_seqcst(&m->row->begun) == m->begun &&
	       rein_load_relaxed(&m->row->disturbed) == m->disturbed;
}

/* Records the mark behind what the stream holds. The row's work up to `target` then hangs on it. */
static bool record(struct rein_mark *m, struct rein_row *row, CUstream stream, uint64_t target)
{
	m->row = row;
	m->target = target;
	m->stamp_ns = rein_now_ns();
	if (real.cuEventRecord(m->end, stream) != CUDA_SUCCESS)
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

/* ---------------------------------------------------------------- samples */

static const rein_a32 *owners_gen(void)
{
	uint32_t i = rein_load_relaxed(&REIN_CONTROL->verdict[0].board_device);
	return i < REIN_BOARD_DEVICES_MAX ? &REIN_BOARD->device[i].owners_gen : NULL;
}

/* The event before the kernel, if this launch is to be a sample. */
void rein_backlog_before(struct rein_ticket *t)
{
	struct rein_mark *m = t->mark;
	const rein_a32 *owners = owners_gen();
	if (!m || !t->key || !owners)
		return;
	if (m->expected_ns && rein_add_relaxed(&launches, 1) % SAMPLE_EVERY)
		return;
	m->owners_gen = rein_load_acquire(owners);
	m->disturbed = rein_load_relaxed(&t->row->disturbed);
	m->begun = rein_load_seqcst(&t->row->begun);
	if (rein_load_seqcst(&t->row->returned) + 1 != m->begun)
		return; /* another thread is submitting to this stream */
	m->row = t->row;
	if (m->owners_gen % 2 || real.cuEventRecord(m->begin, t->stream) != CUDA_SUCCESS)
		return;
	m->key = t->key;
}

static void sample(const struct rein_mark *m)
{
	const rein_a32 *owners = owners_gen();
	float ms = 0;
	CUresult r = CUDA_ERROR_NOT_SUPPORTED;
	if (!owners || rein_load_acquire(owners) != m->owners_gen)
		return;
	if (rein_real_has(REIN_E_cuEventElapsedTime_v2))
		r = real.cuEventElapsedTime_v2(&ms, m->begin, m->end);
	else
		r = real.cuEventElapsedTime(&ms, m->begin, m->end);
	if (r == CUDA_SUCCESS && ms > 0)
		rein_kmodel_sample(&REIN_STATUS->kmodel, m->key, (uint64_t)(ms * 1e6f), NULL);
}

/* ---------------------------------------------------------------- looking at marks */

struct watch { /* a look, and what a waiting thread learns from it */
	bool push;     /* the mark's context must be made current first */
	unsigned done;
	uint64_t stamp_ns, expected_ns; /* of the oldest mark seen that has not completed */
};

/* Without its context a push fails, which says that nothing of it runs any more. */
static CUresult query(const struct rein_mark *m, bool push)
{
	CUcontext popped;
	if (!push)
		return real.cuEventQuery(m->end);
	if (real.cuCtxPushCurrent_v2((CUcontext)(uintptr_t)m->context) != CUDA_SUCCESS)
		return CUDA_ERROR_CONTEXT_IS_DESTROYED;
	CUresult r = real.cuEventQuery(m->end);
	(void)real.cuCtxPopCurrent_v2(&popped);
	return r;
}

static void look_at(struct rein_mark *m, struct rein_row **busy, unsigned *n, struct watch *w)
{
	uint32_t state = MARKED;
	if (!rein_cas(&m->state, &state, OWNED))
		return;
	for (unsigned i = 0; i < *n; i++)
		if (busy[i] == m->row) {
			rein_store_release(&m->state, MARKED);
			return; /* an earlier one of its stream has not completed */
		}
	CUresult r = query(m, w->push);
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
	free_mark(m);
	w->done++;
}

/* Slots are taken in turn, so from the next one on they are about in order of age. Whoever
 * inhibits us (helper.h) raises its flag and waits for `looking`; we count and look at the flag. */
static struct watch look(bool push)
{
	struct watch w = {.push = push};
	struct rein_row *busy[BUSY_ROWS];
	unsigned n = 0;
	if (!rein_load_seqcst(&marked))
		return w;
	rein_add_seqcst(&looking, 1);
	CUstreamCaptureMode mode = relaxed();
	unsigned from = rein_load_relaxed(&next_mark);
	for (unsigned i = 0; i < MARKS && !rein_helper_inhibited(); i++) {
		struct rein_mark *m = &marks[(from + i) % MARKS];
		if (rein_load_relaxed(&m->state) == MARKED)
			look_at(m, busy, &n, &w);
	}
	restore(mode);
	if (rein_add_seqcst(&looking, (uint32_t)-1) == 1 && rein_helper_inhibited())
		rein_futex_wake_all(&looking);
	return w;
}

unsigned rein_backlog_reap(void)
{
	return look(true).done;
}

bool rein_backlog_pending(void)
{
	return rein_load_seqcst(&marked);
}

void rein_backlog_quiesce(void)
{
	uint64_t until = rein_now_ns() + QUIESCE_NS;
	uint32_t n;
	while ((n = rein_load_seqcst(&looking)) != 0 && rein_now_ns() < until)
		rein_futex_wait(&looking, n, until);
}

void rein_backlog_forget(CUcontext ctx)
{
	for (unsigned i = 0; i < MARKS; i++) {
		struct rein_mark *m = &marks[i];
		uint32_t state = rein_load_acquire(&m->state);
		if (state == OWNED || !rein_cas(&m->state, &state, OWNED))
			continue;
		bool theirs = m->context == (uint64_t)(uintptr_t)ctx;
		if (theirs)
			m->context = 0;
		if (theirs && state == MARKED) {
			rein_add_seqcst(&marked, (uint32_t)-1);
			free_mark(m);
		} else {
			rein_store_release(&m->state, state);
		}
	}
}

void rein_backlog_last_mark(struct rein_row *row, CUstream stream)
{
	if (!rein_row_outstanding(row) || rein_capture_any())
		return;
	struct rein_mark *m = take_mark();
	if (m && !record(m, row, stream, rein_load_seqcst(&row->returned)))
		free_mark(m);
}

/* ---------------------------------------------------------------- room */

static bool row_unmarked(const struct rein_row *row)
{
	uint64_t done = rein_load_seqcst(&row->completed);
	uint64_t hung = rein_load_seqcst(&row->marked);
	return rein_load_seqcst(&row->returned) > (done > hung ? done : hung);
}

/* Work that no mark tells of, queued before metering began: the helper's queries will. */
static bool any_unmarked(void)
{
	unsigned n = rein_rows_count();
	for (unsigned i = 0; i < n; i++)
		if (row_unmarked(rein_row_at(i)))
			return true;
	return false;
}

bool rein_backlog_watches(void)
{
	return rein_load_seqcst(&waiting) && !any_unmarked();
}

static void limits(uint64_t *ns, uint64_t *count)
{
	const struct rein_verdict *v = &REIN_CONTROL->verdict[0];
	*ns = rein_load_relaxed(&v->backlog_ns);
	*count = rein_load_relaxed(&v->backlog_launches);
	if (*ns > ESTIMATE_MAX)
		*ns = ESTIMATE_MAX;
	if (*count > LAUNCHES_MAX)
		*count = LAUNCHES_MAX;
}

static bool reserve(uint64_t ns, bool force)
{
	uint64_t limit_ns, limit_count;
	uint64_t seen = rein_load_seqcst(&outstanding);
	limits(&limit_ns, &limit_count);
	do {
		uint64_t count = seen / COUNT_ONE;
		if (count && !force &&
		    ((seen & NS_MASK) + ns > limit_ns || count + 1 > limit_count))
			return false;
	} while (!rein_cas(&outstanding, &seen, seen + (COUNT_ONE | ns)));
	return true;
}

/* What this stream was given before metering began: one mark behind it, for the whole backlog. */
static void mark_the_past(struct rein_ticket *t)
{
	uint64_t limit_ns, limit_count;
	if (!row_unmarked(t->row))
		return;
	struct rein_mark *m = take_mark();
	if (!m)
		return;
	limits(&limit_ns, &limit_count);
	m->reserved = reserve(limit_ns, true);
	m->reserved_ns = limit_ns;
	m->expected_ns = 0;
	if (!record(m, t->row, t->stream, rein_load_seqcst(&t->row->returned)))
		free_mark(m);
}

/* Reserves and takes a mark. `force`: without room too, and if there is no mark left, uncounted. */
static bool try_enter(struct rein_ticket *t, bool force)
{
	if (!force && (any_unmarked() || !reserve(t->estimate_ns, false)))
		return false;
	t->mark = take_mark();
	if (!t->mark) {
		if (!force)
			rein_add_seqcst(&outstanding, -(COUNT_ONE | t->estimate_ns));
		return force;
	}
	t->reserved = !force || reserve(t->estimate_ns, true);
	t->mark->reserved = true;
	t->mark->reserved_ns = t->estimate_ns;
	t->mark->expected_ns = t->known ? t->estimate_ns : 0;
	return true;
}

/* Half of what the oldest should still take; longer and longer when it is overdue or unknown. */
static void sleep_for_room(const struct watch *w, uint32_t gate)
{
	uint64_t now = rein_now_ns();
	uint64_t from = rein_load_relaxed(&released_ns);
	if (from < w->stamp_ns)
		from = w->stamp_ns;
	uint64_t passed = now > from ? now - from : 0;
	uint64_t ns = passed < w->expected_ns ? (w->expected_ns - passed) / 2
	                                      : (passed - w->expected_ns) / 8;
	if (ns < SLEEP_MIN_NS)
		ns = SLEEP_MIN_NS;
	if (ns > SLEEP_MAX_NS)
		ns = SLEEP_MAX_NS;
	rein_futex_wait(&REIN_GATE_WORD, gate, now + ns);
}

static void count_wait(uint64_t began)
{
	rein_add_relaxed(&REIN_STATUS->total.backlog_waits, 1);
	rein_add_relaxed(&REIN_STATUS->total.backlog_wait_ns, rein_now_ns() - began);
}

/* True: reserved, or let through. False: the gate word is no longer `gate`. */
static bool wait_for_room(struct rein_ticket *t, uint32_t gate)
{
	uint64_t began = rein_now_ns(), since = began;
	uint64_t progress = rein_load_seqcst(&rein_progress);
	for (;;) {
		struct watch w = look(false);
		mark_the_past(t); /* there may have been no mark to be had */
		if (try_enter(t, false))
			return true;
		if (rein_load_acquire(&REIN_GATE_WORD) != gate)
			return false;
		uint64_t now = rein_now_ns(), seen = rein_load_seqcst(&rein_progress);
		if (seen != progress) {
			progress = seen;
			since = now;
		} else if (now - since >= rein_backlog_patience_ns) {
			rein_store_release(&stalled_at, seen);
			rein_add_relaxed(&REIN_STATUS->total.lapses, 1);
			rein_helper_wake();
			return try_enter(t, true);
		}
		if (!w.done)
			sleep_for_room(&w, gate);
	}
}

bool rein_backlog_enter(struct rein_ticket *t, uint32_t gate)
{
	uint64_t limit_ns, limit_count;
	if (t->reserved)
		return true;
	limits(&limit_ns, &limit_count);
	t->stream = (CUstream)(uintptr_t)rein_handle_of(t->work->stream, t->options);
	t->key = key_of(t->work);
	t->estimate_ns = estimate(t->work, t->key);
	t->known = t->estimate_ns != 0;
	if (!t->known)
		t->estimate_ns = limit_ns;
	if (t->estimate_ns > ESTIMATE_MAX)
		t->estimate_ns = ESTIMATE_MAX;
	mark_the_past(t);
	if (try_enter(t, false))
		return true;
	if (rein_load_acquire(&stalled_at) == rein_load_seqcst(&rein_progress))
		(void)look(false); /* if something completed, the stall is over */
	if (rein_load_acquire(&stalled_at) == rein_load_seqcst(&rein_progress))
		return try_enter(t, true);
	uint64_t began = rein_now_ns();
	rein_add_seqcst(&waiting, 1);
	bool entered = wait_for_room(t, gate);
	rein_add_seqcst(&waiting, (uint32_t)-1);
	count_wait(began);
	return entered;
}

void rein_backlog_leave(struct rein_ticket *t)
{
	if (!t->reserved)
		return;
	t->reserved = false;
	free_mark(t->mark);
	t->mark = NULL;
}

void rein_backlog_after(struct rein_ticket *t, uint64_t target, bool queued)
{
	struct rein_mark *m = t->mark;
	if (!t->reserved)
		return;
	if (!queued) { /* refused, or already over */
		rein_backlog_leave(t);
		return;
	}
	t->reserved = false;
	t->mark = NULL;
	if (m && !record(m, t->row, t->stream, target))
		free_mark(m);
}
