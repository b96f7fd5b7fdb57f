// SPDX-License-Identifier: Apache-2.0
/*
 * api_graph_update.c: changing an executable graph: one node's parameters, all of them from a
 * graph of the same shape, or switching nodes off. Launches already made are not affected.
 */
#include "api.h"

#include <string.h>

#include "api_graph.h"

/* The place of a graph's node in the list; NULL if it is not of this graph. */
static struct sg_exec_node *find(CUgraphExec e, CUgraphNode node)
{
	for (uint32_t i = 0; i < e->n; i++)
		if (e->nodes[i].origin == node)
			return &e->nodes[i];
	return NULL;
}

/* Takes op. */
CUresult sg_exec_replace(CUgraphExec e, CUgraphNode node, struct sg_op *op)
{
	CUresult r = sg_exec_check(e);
	if (r != CUDA_SUCCESS) {
		sg_op_fini(op);
		return r;
	}
	sg_lock();
	struct sg_exec_node *at = find(e, node);
	bool changed = at && op->kind == SG_OP_MEMOP && at->op.kind == SG_OP_MEMOP &&
	               (at->op.ctx != op->ctx || !sg_memop_same_shape(&at->op.memop, &op->memop));
	if (at && !changed) {
		r = sg_op_replace(&at->op, op);
	} else {
		sg_op_fini(op);
		r = CUDA_ERROR_INVALID_VALUE;
	}
	sg_unlock();
	return r;
}

CUresult cuGraphExecKernelNodeSetParams_v2(CUgraphExec hGraphExec, CUgraphNode hNode,
                                           const CUDA_KERNEL_NODE_PARAMS *nodeParams)
{
	struct sg_op op;
	CUresult r = sg_node_op_kernel(&op, nodeParams);
	return r == CUDA_SUCCESS ? sg_exec_replace(hGraphExec, hNode, &op) : r;
}

CUresult cuGraphExecKernelNodeSetParams(CUgraphExec hGraphExec, CUgraphNode hNode,
                                        const CUDA_KERNEL_NODE_PARAMS_v1 *nodeParams)
{
	CUDA_KERNEL_NODE_PARAMS p;
	if (nodeParams)
		p = sg_kernel_params_of_v1(nodeParams);
	return cuGraphExecKernelNodeSetParams_v2(hGraphExec, hNode, nodeParams ? &p : NULL);
}

CUresult cuGraphExecMemcpyNodeSetParams(CUgraphExec hGraphExec, CUgraphNode hNode,
                                        const CUDA_MEMCPY3D *copyParams, CUcontext ctx)
{
	struct sg_op op;
	CUresult r = sg_node_op_copy(&op, copyParams, ctx);
	return r == CUDA_SUCCESS ? sg_exec_replace(hGraphExec, hNode, &op) : r;
}

CUresult cuGraphExecMemsetNodeSetParams(CUgraphExec hGraphExec, CUgraphNode hNode,
                                        const CUDA_MEMSET_NODE_PARAMS *memsetParams, CUcontext ctx)
{
	struct sg_op op;
	CUresult r = sg_node_op_set(&op, memsetParams, ctx);
	return r == CUDA_SUCCESS ? sg_exec_replace(hGraphExec, hNode, &op) : r;
}

CUresult cuGraphExecHostNodeSetParams(CUgraphExec hGraphExec, CUgraphNode hNode,
                                      const CUDA_HOST_NODE_PARAMS *nodeParams)
{
	struct sg_op op;
	CUresult r = sg_node_op_host(&op, nodeParams);
	return r == CUDA_SUCCESS ? sg_exec_replace(hGraphExec, hNode, &op) : r;
}

CUresult cuGraphExecEventRecordNodeSetEvent(CUgraphExec hGraphExec, CUgraphNode hNode,
                                            CUevent event)
{
	struct sg_op op;
	CUresult r = sg_node_op_event(&op, SG_OP_RECORD, event);
	return r == CUDA_SUCCESS ? sg_exec_replace(hGraphExec, hNode, &op) : r;
}

CUresult cuGraphExecEventWaitNodeSetEvent(CUgraphExec hGraphExec, CUgraphNode hNode, CUevent event)
{
	struct sg_op op;
	CUresult r = sg_node_op_event(&op, SG_OP_WAIT, event);
	return r == CUDA_SUCCESS ? sg_exec_replace(hGraphExec, hNode, &op) : r;
}

/* ---- on and off: kernels, copies and sets only */

static CUresult switchable(CUgraphExec e, CUgraphNode node, struct sg_exec_node **at)
{
	*at = find(e, node);
	if (!*at || ((*at)->op.kind != SG_OP_KERNEL && (*at)->op.kind != SG_OP_COPY &&
	             (*at)->op.kind != SG_OP_SET))
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

CUresult cuGraphNodeSetEnabled(CUgraphExec hGraphExec, CUgraphNode hNode, unsigned int isEnabled)
{
	struct sg_exec_node *at;
	CUresult r = sg_exec_check(hGraphExec);
	if (r != CUDA_SUCCESS)
		return r;
	sg_lock();
	r = switchable(hGraphExec, hNode, &at);
	if (r == CUDA_SUCCESS)
		at->disabled = !isEnabled;
	sg_unlock();
	return r;
}

CUresult cuGraphNodeGetEnabled(CUgraphExec hGraphExec, CUgraphNode hNode, unsigned int *isEnabled)
{
	struct sg_exec_node *at;
	CUresult r = sg_exec_check(hGraphExec);
	if (r != CUDA_SUCCESS)
		return r;
	if (!isEnabled)
		return CUDA_ERROR_INVALID_VALUE;
	sg_lock();
	r = switchable(hGraphExec, hNode, &at);
	if (r == CUDA_SUCCESS)
		*isEnabled = !at->disabled;
	sg_unlock();
	return r;
}

/* ---- the whole graph */

/* The first difference that an update cannot make up for; *at: where. */
static CUgraphExecUpdateResult compare(CUgraphExec e, CUgraphExec with, CUgraphNode *at)
{
	*at = NULL;
	if (e->n != with->n)
		return CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
	for (uint32_t i = 0; i < e->n; i++) {
		const struct sg_exec_node *a = &e->nodes[i], *b = &with->nodes[i];
		*at = b->origin;
		if (a->op.kind != b->op.kind)
			return CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED;
		if (a->n_deps != b->n_deps ||
		    (a->n_deps && memcmp(a->deps, b->deps, a->n_deps * sizeof(*a->deps)) != 0))
			return CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
		if (a->op.kind == SG_OP_MEMOP &&
		    (a->op.ctx != b->op.ctx || !sg_memop_same_shape(&a->op.memop, &b->op.memop)))
			return CU_GRAPH_EXEC_UPDATE_ERROR_PARAMETERS_CHANGED;
		if (a->op.kind == SG_OP_KERNEL && a->op.ctx != b->op.ctx)
			return CU_GRAPH_EXEC_UPDATE_ERROR_UNSUPPORTED_FUNCTION_CHANGE;
	}
	*at = NULL;
	return CU_GRAPH_EXEC_UPDATE_SUCCESS;
}

CUresult cuGraphExecUpdate_v2(CUgraphExec hGraphExec, CUgraph hGraph,
                              CUgraphExecUpdateResultInfo *resultInfo)
{
	CUresult r = sg_exec_check(hGraphExec);
	if (r == CUDA_SUCCESS)
		r = sg_graph_check(hGraph);
	if (r != CUDA_SUCCESS)
		return r;
	if (!resultInfo)
		return CUDA_ERROR_INVALID_VALUE;
	CUgraphExec with;
	memset(resultInfo, 0, sizeof(*resultInfo));
	sg_lock();
	r = sg_exec_new(hGraph, &with);
	if (r == CUDA_SUCCESS) {
		resultInfo->result = compare(hGraphExec, with, &resultInfo->errorNode);
		if (resultInfo->result != CU_GRAPH_EXEC_UPDATE_SUCCESS)
			r = CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE;
		for (uint32_t i = 0; i < with->n && r == CUDA_SUCCESS; i++) {
			struct sg_op old = hGraphExec->nodes[i].op;
			hGraphExec->nodes[i].op = with->nodes[i].op;
			with->nodes[i].op = old;
		}
		sg_exec_free(with);
	}
	sg_unlock();
	return r;
}

CUresult cuGraphExecUpdate(CUgraphExec hGraphExec, CUgraph hGraph, CUgraphNode *hErrorNode_out,
                           CUgraphExecUpdateResult *updateResult_out)
{
	CUgraphExecUpdateResultInfo info = {0};
	CUresult r = cuGraphExecUpdate_v2(hGraphExec, hGraph, &info);
	if (hErrorNode_out)
		*hErrorNode_out = info.errorNode;
	if (updateResult_out)
		*updateResult_out = info.result;
	return r;
}
