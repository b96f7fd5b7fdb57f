// SPDX-License-Identifier: Apache-2.0
/*
 * api_resource.c: SMs as a resource that can be divided: asking for a device's, splitting them,
 * making a descriptor out of the parts. api_green.c makes green contexts of that.
 *
 * A resource is a value that the application copies; what it stands for is in the part of the
 * structure that cuda.h calls padding. SMs are counted there in pairs (TPCs), which is also the
 * finest granularity of a split. SMs of one group have consecutive numbers, which is the model's
 * choice; a real GPU's need not.
 */
#include "api.h"

#include <string.h>

#define MAGIC 0x67726e31u
#define UNIT 2 /* SMs */
#define UNITS (SG_SMS_MAX / UNIT)

struct inside {
	uint32_t magic;
	int32_t device;
	uint64_t split;
	uint64_t unit[UNITS / 64];
};
_Static_assert(sizeof(struct inside) <= sizeof(((CUdevResource *)0)->_internal_padding),
               "fits into what the application keeps for us");

static rein_a64 next_split = 1;

/* ---- rules */

/* What a partition of so many SMs must be a multiple of, and its minimum: cuda.h's guideline for
 * each compute capability, unless the model sets a granule. */
static void rule(const struct sg_model *m, bool fine, uint32_t *least, uint32_t *multiple)
{
	*multiple = m->sm_granule ? m->sm_granule : m->sm_arch >= 90 ? 8 : 2;
	*least = m->sm_granule ? m->sm_granule : m->sm_arch >= 90 ? 8 : m->sm_arch >= 80 ? 4 : 2;
	if (fine)
		*multiple = *least = UNIT;
}

/* ---- values */

void sg_resource_put(CUdevResource *out, int device, const struct sg_sm_set *sms, uint64_t split)
{
	const struct sg_model *m = sg_the_model();
	struct inside in = {.magic = MAGIC, .device = device, .split = split};
	memset(out, 0, sizeof(*out));
	if (!sms->n)
		return; /* CU_DEV_RESOURCE_TYPE_INVALID: nothing was left */
	for (uint32_t i = 0; i < m->sms; i++)
		if (sg_sm_has(sms, i))
			in.unit[i / UNIT / 64] |= 1ull << i / UNIT % 64;
	memcpy(out->_internal_padding, &in, sizeof(in));
	out->type = CU_DEV_RESOURCE_TYPE_SM;
	out->sm.smCount = sms->n;
	rule(m, false, &out->sm.minSmPartitionSize, &out->sm.smCoscheduledAlignment);
}

void sg_resource_whole(CUdevResource *out, int device)
{
	struct sg_sm_set all = {0};
	for (uint32_t i = 0; i < sg_the_model()->sms; i++)
		sg_sm_add(&all, i);
	sg_resource_put(out, device, &all, 0);
}

static CUresult read_resource(const CUdevResource *r, struct inside *in, struct sg_sm_set *sms)
{
	if (r->type != CU_DEV_RESOURCE_TYPE_SM)
		return CUDA_ERROR_INVALID_RESOURCE_TYPE;
	memcpy(in, r->_internal_padding, sizeof(*in));
	if (in->magic != MAGIC || !sg_device_ok(in->device))
		return CUDA_ERROR_INVALID_VALUE;
	memset(sms, 0, sizeof(*sms));
	for (uint32_t i = 0; i < sg_the_model()->sms; i++)
		if (in->unit[i / UNIT / 64] >> i / UNIT % 64 & 1)
			sg_sm_add(sms, i);
	return sms->n ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuDeviceGetDevResource(CUdevice device, CUdevResource *resource, CUdevResourceType type)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!resource)
		return CUDA_ERROR_INVALID_VALUE;
	if (!sg_device_ok(device))
		return CUDA_ERROR_INVALID_DEVICE;
	if (type != CU_DEV_RESOURCE_TYPE_SM)
		return CUDA_ERROR_INVALID_RESOURCE_TYPE;
	sg_resource_whole(resource, device);
	return CUDA_SUCCESS;
}

/* ---- splitting */

/* Takes the first n SMs of `from` out of it. */
static struct sg_sm_set take(struct sg_sm_set *from, uint32_t n)
{
	struct sg_sm_set out = {0};
	for (uint32_t i = 0; i < sg_the_model()->sms && out.n < n; i++) {
		if (!sg_sm_has(from, i))
			continue;
		sg_sm_add(&out, i);
		from->bit[i / 64] &= ~(1ull << i % 64);
		from->n--;
	}
	return out;
}

CUresult cuDevSmResourceSplitByCount(CUdevResource *result, unsigned int *nbGroups,
                                     const CUdevResource *input, CUdevResource *remaining,
                                     unsigned int useFlags, unsigned int minCount)
{
	struct inside in;
	struct sg_sm_set sms;
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!nbGroups || !input ||
	    (useFlags & ~(unsigned)(CU_DEV_SM_RESOURCE_SPLIT_IGNORE_SM_COSCHEDULING |
	                            CU_DEV_SM_RESOURCE_SPLIT_MAX_POTENTIAL_CLUSTER_SIZE)))
		return CUDA_ERROR_INVALID_VALUE;
	r = read_resource(input, &in, &sms);
	if (r != CUDA_SUCCESS)
		return r;
	if (minCount > sms.n || (result && !*nbGroups))
		return CUDA_ERROR_INVALID_VALUE;
	if (in.split) /* CUDA: a part can be split again only as the resource of a green context */
		return CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION;
	uint32_t least, multiple;
	rule(sg_the_model(), useFlags & CU_DEV_SM_RESOURCE_SPLIT_IGNORE_SM_COSCHEDULING, &least,
	     &multiple);
	uint32_t size = minCount > least ? minCount : least;
	size = (size + multiple - 1) / multiple * multiple;
	uint32_t groups = sms.n / size;
	if (!groups)
		return CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION;
	if (result && *nbGroups < groups)
		groups = *nbGroups;
	*nbGroups = groups;
	uint64_t split = rein_add_relaxed(&next_split, 1);
	for (uint32_t i = 0; i < groups; i++) {
		struct sg_sm_set group = take(&sms, size);
		if (result)
			sg_resource_put(&result[i], in.device, &group, split);
	}
	if (remaining)
		sg_resource_put(remaining, in.device, &sms, split);
	return CUDA_SUCCESS;
}

/* ---- descriptors: never destroyed in CUDA, so equal ones are one */

static CUdevResourceDesc find_desc(int device, const struct sg_sm_set *sms)
{
	size_t n;
	CUdevResourceDesc found = NULL;
	void **list = sg_handle_list(SG_DESC, &n);
	for (size_t i = 0; i < n && !found; i++) {
		CUdevResourceDesc d = list[i];
		if (d->device == device && sg_sm_same(&d->sms, sms))
			found = d;
	}
	free(list);
	return found;
}

CUresult cuDevResourceGenerateDesc(CUdevResourceDesc *phDesc, CUdevResource *resources,
                                   unsigned int nbResources)
{
	struct inside first = {0};
	struct sg_sm_set all = {0};
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!phDesc || !resources || !nbResources)
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned i = 0; i < nbResources; i++) {
		struct inside in;
		struct sg_sm_set sms;
		r = read_resource(&resources[i], &in, &sms);
		if (r != CUDA_SUCCESS)
			return r;
		if (i == 0)
			first = in;
		else if (in.device != first.device || in.split != first.split || !in.split)
			return CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION;
		for (uint32_t sm = 0; sm < sg_the_model()->sms; sm++)
			if (sg_sm_has(&sms, sm))
				sg_sm_add(&all, sm);
	}
	CUdevResourceDesc d = find_desc(first.device, &all);
	if (!d) {
		d = calloc(1, sizeof(*d));
		if (!d)
			return CUDA_ERROR_OUT_OF_MEMORY;
		d->device = first.device;
		d->sms = all;
		r = sg_handle_add(d, SG_DESC);
		if (r != CUDA_SUCCESS) {
			free(d);
			return r;
		}
	}
	*phDesc = d;
	return CUDA_SUCCESS;
}
