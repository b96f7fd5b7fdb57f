// SPDX-License-Identifier: Apache-2.0
/*
 * server.h: a constant-bandwidth server, the bookkeeping of one client's budget: Q of GPU time
 * (budget_ns) in every P (period_ns), with a deadline that earliest-deadline-first orders it by.
 * `cbs` has one for each client with a budget, `edf` for those with a budget and no deadline.
 *
 * Rules. The budget is filled to Q at most once in P, and then is due P later. A client that comes
 * back earlier goes on with what is left, and if that is more than its bandwidth Q/P allows until
 * it is due, it is due later: left · P/Q from now. When nothing is left, the client is *spent*
 * until the server is due. An overrun (charges beyond the budget: a long kernel, a backlog) is paid
 * for by the next budgets, so it is counted once, however often it happens. What a spent client
 * gets with an open gate is no overrun: nobody else wanted the device.
 *
 * Requests that come exactly P apart are *seen* up to the arbiter's reaction time more or less
 * apart. So a request may find its budget filled that much too soon (at most Q); the next filling
 * counts from when it was due, so that there are no more of them in the long run.
 *
 * What follows: budgets are filled at most ⌈t/P⌉ times in any window t, so what is charged to it in
 * the window is at most (⌈t/P⌉ + 1)·Q plus one overrun; the deadlines ask for at most t·Q/P in any
 * window, whatever the client does; and a request of at most Q that comes at least P after the one
 * before it finds a full budget, due P later.
 *
 * Source: Abeni & Buttazzo, "Integrating multimedia applications in hard real-time systems", RTSS
 * 1998. Theirs fills the budget and moves the deadline as soon as it is used up (or when a client
 * comes back early); filling it only when it is due is the hard variant, and moving the deadline of
 * what is left as in Bertogna, Fisher & Baruah, "Resource-sharing servers for open environments",
 * IEEE TII 5(3), 2009.
 */
#ifndef REIN_SERVER_H
#define REIN_SERVER_H

#include "policies.h"

struct rein_server {
	int64_t left_ns; /* below 0: an overrun */
	uint64_t due_ns; /* its deadline, and when a used-up budget is filled; 0: never ran */
	uint64_t early_ns;
	bool open; /* its request has begun */
};

#define REIN_SERVER_NS_MAX (1ll << 61) /* of budgets, periods and overruns: sums stay in range */

static inline bool rein_server_spent(const struct rein_server *s)
{
	return s->left_ns <= 0 && s->due_ns;
}

/* `reaction_ns`: of the arbiter; 0: the default. */
void rein_server_join(struct rein_server *s, uint64_t reaction_ns);
/* Its request begins. */
void rein_server_ready(struct rein_server *s, const struct rein_policy_client *c, uint64_t now_ns);
/* At each decision: whether its request is open (a client in the background has none that counts),
 * and fills a used-up budget if it is time. */
void rein_server_look(struct rein_server *s, const struct rein_policy_client *c, uint64_t now_ns);
/* `advance`: what it gets beyond its budget with an open gate is taken from the next budget, at
 * most all of it. */
void rein_server_charge(struct rein_server *s, const struct rein_policy_client *c, uint64_t ns,
                        bool advance);
/* Its deadline, of its request or of one that began now; UINT64_MAX: it is spent. */
uint64_t rein_server_deadline(const struct rein_server *s, const struct rein_policy_client *c,
                              uint64_t now_ns);
/* When its budget will be used up if it runs from now on. */
uint64_t rein_server_ends(const struct rein_server *s, uint64_t now_ns);

#endif
