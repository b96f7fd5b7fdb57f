// SPDX-License-Identifier: Apache-2.0
/*
 * vitals.h: what the worker shows of itself while it runs: to its session thread, which ends it if
 * the arbiter hangs, and, through memory that both map, to the supervisor (supervise.h), which says
 * after its death what it was doing.
 */
#ifndef REIN_VITALS_H
#define REIN_VITALS_H

#include "../common/atomic.h"
#include "../policy/policy.h"

#define REIN_EXIT_HUNG 3    /* exit status of a worker whose arbiter hangs */
#define REIN_ADMIT_HANG_S 5 /* of the session thread's CPU time, in one call of `admit`: a hang */

struct rein_vitals {
	/* The arbiter is in one step of its loop since then; 0: between two. Writer: its thread. */
	rein_a64 step_since_ns;
	/* The policy in use, as an address: both processes are the same image. Writer: the same. */
	rein_a64 policy;
	/* The session thread is in a policy's `admit`. Writer: that thread. */
	rein_a32 admits;
};

/* Never NULL. Before the supervisor puts shared memory there, or without one: the process' own. */
extern struct rein_vitals *rein_vitals;

/* The session thread enters a policy's `admit`, or has left it. One that does not come back ends
 * the process by SIGALRM. */
void rein_vitals_admits(bool begins);

/* NULL: none yet, or no row of the table (a crash can scribble). */
const struct rein_policy_ops *rein_vitals_policy(const struct rein_vitals *v);

#endif
