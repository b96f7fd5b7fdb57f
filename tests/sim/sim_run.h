// SPDX-License-Identifier: Apache-2.0
/* sim_run.h: what the tests of the simulator share: clients by one call each, and runs. */
#ifndef REIN_TESTS_SIM_RUN_H
#define REIN_TESTS_SIM_RUN_H

#include "common/clock.h"
#include "policy/sim/random.h"
#include "policy/sim/sim.h"
#include "tests/harness.h"

/* Requests of so many kernels every so often; no timing declared. */
static inline struct rein_sim_client sim_periodic(const char *name, int prio, uint64_t period_ns,
                                                  unsigned kernels, uint64_t kernel_ns)
{
	return (struct rein_sim_client){
	    .name = name,
	    .policy = {.prio = prio,
	               .weight = REIN_POLICY_WEIGHT,
	               .band = prio ? REIN_BAND_INTERACTIVE : REIN_BAND_BATCH,
	               .backlog_ns = REIN_POLICY_BACKLOG_NS,
	               .backlog_launches = REIN_POLICY_BACKLOG_LAUNCHES},
	    .arrival = REIN_SIM_PERIODIC,
	    .period_ns = period_ns,
	    .kernels = kernels,
	    .kernel_ns = kernel_ns,
	    .declares = true,
	};
}

/* Submits for ever. */
static inline struct rein_sim_client sim_endless(const char *name, int prio, uint64_t kernel_ns)
{
	struct rein_sim_client c = sim_periodic(name, prio, 0, 1, kernel_ns);
	c.arrival = REIN_SIM_ENDLESS;
	c.declares = false;
	return c;
}

static inline struct rein_sim *sim_run(const struct rein_sim_setup *setup)
{
	struct rein_sim *s;
	char why[200] = "";
	int err = rein_sim_new(setup, &s, why, sizeof(why));
	ck_assert_msg(err == 0, "%s", why);
	rein_sim_run(s);
	return s;
}

#endif
