/* SPDX-License-Identifier: Apache-2.0 */
/* graphs.h: stream capture in all modes, right and wrong, and graphs: launched, updated, built by
 * hand. Nothing that is captured runs, so the model's cells are touched by launches alone. */
#ifndef RANDOM_GRAPHS_H
#define RANDOM_GRAPHS_H

#include "things.h"

/* A stream that may capture now: others use the legacy stream, which must not meet it. */
static inline struct stream *pick_capturable(struct world *w, const struct stream *but)
{
	for (unsigned tries = 0; tries < 20; tries++) {
		struct stream *s = pick_stream(w, w->cur);
		if (s != but && s->kind != LEGACY && (w->phase == SOLO || s->kind == NON_BLOCKING))
			return s;
	}
	return NULL;
}

static inline CUresult capture_step(struct world *w, struct stream *s, CUfunction f,
                                    const struct cell *c, const char *name)
{
	struct step k;
	step_set(&k, f, c, w);
	return CALL(
	    w, cuLaunchKernel(k.f, BLOCKS, 1, 1, CELL / BLOCKS, 1, 1, 0, s->handle, k.params, NULL),
	    "cuLaunchKernel %s c%u %s *%u+%u (captured)", name, cell_no(w, c), s->name, k.a, k.b);
}

/* One captured piece of work: `shape` chooses what, the thread's numbers the values. */
static inline void capture_work(struct world *w, struct stream *s, uint64_t *shape,
                                const struct cell *c, const struct cell *src,
                                const struct cell *host)
{
	unsigned which = (unsigned)(mix64(shape) >> 40) % KERNELS, v = pick(w, 1000);
	char name[8];
	snprintf(name, sizeof(name), "k%u", which);
	switch ((mix64(shape) >> 40) % 6) {
	case 0:
		CALL(w, cuMemsetD32Async(c->dev + 16, v, 9, s->handle),
		     "cuMemsetD32Async c%u %u %s (captured)", cell_no(w, c), v, s->name);
		break;
	case 1:
		if (src)
			CALL(w, cuMemcpyDtoDAsync(c->dev, src->dev, 77, s->handle),
			     "cuMemcpyDtoDAsync c%u c%u %s (captured)", cell_no(w, c),
			     cell_no(w, src), s->name);
		break;
	case 2:
		if (host)
			CALL(w, cuLaunchHostFunc(s->handle, host_function, note_new(w, host, true)),
			     "cuLaunchHostFunc c%u %s (captured)", cell_no(w, host), s->name);
		break;
	default:
		capture_step(w, s, w->step[s->ctx][which], c, name);
	}
}

/* A side branch, by events. `join_it`: false leaves it unjoined, which ends the capture badly. */
static inline void capture_fork(struct world *w, struct stream *s, struct stream *s2,
                                const struct cell *c, bool join_it, unsigned n)
{
	CUevent fork, back;
	must(!cuEventCreate(&fork, CU_EVENT_DISABLE_TIMING) &&
	         !cuEventCreate(&back, CU_EVENT_DISABLE_TIMING),
	     "no events");
	/* where the capture is invalid already s2 stays out of it, and would do the work */
	bool in =
	    !CALL(w, cuEventRecord(fork, s->handle), "cuEventRecord fork %s", s->name) &&
	    !CALL(w, cuStreamWaitEvent(s2->handle, fork, 0), "cuStreamWaitEvent %s fork", s2->name);
	for (unsigned i = 0; in && i < n; i++)
		capture_step(w, s2, w->branch[s->ctx], c, "b0");
	if (in && join_it) {
		CALL(w, cuEventRecord(back, s2->handle), "cuEventRecord back %s", s2->name);
		CALL(w, cuStreamWaitEvent(s->handle, back, 0), "cuStreamWaitEvent %s back",
		     s->name);
	}
	must(!cuEventDestroy(fork) && !cuEventDestroy(back), "cuEventDestroy");
}

/* What a capture forbids, or what it merely answers. True: the capture is over. */
static inline bool capture_badly(struct world *w, struct stream *s, CUstreamCaptureMode mode)
{
	struct event *e = pick_event(w, w->cur);
	CUstreamCaptureMode was = CU_STREAM_CAPTURE_MODE_GLOBAL;
	CUgraph graph = NULL;
	CUdeviceptr p = 0;
	CUresult r;
	switch (pick(w, 10)) {
	case 0:
		CALL(w, cuStreamSynchronize(s->handle), "cuStreamSynchronize %s (capturing)",
		     s->name);
		break;
	case 1:
		CALL(w, cuStreamQuery(s->handle), "cuStreamQuery %s (capturing)", s->name);
		break;
	case 2:
		CALL(w, cuStreamBeginCapture(s->handle, mode),
		     "cuStreamBeginCapture %s (capturing)", s->name);
		break;
	case 3: /* prohibited, but for who says that it knows better */
		if (chance(w, 50))
			was = CU_STREAM_CAPTURE_MODE_RELAXED;
		CALL(w, cuThreadExchangeStreamCaptureMode(&was),
		     "cuThreadExchangeStreamCaptureMode");
		r = CALL(w, cuMemAlloc(&p, 64), "cuMemAlloc (capturing)");
		if (r == CUDA_SUCCESS)
			CALL(w, cuMemFree(p), "cuMemFree (capturing)");
		CALL(w, cuThreadExchangeStreamCaptureMode(&was),
		     "cuThreadExchangeStreamCaptureMode back");
		break;
	case 4:
		if (e) { /* recorded outside, so not to be waited for inside */
			CALL(w, cuStreamWaitEvent(s->handle, e->handle, 0),
			     "cuStreamWaitEvent %s e%u (capturing)", s->name,
			     (unsigned)(e - w->events));
		}
		break;
	case 5:
		CALL(w,
		     cuLaunchKernel(w->step[s->ctx][0], 1, 1, 1, 5000, 1, 1, 0, s->handle, NULL,
		                    NULL),
		     "cuLaunchKernel with too large a block %s (capturing)", s->name);
		break;
	case 6:
		if (w->phase == SOLO && is_blocking(s))
			CALL(w, cuMemsetD32Async(w->words[s->ctx], 0, 1, NULL),
			     "cuMemsetD32Async legacy (capturing %s)", s->name);
		break;
	case 7:
		if (w->phase == SOLO)
			CALL(w, cuCtxSynchronize(), "cuCtxSynchronize (capturing)");
		break;
	case 8:
		if (e) {
			CALL(w, cuEventRecord(e->handle, s->handle),
			     "cuEventRecord e%u %s (capturing)", (unsigned)(e - w->events),
			     s->name);
			CALL(w, cuEventSynchronize(e->handle), "cuEventSynchronize e%u (capturing)",
			     (unsigned)(e - w->events));
			CALL(w, cuEventDestroy(e->handle), "cuEventDestroy e%u",
			     (unsigned)(e - w->events));
			e->handle = NULL;
		}
		break;
	default:
		if (CALL(w, cuStreamEndCapture(s->handle, &graph), "cuStreamEndCapture %s early",
		         s->name) == CUDA_SUCCESS)
			CALL(w, cuGraphDestroy(graph), "cuGraphDestroy");
		return true;
	}
	return false;
}

/* Captures what `shape` says. The graph, or NULL: the capture failed or is not wanted. */
static inline CUgraph capture(struct world *w, struct exec *g, struct stream *s, bool bad)
{
	static const CUstreamCaptureMode modes[] = {CU_STREAM_CAPTURE_MODE_THREAD_LOCAL,
	                                            CU_STREAM_CAPTURE_MODE_RELAXED,
	                                            CU_STREAM_CAPTURE_MODE_GLOBAL};
	CUstreamCaptureMode mode = modes[pick(w, w->phase == SOLO ? 3 : 2)];
	uint64_t shape = g->shape;
	unsigned n = 1 + (unsigned)(mix64(&shape) >> 40) % 5;
	bool fork = (mix64(&shape) >> 40) % 3 == 0;
	unsigned branch = 1 + (unsigned)(mix64(&shape) >> 40) % 3;
	const struct cell *c = &w->cells[g->cells[0]];
	const struct cell *src = g->cells[1] >= 0 ? &w->cells[g->cells[1]] : NULL;
	const struct cell *host = g->cells[2] >= 0 ? &w->cells[g->cells[2]] : NULL;
	const struct cell *side = g->cells[3] >= 0 ? &w->cells[g->cells[3]] : NULL;
	struct stream *s2 = fork && side ? pick_capturable(w, s) : NULL;
	CUgraph graph = NULL, into = NULL;
	CUresult r;
	if (chance(w, 20) && !CALL(w, cuGraphCreate(&into, 0), "cuGraphCreate"))
		r = CALL(w, cuStreamBeginCaptureToGraph(s->handle, into, NULL, NULL, 0, mode),
		         "cuStreamBeginCaptureToGraph %s %d", s->name, (int)mode);
	else
		r = CALL(w, cuStreamBeginCapture(s->handle, mode), "cuStreamBeginCapture %s %d",
		         s->name, (int)mode);
	if (r != CUDA_SUCCESS)
		return NULL;
	for (unsigned i = 0; i < n; i++) {
		if (bad && i == n / 2 && capture_badly(w, s, mode))
			return NULL;
		if (s2 && i == n / 3)
			capture_fork(w, s, s2, side, !bad || chance(w, 50), branch);
		capture_work(w, s, &shape, c, src, host);
	}
	if (bad && s2 && chance(w, 30))
		CALL(w, cuStreamEndCapture(s2->handle, &graph), "cuStreamEndCapture %s for %s",
		     s2->name, s->name);
	r = CALL(w, cuStreamEndCapture(s->handle, &graph), "cuStreamEndCapture %s", s->name);
	return r == CUDA_SUCCESS ? graph : NULL;
}

static inline CUgraphExec instantiate(struct world *w, CUgraph graph, unsigned i)
{
	CUgraphExec exec = NULL;
	size_t nodes = 0;
	CALL(w, cuGraphGetNodes(graph, NULL, &nodes), "cuGraphGetNodes");
	out(w, "%u.  %zu nodes\n", w->id, nodes);
	CUresult r = CALL(w, cuGraphInstantiate(&exec, graph, 0), "cuGraphInstantiate g%u", i);
	CALL(w, cuGraphDestroy(graph), "cuGraphDestroy");
	return r == CUDA_SUCCESS ? exec : NULL;
}

static inline int no_or(struct world *w, const struct cell *c)
{
	return c ? (int)cell_no(w, c) : -1;
}

static inline struct exec *free_exec(struct world *w)
{
	for (unsigned i = 0; i < EXECS; i++)
		if (!w->execs[i].handle)
			return &w->execs[i];
	return NULL;
}

/* Chooses up to four cells that stay the graph's for its life. */
static inline bool graph_cells(struct world *w, struct exec *g)
{
	struct cell *c = pick_cell(w, true, w->cur, NULL), *src = pick_cell(w, true, w->cur, c);
	struct cell *host = pick_cell(w, false, 0, NULL), *side = NULL;
	for (unsigned i = 0; i < CELLS && !side; i++) {
		struct cell *x = &w->cells[i];
		if (on_device(x) && x->ctx == w->cur && x != c && x != src)
			side = x;
	}
	*g = (struct exec){.ctx = w->cur, .shape = mix64(&w->random), .n_cells = 4};
	g->cells[0] = no_or(w, c);
	g->cells[1] = no_or(w, src);
	g->cells[2] = no_or(w, host);
	g->cells[3] = no_or(w, side);
	return c != NULL;
}

static inline void do_capture(struct world *w)
{
	struct exec *g = free_exec(w);
	struct stream *s = pick_capturable(w, NULL);
	bool bad = chance(w, 35);
	if (!g || !s || w->phase == OPEN || !graph_cells(w, g))
		return;
	CUgraph graph = capture(w, g, s, bad);
	if (graph && bad)
		CALL(w, cuGraphDestroy(graph), "cuGraphDestroy");
	else if (graph)
		g->handle = instantiate(w, graph, (unsigned)(g - w->execs));
}

static inline struct exec *pick_exec(struct world *w)
{
	unsigned first = pick(w, EXECS);
	for (unsigned i = 0; i < EXECS; i++) {
		struct exec *g = &w->execs[(first + i) % EXECS];
		if (g->handle)
			return g;
	}
	return NULL;
}

static inline void launch_graph(struct world *w, struct exec *g)
{
	struct stream *s = pick_stream(w, g->ctx);
	for (unsigned n = 1 + pick(w, 3); n; n--) {
		for (unsigned i = 0; i < g->n_cells; i++)
			if (g->cells[i] >= 0)
				order_cell(w, s, &w->cells[g->cells[i]]);
		enter(w, s->ctx);
		if (CALL(w, cuGraphLaunch(g->handle, s->handle), "cuGraphLaunch g%u %s",
		         (unsigned)(g - w->execs), s->name))
			return;
		commit(w, s);
		for (unsigned i = 0; i < g->n_cells; i++)
			if (g->cells[i] >= 0)
				touched(&w->cells[g->cells[i]], s);
	}
}

/* The same shape with other values, or (sometimes) another shape, which is refused. */
static inline void update_graph(struct world *w, struct exec *g)
{
	CUgraphExecUpdateResultInfo info;
	struct exec again = *g;
	if (w->phase == OPEN)
		return;
	enter(w, g->ctx);
	struct stream *s = pick_capturable(w, NULL);
	if (!s || g->explicit_nodes)
		return;
	if (chance(w, 25))
		again.shape = mix64(&w->random);
	CUgraph graph = capture(w, &again, s, false);
	if (!graph)
		return;
	memset(&info, 0, sizeof(info));
	CUresult r = CALL(w, cuGraphExecUpdate(g->handle, graph, &info), "cuGraphExecUpdate g%u",
	                  (unsigned)(g - w->execs));
	out(w, "%u.  result %d\n", w->id, (int)info.result);
	if (r == CUDA_SUCCESS)
		g->shape = again.shape;
	CALL(w, cuGraphDestroy(graph), "cuGraphDestroy");
}

static inline void do_graph(struct world *w)
{
	struct exec *g = pick_exec(w);
	if (!g)
		return;
	unsigned what = pick(w, 10);
	if (what < 6) {
		launch_graph(w, g);
	} else if (what < 8) {
		update_graph(w, g);
	} else if (what == 8) {
		struct stream *s = pick_stream(w, g->ctx);
		enter(w, g->ctx);
		if (CALL(w, cuGraphUpload(g->handle, s->handle), "cuGraphUpload g%u %s",
		         (unsigned)(g - w->execs), s->name) == CUDA_SUCCESS)
			commit(w, s);
	} else {
		CALL(w, cuGraphExecDestroy(g->handle), "cuGraphExecDestroy g%u",
		     (unsigned)(g - w->execs));
		g->handle = NULL;
	}
}

/* A chain of nodes made by hand: two kernels, a set between them. */
static inline void do_graph_nodes(struct world *w)
{
	struct exec *g = free_exec(w);
	struct step k;
	CUgraph graph;
	CUgraphNode node[3];
	CUDA_KERNEL_NODE_PARAMS p = {.gridDimX = BLOCKS,
	                             .gridDimY = 1,
	                             .gridDimZ = 1,
	                             .blockDimX = CELL / BLOCKS,
	                             .blockDimY = 1,
	                             .blockDimZ = 1};
	CUDA_MEMSET_NODE_PARAMS set = {.elementSize = 4, .width = 11, .height = 1};
	if (!g || !graph_cells(w, g))
		return;
	const struct cell *c = &w->cells[g->cells[0]];
	g->cells[1] = g->cells[2] = g->cells[3] = -1;
	g->explicit_nodes = true;
	step_set(&k, w->step[w->cur][1], c, w);
	p.func = k.f;
	p.kernelParams = k.params;
	set.dst = c->dev + 8;
	set.value = pick(w, 1000);
	if (CALL(w, cuGraphCreate(&graph, 0), "cuGraphCreate"))
		return;
	CALL(w, cuGraphAddKernelNode(&node[0], graph, NULL, 0, &p),
	     "cuGraphAddKernelNode c%u *%u+%u", cell_no(w, c), k.a, k.b);
	CALL(w, cuGraphAddMemsetNode(&node[1], graph, node, 1, &set, w->ctx[w->cur]),
	     "cuGraphAddMemsetNode c%u %u", cell_no(w, c), set.value);
	step_set(&k, w->step[w->cur][2], c, w);
	p.func = k.f;
	CALL(w, cuGraphAddKernelNode(&node[2], graph, &node[1], 1, &p),
	     "cuGraphAddKernelNode c%u *%u+%u", cell_no(w, c), k.a, k.b);
	if (CALL(w, cuGraphInstantiate(&g->handle, graph, 0), "cuGraphInstantiate g%u",
	         (unsigned)(g - w->execs)))
		g->handle = NULL;
	if (g->handle && chance(w, 50)) {
		step_set(&k, w->step[w->cur][2], c, w);
		CALL(w, cuGraphExecKernelNodeSetParams(g->handle, node[2], &p),
		     "cuGraphExecKernelNodeSetParams *%u+%u", k.a, k.b);
	}
	CALL(w, cuGraphDestroy(graph), "cuGraphDestroy");
	if (g->handle)
		launch_graph(w, g);
}

#endif
