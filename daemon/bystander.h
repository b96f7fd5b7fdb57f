// SPDX-License-Identifier: Apache-2.0
/*
 * bystander.h: looks for processes that have the GPU open and are no clients
 * (../common/bystander.h) while the daemon goes on.
 *
 * Threads: reading /proc takes milliseconds to a second, so a thread of its own does it, at the
 * lowest priority, when asked; all functions are the session thread's and never wait, but for the
 * time given to rein_bystander_wait().
 */
#ifndef REIN_BYSTANDER_H
#define REIN_BYSTANDER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../common/bystander.h"
#include "../common/util.h"

struct rein_bystander_watch;
/* NULL if the thread cannot be made. */
struct rein_bystander_watch *rein_bystander_start(void);
/* Waits for a look that is under way. */
void rein_bystander_stop(struct rein_bystander_watch *w);
/* Begins a look, unless one is under way. `client` is copied. */
void rein_bystander_look(struct rein_bystander_watch *w, const pid_t *client, unsigned n_clients);
/* The result of the latest look that is complete, and when that look began, which may be long ago;
 * false: there is none since the last call. */
bool rein_bystander_get(struct rein_bystander_watch *w, struct rein_bystanders *out,
                        uint64_t *began_ns);
/* Waits until no look is under way, at most so long; false: one still is. */
bool rein_bystander_wait(struct rein_bystander_watch *w, int timeout_ms);

#endif
