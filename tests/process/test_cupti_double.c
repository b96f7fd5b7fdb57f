// SPDX-License-Identifier: Apache-2.0
/*
 * test_cupti_double.c: the CUPTI double of the software GPU, by a program that profiles itself
 * (tests/clients/cupti.c): each of its checks compares records and callbacks with what it did;
 * here they are compared with the software GPU's own log, and what is said on stderr is looked at.
 */
#include "tests/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIMIT_MS 30000
#define WITHOUT_HEADERS 77
/* as ENV_ENDS_ANYHOW; and a forked child may have threads of its own */
#define ENV_FORKS "TSAN_OPTIONS=atexit_sleep_ms=0:report_thread_leaks=0:die_after_fork=0"

static char output[65536];

static int run(char *check, const char *libraries, const char *mode, const char *log)
{
	char path[600], library_path[1300], shm[64], mode_env[32], log_env[700];
	snprintf(path, sizeof(path), "%s", built("tests/clients/cupti"));
	snprintf(library_path, sizeof(library_path), "LD_LIBRARY_PATH=%s", libraries);
	snprintf(shm, sizeof(shm), "SOFTGPU_SHM=test-%d", (int)getpid());
	snprintf(mode_env, sizeof(mode_env), "SOFTGPU_MODE=%s", mode);
	snprintf(log_env, sizeof(log_env), "SOFTGPU_ORDER_LOG=%s", log ? log : "");
	char *argv[] = {path, check, NULL};
	/* only the check of copies between devices looks at how many there are */
	char *devices = strcmp(check, "peer") == 0 ? "SOFTGPU_DEVICES=2" : "SOFTGPU_DEVICES=1";
	char *env[] = {library_path,         shm, devices, mode_env, ENV_NO_LEAK_CHECK, ENV_FORKS,
	               log ? log_env : NULL, NULL};
	return proc_run(argv, env, output, sizeof(output), LIMIT_MS);
}

/* In the two modes in which kernels execute. */
static void passes(char *check)
{
	static const char *const modes[] = {"fast", "wall"};
	for (int i = 0; i < 2; i++) {
		int status = run(check, built("softgpu"), modes[i], NULL);
		if (status == WITHOUT_HEADERS)
			return;
		ck_assert_msg(status == 0 && strstr(output, "ok\n"), "%s, mode %s: status %d\n%s",
		              check, modes[i], status, output);
	}
}

/* The lines "STREAM KIND NAME START END" of a text that are kernels, copies and sets. */
static size_t work_lines(char *text, bool with_pid, char *lines[], size_t max)
{
	size_t n = 0;
	char *saved = NULL, kind[16];
	for (char *line = strtok_r(text, "\n", &saved); line; line = strtok_r(NULL, "\n", &saved)) {
		if (with_pid)
			line = strchr(line, ' ') + 1;
		if (sscanf(line, "%*u %15s", kind) != 1 ||
		    (strcmp(kind, "kernel") && strcmp(kind, "copy") && strcmp(kind, "set")))
			continue;
		ck_assert_uint_lt(n, max);
		lines[n++] = line;
	}
	return n;
}

/* Every command is one record with the same stream, name and modelled times, in the same order. */
TEST(records_are_the_log)
{
	char log[200], text[16384] = "";
	char *told[64], *logged[64];
	snprintf(log, sizeof(log), "%s/order", temp_dir());
	int status = run("records", built("softgpu"), "wall", log);
	if (status == WITHOUT_HEADERS)
		return;
	ck_assert_msg(status == 0, "status %d\n%s", status, output);
	FILE *f = fopen(log, "r");
	ck_assert_ptr_nonnull(f);
	size_t len = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[len] = '\0';
	size_t n = work_lines(text, true, logged, 64);
	ck_assert_uint_eq(n, 22); /* 20 kernels, a set, a copy */
	ck_assert_uint_eq(work_lines(output, false, told, 64), n);
	for (size_t i = 0; i < n; i++)
		ck_assert_str_eq(told[i], logged[i]);
}
TEST_END

TEST(records)
{
	passes("records");
	passes("disable");
	passes("calls");
	passes("peer");
	passes("poison");
	passes("clock");
}
TEST_END

TEST(buffers)
{
	passes("buffers");
}
TEST_END

TEST(subscribers)
{
	passes("subscribe");
	passes("callbacks");
}
TEST_END

TEST(graphs)
{
	passes("graph");
}
TEST_END

TEST(forks_threads_and_the_end)
{
#ifndef __SANITIZE_ADDRESS__ /* its allocator's locks, held by another thread, stay held in a      \
                                child */
	passes("fork");
#endif
	passes("threads");
	passes("exit");
}
TEST_END

/* Beside another libcuda.so.1 it does nothing and says so, once for each call that needed one. */
TEST(another_driver)
{
	char libraries[1250];
	snprintf(libraries, sizeof(libraries), "%s:%s", built("workloads/null"), built("softgpu"));
	int status = run("foreign", libraries, "fast", NULL);
	if (status == WITHOUT_HEADERS)
		return;
	ck_assert_msg(status == 0 && strstr(output, "ok\n"), "status %d\n%s", status, output);
	const char *line = strstr(output, "softgpu: CUPTI: ");
	ck_assert_ptr_nonnull(line);
	ck_assert_ptr_nonnull(strstr(line, "null/libcuda.so.1 is not the software GPU"));
}
TEST_END

TESTS("cupti double", records_are_the_log, records, buffers, subscribers, graphs,
      forks_threads_and_the_end, another_driver)
