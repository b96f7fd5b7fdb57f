// SPDX-License-Identifier: Apache-2.0
/* sim.c: making a simulation, its loop, and its results. */
#include "sim_int.h"

#include <errno.h>
#include <string.h>

/* ---------------------------------------------------------------- response times */

static unsigned bucket_of(uint64_t ns)
{
	if (ns < 1u << SIM_HIST_STEPS)
		return (unsigned)ns;
	unsigned shift = 63u - (unsigned)__builtin_clzll(ns) - SIM_HIST_STEPS;
	return (shift << SIM_HIST_STEPS) + (unsigned)(ns >> shift);
}

/* The greatest value that falls into it. */
static uint64_t bucket_end(unsigned bucket)
{
	if (bucket < 2u << SIM_HIST_STEPS)
		return bucket;
	unsigned shift = (bucket >> SIM_HIST_STEPS) - 1;
	uint64_t step = (bucket & ((1u << SIM_HIST_STEPS) - 1)) + (1u << SIM_HIST_STEPS);
	return ((step + 1) << shift) - 1;
}

void rein_sim_histogram_add(struct rein_sim_histogram *h, uint64_t ns)
{
	h->count++;
	h->max_ns = ns > h->max_ns ? ns : h->max_ns;
	h->bucket[bucket_of(ns)]++;
}

uint64_t rein_sim_response(const struct rein_sim_histogram *h, unsigned permille)
{
	uint64_t rank = (h->count * permille + 999) / 1000, seen = 0;
	for (unsigned i = 0; rank && i < SIM_HIST_BUCKETS; i++) {
		seen += h->bucket[i];
		if (seen >= rank)
			return bucket_end(i) < h->max_ns ? bucket_end(i) : h->max_ns;
	}
	return 0;
}

/* ---------------------------------------------------------------- making */

static const char *client_wrong(const struct rein_sim_setup *setup, unsigned i)
{
	const struct rein_sim_client *c = &setup->client[i];
	bool by_period = c->arrival == REIN_SIM_PERIODIC || c->arrival == REIN_SIM_SPORADIC ||
	                 c->arrival == REIN_SIM_POISSON || c->arrival == REIN_SIM_BURSTS;
	if (!c->kernels && !c->copy_in_ns && !c->copy_out_ns)
		return "its requests have neither kernels nor copies";
	if (c->kernels && !c->kernel_ns)
		return "its kernels take no time";
	if (c->kernel_min_ns > c->kernel_ns)
		return "its shortest kernel is longer than its longest";
	if (by_period && !c->period_ns)
		return "its arrivals need a distance";
	if (c->arrival == REIN_SIM_BURSTS && (!c->on_ns || !c->off_ns))
		return "bursts need an on and an off time";
	if (c->arrival == REIN_SIM_TIMES && !c->times_ns && c->n_times)
		return "it has no times of arrival";
	if (c->arrival == REIN_SIM_AFTER && (c->after >= setup->n || c->after == i))
		return "the client that its requests come after is not another one";
	return NULL;
}

static int check(const struct rein_sim_setup *setup, char *why, unsigned why_len)
{
	const char *wrong = NULL;
	if (!setup->n || setup->n > REIN_SIM_CLIENTS_MAX)
		wrong = "a simulation needs 1 to 1024 clients";
	else if (setup->copy_engines > REIN_SIM_ENGINES_MAX)
		wrong = "there are at most 8 copy engines";
	else if (setup->queue_max > REIN_SIM_QUEUE_MAX)
		wrong = "the driver's queue takes at most 4096 segments";
	else if (!(setup->noise >= 0 && setup->noise <= 1))
		wrong = "the noise is a number from 0 to 1";
	if (wrong) {
		snprintf(why, why_len, "%s", wrong);
		return -EINVAL;
	}
	for (unsigned i = 0; i < setup->n; i++) {
		wrong = client_wrong(setup, i);
		if (!wrong)
			continue;
		snprintf(why, why_len, "client %s: %s", setup->client[i].name, wrong);
		return -EINVAL;
	}
	return 0;
}

static void setup_defaults(struct rein_sim *s)
{
	struct rein_sim_setup *setup = &s->setup;
	setup->copy_engines = setup->copy_engines ? setup->copy_engines : 1;
	setup->queue_max = setup->queue_max ? setup->queue_max : 1024;
	setup->sms = setup->sms ? setup->sms : 132;
	s->queue_mask = 1;
	while (s->queue_mask <= setup->queue_max)
		s->queue_mask = s->queue_mask << 1 | 1;
}

static int client_init(struct rein_sim *s, unsigned i)
{
	struct sim_client *c = &s->client[i];
	const struct rein_sim_client *spec = &s->setup.client[i];
	c->spec = *spec;
	c->index = i;
	c->random = s->setup.seed ^ (i + 1) * 0x9e3779b97f4a7c15u;
	c->policy = spec->policy;
	c->policy.id = i + 1;
	c->policy.job = spec->policy.job ? spec->policy.job : c->policy.id;
	c->policy.priv = NULL;
	c->total = spec->kernels + (spec->copy_in_ns > 0) + (spec->copy_out_ns > 0);
	c->backlog_ns = c->policy.backlog_ns;
	c->backlog_launches = c->policy.backlog_launches;
	c->timeslice_ns = s->setup.timeslice_ns;
	c->idle_since_ns = UINT64_MAX;
	c->result.response = &c->response;
	c->queue = calloc(s->queue_mask + 1, sizeof(*c->queue));
	c->pending = calloc(REIN_SIM_PENDING_MAX, sizeof(*c->pending));
	if (!c->queue || !c->pending)
		return -ENOMEM;
	if (spec->arrival == REIN_SIM_AFTER)
		s->client[spec->after].followed = true;
	rein_sim_timers_set(&s->timers, sim_timer(s, c, SIM_TIMER_JOIN), spec->join_ns);
	return 0;
}

int rein_sim_new(const struct rein_sim_setup *setup, struct rein_sim **out, char *why,
                 unsigned why_len)
{
	*out = NULL;
	int err = check(setup, why, why_len);
	if (err)
		return err;
	struct rein_sim *s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->setup = *setup;
	setup_defaults(s);
	s->n = setup->n;
	s->random = ~setup->seed;
	rein_sim_device_init(s);
	s->client = calloc(s->n, sizeof(*s->client));
	err = s->client ? rein_sim_timers_init(&s->timers, sim_timer_arbiter(s) + 1) : -ENOMEM;
	if (!err)
		err = rein_sim_arbiter_init(s);
	for (unsigned i = 0; !err && i < s->n; i++)
		err = client_init(s, i);
	if (err) {
		snprintf(why, why_len, "out of memory");
		rein_sim_free(s);
		return err;
	}
	*out = s;
	return 0;
}

void rein_sim_free(struct rein_sim *s)
{
	if (!s)
		return;
	rein_sim_arbiter_fini(s);
	for (unsigned i = 0; s->client && i < s->n; i++) {
		free(s->client[i].queue);
		free(s->client[i].pending);
	}
	rein_sim_timers_fini(&s->timers);
	free(s->client);
	free(s);
}

/* ---------------------------------------------------------------- running */

static void joins_or_leaves(struct rein_sim *s, struct sim_client *c)
{
	if (c->joined) {
		rein_sim_program_leave(s, c);
		return;
	}
	if (rein_sim_arbiter_join(s, c)) /* out of memory: it stays outside */
		return;
	if (c->spec.leave_ns > s->now_ns)
		rein_sim_timers_set(&s->timers, sim_timer(s, c, SIM_TIMER_JOIN), c->spec.leave_ns);
	rein_sim_program_start(s, c);
}

static void client_timer(struct rein_sim *s, struct sim_client *c, unsigned which)
{
	switch (which) {
	case SIM_TIMER_JOIN:
		joins_or_leaves(s, c);
		break;
	case SIM_TIMER_ARRIVE:
		rein_sim_program_arrives(s, c);
		break;
	case SIM_TIMER_HOST:
		rein_sim_program_host(s, c);
		break;
	default:
		c->off = c->closed;
		rein_sim_device_look(s, c);
	}
}

static void fire(struct rein_sim *s, unsigned timer)
{
	unsigned first = SIM_TIMER_SMS + 1 + s->setup.copy_engines;
	if (timer == SIM_TIMER_SMS)
		rein_sim_device_timer(s);
	else if (timer < first)
		rein_sim_device_copied(s, timer - SIM_TIMER_SMS - 1);
	else if (timer == sim_timer_arbiter(s))
		rein_sim_arbiter_wake(s);
	else
		client_timer(s, &s->client[(timer - first) % s->n], (timer - first) / s->n);
}

/* Nothing changes between two events. */
static void pass_time(struct rein_sim *s, uint64_t to_ns)
{
	uint64_t ns = to_ns - s->now_ns;
	s->now_ns = to_ns;
	if (s->sms.running || s->sms.n_running)
		s->totals.busy_ns += ns;
	else if (s->sms.switching)
		s->totals.switch_ns += ns;
	else
		s->totals.idle_ns += ns;
	if (s->waiters && rein_sim_device_nothing_runs(s))
		s->totals.starved_ns += ns;
}

/* Requests that should have ended by now. */
static void count_overdue(struct rein_sim *s, struct sim_client *c)
{
	uint64_t deadline_ns = c->spec.policy.deadline_ns;
	if (!deadline_ns)
		return;
	if (c->open && c->arrival_ns + deadline_ns < s->now_ns)
		c->result.missed++;
	for (uint32_t i = c->pending_head; i != c->pending_tail; i++)
		if (c->pending[i % REIN_SIM_PENDING_MAX] + deadline_ns < s->now_ns)
			c->result.missed++;
	c->result.missed += c->result.dropped;
}

void rein_sim_run(struct rein_sim *s)
{
	while (s->timers.set) {
		unsigned timer = rein_sim_timers_first(&s->timers);
		uint64_t at_ns = s->timers.at_ns[timer];
		if (at_ns > s->setup.duration_ns)
			break;
		pass_time(s, at_ns);
		s->totals.events++;
		rein_sim_timers_set(&s->timers, timer, UINT64_MAX);
		fire(s, timer);
	}
	pass_time(s, s->setup.duration_ns);
	rein_sim_device_end(s);
	for (unsigned i = 0; i < s->n; i++) {
		struct sim_client *c = &s->client[i];
		if (c->word_waiting)
			c->result.waited_ns += s->now_ns - c->waits_since_ns;
		count_overdue(s, c);
	}
}

const struct rein_sim_result *rein_sim_result(const struct rein_sim *s, unsigned client)
{
	return &s->client[client].result;
}

const struct rein_sim_totals *rein_sim_totals(const struct rein_sim *s)
{
	return &s->totals;
}
