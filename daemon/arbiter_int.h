// SPDX-License-Identifier: Apache-2.0
/* arbiter_int.h: what arbiter.c, decide.c, device.c and account.c share with each other only. */
#ifndef REIN_ARBITER_INT_H
#define REIN_ARBITER_INT_H

#include "arbiter.h"

/* arbiter.c: publishes whether the client is to ring when it goes idle. */
void rein_client_notify(struct rein_arbiter_client *c);

/* device.c */
/* Looks for slots that the client declared since. */
void rein_device_look(struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns);
/* Takes the client off its devices; a device without clients is forgotten. */
void rein_device_leave(struct rein_arbiter *a, struct rein_arbiter_client *c);
/* All devices of the client: their next decision is due now. */
void rein_device_mark(struct rein_arbiter *a, struct rein_arbiter_client *c);
/* Publishes whether several clients are active. */
void rein_device_publish_owners(struct rein_arbiter *a, unsigned index);

/* decide.c: asks the policy about all dirty devices and writes what changed. */
void rein_decide(struct rein_arbiter *a, uint64_t now_ns);
/* Renews the leases of all clients that are held. */
void rein_decide_renew(struct rein_arbiter *a, uint64_t now_ns);
/* Opens all gates of one client, whatever the policy says. */
void rein_decide_open(struct rein_arbiter *a, struct rein_arbiter_client *c);

/* account.c: charges the time since the last look, with the state as it was until now. Call it
 * before any change of who is active or held. */
void rein_account_client(struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns);
void rein_account_device(struct rein_arbiter *a, struct rein_arbiter_device *d, uint64_t now_ns);

static inline bool rein_client_working(const struct rein_arbiter_client *c)
{
	return c->demand & REIN_DEMAND_ACTIVE;
}

#endif
