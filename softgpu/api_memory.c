// SPDX-License-Identifier: Apache-2.0
/*
 * api_memory.c: allocation: device, pitched, managed, page-locked host memory, and registration
 * of the application's own. Stream-ordered allocation is in api_pool.c.
 */
#include "api.h"

#include <errno.h>
#include <sys/mman.h>

#define PITCH_ALIGN ((size_t)512)

/* Allocation may synchronise the device on a GPU: a capture may prohibit it. */
static CUresult begin(CUcontext *ctx)
{
	CUresult r = sg_current(ctx);
	return r == CUDA_SUCCESS ? sg_unsafe() : r;
}

/* Waits for whatever may still use a range that is about to go. */
static CUresult quiesce(CUcontext current, const struct sg_range *r)
{
	CUcontext ctx = r->ctx && rein_load_acquire(&r->ctx->alive) ? r->ctx : current;
	return sg_domain_sync(ctx->domain);
}

/* What cuMemFreeAsync promised comes back when its streams get there; in time-only mode a little
 * later still. */
CUresult sg_arena_alloc_patient(CUcontext ctx, const struct sg_range *template, size_t bytes,
                                uintptr_t *out)
{
	CUresult r = sg_arena_alloc(template, bytes, 0, out);
	for (int i = 0; i < 1000 && r == CUDA_ERROR_OUT_OF_MEMORY && sg_arena_pending(ctx); i++) {
		if (i)
			usleep(100);
		r = sg_domain_sync(ctx->domain);
		if (r == CUDA_SUCCESS)
			r = sg_arena_alloc(template, bytes, 0, out);
	}
	return r;
}

static CUresult device_alloc(CUdeviceptr *dptr, size_t bytes, enum sg_memory_kind kind)
{
	CUcontext ctx;
	CUresult r = begin(&ctx);
	if (r != CUDA_SUCCESS)
		return r;
	if (!dptr || bytes == 0)
		return CUDA_ERROR_INVALID_VALUE;
	struct sg_range t = {.kind = kind, .device = ctx->device, .ctx = ctx};
	uintptr_t base;
	r = sg_arena_alloc_patient(ctx, &t, bytes, &base);
	if (r == CUDA_SUCCESS)
		*dptr = base;
	return r;
}

CUresult cuMemAlloc_v2(CUdeviceptr *dptr, size_t bytesize)
{
	return device_alloc(dptr, bytesize, SG_MEMORY_DEVICE);
}

CUresult cuMemAllocManaged(CUdeviceptr *dptr, size_t bytesize, unsigned int flags)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST)
		return CUDA_ERROR_INVALID_VALUE;
	return device_alloc(dptr, bytesize, SG_MEMORY_MANAGED);
}

CUresult cuMemAllocPitch_v2(CUdeviceptr *dptr, size_t *pPitch, size_t WidthInBytes, size_t Height,
                            unsigned int ElementSizeBytes)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!dptr || !pPitch || !WidthInBytes || !Height ||
	    (ElementSizeBytes != 4 && ElementSizeBytes != 8 && ElementSizeBytes != 16))
		return CUDA_ERROR_INVALID_VALUE;
	size_t pitch = (WidthInBytes + PITCH_ALIGN - 1) & ~(PITCH_ALIGN - 1), bytes;
	if (pitch < WidthInBytes || __builtin_mul_overflow(pitch, Height, &bytes))
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = device_alloc(dptr, bytes, SG_MEMORY_DEVICE);
	if (r == CUDA_SUCCESS)
		*pPitch = pitch;
	return r;
}

CUresult cuMemFree_v2(CUdeviceptr dptr)
{
	CUcontext ctx;
	struct sg_range range;
	CUresult r = begin(&ctx);
	if (r != CUDA_SUCCESS || !dptr) /* 0 is nothing to free, as driver 580 has it */
		return r;
	if (!sg_range_find(dptr, &range) || range.base != dptr || range.module || range.freeing ||
	    range.opens || range.access ||
	    (range.kind != SG_MEMORY_DEVICE && range.kind != SG_MEMORY_MANAGED))
		return CUDA_ERROR_INVALID_VALUE;
	if (range.graph) {
		r = sg_domain_sync(ctx->domain);
		return r == CUDA_SUCCESS ? sg_graph_memory_free(dptr) : r;
	}
	if (range.pool)
		return cuMemFreeAsync(dptr, CU_STREAM_LEGACY) == CUDA_SUCCESS
		           ? sg_domain_sync(ctx->domain)
		           : CUDA_ERROR_INVALID_VALUE;
	r = quiesce(ctx, &range);
	if (r != CUDA_SUCCESS)
		return r;
	if (range.kind == SG_MEMORY_MANAGED)
		sg_managed_forget(range.base, range.size);
	return sg_range_remove(dptr, NULL) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemGetInfo_v2(size_t *free_bytes, size_t *total)
{
	CUcontext ctx;
	CUresult r = sg_current(&ctx);
	if (r != CUDA_SUCCESS)
		return r;
	if (!free_bytes || !total)
		return CUDA_ERROR_INVALID_VALUE;
	sg_arena_usage(ctx->device, free_bytes, total);
	return CUDA_SUCCESS;
}

CUresult cuMemGetAddressRange_v2(CUdeviceptr *pbase, size_t *psize, CUdeviceptr dptr)
{
	CUcontext ctx;
	struct sg_range range;
	CUresult r = sg_current(&ctx);
	if (r != CUDA_SUCCESS)
		return r;
	if (!sg_range_find(dptr, &range))
		return CUDA_ERROR_NOT_FOUND;
	if (pbase)
		*pbase = range.base;
	if (psize)
		*psize = range.size;
	return CUDA_SUCCESS;
}

/* ---- page-locked host memory */

CUresult cuMemHostAlloc(void **pp, size_t bytesize, unsigned int Flags)
{
	CUcontext ctx;
	CUresult r = begin(&ctx);
	if (r != CUDA_SUCCESS)
		return r;
	if (!pp || bytesize == 0 ||
	    (Flags & ~(unsigned)(CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP |
	                         CU_MEMHOSTALLOC_WRITECOMBINED)))
		return CUDA_ERROR_INVALID_VALUE;
	size_t whole = (bytesize + 4095) & ~(size_t)4095;
	if (whole < bytesize)
		return CUDA_ERROR_OUT_OF_MEMORY;
	void *p = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return CUDA_ERROR_OUT_OF_MEMORY;
	struct sg_range range = {.base = (uintptr_t)p,
	                         .size = bytesize,
	                         .whole = whole,
	                         .kind = SG_MEMORY_HOST,
	                         .device = ctx->device,
	                         .ctx = ctx,
	                         .flags = Flags | CU_MEMHOSTALLOC_DEVICEMAP};
	r = sg_range_add(&range);
	if (r != CUDA_SUCCESS) {
		munmap(p, whole);
		return r;
	}
	*pp = p;
	return CUDA_SUCCESS;
}

CUresult cuMemAllocHost_v2(void **pp, size_t bytesize)
{
	return cuMemHostAlloc(pp, bytesize, 0);
}

CUresult cuMemFreeHost(void *p)
{
	CUcontext ctx;
	struct sg_range range;
	CUresult r = begin(&ctx);
	if (r != CUDA_SUCCESS)
		return r;
	if (!p || !sg_range_find((uintptr_t)p, &range) || range.base != (uintptr_t)p ||
	    range.kind != SG_MEMORY_HOST)
		return CUDA_ERROR_INVALID_VALUE;
	r = quiesce(ctx, &range);
	if (r != CUDA_SUCCESS)
		return r;
	if (!sg_range_remove((uintptr_t)p, &range))
		return CUDA_ERROR_INVALID_VALUE;
	munmap(p, range.whole);
	return CUDA_SUCCESS;
}

/* Is every page of [p, p + n) mapped? */
static bool mapped(uintptr_t p, size_t n)
{
	unsigned char seen[1024];
	uintptr_t from = p & ~(uintptr_t)4095, end = p + n;
	if (end < p)
		return false;
	while (from < end) {
		size_t step = end - from < 4096 * sizeof(seen) ? end - from : 4096 * sizeof(seen);
		if (mincore((void *)from, step, seen) != 0)
			return false;
		from += 4096 * sizeof(seen);
	}
	return true;
}

/* May they be pinned for the device to write? Faults them in, as pinning does. A kernel before 5.14
 * cannot say: then yes. */
static bool writable(uintptr_t p, size_t n)
{
	uintptr_t from = p & ~(uintptr_t)4095, end = (p + n + 4095) & ~(uintptr_t)4095;
	if (madvise((void *)from, end - from, MADV_POPULATE_WRITE) == 0)
		return true;
	return madvise((void *)from, end - from, MADV_POPULATE_READ) != 0;
}

CUresult cuMemHostRegister_v2(void *p, size_t bytesize, unsigned int Flags)
{
	CUcontext ctx;
	CUresult r = begin(&ctx);
	if (r != CUDA_SUCCESS)
		return r;
	if (!p || bytesize == 0 ||
	    (Flags & ~(unsigned)(CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP |
	                         CU_MEMHOSTREGISTER_IOMEMORY | CU_MEMHOSTREGISTER_READ_ONLY)))
		return CUDA_ERROR_INVALID_VALUE;
	if (Flags & CU_MEMHOSTREGISTER_IOMEMORY)
		return sg_missing("cuMemHostRegister with CU_MEMHOSTREGISTER_IOMEMORY");
	if (!mapped((uintptr_t)p, bytesize))
		return CUDA_ERROR_INVALID_VALUE;
	if (!(Flags & CU_MEMHOSTREGISTER_READ_ONLY) && !writable((uintptr_t)p, bytesize))
		return CUDA_ERROR_INVALID_VALUE;
	struct sg_range range = {.base = (uintptr_t)p,
	                         .size = bytesize,
	                         .whole = bytesize,
	                         .kind = SG_MEMORY_REGISTERED,
	                         .device = ctx->device,
	                         .ctx = ctx,
	                         .flags = Flags | CU_MEMHOSTREGISTER_DEVICEMAP};
	return sg_range_add(&range);
}

CUresult cuMemHostRegister(void *p, size_t bytesize, unsigned int Flags)
{
	return cuMemHostRegister_v2(p, bytesize, Flags);
}

CUresult cuMemHostUnregister(void *p)
{
	CUcontext ctx;
	struct sg_range range;
	CUresult r = begin(&ctx);
	if (r != CUDA_SUCCESS)
		return r;
	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	if (!sg_range_find((uintptr_t)p, &range) || range.kind != SG_MEMORY_REGISTERED ||
	    range.base != (uintptr_t)p)
		return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
	r = quiesce(ctx, &range);
	if (r != CUDA_SUCCESS)
		return r;
	return sg_range_remove((uintptr_t)p, NULL) ? CUDA_SUCCESS
	                                           : CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
}

static bool host_range(const void *p, struct sg_range *range)
{
	return p && sg_range_find((uintptr_t)p, range) &&
	       (range->kind == SG_MEMORY_HOST || range->kind == SG_MEMORY_REGISTERED);
}

/* Device pointers are host pointers. */
CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr *pdptr, void *p, unsigned int Flags)
{
	CUcontext ctx;
	struct sg_range range;
	CUresult r = sg_current(&ctx);
	if (r != CUDA_SUCCESS)
		return r;
	if (!pdptr || Flags != 0 || !host_range(p, &range))
		return CUDA_ERROR_INVALID_VALUE;
	*pdptr = (uintptr_t)p;
	return CUDA_SUCCESS;
}

CUresult cuMemHostGetFlags(unsigned int *pFlags, void *p)
{
	CUcontext ctx;
	struct sg_range range;
	CUresult r = sg_current(&ctx);
	if (r != CUDA_SUCCESS)
		return r;
	if (!pFlags || !host_range(p, &range) || range.kind != SG_MEMORY_HOST)
		return CUDA_ERROR_INVALID_VALUE;
	*pFlags = range.flags;
	return CUDA_SUCCESS;
}
