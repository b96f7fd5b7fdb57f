// SPDX-License-Identifier: Apache-2.0
/*
 * recorder.h: writes the flight recorder's segments (recording.h). One thread, the collector's.
 *
 * Records are buffered until rein_recorder_flush(), then written in one go. What cannot be written
 * (no room, no permission) is said once, until it goes well again; meanwhile records are counted as
 * lost and a new segment is tried every REIN_RECORDER_RETRY_NS.
 */
#ifndef REIN_RECORDER_H
#define REIN_RECORDER_H

#include "recording.h"

#define REIN_RECORDER_BUFFER 4096u /* cells */
#define REIN_RECORDER_RETRY_NS 5000000000ull

struct rein_recorder {
	char dir[PATH_MAX - 32];
	gid_t group;                      /* whose members may read; (gid_t)-1: none */
	uint32_t segment_bytes, segments; /* REIN_SEGMENT_BYTES and REIN_SEGMENTS, but for tests */
	void (*say)(const char *line);    /* what went wrong, or right again; NULL: nobody hears */

	int fd;          /* -1: no segment is open */
	uint32_t number; /* of the segment, or of the last one */
	uint64_t size;   /* of the segment so far */
	uint64_t retry_ns;
	uint32_t sees, segment_sees; /* REIN_SEES_*: now, and while this segment was written */
	bool failing;
	uint64_t written, lost; /* records, over all segments */
	uint64_t bytes;
	unsigned n;
	struct rein_trace_record buffer[REIN_RECORDER_BUFFER];
};

void rein_recorder_init(struct rein_recorder *r, const char *run_dir, gid_t group);
/* Room for `n` cells (at most the buffer's) in the segment that is open. True: a new segment has
 * begun, in which nobody is named yet. */
bool rein_recorder_room(struct rein_recorder *r, unsigned n, uint64_t now_ns);
/* After that: `n` cells, written where they are. */
static inline struct rein_trace_record *rein_recorder_next(struct rein_recorder *r)
{
	return &r->buffer[r->n];
}
void rein_recorder_add(struct rein_recorder *r, unsigned n);
void rein_recorder_flush(struct rein_recorder *r, uint64_t now_ns);
/* What is looked at from here on, besides what clients say; the segment says so. */
void rein_recorder_sees(struct rein_recorder *r, uint32_t sees);
/* Flushes, and says in the segment that it ends here. */
void rein_recorder_close(struct rein_recorder *r, uint64_t now_ns);

#endif
