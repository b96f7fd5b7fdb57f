// SPDX-License-Identifier: Apache-2.0
/* policies.h: one declaration per policy file, for the table in policies.c. */
#ifndef REIN_POLICIES_H
#define REIN_POLICIES_H

#include "policy.h"

extern const struct rein_policy_ops rein_policy_prio;
extern const struct rein_policy_ops rein_policy_fifo;

#endif
