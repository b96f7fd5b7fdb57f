// SPDX-License-Identifier: Apache-2.0
/*
 * trace.c: `rein trace`: what the daemon recorded, as a file for ui.perfetto.dev. It reads the
 * recording's files itself, so that it also works after a daemon that is no more.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "cli.h"

#include "../common/clock.h"
#include "../common/duration.h"
#include "../common/wire.h"
#include "../profiler/chrome.h"

#define DURATION_MAX_NS (3600 * REIN_S)

struct trace {
	const char *file; /* "-": stdout */
	uint64_t last_ns, duration_ns;
	bool alive, recording, failing;
	struct rein_recording recording_files;
};

static int span(const struct rein_cli *cli, const char *option, const char *text, uint64_t *ns)
{
	if (rein_duration_parse(text, ns) == 0 && *ns && *ns <= DURATION_MAX_NS)
		return 0;
	return rein_cli_usage(
	    cli, "%s '%s' is no time; accepted: 1ns to 3600s, with its unit (ns, us, ms, s)",
	    option, text);
}

static int parse(struct rein_cli *cli, int argc, char **argv, struct trace *t)
{
	static const struct option longs[] = {{"last", required_argument, NULL, 'l'},
	                                      {"duration", required_argument, NULL, 'd'},
	                                      {"output", required_argument, NULL, 'o'},
	                                      CLI_COMMON_OPTIONS};
	int opt, status = 0;
	while (!status && (opt = rein_cli_option(cli, argc, argv, longs, false)) >= 0) {
		if (opt == 'l')
			status = span(cli, "--last", optarg, &t->last_ns);
		else if (opt == 'd')
			status = span(cli, "--duration", optarg, &t->duration_ns);
		else
			t->file = optarg;
	}
	if (status || opt != CLI_OPT_END)
		return status ? status : rein_cli_option_exit(opt);
	if (optind < argc)
		return rein_cli_usage(cli, "unexpected argument '%s'", argv[optind]);
	if (!t->file)
		return rein_cli_usage(cli, "-o FILE is missing; '-' is stdout");
	if (cli->json && strcmp(t->file, "-") == 0)
		return rein_cli_usage(cli, "--json and -o - would both go to stdout");
	if (t->last_ns && t->duration_ns)
		return rein_cli_usage(cli, "--last is what was, --duration what comes: choose one");
	return CLI_OPT_END;
}

/* What is in the rings goes to the files. 0, or an exit status; no daemon is no failure. */
static int ask(struct rein_cli *cli, struct trace *t, uint64_t record_ns)
{
	CLI_AUTO_JSON json_t *a = NULL;
	if (rein_cli_is_nobody(rein_cli_probe(cli, REIN_CONTROL_SOCKET)))
		return 0;
	json_t *request = json_pack("{s:s}", "op", "trace");
	if (record_ns)
		json_object_set_new(
		    request, "record_ms",
		    json_integer((json_int_t)((record_ns + REIN_MS - 1) / REIN_MS)));
	int status = rein_cli_ask(cli, request, &a);
	if (status)
		return status;
	t->alive = true;
	t->recording = json_is_true(json_object_get(a, "recording"));
	t->failing = json_is_true(json_object_get(a, "failing"));
	return 0;
}

static void sleep_until(uint64_t end_ns)
{
	struct timespec end = rein_timespec(end_ns);
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) == EINTR)
		;
}

static int gather(struct rein_cli *cli, struct trace *t, uint64_t *from_ns)
{
	uint64_t now_ns = rein_now_ns();
	int status = ask(cli, t, t->duration_ns ? t->duration_ns + REIN_S : 0);
	if (status)
		return status;
	if (t->duration_ns && !t->alive)
		return rein_cli_fail(
		    cli, CLI_FAILED,
		    "nothing can be recorded; no daemon runs in %s; start reind, or "
		    "leave --duration out to read what an earlier one left",
		    cli->run_dir);
	if (t->duration_ns) {
		sleep_until(now_ns + t->duration_ns);
		status = ask(cli, t, 0);
		*from_ns = now_ns;
	} else if (t->last_ns && t->alive) {
		*from_ns = now_ns > t->last_ns ? now_ns - t->last_ns : 0;
	}
	if (!status && t->failing)
		rein_cli_warn("the daemon cannot write its recording now; its log says why");
	return status;
}

static int no_recording(const struct rein_cli *cli, const struct trace *t, int err, const char *why)
{
	const char *todo = err != -ENOENT ? "run rein as root or in the group rein"
	                   : t->recording
	                       ? "nothing has happened yet"
	                       : "`rein trace --duration 5s -o FILE` records from now on; "
	                         "`events = on` in [daemon] of rein.conf always";
	return rein_cli_fail(cli, CLI_FAILED, "no trace; %s; %s", why, todo);
}

static int summarise(const struct rein_cli *cli, const struct trace *t,
                     const struct rein_chrome_result *r)
{
	double seconds = (double)(r->until_ns - r->from_ns) / 1e9;
	if (cli->json)
		return rein_cli_print_json(
		    json_pack("{s:s, s:I, s:I, s:i, s:i, s:f}", "file", t->file, "events",
		              (json_int_t)r->events, "lost", (json_int_t)r->lost, "clients",
		              (int)r->clients, "cuts", (int)r->cuts, "seconds", seconds));
	fprintf(stderr, "rein: %llu events of %u program%s over %.3f s in %s",
	        (unsigned long long)r->events, r->clients, r->clients == 1 ? "" : "s", seconds,
	        t->file);
	if (r->lost)
		fprintf(stderr, "; %llu were lost: the programs were faster than the observer",
		        (unsigned long long)r->lost);
	if (r->cuts)
		fprintf(stderr, "; cut where a daemon ended without closing it");
	fputs("\n", stderr);
	return CLI_OK;
}

static int write_file(struct rein_cli *cli, struct trace *t, const struct rein_chrome_wish *wish)
{
	bool to_stdout = strcmp(t->file, "-") == 0;
	struct rein_chrome_result result;
	FILE *out = to_stdout ? stdout : fopen(t->file, "we");
	if (!out)
		return rein_cli_fail(cli, CLI_FAILED, "cannot write %s; %s", t->file,
		                     strerror(errno));
	int err = rein_chrome_write(out, &t->recording_files, wish, &result);
	int saved = errno;
	if ((to_stdout ? fflush(out) : fclose(out)) != 0 && (!err || err == -EIO)) {
		saved = errno;
		err = -EIO;
	}
	if (err)
		return rein_cli_fail(cli, CLI_FAILED, "cannot write the trace to %s; %s", t->file,
		                     strerror(err == -EIO && saved ? saved : -err));
	return summarise(cli, t, &result);
}

int rein_cli_trace(struct rein_cli *cli, int argc, char **argv)
{
	static struct trace t;
	struct rein_chrome_wish wish = {0};
	char why[512];
	memset(&t, 0, sizeof(t));
	int status = parse(cli, argc, argv, &t);
	if (status != CLI_OPT_END)
		return status;
	status = gather(cli, &t, &wish.from_ns);
	if (status)
		return status;
	int err = rein_recording_open(&t.recording_files, cli->run_dir, why, sizeof(why));
	if (err)
		return no_recording(cli, &t, err, why);
	wish.alive = t.alive && t.recording;
	if (t.last_ns && !t.alive)
		wish.last_ns = t.last_ns;
	return write_file(cli, &t, &wish);
}
