// SPDX-License-Identifier: Apache-2.0
/*
 * api_green.c: green contexts: a primary context seen through a part of its device's SMs. api.h
 * says what belongs to whom; the engine's slices (slice.c) confine the work. Here are also the
 * events of whole contexts, green or not.
 */
#include "api.h"

#define DEVICE_BYTES (5600u << 10) /* slices.memory_bytes in results/h200-580.159.04-2026-11-20 */

bool sg_green_alive(CUgreenCtx g)
{
	return rein_load_acquire(&g->alive) && rein_load_acquire(&g->primary->alive) &&
	       g->primary->id == g->primary_id;
}

static CUresult green_check(CUgreenCtx g)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!g || !sg_handle_is(g, SG_GREEN))
		return CUDA_ERROR_INVALID_CONTEXT;
	return sg_green_alive(g) ? CUDA_SUCCESS : CUDA_ERROR_CONTEXT_IS_DESTROYED;
}

/* ---- life */

/* Enters g and its face; the slice is made last, so that nothing is to be undone after it. */
static CUresult start(CUgreenCtx g)
{
	CUresult r = sg_handle_add(g, SG_GREEN);
	if (r != CUDA_SUCCESS)
		return r;
	r = sg_handle_add(&g->face, SG_CONTEXT);
	if (r == CUDA_SUCCESS) {
		r = sg_slice_new(g->primary->domain, &g->sms, &g->face.legacy.engine);
		if (r != CUDA_SUCCESS)
			sg_handle_remove(&g->face, SG_CONTEXT);
	}
	if (r != CUDA_SUCCESS)
		sg_handle_remove(g, SG_GREEN);
	return r;
}

static CUresult make(CUcontext primary, const struct CUdevResourceDesc_st *desc, CUgreenCtx *out)
{
	CUgreenCtx g = calloc(1, sizeof(*g));
	if (!g)
		return CUDA_ERROR_OUT_OF_MEMORY;
	CUresult r = sg_arena_charge(primary->device, DEVICE_BYTES);
	if (r != CUDA_SUCCESS) {
		free(g);
		return r;
	}
	g->primary = primary;
	g->primary_id = primary->id;
	g->id = sg_context_id();
	g->sms = desc->sms;
	g->face.device = primary->device;
	g->face.green = g;
	g->face.id = g->id;
	g->face.legacy = (struct CUstream_st){.ctx = primary, .ctx_id = primary->id, .green = g};
	rein_store_release(&g->face.alive, 1);
	rein_store_release(&g->alive, 1);
	r = start(g);
	if (r == CUDA_SUCCESS) {
		*out = g;
	} else {
		sg_arena_refund(primary->device, DEVICE_BYTES);
		free(g);
	}
	return r;
}

CUresult cuGreenCtxCreate(CUgreenCtx *phCtx, CUdevResourceDesc desc, CUdevice dev,
                          unsigned int flags)
{
	CUcontext primary;
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!sg_device_ok(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	if (!phCtx || flags != CU_GREEN_CTX_DEFAULT_STREAM || !sg_handle_is(desc, SG_DESC) ||
	    desc->device != dev)
		return CUDA_ERROR_INVALID_VALUE;
	r = cuDevicePrimaryCtxRetain(&primary, dev);
	if (r != CUDA_SUCCESS)
		return r;
	r = make(primary, desc, phCtx);
	if (r != CUDA_SUCCESS)
		cuDevicePrimaryCtxRelease_v2(dev);
	return r;
}

/* Returns at once; work of its streams runs to its end, on its SMs. The object stays, so that the
 * streams that the application did not destroy say what happened. */
CUresult cuGreenCtxDestroy(CUgreenCtx hCtx)
{
	CUresult r = green_check(hCtx);
	if (r != CUDA_SUCCESS)
		return r;
	uint32_t alive = 1;
	if (!rein_cas(&hCtx->alive, &alive, 0))
		return CUDA_ERROR_CONTEXT_IS_DESTROYED;
	if (sg_top() == &hCtx->face)
		cuCtxPopCurrent_v2(NULL);
	sg_lock();
	sg_capture_drop_stream(&hCtx->face.legacy);
	sg_unlock();
	sg_slice_free(hCtx->face.legacy.engine);
	sg_arena_refund(hCtx->primary->device, DEVICE_BYTES);
	return cuDevicePrimaryCtxRelease_v2(hCtx->primary->device);
}

CUresult cuCtxFromGreenCtx(CUcontext *pContext, CUgreenCtx hCtx)
{
	CUresult r = green_check(hCtx);
	if (r != CUDA_SUCCESS)
		return r;
	if (!pContext)
		return CUDA_ERROR_INVALID_VALUE;
	*pContext = &hCtx->face;
	return CUDA_SUCCESS;
}

/* ---- questions */

CUresult cuGreenCtxGetId(CUgreenCtx greenCtx, unsigned long long *greenCtxId)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	CUcontext top = sg_top();
	if (!greenCtx)
		greenCtx = top ? top->green : NULL;
	r = green_check(greenCtx);
	if (r != CUDA_SUCCESS)
		return r;
	if (!greenCtxId)
		return CUDA_ERROR_INVALID_VALUE;
	*greenCtxId = greenCtx->id;
	return CUDA_SUCCESS;
}

CUresult cuGreenCtxGetDevResource(CUgreenCtx hCtx, CUdevResource *resource, CUdevResourceType type)
{
	CUresult r = green_check(hCtx);
	if (r != CUDA_SUCCESS)
		return r;
	if (!resource)
		return CUDA_ERROR_INVALID_VALUE;
	if (type != CU_DEV_RESOURCE_TYPE_SM)
		return CUDA_ERROR_INVALID_RESOURCE_TYPE;
	sg_resource_put(resource, hCtx->primary->device, &hCtx->sms, 0);
	return CUDA_SUCCESS;
}

CUresult cuCtxGetDevResource(CUcontext hCtx, CUdevResource *resource, CUdevResourceType type)
{
	CUresult r = sg_ready();
	if (r == CUDA_SUCCESS)
		r = hCtx ? sg_context_check(hCtx) : sg_current(&hCtx);
	if (r != CUDA_SUCCESS)
		return r;
	if (hCtx->green)
		return cuGreenCtxGetDevResource(hCtx->green, resource, type);
	return cuDeviceGetDevResource(hCtx->device, resource, type);
}

CUresult cuStreamGetGreenCtx(CUstream hStream, CUgreenCtx *phCtx)
{
	CUstream s;
	CUresult r = sg_stream_get(hStream, &s);
	if (r != CUDA_SUCCESS)
		return r;
	if (!phCtx)
		return CUDA_ERROR_INVALID_VALUE;
	*phCtx = s->green;
	return CUDA_SUCCESS;
}

CUresult cuGreenCtxStreamCreate(CUstream *phStream, CUgreenCtx greenCtx, unsigned int flags,
                                int priority)
{
	CUresult r = green_check(greenCtx);
	if (r != CUDA_SUCCESS)
		return r;
	if (!phStream || flags != CU_STREAM_NON_BLOCKING)
		return CUDA_ERROR_INVALID_VALUE;
	return sg_stream_make(greenCtx->primary, greenCtx, flags, priority, phStream);
}

/* ---- events of all work of a context */

static CUresult event_check(CUevent e, bool wait, CUcontext ctx)
{
	if (!sg_handle_is(e, SG_EVENT) || (!wait && e->ctx != ctx))
		return CUDA_ERROR_INVALID_HANDLE;
	if (e->ipc)
		return sg_missing("an interprocess event for all work of a context");
	sg_lock();
	CUresult r = sg_capture_forbid_context(ctx);
	if (r == CUDA_SUCCESS && e->capture_id && wait)
		r = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	sg_unlock();
	return r;
}

static CUresult record(CUcontext ctx, struct sg_stream *slice, CUevent e)
{
	CUresult r = event_check(e, false, ctx);
	if (r != CUDA_SUCCESS)
		return r;
	sg_lock();
	e->capture_id = 0; /* it stands for work now, no longer for nodes */
	sg_unlock();
	return sg_slice_record(ctx->domain, slice, e->engine);
}

static CUresult wait(CUcontext ctx, struct sg_stream *slice, CUevent e)
{
	CUresult r = event_check(e, true, ctx);
	return r == CUDA_SUCCESS ? sg_slice_wait(ctx->domain, slice, e->engine) : r;
}

CUresult cuGreenCtxRecordEvent(CUgreenCtx hCtx, CUevent hEvent)
{
	CUresult r = green_check(hCtx);
	return r == CUDA_SUCCESS ? record(hCtx->primary, hCtx->face.legacy.engine, hEvent) : r;
}

CUresult cuGreenCtxWaitEvent(CUgreenCtx hCtx, CUevent hEvent)
{
	CUresult r = green_check(hCtx);
	return r == CUDA_SUCCESS ? wait(hCtx->primary, hCtx->face.legacy.engine, hEvent) : r;
}

CUresult cuCtxRecordEvent(CUcontext hCtx, CUevent hEvent)
{
	CUresult r = sg_ready();
	if (r == CUDA_SUCCESS)
		r = sg_context_check(hCtx);
	if (r != CUDA_SUCCESS)
		return r;
	return record(sg_context_whole(hCtx), hCtx->green ? hCtx->legacy.engine : NULL, hEvent);
}

CUresult cuCtxWaitEvent(CUcontext hCtx, CUevent hEvent)
{
	CUresult r = sg_ready();
	if (r == CUDA_SUCCESS)
		r = sg_context_check(hCtx);
	if (r != CUDA_SUCCESS)
		return r;
	return wait(sg_context_whole(hCtx), hCtx->green ? hCtx->legacy.engine : NULL, hEvent);
}
