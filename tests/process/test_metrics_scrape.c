// SPDX-License-Identifier: Apache-2.0
/*
 * test_metrics_scrape.c: reind's metrics, scraped: over a port and a socket, by real tools, by
 * hostile ones, while clients come, go and change. The clients speak the protocol by hand
 * (raw_client.h).
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common/clock.h"
#include "common/util.h"
#include "daemon/metrics.h"
#include "tests/process/raw_client.h"

#define OPEN_METRICS "Accept: application/openmetrics-text;version=1.0.0\r\n"

static struct daemon d;
static char conf[160], path[160];
static in_port_t port;
static char text[1 << 20]; /* the last answer, head and body */

static in_port_t free_port(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	close(fd);
	return ntohs(in.sin_port);
}

static void configure(const char *metrics)
{
	FILE *f = fopen(conf, "w");
	ck_assert_ptr_nonnull(f);
	fprintf(f,
	        "[daemon]\npolicy = prio\nmetrics = %s\n"
	        "[class default]\npatience = 60s\n" /* nobody makes progress here */
	        "[class a]\npriority = 0\n[class b]\npriority = 50\n",
	        metrics);
	fclose(f);
}

/* At a port of its own, or at a socket in its run directory. */
static void begin(bool at_port)
{
	char at[200];
	snprintf(conf, sizeof(conf), "%s/rein.conf", temp_dir());
	snprintf(path, sizeof(path), "%.*s/metrics", (int)(strrchr(conf, '/') - conf), conf);
	port = free_port();
	if (at_port)
		snprintf(at, sizeof(at), "127.0.0.1:%u", port);
	else
		snprintf(at, sizeof(at), "unix:%s", path);
	configure(at);
	daemon_start(&d, (char *[]){"--config", conf, NULL});
	ck_assert(raw_no_clients(d.dir)); /* it answers: all its sockets are there */
}

static void end(void)
{
	static char said[65536];
	ck_assert_int_eq(daemon_end(&d, SIGTERM, said, sizeof(said)), 0);
	ck_assert_msg(!strstr(said, "Sanitizer"), "%s", said);
}

static int connect_port(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
	                         .sin_port = htons(port),
	                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, (struct sockaddr *)&in, sizeof(in)) == 0)
		return fd;
	close(fd);
	return -1;
}

static int connect_path(void)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	snprintf(un.sun_path, sizeof(un.sun_path), "%.100s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Its whole answer in `text`, until it ends the connection; its length. */
static size_t hear(int fd)
{
	size_t n = 0;
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ck_assert_msg(poll(&p, 1, WAIT_MS) == 1, "no answer");
		ssize_t got = read(fd, text + n, sizeof(text) - 1 - n);
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	text[n] = 0;
	close(fd);
	return n;
}

static void say(int fd, const char *words)
{
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(send(fd, words, strlen(words), MSG_NOSIGNAL), (ssize_t)strlen(words));
}

/* The body of a good answer. The text is made anew only now and then. */
static const char *scrape(const char *headers)
{
	char request[512];
	usleep((useconds_t)(REIN_METRICS_FRESH_NS / REIN_US) + 10000);
	snprintf(request, sizeof(request), "GET /metrics HTTP/1.1\r\nHost: here\r\n%s\r\n",
	         headers);
	int fd = connect_port();
	say(fd, request);
	size_t n = hear(fd);
	ck_assert_msg(strncmp(text, "HTTP/1.1 200 OK\r\n", 17) == 0, "%.200s", text);
	const char *body = strstr(text, "\r\n\r\n"), *length = strstr(text, "Content-Length: ");
	ck_assert(body && length);
	body += 4;
	ck_assert_uint_eq(strtoul(length + 16, NULL, 10), n - (size_t)(body - text));
	return body;
}

/* The value of a series, -1: it is not there. */
static double value(const char *body, const char *series)
{
	size_t n = strlen(series);
	for (const char *at = body; (at = strstr(at, series)); at += n)
		if ((at == body || at[-1] == '\n') && at[n] == ' ')
			return strtod(at + n, NULL);
	return -1;
}

static void give_class(const struct raw *r, const char *name)
{
	char request[128];
	snprintf(request, sizeof(request), "{\"op\":\"set\",\"id\":%u,\"class\":\"%s\"}",
	         r->w.client_id, name);
	json_t *answer = raw_ask(d.dir, request);
	ck_assert(json_is_true(json_object_get(answer, "ok")));
	json_decref(answer);
}

static void hang_up(struct raw *r)
{
	close(r->sock);
	for (unsigned i = 0; i < r->n_fds; i++)
		close(r->fd[i]);
}

/* ---------------------------------------------------------------- what is told */

TEST(counts_outlive_their_clients)
{
	static const char by_a[] = "rein_client_submissions_total{class=\"a\",client=\"be\"}";
	static const char by_b[] = "rein_client_submissions_total{class=\"b\",client=\"be\"}";
	struct raw one, two;
	begin(true);
	raw_join(&one, d.dir, "be", 0);
	raw_join(&two, d.dir, "be", 0);
	give_class(&one, "a");
	give_class(&two, "a");
	rein_store_relaxed(&one.status->total.submissions, 100);
	rein_store_relaxed(&two.status->total.submissions, 20);
	const char *body = scrape("");
	ck_assert(value(body, by_a) == 120);
	ck_assert(value(body, "rein_client_processes{class=\"a\",client=\"be\"}") == 2);
	ck_assert(value(body, "rein_class_clients{class=\"a\"}") == 2);
	ck_assert(value(body, "rein_clients") == 2);
	hang_up(&one);
	while (raw_count_clients(d.dir) > 1)
		usleep(1000);
	body = scrape("");
	ck_assert(value(body, by_a) == 120);
	ck_assert(value(body, "rein_client_processes{class=\"a\",client=\"be\"}") == 1);
	/* another class: what was counted stays where it was */
	rein_store_relaxed(&two.status->total.submissions, 30);
	give_class(&two, "b");
	rein_store_relaxed(&two.status->total.submissions, 35);
	body = scrape("");
	ck_assert(value(body, by_a) == 130);
	ck_assert(value(body, by_b) == 5);
	/* a liar's counter falls, the sum does not */
	rein_store_relaxed(&two.status->total.submissions, 1);
	ck_assert(value(scrape(""), by_b) == 0);
	hang_up(&two);
	end();
}
TEST_END

TEST(waits_and_preemptions)
{
	struct raw be, lc;
	begin(true);
	raw_join(&be, d.dir, "be", 0);
	raw_join(&lc, d.dir, "lc", 50);
	raw_demand(&be, REIN_DEMAND_ACTIVE);
	ck_assert(eventually(raw_open, &be, WAIT_MS));
	while (value(scrape(""), "rein_device_active_clients{uuid=\"GPU-abababab-abab-abab-abab-"
	                         "abababababab\"}") != 1)
		;
	raw_demand(&lc, REIN_DEMAND_ACTIVE);
	ck_assert(eventually(raw_closed, &be, WAIT_MS));
	raw_demand(&be, REIN_DEMAND_ACTIVE | REIN_DEMAND_WAITING);
	const char *body = scrape("");
	ck_assert(value(body, "rein_client_gate{class=\"default\",client=\"be\"}") == 1);
	ck_assert(value(body, "rein_preemptions_total{class=\"default\"}") == 1);
	ck_assert(value(body, "rein_client_preemptions_total{class=\"default\",client=\"be\"}") ==
	          1);
	raw_demand(&lc, 0);
	ck_assert(eventually(raw_open, &be, WAIT_MS));
	body = scrape("");
	ck_assert(value(body, "rein_wait_seconds_count{class=\"default\"}") == 1);
	ck_assert(value(body, "rein_wait_seconds_sum{class=\"default\"}") >= 0.1);
	ck_assert(value(body, "rein_request_seconds_count{class=\"default\"}") == 1);
	ck_assert(value(body, "rein_client_gate{class=\"default\",client=\"be\"}") == 0);
	ck_assert(value(body, "rein_client_request_p99_seconds{class=\"default\",client=\"lc\"}") >=
	          0.1);
	ck_assert(value(body, "rein_decision_seconds_count") >= 2);
	ck_assert(value(body, "rein_decisions_total") >= 2);
	/* and who was to blame, for `rein top` */
	json_t *answer = raw_ask(d.dir, "{\"op\":\"clients\"}");
	json_t *first = json_array_get(json_object_get(answer, "clients"), 0);
	json_t *recent = json_object_get(first, "recent");
	json_t *culprit = json_object_get(recent, "culprit");
	ck_assert_str_eq(json_string_value(json_object_get(culprit, "name")), "lc");
	ck_assert_int_eq(json_integer_value(json_object_get(culprit, "id")), lc.w.client_id);
	ck_assert(json_number_value(json_object_get(recent, "gate_wait_ms")) >= 100);
	ck_assert(json_number_value(json_object_get(recent, "gate_wait_share")) > 0);
	ck_assert(json_is_null(json_object_get(recent, "p99_ms")));
	json_decref(answer);
	hang_up(&be);
	hang_up(&lc);
	end();
}
TEST_END

/* More names than there is room for: the rest is one series, and old ones give way. */
TEST(names_are_bounded)
{
	enum { N = REIN_METRICS_ROWS_MAX + 20 };
	static struct raw r[N];
	char name[32];
	unsigned rows = 0;
	begin(true);
	for (unsigned i = 0; i < N; i++) {
		struct rein_msg_hello h;
		snprintf(name, sizeof(name), "name\"%u", i);
		h = raw_hello(name, 0);
		ck_assert_int_gt(raw_greet(&r[i], d.dir, &h, sizeof(h)), 0);
		ck_assert_msg(r[i].w.error == 0, "%s", r[i].w.text);
	}
	const char *body = scrape("");
	for (const char *at = body; (at = strstr(at, "\nrein_client_processes{")); at++)
		rows++;
	ck_assert_uint_eq(rows, REIN_METRICS_ROWS_MAX);
	ck_assert(value(body, "rein_client_processes{class=\"\",client=\"(others)\"}") == 21);
	ck_assert(value(body, "rein_client_processes{class=\"default\",client=\"name\\\"7\"}") ==
	          1);
	for (unsigned i = 0; i < N; i++)
		hang_up(&r[i]);
	ck_assert(eventually(raw_no_clients, d.dir, WAIT_MS));
	struct rein_msg_hello h = raw_hello("late", 0);
	ck_assert_int_gt(raw_greet(&r[0], d.dir, &h, sizeof(h)), 0);
	ck_assert(value(scrape(""), "rein_client_processes{class=\"default\",client=\"late\"}") ==
	          1);
	hang_up(&r[0]);
	end();
}
TEST_END

/* ---------------------------------------------------------------- where */

TEST(a_socket_for_the_group)
{
	struct stat st;
	begin(false);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert(S_ISSOCK(st.st_mode));
	ck_assert_uint_eq(st.st_mode & 0777, 0660);
	int fd = connect_path();
	say(fd, "GET /metrics HTTP/1.1\r\n" OPEN_METRICS "\r\n");
	hear(fd);
	ck_assert_ptr_nonnull(strstr(text, "Content-Type: application/openmetrics-text"));
	ck_assert_ptr_nonnull(strstr(text, "\n# EOF\n"));
	/* killed, it leaves the socket behind: the next one takes its place */
	ck_assert_int_eq(daemon_end(&d, SIGKILL, NULL, 0), 128 + SIGKILL);
	ck_assert_int_eq(stat(path, &st), 0);
	daemon_start_again(&d, (char *[]){"--config", conf, NULL});
	ck_assert(raw_no_clients(d.dir));
	fd = connect_path();
	ck_assert_int_ge(fd, 0);
	close(fd);
	end();
	ck_assert_int_eq(stat(path, &st), -1);
}
TEST_END

static void reload(void)
{
	json_t *answer = raw_ask(d.dir, "{\"op\":\"reload\"}");
	ck_assert(json_is_true(json_object_get(answer, "ok")));
	json_decref(answer);
}

/* NULL: it answers. */
static void says(const char *metrics)
{
	json_t *answer = raw_ask(d.dir, "{\"op\":\"status\"}");
	if (metrics)
		ck_assert_str_eq(json_string_value(json_object_get(answer, "metrics")), metrics);
	json_decref(answer);
}

TEST(moved_and_switched_off_by_reload)
{
	char at[200], said[65536];
	begin(true);
	ck_assert_ptr_nonnull(scrape(""));
	snprintf(at, sizeof(at), "unix:%s", path);
	configure(at);
	reload();
	says(at);
	ck_assert_int_eq(connect_port(), -1);
	int fd = connect_path();
	ck_assert_int_ge(fd, 0);
	close(fd);
	configure("off");
	reload();
	says("off");
	ck_assert_int_eq(connect_path(), -1);
	/* what is no socket is left alone, and the daemon goes on */
	FILE *f = fopen(path, "w");
	ck_assert(f && fclose(f) == 0);
	configure(at);
	reload();
	says("off");
	ck_assert_int_eq(access(path, F_OK), 0);
	/* a mistake is refused whole */
	configure("0.0.0.0:9464");
	json_t *answer = raw_ask(d.dir, "{\"op\":\"reload\"}");
	const char *error = json_string_value(json_object_get(answer, "error"));
	ck_assert_msg(error && strstr(error, "rein.conf:3: bad metrics:") &&
	                  strstr(error, "other machines"),
	              "%s", error);
	json_decref(answer);
	ck_assert_int_eq(daemon_end(&d, SIGTERM, said, sizeof(said)), 0);
	ck_assert_msg(strstr(said, "no metrics: cannot listen at unix:") &&
	                  strstr(said, "there is a file that is no socket"),
	              "%s", said);
}
TEST_END

/* While it is stopped a reload and then scrapers come to its ears, so that it hears of all in one
 * breath: the reload closes their connections, and what it still has to hear of them means nothing.
 */
static void reload_before(const int *scraper, unsigned n)
{
	static const char request[] = "{\"op\":\"reload\"}";
	char answer[4096];
	pid_t worker = proc_child(d.p.pid);
	int control = rein_sock_connect(d.dir, REIN_CONTROL_SOCKET);
	ck_assert_int_ge(control, 0);
	for (int i = 0; i < 3; i++) /* all who have come are let in */
		says(NULL);
	ck_assert_int_eq(kill(worker, SIGSTOP), 0);
	ck_assert_int_eq(rein_sock_send(control, request, strlen(request), NULL, 0), 0);
	for (unsigned i = 0; i < n; i++)
		say(scraper[i], "rics HTTP/1.1\r\n\r\n");
	ck_assert_int_eq(kill(worker, SIGCONT), 0);
	ck_assert_int_gt(rein_sock_recv(control, answer, sizeof(answer), NULL, NULL, WAIT_MS), 0);
	close(control);
	for (unsigned i = 0; i < n; i++)
		close(scraper[i]);
	says(NULL);
	ck_assert_int_eq(proc_child(d.p.pid), worker);
}

TEST(a_reload_while_scrapers_talk)
{
	int scraper[REIN_METRICS_SCRAPES];
	char at[200];
	/* memory that is given back is no longer there, not only with a sanitizer */
	setenv("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=4096", 1);
	begin(true);
	unsetenv("GLIBC_TUNABLES");
	for (unsigned round = 0; round < 6; round++) {
		snprintf(at, sizeof(at), "unix:%s", path);
		configure(round % 2 ? at : "off");
		for (unsigned i = 0; i < REIN_METRICS_SCRAPES; i++) {
			scraper[i] = connect_port();
			say(scraper[i], "GET /met");
		}
		reload_before(scraper, REIN_METRICS_SCRAPES);
		says(round % 2 ? at : "off");
		snprintf(at, sizeof(at), "127.0.0.1:%u", port);
		configure(at);
		reload();
		ck_assert_ptr_nonnull(scrape(""));
	}
	end();
}
TEST_END

/* ---------------------------------------------------------------- hostile scrapers */

static void refused_with(const char *request, const char *status)
{
	int fd = connect_port();
	say(fd, request);
	hear(fd);
	ck_assert_msg(strncmp(text, status, strlen(status)) == 0, "%s: %.80s", request, text);
}

TEST(one_line_for_bad_requests)
{
	static char endless[REIN_METRICS_REQUEST_MAX + 1];
	begin(true);
	refused_with("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 404 ");
	refused_with("DELETE /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 405 ");
	refused_with("nonsense\r\n\r\n", "HTTP/1.1 400 ");
	memset(endless, 'x', REIN_METRICS_REQUEST_MAX);
	refused_with(endless, "HTTP/1.1 431 ");
	int fd = connect_port();
	say(fd, "HEAD /metrics HTTP/1.1\r\n\r\n");
	size_t n = hear(fd);
	ck_assert_str_eq(text + n - 4, "\r\n\r\n");
	/* in pieces */
	fd = connect_port();
	static const char request[] = "GET /metrics HTTP/1.1\r\n\r\n";
	for (unsigned i = 0; request[i]; i++) {
		char piece[2] = {request[i]};
		say(fd, piece);
		usleep(500);
	}
	hear(fd);
	ck_assert_msg(strncmp(text, "HTTP/1.1 200 ", 13) == 0, "%.80s", text);
	end();
}
TEST_END

static unsigned daemon_fds(void)
{
	char dir[64];
	unsigned n = 0;
	snprintf(dir, sizeof(dir), "/proc/%d/fd", (int)proc_child(d.p.pid));
	DIR *fds = opendir(dir);
	ck_assert_ptr_nonnull(fds);
	while (readdir(fds))
		n++;
	closedir(fds);
	return n;
}

/* Some say nothing, some do not read, some hang up in between: the next one is served at once, and
 * in the end nothing of them is left. */
TEST(slow_and_rude_scrapers)
{
	int fd[4 * REIN_METRICS_SCRAPES];
	begin(true);
	ck_assert_ptr_nonnull(scrape(""));
	unsigned before = daemon_fds();
	for (unsigned i = 0; i < REIN_ARRAY_LEN(fd); i++) {
		fd[i] = connect_port();
		ck_assert_int_ge(fd[i], 0);
		if (i % 4 == 1)
			say(fd[i], "GET /metr");
		if (i % 4 == 2) /* its answer is not read */
			say(fd[i], "GET /metrics HTTP/1.1\r\n\r\n");
		if (i % 4 == 3) {
			say(fd[i], "GET /metrics HTTP/1.1\r\n\r\n");
			struct linger now = {.l_onoff = 1};
			setsockopt(fd[i], SOL_SOCKET, SO_LINGER, &now, sizeof(now));
			close(fd[i]);
		}
	}
	ck_assert_ptr_nonnull(scrape(""));
	ck_assert_uint_le(daemon_fds(), before + REIN_METRICS_SCRAPES);
	end();
}
TEST_END

TEST(who_says_nothing_is_sent_away)
{
	begin(true);
	int fd = connect_port();
	say(fd, "GET");
	uint64_t since_ns = rein_now_ns();
	ck_assert_uint_eq(hear(fd), 0);
	ck_assert_uint_ge(rein_now_ns() - since_ns, REIN_METRICS_TIMEOUT_NS / 2);
	end();
}
TEST_END

/* ---------------------------------------------------------------- real tools */

static bool is_there(const char *tool)
{
	char command[64];
	snprintf(command, sizeof(command), "command -v %s >/dev/null 2>&1", tool);
	if (system(command) == 0) // NOLINT(cert-env33-c): our own words
		return true;
	printf("left out: %s is not installed (packaging/deps.sh --metrics)\n", tool);
	return false;
}

static void some_clients(struct raw *be, struct raw *lc)
{
	raw_join(be, d.dir, "be \\ \"quoted\"", 0);
	raw_join(lc, d.dir, "lc", 50);
	raw_demand(be, REIN_DEMAND_ACTIVE);
	raw_demand(lc, REIN_DEMAND_ACTIVE);
	ck_assert(eventually(raw_closed, be, WAIT_MS));
}

TEST(promtool_finds_no_fault)
{
	struct raw be, lc;
	char file[200], command[512];
	if (!is_there("promtool"))
		return;
	begin(true);
	some_clients(&be, &lc);
	const char *body = scrape("");
	snprintf(file, sizeof(file), "%s.txt", path);
	FILE *f = fopen(file, "w");
	ck_assert(f && fputs(body, f) >= 0 && fclose(f) == 0);
	snprintf(command, sizeof(command), "promtool check metrics < '%s' > '%s.out' 2>&1", file,
	         path);
	int status = system(command); // NOLINT(cert-env33-c)
	snprintf(command, sizeof(command), "%s.out", path);
	f = fopen(command, "r");
	ck_assert_ptr_nonnull(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = 0;
	fclose(f);
	ck_assert_msg(status == 0 && !*text, "%s", text);
	end();
}
TEST_END

static in_port_t prometheus_port;

/* Asks Prometheus; its answer is in `text`. */
static bool query(const char *expression)
{
	in_port_t ours = port;
	char request[512];
	port = prometheus_port;
	int fd = connect_port();
	port = ours;
	if (fd < 0)
		return false;
	snprintf(request, sizeof(request), "GET /api/v1/query?query=%s HTTP/1.0\r\n\r\n",
	         expression);
	say(fd, request);
	hear(fd);
	return strstr(text, "\"status\":\"success\"") != NULL;
}

static bool has_scraped(void *unused)
{
	return query("rein_client_submissions_total") && strstr(text, "\"42\"");
}

/* The server itself takes what we serve: it asks for OpenMetrics, and is strict about it. */
TEST(prometheus_scrapes)
{
	struct raw be, lc;
	char config[200], data[220], listen[80], file[220];
	if (!is_there("prometheus"))
		return;
	begin(true);
	some_clients(&be, &lc);
	rein_store_relaxed(&be.status->total.submissions, 42);
	prometheus_port = free_port();
	snprintf(config, sizeof(config), "%s.yml", path);
	FILE *f = fopen(config, "w");
	ck_assert_ptr_nonnull(f);
	fprintf(f,
	        "global: {scrape_interval: 1s}\nscrape_configs:\n  - job_name: rein\n"
	        "    static_configs: [{targets: ['127.0.0.1:%u']}]\n",
	        port);
	fclose(f);
	snprintf(file, sizeof(file), "--config.file=%s", config);
	snprintf(data, sizeof(data), "--storage.tsdb.path=%s.tsdb", path);
	snprintf(listen, sizeof(listen), "--web.listen-address=127.0.0.1:%u", prometheus_port);
	struct proc p = proc_start(
	    (char *[]){"prometheus", file, data, listen, "--log.level=warn", NULL}, NULL);
	ck_assert_msg(eventually(has_scraped, NULL, 60000), "%s", text);
	ck_assert_ptr_nonnull(strstr(text, "be \\\\ \\\"quoted\\\""));
	ck_assert(query("up"));
	ck_assert_ptr_nonnull(strstr(text, ",\"1\"]"));
	ck_assert(query("count(rein_wait_seconds_bucket)"));
	ck_assert_ptr_nonnull(strstr(text, ",\"27\"]"));
	proc_kill(&p, SIGTERM);
	char said[65536];
	proc_wait(&p, said, sizeof(said), WAIT_MS);
	ck_assert_msg(!strstr(said, "scrape manager"), "%s", said); /* duplicates, odd order … */
	end();
}
TEST_END

TESTS("metrics, scraped", counts_outlive_their_clients, waits_and_preemptions, names_are_bounded,
      a_socket_for_the_group, moved_and_switched_off_by_reload, a_reload_while_scrapers_talk,
      one_line_for_bad_requests, slow_and_rude_scrapers, who_says_nothing_is_sent_away,
      promtool_finds_no_fault, prometheus_scrapes)
