// SPDX-License-Identifier: Apache-2.0
/*
 * api_array.h: CUDA arrays: images in device memory, as copies, textures and surfaces see them. An
 * array is linear here (row after row, slice after slice), of which programs see nothing: its
 * memory has no address for them. A level of a mipmapped array is an array too, and its owner's.
 */
#ifndef SOFTGPU_API_ARRAY_H
#define SOFTGPU_API_ARRAY_H

#include "api.h"
#include "ptx_texture.h"

struct CUarray_st {
	CUcontext ctx;
	CUmipmappedArray owner; /* NULL: an array of its own */
	uintptr_t base;         /* of the allocation that `level` is in */
	CUDA_ARRAY3D_DESCRIPTOR desc;
	struct ptx_level level;
	unsigned texel_bytes;
};

struct CUmipmappedArray_st {
	CUcontext ctx;
	uintptr_t base;
	unsigned n_levels;
	struct CUarray_st levels[PTX_LEVELS_MAX];
};

/* INVALID_HANDLE if it is none, or no longer. */
CUresult sg_array_check(CUarray a);
CUresult sg_mipmap_check(CUmipmappedArray m);
/* Where in its array the first byte of a copy is. */
void sg_array_place(const struct sg_copy_side *s, size_t *x, size_t *y, size_t *z);
/* What a channel is; false: a format that is not provided (named), or none at all. */
struct sg_format {
	enum ptx_texel texel;
	uint8_t bytes, channels; /* channels 0: the descriptor says */
	bool promoted;           /* always read as fractions of the largest value */
};
bool sg_format_find(CUarray_format f, struct sg_format *out);
/* Arrays, textures and surfaces of a context that is about to go. */
void sg_arrays_forget(CUcontext ctx);
void sg_textures_forget(CUcontext ctx);
/* struct ptx_memory's image() */
bool sg_image_find(void *ctx, uint64_t handle, bool surface, struct ptx_image *out);

#endif
