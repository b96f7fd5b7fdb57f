// SPDX-License-Identifier: Apache-2.0
/*
 * export.h: a recording as slices, instants and counters on tracks, and those as a file.
 *
 * What comes out does not depend on the file's format; that is a sink (perfetto.h, chrome.h, csv.h;
 * report_counters.c takes its counters so). Tracks:
 *
 *	a process, under its PID as the daemon sees it
 *	  requests    declared ones (rein.h, NVTX); they may overlap
 *	  active      guessed ones: from idle to idle, as far as its calls tell
 *	  holds       a moment for each wait of another program for its sake
 *	  thread N    its calls, and in between waits at the gate and for the backlog; off its CPU:
 *	              blocked, then in the run queue, or preempted (needs eBPF)
 *	  unfinished submissions, lost records    counters
 *	a process without the shim: what eBPF saw of it
 *	GPU n         by the records of CUPTI: who has it; each stream of each process; its copies
 *	gate          for each program: who waits for its sake; whom the daemon holds, and how;
 *	              a counter of waits
 *	work          which programs have unfinished work, by their calls
 *	recorder      where and when it began, was cut, lost something
 *
 * Slices of one track lie one after the other or one within the other. Where they would cross, by
 * up to REIN_EXPORT_CLOCK_NS, the clocks are to blame (the CPU's counter is converted, the GPU's
 * estimated) and the later one gives way; what crosses by more goes to a second track of that name.
 * Flows: a submission, what the GPU did for it, the call that waited for it; and from whom a
 * program waits for to that wait. Each flow has both ends.
 *
 * What was still going on when its process ended, or the recording was cut, ends there, marked so.
 * Counters are written at most every REIN_EXPORT_COUNT_NS.
 *
 * Times: ns of CLOCK_MONOTONIC. Memory: clients, kernels, tracks; records as far as they overlap
 * (sorted.h); 16 bytes for 64 submissions, for the flows. Records and names are not trusted; names
 * that reach a sink are printable ASCII, and not escaped. Threads: one at a time.
 */
#ifndef REIN_EXPORT_H
#define REIN_EXPORT_H

#include <stdio.h>

#include "sorted.h"

#define REIN_EXPORT_CLOCK_NS 2000u
#define REIN_EXPORT_COUNT_NS 100000u
#define REIN_EXPORT_TRACKS 65536u /* tracks at most: thread numbers are the clients' own */

struct rein_export_wish {
	uint64_t from_ns; /* what ended before is left out; 0: all */
	uint64_t last_ns; /* if not 0: instead, what ended so long before the newest record */
	bool alive;       /* its daemon still records: its last segment is not cut */
	/* Only these processes, but for the tracks that show several; NULL: all. */
	const uint32_t *pids;
	size_t n_pids;
	void (*progress)(uint64_t done, uint64_t all); /* records; NULL: nobody looks */
};

struct rein_export_result {
	uint64_t events, lost; /* lost: records, by the recorder */
	uint64_t left_out;     /* events beyond REIN_EXPORT_TRACKS */
	unsigned clients, cuts;
	uint64_t from_ns, until_ns; /* of what was asked for and is there; 0: nothing */
	uint64_t clock_ns;          /* the widest crossing that was laid to the clocks */
};

/* ---------------------------------------------------------------- for sinks */

enum rein_track_kind {
	REIN_TRACK_GROUP,   /* of tracks, without anything on it */
	REIN_TRACK_PROCESS, /* the same, for a process */
	REIN_TRACK_THREAD,
	REIN_TRACK_SLICES,
	REIN_TRACK_COUNTER,
};

struct rein_track {
	uint32_t id; /* from 1; parents come first */
	const struct rein_track *parent;
	enum rein_track_kind kind;
	uint32_t pid; /* the process it belongs to; 0: none */
	uint32_t tid;
	bool managed; /* PROCESS: a client, of this priority */
	uint16_t prio;
	char name[64];
};

struct rein_arg {
	const char *key;
	const char *text; /* NULL: a number */
	uint64_t number;
	bool is_bool;
};

#define REIN_ARGS_MAX 14

/* A flow joins events by its number: one that begins it, some that it passes, one that ends it. */
enum rein_flow_part {
	REIN_FLOW_NONE,
	REIN_FLOW_BEGINS,
	REIN_FLOW_PASSES,
	REIN_FLOW_ENDS,    /* where the slice begins */
	REIN_FLOW_RETURNS, /* the same, where it ends */
};

struct rein_event {
	const struct rein_track *track;
	const char *category, *name; /* the name is gone after the call */
	uint64_t begin_ns, end_ns;
	uint64_t request; /* of a declared request, its number; else 0 */
	enum rein_flow_part flow_part;
	uint64_t flow;
	unsigned n_args;
	struct rein_arg arg[REIN_ARGS_MAX];
};

/* What the recording becomes. A track is told before what is on it, each once; slices of a track in
 * an order in which those that begin and end at once nest as they are written. */
struct rein_sink {
	void (*begin)(struct rein_sink *s, const struct rein_sorted_epoch *epochs, unsigned n);
	void (*track)(struct rein_sink *s, const struct rein_track *t);
	void (*slice)(struct rein_sink *s, const struct rein_event *e);
	void (*instant)(struct rein_sink *s, const struct rein_event *e);
	void (*count)(struct rein_sink *s, const struct rein_track *t, uint64_t ns, uint64_t value);
	void (*end)(struct rein_sink *s);
	FILE *out; /* NULL: it writes no file */
	int err;   /* set by it: -errno; it hears no more */
};

/* 0, or -errno. A write error is -EIO, or as fclose() will say. */
REIN_MUST_CHECK int rein_export(const struct rein_recording *r, const struct rein_export_wish *wish,
                                struct rein_sink *sink, struct rein_export_result *result);

/* ---------------------------------------------------------------- files */

enum rein_export_format {
	REIN_EXPORT_PERFETTO,
	REIN_EXPORT_CHROME,
	REIN_EXPORT_CSV,
};

REIN_MUST_CHECK int rein_export_write(FILE *out, enum rein_export_format format,
                                      const struct rein_recording *r,
                                      const struct rein_export_wish *wish,
                                      struct rein_export_result *result);

#endif
