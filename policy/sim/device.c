// SPDX-License-Identifier: Apache-2.0
/*
 * device.c: the virtual device: the SMs, shared by time slices or (MPS) by speed, and the copy
 * engines. A client's segments are in one stream: only the first of its queue can run.
 */
#include "sim_int.h"

#include <math.h>

#define RING_MASK (REIN_SIM_CLIENTS_MAX - 1)

static void ran(struct rein_sim *s, unsigned client, unsigned engine, uint64_t since_ns)
{
	if (since_ns == s->now_ns)
		return;
	sim_tell(s, &(struct rein_sim_event){.type = REIN_SIM_EV_RUN,
	                                     .client = client,
	                                     .at_ns = s->now_ns,
	                                     .since_ns = since_ns,
	                                     .engine = engine});
}

static bool wants_sms(const struct rein_sim *s, const struct sim_client *c)
{
	const struct sim_segment *g = sim_first(s, c);
	return g && !g->copy && !c->off;
}

/* ---------------------------------------------------------------- time slices */

static void sms_timer(struct rein_sim *s, uint64_t at_ns)
{
	rein_sim_timers_set(&s->timers, SIM_TIMER_SMS, at_ns);
}

/* Who waited longest and still wants to run; NULL: nobody. It stays in line. */
static struct sim_client *next_in_line(struct rein_sim *s)
{
	struct sim_sms *m = &s->sms;
	for (; m->head != m->tail; m->head++) {
		struct sim_client *c = &s->client[m->waits[m->head & RING_MASK]];
		if (wants_sms(s, c))
			return c;
		c->turn = SIM_NO_TURN;
	}
	return NULL;
}

static void get_in_line(struct rein_sim *s, struct sim_client *c)
{
	c->turn = SIM_WAITS;
	s->sms.waits[s->sms.tail++ & RING_MASK] = c->index;
}

/* The owner's slice ends at a multiple of its length, once somebody waits. */
static void set_slice(struct rein_sim *s)
{
	struct sim_sms *m = &s->sms;
	uint64_t slice_ns = s->client[m->owner].timeslice_ns;
	if (!slice_ns || !next_in_line(s))
		m->slice_ns = UINT64_MAX;
	else if (m->slice_ns == UINT64_MAX)
		m->slice_ns = m->turn_ns + ((s->now_ns - m->turn_ns) / slice_ns + 1) * slice_ns;
}

static void arm_slices(struct rein_sim *s)
{
	struct sim_sms *m = &s->sms;
	uint64_t end_ns = m->since_ns + s->client[m->owner].left_ns;
	set_slice(s);
	if (s->setup.slice_preempts && m->slice_ns < end_ns)
		end_ns = m->slice_ns > s->now_ns ? m->slice_ns : s->now_ns;
	sms_timer(s, end_ns);
}

static void run_first(struct rein_sim *s)
{
	s->sms.running = true;
	s->sms.since_ns = s->now_ns;
	arm_slices(s);
}

/* Gives the SMs to who is next if they are free. */
static void dispatch(struct rein_sim *s)
{
	struct sim_sms *m = &s->sms;
	if (m->owner >= 0)
		return;
	struct sim_client *c = next_in_line(s);
	if (!c) {
		sms_timer(s, UINT64_MAX);
		return;
	}
	bool other = m->loaded >= 0 && m->loaded != (int)c->index;
	m->head++;
	m->owner = m->loaded = (int)c->index;
	c->turn = SIM_OWNS;
	m->slice_ns = UINT64_MAX;
	m->turn_ns = s->now_ns;
	s->totals.switches += other;
	if (other && s->setup.switch_ns) {
		m->switching = true;
		m->since_ns = s->now_ns;
		m->turn_ns += s->setup.switch_ns;
		sms_timer(s, m->turn_ns);
		return;
	}
	run_first(s);
}

static void piece_ends(struct rein_sim *s)
{
	struct sim_sms *m = &s->sms;
	struct sim_client *c = &s->client[m->owner];
	uint64_t ns = s->now_ns - m->since_ns;
	ran(s, c->index, REIN_SIM_ENGINE_SMS, m->since_ns);
	c->left_ns -= ns;
	c->result.gpu_ns += ns;
	m->running = false;
}

/* After a piece: the owner goes on, or it is another's turn. */
static void go_on(struct rein_sim *s)
{
	struct sim_sms *m = &s->sms;
	struct sim_client *c = &s->client[m->owner];
	if (wants_sms(s, c)) {
		set_slice(s);
		if (s->now_ns < m->slice_ns) {
			run_first(s);
			return;
		}
		get_in_line(s, c);
	} else {
		c->turn = SIM_NO_TURN;
	}
	m->owner = -1;
	dispatch(s);
}

static void slices_timer(struct rein_sim *s)
{
	struct sim_sms *m = &s->sms;
	struct sim_client *c = &s->client[m->owner];
	if (m->switching) {
		m->switching = false;
		sim_tell(s, &(struct rein_sim_event){.type = REIN_SIM_EV_SWITCH,
		                                     .client = c->index,
		                                     .at_ns = s->now_ns,
		                                     .since_ns = m->since_ns});
	} else {
		piece_ends(s);
		if (c->left_ns == 0)
			rein_sim_program_ended(s, c);
	}
	go_on(s);
}

static void slices_look(struct rein_sim *s, struct sim_client *c)
{
	struct sim_sms *m = &s->sms;
	if (c->turn == SIM_OWNS && c->off && m->running) {
		piece_ends(s);
		go_on(s);
	}
	if (c->turn != SIM_NO_TURN || !wants_sms(s, c))
		return;
	get_in_line(s, c);
	dispatch(s);
	if (m->running && s->setup.slice_preempts)
		arm_slices(s);
	else if (m->running)
		set_slice(s);
}

/* ---------------------------------------------------------------- MPS */

static double sms_of(const struct rein_sim *s, const struct sim_client *c)
{
	return c->sms && c->sms < s->setup.sms ? c->sms : s->setup.sms;
}

/* Brings everybody's progress up to now. */
static void mps_advance(struct rein_sim *s)
{
	struct sim_sms *m = &s->sms;
	double ns = (double)(s->now_ns - m->at_ns);
	m->at_ns = s->now_ns;
	for (unsigned i = 0; ns > 0 && m->n_running && i < s->n; i++) {
		struct sim_client *c = &s->client[i];
		if (!c->running)
			continue;
		double work = ns * sms_of(s, c) / m->wanted;
		work = work < c->left ? work : c->left;
		c->left -= work;
		c->ran += work;
		c->result.gpu_ns = (uint64_t)c->ran;
	}
}

/* Who runs changed: new speeds, and the next end. */
static void mps_arm(struct rein_sim *s)
{
	struct sim_sms *m = &s->sms;
	double wanted = 0, first = INFINITY;
	m->n_running = 0;
	for (unsigned i = 0; i < s->n; i++)
		if (s->client[i].running) {
			wanted += sms_of(s, &s->client[i]);
			m->n_running++;
		}
	m->wanted = wanted > s->setup.sms ? wanted : s->setup.sms;
	for (unsigned i = 0; i < s->n; i++) {
		const struct sim_client *c = &s->client[i];
		if (c->running && c->left * m->wanted / sms_of(s, c) < first)
			first = c->left * m->wanted / sms_of(s, c);
	}
	sms_timer(s, m->n_running ? s->now_ns + (uint64_t)ceil(first) : UINT64_MAX);
}

static void mps_look(struct rein_sim *s, struct sim_client *c)
{
	bool wants = wants_sms(s, c);
	if (wants == c->running)
		return;
	mps_advance(s);
	if (wants)
		c->since_ns = s->now_ns;
	else
		ran(s, c->index, REIN_SIM_ENGINE_SMS, c->since_ns);
	c->running = wants;
	mps_arm(s);
}

static void mps_timer(struct rein_sim *s)
{
	mps_advance(s);
	for (unsigned i = 0; i < s->n; i++) {
		struct sim_client *c = &s->client[i];
		if (!c->running || c->left >= 0.5)
			continue;
		ran(s, i, REIN_SIM_ENGINE_SMS, c->since_ns);
		c->running = false;
		rein_sim_program_ended(s, c);
	}
	mps_arm(s);
}

void rein_sim_device_sms(struct rein_sim *s)
{
	if (s->setup.sharing != REIN_SIM_MPS)
		return;
	mps_arm(s);
}

/* ---------------------------------------------------------------- copies */

static void copies_dispatch(struct rein_sim *s)
{
	struct sim_copies *e = &s->copies;
	for (unsigned i = 0; i < s->setup.copy_engines && e->head != e->tail; i++) {
		if (e->client[i] >= 0)
			continue;
		const struct sim_client *c = &s->client[e->waits[e->head++ & RING_MASK]];
		e->client[i] = (int)c->index;
		e->since_ns[i] = s->now_ns;
		e->busy++;
		rein_sim_timers_set(&s->timers, SIM_TIMER_SMS + 1 + i,
		                    s->now_ns + sim_first(s, c)->ns);
	}
}

void rein_sim_device_copied(struct rein_sim *s, unsigned engine)
{
	struct sim_copies *e = &s->copies;
	struct sim_client *c = &s->client[e->client[engine]];
	ran(s, c->index, 1 + engine, e->since_ns[engine]);
	c->result.copy_ns += s->now_ns - e->since_ns[engine];
	e->client[engine] = -1;
	e->busy--;
	c->copying = false;
	rein_sim_program_ended(s, c);
	copies_dispatch(s);
}

/* ---------------------------------------------------------------- all of it */

void rein_sim_device_init(struct rein_sim *s)
{
	s->sms.owner = s->sms.loaded = -1;
	s->sms.slice_ns = UINT64_MAX;
	for (unsigned i = 0; i < REIN_SIM_ENGINES_MAX; i++)
		s->copies.client[i] = -1;
}

void rein_sim_device_timer(struct rein_sim *s)
{
	if (s->setup.sharing == REIN_SIM_MPS)
		mps_timer(s);
	else
		slices_timer(s);
}

void rein_sim_device_look(struct rein_sim *s, struct sim_client *c)
{
	const struct sim_segment *g = sim_first(s, c);
	if (g && g->copy && !c->copying) {
		c->copying = true;
		s->copies.waits[s->copies.tail++ & RING_MASK] = c->index;
		copies_dispatch(s);
	}
	if (s->setup.sharing == REIN_SIM_MPS)
		mps_look(s, c);
	else
		slices_look(s, c);
}

void rein_sim_device_first(struct rein_sim *s, struct sim_client *c)
{
	c->left_ns = sim_first(s, c)->ns;
	c->left = (double)c->left_ns;
	rein_sim_device_look(s, c);
}

uint64_t rein_sim_device_ran(struct rein_sim *s, struct sim_client *c)
{
	if (s->setup.sharing == REIN_SIM_MPS)
		mps_advance(s);
	else if (s->sms.running && s->sms.owner == (int)c->index)
		return c->result.gpu_ns + (s->now_ns - s->sms.since_ns);
	return c->result.gpu_ns;
}

bool rein_sim_device_nothing_runs(const struct rein_sim *s)
{
	return !s->sms.running && !s->sms.switching && !s->sms.n_running && !s->copies.busy;
}

void rein_sim_device_end(struct rein_sim *s)
{
	for (unsigned i = 0; i < s->setup.copy_engines; i++) {
		if (s->copies.client[i] < 0)
			continue;
		struct sim_client *c = &s->client[s->copies.client[i]];
		ran(s, c->index, 1 + i, s->copies.since_ns[i]);
		c->result.copy_ns += s->now_ns - s->copies.since_ns[i];
	}
	mps_advance(s);
	for (unsigned i = 0; i < s->n; i++)
		if (s->client[i].running)
			ran(s, i, REIN_SIM_ENGINE_SMS, s->client[i].since_ns);
	if (s->sms.running)
		piece_ends(s);
}
