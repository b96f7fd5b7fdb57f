// SPDX-License-Identifier: Apache-2.0
/*
 * attribute_story.c: the parts of a walk as a row of the matrix, as a story, as a sentence.
 */
#include "attribute_int.h"

#include <stdarg.h>
#include <stdlib.h>

#define TOLD_MAX 3 /* parts in a sentence */

static const struct {
	const char *name, *key, *phrase; /* phrase: after how long it was; "%s": who */
	bool delay;
} causes[REIN_CAUSES] = {
    [REIN_CAUSE_UNKNOWN] = {"unknown", "unknown", "nobody knows for what", false},
    [REIN_CAUSE_RUN_QUEUE] = {"CPU run queue", "run_queue", "waiting for a CPU that %s had", true},
    [REIN_CAUSE_LAUNCH_GATE] = {"launch gate", "launch_gate", "held at the gate for %s", true},
    [REIN_CAUSE_QUEUE_GATE] = {"queue gate", "queue_gate", "held on the GPU for %s", true},
    [REIN_CAUSE_BACKLOG] = {"backlog", "backlog", "waiting for room in its own backlog", true},
    [REIN_CAUSE_GPU_OTHERS] = {"GPU, behind others", "gpu_others", "behind %s on the GPU", true},
    [REIN_CAUSE_GPU_UNSPLIT] = {"GPU, unsplit", "gpu_unsplit",
                                "more than its work alone takes, the GPU shared with %s", true},
    [REIN_CAUSE_SLOW_DOWN] = {"slow-down", "slow_down", "slower than alone, beside %s", true},
    [REIN_CAUSE_COPY] = {"copies of others", "copy", "behind copies of %s", true},
    [REIN_CAUSE_GPU_OWN] = {"own GPU work", "gpu_own", "of its own work on the GPU", false},
    [REIN_CAUSE_SYNC] = {"return from sync", "sync", "from the end of its work to the return",
                         false},
    [REIN_CAUSE_HOST] = {"own code", "host", "in its own code", false},
    [REIN_CAUSE_CALL] = {"driver calls", "call", "inside driver calls", false},
};

const char *rein_cause_name(enum rein_cause cause)
{
	return (unsigned)cause < REIN_CAUSES ? causes[cause].name : "unknown";
}

const char *rein_cause_key(enum rein_cause cause)
{
	return (unsigned)cause < REIN_CAUSES ? causes[cause].key : "unknown";
}

bool rein_cause_is_delay(enum rein_cause cause)
{
	return (unsigned)cause < REIN_CAUSES && causes[cause].delay;
}

/* ---------------------------------------------------------------- sentences */

struct text {
	char *at;
	size_t left;
};

static void say(struct text *t, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int n = vsnprintf(t->at, t->left, format, args);
	va_end(args);
	size_t used = n < 0 ? 0 : (size_t)n < t->left ? (size_t)n : t->left - 1;
	t->at += used;
	t->left -= used;
}

static void say_ns(struct text *t, uint64_t ns)
{
	if (ns >= 10000000000ull)
		say(t, "%.1f s", (double)ns / 1e9);
	else if (ns >= 100000)
		say(t, "%.2f ms", (double)ns / 1e6);
	else
		say(t, "%.1f us", (double)ns / 1e3);
}

static void say_who(struct text *t, const struct rein_attributor *a, const struct rein_part *p)
{
	const struct rein_who *w = rein_who_at(a, p->who);
	if (p->who == REIN_WHO_SELF)
		say(t, p->cause == REIN_CAUSE_RUN_QUEUE ? "its own threads" : "its own sake");
	else if (p->who < REIN_WHO_FIRST || !w->pid)
		say(t, "%s", w->name);
	else
		say(t, "%s (PID %u)", w->name, w->pid);
}

static void say_part(struct text *t, const struct rein_attributor *a, const struct rein_part *p,
                     bool first)
{
	const char *phrase = causes[p->cause].phrase, *gap = strstr(phrase, "%s");
	say(t, first ? "" : ", ");
	if (p->estimate)
		say(t, "about ");
	say_ns(t, p->ns);
	say(t, " %.*s", gap ? (int)(gap - phrase) : (int)strlen(phrase), phrase);
	if (gap) {
		say_who(t, a, p);
		say(t, "%s", gap + 2);
	}
}

static bool is_others(const struct rein_part *p)
{
	return rein_cause_is_delay(p->cause) && p->who != REIN_WHO_SELF;
}

/* First what others did to it, then what it did itself. Parts under a hundredth are not told of. */
static void tell(const struct rein_attributor *a, struct rein_story *s)
{
	const struct rein_request *r = (const struct rein_request *)a->requests.items + s->request;
	const struct rein_who *w = rein_who_at(a, r->who);
	struct text t = {s->sentence, sizeof(s->sentence)};
	uint64_t all = r->end_ns - r->begin_ns;
	unsigned told = 0;
	say(&t, "%s (PID %u) took ", w->name, w->pid);
	say_ns(&t, all);
	if (r->deadline_ns && r->end_ns > r->deadline_ns) {
		say(&t, ", ");
		say_ns(&t, r->end_ns - r->deadline_ns);
		say(&t, " over its deadline");
	} else if (w->requests >= REIN_ATTRIBUTE_LATE_LEAST) {
		say(&t, ", usually ");
		say_ns(&t, w->median_ns);
	}
	say(&t, ": ");
	for (unsigned i = 0; i < s->n && told < TOLD_MAX; i++)
		if (is_others(&s->part[i]) && s->part[i].ns >= all / 100)
			say_part(&t, a, &s->part[i], !told++);
	if (!told)
		say(&t, "nobody delayed it");
	const char *gap = told ? "; " : ", ";
	told = 0;
	for (unsigned i = 0; i < s->n && told < TOLD_MAX; i++)
		if (!is_others(&s->part[i]) && s->part[i].ns >= all / 100) {
			say(&t, "%s", told ? "" : gap);
			say_part(&t, a, &s->part[i], !told++);
		}
}

/* ---------------------------------------------------------------- taking */

static int by_ns(const void *x, const void *y)
{
	const struct rein_part *a = x, *b = y;
	if (a->ns != b->ns)
		return a->ns > b->ns ? -1 : 1;
	return a->cause != b->cause ? (int)a->cause - (int)b->cause : (a->who > b->who) * 2 - 1;
}

static void add_lost(struct rein_attributor *a, uint32_t victim, const struct rein_part *p,
                     bool late)
{
	bool fresh;
	uint32_t *at = rein_index_at(&a->cells, (uint64_t)victim << 32 | p->who, &fresh);
	if (at && fresh) {
		struct rein_lost *l = rein_list_add(&a->lost);
		*at = (uint32_t)(a->lost.n - 1);
		if (l)
			*l = (struct rein_lost){.victim = victim, .culprit = p->who};
		else
			a->failed = true;
	}
	if (!at || *at >= a->lost.n)
		return;
	struct rein_lost *l = (struct rein_lost *)a->lost.items + *at;
	l->all_ns[p->cause] += p->ns;
	l->late_ns[p->cause] += late ? p->ns : 0;
}

/* Small parts beyond the most that a story has go to its unknown one. */
static void put_story(struct rein_attributor *a, struct rein_story *s, struct rein_walk *w)
{
	uint64_t rest = 0;
	unsigned most = REIN_PARTS_MAX - 1;
	for (unsigned i = 0; i < w->n; i++)
		if (i < most)
			s->part[s->n++] = w->part[i];
		else
			rest += w->part[i].ns;
	if (rest)
		s->part[s->n++] = (struct rein_part){
		    .cause = REIN_CAUSE_UNKNOWN, .who = REIN_WHO_UNKNOWN, .ns = rest};
	qsort(s->part, s->n, sizeof(s->part[0]), by_ns);
	tell(a, s);
}

void rein_story_take(struct rein_attributor *a, const struct rein_todo *t, struct rein_walk *w)
{
	struct rein_request *r = NULL;
	if (t->request != UINT32_MAX)
		r = (struct rein_request *)a->requests.items + t->request;
	if (w->lost_ns && w->n == REIN_WALK_PARTS)
		w->n--, w->lost_ns += w->part[w->n].ns;
	if (w->lost_ns)
		rein_walk_add(w, REIN_CAUSE_UNKNOWN, REIN_WHO_UNKNOWN, false, w->lost_ns);
	for (unsigned i = 0; i < w->n; i++) {
		if (w->part[i].who == t->who) /* its own process had the CPU, say */
			w->part[i].who = REIN_WHO_SELF;
		add_lost(a, t->who, &w->part[i], r && r->late);
	}
	if (w->n)
		qsort(w->part, w->n, sizeof(w->part[0]), by_ns);
	if (!r)
		return;
	r->cut = a->window.dropped_ns > t->begin;
	if (r->story)
		put_story(a, &a->out->stories[r->story - 1], w);
}

static int by_cell(const void *x, const void *y)
{
	const struct rein_lost *a = x, *b = y;
	if (a->victim != b->victim)
		return a->victim < b->victim ? -1 : 1;
	return a->culprit < b->culprit ? -1 : a->culprit > b->culprit;
}

void rein_story_finish(struct rein_attributor *a)
{
	struct rein_attribution *out = a->out;
	if (a->lost.n)
		qsort(a->lost.items, a->lost.n, a->lost.size, by_cell);
	out->who = a->who.items;
	out->n_who = (unsigned)a->who.n;
	out->requests = a->requests.items;
	out->n_requests = a->requests.n;
	out->lost = a->lost.items;
	out->n_lost = a->lost.n;
	a->who.items = a->requests.items = a->lost.items = NULL;
}
