// SPDX-License-Identifier: Apache-2.0
/*
 * core.h: the inside of the engine; only engine.c, item.c, stream.c, slice.c, channel.c,
 * event.c, timeline.c, corun.c, hold.c, memop.c, executor.c and record.c include
 * it.
 *
 * One lock (sg_core.lock) guards everything. Whoever holds it may do what is due
 * (sg_timeline_run): a submitter, a worker that finished a payload, a thread that asks for a
 * status, or the engine thread, which is there for what falls due while nobody calls. User code
 * (run, destroy) is never called under the lock.
 *
 * An item is one position in a stream's order: a command, a graph, an event record, a wait. It
 * is released when the item before it in its stream and those it waits for elsewhere have
 * completed, and completes when each of its nodes (commands) has, in modelled time and in fact
 * (its payload has run).
 */
#ifndef SOFTGPU_CORE_H
#define SOFTGPU_CORE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "../common/atomic.h"
#include "device.h"
#include "engine.h"
#include "model.h"
#include "sched.h"

struct sg_item;

struct sg_node {
	struct sg_cmd *cmd;
	struct sg_item *item;
	struct sg_node *next;       /* in whichever list it is: ready, a worker's queue */
	struct sg_node *timed_next; /* a copy is in sg_core.timed besides; a closed memory
	                               operation in sg_core.closed */
	uint32_t waiting;           /* unfinished predecessors in its batch */
	uint32_t n_out;
	uint32_t *out;        /* successors in its batch, by index */
	uint64_t pred_end_ns; /* latest modelled end of what it waited for; 0: none */
	uint64_t start_ns, end_ns;
	uint64_t solo_ns; /* modelled duration of a copy */
	bool untimed;     /* takes no modelled time: ends when its payload has run */
	bool timed_out;   /* its modelled end has come */
	bool ran;         /* its payload has run, or there is none */
	struct sg_kernel kernel;
};

/* An edge from an item to one that waits for it; part of the latter. */
struct sg_link {
	struct sg_item *waiter;
	struct sg_link *next;
};

struct sg_item {
	struct sg_stream *stream; /* NULL once complete */
	struct sg_domain *domain;
	struct sg_item *next;       /* in its stream */
	struct sg_item *ready_next; /* in sg_core.ready, later in sg_core.reap */
	struct sg_link *waiters;
	struct sg_link *links; /* its own edges */
	uint32_t *outs;        /* what its nodes' `out` point into */
	uint32_t waiting;      /* items it waits for */
	uint32_t refs;         /* 1 for being unfinished, then events and sleepers */
	uint32_t n, left;      /* nodes; unfinished ones */
	uint32_t sleepers;
	bool batch;
	struct sg_channel *channel;   /* in whose queue it is, until it is issued; NULL: in none */
	struct sg_item *channel_next; /* there */
	rein_a32 done;
	CUresult error;                                    /* of the domain when it completed */
	uint64_t submit_ns, issue_ns, pred_end_ns, end_ns; /* issue: its channel let it go; 0 */
	struct sg_node nodes[];
};

struct sg_channel { /* a hardware queue: what is submitted to it and not issued yet */
	struct sg_item *tail;
};

struct sg_channel_pair {
	struct sg_channel compute, copy;
};

struct sg_channels { /* of a domain's streams of one priority */
	struct sg_channels *next;
	int priority;
	uint32_t streams; /* made so far */
	struct sg_channel_pair pair[SG_CHANNELS_MAX];
};

struct sg_stream {
	struct sg_domain *domain;
	struct sg_stream *next; /* in its domain */
	struct sg_item *tail;   /* last unfinished item */
	uint64_t id;
	enum sg_stream_kind kind;
	int priority;
	struct sg_stream *legacy; /* which it synchronises with; its own: itself; NULL: none */
	struct sg_channel_pair *channels; /* NULL: it shares none */
	struct sg_sm_set *sms;            /* owned; to which its kernels are confined; NULL: no */
	bool released;                    /* its handle is gone; it goes with its last item */
	uint32_t unfinished;
	uint32_t space_sleepers;
	rein_a32 space; /* bumped when an item completes and somebody waits for room */
};

/* What all streams of a slice (NULL: of the domain) wait for that are made before it is done. */
struct sg_fence {
	struct sg_item *item; /* a reference */
	struct sg_stream *slice;
	struct sg_fence *next;
};

struct sg_domain {
	int device;
	struct sg_fence *fences;
	struct sg_stream *legacy;
	struct sg_stream *streams; /* all, the legacy one too */
	struct sg_channels *channels;
	uint32_t unreaped; /* items whose commands are not destroyed yet */
	bool ending;       /* is being freed: what waits for memory is given up */
	rein_a32 error;    /* CUresult; written under the lock */
};

struct sg_event {
	struct sg_item *item; /* the latest record; NULL: never recorded */
};

struct sg_timeline { /* a device as this process sees it */
	struct sg_sched sched;
	uint64_t taken;     /* grants of the shared device that are used up */
	uint64_t switches;  /* of the seat, when last looked at */
	uint64_t logged_ns; /* the owner log is written up to here */
	uint64_t looked_ns; /* last search for dead owners */
	uint32_t closed;    /* nodes that wait for a word in memory, */
	uint64_t closed_ns; /* since; a waiting channel may keep the time slice */
	rein_a32 paused;    /* futex: 1: its payloads stand still, hold.c */
	uint64_t paused_since_ns, paused_ns;
	/* where processes run together, corun.c */
	struct sg_kernel *corun; /* its kernels that are ready, by priority, then submission */
	uint64_t acked[2];       /* jobs of the last round that are dealt with */
	uint64_t corun_wake_ns;
	bool corun_news;                 /* some of them are new */
	uint64_t ran_from_ns, ran_to_ns; /* the owner log is to get this */
};

struct sg_queue { /* payloads for one kind of worker */
	struct sg_node *head, **tail;
	uint32_t len, workers, idle, workers_max;
	pthread_cond_t more;
	const char *thread_name;
};

enum sg_core_state { SG_CORE_OFF, SG_CORE_STARTING, SG_CORE_ON, SG_CORE_FAILED, SG_CORE_DOWN };

struct sg_core {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* of state */
	enum sg_core_state state;
	rein_a32 forked; /* this is a child: nothing here may be touched */
	const struct sg_model *model;
	int nice;               /* of the thread that started the engine: its workers' too */
	struct sg_share *share; /* NULL in fast mode */
	rein_a32 own_bell, *bell;
	uint64_t sleep_until_ns; /* of the engine thread; 0: it is awake */
	struct sg_timeline device[SG_DEVICES_MAX];
	struct sg_item *ready_items, **ready_items_tail;
	struct sg_node *ready_nodes, **ready_nodes_tail;
	struct sg_node *timed;  /* copies under way; by end */
	struct sg_node *closed; /* memory operations whose wait is not satisfied yet */
	struct sg_queue compute, host;
	struct sg_item *reap; /* complete; their commands are to be destroyed */
	uint32_t reap_len;
	bool reaping;
	rein_a32 reaped; /* bumped after a round of it */
	uint64_t stream_ids;
	struct sg_stats stats;
};
extern struct sg_core sg_core;

/* ---- engine.c */
REIN_MUST_CHECK CUresult sg_core_start(void); /* on first use; waits until it is up or failed */
/* Takes the lock if the engine may be used: 0, or what to return. */
REIN_MUST_CHECK CUresult sg_core_enter(void);
/* Wakes the engine thread if something is now due before it would wake; releases the lock. */
void sg_core_leave(void);
void sg_core_poison(struct sg_domain *d, CUresult error, const char *text); /* under the lock */
CUresult sg_core_spawn(void *(*fn)(void *), void *arg, const char *name);

/* ---- item.c */
void sg_item_complete(struct sg_item *it);
void sg_item_put(struct sg_item *it); /* drops a reference */
/* Sleeps until it is complete; enters with the lock held and a reference, returns without both:
 * the domain's error as of its completion. */
CUresult sg_item_wait(struct sg_item *it);
/* A record or a wait at the end of s; `after`: another item to wait for, or NULL. Under the lock;
 * NULL: out of memory. The caller gets a reference. */
struct sg_item *sg_item_mark(struct sg_stream *s, struct sg_item *after);
bool sg_item_done(const struct sg_item *it);

/* ---- stream.c */
void sg_stream_discard(struct sg_stream *s); /* nothing refers to it any more; under the lock */
/* A stream of a slice (NULL: of the whole device). Under the lock; NULL: out of memory. */
struct sg_stream *sg_stream_add(struct sg_domain *d, struct sg_stream *slice,
                                enum sg_stream_kind kind, int priority);
/* Waits for a stream, with `slice` for all streams that share its default stream; NULL: all. */
CUresult sg_stream_sync_all(struct sg_domain *d, struct sg_stream *s, bool slice);

/* ---- slice.c, under the lock */
CUresult sg_slice_fence(struct sg_stream *s); /* a new stream waits for what slices wait for */
void sg_slice_forget(struct sg_domain *d);    /* the domain goes */

/* ---- timeline.c, under the lock */
int sg_timeline_init(void);
void sg_timeline_ready_item(struct sg_item *it);
void sg_timeline_run(uint64_t now_ns); /* does all that is due */
uint64_t sg_timeline_wake_ns(uint64_t now_ns);
/* A payload has run (or was skipped), in spent_ns of wall time. */
/* What a payload took of its worker: ptx_run() works there too, so cpu_ns is its execution time. */
struct sg_spent {
	uint64_t wall_ns, cpu_ns;
};
void sg_timeline_ran(struct sg_node *nd, CUresult result, struct sg_spent spent);
void sg_timeline_stop(void);                   /* the process goes: gives up what it owns */
void sg_timeline_complete(struct sg_node *nd); /* its end_ns is set */

void sg_timeline_kernels_done(struct sg_kernel *k);

/* ---- corun.c, under the lock: in place of the time slices where processes run together */
void sg_corun_add(struct sg_timeline *tl, struct sg_kernel *k);
bool sg_corun_run(struct sg_timeline *tl, unsigned device, uint64_t to_ns);
uint64_t sg_corun_wake_ns(const struct sg_timeline *tl, uint64_t now_ns);
void sg_corun_stop(struct sg_timeline *tl);

/* ---- channel.c, under the lock */
CUresult sg_channel_choose(struct sg_stream *s);
void sg_channel_enter(struct sg_stream *s, struct sg_item *it, bool waits);
void sg_channel_leave(struct sg_item *it, uint64_t at_ns);
void sg_channel_forget(struct sg_domain *d);

/* ---- hold.c, under the lock */
void sg_hold_pause(struct sg_timeline *tl); /* its payloads stand still until it is let go */
uint64_t sg_hold_paused_ns(const struct sg_timeline *tl);

/* ---- memop.c, under the lock */
void sg_memop_start(struct sg_node *nd);
bool sg_memop_poll(void); /* true: some have completed */
uint64_t sg_memop_wake_ns(uint64_t now_ns);

/* ---- executor.c, under the lock */
void sg_executor_init(void);
void sg_executor_push(struct sg_queue *q, struct sg_node *nd);
void sg_executor_reap(struct sg_item *it); /* destroy its commands, soon */
void sg_executor_reap_idle(void);          /* nothing else to do: the rest of them */
void sg_executor_reap_here(void);  /* by the caller, or by who is at it; may drop the lock */
bool sg_executor_reap_round(void); /* here and now; drops the lock meanwhile */

/* ---- record.c */
void sg_record_init(const struct sg_model *m);
void sg_record_stats(const struct sg_model *m, const struct sg_stats *st);
void sg_record_owned(uint64_t start_ns, uint64_t end_ns);
void sg_record_command(uint64_t stream_id, const char *kind, const char *name, uint64_t start_ns,
                       uint64_t end_ns);
void sg_record_say(const char *fmt, ...) REIN_PRINTF(1, 2); /* one line on stderr */

#endif
