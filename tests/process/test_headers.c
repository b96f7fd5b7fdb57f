// SPDX-License-Identifier: Apache-2.0
/*
 * test_headers.c: other CUDA headers than the one that entries.tbl was written for. Each case is a
 * folder of headers that include the real ones and change something. `make lint` (gen.py --check)
 * names what does not fit; a build goes on, and leaves that to the driver.
 */
#include "tests/harness.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIMIT_MS 60000

static char output[1 << 16];
static char dir[64]; /* holds include/ and gen/ */

/* Where the Makefile looks. */
static const char *toolkit(void)
{
	static char path[512], resolved[PATH_MAX];
	const char *home = getenv("CUDA_HOME");
	const char *places[] = {home ? home : "", "/usr/local/cuda", "build/cuda"};
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		char header[600];
		snprintf(path, sizeof(path), "%s/include", places[i]);
		snprintf(header, sizeof(header), "%s/cudaTypedefs.h", path);
		if (*places[i] && access(header, R_OK) == 0)
			return realpath(path, resolved);
	}
	ck_abort_msg("no CUDA headers found");
	return NULL;
}

/* include/NAME: `before`, the real header, `after`. */
static void header(const char *name, const char *before, const char *after)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/include/%s", dir, name);
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fprintf(f, "#pragma once\n%s\n#include \"%s/%s\"\n%s\n", before, toolkit(), name, after);
	ck_assert_int_eq(fclose(f), 0);
}

/* `before` for all of them, `after` for cuda.h and for cudaTypedefs.h. */
static void doctored(const char *before, const char *after, const char *after_typedefs)
{
	char path[80];
	snprintf(dir, sizeof(dir), "%s", temp_dir());
	snprintf(path, sizeof(path), "%s/include", dir);
	ck_assert_int_eq(mkdir(path, 0755), 0);
	header("cuda.h", before, after);
	header("cudaProfiler.h", before, "");
	header("cudaTypedefs.h", before, after_typedefs);
	header("cudaProfilerTypedefs.h", before, "");
}

static int generate(bool check)
{
	char include[80], out[80];
	snprintf(include, sizeof(include), "%s/include", dir);
	snprintf(out, sizeof(out), "%s/gen", dir);
	char *argv[] = {"python3", "interpose/gen.py",       "--include", include, "--out",
	                out,       check ? "--check" : NULL, NULL};
	return proc_run(argv, NULL, output, sizeof(output), LIMIT_MS);
}

static void says(const char *text)
{
	ck_assert_msg(strstr(output, text), "no '%s' in:\n%s", text, output);
}

/* The generated file has the text. */
static bool generated(const char *file, const char *text)
{
	char path[128], line[600];
	bool found = false;
	snprintf(path, sizeof(path), "%s/gen/%s", dir, file);
	FILE *f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	while (!found && fgets(line, sizeof(line), f))
		found = strstr(line, text);
	fclose(f);
	return found;
}

/* What is generated, and what depends on it most, compiles with those headers. */
static void compiles(void)
{
	char command[800];
	snprintf(
	    command, sizeof(command),
	    "for f in %s/gen/hooks.c %s/gen/standin_calls.c interpose/resolve.c; do "
	    "${CC:-cc} -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Wno-unused-parameter -Werror -I. "
	    "-Iinterpose -I%s/gen -isystem %s/include -fsyntax-only \"$f\" || exit 1; done",
	    dir, dir, dir, dir);
	char *argv[] = {"sh", "-c", command, NULL};
	int status = proc_run(argv, NULL, output, sizeof(output), LIMIT_MS);
	ck_assert_msg(status == 0, "status %d:\n%s", status, output);
}

TEST(the_header_as_it_is)
{
	doctored("", "", "");
	ck_assert_msg(generate(true) == 0 && !*output, "%s", output);
	ck_assert(generated("hooks.c", "hook_cuLaunchKernel("));
	ck_assert(!generated("cuda_versions.h", ", 0},"));
}
TEST_END

/* New functions, and new ABIs of old ones, with what a header says about them or without. */
#define NEWER                                                                                      \
	"CUresult CUDAAPI cuOfTheFuture(CUstream hStream);\n"                                      \
	"CUresult CUDAAPI cuLaunchKernel_v2(CUstream hStream, int more);\n"                        \
	"CUresult CUDAAPI cuLaunchKernel_v2_ptsz(CUstream hStream, int more);\n"                   \
	"CUresult CUDAAPI cuMemsetD8_v3(CUstream hStream);\n"

TEST(a_newer_header)
{
	static const char *const names[] = {"cuOfTheFuture", "cuLaunchKernel_v2",
	                                    "cuLaunchKernel_v2_ptsz", "cuMemsetD8_v3"};
	doctored("", NEWER,
	         "typedef CUresult (CUDAAPI *PFN_cuOfTheFuture_v14000)(CUstream hStream);\n"
	         "typedef CUresult (CUDAAPI *PFN_cuLaunchKernel_v14000)(CUstream, int);\n"
	         "typedef CUresult (CUDAAPI *PFN_cuLaunchKernel_v14000_ptsz)(CUstream, int);\n");
	ck_assert_int_eq(generate(true), 1);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char line[128];
		snprintf(line, sizeof(line), "gen.py: %s has no row in entries.tbl", names[i]);
		says(line);
	}
	says("disagree on cuMemsetD8");
	ck_assert_int_eq(generate(false), 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char text[128];
		snprintf(text, sizeof(text), "hook_%s(", names[i]);
		ck_assert(!generated("hooks.c", text));
		snprintf(text, sizeof(text), "CUresult %s(", names[i]);
		ck_assert(generated("standin_calls.c", text));
		snprintf(text, sizeof(text), "\t%s;", names[i]);
		ck_assert(generated("standin.map", text));
	}
	ck_assert(
	    generated("cuda_versions.h", "{\"cuLaunchKernel\", 14000, 0, \"cuLaunchKernel_v2\""));
	ck_assert(!generated("cuda_versions.h", "\"cuMemsetD8_v2\","));
	compiles();
}
TEST_END

/* A version number whose typedef is of another type: then nobody knows which ABI is meant. */
TEST(a_header_that_contradicts_itself)
{
	doctored("", NEWER,
	         "typedef CUresult (CUDAAPI *PFN_cuLaunchKernel_v14000)(int, int, int);\n"
	         "typedef CUresult (CUDAAPI *PFN_cuLaunchKernel_v14000_ptsz)(CUstream, int);\n");
	ck_assert_int_eq(generate(false), 0);
	says("cuLaunchKernel_v2 is not of type PFN_cuLaunchKernel_v14000");
	ck_assert(!generated("cuda_versions.h", "\"cuLaunchKernel_v2\""));
	ck_assert(generated("cuda_versions.h", "\"cuLaunchKernel_v2_ptsz\""));
	compiles();
}
TEST_END

/* An argument that a row names has another name; a stream is found all the same. */
TEST(renamed_arguments)
{
	doctored(
	    "",
	    "CUresult CUDAAPI cuGraphLaunch(CUgraphExec other, CUstream hStream);\n"
	    "CUresult CUDAAPI cuStreamSynchronize(CUstream other);\n"
	    "CUresult CUDAAPI cuMemsetD8Async(CUdeviceptr dstDevice, unsigned char uc, size_t N,"
	    " CUstream other);\n",
	    "");
	ck_assert_int_eq(generate(true), 1);
	says("cuGraphLaunch");
	says("cuStreamSynchronize");
	ck_assert_int_eq(generate(false), 0);
	says("passed through");
	ck_assert(!generated("hooks.c", "hook_cuGraphLaunch("));
	ck_assert(!generated("hooks.c", "hook_cuStreamSynchronize("));
	ck_assert(generated("hooks.c", "hook_cuMemsetD8Async("));
	compiles();
}
TEST_END

/* As 12.x has it: functions that are not there yet, and a name that source keeps at an old ABI. */
TEST(an_older_header)
{
	doctored("#define cuMemcpyBatchAsync_v2 gone_1\n"
	         "#define cuMemcpyBatchAsync_v2_ptsz gone_2\n"
	         "#define PFN_cuMemcpyBatchAsync_v13000 gone_3\n"
	         "#define PFN_cuMemcpyBatchAsync_v13000_ptsz gone_4\n",
	         "#ifndef __CUDA_API_VERSION_INTERNAL\n"
	         "#undef cuCtxCreate\n#define cuCtxCreate cuCtxCreate_v2\n"
	         "#endif\n",
	         "");
	ck_assert_msg(generate(true) == 0 && !*output, "%s", output);
	ck_assert(!generated("hooks.c", "cuMemcpyBatchAsync_v2"));
	ck_assert(generated("cuda_versions.h", "\"cuCtxCreate_v2\", 1}"));
	ck_assert(generated("cuda_versions.h", "\"cuCtxCreate_v3\", 0}"));
	ck_assert(generated("cuda_versions.h", "\"cuCtxCreate_v4\", 0}"));
	compiles();
}
TEST_END

/* `make lint` says the same. */
TEST(lint_names_an_unknown_symbol)
{
	char command[256];
	doctored("", "CUresult CUDAAPI cuOfTheFuture(CUstream hStream);\n", "");
	snprintf(command, sizeof(command), "LINT_ONLY=entries tests/lint/lint.sh '%s' '%s'",
	         built(""), dir);
	char *argv[] = {"bash", "-c", command, NULL};
	ck_assert_int_eq(proc_run(argv, NULL, output, sizeof(output), LIMIT_MS), 1);
	says("FAIL entries");
	says("cuOfTheFuture has no row in entries.tbl");
}
TEST_END

TEST(no_toolkit)
{
	snprintf(dir, sizeof(dir), "%s", temp_dir());
	ck_assert_int_eq(generate(false), 1);
	says("cuda.h");
}
TEST_END

TESTS("headers", the_header_as_it_is, a_newer_header, a_header_that_contradicts_itself,
      renamed_arguments, an_older_header, lint_names_an_unknown_symbol, no_toolkit)
