// SPDX-License-Identifier: Apache-2.0
/*
 * trace.h: the shim's event records: written by the thread that something happened to, into the
 * client's rings (common/ring.h), while the daemon's gate word has REIN_GATE_TRACED.
 *
 * Off costs nothing: the bit is one more reason not to take the fast path, which looks at the gate
 * word anyway. With that bit alone a launch takes a path of its own (rein_submit_traced() in
 * submit.h): the same two counts and two loads, two readings of the clock and one cache line.
 *
 * A thread takes a ring of its own with its first record and keeps it; nothing happens when it
 * ends. Who finds no ring free takes one whose thread is no more. Until there is one it shares the
 * last ring, and looks again now and then. Which thread has which ring survives a change of
 * daemons: only the memory behind the rings is another then. A record that is being written
 * meanwhile is lost.
 *
 * Nothing here waits, locks, allocates or calls the driver; errno is kept. A forked child writes
 * none: it holds zero pages, and is off. (One made without fork handlers shares its parent's rings,
 * and may spoil single records of them.)
 */
#ifndef REIN_TRACE_H
#define REIN_TRACE_H

#include "../common/ring.h"
#include "../common/ticks.h"
#include "attach.h"

/* REIN_TRACE_TICKS, or 0: the clock of this process' records. attach.c writes it. */
extern rein_a32 rein_trace_clock;

static inline bool rein_trace_on(void)
{
	return REIN_UNLIKELY(rein_load_relaxed(&REIN_GATE_WORD) & REIN_GATE_TRACED);
}

static inline uint64_t rein_trace_now(void)
{
	return REIN_LIKELY(rein_load_relaxed(&rein_trace_clock)) ? rein_ticks() : rein_now_ns();
}

/* Words 1…7 of a record (struct rein_trace_record). */
void rein_trace_write(uint64_t what, uint64_t begin, uint64_t end, uint64_t where, uint64_t func,
                      uint64_t a, uint64_t b);

/* So many records that this thread should have written, and cannot: the reader counts them. */
void rein_trace_lose(uint64_t records);

static inline uint64_t rein_trace_what(enum rein_trace_kind kind, unsigned flags, unsigned result,
                                       uint32_t entry)
{
	return (uint64_t)entry << 32 | (uint64_t)(result & 0xffff) << 16 | (flags & 0xff) << 8 |
	       kind;
}

#define REIN_TRACE_NO_STREAM UINT32_MAX

/* A wait that is over, by CLOCK_MONOTONIC: at the gate (for whom), or for room in the backlog. */
void rein_trace_wait(enum rein_trace_kind kind, unsigned flags, uint64_t since_ns, uint32_t stream,
                     uint32_t holder);
/* A moment: active, idle; a request's begin (which may lie in the past) and end. */
void rein_trace_mark(enum rein_trace_kind kind, uint64_t since_ns, uint64_t request,
                     uint64_t deadline_ns);

#endif
