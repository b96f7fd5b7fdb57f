// SPDX-License-Identifier: Apache-2.0
/*
 * api_memop.c: stream memory operations: waits for and writes of words in device memory or
 * page-locked host memory, single, in batches, and as graph nodes.
 *
 * The operations of the older interface (without _v2) differ by what they accept only: the write
 * without a barrier, but no barrier of its own. Device pointers are host pointers and memory is
 * coherent, so barriers have nothing to do beyond the order of the loads and stores. Flushes of
 * remote writes are refused, as an H200 does: CU_DEVICE_ATTRIBUTE_CAN_FLUSH_REMOTE_WRITES is 0.
 */
#include "api.h"

#include <string.h>

#include "api_graph.h"

#define OPS_MAX 255 /* "must be less than 256" */

/* ---- doing them */

static bool is_wait(CUstreamBatchMemOpType t)
{
	return t == CU_STREAM_MEM_OP_WAIT_VALUE_32 || t == CU_STREAM_MEM_OP_WAIT_VALUE_64;
}

static bool is_write(CUstreamBatchMemOpType t)
{
	return t == CU_STREAM_MEM_OP_WRITE_VALUE_32 || t == CU_STREAM_MEM_OP_WRITE_VALUE_64;
}

static bool is_wide(CUstreamBatchMemOpType t)
{
	return t == CU_STREAM_MEM_OP_WAIT_VALUE_64 || t == CU_STREAM_MEM_OP_WRITE_VALUE_64;
}

static bool holds32(uint32_t at, uint32_t value, unsigned condition)
{
	switch (condition) {
	case CU_STREAM_WAIT_VALUE_EQ:
		return at == value;
	case CU_STREAM_WAIT_VALUE_AND:
		return (at & value) != 0;
	case CU_STREAM_WAIT_VALUE_NOR:
		return ~(at | value) != 0;
	default:
		return (int32_t)(at - value) >= 0;
	}
}

static bool holds64(uint64_t at, uint64_t value, unsigned condition)
{
	switch (condition) {
	case CU_STREAM_WAIT_VALUE_EQ:
		return at == value;
	case CU_STREAM_WAIT_VALUE_AND:
		return (at & value) != 0;
	case CU_STREAM_WAIT_VALUE_NOR:
		return ~(at | value) != 0;
	default:
		return (int64_t)(at - value) >= 0;
	}
}

static bool holds(const struct CUstreamMemOpWaitValueParams_st *w)
{
	if (is_wide(w->operation))
		return holds64(rein_load_acquire((rein_a64 *)(uintptr_t)w->address), w->value64,
		               w->flags);
	return holds32(rein_load_acquire((rein_a32 *)(uintptr_t)w->address), w->value, w->flags);
}

CUresult sg_memop_step(const struct sg_memop_op *m, unsigned *at, char *error_text, size_t len)
{
	for (; *at < m->n; ++*at) {
		const CUstreamBatchMemOpParams *o = &m->ops[*at];
		if (!is_wait(o->operation) && !is_write(o->operation)) {
			rein_fence_seqcst();
			continue;
		}
		uintptr_t addr = o->waitValue.address;
		if (!sg_memory_live(addr, is_wide(o->operation) ? 8 : 4)) {
			snprintf(error_text, len,
			         "stream memory operation at %#zx: memory was freed", (size_t)addr);
			return CUDA_ERROR_ILLEGAL_ADDRESS;
		}
		if (is_wait(o->operation)) {
			if (!holds(&o->waitValue))
				return CUDA_ERROR_NOT_READY;
		} else if (is_wide(o->operation)) {
			rein_store_release((rein_a64 *)addr, o->writeValue.value64);
		} else {
			rein_store_release((rein_a32 *)addr, o->writeValue.value);
		}
	}
	return CUDA_SUCCESS;
}

/* ---- ops from arguments */

static CUresult check_address(CUdeviceptr addr, size_t bytes)
{
	struct sg_range range;
	bool found;
	if (!addr || addr % bytes)
		return CUDA_ERROR_INVALID_VALUE;
	CUresult r = sg_range_check(addr, bytes, &range, &found);
	if (r == CUDA_SUCCESS && (!found || range.kind == SG_MEMORY_MANAGED))
		r = CUDA_ERROR_INVALID_VALUE;
	return r;
}

static CUresult check(const CUstreamBatchMemOpParams *o, bool v1)
{
	unsigned flags = o->waitValue.flags;
	switch (o->operation) {
	case CU_STREAM_MEM_OP_WAIT_VALUE_32:
	case CU_STREAM_MEM_OP_WAIT_VALUE_64:
		if ((flags & ~(unsigned)CU_STREAM_WAIT_VALUE_FLUSH) > CU_STREAM_WAIT_VALUE_NOR)
			return CUDA_ERROR_INVALID_VALUE;
		if (flags & CU_STREAM_WAIT_VALUE_FLUSH)
			return CUDA_ERROR_NOT_SUPPORTED;
		return check_address(o->waitValue.address, is_wide(o->operation) ? 8 : 4);
	case CU_STREAM_MEM_OP_WRITE_VALUE_32:
	case CU_STREAM_MEM_OP_WRITE_VALUE_64:
		flags = o->writeValue.flags;
		if (flags > (v1 ? CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER : 0u))
			return CUDA_ERROR_INVALID_VALUE;
		return check_address(o->writeValue.address, is_wide(o->operation) ? 8 : 4);
	case CU_STREAM_MEM_OP_FLUSH_REMOTE_WRITES:
		return CUDA_ERROR_NOT_SUPPORTED;
	case CU_STREAM_MEM_OP_BARRIER:
		if (v1 || o->memoryBarrier.flags > CU_STREAM_MEMORY_BARRIER_TYPE_GPU)
			return CUDA_ERROR_INVALID_VALUE;
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

static CUresult check_all(unsigned n, const CUstreamBatchMemOpParams *ops, unsigned flags, bool v1)
{
	if (!n || n > OPS_MAX || !ops || flags)
		return CUDA_ERROR_INVALID_VALUE;
	CUresult r = CUDA_SUCCESS;
	for (unsigned i = 0; i < n && r == CUDA_SUCCESS; i++)
		r = check(&ops[i], v1);
	return r;
}

CUresult sg_memop_op_init(struct sg_op *op, unsigned n, const CUstreamBatchMemOpParams *ops,
                          unsigned flags)
{
	CUresult r = check_all(n, ops, flags, false);
	if (r != CUDA_SUCCESS)
		return r;
	CUcontext ctx = op->ctx;
	struct sg_op given = {.kind = SG_OP_MEMOP,
	                      .ctx = ctx,
	                      .memop = {.n = n, .ops = (CUstreamBatchMemOpParams *)ops}};
	return sg_op_copy(op, &given);
}

bool sg_memop_same_shape(const struct sg_memop_op *a, const struct sg_memop_op *b)
{
	if (a->n != b->n)
		return false;
	for (unsigned i = 0; i < a->n; i++)
		if (a->ops[i].operation != b->ops[i].operation)
			return false;
	return true;
}

/* ---- streams */

static CUresult issue(CUstream stream, unsigned n, CUstreamBatchMemOpParams *ops, unsigned flags,
                      bool v1)
{
	CUstream s;
	CUresult r = sg_stream_get(stream, &s);
	if (r == CUDA_SUCCESS && !n && !flags)
		return CUDA_SUCCESS; /* nothing to do, to driver 580 */
	if (r == CUDA_SUCCESS)
		r = check_all(n, ops, flags, v1);
	if (r != CUDA_SUCCESS)
		return r;
	struct sg_op op = {.kind = SG_OP_MEMOP, .ctx = s->ctx, .memop = {.n = n, .ops = ops}};
	return sg_issue(s, &op, false); /* which copies the operations */
}

static CUresult wait_value(CUstream stream, CUstreamBatchMemOpType type, CUdeviceptr addr,
                           cuuint64_t value, unsigned flags, bool v1)
{
	CUstreamBatchMemOpParams o = {
	    .waitValue = {.operation = type, .address = addr, .flags = flags}};
	if (is_wide(type))
		o.waitValue.value64 = value;
	else
		o.waitValue.value = (cuuint32_t)value;
	return issue(stream, 1, &o, 0, v1);
}

static CUresult write_value(CUstream stream, CUstreamBatchMemOpType type, CUdeviceptr addr,
                            cuuint64_t value, unsigned flags, bool v1)
{
	CUstreamBatchMemOpParams o = {
	    .writeValue = {.operation = type, .address = addr, .flags = flags}};
	if (is_wide(type))
		o.writeValue.value64 = value;
	else
		o.writeValue.value = (cuuint32_t)value;
	return issue(stream, 1, &o, 0, v1);
}

/* Each in four forms: the older and the newer interface, with and without the per-thread
 * default stream. */
#define VALUE_FORMS(name, verb, bits, type)                                                        \
	CUresult name(CUstream stream, CUdeviceptr addr, cuuint##bits##_t value,                   \
	              unsigned int flags)                                                          \
	{                                                                                          \
		return verb(stream, type, addr, value, flags, true);                               \
	}                                                                                          \
	CUresult name##_ptsz(CUstream stream, CUdeviceptr addr, cuuint##bits##_t value,            \
	                     unsigned int flags)                                                   \
	{                                                                                          \
		return verb(SG_PT(stream), type, addr, value, flags, true);                        \
	}                                                                                          \
	CUresult name##_v2(CUstream stream, CUdeviceptr addr, cuuint##bits##_t value,              \
	                   unsigned int flags)                                                     \
	{                                                                                          \
		return verb(stream, type, addr, value, flags, false);                              \
	}                                                                                          \
	CUresult name##_v2_ptsz(CUstream stream, CUdeviceptr addr, cuuint##bits##_t value,         \
	                        unsigned int flags)                                                \
	{                                                                                          \
		return verb(SG_PT(stream), type, addr, value, flags, false);                       \
	}

VALUE_FORMS(cuStreamWaitValue32, wait_value, 32, CU_STREAM_MEM_OP_WAIT_VALUE_32)
VALUE_FORMS(cuStreamWaitValue64, wait_value, 64, CU_STREAM_MEM_OP_WAIT_VALUE_64)
VALUE_FORMS(cuStreamWriteValue32, write_value, 32, CU_STREAM_MEM_OP_WRITE_VALUE_32)
VALUE_FORMS(cuStreamWriteValue64, write_value, 64, CU_STREAM_MEM_OP_WRITE_VALUE_64)

CUresult cuStreamBatchMemOp(CUstream stream, unsigned int count,
                            CUstreamBatchMemOpParams *paramArray, unsigned int flags)
{
	return issue(stream, count, paramArray, flags, true);
}

CUresult cuStreamBatchMemOp_ptsz(CUstream stream, unsigned int count,
                                 CUstreamBatchMemOpParams *paramArray, unsigned int flags)
{
	return issue(SG_PT(stream), count, paramArray, flags, true);
}

CUresult cuStreamBatchMemOp_v2(CUstream stream, unsigned int count,
                               CUstreamBatchMemOpParams *paramArray, unsigned int flags)
{
	return issue(stream, count, paramArray, flags, false);
}

CUresult cuStreamBatchMemOp_v2_ptsz(CUstream stream, unsigned int count,
                                    CUstreamBatchMemOpParams *paramArray, unsigned int flags)
{
	return issue(SG_PT(stream), count, paramArray, flags, false);
}

/* ---- graph nodes */

CUresult sg_node_op_memop(struct sg_op *op, const CUDA_BATCH_MEM_OP_NODE_PARAMS *p)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	r = sg_node_context(p->ctx, &op->ctx);
	return r == CUDA_SUCCESS ? sg_memop_op_init(op, p->count, p->paramArray, p->flags) : r;
}

CUresult cuGraphAddBatchMemOpNode(CUgraphNode *phGraphNode, CUgraph hGraph,
                                  const CUgraphNode *dependencies, size_t numDependencies,
                                  const CUDA_BATCH_MEM_OP_NODE_PARAMS *nodeParams)
{
	struct sg_op op;
	CUresult r = sg_node_op_memop(&op, nodeParams);
	if (r != CUDA_SUCCESS)
		return r;
	return sg_node_add(phGraphNode, hGraph, dependencies, numDependencies, &op);
}

/* paramArray is the node's own, as the manual has it. */
CUresult cuGraphBatchMemOpNodeGetParams(CUgraphNode hNode,
                                        CUDA_BATCH_MEM_OP_NODE_PARAMS *nodeParams_out)
{
	CUresult r = sg_node_of(hNode, SG_OP_MEMOP, nodeParams_out);
	if (r != CUDA_SUCCESS)
		return r;
	sg_lock();
	*nodeParams_out = (CUDA_BATCH_MEM_OP_NODE_PARAMS){
	    .ctx = hNode->op.ctx, .count = hNode->op.memop.n, .paramArray = hNode->op.memop.ops};
	sg_unlock();
	return CUDA_SUCCESS;
}

CUresult cuGraphBatchMemOpNodeSetParams(CUgraphNode hNode,
                                        const CUDA_BATCH_MEM_OP_NODE_PARAMS *nodeParams)
{
	struct sg_op op;
	CUresult r = sg_node_op_memop(&op, nodeParams);
	return r == CUDA_SUCCESS ? sg_node_replace(hNode, &op) : r;
}

CUresult cuGraphExecBatchMemOpNodeSetParams(CUgraphExec hGraphExec, CUgraphNode hNode,
                                            const CUDA_BATCH_MEM_OP_NODE_PARAMS *nodeParams)
{
	struct sg_op op;
	CUresult r = sg_node_op_memop(&op, nodeParams);
	return r == CUDA_SUCCESS ? sg_exec_replace(hGraphExec, hNode, &op) : r;
}
