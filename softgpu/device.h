// SPDX-License-Identifier: Apache-2.0
/*
 * device.h: the devices that several processes share: a POSIX shared-memory segment named after
 * the user and SOFTGPU_SHM, made on demand, removed by the last process that leaves.
 *
 * Each device's ledger (ledger.h) is changed as a whole: copy, change the copy, publish it by one
 * compare-and-swap. No lock is ever held, so a process that is killed or stopped at any point
 * blocks nobody and leaves no half-made change. Each seat has two buffers of its own to publish
 * from. That a process lives is known by a robust mutex in its seat which its engine thread
 * holds as long as it lives: the kernel marks it when that thread is gone, however it went, also
 * while the process is a zombie or in another PID namespace.
 *
 * Threads: open and close on the engine thread; the rest under the engine's lock.
 */
#ifndef SOFTGPU_DEVICE_H
#define SOFTGPU_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/atomic.h"
#include "../common/util.h"
#include "ledger.h"
#include "model.h"
#include "mps.h"

struct sg_share;

/* Takes a seat. -errno, with one line in `why`. The calling thread must live until it closes. */
REIN_MUST_CHECK int sg_share_open(const struct sg_model *m, struct sg_share **out, char *why,
                                  size_t why_len);
void sg_share_close(struct sg_share *s);

/* The word that others bump and wake when something changes for this process; it may also be
 * used to wake the thread that sleeps on it from within the process. */
rein_a32 *sg_share_bell(struct sg_share *s);

/* What this process sees of a device: its own seat, and until when the owner owns it. */
struct sg_share_view {
	struct sg_seat seat;
	bool owner; /* is it me */
	uint64_t owner_end_ns;
};
void sg_share_view(struct sg_share *s, unsigned device, struct sg_share_view *v);

/* The transitions of ledger.h for this process' seat; each settles what has expired. `taken`:
 * of its grants it is done with so many. */
void sg_share_settle(struct sg_share *s, unsigned device, uint64_t taken);
void sg_share_request(struct sg_share *s, unsigned device, uint64_t taken, uint64_t want_ns);
void sg_share_give(struct sg_share *s, unsigned device, uint64_t at_ns);
uint64_t sg_share_copy(struct sg_share *s, unsigned device, enum sg_copy_dir dir, uint64_t ready_ns,
                       uint64_t dur_ns);
void sg_share_hold(struct sg_share *s, unsigned device, bool held, uint64_t at_ns);
void sg_share_evict(struct sg_share *s, unsigned device, uint64_t at_ns);
void sg_share_slice(struct sg_share *s, unsigned device, uint64_t slice_ns); /* of this process */

/* Where processes run together: a round for this process (mps.h), published and committed.
 * -ENOMEM: nothing has happened. */
REIN_MUST_CHECK int sg_share_round(struct sg_share *s, unsigned device, struct sg_mps_round *r);
/* Has anybody made a round since the last one of this process? */
bool sg_share_news(struct sg_share *s, unsigned device);

/* Clears the seats of dead processes; a waiter calls it every SG_LIVENESS_NS. */
#define SG_LIVENESS_NS 500000ull
void sg_share_bury(struct sg_share *s);

#endif
