// SPDX-License-Identifier: Apache-2.0
#include "admit.h"

#include <string.h>

#include "../common/clock.h"
#include "../common/log.h"
#include "admit_set.h"
#include "server.h"

static bool in_effect(const struct rein_reservation *r)
{
	return r->promise == REIN_PROMISE_GIVEN || r->promise == REIN_PROMISE_NONE;
}

static const char *name_of(const struct rein_client *c)
{
	return c->member.arbiter.name;
}

/* ---------------------------------------------------------------- processes that are no clients */

static unsigned client_pids(const struct rein_server *s, pid_t more, pid_t *pid)
{
	unsigned n = 0;
	if (more > 0)
		pid[n++] = more;
	for (const struct rein_conn *c = s->conns; c && n <= REIN_CLIENTS_MAX; c = c->next)
		if (c->client)
			pid[n++] = c->who.pid;
	return n;
}

static void begin_look(struct rein_server *s, pid_t more, uint64_t now_ns)
{
	struct rein_admit *a = &s->admit;
	pid_t pid[REIN_CLIENTS_MAX + 1];
	if (!a->watch)
		a->watch = rein_bystander_start();
	if (!a->watch)
		return;
	rein_bystander_look(a->watch, pid, client_pids(s, more, pid));
	a->bystander_ns = now_ns;
}

static bool is_among(pid_t pid, const struct rein_bystanders *list)
{
	for (unsigned i = 0; i < list->n && i < REIN_BYSTANDERS_MAX; i++)
		if (list->process[i].pid == pid)
			return true;
	return false;
}

static bool is_client(const struct rein_server *s, pid_t pid)
{
	for (const struct rein_conn *c = s->conns; c; c = c->next)
		if (c->client && c->who.pid == pid)
			return true;
	return false;
}

/* Those of `seen` that have not joined meanwhile and, if `also` is given, are among that too. */
static struct rein_bystanders sift(const struct rein_server *s, const struct rein_bystanders *seen,
                                   const struct rein_bystanders *also)
{
	struct rein_bystanders left = {0};
	unsigned named = seen->n < REIN_BYSTANDERS_MAX ? seen->n : REIN_BYSTANDERS_MAX;
	for (unsigned i = 0; i < named; i++) {
		pid_t pid = seen->process[i].pid;
		if (!is_client(s, pid) && (!also || is_among(pid, also)))
			left.process[left.n++] = seen->process[i];
	}
	left.n += seen->n - named;
	return left;
}

/* A process that has the device open and joins a moment later is none: so two looks must see it,
 * unless somebody asks right now. */
static void take_look(struct rein_server *s, bool twice)
{
	struct rein_admit *a = &s->admit;
	struct rein_bystanders seen;
	uint64_t seen_ns;
	if (!a->watch || !rein_bystander_get(a->watch, &seen, &seen_ns))
		return;
	a->bystanders = sift(s, &seen, twice ? &a->suspects : NULL);
	a->suspects = seen;
	seen = sift(s, &seen, NULL);
	rein_trace_seen(s, &seen, seen_ns);
}

/* Whoever may ask could else have us look all the time. */
static void look_now(struct rein_server *s, pid_t who, uint64_t now_ns)
{
	if (s->admit.bystander_ns && now_ns - s->admit.bystander_ns < REIN_ADMIT_SUSPECT_NS)
		return;
	begin_look(s, who, now_ns);
	if (s->admit.watch && rein_bystander_wait(s->admit.watch, REIN_ADMIT_WAIT_MS))
		take_look(s, false);
}

static void blame_bystanders(const struct rein_bystanders *b, char *why, size_t len)
{
	char more[32] = "";
	if (b->n > 1)
		snprintf(more, sizeof(more), " and %u more", b->n - 1);
	snprintf(why, len,
	         "none while unmanaged process %d (%s)%s uses the GPU; run it under `rein run`, or "
	         "end it",
	         (int)b->process[0].pid, b->process[0].comm, more);
}

/* ---------------------------------------------------------------- somebody asks */

/* The worse of what two groups answer. */
static void combine(struct rein_admission *all, const struct rein_admission *one)
{
	static const int rank[] = {[REIN_ADMIT_ACCEPT] = 0,
	                           [REIN_ADMIT_NONE] = 1,
	                           [REIN_ADMIT_LATER] = 2,
	                           [REIN_ADMIT_REJECT] = 3};
	bool worse = rank[one->verdict] > rank[all->verdict] ||
	             (one->verdict == all->verdict && one->deadline_ns > all->deadline_ns) ||
	             (one->verdict == REIN_ADMIT_ACCEPT && one->response_ns > all->response_ns);
	if (!all->why[0] || worse)
		*all = *one;
}

static void ask_groups(struct rein_admit_set *set, const struct rein_admit_member *who,
                       struct rein_admission *all)
{
	unsigned self = (unsigned)(who - set->member);
	uint64_t covered = 0;
	memset(all, 0, sizeof(*all));
	while (rein_admit_group(set, &covered)) {
		struct rein_admission one = {0};
		unsigned at = 0;
		while (at < set->n_group && set->index[at] != self)
			at++;
		if (at == set->n_group)
			continue;
		if (set->n_group > REIN_POLICY_TASKS_MAX || rein_admit_set_ask(set, at, &one)) {
			one.verdict = REIN_ADMIT_REJECT;
			if (!one.why[0])
				snprintf(one.why, sizeof(one.why),
				         "too many programs share the device for a promise");
		}
		combine(all, &one);
	}
}

void rein_admit_ask(struct rein_server *s, const struct rein_client *self, pid_t pid,
                    const char *name, const struct rein_grant *g, struct rein_reservation *out)
{
	struct rein_admit_set set;
	struct rein_admission answer;
	uint64_t now_ns = rein_now_ns();
	memset(out, 0, sizeof(*out));
	out->wanted = g->timing;
	if (!rein_timing_any(&g->timing))
		return;
	out->promise = REIN_PROMISE_REFUSED;
	if (!rein_admit_gather(s, &set)) {
		snprintf(out->why, sizeof(out->why), "out of memory");
		return;
	}
	struct rein_admit_member *m = rein_admit_member_for(&set, self);
	m->task.name = name;
	rein_admit_member_set(&set, m, &g->timing, g);
	ask_groups(&set, m, &answer);
	rein_admit_set_fini(&set);
	static const enum rein_promise promise[] = {[REIN_ADMIT_ACCEPT] = REIN_PROMISE_GIVEN,
	                                            [REIN_ADMIT_LATER] = REIN_PROMISE_LATER,
	                                            [REIN_ADMIT_REJECT] = REIN_PROMISE_REFUSED,
	                                            [REIN_ADMIT_NONE] = REIN_PROMISE_NONE};
	out->promise = promise[answer.verdict];
	snprintf(out->why, sizeof(out->why), "%s", answer.why);
	if (in_effect(out))
		out->timing = g->timing;
	if (out->promise == REIN_PROMISE_LATER) {
		out->timing = (struct rein_timing){0};
		out->later_ns = answer.deadline_ns;
	}
	if (out->promise != REIN_PROMISE_GIVEN)
		return;
	out->response_ns = answer.response_ns;
	if (pid > 0)
		look_now(s, pid, now_ns);
	if (s->admit.bystanders.n > is_among(pid, &s->admit.bystanders)) {
		out->promise = REIN_PROMISE_NONE;
		out->response_ns = 0;
		blame_bystanders(&s->admit.bystanders, out->why, sizeof(out->why));
	}
}

/* ---------------------------------------------------------------- looking again */

static void withdraw(struct rein_client *c, const char *why)
{
	struct rein_reservation *r = &c->reservation;
	r->good_looks = 0;
	r->response_ns = 0;
	snprintf(r->why, sizeof(r->why), "%s", why);
	if (r->promise != REIN_PROMISE_GIVEN)
		return;
	r->promise = REIN_PROMISE_NONE;
	r->withdrawn = true;
	rein_warn("guarantee withdrawn: %s (pid %d): %s", name_of(c), (int)c->who.pid, r->why);
}

static void give_back(struct rein_client *c, uint64_t response_ns, bool look)
{
	struct rein_reservation *r = &c->reservation;
	char due[REIN_TIME_TEXT_LEN], bound[REIN_TIME_TEXT_LEN];
	if (r->promise == REIN_PROMISE_GIVEN) {
		r->response_ns = response_ns;
		return;
	}
	r->good_looks += look;
	if (r->good_looks < REIN_ADMIT_GOOD_LOOKS)
		return;
	rein_info("guarantee given%s: %s (pid %d): within %s of its %s",
	          r->withdrawn ? " back" : "", name_of(c), (int)c->who.pid,
	          rein_time_text(bound, response_ns),
	          rein_time_text(due, rein_timing_due(&r->timing)));
	r->promise = REIN_PROMISE_GIVEN;
	r->withdrawn = false;
	r->response_ns = response_ns;
	r->why[0] = 0;
}

/* What the sets' verdict means for one client; true: the arbiter must hear of it. */
static bool settle(struct rein_server *s, const struct rein_admit_member *m, bool look)
{
	struct rein_client *c = (struct rein_client *)m->client;
	char why[sizeof(m->why)];
	bool capped = c->backlog_cap_ns != m->cap_ns;
	c->backlog_cap_ns = m->cap_ns;
	if (!in_effect(&c->reservation))
		return capped;
	if (!m->safe) {
		withdraw(c, m->why);
	} else if (s->admit.bystanders.n) {
		blame_bystanders(&s->admit.bystanders, why, sizeof(why));
		withdraw(c, why);
	} else {
		give_back(c, m->response_ns, look);
	}
	return capped;
}

/* Those that were refused ask again when something has changed. */
static void ask_again(struct rein_server *s)
{
	for (struct rein_conn *k = s->conns; k; k = k->next) {
		struct rein_client *c = k->client;
		struct rein_reservation r;
		struct rein_grant g;
		if (!c || !rein_timing_any(&c->reservation.wanted) || in_effect(&c->reservation))
			continue;
		rein_client_grant(c, s->config, &g);
		rein_admit_ask(s, c, 0, name_of(c), &g, &r);
		if (!in_effect(&r)) {
			snprintf(c->reservation.why, sizeof(c->reservation.why), "%s", r.why);
			continue;
		}
		c->reservation = r;
		rein_info("reservation accepted after all: %s (pid %d)", name_of(c),
		          (int)c->who.pid);
		rein_server_update(s, c);
	}
}

static bool anybody_reserves(const struct rein_server *s)
{
	for (const struct rein_conn *c = s->conns; c; c = c->next)
		if (c->client && rein_timing_any(&c->client->reservation.wanted))
			return true;
	return false;
}

static void forget_bystanders(struct rein_admit *a)
{
	memset(&a->bystanders, 0, sizeof(a->bystanders));
	memset(&a->suspects, 0, sizeof(a->suspects));
}

static void lift_caps(struct rein_server *s)
{
	for (struct rein_conn *c = s->conns; c; c = c->next)
		if (c->client && c->client->backlog_cap_ns != UINT64_MAX) {
			c->client->backlog_cap_ns = UINT64_MAX;
			rein_server_update(s, c->client);
		}
	if (!s->traced)
		forget_bystanders(&s->admit);
}

static void review(struct rein_server *s, bool look)
{
	struct rein_admit_set set;
	uint64_t covered = 0;
	s->admit.bystanders = sift(s, &s->admit.bystanders, NULL);
	if (!rein_admit_gather(s, &set))
		return; /* the promises stand as they are; the next look may find memory */
	while (rein_admit_group(&set, &covered))
		rein_admit_judge(&set);
	for (unsigned i = 0; i < set.n; i++)
		if (settle(s, &set.member[i], look))
			rein_server_update(s, (struct rein_client *)set.member[i].client);
	rein_admit_set_fini(&set);
}

/* The same processes, whoever is named first? */
static bool same(const struct rein_bystanders *a, const struct rein_bystanders *b)
{
	return a->n == b->n && memcmp(a->process, b->process, sizeof(a->process)) == 0;
}

void rein_admit_look(struct rein_server *s, uint64_t every_ns, uint64_t now_ns)
{
	struct rein_admit *a = &s->admit;
	take_look(s, true);
	bool suspect = sift(s, &a->suspects, NULL).n != a->bystanders.n;
	every_ns = suspect ? REIN_ADMIT_SUSPECT_NS : every_ns;
	if (now_ns - a->bystander_ns >= every_ns)
		begin_look(s, 0, now_ns);
}

void rein_admit_forget(struct rein_server *s)
{
	if (!s->admit.reserved)
		forget_bystanders(&s->admit);
}

static bool look_for_bystanders(struct rein_server *s, uint64_t now_ns)
{
	struct rein_bystanders before = s->admit.bystanders;
	rein_admit_look(s, REIN_ADMIT_BYSTANDER_NS, now_ns);
	return !same(&before, &s->admit.bystanders);
}

void rein_admit_step(struct rein_server *s, uint64_t now_ns)
{
	struct rein_admit *a = &s->admit;
	bool changed = a->dirty;
	if (!changed && !a->reserved)
		return;
	a->dirty = false;
	if (changed) {
		bool before = a->reserved;
		a->reserved = anybody_reserves(s);
		if (!a->reserved) {
			if (before)
				lift_caps(s);
			return;
		}
	}
	bool look = now_ns - a->look_ns >= REIN_ADMIT_LOOK_NS;
	bool others = look_for_bystanders(s, now_ns);
	if (!changed && !look && !others)
		return;
	if (now_ns < a->rest_until_ns) {
		a->dirty = true;
		return;
	}
	if (look)
		a->look_ns = now_ns;
	review(s, look);
	if (changed || others)
		ask_again(s);
	uint64_t end_ns = rein_now_ns();
	a->rest_until_ns = end_ns + REIN_ADMIT_REST * (end_ns - now_ns);
}

void rein_admit_fini(struct rein_admit *a)
{
	if (a->watch)
		rein_bystander_stop(a->watch);
	a->watch = NULL;
}
