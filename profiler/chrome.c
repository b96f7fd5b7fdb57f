// SPDX-License-Identifier: Apache-2.0
#include "chrome.h"

#include <stdlib.h>

#define CHROME_TID 0x10000000u /* + a track's number: a thread that is none */
#define CHROME_PID 0x50000000u /* + a track's number: a process that is none */

struct chrome {
	struct rein_sink sink; /* first */
	bool more;             /* something stands before */
};

/* ---------------------------------------------------------------- JSON */

static void text(FILE *out, const char *s)
{
	fputc('"', out);
	for (; *s; s++) {
		unsigned char ch = (unsigned char)*s;
		if (ch == '"' || ch == '\\')
			fputc('\\', out);
		fputc(ch >= ' ' && ch < 0x7f ? ch : '?', out);
	}
	fputc('"', out);
}

static void micros(FILE *out, const char *key, uint64_t ns)
{
	fprintf(out, ",\"%s\":%llu.%03u", key, (unsigned long long)(ns / 1000),
	        (unsigned)(ns % 1000));
}

static uint32_t pid_of(const struct rein_track *t)
{
	while (!t->pid && t->parent)
		t = t->parent;
	return t->pid ? t->pid : CHROME_PID + t->id;
}

static uint32_t tid_of(const struct rein_track *t)
{
	return t->kind == REIN_TRACK_THREAD                                   ? t->tid
	       : t->kind == REIN_TRACK_PROCESS || t->kind == REIN_TRACK_GROUP ? 0
	                                                                      : CHROME_TID + t->id;
}

/* Opens an event; its caller adds members and closes the brace. */
static FILE *event(struct rein_sink *s, char phase, const struct rein_track *t, const char *name)
{
	struct chrome *c = (struct chrome *)s;
	fprintf(s->out, "%s\n{\"ph\":\"%c\",\"pid\":%u,\"tid\":%u,\"name\":", c->more ? "," : "",
	        phase, pid_of(t), tid_of(t));
	c->more = true;
	text(s->out, name);
	return s->out;
}

static void put_args(FILE *out, const struct rein_event *e)
{
	fputs(",\"args\":{", out);
	for (unsigned i = 0; i < e->n_args; i++) {
		const struct rein_arg *a = &e->arg[i];
		fprintf(out, "%s\"%s\":", i ? "," : "", a->key);
		if (a->text)
			text(out, a->text);
		else if (a->is_bool)
			fputs(a->number ? "true" : "false", out);
		else
			fprintf(out, "%llu", (unsigned long long)a->number);
	}
	fputs("}}", out);
}

/* ---------------------------------------------------------------- the sink */

static void begin(struct rein_sink *s, const struct rein_sorted_epoch *epochs, unsigned n)
{
	fputs("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[", s->out);
}

static void name_track(struct rein_sink *s, const struct rein_track *t, const char *what,
                       const char *key, const char *name)
{
	FILE *out = event(s, 'M', t, what);
	fprintf(out, ",\"args\":{\"%s\":", key);
	text(out, name);
	fputs("}}", out);
}

static void track(struct rein_sink *s, const struct rein_track *t)
{
	char label[32] = "without rein";
	bool top = t->kind != REIN_TRACK_PROCESS && !t->parent;
	if (t->kind == REIN_TRACK_PROCESS) {
		if (t->managed)
			snprintf(label, sizeof(label), "priority %u", t->prio);
		name_track(s, t, "process_labels", "labels", label);
	}
	if (t->kind == REIN_TRACK_PROCESS || top)
		name_track(s, t, "process_name", "name", t->name);
	if (t->kind == REIN_TRACK_SLICES)
		name_track(s, t, "thread_name", "name", t->name);
}

/* A point of a flow, bound to the slice around it. */
static void put_flow(struct rein_sink *s, const struct rein_event *e)
{
	static const char phase[] = {[REIN_FLOW_BEGINS] = 's',
	                             [REIN_FLOW_PASSES] = 't',
	                             [REIN_FLOW_ENDS] = 'f',
	                             [REIN_FLOW_RETURNS] = 'f'};
	bool returns = e->flow_part == REIN_FLOW_RETURNS;
	if (e->flow_part == REIN_FLOW_NONE)
		return;
	FILE *out = event(s, phase[e->flow_part], e->track, "flow");
	fprintf(out, ",\"cat\":\"flow\",\"bp\":\"e\",\"id\":\"0x%llx\"",
	        (unsigned long long)e->flow);
	micros(out, "ts", returns ? e->end_ns : e->begin_ns);
	fputc('}', out);
}

static void put_request(struct rein_sink *s, const struct rein_event *e)
{
	for (unsigned end = 0; end < 2; end++) {
		FILE *out = event(s, end ? 'e' : 'b', e->track, e->name);
		fprintf(out, ",\"cat\":\"%s\",\"id\":\"0x%llx\"", e->category,
		        (unsigned long long)e->request);
		micros(out, "ts", end ? e->end_ns : e->begin_ns);
		put_args(out, e);
	}
}

static void slice(struct rein_sink *s, const struct rein_event *e)
{
	if (e->request) {
		put_request(s, e);
		return;
	}
	FILE *out = event(s, 'X', e->track, e->name);
	fprintf(out, ",\"cat\":\"%s\"", e->category);
	micros(out, "ts", e->begin_ns);
	micros(out, "dur", e->end_ns - e->begin_ns);
	put_args(out, e);
	put_flow(s, e);
}

static void instant(struct rein_sink *s, const struct rein_event *e)
{
	if (e->flow_part != REIN_FLOW_NONE) { /* a flow needs a slice to be bound to */
		slice(s, e);
		return;
	}
	FILE *out = event(s, 'i', e->track, e->name);
	fprintf(out, ",\"cat\":\"%s\",\"s\":\"%c\"", e->category, e->track->pid ? 'p' : 'g');
	micros(out, "ts", e->begin_ns);
	put_args(out, e);
}

static void count(struct rein_sink *s, const struct rein_track *t, uint64_t ns, uint64_t value)
{
	FILE *out = event(s, 'C', t, t->name);
	micros(out, "ts", ns);
	fprintf(out, ",\"args\":{\"value\":%llu}}", (unsigned long long)value);
}

static void end(struct rein_sink *s)
{
	fputs("\n]}\n", s->out);
}

struct rein_sink *rein_chrome_new(FILE *out)
{
	struct chrome *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->sink = (struct rein_sink){.begin = begin,
	                             .track = track,
	                             .slice = slice,
	                             .instant = instant,
	                             .count = count,
	                             .end = end,
	                             .out = out};
	return &c->sink;
}

void rein_chrome_free(struct rein_sink *s)
{
	free(s);
}
