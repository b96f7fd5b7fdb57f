// SPDX-License-Identifier: Apache-2.0
/* crashes.c: a policy that dies of SIGSEGV in a decision, with whoever was more urgent holding all
 * others: whatever it closed must open by itself. And one that dies when somebody joins. */
#include <signal.h>

#include "bad.h"

static struct rein_policy *crashes_init(const struct rein_policy_params *params)
{
	return bad_new(&bad_crashes);
}

static void crash(void)
{
	signal(SIGSEGV, SIG_DFL); /* a sanitizer would turn it into an exit */
	raise(SIGSEGV);
}

static uint64_t crashes_decide(struct rein_policy *base, struct rein_policy_client *const *c,
                               struct rein_policy_verdict *v, unsigned n, uint64_t now_ns)
{
	struct bad *p = (struct bad *)base;
	if (++p->decisions > DECISIONS)
		crash();
	const struct rein_policy_client *top = NULL;
	for (unsigned i = 0; i < n; i++)
		if (c[i]->active && (!top || c[i]->prio > top->prio))
			top = c[i];
	for (unsigned i = 0; top && i < n; i++) {
		v[i].hold = c[i]->prio < top->prio && !c[i]->exempt;
		v[i].holder = v[i].hold ? top->id : 0;
	}
	return now_ns + EVERY_NS;
}

const struct rein_policy_ops bad_crashes = {.name = "crashes",
                                            .summary = "crashes",
                                            .init = crashes_init,
                                            .fini = bad_fini,
                                            .decide = crashes_decide};

static struct rein_policy *joins_init(const struct rein_policy_params *params)
{
	return bad_new(&bad_joins);
}

static int joins_join(struct rein_policy *base, struct rein_policy_client *c, uint64_t now_ns)
{
	crash();
	return 0;
}

const struct rein_policy_ops bad_joins = {.name = "joins",
                                          .summary = "crashes when somebody joins",
                                          .init = joins_init,
                                          .fini = bad_fini,
                                          .join = joins_join,
                                          .decide = crashes_decide};
