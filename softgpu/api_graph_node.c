// SPDX-License-Identifier: Apache-2.0
/*
 * api_graph_node.c: what graph nodes hold: adding nodes of each type, reading and replacing their
 * parameters. Ops are made before sg_lock() is taken: finding a library's kernel takes it too.
 */
#include "api_array.h"

#include <string.h>

#include "api_graph.h"

/* ---- ops from parameters */

CUresult sg_node_context(CUcontext named, CUcontext *out)
{
	if (!named)
		return sg_current(out);
	CUresult r = sg_ready();
	if (r == CUDA_SUCCESS)
		r = sg_context_check(named);
	if (r == CUDA_SUCCESS)
		*out = sg_context_whole(named);
	return r;
}

CUDA_KERNEL_NODE_PARAMS sg_kernel_params_of_v1(const CUDA_KERNEL_NODE_PARAMS_v1 *p)
{
	CUDA_KERNEL_NODE_PARAMS v2 = {0};
	memcpy(&v2, p, sizeof(*p)); /* the later struct begins with the earlier */
	return v2;
}

CUresult sg_node_op_kernel(struct sg_op *op, const CUDA_KERNEL_NODE_PARAMS *p)
{
	CUcontext ctx;
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	CUfunction f = p->func ? p->func : (CUfunction)p->kern;
	if (!p->ctx && sg_handle_is(f, SG_FUNCTION))
		ctx = f->module->ctx; /* a function knows its context */
	else
		r = sg_node_context(p->ctx, &ctx);
	if (r != CUDA_SUCCESS)
		return r;
	CUlaunchConfig config = {.gridDimX = p->gridDimX,
	                         .gridDimY = p->gridDimY,
	                         .gridDimZ = p->gridDimZ,
	                         .blockDimX = p->blockDimX,
	                         .blockDimY = p->blockDimY,
	                         .blockDimZ = p->blockDimZ,
	                         .sharedMemBytes = p->sharedMemBytes};
	op->ctx = ctx;
	return sg_kernel_op_init(op, &config, f, p->kernelParams, p->extra);
}

CUresult sg_node_op_copy(struct sg_op *op, const CUDA_MEMCPY3D *p, CUcontext ctx)
{
	CUresult r = sg_node_context(ctx, &op->ctx);
	if (r != CUDA_SUCCESS)
		return r;
	return p ? sg_copy_op_init(op, p) : CUDA_ERROR_INVALID_VALUE;
}

CUresult sg_node_op_set(struct sg_op *op, const CUDA_MEMSET_NODE_PARAMS *p, CUcontext ctx)
{
	CUresult r = sg_node_context(ctx, &op->ctx);
	if (r != CUDA_SUCCESS)
		return r;
	return p ? sg_set_op_init(op, p) : CUDA_ERROR_INVALID_VALUE;
}

CUresult sg_node_op_host(struct sg_op *op, const CUDA_HOST_NODE_PARAMS *p)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!p || !p->fn)
		return CUDA_ERROR_INVALID_VALUE;
	*op = (struct sg_op){.kind = SG_OP_HOST, .host = {.fn = p->fn, .data = p->userData}};
	return CUDA_SUCCESS;
}

CUresult sg_node_op_event(struct sg_op *op, enum sg_op_kind kind, CUevent e)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!sg_handle_is(e, SG_EVENT))
		return CUDA_ERROR_INVALID_VALUE;
	rein_add_relaxed(&e->refs, 1);
	*op = (struct sg_op){.kind = kind, .ctx = e->ctx, .event = e};
	return CUDA_SUCCESS;
}

CUresult sg_op_replace(struct sg_op *old, struct sg_op *op)
{
	if (old->kind != op->kind) {
		sg_op_fini(op);
		return CUDA_ERROR_INVALID_VALUE;
	}
	if (op->kind == SG_OP_KERNEL) { /* attributes are the node's, and stay */
		op->kernel.cooperative = old->kernel.cooperative;
		memcpy(op->kernel.cluster, old->kernel.cluster, sizeof(op->kernel.cluster));
		CUresult r = sg_cluster_check(op->kernel.f, op->kernel.cluster, op->kernel.grid);
		if (r != CUDA_SUCCESS) {
			sg_op_fini(op);
			return r;
		}
	}
	op->green = old->green;
	sg_op_fini(old);
	*old = *op;
	return CUDA_SUCCESS;
}

/* ---- adding */

/* Adds a node for op and gives op back. */
CUresult sg_node_add(CUgraphNode *out, CUgraph g, const CUgraphNode *deps, size_t n_deps,
                     struct sg_op *op)
{
	CUresult r = sg_graph_check(g);
	if (r == CUDA_SUCCESS && (!out || (n_deps && !deps)))
		r = CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS) {
		sg_lock();
		for (size_t i = 0; i < n_deps && r == CUDA_SUCCESS; i++)
			if (!sg_handle_is(deps[i], SG_NODE) || deps[i]->graph != g)
				r = CUDA_ERROR_INVALID_VALUE;
		if (r == CUDA_SUCCESS)
			r = sg_graph_add(g, deps, n_deps, op, out);
		sg_unlock();
	}
	sg_op_fini(op);
	return r;
}

CUresult cuGraphAddKernelNode_v2(CUgraphNode *phGraphNode, CUgraph hGraph,
                                 const CUgraphNode *dependencies, size_t numDependencies,
                                 const CUDA_KERNEL_NODE_PARAMS *nodeParams)
{
	struct sg_op op;
	CUresult r = sg_node_op_kernel(&op, nodeParams);
	return r == CUDA_SUCCESS
	           ? sg_node_add(phGraphNode, hGraph, dependencies, numDependencies, &op)
	           : r;
}

CUresult cuGraphAddKernelNode(CUgraphNode *phGraphNode, CUgraph hGraph,
                              const CUgraphNode *dependencies, size_t numDependencies,
                              const CUDA_KERNEL_NODE_PARAMS_v1 *nodeParams)
{
	CUDA_KERNEL_NODE_PARAMS p;
	if (nodeParams)
		p = sg_kernel_params_of_v1(nodeParams);
	return cuGraphAddKernelNode_v2(phGraphNode, hGraph, dependencies, numDependencies,
	                               nodeParams ? &p : NULL);
}

CUresult cuGraphAddMemcpyNode(CUgraphNode *phGraphNode, CUgraph hGraph,
                              const CUgraphNode *dependencies, size_t numDependencies,
                              const CUDA_MEMCPY3D *copyParams, CUcontext ctx)
{
	struct sg_op op;
	CUresult r = sg_node_op_copy(&op, copyParams, ctx);
	return r == CUDA_SUCCESS
	           ? sg_node_add(phGraphNode, hGraph, dependencies, numDependencies, &op)
	           : r;
}

CUresult cuGraphAddMemsetNode(CUgraphNode *phGraphNode, CUgraph hGraph,
                              const CUgraphNode *dependencies, size_t numDependencies,
                              const CUDA_MEMSET_NODE_PARAMS *memsetParams, CUcontext ctx)
{
	struct sg_op op;
	CUresult r = sg_node_op_set(&op, memsetParams, ctx);
	return r == CUDA_SUCCESS
	           ? sg_node_add(phGraphNode, hGraph, dependencies, numDependencies, &op)
	           : r;
}

CUresult cuGraphAddHostNode(CUgraphNode *phGraphNode, CUgraph hGraph,
                            const CUgraphNode *dependencies, size_t numDependencies,
                            const CUDA_HOST_NODE_PARAMS *nodeParams)
{
	struct sg_op op;
	CUresult r = sg_node_op_host(&op, nodeParams);
	return r == CUDA_SUCCESS
	           ? sg_node_add(phGraphNode, hGraph, dependencies, numDependencies, &op)
	           : r;
}

CUresult cuGraphAddEmptyNode(CUgraphNode *phGraphNode, CUgraph hGraph,
                             const CUgraphNode *dependencies, size_t numDependencies)
{
	struct sg_op op = {.kind = SG_OP_EMPTY};
	return sg_node_add(phGraphNode, hGraph, dependencies, numDependencies, &op);
}

CUresult cuGraphAddEventRecordNode(CUgraphNode *phGraphNode, CUgraph hGraph,
                                   const CUgraphNode *dependencies, size_t numDependencies,
                                   CUevent event)
{
	struct sg_op op;
	CUresult r = sg_node_op_event(&op, SG_OP_RECORD, event);
	return r == CUDA_SUCCESS
	           ? sg_node_add(phGraphNode, hGraph, dependencies, numDependencies, &op)
	           : r;
}

CUresult cuGraphAddEventWaitNode(CUgraphNode *phGraphNode, CUgraph hGraph,
                                 const CUgraphNode *dependencies, size_t numDependencies,
                                 CUevent event)
{
	struct sg_op op;
	CUresult r = sg_node_op_event(&op, SG_OP_WAIT, event);
	return r == CUDA_SUCCESS
	           ? sg_node_add(phGraphNode, hGraph, dependencies, numDependencies, &op)
	           : r;
}

/* The child is a copy, made now. */
CUresult cuGraphAddChildGraphNode(CUgraphNode *phGraphNode, CUgraph hGraph,
                                  const CUgraphNode *dependencies, size_t numDependencies,
                                  CUgraph childGraph)
{
	struct sg_op op = {.kind = SG_OP_CHILD};
	CUresult r = sg_graph_check(childGraph);
	if (r == CUDA_SUCCESS && childGraph == hGraph)
		r = CUDA_ERROR_INVALID_VALUE;
	if (r != CUDA_SUCCESS)
		return r;
	sg_lock();
	r = sg_graph_clone(childGraph, &op.child);
	if (r == CUDA_SUCCESS) {
		op.child->child = true;
		r = sg_handle_add(op.child, SG_GRAPH);
		if (r != CUDA_SUCCESS)
			sg_graph_free(op.child);
	}
	sg_unlock();
	if (r != CUDA_SUCCESS)
		return r;
	CUgraph child = op.child;
	r = sg_node_add(phGraphNode, hGraph, dependencies, numDependencies, &op);
	if (r != CUDA_SUCCESS) {
		sg_lock();
		sg_graph_free(child);
		sg_unlock();
	}
	return r;
}

/* The general form; v2 with edge data. */
CUresult cuGraphAddNode(CUgraphNode *phGraphNode, CUgraph hGraph, const CUgraphNode *dependencies,
                        size_t numDependencies, CUgraphNodeParams *nodeParams)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!nodeParams)
		return CUDA_ERROR_INVALID_VALUE;
	switch (nodeParams->type) {
	case CU_GRAPH_NODE_TYPE_KERNEL: {
		CUDA_KERNEL_NODE_PARAMS p; /* of the same layout as the third version */
		memcpy(&p, &nodeParams->kernel, sizeof(p));
		return cuGraphAddKernelNode_v2(phGraphNode, hGraph, dependencies, numDependencies,
		                               &p);
	}
	case CU_GRAPH_NODE_TYPE_MEMCPY:
		return cuGraphAddMemcpyNode(phGraphNode, hGraph, dependencies, numDependencies,
		                            &nodeParams->memcpy.copyParams,
		                            nodeParams->memcpy.copyCtx);
	case CU_GRAPH_NODE_TYPE_MEMSET: {
		CUDA_MEMSET_NODE_PARAMS p;
		memcpy(&p, &nodeParams->memset, sizeof(p));
		return cuGraphAddMemsetNode(phGraphNode, hGraph, dependencies, numDependencies, &p,
		                            nodeParams->memset.ctx);
	}
	case CU_GRAPH_NODE_TYPE_HOST: {
		CUDA_HOST_NODE_PARAMS p = {nodeParams->host.fn, nodeParams->host.userData};
		return cuGraphAddHostNode(phGraphNode, hGraph, dependencies, numDependencies, &p);
	}
	case CU_GRAPH_NODE_TYPE_GRAPH:
		return cuGraphAddChildGraphNode(phGraphNode, hGraph, dependencies, numDependencies,
		                                nodeParams->graph.graph);
	case CU_GRAPH_NODE_TYPE_EMPTY:
		return cuGraphAddEmptyNode(phGraphNode, hGraph, dependencies, numDependencies);
	case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
		return cuGraphAddEventWaitNode(phGraphNode, hGraph, dependencies, numDependencies,
		                               nodeParams->eventWait.event);
	case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
		return cuGraphAddEventRecordNode(phGraphNode, hGraph, dependencies, numDependencies,
		                                 nodeParams->eventRecord.event);
	case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP: {
		CUDA_BATCH_MEM_OP_NODE_PARAMS p; /* of the same layout as the second version */
		memcpy(&p, &nodeParams->memOp, sizeof(p));
		return cuGraphAddBatchMemOpNode(phGraphNode, hGraph, dependencies, numDependencies,
		                                &p);
	}
	case CU_GRAPH_NODE_TYPE_MEM_ALLOC: {
		CUDA_MEM_ALLOC_NODE_PARAMS p; /* of the same layout as the second version */
		memcpy(&p, &nodeParams->alloc, sizeof(p));
		r = cuGraphAddMemAllocNode(phGraphNode, hGraph, dependencies, numDependencies, &p);
		nodeParams->alloc.dptr = r == CUDA_SUCCESS ? p.dptr : 0;
		return r;
	}
	case CU_GRAPH_NODE_TYPE_MEM_FREE:
		return cuGraphAddMemFreeNode(phGraphNode, hGraph, dependencies, numDependencies,
		                             nodeParams->free.dptr);
	case CU_GRAPH_NODE_TYPE_CONDITIONAL:
		return sg_cond_add(phGraphNode, hGraph, dependencies, numDependencies,
		                   &nodeParams->conditional);
	default:
		return sg_missing("cuGraphAddNode of semaphores");
	}
}

CUresult cuGraphAddNode_v2(CUgraphNode *phGraphNode, CUgraph hGraph,
                           const CUgraphNode *dependencies, const CUgraphEdgeData *dependencyData,
                           size_t numDependencies, CUgraphNodeParams *nodeParams)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (dependencyData)
		return sg_missing("cuGraphAddNode_v2 with edge data");
	return cuGraphAddNode(phGraphNode, hGraph, dependencies, numDependencies, nodeParams);
}

/* ---- reading */

CUresult cuGraphNodeGetType(CUgraphNode hNode, CUgraphNodeType *type)
{
	static const CUgraphNodeType types[] = {
	    [SG_OP_KERNEL] = CU_GRAPH_NODE_TYPE_KERNEL,
	    [SG_OP_COPY] = CU_GRAPH_NODE_TYPE_MEMCPY,
	    [SG_OP_SET] = CU_GRAPH_NODE_TYPE_MEMSET,
	    [SG_OP_HOST] = CU_GRAPH_NODE_TYPE_HOST,
	    [SG_OP_EMPTY] = CU_GRAPH_NODE_TYPE_EMPTY,
	    [SG_OP_RECORD] = CU_GRAPH_NODE_TYPE_EVENT_RECORD,
	    [SG_OP_WAIT] = CU_GRAPH_NODE_TYPE_WAIT_EVENT,
	    [SG_OP_CHILD] = CU_GRAPH_NODE_TYPE_GRAPH,
	    [SG_OP_MEMOP] = CU_GRAPH_NODE_TYPE_BATCH_MEM_OP,
	    [SG_OP_ALLOC] = CU_GRAPH_NODE_TYPE_MEM_ALLOC,
	    [SG_OP_FREE] = CU_GRAPH_NODE_TYPE_MEM_FREE,
	    [SG_OP_COND] = CU_GRAPH_NODE_TYPE_CONDITIONAL,
	};
	CUresult r = sg_node_check(hNode);
	if (r != CUDA_SUCCESS)
		return r;
	if (!type)
		return CUDA_ERROR_INVALID_VALUE;
	*type = types[hNode->op.kind];
	return CUDA_SUCCESS;
}

CUresult sg_node_of(CUgraphNode node, enum sg_op_kind kind, const void *out)
{
	CUresult r = sg_node_check(node);
	if (r != CUDA_SUCCESS)
		return r;
	return out && node->op.kind == kind ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* kernelParams points into the node, as the manual has it, until it is changed or destroyed. */
CUresult cuGraphKernelNodeGetParams_v2(CUgraphNode hNode, CUDA_KERNEL_NODE_PARAMS *nodeParams)
{
	CUresult r = sg_node_of(hNode, SG_OP_KERNEL, nodeParams);
	if (r != CUDA_SUCCESS)
		return r;
	sg_lock();
	const struct sg_kernel_op *k = &hNode->op.kernel;
	const struct ptx_kernel_info *info = k->f->info;
	void **view = realloc(hNode->view, (info->n_params + 1) * sizeof(*view));
	if (view) {
		hNode->view = view;
		for (uint32_t i = 0; i < info->n_params; i++)
			view[i] = (char *)k->params + info->params[i].offset;
		view[info->n_params] = NULL;
		*nodeParams = (CUDA_KERNEL_NODE_PARAMS){
		    .func = k->f,
		    .gridDimX = k->grid[0],
		    .gridDimY = k->grid[1],
		    .gridDimZ = k->grid[2],
		    .blockDimX = k->block[0],
		    .blockDimY = k->block[1],
		    .blockDimZ = k->block[2],
		    .sharedMemBytes = k->shared_bytes,
		    .kernelParams = view,
		    .ctx = hNode->op.ctx,
		};
	} else {
		r = CUDA_ERROR_OUT_OF_MEMORY;
	}
	sg_unlock();
	return r;
}

CUresult cuGraphKernelNodeGetParams(CUgraphNode hNode, CUDA_KERNEL_NODE_PARAMS_v1 *nodeParams)
{
	CUDA_KERNEL_NODE_PARAMS p;
	CUresult r = cuGraphKernelNodeGetParams_v2(hNode, nodeParams ? &p : NULL);
	if (r == CUDA_SUCCESS)
		memcpy(nodeParams, &p, sizeof(*nodeParams));
	return r;
}

/* The same bytes as asked for; where and how far they are is kept, how it was said is not. */
CUresult cuGraphMemcpyNodeGetParams(CUgraphNode hNode, CUDA_MEMCPY3D *nodeParams)
{
	CUresult r = sg_node_of(hNode, SG_OP_COPY, nodeParams);
	if (r != CUDA_SUCCESS)
		return r;
	sg_lock();
	const struct sg_copy_op *c = &hNode->op.copy;
	*nodeParams = (CUDA_MEMCPY3D){
	    .srcMemoryType = c->src_device ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST,
	    .srcHost = c->src_device ? NULL : (const void *)c->src.addr,
	    .srcDevice = c->src_device ? c->src.addr : 0,
	    .srcPitch = c->src.pitch,
	    .srcHeight = c->src.pitch ? c->src.slice / c->src.pitch : 0,
	    .dstMemoryType = c->dst_device ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST,
	    .dstHost = c->dst_device ? NULL : (void *)c->dst.addr,
	    .dstDevice = c->dst_device ? c->dst.addr : 0,
	    .dstPitch = c->dst.pitch,
	    .dstHeight = c->dst.pitch ? c->dst.slice / c->dst.pitch : 0,
	    .WidthInBytes = c->width,
	    .Height = c->height,
	    .Depth = c->depth,
	};
	if (sg_array_check(c->src.array) == CUDA_SUCCESS) {
		nodeParams->srcMemoryType = CU_MEMORYTYPE_ARRAY;
		nodeParams->srcArray = c->src.array;
		sg_array_place(&c->src, &nodeParams->srcXInBytes, &nodeParams->srcY,
		               &nodeParams->srcZ);
	}
	if (sg_array_check(c->dst.array) == CUDA_SUCCESS) {
		nodeParams->dstMemoryType = CU_MEMORYTYPE_ARRAY;
		nodeParams->dstArray = c->dst.array;
		sg_array_place(&c->dst, &nodeParams->dstXInBytes, &nodeParams->dstY,
		               &nodeParams->dstZ);
	}
	sg_unlock();
	return CUDA_SUCCESS;
}

CUresult cuGraphMemsetNodeGetParams(CUgraphNode hNode, CUDA_MEMSET_NODE_PARAMS *nodeParams)
{
	CUresult r = sg_node_of(hNode, SG_OP_SET, nodeParams);
	if (r != CUDA_SUCCESS)
		return r;
	sg_lock();
	const struct sg_set_op *s = &hNode->op.set;
	*nodeParams =
	    (CUDA_MEMSET_NODE_PARAMS){s->dst, s->pitch, s->value, s->element, s->width, s->height};
	sg_unlock();
	return CUDA_SUCCESS;
}

CUresult cuGraphHostNodeGetParams(CUgraphNode hNode, CUDA_HOST_NODE_PARAMS *nodeParams)
{
	CUresult r = sg_node_of(hNode, SG_OP_HOST, nodeParams);
	if (r != CUDA_SUCCESS)
		return r;
	sg_lock();
	*nodeParams = (CUDA_HOST_NODE_PARAMS){hNode->op.host.fn, hNode->op.host.data};
	sg_unlock();
	return CUDA_SUCCESS;
}

CUresult cuGraphChildGraphNodeGetGraph(CUgraphNode hNode, CUgraph *phGraph)
{
	CUresult r = sg_node_of(hNode, SG_OP_CHILD, phGraph);
	if (r == CUDA_SUCCESS)
		*phGraph = hNode->op.child;
	return r;
}

CUresult cuGraphEventRecordNodeGetEvent(CUgraphNode hNode, CUevent *event_out)
{
	CUresult r = sg_node_of(hNode, SG_OP_RECORD, event_out);
	if (r == CUDA_SUCCESS)
		*event_out = hNode->op.event;
	return r;
}

CUresult cuGraphEventWaitNodeGetEvent(CUgraphNode hNode, CUevent *event_out)
{
	CUresult r = sg_node_of(hNode, SG_OP_WAIT, event_out);
	if (r == CUDA_SUCCESS)
		*event_out = hNode->op.event;
	return r;
}

/* ---- replacing */

CUresult sg_node_replace(CUgraphNode node, struct sg_op *op)
{
	CUresult r = sg_node_check(node);
	if (r != CUDA_SUCCESS) {
		sg_op_fini(op);
		return r;
	}
	sg_lock();
	r = sg_op_replace(&node->op, op);
	sg_unlock();
	return r;
}

CUresult cuGraphKernelNodeSetParams_v2(CUgraphNode hNode, const CUDA_KERNEL_NODE_PARAMS *nodeParams)
{
	struct sg_op op;
	CUresult r = sg_node_op_kernel(&op, nodeParams);
	return r == CUDA_SUCCESS ? sg_node_replace(hNode, &op) : r;
}

CUresult cuGraphKernelNodeSetParams(CUgraphNode hNode, const CUDA_KERNEL_NODE_PARAMS_v1 *nodeParams)
{
	CUDA_KERNEL_NODE_PARAMS p;
	if (nodeParams)
		p = sg_kernel_params_of_v1(nodeParams);
	return cuGraphKernelNodeSetParams_v2(hNode, nodeParams ? &p : NULL);
}

CUresult cuGraphMemcpyNodeSetParams(CUgraphNode hNode, const CUDA_MEMCPY3D *nodeParams)
{
	struct sg_op op;
	CUresult r = sg_node_of(hNode, SG_OP_COPY, nodeParams);
	if (r == CUDA_SUCCESS)
		r = sg_node_op_copy(&op, nodeParams, hNode->op.ctx);
	return r == CUDA_SUCCESS ? sg_node_replace(hNode, &op) : r;
}

CUresult cuGraphMemsetNodeSetParams(CUgraphNode hNode, const CUDA_MEMSET_NODE_PARAMS *nodeParams)
{
	struct sg_op op;
	CUresult r = sg_node_of(hNode, SG_OP_SET, nodeParams);
	if (r == CUDA_SUCCESS)
		r = sg_node_op_set(&op, nodeParams, hNode->op.ctx);
	return r == CUDA_SUCCESS ? sg_node_replace(hNode, &op) : r;
}

CUresult cuGraphHostNodeSetParams(CUgraphNode hNode, const CUDA_HOST_NODE_PARAMS *nodeParams)
{
	struct sg_op op;
	CUresult r = sg_node_op_host(&op, nodeParams);
	return r == CUDA_SUCCESS ? sg_node_replace(hNode, &op) : r;
}

CUresult cuGraphEventRecordNodeSetEvent(CUgraphNode hNode, CUevent event)
{
	struct sg_op op;
	CUresult r = sg_node_op_event(&op, SG_OP_RECORD, event);
	return r == CUDA_SUCCESS ? sg_node_replace(hNode, &op) : r;
}

CUresult cuGraphEventWaitNodeSetEvent(CUgraphNode hNode, CUevent event)
{
	struct sg_op op;
	CUresult r = sg_node_op_event(&op, SG_OP_WAIT, event);
	return r == CUDA_SUCCESS ? sg_node_replace(hNode, &op) : r;
}
