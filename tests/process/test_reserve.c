// SPDX-License-Identifier: Apache-2.0
/*
 * test_reserve.c: reservations with real programs: what `rein run` is answered, when a guarantee is
 * withdrawn and given back, and that misses are counted.
 */
#include "tests/rig.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAIT_MS 30000
#define TIMES "lc_step=2ms,be_step=2ms"
#define LC "--kernels 10 --period 100 --arrivals periodic --seconds 60" /* 20 ms of GPU time */

static struct rig rig;
static char out[16384];

static void begin(const char *times, char *policy)
{
	rig_init(&rig, times);
	rig_daemon_with(&rig, (char *[]){"--policy", policy, NULL});
}

/* Under `rein run`, with its options and the program's. */
static struct proc run(const char *options, const char *program, const char *args)
{
	char line[512];
	snprintf(line, sizeof(line), "run %s -- %s %s", options, built(program), args);
	return rig_start(&rig, -1, "rein", line);
}

static void stop(struct proc *p)
{
	proc_kill(p, SIGKILL);
	(void)proc_wait(p, NULL, 0, WAIT_MS);
}

/* `rein ARGS`: its exit status, with all it wrote in `out`. */
static int rein(const char *args)
{
	struct proc p = rig_start(&rig, -1, "rein", args);
	return proc_wait(&p, out, sizeof(out), WAIT_MS);
}

static bool said(const char *text)
{
	return strstr(out, text) != NULL;
}

/* ---------------------------------------------------------------- what rein ps says */

struct want {
	pid_t pid;
	const char *guarantee;
	char now[32], why[256];
	long long missed, bystanders;
};

static void read_client(struct want *w)
{
	json_t *ps = rig_rein(&rig, "ps"), *c;
	size_t i;
	w->now[0] = w->why[0] = 0;
	w->missed = -1;
	w->bystanders = (long long)json_array_size(json_object_get(ps, "bystanders"));
	json_array_foreach(json_object_get(ps, "clients"), i, c)
	{
		const json_t *r = json_object_get(c, "reservation");
		if (json_integer_value(json_object_get(c, "pid")) != w->pid)
			continue;
		const char *state = json_string_value(json_object_get(r, "guarantee"));
		const char *why = json_string_value(json_object_get(r, "why"));
		snprintf(w->now, sizeof(w->now), "%s", state ? state : "no reservation");
		snprintf(w->why, sizeof(w->why), "%s", why ? why : "");
		const json_t *m = json_object_get(c, "measured");
		w->missed = (long long)json_integer_value(json_object_get(m, "missed"));
	}
	json_decref(ps);
}

static bool has_guarantee(void *arg)
{
	struct want *w = arg;
	read_client(w);
	return strcmp(w->now, w->guarantee) == 0;
}

static struct want expect(pid_t pid, const char *guarantee)
{
	struct want w = {.pid = pid, .guarantee = guarantee};
	ck_assert_msg(eventually(has_guarantee, &w, WAIT_MS), "guarantee is '%s' (%s), not '%s'",
	              w.now, w.why, guarantee);
	return w;
}

/* ---------------------------------------------------------------- answers */

TEST(run_says_what_can_be_kept)
{
	begin(TIMES, "classes");
	struct proc be = rig_start(&rig, 0, "workloads/be", "--seconds 60");
	rig_expect_progress(&rig, be.pid, "submissions", 3, WAIT_MS);
	/* accepted */
	ck_assert_int_eq(rein("run --dry-run --name a --deadline 60ms --period 100ms "
	                      "--budget 22ms -- true"),
	                 0);
	ck_assert_msg(said("timing    guaranteed: 22 ms of GPU time every 100 ms, done within "
	                   "60 ms of each arrival"),
	              "%s", out);
	ck_assert_int_eq(rein("run --dry-run --json --deadline 60ms --period 100ms --budget 22ms "
	                      "-- true"),
	                 0);
	json_t *o = json_loads(out, 0, NULL);
	const json_t *r = json_object_get(o, "reservation");
	ck_assert_str_eq(json_string_value(json_object_get(r, "guarantee")), "given");
	ck_assert(json_number_value(json_object_get(r, "response_ms")) > 22);
	ck_assert(json_number_value(json_object_get(r, "response_ms")) <= 60);
	json_decref(o);
	/* bandwidth */
	ck_assert_int_eq(rein("run --dry-run --period 100ms --budget 22ms -- true"), 0);
	ck_assert_msg(said("guaranteed: 22 ms of GPU time every 100 ms\n"), "%s", out);
	/* later: not even the smallest backlog of `be` leaves room */
	const char *late = "--name a --deadline 22100us --period 100ms --budget 22ms";
	char line[256];
	snprintf(line, sizeof(line), "run --dry-run %s -- true", late);
	ck_assert_int_eq(rein(line), 125);
	ck_assert_msg(said("the deadline of 22.1 ms cannot be kept, ") && said("--accept-later"),
	              "%s", out);
	snprintf(line, sizeof(line), "run --dry-run --accept-later %s -- true", late);
	ck_assert_int_eq(rein(line), 0);
	ck_assert_msg(said("guaranteed: 22 ms of GPU time every 100 ms, done within "), "%s", out);
	/* refused, naming who is in the way */
	struct proc lc =
	    run("--name first --deadline 100ms --period 100ms --budget 60ms", "workloads/lc", LC);
	expect(lc.pid, "given");
	ck_assert_int_eq(rein("run --dry-run --name second --deadline 100ms --period 100ms "
	                      "--budget 60ms -- true"),
	                 125);
	ck_assert_msg(said("the reservation was refused; ") && said("second"), "%s", out);
	/* what makes no sense is usage */
	ck_assert_int_eq(rein("run --dry-run --deadline 20ms -- true"), 2);
	ck_assert_int_eq(rein("run --dry-run --period 20ms --budget 30ms -- true"), 2);
	ck_assert_int_eq(rein("run --dry-run --period 20 --budget 3ms -- true"), 2);
	stop(&lc);
	stop(&be);
	rig_fini(&rig);
}
TEST_END

TEST(a_policy_without_proofs_promises_nothing)
{
	begin(TIMES, "fair");
	struct proc lc = run("--name a --period 100ms --budget 45ms", "workloads/lc", LC);
	struct want w = expect(lc.pid, "none");
	ck_assert_msg(strstr(w.why, "fair"), "%s", w.why);
	/* live: the same program under a policy that has one */
	ck_assert_int_eq(rein("policy edf"), 0);
	expect(lc.pid, "given");
	ck_assert_int_eq(rein("policy fair"), 0);
	expect(lc.pid, "withdrawn");
	stop(&lc);
	rig_fini(&rig);
}
TEST_END

TEST(set_reserves_live)
{
	char line[128];
	begin(TIMES, "classes");
	struct proc lc = rig_start(&rig, 0, "workloads/lc", LC);
	rig_expect_state(&rig, lc.pid, "", WAIT_MS);
	snprintf(line, sizeof(line), "set %d --deadline 90ms --period 100ms --budget 45ms",
	         (int)lc.pid);
	ck_assert_int_eq(rein(line), 0);
	ck_assert_msg(said("45 ms every 100 ms, done within 90 ms, guarantee given"), "%s", out);
	/* what is left out stays; what cannot be kept changes nothing */
	snprintf(line, sizeof(line), "set %d --budget 91ms", (int)lc.pid);
	ck_assert_int_eq(rein(line), 125);
	ck_assert_msg(said("the budget is longer than the deadline"), "%s", out);
	snprintf(line, sizeof(line), "set %d --budget 45.5", (int)lc.pid);
	ck_assert_int_eq(rein(line), 2);
	expect(lc.pid, "given");
	snprintf(line, sizeof(line), "set %d --budget 0", (int)lc.pid);
	ck_assert_int_eq(rein(line), 0);
	expect(lc.pid, "no reservation");
	stop(&lc);
	rig_fini(&rig);
}
TEST_END

/* ---------------------------------------------------------------- withdrawn, given back */

TEST(a_bystander_ends_the_guarantee_until_it_ends)
{
	begin(TIMES, "classes");
	struct proc lc =
	    run("--name a --deadline 60ms --period 100ms --budget 25ms", "workloads/lc", LC);
	expect(lc.pid, "given");
	struct proc wild = rig_start(&rig, -1, "workloads/be", "--seconds 60");
	struct want w = expect(lc.pid, "withdrawn");
	char name[64];
	snprintf(name, sizeof(name), "unmanaged process %d (be)", (int)wild.pid);
	ck_assert_msg(strstr(w.why, name), "%s", w.why);
	ck_assert_int_eq(w.bystanders, 1);
	ck_assert_int_eq(rein("ps"), 0);
	snprintf(name, sizeof(name), "unmanaged: process %d (be) uses the GPU", (int)wild.pid);
	ck_assert_msg(said("GUARANTEE") && said(name), "%s", out);
	stop(&wild);
	w = expect(lc.pid, "given");
	ck_assert_int_eq(w.bystanders, 0);
	stop(&lc);
	rig_fini(&rig);
}
TEST_END

TEST(a_long_kernel_ends_the_guarantee)
{
	begin("lc_step=2ms,be_step=50ms", "classes");
	struct proc lc =
	    run("--name chat --deadline 60ms --period 100ms --budget 40ms", "workloads/lc", LC);
	expect(lc.pid, "given");
	struct proc be = run("--name train", "workloads/be", "--seconds 60 --sync-every 1");
	struct want w = expect(lc.pid, "withdrawn");
	ck_assert_msg(strstr(w.why, "train's ") && strstr(w.why, "kernel") &&
	                  strstr(w.why, "that chat's deadline leaves"),
	              "%s", w.why);
	stop(&be);
	expect(lc.pid, "given");
	stop(&lc);
	rig_fini(&rig);
}
TEST_END

TEST(more_than_its_budget_ends_the_guarantee_and_misses_are_counted)
{
	begin(TIMES, "edf");
	struct proc lc = run("--name a --deadline 10ms --period 100ms --budget 5ms", "workloads/lc",
	                     LC); /* it takes 20 */
	struct want w = expect(lc.pid, "withdrawn");
	ck_assert_msg(strstr(w.why, "a's requests take 2") && strstr(w.why, "its budget of 5 ms"),
	              "%s", w.why);
	ck_assert_int_ge(w.missed, 1);
	stop(&lc);
	rig_fini(&rig);
}
TEST_END

static void put_conf(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

TEST(a_reload_reaches_who_is_there)
{
	char conf[128];
	rig_init(&rig, TIMES);
	snprintf(conf, sizeof(conf), "%s/rein.conf", rig.dir);
	put_conf(conf, "[daemon]\npolicy = classes\n");
	rig_daemon_with(&rig, (char *[]){"--config", conf, NULL});
	struct proc lc = rig_start(&rig, 0, "workloads/lc", LC);
	expect(lc.pid, "no reservation");
	put_conf(conf, "[daemon]\npolicy = edf\n[class default]\nperiod = 100ms\nbudget = 45ms\n");
	ck_assert_int_eq(rein("reload"), 0);
	expect(lc.pid, "given");
	/* a mistake changes nothing */
	put_conf(conf, "[class default]\nperiod = 100ms\n");
	ck_assert_int_eq(rein("reload"), 125);
	ck_assert_msg(said("rein.conf:1: [class default]: a period needs a budget"), "%s", out);
	expect(lc.pid, "given");
	put_conf(conf, "[daemon]\npolicy = edf\n");
	ck_assert_int_eq(rein("reload"), 0);
	expect(lc.pid, "no reservation");
	stop(&lc);
	rig_fini(&rig);
}
TEST_END

/* All clients keep their backlog to what the deadline leaves, and get it back. */
TEST(the_backlog_follows_the_deadline)
{
	begin(TIMES, "classes");
	struct proc be = rig_start(&rig, 0, "workloads/be", "--seconds 60");
	rig_expect_state(&rig, be.pid, "", WAIT_MS);
	ck_assert_int_eq(rig_counter(&rig, be.pid, "backlog_us"), 4000);
	struct proc lc =
	    run("--name a --deadline 24ms --period 100ms --budget 21ms", "workloads/lc", LC);
	rig_expect_state(&rig, lc.pid, "", WAIT_MS);
	int64_t low = rig_counter(&rig, be.pid, "backlog_us");
	ck_assert_msg(low >= 200 && low < 3000, "%lld", (long long)low);
	stop(&lc);
	rig_expect_state(&rig, lc.pid, NULL, WAIT_MS);
	rig_expect_progress(&rig, be.pid, "backlog_us", 3999, WAIT_MS);
	stop(&be);
	rig_fini(&rig);
}
TEST_END

TESTS("reservations", run_says_what_can_be_kept, a_policy_without_proofs_promises_nothing,
      set_reserves_live, a_bystander_ends_the_guarantee_until_it_ends,
      a_long_kernel_ends_the_guarantee,
      more_than_its_budget_ends_the_guarantee_and_misses_are_counted,
      the_backlog_follows_the_deadline, a_reload_reaches_who_is_there)
