// SPDX-License-Identifier: Apache-2.0
/*
 * engine.h: time on the software GPU. The API half (api_*.c) turns CUDA calls into commands; the
 * engine runs them in CUDA's order, executes their payloads, and completes them at the time the
 * model (model.h) says, on a device that several processes share.
 *
 * Parts, from the outside in: item.c, stream.c, event.c (what is submitted, and its order),
 * channel.c (hardware queues), timeline.c (what happens when), memop.c (waits for memory),
 * executor.c (threads that run payloads), sched.c (SM block slots, priorities, durations: pure),
 * device.c over ledger.c (the device that processes share: pure transitions, published without
 * locks), corun.c over device.c and mps.c (the same where processes run together), engine.c (one
 * engine thread per process, its lock, fork, exit), record.c (logs). core.h has the structures;
 * docs/softgpu.md the model.
 *
 * Time is CLOCK_MONOTONIC ns. The modelled clock never runs ahead of the wall clock: late wake-ups
 * of the host delay what the host sees, not what the model computes (the next command of a stream
 * starts at its predecessor's modelled end).
 *
 * Threads: every function may be called from any thread. Results are CUresult (0 = success).
 * After fork the child has no engine: everything returns CUDA_ERROR_NOT_INITIALIZED.
 */
#ifndef SOFTGPU_ENGINE_H
#define SOFTGPU_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include <cuda.h>

#include "../common/atomic.h"
#include "model.h"

/* A context's ordering domain: its legacy default stream and the streams that synchronise with
 * it. `device`: ordinal. An execution error is sticky: it poisons the domain as on a GPU. */
struct sg_domain;
CUresult sg_domain_new(int device, struct sg_domain **out); /* starts the engine on first use */
/* It is about to go: work that waits for a word in memory, and what comes after it, is given up. */
void sg_domain_end(struct sg_domain *d);
/* That, waits for its work, frees its streams and itself. */
void sg_domain_free(struct sg_domain *d);
CUresult sg_domain_sync(struct sg_domain *d);
CUresult sg_domain_error(const struct sg_domain *d); /* CUDA_SUCCESS while healthy */
/* Poisons the domain (first error wins); text is logged once. */
void sg_domain_fail(struct sg_domain *d, CUresult error, const char *text);

enum sg_stream_kind {
	SG_STREAM_LEGACY,      /* made with the domain; see sg_domain_legacy() */
	SG_STREAM_BLOCKING,    /* synchronises with the legacy stream */
	SG_STREAM_NONBLOCKING, /* does not */
};
struct sg_stream;
struct sg_stream *sg_domain_legacy(struct sg_domain *d);
CUresult sg_stream_new(struct sg_domain *d, enum sg_stream_kind kind, int priority,
                       struct sg_stream **out);
void sg_stream_free(struct sg_stream *s); /* returns at once; its work still runs to the end */

/*
 * A slice of the device: a green context's SMs, and the default stream that goes with them, which
 * stands for the slice. Kernels and sets of its streams are placed on its SMs only. Its blocking
 * streams synchronise with its default stream, not with the domain's.
 */
CUresult sg_slice_new(struct sg_domain *d, const struct sg_sm_set *sms, struct sg_stream **out);
void sg_slice_free(struct sg_stream *slice); /* as sg_stream_free(); its streams may outlive it */
CUresult sg_slice_sync(struct sg_stream *slice);
CUresult sg_stream_new_in(struct sg_domain *d, struct sg_stream *slice, enum sg_stream_kind kind,
                          int priority, struct sg_stream **out);
CUresult sg_stream_sync(struct sg_stream *s);
CUresult sg_stream_query(struct sg_stream *s); /* CUDA_ERROR_NOT_READY while work is unfinished */
uint64_t sg_stream_id(const struct sg_stream *s); /* unique in the process, never reused */
/* An event became part of a capture on this stream. Nothing runs: only the order log tells. */
void sg_stream_log_captured(const struct sg_stream *s);
struct sg_domain *sg_stream_domain(const struct sg_stream *s);
enum sg_stream_kind sg_stream_kind_of(const struct sg_stream *s);
int sg_stream_priority(const struct sg_stream *s);

enum sg_cmd_kind {
	SG_CMD_KERNEL, /* occupies SM block slots for its modelled time, under the time slice */
	SG_CMD_COPY,   /* occupies a copy engine of the device: latency + bytes / bandwidth */
	SG_CMD_SET,    /* as a copy on the SMs' side: bytes / memory bandwidth, under the slice */
	SG_CMD_HOST,   /* payload runs on a host thread; no GPU time; may not call CUDA */
	SG_CMD_MARK,   /* no payload, no time: ordering only */
	SG_CMD_MEMOP,  /* memory operations of the front end: no SM time; may wait for a word */
};

/*
 * A command. The submitter allocates it (calloc), fills the first part, and gives it away with
 * sg_submit(): the engine calls run() once when everything before it in its stream has completed
 * (never in time-only mode, but for SG_CMD_HOST; not in a poisoned domain, but for always_run),
 * then, after completion, destroy() once, which frees it. run() gets its inputs from the
 * submitter's own struct that embeds this one as first member.
 *
 * destroy() is called some time after completion, on an engine worker or in somebody's
 * sg_stream_sync(), sg_domain_sync() or sg_domain_free(); on the caller's thread if the submission
 * fails. What completed before a stream or domain sync returns has been destroyed by then.
 */
struct sg_cmd {
	enum sg_cmd_kind kind;
	/* Payload, on an engine worker. Kernels set `instructions` and `global_bytes` here. An
	 * error other than CUDA_SUCCESS poisons the domain with `error_text`. NULL: nothing to do.
	 */
	CUresult (*run)(struct sg_cmd *self);
	void (*destroy)(struct sg_cmd *self); /* NULL: free(self) */
	char error_text[256];
	bool always_run; /* SG_CMD_HOST: also in a poisoned domain (callbacks that get the error) */

	/* kernels: name (declared times are looked up by it) and geometry (occupancy) */
	const char *name; /* must live as long as the command */
	uint64_t blocks;
	uint32_t block_threads, block_shared_bytes, thread_registers;
	bool cooperative;
	uint64_t instructions; /* warp instructions executed, out of run() */
	uint64_t global_bytes; /* out of run() */
	/* copies and sets */
	enum sg_copy_dir dir;
	uint64_t bytes;

	/* Memory operations, in place of run(), in every mode: does those whose turn has come, in
	 * order. CUDA_ERROR_NOT_READY: a wait is not satisfied, to be called again. Under the
	 * engine's lock: quick, and calls nothing of the engine. */
	CUresult (*step)(struct sg_cmd *self);
	uint32_t memops; /* how many they are */

	/* graphs only: predecessors within the same batch, by index in the batch; and the SMs to
	 * which it is confined, whatever stream the batch is in. NULL: all */
	const uint32_t *deps;
	uint32_t n_deps;
	const struct sg_sm_set *sms; /* must live as long as the command */

	struct sg_trace_work *trace; /* what a profiler is told (trace.h); NULL: nothing */

	struct sg_node *engine; /* the engine's own bookkeeping */
};
/* For run() of kernels: a futex word that is not 0 while they are to stand still. */
const rein_a32 *sg_cmd_pause(const struct sg_cmd *cmd);
/* The SMs to which it is confined, once it was submitted: its stream's, or a graph's own. NULL: it
 * is not. */
const struct sg_sm_set *sg_cmd_sms(const struct sg_cmd *cmd);

/*
 * Appends a command to a stream; owns cmd from here on, also on failure. Blocks while the stream
 * already has the model's queue depth of unfinished commands (as a driver does when its channel
 * is full). Fails with the domain's sticky error.
 */
CUresult sg_submit(struct sg_stream *s, struct sg_cmd *cmd);
/* The same for a graph: n commands with deps, one position in the stream's order. The array is
 * the caller's; the commands are given away; deps arrays must live until the batch completes
 * (free them in a destroy()). */
CUresult sg_submit_batch(struct sg_stream *s, struct sg_cmd *const *cmds, uint32_t n);
/* Appends and waits until it has completed (blocking copies). */
CUresult sg_submit_wait(struct sg_stream *s, struct sg_cmd *cmd);

/* Events. Reference: freed when released and no longer used by a stream. */
struct sg_event;
struct sg_event *sg_event_new(void);
void sg_event_free(struct sg_event *e);
CUresult sg_event_record(struct sg_event *e, struct sg_stream *s);
CUresult sg_event_query(struct sg_event *e); /* never recorded: success, as CUDA has it */
CUresult sg_event_sync(struct sg_event *e);
CUresult sg_stream_wait_event(struct sg_stream *s, struct sg_event *e);
/* The same for all work of a slice, NULL: of the domain: all that was submitted; all to come. */
CUresult sg_slice_record(struct sg_domain *d, struct sg_stream *slice, struct sg_event *e);
CUresult sg_slice_wait(struct sg_domain *d, struct sg_stream *slice, struct sg_event *e);
/* Modelled time between two completed records; NOT_READY, INVALID_HANDLE (never recorded). */
CUresult sg_event_elapsed(struct sg_event *start, struct sg_event *end, double *ms);

/*
 * Controls of this process' share of a device, as a resource manager has them (hold.c): held, it
 * gets no further time slice; preempted, it loses the SMs preempt_ns and what the control itself
 * takes (after_ns) from now, with what its kernels have left. 0, -ENOTSUP (fast mode, or processes
 * run together), -ENODEV (no engine).
 */
int sg_hold(unsigned device, bool hold);
int sg_hold_preempt(unsigned device, uint64_t after_ns, bool wait);
int sg_hold_slice(unsigned device, uint64_t slice_ns);

/* Counters of this process since start, for the log, tests and the demo. */
struct sg_stats {
	uint64_t kernels, copies, sets, graphs;
	uint64_t memops;   /* memory operations, each of a batch */
	uint64_t overruns; /* wall-clock mode: docs/softgpu.md says what one is */
	uint64_t worst_overrun_ns;
	uint64_t paced_ns; /* what kernels of unknown duration took less than modelled, added up */
	uint64_t slices, slice_switches; /* time slices owned; switches paid for */
	uint64_t busy_ns;                /* modelled time with at least one block resident */
};
void sg_engine_stats(struct sg_stats *out);

#endif
