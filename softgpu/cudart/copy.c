// SPDX-License-Identifier: Apache-2.0
/*
 * copy.c: copies. The kind of a copy says where its two sides are;
 * with cudaMemcpyDefault the driver looks at the addresses. Copies of CUDA arrays that are no boxes
 * are in array.c.
 */
#include "cudart.h"

#include "cudart_calls.h"

cudaError_t cudart_kind(enum cudaMemcpyKind kind, CUmemorytype *dst, CUmemorytype *src)
{
	switch (kind) {
	case cudaMemcpyHostToHost:
		*dst = *src = CU_MEMORYTYPE_HOST;
		return cudaSuccess;
	case cudaMemcpyHostToDevice:
		*dst = CU_MEMORYTYPE_DEVICE;
		*src = CU_MEMORYTYPE_HOST;
		return cudaSuccess;
	case cudaMemcpyDeviceToHost:
		*dst = CU_MEMORYTYPE_HOST;
		*src = CU_MEMORYTYPE_DEVICE;
		return cudaSuccess;
	case cudaMemcpyDeviceToDevice:
		*dst = *src = CU_MEMORYTYPE_DEVICE;
		return cudaSuccess;
	case cudaMemcpyDefault:
		*dst = *src = CU_MEMORYTYPE_UNIFIED;
		return cudaSuccess;
	}
	return cudaErrorInvalidMemcpyDirection;
}

cudaError_t do_cudaMemcpy(const struct cudart_driver *cu, void *dst, const void *src, size_t count,
                          enum cudaMemcpyKind kind)
{
	CUdeviceptr d = (CUdeviceptr)dst, s = (CUdeviceptr)(uintptr_t)src;
	switch (kind) {
	case cudaMemcpyHostToDevice:
		return cudart_error(cu->cuMemcpyHtoD(d, src, count));
	case cudaMemcpyDeviceToHost:
		return cudart_error(cu->cuMemcpyDtoH(dst, s, count));
	case cudaMemcpyDeviceToDevice:
		return cudart_error(cu->cuMemcpyDtoD(d, s, count));
	case cudaMemcpyHostToHost:
	case cudaMemcpyDefault:
		return cudart_error(cu->cuMemcpy(d, s, count));
	}
	return cudaErrorInvalidMemcpyDirection;
}

cudaError_t do_cudaMemcpyAsync(const struct cudart_driver *cu, void *dst, const void *src,
                               size_t count, enum cudaMemcpyKind kind, cudaStream_t stream)
{
	CUdeviceptr d = (CUdeviceptr)dst, s = (CUdeviceptr)(uintptr_t)src;
	switch (kind) {
	case cudaMemcpyHostToDevice:
		return cudart_error(cu->cuMemcpyHtoDAsync(d, src, count, stream));
	case cudaMemcpyDeviceToHost:
		return cudart_error(cu->cuMemcpyDtoHAsync(dst, s, count, stream));
	case cudaMemcpyDeviceToDevice:
		return cudart_error(cu->cuMemcpyDtoDAsync(d, s, count, stream));
	case cudaMemcpyHostToHost:
	case cudaMemcpyDefault:
		return cudart_error(cu->cuMemcpyAsync(d, s, count, stream));
	}
	return cudaErrorInvalidMemcpyDirection;
}

/* ---- between devices */

static cudaError_t two_contexts(int a, int b, CUcontext *ca, CUcontext *cb)
{
	cudaError_t e = cudart_primary(a, ca);
	return e == cudaSuccess ? cudart_primary(b, cb) : e;
}

cudaError_t do_cudaMemcpyPeer(const struct cudart_driver *cu, void *dst, int dstDevice,
                              const void *src, int srcDevice, size_t count)
{
	CUcontext to, from;
	cudaError_t e = two_contexts(dstDevice, srcDevice, &to, &from);
	return e == cudaSuccess
	           ? cudart_error(cu->cuMemcpyPeer((CUdeviceptr)dst, to,
	                                           (CUdeviceptr)(uintptr_t)src, from, count))
	           : e;
}

cudaError_t do_cudaMemcpyPeerAsync(const struct cudart_driver *cu, void *dst, int dstDevice,
                                   const void *src, int srcDevice, size_t count,
                                   cudaStream_t stream)
{
	CUcontext to, from;
	cudaError_t e = two_contexts(dstDevice, srcDevice, &to, &from);
	return e == cudaSuccess
	           ? cudart_error(cu->cuMemcpyPeerAsync(
			 (CUdeviceptr)dst, to, (CUdeviceptr)(uintptr_t)src, from, count, stream))
	           : e;
}

/* ---- two dimensions */

static cudaError_t copy2d(CUDA_MEMCPY2D *out, void *dst, size_t dpitch, const void *src,
                          size_t spitch, size_t width, size_t height, enum cudaMemcpyKind kind)
{
	CUmemorytype to, from;
	cudaError_t e = cudart_kind(kind, &to, &from);
	if (e != cudaSuccess)
		return e;
	if (width > dpitch || width > spitch)
		return cudaErrorInvalidPitchValue;
	*out = (CUDA_MEMCPY2D){
	    .dstMemoryType = to,
	    .dstPitch = dpitch,
	    .srcMemoryType = from,
	    .srcPitch = spitch,
	    .WidthInBytes = width,
	    .Height = height,
	};
	if (to == CU_MEMORYTYPE_HOST)
		out->dstHost = dst;
	else
		out->dstDevice = (CUdeviceptr)dst;
	if (from == CU_MEMORYTYPE_HOST)
		out->srcHost = src;
	else
		out->srcDevice = (CUdeviceptr)(uintptr_t)src;
	return cudaSuccess;
}

cudaError_t do_cudaMemcpy2D(const struct cudart_driver *cu, void *dst, size_t dpitch,
                            const void *src, size_t spitch, size_t width, size_t height,
                            enum cudaMemcpyKind kind)
{
	CUDA_MEMCPY2D p;
	cudaError_t e = copy2d(&p, dst, dpitch, src, spitch, width, height, kind);
	if (e != cudaSuccess || !width || !height)
		return e;
	return cudart_error(cu->cuMemcpy2DUnaligned(&p));
}

cudaError_t do_cudaMemcpy2DAsync(const struct cudart_driver *cu, void *dst, size_t dpitch,
                                 const void *src, size_t spitch, size_t width, size_t height,
                                 enum cudaMemcpyKind kind, cudaStream_t stream)
{
	CUDA_MEMCPY2D p;
	cudaError_t e = copy2d(&p, dst, dpitch, src, spitch, width, height, kind);
	if (e != cudaSuccess || !width || !height)
		return e;
	return cudart_error(cu->cuMemcpy2DAsync(&p, stream));
}

/* ---- three dimensions */

/* Both sides of a box as they are given; a side in an array counts its places in texels. */
static cudaError_t check_box(const struct cudaMemcpy3DParms *p, size_t *src_texel,
                             size_t *dst_texel)
{
	cudaError_t e = cudaSuccess;
	*src_texel = *dst_texel = 1;
	if (p->srcArray)
		e = cudart_texel_bytes(p->srcArray, src_texel);
	if (e == cudaSuccess && p->dstArray)
		e = cudart_texel_bytes(p->dstArray, dst_texel);
	if (e != cudaSuccess)
		return e;
	if (!p->srcArray == !p->srcPtr.ptr || !p->dstArray == !p->dstPtr.ptr)
		return cudaErrorInvalidValue; /* one of the two says where it is */
	return p->srcArray && p->dstArray && *src_texel != *dst_texel ? cudaErrorInvalidValue
	                                                              : cudaSuccess;
}

cudaError_t cudart_copy3d(CUDA_MEMCPY3D *out, const struct cudaMemcpy3DParms *p)
{
	CUmemorytype to, from;
	size_t src_texel, dst_texel;
	if (!p)
		return cudaErrorInvalidValue;
	cudaError_t e = cudart_kind(p->kind, &to, &from);
	if (e == cudaSuccess)
		e = check_box(p, &src_texel, &dst_texel);
	if (e != cudaSuccess)
		return e;
	size_t width = p->extent.width * (p->srcArray ? src_texel : dst_texel);
	if (p->extent.height * p->extent.depth > 1 && ((!p->srcArray && p->srcPtr.pitch < width) ||
	                                               (!p->dstArray && p->dstPtr.pitch < width)))
		return cudaErrorInvalidPitchValue;
	*out = (CUDA_MEMCPY3D){
	    .srcXInBytes = p->srcPos.x * src_texel,
	    .srcY = p->srcPos.y,
	    .srcZ = p->srcPos.z,
	    .srcMemoryType = p->srcArray ? CU_MEMORYTYPE_ARRAY : from,
	    .srcArray = (CUarray)p->srcArray,
	    .srcPitch = p->srcPtr.pitch,
	    .srcHeight = p->srcPtr.ysize,
	    .dstXInBytes = p->dstPos.x * dst_texel,
	    .dstY = p->dstPos.y,
	    .dstZ = p->dstPos.z,
	    .dstMemoryType = p->dstArray ? CU_MEMORYTYPE_ARRAY : to,
	    .dstArray = (CUarray)p->dstArray,
	    .dstPitch = p->dstPtr.pitch,
	    .dstHeight = p->dstPtr.ysize,
	    .WidthInBytes = width,
	    .Height = p->extent.height,
	    .Depth = p->extent.depth,
	};
	if (from == CU_MEMORYTYPE_HOST)
		out->srcHost = p->srcPtr.ptr;
	else
		out->srcDevice = (CUdeviceptr)p->srcPtr.ptr;
	if (to == CU_MEMORYTYPE_HOST)
		out->dstHost = p->dstPtr.ptr;
	else
		out->dstDevice = (CUdeviceptr)p->dstPtr.ptr;
	return cudaSuccess;
}

cudaError_t cudart_copy1d(CUDA_MEMCPY3D *out, void *dst, const void *src, size_t count,
                          enum cudaMemcpyKind kind)
{
	struct cudaMemcpy3DParms p = {
	    .srcPtr = {(void *)(uintptr_t)src, count, count, 1},
	    .dstPtr = {dst, count, count, 1},
	    .extent = {count, 1, 1},
	    .kind = kind,
	};
	return cudart_copy3d(out, &p);
}

cudaError_t do_cudaMemcpy3D(const struct cudart_driver *cu, const struct cudaMemcpy3DParms *p)
{
	CUDA_MEMCPY3D c;
	cudaError_t e = cudart_copy3d(&c, p);
	return e == cudaSuccess ? cudart_error(cu->cuMemcpy3D(&c)) : e;
}

cudaError_t do_cudaMemcpy3DAsync(const struct cudart_driver *cu, const struct cudaMemcpy3DParms *p,
                                 cudaStream_t stream)
{
	CUDA_MEMCPY3D c;
	cudaError_t e = cudart_copy3d(&c, p);
	return e == cudaSuccess ? cudart_error(cu->cuMemcpy3DAsync(&c, stream)) : e;
}

static cudaError_t peers3d(CUDA_MEMCPY3D_PEER *out, const struct cudaMemcpy3DPeerParms *p)
{
	CUDA_MEMCPY3D c;
	CUcontext to, from;
	if (!p)
		return cudaErrorInvalidValue;
	struct cudaMemcpy3DParms plain = {
	    .srcArray = p->srcArray,
	    .srcPos = p->srcPos,
	    .srcPtr = p->srcPtr,
	    .dstArray = p->dstArray,
	    .dstPos = p->dstPos,
	    .dstPtr = p->dstPtr,
	    .extent = p->extent,
	    .kind = cudaMemcpyDeviceToDevice,
	};
	cudaError_t e = cudart_copy3d(&c, &plain);
	if (e == cudaSuccess)
		e = two_contexts(p->dstDevice, p->srcDevice, &to, &from);
	if (e != cudaSuccess)
		return e;
	*out = (CUDA_MEMCPY3D_PEER){
	    .srcXInBytes = c.srcXInBytes,
	    .srcY = c.srcY,
	    .srcZ = c.srcZ,
	    .srcMemoryType = c.srcMemoryType,
	    .srcArray = c.srcArray,
	    .srcDevice = c.srcDevice,
	    .srcContext = from,
	    .srcPitch = c.srcPitch,
	    .srcHeight = c.srcHeight,
	    .dstXInBytes = c.dstXInBytes,
	    .dstY = c.dstY,
	    .dstZ = c.dstZ,
	    .dstMemoryType = c.dstMemoryType,
	    .dstArray = c.dstArray,
	    .dstDevice = c.dstDevice,
	    .dstContext = to,
	    .dstPitch = c.dstPitch,
	    .dstHeight = c.dstHeight,
	    .WidthInBytes = c.WidthInBytes,
	    .Height = c.Height,
	    .Depth = c.Depth,
	};
	return cudaSuccess;
}

cudaError_t do_cudaMemcpy3DPeer(const struct cudart_driver *cu,
                                const struct cudaMemcpy3DPeerParms *p)
{
	CUDA_MEMCPY3D_PEER c;
	cudaError_t e = peers3d(&c, p);
	return e == cudaSuccess ? cudart_error(cu->cuMemcpy3DPeer(&c)) : e;
}

cudaError_t do_cudaMemcpy3DPeerAsync(const struct cudart_driver *cu,
                                     const struct cudaMemcpy3DPeerParms *p, cudaStream_t stream)
{
	CUDA_MEMCPY3D_PEER c;
	cudaError_t e = peers3d(&c, p);
	return e == cudaSuccess ? cudart_error(cu->cuMemcpy3DPeerAsync(&c, stream)) : e;
}
