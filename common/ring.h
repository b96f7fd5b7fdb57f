// SPDX-License-Identifier: Apache-2.0
/*
 * ring.h: the event rings of one client: what its threads did, when, in records of 64 bytes.
 *
 * One memfd per client (abi.h), the fifth descriptor of its welcome: made by the daemon, written by
 * the client alone, read by the daemon's collector alone (profiler/collector.h), which has it
 * mapped read-only. Its pages exist once they are touched: without recording that is one page, the
 * header's.
 *
 * Rings. REIN_RING_COUNT of them, REIN_RING_CELLS records each. A thread has a ring to itself; only
 * when there are more threads than that the rest share the last one. Which thread has which ring is
 * the client's own business and not written here: each record names its thread.
 *
 * Writing never waits: a full ring overwrites its oldest record. A flight recorder is asked what
 * happened just now, so the newest are worth most; and a writer that need not know how far the
 * reader is never touches a line that the reader writes. Records are numbered by `head`, so what is
 * lost is counted exactly, by the reader: each number that it passes without a record. In the
 * shared ring a thread reserves its number by adding to `head`, then takes the cell by
 * compare-and-swap; one that finds the cell taken by a thread a whole lap behind, or ahead, gives
 * its record up.
 *
 * A cell is eight 64-bit words. Word 0 holds its stamp (the record's number, and a bit for
 * "complete") and the thread. Writer: stamp incomplete; words 1…7, each a release; stamp complete,
 * a release. Reader: word 0, words 1…7, each an acquire; word 0 again: unchanged and complete means
 * that they belong together. (A release for each word, and no fence, which ThreadSanitizer would
 * not see; on x86-64 they are plain stores.) In a ring of one thread the release of `head` follows.
 *
 * The reader trusts nothing: indices are masked, a pass reads at most one ring's length per ring, a
 * head that goes backwards or jumps costs its writer records and nobody anything, kinds are
 * checked, times are the collector's to bound. What it copied is the caller's, and no longer
 * changes.
 *
 * A client that is killed in the middle of a record leaves an incomplete stamp: that record is
 * lost.
 *
 * Times: CLOCK_MONOTONIC in ns, or, flagged REIN_TRACE_TICKS, the CPU's counter (ticks.h), which
 * the daemon offers to convert by REIN_RING_OFFERS_TICKS. Threads: any number of writers, one
 * reader per cursor.
 */
#ifndef REIN_COMMON_RING_H
#define REIN_COMMON_RING_H

#include <stdbool.h>
#include <string.h>

#include "abi.h"
#include "util.h"

#define REIN_RING_COUNT 16u
#define REIN_RING_SHARED (REIN_RING_COUNT - 1) /* the last one: of all threads beyond */
/* Power of two. A ring is 256 KiB: more would push the program out of its second-level cache. */
#define REIN_RING_CELLS 4096u

enum rein_trace_kind {
	REIN_TRACE_NONE,
	REIN_TRACE_SUBMIT,  /* a driver call that submits work: launch, graph, copy, set … */
	REIN_TRACE_SYNC,    /* a driver call that waits for work, or finds it done */
	REIN_TRACE_GATE,    /* a wait at the closed gate */
	REIN_TRACE_BACKLOG, /* a wait for room in the backlog */
	REIN_TRACE_ACTIVE,  /* begin only: from idle to active, a request as far as is known */
	REIN_TRACE_IDLE,    /* begin only: from active to idle */
	REIN_TRACE_REQUEST_BEGIN, /* declared (include/rein.h, NVTX): begin = its arrival */
	REIN_TRACE_REQUEST_END,
	REIN_TRACE_GPU, /* what the GPU did for it, by CUPTI: begin and end are the GPU's times */
	REIN_TRACE_CLIENT_KINDS, /* from here on: the collector's own, in recordings only */
};

/* gpu: what, in the low byte of `result`; of a copy, CUPTI's kind of it is in the high byte */
enum rein_trace_gpu { REIN_GPU_KERNEL = 1, REIN_GPU_COPY, REIN_GPU_SET, REIN_GPU_GRAPH };

/* flags */
#define REIN_TRACE_TICKS 1u      /* begin and end are ticks */
#define REIN_TRACE_BLOCKING 2u   /* submit: it had completed when it returned */
#define REIN_TRACE_LAPSED 4u     /* gate, backlog: the wait was given up, not granted */
#define REIN_TRACE_BACKGROUND 8u /* gate: a background thread's, for its own process' requests */
#define REIN_TRACE_DEADLINE 16u  /* request begin: `a` is its deadline */

/* One record, as the reader gets it: the words of a cell, little-endian as every machine of ours.
 */
struct rein_trace_record {
	uint32_t stamp;  /* of no meaning outside a ring */
	uint32_t thread; /* its ID, as its own process sees it */
	uint8_t kind;    /* enum rein_trace_kind */
	uint8_t flags;   /* REIN_TRACE_* */
	uint16_t result; /* submit, sync: the CUresult; gpu: enum rein_trace_gpu */
	/* submit, sync: rein_trace_entry() of the entry point's name; gpu: of the kernel's name */
	uint32_t entry;
	uint64_t begin;
	uint64_t end;
	/* submit, sync, backlog: the stream as a number of the process' own: bits 0…15 its row,
	 * 16…23 the slot of its device, 24…31 its context; 0xffffffff: unknown */
	uint32_t stream;
	/* submit: its number among those of the stream; sync: up to which number all has completed.
	 * The lower half of counters that only grow. gate: the client for whose sake, 0: unknown.
	 * gpu: as of the submission it belongs to, with `stream`; 0: unknown */
	uint32_t number;
	/* submit: the function or executable graph, a number without meaning but its identity,
	 * which rein_trace_key() turns into the kernel-time model's key; gpu: that key, 0: unknown;
	 * requests: the request's number */
	uint64_t func;
	/* submit, gpu: bytes of a copy; of a kernel the grid: x, y << 32, z << 48. request begin:
	 * deadline */
	uint64_t a;
	/* submit, of a kernel: shared bytes, block x << 32, y << 44, z << 56. gpu: CUPTI's
	 * correlation, and its stream << 32 */
	uint64_t b;
};

struct rein_ring_cell {
	rein_a64 word[8];
};

struct rein_ring {
	rein_a64 head; /* the next record's number; modulo REIN_RING_CELLS: its cell */
	uint64_t reserved[7];
};

#define REIN_RING_OFFERS_TICKS 1u

struct rein_ring_head { /* the daemon's, before anybody else has it */
	struct rein_abi_header header;
	uint32_t offers; /* REIN_RING_OFFERS_* */
	uint32_t reserved[11];
};

struct rein_ring_area {
	struct rein_ring_head head;
	struct rein_ring ring[REIN_RING_COUNT];
	/* the client: how far from the thread pointer each of its threads has its struct rein_doing
	 * (doing.h), a signed number of bytes; 0: it has none */
	rein_a64 doing;
	uint64_t reserved[375];
	struct rein_ring_cell cell[REIN_RING_COUNT][REIN_RING_CELLS];
};

/* The whole memfd. */
#define REIN_RING_AREA_BYTES                                                                       \
	((sizeof(struct rein_ring_area) + REIN_AREA_ALIGN - 1) / REIN_AREA_ALIGN * REIN_AREA_ALIGN)

static_assert(sizeof(struct rein_trace_record) == 64, "ABI");
static_assert(sizeof(struct rein_ring_cell) == 64, "ABI: a record is one cache line");
static_assert(sizeof(struct rein_ring) == 64, "ABI");
static_assert(offsetof(struct rein_ring_area, ring) == 64, "ABI");
static_assert(offsetof(struct rein_ring_area, cell) == 4096, "ABI: the heads are on one page");

/* ---------------------------------------------------------------- writing */

static inline uint64_t rein_ring_stamp(uint64_t number, uint32_t thread, bool complete)
{
	return (uint64_t)thread << 32 | (uint32_t)(number + 1) << 1 | complete;
}

static inline void rein_ring_fill(struct rein_ring_cell *cell, const uint64_t word[8],
                                  uint64_t number)
{
	for (unsigned i = 1; i < 8; i++)
		rein_store_release(&cell->word[i], word[i]);
	rein_store_release(&cell->word[0], rein_ring_stamp(number, (uint32_t)word[0], true));
}

/* Words 1…7 of a record; word[0] is the thread. For the one thread that has the ring. */
static inline void rein_ring_put(struct rein_ring_area *area, unsigned ring, const uint64_t word[8])
{
	struct rein_ring *r = &area->ring[ring];
	uint64_t number = rein_load_relaxed(&r->head);
	struct rein_ring_cell *cell = &area->cell[ring][number % REIN_RING_CELLS];
	rein_store_relaxed(&cell->word[0], rein_ring_stamp(number, 0, false));
	rein_ring_fill(cell, word, number);
	rein_store_release(&r->head, number + 1);
}

/* So many numbers without a record: the reader counts them as lost. For that one thread. */
static inline void rein_ring_skip(struct rein_ring_area *area, unsigned ring, uint64_t numbers)
{
	struct rein_ring *r = &area->ring[ring];
	rein_store_release(&r->head, rein_load_relaxed(&r->head) + numbers);
}

/* The same into the shared ring, for any thread. */
void rein_ring_put_shared(struct rein_ring_area *area, const uint64_t word[8]);

/* ---------------------------------------------------------------- reading */

/* How far a reader is. All 0 at first. */
struct rein_ring_cursor {
	uint64_t tail[REIN_RING_COUNT];
	unsigned waited; /* passes in which the shared ring's next record was awaited */
};

/* Copies what is new in one ring, oldest first, at most `max`; adds to *lost what is no more, or is
 * no record. `last`: its client is dead, so what is incomplete stays so. Returns how many. */
unsigned rein_ring_read(const struct rein_ring_area *area, unsigned ring,
                        struct rein_ring_cursor *c, struct rein_trace_record *out, unsigned max,
                        bool last, uint64_t *lost);

/* ---------------------------------------------------------------- what records say */

/* The identity of an entry point's name: 32-bit FNV-1a, the same in every build. */
uint32_t rein_trace_entry(const char *name);
/* A kernel's or graph's key in the kernel-time model, of a submission or what the GPU did; 0: it is
 * none. */
uint64_t rein_trace_key(const struct rein_trace_record *r);

#endif
