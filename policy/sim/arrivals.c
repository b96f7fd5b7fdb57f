// SPDX-License-Identifier: Apache-2.0
/* arrivals.c: when requests come. */
#include "sim_int.h"

static uint64_t at_least(uint64_t ns)
{
	return ns ? ns : 1; /* random distances: time must pass */
}

static uint64_t burst_next(struct sim_client *c)
{
	const struct rein_sim_client *spec = &c->spec;
	uint64_t at_ns =
	    c->nominal_ns + at_least(rein_sim_exponential(&c->random, spec->period_ns));
	while (at_ns > c->on_until_ns) {
		/* A distance that crosses the end of the burst goes on in the next one. */
		uint64_t over_ns = at_ns - c->on_until_ns;
		uint64_t on_ns = c->on_until_ns + rein_sim_exponential(&c->random, spec->off_ns);
		c->on_until_ns = on_ns + at_least(rein_sim_exponential(&c->random, spec->on_ns));
		at_ns = on_ns + over_ns;
	}
	return at_ns;
}

static uint64_t next_nominal(struct sim_client *c)
{
	const struct rein_sim_client *spec = &c->spec;
	switch (spec->arrival) {
	case REIN_SIM_PERIODIC:
		return c->nominal_ns + spec->period_ns;
	case REIN_SIM_SPORADIC:
		return c->nominal_ns + spec->period_ns +
		       rein_sim_exponential(&c->random, spec->jitter_ns);
	case REIN_SIM_POISSON:
		return c->nominal_ns + at_least(rein_sim_exponential(&c->random, spec->period_ns));
	case REIN_SIM_BURSTS:
		return burst_next(c);
	default:
		return UINT64_MAX;
	}
}

uint64_t rein_sim_arrival(struct sim_client *c)
{
	const struct rein_sim_client *spec = &c->spec;
	bool first = c->next_time++ == 0;
	if (spec->arrival == REIN_SIM_TIMES)
		return c->next_time > spec->n_times
		           ? UINT64_MAX
		           : spec->join_ns + spec->offset_ns + spec->times_ns[c->next_time - 1];
	if (spec->arrival == REIN_SIM_AFTER)
		return UINT64_MAX;
	if (first) {
		c->nominal_ns = c->on_until_ns = spec->join_ns + spec->offset_ns;
		if (spec->arrival == REIN_SIM_BURSTS)
			c->on_until_ns += at_least(rein_sim_exponential(&c->random, spec->on_ns));
	} else {
		c->nominal_ns = next_nominal(c);
	}
	if (spec->arrival != REIN_SIM_PERIODIC || !spec->jitter_ns)
		return c->nominal_ns;
	return c->nominal_ns + rein_sim_between(&c->random, 0, spec->jitter_ns);
}
