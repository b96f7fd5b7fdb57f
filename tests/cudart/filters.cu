// SPDX-License-Identifier: Apache-2.0
/*
 * filters.cu: image filters through textures, as samples of image processing have them: a separable
 * convolution whose first half goes through a surface, an edge detector on bytes, bicubic
 * enlargement out of four linear fetches, and a shift with wrap-around; against plain loops.
 */
#include <math.h>

#include "t.h"

enum { W = 48, H = 32, R = 4 };

static float image[H][W];
static unsigned char bytes[H][W];
static float *out;

template <class T>
static cudaTextureObject_t texture(const T *from, cudaTextureFilterMode filter,
                                   cudaTextureAddressMode mode, bool normalized,
                                   cudaTextureReadMode read, cudaArray_t *a)
{
	cudaChannelFormatDesc d = cudaCreateChannelDesc<T>();
	cudaResourceDesc r = {};
	cudaTextureDesc how = {};
	cudaTextureObject_t t;
	OK(cudaMallocArray(a, &d, W, H, cudaArraySurfaceLoadStore));
	OK(cudaMemcpy2DToArray(*a, 0, 0, from, W * sizeof(T), W * sizeof(T), H,
	                       cudaMemcpyHostToDevice));
	r.resType = cudaResourceTypeArray;
	r.res.array.array = *a;
	how.filterMode = filter;
	how.addressMode[0] = how.addressMode[1] = mode;
	how.normalizedCoords = normalized;
	how.readMode = read;
	OK(cudaCreateTextureObject(&t, &r, &how, NULL));
	return t;
}

static void drop(cudaTextureObject_t t, cudaArray_t a)
{
	OK(cudaDestroyTextureObject(t));
	OK(cudaFreeArray(a));
}

static int clamp(int i, int n)
{
	return i < 0 ? 0 : i >= n ? n - 1 : i;
}

static void near(int x, int y, double want, double bound, const char *what)
{
	float got = out[y * W + x];
	if (fabs(got - want) <= bound)
		return;
	fprintf(stderr, "%s at %d, %d: %g, not %g\n", what, x, y, got, want);
	_exit(1);
}

/* ---- a separable convolution: rows into an array, columns out of it */

__constant__ float weights[2 * R + 1];

__global__ void rows(cudaTextureObject_t t, cudaSurfaceObject_t s)
{
	int x = threadIdx.x, y = blockIdx.x;
	float sum = 0;
	for (int k = -R; k <= R; k++)
		sum += tex2D<float>(t, x + k + 0.5f, y + 0.5f) * weights[R - k];
	surf2Dwrite(sum, s, x * (int)sizeof(float), y);
}

__global__ void columns(cudaTextureObject_t t, float *o)
{
	int x = threadIdx.x, y = blockIdx.x;
	float sum = 0;
	for (int k = -R; k <= R; k++)
		sum += tex2D<float>(t, x + 0.5f, y + k + 0.5f) * weights[R - k];
	o[y * W + x] = sum;
}

static void convolution(void)
{
	static float first[H][W];
	float w[2 * R + 1];
	cudaArray_t a, b;
	cudaResourceDesc r = {};
	cudaSurfaceObject_t s;
	for (int k = 0; k <= 2 * R; k++)
		w[k] = 1.0f / (1 + k);
	OK(cudaMemcpyToSymbol(weights, w, sizeof(w)));
	cudaTextureObject_t t = texture(image[0], cudaFilterModePoint, cudaAddressModeClamp, false,
	                                cudaReadModeElementType, &a);
	cudaTextureObject_t u = texture(first[0], cudaFilterModePoint, cudaAddressModeClamp, false,
	                                cudaReadModeElementType, &b);
	r.resType = cudaResourceTypeArray;
	r.res.array.array = b;
	OK(cudaCreateSurfaceObject(&s, &r));
	rows<<<H, W>>>(t, s);
	columns<<<H, W>>>(u, out);
	OK(cudaDeviceSynchronize());
	for (int y = 0; y < H; y++)
		for (int x = 0; x < W; x++)
			for (int k = -R; k <= R; k++)
				first[y][x] += image[y][clamp(x + k, W)] * w[R - k];
	for (int y = 0; y < H; y++)
		for (int x = 0; x < W; x++) {
			double want = 0;
			for (int k = -R; k <= R; k++)
				want += first[clamp(y + k, H)][x] * w[R - k];
			near(x, y, want, 1e-3 * fabs(want) + 1e-3, "convolution");
		}
	OK(cudaDestroySurfaceObject(s));
	drop(t, a);
	drop(u, b);
}

/* ---- edges of bytes */

__global__ void sobel(cudaTextureObject_t t, float *o)
{
	int x = threadIdx.x, y = blockIdx.x;
	auto at = [&](int i, int j) { return (int)tex2D<unsigned char>(t, x + i, y + j); };
	int h = at(1, -1) + 2 * at(1, 0) + at(1, 1) - at(-1, -1) - 2 * at(-1, 0) - at(-1, 1);
	int v = at(-1, 1) + 2 * at(0, 1) + at(1, 1) - at(-1, -1) - 2 * at(0, -1) - at(1, -1);
	o[y * W + x] = (float)(abs(h) + abs(v));
}

static void edges(void)
{
	cudaArray_t a;
	cudaTextureObject_t t = texture(bytes[0], cudaFilterModePoint, cudaAddressModeClamp, false,
	                                cudaReadModeElementType, &a);
	sobel<<<H, W>>>(t, out);
	OK(cudaDeviceSynchronize());
	for (int y = 0; y < H; y++)
		for (int x = 0; x < W; x++) {
			int p[3][3];
			for (int i = 0; i < 9; i++)
				p[i / 3][i % 3] =
				    bytes[clamp(y + i / 3 - 1, H)][clamp(x + i % 3 - 1, W)];
			int h = p[0][2] + 2 * p[1][2] + p[2][2] - p[0][0] - 2 * p[1][0] - p[2][0];
			int v = p[2][0] + 2 * p[2][1] + p[2][2] - p[0][0] - 2 * p[0][1] - p[0][2];
			near(x, y, abs(h) + abs(v), 0, "edges");
		}
	drop(t, a);
}

/* ---- bicubic: the B-spline's four weights as two linear fetches a direction */

__host__ __device__ static void spline(double a, double w[4])
{
	w[0] = (1 - a) * (1 - a) * (1 - a) / 6;
	w[1] = (a * a * (3 * a - 6) + 4) / 6;
	w[2] = (a * (a * (3 - 3 * a) + 3) + 1) / 6;
	w[3] = a * a * a / 6;
}

__global__ void bicubic(cudaTextureObject_t t, float *o)
{
	float x = threadIdx.x * 0.37f + 5, y = blockIdx.x * 0.61f + 4;
	float px = floorf(x - 0.5f), py = floorf(y - 0.5f);
	double wx[4], wy[4];
	spline(x - 0.5f - px, wx);
	spline(y - 0.5f - py, wy);
	float sum = 0;
	for (int j = 0; j < 2; j++)
		for (int i = 0; i < 2; i++) {
			float gx = (float)(wx[2 * i] + wx[2 * i + 1]);
			float gy = (float)(wy[2 * j] + wy[2 * j + 1]);
			float u = px + 2 * i - 0.5f + (float)(wx[2 * i + 1] / gx);
			float v = py + 2 * j - 0.5f + (float)(wy[2 * j + 1] / gy);
			sum += gx * gy * tex2D<float>(t, u, v);
		}
	o[blockIdx.x * W + threadIdx.x] = sum;
}

static void enlarged(void)
{
	cudaArray_t a;
	cudaTextureObject_t t = texture(bytes[0], cudaFilterModeLinear, cudaAddressModeClamp, false,
	                                cudaReadModeNormalizedFloat, &a);
	bicubic<<<H, W>>>(t, out);
	OK(cudaDeviceSynchronize());
	for (int i = 0; i < H; i++)
		for (int k = 0; k < W; k++) {
			float x = k * 0.37f + 5, y = i * 0.61f + 4;
			int px = (int)floorf(x - 0.5f), py = (int)floorf(y - 0.5f);
			double wx[4], wy[4], want = 0;
			spline(x - 0.5f - px, wx);
			spline(y - 0.5f - py, wy);
			for (int n = 0; n < 16; n++)
				want += wx[n % 4] * wy[n / 4] *
				        bytes[clamp(py + n / 4 - 1, H)][clamp(px + n % 4 - 1, W)];
			near(k, i, want / 255, 0.01, "bicubic"); /* weights of 8 bits */
		}
	drop(t, a);
}

/* ---- shifted, with wrap-around */

__global__ void shift(cudaTextureObject_t t, float *o, int dx, int dy)
{
	int x = threadIdx.x, y = blockIdx.x;
	o[y * W + x] = tex2D<float>(t, (x + dx + 0.5f) / W, (y + dy + 0.5f) / H);
}

static void shifted(void)
{
	cudaArray_t a;
	cudaTextureObject_t t = texture(image[0], cudaFilterModePoint, cudaAddressModeWrap, true,
	                                cudaReadModeElementType, &a);
	const int by[][2] = {{5, 7}, {-11, 40}, {100, -70}};
	for (int k = 0; k < 3; k++) {
		int dx = by[k][0], dy = by[k][1];
		shift<<<H, W>>>(t, out, dx, dy);
		OK(cudaDeviceSynchronize());
		for (int y = 0; y < H; y++)
			for (int x = 0; x < W; x++)
				near(x, y, image[((y + dy) % H + H) % H][((x + dx) % W + W) % W], 0,
				     "shift");
	}
	drop(t, a);
}

int main()
{
	OK(cudaMallocManaged(&out, W * H * sizeof(*out)));
	for (int y = 0; y < H; y++)
		for (int x = 0; x < W; x++) {
			image[y][x] = (float)((x * 13 + y * 29) % 61) - 20;
			bytes[y][x] = (unsigned char)((x * x + 3 * y * y) % 256);
		}
	convolution();
	edges();
	enlarged();
	shifted();
	printf("ok\n");
	return 0;
}
