// SPDX-License-Identifier: Apache-2.0
/*
 * observe_event.c: hooks written by hand: events are recorded, waited for, shared with another
 * process, given to a graph, and destroyed.
 *
 * Recording and waiting are order, not work, and are never held back, with one exception: an event
 * that is shared between processes orders work across them. A wait for it keeps a queue of the GPU
 * busy for as long as the other process likes, so it is a submission, and so is the record.
 */
#include "shim.h"

#include <errno.h>

#include "event.h"
#include "point.h"
#include "slice.h"
#include "stream.h"
#include "submit.h"

/* ---------------------------------------------------------------- records */

/* A record or a wait under way. */
struct order {
	bool submitted; /* through the slow path, with this ticket */
	struct rein_work work;
	struct rein_ticket ticket;
	struct rein_slice_visit slice; /* slice.stream: to be given to the driver */
	unsigned options;
	/* records: */
	CUevent event;
	struct rein_row *row; /* NULL: what the event will prove is not known */
	uint64_t target;
};

/* It goes where the work of its stream goes. */
static void visit(struct order *o, enum rein_entry_id entry, CUstream stream)
{
	o->options = rein_entries[entry].options;
	o->slice = (struct rein_slice_visit){.stream = stream};
	if (REIN_LIKELY(!rein_slice_any()) || !rein_shim_on() ||
	    rein_capture_on(stream, o->options))
		return;
	int saved = errno;
	rein_slice_enter(&o->slice, rein_row_seek(stream, o->options), stream, o->options);
	errno = saved;
}

/* A wait that nobody was told of: what goes out after it has to wait too. */
static void visit_over(struct order *o)
{
	bool told = o->slice.row;
	if (REIN_LIKELY(!told && !rein_slice_any()) || !rein_shim_on())
		return;
	int saved = errno;
	if (told)
		rein_slice_leave(&o->slice);
	else if (o->options & REIN_OPT_STREAM && !rein_capture_any())
		rein_slice_passed(o->slice.stream, o->options);
	errno = saved;
}

static void submit(struct order *o, enum rein_entry_id entry, CUstream stream, bool across)
{
	o->submitted = true;
	o->work = (struct rein_work){.entry = entry, .stream = stream, .across = across};
	rein_submit_slow(&o->ticket, &o->work);
}

static void record_begin(struct order *o, enum rein_entry_id entry, CUevent event, CUstream stream)
{
	o->submitted = false;
	o->row = NULL;
	bool on = rein_shim_on(), shared = on && rein_event_kinds(event) & REIN_EVENT_SHARED;
	if (on && !shared && !rein_capture_any()) /* else it may become a node of a graph */
		o->row = rein_row_seek(stream, rein_entries[entry].options);
	if (o->row) /* before it is decided where it goes: from there on that may not be all */
		o->target = rein_load_seqcst(&o->row->returned);
	visit(o, entry, stream);
	if (!on)
		return;
	o->event = event;
	rein_event_forget(event);
	if (shared)
		submit(o, entry, stream, true);
}

static CUresult order_end(struct order *o, CUresult r)
{
	visit_over(o);
	if (o->submitted)
		rein_submit_slow_done(&o->ticket, r);
	else if (o->row && r == CUDA_SUCCESS)
		rein_event_note(o->event, o->row, o->target);
	return r;
}

CUresult hook_cuEventRecord(CUevent event, CUstream stream)
{
	struct order o;
	rein_need_real();
	record_begin(&o, REIN_E_cuEventRecord, event, stream);
	return order_end(&o, real.cuEventRecord(event, o.slice.stream));
}

CUresult hook_cuEventRecord_ptsz(CUevent event, CUstream stream)
{
	struct order o;
	rein_need_real();
	record_begin(&o, REIN_E_cuEventRecord_ptsz, event, stream);
	return order_end(&o, real.cuEventRecord_ptsz(event, o.slice.stream));
}

/* An external record is a node of the graph under capture: each launch of it records the event. */
static void note_external(CUevent event, unsigned int flags)
{
	if (flags & CU_EVENT_RECORD_EXTERNAL)
		rein_event_special(event, REIN_EVENT_ELSEWHERE);
}

CUresult hook_cuEventRecordWithFlags(CUevent event, CUstream stream, unsigned int flags)
{
	struct order o;
	rein_need_real();
	note_external(event, flags);
	record_begin(&o, REIN_E_cuEventRecordWithFlags, event, stream);
	return order_end(&o, real.cuEventRecordWithFlags(event, o.slice.stream, flags));
}

CUresult hook_cuEventRecordWithFlags_ptsz(CUevent event, CUstream stream, unsigned int flags)
{
	struct order o;
	rein_need_real();
	note_external(event, flags);
	record_begin(&o, REIN_E_cuEventRecordWithFlags_ptsz, event, stream);
	return order_end(&o, real.cuEventRecordWithFlags_ptsz(event, o.slice.stream, flags));
}

/* Of all streams of a context at once: more than a row can tell, so the event proves nothing until
 * it is recorded in a stream again. */
#ifdef REIN_HAS_cuCtxRecordEvent
CUresult hook_cuCtxRecordEvent(CUcontext ctx, CUevent event)
{
	rein_need_real();
	rein_event_forget(event);
	rein_slice_home_all(0);
	return real.cuCtxRecordEvent(ctx, event);
}
#endif

#ifdef REIN_HAS_cuGreenCtxRecordEvent
CUresult hook_cuGreenCtxRecordEvent(CUgreenCtx green, CUevent event)
{
	rein_need_real();
	rein_event_forget(event);
	return real.cuGreenCtxRecordEvent(green, event);
}
#endif

CUresult hook_cuEventDestroy(CUevent event)
{
	rein_need_real();
	rein_event_drop(event);
	return real.cuEventDestroy(event);
}

CUresult hook_cuEventDestroy_v2(CUevent event)
{
	rein_need_real();
	rein_event_drop(event);
	return real.cuEventDestroy_v2(event);
}

/* ---------------------------------------------------------------- waits */

/* Unless the event is shared the slow path only notes that no kernel is to be timed across it. */
static void wait_begin(struct order *o, enum rein_entry_id entry, CUstream stream, CUevent event)
{
	o->submitted = false;
	o->row = NULL;
	visit(o, entry, stream);
	if (!rein_shim_on())
		return;
	bool shared = rein_event_kinds(event) & REIN_EVENT_SHARED;
	if (shared || rein_load_relaxed(&REIN_GATE_WORD) & ~REIN_GATE_TRACED)
		submit(o, entry, stream, shared);
}

CUresult hook_cuStreamWaitEvent(CUstream stream, CUevent event, unsigned int flags)
{
	struct order o;
	rein_need_real();
	wait_begin(&o, REIN_E_cuStreamWaitEvent, stream, event);
	return order_end(&o, real.cuStreamWaitEvent(o.slice.stream, event, flags));
}

CUresult hook_cuStreamWaitEvent_ptsz(CUstream stream, CUevent event, unsigned int flags)
{
	struct order o;
	rein_need_real();
	wait_begin(&o, REIN_E_cuStreamWaitEvent_ptsz, stream, event);
	return order_end(&o, real.cuStreamWaitEvent_ptsz(o.slice.stream, event, flags));
}

/* All streams of the context wait: counted on its default stream. */
#ifdef REIN_HAS_cuCtxWaitEvent
CUresult hook_cuCtxWaitEvent(CUcontext ctx, CUevent event)
{
	struct order o;
	rein_need_real();
	wait_begin(&o, REIN_E_cuCtxWaitEvent, NULL, event);
	rein_slice_home_all(0);
	return order_end(&o, real.cuCtxWaitEvent(ctx, event));
}
#endif

#ifdef REIN_HAS_cuGreenCtxWaitEvent
CUresult hook_cuGreenCtxWaitEvent(CUgreenCtx green, CUevent event)
{
	struct order o;
	rein_need_real();
	wait_begin(&o, REIN_E_cuGreenCtxWaitEvent, NULL, event);
	return order_end(&o, real.cuGreenCtxWaitEvent(green, event));
}
#endif

/* ---------------------------------------------------------------- between processes */

/* Somebody more urgent may wait for what this program queued long ago: it must not stop in the GPU.
 */
static void no_points(void)
{
	if (!rein_shim_on())
		return;
	int saved = errno;
	rein_point_off("the program shares events with others");
	errno = saved;
}

CUresult hook_cuIpcGetEventHandle(CUipcEventHandle *handle, CUevent event)
{
	rein_need_real();
	rein_event_special(event, REIN_EVENT_ELSEWHERE | REIN_EVENT_SHARED);
	no_points();
	return real.cuIpcGetEventHandle(handle, event);
}

CUresult hook_cuIpcOpenEventHandle(CUevent *event, CUipcEventHandle handle)
{
	rein_need_real();
	CUresult r = real.cuIpcOpenEventHandle(event, handle);
	if (r == CUDA_SUCCESS && event) {
		rein_event_special(*event, REIN_EVENT_ELSEWHERE | REIN_EVENT_SHARED);
		no_points();
	}
	return r;
}

/* ---------------------------------------------------------------- records by a graph */

#ifdef REIN_HAS_cuGraphAddNode
static void note_node(const CUgraphNodeParams *params)
{
	if (params && params->type == CU_GRAPH_NODE_TYPE_EVENT_RECORD)
		rein_event_special(params->eventRecord.event, REIN_EVENT_ELSEWHERE);
}
#endif

CUresult hook_cuGraphAddEventRecordNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *deps,
                                        size_t n, CUevent event)
{
	rein_need_real();
	rein_event_special(event, REIN_EVENT_ELSEWHERE);
	return real.cuGraphAddEventRecordNode(node, graph, deps, n, event);
}

CUresult hook_cuGraphEventRecordNodeSetEvent(CUgraphNode node, CUevent event)
{
	rein_need_real();
	rein_event_special(event, REIN_EVENT_ELSEWHERE);
	return real.cuGraphEventRecordNodeSetEvent(node, event);
}

CUresult hook_cuGraphExecEventRecordNodeSetEvent(CUgraphExec exec, CUgraphNode node, CUevent event)
{
	rein_need_real();
	rein_event_special(event, REIN_EVENT_ELSEWHERE);
	return real.cuGraphExecEventRecordNodeSetEvent(exec, node, event);
}

#ifdef REIN_HAS_cuGraphAddNode
CUresult hook_cuGraphAddNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *deps, size_t n,
                             CUgraphNodeParams *params)
{
	rein_need_real();
	note_node(params);
	return real.cuGraphAddNode(node, graph, deps, n, params);
}
#endif

#ifdef REIN_HAS_cuGraphAddNode_v2
CUresult hook_cuGraphAddNode_v2(CUgraphNode *node, CUgraph graph, const CUgraphNode *deps,
                                const CUgraphEdgeData *data, size_t n, CUgraphNodeParams *params)
{
	rein_need_real();
	note_node(params);
	return real.cuGraphAddNode_v2(node, graph, deps, data, n, params);
}
#endif

#ifdef REIN_HAS_cuGraphAddNode_v3
CUresult hook_cuGraphAddNode_v3(CUgraphNode *node, CUgraph graph, const CUgraphNode *deps,
                                const CUgraphEdgeData *data, size_t n, CUgraphNodeParams *params)
{
	rein_need_real();
	note_node(params);
	return real.cuGraphAddNode_v3(node, graph, deps, data, n, params);
}
#endif

#ifdef REIN_HAS_cuGraphNodeSetParams
CUresult hook_cuGraphNodeSetParams(CUgraphNode node, CUgraphNodeParams *params)
{
	rein_need_real();
	note_node(params);
	return real.cuGraphNodeSetParams(node, params);
}
#endif

#ifdef REIN_HAS_cuGraphNodeSetParams_v2
CUresult hook_cuGraphNodeSetParams_v2(CUgraphNode node, CUgraphNodeParams *params)
{
	rein_need_real();
	note_node(params);
	return real.cuGraphNodeSetParams_v2(node, params);
}
#endif

#ifdef REIN_HAS_cuGraphExecNodeSetParams
CUresult hook_cuGraphExecNodeSetParams(CUgraphExec exec, CUgraphNode node,
                                       CUgraphNodeParams *params)
{
	rein_need_real();
	note_node(params);
	return real.cuGraphExecNodeSetParams(exec, node, params);
}
#endif
