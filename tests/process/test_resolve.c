// SPDX-License-Identifier: Apache-2.0
/*
 * test_resolve.c: every way in which a program finds the driver's functions leads to our hooks,
 * alone and beside other interposers, before and after ours; results stay right; and a process
 * without CUDA notices nothing.
 */
#include "tests/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char output[16384];

/* Runs a client with what `preload` names, separated by spaces: "rein" or files of tests/preload.
 */
static void run_with(const char *preload, const char *libraries, char *const argv[])
{
	char env_preload[2048] = "LD_PRELOAD=", env_library[600], env_device[64], words[128];
	snprintf(env_library, sizeof(env_library), "LD_LIBRARY_PATH=%s", libraries);
	snprintf(words, sizeof(words), "%s", preload);
	for (char *save, *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		char file[128];
		if (!strcmp(w, "rein"))
			snprintf(file, sizeof(file), "librein.so");
		else
			snprintf(file, sizeof(file), "tests/preload/%s.so", w);
		snprintf(env_preload + strlen(env_preload),
		         sizeof(env_preload) - strlen(env_preload), "%s:", built(file));
	}
	snprintf(env_device, sizeof(env_device), "SOFTGPU_SHM=test-resolve-%d", (int)getppid());
	char *env[] = {env_preload,       env_library, env_device, "REIN_RUN_DIR=/nonexistent",
	               ENV_NO_LEAK_CHECK, NULL};
	int status = proc_run(argv, env, output, sizeof(output), 20000);
	ck_assert_msg(status == 0, "%s under '%s' ended with %d:\n%s", argv[0], preload, status,
	              output);
}

static void run(const char *client, const char *preload)
{
	char path[512];
	snprintf(path, sizeof(path), "tests/clients/%s", client);
	char *argv[] = {(char *)built(path), NULL};
	run_with(preload, built("softgpu"), argv);
}

/* The same with build/libcuda.so.1 in front of the driver. */
static void run_stand_in(const char *client, const char *preload)
{
	char path[512], libraries[500];
	snprintf(path, sizeof(path), "tests/clients/%s", client);
	snprintf(libraries, sizeof(libraries), "%s:%s", built(""), built("softgpu"));
	char *argv[] = {(char *)built(path), NULL};
	run_with(preload, libraries, argv);
}

/* The output has exactly this line. */
static void has(const char *line)
{
	size_t len = strlen(line);
	for (const char *at = output; (at = strstr(at, line)); at++)
		if ((at == output || at[-1] == '\n') && (at[len] == '\n' || !at[len]))
			return;
	ck_abort_msg("no line '%s' in:\n%s", line, output);
}

/* What the loader gives for a function without a hook: the stand-in has them all. */
static const char *unhooked(const char *hooked)
{
	return strcmp(hooked, "stand-in") == 0 ? hooked : "libcuda.so.1";
}

/* Where the client must find a hooked function: in ours, or, without us, in the driver. */
static void linked_finds(const char *hooked)
{
	static const char *const ways[] = {"linked cuMemsetD32_v2", "linked cuInit",
	                                   "default cuMemsetD32_v2", "main's cuMemsetD32_v2"};
	char line[128];
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		snprintf(line, sizeof(line), "%s: %s", ways[i], hooked);
		has(line);
	}
	snprintf(line, sizeof(line), "linked cuMemGetInfo_v2: %s", unhooked(hooked));
	has(line);
	has("next getppid: libc.so.6");
	has("same address: yes");
}

static void dlopen_finds(const char *hooked)
{
	static const char *const ways[] = {"dlsym cuMemsetD32_v2", "dlsym cuInit"};
	char line[128];
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		snprintf(line, sizeof(line), "%s: %s", ways[i], hooked);
		has(line);
	}
	snprintf(line, sizeof(line), "dlsym cuMemGetInfo_v2: %s", unhooked(hooked));
	has(line);
	has("dlsym cuNoSuchFunction: none");
	has("errno: 42");
	has("error after success: no");
	has("error after failure: yes");
	has("error twice: no");
	has("dlvsym cuMemsetD32_v2: none"); /* drivers have no versions */
	has("error after a wrong version: yes");
	has("dlvsym getpid: libc.so.6");
	has("next dlvsym getpid: libc.so.6");
}

static void proc_finds(const char *hooked)
{
	static const char *const ways[][2] = {
	    {"cuInit 13000 0", "cuInit"},
	    {"cuMemsetD32 13000 0", "cuMemsetD32_v2"},
	    {"cuMemcpyHtoD 2000 0", "cuMemcpyHtoD"},
	    {"cuMemcpyHtoD 3020 1", "cuMemcpyHtoD_v2"},
	    {"cuMemcpyHtoD 6050 2", "cuMemcpyHtoD_v2"},
	    {"cuMemcpyHtoD 13000 2", "cuMemcpyHtoD_v2_ptds"},
	    {"cuStreamWaitValue32 11060 0", "cuStreamWaitValue32"},
	    {"cuStreamWaitValue32 12000 2", "cuStreamWaitValue32_v2_ptsz"},
	    {"cuCtxCreate 11040 0", "cuCtxCreate_v3"},
	    {"cuCtxCreate 13000 0", "cuCtxCreate_v4"},
	    {"cuGetProcAddress 11030 0", "cuGetProcAddress"},
	    {"cuGetProcAddress 12000 0", "cuGetProcAddress_v2"},
	};
	char line[128];
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		snprintf(line, sizeof(line), "%s: %s %s", ways[i][0], hooked, ways[i][1]);
		has(line);
	}
	has("cuMemGetInfo 13000 0: libcuda.so.1 cuMemGetInfo_v2");
	has("cuNoSuchFunction 13000 0: none ");
}

TEST(without_us)
{
	run("resolve_linked", "");
	linked_finds("libcuda.so.1");
	has("work: right");
	run("resolve_dlopen", "");
	dlopen_finds("libcuda.so.1");
	has("work: right");
	run("resolve_proc", "");
	proc_finds("libcuda.so.1");
	has("work: right");
}
TEST_END

TEST(alone)
{
	run("resolve_linked", "rein");
	linked_finds("librein.so");
	has("next cuMemsetD32_v2: librein.so");
	has("next cuMemGetInfo_v2: libcuda.so.1");
	has("work: right");
	run("resolve_dlopen", "rein");
	dlopen_finds("librein.so");
	has("work: right");
	run("resolve_proc", "rein");
	proc_finds("librein.so");
	has("work: right");
}
TEST_END

TEST(beside_a_libc_interposer)
{
	static const char *const orders[] = {"wrap_libc rein", "rein wrap_libc",
	                                     "wrap_libc_o2 rein", "rein wrap_libc_o2"};
	for (int i = 0; i < 4; i++) {
		run("resolve_linked", orders[i]);
		linked_finds("librein.so");
		has("next cuMemsetD32_v2: librein.so");
		has("[wrapped] work: right");
		run("resolve_dlopen", orders[i]);
		dlopen_finds("librein.so");
		has("[wrapped] work: right");
		run("resolve_proc", orders[i]);
		proc_finds("librein.so");
		has("[wrapped] work: right");
	}
}
TEST_END

/* It takes part in every look-up, and all of them still end in our hooks. */
/* A wrapper that calls the next dlsym, as this one does, answers RTLD_NEXT from where it stands
 * itself; a sanitizer's runtime then finds its own interceptors behind them and calls itself for
 * ever, with librein.so or without. */
TEST(beside_a_dlsym_interposer)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	fprintf(stderr, "skipped: a sanitizer's runtime does not survive wrap_dlsym.so\n");
	return;
#endif
	static const char *const orders[] = {"wrap_dlsym rein", "rein wrap_dlsym",
	                                     "wrap_dlsym_o2 rein", "rein wrap_dlsym_o2"};
	for (int i = 0; i < 4; i++) {
		run("resolve_linked", orders[i]);
		linked_finds("librein.so");
		has("wrap_dlsym: asked yes");
		has("work: right");
		run("resolve_dlopen", orders[i]);
		dlopen_finds("librein.so");
		has("wrap_dlsym: asked yes");
		has("work: right");
		run("resolve_proc", orders[i]);
		proc_finds("librein.so");
		has("work: right");
	}
}
TEST_END

/* Each call passes both interposers once, whichever comes first. */
TEST(beside_a_cuda_interposer)
{
	static const char *const wraps[] = {"wrap_cuda", "wrap_cuda_o2"};
	for (int i = 0; i < 2; i++) {
		char order[64], line[64];
		snprintf(order, sizeof(order), "%s rein", wraps[i]);
		snprintf(line, sizeof(line), "linked cuMemsetD32_v2: %s.so", wraps[i]);
		run("resolve_linked", order);
		has(line);
		has("wrap_cuda: 1");
		has("work: right");
		snprintf(order, sizeof(order), "rein %s", wraps[i]);
		run("resolve_linked", order);
		linked_finds("librein.so");
		has("wrap_cuda: 1");
		has("work: right");
	}
}
TEST_END

/* The stand-in is the driver for whoever asks and whoever interposes. */
TEST(the_stand_in)
{
	static const char *const preloads[] = {"", "wrap_libc", "wrap_libc_o2", "wrap_dlsym",
	                                       "wrap_dlsym_o2"};
	int n = sizeof(preloads) / sizeof(preloads[0]);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	n = 3; /* as in beside_a_dlsym_interposer */
#endif
	for (int i = 0; i < n; i++) {
		bool wrapped = strstr(preloads[i], "wrap_libc");
		run_stand_in("resolve_linked", preloads[i]);
		linked_finds("stand-in");
		has("next cuMemsetD32_v2: stand-in");
		has(wrapped ? "[wrapped] work: right" : "work: right");
		run_stand_in("resolve_dlopen", preloads[i]);
		dlopen_finds("stand-in");
		has(wrapped ? "[wrapped] work: right" : "work: right");
		run_stand_in("resolve_proc", preloads[i]);
		proc_finds("stand-in");
		has(wrapped ? "[wrapped] work: right" : "work: right");
	}
	run_stand_in("resolve_linked", "wrap_cuda");
	has("linked cuMemsetD32_v2: wrap_cuda.so");
	has("wrap_cuda: 1");
	has("work: right");
	run_stand_in("resolve_linked", "rein wrap_cuda");
	has("linked cuMemsetD32_v2: librein.so"); /* which passes it on */
	has("wrap_cuda: 1");
	has("work: right");
}
TEST_END

static int lines_with(const char *text)
{
	int n = 0;
	for (const char *at = output; (at = strstr(at, text)); at++)
		n++;
	return n;
}

TEST(no_driver_is_an_error_code_and_one_line)
{
	char *argv[] = {(char *)built("tests/clients/resolve_odd"), "none", NULL};
	run_with("rein", "/nonexistent", argv);
	ck_assert_int_eq(lines_with("cuInit: 801"), 3); /* CUDA_ERROR_NOT_SUPPORTED */
	ck_assert_int_eq(lines_with("no CUDA driver"), 1);
}
TEST_END

TEST(a_second_driver_is_left_alone)
{
	char copy[512], command[1200];
	snprintf(copy, sizeof(copy), "%s/libcuda.so.1", temp_dir());
	snprintf(command, sizeof(command), "cp '%s' '%s'", built("softgpu/libcuda.so.1"), copy);
	ck_assert_int_eq(system(command), 0);
	char *argv[] = {(char *)built("tests/clients/resolve_odd"), "two",
	                (char *)built("softgpu/libcuda.so.1"), copy, NULL};
	run_with("rein", built("softgpu"), argv);
	has("first cuInit: librein.so");
	has("second cuInit: libcuda.so.1");
	has("first cuInit again: librein.so");
}
TEST_END

TEST(first_use_by_many_threads)
{
	char *argv[] = {(char *)built("tests/clients/resolve_odd"), "threads", NULL};
	for (int i = 0; i < 5; i++) {
		run_with("rein", built("softgpu"), argv);
		has("threads cuInit: librein.so");
		has("wrong: 0");
	}
}
TEST_END

#if !defined(__SANITIZE_ADDRESS__) &&                                                              \
    !defined(__SANITIZE_THREAD__) /* their runtime must be first */
static const char *const libraries[] = {"librein.so", "libcuda.so.1"};

TEST(programs_without_cuda)
{
	char plain[4096], env_preload[600];
	char *env[] = {env_preload, NULL};
	char *ls[] = {"ls", "/", NULL};
	char *python[] = {"python3", "-c",
	                  "import ctypes; print(ctypes.CDLL(None).strlen(b'four'))", NULL};
	char *bash[] = {"bash", "-c", "echo $((6 * 7))", NULL};
	char **const programs[] = {ls, python, bash};
	for (int i = 0; i < 6; i++) {
		snprintf(env_preload, sizeof(env_preload), "LD_PRELOAD=%s",
		         built(libraries[i / 3]));
		char **program = programs[i % 3];
		ck_assert_int_eq(proc_run(program, NULL, plain, sizeof(plain), 20000), 0);
		ck_assert_int_eq(proc_run(program, env, output, sizeof(output), 20000), 0);
		ck_assert_str_eq(plain, output);
	}
}
TEST_END

/* No thread, no socket, no file beyond the loader's, no memory shared. */
static void idle_with(const char *library)
{
	char env_preload[600], opened[32];
	snprintf(env_preload, sizeof(env_preload), "LD_PRELOAD=%s", built(library));
	char *argv[] = {"strace", "-f", "-qq", "-E", env_preload, "/bin/true", NULL};
	int status = proc_run(argv, NULL, output, sizeof(output), 20000);
	if (status == 127 || strstr(output, "ptrace"))
		return; /* no strace here, or none allowed */
	ck_assert_int_eq(status, 0);
	snprintf(opened, sizeof(opened), "/%s\"", library);
	char *after = strstr(output, opened);
	ck_assert_msg(after, "%s is not opened:\n%s", library, output);
	static const char *const none[] = {"clone",   "socket", "connect", "memfd", "eventfd",
	                                   "libcuda", "proc/",  "futex",   "/tmp/"};
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		char *line = strstr(strchr(after, '\n'), none[i]);
		ck_assert_msg(!line, "'%s' in:\n%s", none[i], output);
	}
}

TEST(idle_without_cuda)
{
	idle_with("librein.so");
	idle_with("libcuda.so.1");
}
TEST_END
#else
TEST(programs_without_cuda)
{
}
TEST_END
TEST(idle_without_cuda)
{
}
TEST_END
#endif

TESTS("resolve", without_us, alone, the_stand_in, beside_a_libc_interposer,
      beside_a_dlsym_interposer, beside_a_cuda_interposer, no_driver_is_an_error_code_and_one_line,
      a_second_driver_is_left_alone, first_use_by_many_threads, programs_without_cuda,
      idle_without_cuda)
