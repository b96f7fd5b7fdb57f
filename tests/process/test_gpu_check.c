// SPDX-License-Identifier: Apache-2.0
/*
 * test_gpu_check.c: `make gpu-check` on a machine without a GPU: all stages that apply run on the
 * software GPU, the rest say why not; interrupted, it keeps what it has and leaves nothing behind.
 * What the stages find is not judged here: it is simulated, on a busy machine.
 */
#include "tests/harness.h"

#include <dirent.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ALL_LIMIT_MS 280000

/* In two parts: each within the time that a test may take. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__) /* all would take ten minutes */
static const char *const stages[2][5] = {{"overhead"}, {"ioctls"}};
#else
static const char *const stages[2][5] = {
    {"smoke", "overhead", "ioctls", "telemetry", "context-gate"},
    {"queue-gate", "slices", "sharing"},
};
#endif

/* Builds with a sanitizer: the probes end as they are, and are not to be judged for it. */
static char *env[] = {ENV_NO_LEAK_CHECK, ENV_ENDS_ANYHOW, NULL};

static json_t *load(const char *dir, const char *name)
{
	char path[256];
	json_error_t error;
	snprintf(path, sizeof(path), "%s/%s.json", dir, name);
	json_t *root = json_load_file(path, 0, &error);
	ck_assert_msg(root != NULL, "%s: line %d: %s", path, error.line, error.text);
	return root;
}

static const char *text(const json_t *root, const char *key)
{
	const char *value = json_string_value(json_object_get(root, key));
	ck_assert_msg(value != NULL, "%s is missing", key);
	return value;
}

/* Does a process live that belongs to the run of process `pid`? All its programs have its device.
 */
static bool somebody_runs(pid_t pid)
{
	char mark[64];
	bool found = false;
	struct dirent *e;
	DIR *proc = opendir("/proc");
	snprintf(mark, sizeof(mark), "SOFTGPU_SHM=gpu-check-%d", (int)pid);
	while ((e = readdir(proc)) && !found) {
		char path[300], data[65536];
		if (atoi(e->d_name) <= 0)
			continue;
		snprintf(path, sizeof(path), "/proc/%s/environ", e->d_name);
		FILE *f = fopen(path, "r");
		size_t n = f ? fread(data, 1, sizeof(data), f) : 0;
		found = n && memmem(data, n, mark, strlen(mark) + 1);
		if (f)
			fclose(f);
	}
	closedir(proc);
	return found;
}

static bool left_on_the_device(pid_t pid)
{
	char path[96];
	snprintf(path, sizeof(path), "/dev/shm/softgpu-%u-gpu-check-%d", getuid(), (int)pid);
	return access(path, F_OK) == 0;
}

static void run_stages(const char *const list[5])
{
	static char out[65536];
	char dir[64];
	strcpy(dir, temp_dir());
	char all[128] = "";
	for (size_t i = 0; i < 5 && list[i]; i++)
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s ", list[i]);
	char *argv[] = {"python3",  "workloads/gpu/check.py",
	                "--build",  (char *)built(""),
	                "--out",    dir,
	                "--have",   "inih jansson",
	                "--stages", all,
	                NULL};
	struct proc p = proc_start(argv, env);
	pid_t pid = p.pid;
	int rc = proc_wait(&p, out, sizeof(out), ALL_LIMIT_MS);
	ck_assert_msg(rc == 0, "exit %d: %s", rc, out);
	ck_assert_ptr_nonnull(strstr(out, "simulated"));
	for (size_t i = 0; i < 5 && list[i]; i++) {
		json_t *root = load(dir, list[i]);
		const char *result = text(root, "result");
		ck_assert_msg(json_is_true(json_object_get(root, "simulated")), "%s", list[i]);
		ck_assert_msg(strcmp(result, "ok") == 0, "%s: %s: %s", list[i], result,
		              text(root, "summary"));
		ck_assert_int_gt((int)strlen(text(root, "summary")), 10);
		ck_assert_msg(json_array_size(json_object_get(root, "facts")) > 0,
		              "%s found nothing", list[i]);
		json_decref(root);
	}
	json_t *environment = load(dir, "environment");
	ck_assert(json_is_true(json_object_get(environment, "simulated")));
	json_decref(environment);
	ck_assert(!somebody_runs(pid));
	ck_assert(!left_on_the_device(pid));
}

TEST(stages_without_a_gpu)
{
	run_stages(stages[0]);
}
TEST_END

TEST(more_stages_without_a_gpu)
{
	run_stages(stages[1]);
}
TEST_END

TEST(interrupted_it_keeps_what_it_has)
{
	static char out[65536];
	char dir[64], path[96];
	strcpy(dir, temp_dir());
	snprintf(path, sizeof(path), "%s/environment.json", dir);
	char *argv[] = {
	    "python3",  "workloads/gpu/check.py", "--build", (char *)built(""), "--out", dir,
	    "--stages", "smoke, telemetry",       NULL};
	struct proc p = proc_start(argv, env);
	pid_t pid = p.pid;
	for (int i = 0; i < 600 && access(path, F_OK); i++)
		usleep(50000);
	usleep(700000); /* into the first stage */
	proc_kill(&p, SIGINT);
	int rc = proc_wait(&p, out, sizeof(out), 60000);
	ck_assert_msg(rc == 128 + SIGINT, "exit %d: %s", rc, out);
	json_t *root = load(dir, "smoke");
	ck_assert_str_eq(text(root, "result"), "interrupted");
	json_decref(root);
	ck_assert_ptr_nonnull(strstr(out, "interrupted"));
	snprintf(path, sizeof(path), "%s/telemetry.json", dir);
	ck_assert_int_ne(access(path, F_OK), 0);
	ck_assert(!somebody_runs(pid));
	ck_assert(!left_on_the_device(pid));
}
TEST_END

TEST(says_what_is_wrong)
{
	char out[4096];
	char *unknown[] = {"python3", "workloads/gpu/check.py", "--stages", "smoke quantum",
	                   "--build", (char *)built(""),        NULL};
	ck_assert_int_eq(proc_run(unknown, NULL, out, sizeof(out), 20000), 2);
	ck_assert_ptr_nonnull(strstr(out, "no stage 'quantum'; there are: smoke overhead"));

	char *nothing[] = {"python3", "workloads/gpu/check.py", "--build", (char *)temp_dir(),
	                   NULL};
	ck_assert_int_eq(proc_run(nothing, NULL, out, sizeof(out), 20000), 1);
	ck_assert_ptr_nonnull(strstr(out, "gpu-check: no NVIDIA GPU ("));
	ck_assert_ptr_nonnull(strstr(out, "run 'make deps', then again"));
}
TEST_END

TEST(runner)
{
	static char out[65536];
	char *argv[] = {"python3", "tests/process/gpu_check_stages.py", (char *)built(""), NULL};
	int rc = proc_run(argv, env, out, sizeof(out), 120000);
	ck_assert_msg(rc == 0, "exit %d: %s", rc, out);
	ck_assert_ptr_nonnull(strstr(out, "\nOK"));
}
TEST_END

TESTS("gpu-check", says_what_is_wrong, runner, interrupted_it_keeps_what_it_has,
      stages_without_a_gpu, more_stages_without_a_gpu)
