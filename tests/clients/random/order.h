/* SPDX-License-Identifier: Apache-2.0 */
/* order.h: current contexts, and making order where the model finds none, in every way CUDA has. */
#ifndef RANDOM_ORDER_H
#define RANDOM_ORDER_H

#include "model.h"

/* Makes ctx the current context, one way or the other. */
static inline void enter(struct world *w, int ctx)
{
	if (w->cur == ctx)
		return;
	unsigned room = sizeof(w->below) / sizeof(w->below[0]);
	if (w->depth < room && chance(w, 50)) {
		if (CALL(w, cuCtxPushCurrent(w->ctx[ctx]), "cuCtxPushCurrent %d", ctx))
			return;
		w->below[w->depth++] = w->cur;
	} else if (w->depth && w->below[w->depth - 1] == ctx) {
		CUcontext was;
		if (CALL(w, cuCtxPopCurrent(&was), "cuCtxPopCurrent"))
			return;
		must(was == w->ctx[w->cur], "cuCtxPopCurrent gave another context");
		w->depth--;
	} else if (CALL(w, cuCtxSetCurrent(w->ctx[ctx]), "cuCtxSetCurrent %d", ctx)) {
		return;
	}
	w->cur = ctx;
}

static inline struct event *pick_event(struct world *w, int ctx)
{
	unsigned first = pick(w, EVENTS);
	for (unsigned i = 0; i < EVENTS; i++) {
		struct event *e = &w->events[(first + i) % EVENTS];
		if (e->handle && e->ctx == ctx)
			return e;
	}
	return NULL;
}

static inline struct event *new_event(struct world *w, int ctx)
{
	for (unsigned i = 0; i < EVENTS; i++) {
		struct event *e = &w->events[i];
		if (e->handle)
			continue;
		static const unsigned flags[] = {0, CU_EVENT_BLOCKING_SYNC,
		                                 CU_EVENT_DISABLE_TIMING};
		unsigned f = flags[pick(w, 3)];
		enter(w, ctx);
		*e = (struct event){.ctx = ctx, .timed = !(f & CU_EVENT_DISABLE_TIMING)};
		if (CALL(w, cuEventCreate(&e->handle, f), "cuEventCreate e%u %u", i, f))
			e->handle = NULL;
		return e->handle ? e : NULL;
	}
	return NULL;
}

static inline CUresult record(struct world *w, struct event *e, struct stream *s)
{
	unsigned i = (unsigned)(e - w->events);
	enter(w, s->ctx);
	CUresult r = chance(w, 80) ? CALL(w, cuEventRecord(e->handle, s->handle),
	                                  "cuEventRecord e%u %s", i, s->name)
	                           : CALL(w, cuEventRecordWithFlags(e->handle, s->handle, 0),
	                                  "cuEventRecordWithFlags e%u %s", i, s->name);
	if (r == CUDA_SUCCESS) {
		e->recorded = true;
		e->after = s->done;
		join(&e->after, &w->host);
	}
	return r;
}

static inline CUresult wait_event(struct world *w, struct stream *s, struct event *e)
{
	CUresult r = CALL(w, cuStreamWaitEvent(s->handle, e->handle, 0), "cuStreamWaitEvent %s e%u",
	                  s->name, (unsigned)(e - w->events));
	if (r == CUDA_SUCCESS && e->recorded)
		join(&s->done, &e->after);
	return r;
}

static inline CUresult sync_event(struct world *w, struct event *e)
{
	CUresult r = CALL(w, cuEventSynchronize(e->handle), "cuEventSynchronize e%u",
	                  (unsigned)(e - w->events));
	if (r == CUDA_SUCCESS && e->recorded)
		join(&w->host, &e->after);
	return r;
}

static inline CUresult sync_stream(struct world *w, struct stream *s)
{
	enter(w, s->ctx); /* the default streams' handles mean those of the current context */
	CUresult r = CALL(w, cuStreamSynchronize(s->handle), "cuStreamSynchronize %s", s->name);
	if (r == CUDA_SUCCESS)
		join(&w->host, &s->done);
	return r;
}

static inline CUresult sync_context(struct world *w)
{
	CUresult r = CALL(w, cuCtxSynchronize(), "cuCtxSynchronize %d", w->cur);
	if (r == CUDA_SUCCESS)
		context_synced(w, w->cur);
	return r;
}

/* Asks until the answer is yes. */
static inline void poll_stream(struct world *w, struct stream *s)
{
	enter(w, s->ctx);
	call_text(w, "cuStreamQuery %s until done", s->name);
	CUresult r;
	while ((r = cuStreamQuery(s->handle)) == CUDA_ERROR_NOT_READY)
		usleep(20);
	if (call_status(w, r) == CUDA_SUCCESS)
		join(&w->host, &s->done);
}

static inline void poll_event(struct world *w, struct event *e)
{
	call_text(w, "cuEventQuery e%u until done", (unsigned)(e - w->events));
	CUresult r;
	while ((r = cuEventQuery(e->handle)) == CUDA_ERROR_NOT_READY)
		usleep(20);
	if (call_status(w, r) == CUDA_SUCCESS && e->recorded)
		join(&w->host, &e->after);
}

/* A word in memory: written in t, waited for in s. */
static inline bool order_by_word(struct world *w, struct stream *t, struct stream *s)
{
	static const unsigned how[] = {CU_STREAM_WAIT_VALUE_GEQ, CU_STREAM_WAIT_VALUE_EQ,
	                               CU_STREAM_WAIT_VALUE_AND};
	if (w->n_words[t->ctx] == WORDS - 1 || t->ctx != s->ctx)
		return false;
	unsigned i = w->n_words[t->ctx]++, flags = how[pick(w, 3)], value = 1 + pick(w, 1000);
	CUdeviceptr word = w->words[t->ctx] + 4 * i;
	enter(w, t->ctx);
	CUresult r;
	if (chance(w, 70)) {
		r = CALL(w, cuStreamWriteValue32(t->handle, word, value, 0),
		         "cuStreamWriteValue32 %s w%u %u", t->name, i, value);
	} else {
		CUstreamBatchMemOpParams op[2];
		memset(op, 0, sizeof(op));
		op[0].operation = CU_STREAM_MEM_OP_BARRIER;
		op[0].memoryBarrier.flags = CU_STREAM_MEMORY_BARRIER_TYPE_SYS;
		op[1].writeValue.operation = CU_STREAM_MEM_OP_WRITE_VALUE_32;
		op[1].writeValue.address = word;
		op[1].writeValue.value = value;
		r = CALL(w, cuStreamBatchMemOp(t->handle, 2, op, 0), "cuStreamBatchMemOp %s w%u %u",
		         t->name, i, value);
	}
	if (r != CUDA_SUCCESS)
		return false;
	commit(w, t);
	r = CALL(w, cuStreamWaitValue32(s->handle, word, value, flags),
	         "cuStreamWaitValue32 %s w%u %u %u", s->name, i, value, flags);
	if (r != CUDA_SUCCESS)
		return false;
	join(&s->done, &t->last);
	commit(w, s);
	return true;
}

/* The host waits for a stream. */
static inline void wait_for_stream(struct world *w, struct stream *t)
{
	struct event *e;
	switch (pick(w, 5)) {
	case 0:
		poll_stream(w, t);
		break;
	case 1:
	case 2:
		e = pick_event(w, t->ctx);
		if (!e || record(w, e, t) != CUDA_SUCCESS)
			sync_stream(w, t);
		else if (chance(w, 60))
			sync_event(w, e);
		else
			poll_event(w, e);
		break;
	default:
		sync_stream(w, t);
	}
}

static inline bool is_ordered(struct world *w, struct stream *s, const struct cell *c)
{
	struct clocks now = order_of(w, s);
	return now.at[c->clock] >= c->n;
}

/* Everything done to c so far has completed, and this thread knows. */
static inline void settle(struct world *w, const struct cell *c)
{
	if (known_to_host(w, c))
		return;
	struct stream *t = live_stream(w, c), *any = last_stream(w, c);
	enter(w, any ? any->ctx : c->ctx);
	if (!t || (chance(w, 30) && may_sync_context(w)))
		sync_context(w);
	if (!known_to_host(w, c) && t)
		wait_for_stream(w, t);
	must(known_to_host(w, c), "the model lost track of a cell");
}

/* The next command of s comes after everything that was done to c. */
static inline void order_cell(struct world *w, struct stream *s, const struct cell *c)
{
	if (is_ordered(w, s, c))
		return;
	struct stream *t = live_stream(w, c);
	if (t && t != s && chance(w, 65)) {
		struct event *e = pick_event(w, t->ctx);
		if (chance(w, 30) && order_by_word(w, t, s))
			;
		else if (e && record(w, e, t) == CUDA_SUCCESS) {
			enter(w, s->ctx);
			wait_event(w, s, e);
		}
	}
	if (!is_ordered(w, s, c))
		settle(w, c);
	enter(w, s->ctx);
}

#endif
