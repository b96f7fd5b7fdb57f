// SPDX-License-Identifier: Apache-2.0
/* daemon.c: `rein status`, `policy`, `reload` and `stop`: what concerns the daemon as a whole. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

#include "../common/clock.h"
#include "../common/wire.h"

#define STOP_TIMEOUT_NS (10 * REIN_S)

/* Options, at most `max_words` words, one question. CLI_OPT_END: *answer is there. */
static int simple_command(struct rein_cli *cli, int argc, char **argv, json_t *request,
                          int max_words, json_t **answer)
{
	static const struct option longs[] = {CLI_COMMON_OPTIONS};
	int opt = rein_cli_option(cli, argc, argv, longs, false);
	int status = CLI_OPT_END;
	if (opt != CLI_OPT_END)
		status = rein_cli_option_exit(opt);
	else if (argc - optind > max_words)
		status = rein_cli_usage(cli, "unexpected argument '%s'", argv[optind + max_words]);
	if (status != CLI_OPT_END) {
		json_decref(request);
		return status;
	}
	if (optind < argc)
		json_object_set_new(request, "set", json_string(argv[optind]));
	status = rein_cli_ask(cli, request, answer);
	return status ? status : CLI_OPT_END;
}

static void print_text(const char *label, const char *text)
{
	char clean[512];
	printf("%-10s %s\n", label, rein_cli_clean(text, clean, sizeof(clean)));
}

static void print_list(const char *label, const json_t *list)
{
	size_t i;
	json_t *item;
	if (json_array_size(list) == 0)
		print_text(label, "none");
	json_array_foreach(list, i, item)
	    print_text(i ? "" : label, json_is_string(item) ? json_string_value(item) : "");
}

/* With the reason, if it is not the one that was configured. */
static void print_policy(const json_t *a)
{
	const char *why = rein_cli_str(a, "policy_why");
	char text[256];
	snprintf(text, sizeof(text), "%s%s%s%s", rein_cli_str(a, "policy"), why[0] ? " (" : "", why,
	         why[0] ? ")" : "");
	print_text("policy", text);
}

static void print_uptime(long long s)
{
	printf("%-10s %lldd %02lld:%02lld:%02lld\n", "uptime", s / 86400, s / 3600 % 24,
	       s / 60 % 60, s % 60);
}

/* "launch, queue", and what to do where nothing was measured. */
static const char *gates_text(const json_t *of, char *text, size_t len)
{
	const json_t *list = json_object_get(of, "gates");
	size_t i, n = 0;
	json_t *gate;
	*text = 0;
	json_array_foreach(list, i, gate)
	{
		const char *name = json_is_string(gate) ? json_string_value(gate) : "?";
		if (strcmp(name, "timeslice") == 0)
			name = "time slices";
		n += (size_t)snprintf(text + n, len - n, "%s%.16s", i ? ", " : "", name);
		if (n + 64 > len)
			break;
	}
	if (json_is_false(json_object_get(of, "calibrated")))
		snprintf(text + n, len - n, " (not calibrated: run rein calibrate)");
	return text;
}

int rein_cli_status(struct rein_cli *cli, int argc, char **argv)
{
	CLI_AUTO_JSON json_t *a = NULL;
	int status = simple_command(cli, argc, argv, json_pack("{s:s}", "op", "status"), 0, &a);
	if (status != CLI_OPT_END)
		return status;
	if (cli->json)
		return rein_cli_print_json(json_incref(a));
	printf("%-10s reind %s, PID %lld\n", "daemon", rein_cli_str(a, "version"),
	       rein_cli_int(a, "pid"));
	print_uptime(rein_cli_int(a, "uptime_s"));
	print_policy(a);
	print_text("mode", rein_cli_str(a, "mode"));
	print_text("directory", rein_cli_str(a, "run_dir"));
	print_list("config", json_object_get(a, "config"));
	if (*rein_cli_str(a, "metrics"))
		print_text("metrics", rein_cli_str(a, "metrics"));
	printf("%-10s %lld\n%-10s %lld\n", "clients", rein_cli_int(a, "clients"), "decisions",
	       rein_cli_int(a, "decisions"));
	const json_t *devices = json_object_get(a, "devices");
	size_t i;
	json_t *d;
	char gates[256];
	print_text("gates", gates_text(a, gates, sizeof(gates)));
	if (json_array_size(devices) == 0)
		print_text("devices", "none in use");
	json_array_foreach(devices, i, d)
	{
		char uuid[64];
		printf("%-10s %s: %lld clients, %lld active; gates: ", i ? "" : "devices",
		       rein_cli_clean(rein_cli_str(d, "uuid"), uuid, sizeof(uuid)),
		       rein_cli_int(d, "clients"), rein_cli_int(d, "active"));
		puts(rein_cli_clean(gates_text(d, gates, sizeof(gates)), gates, sizeof(gates)));
	}
	return CLI_OK;
}

int rein_cli_policy(struct rein_cli *cli, int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "analyse") == 0)
		return rein_cli_policy_analyse(cli, argc - 1, argv + 1);
	CLI_AUTO_JSON json_t *a = NULL;
	int status = simple_command(cli, argc, argv, json_pack("{s:s}", "op", "policy"), 1, &a);
	if (status != CLI_OPT_END)
		return status;
	if (cli->json)
		return rein_cli_print_json(json_incref(a));
	const char *current = rein_cli_str(a, "policy");
	if (optind < argc) {
		print_text("policy", current);
		return CLI_OK;
	}
	size_t i;
	json_t *p;
	json_array_foreach(json_object_get(a, "available"), i, p)
	{
		char name[64], summary[256];
		printf("%c %-8s %s\n", strcmp(rein_cli_str(p, "name"), current) == 0 ? '*' : ' ',
		       rein_cli_clean(rein_cli_str(p, "name"), name, sizeof(name)),
		       rein_cli_clean(rein_cli_str(p, "summary"), summary, sizeof(summary)));
	}
	return CLI_OK;
}

int rein_cli_reload(struct rein_cli *cli, int argc, char **argv)
{
	CLI_AUTO_JSON json_t *a = NULL;
	int status = simple_command(cli, argc, argv, json_pack("{s:s}", "op", "reload"), 0, &a);
	if (status != CLI_OPT_END)
		return status;
	if (cli->json)
		return rein_cli_print_json(json_incref(a));
	print_list("config", json_object_get(a, "config"));
	return CLI_OK;
}

int rein_cli_stop(struct rein_cli *cli, int argc, char **argv)
{
	CLI_AUTO_JSON json_t *a = NULL;
	int status = simple_command(cli, argc, argv, json_pack("{s:s}", "op", "stop"), 0, &a);
	if (status != CLI_OPT_END)
		return status;
	/* it answers before it ends: "stopped" should be true when it is printed */
	uint64_t until = rein_now_ns() + STOP_TIMEOUT_NS;
	while (!rein_cli_is_nobody(rein_cli_probe(cli, REIN_CONTROL_SOCKET))) {
		if (rein_now_ns() > until)
			return rein_cli_fail(
			    cli, CLI_FAILED,
			    "the daemon agreed to stop but still listens at %s/%s after %llu s; "
			    "look at its log",
			    cli->run_dir, REIN_CONTROL_SOCKET, STOP_TIMEOUT_NS / REIN_S);
		usleep(5000);
	}
	if (cli->json)
		return rein_cli_print_json(json_incref(a));
	puts("the daemon has ended; programs run on unscheduled");
	return CLI_OK;
}
