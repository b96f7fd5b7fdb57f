// SPDX-License-Identifier: Apache-2.0
/* task.h: what admission would be told of a simulation's clients, and what it answers. */
#ifndef REIN_SIM_TASK_H
#define REIN_SIM_TASK_H

#include "sim.h"

/* The task of one client: its declared timing, its backlog, its longest segment. */
struct rein_task rein_sim_task(const struct rein_sim_setup *setup, unsigned client);

/*
 * Asks admission about all clients of the setup, as the daemon does when they join, and lowers
 * their backlogs in `client` (n entries, setup->client's or a copy) to what it tolerates.
 * response_ns[i]: the bound of client i, UINT64_MAX: none. *out: its answer; its verdict is
 * REIN_ADMIT_NONE if the policy promises nothing. 0, or -errno as rein_admission_ask, or -ENOMEM.
 */
REIN_MUST_CHECK int rein_sim_admit(const struct rein_sim_setup *setup,
                                   struct rein_sim_client *client, uint64_t *response_ns,
                                   struct rein_admission *out);

#endif
