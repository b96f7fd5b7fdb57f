// SPDX-License-Identifier: Apache-2.0
/* api_memory.c: allocation, limits, pools, copies of every shape, sets, pointer attributes. */
#include "api_client.h"

#include <sys/mman.h>

static struct gpu g;

static void allocation(void)
{
	CUdeviceptr p, q, base;
	size_t free_before, free_after, total, size;
	g = gpu_open();
	OK(cuMemGetInfo(&free_before, &total));
	CHECK(free_before <= total);
	OK(cuMemAlloc(&p, 1000));
	CHECK(p % 256 == 0);
	OK(cuMemGetInfo(&free_after, &total));
	CHECK(free_before - free_after >= 1000);
	OK(cuMemGetAddressRange(&base, &size, p + 500));
	CHECK(base == p && size == 1000);
	EXPECT(CUDA_ERROR_NOT_FOUND, cuMemGetAddressRange(&base, &size, p + 1000));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemAlloc(&q, 0));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemAlloc(NULL, 16));
	EXPECT(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc(&q, total + 1));
	EXPECT(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc(&q, ~(size_t)0));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemFree(p + 4)); /* not where it begins */
	OK(cuMemFree(p));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemFree(p));
	OK(cuMemFree(0)); /* nothing to free */
	OK(cuMemGetInfo(&free_after, &total));
	CHECK(free_before == free_after);

	/* whatever the order of frees, what is free can be had again */
	CUdeviceptr many[64];
	for (int i = 0; i < 64; i++)
		OK(cuMemAlloc(&many[i], free_before / 64 / 512 * 512));
	EXPECT(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc(&q, free_before));
	for (int i = 0; i < 64; i += 2)
		OK(cuMemFree(many[i]));
	for (int i = 1; i < 64; i += 2)
		OK(cuMemFree(many[i]));
	OK(cuMemAlloc(&q, free_before));
	OK(cuMemFree(q));
}

static void misuse(void)
{
	CUdeviceptr p, q;
	char host[64] = "x";
	g = gpu_open();
	OK(cuMemAlloc(&p, 64));
	OK(cuMemAlloc(&q, 64));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD(p, host, 65)); /* out of bounds */
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD(p + 1, host, 64));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH(host, p + 600, 1));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD(p, NULL, 4));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD(0, host, 4));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD((CUdeviceptr)(size_t)host, host, 4));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemsetD8(p, 1, 65));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemsetD32(p + 2, 1, 1)); /* misaligned */
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemsetD8((CUdeviceptr)(size_t)host, 1, 4));
	OK(cuMemcpyHtoD(p, host, 0));
	OK(cuMemFree(q));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoD(p, q, 64)); /* use after free */
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemsetD8(q, 0, 1));
	OK(cuMemFree(p));
	OK(cuCtxSynchronize()); /* none of this is a sticky error */
}

static void sets(void)
{
	CUdeviceptr p;
	unsigned char host[1024];
	g = gpu_open();
	OK(cuMemAlloc(&p, sizeof(host)));
	OK(cuMemsetD8(p, 0xab, sizeof(host)));
	OK(cuMemsetD16(p + 2, 0x1234, 3));
	OK(cuMemsetD32(p + 8, 0xdeadbeef, 2));
	OK(cuMemsetD2D8(p + 512, 64, 0x11, 3, 4));
	OK(cuMemsetD2D32Async(p + 768, 64, 0x01020304, 1, 2, NULL));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemsetD2D8(p, 2, 0, 3, 4)); /* rows overlap */
	OK(cuMemcpyDtoH(host, p, sizeof(host)));
	CHECK(host[0] == 0xab && host[1] == 0xab && host[2] == 0x34 && host[3] == 0x12);
	CHECK(host[7] == 0x12 && host[8] == 0xef && host[15] == 0xde && host[16] == 0xab);
	for (int y = 0; y < 4; y++)
		for (int x = 0; x < 64; x++)
			CHECK(host[512 + 64 * y + x] == (x < 3 ? 0x11 : 0xab));
	CHECK(host[768] == 4 && host[771] == 1 && host[832] == 4 && host[836] == 0xab);
	OK(cuMemFree(p));
}

static void rectangles(void)
{
	enum { W = 20, H = 5, D = 3 };
	CUdeviceptr p;
	size_t pitch;
	unsigned char in[H][W], out[H][W + 3], box[D][H][W], got[D][H][W];
	for (int y = 0; y < H; y++)
		for (int x = 0; x < W; x++)
			in[y][x] = (unsigned char)(y * W + x);
	g = gpu_open();
	OK(cuMemAllocPitch(&p, &pitch, W, H * D, 4));
	CHECK(pitch >= W && pitch % 256 == 0);
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemAllocPitch(&p, &pitch, W, H, 3));
	CUDA_MEMCPY2D c = {.srcMemoryType = CU_MEMORYTYPE_HOST,
	                   .srcHost = in,
	                   .srcPitch = W,
	                   .dstMemoryType = CU_MEMORYTYPE_DEVICE,
	                   .dstDevice = p,
	                   .dstPitch = pitch,
	                   .WidthInBytes = W,
	                   .Height = H};
	OK(cuMemcpy2D(&c));
	memset(out, 0, sizeof(out));
	/* back, without the first row and the first two columns */
	CUDA_MEMCPY2D back = {.srcXInBytes = 2,
	                      .srcY = 1,
	                      .srcMemoryType = CU_MEMORYTYPE_DEVICE,
	                      .srcDevice = p,
	                      .srcPitch = pitch,
	                      .dstXInBytes = 1,
	                      .dstMemoryType = CU_MEMORYTYPE_HOST,
	                      .dstHost = out,
	                      .dstPitch = W + 3,
	                      .WidthInBytes = W - 2,
	                      .Height = H - 1};
	OK(cuMemcpy2DUnaligned(&back));
	for (int y = 0; y < H - 1; y++)
		for (int x = 0; x < W - 2; x++)
			CHECK(out[y][x + 1] == in[y + 1][x + 2]);
	CHECK(out[0][0] == 0 && out[H - 1][1] == 0);
	back.WidthInBytes = pitch;
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemcpy2D(&back));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemcpy2D(NULL));

	for (int z = 0; z < D; z++)
		for (int y = 0; y < H; y++)
			for (int x = 0; x < W; x++)
				box[z][y][x] = (unsigned char)(z * 77 + y * 7 + x);
	CUDA_MEMCPY3D b = {.srcMemoryType = CU_MEMORYTYPE_HOST,
	                   .srcHost = box,
	                   .srcPitch = W,
	                   .srcHeight = H,
	                   .dstMemoryType = CU_MEMORYTYPE_DEVICE,
	                   .dstDevice = p,
	                   .dstPitch = pitch,
	                   .dstHeight = H,
	                   .WidthInBytes = W,
	                   .Height = H,
	                   .Depth = D};
	OK(cuMemcpy3D(&b));
	CUDA_MEMCPY3D r = {.srcMemoryType = CU_MEMORYTYPE_DEVICE,
	                   .srcDevice = p,
	                   .srcPitch = pitch,
	                   .srcHeight = H,
	                   .dstMemoryType = CU_MEMORYTYPE_HOST,
	                   .dstHost = got,
	                   .dstPitch = W,
	                   .dstHeight = H,
	                   .WidthInBytes = W,
	                   .Height = H,
	                   .Depth = D};
	OK(cuMemcpy3DAsync(&r, NULL));
	CHECK(memcmp(box, got, sizeof(box)) == 0);
	r.Depth = D + 1;
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemcpy3D(&r));
	OK(cuMemFree(p));
}

static void host_memory(void)
{
	char *a, *b = aligned_alloc(4096, 8192);
	CUdeviceptr d;
	unsigned flags;
	g = gpu_open();
	OK(cuMemHostAlloc((void **)&a, 5000, CU_MEMHOSTALLOC_PORTABLE));
	OK(cuMemHostGetDevicePointer(&d, a, 0));
	OK(cuMemHostGetFlags(&flags, a));
	CHECK(flags & CU_MEMHOSTALLOC_PORTABLE);
	memset(a, 1, 5000);
	OK(cuMemsetD8(d, 5, 100));
	CHECK(a[99] == 5 && a[100] == 1); /* sets of host memory have completed */
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemHostAlloc(NULL, 8, 0));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemHostAlloc((void **)&d, 8, 0x100));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemFreeHost(a + 1));
	OK(cuMemFreeHost(a));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemFreeHost(a));

	OK(cuMemHostRegister(b, 8192, 0));
	EXPECT(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, cuMemHostRegister(b + 4096, 4096, 0));
	OK(cuMemHostGetDevicePointer(&d, b + 4, 0));
	memset(b, 0, 8192);
	OK(launch(g.add, d, 3, 10, NULL));
	OK(cuCtxSynchronize());
	CHECK(((int *)b)[0] == 0 && ((int *)b)[1] == 3 && ((int *)b)[11] == 0);
	OK(cuMemHostUnregister(b));
	EXPECT(CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED, cuMemHostUnregister(b));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemHostGetDevicePointer(&d, b, 0));
	void *hole = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(hole, 8192);
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemHostRegister(hole, 4096, 0));
	free(b);
}

static void managed_memory(void)
{
	CUdeviceptr d;
	g = gpu_open();
	OK(cuMemAllocManaged(&d, 400, CU_MEM_ATTACH_GLOBAL));
	int *managed = (int *)(size_t)d;
	for (int i = 0; i < 100; i++)
		managed[i] = i;
	OK(launch(g.mul, d, 2, 100, NULL));
	OK(cuCtxSynchronize());
	CHECK(managed[50] == 100);
	OK(cuMemFree(d));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemAllocManaged(&d, 4, 0));
}

static void pools(void)
{
	CUmemoryPool own, pool, current;
	CUdeviceptr p, q;
	CUstream s;
	cuuint64_t used, threshold = 1 << 20;
	g = gpu_open();
	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	OK(cuDeviceGetDefaultMemPool(&own, 0));
	OK(cuDeviceGetMemPool(&current, 0));
	CHECK(own == current);
	OK(cuMemAllocAsync(&p, 4000, s));
	OK(cuMemPoolGetAttribute(own, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &used));
	CHECK(used == 4000);
	OK(cuMemsetD32Async(p, 5, 1000, s));
	OK(launch(g.add, p, 6, 1000, s));
	OK(cuStreamSynchronize(s));
	EXPECT_ALL(p, 11, 1000);
	OK(cuMemFreeAsync(p, s));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemFreeAsync(p, s)); /* twice */
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemsetD32Async(p, 5, 1, s));
	OK(cuStreamSynchronize(s));
	OK(cuMemPoolGetAttribute(own, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &used));
	CHECK(used == 0);
	OK(cuMemPoolGetAttribute(own, CU_MEMPOOL_ATTR_USED_MEM_HIGH, &used));
	CHECK(used == 4000);
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemPoolDestroy(own));

	CUmemPoolProps props = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
	                        .location = {CU_MEM_LOCATION_TYPE_DEVICE, 0},
	                        .maxSize = 8192};
	OK(cuMemPoolCreate(&pool, &props));
	OK(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold));
	OK(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &used));
	CHECK(used == threshold);
	OK(cuMemAllocFromPoolAsync(&p, 8000, pool, s));
	EXPECT(CUDA_ERROR_OUT_OF_MEMORY, cuMemAllocFromPoolAsync(&q, 8000, pool, s));
	OK(cuDeviceSetMemPool(0, pool));
	OK(cuDeviceGetMemPool(&current, 0));
	CHECK(current == pool);
	OK(cuMemPoolTrimTo(pool, 0));
	OK(cuMemPoolDestroy(pool)); /* lives on until p is free */
	OK(cuDeviceGetMemPool(&current, 0));
	CHECK(current == own);
	BEYOND(CUDA_ERROR_INVALID_VALUE, cuMemPoolTrimTo(pool, 0));
	OK(cuMemFree(p));

	/* memory whose free is still in a stream's queue is found when it is needed */
	size_t free_bytes, total;
	OK(cuMemGetInfo(&free_bytes, &total));
	for (int i = 0; i < 8; i++) {
		OK(cuMemAllocAsync(&p, free_bytes - free_bytes / 8, s));
		OK(cuMemFreeAsync(p, s));
	}
	OK(cuMemAlloc(&p, free_bytes - free_bytes / 8));
	OK(cuMemFree(p));
	OK(cuStreamDestroy(s));
}

static void pointers(void)
{
	CUdeviceptr p, start;
	CUmemorytype type;
	CUcontext ctx;
	int ordinal, local;
	unsigned managed;
	size_t size;
	g = gpu_open();
	OK(cuMemAlloc(&p, 100));
	OK(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, p + 50));
	CHECK(type == CU_MEMORYTYPE_DEVICE);
	OK(cuPointerGetAttribute(&ctx, CU_POINTER_ATTRIBUTE_CONTEXT, p));
	CHECK(ctx == g.ctx);
	OK(cuPointerGetAttribute(&start, CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, p + 50));
	CHECK(start == p);
	EXPECT(CUDA_ERROR_INVALID_VALUE,
	       cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
	                             (CUdeviceptr)(size_t)&local));
	CUpointer_attribute list[] = {
	    CU_POINTER_ATTRIBUTE_MEMORY_TYPE, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL,
	    CU_POINTER_ATTRIBUTE_IS_MANAGED, CU_POINTER_ATTRIBUTE_RANGE_SIZE};
	void *data[] = {&type, &ordinal, &managed, &size};
	OK(cuPointerGetAttributes(4, list, data, p));
	CHECK(type == CU_MEMORYTYPE_DEVICE && ordinal == 0 && !managed && size == 100);
	OK(cuPointerGetAttributes(4, list, data, (CUdeviceptr)(size_t)&local));
	CHECK(type == 0 && size == 0);
	OK(cuMemFree(p));
	EXPECT(CUDA_ERROR_INVALID_VALUE,
	       cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, p));
}

/* What a context owned goes with it. */
static void context_owns(void)
{
	CUcontext ctx;
	CUdeviceptr p;
	CUstream s;
	CUevent e;
	void *host;
	size_t before, after, total;
	g = gpu_open();
	OK(cuMemGetInfo(&before, &total));
	OK(cuCtxCreate(&ctx, NULL, 0, 0));
	OK(cuMemAlloc(&p, 1 << 20));
	OK(cuMemAllocHost(&host, 1 << 20));
	OK(cuStreamCreate(&s, 0));
	OK(cuEventCreate(&e, 0));
	OK(cuMemsetD8Async(p, 1, 1 << 20, s));
	OK(cuEventRecord(e, s));
	EXPECT(CUDA_ERROR_INVALID_HANDLE, launch(g.add, p, 1, 4, s)); /* another context's kernel */
	OK(cuCtxDestroy(ctx));
	BEYOND(CUDA_ERROR_INVALID_HANDLE, cuStreamSynchronize(s));
	BEYOND(CUDA_ERROR_INVALID_HANDLE, cuEventSynchronize(e));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemFree(p));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemFreeHost(host));
	OK(cuMemGetInfo(&after, &total));
	CHECK(before == after);
}

int main(int argc, char **argv)
{
	static const struct api_section list[] = {
	    SECTION(allocation), SECTION(misuse),      SECTION(sets),
	    SECTION(rectangles), SECTION(host_memory), OURS(managed_memory),
	    SECTION(pools),      SECTION(pointers),    SECTION(context_owns)};
	return API_RUN(argc, argv, list);
}
