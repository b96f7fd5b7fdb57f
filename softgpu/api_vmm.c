// SPDX-License-Identifier: Apache-2.0
/*
 * api_vmm.c: virtual memory management: physical allocations (cuMemCreate), address ranges, and
 * mapping the one into the other; allocations are memfds, which other processes can import.
 *
 * Reserved addresses are readable and writable memory of the process from the start, so a stray
 * access by the driver itself cannot fault; kernels and copies are checked against the table of
 * api_arena.c, where neighbouring mappings with the same rights are one range.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api.h"

#include "../common/clock.h"
#include "ipc.h"

#define GRANULE ((size_t)2 << 20)

struct physical { /* CUmemGenericAllocationHandle */
	int device, fd;
	size_t size;
	bool imported; /* another process pays for it */
	unsigned types;
	unsigned char compression; /* as asked for; memory is memory here */
	unsigned handles, maps;    /* under sg_lock() */
};

struct mapping {
	uintptr_t base;
	size_t size;
	struct physical *of;
	uint32_t access; /* a bit per device */
};

struct reservation {
	struct reservation *next;
	uintptr_t base;
	size_t size;
	struct mapping *maps; /* by address */
	size_t n;
};
static struct reservation *reservations; /* under sg_lock() */

static bool aligned(uint64_t v)
{
	return v % GRANULE == 0;
}

/* ---- physical memory */

static CUresult check_prop(const CUmemAllocationProp *p)
{
	if (!p || p->type != CU_MEM_ALLOCATION_TYPE_PINNED)
		return CUDA_ERROR_INVALID_VALUE;
	if (p->location.type != CU_MEM_LOCATION_TYPE_DEVICE)
		return sg_missing("cuMemCreate with host memory");
	if (!sg_device_ok(p->location.id))
		return CUDA_ERROR_INVALID_DEVICE;
	if (p->requestedHandleTypes & ~(unsigned)CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (p->allocFlags.compressionType > CU_MEM_ALLOCATION_COMP_GENERIC)
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

CUresult cuMemGetAllocationGranularity(size_t *granularity, const CUmemAllocationProp *prop,
                                       CUmemAllocationGranularity_flags option)
{
	CUresult r = sg_ready();
	if (r == CUDA_SUCCESS)
		r = check_prop(prop);
	if (r != CUDA_SUCCESS)
		return r;
	if (!granularity || (unsigned)option > CU_MEM_ALLOC_GRANULARITY_RECOMMENDED)
		return CUDA_ERROR_INVALID_VALUE;
	*granularity = GRANULE;
	return CUDA_SUCCESS;
}

static struct physical *physical_new(int device, int fd, size_t size)
{
	struct physical *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	*p = (struct physical){.device = device, .fd = fd, .size = size, .handles = 1};
	if (sg_handle_add(p, SG_PHYSICAL) == CUDA_SUCCESS)
		return p;
	free(p);
	return NULL;
}

/* Under sg_lock(). */
static void physical_unused(struct physical *p)
{
	if (p->handles || p->maps)
		return;
	close(p->fd);
	if (!p->imported)
		sg_arena_refund(p->device, p->size);
	free(p);
}

static int make_file(int device, size_t size)
{
	char name[40];
	snprintf(name, sizeof(name), "softgpu-physical-%d", device);
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd >= 0 && (ftruncate(fd, (off_t)size) != 0 ||
	                fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0)) {
		close(fd);
		return -1;
	}
	return fd;
}

CUresult cuMemCreate(CUmemGenericAllocationHandle *handle, size_t size,
                     const CUmemAllocationProp *prop, unsigned long long flags)
{
	CUresult r = sg_ready();
	if (r == CUDA_SUCCESS)
		r = check_prop(prop);
	if (r != CUDA_SUCCESS)
		return r;
	if (!handle || !size || !aligned(size) || flags)
		return CUDA_ERROR_INVALID_VALUE;
	int device = prop->location.id;
	r = sg_arena_charge(device, size);
	if (r != CUDA_SUCCESS)
		return r;
	int fd = make_file(device, size);
	struct physical *p = fd < 0 ? NULL : physical_new(device, fd, size);
	if (!p) {
		if (fd >= 0)
			close(fd);
		sg_arena_refund(device, size);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	p->types = prop->requestedHandleTypes;
	p->compression = prop->allocFlags.compressionType;
	*handle = (uintptr_t)p;
	return CUDA_SUCCESS;
}

static struct physical *physical_of(CUmemGenericAllocationHandle handle)
{
	struct physical *p = (struct physical *)(uintptr_t)handle;
	return sg_handle_is(p, SG_PHYSICAL) ? p : NULL;
}

CUresult cuMemRelease(CUmemGenericAllocationHandle handle)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	sg_lock();
	struct physical *p = physical_of(handle);
	if (!p) {
		r = CUDA_ERROR_INVALID_VALUE;
	} else if (--p->handles == 0) {
		sg_handle_remove(p, SG_PHYSICAL);
		physical_unused(p);
	}
	sg_unlock();
	return r;
}

CUresult cuMemGetAllocationPropertiesFromHandle(CUmemAllocationProp *prop,
                                                CUmemGenericAllocationHandle handle)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	sg_lock();
	const struct physical *p = physical_of(handle);
	if (prop && p)
		*prop = (CUmemAllocationProp){
		    .type = CU_MEM_ALLOCATION_TYPE_PINNED,
		    .requestedHandleTypes = p->types,
		    .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = p->device},
		    .allocFlags = {.compressionType = p->compression}};
	else
		r = CUDA_ERROR_INVALID_VALUE;
	sg_unlock();
	return r;
}

CUresult cuMemExportToShareableHandle(void *shareableHandle, CUmemGenericAllocationHandle handle,
                                      CUmemAllocationHandleType handleType,
                                      unsigned long long flags)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!shareableHandle || flags)
		return CUDA_ERROR_INVALID_VALUE;
	if (handleType != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
		return CUDA_ERROR_NOT_SUPPORTED;
	sg_lock();
	const struct physical *p = physical_of(handle);
	int fd = -1;
	if (!p || !(p->types & (unsigned)handleType))
		r = CUDA_ERROR_INVALID_VALUE;
	else if ((fd = fcntl(p->fd, F_DUPFD_CLOEXEC, 0)) < 0)
		r = CUDA_ERROR_OPERATING_SYSTEM;
	else
		*(int *)shareableHandle = fd; /* the application closes it */
	sg_unlock();
	return r;
}

/* The descriptor stays the application's. */
CUresult cuMemImportFromShareableHandle(CUmemGenericAllocationHandle *handle, void *osHandle,
                                        CUmemAllocationHandleType shHandleType)
{
	unsigned device;
	struct stat st;
	int given = (int)(intptr_t)osHandle;
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (shHandleType != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!handle || !sg_ipc_is_memory(given, "physical", &device) ||
	    !sg_device_ok((int)device) || fstat(given, &st) != 0)
		return CUDA_ERROR_INVALID_VALUE;
	int fd = fcntl(given, F_DUPFD_CLOEXEC, 0);
	struct physical *p = fd < 0 ? NULL : physical_new((int)device, fd, (size_t)st.st_size);
	if (!p) {
		if (fd >= 0)
			close(fd);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	p->imported = true;
	p->types = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
	*handle = (uintptr_t)p;
	return CUDA_SUCCESS;
}

/* ---- addresses */

/* The reservation that holds all of [base, base + size). Under sg_lock(). */
static struct reservation *reservation_of(uintptr_t base, size_t size)
{
	struct reservation *r = reservations;
	while (r && !(base - r->base < r->size && size <= r->size - (base - r->base)))
		r = r->next;
	return r;
}

static void *anonymous(void *at, size_t size, int how)
{
	return mmap(at, size, PROT_READ | PROT_WRITE,
	            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | how, -1, 0);
}

/* An aligned piece of address space, at `hint` if it is free. */
static void *reserve(size_t size, size_t align, uintptr_t hint)
{
	void *p = hint ? anonymous((void *)hint, size, MAP_FIXED_NOREPLACE) : MAP_FAILED;
	if (p != MAP_FAILED && (uintptr_t)p == hint)
		return p;
	if (p != MAP_FAILED)
		munmap(p, size); /* a kernel that does not know the flag */
	uint8_t *whole = anonymous(NULL, size + align, 0);
	if (whole == MAP_FAILED)
		return NULL;
	size_t before = (align - (uintptr_t)whole % align) % align;
	if (before)
		munmap(whole, before);
	if (align - before)
		munmap(whole + before + size, align - before);
	return whole + before;
}

CUresult cuMemAddressReserve(CUdeviceptr *ptr, size_t size, size_t alignment, CUdeviceptr addr,
                             unsigned long long flags)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!ptr || !size || !aligned(size) || flags || (alignment & (alignment - 1)) ||
	    size > (size_t)1 << 46 || alignment > (size_t)1 << 40)
		return CUDA_ERROR_INVALID_VALUE;
	struct reservation *res = calloc(1, sizeof(*res));
	if (!res)
		return CUDA_ERROR_OUT_OF_MEMORY;
	size_t align = alignment > GRANULE ? alignment : GRANULE;
	void *p = reserve(size, align, addr % align ? 0 : addr);
	if (!p) {
		free(res);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	res->base = (uintptr_t)p;
	res->size = size;
	sg_lock();
	res->next = reservations;
	reservations = res;
	sg_unlock();
	*ptr = res->base;
	return CUDA_SUCCESS;
}

CUresult cuMemAddressFree(CUdeviceptr ptr, size_t size)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	sg_lock();
	struct reservation **at = &reservations;
	while (*at && (*at)->base != ptr)
		at = &(*at)->next;
	struct reservation *res = *at;
	if (!res || res->size != size || res->n) {
		sg_unlock();
		return CUDA_ERROR_INVALID_VALUE;
	}
	*at = res->next;
	munmap((void *)res->base, res->size);
	sg_unlock();
	free(res->maps);
	free(res);
	return CUDA_SUCCESS;
}

/* ---- mappings, under sg_lock() */

static CUresult map_add(struct reservation *res, const struct mapping *m)
{
	size_t at = 0;
	while (at < res->n && res->maps[at].base < m->base)
		at++;
	if ((at < res->n && res->maps[at].base - m->base < m->size) ||
	    (at && m->base - res->maps[at - 1].base < res->maps[at - 1].size))
		return CUDA_ERROR_INVALID_VALUE; /* mapped already */
	struct mapping *grown = realloc(res->maps, (res->n + 1) * sizeof(*grown));
	if (!grown)
		return CUDA_ERROR_OUT_OF_MEMORY;
	res->maps = grown;
	if (mmap((void *)m->base, m->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
	         m->of->fd, 0) == MAP_FAILED)
		return CUDA_ERROR_OUT_OF_MEMORY;
	memmove(&grown[at + 1], &grown[at], (res->n - at) * sizeof(*grown));
	grown[at] = *m;
	res->n++;
	m->of->maps++;
	return CUDA_SUCCESS;
}

/* Which mappings [ptr, ptr + size) consists of, without a gap; false: it does not. */
static bool maps_in(const struct reservation *res, uintptr_t ptr, size_t size, size_t *first,
                    size_t *n)
{
	size_t i = 0, covered = 0;
	while (i < res->n && res->maps[i].base < ptr)
		i++;
	*first = i;
	for (; i < res->n && covered < size && res->maps[i].base == ptr + covered; i++)
		covered += res->maps[i].size;
	*n = i - *first;
	return size && covered == size;
}

/* Enters what may be accessed: neighbours with the same rights as one range. */
static CUresult publish(const struct reservation *res)
{
	struct sg_range *runs = calloc(res->n + 1, sizeof(*runs));
	size_t n = 0;
	if (!runs)
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (size_t i = 0; i < res->n; i++) {
		const struct mapping *m = &res->maps[i];
		struct sg_range *last = n ? &runs[n - 1] : NULL;
		if (!m->access)
			continue;
		if (last && last->base + last->size == m->base && last->access == m->access &&
		    last->device == m->of->device) {
			last->size += m->size;
			last->whole = last->size;
			continue;
		}
		runs[n++] = (struct sg_range){.base = m->base,
		                              .size = m->size,
		                              .whole = m->size,
		                              .kind = SG_MEMORY_DEVICE,
		                              .device = m->of->device,
		                              .access = m->access};
	}
	CUresult r = sg_ranges_rebuild(res->base, res->size, runs, n);
	free(runs);
	return r;
}

CUresult cuMemMap(CUdeviceptr ptr, size_t size, size_t offset, CUmemGenericAllocationHandle handle,
                  unsigned long long flags)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!size || !aligned(ptr) || !aligned(size) || offset || flags)
		return CUDA_ERROR_INVALID_VALUE; /* cuda.h: the offset must be 0 */
	sg_lock();
	struct physical *p = physical_of(handle);
	struct reservation *res = reservation_of(ptr, size);
	struct mapping m = {.base = ptr, .size = size, .of = p};
	r = !p || !res || size > p->size ? CUDA_ERROR_INVALID_VALUE : map_add(res, &m);
	sg_unlock();
	return r;
}

/* Kernels under way may use what is about to go. */
static void quiesce(void)
{
	size_t n;
	void **list = sg_handle_list(SG_CONTEXT, &n);
	for (size_t i = 0; i < n; i++) {
		CUcontext ctx = list[i];
		if (!ctx->green && rein_load_acquire(&ctx->alive)) {
			CUresult ignored = sg_domain_sync(ctx->domain);
			(void)ignored;
		}
	}
	free(list);
}

CUresult cuMemUnmap(CUdeviceptr ptr, size_t size)
{
	size_t first, n;
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	sg_lock();
	struct reservation *res = reservation_of(ptr, size);
	bool ok = res && maps_in(res, ptr, size, &first, &n);
	sg_unlock();
	if (!ok)
		return CUDA_ERROR_INVALID_VALUE;
	quiesce();
	sg_lock();
	res = reservation_of(ptr, size);
	if (!res || !maps_in(res, ptr, size, &first, &n)) {
		sg_unlock();
		return CUDA_ERROR_INVALID_VALUE; /* another thread was first */
	}
	for (size_t i = first; i < first + n; i++) {
		struct mapping *m = &res->maps[i];
		anonymous((void *)m->base, m->size, MAP_FIXED);
		m->of->maps--;
		physical_unused(m->of);
	}
	res->n -= n;
	memmove(&res->maps[first], &res->maps[first + n], (res->n - first) * sizeof(*res->maps));
	r = publish(res);
	sg_unlock();
	return r;
}

static CUresult check_access(const CUmemAccessDesc *desc, size_t count, uint32_t *give,
                             uint32_t *take)
{
	*give = *take = 0;
	if (!desc || !count)
		return CUDA_ERROR_INVALID_VALUE;
	for (size_t i = 0; i < count; i++) {
		if (desc[i].location.type != CU_MEM_LOCATION_TYPE_DEVICE)
			return sg_missing("cuMemSetAccess for the host");
		if (!sg_device_ok(desc[i].location.id))
			return CUDA_ERROR_INVALID_DEVICE;
		uint32_t bit = 1u << desc[i].location.id;
		if (desc[i].flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
			*give |= bit;
		else if (desc[i].flags == CU_MEM_ACCESS_FLAGS_PROT_NONE)
			*take |= bit;
		else if (desc[i].flags == CU_MEM_ACCESS_FLAGS_PROT_READ)
			return sg_missing("cuMemSetAccess for reading only");
		else
			return CUDA_ERROR_INVALID_VALUE;
	}
	return CUDA_SUCCESS;
}

CUresult cuMemSetAccess(CUdeviceptr ptr, size_t size, const CUmemAccessDesc *desc, size_t count)
{
	uint32_t give, take;
	size_t first, n;
	CUresult r = sg_ready();
	if (r == CUDA_SUCCESS)
		r = check_access(desc, count, &give, &take);
	if (r != CUDA_SUCCESS)
		return r;
	sg_lock();
	struct reservation *res = reservation_of(ptr, size);
	if (res && maps_in(res, ptr, size, &first, &n)) {
		for (size_t i = first; i < first + n; i++)
			res->maps[i].access = (res->maps[i].access & ~take) | give;
		r = publish(res);
	} else {
		r = CUDA_ERROR_INVALID_VALUE;
	}
	sg_unlock();
	return r;
}

/* Under sg_lock(). */
static struct mapping *mapping_at(uintptr_t addr)
{
	struct reservation *res = reservation_of(addr, 1);
	for (size_t i = 0; res && i < res->n; i++)
		if (addr - res->maps[i].base < res->maps[i].size)
			return &res->maps[i];
	return NULL;
}

CUresult cuMemGetAccess(unsigned long long *flags, const CUmemLocation *location, CUdeviceptr ptr)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!flags || !location || location->type != CU_MEM_LOCATION_TYPE_DEVICE)
		return CUDA_ERROR_INVALID_VALUE;
	if (!sg_device_ok(location->id))
		return CUDA_ERROR_INVALID_DEVICE;
	sg_lock();
	const struct mapping *m = mapping_at(ptr);
	if (m)
		*flags = m->access >> location->id & 1 ? CU_MEM_ACCESS_FLAGS_PROT_READWRITE
		                                       : CU_MEM_ACCESS_FLAGS_PROT_NONE;
	else
		r = CUDA_ERROR_INVALID_VALUE;
	sg_unlock();
	return r;
}

CUresult cuMemRetainAllocationHandle(CUmemGenericAllocationHandle *handle, void *addr)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	sg_lock();
	struct mapping *m = handle ? mapping_at((uintptr_t)addr) : NULL;
	if (!m)
		r = CUDA_ERROR_INVALID_VALUE;
	else if (!m->of->handles) /* released meanwhile: it gets a handle again */
		r = sg_handle_add(m->of, SG_PHYSICAL);
	if (r == CUDA_SUCCESS) {
		m->of->handles++;
		*handle = (uintptr_t)m->of;
	}
	sg_unlock();
	return r;
}
