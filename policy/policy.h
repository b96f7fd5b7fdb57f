// SPDX-License-Identifier: Apache-2.0
/*
 * policy.h: the contract between the arbiter and a scheduling policy, in the manner of
 * sched_ext's ops table: the arbiter owns the clients, the clock and the shared memory; the
 * policy only decides. A new policy is one file with one `struct rein_policy_ops` and one row in
 * policies.c; docs/writing-a-policy.md walks through one of a page.
 *
 * Entities
 *   device   a GPU that one or more clients declared. Decisions are made per device.
 *   client   a process that joined the daemon.
 *   job      clients that run together or not at all, over all their devices (NCCL ranks). The
 *            arbiter holds the whole job when a policy holds one of it; a policy need not care.
 *   request  what a client is asked for: from its first unfinished submission until its streams
 *            have drained (plus linger), or from begin to end where the program declares it
 *            (include/rein.h). A client that has one is *active*. `ready` and `idle` mark its ends.
 *   verdict  what one client may do on one device until the next decision: its gate, its backlog
 *            (how much unfinished work it may keep), its SM slice, its time slice.
 *
 * Units: _ns nanoseconds, _us microseconds, CLOCK_MONOTONIC for points in time; prio 0…99 and
 * HIGHER IS MORE URGENT; weight 1…10000; latency_nice −20…19 and LOWER IS MORE URGENT (as nice).
 *
 * Rules for a policy. No I/O, no clock (time is an argument), no lock, no allocation outside
 * init/join, no loop without a bound by the number of clients. All ops but `admit` run on the
 * arbiter's thread, one at a time; time never goes back from one to the next. The policy writes
 * only its own state, `client->priv` and the verdicts it is asked for. A policy that hangs or
 * crashes ends the daemon; leases cover the gap and the supervisor restarts it with `prio`.
 *
 * What every policy must keep (tests/unit/test_policy.c checks all rows of the table)
 *   - work-conserving: if a client of the device is active, some active client is not held, unless
 *     the policy says in its header when it is not (hard budgets);
 *   - whoever is held is held for a client that is active and not held itself, and `holder` names
 *     it (0 only if nobody is to blame: an exhausted budget);
 *   - an `exempt` client is never held;
 *   - metered depends on who is *registered*, not on who is active: a client must keep its backlog
 *     short before somebody more urgent comes, not after.
 *
 * Ownership: clients belong to the arbiter and are valid from join until leave returns. `priv`
 * belongs to the policy: set in join, freed in leave.
 */
#ifndef REIN_POLICY_H
#define REIN_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/util.h"
#include "admission.h"

struct rein_policy; /* an instance; defined by each policy's file, starts with its ops */

/* Bands of the composite policy `classes`, most urgent first. */
enum rein_band {
	REIN_BAND_REALTIME,    /* declared deadline, period or budget */
	REIN_BAND_INTERACTIVE, /* priority above 0 */
	REIN_BAND_BATCH,       /* best effort */
	REIN_BAND_IDLE,        /* only what nobody else wants */
	REIN_BANDS
};

/* What the policy may know of a client. The arbiter writes all but `priv`. */
struct rein_policy_client {
	uint32_t id;
	uint32_t job; /* clients of one job run together; equals id when alone */

	/* its parameters: constant between join and leave (a change is leave, then join), but for
	 * job, linger and backlog, which admission changes any time: what it has used stays known
	 */
	int prio;             /* 0…99, higher is more urgent */
	uint32_t weight;      /* 1…10000, among equals; fair policies use it */
	int latency_nice;     /* −20…19, lower: sooner its turn, never more of the GPU */
	enum rein_band band;  /* the composite's; others may ignore it */
	uint64_t deadline_ns; /* of a request, after its release; 0: none */
	uint64_t period_ns;   /* least time between two releases, or of a budget; 0: none */
	uint64_t budget_ns;   /* GPU time a request takes, or may take per period; 0: none */
	uint32_t linger_us;   /* quiet time after which its request is over */
	/* unfinished work it may keep while somebody could preempt it: what its class says, in GPU
	 * time lowered to what admitted deadlines tolerate */
	uint32_t backlog_launches;
	uint64_t backlog_ns;
	bool declared;    /* somebody gave it a priority, class or timing; else all is default */
	bool budget_hard; /* cbs: held when the budget is used up; else it goes on, less urgently */

	/* its state */
	bool active; /* has a request (linger included) */
	/* says that it does background work now (include/rein.h): counts as priority 0 until it
	 * says otherwise, which a policy learns by being asked again, without leave and join */
	bool background;
	bool waiting; /* a thread of it waits at a closed gate */
	bool held;   /* its gate is closed, whoever wanted it: what is charged to it now is the rest
	                of its queue. Set after each decision */
	bool exempt; /* its holder made no progress: do not hold it now (arbiter's rule) */
	uint64_t active_since_ns; /* when the current request began */
	uint64_t release_ns;      /* when it arrived: the program's word if it declares its
	                             requests, else active_since_ns. Never in the future */
	uint64_t due_ns;          /* deadline of its current request, absolute: the program's word,
	                             else release_ns + deadline_ns; 0: none */
	uint64_t used_ns;         /* GPU time charged so far (an estimate) */
	void *priv;
};

/* What the policy answers for one client on one device. All fields start 0: open, unmetered. */
struct rein_policy_verdict {
	bool hold;    /* close the gate */
	bool metered; /* somebody registered could preempt it: keep to the backlog */
	bool spare;   /* it is let through only because nobody with a better claim wants the device
	               * (a budget is used up): `classes` lets the bands below go first */
	uint32_t backlog_launches; /* 0: the client's own */
	uint64_t backlog_ns;       /* 0: the client's own */
	uint64_t point_ns;         /* metered: estimated work between points, where the queue gate
	                              is to be had; 0: the arbiter's choice */
	uint32_t sms;              /* SM slice; 0: the whole device */
	uint32_t timeslice_us;     /* the driver's time slice for its contexts; 0: its default */
	uint32_t holder;           /* client id for whose sake it is held; 0 if not held, or if its
	                              own budget is the reason (for ps and traces) */
};

enum rein_overload { REIN_OVERLOAD_SHED, REIN_OVERLOAD_DEGRADE };

/* A policy's parameters; 0 means its default everywhere, so zeroed params are valid. */
struct rein_policy_params {
	uint64_t ageing_ns;  /* prio: +1 effective priority per this much waiting; 0: off */
	uint64_t quantum_ns; /* fair, mlfq: how long one client runs before its turn is over */
	uint64_t boost_ns;   /* mlfq: how often everybody goes back to the top level */
	/* edf: a request past its deadline runs after all others (shed), or with a deadline one
	 * period later (degrade) */
	enum rein_overload overload;
	bool no_reclaim; /* cbs: unused budget is not given to others */
	/* admission (admission.h says what is made of them): what one change of the running context
	 * costs the GPU (δ), the longest from a demand word's change to the gates and on to the
	 * first submission behind them (ρ), the driver's time slice. 0: none; slice: its default */
	uint64_t switch_ns, reaction_ns, timeslice_ns;
	/* classes: the policy inside each band (NULL: its default, never `classes`), and the most
	 * of each cap_period_ns that a band may take from the bands below, in 1/1000 (0: all) */
	const struct rein_policy_ops *inner[REIN_BANDS];
	uint32_t cap_permille[REIN_BANDS];
	uint64_t cap_period_ns;
};

struct rein_policy_ops {
	const char *name;    /* as in rein.conf and `rein policy` */
	const char *summary; /* one line: what it suits, and where it fails */

	/* Makes an instance (may allocate); NULL if out of memory. Required. */
	struct rein_policy *(*init)(const struct rein_policy_params *params);
	/* Frees it; all clients have left. Required. */
	void (*fini)(struct rein_policy *p);

	/*
	 * Can every deadline in this set be kept under this policy? A pure function of its
	 * arguments, without an instance: it may take milliseconds, so it runs on the session
	 * thread, on a snapshot; see admission.h for the task model, what it writes, and errors.
	 * Omitted: the policy guarantees nothing; a client that declares timing runs all the same
	 * and is told so.
	 */
	int (*admit)(const struct rein_policy_params *params, const struct rein_task *task,
	             unsigned n, struct rein_bounds *out);

	/* A client joined, or its parameters changed (then leave is called first). 0 or -ENOMEM.
	 * Whoever is active then joins and leaves idle all the same: `ready` follows, `idle` comes
	 * before. Omitted: nothing to keep per client. */
	int (*join)(struct rein_policy *p, struct rein_policy_client *c, uint64_t now_ns);
	void (*leave)(struct rein_policy *p, struct rein_policy_client *c, uint64_t now_ns);
	/* A request begins and ends: idle → active and active → idle, also both at once when one
	 * declared request follows another. Omitted: not interested. */
	void (*ready)(struct rein_policy *p, struct rein_policy_client *c, uint64_t now_ns);
	void (*idle)(struct rein_policy *p, struct rein_policy_client *c, uint64_t now_ns);
	/* `ns` of GPU time were charged to c. Omitted: not interested. */
	void (*charge)(struct rein_policy *p, struct rein_policy_client *c, uint64_t now_ns,
	               uint64_t ns);
	/*
	 * Decides for all n clients of one device: c[i] → v[i] (zeroed by the caller). Called
	 * after each of the above and when the time it last returned has come, but not sooner than
	 * 50 µs after the last time. Returns the next time at which the decision would change by
	 * itself, or UINT64_MAX; a hold without a holder needs such a time. Required.
	 */
	uint64_t (*decide)(struct rein_policy *p, struct rein_policy_client *const *c,
	                   struct rein_policy_verdict *v, unsigned n, uint64_t now_ns);
};

struct rein_policy {
	const struct rein_policy_ops *ops;
};

/* All policies, NULL-terminated; the first is the default. policies.c */
extern const struct rein_policy_ops *const rein_policies[];
/* NULL if there is none of that name. */
const struct rein_policy_ops *rein_policy_find(const char *name);

#define REIN_POLICY_BACKLOG_NS 4000000ull /* default backlog: two 2 ms kernels */
#define REIN_POLICY_BACKLOG_LAUNCHES 64u
#define REIN_POLICY_LINGER_US 200u
#define REIN_POLICY_WEIGHT 100u
#define REIN_POLICY_CAP_PERIOD_NS 1000000000ull /* default of cap_period_ns */
#define REIN_POLICY_TASKS_MAX 1024 /* = REIN_CLIENTS_MAX: what admit may be asked about */

#endif
