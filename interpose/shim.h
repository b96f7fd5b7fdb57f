// SPDX-License-Identifier: Apache-2.0
/*
 * shim.h: what the files of librein.so share.
 *
 * The shim's law. This code lives in somebody else's process. It never exits, aborts, prints to
 * stdout, changes errno, waits without bound, holds a lock across a driver call, allocates or
 * logs on the hot path, creates threads before the first CUDA use, or links anything but libc.
 * Its warden thread never calls CUDA, takes a lock or allocates; its helper thread may block in
 * the driver. On an internal failure: detach once, say so once, call the real driver.
 *
 * Who does what:
 *   entries.tbl   one row per symbol of cuda.h: class and options; gen.py turns it into
 *                 build/gen/{cuda_real.h,cuda_entries.h,hooks.c,exports.map,cuda_versions.h}
 *   resolve.c     finds the real driver's functions; cuGetProcAddress
 *   preload.c     librein.so's share of that; dlsym, dlvsym. standin/: the stand-in libcuda.so.1's
 *   submit.h/.c   the launch gate: the fast path (inline) and the slow path
 *   demand.c      idle and active, as the daemon is told
 *   request.c     requests that the program declares (include/rein.h); nvtx.c: by NVTX ranges
 *   stream.c      rows per (context, stream): begun, returned, completed; captures
 *   event.c       what a completed event proves
 *   backlog.c     metered clients: estimates, waiting for room; mark.c: marks and samples;
 *                 point.c: the queue gate
 *   slice.c       SM slices: which of two streams; slice_make.c: green contexts
 *   attach.c      the shared memory; warden.c: joining the daemon, the warden thread, fork
 *   rmgate.c      the context gate: when channel groups are held; rmhold.c: how; rmtable.c: which
 *   helper.c      the helper thread: quiet-queue queries
 *   trace.c       event records, while the daemon asks for them
 *   agent.c       true GPU times, by CUPTI, while the daemon asks for them
 *   probe.c       what a thread waits for, for the daemon's BPF programs; USDT probes
 *   observe.c     hand-written hooks: cuInit, contexts, streams, captures; observe_event.c: events
 */
#ifndef REIN_SHIM_H
#define REIN_SHIM_H

#include <stdbool.h>
#include <stdint.h>

/* The exact, unversioned prototypes of the header: no cuMemAlloc → cuMemAlloc_v2 macros. */
#ifndef __CUDA_API_VERSION_INTERNAL
#define __CUDA_API_VERSION_INTERNAL
#endif
#include <cuda.h>
#include <cudaProfiler.h>

#include "../common/abi.h"
#include "../common/clock.h"
#include "../common/util.h"

/* Classes of entries.tbl. Absence is not a class: a symbol without a row fails `make lint`. */
enum rein_class {
	/* submit: pass the gate, count as work */
	REIN_CLASS_LAUNCH, /* kernels, host functions */
	REIN_CLASS_GRAPH,  /* graph launch and upload */
	REIN_CLASS_COPY,
	REIN_CLASS_SET,
	REIN_CLASS_MEMORY, /* stream-ordered allocation, prefetch, mapping */
	REIN_CLASS_ORDER,  /* event record, waits, memory operations, callbacks, semaphores */
	/* observed: never gated */
	REIN_CLASS_SYNC,    /* returns when work has completed (or a query says so) */
	REIN_CLASS_CAPTURE, /* begin, end and query of stream capture */
	REIN_CLASS_CONTEXT,
	REIN_CLASS_STREAM,
	REIN_CLASS_EVENT,
	REIN_CLASS_INIT, /* cuInit */
	REIN_CLASS_PROC, /* cuGetProcAddress */
	/* gated only for a class that says so, and never work */
	REIN_CLASS_IMPLICIT, /* module loads, allocation, free: may stall others */
	/* not hooked at all: the application gets the driver's own function */
	REIN_CLASS_MODULE,
	REIN_CLASS_MEMQUERY,
	REIN_CLASS_QUERY,
	REIN_CLASS_PASS,
};

/* Options of a row that the code asks for at run time. */
#define REIN_OPT_STREAM 1u     /* has a stream argument (else: the legacy default stream) */
#define REIN_OPT_PER_THREAD 2u /* _ptsz/_ptds: stream 0 means the per-thread default stream */
#define REIN_OPT_BLOCKING 4u   /* has completed on return, and what its stream held before */
#define REIN_OPT_NO_WORK 8u    /* ordering only: passes no gate, but is counted (event record) */
#define REIN_OPT_SLICED 16u    /* kernels: go into the slice (slice.h) */
#define REIN_OPT_FOLLOWS 32u   /* goes where its stream's kernels went; all others: where it was */

struct rein_entry {
	const char *name;
	uint8_t class_id; /* enum rein_class */
	uint8_t options;  /* REIN_OPT_* */
	uint32_t id;      /* rein_trace_entry(name) */
};

#include "cuda_entries.h" /* generated: enum rein_entry_id { REIN_E_cuInit, … }, rein_entries[] */
#include "cuda_real.h"    /* generated: struct rein_real { typeof(cuInit) *cuInit; … }; */

/* The driver's functions. NULL before the first rein_resolve(), never after: what the driver lacks
 * is then a function that returns CUDA_ERROR_NOT_SUPPORTED (rein_real_has() tells). */
extern struct rein_real real;

/* resolve.c. Fills `real`; idempotent, thread-safe, errno kept. false: no driver to be found, said
 * once on stderr; `real` then fails every call, and the next rein_resolve() looks again. */
bool rein_resolve(void);
/* Whether the driver has the function. After rein_resolve(). */
bool rein_real_has(enum rein_entry_id entry);
/* The address that an application must get instead of the driver's function of this symbol name;
 * NULL if the symbol is not hooked. hooks.c (generated). */
void *rein_hook_find(const char *symbol);
/* The symbol's rein_entry_id, or -1; the hook of an id (NULL: not hooked). hooks.c (generated). */
int rein_entry_find(const char *symbol);
void *rein_hook_of(int entry);

/* Not 0 once `real` is filled. Hooks that do not start with rein_submit_fast() begin with
 * rein_need_real(); the submit slow path calls rein_resolve() itself before it returns. */
extern rein_a32 rein_real_ready;
static inline void rein_need_real(void)
{
	if (REIN_UNLIKELY(!rein_load_acquire(&rein_real_ready)))
		(void)rein_resolve();
}

#endif
