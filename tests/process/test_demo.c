// SPDX-License-Identifier: Apache-2.0
/*
 * test_demo.c: the demo from end to end, with short runs: it ends well, leaves its files and
 * nothing else; interrupted, it takes its children and its daemon with it. The figures are not
 * judged here: runs of 1 s on a busy machine say little.
 */
#include "tests/harness.h"

#include <dirent.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[64];

/* Is a process alive whose command line holds our folder's name? Every child's does. */
static bool somebody_runs(void)
{
	bool found = false;
	DIR *proc = opendir("/proc");
	struct dirent *e;
	while ((e = readdir(proc)) && !found) {
		char path[300], line[4096];
		if (atoi(e->d_name) <= 0 || atoi(e->d_name) == getpid())
			continue;
		snprintf(path, sizeof(path), "/proc/%s/cmdline", e->d_name);
		FILE *f = fopen(path, "r");
		size_t n = f ? fread(line, 1, sizeof(line) - 1, f) : 0;
		for (size_t i = 0; i < n; i++)
			line[i] = line[i] ? line[i] : ' ';
		line[n] = 0;
		found = strstr(line, dir) != NULL;
		if (f)
			fclose(f);
	}
	closedir(proc);
	return found;
}

static bool nobody_runs(void *arg)
{
	return !somebody_runs();
}

static bool exists(void *path)
{
	return access(path, F_OK) == 0;
}

static size_t size_of(const char *path)
{
	FILE *f = fopen(path, "r");
	ck_assert_msg(f != NULL, "%s is missing", path);
	fseek(f, 0, SEEK_END);
	long n = ftell(f);
	fclose(f);
	return (size_t)n;
}

/* Rows of rein are what they say: each gate has done something to BE, or was not calibrated. */
static void check_row(const json_t *row, bool simulated)
{
	bool rein = strncmp(json_string_value(json_object_get(row, "mode")), "rein", 4) == 0;
	if (json_object_get(row, "left_out")) {
		ck_assert(rein && !simulated);
		return;
	}
	ck_assert_double_gt(json_real_value(json_object_get(row, "lc_p50_ms")), 20);
	ck_assert_double_gt(json_real_value(json_object_get(row, "be_steps_per_s")), 1);
	if (rein)
		ck_assert_int_gt(json_integer_value(json_object_get(row, "gate_acts")), 0);
}

TEST(short_demo_leaves_table_and_files)
{
	char out[8192], path[128];
	strcpy(dir, temp_dir());
	char *argv[] = {(char *)built("workloads/demo"), "--seconds", "1", "--out", dir, NULL};
	int rc = proc_run(argv, NULL, out, sizeof(out), 110000);
	ck_assert_msg(rc == 0, "exit %d: %s", rc, out);
	ck_assert_ptr_nonnull(strstr(out, "rein, launch gate"));
	ck_assert_ptr_nonnull(strstr(out, "p99/solo"));

	snprintf(path, sizeof(path), "%s/result.json", dir);
	json_t *root = json_load_file(path, 0, NULL);
	ck_assert_ptr_nonnull(root);
	json_t *rows = json_object_get(root, "rows");
	ck_assert_uint_eq(json_array_size(rows), 5);
	for (size_t i = 0; i < 5; i++)
		check_row(json_array_get(rows, i),
		          json_is_true(json_object_get(root, "simulated")));
	double rho = json_real_value(json_object_get(root, "rho"));
	ck_assert(rho > 0.05 && rho < 0.9);
	json_decref(root);
	snprintf(path, sizeof(path), "%s/report.html", dir);
	ck_assert_uint_gt(size_of(path), 10000);
	ck_assert(nobody_runs(NULL));
}
TEST_END

TEST(interrupted_demo_takes_all_with_it)
{
	char out[8192], path[128];
	strcpy(dir, temp_dir());
	char *argv[] = {(char *)built("workloads/demo"), "--seconds", "1", "--out", dir, NULL};
	struct proc p = proc_start(argv, NULL);
	/* natively all is done: the daemon and both programs run */
	snprintf(path, sizeof(path), "%s/be-native.json", dir);
	ck_assert(eventually(exists, path, 60000));
	snprintf(path, sizeof(path), "%s/run/control.sock", dir);
	ck_assert(eventually(exists, path, 60000));
	ck_assert(somebody_runs());
	usleep(300000);
	proc_kill(&p, SIGINT);
	ck_assert_int_eq(proc_wait(&p, out, sizeof(out), 30000), 128 + SIGINT);
	ck_assert_ptr_nonnull(strstr(out, "interrupted"));
	ck_assert(eventually(nobody_runs, NULL, 2000));
}
TEST_END

TEST(bad_usage_is_status_2)
{
	char out[4096];
	char *bad[][4] = {{(char *)built("workloads/demo"), "--seconds", "x", NULL},
	                  {(char *)built("workloads/demo"), "--nonsense", NULL},
	                  {(char *)built("workloads/bench"), "--rounds", "0", NULL},
	                  {(char *)built("workloads/bench_preempt"), "--kind", "short", NULL},
	                  {(char *)built("workloads/bench_preempt"), "--gate", "none", NULL},
	                  {(char *)built("workloads/lc"), "--arrivals", "sometimes", NULL},
	                  {(char *)built("workloads/be"), "--work", "-1", NULL},
	                  {(char *)built("workloads/saxpy"), "--n", "0", NULL},
	                  {(char *)built("workloads/matmul"), "surprise", NULL}};
	char library[600];
	snprintf(library, sizeof(library), "LD_LIBRARY_PATH=%s", built("workloads/null"));
	char *env[] = {library, NULL};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int rc = proc_run(bad[i], env, out, sizeof(out), 10000);
		ck_assert_msg(rc == 2, "%s %s: exit %d: %s", bad[i][0], bad[i][1], rc, out);
	}
}
TEST_END

/* The null driver computes nothing: every program must notice. */
TEST(wrong_results_are_noticed)
{
	static const char *const programs[][3] = {{"workloads/lc", "--requests", "1"},
	                                          {"workloads/be", "--steps", "3"},
	                                          {"workloads/saxpy", "--n", "100"},
	                                          {"workloads/matmul", "--n", "20"}};
	char out[4096], library[600];
	snprintf(library, sizeof(library), "LD_LIBRARY_PATH=%s", built("workloads/null"));
	char *env[] = {library, NULL};
	for (size_t i = 0; i < 4; i++) {
		char *argv[] = {(char *)built(programs[i][0]), (char *)programs[i][1],
		                (char *)programs[i][2], NULL};
		ck_assert_int_eq(proc_run(argv, env, out, sizeof(out), 20000), 1);
		ck_assert_msg(strstr(out, "wrong result") != NULL, "%s: %s", programs[i][0], out);
	}
}
TEST_END

TESTS("demo", short_demo_leaves_table_and_files, interrupted_demo_takes_all_with_it,
      bad_usage_is_status_2, wrong_results_are_noticed)
