// SPDX-License-Identifier: Apache-2.0
/* policies.c: the table of policies, the default first. A new policy is one file and one row here.
 */
#include "policies.h"

#include <string.h>

const struct rein_policy_ops *const rein_policies[] = {
    &rein_policy_classes, &rein_policy_prio, &rein_policy_edf,  &rein_policy_cbs,
    &rein_policy_fair,    &rein_policy_mlfq, &rein_policy_fifo, NULL,
};

const struct rein_policy_ops *rein_policy_find(const char *name)
{
	for (unsigned i = 0; rein_policies[i]; i++)
		if (strcmp(rein_policies[i]->name, name) == 0)
			return rein_policies[i];
	return NULL;
}
