// SPDX-License-Identifier: Apache-2.0
/*
 * texture.cu: texture objects as image filters use them: every address mode, point and linear,
 * coordinates in texels and normalized; texels of bytes, shorts, halves and floats; arrays, rows
 * with a pitch and linear memory. Against the formulas of the CUDA Programming Guide, "Texture
 * Fetching", with weights of 8 bits.
 */
#include <cuda_fp16.h>
#include <math.h>

#include "t.h"

enum { W = 37, H = 21, N = 4096 };

static float image[H][W];
static float *positions, *got; /* N of x, y; N results */

__global__ void read_floats(cudaTextureObject_t t, const float *at, float *out)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	out[i] = tex2D<float>(t, at[2 * i], at[2 * i + 1]);
}

__global__ void read_line(cudaTextureObject_t t, const float *at, float *out)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	out[i] = tex1D<float>(t, at[2 * i]);
}

template <class T> __global__ void read_texels(cudaTextureObject_t t, T *out)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < W * H)
		out[i] = tex2D<T>(t, i % W + 0.5f, i / W + 0.5f);
}

template <class T> __global__ void fetch(cudaTextureObject_t t, T *out, int n)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	out[i] = tex1Dfetch<T>(t, i - 8); /* 8 before it, and some behind */
}

/* ---- what is expected */

static int wrapped(cudaTextureAddressMode mode, int i, int n)
{
	if (i >= 0 && i < n)
		return i;
	if (mode == cudaAddressModeWrap)
		return ((i % n) + n) % n;
	if (mode == cudaAddressModeMirror) {
		i = ((i % (2 * n)) + 2 * n) % (2 * n);
		return i < n ? i : 2 * n - 1 - i;
	}
	return mode == cudaAddressModeBorder ? -1 : i < 0 ? 0 : n - 1;
}

static double texel(cudaTextureAddressMode mode, int x, int y, int h)
{
	x = wrapped(mode, x, W);
	y = wrapped(mode, y, h);
	return x < 0 || y < 0 ? 0 : image[y][x];
}

static double expected(const cudaTextureDesc &how, double x, double y, int h)
{
	cudaTextureAddressMode mode = how.addressMode[0];
	if (how.normalizedCoords) {
		x *= W;
		y *= h;
	} else if (mode != cudaAddressModeBorder) {
		mode = cudaAddressModeClamp;
	}
	if (how.filterMode == cudaFilterModePoint)
		return texel(mode, (int)floor(x), (int)floor(y), h);
	double fx = floor((x - 0.5) * 256 + 0.5) / 256, fy = floor((y - 0.5) * 256 + 0.5) / 256;
	int i = (int)floor(fx), j = (int)floor(fy);
	double a = fx - i, b = fy - j;
	return (1 - a) * (1 - b) * texel(mode, i, j, h) + a * (1 - b) * texel(mode, i + 1, j, h) +
	       (1 - a) * b * texel(mode, i, j + 1, h) + a * b * texel(mode, i + 1, j + 1, h);
}

/* Places on a grid of 1/64 texels, so that roundings cannot differ; from two images before to two
 * behind. */
static void choose(bool normalized, int h)
{
	unsigned state = 1;
	for (int i = 0; i < N; i++) {
		float side[2] = {(float)W, (float)h};
		for (int k = 0; k < 2; k++) {
			state = state * 1664525 + 1013904223;
			int steps = (int)(state >> 8) % (int)(side[k] * 64 * 5);
			float v = steps / 64.0f - 2 * side[k] + 1 / 128.0f;
			positions[2 * i + k] = normalized ? v / side[k] : v;
		}
	}
}

static void all_modes(const cudaResourceDesc &resource, int h, bool line)
{
	for (int mode = 0; mode < 4; mode++)
		for (int linear = 0; linear < 2; linear++)
			for (int normalized = 0; normalized < 2; normalized++) {
				cudaTextureObject_t t;
				cudaTextureDesc how = {};
				how.addressMode[0] = how.addressMode[1] =
				    (cudaTextureAddressMode)mode;
				how.filterMode = linear ? cudaFilterModeLinear : cudaFilterModePoint;
				how.normalizedCoords = normalized;
				OK(cudaCreateTextureObject(&t, &resource, &how, NULL));
				choose(normalized, h);
				if (line)
					read_line<<<N / 128, 128>>>(t, positions, got);
				else
					read_floats<<<N / 128, 128>>>(t, positions, got);
				OK(cudaDeviceSynchronize());
				for (int i = 0; i < N; i++) {
					double x = positions[2 * i];
					double y = line ? 0.5 : positions[2 * i + 1];
					/* normalized places are not exact: look on both sides */
					double e = 1e9, d = normalized ? 2e-6 : 0;
					for (int s = 0; s < 9; s++)
						e = fmin(e, fabs(got[i] -
						                 expected(how, x + (s % 3 - 1) * d,
						                          y + (s / 3 - 1) * d, h)));
					if (e > 0.05) {
						fprintf(stderr,
						        "mode %d linear %d normalized %d at %g "
						        "%g: %g, not %g\n",
						        mode, linear, normalized, x, y, got[i],
						        expected(how, x, y, h));
						_exit(1);
					}
				}
				OK(cudaDestroyTextureObject(t));
			}
}

static void arrays_and_pitch(void)
{
	cudaChannelFormatDesc d = cudaCreateChannelDesc<float>();
	cudaResourceDesc r = {};
	cudaArray_t a;
	OK(cudaMallocArray(&a, &d, W, H));
	OK(cudaMemcpy2DToArray(a, 0, 0, image, sizeof(image[0]), sizeof(image[0]), H,
	                       cudaMemcpyHostToDevice));
	r.resType = cudaResourceTypeArray;
	r.res.array.array = a;
	all_modes(r, H, false);
	OK(cudaFreeArray(a));

	OK(cudaMallocArray(&a, &d, W));
	OK(cudaMemcpy2DToArray(a, 0, 0, image, sizeof(image[0]), sizeof(image[0]), 1,
	                       cudaMemcpyHostToDevice));
	r.res.array.array = a;
	all_modes(r, 1, true);
	OK(cudaFreeArray(a));

	void *rows;
	size_t pitch;
	OK(cudaMallocPitch(&rows, &pitch, sizeof(image[0]), H));
	OK(cudaMemcpy2D(rows, pitch, image, sizeof(image[0]), sizeof(image[0]), H,
	                cudaMemcpyHostToDevice));
	r = {};
	r.resType = cudaResourceTypePitch2D;
	r.res.pitch2D.devPtr = rows;
	r.res.pitch2D.desc = d;
	r.res.pitch2D.width = W;
	r.res.pitch2D.height = H;
	r.res.pitch2D.pitchInBytes = pitch;
	all_modes(r, H, false);
	OK(cudaFree(rows));
}

/* ---- texels of other types */

template <class T, class R>
static R *read_as(const T *from, cudaTextureReadMode mode,
                  cudaChannelFormatDesc d = cudaCreateChannelDesc<T>())
{
	cudaTextureDesc how = {};
	cudaResourceDesc r = {};
	cudaTextureObject_t t;
	R *out;
	OK(cudaMallocManaged(&out, W * H * sizeof(R)));
	r.resType = cudaResourceTypeArray;
	OK(cudaMallocArray(&r.res.array.array, &d, W, H));
	OK(cudaMemcpy2DToArray(r.res.array.array, 0, 0, from, W * sizeof(T), W * sizeof(T), H,
	                       cudaMemcpyHostToDevice));
	how.readMode = mode;
	OK(cudaCreateTextureObject(&t, &r, &how, NULL));
	read_texels<R><<<(W * H + 127) / 128, 128>>>(t, out);
	OK(cudaDeviceSynchronize());
	OK(cudaDestroyTextureObject(t));
	OK(cudaFreeArray(r.res.array.array));
	return out;
}

static void types(void)
{
	static uchar4 bytes[W * H];
	static short2 shorts[W * H];
	static signed char chars[W * H];
	static int ints[W * H];
	static __half halves[W * H];
	for (int i = 0; i < W * H; i++) {
		bytes[i] = make_uchar4(i, i * 3, i * 7, 255 - i % 256);
		shorts[i] = make_short2((short)(i * 77 - 30000), (short)-i);
		chars[i] = (signed char)(i - 128);
		ints[i] = i * 1234567 - 50000000;
		halves[i] = __float2half(i / 16.0f - 20);
	}
	uchar4 *b = read_as<uchar4, uchar4>(bytes, cudaReadModeElementType);
	float4 *f = read_as<uchar4, float4>(bytes, cudaReadModeNormalizedFloat);
	short2 *s = read_as<short2, short2>(shorts, cudaReadModeElementType);
	float2 *g = read_as<short2, float2>(shorts, cudaReadModeNormalizedFloat);
	float *c = read_as<signed char, float>(chars, cudaReadModeNormalizedFloat);
	int *n = read_as<int, int>(ints, cudaReadModeElementType);
	float *h = read_as<__half, float>(halves, cudaReadModeElementType,
	                                  cudaCreateChannelDescHalf());
	for (int i = 0; i < W * H; i++) {
		TRUE(!memcmp(&b[i], &bytes[i], 4));
		TRUE(f[i].x == bytes[i].x / 255.0f && f[i].w == bytes[i].w / 255.0f);
		TRUE(s[i].x == shorts[i].x && s[i].y == shorts[i].y);
		TRUE(g[i].x == fmaxf(shorts[i].x / 32767.0f, -1));
		TRUE(c[i] == fmaxf(chars[i] / 127.0f, -1));
		TRUE(n[i] == ints[i]);
		TRUE(h[i] == __half2float(halves[i]));
	}
}

static void linear_memory(void)
{
	enum { COUNT = 100 };
	float4 *from, *out, zero = {};
	cudaResourceDesc r = {};
	cudaTextureDesc how = {};
	cudaTextureObject_t t;
	OK(cudaMallocManaged(&from, COUNT * sizeof(*from)));
	OK(cudaMallocManaged(&out, 128 * sizeof(*out)));
	for (int i = 0; i < COUNT; i++)
		from[i] = make_float4(i, i + 0.5f, -i, 1.0f / (i + 1));
	r.resType = cudaResourceTypeLinear;
	r.res.linear.devPtr = from;
	r.res.linear.desc = cudaCreateChannelDesc<float4>();
	r.res.linear.sizeInBytes = COUNT * sizeof(*from);
	OK(cudaCreateTextureObject(&t, &r, &how, NULL));
	fetch<float4><<<1, 128>>>(t, out, COUNT);
	OK(cudaDeviceSynchronize());
	for (int i = 0; i < 128; i++) {
		const float4 *want = i < 8 || i >= 8 + COUNT ? &zero : &from[i - 8];
		TRUE(!memcmp(want, &out[i], sizeof(zero)));
	}
	cudaResourceDesc r2;
	cudaTextureDesc how2;
	OK(cudaGetTextureObjectResourceDesc(&r2, t));
	TRUE(r2.resType == r.resType && r2.res.linear.devPtr == from && r2.res.linear.desc.w == 32);
	OK(cudaGetTextureObjectTextureDesc(&how2, t));
	TRUE(how2.readMode == how.readMode && !how2.normalizedCoords);
	OK(cudaDestroyTextureObject(t));
	IS(cudaGetTextureObjectResourceDesc(&r2, t), cudaErrorInvalidValue);
	(void)cudaGetLastError();
}

static void refusals(void)
{
	cudaChannelFormatDesc d = cudaCreateChannelDesc<int>(), three = {8, 8, 8, 0};
	cudaResourceDesc r = {};
	cudaTextureDesc how = {};
	cudaTextureObject_t t;
	OK(cudaMallocArray(&r.res.array.array, &d, 8, 8));
	how.filterMode = cudaFilterModeLinear;
	IS(cudaCreateTextureObject(&t, &r, &how, NULL), cudaErrorInvalidFilterSetting);
	how.filterMode = cudaFilterModePoint;
	how.readMode = cudaReadModeNormalizedFloat;
	IS(cudaCreateTextureObject(&t, &r, &how, NULL), cudaErrorInvalidNormSetting);
	cudaArray_t a;
	IS(cudaMallocArray(&a, &three, 8, 8), cudaErrorInvalidChannelDescriptor);
	OK(cudaFreeArray(r.res.array.array));
	OK(cudaFreeArray(NULL));
	OK(cudaDestroyTextureObject(0));
	(void)cudaGetLastError();
}

int main()
{
	OK(cudaMallocManaged(&positions, N * 2 * sizeof(float)));
	OK(cudaMallocManaged(&got, N * sizeof(float)));
	for (int y = 0; y < H; y++)
		for (int x = 0; x < W; x++)
			image[y][x] = (float)((x * 37 + y * 101) % 97) * 10 + 1;
	arrays_and_pitch();
	types();
	linear_memory();
	refusals();
	OK(cudaDeviceReset());
	printf("ok\n");
	return 0;
}
