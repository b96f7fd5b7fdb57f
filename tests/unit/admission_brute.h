// SPDX-License-Identifier: Apache-2.0
/*
 * admission_brute.h: a device, an arbiter and programs in whole steps of time, as simple as can be,
 * for comparison with the analyses. Each program keeps at most `block` of unfinished work in its
 * queue while its gate is open; a closed gate stops what is not queued yet. The device serves one
 * queue for up to a time slice, then the least urgent or any other, and a change of queue costs
 * `change` steps. The arbiter knows what was `reaction` steps ago.
 */
#ifndef REIN_TESTS_ADMISSION_BRUTE_H
#define REIN_TESTS_ADMISSION_BRUTE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "policy/policy.h"

#define BRUTE_TASKS 8
#define BRUTE_REACTION_MAX 7

enum brute_rule { BRUTE_FIXED, BRUTE_EDF, BRUTE_CLASSES };

struct brute_state {               /* of one task */
	uint64_t next;             /* its next release */
	uint64_t release;          /* of the oldest unfinished request */
	uint64_t pending;          /* unfinished requests, that one included */
	uint64_t left;             /* work of that one that is not queued yet */
	uint64_t queued;           /* work in the queue */
	uint64_t quiet;            /* steps since it became idle */
	uint64_t due, budget_left; /* server */
	uint64_t response;         /* longest so far */
};

struct brute_seen { /* what the arbiter sees, some steps later */
	bool active[BRUTE_TASKS];
	uint64_t due[BRUTE_TASKS];
};

struct brute {
	enum brute_rule rule;
	const struct rein_task *task;
	const uint64_t *block, *offset;
	unsigned n;
	uint64_t change, reaction, slice;
	uint64_t late;    /* releases may come so much later than their period (sporadic) */
	uint64_t *random; /* state of the generator */
	bool least_urgent_first;
	struct brute_state t[BRUTE_TASKS];
	struct brute_seen seen[BRUTE_REACTION_MAX + 1];
	unsigned serves; /* whose queue the device serves; n: none */
	uint64_t served, changing;
};

static inline uint64_t brute_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static inline uint64_t brute_deadline(const struct rein_task *t)
{
	return t->deadline_ns ? t->deadline_ns : t->period_ns;
}

static inline void brute_begin(struct brute *b, unsigned i, uint64_t release)
{
	struct brute_state *s = &b->t[i];
	const struct rein_task *task = &b->task[i];
	s->release = release;
	s->left = task->server ? UINT64_MAX / 2 : task->cost_ns; /* a server's asks for ever */
	if (!task->server)
		s->due = release + brute_deadline(task);
}

static inline void brute_release(struct brute *b, uint64_t now)
{
	for (unsigned i = 0; i < b->n; i++) {
		struct brute_state *s = &b->t[i];
		const struct rein_task *task = &b->task[i];
		if (!task->period_ns || s->next > now || (task->server && s->pending))
			continue;
		s->next = now + task->period_ns + (b->late ? brute_random(b->random) % b->late : 0);
		if (task->server) {
			s->due = now + task->period_ns;
			s->budget_left = task->cost_ns;
		}
		if (s->pending++ == 0)
			brute_begin(b, i, now);
	}
}

/* Is x, as seen, more urgent than y? Without timing: never. */
static inline bool brute_before(const struct brute *b, const struct brute_seen *seen, unsigned x,
                                unsigned y)
{
	if (b->rule == BRUTE_CLASSES && b->task[x].band != b->task[y].band)
		return b->task[x].band < b->task[y].band;
	if (b->rule == BRUTE_FIXED ||
	    (b->rule == BRUTE_CLASSES && b->task[x].band != REIN_BAND_REALTIME))
		return b->task[x].prio > b->task[y].prio;
	if (!b->task[x].period_ns || !b->task[y].period_ns)
		return b->task[x].period_ns && !b->task[y].period_ns;
	return seen->due[x] != seen->due[y] ? seen->due[x] < seen->due[y] : x < y;
}

static inline void brute_submit(struct brute *b, uint64_t now)
{
	struct brute_seen *seen = &b->seen[now % (BRUTE_REACTION_MAX + 1)];
	for (unsigned i = 0; i < b->n; i++) {
		struct brute_state *s = &b->t[i];
		s->quiet = s->pending ? 0 : s->quiet + 1;
		seen->active[i] = s->pending || s->quiet <= b->task[i].linger_ns;
		/* idle: what it would be if it came now */
		seen->due[i] = seen->active[i] || b->task[i].server
		                   ? s->due
		                   : now + brute_deadline(&b->task[i]);
	}
	uint64_t then = now >= b->reaction ? now - b->reaction : 0;
	seen = &b->seen[then % (BRUTE_REACTION_MAX + 1)];
	for (unsigned i = 0; i < b->n; i++) {
		struct brute_state *s = &b->t[i];
		bool held = false;
		for (unsigned j = 0; j < b->n; j++)
			held |= seen->active[j] && brute_before(b, seen, j, i);
		/* without timing: always something to do */
		uint64_t room = b->block[i] > s->queued ? b->block[i] - s->queued : 0;
		if (held)
			continue;
		if (!b->task[i].period_ns) {
			s->queued += room;
		} else if (s->pending) {
			uint64_t take = s->left < room ? s->left : room;
			s->queued += take;
			s->left -= take;
		}
	}
}

static inline void brute_end(struct brute *b, unsigned i, uint64_t now)
{
	struct brute_state *s = &b->t[i];
	uint64_t response = now - s->release;
	s->response = response > s->response ? response : s->response;
	if (--s->pending > 0)
		brute_begin(b, i, s->release + b->task[i].period_ns); /* only without `late` */
}

static inline unsigned brute_choose(struct brute *b, const struct brute_seen *seen)
{
	unsigned chosen = b->n, start = (unsigned)(brute_random(b->random) % b->n);
	for (unsigned k = 0; k < b->n; k++) {
		unsigned i = (start + k) % b->n;
		if (!b->t[i].queued || (i == b->serves && chosen != b->n))
			continue;
		if (chosen == b->n || chosen == b->serves ||
		    (b->least_urgent_first && brute_before(b, seen, chosen, i)))
			chosen = i;
	}
	return chosen;
}

static inline void brute_serve(struct brute *b, uint64_t now)
{
	if (b->changing) {
		b->changing--;
		return;
	}
	if (b->serves == b->n || !b->t[b->serves].queued || b->served >= b->slice) {
		unsigned next = brute_choose(b, &b->seen[now % (BRUTE_REACTION_MAX + 1)]);
		if (next == b->n)
			return;
		b->served = 0;
		if (next != b->serves && b->serves != b->n)
			b->changing = b->change;
		b->serves = next;
		if (b->changing) {
			b->changing--;
			return;
		}
	}
	struct brute_state *s = &b->t[b->serves];
	const struct rein_task *task = &b->task[b->serves];
	s->queued--;
	b->served++;
	if (task->server && --s->budget_left == 0) {
		s->budget_left = task->cost_ns;
		s->due += task->period_ns;
	}
	if (task->period_ns && !s->queued && !s->left)
		brute_end(b, b->serves, now + 1);
}

/* Runs for `steps`; the longest responses are in b->t[].response. */
static inline void brute_run(struct brute *b, uint64_t steps)
{
	memset(b->t, 0, sizeof(b->t));
	memset(b->seen, 0, sizeof(b->seen));
	b->serves = b->n;
	b->served = b->changing = 0;
	for (unsigned i = 0; i < b->n; i++) {
		b->t[i].next = b->offset[i];
		b->t[i].quiet = UINT64_MAX / 2;
	}
	for (uint64_t now = 0; now < steps; now++) {
		brute_release(b, now);
		brute_submit(b, now);
		brute_serve(b, now);
	}
}

#endif
