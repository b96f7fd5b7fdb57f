// SPDX-License-Identifier: Apache-2.0
/*
 * supervise.h: reind is two processes. The *supervisor* is the one that was started: it holds no
 * socket, no memory of clients and no thread, so that nothing a policy or a client does reaches it.
 * The *worker*, forked from it, is the daemon proper.
 *
 * When the worker ends in good order (asked to, or idle), so does the supervisor, with its status.
 * When a policy crashes the worker, or hangs (vitals.h), the supervisor says which and why
 * and starts a worker with policy `prio`; killed from outside, one with the same policy. The
 * programs run on meanwhile: their holds lapse within a lease, and they join again by themselves.
 * After REIN_SUPERVISE_MAX ends like that within REIN_SUPERVISE_WINDOW_NS it gives up.
 *
 * SIGTERM, SIGINT and SIGHUP go to the worker; one that does not end within
 * REIN_SUPERVISE_STOP_NS is killed. If the supervisor dies, however, the kernel kills the worker.
 * The pidfile and `rein status` name the supervisor. To systemd the worker speaks for it: a unit
 * with Type=notify needs NotifyAccess=all.
 */
#ifndef REIN_SUPERVISE_H
#define REIN_SUPERVISE_H

#include <sys/types.h>

#include "options.h"

#define REIN_SUPERVISE_MAX 5
#define REIN_SUPERVISE_WINDOW_NS (60 * 1000000000ull)
#define REIN_SUPERVISE_STOP_NS (3 * 1000000000ull)

/* A worker's whole life: it starts, writes a byte to ready_fd when it serves, closes it, and
 * returns its exit status when it has stopped. */
typedef int rein_worker_fn(const struct rein_options *o, int ready_fd);

/* Returns the daemon's exit status, in the supervisor only. `ready` is called once, when the first
 * worker serves. */
REIN_MUST_CHECK int rein_supervise(const struct rein_options *o, rein_worker_fn *work,
                                   void (*ready)(const struct rein_options *o, void *arg),
                                   void *arg);

/* In a worker: */
/* The daemon's PID as others know it: the supervisor's; without one our own. */
pid_t rein_supervise_pid(void);
/* Which worker this is: 1 for the first. */
unsigned rein_supervise_starts(void);
/* Why the policy is not the one that was configured, e.g. "cbs crashed: SIGSEGV at 12:03"; "" if
 * nothing happened. */
const char *rein_supervise_why(void);

#endif
