// SPDX-License-Identifier: Apache-2.0
/*
 * admission.h: what can be promised. The task model that a policy's `admit` analyses, and the
 * answer to one who asks for a reservation.
 *
 * Model. Each client is a *task*: a sporadic stream of requests, at least `period_ns` apart, each
 * taking at most `cost_ns` of the whole device (measured alone, host gaps included: while a
 * request is open nobody less urgent is let in) and due `deadline_ns` after its release. A task
 * without timing (period_ns = 0) gets no promise; it only stands in others' way. The device is one
 * processor that is preempted between submissions only: a task whose gate has just closed still
 * runs what it has queued, at most `block_ns` = max(its backlog, its longest kernel). Unlike on a
 * CPU several such remainders can be queued at once, because the queues live in the GPU: an
 * urgent request can meet one of *each* less urgent task, so they add up. Once it has met them no
 * further ones come, because all less urgent gates are closed while anybody more urgent is active.
 *
 * What it costs to change clients (the params of policy.h)
 *
 * δ, switch_ns: a request pays one change of context at its begin and one at its end; whom it
 * preempts waits for both. A remainder of b takes ⌈b / timeslice⌉ more turns on the device, since
 * contexts with queued work take turns, and each turn pays two changes.
 *
 * ρ, reaction_ns, the tardiness of the gate: less urgent work goes on for ρ after a request's first
 * submission, and nobody runs for linger_ns + ρ after its last. The one submission that each
 * thread may have past the check when a gate closes is part of the backlog, because the shim
 * counts before it checks.
 *
 * Not in the model, so no promise: processes whose work is not gated; requests that take more than
 * their cost or come sooner than their period (servers excepted); kernels longer than longest_ns
 * says; gaps of the host longer than the linger inside a request that is not declared; background
 * work beside requests in one process, unless cost_ns covers it; a request's GPU work that goes on
 * without progress for longer than the class' patience (then the arbiter lets others breathe); a
 * server that is charged for more than it did (charges are estimates: leave room in its budget);
 * ageing; work that was queued before the more urgent client joined.
 *
 * Threads: pure functions, no allocation beyond the stack (at most 384 KiB), reentrant. Time: their
 * work is bounded, however hostile the set; an analysis that comes to its bound answers "not safe".
 * Units: ns; times above REIN_ADMISSION_TIME_MAX_NS are refused. Sums saturate.
 *
 * Sources: response times, Joseph & Pandya 1986, Audsley et al. 1993; non-preemptive blocking
 * and limited preemption, Buttazzo, Bertogna & Yao, "Limited preemptive scheduling for real-time
 * systems: a survey", IEEE TII 9(1), 2013; processor demand, Baruah, Rosier & Howell 1990, and
 * QPA, Zhang & Burns 2009; EDF response times, Spuri, INRIA RR-2772, 1996; constant-bandwidth
 * servers, Abeni & Buttazzo, RTSS 1998; overhead accounting of preemptions of GPU contexts, GCAPS
 * (Wang et al., ECRTS 2024).
 */
#ifndef REIN_ADMISSION_H
#define REIN_ADMISSION_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/util.h"

struct rein_policy_ops;
struct rein_policy_params;

struct rein_task {
	const char *name; /* the caller's; may be NULL */
	uint32_t id;      /* the client's; for messages */
	int prio;
	int band;             /* enum rein_band */
	bool server;          /* cbs: cost_ns per period_ns is enforced, whatever it asks for */
	uint64_t period_ns;   /* 0: no timing declared, no promise */
	uint64_t deadline_ns; /* 0 with a period: equal to it */
	uint64_t cost_ns;     /* declared budget, or what was measured if that is more */
	uint64_t longest_ns;  /* longest piece that cannot be preempted, measured; 0: not known */
	uint64_t backlog_ns;  /* what its class lets it keep queued; admission may lower it */
	uint64_t linger_ns; /* others stay held so long after its request; 0 if it declares them */
};

/* The answer of a policy's `admit`: one entry per task, same order. */
struct rein_bounds {
	/* In: how much each task may keep queued (the blocking it can cause is the greater of this
	 * and its longest_ns). Arrays are the caller's, n long. */
	const uint64_t *backlog_ns;
	/* Out: worst response time of task i, release to end; UINT64_MAX: none can be given (no
	 * timing, or unbounded). A task with timing is safe if it is at most its deadline. */
	uint64_t *response_ns;
};
/* `admit` returns 0 if every task with timing is safe, 1 if one is not, -EINVAL if the set makes
 * no sense (a cost above its deadline, a timing with cost 0), -E2BIG above REIN_POLICY_TASKS_MAX.
 */

enum rein_admission_verdict {
	REIN_ADMIT_ACCEPT, /* as asked for */
	REIN_ADMIT_LATER,  /* with `deadline_ns`, the earliest that can be kept; why: not sooner */
	REIN_ADMIT_REJECT,
	REIN_ADMIT_NONE, /* the policy promises nothing */
};

struct rein_admission {
	enum rein_admission_verdict verdict;
	uint64_t deadline_ns; /* the candidate's, granted; on REJECT as asked for */
	uint64_t response_ns; /* the candidate's bound with that; UINT64_MAX: none */
	/* The binding task: the one with the least slack, or the one that would miss. */
	unsigned binding; /* index */
	int64_t
	    slack_ns; /* of the binding task: deadline − bound; negative: by how much it misses */
	/* The largest backlog, common to all tasks that could stand in somebody's way, with which
	 * the set is still safe; UINT64_MAX: no deadline depends on it; 0 with REJECT. A task keeps
	 * min(its own, this). */
	uint64_t backlog_ns;
	char why[256]; /* one line, names and figures, for people */
};

/* The least backlog that admission hands out: below it launches cannot be queued back to back, and
 * throughput falls; a deadline that needs less is rejected. */
#define REIN_ADMISSION_BACKLOG_MIN_NS 200000ull

/*
 * May task[candidate] run with the timing it asks for, without breaking a promise to the others?
 * Tries the set as it is with each task's own backlog, then with smaller ones, then with a later
 * deadline for the candidate (at most its period, or 4 × the deadline it asked for where that is
 * more). `candidate` = n: nobody asks; is the set safe as it is (a re-check)?
 * 0, or -EINVAL/-E2BIG as admit, with *out->why set.
 */
REIN_MUST_CHECK int rein_admission_ask(const struct rein_policy_ops *ops,
                                       const struct rein_policy_params *params,
                                       const struct rein_task *task, unsigned n, unsigned candidate,
                                       struct rein_admission *out);

/* The analyses that the policies' admit functions are made of. All: 0 safe, 1 not, -EINVAL, -E2BIG.
 * Fixed priorities, as the policy prio runs them whatever the band: response-time analysis. */
REIN_MUST_CHECK int rein_admission_fixed(const struct rein_policy_params *params,
                                         const struct rein_task *task, unsigned n,
                                         struct rein_bounds *out);
/* Earliest deadline first among the tasks with timing, as edf and cbs run them whatever the band;
 * tasks without are below all of them. A server's deadlines are its period apart; it counts with
 * its budget, however much it asks for. */
REIN_MUST_CHECK int rein_admission_edf(const struct rein_policy_params *params,
                                       const struct rein_task *task, unsigned n,
                                       struct rein_bounds *out);
/* The composite `classes`: each band below those above it, analysed by its inner policy: edf and
 * cbs as above, prio as above; tasks of other inner policies get no bound and do not make a set
 * unsafe. NULL in params->inner: edf, prio, none, none. A cap bounds what a band takes from those
 * below; a band whose own tasks could come to its cap gets no bounds. */
REIN_MUST_CHECK int rein_admission_classes(const struct rein_policy_params *params,
                                           const struct rein_task *task, unsigned n,
                                           struct rein_bounds *out);
/* A server of a safe set: the longest that a request of `cost_ns` takes that finds no earlier one
 * of its client unfinished, however much the client asked for before. UINT64_MAX: no server. */
uint64_t rein_admission_server_response(const struct rein_task *server, uint64_t cost_ns);

#define REIN_ADMISSION_TIME_MAX_NS (1ull << 60)
/* What to assume of a machine that was not calibrated: a GPU's context switch (150 us by latencies
 * on an H200, docs/gpu-facts.md), the sleeping arbiter and the woken program (99 % of wake-ups on
 * an idle machine take less), half of the time slice that libcuda sets there (2,048 us): shorter
 * ones make more changes, so this is the careful side. */
#define REIN_ADMISSION_SWITCH_NS 150000ull
#define REIN_ADMISSION_REACTION_NS 100000ull
#define REIN_ADMISSION_TIMESLICE_NS 1000000ull

#endif
