// SPDX-License-Identifier: Apache-2.0
/*
 * api_context.c: contexts: making, ending, and the calling thread's stack of them.
 *
 * A context object is never freed: what other threads' stacks still name must stay recognisable
 * as destroyed. All of its contents are freed.
 */
#include "api_array.h"

#include <string.h>
#include <unistd.h>

#include "rm_double.h"

#define ENDING_POLL_US 50

uint64_t sg_context_id(void)
{
	static rein_a64 next_id = 1;
	return rein_add_relaxed(&next_id, 1);
}

static const size_t default_limits[CU_LIMIT_MAX] = {
    [CU_LIMIT_STACK_SIZE] = 1024,
    [CU_LIMIT_PRINTF_FIFO_SIZE] = 1 << 20,
    [CU_LIMIT_MALLOC_HEAP_SIZE] = 8 << 20,
    [CU_LIMIT_DEV_RUNTIME_SYNC_DEPTH] = 2,
    [CU_LIMIT_DEV_RUNTIME_PENDING_LAUNCH_COUNT] = 2048,
    [CU_LIMIT_MAX_L2_FETCH_GRANULARITY] = 64,
};

/* A context object without contents, entered in the registry. */
static CUcontext context_new(int device)
{
	CUcontext ctx = calloc(1, sizeof(*ctx));
	if (!ctx)
		return NULL;
	ctx->device = device;
	ctx->api_version = 3020;
	ctx->legacy.ctx = ctx;
	sg_memory_init(ctx);
	if (sg_handle_add(ctx, SG_CONTEXT) != CUDA_SUCCESS) {
		free(ctx);
		return NULL;
	}
	return ctx;
}

/* Gives ctx its contents and a new identity. */
static CUresult context_start(CUcontext ctx, unsigned flags)
{
	CUresult r = sg_domain_new(ctx->device, &ctx->domain);
	if (r != CUDA_SUCCESS)
		return r;
	ctx->flags = flags;
	ctx->id = sg_context_id();
	ctx->legacy.ctx_id = ctx->id;
	ctx->legacy.engine = sg_domain_legacy(ctx->domain);
	memcpy(ctx->limits, default_limits, sizeof(ctx->limits));
	sg_rm_announce(ctx->device);
	rein_store_release(&ctx->alive, 1);
	return CUDA_SUCCESS;
}

/* Ends what `alive` (cleared by the caller) kept others from: waits for the work, frees all. */
static void context_finish(CUcontext ctx)
{
	size_t n;
	sg_domain_end(ctx->domain);
	CUresult ignored = sg_domain_sync(ctx->domain);
	(void)ignored;
	sg_libraries_forget(ctx);
	void **list = sg_handle_list(SG_STREAM, &n);
	for (size_t i = 0; i < n; i++) {
		CUstream s = list[i];
		if (s->ctx == ctx && sg_handle_remove(s, SG_STREAM))
			sg_stream_drop(s);
	}
	free(list);
	list = sg_handle_list(SG_EVENT, &n);
	for (size_t i = 0; i < n; i++) {
		CUevent e = list[i];
		if (e->ctx == ctx && sg_handle_remove(e, SG_EVENT))
			sg_event_drop(e);
	}
	free(list);
	list = sg_handle_list(SG_MODULE, &n);
	for (size_t i = 0; i < n; i++) {
		CUmodule m = list[i];
		if (m->ctx == ctx && sg_handle_remove(m, SG_MODULE))
			sg_module_drop(m);
	}
	free(list);
	sg_textures_forget(ctx);
	sg_arrays_forget(ctx);
	sg_domain_free(ctx->domain);
	free(ctx->legacy.hints);
	ctx->legacy.hints = NULL;
	sg_range_remove_of(ctx);
	sg_lock();
	ctx->domain = NULL; /* a primary context may be started again */
	sg_unlock();
}

/* ---- the thread's stack */

static CUresult push(CUcontext ctx)
{
	struct sg_thread *t = sg_thread();
	if (!t)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (t->n == t->room) {
		size_t room = t->room ? 2 * t->room : 8;
		CUcontext *grown = realloc(t->stack, room * sizeof(*grown));
		if (!grown)
			return CUDA_ERROR_OUT_OF_MEMORY;
		t->stack = grown;
		t->room = room;
	}
	t->stack[t->n++] = ctx;
	return CUDA_SUCCESS;
}

static CUresult pop(CUcontext *out)
{
	struct sg_thread *t = sg_thread();
	if (!t)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (t->n == 0)
		return CUDA_ERROR_INVALID_CONTEXT;
	t->n--;
	if (out)
		*out = t->stack[t->n];
	return CUDA_SUCCESS;
}

CUresult cuCtxPushCurrent_v2(CUcontext ctx)
{
	CUresult r = sg_ready();
	if (r == CUDA_SUCCESS)
		r = ctx ? sg_context_check(ctx) : CUDA_ERROR_INVALID_VALUE;
	return r == CUDA_SUCCESS ? push(ctx) : r;
}

CUresult cuCtxPushCurrent(CUcontext ctx)
{
	return cuCtxPushCurrent_v2(ctx);
}

CUresult cuCtxPopCurrent_v2(CUcontext *pctx)
{
	CUresult r = sg_ready();
	return r == CUDA_SUCCESS ? pop(pctx) : r;
}

CUresult cuCtxPopCurrent(CUcontext *pctx)
{
	return cuCtxPopCurrent_v2(pctx);
}

CUresult cuCtxSetCurrent(CUcontext ctx)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!ctx) {
		pop(NULL); /* an empty stack stays empty */
		return CUDA_SUCCESS;
	}
	r = sg_context_check(ctx);
	/* the CUDA 13.0 runtime makes a primary context current first and retains it then */
	if (r != CUDA_SUCCESS && !(r == CUDA_ERROR_CONTEXT_IS_DESTROYED && ctx->primary))
		return r;
	struct sg_thread *t = sg_thread();
	if (!t)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (t->n == 0)
		return push(ctx);
	t->stack[t->n - 1] = ctx;
	return CUDA_SUCCESS;
}

CUresult cuCtxGetCurrent(CUcontext *pctx)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!pctx)
		return CUDA_ERROR_INVALID_VALUE;
	*pctx = sg_top();
	return CUDA_SUCCESS;
}

/* ---- own contexts */

static CUresult create(CUcontext *pctx, unsigned flags, CUdevice dev, unsigned api_version)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!pctx || (flags & ~(unsigned)CU_CTX_FLAGS_MASK) ||
	    __builtin_popcount(flags & CU_CTX_SCHED_MASK) > 1)
		return CUDA_ERROR_INVALID_VALUE;
	if (!sg_device_ok(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	CUcontext ctx = context_new(dev);
	if (!ctx)
		return CUDA_ERROR_OUT_OF_MEMORY;
	ctx->api_version = api_version;
	r = context_start(ctx, flags);
	if (r == CUDA_SUCCESS)
		r = push(ctx);
	if (r == CUDA_SUCCESS)
		*pctx = ctx;
	return r;
}

CUresult cuCtxCreate(CUcontext *pctx, unsigned int flags, CUdevice dev)
{
	return create(pctx, flags, dev, 3010);
}

CUresult cuCtxCreate_v2(CUcontext *pctx, unsigned int flags, CUdevice dev)
{
	return create(pctx, flags, dev, 3020);
}

CUresult cuCtxCreate_v3(CUcontext *pctx, CUexecAffinityParam *paramsArray, int numParams,
                        unsigned int flags, CUdevice dev)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (numParams != 0 || paramsArray)
		return sg_missing("cuCtxCreate_v3 with execution affinity");
	return create(pctx, flags, dev, 3020);
}

CUresult cuCtxCreate_v4(CUcontext *pctx, CUctxCreateParams *ctxCreateParams, unsigned int flags,
                        CUdevice dev)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (ctxCreateParams && ctxCreateParams->numExecAffinityParams)
		return sg_missing("cuCtxCreate_v4 with execution affinity");
	if (ctxCreateParams && ctxCreateParams->cigParams)
		return sg_missing("cuCtxCreate_v4 with CIG parameters");
	return create(pctx, flags, dev, 3020);
}

CUresult cuCtxDestroy_v2(CUcontext ctx)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!ctx)
		return CUDA_ERROR_INVALID_VALUE;
	r = sg_context_check(ctx);
	if (r != CUDA_SUCCESS)
		return r;
	if (ctx->primary || ctx->green)
		return CUDA_ERROR_INVALID_CONTEXT;
	uint32_t alive = 1;
	if (!rein_cas(&ctx->alive, &alive, 0))
		return CUDA_ERROR_CONTEXT_IS_DESTROYED;
	if (sg_top() == ctx)
		pop(NULL);
	context_finish(ctx);
	return CUDA_SUCCESS;
}

CUresult cuCtxDestroy(CUcontext ctx)
{
	return cuCtxDestroy_v2(ctx);
}

/* ---- primary contexts, one per device */

static CUcontext primaries[64];
static unsigned primary_flags[64];

bool sg_device_ok(CUdevice dev)
{
	return dev >= 0 && dev < (int)sg_the_model()->n_devices &&
	       dev < (int)REIN_ARRAY_LEN(primaries);
}

CUcontext sg_primary(int device)
{
	if (!primaries[device]) {
		CUcontext ctx = context_new(device);
		if (ctx)
			ctx->primary = true;
		primaries[device] = ctx;
	}
	return primaries[device];
}

static CUresult primary_check(CUdevice dev)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	return sg_device_ok(dev) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *pctx, CUdevice dev)
{
	CUresult r = primary_check(dev);
	if (r != CUDA_SUCCESS)
		return r;
	if (!pctx)
		return CUDA_ERROR_INVALID_VALUE;
	sg_lock();
	CUcontext ctx = sg_primary(dev);
	while (ctx && !ctx->retained && ctx->domain) { /* another thread is ending it */
		sg_unlock();
		usleep(ENDING_POLL_US);
		sg_lock();
	}
	if (!ctx)
		r = CUDA_ERROR_OUT_OF_MEMORY;
	else if (!ctx->retained)
		r = context_start(ctx, primary_flags[dev]);
	if (r == CUDA_SUCCESS) {
		ctx->retained++;
		*pctx = ctx;
	}
	sg_unlock();
	return r;
}

static CUresult primary_release(CUdevice dev, bool reset)
{
	CUresult r = primary_check(dev);
	if (r != CUDA_SUCCESS)
		return r;
	bool last = false;
	sg_lock();
	CUcontext ctx = sg_primary(dev);
	if (!ctx) {
		r = CUDA_ERROR_OUT_OF_MEMORY;
	} else if (!ctx->retained) {
		r = reset ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
	} else {
		ctx->retained = reset ? 0 : ctx->retained - 1;
		last = ctx->retained == 0;
		if (last)
			rein_store_release(&ctx->alive, 0);
	}
	sg_unlock();
	if (last)
		context_finish(ctx);
	return r;
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice dev)
{
	return primary_release(dev, false);
}

CUresult cuDevicePrimaryCtxRelease(CUdevice dev)
{
	return primary_release(dev, false);
}

CUresult cuDevicePrimaryCtxReset_v2(CUdevice dev)
{
	return primary_release(dev, true);
}

CUresult cuDevicePrimaryCtxReset(CUdevice dev)
{
	return primary_release(dev, true);
}

CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice dev, unsigned int flags)
{
	CUresult r = primary_check(dev);
	if (r != CUDA_SUCCESS)
		return r;
	if ((flags & ~(unsigned)CU_CTX_FLAGS_MASK) ||
	    __builtin_popcount(flags & CU_CTX_SCHED_MASK) > 1)
		return CUDA_ERROR_INVALID_VALUE;
	sg_lock();
	primary_flags[dev] = flags;
	if (primaries[dev] && primaries[dev]->retained)
		primaries[dev]->flags = flags;
	sg_unlock();
	return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxSetFlags(CUdevice dev, unsigned int flags)
{
	return cuDevicePrimaryCtxSetFlags_v2(dev, flags);
}

CUresult cuDevicePrimaryCtxGetState(CUdevice dev, unsigned int *flags, int *active)
{
	CUresult r = primary_check(dev);
	if (r != CUDA_SUCCESS)
		return r;
	if (!flags || !active)
		return CUDA_ERROR_INVALID_VALUE;
	sg_lock();
	*flags = primary_flags[dev];
	*active = primaries[dev] && primaries[dev]->retained;
	sg_unlock();
	return CUDA_SUCCESS;
}
