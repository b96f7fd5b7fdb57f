// SPDX-License-Identifier: Apache-2.0
/*
 * layers.cu: images of more than one slice, as samples of volumes and environments have them:
 * layered lines and pictures, volumes, cubes, layered cubes, mipmaps by level and by gradient,
 * views of some layers and levels, and gathers.
 */
#include <math.h>

#include "t.h"

enum { SIDE = 16, LAYERS = 6 };

static float value(int x, int y, int z)
{
	return (float)(x + 20 * y + 400 * z) + 0.25f;
}

static cudaArray_t make(int w, int h, int d, unsigned flags)
{
	static float box[LAYERS * 2 * SIDE * SIDE];
	cudaChannelFormatDesc f = cudaCreateChannelDesc<float>();
	cudaMemcpy3DParms c = {};
	cudaArray_t a;
	for (int z = 0; z < d; z++)
		for (int y = 0; y < (h ? h : 1); y++)
			for (int x = 0; x < w; x++)
				box[(z * (h ? h : 1) + y) * w + x] = value(x, y, z);
	OK(cudaMalloc3DArray(&a, &f, make_cudaExtent(w, h, d), flags));
	c.srcPtr = make_cudaPitchedPtr(box, w * sizeof(float), w, h ? h : 1);
	c.dstArray = a;
	c.extent = make_cudaExtent(w, h ? h : 1, d ? d : 1);
	c.kind = cudaMemcpyHostToDevice;
	OK(cudaMemcpy3D(&c));
	return a;
}

static cudaTextureObject_t texture(cudaArray_t a, bool normalized, bool linear)
{
	cudaResourceDesc r = {};
	cudaTextureDesc how = {};
	cudaTextureObject_t t;
	r.resType = cudaResourceTypeArray;
	r.res.array.array = a;
	for (int i = 0; i < 3; i++)
		how.addressMode[i] = cudaAddressModeClamp;
	how.normalizedCoords = normalized;
	how.filterMode = linear ? cudaFilterModeLinear : cudaFilterModePoint;
	OK(cudaCreateTextureObject(&t, &r, &how, NULL));
	return t;
}

__device__ int mistakes;

static void none(const char *what)
{
	int n;
	OK(cudaDeviceSynchronize());
	OK(cudaMemcpyFromSymbol(&n, mistakes, sizeof(n)));
	if (n) {
		fprintf(stderr, "%s: %d values are wrong\n", what, n);
		_exit(1);
	}
}

__device__ void want(float got, float expected)
{
	if (fabsf(got - expected) > 0.01f) {
		if (atomicAdd(&mistakes, 1) < 5)
			printf("(%d,%d,%d): %g, not %g\n", threadIdx.x, threadIdx.y, blockIdx.x, got,
			       expected);
	}
}

__device__ float at(int x, int y, int z)
{
	return (float)(x + 20 * y + 400 * z) + 0.25f;
}

__global__ void lines(cudaTextureObject_t t)
{
	int x = threadIdx.x, l = blockIdx.x;
	want(tex1DLayered<float>(t, (x + 0.5f) / SIDE, l), at(x, 0, l));
	want(tex1DLayered<float>(t, (x + 0.5f) / SIDE, l + 100), at(x, 0, LAYERS - 1));
}

__global__ void pictures(cudaTextureObject_t t)
{
	int x = threadIdx.x, y = threadIdx.y, l = blockIdx.x;
	want(tex2DLayered<float>(t, (x + 0.5f) / SIDE, (y + 0.5f) / SIDE, l), at(x, y, l));
	if (x + 1 < SIDE) /* halfway to the next, in the same layer */
		want(tex2DLayered<float>(t, (x + 1.0f) / SIDE, (y + 0.5f) / SIDE, l),
		     at(x, y, l) + 0.5f);
}

__global__ void volume(cudaTextureObject_t t)
{
	int x = threadIdx.x, y = threadIdx.y, z = blockIdx.x;
	want(tex3D<float>(t, x + 0.5f, y + 0.5f, z + 0.5f), at(x, y, z));
	if (x + 1 < SIDE && y + 1 < SIDE && z + 1 < LAYERS)
		want(tex3D<float>(t, x + 0.75f, y + 1.0f, z + 1.25f),
		     at(x, y, z) + 0.25f + 0.5f * 20 + 0.75f * 400);
}

/* The direction of a texel's middle, by the table of the Programming Guide. */
__device__ float3 direction(int face, int x, int y)
{
	float s = (x + 0.5f) / SIDE * 2 - 1, t = (y + 0.5f) / SIDE * 2 - 1;
	switch (face) {
	case 0:
		return make_float3(1, -t, -s);
	case 1:
		return make_float3(-1, -t, s);
	case 2:
		return make_float3(s, 1, t);
	case 3:
		return make_float3(s, -1, -t);
	case 4:
		return make_float3(s, -t, 1);
	default:
		return make_float3(-s, -t, -1);
	}
}

__global__ void cube(cudaTextureObject_t t)
{
	int x = threadIdx.x, y = threadIdx.y, face = blockIdx.x;
	float3 v = direction(face, x, y);
	want(texCubemap<float>(t, v.x, v.y, v.z), at(x, y, face));
	want(texCubemap<float>(t, 3 * v.x, 3 * v.y, 3 * v.z), at(x, y, face));
}

__global__ void cubes(cudaTextureObject_t t)
{
	int x = threadIdx.x, y = threadIdx.y, face = blockIdx.x % 6, layer = blockIdx.x / 6;
	float3 v = direction(face, x, y);
	want(texCubemapLayered<float>(t, v.x, v.y, v.z, layer), at(x, y, layer * 6 + face));
}

__global__ void gather(cudaTextureObject_t t)
{
	int x = threadIdx.x, y = threadIdx.y;
	float4 v = tex2Dgather<float4>(t, x + 1.0f, y + 1.0f, 0);
	int x1 = x + 1 < SIDE ? x + 1 : x, y1 = y + 1 < SIDE ? y + 1 : y;
	want(v.x, at(x, y1, 0));
	want(v.y, at(x1, y1, 0));
	want(v.z, at(x1, y, 0));
	want(v.w, at(x, y, 0));
}

/* Of level l each texel is 1000 · l + its number. */
__global__ void by_level(cudaTextureObject_t t, int levels)
{
	float u = (threadIdx.x + 0.5f) / SIDE, v = (threadIdx.y + 0.5f) / SIDE;
	for (int l = 0; l < levels; l++) {
		int side = SIDE >> l, x = (int)(u * side), y = (int)(v * side);
		want(tex2DLod<float>(t, u, v, (float)l), 1000.0f * l + y * side + x);
		/* a step of 2^l texels of the picture asks for level l */
		float step = (float)(1 << l) / SIDE;
		want(tex2DGrad<float>(t, u, v, make_float2(step, 0), make_float2(0, step)),
		     1000.0f * l + y * side + x);
	}
	want(tex2DLod<float>(t, u, v, 100.0f), 1000.0f * (levels - 1));
}

__global__ void between(cudaTextureObject_t t)
{
	want(tex2DLod<float>(t, 0.01f, 0.01f, 0.5f), 500);
	want(tex2DLod<float>(t, 0.01f, 0.01f, 2.25f), 2250);
}

__global__ void view_of(cudaTextureObject_t t)
{
	want(tex2DLod<float>(t, 0.01f, 0.01f, 0), 1000);
	want(tex2DLod<float>(t, 0.01f, 0.01f, 9), 2000);
}

static void mipmaps(void)
{
	static float pixels[SIDE * SIDE];
	cudaChannelFormatDesc f = cudaCreateChannelDesc<float>();
	cudaMipmappedArray_t m;
	cudaArray_t level;
	cudaExtent e;
	OK(cudaMallocMipmappedArray(&m, &f, make_cudaExtent(SIDE, SIDE, 0), 20, 0));
	for (int l = 0; l < 5; l++) {
		int side = SIDE >> l;
		for (int i = 0; i < side * side; i++)
			pixels[i] = 1000.0f * l + i;
		OK(cudaGetMipmappedArrayLevel(&level, m, l));
		OK(cudaArrayGetInfo(NULL, &e, NULL, level));
		TRUE((int)e.width == side && (int)e.height == side && e.depth == 0);
		OK(cudaMemcpy2DToArray(level, 0, 0, pixels, side * 4, side * 4, side,
		                       cudaMemcpyHostToDevice));
	}
	IS(cudaGetMipmappedArrayLevel(&level, m, 5), cudaErrorInvalidValue);
	(void)cudaGetLastError();
	cudaResourceDesc r = {};
	cudaTextureDesc how = {};
	cudaResourceViewDesc view = {};
	cudaTextureObject_t t;
	r.resType = cudaResourceTypeMipmappedArray;
	r.res.mipmap.mipmap = m;
	how.addressMode[0] = how.addressMode[1] = cudaAddressModeClamp;
	how.normalizedCoords = 1;
	how.maxMipmapLevelClamp = 4;
	OK(cudaCreateTextureObject(&t, &r, &how, NULL));
	by_level<<<1, dim3(SIDE, SIDE)>>>(t, 5);
	none("levels");
	OK(cudaDestroyTextureObject(t));
	how.mipmapFilterMode = cudaFilterModeLinear;
	OK(cudaCreateTextureObject(&t, &r, &how, NULL));
	between<<<1, 1>>>(t);
	none("between levels");
	OK(cudaDestroyTextureObject(t));
	view.firstMipmapLevel = 1;
	view.lastMipmapLevel = 2;
	view.width = view.height = SIDE / 2;
	OK(cudaCreateTextureObject(&t, &r, &how, &view));
	view_of<<<1, 1>>>(t);
	none("a view of two levels");
	OK(cudaDestroyTextureObject(t));
	OK(cudaFreeMipmappedArray(m));
}

int main()
{
	cudaArray_t a = make(SIDE, 0, LAYERS, cudaArrayLayered);
	lines<<<LAYERS, SIDE>>>(texture(a, true, true));
	none("layered lines");
	OK(cudaFreeArray(a));
	a = make(SIDE, SIDE, LAYERS, cudaArrayLayered);
	pictures<<<LAYERS, dim3(SIDE, SIDE)>>>(texture(a, true, true));
	none("layered pictures");
	OK(cudaFreeArray(a));
	a = make(SIDE, SIDE, LAYERS, 0);
	volume<<<LAYERS, dim3(SIDE, SIDE)>>>(texture(a, false, true));
	none("volume");
	OK(cudaFreeArray(a));
	a = make(SIDE, SIDE, 6, cudaArrayCubemap);
	cube<<<6, dim3(SIDE, SIDE)>>>(texture(a, true, true));
	cube<<<6, dim3(SIDE, SIDE)>>>(texture(a, true, false));
	none("cube");
	OK(cudaFreeArray(a));
	a = make(SIDE, SIDE, 12, cudaArrayCubemap | cudaArrayLayered);
	cubes<<<12, dim3(SIDE, SIDE)>>>(texture(a, true, true));
	none("layered cubes");
	OK(cudaFreeArray(a));
	a = make(SIDE, SIDE, 0, cudaArrayTextureGather);
	gather<<<1, dim3(SIDE, SIDE)>>>(texture(a, false, true));
	none("gather");
	OK(cudaFreeArray(a));
	mipmaps();
	printf("ok\n");
	return 0;
}
