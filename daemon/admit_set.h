// SPDX-License-Identifier: Apache-2.0
/*
 * admit_set.h: the clients as tasks, the sets of those that stand in each other's way, and what the
 * running policy's analysis says of each. The arithmetic of admit.c, without its memory or its
 * messages. Session thread only; whoever gathers frees.
 */
#ifndef REIN_ADMIT_SET_H
#define REIN_ADMIT_SET_H

#include "client.h"

struct rein_server;

struct rein_admit_member {
	const struct rein_client *client; /* NULL: who asks and has not joined */
	struct rein_task task;
	uint64_t declared_ns,
	    measured_ns; /* of a request; a group's task[].cost_ns is what counts */
	char longest_name[REIN_KMODEL_NAME_LEN]; /* of its longest kernel; "": not known */
	bool beyond;                             /* measured more than declared, beyond doubt */
	bool hopeless;                           /* and more than its deadline */
	uint64_t devices;                        /* by index on the board; 0: none declared yet */
	/* what rein_admit_judge() found */
	bool safe;
	uint64_t response_ns;
	uint64_t cap_ns; /* of its backlog; UINT64_MAX: none needed */
	char why[256];   /* not safe: why, and what to do */
};

struct rein_admit_set {
	const struct rein_policy_ops *ops;
	struct rein_policy_params params; /* with the shortest time slice of the profiles */
	unsigned n, room;
	unsigned measured; /* of the n, so far */
	struct rein_admit_member *member;
	uint64_t explain_until_ns; /* analyses only to say why something does not hold end then */
	/* of one group, as the analyses take them */
	unsigned n_group;
	unsigned *index; /* of the member */
	struct rein_task *task;
	uint64_t *backlog_ns, *response_ns;
};

/* Who can be preempted may have a profile's short time slices (points.c): its remainder takes more
 * turns on the device. Shorter is the careful side (policy/admission.h). */
void rein_admit_slices(const struct rein_gates_of *gates, struct rein_policy_params *params);
/* All clients as they are, with room for one more. false: out of memory. */
bool rein_admit_gather(struct rein_server *s, struct rein_admit_set *out);
void rein_admit_set_fini(struct rein_admit_set *set);
/* The member for this client, or a new one. */
struct rein_admit_member *rein_admit_member_for(struct rein_admit_set *set,
                                                const struct rein_client *client);
/* Gives a member this timing and grant. */
void rein_admit_member_set(const struct rein_admit_set *set, struct rein_admit_member *m,
                           const struct rein_timing *timing, const struct rein_grant *g);

/* rein_admission_ask() about the group, watched (vitals.h). */
REIN_MUST_CHECK int rein_admit_set_ask(const struct rein_admit_set *set, unsigned candidate,
                                       struct rein_admission *out);
/* Fills group after group with members that share devices; *covered begins as 0. false: no more. */
bool rein_admit_group(struct rein_admit_set *set, uint64_t *covered);
/* Judges every member of the group; the results of several groups add up. */
void rein_admit_judge(struct rein_admit_set *set);

#endif
