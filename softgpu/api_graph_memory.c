// SPDX-License-Identifier: Apache-2.0
/*
 * api_graph_memory.c: allocations inside stream captures ("Graph Memory Nodes" in the CUDA C++
 * Programming Guide). Their address is known when they are captured. A real driver gives them
 * memory at each launch; here they have it until the last graph, executable graph or launch with a
 * node of theirs has gone, so the nodes themselves do nothing.
 */
#include "api.h"

#include <pthread.h>

struct sg_graph_memory {
	uintptr_t base;
	unsigned refs; /* the ops that name it */
	struct sg_graph_memory *next;
};

static struct sg_graph_memory *all;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* innermost */

void sg_graph_memory_hold(struct sg_graph_memory *m)
{
	pthread_mutex_lock(&lock);
	m->refs++;
	pthread_mutex_unlock(&lock);
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

CUresult sg_capture_alloc(CUstream s, int device, size_t bytes, CUdeviceptr *out)
{
	struct sg_range t = {.kind = SG_MEMORY_DEVICE, .device = device, .graph = true};
	struct sg_graph_memory *m = calloc(1, sizeof(*m));
	if (!m)
		return CUDA_ERROR_OUT_OF_MEMORY;
	CUresult r = sg_arena_alloc_patient(s->ctx, &t, bytes, &m->base);
	if (r != CUDA_SUCCESS) {
		free(m);
		return r;
	}
	m->refs = 1;
	pthread_mutex_lock(&lock);
	m->next = all;
	all = m;
	pthread_mutex_unlock(&lock);
	uintptr_t base = m->base;
	struct sg_op op = {.kind = SG_OP_ALLOC, .ctx = s->ctx, .memory = m};
	r = sg_issue(s, &op, false);
	sg_op_fini(&op);
	if (r == CUDA_SUCCESS)
		*out = base;
	return r;
}

CUresult sg_capture_free(CUstream s, CUdeviceptr dptr)
{
	struct sg_graph_memory *m = find(dptr);
	if (!m)
		return sg_capture_refuse(s, "cuMemFreeAsync in a stream capture of memory "
		                            "that was not allocated in one");
	struct sg_op op = {.kind = SG_OP_FREE, .ctx = s->ctx, .memory = m};
	CUresult r = sg_issue(s, &op, false);
	sg_op_fini(&op);
	return r;
}

CUresult cuDeviceGraphMemTrim(CUdevice device)
{
	CUresult r = sg_ready();
	if (r == CUDA_SUCCESS && !sg_device_ok(device))
		r = CUDA_ERROR_INVALID_DEVICE;
	return r; /* nothing is kept of what no graph holds */
}
