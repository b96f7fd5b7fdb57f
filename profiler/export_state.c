// SPDX-License-Identifier: Apache-2.0
#include <errno.h>

#include "export_int.h"

#define DUE_MAX (1u << 22)      /* records that overlap, at most */
#define SHOWN 3                 /* names in one slice's */
#define UNKNOWN_PID 0x40000000u /* + its number: a client that nothing named */

/* ---------------------------------------------------------------- clients */

struct client *rein_export_client(struct export *x, uint64_t who)
{
	struct client *c = rein_map_at(&x->clients, who, 0, 0, sizeof(*c));
	if (!c) {
		x->err = -ENOMEM;
	} else if (!c->known) {
		const struct rein_named *named = rein_names_client(&x->names, who);
		c->known = true;
		c->pid = named ? named->pid : UNKNOWN_PID | (uint32_t)who;
		c->name = named ? named->name : "unknown";
		c->wanted = rein_export_wants(x, c->pid);
	}
	return c;
}

/* ---------------------------------------------------------------- what is due */

struct due {
	uint64_t ns, seq; /* seq: of those at one time the first asked for comes first */
	enum due_what what;
	void *subject;
	uint64_t value;
};

static bool before(const struct due *a, const struct due *b)
{
	return a->ns != b->ns ? a->ns < b->ns : a->seq < b->seq;
}

/* A binary heap, the earliest first. */
void rein_export_due(struct export *x, uint64_t ns, enum due_what what, void *subject,
                     uint64_t value)
{
	if (x->due.n == x->due.room) {
		size_t room = x->due.room ? x->due.room * 2 : 256;
		struct due *items =
		    room > DUE_MAX ? NULL : reallocarray(x->due.items, room, sizeof(*items));
		if (!items) {
			x->err = -ENOMEM;
			return;
		}
		x->due.items = items;
		x->due.room = room;
	}
	const struct due d = {ns, x->due.seq++, what, subject, value};
	size_t i = x->due.n++;
	for (; i && before(&d, &x->due.items[(i - 1) / 2]); i = (i - 1) / 2)
		x->due.items[i] = x->due.items[(i - 1) / 2];
	x->due.items[i] = d;
}

static struct due earliest(struct export *x)
{
	struct due *h = x->due.items;
	const struct due first = h[0], last = h[--x->due.n];
	size_t i = 0, n = x->due.n;
	for (size_t child; (child = 2 * i + 1) < n; i = child) {
		if (child + 1 < n && before(&h[child + 1], &h[child]))
			child++;
		if (!before(&h[child], &last))
			break;
		h[i] = h[child];
	}
	h[i] = last;
	return first;
}

static void complete(struct export *x, void *stream, uint64_t number, uint64_t ns);

static void waited(struct export *x, uint64_t ns)
{
	rein_export_count(x, rein_export_track(x, TRACK_WAITING, 0, 0), ns, --x->waiting);
}

void rein_export_catch_up(struct export *x, uint64_t ns)
{
	while (x->due.n && x->due.items[0].ns <= ns) {
		struct due d = earliest(x);
		switch (d.what) {
		case DUE_LEAVE:
			rein_export_leave(x, d.subject, d.ns, (struct client *)(uintptr_t)d.value);
			break;
		case DUE_COMPLETE:
			complete(x, d.subject, d.value, d.ns);
			break;
		case DUE_COUNT:
			rein_export_count_due(x, d.subject, d.ns);
			break;
		case DUE_WAITED:
			waited(x, d.ns);
			break;
		}
	}
}

void rein_export_waits(struct export *x, const struct rein_trace_record *r)
{
	rein_export_count(x, rein_export_track(x, TRACK_WAITING, 0, 0), r->begin, ++x->waiting);
	rein_export_due(x, r->end, DUE_WAITED, NULL, 0);
}

/* ---------------------------------------------------------------- sweeps */

struct sweep *rein_export_sweep(struct export *x, enum track_what what, uint64_t a,
                                const char *category)
{
	struct sweep *s = rein_map_at(&x->sweeps, what, a, 0, sizeof(*s));
	if (s && !s->category) {
		s->lane = rein_export_track(x, what, a, 0);
		s->category = category;
	}
	return s;
}

/* "lc", "lc + be", "lc + be + train + 2 more". */
static void join_names(const struct sweep *s, char *buf, size_t len)
{
	size_t at = 0, i = 0;
	for (; i < s->n && i < SHOWN; i++) {
		int n = snprintf(buf + at, len - at, "%s%s", i ? " + " : "",
		                 s->members[i].client->name);
		at += (size_t)n < len - at ? (size_t)n : len - at - 1;
	}
	if (i < s->n)
		snprintf(buf + at, len - at, " + %zu more", s->n - i);
}

/* What was so until now is written; from now on it is otherwise. */
static void turn(struct export *x, struct sweep *s, uint64_t ns)
{
	char name[200];
	if (s->n && ns > s->since_ns) {
		struct rein_event e = {
		    .category = s->category, .name = name, .begin_ns = s->since_ns, .end_ns = ns};
		join_names(s, name, sizeof(name));
		rein_event_number(&e, "programs", s->n);
		rein_export_slice(x, s->lane, &e);
	}
	s->since_ns = ns;
}

static size_t member(const struct sweep *s, const struct client *c)
{
	size_t i = 0;
	while (i < s->n && s->members[i].client != c)
		i++;
	return i;
}

void rein_export_enter(struct export *x, struct sweep *s, uint64_t ns, const struct client *c)
{
	if (!s || !c)
		return;
	size_t i = member(s, c);
	if (i < s->n) {
		s->members[i].count++;
		return;
	}
	if (s->n == s->room) {
		size_t room = s->room ? s->room * 2 : 8;
		struct member *members = reallocarray(s->members, room, sizeof(*members));
		if (!members) {
			x->err = -ENOMEM;
			return;
		}
		s->members = members;
		s->room = room;
	}
	turn(x, s, ns);
	for (i = s->n++; i && s->members[i - 1].client->key[0] > c->key[0]; i--)
		s->members[i] = s->members[i - 1]; /* by number: the same ones have one name */
	s->members[i] = (struct member){c, 1};
}

void rein_export_leave(struct export *x, struct sweep *s, uint64_t ns, const struct client *c)
{
	size_t i = s ? member(s, c) : 0;
	if (!s || i == s->n || --s->members[i].count)
		return;
	turn(x, s, ns);
	memmove(&s->members[i], &s->members[i + 1], (--s->n - i) * sizeof(s->members[0]));
}

void rein_export_stay(struct export *x, struct sweep *s, const struct rein_trace_record *r,
                      struct client *c)
{
	if (!s || !c)
		return;
	rein_export_enter(x, s, r->begin, c);
	rein_export_due(x, r->end, DUE_LEAVE, s, (uintptr_t)c);
}

/* ---------------------------------------------------------------- unfinished submissions */

struct stream {
	uint64_t key[3];
	struct client *client;
	uint32_t submitted, completed, idles;
};

static void show_unfinished(struct export *x, const struct client *c, uint64_t ns)
{
	if (c->wanted)
		rein_export_count(x, rein_export_track(x, TRACK_UNFINISHED, c->pid, 0), ns,
		                  c->unfinished);
}

static struct stream *stream_of(struct export *x, struct client *c,
                                const struct rein_trace_record *r)
{
	struct stream *s = r->stream == UINT32_MAX
	                       ? NULL
	                       : rein_map_at(&x->streams, c->key[0], r->stream, 0, sizeof(*s));
	if (s && (!s->client || s->idles != c->idles)) {
		s->client = c;
		s->idles = c->idles;
		s->submitted = s->completed = r->number - (r->kind == REIN_TRACE_SUBMIT);
	}
	return s;
}

void rein_export_submitted(struct export *x, struct client *c, const struct rein_trace_record *r)
{
	struct stream *s = stream_of(x, c, r);
	if (s && (int32_t)(r->number - s->submitted) > 0) {
		c->unfinished += r->number - s->submitted;
		s->submitted = r->number;
	}
	show_unfinished(x, c, r->begin);
	if (s && r->flags & REIN_TRACE_BLOCKING)
		rein_export_due(x, r->end, DUE_COMPLETE, s, r->number);
}

void rein_export_completes(struct export *x, struct client *c, const struct rein_trace_record *r)
{
	struct stream *s = stream_of(x, c, r);
	if (s)
		rein_export_due(x, r->end, DUE_COMPLETE, s, r->number);
}

static void complete(struct export *x, void *stream, uint64_t number, uint64_t ns)
{
	struct stream *s = stream;
	uint32_t to = (uint32_t)number;
	if (s->idles != s->client->idles)
		return;
	if ((int32_t)(to - s->submitted) > 0)
		to = s->submitted;
	if ((int32_t)(to - s->completed) <= 0)
		return;
	uint32_t n = to - s->completed;
	s->client->unfinished -= n < s->client->unfinished ? n : s->client->unfinished;
	s->completed = to;
	show_unfinished(x, s->client, ns);
}

void rein_export_idle(struct export *x, struct client *c, uint64_t ns)
{
	c->idles++;
	c->unfinished = 0;
	show_unfinished(x, c, ns);
}

/* ---------------------------------------------------------------- the end */

void rein_export_state_free(struct export *x)
{
	struct client *c;
	struct sweep *s;
	for (size_t i = 0; (c = rein_map_next(&x->clients, &i));)
		for (struct request *q = c->requests, *next; q; q = next) {
			next = q->next;
			free(q);
		}
	for (size_t i = 0; (s = rein_map_next(&x->sweeps, &i));)
		free(s->members);
	rein_map_free(&x->clients);
	rein_map_free(&x->streams);
	rein_map_free(&x->sweeps);
	free(x->due.items);
}
