// SPDX-License-Identifier: Apache-2.0
/* out.c: what `rein` prints, and how it fails: one line for people, one object for programs. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

#include "../common/abi.h"
#include "../common/env.h"

#define LINE_MAX_BYTES 1024

static void print_failure(const struct rein_cli *cli, int status, const char *line)
{
	if (cli->before_failure)
		cli->before_failure();
	fprintf(stderr, "rein: %s\n", line);
	if (!cli->json)
		return;
	char clean[LINE_MAX_BYTES];
	json_t *o =
	    json_pack("{s:i, s:b, s:s, s:i}", "schema_version", CLI_SCHEMA_VERSION, "ok", 0,
	              "error", rein_cli_clean(line, clean, sizeof(clean)), "exit_status", status);
	if (o) {
		json_dumpf(o, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
		putchar('\n');
	}
	json_decref(o);
}

int rein_cli_fail(const struct rein_cli *cli, enum rein_cli_exit status, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	print_failure(cli, status, line);
	return status;
}

int rein_cli_usage(const struct rein_cli *cli, const char *fmt, ...)
{
	char what[LINE_MAX_BYTES - 128], line[LINE_MAX_BYTES];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (cli->command)
		snprintf(line, sizeof(line), "%s: %s; `rein %s --help` shows the usage",
		         cli->command->name, what, cli->command->name);
	else
		snprintf(line, sizeof(line), "%s; `rein help` lists the commands", what);
	print_failure(cli, CLI_USAGE, line);
	return CLI_USAGE;
}

void rein_cli_warn(const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	fprintf(stderr, "rein: %s\n", line);
}

bool rein_cli_number(const char *text, long min, long max, long *out)
{
	char *end;
	if (!((*text >= '0' && *text <= '9') || *text == '-'))
		return false;
	errno = 0;
	long v = strtol(text, &end, 10);
	if (errno || *end || end == text || v < min || v > max)
		return false;
	*out = v;
	return true;
}

bool rein_cli_prio(const struct rein_cli *cli, const char *what, const char *text, int *out)
{
	long v;
	if (rein_cli_number(text, 0, REIN_PRIO_MAX, &v)) {
		*out = (int)v;
		return true;
	}
	if (rein_cli_number(text, -1000000, 1000000, &v))
		rein_cli_usage(cli, "%s %s is out of range; 0 (best effort) to %d (most urgent)",
		               what, text, REIN_PRIO_MAX);
	else
		rein_cli_usage(cli, "%s '%s' is not a number; 0 (best effort) to %d (most urgent)",
		               what, text, REIN_PRIO_MAX);
	return false;
}

bool rein_cli_colour(void)
{
	const char *no = rein_env_filled(REIN_ENV_NO_COLOR), *term = rein_env(REIN_ENV_TERM);
	return !no && term && strcmp(term, "dumb") != 0 && isatty(STDOUT_FILENO);
}

int rein_cli_print_json(json_t *object)
{
	json_object_set_new(object, "schema_version", json_integer(CLI_SCHEMA_VERSION));
	json_object_set_new(object, "ok", json_true());
	json_dumpf(object, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(object);
	return CLI_OK;
}

const char *rein_cli_clean(const char *text, char *buf, size_t len)
{
	rein_printable(buf, len, text);
	return buf;
}

const char *rein_cli_str(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));
	return s ? s : "";
}

long long rein_cli_int(const json_t *object, const char *key)
{
	const json_t *v = json_object_get(object, key);
	double real = json_real_value(v);
	if (!json_is_real(v))
		return json_integer_value(v);
	return real > -9e18 && real < 9e18 ? (long long)real : 0;
}

double rein_cli_real(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}
