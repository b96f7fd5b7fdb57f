// SPDX-License-Identifier: Apache-2.0
/* report.c: `rein report`: what the daemon recorded, as one page that says who delayed whom. */
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "records.h"

#include "../profiler/report.h"

#define WORST 20

struct report {
	const char *file; /* "-": stdout */
	enum rein_report_format format;
	long worst;
	struct rein_cli_records records;
};

static bool ends_with(const char *text, const char *tail)
{
	size_t n = strlen(text), m = strlen(tail);
	return n >= m && strcmp(text + n - m, tail) == 0;
}

static int parse_option(struct rein_cli *cli, struct report *r, int opt)
{
	switch (opt) {
	case 'l':
		return rein_cli_span(cli, "--last", optarg, &r->records.last_ns);
	case 'd':
		return rein_cli_span(cli, "--duration", optarg, &r->records.duration_ns);
	case 'w':
		if (rein_cli_number(optarg, 1, REIN_ATTRIBUTE_WORST, &r->worst))
			return 0;
		return rein_cli_usage(cli, "--worst '%s' is no number from 1 to %d", optarg,
		                      REIN_ATTRIBUTE_WORST);
	default:
		r->file = optarg;
		return 0;
	}
}

static int parse(struct rein_cli *cli, int argc, char **argv, struct report *r)
{
	static const struct option longs[] = {{"last", required_argument, NULL, 'l'},
	                                      {"duration", required_argument, NULL, 'd'},
	                                      {"worst", required_argument, NULL, 'w'},
	                                      {"output", required_argument, NULL, 'o'},
	                                      CLI_COMMON_OPTIONS};
	int opt, status = 0;
	while (!status && (opt = rein_cli_option(cli, argc, argv, longs, false)) >= 0)
		status = parse_option(cli, r, opt);
	if (status || opt != CLI_OPT_END)
		return status ? status : rein_cli_option_exit(opt);
	if (optind < argc)
		return rein_cli_usage(cli, "unexpected argument '%s'", argv[optind]);
	if (!r->file || !*r->file)
		return rein_cli_usage(cli, "-o FILE is missing; '-' is stdout");
	if (cli->json && strcmp(r->file, "-") == 0)
		return rein_cli_usage(cli, "--json and -o - would both go to stdout");
	if (r->records.last_ns && r->records.duration_ns)
		return rein_cli_usage(cli, "--last is what was, --duration what comes: choose one");
	r->format = ends_with(r->file, ".json")  ? REIN_REPORT_JSON
	            : ends_with(r->file, ".csv") ? REIN_REPORT_CSV
	                                         : REIN_REPORT_HTML;
	return CLI_OPT_END;
}

static int summarise(const struct rein_cli *cli, const struct report *r,
                     const struct rein_report_result *result)
{
	double seconds = (double)(result->until_ns - result->from_ns) / 1e9;
	if (cli->json)
		return rein_cli_print_json(json_pack(
		    "{s:s, s:I, s:I, s:I, s:i, s:I, s:f}", "file", r->file, "requests",
		    (json_int_t)result->requests, "late", (json_int_t)result->late, "stories",
		    (json_int_t)result->stories, "programs", (int)result->programs, "lost",
		    (json_int_t)result->records_lost, "seconds", seconds));
	fprintf(
	    stderr, "rein: %zu request%s of %u program%s over %.3f s, %llu of them late, in %s\n",
	    result->requests, result->requests == 1 ? "" : "s", result->programs,
	    result->programs == 1 ? "" : "s", seconds, (unsigned long long)result->late, r->file);
	if (!result->requests)
		rein_cli_warn("no program made a request in that time; the page is empty");
	return CLI_OK;
}

static int write_file(struct rein_cli *cli, const struct report *r)
{
	const struct rein_report_wish wish = {.from_ns = r->records.from_ns,
	                                      .last_ns = r->records.alive ? 0 : r->records.last_ns,
	                                      .worst = (size_t)r->worst};
	bool to_stdout = strcmp(r->file, "-") == 0;
	struct rein_report_result result;
	FILE *out = to_stdout ? stdout : fopen(r->file, "we");
	if (!out)
		return rein_cli_fail(cli, CLI_FAILED,
		                     "cannot write %s; %s; name a file in a folder of your own",
		                     r->file, strerror(errno));
	int err = rein_report_write(out, r->format, &r->records.files, &wish, &result);
	int saved = errno;
	if ((to_stdout ? fflush(out) : fclose(out)) != 0 && (!err || err == -EIO)) {
		saved = errno;
		err = -EIO;
	}
	if (err)
		return rein_cli_not_written(cli, "report", r->file, err == -EIO ? saved : -err);
	return summarise(cli, r, &result);
}

int rein_cli_report(struct rein_cli *cli, int argc, char **argv)
{
	static struct report r;
	memset(&r, 0, sizeof(r));
	r.worst = WORST;
	int status = parse(cli, argc, argv, &r);
	if (status == CLI_OPT_END)
		status = rein_cli_records(cli, &r.records);
	else
		return status;
	return status ? status : write_file(cli, &r);
}
