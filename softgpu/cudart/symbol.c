// SPDX-License-Identifier: Apache-2.0
/* symbol.c: __device__ and __constant__ variables by their host stand-ins; sets of three
 * dimensions. */
#include "cudart.h"

#include "cudart_calls.h"

cudaError_t do_cudaGetSymbolAddress(const struct cudart_driver *cu, void **devPtr,
                                    const void *symbol)
{
	CUdeviceptr address = 0;
	size_t size;
	if (!devPtr)
		return cudaErrorInvalidValue;
	cudaError_t e = cudart_symbol(symbol, &address, &size);
	if (e == cudaSuccess)
		*devPtr = (void *)address;
	return e;
}

cudaError_t do_cudaGetSymbolSize(const struct cudart_driver *cu, size_t *size, const void *symbol)
{
	CUdeviceptr address;
	return size ? cudart_symbol(symbol, &address, size) : cudaErrorInvalidValue;
}

cudaError_t cudart_symbol_part(const void *symbol, size_t offset, size_t count,
                               enum cudaMemcpyKind kind, bool to, void **address)
{
	CUdeviceptr base;
	size_t size, end;
	enum cudaMemcpyKind other = to ? cudaMemcpyHostToDevice : cudaMemcpyDeviceToHost;
	if (kind != other && kind != cudaMemcpyDeviceToDevice && kind != cudaMemcpyDefault)
		return cudaErrorInvalidMemcpyDirection;
	cudaError_t e = cudart_symbol(symbol, &base, &size);
	if (e != cudaSuccess)
		return e;
	if (__builtin_add_overflow(offset, count, &end) || end > size)
		return cudaErrorInvalidValue;
	*address = (void *)(base + offset);
	return cudaSuccess;
}

cudaError_t do_cudaMemcpyToSymbol(const struct cudart_driver *cu, const void *symbol,
                                  const void *src, size_t count, size_t offset,
                                  enum cudaMemcpyKind kind)
{
	void *at;
	cudaError_t e = cudart_symbol_part(symbol, offset, count, kind, true, &at);
	return e == cudaSuccess ? do_cudaMemcpy(cu, at, src, count, kind) : e;
}

cudaError_t do_cudaMemcpyToSymbolAsync(const struct cudart_driver *cu, const void *symbol,
                                       const void *src, size_t count, size_t offset,
                                       enum cudaMemcpyKind kind, cudaStream_t stream)
{
	void *at;
	cudaError_t e = cudart_symbol_part(symbol, offset, count, kind, true, &at);
	return e == cudaSuccess ? do_cudaMemcpyAsync(cu, at, src, count, kind, stream) : e;
}

cudaError_t do_cudaMemcpyFromSymbol(const struct cudart_driver *cu, void *dst, const void *symbol,
                                    size_t count, size_t offset, enum cudaMemcpyKind kind)
{
	void *at;
	cudaError_t e = cudart_symbol_part(symbol, offset, count, kind, false, &at);
	return e == cudaSuccess ? do_cudaMemcpy(cu, dst, at, count, kind) : e;
}

cudaError_t do_cudaMemcpyFromSymbolAsync(const struct cudart_driver *cu, void *dst,
                                         const void *symbol, size_t count, size_t offset,
                                         enum cudaMemcpyKind kind, cudaStream_t stream)
{
	void *at;
	cudaError_t e = cudart_symbol_part(symbol, offset, count, kind, false, &at);
	return e == cudaSuccess ? do_cudaMemcpyAsync(cu, dst, at, count, kind, stream) : e;
}

/* ---- sets: one of two dimensions if the slices follow each other, else one for each slice */

static cudaError_t set3d(const struct cudart_driver *cu, const struct cudaPitchedPtr *p, int value,
                         struct cudaExtent extent, bool async, cudaStream_t stream)
{
	bool dense = extent.height == p->ysize || extent.depth <= 1;
	size_t sets = dense ? 1 : extent.depth;
	size_t rows = dense ? extent.height * extent.depth : extent.height;
	CUdeviceptr at = (CUdeviceptr)p->ptr;
	CUresult r = CUDA_SUCCESS;
	if (!extent.width || !extent.height || !extent.depth)
		return cudaSuccess;
	for (size_t i = 0; i < sets && r == CUDA_SUCCESS; i++, at += p->pitch * p->ysize)
		r = async
		        ? cu->cuMemsetD2D8Async(at, p->pitch, (unsigned char)value, extent.width,
		                                rows, stream)
		        : cu->cuMemsetD2D8(at, p->pitch, (unsigned char)value, extent.width, rows);
	return cudart_error(r);
}

cudaError_t do_cudaMemset3D(const struct cudart_driver *cu, struct cudaPitchedPtr pitchedDevPtr,
                            int value, struct cudaExtent extent)
{
	return set3d(cu, &pitchedDevPtr, value, extent, false, NULL);
}

cudaError_t do_cudaMemset3DAsync(const struct cudart_driver *cu,
                                 struct cudaPitchedPtr pitchedDevPtr, int value,
                                 struct cudaExtent extent, cudaStream_t stream)
{
	return set3d(cu, &pitchedDevPtr, value, extent, true, stream);
}
