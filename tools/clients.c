// SPDX-License-Identifier: Apache-2.0
/* clients.c: `rein ps` and `rein set`. */
#include "clients.h"

#include <string.h>

#include "../common/sms.h"
#include "../common/timing.h"
#include "topview.h"
#include "wish.h"

static const struct rein_cli_column columns[] = {
    {"PID", true},
    {"NAME", false},
    {"CLASS", false},
    {"PRIO", true},
    {"STATE", false},
    {"FOR", false},
    {"GPU", true},
    {"SUBMITTED", true},
    {"WAITS", true},
    {"WAIT-MS", true},
    {"DUE-MS", true},
    /* only where somebody has a reservation: */
    {"GUARANTEE", false},
    {"MISSED", true},
    {"P99-MS", true},
};
#define TIMING_COLUMNS 3
#define STATE_COLUMN 4

static int band_rank(const json_t *c)
{
	static const char *const bands[] = {"idle", "batch", "interactive", "realtime"};
	for (unsigned i = 0; i < REIN_ARRAY_LEN(bands); i++)
		if (strcmp(rein_cli_str(c, "band"), bands[i]) == 0)
			return (int)i;
	return 0;
}

double rein_cli_urgency(const json_t *answer, const json_t *client)
{
	bool bands = strcmp(rein_cli_str(answer, "policy"), "classes") == 0;
	return rein_cli_real(client, "prio") + (bands ? 100 * band_rank(client) : 0);
}

/* What is promised: "20 ms", the deadline, or "6/33 ms", bandwidth; else what became of it. */
static void add_timing(struct rein_cli_table *t, const json_t *c)
{
	const json_t *r = json_object_get(c, "reservation"), *m = json_object_get(c, "measured");
	const char *state = rein_cli_str(r, "guarantee");
	char text[CLI_CELL_LEN];
	if (strcmp(state, "given") == 0 && json_is_number(json_object_get(r, "deadline_ms")))
		rein_cli_table_add(t, "%.4g ms", rein_cli_real(r, "deadline_ms"));
	else if (strcmp(state, "given") == 0)
		rein_cli_table_add(t, "%.4g/%.4g ms", rein_cli_real(r, "budget_ms"),
		                   rein_cli_real(r, "period_ms"));
	else
		rein_cli_table_add(t, "%s",
		                   *state ? rein_cli_clean(state, text, sizeof(text)) : "-");
	if (json_is_object(r) || rein_cli_int(m, "missed"))
		rein_cli_table_add(t, "%lld", rein_cli_int(m, "missed"));
	else
		rein_cli_table_add(t, "-");
	if (rein_cli_real(m, "response_p99_ms") > 0)
		rein_cli_table_add(t, "%.1f", rein_cli_real(m, "response_p99_ms"));
	else
		rein_cli_table_add(t, "-");
}

static void add_row(struct rein_cli_table *t, const json_t *c)
{
	char text[CLI_CELL_LEN];
	const json_t *by = json_object_get(c, "held_for");
	rein_cli_table_add(t, "%lld", rein_cli_int(c, "pid"));
	rein_cli_table_add(t, "%s", rein_cli_clean(rein_cli_str(c, "name"), text, sizeof(text)));
	rein_cli_table_add(t, "%s", rein_cli_clean(rein_cli_str(c, "class"), text, sizeof(text)));
	rein_cli_table_add(t, "%lld", rein_cli_int(c, "prio"));
	rein_cli_table_add(t, "%s", rein_cli_clean(rein_cli_str(c, "state"), text, sizeof(text)));
	if (json_is_object(by))
		rein_cli_table_add(t, "%s:%lld", rein_cli_clean(rein_cli_str(by, "name"), text, 40),
		                   rein_cli_int(by, "pid"));
	else
		rein_cli_table_add(t, "-");
	rein_cli_table_add(t, "%.0f%%", 100 * rein_cli_real(c, "share"));
	rein_cli_table_add(t, "%lld", rein_cli_int(c, "submissions"));
	rein_cli_table_add(t, "%lld",
	                   rein_cli_int(c, "gate_waits") + rein_cli_int(c, "backlog_waits"));
	rein_cli_table_add(t, "%.1f",
	                   rein_cli_real(c, "gate_wait_ms") + rein_cli_real(c, "backlog_wait_ms"));
	const json_t *declared = json_object_get(c, "declared");
	if (json_is_number(json_object_get(declared, "deadline_ms")))
		rein_cli_table_add(t, "%.1f", rein_cli_real(declared, "deadline_ms"));
	else
		rein_cli_table_add(t, "-");
	if (t->n_columns == REIN_ARRAY_LEN(columns))
		add_timing(t, c);
}

static bool anybody_reserves(const json_t *list)
{
	size_t i;
	json_t *c;
	json_array_foreach(list, i, c)
	{
		if (json_is_object(json_object_get(c, "reservation")))
			return true;
	}
	return false;
}

void rein_cli_clients_table(const json_t *answer, struct rein_cli_table *t)
{
	REIN_AUTO_FREE const json_t **sorted = rein_cli_sorted(answer, CLI_BY_PRIO);
	bool timing = anybody_reserves(json_object_get(answer, "clients"));
	rein_cli_table_init(t, columns, REIN_ARRAY_LEN(columns) - (timing ? 0 : TIMING_COLUMNS));
	for (const json_t **c = sorted; c && *c; c++)
		add_row(t, *c);
}

static const char *state_colour(const struct rein_cli_table *t, size_t row)
{
	const char *state = t->cell[(row - 1) * t->n_columns + STATE_COLUMN];
	if (strcmp(state, "running") == 0)
		return "\033[32m";
	if (strcmp(state, "held") == 0 || strcmp(state, "waiting") == 0)
		return "\033[33m";
	return "";
}

static void print_table(const struct rein_cli_table *t)
{
	char line[CLI_COLUMNS_MAX * CLI_CELL_LEN];
	bool colour = rein_cli_colour();
	if (rein_cli_table_rows(t) == 0) {
		puts("no program has joined; start one with `rein run -- PROGRAM`");
		return;
	}
	for (size_t row = 0; row <= rein_cli_table_rows(t); row++) {
		rein_cli_table_line(t, row, line, sizeof(line));
		if (colour)
			printf("%s%s\033[0m\n", row ? state_colour(t, row) : "\033[1m", line);
		else
			puts(line);
	}
}

/* Below the table: why a guarantee is not given, who stands in the way, and why the policy is not
 * the configured one. */
static void print_notes(const json_t *answer)
{
	char name[CLI_CELL_LEN], why[512], later[64];
	size_t i;
	json_t *c;
	json_array_foreach(json_object_get(answer, "clients"), i, c)
	{
		const json_t *r = json_object_get(c, "reservation");
		if (!json_is_object(r) || strcmp(rein_cli_str(r, "guarantee"), "given") == 0)
			continue;
		later[0] = 0;
		if (json_is_number(json_object_get(r, "later_ms")))
			snprintf(later, sizeof(later), "; a deadline of %.4g ms could be kept",
			         rein_cli_real(r, "later_ms"));
		printf("%s: guarantee %s: %s%s\n",
		       rein_cli_clean(rein_cli_str(c, "name"), name, sizeof(name)),
		       rein_cli_str(r, "guarantee"),
		       rein_cli_clean(rein_cli_str(r, "why"), why, sizeof(why)), later);
	}
	json_array_foreach(json_object_get(answer, "clients"), i, c)
	{
		double longest = rein_cli_real(c, "longest_kernel_ms");
		const char *kernel = rein_cli_str(c, "longest_kernel");
		if (longest * 1000 > rein_cli_real(c, "backlog_us") &&
		    rein_cli_real(c, "delays_ms") >= longest)
			printf("%s: kernel %s of %.1f ms runs to its end, and somebody more urgent "
			       "waits: no gate here stops it (rein status)\n",
			       rein_cli_clean(rein_cli_str(c, "name"), name, sizeof(name)),
			       rein_cli_clean(*kernel ? kernel : "(unnamed)", why, sizeof(why)),
			       longest);
	}
	json_array_foreach(json_object_get(answer, "clients"), i, c)
	{
		long long of = rein_cli_int(c, "sms_of"), now = rein_cli_int(c, "sms_now");
		if (*rein_cli_str(c, "sms") && of)
			printf("%s: %lld of %lld SMs (%s)\n",
			       rein_cli_clean(rein_cli_str(c, "name"), name, sizeof(name)),
			       now ? now : of, of, rein_cli_str(c, "sms"));
	}
	json_array_foreach(json_object_get(answer, "bystanders"), i, c) printf(
	    "unmanaged: process %lld (%s) uses the GPU; run it under `rein run`\n",
	    rein_cli_int(c, "pid"), rein_cli_clean(rein_cli_str(c, "name"), name, sizeof(name)));
	if (*rein_cli_str(answer, "policy_why"))
		printf("policy: %s (%s)\n",
		       rein_cli_clean(rein_cli_str(answer, "policy"), name, sizeof(name)),
		       rein_cli_clean(rein_cli_str(answer, "policy_why"), why, sizeof(why)));
}

int rein_cli_ps(struct rein_cli *cli, int argc, char **argv)
{
	static const struct option longs[] = {CLI_COMMON_OPTIONS};
	int opt = rein_cli_option(cli, argc, argv, longs, false);
	if (opt != CLI_OPT_END)
		return rein_cli_option_exit(opt);
	if (optind < argc)
		return rein_cli_usage(cli, "unexpected argument '%s'", argv[optind]);
	CLI_AUTO_JSON json_t *answer = NULL;
	int status = rein_cli_ask(cli, json_pack("{s:s}", "op", "clients"), &answer);
	if (status)
		return status;
	if (cli->json)
		return rein_cli_print_json(json_incref(answer));
	struct rein_cli_table t;
	rein_cli_clients_table(answer, &t);
	print_table(&t);
	rein_cli_table_free(&t);
	print_notes(answer);
	return CLI_OK;
}

/* The id of the one client with this PID or name, or a reported failure. */
static int find_client(const struct rein_cli *cli, const char *who, long long *id)
{
	CLI_AUTO_JSON json_t *answer = NULL;
	int status = rein_cli_ask(cli, json_pack("{s:s}", "op", "clients"), &answer);
	if (status)
		return status;
	long pid;
	bool by_pid = rein_cli_number(who, 1, 1L << 30, &pid);
	unsigned found = 0;
	char pids[128] = "";
	size_t i, n = 0;
	json_t *c;
	json_array_foreach(json_object_get(answer, "clients"), i, c)
	{
		if (by_pid ? rein_cli_int(c, "pid") != pid
		           : strcmp(rein_cli_str(c, "name"), who) != 0)
			continue;
		found++;
		*id = rein_cli_int(c, "id");
		if (n < sizeof(pids))
			n += (size_t)snprintf(pids + n, sizeof(pids) - n, "%s%lld", n ? ", " : "",
			                      rein_cli_int(c, "pid"));
	}
	if (found == 0)
		return rein_cli_fail(
		    cli, CLI_FAILED,
		    "set: no program with the %s '%s' has joined; `rein ps` lists those that have",
		    by_pid ? "PID" : "name", who);
	if (found > 1)
		return rein_cli_fail(cli, CLI_FAILED,
		                     "set: %u programs are called '%s'; their PIDs: %s; name one "
		                     "by its PID",
		                     found, who, pids);
	return 0;
}

static bool set_number(const struct rein_cli *cli, json_t *request, const char *key,
                       const char *text, long min, long max)
{
	long n;
	if (!rein_cli_number(text, min, max, &n)) {
		rein_cli_usage(cli, "%s '%s' is not accepted; %ld to %ld", key, text, min, max);
		return false;
	}
	json_object_set_new(request, key, json_integer(n));
	return true;
}

static bool set_time(const struct rein_cli *cli, json_t *request, const char *key, const char *what,
                     const char *text)
{
	uint64_t ns;
	if (!rein_cli_time(cli, what, text, true, &ns))
		return false;
	json_object_set_new(request, key, json_real((double)ns / 1e6));
	return true;
}

static bool set_one(const struct rein_cli *cli, json_t *request, int opt)
{
	int prio;
	uint32_t sms;
	switch (opt) {
	case 'p':
		if (!rein_cli_prio(cli, "priority", optarg, &prio))
			return false;
		json_object_set_new(request, "prio", json_integer(prio));
		return true;
	case 'w':
		return set_number(cli, request, "weight", optarg, 1, REIN_WEIGHT_MAX);
	case 'n':
		return set_number(cli, request, "latency_nice", optarg, REIN_NICE_MIN,
		                  REIN_NICE_MAX);
	case 'D':
		return set_time(cli, request, "deadline_ms", "deadline", optarg);
	case 'P':
		return set_time(cli, request, "period_ms", "period", optarg);
	case 'B':
		return set_time(cli, request, "budget_ms", "budget", optarg);
	case 's':
		if (rein_sms_parse(optarg, &sms)) {
			rein_cli_usage(cli, "sms '%s' is not accepted; %s", optarg,
			               REIN_SMS_ACCEPTED);
			return false;
		}
		json_object_set_new(request, "sms", json_string(optarg));
		return true;
	case 'c':
		json_object_set_new(request, "class", json_string(optarg));
		return true;
	default:
		return true;
	}
}

static int parse_set(struct rein_cli *cli, int argc, char **argv, json_t *request)
{
	static const struct option longs[] = {
	    {"prio", required_argument, NULL, 'p'},
	    {"weight", required_argument, NULL, 'w'},
	    {"class", required_argument, NULL, 'c'},
	    {"latency-nice", required_argument, NULL, 'n'},
	    {"deadline", required_argument, NULL, 'D'},
	    {"period", required_argument, NULL, 'P'},
	    {"budget", required_argument, NULL, 'B'},
	    {"sms", required_argument, NULL, 's'},
	    CLI_COMMON_OPTIONS,
	};
	int opt;
	while ((opt = rein_cli_option(cli, argc, argv, longs, false)) >= 0)
		if (!set_one(cli, request, opt))
			return CLI_OPT_BAD;
	return opt;
}

static void print_set(const json_t *answer)
{
	char name[CLI_CELL_LEN], class_name[CLI_CELL_LEN];
	const json_t *r = json_object_get(answer, "reservation");
	printf("%lld %s: class %s, priority %lld, weight %lld", rein_cli_int(answer, "pid"),
	       rein_cli_clean(rein_cli_str(answer, "name"), name, sizeof(name)),
	       rein_cli_clean(rein_cli_str(answer, "class"), class_name, sizeof(class_name)),
	       rein_cli_int(answer, "prio"), rein_cli_int(answer, "weight"));
	if (json_is_object(r))
		printf(", %g ms every %g ms", rein_cli_real(r, "budget_ms"),
		       rein_cli_real(r, "period_ms"));
	if (json_is_number(json_object_get(r, "deadline_ms")))
		printf(", done within %g ms", rein_cli_real(r, "deadline_ms"));
	if (json_is_object(r))
		printf(", guarantee %s", rein_cli_str(r, "guarantee"));
	if (*rein_cli_str(answer, "sms"))
		printf(", SMs: %s (from its next launch on; rein ps says how many it has)",
		       rein_cli_str(answer, "sms"));
	putchar('\n');
}

int rein_cli_set(struct rein_cli *cli, int argc, char **argv)
{
	CLI_AUTO_JSON json_t *request = json_pack("{s:s}", "op", "set");
	int opt = parse_set(cli, argc, argv, request);
	if (opt != CLI_OPT_END)
		return rein_cli_option_exit(opt);
	if (argc - optind != 1)
		return rein_cli_usage(cli, optind == argc ? "no PID or name given"
		                                          : "more than one PID or name");
	if (json_object_size(request) < 2)
		return rein_cli_usage(cli,
		                      "nothing to change; give --prio, --weight, --class, "
		                      "--latency-nice, --deadline, --period, --budget or --sms");
	long long id = 0;
	int status = find_client(cli, argv[optind], &id);
	if (status)
		return status;
	json_object_set_new(request, "id", json_integer(id));
	CLI_AUTO_JSON json_t *answer = NULL;
	status = rein_cli_ask(cli, json_incref(request), &answer);
	if (status)
		return status;
	if (cli->json)
		return rein_cli_print_json(json_incref(answer));
	print_set(answer);
	return CLI_OK;
}
