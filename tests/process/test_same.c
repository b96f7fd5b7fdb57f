// SPDX-License-Identifier: Apache-2.0
/*
 * test_same.c: a program cannot tell that the shim is there: same result bytes with and without
 * it, with the daemon present, absent, killed and restarted in the middle; and a process without
 * CUDA is not touched at all.
 */
#include "tests/rig.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAIT_MS 60000

static struct rig rig;

struct bytes {
	char *data;
	size_t len;
};

enum daemon { ABSENT, PRESENT, KILLED, RESTARTED };

static struct bytes result_of(const char *program, const char *args, int prio, enum daemon how)
{
	char line[256], path[128];
	if (how != ABSENT)
		rig_daemon(&rig);
	snprintf(path, sizeof(path), "%s/result", rig.dir);
	snprintf(line, sizeof(line), "%s --dump %s", args, path);
	struct proc p = rig_start(&rig, prio, program, line);
	if (how == KILLED || how == RESTARTED) {
		rig_expect_progress(&rig, p.pid, "submissions", 20, WAIT_MS);
		proc_kill(&rig.daemon, SIGKILL);
		proc_wait(&rig.daemon, NULL, 0, WAIT_MS);
		if (how == RESTARTED) {
			rig_daemon(&rig);
			rig_expect_state(&rig, p.pid, "", WAIT_MS);
		}
	}
	char out[4096];
	int rc = proc_wait(&p, out, sizeof(out), WAIT_MS);
	ck_assert_msg(rc == 0, "%s %s: exit %d: %s", program, line, rc, out);
	rig_fini(&rig);
	rig.daemon.pid = 0;
	struct bytes b = {0};
	b.data = rig_read(path, &b.len);
	ck_assert_ptr_nonnull(b.data);
	ck_assert_uint_gt(b.len, 0);
	unlink(path);
	return b;
}

static void compare_all(const char *program, const char *args)
{
	static const enum daemon how[] = {ABSENT, PRESENT, KILLED, RESTARTED};
	rig_init(&rig, "saxpy=5ms,matmul*=5ms");
	struct bytes bare = result_of(program, args, -1, ABSENT);
	for (unsigned i = 0; i < sizeof(how) / sizeof(how[0]); i++) {
		struct bytes under = result_of(program, args, 0, how[i]);
		ck_assert_uint_eq(under.len, bare.len);
		ck_assert_msg(memcmp(under.data, bare.data, bare.len) == 0,
		              "%s: other bytes under the shim, case %d", program, (int)how[i]);
		free(under.data);
	}
	free(bare.data);
}

TEST(saxpy_gives_the_same_bytes)
{
	compare_all("workloads/saxpy", "--repeat 150");
}
TEST_END

TEST(matmul_gives_the_same_bytes)
{
	compare_all("workloads/matmul", "--repeat 150");
}
TEST_END

/* The driver API's own tests, under the shim: unattached, alone, and held and metered again and
 * again by an urgent program that comes and goes. */
TEST(driver_api_is_the_same_under_the_shim)
{
	static const char *const clients[] = {"api_basic",  "api_streams", "api_memory",
	                                      "api_graphs", "api_errors",  "api_memop",
	                                      "api_ipc",    "api_exit"};
	static char out[16384];
	rig_init(&rig, "lc_step=1ms");
	for (int urgent = -1; urgent < 2; urgent++) {
		struct proc lc = {0};
		if (urgent >= 0)
			rig_daemon(&rig);
		if (urgent > 0)
			lc = rig_start(&rig, 50, "workloads/lc",
			               "--seconds 300 --kernels 2 --period 4 --arrivals periodic");
		for (unsigned i = 0; i < sizeof(clients) / sizeof(clients[0]); i++) {
			char path[64];
			snprintf(path, sizeof(path), "tests/clients/%s", clients[i]);
			bool exits = strcmp(clients[i], "api_exit") == 0;
			struct proc p = rig_start(&rig, 0, path, exits ? "atexit" : "");
			int rc = proc_wait(&p, out, sizeof(out), WAIT_MS);
			ck_assert_msg(rc == 0, "%s, urgent %d: exit %d: %.3000s", clients[i],
			              urgent, rc, out);
		}
		if (urgent > 0) {
			proc_kill(&lc, SIGKILL);
			proc_wait(&lc, NULL, 0, WAIT_MS);
		}
		rig_fini(&rig);
		rig.daemon.pid = 0;
	}
}
TEST_END

/* What strace sees of a program, with and without the shim: no thread, no socket, no file more
 * than the shim itself. */
static int count_lines(const char *text, const char *what)
{
	int n = 0;
	for (const char *p = text; (p = strstr(p, what)) != NULL; p += strlen(what))
		n++;
	return n;
}

static void trace(char *const program[], bool shim, char *out, size_t len)
{
	char path[128], env_arg[700];
	char *argv[24] = {"strace",
	                  "-f",
	                  "-o",
	                  path,
	                  "-e",
	                  "trace=clone,clone3,socket,openat,open,"
	                  "connect,memfd_create,eventfd2",
	                  "-E",
	                  env_arg};
	int n = 8;
	snprintf(path, sizeof(path), "%s/strace", rig.dir);
	snprintf(env_arg, sizeof(env_arg), "LD_PRELOAD=%s", shim ? built("librein.so") : "");
	for (int i = 0; program[i]; i++)
		argv[n++] = program[i];
	argv[n] = NULL;
	char *env[] = {ENV_NO_LEAK_CHECK, NULL};
	ck_assert_int_eq(proc_run(argv, env, NULL, 0, WAIT_MS), 0);
	size_t got;
	char *text = rig_read(path, &got);
	ck_assert_ptr_nonnull(text);
	snprintf(out, len, "%s", text);
	free(text);
}

/* `execs`: how many programs start, each of which opens the shim's file once. */
static void untouched(char *const program[], int execs)
{
	static char bare[1 << 20], under[1 << 20];
	static const char *const calls[] = {"clone", "socket(", "connect(", "memfd_create(",
	                                    "eventfd2("};
	rig_init(&rig, NULL);
	trace(program, false, bare, sizeof(bare));
	trace(program, true, under, sizeof(under));
	for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		ck_assert_msg(count_lines(under, calls[i]) == count_lines(bare, calls[i]),
		              "%s: more %s under the shim", program[0], calls[i]);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	/* the shim's own file, and nothing it needs but libc, which is there anyway */
	int more = count_lines(under, "open") - count_lines(bare, "open");
	ck_assert_msg(more == execs, "%s: %d more files opened, not %d", program[0], more, execs);
#endif
}

TEST(processes_without_cuda_are_untouched)
{
	untouched((char *const[]){"/bin/ls", "/", NULL}, 1);
	untouched((char *const[]){"/usr/bin/python3", "-c", "print(1)", NULL}, 1);
	untouched((char *const[]){"/bin/bash", "-c", "true", NULL}, 1);
}
TEST_END

TESTS("same", saxpy_gives_the_same_bytes, matmul_gives_the_same_bytes,
      driver_api_is_the_same_under_the_shim, processes_without_cuda_are_untouched)
