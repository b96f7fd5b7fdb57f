// SPDX-License-Identifier: Apache-2.0
/*
 * attribute_gpu.c: the GPU's side of a critical path: what a thread waited for in a
 * synchronisation.
 *
 * With CUPTI's records of the program: from the last piece of its work that ended before the
 * return, back from piece to piece, each waiting for the one before it in its stream, for its own
 * submission, or for its turn on the GPU.
 *
 * Without: its queue is played through as it would have gone on a GPU of its own, by when the
 * submissions were made and how long their kernels take alone. The last time that this queue would
 * have been empty is where its path comes from the host. From there to the return is the GPU's
 * time; what the kernels alone would not have needed of it is others' doing. Of kernels that nobody
 * timed the same queue's good run with nobody else there counts as their time alone, or its
 * fastest.
 */
#include "attribute_int.h"

#include <stdlib.h>

#include "../common/abi.h"
#include "../common/clock.h"

#define LOOK_BACK 256             /* records looked at for one that fits */
#define NO_WAIT_NS (30 * REIN_US) /* a synchronisation that returned sooner waited for nothing */
#define CLOCKS_NS (20 * REIN_US)  /* the GPU's clock may be off by so much */
#define LAUNCH_NS (30 * REIN_US)  /* from submission to start on an idle GPU, at most */
#define ACROSS_NS (50 * REIN_US)  /* after another stream's piece: it waited for that one */
#define DRAIN_NS (10 * REIN_MS)   /* what was queued may run on behind a closed launch gate */
#define STOP_NS REIN_MS           /* the same behind the other gates */
#define COPY_NS (10 * REIN_US)    /* a copy of nothing */
#define COPY_BYTES_PER_NS 12      /* a slow link */
#define BLAMED_MAX 64

/* ---------------------------------------------------------------- who else */

struct blame {
	uint32_t who;
	uint64_t ns, at_most_ns;
};

struct others {
	uint64_t from, to;
	uint32_t victim;
	bool copies; /* only copies matter: it is a copy that waited */
	bool guess;  /* by who had unfinished work, not by GPU records */
	unsigned n;
	uint64_t sum_ns;
	struct blame blame[BLAMED_MAX];
};

static bool is_copy(const struct rein_trace_record *r)
{
	return (r->result & 0xff) == REIN_GPU_COPY;
}

/* How much of [from, to) somebody's spans cover: each begins after the one before it. */
static uint64_t covered(const struct rein_span *s, size_t lo, size_t hi, const struct others *o)
{
	size_t first = lo;
	uint64_t sum = 0;
	while (lo < hi) {
		size_t i = lo + (hi - lo) / 2;
		if (s[i].begin < o->to)
			lo = i + 1;
		else
			hi = i;
	}
	for (unsigned n = 0; lo > first && n < REIN_CHAIN_MAX; n++) {
		lo--;
		if (s[lo].end <= o->from)
			break;
		sum += rein_overlap(s[lo].begin, s[lo].end, o->from, o->to);
	}
	return rein_earlier(sum, o->to - o->from);
}

/* By CUPTI's records of it; `any`: there are some, of copies or not. */
static uint64_t on_gpu(const struct rein_window *w, uint32_t who, const struct others *o, bool *any)
{
	struct rein_run run = rein_run_of(w, REIN_FACT_GPU, who, 0);
	uint64_t sum = 0;
	unsigned beyond = 0;
	for (size_t i = rein_run_from(&run, o->from); i < run.hi && beyond < 32; i++) {
		const struct rein_trace_record *r = rein_run_at(&run, i);
		beyond += r->begin >= o->to;
		*any |= r->begin < o->to;
		if (is_copy(r) == o->copies)
			sum += rein_overlap(r->begin, r->end, o->from, o->to);
	}
	return rein_earlier(sum, o->to - o->from);
}

/* Of the time that it had work, what it spent held, once what was queued had drained. */
static uint64_t held_back(const struct rein_window *w, uint32_t who, const struct others *o)
{
	struct rein_run run = rein_run_of(w, REIN_FACT_HOLD, who, 0);
	uint64_t sum = 0;
	for (size_t i = rein_run_from(&run, o->from); i < run.hi; i++) {
		const struct rein_trace_record *r = rein_run_at(&run, i);
		uint64_t drain = r->result >= REIN_HOLD_QUEUE ? STOP_NS : DRAIN_NS;
		if (r->begin >= o->to)
			break;
		sum += rein_overlap(r->begin + drain, r->end, o->from, o->to);
	}
	return sum;
}

static void blame(struct others *o, uint32_t who, uint64_t ns, uint64_t at_most_ns)
{
	if (!at_most_ns || o->n == BLAMED_MAX)
		return;
	o->blame[o->n++] = (struct blame){.who = who, .ns = ns, .at_most_ns = at_most_ns};
	o->sum_ns += ns;
}

/* Of processes without the shim it may be known only that they had the GPU open: those come into
 * question where nobody else does. */
static void find_open(const struct rein_walk *w, struct others *o)
{
	const struct rein_present *p = w->a->present.items;
	for (size_t i = 0; i < w->a->present.n; i++) {
		if (p[i].list != &w->a->open || rein_who_at(w->a, p[i].who)->managed)
			continue;
		uint64_t had = covered(p[i].list->items, p[i].lo, p[i].hi, o);
		blame(o, p[i].who, had, had);
		o->guess |= had != 0;
	}
}

/* Who had the GPU in [from, to), by records where there are any of it, else who may have. */
static void find_others(const struct rein_walk *w, struct others *o)
{
	const struct rein_present *p = w->a->present.items;
	for (size_t i = 0; i < w->a->present.n; i++) {
		const struct rein_list *l = p[i].list;
		bool any = false;
		if (p[i].who == o->victim || l == &w->a->open)
			continue;
		uint64_t gpu =
		    rein_who_at(w->a, p[i].who)->has_gpu ? on_gpu(w->w, p[i].who, o, &any) : 0;
		uint64_t had = any ? 0 : covered(l->items, p[i].lo, p[i].hi, o);
		uint64_t held = had ? held_back(w->w, p[i].who, o) : 0;
		blame(o, p[i].who, any ? gpu : had - rein_earlier(had, held), any ? gpu : had);
		o->guess |= had != 0;
	}
	if (o->sum_ns)
		return;
	for (unsigned i = 0; i < o->n; i++) { /* all held: one drained for longer than is usual */
		o->blame[i].ns = o->blame[i].at_most_ns;
		o->sum_ns += o->blame[i].ns;
	}
	if (!o->sum_ns)
		find_open(w, o);
}

/* Divides ns among them by their weights, to the last one. */
static void divide(struct rein_walk *w, const struct others *o, uint64_t ns, enum rein_cause cause,
                   bool estimate)
{
	uint64_t left = ns, weight = o->sum_ns;
	for (unsigned i = 0; i < o->n && weight; i++) {
		uint64_t part = o->blame[i].ns == weight
		                    ? left
		                    : (uint64_t)((unsigned __int128)left * o->blame[i].ns / weight);
		rein_walk_add(w, cause, o->blame[i].who, estimate, part);
		left -= part;
		weight -= o->blame[i].ns;
	}
	rein_walk_add(w, cause, REIN_WHO_UNKNOWN, true, left);
}

/* Held on the GPU in [from, w->at), `most` in all: what runs when a hold begins runs on for a
 * while. Returns the sum; `add`: as parts, too. */
static uint64_t held_on_gpu(struct rein_walk *w, uint64_t from, uint32_t mode, uint64_t most,
                            bool add)
{
	struct rein_run run = rein_run_of(w->w, REIN_FACT_HOLD, w->who, 0);
	uint64_t sum = 0;
	for (size_t i = rein_run_from(&run, from); i < run.hi; i++) {
		const struct rein_trace_record *r = rein_run_at(&run, i);
		uint64_t ns = rein_overlap(r->begin, r->end, from, w->at);
		ns = rein_earlier(ns, most - sum);
		if (r->begin >= w->at)
			break;
		if (r->result < mode)
			continue;
		if (add)
			rein_walk_add(w, rein_hold_cause(r->result), r->number, false, ns);
		sum += ns;
	}
	return sum;
}

/* ---------------------------------------------------------------- with CUPTI's records */

/* Its own work at its own speed, and what it took longer: [from, w->at) of it. */
static void own_run(struct rein_walk *w, const struct rein_trace_record *g,
                    const struct rein_trace_record *submit)
{
	uint64_t from = rein_later(rein_earlier(g->begin, w->at), w->begin);
	if (from >= w->at)
		return;
	struct others o = {.from = from, .to = w->at, .victim = w->who, .copies = is_copy(g)};
	uint64_t all = w->at - from, took = g->end - g->begin;
	uint64_t alone = rein_alone_ns(w->a, w->who, submit, g);
	uint64_t most = rein_earlier(all, took > alone ? took - alone : 0);
	uint64_t held = held_on_gpu(w, from, REIN_HOLD_CONTEXT, most, true), rest = all - held;
	uint64_t longer = alone && took - held > alone + alone / 20 ? took - held - alone : 0;
	longer = rein_earlier(longer, rest);
	if (longer)
		find_others(w, &o);
	if (!o.sum_ns)
		longer = 0;
	divide(w, &o, longer, o.copies ? REIN_CAUSE_COPY : REIN_CAUSE_SLOW_DOWN, true);
	rein_walk_add(w, REIN_CAUSE_GPU_OWN, REIN_WHO_SELF, false, rest - longer);
	w->at = from;
}

/* Ready at `from`, begun at w->at. */
static void in_line(struct rein_walk *w, uint64_t from, const struct rein_trace_record *g)
{
	from = rein_later(from, w->begin);
	if (from >= w->at)
		return;
	struct others o = {.from = from, .to = w->at, .victim = w->who, .copies = is_copy(g)};
	uint64_t all = w->at - from;
	uint64_t rest = all - held_on_gpu(w, from, REIN_HOLD_QUEUE, all, true);
	find_others(w, &o);
	uint64_t theirs = o.guess ? rest : rein_earlier(rest, o.sum_ns);
	if (!o.sum_ns || (o.guess && rest <= LAUNCH_NS))
		theirs = 0;
	divide(w, &o, theirs, o.copies ? REIN_CAUSE_COPY : REIN_CAUSE_GPU_OTHERS, o.guess);
	uint64_t start = rein_earlier(rest - theirs, LAUNCH_NS);
	rein_walk_add(w, REIN_CAUSE_GPU_OWN, REIN_WHO_SELF, false, start);
	rein_walk_add(w, REIN_CAUSE_UNKNOWN, REIN_WHO_UNKNOWN, false, rest - theirs - start);
	w->at = from;
}

/* The last piece of its work that ended by `ns`, in one stream (UINT32_MAX: in any). */
static const struct rein_trace_record *last_piece(const struct rein_walk *w, uint32_t stream,
                                                  uint64_t ns)
{
	struct rein_run run = rein_run_of(w->w, REIN_FACT_GPU, w->who, 0);
	size_t i = rein_run_from(&run, ns + 1);
	for (unsigned n = 0; i > run.lo && n < LOOK_BACK; n++) {
		const struct rein_trace_record *g = rein_run_at(&run, --i);
		if (stream == UINT32_MAX || !g->number || g->stream == stream)
			return g;
	}
	return NULL;
}

static const struct rein_trace_record *submit_of(const struct rein_walk *w,
                                                 const struct rein_trace_record *g)
{
	return g->number ? rein_window_submit(w->w, w->who, g->stream, g->number) : NULL;
}

/* What a piece waited for on the GPU: the one before it in its stream, or in another one that ended
 * right before it began. */
static const struct rein_trace_record *
piece_before(const struct rein_walk *w, const struct rein_trace_record *g, uint64_t submitted)
{
	const struct rein_trace_record *same =
	    last_piece(w, g->number ? g->stream : UINT32_MAX, rein_earlier(g->begin, g->end - 1));
	const struct rein_trace_record *any =
	    last_piece(w, UINT32_MAX, rein_earlier(g->begin, g->end - 1));
	uint64_t ready = rein_later(submitted, same ? same->end : 0);
	return any && any->end > ready && g->begin - any->end <= ACROSS_NS ? any : same;
}

/* Back along its pieces until one waited for its submission: that is where the host goes on. */
static void by_pieces(struct rein_walk *w, const struct rein_trace_record *r,
                      const struct rein_trace_record *g)
{
	rein_walk_thread(w, g->end, REIN_CAUSE_SYNC);
	for (unsigned n = 0; n < REIN_CHAIN_MAX && w->at > w->begin; n++) {
		const struct rein_trace_record *s = submit_of(w, g);
		uint64_t submitted = s ? rein_earlier(s->end, g->begin) : 0;
		own_run(w, g, s);
		const struct rein_trace_record *before =
		    g->end > g->begin ? piece_before(w, g, submitted) : NULL;
		uint64_t ended = before ? rein_earlier(before->end, g->begin) : 0;
		uint64_t ready = rein_later(submitted, ended);
		in_line(w, ready ? ready : rein_earlier(r->begin, g->begin), g);
		if (s && submitted >= ended) {
			w->thread = s->thread;
			return;
		}
		if (!before || before->end > w->at)
			return;
		g = before;
	}
}

/* ---------------------------------------------------------------- without */

struct queue {
	uint64_t begin;  /* since then it would never have been empty */
	uint64_t end;    /* when it would have been done */
	uint64_t own_ns; /* what its work takes alone */
	uint32_t thread; /* that made its first submission */
	unsigned n;
	bool known;    /* of all of it it is known what it takes */
	uint64_t like; /* the same for queues of the same work */
};

/* When it is known to have had nothing on the GPU: the synchronisation before this one. */
static uint64_t last_empty(const struct rein_walk *w, const struct rein_trace_record *r)
{
	struct rein_run run = rein_run_of(w->w, REIN_FACT_CALL, w->who, w->thread);
	size_t i = rein_run_from(&run, r->begin);
	for (unsigned n = 0; i > run.lo && n < REIN_CHAIN_MAX; n++) {
		const struct rein_trace_record *c = rein_run_at(&run, --i);
		bool waited = c->kind == REIN_TRACE_SYNC ||
		              (c->kind == REIN_TRACE_SUBMIT && c->flags & REIN_TRACE_BLOCKING);
		if (waited && (c->stream == r->stream || c->stream == UINT32_MAX))
			return c->end;
	}
	return 0;
}

static uint64_t work_ns(const struct rein_walk *w, const struct rein_trace_record *s, bool *known)
{
	bool kernel = s->b >> 32;
	uint64_t ns = kernel || s->func ? rein_alone_ns(w->a, w->who, s, NULL) : 0;
	if (kernel || s->func)
		*known &= ns != 0;
	else
		ns = s->a ? COPY_NS + s->a / COPY_BYTES_PER_NS : 0;
	return ns;
}

static int by_begin(const void *x, const void *y)
{
	const struct rein_trace_record *a = *(const struct rein_trace_record *const *)x;
	const struct rein_trace_record *b = *(const struct rein_trace_record *const *)y;
	return a->begin < b->begin ? -1 : a->begin > b->begin;
}

static void play(const struct rein_walk *w, const struct rein_trace_record *const *s, size_t n,
                 struct queue *q)
{
	for (size_t i = 0; i < n; i++) {
		bool known = true;
		uint64_t ns = work_ns(w, s[i], &known);
		/* a call that is kept waiting has its work in the queue when it returns */
		uint64_t at = s[i]->flags & REIN_TRACE_BLOCKING ? s[i]->begin : s[i]->end;
		if (!q->n || at >= q->end)
			*q = (struct queue){
			    .begin = at, .end = at, .thread = s[i]->thread, .known = true};
		q->known &= known;
		q->like = (q->like ^ s[i]->func ^ s[i]->entry) * 0x9e3779b97f4a7c15ull;
		q->like = (q->like ^ q->like >> 29 ^ s[i]->a) * 0xbf58476d1ce4e5b9ull;
		q->own_ns += ns;
		q->end = known ? q->end + ns : UINT64_MAX / 2; /* it may keep the queue filled */
		q->n++;
	}
}

/* What the stream that `r` waited for was given since it was empty, newest first; where `r` does
 * not say which one: what its thread submitted, to all of them. */
static size_t list_queue(const struct rein_walk *w, const struct rein_trace_record *r,
                         const struct rein_trace_record **list)
{
	bool one = r->stream != UINT32_MAX;
	struct rein_run run = one ? rein_run_of_submits(w->w, w->who, r->stream)
	                          : rein_run_of(w->w, REIN_FACT_CALL, w->who, w->thread);
	uint64_t since = last_empty(w, r);
	size_t n = 0, i = one ? rein_run_from_number(&run, r->number) : rein_run_from(&run, r->end);
	i += i < run.hi; /* that one too */
	for (; i > run.lo && n < REIN_CHAIN_MAX; i--) {
		const struct rein_trace_record *s = rein_run_at(&run, i - 1);
		if (s->end < since)
			break;
		if (s->kind == REIN_TRACE_SUBMIT && s->begin >= since && s->end <= r->end)
			list[n++] = s;
	}
	return n;
}

static void queue_of(const struct rein_walk *w, const struct rein_trace_record *r, struct queue *q)
{
	const struct rein_trace_record **list = w->a->scratch;
	size_t n = list_queue(w, r, list);
	qsort(list, n, sizeof(list[0]), by_begin);
	play(w, list, n, q);
}

static int by_ns(const void *x, const void *y)
{
	uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;
	return a < b ? -1 : a > b;
}

/* A good one of its runs with nobody else there (the first quarter's last), else its fastest; this
 * one is among them. The first round of walks is for that. */
static uint64_t good_run(const struct rein_walk *w, const struct queue *q, bool shared,
                         uint64_t took_ns)
{
	uint64_t sorted[REIN_ALONE_SAMPLES];
	struct rein_alone *k = rein_alone_at(w->a, (q->like ^ (uint64_t)w->who << 48) | 1);
	if (!k)
		return q->own_ns;
	if (!k->count++ || took_ns < k->ns)
		k->ns = took_ns;
	if (!shared && k->samples < REIN_ALONE_SAMPLES)
		k->sample[k->samples++] = took_ns;
	if (!k->samples)
		return k->ns;
	memcpy(sorted, k->sample, sizeof(sorted));
	qsort(sorted, k->samples, sizeof(sorted[0]), by_ns);
	return sorted[k->samples / 4];
}

static void by_queue(struct rein_walk *w, const struct rein_trace_record *r)
{
	struct queue q = {0};
	queue_of(w, r, &q);
	if (!q.n || (q.known && q.end < r->begin && w->at - r->begin <= NO_WAIT_NS)) {
		rein_walk_thread(w, r->begin, REIN_CAUSE_SYNC);
		return;
	}
	uint64_t from = rein_later(rein_earlier(q.begin, r->begin), w->begin);
	struct others o = {.from = from, .to = w->at, .victim = w->who};
	find_others(w, &o);
	/* who polls and is put aside may miss nothing: only alone it is sure when its work ended */
	rein_walk_wake(w, rein_later(r->begin, q.known ? q.end : 0), REIN_CAUSE_SYNC,
	               q.known && !o.sum_ns);
	if (from >= w->at)
		return;
	uint64_t all = w->at - from;
	uint64_t held = held_on_gpu(w, from, REIN_HOLD_QUEUE, all, false);
	if (!q.known)
		q.own_ns = good_run(w, &q, o.sum_ns || held, all - held);
	uint64_t most = all > q.own_ns ? all - q.own_ns : 0;
	uint64_t rest = all - held_on_gpu(w, from, REIN_HOLD_QUEUE, most, true);
	uint64_t own = rein_earlier(q.own_ns, rest), theirs = rest - own;
	if (!o.sum_ns) { /* nobody else was there: it took that long */
		rein_walk_add(w, REIN_CAUSE_GPU_OWN, REIN_WHO_SELF, !q.known, rest);
	} else {
		rein_walk_add(w, REIN_CAUSE_GPU_OWN, REIN_WHO_SELF, true, own);
		divide(w, &o, theirs, REIN_CAUSE_GPU_UNSPLIT, true);
	}
	w->at = from;
	w->thread = q.begin < r->begin ? q.thread : w->thread;
}

void rein_walk_gpu(struct rein_walk *w, const struct rein_trace_record *r)
{
	if (w->at <= w->begin || w->at <= r->begin)
		return;
	const struct rein_trace_record *g = NULL;
	if (rein_who_at(w->a, w->who)->has_gpu)
		g = last_piece(w, r->stream, w->at + CLOCKS_NS);
	if (g && g->end > r->begin && g->begin < w->at)
		by_pieces(w, r, g);
	else
		by_queue(w, r);
}
