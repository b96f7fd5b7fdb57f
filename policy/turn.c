// SPDX-License-Identifier: Apache-2.0
/* turn.c: see turn.h. A pick is two passes: bring virtual times up to date and sum them up, then
 * choose. Virtual times wrap around, so each pass works with differences from one of them. */
#include "turn.h"

#include "policies.h"

#define SHIFT 14                   /* 2^14 > the greatest weight: no charge is lost to rounding */
#define CHARGE_MAX_NS (1ull << 42) /* 73 minutes at once; shifted it fits */

#define PATIENCE_NS 1000000000ull

static struct rein_turn *turn(const struct rein_policy_client *c)
{
	return c->priv;
}

static uint64_t weight(const struct rein_policy_client *c)
{
	return c->weight ? c->weight : REIN_POLICY_WEIGHT;
}

/* −20: a quarter of the quantum, 0: the quantum, 19: 3.85 of it. */
static uint64_t slice(const struct rein_policy_client *c, uint64_t quantum_ns)
{
	int nice = c->latency_nice < -20 ? -20 : c->latency_nice > 19 ? 19 : c->latency_nice;
	if (nice == 0)
		return quantum_ns ? quantum_ns : 1;
	uint64_t ns = nice < 0 ? quantum_ns * 20 / (uint64_t)(20 - 3 * nice)
	                       : quantum_ns * (uint64_t)(20 + 3 * nice) / 20;
	return ns ? ns : 1;
}

void rein_turn_join(struct rein_turn *t, uint64_t now_ns)
{
	*t = (struct rein_turn){.since_ns = now_ns};
}

void rein_turn_ready(struct rein_turn *t, uint64_t now_ns)
{
	t->live = t->fresh = true;
	t->since_ns = now_ns;
}

void rein_turn_idle(struct rein_turn *t)
{
	t->live = t->mine = false;
}

void rein_turn_charge(struct rein_turn *t, const struct rein_policy_client *c, uint64_t now_ns,
                      uint64_t ns)
{
	ns = ns < CHARGE_MAX_NS ? ns : CHARGE_MAX_NS;
	t->vtime += (ns << SHIFT) / weight(c);
	t->left_ns -= ns < t->left_ns ? ns : t->left_ns;
	t->since_ns = now_ns;
}

struct sum {
	uint64_t base;       /* the virtual time that differences are taken from */
	int64_t least, most; /* of those that have a request; of all */
	bool any, placed;    /* some have a virtual time; some of them had a request all along */
	uint64_t weight;
	__int128 moment; /* weight × difference, of those that compete */
	unsigned n;
};

static int64_t ahead(const struct sum *s, const struct rein_turn *t)
{
	return (int64_t)(t->vtime - s->base);
}

/* The least virtual time of those that had a request at the last pick already, and the greatest. */
static void survey(struct rein_policy_client *const *c, unsigned n, struct sum *s)
{
	for (unsigned i = 0; i < n; i++) {
		const struct rein_turn *t = turn(c[i]);
		if (!t->shares || !t->known)
			continue;
		if (!s->any)
			s->base = t->vtime;
		int64_t at = ahead(s, t);
		s->most = !s->any || at > s->most ? at : s->most;
		s->any = true;
		if (t->live && t->placed) {
			s->least = !s->placed || at < s->least ? at : s->least;
			s->placed = true;
		}
	}
}

/* Where it may begin or go on: not behind those that kept the device busy. */
static void place(const struct sum *s, struct rein_turn *t)
{
	int64_t floor = s->placed ? s->least : s->most;
	if (!t->known || (s->placed && ahead(s, t) < floor))
		t->vtime = s->base + (uint64_t)floor;
	t->known = true;
}

static void bring_up_to_date(struct rein_policy_client *const *c, unsigned n, struct sum *s)
{
	survey(c, n, s);
	for (unsigned i = 0; i < n; i++) {
		struct rein_turn *t = turn(c[i]);
		if (!t->shares)
			t->in = t->mine = t->placed = false;
		else if (!t->live || !t->placed)
			place(s, t);
		t->placed = t->shares && t->live;
		if (!t->in)
			continue;
		s->weight += weight(c[i]);
		s->moment += (__int128)ahead(s, t) * (int64_t)weight(c[i]);
		s->n++;
	}
}

/* Not above the weighted mean: ahead · Σw ≤ Σ(w · ahead). */
static bool eligible(const struct sum *s, const struct rein_turn *t)
{
	return (__int128)ahead(s, t) * (int64_t)s->weight <= s->moment;
}

static int64_t deadline(const struct sum *s, const struct rein_policy_client *c,
                        uint64_t quantum_ns)
{
	return ahead(s, turn(c)) + (int64_t)((slice(c, quantum_ns) << SHIFT) / weight(c));
}

static bool overdue(const struct sum *s, const struct rein_policy_client *c, uint64_t quantum_ns,
                    uint64_t now_ns)
{
	const struct rein_turn *t = turn(c);
	uint64_t waits_ns = now_ns - t->since_ns;
	return now_ns > t->since_ns && waits_ns > PATIENCE_NS &&
	       (waits_ns - PATIENCE_NS) / 16 >= quantum_ns * s->weight / weight(c);
}

/* The overdue one that waits longest; else the holder of the turn, unless one that has just come
 * may end it; else the eligible one with the earliest virtual deadline, equals by id. */
static unsigned choose(const struct sum *s, struct rein_policy_client *const *c, unsigned n,
                       uint64_t quantum_ns, uint64_t now_ns)
{
	unsigned holder = n, best = n, late = n;
	int64_t best_at = 0;
	for (unsigned i = 0; i < n; i++) {
		struct rein_turn *t = turn(c[i]);
		if (!t->in)
			continue;
		if (overdue(s, c[i], quantum_ns, now_ns) &&
		    (late == n || t->since_ns < turn(c[late])->since_ns))
			late = i;
		if (t->mine && t->left_ns && holder == n)
			holder = i;
		if (!eligible(s, t)) /* first: it is cheaper than the divisions below */
			continue;
		int64_t at = deadline(s, c[i], quantum_ns);
		if (best < n && (at > best_at || (at == best_at && c[i]->id > c[best]->id)))
			continue;
		best = i;
		best_at = at;
	}
	if (late < n)
		return late;
	if (holder == n || best == n)
		return holder < n ? holder : best;
	bool sooner = turn(c[best])->fresh && c[best]->latency_nice < c[holder]->latency_nice;
	return sooner ? best : holder;
}

unsigned rein_turn_pick(struct rein_policy_client *const *c, unsigned n, uint64_t quantum_ns,
                        uint64_t now_ns, uint64_t *next_ns)
{
	struct sum s = {0};
	quantum_ns = quantum_ns < REIN_TURN_QUANTUM_MAX_NS ? quantum_ns : REIN_TURN_QUANTUM_MAX_NS;
	bring_up_to_date(c, n, &s);
	unsigned w = s.n ? choose(&s, c, n, quantum_ns, now_ns) : n;
	for (unsigned i = 0; i < n; i++) {
		struct rein_turn *t = turn(c[i]);
		t->fresh = t->fresh && !t->in;
		if (t->in && i != w)
			t->mine = false;
	}
	if (w == n)
		return n;
	struct rein_turn *t = turn(c[w]);
	if (s.n == 1) /* it needs no turn, which would count on its other devices too */
		return w;
	if (!t->mine || !t->left_ns)
		t->left_ns = slice(c[w], quantum_ns);
	t->mine = true;
	rein_policy_sooner(next_ns, rein_policy_add(now_ns, t->left_ns));
	return w;
}
