// SPDX-License-Identifier: Apache-2.0
/* api_stream.c: streams: making, asking, waiting, callbacks. Capture is in api_capture.c. */
#include "api.h"
#include "trace.h"

#include <string.h>

CUresult sg_stream_make(CUcontext ctx, CUgreenCtx green, unsigned flags, int priority,
                        CUstream *out)
{
	if (priority > SG_PRIORITY_LEAST)
		priority = SG_PRIORITY_LEAST;
	if (priority < SG_PRIORITY_GREATEST)
		priority = SG_PRIORITY_GREATEST;
	CUstream s = calloc(1, sizeof(*s));
	if (!s)
		return CUDA_ERROR_OUT_OF_MEMORY;
	s->ctx = ctx;
	s->ctx_id = ctx->id;
	s->flags = flags;
	s->green = green;
	CUresult r = sg_stream_new_in(ctx->domain, green ? green->face.legacy.engine : NULL,
	                              flags & CU_STREAM_NON_BLOCKING ? SG_STREAM_NONBLOCKING
	                                                             : SG_STREAM_BLOCKING,
	                              priority, &s->engine);
	if (r == CUDA_SUCCESS) {
		r = sg_handle_add(s, SG_STREAM);
		if (r != CUDA_SUCCESS)
			sg_stream_free(s->engine);
	}
	if (r != CUDA_SUCCESS) {
		free(s);
		return r;
	}
	*out = s;
	return CUDA_SUCCESS;
}

static CUresult create(CUstream *phStream, unsigned flags, int priority)
{
	CUcontext ctx;
	CUresult r = sg_current(&ctx);
	if (r != CUDA_SUCCESS)
		return r;
	if (!phStream || (flags & ~(unsigned)CU_STREAM_NON_BLOCKING))
		return CUDA_ERROR_INVALID_VALUE;
	return sg_stream_make(ctx, sg_top()->green, flags, priority, phStream);
}

CUresult cuStreamCreate(CUstream *phStream, unsigned int Flags)
{
	return create(phStream, Flags, SG_PRIORITY_LEAST);
}

CUresult cuStreamCreateWithPriority(CUstream *phStream, unsigned int flags, int priority)
{
	return create(phStream, flags, priority);
}

void sg_stream_drop(CUstream s)
{
	sg_lock();
	sg_capture_drop_stream(s);
	sg_unlock();
	sg_stream_free(s->engine);
	free(s->hints);
	free(s);
}

/* Returns at once; the stream's work still runs to its end. */
CUresult cuStreamDestroy_v2(CUstream hStream)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	/* CUDA: those of a destroyed green context can no longer be destroyed */
	if (sg_handle_is(hStream, SG_STREAM) && hStream->green && !sg_green_alive(hStream->green))
		return CUDA_ERROR_CONTEXT_IS_DESTROYED;
	if (!sg_handle_remove(hStream, SG_STREAM))
		return CUDA_ERROR_INVALID_HANDLE;
	sg_stream_drop(hStream);
	return CUDA_SUCCESS;
}

CUresult cuStreamDestroy(CUstream hStream)
{
	return cuStreamDestroy_v2(hStream);
}

/* Asking after a stream's progress: no capture may be in the way. */
static CUresult begin_wait(CUstream handle, CUstream *s)
{
	CUresult r = sg_stream_get(handle, s);
	if (r != CUDA_SUCCESS)
		return r;
	sg_lock();
	r = sg_capture_forbid(*s);
	sg_unlock();
	return r == CUDA_SUCCESS ? sg_unsafe() : r;
}

CUresult cuStreamQuery(CUstream hStream)
{
	CUstream s;
	CUresult r = begin_wait(hStream, &s);
	return r == CUDA_SUCCESS ? sg_stream_query(s->engine) : r;
}

CUresult cuStreamQuery_ptsz(CUstream hStream)
{
	return cuStreamQuery(SG_PT(hStream));
}

static CUresult synchronize(CUstream stream)
{
	CUstream s;
	CUresult r = begin_wait(stream, &s);
	return r == CUDA_SUCCESS ? sg_stream_sync(s->engine) : r;
}

CUresult cuStreamSynchronize(CUstream hStream)
{
	return SG_CALL(cuStreamSynchronize, synchronize(hStream), hStream);
}

CUresult cuStreamSynchronize_ptsz(CUstream hStream)
{
	return SG_CALL(cuStreamSynchronize_ptsz, synchronize(SG_PT(hStream)), hStream);
}

CUresult cuStreamAddCallback(CUstream hStream, CUstreamCallback callback, void *userData,
                             unsigned int flags)
{
	CUstream s;
	CUresult r = sg_stream_get(hStream, &s);
	if (r != CUDA_SUCCESS)
		return r;
	if (!callback || flags != 0)
		return CUDA_ERROR_INVALID_VALUE;
	sg_lock();
	r = sg_capture_forbid(s);
	sg_unlock();
	if (r != CUDA_SUCCESS)
		return r;
	struct sg_op op = {.kind = SG_OP_HOST,
	                   .ctx = s->ctx,
	                   .host = {.callback = callback, .stream = hStream, .data = userData}};
	return sg_issue(s, &op, false);
}

CUresult cuStreamAddCallback_ptsz(CUstream hStream, CUstreamCallback callback, void *userData,
                                  unsigned int flags)
{
	return cuStreamAddCallback(SG_PT(hStream), callback, userData, flags);
}

CUresult cuStreamAttachMemAsync(CUstream hStream, CUdeviceptr dptr, size_t length,
                                unsigned int flags)
{
	CUstream s;
	struct sg_range range;
	CUresult r = sg_stream_get(hStream, &s);
	if (r != CUDA_SUCCESS)
		return r;
	if (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST &&
	    flags != CU_MEM_ATTACH_SINGLE)
		return CUDA_ERROR_INVALID_VALUE;
	if (!sg_range_find(dptr, &range) || range.kind != SG_MEMORY_MANAGED ||
	    (length && length != range.size))
		return CUDA_ERROR_INVALID_VALUE;
	/* host and kernels see one memory whatever it is attached to: only the order is kept */
	struct sg_op op = {.kind = SG_OP_EMPTY, .ctx = s->ctx};
	return sg_issue(s, &op, false);
}

CUresult cuStreamAttachMemAsync_ptsz(CUstream hStream, CUdeviceptr dptr, size_t length,
                                     unsigned int flags)
{
	return cuStreamAttachMemAsync(SG_PT(hStream), dptr, length, flags);
}

/* ---- questions */

CUresult cuStreamGetFlags(CUstream hStream, unsigned int *flags)
{
	CUstream s;
	CUresult r = sg_stream_get(hStream, &s);
	if (r != CUDA_SUCCESS)
		return r;
	if (!flags)
		return CUDA_ERROR_INVALID_VALUE;
	*flags = s->flags;
	return CUDA_SUCCESS;
}

CUresult cuStreamGetFlags_ptsz(CUstream hStream, unsigned int *flags)
{
	return cuStreamGetFlags(SG_PT(hStream), flags);
}

CUresult cuStreamGetPriority(CUstream hStream, int *priority)
{
	CUstream s;
	CUresult r = sg_stream_get(hStream, &s);
	if (r != CUDA_SUCCESS)
		return r;
	if (!priority)
		return CUDA_ERROR_INVALID_VALUE;
	*priority = sg_stream_priority(s->engine);
	return CUDA_SUCCESS;
}

CUresult cuStreamGetPriority_ptsz(CUstream hStream, int *priority)
{
	return cuStreamGetPriority(SG_PT(hStream), priority);
}

CUresult cuStreamGetId(CUstream hStream, unsigned long long *streamId)
{
	CUstream s;
	CUresult r = sg_stream_get(hStream, &s);
	if (r != CUDA_SUCCESS)
		return r;
	if (!streamId)
		return CUDA_ERROR_INVALID_VALUE;
	*streamId = sg_stream_id(s->engine);
	return CUDA_SUCCESS;
}

CUresult cuStreamGetId_ptsz(CUstream hStream, unsigned long long *streamId)
{
	return cuStreamGetId(SG_PT(hStream), streamId);
}

CUresult cuStreamGetDevice(CUstream hStream, CUdevice *device)
{
	CUstream s;
	CUresult r = sg_stream_get(hStream, &s);
	if (r != CUDA_SUCCESS)
		return r;
	if (!device)
		return CUDA_ERROR_INVALID_VALUE;
	*device = s->ctx->device;
	return CUDA_SUCCESS;
}

CUresult cuStreamGetDevice_ptsz(CUstream hStream, CUdevice *device)
{
	return cuStreamGetDevice(SG_PT(hStream), device);
}

CUresult cuStreamGetCtx(CUstream hStream, CUcontext *pctx)
{
	CUstream s;
	CUresult r = sg_stream_get(hStream, &s);
	if (r != CUDA_SUCCESS)
		return r;
	if (!pctx)
		return CUDA_ERROR_INVALID_VALUE;
	*pctx = s->green ? &s->green->face : s->ctx;
	return CUDA_SUCCESS;
}

CUresult cuStreamGetCtx_ptsz(CUstream hStream, CUcontext *pctx)
{
	return cuStreamGetCtx(SG_PT(hStream), pctx);
}

CUresult cuStreamGetCtx_v2(CUstream hStream, CUcontext *pCtx, CUgreenCtx *pGreenCtx)
{
	CUstream s;
	CUresult r = sg_stream_get(hStream, &s);
	if (r != CUDA_SUCCESS)
		return r;
	if (!pCtx || !pGreenCtx)
		return CUDA_ERROR_INVALID_VALUE;
	*pCtx = s->ctx;
	*pGreenCtx = s->green;
	return CUDA_SUCCESS;
}

CUresult cuStreamGetCtx_v2_ptsz(CUstream hStream, CUcontext *pCtx, CUgreenCtx *pGreenCtx)
{
	return cuStreamGetCtx_v2(SG_PT(hStream), pCtx, pGreenCtx);
}
