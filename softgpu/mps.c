// SPDX-License-Identifier: Apache-2.0
/* mps.c: see mps.h. A round: make a scheduler out of the shared state, act, put it back. */
#include "mps.h"

#include <errno.h>
#include <string.h>

enum { FREE, ACTIVE, DONE };

static void set_bit(uint64_t *bits, uint32_t i)
{
	bits[i / 64] |= 1ull << i % 64;
}

static bool has_bit(const uint64_t *bits, uint32_t i)
{
	return bits[i / 64] >> i % 64 & 1;
}

static void ring(struct sg_mps *m, uint32_t seat)
{
	m->bells |= 1ull << seat;
}

static void ring_active(struct sg_mps *m)
{
	for (uint32_t i = 0; i < m->n_jobs; i++)
		if (m->job[i].state == ACTIVE)
			ring(m, m->job[i].seat);
}

static struct sg_mps_job *job_of(struct sg_kernel *k)
{
	return (struct sg_mps_job *)((char *)k - offsetof(struct sg_mps_job, k));
}

static uint32_t device_sms(const struct sg_model *model)
{
	return model->device_sms ? model->device_sms : model->sms;
}

/* ---- clients */

static void remove_jobs(struct sg_mps *m, uint32_t seat)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < m->n_cohorts; i++)
		if (m->job[m->cohort[i].job].seat != seat)
			m->cohort[kept++] = m->cohort[i];
	for (uint32_t i = 0; i < m->n_jobs; i++) {
		if (m->job[i].state == FREE || m->job[i].seat != seat)
			continue;
		m->job[i].state = FREE;
		m->dirty = 1;
	}
	if (m->dirty)
		ring_active(m);
	m->n_cohorts = kept;
}

/* The first of n SMs, in a row, that the fewest other clients are confined to. */
static uint32_t least_used(const struct sg_mps *m, uint32_t all, uint32_t n)
{
	uint32_t users[SG_SMS_MAX] = {0}, best = 0, fewest = UINT32_MAX;
	for (uint32_t s = 0; s < SG_SEATS; s++)
		for (uint32_t i = 0; m->client[s].sms < all && i < m->client[s].sms; i++)
			users[(m->client[s].first + i) % all]++;
	for (uint32_t first = 0; first < all; first++) {
		uint32_t sum = 0;
		for (uint32_t i = 0; i < n; i++)
			sum += users[(first + i) % all];
		if (sum < fewest) {
			fewest = sum;
			best = first;
		}
	}
	return best;
}

void sg_mps_seat(struct sg_mps *m, const struct sg_model *model, uint32_t seat, uint32_t sms)
{
	uint32_t all = device_sms(model);
	remove_jobs(m, seat);
	m->client[seat] = (struct sg_mps_client){.sms = 0};
	if (sms && sms < all)
		m->client[seat].first = least_used(m, all, sms);
	m->client[seat].sms = sms < all ? sms : all;
}

/* ---- a scheduler out of the shared state, and back */

static int import(struct sg_sched *s, const struct sg_model *model, struct sg_mps *m)
{
	int e = sg_sched_init(s, model);
	if (e)
		return e;
	s->clock_ns = m->clock_ns;
	s->seq = m->seq;
	s->dirty = m->dirty;
	s->running = true;
	s->cohorts_max = SG_MPS_COHORTS;
	memcpy(&s->wanted, &m->wanted_bits, sizeof(s->wanted));
	for (uint32_t i = 0; i < m->n_jobs; i++) {
		struct sg_mps_job *j = &m->job[i];
		if (j->state != ACTIVE)
			continue;
		j->k.on = j->on.n ? &j->on : NULL;
		sg_sched_restore_kernel(s, &j->k);
	}
	for (uint32_t i = 0; i < m->n_cohorts; i++) {
		const struct sg_mps_cohort *c = &m->cohort[i];
		struct sg_cohort like = {.kernel = &m->job[c->job].k,
		                         .end_ns = c->end_ns,
		                         .blocks = c->blocks,
		                         .stretch = c->stretch};
		if (!sg_sched_restore_cohort(s, &like, c->on_sm)) {
			sg_sched_fini(s);
			return -ENOMEM;
		}
	}
	return 0;
}

static void export(struct sg_mps *m, struct sg_sched *s)
{
	m->clock_ns = s->clock_ns;
	m->seq = s->seq;
	m->dirty = s->dirty || s->stalled; /* it stalls again in the next round */
	memcpy(&m->wanted_bits, &s->wanted, sizeof(s->wanted));
	m->n_cohorts = 0;
	for (const struct sg_cohort *c = s->cohorts; c; c = c->next) {
		struct sg_mps_cohort *to = &m->cohort[m->n_cohorts++];
		to->job = (uint64_t)(job_of(c->kernel) - m->job);
		to->end_ns = c->end_ns;
		to->blocks = c->blocks;
		to->stretch = c->stretch;
		memcpy(to->on_sm, c->on_sm, s->model->sms);
	}
	while (m->n_jobs && m->job[m->n_jobs - 1].state == FREE)
		m->n_jobs--;
	sg_sched_fini(s);
}

/* ---- what the client brings */

static void take_acks(struct sg_mps *m, struct sg_mps_round *r)
{
	for (uint32_t i = 0; i < m->n_jobs; i++) {
		struct sg_mps_job *j = &m->job[i];
		if (!has_bit(r->acked, i) || j->state != DONE || j->seat != r->seat)
			continue;
		j->state = FREE;
		r->changed = true;
	}
}

/* The SMs of the device that stand for those that a client sees. */
static void place_client(struct sg_sm_set *on, const struct sg_mps_client *c, uint32_t all,
                         const struct sg_sm_set *seen)
{
	memset(on, 0, sizeof(*on));
	if (!seen && c->sms == all)
		return;
	for (uint32_t i = 0; i < c->sms; i++)
		if (!seen || sg_sm_has(seen, i))
			sg_sm_add(on, (c->first + i) % all);
}

static uint32_t free_job(struct sg_mps *m)
{
	uint32_t i = 0;
	while (i < m->n_jobs && m->job[i].state != FREE)
		i++;
	if (i < SG_MPS_JOBS && i == m->n_jobs)
		m->n_jobs++;
	return i;
}

static uint32_t jobs_of(const struct sg_mps *m, uint32_t seat)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < m->n_jobs; i++)
		n += m->job[i].state != FREE && m->job[i].seat == seat;
	return n;
}

static void enter(struct sg_mps *m, struct sg_sched *s, struct sg_mps_round *r, struct sg_kernel *k)
{
	k->job_wanted = free_job(m);
	if (k->job_wanted == SG_MPS_JOBS)
		return;
	struct sg_mps_job *j = &m->job[k->job_wanted];
	*j = (struct sg_mps_job){.k = *k, .seat = r->seat, .state = ACTIVE};
	place_client(&j->on, &m->client[r->seat], s->model->sms, k->on);
	j->k.on = j->on.n ? &j->on : NULL;
	j->k.skip = false;
	sg_sched_add(s, &j->k);
	r->changed = true;
}

static void take_kernels(struct sg_mps *m, struct sg_sched *s, struct sg_mps_round *r)
{
	uint32_t n = jobs_of(m, r->seat);
	for (struct sg_kernel *k = r->kernels; k; k = k->next) {
		k->job_wanted = k->job;
		if (k->job == SG_MPS_JOBS) {
			if (n < SG_MPS_JOBS_EACH)
				enter(m, s, r, k);
			n += k->job_wanted != SG_MPS_JOBS;
		} else if (k->solo_ns && !k->told) {
			struct sg_mps_job *j = &m->job[k->job];
			j->k.memory = k->memory;
			j->since_ns = 0;
			sg_sched_set_solo(s, &j->k, k->solo_ns);
			r->changed = true;
		}
	}
}

/* ---- time */

static bool others_wait(const struct sg_mps *m, uint32_t seat)
{
	for (uint32_t i = 0; i < m->n_jobs; i++)
		if (m->job[i].state == ACTIVE && m->job[i].seat != seat)
			return true;
	return false;
}

/* Until when the clock stands still for a job; 0: it does not. */
static uint64_t patience(struct sg_mps *m, struct sg_mps_job *j, struct sg_mps_round *r)
{
	if (m->client[j->seat].absent)
		return 0;
	if (!j->since_ns) {
		j->since_ns = r->now_ns;
		r->changed = true;
	}
	return j->since_ns + SG_MPS_PATIENCE_NS > r->now_ns ? j->since_ns + SG_MPS_PATIENCE_NS : 0;
}

/* Stands the clock still for a job that has completed, until its process has seen to it? */
static bool holds(struct sg_mps *m, struct sg_mps_round *r)
{
	for (uint32_t i = 0; i < m->n_jobs; i++) {
		struct sg_mps_job *j = &m->job[i];
		if (j->state != DONE)
			continue;
		uint64_t until = j->seat == r->seat ? r->now_ns : patience(m, j, r);
		if (until) {
			r->wake_ns = until;
			return true;
		}
		m->client[j->seat].absent = 1;
	}
	return false;
}

/* Or for one whose duration nobody knows yet? */
static bool stalls(struct sg_mps *m, struct sg_sched *s, struct sg_mps_round *r)
{
	struct sg_mps_job *j = job_of(s->stalled);
	if (!others_wait(m, j->seat)) {
		r->wake_ns = SG_NEVER; /* its process will come */
		return true;
	}
	uint64_t until = patience(m, j, r);
	if (until) {
		r->wake_ns = until;
		return true;
	}
	j->k.skip = true;
	s->stalled = NULL;
	s->dirty = true;
	return false;
}

static void complete(struct sg_mps *m, struct sg_mps_round *r, struct sg_kernel *done)
{
	while (done) {
		struct sg_mps_job *j = job_of(done);
		done = done->next;
		j->state = DONE;
		j->since_ns = r->now_ns;
		ring(m, j->seat);
	}
}

static void run(struct sg_mps *m, struct sg_sched *s, struct sg_mps_round *r)
{
	bool was_held = m->held;
	m->held = 1;
	while (!holds(m, r)) {
		struct sg_kernel *done = sg_sched_advance(s, r->to_ns);
		complete(m, r, done);
		if (done || (s->stalled && !stalls(m, s, r)))
			continue;
		m->held = s->stalled != NULL;
		if (!m->held)
			r->wake_ns = sg_sched_wake_ns(s);
		break;
	}
	if (was_held && !m->held)
		ring_active(m); /* they sleep for as long as they would have been patient */
	if (was_held != m->held)
		r->changed = true;
}

static void report(const struct sg_mps *m, struct sg_mps_round *r)
{
	bool any = false, active = false;
	for (uint32_t i = 0; i < m->n_jobs; i++) {
		const struct sg_mps_job *j = &m->job[i];
		if (j->state == FREE || j->seat != r->seat)
			continue;
		any = true;
		active |= j->state == ACTIVE;
		r->start_ns[i] = j->k.start_ns;
		r->end_ns[i] = j->k.end_ns;
		if (j->k.started)
			set_bit(r->started, i);
		if (j->state == DONE)
			set_bit(r->done, i);
	}
	if (!active)
		r->wake_ns = SG_NEVER;
	if (!any && r->kernels) /* others have all the jobs there are */
		r->wake_ns = r->now_ns + SG_MPS_PATIENCE_NS / 8;
}

int sg_mps_round(struct sg_mps *m, const struct sg_model *model, struct sg_mps_round *r)
{
	struct sg_sched s;
	struct sg_model whole = *model;
	whole.sms = device_sms(model);
	int e = import(&s, &whole, m);
	if (e)
		return e;
	r->changed = m->client[r->seat].absent;
	r->wake_ns = SG_NEVER;
	memset(r->done, 0, sizeof(r->done));
	memset(r->started, 0, sizeof(r->started));
	m->client[r->seat].absent = 0;
	take_acks(m, r);
	take_kernels(m, &s, r);
	run(m, &s, r);
	report(m, r);
	r->changed |= s.clock_ns != m->clock_ns || (s.dirty || s.stalled) != !!m->dirty || m->bells;
	export(m, &s);
	return 0;
}

void sg_mps_commit(const struct sg_mps_round *r)
{
	for (struct sg_kernel *k = r->kernels; k; k = k->next) {
		k->job = k->job_wanted;
		if (k->job == SG_MPS_JOBS)
			continue;
		k->told = k->solo_ns;
		k->started = has_bit(r->started, k->job);
		k->done = has_bit(r->done, k->job);
		k->start_ns = r->start_ns[k->job];
		k->end_ns = r->end_ns[k->job];
	}
}
