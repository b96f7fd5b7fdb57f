// SPDX-License-Identifier: Apache-2.0
/*
 * test_slices.c: SM slices on the software GPU (8 SMs, groups of 2): what they confine and what
 * they leave alone, what they are worth, how they change under load, and that a reservation holds
 * beside a kernel that stays. That order and results stay what they are is test_random.c's.
 */
#include "tests/process/hammer.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define RUN_MS 60000
#define WAIT_MS 20000

static struct rig rig;
static char out[1 << 16];

static void start(const char *times)
{
	rig_init(&rig, times);
	rig_daemon(&rig);
}

/* With that slice; its output. */
static const char *run(const char *sms, int prio, const char *program, const char *args)
{
	setenv("REIN_SMS", sms, 1);
	struct proc p = rig_start(&rig, prio, program, args);
	int rc = proc_wait(&p, out, sizeof(out), RUN_MS);
	unsetenv("REIN_SMS");
	ck_assert_msg(rc == 0, "%s with %s: exit %d: %.2000s", program, sms, rc, out);
	return out;
}

static void expect(const char *text, const char *what, unsigned sms)
{
	char line[64];
	snprintf(line, sizeof(line), "%s %#x, ", what, sms);
	ck_assert_msg(strstr(text, line), "no \"%.*s\" in: %.2000s", (int)strcspn(line, ","), line,
	              text);
}

/* ---------------------------------------------------------------- what is confined */

TEST(kernels_of_each_kind_of_stream_are_confined)
{
	setenv("SOFTGPU_MPS", "1", 1);
	start(NULL);
	const char *text = run("25%", 0, "tests/clients/slices", "");
	static const char *const confined[] = {"non-blocking",  "config",   "again",
	                                       "default-alone", "blocking", "default-beside"};
	for (size_t i = 0; i < sizeof(confined) / sizeof(confined[0]); i++)
		expect(text, confined[i], 0xc0); /* not urgent: the last ones */
	expect(text, "cooperative", 0xff);
	expect(text, "cooperative-attribute", 0xff);
	expect(text, "graph", 0xff);
	expect(text, "with-attribute", 0xff);
	ck_assert_msg(strstr(text, "active 0\n"), "%s",
	              text); /* our green contexts did not keep it */
	const char *said = strstr(text, "not all of the program's work is in its slice");
	ck_assert_msg(said && !strstr(said + 1, "not all of"), "%s", text);
	ck_assert_msg(!strstr(text, "without MPS"), "%s", text);
	expect(run("3", 50, "tests/clients/slices", ""), "non-blocking", 0x03); /* rounded down */
	expect(run("all", 50, "tests/clients/slices", ""), "non-blocking", 0xff);
	rig_fini(&rig);
}
TEST_END

TEST(without_mps_it_is_said_once)
{
	static const char said[] = "without MPS processes take turns";
	setenv("SOFTGPU_MODE", "fast", 1);
	start(NULL);
	const char *text = run("25%", 0, "tests/clients/slices", "");
	expect(text, "non-blocking", 0xc0);
	const char *at = strstr(text, said);
	ck_assert_msg(at && strstr(text, "2 of 8 SMs") && !strstr(at + 1, said), "%s", text);
	rig_fini(&rig);
}
TEST_END

/* The per-thread default stream waits for the legacy one, whose kernel is elsewhere. */
TEST(an_event_of_a_stream_that_was_never_used_keeps_its_place)
{
	setenv("SOFTGPU_MPS", "1", 1);
	start("slow=200ms");
	const char *text = run("all", 0, "tests/clients/slice_edges", "--order");
	ck_assert_msg(strstr(text, "default stream 0\n"), "%s", text);
	text = run("25%", 0, "tests/clients/slice_edges", "--order");
	ck_assert_msg(strstr(text, "default stream 0\n"), "%s", text);
	rig_fini(&rig);
}
TEST_END

TEST(a_forked_child_has_no_slice)
{
	setenv("SOFTGPU_MPS", "1", 1);
	start("slow=200ms");
	const char *text = run("25%", 0, "tests/clients/slice_edges", "--fork");
	ck_assert_str_eq(text, "");
	rig_fini(&rig);
}
TEST_END

/* ---------------------------------------------------------------- what it is worth */

static double steps_per_s(const char *sms)
{
	const char *text = run(sms, 0, "workloads/be", "--seconds 0.5 --elements 65536 --work 1");
	const char *at = strstr(text, " s): ");
	ck_assert_msg(at != NULL, "%s", text);
	return atof(at + 5);
}

TEST(throughput_follows_the_sms)
{
	start("be_step=1ms");
	double all = steps_per_s("all");
	static const struct {
		const char *sms;
		double part;
	} rows[] = {{"25%", 0.25}, {"4", 0.5}, {"75%", 0.75}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		double part = steps_per_s(rows[i].sms) / all;
		ck_assert_msg(part > 0.95 * rows[i].part && part < 1.05 * rows[i].part,
		              "%s: %.3f of all SMs' throughput", rows[i].sms, part);
	}
	rig_fini(&rig);
}
TEST_END

/* ---------------------------------------------------------------- live */

static struct proc loaded;

static void expect_sms(const char *wish, int64_t sms)
{
	char args[64];
	int64_t now = -1;
	snprintf(args, sizeof(args), "set %d --sms %s", (int)loaded.pid, wish);
	json_t *answer = rig_rein(&rig, args);
	ck_assert_msg(answer != NULL, "%s", args);
	json_decref(answer);
	for (int i = 0; i < 500 && now != sms; i++) {
		usleep(10000);
		now = rig_counter(&rig, loaded.pid, "sms_now");
	}
	ck_assert_msg(now == sms, "%s: %d SMs", wish, (int)now);
	ck_assert_int_eq(rig_counter(&rig, loaded.pid, "sms_of"), 8);
	rig_expect_progress(&rig, loaded.pid, "submissions",
	                    rig_counter(&rig, loaded.pid, "submissions") + 20, WAIT_MS);
}

/* Its result says whether each step ran once, in order. */
TEST(a_slice_changes_under_load)
{
	setenv("SOFTGPU_MPS", "1", 1);
	start("be_step=300us");
	loaded = rig_start(&rig, 0, "workloads/be", "--seconds 0 --kernels 2");
	rig_expect_progress(&rig, loaded.pid, "submissions", 10, WAIT_MS);
	expect_sms("25%", 2);
	expect_sms("5", 4);
	for (int i = 0; i < 5; i++) {
		expect_sms("all", 0);
		expect_sms(i % 2 ? "50%" : "75%", i % 2 ? 4 : 6);
	}
	proc_kill(&loaded, SIGTERM);
	int rc = proc_wait(&loaded, out, sizeof(out), RUN_MS);
	ck_assert_msg(rc == 0, "exit %d: %s", rc, out);
	rig_fini(&rig);
}
TEST_END

/* Threads that share a stream while it goes out and comes home all the time. */
TEST(threads_share_a_stream_that_comes_and_goes)
{
	static const char *const args[] = {"", "--default"};
	char conf[128];
	setenv("SOFTGPU_OVERRUN_SLACK", "10s", 1); /* results count here, not times */
	setenv("SOFTGPU_DEVICES", "2", 1);
	rig_init(&rig, "add=100us,mul=100us");
	snprintf(conf, sizeof(conf), "%s/rein.conf", rig.dir);
	FILE *f = fopen(conf, "we");
	ck_assert_ptr_nonnull(f);
	fprintf(f, "[daemon]\npolicy = fifo\n");
	fclose(f);
	rig_daemon_with(&rig, (char *[]){"--config", conf, NULL});
	hammer_start(&rig);
	for (int i = 0; i < 2; i++) {
		const char *at =
		    strstr(run("50% shared", 0, "tests/clients/shared_stream", args[i]), "balls ");
		ck_assert_msg(at && atoi(at + 6) > 100, "%s", out);
		ck_assert_msg(strstr(out, "4 of 8 SMs"), "%s", out);
	}
	hammer_end();
	rig_fini(&rig);
}
TEST_END

/* ---------------------------------------------------------------- a reservation */

static double lc_p99_ns(void)
{
	json_error_t why;
	const char *text =
	    run("25%", 50, "workloads/lc",
	        "--requests 60 --period 18 --arrivals periodic --kernels 4 --json -");
	json_t *o = json_loads(strchr(text, '{'), JSON_DISABLE_EOF_CHECK, &why);
	ck_assert_msg(o != NULL, "%s: %.500s", why.text, text);
	double p99 = json_number_value(json_object_get(json_object_get(o, "latency"), "p99_ns"));
	json_decref(o);
	ck_assert(p99 > 0);
	return p99;
}

/* Under MPS no context gate holds: against kernels of any length SMs are kept free, if asked. */
TEST(sms_are_reserved_against_long_kernels)
{
	setenv("SOFTGPU_MPS", "1", 1);
	start("be_step=20ms");
	setenv("REIN_SMS", "75% long", 1);
	loaded = rig_start(&rig, 0, "workloads/be", "--seconds 0");
	unsetenv("REIN_SMS");
	rig_expect_progress(&rig, loaded.pid, "submissions", 10, WAIT_MS);
	ck_assert_int_eq(rig_counter(&rig, loaded.pid, "sms_now"), 0); /* alone: all */
	struct proc lc =
	    rig_start(&rig, 50, "workloads/lc", "--requests 200 --period 20 --arrivals periodic");
	rig_expect_progress(&rig, loaded.pid, "sms_now", 5, WAIT_MS);
	ck_assert_int_eq(rig_counter(&rig, loaded.pid, "sms_now"), 6);
	ck_assert_int_eq(rig_counter(&rig, lc.pid, "sms_now"), 0);
	proc_kill(&lc, SIGTERM);
	proc_wait(&lc, NULL, 0, RUN_MS);
	for (int i = 0; i < 500 && rig_counter(&rig, loaded.pid, "sms_now"); i++)
		usleep(10000);
	ck_assert_int_eq(rig_counter(&rig, loaded.pid, "sms_now"), 0);
	proc_kill(&loaded, SIGTERM);
	int rc = proc_wait(&loaded, out, sizeof(out), RUN_MS);
	ck_assert_msg(rc == 0, "exit %d: %s", rc, out); /* each step ran once, in order */
	rig_fini(&rig);
}
TEST_END

/* Each on its part of the SMs: nothing waits for the kernel that stays, for hundreds of them. */
TEST(a_reservation_holds_beside_a_kernel_that_stays)
{
	setenv("SOFTGPU_MPS", "1", 1);
	start("lc_step=3ms");
	double solo = lc_p99_ns(), beside = 0;
	setenv("REIN_SMS", "75%", 1);
	struct proc enemy = rig_start(&rig, 0, "workloads/enemy", "--kind persistent --seconds 0");
	unsetenv("REIN_SMS");
	rig_expect_progress(&rig, enemy.pid, "submissions", 2, WAIT_MS);
	for (int i = 0; i < 5 && (!beside || beside > 1.1 * solo); i++) {
		double p99 = lc_p99_ns(); /* the host has two cores: the best of five */
		beside = beside && beside < p99 ? beside : p99;
	}
	proc_kill(&enemy, SIGTERM);
	proc_wait(&enemy, NULL, 0, RUN_MS);
	ck_assert_msg(beside <= 1.1 * solo, "p99 %.2f ms beside it, %.2f ms alone", beside / 1e6,
	              solo / 1e6);
	rig_fini(&rig);
}
TEST_END

/* ---------------------------------------------------------------- by MPS itself */

/* The environment that the program would get. */
static json_t *plan(const char *sms, const char *pid)
{
	char path[128], pipes[160];
	char *argv[] = {(char *)built("rein"), "run",       "--dry-run", "--json", "--sms",
	                (char *)sms,           "/bin/true", NULL};
	char *env[] = {rig.env[0], pipes, NULL};
	snprintf(path, sizeof(path), "%s/nvidia-cuda-mps-control.pid", rig.dir);
	FILE *f = fopen(path, "we");
	ck_assert_ptr_nonnull(f);
	fprintf(f, "%s\n", pid);
	fclose(f);
	snprintf(pipes, sizeof(pipes), "CUDA_MPS_PIPE_DIRECTORY=%s", rig.dir);
	int rc = proc_run(argv, env, out, sizeof(out), WAIT_MS);
	json_t *o = rc == 0 ? json_loads(strchr(out, '{'), JSON_DISABLE_EOF_CHECK, NULL) : NULL;
	ck_assert_msg(o != NULL, "exit %d: %.1000s", rc, out);
	return o;
}

static const char *env_of(const json_t *plan, const char *name)
{
	return json_string_value(json_object_get(json_object_get(plan, "env"), name));
}

TEST(where_mps_runs_a_part_is_its_percentage)
{
	static const char percentage[] = "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE";
	char us[16];
	start(NULL);
	snprintf(us, sizeof(us), "%d", (int)getpid());
	json_t *o = plan("25%", us); /* its number is somebody else's by now */
	ck_assert_ptr_null(env_of(o, percentage));
	json_decref(o);
	ck_assert_int_eq(prctl(PR_SET_NAME, "nvidia-cuda-mps"), 0);
	o = plan("25%", us);
	ck_assert_pstr_eq(env_of(o, percentage), "25");
	ck_assert_pstr_eq(env_of(o, "REIN_SMS"), "all"); /* and not the class' slice of that */
	json_decref(o);
	o = plan("2", us); /* a number, and whoever changes, is the shim's */
	ck_assert_ptr_null(env_of(o, percentage));
	ck_assert_pstr_eq(env_of(o, "REIN_SMS"), "2");
	json_decref(o);
	o = plan("25%", "999999999"); /* it died */
	ck_assert_ptr_null(env_of(o, percentage));
	ck_assert_pstr_eq(env_of(o, "REIN_SMS"), "25%");
	json_decref(o);
	rig_fini(&rig);
}
TEST_END

TESTS("slices", kernels_of_each_kind_of_stream_are_confined,
      an_event_of_a_stream_that_was_never_used_keeps_its_place, a_forked_child_has_no_slice,
      without_mps_it_is_said_once, throughput_follows_the_sms, a_slice_changes_under_load,
      threads_share_a_stream_that_comes_and_goes, sms_are_reserved_against_long_kernels,
      a_reservation_holds_beside_a_kernel_that_stays, where_mps_runs_a_part_is_its_percentage)
