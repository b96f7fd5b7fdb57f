// SPDX-License-Identifier: Apache-2.0
/*
 * metrics_text.c: the figures as text. One function a kind of family, and tables that say what
 * there is: a new counter of programs is one row.
 *
 * Histograms: buckets at powers of two of a nanosecond, because those are exact here (histogram.h).
 */
#include "metrics.h"

#include <stddef.h>
#include <string.h>

#include "../common/clock.h"
#include "snapshot.h"

#define WAITS_FROM 10 /* 2^10 ns: 1 us */
#define WAITS_TO 35   /* 34 s */
#define DECISIONS_FROM 8
#define DECISIONS_TO 24 /* 17 ms */

struct out {
	FILE *f;
	bool open_metrics;
};

enum kind { COUNTER, GAUGE, HISTOGRAM };

/* `name` without _total. */
static void family(const struct out *o, const char *name, enum kind kind, const char *help)
{
	static const char *const kinds[] = {"counter", "gauge", "histogram"};
	const char *total = kind == COUNTER && !o->open_metrics ? "_total" : "";
	fprintf(o->f, "# HELP %s%s %s\n# TYPE %s%s %s\n", name, total, help, name, total,
	        kinds[kind]);
}

/* name="value" with the value escaped: backslash, quote and newline, as both formats want it.
 * Names come from other people's programs; what is not printable was replaced before. */
static void label(const struct out *o, const char *name, const char *value)
{
	fprintf(o->f, "%s=\"", name);
	for (; *value; value++) {
		if (*value == '\\' || *value == '"')
			fputc('\\', o->f);
		if (*value == '\n')
			fputs("\\n", o->f);
		else
			fputc(*value, o->f);
	}
	fputc('"', o->f);
}

static void put_count(const struct out *o, uint64_t n)
{
	fprintf(o->f, " %llu\n", (unsigned long long)n);
}

static void put_seconds(const struct out *o, uint64_t ns)
{
	fprintf(o->f, " %llu.%09llu\n", (unsigned long long)(ns / REIN_S),
	        (unsigned long long)(ns % REIN_S));
}

static void one(const struct out *o, const char *name, enum kind kind, const char *help, uint64_t n)
{
	family(o, name, kind, help);
	fprintf(o->f, "%s%s", name, kind == COUNTER ? "_total" : "");
	put_count(o, n);
}

/* ---------------------------------------------------------------- the daemon */

static void info(const struct out *o, const char *name, const char *help, const char *key,
                 const char *value)
{
	family(o, name, GAUGE, help);
	fprintf(o->f, "%s{", name);
	label(o, key, value);
	fputs("} 1\n", o->f);
}

/* One series of a histogram; `class_name` NULL: without labels. */
static void histogram(const struct out *o, const char *name, const char *class_name,
                      const struct rein_histogram *h, unsigned from, unsigned to)
{
	for (unsigned log2 = from; log2 <= to + 1; log2++) {
		fprintf(o->f, "%s_bucket{", name);
		if (class_name) {
			label(o, "class", class_name);
			fputc(',', o->f);
		}
		if (log2 <= to)
			fprintf(o->f, "le=\"%.12g\"}", (double)(1ull << log2) / 1e9);
		else
			fputs("le=\"+Inf\"}", o->f);
		put_count(o, log2 <= to ? rein_histogram_below(h, log2) : h->total);
	}
	static const char *const ends[] = {"_sum", "_count"};
	for (unsigned i = 0; i < 2; i++) {
		fprintf(o->f, "%s%s", name, ends[i]);
		if (class_name) {
			fputc('{', o->f);
			label(o, "class", class_name);
			fputc('}', o->f);
		}
		if (i == 0)
			put_seconds(o, h->sum_ns);
		else
			put_count(o, h->total);
	}
}

static void of_daemon(const struct out *o, const struct rein_metrics_view *v)
{
	info(o, "rein_build_info", "Which reind this is.", "version", v->version);
	info(o, "rein_policy_info", "The scheduling policy in use.", "policy", v->policy);
	info(o, "rein_mode_info", "How the arbiter waits.", "mode", v->mode);
	family(o, "rein_uptime_seconds", GAUGE, "Since the worker started.");
	fputs("rein_uptime_seconds", o->f);
	put_seconds(o, v->uptime_ns);
	one(o, "rein_clients", GAUGE, "Programs that have joined.", v->n_clients);
	one(o, "rein_clients_max", GAUGE, "Programs that may join.", REIN_CLIENTS_MAX);
	one(o, "rein_decisions", COUNTER, "Answers of the policy, one a device.",
	    v->loop.decisions);
	family(o, "rein_decision_seconds", HISTOGRAM,
	       "From reading the demand of all programs to their gates written.");
	histogram(o, "rein_decision_seconds", NULL, &v->loop.decide, DECISIONS_FROM, DECISIONS_TO);
	one(o, "rein_events_recording", GAUGE, "1: programs write event records.",
	    v->events.recording);
	one(o, "rein_events_recorded", COUNTER, "Event records that were kept.", v->events.records);
	one(o, "rein_events_lost", COUNTER, "Event records that were overwritten or left out.",
	    v->events.lost);
}

/* ---------------------------------------------------------------- devices, classes */

static void of_devices(const struct out *o, const struct rein_metrics_view *v)
{
	static const struct {
		const char *name, *help;
	} gauges[] = {
	    {"rein_device_clients", "Programs that use the device."},
	    {"rein_device_active_clients", "Of those, with a request now, linger included."},
	};
	for (unsigned g = 0; g < REIN_ARRAY_LEN(gauges); g++) {
		family(o, gauges[g].name, GAUGE, gauges[g].help);
		for (unsigned i = 0; i < v->n_gpus; i++) {
			char uuid[REIN_UUID_LEN];
			rein_uuid_text(uuid, v->gpu[i].uuid);
			fprintf(o->f, "%s{", gauges[g].name);
			label(o, "uuid", uuid);
			fprintf(o->f, "} %u\n", g ? v->gpu[i].active : v->gpu[i].clients);
		}
	}
}

static void gpu_time(const struct out *o, const struct rein_metrics_view *v)
{
	family(o, "rein_gpu_time_seconds", COUNTER,
	       "GPU time charged to programs of the class; an estimate where several are active.");
	for (unsigned c = 0; c < v->n_classes; c++)
		for (unsigned i = 0; i <= REIN_BOARD_DEVICES_MAX; i++) {
			uint64_t ns = v->class[c].tally.used_ns[i];
			char uuid[REIN_UUID_LEN] = "others";
			if (i >= v->n_gpus && !ns)
				continue;
			if (i < v->n_gpus)
				rein_uuid_text(uuid, v->gpu[i].uuid);
			fputs("rein_gpu_time_seconds_total{", o->f);
			label(o, "uuid", uuid);
			fputc(',', o->f);
			label(o, "class", v->class[c].name);
			fputc('}', o->f);
			put_seconds(o, ns);
		}
}

static void of_classes(const struct out *o, const struct rein_metrics_view *v)
{
	static const struct {
		const char *name, *help;
		size_t offset;
	} counters[] = {
	    {"rein_preemptions", "A gate closed to a program that had work to do.",
	     offsetof(struct rein_tally, preemptions)},
	    {"rein_deadlines_met", "Requests with a deadline that ended in time.",
	     offsetof(struct rein_tally, met)},
	    {"rein_deadline_misses", "Requests with a deadline that ended late.",
	     offsetof(struct rein_tally, missed)},
	};
	family(o, "rein_class_clients", GAUGE, "Programs of the class that have joined.");
	for (unsigned c = 0; c < v->n_classes; c++) {
		fputs("rein_class_clients{", o->f);
		label(o, "class", v->class[c].name);
		fprintf(o->f, "} %u\n", v->class[c].clients);
	}
	gpu_time(o, v);
	for (unsigned i = 0; i < REIN_ARRAY_LEN(counters); i++) {
		family(o, counters[i].name, COUNTER, counters[i].help);
		for (unsigned c = 0; c < v->n_classes; c++) {
			const char *tally = (const char *)&v->class[c].tally;
			fprintf(o->f, "%s_total{", counters[i].name);
			label(o, "class", v->class[c].name);
			fputc('}', o->f);
			put_count(o, *(const uint64_t *)(tally + counters[i].offset));
		}
	}
	family(o, "rein_request_seconds", HISTOGRAM,
	       "Requests from arrival, or first submission, to end.");
	for (unsigned c = 0; c < v->n_classes; c++)
		histogram(o, "rein_request_seconds", v->class[c].name, &v->class[c].tally.response,
		          WAITS_FROM, WAITS_TO);
	family(o, "rein_wait_seconds", HISTOGRAM,
	       "Waits of programs at their closed gate; several threads at once are one.");
	for (unsigned c = 0; c < v->n_classes; c++)
		histogram(o, "rein_wait_seconds", v->class[c].name, &v->class[c].tally.wait,
		          WAITS_FROM, WAITS_TO);
}

/* ---------------------------------------------------------------- programs */

#define COUNT(field) offsetof(struct rein_metrics_row_view, n.field)
#define FIELD(field) offsetof(struct rein_metrics_row_view, field)

static const struct row_family {
	const char *name, *help;
	enum kind kind;
	enum { U32, U64, NS, REAL } type; /* NS: shown in seconds */
	size_t offset;
} row_families[] = {
    {"rein_client_processes", "Processes of that name now.", GAUGE, U32, FIELD(clients)},
    {"rein_client_gate", "How it is held: 0 not, 1 launch, 2 queue, 3 context gate; the hardest.",
     GAUGE, U32, FIELD(gate)},
    {"rein_client_backlog_seconds", "Unfinished GPU time that it may have while it can be held.",
     GAUGE, NS, FIELD(backlog_ns)},
    {"rein_client_sms", "SMs that it has; 0: all.", GAUGE, U32, FIELD(sms)},
    {"rein_client_gpu_share_ratio", "Share of the last second, an estimate.", GAUGE, REAL,
     FIELD(share)},
    {"rein_client_request_p99_seconds",
     "99 % of its requests of the last 5 to 10 s took less; 0: none ended.", GAUGE, NS,
     FIELD(response_p99_ns)},
    {"rein_client_submissions", "Work given to the driver.", COUNTER, U64, COUNT(submissions)},
    {"rein_client_requests", "Requests: declared, or guessed by quiet times.", COUNTER, U64,
     COUNT(requests)},
    {"rein_client_gpu_time_seconds", "GPU time charged to it, an estimate.", COUNTER, NS,
     COUNT(used_ns)},
    {"rein_client_gate_waits", "Threads that waited at the closed gate.", COUNTER, U64,
     COUNT(gate_waits)},
    {"rein_client_gate_wait_seconds", "How long they did.", COUNTER, NS, COUNT(gate_wait_ns)},
    {"rein_client_backlog_waits", "Threads that waited for room in the backlog.", COUNTER, U64,
     COUNT(backlog_waits)},
    {"rein_client_backlog_wait_seconds", "How long they did.", COUNTER, NS, COUNT(backlog_wait_ns)},
    {"rein_client_lapses", "Waits that a lapsed lease or a bounded wait ended.", COUNTER, U64,
     COUNT(lapses)},
    {"rein_client_preemptions", "Its gate closed while it had work to do.", COUNTER, U64,
     COUNT(preemptions)},
    {"rein_client_preemption_points", "Points put into its streams.", COUNTER, U64, COUNT(points)},
    {"rein_client_context_holds", "Its contexts were taken off the GPU.", COUNTER, U64,
     COUNT(context_holds)},
    {"rein_client_deadline_misses", "Its requests with a deadline that ended late.", COUNTER, U64,
     COUNT(missed)},
};

static void put_value(const struct out *o, const struct rein_metrics_row_view *r,
                      const struct row_family *f)
{
	const char *at = (const char *)r + f->offset;
	double real;
	switch (f->type) {
	case U32:
		put_count(o, *(const uint32_t *)at);
		break;
	case U64:
		put_count(o, *(const uint64_t *)at);
		break;
	case NS:
		put_seconds(o, *(const uint64_t *)at);
		break;
	case REAL:
		memcpy(&real, at, sizeof(real));
		fprintf(o->f, " %.6g\n", real);
		break;
	}
}

static void of_rows(const struct out *o, const struct rein_metrics_view *v)
{
	for (unsigned i = 0; i < REIN_ARRAY_LEN(row_families); i++) {
		const struct row_family *f = &row_families[i];
		family(o, f->name, f->kind, f->help);
		for (unsigned r = 0; r < v->n_rows; r++) {
			fprintf(o->f, "%s%s{", f->name, f->kind == COUNTER ? "_total" : "");
			label(o, "class", v->row[r].class_name);
			fputc(',', o->f);
			label(o, "client", v->row[r].client);
			fputc('}', o->f);
			put_value(o, &v->row[r], f);
		}
	}
}

void rein_metrics_text(FILE *f, const struct rein_metrics_view *v, bool open_metrics)
{
	const struct out o = {f, open_metrics};
	of_daemon(&o, v);
	of_devices(&o, v);
	of_classes(&o, v);
	of_rows(&o, v);
	if (open_metrics)
		fputs("# EOF\n", f);
}
