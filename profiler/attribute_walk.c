// SPDX-License-Identifier: Apache-2.0
/*
 * attribute_walk.c: one request's critical path, from its end back to its arrival, on the host's
 * side: which call its thread was in, and what it waited for there.
 *
 * At each step w->at is the moment up to which all is explained, from behind. The last call that
 * began before it either returned earlier (then the time since is the program's own code) or
 * covers it. When nothing is left of the request the walk is over; whatever cannot be explained is
 * given to UNKNOWN, so it ends, and the parts add up.
 */
#include "attribute_int.h"

#include "../common/abi.h"
#include "../common/clock.h"

#define STEPS_MAX 1000000u
/* From a wake-up to the return that it leads to: a stretch off the CPU that ended so shortly
 * before was what the return waited for. */
#define WAKE_NS (200 * REIN_US)

/* ---------------------------------------------------------------- parts */

/* Its index; w->n: there is none yet. */
static unsigned part_of(const struct rein_walk *w, enum rein_cause cause, uint32_t who,
                        bool estimate)
{
	unsigned i = 0;
	while (i < w->n && (w->part[i].cause != cause || w->part[i].who != who ||
	                    w->part[i].estimate != estimate))
		i++;
	return i;
}

void rein_walk_add(struct rein_walk *w, enum rein_cause cause, uint32_t who, bool estimate,
                   uint64_t ns)
{
	if (!ns)
		return;
	unsigned i = part_of(w, cause, who, estimate);
	if (i == w->n && i >= REIN_WALK_NAMED && who >= REIN_WHO_FIRST) {
		who = REIN_WHO_OTHERS;
		i = part_of(w, cause, who, estimate);
	}
	if (i == w->n)
		w->part[w->n++] =
		    (struct rein_part){.cause = (uint8_t)cause, .who = who, .estimate = estimate};
	w->part[i].ns += ns;
}

void rein_walk_give(struct rein_walk *w, uint64_t from, enum rein_cause cause, uint32_t who,
                    bool estimate)
{
	from = rein_later(from, w->begin);
	if (from >= w->at)
		return;
	rein_walk_add(w, cause, who, estimate, w->at - from);
	w->at = from;
}

/* ---------------------------------------------------------------- off the CPU */

/* Since when it was runnable, within its stretch off the CPU. */
static uint64_t runnable_ns(const struct rein_trace_record *r)
{
	return r->a > r->begin && r->a < r->end ? r->a : r->begin;
}

/* The wait for a CPU since then: to whoever had it for longest what it had of it, and the rest to
 * others. 0: the CPU slept, and was slow to wake. */
static void give_queue(struct rein_walk *w, const struct rein_trace_record *r, uint64_t from)
{
	uint32_t pid = (uint32_t)(r->b >> 32);
	uint64_t rest = 0;
	if (r->flags && from < w->at)
		rest = (w->at - from) * (255 - r->flags) / 255;
	rein_walk_give(w, w->at - rest, REIN_CAUSE_RUN_QUEUE, REIN_WHO_OTHERS, false);
	rein_walk_give(w, from, REIN_CAUSE_RUN_QUEUE,
	               pid ? rein_who_process(w->a, pid) : REIN_WHO_NOBODY, false);
}

static void give_stretch(struct rein_walk *w, const struct rein_trace_record *r, uint64_t from,
                         enum rein_cause cause)
{
	rein_walk_give(w, rein_later(from, rein_earlier(r->end, w->at)), cause, REIN_WHO_SELF,
	               false);
	give_queue(w, r, rein_later(rein_later(from, runnable_ns(r)), w->begin));
}

void rein_walk_thread(struct rein_walk *w, uint64_t from, enum rein_cause cause)
{
	struct rein_run run = rein_run_of(w->w, REIN_FACT_OFFCPU, w->who, w->thread);
	from = rein_later(from, w->begin);
	while (w->at > from && run.lo < run.hi) {
		const struct rein_trace_record *r = rein_run_before(&run, w->at);
		uint64_t before = w->at;
		if (!r || r->end <= from)
			break;
		give_stretch(w, r, from, cause);
		/* it slept before it was runnable */
		rein_walk_give(w, rein_later(from, r->begin), cause, REIN_WHO_SELF, false);
		if (w->at == before)
			break;
	}
	rein_walk_give(w, from, cause, REIN_WHO_SELF, false);
}

void rein_walk_wake(struct rein_walk *w, uint64_t from, enum rein_cause cause, bool preempted)
{
	struct rein_run run = rein_run_of(w->w, REIN_FACT_OFFCPU, w->who, w->thread);
	const struct rein_trace_record *r = run.lo < run.hi ? rein_run_before(&run, w->at) : NULL;
	if (r && r->end > from && r->end + WAKE_NS >= w->at &&
	    (preempted || runnable_ns(r) > r->begin))
		give_stretch(w, r, from, cause);
}

/* ---------------------------------------------------------------- at the gate */

void rein_walk_holds(struct rein_walk *w, uint64_t from, uint32_t mode, enum rein_cause gate,
                     void (*rest)(struct rein_walk *w, uint64_t from, const void *arg),
                     const void *arg)
{
	struct rein_run run = rein_run_of(w->w, REIN_FACT_HOLD, w->who, 0);
	from = rein_later(from, w->begin);
	while (w->at > from && run.lo < run.hi) {
		const struct rein_trace_record *r = rein_run_before(&run, w->at);
		if (!r || r->end <= from)
			break;
		size_t i = rein_run_from(&run, r->end);
		if (r->result >= mode) {
			if (r->end < w->at)
				rest(w, r->end, arg);
			rein_walk_give(w, rein_later(from, r->begin),
			               gate == REIN_CAUSE_LAUNCH_GATE ? gate
			                                              : rein_hold_cause(r->result),
			               r->number, false);
		}
		run.hi = i; /* those before it */
	}
	if (w->at > from)
		rest(w, from, arg);
}

/* Between holds, at a closed gate: it was not seen by the recorder, or just over. */
static void as_said(struct rein_walk *w, uint64_t from, const void *arg)
{
	const struct rein_trace_record *r = arg;
	rein_walk_give(w, from, REIN_CAUSE_LAUNCH_GATE, r->number, false);
}

static void at_gate(struct rein_walk *w, const struct rein_trace_record *r)
{
	if (r->flags & REIN_TRACE_BACKGROUND) { /* for its own process' requests */
		rein_walk_give(w, r->begin, REIN_CAUSE_LAUNCH_GATE, REIN_WHO_SELF, false);
		return;
	}
	rein_walk_wake(w, r->begin, REIN_CAUSE_LAUNCH_GATE, false);
	rein_walk_holds(w, r->begin, REIN_HOLD_LAUNCH, REIN_CAUSE_LAUNCH_GATE, as_said, r);
}

static void own_backlog(struct rein_walk *w, uint64_t from, const void *arg)
{
	rein_walk_give(w, from, REIN_CAUSE_BACKLOG, REIN_WHO_SELF, false);
}

/* While it is held nothing of what fills its backlog gets done. */
static void in_backlog(struct rein_walk *w, const struct rein_trace_record *r)
{
	rein_walk_wake(w, r->begin, REIN_CAUSE_BACKLOG, false);
	rein_walk_holds(w, r->begin, REIN_HOLD_LAUNCH, REIN_CAUSE_QUEUE_GATE, own_backlog, NULL);
}

/* ---------------------------------------------------------------- the path */

static void in_call(struct rein_walk *w, const struct rein_trace_record *r)
{
	uint64_t before = w->at;
	switch (r->kind) {
	case REIN_TRACE_GATE:
		at_gate(w, r);
		break;
	case REIN_TRACE_BACKLOG:
		in_backlog(w, r);
		break;
	case REIN_TRACE_SYNC:
		rein_walk_gpu(w, r);
		break;
	default:
		if (r->flags & REIN_TRACE_BLOCKING)
			rein_walk_gpu(w, r);
		else
			rein_walk_thread(w, r->begin, REIN_CAUSE_CALL);
	}
	if (w->at >= before) /* whatever the records say: on */
		rein_walk_give(w, rein_earlier(r->begin, before - 1), REIN_CAUSE_UNKNOWN,
		               REIN_WHO_UNKNOWN, false);
}

/* Its last call; or another thread's, if it had none within the request: it waited for that one. */
static const struct rein_trace_record *last_call(struct rein_walk *w)
{
	struct rein_run run = rein_run_of(w->w, REIN_FACT_CALL, w->who, w->thread);
	const struct rein_trace_record *r = run.lo < run.hi ? rein_run_before(&run, w->at) : NULL;
	if (r && r->end > w->begin)
		return r;
	r = rein_window_last_call(w->w, w->who, w->at);
	if (!r || r->end <= w->begin)
		return NULL;
	if (w->at > r->end)
		rein_walk_thread(w, r->end, REIN_CAUSE_HOST);
	w->thread = r->thread;
	return r;
}

void rein_walk(struct rein_walk *w, const struct rein_todo *t)
{
	w->who = t->who;
	w->thread = t->thread;
	w->begin = t->begin;
	w->at = t->end;
	for (unsigned step = 0; w->at > w->begin && step < STEPS_MAX; step++) {
		const struct rein_trace_record *r = last_call(w);
		if (!r) {
			rein_walk_thread(w, w->w->dropped_ns, REIN_CAUSE_HOST);
			break;
		}
		if (r->end < w->at)
			rein_walk_thread(w, r->end, REIN_CAUSE_HOST);
		else
			in_call(w, r);
	}
	/* what the window no longer had is not the program's own code */
	rein_walk_give(w, w->begin, REIN_CAUSE_UNKNOWN, REIN_WHO_UNKNOWN, false);
}
