/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model.h: what a random program knows of its own order, so that it does only what has one result.
 *
 * Memory is cells of CELL integers. Every operation on a cell is x = x * a + b or a copy, so any
 * change of order changes the bytes. The program may touch a cell in a stream only after all that
 * was done to it before is ordered before: by the stream itself, by the legacy default stream, by
 * events, memory operations, and what the host has waited for. Vector clocks say so: a number for
 * each stream counts its commands, and each stream, event and thread knows how far it is behind
 * every other stream. Where order is missing, order_cell() makes it, in one of many ways.
 *
 * A thread decides by its own random numbers and its own part of the model alone, never by time:
 * the same seed makes the same calls. Between barriers threads own what they touch; all know the
 * clocks of all at a barrier.
 */
#ifndef RANDOM_MODEL_H
#define RANDOM_MODEL_H

#include <cuda.h>

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS 4
#define STREAMS 40 /* of a thread, over its whole life: numbers are not used again */
#define CLOCKS (THREADS * STREAMS)
#define CELL 128 /* integers */
#define CELL_BYTES (CELL * sizeof(uint32_t))
#define CELLS 24
#define EVENTS 10
#define EXECS 6
#define WORDS 65 /* the last one is nobody's */
#define KERNELS 4
#define CONTEXTS 2 /* 0: the primary context of device 0, of all threads; 1: the thread's own */
#define BLOCKS 2   /* of a launch */

struct clocks {
	uint32_t at[CLOCKS];
};

enum stream_kind { LEGACY, PER_THREAD, BLOCKING, NON_BLOCKING, PRIORITY, GREEN };

struct stream {
	CUstream handle;
	const struct world *user; /* NULL: its maker; who else has it for now */
	enum stream_kind kind;
	unsigned clock; /* its index in struct clocks */
	int ctx;
	bool live;
	uint32_t n;         /* commands so far */
	struct clocks done; /* what its next command comes after */
	struct clocks last; /* what its last command came after, itself included */
	char name[16];
};

enum cell_kind { NO_CELL, DEVICE, ASYNC, PINNED, PAGEABLE };

struct cell {
	enum cell_kind kind;
	int ctx;
	CUdeviceptr dev; /* DEVICE, ASYNC */
	uint32_t *host;  /* PINNED, PAGEABLE */
	unsigned clock;  /* the stream that touched it last, and its command there */
	uint32_t n;
};

struct event {
	CUevent handle;
	int ctx;
	bool recorded, timed;
	struct clocks after;
};

struct exec {
	CUgraphExec handle;
	int ctx;
	uint64_t shape; /* random state from which the same graph is captured again */
	int cells[4];
	unsigned n_cells;
	bool explicit_nodes;
};

enum phase_kind { OPEN, LOCAL_CAPTURES, SOLO };

struct world { /* of one thread */
	unsigned id;
	uint64_t random, noise; /* noise: pauses only, which --no-pauses leaves out */
	unsigned calls, budget; /* made; to be made in all */
	enum phase_kind phase;
	CUcontext ctx[CONTEXTS];
	CUdevice device[CONTEXTS];
	CUgreenCtx green;
	CUmodule module[CONTEXTS];
	CUfunction step[CONTEXTS][KERNELS], branch[CONTEXTS], mix[CONTEXTS];
	CUmemoryPool pool;
	int cur;        /* the thread's current context; -1: none */
	unsigned depth; /* pushed on top of it */
	int below[8];
	struct stream streams[STREAMS];
	unsigned n_streams;
	struct stream *lent; /* another thread's, ours for a phase */
	struct cell cells[CELLS];
	struct event events[EVENTS];
	struct exec execs[EXECS];
	CUdeviceptr words[CONTEXTS];
	unsigned n_words[CONTEXTS];
	struct clocks host;   /* what this thread knows to have completed */
	struct clocks legacy; /* at the last barrier: what the shared legacy stream comes after */
	char *log;
	size_t log_len, log_room;
	char text[256]; /* of the call under way */
};

struct options {
	uint64_t seed;
	unsigned calls, phase_calls; /* of all threads; of each in a phase, 0: by the seed */
	bool trace, no_pauses;
};
extern struct options opt;

/* ---------------------------------------------------------------- random numbers */

static inline uint64_t mix64(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static inline unsigned pick(struct world *w, unsigned n)
{
	return (unsigned)(mix64(&w->random) >> 33) % n;
}

static inline bool chance(struct world *w, unsigned percent)
{
	return pick(w, 100) < percent;
}

/* ---------------------------------------------------------------- the log of calls */

static inline void out(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static inline void out(struct world *w, const char *fmt, ...)
{
	char line[400];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (w->log_len + (size_t)n + 1 > w->log_room) {
		w->log_room = w->log_room ? 2 * w->log_room : 1 << 16;
		w->log = realloc(w->log, w->log_room);
		if (!w->log)
			abort();
	}
	memcpy(w->log + w->log_len, line, (size_t)n + 1);
	w->log_len += (size_t)n;
}

/* CALL(w, cuCtxSynchronize(), "format", …): makes the call, logs its status, returns it. */
static inline void call_text(struct world *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static inline void call_text(struct world *w, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(w->text, sizeof(w->text), fmt, ap);
	va_end(ap);
	if (opt.trace)
		fprintf(stderr, "%u.%u %s\n", w->id, w->calls, w->text);
}

static inline CUresult call_status(struct world *w, CUresult r)
{
	const char *name = NULL;
	cuGetErrorName(r, &name);
	out(w, "%u.%u %s: %s\n", w->id, w->calls, w->text, name ? name : "?");
	if (opt.trace && r != CUDA_SUCCESS)
		fprintf(stderr, "%u.%u   %s\n", w->id, w->calls, name ? name : "?");
	w->calls++;
	return r;
}
#define CALL(w, call, ...) (call_text(w, __VA_ARGS__), call_status(w, (call)))

/* A query whose answer depends on time: success and "not ready" are the same. */
static inline CUresult call_query(struct world *w, CUresult r, bool known)
{
	call_status(w, r == CUDA_ERROR_NOT_READY && !known ? CUDA_SUCCESS : r);
	return r;
}

static inline void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "random_program: %s\n", what);
		exit(3);
	}
}

/* ---------------------------------------------------------------- clocks */

static inline void join(struct clocks *a, const struct clocks *b)
{
	for (unsigned i = 0; i < CLOCKS; i++)
		if (b->at[i] > a->at[i])
			a->at[i] = b->at[i];
}

static inline bool is_blocking(const struct stream *s)
{
	return s->kind == PER_THREAD || s->kind == BLOCKING || s->kind == PRIORITY;
}

/* One of those that the thread may use: its own and what it was lent; NULL: lent to another. */
static inline struct stream *any_stream(struct world *w, unsigned i)
{
	if (i == w->n_streams)
		return w->lent;
	return w->streams[i].user ? NULL : &w->streams[i];
}

static inline unsigned n_streams(const struct world *w)
{
	return w->n_streams + 1;
}

static inline struct stream *legacy_of(struct world *w, int ctx)
{
	for (unsigned i = 0; i < w->n_streams; i++)
		if (w->streams[i].live && w->streams[i].kind == LEGACY && w->streams[i].ctx == ctx)
			return &w->streams[i];
	return NULL;
}

/* What the next command of s comes after, whatever else happens. */
static inline struct clocks order_of(struct world *w, struct stream *s)
{
	struct clocks c = s->done;
	join(&c, &w->host);
	if (is_blocking(s))
		join(&c, &legacy_of(w, s->ctx)->last);
	if (s->kind != LEGACY)
		return c;
	if (s->ctx == 0)
		join(&c, &w->legacy);
	for (unsigned i = 0; i < n_streams(w); i++) {
		struct stream *b = any_stream(w, i);
		if (b && b->live && b->ctx == s->ctx && is_blocking(b))
			join(&c, &b->last);
	}
	return c;
}

/* A command entered s. */
static inline void commit(struct world *w, struct stream *s)
{
	s->done = order_of(w, s);
	s->done.at[s->clock] = ++s->n;
	s->last = s->done;
}

static inline void touched(struct cell *c, const struct stream *s)
{
	c->clock = s->clock;
	c->n = s->n;
}

static inline bool known_to_host(struct world *w, const struct cell *c)
{
	return w->host.at[c->clock] >= c->n;
}

/* The stream that touched a cell last, live or not; NULL: another thread's. */
static inline struct stream *last_stream(struct world *w, const struct cell *c)
{
	for (unsigned i = 0; i < n_streams(w); i++) {
		struct stream *s = any_stream(w, i);
		if (s && s->clock == c->clock)
			return s;
	}
	return NULL;
}

static inline struct stream *live_stream(struct world *w, const struct cell *c)
{
	struct stream *s = last_stream(w, c);
	return s && s->live ? s : NULL;
}

/* All of a context's work has completed: streams that are gone too. */
static inline void context_synced(struct world *w, int ctx)
{
	for (unsigned i = 0; i < n_streams(w); i++) {
		struct stream *s = any_stream(w, i);
		if (s && s->ctx == ctx)
			join(&w->host, &s->last);
	}
}

static inline bool may_sync_context(const struct world *w)
{
	return w->phase != LOCAL_CAPTURES || w->cur == 1; /* it would meet others' captures */
}

/* ---------------------------------------------------------------- choosing */

static inline struct stream *pick_stream(struct world *w, int ctx)
{
	for (unsigned tries = 0; tries < 30; tries++) {
		struct stream *s = any_stream(w, pick(w, n_streams(w)));
		if (s && s->live && s->ctx == ctx)
			return s;
	}
	return legacy_of(w, ctx);
}

static inline bool on_device(const struct cell *c)
{
	return c->kind == DEVICE || c->kind == ASYNC;
}

static inline bool on_host(const struct cell *c)
{
	return c->kind == PINNED || c->kind == PAGEABLE;
}

/* A device cell of a context (-1: any), or a host cell; never `but`. NULL: there is none. */
static inline struct cell *pick_cell(struct world *w, bool device, int ctx, const struct cell *but)
{
	unsigned first = pick(w, CELLS);
	for (unsigned i = 0; i < CELLS; i++) {
		struct cell *c = &w->cells[(first + i) % CELLS];
		if (c != but && (device ? on_device(c) : on_host(c)) &&
		    (!device || ctx < 0 || c->ctx == ctx))
			return c;
	}
	return NULL;
}

static inline unsigned cell_no(struct world *w, const struct cell *c)
{
	return (unsigned)(c - w->cells);
}

static inline struct cell *free_cell(struct world *w)
{
	for (unsigned i = 0; i < CELLS; i++)
		if (w->cells[i].kind == NO_CELL)
			return &w->cells[i];
	return NULL;
}

static inline void cell_is(struct cell *c, enum cell_kind kind, int ctx, CUdeviceptr dev,
                           void *host)
{
	*c = (struct cell){.kind = kind, .ctx = ctx, .dev = dev, .host = host};
}

static inline struct stream *stream_add(struct world *w, CUstream handle, enum stream_kind kind,
                                        int ctx)
{
	static const char letter[] = "lpbnrg";
	unsigned long long id = 0;
	struct stream *s = &w->streams[w->n_streams];
	*s = (struct stream){.handle = handle,
	                     .kind = kind,
	                     .ctx = ctx,
	                     .live = true,
	                     .clock = w->id * STREAMS + w->n_streams};
	if (kind == LEGACY && ctx == 0)
		snprintf(s->name, sizeof(s->name), "legacy");
	else
		snprintf(s->name, sizeof(s->name), "t%u.%c%u", w->id, letter[kind], w->n_streams);
	w->n_streams++;
	if (cuStreamGetId(handle, &id) == CUDA_SUCCESS)
		out(w, "@stream %s %llu\n", s->name, id);
	return s;
}

#endif
