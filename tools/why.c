// SPDX-License-Identifier: Apache-2.0
/*
 * why.c: `rein why`: which requests were late, and who delayed them for how long: in words, as
 * tables, as JSON or CSV. All figures are profiler/attribute.h's.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

#include "../profiler/attribute.h"
#include "records.h"
#include "table.h"

#define WORST 5        /* stories without --worst */
#define MATRIX_MAX 20  /* rows of it in words */
#define PART_LEAST 200 /* one 200th: smaller parts are summed up in words */

struct why {
	const char *whom; /* PID or name; NULL: all */
	bool csv, any;
	long worst;
	struct rein_cli_records records;
	struct rein_attribution a;
};

static int parse(struct rein_cli *cli, int argc, char **argv, struct why *w)
{
	static const struct option longs[] = {{"last", required_argument, NULL, 'l'},
	                                      {"duration", required_argument, NULL, 'd'},
	                                      {"worst", required_argument, NULL, 'w'},
	                                      {"csv", no_argument, NULL, 'c'},
	                                      CLI_COMMON_OPTIONS};
	int opt, status = 0;
	w->worst = WORST;
	while (!status && (opt = rein_cli_option(cli, argc, argv, longs, false)) >= 0) {
		if (opt == 'l')
			status = rein_cli_span(cli, "--last", optarg, &w->records.last_ns);
		else if (opt == 'd')
			status = rein_cli_span(cli, "--duration", optarg, &w->records.duration_ns);
		else if (opt == 'c')
			w->csv = true;
		else if (!rein_cli_number(optarg, 1, REIN_ATTRIBUTE_WORST, &w->worst))
			status = rein_cli_usage(cli, "--worst '%s' is not accepted; 1 to %d",
			                        optarg, REIN_ATTRIBUTE_WORST);
		else
			w->any = true;
	}
	if (status || opt != CLI_OPT_END)
		return status ? status : rein_cli_option_exit(opt);
	w->whom = optind < argc ? argv[optind++] : NULL;
	if (optind < argc)
		return rein_cli_usage(cli, "unexpected argument '%s'", argv[optind]);
	if (w->records.last_ns && w->records.duration_ns)
		return rein_cli_usage(cli, "--last is what was, --duration what comes: choose one");
	if (w->csv && cli->json)
		return rein_cli_usage(cli, "--csv and --json would both go to stdout");
	return CLI_OPT_END;
}

/* ---------------------------------------------------------------- words */

static const char *label(const struct why *w, uint32_t who, char *buf, size_t len)
{
	const struct rein_who *p = &w->a.who[who];
	if (p->outsider && !p->managed)
		snprintf(buf, len, "unmanaged process %u%s%.20s%s", p->pid, p->named ? " (" : "",
		         p->named ? p->name : "", p->named ? ")" : "");
	else if (p->pid && p->named)
		snprintf(buf, len, "%.40s (%u)", p->name, p->pid);
	else
		snprintf(buf, len, "%.40s", p->name);
	return buf;
}

static void print_table(struct rein_cli_table *t)
{
	char line[512];
	for (size_t row = 0; row <= rein_cli_table_rows(t); row++) {
		rein_cli_table_line(t, row, line, sizeof(line));
		size_t n = strlen(line);
		while (n && line[n - 1] == ' ')
			n--;
		printf("  %.*s\n", (int)n, line);
	}
	rein_cli_table_free(t);
}

/* True: all cells had memory. */
static bool add_part(struct rein_cli_table *t, const char *cause, const char *by, uint64_t ns,
                     uint64_t all, bool estimate)
{
	return rein_cli_table_add(t, "%s", cause) && rein_cli_table_add(t, "%s", by) &&
	       rein_cli_table_add(t, "%.3f", (double)ns / 1e6) &&
	       rein_cli_table_add(t, "%.1f %%", all ? 100 * (double)ns / (double)all : 0) &&
	       rein_cli_table_add(t, "%s", estimate ? "estimate" : "");
}

static bool print_story(const struct why *w, const struct rein_story *s)
{
	static const struct rein_cli_column columns[] = {
	    {"CAUSE", false}, {"BY", false}, {"MS", true}, {"PART", true}, {"", false}};
	const struct rein_request *r = &w->a.requests[s->request];
	struct rein_cli_table t;
	char by[64];
	uint64_t all = r->end_ns - r->begin_ns, small = 0;
	bool ok = true;
	rein_cli_table_init(&t, columns, REIN_ARRAY_LEN(columns));
	for (unsigned i = 0; i < s->n; i++) {
		const struct rein_part *p = &s->part[i];
		if (p->ns < all / PART_LEAST)
			small += p->ns;
		else
			ok &= add_part(&t, rein_cause_name(p->cause),
			               label(w, p->who, by, sizeof(by)), p->ns, all, p->estimate);
	}
	if (small)
		ok &= add_part(&t, "smaller parts", "", small, all, false);
	ok &= add_part(&t, "latency", "", all, all, false);
	printf("\n%s.\n", s->sentence);
	print_table(&t);
	return ok;
}

struct count {
	uint32_t who; /* the program that was asked for; REIN_WHO_NOBODY: all */
	uint64_t requests, late;
};

struct row {
	uint32_t victim, culprit;
	enum rein_cause mostly;
	uint64_t late_ns, all_ns;
};

/* What others did: a program's own work is no delay. */
static struct row row_of(const struct rein_lost *l)
{
	struct row r = {.victim = l->victim, .culprit = l->culprit};
	uint64_t most = 0;
	for (unsigned c = 0; c < REIN_CAUSES; c++) {
		if (!rein_cause_is_delay(c) || l->culprit == REIN_WHO_SELF)
			continue;
		r.late_ns += l->late_ns[c];
		r.all_ns += l->all_ns[c];
		if (l->all_ns[c] > most) {
			most = l->all_ns[c];
			r.mostly = c;
		}
	}
	return r;
}

static int by_loss(const void *x, const void *y)
{
	const struct row *a = x, *b = y;
	if (a->late_ns != b->late_ns)
		return a->late_ns > b->late_ns ? -1 : 1;
	return a->all_ns < b->all_ns ? 1 : a->all_ns > b->all_ns ? -1 : 0;
}

/* The rows that are of the asked-for program, greatest loss first; the caller frees. */
static struct row *matrix_of(const struct why *w, uint32_t pid, size_t *n)
{
	struct row *rows = calloc(w->a.n_lost + 1, sizeof(*rows));
	*n = 0;
	for (size_t i = 0; rows && i < w->a.n_lost; i++) {
		struct row r = row_of(&w->a.lost[i]);
		if (r.all_ns && (!pid || w->a.who[r.victim].pid == pid))
			rows[(*n)++] = r;
	}
	if (rows)
		qsort(rows, *n, sizeof(*rows), by_loss);
	return rows;
}

static bool print_matrix(const struct why *w, uint32_t pid)
{
	static const struct rein_cli_column columns[] = {{"WHO WAITED", false},
	                                                 {"FOR WHOM", false},
	                                                 {"LATE-MS", true},
	                                                 {"ALL-MS", true},
	                                                 {"MOSTLY", false}};
	struct rein_cli_table t;
	char a[64], b[64];
	size_t n;
	struct row *rows = matrix_of(w, pid, &n);
	bool ok = rows != NULL;
	if (ok && n) {
		rein_cli_table_init(&t, columns, REIN_ARRAY_LEN(columns));
		for (size_t i = 0; i < n && i < MATRIX_MAX; i++)
			ok =
			    ok &&
			    rein_cli_table_add(&t, "%s", label(w, rows[i].victim, a, sizeof(a))) &&
			    rein_cli_table_add(&t, "%s", label(w, rows[i].culprit, b, sizeof(b))) &&
			    rein_cli_table_add(&t, "%.1f", (double)rows[i].late_ns / 1e6) &&
			    rein_cli_table_add(&t, "%.1f", (double)rows[i].all_ns / 1e6) &&
			    rein_cli_table_add(&t, "%s", rein_cause_name(rows[i].mostly));
		printf("\nWho waited for whom, in late requests and in all:\n");
		print_table(&t);
		if (n > MATRIX_MAX)
			printf("  and %zu lesser rows, which --json has\n", n - MATRIX_MAX);
	}
	free(rows);
	return ok;
}

/* Whether there are CUPTI's times of all programs that are told of. */
static bool is_timed(const struct why *w, uint32_t pid)
{
	for (uint32_t i = REIN_WHO_FIRST; i < w->a.n_who; i++)
		if (w->a.who[i].requests && !w->a.who[i].has_gpu &&
		    (!pid || w->a.who[i].pid == pid))
			return false;
	return w->a.has_gpu;
}

static void print_limits(const struct why *w, uint32_t pid)
{
	bool timed = is_timed(w, pid);
	if (!w->a.has_offcpu || !timed || w->a.records_lost)
		putchar('\n');
	if (!w->a.has_offcpu)
		puts("CPU run queue: n/a, nothing of it was recorded; it is in own code and in "
		     "the return from sync.");
	if (!timed)
		printf("GPU: CUPTI timed %s (`cupti = on`, `rein trace --cupti`); else who had it "
		       "is inferred from who had work.\n",
		       w->a.has_gpu ? "not all programs" : "nobody");
	if (w->a.records_lost)
		printf("%llu record%s lost: what would be explained by %s is unknown.\n",
		       (unsigned long long)w->a.records_lost,
		       w->a.records_lost == 1 ? " was" : "s were",
		       w->a.records_lost == 1 ? "it" : "them");
}

/* Of the asked-for program, or of all. */
static struct count count_requests(const struct why *w, uint32_t pid)
{
	struct count c = {.who = REIN_WHO_NOBODY};
	for (uint32_t i = REIN_WHO_FIRST; i < w->a.n_who; i++) {
		const struct rein_who *p = &w->a.who[i];
		if (pid && p->pid != pid)
			continue;
		c.who = pid ? i : c.who;
		c.requests += p->requests;
		c.late += p->late;
	}
	return c;
}

static void print_head(const struct why *w, uint32_t pid)
{
	struct count c = count_requests(w, pid);
	char name[64];
	printf("%.1f s: %llu request%s", (double)(w->a.until_ns - w->a.from_ns) / 1e9,
	       (unsigned long long)c.requests, c.requests == 1 ? "" : "s");
	if (c.who >= REIN_WHO_FIRST)
		printf(" of %s", label(w, c.who, name, sizeof(name)));
	if (c.requests)
		printf(", %llu late (after their deadline, or over %d times the usual)",
		       (unsigned long long)c.late, REIN_ATTRIBUTE_LATE);
	else if (c.who >= REIN_WHO_FIRST)
		printf(": it did nothing, or never paused");
	putchar('\n');
}

static int print_words(const struct rein_cli *cli, const struct why *w, uint32_t pid)
{
	bool ok = true;
	if (w->a.until_ns == w->a.from_ns) {
		puts("nothing was recorded in that time");
		return CLI_OK;
	}
	print_head(w, pid);
	for (size_t i = 0; i < w->a.n_stories; i++)
		ok &= print_story(w, &w->a.stories[i]);
	ok &= print_matrix(w, pid);
	print_limits(w, pid);
	return ok ? CLI_OK : rein_cli_fail(cli, CLI_FAILED, "out of memory");
}

/* ---------------------------------------------------------------- JSON, CSV */

static json_t *who_json(const struct why *w, uint32_t who)
{
	const struct rein_who *p = &w->a.who[who];
	if (who < REIN_WHO_FIRST)
		return json_string(p->name);
	return json_pack("{s:s, s:i, s:b}", "name", p->name, "pid", (int)p->pid, "managed",
	                 (int)p->managed);
}

static json_t *part_json(const struct why *w, const struct rein_part *p)
{
	return json_pack("{s:s, s:o, s:I, s:b}", "cause", rein_cause_key(p->cause), "by",
	                 who_json(w, p->who), "ns", (json_int_t)p->ns, "estimate",
	                 (int)p->estimate);
}

static json_t *story_json(const struct why *w, const struct rein_story *s)
{
	const struct rein_request *r = &w->a.requests[s->request];
	json_t *parts = json_array();
	for (unsigned i = 0; i < s->n; i++)
		json_array_append_new(parts, part_json(w, &s->part[i]));
	json_t *deadline = r->deadline_ns ? json_integer((json_int_t)r->deadline_ns) : json_null();
	return json_pack("{s:o, s:I, s:I, s:I, s:o, s:b, s:b, s:s, s:o}", "who",
	                 who_json(w, r->who), "begin_ns", (json_int_t)r->begin_ns, "end_ns",
	                 (json_int_t)r->end_ns, "latency_ns", (json_int_t)(r->end_ns - r->begin_ns),
	                 "deadline_ns", deadline, "late", (int)r->late, "cut", (int)r->cut, "story",
	                 s->sentence, "parts", parts);
}

static json_t *causes_json(const uint64_t ns[REIN_CAUSES])
{
	json_t *o = json_object();
	for (unsigned c = 0; c < REIN_CAUSES; c++)
		if (ns[c])
			json_object_set_new(o, rein_cause_key(c), json_integer((json_int_t)ns[c]));
	return o;
}

static json_t *matrix_json(const struct why *w, uint32_t pid)
{
	json_t *all = json_array();
	for (size_t i = 0; i < w->a.n_lost; i++) {
		const struct rein_lost *l = &w->a.lost[i];
		if (!pid || w->a.who[l->victim].pid == pid)
			json_array_append_new(all, json_pack("{s:o, s:o, s:o, s:o}", "victim",
			                                     who_json(w, l->victim), "culprit",
			                                     who_json(w, l->culprit), "late_ns",
			                                     causes_json(l->late_ns), "all_ns",
			                                     causes_json(l->all_ns)));
	}
	return all;
}

static json_t *programs_json(const struct why *w, uint32_t pid)
{
	json_t *all = json_array();
	for (uint32_t i = REIN_WHO_FIRST; i < w->a.n_who; i++) {
		const struct rein_who *p = &w->a.who[i];
		if (p->requests && (!pid || p->pid == pid))
			json_array_append_new(
			    all,
			    json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I}", "who", who_json(w, i),
			              "requests", (json_int_t)p->requests, "late",
			              (json_int_t)p->late, "p50_ns", (json_int_t)p->median_ns,
			              "p95_ns", (json_int_t)p->p95_ns, "p99_ns",
			              (json_int_t)p->p99_ns, "worst_ns", (json_int_t)p->worst_ns));
	}
	return all;
}

static int print_json(const struct why *w, uint32_t pid)
{
	struct count count = count_requests(w, pid);
	json_t *stories = json_array();
	for (size_t i = 0; i < w->a.n_stories; i++)
		json_array_append_new(stories, story_json(w, &w->a.stories[i]));
	return rein_cli_print_json(json_pack(
	    "{s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:b, s:o, s:o, s:o}", "from_ns",
	    (json_int_t)w->a.from_ns, "until_ns", (json_int_t)w->a.until_ns, "requests",
	    (json_int_t)count.requests, "late", (json_int_t)count.late, "left_out",
	    (json_int_t)w->a.left_out, "lost", (json_int_t)w->a.records_lost, "has_run_queue",
	    (int)w->a.has_offcpu, "has_gpu", (int)w->a.has_gpu, "programs", programs_json(w, pid),
	    "stories", stories, "matrix", matrix_json(w, pid)));
}

/* RFC 4180: names may hold commas and quotes. */
static void put_quoted(const char *s)
{
	putchar('"');
	for (; *s; s++) {
		if (*s == '"')
			putchar('"');
		putchar(*s);
	}
	putchar('"');
}

static int print_csv(const struct why *w)
{
	puts("end_ns,latency_ns,late,pid,name,cause,by_pid,by_name,ns,estimate");
	for (size_t i = 0; i < w->a.n_stories; i++) {
		const struct rein_story *s = &w->a.stories[i];
		const struct rein_request *r = &w->a.requests[s->request];
		for (unsigned k = 0; k < s->n; k++) {
			const struct rein_part *p = &s->part[k];
			printf("%llu,%llu,%d,%u,", (unsigned long long)r->end_ns,
			       (unsigned long long)(r->end_ns - r->begin_ns), r->late,
			       w->a.who[r->who].pid);
			put_quoted(w->a.who[r->who].name);
			printf(",%s,%u,", rein_cause_key(p->cause), w->a.who[p->who].pid);
			put_quoted(w->a.who[p->who].name);
			printf(",%llu,%d\n", (unsigned long long)p->ns, p->estimate);
		}
	}
	return CLI_OK;
}

/* ---------------------------------------------------------------- whom */

struct find {
	const char *name;
	uint32_t number; /* that the name is; 0: it is none */
	uint32_t pid;    /* found; 0: not yet */
};

static int note_client(void *arg, const struct rein_trace_record *r)
{
	struct rein_trace_name n;
	struct find *find = arg;
	if (r->kind != REIN_TRACE_CLIENT)
		return 0;
	memcpy(&n, r, sizeof(n));
	if (find->number ? n.pid == find->number : strncmp(n.name, find->name, sizeof(n.name)) == 0)
		find->pid = n.pid; /* the last of that name */
	return 0;
}

/* A PID, or the name of a program in the recording. */
static int find_pid(const struct rein_cli *cli, const struct why *w, uint32_t *pid)
{
	struct find find = {.name = w->whom};
	long number;
	*pid = 0;
	if (!w->whom)
		return 0;
	if (rein_cli_number(w->whom, 1, INT_MAX, &number))
		find.number = (uint32_t)number;
	for (unsigned i = 0; i < w->records.files.n; i++)
		if (rein_recording_read(&w->records.files, i, note_client, &find) < 0)
			break;
	*pid = find.pid;
	return find.pid ? 0
	                : rein_cli_fail(cli, CLI_FAILED,
	                                "no program with the %s '%s' was recorded; `rein ps` lists "
	                                "those that run",
	                                find.number ? "PID" : "name", w->whom);
}

int rein_cli_why(struct rein_cli *cli, int argc, char **argv)
{
	static struct why w;
	uint32_t pid;
	memset(&w, 0, sizeof(w));
	int status = parse(cli, argc, argv, &w);
	if (status != CLI_OPT_END)
		return status;
	status = rein_cli_records(cli, &w.records);
	if (!status)
		status = find_pid(cli, &w, &pid);
	if (status)
		return status;
	const struct rein_attribute_wish wish = {.from_ns = w.records.from_ns,
	                                         .last_ns =
	                                             w.records.from_ns ? 0 : w.records.last_ns,
	                                         .pid = pid,
	                                         .worst = (size_t)w.worst,
	                                         .any = w.any};
	int err = rein_attribute(&w.records.files, &wish, &w.a);
	if (err)
		return rein_cli_fail(cli, CLI_FAILED, "cannot read the recording; %s; try again",
		                     strerror(-err));
	status = cli->json ? print_json(&w, pid)
	         : w.csv   ? print_csv(&w)
	                   : print_words(cli, &w, pid);
	rein_attribution_free(&w.a);
	return status;
}
