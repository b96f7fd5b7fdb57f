// SPDX-License-Identifier: Apache-2.0
/*
 * test_context_gate.c: the probes of the context gate on the software GPU, with fake_rm.so in the
 * place of rm_spy.so: whatever is held is let go, in every way out; and rm_spy.so itself leaves a
 * program alone that has no resource manager.
 */
#include "tests/harness.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define WAIT_MS 60000
#define DISABLE "2080110b"
#define PREEMPT "a06c0105"

static char dir[256], out[65536];

struct call {
	int pid;
	char command[16];
	unsigned first; /* byte of its parameters */
};
static struct call calls[2000];

/* The controls that were issued so far, in order. */
static unsigned read_calls(void)
{
	char path[300];
	unsigned n = 0;
	snprintf(path, sizeof(path), "%s/log", dir);
	FILE *f = fopen(path, "r");
	if (!f)
		return 0;
	while (n < 2000 &&
	       fscanf(f, "%d %15s %u", &calls[n].pid, calls[n].command, &calls[n].first) == 3)
		n++;
	fclose(f);
	return n;
}

static struct proc start(const char *probe, const char *preload, const char *more)
{
	static char env[8][400];
	char program[300];
	snprintf(program, sizeof(program), "gpu/%s", probe);
	snprintf(dir, sizeof(dir), "%s", temp_dir());
	snprintf(env[0], sizeof(env[0]), "LD_PRELOAD=%s", built(preload));
	snprintf(env[1], sizeof(env[1]), "LD_LIBRARY_PATH=%s", built("softgpu"));
	snprintf(env[2], sizeof(env[2]), "SOFTGPU_SHM=test-context-gate-%d", (int)getpid());
	snprintf(env[3], sizeof(env[3]), "FAKE_RM_LOG=%s/log", dir);
	snprintf(env[4], sizeof(env[4]), "%s", more ? more : "FAKE_RM_NOTHING=");
	char *const argv[] = {(char *)built(program), "--blocks", "2",       "--threads", "32",
	                      "--kernel-ms",          "2",        "--quick", NULL};
	char *const list[] = {env[0], env[1], env[2], env[3], env[4], ENV_NO_LEAK_CHECK, NULL};
	return proc_start(argv, list);
}

/* Waits for its end, and removes the software GPU's device. */
static int finish(struct proc *p)
{
	char name[64];
	int rc = proc_wait(p, out, sizeof(out), WAIT_MS);
	snprintf(name, sizeof(name), "/softgpu-%d-test-context-gate-%d", (int)getuid(),
	         (int)getpid());
	shm_unlink(name);
	return rc;
}

static int run(const char *probe, const char *more)
{
	struct proc p = start(probe, "tests/preload/fake_rm.so", more);
	return finish(&p);
}

static void expect(const char *text)
{
	ck_assert_msg(strstr(out, text) != NULL, "no '%s' in: %s", text, out);
}

/* After the last control on the channels nothing is held. */
static void expect_released(const char *command, unsigned held)
{
	unsigned n = read_calls();
	int now = -1, times = 0;
	for (unsigned i = 0; i < n; i++) {
		if (strcmp(calls[i].command, command) == 0) {
			now = calls[i].first == held;
			times += now;
		}
	}
	ck_assert_msg(times > 0, "never held by %s, %u controls", command, n);
	ck_assert_int_eq(now, 0);
}

TEST(holds_are_released)
{
	int rc = run("ctx_hold", NULL);
	ck_assert_msg(rc == 0, "exit %d: %s", rc, out);
	expect("\"context-gate.hold_result_intact_disable_preempt\", \"value\": true");
	expect("\"context-gate.hold_result_intact_disable\", \"value\": true");
	expect("\"context-gate.hold_result_intact_schedule\", \"value\": true");
	expect("\"context-gate.holds_disable_preempt_5ms\"");
	expect("\"context-gate.hold_lc_latency_held_disable_us\"");
	expect_released(DISABLE, 1);
	expect_released("a06c0101", 0);
}
TEST_END

TEST(a_refused_preempt_leaves_nothing_held)
{
	int rc = run("ctx_hold", "FAKE_RM_REFUSE=" PREEMPT);
	ck_assert_msg(rc == 0, "exit %d: %s", rc, out);
	expect("\"context-gate.hold_status_disable_preempt_5ms\", \"value\": "
	       "\"NV_ERR_NOT_SUPPORTED (0x56)\"");
	expect("failed: PREEMPT");
	expect("\"context-gate.holds_disable_5ms\""); /* the next recipe was tried */
	expect_released(DISABLE, 1);
}
TEST_END

static bool preempt_began(void *pid)
{
	unsigned n = read_calls();
	for (unsigned i = 0; i < n; i++) {
		if (strcmp(calls[i].command, PREEMPT) == 0) {
			*(int *)pid = calls[i].pid;
			return true;
		}
	}
	return false;
}

TEST(a_stopped_probe_lets_go)
{
	int pid = 0;
	struct proc p = start("ctx_hold", "tests/preload/fake_rm.so", "FAKE_RM_HANG=" PREEMPT);
	ck_assert(eventually(preempt_began, &pid, WAIT_MS));
	kill(pid, SIGTERM); /* as its guard does when time is over */
	int rc = finish(&p);
	ck_assert_int_eq(rc, 128 + SIGTERM);
	expect_released(DISABLE, 1);
}
TEST_END

TEST(another_process_holds)
{
	int rc = run("ctx_remote", NULL);
	ck_assert_msg(rc == 0, "exit %d: %s", rc, out);
	expect("\"context-gate.remote_status\", \"value\": \"NV_OK\"");
	expect("\"context-gate.remote_hold_status_disable_preempt_5ms\", \"value\": \"NV_OK\"");
	expect("\"context-gate.remote_result_intact\", \"value\": true");
	expect_released(DISABLE, 1);
}
TEST_END

TEST(time_slices_and_preemption)
{
	int rc = run("ctx_timeslice", NULL);
	ck_assert_msg(rc == 0, "exit %d: %s", rc, out);
	expect("\"context-gate.set_timeslice_1us_status\", \"value\": \"NV_OK\"");
	expect("\"context-gate.timeslice_result_intact\", \"value\": true");
	rc = run("ctx_timeslice", "FAKE_RM_REFUSE=a06c0103");
	ck_assert_msg(rc == 0, "exit %d: %s", rc, out);
	expect("\"context-gate.set_timeslice_1us_status\", \"value\": \"NV_ERR_NOT_SUPPORTED "
	       "(0x56)\"");
	rc = run("ctx_preempt", NULL);
	ck_assert_msg(rc == 0, "exit %d: %s", rc, out);
	expect("\"context-gate.preempt_status\", \"value\": \"NV_OK\"");
	expect("\"context-gate.preempt_result_intact\", \"value\": true");
}
TEST_END

TEST(the_spy_leaves_a_program_alone)
{
	struct proc p = start("rm_program", "gpu/preload/rm_spy.so", NULL);
	int rc = finish(&p);
	ck_assert_msg(rc == 77, "exit %d: %s", rc, out);
	expect("{\"skip\": \"ioctls.compute_group\"");
	p = start("ctx_hold", "gpu/preload/rm_spy.so", NULL);
	rc = finish(&p);
	ck_assert_msg(rc == 77, "exit %d: %s", rc, out);
	rc = run("rm_program", NULL);
	ck_assert_msg(rc == 0, "exit %d: %s", rc, out);
	expect("\"ioctls.compute_channels\", \"value\": 2");
}
TEST_END

TESTS("context-gate", holds_are_released, a_refused_preempt_leaves_nothing_held,
      a_stopped_probe_lets_go, another_process_holds, time_slices_and_preemption,
      the_spy_leaves_a_program_alone)
