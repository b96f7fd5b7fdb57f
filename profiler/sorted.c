// SPDX-License-Identifier: Apache-2.0
#include "sorted.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#define BLOCK 64u /* cells read at a time once a run is sorted */
#define SLOTS 512u

struct key {
	uint64_t begin;
	uint32_t at; /* cell of the run */
};

struct run {
	unsigned segment, epoch;
	uint64_t first; /* its first cell in the segment, behind the header */
	uint32_t cells;
	uint32_t n; /* of them, records to be passed on */
	uint64_t begin_min;
	struct key *keys; /* sorted; NULL: it is not open */
	uint32_t next;
};

struct slot {
	uint64_t tag; /* run and block, + 1; 0: empty */
	uint32_t n;
	struct rein_trace_record cell[BLOCK];
};

struct rein_sorted {
	unsigned n_segments, n_epochs;
	int fd[REIN_SORTED_EPOCHS]; /* -1: it has gone */
	struct rein_sorted_epoch epoch[REIN_SORTED_EPOCHS];
	uint64_t newest_ns, count;
	size_t n_runs, room;
	struct run *runs;               /* by begin_min once all are known */
	struct rein_trace_record *load; /* a whole run, while its keys are sorted */
	struct slot slots[SLOTS];
};

static bool is_timed(uint8_t kind)
{
	return kind != REIN_TRACE_NONE && kind < REIN_TRACE_KINDS && !rein_trace_is_name(kind) &&
	       (kind < REIN_TRACE_CLIENT_KINDS || kind >= REIN_TRACE_CLIENT);
}

static bool is_wanted(const struct rein_trace_record *r)
{
	return is_timed(r->kind) && r->begin <= r->end;
}

/* ---------------------------------------------------------------- the first look */

/* Cells of a segment from `at` on, as many as are there, at most n. */
static ssize_t read_cells(int fd, uint64_t at, struct rein_trace_record *to, size_t n)
{
	size_t done = 0, want = n * sizeof(*to);
	off_t from = (off_t)((at + 1) * sizeof(*to));
	while (done < want) {
		ssize_t got = pread(fd, (char *)to + done, want - done, from + (off_t)done);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (!got)
			break;
		done += (size_t)got;
	}
	return (ssize_t)(done / sizeof(*to));
}

static void note(struct rein_sorted *s, struct run *run, const struct rein_trace_record *r)
{
	struct rein_sorted_epoch *e = &s->epoch[run->epoch];
	if (!is_wanted(r))
		return;
	if (!run->n || r->begin < run->begin_min)
		run->begin_min = r->begin;
	if (r->end > e->newest_ns)
		e->newest_ns = r->end;
	if (r->end > s->newest_ns)
		s->newest_ns = r->end;
	run->n++;
	s->count++;
}

static int add_run(struct rein_sorted *s, const struct run *run)
{
	if (s->n_runs == s->room) {
		size_t room = s->room ? s->room * 2 : 64;
		struct run *runs = reallocarray(s->runs, room, sizeof(*runs));
		if (!runs)
			return -ENOMEM;
		s->runs = runs;
		s->room = room;
	}
	s->runs[s->n_runs++] = *run;
	return 0;
}

static int look_at_run(struct rein_sorted *s, struct run *run, rein_sorted_fn *look, void *arg)
{
	ssize_t n = read_cells(s->fd[run->segment], run->first, s->load, run->cells);
	if (n < 0)
		return (int)n;
	run->cells = (uint32_t)n;
	for (uint32_t i = 0; i < run->cells; i++) {
		int result = look ? look(arg, run->epoch, &s->load[i]) : 0;
		if (result)
			return result;
		note(s, run, &s->load[i]);
	}
	return run->n ? add_run(s, run) : 0;
}

static int look_at_segment(struct rein_sorted *s, unsigned i, uint64_t cells, rein_sorted_fn *look,
                           void *arg)
{
	int err = 0;
	for (uint64_t at = 0; !err && at < cells; at += REIN_SORTED_RUN) {
		uint64_t left = cells - at;
		struct run run = {.segment = i,
		                  .epoch = s->n_epochs,
		                  .first = at,
		                  .cells =
		                      left < REIN_SORTED_RUN ? (uint32_t)left : REIN_SORTED_RUN};
		err = look_at_run(s, &run, look, arg);
	}
	return err;
}

static int look_at_all(struct rein_sorted *s, const struct rein_recording *r, rein_sorted_fn *look,
                       void *arg)
{
	char path[PATH_MAX];
	int err = 0;
	for (unsigned i = 0; !err && i < r->n; i++) {
		const struct rein_segment *g = &r->segment[i];
		struct rein_sorted_epoch *e = &s->epoch[s->n_epochs];
		if (i == 0 || r->segment[i - 1].last)
			*e = (struct rein_sorted_epoch){.begun_ns = g->header.begun_ns,
			                                .real_ns = g->header.begun_real_ns,
			                                .daemon_pid = g->header.daemon_pid};
		rein_segment_path(path, sizeof(path), r->dir, g->number);
		s->fd[s->n_segments++] = open(path, O_RDONLY | O_CLOEXEC);
		if (s->fd[i] < 0 && errno != ENOENT) /* else the daemon dropped it meanwhile */
			err = -errno;
		else if (s->fd[i] >= 0)
			err = look_at_segment(s, i, g->cells, look, arg);
		if (g->last) {
			if (!e->newest_ns) /* it was cut before the first record */
				e->newest_ns = e->begun_ns;
			e->ended_ns = g->header.ended_ns;
			s->n_epochs++;
		}
	}
	return err;
}

static int by_begin(const void *x, const void *y)
{
	const struct run *a = x, *b = y;
	if (a->begin_min != b->begin_min)
		return a->begin_min < b->begin_min ? -1 : 1;
	if (a->segment != b->segment)
		return a->segment < b->segment ? -1 : 1;
	return a->first < b->first ? -1 : a->first > b->first;
}

int rein_sorted_open(struct rein_sorted **out, const struct rein_recording *r, rein_sorted_fn *look,
                     void *arg)
{
	struct rein_sorted *s = calloc(1, sizeof(*s));
	*out = NULL;
	if (!s)
		return -ENOMEM;
	s->load = malloc(REIN_SORTED_RUN * sizeof(*s->load));
	int err = s->load ? look_at_all(s, r, look, arg) : -ENOMEM;
	if (err) {
		rein_sorted_free(s);
		return err;
	}
	if (s->n_runs)
		qsort(s->runs, s->n_runs, sizeof(*s->runs), by_begin);
	*out = s;
	return 0;
}

void rein_sorted_free(struct rein_sorted *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < s->n_segments; i++)
		if (s->fd[i] >= 0)
			close(s->fd[i]);
	for (size_t i = 0; i < s->n_runs; i++)
		free(s->runs[i].keys);
	free(s->runs);
	free(s->load);
	free(s);
}

unsigned rein_sorted_epochs(const struct rein_sorted *s)
{
	return s->n_epochs;
}

const struct rein_sorted_epoch *rein_sorted_epoch(const struct rein_sorted *s, unsigned i)
{
	return &s->epoch[i];
}

uint64_t rein_sorted_newest(const struct rein_sorted *s)
{
	return s->newest_ns;
}

uint64_t rein_sorted_count(const struct rein_sorted *s)
{
	return s->count;
}

/* ---------------------------------------------------------------- a run */

static int by_key(const void *x, const void *y, void *arg)
{
	const struct key *a = x, *b = y;
	const struct rein_trace_record *cells = arg;
	if (a->begin != b->begin)
		return a->begin < b->begin ? -1 : 1;
	if (cells[a->at].end != cells[b->at].end)
		return cells[a->at].end > cells[b->at].end ? -1 : 1;
	return a->at < b->at ? -1 : 1;
}

static int open_run(struct rein_sorted *s, struct run *run)
{
	uint32_t n = 0;
	bool sorted = true;
	run->keys = reallocarray(NULL, run->n, sizeof(*run->keys));
	if (!run->keys)
		return -ENOMEM;
	ssize_t got = read_cells(s->fd[run->segment], run->first, s->load, run->cells);
	if (got < 0)
		return (int)got;
	for (uint32_t i = 0; i < (uint32_t)got && n < run->n; i++)
		if (is_wanted(&s->load[i])) {
			run->keys[n++] = (struct key){s->load[i].begin, i};
			sorted &=
			    n < 2 || by_key(&run->keys[n - 2], &run->keys[n - 1], s->load) < 0;
		}
	run->n = n; /* no more than there were, if the file has changed */
	run->next = 0;
	if (!sorted)
		qsort_r(run->keys, n, sizeof(*run->keys), by_key, s->load);
	return 0;
}

static void close_run(struct run *run)
{
	free(run->keys);
	run->keys = NULL;
}

/* The record of a key; NULL: the file has changed under us. */
static const struct rein_trace_record *fetch(struct rein_sorted *s, const struct run *run,
                                             uint32_t at)
{
	uint64_t tag = ((uint64_t)(run - s->runs) << 32 | at / BLOCK) + 1;
	struct slot *slot = &s->slots[(tag ^ tag >> 32) % SLOTS];
	if (slot->tag != tag) {
		ssize_t n = read_cells(s->fd[run->segment], run->first + at / BLOCK * BLOCK,
		                       slot->cell, BLOCK);
		slot->tag = tag;
		slot->n = n < 0 ? 0 : (uint32_t)n;
	}
	return at % BLOCK < slot->n ? &slot->cell[at % BLOCK] : NULL;
}

/* ---------------------------------------------------------------- the merge */

struct merge {
	struct rein_sorted *s;
	size_t next;  /* run to be opened */
	size_t *open; /* runs, in the order in which they were opened */
	size_t n;
};

static int open_next(struct merge *m)
{
	struct run *run = &m->s->runs[m->next];
	int err = open_run(m->s, run);
	if (err)
		return err;
	if (run->n) /* else the file has changed under us */
		m->open[m->n++] = m->next;
	m->next++;
	return 0;
}

static uint64_t end_of(const struct merge *m, const struct run *run)
{
	const struct rein_trace_record *r = fetch(m->s, run, run->keys[run->next].at);
	return r ? r->end : 0;
}

/* The open run whose next record is the earliest; of several the longest. */
static size_t earliest(const struct merge *m)
{
	size_t best = 0;
	const struct run *first = &m->s->runs[m->open[0]];
	for (size_t i = 1; i < m->n; i++) {
		const struct run *run = &m->s->runs[m->open[i]];
		uint64_t begin = run->keys[run->next].begin, least = first->keys[first->next].begin;
		if (begin < least || (begin == least && end_of(m, run) > end_of(m, first))) {
			first = run;
			best = i;
		}
	}
	return best;
}

static int pass_on(struct merge *m, rein_sorted_fn *fn, void *arg)
{
	size_t i = earliest(m);
	struct run *run = &m->s->runs[m->open[i]];
	uint64_t begin = run->keys[run->next].begin;
	if (m->next < m->s->n_runs && m->s->runs[m->next].begin_min <= begin)
		return open_next(m);
	const struct rein_trace_record *r = fetch(m->s, run, run->keys[run->next].at);
	int result = 0;
	if (r && is_wanted(r) && r->begin == begin)
		result = fn(arg, run->epoch, r);
	if (++run->next == run->n) {
		close_run(run);
		memmove(&m->open[i], &m->open[i + 1], (--m->n - i) * sizeof(m->open[0]));
	}
	return result;
}

int rein_sorted_read(struct rein_sorted *s, rein_sorted_fn *fn, void *arg)
{
	struct merge m = {.s = s};
	int err = 0;
	m.open = reallocarray(NULL, s->n_runs + 1, sizeof(m.open[0]));
	if (!m.open)
		return -ENOMEM;
	while (!err && (m.n || m.next < s->n_runs))
		err = m.n ? pass_on(&m, fn, arg) : open_next(&m);
	for (size_t i = 0; i < s->n_runs; i++)
		close_run(&s->runs[i]);
	free(m.open);
	return err;
}
