// SPDX-License-Identifier: Apache-2.0
/*
 * api_pool.c: stream-ordered allocation. Memory is taken when the call is made (earlier than a
 * stream needs it, which no program can tell) and given back when the stream gets to the free, a
 * command that takes no modelled time. A pool keeps nothing back, so its reserved memory is its
 * used memory.
 *
 * Counters have the pool's own lock: destructors run on the engine's threads.
 */
#include "api.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc.h"

struct CUmemPoolHandle_st {
	int device;
	bool initial; /* the device's own: cannot be destroyed */
	size_t max_size;
	pthread_mutex_t lock;
	bool destroyed; /* goes with its last allocation */
	uint64_t threshold, used, used_high;
	bool shareable;
	int fd;           /* of an imported one: another process' memory; else -1 */
	rein_a32 open_to; /* a bit per device that was given access, its own has it always */
	int reuse[3];     /* FOLLOW_EVENT_DEPENDENCIES, OPPORTUNISTIC, INTERNAL_DEPENDENCIES */
};

static CUmemoryPool initial[64], selected[64]; /* per device, under sg_lock() */

static CUmemoryPool pool_new(int device)
{
	CUmemoryPool p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->device = device;
	p->fd = -1;
	pthread_mutex_init(&p->lock, NULL);
	p->reuse[0] = p->reuse[1] = p->reuse[2] = 1;
	if (sg_handle_add(p, SG_POOL) != CUDA_SUCCESS) {
		free(p);
		return NULL;
	}
	return p;
}

static void pool_free(CUmemoryPool p)
{
	pthread_mutex_destroy(&p->lock);
	if (p->fd >= 0)
		close(p->fd);
	free(p);
}

static bool pool_charge(CUmemoryPool p, size_t bytes)
{
	pthread_mutex_lock(&p->lock);
	bool ok = !p->max_size || bytes <= p->max_size - p->used;
	if (ok) {
		p->used += bytes;
		if (p->used > p->used_high)
			p->used_high = p->used;
	}
	pthread_mutex_unlock(&p->lock);
	return ok;
}

static void pool_refund(CUmemoryPool p, size_t bytes)
{
	pthread_mutex_lock(&p->lock);
	p->used -= bytes;
	bool last = p->destroyed && p->used == 0;
	pthread_mutex_unlock(&p->lock);
	if (last)
		pool_free(p);
}

/* The device's own pool and the one in use; false: out of memory. */
static bool pools_of(int device, CUmemoryPool *current, CUmemoryPool *own)
{
	sg_lock();
	if (!initial[device]) {
		initial[device] = pool_new(device);
		if (initial[device])
			initial[device]->initial = true;
		selected[device] = initial[device];
	}
	if (current)
		*current = selected[device];
	if (own)
		*own = initial[device];
	bool ok = initial[device] != NULL;
	sg_unlock();
	return ok;
}

/* ---- allocation */

static CUresult alloc_async(CUdeviceptr *dptr, size_t bytes, CUmemoryPool pool, CUstream hStream)
{
	CUstream s;
	CUresult r = sg_stream_get(hStream, &s);
	if (r != CUDA_SUCCESS)
		return r;
	if (!dptr || bytes == 0)
		return CUDA_ERROR_INVALID_VALUE;
	if (!pool && !pools_of(s->ctx->device, &pool, NULL))
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (!sg_handle_is(pool, SG_POOL) || pool->fd >= 0)
		return CUDA_ERROR_INVALID_VALUE; /* nothing is allocated from an imported one */
	if (sg_capturing(s))
		return sg_capture_alloc(s, pool->device, bytes, dptr);
	r = sg_capture_refuse(s, "cuMemAllocAsync in a stream capture");
	if (r != CUDA_SUCCESS)
		return r;
	if (!pool_charge(pool, bytes))
		return CUDA_ERROR_OUT_OF_MEMORY;
	struct sg_range t = {.kind = SG_MEMORY_DEVICE, .device = pool->device, .pool = pool};
	uintptr_t base;
	r = sg_arena_alloc_patient(s->ctx, &t, bytes, &base);
	if (r == CUDA_SUCCESS)
		*dptr = base;
	else
		pool_refund(pool, bytes);
	return r;
}

CUresult cuMemAllocAsync(CUdeviceptr *dptr, size_t bytesize, CUstream hStream)
{
	return alloc_async(dptr, bytesize, NULL, hStream);
}

CUresult cuMemAllocAsync_ptsz(CUdeviceptr *dptr, size_t bytesize, CUstream hStream)
{
	return alloc_async(dptr, bytesize, NULL, SG_PT(hStream));
}

CUresult cuMemAllocFromPoolAsync(CUdeviceptr *dptr, size_t bytesize, CUmemoryPool pool,
                                 CUstream hStream)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	return pool ? alloc_async(dptr, bytesize, pool, hStream) : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemAllocFromPoolAsync_ptsz(CUdeviceptr *dptr, size_t bytesize, CUmemoryPool pool,
                                      CUstream hStream)
{
	return cuMemAllocFromPoolAsync(dptr, bytesize, pool, SG_PT(hStream));
}

struct free_cmd {
	struct sg_cmd cmd;
	uintptr_t base; /* 0: given back */
};

static CUresult free_run(struct sg_cmd *cmd)
{
	struct free_cmd *f = (struct free_cmd *)cmd;
	struct sg_range range;
	if (f->base && sg_range_remove(f->base, &range) && range.pool)
		pool_refund(range.pool, range.size);
	f->base = 0;
	return CUDA_SUCCESS;
}

/* Where payloads are not run (time-only mode, a poisoned context) it is given back here. */
static void free_destroy(struct sg_cmd *cmd)
{
	free_run(cmd);
	free(cmd);
}

CUresult cuMemFreeAsync(CUdeviceptr dptr, CUstream hStream)
{
	CUstream s;
	struct sg_range range;
	CUresult r = sg_stream_get(hStream, &s);
	if (r != CUDA_SUCCESS)
		return r;
	if (!sg_range_find(dptr, &range) || range.module || range.base != dptr || range.opens ||
	    range.access || (range.kind != SG_MEMORY_DEVICE && range.kind != SG_MEMORY_MANAGED))
		return CUDA_ERROR_INVALID_VALUE;
	if (sg_capturing(s))
		return sg_capture_free(s, dptr);
	if (range.graph)
		return sg_graph_memory_free_in(s, dptr);
	r = sg_capture_refuse(s, "cuMemFreeAsync in a stream capture");
	if (r != CUDA_SUCCESS)
		return r;
	struct free_cmd *f = calloc(1, sizeof(*f));
	if (!f)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (!sg_range_mark_freeing(dptr)) {
		free(f);
		return CUDA_ERROR_INVALID_VALUE; /* another thread was first */
	}
	f->cmd.kind = SG_CMD_MARK;
	f->cmd.run = free_run;
	f->cmd.destroy = free_destroy;
	f->base = dptr;
	return sg_submit(s->engine, &f->cmd);
}

CUresult cuMemFreeAsync_ptsz(CUdeviceptr dptr, CUstream hStream)
{
	return cuMemFreeAsync(dptr, SG_PT(hStream));
}

/* ---- pools as objects */

static CUresult device_pool(CUmemoryPool *out, CUdevice dev, bool own)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	if (!sg_device_ok(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	return pools_of(dev, own ? NULL : out, own ? out : NULL) ? CUDA_SUCCESS
	                                                         : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuDeviceGetDefaultMemPool(CUmemoryPool *pool_out, CUdevice dev)
{
	return device_pool(pool_out, dev, true);
}

CUresult cuDeviceGetMemPool(CUmemoryPool *pool, CUdevice dev)
{
	return device_pool(pool, dev, false);
}

CUresult cuDeviceSetMemPool(CUdevice dev, CUmemoryPool pool)
{
	CUmemoryPool own;
	CUresult r = device_pool(&own, dev, true);
	if (r != CUDA_SUCCESS)
		return r;
	if (!sg_handle_is(pool, SG_POOL))
		return CUDA_ERROR_INVALID_VALUE;
	if (pool->device != dev)
		return CUDA_ERROR_INVALID_DEVICE;
	if (pool->fd >= 0)
		return CUDA_ERROR_INVALID_VALUE;
	sg_lock();
	selected[dev] = pool;
	sg_unlock();
	return CUDA_SUCCESS;
}

CUresult cuMemPoolCreate(CUmemoryPool *pool, const CUmemPoolProps *poolProps)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!pool || !poolProps || poolProps->allocType != CU_MEM_ALLOCATION_TYPE_PINNED)
		return CUDA_ERROR_INVALID_VALUE;
	if (poolProps->handleTypes & ~(unsigned)CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
		return sg_missing("cuMemPoolCreate with handles that are not file descriptors");
	if (poolProps->location.type != CU_MEM_LOCATION_TYPE_DEVICE)
		return sg_missing("cuMemPoolCreate with host memory");
	if (!sg_device_ok(poolProps->location.id))
		return CUDA_ERROR_INVALID_DEVICE;
	CUmemoryPool p = pool_new(poolProps->location.id);
	if (!p)
		return CUDA_ERROR_OUT_OF_MEMORY;
	p->max_size = poolProps->maxSize;
	p->shareable = poolProps->handleTypes & CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
	*pool = p;
	return CUDA_SUCCESS;
}

CUresult cuMemPoolDestroy(CUmemoryPool pool)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!sg_handle_is(pool, SG_POOL) || pool->initial)
		return CUDA_ERROR_INVALID_VALUE;
	if (!sg_handle_remove(pool, SG_POOL))
		return CUDA_ERROR_INVALID_VALUE;
	sg_lock();
	if (selected[pool->device] == pool)
		selected[pool->device] = initial[pool->device];
	sg_unlock();
	pthread_mutex_lock(&pool->lock);
	pool->destroyed = true;
	bool empty = pool->used == 0;
	pthread_mutex_unlock(&pool->lock);
	if (empty)
		pool_free(pool);
	return CUDA_SUCCESS;
}

CUresult cuMemPoolTrimTo(CUmemoryPool pool, size_t minBytesToKeep)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	(void)minBytesToKeep; /* nothing is kept beyond what is in use */
	return sg_handle_is(pool, SG_POOL) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemPoolSetAttribute(CUmemoryPool pool, CUmemPool_attribute attr, void *value)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!sg_handle_is(pool, SG_POOL) || !value)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&pool->lock);
	switch (attr) {
	case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES:
	case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC:
	case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES:
		pool->reuse[attr - CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES] = *(int *)value;
		break;
	case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
		pool->threshold = *(cuuint64_t *)value;
		break;
	case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
	case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
		if (*(cuuint64_t *)value == 0)
			pool->used_high = pool->used;
		else
			r = CUDA_ERROR_INVALID_VALUE; /* a high mark can only be reset */
		break;
	default:
		r = CUDA_ERROR_INVALID_VALUE;
	}
	pthread_mutex_unlock(&pool->lock);
	return r;
}

CUresult cuMemPoolGetAttribute(CUmemoryPool pool, CUmemPool_attribute attr, void *value)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!sg_handle_is(pool, SG_POOL) || !value)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&pool->lock);
	switch (attr) {
	case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES:
	case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC:
	case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES:
		*(int *)value = pool->reuse[attr - CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES];
		break;
	case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
		*(cuuint64_t *)value = pool->threshold;
		break;
	case CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT:
	case CU_MEMPOOL_ATTR_USED_MEM_CURRENT:
		*(cuuint64_t *)value = pool->used;
		break;
	case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
	case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
		*(cuuint64_t *)value = pool->used_high;
		break;
	default:
		r = CUDA_ERROR_INVALID_VALUE;
	}
	pthread_mutex_unlock(&pool->lock);
	return r;
}

CUresult cuMemPoolSetAccess(CUmemoryPool pool, const CUmemAccessDesc *map, size_t count)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!sg_handle_is(pool, SG_POOL) || (count && !map))
		return CUDA_ERROR_INVALID_VALUE;
	for (size_t i = 0; i < count; i++) {
		if (map[i].location.type != CU_MEM_LOCATION_TYPE_DEVICE)
			return sg_missing("cuMemPoolSetAccess for another place than devices");
		if (!sg_device_ok(map[i].location.id))
			return CUDA_ERROR_INVALID_DEVICE;
		if (map[i].flags == CU_MEM_ACCESS_FLAGS_PROT_READ)
			return sg_missing("cuMemPoolSetAccess for reading only");
		if (map[i].flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE &&
		    (map[i].flags != CU_MEM_ACCESS_FLAGS_PROT_NONE ||
		     map[i].location.id == pool->device))
			return CUDA_ERROR_INVALID_VALUE; /* its own device always has access */
	}
	for (size_t i = 0; i < count; i++) {
		uint32_t bit = 1u << map[i].location.id;
		if (map[i].flags == CU_MEM_ACCESS_FLAGS_PROT_NONE)
			rein_and_seqcst(&pool->open_to, ~bit);
		else
			rein_or_seqcst(&pool->open_to, bit);
	}
	return CUDA_SUCCESS;
}

bool sg_pool_open_to(CUmemoryPool pool, int device)
{
	return device == pool->device || (rein_load_acquire(&pool->open_to) >> device & 1);
}

CUresult cuMemPoolGetAccess(CUmemAccess_flags *flags, CUmemoryPool memPool, CUmemLocation *location)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!flags || !location || !sg_handle_is(memPool, SG_POOL))
		return CUDA_ERROR_INVALID_VALUE;
	bool open = location->type == CU_MEM_LOCATION_TYPE_DEVICE && sg_device_ok(location->id) &&
	            sg_pool_open_to(memPool, location->id);
	*flags = open ? CU_MEM_ACCESS_FLAGS_PROT_READWRITE : CU_MEM_ACCESS_FLAGS_PROT_NONE;
	return CUDA_SUCCESS;
}

/* ---- pools shared with other processes: the descriptor is that of all memory of the device, an
 * allocation's export says where in it */

struct pool_pointer { /* what CUmemPoolPtrExportData holds */
	uint64_t magic, inode, offset, size;
};
_Static_assert(sizeof(struct pool_pointer) <= sizeof(CUmemPoolPtrExportData), "64 bytes");
#define POOL_POINTER 0x7470656c6f6f70ull

static uint64_t inode_of(int fd)
{
	struct stat st;
	return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

CUresult cuMemPoolExportToShareableHandle(void *handle_out, CUmemoryPool pool,
                                          CUmemAllocationHandleType handleType,
                                          unsigned long long flags)
{
	int fd;
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!handle_out || flags || !sg_handle_is(pool, SG_POOL) || !pool->shareable ||
	    handleType != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
		return CUDA_ERROR_INVALID_VALUE;
	r = sg_arena_file_of(pool->device, &fd);
	if (r != CUDA_SUCCESS)
		return r;
	*(int *)handle_out = fcntl(fd, F_DUPFD_CLOEXEC, 0); /* the application closes it */
	return *(int *)handle_out < 0 ? CUDA_ERROR_OPERATING_SYSTEM : CUDA_SUCCESS;
}

CUresult cuMemPoolImportFromShareableHandle(CUmemoryPool *pool_out, void *handle,
                                            CUmemAllocationHandleType handleType,
                                            unsigned long long flags)
{
	unsigned device;
	int fd = (int)(intptr_t)handle;
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!pool_out || flags || handleType != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR ||
	    !sg_ipc_is_memory(fd, "memory", &device) || !sg_device_ok((int)device))
		return CUDA_ERROR_INVALID_VALUE;
	CUmemoryPool p = pool_new((int)device);
	if (!p)
		return CUDA_ERROR_OUT_OF_MEMORY;
	p->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (p->fd < 0) {
		sg_handle_remove(p, SG_POOL);
		pool_free(p);
		return CUDA_ERROR_OPERATING_SYSTEM;
	}
	*pool_out = p;
	return CUDA_SUCCESS;
}

CUresult cuMemPoolExportPointer(CUmemPoolPtrExportData *shareData_out, CUdeviceptr ptr)
{
	struct sg_range range;
	struct pool_pointer p = {.magic = POOL_POINTER};
	int fd;
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!shareData_out || !sg_range_find(ptr, &range) || range.base != ptr || !range.pool ||
	    range.freeing || !range.pool->shareable)
		return CUDA_ERROR_INVALID_VALUE;
	r = sg_arena_file(range.device, range.base, &fd, &p.offset);
	if (r != CUDA_SUCCESS)
		return r;
	p.inode = inode_of(fd);
	p.size = range.size;
	memset(shareData_out, 0, sizeof(*shareData_out));
	memcpy(shareData_out, &p, sizeof(p));
	return CUDA_SUCCESS;
}

CUresult cuMemPoolImportPointer(CUdeviceptr *ptr_out, CUmemoryPool pool,
                                CUmemPoolPtrExportData *shareData)
{
	struct pool_pointer p;
	struct stat st;
	uintptr_t base;
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!ptr_out || !shareData || !sg_handle_is(pool, SG_POOL) || pool->fd < 0)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(&p, shareData, sizeof(p));
	if (p.magic != POOL_POINTER || fstat(pool->fd, &st) != 0 || st.st_ino != p.inode ||
	    !p.size || p.size > (uint64_t)st.st_size || p.offset > (uint64_t)st.st_size - p.size)
		return CUDA_ERROR_INVALID_VALUE;
	if (!pool_charge(pool, p.size))
		return CUDA_ERROR_OUT_OF_MEMORY;
	struct sg_range t = {.device = pool->device, .pool = pool};
	r = sg_range_import(&t, pool->fd, p.offset, p.size, &base);
	if (r == CUDA_SUCCESS)
		*ptr_out = base;
	else
		pool_refund(pool, p.size);
	return r;
}
