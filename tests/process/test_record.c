// SPDX-License-Identifier: Apache-2.0
/*
 * test_record.c: the recorder (workloads/record): programs run on the proxy compute what they
 * compute without it, their calls are in the trace, and the trace is replayed with no difference,
 * with and without the shim. Traces of a real GPU, tests/traces/, are replayed too.
 */
#include "tests/harness.h"

#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "tests/rig.h"

#define LIMIT_MS 60000

static char output[65536], dir[128], shm[64];

static void begin(void)
{
	snprintf(dir, sizeof(dir), "%s", temp_dir());
	snprintf(shm, sizeof(shm), "SOFTGPU_SHM=test-%d", (int)getpid());
}

static char *set(char *buf, size_t len, const char *name, const char *value)
{
	snprintf(buf, len, "%s=%s", name, value);
	return buf;
}

/* A program on the proxy in `libraries`; more: one further variable, or NULL. */
static int run(const char *program, const char *arg, const char *driver, char *more)
{
	char library_path[600], real[600], where[200];
	char *argv[] = {(char *)built(program), (char *)arg, NULL};
	char *env[] = {set(library_path, sizeof(library_path), "LD_LIBRARY_PATH",
	                   built(driver ? "record" : "softgpu")),
	               set(real, sizeof(real), "CUDA_RECORD_DRIVER", driver ? driver : ""),
	               set(where, sizeof(where), "CUDA_RECORD_DIR", dir),
	               shm,
	               "SOFTGPU_MODE=fast",
	               ENV_NO_LEAK_CHECK,
	               more,
	               NULL};
	return proc_run(argv, env, output, sizeof(output), LIMIT_MS);
}

static int record(const char *program, char *more)
{
	return run(program, NULL, built("softgpu/libcuda.so.1"), more);
}

/* The path of the only trace of that program, or of the one of a forked child. */
static const char *trace_of(const char *program, bool forked)
{
	static char path[400];
	char pattern[300];
	glob_t g;
	snprintf(pattern, sizeof(pattern), "%s/%s-*.trace", dir, program);
	path[0] = 0;
	ck_assert_int_eq(glob(pattern, 0, NULL, &g), 0);
	for (size_t i = 0; i < g.gl_pathc; i++) {
		size_t len;
		char *text = rig_read(g.gl_pathv[i], &len);
		if (strstr(text, forked ? " forked=1 " : " forked=0 "))
			snprintf(path, sizeof(path), "%s", g.gl_pathv[i]);
		free(text);
	}
	globfree(&g);
	ck_assert_msg(path[0], "no %strace of %s", forked ? "forked " : "", program);
	return path;
}

static int replay_output(const char *path, bool shim)
{
	char library_path[600], preload[600], run_dir[200];
	char *argv[] = {(char *)built("record/replay"), "--limit", "30", (char *)path, NULL};
	char *env[] = {set(library_path, sizeof(library_path), "LD_LIBRARY_PATH", built("softgpu")),
	               shm,
	               "SOFTGPU_MODE=fast",
	               "SOFTGPU_GEOMETRY=h200", /* what a trace of a large GPU asks for fits */
	               ENV_NO_LEAK_CHECK,
	               set(run_dir, sizeof(run_dir), "REIN_RUN_DIR", dir), /* no daemon there */
	               shim ? set(preload, sizeof(preload), "LD_PRELOAD", built("librein.so"))
	                    : NULL,
	               NULL};
	return proc_run(argv, env, output, sizeof(output), LIMIT_MS);
}

/* Replays with no difference; how many calls were made, of *calls recorded. */
static int replayed(const char *path, bool shim, int *calls)
{
	int status = replay_output(path, shim);
	ck_assert_msg(status == 0, "%s%s: status %d\n%s", path, shim ? ", shim" : "", status,
	              output);
	const char *line = strstr(output, "{\"trace\"");
	json_t *result = line ? json_loads(line, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
	ck_assert_msg(result != NULL, "no result: %s", output);
	ck_assert_int_eq(json_integer_value(json_object_get(result, "different")), 0);
	int n = (int)json_integer_value(json_object_get(result, "replayed"));
	*calls = (int)json_integer_value(json_object_get(result, "calls"));
	json_decref(result);
	return n;
}

/* Every one of the lines' parts is in the text, in this order. */
static void expect_in_order(const char *text, const char *const *parts)
{
	for (; *parts; parts++) {
		const char *at = strstr(text, *parts);
		ck_assert_msg(at != NULL, "not there, or not in order: %s", *parts);
		text = at + strlen(*parts);
	}
}

TEST(calls_in_order)
{
	static const char *const parts[] = {"cuda-trace 1 program=\"saxpy\"",
	                                    " 0 cuInit Flags=0\n",
	                                    " cuDevicePrimaryCtxRetain pctx=*0",
	                                    ">*0x",
	                                    " cuModuleLoadData module=",
	                                    " image=<fatbin:",
	                                    " cuModuleGetFunction hfunc=",
	                                    " name=\"saxpy\"\n",
	                                    " bytesize=262144\n",
	                                    " cuMemcpyHtoD_v2 dstDevice=0x",
	                                    " ByteCount=262144\n",
	                                    "\nkernel 0x",
	                                    " \"saxpy\" 4,4,8,8\n",
	                                    " 0 cuLaunchKernel f=0x",
	                                    " gridDimX=256 gridDimY=1 gridDimZ=1 blockDimX=256 ",
	                                    " kernelParams=[4:000001,4:0000403f,8:",
	                                    " kernel=\"saxpy\"\n",
	                                    " cuMemcpyDtoH_v2 ",
	                                    " cuDevicePrimaryCtxRelease_v2 ",
	                                    "\nend ",
	                                    NULL};
	char plain[sizeof(output)];
	size_t len;
	int calls;
	begin();
	ck_assert_int_eq(run("workloads/saxpy", NULL, NULL, NULL), 0);
	memcpy(plain, output, sizeof(plain));
	ck_assert_int_eq(record("workloads/saxpy", NULL), 0);
	ck_assert_str_eq(output, plain);
	char *text = rig_read(trace_of("saxpy", false), &len);
	expect_in_order(text, parts);
	free(text);
	for (int shim = 0; shim < 2; shim++)
		ck_assert_int_eq(replayed(trace_of("saxpy", false), shim, &calls), 18);
	ck_assert_int_eq(calls, 18);
}
TEST_END

/* Several threads, captures and graphs, host functions; then by preloading the proxy. */
TEST(graphs_and_threads)
{
	char library_path[600], preload[600];
	int calls;
	begin();
	ck_assert_int_eq(record("tests/clients/api_graphs", NULL), 0);
	ck_assert_str_eq(output, "ok\n");
	for (int shim = 0; shim < 2; shim++) {
		int n = replayed(trace_of("api_graphs", false), shim, &calls);
		ck_assert_int_eq(n, calls);
		ck_assert_int_gt(n, 200);
	}
	begin();
	char *argv[] = {(char *)built("workloads/matmul"), NULL};
	char where[200], real[600];
	char *env[] = {set(library_path, sizeof(library_path), "LD_LIBRARY_PATH", built("softgpu")),
	               set(preload, sizeof(preload), "LD_PRELOAD", built("record/libcuda.so.1")),
	               set(real, sizeof(real), "CUDA_RECORD_DRIVER", built("softgpu/libcuda.so.1")),
	               set(where, sizeof(where), "CUDA_RECORD_DIR", dir),
	               shm,
	               "SOFTGPU_MODE=fast",
	               ENV_NO_LEAK_CHECK,
	               NULL};
	ck_assert_int_eq(proc_run(argv, env, output, sizeof(output), LIMIT_MS), 0);
	ck_assert_int_eq(replayed(trace_of("matmul", false), false, &calls), calls);
}
TEST_END

TEST(forked_child)
{
	static const char *const parts[] = {"forked=1", " 3 cu", NULL};
	size_t len;
	int calls;
	begin();
	ck_assert_int_eq(record("tests/clients/api_basic", NULL), 0);
	replayed(trace_of("api_basic", false), false, &calls);
	ck_assert_int_gt(calls, 200);
	char *text = rig_read(trace_of("api_basic", true), &len);
	expect_in_order(text, parts); /* CUDA_ERROR_NOT_INITIALIZED */
	free(text);
	ck_assert_int_eq(replayed(trace_of("api_basic", true), false, &calls), calls);
	ck_assert_int_eq(calls, 3);
}
TEST_END

/* What cuGetProcAddress gave was ours: the calls made through it are in the trace. */
TEST(looked_up)
{
	static const char *const parts[] = {" cuGetProcAddress_v2 symbol=\"cu",
	                                    " found=\"exact\"\n", " cuMemsetD32_v2 dstDevice=0x",
	                                    NULL};
	size_t len;
	int calls;
	begin();
	int status = record("tests/clients/resolve_proc", NULL);
	ck_assert_msg(status == 0, "status %d\n%s", status, output);
	char *text = rig_read(trace_of("resolve_proc", false), &len);
	expect_in_order(text, parts);
	free(text);
	for (int shim = 0; shim < 2; shim++)
		ck_assert_int_eq(replayed(trace_of("resolve_proc", false), shim, &calls), calls);
}
TEST_END

static int lines(const char *text)
{
	int n = 0;
	for (; (text = strchr(text, '\n')); text++)
		n++;
	return n;
}

/* Writes a trace with a part replaced and replays it. */
static int replay_changed(const char *text, const char *part, const char *by, size_t cut)
{
	char path[200];
	char *at = strstr(text, part);
	snprintf(path, sizeof(path), "%s/changed.trace", dir);
	FILE *f = fopen(path, "w");
	ck_assert(at != NULL && f != NULL);
	fprintf(f, "%.*s%s%s", (int)(at - text), text, by, at + strlen(part));
	fclose(f);
	ck_assert(!cut || truncate(path, (off_t)cut) == 0);
	return replay_output(path, false);
}

TEST(damaged)
{
	static const struct {
		const char *part, *by;
	} rows[] = {
	    {"cuda-trace", "a-trace"}, {"cuda-trace 1", "cuda-trace 9"},
	    {"Flags=0", "Flags=x"},    {"Flags=0", "Flag=0"},
	    {" Flags=0", ""},          {"pctx=*", "pctx=%"},
	    {"<fatbin:", "fatbin:"},   {"[4:", "(4:"},
	    {"\ncall 1 ", "\ncall "},  {"\nkernel 0x", "\nkernel x"},
	    {"\nend", "\nfin"},        {"name=\"saxpy\"", "name=\"saxpy"},
	};
	char path[200], command[900];
	size_t len;
	begin();
	ck_assert_int_eq(record("workloads/saxpy", NULL), 0);
	char *text = rig_read(trace_of("saxpy", false), &len);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int status = replay_changed(text, rows[i].part, rows[i].by, 0);
		ck_assert_msg(status == 1 && lines(output) == 1 && strstr(output, "trace: "),
		              "%s: status %d\n%s", rows[i].by, status, output);
	}
	size_t cut = len - 200;
	while (text[cut - 1] == '\n') /* a whole number of lines would be a good trace */
		cut--;
	ck_assert_int_eq(replay_changed(text, "Flags", "Flags", cut), 1);
	ck_assert_msg(lines(output) == 1 && strstr(output, "ends within this line"), "%s", output);

	/* packed: good, then damaged */
	snprintf(path, sizeof(path), "%s/packed.trace.gz", dir);
	snprintf(command, sizeof(command), "gzip -9 -c '%s' > '%s'", trace_of("saxpy", false),
	         path);
	ck_assert_int_eq(system(command), 0);
	ck_assert_int_eq(replay_output(path, false), 0);
	ck_assert_int_eq(truncate(path, 300), 0);
	ck_assert_int_eq(replay_output(path, false), 1);
	ck_assert_msg(strstr(output, "the file is damaged"), "%s", output);
	free(text);
}
TEST_END

TEST(differences_are_named)
{
	size_t len;
	begin();
	ck_assert_int_eq(record("workloads/saxpy", NULL), 0);
	char *text = rig_read(trace_of("saxpy", false), &len);
	ck_assert_int_eq(replay_changed(text, " 0 cuCtxSetCurrent", " 201 cuCtxSetCurrent", 0), 1);
	ck_assert_msg(strstr(output, "cuCtxSetCurrent: recorded CUDA_ERROR_INVALID_CONTEXT, got "
	                             "success\n"),
	              "%s", output);
	ck_assert(strstr(output, "\"different\": 1,"));
	free(text);
}
TEST_END

/* A call that the software GPU lacks is no difference; nor is what depends on it. */
TEST(unsupported_is_named)
{
	static const char text[] =
	    "cuda-trace 1 program=\"p\" pid=1 parent=1 forked=0 started=1 header=13000 "
	    "driver=\"/d\"\n"
	    "call 1 1 1 1 0 cuInit Flags=0\n"
	    "call 2 1 2 1 0 cuDevicePrimaryCtxRetain pctx=*0>*0x7f0000001000 dev=0\n"
	    "call 3 1 3 1 0 cuCtxSetCurrent ctx=0x7f0000001000\n"
	    "call 4 1 4 1 0 cuImportExternalMemory extMem_out=*0>*0x7f0000002000 "
	    "memHandleDesc={00}\n"
	    "call 5 1 5 1 0 cuDestroyExternalMemory extMem=0x7f0000002000\n"
	    "call 6 1 6 1 0 cuFromTheFuture a=1 b={00}\n"
	    "end 6\n";
	char path[200];
	begin();
	snprintf(path, sizeof(path), "%s/unsupported.trace", dir);
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
	int status = replay_output(path, false);
	ck_assert_msg(status == 0 && strstr(output, "\"replayed\": 4, \"different\": 0,") &&
	                  strstr(output, "\"unsupported\": {\"cuImportExternalMemory\": 1}") &&
	                  strstr(output, "that no replayed call gave\": 1") &&
	                  strstr(output, "this cuda.h does not declare\": 1"),
	              "status %d\n%s", status, output);
}
TEST_END

TEST(settings)
{
	size_t len;
	int calls;
	begin();
	/* no driver to hand calls to: one line, an error for the program */
	ck_assert_int_eq(run("workloads/saxpy", NULL, "libcuda.so.1", NULL), 1);
	ck_assert_msg(strstr(output, "cuda recorder: CUDA_RECORD_DRIVER is not an absolute path"),
	              "%s", output);
	ck_assert_int_eq(run("workloads/saxpy", NULL, built("record/libcuda.so.1"), NULL), 1);
	ck_assert_msg(strstr(output, "is the recorder itself"), "%s", output);
	ck_assert_int_eq(run("workloads/saxpy", NULL, "/nowhere/libcuda.so.1", NULL), 1);
	ck_assert_msg(strstr(output, "cannot be loaded"), "%s", output);

	/* a trace that reaches its limit ends, the program goes on */
	begin();
	ck_assert_int_eq(record("workloads/saxpy", "CUDA_RECORD_LIMIT=900"), 0);
	ck_assert_msg(strstr(output, "is cut at CUDA_RECORD_LIMIT=900 bytes"), "%s", output);
	char *text = rig_read(trace_of("saxpy", false), &len);
	ck_assert(len < 900 + 16 && strcmp(text + len - strlen("\ncut 900\n"), "\ncut 900\n") == 0);
	free(text);
	ck_assert_int_gt(replayed(trace_of("saxpy", false), false, &calls), 3);
}
TEST_END

/* What real programs asked of a real driver. */
TEST(traces_of_a_real_gpu)
{
	glob_t g;
	int calls;
	begin();
	ck_assert_int_eq(glob("tests/traces/*.trace.gz", 0, NULL, &g), 0);
	for (size_t i = 0; i < g.gl_pathc; i++) {
		for (int shim = 0; shim < 2; shim++) {
			int n = replayed(g.gl_pathv[i], shim, &calls);
			ck_assert_msg(n > calls / 10 * 9, "%s: %d of %d calls", g.gl_pathv[i], n,
			              calls);
		}
	}
	globfree(&g);
}
TEST_END

TESTS("record", calls_in_order, graphs_and_threads, forked_child, looked_up, damaged,
      differences_are_named, unsupported_is_named, settings, traces_of_a_real_gpu)
