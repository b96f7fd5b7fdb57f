// SPDX-License-Identifier: Apache-2.0
/*
 * sorted.h: a recording's records in the order in which they began, of several that began at once
 * the longest first, so that what encloses comes before what it encloses.
 *
 * A recording is sorted by the moment at which the daemon read a ring, roughly. Here it is cut into
 * runs of REIN_SORTED_RUN cells; a run is sorted when the merge reaches the earliest begin in it,
 * and forgotten when its last record has been passed on. So memory follows how far records overlap,
 * not how many there are: 16 bytes for each cell of the runs that are open, and a cache of 2 MiB.
 *
 * The files are opened once: segments that the daemon drops meanwhile are still read. Times of
 * several daemons of one boot are of one clock; `epoch` counts the daemons, whose clients' numbers
 * mean nothing to each other.
 *
 * Readers trust nothing: times may be anything, but `begin` <= `end` holds for what is passed on.
 * Threads: one at a time.
 */
#ifndef REIN_SORTED_H
#define REIN_SORTED_H

#include "recording.h"

#define REIN_SORTED_RUN (128u << 10)
#define REIN_SORTED_EPOCHS REIN_ARRAY_LEN(((struct rein_recording *)0)->segment)

struct rein_sorted;

struct rein_sorted_epoch {  /* one daemon */
	uint64_t begun_ns;  /* its first segment that is left */
	uint64_t newest_ns; /* the latest end in it */
	uint64_t real_ns;   /* CLOCK_REALTIME at begun_ns */
	uint64_t ended_ns;  /* it closed its recording; 0: it was cut, or is still written */
	uint32_t daemon_pid;
};

/* Non-zero ends it, and is what the caller gets. */
typedef int rein_sorted_fn(void *arg, unsigned epoch, const struct rein_trace_record *r);

/* Reads all once, and shows `look` (NULL: nobody) every cell as it comes, names too. 0, look's
 * result or -errno. The recording may go afterwards; the caller frees *out. */
REIN_MUST_CHECK int rein_sorted_open(struct rein_sorted **out, const struct rein_recording *r,
                                     rein_sorted_fn *look, void *arg);
void rein_sorted_free(struct rein_sorted *s);

unsigned rein_sorted_epochs(const struct rein_sorted *s);
const struct rein_sorted_epoch *rein_sorted_epoch(const struct rein_sorted *s, unsigned i);
/* The latest end of all; 0: there is none. */
uint64_t rein_sorted_newest(const struct rein_sorted *s);
/* How many records there are to pass on, names left out. */
uint64_t rein_sorted_count(const struct rein_sorted *s);

/* All records in order; never names (rein_trace_name), nor kinds that this rein does not know. As
 * often as wanted. 0, fn's result or -errno. */
REIN_MUST_CHECK int rein_sorted_read(struct rein_sorted *s, rein_sorted_fn *fn, void *arg);

#endif
