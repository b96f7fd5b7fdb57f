// SPDX-License-Identifier: Apache-2.0
/*
 * test_ways.c: ways to come to CUDA that test_resolve.c does not have: plug-ins, threads that end,
 * forks, programs that start programs, several CUDA runtimes in one process; and the stand-in,
 * build/libcuda.so.1, in all of them.
 */
#include "tests/rig.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIMIT_MS 60000

/* How a program comes to our hooks. */
enum way { BARE, PRELOAD, STANDIN, BOTH, STANDIN_PRELOADED };
/* Whose functions a program then finds. */
static const char *const finds[] = {"libcuda.so.1", "librein.so", "stand-in", "librein.so",
                                    "stand-in"};
static const char *const names[] = {"bare", "preload", "stand-in", "both", "stand-in preloaded"};

static char output[1 << 20];
static struct rig rig;

static void set_up(void)
{
	rig_init(&rig, NULL);
}

static void tear_down(void)
{
	rig_fini(&rig);
}

/* nvcc's programs have no sanitizer, what is put under them may: then its runtime must be first. */
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

/* The environment of a way; `more` may be NULL. */
static char **env_of(enum way way, const char *more)
{
	static char text[4][1400];
	static char *env[ENV_MAX];
	const char *shim = way == PRELOAD || way == BOTH ? "librein.so"
	                   : way == STANDIN_PRELOADED    ? "libcuda.so.1"
	                                                 : NULL;
	int n = 0;
	snprintf(text[0], sizeof(text[0]), "LD_PRELOAD=%s %s", sanitizer(),
	         shim ? built(shim) : "");
	snprintf(text[1], sizeof(text[1]), "LD_LIBRARY_PATH=%s:%s",
	         way == STANDIN || way == BOTH ? built("") : "", built("softgpu"));
	snprintf(text[2], sizeof(text[2]), "REIN_RUN_DIR=%s", rig.dir);
	snprintf(text[3], sizeof(text[3]), "%s", more ? more : "REIN_PRIO=50");
	for (int i = 0; i < 4; i++)
		env[n++] = text[i];
	env[n++] = rig.env[1]; /* SOFTGPU_SHM */
	env[n++] = (char *)ENV_NO_LEAK_CHECK;
	env[n++] = (char *)ENV_ENDS_ANYHOW;
	env[n] = NULL;
	return env;
}

static int run(enum way way, const char *mode, const char *arg, const char *arg2, const char *more)
{
	char *argv[] = {(char *)built("tests/clients/ways"), (char *)mode, (char *)arg,
	                (char *)arg2, NULL};
	return proc_run(argv, env_of(way, more), output, sizeof(output), LIMIT_MS);
}

static int lines_with(const char *text)
{
	int n = 0;
	for (const char *at = output; (at = strstr(at, text)); at += strlen(text))
		n++;
	return n;
}

/* Works, and every function that is named is the one of that way. */
static void works(enum way way, const char *mode, const char *arg)
{
	char found[64];
	int status = run(way, mode, arg, NULL, NULL);
	ck_assert_msg(status == 0, "%s, %s: status %d\n%.3000s", mode, names[way], status, output);
	ck_assert_msg(lines_with(": right\n") >= 1, "%s, %s:\n%.3000s", mode, names[way], output);
	snprintf(found, sizeof(found), ": %s\n", finds[way]);
	for (int i = 0; i < 3; i++) {
		char other[64];
		snprintf(other, sizeof(other), ": %s\n", finds[i]);
		ck_assert_msg(strcmp(other, found) == 0 || !strstr(output, other),
		              "%s, %s: not the right function\n%.3000s", mode, names[way], output);
	}
	ck_assert_msg(strstr(output, found), "%s, %s:\n%.3000s", mode, names[way], output);
}

static void every_way(const char *mode, const char *arg)
{
	static char copy[512];
	if (arg)
		snprintf(copy, sizeof(copy), "%s", arg);
	for (enum way way = BARE; way <= STANDIN_PRELOADED; way++)
		works(way, mode, arg ? copy : NULL);
}

static const char *plugin(void)
{
	return built("tests/preload/cuda_plugin.so");
}

TEST(handles_of_every_kind)
{
	set_up();
	every_way("handles", NULL);
	tear_down();
}
TEST_END

TEST(plugins)
{
	set_up();
	every_way("load", plugin());
	every_way("global", plugin());
	tear_down();
}
TEST_END

/* Such a library asks libc's dlsym, past any preloaded one; the stand-in is the driver, even so. */
TEST(plugins_that_bind_deep)
{
	set_up();
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	fprintf(stderr, "skipped: a sanitizer's runtime refuses RTLD_DEEPBIND\n");
	return;
#endif
	works(BARE, "deepbind", plugin());
	works(STANDIN, "deepbind", plugin());
	works(STANDIN_PRELOADED, "deepbind", plugin());
	ck_assert_int_eq(run(BOTH, "deepbind", plugin(), NULL, NULL), 0);
	ck_assert_int_eq(lines_with("plugin finds: stand-in\n"), 1);
	tear_down();
}
TEST_END

TEST(plugins_that_are_unloaded)
{
	set_up();
	every_way("unload", plugin());
	tear_down();
}
TEST_END

TEST(plugins_after_fork)
{
	set_up();
	every_way("fork", plugin());
	every_way("fork-after", plugin());
	tear_down();
}
TEST_END

TEST(threads_that_end)
{
	set_up();
	every_way("threads", NULL);
	every_way("dies", NULL);
	tear_down();
}
TEST_END

TEST(work_at_exit)
{
	set_up();
	every_way("at-exit", NULL);
	ck_assert_int_eq(lines_with("handler: right\n"), 1);
	ck_assert_int_eq(lines_with("destructor: right\n"), 1);
	tear_down();
}
TEST_END

TEST(programs_that_start_programs)
{
#if defined(__SANITIZE_THREAD__)
	fprintf(stderr, "skipped: the shell does not survive a preloaded ThreadSanitizer\n");
	return;
#endif
	set_up();
	every_way("spawn", NULL);
	ck_assert_int_eq(lines_with("work: right\n"), 3);
	tear_down();
}
TEST_END

/* The loader ignores LD_PRELOAD and LD_LIBRARY_PATH there, and nobody says a word. */
TEST(execution_of_a_set_uid_program)
{
	set_up();
	char copy[128], command[600];
	struct stat st;
	snprintf(copy, sizeof(copy), "%s/id", rig.dir);
	snprintf(command, sizeof(command),
	         "cp \"$(command -v id)\" %s && chown 65534 %s && chmod 4755 %s", copy, copy, copy);
	if (getuid() != 0 || system(command) != 0 || stat(copy, &st) || !(st.st_mode & S_ISUID)) {
		fprintf(stderr, "skipped: only root can make a set-uid program of another user\n");
		return;
	}
	for (enum way way = BARE; way <= STANDIN_PRELOADED; way++) {
		ck_assert_int_eq(run(way, "execute", copy, "-un", NULL), 0);
		ck_assert_msg(strstr(output, "before: right\n"), "%s", output);
		char *after = strstr(output, "before: right\n") + strlen("before: right\n");
		ck_assert_msg(!strpbrk(after, " :"), "%s: '%s'", names[way], output);
	}
	tear_down();
}
TEST_END

TEST(an_empty_environment)
{
	set_up();
	for (enum way way = BARE; way <= STANDIN_PRELOADED; way++) {
		char *argv[16] = {"/usr/bin/env", "-i"}, **env = env_of(way, NULL);
		int n = 2;
		for (int i = 0; env[i]; i++)
			if (strncmp(env[i], "REIN", 4) != 0)
				argv[n++] = env[i];
		argv[n++] = (char *)built("tests/clients/ways");
		argv[n++] = "work";
		int status = proc_run(argv, NULL, output, sizeof(output), LIMIT_MS);
		ck_assert_msg(status == 0 && lines_with("\n") == 2, "%s: status %d\n%s", names[way],
		              status, output);
	}
	tear_down();
}
TEST_END

/* ---------------------------------------------------------------- cuGetProcAddress */

/* Each name at its own version, the one before, 3.0 and the header's, with each flag: the same
 * result, status and ABI as from the driver; and what is hooked is a hook. */
TEST(every_name_and_version)
{
	set_up();
	static char bare[sizeof(output)];
	ck_assert_int_eq(run(BARE, "names", NULL, NULL, NULL), 0);
	memcpy(bare, output, sizeof(bare));
	ck_assert_int_eq(lines_with(" AND ANOTHER"), 0);
	ck_assert_int_ge(lines_with("\n"), 7000);
	char *bare_end = strstr(bare, "hooked: 0\n");
	ck_assert_ptr_nonnull(bare_end);
	*bare_end = '\0';
	for (enum way way = PRELOAD; way <= STANDIN_PRELOADED; way++) {
		ck_assert_int_eq(run(way, "names", NULL, NULL, NULL), 0);
		char *end = strstr(output, "hooked: ");
		ck_assert_ptr_nonnull(end);
		ck_assert_int_gt(atoi(end + strlen("hooked: ")), 1000);
		*end = '\0';
		size_t at = 0, line = 0;
		for (; output[at] && output[at] == bare[at]; at++)
			line = output[at] == '\n' ? at + 1 : line;
		ck_assert_msg(output[at] == bare[at], "%s:\n%.100s\nbare:\n%.100s", names[way],
		              output + line, bare + line);
	}
	tear_down();
}
TEST_END

/* A driver that gives other addresses than it exports, lacks most, and is newer than our header. */
TEST(a_driver_of_another_age)
{
	set_up();
	static const struct {
		const char *name, *version;
		bool hooked;
		const char *symbol;
	} asked[] = {
	    {"cuMemsetD32", "13000", true, "cuMemsetD32_v2"},
	    {"cuMemsetD32", "3020", true, "cuMemsetD32_v2"},
	    {"cuMemsetD32", "3010", true, "cuMemsetD32"},
	    {"cuMemsetD32_v2", "13000", true, "cuMemsetD32_v2"},
	    {"cuMemsetD32", "20000", false, "of_the_future"},
	    {"cuOfTheFuture", "20000", false, "of_the_future"},
	    {"cuOfTheFuture", "13000", false, "of_the_future"},
	    {"cuStreamSynchronize", "13000", true, "cuStreamSynchronize"},
	};
	char link[128], path[400], line[200];
	snprintf(link, sizeof(link), "%s/libcuda.so.1", rig.dir);
	ck_assert_int_eq(symlink(built("tests/preload/odd_driver.so"), link), 0);
	snprintf(path, sizeof(path), "LD_LIBRARY_PATH=%s", rig.dir);
	for (int way = 0; way < 2; way++) {
		for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
			char *argv[] = {(char *)built("tests/clients/ways"), "name",
			                (char *)asked[i].name, (char *)asked[i].version, NULL};
			char **env = env_of(way ? STANDIN_PRELOADED : PRELOAD, path);
			env[1] = env[3];
			int status = proc_run(argv, env, output, sizeof(output), LIMIT_MS);
			snprintf(line, sizeof(line), "%s %s: %s %s\n", asked[i].name,
			         asked[i].version,
			         !asked[i].hooked ? "libcuda.so.1"
			         : way            ? "stand-in"
			                          : "librein.so",
			         asked[i].symbol);
			ck_assert_msg(status == 0 && !strcmp(output, line), "status %d: %swant: %s",
			              status, output, line);
		}
	}
	tear_down();
}
TEST_END

/* With the kill switch the driver's own functions are handed out. */
TEST(the_kill_switch)
{
	set_up();
	for (enum way way = PRELOAD; way <= STANDIN_PRELOADED; way++) {
		ck_assert_int_eq(run(way, "names", NULL, NULL, "REIN_DISABLE=1"), 0);
		ck_assert_msg(lines_with("hooked: 0\n") == 1, "%s: %s", names[way],
		              strstr(output, "hooked: "));
		ck_assert_int_eq(run(way, "work", NULL, NULL, "REIN_DISABLE=1"), 0);
		ck_assert_int_eq(lines_with("work: right\n"), 1);
	}
	tear_down();
}
TEST_END

/* ---------------------------------------------------------------- several at once */

/* The main program's runtime is the shared one, the plug-in's is linked into it. */
TEST(two_runtimes_in_one_process)
{
	set_up();
	static const char *const libraries[] = {"plugin", "plugin-static"};
	for (enum way way = BARE; way <= STANDIN_PRELOADED; way++) {
		for (int i = 0; i < 2; i++) {
			char path[64];
			snprintf(path, sizeof(path), "tests/cudart/%s", libraries[i]);
			char *argv[] = {(char *)built("tests/cudart/plugins"), (char *)built(path),
			                NULL};
			int status = proc_run(argv, env_of(way, "SOFTGPU_MODE=fast"), output,
			                      sizeof(output), LIMIT_MS);
			ck_assert_msg(status == 0 && lines_with("ok\n") == 1,
			              "%s, %s: status %d\n%s", libraries[i], names[way], status,
			              output);
		}
	}
	tear_down();
}
TEST_END

TEST(beside_jemalloc)
{
	set_up();
	static const char *const places[] = {
	    "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2",
	    "/usr/lib/aarch64-linux-gnu/libjemalloc.so.2",
	    "/usr/lib64/libjemalloc.so.2",
	    "/usr/local/lib/libjemalloc.so.2",
	};
	const char *jemalloc = NULL;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]) && !jemalloc; i++)
		jemalloc = access(places[i], R_OK) == 0 ? places[i] : NULL;
	if (!jemalloc || *sanitizer()) {
		fprintf(stderr, "skipped: %s\n",
		        jemalloc ? "a sanitizer has its own malloc"
		                 : "libjemalloc.so.2 is not installed (Debian: libjemalloc2)");
		return;
	}
	static const char *const modes[] = {"work", "threads", "spawn"};
	for (int order = 0; order < 2; order++) {
		char *env[ENV_MAX] = {0}, preload[1400];
		for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
			char *argv[] = {(char *)built("tests/clients/ways"), (char *)modes[i],
			                NULL};
			snprintf(preload, sizeof(preload), "LD_PRELOAD=%s:%s",
			         order ? jemalloc : built("librein.so"),
			         order ? built("librein.so") : jemalloc);
			memcpy(env, env_of(PRELOAD, NULL), sizeof(env));
			env[0] = preload;
			int status = proc_run(argv, env, output, sizeof(output), LIMIT_MS);
			ck_assert_msg(status == 0 && lines_with(": librein.so\n") >= 1 &&
			                  !strstr(output, "jemalloc"),
			              "%s: status %d\n%s", preload, status, output);
		}
	}
	tear_down();
}
TEST_END

/* ---------------------------------------------------------------- the stand-in */

static int clients_of(pid_t pid)
{
	json_t *ps = rig_rein(&rig, "ps"), *c;
	size_t i;
	int n = 0;
	json_array_foreach(json_object_get(ps, "clients"), i, c) n +=
	    json_integer_value(json_object_get(c, "pid")) == pid;
	json_decref(ps);
	return n;
}

struct counted {
	pid_t pid;
	int64_t want;
};

static bool has_counted(void *arg)
{
	struct counted *c = arg;
	return rig_counter(&rig, c->pid, "submissions") == c->want;
}

/* Preloaded, standing in, and both at once: one client of the daemon, and each submission once. */
TEST(counted_once)
{
	set_up();
	rig_daemon(&rig);
	for (enum way way = PRELOAD; way <= STANDIN_PRELOADED; way++) {
		char *argv[] = {(char *)built("tests/clients/ways"), "forever", NULL};
		struct proc p = proc_start(argv, env_of(way, NULL));
		struct counted c = {p.pid, 2}; /* a set and a copy */
		rig_expect_state(&rig, p.pid, "idle", LIMIT_MS);
		ck_assert_msg(eventually(has_counted, &c, 5000), "%s: %lld submissions", names[way],
		              (long long)rig_counter(&rig, p.pid, "submissions"));
		ck_assert_int_eq(clients_of(p.pid), 1);
		proc_kill(&p, SIGKILL);
		(void)proc_wait(&p, NULL, 0, LIMIT_MS);
	}
	tear_down();
}
TEST_END

static void no_driver(const char *libraries, const char *driver, const char *why)
{
	char env_libraries[1200], env_driver[700];
	char *argv[] = {(char *)built("tests/clients/resolve_odd"), "none", NULL};
	char **env = env_of(STANDIN_PRELOADED, NULL);
	snprintf(env_libraries, sizeof(env_libraries), "LD_LIBRARY_PATH=%s", libraries);
	snprintf(env_driver, sizeof(env_driver), "REIN_DRIVER=%s", driver);
	env[1] = env_libraries;
	env[3] = env_driver;
	int status = proc_run(argv, env, output, sizeof(output), LIMIT_MS);
	ck_assert_msg(status == 0 && lines_with("cuInit: 801\n") == 3 &&
	                  lines_with("no CUDA driver") == 1 && lines_with("\n") == 4 &&
	                  strstr(output, why),
	              "want '%s', status %d:\n%s", why, status, output);
}

static void copy_to(char *folder, size_t len, const char *name)
{
	char command[1400];
	snprintf(folder, len, "%s/%s", rig.dir, name);
	snprintf(command, sizeof(command), "mkdir '%s' && cp '%s' '%s'", folder,
	         built("libcuda.so.1"), folder);
	ck_assert_int_eq(system(command), 0);
}

TEST(no_driver_is_one_line)
{
	set_up();
	char folder[128], copy[160];
	copy_to(folder, sizeof(folder), "copy");
	snprintf(copy, sizeof(copy), "%s/libcuda.so.1", folder);
	no_driver("/nonexistent", "libcuda.so.1", "not a path");
	no_driver("/nonexistent", "/nonexistent/libcuda.so.1", "no such file");
	no_driver("/nonexistent", built("libcuda.so.1"), "this is rein itself, not the driver");
	no_driver("/nonexistent", copy, "this is rein itself, not the driver");
	no_driver("/nonexistent", built("librein.so"), "this is rein itself, not the driver");
	no_driver("/nonexistent", "/proc/self/exe", "");
	no_driver("/nonexistent", "/etc/passwd", "invalid ELF header");
	if (access("/usr/lib/x86_64-linux-gnu/libcuda.so.1", F_OK) != 0 &&
	    access("/usr/lib64/libcuda.so.1", F_OK) != 0)
		no_driver(folder, "", "set REIN_DRIVER to the path of the real libcuda.so.1");
	tear_down();
}
TEST_END

/* Copies of the stand-in before, behind and under another name are passed over. */
TEST(copies_of_the_stand_in)
{
	set_up();
	char a[128], b[128], libraries[1200];
	copy_to(a, sizeof(a), "a");
	copy_to(b, sizeof(b), "b");
	snprintf(libraries, sizeof(libraries), "LD_LIBRARY_PATH=%s:relative::%s;%s:%s:%s", a, b,
	         built(""), built("softgpu"), a);
	char *argv[] = {(char *)built("tests/clients/ways"), "work", NULL};
	char **env = env_of(BARE, NULL);
	env[1] = libraries;
	int status = proc_run(argv, env, output, sizeof(output), LIMIT_MS);
	ck_assert_msg(status == 0 && lines_with("found: stand-in\n") == 1 && lines_with("\n") == 2,
	              "status %d\n%s", status, output);
	tear_down();
}
TEST_END

/* All that cuda.h names is there to be linked with, and nothing else but our mark and rein.h. */
TEST(exports_what_the_driver_exports)
{
	set_up();
	char *argv[] = {
	    "bash",
	    "-c",
	    "set -e; cd \"$0\"\n"
	    "nm -D --defined-only softgpu/libcuda.so.1 | sed 's/.* //' | grep '^cu[A-Z]' |"
	    " sort >\"$1/driver\"\n"
	    "nm -D --defined-only libcuda.so.1 | sed 's/.* //;s/@.*//' |"
	    " grep -v '^rein_\\|^InitializeInjectionNvtx2$' | sort >\"$1/stand-in\"\n"
	    "grep -c . \"$1/driver\"; diff \"$1/driver\" \"$1/stand-in\"",
	    (char *)built(""),
	    rig.dir,
	    NULL};
	int status = proc_run(argv, NULL, output, sizeof(output), LIMIT_MS);
	ck_assert_msg(status == 0 && atoi(output) > 600, "status %d\n%s", status, output);
	tear_down();
}
TEST_END

TESTS("ways", handles_of_every_kind, plugins, plugins_that_bind_deep, plugins_that_are_unloaded,
      plugins_after_fork, threads_that_end, work_at_exit, programs_that_start_programs,
      execution_of_a_set_uid_program, an_empty_environment, every_name_and_version,
      a_driver_of_another_age, the_kill_switch, two_runtimes_in_one_process, beside_jemalloc,
      counted_once, no_driver_is_one_line, copies_of_the_stand_in, exports_what_the_driver_exports)
