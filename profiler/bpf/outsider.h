// SPDX-License-Identifier: Apache-2.0
/*
 * outsider.h: processes without the shim, as bpf.c uses it: the programs of outsider.bpf.c, and
 * which processes they probe. bpf.h says what for.
 *
 * All of /proc is looked through every REIN_OUTSIDERS_LOOK_NS, a few entries at a time, for
 * processes that have a driver library mapped and are no clients; each gets probes of its own,
 * which no other process runs into, though it has the same library. A process that joins is let go.
 */
#ifndef REIN_BPF_OUTSIDER_H
#define REIN_BPF_OUTSIDER_H

#include "bpf.h"
#include "shared.h"

#define REIN_OUTSIDERS_LOOK_NS 1000000000ull
#define REIN_OUTSIDERS_LOOK_AT 32u
#define REIN_OUTSIDERS_MAX 64u /* probed at once */

struct rein_outsiders;

/* `slots`: the map of clients. `devices`: "/proc/devices", which has the numbers of the driver's;
 * without any no system calls are looked at. 0, or -errno with one line in `why`. */
REIN_MUST_CHECK int rein_outsiders_open(struct rein_outsiders **out, int slots, const char *devices,
                                        char *why, size_t why_len);
void rein_outsiders_close(struct rein_outsiders *o); /* NULL: nothing */
/* Looks at the next part of /proc if it is time to. `is_client` tells whom to leave out. */
void rein_outsiders_look(struct rein_outsiders *o, bool (*is_client)(void *arg, pid_t pid),
                         void *arg, uint64_t now_ns);
void rein_outsiders_let_go(struct rein_outsiders *o, pid_t pid);
void rein_outsiders_take(struct rein_outsiders *o, const struct rein_bpf_sink *sink);
unsigned rein_outsiders_probed(const struct rein_outsiders *o);
unsigned rein_outsiders_cost_ns(const struct rein_outsiders *o);

#endif
