// SPDX-License-Identifier: Apache-2.0
/*
 * harness.h: the thin layer over Check. A test file is:
 *
 *	#include "tests/harness.h"
 *	TEST(adds)
 *	{
 *		ck_assert_int_eq(1 + 1, 2);
 *	}
 *	TEST_END
 *	TESTS("sums", adds)
 *
 * Exit status: 0 all passed, 1 some failed, 77 skipped (SKIP_ALL before any test ran). Process
 * tests start programs with spawn helpers; whatever is still running at the end is killed.
 */
#ifndef REIN_TESTS_HARNESS_H
#define REIN_TESTS_HARNESS_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define TEST(name) START_TEST(name)
#define TEST_END END_TEST
#define TESTS(suite, ...)                                                                          \
	int main(void)                                                                             \
	{                                                                                          \
		const TTest *const tests[] = {__VA_ARGS__};                                        \
		return harness_run(suite, tests, sizeof(tests) / sizeof(tests[0]));                \
	}
int harness_run(const char *suite, const TTest *const *tests, size_t n);

/* ---- process tests */
#define ENV_MAX 32
struct proc {
	pid_t pid;
	int out; /* its stdout and stderr */
};
/* For CUDA programs: LeakSanitizer stops all threads when a process ends, and cannot cope with the
 * ones that a driver leaves running or a fork left behind. Leaks are the unit tests' to find. */
#define ENV_NO_LEAK_CHECK "ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0"
/* For programs that end with work pending: the driver's threads are still there. */
#define ENV_ENDS_ANYHOW "TSAN_OPTIONS=atexit_sleep_ms=0:report_thread_leaks=0"
/* Starts argv with the extra "NAME=value" entries (NULL-terminated, may be NULL). */
struct proc proc_start(char *const argv[], char *const env[]);
/* Waits for the end, at most timeout_ms, then kills it and fails the test. Exit status, or
 * 128 + signal. Output (NUL-terminated, at most len - 1) goes to buf if not NULL. */
int proc_wait(struct proc *p, char *buf, size_t len, int timeout_ms);
void proc_kill(struct proc *p, int signal);
/* The one child that a process has now, as reind has its worker; fails the test if it has none. */
pid_t proc_child(pid_t pid);
/* Start + wait. */
int proc_run(char *const argv[], char *const env[], char *buf, size_t len, int timeout_ms);
/* A fresh private directory, removed when all tests are over; valid until the next call. */
const char *temp_dir(void);
/* Polls fn(arg) every ms until true or the time is over. */
bool eventually(bool (*fn)(void *), void *arg, int timeout_ms);
/* "<build folder>/<file>", absolute; one of 16 rotating buffers. */
const char *built(const char *file);

#endif
