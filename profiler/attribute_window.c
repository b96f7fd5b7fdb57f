// SPDX-License-Identifier: Apache-2.0
/*
 * attribute_window.c: what happened around the requests that are being walked: a bounded part of
 * the recording, sorted so that a walk finds what it asks for by halving.
 */
#include "attribute_int.h"

#include <stdlib.h>

#define THREADS_MAX 256 /* of one program, that are looked at for its last call */

/* ---------------------------------------------------------------- lists and indices */

void *rein_list_add(struct rein_list *l)
{
	if (l->n == l->room) {
		size_t room = l->room ? l->room * 2 : 64;
		void *items = reallocarray(l->items, room, l->size);
		if (!items)
			return NULL;
		l->items = items;
		l->room = room;
	}
	return memset((char *)l->items + l->size * l->n++, 0, l->size);
}

void rein_list_free(struct rein_list *l)
{
	free(l->items);
	l->items = NULL;
	l->n = l->room = 0;
}

static struct rein_index_row *row_of(const struct rein_index *x, uint64_t key)
{
	uint64_t h = (key ^ key >> 31) * 0x9e3779b97f4a7c15ull;
	size_t i = (size_t)(h >> 32) & (x->room - 1);
	while (x->row[i].key && x->row[i].key != key)
		i = (i + 1) & (x->room - 1);
	return &x->row[i];
}

static bool grow(struct rein_index *x)
{
	struct rein_index wider = {.room = x->room ? x->room * 2 : 256, .n = x->n};
	wider.row = calloc(wider.room, sizeof(*wider.row));
	if (!wider.row)
		return false;
	for (size_t i = 0; i < x->room; i++)
		if (x->row[i].key)
			*row_of(&wider, x->row[i].key) = x->row[i];
	free(x->row);
	*x = wider;
	return true;
}

uint32_t *rein_index_at(struct rein_index *x, uint64_t key, bool *fresh)
{
	*fresh = false;
	if (x->n >= REIN_INDEX_MAX)
		return (uint32_t *)(uintptr_t)rein_index_find(x, key);
	if (x->n * 4 >= x->room * 3 && !grow(x))
		return NULL;
	struct rein_index_row *row = row_of(x, key);
	*fresh = !row->key;
	x->n += *fresh;
	row->key = key;
	return &row->value;
}

const uint32_t *rein_index_find(const struct rein_index *x, uint64_t key)
{
	const struct rein_index_row *row = x->room ? row_of(x, key) : NULL;
	return row && row->key ? &row->value : NULL;
}

/* ---------------------------------------------------------------- filling */

bool rein_window_init(struct rein_window *w, size_t room)
{
	memset(w, 0, sizeof(*w));
	w->room = room;
	w->record = malloc(room * sizeof(*w->record));
	w->order = malloc(room * sizeof(*w->order));
	w->submit = malloc(room * sizeof(*w->submit));
	return w->record && w->order && w->submit;
}

void rein_window_free(struct rein_window *w)
{
	free(w->record);
	free(w->order);
	free(w->submit);
}

/* REIN_FACTS: of no interest here. */
static enum rein_fact fact_of(const struct rein_trace_record *r)
{
	switch (r->kind) {
	case REIN_TRACE_SUBMIT:
	case REIN_TRACE_SYNC:
	case REIN_TRACE_GATE:
	case REIN_TRACE_BACKLOG:
		return REIN_FACT_CALL;
	case REIN_TRACE_OFFCPU:
		return REIN_FACT_OFFCPU;
	case REIN_TRACE_GPU:
		return REIN_FACT_GPU;
	case REIN_TRACE_HOLD:
		return REIN_FACT_HOLD;
	default:
		return REIN_FACTS;
	}
}

bool rein_window_add(struct rein_attributor *a, const struct rein_trace_record *r)
{
	struct rein_window *w = &a->window;
	enum rein_fact fact = fact_of(r);
	if (r->kind < REIN_TRACE_CLIENT || r->kind == REIN_TRACE_OFFCPU || fact == REIN_FACT_HOLD)
		w->newest_ns = rein_later(w->newest_ns, r->end);
	if (fact == REIN_FACTS || r->end < r->begin)
		return true;
	uint32_t who = rein_who_client(a, r->stamp);
	if (who < REIN_WHO_FIRST)
		return true;
	struct rein_trace_record *to = &w->record[w->n++];
	*to = *r;
	to->stamp = who;
	if (fact == REIN_FACT_HOLD || r->kind == REIN_TRACE_GATE) /* for whose sake */
		to->number = r->number ? rein_who_client(a, r->number) : REIN_WHO_SELF;
	return w->n < w->room;
}

/* ---------------------------------------------------------------- sorting */

static int order(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static uint32_t thread_of(const struct rein_trace_record *r)
{
	return fact_of(r) <= REIN_FACT_OFFCPU ? r->thread : 0;
}

static int by_fact(const void *x, const void *y, void *arg)
{
	const struct rein_trace_record *all = arg, *a = &all[*(const uint32_t *)x],
				       *b = &all[*(const uint32_t *)y];
	int o = order(fact_of(a), fact_of(b));
	o = o ? o : order(a->stamp, b->stamp);
	o = o ? o : order(thread_of(a), thread_of(b));
	o = o ? o : order(a->end, b->end);
	return o ? o : order(a->begin, b->begin);
}

static int by_number(const void *x, const void *y, void *arg)
{
	const struct rein_trace_record *all = arg, *a = &all[*(const uint32_t *)x],
				       *b = &all[*(const uint32_t *)y];
	int o = order(a->stamp, b->stamp);
	o = o ? o : order(a->stream, b->stream);
	o = o ? o : order(a->number, b->number);
	return o ? o : order(a->begin, b->begin);
}

void rein_window_sort(struct rein_window *w)
{
	w->n_submit = 0;
	for (size_t i = 0; i < w->n; i++) {
		w->order[i] = (uint32_t)i;
		if (w->record[i].kind == REIN_TRACE_SUBMIT)
			w->submit[w->n_submit++] = (uint32_t)i;
	}
	qsort_r(w->order, w->n, sizeof(*w->order), by_fact, w->record);
	qsort_r(w->submit, w->n_submit, sizeof(*w->submit), by_number, w->record);
}

static int by_ns(const void *x, const void *y)
{
	return order(*(const uint64_t *)x, *(const uint64_t *)y);
}

/* The end of the one in the middle: half of them end before. */
static uint64_t median_end(const struct rein_window *w)
{
	uint64_t *end = malloc(w->n * sizeof(*end)), ns = w->newest_ns;
	if (!end)
		return ns; /* all of it goes: what is left out is shown as unknown */
	for (size_t i = 0; i < w->n; i++)
		end[i] = w->record[i].end;
	qsort(end, w->n, sizeof(*end), by_ns);
	ns = end[w->n / 2];
	free(end);
	return ns;
}

static void drop(struct rein_window *w, uint64_t before_ns, size_t most)
{
	size_t kept = 0;
	for (size_t i = 0; i < w->n; i++)
		if (w->record[i].end >= before_ns && kept < most)
			w->record[kept++] = w->record[i];
	w->n = kept;
}

void rein_window_drop(struct rein_window *w, uint64_t before_ns)
{
	drop(w, before_ns, w->room);
	if (w->n <= w->room / 2)
		return;
	w->dropped_ns = median_end(w);
	drop(w, w->dropped_ns, w->room / 4 * 3);
}

/* ---------------------------------------------------------------- finding */

/* The first place where `less` no longer holds. */
#define FIRST_NOT(lo, hi, less)                                                                    \
	while (lo < hi) {                                                                          \
		size_t i = lo + (hi - lo) / 2;                                                     \
		if (less)                                                                          \
			lo = i + 1;                                                                \
		else                                                                               \
			hi = i;                                                                    \
	}

struct key {
	uint64_t fact, who, thread;
};

/* Before the key, or (`past`) before or at it. */
static bool is_below(const struct rein_trace_record *r, const struct key *k, bool past)
{
	int o = order(fact_of(r), k->fact);
	o = o ? o : order(r->stamp, k->who);
	o = o ? o : order(thread_of(r), k->thread);
	return past ? o <= 0 : o < 0;
}

static size_t bound(const struct rein_window *w, const struct key *k, bool past)
{
	size_t lo = 0, hi = w->n;
	FIRST_NOT(lo, hi, is_below(&w->record[w->order[i]], k, past))
	return lo;
}

struct rein_run rein_run_of(const struct rein_window *w, enum rein_fact fact, uint32_t who,
                            uint32_t thread)
{
	const struct key k = {fact, who, thread};
	return (struct rein_run){
	    .w = w, .order = w->order, .lo = bound(w, &k, false), .hi = bound(w, &k, true)};
}

size_t rein_run_from(const struct rein_run *run, uint64_t ns)
{
	size_t lo = run->lo, hi = run->hi;
	FIRST_NOT(lo, hi, rein_run_at(run, i)->end < ns)
	return lo;
}

/* Those of one thread follow each other; of two that overlap all the same the later counts. */
const struct rein_trace_record *rein_run_before(const struct rein_run *run, uint64_t ns)
{
	size_t i = rein_run_from(run, ns);
	if (i < run->hi && rein_run_at(run, i)->begin < ns)
		return rein_run_at(run, i);
	return i > run->lo ? rein_run_at(run, i - 1) : NULL;
}

const struct rein_trace_record *rein_window_last_call(const struct rein_window *w, uint32_t who,
                                                      uint64_t ns)
{
	const struct rein_trace_record *last = NULL;
	struct key k = {REIN_FACT_CALL, who, 0};
	size_t at = bound(w, &k, false);
	for (unsigned n = 0; n < THREADS_MAX && at < w->n; n++) {
		const struct rein_trace_record *first = &w->record[w->order[at]];
		if (fact_of(first) != REIN_FACT_CALL || first->stamp != who)
			break;
		struct rein_run run = rein_run_of(w, REIN_FACT_CALL, who, first->thread);
		const struct rein_trace_record *r = rein_run_before(&run, ns);
		if (r && r->begin < ns && (!last || r->end > last->end))
			last = r;
		at = run.hi;
	}
	return last;
}

static bool stream_below(const struct rein_trace_record *r, uint32_t who, uint64_t stream)
{
	return r->stamp != who ? r->stamp < who : r->stream < stream;
}

struct rein_run rein_run_of_submits(const struct rein_window *w, uint32_t who, uint32_t stream)
{
	struct rein_run run = {.w = w, .order = w->submit};
	uint64_t first = stream == UINT32_MAX ? 0 : stream;
	uint64_t beyond = (uint64_t)stream + 1;
	size_t lo = 0, hi = w->n_submit;
	FIRST_NOT(lo, hi, stream_below(&w->record[w->submit[i]], who, first))
	run.lo = lo;
	hi = w->n_submit;
	FIRST_NOT(lo, hi, stream_below(&w->record[w->submit[i]], who, beyond))
	run.hi = lo;
	return run;
}

size_t rein_run_from_number(const struct rein_run *run, uint32_t number)
{
	size_t lo = run->lo, hi = run->hi;
	FIRST_NOT(lo, hi, rein_run_at(run, i)->number < number)
	return lo;
}

const struct rein_trace_record *rein_window_submit(const struct rein_window *w, uint32_t who,
                                                   uint32_t stream, uint32_t number)
{
	struct rein_run run = rein_run_of_submits(w, who, stream);
	if (stream == UINT32_MAX || !number)
		return NULL;
	size_t i = rein_run_from_number(&run, number);
	return i < run.hi && rein_run_at(&run, i)->number == number ? rein_run_at(&run, i) : NULL;
}
