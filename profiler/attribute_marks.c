// SPDX-License-Identifier: Apache-2.0
/*
 * attribute_marks.c: the first pass: when each had something to do, which requests there were,
 * which of them were late, and which are to be told of.
 */
#include "attribute_int.h"

#include <stdlib.h>

#include "../common/abi.h"
#include "../common/clock.h"

/* Guessed requests with less between them are one, as for the daemon (its default linger). */
#define LINGER_NS (200 * REIN_US)
#define PIECES_MAX 65536u /* of one job */

/* ---------------------------------------------------------------- marks */

/* The newest are kept: beyond the most that may be they overwrite the oldest. */
static struct rein_mark *add_mark(struct rein_attributor *a)
{
	size_t most = 2 * a->max_requests;
	if (a->n_marks == a->room_marks && a->room_marks < most) {
		size_t room = a->room_marks ? a->room_marks * 2 : 1024;
		room = room < most ? room : most;
		void *marks = reallocarray(a->marks, room, sizeof(*a->marks));
		if (!marks) {
			a->failed = true;
			return NULL;
		}
		a->marks = marks;
		a->room_marks = room;
	}
	if (a->n_marks < a->room_marks)
		return &a->marks[a->n_marks++];
	a->marks_lost++;
	struct rein_mark *m = &a->marks[a->next_mark];
	a->next_mark = (a->next_mark + 1) % a->room_marks;
	return m;
}

static bool is_declared(const struct rein_mark *m)
{
	return m->kind == REIN_TRACE_REQUEST_BEGIN || m->kind == REIN_TRACE_REQUEST_END;
}

static void note_mark(struct rein_attributor *a, const struct rein_trace_record *r)
{
	uint32_t who = rein_who_client(a, r->stamp);
	bool begins = r->kind == REIN_TRACE_REQUEST_BEGIN, ends = r->kind == REIN_TRACE_REQUEST_END;
	struct rein_mark *m = who >= REIN_WHO_FIRST ? add_mark(a) : NULL;
	if (!m)
		return;
	*m = (struct rein_mark){.ns = r->begin,
	                        .id = begins || ends ? r->func : 0,
	                        .deadline_ns = r->flags & REIN_TRACE_DEADLINE ? r->a : 0,
	                        .who = who,
	                        .thread = r->thread,
	                        .kind = r->kind};
	rein_who_at(a, who)->declares |= begins;
}

/* Who never went idle left no mark: its calls tell that it was there. */
static void note_seen(struct rein_attributor *a, const struct rein_trace_record *r)
{
	uint32_t who = rein_who_client(a, r->stamp);
	if (who < REIN_WHO_FIRST)
		return;
	while (a->seen.n <= who)
		if (!rein_list_add(&a->seen)) {
			a->failed = true;
			return;
		}
	struct rein_span *s = (struct rein_span *)a->seen.items + who;
	if (!s->end || r->begin < s->begin)
		s->begin = r->begin;
	s->end = rein_later(s->end, r->end);
	s->who = who;
}

static void note_outsider(struct rein_attributor *a, const struct rein_trace_record *r)
{
	uint32_t who = rein_who_process(a, r->thread);
	bool open = r->result == REIN_OUTSIDER_OPEN;
	struct rein_list *l = open ? &a->open : &a->outsiders;
	if (who < REIN_WHO_FIRST || r->result == REIN_OUTSIDER_EXIT || l->n >= a->max_requests)
		return;
	struct rein_span *s = rein_list_add(l);
	rein_who_at(a, who)->outsider = true;
	rein_who_at(a, who)->open |= open;
	if (s) /* until it is looked again */
		*s = (struct rein_span){.begin = r->begin,
		                        .end = r->end + (open ? REIN_OUTSIDER_LOOK_NS : 0),
		                        .who = who};
}

/* Whose end was not seen was there until its daemon stopped recording; what became of it then only
 * the next one knows, for whom it is another client. */
static void note_epoch(struct rein_attributor *a, const struct rein_trace_record *r)
{
	while (a->epochs.n <= a->epoch)
		if (!rein_list_add(&a->epochs)) {
			a->failed = true;
			return;
		}
	struct rein_span *s = (struct rein_span *)a->epochs.items + a->epoch;
	if (!s->end || r->begin < s->begin)
		s->begin = r->begin;
	s->end = rein_later(s->end, r->end);
}

static const struct rein_span *epoch_of(const struct rein_attributor *a, uint32_t who)
{
	return (const struct rein_span *)a->epochs.items + rein_who_at(a, who)->epoch;
}

void rein_marks_look(struct rein_attributor *a, const struct rein_trace_record *r)
{
	if (rein_trace_is_name(r->kind)) {
		struct rein_trace_name n;
		memcpy(&n, r, sizeof(n));
		if (n.kind == REIN_TRACE_CLIENT)
			rein_who_note_client(a, &n);
		else if (n.kind == REIN_TRACE_KERNEL)
			rein_alone_note_kernel(a, &n);
		else if (n.kind == REIN_TRACE_PROCESS)
			rein_who_note_process(a, &n);
		return;
	}
	if (r->end < r->begin || r->kind >= REIN_TRACE_KINDS)
		return;
	a->newest_ns = rein_later(a->newest_ns, r->end);
	if (!a->begun_ns || r->begin < a->begun_ns)
		a->begun_ns = r->begin;
	note_epoch(a, r);
	switch (r->kind) {
	case REIN_TRACE_ACTIVE:
	case REIN_TRACE_IDLE:
	case REIN_TRACE_REQUEST_BEGIN:
	case REIN_TRACE_REQUEST_END:
	case REIN_TRACE_LEFT:
		note_mark(a, r);
		break;
	case REIN_TRACE_GPU:
		rein_alone_note_gpu(a, r);
		note_seen(a, r);
		break;
	case REIN_TRACE_SUBMIT:
	case REIN_TRACE_SYNC:
	case REIN_TRACE_GATE:
	case REIN_TRACE_BACKLOG:
		note_seen(a, r);
		break;
	case REIN_TRACE_OFFCPU:
		a->out->has_offcpu = true;
		break;
	case REIN_TRACE_OUTSIDER:
		note_outsider(a, r);
		break;
	default:
		break;
	}
}

/* ---------------------------------------------------------------- spans and requests */

static int order(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int by_story(const void *x, const void *y)
{
	const struct rein_mark *a = x, *b = y;
	int o = order(a->who, b->who);
	o = o ? o : order(is_declared(a), is_declared(b));
	o = o ? o : order(a->id, b->id);
	o = o ? o : order(a->ns, b->ns);
	return o ? o : order(a->kind, b->kind);
}

static void add_span(struct rein_attributor *a, uint64_t begin, const struct rein_mark *end,
                     bool cut)
{
	struct rein_span *s = end->ns > begin ? rein_list_add(&a->spans) : NULL;
	a->failed |= end->ns > begin && !s;
	if (s)
		*s = (struct rein_span){.begin = begin,
		                        .end = end->ns,
		                        .who = end->who,
		                        .thread = end->thread,
		                        .cut = cut};
}

/* One client's idle and active, by time. Returns how many marks it took. */
static size_t take_active(struct rein_attributor *a, const struct rein_mark *m, size_t n)
{
	uint64_t since = 0;
	size_t i = 0;
	if (m->who < a->seen.n)
		((struct rein_span *)a->seen.items)[m->who].cut = true; /* it has marks */
	for (; i < n && m[i].who == m->who && !is_declared(&m[i]); i++) {
		bool ends = m[i].kind == REIN_TRACE_IDLE || m[i].kind == REIN_TRACE_LEFT;
		if (ends && since)
			add_span(a, since, &m[i], m[i].kind == REIN_TRACE_LEFT);
		else if (m[i].kind == REIN_TRACE_IDLE && i == 0) /* it began before the records */
			add_span(a, epoch_of(a, m->who)->begin, &m[i], true);
		if (ends || !since)
			since = ends ? 0 : m[i].ns;
	}
	const struct rein_mark last = {.ns = epoch_of(a, m->who)->end, .who = m->who};
	if (since)
		add_span(a, since, &last, true);
	return i;
}

/* Active from before the records to after them. */
static void add_unmarked(struct rein_attributor *a)
{
	const struct rein_span *seen = a->seen.items;
	for (size_t i = 0; i < a->seen.n; i++) {
		const struct rein_mark end = {.ns = seen[i].end, .who = seen[i].who};
		if (!seen[i].cut && seen[i].who)
			add_span(a, seen[i].begin, &end, true);
	}
}

static void add_request(struct rein_attributor *a, uint64_t begin, const struct rein_mark *end,
                        uint64_t id, uint64_t deadline_ns)
{
	if (end->ns < begin || end->ns < a->from_ns)
		return;
	struct rein_request *r = rein_list_add(&a->requests);
	struct rein_todo *t = rein_list_add(&a->todo);
	if (!r || !t) {
		a->failed = true;
		return;
	}
	*r = (struct rein_request){.begin_ns = begin,
	                           .end_ns = end->ns,
	                           .deadline_ns = deadline_ns,
	                           .id = id,
	                           .who = end->who,
	                           .late = deadline_ns && end->ns > deadline_ns};
	*t = (struct rein_todo){
	    .begin = begin, .end = end->ns, .who = end->who, .thread = end->thread};
}

static size_t take_request(struct rein_attributor *a, const struct rein_mark *m, size_t n)
{
	const struct rein_mark *begin = NULL, *end = NULL;
	size_t i = 0;
	for (; i < n && m[i].who == m->who && is_declared(&m[i]) && m[i].id == m->id; i++)
		*(m[i].kind == REIN_TRACE_REQUEST_BEGIN ? &begin : &end) = &m[i];
	if (begin && end)
		add_request(a, begin->ns, end, m->id, begin->deadline_ns);
	return i;
}

/* Longer ones where there would be more than PIECES_MAX. */
static void add_pieces(struct rein_attributor *a, const struct rein_span *s)
{
	uint64_t at = rein_later(s->begin, a->from_ns);
	uint64_t all = s->end > at ? s->end - at : 0;
	uint64_t piece = rein_later(REIN_ATTRIBUTE_PIECE_NS, all / PIECES_MAX + 1);
	while (at < s->end && a->todo.n < 2 * a->max_requests) {
		struct rein_todo *t = rein_list_add(&a->todo);
		uint64_t end = s->end - at > piece ? at + piece : s->end;
		if (!t)
			return;
		*t = (struct rein_todo){.begin = at,
		                        .end = end,
		                        .who = s->who,
		                        .thread = s->thread,
		                        .request = UINT32_MAX};
		at = end;
	}
}

/* What a program without declared requests did between two real silences. */
static void guess_requests(struct rein_attributor *a)
{
	const struct rein_span *s = a->spans.items;
	size_t n = a->spans.n;
	for (size_t i = 0; i < n;) {
		struct rein_span whole = s[i];
		while (++i < n && s[i].who == whole.who && s[i].begin < whole.end + LINGER_NS) {
			whole.end = s[i].end;
			whole.thread = s[i].thread;
			whole.cut |= s[i].cut;
		}
		const struct rein_mark end = {
		    .ns = whole.end, .who = whole.who, .thread = whole.thread};
		if (rein_who_at(a, whole.who)->declares)
			continue;
		if (whole.end - whole.begin > REIN_ATTRIBUTE_PIECE_NS)
			add_pieces(a, &whole);
		else if (!whole.cut)
			add_request(a, whole.begin, &end, 0, 0);
	}
}

/* ---------------------------------------------------------------- late, and to be told of */

static int by_who_and_latency(const void *x, const void *y)
{
	const struct rein_request *a = x, *b = y;
	int o = order(a->who, b->who);
	return o ? o : order(a->end_ns - a->begin_ns, b->end_ns - b->begin_ns);
}

/* One program's requests, by latency. Returns how many. */
static size_t judge(struct rein_attributor *a, struct rein_request *r, size_t left)
{
	struct rein_who *w = rein_who_at(a, r->who);
	size_t n = 0;
	for (; n < left && r[n].who == r->who; n++)
		w->sum_ns += r[n].end_ns - r[n].begin_ns;
#define RANK(percent) (r[(n - 1) * (percent) / 100].end_ns - r[(n - 1) * (percent) / 100].begin_ns)
	w->requests = n;
	w->median_ns = RANK(50);
	w->p95_ns = RANK(95);
	w->p99_ns = RANK(99);
	w->worst_ns = RANK(100);
#undef RANK
	for (size_t i = 0; i < n; i++) {
		if (!r[i].deadline_ns && n >= REIN_ATTRIBUTE_LATE_LEAST)
			r[i].late =
			    r[i].end_ns - r[i].begin_ns > REIN_ATTRIBUTE_LATE * w->median_ns;
		w->late += r[i].late;
	}
	a->out->late += w->late;
	return n;
}

static int by_end(const void *x, const void *y)
{
	const struct rein_request *a = x, *b = y;
	int o = order(a->end_ns, b->end_ns);
	o = o ? o : order(a->begin_ns, b->begin_ns);
	o = o ? o : order(a->who, b->who);
	return o ? o : order(a->id, b->id);
}

static int todo_by_end(const void *x, const void *y)
{
	const struct rein_todo *a = x, *b = y;
	int o = order(a->end, b->end);
	o = o ? o : order(a->begin, b->begin);
	o = o ? o : order(a->who, b->who);
	return o ? o : order(a->thread, b->thread);
}

/* By how much it is too long, in ns: over its deadline, or over its program's median. */
static uint64_t excess(const struct rein_attributor *a, const struct rein_request *r)
{
	uint64_t usual = r->begin_ns + rein_who_at(a, r->who)->median_ns;
	uint64_t due = r->deadline_ns && !a->wish.any ? r->deadline_ns : usual;
	return r->end_ns > due ? r->end_ns - due : 0;
}

struct chosen {
	uint64_t excess_ns;
	uint32_t request;
};

static int by_excess(const void *x, const void *y)
{
	const struct chosen *a = x, *b = y;
	int o = order(b->excess_ns, a->excess_ns);
	return o ? o : order(a->request, b->request);
}

static bool is_wanted(const struct rein_attributor *a, const struct rein_request *r)
{
	const struct rein_who *w = rein_who_at(a, r->who);
	return (!a->wish.pid || w->pid == a->wish.pid) && (a->wish.any || r->late);
}

static void choose_stories(struct rein_attributor *a)
{
	struct rein_request *r = a->requests.items;
	struct rein_list all = {.size = sizeof(struct chosen)};
	for (size_t i = 0; i < a->requests.n; i++) {
		struct chosen *c = is_wanted(a, &r[i]) ? rein_list_add(&all) : NULL;
		if (c)
			*c = (struct chosen){excess(a, &r[i]), (uint32_t)i};
	}
	if (all.n)
		qsort(all.items, all.n, all.size, by_excess);
	size_t n = rein_earlier(a->wish.worst, REIN_ATTRIBUTE_WORST);
	n = rein_earlier(n, all.n);
	a->out->stories = calloc(n + 1, sizeof(*a->out->stories));
	a->failed |= !a->out->stories;
	for (size_t i = 0; a->out->stories && i < n; i++) {
		uint32_t request = ((struct chosen *)all.items)[i].request;
		r[request].story = (uint32_t)++a->out->n_stories;
		a->out->stories[i].request = request;
	}
	rein_list_free(&all);
}

/* The newest ones, by their ends; `todo` points to them, pieces of jobs among it. */
static void settle_requests(struct rein_attributor *a)
{
	struct rein_request *r = a->requests.items;
	if (a->requests.n)
		qsort(r, a->requests.n, sizeof(*r), by_end);
	if (a->requests.n > a->max_requests) {
		size_t over = a->requests.n - a->max_requests;
		memmove(r, r + over, a->max_requests * sizeof(*r));
		a->requests.n = a->max_requests;
		a->out->left_out += over;
	}
	if (a->requests.n)
		qsort(r, a->requests.n, sizeof(*r), by_who_and_latency);
	for (size_t i = 0; i < a->requests.n;)
		i += judge(a, r + i, a->requests.n - i);
	if (a->requests.n)
		qsort(r, a->requests.n, sizeof(*r), by_end);
}

static bool is_of(const struct rein_todo *t, const struct rein_request *r)
{
	return t->end == r->end_ns && t->begin == r->begin_ns && t->who == r->who;
}

/* Both lists are in the same order, and each request has its todo. */
static void join_todo(struct rein_attributor *a)
{
	struct rein_todo *t = a->todo.items;
	const struct rein_request *r = a->requests.items;
	size_t kept = 0, next = 0;
	if (a->todo.n)
		qsort(t, a->todo.n, sizeof(*t), todo_by_end);
	for (size_t i = 0; i < a->todo.n; i++) {
		if (t[i].request != UINT32_MAX) {
			if (next >= a->requests.n || !is_of(&t[i], &r[next]))
				continue; /* left out */
			t[i].request = (uint32_t)next++;
		}
		t[kept++] = t[i];
	}
	a->todo.n = kept;
}

static int span_order(const void *x, const void *y)
{
	const struct rein_span *a = x, *b = y;
	int o = order(a->who, b->who);
	o = o ? o : order(a->begin, b->begin);
	return o ? o : order(a->end, b->end);
}

/* Looks of one process follow each other: what they saw is one span. */
static void join_open(struct rein_list *l)
{
	struct rein_span *s = l->items;
	size_t kept = 0;
	for (size_t i = 0; i < l->n; i++) {
		if (kept && s[kept - 1].who == s[i].who && s[i].begin <= s[kept - 1].end)
			s[kept - 1].end = rein_later(s[kept - 1].end, s[i].end);
		else
			s[kept++] = s[i];
	}
	l->n = kept;
}

/* Launches are counted of all processes, whichever GPU they use: whom no look found on that of the
 * clients, though there was time for one, is on another. */
static bool is_elsewhere(const struct rein_attributor *a, const struct rein_span *first,
                         const struct rein_span *last)
{
	return a->looked && !rein_who_at(a, first->who)->open &&
	       last->end > first->begin + REIN_OUTSIDER_LOOK_NS + REIN_S;
}

/* Who joined after a look had found it without the shim was about to: it was no outsider. */
static bool is_joined(struct rein_attributor *a, const struct rein_span *s)
{
	const struct rein_who *w = rein_who_at(a, s->who);
	return !w->managed && rein_who_at(a, rein_who_process(a, w->pid))->managed;
}

static void sort_spans(struct rein_attributor *a, struct rein_list *l)
{
	const struct rein_span *s = l->items;
	if (l->n)
		qsort(l->items, l->n, l->size, span_order);
	if (l == &a->open)
		join_open(l);
	for (size_t i = 0, lo = 0; i < l->n; i++) {
		if (i + 1 < l->n && s[i + 1].who == s[lo].who)
			continue;
		bool away = l == &a->outsiders ? is_elsewhere(a, &s[lo], &s[i])
		                               : l == &a->open && is_joined(a, &s[lo]);
		struct rein_present *p = away ? NULL : rein_list_add(&a->present);
		a->failed |= !p && !away;
		if (p)
			*p = (struct rein_present){
			    .who = s[lo].who, .list = l, .lo = lo, .hi = i + 1};
		lo = i + 1;
	}
}

void rein_marks_settle(struct rein_attributor *a)
{
	a->from_ns = a->wish.from_ns;
	if (a->wish.last_ns)
		a->from_ns = a->newest_ns > a->wish.last_ns ? a->newest_ns - a->wish.last_ns : 0;
	a->out->left_out = a->marks_lost / 2;
	if (a->n_marks)
		qsort(a->marks, a->n_marks, sizeof(*a->marks), by_story);
	for (size_t i = 0; i < a->n_marks;) {
		const struct rein_mark *m = a->marks + i;
		i += is_declared(m) ? take_request(a, m, a->n_marks - i)
		                    : take_active(a, m, a->n_marks - i);
	}
	free(a->marks);
	a->marks = NULL;
	add_unmarked(a);
	sort_spans(a, &a->spans);
	guess_requests(a);
	sort_spans(a, &a->outsiders);
	sort_spans(a, &a->open);
	settle_requests(a);
	choose_stories(a);
	join_todo(a);
	a->out->from_ns = rein_later(a->from_ns, a->begun_ns);
	a->out->until_ns = rein_later(a->out->from_ns, a->newest_ns);
}
