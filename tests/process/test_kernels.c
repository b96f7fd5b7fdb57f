// SPDX-License-Identifier: Apache-2.0
/*
 * test_kernels.c: typical kernels compiled by nvcc (tests/kernels) give the results of the CPU on
 * the software GPU; the program that checks them (tests/clients/kernels.c) knows nothing of it.
 */
#include "tests/harness.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LIMIT_MS 60000

TEST(kernels)
{
	static char output[16384];
	char client[600], folder[600], library_path[600], shm[64];
	snprintf(client, sizeof(client), "%s", built("tests/clients/kernels"));
	snprintf(folder, sizeof(folder), "%s", built("tests/kernels"));
	snprintf(library_path, sizeof(library_path), "LD_LIBRARY_PATH=%s", built("softgpu"));
	snprintf(shm, sizeof(shm), "SOFTGPU_SHM=test-%d", (int)getpid());
	char *argv[] = {client, folder, NULL};
	char *env[] = {library_path, shm, "SOFTGPU_MODE=fast", ENV_ENDS_ANYHOW, NULL};
	int status = proc_run(argv, env, output, sizeof(output), LIMIT_MS), n = 0;
	for (const char *at = output; (at = strstr(at, " ok\n")); at++)
		n++;
	ck_assert_msg(status == 0 && n >= 12, "status %d after %d kernels\n%s", status, n, output);
}
TEST_END

TESTS("kernels", kernels)
