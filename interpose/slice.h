// SPDX-License-Identifier: Apache-2.0
/*
 * slice.h: SM slices: the kernels of a program's stream run on a part of the SMs.
 *
 * Model (docs/slices.md). For a stream that launches kernels while the verdict has a slice there is
 * a *shadow*: a stream of a green context of that size. The stream is *home* (its work is in
 * itself), or *out* (its latest work is in the shadow). Two events' worth of order join them:
 * before it goes out the shadow waits for the stream, before anything is done at home again the
 * stream waits for the shadow. So whichever of the two it is now, that one stands for all of the
 * stream's work.
 *
 * Streams that synchronise with others implicitly (blocking ones, and the legacy default stream
 * beside such) are home whenever no launch is under way: a green stream has no such ties
 * (docs/gpu-facts.md, slices), so each kernel goes out and comes home by itself.
 *
 * The word. Each row has one: phase (home, going, out, coming), which slice, and a count of
 * changes. Whoever changes the phase puts the events in between; others that meet a change under
 * way, or find after their driver call that there was one, put the events of both directions
 * themselves. An event too many costs time, never order. A stream goes out only while nobody else
 * has a submission to it under way: the fast path looks at nothing, but it counts first
 * (rein_row.begun), and REIN_ATT_OUT in the attention word ends it.
 *
 * Submissions of kernels go out; those that the table calls `follows` go where the stream is; all
 * others, and whatever asks about the stream, bring it home first. In captures nothing goes out.
 *
 * Threads: any; no locks. Waits, all bounded: a process' first sliced kernel for the helper, which
 * alone makes green contexts (50 ms; it takes one or two); who begins a capture, and others while
 * one is under way, for streams that another thread brings home. Errors of our own calls: all stays
 * whole from then on, said once. Source of the rules that decide what may go out: CUDA driver
 * API 13.0, "Green Contexts" and "Stream synchronization behavior"; what an H200 answered.
 */
#ifndef REIN_SLICE_H
#define REIN_SLICE_H

#include "attach.h"
#include "demand.h"
#include "stream.h"

/* One call that names a stream, on its caller's stack. */
struct rein_slice_visit {
	CUstream stream;      /* to be given to the driver */
	struct rein_row *row; /* NULL: nothing to be done after the call */
	uint64_t where;       /* the row's word, by which that was decided */
	bool bracket;         /* to come home at once */
};

/* Whether any stream is out, or any is to go: else nothing here need be called. */
static inline bool rein_slice_any(void)
{
	return rein_load_seqcst(&rein_attention) & REIN_ATT_OUTS ||
	       rein_load_relaxed(&REIN_GATE_WORD) & REIN_GATE_SLICED;
}

/* Before and after a driver call on the row's stream, which the program named `stream`; errno is
 * the caller's to keep. `options`: of the entry, REIN_OPT_SLICED and REIN_OPT_FOLLOWS count. */
void rein_slice_enter(struct rein_slice_visit *v, struct rein_row *row, CUstream stream,
                      unsigned options);
void rein_slice_leave(struct rein_slice_visit *v);
/* After a call on a stream at home of which nobody was told before it. */
void rein_slice_passed(CUstream stream, unsigned options);
/* A launch that must have all SMs. */
bool rein_slice_refuses(const CUlaunchConfig *config);
/* As `config`, but into that stream; `copy` is where. */
const CUlaunchConfig *rein_slice_config(const CUlaunchConfig *config, CUstream from, CUstream to,
                                        CUlaunchConfig *copy);

/* Home, and its work with it. */
void rein_slice_home(struct rein_row *row);
/* All streams of a context; 0: of all. */
void rein_slice_home_all(uint64_t context);
/* The same, by who has said that it begins a capture and has waited for calls under way (mark.h).
 */
void rein_slice_capture_begins(void);
/* The one of the two that stands for all of the row's work that has returned: to be asked. */
CUstream rein_slice_stands(const struct rein_row *row, CUstream home);

/* It stays home from now on: it is about to become what its shadow is not. */
void rein_slice_whole(CUstream stream, unsigned options);
/* The user need know, once: the slice does not hold for all. */
void rein_slice_say_whole(const char *why);
/* Its stream is about to end, and its row not live any more: home, and nobody else is at it. */
void rein_slice_ends(struct rein_row *row);
/* Its stream has ended, or never was. The shadows go; what they were given runs to its end. */
void rein_slice_over(struct rein_row *row);

/* slice_make.c: green contexts */
#define REIN_SLICES 8 /* sizes at a time, each on one device */

/* Number of the slice that the row's verdict asks for, below REIN_SLICES; -1: none, or not yet. */
int rein_slice_wanted(const struct rein_row *row);
/* A stream there, with the priority of that one; NULL: none to be had. */
CUstream rein_slice_shadow(int slice, CUstream like);
/* It asks for one that is not there yet. */
bool rein_slice_awaited(const struct rein_row *row);
/* The helper: makes what is missing, tells the daemon what there is. */
bool rein_slice_missing(void);
void rein_slice_make(void);
/* Green contexts keep the primary one alive: the program took and gives back references to it. The
 * latter before the driver's call, with the helper inhibited. `all`: it ends whatever there are. */
void rein_slice_retained(CUdevice device);
void rein_slice_released(CUdevice device, bool all);
/* Says that this client can, on a fresh status page. */
void rein_slice_publish(void);
/* For good: everything stays whole. */
void rein_slice_off(const char *why);

#endif
