// SPDX-License-Identifier: Apache-2.0
/*
 * agent.h: between librein.so (interpose/agent.c), which knows the program's submissions, and
 * librein-cupti.so (this folder), which knows CUPTI. The second is opened by the first when the
 * daemon wants a program's true GPU times, and stays loaded.
 *
 *   librein.so                            librein-cupti.so
 *   helper thread: _start() ────────────► finds libcupti, subscribes, enables
 *   a program's thread: ticket()  ◄────── a submitting driver call begins: its correlation ID is
 *                                         that submission's
 *   agent thread: _flush()  ────────────► what has completed
 *                 activity()  ◄────────── one for each record, with the ticket of its correlation
 *   agent thread: _stop()  ─────────────► disables, unsubscribes
 *
 * CUPTI serves one subscriber in a process. Whoever is there first keeps it: _start() refuses with
 * -EBUSY and names it. We never take it from anybody, and librein.so gives it up when the program
 * subscribes itself.
 *
 * Times are CLOCK_MONOTONIC ns. Threads: _start, _flush and _stop from one thread at a time;
 * ticket() is called on the program's threads inside the driver, activity() and lost() within
 * _flush() and _stop(). Errors: 0 or -errno, with one line in `why`.
 */
#ifndef REIN_CUPTI_AGENT_H
#define REIN_CUPTI_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../common/ring.h"

#define REIN_AGENT_VERSION 1u /* of all of this: the two libraries are made together */
#define REIN_AGENT_FILE "librein-cupti.so"
#define REIN_AGENT_SYMBOL "rein_agent"

/* A submission that a thread is making. */
struct rein_agent_ticket {
	uint64_t where; /* as word 4 of its event record: stream, number << 32; 0: none is made */
	uint64_t key;   /* in the kernel-time model; 0: none */
	/* The count of changes of who is active (abi.h, owners_gen) when it was made, and its
	 * device's place on the board; REIN_BOARD_DEVICES_MAX: not known. */
	uint32_t owners_gen, board_device;
};

/* What the GPU did. */
struct rein_agent_activity {
	enum rein_trace_gpu what;
	uint8_t copy_kind; /* CUpti_ActivityMemcpyKind */
	uint64_t begin_ns, end_ns;
	uint64_t size; /* bytes of copies and sets; the grid of kernels: x, y << 32, z << 48 */
	uint32_t correlation, stream;    /* CUPTI's */
	const char *name;                /* of a kernel; NULL: none. Lives as long as the process */
	struct rein_agent_ticket ticket; /* where 0: not of a submission that is known */
};

struct rein_agent_host {
	uint32_t version;
	/* a function of a dlopen() handle, past librein.so's own dlsym() */
	void *(*symbol)(void *handle, const char *name);
	/* the calling thread's; never NULL */
	const struct rein_agent_ticket *(*ticket)(void);
	void (*activity)(const struct rein_agent_activity *a);
	void (*lost)(uint64_t records);
};

struct rein_agent_ops {
	uint32_t version;
	/* -EBUSY: another profiler has CUPTI; -ENOENT: there is no CUPTI; others: CUPTI refuses.
	 * `library`: where libcupti is if it is not loaded; NULL: where the loader finds it.
	 * `late`: the program has used the GPU before, so CUPTI's first record may be wrong. May
	 * wait for the GPU to drain. */
	int (*start)(const struct rein_agent_host *host, const char *library, bool late, char *why,
	             size_t why_len);
	/* Returns how many activities there were. */
	size_t (*flush)(void);
	/* With what is left; nothing is enabled afterwards, and CUPTI is anybody's. */
	void (*stop)(void);
};

/* What librein-cupti.so exports, by REIN_AGENT_SYMBOL. NULL for another version. */
typedef const struct rein_agent_ops *rein_agent_fn(uint32_t version);

#endif
