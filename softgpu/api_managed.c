// SPDX-License-Identifier: Apache-2.0
/*
 * api_managed.c: advice on managed memory, and prefetching it. The memory is in one place, so there
 * is nothing to move: what was said is kept, piece by piece, and answered ("CUmem_range_attribute"
 * in the driver API's manual: an answer is about all pages of the range that is asked after).
 */
#include "api.h"

#include <pthread.h>
#include <string.h>

struct piece {
	uintptr_t from, to;
	bool read_mostly;
	CUdevice preferred, prefetched; /* CU_DEVICE_CPU; CU_DEVICE_INVALID: nobody said */
	uint32_t accessed_by;           /* a bit per device, the highest one for the host */
};
#define HOST_BIT (1u << 31)

static struct piece *pieces; /* in order, without overlap */
static size_t n_pieces;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* innermost */

static struct piece unsaid(uintptr_t from, uintptr_t to)
{
	return (struct piece){.from = from,
	                      .to = to,
	                      .preferred = CU_DEVICE_INVALID,
	                      .prefetched = CU_DEVICE_INVALID};
}

static bool insert(size_t at, struct piece p)
{
	struct piece *grown = realloc(pieces, (n_pieces + 1) * sizeof(*grown));
	if (!grown)
		return false;
	pieces = grown;
	memmove(&grown[at + 1], &grown[at], (n_pieces - at) * sizeof(*grown));
	grown[at] = p;
	n_pieces++;
	return true;
}

/* Makes `at` a border between pieces; returns the first piece behind it. */
static bool cut(uintptr_t at, size_t *index)
{
	size_t i = 0;
	while (i < n_pieces && pieces[i].to <= at)
		i++;
	if (i < n_pieces && pieces[i].from < at) {
		if (!insert(i + 1, pieces[i]))
			return false;
		pieces[i].to = pieces[i + 1].from = at;
		i++;
	}
	*index = i;
	return true;
}

/* Pieces without a gap from `from` to `to`: [*first, *end). */
static bool cover(uintptr_t from, uintptr_t to, size_t *first, size_t *end)
{
	size_t i;
	if (!cut(to, &i) || !cut(from, first))
		return false;
	for (i = *first; from < to; i++) {
		bool here = i < n_pieces && pieces[i].from < to;
		uintptr_t next = here ? pieces[i].from : to;
		if (next > from && !insert(i, unsaid(from, next)))
			return false;
		from = pieces[i].to;
	}
	*end = i;
	return true;
}

void sg_managed_forget(uintptr_t base, size_t size)
{
	size_t first, end;
	pthread_mutex_lock(&lock);
	if (cut(base + size, &end) && cut(base, &first)) {
		for (end = first; end < n_pieces && pieces[end].to <= base + size;)
			end++;
		memmove(&pieces[first], &pieces[end], (n_pieces - end) * sizeof(*pieces));
		n_pieces -= end - first;
	}
	pthread_mutex_unlock(&lock);
}

static CUresult managed_check(CUdeviceptr p, size_t count)
{
	CUcontext ctx;
	struct sg_range range;
	CUresult r = sg_current(&ctx);
	if (r != CUDA_SUCCESS)
		return r;
	if (count == 0 || !sg_range_find(p, &range) || range.kind != SG_MEMORY_MANAGED ||
	    count > range.size - (p - range.base))
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

static CUdevice device_of(CUmemLocation location)
{
	return location.type == CU_MEM_LOCATION_TYPE_DEVICE ? location.id : CU_DEVICE_CPU;
}

/* ---- saying */

static void say(struct piece *p, CUmem_advise advice, CUdevice device)
{
	uint32_t bit = device == CU_DEVICE_CPU ? HOST_BIT : 1u << device;
	switch (advice) {
	case CU_MEM_ADVISE_SET_READ_MOSTLY:
	case CU_MEM_ADVISE_UNSET_READ_MOSTLY:
		p->read_mostly = advice == CU_MEM_ADVISE_SET_READ_MOSTLY;
		break;
	case CU_MEM_ADVISE_SET_PREFERRED_LOCATION:
		p->preferred = device;
		break;
	case CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION:
		p->preferred = CU_DEVICE_INVALID;
		break;
	case CU_MEM_ADVISE_SET_ACCESSED_BY:
		p->accessed_by |= bit;
		break;
	case CU_MEM_ADVISE_UNSET_ACCESSED_BY:
		p->accessed_by &= ~bit;
		break;
	}
}

CUresult cuMemAdvise(CUdeviceptr devPtr, size_t count, CUmem_advise advice, CUdevice device)
{
	size_t i, end;
	CUresult r = managed_check(devPtr, count);
	if (r != CUDA_SUCCESS)
		return r;
	if (advice < CU_MEM_ADVISE_SET_READ_MOSTLY || advice > CU_MEM_ADVISE_UNSET_ACCESSED_BY)
		return CUDA_ERROR_INVALID_VALUE;
	if (device != CU_DEVICE_CPU && !sg_device_ok(device))
		return CUDA_ERROR_INVALID_DEVICE;
	pthread_mutex_lock(&lock);
	if (cover(devPtr, devPtr + count, &i, &end))
		for (; i < end; i++)
			say(&pieces[i], advice, device);
	else
		r = CUDA_ERROR_OUT_OF_MEMORY;
	pthread_mutex_unlock(&lock);
	return r;
}

CUresult cuMemAdvise_v2(CUdeviceptr devPtr, size_t count, CUmem_advise advice,
                        CUmemLocation location)
{
	return cuMemAdvise(devPtr, count, advice, device_of(location));
}

CUresult cuMemPrefetchAsync(CUdeviceptr devPtr, size_t count, CUdevice dstDevice, CUstream hStream)
{
	CUstream s;
	size_t i, end;
	CUresult r = managed_check(devPtr, count);
	if (r == CUDA_SUCCESS && dstDevice != CU_DEVICE_CPU && !sg_device_ok(dstDevice))
		r = CUDA_ERROR_INVALID_DEVICE;
	if (r == CUDA_SUCCESS)
		r = sg_stream_get(hStream, &s);
	if (r != CUDA_SUCCESS)
		return r;
	pthread_mutex_lock(&lock);
	if (cover(devPtr, devPtr + count, &i, &end))
		for (; i < end; i++)
			pieces[i].prefetched = dstDevice;
	pthread_mutex_unlock(&lock);
	struct sg_op op = {.kind = SG_OP_EMPTY, .ctx = s->ctx};
	return sg_issue(s, &op, false);
}

CUresult cuMemPrefetchAsync_ptsz(CUdeviceptr devPtr, size_t count, CUdevice dstDevice,
                                 CUstream hStream)
{
	return cuMemPrefetchAsync(devPtr, count, dstDevice, SG_PT(hStream));
}

CUresult cuMemPrefetchAsync_v2(CUdeviceptr devPtr, size_t count, CUmemLocation location,
                               unsigned int flags, CUstream hStream)
{
	if (flags != 0)
		return sg_ready() == CUDA_SUCCESS ? CUDA_ERROR_INVALID_VALUE : sg_ready();
	return cuMemPrefetchAsync(devPtr, count, device_of(location), hStream);
}

CUresult cuMemPrefetchAsync_v2_ptsz(CUdeviceptr devPtr, size_t count, CUmemLocation location,
                                    unsigned int flags, CUstream hStream)
{
	return cuMemPrefetchAsync_v2(devPtr, count, location, flags, SG_PT(hStream));
}

/* ---- asking */

/* What holds for all of [from, to). */
static struct piece common(uintptr_t from, uintptr_t to)
{
	struct piece all = unsaid(from, to);
	size_t i, end;
	if (!cover(from, to, &i, &end))
		return all;
	all = pieces[i];
	for (; i < end; i++) {
		const struct piece *p = &pieces[i];
		all.read_mostly &= p->read_mostly;
		all.accessed_by &= p->accessed_by;
		if (p->preferred != all.preferred)
			all.preferred = CU_DEVICE_INVALID;
		if (p->prefetched != all.prefetched)
			all.prefetched = CU_DEVICE_INVALID;
	}
	return all;
}

static CUmemLocationType type_of(CUdevice d)
{
	return d == CU_DEVICE_INVALID ? CU_MEM_LOCATION_TYPE_INVALID
	       : d == CU_DEVICE_CPU   ? CU_MEM_LOCATION_TYPE_HOST
	                              : CU_MEM_LOCATION_TYPE_DEVICE;
}

static void list_devices(uint32_t bits, int *out, size_t n)
{
	size_t k = 0;
	if (bits & HOST_BIT && k < n)
		out[k++] = CU_DEVICE_CPU;
	for (int d = 0; d < SG_DEVICES_MAX && k < n; d++)
		if (bits >> d & 1)
			out[k++] = d;
	while (k < n)
		out[k++] = CU_DEVICE_INVALID;
}

static CUresult answer(const struct piece *p, CUmem_range_attribute attribute, void *data,
                       size_t size)
{
	int v;
	switch (attribute) {
	case CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY:
		v = p->read_mostly;
		break;
	case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION:
	case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_ID:
		v = p->preferred;
		break;
	case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION:
	case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_ID:
		v = p->prefetched;
		break;
	case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_TYPE:
		v = (int)type_of(p->preferred);
		break;
	case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_TYPE:
		v = (int)type_of(p->prefetched);
		break;
	case CU_MEM_RANGE_ATTRIBUTE_ACCESSED_BY:
		if (!size || size % sizeof(v))
			return CUDA_ERROR_INVALID_VALUE;
		list_devices(p->accessed_by, data, size / sizeof(v));
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
	if (size != sizeof(v))
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(data, &v, sizeof(v));
	return CUDA_SUCCESS;
}

CUresult cuMemRangeGetAttributes(void **data, size_t *dataSizes, CUmem_range_attribute *attributes,
                                 size_t numAttributes, CUdeviceptr devPtr, size_t count)
{
	CUresult r = managed_check(devPtr, count);
	if (r != CUDA_SUCCESS)
		return r;
	if (!data || !dataSizes || !attributes || !numAttributes)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&lock);
	struct piece p = common(devPtr, devPtr + count);
	pthread_mutex_unlock(&lock);
	for (size_t i = 0; i < numAttributes && r == CUDA_SUCCESS; i++)
		r = data[i] ? answer(&p, attributes[i], data[i], dataSizes[i])
		            : CUDA_ERROR_INVALID_VALUE;
	return r;
}

CUresult cuMemRangeGetAttribute(void *data, size_t dataSize, CUmem_range_attribute attribute,
                                CUdeviceptr devPtr, size_t count)
{
	return cuMemRangeGetAttributes(&data, &dataSize, &attribute, 1, devPtr, count);
}
