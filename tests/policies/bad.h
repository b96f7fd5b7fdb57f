// SPDX-License-Identifier: Apache-2.0
/* bad.h: policies that fail on purpose, after DECISIONS: for tests/reind-bad, a
 * daemon with another table of policies (table.c). */
#ifndef REIN_TESTS_POLICIES_BAD_H
#define REIN_TESTS_POLICIES_BAD_H

#include "policy/policy.h"

#define DECISIONS 100
#define EVERY_NS 5000000 /* it asks to be asked again, so that they come */

extern const struct rein_policy_ops bad_loops, bad_crashes, bad_joins, bad_ponders;

struct bad {
	struct rein_policy base;
	unsigned decisions;
};

static inline struct rein_policy *bad_new(const struct rein_policy_ops *ops)
{
	struct bad *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->base.ops = ops;
	return &p->base;
}

static inline void bad_fini(struct rein_policy *p)
{
	free(p);
}

#endif
