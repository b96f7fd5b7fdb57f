// SPDX-License-Identifier: Apache-2.0
/*
 * test_rein.c: the `rein` command with a real daemon: what a run leaves of the process, what it
 * starts and what it leaves behind, and the daemon's answers as people and programs see them.
 */
#include "tests/rig.h"

#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WAIT_MS 15000
#define TIMES "lc_step=2ms,be_step=2ms"

static struct rig rig;
static char out[65536];

/*
 * What to preload into programs of the system, such as sh: our library; but one that was built with
 * a sanitizer cannot enter a program that was not, so then a library that is there anyhow.
 */
static const char *preloaded(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	Dl_info libc;
	static char path[PATH_MAX];
	ck_assert(dladdr((void *)gnu_get_libc_version, &libc) && realpath(libc.dli_fname, path));
	return path;
#else
	return built("librein.so");
#endif
}

static struct proc start(const char *library, char **argv)
{
	char lib[PATH_MAX + 16];
	char *env[] = {rig.env[0], rig.env[1], lib, rig.env[3], NULL};
	snprintf(lib, sizeof(lib), "REIN_LIB=%s", library);
	if (!rig.env[3][0])
		env[3] = NULL;
	argv[0] = (char *)built("rein");
	return proc_start(argv, env);
}
#define REIN_START(...) start(preloaded(), (char *[]){NULL, __VA_ARGS__, NULL})

/* Runs `rein ARGS…` with the rig's directories; its status, with all it wrote in `out`. */
static int run(char **argv)
{
	struct proc p = start(preloaded(), argv);
	return proc_wait(&p, out, sizeof(out), WAIT_MS);
}
#define REIN(...) run((char *[]){NULL, __VA_ARGS__, NULL})

static bool exists(const char *file)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/%s", rig.dir, file);
	return access(path, F_OK) == 0;
}

static bool no_daemon(void *arg)
{
	return REIN("status") == 125;
}

static int lines(const char *text)
{
	int n = 0;
	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static void write_file(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
	ck_assert_int_eq(chmod(path, mode), 0);
}

TEST(run_becomes_the_program)
{
	char want[700];
	rig_init(&rig, NULL);
	struct proc p =
	    REIN_START("run", "--prio", "7", "--name", "me", "--", "sh", "-c",
	               "echo $$ $REIN_PRIO $REIN_NAME $REIN_RUN_DIR ${LD_PRELOAD%%:*}; exit 42");
	pid_t pid = p.pid;
	ck_assert_int_eq(proc_wait(&p, out, sizeof(out), WAIT_MS), 42);
	snprintf(want, sizeof(want), "%d 7 me %s %s\n", (int)pid, rig.dir, preloaded());
	ck_assert_str_eq(out, want);
	/* it started a daemon, which outlives it and has no client: sh uses no GPU */
	ck_assert_int_eq(REIN("ps"), 0);
	ck_assert_ptr_nonnull(strstr(out, "no program has joined"));
	ck_assert_int_eq(REIN("stop"), 0);
	ck_assert(!exists("control.sock") && !exists("client.sock"));
	ck_assert_int_eq(REIN("stop"), 125);
	ck_assert_ptr_nonnull(strstr(out, "no daemon answers at"));
}
TEST_END

TEST(run_takes_signals_as_the_program)
{
	rig_init(&rig, NULL);
	struct proc p = REIN_START("run", "--no-start", "--", "sleep", "60");
	usleep(50000);
	proc_kill(&p, SIGTERM);
	ck_assert_int_eq(proc_wait(&p, NULL, 0, WAIT_MS), 128 + SIGTERM);
}
TEST_END

TEST(no_start_runs_unscheduled)
{
	rig_init(&rig, NULL);
	ck_assert_int_eq(REIN("run", "--no-start", "--", "sh", "-c", "exit 3"), 3);
	ck_assert_ptr_nonnull(strstr(out, "running unscheduled"));
	ck_assert_int_eq(lines(out), 1);
	ck_assert(!exists("control.sock"));
}
TEST_END

TEST(mistakes_start_no_daemon)
{
	char script[128];
	rig_init(&rig, NULL);
	ck_assert_int_eq(REIN("run", "--prio", "100", "true"), 2);
	ck_assert_int_eq(REIN("run", "no-such-program"), 127);
	ck_assert_int_eq(REIN("run", rig.dir), 126);
	ck_assert(!exists("control.sock"));
	/* this one can be found and started only to fail: the daemon goes again */
	snprintf(script, sizeof(script), "%s/script", rig.dir);
	write_file(script, "#!/nonexistent/interpreter\n", 0755);
	ck_assert_int_eq(REIN("run", script), 127);
	ck_assert_int_eq(lines(out), 1);
	ck_assert(eventually(no_daemon, NULL, WAIT_MS));
	/* an unknown class: asked of a daemon that was started to be asked */
	ck_assert_int_eq(REIN("run", "--class", "no-such-class", "true"), 125);
	ck_assert_int_eq(lines(out), 1);
	ck_assert_ptr_nonnull(strstr(out, "no-such-class"));
	ck_assert(eventually(no_daemon, NULL, WAIT_MS));
}
TEST_END

TEST(daemon_that_cannot_start)
{
	char path[256];
	rig_init(&rig, NULL);
	snprintf(path, sizeof(path), "%s/file", rig.dir);
	write_file(path, "", 0600);
	snprintf(rig.env[0], sizeof(rig.env[0]), "REIN_RUN_DIR=%s/below", path);
	ck_assert_int_eq(REIN("run", "true"), 125);
	ck_assert_int_eq(lines(out), 1);
	ck_assert_ptr_nonnull(strstr(out, "rein: cannot start the daemon"));
}
TEST_END

TEST(two_runs_start_one_daemon)
{
	struct proc p[4];
	rig_init(&rig, NULL);
	for (int i = 0; i < 4; i++)
		p[i] = REIN_START("run", "--", "echo", "fine");
	for (int i = 0; i < 4; i++) {
		int status = proc_wait(&p[i], out, sizeof(out), WAIT_MS);
		ck_assert_msg(status == 0 && strcmp(out, "fine\n") == 0, "%d: %s", status, out);
	}
	ck_assert_int_eq(REIN("stop"), 0);
	ck_assert_int_eq(REIN("status"), 125);
}
TEST_END

TEST(output_ends_with_the_program)
{
	/* a reader of the run's output must not wait for the daemon that the run started */
	rig_init(&rig, NULL);
	char line[1200];
	snprintf(line, sizeof(line), "%s run -- echo x 2>&1 | cat", built("rein"));
	char lib[PATH_MAX + 16];
	snprintf(lib, sizeof(lib), "REIN_LIB=%s", preloaded());
	char *argv[] = {"sh", "-c", line, NULL}, *env[] = {rig.env[0], lib, NULL};
	ck_assert_int_eq(proc_run(argv, env, out, sizeof(out), WAIT_MS), 0);
	ck_assert_str_eq(out, "x\n");
	ck_assert_int_eq(REIN("stop"), 0);
}
TEST_END

TEST(dry_run_starts_nothing)
{
	rig_init(&rig, NULL);
	char *argv[] = {NULL, "run", "--dry-run", "--softgpu", "--", "true", NULL};
	struct proc p = start(built("librein.so"), argv);
	ck_assert_int_eq(proc_wait(&p, out, sizeof(out), WAIT_MS), 0);
	ck_assert_ptr_nonnull(strstr(out, "would be started: "));
	ck_assert_ptr_nonnull(strstr(out, built("softgpu")));
	ck_assert(!exists("control.sock"));
}
TEST_END

/* In the driver's place, with nothing preloaded: the folder and no other before the software GPU's.
 */
static void expect_stand_in(const char *rein, const char *folder, const char *softgpu)
{
	char want[2 * PATH_MAX + 64], real_folder[PATH_MAX], real_softgpu[PATH_MAX];
	char *argv[] = {(char *)rein, "run", "--dry-run", "--softgpu", "--stand-in",
	                "--no-start", "--",  "true",      NULL};
	char *env[] = {rig.env[0], "LD_LIBRARY_PATH=", "REIN_LIB=", NULL};
	ck_assert(realpath(folder, real_folder) && realpath(softgpu, real_softgpu));
	ck_assert_int_eq(proc_run(argv, env, out, sizeof(out), WAIT_MS), 0);
	snprintf(want, sizeof(want), "LD_LIBRARY_PATH=%s:%s\n", real_folder, real_softgpu);
	ck_assert_msg(strstr(out, want) && !strstr(out, "LD_PRELOAD"), "want %s%s", want, out);
	snprintf(want, sizeof(want), "library   %s/libcuda.so.1\n", real_folder);
	ck_assert_msg(strstr(out, want) != NULL, "want %s%s", want, out);
	snprintf(want, sizeof(want), "NVTX_INJECTION64_PATH=%s/libcuda.so.1\n", real_folder);
	ck_assert_msg(strstr(out, want) != NULL, "want %s%s", want, out);
}

TEST(the_stand_in)
{
	rig_init(&rig, TIMES);
	unsetenv("LD_PRELOAD");
	unsetenv("NVTX_INJECTION64_PATH");
	expect_stand_in(built("rein"), built(""), built("softgpu"));
	rig_daemon(&rig);
	setenv("ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0", 1);
	char *argv[] = {NULL,        "run", "--stand-in", "--softgpu",
	                "--prio",    "7",   "--",         (char *)built("workloads/be"),
	                "--seconds", "60",  NULL};
	struct proc p = start(built("librein.so"), argv);
	rig_expect_progress(&rig, p.pid, "submissions", 3, WAIT_MS);
	ck_assert_int_eq(rig_counter(&rig, p.pid, "prio"), 7);
	proc_kill(&p, SIGKILL);
	ck_assert_int_eq(proc_wait(&p, NULL, 0, WAIT_MS), 128 + SIGKILL);
	rig_fini(&rig);
}
TEST_END

/* There it has a folder of its own. */
TEST(the_stand_in_of_an_installation)
{
	char prefix[128], rein[160], folder[160], softgpu[160];
	rig_init(&rig, NULL);
	unsetenv("LD_PRELOAD");
	unsetenv("NVTX_INJECTION64_PATH");
	snprintf(prefix, sizeof(prefix), "%s/prefix", rig.dir);
	char *argv[] = {"packaging/install.sh", (char *)built(""), prefix, NULL};
	ck_assert_int_eq(proc_run(argv, NULL, out, sizeof(out), WAIT_MS), 0);
	snprintf(rein, sizeof(rein), "%s/bin/rein", prefix);
	snprintf(folder, sizeof(folder), "%s/lib/rein/standin", prefix);
	snprintf(softgpu, sizeof(softgpu), "%s/lib/rein/softgpu", prefix);
	expect_stand_in(rein, folder, softgpu);
	snprintf(folder, sizeof(folder), "%s/lib/rein/standin/libcuda.so.1", prefix);
	ck_assert_int_eq(unlink(folder), 0);
	ck_assert_int_eq(proc_run((char *[]){rein, "run", "--stand-in", "true", NULL},
	                          (char *[]){rig.env[0], "REIN_LIB=", NULL}, out, sizeof(out),
	                          WAIT_MS),
	                 125);
	ck_assert_msg(strstr(out, "the stand-in was not found; looked for ") && lines(out) == 1,
	              "%s", out);
}
TEST_END

TEST(shows_and_changes_a_client)
{
	char pid[16];
	rig_init(&rig, TIMES);
	setenv("ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0", 1);
	char *argv[] = {NULL,        "run", "--softgpu",
	                "--prio",    "3",   "--name",
	                "work",      "--",  (char *)built("workloads/be"),
	                "--seconds", "60",  NULL};
	struct proc p = start(built("librein.so"), argv);
	snprintf(pid, sizeof(pid), "%d", (int)p.pid);
	rig_expect_progress(&rig, p.pid, "submissions", 3, WAIT_MS);
	ck_assert_int_eq(REIN("ps"), 0);
	ck_assert_int_eq(lines(out), 2);
	ck_assert_ptr_nonnull(strstr(out, pid));
	ck_assert_int_eq(REIN("set", "work", "--prio", "60", "--weight", "5"), 0);
	ck_assert_ptr_nonnull(strstr(out, "priority 60, weight 5"));
	ck_assert_int_eq(rig_counter(&rig, p.pid, "prio"), 60);
	ck_assert_int_eq(REIN("set", pid, "--class", "no-such-class"), 125);
	ck_assert_ptr_nonnull(strstr(out, "no-such-class"));
	ck_assert_int_eq(lines(out), 1);
	ck_assert_int_eq(REIN("set", "1", "--prio", "4"), 125);
	ck_assert_int_eq(rig_counter(&rig, p.pid, "prio"), 60);
	ck_assert_int_eq(REIN("top", "--batch", "--count", "2", "--interval", "0.1"), 0);
	ck_assert_int_eq(lines(out), 2 * 4);
	ck_assert_int_eq(REIN("status"), 0);
	ck_assert_ptr_nonnull(strstr(out, "1 clients, 1 active"));
	proc_kill(&p, SIGKILL);
	ck_assert_int_eq(proc_wait(&p, NULL, 0, WAIT_MS), 128 + SIGKILL);
	rig_expect_state(&rig, p.pid, NULL, WAIT_MS);
	ck_assert_int_eq(REIN("stop"), 0);
	rig_fini(&rig);
}
TEST_END

TEST(policy_and_reload)
{
	rig_init(&rig, NULL);
	rig_daemon(&rig);
	ck_assert_int_eq(REIN("policy"), 0);
	ck_assert_ptr_nonnull(strstr(out, "* classes "));
	ck_assert_int_eq(REIN("policy", "fifo"), 0);
	ck_assert_int_eq(REIN("policy"), 0);
	ck_assert_ptr_nonnull(strstr(out, "* fifo "));
	ck_assert_int_eq(REIN("policy", "nonsense"), 125);
	ck_assert_ptr_nonnull(strstr(out, "nonsense"));
	ck_assert_int_eq(lines(out), 1);
	ck_assert_int_eq(REIN("reload"), 0);
	rig_fini(&rig);
}
TEST_END

TEST(raising_needs_the_right)
{
	if (geteuid() != 0)
		return; /* only root can become somebody without rights */
	rig_init(&rig, NULL);
	rig_daemon(&rig);
	ck_assert_int_eq(chmod(rig.dir, 0755), 0);
	char *argv[] = {"setpriv",
	                "--reuid",
	                "65534",
	                "--regid",
	                "65534",
	                "--clear-groups",
	                (char *)built("rein"),
	                "run",
	                "--prio",
	                "50",
	                "--",
	                "true",
	                NULL};
	char *env[] = {rig.env[0], NULL};
	int status = proc_run(argv, env, out, sizeof(out), WAIT_MS);
	ck_assert_msg(status == 125 && strstr(out, "50"), "status %d: %s", status, out);
	ck_assert_int_eq(lines(out), 1);
	argv[8] = "--weight";
	status = proc_run(argv, env, out, sizeof(out), WAIT_MS);
	ck_assert_msg(status == 0, "status %d: %s", status, out); /* less than 100 */
	argv[9] = "500";
	status = proc_run(argv, env, out, sizeof(out), WAIT_MS);
	ck_assert_msg(status == 125 && strstr(out, "weight 500 needs root"), "%s", out);
	argv[8] = "--prio";
	argv[9] = "0"; /* as everybody may */
	ck_assert_int_eq(proc_run(argv, env, out, sizeof(out), WAIT_MS), 0);
	ck_assert_str_eq(out, "");
	argv[7] = "ps";
	argv[8] = NULL;
	ck_assert_int_eq(proc_run(argv, env, out, sizeof(out), WAIT_MS), 125);
	ck_assert_ptr_nonnull(strstr(out, "control.sock; permission denied"));
	ck_assert_int_eq(lines(out), 1);
	rig_fini(&rig);
}
TEST_END

/* The rules are about the program, not about `rein`, which asks for it. */
TEST(rules_count_for_what_is_run)
{
	char conf[128], script[128];
	rig_init(&rig, NULL);
	snprintf(conf, sizeof(conf), "%s/rein.conf", rig.dir);
	write_file(conf,
	           "[class up]\npriority = 50\n[class reserved]\nperiod = 10ms\nbudget = 5ms\n"
	           "[rule r]\nexe = true\nclass = up\n[rule s]\nexe = *sh\nclass = reserved\n",
	           0644);
	rig_daemon_with(&rig, (char *[]){"--config", conf, NULL});
	ck_assert_int_eq(REIN("run", "--dry-run", "--", "true"), 0);
	ck_assert_ptr_nonnull(
	    strstr(out, "priority  50 (0 best effort, 99 most urgent), class up"));
	ck_assert_int_eq(REIN("run", "--dry-run", "--", "false"), 0);
	ck_assert_ptr_nonnull(strstr(out, "class default\n"));
	snprintf(script, sizeof(script), "%s/script", rig.dir);
	write_file(script, "#!/bin/sh\n", 0755);
	ck_assert_int_eq(REIN("run", "--dry-run", "--", script), 0);
	ck_assert_ptr_nonnull(strstr(out, "class reserved\n"));
	ck_assert_ptr_nonnull(strstr(out, "guaranteed: 5 ms of GPU time every 10 ms\n"));
	/* messages name the program as well */
	ck_assert_int_eq(REIN("run", "--dry-run", "--period", "10ms", "--budget", "10ms", "true"),
	                 125);
	ck_assert_ptr_nonnull(strstr(out, "; true cannot have 10 ms"));
	if (geteuid() == 0) { /* what a rule gives needs no right */
		ck_assert_int_eq(chmod(rig.dir, 0755), 0);
		char *argv[] = {"setpriv",
		                "--reuid",
		                "65534",
		                "--regid",
		                "65534",
		                "--clear-groups",
		                (char *)built("rein"),
		                "run",
		                "--prio",
		                "50",
		                "--",
		                "true",
		                NULL};
		char *env[] = {rig.env[0], NULL};
		int status = proc_run(argv, env, out, sizeof(out), WAIT_MS);
		ck_assert_msg(status == 0, "status %d: %s", status, out);
		argv[11] = "false";
		status = proc_run(argv, env, out, sizeof(out), WAIT_MS);
		ck_assert_msg(status == 125, "status %d: %s", status, out);
	}
	rig_fini(&rig);
}
TEST_END

TEST(example_configuration_is_accepted)
{
	rig_init(&rig, NULL);
	char *argv[] = {(char *)built("reind"),
	                "--foreground",
	                "--run-dir",
	                rig.dir,
	                "--config",
	                "packaging/rein.conf",
	                NULL};
	char *env[] = {rig.env[0], NULL};
	rig.daemon = proc_start(argv, env);
	for (int i = 0; i < 500 && no_daemon(NULL); i++)
		usleep(10000);
	ck_assert_int_eq(REIN("status"), 0);
	ck_assert_ptr_nonnull(strstr(out, "packaging/rein.conf"));
	ck_assert_int_eq(REIN("run", "--class", "realtime", "--dry-run", "true"), 0);
	ck_assert_ptr_nonnull(strstr(out, "priority  60"));
	rig_fini(&rig);
}
TEST_END

TESTS("rein", run_becomes_the_program, run_takes_signals_as_the_program, no_start_runs_unscheduled,
      mistakes_start_no_daemon, daemon_that_cannot_start, two_runs_start_one_daemon,
      output_ends_with_the_program, dry_run_starts_nothing, the_stand_in,
      the_stand_in_of_an_installation, shows_and_changes_a_client, policy_and_reload,
      raising_needs_the_right, rules_count_for_what_is_run, example_configuration_is_accepted)
