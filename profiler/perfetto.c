// SPDX-License-Identifier: Apache-2.0
#include "perfetto.h"

#include <stdlib.h>

#include "map.h"

#define SEQUENCE 1u /* all packets are on it */
#define TEXT_MAX 255u
#define KEYS 256u

enum { /* field numbers */
       TRACE_PACKET = 1,
       PACKET_CLOCK_SNAPSHOT = 6,
       PACKET_TIMESTAMP = 8,
       PACKET_SEQUENCE_ID = 10,
       PACKET_TRACK_EVENT = 11,
       PACKET_INTERNED_DATA = 12,
       PACKET_SEQUENCE_FLAGS = 13,
       PACKET_DEFAULTS = 59,
       PACKET_TRACK_DESCRIPTOR = 60,
       DEFAULTS_CLOCK_ID = 58,
       SNAPSHOT_CLOCKS = 1,
       SNAPSHOT_PRIMARY = 2,
       CLOCK_ID = 1,
       CLOCK_TIMESTAMP = 2,
       DESCRIPTOR_UUID = 1,
       DESCRIPTOR_NAME = 2,
       DESCRIPTOR_PROCESS = 3,
       DESCRIPTOR_THREAD = 4,
       DESCRIPTOR_PARENT = 5,
       DESCRIPTOR_COUNTER = 8,
       PROCESS_PID = 1,
       PROCESS_NAME = 6,
       PROCESS_LABELS = 8,
       THREAD_PID = 1,
       THREAD_TID = 2,
       COUNTER_UNIT = 3,
       EVENT_CATEGORY_IIDS = 3,
       EVENT_ANNOTATIONS = 4,
       EVENT_TYPE = 9,
       EVENT_NAME_IID = 10,
       EVENT_TRACK = 11,
       EVENT_NAME = 23,
       EVENT_COUNTER_VALUE = 30,
       EVENT_FLOWS = 47,
       EVENT_ENDING_FLOWS = 48,
       ANNOTATION_NAME_IID = 1,
       ANNOTATION_BOOL = 2,
       ANNOTATION_UINT = 3,
       ANNOTATION_STRING = 6,
       ANNOTATION_STRING_IID = 17,
       INTERNED_CATEGORIES = 1,
       INTERNED_NAMES = 2,
       INTERNED_ANNOTATION_NAMES = 3,
       INTERNED_STRINGS = 29,
       ENTRY_IID = 1,
       ENTRY_TEXT = 2,
};

enum { CLEARED = 1, NEEDS_STATE = 2 };                             /* sequence_flags */
enum { SLICE_BEGIN = 1, SLICE_END = 2, INSTANT = 3, COUNTER = 4 }; /* TrackEvent.Type */
enum { REALTIME = 1, MONOTONIC = 3 };                              /* BuiltinClock */
enum { UNIT_COUNT = 2 };

/* A message while it is made. Nothing in it exceeds it: an event has at most REIN_ARGS_MAX + 2
 * strings of TEXT_MAX. */
struct message {
	size_t n;
	uint8_t bytes[16384];
};

struct string {
	uint64_t key[3]; /* space, length, hash */
	uint32_t iid;
	char text[];
};

struct perfetto {
	struct rein_sink sink; /* first */
	struct rein_map strings;
	uint32_t last_iid;
	struct { /* literals that were interned, by their addresses */
		const char *text;
		unsigned space;
		uint32_t iid;
	} keys[KEYS];
	struct message head, packet, event, interned;
};

static struct perfetto *self(struct rein_sink *s)
{
	return (struct perfetto *)s;
}

/* ---------------------------------------------------------------- encoding */

static void varint(struct message *m, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		m->bytes[m->n++] = (uint8_t)(v | 0x80);
	m->bytes[m->n++] = (uint8_t)v;
}

static void number(struct message *m, unsigned field, uint64_t v)
{
	varint(m, field << 3); /* wire type 0 */
	varint(m, v);
}

static void fixed64(struct message *m, unsigned field, uint64_t v)
{
	varint(m, field << 3 | 1);
	for (unsigned i = 0; i < 8; i++)
		m->bytes[m->n++] = (uint8_t)(v >> 8 * i);
}

static void text(struct message *m, unsigned field, const char *s)
{
	size_t n = strnlen(s, TEXT_MAX);
	varint(m, field << 3 | 2);
	varint(m, n);
	memcpy(m->bytes + m->n, s, n);
	m->n += n;
}

/* A message within: open() returns what close() wants. Most are shorter than 128 bytes. */
static size_t open_in(struct message *m, unsigned field)
{
	varint(m, field << 3 | 2);
	return ++m->n;
}

static void close_in(struct message *m, size_t from)
{
	size_t n = m->n - from;
	if (n >= 0x80) {
		memmove(m->bytes + from + 1, m->bytes + from, n);
		m->bytes[from] = (uint8_t)(n >> 7);
		m->n++;
	}
	m->bytes[from - 1] = (uint8_t)(n < 0x80 ? n : (n | 0x80));
}

static void submessage(struct message *m, unsigned field, const struct message *from)
{
	varint(m, field << 3 | 2);
	varint(m, from->n);
	memcpy(m->bytes + m->n, from->bytes, from->n);
	m->n += from->n;
}

/* ---------------------------------------------------------------- strings */

/* Its number, which the packet that is being made defines if it is new; 0: there are too many. */
static uint32_t intern(struct perfetto *p, unsigned space, const char *s)
{
	uint64_t hash = 0xcbf29ce484222325ull; /* FNV-1a */
	size_t n = strnlen(s, TEXT_MAX);
	for (size_t i = 0; i < n; i++)
		hash = (hash ^ (uint8_t)s[i]) * 0x100000001b3ull;
	struct string *found = rein_map_at(&p->strings, space, n, hash, sizeof(*found) + n);
	if (!found || (found->iid && memcmp(found->text, s, n) != 0))
		return 0;
	if (!found->iid) {
		found->iid = ++p->last_iid;
		memcpy(found->text, s, n);
		size_t entry = open_in(&p->interned, space);
		number(&p->interned, ENTRY_IID, found->iid);
		text(&p->interned, ENTRY_TEXT, s);
		close_in(&p->interned, entry);
	}
	return found->iid;
}

/* The same for a literal, by its address. */
static uint32_t intern_key(struct perfetto *p, unsigned space, const char *literal)
{
	size_t i = (size_t)rein_mix((uintptr_t)literal + space) % KEYS;
	if (p->keys[i].text != literal || p->keys[i].space != space) {
		p->keys[i].text = literal;
		p->keys[i].space = space;
		p->keys[i].iid = intern(p, space, literal);
	}
	return p->keys[i].iid;
}

/* ---------------------------------------------------------------- packets */

static struct message *packet(struct perfetto *p)
{
	p->packet.n = 0;
	number(&p->packet, PACKET_SEQUENCE_ID, SEQUENCE);
	return &p->packet;
}

static void write_packet(struct perfetto *p)
{
	p->head.n = 0;
	varint(&p->head, TRACE_PACKET << 3 | 2);
	varint(&p->head, p->packet.n);
	fwrite(p->head.bytes, 1, p->head.n, p->sink.out);
	fwrite(p->packet.bytes, 1, p->packet.n, p->sink.out);
}

/* The packet of p->event, with the strings that it is the first to need. */
static void write_event(struct perfetto *p, uint64_t ns)
{
	struct message *m = packet(p);
	number(m, PACKET_TIMESTAMP, ns);
	number(m, PACKET_SEQUENCE_FLAGS, NEEDS_STATE);
	if (p->interned.n)
		submessage(m, PACKET_INTERNED_DATA, &p->interned);
	submessage(m, PACKET_TRACK_EVENT, &p->event);
	p->interned.n = 0;
	write_packet(p);
}

static void begin(struct rein_sink *s, const struct rein_sorted_epoch *epochs, unsigned n)
{
	struct perfetto *p = self(s);
	struct message *m;
	for (unsigned i = 0; i < n; i++) {
		const uint64_t clocks[][2] = {{MONOTONIC, epochs[i].begun_ns},
		                              {REALTIME, epochs[i].real_ns}};
		m = packet(p);
		size_t snapshot = open_in(m, PACKET_CLOCK_SNAPSHOT);
		for (unsigned k = 0; k < REIN_ARRAY_LEN(clocks); k++) {
			size_t clock = open_in(m, SNAPSHOT_CLOCKS);
			number(m, CLOCK_ID, clocks[k][0]);
			number(m, CLOCK_TIMESTAMP, clocks[k][1]);
			close_in(m, clock);
		}
		number(m, SNAPSHOT_PRIMARY, MONOTONIC);
		close_in(m, snapshot);
		write_packet(p);
	}
	m = packet(p);
	number(m, PACKET_SEQUENCE_FLAGS, CLEARED);
	size_t defaults = open_in(m, PACKET_DEFAULTS);
	number(m, DEFAULTS_CLOCK_ID, MONOTONIC);
	close_in(m, defaults);
	write_packet(p);
}

static void put_process(struct message *m, const struct rein_track *t)
{
	char label[32] = "without rein";
	size_t process = open_in(m, DESCRIPTOR_PROCESS);
	if (t->managed)
		snprintf(label, sizeof(label), "priority %u", t->prio);
	number(m, PROCESS_PID, t->pid);
	text(m, PROCESS_NAME, t->name);
	text(m, PROCESS_LABELS, label);
	close_in(m, process);
}

static void track(struct rein_sink *s, const struct rein_track *t)
{
	struct perfetto *p = self(s);
	struct message *m = packet(p);
	size_t descriptor = open_in(m, PACKET_TRACK_DESCRIPTOR), in;
	number(m, DESCRIPTOR_UUID, t->id);
	switch (t->kind) {
	case REIN_TRACK_PROCESS:
		put_process(m, t);
		break;
	case REIN_TRACK_THREAD:
		in = open_in(m, DESCRIPTOR_THREAD);
		number(m, THREAD_PID, t->pid);
		number(m, THREAD_TID, t->tid);
		close_in(m, in);
		break;
	case REIN_TRACK_COUNTER:
		in = open_in(m, DESCRIPTOR_COUNTER);
		number(m, COUNTER_UNIT, UNIT_COUNT);
		close_in(m, in);
		text(m, DESCRIPTOR_NAME, t->name);
		break;
	default:
		text(m, DESCRIPTOR_NAME, t->name);
		break;
	}
	if (t->parent)
		number(m, DESCRIPTOR_PARENT, t->parent->id);
	close_in(m, descriptor);
	write_packet(p);
}

/* ---------------------------------------------------------------- events */

static struct message *event(struct perfetto *p, unsigned type, const struct rein_track *t)
{
	p->event.n = 0;
	number(&p->event, EVENT_TYPE, type);
	number(&p->event, EVENT_TRACK, t->id);
	return &p->event;
}

static void put_arg(struct perfetto *p, const struct rein_arg *a)
{
	struct message *m = &p->event;
	uint32_t key = intern_key(p, INTERNED_ANNOTATION_NAMES, a->key);
	uint32_t value = a->text ? intern(p, INTERNED_STRINGS, a->text) : 0;
	size_t in = open_in(m, EVENT_ANNOTATIONS);
	number(m, ANNOTATION_NAME_IID, key);
	if (value)
		number(m, ANNOTATION_STRING_IID, value);
	else if (a->text)
		text(m, ANNOTATION_STRING, a->text);
	else
		number(m, a->is_bool ? ANNOTATION_BOOL : ANNOTATION_UINT, a->number);
	close_in(m, in);
}

static void put_event(struct perfetto *p, unsigned type, const struct rein_event *e)
{
	struct message *m = event(p, type, e->track);
	uint32_t name = intern(p, INTERNED_NAMES, e->name);
	number(m, EVENT_CATEGORY_IIDS, intern_key(p, INTERNED_CATEGORIES, e->category));
	if (name)
		number(m, EVENT_NAME_IID, name);
	else
		text(m, EVENT_NAME, e->name);
	for (unsigned i = 0; i < e->n_args; i++)
		put_arg(p, &e->arg[i]);
	if (e->flow_part == REIN_FLOW_BEGINS || e->flow_part == REIN_FLOW_PASSES)
		fixed64(m, EVENT_FLOWS, e->flow);
	if (e->flow_part == REIN_FLOW_ENDS)
		fixed64(m, EVENT_ENDING_FLOWS, e->flow);
	write_event(p, e->begin_ns);
}

static void slice(struct rein_sink *s, const struct rein_event *e)
{
	struct perfetto *p = self(s);
	put_event(p, SLICE_BEGIN, e);
	struct message *m = event(p, SLICE_END, e->track);
	if (e->flow_part == REIN_FLOW_RETURNS)
		fixed64(m, EVENT_ENDING_FLOWS, e->flow);
	write_event(p, e->end_ns);
}

static void instant(struct rein_sink *s, const struct rein_event *e)
{
	put_event(self(s), INSTANT, e);
}

static void count(struct rein_sink *s, const struct rein_track *t, uint64_t ns, uint64_t value)
{
	struct perfetto *p = self(s);
	number(event(p, COUNTER, t), EVENT_COUNTER_VALUE, value);
	write_event(p, ns);
}

static void end(struct rein_sink *s)
{
}

struct rein_sink *rein_perfetto_new(FILE *out)
{
	struct perfetto *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->strings.limit = REIN_PERFETTO_STRINGS;
	p->sink = (struct rein_sink){.begin = begin,
	                             .track = track,
	                             .slice = slice,
	                             .instant = instant,
	                             .count = count,
	                             .end = end,
	                             .out = out};
	return &p->sink;
}

void rein_perfetto_free(struct rein_sink *s)
{
	struct perfetto *p = self(s);
	if (!p)
		return;
	rein_map_free(&p->strings);
	free(p);
}
