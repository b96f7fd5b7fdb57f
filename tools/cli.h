// SPDX-License-Identifier: Apache-2.0
/*
 * cli.h: what the subcommands of `rein` share.
 *
 * A subcommand is one function and one row in commands.c. It parses its options with
 * rein_cli_option(), talks to the daemon with rein_cli_ask(), and returns its exit status; every
 * failure goes through rein_cli_fail() or rein_cli_usage(), so that it is one line on stderr
 * ("rein: what; why; what to do") and, with --json, one object on stdout as well.
 */
#ifndef REIN_TOOLS_CLI_H
#define REIN_TOOLS_CLI_H

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/un.h>

#include "../common/util.h"
#include "../common/version.h"

#define CLI_SCHEMA_VERSION 1

enum rein_cli_exit { /* as env(1) and timeout(1); whatever else a run returns is the program's own
	              */
	             CLI_OK = 0,
	             CLI_USAGE = 2,
	             CLI_FAILED = 125,    /* rein itself failed */
	             CLI_CANNOT = 126,    /* the program exists but cannot be invoked */
	             CLI_NOT_FOUND = 127, /* no such program */
};

struct rein_cli_command;

struct rein_cli { /* one invocation of rein */
	const struct rein_cli_command *command;
	bool json;
	void (*before_failure)(void); /* leaves a full screen, so that the line can be read */
	char run_dir[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
};

struct rein_cli_command {
	const char *name;
	int (*main)(struct rein_cli *cli, int argc,
	            char **argv); /* argv[0] is the subcommand's name */
	const char *summary;
	const char *usage; /* after "rein NAME " */
	const char *help;  /* whole lines; "" if the summary says it all */
};

/* commands.c: the table, NULL-named row last, and the whole program but for main(). */
extern const struct rein_cli_command rein_cli_commands[];
const struct rein_cli_command *rein_cli_command_find(const char *name);
int rein_cli_main(int argc, char **argv);

/* ---- options: `static const struct option longs[] = {…, CLI_COMMON_OPTIONS}` */
#define CLI_COMMON_OPTIONS                                                                         \
	{"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'},                        \
	{                                                                                          \
		NULL, 0, NULL, 0                                                                   \
	}
#define CLI_OPT_END (-1)
#define CLI_OPT_BAD (-2)
#define CLI_OPT_HELP (-3)
/* The next option's `val`, or one of the above. --json and --help are dealt with here; a bad
 * option has been reported. `in_order`: stop at the first word that is no option. */
int rein_cli_option(struct rein_cli *cli, int argc, char **argv, const struct option *longs,
                    bool in_order);
/* The exit status of a command whose rein_cli_option() ended with `opt`, which is not CLI_OPT_END.
 */
static inline int rein_cli_option_exit(int opt)
{
	return opt == CLI_OPT_HELP ? CLI_OK : CLI_USAGE;
}
/* A decimal number in [min, max] and nothing else. false: it is not. */
bool rein_cli_number(const char *text, long min, long max, long *out);
/* A priority, 0…99; a bad one has been reported as `what`. */
bool rein_cli_prio(const struct rein_cli *cli, const char *what, const char *text, int *out);

/* ---- failing: both return the exit status */
int rein_cli_fail(const struct rein_cli *cli, enum rein_cli_exit status, const char *fmt, ...)
    REIN_PRINTF(3, 4);
int rein_cli_usage(const struct rein_cli *cli, const char *fmt, ...) REIN_PRINTF(2, 3);
void rein_cli_warn(const char *fmt, ...) REIN_PRINTF(1, 2);

/* ---- output */
bool rein_cli_colour(void); /* stdout is a terminal that wants colours (NO_COLOR, TERM=dumb) */
/* Prints `object` as one line with schema_version and ok added, and drops the reference. */
int rein_cli_print_json(json_t *object);
/* Copies text with everything unprintable replaced: names come from other people's programs. */
const char *rein_cli_clean(const char *text, char *buf, size_t len);

/* ---- the daemon's control socket (ask.c) */
/*
 * Sends the request (its reference is dropped) and returns the daemon's answer in *answer, to be
 * dropped by the caller. 0, or the exit status after the failure has been reported: no daemon,
 * no permission, no answer, or an answer with ok = false.
 */
REIN_MUST_CHECK int rein_cli_ask(const struct rein_cli *cli, json_t *request, json_t **answer);
/* Is somebody listening on this socket of the run directory? 0, or -errno. */
int rein_cli_probe(const struct rein_cli *cli, const char *socket_file);

/* Does this result of connecting mean that nobody is there (rather than somebody we cannot reach)?
 */
static inline bool rein_cli_is_nobody(int err)
{
	return err == -ENOENT || err == -ECONNREFUSED || err == -ENOTDIR;
}

/* A field of an answer, with a neutral value where the daemon sent none or another type. */
const char *rein_cli_str(const json_t *object, const char *key);
long long rein_cli_int(const json_t *object, const char *key);
double rein_cli_real(const json_t *object, const char *key);

static inline void rein_cli_cleanup_json(json_t **j)
{
	json_decref(*j);
}
#define CLI_AUTO_JSON __attribute__((cleanup(rein_cli_cleanup_json)))

/* ---- the subcommands */
int rein_cli_run(struct rein_cli *cli, int argc, char **argv);
int rein_cli_ps(struct rein_cli *cli, int argc, char **argv);
int rein_cli_set(struct rein_cli *cli, int argc, char **argv);
int rein_cli_status(struct rein_cli *cli, int argc, char **argv);
int rein_cli_top(struct rein_cli *cli, int argc, char **argv);
int rein_cli_trace(struct rein_cli *cli, int argc, char **argv);
int rein_cli_why(struct rein_cli *cli, int argc, char **argv);
int rein_cli_policy(struct rein_cli *cli, int argc, char **argv);
int rein_cli_policy_analyse(struct rein_cli *cli, int argc, char **argv); /* of `rein policy` */
int rein_cli_calibrate(struct rein_cli *cli, int argc, char **argv);
int rein_cli_report(struct rein_cli *cli, int argc, char **argv);
int rein_cli_reload(struct rein_cli *cli, int argc, char **argv);
int rein_cli_sim(struct rein_cli *cli, int argc, char **argv);
int rein_cli_stop(struct rein_cli *cli, int argc, char **argv);

#endif
