// SPDX-License-Identifier: Apache-2.0
/*
 * graph.c: graph nodes that name kernels, and nodes in the general form. All else about graphs is
 * the driver's own call, see calls.tbl; copies and sets are in graph_copy.c.
 */
#include "cudart.h"

#include "cudart_calls.h"

/* ---- kernels */

static cudaError_t kernel_params(CUDA_KERNEL_NODE_PARAMS_v2 *out,
                                 const struct cudaKernelNodeParams *p)
{
	CUfunction f;
	CUkernel kernel;
	cudaError_t e = p ? cudart_launchable(p->func, &f, &kernel) : cudaErrorInvalidValue;
	if (e != cudaSuccess)
		return e;
	*out = (CUDA_KERNEL_NODE_PARAMS_v2){
	    .func = kernel ? NULL : f,
	    .kern = kernel,
	    .gridDimX = p->gridDim.x,
	    .gridDimY = p->gridDim.y,
	    .gridDimZ = p->gridDim.z,
	    .blockDimX = p->blockDim.x,
	    .blockDimY = p->blockDim.y,
	    .blockDimZ = p->blockDim.z,
	    .sharedMemBytes = p->sharedMemBytes,
	    .kernelParams = p->kernelParams,
	    .extra = p->extra,
	};
	return cudaSuccess;
}

static cudaError_t kernel_result(CUresult r, const CUDA_KERNEL_NODE_PARAMS_v2 *c,
                                 const struct cudaKernelNodeParams *p)
{
	return r == CUDA_SUCCESS ? cudaSuccess : cudart_launch_error(r, c->func, p->func);
}

cudaError_t do_cudaGraphAddKernelNode(const struct cudart_driver *cu, cudaGraphNode_t *pGraphNode,
                                      cudaGraph_t graph, const cudaGraphNode_t *pDependencies,
                                      size_t numDependencies,
                                      const struct cudaKernelNodeParams *pNodeParams)
{
	CUDA_KERNEL_NODE_PARAMS_v2 c;
	cudaError_t e = kernel_params(&c, pNodeParams);
	if (e != cudaSuccess)
		return e;
	return kernel_result(
	    cu->cuGraphAddKernelNode(pGraphNode, graph, pDependencies, numDependencies, &c), &c,
	    pNodeParams);
}

cudaError_t do_cudaGraphKernelNodeGetParams(const struct cudart_driver *cu, cudaGraphNode_t node,
                                            struct cudaKernelNodeParams *pNodeParams)
{
	CUDA_KERNEL_NODE_PARAMS_v2 c = {0};
	if (!pNodeParams)
		return cudaErrorInvalidValue;
	CUresult r = cu->cuGraphKernelNodeGetParams(node, &c);
	if (r != CUDA_SUCCESS)
		return cudart_error(r);
	const void *host = cudart_function_host(c.kern, c.func);
	*pNodeParams = (struct cudaKernelNodeParams){
	    .func = host     ? (void *)(uintptr_t)host
	            : c.kern ? (void *)c.kern
	                     : (void *)c.func,
	    .gridDim = {c.gridDimX, c.gridDimY, c.gridDimZ},
	    .blockDim = {c.blockDimX, c.blockDimY, c.blockDimZ},
	    .sharedMemBytes = c.sharedMemBytes,
	    .kernelParams = c.kernelParams,
	    .extra = c.extra,
	};
	return cudaSuccess;
}

cudaError_t do_cudaGraphKernelNodeSetParams(const struct cudart_driver *cu, cudaGraphNode_t node,
                                            const struct cudaKernelNodeParams *pNodeParams)
{
	CUDA_KERNEL_NODE_PARAMS_v2 c;
	cudaError_t e = kernel_params(&c, pNodeParams);
	if (e != cudaSuccess)
		return e;
	return kernel_result(cu->cuGraphKernelNodeSetParams(node, &c), &c, pNodeParams);
}

cudaError_t do_cudaGraphExecKernelNodeSetParams(const struct cudart_driver *cu,
                                                cudaGraphExec_t hGraphExec, cudaGraphNode_t node,
                                                const struct cudaKernelNodeParams *pNodeParams)
{
	CUDA_KERNEL_NODE_PARAMS_v2 c;
	cudaError_t e = kernel_params(&c, pNodeParams);
	if (e != cudaSuccess)
		return e;
	return kernel_result(cu->cuGraphExecKernelNodeSetParams(hGraphExec, node, &c), &c,
	                     pNodeParams);
}

/* ---- the general form: of one layout but for kernels, copies and what names a context */

_Static_assert(sizeof(struct cudaGraphNodeParams) == sizeof(CUgraphNodeParams), "of one size");

static cudaError_t node_params(CUgraphNodeParams *out, const struct cudaGraphNodeParams *p)
{
	const struct cudart_driver *cu = &cudart_drivers[0];
	CUcontext ctx;
	if (!p)
		return cudaErrorInvalidValue;
	CUresult r = cu->cuCtxGetCurrent(&ctx);
	if (r != CUDA_SUCCESS)
		return cudart_error(r);
	memcpy(out, p, sizeof(*out));
	switch (p->type) {
	case cudaGraphNodeTypeKernel: {
		CUkernel kernel;
		CUfunction f;
		cudaError_t e = cudart_launchable(p->kernel.func, &f, &kernel);
		out->kernel.func = kernel ? NULL : f;
		out->kernel.kern = kernel;
		out->kernel.ctx = NULL;
		return e;
	}
	case cudaGraphNodeTypeMemcpy:
		out->memcpy.flags = p->memcpy.flags;
		out->memcpy.copyCtx = ctx;
		return cudart_copy3d(&out->memcpy.copyParams, &p->memcpy.copyParams);
	case cudaGraphNodeTypeMemset:
		out->memset.ctx = ctx;
		return cudaSuccess;
	case cudaGraphNodeTypeConditional:
		out->conditional.ctx = ctx;
		return cudaSuccess;
	default:
		return cudaSuccess;
	}
}

cudaError_t do_cudaGraphAddNode(const struct cudart_driver *cu, cudaGraphNode_t *pGraphNode,
                                cudaGraph_t graph, const cudaGraphNode_t *pDependencies,
                                const cudaGraphEdgeData *dependencyData, size_t numDependencies,
                                struct cudaGraphNodeParams *nodeParams)
{
	CUgraphNodeParams c;
	cudaError_t e = node_params(&c, nodeParams);
	if (e != cudaSuccess)
		return e;
	CUresult r =
	    cu->cuGraphAddNode(pGraphNode, graph, pDependencies,
	                       (const CUgraphEdgeData *)dependencyData, numDependencies, &c);
	/* these two are answered in the parameters */
	if (r == CUDA_SUCCESS && nodeParams->type == cudaGraphNodeTypeMemAlloc)
		nodeParams->alloc.dptr = (void *)c.alloc.dptr;
	if (r == CUDA_SUCCESS && nodeParams->type == cudaGraphNodeTypeConditional)
		nodeParams->conditional.phGraph_out = c.conditional.phGraph_out;
	return cudart_error(r);
}

cudaError_t do_cudaGraphNodeSetParams(const struct cudart_driver *cu, cudaGraphNode_t node,
                                      struct cudaGraphNodeParams *nodeParams)
{
	CUgraphNodeParams c;
	cudaError_t e = node_params(&c, nodeParams);
	return e == cudaSuccess ? cudart_error(cu->cuGraphNodeSetParams(node, &c)) : e;
}

cudaError_t do_cudaGraphExecNodeSetParams(const struct cudart_driver *cu, cudaGraphExec_t graphExec,
                                          cudaGraphNode_t node,
                                          struct cudaGraphNodeParams *nodeParams)
{
	CUgraphNodeParams c;
	cudaError_t e = node_params(&c, nodeParams);
	return e == cudaSuccess ? cudart_error(cu->cuGraphExecNodeSetParams(graphExec, node, &c))
	                        : e;
}
