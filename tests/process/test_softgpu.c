// SPDX-License-Identifier: Apache-2.0
/*
 * test_softgpu.c: the driver API of the software GPU, by programs that only know CUDA
 * (tests/clients/api_*.c): each checks its own results; here it is checked that they pass in each
 * mode that executes, what is said on stderr, and that leaving is always clean.
 */
#include "tests/harness.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LIMIT_MS 30000

static char output[65536];
static char *more; /* of the environment, or NULL */

/* Runs a client on a device of its own; its exit status, its output in `output`. */
static int run(const char *client, char *arg, const char *mode)
{
	char path[600], library_path[600], shm[64], mode_env[32];
	snprintf(path, sizeof(path), "%s", built("tests/clients"));
	strcat(strcat(path, "/"), client);
	snprintf(library_path, sizeof(library_path), "LD_LIBRARY_PATH=%s", built("softgpu"));
	snprintf(shm, sizeof(shm), "SOFTGPU_SHM=test-%d", (int)getpid());
	snprintf(mode_env, sizeof(mode_env), "SOFTGPU_MODE=%s", mode);
	char *argv[] = {path, arg, NULL};
	char *env[] = {library_path, shm, mode_env, ENV_ENDS_ANYHOW, more, NULL};
	return proc_run(argv, env, output, sizeof(output), LIMIT_MS);
}

static int count(const char *text)
{
	int n = 0;
	for (const char *at = output; (at = strstr(at, text)); at += strlen(text))
		n++;
	return n;
}

/* In the two modes in which kernels execute. */
static void passes(const char *client)
{
	const char *const modes[] = {"fast", "wall"};
	for (int i = 0; i < 2; i++) {
		int status = run(client, NULL, modes[i]);
		ck_assert_msg(status == 0 && count("ok\n") == 1, "%s, mode %s: status %d\n%s",
		              client, modes[i], status, output);
	}
}

TEST(basic)
{
	passes("api_basic");
	/* what is missing is named, once; a module's fault with its line */
	ck_assert_int_eq(count("softgpu: cuImportExternalMemory is not provided by the software "
	                       "GPU\n"),
	                 1);
	ck_assert_int_eq(count("PTX line 7"), 1);
	ck_assert_int_ge(count("frobnicate"), 1);
}
TEST_END

TEST(streams)
{
	passes("api_streams");
}
TEST_END

TEST(memory_operations)
{
	passes("api_memop");
}
TEST_END

TEST(arrays_and_textures)
{
	passes("api_arrays");
}
TEST_END

TEST(memory)
{
	passes("api_memory");
}
TEST_END

/* All wrong answers of another driver in one run, those in which a program dies among them. */
TEST(all_answers)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return; /* a sanitizer reports a death in its own way, and wants to be preloaded first */
#endif
	char preload[600];
	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s",
	         built("tests/preload/wrong_answers.so"));
	ck_assert_int_eq(run("api_memory", "--all", "fast"), 0);
	more = preload;
	ck_assert_int_eq(run("api_memory", "--all", "fast"), 1);
	ck_assert_int_eq(count("api_memory.c:"), 2);
	ck_assert_int_eq(count(": cuMemFree(0): CUDA_ERROR_NOT_FOUND, expected CUDA_SUCCESS\n"), 1);
	ck_assert_int_eq(count("(size_t)host, 1, 4): Segmentation fault\n"), 1);
	/* without --all the first one is the last, and there is a message */
	ck_assert_int_eq(run("api_memory", NULL, "fast"), 1);
	more = NULL;
	ck_assert_int_eq(count("api_memory.c:"), 1);
}
TEST_END

TEST(graphs)
{
	passes("api_graphs");
}
TEST_END

TEST(errors)
{
	passes("api_errors");
	ck_assert_int_eq(count("illegal address"), 2); /* one line for each poisoned context */
	char line[200];
	unsigned long long at = 0;
	const char *said = strstr(output, "one past the end is ");
	ck_assert(said && sscanf(said, "one past the end is %llx", &at) == 1);
	snprintf(line, sizeof(line),
	         "softgpu: add: illegal address %#llx: global load of 4 bytes; kernel 'add', block "
	         "(0,0,0), thread (16,0,0)\n",
	         at);
	ck_assert_msg(count(line) == 1, "no '%s' in %s", line, output);
	ck_assert_int_eq(count("memory was freed"), 1);
	ck_assert_int_eq(count("cannot launch: PTX line 8: unsupported instruction "
	                       "'wgmma.fence.sync.aligned'; kernel 'odd'"),
	                 1);
	more = "SOFTGPU_GEOMETRY=h200"; /* whose clusters it knows */
	ck_assert_msg(run("api_errors", NULL, "fast") == 0, "as an H200\n%s", output);
	more = NULL;
}
TEST_END

TEST(devices)
{
	more = "SOFTGPU_DEVICES=2";
	passes("api_devices");
	more = "SOFTGPU_DEVICES=8";
	passes("api_devices");
	more = NULL;
}
TEST_END

TEST(between_processes)
{
	passes("api_ipc");
	more = "SOFTGPU_DEVICES=2";
	passes("api_ipc");
	more = NULL;
}
TEST_END

TEST(the_whole_surface)
{
	int missing = -1, status = run("api_symbols", NULL, "fast");
	ck_assert_msg(status == 0, "status %d\n%s", status, output);
	const char *said = strstr(output, " missing\n");
	while (said && said > output && said[-1] >= '0' && said[-1] <= '9')
		said--;
	ck_assert(said && sscanf(said, "%d missing", &missing) == 1 && missing > 0);
	ck_assert_int_eq(count(" is not provided by the software GPU\n"), missing);
	more = "SOFTGPU_GEOMETRY=h200";
	ck_assert_int_eq(run("api_symbols", NULL, "fast"), 0);
	more = NULL;
}
TEST_END

TEST(leaving)
{
	static const char *const ways[] = {"return", "atexit", "thread", "detach", "late"};
	more = ENV_NO_LEAK_CHECK; /* another thread is in the middle of a launch */
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		int status = run("api_exit", (char *)ways[i], "fast");
		ck_assert_msg(status == 0, "%s, fast: status %d\n%s", ways[i], status, output);
		status = run("api_exit", (char *)ways[i], "wall");
		ck_assert_msg(status == 0, "%s, wall: status %d\n%s", ways[i], status, output);
	}
	ck_assert_int_eq(run("api_exit", "return", "time"), 0);
	more = NULL;
}
TEST_END

TEST(bad_configuration)
{
	/* one line that says which setting, and cuInit fails */
	ck_assert_int_eq(run("api_exit", "return", "sideways"), 1);
	ck_assert_int_eq(count("SOFTGPU_MODE"), 1);
	ck_assert_int_eq(count("CUDA_ERROR_INVALID_VALUE"), 1);
}
TEST_END

/* Who did not ask about time is told that it is the model that takes it; who did, is not. */
TEST(the_slow_model_says_so)
{
	char library_path[600], shm[64];
	char *argv[] = {"/usr/bin/timeout", "-sKILL", "2",          (char *)built("workloads/be"),
	                "--seconds",        "0",      "--elements", "65536",
	                "--work",           "256",    NULL};
	char *env[] = {library_path, shm, "SOFTGPU_IPC=0.001", "SOFTGPU_CLOCK_MHZ=1", NULL, NULL};
	snprintf(library_path, sizeof(library_path), "LD_LIBRARY_PATH=%s", built("softgpu"));
	snprintf(shm, sizeof(shm), "SOFTGPU_SHM=test-%d", (int)getpid());
	ck_assert_int_eq(proc_run(argv, env, output, sizeof(output), LIMIT_MS), 128 + SIGKILL);
	ck_assert_msg(count("SOFTGPU_MODE=fast runs them") == 1, "%s", output);
	env[4] = "SOFTGPU_MODE=wall";
	ck_assert_int_eq(proc_run(argv, env, output, sizeof(output), LIMIT_MS), 128 + SIGKILL);
	ck_assert_msg(count("SOFTGPU_MODE=fast") == 0, "%s", output);
}
TEST_END

TESTS("softgpu", basic, streams, memory_operations, arrays_and_textures, memory, all_answers,
      graphs, errors, devices, between_processes, the_whole_surface, leaving, bad_configuration,
      the_slow_model_says_so)
