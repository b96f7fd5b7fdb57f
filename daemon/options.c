// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "../common/clock.h"
#include "../common/sock.h"
#include "../common/version.h"
#include "../policy/policy.h"

#define EXIT_USAGE 2

static const char help[] =
    "Usage: reind [options]\n"
    "Schedules the GPU work of the programs that run under `rein run`.\n"
    "\n"
    "  --foreground           stay in the foreground (default); log to stderr\n"
    "  --background           return once the sockets listen; log to RUN_DIR/reind.log\n"
    "  --config FILE          read FILE instead of " REIN_CONFIG_FILE "\n"
    "                         and " REIN_CONFIG_DIR "/*.conf\n"
    "  --run-dir DIR          sockets and pidfile (default: $REIN_RUN_DIR, /run/rein for\n"
    "                         root, $XDG_RUNTIME_DIR/rein, /tmp/rein-UID)\n"
    "  --policy NAME          scheduling policy; wins over the configuration\n"
    "  --mode MODE            adaptive, spin or sleep: how the arbiter waits\n"
    "  --exit-when-idle SECS  end after that long without a client\n"
    "  --version, --help\n"
    "\n"
    "Priorities are 0 to 99; higher is more urgent. Exit status: 0, 1 failure, 2 usage.\n"
    "Signals: SIGTERM and SIGINT open all gates and end; SIGHUP reads the configuration\n"
    "again, all or nothing. $REIN_LOG: error, warn, info, debug.\n";

static int usage(int *status, const char *fmt, const char *value, const char *accepted)
{
	fputs("reind: ", stderr);
	fprintf(stderr, fmt, value);
	fprintf(stderr, "%s%s\n", accepted[0] ? "; accepted: " : "", accepted);
	*status = EXIT_USAGE;
	return -1;
}

static int parse_seconds(const char *text, uint64_t *out_ns)
{
	char *end;
	errno = 0;
	unsigned long s = strtoul(text, &end, 10);
	if (!isdigit((unsigned char)*text) || *end || errno || s < 1 || s > 1000000)
		return -EINVAL;
	*out_ns = s * REIN_S;
	return 0;
}

static int parse_policy(struct rein_options *o, const char *name, int *status)
{
	o->policy = rein_policy_find(name);
	if (o->policy)
		return 0;
	char known[256] = "";
	for (unsigned i = 0; rein_policies[i]; i++) {
		size_t n = strlen(known);
		snprintf(known + n, sizeof(known) - n, "%s%s", i ? ", " : "",
		         rein_policies[i]->name);
	}
	return usage(status, "unknown policy '%s'", name, known);
}

static int parse_run_dir(struct rein_options *o, const char *dir, int *status)
{
	int n = snprintf(o->run_dir, sizeof(o->run_dir), "%s", dir);
	if (n <= 0 || (size_t)n >= sizeof(o->run_dir))
		return usage(status, "run directory '%s' is empty or too long", dir,
		             "at most 95 characters");
	return 0;
}

static const struct option longs[] = {
    {"foreground", no_argument, NULL, 'f'},
    {"background", no_argument, NULL, 'b'},
    {"config", required_argument, NULL, 'c'},
    {"run-dir", required_argument, NULL, 'd'},
    {"policy", required_argument, NULL, 'p'},
    {"mode", required_argument, NULL, 'm'},
    {"exit-when-idle", required_argument, NULL, 'e'},
    {"version", no_argument, NULL, 'V'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int parse_one(struct rein_options *o, int option, const char *value, int *status)
{
	switch (option) {
	case 'f':
		o->background = false;
		return 0;
	case 'b':
		o->background = true;
		return 0;
	case 'c':
		o->config_file = value;
		return 0;
	case 'd':
		return parse_run_dir(o, value, status);
	case 'p':
		return parse_policy(o, value, status);
	case 'm':
		o->has_mode = true;
		if (rein_mode_parse(value, &o->mode))
			return usage(status, "unknown mode '%s'", value, "adaptive, spin, sleep");
		return 0;
	case 'e':
		if (parse_seconds(value, &o->exit_idle_ns))
			return usage(status, "bad time '%s' for --exit-when-idle", value,
			             "whole seconds from 1 to 1000000");
		return 0;
	case 'V':
		puts("reind " REIN_VERSION);
		*status = 0;
		return -1;
	case 'h':
		fputs(help, stdout);
		*status = 0;
		return -1;
	default: /* getopt said what is wrong */
		fputs("reind: try 'reind --help'\n", stderr);
		*status = EXIT_USAGE;
		return -1;
	}
}

int rein_options_parse(struct rein_options *o, int argc, char **argv, int *status)
{
	memset(o, 0, sizeof(*o));
	optind = 1;
	for (int option; (option = getopt_long(argc, argv, "", longs, NULL)) != -1;)
		if (parse_one(o, option, optarg, status))
			return -1;
	if (optind < argc)
		return usage(status, "unexpected argument '%s'", argv[optind],
		             "options only, see --help");
	int err = o->run_dir[0] ? 0 : rein_run_dir(o->run_dir, sizeof(o->run_dir));
	if (err)
		return usage(status, "%s", rein_run_dir_why(err), "see --run-dir");
	return 0;
}
