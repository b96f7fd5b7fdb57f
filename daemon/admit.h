// SPDX-License-Identifier: Apache-2.0
/*
 * admit.h: reservations: who is promised a deadline, what that asks of the others, and whether it
 * still holds. The theory is the running policy's (policy/admission.h); here is what it is asked
 * about: the clients as they are.
 *
 * Who counts. Clients that share a device, directly or through others, are one set (a process is
 * held on all its devices at once, and a job's processes together); one that has declared no device
 * yet belongs to every set. A client's cost is its budget, or what was measured where that is more
 * beyond doubt: by 1/16 and by what others may have had in the GPU's queues, in
 * REIN_MEASURED_REPEATED of its last requests; its longest kernel is what its process measured.
 *
 * What follows. A reservation is in effect (the policy knows its timing) if it was accepted or the
 * policy promises nothing to anybody; refused, the client runs without. While one is in effect all
 * clients of its set keep their backlog to what the deadlines tolerate. Each time somebody joins,
 * leaves or changes, the policy or the configuration changes, and once a second for what is
 * measured, the sets are asked again: a promise that does not hold is withdrawn at once, with one
 * line in the log that says why and what to do, and given back when it has held for
 * REIN_ADMIT_GOOD_LOOKS looks. Its timing stays in effect meanwhile. While a process that is no
 * client uses the GPU (bystander.h) nothing is promised.
 *
 * Session thread only.
 */
#ifndef REIN_ADMIT_H
#define REIN_ADMIT_H

#include "bystander.h"
#include "client.h"

#define REIN_ADMIT_LOOK_NS 1000000000ull /* once a second */
#define REIN_ADMIT_GOOD_LOOKS 3
#define REIN_ADMIT_REST 10 /* so many times as long as a look took there is no other */
#define REIN_ADMIT_BYSTANDER_NS 2000000000ull
#define REIN_ADMIT_SUSPECT_NS 500000000ull /* a new one is looked at again: it may be joining */
#define REIN_ADMIT_WAIT_MS 100             /* at most, for a look, when somebody asks */

struct rein_server;

struct rein_admit {
	bool dirty;             /* somebody joined, left or changed */
	bool reserved;          /* somebody has a reservation, or wants one */
	uint64_t rest_until_ns; /* no analysis before: hundreds of reservations take a while */
	uint64_t look_ns;       /* when the sets were last asked */
	struct rein_bystander_watch *watch; /* NULL until somebody reserves, or records */
	struct rein_bystanders bystanders;  /* seen in two looks, or when somebody asked */
	struct rein_bystanders suspects;    /* of the latest look */
	uint64_t bystander_ns;              /* when it began */
};

/*
 * May a client have the timing of its grant? Fills *out, which is in effect if its promise is GIVEN
 * or NONE. `self`: the client, if it has joined, else NULL. `pid`: whose process asks, to be told
 * from bystanders, which are looked for at once; 0: they are not.
 */
void rein_admit_ask(struct rein_server *s, const struct rein_client *self, pid_t pid,
                    const char *name, const struct rein_grant *g, struct rein_reservation *out);
/* To be called after each event of the session's loop; does what is due. */
void rein_admit_step(struct rein_server *s, uint64_t now_ns);
/* For who records: looks who uses the GPU, at least every `every_ns`, whether anybody reserves or
 * not, and forgets it when that is over. What is seen goes to rein_trace_seen(). */
void rein_admit_look(struct rein_server *s, uint64_t every_ns, uint64_t now_ns);
void rein_admit_forget(struct rein_server *s);
void rein_admit_fini(struct rein_admit *a);

#endif
