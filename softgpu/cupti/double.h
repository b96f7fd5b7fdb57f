// SPDX-License-Identifier: Apache-2.0
/*
 * double.h: what the files of the CUPTI double share. libcupti.so.13 for the software GPU: the
 * activity and callback interfaces of CUPTI 13.0, for the software GPU of the same process.
 *
 * The way of a record: libcuda.so.1 tells a call or a completed command (../trace.h) →
 * record.c makes the record of it, with CLOCK_MONOTONIC times → queue.c keeps it → delivery.c
 * puts it into the client's buffers, with the times of the client's clock: in
 * cuptiActivityFlushAll(), or on the worker thread when there is much of it.
 *
 * What the real library exports and is not needed for this is absent: dlsym() says so. A function
 * that is there and is asked for what the software GPU cannot give returns an error, and one line
 * on stderr names it.
 *
 * Locks: the client's functions are called without any. queue.c's lock is taken under libcuda's
 * engine lock, so nothing of libcuda is called under it.
 */
#ifndef SOFTGPU_CUPTI_DOUBLE_H
#define SOFTGPU_CUPTI_DOUBLE_H

#define CUPTI_LIB /* the headers' way to export */
#include <cupti.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../trace.h"

/* ---- attach.c: the software GPU that this process uses */

/* NULL: there is none, which has been said. */
const struct sg_trace_driver *sg_cupti_driver(void);
/* Looks at what is enabled, and listens or does not. */
void sg_cupti_listen(void);
void sg_cupti_say(const char *fmt, ...) REIN_PRINTF(1, 2);
/* A function's result, kept for cuptiGetLastError(). */
CUptiResult sg_cupti_result(CUptiResult r);

/* ---- calls.c: the calls that are told, as CUPTI numbers and names them */
struct sg_cupti_call {
	CUpti_CallbackId cbid;
	const char *name;
};
extern const struct sg_cupti_call sg_cupti_calls[SG_CALLS];
int sg_cupti_call_of(CUpti_CallbackId cbid);                 /* SG_CALL_…, -1: it is not told */
CUfunction sg_cupti_launched(const struct sg_trace_call *c); /* NULL: not a kernel launch */
/* What a call that synchronises waits with; UNKNOWN: it does not. */
struct sg_cupti_sync {
	CUpti_ActivitySynchronizationType type;
	bool in_stream, per_thread; /* per_thread: what stream 0 means */
	CUstream stream;
};
struct sg_cupti_sync sg_cupti_sync_of(const struct sg_trace_call *c);

/* ---- subscribe.c */
bool sg_cupti_called_back(void); /* some callback is enabled */
void sg_cupti_callback(struct sg_trace_call *c);
void sg_cupti_unsubscribe_all(void);
void sg_cupti_subscribe_forget(void); /* these: in a forked child; nobody holds the locks there */

/* ---- activity.c: what is enabled */
bool sg_cupti_kind_on(CUpti_ActivityKind kind);
bool sg_cupti_api_on(enum sg_call_id id); /* records of that call */
bool sg_cupti_latency_on(void);
bool sg_cupti_records_on(void); /* anything at all */
void sg_cupti_kinds_off(void);
uint32_t sg_cupti_thread_id(void);

/* ---- external.c */
/* The latest id that this thread pushed of a kind; false: none. */
bool sg_cupti_external(CUpti_ExternalCorrelationKind kind, uint64_t *id);

/* ---- record.c */
void sg_cupti_record_call(struct sg_trace_call *c);
void sg_cupti_record_work(const struct sg_trace_work *w);
void sg_cupti_record_graphs(void); /* graph records are wanted from now on */
void sg_cupti_record_child(void);
/* Bytes of a record of a kind; 0: there is none. */
size_t sg_cupti_record_bytes(CUpti_ActivityKind kind);
/* Its times, from CLOCK_MONOTONIC to another clock that is so far ahead. */
void sg_cupti_record_shift(CUpti_Activity *record, int64_t ns);

/* ---- queue.c: records that wait for delivery */
struct sg_cupti_chunk {
	struct sg_cupti_chunk *next;
	size_t n;
	_Alignas(8) uint8_t v[16368];
};
void sg_cupti_push(const void *record, size_t bytes); /* any thread, never waits long */
struct sg_cupti_chunk *sg_cupti_take_all(void);       /* to be freed, one by one */
/* A name that lives as long as the process; NULL: out of memory. */
const char *sg_cupti_intern(const char *name);
void sg_cupti_drop(size_t records);
size_t sg_cupti_dropped(void); /* since it was asked last */
/* Waits until there is much to deliver, at most that long (0: for ever). */
void sg_cupti_wait_much(uint32_t ms);
void sg_cupti_wake(void);
void sg_cupti_queue_forget(void);

/* ---- delivery.c */
CUptiResult sg_cupti_flush(bool partial);
void sg_cupti_worker_start(void);
void sg_cupti_delivery_forget(void);

#endif
