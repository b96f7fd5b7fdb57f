// SPDX-License-Identifier: Apache-2.0
/*
 * test_rm_double.c: the software GPU's resource manager seen through a preloaded ioctl(), by the
 * probes of the context gate: rm_spy.so finds the groups, and the controls on them do what they
 * say: a held kernel makes no progress, and its result is right afterwards.
 */
#include "tests/harness.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define WAIT_MS 60000

static char out[65536];

static int run(const char *probe, const char *rm, const char *mode)
{
	char program[64], preload[400], path[400], shm[64], name[96];
	snprintf(program, sizeof(program), "gpu/%s", probe);
	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", built("gpu/preload/rm_spy.so"));
	snprintf(path, sizeof(path), "LD_LIBRARY_PATH=%s", built("softgpu"));
	snprintf(shm, sizeof(shm), "SOFTGPU_SHM=test-rm-%d", (int)getpid());
	char *const argv[] = {(char *)built(program), "--blocks", "2",       "--threads", "32",
	                      "--kernel-ms",          "2",        "--quick", NULL};
	char *const env[] = {preload, path, shm, (char *)rm, (char *)mode, ENV_NO_LEAK_CHECK, NULL};
	int rc = proc_run(argv, env, out, sizeof(out), WAIT_MS);
	snprintf(name, sizeof(name), "/softgpu-%d-test-rm-%d", (int)getuid(), (int)getpid());
	shm_unlink(name); /* of a helper process that was killed */
	return rc;
}

static void expect(const char *text)
{
	ck_assert_msg(strstr(out, text) != NULL, "no '%s' in: %.3000s", text, out);
}

TEST(the_groups_are_seen)
{
	int rc = run("rm_program", "SOFTGPU_RM=1", "SOFTGPU_MODE=wall");
	ck_assert_msg(rc == 0, "exit %d: %.3000s", rc, out);
	expect("\"value\": 4, \"unit\": \"groups\", \"note\": \"GR0: 8 channels with compute, "
	       "CE2: 4 channels, CE3: 4 channels, CE4: 4 channels\"");
	expect("\"ioctls.unknown_layouts\", \"value\": 0,");
	expect("\"ioctls.compute_channels\", \"value\": 8");
	expect("\"ioctls.schedule_params_bytes\", \"value\": 3");
	expect("\"ioctls.timeslice_us\", \"value\": 2048");
	expect("\"ioctls.get_interleave_status\", \"value\": \"NV_ERR_NOT_SUPPORTED (0x56)\"");
	expect("\"ioctls.result_intact\", \"value\": true");
	rc = run("rm_program", "SOFTGPU_RM=0", "SOFTGPU_MODE=wall");
	ck_assert_msg(rc == 77, "exit %d: %.3000s", rc, out);
}
TEST_END

/* All but the one that does not on a real GPU either. */
TEST(a_hold_holds)
{
	static const char *const recipes[] = {"disable_preempt", "disable", "schedule"};
	int rc = run("ctx_hold", "SOFTGPU_RM=1", "SOFTGPU_MODE=wall");
	ck_assert_msg(rc == 0, "exit %d: %.3000s", rc, out);
	for (int i = 0; i < 3; i++) {
		char text[160];
#ifndef __SANITIZE_THREAD__ /* ten times slower, what was executed before shows during the hold */
		snprintf(text, sizeof(text), "\"context-gate.holds_%s_20ms\", \"value\": %d,",
		         recipes[i], i < 2);
		expect(text);
#endif
		snprintf(text, sizeof(text),
		         "\"context-gate.hold_result_intact_%s\", \"value\": true", recipes[i]);
		expect(text);
		snprintf(text, sizeof(text), "\"context-gate.hold_lc_latency_held_%s_us\"",
		         recipes[i]);
		expect(text);
	}
}
TEST_END

TEST(slices_preemption_and_another_process)
{
	int rc = run("ctx_timeslice", "SOFTGPU_RM=1", "SOFTGPU_MODE=wall");
	ck_assert_msg(rc == 0, "exit %d: %.3000s", rc, out);
	expect("\"context-gate.set_timeslice_200us_status\", \"value\": \"NV_OK\"");
	expect("read back: 200 us");
	expect("\"context-gate.timeslice_result_intact\", \"value\": true");
	rc = run("ctx_preempt", "SOFTGPU_RM=1", "SOFTGPU_MODE=wall");
	ck_assert_msg(rc == 0, "exit %d: %.3000s", rc, out);
	expect("\"context-gate.preempt_status\", \"value\": \"NV_OK\"");
	expect("\"context-gate.preempt_result_intact\", \"value\": true");
	rc = run("ctx_remote", "SOFTGPU_RM=1", "SOFTGPU_MODE=wall");
	ck_assert_msg(rc == 0, "exit %d: %.3000s", rc, out);
	expect("\"context-gate.remote_status\", \"value\": \"NV_OK\"");
	expect("\"context-gate.remote_hold_status_disable_preempt_5ms\", \"value\": \"NV_OK\"");
	expect("\"context-gate.remote_result_intact\", \"value\": true");
}
TEST_END

TEST(where_nothing_can_be_held)
{
	int rc = run("ctx_hold", "SOFTGPU_RM=1", "SOFTGPU_MPS=1");
	ck_assert_msg(rc == 0, "exit %d: %.3000s", rc, out);
	expect("\"context-gate.hold_status_disable_preempt_5ms\", \"value\": "
	       "\"NV_ERR_NOT_SUPPORTED (0x56)\"");
}
TEST_END

TESTS("rm-double", the_groups_are_seen, a_hold_holds, slices_preemption_and_another_process,
      where_nothing_can_be_held)
