// SPDX-License-Identifier: Apache-2.0
/*
 * api_copy_array.c: the exported copies of one-dimensional arrays, by offset in bytes; those of
 * rectangles and boxes are in api_copy_calls.c with the others.
 */
#include "api_array.h"

/* One side of a row of bytes. */
struct side {
	CUmemorytype type;
	CUarray array;
	uintptr_t at; /* an address, or an offset in the array */
};

static CUresult row(struct side dst, struct side src, size_t bytes, CUstream stream, bool blocking)
{
	CUDA_MEMCPY3D p = {.srcMemoryType = src.type,
	                   .srcArray = src.array,
	                   .dstMemoryType = dst.type,
	                   .dstArray = dst.array,
	                   .WidthInBytes = bytes,
	                   .Height = 1,
	                   .Depth = 1};
	CUresult r = sg_ready();
	if (r == CUDA_SUCCESS && dst.type == CU_MEMORYTYPE_ARRAY)
		r = sg_array_check(dst.array);
	if (r == CUDA_SUCCESS && src.type == CU_MEMORYTYPE_ARRAY)
		r = sg_array_check(src.array);
	if (r != CUDA_SUCCESS)
		return r;
	if (src.type == CU_MEMORYTYPE_HOST)
		p.srcHost = (const void *)src.at;
	else if (src.type == CU_MEMORYTYPE_DEVICE)
		p.srcDevice = src.at;
	else
		p.srcXInBytes = src.at;
	if (dst.type == CU_MEMORYTYPE_HOST)
		p.dstHost = (void *)dst.at;
	else if (dst.type == CU_MEMORYTYPE_DEVICE)
		p.dstDevice = dst.at;
	else
		p.dstXInBytes = dst.at;
	return sg_copy_issue(&p, stream, blocking);
}

#define ARRAY(a, offset) ((struct side){CU_MEMORYTYPE_ARRAY, a, offset})
#define HOST(p) ((struct side){CU_MEMORYTYPE_HOST, NULL, (uintptr_t)(p)})
#define DEVICE(p) ((struct side){CU_MEMORYTYPE_DEVICE, NULL, p})
#define LEGACY CU_STREAM_LEGACY, true
#define THREAD CU_STREAM_PER_THREAD, true

CUresult cuMemcpyDtoA_v2(CUarray dstArray, size_t dstOffset, CUdeviceptr srcDevice,
                         size_t ByteCount)
{
	return row(ARRAY(dstArray, dstOffset), DEVICE(srcDevice), ByteCount, LEGACY);
}

CUresult cuMemcpyDtoA_v2_ptds(CUarray dstArray, size_t dstOffset, CUdeviceptr srcDevice,
                              size_t ByteCount)
{
	return row(ARRAY(dstArray, dstOffset), DEVICE(srcDevice), ByteCount, THREAD);
}

CUresult cuMemcpyAtoD_v2(CUdeviceptr dstDevice, CUarray srcArray, size_t srcOffset,
                         size_t ByteCount)
{
	return row(DEVICE(dstDevice), ARRAY(srcArray, srcOffset), ByteCount, LEGACY);
}

CUresult cuMemcpyAtoD_v2_ptds(CUdeviceptr dstDevice, CUarray srcArray, size_t srcOffset,
                              size_t ByteCount)
{
	return row(DEVICE(dstDevice), ARRAY(srcArray, srcOffset), ByteCount, THREAD);
}

CUresult cuMemcpyHtoA_v2(CUarray dstArray, size_t dstOffset, const void *srcHost, size_t ByteCount)
{
	return row(ARRAY(dstArray, dstOffset), HOST(srcHost), ByteCount, LEGACY);
}

CUresult cuMemcpyHtoA_v2_ptds(CUarray dstArray, size_t dstOffset, const void *srcHost,
                              size_t ByteCount)
{
	return row(ARRAY(dstArray, dstOffset), HOST(srcHost), ByteCount, THREAD);
}

CUresult cuMemcpyHtoAAsync_v2(CUarray dstArray, size_t dstOffset, const void *srcHost,
                              size_t ByteCount, CUstream hStream)
{
	return row(ARRAY(dstArray, dstOffset), HOST(srcHost), ByteCount, hStream, false);
}

CUresult cuMemcpyHtoAAsync_v2_ptsz(CUarray dstArray, size_t dstOffset, const void *srcHost,
                                   size_t ByteCount, CUstream hStream)
{
	return row(ARRAY(dstArray, dstOffset), HOST(srcHost), ByteCount, SG_PT(hStream), false);
}

CUresult cuMemcpyAtoH_v2(void *dstHost, CUarray srcArray, size_t srcOffset, size_t ByteCount)
{
	return row(HOST(dstHost), ARRAY(srcArray, srcOffset), ByteCount, LEGACY);
}

CUresult cuMemcpyAtoH_v2_ptds(void *dstHost, CUarray srcArray, size_t srcOffset, size_t ByteCount)
{
	return row(HOST(dstHost), ARRAY(srcArray, srcOffset), ByteCount, THREAD);
}

CUresult cuMemcpyAtoHAsync_v2(void *dstHost, CUarray srcArray, size_t srcOffset, size_t ByteCount,
                              CUstream hStream)
{
	return row(HOST(dstHost), ARRAY(srcArray, srcOffset), ByteCount, hStream, false);
}

CUresult cuMemcpyAtoHAsync_v2_ptsz(void *dstHost, CUarray srcArray, size_t srcOffset,
                                   size_t ByteCount, CUstream hStream)
{
	return row(HOST(dstHost), ARRAY(srcArray, srcOffset), ByteCount, SG_PT(hStream), false);
}

CUresult cuMemcpyAtoA_v2(CUarray dstArray, size_t dstOffset, CUarray srcArray, size_t srcOffset,
                         size_t ByteCount)
{
	return row(ARRAY(dstArray, dstOffset), ARRAY(srcArray, srcOffset), ByteCount, LEGACY);
}

CUresult cuMemcpyAtoA_v2_ptds(CUarray dstArray, size_t dstOffset, CUarray srcArray,
                              size_t srcOffset, size_t ByteCount)
{
	return row(ARRAY(dstArray, dstOffset), ARRAY(srcArray, srcOffset), ByteCount, THREAD);
}
