// SPDX-License-Identifier: Apache-2.0
/* Stream captures beside a gate that closes, on the software GPU. */
#include "tests/process/puppet.h"

TEST(captures_do_not_wait_and_hold_nothing_of_ours)
{
	puppet_expect_ok("tests/clients/captures", "", NULL);
}
TEST_END

/* The program's own expectations are right: it finds the same without a shim. */
TEST(the_same_without_the_shim)
{
	char path[600], shm[64], out[4096];
	char *argv[] = {(char *)built("tests/clients/captures"), NULL};
	char *env[] = {path, shm, "SOFTGPU_MODE=fast", ENV_NO_LEAK_CHECK, NULL};
	snprintf(path, sizeof(path), "LD_LIBRARY_PATH=%s", built("softgpu"));
	snprintf(shm, sizeof(shm), "SOFTGPU_SHM=captures-%d", (int)getpid());
	int status = proc_run(argv, env, out, sizeof(out), PUPPET_WAIT_MS);
	ck_assert_msg(status == 0, "exit %d: %s", status, out);
}
TEST_END

TESTS("capture", captures_do_not_wait_and_hold_nothing_of_ours, the_same_without_the_shim)
