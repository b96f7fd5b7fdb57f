// SPDX-License-Identifier: Apache-2.0
/*
 * point.h: the queue gate: points in the program's streams at which the GPU itself waits.
 *
 * A point is one batch of two memory operations on the caller's stream and thread:
 *
 *	write   progress[row] = how many submissions of the row had returned before it
 *	wait    until open & 1
 *
 * The write waits for all earlier work, and so makes the point strict: a wait alone may be
 *satisfied while the kernel before it still runs. It also tells for free how far the GPU has come.
 *The condition is AND, not EQ or the cyclic GEQ: one bit says open, the rest of the word is left to
 * later versions, and no value that a program scribbles there can be "before" another.
 *
 * Where. Directly before a submission, never after one: behind the last submission there is no
 * point, so a synchronisation, an event or a query waits for work and never for a gate; and what is
 * to come is known, so no point parts a kernel from one that may overlap its end (programmatic
 * dependent launch). Every `point_ns` of estimated work per stream, further apart where a point
 * costs more than one part in fifty of that; before whatever is longer, or of unknown length. On
 *the legacy default stream a point orders no more than the submission behind it does. While the
 *gate word is not metered, while the verdict's point_ns is 0, and in captures: none at all.
 *
 * The word. The daemon's object (abi.h, struct rein_points) is mapped once more for each context
 * and registered there, so that a context that goes takes with it what its own streams wait for and
 * nothing else. Mappings that the GPU may know are never unmapped while their context lives: 32
 * of them, then there are no more points. Where registration fails the driver allocates the word,
 * and the warden copies the daemon's to it (rein_points.driven).
 *
 * Nobody is left waiting. The warden opens the word when the lease lapses or the daemon is gone;
 * contexts are destroyed with it open (rein_points.keep_open); so is it at exit. Until the warden
 * watches, there are no points. A process that shares events with others, and one where a point
 * failed, is held at the launch gate only, said once at debug level.
 *
 * Threads: any for the program's half, no locks; the warden's half never calls CUDA.
 */
#ifndef REIN_POINT_H
#define REIN_POINT_H

#include "attach.h"
#include "stream.h"

/* ---- a program's thread, on the slow path */
/* Estimated work between points of this row's stream; 0: no points there. Its context is current.
 */
uint64_t rein_point_every(const struct rein_row *row);
/* Puts one into the stream, for which rein_point_every() said so; `proven`: the row's `returned`,
 * as it was before the stream was chosen (slice.h). */
void rein_point_put(struct rein_row *row, CUstream stream, uint64_t proven);
/* Completes what the points passed so far prove. Any thread. */
void rein_point_look(void);
/* A launch that may begin before the one before it has ended. */
bool rein_point_is_dependent(const CUlaunchConfig *config);
/* The daemon's object; NULL: none. It stays mapped when the daemon has gone. */
struct rein_points *rein_point_object(void);
/* Work is held behind a closed point now. */
bool rein_point_closed(void);
/* For good: no more points in this process. NULL: nobody need know. */
void rein_point_off(const char *why);
/* Around the end of a context, so that nobody waits there for work behind a closed point, and what
 * was its is let go. `gone` NULL: it did not end. Each _ends() has its _over(). */
void rein_point_context_ends(CUcontext ctx);
void rein_point_context_over(CUcontext gone);

/* ---- the warden */
/* Maps a daemon's object; what is none is left out. */
void rein_point_join(int fd);
/* Says what this client can do, on a fresh status page. */
void rein_point_publish(void);
/* The daemon has gone: everything waits for nothing. */
void rein_point_leave(void);
/* A daemon that was only stopped may yet write to a word that it left. */
void rein_point_open_past(void);
/* Looks after the word. Returns for how long it need not, in ms; at most `most_ms`. */
int rein_point_watch(int most_ms);
/* In a forked child. */
void rein_point_let_go(void);

#endif
