// SPDX-License-Identifier: Apache-2.0
/*
 * attribute_int.h: what the files of the attribution (attribute.h) share with each other only.
 *
 * Two passes over the records. The first (attribute_marks.c, attribute_who.c) learns who there is,
 * which requests there were and how long kernels take alone. In between the requests to be told of
 * are chosen. The second fills a window with what happened (attribute_window.c); whenever that is
 * full, each request that lies far enough behind its newest record is walked (attribute_walk.c, on
 * the GPU attribute_gpu.c), and what no later one needs is dropped. The walk's parts become matrix,
 * story and sentence in attribute_story.c.
 */
#ifndef REIN_ATTRIBUTE_INT_H
#define REIN_ATTRIBUTE_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/abi.h"
#include "attribute.h"

#define REIN_ATTRIBUTE_WHOS (1u << 16) /* named at most; whoever comes later is unknown */

/* An array that grows; `size` is set, the rest 0. */
struct rein_list {
	void *items;
	size_t n, room, size;
};
/* One more, zeroed; NULL: out of memory. */
void *rein_list_add(struct rein_list *l);
void rein_list_free(struct rein_list *l);

/* From a 64-bit key, not 0, to an index, open-addressed; at most so many. All 0 at first. */
#define REIN_INDEX_MAX (1u << 18)
struct rein_index {
	struct rein_index_row {
		uint64_t key; /* 0: free */
		uint32_t value;
	} * row;
	size_t n, room;
};
/* Where its value is; made, with `fresh` true, if it was not there. NULL: there is no room. */
uint32_t *rein_index_at(struct rein_index *x, uint64_t key, bool *fresh);
const uint32_t *rein_index_find(const struct rein_index *x, uint64_t key);

struct rein_mark { /* of a request: begin or end, declared or guessed */
	uint64_t ns, id, deadline_ns;
	uint32_t who, thread;
	uint8_t kind;
};

struct rein_span { /* a client had something to do, or a process used the GPU */
	uint64_t begin, end;
	uint32_t who;
	uint32_t thread; /* that ended it */
	bool cut;        /* its end was not seen */
};

struct rein_present { /* whose spans these are, in `spans`, `outsiders` or `open` */
	uint32_t who;
	const struct rein_list *list;
	size_t lo, hi;
};

struct rein_todo { /* a request to walk, or a piece of a job */
	uint64_t begin, end;
	uint32_t who, thread;
	uint32_t request; /* index; UINT32_MAX: a piece */
};

#define REIN_ALONE_SAMPLES 15
struct rein_alone { /* how long a kernel takes, or a queue of work that nobody timed */
	uint64_t ns;
	uint32_t count;
	/* of a queue: its first runs with nobody else there; the rest is the least of all others */
	uint32_t samples;
	uint64_t sample[REIN_ALONE_SAMPLES];
};

/* The classes of records in the window, in their order there. */
enum rein_fact { REIN_FACT_CALL, REIN_FACT_OFFCPU, REIN_FACT_GPU, REIN_FACT_HOLD, REIN_FACTS };

struct rein_window {
	struct rein_trace_record *record; /* `stamp` is an index of who */
	size_t n, room;
	uint32_t *order;  /* by class, who, thread (calls, off-CPU) and end */
	uint32_t *submit; /* the submissions by who, stream, number */
	size_t n_submit;
	uint64_t newest_ns;
	uint64_t dropped_ns; /* what ended before is no longer there; 0: all is */
};

#define REIN_CHAIN_MAX                                                                             \
	65536u /* submissions, or pieces of work, that one wait is traced through                  \
	        */

struct rein_attributor {
	struct rein_attribute_wish wish;
	struct rein_attribution *out;
	unsigned epoch;
	bool failed; /* out of memory: it goes on, and says so at the end */
	bool looked; /* who has the clients' GPU open was looked for */

	struct rein_list who, spans, outsiders, open, present, seen, requests, todo, lost;
	struct rein_list epochs; /* spans: from when until when each daemon recorded */
	struct rein_index clients, processes, cells, kernels;
	struct rein_list alone; /* struct rein_alone, by `kernels` */

	struct rein_mark *marks; /* the newest of them: a ring once it is full */
	size_t n_marks, room_marks, next_mark;
	uint64_t marks_lost, newest_ns, begun_ns;
	uint64_t from_ns;

	struct rein_window window;
	const struct rein_trace_record **scratch; /* REIN_CHAIN_MAX of them */
	size_t done;                              /* of todo */
	size_t max_requests;                      /* REIN_ATTRIBUTE_REQUESTS */
};

/* ---- attribute_marks.c: the first pass */
void rein_marks_look(struct rein_attributor *a, const struct rein_trace_record *r);
/* Makes spans, requests, todo; chooses stories. */
void rein_marks_settle(struct rein_attributor *a);

/* ---- attribute_who.c: its part of the first pass */
void rein_who_note_client(struct rein_attributor *a, const struct rein_trace_name *n);
void rein_who_note_process(struct rein_attributor *a, const struct rein_trace_name *n);
void rein_alone_note_kernel(struct rein_attributor *a, const struct rein_trace_name *n);
void rein_alone_note_gpu(struct rein_attributor *a, const struct rein_trace_record *r);
/* Index of a client; REIN_WHO_UNKNOWN: it was never named, or there are too many. */
uint32_t rein_who_client(struct rein_attributor *a, uint32_t client);
/* Of a process, by its PID: a client's own if it is one. 0: REIN_WHO_UNKNOWN. */
uint32_t rein_who_process(struct rein_attributor *a, uint32_t pid);
static inline struct rein_who *rein_who_at(const struct rein_attributor *a, uint32_t who)
{
	return (struct rein_who *)a->who.items + who;
}
/* How long a kernel or copy takes alone, by the records; 0: not known. */
uint64_t rein_alone_ns(const struct rein_attributor *a, uint32_t who,
                       const struct rein_trace_record *submit, const struct rein_trace_record *gpu);
/* What is known of that kind of work; made if it is new. NULL: there is no room. */
struct rein_alone *rein_alone_at(struct rein_attributor *a, uint64_t key);

/* ---- attribute_window.c */
bool rein_window_init(struct rein_window *w, size_t room);
void rein_window_free(struct rein_window *w);
/* Keeps it, if it is of a kind that is wanted; false: the window is full now. */
bool rein_window_add(struct rein_attributor *a, const struct rein_trace_record *r);
void rein_window_sort(struct rein_window *w);
/* Drops what ended before, and more if that would leave it more than half full. */
void rein_window_drop(struct rein_window *w, uint64_t before_ns);

/* A sorted run of records: of one class, one who, one thread. */
struct rein_run {
	const struct rein_window *w;
	const uint32_t *order;
	size_t lo, hi;
};
struct rein_run rein_run_of(const struct rein_window *w, enum rein_fact fact, uint32_t who,
                            uint32_t thread);
static inline const struct rein_trace_record *rein_run_at(const struct rein_run *run, size_t i)
{
	return &run->w->record[run->order[i]];
}
/* The first one in it that ends at `ns` or later; hi: none. */
size_t rein_run_from(const struct rein_run *run, uint64_t ns);
/* The last that began before `ns`; NULL: none. */
const struct rein_trace_record *rein_run_before(const struct rein_run *run, uint64_t ns);
/* The last call of any thread of `who` that began before `ns`. */
const struct rein_trace_record *rein_window_last_call(const struct rein_window *w, uint32_t who,
                                                      uint64_t ns);
/* Submissions of one stream (UINT32_MAX: of all), by stream and number. */
struct rein_run rein_run_of_submits(const struct rein_window *w, uint32_t who, uint32_t stream);
/* In a run of one stream's: the first with that number or a higher one; hi: none. */
size_t rein_run_from_number(const struct rein_run *run, uint32_t number);
const struct rein_trace_record *rein_window_submit(const struct rein_window *w, uint32_t who,
                                                   uint32_t stream, uint32_t number);

/* ---- attribute_walk.c */
#define REIN_WALK_NAMED 64 /* then culprits are REIN_WHO_OTHERS, for which there is always room */
#define REIN_WALK_PARTS (REIN_WALK_NAMED + 2 * REIN_CAUSES * REIN_WHO_FIRST)

struct rein_walk {
	struct rein_attributor *a;
	const struct rein_window *w;
	uint32_t who, thread;
	uint64_t begin; /* of the request */
	uint64_t at;    /* what came after is explained */
	unsigned n;
	struct rein_part part[REIN_WALK_PARTS];
};
/* Walks one request; its parts add up to end - begin. */
void rein_walk(struct rein_walk *w, const struct rein_todo *t);
/* Explains [from, at) and moves `at` there. A `from` before the request's begin is that. */
void rein_walk_give(struct rein_walk *w, uint64_t from, enum rein_cause cause, uint32_t who,
                    bool estimate);
/* Adds ns to a part without moving. */
void rein_walk_add(struct rein_walk *w, enum rein_cause cause, uint32_t who, bool estimate,
                   uint64_t ns);
/* [from, at): run queue where the thread was runnable, `cause` by itself where not. */
void rein_walk_thread(struct rein_walk *w, uint64_t from, enum rein_cause cause);
/* A wait that began at `from` is over, and its thread went on late: the stretch off the CPU at its
 * end, as far back as `from`. `preempted`: also if it did not sleep. */
void rein_walk_wake(struct rein_walk *w, uint64_t from, enum rein_cause cause, bool preempted);
/* [from, at): held, where a hold of at least that mode says so, else what `rest` makes of it.
 * `gate`: LAUNCH_GATE, whatever the mode; else it is that of the hold. */
void rein_walk_holds(struct rein_walk *w, uint64_t from, uint32_t mode, enum rein_cause gate,
                     void (*rest)(struct rein_walk *w, uint64_t from, const void *arg),
                     const void *arg);

/* What a hold by such a gate (enum rein_hold_mode) is for work that is already on the GPU. */
static inline enum rein_cause rein_hold_cause(uint32_t mode)
{
	return mode == REIN_HOLD_CONTEXT ? REIN_CAUSE_CONTEXT_GATE : REIN_CAUSE_QUEUE_GATE;
}

/* ---- attribute_gpu.c: `r` is the call that returned at w->at when its work was done */
void rein_walk_gpu(struct rein_walk *w, const struct rein_trace_record *r);

/* ---- attribute_story.c */
void rein_story_take(struct rein_attributor *a, const struct rein_todo *t, struct rein_walk *w);
/* Moves everything to where the caller finds it. */
void rein_story_finish(struct rein_attributor *a);

static inline uint64_t rein_earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}
static inline uint64_t rein_later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}
static inline uint64_t rein_overlap(uint64_t a0, uint64_t a1, uint64_t b0, uint64_t b1)
{
	uint64_t lo = rein_later(a0, b0), hi = rein_earlier(a1, b1);
	return hi > lo ? hi - lo : 0;
}

#endif
