// SPDX-License-Identifier: Apache-2.0
/* top.c: `rein top`: the clients again and again, on a full screen, as plain tables, or as JSON. */
#include <curses.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "clients.h"

#include "../common/env.h"

struct top {
	bool batch;
	double interval_s;
	long count; /* 0: without end */
	enum rein_cli_order order;
	json_t *status, *clients; /* the latest reading */
};

static const char *const order_name[CLI_N_ORDERS] = {"priority", "GPU share", "time waited"};

static int read_daemon(struct rein_cli *cli, struct top *t)
{
	json_decref(t->status);
	json_decref(t->clients);
	t->status = t->clients = NULL;
	int status = rein_cli_ask(cli, json_pack("{s:s}", "op", "status"), &t->status);
	return status ? status
	              : rein_cli_ask(cli, json_pack("{s:s}", "op", "clients"), &t->clients);
}

static void headline(const struct top *t, char *line, size_t len)
{
	char when[16], policy[32];
	time_t now = time(NULL);
	struct tm tm;
	strftime(when, sizeof(when), "%H:%M:%S", localtime_r(&now, &tm));
	snprintf(line, len, "%s  policy %s  clients %lld  decisions %lld", when,
	         rein_cli_clean(rein_cli_str(t->status, "policy"), policy, sizeof(policy)),
	         rein_cli_int(t->status, "clients"), rein_cli_int(t->status, "decisions"));
}

static int print_reading(struct rein_cli *cli, struct top *t)
{
	if (cli->json) {
		json_object_set(t->clients, "daemon", t->status);
		rein_cli_print_json(json_incref(t->clients));
	} else {
		char line[160];
		struct rein_cli_table table;
		headline(t, line, sizeof(line));
		puts(line);
		rein_cli_clients_table(t->clients, t->order, &table);
		rein_cli_clients_print(&table);
		rein_cli_table_free(&table);
		putchar('\n');
	}
	return fflush(stdout);
}

static int run_batch(struct rein_cli *cli, struct top *t)
{
	for (long i = 0;; i++) {
		int status = read_daemon(cli, t);
		if (status)
			return status;
		if (print_reading(cli, t) != 0 || i + 1 == t->count)
			return CLI_OK; /* main reports a failed write */
		usleep((useconds_t)(t->interval_s * 1e6));
	}
}

static void draw(const struct top *t)
{
	char line[CLI_COLUMNS_MAX * CLI_CELL_LEN];
	struct rein_cli_table table;
	headline(t, line, sizeof(line));
	erase();
	mvaddnstr(0, 0, line, COLS);
	snprintf(line, sizeof(line),
	         "by %s  (s: other order, q: quit; a higher PRIO is more urgent)",
	         order_name[t->order]);
	mvaddnstr(1, 0, line, COLS);
	rein_cli_clients_table(t->clients, t->order, &table);
	rein_cli_clients_fit(&table, (unsigned)COLS);
	for (size_t row = 0; row <= rein_cli_table_rows(&table) && (int)row + 3 < LINES; row++) {
		rein_cli_table_line(&table, row, line, sizeof(line));
		if (row == 0)
			attron(A_REVERSE);
		mvaddnstr((int)row + 3, 0, line, COLS);
		attroff(A_REVERSE);
	}
	if (rein_cli_table_rows(&table) == 0)
		mvaddnstr(4, 0, "no program has joined", COLS);
	rein_cli_table_free(&table);
	refresh();
}

/* Waits for one interval; keys act at once. true: quit. */
static bool handle_keys(struct top *t)
{
	struct timespec now, end;
	clock_gettime(CLOCK_MONOTONIC, &end);
	double until = (double)end.tv_sec + (double)end.tv_nsec / 1e9 + t->interval_s;
	for (;;) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		double left = until - ((double)now.tv_sec + (double)now.tv_nsec / 1e9);
		if (left <= 0)
			return false;
		timeout((int)(left * 1e3) + 1);
		int key = getch();
		if (key == 'q' || key == 'Q')
			return true;
		if (key == 's')
			t->order = (t->order + 1) % CLI_N_ORDERS;
		if (key == 's' || key == KEY_RESIZE)
			draw(t);
	}
}

/* A failure is reported on the plain terminal, where it stays. */
static void leave_screen(void)
{
	if (!isendwin())
		endwin();
}

static int run_screen(struct rein_cli *cli, struct top *t)
{
	int status = read_daemon(cli, t); /* its failure belongs on a plain terminal */
	if (status)
		return status;
	SCREEN *screen = newterm(NULL, stdout, stdin);
	if (!screen)
		return rein_cli_fail(
		    cli, CLI_FAILED,
		    "cannot draw on this terminal; TERM is '%s'; use `rein top --batch`",
		    rein_env(REIN_ENV_TERM) ? rein_env(REIN_ENV_TERM) : "");
	cli->before_failure = leave_screen;
	cbreak();
	noecho();
	curs_set(0);
	keypad(stdscr, true);
	for (long i = 0;; i++) {
		draw(t);
		if (i + 1 == t->count || handle_keys(t))
			break;
		status = read_daemon(cli, t);
		if (status)
			break;
	}
	leave_screen();
	delscreen(screen);
	return status;
}

static bool parse_interval(const char *text, double *out)
{
	char *end;
	double v = strtod(text, &end);
	if (end == text || *end || !(v >= 0.1 && v <= 3600))
		return false;
	*out = v;
	return true;
}

int rein_cli_top(struct rein_cli *cli, int argc, char **argv)
{
	static const struct option longs[] = {
	    {"batch", no_argument, NULL, 'b'},
	    {"interval", required_argument, NULL, 'i'},
	    {"count", required_argument, NULL, 'n'},
	    CLI_COMMON_OPTIONS,
	};
	struct top t = {.interval_s = 1};
	int opt;
	while ((opt = rein_cli_option(cli, argc, argv, longs, false)) >= 0) {
		if (opt == 'b')
			t.batch = true;
		else if (opt == 'i' && !parse_interval(optarg, &t.interval_s))
			return rein_cli_usage(
			    cli, "interval '%s' is not accepted; 0.1 to 3600 seconds", optarg);
		else if (opt == 'n' && !rein_cli_number(optarg, 1, 1000000000, &t.count))
			return rein_cli_usage(cli, "count '%s' is not accepted; 1 or more", optarg);
	}
	if (opt != CLI_OPT_END)
		return rein_cli_option_exit(opt);
	if (optind < argc)
		return rein_cli_usage(cli, "unexpected argument '%s'", argv[optind]);
	bool plain = t.batch || cli->json || !isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO);
	int status = plain ? run_batch(cli, &t) : run_screen(cli, &t);
	json_decref(t.status);
	json_decref(t.clients);
	return status;
}
