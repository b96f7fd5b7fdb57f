// SPDX-License-Identifier: Apache-2.0
#include "csv.h"

#include <stdlib.h>

static void quoted(FILE *out, const char *s)
{
	for (; *s; s++) {
		if (*s == '"')
			fputc('"', out);
		fputc((unsigned char)*s >= ' ' ? *s : '?', out);
	}
}

static void field(FILE *out, const char *s)
{
	fputs(",\"", out);
	quoted(out, s);
	fputc('"', out);
}

static void row(FILE *out, const char *what, const struct rein_track *t, uint64_t begin_ns,
                uint64_t end_ns)
{
	const struct rein_track *process = t;
	while (process->parent && process->kind != REIN_TRACK_PROCESS)
		process = process->parent;
	fprintf(out, "%s,%llu,%llu,%u", what, (unsigned long long)begin_ns,
	        (unsigned long long)end_ns, t->pid);
	field(out, process->kind == REIN_TRACK_PROCESS ? process->name : "");
	fprintf(out, ",%u", t->tid);
	field(out, t->name);
}

static void event(struct rein_sink *s, const char *what, const struct rein_event *e)
{
	row(s->out, what, e->track, e->begin_ns, e->end_ns);
	field(s->out, e->category);
	field(s->out, e->name);
	fputs(",,", s->out);
	if (e->flow_part != REIN_FLOW_NONE)
		fprintf(s->out, "%016llx", (unsigned long long)e->flow);
	fputs(",\"", s->out);
	for (unsigned i = 0; i < e->n_args; i++) {
		const struct rein_arg *a = &e->arg[i];
		fprintf(s->out, "%s%s=", i ? ";" : "", a->key);
		if (a->text)
			quoted(s->out, a->text);
		else
			fprintf(s->out, "%llu", (unsigned long long)a->number);
	}
	fputs("\"\n", s->out);
}

static void begin(struct rein_sink *s, const struct rein_sorted_epoch *epochs, unsigned n)
{
	fputs("what,begin_ns,end_ns,pid,process,thread,track,category,name,value,flow,args\n",
	      s->out);
}

static void track(struct rein_sink *s, const struct rein_track *t)
{
}

static void slice(struct rein_sink *s, const struct rein_event *e)
{
	event(s, "slice", e);
}

static void instant(struct rein_sink *s, const struct rein_event *e)
{
	event(s, "instant", e);
}

static void count(struct rein_sink *s, const struct rein_track *t, uint64_t ns, uint64_t value)
{
	row(s->out, "counter", t, ns, ns);
	fprintf(s->out, ",\"counter\",\"\",%llu,,\"\"\n", (unsigned long long)value);
}

static void end(struct rein_sink *s)
{
}

struct rein_sink *rein_csv_new(FILE *out)
{
	struct rein_sink *s = calloc(1, sizeof(*s));
	if (s)
		*s = (struct rein_sink){.begin = begin,
		                        .track = track,
		                        .slice = slice,
		                        .instant = instant,
		                        .count = count,
		                        .end = end,
		                        .out = out};
	return s;
}

void rein_csv_free(struct rein_sink *s)
{
	free(s);
}
