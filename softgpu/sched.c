// SPDX-License-Identifier: Apache-2.0
/* sched.c: see sched.h. Events are cohort ends and ready times; between them nothing changes. */
#include "sched.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static size_t cohort_size(const struct sg_sched *s)
{
	return sizeof(struct sg_cohort) + s->model->sms;
}

int sg_sched_init(struct sg_sched *s, const struct sg_model *m)
{
	memset(s, 0, sizeof(*s));
	s->model = m;
	s->sm = calloc(m->sms, sizeof(*s->sm));
	/* one to spare: without memory blocks are placed one cohort at a time, never not at all */
	s->spare = calloc(1, cohort_size(s));
	if (s->sm && s->spare)
		return 0;
	sg_sched_fini(s);
	return -ENOMEM;
}

static void free_cohorts(struct sg_cohort *c)
{
	while (c) {
		struct sg_cohort *next = c->next;
		free(c);
		c = next;
	}
}

void sg_sched_fini(struct sg_sched *s)
{
	free_cohorts(s->cohorts);
	free_cohorts(s->spare);
	free(s->sm);
	memset(s, 0, sizeof(*s));
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static double min_real(double a, double b)
{
	return a < b ? a : b;
}

/* ---- kernels */

void sg_sched_add(struct sg_sched *s, struct sg_kernel *k)
{
	if (!k->blocks)
		k->blocks = 1;
	k->per_sm =
	    sg_model_blocks_per_sm(s->model, k->block_threads, k->shared_bytes, k->registers);
	if (!k->per_sm) { /* the API refuses such a launch; never wait for slots that cannot come */
		k->per_sm = 1;
		k->block_threads = 32;
		k->shared_bytes = k->registers = 0;
	}
	k->need = (struct sg_sm){
	    .blocks = 1, .threads = (k->block_threads + 31u) & ~31u, .shared = k->shared_bytes};
	k->need.registers = k->need.threads * ((k->registers + 7u) & ~7u);
	k->slots = (uint64_t)k->per_sm * (k->on ? k->on->n : s->model->sms);
	k->waves = (k->blocks + k->slots - 1) / k->slots;
	k->left = k->blocks;
	k->wave = k->resident = k->cohorts = 0;
	k->started = false;
	k->start_ns = k->end_ns = 0;
	k->seq = s->seq++;
	struct sg_kernel **at = &s->kernels;
	while (*at && (*at)->priority <= k->priority)
		at = &(*at)->next;
	k->next = *at;
	*at = k;
	if (k->ready_ns <= s->clock_ns)
		s->dirty = true;
}

void sg_sched_set_solo(struct sg_sched *s, struct sg_kernel *k, uint64_t solo_ns)
{
	k->solo_ns = solo_ns ? solo_ns : 1;
	if (s->stalled == k || k->skip)
		s->dirty = true;
	if (s->stalled == k)
		s->stalled = NULL;
}

static uint64_t waves_ns(const struct sg_kernel *k, uint64_t n)
{
	return sg_model_waves_ns(k->solo_ns, k->waves, n);
}

static uint64_t wave_ns(const struct sg_kernel *k, uint64_t i)
{
	return max_u64(waves_ns(k, i + 1) - waves_ns(k, i), 1);
}

/* ---- placing blocks */

static uint32_t fit(uint32_t n, uint32_t left, uint32_t need)
{
	return need && left / need < n ? left / need : n;
}

static uint32_t room_on(const struct sg_model *m, const struct sg_sm *used,
                        const struct sg_sm *need)
{
	uint32_t n = m->blocks_per_sm - used->blocks;
	n = fit(n, m->threads_per_sm - used->threads, need->threads);
	n = fit(n, m->shared_per_sm - used->shared, need->shared);
	return fit(n, m->registers_per_sm - used->registers, need->registers);
}

static void occupy(struct sg_sm *sm, const struct sg_sm *need, uint32_t n)
{
	sm->blocks += n * need->blocks;
	sm->threads += n * need->threads;
	sm->shared += n * need->shared;
	sm->registers += n * need->registers;
}

static void vacate(struct sg_sm *sm, const struct sg_sm *need, uint32_t n)
{
	sm->blocks -= n * need->blocks;
	sm->threads -= n * need->threads;
	sm->shared -= n * need->shared;
	sm->registers -= n * need->registers;
}

/* Spreads n blocks, the emptiest SMs first. `room` is what each SM can take. */
static void spread(struct sg_sched *s, const struct sg_kernel *k, const uint8_t *room,
                   uint8_t *on_sm, uint64_t n)
{
	for (uint32_t level = 0; n && level < s->model->blocks_per_sm; level++) {
		for (uint32_t i = 0; n && i < s->model->sms; i++) {
			if (s->sm[i].blocks != level || on_sm[i] == room[i])
				continue;
			occupy(&s->sm[i], &k->need, 1);
			on_sm[i]++;
			n--;
		}
	}
}

static void insert_cohort(struct sg_sched *s, struct sg_cohort *c)
{
	struct sg_cohort **at = &s->cohorts;
	while (*at && (*at)->end_ns <= c->end_ns)
		at = &(*at)->next;
	c->next = *at;
	*at = c;
}

static struct sg_cohort *new_cohort(struct sg_sched *s)
{
	struct sg_cohort *c = s->spare;
	if (s->cohorts_max && s->n_cohorts >= s->cohorts_max)
		return NULL;
	if (!c)
		return calloc(1, cohort_size(s));
	s->spare = c->next;
	memset(c, 0, cohort_size(s));
	return c;
}

/* Places as many blocks of k as fit now on its SMs, but for `taken`. False: none did. */
static bool place(struct sg_sched *s, struct sg_kernel *k, const struct sg_sm_set *taken)
{
	uint8_t room[SG_SMS_MAX];
	uint64_t total = 0;
	for (uint32_t i = 0; i < s->model->sms; i++) {
		bool may = (!k->on || sg_sm_has(k->on, i)) && !sg_sm_has(taken, i);
		room[i] = may ? (uint8_t)room_on(s->model, &s->sm[i], &k->need) : 0;
		total += room[i];
	}
	if (!total || (k->cooperative && total < k->left && total < k->slots))
		return false;
	struct sg_cohort *c = new_cohort(s);
	if (!c)
		return false; /* no room: tried again at the next event */
	s->n_cohorts++;
	c->kernel = k;
	c->blocks = min_u64(total, k->left);
	c->stretch = 1;
	if (c->blocks == total) {
		memcpy(c->on_sm, room, s->model->sms);
		for (uint32_t i = 0; i < s->model->sms; i++)
			occupy(&s->sm[i], &k->need, room[i]);
	} else {
		spread(s, k, room, c->on_sm, c->blocks);
	}
	if (!k->started) {
		k->started = true;
		k->start_ns = s->clock_ns;
	}
	c->end_ns = s->clock_ns + wave_ns(k, k->wave++);
	k->left -= c->blocks;
	k->resident += c->blocks;
	k->cohorts++;
	insert_cohort(s, c);
	return true;
}

static void place_all(struct sg_sched *s)
{
	struct sg_sm_set taken = {0}; /* by kernels that go first and have blocks left */
	for (struct sg_kernel *k = s->kernels; k; k = k->next) {
		if (!k->left || k->ready_ns > s->clock_ns)
			continue;
		if (!k->solo_ns && k->skip)
			continue;
		if (!k->solo_ns) {
			s->stalled = k;
			return;
		}
		place(s, k, &taken);
		if (!k->left)
			continue;
		if (!k->on)
			return; /* those behind wait until all its blocks are placed */
		for (uint32_t i = 0; i < s->model->sms; i++)
			if (sg_sm_has(k->on, i))
				sg_sm_add(&taken, i);
		if (taken.n == s->model->sms)
			return;
	}
}

/* ---- memory bandwidth */

/* A kernel wants its share when all blocks are resident that can be, else less. */
static double wanted_by(const struct sg_kernel *k)
{
	return k->memory * (double)k->resident / (double)min_u64(k->blocks, k->slots);
}

/* Other blocks are resident now than before: what remains of each cohort takes longer or less. */
static void share_memory(struct sg_sched *s)
{
	double wanted = 0;
	for (const struct sg_kernel *k = s->kernels; k; k = k->next)
		if (k->resident && k->memory > 0)
			wanted += min_real(wanted_by(k), k->memory);
	bool as_before = wanted <= 1 && s->wanted <= 1;
	s->wanted = wanted;
	if (as_before)
		return;
	struct sg_cohort *list = s->cohorts;
	s->cohorts = NULL;
	while (list) {
		struct sg_cohort *c = list;
		list = c->next;
		double stretch = sg_model_stretch(c->kernel->memory, wanted);
		if (c->stretch != stretch) {
			double left = (double)(c->end_ns - s->clock_ns) * stretch / c->stretch;
			c->end_ns = s->clock_ns + (uint64_t)(left + 0.5);
			c->stretch = stretch;
		}
		insert_cohort(s, c);
	}
}

/* ---- time */

static void settle(struct sg_sched *s)
{
	s->dirty = false;
	place_all(s);
	share_memory(s);
}

static uint64_t next_ready(const struct sg_sched *s)
{
	uint64_t t = SG_NEVER;
	for (const struct sg_kernel *k = s->kernels; k; k = k->next)
		if (k->left && k->ready_ns > s->clock_ns)
			t = min_u64(t, k->ready_ns);
	return t;
}

static uint64_t next_event(const struct sg_sched *s)
{
	if (!s->running || s->stalled)
		return SG_NEVER;
	if (s->dirty)
		return s->clock_ns;
	uint64_t t = next_ready(s);
	return s->cohorts ? min_u64(t, s->cohorts->end_ns) : t;
}

/* A kernel alone on the device, many waves before its end: take the full ones in one step. */
static void skip_waves(struct sg_sched *s, uint64_t to_ns)
{
	struct sg_cohort *c = s->cohorts;
	struct sg_kernel *k = c ? c->kernel : NULL;
	if (!c || c->next || s->dirty || s->stalled || k->left < 2 * c->blocks ||
	    c->blocks != k->slots || k->wave >= k->waves)
		return;
	for (const struct sg_kernel *o = s->kernels; o; o = o->next)
		if (o != k && o->ready_ns <= s->clock_ns)
			return;
	to_ns = min_u64(to_ns, next_ready(s));
	uint64_t lo = 0, hi = k->left / c->blocks; /* the most n with end + waves(n) ≤ to_ns */
	while (lo < hi) {
		uint64_t n = (lo + hi + 1) / 2;
		uint64_t end = c->end_ns + waves_ns(k, k->wave + n) - waves_ns(k, k->wave);
		if (end <= to_ns)
			lo = n;
		else
			hi = n - 1;
	}
	c->end_ns += waves_ns(k, k->wave + lo) - waves_ns(k, k->wave);
	k->wave += lo;
	k->left -= lo * c->blocks;
}

static void move_clock(struct sg_sched *s, uint64_t t_ns)
{
	if (t_ns <= s->clock_ns)
		return;
	if (s->cohorts && s->running)
		s->busy_ns += t_ns - s->clock_ns;
	s->clock_ns = t_ns;
}

static void unlink_kernel(struct sg_sched *s, struct sg_kernel *k)
{
	struct sg_kernel **at = &s->kernels;
	while (*at && *at != k)
		at = &(*at)->next;
	if (*at)
		*at = k->next;
}

/* Ends the cohorts that are due; returns the kernels that completed by it. */
static struct sg_kernel *end_cohorts(struct sg_sched *s)
{
	struct sg_kernel *done = NULL, **tail = &done;
	while (s->cohorts && s->cohorts->end_ns <= s->clock_ns) {
		struct sg_cohort *c = s->cohorts;
		struct sg_kernel *k = c->kernel;
		s->cohorts = c->next;
		for (uint32_t i = 0; i < s->model->sms; i++)
			if (c->on_sm[i])
				vacate(&s->sm[i], &k->need, c->on_sm[i]);
		c->next = s->spare;
		s->spare = c;
		s->n_cohorts--;
		s->dirty = true;
		k->resident -= c->blocks;
		if (--k->cohorts == 0 && !k->left) {
			unlink_kernel(s, k);
			k->end_ns = s->clock_ns;
			k->next = NULL;
			*tail = k;
			tail = &k->next;
		}
	}
	return done;
}

struct sg_kernel *sg_sched_advance(struct sg_sched *s, uint64_t to_ns)
{
	for (;;) {
		skip_waves(s, to_ns);
		uint64_t t = next_event(s);
		if (t == SG_NEVER || t > to_ns)
			return NULL;
		move_clock(s, t);
		struct sg_kernel *done = end_cohorts(s);
		if (done)
			return done; /* the caller adds successors before blocks are placed */
		settle(s);
	}
}

void sg_sched_freeze(struct sg_sched *s, uint64_t t_ns)
{
	move_clock(s, t_ns);
	s->running = false;
}

void sg_sched_pass(struct sg_sched *s, uint64_t t_ns)
{
	if (s->running && !s->stalled && !s->dirty && !s->cohorts)
		move_clock(s, t_ns);
}

void sg_sched_resume(struct sg_sched *s, uint64_t t_ns)
{
	uint64_t away_ns = t_ns > s->clock_ns ? t_ns - s->clock_ns : 0;
	for (struct sg_cohort *c = s->cohorts; c; c = c->next)
		c->end_ns += away_ns;
	s->clock_ns += away_ns;
	s->running = true;
	s->dirty = true;
}

uint64_t sg_sched_wants_ns(const struct sg_sched *s)
{
	if (s->cohorts || s->stalled)
		return s->clock_ns;
	uint64_t t = SG_NEVER;
	for (const struct sg_kernel *k = s->kernels; k; k = k->next)
		t = min_u64(t, max_u64(k->ready_ns, s->clock_ns));
	return t;
}

static uint64_t resident_end(const struct sg_sched *s, const struct sg_kernel *k)
{
	uint64_t t = 0;
	for (const struct sg_cohort *c = s->cohorts; c; c = c->next)
		if (c->kernel == k)
			t = c->end_ns; /* sorted: the last one counts */
	return t;
}

uint64_t sg_sched_wake_ns(const struct sg_sched *s)
{
	if (!s->running || s->stalled)
		return SG_NEVER;
	/* what is stretched may come earlier when other blocks end */
	uint64_t wake = s->wanted > 1 && s->cohorts ? s->cohorts->end_ns : SG_NEVER;
	for (const struct sg_kernel *k = s->kernels; k; k = k->next) {
		uint64_t end = resident_end(s, k);
		if (k->left) {
			if (!k->solo_ns)
				continue; /* its payload's end is the event */
			/* blocks left over from the last placing wait for the next cohort to end */
			uint64_t from = max_u64(k->ready_ns, s->clock_ns);
			if (k->ready_ns <= s->clock_ns && !s->dirty && s->cohorts)
				from = s->cohorts->end_ns;
			uint64_t waves = (k->left + k->slots - 1) / k->slots;
			from += waves * max_u64(k->solo_ns / k->waves, 1);
			end = max_u64(end, from);
		}
		wake = min_u64(wake, end);
	}
	return wake;
}

void sg_sched_restore_kernel(struct sg_sched *s, struct sg_kernel *k)
{
	struct sg_kernel **at = &s->kernels;
	while (*at && ((*at)->priority < k->priority ||
	               ((*at)->priority == k->priority && (*at)->seq < k->seq)))
		at = &(*at)->next;
	k->next = *at;
	*at = k;
}

bool sg_sched_restore_cohort(struct sg_sched *s, const struct sg_cohort *like, const uint8_t *on_sm)
{
	struct sg_cohort *c = new_cohort(s);
	if (!c)
		return false;
	memcpy(c, like, sizeof(*c));
	memcpy(c->on_sm, on_sm, s->model->sms);
	for (uint32_t i = 0; i < s->model->sms; i++)
		occupy(&s->sm[i], &c->kernel->need, on_sm[i]);
	s->n_cohorts++;
	insert_cohort(s, c);
	return true;
}
