// SPDX-License-Identifier: Apache-2.0
/*
 * surface.cu: surfaces as render targets are used: written by one kernel and read by the next
 * through a texture; of one, two and three dimensions and layered; of bytes to 16-byte texels;
 * beyond their edges with zero and clamp; and copies of arrays in all directions.
 */
#include "t.h"

enum { W = 24, H = 10, D = 5 };

static cudaSurfaceObject_t surface(cudaArray_t a)
{
	cudaResourceDesc r = {};
	cudaSurfaceObject_t s;
	r.resType = cudaResourceTypeArray;
	r.res.array.array = a;
	OK(cudaCreateSurfaceObject(&s, &r));
	return s;
}

static cudaTextureObject_t texture(cudaArray_t a)
{
	cudaResourceDesc r = {};
	cudaTextureDesc how = {};
	cudaTextureObject_t t;
	r.resType = cudaResourceTypeArray;
	r.res.array.array = a;
	OK(cudaCreateTextureObject(&t, &r, &how, NULL));
	return t;
}

/* ---- written, then read */

__global__ void draw(cudaSurfaceObject_t s)
{
	int x = threadIdx.x, y = blockIdx.x;
	surf2Dwrite(make_uchar4(x, y, x ^ y, 255), s, x * (int)sizeof(uchar4), y);
}

__global__ void swap_channels(cudaSurfaceObject_t s, cudaTextureObject_t t, uchar4 *out)
{
	int x = threadIdx.x, y = blockIdx.x;
	uchar4 v = tex2D<uchar4>(t, x, y), w = surf2Dread<uchar4>(s, x * (int)sizeof(uchar4), y);
	out[y * W + x] = make_uchar4(v.z, v.y, w.x, w.w);
}

__global__ void volume(cudaSurfaceObject_t s, int add)
{
	int x = threadIdx.x, y = blockIdx.x, z = blockIdx.y;
	float4 v = surf3Dread<float4>(s, x * (int)sizeof(float4), y, z);
	v.x += add + x;
	v.y += y;
	v.z += z;
	v.w += 1;
	surf3Dwrite(v, s, x * (int)sizeof(float4), y, z);
}

__global__ void layers(cudaSurfaceObject_t s)
{
	int x = threadIdx.x, y = blockIdx.x, z = blockIdx.y;
	surf2DLayeredwrite((short)(x + y * 100 + z * 1000), s, x * 2, y, z);
}

__global__ void line(cudaSurfaceObject_t s)
{
	int x = threadIdx.x;
	surf1Dwrite((long long)x * 0x100000001ll, s, x * 8);
}

__global__ void edges(cudaSurfaceObject_t s, int *out)
{
	int x = (int)threadIdx.x - 4;
	out[threadIdx.x] = surf2Dread<int>(s, x * 4, 0, cudaBoundaryModeZero);
	out[threadIdx.x + 32] = surf2Dread<int>(s, x * 4, 0, cudaBoundaryModeClamp);
	surf2Dwrite(-x, s, x * 4, 1, cudaBoundaryModeZero); /* dropped outside */
}

static void pictures(void)
{
	cudaChannelFormatDesc f = cudaCreateChannelDesc<uchar4>();
	uchar4 *out;
	cudaArray_t a;
	OK(cudaMallocArray(&a, &f, W, H, cudaArraySurfaceLoadStore));
	OK(cudaMallocManaged(&out, W * H * sizeof(*out)));
	cudaSurfaceObject_t s = surface(a);
	draw<<<H, W>>>(s);
	swap_channels<<<H, W>>>(s, texture(a), out);
	OK(cudaDeviceSynchronize());
	for (int i = 0; i < W * H; i++) {
		int x = i % W, y = i / W;
		TRUE(out[i].x == (x ^ y) && out[i].y == y && out[i].z == x && out[i].w == 255);
	}
	cudaResourceDesc r;
	OK(cudaGetSurfaceObjectResourceDesc(&r, s));
	TRUE(r.res.array.array == a);
	OK(cudaDestroySurfaceObject(s));
	OK(cudaFreeArray(a));
	OK(cudaFree(out));
}

static void more_dimensions(void)
{
	static float4 box[D][H][W];
	cudaChannelFormatDesc f = cudaCreateChannelDesc<float4>();
	cudaMemcpy3DParms c = {};
	cudaArray_t a;
	for (int i = 0; i < W * H * D; i++)
		((float4 *)box)[i] = make_float4(i, i, i, i);
	OK(cudaMalloc3DArray(&a, &f, make_cudaExtent(W, H, D), cudaArraySurfaceLoadStore));
	c.srcPtr = make_cudaPitchedPtr(box, sizeof(box[0][0]), W, H);
	c.dstArray = a;
	c.extent = make_cudaExtent(W, H, D);
	c.kind = cudaMemcpyHostToDevice;
	OK(cudaMemcpy3D(&c));
	volume<<<dim3(H, D), W>>>(surface(a), 7);
	c = {};
	c.srcArray = a;
	c.srcPos = make_cudaPos(1, 2, 3);
	c.dstPtr = make_cudaPitchedPtr(box, sizeof(box[0][0]), W, H);
	c.extent = make_cudaExtent(W - 1, H - 2, D - 3);
	c.kind = cudaMemcpyDeviceToHost;
	OK(cudaMemcpy3D(&c));
	for (int z = 3; z < D; z++)
		for (int y = 2; y < H; y++)
			for (int x = 1; x < W; x++) {
				float4 v = box[z - 3][y - 2][x - 1];
				int i = (z * H + y) * W + x;
				TRUE(v.x == i + 7 + x && v.y == i + y && v.z == i + z &&
				     v.w == i + 1);
			}
	OK(cudaFreeArray(a));

	static short flat[D][H][W];
	f = cudaCreateChannelDesc<short>();
	OK(cudaMalloc3DArray(&a, &f, make_cudaExtent(W, H, D),
	                     cudaArraySurfaceLoadStore | cudaArrayLayered));
	layers<<<dim3(H, D), W>>>(surface(a));
	c = {};
	c.srcArray = a;
	c.dstPtr = make_cudaPitchedPtr(flat, sizeof(flat[0][0]), W, H);
	c.extent = make_cudaExtent(W, H, D);
	c.kind = cudaMemcpyDeviceToHost;
	OK(cudaMemcpy3D(&c));
	for (int z = 0; z < D; z++)
		for (int y = 0; y < H; y++)
			for (int x = 0; x < W; x++)
				TRUE(flat[z][y][x] == (short)(x + y * 100 + z * 1000));
	OK(cudaFreeArray(a));

	static long long row[W];
	f = cudaCreateChannelDesc<int2>();
	OK(cudaMallocArray(&a, &f, W, 0, cudaArraySurfaceLoadStore));
	line<<<1, W>>>(surface(a));
	OK(cudaMemcpy2DFromArray(row, sizeof(row), a, 0, 0, sizeof(row), 1, cudaMemcpyDeviceToHost));
	for (int x = 0; x < W; x++)
		TRUE(row[x] == x * 0x100000001ll);
	OK(cudaFreeArray(a));
}

static void beyond_edges(void)
{
	int first[W], second[W], *out;
	cudaChannelFormatDesc f = cudaCreateChannelDesc<int>();
	cudaArray_t a;
	OK(cudaMallocArray(&a, &f, W, 2, cudaArraySurfaceLoadStore));
	for (int i = 0; i < W; i++)
		first[i] = 1000 + i;
	OK(cudaMemcpy2DToArray(a, 0, 0, first, sizeof(first), sizeof(first), 1,
	                       cudaMemcpyHostToDevice));
	OK(cudaMallocManaged(&out, 64 * sizeof(*out)));
	edges<<<1, 32>>>(surface(a), out);
	OK(cudaDeviceSynchronize());
	for (int i = 0; i < 32; i++) {
		int x = i - 4, near = x < 0 ? 0 : x >= W ? W - 1 : x;
		TRUE(out[i] == (x < 0 || x >= W ? 0 : 1000 + x));
		TRUE(out[i + 32] == 1000 + near);
	}
	OK(cudaMemcpy2DFromArray(second, sizeof(second), a, 0, 1, sizeof(second), 1,
	                         cudaMemcpyDeviceToHost));
	for (int x = 0; x < W; x++)
		TRUE(second[x] == -x);
	OK(cudaFreeArray(a));
	OK(cudaFree(out));
}

/* ---- copies */

static void copies(void)
{
	static unsigned char in[H][W], out[H][W];
	cudaChannelFormatDesc f = cudaCreateChannelDesc<unsigned char>(), g;
	cudaArray_t a, b;
	cudaStream_t s;
	cudaExtent e;
	unsigned flags;
	for (int i = 0; i < W * H; i++)
		((unsigned char *)in)[i] = (unsigned char)(i * 7);
	OK(cudaMallocArray(&a, &f, W, H));
	OK(cudaMallocArray(&b, &f, W, H));
	OK(cudaStreamCreate(&s));
	OK(cudaArrayGetInfo(&g, &e, &flags, a));
	TRUE(g.x == 8 && !g.y && g.f == cudaChannelFormatKindUnsigned);
	TRUE(e.width == W && e.height == H && e.depth == 0 && flags == 0);
	OK(cudaMemcpy2DToArrayAsync(a, 0, 0, in, W, W, H, cudaMemcpyHostToDevice, s));
	OK(cudaStreamSynchronize(s));
	OK(cudaMemcpy2DArrayToArray(b, 2, 1, a, 0, 0, W - 2, H - 1, cudaMemcpyDeviceToDevice));
	OK(cudaMemcpy2DFromArrayAsync(out, W, b, 0, 0, W, H, cudaMemcpyDeviceToHost, s));
	OK(cudaStreamSynchronize(s));
	for (int y = 1; y < H; y++)
		TRUE(!memcmp(&out[y][2], &in[y - 1][0], W - 2));
	/* to managed memory, by looking at the address */
	unsigned char *m;
	OK(cudaMallocManaged(&m, W * H));
	OK(cudaMemcpy2DFromArray(m, W, a, 0, 0, W, H, cudaMemcpyDefault));
	OK(cudaDeviceSynchronize());
	TRUE(!memcmp(m, in, W * H));
	/* beyond its edges, or of another width than texels */
	IS(cudaMemcpy2DToArray(a, 1, 0, in, W, W, H, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
	IS(cudaMemcpy2DToArray(a, 0, 1, in, W, W, H, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
	(void)cudaGetLastError();
	/* as a node of a graph */
	cudaGraph_t graph;
	cudaGraphExec_t exec;
	cudaGraphNode_t node;
	cudaMemcpy3DParms c = {}, back;
	memset(out, 0, sizeof(out));
	c.srcArray = a;
	c.srcPos = make_cudaPos(3, 2, 0);
	c.dstPtr = make_cudaPitchedPtr(out, W, W, H);
	c.extent = make_cudaExtent(W - 3, H - 2, 1);
	c.kind = cudaMemcpyDeviceToHost;
	OK(cudaGraphCreate(&graph, 0));
	OK(cudaGraphAddMemcpyNode(&node, graph, NULL, 0, &c));
	OK(cudaGraphMemcpyNodeGetParams(node, &back));
	TRUE(back.srcArray == a && back.srcPos.x == 3 && back.srcPos.y == 2 && !back.srcPtr.ptr);
	TRUE(back.extent.width == W - 3 && back.extent.height == H - 2);
	OK(cudaGraphInstantiate(&exec, graph, 0));
	OK(cudaGraphLaunch(exec, s));
	OK(cudaStreamSynchronize(s));
	for (int y = 2; y < H; y++)
		TRUE(!memcmp(out[y - 2], &in[y][3], W - 3));
	OK(cudaGraphExecDestroy(exec));
	OK(cudaGraphDestroy(graph));
	OK(cudaFreeArray(a));
	OK(cudaFreeArray(b));
	IS(cudaFreeArray(b), cudaErrorInvalidResourceHandle);
	(void)cudaGetLastError();
}

int main()
{
	pictures();
	more_dimensions();
	beyond_edges();
	copies();
	printf("ok\n");
	return 0;
}
