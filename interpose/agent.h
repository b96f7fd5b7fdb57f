// SPDX-License-Identifier: Apache-2.0
/*
 * agent.h: true GPU times, on the daemon's word: librein-cupti.so (profiler/cupti), which we open
 * then and only then, traces this process by CUPTI; here its records become event records, get the
 * number of the submission that they belong to, and teach the kernel-time model.
 *
 * The daemon sets REIN_CONTROL_CUPTI, while it records events. The helper sees it, and switches the
 * agent on, which may wait for the GPU to drain; a thread of its own then asks for records every
 * REIN_AGENT_PERIOD_NS, less often while the program is idle, and switches it off when the flag is
 * gone, with the daemon too. The program's threads pay what CUPTI costs, and for a submission the
 * writing down of who makes it; while the agent is off a load of a word, and that only while events
 * are recorded.
 *
 * CUPTI has one subscriber in a process, and one who gives it buffers. If the program, or a tool in
 * it, is that or wants to be, it is: the functions by which one becomes it lead here first, whether
 * they were found by dlsym() or linked, and ours has let go when the program's call goes on. After
 * that the agent stays off in this process.
 */
#ifndef REIN_AGENT_H
#define REIN_AGENT_H

#include "shim.h"
#include "stream.h"

#define REIN_AGENT_PERIOD_NS (20 * REIN_MS)
#define REIN_AGENT_IDLE_PERIOD_NS (80 * REIN_MS)

struct rein_work; /* submit.h */

/* 1: whoever submits is to say what. */
extern rein_a32 rein_agent_on;

/* Around the driver call of a submission that leaves a record, on its thread. */
void rein_agent_note(const struct rein_work *w, const struct rein_row *row, uint64_t number);
void rein_agent_forget(void);
static inline void rein_agent_submits(const struct rein_work *w, const struct rein_row *row,
                                      uint64_t number)
{
	if (REIN_UNLIKELY(rein_load_relaxed(&rein_agent_on)))
		rein_agent_note(w, row, number);
}
static inline void rein_agent_submitted(void)
{
	if (REIN_UNLIKELY(rein_load_relaxed(&rein_agent_on)))
		rein_agent_forget();
}

/* It is wanted, and not on. Any thread. */
bool rein_agent_due(void);
/* Switches it on, for good or for what the daemon says. The helper, within a call of its own. */
void rein_agent_start(void);
/* The program's first use of CUDA: if it is to be traced it is from the start. Waits for half a
 * second at most. */
void rein_agent_settle(void);
/* The daemon has gone, or said something: the agent looks at once. Any thread, waits for nothing.
 */
void rein_agent_wake(void);
/* What the daemon is told, on a fresh page. */
void rein_agent_publish(void);
/* CUPTI is wanted by the program: off for good, in a second at the latest. */
void rein_agent_yield(void);
/* The process ends: what there is is recorded, in a fifth of a second at the latest. */
void rein_agent_stop(void);
/* In a forked child. */
void rein_agent_child(void);

/* The functions of CUPTI by which somebody makes it its own; in agent.c's order. */
enum rein_agent_claim {
	REIN_AGENT_SUBSCRIBE,
	REIN_AGENT_SUBSCRIBE_2,
	REIN_AGENT_BUFFERS,
	REIN_AGENT_CLAIMS
};
/* Whether the name is one of them. */
bool rein_agent_is_claim(const char *name);
/* The program's look-up of such a name gave `real_one`: what it gets instead. */
void *rein_agent_instead(const char *name, void *real_one);
/* The program calls one that it was linked with, of that library. */
int rein_agent_linked(const char *library, enum rein_agent_claim which, void *a, void *b, void *c,
                      void *d);

#endif
