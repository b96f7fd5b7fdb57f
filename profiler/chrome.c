// SPDX-License-Identifier: Apache-2.0
#include "chrome.h"

#include <errno.h>
#include <stdlib.h>

#include "../common/clock.h"
#include "entry_names.h" /* generated */

/* A client of one daemon: `epoch` counts the daemons that wrote the recording. */
#define WHO(epoch, client) ((uint64_t)(epoch) << 32 | (client))

struct client {
	uint64_t who;
	uint32_t pid;
	uint16_t prio;
	uint64_t joined_ns, left_ns; /* left 0: it had not ended */
	char name[sizeof(((struct rein_trace_name *)0)->name) + 1];
};

struct kernel {
	uint64_t who, key;
	char name[sizeof(((struct rein_trace_name *)0)->name) + 1];
};

struct mark {
	uint64_t who, request, ns, deadline_ns;
	uint8_t kind, group;
};
enum { GROUP_ACTIVE, GROUP_REQUEST };

struct list {
	void *items;
	size_t n, room, size;
};

struct epoch {
	uint64_t begun_ns, newest_ns;
	bool cut;
};

struct chrome {
	FILE *out;
	const struct rein_chrome_wish *wish;
	struct rein_chrome_result *result;
	uint64_t from_ns;
	unsigned epoch;
	struct epoch epochs[REIN_ARRAY_LEN(((struct rein_recording *)0)->segment)];
	struct list clients, kernels, marks;
};

/* ---------------------------------------------------------------- lists */

static void *add(struct list *l)
{
	if (l->n == l->room) {
		size_t room = l->room ? l->room * 2 : 64;
		void *items = reallocarray(l->items, room, l->size);
		if (!items)
			return NULL;
		l->items = items;
		l->room = room;
	}
	return (char *)l->items + l->size * l->n++;
}

static int order(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int by_who(const void *x, const void *y)
{
	return order(((const struct client *)x)->who, ((const struct client *)y)->who);
}

static int by_key(const void *x, const void *y)
{
	const struct kernel *a = x, *b = y;
	int o = order(a->who, b->who);
	return o ? o : order(a->key, b->key);
}

static int by_story(const void *x, const void *y)
{
	const struct mark *a = x, *b = y;
	int o = order(a->who, b->who);
	o = o ? o : order(a->group, b->group);
	o = o ? o : order(a->request, b->request);
	o = o ? o : order(a->ns, b->ns);
	return o ? o : order(a->kind, b->kind);
}

static void sort(struct list *l, int (*by)(const void *, const void *))
{
	if (l->n)
		qsort(l->items, l->n, l->size, by);
}

static void *find(const struct list *l, const void *key, int (*by)(const void *, const void *))
{
	return l->n ? bsearch(key, l->items, l->n, l->size, by) : NULL;
}

static struct client *client_of(const struct chrome *c, uint64_t who)
{
	const struct client key = {.who = who};
	return find(&c->clients, &key, by_who);
}

/* ---------------------------------------------------------------- JSON */

static void text(FILE *out, const char *s)
{
	fputc('"', out);
	for (; *s; s++) {
		unsigned char ch = (unsigned char)*s;
		if (ch == '"' || ch == '\\')
			fprintf(out, "\\%c", ch);
		else
			fputc(ch >= ' ' && ch < 0x7f ? ch : '?', out);
	}
	fputc('"', out);
}

static void micros(FILE *out, const char *key, uint64_t ns)
{
	fprintf(out, ",\"%s\":%llu.%03u", key, (unsigned long long)(ns / 1000),
	        (unsigned)(ns % 1000));
}

/* Opens an event; its caller adds members and closes the brace. */
static FILE *event(struct chrome *c, char phase, const char *category, const char *name,
                   uint64_t who, uint32_t thread, uint64_t ns)
{
	const struct client *client = client_of(c, who);
	fprintf(c->out, "%s\n{\"ph\":\"%c\",\"pid\":%u,\"tid\":%u,\"cat\":\"%s\",\"name\":",
	        c->result->events++ ? "," : "", phase,
	        client ? client->pid : 0x40000000u | (uint32_t)who, thread, category);
	text(c->out, name);
	micros(c->out, "ts", ns);
	if (!c->result->from_ns || ns < c->result->from_ns)
		c->result->from_ns = ns;
	if (ns > c->result->until_ns)
		c->result->until_ns = ns;
	return c->out;
}

static FILE *slice(struct chrome *c, const char *category, const char *name, uint64_t who,
                   uint32_t thread, uint64_t begin_ns, uint64_t end_ns)
{
	FILE *out = event(c, 'X', category, name, who, thread, begin_ns);
	micros(out, "dur", end_ns - begin_ns);
	if (end_ns > c->result->until_ns)
		c->result->until_ns = end_ns;
	fputs(",\"args\":{", out);
	return out;
}

/* ---------------------------------------------------------------- the first pass */

static const char *name_of(char *buf, const struct rein_trace_name *n)
{
	memcpy(buf, n->name, sizeof(n->name));
	buf[sizeof(n->name)] = 0;
	return buf;
}

/* Named in each segment; the last naming counts. */
static int note_client(struct chrome *c, const struct rein_trace_name *n)
{
	struct client *k = add(&c->clients);
	if (!k)
		return -ENOMEM;
	*k = (struct client){
	    .who = WHO(c->epoch, n->client), .pid = n->pid, .prio = n->prio, .joined_ns = n->key};
	name_of(k->name, n);
	return 0;
}

static int note_kernel(struct chrome *c, const struct rein_trace_name *n)
{
	struct kernel *k = add(&c->kernels);
	if (!k)
		return -ENOMEM;
	*k = (struct kernel){.who = WHO(c->epoch, n->client), .key = n->key};
	name_of(k->name, n);
	return 0;
}

static int note_mark(struct chrome *c, const struct rein_trace_record *r)
{
	bool declared = r->kind == REIN_TRACE_REQUEST_BEGIN || r->kind == REIN_TRACE_REQUEST_END;
	struct mark *m = add(&c->marks);
	if (!m)
		return -ENOMEM;
	*m = (struct mark){.who = WHO(c->epoch, r->stamp),
	                   .request = declared ? r->func : 0,
	                   .ns = r->begin,
	                   .deadline_ns = r->flags & REIN_TRACE_DEADLINE ? r->a : 0,
	                   .kind = r->kind,
	                   .group = declared ? GROUP_REQUEST : GROUP_ACTIVE};
	return 0;
}

static int first_look(void *arg, const struct rein_trace_record *r)
{
	struct chrome *c = arg;
	struct epoch *e = &c->epochs[c->epoch];
	switch (r->kind) {
	case REIN_TRACE_CLIENT:
		return note_client(c, (const void *)r);
	case REIN_TRACE_KERNEL:
		return note_kernel(c, (const void *)r);
	case REIN_TRACE_ACTIVE:
	case REIN_TRACE_IDLE:
	case REIN_TRACE_REQUEST_BEGIN:
	case REIN_TRACE_REQUEST_END:
	case REIN_TRACE_LEFT:
		if (r->end > e->newest_ns)
			e->newest_ns = r->end;
		return note_mark(c, r);
	default:
		if (r->end > e->newest_ns)
			e->newest_ns = r->end;
		return 0;
	}
}

/* Equal ones are one: each segment named them again. */
static void unique(struct list *l, int (*by)(const void *, const void *))
{
	size_t kept = 0;
	char *items = l->items;
	sort(l, by);
	for (size_t i = 0; i < l->n; i++) {
		if (kept && by(items + (kept - 1) * l->size, items + i * l->size) == 0)
			continue;
		memmove(items + kept++ * l->size, items + i * l->size, l->size);
	}
	l->n = kept;
}

static void note_left(struct chrome *c)
{
	const struct mark *m = c->marks.items;
	for (size_t i = 0; i < c->marks.n; i++) {
		struct client *client = client_of(c, m[i].who);
		if (m[i].kind == REIN_TRACE_LEFT && client)
			client->left_ns = m[i].ns;
	}
}

/* ---------------------------------------------------------------- marks */

/* When what began before the first record of it did so at the latest. */
static uint64_t begin_of(const struct chrome *c, uint64_t who)
{
	const struct client *client = client_of(c, who);
	uint64_t begun_ns = c->epochs[who >> 32].begun_ns;
	return client && client->joined_ns > begun_ns ? client->joined_ns : begun_ns;
}

/* When what is still open counts as over, and why. */
static uint64_t end_of(const struct chrome *c, uint64_t who, const char **why)
{
	const struct client *client = client_of(c, who);
	const struct epoch *e = &c->epochs[who >> 32];
	*why = client && client->left_ns ? "its process ended"
	       : e->cut                  ? "the recording was cut"
	                                 : "still going on";
	return client && client->left_ns ? client->left_ns : e->newest_ns;
}

static void active_slice(struct chrome *c, uint64_t who, uint64_t begin_ns, uint64_t end_ns,
                         const char *note)
{
	if (end_ns < c->from_ns || end_ns < begin_ns)
		return;
	FILE *out = slice(c, "active", "active", who, 0, begin_ns, end_ns);
	if (note) {
		fputs("\"cut\":", out);
		text(out, note);
	}
	fputs("}}", out);
}

/* One client's, by time. Returns how many marks it took. */
static size_t tell_active(struct chrome *c, const struct mark *m, size_t n)
{
	uint64_t since_ns = 0, who = m->who;
	const char *why;
	size_t i = 0;
	for (; i < n && m[i].who == who && m[i].group == GROUP_ACTIVE; i++) {
		if (m[i].kind == REIN_TRACE_LEFT)
			continue;
		if (m[i].kind == REIN_TRACE_IDLE && since_ns)
			active_slice(c, who, since_ns, m[i].ns, NULL);
		else if (m[i].kind == REIN_TRACE_IDLE && i == 0)
			active_slice(c, who, begin_of(c, who), m[i].ns,
			             "it began before the recording");
		else if (since_ns) /* its end was lost */
			active_slice(c, who, since_ns, m[i].ns, "its end was lost");
		since_ns = m[i].kind == REIN_TRACE_ACTIVE ? m[i].ns : 0;
	}
	uint64_t end_ns = end_of(c, who, &why);
	if (since_ns)
		active_slice(c, who, since_ns, end_ns, why);
	return i;
}

/* One declared request: its begin and its end, as far as they are there. */
static size_t tell_request(struct chrome *c, const struct mark *m, size_t n)
{
	const struct mark *begin = NULL, *end = NULL;
	const char *why = NULL;
	char id[32];
	size_t i = 0;
	for (; i < n && m[i].who == m->who && m[i].group == GROUP_REQUEST &&
	       m[i].request == m->request;
	     i++)
		*(m[i].kind == REIN_TRACE_REQUEST_BEGIN ? &begin : &end) = &m[i];
	uint64_t end_ns = end ? end->ns : end_of(c, m->who, &why);
	if (!begin || end_ns < c->from_ns || end_ns < begin->ns)
		return i;
	snprintf(id, sizeof(id), ",\"id\":\"0x%llx\"", (unsigned long long)m->request);
	FILE *out = event(c, 'b', "request", "request", m->who, 0, begin->ns);
	fputs(id, out);
	fputs(",\"args\":{", out);
	if (begin->deadline_ns)
		fprintf(out, "\"deadline_us\":%llu,\"late\":%s",
		        (unsigned long long)(begin->deadline_ns - begin->ns) / 1000,
		        end_ns > begin->deadline_ns ? "true" : "false");
	fputs("}}", out);
	out = event(c, 'e', "request", "request", m->who, 0, end_ns);
	fputs(id, out);
	fputs(",\"args\":{", out);
	if (why) {
		fputs("\"cut\":", out);
		text(out, why);
	}
	fputs("}}", out);
	return i;
}

static void tell_marks(struct chrome *c)
{
	const struct mark *m = c->marks.items;
	size_t i = 0, n = c->marks.n;
	while (i < n)
		i += m[i].group == GROUP_ACTIVE ? tell_active(c, m + i, n - i)
		                                : tell_request(c, m + i, n - i);
}

/* ---------------------------------------------------------------- the second pass */

static int by_entry(const void *x, const void *y)
{
	return order(((const struct rein_entry_name *)x)->id,
	             ((const struct rein_entry_name *)y)->id);
}

static const char *entry_name(uint32_t id)
{
	const struct rein_entry_name key = {.id = id};
	const struct rein_entry_name *e = bsearch(
	    &key, rein_entry_names, REIN_ARRAY_LEN(rein_entry_names), sizeof(key), by_entry);
	return e ? e->name : "an entry point that this rein does not know";
}

static void put_stream(FILE *out, uint32_t stream)
{
	if (stream == UINT32_MAX)
		return;
	fprintf(out, ",\"stream\":%u,\"device\":%u,\"context\":%u", stream & 0xffff,
	        stream >> 16 & 0xff, stream >> 24);
}

static void put_shape(FILE *out, const struct rein_trace_record *r)
{
	if (r->b >> 32)
		fprintf(out, ",\"grid\":[%u,%u,%u],\"block\":[%u,%u,%u],\"shared\":%u",
		        (uint32_t)r->a, (uint32_t)(r->a >> 32 & 0xffff), (uint32_t)(r->a >> 48),
		        (uint32_t)(r->b >> 32 & 0xfff), (uint32_t)(r->b >> 44 & 0xfff),
		        (uint32_t)(r->b >> 56), (uint32_t)r->b);
	else if (r->a)
		fprintf(out, ",\"bytes\":%llu", (unsigned long long)r->a);
}

static void tell_call(struct chrome *c, const struct rein_trace_record *r)
{
	bool submits = r->kind == REIN_TRACE_SUBMIT;
	const char *entry = entry_name(r->entry);
	const struct kernel key = {.who = WHO(c->epoch, r->stamp), .key = rein_trace_key(r)};
	const struct kernel *k = key.key ? find(&c->kernels, &key, by_key) : NULL;
	FILE *out = slice(c, submits ? "submit" : "sync", k ? k->name : entry, key.who, r->thread,
	                  r->begin, r->end);
	fprintf(out, "\"entry\":\"%s\"", entry);
	put_stream(out, r->stream);
	fprintf(out, ",\"%s\":%u", submits ? "number" : "completes", r->number);
	if (submits)
		put_shape(out, r);
	if (r->result)
		fprintf(out, ",\"result\":%u", r->result);
	fputs("}}", out);
}

static void tell_wait(struct chrome *c, const struct rein_trace_record *r)
{
	uint64_t who = WHO(c->epoch, r->stamp);
	bool gate = r->kind == REIN_TRACE_GATE;
	FILE *out = slice(c, gate ? "gate" : "backlog", gate ? "gate closed" : "backlog full", who,
	                  r->thread, r->begin, r->end);
	fprintf(out, "\"lapsed\":%s", r->flags & REIN_TRACE_LAPSED ? "true" : "false");
	put_stream(out, r->stream);
	if (gate && r->number) {
		const struct client *holder = client_of(c, WHO(c->epoch, r->number));
		fputs(",\"holder\":", out);
		text(out, holder ? holder->name : "unknown");
		fprintf(out, ",\"holder_pid\":%u", holder ? holder->pid : 0);
	}
	if (r->flags & REIN_TRACE_BACKGROUND)
		fputs(",\"background\":true", out);
	fputs("}}", out);
}

static void tell_note(struct chrome *c, const struct rein_trace_record *r)
{
	char name[64] = "its process ended";
	if (r->kind == REIN_TRACE_LOST) {
		snprintf(name, sizeof(name), "%llu events lost", (unsigned long long)r->a);
		c->result->lost += r->a;
	}
	fputs(",\"s\":\"p\"}", event(c, 'i', "recorder", name, WHO(c->epoch, r->stamp), 0, r->end));
}

static int second_look(void *arg, const struct rein_trace_record *r)
{
	struct chrome *c = arg;
	if (r->end < c->from_ns || r->end < r->begin)
		return 0;
	switch (r->kind) {
	case REIN_TRACE_SUBMIT:
	case REIN_TRACE_SYNC:
		tell_call(c, r);
		break;
	case REIN_TRACE_GATE:
	case REIN_TRACE_BACKLOG:
		tell_wait(c, r);
		break;
	case REIN_TRACE_LOST:
	case REIN_TRACE_LEFT:
		tell_note(c, r);
		break;
	default:
		break;
	}
	return ferror(c->out) ? -EIO : 0;
}

static void tell_cut(struct chrome *c, uint64_t ns)
{
	if (ns < c->from_ns)
		return;
	c->result->cuts++;
	fputs(",\"s\":\"g\"}",
	      event(c, 'i', "recorder", "the recording was cut here", WHO(c->epoch, 0), 0, ns));
}

/* ---------------------------------------------------------------- the whole */

static void tell_names(struct chrome *c)
{
	const struct client *k = c->clients.items;
	for (size_t i = 0; i < c->clients.n; i++) {
		if (k[i].left_ns && k[i].left_ns < c->from_ns)
			continue;
		c->result->clients++;
		fprintf(
		    c->out,
		    "%s\n{\"ph\":\"M\",\"pid\":%u,\"name\":\"process_name\",\"args\":{\"name\":",
		    c->result->events++ ? "," : "", k[i].pid);
		text(c->out, k[i].name);
		fprintf(
		    c->out,
		    "}},\n{\"ph\":\"M\",\"pid\":%u,\"name\":\"process_labels\",\"args\":{"
		    "\"labels\":\"priority %u\"}},\n{\"ph\":\"M\",\"pid\":%u,\"tid\":0,\"name\":"
		    "\"thread_name\",\"args\":{\"name\":\"active\"}}",
		    k[i].pid, k[i].prio, k[i].pid);
	}
}

static int pass(struct chrome *c, const struct rein_recording *r, bool first)
{
	int err = 0;
	c->epoch = 0;
	for (unsigned i = 0; !err && i < r->n; i++) {
		const struct rein_segment *s = &r->segment[i];
		struct epoch *e = &c->epochs[c->epoch];
		if (first && (i == 0 || r->segment[i - 1].last))
			e->begun_ns = s->header.begun_ns;
		err = rein_recording_read(r, i, first ? first_look : second_look, c);
		if (s->last) {
			if (!e->newest_ns) /* it was cut before the first record */
				e->newest_ns = e->begun_ns;
			e->cut = !s->header.ended_ns && !(c->wish->alive && i + 1 == r->n);
			if (!first && e->cut)
				tell_cut(c, e->newest_ns);
			c->epoch++;
		}
	}
	return err;
}

static void choose_from(struct chrome *c)
{
	uint64_t newest_ns = c->epoch ? c->epochs[c->epoch - 1].newest_ns : 0;
	c->from_ns = c->wish->from_ns;
	if (c->wish->last_ns)
		c->from_ns = newest_ns > c->wish->last_ns ? newest_ns - c->wish->last_ns : 0;
}

int rein_chrome_write(FILE *out, const struct rein_recording *r,
                      const struct rein_chrome_wish *wish, struct rein_chrome_result *result)
{
	struct chrome c = {.out = out,
	                   .wish = wish,
	                   .result = result,
	                   .clients = {.size = sizeof(struct client)},
	                   .kernels = {.size = sizeof(struct kernel)},
	                   .marks = {.size = sizeof(struct mark)}};
	memset(result, 0, sizeof(*result));
	int err = pass(&c, r, true);
	if (!err) {
		choose_from(&c);
		unique(&c.clients, by_who);
		unique(&c.kernels, by_key);
		sort(&c.marks, by_story);
		note_left(&c);
		fputs("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[", out);
		tell_names(&c);
		tell_marks(&c);
		err = pass(&c, r, false);
		fputs("\n]}\n", out);
		if (!err && ferror(out))
			err = -EIO;
	}
	free(c.clients.items);
	free(c.kernels.items);
	free(c.marks.items);
	return err;
}
