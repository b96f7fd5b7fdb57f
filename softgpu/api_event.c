// SPDX-License-Identifier: Apache-2.0
/* api_event.c: events. Inside a capture they stand for nodes (api_capture.c), else for points in
 * a stream's work. */
#include "api.h"
#include "trace.h"

CUresult sg_event_make(CUcontext ctx, unsigned flags, struct sg_ipc_share *ipc, CUevent *out)
{
	CUresult r = CUDA_SUCCESS;
	CUevent e = calloc(1, sizeof(*e));
	if (!e)
		return CUDA_ERROR_OUT_OF_MEMORY;
	e->ctx = ctx;
	e->flags = flags;
	rein_store_relaxed(&e->refs, 1);
	e->engine = sg_event_new();
	if (!e->engine)
		r = CUDA_ERROR_OUT_OF_MEMORY;
	else if ((flags & CU_EVENT_INTERPROCESS) && !ipc)
		r = sg_ipc_event_make(e);
	if (ipc)
		e->ipc = ipc;
	if (r == CUDA_SUCCESS)
		r = sg_handle_add(e, SG_EVENT);
	if (r != CUDA_SUCCESS) {
		if (ipc)
			e->ipc = NULL; /* stays the caller's */
		sg_event_drop(e);
		return r;
	}
	*out = e;
	return CUDA_SUCCESS;
}

CUresult cuEventCreate(CUevent *phEvent, unsigned int Flags)
{
	CUcontext ctx;
	CUresult r = sg_current(&ctx);
	if (r != CUDA_SUCCESS)
		return r;
	if (!phEvent || (Flags & ~(unsigned)(CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING |
	                                     CU_EVENT_INTERPROCESS)))
		return CUDA_ERROR_INVALID_VALUE;
	if ((Flags & CU_EVENT_INTERPROCESS) && !(Flags & CU_EVENT_DISABLE_TIMING))
		return CUDA_ERROR_INVALID_VALUE;
	return sg_event_make(ctx, Flags, NULL, phEvent);
}

CUresult sg_event_put(CUevent e, struct sg_stream *s)
{
	return e->ipc ? sg_ipc_event_record(e, s) : sg_event_record(e->engine, s);
}

CUresult sg_event_await(CUevent e, struct sg_stream *s)
{
	return e->ipc ? sg_ipc_event_wait(e, s) : sg_stream_wait_event(s, e->engine);
}

void sg_event_drop(CUevent e)
{
	if (rein_add_seqcst(&e->refs, (uint32_t)-1) != 1)
		return;
	if (e->engine)
		sg_event_free(e->engine);
	sg_ipc_event_free(e->ipc);
	free(e->nodes);
	free(e);
}

CUresult cuEventDestroy_v2(CUevent hEvent)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!sg_handle_remove(hEvent, SG_EVENT))
		return CUDA_ERROR_INVALID_HANDLE;
	sg_event_drop(hEvent);
	return CUDA_SUCCESS;
}

CUresult cuEventDestroy(CUevent hEvent)
{
	return cuEventDestroy_v2(hEvent);
}

static CUresult event_check(CUevent e)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	return sg_handle_is(e, SG_EVENT) ? sg_domain_error(e->ctx->domain)
	                                 : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuEventRecordWithFlags(CUevent hEvent, CUstream hStream, unsigned int flags)
{
	CUstream s;
	CUresult r = event_check(hEvent);
	if (r == CUDA_SUCCESS)
		r = sg_stream_get(hStream, &s);
	if (r != CUDA_SUCCESS)
		return r;
	if (flags & ~(unsigned)CU_EVENT_RECORD_EXTERNAL)
		return CUDA_ERROR_INVALID_VALUE;
	if (s->ctx != hEvent->ctx)
		return CUDA_ERROR_INVALID_HANDLE;
	sg_lock();
	if (flags & CU_EVENT_RECORD_EXTERNAL) {
		struct sg_op op = {.kind = SG_OP_RECORD, .ctx = s->ctx, .event = hEvent};
		r = s->capture ? sg_capture_op(s, &op) : CUDA_ERROR_ILLEGAL_STATE;
	} else {
		r = sg_capture_record(s, hEvent);
	}
	sg_unlock();
	if (r == CUDA_ERROR_NOT_READY)
		return CUDA_SUCCESS; /* part of the capture now */
	return r == CUDA_SUCCESS ? sg_event_put(hEvent, s->engine) : r;
}

CUresult cuEventRecordWithFlags_ptsz(CUevent hEvent, CUstream hStream, unsigned int flags)
{
	return cuEventRecordWithFlags(hEvent, SG_PT(hStream), flags);
}

CUresult cuEventRecord(CUevent hEvent, CUstream hStream)
{
	return SG_CALL(cuEventRecord,
	               cuEventRecordWithFlags(hEvent, hStream, CU_EVENT_RECORD_DEFAULT), hEvent,
	               hStream);
}

CUresult cuEventRecord_ptsz(CUevent hEvent, CUstream hStream)
{
	return SG_CALL(cuEventRecord_ptsz,
	               cuEventRecordWithFlags(hEvent, SG_PT(hStream), CU_EVENT_RECORD_DEFAULT),
	               hEvent, hStream);
}

static CUresult wait_event(CUstream hStream, CUevent hEvent, unsigned int Flags)
{
	CUstream s;
	CUresult r = event_check(hEvent);
	if (r == CUDA_SUCCESS)
		r = sg_stream_get(hStream, &s);
	if (r != CUDA_SUCCESS)
		return r;
	if (Flags & ~(unsigned)CU_EVENT_WAIT_EXTERNAL)
		return CUDA_ERROR_INVALID_VALUE;
	sg_lock();
	if (Flags & CU_EVENT_WAIT_EXTERNAL) {
		struct sg_op op = {.kind = SG_OP_WAIT, .ctx = s->ctx, .event = hEvent};
		r = s->capture ? sg_capture_op(s, &op) : CUDA_ERROR_ILLEGAL_STATE;
	} else {
		r = sg_capture_wait(s, hEvent);
	}
	sg_unlock();
	if (r == CUDA_ERROR_NOT_READY)
		return CUDA_SUCCESS;
	return r == CUDA_SUCCESS ? sg_event_await(hEvent, s->engine) : r;
}

CUresult cuStreamWaitEvent(CUstream hStream, CUevent hEvent, unsigned int Flags)
{
	return SG_CALL(cuStreamWaitEvent, wait_event(hStream, hEvent, Flags), hStream, hEvent,
	               Flags);
}

CUresult cuStreamWaitEvent_ptsz(CUstream hStream, CUevent hEvent, unsigned int Flags)
{
	return SG_CALL(cuStreamWaitEvent_ptsz, wait_event(SG_PT(hStream), hEvent, Flags), hStream,
	               hEvent, Flags);
}

/* Asking after an event's completion: not one that stands for a node (`captured` is what a real
 * driver says then, 580 not the same to a query and to a wait; its capture is invalid after the
 * two), and not where the capture mode prohibits it. */
static CUresult begin_wait(CUevent e, CUresult captured)
{
	CUresult r = event_check(e);
	if (r != CUDA_SUCCESS)
		return r;
	sg_lock();
	if (sg_capture_asked(e))
		r = captured;
	sg_unlock();
	return r == CUDA_SUCCESS ? sg_unsafe() : r;
}

CUresult cuEventQuery(CUevent hEvent)
{
	CUresult r = begin_wait(hEvent, CUDA_ERROR_CAPTURED_EVENT);
	if (r != CUDA_SUCCESS)
		return r;
	return hEvent->ipc ? sg_ipc_event_query(hEvent) : sg_event_query(hEvent->engine);
}

static CUresult synchronize(CUevent e)
{
	CUresult r = begin_wait(e, CUDA_ERROR_INVALID_VALUE);
	if (r != CUDA_SUCCESS)
		return r;
	return e->ipc ? sg_ipc_event_sync(e) : sg_event_sync(e->engine);
}

CUresult cuEventSynchronize(CUevent hEvent)
{
	return SG_CALL(cuEventSynchronize, synchronize(hEvent), hEvent);
}

CUresult cuEventElapsedTime_v2(float *pMilliseconds, CUevent hStart, CUevent hEnd)
{
	double ms;
	CUresult r = event_check(hStart);
	if (r == CUDA_SUCCESS)
		r = event_check(hEnd);
	if (r != CUDA_SUCCESS)
		return r;
	if (!pMilliseconds)
		return CUDA_ERROR_INVALID_VALUE;
	if (hStart->ctx != hEnd->ctx || ((hStart->flags | hEnd->flags) & CU_EVENT_DISABLE_TIMING))
		return CUDA_ERROR_INVALID_HANDLE;
	sg_lock();
	if (hStart->capture_id || hEnd->capture_id)
		r = CUDA_ERROR_INVALID_HANDLE;
	sg_unlock();
	if (r == CUDA_SUCCESS)
		r = sg_event_elapsed(hStart->engine, hEnd->engine, &ms);
	if (r == CUDA_SUCCESS)
		*pMilliseconds = (float)ms;
	return r;
}

CUresult cuEventElapsedTime(float *pMilliseconds, CUevent hStart, CUevent hEnd)
{
	return cuEventElapsedTime_v2(pMilliseconds, hStart, hEnd);
}
