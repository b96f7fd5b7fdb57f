// SPDX-License-Identifier: Apache-2.0
/*
 * collector.h: the daemon's observer thread: takes what clients write into their rings
 * (common/ring.h) and records it (recorder.h), while recording is on. It never touches the arbiter,
 * and the arbiter never waits for it.
 *
 * It looks at all rings every REIN_COLLECTOR_PERIOD_MIN_NS to _MAX_NS, by how full it finds them,
 * and uses at most a tenth of one core: what overtakes it is lost and counted. A daemon that is
 * killed loses what was written since its last look.
 *
 * Clients are not trusted: their memory is mapped read-only, records are copied once and checked,
 * and their times are bounded: nothing ends in the future, or lasted over an hour.
 *
 * Threads: all functions from one thread, the session's; none waits for a client or the disk but
 * rein_collector_sync(), at most REIN_COLLECTOR_SYNC_NS. Ownership: descriptors stay the caller's;
 * a source is the collector's from rein_collector_leave() on.
 */
#ifndef REIN_COLLECTOR_H
#define REIN_COLLECTOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../common/bystander.h"
#include "../common/util.h"
#include "lookout.h"

#define REIN_COLLECTOR_PERIOD_MIN_NS 1000000ull
#define REIN_COLLECTOR_PERIOD_MAX_NS 16000000ull
#define REIN_COLLECTOR_SYNC_NS 1000000000ull

struct rein_collector;
struct rein_source; /* one client */

struct rein_source_info {
	uint32_t id;
	pid_t pid;
	uid_t uid;
	int prio;
	const char *name, *class_name;
	int rings_fd, status_fd;
};

struct rein_collector_stats {
	bool recording, failing; /* failing: it is wanted, and cannot be written */
	uint64_t records, lost, bytes;
	struct rein_lookout_report lookout;
};

/* Starts the thread; records into the run directory, readable for the group ((gid_t)-1: none).
 * `say`: where a line for the log goes, on that thread. 0 or -errno. */
REIN_MUST_CHECK int rein_collector_start(struct rein_collector **out, const char *run_dir,
                                         gid_t group, void (*say)(const char *line));
/* Records what is left, closes the recording, ends the thread. */
void rein_collector_stop(struct rein_collector *c);

/* A client joined. NULL: it is not recorded, for lack of memory. */
struct rein_source *rein_collector_join(struct rein_collector *c,
                                        const struct rein_source_info *info);
/* It has gone, in whatever way: what it left in its rings is still recorded. */
void rein_collector_leave(struct rein_collector *c, struct rein_source *s);
/* It has another class now. */
void rein_collector_reclass(struct rein_collector *c, struct rein_source *s,
                            const char *class_name);

/* Who had the GPU open at a look at that time; those of the one before it did so all the time in
 * between, if they are in both. Forgotten if nothing is recorded. */
void rein_collector_seen(struct rein_collector *c, const struct rein_bystanders *seen,
                         uint64_t now_ns);
/* What else is looked at while it records: REIN_LOOKOUT_*. */
void rein_collector_watch(struct rein_collector *c, uint32_t wanted);
/* Turns recording on before clients are told to write, off after they are told to stop. */
void rein_collector_record(struct rein_collector *c, bool on);
/* The arbiter's thread: a client was held (REIN_TRACE_HOLD). Neither waits nor allocates; `c` is
 * the collector, and recording. */
struct rein_hold_note {
	uint32_t client, holder, mode;
	uint64_t begin_ns, end_ns;
};
void rein_collector_hold(struct rein_collector *c, const struct rein_hold_note *n);
/* What is in the rings now is in the files when it returns, if that takes no longer than it may. */
void rein_collector_sync(struct rein_collector *c);
void rein_collector_stats(struct rein_collector *c, struct rein_collector_stats *out);

#endif
