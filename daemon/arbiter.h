// SPDX-License-Identifier: Apache-2.0
/*
 * arbiter.h: from demand words to verdicts. The core of the daemon, without sockets, threads or a
 * clock of its own: time is an argument, shared memory is whatever the caller passes. loop.c runs
 * it on the arbiter's thread; tests run it with a fake clock on plain memory.
 *
 * Model. A client's *demand word* says whether it has a request (abi.h). The client counts as
 * active from then until its word has said idle for `linger_us` without a break; one that declares
 * its requests (include/rein.h) is active from the begin of one to its end, and without any linger
 * after that (active.c). A *decision* asks the policy for one verdict per client of a device and
 * writes those that changed. A client that uses several devices is held on all of them as soon as
 * one says so, and so are the clients of one *job*: suspension is per job, so no dependency between
 * its devices and processes can deadlock (decide.c).
 *
 * Leases. A closed gate counts as open from `lease_until_ns` on. While the hold lasts the lease
 * is renewed every REIN_ARBITER_TICK_NS, but only while the client for whose sake it is made
 * makes progress (its demand word or its counters change) within its `patience_ns`. One that does
 * not is *stalled*: the policy sees it as idle, so nobody is held for it, and those that were are
 * *exempt* from every hold for one lease, because it may wait for one of them. While it stays
 * stalled those that would be held for it, were it active, are exempted again for one lease in
 * every REIN_ARBITER_RELIEF_NS. The next change of its words ends the stall. If its heartbeat
 * still rises it is merely *slow*: long work on the GPU looks like that, and so does waiting for a
 * held client. Then the holds stay, and open for a *breath* of REIN_ARBITER_BREATH_NS in every
 * REIN_ARBITER_BREATH_EVERY_NS, until that has gone on for REIN_ARBITER_SLOW_MAX_NS. A hold for
 * nobody's sake (an exhausted budget) needs no progress: it lasts until the policy says otherwise,
 * and that must have named a time.
 *
 * Charging. The time since the last look is charged, per device, to the clients that were active
 * with an open gate, or whose queue still drained behind a closed one, in equal parts: exact for a
 * sole one, an estimate for several (account.c).
 *
 * Threads: none; all calls from one thread at a time. Ownership: the caller owns clients and
 * shared memory, which stay valid from join until leave has returned. Nothing here blocks, and
 * only new, join and set_policy allocate. Nothing read from a client's memory is trusted.
 */
#ifndef REIN_ARBITER_H
#define REIN_ARBITER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../common/abi.h"
#include "../common/util.h"
#include "../policy/policy.h"
#include "hash.h"
#include "histogram.h"

#define REIN_CLIENTS_MAX 1024
#define REIN_JOB_MAX 64 /* members; whoever comes later runs by itself */
#define REIN_ARBITER_TICK_NS (REIN_LEASE_NS / 4)
#define REIN_ARBITER_RELIEF_NS (10 * REIN_LEASE_NS)
#define REIN_ARBITER_BREATH_NS (REIN_LEASE_NS / 5)
#define REIN_ARBITER_BREATH_EVERY_NS (2 * REIN_LEASE_NS)
#define REIN_ARBITER_SLOW_MAX_NS (20 * REIN_LEASE_NS)
#define REIN_ARBITER_ALIVE_NS (REIN_LEASE_NS / 2) /* a heartbeat this old says nothing */
#define REIN_ARBITER_IDLE_TICK_NS REIN_LEASE_NS   /* accounting while clients are active */
/* A best-effort client whose word changes more often than this is looked at a window later: it
 * must not keep the arbiter awake, by itself or out of malice. */
#define REIN_ARBITER_WORDS_MAX 500u
#define REIN_ARBITER_WINDOW_NS 10000000ull
/* A policy that wants to be asked again sooner than this, waits: the end of a turn, say, of which
 * half is charged, and then half of the rest, would else be asked for without end. */
#define REIN_ARBITER_ASK_NS 50000ull
/* Estimated work between two points of a client that could be preempted (points.c), and how often
 * and for how long points that are closed open: hardware may give up on a wait after about 2 s. */
#define REIN_POINT_NS 100000ull
/* No more points than cost one part in so many: 2 % in all, for a point comes before the kernel
 * that would be too much. */
#define REIN_POINT_COST_PART 64
#define REIN_ARBITER_PULSE_EVERY_NS 900000000ull
#define REIN_ARBITER_PULSE_NS 2000000ull
#define REIN_SHARE_BUCKETS 10 /* of 100 ms each */
#define REIN_SHARE_BUCKET_NS 100000000ull

/* What may hold a program on one GPU besides the launch gate (profile.h). */
struct rein_gates {
	uint32_t can;            /* REIN_CAN_* */
	uint32_t context_recipe; /* 0: none */
	uint32_t context_us;     /* a hold and its end by the context gate; 0: not measured */
	uint32_t timeslice_us;   /* of who can be preempted; 0: the driver's */
	uint32_t point_cost_ns;  /* on the GPU; 0: not measured */
	bool waits_for_ever;     /* it was proven that no wait times out: no pulses */
	bool proven;             /* a profile says so, not the configuration alone */
};
#define REIN_GATES_MAX 64
struct rein_gates_of {           /* by device; set by rein_arbiter_set_gates() */
	struct rein_gates other; /* of devices that are not in the table */
	unsigned n;
	struct {
		uint8_t uuid[16];
		struct rein_gates gates;
	} device[REIN_GATES_MAX];
};

struct rein_arbiter_slot { /* one declared device of one client */
	bool seen;
	int device; /* index into the arbiter's devices; -1: not scheduled */
	/* what the policy said for this device, and what was written, so that only changes are */
	bool metered;
	uint32_t holder;
	struct rein_arbiter_limits {
		uint64_t backlog_ns, point_ns;
		uint32_t backlog_launches, sms, timeslice_us;
	} limits;
	struct {
		struct rein_arbiter_limits limits;
		uint32_t gate, holder, mode;
	} written;
};

struct rein_hold {       /* of one client, by all gates that `mode` has */
	uint32_t mode;   /* enum rein_hold_mode; REIN_HOLD_NONE: it is not held */
	uint32_t holder; /* client id; 0: its own budget */
	uint64_t since_ns;
};

#define REIN_MEASURED_COSTS 64

#define REIN_RECENT_HALF_NS 5000000000ull
#define REIN_RECENT_HOLDERS 4

/* What happened to a client lately (recent.c). */
struct rein_recent_holder {
	uint32_t id; /* 0: nobody, or its own budget */
	pid_t pid;
	uint64_t ns;
	char name[REIN_NAME_LEN];
};
struct rein_recent_half {
	uint64_t begun_ns; /* 0: nothing has happened yet */
	uint64_t wait_ns;
	struct rein_recent_holder by[REIN_RECENT_HOLDERS];
	struct rein_histogram response;
};
struct rein_recent {
	struct rein_recent_half half[2];
	unsigned newest;
	/* of the wait that goes on (at_gate) */
	uint64_t wait_since_ns, counted_ns;
	struct rein_recent_holder holder;
};

/* Figures of one class since the daemon's start, whoever came and went. The session owns them, the
 * arbiter's thread counts. */
struct rein_tally {
	struct rein_histogram response; /* release to end */
	struct rein_histogram wait;     /* at the closed gate */
	uint64_t preemptions, met, missed;
	uint64_t used_ns[REIN_BOARD_DEVICES_MAX + 1]; /* by rein_arbiter.gpu; the last: others */
};

struct rein_arbiter_history {   /* of one client's requests */
	uint64_t begun_used_ns; /* charged to it before its current request */
	uint64_t cost_ns[REIN_MEASURED_COSTS];
	uint64_t requests; /* that ended */
	uint64_t longest_ns;
	char longest_name[REIN_KMODEL_NAME_LEN]; /* of that kernel; "": not known */
	uint64_t met, missed, late_max_ns;
	uint64_t preemptions; /* its gate closed while it had work to do */
	struct rein_histogram response;
};

struct rein_arbiter_client {
	/* set by the caller before join */
	struct rein_policy_client policy; /* id, rein_arbiter_apply(); the rest is ours */
	uint64_t patience_ns;
	bool gate_implicit; /* tells its shim so */
	bool cupti;         /* the same: its true GPU times, while events are recorded */
	bool traceable;     /* it has rings for records */
	uint32_t sms;       /* as in sms.h */
	uid_t uid;
	pid_t pid;
	char name[REIN_NAME_LEN];
	struct rein_control *control;
	const struct rein_status *status;
	struct rein_points *points; /* NULL: it has none */
	struct rein_tally *tally;   /* of its class; NULL: none */

	/* the arbiter's own */
	uint32_t demand; /* the word as last read */
	uint32_t words;  /* changes of it in the window that began then: */
	uint64_t window_ns;
	uint64_t deaf_until_ns; /* it changed too often: not looked at before; 0: looked at */
	uint64_t arrival_ns;    /* of the declared request that counts, as it says; 0: none */
	uint64_t idle_since_ns; /* lingering since; 0: not lingering */
	bool exact;             /* that is the end of a declared request: no linger */
	bool live;              /* active, linger included */
	bool stalled;
	bool held;
	bool at_gate;          /* a thread of it waits there, as recent.c counts */
	uint32_t mode;         /* enum rein_hold_mode: how it is held */
	uint32_t can;          /* REIN_CAN_*, as it said last */
	bool points_closed;    /* as far as it is up to us */
	uint64_t points_ns;    /* closed without a break since */
	uint64_t pulse_end_ns; /* 0: no pulse is under way */
	uint32_t holder;  /* client id for whose sake it is held; 0: not held, or its own budget */
	bool holding;     /* somebody is held for it */
	bool rare;        /* its requests are far apart */
	bool quick;       /* its words follow each other closely */
	uint32_t flags;   /* REIN_CONTROL_* as last written */
	uint64_t word_ns; /* when it last said that it is active */
	uint64_t progress_ns;
	uint64_t relief_ns; /* stalled: when the next exemption of the others is due */
	uint64_t submissions, requests, heartbeats;
	uint64_t alive_ns;  /* when the heartbeat was last seen to rise */
	uint64_t said_ns;   /* when that was last reported */
	uint64_t breath_ns; /* slow: when the next breath of the others is due; 0: not slow */
	uint64_t exempt_until_ns;
	uint32_t exempt_for; /* the stalled client's id; 0: not exempt */
	unsigned position;   /* in the arbiter's list */
	unsigned n_devices;
	unsigned slots; /* those beyond were never declared */
	struct rein_arbiter_slot slot[REIN_DEVICES_MAX];
	struct rein_arbiter_client *mate; /* the next of its job, round to itself */
	uint64_t devices, job_devices;    /* it uses, its job uses: bit i: the arbiter's device i */
	uint64_t held_on;                 /* where the policy holds it, as asked last */
	uint32_t to_hold_for;
	bool to_hold;     /* within a decision: what will be written */
	uint64_t lost_on; /* within a decision: the device that holds its job for certain; 0 */
	struct rein_arbiter_history history;
	struct rein_recent recent;
	struct rein_hold noted; /* as it was told last (hold.c) */
	uint64_t closed_ns;     /* when it was last held, and what of its work the GPU may have */
	uint64_t drain_left_ns; /* had left then and not finished since (account.c) */
	uint64_t bucket[REIN_SHARE_BUCKETS];
	uint64_t bucket_index;
	UT_hash_handle hh; /* by id */
};

struct rein_arbiter_device {
	uint8_t uuid[16];
	int index;    /* on the board */
	unsigned gpu; /* in rein_arbiter.gpu */
	struct rein_gates gates;
	int top_prio;       /* of its clients, when the policy was asked last */
	unsigned timed;     /* of them that have a deadline or a period */
	unsigned outranked; /* of them that could be preempted by another and work now and then */
	uid_t uid;          /* who declared it first */
	bool dirty;
	bool several; /* owners_gen is odd */
	uint64_t charged_ns;
	uint64_t next_ns; /* when the policy wants to be asked again */
	unsigned n;
	struct rein_arbiter_client *client[REIN_CLIENTS_MAX];
	UT_hash_handle hh; /* by uuid */
};

struct rein_arbiter {
	struct rein_board *board;
	struct rein_policy *policy;
	struct rein_policy_params params;
	struct rein_gates_of gates;
	/* What the tests replace: waking a gate's waiters, and one line for the log. */
	void (*wake)(const rein_a32 *gate);
	void (*ring)(struct rein_arbiter_client *c); /* its doorbell, from our end; NULL: nobody */
	void (*say)(void *arg, const char *line);
	void *say_arg;
	/* A hold that was, until then, or a piece of one; NULL: nobody wants to know. */
	void (*note_hold)(void *arg, uint32_t client, const struct rein_hold *h, uint64_t until_ns);
	void *note_arg;
	unsigned n;
	struct rein_arbiter_client *client[REIN_CLIENTS_MAX];
	struct rein_arbiter_client *by_id;
	struct rein_arbiter_device *device[REIN_BOARD_DEVICES_MAX]; /* NULL: free */
	struct rein_arbiter_device *by_uuid;
	bool dirty;         /* some device is */
	bool traced;        /* whoever is traceable is to write records */
	uint32_t cupti_for; /* and this client true GPU times too; UINT32_MAX: all; 0: nobody */
	bool opened;        /* rein_arbiter_open_all() was called: nothing is decided any more */
	uint64_t tick_ns;   /* next look at progress, leases and accounts */
	unsigned wide;      /* clients whose job uses several devices */
	unsigned turn;      /* whose kernel times are looked at next */
	/* the UUIDs of all devices since the start, as far as there is room: for tallies */
	unsigned n_gpus;
	uint8_t gpu[REIN_BOARD_DEVICES_MAX][16];
	uint64_t decisions;
	struct rein_policy_verdict verdict[REIN_CLIENTS_MAX]; /* scratch */
};

/* NULL if out of memory. The board's header is the caller's; its devices are written here. */
struct rein_arbiter *rein_arbiter_new(struct rein_board *board, const struct rein_policy_ops *ops,
                                      const struct rein_policy_params *params);
/* Whoever is still joined leaves. */
void rein_arbiter_free(struct rein_arbiter *a);

/* 0, or -ENOMEM or -EAGAIN with the reason in `why`. Whether it may join is not asked here:
 * admission is the session's (policy/admission.h). */
REIN_MUST_CHECK int rein_arbiter_join(struct rein_arbiter *a, struct rein_arbiter_client *c,
                                      uint64_t now_ns, char *why, unsigned why_len);
/* Frees what it held: the others' gates open before this returns. */
void rein_arbiter_leave(struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns);

/* What may be changed while a client is joined. Fields are as in policy.h. */
struct rein_arbiter_params {
	int prio;
	uint32_t weight, linger_us, backlog_launches;
	uint64_t backlog_ns, patience_ns;
	bool gate_implicit, cupti;
	int latency_nice;
	enum rein_band band;
	bool declared, budget_hard;
	uint64_t deadline_ns, period_ns, budget_ns;
	uint32_t sms; /* as in sms.h */
	uint32_t job; /* 0: its own */
};
/* Sets them in a client that has not joined yet. */
void rein_arbiter_apply(struct rein_arbiter_client *c, const struct rein_arbiter_params *params);
/* As leave and join in the policy, if that goes by what changed; the old parameters stay on an
 * error. */
REIN_MUST_CHECK int rein_arbiter_set(struct rein_arbiter *a, struct rein_arbiter_client *c,
                                     const struct rein_arbiter_params *params, uint64_t now_ns,
                                     char *why, unsigned why_len);
/* Switches live; the old policy stays on an error. */
REIN_MUST_CHECK int rein_arbiter_set_policy(struct rein_arbiter *a,
                                            const struct rein_policy_ops *ops,
                                            const struct rein_policy_params *params,
                                            uint64_t now_ns);

/* Reads every client's demand word and its newly declared devices. */
void rein_arbiter_scan(struct rein_arbiter *a, uint64_t now_ns);
/* The words of urgent clients only: true if one changed since the last scan. */
bool rein_arbiter_urgent_changed(const struct rein_arbiter *a);
/* True if any client's word changed since the last scan. The loads are sequentially consistent:
 * the arbiter's half of the doorbell rule, after its store to rein_board.asleep. */
bool rein_arbiter_changed(const struct rein_arbiter *a);
/* One client rang: also looks for devices that it declared. */
void rein_arbiter_look(struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns);

/* Does what is due at `now_ns`: lingers, stalls, leases, accounts, decisions. Returns when to
 * call again even if no word changes; UINT64_MAX: not before. */
uint64_t rein_arbiter_step(struct rein_arbiter *a, uint64_t now_ns);

/* From now on. Before the first call there is the launch gate only. */
void rein_arbiter_set_gates(struct rein_arbiter *a, const struct rein_gates_of *gates,
                            uint64_t now_ns);

/* Whether those that can are to write event records (common/ring.h). */
void rein_arbiter_set_traced(struct rein_arbiter *a, bool traced, uint64_t now_ns);
/* Who is to give true GPU times besides those whose class says so: a client, UINT32_MAX: all, 0:
 * nobody. Nobody does while no events are recorded. */
void rein_arbiter_set_cupti(struct rein_arbiter *a, uint32_t client);

/* Opens every gate for good; used before the daemon ends. */
void rein_arbiter_open_all(struct rein_arbiter *a);

/* Brings the accounts up to date, then: its share of one device's time in the last second. */
void rein_arbiter_account(struct rein_arbiter *a, uint64_t now_ns);
double rein_arbiter_share(const struct rein_arbiter_client *c, uint64_t now_ns);
#define REIN_MEASURED_REPEATED 4
/* What was measured of a client, for admission and for people. */
struct rein_measured {
	uint64_t cost_ns; /* GPU time of its requests: greatest of the last 64; 0: none yet */
	/* what REIN_MEASURED_REPEATED of those reach: no accident, as warming up is; 0: none yet */
	uint64_t cost_repeated_ns;
	uint64_t longest_ns; /* longest kernel known of it (a high quantile), in bounds; 0: none */
	char longest_name[REIN_KMODEL_NAME_LEN]; /* printable; "": not known */
	uint64_t met, missed;                    /* requests with a deadline: in time, late */
	uint64_t late_max_ns;
	uint64_t response_p99_ns; /* release to end, without linger; 0: none yet */
};
/* On the arbiter's thread. */
void rein_arbiter_measured(const struct rein_arbiter_client *c, struct rein_measured *out);
/* Of the last REIN_RECENT_HALF_NS to twice that. On the arbiter's thread. */
struct rein_recent_figures {
	uint64_t window_ns;                /* what it covers */
	uint64_t requests;                 /* that ended in it */
	uint64_t response_p99_ns;          /* 0: none ended */
	uint64_t wait_ns;                  /* a thread of it waited at the closed gate */
	struct rein_recent_holder culprit; /* for whose sake most of it; id 0: nobody's */
};
void rein_arbiter_recent(struct rein_arbiter_client *c, uint64_t now_ns,
                         struct rein_recent_figures *out);
/* Totals since the client joined; most of them its own word. On the arbiter's thread, or after it
 * has left. */
struct rein_counts {
	uint64_t submissions, requests, gate_waits, gate_wait_ns, backlog_waits, backlog_wait_ns;
	uint64_t lapses, points, context_holds;
	uint64_t used_ns, preemptions, missed;
};
void rein_arbiter_counts(const struct rein_arbiter_client *c, struct rein_counts *out);
/* NULL if there is none. */
struct rein_arbiter_client *rein_arbiter_find(struct rein_arbiter *a, uint32_t id);
/* Whose arrival the arbiter is quick about: spins for, never mutes. */
static inline bool rein_arbiter_is_urgent(const struct rein_arbiter_client *c)
{
	return c->policy.prio > 0 || c->policy.deadline_ns || c->policy.period_ns;
}
/* Active clients of a device now, linger included. */
unsigned rein_arbiter_device_active(const struct rein_arbiter_device *d);

#endif
