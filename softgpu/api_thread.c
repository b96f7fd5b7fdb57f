// SPDX-License-Identifier: Apache-2.0
/*
 * api_thread.c: what belongs to a thread: its stack of current contexts, its capture mode, and
 * its per-thread default streams; and how a stream argument is resolved.
 */
#include "api.h"

#include <pthread.h>

static _Thread_local struct sg_thread *mine;
static pthread_key_t key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static rein_a64 next_id = 1;

static void thread_gone(void *arg)
{
	struct sg_thread *t = arg;
	mine = NULL;
	if (sg_ready() != CUDA_SUCCESS)
		return; /* a forked child: the parent's streams are not ours to free */
	sg_lock();
	for (size_t i = 0; i < t->n_own; i++) {
		CUstream s = t->own[i];
		sg_capture_drop_stream(s);
		/* a context that went took its engine streams along */
		if (rein_load_acquire(&s->ctx->alive) && s->ctx->id == s->ctx_id)
			sg_stream_free(s->engine);
		free(s);
	}
	sg_unlock();
	free(t->own);
	free(t->stack);
	free(t);
}

static void make_key(void)
{
	if (pthread_key_create(&key, thread_gone) != 0)
		abort(); /* only when the process has used up its 1024 keys */
}

struct sg_thread *sg_thread(void)
{
	if (mine)
		return mine;
	pthread_once(&key_once, make_key);
	struct sg_thread *t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
	t->id = rein_add_relaxed(&next_id, 1);
	if (pthread_setspecific(key, t) != 0) {
		free(t);
		return NULL;
	}
	mine = t;
	return t;
}

CUcontext sg_top(void)
{
	return mine && mine->n ? mine->stack[mine->n - 1] : NULL;
}

CUresult sg_current(CUcontext *out)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	CUcontext ctx = sg_top();
	if (!ctx)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (ctx->green ? !sg_green_alive(ctx->green) : !rein_load_acquire(&ctx->alive))
		return CUDA_ERROR_CONTEXT_IS_DESTROYED;
	*out = sg_context_whole(ctx);
	return sg_domain_error((*out)->domain);
}

CUresult sg_context_check(CUcontext ctx)
{
	if (!sg_handle_is(ctx, SG_CONTEXT))
		return CUDA_ERROR_INVALID_CONTEXT;
	bool alive = ctx->green ? sg_green_alive(ctx->green) : rein_load_acquire(&ctx->alive);
	return alive ? CUDA_SUCCESS : CUDA_ERROR_CONTEXT_IS_DESTROYED;
}

/* The calling thread's default stream in ctx, made on first use. It synchronises with the legacy
 * stream, as the manual has it. */
static CUresult own_stream(CUcontext ctx, CUstream *out)
{
	struct sg_thread *t = sg_thread();
	if (!t)
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (size_t i = 0; i < t->n_own; i++) {
		if (t->own[i]->ctx == ctx && t->own[i]->ctx_id == ctx->id) {
			*out = t->own[i];
			return CUDA_SUCCESS;
		}
	}
	struct CUstream_st **grown = realloc(t->own, (t->n_own + 1) * sizeof(*grown));
	if (!grown)
		return CUDA_ERROR_OUT_OF_MEMORY;
	t->own = grown;
	CUstream s = calloc(1, sizeof(*s));
	if (!s)
		return CUDA_ERROR_OUT_OF_MEMORY;
	s->ctx = ctx;
	s->ctx_id = ctx->id;
	CUresult r = sg_stream_new(ctx->domain, SG_STREAM_BLOCKING, SG_PRIORITY_LEAST, &s->engine);
	if (r != CUDA_SUCCESS) {
		free(s);
		return r;
	}
	t->own[t->n_own++] = s;
	*out = s;
	return CUDA_SUCCESS;
}

CUresult sg_stream_get(CUstream handle, CUstream *out)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (handle == NULL || handle == CU_STREAM_LEGACY || handle == CU_STREAM_PER_THREAD) {
		CUcontext ctx;
		r = sg_current(&ctx);
		if (r != CUDA_SUCCESS)
			return r;
		CUcontext seen = sg_top();
		if (handle == CU_STREAM_PER_THREAD) /* green contexts have none */
			return seen->green ? CUDA_ERROR_INVALID_HANDLE : own_stream(ctx, out);
		*out = seen->green ? &seen->legacy : &ctx->legacy;
		return CUDA_SUCCESS;
	}
	if (!sg_handle_is(handle, SG_STREAM))
		return CUDA_ERROR_INVALID_HANDLE;
	if (handle->green && !sg_green_alive(handle->green))
		return CUDA_ERROR_CONTEXT_IS_DESTROYED;
	*out = handle;
	return sg_domain_error(handle->ctx->domain);
}
