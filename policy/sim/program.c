// SPDX-License-Identifier: Apache-2.0
/*
 * program.c: the virtual programs: requests, their segments, the gate, the backlog, and the demand
 * word, as a program under librein.so has them.
 */
#include "sim_int.h"

#define PENDING_MASK (REIN_SIM_PENDING_MAX - 1)

static bool endless(const struct sim_client *c)
{
	return c->spec.arrival == REIN_SIM_ENDLESS;
}

/* ---------------------------------------------------------------- the demand word */

static void publish(struct rein_sim *s, struct sim_client *c)
{
	bool submitting = c->phase == SIM_SUBMIT || c->phase == SIM_CALL;
	bool active = c->outstanding > 0 || submitting || (c->spec.declares && c->open);
	bool waiting = c->phase == SIM_SUBMIT && c->closed;
	if (waiting != c->word_waiting) {
		s->waiters += waiting ? 1u : -1u;
		if (waiting)
			c->waits_since_ns = s->now_ns;
		else
			c->result.waited_ns += s->now_ns - c->waits_since_ns;
	}
	if (waiting && !c->outstanding && c->drained_ns < c->closed_ns)
		c->drained_ns = s->now_ns;
	bool another = c->spec.declares && c->open && c->word_release_ns != c->arrival_ns;
	if (active == c->word_active && waiting == c->word_waiting && !another)
		return;
	bool ring = (active && !c->word_active) || (waiting && !c->word_waiting) || another ||
	            (!active && c->notify);
	c->word++;
	c->word_active = active;
	c->word_waiting = waiting;
	c->word_exact = c->spec.declares;
	if (c->open)
		c->word_release_ns = c->arrival_ns;
	if (ring)
		rein_sim_arbiter_ring(s);
}

/* ---------------------------------------------------------------- requests */

static void request_begin(struct sim_client *c, uint64_t arrival_ns)
{
	c->open = true;
	c->arrival_ns = arrival_ns;
	c->next = 0;
	c->phase = SIM_SUBMIT;
}

static void release(struct rein_sim *s, struct sim_client *c)
{
	sim_tell(s, &(struct rein_sim_event){
			.type = REIN_SIM_EV_RELEASE, .client = c->index, .at_ns = s->now_ns});
	c->result.released++;
	if (c->pending_tail - c->pending_head == REIN_SIM_PENDING_MAX) {
		sim_tell(s, &(struct rein_sim_event){
				.type = REIN_SIM_EV_DROP, .client = c->index, .at_ns = s->now_ns});
		c->result.dropped++;
		return;
	}
	c->pending[c->pending_tail++ & PENDING_MASK] = s->now_ns;
	rein_sim_program_go(s, c);
}

void rein_sim_program_arrives(struct rein_sim *s, struct sim_client *c)
{
	if (c->leaving)
		return;
	if (c->spec.arrival != REIN_SIM_CLOSED && !endless(c)) {
		uint64_t next_ns = rein_sim_arrival(c);
		/* jitter must not change the order */
		if (next_ns < s->now_ns)
			next_ns = s->now_ns;
		rein_sim_timers_set(&s->timers, sim_timer(s, c, SIM_TIMER_ARRIVE), next_ns);
	}
	release(s, c);
}

static void request_done(struct rein_sim *s, struct sim_client *c, uint64_t arrival_ns)
{
	uint64_t took_ns = s->now_ns - arrival_ns;
	uint64_t deadline_ns = c->spec.policy.deadline_ns;
	bool missed = deadline_ns && took_ns > deadline_ns;
	c->result.done++;
	c->result.missed += missed;
	if (took_ns > c->result.response_max_ns)
		c->result.response_max_ns = took_ns;
	rein_sim_histogram_add(&c->response, took_ns);
	sim_tell(s, &(struct rein_sim_event){.type = REIN_SIM_EV_DONE,
	                                     .client = c->index,
	                                     .at_ns = s->now_ns,
	                                     .since_ns = arrival_ns,
	                                     .ns = took_ns,
	                                     .missed = missed});
	for (unsigned i = 0; c->followed && i < s->n; i++) {
		struct sim_client *next = &s->client[i];
		if (next->spec.arrival == REIN_SIM_AFTER && next->spec.after == c->index &&
		    next->joined && !next->leaving)
			release(s, next);
	}
}

/* ---------------------------------------------------------------- segments */

static struct sim_segment segment_make(struct sim_client *c)
{
	const struct rein_sim_client *spec = &c->spec;
	struct sim_segment g = {.arrival_ns = c->arrival_ns, .last = c->next + 1 == c->total};
	if (c->next == 0 && spec->copy_in_ns) {
		g.copy = true;
		g.ns = spec->copy_in_ns;
	} else if (g.last && spec->copy_out_ns) {
		g.copy = true;
		g.ns = spec->copy_out_ns;
	} else {
		g.ns = spec->kernel_ns;
		if (spec->kernel_min_ns)
			g.ns = rein_sim_between(&c->random, spec->kernel_min_ns, spec->kernel_ns);
	}
	return g;
}

/* What the shim takes it for: the longest that this kernel has been, or not known. */
static uint64_t estimate(const struct sim_client *c)
{
	const struct rein_sim_client *spec = &c->spec;
	if (c->next == 0 && spec->copy_in_ns)
		return spec->copy_in_ns;
	if (c->next + 1 == c->total && spec->copy_out_ns)
		return spec->copy_out_ns;
	return spec->unknown ? c->backlog_ns : spec->kernel_ns;
}

static bool has_room(const struct rein_sim *s, const struct sim_client *c, uint64_t ns)
{
	if (!c->outstanding)
		return true;
	if (c->outstanding >= s->setup.queue_max)
		return false;
	return !c->metered || (c->outstanding_ns + ns <= c->backlog_ns &&
	                       c->outstanding + 1 <= c->backlog_launches);
}

static void enqueue(struct rein_sim *s, struct sim_client *c)
{
	struct sim_segment *g = &c->queue[c->queue_tail & s->queue_mask];
	uint64_t reserved_ns = g->reserved_ns; /* noted when its submission began */
	*g = segment_make(c);
	g->reserved_ns = reserved_ns;
	c->queue_tail++;
	c->next++;
	sim_tell(s, &(struct rein_sim_event){.type = REIN_SIM_EV_SUBMIT,
	                                     .client = c->index,
	                                     .at_ns = s->now_ns,
	                                     .ns = g->ns});
	bool gap = c->spec.gap_every && c->next % c->spec.gap_every == 0;
	if (c->next == c->total && endless(c) && !c->leaving)
		request_begin(c, s->now_ns);
	else
		c->phase = gap || c->next == c->total ? SIM_DRAIN : SIM_SUBMIT;
	if (c->queue_tail - c->queue_head == 1)
		rein_sim_device_first(s, c);
}

/* False: it has to wait, for its gate, for room, or for the end of its call. */
static bool submit(struct rein_sim *s, struct sim_client *c)
{
	if (c->closed)
		return false;
	uint64_t ns = estimate(c);
	if (!has_room(s, c, ns))
		return false;
	c->queue[c->queue_tail & s->queue_mask].reserved_ns = ns;
	c->outstanding++;
	c->outstanding_ns += ns;
	if (c->spec.submit_ns) {
		c->phase = SIM_CALL;
		rein_sim_timers_set(&s->timers, sim_timer(s, c, SIM_TIMER_HOST),
		                    s->now_ns + c->spec.submit_ns);
		return false;
	}
	enqueue(s, c);
	return true;
}

/* All that it waited for has completed. */
static void drained(struct rein_sim *s, struct sim_client *c)
{
	if (c->open && c->next < c->total) {
		c->phase = SIM_THINK;
		rein_sim_timers_set(&s->timers, sim_timer(s, c, SIM_TIMER_HOST),
		                    s->now_ns + c->spec.gap_ns);
		return;
	}
	bool was_open = c->open;
	c->phase = SIM_IDLE;
	c->open = false;
	if (was_open && !endless(c))
		request_done(s, c, c->arrival_ns);
	if (c->spec.arrival == REIN_SIM_CLOSED && !c->leaving)
		rein_sim_timers_set(&s->timers, sim_timer(s, c, SIM_TIMER_ARRIVE),
		                    s->now_ns + c->spec.think_ns);
}

void rein_sim_program_go(struct rein_sim *s, struct sim_client *c)
{
	for (bool on = true; on;) {
		switch (c->phase) {
		case SIM_IDLE:
			on = c->pending_head != c->pending_tail && !c->leaving;
			if (on)
				request_begin(c, c->pending[c->pending_head++ & PENDING_MASK]);
			break;
		case SIM_SUBMIT:
			on = submit(s, c);
			break;
		case SIM_DRAIN:
			on = c->outstanding == 0;
			if (on)
				drained(s, c);
			break;
		default:
			on = false;
		}
	}
	publish(s, c);
	if (c->leaving && c->joined && c->phase == SIM_IDLE)
		rein_sim_arbiter_leave(s, c);
}

/* The end of a submission, or of a gap. */
void rein_sim_program_host(struct rein_sim *s, struct sim_client *c)
{
	if (c->phase == SIM_CALL)
		enqueue(s, c);
	else
		c->phase = SIM_SUBMIT;
	rein_sim_program_go(s, c);
}

void rein_sim_program_ended(struct rein_sim *s, struct sim_client *c)
{
	const struct sim_segment g = *sim_first(s, c);
	c->queue_head++;
	c->outstanding--;
	c->outstanding_ns -= g.reserved_ns;
	c->result.segments++;
	sim_tell(s,
	         &(struct rein_sim_event){
		     .type = REIN_SIM_EV_END, .client = c->index, .at_ns = s->now_ns, .ns = g.ns});
	if (c->queue_head != c->queue_tail)
		rein_sim_device_first(s, c);
	if (g.last && endless(c))
		request_done(s, c, g.arrival_ns);
	rein_sim_program_go(s, c);
}

void rein_sim_program_start(struct rein_sim *s, struct sim_client *c)
{
	rein_sim_timers_set(&s->timers, sim_timer(s, c, SIM_TIMER_ARRIVE), rein_sim_arrival(c));
}

/* It ends its request and then leaves. */
void rein_sim_program_leave(struct rein_sim *s, struct sim_client *c)
{
	c->leaving = true;
	if (endless(c) && c->phase == SIM_SUBMIT && c->next == 0) {
		c->open = false;
		c->phase = SIM_DRAIN;
	}
	rein_sim_timers_set(&s->timers, sim_timer(s, c, SIM_TIMER_ARRIVE), UINT64_MAX);
	rein_sim_program_go(s, c);
}
