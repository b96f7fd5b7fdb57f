// SPDX-License-Identifier: Apache-2.0
/*
 * demand.h: whether this process wants the GPU, as the daemon is told.
 *
 * The client is *idle* if and only if every row's begun equals its completed (stream.h) and it has
 * no declared request open (request.h, which counts like a submission in what follows). Truth is
 * process-local: the attention word, and the number of threads at the closed gate. The status
 * page's demand word is a copy of it, published after each change.
 *
 *   idle → active   a submission counts itself, finds REIN_ATT_IDLE, takes back REIN_ATT_SURE and
 *                   the attempt, publishes, and only then clears REIN_ATT_IDLE, which lets other
 *                   threads take the fast path. The driver is called after that: nothing is ever
 *                   submitted that the demand word does not tell of. A daemon that sleeps and our
 *                   helper are woken too, which costs microseconds, and more where the woken
 *                   thread takes our core: a launch wakes them when the driver has it, so the
 *                   request's first kernel does not wait for that; a call that may block, and a
 *                   wait for room, before. Whichever thread comes to such a place first does it,
 *                   also for one that is still in its launch.
 *   active → idle   whoever completed something sets REIN_ATT_IDLE, as a new attempt, then looks
 *                   at the counts; all equal, it sets REIN_ATT_SURE if the attempt still stands
 *                   and publishes. Rings only if the daemon asked for it.
 *
 * Threads: any; no locks. All orders are sequentially consistent read-modify-writes and loads
 * (never fences, which ThreadSanitizer cannot see).
 */
#ifndef REIN_DEMAND_H
#define REIN_DEMAND_H

#include "shim.h"

/* The attention word: its low half is what forces the slow path, and holds the number of stream
 * captures under way; its high half tells one attempt to declare the client idle from the next. */
#define REIN_ATT_UNRESOLVED 1ull /* the driver's functions are not known yet */
#define REIN_ATT_IDLE 2ull       /* idle, or somebody is finding out */
#define REIN_ATT_SURE 4ull       /* idle it is: the truth that the daemon is told */
#define REIN_ATT_OFF 8ull        /* disabled, or a forked child: pass everything through */
#define REIN_ATT_YIELD 16ull     /* background threads are to wait at the gate (request.h) */
#define REIN_ATT_SAMPLE 32ull    /* the next launch is to be timed (backlog.h) */
#define REIN_ATT_CAPTURE 256ull
#define REIN_ATT_CAPTURES 0x000fff00ull
#define REIN_ATT_OUT (1ull << 20) /* streams whose work is in a slice (slice.h) */
#define REIN_ATT_OUTS 0xfff00000ull
#define REIN_ATT_ATTEMPT (1ull << 32)
extern rein_a64 rein_attention;

/* After counting a submission, before the driver call: makes the client active if it was idle.
 * True if it was. */
bool rein_demand_active(void);
/* The same in two steps, for calls that do not block: the second is to follow, at the latest when
 * the driver has returned. It costs a load if there is nothing to tell. */
bool rein_demand_begin(void);
void rein_demand_announce(void);
/* After something was completed or taken back: makes the client idle if it is. */
void rein_demand_try_idle(void);
/* A thread begins and ends to wait at the closed gate. */
void rein_demand_wait(void);
void rein_demand_wait_over(void);
/* The same, but the helper may do it in a while if nobody is there whom that would concern: the
 * next submission then takes the fast path, and neither side hears of a request's end and begin. */
void rein_demand_try_idle_late(void);
/* Writes the truth to the status page, as after mapping a new one. */
void rein_demand_publish(void);
/* The same, and rings if the daemon sleeps: for what is to be acted on while the client is active.
 */
void rein_demand_changed(void);
/* Brings the status page's totals up to date; display only. */
void rein_demand_totals(void);
bool rein_demand_is_idle(void);

#endif
