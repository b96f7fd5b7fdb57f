// SPDX-License-Identifier: Apache-2.0
/*
 * api_arena.c: where device memory comes from, and the table of everything a kernel or copy may
 * touch.
 *
 * A device's memory is an address range of this process, reserved once and larger than the
 * device (a GPU has virtual memory too: fragmentation must not fail an allocation that fits).
 * Its pages are those of a memfd, so that other processes can map some of them (ipc.h). They
 * cost nothing until touched and stay mapped for ever, so a stray access by the driver itself
 * cannot fault. The table is an array of ranges in order of address, read far more often
 * than written, under a lock of its own that is always taken innermost.
 */
#include "api_array.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "ipc.h"

#define MAX_DEVICES 64
#define RESERVE_FACTOR 4
#define ALIGN_MIN ((size_t)512)
/* freed blocks from this size on give their pages back to the system */
#define DISCARD_MIN ((size_t)256 << 10)

struct extent {
	uintptr_t base;
	size_t size;
};

static struct {
	struct extent *free; /* in order of address, never adjacent */
	size_t n_free, room;
	size_t used;
	struct extent all; /* size 0: not reserved yet */
	int fd;            /* behind `all`; -1: private memory */
} arenas[MAX_DEVICES];

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static struct sg_range *ranges;
static size_t n_ranges, ranges_room;
static uint64_t next_id = 1;

/* ---- the table */

/* Index of the first range with base > addr. */
static size_t upper(uintptr_t addr)
{
	size_t lo = 0, hi = n_ranges;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (ranges[mid].base <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct sg_range *holder(uintptr_t addr)
{
	size_t i = upper(addr);
	if (i == 0)
		return NULL;
	struct sg_range *r = &ranges[i - 1];
	return addr - r->base < r->size ? r : NULL;
}

static CUresult table_add(const struct sg_range *r)
{
	size_t i = upper(r->base);
	if ((i > 0 && r->base - ranges[i - 1].base < ranges[i - 1].size) ||
	    (i < n_ranges && ranges[i].base - r->base < r->size))
		return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
	if (n_ranges == ranges_room) {
		size_t room = ranges_room ? 2 * ranges_room : 64;
		struct sg_range *grown = realloc(ranges, room * sizeof(*grown));
		if (!grown)
			return CUDA_ERROR_OUT_OF_MEMORY;
		ranges = grown;
		ranges_room = room;
	}
	memmove(&ranges[i + 1], &ranges[i], (n_ranges - i) * sizeof(*ranges));
	ranges[i] = *r;
	ranges[i].id = next_id++;
	n_ranges++;
	return CUDA_SUCCESS;
}

/* ---- the arena: first fit over the free extents */

static bool in_arena(const struct sg_range *r)
{
	return (r->kind == SG_MEMORY_DEVICE || r->kind == SG_MEMORY_MANAGED) && !r->mapped_bytes &&
	       !r->access;
}

static CUresult extent_insert(int device, size_t at, uintptr_t base, size_t size)
{
	if (arenas[device].n_free == arenas[device].room) {
		size_t room = arenas[device].room ? 2 * arenas[device].room : 64;
		struct extent *grown = realloc(arenas[device].free, room * sizeof(*grown));
		if (!grown)
			return CUDA_ERROR_OUT_OF_MEMORY;
		arenas[device].free = grown;
		arenas[device].room = room;
	}
	struct extent *f = arenas[device].free;
	memmove(&f[at + 1], &f[at], (arenas[device].n_free - at) * sizeof(*f));
	f[at] = (struct extent){base, size};
	arenas[device].n_free++;
	return CUDA_SUCCESS;
}

static void extent_delete(int device, size_t at)
{
	struct extent *f = arenas[device].free;
	arenas[device].n_free--;
	memmove(&f[at], &f[at + 1], (arenas[device].n_free - at) * sizeof(*f));
}

/* -1: where none is to be had, memory is private and cannot be offered to others. */
static int memory_file(int device, size_t size)
{
	char name[40];
	struct rlimit limit;
	/* a larger file would be answered with SIGXFSZ */
	if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur < size)
		return -1;
	snprintf(name, sizeof(name), "softgpu-memory-%d", device);
	int fd = memfd_create(name, MFD_CLOEXEC);
	if (fd >= 0 && ftruncate(fd, (off_t)size) != 0) {
		close(fd);
		fd = -1;
	}
	int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 200); /* out of the program's way */
	if (high < 0)
		return fd;
	close(fd);
	return high;
}

static CUresult reserve(int device)
{
	size_t size = sg_the_model()->memory_bytes * RESERVE_FACTOR;
	int fd = memory_file(device, size);
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
	               (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED) | MAP_NORESERVE, fd, 0);
	if (p == MAP_FAILED) {
		if (fd >= 0)
			close(fd);
		sg_say("cannot reserve %zu bytes of address space for device memory (%s); "
		       "set SOFTGPU_MEMORY lower",
		       size, strerror(errno));
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	arenas[device].fd = fd;
	arenas[device].all = (struct extent){(uintptr_t)p, size};
	return extent_insert(device, 0, (uintptr_t)p, size);
}

static CUresult carve(int device, size_t whole, size_t align, uintptr_t *out)
{
	if (!arenas[device].all.size) {
		CUresult r = reserve(device);
		if (r != CUDA_SUCCESS)
			return r;
	}
	if (whole > sg_the_model()->memory_bytes - arenas[device].used)
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (size_t i = 0; i < arenas[device].n_free; i++) {
		struct extent *f = &arenas[device].free[i];
		uintptr_t base = (f->base + align - 1) & ~(uintptr_t)(align - 1);
		size_t before = base - f->base;
		if (before > f->size || f->size - before < whole)
			continue;
		size_t after = f->size - before - whole;
		if (before && after) {
			f->size = before;
			CUresult r = extent_insert(device, i + 1, base + whole, after);
			if (r != CUDA_SUCCESS) {
				arenas[device].free[i].size = before + whole + after;
				return r;
			}
		} else if (before) {
			f->size = before;
		} else if (after) {
			*f = (struct extent){base + whole, after};
		} else {
			extent_delete(device, i);
		}
		arenas[device].used += whole;
		*out = base;
		return CUDA_SUCCESS;
	}
	return CUDA_ERROR_OUT_OF_MEMORY;
}

/* Coalesces with both neighbours. Without memory for a new extent the block is lost to later
 * allocations, which is all that can be done. */
static void give_back(int device, uintptr_t base, size_t whole)
{
	struct extent *f = arenas[device].free;
	size_t n = arenas[device].n_free, i = 0;
	if (whole >= DISCARD_MIN) {
		uintptr_t from = (base + 4095) & ~(uintptr_t)4095;
		madvise((void *)from, (base + whole - from) & ~(size_t)4095,
		        arenas[device].fd < 0 ? MADV_DONTNEED : MADV_REMOVE);
	}
	while (i < n && f[i].base < base)
		i++;
	arenas[device].used -= whole;
	bool left = i > 0 && f[i - 1].base + f[i - 1].size == base;
	bool right = i < n && base + whole == f[i].base;
	if (left && right) {
		f[i - 1].size += whole + f[i].size;
		extent_delete(device, i);
	} else if (left) {
		f[i - 1].size += whole;
	} else if (right) {
		f[i] = (struct extent){base, whole + f[i].size};
	} else {
		CUresult ignored = extent_insert(device, i, base, whole);
		(void)ignored;
	}
}

/* ---- what the other files call */

CUresult sg_arena_alloc(const struct sg_range *template, size_t size, size_t align, uintptr_t *out)
{
	struct sg_range r = *template;
	if (align < ALIGN_MIN)
		align = ALIGN_MIN;
	r.size = size;
	r.whole = (size + ALIGN_MIN - 1) & ~(ALIGN_MIN - 1);
	if (r.whole < size)
		return CUDA_ERROR_OUT_OF_MEMORY;
	pthread_rwlock_wrlock(&lock);
	CUresult res = carve(r.device, r.whole, align, &r.base);
	if (res == CUDA_SUCCESS) {
		res = table_add(&r);
		if (res != CUDA_SUCCESS)
			give_back(r.device, r.base, r.whole);
	}
	pthread_rwlock_unlock(&lock);
	*out = r.base;
	return res;
}

CUresult sg_range_add(const struct sg_range *r)
{
	pthread_rwlock_wrlock(&lock);
	CUresult res = table_add(r);
	pthread_rwlock_unlock(&lock);
	return res;
}

static void remove_at(size_t i)
{
	if (ranges[i].offered)
		sg_ipc_withdraw(SG_IPC_BLOCK, ranges[i].offered - 1);
	if (ranges[i].mapped_bytes)
		munmap((void *)(ranges[i].base & ~(uintptr_t)4095), ranges[i].mapped_bytes);
	else if (in_arena(&ranges[i]))
		give_back(ranges[i].device, ranges[i].base, ranges[i].whole);
	n_ranges--;
	memmove(&ranges[i], &ranges[i + 1], (n_ranges - i) * sizeof(*ranges));
}

bool sg_range_remove(uintptr_t base, struct sg_range *removed)
{
	pthread_rwlock_wrlock(&lock);
	struct sg_range *r = holder(base);
	bool found = r && r->base == base;
	if (found) {
		if (removed)
			*removed = *r;
		remove_at((size_t)(r - ranges));
	}
	pthread_rwlock_unlock(&lock);
	return found;
}

bool sg_range_find(uintptr_t addr, struct sg_range *out)
{
	pthread_rwlock_rdlock(&lock);
	struct sg_range *r = holder(addr);
	if (r)
		*out = *r;
	pthread_rwlock_unlock(&lock);
	return r != NULL;
}

bool sg_range_mark_freeing(uintptr_t base)
{
	pthread_rwlock_wrlock(&lock);
	struct sg_range *r = holder(base);
	bool ok = r && r->base == base && !r->freeing;
	if (ok)
		r->freeing = true;
	pthread_rwlock_unlock(&lock);
	return ok;
}

/* Is addr in a device's address range at all? Then it is not pageable host memory. */
static bool arena_address(uintptr_t addr)
{
	for (int d = 0; d < MAX_DEVICES; d++)
		if (addr - arenas[d].all.base < arenas[d].all.size)
			return true;
	return false;
}

CUresult sg_range_check(uintptr_t addr, size_t size, struct sg_range *out, bool *found)
{
	CUresult res = CUDA_SUCCESS;
	pthread_rwlock_rdlock(&lock);
	struct sg_range *r = holder(addr);
	*found = r != NULL;
	if (r) {
		*out = *r;
		if (size > r->size - (addr - r->base) || r->freeing)
			res = CUDA_ERROR_INVALID_VALUE;
	} else if (arena_address(addr)) {
		res = CUDA_ERROR_INVALID_VALUE; /* freed, or beyond an allocation's end */
	}
	pthread_rwlock_unlock(&lock);
	return res;
}

bool sg_memory_live(uintptr_t addr, size_t size)
{
	struct sg_range r;
	return sg_range_find(addr, &r) && size <= r.size - (addr - r.base);
}

void sg_range_remove_of(CUcontext ctx)
{
	for (;;) {
		struct sg_range host = {0};
		pthread_rwlock_wrlock(&lock);
		for (size_t i = n_ranges; i-- > 0;) {
			/* pools belong to the device, not to a context */
			if (ranges[i].ctx != ctx || ranges[i].pool)
				continue;
			if (ranges[i].kind == SG_MEMORY_HOST)
				host = ranges[i];
			remove_at(i);
			if (host.base)
				break;
		}
		pthread_rwlock_unlock(&lock);
		if (!host.base)
			return;
		munmap((void *)host.base, host.whole);
	}
}

void sg_arena_usage(int device, size_t *free_bytes, size_t *total)
{
	pthread_rwlock_rdlock(&lock);
	*total = sg_the_model()->memory_bytes;
	*free_bytes = *total - arenas[device].used;
	pthread_rwlock_unlock(&lock);
}

size_t sg_arena_pending(CUcontext ctx)
{
	size_t bytes = 0;
	pthread_rwlock_rdlock(&lock);
	for (size_t i = 0; i < n_ranges; i++)
		if (ranges[i].freeing && ranges[i].device == ctx->device)
			bytes += ranges[i].whole;
	pthread_rwlock_unlock(&lock);
	return bytes;
}

/* ---- memory shared with other processes, and mapped piece by piece */

CUresult sg_arena_file(int device, uintptr_t base, int *fd, uint64_t *offset)
{
	pthread_rwlock_rdlock(&lock);
	*fd = arenas[device].fd;
	*offset = base - arenas[device].all.base;
	bool ok = arenas[device].all.size && *fd >= 0;
	pthread_rwlock_unlock(&lock);
	return ok ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;
}

CUresult sg_arena_file_of(int device, int *fd)
{
	CUresult r = CUDA_SUCCESS;
	pthread_rwlock_wrlock(&lock);
	if (!arenas[device].all.size)
		r = reserve(device);
	*fd = arenas[device].fd;
	pthread_rwlock_unlock(&lock);
	return r == CUDA_SUCCESS && *fd < 0 ? CUDA_ERROR_NOT_SUPPORTED : r;
}

void sg_range_offered(uintptr_t base, uint32_t offered)
{
	pthread_rwlock_wrlock(&lock);
	struct sg_range *r = holder(base);
	if (r && r->base == base)
		r->offered = offered;
	pthread_rwlock_unlock(&lock);
}

bool sg_range_opened(CUcontext ctx, uint64_t ipc_id, uintptr_t *base)
{
	bool found = false;
	pthread_rwlock_wrlock(&lock);
	for (size_t i = 0; i < n_ranges && !found; i++) {
		found = ranges[i].opens && ranges[i].ipc_id == ipc_id && ranges[i].ctx == ctx;
		if (found) {
			ranges[i].opens++;
			*base = ranges[i].base;
		}
	}
	pthread_rwlock_unlock(&lock);
	return found;
}

bool sg_range_close(uintptr_t base, bool *last)
{
	pthread_rwlock_wrlock(&lock);
	struct sg_range *r = holder(base);
	bool found = r && r->base == base && r->opens;
	*last = found && r->opens == 1;
	if (found && !*last)
		r->opens--;
	pthread_rwlock_unlock(&lock);
	return found;
}

CUresult sg_arena_charge(int device, size_t bytes)
{
	pthread_rwlock_wrlock(&lock);
	bool ok = bytes <= sg_the_model()->memory_bytes - arenas[device].used;
	if (ok)
		arenas[device].used += bytes;
	pthread_rwlock_unlock(&lock);
	return ok ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

void sg_arena_refund(int device, size_t bytes)
{
	pthread_rwlock_wrlock(&lock);
	arenas[device].used -= bytes;
	pthread_rwlock_unlock(&lock);
}

CUresult sg_ranges_rebuild(uintptr_t base, size_t size, const struct sg_range *with, size_t n)
{
	CUresult res = CUDA_SUCCESS;
	pthread_rwlock_wrlock(&lock);
	for (size_t i = n_ranges; i-- > 0;)
		if (ranges[i].base - base < size)
			remove_at(i);
	for (size_t i = 0; i < n && res == CUDA_SUCCESS; i++)
		res = table_add(&with[i]);
	pthread_rwlock_unlock(&lock);
	return res;
}

/* ---- what the interpreter asks: struct ptx_memory of a context */

static bool check(void *self, uint64_t addr, uint64_t size, uint64_t *lo, uint64_t *hi)
{
	CUcontext ctx = self;
	struct sg_range r;
	if (!sg_range_find((uintptr_t)addr, &r) || size > r.size - (addr - r.base))
		return false;
	if (r.access && !(r.access >> ctx->device & 1))
		return false;
	if (r.kind == SG_MEMORY_DEVICE && !r.access && r.device != ctx->device &&
	    !(r.pool && sg_pool_open_to(r.pool, ctx->device)) &&
	    !(r.device < 32 && (rein_load_relaxed(&ctx->peers) & (1u << r.device))))
		return false;
	*lo = r.base;
	*hi = r.base + r.size;
	return true;
}

static void *global_alloc(void *self, size_t size, size_t align)
{
	CUcontext ctx = self;
	struct sg_range t = {
	    .kind = SG_MEMORY_DEVICE, .device = ctx->device, .ctx = ctx, .module = true};
	uintptr_t base;
	if (sg_arena_alloc(&t, size ? size : 1, align, &base) != CUDA_SUCCESS)
		return NULL;
	memset((void *)base, 0, size); /* pages are reused: a fresh variable is zero */
	return (void *)base;
}

static void global_free(void *self, void *ptr)
{
	/* gone already when its context was destroyed before the last launch gave it back */
	CUcontext ctx = self;
	struct sg_range r;
	if (ptr && sg_range_find((uintptr_t)ptr, &r) && r.module && r.ctx == ctx)
		sg_range_remove((uintptr_t)ptr, NULL);
}

static bool set_condition(void *self, uint64_t handle, uint32_t value)
{
	(void)self;
	return sg_condition_set(handle, value);
}

void sg_memory_init(CUcontext ctx)
{
	ctx->memory = (struct ptx_memory){.check = check,
	                                  .self = ctx,
	                                  .alloc = global_alloc,
	                                  .free = global_free,
	                                  .set_condition = set_condition,
	                                  .image = sg_image_find};
}
