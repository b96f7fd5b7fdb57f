// SPDX-License-Identifier: Apache-2.0
/* Threads, forks, contexts and devices under a gate, on the software GPU. */
#include "tests/process/puppet.h"
#include "tests/rig.h"

#define CLIENT "tests/clients/threads"
#define WAIT_MS 30000

static char *const two_devices[] = {"SOFTGPU_DEVICES=2", NULL};

TEST(sixty_four_threads)
{
	puppet_expect_ok(CLIENT, "many", NULL);
}
TEST_END

TEST(threads_that_end_at_once)
{
	puppet_expect_ok(CLIENT, "brief", NULL);
}
TEST_END

TEST(first_used_by_a_thread_that_dies)
{
	puppet_expect_ok(CLIENT, "dies", NULL);
}
TEST_END

TEST(forked_workers_without_cuda)
{
	puppet_expect_ok(CLIENT, "workers", NULL);
}
TEST_END

TEST(fork_while_a_thread_is_held)
{
	puppet_expect_ok(CLIENT, "held-fork", NULL);
}
TEST_END

TEST(forked_children_that_exec)
{
	puppet_expect_ok(CLIENT, "exec", NULL);
}
TEST_END

TEST(fork_before_the_first_use)
{
	puppet_expect_ok(CLIENT, "before", NULL);
}
TEST_END

TEST(several_contexts)
{
	puppet_expect_ok(CLIENT, "contexts", NULL);
}
TEST_END

TEST(several_devices_move_together)
{
	puppet_expect_ok(CLIENT, "devices", two_devices);
}
TEST_END

/* ---- two devices under the real daemon: who shares no device with the urgent one is not held */

static struct rig rig;

static struct proc start_urgent_on_1(void)
{
	setenv("SOFTGPU_DEVICES", "2", 1);
	rig_init(&rig, "add=300us");
	rig_daemon(&rig);
	struct proc urgent = rig_start(&rig, 50, CLIENT, "busy 1");
	rig_expect_progress(&rig, urgent.pid, "submissions", 10, WAIT_MS);
	return urgent;
}

static void stop(struct proc *p)
{
	proc_kill(p, SIGKILL);
	ck_assert_int_eq(proc_wait(p, NULL, 0, WAIT_MS), 128 + SIGKILL);
}

TEST(another_device_is_another_gate)
{
	struct proc urgent = start_urgent_on_1();
	char out[4096];
	int64_t before = rig_counter(&rig, urgent.pid, "submissions");
	struct proc be = rig_start(&rig, 0, CLIENT, "step 0 300");
	int status = proc_wait(&be, out, sizeof(out), WAIT_MS); /* the urgent one never pauses */
	ck_assert_msg(status == 0, "exit %d: %s", status, out);
	rig_expect_progress(&rig, urgent.pid, "submissions", before, WAIT_MS);
	stop(&urgent);
	rig_fini(&rig);
}
TEST_END

TEST(a_job_on_two_devices_is_held_on_both)
{
	struct proc urgent = start_urgent_on_1();
	char out[4096];
	struct proc be = rig_start(&rig, 0, CLIENT, "step 10 2000");
	rig_expect_state(&rig, be.pid, "waiting",
	                 WAIT_MS); /* its first device is the urgent one's */
	stop(&urgent);
	/* the other way round: it has gone on to device 0, and still has its context on 1 */
	rig_expect_progress(&rig, be.pid, "submissions", 2200, WAIT_MS);
	urgent = rig_start(&rig, 50, CLIENT, "busy 1");
	rig_expect_state(&rig, be.pid, "waiting", WAIT_MS);
	stop(&urgent);
	int status = proc_wait(&be, out, sizeof(out), WAIT_MS);
	ck_assert_msg(status == 0, "exit %d: %s", status, out);
	rig_fini(&rig);
}
TEST_END

TESTS("threads", sixty_four_threads, threads_that_end_at_once, first_used_by_a_thread_that_dies,
      forked_workers_without_cuda, fork_while_a_thread_is_held, forked_children_that_exec,
      fork_before_the_first_use, several_contexts, several_devices_move_together,
      another_device_is_another_gate, a_job_on_two_devices_is_held_on_both)
