// SPDX-License-Identifier: Apache-2.0
/* What monitoring reads: where it is served, the request, the text. */
#include "daemon/metrics.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#include "common/clock.h"
#include "tests/harness.h"

/* ---------------------------------------------------------------- where */

TEST(loopback_or_a_socket_and_nothing_else)
{
	static const struct {
		const char *text;
		int family;
		const char *why; /* NULL: accepted */
	} cases[] = {
	    {"off", AF_UNSPEC, NULL},
	    {"unix:/run/rein/metrics.sock", AF_UNIX, NULL},
	    {"127.0.0.1:9464", AF_INET, NULL},
	    {"127.8.9.1:1", AF_INET, NULL},
	    {"[::1]:65535", AF_INET6, NULL},
	    {"0.0.0.0:9464", 0, "can be reached from other machines"},
	    {"192.168.1.7:9464", 0, "can be reached from other machines"},
	    {"[::]:9464", 0, "can be reached from other machines"},
	    {"[::ffff:127.0.0.1]:9464", 0, "can be reached from other machines"},
	    {"[fe80::1]:9464", 0, "can be reached from other machines"},
	    {"128.0.0.1:9464", 0, "can be reached from other machines"},
	    {"unix:metrics.sock", 0, "not absolute"},
	    {"unix:", 0, "not absolute"},
	    {"unix:/"
	     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	     0, "too long"},
	    {"", 0, "no such address"},
	    {"on", 0, "no such address"},
	    {"9464", 0, "no such address"},
	    {":9464", 0, "no such address"},
	    {"localhost:9464", 0, "no such address"},
	    {"127.0.0.1", 0, "no such address"},
	    {"127.0.0.1:", 0, "no such address"},
	    {"127.0.0.1:0", 0, "no such address"},
	    {"127.0.0.1:65536", 0, "no such address"},
	    {"127.0.0.1:94x", 0, "no such address"},
	    {"127.0.0.1:-1", 0, "no such address"},
	    {"127.0.0.1: 9", 0, "no such address"},
	    {"[::1:9464", 0, "no such address"},
	    {"::1:9464", 0, "no such address"},
	    {"[]:9464", 0, "no such address"},
	};
	for (size_t i = 0; i < REIN_ARRAY_LEN(cases); i++) {
		struct rein_metrics_at at;
		char why[320] = "";
		int err = rein_metrics_at_parse(cases[i].text, &at, why, sizeof(why));
		if (!cases[i].why) {
			ck_assert_msg(err == 0, "%s: %s", cases[i].text, why);
			ck_assert_int_eq(at.addr.ss_family, cases[i].family);
			continue;
		}
		ck_assert_msg(err < 0 && strstr(why, cases[i].why) && strstr(why, "accepted:"),
		              "%s: %d: %s", cases[i].text, err, why);
	}
}
TEST_END

/* ---------------------------------------------------------------- the request */

#define GET "GET /metrics HTTP/1.1\r\nHost: x\r\n"

TEST(requests)
{
	static const struct {
		const char *text;
		int status; /* 0: more is needed */
		bool head, open_metrics;
	} cases[] = {
	    {GET "\r\n", 200, false, false},
	    {"GET /metrics HTTP/1.0\n\n", 200, false, false},
	    {"GET /metrics?x=y HTTP/1.1\r\n\r\n", 200, false, false},
	    {"HEAD /metrics HTTP/1.1\r\n\r\n", 200, true, false},
	    {GET, 0, false, false},
	    {"", 0, false, false},
	    {GET "\r", 0, false, false},
	    {"GET /metrics HTTP/1.1", 0, false, false},
	    {"GET / HTTP/1.1\r\n\r\n", 404, false, false},
	    {"GET /metricsx HTTP/1.1\r\n\r\n", 404, false, false},
	    {"GET /metrics/ HTTP/1.1\r\n\r\n", 404, false, false},
	    {"POST /metrics HTTP/1.1\r\n\r\n", 405, false, false},
	    {"get /metrics HTTP/1.1\r\n\r\n", 405, false, false},
	    {"GET /metrics\r\n\r\n", 400, false, false},
	    {"GET /metrics HTTP/2.0\r\n\r\n", 400, false, false},
	    {"GET /metrics HTTP/1.1 more\r\n\r\n", 400, false, false},
	    {"GET  /metrics HTTP/1.1\r\n\r\n", 400, false, false},
	    {"\r\n\r\n", 400, false, false},
	    {GET "Accept: application/openmetrics-text\r\n\r\n", 200, false, true},
	    {GET "aCCept:Application/OpenMetrics-Text;version=1.0.0\n\n", 200, false, true},
	    {GET "Accept: application/openmetrics-text;version=1.0.0,application/"
	         "openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
	         "\r\n\r\n",
	     200, false, true}, /* Prometheus 2.42 */
	    {GET "Accept: text/plain, application/openmetrics-text;q=0.1\r\n\r\n", 200, false,
	     false},
	    {GET "Accept: text/plain;q=0.4,application/openmetrics-text; q=0.5\r\n\r\n", 200, false,
	     true},
	    {GET "Accept: application/openmetrics-text;q=0\r\n\r\n", 200, false, false},
	    {GET "Accept: application/openmetrics-textual\r\n\r\n", 200, false, false},
	    {GET "X-Accept: application/openmetrics-text\r\n\r\n", 200, false, false},
	    {GET "Accept: */*\r\n\r\n", 200, false, false},
	};
	for (size_t i = 0; i < REIN_ARRAY_LEN(cases); i++) {
		struct rein_metrics_request r;
		/* on the heap, so that a sanitizer sees each byte too many */
		size_t len = strlen(cases[i].text);
		char *text = malloc(len ? len : 1);
		memcpy(text, cases[i].text, len);
		bool done = rein_metrics_request(text, len, &r);
		ck_assert_msg(done == (cases[i].status != 0), "case %zu", i);
		if (done)
			ck_assert_msg(
			    r.status == cases[i].status &&
				(r.status != 200 || (r.head == cases[i].head &&
			                             r.open_metrics == cases[i].open_metrics)),
			    "case %zu: %d", i, r.status);
		free(text);
	}
}
TEST_END

TEST(requests_without_end)
{
	static char text[REIN_METRICS_REQUEST_MAX];
	struct rein_metrics_request r;
	memset(text, 'a', sizeof(text));
	ck_assert(!rein_metrics_request(text, sizeof(text) - 1, &r));
	ck_assert(rein_metrics_request(text, sizeof(text), &r));
	ck_assert_int_eq(r.status, 431);
	text[7] = 0;
	ck_assert(rein_metrics_request(text, 8, &r));
	ck_assert_int_eq(r.status, 400);
	for (int status = 400; status <= 500; status++) { /* each has an answer */
		char head[512];
		const char *body = rein_metrics_sorry(status);
		size_t n = rein_metrics_head(&(struct rein_metrics_request){.status = status},
		                             strlen(body), head, sizeof(head));
		ck_assert_uint_eq(n, strlen(head));
		ck_assert_str_eq(head + n - 4, "\r\n\r\n");
	}
}
TEST_END

/* ---------------------------------------------------------------- the text */

static struct rein_metrics_view *v;
static char *text;
static size_t text_len;

static void make(bool open_metrics)
{
	free(text);
	text = NULL;
	FILE *f = open_memstream(&text, &text_len);
	ck_assert_ptr_nonnull(f);
	rein_metrics_text(f, v, open_metrics);
	ck_assert_int_eq(fclose(f), 0);
}

static void view(unsigned classes, unsigned rows)
{
	if (v) {
		free(v->class);
		free(v->row);
	}
	free(v);
	v = calloc(1, sizeof(*v));
	v->version = "1.2";
	v->policy = "prio";
	v->mode = "sleep";
	v->n_classes = classes;
	v->n_rows = rows;
	v->class = calloc(classes + 1, sizeof(*v->class));
	v->row = calloc(rows + 1, sizeof(*v->row));
	for (unsigned i = 0; i < classes; i++)
		snprintf(v->class[i].name, sizeof(v->class[i].name), "class%u", i);
	for (unsigned i = 0; i < rows; i++)
		snprintf(v->row[i].client, sizeof(v->row[i].client), "client%u", i);
}

/* Is this a whole line of the text? */
static void has(const char *line)
{
	const char *at = text;
	size_t n = strlen(line);
	while ((at = strstr(at, line)) && !((at == text || at[-1] == '\n') && at[n] == '\n'))
		at += n;
	ck_assert_msg(at != NULL, "no line '%s' in:\n%.2000s", line, text);
}

TEST(names_of_other_peoples_programs)
{
	view(1, 1);
	snprintf(v->row[0].client, sizeof(v->row[0].client), "a\"} 1\nb\\n");
	snprintf(v->row[0].class_name, sizeof(v->row[0].class_name), "rt");
	v->row[0].n.submissions = 7;
	make(false);
	has("rein_client_submissions_total{class=\"rt\",client=\"a\\\"} 1\\nb\\\\n\"} 7");
}
TEST_END

TEST(figures)
{
	view(1, 1);
	v->n_gpus = 1;
	memset(v->gpu[0].uuid, 0xab, 16);
	v->gpu[0].clients = 3;
	v->uptime_ns = 2500000001ull;
	v->loop.decisions = UINT64_MAX;
	v->events.lost = 12;
	v->class[0].clients = 2;
	v->class[0].tally.missed = 4;
	v->class[0].tally.used_ns[0] = 1500000000;
	v->class[0].tally.used_ns[REIN_BOARD_DEVICES_MAX] = 1; /* of devices beyond the table */
	v->row[0].n.gate_wait_ns = 123456789;
	v->row[0].gate = REIN_HOLD_CONTEXT;
	v->row[0].share = 0.25;
	v->row[0].response_p99_ns = REIN_MS;
	make(false);
	has("rein_build_info{version=\"1.2\"} 1");
	has("rein_policy_info{policy=\"prio\"} 1");
	has("rein_uptime_seconds 2.500000001");
	has("rein_decisions_total 18446744073709551615");
	has("rein_events_lost_total 12");
	has("rein_class_clients{class=\"class0\"} 2");
	has("rein_deadline_misses_total{class=\"class0\"} 4");
	has("rein_device_clients{uuid=\"GPU-abababab-abab-abab-abab-abababababab\"} 3");
	has("rein_gpu_time_seconds_total{uuid=\"GPU-abababab-abab-abab-abab-abababababab\",class="
	    "\"class0\"} 1.500000000");
	has("rein_gpu_time_seconds_total{uuid=\"others\",class=\"class0\"} 0.000000001");
	has("rein_client_gate_wait_seconds_total{class=\"\",client=\"client0\"} 0.123456789");
	has("rein_client_gate{class=\"\",client=\"client0\"} 3");
	has("rein_client_gpu_share_ratio{class=\"\",client=\"client0\"} 0.25");
	has("rein_client_request_p99_seconds{class=\"\",client=\"client0\"} 0.001000000");
	has("# TYPE rein_client_submissions_total counter");
	ck_assert_ptr_null(strstr(text, "# EOF"));
	make(true);
	has("# TYPE rein_client_submissions counter");
	has("rein_client_submissions_total{class=\"\",client=\"client0\"} 0");
	ck_assert_str_eq(text + text_len - 6, "# EOF\n");
}
TEST_END

/* Each bucket holds those before it, the last one all; a time stands in the first that it is below
 * of. */
TEST(buckets)
{
	static const uint64_t ns[] = {0, 1, 1023, 1024, 1025, 5 * REIN_MS, 60 * REIN_S, UINT64_MAX};
	unsigned long long count, before = 0;
	unsigned n = 0, below = 0;
	double le, last_le = 0;
	view(1, 0);
	for (unsigned i = 0; i < REIN_ARRAY_LEN(ns); i++)
		rein_histogram_add(&v->class[0].tally.wait, ns[i]);
	make(false);
	for (const char *at = text; (at = strstr(at, "rein_wait_seconds_bucket{")); at++) {
		if (sscanf(at, "rein_wait_seconds_bucket{class=\"class0\",le=\"%lf\"} %llu", &le,
		           &count) != 2)
			ck_abort_msg("%.80s", at);
		ck_assert(le > last_le);
		ck_assert_uint_ge(count, before);
		below = 0;
		for (unsigned i = 0; i < REIN_ARRAY_LEN(ns); i++)
			below += le > 1e9 || (double)ns[i] < le * 1e9 - 0.5;
		ck_assert_msg(count == below, "le %g: %llu", le, count);
		last_le = le;
		before = count;
		n++;
	}
	ck_assert_uint_eq(n, 27);
	ck_assert(last_le > 1e30);
	has("rein_wait_seconds_count{class=\"class0\"} 8");
	ck_assert_uint_eq(before, 8);
}
TEST_END

/* Every line is a comment or a sample of the family above it, and no series is there twice. */
TEST(well_formed)
{
	char family[80] = "";
	view(3, 5);
	v->n_gpus = 2;
	v->gpu[1].uuid[0] = 1;
	for (unsigned open = 0; open < 2; open++) {
		make(open);
		char *copy = strdup(text), *save;
		char **seen = calloc(20000, sizeof(*seen));
		unsigned n = 0;
		for (char *line = strtok_r(copy, "\n", &save); line;
		     line = strtok_r(NULL, "\n", &save)) {
			if (strncmp(line, "# TYPE ", 7) == 0) {
				ck_assert_int_eq(sscanf(line + 7, "%79s", family), 1);
				char twice[100];
				snprintf(twice, sizeof(twice), "\n# TYPE %s ", family);
				const char *first = strstr(text, twice);
				ck_assert_ptr_null(first ? strstr(first + 1, twice) : NULL);
			}
			if (*line == '#')
				continue;
			ck_assert_msg(strncmp(line, family, strlen(family)) == 0, "%s: %s", family,
			              line);
			*strrchr(line, ' ') = 0;
			seen[n++] = line;
		}
		ck_assert_uint_gt(n, 100);
		for (unsigned i = 0; i < n; i++)
			for (unsigned k = 0; k < i; k++)
				ck_assert_msg(strcmp(seen[i], seen[k]) != 0, "twice: %s", seen[i]);
		free(seen);
		free(copy);
	}
}
TEST_END

TESTS("metrics", loopback_or_a_socket_and_nothing_else, requests, requests_without_end,
      names_of_other_peoples_programs, figures, buckets, well_formed)
