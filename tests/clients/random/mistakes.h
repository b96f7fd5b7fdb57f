/* SPDX-License-Identifier: Apache-2.0 */
/* mistakes.h: calls that are wrong. Each must fail as it does without the shim, at once, and leave
 * the program able to go on. */
#ifndef RANDOM_MISTAKES_H
#define RANDOM_MISTAKES_H

#include "graphs.h"

static inline void wrong_launch(struct world *w)
{
	struct stream *s = pick_stream(w, w->cur);
	CUfunction f = w->step[w->cur][0];
	switch (pick(w, 5)) {
	case 0:
		CALL(w, cuLaunchKernel(NULL, 1, 1, 1, 1, 1, 1, 0, s->handle, NULL, NULL),
		     "cuLaunchKernel NULL %s", s->name);
		break;
	case 1:
		CALL(w, cuLaunchKernel(f, 1, 1, 1, 4096, 1, 1, 0, s->handle, NULL, NULL),
		     "cuLaunchKernel, 4096 threads, %s", s->name);
		break;
	case 2:
		CALL(w, cuLaunchKernel(f, 0, 1, 1, 1, 1, 1, 0, s->handle, NULL, NULL),
		     "cuLaunchKernel, no blocks, %s", s->name);
		break;
	case 3:
		CALL(w, cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 1 << 28, s->handle, NULL, NULL),
		     "cuLaunchKernel, 256 MB shared, %s", s->name);
		break;
	default:
		CALL(w, cuLaunchHostFunc(s->handle, NULL, NULL), "cuLaunchHostFunc NULL %s",
		     s->name);
	}
}

static inline void wrong_memory(struct world *w)
{
	struct stream *s = pick_stream(w, w->cur);
	struct cell *c = pick_cell(w, true, w->cur, NULL);
	CUdeviceptr p = 0;
	uint32_t host[4] = {0};
	switch (pick(w, 9)) {
	case 0:
		CALL(w, cuMemAlloc(&p, 0), "cuMemAlloc 0");
		break;
	case 1:
		CALL(w, cuMemAlloc(&p, (size_t)1 << 50), "cuMemAlloc 1 PB");
		break;
	case 2:
		CALL(w, cuMemAllocAsync(&p, 0, s->handle), "cuMemAllocAsync 0 %s", s->name);
		break;
	case 3:
		CALL(w, cuMemcpyHtoD(8, host, sizeof(host)), "cuMemcpyHtoD to 8");
		break;
	case 4:
		if (c)
			CALL(w, cuMemsetD32Async(c->dev, 0, (size_t)1 << 40, s->handle),
			     "cuMemsetD32Async beyond c%u %s", cell_no(w, c), s->name);
		break;
	case 5:
		if (c)
			CALL(w, cuMemsetD32Async(c->dev + 1, 0, 1, s->handle),
			     "cuMemsetD32Async unaligned c%u %s", cell_no(w, c), s->name);
		break;
	case 6:
		CALL(w, cuMemFree(12), "cuMemFree 12");
		break;
	case 7:
		if (c)
			CALL(
			    w,
			    cuStreamWaitValue32(s->handle, c->dev + 2, 0, CU_STREAM_WAIT_VALUE_GEQ),
			    "cuStreamWaitValue32 unaligned c%u %s", cell_no(w, c), s->name);
		break;
	default:
		if (c)
			CALL(w,
			     cuMemcpyPeerAsync(c->dev, (CUcontext)(uintptr_t)64, c->dev, w->ctx[0],
			                       4, s->handle),
			     "cuMemcpyPeerAsync to no context c%u %s", cell_no(w, c), s->name);
	}
}

/* Used after their end: alone, or another thread may have been given the same handles. */
static inline void destroyed_handles(struct world *w)
{
	CUstream s;
	CUevent e;
	if (w->phase != SOLO || CALL(w, cuStreamCreate(&s, 0), "cuStreamCreate for an end") ||
	    CALL(w, cuEventCreate(&e, 0), "cuEventCreate for an end"))
		return;
	CALL(w, cuMemsetD32Async(w->words[w->cur] + 4 * (WORDS - 1), 0, 1, s),
	     "cuMemsetD32Async in it");
	CALL(w, cuEventRecord(e, s), "cuEventRecord in it");
	CALL(w, cuStreamDestroy(s), "cuStreamDestroy");
	CALL(w, cuMemsetD32Async(w->words[w->cur], 0, 1, s), "cuMemsetD32Async after its end");
	CALL(w, cuStreamSynchronize(s), "cuStreamSynchronize after its end");
	CALL(w, cuStreamDestroy(s), "cuStreamDestroy again");
	CALL(w, cuEventSynchronize(e), "cuEventSynchronize of the end");
	CALL(w, cuEventDestroy(e), "cuEventDestroy");
	CALL(w, cuEventRecord(e, NULL), "cuEventRecord after its end");
	CALL(w, cuEventDestroy(e), "cuEventDestroy again");
}

static inline void wrong_handles(struct world *w)
{
	CUstream none = (CUstream)(uintptr_t)0x1230, s;
	struct event *e = pick_event(w, w->cur);
	CUgraph graph = NULL;
	CUfunction f;
	CUmodule m;
	if (w->phase == SOLO && chance(w, 40)) {
		destroyed_handles(w);
		return;
	}
	switch (pick(w, 11)) {
	case 0:
		CALL(w, cuStreamSynchronize(none), "cuStreamSynchronize of none");
		break;
	case 1:
		CALL(w, cuStreamDestroy(NULL), "cuStreamDestroy NULL");
		break;
	case 2:
		CALL(w, cuStreamCreate(&s, 4711), "cuStreamCreate 4711");
		break;
	case 3:
		CALL(w, cuEventRecord(NULL, NULL), "cuEventRecord NULL");
		break;
	case 4:
		if (e)
			CALL(w, cuEventRecord(e->handle, none), "cuEventRecord e%u of none",
			     (unsigned)(e - w->events));
		break;
	case 5:
		if (e)
			CALL(w, cuStreamWaitEvent(none, e->handle, 0),
			     "cuStreamWaitEvent of none e%u", (unsigned)(e - w->events));
		break;
	case 6:
		CALL(w, cuModuleGetFunction(&f, w->module[w->cur], "nowhere"),
		     "cuModuleGetFunction nowhere");
		break;
	case 7:
		CALL(w, cuModuleLoadData(&m, ".version 8.0\nrubbish"), "cuModuleLoadData rubbish");
		break;
	case 8:
		CALL(w, cuGraphLaunch(NULL, NULL), "cuGraphLaunch NULL");
		break;
	case 9:
		CALL(w, cuStreamEndCapture(CU_STREAM_PER_THREAD, &graph),
		     "cuStreamEndCapture without a capture");
		break;
	default:
		CALL(w, cuEventSynchronize((CUevent)(uintptr_t)0x40), "cuEventSynchronize of none");
	}
}

/* Calls of a thread without a context. */
static inline void without_context(struct world *w)
{
	CUcontext was;
	CUdeviceptr p;
	unwind(w);
	CALL(w, cuCtxPopCurrent(&was), "cuCtxPopCurrent, the last");
	CALL(w, cuMemAlloc(&p, 64), "cuMemAlloc without a context");
	CALL(w, cuStreamSynchronize(NULL), "cuStreamSynchronize without a context");
	CALL(w, cuCtxSynchronize(), "cuCtxSynchronize without a context");
	CALL(w, cuLaunchKernel(w->step[0][0], 1, 1, 1, 5000, 1, 1, 0, NULL, NULL, NULL),
	     "cuLaunchKernel without a context");
	CALL(w, cuCtxSetCurrent(w->ctx[0]), "cuCtxSetCurrent 0");
	w->cur = 0;
}

static inline void do_mistake(struct world *w)
{
	switch (pick(w, 7)) {
	case 0:
	case 1:
		wrong_launch(w);
		break;
	case 2:
	case 3:
		wrong_memory(w);
		break;
	case 4:
	case 5:
		wrong_handles(w);
		break;
	default:
		without_context(w);
	}
}

/* The last thing of a program: its own context is ruined by a kernel, and no other. */
static inline void ruin_own_context(struct world *w)
{
	uint32_t a = 3, b = 1, n = CELL;
	CUdeviceptr nowhere = 0x10, p;
	void *params[] = {&nowhere, &n, &a, &b};
	if (!w->ctx[1])
		return;
	enter(w, 1);
	sync_context(w);
	CALL(
	    w,
	    cuLaunchKernel(w->step[1][0], 1, 1, 1, 32, 1, 1, 0, w->streams[0].handle, params, NULL),
	    "cuLaunchKernel at address 16");
	CALL(w, cuCtxSynchronize(), "cuCtxSynchronize of a ruined context");
	CALL(w, cuMemAlloc(&p, 64), "cuMemAlloc in a ruined context");
	CALL(w, cuMemsetD32Async(w->words[1], 0, 1, NULL), "cuMemsetD32Async in a ruined context");
	CALL(w, cuStreamSynchronize(NULL), "cuStreamSynchronize in a ruined context");
}

#endif
