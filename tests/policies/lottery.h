// SPDX-License-Identifier: Apache-2.0
/* lottery.h: stands for the line in policy/policies.h that a policy of the table has. */
#ifndef REIN_TESTS_POLICIES_LOTTERY_H
#define REIN_TESTS_POLICIES_LOTTERY_H

#include "policy/policies.h"

extern const struct rein_policy_ops rein_policy_lottery;

#endif
