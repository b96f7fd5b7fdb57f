// SPDX-License-Identifier: Apache-2.0
/*
 * shrink.h: when a property does not hold for a scenario: takes away what does not matter (clients,
 * time, features), as long as it still does not hold, and prints the rest as a file for `rein sim`.
 */
#ifndef REIN_TESTS_SHRINK_H
#define REIN_TESTS_SHRINK_H

#include <string.h>

#include "sim_run.h"

#define SHRINK_CLIENTS 64

/* Does it hold? If not, `why` says what was seen. */
struct property {
	bool (*holds)(const struct rein_sim_setup *setup, char *why, size_t why_len);
};

struct shrunk {
	struct rein_sim_setup setup;
	struct rein_sim_client client[SHRINK_CLIENTS];
};

static inline bool shrink_try(struct shrunk *s, const struct shrunk *less, const struct property *p)
{
	struct shrunk copy = *less;
	char why[300];
	copy.setup.client = copy.client;
	if (p->holds(&copy.setup, why, sizeof(why)))
		return false;
	*s = copy;
	s->setup.client = s->client;
	return true;
}

static inline bool shrink_clients(struct shrunk *s, const struct property *p)
{
	bool any = false;
	for (unsigned i = 0; i < s->setup.n && s->setup.n > 1;) {
		struct shrunk less = *s;
		less.setup.n--;
		memmove(&less.client[i], &less.client[i + 1],
		        (less.setup.n - i) * sizeof(less.client[0]));
		if (shrink_try(s, &less, p))
			any = true;
		else
			i++;
	}
	return any;
}

static inline void shrink_feature(struct rein_sim_client *c, unsigned how)
{
	switch (how) {
	case 0:
		c->gap_every = 0;
		c->gap_ns = 0;
		break;
	case 1:
		c->copy_in_ns = c->copy_out_ns = 0;
		break;
	case 2:
		c->submit_ns = 0;
		break;
	case 3:
		c->kernel_min_ns = 0;
		break;
	case 4:
		c->unknown = false;
		break;
	case 5:
		c->jitter_ns = 0;
		break;
	case 6:
		c->join_ns = c->leave_ns = 0;
		break;
	default:
		c->policy.latency_nice = 0;
	}
}

static inline bool shrink_features(struct shrunk *s, const struct property *p)
{
	bool any = false;
	for (unsigned how = 0; how < 8; how++) {
		struct shrunk less = *s;
		for (unsigned i = 0; i < less.setup.n; i++)
			shrink_feature(&less.client[i], how);
		if (memcmp(less.client, s->client, sizeof(s->client)) != 0)
			any |= shrink_try(s, &less, p);
	}
	return any;
}

static inline bool shrink_device(struct shrunk *s, const struct property *p)
{
	struct rein_sim_setup *old = &s->setup;
	bool any = false;
	for (unsigned how = 0; how < 4; how++) {
		struct shrunk less = *s;
		struct rein_sim_setup *n = &less.setup;
		if (how == 0 && old->noise > 0)
			n->noise = 0;
		else if (how == 1 && old->reaction_ns)
			n->reaction_ns = n->params.reaction_ns = 0;
		else if (how == 2 && old->switch_ns)
			n->switch_ns = n->params.switch_ns = 0;
		else if (how == 3 && old->duration_ns > 20 * REIN_MS)
			n->duration_ns /= 2;
		else
			continue;
		any |= shrink_try(s, &less, p);
	}
	return any;
}

static inline void print_time(const char *key, uint64_t ns)
{
	if (ns)
		printf("%s = %lluns\n", key, (unsigned long long)ns);
}

static const char *const bands[] = {"realtime", "interactive", "batch", "idle"};

static inline void print_client(const struct rein_sim_setup *setup, const struct rein_sim_client *c)
{
	static const char *const arrivals[] = {"periodic", "sporadic", "poisson", "bursts",
	                                       "times",    "closed",   "endless", "after"};
	const struct rein_policy_client *p = &c->policy;
	printf("\n[client %s]\npriority = %d\nband = %s\nweight = %u\narrivals = %s\n", c->name,
	       p->prio, bands[p->band], p->weight, arrivals[c->arrival]);
	if (c->arrival == REIN_SIM_AFTER)
		printf("after = %s\n", setup->client[c->after].name);
	if (p->latency_nice)
		printf("latency_nice = %d\n", p->latency_nice);
	if (c->kernels)
		printf("kernels = %u\n", c->kernels);
	if (c->gap_every)
		printf("gap_every = %u\n", c->gap_every);
	printf("linger = %uus\nbacklog_launches = %u\n", p->linger_us, p->backlog_launches);
	print_time("deadline", p->deadline_ns);
	print_time("period", p->period_ns);
	print_time("budget", p->budget_ns);
	print_time("backlog", p->backlog_ns);
	print_time("every", c->period_ns);
	print_time("offset", c->offset_ns);
	print_time("jitter", c->jitter_ns);
	print_time("on", c->on_ns);
	print_time("off", c->off_ns);
	print_time("think", c->think_ns);
	print_time("kernel", c->kernel_ns);
	print_time("kernel_min", c->kernel_min_ns);
	print_time("copy_in", c->copy_in_ns);
	print_time("copy_out", c->copy_out_ns);
	print_time("gap", c->gap_ns);
	print_time("submit", c->submit_ns);
	print_time("join", c->join_ns);
	print_time("leave", c->leave_ns);
	printf("%s%s%s", p->budget_hard ? "budget_mode = hard\n" : "",
	       c->unknown ? "unknown = yes\n" : "", c->declares ? "declares = yes\n" : "");
}

static inline void print_scenario(const struct rein_sim_setup *s)
{
	printf(
	    "\n# shrunk; `rein sim` reads it\n[sim]\npolicy = %s\nseed = %llu\nduration = "
	    "%lluns\nsharing = %s\ntimeslice = %lluns\nslice_preempts = %s\nswitch_cost = %lluns\n"
	    "reaction = %lluns\ncharging = %s\nnoise = %g\nreclaim = %s\n",
	    s->ops->name, (unsigned long long)s->seed, (unsigned long long)s->duration_ns,
	    s->sharing == REIN_SIM_MPS ? "mps" : "slices", (unsigned long long)s->timeslice_ns,
	    s->slice_preempts ? "yes" : "no", (unsigned long long)s->switch_ns,
	    (unsigned long long)s->reaction_ns,
	    s->charging == REIN_SIM_EXACT ? "exact" : "estimate", s->noise,
	    s->params.no_reclaim ? "no" : "yes");
	print_time("context_gate", s->context_gate_ns);
	print_time("quantum", s->params.quantum_ns);
	for (unsigned i = 0; i < REIN_BANDS; i++) {
		if (s->params.inner[i])
			printf("%s = %s\n", bands[i], s->params.inner[i]->name);
		if (s->params.cap_permille[i])
			printf("cap_%s = %.1f%%\n", bands[i], s->params.cap_permille[i] / 10.0);
	}
	print_time("cap_period", s->params.cap_period_ns);
	for (unsigned i = 0; i < s->n; i++)
		print_client(s, &s->client[i]);
	fflush(stdout);
}

/* Fails the test, with the smallest scenario that was found. */
static inline void check_property(const struct rein_sim_setup *setup, const struct property *p)
{
	char why[300];
	if (p->holds(setup, why, sizeof(why)))
		return;
	struct shrunk s = {.setup = *setup};
	ck_assert_uint_le(setup->n, SHRINK_CLIENTS);
	memcpy(s.client, setup->client, setup->n * sizeof(s.client[0]));
	s.setup.client = s.client;
	for (unsigned round = 0; round < 20; round++) {
		bool any = shrink_clients(&s, p);
		any |= shrink_device(&s, p);
		any |= shrink_features(&s, p);
		if (!any)
			break;
	}
	print_scenario(&s.setup);
	if (p->holds(&s.setup, why, sizeof(why)))
		snprintf(why, sizeof(why), "it holds when it is run again");
	ck_abort_msg("%s, seed %llu: %s (a small scenario is on stdout)", setup->ops->name,
	             (unsigned long long)setup->seed, why);
}

#endif
