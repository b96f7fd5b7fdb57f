// SPDX-License-Identifier: Apache-2.0
/*
 * export_int.h: what the files of the export share. A record goes through export.c (order, filter),
 * export_tell.c (what it means), export_state.c (what follows from several), export_track.c (where
 * it stands), to the sink.
 */
#ifndef REIN_EXPORT_INT_H
#define REIN_EXPORT_INT_H

#include "export.h"
#include "map.h"
#include "names.h"

struct export
{
	const struct rein_export_wish *wish;
	struct rein_sink *sink;
	struct rein_export_result *result;
	struct rein_sorted *sorted;
	struct rein_names names;
	uint64_t from_ns, told; /* told: records */
	uint32_t n_tracks;
	uint64_t waiting; /* threads, at the gate */
	int err;
	struct rein_map tracks, clients, streams, sweeps;
	struct flow_ends {
		struct flow_end *items;
		size_t n, room;
	} flows;
	struct {
		struct due *items;
		size_t n, room;
		uint64_t seq;
	} due;
};

/* ---------------------------------------------------------------- export.c */

bool rein_export_wants(const struct export *x, uint32_t pid);
/* Did the recording of that daemon end without its doing? */
bool rein_export_cut(const struct export *x, unsigned epoch);

/* ---------------------------------------------------------------- export_track.c */

#define LANE_DEPTH 16

struct lane {
	uint64_t key[3];
	struct rein_track track;
	struct lane *next; /* where to go with what would cross */
	unsigned depth;
	struct {
		uint64_t begin_ns, end_ns;
	} open[LANE_DEPTH]; /* what the next slice may lie in, outermost first */
	/* of a counter */
	uint64_t value, written, written_ns;
	bool due;
};

enum track_what {                   /* and what the two numbers of its key are */
	          TRACK_PROCESS,    /* PID */
	          TRACK_THREAD,     /* PID, thread */
	          TRACK_REQUESTS,   /* PID */
	          TRACK_ACTIVE,     /* PID */
	          TRACK_HOLDS,      /* PID */
	          TRACK_OUTSIDE,    /* PID */
	          TRACK_UNFINISHED, /* PID */
	          TRACK_LOST,       /* PID */
	          TRACK_GPU,        /* device */
	          TRACK_OWNER,      /* device */
	          TRACK_STREAM,     /* client; device << 32 | CUPTI's stream */
	          TRACK_COPIES,     /* client; device << 32 | kind of copy */
	          TRACK_GATE,
	          TRACK_WAITING,
	          TRACK_FOR,  /* client */
	          TRACK_HELD, /* client */
	          TRACK_WORK,
	          TRACK_RECORDER,
};

/* NULL: there are too many; what should be on it is left out. */
struct lane *rein_export_track(struct export *x, enum track_what what, uint64_t a, uint64_t b);
/* Completes e->track and writes, unless it ended too early. */
void rein_export_slice(struct export *x, struct lane *l, struct rein_event *e);
void rein_export_instant(struct export *x, struct lane *l, struct rein_event *e);
/* Sets a counter. */
void rein_export_count(struct export *x, struct lane *l, uint64_t ns, uint64_t value);
void rein_export_count_due(struct export *x, struct lane *l, uint64_t ns);
void rein_export_tracks_free(struct export *x);

static inline void rein_event_number(struct rein_event *e, const char *key, uint64_t number)
{
	if (e->n_args < REIN_ARGS_MAX)
		e->arg[e->n_args++] = (struct rein_arg){.key = key, .number = number};
}

static inline void rein_event_text(struct rein_event *e, const char *key, const char *text)
{
	if (e->n_args < REIN_ARGS_MAX)
		e->arg[e->n_args++] = (struct rein_arg){.key = key, .text = text};
}

static inline void rein_event_bool(struct rein_event *e, const char *key, bool yes)
{
	if (e->n_args < REIN_ARGS_MAX)
		e->arg[e->n_args++] = (struct rein_arg){.key = key, .number = yes, .is_bool = true};
}

/* ---------------------------------------------------------------- export_state.c */

struct request { /* declared, and not ended */
	uint64_t id, begin_ns, deadline_ns;
	struct request *next;
};

struct client {
	uint64_t key[3]; /* rein_who() */
	bool known;      /* what follows is filled in */
	bool wanted;
	uint32_t pid;
	const char *name;
	bool marked;        /* it was seen to become active or idle */
	uint64_t active_ns; /* since; 0: idle */
	uint64_t unfinished, lost;
	uint32_t idles; /* how often it became idle: whatever was submitted before has completed */
	struct request *requests;
	unsigned n_requests;
};

/* One track that shows who is in something: a slice for as long as nobody comes or goes. */
struct sweep {
	uint64_t key[3];
	struct lane *lane;
	const char *category;
	uint64_t since_ns;
	size_t n, room;
	struct member {
		const struct client *client;
		unsigned count;
	} * members;
};

enum due_what { DUE_LEAVE, DUE_COMPLETE, DUE_COUNT, DUE_WAITED };

struct client *rein_export_client(struct export *x, uint64_t who);
/* Does all that is due up to then; the records' order is that of their begins. */
void rein_export_catch_up(struct export *x, uint64_t ns);
void rein_export_due(struct export *x, uint64_t ns, enum due_what what, void *subject,
                     uint64_t value);
struct sweep *rein_export_sweep(struct export *x, enum track_what what, uint64_t a,
                                const char *category);
void rein_export_enter(struct export *x, struct sweep *s, uint64_t ns, const struct client *c);
void rein_export_leave(struct export *x, struct sweep *s, uint64_t ns, const struct client *c);
/* Enters, and leaves at the record's end. */
void rein_export_stay(struct export *x, struct sweep *s, const struct rein_trace_record *r,
                      struct client *c);
/* Of the submissions and what completes them: how many are unfinished. */
void rein_export_submitted(struct export *x, struct client *c, const struct rein_trace_record *r);
void rein_export_completes(struct export *x, struct client *c, const struct rein_trace_record *r);
void rein_export_idle(struct export *x, struct client *c, uint64_t ns);
void rein_export_waits(struct export *x, const struct rein_trace_record *r);
void rein_export_state_free(struct export *x);

/* ---------------------------------------------------------------- export_flow.c */

/* In the first pass: this record is where a flow goes to, if it does. 0 or -ENOMEM. */
REIN_MUST_CHECK int rein_flow_note(struct export *x, unsigned epoch,
                                   const struct rein_trace_record *r);
/* Its number, for the submission, for what the GPU did, and for the call that waited; 0: none. */
uint64_t rein_flow_begin(struct export *x, uint64_t who, const struct rein_trace_record *r);
uint64_t rein_flow_pass(struct export *x, uint64_t who, const struct rein_trace_record *r);
uint64_t rein_flow_end(struct export *x, uint64_t who, const struct rein_trace_record *r);

/* ---------------------------------------------------------------- export_tell.c */

void rein_export_tell(struct export *x, unsigned epoch, const struct rein_trace_record *r);
/* After the last record. */
void rein_export_tell_rest(struct export *x);

#endif
