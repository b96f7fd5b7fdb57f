// SPDX-License-Identifier: Apache-2.0
/*
 * test_torch.c: PyTorch from PyPI (the build for CUDA 13) under the shim and under the stand-in
 * does what it does without: every result, every error text, the exit status
 * (tests/clients/torch_program.py). With its own CUDA runtime, NVIDIA's, it finds no device on the
 * software GPU, which that refuses; with the software GPU's runtime it finds one and works on it.
 *
 * The Python with PyTorch in it is $REIN_TORCH_PYTHON, else the one that `make torch` has made.
 * Without one this is left out, and says so.
 */
#include "tests/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIMIT_MS 110000
#define PROGRAM "tests/clients/torch_program.py"

enum way { BARE, PRELOAD, STANDIN, WAYS };
static const char *const names[] = {"bare", "preloaded", "stand-in"};

static struct rig rig;
static char *python;

/* NVRTC's double hands out PTX for what PyTorch compiles. */
static bool compiles(void)
{
	return access(built("softgpu/libnvrtc.so.13"), R_OK) == 0;
}

static int run(enum way way, bool our_runtime, bool ask, char *out, size_t len)
{
	char preload[1200], libraries[1200];
	char *argv[] = {python, PROGRAM, ask ? "rein" : NULL, NULL};
	char *env[] = {preload, libraries, rig.env[0], rig.env[1], "REIN_PRIO=50", NULL};
	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s %s %s",
	         our_runtime ? built("softgpu/libcudart.so.13") : "",
	         our_runtime && compiles() ? built("softgpu/libnvrtc.so.13") : "",
	         way == PRELOAD ? built("librein.so") : "");
	snprintf(libraries, sizeof(libraries), "LD_LIBRARY_PATH=%s:%s",
	         way == STANDIN ? built("") : "", built("softgpu"));
	return proc_run(argv, env, out, len, LIMIT_MS);
}

/* The line of a step, from its name to its end. */
static void expect(const char *out, const char *line)
{
	const char *at = strstr(out, line);
	ck_assert_msg(at && (at == out || at[-1] == '\n'), "no line '%s' in:\n%s", line, out);
}

/* All that is said but what `rein` answers, which is checked. */
static void expect_rein(char *out, enum way way)
{
	char *at = strstr(out, "\nrein: ");
	ck_assert_msg(at != NULL, "%s:\n%s", names[way], out);
	ck_assert_str_eq(at, way == BARE ? "\nrein: 'absent'\n" : "\nrein: 'joined'\n");
	at[1] = 0;
}

static void same_in_every_way(bool our_runtime, char *bare, size_t len)
{
	static char out[1 << 16];
	int first = run(BARE, our_runtime, our_runtime, bare, len);
	if (our_runtime)
		expect_rein(bare, BARE);
	ck_assert_msg(first == 7, "exit %d:\n%s", first, bare);
	for (enum way way = PRELOAD; way < WAYS; way++) {
		int status = run(way, our_runtime, our_runtime, out, sizeof(out));
		if (our_runtime)
			expect_rein(out, way);
		ck_assert_msg(status == first && strcmp(out, bare) == 0,
		              "%s: exit %d\n%s\nwithout: exit %d\n%s", names[way], status, out,
		              first, bare);
	}
}

TEST(with_the_runtime_of_the_software_gpu)
{
	static char bare[1 << 16];
	rig_init(&rig, NULL);
	rig_daemon(&rig);
	same_in_every_way(true, bare, sizeof(bare));
	expect(bare, "is_available: True\n");
	expect(bare, "device_count: 1\n");
	expect(bare, "init: None\n");
	expect(bare, "streams and events: (True, True, 4950.0)\n");
	expect(bare, "a kernel in PTX: 65920.0\n");
	if (compiles())
		expect(bare, "kernels compiled here: (19800.0, 0.0)\n");
	expect(bare, "a DataLoader before CUDA: 4950.0\n");
	expect(bare, "a DataLoader after CUDA: 4950.0\n");
	rig_fini(&rig);
}
TEST_END

TEST(with_its_own_runtime)
{
	static char bare[1 << 16];
	rig_init(&rig, NULL);
	rig_daemon(&rig);
	same_in_every_way(false, bare, sizeof(bare));
	expect(bare, "a DataLoader before CUDA: 4950.0\n");
	expect(bare, "a DataLoader after CUDA: 4950.0\n");
	rig_fini(&rig);
}
TEST_END

/* Why PyTorch cannot be tried here; NULL: it can. */
static const char *left_out(void)
{
	static char why[400];
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return "left out: PyTorch (Python is not built with a sanitizer)";
#endif
	const char *named = getenv("REIN_TORCH_PYTHON");
	python = strdup(named ? named : BUILD_DIR "/torch/bin/python3");
	if (!named && access(python, X_OK) != 0)
		return "left out: PyTorch (make torch, about 5 GiB; or name its Python in "
		       "REIN_TORCH_PYTHON)";
	snprintf(why, sizeof(why),
	         "'%s' -c 'import sys, torch; sys.exit(not (torch.version.cuda or "
	         "\"\").startswith(\"13.\"))' 2>/dev/null",
	         python);
	if (system(why) == 0)
		return NULL;
	snprintf(why, sizeof(why), "left out: PyTorch (%s has none that is built for CUDA 13)",
	         python);
	return why;
}

int main(void)
{
	const TTest *const tests[] = {with_the_runtime_of_the_software_gpu, with_its_own_runtime};
	const char *why = left_out();
	if (why) {
		puts(why);
		return 77;
	}
	return harness_run("PyTorch", tests, sizeof(tests) / sizeof(tests[0]));
}
