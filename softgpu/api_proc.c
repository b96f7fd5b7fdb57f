// SPDX-License-Identifier: Apache-2.0
/*
 * api_proc.c: cuGetProcAddress: a name, the CUDA version that a program was built for, and
 * whether it wants per-thread default streams → the function that its header means by the name.
 */
#include "api.h"

#include <string.h>

#include "cuda_versions.h"

/* softgpu_missing.c (generated): all symbols of cuda.h in order of name. */
struct sg_symbol {
	const char *name;
	void *address;
};
extern const struct sg_symbol sg_symbols[];
extern const unsigned sg_symbol_count;

static int by_name(const void *key, const void *row)
{
	return strcmp(key, ((const struct sg_symbol *)row)->name);
}

static void *address_of(const char *symbol)
{
	const struct sg_symbol *s =
	    bsearch(symbol, sg_symbols, sg_symbol_count, sizeof(*s), by_name);
	return s ? s->address : NULL;
}

/* The newest row not newer than asked; of two of one version the per-thread one if asked for. */
static const struct cuda_version_row *best(const char *base, int version, bool per_thread,
                                           bool *known)
{
	const struct cuda_version_row *found = NULL;
	*known = false;
	for (size_t i = 0; i < REIN_ARRAY_LEN(cuda_version_rows); i++) {
		const struct cuda_version_row *row = &cuda_version_rows[i];
		if (strcmp(row->base, base) != 0 || (row->per_thread && !per_thread))
			continue;
		*known = true;
		if (row->version > version)
			continue;
		if (!found || row->per_thread > found->per_thread ||
		    (row->per_thread == found->per_thread && row->version >= found->version))
			found = row;
	}
	return found;
}

static CUresult look_up(const char *symbol, void **pfn, int version, cuuint64_t flags, bool *known)
{
	*known = false;
	if (symbol && pfn && !*symbol && version == 0 && !flags) {
		*pfn = NULL; /* the CUDA 13.0 runtime's first call; driver 580 has nothing against
		                it */
		return CUDA_SUCCESS;
	}
	if (!symbol || !pfn || version <= 0 || version > SG_DRIVER_VERSION ||
	    (flags & ~(cuuint64_t)(CU_GET_PROC_ADDRESS_LEGACY_STREAM |
	                           CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM)))
		return CUDA_ERROR_INVALID_VALUE;
	const struct cuda_version_row *row =
	    best(symbol, version, flags & CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM, known);
	*pfn = row ? address_of(row->symbol) : NULL;
	return CUDA_SUCCESS;
}

CUresult cuGetProcAddress_v2(const char *symbol, void **pfn, int cudaVersion, cuuint64_t flags,
                             CUdriverProcAddressQueryResult *symbolStatus)
{
	bool known;
	CUresult r = look_up(symbol, pfn, cudaVersion, flags, &known);
	if (r == CUDA_SUCCESS && symbolStatus)
		*symbolStatus = *pfn    ? CU_GET_PROC_ADDRESS_SUCCESS
		                : known ? CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT
		                        : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
	return r; /* not to be found is an answer, not an error */
}

/* The form of CUDA 11, where it is an error. */
CUresult cuGetProcAddress(const char *symbol, void **pfn, int cudaVersion, cuuint64_t flags)
{
	bool known;
	CUresult r = look_up(symbol, pfn, cudaVersion, flags, &known);
	return r == CUDA_SUCCESS && !*pfn ? CUDA_ERROR_NOT_FOUND : r;
}
