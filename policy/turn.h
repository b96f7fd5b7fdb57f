// SPDX-License-Identifier: Apache-2.0
/*
 * turn.h: whose turn it is among clients that share a device by weight, one at a time. `fair` is
 * little more than this; `cbs` and `mlfq` use it for those that they do not tell apart.
 *
 * Model. Each client has a *virtual time*: the GPU time charged to it, divided by its weight. It is
 * *eligible* if that is not above the weighted mean of all who compete, that is, if it has had no
 * more than its share. Of the eligible ones the turn goes to the one with the earliest virtual
 * deadline: its virtual time plus one slice. The turn ends when the slice has been charged to it,
 * or when it goes idle. A slice is the quantum, shorter for a low latency_nice (a quarter at −20,
 * nearly fourfold at 19): a short slice comes sooner and more often, and the share stays the same,
 * because the virtual time is charged all the same, and nobody gets ahead of the mean by more than
 * a slice. One who comes with a lower latency_nice than the client whose turn it is, and an earlier
 * virtual deadline, ends that turn.
 *
 * Lag. Nobody gets ahead of or behind its share by more than the longest slice of all, plus what
 * was charged beyond the end of a turn (its backlog or longest kernel).
 *
 * Sleepers gain nothing: who comes back begins at no less than the least virtual time of those who
 * have a request. Debts last: who is ahead stays ahead over a pause.
 *
 * A client has one virtual time and one turn, also where it uses several devices on which the
 * others' times pass at different speeds: its share there is not exact. So that it cannot wait for
 * ever on one of them, and after any other accident with charges, who has waited sixteen times as
 * long as its share explains, plus a second, is next.
 *
 * Rules. `struct rein_turn` is the first member of the user's rein_policy_client.priv. Before
 * each pick the user sets `shares` (belongs to those that share by weight at all) and `in`
 * (competes now: active, among others) of every client. No allocation, no clock; O(n).
 *
 * Source: Stoica & Abdel-Wahab, "Earliest Eligible Virtual Deadline First", Old Dominion University
 * TR-95-22, 1995, which Linux has used since 6.6; start-time fair queueing, Goyal, Vin & Cheng,
 * SIGCOMM 1996, for the rule on sleepers.
 */
#ifndef REIN_TURN_H
#define REIN_TURN_H

#include "policy.h"

/* Twice the default backlog: what the one before left in the GPU's queues is at most half of a
 * turn, and what a client's own turn leaves to the next one makes up for it. */
#define REIN_TURN_QUANTUM_NS 8000000ull
#define REIN_TURN_QUANTUM_MAX_NS (1ull << 36) /* 69 s; more counts as that */

struct rein_turn {
	uint64_t vtime;    /* 2^14 / weight for each ns; wraps around: only differences count */
	uint64_t left_ns;  /* of its turn */
	uint64_t since_ns; /* last charge, or begin of its request: it waits since then */
	bool shares, in;   /* set by the user */
	bool live;         /* has a request, also one that is held on another device */
	bool placed;       /* its virtual time is up to date */
	bool known;        /* it has one */
	bool mine;         /* it has the turn */
	bool fresh;        /* its request began after the last pick: it may end another's turn */
};

void rein_turn_join(struct rein_turn *t, uint64_t now_ns);
void rein_turn_ready(struct rein_turn *t, uint64_t now_ns);
void rein_turn_idle(struct rein_turn *t);
void rein_turn_charge(struct rein_turn *t, const struct rein_policy_client *c, uint64_t now_ns,
                      uint64_t ns);
/* Index of the client whose turn it is; n if nobody competes. Lowers *next_ns to the end of the
 * turn if anybody else waits for it. */
unsigned rein_turn_pick(struct rein_policy_client *const *c, unsigned n, uint64_t quantum_ns,
                        uint64_t now_ns, uint64_t *next_ns);

#endif
