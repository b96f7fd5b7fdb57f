/* SPDX-License-Identifier: Apache-2.0 */
/* things.h: what comes and goes: streams, events, memory, pools, modules, contexts. */
#ifndef RANDOM_THINGS_H
#define RANDOM_THINGS_H

#include "work.h"

/* ---------------------------------------------------------------- streams */

static inline void make_stream(struct world *w, enum stream_kind kind)
{
	CUstream h;
	CUresult r;
	int ctx = w->cur;
	unsigned n = w->n_streams;
	if (n == STREAMS)
		return;
	if (kind == GREEN) {
		if (!w->green || ctx != 0)
			return;
		r = CALL(w, cuGreenCtxStreamCreate(&h, w->green, CU_STREAM_NON_BLOCKING, 0),
		         "cuGreenCtxStreamCreate %u", n);
	} else if (kind == PRIORITY) {
		int p = -(int)pick(w, 4);
		r = CALL(w, cuStreamCreateWithPriority(&h, CU_STREAM_DEFAULT, p),
		         "cuStreamCreateWithPriority %u %d", n, p);
	} else {
		unsigned flags = kind == BLOCKING ? CU_STREAM_DEFAULT : CU_STREAM_NON_BLOCKING;
		r = CALL(w, cuStreamCreate(&h, flags), "cuStreamCreate %u %u", n, flags);
	}
	if (r == CUDA_SUCCESS)
		stream_add(w, h, kind, ctx);
}

static inline void do_stream_create(struct world *w)
{
	static const enum stream_kind kinds[] = {BLOCKING, NON_BLOCKING, PRIORITY, GREEN};
	make_stream(w, kinds[pick(w, 4)]);
}

/* Its work goes on; whether what it touched is in order can then only the context tell. */
static inline void do_stream_destroy(struct world *w)
{
	struct stream *s = pick_stream(w, w->cur);
	bool own = s >= w->streams && s < w->streams + w->n_streams;
	if (!own || s->kind == LEGACY || s->kind == PER_THREAD)
		return;
	if (w->phase == LOCAL_CAPTURES || chance(w, 40))
		sync_stream(w, s);
	enter(w, s->ctx);
	if (CALL(w, cuStreamDestroy(s->handle), "cuStreamDestroy %s", s->name) == CUDA_SUCCESS)
		s->live = false;
}

static inline void do_stream_ask(struct world *w)
{
	struct stream *s = pick_stream(w, w->cur);
	unsigned flags = 0;
	int priority = 0;
	CUcontext ctx = NULL;
	CUstreamCaptureStatus status;
	switch (pick(w, 5)) {
	case 0:
		CALL(w, cuStreamGetFlags(s->handle, &flags), "cuStreamGetFlags %s", s->name);
		out(w, "%u.  is %u\n", w->id, flags);
		break;
	case 1:
		CALL(w, cuStreamGetPriority(s->handle, &priority), "cuStreamGetPriority %s",
		     s->name);
		out(w, "%u.  is %d\n", w->id, priority);
		break;
	case 2:
		CALL(w, cuStreamGetCtx(s->handle, &ctx), "cuStreamGetCtx %s", s->name);
		out(w, "%u.  is %d\n", w->id, ctx == w->ctx[0] ? 0 : 1);
		break;
	case 3:
		CALL(w, cuStreamIsCapturing(s->handle, &status), "cuStreamIsCapturing %s", s->name);
		break;
	default:
		call_text(w, "cuStreamQuery %s", s->name);
		call_query(w, cuStreamQuery(s->handle), false);
	}
}

static inline void do_sync(struct world *w)
{
	if (chance(w, 25) && may_sync_context(w))
		sync_context(w);
	else
		wait_for_stream(w, pick_stream(w, w->cur));
}

/* ---------------------------------------------------------------- events */

static inline void do_event(struct world *w)
{
	struct event *e = pick_event(w, w->cur);
	struct stream *s = pick_stream(w, w->cur);
	unsigned i = e ? (unsigned)(e - w->events) : 0;
	if (!e || chance(w, 10)) {
		new_event(w, w->cur);
		return;
	}
	switch (pick(w, 8)) {
	case 0:
	case 1:
	case 2:
		record(w, e, s);
		break;
	case 3:
	case 4:
		wait_event(w, s, e);
		break;
	case 5:
		call_text(w, "cuEventQuery e%u", i);
		call_query(w, cuEventQuery(e->handle), false);
		break;
	case 6:
		sync_event(w, e);
		break;
	default:
		if (CALL(w, cuEventDestroy(e->handle), "cuEventDestroy e%u", i) == CUDA_SUCCESS)
			e->handle = NULL;
	}
}

static inline void do_elapsed(struct world *w)
{
	struct stream *s = pick_stream(w, w->cur);
	struct event *a = pick_event(w, w->cur), *b = pick_event(w, w->cur);
	float ms;
	if (!a || !b || a == b || record(w, a, s) || record(w, b, s) || sync_event(w, b))
		return;
	CALL(w, cuEventElapsedTime(&ms, a->handle, b->handle), "cuEventElapsedTime e%u e%u",
	     (unsigned)(a - w->events), (unsigned)(b - w->events));
}

/* ---------------------------------------------------------------- memory */

static inline void fill(struct world *w, struct cell *c, struct stream *s)
{
	unsigned v = pick(w, 1000), i = cell_no(w, c);
	if (CALL(w, cuMemsetD32Async(c->dev, v, CELL, s->handle), "cuMemsetD32Async c%u %u %s", i,
	         v, s->name) == CUDA_SUCCESS) {
		commit(w, s);
		touched(c, s);
	}
}

static inline void do_alloc(struct world *w)
{
	struct cell *c = free_cell(w);
	struct stream *s = pick_stream(w, w->cur);
	CUdeviceptr p = 0;
	void *host = NULL;
	if (!c)
		return;
	unsigned i = cell_no(w, c), how = pick(w, 5);
	int ctx = w->cur;
	if (how == 0) {
		if (CALL(w, cuMemAlloc(&p, CELL_BYTES), "cuMemAlloc c%u", i))
			return;
		cell_is(c, DEVICE, ctx, p, NULL);
		fill(w, c, s);
	} else if (how < 3) {
		CUresult r =
		    w->pool && ctx == 0 && how == 1
			? CALL(w, cuMemAllocFromPoolAsync(&p, CELL_BYTES, w->pool, s->handle),
		               "cuMemAllocFromPoolAsync c%u %s", i, s->name)
			: CALL(w, cuMemAllocAsync(&p, CELL_BYTES, s->handle),
		               "cuMemAllocAsync c%u %s", i, s->name);
		if (r != CUDA_SUCCESS)
			return;
		must(p != 0, "a pointer is not there on return");
		cell_is(c, ASYNC, ctx, p, NULL);
		commit(w, s);
		touched(c, s);
		fill(w, c, s);
	} else if (how == 3) {
		enter(w, 0);
		if (CALL(w, cuMemHostAlloc(&host, CELL_BYTES, CU_MEMHOSTALLOC_PORTABLE),
		         "cuMemHostAlloc c%u", i))
			return;
		memset(host, (int)pick(w, 256), CELL_BYTES);
		cell_is(c, PINNED, 0, 0, host);
	} else {
		host = malloc(CELL_BYTES);
		must(host != NULL, "out of memory");
		memset(host, (int)pick(w, 256), CELL_BYTES);
		cell_is(c, PAGEABLE, 0, 0, host);
	}
}

static inline bool used_by_graph(struct world *w, const struct cell *c)
{
	for (unsigned i = 0; i < EXECS; i++)
		for (unsigned k = 0; w->execs[i].handle && k < w->execs[i].n_cells; k++)
			if (w->execs[i].cells[k] == (int)cell_no(w, c))
				return true;
	return false;
}

static inline void cell_end(struct world *w, struct cell *c)
{
	struct stream *s;
	unsigned i = cell_no(w, c);
	CUresult r = CUDA_SUCCESS;
	if (c->kind == ASYNC && chance(w, 80)) {
		s = pick_stream(w, c->ctx);
		order_cell(w, s, c);
		enter(w, s->ctx);
		r = CALL(w, cuMemFreeAsync(c->dev, s->handle), "cuMemFreeAsync c%u %s", i, s->name);
	} else {
		settle(w, c);
		enter(w, c->ctx);
		if (on_device(c))
			r = CALL(w, cuMemFree(c->dev), "cuMemFree c%u", i);
		else if (c->kind == PINNED)
			r = CALL(w, cuMemFreeHost(c->host), "cuMemFreeHost c%u", i);
		else
			free(c->host);
	}
	if (r == CUDA_SUCCESS)
		c->kind = NO_CELL;
}

static inline void do_free(struct world *w)
{
	struct cell *c = pick_cell(w, chance(w, 60), w->cur, NULL);
	if (c && !used_by_graph(w, c))
		cell_end(w, c);
}

static inline void do_memory_ask(struct world *w)
{
	size_t a, b;
	CUdeviceptr base;
	struct cell *c = pick_cell(w, true, w->cur, NULL);
	if (chance(w, 30)) {
		CALL(w, cuMemGetInfo(&a, &b), "cuMemGetInfo");
	} else if (c) {
		CALL(w, cuMemGetAddressRange(&base, &a, c->dev + 8), "cuMemGetAddressRange c%u",
		     cell_no(w, c));
		out(w, "%u.  is %d %zu\n", w->id, base == c->dev, a);
	}
}

static inline void do_pool(struct world *w)
{
	if (!w->pool) {
		CUmemPoolProps props;
		memset(&props, 0, sizeof(props));
		props.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
		props.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
		props.location.id = w->device[0];
		if (CALL(w, cuMemPoolCreate(&w->pool, &props), "cuMemPoolCreate"))
			w->pool = NULL;
	} else if (chance(w, 50)) {
		CALL(w, cuMemPoolTrimTo(w->pool, 0), "cuMemPoolTrimTo");
	} else {
		CALL(w, cuMemPoolDestroy(w->pool), "cuMemPoolDestroy");
		w->pool = NULL;
	}
}

/* ---------------------------------------------------------------- modules */

/* x = x * a + b as k0 to k3 and b0 (of graphs' branches), each with the thread's number in its
 * name; mix: dst = dst * a + src. */
static inline char *module_text(unsigned thread)
{
	static const char entry[] =
	    ".visible .entry t%u_%s(.param .u64 p0, .param .u32 p1, .param .u32 p2, .param .u32 "
	    "p3)\n"
	    "{\n.reg .pred %%p;\n.reg .b32 %%r<9>;\n.reg .b64 %%d<4>;\n"
	    "ld.param.u64 %%d1, [p0];\nld.param.u32 %%r1, [p1];\n"
	    "ld.param.u32 %%r2, [p2];\nld.param.u32 %%r3, [p3];\n"
	    "mov.u32 %%r4, %%ctaid.x;\nmov.u32 %%r5, %%ntid.x;\nmov.u32 %%r6, %%tid.x;\n"
	    "mad.lo.s32 %%r4, %%r4, %%r5, %%r6;\nsetp.ge.u32 %%p, %%r4, %%r1;\n@%%p ret;\n"
	    "mul.wide.u32 %%d2, %%r4, 4;\nadd.s64 %%d1, %%d1, %%d2;\n"
	    "ld.global.u32 %%r5, [%%d1];\nmad.lo.s32 %%r5, %%r5, %%r2, %%r3;\n"
	    "st.global.u32 [%%d1], %%r5;\nret;\n}\n";
	static const char mix[] =
	    ".visible .entry t%u_mix(.param .u64 p0, .param .u64 p1, .param .u32 p2, .param .u32 "
	    "p3)\n"
	    "{\n.reg .pred %%p;\n.reg .b32 %%r<9>;\n.reg .b64 %%d<4>;\n"
	    "ld.param.u64 %%d1, [p0];\nld.param.u64 %%d3, [p1];\nld.param.u32 %%r1, [p2];\n"
	    "ld.param.u32 %%r2, [p3];\n"
	    "mov.u32 %%r4, %%ctaid.x;\nmov.u32 %%r5, %%ntid.x;\nmov.u32 %%r6, %%tid.x;\n"
	    "mad.lo.s32 %%r4, %%r4, %%r5, %%r6;\nsetp.ge.u32 %%p, %%r4, %%r1;\n@%%p ret;\n"
	    "mul.wide.u32 %%d2, %%r4, 4;\nadd.s64 %%d1, %%d1, %%d2;\nadd.s64 %%d3, %%d3, %%d2;\n"
	    "ld.global.u32 %%r5, [%%d1];\nld.global.u32 %%r3, [%%d3];\n"
	    "mad.lo.s32 %%r5, %%r5, %%r2, %%r3;\nst.global.u32 [%%d1], %%r5;\nret;\n}\n";
	size_t room = 8 * sizeof(entry) + sizeof(mix);
	char *text = malloc(room), name[8];
	must(text != NULL, "out of memory");
	size_t n = (size_t)snprintf(text, room,
	                            ".version 8.0\n.target sm_75\n.address_size 64\n"
	                            ".global .align 4 .u32 t%u_word = 5;\n",
	                            thread);
	for (unsigned i = 0; i <= KERNELS; i++) {
		snprintf(name, sizeof(name), i < KERNELS ? "k%u" : "b0", i);
		n += (size_t)snprintf(text + n, room - n, entry, thread, name);
	}
	snprintf(text + n, room - n, mix, thread);
	return text;
}

static inline void load_module(struct world *w, int ctx)
{
	char *text = module_text(w->id), name[16];
	CUresult r = CALL(w, cuModuleLoadData(&w->module[ctx], text), "cuModuleLoadData %d", ctx);
	must(r == CUDA_SUCCESS, "the module does not load");
	free(text);
	for (unsigned i = 0; i < KERNELS; i++) {
		snprintf(name, sizeof(name), "t%u_k%u", w->id, i);
		r = CALL(w, cuModuleGetFunction(&w->step[ctx][i], w->module[ctx], name),
		         "cuModuleGetFunction %s", name);
		must(r == CUDA_SUCCESS, "a kernel is missing");
	}
	snprintf(name, sizeof(name), "t%u_b0", w->id);
	must(!cuModuleGetFunction(&w->branch[ctx], w->module[ctx], name), "b0 is missing");
	snprintf(name, sizeof(name), "t%u_mix", w->id);
	must(!cuModuleGetFunction(&w->mix[ctx], w->module[ctx], name), "mix is missing");
}

/* Loaded, used, and unloaded with its kernel perhaps still to run. */
static inline void do_module(struct world *w)
{
	CUmodule m;
	CUfunction f;
	CUdeviceptr word;
	size_t size;
	char *text = module_text(w->id), name[16];
	struct stream *s = pick_stream(w, w->cur);
	struct cell *c = pick_cell(w, true, s->ctx, NULL);
	struct step k;
	CUresult r = CALL(w, cuModuleLoadData(&m, text), "cuModuleLoadData");
	free(text);
	if (r != CUDA_SUCCESS)
		return;
	snprintf(name, sizeof(name), "t%u_k1", w->id);
	r = CALL(w, cuModuleGetFunction(&f, m, name), "cuModuleGetFunction k1");
	if (r == CUDA_SUCCESS && c) {
		order_cell(w, s, c);
		enter(w, s->ctx);
		step_set(&k, f, c, w);
		if (launch_step(w, &k, s, "k1", cell_no(w, c)) == CUDA_SUCCESS) {
			commit(w, s);
			touched(c, s);
		}
	}
	snprintf(name, sizeof(name), "t%u_word", w->id);
	CALL(w, cuModuleGetGlobal(&word, &size, m, name), "cuModuleGetGlobal");
	CALL(w, cuModuleUnload(m), "cuModuleUnload");
}

/* ---------------------------------------------------------------- contexts */

static inline void add_default_streams(struct world *w, int ctx)
{
	enter(w, ctx);
	stream_add(w, CU_STREAM_LEGACY, LEGACY, ctx);
	if (chance(w, 50))
		w->streams[w->n_streams - 1].handle = NULL; /* the same stream */
	stream_add(w, CU_STREAM_PER_THREAD, PER_THREAD, ctx);
}

static inline void make_words(struct world *w, int ctx)
{
	enter(w, ctx);
	CUresult r = CALL(w, cuMemAlloc(&w->words[ctx], 4 * WORDS), "cuMemAlloc words");
	must(r == CUDA_SUCCESS, "no memory for words");
	must(!cuMemsetD32(w->words[ctx], 0, WORDS) && !cuStreamSynchronize(NULL), "no words");
	w->n_words[ctx] = 0;
}

/* The thread's own context appears… */
static inline void own_context(struct world *w)
{
	if (w->ctx[1] || w->n_streams + 4 > STREAMS)
		return;
	CUctxCreateParams params;
	memset(&params, 0, sizeof(params));
	CUresult r = CALL(w, cuCtxCreate(&w->ctx[1], &params, 0, w->device[1]), "cuCtxCreate");
	must(r == CUDA_SUCCESS, "no second context");
	if (w->depth < sizeof(w->below) / sizeof(w->below[0])) { /* it was pushed */
		w->below[w->depth++] = w->cur;
		w->cur = 1;
	} else {
		CUcontext top;
		must(!cuCtxPopCurrent(&top), "cuCtxPopCurrent");
	}
	add_default_streams(w, 1);
	load_module(w, 1);
	make_words(w, 1);
	make_stream(w, chance(w, 50) ? BLOCKING : NON_BLOCKING);
	for (unsigned i = 0; i < 3; i++) {
		struct cell *c = free_cell(w);
		CUdeviceptr p;
		if (c &&
		    CALL(w, cuMemAlloc(&p, CELL_BYTES), "cuMemAlloc c%u", cell_no(w, c)) == 0) {
			cell_is(c, DEVICE, 1, p, NULL);
			fill(w, c, legacy_of(w, 1));
		}
	}
}

/* Back to the primary context, and nothing below it. */
static inline void unwind(struct world *w)
{
	CUcontext top;
	while (w->depth) {
		CALL(w, cuCtxPopCurrent(&top), "cuCtxPopCurrent");
		w->cur = w->below[--w->depth];
	}
	if (w->cur != 0)
		CALL(w, cuCtxSetCurrent(w->ctx[0]), "cuCtxSetCurrent 0");
	w->cur = 0;
}

/* … and goes with all that is in it, perhaps still at work. */
static inline void own_context_end(struct world *w)
{
	if (!w->ctx[1])
		return;
	for (unsigned i = 0; i < CELLS; i++) { /* what its end would pull from under others */
		const struct cell *c = &w->cells[i];
		const struct stream *t = live_stream(w, c);
		if (c->kind != NO_CELL && !(on_device(c) && c->ctx == 1 && t && t->ctx == 1))
			settle(w, c);
	}
	enter(w, 1);
	if (w->n_words[1] || chance(w, 60)) /* a wait for a word ends with its context */
		sync_context(w);
	unwind(w);
	for (unsigned i = 0; i < EXECS; i++)
		if (w->execs[i].handle && w->execs[i].ctx == 1) {
			CALL(w, cuGraphExecDestroy(w->execs[i].handle), "cuGraphExecDestroy g%u",
			     i);
			w->execs[i].handle = NULL;
		}
	CALL(w, cuCtxDestroy(w->ctx[1]), "cuCtxDestroy");
	w->ctx[1] = NULL;
	for (unsigned i = 0; i < CELLS; i++)
		if (on_device(&w->cells[i]) && w->cells[i].ctx == 1)
			w->cells[i].kind = NO_CELL;
	for (unsigned i = 0; i < EVENTS; i++)
		if (w->events[i].ctx == 1)
			w->events[i].handle = NULL;
	for (unsigned i = 0; i < w->n_streams; i++)
		if (w->streams[i].ctx == 1)
			w->streams[i].live = false;
}

static inline void do_context(struct world *w)
{
	CUcontext ctx;
	CUdevice d;
	switch (pick(w, 5)) {
	case 0:
		if (w->ctx[1] && w->phase != LOCAL_CAPTURES && chance(w, 60))
			own_context_end(w);
		else
			own_context(w);
		break;
	case 1:
		CALL(w, cuCtxGetCurrent(&ctx), "cuCtxGetCurrent");
		must(ctx == w->ctx[w->cur], "another context is current");
		break;
	case 2:
		CALL(w, cuCtxGetDevice(&d), "cuCtxGetDevice");
		must(d == w->device[w->cur], "another device");
		break;
	default:
		if (w->ctx[1])
			enter(w, !w->cur);
	}
}

#endif
