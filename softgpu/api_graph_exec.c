// SPDX-License-Identifier: Apache-2.0
/*
 * api_graph_exec.c: executable graphs: a flat list of ops in topological order, made once and
 * launched as batches of engine commands.
 *
 * Event records and waits inside a graph are points of the stream that it is launched in: they
 * split the list into batches, each of which follows the one before. That serialises more than
 * the graph asks for, never less. Launches of one executable graph follow one another even from
 * different streams, as the manual has it.
 */
#include "api.h"

#include <string.h>

#include "api_graph.h"
#include "trace.h"

void sg_exec_free(CUgraphExec e)
{
	for (uint32_t i = 0; i < e->n; i++) {
		sg_op_fini(&e->nodes[i].op);
		free(e->nodes[i].deps);
	}
	free(e->nodes);
	if (e->last)
		sg_event_free(e->last);
	free(e);
}

/* ---- flattening: a child node becomes its graph's nodes, an empty node after them */

struct index_list {
	uint32_t *at;
	uint32_t n;
};

static CUresult index_add(struct index_list *l, uint32_t i)
{
	uint32_t *grown = realloc(l->at, (l->n + 1) * sizeof(*grown));
	if (!grown)
		return CUDA_ERROR_OUT_OF_MEMORY;
	l->at = grown;
	grown[l->n++] = i;
	return CUDA_SUCCESS;
}

/* Takes deps. */
static CUresult append(CUgraphExec e, const struct sg_op *op, struct index_list *deps,
                       CUgraphNode origin)
{
	struct sg_exec_node *grown = realloc(e->nodes, (e->n + 1) * sizeof(*grown));
	CUresult r = CUDA_ERROR_OUT_OF_MEMORY;
	if (grown) {
		e->nodes = grown;
		memset(&grown[e->n], 0, sizeof(*grown));
		r = sg_op_copy(&grown[e->n].op, op);
	}
	if (r != CUDA_SUCCESS) {
		free(deps->at);
		return r;
	}
	grown[e->n].deps = deps->at;
	grown[e->n].n_deps = deps->n;
	grown[e->n].origin = origin;
	e->n++;
	return CUDA_SUCCESS;
}

static CUresult flatten(CUgraphExec e, CUgraph g, const struct index_list *entry);

static CUresult flatten_node(CUgraphExec e, CUgraphNode node, const struct index_list *entry)
{
	struct index_list deps = {0};
	CUresult r = CUDA_SUCCESS;
	/* an ancestor's mark is where it ended up; roots begin where the whole graph does */
	for (size_t i = 0; i < node->n_deps && r == CUDA_SUCCESS; i++)
		r = index_add(&deps, (uint32_t)node->deps[i]->mark);
	for (uint32_t i = 0; !node->n_deps && i < entry->n && r == CUDA_SUCCESS; i++)
		r = index_add(&deps, entry->at[i]);
	if (r == CUDA_SUCCESS && node->op.kind == SG_OP_CHILD) {
		struct sg_op end = {.kind = SG_OP_EMPTY};
		struct index_list all = {0};
		uint32_t first = e->n;
		r = flatten(e, node->op.child, &deps);
		for (uint32_t i = 0; i < deps.n && r == CUDA_SUCCESS && e->n == first; i++)
			r = index_add(&all, deps.at[i]);
		for (uint32_t i = first; i < e->n && r == CUDA_SUCCESS; i++)
			r = index_add(&all, i);
		free(deps.at);
		if (r == CUDA_SUCCESS)
			r = append(e, &end, &all, node);
		else
			free(all.at);
	} else if (r == CUDA_SUCCESS && node->op.kind == SG_OP_COND) {
		struct sg_op branch;
		r = sg_branch_op(&branch, &node->op);
		if (r == CUDA_SUCCESS) {
			r = append(e, &branch, &deps, node);
			sg_op_fini(&branch);
		} else {
			free(deps.at);
		}
	} else if (r == CUDA_SUCCESS) {
		r = append(e, &node->op, &deps, node);
	} else {
		free(deps.at);
	}
	if (r == CUDA_SUCCESS)
		node->mark = e->n - 1;
	return r;
}

static CUresult flatten(CUgraphExec e, CUgraph g, const struct index_list *entry)
{
	CUgraphNode *order;
	CUresult r = sg_graph_order(g, &order);
	if (r != CUDA_SUCCESS)
		return r;
	for (size_t i = 0; i < g->n_nodes && r == CUDA_SUCCESS; i++)
		r = flatten_node(e, order[i], entry);
	free(order);
	return r;
}

CUresult sg_exec_new(CUgraph g, CUgraphExec *out)
{
	uint32_t first = 0;
	struct index_list none = {0}, entry = {&first, 0};
	struct sg_op defaults = {.kind = SG_OP_EMPTY};
	CUgraphExec e = calloc(1, sizeof(*e));
	if (!e)
		return CUDA_ERROR_OUT_OF_MEMORY;
	e->id = sg_trace_graph_id();
	e->last = sg_event_new();
	CUresult r = e->last ? sg_defaults_op(&defaults, g) : CUDA_ERROR_OUT_OF_MEMORY;
	if (r == CUDA_SUCCESS && defaults.kind == SG_OP_DEFAULTS) {
		r = append(e, &defaults, &none, NULL);
		entry.n = 1;
	}
	sg_op_fini(&defaults);
	if (r == CUDA_SUCCESS)
		r = flatten(e, g, &entry);
	if (r != CUDA_SUCCESS) {
		sg_exec_free(e);
		return r;
	}
	*out = e;
	return CUDA_SUCCESS;
}

/* ---- instantiation */

static CUresult instantiate(CUgraphExec *out, CUgraph g, unsigned long long flags)
{
	CUresult r = sg_graph_check(g);
	if (r != CUDA_SUCCESS)
		return r;
	if (!out || flags >= 2 * CUDA_GRAPH_INSTANTIATE_FLAG_USE_NODE_PRIORITY)
		return CUDA_ERROR_INVALID_VALUE;
	if (flags & CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH)
		return sg_missing("cuGraphInstantiate for launches by the device");
	CUgraphExec e = NULL;
	sg_lock();
	r = g->capturing ? CUDA_ERROR_INVALID_VALUE : sg_exec_new(g, &e);
	sg_unlock();
	if (r == CUDA_SUCCESS) {
		e->flags = flags;
		r = sg_handle_add(e, SG_EXEC);
		if (r == CUDA_SUCCESS)
			*out = e;
		else
			sg_exec_free(e);
	}
	return r;
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec *phGraphExec, CUgraph hGraph,
                                     unsigned long long flags)
{
	return instantiate(phGraphExec, hGraph, flags);
}

CUresult cuGraphInstantiate_v2(CUgraphExec *phGraphExec, CUgraph hGraph, CUgraphNode *phErrorNode,
                               char *logBuffer, size_t bufferSize)
{
	if (phErrorNode)
		*phErrorNode = NULL;
	if (logBuffer && bufferSize)
		logBuffer[0] = 0;
	return instantiate(phGraphExec, hGraph, 0);
}

CUresult cuGraphInstantiate(CUgraphExec *phGraphExec, CUgraph hGraph, CUgraphNode *phErrorNode,
                            char *logBuffer, size_t bufferSize)
{
	return cuGraphInstantiate_v2(phGraphExec, hGraph, phErrorNode, logBuffer, bufferSize);
}

static CUresult upload(CUgraphExec e, CUstream hStream);

static CUresult with_params(CUgraphExec *out, CUgraph g, CUDA_GRAPH_INSTANTIATE_PARAMS *p,
                            bool per_thread)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	r = instantiate(out, g, p->flags);
	p->hErrNode_out = NULL;
	p->result_out = r == CUDA_SUCCESS ? CUDA_GRAPH_INSTANTIATE_SUCCESS
	                : r == CUDA_ERROR_NOT_SUPPORTED
	                    ? CUDA_GRAPH_INSTANTIATE_NODE_OPERATION_NOT_SUPPORTED
	                    : CUDA_GRAPH_INSTANTIATE_ERROR;
	if (r == CUDA_SUCCESS && (p->flags & CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD))
		r = upload(*out, per_thread ? SG_PT(p->hUploadStream) : p->hUploadStream);
	return r;
}

CUresult cuGraphInstantiateWithParams(CUgraphExec *phGraphExec, CUgraph hGraph,
                                      CUDA_GRAPH_INSTANTIATE_PARAMS *instantiateParams)
{
	return with_params(phGraphExec, hGraph, instantiateParams, false);
}

CUresult cuGraphInstantiateWithParams_ptsz(CUgraphExec *phGraphExec, CUgraph hGraph,
                                           CUDA_GRAPH_INSTANTIATE_PARAMS *instantiateParams)
{
	return with_params(phGraphExec, hGraph, instantiateParams, true);
}

CUresult sg_exec_check(CUgraphExec e)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	return sg_handle_is(e, SG_EXEC) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuGraphExecGetFlags(CUgraphExec hGraphExec, cuuint64_t *flags)
{
	CUresult r = sg_exec_check(hGraphExec);
	if (r != CUDA_SUCCESS)
		return r;
	if (!flags)
		return CUDA_ERROR_INVALID_VALUE;
	*flags = hGraphExec->flags;
	return CUDA_SUCCESS;
}

/* Launches hold copies of what they run. */
CUresult cuGraphExecDestroy(CUgraphExec hGraphExec)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!sg_handle_remove(hGraphExec, SG_EXEC))
		return CUDA_ERROR_INVALID_VALUE;
	sg_lock();
	sg_exec_free(hGraphExec);
	sg_unlock();
	return CUDA_SUCCESS;
}

/* ---- launch */

/* What one launch submits: commands [first, first + n) or one event op. */
struct step {
	uint32_t first, n;
	struct sg_op op; /* kind RECORD or WAIT if n == 0 */
};

struct plan {
	struct sg_cmd **cmds;
	uint32_t n_cmds;
	struct step *steps;
	uint32_t n_steps;
};

static void plan_free(struct plan *p, uint32_t first_step)
{
	for (uint32_t i = first_step; i < p->n_steps; i++)
		for (uint32_t j = 0; j < p->steps[i].n; j++) {
			struct sg_cmd *cmd = p->cmds[p->steps[i].first + j];
			cmd->destroy(cmd);
		}
	for (uint32_t i = 0; i < p->n_steps; i++)
		if (p->steps[i].n == 0)
			sg_op_fini(&p->steps[i].op);
	free(p->cmds);
	free(p->steps);
}

static bool is_event_op(const struct sg_exec_node *node)
{
	return node->op.kind == SG_OP_RECORD || node->op.kind == SG_OP_WAIT;
}

/* Adds node i: an event op is a step of its own, else it joins the batch that is open. `place`
 * maps places in the list to places in the open batch; those before `open_from` are past. */
static CUresult plan_node(CUgraphExec e, uint32_t i, struct plan *p, uint32_t *place,
                          uint32_t *open_from)
{
	static const struct sg_op empty = {.kind = SG_OP_EMPTY};
	const struct sg_exec_node *node = &e->nodes[i];
	if (is_event_op(node)) {
		*open_from = i + 1;
		if (node->disabled)
			return CUDA_SUCCESS;
		struct step *s = &p->steps[p->n_steps++];
		return sg_op_copy(&s->op, &node->op);
	}
	if (p->n_steps == 0 || p->steps[p->n_steps - 1].n == 0 || *open_from == i)
		p->steps[p->n_steps++] = (struct step){.first = p->n_cmds};
	struct step *s = &p->steps[p->n_steps - 1];
	uint32_t *deps = malloc((node->n_deps + 1) * sizeof(*deps)), n = 0;
	if (!deps)
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (uint32_t j = 0; j < node->n_deps; j++)
		if (node->deps[j] >= *open_from)
			deps[n++] = place[node->deps[j]];
	struct sg_cmd *cmd = sg_op_command(node->disabled ? &empty : &node->op, deps, n);
	free(deps);
	if (!cmd)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (cmd->trace) {
		cmd->trace->graph = e->id;
		cmd->trace->node = (uint64_t)e->id << 32 | (i + 1);
	}
	place[i] = s->n++;
	p->cmds[p->n_cmds++] = cmd;
	return CUDA_SUCCESS;
}

static CUresult plan_make(CUgraphExec e, struct plan *p)
{
	uint32_t *place = calloc(e->n + 1, sizeof(*place)), open_from = 0;
	p->cmds = calloc(e->n + 1, sizeof(*p->cmds));
	p->steps = calloc(2 * (size_t)e->n + 1, sizeof(*p->steps));
	CUresult r = place && p->cmds && p->steps ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
	for (uint32_t i = 0; i < e->n && r == CUDA_SUCCESS; i++)
		r = plan_node(e, i, p, place, &open_from);
	free(place);
	if (r != CUDA_SUCCESS)
		plan_free(p, 0);
	return r;
}

/* A profiler knows by the number when the whole launch is done. */
static void plan_trace(struct plan *p)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < p->n_cmds; i++)
		n += p->cmds[i]->trace != NULL;
	for (uint32_t i = 0; n && i < p->n_cmds; i++)
		if (p->cmds[i]->trace)
			p->cmds[i]->trace->graph_commands = n;
}

static CUresult plan_submit(struct plan *p, CUstream s)
{
	CUresult r = CUDA_SUCCESS;
	uint32_t i = 0;
	plan_trace(p);
	for (; i < p->n_steps && r == CUDA_SUCCESS; i++) {
		struct step *step = &p->steps[i];
		if (step->n)
			r = sg_submit_batch(s->engine, p->cmds + step->first, step->n);
		else if (step->op.kind == SG_OP_RECORD)
			r = sg_event_put(step->op.event, s->engine);
		else
			r = sg_event_await(step->op.event, s->engine);
	}
	plan_free(p, i); /* what was submitted, even in vain, is the engine's */
	return r;
}

/* Every op must still have the context it was made in. */
static CUresult contexts_alive(CUgraphExec e)
{
	for (uint32_t i = 0; i < e->n; i++) {
		CUcontext ctx = e->nodes[i].op.ctx;
		if (ctx && !rein_load_acquire(&ctx->alive))
			return CUDA_ERROR_CONTEXT_IS_DESTROYED;
	}
	return CUDA_SUCCESS;
}

static CUresult launch(CUgraphExec e, CUstream s)
{
	struct plan plan = {0};
	sg_lock();
	CUresult r = contexts_alive(e);
	if (r == CUDA_SUCCESS)
		r = sg_graph_memory_launch(e, sg_stream_id(s->engine));
	if (r == CUDA_SUCCESS)
		r = plan_make(e, &plan);
	bool elsewhere = e->last_stream && e->last_stream != sg_stream_id(s->engine);
	e->last_stream = sg_stream_id(s->engine);
	sg_unlock();
	if (r == CUDA_SUCCESS && elsewhere) {
		r = sg_stream_wait_event(s->engine, e->last);
		if (r != CUDA_SUCCESS)
			plan_free(&plan, 0);
	}
	if (r == CUDA_SUCCESS)
		r = plan_submit(&plan, s);
	if (r != CUDA_SUCCESS)
		return r;
	/* an error of the launch's own work, which may show already, is not this call's */
	CUresult marked = sg_event_record(e->last, s->engine);
	return sg_domain_error(s->ctx->domain) == CUDA_SUCCESS ? marked : CUDA_SUCCESS;
}

static CUresult launch_in(CUgraphExec e, CUstream stream)
{
	CUstream s;
	CUresult r = sg_exec_check(e);
	if (r == CUDA_SUCCESS)
		r = sg_stream_get(stream, &s);
	if (r == CUDA_SUCCESS)
		r = sg_capture_refuse(s, "cuGraphLaunch in a stream capture");
	return r == CUDA_SUCCESS ? launch(e, s) : r;
}

CUresult cuGraphLaunch(CUgraphExec hGraph, CUstream hStream)
{
	return SG_CALL(cuGraphLaunch, launch_in(hGraph, hStream), hGraph, hStream);
}

CUresult cuGraphLaunch_ptsz(CUgraphExec hGraphExec, CUstream hStream)
{
	return SG_CALL(cuGraphLaunch_ptsz, launch_in(hGraphExec, SG_PT(hStream)), hGraphExec,
	               hStream);
}

/* Nothing has to be brought to the device: only the stream's order is kept. */
static CUresult upload(CUgraphExec e, CUstream hStream)
{
	CUstream s;
	CUresult r = sg_exec_check(e);
	if (r == CUDA_SUCCESS)
		r = sg_stream_get(hStream, &s);
	if (r == CUDA_SUCCESS)
		r = sg_capture_refuse(s, "cuGraphUpload in a stream capture");
	if (r != CUDA_SUCCESS)
		return r;
	struct sg_op op = {.kind = SG_OP_EMPTY, .ctx = s->ctx};
	return sg_issue(s, &op, false);
}

CUresult cuGraphUpload(CUgraphExec hGraph, CUstream hStream)
{
	return upload(hGraph, hStream);
}

CUresult cuGraphUpload_ptsz(CUgraphExec hGraphExec, CUstream hStream)
{
	return upload(hGraphExec, SG_PT(hStream));
}
