// SPDX-License-Identifier: Apache-2.0
/*
 * arbiter.c: the arbiter's part of the simulation: what daemon/arbiter.c, decide.c and account.c do
 * with demand words, lingers, charges and verdicts, on virtual time. Keep it in step with them.
 */
#include "sim_int.h"

#include <errno.h>
#include <string.h>

#include "../../common/clock.h"

/* As REIN_ARBITER_TICK_NS, REIN_ARBITER_IDLE_TICK_NS and RARE_NS of the daemon. */
#define TICK_HELD_NS (25 * REIN_MS)
#define TICK_LIVE_NS (100 * REIN_MS)
#define RARE_NS (5 * REIN_MS)
#define CHARGE_PIECES_MAX 8

static uint64_t min_ns(uint64_t x, uint64_t y)
{
	return x < y ? x : y;
}

static struct sim_client *joined(struct rein_sim *s, unsigned i)
{
	return &s->client[s->who[i]];
}

/* ---------------------------------------------------------------- charging */

static uint64_t noisy(struct rein_sim *s, uint64_t ns)
{
	if (s->setup.noise <= 0)
		return ns;
	double error = s->setup.noise * (2 * rein_sim_uniform(&s->random) - 1);
	return (uint64_t)((double)ns * (1 + error));
}

static void charge(struct rein_sim *s, struct sim_client *c, uint64_t at_ns, uint64_t ns)
{
	ns = noisy(s, ns);
	if (!ns)
		return;
	c->policy.used_ns += ns;
	if (!s->policy->ops->charge)
		return;
	s->policy->ops->charge(s->policy, &c->policy, at_ns, ns);
	s->dirty = true;
}

/* When what it had queued had drained; UINT64_MAX: not yet. */
static uint64_t drained_ns(const struct sim_client *c)
{
	return c->drained_ns >= c->closed_ns ? c->drained_ns : UINT64_MAX;
}

static bool owns(const struct sim_client *c, uint64_t at_ns)
{
	if (!c->seen_active)
		return false;
	return !c->closed || (c->drain_left_ns && drained_ns(c) > at_ns);
}

/* Charges the time up to `to_ns`, or less: until the next of those that drain has done so. */
static uint64_t charge_piece(struct rein_sim *s, uint64_t from_ns, uint64_t to_ns, bool whole)
{
	struct sim_client *owner[REIN_SIM_CLIENTS_MAX];
	unsigned owners = 0;
	for (unsigned i = 0; i < s->n_joined; i++)
		if (owns(joined(s, i), from_ns))
			owner[owners++] = joined(s, i);
	for (unsigned i = 0; i < owners && !whole; i++)
		if (owner[i]->closed) {
			to_ns = min_ns(to_ns, drained_ns(owner[i]));
			to_ns = min_ns(to_ns, from_ns + owner[i]->drain_left_ns * owners);
		}
	for (unsigned i = 0; i < owners; i++) {
		uint64_t part_ns = (to_ns - from_ns) / owners;
		if (owner[i]->closed)
			owner[i]->drain_left_ns -= min_ns(part_ns + 1, owner[i]->drain_left_ns);
		charge(s, owner[i], to_ns, part_ns);
	}
	return to_ns;
}

static void charge_what_ran(struct rein_sim *s)
{
	for (unsigned i = 0; i < s->n_joined; i++) {
		struct sim_client *c = joined(s, i);
		uint64_t ran_ns = rein_sim_device_ran(s, c);
		charge(s, c, s->now_ns, ran_ns - c->ran_charged_ns);
		c->ran_charged_ns = ran_ns;
	}
}

static void account(struct rein_sim *s)
{
	if (s->setup.charging == REIN_SIM_EXACT && s->charged_ns < s->now_ns) {
		charge_what_ran(s);
		s->charged_ns = s->now_ns;
	}
	for (unsigned pieces = 1; s->charged_ns < s->now_ns; pieces++)
		s->charged_ns =
		    charge_piece(s, s->charged_ns, s->now_ns, pieces == CHARGE_PIECES_MAX);
}

static void closes(struct rein_sim *s, struct sim_client *c)
{
	uint64_t queue_ns = c->policy.backlog_ns;
	if (!c->spec.unknown && c->spec.kernel_ns > queue_ns)
		queue_ns = c->spec.kernel_ns;
	c->drain_left_ns = c->drained_ns ? queue_ns : 0;
	c->closed_ns = s->now_ns;
}

/* ---------------------------------------------------------------- requests */

static void notify(struct sim_client *c)
{
	c->notify = c->holding || c->rare;
}

static void publish_active(struct rein_sim *s, struct sim_client *c)
{
	const struct rein_policy_ops *ops = s->policy->ops;
	if (c->policy.active == c->live)
		return;
	c->policy.active = c->live;
	if (c->live && ops->ready)
		ops->ready(s->policy, &c->policy, s->now_ns);
	if (!c->live && ops->idle)
		ops->idle(s->policy, &c->policy, s->now_ns);
	s->dirty = true;
}

/* A request is open: since when, and until when it is due. */
static void request_seen(struct rein_sim *s, struct sim_client *c)
{
	struct rein_policy_client *p = &c->policy;
	p->release_ns = c->spec.declares ? c->word_release_ns : p->active_since_ns;
	p->due_ns = p->deadline_ns ? p->release_ns + p->deadline_ns : 0;
}

/* One declared request has followed another. */
static void request_another(struct rein_sim *s, struct sim_client *c)
{
	c->live = false;
	publish_active(s, c);
	c->policy.active_since_ns = s->now_ns;
	request_seen(s, c);
	c->live = true;
	publish_active(s, c);
}

static void look_word(struct rein_sim *s, struct sim_client *c)
{
	if (c->word == c->word_seen)
		return;
	account(s);
	c->word_seen = c->word;
	c->seen_active = c->word_active;
	if (c->word_waiting != c->policy.waiting)
		s->dirty = true;
	c->policy.waiting = c->word_waiting;
	if (c->word_active) {
		c->idle_since_ns = UINT64_MAX;
		if (!c->live) {
			c->rare = s->now_ns - c->policy.active_since_ns >= RARE_NS;
			notify(c);
			c->policy.active_since_ns = s->now_ns;
			request_seen(s, c);
			c->live = true;
		} else if (c->spec.declares && c->policy.release_ns != c->word_release_ns) {
			request_another(s, c);
		}
	} else if (c->live) {
		c->idle_since_ns = s->now_ns;
		c->exact = c->word_exact;
	}
	publish_active(s, c);
	if (c->live)
		s->tick_ns = min_ns(s->tick_ns, s->now_ns + TICK_LIVE_NS);
}

static uint64_t linger_ends(struct rein_sim *s, struct sim_client *c)
{
	if (c->idle_since_ns == UINT64_MAX)
		return UINT64_MAX;
	uint64_t end_ns = c->idle_since_ns + (c->exact ? 0 : c->policy.linger_us * REIN_US);
	if (end_ns > s->now_ns)
		return end_ns;
	account(s);
	c->idle_since_ns = UINT64_MAX;
	c->live = false;
	publish_active(s, c);
	return UINT64_MAX;
}

/* ---------------------------------------------------------------- decisions */

static bool apply(struct rein_sim *s, struct sim_client *c, const struct rein_policy_verdict *v)
{
	uint64_t backlog_ns = v->backlog_ns ? v->backlog_ns : c->policy.backlog_ns;
	uint32_t launches = v->backlog_launches ? v->backlog_launches : c->policy.backlog_launches;
	uint64_t slice_ns = v->timeslice_us ? v->timeslice_us * REIN_US : s->setup.timeslice_ns;
	bool resized = c->sms != v->sms;
	bool gate = c->closed != v->hold;
	bool changed = gate || c->metered != v->metered || c->backlog_ns != backlog_ns ||
	               c->backlog_launches != launches;
	bool told = gate || c->metered != v->metered || c->holder != v->holder;
	if (resized && s->setup.sharing == REIN_SIM_MPS)
		(void)rein_sim_device_ran(s, c); /* progress so far was at the old speed */
	if (gate && v->hold)
		closes(s, c);
	c->closed = c->policy.held = v->hold;
	c->metered = v->metered;
	c->holder = v->holder;
	c->backlog_ns = backlog_ns;
	c->backlog_launches = launches;
	c->timeslice_ns = slice_ns;
	c->sms = v->sms;
	if (gate && s->setup.context_gate_ns)
		rein_sim_timers_set(&s->timers, sim_timer(s, c, SIM_TIMER_CONTEXT),
		                    s->now_ns + s->setup.context_gate_ns);
	if (resized)
		rein_sim_device_sms(s);
	if (told)
		sim_tell(s,
		         &(struct rein_sim_event){.type = REIN_SIM_EV_GATE,
		                                  .client = c->index,
		                                  .at_ns = s->now_ns,
		                                  .closed = c->closed,
		                                  .metered = c->metered,
		                                  .other = c->holder ? c->holder - 1 : UINT32_MAX});
	return changed;
}

static void mark_holders(struct rein_sim *s)
{
	for (unsigned i = 0; i < s->n_joined; i++)
		joined(s, i)->holding = false;
	for (unsigned i = 0; i < s->n_joined; i++) {
		const struct sim_client *c = joined(s, i);
		if (c->closed && c->holder && c->holder <= s->n)
			s->client[c->holder - 1].holding = true;
	}
	for (unsigned i = 0; i < s->n_joined; i++)
		notify(joined(s, i));
}

static void decide(struct rein_sim *s)
{
	struct sim_client *changed[REIN_SIM_CLIENTS_MAX];
	unsigned n = s->n_joined, n_changed = 0;
	account(s); /* what it goes by is to be what has happened until now */
	s->dirty = false;
	s->totals.decisions++;
	memset(s->verdict, 0, n * sizeof(s->verdict[0]));
	uint64_t next_ns = s->policy->ops->decide(s->policy, s->asked, s->verdict, n, s->now_ns);
	/* A time that has come would be asked for again and again; and a client that is charged
	 * half of the time uses up what is left in ever shorter steps. No timer is that fine. */
	uint64_t least_ns = s->now_ns + (s->setup.charging == REIN_SIM_EXACT ? 1 : REIN_US);
	s->next_ns = next_ns > least_ns ? next_ns : least_ns;
	sim_tell(s, &(struct rein_sim_event){
			.type = REIN_SIM_EV_DECIDE, .at_ns = s->now_ns, .ns = next_ns});
	/* closing first */
	for (unsigned i = 0; i < n; i++)
		if (s->verdict[i].hold && apply(s, joined(s, i), &s->verdict[i]))
			changed[n_changed++] = joined(s, i);
	bool held = n_changed > 0;
	for (unsigned i = 0; i < n; i++)
		if (!s->verdict[i].hold && apply(s, joined(s, i), &s->verdict[i]))
			changed[n_changed++] = joined(s, i);
	mark_holders(s);
	for (unsigned i = 0; i < n_changed; i++)
		rein_sim_program_go(s, changed[i]);
	if (held)
		s->tick_ns = min_ns(s->tick_ns, s->now_ns + TICK_HELD_NS);
}

static void tick(struct rein_sim *s)
{
	bool live = false, held = false;
	account(s);
	for (unsigned i = 0; i < s->n_joined; i++) {
		live |= joined(s, i)->live;
		held |= joined(s, i)->closed;
	}
	s->tick_ns = held ? s->now_ns + TICK_HELD_NS : live ? s->now_ns + TICK_LIVE_NS : UINT64_MAX;
}

static void set_timer(struct rein_sim *s, uint64_t at_ns)
{
	rein_sim_timers_set(&s->timers, sim_timer_arbiter(s), at_ns);
}

static void step(struct rein_sim *s)
{
	uint64_t next_ns = UINT64_MAX;
	if (s->tick_ns <= s->now_ns)
		tick(s);
	for (unsigned i = 0; i < s->n_joined; i++)
		next_ns = min_ns(next_ns, linger_ends(s, joined(s, i)));
	s->dirty |= s->next_ns <= s->now_ns;
	set_timer(s, UINT64_MAX); /* what is let go now may ring */
	if (s->dirty)
		decide(s);
	next_ns = min_ns(next_ns, min_ns(s->next_ns, s->tick_ns));
	set_timer(s, min_ns(next_ns, s->timers.at_ns[sim_timer_arbiter(s)]));
}

void rein_sim_arbiter_wake(struct rein_sim *s)
{
	for (unsigned i = 0; i < s->n_joined; i++)
		look_word(s, joined(s, i));
	step(s);
}

void rein_sim_arbiter_ring(struct rein_sim *s)
{
	uint64_t at_ns = s->now_ns + s->setup.reaction_ns;
	set_timer(s, min_ns(at_ns, s->timers.at_ns[sim_timer_arbiter(s)]));
}

/* ---------------------------------------------------------------- joining and leaving */

int rein_sim_arbiter_init(struct rein_sim *s)
{
	s->policy = s->setup.ops->init(&s->setup.params);
	s->next_ns = s->tick_ns = UINT64_MAX;
	return s->policy ? 0 : -ENOMEM;
}

int rein_sim_arbiter_join(struct rein_sim *s, struct sim_client *c)
{
	const struct rein_policy_ops *ops = s->policy->ops;
	account(s);
	int err = ops->join ? ops->join(s->policy, &c->policy, s->now_ns) : 0;
	if (err)
		return err;
	c->joined = true;
	c->rare = true;
	notify(c);
	s->who[s->n_joined] = c->index;
	s->asked[s->n_joined++] = &c->policy;
	s->dirty = true;
	step(s);
	return 0;
}

static void forget(struct rein_sim *s, struct sim_client *c)
{
	if (s->policy->ops->leave)
		s->policy->ops->leave(s->policy, &c->policy, s->now_ns);
	c->joined = false;
}

void rein_sim_arbiter_leave(struct rein_sim *s, struct sim_client *c)
{
	unsigned i = 0;
	account(s);
	while (s->who[i] != c->index)
		i++;
	forget(s, c);
	s->n_joined--;
	memmove(&s->who[i], &s->who[i + 1], (s->n_joined - i) * sizeof(s->who[0]));
	memmove(&s->asked[i], &s->asked[i + 1], (s->n_joined - i) * sizeof(s->asked[0]));
	s->dirty = true;
	rein_sim_arbiter_ring(s);
}

void rein_sim_arbiter_fini(struct rein_sim *s)
{
	if (!s->policy)
		return;
	for (unsigned i = 0; i < s->n_joined; i++)
		forget(s, joined(s, i));
	s->policy->ops->fini(s->policy);
}
