// SPDX-License-Identifier: Apache-2.0
/* What the shim and the stand-in take of what a program may be short of. */
#include "tests/rig.h"

#include <stdio.h>
#include <string.h>

static void run(const char *preload, const char *folder, const char *mode, const char *arg)
{
	struct rig rig;
	char env_preload[600], env_path[1200], out[4096];
	char *argv[] = {(char *)built("tests/clients/room"), (char *)mode, (char *)arg, NULL};
	rig_init(&rig, NULL);
	snprintf(env_preload, sizeof(env_preload), "LD_PRELOAD=%s", preload);
	snprintf(env_path, sizeof(env_path), "LD_LIBRARY_PATH=%s:%s", folder, built("softgpu"));
	char *env[] = {env_preload,       env_path,        rig.env[0], rig.env[1],
	               ENV_NO_LEAK_CHECK, ENV_ENDS_ANYHOW, NULL};
	int status = proc_run(argv, env, out, sizeof(out), 60000);
	ck_assert_msg(status == 0, "%s, %s %s: status %d\n%s", preload, folder, mode, status, out);
	rig_fini(&rig);
}

static void every_way(const char *mode, const char *arg)
{
	run("", "", mode, arg);
	run(built("librein.so"), "", mode, arg);
	run("", built(""), mode, arg);
}

/* The loader keeps some 1,600 bytes for libraries that come late; others want of that too. */
TEST(static_room_for_threads_data)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	fprintf(stderr, "skipped: a sanitizer's runtime must come first\n");
	return;
#endif
	every_way("tls", built("tests/preload/tls_hog.so"));
}
TEST_END

TEST(small_stacks)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	fprintf(stderr, "skipped: a sanitizer needs more\n");
	return;
#endif
	every_way("stack", "64");
}
TEST_END

TEST(a_core_and_a_real_time_class)
{
	run("", "", "urgent", "0");
	run(built("librein.so"), "", "urgent", "2");
	run("", built(""), "urgent", "2");
}
TEST_END

TEST(no_driver_is_loaded)
{
	every_way("absent", "-");
}
TEST_END

TESTS("room", static_room_for_threads_data, small_stacks, a_core_and_a_real_time_class,
      no_driver_is_loaded)
