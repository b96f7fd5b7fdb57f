// SPDX-License-Identifier: Apache-2.0
/* test_tools_analyse.c: `rein policy analyse FILE`, without a daemon. */
#include "tests/harness.h"

#include "policy/policy.h"
#include "tests/unit/cli_run.h"
#include "tools/taskfile.h"

#define CHAT "[task chat]\nperiod = 33ms\ndeadline = 20ms\nbudget = 10ms\n"
#define DETECT "[task detect]\nperiod = 100ms\ndeadline = 50ms\nbudget = 20ms\n"
#define TRAIN "[task train]\nlongest = 2ms\nbacklog = 8ms\n"
#define EDF "[policy]\nname = edf\n"

static char path[256];

static const char *folder(void)
{
	const char *dir = temp_dir();
	snprintf(path, sizeof(path), "%s/set.ini", dir);
	return dir;
}

static void write_set(const char *text)
{
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

static bool says(const char *text)
{
	return strstr(out, text) || strstr(err, text);
}

TEST(a_safe_set)
{
	const char *dir = folder();
	write_set(EDF CHAT DETECT TRAIN);
	ck_assert_int_eq(REIN(dir, "policy", "analyse", path), 0);
	ck_assert_int_eq(lines(out), 6);
	ck_assert(says("chat       0   33.00     20.00   10.00   3.00  19.19   0.81  safe\n"));
	ck_assert(says("train      0       -         -       -   3.00      -      -  no timing\n"));
	ck_assert(says("policy edf, utilisation 0.50"));
	ck_assert(says("all deadlines can be kept; least slack: chat, 0.809 ms; less urgent "
	               "programs may keep 2.996 ms queued\n"));
	ck_assert_str_eq(err, "");
}
TEST_END

TEST(a_set_that_is_not)
{
	const char *dir = folder();
	write_set(EDF CHAT DETECT "[task train]\nlongest = 9ms\n");
	ck_assert_int_eq(REIN(dir, "policy", "analyse", path), 1);
	ck_assert(says("can miss"));
	ck_assert(says("chat could take 23 of its 20 ms"));
	ck_assert(says("the longest kernel: train's, 9 ms"));
}
TEST_END

/* The file's policy, another one, the default; one that promises nothing. */
TEST(policies)
{
	const char *dir = folder();
	write_set("[policy]\nname = prio\nswitch_cost = 0\nreaction = 0\n" CHAT
	          "priority = 80\n" DETECT "priority = 70\nlinger = 0\n" TRAIN);
	ck_assert_int_eq(REIN(dir, "policy", "analyse", path), 0);
	/* chat's own 10, detect's 4, and what is left of 20 for train */
	ck_assert(says("chat      80   33.00     20.00   10.00   4.00  19.99   0.01  safe\n"));
	ck_assert(says("detect    70  100.00     50.00   20.00   4.00  46.39   3.61  safe\n"));
	ck_assert_int_eq(REIN(dir, "policy", "analyse", "--policy", "edf", path), 0);
	ck_assert(says("policy edf"));
	ck_assert_int_eq(REIN(dir, "policy", "analyse", path, "--policy", "fifo"), 1);
	ck_assert(says("fifo promises nothing"));
	write_set(CHAT "priority = 5\n" TRAIN);
	ck_assert_int_eq(REIN(dir, "policy", "analyse", path), 0);
	char line[64];
	snprintf(line, sizeof(line), "policy %s,", rein_policies[0]->name);
	ck_assert(says(line));
}
TEST_END

TEST(json)
{
	const char *dir = folder();
	write_set(EDF CHAT DETECT TRAIN);
	ck_assert_int_eq(REIN(dir, "policy", "analyse", "--json", path), 0);
	json_t *o = json_loads(out, 0, NULL), *task;
	ck_assert_ptr_nonnull(o);
	ck_assert(json_is_true(json_object_get(o, "safe")));
	ck_assert_str_eq(rein_cli_str(o, "binding"), "chat");
	ck_assert_int_eq(json_array_size(json_object_get(o, "tasks")), 3);
	task = json_array_get(json_object_get(o, "tasks"), 0);
	ck_assert(rein_cli_real(task, "bound_ms") > 19 && rein_cli_real(task, "bound_ms") <= 20);
	task = json_array_get(json_object_get(o, "tasks"), 2);
	ck_assert(json_is_null(json_object_get(task, "bound_ms")));
	json_decref(o);
	ck_assert_int_eq(REIN(dir, "policy", "analyse", "--json", "/nonexistent"), 2);
	ck_assert(says("\"ok\":false"));
}
TEST_END

/* Bands are what a client would get, unless they are said. */
TEST(reads_all_keys)
{
	static struct rein_taskfile f;
	char why[256];
	(void)folder();
	write_set("[policy]\nname = classes\nswitch_cost = 10us\nreaction = 20us\ntimeslice = 2ms\n"
	          "[task a]\nperiod = 3ms\nbudget = 1ms\nbacklog = 1us\nlinger = 0\nlongest = 5us\n"
	          "[task b]\npriority = 7\n[task c]\n[task d]\nband = idle\npriority = 9\n");
	ck_assert_int_eq(rein_taskfile_read(&f, path, why, sizeof(why)), 0);
	ck_assert_uint_eq(f.n, 4);
	ck_assert_str_eq(f.ops->name, "classes");
	ck_assert_uint_eq(f.params.switch_ns, 10000);
	ck_assert_uint_eq(f.params.reaction_ns, 20000);
	ck_assert_uint_eq(f.params.timeslice_ns, 2000000);
	ck_assert_uint_eq(f.task[0].period_ns, 3000000);
	ck_assert_uint_eq(f.task[0].cost_ns, 1000000);
	ck_assert_uint_eq(f.task[0].backlog_ns, 1000);
	ck_assert_uint_eq(f.task[0].longest_ns, 5000);
	ck_assert_uint_eq(f.task[0].linger_ns, 0);
	ck_assert_int_eq(f.task[0].band, REIN_BAND_REALTIME);
	ck_assert_int_eq(f.task[1].prio, 7);
	ck_assert_int_eq(f.task[1].band, REIN_BAND_INTERACTIVE);
	ck_assert_uint_eq(f.task[1].backlog_ns, REIN_POLICY_BACKLOG_NS);
	ck_assert_int_eq(f.task[2].band, REIN_BAND_BATCH);
	ck_assert_int_eq(f.task[3].band, REIN_BAND_IDLE);
	ck_assert_str_eq(f.task[3].name, "d");
}
TEST_END

TEST(mistakes)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
	    {"", "set.ini:0: no [task NAME] in it"},
	    {"period = 3ms\n", ":1: 'period' stands before any section"},
	    {"[tusk a]\n", ":1: unknown section [tusk a]; accepted: [policy], [task NAME]"},
	    {"[task ]\n", ":1: bad name in [task ]"},
	    {"[task a b]\n", ":1: bad name"},
	    {"[task a]\n\n[task a]\n", ":3: a second [task a]"},
	    {"[task a]\nperiod = 3\n", ":2: bad period '3'; accepted: a time with its unit"},
	    {"[task a]\nperiod = 3601s\n", ":2: bad period"},
	    {"[task a]\npriority = 100\n", ":2: bad priority '100'"},
	    {"[task a]\nband = high\n", ":2: unknown band 'high'; accepted: realtime"},
	    {"[task a]\ncolour = red\n", ":2: unknown key 'colour' in [task a]; accepted: period"},
	    {"[policy]\nname = best\n", ":2: unknown policy 'best'; accepted: "},
	    {"[policy]\nperiod = 3ms\n", ":2: unknown key 'period' in [policy]; accepted: name"},
	    {"\n[task a]\nperiod = 3ms\n[task b]\n", ":2: [task a] needs a budget"},
	    {"[task a]\ndeadline = 3ms\nbudget = 1ms\n", ":1: [task a] needs a period"},
	    {"[task a]\nperiod = 3ms\nbudget = 4ms\n",
	     ":1: [task a] has a budget above its period"},
	    {"[task a]\nperiod = 9ms\ndeadline = 3ms\nbudget = 4ms\n", "above its deadline"},
	    {"[task a]\nnonsense\n", ":2: not understood"},
	};
	const char *dir = folder();
	for (size_t i = 0; i < REIN_ARRAY_LEN(cases); i++) {
		write_set(cases[i].text);
		int status = REIN(dir, "policy", "analyse", path);
		ck_assert_msg(status == 2 && strstr(err, cases[i].says), "%zu: %d, %s", i, status,
		              err);
		ck_assert_int_eq(lines(err), 1);
		ck_assert_str_eq(out, "");
	}
	ck_assert_int_eq(REIN(dir, "policy", "analyse"), 2);
	ck_assert_int_eq(REIN(dir, "policy", "analyse", path, path), 2);
	ck_assert_int_eq(REIN(dir, "policy", "analyse", "--policy", "best", path), 2);
	ck_assert(says("unknown policy 'best'"));
	ck_assert_int_eq(REIN(dir, "policy", "analyse", "--help"), 0);
	ck_assert(says("policy analyse FILE"));
}
TEST_END

/* Long lines, many tasks, bytes that are no text: a line, no crash. */
TEST(hostile_files)
{
	const char *dir = folder();
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	for (int i = 0; i <= REIN_POLICY_TASKS_MAX; i++)
		fprintf(f, "[task t%d]\n", i);
	fclose(f);
	ck_assert_int_eq(REIN(dir, "policy", "analyse", path), 2);
	ck_assert(says(":1025: too many tasks"));
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	for (int i = 0; i < 5000; i++)
		fputc('[', f);
	fclose(f);
	ck_assert_int_eq(REIN(dir, "policy", "analyse", path), 2);
	ck_assert(says(":1: line too long"));
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fwrite("[task a\0b]\nperiod\0 = 3ms\n\377\376", 1, 27, f);
	fclose(f);
	ck_assert_int_eq(REIN(dir, "policy", "analyse", path), 2);
	ck_assert_int_eq(REIN(dir, "policy", "analyse", (char *)dir), 2);
}
TEST_END

TESTS("tools_analyse", a_safe_set, a_set_that_is_not, policies, json, reads_all_keys, mistakes,
      hostile_files)
