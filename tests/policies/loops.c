// SPDX-License-Identifier: Apache-2.0
/* loops.c: a policy that never returns from a decision. */
#include "bad.h"

static struct rein_policy *loops_init(const struct rein_policy_params *params)
{
	return bad_new(&bad_loops);
}

static uint64_t loops_decide(struct rein_policy *base, struct rein_policy_client *const *c,
                             struct rein_policy_verdict *v, unsigned n, uint64_t now_ns)
{
	struct bad *p = (struct bad *)base;
	static volatile bool for_ever = true;
	if (++p->decisions > DECISIONS)
		while (for_ever)
			;
	return now_ns + EVERY_NS;
}

const struct rein_policy_ops bad_loops = {.name = "loops",
                                          .summary = "hangs",
                                          .init = loops_init,
                                          .fini = bad_fini,
                                          .decide = loops_decide};
