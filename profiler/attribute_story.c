// SPDX-License-Identifier: Apache-2.0
/*
 * attribute_story.c: the parts of a walk as a row of the matrix, as a story, as a sentence.
 */
#include "attribute_int.h"

#include <stdarg.h>
#include <stdlib.h>

#define TOLD_MAX 3 /* parts in a sentence */
#define APART 12   /* parts of a story that stand alone, where there are too many for all */

static const struct {
	const char *name, *key, *phrase; /* phrase: after how long it was; "%s": who */
	bool delay;
} causes[REIN_CAUSES] = {
    [REIN_CAUSE_UNKNOWN] = {"unknown", "unknown", "nobody knows for what", false},
    [REIN_CAUSE_RUN_QUEUE] = {"CPU run queue", "run_queue", "waiting for a CPU that %s had", true},
    [REIN_CAUSE_LAUNCH_GATE] = {"launch gate", "launch_gate", "held at the gate for %s", true},
    [REIN_CAUSE_QUEUE_GATE] = {"queue gate", "queue_gate", "held on the GPU for %s", true},
    [REIN_CAUSE_CONTEXT_GATE] = {"context gate", "context_gate", "taken off the GPU for %s", true},
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

/* What nothing named has its PID for a name. */
static void say_name(struct text *t, const struct rein_who *w)
{
	if (w->outsider && !w->managed)
		say(t, w->named ? "unmanaged process %u (%s)" : "unmanaged process %u", w->pid,
		    w->name);
	else
		say(t, w->named ? "%s (PID %u)" : "%s", w->name, w->pid);
}

static void say_who(struct text *t, const struct rein_attributor *a, const struct rein_part *p)
{
	const struct rein_who *w = rein_who_at(a, p->who);
	if (p->who == REIN_WHO_SELF)
		say(t, p->cause == REIN_CAUSE_RUN_QUEUE ? "its own threads" : "its own sake");
	else
		say_name(t, w);
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
	say_name(&t, w);
	say(&t, " took ");
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

/* One process is a client of each daemon that recorded it, and one program to who reads. */
static uint32_t program_of(const struct rein_attributor *a, uint32_t who)
{
	const struct rein_who *w = rein_who_at(a, who);
	const uint32_t *last = w->managed && w->pid ? rein_index_find(&a->processes, w->pid) : NULL;
	if (!last || *last < REIN_WHO_FIRST || !rein_who_at(a, *last)->managed)
		return who;
	return strcmp(rein_who_at(a, *last)->name, w->name) == 0 ? *last : who;
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

/* False: it has no room for one more, but for the last one. */
static bool put_part(struct rein_story *s, const struct rein_part *p)
{
	unsigned i = 0;
	while (i < s->n && (s->part[i].cause != p->cause || s->part[i].who != p->who ||
	                    s->part[i].estimate != p->estimate))
		i++;
	if (i == REIN_PARTS_MAX - 1)
		return false;
	if (i == s->n)
		s->part[s->n++] = *p;
	else
		s->part[i].ns += p->ns;
	return true;
}

/* Those of many culprits, beyond the first APART parts, are the others'. */
static void put_story(struct rein_attributor *a, struct rein_story *s, struct rein_walk *w)
{
	uint64_t rest = 0;
	for (unsigned i = 0; i < w->n; i++) {
		struct rein_part p = w->part[i];
		if (i >= APART && w->n > REIN_PARTS_MAX - 1 && p.who >= REIN_WHO_FIRST)
			p.who = REIN_WHO_OTHERS;
		if (!put_part(s, &p))
			rest += p.ns;
	}
	if (rest)
		s->part[s->n++] = (struct rein_part){
		    .cause = REIN_CAUSE_UNKNOWN, .who = REIN_WHO_UNKNOWN, .ns = rest};
	qsort(s->part, s->n, sizeof(s->part[0]), by_ns);
	tell(a, s);
}

void rein_story_take(struct rein_attributor *a, const struct rein_todo *t, struct rein_walk *w)
{
	struct rein_request *r = NULL;
	uint32_t victim = program_of(a, t->who);
	if (t->request != UINT32_MAX)
		r = (struct rein_request *)a->requests.items + t->request;
	for (unsigned i = 0; i < w->n; i++) {
		w->part[i].who = program_of(a, w->part[i].who);
		if (w->part[i].who == victim) /* its own process had the CPU, say */
			w->part[i].who = REIN_WHO_SELF;
		add_lost(a, victim, &w->part[i], r && r->late);
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

/* ---------------------------------------------------------------- the matrix */

struct loss {
	uint64_t ns;
	struct rein_lost *cell;
};

static int by_loss(const void *x, const void *y)
{
	const struct loss *a = x, *b = y;
	return a->ns != b->ns ? (a->ns > b->ns ? -1 : 1) : a->cell < b->cell ? -1 : 1;
}

static uint64_t all_of(const struct rein_lost *l)
{
	uint64_t ns = 0;
	for (unsigned c = 0; c < REIN_CAUSES; c++)
		ns += rein_cause_is_delay(c) ? l->all_ns[c] : 0;
	return ns;
}

/* One victim's cells: small ones of processes that are no clients become the others'. */
static void fold(const struct rein_attributor *a, struct rein_lost *l, size_t n, struct loss *room)
{
	uint64_t sum = 0;
	size_t few = 0;
	for (size_t i = 0; i < n; i++) {
		bool client =
		    l[i].culprit < REIN_WHO_FIRST || rein_who_at(a, l[i].culprit)->managed;
		sum += l[i].culprit == REIN_WHO_SELF ? 0 : all_of(&l[i]);
		if (!client)
			room[few++] = (struct loss){all_of(&l[i]), &l[i]};
	}
	if (few)
		qsort(room, few, sizeof(*room), by_loss);
	size_t keep = 0;
	while (keep < few && keep < REIN_ATTRIBUTE_NAMED &&
	       room[keep].ns >= sum / REIN_ATTRIBUTE_SMALL)
		keep++;
	for (size_t i = keep; few - keep > 1 && i < few; i++) /* one alone keeps its name */
		room[i].cell->culprit = REIN_WHO_OTHERS;
}

/* Cells of one victim and culprit follow each other. Returns how many are left. */
static size_t join(struct rein_lost *l, size_t n)
{
	size_t kept = 0;
	for (size_t i = 0; i < n; i++) {
		if (kept && by_cell(&l[kept - 1], &l[i]) == 0) {
			for (unsigned c = 0; c < REIN_CAUSES; c++) {
				l[kept - 1].all_ns[c] += l[i].all_ns[c];
				l[kept - 1].late_ns[c] += l[i].late_ns[c];
			}
			continue;
		}
		l[kept++] = l[i];
	}
	return kept;
}

static void settle_matrix(struct rein_attributor *a)
{
	struct rein_lost *l = a->lost.items;
	struct loss *room = reallocarray(NULL, a->lost.n, sizeof(*room));
	qsort(l, a->lost.n, sizeof(*l), by_cell);
	if (!room) /* it is right without, too */
		return;
	for (size_t lo = 0, i = 1; i <= a->lost.n; i++)
		if (i == a->lost.n || l[i].victim != l[lo].victim) {
			fold(a, l + lo, i - lo, room);
			lo = i;
		}
	qsort(l, a->lost.n, sizeof(*l), by_cell);
	a->lost.n = join(l, a->lost.n);
	free(room);
}

void rein_story_finish(struct rein_attributor *a)
{
	struct rein_attribution *out = a->out;
	if (a->lost.n)
		settle_matrix(a);
	out->who = a->who.items;
	out->n_who = (unsigned)a->who.n;
	out->requests = a->requests.items;
	out->n_requests = a->requests.n;
	out->lost = a->lost.items;
	out->n_lost = a->lost.n;
	a->who.items = a->requests.items = a->lost.items = NULL;
}
