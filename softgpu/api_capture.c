// SPDX-License-Identifier: Apache-2.0
/*
 * api_capture.c: stream capture: work becomes nodes of a graph instead of running.
 *
 * A capture begins in one stream (its origin) and spreads to others that wait for an event
 * recorded inside it. Each stream in it has a tail: the nodes that its next one depends on. What
 * is not permitted invalidates the capture; only ending it in the origin clears it away.
 * Everything here is under sg_lock(), but for the exported functions and what api.h says.
 */
#include "api.h"

#include <string.h>

struct sg_capture {
	uint64_t id;
	CUgraph graph;
	bool own_graph; /* made by this capture: freed if it fails */
	CUstreamCaptureMode mode;
	uint64_t thread; /* that began it */
	bool invalid;
	CUstream origin;
	CUstream *streams; /* all that take part, the origin too */
	size_t n_streams;
	CUgraphNode *left; /* the last work of streams that were destroyed meanwhile */
	size_t n_left;
	struct sg_capture *next;
};

static struct sg_capture *captures;
static rein_a32 n_captures; /* changed under the lock, read without it as a short cut */
static uint64_t next_id = 1;

/* ---- taking part */

static CUresult join(struct sg_capture *c, CUstream s, const CUgraphNode *tail, size_t n)
{
	CUstream *grown = realloc(c->streams, (c->n_streams + 1) * sizeof(*grown));
	if (!grown)
		return CUDA_ERROR_OUT_OF_MEMORY;
	c->streams = grown;
	s->tail = NULL;
	s->n_tail = 0;
	for (size_t i = 0; i < n; i++) {
		CUresult r = sg_nodes_add(&s->tail, &s->n_tail, tail[i]);
		if (r != CUDA_SUCCESS) {
			free(s->tail);
			s->tail = NULL;
			s->n_tail = 0;
			return r;
		}
	}
	c->streams[c->n_streams++] = s;
	s->capture = c;
	return CUDA_SUCCESS;
}

static void leave(CUstream s)
{
	s->capture = NULL;
	free(s->tail);
	s->tail = NULL;
	s->n_tail = 0;
}

/* Frees a capture and releases its streams; the graph is dealt with by the caller. */
static void capture_free(struct sg_capture *c)
{
	for (size_t i = 0; i < c->n_streams; i++)
		leave(c->streams[i]);
	for (struct sg_capture **at = &captures; *at; at = &(*at)->next) {
		if (*at == c) {
			*at = c->next;
			break;
		}
	}
	rein_add_seqcst(&n_captures, (uint32_t)-1);
	free(c->streams);
	free(c->left);
	free(c);
}

/* A stream that took part may go (NVIDIA's graphMemoryNodes sample does it); what it did last must
 * still lead to the origin's. */
void sg_capture_drop_stream(CUstream s)
{
	struct sg_capture *c = s->capture;
	if (!c)
		return;
	if (c->origin == s) {
		/* nobody can end it any more */
		c->graph->capturing = false;
		if (c->own_graph)
			sg_graph_free(c->graph);
		capture_free(c);
		return;
	}
	for (size_t i = 0; i < s->n_tail; i++)
		if (sg_nodes_add(&c->left, &c->n_left, s->tail[i]) != CUDA_SUCCESS)
			c->invalid = true;
	for (size_t i = 0; i < c->n_streams; i++)
		if (c->streams[i] == s)
			c->streams[i] = c->streams[--c->n_streams];
	leave(s);
}

/* ---- work */

static bool is_legacy(CUstream s)
{
	return s == &s->ctx->legacy || (s->green && s == &s->green->face.legacy);
}

/* The legacy stream waits for all blocking streams: meeting a captured one is an error. */
static CUresult legacy_meets(CUstream legacy)
{
	CUresult r = CUDA_SUCCESS;
	for (struct sg_capture *c = captures; c; c = c->next) {
		for (size_t i = 0; i < c->n_streams; i++) {
			CUstream s = c->streams[i];
			if (s->ctx == legacy->ctx && s->green == legacy->green &&
			    !(s->flags & CU_STREAM_NON_BLOCKING)) {
				c->invalid = true;
				r = CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
			}
		}
	}
	return r;
}

CUresult sg_capture_op(CUstream s, const struct sg_op *op)
{
	struct sg_capture *c = s->capture;
	CUgraphNode node;
	if (!c)
		return is_legacy(s) ? legacy_meets(s) : CUDA_SUCCESS;
	if (c->invalid)
		return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	struct sg_op here = *op;
	here.green = s->green;
	CUresult r = sg_graph_add(c->graph, s->tail, s->n_tail, &here, &node);
	if (r != CUDA_SUCCESS) {
		c->invalid = true;
		return r;
	}
	s->n_tail = 0;
	r = sg_nodes_add(&s->tail, &s->n_tail, node);
	if (r != CUDA_SUCCESS) {
		c->invalid = true;
		return r;
	}
	return CUDA_ERROR_NOT_READY;
}

CUresult sg_capture_forbid(CUstream s)
{
	if (s->capture) {
		s->capture->invalid = true;
		return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	}
	return is_legacy(s) ? legacy_meets(s) : CUDA_SUCCESS;
}

CUresult sg_capture_forbid_context(CUcontext ctx)
{
	CUresult r = CUDA_SUCCESS;
	for (struct sg_capture *c = captures; c; c = c->next) {
		for (size_t i = 0; i < c->n_streams; i++) {
			if (c->streams[i]->ctx == ctx) {
				c->invalid = true;
				r = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
			}
		}
	}
	return r;
}

bool sg_capturing(CUstream s)
{
	sg_lock();
	bool capturing = s->capture != NULL;
	sg_unlock();
	return capturing;
}

CUresult sg_capture_refuse(CUstream s, const char *what)
{
	sg_lock();
	CUresult r = CUDA_SUCCESS;
	if (s->capture) {
		s->capture->invalid = true;
		r = CUDA_ERROR_NOT_SUPPORTED;
	} else if (is_legacy(s)) {
		r = legacy_meets(s);
	}
	sg_unlock();
	return r == CUDA_ERROR_NOT_SUPPORTED ? sg_missing(what) : r;
}

/* ---- events */

CUresult sg_capture_record(CUstream s, CUevent e)
{
	struct sg_capture *c = s->capture;
	CUresult r = is_legacy(s) ? legacy_meets(s) : CUDA_SUCCESS;
	if (r != CUDA_SUCCESS)
		return r;
	free(e->nodes);
	e->nodes = NULL;
	e->n_nodes = 0;
	e->capture_id = 0;
	if (!c)
		return CUDA_SUCCESS;
	if (c->invalid)
		return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	for (size_t i = 0; i < s->n_tail && r == CUDA_SUCCESS; i++)
		r = sg_nodes_add(&e->nodes, &e->n_nodes, s->tail[i]);
	if (r != CUDA_SUCCESS)
		return r;
	e->capture_id = c->id;
	sg_stream_log_captured(s->engine);
	return CUDA_ERROR_NOT_READY;
}

static struct sg_capture *by_id(uint64_t id)
{
	struct sg_capture *c = captures;
	while (c && c->id != id)
		c = c->next;
	return c;
}

CUresult sg_capture_wait(CUstream s, CUevent e)
{
	struct sg_capture *mine = s->capture;
	struct sg_capture *theirs = e->capture_id ? by_id(e->capture_id) : NULL;
	if (mine && mine->invalid)
		return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	if (!e->capture_id) {
		if (mine) {
			mine->invalid = true;
			return CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
		}
		return is_legacy(s) ? legacy_meets(s) : CUDA_SUCCESS;
	}
	if (!theirs)
		return CUDA_ERROR_CAPTURED_EVENT; /* of a capture that has ended */
	if (theirs->invalid)
		return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	if (is_legacy(s)) {
		theirs->invalid = true;
		return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
	}
	if (mine && mine != theirs) {
		mine->invalid = theirs->invalid = true;
		return CUDA_ERROR_STREAM_CAPTURE_MERGE;
	}
	CUresult r = CUDA_SUCCESS;
	if (!mine)
		r = join(theirs, s, e->nodes, e->n_nodes);
	for (size_t i = 0; mine && i < e->n_nodes && r == CUDA_SUCCESS; i++)
		r = sg_nodes_add(&s->tail, &s->n_tail, e->nodes[i]);
	if (r != CUDA_SUCCESS)
		theirs->invalid = true;
	return r == CUDA_SUCCESS ? CUDA_ERROR_NOT_READY : r;
}

bool sg_capture_asked(CUevent e)
{
	struct sg_capture *c = e->capture_id ? by_id(e->capture_id) : NULL;
	if (c)
		c->invalid = true;
	return e->capture_id != 0;
}

/* ---- unsafe calls: the three modes, as cuThreadExchangeStreamCaptureMode documents them */

CUresult sg_unsafe(void)
{
	if (rein_load_acquire(&n_captures) == 0)
		return CUDA_SUCCESS;
	struct sg_thread *t = sg_thread();
	if (!t)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (t->mode == CU_STREAM_CAPTURE_MODE_RELAXED)
		return CUDA_SUCCESS;
	CUresult r = CUDA_SUCCESS;
	sg_lock();
	for (struct sg_capture *c = captures; c; c = c->next) {
		bool mine = c->thread == t->id && c->mode != CU_STREAM_CAPTURE_MODE_RELAXED;
		bool global = t->mode == CU_STREAM_CAPTURE_MODE_GLOBAL &&
		              c->mode == CU_STREAM_CAPTURE_MODE_GLOBAL;
		if (mine || global) {
			c->invalid = true;
			r = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
		}
	}
	sg_unlock();
	return r;
}

CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode *mode)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	struct sg_thread *t = sg_thread();
	if (!t)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (!mode || (unsigned)*mode > CU_STREAM_CAPTURE_MODE_RELAXED)
		return CUDA_ERROR_INVALID_VALUE;
	CUstreamCaptureMode old = t->mode;
	t->mode = *mode;
	*mode = old;
	return CUDA_SUCCESS;
}

/* ---- begin and end */

static CUresult begin(CUstream s, CUstreamCaptureMode mode, CUgraph graph, const CUgraphNode *deps,
                      size_t n_deps)
{
	struct sg_thread *t = sg_thread();
	struct sg_capture *c = calloc(1, sizeof(*c));
	if (!t || !c) {
		free(c);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	c->own_graph = !graph;
	c->graph = graph ? graph : sg_graph_new();
	CUresult r = c->graph ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
	if (r == CUDA_SUCCESS && c->own_graph) /* cuStreamGetCaptureInfo hands it out */
		r = sg_handle_add(c->graph, SG_GRAPH);
	if (r == CUDA_SUCCESS)
		r = join(c, s, deps, n_deps);
	if (r != CUDA_SUCCESS) {
		if (c->own_graph && c->graph)
			sg_graph_free(c->graph);
		free(c->streams);
		free(c);
		return r;
	}
	c->graph->capturing = true;
	c->id = next_id++;
	c->mode = mode;
	c->thread = t->id;
	c->origin = s;
	c->next = captures;
	captures = c;
	rein_add_seqcst(&n_captures, 1);
	return CUDA_SUCCESS;
}

static CUresult begin_checked(CUstream hStream, CUstreamCaptureMode mode, CUgraph graph,
                              const CUgraphNode *deps, size_t n_deps)
{
	CUstream s;
	CUresult r = sg_stream_get(hStream, &s);
	if (r != CUDA_SUCCESS)
		return r;
	if ((unsigned)mode > CU_STREAM_CAPTURE_MODE_RELAXED || (n_deps && !deps))
		return CUDA_ERROR_INVALID_VALUE;
	if (is_legacy(s))
		return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	for (size_t i = 0; i < n_deps; i++)
		if (!sg_handle_is(deps[i], SG_NODE) || deps[i]->graph != graph)
			return CUDA_ERROR_INVALID_VALUE;
	sg_lock();
	if (s->capture || (graph && graph->capturing))
		r = CUDA_ERROR_ILLEGAL_STATE;
	else
		r = begin(s, mode, graph, deps, n_deps);
	sg_unlock();
	return r;
}

CUresult cuStreamBeginCapture_v2(CUstream hStream, CUstreamCaptureMode mode)
{
	return begin_checked(hStream, mode, NULL, NULL, 0);
}

CUresult cuStreamBeginCapture_v2_ptsz(CUstream hStream, CUstreamCaptureMode mode)
{
	return cuStreamBeginCapture_v2(SG_PT(hStream), mode);
}

CUresult cuStreamBeginCapture(CUstream hStream)
{
	return cuStreamBeginCapture_v2(hStream, CU_STREAM_CAPTURE_MODE_GLOBAL);
}

CUresult cuStreamBeginCapture_ptsz(CUstream hStream)
{
	return cuStreamBeginCapture_v2(SG_PT(hStream), CU_STREAM_CAPTURE_MODE_GLOBAL);
}

CUresult cuStreamBeginCaptureToGraph(CUstream hStream, CUgraph hGraph,
                                     const CUgraphNode *dependencies,
                                     const CUgraphEdgeData *dependencyData, size_t numDependencies,
                                     CUstreamCaptureMode mode)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (dependencyData)
		return sg_missing("cuStreamBeginCaptureToGraph with edge data");
	if (!sg_handle_is(hGraph, SG_GRAPH))
		return CUDA_ERROR_INVALID_VALUE;
	return begin_checked(hStream, mode, hGraph, dependencies, numDependencies);
}

CUresult cuStreamBeginCaptureToGraph_ptsz(CUstream hStream, CUgraph hGraph,
                                          const CUgraphNode *dependencies,
                                          const CUgraphEdgeData *dependencyData,
                                          size_t numDependencies, CUstreamCaptureMode mode)
{
	return cuStreamBeginCaptureToGraph(SG_PT(hStream), hGraph, dependencies, dependencyData,
	                                   numDependencies, mode);
}

/* Marks a node and all it depends on. The walk is a stack of nodes still to visit. */
static CUresult mark_ancestors(CUgraph g, const CUgraphNode *from, size_t n)
{
	CUgraphNode *stack = malloc((g->n_nodes + 1) * sizeof(*stack));
	size_t top = 0;
	if (!stack)
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (size_t i = 0; i < g->n_nodes; i++)
		g->nodes[i]->mark = 0;
	for (size_t i = 0; i < n; i++) {
		if (!from[i]->mark) {
			from[i]->mark = 1;
			stack[top++] = from[i];
		}
	}
	while (top) {
		CUgraphNode node = stack[--top];
		for (size_t i = 0; i < node->n_deps; i++) {
			if (!node->deps[i]->mark) {
				node->deps[i]->mark = 1;
				stack[top++] = node->deps[i];
			}
		}
	}
	free(stack);
	return CUDA_SUCCESS;
}

/* Every other stream's last work must lead to the origin's. */
static CUresult check_joined(const struct sg_capture *c)
{
	CUresult r = mark_ancestors(c->graph, c->origin->tail, c->origin->n_tail);
	for (size_t i = 0; i < c->n_streams && r == CUDA_SUCCESS; i++)
		for (size_t j = 0; j < c->streams[i]->n_tail; j++)
			if (!c->streams[i]->tail[j]->mark)
				r = CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
	for (size_t i = 0; i < c->n_left && r == CUDA_SUCCESS; i++)
		if (!c->left[i]->mark)
			r = CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
	return r;
}

static CUresult end(CUstream s, CUgraph *out)
{
	struct sg_capture *c = s->capture;
	struct sg_thread *t = sg_thread();
	CUresult r = CUDA_SUCCESS;
	if (!c)
		return CUDA_ERROR_ILLEGAL_STATE;
	if (!out && c->own_graph) /* who captures into a graph of his own knows it */
		return CUDA_ERROR_INVALID_VALUE;
	if (c->origin != s) {
		c->invalid = true;
		return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
	}
	if (c->mode != CU_STREAM_CAPTURE_MODE_RELAXED && (!t || c->thread != t->id))
		r = CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD; /* driver 580 ends it all the same */
	else if (c->invalid)
		r = CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	else
		r = check_joined(c);
	CUgraph g = c->graph;
	bool own = c->own_graph;
	g->capturing = false;
	capture_free(c);
	if (r == CUDA_SUCCESS && out)
		*out = g;
	else if (r != CUDA_SUCCESS && own)
		sg_graph_free(g);
	return r;
}

CUresult cuStreamEndCapture(CUstream hStream, CUgraph *phGraph)
{
	CUstream s;
	CUresult r = sg_stream_get(hStream, &s);
	if (r != CUDA_SUCCESS)
		return r;
	if (phGraph)
		*phGraph = NULL;
	sg_lock();
	r = end(s, phGraph);
	sg_unlock();
	return r;
}

CUresult cuStreamEndCapture_ptsz(CUstream hStream, CUgraph *phGraph)
{
	return cuStreamEndCapture(SG_PT(hStream), phGraph);
}

/* ---- questions */

CUresult cuStreamGetCaptureInfo_v3(CUstream hStream, CUstreamCaptureStatus *captureStatus_out,
                                   cuuint64_t *id_out, CUgraph *graph_out,
                                   const CUgraphNode **dependencies_out,
                                   const CUgraphEdgeData **edgeData_out,
                                   size_t *numDependencies_out)
{
	CUstream s;
	CUresult r = sg_stream_get(hStream, &s);
	if (r != CUDA_SUCCESS)
		return r;
	if (!captureStatus_out)
		return CUDA_ERROR_INVALID_VALUE;
	sg_lock();
	const struct sg_capture *c = s->capture;
	if (!c && is_legacy(s))
		r = legacy_meets(s);
	if (r == CUDA_SUCCESS)
		*captureStatus_out = !c           ? CU_STREAM_CAPTURE_STATUS_NONE
		                     : c->invalid ? CU_STREAM_CAPTURE_STATUS_INVALIDATED
		                                  : CU_STREAM_CAPTURE_STATUS_ACTIVE;
	if (c && !c->invalid) {
		if (id_out)
			*id_out = c->id;
		if (graph_out)
			*graph_out = c->graph;
		if (dependencies_out)
			*dependencies_out = s->tail;
		if (edgeData_out)
			*edgeData_out = NULL; /* all edges are plain */
		if (numDependencies_out)
			*numDependencies_out = s->n_tail;
	}
	sg_unlock();
	return r;
}

CUresult cuStreamGetCaptureInfo_v3_ptsz(CUstream hStream, CUstreamCaptureStatus *captureStatus_out,
                                        cuuint64_t *id_out, CUgraph *graph_out,
                                        const CUgraphNode **dependencies_out,
                                        const CUgraphEdgeData **edgeData_out,
                                        size_t *numDependencies_out)
{
	return cuStreamGetCaptureInfo_v3(SG_PT(hStream), captureStatus_out, id_out, graph_out,
	                                 dependencies_out, edgeData_out, numDependencies_out);
}

CUresult cuStreamGetCaptureInfo_v2(CUstream hStream, CUstreamCaptureStatus *captureStatus_out,
                                   cuuint64_t *id_out, CUgraph *graph_out,
                                   const CUgraphNode **dependencies_out,
                                   size_t *numDependencies_out)
{
	return cuStreamGetCaptureInfo_v3(hStream, captureStatus_out, id_out, graph_out,
	                                 dependencies_out, NULL, numDependencies_out);
}

CUresult cuStreamGetCaptureInfo_v2_ptsz(CUstream hStream, CUstreamCaptureStatus *captureStatus_out,
                                        cuuint64_t *id_out, CUgraph *graph_out,
                                        const CUgraphNode **dependencies_out,
                                        size_t *numDependencies_out)
{
	return cuStreamGetCaptureInfo_v2(SG_PT(hStream), captureStatus_out, id_out, graph_out,
	                                 dependencies_out, numDependencies_out);
}

CUresult cuStreamGetCaptureInfo(CUstream hStream, CUstreamCaptureStatus *captureStatus_out,
                                cuuint64_t *id_out)
{
	return cuStreamGetCaptureInfo_v3(hStream, captureStatus_out, id_out, NULL, NULL, NULL,
	                                 NULL);
}

CUresult cuStreamGetCaptureInfo_ptsz(CUstream hStream, CUstreamCaptureStatus *captureStatus_out,
                                     cuuint64_t *id_out)
{
	return cuStreamGetCaptureInfo(SG_PT(hStream), captureStatus_out, id_out);
}

CUresult cuStreamIsCapturing(CUstream hStream, CUstreamCaptureStatus *captureStatus)
{
	return cuStreamGetCaptureInfo(hStream, captureStatus, NULL);
}

CUresult cuStreamIsCapturing_ptsz(CUstream hStream, CUstreamCaptureStatus *captureStatus)
{
	return cuStreamIsCapturing(SG_PT(hStream), captureStatus);
}

static CUresult update_tail(CUstream s, const CUgraphNode *deps, size_t n, bool set)
{
	struct sg_capture *c = s->capture;
	if (!c)
		return CUDA_ERROR_ILLEGAL_STATE;
	if (c->invalid)
		return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	for (size_t i = 0; i < n; i++)
		if (!sg_handle_is(deps[i], SG_NODE) || deps[i]->graph != c->graph)
			return CUDA_ERROR_INVALID_VALUE;
	if (set)
		s->n_tail = 0;
	CUresult r = CUDA_SUCCESS;
	for (size_t i = 0; i < n && r == CUDA_SUCCESS; i++)
		r = sg_nodes_add(&s->tail, &s->n_tail, deps[i]);
	return r;
}

CUresult cuStreamUpdateCaptureDependencies(CUstream hStream, CUgraphNode *dependencies,
                                           size_t numDependencies, unsigned int flags)
{
	CUstream s;
	CUresult r = sg_stream_get(hStream, &s);
	if (r != CUDA_SUCCESS)
		return r;
	if ((numDependencies && !dependencies) || flags > CU_STREAM_SET_CAPTURE_DEPENDENCIES)
		return CUDA_ERROR_INVALID_VALUE;
	sg_lock();
	r = update_tail(s, dependencies, numDependencies,
	                flags == CU_STREAM_SET_CAPTURE_DEPENDENCIES);
	sg_unlock();
	return r;
}

CUresult cuStreamUpdateCaptureDependencies_ptsz(CUstream hStream, CUgraphNode *dependencies,
                                                size_t numDependencies, unsigned int flags)
{
	return cuStreamUpdateCaptureDependencies(SG_PT(hStream), dependencies, numDependencies,
	                                         flags);
}

CUresult cuStreamUpdateCaptureDependencies_v2(CUstream hStream, CUgraphNode *dependencies,
                                              const CUgraphEdgeData *dependencyData,
                                              size_t numDependencies, unsigned int flags)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (dependencyData)
		return sg_missing("cuStreamUpdateCaptureDependencies with edge data");
	return cuStreamUpdateCaptureDependencies(hStream, dependencies, numDependencies, flags);
}

CUresult cuStreamUpdateCaptureDependencies_v2_ptsz(CUstream hStream, CUgraphNode *dependencies,
                                                   const CUgraphEdgeData *dependencyData,
                                                   size_t numDependencies, unsigned int flags)
{
	return cuStreamUpdateCaptureDependencies_v2(SG_PT(hStream), dependencies, dependencyData,
	                                            numDependencies, flags);
}
