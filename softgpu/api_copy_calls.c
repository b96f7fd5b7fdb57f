// SPDX-License-Identifier: Apache-2.0
/*
 * api_copy_calls.c: the exported copies, each a box of bytes for api_copy.c. Blocking forms go to
 * the legacy stream (_ptds: the thread's own) and wait, but for device to device, which the
 * manual has asynchronous.
 */
#include "api.h"
#include "trace.h"

CUresult sg_copy_issue(const CUDA_MEMCPY3D *p, CUstream hStream, bool blocking)
{
	CUstream s;
	struct sg_op op;
	CUresult r = sg_stream_get(hStream, &s);
	if (r != CUDA_SUCCESS)
		return r;
	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	op.ctx = s->ctx;
	r = sg_copy_op_init(&op, p);
	if (r != CUDA_SUCCESS)
		return r;
	if (op.kind == SG_OP_COPY && op.copy.dir == SG_COPY_D2D)
		blocking = false;
	if (blocking) {
		/* waiting for a stream that is being captured cannot end */
		sg_lock();
		r = sg_capture_forbid(s);
		sg_unlock();
		if (r != CUDA_SUCCESS)
			return r;
	}
	return sg_issue(s, &op, blocking);
}

/* A row of bytes; a type of UNIFIED finds out where an address is. */
static CUresult row(CUmemorytype dst_type, uintptr_t dst, CUmemorytype src_type, uintptr_t src,
                    size_t bytes, CUstream stream, bool blocking)
{
	CUDA_MEMCPY3D p = {.srcMemoryType = src_type,
	                   .dstMemoryType = dst_type,
	                   .WidthInBytes = bytes,
	                   .Height = 1,
	                   .Depth = 1};
	if (src_type == CU_MEMORYTYPE_HOST)
		p.srcHost = (const void *)src;
	else
		p.srcDevice = src;
	if (dst_type == CU_MEMORYTYPE_HOST)
		p.dstHost = (void *)dst;
	else
		p.dstDevice = dst;
	return sg_copy_issue(&p, stream, blocking);
}

#define HOST CU_MEMORYTYPE_HOST
#define DEVICE CU_MEMORYTYPE_DEVICE
#define ANY CU_MEMORYTYPE_UNIFIED

/* ---- rows */

CUresult cuMemcpy(CUdeviceptr dst, CUdeviceptr src, size_t ByteCount)
{
	return SG_CALL(cuMemcpy, row(ANY, dst, ANY, src, ByteCount, CU_STREAM_LEGACY, true), dst,
	               src, ByteCount);
}

CUresult cuMemcpy_ptds(CUdeviceptr dst, CUdeviceptr src, size_t ByteCount)
{
	return SG_CALL(cuMemcpy_ptds,
	               row(ANY, dst, ANY, src, ByteCount, CU_STREAM_PER_THREAD, true), dst, src,
	               ByteCount);
}

CUresult cuMemcpyAsync(CUdeviceptr dst, CUdeviceptr src, size_t ByteCount, CUstream hStream)
{
	return SG_CALL(cuMemcpyAsync, row(ANY, dst, ANY, src, ByteCount, hStream, false), dst, src,
	               ByteCount, hStream);
}

CUresult cuMemcpyAsync_ptsz(CUdeviceptr dst, CUdeviceptr src, size_t ByteCount, CUstream hStream)
{
	return SG_CALL(cuMemcpyAsync_ptsz,
	               row(ANY, dst, ANY, src, ByteCount, SG_PT(hStream), false), dst, src,
	               ByteCount, hStream);
}

CUresult cuMemcpyHtoD_v2(CUdeviceptr dstDevice, const void *srcHost, size_t ByteCount)
{
	return SG_CALL(
	    cuMemcpyHtoD_v2,
	    row(DEVICE, dstDevice, HOST, (uintptr_t)srcHost, ByteCount, CU_STREAM_LEGACY, true),
	    dstDevice, srcHost, ByteCount);
}

CUresult cuMemcpyHtoD_v2_ptds(CUdeviceptr dstDevice, const void *srcHost, size_t ByteCount)
{
	return SG_CALL(
	    cuMemcpyHtoD_v2_ptds,
	    row(DEVICE, dstDevice, HOST, (uintptr_t)srcHost, ByteCount, CU_STREAM_PER_THREAD, true),
	    dstDevice, srcHost, ByteCount);
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr dstDevice, const void *srcHost, size_t ByteCount,
                              CUstream hStream)
{
	return SG_CALL(cuMemcpyHtoDAsync_v2,
	               row(DEVICE, dstDevice, HOST, (uintptr_t)srcHost, ByteCount, hStream, false),
	               dstDevice, srcHost, ByteCount, hStream);
}

CUresult cuMemcpyHtoDAsync_v2_ptsz(CUdeviceptr dstDevice, const void *srcHost, size_t ByteCount,
                                   CUstream hStream)
{
	return SG_CALL(
	    cuMemcpyHtoDAsync_v2_ptsz,
	    row(DEVICE, dstDevice, HOST, (uintptr_t)srcHost, ByteCount, SG_PT(hStream), false),
	    dstDevice, srcHost, ByteCount, hStream);
}

CUresult cuMemcpyDtoH_v2(void *dstHost, CUdeviceptr srcDevice, size_t ByteCount)
{
	return SG_CALL(
	    cuMemcpyDtoH_v2,
	    row(HOST, (uintptr_t)dstHost, DEVICE, srcDevice, ByteCount, CU_STREAM_LEGACY, true),
	    dstHost, srcDevice, ByteCount);
}

CUresult cuMemcpyDtoH_v2_ptds(void *dstHost, CUdeviceptr srcDevice, size_t ByteCount)
{
	return SG_CALL(
	    cuMemcpyDtoH_v2_ptds,
	    row(HOST, (uintptr_t)dstHost, DEVICE, srcDevice, ByteCount, CU_STREAM_PER_THREAD, true),
	    dstHost, srcDevice, ByteCount);
}

CUresult cuMemcpyDtoHAsync_v2(void *dstHost, CUdeviceptr srcDevice, size_t ByteCount,
                              CUstream hStream)
{
	return SG_CALL(cuMemcpyDtoHAsync_v2,
	               row(HOST, (uintptr_t)dstHost, DEVICE, srcDevice, ByteCount, hStream, false),
	               dstHost, srcDevice, ByteCount, hStream);
}

CUresult cuMemcpyDtoHAsync_v2_ptsz(void *dstHost, CUdeviceptr srcDevice, size_t ByteCount,
                                   CUstream hStream)
{
	return SG_CALL(
	    cuMemcpyDtoHAsync_v2_ptsz,
	    row(HOST, (uintptr_t)dstHost, DEVICE, srcDevice, ByteCount, SG_PT(hStream), false),
	    dstHost, srcDevice, ByteCount, hStream);
}

CUresult cuMemcpyDtoD_v2(CUdeviceptr dstDevice, CUdeviceptr srcDevice, size_t ByteCount)
{
	return SG_CALL(cuMemcpyDtoD_v2,
	               row(DEVICE, dstDevice, DEVICE, srcDevice, ByteCount, CU_STREAM_LEGACY, true),
	               dstDevice, srcDevice, ByteCount);
}

CUresult cuMemcpyDtoD_v2_ptds(CUdeviceptr dstDevice, CUdeviceptr srcDevice, size_t ByteCount)
{
	return SG_CALL(
	    cuMemcpyDtoD_v2_ptds,
	    row(DEVICE, dstDevice, DEVICE, srcDevice, ByteCount, CU_STREAM_PER_THREAD, true),
	    dstDevice, srcDevice, ByteCount);
}

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr dstDevice, CUdeviceptr srcDevice, size_t ByteCount,
                              CUstream hStream)
{
	return SG_CALL(cuMemcpyDtoDAsync_v2,
	               row(DEVICE, dstDevice, DEVICE, srcDevice, ByteCount, hStream, false),
	               dstDevice, srcDevice, ByteCount, hStream);
}

CUresult cuMemcpyDtoDAsync_v2_ptsz(CUdeviceptr dstDevice, CUdeviceptr srcDevice, size_t ByteCount,
                                   CUstream hStream)
{
	return SG_CALL(cuMemcpyDtoDAsync_v2_ptsz,
	               row(DEVICE, dstDevice, DEVICE, srcDevice, ByteCount, SG_PT(hStream), false),
	               dstDevice, srcDevice, ByteCount, hStream);
}

/* ---- between contexts: one address space, so the contexts are only checked */

static CUresult peer(CUdeviceptr dst, CUcontext dst_ctx, CUdeviceptr src, CUcontext src_ctx,
                     size_t bytes, CUstream stream, bool blocking)
{
	CUresult r = sg_ready();
	if (r == CUDA_SUCCESS)
		r = sg_context_check(dst_ctx);
	if (r == CUDA_SUCCESS)
		r = sg_context_check(src_ctx);
	return r == CUDA_SUCCESS ? row(DEVICE, dst, DEVICE, src, bytes, stream, blocking) : r;
}

CUresult cuMemcpyPeer(CUdeviceptr dstDevice, CUcontext dstContext, CUdeviceptr srcDevice,
                      CUcontext srcContext, size_t ByteCount)
{
	return SG_CALL(
	    cuMemcpyPeer,
	    peer(dstDevice, dstContext, srcDevice, srcContext, ByteCount, CU_STREAM_LEGACY, true),
	    dstDevice, dstContext, srcDevice, srcContext, ByteCount);
}

CUresult cuMemcpyPeer_ptds(CUdeviceptr dstDevice, CUcontext dstContext, CUdeviceptr srcDevice,
                           CUcontext srcContext, size_t ByteCount)
{
	return SG_CALL(cuMemcpyPeer_ptds,
	               peer(dstDevice, dstContext, srcDevice, srcContext, ByteCount,
	                    CU_STREAM_PER_THREAD, true),
	               dstDevice, dstContext, srcDevice, srcContext, ByteCount);
}

CUresult cuMemcpyPeerAsync(CUdeviceptr dstDevice, CUcontext dstContext, CUdeviceptr srcDevice,
                           CUcontext srcContext, size_t ByteCount, CUstream hStream)
{
	return SG_CALL(
	    cuMemcpyPeerAsync,
	    peer(dstDevice, dstContext, srcDevice, srcContext, ByteCount, hStream, false),
	    dstDevice, dstContext, srcDevice, srcContext, ByteCount, hStream);
}

CUresult cuMemcpyPeerAsync_ptsz(CUdeviceptr dstDevice, CUcontext dstContext, CUdeviceptr srcDevice,
                                CUcontext srcContext, size_t ByteCount, CUstream hStream)
{
	return SG_CALL(
	    cuMemcpyPeerAsync_ptsz,
	    peer(dstDevice, dstContext, srcDevice, srcContext, ByteCount, SG_PT(hStream), false),
	    dstDevice, dstContext, srcDevice, srcContext, ByteCount, hStream);
}

/* ---- rectangles */

static CUresult rectangle(const CUDA_MEMCPY2D *p, CUstream stream, bool blocking)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	CUDA_MEMCPY3D box = {
	    .srcXInBytes = p->srcXInBytes,
	    .srcY = p->srcY,
	    .srcMemoryType = p->srcMemoryType,
	    .srcHost = p->srcHost,
	    .srcDevice = p->srcDevice,
	    .srcArray = p->srcArray,
	    .srcPitch = p->srcPitch ? p->srcPitch : p->srcXInBytes + p->WidthInBytes,
	    .dstXInBytes = p->dstXInBytes,
	    .dstY = p->dstY,
	    .dstMemoryType = p->dstMemoryType,
	    .dstHost = p->dstHost,
	    .dstDevice = p->dstDevice,
	    .dstArray = p->dstArray,
	    .dstPitch = p->dstPitch ? p->dstPitch : p->dstXInBytes + p->WidthInBytes,
	    .WidthInBytes = p->WidthInBytes,
	    .Height = p->Height,
	    .Depth = 1,
	};
	return sg_copy_issue(&box, stream, blocking);
}

CUresult cuMemcpy2D_v2(const CUDA_MEMCPY2D *pCopy)
{
	return SG_CALL(cuMemcpy2D_v2, rectangle(pCopy, CU_STREAM_LEGACY, true), pCopy);
}

CUresult cuMemcpy2D_v2_ptds(const CUDA_MEMCPY2D *pCopy)
{
	return SG_CALL(cuMemcpy2D_v2_ptds, rectangle(pCopy, CU_STREAM_PER_THREAD, true), pCopy);
}

CUresult cuMemcpy2DUnaligned_v2(const CUDA_MEMCPY2D *pCopy)
{
	return SG_CALL(cuMemcpy2DUnaligned_v2, rectangle(pCopy, CU_STREAM_LEGACY, true), pCopy);
}

CUresult cuMemcpy2DUnaligned_v2_ptds(const CUDA_MEMCPY2D *pCopy)
{
	return SG_CALL(cuMemcpy2DUnaligned_v2_ptds, rectangle(pCopy, CU_STREAM_PER_THREAD, true),
	               pCopy);
}

CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D *pCopy, CUstream hStream)
{
	return SG_CALL(cuMemcpy2DAsync_v2, rectangle(pCopy, hStream, false), pCopy, hStream);
}

CUresult cuMemcpy2DAsync_v2_ptsz(const CUDA_MEMCPY2D *pCopy, CUstream hStream)
{
	return SG_CALL(cuMemcpy2DAsync_v2_ptsz, rectangle(pCopy, SG_PT(hStream), false), pCopy,
	               hStream);
}

/* ---- boxes */

CUresult cuMemcpy3D_v2(const CUDA_MEMCPY3D *pCopy)
{
	return SG_CALL(cuMemcpy3D_v2, sg_copy_issue(pCopy, CU_STREAM_LEGACY, true), pCopy);
}

CUresult cuMemcpy3D_v2_ptds(const CUDA_MEMCPY3D *pCopy)
{
	return SG_CALL(cuMemcpy3D_v2_ptds, sg_copy_issue(pCopy, CU_STREAM_PER_THREAD, true), pCopy);
}

CUresult cuMemcpy3DAsync_v2(const CUDA_MEMCPY3D *pCopy, CUstream hStream)
{
	return SG_CALL(cuMemcpy3DAsync_v2, sg_copy_issue(pCopy, hStream, false), pCopy, hStream);
}

CUresult cuMemcpy3DAsync_v2_ptsz(const CUDA_MEMCPY3D *pCopy, CUstream hStream)
{
	return SG_CALL(cuMemcpy3DAsync_v2_ptsz, sg_copy_issue(pCopy, SG_PT(hStream), false), pCopy,
	               hStream);
}

static CUresult peer_box(const CUDA_MEMCPY3D_PEER *p, CUstream stream, bool blocking)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	if (p->srcMemoryType == CU_MEMORYTYPE_DEVICE)
		r = sg_context_check(p->srcContext);
	if (r == CUDA_SUCCESS && p->dstMemoryType == CU_MEMORYTYPE_DEVICE)
		r = sg_context_check(p->dstContext);
	if (r != CUDA_SUCCESS)
		return r;
	CUDA_MEMCPY3D box = {
	    .srcXInBytes = p->srcXInBytes,
	    .srcY = p->srcY,
	    .srcZ = p->srcZ,
	    .srcLOD = p->srcLOD,
	    .srcMemoryType = p->srcMemoryType,
	    .srcHost = p->srcHost,
	    .srcDevice = p->srcDevice,
	    .srcArray = p->srcArray,
	    .srcPitch = p->srcPitch,
	    .srcHeight = p->srcHeight,
	    .dstXInBytes = p->dstXInBytes,
	    .dstY = p->dstY,
	    .dstZ = p->dstZ,
	    .dstLOD = p->dstLOD,
	    .dstMemoryType = p->dstMemoryType,
	    .dstHost = p->dstHost,
	    .dstDevice = p->dstDevice,
	    .dstArray = p->dstArray,
	    .dstPitch = p->dstPitch,
	    .dstHeight = p->dstHeight,
	    .WidthInBytes = p->WidthInBytes,
	    .Height = p->Height,
	    .Depth = p->Depth,
	};
	return sg_copy_issue(&box, stream, blocking);
}

CUresult cuMemcpy3DPeer(const CUDA_MEMCPY3D_PEER *pCopy)
{
	return SG_CALL(cuMemcpy3DPeer, peer_box(pCopy, CU_STREAM_LEGACY, true), pCopy);
}

CUresult cuMemcpy3DPeer_ptds(const CUDA_MEMCPY3D_PEER *pCopy)
{
	return SG_CALL(cuMemcpy3DPeer_ptds, peer_box(pCopy, CU_STREAM_PER_THREAD, true), pCopy);
}

CUresult cuMemcpy3DPeerAsync(const CUDA_MEMCPY3D_PEER *pCopy, CUstream hStream)
{
	return SG_CALL(cuMemcpy3DPeerAsync, peer_box(pCopy, hStream, false), pCopy, hStream);
}

CUresult cuMemcpy3DPeerAsync_ptsz(const CUDA_MEMCPY3D_PEER *pCopy, CUstream hStream)
{
	return SG_CALL(cuMemcpy3DPeerAsync_ptsz, peer_box(pCopy, SG_PT(hStream), false), pCopy,
	               hStream);
}
