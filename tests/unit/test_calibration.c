// SPDX-License-Identifier: Apache-2.0
/* test_calibration.c: what `rein calibrate` chooses from what was found, that the daemon takes it,
 * the file it writes, and the programs that it runs, played by the shell. */
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "common/rm.h"
#include "daemon/profile.h"
#include "tests/harness.h"
#include "tools/calibration.h"
#include "tools/probe.h"

#define UUID "GPU-01020304-0506-0708-090a-0b0c0d0e0f10"

static json_t *facts;

static void put(const char *id, json_t *value)
{
	json_object_set_new(facts, id, json_pack("{s:o}", "value", value));
}

static void number(const char *id, double value)
{
	put(id, json_real(value));
}

static void flag(const char *id, bool value)
{
	put(id, json_boolean(value));
}

static void recipe(const char *name, double holds, double stop_us, double hold_us, double end_us)
{
	static const struct {
		const char *fmt;
		unsigned which;
	} ids[] = {{"context-gate.holds_%s_5ms", 0},
	           {"context-gate.holds_%s_100ms", 0},
	           {"context-gate.hold_stop_%s_5ms_us", 1},
	           {"context-gate.hold_call_%s_5ms_us", 2},
	           {"context-gate.release_call_%s_5ms_us", 3}};
	double values[] = {holds, stop_us, hold_us, end_us};
	char id[96];
	for (unsigned i = 0; i < REIN_ARRAY_LEN(ids); i++) {
		snprintf(id, sizeof(id), ids[i].fmt, name);
		number(id, values[ids[i].which]);
	}
	snprintf(id, sizeof(id), "context-gate.hold_result_intact_%s", name);
	flag(id, true);
	snprintf(id, sizeof(id), "context-gate.launch_while_held_runs_%s", name);
	put(id, json_string("at once"));
}

static void timeslice(const char *setting, double share, double latency_us, double alone)
{
	char id[96];
	snprintf(id, sizeof(id), "context-gate.share_be_%s", setting);
	number(id, share);
	snprintf(id, sizeof(id), "context-gate.lc_latency_%s_us", setting);
	number(id, latency_us);
	snprintf(id, sizeof(id), "context-gate.be_alone_%s", setting);
	number(id, alone);
}

/* What an H200 answered (results/h200-580.159.04-2026-11-20). */
static void h200(void)
{
	facts = json_object();
	number("device.mps", 0);
	number("queue-gate.point_gpu_ns", 2573);
	number("queue-gate.added_20us_ns", 3106.6);
	flag("queue-gate.hold_1s", true);
	flag("queue-gate.hold_3s", true);
	flag("queue-gate.held_process_yields", true);
	recipe("disable_preempt", 1, 417.3, 567, 265);
	recipe("disable", 1, 268.2, 460.2, 265.1);
	recipe("schedule", 0.1, 122.2, 300, 265);
	timeslice("default", 0.46, 1343, 1);
	timeslice("1024us", 0.30, 296.5, 1);
	timeslice("200us", 0.071, 269.9, 0.998);
	timeslice("1us", 0, 182.4, 0.999);
	flag("context-gate.timeslice_result_intact", true);
}

static json_t *make(void)
{
	struct rein_cli_calibrated of = {UUID, "NVIDIA H200", "580.159.04", "2026-11-20T14:00:00Z"};
	json_t *profile = rein_cli_profile_make(facts, &of);
	ck_assert_ptr_nonnull(profile);
	return profile;
}

/* As the daemon reads it. */
static struct rein_gates chosen(void)
{
	struct rein_gates gates;
	uint8_t uuid[16];
	char driver[64], why[256] = "";
	json_t *profile = make();
	char *text = json_dumps(profile, 0);
	ck_assert_msg(rein_profile_parse(text, strlen(text), &gates, uuid, driver, sizeof(driver),
	                                 why, sizeof(why)) == 0,
	              "%s: %s", why, text);
	ck_assert_str_eq(driver, "580.159.04");
	ck_assert_uint_eq(uuid[15], 0x10);
	free(text);
	json_decref(profile);
	return gates;
}

TEST(the_daemon_takes_what_is_chosen)
{
	h200();
	struct rein_gates g = chosen();
	ck_assert_uint_eq(g.can, REIN_CAN_QUEUE | REIN_CAN_CONTEXT);
	ck_assert_uint_eq(g.point_cost_ns, 3107);
	ck_assert(g.waits_for_ever);
	ck_assert_uint_eq(g.context_recipe, REIN_RM_RECIPE_DISABLE); /* the one that stops sooner */
	ck_assert_uint_eq(g.context_us, 726);
	ck_assert_uint_eq(g.timeslice_us, 200); /* 1 us starves the other */
	json_t *profile = make();
	ck_assert_ptr_nonnull(
	    json_object_get(json_object_get(profile, "measured"), "queue-gate.point_gpu_ns"));
	json_decref(profile);
	json_decref(facts);
}
TEST_END

TEST(only_sound_recipes)
{
	h200();
	number("context-gate.hold_stop_disable_5ms_us", 418);
	ck_assert_uint_eq(chosen().context_recipe, REIN_RM_RECIPE_DISABLE_PREEMPT);
	number("context-gate.hold_stop_disable_5ms_us", 268);
	number("context-gate.holds_disable_100ms", 0.99);
	ck_assert_uint_eq(chosen().context_recipe, REIN_RM_RECIPE_DISABLE_PREEMPT);
	flag("context-gate.hold_result_intact_disable_preempt", false);
	struct rein_gates g = chosen(); /* time slices are left */
	ck_assert_uint_eq(g.context_recipe, REIN_RM_RECIPE_TIMESLICE);
	ck_assert_uint_eq(g.context_us, 0);
	number("context-gate.holds_disable_100ms", 1);
	put("context-gate.launch_while_held_runs_disable",
	    json_string("only after another launch"));
	ck_assert_uint_eq(chosen().context_recipe, REIN_RM_RECIPE_TIMESLICE);
	flag("context-gate.timeslice_result_intact", false);
	g = chosen();
	ck_assert_uint_eq(g.context_recipe, REIN_RM_RECIPE_OFF);
	ck_assert_uint_eq(g.can, REIN_CAN_QUEUE);
	json_decref(facts);
}
TEST_END

TEST(time_slices_that_cost_too_much)
{
	h200();
	timeslice("100us", 0.03, 230, 0.985); /* 1.5 % alone */
	ck_assert_uint_eq(chosen().timeslice_us, 200);
	timeslice("100us", 0.03, 230, 0.995);
	ck_assert_uint_eq(chosen().timeslice_us, 100);
	timeslice("100us", 0.005, 230, 0.995); /* it starves */
	timeslice("200us", 0.07, 1300, 1);     /* no gain */
	ck_assert_uint_eq(chosen().timeslice_us, 1024);
	json_decref(facts);
}
TEST_END

TEST(what_was_not_found_is_not_proven)
{
	h200();
	number("device.mps", 1);
	struct rein_gates g = chosen();
	ck_assert_uint_eq(g.can, REIN_CAN_QUEUE);
	ck_assert_uint_eq(g.timeslice_us, 0);
	json_object_del(facts, "queue-gate.hold_3s");
	g = chosen();
	ck_assert(!g.waits_for_ever);
	flag("queue-gate.held_process_yields", false);
	ck_assert_uint_eq(chosen().can, 0);
	json_object_clear(facts);
	g = chosen();
	ck_assert_uint_eq(g.can, 0);
	ck_assert_uint_eq(g.point_cost_ns, 0);
	json_decref(facts);
}
TEST_END

static unsigned files_in(const char *dir)
{
	DIR *d = opendir(dir);
	unsigned n = 0;
	for (const struct dirent *e; d && (e = readdir(d));)
		n += e->d_name[0] != '.';
	if (d)
		closedir(d);
	return n;
}

TEST(written_whole_or_not_at_all)
{
	char dir[96], path[128], under[160];
	snprintf(dir, sizeof(dir), "%s/rein", temp_dir());
	snprintf(path, sizeof(path), "%s/profile-a-b.json", dir);
	snprintf(under, sizeof(under), "%s/no/file", path);
	ck_assert_int_eq(rein_cli_profile_try(path), 0); /* makes the folder, leaves no file */
	ck_assert_uint_eq(files_in(dir), 0);
	h200();
	json_t *profile = make();
	ck_assert_int_eq(rein_cli_profile_write(path, profile), 0);
	ck_assert_int_eq(rein_cli_profile_write(path, profile),
	                 0); /* in the place of the old one */
	ck_assert_uint_eq(files_in(dir), 1);
	json_t *back = json_load_file(path, 0, NULL);
	ck_assert_int_eq((int)json_integer_value(json_object_get(back, "profile_version")), 1);
	ck_assert_int_lt(rein_cli_profile_try(under), 0);
	ck_assert_int_lt(rein_cli_profile_write(under, profile), 0);
	ck_assert_int_eq(mkdir(under, 0700), -1);
	/* a folder in the way: the file that was made beside it is gone again */
	snprintf(under, sizeof(under), "%s/folder", dir);
	ck_assert_int_eq(mkdir(under, 0700), 0);
	ck_assert_int_eq(rein_cli_profile_write(under, profile), -EISDIR);
	ck_assert_uint_eq(files_in(dir), 2);
	/* what is no file is not replaced by one, and that is said before anything is measured */
	ck_assert_int_eq(rein_cli_profile_try(under), -EISDIR);
	ck_assert_int_eq(rein_cli_profile_try("/dev/zero"), -ENOTSUP);
	ck_assert_int_eq(rein_cli_profile_try(""), -ENOENT);
	json_decref(back);
	json_decref(profile);
	json_decref(facts);
}
TEST_END

/* ---------------------------------------------------------------- programs */

static struct rein_cli_probe probe;
static const char *args[] = {"-c", NULL, NULL};

static int shell(const char *script, unsigned limit_s)
{
	args[1] = script;
	probe = (struct rein_cli_probe){
	    .path = "/bin/sh", .args = args, .limit_s = limit_s, .facts = facts};
	return rein_cli_probe_run(&probe);
}

TEST(facts_are_collected)
{
	facts = json_object();
	rein_cli_probe_signals();
	int rc = shell("echo '{\"fact\": \"a.b_us\", \"value\": 2.5, \"p99\": 7, \"note\": \"x\"}';"
	               "echo '{\"skip\": \"a.c\", \"why\": \"x\"}'; echo garbage; echo one >&2;"
	               "printf 'two' >&2; printf '{\"fact\": \"a.d\", \"value\": true}'; exit 3",
	               5);
	ck_assert_int_eq(rc, 3);
	ck_assert_str_eq(probe.why, "two");
	ck_assert_uint_eq(json_object_size(facts), 2);
	ck_assert(rein_cli_fact(facts, "value", "a.%s_us", "b") == 2.5);
	ck_assert(rein_cli_fact(facts, "p99", "a.b_us") == 7);
	ck_assert(isnan(rein_cli_fact(facts, "note", "a.b_us")));
	ck_assert(rein_cli_fact_true(facts, "a.d") && !rein_cli_fact_true(facts, "a.c"));
	ck_assert_int_eq(shell("kill -9 $$", 5), 128 + SIGKILL);
	json_decref(facts);
}
TEST_END

/* Gone, or a zombie: not everything that orphans come to collects them. */
static bool is_over(void *arg)
{
	char path[64], state = 'X';
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)*(pid_t *)arg);
	FILE *f = fopen(path, "r");
	if (f && fscanf(f, "%*d %*s %c", &state) != 1)
		state = 'X';
	if (f)
		fclose(f);
	return state == 'X' || state == 'Z';
}

TEST(whoever_takes_too_long_is_ended)
{
	facts = json_object();
	rein_cli_probe_signals();
	/* it ends when it is told to; its child, which does not listen, is ended too */
	int rc = shell("trap '' TERM; sleep 60 & echo $! >&2; trap 'exit 0' TERM; wait", 1);
	ck_assert_int_eq(rc, -ETIMEDOUT);
	pid_t child = (pid_t)strtol(probe.why, NULL, 10);
	ck_assert_int_gt(child, 1);
	ck_assert(eventually(is_over, &child, 5000));
	json_decref(facts);
}
TEST_END

static void on_stay(pid_t pid, void *arg)
{
	*(pid_t *)arg = pid;
}

TEST(who_stays_is_looked_at_and_ended)
{
	pid_t seen = 0;
	facts = json_object();
	rein_cli_probe_signals();
	args[1] = "echo '{\"fact\": \"device.stays\", \"value\": true}'; cat; exit 5";
	probe = (struct rein_cli_probe){.path = "/bin/sh",
	                                .args = args,
	                                .limit_s = 10,
	                                .facts = facts,
	                                .stays = on_stay,
	                                .arg = &seen};
	ck_assert_int_eq(rein_cli_probe_run(&probe), 5);
	ck_assert_int_gt(seen, 0);
	json_decref(facts);
}
TEST_END

TEST(whether_reind_looks_there)
{
	char dir[96], path[160];
	snprintf(dir, sizeof(dir), "%s", temp_dir());
	snprintf(path, sizeof(path), "%s/../%s/profile-GPU-1-2.json", dir, strrchr(dir, '/') + 1);
	ck_assert(rein_cli_profile_found(dir, path));
	ck_assert(!rein_cli_profile_found("/", path));
	ck_assert(!rein_cli_profile_found("/nowhere/at/all", path));
	snprintf(path, sizeof(path), "%s/mine.json", dir);
	ck_assert(!rein_cli_profile_found(dir, path));
	ck_assert(rein_cli_profile_found("/", "/profile-x.json"));
	ck_assert(rein_cli_profile_found(".", "profile-x.json"));
	ck_assert(!rein_cli_profile_found(dir, "profile-x.json"));
}
TEST_END

TESTS("calibration", the_daemon_takes_what_is_chosen, only_sound_recipes, whether_reind_looks_there,
      time_slices_that_cost_too_much, what_was_not_found_is_not_proven, written_whole_or_not_at_all,
      facts_are_collected, whoever_takes_too_long_is_ended, who_stays_is_looked_at_and_ended)
