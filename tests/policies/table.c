// SPDX-License-Identifier: Apache-2.0
/* table.c: the table of tests/reind-bad, instead of policy/policies.c. */
#include <string.h>

#include "bad.h"
#include "policy/policies.h"

const struct rein_policy_ops *const rein_policies[] = {
    &rein_policy_prio, &bad_loops, &bad_crashes, &bad_joins, &bad_ponders, NULL};

const struct rein_policy_ops *rein_policy_find(const char *name)
{
	for (unsigned i = 0; rein_policies[i]; i++)
		if (strcmp(rein_policies[i]->name, name) == 0)
			return rein_policies[i];
	return NULL;
}
