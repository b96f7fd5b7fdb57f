// SPDX-License-Identifier: Apache-2.0
#include "topview.h"

#include <string.h>

#include "clients.h"

static const struct rein_cli_column columns[] = {
    {"PID", true},      {"NAME", false}, {"CLASS", false},    {"PRIO", true},
    {"STATE", false},   {"GPU", true},   {"P99-MS", true},    {"GATE", true},
    {"CULPRIT", false}, {"CUT", true},   {"SUBMITTED", true},
};
enum { CLASS_COLUMN = 2, STATE_COLUMN = 4, CUT_COLUMN = 9, SUBMITTED_COLUMN = 10 };

const char *const rein_cli_order_names[CLI_N_ORDERS] = {"prio", "gpu", "p99", "gate"};

/* ---------------------------------------------------------------- order */

struct keyed {
	double key;
	long long pid;
	const json_t *client;
};

static double key_of(const json_t *answer, const json_t *c, enum rein_cli_order order)
{
	const json_t *recent = json_object_get(c, "recent");
	switch (order) {
	case CLI_BY_SHARE:
		return rein_cli_real(c, "share");
	case CLI_BY_P99:
		return rein_cli_real(recent, "p99_ms");
	case CLI_BY_GATE:
		return rein_cli_real(recent, "gate_wait_share");
	default:
		return rein_cli_urgency(answer, c);
	}
}

static int compare(const void *a, const void *b)
{
	const struct keyed *x = a, *y = b;
	if (x->key != y->key)
		return x->key < y->key ? 1 : -1;
	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

const json_t **rein_cli_sorted(const json_t *answer, enum rein_cli_order order)
{
	const json_t *list = json_object_get(answer, "clients");
	size_t n = json_array_size(list);
	REIN_AUTO_FREE struct keyed *keyed = calloc(n + 1, sizeof(*keyed));
	const json_t **sorted = calloc(n + 1, sizeof(*sorted));
	if (!keyed || !sorted) {
		free(sorted);
		return NULL;
	}
	for (size_t i = 0; i < n; i++) {
		const json_t *c = json_array_get(list, i);
		keyed[i] = (struct keyed){key_of(answer, c, order), rein_cli_int(c, "pid"), c};
	}
	qsort(keyed, n, sizeof(keyed[0]), compare);
	for (size_t i = 0; i < n; i++)
		sorted[i] = keyed[i].client;
	return sorted;
}

/* ---------------------------------------------------------------- the table */

static void add_row(struct rein_cli_table *t, const json_t *c)
{
	char text[CLI_CELL_LEN];
	const json_t *recent = json_object_get(c, "recent");
	const json_t *culprit = json_object_get(recent, "culprit");
	rein_cli_table_add(t, "%lld", rein_cli_int(c, "pid"));
	rein_cli_table_add(t, "%s", rein_cli_clean(rein_cli_str(c, "name"), text, sizeof(text)));
	rein_cli_table_add(t, "%s", rein_cli_clean(rein_cli_str(c, "class"), text, sizeof(text)));
	rein_cli_table_add(t, "%lld", rein_cli_int(c, "prio"));
	rein_cli_table_add(t, "%s", rein_cli_clean(rein_cli_str(c, "state"), text, sizeof(text)));
	rein_cli_table_add(t, "%.0f%%", 100 * rein_cli_real(c, "share"));
	if (json_is_number(json_object_get(recent, "p99_ms")))
		rein_cli_table_add(t, "%.1f", rein_cli_real(recent, "p99_ms"));
	else
		rein_cli_table_add(t, "-");
	rein_cli_table_add(t, "%.0f%%", 100 * rein_cli_real(recent, "gate_wait_share"));
	if (json_is_object(culprit))
		rein_cli_table_add(t, "%s:%lld",
		                   rein_cli_clean(rein_cli_str(culprit, "name"), text, 40),
		                   rein_cli_int(culprit, "pid"));
	else
		rein_cli_table_add(t, "-");
	rein_cli_table_add(t, "%lld", rein_cli_int(c, "preemptions"));
	rein_cli_table_add(t, "%lld", rein_cli_int(c, "submissions"));
}

void rein_cli_top_table(const json_t *answer, enum rein_cli_order order, struct rein_cli_table *t)
{
	REIN_AUTO_FREE const json_t **sorted = rein_cli_sorted(answer, order);
	rein_cli_table_init(t, columns, REIN_ARRAY_LEN(columns));
	for (const json_t **c = sorted; c && *c; c++)
		add_row(t, *c);
}

void rein_cli_top_fit(struct rein_cli_table *t, unsigned room)
{
	static const unsigned least_wanted[] = {SUBMITTED_COLUMN, CUT_COLUMN, CLASS_COLUMN,
	                                        STATE_COLUMN};
	rein_cli_table_fit(t, room, least_wanted, REIN_ARRAY_LEN(least_wanted));
}

/* ---------------------------------------------------------------- CSV */

void rein_cli_top_csv_titles(FILE *f)
{
	fputs("time_s,pid,name,class,prio,state,gpu_share,p99_ms,gate_wait_share,culprit_pid,"
	      "culprit_name,preemptions,submissions,requests,gate_waits,gate_wait_ms\n",
	      f);
}

/* Other people's text: quoted, its quotes doubled. */
static void put_text(FILE *f, const char *text)
{
	char clean[CLI_CELL_LEN];
	fputs(",\"", f);
	for (const char *p = rein_cli_clean(text, clean, sizeof(clean)); *p; p++) {
		if (*p == '"')
			fputc('"', f);
		fputc(*p, f);
	}
	fputc('"', f);
}

/* Empty where there is none. */
static void put_real(FILE *f, const json_t *o, const char *key)
{
	fputc(',', f);
	if (json_is_number(json_object_get(o, key)))
		fprintf(f, "%.6g", rein_cli_real(o, key));
}

static void put_int(FILE *f, const json_t *o, const char *key)
{
	fputc(',', f);
	if (json_is_number(json_object_get(o, key)))
		fprintf(f, "%lld", rein_cli_int(o, key));
}

void rein_cli_top_csv(FILE *f, const json_t *answer, enum rein_cli_order order, double time_s)
{
	REIN_AUTO_FREE const json_t **sorted = rein_cli_sorted(answer, order);
	for (const json_t **c = sorted; c && *c; c++) {
		const json_t *recent = json_object_get(*c, "recent");
		const json_t *culprit = json_object_get(recent, "culprit");
		fprintf(f, "%.3f", time_s);
		put_int(f, *c, "pid");
		put_text(f, rein_cli_str(*c, "name"));
		put_text(f, rein_cli_str(*c, "class"));
		put_int(f, *c, "prio");
		put_text(f, rein_cli_str(*c, "state"));
		put_real(f, *c, "share");
		put_real(f, recent, "p99_ms");
		put_real(f, recent, "gate_wait_share");
		put_int(f, culprit, "pid");
		put_text(f, rein_cli_str(culprit, "name"));
		put_int(f, *c, "preemptions");
		put_int(f, *c, "submissions");
		put_int(f, *c, "requests");
		put_int(f, *c, "gate_waits");
		put_real(f, *c, "gate_wait_ms");
		fputc('\n', f);
	}
}
