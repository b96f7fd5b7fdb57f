// SPDX-License-Identifier: Apache-2.0
/*
 * fifo.c: the pass-through policy. It never closes a gate and never meters a client, so the GPU
 * and its driver share the device as they do without rein.
 *
 * Suits: measuring what the shim costs by itself; watching who uses the GPU without changing
 * anything; turning scheduling off without restarting programs.
 * Fails: as soon as one program matters more than another; priorities and weights are ignored.
 */
#include "policies.h"

static struct rein_policy *fifo_init(const struct rein_policy_params *params)
{
	struct rein_policy *p = calloc(1, sizeof(*p));
	if (p)
		p->ops = &rein_policy_fifo;
	return p;
}

static void fifo_fini(struct rein_policy *p)
{
	free(p);
}

static uint64_t fifo_decide(struct rein_policy *p, struct rein_policy_client *const *c,
                            struct rein_policy_verdict *v, unsigned n, uint64_t now_ns)
{
	return UINT64_MAX; /* every verdict stays zero: open, unmetered */
}

const struct rein_policy_ops rein_policy_fifo = {
    .name = "fifo",
    .summary = "pass-through: never holds anybody; priorities are ignored",
    .init = fifo_init,
    .fini = fifo_fini,
    .decide = fifo_decide,
};
