// SPDX-License-Identifier: Apache-2.0
/*
 * api_texture.c: texture and surface objects. A handle is a place in a table and how often that
 * place has been given out, so that a stale one is told from its successor. Kernels ask for what
 * a handle stands for (sg_image_find) while others may make and destroy objects.
 *
 * Of several levels' filters, anisotropy is taken as none (docs/softgpu.md).
 */
#include "api_array.h"

#include <pthread.h>
#include <string.h>

#define REUSE_SHIFT 32

struct object {
	bool live, surface, has_view;
	uint32_t reuse;
	CUcontext ctx;
	CUDA_RESOURCE_DESC resource;
	CUDA_TEXTURE_DESC how;
	CUDA_RESOURCE_VIEW_DESC view;
	struct ptx_image image;
	uintptr_t base; /* of the memory, all of which must be there when a kernel reads it */
	size_t bytes;
};

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static struct object **objects;
static size_t n_objects;

/* ---- the table; under `lock` */

static struct object *find(uint64_t handle, bool surface)
{
	uint64_t place = handle & UINT32_MAX;
	struct object *o = place && place <= n_objects ? objects[place - 1] : NULL;
	return o && o->live && o->surface == surface && o->reuse == handle >> REUSE_SHIFT ? o
	                                                                                  : NULL;
}

static struct object *vacant(uint64_t *place)
{
	for (size_t i = 0; i < n_objects; i++) {
		if (objects[i]->live)
			continue;
		*place = i + 1;
		return objects[i];
	}
	struct object **grown = realloc(objects, (n_objects + 1) * sizeof(struct object *));
	if (!grown)
		return NULL;
	objects = grown;
	objects[n_objects] = calloc(1, sizeof(struct object));
	if (!objects[n_objects])
		return NULL;
	*place = ++n_objects;
	return objects[n_objects - 1];
}

static CUresult enter(struct object *o, CUtexObject *handle)
{
	uint64_t place = 0;
	pthread_rwlock_wrlock(&lock);
	struct object *at = vacant(&place);
	if (at) {
		o->reuse = at->reuse;
		o->live = true;
		*at = *o;
		*handle = place | (uint64_t)at->reuse << REUSE_SHIFT;
	}
	pthread_rwlock_unlock(&lock);
	return at ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult take_out(uint64_t handle, bool surface)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	pthread_rwlock_wrlock(&lock);
	struct object *o = find(handle, surface);
	if (o) {
		o->live = false;
		o->reuse++;
	}
	pthread_rwlock_unlock(&lock);
	return o ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

void sg_textures_forget(CUcontext ctx)
{
	pthread_rwlock_wrlock(&lock);
	for (size_t i = 0; i < n_objects; i++) {
		if (!objects[i]->live || objects[i]->ctx != ctx)
			continue;
		objects[i]->live = false;
		objects[i]->reuse++;
	}
	pthread_rwlock_unlock(&lock);
}

bool sg_image_find(void *ctx, uint64_t handle, bool surface, struct ptx_image *out)
{
	pthread_rwlock_rdlock(&lock);
	const struct object *o = find(handle, surface);
	bool ok = o && o->ctx == ctx && sg_memory_live(o->base, o->bytes);
	if (ok)
		*out = o->image;
	pthread_rwlock_unlock(&lock);
	return ok;
}

/* ---- from a resource to an image */

static CUresult set_format(struct object *o, CUarray_format format, unsigned channels)
{
	struct sg_format f;
	if (!sg_format_find(format, &f) || (channels != 1 && channels != 2 && channels != 4))
		return CUDA_ERROR_INVALID_VALUE;
	o->image.texel = f.texel;
	o->image.bytes = f.bytes;
	o->image.channels = (uint8_t)channels;
	o->image.promoted = f.promoted;
	return CUDA_SUCCESS;
}

static CUresult of_arrays(struct object *o, const struct CUarray_st *first, unsigned n)
{
	struct sg_range range;
	if (!sg_range_find(first->base, &range))
		return CUDA_ERROR_INVALID_HANDLE;
	o->base = range.base;
	o->bytes = range.size;
	o->image.n_levels = n;
	for (unsigned i = 0; i < n; i++)
		o->image.level[i] = first[i].level;
	o->image.layered = first->desc.Flags & CUDA_ARRAY3D_LAYERED;
	o->image.cube = first->desc.Flags & CUDA_ARRAY3D_CUBEMAP;
	return set_format(o, first->desc.Format, first->desc.NumChannels);
}

/* Memory of the application: linear, or rows with a pitch. */
static CUresult of_memory(struct object *o, CUdeviceptr at, size_t width, size_t height,
                          size_t pitch, size_t bytes)
{
	struct sg_range range;
	bool found;
	CUresult r = at ? sg_range_check(at, bytes, &range, &found) : CUDA_ERROR_INVALID_VALUE;
	if (r != CUDA_SUCCESS || !found || at % 512 || !width || !height || width > UINT32_MAX ||
	    height > UINT32_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	o->base = at;
	o->bytes = bytes;
	o->image.n_levels = 1;
	o->image.level[0] =
	    (struct ptx_level){at, (uint32_t)width, (uint32_t)height, 1, pitch, pitch * height};
	return CUDA_SUCCESS;
}

static CUresult of_resource(struct object *o, const CUDA_RESOURCE_DESC *p)
{
	CUresult r;
	switch (p->resType) {
	case CU_RESOURCE_TYPE_ARRAY:
		r = sg_array_check(p->res.array.hArray);
		return r == CUDA_SUCCESS ? of_arrays(o, p->res.array.hArray, 1) : r;
	case CU_RESOURCE_TYPE_MIPMAPPED_ARRAY:
		r = sg_mipmap_check(p->res.mipmap.hMipmappedArray);
		return r == CUDA_SUCCESS ? of_arrays(o, p->res.mipmap.hMipmappedArray->levels,
		                                     p->res.mipmap.hMipmappedArray->n_levels)
		                         : r;
	case CU_RESOURCE_TYPE_LINEAR: {
		r = set_format(o, p->res.linear.format, p->res.linear.numChannels);
		if (r != CUDA_SUCCESS)
			return r;
		size_t texels = p->res.linear.sizeInBytes / o->image.bytes / o->image.channels;
		o->image.rows = true;
		return of_memory(o, p->res.linear.devPtr, texels, 1, p->res.linear.sizeInBytes,
		                 p->res.linear.sizeInBytes);
	}
	case CU_RESOURCE_TYPE_PITCH2D: {
		r = set_format(o, p->res.pitch2D.format, p->res.pitch2D.numChannels);
		if (r != CUDA_SUCCESS)
			return r;
		size_t row = p->res.pitch2D.width * o->image.bytes * o->image.channels, bytes;
		size_t pitch = p->res.pitch2D.pitchInBytes, height = p->res.pitch2D.height;
		if (!height || pitch % 32 || pitch < row || pitch > 1u << 30 ||
		    __builtin_mul_overflow(pitch, height - 1, &bytes))
			return CUDA_ERROR_INVALID_VALUE;
		return of_memory(o, p->res.pitch2D.devPtr, p->res.pitch2D.width, height, pitch,
		                 bytes + row);
	}
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

/* ---- views and ways of reading */

/* The formats of views in their order: of each type one, two and four channels. */
static CUresult view_format(struct object *o, CUresourceViewFormat f)
{
	static const struct {
		enum ptx_texel texel;
		uint8_t bytes;
	} types[] = {
	    {PTX_TEXEL_UNSIGNED, 1}, {PTX_TEXEL_SIGNED, 1},   {PTX_TEXEL_UNSIGNED, 2},
	    {PTX_TEXEL_SIGNED, 2},   {PTX_TEXEL_UNSIGNED, 4}, {PTX_TEXEL_SIGNED, 4},
	    {PTX_TEXEL_FLOAT, 2},    {PTX_TEXEL_FLOAT, 4},
	};
	if (f == CU_RES_VIEW_FORMAT_NONE)
		return CUDA_SUCCESS;
	if (f > CU_RES_VIEW_FORMAT_FLOAT_4X32)
		return f <= CU_RES_VIEW_FORMAT_UNSIGNED_BC7
		           ? sg_missing("a view of block-compressed texels")
		           : CUDA_ERROR_INVALID_VALUE;
	unsigned i = f - CU_RES_VIEW_FORMAT_UINT_1X8, channels = 1u << i % 3;
	if (types[i / 3].bytes * channels != (unsigned)o->image.bytes * o->image.channels)
		return CUDA_ERROR_INVALID_VALUE; /* texels of another size */
	o->image.texel = types[i / 3].texel;
	o->image.bytes = types[i / 3].bytes;
	o->image.channels = (uint8_t)channels;
	o->image.promoted = false;
	return CUDA_SUCCESS;
}

static CUresult set_view(struct object *o, const CUDA_RESOURCE_VIEW_DESC *v)
{
	struct ptx_image *t = &o->image;
	unsigned first = v->firstMipmapLevel, last = v->lastMipmapLevel;
	if (o->resource.resType != CU_RESOURCE_TYPE_ARRAY &&
	    o->resource.resType != CU_RESOURCE_TYPE_MIPMAPPED_ARRAY)
		return CUDA_ERROR_INVALID_VALUE;
	if (first > last || last >= t->n_levels || v->firstLayer > v->lastLayer)
		return CUDA_ERROR_INVALID_VALUE;
	if (t->layered && v->lastLayer >= t->level[0].depth)
		return CUDA_ERROR_INVALID_VALUE;
	memmove(t->level, &t->level[first], (last - first + 1) * sizeof(t->level[0]));
	t->n_levels = last - first + 1;
	for (unsigned i = 0; t->layered && i < t->n_levels; i++) {
		t->level[i].addr += v->firstLayer * t->level[i].slice;
		t->level[i].depth = v->lastLayer - v->firstLayer + 1;
	}
	o->view = *v;
	o->has_view = true;
	return view_format(o, v->format);
}

static CUresult set_how(struct object *o, const CUDA_TEXTURE_DESC *d)
{
	const unsigned known = CU_TRSF_READ_AS_INTEGER | CU_TRSF_NORMALIZED_COORDINATES |
	                       CU_TRSF_SRGB | CU_TRSF_DISABLE_TRILINEAR_OPTIMIZATION |
	                       CU_TRSF_SEAMLESS_CUBEMAP;
	struct ptx_image *t = &o->image;
	if (d->flags & ~known || (unsigned)d->filterMode > CU_TR_FILTER_MODE_LINEAR ||
	    (unsigned)d->mipmapFilterMode > CU_TR_FILTER_MODE_LINEAR)
		return CUDA_ERROR_INVALID_VALUE;
	for (int i = 0; i < 3; i++) {
		if ((unsigned)d->addressMode[i] > CU_TR_ADDRESS_MODE_BORDER)
			return CUDA_ERROR_INVALID_VALUE;
		t->border[i] = (enum ptx_border)d->addressMode[i];
	}
	/* linear memory is read by element */
	t->linear = d->filterMode == CU_TR_FILTER_MODE_LINEAR && !t->rows;
	t->mip_linear = d->mipmapFilterMode == CU_TR_FILTER_MODE_LINEAR;
	t->normalized = d->flags & CU_TRSF_NORMALIZED_COORDINATES;
	t->promoted |=
	    !(d->flags & CU_TRSF_READ_AS_INTEGER) && t->texel != PTX_TEXEL_FLOAT && t->bytes < 4;
	t->srgb = d->flags & CU_TRSF_SRGB && t->texel == PTX_TEXEL_UNSIGNED && t->bytes == 1;
	t->seamless = d->flags & CU_TRSF_SEAMLESS_CUBEMAP;
	t->bias = d->mipmapLevelBias;
	t->min_lod = d->minMipmapLevelClamp;
	t->max_lod = d->maxMipmapLevelClamp;
	memcpy(t->colour, d->borderColor, sizeof(t->colour));
	o->how = *d;
	return CUDA_SUCCESS;
}

/* ---- the calls */

CUresult cuTexObjectCreate(CUtexObject *pTexObject, const CUDA_RESOURCE_DESC *pResDesc,
                           const CUDA_TEXTURE_DESC *pTexDesc,
                           const CUDA_RESOURCE_VIEW_DESC *pResViewDesc)
{
	struct object o = {.surface = false};
	CUresult r = sg_current(&o.ctx);
	if (r != CUDA_SUCCESS)
		return r;
	if (!pTexObject || !pResDesc || !pTexDesc || pResDesc->flags)
		return CUDA_ERROR_INVALID_VALUE;
	o.resource = *pResDesc;
	r = of_resource(&o, pResDesc);
	if (r == CUDA_SUCCESS && pResViewDesc)
		r = set_view(&o, pResViewDesc);
	if (r == CUDA_SUCCESS)
		r = set_how(&o, pTexDesc);
	return r == CUDA_SUCCESS ? enter(&o, pTexObject) : r;
}

CUresult cuSurfObjectCreate(CUsurfObject *pSurfObject, const CUDA_RESOURCE_DESC *pResDesc)
{
	struct object o = {.surface = true};
	CUresult r = sg_current(&o.ctx);
	if (r != CUDA_SUCCESS)
		return r;
	if (!pSurfObject || !pResDesc || pResDesc->flags ||
	    pResDesc->resType != CU_RESOURCE_TYPE_ARRAY)
		return CUDA_ERROR_INVALID_VALUE;
	o.resource = *pResDesc;
	r = of_resource(&o, pResDesc);
	return r == CUDA_SUCCESS ? enter(&o, pSurfObject) : r;
}

CUresult cuTexObjectDestroy(CUtexObject texObject)
{
	return take_out(texObject, false);
}

CUresult cuSurfObjectDestroy(CUsurfObject surfObject)
{
	return take_out(surfObject, true);
}

static CUresult described(uint64_t handle, bool surface, struct object *out)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	pthread_rwlock_rdlock(&lock);
	const struct object *o = find(handle, surface);
	if (o)
		*out = *o;
	pthread_rwlock_unlock(&lock);
	return o ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuTexObjectGetResourceDesc(CUDA_RESOURCE_DESC *pResDesc, CUtexObject texObject)
{
	struct object o;
	CUresult r = pResDesc ? described(texObject, false, &o) : CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS)
		*pResDesc = o.resource;
	return r;
}

CUresult cuTexObjectGetTextureDesc(CUDA_TEXTURE_DESC *pTexDesc, CUtexObject texObject)
{
	struct object o;
	CUresult r = pTexDesc ? described(texObject, false, &o) : CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS)
		*pTexDesc = o.how;
	return r;
}

CUresult cuTexObjectGetResourceViewDesc(CUDA_RESOURCE_VIEW_DESC *pResViewDesc,
                                        CUtexObject texObject)
{
	struct object o;
	CUresult r = pResViewDesc ? described(texObject, false, &o) : CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS && !o.has_view)
		r = CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS)
		*pResViewDesc = o.view;
	return r;
}

CUresult cuSurfObjectGetResourceDesc(CUDA_RESOURCE_DESC *pResDesc, CUsurfObject surfObject)
{
	struct object o;
	CUresult r = pResDesc ? described(surfObject, true, &o) : CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS)
		*pResDesc = o.resource;
	return r;
}

CUresult cuDeviceGetTexture1DLinearMaxWidth(size_t *maxWidthInElements, CUarray_format format,
                                            unsigned numChannels, CUdevice dev)
{
	struct sg_format f;
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!sg_device_ok(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	if (!maxWidthInElements || !sg_format_find(format, &f) || !numChannels || numChannels > 4)
		return CUDA_ERROR_INVALID_VALUE;
	*maxWidthInElements = (size_t)1 << 28;
	return CUDA_SUCCESS;
}
