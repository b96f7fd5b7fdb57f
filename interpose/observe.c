// SPDX-License-Identifier: Apache-2.0
/*
 * observe.c: hooks written by hand: what makes, ends or changes the things that the rows and
 * captures of stream.c stand for. None of them is ever gated. Events are observe_event.c.
 *
 * Order matters twice. What is about to be destroyed is taken out of the tables before the driver
 * call, because the driver may give the same handle to another thread at once; and the helper is
 * inhibited around it, because it must not ask about a handle that is gone.
 *
 * REIN_HAS_…: what is newer than some CUDA 12 headers is left out with those.
 */
#include "shim.h"

#include <errno.h>

#include "attach.h"
#include "backlog.h"
#include "demand.h"
#include "helper.h"
#include "point.h"
#include "slice.h"
#include "stream.h"
#include "submit.h"

/* ---------------------------------------------------------------- init */

CUresult hook_cuInit(unsigned int flags)
{
	rein_need_real();
	CUresult r = real.cuInit(flags);
	if (r == CUDA_SUCCESS && rein_shim_on()) {
		int saved = errno;
		rein_attach_start();
		errno = saved;
	}
	return r;
}

/* ---------------------------------------------------------------- contexts */

static CUresult created(CUresult r, const CUcontext *ctx, CUdevice device)
{
	if (r == CUDA_SUCCESS && ctx && rein_shim_on()) {
		int saved = errno;
		rein_context_note(*ctx, device);
		errno = saved;
	}
	return r;
}

CUresult hook_cuCtxCreate(CUcontext *pctx, unsigned int flags, CUdevice dev)
{
	rein_need_real();
	return created(real.cuCtxCreate(pctx, flags, dev), pctx, dev);
}

CUresult hook_cuCtxCreate_v2(CUcontext *pctx, unsigned int flags, CUdevice dev)
{
	rein_need_real();
	return created(real.cuCtxCreate_v2(pctx, flags, dev), pctx, dev);
}

CUresult hook_cuCtxCreate_v3(CUcontext *pctx, CUexecAffinityParam *params, int n,
                             unsigned int flags, CUdevice dev)
{
	rein_need_real();
	return created(real.cuCtxCreate_v3(pctx, params, n, flags, dev), pctx, dev);
}

#ifdef REIN_HAS_cuCtxCreate_v4
CUresult hook_cuCtxCreate_v4(CUcontext *pctx, CUctxCreateParams *params, unsigned int flags,
                             CUdevice dev)
{
	rein_need_real();
	return created(real.cuCtxCreate_v4(pctx, params, flags, dev), pctx, dev);
}
#endif

CUresult hook_cuDevicePrimaryCtxRetain(CUcontext *pctx, CUdevice dev)
{
	rein_need_real();
	CUresult r = created(real.cuDevicePrimaryCtxRetain(pctx, dev), pctx, dev);
	if (r == CUDA_SUCCESS && pctx && rein_shim_on()) {
		rein_context_primary(dev, *pctx);
		rein_slice_retained(dev);
	}
	return r;
}

#ifdef REIN_HAS_cuCtxFromGreenCtx
CUresult hook_cuCtxFromGreenCtx(CUcontext *pctx, CUgreenCtx green)
{
	rein_need_real();
	CUresult r = real.cuCtxFromGreenCtx(pctx, green);
	if (r == CUDA_SUCCESS && pctx && rein_shim_on()) {
		int saved = errno;
		rein_context_note_green(*pctx);
		errno = saved;
	}
	return r;
}
#endif

/* Contexts come from calls that cuda.h does not have (OpenGL interoperability) too; whoever uses
 * one makes it current first. */
static CUresult made_current(CUresult r, CUcontext ctx)
{
	if (r == CUDA_SUCCESS && ctx && rein_shim_on()) {
		int saved = errno;
		rein_context_note(ctx, -1);
		errno = saved;
	}
	return r;
}

CUresult hook_cuCtxSetCurrent(CUcontext ctx)
{
	rein_need_real();
	return made_current(real.cuCtxSetCurrent(ctx), ctx);
}

CUresult hook_cuCtxPushCurrent(CUcontext ctx)
{
	rein_need_real();
	return made_current(real.cuCtxPushCurrent(ctx), ctx);
}

CUresult hook_cuCtxPushCurrent_v2(CUcontext ctx)
{
	rein_need_real();
	return made_current(real.cuCtxPushCurrent_v2(ctx), ctx);
}

/* Nobody asks about streams or events until resume(). */
static void pause_queries(void)
{
	int saved = errno;
	rein_helper_inhibit();
	rein_mark_quiesce();
	errno = saved;
}

static void resume_queries(void)
{
	int saved = errno;
	rein_helper_allow();
	rein_demand_try_idle();
	errno = saved;
}

static CUresult destroy_context(CUresult (*destroy)(CUcontext), CUcontext ctx)
{
	if (!ctx || !rein_shim_on())
		return destroy(ctx);
	pause_queries();
	rein_context_leaving(ctx);
	rein_mark_forget(ctx);
	rein_point_context_ends(ctx);
	CUresult r = destroy(ctx);
	if (r == CUDA_SUCCESS)
		rein_context_gone(ctx);
	else
		rein_context_back(ctx);
	rein_point_context_over(r == CUDA_SUCCESS ? ctx : NULL);
	resume_queries();
	return r;
}

CUresult hook_cuCtxDestroy(CUcontext ctx)
{
	rein_need_real();
	return destroy_context(real.cuCtxDestroy, ctx);
}

CUresult hook_cuCtxDestroy_v2(CUcontext ctx)
{
	rein_need_real();
	return destroy_context(real.cuCtxDestroy_v2, ctx);
}

/* Ends the context with its last reference; it is current, and then is no more. */
CUresult hook_cuCtxDetach(CUcontext ctx)
{
	CUcontext current = NULL;
	rein_need_real();
	if (!ctx || !rein_shim_on())
		return real.cuCtxDetach(ctx);
	pause_queries();
	rein_context_leaving(ctx);
	rein_point_context_ends(ctx);
	CUresult r = real.cuCtxDetach(ctx);
	bool gone =
	    r == CUDA_SUCCESS && (real.cuCtxGetCurrent(&current) != CUDA_SUCCESS || current != ctx);
	if (gone) {
		rein_mark_forget(ctx);
		rein_context_gone(ctx);
	} else {
		rein_context_back(ctx);
	}
	rein_point_context_over(gone ? ctx : NULL);
	resume_queries();
	return r;
}

/* A release ends the context only with its last reference: known after the fact. */
static bool primary_released(CUdevice dev)
{
	unsigned int flags;
	int active = 1;
	CUcontext ctx = rein_context_primary(dev, NULL);
	if (!ctx ||
	    (real.cuDevicePrimaryCtxGetState(dev, &flags, &active) == CUDA_SUCCESS && active))
		return false;
	rein_mark_forget(ctx);
	rein_context_gone(ctx);
	return true;
}

static CUresult end_primary(CUresult (*end)(CUdevice), CUdevice dev, bool all)
{
	CUcontext ctx = rein_shim_on() ? rein_context_primary(dev, NULL) : NULL;
	if (!ctx)
		return end(dev);
	pause_queries();
	rein_slice_released(dev, all);
	rein_point_context_ends(ctx);
	CUresult r = end(dev);
	rein_point_context_over(r == CUDA_SUCCESS && primary_released(dev) ? ctx : NULL);
	resume_queries();
	return r;
}

CUresult hook_cuDevicePrimaryCtxRelease(CUdevice dev)
{
	rein_need_real();
	return end_primary(real.cuDevicePrimaryCtxRelease, dev, false);
}

CUresult hook_cuDevicePrimaryCtxRelease_v2(CUdevice dev)
{
	rein_need_real();
	return end_primary(real.cuDevicePrimaryCtxRelease_v2, dev, false);
}

CUresult hook_cuDevicePrimaryCtxReset(CUdevice dev)
{
	rein_need_real();
	return end_primary(real.cuDevicePrimaryCtxReset, dev, true);
}

CUresult hook_cuDevicePrimaryCtxReset_v2(CUdevice dev)
{
	rein_need_real();
	return end_primary(real.cuDevicePrimaryCtxReset_v2, dev, true);
}

/* The streams of a green context, and those made while it was current under its other name, cannot
 * be asked about once it is destroyed. It held a reference to a primary context. */
#ifdef REIN_HAS_cuGreenCtxDestroy
CUresult hook_cuGreenCtxDestroy(CUgreenCtx green)
{
	CUcontext names[2] = {(CUcontext)green, NULL};
	rein_need_real();
	if (!green || !rein_shim_on())
		return real.cuGreenCtxDestroy(green);
	if (real.cuCtxFromGreenCtx(&names[1], green) != CUDA_SUCCESS)
		names[1] = NULL;
	pause_queries();
	for (int i = 0; i < 2; i++) {
		if (names[i]) {
			rein_context_leaving(names[i]);
			rein_mark_forget(names[i]);
		}
		rein_point_context_ends(names[i]);
	}
	CUresult r = real.cuGreenCtxDestroy(green);
	for (int i = 0; i < 2; i++) {
		if (names[i] && r == CUDA_SUCCESS)
			rein_context_gone(names[i]);
		else if (names[i])
			rein_context_back(names[i]);
		rein_point_context_over(r == CUDA_SUCCESS ? names[i] : NULL);
	}
	for (CUdevice dev = 0; r == CUDA_SUCCESS && dev < REIN_DEVICES_MAX; dev++)
		if (rein_context_primary(dev, NULL))
			primary_released(dev);
	resume_queries();
	return r;
}
#endif

/* ---------------------------------------------------------------- streams */

static CUresult stream_made(CUresult r, const CUstream *stream, uint64_t scope, bool blocking)
{
	if (r == CUDA_SUCCESS && stream && rein_shim_on()) {
		int saved = errno;
		rein_row_new(*stream, scope, blocking ? REIN_ROW_BLOCKING : 0);
		errno = saved;
	}
	return r;
}

CUresult hook_cuStreamCreate(CUstream *stream, unsigned int flags)
{
	rein_need_real();
	return stream_made(real.cuStreamCreate(stream, flags), stream, 0,
	                   !(flags & CU_STREAM_NON_BLOCKING));
}

CUresult hook_cuStreamCreateWithPriority(CUstream *stream, unsigned int flags, int priority)
{
	rein_need_real();
	return stream_made(real.cuStreamCreateWithPriority(stream, flags, priority), stream, 0,
	                   !(flags & CU_STREAM_NON_BLOCKING));
}

#ifdef REIN_HAS_cuGreenCtxStreamCreate
CUresult hook_cuGreenCtxStreamCreate(CUstream *stream, CUgreenCtx green, unsigned int flags,
                                     int priority)
{
	rein_need_real();
	return stream_made(real.cuGreenCtxStreamCreate(stream, green, flags, priority), stream,
	                   (uint64_t)(uintptr_t)green, false);
}
#endif

static CUresult destroy_stream(CUresult (*destroy)(CUstream), CUstream stream)
{
	if (!rein_shim_on())
		return destroy(stream);
	int saved = errno;
	rein_helper_inhibit();
	struct rein_row *row = rein_row_leaving(stream);
	bool captures = !row && rein_capture_over(stream, 0);
	if (row) {
		rein_slice_ends(row);
		rein_mark_last(row, stream);
	}
	errno = saved;
	CUresult r = destroy(stream);
	saved = errno;
	if (row && r == CUDA_SUCCESS) {
		rein_slice_over(row);
		rein_row_dead(row);
	} else if (row) {
		rein_row_back(row);
	}
	if (captures && r == CUDA_SUCCESS)
		rein_capture_end();
	else if (captures)
		(void)rein_capture_note(stream, 0);
	rein_helper_allow();
	errno = saved;
	return r;
}

CUresult hook_cuStreamDestroy(CUstream stream)
{
	rein_need_real();
	return destroy_stream(real.cuStreamDestroy, stream);
}

CUresult hook_cuStreamDestroy_v2(CUstream stream)
{
	rein_need_real();
	return destroy_stream(real.cuStreamDestroy_v2, stream);
}

CUresult hook_cuStreamSetAttribute(CUstream stream, CUstreamAttrID attr,
                                   const CUstreamAttrValue *value)
{
	rein_need_real();
	rein_slice_whole(stream, 0);
	return real.cuStreamSetAttribute(stream, attr, value);
}

CUresult hook_cuStreamSetAttribute_ptsz(CUstream stream, CUstreamAttrID attr,
                                        const CUstreamAttrValue *value)
{
	rein_need_real();
	rein_slice_whole(stream, REIN_OPT_PER_THREAD);
	return real.cuStreamSetAttribute_ptsz(stream, attr, value);
}

CUresult hook_cuStreamCopyAttributes(CUstream to, CUstream from)
{
	rein_need_real();
	rein_slice_whole(to, 0);
	return real.cuStreamCopyAttributes(to, from);
}

CUresult hook_cuStreamCopyAttributes_ptsz(CUstream to, CUstream from)
{
	rein_need_real();
	rein_slice_whole(to, REIN_OPT_PER_THREAD);
	return real.cuStreamCopyAttributes_ptsz(to, from);
}

/* ---------------------------------------------------------------- captures */

/* The row is made while the stream may still be asked about; the count is raised before the
 * driver call, so that nothing is ever gated or marked on a capturing stream. */
static struct rein_row *capture_begin(CUstream stream, unsigned options)
{
	int saved = errno;
	struct rein_row *row = NULL;
	if (!rein_capture_on(stream, options))
		row = rein_row_of(stream, options);
	if (row && rein_load_relaxed(&row->handle) == REIN_HANDLE_OVERFLOW)
		row = NULL; /* stands for several streams */
	rein_capture_begin();
	rein_helper_inhibit();
	rein_mark_settle();
	rein_slice_capture_begins();
	errno = saved;
	return row;
}

static CUresult capture_begun(struct rein_row *row, CUstream stream, unsigned options, CUresult r)
{
	bool counted = false;
	if (r == CUDA_SUCCESS && row)
		counted = !(rein_or_seqcst(&row->flags, REIN_ROW_CAPTURING) & REIN_ROW_CAPTURING);
	else if (r == CUDA_SUCCESS)
		counted = rein_capture_note(stream, options);
	if (!counted)
		rein_capture_end();
	rein_helper_allow();
	return r;
}

#define BEGIN_CAPTURE(stream, options, call)                                                       \
	do {                                                                                       \
		rein_need_real();                                                                  \
		if (!rein_shim_on())                                                               \
			return call;                                                               \
		struct rein_row *row = capture_begin(stream, options);                             \
		return capture_begun(row, stream, options, call);                                  \
	} while (0)

CUresult hook_cuStreamBeginCapture(CUstream stream)
{
	BEGIN_CAPTURE(stream, 0, real.cuStreamBeginCapture(stream));
}

CUresult hook_cuStreamBeginCapture_ptsz(CUstream stream)
{
	BEGIN_CAPTURE(stream, REIN_OPT_PER_THREAD, real.cuStreamBeginCapture_ptsz(stream));
}

CUresult hook_cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode)
{
	BEGIN_CAPTURE(stream, 0, real.cuStreamBeginCapture_v2(stream, mode));
}

CUresult hook_cuStreamBeginCapture_v2_ptsz(CUstream stream, CUstreamCaptureMode mode)
{
	BEGIN_CAPTURE(stream, REIN_OPT_PER_THREAD, real.cuStreamBeginCapture_v2_ptsz(stream, mode));
}

#ifdef REIN_HAS_cuStreamBeginCaptureToGraph
CUresult hook_cuStreamBeginCaptureToGraph(CUstream stream, CUgraph graph, const CUgraphNode *deps,
                                          const CUgraphEdgeData *data, size_t n,
                                          CUstreamCaptureMode mode)
{
	BEGIN_CAPTURE(stream, 0,
	              real.cuStreamBeginCaptureToGraph(stream, graph, deps, data, n, mode));
}

CUresult hook_cuStreamBeginCaptureToGraph_ptsz(CUstream stream, CUgraph graph,
                                               const CUgraphNode *deps, const CUgraphEdgeData *data,
                                               size_t n, CUstreamCaptureMode mode)
{
	BEGIN_CAPTURE(stream, REIN_OPT_PER_THREAD,
	              real.cuStreamBeginCaptureToGraph_ptsz(stream, graph, deps, data, n, mode));
}
#endif

#ifdef REIN_HAS_cuStreamBeginRecaptureToGraph
CUresult hook_cuStreamBeginRecaptureToGraph(CUstream stream, CUstreamCaptureMode mode,
                                            CUgraph graph, CUgraphRecaptureCallback callback,
                                            void *data)
{
	BEGIN_CAPTURE(stream, 0,
	              real.cuStreamBeginRecaptureToGraph(stream, mode, graph, callback, data));
}

CUresult hook_cuStreamBeginRecaptureToGraph_ptsz(CUstream stream, CUstreamCaptureMode mode,
                                                 CUgraph graph, CUgraphRecaptureCallback callback,
                                                 void *data)
{
	BEGIN_CAPTURE(stream, REIN_OPT_PER_THREAD,
	              real.cuStreamBeginRecaptureToGraph_ptsz(stream, mode, graph, callback, data));
}
#endif

#ifdef REIN_HAS_cuStreamBeginCaptureToCig
CUresult hook_cuStreamBeginCaptureToCig(CUstream stream, CUstreamCigCaptureParams *params)
{
	BEGIN_CAPTURE(stream, 0, real.cuStreamBeginCaptureToCig(stream, params));
}

CUresult hook_cuStreamBeginCaptureToCig_ptsz(CUstream stream, CUstreamCigCaptureParams *params)
{
	BEGIN_CAPTURE(stream, REIN_OPT_PER_THREAD,
	              real.cuStreamBeginCaptureToCig_ptsz(stream, params));
}
#endif

/* Whether this answer of cuStreamEndCapture means that the stream captures no more. */
static bool capture_over(CUresult r)
{
	switch ((int)r) {
	case CUDA_SUCCESS:
	case CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD:
	case CUDA_ERROR_STREAM_CAPTURE_INVALIDATED:
	case CUDA_ERROR_STREAM_CAPTURE_UNJOINED:
		return true;
	default:
		return false;
	}
}

static CUresult capture_ended(CUstream stream, unsigned options, CUresult r)
{
	if (!capture_over(r) || !rein_shim_on())
		return r;
	struct rein_row *row = rein_row_seek(stream, options);
	if ((row && rein_and_seqcst(&row->flags, ~REIN_ROW_CAPTURING) & REIN_ROW_CAPTURING) ||
	    rein_capture_over(stream, options))
		rein_capture_end();
	return r;
}

CUresult hook_cuStreamEndCapture(CUstream stream, CUgraph *graph)
{
	rein_need_real();
	return capture_ended(stream, 0, real.cuStreamEndCapture(stream, graph));
}

CUresult hook_cuStreamEndCapture_ptsz(CUstream stream, CUgraph *graph)
{
	rein_need_real();
	return capture_ended(stream, REIN_OPT_PER_THREAD,
	                     real.cuStreamEndCapture_ptsz(stream, graph));
}

#ifdef REIN_HAS_cuStreamEndCaptureToCig
CUresult hook_cuStreamEndCaptureToCig(CUstream stream)
{
	rein_need_real();
	return capture_ended(stream, 0, real.cuStreamEndCaptureToCig(stream));
}

CUresult hook_cuStreamEndCaptureToCig_ptsz(CUstream stream)
{
	rein_need_real();
	return capture_ended(stream, REIN_OPT_PER_THREAD,
	                     real.cuStreamEndCaptureToCig_ptsz(stream));
}
#endif
