// SPDX-License-Identifier: Apache-2.0
/*
 * api_set.c: memset in rows of 1-, 2- and 4-byte elements. The forms without a stream go to the
 * legacy stream (_ptds: the thread's own) and, as the manual has it, wait only where the host
 * could look at once: page-locked and managed memory.
 */
#include "api.h"
#include "trace.h"

#include <string.h>

CUresult sg_set_op_init(struct sg_op *op, const CUDA_MEMSET_NODE_PARAMS *p)
{
	struct sg_set_op *s = &op->set;
	struct sg_range range;
	bool found;
	size_t row, rows;
	if (p->elementSize != 1 && p->elementSize != 2 && p->elementSize != 4)
		return CUDA_ERROR_INVALID_VALUE;
	*op = (struct sg_op){.kind = SG_OP_SET, .ctx = op->ctx};
	*s = (struct sg_set_op){.dst = p->dst,
	                        .pitch = p->pitch,
	                        .width = p->width,
	                        .height = p->height,
	                        .value = p->value,
	                        .element = p->elementSize};
	if (!s->width || !s->height) {
		op->kind = SG_OP_EMPTY;
		return CUDA_SUCCESS;
	}
	if (p->dst % s->element || (s->height > 1 && s->pitch % s->element) ||
	    __builtin_mul_overflow(s->width, (size_t)s->element, &row) ||
	    (s->height > 1 && s->pitch < row) ||
	    __builtin_mul_overflow(s->height - 1, s->pitch, &rows) ||
	    __builtin_add_overflow(rows, row, &rows))
		return CUDA_ERROR_INVALID_VALUE;
	CUresult r = sg_range_check(s->dst, rows, &range, &found);
	if (r == CUDA_SUCCESS && !found)
		r = CUDA_ERROR_INVALID_VALUE;
	return r;
}

CUresult sg_set_run(const struct sg_set_op *s, char *error_text, size_t len)
{
	size_t bytes = (s->height - 1) * s->pitch + s->width * s->element;
	if (!sg_memory_live(s->dst, bytes)) {
		snprintf(error_text, len, "memset of %zu bytes at %#zx: memory was freed", bytes,
		         (size_t)s->dst);
		return CUDA_ERROR_ILLEGAL_ADDRESS;
	}
	for (size_t y = 0; y < s->height; y++) {
		char *row = (char *)s->dst + y * s->pitch;
		if (s->element == 1)
			memset(row, (int)(s->value & 0xff), s->width);
		else if (s->element == 2)
			for (size_t i = 0; i < s->width; i++)
				((uint16_t *)row)[i] = (uint16_t)s->value;
		else
			for (size_t i = 0; i < s->width; i++)
				((uint32_t *)row)[i] = s->value;
	}
	return CUDA_SUCCESS;
}

static CUresult set(CUdeviceptr dst, size_t pitch, unsigned value, unsigned element, size_t width,
                    size_t height, CUstream hStream, bool blocking)
{
	CUDA_MEMSET_NODE_PARAMS p = {dst, pitch, value, element, width, height};
	CUstream s;
	struct sg_op op;
	struct sg_range range;
	CUresult r = sg_stream_get(hStream, &s);
	if (r != CUDA_SUCCESS)
		return r;
	op.ctx = s->ctx;
	r = sg_set_op_init(&op, &p);
	if (r != CUDA_SUCCESS)
		return r;
	bool wait = blocking && sg_range_find(dst, &range) && range.kind != SG_MEMORY_DEVICE;
	if (wait) {
		sg_lock();
		r = sg_capture_forbid(s);
		sg_unlock();
		if (r != CUDA_SUCCESS)
			return r;
	}
	return sg_issue(s, &op, wait);
}

CUresult cuMemsetD8_v2(CUdeviceptr dstDevice, unsigned char uc, size_t N)
{
	return SG_CALL(cuMemsetD8_v2, set(dstDevice, 0, uc, 1, N, 1, CU_STREAM_LEGACY, true),
	               dstDevice, uc, N);
}

CUresult cuMemsetD8_v2_ptds(CUdeviceptr dstDevice, unsigned char uc, size_t N)
{
	return SG_CALL(cuMemsetD8_v2_ptds,
	               set(dstDevice, 0, uc, 1, N, 1, CU_STREAM_PER_THREAD, true), dstDevice, uc,
	               N);
}

CUresult cuMemsetD8Async(CUdeviceptr dstDevice, unsigned char uc, size_t N, CUstream hStream)
{
	return SG_CALL(cuMemsetD8Async, set(dstDevice, 0, uc, 1, N, 1, hStream, false), dstDevice,
	               uc, N, hStream);
}

CUresult cuMemsetD8Async_ptsz(CUdeviceptr dstDevice, unsigned char uc, size_t N, CUstream hStream)
{
	return SG_CALL(cuMemsetD8Async_ptsz, set(dstDevice, 0, uc, 1, N, 1, SG_PT(hStream), false),
	               dstDevice, uc, N, hStream);
}

CUresult cuMemsetD2D8_v2(CUdeviceptr dstDevice, size_t dstPitch, unsigned char uc, size_t Width,
                         size_t Height)
{
	return SG_CALL(cuMemsetD2D8_v2,
	               set(dstDevice, dstPitch, uc, 1, Width, Height, CU_STREAM_LEGACY, true),
	               dstDevice, dstPitch, uc, Width, Height);
}

CUresult cuMemsetD2D8_v2_ptds(CUdeviceptr dstDevice, size_t dstPitch, unsigned char uc,
                              size_t Width, size_t Height)
{
	return SG_CALL(cuMemsetD2D8_v2_ptds,
	               set(dstDevice, dstPitch, uc, 1, Width, Height, CU_STREAM_PER_THREAD, true),
	               dstDevice, dstPitch, uc, Width, Height);
}

CUresult cuMemsetD2D8Async(CUdeviceptr dstDevice, size_t dstPitch, unsigned char uc, size_t Width,
                           size_t Height, CUstream hStream)
{
	return SG_CALL(cuMemsetD2D8Async,
	               set(dstDevice, dstPitch, uc, 1, Width, Height, hStream, false), dstDevice,
	               dstPitch, uc, Width, Height, hStream);
}

CUresult cuMemsetD2D8Async_ptsz(CUdeviceptr dstDevice, size_t dstPitch, unsigned char uc,
                                size_t Width, size_t Height, CUstream hStream)
{
	return SG_CALL(cuMemsetD2D8Async_ptsz,
	               set(dstDevice, dstPitch, uc, 1, Width, Height, SG_PT(hStream), false),
	               dstDevice, dstPitch, uc, Width, Height, hStream);
}

CUresult cuMemsetD16_v2(CUdeviceptr dstDevice, unsigned short us, size_t N)
{
	return SG_CALL(cuMemsetD16_v2, set(dstDevice, 0, us, 2, N, 1, CU_STREAM_LEGACY, true),
	               dstDevice, us, N);
}

CUresult cuMemsetD16_v2_ptds(CUdeviceptr dstDevice, unsigned short us, size_t N)
{
	return SG_CALL(cuMemsetD16_v2_ptds,
	               set(dstDevice, 0, us, 2, N, 1, CU_STREAM_PER_THREAD, true), dstDevice, us,
	               N);
}

CUresult cuMemsetD16Async(CUdeviceptr dstDevice, unsigned short us, size_t N, CUstream hStream)
{
	return SG_CALL(cuMemsetD16Async, set(dstDevice, 0, us, 2, N, 1, hStream, false), dstDevice,
	               us, N, hStream);
}

CUresult cuMemsetD16Async_ptsz(CUdeviceptr dstDevice, unsigned short us, size_t N, CUstream hStream)
{
	return SG_CALL(cuMemsetD16Async_ptsz, set(dstDevice, 0, us, 2, N, 1, SG_PT(hStream), false),
	               dstDevice, us, N, hStream);
}

CUresult cuMemsetD2D16_v2(CUdeviceptr dstDevice, size_t dstPitch, unsigned short us, size_t Width,
                          size_t Height)
{
	return SG_CALL(cuMemsetD2D16_v2,
	               set(dstDevice, dstPitch, us, 2, Width, Height, CU_STREAM_LEGACY, true),
	               dstDevice, dstPitch, us, Width, Height);
}

CUresult cuMemsetD2D16_v2_ptds(CUdeviceptr dstDevice, size_t dstPitch, unsigned short us,
                               size_t Width, size_t Height)
{
	return SG_CALL(cuMemsetD2D16_v2_ptds,
	               set(dstDevice, dstPitch, us, 2, Width, Height, CU_STREAM_PER_THREAD, true),
	               dstDevice, dstPitch, us, Width, Height);
}

CUresult cuMemsetD2D16Async(CUdeviceptr dstDevice, size_t dstPitch, unsigned short us, size_t Width,
                            size_t Height, CUstream hStream)
{
	return SG_CALL(cuMemsetD2D16Async,
	               set(dstDevice, dstPitch, us, 2, Width, Height, hStream, false), dstDevice,
	               dstPitch, us, Width, Height, hStream);
}

CUresult cuMemsetD2D16Async_ptsz(CUdeviceptr dstDevice, size_t dstPitch, unsigned short us,
                                 size_t Width, size_t Height, CUstream hStream)
{
	return SG_CALL(cuMemsetD2D16Async_ptsz,
	               set(dstDevice, dstPitch, us, 2, Width, Height, SG_PT(hStream), false),
	               dstDevice, dstPitch, us, Width, Height, hStream);
}

CUresult cuMemsetD32_v2(CUdeviceptr dstDevice, unsigned int ui, size_t N)
{
	return SG_CALL(cuMemsetD32_v2, set(dstDevice, 0, ui, 4, N, 1, CU_STREAM_LEGACY, true),
	               dstDevice, ui, N);
}

CUresult cuMemsetD32_v2_ptds(CUdeviceptr dstDevice, unsigned int ui, size_t N)
{
	return SG_CALL(cuMemsetD32_v2_ptds,
	               set(dstDevice, 0, ui, 4, N, 1, CU_STREAM_PER_THREAD, true), dstDevice, ui,
	               N);
}

CUresult cuMemsetD32Async(CUdeviceptr dstDevice, unsigned int ui, size_t N, CUstream hStream)
{
	return SG_CALL(cuMemsetD32Async, set(dstDevice, 0, ui, 4, N, 1, hStream, false), dstDevice,
	               ui, N, hStream);
}

CUresult cuMemsetD32Async_ptsz(CUdeviceptr dstDevice, unsigned int ui, size_t N, CUstream hStream)
{
	return SG_CALL(cuMemsetD32Async_ptsz, set(dstDevice, 0, ui, 4, N, 1, SG_PT(hStream), false),
	               dstDevice, ui, N, hStream);
}

CUresult cuMemsetD2D32_v2(CUdeviceptr dstDevice, size_t dstPitch, unsigned int ui, size_t Width,
                          size_t Height)
{
	return SG_CALL(cuMemsetD2D32_v2,
	               set(dstDevice, dstPitch, ui, 4, Width, Height, CU_STREAM_LEGACY, true),
	               dstDevice, dstPitch, ui, Width, Height);
}

CUresult cuMemsetD2D32_v2_ptds(CUdeviceptr dstDevice, size_t dstPitch, unsigned int ui,
                               size_t Width, size_t Height)
{
	return SG_CALL(cuMemsetD2D32_v2_ptds,
	               set(dstDevice, dstPitch, ui, 4, Width, Height, CU_STREAM_PER_THREAD, true),
	               dstDevice, dstPitch, ui, Width, Height);
}

CUresult cuMemsetD2D32Async(CUdeviceptr dstDevice, size_t dstPitch, unsigned int ui, size_t Width,
                            size_t Height, CUstream hStream)
{
	return SG_CALL(cuMemsetD2D32Async,
	               set(dstDevice, dstPitch, ui, 4, Width, Height, hStream, false), dstDevice,
	               dstPitch, ui, Width, Height, hStream);
}

CUresult cuMemsetD2D32Async_ptsz(CUdeviceptr dstDevice, size_t dstPitch, unsigned int ui,
                                 size_t Width, size_t Height, CUstream hStream)
{
	return SG_CALL(cuMemsetD2D32Async_ptsz,
	               set(dstDevice, dstPitch, ui, 4, Width, Height, SG_PT(hStream), false),
	               dstDevice, dstPitch, ui, Width, Height, hStream);
}
