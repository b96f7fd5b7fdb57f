// SPDX-License-Identifier: Apache-2.0
/*
 * points.c: the queue gate: how a client is held, and the word that its GPU waits for.
 *
 * Who could be preempted by somebody more urgent that is registered puts a point into its streams
 * every `point_ns` of estimated work (interpose/point.h); equals, who only take turns, put none.
 * One store closes them all, the queue behind them intact; one opens them.
 *
 * Which gate. The launch gate always. The queue gate where configuration or profile allow it on all
 * devices of the client, its shim can, and it runs alone: ranks of a job wait for each other
 * inside kernels, and a rank stopped between two of them would keep its mates' kernels spinning on
 * the GPU for as long as the hold lasts. The context gate, if the profile has a recipe, for clients
 * with kernels longer than the distance of points and than what a hold itself takes twice, for
 * those of whom nothing is known yet, and for whoever is still held after a tick: it may have a
 * kernel that never ends, or waiting may keep its time slice.
 *
 * Time slices. Who could be preempted has the short ones of the profile, as long as that lasts:
 * then an urgent kernel takes the GPU from a running one by itself, and no control is on its way.
 * Only where no second such client has worked within ALONE_NS: two that run at once would hand the
 * GPU to each other at each slice, and a change of contexts takes longer than a short slice lasts.
 *
 * Several GPUs. A shim has one recipe and one time slice for all its contexts (rein_control,
 * verdict[0]). Where the profiles of the GPUs that a client uses differ, it has none.
 *
 * Pulses. A GPU may report an error on a wait of about 2 s, unless it was proven not to; so points
 * that were closed for REIN_ARBITER_PULSE_EVERY_NS open for REIN_ARBITER_PULSE_NS. The launch gate
 * stays closed: what runs is the queue's next few points.
 *
 * Trust. The client can write the word too; it only harms itself. It opens it when its lease has
 * lapsed, so each tick closes it again if we are still there, unless it says keep_open.
 */
#include "arbiter_int.h"

#include <string.h>

#include "../common/clock.h"
#include "../common/rm.h"
#include "../common/sms.h"

#define ALONE_NS REIN_S

static const struct rein_gates *gates_of(const struct rein_arbiter *a,
                                         const struct rein_arbiter_client *c, unsigned slot)
{
	static const struct rein_gates none;
	const struct rein_arbiter_slot *s = &c->slot[slot];
	return s->device >= 0 ? &a->device[s->device]->gates : &none;
}

/* Whether it can be held so on every device that it uses. */
static bool can(const struct rein_arbiter *a, const struct rein_arbiter_client *c, uint32_t what)
{
	bool all = c->can & what;
	for (unsigned i = 0; i < c->slots && all; i++)
		if (c->slot[i].seen)
			all = gates_of(a, c, i)->can & what;
	return all;
}

static bool is_timed(const struct rein_arbiter_client *c)
{
	return c->policy.deadline_ns || c->policy.period_ns;
}

/* Somebody more urgent is registered: not who merely takes turns with it. */
static bool is_outranked(const struct rein_arbiter_client *c, const struct rein_arbiter_device *d)
{
	int prio = c->policy.background ? 0 : c->policy.prio;
	return d->top_prio > prio || d->timed > is_timed(c);
}

/* The same, but that two with deadlines hold each other: neither is below the other for good, and
 * their slices would be the same SMs. */
static bool is_below(const struct rein_arbiter_client *c, const struct rein_arbiter_device *d)
{
	int prio = c->policy.background ? 0 : c->policy.prio;
	return d->top_prio > prio || (d->timed && !is_timed(c));
}

static bool works(const struct rein_arbiter_client *c, uint64_t now_ns)
{
	return c->live || (c->word_ns && now_ns - c->word_ns < ALONE_NS);
}

void rein_points_rank(struct rein_arbiter_device *d, uint64_t now_ns)
{
	d->top_prio = 0;
	d->timed = d->outranked = 0;
	for (unsigned i = 0; i < d->n; i++) {
		const struct rein_arbiter_client *c = d->client[i];
		d->top_prio = c->policy.prio > d->top_prio ? c->policy.prio : d->top_prio;
		d->timed += is_timed(c);
	}
	for (unsigned i = 0; i < d->n; i++)
		d->outranked += is_outranked(d->client[i], d) && works(d->client[i], now_ns);
}

uint64_t rein_points_every(const struct rein_arbiter *a, const struct rein_arbiter_client *c,
                           const struct rein_arbiter_device *d, uint64_t wish_ns)
{
	uint64_t every_ns = wish_ns ? wish_ns : REIN_POINT_NS;
	uint64_t least_ns = (uint64_t)d->gates.point_cost_ns * REIN_POINT_COST_PART;
	if (!c->points || c->mate != c || !is_outranked(c, d) || !can(a, c, REIN_CAN_QUEUE))
		return 0;
	return every_ns > least_ns ? every_ns : least_ns;
}

/* How all its contexts are held; OFF: they cannot be, or not alike. */
static uint32_t recipe_of(const struct rein_arbiter *a, const struct rein_arbiter_client *c)
{
	uint32_t recipe = REIN_RM_RECIPE_OFF;
	bool first = true, alike = true;
	for (unsigned i = 0; i < c->slots && alike; i++) {
		const struct rein_gates *g = gates_of(a, c, i);
		uint32_t own = g->can & REIN_CAN_CONTEXT ? g->context_recipe : REIN_RM_RECIPE_OFF;
		if (!c->slot[i].seen)
			continue;
		alike = first || own == recipe;
		recipe = own;
		first = false;
	}
	return alike ? recipe : REIN_RM_RECIPE_OFF;
}

uint32_t rein_points_timeslice(const struct rein_arbiter *a, const struct rein_arbiter_client *c,
                               const struct rein_arbiter_device *d, uint32_t wish_us)
{
	if (wish_us || !can(a, c, REIN_CAN_CONTEXT) || !recipe_of(a, c))
		return wish_us;
	for (unsigned i = 0; i < c->slots; i++) {
		const struct rein_arbiter_slot *s = &c->slot[i];
		const struct rein_arbiter_device *e = s->device >= 0 ? a->device[s->device] : d;
		if (s->seen && (e->gates.timeslice_us != d->gates.timeslice_us ||
		                e->outranked > 1 || !is_outranked(c, e)))
			return 0;
	}
	return d->gates.timeslice_us;
}

/* Somebody more urgent is at work: not merely registered. */
static bool is_crowded(const struct rein_arbiter_client *c, const struct rein_arbiter_device *d)
{
	int prio = c->policy.background ? 0 : c->policy.prio;
	bool crowded = false;
	for (unsigned i = 0; i < d->n && !crowded; i++) {
		const struct rein_arbiter_client *o = d->client[i];
		int other = o->policy.background ? 0 : o->policy.prio;
		crowded =
		    o != c && o->policy.active && (other > prio || (is_timed(o) && !is_timed(c)));
	}
	return crowded;
}

/* Below this a kernel is over before holding it has paid. */
static uint64_t worth_holding_ns(const struct rein_arbiter *a, const struct rein_arbiter_client *c)
{
	uint64_t most_ns = REIN_POINT_NS;
	for (unsigned i = 0; i < c->slots; i++) {
		uint64_t point_ns = c->slot[i].limits.point_ns;
		uint64_t hold_ns = 2 * gates_of(a, c, i)->context_us * REIN_US;
		if (!c->slot[i].seen)
			continue;
		most_ns = point_ns > most_ns ? point_ns : most_ns;
		most_ns = hold_ns > most_ns ? hold_ns : most_ns;
	}
	return most_ns;
}

/* By recipe TIMESLICE nothing is held. */
static bool can_hold_contexts(const struct rein_arbiter *a, const struct rein_arbiter_client *c)
{
	uint32_t recipe = recipe_of(a, c);
	return can(a, c, REIN_CAN_CONTEXT) && recipe != REIN_RM_RECIPE_OFF &&
	       recipe != REIN_RM_RECIPE_TIMESLICE;
}

/* Longer than what the launch gate and points can stop soon; unknown ones are. */
static bool has_long_kernels(const struct rein_arbiter *a, const struct rein_arbiter_client *c)
{
	return !c->history.longest_ns || c->history.longest_ns > worth_holding_ns(a, c);
}

static bool takes_long(const struct rein_arbiter *a, const struct rein_arbiter_client *c,
                       uint64_t now_ns)
{
	bool still = c->held && now_ns - c->closed_ns >= REIN_ARBITER_TICK_NS;
	return still || has_long_kernels(a, c);
}

/* When a slice is in force that is not for always. A kernel keeps the SMs on which it began:
 * against long ones it must be there before the urgent request is. */
static bool is_due(const struct rein_arbiter *a, const struct rein_arbiter_client *c,
                   const struct rein_arbiter_device *d, uint32_t sms)
{
	if (sms & REIN_SMS_SHARED)
		return is_crowded(c, d);
	if (sms & REIN_SMS_LONG)
		return is_below(c, d) && !can_hold_contexts(a, c) && has_long_kernels(a, c);
	return true;
}

/* The more urgent have the device's first SMs, the others its last ones: as long as the sizes allow
 * it they have none in common. */
uint32_t rein_points_sms(const struct rein_arbiter *a, const struct rein_arbiter_client *c,
                         const struct rein_arbiter_device *d, uint32_t wish)
{
	uint32_t sms = wish ? wish : c->sms;
	if (!(c->can & REIN_CAN_SLICE) || sms & REIN_SMS_ALL || !is_due(a, c, d, sms))
		return wish;
	sms &= REIN_SMS_COUNT | REIN_SMS_PERMILLE;
	return sms && !rein_arbiter_is_urgent(c) ? sms | REIN_SMS_LAST : sms;
}

uint32_t rein_points_mode(const struct rein_arbiter *a, const struct rein_arbiter_client *c,
                          uint64_t now_ns)
{
	const struct rein_arbiter_client *m = c;
	bool points = false, is_long = false;
	for (unsigned i = 0; i < c->slots; i++)
		points |= c->slot[i].seen && c->slot[i].limits.point_ns;
	do /* short kernels of a rank wait for those of its mates, and last as long as their hold */
		is_long |= takes_long(a, m, now_ns);
	while ((m = m->mate) != c);
	if (can_hold_contexts(a, c) && is_long)
		return REIN_HOLD_CONTEXT;
	return points ? REIN_HOLD_QUEUE : REIN_HOLD_LAUNCH;
}

uint64_t rein_points_delay(const struct rein_arbiter *a, const struct rein_arbiter_client *c,
                           uint64_t now_ns)
{
	uint64_t delay_ns = 0, mode = rein_points_mode(a, c, now_ns);
	for (unsigned i = 0; i < c->slots; i++) {
		const struct rein_arbiter_limits *l = &c->slot[i].limits;
		uint64_t ns = mode == REIN_HOLD_CONTEXT ? gates_of(a, c, i)->context_us * REIN_US
		              : mode == REIN_HOLD_QUEUE ? l->point_ns
		                                        : l->backlog_ns;
		if (c->slot[i].seen && c->slot[i].metered)
			delay_ns = ns > delay_ns ? ns : delay_ns;
	}
	if (delay_ns && mode != REIN_HOLD_CONTEXT && c->history.longest_ns > delay_ns)
		delay_ns = c->history.longest_ns;
	return delay_ns;
}

/* ---------------------------------------------------------------- the word */

static void store(struct rein_arbiter *a, struct rein_arbiter_client *c, uint32_t open)
{
	rein_swap_seqcst(&c->points->open, open);
	if (a->ring && rein_load_seqcst(&c->points->driven))
		a->ring(c);
}

static bool waits_for_ever(const struct rein_arbiter *a, const struct rein_arbiter_client *c)
{
	bool all = true;
	for (unsigned i = 0; i < c->slots && all; i++)
		if (c->slot[i].seen)
			all = gates_of(a, c, i)->waits_for_ever;
	return all;
}

/* Whoever says keep_open does so before it stores 1 itself: one of us sees the other. */
static void close_word(struct rein_arbiter *a, struct rein_arbiter_client *c)
{
	if (rein_load_seqcst(&c->points->keep_open))
		return;
	store(a, c, 0);
	if (rein_load_seqcst(&c->points->keep_open))
		store(a, c, 1);
}

void rein_points_close(struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns)
{
	if (!c->points || c->points_closed || !can(a, c, REIN_CAN_QUEUE))
		return;
	c->points_closed = true;
	c->points_ns = now_ns;
	c->pulse_end_ns = 0;
	close_word(a, c);
}

void rein_points_open(struct rein_arbiter *a, struct rein_arbiter_client *c)
{
	if (!c->points_closed)
		return;
	c->points_closed = false;
	store(a, c, 1);
}

uint64_t rein_points_step(struct rein_arbiter *a, struct rein_arbiter_client *c, bool tick,
                          uint64_t now_ns)
{
	if (!c->points_closed)
		return UINT64_MAX;
	if (c->pulse_end_ns && now_ns >= c->pulse_end_ns) {
		c->pulse_end_ns = 0;
		c->points_ns = now_ns;
		close_word(a, c);
	} else if (!c->pulse_end_ns && tick && rein_load_seqcst(&c->points->open) & 1) {
		c->points_ns = now_ns;
		close_word(a, c);
	}
	if (c->pulse_end_ns)
		return c->pulse_end_ns;
	if (waits_for_ever(a, c))
		return UINT64_MAX;
	if (now_ns - c->points_ns >= REIN_ARBITER_PULSE_EVERY_NS) {
		c->pulse_end_ns = now_ns + REIN_ARBITER_PULSE_NS;
		store(a, c, 1);
		return c->pulse_end_ns;
	}
	return c->points_ns + REIN_ARBITER_PULSE_EVERY_NS;
}

/* ---------------------------------------------------------------- what is allowed */

static struct rein_gates look_up(const struct rein_gates_of *all, const uint8_t uuid[16])
{
	for (unsigned i = 0; i < all->n; i++)
		if (memcmp(all->device[i].uuid, uuid, 16) == 0)
			return all->device[i].gates;
	return all->other;
}

void rein_points_device(const struct rein_arbiter *a, struct rein_arbiter_device *d)
{
	d->gates = look_up(&a->gates, d->uuid);
}

void rein_points_publish(const struct rein_arbiter *a, struct rein_arbiter_client *c)
{
	uint32_t cost_ns = 0;
	for (unsigned i = 0; i < c->slots; i++) {
		const struct rein_gates *g = gates_of(a, c, i);
		if (c->slot[i].seen)
			cost_ns = g->point_cost_ns > cost_ns ? g->point_cost_ns : cost_ns;
	}
	rein_store_release(&c->control->point_cost_ns, cost_ns);
	rein_store_release(&c->control->context_recipe, recipe_of(a, c));
}

void rein_arbiter_set_gates(struct rein_arbiter *a, const struct rein_gates_of *gates,
                            uint64_t now_ns)
{
	a->gates = *gates;
	for (unsigned i = 0; i < REIN_BOARD_DEVICES_MAX; i++)
		if (a->device[i])
			rein_points_device(a, a->device[i]);
	for (unsigned i = 0; i < a->n; i++) {
		rein_points_publish(a, a->client[i]);
		rein_device_mark(a, a->client[i]);
	}
	rein_decide(a, now_ns);
}
