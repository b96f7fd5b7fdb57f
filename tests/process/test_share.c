// SPDX-License-Identifier: Apache-2.0
/*
 * test_share.c: an urgent and a best-effort program on one device under the daemon: who is held,
 * who goes on, and what happens when any of the three dies, stops or returns.
 */
#include "tests/rig.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 15000
#define TIMES "lc_step=2ms,be_step=2ms,saxpy=500us,matmul*=500us"

static struct rig rig;

/* An urgent program that never pauses, and a best-effort one that is held because of it. */
static void start_both(struct proc *lc, struct proc *be, const char *be_args)
{
	rig_init(&rig, TIMES);
	rig_daemon(&rig);
	*be = rig_start(&rig, 0, "workloads/be", be_args);
	rig_expect_progress(&rig, be->pid, "submissions", 3, WAIT_MS);
	*lc = rig_start(&rig, 50, "workloads/be", "--seconds 60");
	rig_expect_state(&rig, be->pid, "waiting", WAIT_MS);
	rig_expect_state(&rig, lc->pid, "running", WAIT_MS);
}

static void stop_one(struct proc *p)
{
	proc_kill(p, SIGKILL);
	ck_assert_int_eq(proc_wait(p, NULL, 0, WAIT_MS), 128 + SIGKILL);
}

TEST(urgent_holds_best_effort)
{
	struct proc lc, be;
	start_both(&lc, &be, "--seconds 60");
	int64_t before = rig_counter(&rig, be.pid, "submissions");
	int64_t urgent = rig_counter(&rig, lc.pid, "submissions");
	rig_expect_progress(&rig, lc.pid, "submissions", urgent + 50, WAIT_MS);
	/* held means held: at most the one submission that was past the check */
	ck_assert_int_le(rig_counter(&rig, be.pid, "submissions"), before + 1);
	stop_one(&lc);
	stop_one(&be);
	rig_fini(&rig);
}
TEST_END

TEST(killed_urgent_frees_best_effort)
{
	struct proc lc, be;
	start_both(&lc, &be, "--seconds 60");
	int64_t before = rig_counter(&rig, be.pid, "submissions");
	stop_one(&lc);
	rig_expect_state(&rig, lc.pid, NULL, WAIT_MS);
	rig_expect_progress(&rig, be.pid, "submissions", before + 5, WAIT_MS);
	stop_one(&be);
	rig_fini(&rig);
}
TEST_END

TEST(stopped_urgent_loses_its_lease)
{
	struct proc lc, be;
	start_both(&lc, &be, "--seconds 60");
	int64_t before = rig_counter(&rig, be.pid, "submissions");
	proc_kill(&lc, SIGSTOP);
	rig_expect_progress(&rig, be.pid, "submissions", before + 5, WAIT_MS);
	proc_kill(&lc, SIGCONT);
	rig_expect_state(&rig, be.pid, "waiting", WAIT_MS);
	stop_one(&lc);
	stop_one(&be);
	rig_fini(&rig);
}
TEST_END

/* Steps that BE finished in the time it was held by nobody: its own record tells. */
static size_t steps_after(const char *path, uint64_t t_ns)
{
	json_t *root = json_load_file(path, 0, NULL);
	ck_assert_msg(root != NULL, "no %s", path);
	json_t *v;
	size_t i, n = 0;
	json_array_foreach(json_object_get(root, "step_end_ns"), i, v)
	{
		n += (uint64_t)json_integer_value(v) > t_ns;
	}
	json_decref(root);
	return n;
}

static uint64_t now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

TEST(killed_daemon_holds_nobody)
{
	struct proc lc, be;
	char args[256], json[128];
	snprintf(json, sizeof(json), "/tmp/rein-be-%d.json", (int)getpid());
	snprintf(args, sizeof(args), "--seconds 4 --json %s", json);
	start_both(&lc, &be, args);
	stop_one(&rig.daemon);
	uint64_t killed = now_ns();
	ck_assert_int_eq(proc_wait(&be, NULL, 0, 60000), 0);
	/* several steps within the time that was left: it did not wait for a daemon */
	ck_assert_uint_ge(steps_after(json, killed), 5);
	unlink(json);
	stop_one(&lc);
	rig_fini(&rig);
}
TEST_END

TEST(restarted_daemon_is_rejoined)
{
	struct proc lc, be;
	start_both(&lc, &be, "--seconds 60");
	for (int i = 0; i < 3; i++) {
		stop_one(&rig.daemon);
		rig_daemon(&rig);
		rig_expect_state(&rig, lc.pid, "running", WAIT_MS);
		rig_expect_state(&rig, be.pid, "waiting", WAIT_MS);
	}
	stop_one(&lc);
	int64_t before = rig_counter(&rig, be.pid, "submissions");
	rig_expect_progress(&rig, be.pid, "submissions", before + 5, WAIT_MS);
	stop_one(&be);
	rig_fini(&rig);
}
TEST_END

TEST(stopped_daemon_holds_nobody)
{
	struct proc lc, be;
	char args[256], json[128];
	snprintf(json, sizeof(json), "/tmp/rein-be-%d.json", (int)getpid());
	snprintf(args, sizeof(args), "--seconds 4 --json %s", json);
	start_both(&lc, &be, args);
	pid_t worker = proc_child(rig.daemon.pid);
	kill(worker, SIGSTOP);
	uint64_t stopped = now_ns();
	ck_assert_int_eq(proc_wait(&be, NULL, 0, 60000), 0);
	ck_assert_uint_ge(steps_after(json, stopped), 5);
	unlink(json);
	kill(worker, SIGCONT);
	stop_one(&lc);
	rig_fini(&rig);
}
TEST_END

TEST(live_priority_change_swaps_them)
{
	struct proc lc, be;
	char set[64];
	start_both(&lc, &be, "--seconds 60");
	snprintf(set, sizeof(set), "set %d --prio 90", (int)be.pid);
	json_t *answer = rig_rein(&rig, set);
	ck_assert_ptr_nonnull(answer);
	json_decref(answer);
	rig_expect_state(&rig, lc.pid, "waiting", WAIT_MS);
	rig_expect_state(&rig, be.pid, "running", WAIT_MS);
	stop_one(&lc);
	stop_one(&be);
	rig_fini(&rig);
}
TEST_END

TEST(best_effort_alone_never_waits)
{
	rig_init(&rig, TIMES);
	rig_daemon(&rig);
	struct proc be = rig_start(&rig, 0, "workloads/be", "--seconds 60");
	rig_expect_progress(&rig, be.pid, "submissions", 200, WAIT_MS);
	ck_assert_int_eq(rig_counter(&rig, be.pid, "gate_waits"), 0);
	ck_assert_int_eq(rig_counter(&rig, be.pid, "backlog_waits"), 0);
	stop_one(&be);
	rig_fini(&rig);
}
TEST_END

/* Two best-effort programs beside an urgent one that is only registered: neither is starved by
 * kernel times that were taken while the other had the GPU (found in review). */
TEST(two_best_effort_programs_share_while_metered)
{
	struct proc be[2];
	int64_t steps[2];
	rig_init(&rig, "be_step=200us");
	rig_daemon(&rig);
	struct proc lc = rig_start(&rig, 90, "workloads/lc", "--seconds 60 --period 60000");
	rig_expect_state(&rig, lc.pid, "", WAIT_MS);
	for (int i = 0; i < 2; i++)
		be[i] = rig_start(&rig, 0, "workloads/be", "--seconds 60");
	for (int i = 0; i < 2; i++) {
		rig_expect_progress(&rig, be[i].pid, "backlog_waits", 20, WAIT_MS);
		steps[i] = rig_counter(&rig, be[i].pid, "submissions");
	}
	for (int i = 0; i < 2; i++)
		rig_expect_progress(&rig, be[i].pid, "submissions", steps[i] + 3000, WAIT_MS);
	int64_t a = rig_counter(&rig, be[0].pid, "submissions") - steps[0];
	int64_t b = rig_counter(&rig, be[1].pid, "submissions") - steps[1];
	ck_assert_msg(a < 3 * b && b < 3 * a, "%lld and %lld", (long long)a, (long long)b);
	stop_one(&be[0]);
	stop_one(&be[1]);
	stop_one(&lc);
	rig_fini(&rig);
}
TEST_END

TESTS("share", two_best_effort_programs_share_while_metered, urgent_holds_best_effort,
      killed_urgent_frees_best_effort, stopped_urgent_loses_its_lease, killed_daemon_holds_nobody,
      restarted_daemon_is_rejoined, stopped_daemon_holds_nobody, live_priority_change_swaps_them,
      best_effort_alone_never_waits)
