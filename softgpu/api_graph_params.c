// SPDX-License-Identifier: Apache-2.0
/* api_graph_params.c: a node's parameters replaced in the general form, CUgraphNodeParams. */
#include "api.h"

#include <string.h>

#include "api_graph.h"

static CUresult op_of(struct sg_op *op, const CUgraphNodeParams *p)
{
	switch (p->type) {
	case CU_GRAPH_NODE_TYPE_KERNEL: {
		CUDA_KERNEL_NODE_PARAMS k; /* of the same layout as the third version */
		memcpy(&k, &p->kernel, sizeof(k));
		return sg_node_op_kernel(op, &k);
	}
	case CU_GRAPH_NODE_TYPE_MEMCPY:
		return sg_node_op_copy(op, &p->memcpy.copyParams, p->memcpy.copyCtx);
	case CU_GRAPH_NODE_TYPE_MEMSET: {
		CUDA_MEMSET_NODE_PARAMS m; /* the later struct begins with the earlier */
		memcpy(&m, &p->memset, sizeof(m));
		return sg_node_op_set(op, &m, p->memset.ctx);
	}
	case CU_GRAPH_NODE_TYPE_HOST: {
		CUDA_HOST_NODE_PARAMS h = {p->host.fn, p->host.userData};
		return sg_node_op_host(op, &h);
	}
	case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
		return sg_node_op_event(op, SG_OP_WAIT, p->eventWait.event);
	case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
		return sg_node_op_event(op, SG_OP_RECORD, p->eventRecord.event);
	case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP: {
		CUDA_BATCH_MEM_OP_NODE_PARAMS m; /* of the same layout as the second version */
		memcpy(&m, &p->memOp, sizeof(m));
		return sg_node_op_memop(op, &m);
	}
	case CU_GRAPH_NODE_TYPE_EMPTY:
		return CUDA_ERROR_INVALID_VALUE; /* has none */
	default:
		return sg_missing("replacing the parameters of graphs, semaphores or memory in a "
		                  "graph");
	}
}

CUresult cuGraphNodeSetParams(CUgraphNode hNode, CUgraphNodeParams *nodeParams)
{
	struct sg_op op;
	CUresult r = sg_node_check(hNode);
	if (r == CUDA_SUCCESS)
		r = nodeParams ? op_of(&op, nodeParams) : CUDA_ERROR_INVALID_VALUE;
	return r == CUDA_SUCCESS ? sg_node_replace(hNode, &op) : r;
}

CUresult cuGraphExecNodeSetParams(CUgraphExec hGraphExec, CUgraphNode hNode,
                                  CUgraphNodeParams *nodeParams)
{
	struct sg_op op;
	CUresult r = sg_exec_check(hGraphExec);
	if (r == CUDA_SUCCESS)
		r = nodeParams ? op_of(&op, nodeParams) : CUDA_ERROR_INVALID_VALUE;
	return r == CUDA_SUCCESS ? sg_exec_replace(hGraphExec, hNode, &op) : r;
}
