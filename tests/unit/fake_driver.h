// SPDX-License-Identifier: Apache-2.0
/*
 * fake_driver.h: a CUDA driver of a few functions for testing the shim without any GPU, and the
 * generated hooks beside it. A stream is two counters: a submission raises `given`, the test (or
 * fake_gpu's thread) raises `done`. Included by one test program each; calls go through hook_*.
 */
#ifndef REIN_TESTS_FAKE_DRIVER_H
#define REIN_TESTS_FAKE_DRIVER_H

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/futex.h"
#include "interpose/backlog.h"
#include "interpose/event.h"
#include "interpose/helper.h"
#include "interpose/submit.h"

#define FAKE_CONTEXTS 3

struct fake_stream {
	_Alignas(64) rein_a64 given;
	rein_a64 done;
	rein_a32 capturing;
	int context;
};
struct fake_event {
	struct fake_stream *_Atomic stream;
	rein_a64 at; /* the stream's `given` at the record */
	rein_a64 time_ns;
};

static struct fake_stream fake_default[FAKE_CONTEXTS];
static char fake_context_handle[FAKE_CONTEXTS];
static __thread int fake_current; /* index of the context, -1: none */
static rein_a32 fake_queries, fake_records, fake_modes;
static rein_a64 fake_kernel_ns; /* what cuEventElapsedTime says */
static CUresult fake_launch_result, fake_sync_result;
static rein_a64
    fake_depth_max; /* the deepest queue that a submission ever found, itself included */

static void (*fake_during)(void); /* called while the driver takes a submission */

#define FAKE_UNUSED __attribute__((unused))

static CUcontext fake_context(int i)
{
	return (CUcontext)&fake_context_handle[i];
}
static struct fake_stream *fake_stream_of(CUstream s)
{
	return (uintptr_t)s <= 2 ? &fake_default[fake_current] : (struct fake_stream *)s;
}
static CUresult fake_submit(CUstream handle)
{
	struct fake_stream *s = fake_stream_of(handle);
	if (fake_during)
		fake_during();
	if (fake_launch_result != CUDA_SUCCESS)
		return fake_launch_result;
	uint64_t done = rein_load_seqcst(&s->done);
	uint64_t depth = rein_add_seqcst(&s->given, 1) + 1 - done;
	uint64_t max = rein_load_relaxed(&fake_depth_max);
	while (depth > max && !rein_cas(&fake_depth_max, &max, depth))
		;
	return CUDA_SUCCESS;
}
static CUresult fake_launch(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                            unsigned by, unsigned bz, unsigned shared, CUstream s, void **params,
                            void **extra)
{
	return fake_submit(s);
}
static CUresult fake_graph(CUgraphExec g, CUstream s)
{
	return fake_submit(s);
}
static CUresult fake_copy_back(void *to, CUdeviceptr from, size_t n)
{
	struct fake_stream *s = fake_stream_of(NULL);
	CUresult r = fake_submit(NULL);
	rein_store_release(&s->done, rein_load_seqcst(&s->given));
	return r;
}
static CUresult fake_copy_async(CUdeviceptr to, const void *from, size_t n, CUstream s)
{
	return fake_submit(s);
}
static bool fake_over(const struct fake_stream *s, uint64_t at)
{
	return rein_load_seqcst(&s->done) >= at;
}
static CUresult fake_stream_query(CUstream handle)
{
	struct fake_stream *s = fake_stream_of(handle);
	rein_add_seqcst(&fake_queries, 1);
	if (rein_load_relaxed(&s->capturing))
		return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	return fake_over(s, rein_load_seqcst(&s->given)) ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}
/* A synchronisation completes what is there at once: the test decides when to call it. */
static CUresult fake_stream_sync(CUstream handle)
{
	struct fake_stream *s = fake_stream_of(handle);
	if (fake_sync_result == CUDA_SUCCESS)
		rein_store_release(&s->done, rein_load_seqcst(&s->given));
	return fake_sync_result;
}
static CUresult fake_ctx_sync(void)
{
	return fake_sync_result;
}
static CUresult fake_stream_create(CUstream *out, unsigned flags)
{
	static struct fake_stream streams[4096]; /* never used twice: a late look is seen */
	static rein_a32 n;
	struct fake_stream *s = &streams[rein_add_seqcst(&n, 1) % 4096];
	s->context = fake_current;
	*out = (CUstream)s;
	return CUDA_SUCCESS;
}
static CUresult fake_stream_destroy(CUstream s)
{
	return CUDA_SUCCESS;
}
static CUresult fake_event_create(CUevent *out, unsigned flags)
{
	*out = calloc(1, sizeof(struct fake_event));
	return CUDA_SUCCESS;
}
static CUresult fake_event_destroy(CUevent e)
{
	free(e);
	return CUDA_SUCCESS;
}
static CUresult fake_event_record(CUevent handle, CUstream s)
{
	struct fake_event *e = (struct fake_event *)handle;
	rein_add_seqcst(&fake_records, 1);
	e->at = rein_load_seqcst(&fake_stream_of(s)->given);
	e->stream = fake_stream_of(s);
	return CUDA_SUCCESS;
}
static CUresult fake_event_query(CUevent handle)
{
	struct fake_event *e = (struct fake_event *)handle;
	return !e->stream || fake_over(e->stream, e->at) ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}
static CUresult fake_event_sync(CUevent handle)
{
	struct fake_event *e = (struct fake_event *)handle;
	uint64_t done = e->stream ? rein_load_seqcst(&e->stream->done) : 0;
	while (e->stream && done < e->at && !rein_cas(&e->stream->done, &done, e->at))
		;
	return CUDA_SUCCESS;
}
static CUresult fake_elapsed(float *ms, CUevent a, CUevent b)
{
	*ms = (float)rein_load_relaxed(&fake_kernel_ns) / 1e6f;
	return CUDA_SUCCESS;
}
static CUresult fake_get_current(CUcontext *out)
{
	*out = fake_current < 0 ? NULL : fake_context(fake_current);
	return CUDA_SUCCESS;
}
static CUresult fake_push(CUcontext ctx)
{
	return CUDA_SUCCESS;
}
static CUresult fake_pop(CUcontext *ctx)
{
	return CUDA_SUCCESS;
}
static CUresult fake_get_device(CUdevice *dev)
{
	*dev = 0;
	return CUDA_SUCCESS;
}
static CUresult fake_uuid(CUuuid *uuid, CUdevice dev)
{
	memset(uuid, 0x40 + dev, sizeof(*uuid));
	return CUDA_SUCCESS;
}
static CUresult fake_mode(CUstreamCaptureMode *mode)
{
	static __thread CUstreamCaptureMode now = CU_STREAM_CAPTURE_MODE_GLOBAL;
	CUstreamCaptureMode before = now;
	now = *mode;
	*mode = before;
	rein_add_seqcst(&fake_modes, 1);
	return CUDA_SUCCESS;
}
static CUresult fake_begin_capture(CUstream s, CUstreamCaptureMode mode)
{
	rein_store_relaxed(&fake_stream_of(s)->capturing, 1);
	return CUDA_SUCCESS;
}
static CUresult fake_end_capture(CUstream s, CUgraph *g)
{
	rein_store_relaxed(&fake_stream_of(s)->capturing, 0);
	return CUDA_SUCCESS;
}
static CUresult fake_is_capturing(CUstream s, CUstreamCaptureStatus *status)
{
	*status = rein_load_relaxed(&fake_stream_of(s)->capturing) ? CU_STREAM_CAPTURE_STATUS_ACTIVE
	                                                           : CU_STREAM_CAPTURE_STATUS_NONE;
	return CUDA_SUCCESS;
}
static CUresult fake_ctx_destroy(CUcontext ctx)
{
	return CUDA_SUCCESS;
}
static CUresult fake_init(unsigned flags)
{
	return CUDA_SUCCESS;
}
static CUresult fake_unsupported(void)
{
	return CUDA_ERROR_NOT_SUPPORTED;
}

/* Makes the shim believe that this is the driver. One context is current. */
FAKE_UNUSED static void fake_start(void)
{
	void **slot = (void **)&real;
	for (int i = 0; i < REIN_E_COUNT; i++)
		slot[i] = (void *)fake_unsupported;
	real.cuInit = fake_init;
	real.cuLaunchKernel = real.cuLaunchKernel_ptsz = fake_launch;
	real.cuGraphLaunch = fake_graph;
	real.cuMemcpyDtoH_v2 = fake_copy_back;
	real.cuMemcpyHtoDAsync_v2 = fake_copy_async;
	real.cuStreamQuery = fake_stream_query;
	real.cuStreamSynchronize = real.cuStreamSynchronize_ptsz = fake_stream_sync;
	real.cuCtxSynchronize = fake_ctx_sync;
	real.cuStreamCreate = fake_stream_create;
	real.cuStreamDestroy_v2 = fake_stream_destroy;
	real.cuEventCreate = fake_event_create;
	real.cuEventDestroy_v2 = fake_event_destroy;
	real.cuEventRecord = fake_event_record;
	real.cuEventQuery = fake_event_query;
	real.cuEventSynchronize = fake_event_sync;
	real.cuEventElapsedTime_v2 = fake_elapsed;
	real.cuCtxGetCurrent = fake_get_current;
	real.cuCtxPushCurrent_v2 = fake_push;
	real.cuCtxPopCurrent_v2 = fake_pop;
	real.cuCtxGetDevice = fake_get_device;
	real.cuDeviceGetUuid_v2 = fake_uuid;
	real.cuThreadExchangeStreamCaptureMode = fake_mode;
	real.cuStreamBeginCapture_v2 = fake_begin_capture;
	real.cuStreamEndCapture = fake_end_capture;
	real.cuStreamIsCapturing = fake_is_capturing;
	real.cuCtxDestroy_v2 = fake_ctx_destroy;
	rein_store_release(&rein_real_ready, 1);
	setenv("REIN_RUN_DIR", "/nonexistent/rein", 0); /* unless the test set another */
	rein_shim_ready();
}

/* ---- what tests say to and ask of the shim */
FAKE_UNUSED static CUresult launch(CUstream s)
{
	return hook_cuLaunchKernel((CUfunction)(uintptr_t)0x1000, 1, 1, 1, 32, 1, 1, 0, s, NULL,
	                           NULL);
}
FAKE_UNUSED static CUstream new_stream(unsigned flags)
{
	CUstream s = NULL;
	(void)hook_cuStreamCreate(&s, flags);
	return s;
}
FAKE_UNUSED static void finish(CUstream s)
{
	rein_store_release(&fake_stream_of(s)->done, rein_load_seqcst(&fake_stream_of(s)->given));
}
FAKE_UNUSED static uint64_t given(CUstream s)
{
	return rein_load_seqcst(&fake_stream_of(s)->given);
}
FAKE_UNUSED static uint32_t demand(void)
{
	return rein_load_seqcst(&REIN_STATUS->demand);
}
FAKE_UNUSED static bool active(void)
{
	return demand() & REIN_DEMAND_ACTIVE;
}
FAKE_UNUSED static void set_gate(uint32_t gate, uint64_t lease_ns)
{
	rein_store_release(&REIN_CONTROL->verdict[0].lease_until_ns, rein_now_ns() + lease_ns);
	rein_store_release(&REIN_GATE_WORD, gate);
	rein_futex_wake_all(&REIN_GATE_WORD);
}

#endif
