// SPDX-License-Identifier: Apache-2.0
/*
 * attach.h: joining the daemon and leaving it.
 *
 * The four shared objects live at link-time constants: page-aligned areas of this library that
 * are plain zero pages until the daemon's descriptors are mapped over them, and again after it has
 * hung up. A zero control page says: gate open, unmetered; so the fast path has no "attached?" to
 * ask, there is nothing to unmap under anybody's feet, and writing demand to nobody is harmless.
 *
 * The warden thread does all of it: connects, says HELLO, maps, waits for the hang-up, detaches,
 * tries again for ever. It never calls CUDA, takes a lock or allocates. Only the warden writes the
 * mappings; a forked child puts zero pages in their place.
 *
 * A daemon that hangs without hanging up is none of the warden's business: waits end by the
 * lease (submit.c).
 */
#ifndef REIN_ATTACH_H
#define REIN_ATTACH_H

#include "../common/ring.h"
#include "shim.h"

union rein_board_area {
	struct rein_board object;
	char pages[REIN_AREA_ALIGN];
};
union rein_control_area {
	struct rein_control object;
	char pages[REIN_AREA_ALIGN];
};
union rein_status_area {
	struct rein_status object;
	char pages[REIN_AREA_ALIGN];
};
union rein_rings_area {
	struct rein_ring_area object;
	char pages[REIN_RING_AREA_BYTES];
};
extern _Alignas(REIN_AREA_ALIGN) union rein_board_area rein_board_area;
extern _Alignas(REIN_AREA_ALIGN) union rein_control_area rein_control_area;
extern _Alignas(REIN_AREA_ALIGN) union rein_status_area rein_status_area;
extern _Alignas(REIN_AREA_ALIGN) union rein_rings_area rein_rings_area;

#define REIN_BOARD (&rein_board_area.object)
#define REIN_CONTROL (&rein_control_area.object)
#define REIN_STATUS (&rein_status_area.object)
#define REIN_RINGS (&rein_rings_area.object)
/*
 * Which gate: slot 0's, whichever device the work is for. A process is one job: the daemon closes
 * and opens the gates of all its devices together (a wait on one device for work on another would
 * else be a deadlock), so the word is a constant for a process of one device and of several. What
 * differs by device (who else is active there) is looked up through the row's slot.
 */
#define REIN_GATE_WORD (rein_control_area.object.verdict[0].gate)

/* warden.c. Starts warden and helper, once; waits at most 50 ms for the first attempt to join to
 * end. */
void rein_attach_start(void);
/* A thread of ours, in that scheduling class if it may be, at its lowest priority. stack 0: the
 * usual one. 0 or -errno. */
REIN_MUST_CHECK int rein_attach_thread(void *(*thread_main)(void *), size_t stack, int policy);
/* Whether a daemon is there. */
bool rein_attach_on(void);
/* Rings the daemon's doorbell, unless the program has closed it: _rings says so. */
void rein_attach_ring(void);
bool rein_attach_rings(void);
/* Its descriptor, to be read by the warden alone; -1: none. The daemon rings there too, when the
 * warden is to look after the points (point.h). */
int rein_attach_bell_fd(void);
/* This process uses the device: declared to the daemon now and on each joining. Its slot among the
 * verdicts, or -1. */
int rein_attach_device(CUdevice device);
/* rein_rows_returned() when we joined: the status page's totals begin there. */
uint64_t rein_attach_submissions_before(void);

/* The mapping itself, for the warden and for tests. fds as in enum rein_welcome_fd, with or without
 * the rings; they stay the caller's. 0 or -errno; on error nothing has changed. */
REIN_MUST_CHECK int rein_attach_map(const int *fds, unsigned n_fds);
void rein_attach_unmap(void);
/* For a forked child: zero pages, no descriptors. */
void rein_attach_let_go(void);
/* From now on rein_attach_ring() rings this socket (a duplicate is kept). 0 or -errno. */
REIN_MUST_CHECK int rein_attach_bell(int fd);

#endif
