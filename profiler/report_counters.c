// SPDX-License-Identifier: Apache-2.0
/* The counters of an export (export.h), as a sink that keeps the greatest value of each moment. */
#include <errno.h>
#include <stdlib.h>

#include "export.h"
#include "report_int.h"

#define COUNTERS 64u /* the first so many; those that stay 0 are left out */

struct counter {
	uint32_t track;
	const struct rein_track *process;
	char name[64], owner[64];
	unsigned bin; /* the one that is being filled */
	uint64_t now;
	uint64_t values[REIN_REPORT_BINS];
};

struct counters {
	struct rein_sink sink; /* first */
	uint64_t from_ns, until_ns;
	unsigned n;
	struct counter all[COUNTERS];
};

static void begin(struct rein_sink *s, const struct rein_sorted_epoch *epochs, unsigned n)
{
}

static void track(struct rein_sink *s, const struct rein_track *t)
{
	struct counters *c = (struct counters *)s;
	if (t->kind != REIN_TRACK_COUNTER || c->n == COUNTERS)
		return;
	struct counter *counter = &c->all[c->n++];
	counter->track = t->id;
	snprintf(counter->name, sizeof(counter->name), "%s", t->name);
	if (t->parent && t->parent->kind == REIN_TRACK_PROCESS)
		snprintf(counter->owner, sizeof(counter->owner), "%s", t->parent->name);
}

static void event(struct rein_sink *s, const struct rein_event *e)
{
}

/* It keeps its value until then. */
static void carry(struct counter *c, unsigned bin)
{
	while (c->bin < bin)
		c->values[++c->bin] = c->now;
}

static void count(struct rein_sink *s, const struct rein_track *t, uint64_t ns, uint64_t value)
{
	struct counters *c = (struct counters *)s;
	uint64_t span_ns = c->until_ns - c->from_ns;
	for (unsigned i = 0; i < c->n; i++) {
		struct counter *counter = &c->all[i];
		if (counter->track != t->id || ns < c->from_ns)
			continue;
		uint64_t bin =
		    (uint64_t)((double)(ns - c->from_ns) / (double)span_ns * REIN_REPORT_BINS);
		carry(counter, bin < REIN_REPORT_BINS ? (unsigned)bin : REIN_REPORT_BINS - 1);
		counter->now = value;
		if (value > counter->values[counter->bin])
			counter->values[counter->bin] = value;
		return;
	}
}

static void end(struct rein_sink *s)
{
	struct counters *c = (struct counters *)s;
	for (unsigned i = 0; i < c->n; i++)
		carry(&c->all[i], REIN_REPORT_BINS - 1);
}

static bool is_zero(const struct counter *c)
{
	for (unsigned i = 0; i < REIN_REPORT_BINS; i++)
		if (c->values[i])
			return false;
	return true;
}

static void put(struct json *j, const struct counter *c)
{
	rein_json_open(j, NULL, '{');
	rein_json_text(j, "name", c->name);
	rein_json_text(j, "process", c->owner);
	rein_json_open(j, "values", '[');
	for (unsigned i = 0; i < REIN_REPORT_BINS; i++)
		rein_json_number(j, NULL, c->values[i]);
	rein_json_close(j, ']');
	rein_json_close(j, '}');
}

int rein_report_counters(struct json *j, const struct rein_recording *r, uint64_t from_ns,
                         uint64_t until_ns)
{
	const struct rein_export_wish wish = {.from_ns = from_ns};
	struct rein_export_result result;
	struct counters *c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->sink = (struct rein_sink){.begin = begin,
	                             .track = track,
	                             .slice = event,
	                             .instant = event,
	                             .count = count,
	                             .end = end};
	c->from_ns = from_ns;
	c->until_ns = until_ns > from_ns ? until_ns : from_ns + 1;
	int err = rein_export(r, &wish, &c->sink, &result);
	rein_json_open(j, "counters", '[');
	for (unsigned i = 0; !err && i < c->n; i++)
		if (!is_zero(&c->all[i]))
			put(j, &c->all[i]);
	rein_json_close(j, ']');
	free(c);
	return err;
}
