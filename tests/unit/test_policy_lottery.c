// SPDX-License-Identifier: Apache-2.0
/* test_policy_lottery.c: the example of docs/writing-a-policy.md, and how a policy is tested: the
 * rig checks the contract at every decision, the test what the policy promises beyond it. */
#include "tests/policies/lottery.c" // NOLINT(bugprone-suspicious-include)
#include "tests/unit/policy_rig.h"

static struct policy_rig rig;

TEST(shares_follow_the_weights_in_the_long_run)
{
	rig_start_ops(&rig, &rein_policy_lottery);
	for (uint32_t i = 1; i <= 4; i++)
		rig_add(&rig, &(struct rig_client){.c.weight = 100 * i, .cost_ns = RIG_ENDLESS});
	rig_run(&rig, 100 * RIG_S);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_double_eq_tol((double)rig.client[i].service_ns, 10e9 * (i + 1), 1e9);
	ck_assert_uint_eq(rig.idle_ns, 0);
	rig_end(&rig);
}
TEST_END

TEST(requests_of_all_kinds_keep_the_contract)
{
	rig_start_ops(&rig, &rein_policy_lottery);
	for (unsigned i = 0; i < 20; i++)
		rig_add(&rig, &(struct rig_client){.cost_ns = 1 + rig_random(20 * RIG_MS),
		                                   .pause_ns = rig_random(100 * RIG_MS),
		                                   .random = true});
	rig_run(&rig, 20 * RIG_S);
	for (unsigned i = 0; i < 20; i++)
		ck_assert_uint_gt(rig.client[i].done, 0);
	ck_assert_uint_eq(rig.idle_ns, 0);
	rig_end(&rig);
}
TEST_END

TEST(the_quantum_is_a_parameter)
{
	rig.params.quantum_ns = 3 * RIG_MS;
	rig_start_ops(&rig, &rein_policy_lottery);
	rig_add(&rig, &(struct rig_client){.cost_ns = RIG_ENDLESS});
	rig_add(&rig, &(struct rig_client){.cost_ns = RIG_ENDLESS});
	rig_run(&rig, 10 * RIG_MS);
	ck_assert_uint_eq(rig.decide_ns % (3 * RIG_MS), 0);
	ck_assert(rig.client[0].v.hold != rig.client[1].v.hold);
	rig_end(&rig);
}
TEST_END

TESTS("policy lottery", shares_follow_the_weights_in_the_long_run,
      requests_of_all_kinds_keep_the_contract, the_quantum_is_a_parameter)
