// SPDX-License-Identifier: Apache-2.0
/*
 * api_array.c: CUDA arrays, plain and mipmapped. Their limits are what the device's attributes say
 * (api_attribute.c).
 */
#include "api_array.h"

#include <string.h>

#define ROW_ALIGN ((size_t)64)
#define WIDE 131072 /* the largest side of any array */

/* ---- what an array is like */

static const struct {
	CUarray_format format;
	struct sg_format f;
} formats[] = {
    {CU_AD_FORMAT_UNSIGNED_INT8, {PTX_TEXEL_UNSIGNED, 1, 0, false}},
    {CU_AD_FORMAT_UNSIGNED_INT16, {PTX_TEXEL_UNSIGNED, 2, 0, false}},
    {CU_AD_FORMAT_UNSIGNED_INT32, {PTX_TEXEL_UNSIGNED, 4, 0, false}},
    {CU_AD_FORMAT_SIGNED_INT8, {PTX_TEXEL_SIGNED, 1, 0, false}},
    {CU_AD_FORMAT_SIGNED_INT16, {PTX_TEXEL_SIGNED, 2, 0, false}},
    {CU_AD_FORMAT_SIGNED_INT32, {PTX_TEXEL_SIGNED, 4, 0, false}},
    {CU_AD_FORMAT_HALF, {PTX_TEXEL_FLOAT, 2, 0, false}},
    {CU_AD_FORMAT_FLOAT, {PTX_TEXEL_FLOAT, 4, 0, false}},
    {CU_AD_FORMAT_UNORM_INT8X1, {PTX_TEXEL_UNSIGNED, 1, 1, true}},
    {CU_AD_FORMAT_UNORM_INT8X2, {PTX_TEXEL_UNSIGNED, 1, 2, true}},
    {CU_AD_FORMAT_UNORM_INT8X4, {PTX_TEXEL_UNSIGNED, 1, 4, true}},
    {CU_AD_FORMAT_UNORM_INT16X1, {PTX_TEXEL_UNSIGNED, 2, 1, true}},
    {CU_AD_FORMAT_UNORM_INT16X2, {PTX_TEXEL_UNSIGNED, 2, 2, true}},
    {CU_AD_FORMAT_UNORM_INT16X4, {PTX_TEXEL_UNSIGNED, 2, 4, true}},
    {CU_AD_FORMAT_SNORM_INT8X1, {PTX_TEXEL_SIGNED, 1, 1, true}},
    {CU_AD_FORMAT_SNORM_INT8X2, {PTX_TEXEL_SIGNED, 1, 2, true}},
    {CU_AD_FORMAT_SNORM_INT8X4, {PTX_TEXEL_SIGNED, 1, 4, true}},
    {CU_AD_FORMAT_SNORM_INT16X1, {PTX_TEXEL_SIGNED, 2, 1, true}},
    {CU_AD_FORMAT_SNORM_INT16X2, {PTX_TEXEL_SIGNED, 2, 2, true}},
    {CU_AD_FORMAT_SNORM_INT16X4, {PTX_TEXEL_SIGNED, 2, 4, true}},
};

bool sg_format_find(CUarray_format f, struct sg_format *out)
{
	for (size_t i = 0; i < REIN_ARRAY_LEN(formats); i++) {
		if (formats[i].format != f)
			continue;
		*out = formats[i].f;
		return true;
	}
	/* compressed blocks, planes of video */
	if ((f >= CU_AD_FORMAT_BC1_UNORM && f <= CU_AD_FORMAT_NV12) ||
	    (f >= CU_AD_FORMAT_Y416 && f <= CU_AD_FORMAT_YUV444_16bit_SemiPlanar) ||
	    f == CU_AD_FORMAT_UNORM_INT_101010_2)
		(void)sg_missing("a block-compressed, video or packed format of an array");
	return false;
}

static CUresult check_desc(const CUDA_ARRAY3D_DESCRIPTOR *d, struct sg_format *f)
{
	const unsigned known = CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_SURFACE_LDST |
	                       CUDA_ARRAY3D_CUBEMAP | CUDA_ARRAY3D_TEXTURE_GATHER |
	                       CUDA_ARRAY3D_COLOR_ATTACHMENT;
	bool layered = d->Flags & CUDA_ARRAY3D_LAYERED, cube = d->Flags & CUDA_ARRAY3D_CUBEMAP;
	if (d->Flags & (CUDA_ARRAY3D_SPARSE | CUDA_ARRAY3D_DEFERRED_MAPPING))
		return sg_missing("a sparse array, or one that is mapped later");
	if (d->Flags & ~known ||
	    (d->NumChannels != 1 && d->NumChannels != 2 && d->NumChannels != 4))
		return CUDA_ERROR_INVALID_VALUE;
	if (!sg_format_find(d->Format, f))
		return CUDA_ERROR_INVALID_VALUE;
	if (f->channels && f->channels != d->NumChannels)
		return CUDA_ERROR_INVALID_VALUE;
	if (!d->Width || d->Width > WIDE || d->Height > WIDE || d->Depth > WIDE)
		return CUDA_ERROR_INVALID_VALUE;
	if (layered ? !d->Depth : d->Depth && !d->Height)
		return CUDA_ERROR_INVALID_VALUE;
	if (cube && (d->Width != d->Height || (layered ? d->Depth % 6 != 0 : d->Depth != 6)))
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

static unsigned half(size_t n, unsigned level)
{
	n >>= level;
	return (unsigned)(n ? n : 1);
}

/* The array of a level, without its memory; *bytes: what all up to it take. */
static CUresult shape(struct CUarray_st *a, const CUDA_ARRAY3D_DESCRIPTOR *d,
                      const struct sg_format *f, unsigned level, size_t *bytes)
{
	bool volume = d->Depth && !(d->Flags & (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_CUBEMAP));
	a->desc = *d;
	a->desc.Width = half(d->Width, level);
	a->desc.Height = d->Height ? half(d->Height, level) : 0;
	a->desc.Depth = volume ? half(d->Depth, level) : d->Depth;
	a->texel_bytes = f->bytes * d->NumChannels;
	struct ptx_level *l = &a->level;
	l->width = (uint32_t)a->desc.Width;
	l->height = a->desc.Height ? (uint32_t)a->desc.Height : 1;
	l->depth = a->desc.Depth ? (uint32_t)a->desc.Depth : 1;
	l->pitch = ((size_t)l->width * a->texel_bytes + ROW_ALIGN - 1) & ~(ROW_ALIGN - 1);
	l->slice = l->pitch * l->height;
	l->addr = *bytes;
	size_t size;
	return __builtin_mul_overflow(l->slice, l->depth, &size) ||
	               __builtin_add_overflow(*bytes, size, bytes)
	           ? CUDA_ERROR_INVALID_VALUE
	           : CUDA_SUCCESS;
}

/* ---- making them */

static CUresult begin(CUcontext *ctx)
{
	CUresult r = sg_current(ctx);
	return r == CUDA_SUCCESS ? sg_unsafe() : r;
}

static CUresult memory_for(CUcontext ctx, size_t bytes, uintptr_t *base)
{
	/* `module`: no call of the application may free it */
	struct sg_range t = {
	    .kind = SG_MEMORY_DEVICE, .device = ctx->device, .ctx = ctx, .module = true};
	return sg_arena_alloc_patient(ctx, &t, bytes, base);
}

CUresult cuArray3DCreate_v2(CUarray *pHandle, const CUDA_ARRAY3D_DESCRIPTOR *pAllocateArray)
{
	CUcontext ctx;
	struct sg_format f = {0};
	size_t bytes = 0;
	CUresult r = begin(&ctx);
	if (r == CUDA_SUCCESS)
		r = pHandle && pAllocateArray ? check_desc(pAllocateArray, &f)
		                              : CUDA_ERROR_INVALID_VALUE;
	if (r != CUDA_SUCCESS)
		return r;
	CUarray a = calloc(1, sizeof(*a));
	if (!a)
		return CUDA_ERROR_OUT_OF_MEMORY;
	a->ctx = ctx;
	r = shape(a, pAllocateArray, &f, 0, &bytes);
	if (r == CUDA_SUCCESS)
		r = memory_for(ctx, bytes, &a->base);
	if (r == CUDA_SUCCESS) {
		a->level.addr += a->base;
		r = sg_handle_add(a, SG_ARRAY);
		if (r != CUDA_SUCCESS)
			sg_range_remove(a->base, NULL);
	}
	if (r != CUDA_SUCCESS)
		free(a);
	else
		*pHandle = a;
	return r;
}

CUresult cuArrayCreate_v2(CUarray *pHandle, const CUDA_ARRAY_DESCRIPTOR *pAllocateArray)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!pAllocateArray)
		return CUDA_ERROR_INVALID_VALUE;
	CUDA_ARRAY3D_DESCRIPTOR d = {.Width = pAllocateArray->Width,
	                             .Height = pAllocateArray->Height,
	                             .Format = pAllocateArray->Format,
	                             .NumChannels = pAllocateArray->NumChannels};
	return cuArray3DCreate_v2(pHandle, &d);
}

static void free_mipmap(CUmipmappedArray m)
{
	for (unsigned i = 0; i < m->n_levels; i++)
		sg_handle_remove(&m->levels[i], SG_ARRAY);
	sg_range_remove(m->base, NULL);
	free(m);
}

static unsigned levels_of(const CUDA_ARRAY3D_DESCRIPTOR *d)
{
	size_t longest = d->Width > d->Height ? d->Width : d->Height;
	if (!(d->Flags & (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_CUBEMAP)) && d->Depth > longest)
		longest = d->Depth;
	unsigned n = 1;
	while (longest >>= 1)
		n++;
	return n < PTX_LEVELS_MAX ? n : PTX_LEVELS_MAX;
}

CUresult cuMipmappedArrayCreate(CUmipmappedArray *pHandle,
                                const CUDA_ARRAY3D_DESCRIPTOR *pMipmappedArrayDesc,
                                unsigned int numMipmapLevels)
{
	CUcontext ctx;
	struct sg_format f = {0};
	size_t bytes = 0;
	CUresult r = begin(&ctx);
	if (r == CUDA_SUCCESS)
		r = pHandle && pMipmappedArrayDesc ? check_desc(pMipmappedArrayDesc, &f)
		                                   : CUDA_ERROR_INVALID_VALUE;
	if (r != CUDA_SUCCESS)
		return r;
	CUmipmappedArray m = calloc(1, sizeof(*m));
	if (!m)
		return CUDA_ERROR_OUT_OF_MEMORY;
	/* "clamped to the range [1, 1 + floor(log2(max(width, height, depth)))]" */
	unsigned most = levels_of(pMipmappedArrayDesc);
	unsigned n = !numMipmapLevels ? 1 : numMipmapLevels > most ? most : numMipmapLevels;
	m->ctx = ctx;
	for (unsigned i = 0; i < n && r == CUDA_SUCCESS; i++)
		r = shape(&m->levels[i], pMipmappedArrayDesc, &f, i, &bytes);
	if (r == CUDA_SUCCESS)
		r = memory_for(ctx, bytes, &m->base);
	if (r != CUDA_SUCCESS) {
		free(m);
		return r;
	}
	for (; m->n_levels < n && r == CUDA_SUCCESS; m->n_levels += r == CUDA_SUCCESS) {
		CUarray a = &m->levels[m->n_levels];
		a->ctx = ctx;
		a->owner = m;
		a->base = m->base;
		a->level.addr += m->base;
		r = sg_handle_add(a, SG_ARRAY);
	}
	if (r == CUDA_SUCCESS)
		r = sg_handle_add(m, SG_MIPMAP);
	if (r != CUDA_SUCCESS)
		free_mipmap(m);
	else
		*pHandle = m;
	return r;
}

/* ---- their end */

CUresult sg_array_check(CUarray a)
{
	return sg_handle_is(a, SG_ARRAY) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

void sg_array_place(const struct sg_copy_side *s, size_t *x, size_t *y, size_t *z)
{
	size_t at = s->addr - s->array->level.addr;
	*z = at / s->slice;
	*y = at % s->slice / s->pitch;
	*x = at % s->pitch;
}

CUresult sg_mipmap_check(CUmipmappedArray m)
{
	return sg_handle_is(m, SG_MIPMAP) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuArrayDestroy(CUarray hArray)
{
	CUcontext ctx;
	CUresult r = begin(&ctx);
	if (r == CUDA_SUCCESS)
		r = sg_array_check(hArray);
	if (r == CUDA_SUCCESS && hArray->owner)
		r = CUDA_ERROR_INVALID_HANDLE; /* it goes with the mipmapped array */
	if (r != CUDA_SUCCESS)
		return r;
	r = sg_domain_sync(hArray->ctx->domain); /* what still reads it */
	if (!sg_handle_remove(hArray, SG_ARRAY))
		return CUDA_ERROR_INVALID_HANDLE;
	sg_range_remove(hArray->base, NULL);
	free(hArray);
	return r;
}

CUresult cuMipmappedArrayDestroy(CUmipmappedArray hMipmappedArray)
{
	CUcontext ctx;
	CUresult r = begin(&ctx);
	if (r == CUDA_SUCCESS)
		r = sg_mipmap_check(hMipmappedArray);
	if (r != CUDA_SUCCESS)
		return r;
	r = sg_domain_sync(hMipmappedArray->ctx->domain);
	if (!sg_handle_remove(hMipmappedArray, SG_MIPMAP))
		return CUDA_ERROR_INVALID_HANDLE;
	free_mipmap(hMipmappedArray);
	return r;
}

void sg_arrays_forget(CUcontext ctx)
{
	size_t n;
	void **list = sg_handle_list(SG_MIPMAP, &n);
	for (size_t i = 0; i < n; i++) {
		CUmipmappedArray m = list[i];
		if (m->ctx == ctx && sg_handle_remove(m, SG_MIPMAP))
			free_mipmap(m);
	}
	free(list);
	list = sg_handle_list(SG_ARRAY, &n);
	for (size_t i = 0; i < n; i++) {
		CUarray a = list[i];
		if (a->ctx != ctx || !sg_handle_remove(a, SG_ARRAY))
			continue;
		sg_range_remove(a->base, NULL);
		free(a);
	}
	free(list);
}

/* ---- what can be asked of them */

CUresult cuMipmappedArrayGetLevel(CUarray *pLevelArray, CUmipmappedArray hMipmappedArray,
                                  unsigned int level)
{
	CUresult r = sg_ready();
	if (r == CUDA_SUCCESS)
		r = sg_mipmap_check(hMipmappedArray);
	if (r != CUDA_SUCCESS)
		return r;
	if (!pLevelArray || level >= hMipmappedArray->n_levels)
		return CUDA_ERROR_INVALID_VALUE;
	*pLevelArray = &hMipmappedArray->levels[level];
	return CUDA_SUCCESS;
}

CUresult cuArray3DGetDescriptor_v2(CUDA_ARRAY3D_DESCRIPTOR *pArrayDescriptor, CUarray hArray)
{
	CUresult r = sg_ready();
	if (r == CUDA_SUCCESS)
		r = sg_array_check(hArray);
	if (r == CUDA_SUCCESS && !pArrayDescriptor)
		r = CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS)
		*pArrayDescriptor = hArray->desc;
	return r;
}

CUresult cuArrayGetDescriptor_v2(CUDA_ARRAY_DESCRIPTOR *pArrayDescriptor, CUarray hArray)
{
	CUDA_ARRAY3D_DESCRIPTOR d;
	CUresult r = cuArray3DGetDescriptor_v2(&d, hArray);
	if (r == CUDA_SUCCESS && !pArrayDescriptor)
		r = CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS)
		*pArrayDescriptor =
		    (CUDA_ARRAY_DESCRIPTOR){d.Width, d.Height, d.Format, d.NumChannels};
	return r;
}

static CUresult requirements(CUDA_ARRAY_MEMORY_REQUIREMENTS *out, CUdevice device, size_t bytes)
{
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	if (!sg_device_ok(device))
		return CUDA_ERROR_INVALID_DEVICE;
	*out = (CUDA_ARRAY_MEMORY_REQUIREMENTS){.size = bytes, .alignment = 512};
	return CUDA_SUCCESS;
}

CUresult cuArrayGetMemoryRequirements(CUDA_ARRAY_MEMORY_REQUIREMENTS *memoryRequirements,
                                      CUarray array, CUdevice device)
{
	CUresult r = sg_ready();
	if (r == CUDA_SUCCESS)
		r = sg_array_check(array);
	return r == CUDA_SUCCESS ? requirements(memoryRequirements, device,
	                                        array->level.slice * array->level.depth)
	                         : r;
}

CUresult cuMipmappedArrayGetMemoryRequirements(CUDA_ARRAY_MEMORY_REQUIREMENTS *memoryRequirements,
                                               CUmipmappedArray mipmap, CUdevice device)
{
	CUresult r = sg_ready();
	if (r == CUDA_SUCCESS)
		r = sg_mipmap_check(mipmap);
	if (r != CUDA_SUCCESS)
		return r;
	const struct ptx_level *l = &mipmap->levels[mipmap->n_levels - 1].level;
	return requirements(memoryRequirements, device,
	                    l->addr + l->slice * l->depth - mipmap->base);
}

/* No array is sparse, none has planes. */
CUresult cuArrayGetSparseProperties(CUDA_ARRAY_SPARSE_PROPERTIES *sparseProperties, CUarray array)
{
	CUresult r = sg_ready();
	if (r == CUDA_SUCCESS)
		r = sg_array_check(array);
	return r == CUDA_SUCCESS ? CUDA_ERROR_INVALID_VALUE : r;
}

CUresult cuMipmappedArrayGetSparseProperties(CUDA_ARRAY_SPARSE_PROPERTIES *sparseProperties,
                                             CUmipmappedArray mipmap)
{
	CUresult r = sg_ready();
	if (r == CUDA_SUCCESS)
		r = sg_mipmap_check(mipmap);
	return r == CUDA_SUCCESS ? CUDA_ERROR_INVALID_VALUE : r;
}

CUresult cuArrayGetPlane(CUarray *pPlaneArray, CUarray hArray, unsigned int planeIdx)
{
	CUresult r = sg_ready();
	if (r == CUDA_SUCCESS)
		r = sg_array_check(hArray);
	return r == CUDA_SUCCESS ? CUDA_ERROR_INVALID_VALUE : r;
}
