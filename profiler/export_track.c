// SPDX-License-Identifier: Apache-2.0
#include "export_int.h"

#define LANES 64u /* tracks of one name */

/* ---------------------------------------------------------------- what a track is */

#define TOP TRACK_RECORDER /* stands for: no parent */

static const struct {
	enum rein_track_kind kind;
	enum track_what parent;
	const char *name;
	bool of_client; /* the name goes on with that of client `a` */
} whats[] = {
    [TRACK_PROCESS] = {REIN_TRACK_PROCESS, TOP, "", false},
    [TRACK_THREAD] = {REIN_TRACK_THREAD, TRACK_PROCESS, "thread", false},
    [TRACK_REQUESTS] = {REIN_TRACK_SLICES, TRACK_PROCESS, "requests", false},
    [TRACK_ACTIVE] = {REIN_TRACK_SLICES, TRACK_PROCESS, "active", false},
    [TRACK_HOLDS] = {REIN_TRACK_SLICES, TRACK_PROCESS, "holds", false},
    [TRACK_OUTSIDE] = {REIN_TRACK_SLICES, TRACK_PROCESS, "without rein", false},
    [TRACK_UNFINISHED] = {REIN_TRACK_COUNTER, TRACK_PROCESS, "unfinished submissions", false},
    [TRACK_LOST] = {REIN_TRACK_COUNTER, TRACK_PROCESS, "lost records", false},
    [TRACK_GPU] = {REIN_TRACK_GROUP, TOP, "GPU", false},
    [TRACK_OWNER] = {REIN_TRACK_SLICES, TRACK_GPU, "owner", false},
    [TRACK_STREAM] = {REIN_TRACK_SLICES, TRACK_GPU, "stream of ", true},
    [TRACK_COPIES] = {REIN_TRACK_SLICES, TRACK_GPU, "copies of ", true},
    [TRACK_GATE] = {REIN_TRACK_GROUP, TOP, "gate", false},
    [TRACK_WAITING] = {REIN_TRACK_COUNTER, TRACK_GATE, "threads waiting", false},
    [TRACK_FOR] = {REIN_TRACK_SLICES, TRACK_GATE, "waiting for ", true},
    [TRACK_HELD] = {REIN_TRACK_SLICES, TRACK_GATE, "held: ", true},
    [TRACK_WORK] = {REIN_TRACK_SLICES, TOP, "unfinished work", false},
    [TRACK_RECORDER] = {REIN_TRACK_SLICES, TOP, "recorder", false},
};

/* The latest client of that PID. */
static const struct rein_named *client_of_pid(const struct export *x, uint32_t pid)
{
	const struct rein_named *found = NULL;
	for (size_t i = 0; i < x->names.clients.n; i++)
		if (x->names.clients.items[i].pid == pid)
			found = &x->names.clients.items[i];
	return found;
}

static void describe_process(const struct export *x, struct rein_track *t)
{
	const struct rein_named *client = client_of_pid(x, t->pid);
	const struct rein_named *named = client ? client : rein_names_process(&x->names, t->pid);
	t->managed = client != NULL;
	t->prio = client ? client->prio : 0;
	if (named)
		rein_printable(t->name, sizeof(t->name), named->name);
	else
		snprintf(t->name, sizeof(t->name), "process %u", t->pid);
}

static const char *copy_direction(uint32_t kind)
{
	switch (kind) { /* CUpti_ActivityMemcpyKind, cupti_activity.h */
	case 1:
		return "to the GPU";
	case 2:
		return "from the GPU";
	case 8:
		return "on the GPU";
	case 10:
		return "between GPUs";
	default:
		return "elsewhere";
	}
}

static void name_it(struct export *x, struct rein_track *t, enum track_what what, uint64_t a,
                    uint64_t b)
{
	const struct client *c = whats[what].of_client ? rein_export_client(x, a) : NULL;
	const char *client = !whats[what].of_client ? "" : c ? c->name : "unknown";
	if (what == TRACK_PROCESS)
		describe_process(x, t);
	else if (what == TRACK_GPU)
		snprintf(t->name, sizeof(t->name), "GPU %u", (unsigned)a);
	else if (what == TRACK_STREAM)
		snprintf(t->name, sizeof(t->name), "%s, stream %u", client, (uint32_t)b);
	else if (what == TRACK_COPIES)
		snprintf(t->name, sizeof(t->name), "%s, copies %s", client,
		         copy_direction((uint32_t)b));
	else
		snprintf(t->name, sizeof(t->name), "%s%s", whats[what].name, client);
}

static void introduce(struct export *x, struct lane *l)
{
	l->track.id = ++x->n_tracks;
	x->sink->track(x->sink, &l->track);
}

static void describe(struct export *x, struct lane *l, enum track_what what, uint64_t a, uint64_t b)
{
	struct rein_track *t = &l->track;
	enum track_what above = whats[what].parent;
	t->kind = whats[what].kind;
	if (what == TRACK_PROCESS || above == TRACK_PROCESS)
		t->pid = (uint32_t)a;
	if (what == TRACK_THREAD)
		t->tid = (uint32_t)b;
	if (above != TOP) {
		uint64_t key = above == TRACK_GATE ? 0 : whats[what].of_client ? b >> 32 : a;
		const struct lane *p = rein_export_track(x, above, key, 0);
		t->parent = p ? &p->track : NULL;
	}
	name_it(x, t, what, a, b);
	introduce(x, l);
}

struct lane *rein_export_track(struct export *x, enum track_what what, uint64_t a, uint64_t b)
{
	struct lane *l = rein_map_at(&x->tracks, what, a, b, sizeof(*l));
	if (!l)
		x->result->left_out++;
	else if (!l->track.id)
		describe(x, l, what, a, b);
	return l;
}

void rein_export_tracks_free(struct export *x)
{
	struct lane *l;
	for (size_t i = 0; (l = rein_map_next(&x->tracks, &i));)
		for (struct lane *more = l->next, *next; more; more = next) {
			next = more->next;
			free(more);
		}
	rein_map_free(&x->tracks);
}

/* ---------------------------------------------------------------- where a slice goes */

/* Lets a slice that crosses another by no more than the clocks' error give way. */
static void yield(struct export *x, const struct lane *l, struct rein_event *e)
{
	uint64_t end_ns = l->open[l->depth - 1].end_ns, by_ns = 0;
	if (e->end_ns <= end_ns)
		return;
	if (end_ns - e->begin_ns <= REIN_EXPORT_CLOCK_NS) {
		by_ns = end_ns - e->begin_ns;
		e->begin_ns = end_ns;
	} else if (e->end_ns - end_ns <= REIN_EXPORT_CLOCK_NS) {
		by_ns = e->end_ns - end_ns;
		e->end_ns = end_ns;
	}
	if (by_ns > x->result->clock_ns)
		x->result->clock_ns = by_ns;
}

/* After what is on the lane, or within it? */
static bool fits(struct export *x, struct lane *l, struct rein_event *e)
{
	while (l->depth && l->open[l->depth - 1].end_ns <= e->begin_ns)
		l->depth--;
	if (l->depth && e->begin_ns >= l->open[l->depth - 1].begin_ns)
		yield(x, l, e);
	while (l->depth && l->open[l->depth - 1].end_ns <= e->begin_ns)
		l->depth--;
	return !l->depth ||
	       (l->depth < LANE_DEPTH && e->begin_ns >= l->open[l->depth - 1].begin_ns &&
	        e->end_ns <= l->open[l->depth - 1].end_ns);
}

/* The one behind `l`, which is number `number` of those that are called as `first`. */
static struct lane *next_lane(struct export *x, struct lane *first, struct lane *l, unsigned number)
{
	struct rein_track *t;
	if (l->next)
		return l->next;
	if (number > LANES || x->n_tracks >= REIN_EXPORT_TRACKS ||
	    !(l->next = calloc(1, sizeof(*l)))) {
		x->result->left_out++;
		return NULL;
	}
	t = &l->next->track;
	*t = first->track;
	if (t->kind == REIN_TRACK_THREAD)
		t->parent = &first->track;
	t->kind = REIN_TRACK_SLICES;
	snprintf(t->name, sizeof(t->name), "%.56s (%u)", first->track.name, number);
	introduce(x, l->next);
	return l->next;
}

static void count_event(struct export *x, uint64_t begin_ns, uint64_t end_ns)
{
	struct rein_export_result *r = x->result;
	r->events++;
	if (!r->from_ns || begin_ns < r->from_ns)
		r->from_ns = begin_ns;
	if (end_ns > r->until_ns)
		r->until_ns = end_ns;
}

void rein_export_slice(struct export *x, struct lane *l, struct rein_event *e)
{
	if (!l || e->end_ns < x->from_ns || e->end_ns < e->begin_ns)
		return;
	struct lane *first = l;
	for (unsigned i = 2; l && !fits(x, l, e); i++)
		l = next_lane(x, first, l, i);
	if (!l)
		return;
	l->open[l->depth].begin_ns = e->begin_ns;
	l->open[l->depth++].end_ns = e->end_ns;
	e->track = &l->track;
	count_event(x, e->begin_ns, e->end_ns);
	x->sink->slice(x->sink, e);
}

void rein_export_instant(struct export *x, struct lane *l, struct rein_event *e)
{
	if (!l || e->begin_ns < x->from_ns)
		return;
	e->track = &l->track;
	e->end_ns = e->begin_ns;
	count_event(x, e->begin_ns, e->begin_ns);
	x->sink->instant(x->sink, e);
}

/* ---------------------------------------------------------------- counters */

static void write_count(struct export *x, struct lane *l, uint64_t ns)
{
	l->written = l->value;
	l->written_ns = ns;
	count_event(x, ns, ns);
	x->sink->count(x->sink, &l->track, ns, l->value);
}

void rein_export_count(struct export *x, struct lane *l, uint64_t ns, uint64_t value)
{
	if (!l || ns < x->from_ns)
		return;
	l->value = value;
	if (l->due || value == l->written)
		return;
	if (!l->written_ns || ns - l->written_ns >= REIN_EXPORT_COUNT_NS) {
		write_count(x, l, ns);
		return;
	}
	l->due = true;
	rein_export_due(x, l->written_ns + REIN_EXPORT_COUNT_NS, DUE_COUNT, l, 0);
}

void rein_export_count_due(struct export *x, struct lane *l, uint64_t ns)
{
	l->due = false;
	if (l->value != l->written)
		write_count(x, l, ns);
}
