// SPDX-License-Identifier: Apache-2.0
/*
 * test_top.c: `rein top` on a terminal: a pty, and a VT52 behind it that is played here, because
 * what a full-screen program writes are differences. The daemon is the real one; its clients speak
 * the protocol by hand (raw_client.h).
 */
#include <ctype.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>

#include "tests/process/raw_client.h"

#define ROWS_MAX 60
#define COLS_MAX 200

/* ---------------------------------------------------------------- the terminal */

static int tty = -1;
static pid_t top;
static int rows, cols, y, x;
static char cell[ROWS_MAX][COLS_MAX + 1];
static char all[ROWS_MAX * (COLS_MAX + 1) + 1]; /* the screen as lines */
static char esc[3];                             /* of a sequence that has begun */

static void wipe(int from_y, int from_x)
{
	memset(&cell[from_y][from_x], ' ', (size_t)(COLS_MAX - from_x));
	for (int i = from_y + 1; i < ROWS_MAX; i++)
		memset(cell[i], ' ', COLS_MAX);
}

static void scroll_up(void)
{
	memmove(cell[0], cell[1], sizeof(cell[0]) * (ROWS_MAX - 1));
	memset(cell[ROWS_MAX - 1], ' ', COLS_MAX);
}

static void control(char c)
{
	switch (c) {
	case 'A':
		y -= y > 0;
		break;
	case 'B':
		y += y < rows - 1;
		break;
	case 'C':
		x += x < cols - 1;
		break;
	case 'D':
		x -= x > 0;
		break;
	case 'H':
		y = x = 0;
		break;
	case 'J':
		wipe(y, x);
		break;
	case 'K':
		memset(&cell[y][x], ' ', (size_t)(COLS_MAX - x));
		break;
	default: /* keypad, graphics: nothing to see */
		break;
	}
}

static void take(char c)
{
	size_t n = strlen(esc);
	if (n || c == '\033') {
		if (c == '\033')
			n = 0;
		esc[n] = c;
		esc[n + 1] = 0;
		if (n == 0 || (n == 1 && c == 'Y'))
			return;
		if (n == 2 && esc[1] == 'Y') { /* ESC Y row … */
			y = (unsigned char)c - ' ';
			ck_assert_msg(y >= 0 && y < rows, "row %d of %d", y, rows);
			esc[0] = 1; /* … column */
			esc[1] = 0;
			return;
		}
		if (esc[0] == 1) {
			x = (unsigned char)c - ' ';
			ck_assert_msg(x >= 0 && x < cols, "column %d of %d", x, cols);
		} else {
			control(c);
		}
		esc[0] = 0;
		return;
	}
	if (c == '\r')
		x = 0;
	else if (c == '\b')
		x -= x > 0;
	else if (c == '\t')
		x = x / 8 * 8 + 8 < cols ? x / 8 * 8 + 8 : cols - 1;
	else if (c == '\n' && y == rows - 1)
		scroll_up();
	else if (c == '\n')
		y++;
	else if (isprint((unsigned char)c) && x < COLS_MAX)
		cell[y][x++] = c;
}

/* Takes what comes within so many ms of quiet. False: the other side is gone. */
static bool listen_for(int ms)
{
	struct pollfd p = {.fd = tty, .events = POLLIN};
	char buf[4096];
	while (poll(&p, 1, ms) == 1) {
		ssize_t n = read(tty, buf, sizeof(buf));
		if (n <= 0)
			return false;
		for (ssize_t i = 0; i < n; i++)
			take(buf[i]);
	}
	return true;
}

static const char *screen(void)
{
	char *to = all;
	for (int i = 0; i < rows; i++) {
		memcpy(to, cell[i], (size_t)cols);
		to += cols;
		while (to > all && to[-1] == ' ')
			to--;
		*to++ = '\n';
	}
	*to = 0;
	return all;
}

static void shows(const char *what)
{
	for (unsigned i = 0; i < WAIT_MS / 20 && !strstr(screen(), what); i++)
		ck_assert_msg(listen_for(20), "ended; '%s' was wanted:\n%s", what, all);
	ck_assert_msg(strstr(all, what) != NULL, "no '%s' in:\n%s", what, all);
}

static void shows_no(const char *what)
{
	for (unsigned i = 0; i < WAIT_MS / 20 && strstr(screen(), what); i++)
		ck_assert_msg(listen_for(20), "ended:\n%s", all);
	ck_assert_msg(!strstr(all, what), "'%s' in:\n%s", what, all);
}

static void press(const char *keys)
{
	ck_assert_int_eq(write(tty, keys, strlen(keys)), (ssize_t)strlen(keys));
}

static void resize(int new_rows, int new_cols)
{
	struct winsize size = {.ws_row = (unsigned short)new_rows,
	                       .ws_col = (unsigned short)new_cols};
	listen_for(50);
	rows = new_rows;
	cols = new_cols;
	y = y < rows ? y : rows - 1;
	x = x < cols ? x : cols - 1;
	wipe(0, 0);
	ck_assert_int_eq(ioctl(tty, TIOCSWINSZ, &size), 0);
}

static void start_top(const struct daemon *d)
{
	struct winsize size = {.ws_row = 24, .ws_col = 110};
	rows = 24;
	cols = 110;
	y = x = 0;
	esc[0] = 0;
	wipe(0, 0);
	top = forkpty(&tty, NULL, NULL, &size);
	ck_assert_int_ge(top, 0);
	if (top == 0) {
		setenv("TERM", "vt52", 1);
		setenv("REIN_RUN_DIR", d->dir, 1);
		unsetenv("LINES");
		unsetenv("COLUMNS");
		execl(built("rein"), "rein", "top", "--interval", "0.1", (char *)NULL);
		_exit(99);
	}
}

/* Its exit status. */
static int end_top(void)
{
	int status;
	while (listen_for(1000))
		;
	ck_assert_int_eq(waitpid(top, &status, 0), top);
	close(tty);
	ck_assert_msg(WIFEXITED(status), "status %x", status);
	return WEXITSTATUS(status);
}

/* ---------------------------------------------------------------- a daemon and two clients */

static struct daemon d;
static struct raw be, lc;

static void begin(void)
{
	char conf[200];
	snprintf(conf, sizeof(conf), "%s/rein.conf", temp_dir());
	FILE *f = fopen(conf, "w");
	ck_assert_ptr_nonnull(f);
	/* nobody makes progress here */
	fputs("[daemon]\npolicy = prio\n[class default]\npatience = 60s\n", f);
	fclose(f);
	daemon_start(&d, (char *[]){"--config", conf, NULL});
	raw_join(&be, d.dir, "train", 0);
	raw_join(&lc, d.dir, "chat", 50);
	raw_demand(&lc, REIN_DEMAND_ACTIVE);
	raw_demand(&be, REIN_DEMAND_ACTIVE | REIN_DEMAND_WAITING);
	ck_assert(eventually(raw_closed, &be, WAIT_MS));
}

static void end(void)
{
	ck_assert_int_eq(daemon_end(&d, SIGTERM, NULL, 0), 0);
}

TEST(live_on_a_terminal)
{
	char culprit[64];
	snprintf(culprit, sizeof(culprit), "%% chat:%d", (int)getpid());
	begin();
	start_top(&d);
	shows("policy prio  clients 2");
	shows("by prio");
	shows("PID");
	shows("CULPRIT");
	shows("waiting");
	snprintf(culprit, sizeof(culprit), "chat:%d", (int)getpid());
	shows(culprit);
	ck_assert(strstr(all, "chat ") < strstr(all, "train ")); /* the most urgent first */
	press("sss");
	shows("by gate");
	shows(culprit);
	ck_assert(strstr(all, "train ") < strstr(all, "chat "));
	press("h");
	shows("for whose sake it waited most");
	shows_no(culprit);
	press("?");
	shows(culprit);
	press("q");
	ck_assert_int_eq(end_top(), 0);
	end();
}
TEST_END

TEST(a_pause_shows_what_was)
{
	begin();
	start_top(&d);
	shows("waiting");
	press("p");
	shows("PAUSED");
	raw_demand(&lc, 0);
	ck_assert(eventually(raw_open, &be, WAIT_MS));
	raw_demand(&be, 0);
	listen_for(500);
	shows("waiting");
	resize(20, 90); /* it still draws */
	shows("PAUSED");
	shows("waiting");
	press(" ");
	shows_no("PAUSED");
	shows_no("waiting");
	press("p");
	shows("PAUSED");
	press("q");
	ck_assert_int_eq(end_top(), 0);
	end();
}
TEST_END

TEST(any_size)
{
	static const int size[][2] = {{5, 30}, {1, 1}, {2, 9}, {4, 200}, {50, 20}, {24, 60}};
	begin();
	start_top(&d);
	shows("CULPRIT");
	for (size_t i = 0; i < sizeof(size) / sizeof(size[0]); i++) {
		resize(size[i][0], size[i][1]);
		ck_assert_msg(listen_for(150), "ended at %d x %d", size[i][0], size[i][1]);
		press("h\033B\033A");
		ck_assert(listen_for(50));
		press("h");
	}
	resize(24, 110);
	shows("SUBMITTED");
	shows("train");
	resize(24, 70); /* what is least wanted goes first */
	shows("CULPRIT");
	shows_no("SUBMITTED");
	press("q");
	ck_assert_int_eq(end_top(), 0);
	end();
}
TEST_END

/* The reason stands on the plain terminal. */
TEST(the_daemon_ends)
{
	begin();
	start_top(&d);
	shows("waiting");
	end();
	ck_assert_int_eq(end_top(), 125);
	ck_assert_msg(strstr(screen(), "rein: no daemon answers"), "%s", all);
}
TEST_END

/* ---------------------------------------------------------------- without a terminal */

static int run_top(char *const argv[], char *out, size_t len)
{
	char env[160];
	snprintf(env, sizeof(env), "REIN_RUN_DIR=%s", d.dir);
	return proc_run(argv, (char *[]){env, NULL}, out, len, WAIT_MS);
}

TEST(tables_and_csv)
{
	char out[8192], row[160], rein[600];
	begin();
	snprintf(rein, sizeof(rein), "%s", built("rein"));
	ck_assert_int_eq(run_top((char *[]){rein, "top", "--once", NULL}, out, sizeof(out)), 0);
	ck_assert_ptr_nonnull(strstr(out, "P99-MS"));
	ck_assert(strstr(out, "chat ") && strstr(out, "waiting"));
	ck_assert_int_eq(run_top((char *[]){rein, "top", "--csv", "--count", "2", "--interval",
	                                    "0.1", "--sort", "gate", NULL},
	                         out, sizeof(out)),
	                 0);
	ck_assert_int_eq(strncmp(out, "time_s,pid,name,class,prio,state,gpu_share,p99_ms,", 50), 0);
	unsigned lines = 0;
	for (const char *at = out; (at = strchr(at, '\n')); at++)
		lines++;
	ck_assert_uint_eq(lines, 1 + 2 * 2);
	snprintf(row, sizeof(row), ",%d,\"train\",\"default\",0,\"waiting\",", (int)getpid());
	ck_assert_msg(strstr(out, row) != NULL, "%s", out);
	snprintf(row, sizeof(row), ",%d,\"chat\",1,", (int)getpid()); /* culprit, preemptions */
	ck_assert_msg(strstr(out, row) || strstr(out, "\"chat\",0,"), "%s", out);
	ck_assert_int_eq(run_top((char *[]){rein, "top", "--sort", "size", NULL}, out, sizeof(out)),
	                 2);
	ck_assert_ptr_nonnull(strstr(out, "prio, gpu, p99 or gate"));
	end();
}
TEST_END

TESTS("rein top", live_on_a_terminal, a_pause_shows_what_was, any_size, the_daemon_ends,
      tables_and_csv)
