// SPDX-License-Identifier: Apache-2.0
/*
 * test_supervise.c: a policy that crashes or hangs, a worker or a supervisor that is killed or
 * stopped: the programs run on with right results, and the daemon comes back and says why.
 * tests/reind-bad is reind with policies that fail on purpose (tests/policies/).
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/process/raw_client.h"
#include "tests/rig.h"

#define TIMES "be_step=2ms"

static struct rig rig;

/* ---------------------------------------------------------------- the daemon */

static bool listens(void *arg)
{
	json_t *status = rig_rein(&rig, "status");
	json_decref(status);
	return status != NULL;
}

static void start_daemon(const char *program, const char *policy)
{
	char *env[] = {rig.env[0], NULL};
	char *argv[] = {(char *)built(program),     "--run-dir",    rig.dir,
	                policy ? "--policy" : NULL, (char *)policy, NULL};
	rig.daemon = proc_start(argv, env);
	ck_assert(eventually(listens, NULL, WAIT_MS));
}

/* A member of the status as text; "" if nobody answers. */
static const char *status_of(const char *key)
{
	static char text[256];
	json_t *status = rig_rein(&rig, "status");
	const json_t *v = json_object_get(status, key);
	snprintf(text, sizeof(text), "%s", json_is_string(v) ? json_string_value(v) : "");
	if (json_is_integer(v))
		snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(v));
	json_decref(status);
	return text;
}

static pid_t worker(void)
{
	return (pid_t)atol(status_of("worker_pid"));
}

static bool has_new_worker(void *arg)
{
	pid_t now = worker();
	return now > 0 && now != *(pid_t *)arg;
}

static bool fell_back(void *arg)
{
	return strstr(status_of("policy_why"), arg) != NULL;
}

/* ---------------------------------------------------------------- the programs */

/* They check each result, and end with 0 only if all were right. */
static void start_programs(struct proc p[2])
{
	p[0] = rig_start(&rig, 0, "workloads/be", "--seconds 0 --sync-every 8");
	p[1] = rig_start(&rig, 50, "workloads/be", "--seconds 0 --sync-every 8");
}

static void end_programs(struct proc p[2])
{
	char out[4096];
	for (int i = 1; i >= 0; i--) {
		proc_kill(&p[i], SIGTERM);
		int status = proc_wait(&p[i], out, sizeof(out), 60000);
		ck_assert_msg(status == 0, "exit %d: %s", status, out);
	}
}

static void expect_joined(struct proc p[2])
{
	for (int i = 0; i < 2; i++)
		rig_expect_state(&rig, p[i].pid, "", WAIT_MS);
}

static void expect_sharing(struct proc p[2])
{
	rig_expect_state(&rig, p[1].pid, "running", WAIT_MS);
	rig_expect_state(&rig, p[0].pid, "waiting", WAIT_MS);
}

/* `command`: of rein, about the program with the PID that is filled in; NULL: none is needed. */
static void fails(const char *policy, const char *command, const char *why, const char *line)
{
	struct proc p[2];
	char out[8192];
	rig_init(&rig, TIMES);
	start_daemon("tests/reind-bad", policy);
	ck_assert_str_eq(status_of("policy"), policy);
	ck_assert_str_eq(status_of("policy_why"), "");
	start_programs(p);
	if (command) {
		char text[128];
		expect_joined(p);
		snprintf(text, sizeof(text), command, (int)p[1].pid);
		json_decref(rig_rein(&rig, text));
	}
	ck_assert_msg(eventually(fell_back, (void *)why, WAIT_MS), "%s", status_of("policy_why"));
	ck_assert_str_eq(status_of("policy"), "prio");
	expect_sharing(p);
	ck_assert_int_eq(atol(status_of("pid")), rig.daemon.pid);
	end_programs(p);
	proc_kill(&rig.daemon, SIGTERM);
	ck_assert_int_eq(proc_wait(&rig.daemon, out, sizeof(out), WAIT_MS), 0);
	ck_assert_msg(strstr(out, line) != NULL, "%s", out);
	rig_fini(&rig);
}

TEST(a_policy_that_crashes)
{
	fails("crashes", NULL, "crashes crashed: SIGSEGV at ",
	      "policy 'crashes' crashed: SIGSEGV: starting again with policy 'prio'\n");
}
TEST_END

TEST(a_policy_that_hangs)
{
	fails("loops", NULL, "loops hung for 1 s at ",
	      "policy 'loops' hung for 1 s: starting again with policy 'prio'\n");
}
TEST_END

TEST(a_policy_that_crashes_when_it_is_chosen)
{
	fails("prio", "policy joins", "joins crashed: SIGSEGV at ",
	      "policy 'joins' crashed: SIGSEGV: starting again with policy 'prio'\n");
}
TEST_END

TEST(a_policy_that_hangs_when_it_is_asked)
{
	fails("ponders", "set %d --deadline 60ms --period 100ms --budget 22ms",
	      "ponders hung for 5 s in admission at ",
	      "policy 'ponders' hung for 5 s in admission: starting again with policy 'prio'\n");
}
TEST_END

/* ---------------------------------------------------------------- killed, stopped */

TEST(a_killed_worker_is_replaced_with_its_policy)
{
	struct proc p[2];
	rig_init(&rig, TIMES);
	start_daemon("reind", NULL);
	char policy[64];
	snprintf(policy, sizeof(policy), "%s", status_of("policy"));
	start_programs(p);
	expect_sharing(p);
	pid_t old = worker();
	ck_assert_int_ne(old, rig.daemon.pid);
	kill(old, SIGKILL);
	ck_assert(eventually(has_new_worker, &old, WAIT_MS));
	ck_assert_str_eq(status_of("policy"), policy);
	ck_assert_str_eq(status_of("policy_why"), "");
	expect_sharing(p);
	end_programs(p);
	rig_fini(&rig);
}
TEST_END

static bool is_gone(void *arg)
{
	return kill(*(pid_t *)arg, 0) < 0;
}

TEST(a_killed_supervisor_takes_the_worker_along)
{
	struct proc p[2];
	rig_init(&rig, TIMES);
	start_daemon("reind", NULL);
	start_programs(p);
	expect_sharing(p);
	pid_t old = worker();
	proc_kill(&rig.daemon, SIGKILL);
	ck_assert_int_eq(proc_wait(&rig.daemon, NULL, 0, WAIT_MS), 128 + SIGKILL);
	start_daemon("reind", NULL); /* at once: the lock may be a moment late */
	ck_assert(eventually(is_gone, &old, WAIT_MS));
	expect_sharing(p);
	end_programs(p);
	rig_fini(&rig);
}
TEST_END

TEST(a_stopped_worker_is_waited_for)
{
	struct proc p[2];
	rig_init(&rig, TIMES);
	start_daemon("reind", NULL);
	start_programs(p);
	expect_sharing(p);
	pid_t old = worker();
	int64_t before = rig_counter(&rig, p[0].pid, "submissions");
	kill(old, SIGSTOP);
	usleep(2500 * 1000); /* longer than a hang; leases lapse meanwhile */
	kill(old, SIGCONT);
	rig_expect_progress(&rig, p[0].pid, "submissions", before + 50, WAIT_MS);
	ck_assert_int_eq(worker(), old);
	expect_sharing(p);
	end_programs(p);
	rig_fini(&rig);
}
TEST_END

/* ---------------------------------------------------------------- the end */

TEST(it_gives_up_when_it_must)
{
	char out[16384];
	rig_init(&rig, NULL);
	start_daemon("reind", NULL);
	for (unsigned i = 0; i < 5; i++) {
		pid_t old = worker();
		ck_assert_int_gt(old, 0);
		kill(old, SIGKILL);
		ck_assert(eventually(has_new_worker, &old, WAIT_MS));
	}
	kill(worker(), SIGKILL);
	ck_assert_int_eq(proc_wait(&rig.daemon, out, sizeof(out), WAIT_MS), 1);
	ck_assert_msg(strstr(out, "the worker ended 6 times within 60 s: giving up") != NULL, "%s",
	              out);
	rig_fini(&rig);
}
TEST_END

TEST(signals_reach_the_worker)
{
	char out[8192];
	rig_init(&rig, NULL);
	start_daemon("reind", NULL);
	kill(rig.daemon.pid, SIGHUP);
	usleep(100 * 1000);
	ck_assert_int_eq(atol(status_of("pid")), rig.daemon.pid);
	kill(rig.daemon.pid, SIGINT);
	ck_assert_int_eq(proc_wait(&rig.daemon, out, sizeof(out), WAIT_MS), 0);
	ck_assert_ptr_nonnull(strstr(out, "configuration read again"));
	ck_assert_ptr_nonnull(strstr(out, "signal 2: ending"));
	rig_fini(&rig);
}
TEST_END

/* It does not end on a signal: after a while it is killed. */
TEST(a_worker_that_hangs_ends_too)
{
	struct proc p[2];
	rig_init(&rig, TIMES);
	start_daemon("reind", NULL);
	start_programs(p);
	expect_sharing(p);
	kill(worker(), SIGSTOP);
	proc_kill(&rig.daemon, SIGTERM);
	ck_assert_int_eq(proc_wait(&rig.daemon, NULL, 0, WAIT_MS), 1);
	end_programs(p);
	rig_fini(&rig);
}
TEST_END

TESTS("supervisor", a_policy_that_crashes, a_policy_that_hangs,
      a_policy_that_crashes_when_it_is_chosen, a_policy_that_hangs_when_it_is_asked,
      a_killed_worker_is_replaced_with_its_policy, a_killed_supervisor_takes_the_worker_along,
      a_stopped_worker_is_waited_for, it_gives_up_when_it_must, signals_reach_the_worker,
      a_worker_that_hangs_ends_too)
