// SPDX-License-Identifier: Apache-2.0
/* loops.c: a policy that never returns from a decision, and one that never answers whether a
 * deadline can be kept. */
#include "bad.h"

static struct rein_policy *loops_init(const struct rein_policy_params *params)
{
	return bad_new(&bad_loops);
}

static volatile bool for_ever = true;

static uint64_t loops_decide(struct rein_policy *base, struct rein_policy_client *const *c,
                             struct rein_policy_verdict *v, unsigned n, uint64_t now_ns)
{
	struct bad *p = (struct bad *)base;
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

static struct rein_policy *ponders_init(const struct rein_policy_params *params)
{
	return bad_new(&bad_ponders);
}

static int ponders_admit(const struct rein_policy_params *params, const struct rein_task *task,
                         unsigned n, struct rein_bounds *out)
{
	while (for_ever)
		;
	return 0;
}

static uint64_t ponders_decide(struct rein_policy *base, struct rein_policy_client *const *c,
                               struct rein_policy_verdict *v, unsigned n, uint64_t now_ns)
{
	return UINT64_MAX;
}

const struct rein_policy_ops bad_ponders = {.name = "ponders",
                                            .summary = "hangs when somebody asks for a deadline",
                                            .init = ponders_init,
                                            .fini = bad_fini,
                                            .admit = ponders_admit,
                                            .decide = ponders_decide};
