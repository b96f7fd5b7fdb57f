// SPDX-License-Identifier: Apache-2.0
/*
 * array.c: CUDA arrays: making and describing them, and copies from and to them. A cudaArray_t is
 * the driver's CUarray. Widths and offsets in bytes or in elements as the manual has it: elements
 * for extents, and for boxes in which an array takes part; bytes for everything else.
 */
#include "cudart.h"

#include "cudart_calls.h"

/* ---- formats of texels */

static const struct {
	enum cudaChannelFormatKind kind;
	int bits;
	CUarray_format format;
} formats[] = {
    {cudaChannelFormatKindSigned, 8, CU_AD_FORMAT_SIGNED_INT8},
    {cudaChannelFormatKindSigned, 16, CU_AD_FORMAT_SIGNED_INT16},
    {cudaChannelFormatKindSigned, 32, CU_AD_FORMAT_SIGNED_INT32},
    {cudaChannelFormatKindUnsigned, 8, CU_AD_FORMAT_UNSIGNED_INT8},
    {cudaChannelFormatKindUnsigned, 16, CU_AD_FORMAT_UNSIGNED_INT16},
    {cudaChannelFormatKindUnsigned, 32, CU_AD_FORMAT_UNSIGNED_INT32},
    {cudaChannelFormatKindFloat, 16, CU_AD_FORMAT_HALF},
    {cudaChannelFormatKindFloat, 32, CU_AD_FORMAT_FLOAT},
    {cudaChannelFormatKindUnsignedNormalized8X1, 8, CU_AD_FORMAT_UNORM_INT8X1},
    {cudaChannelFormatKindUnsignedNormalized8X2, 8, CU_AD_FORMAT_UNORM_INT8X2},
    {cudaChannelFormatKindUnsignedNormalized8X4, 8, CU_AD_FORMAT_UNORM_INT8X4},
    {cudaChannelFormatKindUnsignedNormalized16X1, 16, CU_AD_FORMAT_UNORM_INT16X1},
    {cudaChannelFormatKindUnsignedNormalized16X2, 16, CU_AD_FORMAT_UNORM_INT16X2},
    {cudaChannelFormatKindUnsignedNormalized16X4, 16, CU_AD_FORMAT_UNORM_INT16X4},
    {cudaChannelFormatKindSignedNormalized8X1, 8, CU_AD_FORMAT_SNORM_INT8X1},
    {cudaChannelFormatKindSignedNormalized8X2, 8, CU_AD_FORMAT_SNORM_INT8X2},
    {cudaChannelFormatKindSignedNormalized8X4, 8, CU_AD_FORMAT_SNORM_INT8X4},
    {cudaChannelFormatKindSignedNormalized16X1, 16, CU_AD_FORMAT_SNORM_INT16X1},
    {cudaChannelFormatKindSignedNormalized16X2, 16, CU_AD_FORMAT_SNORM_INT16X2},
    {cudaChannelFormatKindSignedNormalized16X4, 16, CU_AD_FORMAT_SNORM_INT16X4},
};

cudaError_t cudart_format(const struct cudaChannelFormatDesc *d, CUarray_format *format,
                          unsigned *channels)
{
	unsigned n = !d->y ? 1 : !d->z ? 2 : !d->w ? 3 : 4;
	if (!d->x || n == 3 || (n > 1 && d->y != d->x) || (n > 2 && (d->z != d->x || d->w != d->x)))
		return cudaErrorInvalidChannelDescriptor;
	for (size_t i = 0; i < REIN_ARRAY_LEN(formats); i++) {
		if (formats[i].kind != d->f || formats[i].bits != d->x)
			continue;
		*format = formats[i].format;
		*channels = n;
		return cudaSuccess;
	}
	if (d->f >= cudaChannelFormatKindUnsignedBlockCompressed1 ||
	    d->f == cudaChannelFormatKindNV12)
		return cudart_missing("an array of block-compressed, video or packed texels");
	return cudaErrorInvalidChannelDescriptor;
}

struct cudaChannelFormatDesc cudart_channel_desc(CUarray_format format, unsigned channels)
{
	struct cudaChannelFormatDesc d = {.f = cudaChannelFormatKindNone};
	for (size_t i = 0; i < REIN_ARRAY_LEN(formats); i++) {
		if (formats[i].format != format)
			continue;
		int bits = formats[i].bits;
		d = (struct cudaChannelFormatDesc){bits, channels > 1 ? bits : 0,
		                                   channels > 2 ? bits : 0, channels > 3 ? bits : 0,
		                                   formats[i].kind};
		break;
	}
	return d;
}

/* ---- arrays */

static cudaError_t describe(CUDA_ARRAY3D_DESCRIPTOR *out, const struct cudaChannelFormatDesc *desc,
                            struct cudaExtent e, unsigned flags)
{
	if (!desc)
		return cudaErrorInvalidValue;
	*out = (CUDA_ARRAY3D_DESCRIPTOR){
	    .Width = e.width, .Height = e.height, .Depth = e.depth, .Flags = flags};
	return cudart_format(desc, &out->Format, &out->NumChannels);
}

cudaError_t do_cudaMalloc3DArray(const struct cudart_driver *cu, cudaArray_t *array,
                                 const struct cudaChannelFormatDesc *desc, struct cudaExtent extent,
                                 unsigned int flags)
{
	CUDA_ARRAY3D_DESCRIPTOR d;
	cudaError_t e = describe(&d, desc, extent, flags);
	return e == cudaSuccess ? cudart_error(cu->cuArray3DCreate((CUarray *)array, &d)) : e;
}

cudaError_t do_cudaMallocArray(const struct cudart_driver *cu, cudaArray_t *array,
                               const struct cudaChannelFormatDesc *desc, size_t width,
                               size_t height, unsigned int flags)
{
	return do_cudaMalloc3DArray(cu, array, desc, (struct cudaExtent){width, height, 0}, flags);
}

cudaError_t do_cudaMallocMipmappedArray(const struct cudart_driver *cu,
                                        cudaMipmappedArray_t *mipmappedArray,
                                        const struct cudaChannelFormatDesc *desc,
                                        struct cudaExtent extent, unsigned int numLevels,
                                        unsigned int flags)
{
	CUDA_ARRAY3D_DESCRIPTOR d;
	cudaError_t e = describe(&d, desc, extent, flags);
	return e == cudaSuccess ? cudart_error(cu->cuMipmappedArrayCreate(
				      (CUmipmappedArray *)mipmappedArray, &d, numLevels))
	                        : e;
}

/* Nothing is nothing to free. */
cudaError_t do_cudaFreeArray(const struct cudart_driver *cu, cudaArray_t array)
{
	return array ? cudart_error(cu->cuArrayDestroy((CUarray)array)) : cudaSuccess;
}

cudaError_t do_cudaFreeMipmappedArray(const struct cudart_driver *cu,
                                      cudaMipmappedArray_t mipmappedArray)
{
	return mipmappedArray
	           ? cudart_error(cu->cuMipmappedArrayDestroy((CUmipmappedArray)mipmappedArray))
	           : cudaSuccess;
}

cudaError_t do_cudaArrayGetInfo(const struct cudart_driver *cu, struct cudaChannelFormatDesc *desc,
                                struct cudaExtent *extent, unsigned int *flags, cudaArray_t array)
{
	CUDA_ARRAY3D_DESCRIPTOR d;
	CUresult r = cu->cuArray3DGetDescriptor(&d, (CUarray)array);
	if (r != CUDA_SUCCESS)
		return cudart_error(r);
	if (desc)
		*desc = cudart_channel_desc(d.Format, d.NumChannels);
	if (extent)
		*extent = (struct cudaExtent){d.Width, d.Height, d.Depth};
	if (flags)
		*flags = d.Flags;
	return cudaSuccess;
}

cudaError_t do_cudaGetChannelDesc(const struct cudart_driver *cu,
                                  struct cudaChannelFormatDesc *desc, cudaArray_const_t array)
{
	return desc ? do_cudaArrayGetInfo(cu, desc, NULL, NULL, (cudaArray_t)(uintptr_t)array)
	            : cudaErrorInvalidValue;
}

cudaError_t do_cudaDeviceGetTexture1DLinearMaxWidth(const struct cudart_driver *cu,
                                                    size_t *maxWidthInElements,
                                                    const struct cudaChannelFormatDesc *fmtDesc,
                                                    int device)
{
	CUarray_format format;
	unsigned channels;
	cudaError_t e =
	    fmtDesc ? cudart_format(fmtDesc, &format, &channels) : cudaErrorInvalidValue;
	return e == cudaSuccess ? cudart_error(cu->cuDeviceGetTexture1DLinearMaxWidth(
				      maxWidthInElements, format, channels, device))
	                        : e;
}

cudaError_t cudart_texel_bytes(cudaArray_const_t array, size_t *bytes)
{
	const struct cudart_driver *cu = &cudart_drivers[0];
	struct cudaChannelFormatDesc d;
	cudaError_t e = do_cudaGetChannelDesc(cu, &d, array);
	*bytes = e == cudaSuccess ? (size_t)(d.x + d.y + d.z + d.w) / 8 : 0;
	return e;
}

/* ---- copies of rectangles: everything in bytes and rows */

struct side { /* an array from (x, y) on, or memory with a pitch */
	cudaArray_const_t array;
	size_t x, y;
	const void *memory;
	size_t pitch;
};

static cudaError_t rectangle(const struct cudart_driver *cu, struct side dst, struct side src,
                             size_t width, size_t height, enum cudaMemcpyKind kind,
                             cudaStream_t stream, bool async)
{
	CUDA_MEMCPY2D c = {
	    .srcXInBytes = src.x,
	    .srcY = src.y,
	    .srcArray = (CUarray)(uintptr_t)src.array,
	    .srcHost = src.memory,
	    .srcDevice = (CUdeviceptr)(uintptr_t)src.memory,
	    .srcPitch = src.pitch,
	    .dstXInBytes = dst.x,
	    .dstY = dst.y,
	    .dstArray = (CUarray)(uintptr_t)dst.array,
	    .dstHost = (void *)(uintptr_t)dst.memory,
	    .dstDevice = (CUdeviceptr)(uintptr_t)dst.memory,
	    .dstPitch = dst.pitch,
	    .WidthInBytes = width,
	    .Height = height,
	};
	cudaError_t e = cudart_kind(kind, &c.dstMemoryType, &c.srcMemoryType);
	if (e != cudaSuccess || !width || !height)
		return e;
	if ((src.memory && src.pitch < width) || (dst.memory && dst.pitch < width))
		return cudaErrorInvalidPitchValue;
	if ((!src.memory && !src.array) || (!dst.memory && !dst.array))
		return cudaErrorInvalidValue;
	if (src.array)
		c.srcMemoryType = CU_MEMORYTYPE_ARRAY;
	if (dst.array)
		c.dstMemoryType = CU_MEMORYTYPE_ARRAY;
	return cudart_error(async ? cu->cuMemcpy2DAsync(&c, stream) : cu->cuMemcpy2DUnaligned(&c));
}

static struct side in_array(cudaArray_const_t a, size_t x, size_t y)
{
	return (struct side){.array = a, .x = x, .y = y};
}

static struct side in_memory(const void *p, size_t pitch)
{
	return (struct side){.memory = p, .pitch = pitch};
}

cudaError_t do_cudaMemcpy2DToArray(const struct cudart_driver *cu, cudaArray_t dst, size_t wOffset,
                                   size_t hOffset, const void *src, size_t spitch, size_t width,
                                   size_t height, enum cudaMemcpyKind kind)
{
	return rectangle(cu, in_array(dst, wOffset, hOffset), in_memory(src, spitch), width, height,
	                 kind, NULL, false);
}

cudaError_t do_cudaMemcpy2DToArrayAsync(const struct cudart_driver *cu, cudaArray_t dst,
                                        size_t wOffset, size_t hOffset, const void *src,
                                        size_t spitch, size_t width, size_t height,
                                        enum cudaMemcpyKind kind, cudaStream_t stream)
{
	return rectangle(cu, in_array(dst, wOffset, hOffset), in_memory(src, spitch), width, height,
	                 kind, stream, true);
}

cudaError_t do_cudaMemcpy2DFromArray(const struct cudart_driver *cu, void *dst, size_t dpitch,
                                     cudaArray_const_t src, size_t wOffset, size_t hOffset,
                                     size_t width, size_t height, enum cudaMemcpyKind kind)
{
	return rectangle(cu, in_memory(dst, dpitch), in_array(src, wOffset, hOffset), width, height,
	                 kind, NULL, false);
}

cudaError_t do_cudaMemcpy2DFromArrayAsync(const struct cudart_driver *cu, void *dst, size_t dpitch,
                                          cudaArray_const_t src, size_t wOffset, size_t hOffset,
                                          size_t width, size_t height, enum cudaMemcpyKind kind,
                                          cudaStream_t stream)
{
	return rectangle(cu, in_memory(dst, dpitch), in_array(src, wOffset, hOffset), width, height,
	                 kind, stream, true);
}

cudaError_t do_cudaMemcpy2DArrayToArray(const struct cudart_driver *cu, cudaArray_t dst,
                                        size_t wOffsetDst, size_t hOffsetDst, cudaArray_const_t src,
                                        size_t wOffsetSrc, size_t hOffsetSrc, size_t width,
                                        size_t height, enum cudaMemcpyKind kind)
{
	return rectangle(cu, in_array(dst, wOffsetDst, hOffsetDst),
	                 in_array(src, wOffsetSrc, hOffsetSrc), width, height, kind, NULL, false);
}

/* ---- runs of bytes, which go on at the next row's beginning (deprecated, and still there) */

/* The bytes from (x, y) to the end of its row, if the run is longer; the whole rows; the rest. */
static cudaError_t run(const struct cudart_driver *cu, cudaArray_const_t array, size_t x, size_t y,
                       const char *memory, size_t count, bool to_array, enum cudaMemcpyKind kind,
                       cudaStream_t stream, bool async)
{
	CUDA_ARRAY3D_DESCRIPTOR d;
	size_t texel;
	CUresult r = cu->cuArray3DGetDescriptor(&d, (CUarray)(uintptr_t)array);
	cudaError_t e = r == CUDA_SUCCESS ? cudart_texel_bytes(array, &texel) : cudart_error(r);
	while (e == cudaSuccess && count) {
		size_t row = d.Width * texel, width = row - x, rows = 1;
		if (x >= row)
			return cudaErrorInvalidValue;
		if (count < width)
			width = count;
		else if (!x)
			rows = count / row;
		struct side a = in_array(array, x, y), m = in_memory(memory, width);
		e = to_array ? rectangle(cu, a, m, width, rows, kind, stream, async)
		             : rectangle(cu, m, a, width, rows, kind, stream, async);
		memory += width * rows;
		count -= width * rows;
		y += rows;
		x = 0;
	}
	return e;
}

cudaError_t do_cudaMemcpyToArray(const struct cudart_driver *cu, cudaArray_t dst, size_t wOffset,
                                 size_t hOffset, const void *src, size_t count,
                                 enum cudaMemcpyKind kind)
{
	return run(cu, dst, wOffset, hOffset, src, count, true, kind, NULL, false);
}

cudaError_t do_cudaMemcpyToArrayAsync(const struct cudart_driver *cu, cudaArray_t dst,
                                      size_t wOffset, size_t hOffset, const void *src, size_t count,
                                      enum cudaMemcpyKind kind, cudaStream_t stream)
{
	return run(cu, dst, wOffset, hOffset, src, count, true, kind, stream, true);
}

cudaError_t do_cudaMemcpyFromArray(const struct cudart_driver *cu, void *dst, cudaArray_const_t src,
                                   size_t wOffset, size_t hOffset, size_t count,
                                   enum cudaMemcpyKind kind)
{
	return run(cu, src, wOffset, hOffset, dst, count, false, kind, NULL, false);
}

cudaError_t do_cudaMemcpyFromArrayAsync(const struct cudart_driver *cu, void *dst,
                                        cudaArray_const_t src, size_t wOffset, size_t hOffset,
                                        size_t count, enum cudaMemcpyKind kind, cudaStream_t stream)
{
	return run(cu, src, wOffset, hOffset, dst, count, false, kind, stream, true);
}

/* A run from one to the other: through as many rectangles as it takes, of equal rows. */
cudaError_t do_cudaMemcpyArrayToArray(const struct cudart_driver *cu, cudaArray_t dst,
                                      size_t wOffsetDst, size_t hOffsetDst, cudaArray_const_t src,
                                      size_t wOffsetSrc, size_t hOffsetSrc, size_t count,
                                      enum cudaMemcpyKind kind)
{
	cudaArray_const_t arrays[2] = {dst, src};
	size_t row[2], x[2] = {wOffsetDst, wOffsetSrc}, y[2] = {hOffsetDst, hOffsetSrc};
	for (int i = 0; i < 2; i++) {
		CUDA_ARRAY3D_DESCRIPTOR d;
		size_t texel;
		CUresult r = cu->cuArray3DGetDescriptor(&d, (CUarray)(uintptr_t)arrays[i]);
		cudaError_t e =
		    r == CUDA_SUCCESS ? cudart_texel_bytes(arrays[i], &texel) : cudart_error(r);
		if (e != cudaSuccess)
			return e;
		row[i] = d.Width * texel;
		if (x[i] >= row[i])
			return cudaErrorInvalidValue;
	}
	while (count) {
		size_t width = count;
		for (int i = 0; i < 2; i++)
			width = width < row[i] - x[i] ? width : row[i] - x[i];
		cudaError_t e = rectangle(cu, in_array(dst, x[0], y[0]), in_array(src, x[1], y[1]),
		                          width, 1, kind, NULL, false);
		if (e != cudaSuccess)
			return e;
		count -= width;
		for (int i = 0; i < 2; i++) {
			x[i] += width;
			y[i] += x[i] == row[i];
			x[i] = x[i] == row[i] ? 0 : x[i];
		}
	}
	return cudaSuccess;
}
