// SPDX-License-Identifier: Apache-2.0
/*
 * resolve.c: which functions are the driver's, and how an application comes to ours instead.
 *
 * An application finds a driver function in one of four ways, and gets our hook in each:
 *   linked          the exported symbols of hooks.c come first in the search order
 *   dlsym, dlvsym   RTLD_DEFAULT and RTLD_NEXT follow that same order, so those calls are left to
 *                   libc; with a handle the answer is replaced if it is the driver's own function
 *                   (preload.c)
 *   cuGetProcAddress(_v2), asked for by the CUDA runtime and everything that embeds it
 * In the stand-in (standin/) the first two find its own exports, with any handle. cuGetExportTable
 * is passed through untouched: the known tables hold no launch.
 *
 * `real` is looked up once, at the first hooked call or the first dlsym that finds a driver; until
 * then nothing is done but finding libc's dlsym. No lock is held while the loader is called: a
 * thread inside dlopen may enter here with the loader's lock held.
 */
#include "resolve.h"

#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "../common/env.h"
#include "cuda_versions.h"

struct rein_real real;
rein_a32 rein_real_ready;

static rein_a32 filling;     /* 1: a thread copies into `real` */
static rein_a64 driver_base; /* load address of the object that `real` comes from */

static_assert(sizeof(struct rein_real) == REIN_E_COUNT * sizeof(void *),
              "struct rein_real must be walkable as an array of pointers");

/* ---------------------------------------------------------------- the driver's functions */

static CUresult unsupported(void)
{
	return CUDA_ERROR_NOT_SUPPORTED;
}

static void **slot(int entry)
{
	return (void **)&real + entry;
}

bool rein_real_has(enum rein_entry_id entry)
{
	void *f = __atomic_load_n(slot((int)entry), __ATOMIC_RELAXED);
	return f && f != (void *)unsupported;
}

/* Copies the functions (NULL: none) into `real`, once. The wait is bounded, because a fork can
 * leave the flag set in the child for ever; then both copy the same values. */
static void publish(void *const *found, uintptr_t base)
{
	uint32_t free = 0;
	for (int i = 0; i < 10000 && !rein_cas(&filling, &free, 1); i++, free = 0)
		sched_yield();
	if (!rein_load_acquire(&rein_real_ready)) {
		for (int i = 0; i < REIN_E_COUNT; i++)
			__atomic_store_n(slot(i),
			                 found && found[i] ? found[i] : (void *)unsupported,
			                 __ATOMIC_RELAXED);
		rein_store_relaxed(&driver_base, base);
		if (found)
			rein_store_release(&rein_real_ready, 1);
	}
	rein_store_release(&filling, 0);
}

bool rein_resolve_near(const void *hint)
{
	if (rein_load_acquire(&rein_real_ready))
		return true;

	int saved_errno = errno;
	void *found[REIN_E_COUNT];
	uintptr_t base = 0;
	bool ok = rein_driver_find(hint, found, &base);
	publish(ok ? found : NULL, base);
	(void)dlerror(); /* our failed look-ups are not the application's errors */
	errno = saved_errno;
	return ok;
}

bool rein_resolve(void)
{
	return rein_resolve_near(NULL);
}

uintptr_t rein_resolve_base(void)
{
	return (uintptr_t)rein_load_relaxed(&driver_base);
}

/* ---------------------------------------------------------------- cuGetProcAddress */

/* The entry that (name, version, flags) means by the header's rules; -1: it knows none for certain.
 * A name with a suffix ("cuMemAlloc_v2") is the symbol itself. */
static int entry_asked_for(const char *base, int version, cuuint64_t flags)
{
	const struct cuda_version_row *best = NULL;
	bool per_thread = flags & CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM;
	size_t low = 0, high = REIN_ARRAY_LEN(cuda_version_rows);

	while (low < high) {
		size_t middle = (low + high) / 2;
		if (strcmp(cuda_version_rows[middle].base, base) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (strchr(base, '_'))
		return rein_entry_find(base);
	for (; low < REIN_ARRAY_LEN(cuda_version_rows); low++) {
		const struct cuda_version_row *row = &cuda_version_rows[low];
		if (strcmp(row->base, base))
			break;
		if (row->version > version || (row->per_thread && !per_thread))
			continue;
		if (!best || row->per_thread >= best->per_thread)
			best = row; /* ascending versions: the later row is the newer */
	}
	return best && best->sure ? rein_entry_find(best->symbol) : -1;
}

static bool is_real(int entry, const void *addr)
{
	return entry >= 0 && rein_real_has((enum rein_entry_id)entry) && *slot(entry) == addr;
}

/* Does the driver give the same function for the newest version that our header knows? */
static bool same_for_known_version(const char *symbol, const void *addr, cuuint64_t flags)
{
	void *known = NULL;
	CUresult r = CUDA_ERROR_NOT_SUPPORTED;
	if (rein_real_has(REIN_E_cuGetProcAddress_v2))
		r = real.cuGetProcAddress_v2(symbol, &known, CUDA_VERSION, flags, NULL);
	else if (rein_real_has(REIN_E_cuGetProcAddress))
		r = real.cuGetProcAddress(symbol, &known, CUDA_VERSION, flags);
	return r == CUDA_SUCCESS && known == addr;
}

/*
 * The hook for what the driver answered. The address decides where it can: it says exactly which
 * ABI version the driver chose. A driver may hand out other addresses than it exports; then the
 * header's version rules decide, but never for a version newer than the header, whose ABI may
 * have changed.
 */
static void *hook_for_proc(const char *symbol, void *addr, int version, cuuint64_t flags)
{
	if (rein_env_disabled())
		return addr;
	int entry = entry_asked_for(symbol, version, flags);
	void *hook = rein_hook_of(entry);
	if (is_real(entry, addr))
		return hook ? hook : addr;
	for (int i = 0; i < REIN_E_COUNT; i++)
		if (rein_hook_of(i) && is_real(i, addr))
			return rein_hook_of(i);
	if (!hook || (version > CUDA_VERSION && !same_for_known_version(symbol, addr, flags)))
		return addr;
	if (!rein_real_has((enum rein_entry_id)entry)) /* reachable in this way only */
		__atomic_store_n(slot(entry), addr, __ATOMIC_RELAXED);
	return hook;
}

CUresult hook_cuGetProcAddress(const char *symbol, void **pfn, int cudaVersion, cuuint64_t flags)
{
	rein_need_real();
	CUresult r = real.cuGetProcAddress(symbol, pfn, cudaVersion, flags);
	if (r == CUDA_SUCCESS && symbol && pfn && *pfn)
		*pfn = hook_for_proc(symbol, *pfn, cudaVersion, flags);
	return r;
}

CUresult hook_cuGetProcAddress_v2(const char *symbol, void **pfn, int cudaVersion, cuuint64_t flags,
                                  CUdriverProcAddressQueryResult *symbolStatus)
{
	rein_need_real();
	CUresult r = real.cuGetProcAddress_v2(symbol, pfn, cudaVersion, flags, symbolStatus);
	if (r == CUDA_SUCCESS && symbol && pfn && *pfn)
		*pfn = hook_for_proc(symbol, *pfn, cudaVersion, flags);
	return r;
}
