// SPDX-License-Identifier: Apache-2.0
/* policies.h: one declaration per policy file, for the table in policies.c, and the few lines that
 * all of them need. */
#ifndef REIN_POLICIES_H
#define REIN_POLICIES_H

#include "policy.h"

extern const struct rein_policy_ops rein_policy_classes;
extern const struct rein_policy_ops rein_policy_prio;
extern const struct rein_policy_ops rein_policy_edf;
extern const struct rein_policy_ops rein_policy_cbs;
extern const struct rein_policy_ops rein_policy_fair;
extern const struct rein_policy_ops rein_policy_mlfq;
extern const struct rein_policy_ops rein_policy_fifo;

/* Lowers the time that decide returns. */
static inline void rein_policy_sooner(uint64_t *next_ns, uint64_t at_ns)
{
	*next_ns = at_ns < *next_ns ? at_ns : *next_ns;
}

/* a + b, at most UINT64_MAX: deadlines and turns that never come stay in the future. */
static inline uint64_t rein_policy_add(uint64_t a, uint64_t b)
{
	uint64_t sum;
	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

/* Its priority now: in the background it has none. */
static inline int rein_policy_level(const struct rein_policy_client *c)
{
	return c->background ? 0 : c->prio;
}

#endif
