// SPDX-License-Identifier: Apache-2.0
/*
 * recording.h: the flight recorder's files, written by the daemon (recorder.c) and read by `rein
 * trace` (recording.c). docs/trace-format.md says the same for other readers.
 *
 * A recording is the folder REIN_RECORDING_DIR of the run directory: segments NNNNNNNN.rec, the
 * higher number the younger. A segment holds at most REIN_SEGMENT_BYTES, then the next one is begun
 * and the oldest beyond REIN_SEGMENTS is removed: so the last moments are always there, and never
 * more than 64 MiB.
 *
 * A segment is cells of 64 bytes: a header, then records (common/ring.h) in the order in which the
 * daemon took them from the rings, which is by time for each thread only. Their times are
 * CLOCK_MONOTONIC in ns, and `stamp` is the client's number. Among them are the daemon's own: who
 * the clients are, how their kernels are called, what was lost. Each segment names all of its
 * clients, so that older ones may go.
 *
 * Every write is whole cells at the end of the file. So a segment is readable at any time, however
 * its writer ended; one whose header has no `ended_ns` was cut there (or is still being written).
 *
 * Readers trust nothing: a file may come from anywhere.
 */
#ifndef REIN_RECORDING_H
#define REIN_RECORDING_H

#include <limits.h>

#include "../common/ring.h"

#define REIN_RECORDING_DIR "events"
#define REIN_SEGMENT_MAGIC "reintrc" /* with its NUL */
#define REIN_SEGMENT_MAJOR 1         /* changes when a cell's meaning does */
#define REIN_SEGMENT_MINOR 2         /* grows with kinds, which an older reader passes over */
#define REIN_SEGMENT_BYTES (8u << 20)
#define REIN_SEGMENTS 8u

enum rein_recording_kind {
	REIN_TRACE_CLIENT = 64, /* struct rein_trace_name: a client, by its ID */
	REIN_TRACE_LEFT,        /* it has ended or hung up; begin and end: when */
	REIN_TRACE_KERNEL,      /* struct rein_trace_name: a kernel's name, by its model key */
	REIN_TRACE_LOST,        /* `a` records of the client were lost between begin and end */
	/* A thread of a client was off its CPU from begin to end, by the kernel's scheduler:
	 * runnable since `a` (0: since begin, it was preempted), woken by thread `number` of
	 * process `b` & 0xffffffff (both 0: unknown, or an interrupt); the process `b` >> 32 had
	 * that CPU, `stream`, for longest while it could have run (0: nobody), for `flags` 255ths
	 * of that time (0: not known; all of it is laid to that process).
	 * `result`: what the shim was doing (enum rein_phase), `func`: its request, `entry`: at the
	 * gate, for which client's sake. PIDs as the daemon sees them, but for `thread`. Only if it
	 * was runnable for REIN_OFFCPU_MIN_NS, or the shim was doing something. */
	REIN_TRACE_OFFCPU,
	/* A process without the shim, of PID `thread`, did what `result` says (enum
	 * rein_trace_outsider) `a` times between begin and end; client 0 */
	REIN_TRACE_OUTSIDER,
	/* struct rein_trace_name: what such a process is called, or one that OFFCPU names; client
	 * 0. Until there is another one of that PID */
	REIN_TRACE_PROCESS,
	/* The daemon held the client from begin to end for the sake of client `number` (0: its own
	 * budget), by the gates that `result` says (enum rein_hold_mode). A long hold has several,
	 * one after the other. */
	REIN_TRACE_HOLD,
	/* struct rein_trace_name: the class of a client, as `name`; after each naming of it, and
	 * when it gets another one. Since minor 2. */
	REIN_TRACE_CLASS,
	REIN_TRACE_KINDS
};

/* A cell that is a struct rein_trace_name, without times. */
static inline bool rein_trace_is_name(uint8_t kind)
{
	return kind == REIN_TRACE_CLIENT || kind == REIN_TRACE_KERNEL ||
	       kind == REIN_TRACE_PROCESS || kind == REIN_TRACE_CLASS;
}

#define REIN_OFFCPU_MIN_NS 20000u

enum rein_trace_outsider {
	REIN_OUTSIDER_LAUNCH = 1,
	REIN_OUTSIDER_SYNC,
	REIN_OUTSIDER_IOCTL, /* to the driver */
	REIN_OUTSIDER_EXIT,  /* it has ended, or become another program */
	REIN_OUTSIDER_OPEN,  /* it had the GPU open at each look from begin to end; since minor 2 */
};

/* How often it is looked who has the GPU open (daemon/trace.c): what was seen holds for so long. */
#define REIN_OUTSIDER_LOOK_NS 2000000000ull

/* What was looked at while the segment was written, besides what clients say. Not looked at is not
 * the same as nothing seen. */
#define REIN_SEES_OFFCPU 1u
#define REIN_SEES_OUTSIDERS 2u
#define REIN_SEES_OPEN 4u

struct rein_segment_header {
	char magic[8];
	uint16_t major, minor;
	uint32_t number;
	uint32_t daemon_pid;
	uint32_t sees;          /* REIN_SEES_* */
	uint64_t begun_ns;      /* CLOCK_MONOTONIC */
	uint64_t begun_real_ns; /* CLOCK_REALTIME at that moment, for people */
	uint64_t ended_ns;      /* written when it is closed; 0: cut, or still open */
	uint64_t boot[2];       /* the kernel's boot ID: monotonic times of two boots do not mix */
};

struct rein_trace_name {
	uint32_t client; /* where records have their stamp */
	uint32_t pid;    /* CLIENT: as the daemon sees it; KERNEL: how often it was timed */
	uint8_t kind, flags;
	uint16_t prio; /* CLIENT */
	uint32_t uid;  /* CLIENT; KERNEL: ns that it takes alone, on average; 0: not known */
	uint64_t key;  /* CLIENT: when it joined, ns; KERNEL: rein_trace_key() of its launches */
	char name[40];
};

static_assert(sizeof(struct rein_segment_header) == 64, "format");
static_assert(sizeof(struct rein_trace_name) == 64, "format");
static_assert((int)REIN_TRACE_CLIENT > (int)REIN_TRACE_CLIENT_KINDS, "format");

/* One file's header: 0, or -EPROTO (no recording), -EPROTONOSUPPORT (of a newer rein). */
REIN_MUST_CHECK int rein_segment_check(const struct rein_segment_header *h);

struct rein_segment {
	uint32_t number;
	struct rein_segment_header header;
	bool last; /* of its daemon */
	uint64_t cells;
};

struct rein_recording {
	char dir[PATH_MAX - 32];
	unsigned n;
	struct rein_segment segment[4 * REIN_SEGMENTS]; /* oldest first */
};

/* Opens a run directory's recording, as far as it is of this boot. 0, or -errno with one line in
 * `err`: -ENOENT: there is none. */
REIN_MUST_CHECK int rein_recording_open(struct rein_recording *r, const char *run_dir, char *err,
                                        size_t err_len);
/* All cells of a segment in turn, as many as it had when it was opened. fn returning non-zero ends
 * it. 0, fn's result, or -errno; a segment that has gone meanwhile is empty. */
REIN_MUST_CHECK int rein_recording_read(const struct rein_recording *r, unsigned segment,
                                        int (*fn)(void *arg, const struct rein_trace_record *cell),
                                        void *arg);
/* The same for an open file, from where it stands. */
REIN_MUST_CHECK int rein_segment_read(FILE *f, uint64_t cells,
                                      int (*fn)(void *arg, const struct rein_trace_record *cell),
                                      void *arg);
/* The kernel's boot ID as two numbers; zeros if it cannot be had. */
void rein_recording_boot(uint64_t boot[2]);
/* "DIR/NNNNNNNN.rec". */
void rein_segment_path(char *buf, size_t len, const char *dir, uint32_t number);
/* The number in such a file name; 0: it is none. */
uint32_t rein_segment_number(const char *file);

#endif
