// SPDX-License-Identifier: Apache-2.0
#include "backlog.h"

#include "../common/futex.h"
#include "../common/log.h"
#include "helper.h"
#include "point.h"
#include "probe.h"

#define LAUNCHES_MAX (REIN_MARKS * 3 / 4) /* the wait is for room, hardly ever for a mark */
#define SLEEP_MIN_NS (20 * REIN_US)
#define SLEEP_MAX_NS REIN_MS
#define ORDER_NS (10 * REIN_US) /* for what takes next to no GPU time */
#define COPY_MIN_NS (5 * REIN_US)
#define COPY_BYTES_PER_NS 10 /* 10 GB/s, a slow link: copies are estimated long */
#define ESTIMATE_MAX (1ull << 40)
/* Of launches whose time is known one in so many is timed, on average; settled: one in 128, less
 * than 1 %. At random, for programs launch the same kernels in the same order again and again. */
#define SAMPLE_EVERY 8
#define SAMPLE_EVERY_SETTLED 128
#define SETTLED 32 /* samples */
#define PAIR_EVERY 8
/* unmetered: at most one launch in so many, and so far apart */
#define SAMPLES_APART 100
#define SAMPLES_APART_NS (10 * REIN_MS)
#define PAIR_SHARE 8
#define FIRST_AFTER_NS (5 * REIN_MS) /* who has waited so long for room goes before all others */
#define FIRST_FOR_NS (20 * REIN_MS)
#define PATIENCES_MAX 5 /* a wait is given up after so many, whatever else completes */

uint64_t rein_backlog_patience_ns = 2 * REIN_LEASE_NS;

static rein_a32 waiting;        /* threads waiting for room */
static rein_a64 outstanding;    /* number of reservations << 48 | their ns */
static rein_a64 first_in_line;  /* the ticket that goes first, as a number; 0: none */
static rein_a64 first_until_ns; /* and until when it does, unless it says so again */
static rein_a64 released_ns;    /* when a reservation last ended */
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
uint64_t rein_backlog_key(const struct rein_work *w)
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

/* ---------------------------------------------------------------- room */

static bool row_unmarked(const struct rein_row *row)
{
	if (rein_load_seqcst(&row->stuck))
		return false; /* does not count */
	uint64_t done = rein_load_seqcst(&row->completed);
	uint64_t hung = rein_load_seqcst(&row->marked);
	return rein_load_seqcst(&row->returned) > (done > hung ? done : hung);
}

/* Work that no mark tells of, queued before metering began: the helper's queries will. */
static bool any_unmarked(void)
{
	unsigned n = rein_rows_used();
	for (unsigned i = 0; i < n; i++)
		if (row_unmarked(rein_row_used(i)))
			return true;
	return false;
}

/* What no point stands behind, in any stream: the helper's queries will tell of it too. */
static bool any_past(void)
{
	unsigned n = rein_rows_used();
	for (unsigned i = 0; i < n; i++)
		if (rein_load_seqcst(&rein_row_used(i)->past))
			return true;
	return false;
}

bool rein_backlog_watches(void)
{
	return rein_load_seqcst(&waiting) && !any_unmarked() && !any_past();
}

static void limits(const struct rein_row *row, uint64_t *ns, uint64_t *count)
{
	uint32_t slot = rein_load_relaxed(&row->slot) % REIN_DEVICES_MAX;
	const struct rein_verdict *v = &REIN_CONTROL->verdict[slot];
	*ns = rein_load_relaxed(&v->backlog_ns);
	*count = rein_load_relaxed(&v->backlog_launches);
	if (*ns > ESTIMATE_MAX)
		*ns = ESTIMATE_MAX;
	if (*count > LAUNCHES_MAX)
		*count = LAUNCHES_MAX;
}

static void released(uint64_t packed)
{
	rein_add_seqcst(&outstanding, -packed);
	rein_store_relaxed(&released_ns, rein_now_ns());
	rein_add_seqcst(&rein_progress, 1);
}

void rein_backlog_release(uint64_t ns)
{
	released(COUNT_ONE | ns);
}

/* `instead`: of what is reserved already and is given up for it, in one step. */
static bool reserve_instead(const struct rein_row *row, uint64_t ns, bool force, uint64_t instead)
{
	uint64_t limit_ns, limit_count;
	uint64_t seen = rein_load_seqcst(&outstanding);
	limits(row, &limit_ns, &limit_count);
	do {
		uint64_t rest = seen - instead, count = rest / COUNT_ONE;
		if (count && !force &&
		    ((rest & NS_MASK) + ns > limit_ns || count + 1 > limit_count))
			return false;
	} while (!rein_cas(&outstanding, &seen, seen - instead + (COUNT_ONE | ns)));
	return true;
}

static bool reserve(const struct rein_row *row, uint64_t ns, bool force)
{
	return reserve_instead(row, ns, force, 0);
}

/* By an explicit handle: the stream, or where its work goes now (slice.h). */
static CUstream where(const struct rein_ticket *t)
{
	return rein_slice_stands(t->row,
	                         (CUstream)(uintptr_t)rein_handle_of(t->work->stream, t->options));
}

/* What this stream was given before metering began: one mark behind it, for the whole backlog. */
static void mark_the_past(struct rein_ticket *t)
{
	uint64_t limit_ns, limit_count;
	if (!row_unmarked(t->row))
		return;
	struct rein_mark *m = rein_mark_take();
	if (!m)
		return;
	limits(t->row, &limit_ns, &limit_count);
	m->reserved = reserve(t->row, limit_ns, true);
	m->reserved_ns = limit_ns;
	m->expected_ns = 0;
	uint64_t target =
	    rein_load_seqcst(&t->row->returned); /* before it is asked where that is */
	if (!rein_mark_end(m, t->row, where(t), target))
		rein_mark_free(m);
}

/* Somebody else has waited for long: a kernel that needs the backlog to itself would wait for ever
 * while others keep it filled. */
static bool others_first(const struct rein_ticket *t)
{
	uint64_t first = rein_load_seqcst(&first_in_line);
	return first && first != (uintptr_t)t && rein_now_ns() < rein_load_seqcst(&first_until_ns);
}

static void go_first(const struct rein_ticket *t, uint64_t now)
{
	uint64_t first = rein_load_seqcst(&first_in_line);
	if (first != (uintptr_t)t) {
		/* one that does not renew is gone: its thread left the wait by a signal's longjmp
		 */
		if (first && now < rein_load_seqcst(&first_until_ns))
			return;
		if (!rein_cas(&first_in_line, &first, (uintptr_t)t))
			return;
	}
	rein_store_release(&first_until_ns, now + FIRST_FOR_NS);
}

static void no_longer_first(const struct rein_ticket *t)
{
	uint64_t first = (uintptr_t)t;
	(void)rein_cas(&first_in_line, &first, 0);
}

/* ---------------------------------------------------------------- under the queue gate */

static void past_release(struct rein_row *row)
{
	uint64_t past = rein_swap_seqcst(&row->past, 0);
	if (past)
		released(past);
}

/* Streams that have drained. Who submits counts itself in `begun` before it adds to `past`; who
 * waits for room is counted there too, in `waiting` as well, until before it adds. */
static void past_settle(void)
{
	unsigned n = rein_rows_used();
	rein_point_look();
	for (unsigned i = 0; i < n; i++) {
		struct rein_row *row = rein_row_used(i);
		uint64_t past = rein_load_seqcst(&row->past);
		uint32_t waiters = rein_load_seqcst(&row->waiting);
		uint64_t completed = rein_load_seqcst(&row->completed);
		if (past && rein_load_seqcst(&row->begun) == completed + waiters &&
		    rein_cas(&row->past, &past, 0))
			released(past);
	}
}

/* Takes its own part back, if no point has released it since. */
static void past_leave(struct rein_ticket *t)
{
	uint64_t mine = COUNT_ONE | t->estimate_ns, past = rein_load_seqcst(&t->row->past);
	t->behind = false;
	while (past / COUNT_ONE && (past & NS_MASK) >= t->estimate_ns)
		if (rein_cas(&t->row->past, &past, past - mine)) {
			released(mine);
			return;
		}
}

static void in_line(struct rein_ticket *t, bool is)
{
	if (is != t->in_line)
		rein_add_seqcst(&t->row->waiting, is ? 1 : (uint32_t)-1);
	t->in_line = is;
}

static void past_add(struct rein_ticket *t)
{
	in_line(t, false);
	t->behind = true;
	rein_add_seqcst(&t->row->past, COUNT_ONE | t->estimate_ns);
}

/* Given up on, and nothing of it has completed since. */
static bool stands_still(const struct rein_row *row)
{
	return rein_load_seqcst(&row->still) == rein_load_seqcst(&row->completed) + 1;
}

static void stand_still(struct rein_row *row)
{
	if (!rein_load_seqcst(&row->past))
		return;
	rein_store_release(&row->still, rein_load_seqcst(&row->completed) + 1);
	past_release(row);
}

/* Once a point is due before it, it is: what stands before has been released. Nothing is put
 * between a kernel and one that may overlap its end. */
static bool due(const struct rein_ticket *t)
{
	uint64_t past_ns = rein_load_seqcst(&t->row->past) & NS_MASK;
	return t->point || (!t->work->dependent && (past_ns + t->estimate_ns > t->every_ns ||
	                                            row_unmarked(t->row) || stands_still(t->row)));
}

/* A kernel that may overlap the one before gets no point, so it waits until what is behind the last
 * one has ended: a mark tells soon. */
static void mark_the_last(const struct rein_ticket *t)
{
	uint64_t target =
	    rein_load_seqcst(&t->row->returned); /* before it is asked where that is */
	if (!rein_row_outstanding(t->row) || rein_mark_tells(t->row))
		return;
	struct rein_mark *m = rein_mark_take();
	if (!m)
		return;
	m->reserved = false;
	m->expected_ns = 0;
	if (!rein_mark_end(m, t->row, where(t), target))
		rein_mark_free(m);
}

static bool enter_behind_point(struct rein_ticket *t)
{
	if (others_first(t))
		return false;
	bool still = stands_still(t->row);
	if (still)
		t->estimate_ns = 0; /* behind what was written off: it does not count */
	for (t->point = due(t);; t->point = true) {
		uint64_t past = t->point ? rein_swap_seqcst(&t->row->past, 0) : 0;
		if (reserve_instead(t->row, t->estimate_ns, still, past)) {
			if (past)
				released(0);
			break;
		}
		rein_add_seqcst(&t->row->past, past); /* no point stands behind it yet */
		if (t->point || t->work->dependent || !rein_load_seqcst(&t->row->past))
			return false;
	}
	past_add(t);
	return true;
}

/* ---------------------------------------------------------------- with marks */

/* Takes a mark, with the reservation that was made for it or with none. */
static bool enter(struct rein_ticket *t, bool reserved)
{
	t->mark = rein_mark_take();
	if (!t->mark)
		return false;
	t->mark->reserved = reserved;
	t->mark->reserved_ns = t->estimate_ns;
	t->mark->expected_ns = t->known ? t->estimate_ns : 0;
	return true;
}

static bool try_enter(struct rein_ticket *t)
{
	if (rein_load_seqcst(&t->row->stuck))
		(void)rein_mark_look(false); /* it may be over */
	if (rein_load_seqcst(&t->row->stuck)) {
		(void)enter(t, false); /* behind what was written off; without a mark: uncounted */
		return true;
	}
	if (others_first(t) || any_unmarked() || !reserve(t->row, t->estimate_ns, false))
		return false;
	if (enter(t, true))
		return true;
	rein_add_seqcst(&outstanding, -(COUNT_ONE | t->estimate_ns));
	return false;
}

/* What a submission that waited in vain found: one line, and one for each stream with work. */
static void say_state(const struct rein_ticket *t)
{
	unsigned n = rein_rows_used();
	uint64_t all = rein_load_seqcst(&outstanding);
	rein_debug(
	    "backlog: gave up after %llu ms (%llu without progress): row=%u entry=%s "
	    "estimate=%llu us every=%llu us outstanding=%llu of %llu us marks=%d first=%d",
	    (unsigned long long)(t->waited_ns / REIN_MS),
	    (unsigned long long)(t->stalled_ns / REIN_MS), rein_load_relaxed(&t->row->id),
	    rein_entries[t->work->entry].name, (unsigned long long)(t->estimate_ns / REIN_US),
	    (unsigned long long)(t->every_ns / REIN_US), (unsigned long long)(all / COUNT_ONE),
	    (unsigned long long)((all & NS_MASK) / REIN_US), rein_mark_pending(), others_first(t));
	for (unsigned i = 0; i < n; i++) {
		const struct rein_row *r = rein_row_used(i);
		uint64_t past = rein_load_seqcst(&r->past);
		if (rein_row_outstanding(r))
			rein_debug("backlog: row=%u handle=%llx begun=%llu returned=%llu "
			           "marked=%llu completed=%llu past=%llu of %llu us stuck=%u "
			           "every=%llu us",
			           rein_load_relaxed(&r->id),
			           (unsigned long long)rein_load_relaxed(&r->handle),
			           (unsigned long long)rein_load_seqcst(&r->begun),
			           (unsigned long long)rein_load_seqcst(&r->returned),
			           (unsigned long long)rein_load_seqcst(&r->marked),
			           (unsigned long long)rein_load_seqcst(&r->completed),
			           (unsigned long long)(past / COUNT_ONE),
			           (unsigned long long)((past & NS_MASK) / REIN_US),
			           rein_load_seqcst(&r->stuck),
			           (unsigned long long)(rein_point_every(r) / REIN_US));
	}
}

/* Out of patience: what is queued waits for something, perhaps for this very thread. It no longer
 * counts, and neither does what its streams are given until it completes. */
static void give_up(struct rein_ticket *t, uint64_t now)
{
	unsigned n = rein_rows_used();
	t->lapsed = true;
	say_state(t);
	rein_add_relaxed(&REIN_STATUS->total.lapses, 1);
	rein_mark_write_off(now - rein_backlog_patience_ns);
	for (unsigned i = 0; i < n; i++) {
		struct rein_row *row = rein_row_used(i);
		uint64_t marked = rein_load_seqcst(&row->marked);
		uint64_t returned = rein_load_seqcst(&row->returned);
		while (marked < returned && !rein_cas(&row->marked, &marked, returned))
			;
		stand_still(row);
	}
	rein_helper_wake();
	if (t->every_ns ? enter_behind_point(t) : try_enter(t))
		return;
	reserve(t->row, t->estimate_ns, true);
	if (t->every_ns)
		past_add(t);
	else if (!enter(t, true)) /* no mark to be had: it goes uncounted */
		rein_add_seqcst(&outstanding, -(COUNT_ONE | t->estimate_ns));
}

/* ---------------------------------------------------------------- waiting for room */

/* Half of what the oldest should still take; longer and longer when it is overdue or unknown. */
static void sleep_for_room(const struct rein_mark_watch *w, uint32_t gate)
{
	uint64_t now = rein_now_ns();
	uint64_t from = rein_load_relaxed(&released_ns);
	if (from < w->stamp_ns)
		from = w->stamp_ns;
	uint64_t passed = now > from ? now - from : 0;
	uint64_t ns =
	    passed < w->expected_ns ? (w->expected_ns - passed) / 2 : (passed - w->expected_ns) / 8;
	if (ns < SLEEP_MIN_NS)
		ns = SLEEP_MIN_NS;
	if (ns > SLEEP_MAX_NS)
		ns = SLEEP_MAX_NS;
	rein_futex_wait(&REIN_GATE_WORD, gate, now + ns);
}

static void count_wait(const struct rein_ticket *t, uint64_t began, bool lapsed)
{
	rein_trace_wait(REIN_TRACE_BACKLOG, lapsed ? REIN_TRACE_LAPSED : 0, began,
	                rein_load_relaxed(&t->row->id), 0);
	rein_add_relaxed(&REIN_STATUS->total.backlog_waits, 1);
	rein_add_relaxed(&REIN_STATUS->total.backlog_wait_ns, rein_now_ns() - began);
}

/*
 * True: entered, or let through. False: the gate word is no longer `gate`. The patience is one for
 * the whole submission: an urgent client that comes and goes closes the gate again and again, and
 * must not make the wait begin anew each time.
 */
static bool wait_for_room(struct rein_ticket *t, uint32_t gate)
{
	uint64_t last = rein_now_ns();
	for (;;) {
		struct rein_mark_watch w = rein_mark_look(false);
		past_settle();
		if (!t->every_ns)
			mark_the_past(t); /* there may have been no mark to be had */
		if (t->every_ns ? enter_behind_point(t) : try_enter(t))
			return true;
		uint64_t now = rein_now_ns(), seen = rein_load_seqcst(&rein_progress);
		t->stalled_ns = seen == t->progress ? t->stalled_ns + (now - last) : 0;
		t->waited_ns += now - last;
		t->progress = seen;
		last = now;
		if (t->stalled_ns >= rein_backlog_patience_ns ||
		    t->waited_ns >= PATIENCES_MAX * rein_backlog_patience_ns) {
			give_up(t, now);
			return true;
		}
		if (rein_load_acquire(&REIN_GATE_WORD) != gate)
			return false;
		if (t->waited_ns >= FIRST_AFTER_NS)
			go_first(t, now);
		if (!w.done)
			sleep_for_room(&w, gate);
	}
}

static uint32_t scrambled(uint32_t n)
{
	n = (n ^ n >> 16) * 0x85ebca6bu;
	n = (n ^ n >> 13) * 0xc2b2ae35u;
	return n ^ n >> 16;
}

/* Alone in the queue a kernel would be timed with the other processes' slices before it, for ever.
 * Now and then two go together: the second one's span is its own time. */
static void choose_sample(struct rein_ticket *t, uint64_t limit_ns)
{
	uint32_t n = t->key ? rein_add_relaxed(&launches, 1) : 0;
	bool settled = rein_kmodel_samples(&REIN_STATUS->kmodel, t->key) >= SETTLED;
	unsigned every = settled ? SAMPLE_EVERY_SETTLED : SAMPLE_EVERY;
	t->sampled = !t->known || (t->key && scrambled(n) % every == 0);
	if (n % PAIR_EVERY < PAIR_EVERY - 2 || t->estimate_ns <= limit_ns / PAIR_SHARE ||
	    !rein_kmodel_is_bound(&REIN_STATUS->kmodel, t->key))
		return;
	t->estimate_ns = limit_ns / PAIR_SHARE;
	t->sampled |= n % PAIR_EVERY == PAIR_EVERY - 1;
}

/* What it may take, and whether it is to be timed: that parts a dependent pair, so only if its time
 * is not known. */
static void weigh(struct rein_ticket *t)
{
	uint64_t limit_ns, limit_count;
	limits(t->row, &limit_ns, &limit_count);
	t->stream = where(t);
	t->key = rein_backlog_key(t->work);
	t->estimate_ns = estimate(t->work, t->key);
	t->known = t->estimate_ns != 0;
	t->every_ns = rein_point_every(t->row);
	uint64_t estimate_ns = t->estimate_ns;
	choose_sample(t, limit_ns);
	if (t->every_ns) {
		t->estimate_ns = estimate_ns; /* it is not alone in the queue */
		t->sampled &= !t->work->dependent || !t->known;
	}
	if (!t->known)
		t->estimate_ns = limit_ns;
	if (t->estimate_ns > ESTIMATE_MAX)
		t->estimate_ns = ESTIMATE_MAX;
}

/* Without a wait, if there is room. */
static bool enter_at_once(struct rein_ticket *t)
{
	if (!t->every_ns) {
		mark_the_past(t);
		return try_enter(t) || (rein_mark_look(false).done && try_enter(t));
	}
	if (!enter_behind_point(t)) {
		past_settle();
		if (!enter_behind_point(t))
			return false;
	}
	if (t->point && rein_mark_pending())
		(void)rein_mark_look(false); /* nobody else may: samples */
	return true;
}

/* Under the queue gate a mark is a sample's only. */
static bool entered(struct rein_ticket *t)
{
	if (t->behind && t->sampled)
		(void)enter(t, false);
	return true;
}

bool rein_backlog_enter(struct rein_ticket *t, uint32_t gate)
{
	if (t->mark || t->behind)
		return true;
	weigh(t);
	if (enter_at_once(t))
		return entered(t);
	uint64_t began = rein_now_ns();
	rein_demand_announce();
	rein_block(REIN_PHASE_BACKLOG, 0);
	rein_add_seqcst(&waiting, 1);
	if (t->every_ns)
		mark_the_last(t);
	in_line(t, true);
	bool room = wait_for_room(t, gate);
	in_line(t, false);
	no_longer_first(t);
	rein_add_seqcst(&waiting, (uint32_t)-1);
	rein_resume(REIN_PHASE_BACKLOG, rein_now_ns() - began, t->lapsed);
	count_wait(t, began, t->lapsed);
	return room && entered(t);
}

void rein_backlog_sample_next(uint64_t begun)
{
	static uint64_t last_ns, last_begun; /* the helper's */
	uint64_t now = rein_now_ns();
	if (rein_load_relaxed(&REIN_GATE_WORD) & ~(REIN_GATE_TRACED | REIN_GATE_SLICED) ||
	    now - last_ns < SAMPLES_APART_NS || begun - last_begun < SAMPLES_APART)
		return;
	if (rein_mark_pending())
		(void)rein_mark_look(true); /* the one before */
	last_ns = now;
	last_begun = begun;
	rein_or_seqcst(&rein_attention, REIN_ATT_SAMPLE);
}

void rein_backlog_unmetered(struct rein_ticket *t)
{
	rein_backlog_leave(t);
	if (REIN_LIKELY(!(rein_load_relaxed(&rein_attention) & REIN_ATT_SAMPLE)) ||
	    !(rein_and_seqcst(&rein_attention, ~REIN_ATT_SAMPLE) & REIN_ATT_SAMPLE))
		return;
	t->key = rein_backlog_key(t->work);
	t->mark = t->key ? rein_mark_take() : NULL;
	if (!t->mark)
		return;
	t->mark->expected_ns = 0;
	t->stream = where(t);
	t->sampled = true;
}

void rein_backlog_leave(struct rein_ticket *t)
{
	if (t->mark)
		rein_mark_free(t->mark);
	t->mark = NULL;
	if (t->behind)
		past_leave(t);
}

void rein_backlog_before(struct rein_ticket *t)
{
	if (t->behind && t->point)
		rein_point_put(t->row, t->stream, t->proven);
	if (!t->mark || !t->key)
		return;
	if (t->sampled)
		rein_mark_begin(t->mark, t->row, t->stream, t->key);
}

/* A point behind it, or its stream's end, will tell. */
static void no_mark_needed(struct rein_row *row, uint64_t target)
{
	uint64_t before = rein_load_relaxed(&row->marked);
	while (before < target && !rein_cas(&row->marked, &before, target))
		;
}

void rein_backlog_after(struct rein_ticket *t, uint64_t target, bool queued)
{
	struct rein_mark *m = t->mark;
	if (!queued) { /* refused, or already over */
		rein_backlog_leave(t);
		return;
	}
	if (t->behind)
		no_mark_needed(t->row, target);
	if (!m)
		return;
	t->mark = NULL;
	if (!rein_mark_end(m, t->row, t->stream, target))
		rein_mark_free(m);
}
