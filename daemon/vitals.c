// SPDX-License-Identifier: Apache-2.0
#include "vitals.h"

static struct rein_vitals own;
struct rein_vitals *rein_vitals = &own;

const struct rein_policy_ops *rein_vitals_policy(const struct rein_vitals *v)
{
	uint64_t address = rein_load_acquire(&v->policy);
	for (unsigned i = 0; rein_policies[i]; i++)
		if ((uint64_t)(uintptr_t)rein_policies[i] == address)
			return rein_policies[i];
	return NULL;
}
