// SPDX-License-Identifier: Apache-2.0
/*
 * api_arrays.c: CUDA arrays, texture and surface objects through the driver API: descriptors,
 * copies of all kinds, what a kernel reads through handles, and what is said to wrong arguments, to
 * stale handles, and after the context is gone.
 */
#include "api_client.h"

enum { W = 20, H = 6, D = 3 };

/* read: p[i] = the texel (i % 20, i / 20) of the texture v, as an integer; write: the surface's
 * texel i of row 0 = i + 500. */
static const char ptx[] =
    ".version 8.0\n.target sm_75\n.address_size 64\n"
    ".visible .entry read(.param .u64 out, .param .u64 tex)\n{\n"
    ".reg .b32 %r<12>; .reg .b64 %d<5>;\n"
    "ld.param.u64 %d1, [out]; ld.param.u64 %d2, [tex];\n"
    "mov.u32 %r1, %tid.x; rem.u32 %r2, %r1, 20; div.u32 %r3, %r1, 20;\n"
    "tex.2d.v4.u32.s32 {%r4, %r5, %r6, %r7}, [%d2, {%r2, %r3}];\n"
    "mul.wide.u32 %d3, %r1, 4; add.u64 %d1, %d1, %d3; st.global.u32 [%d1], %r4;\nret;\n}\n"
    ".visible .entry write(.param .u64 surf)\n{\n"
    ".reg .b32 %r<4>; .reg .b64 %d<3>;\n"
    "ld.param.u64 %d1, [surf]; mov.u32 %r1, %tid.x; add.u32 %r2, %r1, 500; shl.b32 %r3, %r1, 2;\n"
    "sust.b.2d.b32.trap [%d1, {%r3, 0}], {%r2};\nret;\n}\n";

static unsigned image[H][W];

static void fill_image(void)
{
	for (unsigned i = 0; i < W * H; i++)
		((unsigned *)image)[i] = i * 7 + 1;
}

static CUarray new_array(size_t w, size_t h, size_t d, unsigned flags)
{
	CUarray a = NULL;
	CUDA_ARRAY3D_DESCRIPTOR desc = {.Width = w,
	                                .Height = h,
	                                .Depth = d,
	                                .Format = CU_AD_FORMAT_UNSIGNED_INT32,
	                                .NumChannels = 1,
	                                .Flags = flags};
	OK(cuArray3DCreate(&a, &desc));
	return a;
}

static void copy_in(CUarray a)
{
	CUDA_MEMCPY2D c = {.srcMemoryType = CU_MEMORYTYPE_HOST,
	                   .srcHost = image,
	                   .srcPitch = sizeof(image[0]),
	                   .dstMemoryType = CU_MEMORYTYPE_ARRAY,
	                   .dstArray = a,
	                   .WidthInBytes = sizeof(image[0]),
	                   .Height = H};
	OK(cuMemcpy2D(&c));
}

static void descriptors(void)
{
	CUDA_ARRAY_DESCRIPTOR flat = {W, H, CU_AD_FORMAT_HALF, 2}, got;
	CUDA_ARRAY3D_DESCRIPTOR box, odd = {.Width = 8, .Height = 8, .NumChannels = 1};
	CUDA_ARRAY_MEMORY_REQUIREMENTS need;
	CUmipmappedArray m;
	CUarray a, level;
	gpu_open();
	OK(cuArrayCreate(&a, &flat));
	OK(cuArrayGetDescriptor(&got, a));
	CHECK(got.Width == W && got.Height == H && got.Format == flat.Format &&
	      got.NumChannels == 2);
	OK(cuArray3DGetDescriptor(&box, a));
	CHECK(box.Width == W && box.Height == H && !box.Depth && !box.Flags);
	OK(cuArrayGetMemoryRequirements(&need, a, 0));
	CHECK(need.size >= (size_t)W * H * 4 && need.alignment);
	OK(cuArrayDestroy(a));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuArrayCreate(NULL, &flat));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuArrayCreate(&a, NULL));
	flat.NumChannels = 3;
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuArrayCreate(&a, &flat));
	flat = (CUDA_ARRAY_DESCRIPTOR){0, H, CU_AD_FORMAT_FLOAT, 1};
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuArrayCreate(&a, &flat));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuArray3DCreate(&a, &odd)); /* no format */
	odd.Format = CU_AD_FORMAT_FLOAT;
	odd.Flags = CUDA_ARRAY3D_CUBEMAP;
	odd.Depth = 5;
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuArray3DCreate(&a, &odd));
	odd.Depth = 12;
	odd.Flags = CUDA_ARRAY3D_CUBEMAP | CUDA_ARRAY3D_LAYERED;
	OK(cuArray3DCreate(&a, &odd));
	OK(cuArrayDestroy(a));
	odd = (CUDA_ARRAY3D_DESCRIPTOR){.Width = 9, .Height = 4, .Depth = 2, .NumChannels = 1};
	odd.Format = CU_AD_FORMAT_FLOAT;
	OK(cuMipmappedArrayCreate(&m, &odd, 99));
	for (unsigned i = 0; i < 4; i++) {
		OK(cuMipmappedArrayGetLevel(&level, m, i));
		OK(cuArray3DGetDescriptor(&box, level));
		CHECK(box.Width == 9u >> i && box.Height == (4u >> i ? 4u >> i : 1) &&
		      box.Depth == (i ? 1 : 2));
	}
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMipmappedArrayGetLevel(&level, m, 4));
	BEYOND(CUDA_ERROR_INVALID_HANDLE, cuArrayDestroy(level));
	OK(cuMipmappedArrayDestroy(m));
	BEYOND(CUDA_ERROR_INVALID_HANDLE, cuArrayDestroy(level));
	BEYOND(CUDA_ERROR_INVALID_HANDLE, cuMipmappedArrayDestroy(m));
}

static void copies(void)
{
	static unsigned back[D][H][W];
	unsigned row[W], other[W];
	CUdeviceptr p;
	CUstream s;
	gpu_open();
	CUarray line = new_array(W, 0, 0, 0), second = new_array(W, 0, 0, 0);
	CUarray box = new_array(W, H, D, 0), flat = new_array(W, H, 0, 0);
	OK(cuMemAlloc(&p, sizeof(row)));
	OK(cuStreamCreate(&s, 0));
	for (unsigned i = 0; i < W; i++)
		row[i] = i * i;
	OK(cuMemcpyHtoA(line, 0, row, sizeof(row)));
	OK(cuMemcpyAtoA(second, 8, line, 4, sizeof(row) - 8));
	OK(cuMemcpyAtoD(p, second, 8, sizeof(row) - 8));
	OK(cuMemcpyDtoH(other, p, sizeof(row) - 8));
	CHECK(memcmp(other, row + 1, sizeof(row) - 8) == 0);
	OK(cuMemcpyDtoA(second, 0, p, sizeof(row) - 8));
	OK(cuMemcpyAtoHAsync(other, second, 0, sizeof(row) - 8, s));
	OK(cuStreamSynchronize(s));
	CHECK(memcmp(other, row + 1, sizeof(row) - 8) == 0);
	OK(cuMemcpyHtoAAsync(second, 0, row, sizeof(row), s));
	OK(cuStreamSynchronize(s));
	OK(cuMemcpyAtoH(other, second, 0, sizeof(row)));
	CHECK(memcmp(other, row, sizeof(row)) == 0);
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoA(line, 4, row, sizeof(row)));
	/* a box of three slices, of which one is copied to a flat array */
	copy_in(flat);
	CUDA_MEMCPY3D c = {.srcMemoryType = CU_MEMORYTYPE_ARRAY,
	                   .srcArray = flat,
	                   .dstMemoryType = CU_MEMORYTYPE_ARRAY,
	                   .dstArray = box,
	                   .dstZ = 1,
	                   .WidthInBytes = sizeof(image[0]),
	                   .Height = H,
	                   .Depth = 1};
	OK(cuMemcpy3D(&c));
	c = (CUDA_MEMCPY3D){.srcMemoryType = CU_MEMORYTYPE_ARRAY,
	                    .srcArray = box,
	                    .dstMemoryType = CU_MEMORYTYPE_HOST,
	                    .dstHost = back,
	                    .dstPitch = sizeof(back[0][0]),
	                    .dstHeight = H,
	                    .WidthInBytes = sizeof(back[0][0]),
	                    .Height = H,
	                    .Depth = D};
	OK(cuMemcpy3D(&c));
	CHECK(memcmp(back[1], image, sizeof(image)) == 0);
	c.Depth = D + 1;
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemcpy3D(&c));
	c.Depth = D;
	c.srcXInBytes = 2; /* not a whole texel */
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemcpy3D(&c));
	OK(cuArrayDestroy(box));
	c.srcXInBytes = 0;
	BEYOND(CUDA_ERROR_INVALID_HANDLE, cuMemcpy3D(&c));
	OK(cuArrayDestroy(flat));
	OK(cuArrayDestroy(line));
	OK(cuArrayDestroy(second));
	OK(cuMemFree(p));
}

static void objects(void)
{
	unsigned out[W * H];
	CUdeviceptr p;
	CUmodule m;
	CUfunction read, write;
	CUtexObject t = 0, stale;
	CUsurfObject u = 0;
	CUDA_RESOURCE_DESC r = {.resType = CU_RESOURCE_TYPE_ARRAY}, got;
	CUDA_TEXTURE_DESC how = {.flags = CU_TRSF_READ_AS_INTEGER};
	CUDA_RESOURCE_VIEW_DESC view;
	gpu_open();
	CUarray a = new_array(W, H, 0, CUDA_ARRAY3D_SURFACE_LDST);
	OK(cuModuleLoadData(&m, ptx));
	OK(cuModuleGetFunction(&read, m, "read"));
	OK(cuModuleGetFunction(&write, m, "write"));
	OK(cuMemAlloc(&p, sizeof(out)));
	copy_in(a);
	r.res.array.hArray = a;
	OK(cuTexObjectCreate(&t, &r, &how, NULL));
	OK(cuSurfObjectCreate(&u, &r));
	void *args[] = {&p, &t}, *one[] = {&u};
	OK(cuLaunchKernel(read, 1, 1, 1, W * H, 1, 1, 0, NULL, args, NULL));
	OK(cuMemcpyDtoH(out, p, sizeof(out)));
	CHECK(memcmp(out, image, sizeof(out)) == 0);
	OK(cuLaunchKernel(write, 1, 1, 1, W, 1, 1, 0, NULL, one, NULL));
	OK(cuLaunchKernel(read, 1, 1, 1, W * H, 1, 1, 0, NULL, args, NULL));
	OK(cuMemcpyDtoH(out, p, sizeof(out)));
	CHECK(out[0] == 500 && out[W - 1] == 500 + W - 1 && out[W] == image[1][0]);
	OK(cuTexObjectGetResourceDesc(&got, t));
	CHECK(got.resType == r.resType && got.res.array.hArray == a);
	OK(cuSurfObjectGetResourceDesc(&got, u));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuTexObjectGetResourceViewDesc(&view, t));
	BEYOND(CUDA_ERROR_INVALID_VALUE, cuTexObjectGetResourceDesc(&got, u + 100));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuTexObjectCreate(NULL, &r, &how, NULL));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuTexObjectCreate(&stale, &r, NULL, NULL));
	r.resType = CU_RESOURCE_TYPE_LINEAR;
	r.res.linear.devPtr = p + 4; /* misaligned */
	r.res.linear.format = CU_AD_FORMAT_FLOAT;
	r.res.linear.numChannels = 1;
	r.res.linear.sizeInBytes = 16;
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuTexObjectCreate(&stale, &r, &how, NULL));
	stale = t;
	OK(cuTexObjectDestroy(t));
	OK(cuSurfObjectDestroy(u));
	BEYOND(CUDA_ERROR_INVALID_VALUE, cuTexObjectDestroy(stale));
	/* a place is used again, and the old handle is not taken for the new one */
	r.resType = CU_RESOURCE_TYPE_ARRAY;
	r.res.array.hArray = a;
	OK(cuTexObjectCreate(&t, &r, &how, NULL));
	BEYOND(CUDA_ERROR_INVALID_VALUE, cuTexObjectGetTextureDesc(&how, stale));
	OK(cuTexObjectDestroy(t));
	OK(cuArrayDestroy(a));
	OK(cuMemFree(p));
	OK(cuModuleUnload(m));
}

/* A kernel that reads through a handle of memory that is gone fails, and no more than that. */
static void freed_memory(void)
{
	CUmodule m;
	CUfunction read;
	CUtexObject t;
	CUdeviceptr p;
	CUcontext ctx;
	CUDA_RESOURCE_DESC r = {.resType = CU_RESOURCE_TYPE_ARRAY};
	CUDA_TEXTURE_DESC how = {.flags = CU_TRSF_READ_AS_INTEGER};
	gpu_open();
	OK(cuCtxCreate(&ctx, NULL, 0, 0));
	CUarray a = new_array(W, H, 0, 0);
	OK(cuModuleLoadData(&m, ptx));
	OK(cuModuleGetFunction(&read, m, "read"));
	OK(cuMemAlloc(&p, sizeof(image)));
	r.res.array.hArray = a;
	OK(cuTexObjectCreate(&t, &r, &how, NULL));
	OK(cuArrayDestroy(a));
	void *args[] = {&p, &t};
	OK(cuLaunchKernel(read, 1, 1, 1, W * H, 1, 1, 0, NULL, args, NULL));
	EXPECT(CUDA_ERROR_ILLEGAL_ADDRESS, cuCtxSynchronize());
	OK(cuCtxDestroy(ctx));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuTexObjectDestroy(t)); /* gone with its context */
}

static void context_owns(void)
{
	size_t before, after, total;
	CUcontext ctx;
	CUDA_ARRAY3D_DESCRIPTOR d = {.Width = 64, .Height = 64, .NumChannels = 4};
	CUmipmappedArray m;
	gpu_open();
	OK(cuMemGetInfo(&before, &total));
	OK(cuCtxCreate(&ctx, NULL, 0, 0));
	d.Format = CU_AD_FORMAT_FLOAT;
	OK(cuMipmappedArrayCreate(&m, &d, 7));
	CUarray a = new_array(1000, 1000, 0, 0);
	OK(cuMemGetInfo(&after, &total));
	CHECK(after < before);
	OK(cuCtxDestroy(ctx));
	OK(cuMemGetInfo(&after, &total));
	CHECK(after == before);
	EXPECT(CUDA_ERROR_INVALID_HANDLE, cuArrayDestroy(a));
	EXPECT(CUDA_ERROR_INVALID_HANDLE, cuMipmappedArrayDestroy(m));
}

static void tensor_maps(void)
{
	_Alignas(128) CUtensorMap map;
	CUdeviceptr p;
	cuuint64_t dims[2] = {64, 64}, strides[1] = {256};
	cuuint32_t box[2] = {32, 8}, steps[2] = {1, 1};
	gpu_open();
	OK(cuMemAlloc(&p, 64 * 256));
#define ENCODE(rank, address)                                                                      \
	cuTensorMapEncodeTiled(&map, CU_TENSOR_MAP_DATA_TYPE_FLOAT32, rank, (void *)(address),     \
	                       dims, strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,           \
	                       CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_NONE,        \
	                       CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE)
	OK(ENCODE(2, p));
	OK(cuTensorMapReplaceAddress(&map, (void *)(p + 16)));
	EXPECT(CUDA_ERROR_INVALID_VALUE, ENCODE(6, p));
	EXPECT(CUDA_ERROR_INVALID_VALUE, ENCODE(2, p + 4));
	strides[0] = 250;
	EXPECT(CUDA_ERROR_INVALID_VALUE, ENCODE(2, p));
	strides[0] = 256;
	box[0] = 64; /* wider than the swizzle */
	EXPECT(CUDA_ERROR_INVALID_VALUE, ENCODE(2, p));
	box[0] = 257;
	EXPECT(CUDA_ERROR_INVALID_VALUE, ENCODE(1, p));
	OK(cuMemFree(p));
}

int main(int argc, char **argv)
{
	static const struct api_section list[] = {SECTION(descriptors), SECTION(copies),
	                                          SECTION(objects),     OURS(freed_memory),
	                                          OURS(context_owns),   SECTION(tensor_maps)};
	fill_image();
	return API_RUN(argc, argv, list);
}
