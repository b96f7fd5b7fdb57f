// SPDX-License-Identifier: Apache-2.0
#include "report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "report_int.h"

/* ---------------------------------------------------------------- programs */

/* Percentages at which a curve has a point: finer towards its tail. */
static const double percents[] = {
    0,    1,  2,    3,  5,    7.5,  10,   15,   20,   25,   30,   35,    40,    45, 50,   55,
    60,   65, 70,   75, 80,   82.5, 85,   87.5, 90,   91,   92,   93,    94,    95, 95.5, 96,
    96.5, 97, 97.5, 98, 98.5, 99,   99.2, 99.4, 99.6, 99.8, 99.9, 99.95, 99.99, 100};

static int by_size(const void *x, const void *y)
{
	uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;
	return a < b ? -1 : a > b;
}

static uint64_t latency(const struct rein_request *q)
{
	return q->end_ns - q->begin_ns;
}

/* Moments since the window's begin; a request may have arrived before. */
static uint64_t moment(const struct rein_attribution *a, uint64_t ns)
{
	return ns > a->from_ns ? ns - a->from_ns : 0;
}

static void put_curve(struct json *j, const uint64_t *sorted, size_t n)
{
	rein_json_open(j, "cdf", '[');
	for (unsigned i = 0; n && i < REIN_ARRAY_LEN(percents); i++) {
		size_t at = (size_t)(percents[i] / 100 * (double)(n - 1) + 0.5);
		rein_json_open(j, NULL, '[');
		rein_json_number(j, NULL, sorted[at]);
		rein_json_real(j, NULL, percents[i]);
		rein_json_close(j, ']');
	}
	rein_json_close(j, ']');
}

static void put_point(struct json *j, const struct rein_attribution *a,
                      const struct rein_request *q)
{
	rein_json_open(j, NULL, '[');
	rein_json_number(j, NULL, moment(a, q->begin_ns));
	rein_json_number(j, NULL, latency(q));
	rein_json_number(j, NULL, q->late);
	rein_json_close(j, ']');
}

/* A program's requests as points; of many, the longest of each part of the window. */
static void put_points(struct json *j, const struct rein_attribution *a, uint32_t who, bool many)
{
	double span = (double)(a->until_ns - a->from_ns) + 1;
	const struct rein_request *longest = NULL;
	unsigned bin = 0;
	rein_json_open(j, "points", '[');
	for (size_t i = 0; a->who[who].requests && i < a->n_requests; i++) {
		const struct rein_request *q = &a->requests[i];
		if (q->who != who)
			continue;
		unsigned at = (unsigned)((double)moment(a, q->end_ns) / span * REIN_REPORT_BINS);
		if (longest && (!many || at != bin)) {
			put_point(j, a, longest);
			longest = NULL;
		}
		bin = at;
		if (!longest || latency(q) > latency(longest))
			longest = q;
	}
	if (longest)
		put_point(j, a, longest);
	rein_json_close(j, ']');
}

static void put_who(struct json *j, const struct rein_attribution *a, uint32_t who, uint64_t *room)
{
	const struct rein_who *w = &a->who[who];
	size_t n = 0;
	for (size_t i = 0; w->requests && i < a->n_requests; i++)
		if (a->requests[i].who == who)
			room[n++] = latency(&a->requests[i]);
	if (n)
		qsort(room, n, sizeof(room[0]), by_size);
	rein_json_open(j, NULL, '{');
	rein_json_text(j, "name", w->name);
	rein_json_number(j, "pid", w->pid);
	rein_json_number(j, "prio", w->prio);
	rein_json_bool(j, "managed", w->managed);
	rein_json_bool(j, "unmanaged", w->outsider && !w->managed);
	rein_json_bool(j, "named", w->named);
	rein_json_bool(j, "declares", w->declares);
	rein_json_bool(j, "has_gpu", w->has_gpu);
	rein_json_number(j, "requests", w->requests);
	rein_json_number(j, "late", w->late);
	rein_json_number(j, "median", w->median_ns);
	rein_json_number(j, "p95", w->p95_ns);
	rein_json_number(j, "p99", w->p99_ns);
	rein_json_number(j, "worst", w->worst_ns);
	put_curve(j, room, n);
	put_points(j, a, who, n > 2 * REIN_REPORT_BINS);
	rein_json_close(j, '}');
}

static int put_everyone(struct json *j, const struct rein_attribution *a)
{
	uint64_t *room = reallocarray(NULL, a->n_requests + 1, sizeof(room[0]));
	if (!room)
		return -ENOMEM;
	rein_json_open(j, "who", '[');
	for (unsigned i = 0; i < a->n_who; i++)
		put_who(j, a, i, room);
	rein_json_close(j, ']');
	free(room);
	return 0;
}

/* ---------------------------------------------------------------- causes */

static void put_causes(struct json *j)
{
	rein_json_open(j, "causes", '[');
	for (unsigned i = 0; i < REIN_CAUSES; i++) {
		rein_json_open(j, NULL, '{');
		rein_json_text(j, "name", rein_cause_name(i));
		rein_json_text(j, "key", rein_cause_key(i));
		rein_json_bool(j, "delay", rein_cause_is_delay(i));
		rein_json_close(j, '}');
	}
	rein_json_close(j, ']');
}

static void put_by_cause(struct json *j, const char *key, const uint64_t ns[REIN_CAUSES])
{
	rein_json_open(j, key, '[');
	for (unsigned i = 0; i < REIN_CAUSES; i++)
		rein_json_number(j, NULL, ns[i]);
	rein_json_close(j, ']');
}

static void put_matrix(struct json *j, const struct rein_attribution *a)
{
	rein_json_open(j, "lost", '[');
	for (size_t i = 0; i < a->n_lost; i++) {
		rein_json_open(j, NULL, '{');
		rein_json_number(j, "victim", a->lost[i].victim);
		rein_json_number(j, "culprit", a->lost[i].culprit);
		put_by_cause(j, "all", a->lost[i].all_ns);
		put_by_cause(j, "late", a->lost[i].late_ns);
		rein_json_close(j, '}');
	}
	rein_json_close(j, ']');
}

static void put_story(struct json *j, const struct rein_attribution *a, const struct rein_story *s)
{
	const struct rein_request *q = &a->requests[s->request];
	rein_json_open(j, NULL, '{');
	rein_json_number(j, "who", q->who);
	rein_json_number(j, "begin", moment(a, q->begin_ns));
	rein_json_number(j, "latency", latency(q));
	rein_json_number(j, "deadline",
	                 q->deadline_ns > q->begin_ns ? q->deadline_ns - q->begin_ns : 0);
	rein_json_bool(j, "late", q->late);
	rein_json_bool(j, "cut", q->cut);
	rein_json_text(j, "sentence", s->sentence);
	rein_json_open(j, "parts", '[');
	for (unsigned i = 0; i < s->n; i++) {
		rein_json_open(j, NULL, '[');
		rein_json_number(j, NULL, s->part[i].cause);
		rein_json_number(j, NULL, s->part[i].who);
		rein_json_number(j, NULL, s->part[i].ns);
		rein_json_number(j, NULL, s->part[i].estimate);
		rein_json_close(j, ']');
	}
	rein_json_close(j, ']');
	rein_json_close(j, '}');
}

/* ---------------------------------------------------------------- the whole */

static void put_head(struct json *j, const struct rein_attribution *a, bool any)
{
	char host[65] = "", when[40];
	time_t now = time(NULL);
	struct tm tm;
	gethostname(host, sizeof(host) - 1);
	strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S %z", localtime_r(&now, &tm));
	rein_json_number(j, "schema_version", 1);
	rein_json_text(j, "host", host);
	rein_json_text(j, "when", when);
	rein_json_number(j, "span", a->until_ns - a->from_ns);
	rein_json_number(j, "requests", a->n_requests);
	rein_json_number(j, "late", a->late);
	rein_json_number(j, "left_out", a->left_out);
	rein_json_number(j, "records_lost", a->records_lost);
	rein_json_bool(j, "has_offcpu", a->has_offcpu);
	rein_json_bool(j, "has_gpu", a->has_gpu);
	rein_json_text(j, "worst_of", any ? "all" : "late");
	put_causes(j);
}

static int put_data(FILE *out, const struct rein_recording *r, const struct rein_attribution *a,
                    bool any)
{
	struct json j = {.f = out};
	rein_json_open(&j, NULL, '{');
	put_head(&j, a, any);
	int err = put_everyone(&j, a);
	put_matrix(&j, a);
	rein_json_open(&j, "stories", '[');
	for (size_t i = 0; i < a->n_stories; i++)
		put_story(&j, a, &a->stories[i]);
	rein_json_close(&j, ']');
	if (!err)
		err = rein_report_counters(&j, r, a->from_ns, a->until_ns);
	rein_json_close(&j, '}');
	return err;
}

static void put_rows(FILE *out, const struct rein_attribution *a)
{
	fputs("pid,program,begin_ns,latency_ns,deadline_ns,late\n", out);
	for (size_t i = 0; i < a->n_requests; i++) {
		const struct rein_request *q = &a->requests[i];
		fprintf(out, "%u,\"", a->who[q->who].pid);
		for (const char *s = a->who[q->who].name; *s; s++)
			fprintf(out, *s == '"' ? "\"\"" : "%c", *s);
		fprintf(out, "\",%llu,%llu,%llu,%u\n", (unsigned long long)q->begin_ns,
		        (unsigned long long)latency(q), (unsigned long long)q->deadline_ns,
		        q->late);
	}
}

static int put_all(FILE *out, enum rein_report_format format, const struct rein_recording *r,
                   const struct rein_attribution *a, bool any)
{
	size_t before, after;
	const char *tail, *page = rein_report_page(&before, &after, &tail);
	int err = 0;
	if (format == REIN_REPORT_HTML)
		fwrite(page, 1, before, out);
	if (format == REIN_REPORT_CSV)
		put_rows(out, a);
	else
		err = put_data(out, r, a, any);
	if (format == REIN_REPORT_HTML)
		fwrite(tail, 1, after, out);
	if (format == REIN_REPORT_JSON)
		fputc('\n', out);
	return !err && ferror(out) ? -EIO : err;
}

/* The worst of the late ones; if none was late, of all. */
static int attribute(const struct rein_recording *r, const struct rein_report_wish *wish,
                     struct rein_attribution *a, bool *any)
{
	struct rein_attribute_wish w = {
	    .from_ns = wish->from_ns, .last_ns = wish->last_ns, .worst = wish->worst};
	int err = rein_attribute(r, &w, a);
	if (err || a->n_stories || !a->n_requests)
		return err;
	rein_attribution_free(a);
	*any = w.any = true;
	return rein_attribute(r, &w, a);
}

int rein_report_write(FILE *out, enum rein_report_format format, const struct rein_recording *r,
                      const struct rein_report_wish *wish, struct rein_report_result *result)
{
	struct rein_attribution a;
	bool any = false;
	memset(result, 0, sizeof(*result));
	int err = attribute(r, wish, &a, &any);
	if (err)
		return err;
	*result = (struct rein_report_result){.requests = a.n_requests,
	                                      .stories = a.n_stories,
	                                      .late = a.late,
	                                      .records_lost = a.records_lost,
	                                      .from_ns = a.from_ns,
	                                      .until_ns = a.until_ns};
	for (unsigned i = 0; i < a.n_who; i++)
		result->programs += a.who[i].requests > 0;
	err = put_all(out, format, r, &a, any);
	rein_attribution_free(&a);
	return err;
}
