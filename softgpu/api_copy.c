// SPDX-License-Identifier: Apache-2.0
/*
 * api_copy.c: the one form of a copy: a box of bytes between two places, each in device memory,
 * page-locked or pageable host memory. Checked when it is called, and device memory again when
 * it runs (a graph may outlive what it copies).
 *
 * What a call waits for is the manual's "API synchronization behavior": a pageable source of an
 * asynchronous copy is read before the call returns; a copy to pageable memory or between host
 * buffers has completed when it returns.
 */
#include "api_array.h"

#include <string.h>

/* up to here a pageable source is staged; a larger copy keeps the caller until it is done */
#define STAGE_MAX ((size_t)64 << 20)

struct side {
	size_t x, y, z, lod, pitch, height;
	CUmemorytype type;
	const void *host;
	CUdeviceptr device;
	CUarray array;
};

/* Bytes from the first to the last of a box. False: overflow. */
static bool extent(const struct sg_copy_op *c, const struct sg_copy_side *s, size_t *bytes)
{
	size_t rows, slices;
	return !__builtin_mul_overflow(c->height - 1, s->pitch, &rows) &&
	       !__builtin_mul_overflow(c->depth - 1, s->slice, &slices) &&
	       !__builtin_add_overflow(rows, slices, bytes) &&
	       !__builtin_add_overflow(*bytes, c->width, bytes);
}

/* An array is device memory, whose bounds are its own. */
static CUresult resolve_array(const struct sg_copy_op *c, const struct side *in,
                              struct sg_copy_side *out, bool *device, bool *pageable)
{
	CUresult r = sg_array_check(in->array);
	if (r != CUDA_SUCCESS)
		return r;
	const struct ptx_level *l = &in->array->level;
	size_t texel = in->array->texel_bytes, row = l->width * texel;
	if (in->lod || in->x % texel || c->width % texel || in->x > row || c->width > row - in->x ||
	    in->y > l->height || c->height > l->height - in->y || in->z > l->depth ||
	    c->depth > l->depth - in->z)
		return CUDA_ERROR_INVALID_VALUE;
	*out = (struct sg_copy_side){l->addr + in->z * l->slice + in->y * l->pitch + in->x,
	                             l->pitch, l->slice, in->array};
	*device = true;
	*pageable = false;
	return CUDA_SUCCESS;
}

/* Resolves one side; says where it is. */
static CUresult resolve(const struct sg_copy_op *c, const struct side *in, struct sg_copy_side *out,
                        bool *device, bool *pageable)
{
	if (in->type == CU_MEMORYTYPE_ARRAY)
		return resolve_array(c, in, out, device, pageable);
	if (in->type != CU_MEMORYTYPE_HOST && in->type != CU_MEMORYTYPE_DEVICE &&
	    in->type != CU_MEMORYTYPE_UNIFIED)
		return CUDA_ERROR_INVALID_VALUE;
	uintptr_t base = in->type == CU_MEMORYTYPE_HOST ? (uintptr_t)in->host : in->device;
	if (base == 0 || in->lod != 0)
		return CUDA_ERROR_INVALID_VALUE;
	bool rows = c->height > 1 || c->depth > 1 || in->y || in->z;
	if (rows && in->pitch < in->x + c->width)
		return CUDA_ERROR_INVALID_VALUE;
	if ((c->depth > 1 || in->z) && in->height < in->y + c->height)
		return CUDA_ERROR_INVALID_VALUE;
	out->array = NULL;
	out->pitch = in->pitch;
	out->slice = in->pitch * in->height;
	out->addr = base + in->z * out->slice + in->y * in->pitch + in->x;
	size_t bytes;
	if (!extent(c, out, &bytes) || out->addr + bytes < out->addr)
		return CUDA_ERROR_INVALID_VALUE;
	struct sg_range range;
	bool found;
	CUresult r = sg_range_check(out->addr, bytes, &range, &found);
	if (r != CUDA_SUCCESS)
		return r;
	if (!found && in->type == CU_MEMORYTYPE_DEVICE)
		return CUDA_ERROR_INVALID_VALUE;
	*pageable = !found;
	*device = found && (range.kind == SG_MEMORY_DEVICE || range.kind == SG_MEMORY_MANAGED);
	return CUDA_SUCCESS;
}

CUresult sg_copy_op_init(struct sg_op *op, const CUDA_MEMCPY3D *p)
{
	struct sg_copy_op *c = &op->copy;
	*op = (struct sg_op){.kind = SG_OP_COPY, .ctx = op->ctx};
	c->width = p->WidthInBytes;
	c->height = p->Height;
	c->depth = p->Depth;
	if (!c->width || !c->height || !c->depth) {
		op->kind = SG_OP_EMPTY; /* nothing to copy is no error, and keeps its place */
		return CUDA_SUCCESS;
	}
	struct side src = {p->srcXInBytes, p->srcY,          p->srcZ,    p->srcLOD,    p->srcPitch,
	                   p->srcHeight,   p->srcMemoryType, p->srcHost, p->srcDevice, p->srcArray};
	struct side dst = {p->dstXInBytes, p->dstY,          p->dstZ,    p->dstLOD,    p->dstPitch,
	                   p->dstHeight,   p->dstMemoryType, p->dstHost, p->dstDevice, p->dstArray};
	CUresult r = resolve(c, &src, &c->src, &c->src_device, &c->pageable_src);
	if (r == CUDA_SUCCESS)
		r = resolve(c, &dst, &c->dst, &c->dst_device, &c->pageable_dst);
	c->dir = c->src_device ? (c->dst_device ? SG_COPY_D2D : SG_COPY_D2H)
	                       : (c->dst_device ? SG_COPY_H2D : SG_COPY_H2H);
	return r;
}

bool sg_copy_waits(const struct sg_copy_op *c)
{
	if (c->dir == SG_COPY_H2H || (c->dir == SG_COPY_D2H && c->pageable_dst))
		return true;
	return c->pageable_src && c->width * c->height * c->depth > STAGE_MAX;
}

static void copy_box(const struct sg_copy_op *c, const struct sg_copy_side *dst,
                     const struct sg_copy_side *src)
{
	bool packed = (c->height == 1 || (dst->pitch == c->width && src->pitch == c->width)) &&
	              (c->depth == 1 ||
	               (dst->slice == c->width * c->height && src->slice == c->width * c->height));
	if (packed) {
		memmove((void *)dst->addr, (const void *)src->addr,
		        c->width * c->height * c->depth);
		return;
	}
	for (size_t z = 0; z < c->depth; z++)
		for (size_t y = 0; y < c->height; y++)
			memmove((char *)dst->addr + z * dst->slice + y * dst->pitch,
			        (const char *)src->addr + z * src->slice + y * src->pitch,
			        c->width);
}

CUresult sg_copy_stage(struct sg_copy_op *c)
{
	if (!c->pageable_src || sg_the_model()->mode == SG_MODE_TIME)
		return CUDA_SUCCESS;
	c->staged = malloc(c->width * c->height * c->depth);
	if (!c->staged)
		return CUDA_ERROR_OUT_OF_MEMORY;
	struct sg_copy_side buffer = {(uintptr_t)c->staged, c->width, c->width * c->height, NULL};
	copy_box(c, &buffer, &c->src);
	c->src = buffer;
	return CUDA_SUCCESS;
}

static bool still_there(const struct sg_copy_op *c, const struct sg_copy_side *s, bool device)
{
	size_t bytes;
	return !device || (extent(c, s, &bytes) && sg_memory_live(s->addr, bytes));
}

CUresult sg_copy_run(const struct sg_copy_op *c, char *error_text, size_t len)
{
	if (!still_there(c, &c->dst, c->dst_device) || !still_there(c, &c->src, c->src_device)) {
		snprintf(error_text, len, "copy of %zu bytes from %#zx to %#zx: memory was freed",
		         c->width * c->height * c->depth, (size_t)c->src.addr, (size_t)c->dst.addr);
		return CUDA_ERROR_ILLEGAL_ADDRESS;
	}
	copy_box(c, &c->dst, &c->src);
	return CUDA_SUCCESS;
}
