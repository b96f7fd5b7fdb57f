// SPDX-License-Identifier: Apache-2.0
/*
 * test_report.c: the page of `rein report`, as a browser sees it: it draws everything without an
 * error, in light and in dark, and takes no program's name for markup. Screenshots are kept in the
 * build folder. Without Chromium the browser's part is skipped.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "profiler/recorder.h"
#include "tests/rig.h"

#define HOSTILE "</script><img src=x onerror=boom()>"

static char dir[128];
static struct rein_recorder *recorder;
static char said[1 << 16];

/* ---------------------------------------------------------------- a recording, made up */

static void put(const void *cell)
{
	rein_recorder_room(recorder, 1, rein_now_ns());
	memcpy(rein_recorder_next(recorder), cell, sizeof(struct rein_trace_record));
	rein_recorder_add(recorder, 1);
}

static void put_client(uint32_t client, const char *name)
{
	struct rein_trace_name n = {
	    .client = client, .pid = 1000 + client, .kind = REIN_TRACE_CLIENT, .prio = 20};
	memcpy(n.name, name, strnlen(name, sizeof(n.name)));
	put(&n);
}

static void put_event(uint8_t kind, uint32_t client, uint64_t begin, uint64_t end, uint32_t number)
{
	struct rein_trace_record r = {.stamp = client,
	                              .thread = client,
	                              .kind = kind,
	                              .entry = rein_trace_entry("cuLaunchKernel"),
	                              .begin = begin,
	                              .end = end,
	                              .stream = 1,
	                              .number = number,
	                              .func = 0x1000};
	put(&r);
}

/* A request every 10 ms: 2 ms on the GPU; each tenth waits 20 ms at the gate for the other. */
static void put_requests(uint32_t client, uint32_t other, uint64_t from_ns)
{
	for (uint32_t i = 1; i <= 200; i++) {
		uint64_t ns = from_ns + i * 40 * REIN_MS, wait_ns = i % 10 ? 0 : 20 * REIN_MS;
		put_event(REIN_TRACE_ACTIVE, client, ns, ns, 0);
		if (wait_ns)
			put_event(REIN_TRACE_GATE, client, ns, ns + wait_ns, other);
		ns += wait_ns;
		put_event(REIN_TRACE_SUBMIT, client, ns, ns + 5000, i);
		ns += 2 * REIN_MS + i * 5000;
		put_event(REIN_TRACE_SYNC, client, ns - 2 * REIN_MS, ns, i);
		put_event(REIN_TRACE_IDLE, client, ns, ns, 0);
	}
}

static void record(void)
{
	snprintf(dir, sizeof(dir), "%s", temp_dir());
	recorder = calloc(1, sizeof(*recorder));
	ck_assert_ptr_nonnull(recorder);
	rein_recorder_init(recorder, dir, (gid_t)-1);
	put_client(1, HOSTILE);
	put_client(2, "train");
	put_requests(1, 2, REIN_S);
	put_requests(2, 1, REIN_S + 15 * REIN_MS);
	rein_recorder_close(recorder, rein_now_ns());
	free(recorder);
}

static const char *report(const char *file)
{
	static char path[2][200];
	static unsigned n;
	char env[160], *p = path[n++ % 2];
	snprintf(p, sizeof(path[0]), "%s/%s", dir, file);
	snprintf(env, sizeof(env), "REIN_RUN_DIR=%s", dir);
	char *argv[] = {(char *)built("rein"), (char *)"report", (char *)"-o", p, NULL};
	char *more[] = {env, NULL};
	ck_assert_msg(proc_run(argv, more, said, sizeof(said), 60000) == 0, "%s", said);
	return p;
}

/* ---------------------------------------------------------------- figures */

static json_int_t sum(const json_t *list)
{
	json_int_t all = 0;
	size_t i;
	json_t *n;
	json_array_foreach(list, i, n) all += json_integer_value(n);
	return all;
}

TEST(the_figures_agree)
{
	json_error_t why;
	json_int_t by_parts = 0, gate = 0;
	size_t i, k;
	json_t *s, *part;
	record();
	json_t *root = json_load_file(report("report.json"), 0, &why);
	ck_assert_msg(root != NULL, "%s", why.text);
	ck_assert_int_eq(json_integer_value(json_object_get(root, "requests")), 400);
	ck_assert_int_eq(json_integer_value(json_object_get(root, "late")), 40);
	ck_assert_uint_eq(json_array_size(json_object_get(root, "stories")), 20);
	json_array_foreach(json_object_get(root, "stories"), i, s)
	{
		by_parts = 0;
		json_array_foreach(json_object_get(s, "parts"), k, part) by_parts +=
		    json_integer_value(json_array_get(part, 2));
		ck_assert_int_eq(by_parts, json_integer_value(json_object_get(s, "latency")));
	}
	json_array_foreach(json_object_get(root, "lost"), i, s)
	{
		const json_t *late = json_object_get(s, "late"), *all = json_object_get(s, "all");
		ck_assert_int_le(sum(late), sum(all));
		gate += json_integer_value(json_array_get(all, 2)); /* REIN_CAUSE_LAUNCH_GATE */
	}
	ck_assert_int_eq(gate, 40 * 20 * (json_int_t)REIN_MS);
	ck_assert_uint_ge(json_array_size(json_object_get(root, "counters")), 2);
	json_decref(root);
}
TEST_END

TEST(a_row_a_request)
{
	size_t len, lines = 0;
	record();
	char *rows = rig_read(report("report.csv"), &len);
	ck_assert_ptr_nonnull(strstr(rows, "\n1001,\"" HOSTILE "\","));
	for (const char *p = rows; *p; p++)
		lines += *p == '\n';
	ck_assert_uint_eq(lines, 401);
	free(rows);
}
TEST_END

TEST(what_cannot_be_written_is_one_line)
{
	char env[160];
	record();
	snprintf(env, sizeof(env), "REIN_RUN_DIR=%s", dir);
	char *argv[] = {(char *)built("rein"), (char *)"report", (char *)"-o", (char *)"/dev/full",
	                NULL};
	char *more[] = {env, NULL};
	ck_assert_int_eq(proc_run(argv, more, said, sizeof(said), 60000), 125);
	ck_assert_msg(strstr(said, "cannot write the report to /dev/full; No space left"), "%s",
	              said);
	ck_assert_ptr_eq(strchr(said, '\n'), strrchr(said, '\n'));
}
TEST_END

/* ---------------------------------------------------------------- in a browser */

/* Chromium without a window, on the page; what it prints. False: there is none. */
static bool browse(const char *page, char *const options[], char *out, size_t len)
{
	static const char *const places[] = {"/usr/bin/chromium", "/usr/bin/chromium-browser"};
	char profile[160], url[260], *argv[20];
	int n = 0;
	for (size_t i = 0; i < 2 && !n; i++)
		if (access(places[i], X_OK) == 0)
			argv[n++] = (char *)places[i];
	if (!n)
		return false;
	snprintf(profile, sizeof(profile), "--user-data-dir=%s/profile", dir);
	snprintf(url, sizeof(url), "file://%s", page);
	argv[n++] = (char *)"--headless=new";
	argv[n++] = (char *)"--no-sandbox"; /* root has none */
	argv[n++] = (char *)"--disable-gpu";
	argv[n++] = (char *)"--hide-scrollbars";
	argv[n++] = (char *)"--enable-logging=stderr";
	argv[n++] = profile;
	for (int i = 0; options[i]; i++)
		argv[n++] = options[i];
	argv[n++] = url;
	argv[n] = NULL;
	char *env[] = {(char *)"DBUS_SESSION_BUS_ADDRESS=disabled:", NULL};
	int status = proc_run(argv, env, out, len, 120000);
	ck_assert_msg(status == 0, "%.2000s", out);
	ck_assert_msg(!strstr(out, "CONSOLE"), "%s", strstr(out, "CONSOLE"));
	return true;
}

static void expect(const char *dom, const char *what)
{
	ck_assert_msg(strstr(dom, what) != NULL, "the page has no %s", what);
}

static void expect_picture(const char *path)
{
	static const char magic[] = "\x89PNG";
	struct stat st;
	size_t len;
	char *bytes = rig_read(path, &len);
	ck_assert_msg(bytes && len > 20000 && memcmp(bytes, magic, 4) == 0, "no picture in %s",
	              path);
	ck_assert_int_eq(stat(path, &st), 0);
	free(bytes);
}

TEST(the_page_draws_in_a_browser)
{
	static char dom[1 << 22];
	char picture[2][300];
	char *dump[] = {(char *)"--dump-dom", NULL};
	char *light[] = {(char *)"--window-size=1100,3000", picture[0], NULL};
	char *dark[] = {(char *)"--window-size=1100,3000", picture[1],
	                (char *)"--blink-settings=preferredColorScheme=0", NULL};
	record();
	const char *page = report("report.html");
	if (!browse(page, dump, dom, sizeof(dom))) {
		fprintf(stderr, "skipped: no Chromium to look at the page with; "
		                "packaging/deps.sh installs it\n");
		return;
	}
	expect(dom, "data-ready=\"yes\"");
	expect(dom, "<table class=\"heat\">");
	expect(dom, "class=\"curve\"");
	expect(dom, "class=\"stories\"");
	expect(dom, "aria-label=\"Latency curves: ");
	expect(dom, "aria-label=\"Requests over ");
	expect(dom, "train: unfinished submissions");
	/* the name is text everywhere */
	expect(dom, "&lt;/script&gt;&lt;img src=x onerror=boom()&gt;");
	ck_assert_ptr_null(strstr(dom, "<img"));
	snprintf(picture[0], sizeof(picture[0]), "--screenshot=%s", built("report-light.png"));
	snprintf(picture[1], sizeof(picture[1]), "--screenshot=%s", built("report-dark.png"));
	ck_assert(browse(page, light, said, sizeof(said)));
	ck_assert(browse(page, dark, said, sizeof(said)));
	expect_picture(built("report-light.png"));
	expect_picture(built("report-dark.png"));
}
TEST_END

TESTS("reports", the_figures_agree, a_row_a_request, what_cannot_be_written_is_one_line,
      the_page_draws_in_a_browser)
