// SPDX-License-Identifier: Apache-2.0
/*
 * attribute.h: who delayed whom. Takes a recording (recording.h) apart into requests, and the
 * latency of each into parts: of which cause, by whose doing.
 *
 * Requests. Those that a program declared (include/rein.h, NVTX), from arrival to end. A program
 * that declares none has guessed ones: from idle to active to idle. A guessed one longer than
 * REIN_ATTRIBUTE_PIECE_NS is no request but a job at work; it counts in the matrix, in pieces of
 * that length, and nowhere else.
 *
 * Late is a request that ended after its deadline. One without a deadline is late if it took more
 * than REIN_ATTRIBUTE_LATE times the median of its program's requests, of which there must be
 * REIN_ATTRIBUTE_LATE_LEAST: so evenly slow requests are not late, and outliers are, however many.
 *
 * Parts. From the end of the request backwards along its critical path: a thread's return from a
 * synchronisation, what the GPU did until then, the submission of that, what the thread did
 * before (gate, backlog, its own code), and so on to the arrival. What came before the arrival is
 * cut off, so time spent behind the program's own earlier request goes to what delayed that one.
 * Each ns of the latency is in one part: they add up to it exactly, REIN_CAUSE_UNKNOWN included.
 *
 * What is measured, what is estimated. Gate waits, holds, calls: measured. With records of CUPTI
 * (REIN_TRACE_GPU) of the victim: when its work ran, measured; who was on the GPU before it, by
 * the co-runners' GPU records, or, where they have none, by who had unfinished work then: a part
 * that says `estimate`. Without: its own work counts with its kernels' times by the kernel-time
 * model, and what the GPU took beyond that is REIN_CAUSE_GPU_UNSPLIT, an estimate, laid to those
 * who had unfinished work then. Run-queue time needs eBPF (REIN_TRACE_OFFCPU); without, it is in
 * HOST or in SYNC, and the attribution says has_offcpu = false.
 *
 * Memory: some 200 bytes a request, at most REIN_ATTRIBUTE_REQUESTS (the newest); a window of
 * REIN_ATTRIBUTE_WINDOW records; both whatever the recording's length. It is read twice. Records
 * may lie, overlap, lack their partners: then parts are wrong or unknown, and add up all the same.
 *
 * Units: ns, CLOCK_MONOTONIC. Threads: none. Ownership: what rein_attribute() fills is freed by
 * rein_attribution_free(). Method: critical-path analysis of one request as in The Mystery
 * Machine (Chow et al., OSDI 2014, section 4), with the GPU as one more place to wait.
 */
#ifndef REIN_ATTRIBUTE_H
#define REIN_ATTRIBUTE_H

#include "recording.h"

#define REIN_ATTRIBUTE_REQUESTS (1u << 20)
#define REIN_ATTRIBUTE_WINDOW (1u << 20)
#define REIN_ATTRIBUTE_PIECE_NS 1000000000ull
#define REIN_ATTRIBUTE_LATE 2
#define REIN_ATTRIBUTE_LATE_LEAST 5
#define REIN_ATTRIBUTE_WORST 1000 /* stories at most */
/* So many culprits of one victim that are no clients stand alone in the matrix: those to which it
 * lost most, a REIN_ATTRIBUTE_SMALLth of what it lost in all at least. The rest is one cell. */
#define REIN_ATTRIBUTE_NAMED 8
#define REIN_ATTRIBUTE_SMALL 100

enum rein_cause {
	REIN_CAUSE_UNKNOWN,
	REIN_CAUSE_RUN_QUEUE,    /* its thread was runnable; culprit: who had the CPU */
	REIN_CAUSE_LAUNCH_GATE,  /* held before a submission; culprit: for whom */
	REIN_CAUSE_QUEUE_GATE,   /* held at a point of its queue on the GPU; culprit: for whom */
	REIN_CAUSE_CONTEXT_GATE, /* taken off the GPU, running kernels too; culprit: for whom */
	REIN_CAUSE_BACKLOG,      /* its own unfinished work was as much as it may have */
	REIN_CAUSE_GPU_OTHERS,   /* its work was ready, and the GPU did others' */
	REIN_CAUSE_GPU_UNSPLIT,  /* that, or a slow-down by co-runners: cannot be told apart */
	REIN_CAUSE_SLOW_DOWN,    /* its kernels ran longer than alone, beside others */
	REIN_CAUSE_COPY,         /* its copy waited for others' copies, or shared the link */
	REIN_CAUSE_GPU_OWN,      /* its own work on the GPU, at the speed that it has alone */
	REIN_CAUSE_SYNC,         /* from the end of the work to the return that told of it */
	REIN_CAUSE_HOST,         /* its own code, or its thread asleep for a reason of its own */
	REIN_CAUSE_CALL,         /* inside driver calls that submit: a full queue, or a profiler */
	REIN_CAUSES
};

/* Who did it: an index into `who`. */
#define REIN_WHO_NOBODY 0u  /* there is none to name */
#define REIN_WHO_SELF 1u    /* the program itself */
#define REIN_WHO_UNKNOWN 2u /* somebody, and the recording does not say who */
#define REIN_WHO_OTHERS 3u  /* processes that took little each: see REIN_ATTRIBUTE_NAMED */
#define REIN_WHO_FIRST 4u

struct rein_who {
	uint32_t pid;    /* as the daemon sees it; 0: unknown */
	uint32_t client; /* its number; 0: it is none (no shim, or another kind of process) */
	unsigned epoch;  /* of which daemon in the recording */
	uint16_t prio;
	bool managed;  /* a client of rein's */
	bool has_gpu;  /* there are CUPTI records of it */
	bool declares; /* it declares its requests */
	bool outsider; /* it had a GPU without the shim, as far as was seen */
	bool open;     /* the clients' GPU, by the looks at who has it open */
	bool named;    /* else its name is "process PID" */
	char name[41]; /* printable */
	/* of its requests in the window */
	uint64_t requests, late, median_ns, p95_ns, p99_ns, worst_ns, sum_ns;
};

struct rein_part {
	uint8_t cause; /* enum rein_cause */
	bool estimate;
	uint32_t who;
	uint64_t ns;
};

/* Smaller ones beyond are added up: REIN_WHO_OTHERS by cause, beyond even that UNKNOWN. */
#define REIN_PARTS_MAX 24

struct rein_request {
	uint64_t begin_ns, end_ns;
	uint64_t deadline_ns; /* 0: none */
	uint64_t id;          /* as declared; 0: guessed */
	uint32_t who;         /* whose */
	bool late;
	bool cut;       /* some of what happened then was lost: see UNKNOWN */
	uint32_t story; /* index into `stories` + 1; 0: none was asked for */
};

struct rein_story {
	uint32_t request; /* index into `requests` */
	unsigned n;
	struct rein_part part[REIN_PARTS_MAX]; /* greatest first; they add up to the latency */
	char sentence[512];                    /* plain text, names printable ASCII */
};

/* One cell of the matrix: ns that a victim's requests lost to (or spent by) one culprit. */
struct rein_lost {
	uint32_t victim, culprit;
	uint64_t all_ns[REIN_CAUSES], late_ns[REIN_CAUSES];
};

struct rein_attribution {
	uint64_t from_ns, until_ns;
	unsigned n_who;
	struct rein_who *who;
	size_t n_requests; /* by their ends */
	struct rein_request *requests;
	size_t n_stories; /* worst first: see rein_attribute_wish */
	struct rein_story *stories;
	size_t n_lost; /* by victim, then culprit; no cell is all 0 */
	struct rein_lost *lost;
	uint64_t late;         /* requests */
	uint64_t left_out;     /* requests: older than the newest REIN_ATTRIBUTE_REQUESTS */
	uint64_t records_lost; /* by the recorder */
	bool has_offcpu, has_gpu;
};

struct rein_attribute_wish {
	uint64_t from_ns; /* what ended before does not count; 0: all */
	uint64_t last_ns; /* instead: this long before the newest record; 0: see from_ns */
	uint32_t pid;     /* stories of this process only; 0: of all */
	size_t worst;     /* stories at most, up to REIN_ATTRIBUTE_WORST */
	/* Which: false: late ones, by how much they exceed deadline or median, the worst first.
	 * True: the longest, late or not, by latency over their program's median. */
	bool any;
};

/* 0, or -errno: -ENOMEM, or what reading gave. An empty recording is no error. */
REIN_MUST_CHECK int rein_attribute(const struct rein_recording *r,
                                   const struct rein_attribute_wish *wish,
                                   struct rein_attribution *out);
void rein_attribution_free(struct rein_attribution *a);

/* "launch gate", for people; "launch_gate", for JSON and CSV. */
const char *rein_cause_name(enum rein_cause cause);
const char *rein_cause_key(enum rein_cause cause);
/* True for what is somebody else's doing if `who` is: not for a program's own work and code. */
bool rein_cause_is_delay(enum rein_cause cause);

#endif
