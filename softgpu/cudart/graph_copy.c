// SPDX-License-Identifier: Apache-2.0
/*
 * graph_copy.c: copy and set nodes. A copy node is made, read and replaced in four forms: of three
 * dimensions, of one, to a symbol and from a symbol; each becomes the driver's one form.
 */
#include "cudart.h"

#include "cudart_calls.h"

static CUcontext current(const struct cudart_driver *cu)
{
	CUcontext ctx = NULL;
	(void)cu->cuCtxGetCurrent(&ctx); /* NULL: the driver's next call will say it */
	return ctx;
}

/* ---- where a copy goes: to a new node, to a node, or to a node of an executable graph */

static cudaError_t add(const struct cudart_driver *cu, cudaGraphNode_t *node, cudaGraph_t graph,
                       const cudaGraphNode_t *deps, size_t n, cudaError_t e, const CUDA_MEMCPY3D *c)
{
	return e == cudaSuccess
	           ? cudart_error(cu->cuGraphAddMemcpyNode(node, graph, deps, n, c, current(cu)))
	           : e;
}

static cudaError_t set(const struct cudart_driver *cu, cudaGraphNode_t node, cudaError_t e,
                       const CUDA_MEMCPY3D *c)
{
	return e == cudaSuccess ? cudart_error(cu->cuGraphMemcpyNodeSetParams(node, c)) : e;
}

static cudaError_t exec_set(const struct cudart_driver *cu, cudaGraphExec_t exec,
                            cudaGraphNode_t node, cudaError_t e, const CUDA_MEMCPY3D *c)
{
	return e == cudaSuccess
	           ? cudart_error(cu->cuGraphExecMemcpyNodeSetParams(exec, node, c, current(cu)))
	           : e;
}

static cudaError_t to_symbol(CUDA_MEMCPY3D *out, const void *symbol, const void *src, size_t count,
                             size_t offset, enum cudaMemcpyKind kind)
{
	void *at = NULL;
	cudaError_t e = cudart_symbol_part(symbol, offset, count, kind, true, &at);
	return e == cudaSuccess ? cudart_copy1d(out, at, src, count, kind) : e;
}

static cudaError_t from_symbol(CUDA_MEMCPY3D *out, void *dst, const void *symbol, size_t count,
                               size_t offset, enum cudaMemcpyKind kind)
{
	void *at = NULL;
	cudaError_t e = cudart_symbol_part(symbol, offset, count, kind, false, &at);
	return e == cudaSuccess ? cudart_copy1d(out, dst, at, count, kind) : e;
}

/* ---- new nodes */

cudaError_t do_cudaGraphAddMemcpyNode(const struct cudart_driver *cu, cudaGraphNode_t *pGraphNode,
                                      cudaGraph_t graph, const cudaGraphNode_t *pDependencies,
                                      size_t numDependencies,
                                      const struct cudaMemcpy3DParms *pCopyParams)
{
	CUDA_MEMCPY3D c;
	cudaError_t e = cudart_copy3d(&c, pCopyParams);
	return add(cu, pGraphNode, graph, pDependencies, numDependencies, e, &c);
}

cudaError_t do_cudaGraphAddMemcpyNode1D(const struct cudart_driver *cu, cudaGraphNode_t *pGraphNode,
                                        cudaGraph_t graph, const cudaGraphNode_t *pDependencies,
                                        size_t numDependencies, void *dst, const void *src,
                                        size_t count, enum cudaMemcpyKind kind)
{
	CUDA_MEMCPY3D c;
	cudaError_t e = cudart_copy1d(&c, dst, src, count, kind);
	return add(cu, pGraphNode, graph, pDependencies, numDependencies, e, &c);
}

cudaError_t do_cudaGraphAddMemcpyNodeToSymbol(const struct cudart_driver *cu,
                                              cudaGraphNode_t *pGraphNode, cudaGraph_t graph,
                                              const cudaGraphNode_t *pDependencies,
                                              size_t numDependencies, const void *symbol,
                                              const void *src, size_t count, size_t offset,
                                              enum cudaMemcpyKind kind)
{
	CUDA_MEMCPY3D c;
	cudaError_t e = to_symbol(&c, symbol, src, count, offset, kind);
	return add(cu, pGraphNode, graph, pDependencies, numDependencies, e, &c);
}

cudaError_t do_cudaGraphAddMemcpyNodeFromSymbol(const struct cudart_driver *cu,
                                                cudaGraphNode_t *pGraphNode, cudaGraph_t graph,
                                                const cudaGraphNode_t *pDependencies,
                                                size_t numDependencies, void *dst,
                                                const void *symbol, size_t count, size_t offset,
                                                enum cudaMemcpyKind kind)
{
	CUDA_MEMCPY3D c;
	cudaError_t e = from_symbol(&c, dst, symbol, count, offset, kind);
	return add(cu, pGraphNode, graph, pDependencies, numDependencies, e, &c);
}

/* ---- nodes that are there */

cudaError_t do_cudaGraphMemcpyNodeSetParams(const struct cudart_driver *cu, cudaGraphNode_t node,
                                            const struct cudaMemcpy3DParms *pNodeParams)
{
	CUDA_MEMCPY3D c;
	return set(cu, node, cudart_copy3d(&c, pNodeParams), &c);
}

cudaError_t do_cudaGraphMemcpyNodeSetParams1D(const struct cudart_driver *cu, cudaGraphNode_t node,
                                              void *dst, const void *src, size_t count,
                                              enum cudaMemcpyKind kind)
{
	CUDA_MEMCPY3D c;
	return set(cu, node, cudart_copy1d(&c, dst, src, count, kind), &c);
}

cudaError_t do_cudaGraphMemcpyNodeSetParamsToSymbol(const struct cudart_driver *cu,
                                                    cudaGraphNode_t node, const void *symbol,
                                                    const void *src, size_t count, size_t offset,
                                                    enum cudaMemcpyKind kind)
{
	CUDA_MEMCPY3D c;
	return set(cu, node, to_symbol(&c, symbol, src, count, offset, kind), &c);
}

cudaError_t do_cudaGraphMemcpyNodeSetParamsFromSymbol(const struct cudart_driver *cu,
                                                      cudaGraphNode_t node, void *dst,
                                                      const void *symbol, size_t count,
                                                      size_t offset, enum cudaMemcpyKind kind)
{
	CUDA_MEMCPY3D c;
	return set(cu, node, from_symbol(&c, dst, symbol, count, offset, kind), &c);
}

cudaError_t do_cudaGraphExecMemcpyNodeSetParams(const struct cudart_driver *cu,
                                                cudaGraphExec_t hGraphExec, cudaGraphNode_t node,
                                                const struct cudaMemcpy3DParms *pNodeParams)
{
	CUDA_MEMCPY3D c;
	return exec_set(cu, hGraphExec, node, cudart_copy3d(&c, pNodeParams), &c);
}

cudaError_t do_cudaGraphExecMemcpyNodeSetParams1D(const struct cudart_driver *cu,
                                                  cudaGraphExec_t hGraphExec, cudaGraphNode_t node,
                                                  void *dst, const void *src, size_t count,
                                                  enum cudaMemcpyKind kind)
{
	CUDA_MEMCPY3D c;
	return exec_set(cu, hGraphExec, node, cudart_copy1d(&c, dst, src, count, kind), &c);
}

cudaError_t do_cudaGraphExecMemcpyNodeSetParamsToSymbol(const struct cudart_driver *cu,
                                                        cudaGraphExec_t hGraphExec,
                                                        cudaGraphNode_t node, const void *symbol,
                                                        const void *src, size_t count,
                                                        size_t offset, enum cudaMemcpyKind kind)
{
	CUDA_MEMCPY3D c;
	return exec_set(cu, hGraphExec, node, to_symbol(&c, symbol, src, count, offset, kind), &c);
}

cudaError_t do_cudaGraphExecMemcpyNodeSetParamsFromSymbol(const struct cudart_driver *cu,
                                                          cudaGraphExec_t hGraphExec,
                                                          cudaGraphNode_t node, void *dst,
                                                          const void *symbol, size_t count,
                                                          size_t offset, enum cudaMemcpyKind kind)
{
	CUDA_MEMCPY3D c;
	return exec_set(cu, hGraphExec, node, from_symbol(&c, dst, symbol, count, offset, kind),
	                &c);
}

static enum cudaMemcpyKind kind_of(CUmemorytype dst, CUmemorytype src)
{
	if (dst == CU_MEMORYTYPE_UNIFIED || src == CU_MEMORYTYPE_UNIFIED)
		return cudaMemcpyDefault;
	if (dst == CU_MEMORYTYPE_HOST)
		return src == CU_MEMORYTYPE_HOST ? cudaMemcpyHostToHost : cudaMemcpyDeviceToHost;
	return src == CU_MEMORYTYPE_HOST ? cudaMemcpyHostToDevice : cudaMemcpyDeviceToDevice;
}

cudaError_t do_cudaGraphMemcpyNodeGetParams(const struct cudart_driver *cu, cudaGraphNode_t node,
                                            struct cudaMemcpy3DParms *pNodeParams)
{
	CUDA_MEMCPY3D c = {0};
	if (!pNodeParams)
		return cudaErrorInvalidValue;
	CUresult r = cu->cuGraphMemcpyNodeGetParams(node, &c);
	if (r != CUDA_SUCCESS)
		return cudart_error(r);
	size_t src_texel = 1, dst_texel = 1;
	cudaError_t e =
	    c.srcArray ? cudart_texel_bytes((cudaArray_t)c.srcArray, &src_texel) : cudaSuccess;
	if (e == cudaSuccess && c.dstArray)
		e = cudart_texel_bytes((cudaArray_t)c.dstArray, &dst_texel);
	if (e != cudaSuccess)
		return e;
	bool from_host = c.srcMemoryType == CU_MEMORYTYPE_HOST;
	bool to_host = c.dstMemoryType == CU_MEMORYTYPE_HOST;
	void *src = from_host ? (void *)(uintptr_t)c.srcHost : (void *)c.srcDevice;
	void *dst = to_host ? c.dstHost : (void *)c.dstDevice;
	*pNodeParams = (struct cudaMemcpy3DParms){
	    .srcArray = (cudaArray_t)c.srcArray,
	    .srcPos = {c.srcXInBytes / src_texel, c.srcY, c.srcZ},
	    .dstArray = (cudaArray_t)c.dstArray,
	    .dstPos = {c.dstXInBytes / dst_texel, c.dstY, c.dstZ},
	    .extent = {c.WidthInBytes / (c.srcArray ? src_texel : dst_texel), c.Height, c.Depth},
	    .kind = kind_of(c.dstMemoryType, c.srcMemoryType),
	};
	if (!c.srcArray)
		pNodeParams->srcPtr =
		    (struct cudaPitchedPtr){src, c.srcPitch, c.WidthInBytes, c.srcHeight};
	if (!c.dstArray)
		pNodeParams->dstPtr =
		    (struct cudaPitchedPtr){dst, c.dstPitch, c.WidthInBytes, c.dstHeight};
	return cudaSuccess;
}

/* ---- sets */

_Static_assert(sizeof(struct cudaMemsetParams) == sizeof(CUDA_MEMSET_NODE_PARAMS) &&
                   offsetof(struct cudaMemsetParams, height) ==
                       offsetof(CUDA_MEMSET_NODE_PARAMS, height),
               "one set, two names");

cudaError_t do_cudaGraphAddMemsetNode(const struct cudart_driver *cu, cudaGraphNode_t *pGraphNode,
                                      cudaGraph_t graph, const cudaGraphNode_t *pDependencies,
                                      size_t numDependencies,
                                      const struct cudaMemsetParams *pMemsetParams)
{
	return cudart_error(
	    cu->cuGraphAddMemsetNode(pGraphNode, graph, pDependencies, numDependencies,
	                             (const CUDA_MEMSET_NODE_PARAMS *)pMemsetParams, current(cu)));
}

cudaError_t do_cudaGraphExecMemsetNodeSetParams(const struct cudart_driver *cu,
                                                cudaGraphExec_t hGraphExec, cudaGraphNode_t node,
                                                const struct cudaMemsetParams *pNodeParams)
{
	return cudart_error(cu->cuGraphExecMemsetNodeSetParams(
	    hGraphExec, node, (const CUDA_MEMSET_NODE_PARAMS *)pNodeParams, current(cu)));
}
