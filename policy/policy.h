// SPDX-License-Identifier: Apache-2.0
/*
 * policy.h: the contract between the arbiter and a scheduling policy, in the manner of
 * sched_ext's ops table: the arbiter owns the clients, the clock and the shared memory; the
 * policy only decides. A new policy is one file with one `struct rein_policy_ops` and one row in
 * policies.c.
 *
 * Model. A *device* is a GPU that one or more clients declared. A *client* is a process that
 * joined the daemon. A client is *active* from its first unfinished submission until its request
 * ends (the shim says so; the arbiter adds the client's linger). A *verdict* says what one client
 * may do on one device until the next decision.
 *
 * Rules for a policy. No I/O, no clock (time is an argument, ns of CLOCK_MONOTONIC), no lock, no
 * allocation outside init/join, no loop without a bound by the number of clients. All ops run on
 * the arbiter's thread, one at a time. The policy writes only its own state, `client->priv` and
 * the verdicts it is asked for. A policy that hangs or crashes ends the daemon; leases cover the
 * gap and the supervisor restarts it.
 *
 * Ownership: clients belong to the arbiter and are valid from join until leave returns. `priv`
 * belongs to the policy: set in join, freed in leave.
 */
#ifndef REIN_POLICY_H
#define REIN_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/util.h"

struct rein_policy; /* an instance; defined by each policy's file, starts with its ops */

/* What the policy may know of a client. The arbiter writes all but `priv`. */
struct rein_policy_client {
	uint32_t id;
	uint32_t job;        /* clients of one job run together; equals id when alone */
	int prio;            /* 0…99, higher is more urgent */
	uint32_t weight;     /* 1…10000, among equals; fair policies use it */
	uint32_t linger_us;  /* quiet time after which its request is over */
	uint64_t backlog_ns; /* unfinished GPU time it may keep while somebody could preempt it */
	uint32_t backlog_launches;
	bool active; /* has a request (linger included) */
	/* says that it does background work now (include/rein.h): counts as priority 0 until it
	 * says otherwise, which a policy learns by being asked again, without leave and join */
	bool background;
	bool waiting; /* a thread of it waits at a closed gate */
	bool exempt;  /* its holder made no progress: do not hold it now (arbiter's rule) */
	uint64_t active_since_ns; /* when the current request began */
	uint64_t used_ns;         /* GPU time charged so far (an estimate) */
	void *priv;
};

/* What the policy answers for one client on one device. All fields start 0: open, unmetered. */
struct rein_policy_verdict {
	bool hold;    /* close the gate */
	bool metered; /* a more urgent client is registered: keep to the backlog */
	uint32_t backlog_launches;
	uint64_t backlog_ns;
	uint32_t
	    holder; /* client id for whose sake it is held; 0 if not held (for ps and traces) */
};

struct rein_policy_params {
	uint64_t ageing_ns; /* prio: +1 effective priority per this much waiting; 0 = off */
};

struct rein_policy_ops {
	const char *name;    /* as in rein.conf and `rein policy` */
	const char *summary; /* one line: what it suits, and where it fails */

	/* Makes an instance (may allocate); NULL if out of memory. Required. */
	struct rein_policy *(*init)(const struct rein_policy_params *params);
	/* Frees it; all clients have left. Required. */
	void (*fini)(struct rein_policy *p);

	/* May this client join with these parameters? 0, or -errno with a line in `why`.
	 * Omitted: always. */
	int (*admit)(struct rein_policy *p, const struct rein_policy_client *c, char *why,
	             unsigned why_len);
	/* A client joined, or its parameters changed (then leave is called first). 0 or -ENOMEM.
	 * Omitted: nothing to keep per client. */
	int (*join)(struct rein_policy *p, struct rein_policy_client *c, uint64_t now_ns);
	void (*leave)(struct rein_policy *p, struct rein_policy_client *c, uint64_t now_ns);
	/* idle → active and active → idle. Omitted: not interested. */
	void (*ready)(struct rein_policy *p, struct rein_policy_client *c, uint64_t now_ns);
	void (*idle)(struct rein_policy *p, struct rein_policy_client *c, uint64_t now_ns);
	/* `ns` of GPU time were charged to c. Omitted: not interested. */
	void (*charge)(struct rein_policy *p, struct rein_policy_client *c, uint64_t now_ns,
	               uint64_t ns);
	/*
	 * Decides for all n clients of one device: c[i] → v[i] (zeroed by the caller). Called
	 * after each of the above and when the time it last returned has come. Returns the next
	 * time at which the decision would change by itself, or UINT64_MAX. Required.
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

#endif
