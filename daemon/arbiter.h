// SPDX-License-Identifier: Apache-2.0
/*
 * arbiter.h: from demand words to verdicts. The core of the daemon, without sockets, threads or a
 * clock of its own: time is an argument, shared memory is whatever the caller passes. loop.c runs
 * it on the arbiter's thread; tests run it with a fake clock on plain memory.
 *
 * Model. A client's *demand word* says whether it has a request (abi.h). The client counts as
 * active from then until its word has said idle for `linger_us` without a break; one that declares
 * its requests (include/rein.h) is active from the begin of one to its end, and without any linger
 * after that. A *decision*
 * asks the policy for one verdict per client of a device and writes those that changed. A client
 * that uses several devices is held on all of them as soon as one says so: suspension is per
 * process, so no dependency between its devices can deadlock.
 *
 * Leases. A closed gate counts as open from `lease_until_ns` on. While the hold lasts the lease
 * is renewed every REIN_ARBITER_TICK_NS, but only while the client for whose sake it is made
 * makes progress (its demand word or its counters change) within its `patience_ns`. One that does
 * not is *stalled*: the policy sees it as idle, so nobody is held for it, and those that were are
 * *exempt* from every hold for one lease, because it may wait for one of them. While it stays
 * stalled they are exempted again for one lease in every REIN_ARBITER_RELIEF_NS. The next change
 * of its words ends the stall. If its heartbeat still rises it is merely *slow*: long work on the
 * GPU looks like that, and so does waiting for a held client. Then the holds stay, and open for a
 * *breath* of REIN_ARBITER_BREATH_NS in every REIN_ARBITER_BREATH_EVERY_NS, until that has gone on
 * for REIN_ARBITER_SLOW_MAX_NS.
 *
 * Charging. The time since the last look is charged, per device, to the clients that were active
 * with an open gate, in equal parts: exact for a sole one, an estimate for several.
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

#define REIN_CLIENTS_MAX 1024
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
#define REIN_SHARE_BUCKETS 10 /* of 100 ms each */
#define REIN_SHARE_BUCKET_NS 100000000ull

struct rein_arbiter_slot { /* one declared device of one client */
	bool seen;
	int device; /* index into the arbiter's devices; -1: not scheduled */
	bool hold;  /* what the policy said for this device */
	bool metered;
	uint32_t holder, backlog_launches;
	uint64_t backlog_ns;
	struct { /* the verdict as last written, so that only changes are */
		uint32_t gate, backlog_launches;
		uint64_t backlog_ns;
	} written;
};

struct rein_arbiter_client {
	/* set by the caller before join */
	struct rein_policy_client policy; /* id, prio, weight, linger, backlog; the rest is ours */
	uint64_t patience_ns;
	bool gate_implicit; /* tells its shim so */
	uid_t uid;
	pid_t pid;
	char name[REIN_NAME_LEN];
	struct rein_control *control;
	const struct rein_status *status;

	/* the arbiter's own */
	uint32_t demand; /* the word as last read */
	uint32_t words;  /* changes of it in the window that began then: */
	uint64_t window_ns;
	uint64_t deaf_until_ns; /* it changed too often: not looked at before; 0: looked at */
	uint64_t idle_since_ns; /* lingering since; 0: not lingering */
	bool exact;             /* that is the end of a declared request: no linger */
	bool live;              /* active, linger included */
	bool stalled;
	bool held;
	uint32_t holder; /* client id for whose sake it is held; 0 */
	bool holding;    /* somebody is held for it */
	bool rare;       /* its requests are far apart */
	bool notified;   /* REIN_CONTROL_NOTIFY_IDLE as last written */
	uint64_t progress_ns;
	uint64_t relief_ns; /* stalled: when the next exemption of the others is due */
	uint64_t submissions, requests, heartbeats;
	uint64_t alive_ns;  /* when the heartbeat was last seen to rise */
	uint64_t said_ns;   /* when that was last reported */
	uint64_t breath_ns; /* slow: when the next breath of the others is due; 0: not slow */
	uint64_t exempt_until_ns;
	uint32_t exempt_for; /* the stalled client's id; 0: not exempt */
	unsigned n_devices;
	struct rein_arbiter_slot slot[REIN_DEVICES_MAX];
	uint64_t bucket[REIN_SHARE_BUCKETS];
	uint64_t bucket_index;
	unsigned position; /* in the arbiter's list */
	UT_hash_handle hh; /* by id */
};

struct rein_arbiter_device {
	uint8_t uuid[16];
	int index; /* on the board */
	uid_t uid; /* who declared it first */
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
	/* What the tests replace: waking a gate's waiters, and one line for the log. */
	void (*wake)(const rein_a32 *gate);
	void (*say)(void *arg, const char *line);
	void *say_arg;
	unsigned n;
	struct rein_arbiter_client *client[REIN_CLIENTS_MAX];
	struct rein_arbiter_client *by_id;
	struct rein_arbiter_device *device[REIN_BOARD_DEVICES_MAX]; /* NULL: free */
	struct rein_arbiter_device *by_uuid;
	bool dirty;       /* some device is */
	bool opened;      /* rein_arbiter_open_all() was called: nothing is decided any more */
	uint64_t tick_ns; /* next look at progress, leases and accounts */
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

/* What may be changed while a client is joined. */
struct rein_arbiter_params {
	int prio;
	uint32_t weight, linger_us, backlog_launches;
	uint64_t backlog_ns, patience_ns;
	bool gate_implicit;
};
/* As leave and join in the policy; the old parameters stay on an error. */
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
/* The words of clients with a priority above 0 only: true if one changed since the last scan. */
bool rein_arbiter_urgent_changed(const struct rein_arbiter *a);
/* True if any client's word changed since the last scan. The loads are sequentially consistent:
 * the arbiter's half of the doorbell rule, after its store to rein_board.asleep. */
bool rein_arbiter_changed(const struct rein_arbiter *a);
/* One client rang: also looks for devices that it declared. */
void rein_arbiter_look(struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns);

/* Does what is due at `now_ns`: lingers, stalls, leases, accounts, decisions. Returns when to
 * call again even if no word changes; UINT64_MAX: not before. */
uint64_t rein_arbiter_step(struct rein_arbiter *a, uint64_t now_ns);

/* Opens every gate for good; used before the daemon ends. */
void rein_arbiter_open_all(struct rein_arbiter *a);

/* Brings the accounts up to date, then: its share of one device's time in the last second. */
void rein_arbiter_account(struct rein_arbiter *a, uint64_t now_ns);
double rein_arbiter_share(const struct rein_arbiter_client *c, uint64_t now_ns);
/* NULL if there is none. */
struct rein_arbiter_client *rein_arbiter_find(struct rein_arbiter *a, uint32_t id);
/* Active clients of a device now, linger included. */
unsigned rein_arbiter_device_active(const struct rein_arbiter_device *d);

#endif
