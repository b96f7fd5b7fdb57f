// SPDX-License-Identifier: Apache-2.0
/*
 * peers.h: how others share a GPU, as policies for the simulator, to compare with. They are in the
 * simulator only: `reind` does not know them. Each is what its source says in as few lines as the
 * contract takes; what a real implementation costs on top is not modelled.
 */
#ifndef REIN_SIM_PEERS_H
#define REIN_SIM_PEERS_H

#include "../policy.h"

extern const struct rein_policy_ops rein_peer_rr;     /* round-robin turns */
extern const struct rein_policy_ops rein_peer_hpf;    /* highest priority first, queues unbounded */
extern const struct rein_policy_ops rein_peer_tokens; /* proportional share, reacting in 120 ms */
extern const struct rein_policy_ops rein_peer_srpt;   /* shortest remaining time, clairvoyant */

/* NULL-terminated. */
extern const struct rein_policy_ops *const rein_peers[];
/* One of rein_policies or of rein_peers; NULL if there is none of that name. */
const struct rein_policy_ops *rein_peer_find(const char *name);

#endif
