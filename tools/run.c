// SPDX-License-Identifier: Apache-2.0
/*
 * run.c: `rein run`: checks everything that can be checked, sees to a daemon, sets the
 * environment that librein.so reads, and becomes the program. The order matters: whatever is the
 * user's mistake is found before a daemon is started for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "locate.h"
#include "start.h"
#include "wish.h"

#include "../common/env.h"
#include "../common/log.h"
#include "../common/sms.h"

struct plan {
	struct rein_cli_wish wish;
	bool softgpu, stand_in, no_start, dry_run;
	char **argv;
	char program[PATH_MAX], library[PATH_MAX], softgpu_dir[PATH_MAX], daemon[PATH_MAX];
	char standin_dir[PATH_MAX]; /* with stand_in `library` is the one in it */
	enum { DAEMON_ANSWERS, DAEMON_TO_START, DAEMON_NONE } daemon_state;
	bool started;                    /* by us */
	struct rein_msg_welcome granted; /* valid if the daemon answers */
};

static int parse(struct rein_cli *cli, int argc, char **argv, struct plan *p)
{
	static const struct option longs[] = {
	    CLI_WISH_OPTIONS,
	    {"softgpu", no_argument, NULL, 'g'},
	    {"stand-in", no_argument, NULL, 'i'},
	    {"no-start", no_argument, NULL, 's'},
	    {"dry-run", no_argument, NULL, 'd'},
	    CLI_COMMON_OPTIONS,
	};
	int opt;
	rein_cli_wish_init(&p->wish);
	while ((opt = rein_cli_option(cli, argc, argv, longs, true)) >= 0) {
		if (rein_cli_wish_option(&p->wish, opt, optarg))
			continue;
		if (opt == 'g')
			p->softgpu = true;
		else if (opt == 'i')
			p->stand_in = true;
		else if (opt == 's')
			p->no_start = true;
		else if (opt == 'd')
			p->dry_run = true;
	}
	if (opt != CLI_OPT_END)
		return opt;
	p->argv = argv + optind;
	if (!rein_cli_wish_finish(cli, &p->wish))
		return CLI_OPT_BAD;
	if (!p->argv[0]) {
		rein_cli_usage(cli, "no program given");
		return CLI_OPT_BAD;
	}
	return CLI_OPT_END;
}

static int fail_program(const struct rein_cli *cli, const char *name, int err)
{
	switch (err) {
	case -ENOENT:
	case -ENOTDIR:
		if (strchr(name, '/') && access(name, F_OK) == 0)
			return rein_cli_fail(
			    cli, CLI_NOT_FOUND,
			    "cannot run '%s'; its interpreter is missing; check its "
			    "first line (#!) or its loader",
			    name);
		return rein_cli_fail(cli, CLI_NOT_FOUND,
		                     "cannot run '%s'; no such program; check its name and %s",
		                     name, strchr(name, '/') ? "path" : "PATH");
	case -EACCES:
		return rein_cli_fail(
		    cli, CLI_CANNOT,
		    "cannot run '%s'; it is not executable for you; check its mode (chmod +x)",
		    name);
	case -EISDIR:
		return rein_cli_fail(cli, CLI_CANNOT,
		                     "cannot run '%s'; it is a directory; name a program in it",
		                     name);
	default:
		return rein_cli_fail(cli, CLI_CANNOT, "cannot run '%s'; %s; check the file", name,
		                     strerror(-err));
	}
}

/* In the driver's place instead of preloaded. */
static int locate_standin(const struct rein_cli *cli, struct plan *p)
{
	if (rein_cli_locate_standin(p->library))
		return rein_cli_fail(
		    cli, CLI_FAILED,
		    "the stand-in was not found; looked for %s; build it with `make`, or leave "
		    "--stand-in out",
		    p->library);
	snprintf(p->standin_dir, sizeof(p->standin_dir), "%s", p->library);
	*strrchr(p->standin_dir, '/') = 0; /* a real path */
	if (strpbrk(p->standin_dir, ":;"))
		return rein_cli_fail(
		    cli, CLI_FAILED,
		    "cannot use '%s'; LD_LIBRARY_PATH takes no path with a colon or a semicolon; "
		    "move it, or leave --stand-in out",
		    p->library);
	return 0;
}

static int locate_parts(const struct rein_cli *cli, struct plan *p)
{
	int err = rein_cli_locate_program(p->argv[0], p->program);
	if (err)
		return fail_program(cli, p->argv[0], err);
	rein_cli_locate_exe(p->program, p->wish.hello.exe, sizeof(p->wish.hello.exe));
	if (rein_cli_locate_library(p->library))
		return rein_cli_fail(
		    cli, CLI_FAILED,
		    "librein.so was not found; looked for %s; build it with `make`, or name it "
		    "in REIN_LIB",
		    p->library);
	if (!p->stand_in && strpbrk(p->library, " :"))
		return rein_cli_fail(
		    cli, CLI_FAILED,
		    "cannot preload '%s'; LD_PRELOAD takes no path with a space or a colon; move "
		    "it, or name a copy in REIN_LIB",
		    p->library);
	if (p->softgpu && rein_cli_locate_softgpu(p->library, p->softgpu_dir))
		return rein_cli_fail(
		    cli, CLI_FAILED,
		    "the software GPU was not found; there is no %s/libcuda.so.1; build it with "
		    "`make`",
		    p->softgpu_dir);
	return p->stand_in ? locate_standin(cli, p) : 0;
}

/* What the daemon would grant, as one of the states of `plan`, or the exit status of a failure. */
static int ask_daemon(const struct rein_cli *cli, struct plan *p)
{
	int err = rein_cli_ask_grant(cli, &p->wish.hello, &p->granted);
	const struct rein_msg_welcome *g = &p->granted;
	if (rein_cli_is_nobody(err)) {
		p->daemon_state = DAEMON_NONE;
		return 0;
	}
	if (err == -EACCES)
		return rein_cli_fail(
		    cli, CLI_FAILED,
		    "cannot open %s/%s; permission denied; set REIN_RUN_DIR to the run directory "
		    "of a daemon that serves you",
		    cli->run_dir, REIN_CLIENT_SOCKET);
	if (err)
		return rein_cli_fail(cli, CLI_FAILED,
		                     "the daemon at %s/%s gave no usable answer; %s; restart it",
		                     cli->run_dir, REIN_CLIENT_SOCKET, strerror(-err));
	if (g->header.abi_major != REIN_ABI_MAJOR)
		return rein_cli_fail(
		    cli, CLI_FAILED,
		    "the daemon speaks ABI %u, rein speaks %u; they are of different versions; "
		    "restart the daemon from this installation",
		    g->header.abi_major, REIN_ABI_MAJOR);
	char text[sizeof(g->text)];
	rein_cli_clean(g->text, text, sizeof(text));
	if (g->error)
		return rein_cli_fail(cli, CLI_FAILED, "the daemon refused; %s",
		                     *text ? text : strerror(g->error));
	if (p->wish.hello.prio != REIN_PRIO_UNSET && g->prio < p->wish.hello.prio)
		return rein_cli_fail(
		    cli, CLI_FAILED,
		    "priority %d was not granted, only %d; %s (higher is more urgent)",
		    p->wish.hello.prio, g->prio,
		    *text ? text : "raising it needs root, the `rein` group or a rule");
	p->daemon_state = DAEMON_ANSWERS;
	int status = rein_cli_wish_answer(cli, &p->wish, g);
	if (status == 1) /* once at most */
		return ask_daemon(cli, p);
	if (!status && *text)
		return rein_cli_fail(cli, CLI_FAILED, "not all was granted; %s", text);
	return status;
}

static int see_to_daemon(const struct rein_cli *cli, struct plan *p)
{
	int status = ask_daemon(cli, p);
	if (status || p->daemon_state == DAEMON_ANSWERS || p->no_start)
		return status;
	if (rein_cli_locate_daemon(p->daemon))
		return rein_cli_fail(
		    cli, CLI_FAILED,
		    "no daemon answers at %s/%s and reind was not found to start one; looked for "
		    "%s and in PATH; build it with `make`, or use --no-start to run unscheduled",
		    cli->run_dir, REIN_CLIENT_SOCKET, p->daemon);
	p->daemon_state = DAEMON_TO_START;
	if (p->dry_run)
		return 0;
	status = rein_cli_start_daemon(cli, p->daemon);
	if (status)
		return status;
	p->started = true;
	status = ask_daemon(cli, p);
	if (status == 0 && p->daemon_state != DAEMON_ANSWERS)
		status = rein_cli_fail(
		    cli, CLI_FAILED,
		    "the daemon ended right after its start; run `%s` in the foreground to see "
		    "why",
		    p->daemon);
	if (status)
		rein_cli_undo_start(cli);
	return status;
}

/* Puts `first` before what the list variable holds, once. */
static int prepend(enum rein_env_id id, const char *first)
{
	const char *old = rein_env_filled(id), *variable = rein_env_table[id].name;
	if (!old)
		return setenv(variable, first, 1);
	size_t n = strlen(first);
	if (strncmp(old, first, n) == 0 && (old[n] == ':' || old[n] == 0))
		return 0;
	REIN_AUTO_FREE char *list = NULL;
	if (asprintf(&list, "%s:%s", first, old) < 0) {
		list = NULL;
		return -1;
	}
	return setenv(variable, list, 1);
}

/* What the plan shows of the environment: all that may be set here. */
static const enum rein_env_id shown[] = {
    REIN_ENV_LD_PRELOAD, REIN_ENV_LD_LIBRARY_PATH, REIN_ENV_RUN_DIR,
    REIN_ENV_PRIO,       REIN_ENV_CLASS,           REIN_ENV_NAME,
    REIN_ENV_DEADLINE,   REIN_ENV_PERIOD,          REIN_ENV_BUDGET,
    REIN_ENV_WEIGHT,     REIN_ENV_LATENCY_NICE,    REIN_ENV_JOB,
    REIN_ENV_SMS,        REIN_ENV_MPS_PERCENTAGE,  REIN_ENV_NVTX_INJECTION};

static int set(enum rein_env_id id, const char *value)
{
	return setenv(rein_env_table[id].name, value, 1);
}

/* NVTX takes one library only: somebody's profiler goes first, and ranges are not for us then. */
static int set_injection(const struct plan *p)
{
	const char *theirs = rein_env(REIN_ENV_NVTX_INJECTION);
	if (!theirs)
		return set(REIN_ENV_NVTX_INJECTION, p->library);
	if (strcmp(theirs, p->library) != 0)
		rein_debug(
		    "NVTX_INJECTION64_PATH is set to '%s' and stays; rein sees no NVTX ranges",
		    theirs);
	return 0;
}

/* At most `len` - 1 bytes of a small file; never waits, whatever lies there. */
static bool read_text(const char *path, char *text, size_t len)
{
	REIN_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, text, len - 1);
	text[n > 0 ? n : 0] = 0;
	return n > 0;
}

/* Its control daemon is there: anybody can make that folder, and a file outlives who wrote it. */
static bool mps_runs(void)
{
	static const char name[] = "nvidia-cuda-mps"; /* as much of it as the kernel keeps */
	const char *pipes = rein_env_filled(REIN_ENV_MPS_PIPES);
	char path[PATH_MAX], text[32];
	snprintf(path, sizeof(path), "%s/nvidia-cuda-mps-control.pid",
	         pipes ? pipes : rein_env_table[REIN_ENV_MPS_PIPES].fallback);
	if (!read_text(path, text, sizeof(text)) || atoi(text) <= 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/comm", atoi(text));
	return read_text(path, text, sizeof(text)) && strncmp(text, name, sizeof(name) - 1) == 0;
}

/* A part of the SMs for as long as the program runs: MPS confines all that it does, graphs and
 * cooperative launches too. The shim then has nothing left to do. */
static int set_slice(struct plan *p)
{
	uint32_t sms = p->wish.hello.sms;
	char text[16];
	if (!(sms & REIN_SMS_PERMILLE) || sms & (REIN_SMS_SHARED | REIN_SMS_LONG) || !mps_runs())
		return 0;
	if (rein_env_filled(REIN_ENV_MPS_PERCENTAGE)) {
		rein_cli_warn("sms: %s is set to %s and stays; the slice is a part of that",
		              rein_env_table[REIN_ENV_MPS_PERCENTAGE].name,
		              rein_env(REIN_ENV_MPS_PERCENTAGE));
		return 0;
	}
	snprintf(text, sizeof(text), "%u", (sms & REIN_SMS_COUNT) / 10);
	rein_cli_wish_drop(&p->wish, REIN_ENV_SMS);
	rein_cli_warn("sms: %s%% of the SMs by MPS, for as long as it runs", text);
	return set(REIN_ENV_MPS_PERCENTAGE, text) |
	       set(REIN_ENV_SMS, "all"); /* not the class' too */
}

static int set_environment(const struct rein_cli *cli, struct plan *p)
{
	int err = p->stand_in ? 0 : prepend(REIN_ENV_LD_PRELOAD, p->library);
	err |= set(REIN_ENV_RUN_DIR, cli->run_dir);
	err |= set_injection(p);
	if (p->softgpu)
		err |= prepend(REIN_ENV_LD_LIBRARY_PATH, p->softgpu_dir);
	if (p->stand_in) /* before the driver's own folder */
		err |= prepend(REIN_ENV_LD_LIBRARY_PATH, p->standin_dir);
	err |= set_slice(p);
	err |= rein_cli_wish_export(&p->wish);
	if (err)
		return rein_cli_fail(cli, CLI_FAILED,
		                     "cannot set the environment; out of memory; free some");
	return 0;
}

static int show_plan_json(const struct rein_cli *cli, const struct plan *p)
{
	static const char *const states[] = {"answers", "to start", "none"};
	json_t *env = json_object(), *argv = json_array();
	for (size_t i = 0; i < REIN_ARRAY_LEN(shown); i++)
		if (rein_env(shown[i]))
			json_object_set_new(env, rein_env_table[shown[i]].name,
			                    json_string(rein_env(shown[i])));
	for (char **a = p->argv; *a; a++)
		json_array_append_new(argv, json_string(*a));
	json_t *plan =
	    json_pack("{s:s, s:o, s:o, s:s, s:s}", "program", p->program, "argv", argv, "env", env,
	              "library", p->library, "daemon", states[p->daemon_state]);
	if (!plan)
		return rein_cli_fail(cli, CLI_FAILED,
		                     "cannot show the plan as JSON; a path or an argument is "
		                     "not UTF-8; leave --json out");
	if (p->daemon_state == DAEMON_ANSWERS) {
		json_object_set_new(plan, "prio", json_integer(p->granted.prio));
		json_object_set_new(plan, "class", json_string(p->granted.class_name));
		json_object_set_new(plan, "reservation", rein_cli_promise_json(&p->granted));
	}
	return rein_cli_print_json(plan);
}

static int show_plan(const struct rein_cli *cli, const struct plan *p)
{
	char promise[512] = "";
	if (cli->json)
		return show_plan_json(cli, p);
	if (p->daemon_state == DAEMON_ANSWERS)
		rein_cli_promise_text(&p->granted, promise, sizeof(promise));
	printf("program   %s\nlibrary   %s\n", p->program, p->library);
	if (p->daemon_state == DAEMON_ANSWERS)
		printf("daemon    answers at %s/%s\npriority  %d (0 best effort, 99 most urgent), "
		       "class %s\n",
		       cli->run_dir, REIN_CLIENT_SOCKET, p->granted.prio, p->granted.class_name);
	else if (p->daemon_state == DAEMON_TO_START)
		printf("daemon    none at %s/%s; would be started: %s --background\n", cli->run_dir,
		       REIN_CLIENT_SOCKET, p->daemon);
	else
		printf("daemon    none at %s/%s; the program would run unscheduled\n", cli->run_dir,
		       REIN_CLIENT_SOCKET);
	if (promise[0])
		printf("timing    %s\n", promise);
	for (size_t i = 0; i < REIN_ARRAY_LEN(shown); i++)
		if (rein_env(shown[i]))
			printf("env       %s=%s\n", rein_env_table[shown[i]].name,
			       rein_env(shown[i]));
	return CLI_OK;
}

/* Whoever asks at a terminal for a deadline wants to hear that it was granted. */
static void say_promise(const struct rein_msg_welcome *granted)
{
	char line[512];
	rein_cli_promise_text(granted, line, sizeof(line));
	if (granted->promise == REIN_PROMISE_GIVEN)
		rein_cli_warn("%s", line);
}

int rein_cli_run(struct rein_cli *cli, int argc, char **argv)
{
	struct plan p = {0};
	rein_log_init("rein", REIN_LOG_ERROR, false);
	int opt = parse(cli, argc, argv, &p);
	if (opt != CLI_OPT_END)
		return rein_cli_option_exit(opt);
	int status = locate_parts(cli, &p);
	if (status == 0)
		status = see_to_daemon(cli, &p);
	if (status == 0)
		status = set_environment(cli, &p);
	if (status)
		return status;
	if (p.dry_run)
		return show_plan(cli, &p);
	if (p.daemon_state == DAEMON_ANSWERS && rein_timing_any(&p.wish.hello.timing))
		say_promise(&p.granted);
	if (p.daemon_state == DAEMON_NONE)
		rein_cli_warn(
		    "no daemon answers at %s/%s; running unscheduled until one is started",
		    cli->run_dir, REIN_CLIENT_SOCKET);
	if (rein_cli_is_privileged(p.program))
		rein_cli_warn(
		    "'%s' changes its identity (set-uid, set-gid or capabilities); the loader "
		    "ignores %s for it; it runs unscheduled",
		    p.program, p.stand_in ? "LD_LIBRARY_PATH" : "LD_PRELOAD");
	execvp(p.program, p.argv);
	int err = errno;
	if (p.started)
		rein_cli_undo_start(cli);
	return fail_program(cli, p.argv[0], -err);
}
