// SPDX-License-Identifier: Apache-2.0
/*
 * test_cudart.c: the runtime library on the software GPU, by programs that nvcc compiled: those of
 * workloads/gpu/cudart/ and those of tests/cudart/, which check their own results; linked with the
 * shared library and with the static one; bare, and under the shim.
 */
#include "tests/harness.h"
#include "tests/rig.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIMIT_MS 60000
#define NVIDIAS "/usr/local/cuda/lib64/libcudart.so.13"

static char output[65536];

/* nvcc's programs have no sanitizer, the driver may: then its runtime, which is the one that this
 * test has too, must be there first. */
static const char *sanitizer(void)
{
	static char path[400];
	char line[600];
	FILE *maps = fopen("/proc/self/maps", "r");
	while (maps && !path[0] && fgets(line, sizeof(line), maps)) {
		char *at = strchr(line, '/');
		if (at && (strstr(at, "/libasan.so") || strstr(at, "/libtsan.so")))
			snprintf(path, sizeof(path), "%.*s", (int)strcspn(at, "\n"), at);
	}
	if (maps)
		fclose(maps);
	return path;
}

/* prio < 0: without the shim. */
static struct proc start(struct rig *r, int prio, const char *mode, const char *program, char *arg,
                         char *file)
{
	char preload[1200], mode_env[40], prio_env[40], devices[] = "SOFTGPU_DEVICES=2";
	char *argv[] = {(char *)built(program), NULL, NULL, NULL, NULL};
	char *env[ENV_MAX] = {0};
	int n = 0, a = 1;
	for (int i = 0; i < 4; i++)
		if (r->env[i][0])
			env[n++] = r->env[i];
	snprintf(mode_env, sizeof(mode_env), "SOFTGPU_MODE=%s", mode);
	snprintf(prio_env, sizeof(prio_env), "REIN_PRIO=%d", prio);
	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s %s", sanitizer(),
	         prio >= 0 ? built("librein.so") : "");
	env[n++] = mode_env;
	env[n++] = preload;
	env[n++] = ENV_NO_LEAK_CHECK;
	env[n++] = ENV_ENDS_ANYHOW;
	if (prio >= 0)
		env[n++] = prio_env;
	if (strstr(program, "cudart/api") || strstr(program, "cudart/managed"))
		env[n++] = devices; /* the only ones that look at how many there are */
	if (arg)
		argv[a++] = arg;
	if (file) {
		argv[a++] = "--dump";
		argv[a++] = file;
	}
	return proc_start(argv, env);
}

static void passes(struct rig *r, int prio, const char *mode, const char *program, char *arg,
                   char *file)
{
	struct proc p = start(r, prio, mode, program, arg, file);
	int status = proc_wait(&p, output, sizeof(output), LIMIT_MS);
	ck_assert_msg(status == 0, "%s %s, mode %s, prio %d: status %d\n%.3000s", program,
	              arg ? arg : "", mode, prio, status, output);
}

static int count(const char *text)
{
	int n = 0;
	for (const char *at = output; (at = strstr(at, text)); at += strlen(text))
		n++;
	return n;
}

/* ---- tests/cudart: bare in both modes that execute, then under the shim */

static void own(const char *program, char *arg)
{
	struct rig r;
	rig_init(&r, NULL);
	passes(&r, -1, "fast", program, arg, NULL);
	passes(&r, -1, "wall", program, arg, NULL);
	rig_daemon(&r);
	passes(&r, 50, "fast", program, arg, NULL);
	rig_fini(&r);
	ck_assert_int_ge(count("ok\n"), 1);
}

TEST(api)
{
	own("tests/cudart/api", NULL);
	own("tests/cudart/api_ptds", NULL);
}
TEST_END

TEST(linked_statically)
{
	own("tests/cudart/api-static", NULL);
}
TEST_END

TEST(matrices)
{
	own("tests/cudart/wmma", NULL);
	own("tests/cudart/mma", NULL);
}
TEST_END

TEST(clusters_and_copies)
{
	own("tests/cudart/cluster", NULL);
	own("tests/cudart/pipeline", NULL);
	own("tests/cudart/tensor", NULL);
}
TEST_END

TEST(groups_and_bytes)
{
	own("tests/cudart/groups", NULL);
	own("tests/cudart/bytes", NULL);
}
TEST_END

TEST(textures_and_surfaces)
{
	own("tests/cudart/texture", NULL);
	own("tests/cudart/layers", NULL);
	own("tests/cudart/surface", NULL);
	own("tests/cudart/filters", NULL);
}
TEST_END

TEST(kernels_allocate_and_launch)
{
	own("tests/cudart/heap", NULL);
	own("tests/cudart/children", NULL);
}
TEST_END

TEST(machine_code_alone)
{
	own("tests/cudart/sass", NULL);
	ck_assert_int_ge(count("machine code only (sm_90) and no PTX"), 1);
	own("tests/cudart/sass", "time");
	ck_assert_int_eq(count("do NOT run"), 1);
}
TEST_END

TEST(errors)
{
	own("tests/cudart/errors", NULL);
	ck_assert_int_eq(count("cudart: cudaImportExternalMemory is not provided"), 1); /* once */
	ck_assert_int_eq(count("illegal address"), 1);
	ck_assert_int_ge(count("as expected"), 1);
}
TEST_END

TEST(graphs)
{
	own("tests/cudart/graphs", NULL);
	own("tests/cudart/graphs_ptds", NULL);
	own("tests/cudart/graph_memory", NULL);
	own("tests/cudart/conditions", NULL);
}
TEST_END

TEST(linked_and_compiled_while_it_runs)
{
	own("tests/cudart/link", NULL);
	ck_assert_int_eq(count("cannot load module: PTX line 7"), 2); /* looked at, then logged */
	if (access(built("tests/cudart/compiled"), X_OK) == 0)        /* where there is NVRTC */
		own("tests/cudart/compiled", NULL);
}
TEST_END

TEST(vector_accesses_are_whole)
{
	own("tests/cudart/torn", NULL);
}
TEST_END

TEST(two_translation_units)
{
	own("tests/cudart/linked", NULL);
	ck_assert_int_eq(count("first unit, 42\n"), 1);
	ck_assert_int_eq(count("second unit, 100\n"), 1);
}
TEST_END

TEST(managed_memory)
{
	own("tests/cudart/managed", NULL);
	own("tests/cudart/advice", NULL);
}
TEST_END

TEST(memory_of_another_process)
{
	own("tests/cudart/ipc", NULL);
}
TEST_END

TEST(libraries_with_kernels_come_and_go)
{
	own("tests/cudart/plugins", (char *)built("tests/cudart/plugin"));
}
TEST_END

/* ---- workloads/gpu/cudart: the same bytes bare and under the shim */

static const struct {
	const char *program;
	char *mode;
} programs[] = {
    {"rt_basic", NULL},        {"rt_streams", NULL},   {"rt_streams_ptds", NULL},
    {"rt_graphs", NULL},       {"rt_pools", NULL},     {"rt_coop", NULL},
    {"rt_library", NULL},      {"rt_threads", NULL},   {"rt_fork", NULL},
    {"rt_texture", NULL},      {"rt_exit", "atexit"},  {"rt_exit", "late"},
    {"rt_exit", "destructor"}, {"rt_exit", "pending"}, {"rt_exit", "thread"},
};

/* A sanitized driver takes minutes for these. */
static bool long_ones(unsigned i)
{
#ifdef __SANITIZE_THREAD__
	if (strcmp(programs[i].program, "rt_exit") != 0 &&
	    strcmp(programs[i].program, "rt_fork") != 0)
		return true;
#endif
	return strcmp(programs[i].program, "rt_basic") == 0 ||
	       strcmp(programs[i].program, "rt_coop") == 0;
}

static bool dumps(unsigned i)
{
	return !programs[i].mode || strcmp(programs[i].mode, "pending") != 0;
}

TEST(the_same_bytes_under_the_shim)
{
	struct rig r;
	rig_init(&r, NULL);
	for (int shim = 0; shim < 2; shim++) {
		if (shim)
			rig_daemon(&r);
		for (unsigned i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
			char program[80], file[2][128];
			if (*sanitizer() && long_ones(i))
				continue;
			for (int k = 0; k < 2; k++)
				snprintf(file[k], sizeof(file[k]), "%s/%u-%d", r.dir, i, k);
			snprintf(program, sizeof(program), "gpu/cudart/%s-shared",
			         programs[i].program);
			passes(&r, shim ? 50 : -1, "fast", program, programs[i].mode, file[shim]);
			if (!shim || !dumps(i))
				continue;
			size_t n[2];
			char *bytes[2];
			for (int k = 0; k < 2; k++)
				bytes[k] = rig_read(file[k], &n[k]);
			ck_assert_msg(bytes[0] && bytes[1] && n[0] && n[0] == n[1] &&
			                  memcmp(bytes[0], bytes[1], n[0]) == 0,
			              "%s: other bytes under the shim", program);
			free(bytes[0]);
			free(bytes[1]);
		}
	}
	rig_fini(&r);
}
TEST_END

/* The shim sees what the runtime library asks of the driver, and holds it for an urgent program. */
TEST(held_for_an_urgent_program)
{
	struct rig r;
	rig_init(&r, "lc_step=1ms");
	rig_daemon(&r);
	struct proc urgent = rig_start(&r, 80, "workloads/lc",
	                               "--seconds 300 --kernels 2 --period 4 --arrivals periodic");
	rig_expect_progress(&r, urgent.pid, "submissions", 10, LIMIT_MS);
	struct proc held = start(&r, 10, "wall", "gpu/cudart/rt_library-shared", NULL, NULL);
	rig_expect_progress(&r, held.pid, "submissions", 20, LIMIT_MS);
	int status = proc_wait(&held, output, sizeof(output), LIMIT_MS);
	ck_assert_msg(status == 0, "status %d\n%.3000s", status, output);
	proc_kill(&urgent, SIGKILL);
	proc_wait(&urgent, NULL, 0, LIMIT_MS);
	rig_fini(&r);
}
TEST_END

/* ---- what is exported */

TEST(exports_what_nvidias_exports)
{
	void *ours = dlopen(built("softgpu/libcudart.so.13"), RTLD_NOW | RTLD_LOCAL);
	char name[200];
	int n = 0;
	ck_assert_msg(ours != NULL, "%s", dlerror());
	ck_assert_ptr_nonnull(dlvsym(ours, "cudaMalloc", "libcudart.so.13"));
	ck_assert_ptr_nonnull(dlvsym(ours, "__cudaLaunchKernel_ptsz", "libcudart.so.13"));
	ck_assert_ptr_null(dlsym(ours, "cudart_need_driver"));
	FILE *nm = access(NVIDIAS, R_OK) == 0
	               ? popen("nm -D --defined-only " NVIDIAS " 2>/dev/null", "r")
	               : NULL;
	while (nm && fscanf(nm, "%*s %*s %199s", name) == 1) {
		name[strcspn(name, "@")] = 0;
		if (strncmp(name, "cuda", 4) != 0 && strncmp(name, "__cuda", 6) != 0)
			continue;
		n++;
		ck_assert_msg(dlvsym(ours, name, "libcudart.so.13") != NULL, "%s is missing", name);
	}
	if (nm)
		pclose(nm);
	ck_assert_msg(!nm || n > 400, "only %d names found in %s", n, NVIDIAS);
	dlclose(ours);
}
TEST_END

TESTS("cudart", api, linked_statically, matrices, clusters_and_copies, groups_and_bytes,
      textures_and_surfaces, kernels_allocate_and_launch, machine_code_alone, errors, graphs,
      linked_and_compiled_while_it_runs, vector_accesses_are_whole, two_translation_units,
      managed_memory, memory_of_another_process, libraries_with_kernels_come_and_go,
      the_same_bytes_under_the_shim, held_for_an_urgent_program, exports_what_nvidias_exports)
