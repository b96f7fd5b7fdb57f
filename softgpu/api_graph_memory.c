// SPDX-License-Identifier: Apache-2.0
/*
 * api_graph_memory.c: allocations of graphs ("Graph Memory Nodes" in the CUDA C++ Programming
 * Guide), from nodes that are added or captured. Their address is known when the node is made. A
 * real driver backs it with memory at each launch; here it is backed as long as anything names it:
 * a node, an executable graph, a launch under way, or the allocation itself, from the launch that
 * makes it until it is freed, by a node, by cuMemFreeAsync or by cuMemFree. So the nodes do
 * nothing, and what is counted is who may use the memory: a launch allocates and frees, in the
 * order of the calls.
 *
 * The figures of cuDeviceGetGraphMemAttribute are those of a driver that keeps what was freed for
 * the next launch in the same stream, or, if no stream freed it, in any; until it is trimmed.
 */
#include "api_graph.h"

#include <pthread.h>

struct sg_graph_memory {
	uintptr_t base;
	size_t bytes;
	int device;
	unsigned refs; /* the ops that name it, and the allocation while it is live */
	bool live;     /* allocated by a launch, not freed yet */
	bool here;     /* scratch of one launch: allocated by it */
	struct sg_graph_memory *next;
};

static struct sg_graph_memory *all;
static struct usage {
	cuuint64_t current, used_high, reserved_high; /* what is live, and what is kept */
} usage[SG_DEVICES_MAX];
struct kept { /* freed, for the next launch */
	struct kept *next;
	uint64_t stream; /* NO_STREAM: any */
	cuuint64_t bytes;
	int device;
};
static struct kept *kept;
#define NO_STREAM 0
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* innermost; guards all of this file */

/* ---- references */

void sg_graph_memory_hold(struct sg_graph_memory *m)
{
	pthread_mutex_lock(&lock);
	m->refs++;
	pthread_mutex_unlock(&lock);
}

/* How much of it is kept for the stream; that is no longer kept then. */
static cuuint64_t take(int device, uint64_t stream, cuuint64_t bytes)
{
	cuuint64_t took = 0;
	for (struct kept *k = kept; k && took < bytes; k = k->next) {
		if (k->device != device || (k->stream != stream && k->stream != NO_STREAM))
			continue;
		cuuint64_t some = k->bytes < bytes - took ? k->bytes : bytes - took;
		k->bytes -= some;
		took += some;
	}
	return took;
}

/* Without memory to note it in, it is as if it had been trimmed. */
static void keep(int device, uint64_t stream, cuuint64_t bytes)
{
	struct kept *k = kept, *empty = NULL;
	for (; k && !(k->device == device && k->stream == stream); k = k->next)
		if (!k->bytes)
			empty = k;
	if (!k && (k = empty)) {
		k->device = device;
		k->stream = stream;
	} else if (!k && (k = calloc(1, sizeof(*k)))) {
		*k = (struct kept){.next = kept, .stream = stream, .device = device};
		kept = k;
	}
	if (k)
		k->bytes += bytes;
	else
		usage[device].current -= bytes;
}

static void set_live(struct sg_graph_memory *m, bool live, uint64_t stream)
{
	struct usage *u = &usage[m->device];
	m->live = live;
	if (live)
		u->current += m->bytes - take(m->device, stream, m->bytes);
	else
		keep(m->device, stream, m->bytes);
	if (u->current > u->used_high)
		u->used_high = u->current;
	if (u->current > u->reserved_high)
		u->reserved_high = u->current;
	m->refs = live ? m->refs + 1 : m->refs - 1; /* never the last: the caller's op has one */
}

void sg_graph_memory_drop(struct sg_graph_memory *m)
{
	pthread_mutex_lock(&lock);
	bool last = --m->refs == 0;
	struct sg_graph_memory **at = &all;
	while (last && *at != m)
		at = &(*at)->next;
	if (last)
		*at = m->next;
	pthread_mutex_unlock(&lock);
	if (!last)
		return;
	sg_range_remove(m->base, NULL);
	free(m);
}

/* What begins at base, held; NULL: no graph's. */
static struct sg_graph_memory *find(uintptr_t base)
{
	pthread_mutex_lock(&lock);
	struct sg_graph_memory *m = all;
	while (m && m->base != base)
		m = m->next;
	if (m)
		m->refs++;
	pthread_mutex_unlock(&lock);
	return m;
}

/* ---- ops */

static CUresult op_alloc(struct sg_op *op, CUcontext ctx, int device, size_t bytes)
{
	struct sg_range t = {.kind = SG_MEMORY_DEVICE, .device = device, .graph = true};
	struct sg_graph_memory *m = calloc(1, sizeof(*m));
	if (!m)
		return CUDA_ERROR_OUT_OF_MEMORY;
	CUresult r = sg_arena_alloc_patient(ctx, &t, bytes, &m->base);
	if (r != CUDA_SUCCESS) {
		free(m);
		return r;
	}
	m->refs = 1;
	m->bytes = bytes;
	m->device = device;
	pthread_mutex_lock(&lock);
	m->next = all;
	all = m;
	pthread_mutex_unlock(&lock);
	*op = (struct sg_op){.kind = SG_OP_ALLOC, .ctx = ctx, .memory = m};
	return CUDA_SUCCESS;
}

static bool op_free(struct sg_op *op, CUcontext ctx, uintptr_t base)
{
	struct sg_graph_memory *m = find(base);
	*op = (struct sg_op){.kind = m ? SG_OP_FREE : SG_OP_EMPTY, .ctx = ctx, .memory = m};
	return m != NULL;
}

CUresult sg_capture_alloc(CUstream s, int device, size_t bytes, CUdeviceptr *out)
{
	struct sg_op op;
	CUresult r = op_alloc(&op, s->ctx, device, bytes);
	if (r != CUDA_SUCCESS)
		return r;
	uintptr_t base = op.memory->base;
	r = sg_issue(s, &op, false);
	sg_op_fini(&op);
	if (r == CUDA_SUCCESS)
		*out = base;
	return r;
}

CUresult sg_capture_free(CUstream s, CUdeviceptr dptr)
{
	struct sg_op op;
	if (!op_free(&op, s->ctx, dptr))
		return sg_capture_refuse(s, "cuMemFreeAsync in a stream capture of memory "
		                            "that was not allocated in one");
	CUresult r = sg_issue(s, &op, false);
	sg_op_fini(&op);
	return r;
}

/* ---- launches, and freeing outside of graphs */

CUresult sg_graph_memory_launch(CUgraphExec e, uint64_t stream)
{
	CUresult r = CUDA_SUCCESS;
	bool replace = e->flags & CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH;
	pthread_mutex_lock(&lock);
	for (uint32_t i = 0; i < e->n; i++) {
		const struct sg_op *op = &e->nodes[i].op;
		if (op->kind == SG_OP_ALLOC) {
			op->memory->here = true;
			if (op->memory->live && !replace)
				r = CUDA_ERROR_INVALID_VALUE; /* the last launch's was not freed */
		}
	}
	for (uint32_t i = 0; i < e->n; i++) {
		const struct sg_op *op = &e->nodes[i].op;
		if (op->kind == SG_OP_FREE && !op->memory->here && !op->memory->live)
			r = CUDA_ERROR_INVALID_VALUE;
	}
	for (uint32_t i = 0; i < e->n; i++) {
		const struct sg_op *op = &e->nodes[i].op;
		if (op->kind == SG_OP_ALLOC)
			op->memory->here = false;
		if (r == CUDA_SUCCESS && (op->kind == SG_OP_ALLOC || op->kind == SG_OP_FREE) &&
		    op->memory->live != (op->kind == SG_OP_ALLOC))
			set_live(op->memory, op->kind == SG_OP_ALLOC, stream);
	}
	pthread_mutex_unlock(&lock);
	return r;
}

static bool end(struct sg_graph_memory *m, uint64_t stream)
{
	pthread_mutex_lock(&lock);
	bool was = m->live;
	if (was)
		set_live(m, false, stream);
	pthread_mutex_unlock(&lock);
	return was;
}

CUresult sg_graph_memory_free(CUdeviceptr dptr)
{
	struct sg_graph_memory *m = find(dptr);
	CUresult r = m && end(m, NO_STREAM) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
	if (m)
		sg_graph_memory_drop(m);
	return r;
}

CUresult sg_graph_memory_free_in(CUstream s, CUdeviceptr dptr)
{
	struct sg_op op;
	if (!op_free(&op, s->ctx, dptr))
		return CUDA_ERROR_INVALID_VALUE;
	/* the command holds the memory until the stream gets there */
	CUresult r = end(op.memory, sg_stream_id(s->engine)) ? sg_issue(s, &op, false)
	                                                     : CUDA_ERROR_INVALID_VALUE;
	sg_op_fini(&op);
	return r;
}

/* ---- nodes */

CUresult cuGraphAddMemAllocNode(CUgraphNode *phGraphNode, CUgraph hGraph,
                                const CUgraphNode *dependencies, size_t numDependencies,
                                CUDA_MEM_ALLOC_NODE_PARAMS *nodeParams)
{
	CUcontext ctx;
	struct sg_op op;
	CUresult r = sg_current(&ctx);
	if (r != CUDA_SUCCESS)
		return r;
	if (!nodeParams || !nodeParams->bytesize ||
	    nodeParams->poolProps.allocType != CU_MEM_ALLOCATION_TYPE_PINNED ||
	    nodeParams->poolProps.handleTypes != CU_MEM_HANDLE_TYPE_NONE ||
	    (nodeParams->accessDescCount && !nodeParams->accessDescs))
		return CUDA_ERROR_INVALID_VALUE;
	const CUmemLocation *where = &nodeParams->poolProps.location;
	if (where->type != CU_MEM_LOCATION_TYPE_DEVICE)
		return sg_missing("cuGraphAddMemAllocNode with host memory");
	if (!sg_device_ok(where->id))
		return CUDA_ERROR_INVALID_VALUE;
	for (size_t i = 0; i < nodeParams->accessDescCount; i++)
		if (nodeParams->accessDescs[i].location.type != CU_MEM_LOCATION_TYPE_DEVICE ||
		    nodeParams->accessDescs[i].location.id != where->id)
			return sg_missing("cuGraphAddMemAllocNode with access for other devices");
	r = op_alloc(&op, ctx, where->id, nodeParams->bytesize);
	if (r != CUDA_SUCCESS)
		return r;
	uintptr_t base = op.memory->base;
	r = sg_node_add(phGraphNode, hGraph, dependencies, numDependencies, &op);
	if (r == CUDA_SUCCESS)
		nodeParams->dptr = base;
	return r;
}

CUresult cuGraphAddMemFreeNode(CUgraphNode *phGraphNode, CUgraph hGraph,
                               const CUgraphNode *dependencies, size_t numDependencies,
                               CUdeviceptr dptr)
{
	CUcontext ctx;
	struct sg_op op;
	CUresult r = sg_current(&ctx);
	if (r != CUDA_SUCCESS)
		return r;
	if (!op_free(&op, ctx, dptr))
		return CUDA_ERROR_INVALID_VALUE;
	return sg_node_add(phGraphNode, hGraph, dependencies, numDependencies, &op);
}

CUresult cuGraphMemAllocNodeGetParams(CUgraphNode hNode, CUDA_MEM_ALLOC_NODE_PARAMS *params_out)
{
	CUresult r = sg_node_of(hNode, SG_OP_ALLOC, params_out);
	if (r != CUDA_SUCCESS)
		return r;
	const struct sg_graph_memory *m = hNode->op.memory;
	*params_out = (CUDA_MEM_ALLOC_NODE_PARAMS){
	    .poolProps = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
	                  .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = m->device}},
	    .bytesize = m->bytes,
	    .dptr = m->base,
	};
	return CUDA_SUCCESS;
}

CUresult cuGraphMemFreeNodeGetParams(CUgraphNode hNode, CUdeviceptr *dptr_out)
{
	CUresult r = sg_node_of(hNode, SG_OP_FREE, dptr_out);
	if (r == CUDA_SUCCESS)
		*dptr_out = hNode->op.memory->base;
	return r;
}

/* ---- what is in use */

static CUresult device_check(CUdevice device)
{
	CUresult r = sg_ready();
	if (r == CUDA_SUCCESS && !sg_device_ok(device))
		r = CUDA_ERROR_INVALID_DEVICE;
	return r;
}

/* Gives back what no allocation holds; a later launch takes it again. */
CUresult cuDeviceGraphMemTrim(CUdevice device)
{
	CUresult r = device_check(device);
	if (r != CUDA_SUCCESS)
		return r;
	pthread_mutex_lock(&lock);
	for (struct kept *k = kept; k; k = k->next) {
		if (k->device != device)
			continue;
		usage[device].current -= k->bytes;
		k->bytes = 0;
	}
	pthread_mutex_unlock(&lock);
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetGraphMemAttribute(CUdevice device, CUgraphMem_attribute attr, void *value)
{
	CUresult r = device_check(device);
	if (r != CUDA_SUCCESS)
		return r;
	if (!value)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&lock);
	const struct usage *u = &usage[device];
	switch (attr) {
	case CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT: /* mapped by a graph: until it is trimmed, too */
	case CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT:
		*(cuuint64_t *)value = u->current;
		break;
	case CU_GRAPH_MEM_ATTR_USED_MEM_HIGH:
		*(cuuint64_t *)value = u->used_high;
		break;
	case CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH:
		*(cuuint64_t *)value = u->reserved_high;
		break;
	default:
		r = CUDA_ERROR_INVALID_VALUE;
	}
	pthread_mutex_unlock(&lock);
	return r;
}

/* The high marks can be reset, nothing else. */
CUresult cuDeviceSetGraphMemAttribute(CUdevice device, CUgraphMem_attribute attr, void *value)
{
	CUresult r = device_check(device);
	if (r != CUDA_SUCCESS)
		return r;
	if (!value || *(const cuuint64_t *)value != 0)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&lock);
	struct usage *u = &usage[device];
	if (attr == CU_GRAPH_MEM_ATTR_USED_MEM_HIGH)
		u->used_high = u->current;
	else if (attr == CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH)
		u->reserved_high = u->current;
	else
		r = CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_unlock(&lock);
	return r;
}
