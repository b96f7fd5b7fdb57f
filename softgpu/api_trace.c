// SPDX-License-Identifier: Apache-2.0
/* api_trace.c: telling a profiler what is called and what has completed (trace.h). */
#include "trace.h"

#include <pthread.h>

#include "../common/clock.h"
#include "api_graph.h"

rein_a32 sg_traced;
static _Atomic(const struct sg_trace_listener *) listener;
static rein_a32 correlations, graphs;
static __thread struct sg_trace_call *outermost; /* the call that this thread is in */

/* ---- calls */

void sg_call_enter(struct sg_trace_call *c, enum sg_call_id id, const void *params)
{
	const struct sg_trace_listener *l = rein_load_acquire(&listener);
	*c = (struct sg_trace_call){.id = id, .params = params};
	if (outermost || !l || sg_ready() != CUDA_SUCCESS)
		return;
	c->correlation = rein_add_relaxed(&correlations, 1) + 1;
	c->ctx = sg_top();
	c->context = c->ctx ? (uint32_t)c->ctx->id : 0;
	outermost = c;
	l->call(c);
}

void sg_call_exit(struct sg_trace_call *c, CUresult result)
{
	const struct sg_trace_listener *l = rein_load_acquire(&listener);
	if (!c->correlation)
		return;
	c->exit = true;
	c->result = result;
	if (l)
		l->call(c);
	outermost = NULL;
}

/* ---- work */

static struct sg_trace_side side(uintptr_t addr, bool pageable)
{
	struct sg_range r;
	if (pageable || !sg_range_find(addr, &r))
		return (struct sg_trace_side){.memory = SG_TRACE_PAGEABLE};
	struct sg_trace_side s = {.device = (uint32_t)r.device,
	                          .context = r.ctx ? (uint32_t)r.ctx->id : 0};
	if (r.kind == SG_MEMORY_HOST || r.kind == SG_MEMORY_REGISTERED)
		s.memory = SG_TRACE_PINNED;
	else if (r.kind == SG_MEMORY_MANAGED)
		s.memory = SG_TRACE_MANAGED;
	else
		s.memory = r.module ? SG_TRACE_STATIC : SG_TRACE_DEVICE;
	return s;
}

static void describe_kernel(struct sg_trace_work *w, const struct sg_kernel_op *k)
{
	const struct ptx_kernel_info *info = k->f->info;
	w->what = SG_TRACE_KERNEL;
	w->kernel.name = info->name; /* lives in the module, which the command holds */
	for (int i = 0; i < 3; i++) {
		w->kernel.grid[i] = k->grid[i];
		w->kernel.block[i] = k->block[i];
	}
	w->kernel.static_shared = info->static_shared_bytes;
	w->kernel.dynamic_shared = k->shared_bytes;
	w->kernel.local = info->local_bytes;
	w->kernel.registers = info->registers;
	w->kernel.cooperative = k->cooperative;
}

struct sg_trace_work *sg_trace_new(const struct sg_op *op)
{
	if (!rein_load_relaxed(&sg_traced))
		return NULL;
	struct sg_trace_work *w = calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	w->what = SG_TRACE_OTHER;
	w->async = true;
	w->correlation = outermost ? outermost->correlation : 0;
	w->queued_ns = rein_now_ns();
	if (op->ctx) {
		w->device = (uint32_t)op->ctx->device;
		w->context = (uint32_t)op->ctx->id;
	}
	if (op->kind == SG_OP_KERNEL) {
		describe_kernel(w, &op->kernel);
	} else if (op->kind == SG_OP_COPY) {
		const struct sg_copy_op *c = &op->copy;
		w->what = SG_TRACE_COPY;
		w->copy.bytes = c->width * c->height * c->depth;
		w->copy.src = side(c->src.addr, c->pageable_src);
		w->copy.dst = side(c->dst.addr, c->pageable_dst);
	} else if (op->kind == SG_OP_SET) {
		const struct sg_set_op *s = &op->set;
		w->what = SG_TRACE_SET;
		w->set.bytes = (uint64_t)s->width * s->height * s->element;
		w->set.value = s->value;
		w->set.memory = side(s->dst, false).memory;
	}
	return w;
}

void sg_trace_done(struct sg_trace_work *w)
{
	const struct sg_trace_listener *l = rein_load_acquire(&listener);
	if (l && rein_load_relaxed(&sg_traced))
		l->work(w);
}

uint32_t sg_trace_graph_id(void)
{
	return rein_add_relaxed(&graphs, 1) + 1;
}

/* ---- the profiler's side */

static void in_child(void)
{
	rein_store_relaxed(&sg_traced, 0);
	rein_store_release(&listener, NULL);
	outermost = NULL;
}

static void forget_in_child(void)
{
	pthread_atfork(NULL, NULL, in_child);
}

static void listen(const struct sg_trace_listener *l)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, forget_in_child);
	if (l)
		rein_store_release(&listener, l);
	rein_store_release(&sg_traced, l != NULL);
}

static CUresult context_id(CUcontext ctx, uint32_t *id)
{
	CUresult r = sg_ready();
	if (r == CUDA_SUCCESS)
		r = sg_context_check(ctx);
	if (r == CUDA_SUCCESS)
		*id = (uint32_t)ctx->id;
	return r;
}

static CUresult context_device(CUcontext ctx, uint32_t *device)
{
	CUresult r = sg_ready();
	if (r == CUDA_SUCCESS)
		r = sg_context_check(ctx);
	if (r == CUDA_SUCCESS)
		*device = (uint32_t)sg_context_whole(ctx)->device;
	return r;
}

static CUresult stream_id(CUcontext ctx, CUstream handle, bool per_thread, uint32_t *id)
{
	CUstream s;
	CUresult r = sg_ready();
	if (r == CUDA_SUCCESS && ctx)
		r = sg_context_check(ctx);
	if (r != CUDA_SUCCESS)
		return r;
	bool legacy = (!handle && !per_thread) || handle == CU_STREAM_LEGACY;
	if (legacy && ctx) {
		*id = (uint32_t)sg_stream_id(ctx->legacy.engine);
		return CUDA_SUCCESS;
	}
	r = sg_stream_get(per_thread ? SG_PT(handle) : handle, &s);
	if (r == CUDA_SUCCESS && ctx && s->ctx != sg_context_whole(ctx))
		r = CUDA_ERROR_INVALID_HANDLE;
	if (r == CUDA_SUCCESS)
		*id = (uint32_t)sg_stream_id(s->engine);
	return r;
}

static CUresult exec_id(CUgraphExec e, uint32_t *id)
{
	CUresult r = sg_exec_check(e);
	if (r == CUDA_SUCCESS)
		*id = e->id;
	return r;
}

static const char *kernel_name(CUfunction f)
{
	const char *name = NULL;
	if (cuFuncGetName(&name, f) == CUDA_SUCCESS)
		return name;
	return cuKernelGetName(&name, (CUkernel)f) == CUDA_SUCCESS ? name : NULL;
}

const struct sg_trace_driver *sg_cupti_attach(uint32_t version)
{
	static const struct sg_trace_driver driver = {
	    .listen = listen,
	    .context_id = context_id,
	    .context_device = context_device,
	    .stream_id = stream_id,
	    .exec_id = exec_id,
	    .kernel_name = kernel_name,
	};
	return version == SG_TRACE_VERSION ? &driver : NULL;
}
