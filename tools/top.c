// SPDX-License-Identifier: Apache-2.0
/* top.c: `rein top`: the clients again and again, on a full screen, as plain tables, JSON or CSV.
 */
#include <curses.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "topview.h"

#include "../common/env.h"

struct top {
	bool batch, csv;
	double interval_s;
	long count; /* 0: without end */
	enum rein_cli_order order;
	bool paused, help;
	size_t first;             /* row on the screen */
	json_t *status, *clients; /* the latest reading */
};

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

static void print_table(const struct top *t)
{
	char line[CLI_COLUMNS_MAX * CLI_CELL_LEN];
	struct rein_cli_table table;
	headline(t, line, sizeof(line));
	puts(line);
	rein_cli_top_table(t->clients, t->order, &table);
	for (size_t row = 0; row <= rein_cli_table_rows(&table); row++) {
		rein_cli_table_line(&table, row, line, sizeof(line));
		puts(line);
	}
	if (rein_cli_table_rows(&table) == 0)
		puts("no program has joined");
	rein_cli_table_free(&table);
	putchar('\n');
}

static int print_reading(struct rein_cli *cli, struct top *t)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	if (cli->json) {
		json_object_set(t->clients, "daemon", t->status);
		rein_cli_print_json(json_incref(t->clients));
	} else if (t->csv) {
		rein_cli_top_csv(stdout, t->clients, t->order,
		                 (double)now.tv_sec + (double)now.tv_nsec / 1e9);
	} else {
		print_table(t);
	}
	return fflush(stdout);
}

static int run_batch(struct rein_cli *cli, struct top *t)
{
	for (long i = 0;; i++) {
		int status = read_daemon(cli, t);
		if (status)
			return status;
		if (i == 0 && t->csv)
			rein_cli_top_csv_titles(stdout);
		if (print_reading(cli, t) != 0 || i + 1 == t->count)
			return CLI_OK; /* main reports a failed write */
		usleep((useconds_t)(t->interval_s * 1e6));
	}
}

/* ---------------------------------------------------------------- the screen */

#define TABLE_AT 3 /* the lines above it */

static const char *const help[] = {
    "q quit   s order   p or space pause   up down scroll   h this help",
    "P99-MS   99 % of its requests of the last 5 to 10 s took less",
    "GATE     its part of that time that it waited at its closed gate",
    "CULPRIT  for whose sake it waited most",
    "CUT      how often its gate closed while it had work to do",
    "GPU      its share of the last second, an estimate; a higher PRIO is more urgent",
};

static void draw_table(struct top *t)
{
	char line[CLI_COLUMNS_MAX * CLI_CELL_LEN];
	struct rein_cli_table table;
	rein_cli_top_table(t->clients, t->order, &table);
	rein_cli_top_fit(&table, (unsigned)COLS);
	size_t rows = rein_cli_table_rows(&table);
	if (t->first >= rows)
		t->first = rows ? rows - 1 : 0;
	attron(A_REVERSE);
	rein_cli_table_line(&table, 0, line, sizeof(line));
	mvaddnstr(TABLE_AT, 0, line, COLS);
	attroff(A_REVERSE);
	for (size_t row = t->first + 1; row <= rows; row++) {
		int y = TABLE_AT + (int)(row - t->first);
		if (y >= LINES)
			break;
		rein_cli_table_line(&table, row, line, sizeof(line));
		mvaddnstr(y, 0, line, COLS);
	}
	if (rows == 0)
		mvaddnstr(TABLE_AT + 1, 0, "no program has joined", COLS);
	rein_cli_table_free(&table);
}

static void draw(struct top *t)
{
	char line[160];
	erase();
	headline(t, line, sizeof(line));
	mvaddnstr(0, 0, line, COLS);
	snprintf(line, sizeof(line), "%sby %s  (s order, p pause, h help, q quit)",
	         t->paused ? "PAUSED  " : "", rein_cli_order_names[t->order]);
	mvaddnstr(1, 0, line, COLS);
	for (size_t i = 0; t->help && i < REIN_ARRAY_LEN(help); i++)
		mvaddnstr(TABLE_AT + (int)i, 0, help[i], COLS);
	if (!t->help)
		draw_table(t);
	refresh();
}

/* True: it changes what is drawn. */
static bool handle_key(struct top *t, int key)
{
	switch (key) {
	case 's':
		t->order = (t->order + 1) % CLI_N_ORDERS;
		return true;
	case 'p':
	case ' ':
		t->paused = !t->paused;
		return true;
	case 'h':
	case '?':
		t->help = !t->help;
		return true;
	case KEY_DOWN:
		t->first++;
		return true;
	case KEY_UP:
		t->first -= t->first > 0;
		return true;
	case KEY_RESIZE:
		clearok(curscr, true); /* terminals differ in what they keep */
		return true;
	default:
		return false;
	}
}

static double now_s(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Waits for one interval, or for the end of a pause; keys act at once. true: quit. */
static bool handle_keys(struct top *t)
{
	double until_s = now_s() + t->interval_s;
	for (;;) {
		double left_s = until_s - now_s();
		if (left_s <= 0 && !t->paused)
			return false;
		timeout(t->paused ? -1 : (int)(left_s * 1e3) + 1);
		int key = getch();
		if (key == 'q' || key == 'Q' || (key == ERR && t->paused))
			return true; /* nobody is left to end the pause */
		if (handle_key(t, key))
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

static bool parse_order(const char *text, enum rein_cli_order *out)
{
	for (unsigned i = 0; i < CLI_N_ORDERS; i++)
		if (strcmp(rein_cli_order_names[i], text) == 0) {
			*out = (enum rein_cli_order)i;
			return true;
		}
	return false;
}

int rein_cli_top(struct rein_cli *cli, int argc, char **argv)
{
	static const struct option longs[] = {
	    {"batch", no_argument, NULL, 'b'},
	    {"once", no_argument, NULL, '1'},
	    {"csv", no_argument, NULL, 'c'},
	    {"sort", required_argument, NULL, 's'},
	    {"interval", required_argument, NULL, 'i'},
	    {"count", required_argument, NULL, 'n'},
	    CLI_COMMON_OPTIONS,
	};
	struct top t = {.interval_s = 1};
	int opt;
	while ((opt = rein_cli_option(cli, argc, argv, longs, false)) >= 0) {
		if (opt == 'b' || opt == '1' || opt == 'c')
			t.batch = true;
		t.csv |= opt == 'c';
		if (opt == '1')
			t.count = 1;
		if (opt == 's' && !parse_order(optarg, &t.order))
			return rein_cli_usage(
			    cli, "order '%s' is not accepted; prio, gpu, p99 or gate", optarg);
		if (opt == 'i' && !parse_interval(optarg, &t.interval_s))
			return rein_cli_usage(
			    cli, "interval '%s' is not accepted; 0.1 to 3600 seconds", optarg);
		if (opt == 'n' && !rein_cli_number(optarg, 1, 1000000000, &t.count))
			return rein_cli_usage(cli, "count '%s' is not accepted; 1 or more", optarg);
	}
	if (opt != CLI_OPT_END)
		return rein_cli_option_exit(opt);
	if (optind < argc)
		return rein_cli_usage(cli, "unexpected argument '%s'", argv[optind]);
	if (t.csv && cli->json)
		return rein_cli_usage(cli, "--csv and --json would both go to stdout");
	bool plain = t.batch || cli->json || !isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO);
	int status = plain ? run_batch(cli, &t) : run_screen(cli, &t);
	json_decref(t.status);
	json_decref(t.clients);
	return status;
}
