// SPDX-License-Identifier: Apache-2.0
/*
 * matmul.cu: C = A·B by tiles in shared memory with barriers, checked against the CPU bit by bit
 * (both sum in the same order with fused multiply-add). One file, built twice: by nvcc (the
 * kernel) and by the C compiler (the host part, which embeds it).
 */
#define TILE 16

#ifdef __CUDACC__

extern "C" __global__ void matmul(unsigned n, const float *a, const float *b, float *c)
{
	__shared__ float ta[TILE][TILE], tb[TILE][TILE];
	unsigned x = threadIdx.x, y = threadIdx.y;
	unsigned col = blockIdx.x * TILE + x, row = blockIdx.y * TILE + y;
	float sum = 0;
	for (unsigned k0 = 0; k0 < n; k0 += TILE) {
		ta[y][x] = row < n && k0 + x < n ? a[row * n + k0 + x] : 0;
		tb[y][x] = col < n && k0 + y < n ? b[(k0 + y) * n + col] : 0;
		__syncthreads();
		for (unsigned k = 0; k < TILE; k++)
			sum = fmaf(ta[y][k], tb[k][x], sum);
		__syncthreads();
	}
	if (row < n && col < n)
		c[row * n + col] = sum;
}

#else

#include <getopt.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/arrivals.h"
#include "lib/dump.h"
#include "lib/gpu.h"
#include "lib/options.h"

WL_EMBED(matmul_fatbin, FATBIN);

static const char usage[] = "usage: matmul [--n N] [--repeat N] [--seed N] [--dump FILE]\n"
			    "  --n N        rows and columns (default 96)\n"
			    "  --repeat N   rounds (default 1)\n"
			    "  --seed N     of the data (default 1)\n"
			    "  --dump FILE  write the result's bytes\n"
			    "Exit status: 0 result right, 1 a CUDA error or a wrong result, 2 usage.\n";

struct settings {
	uint32_t n;
	uint64_t repeat, seed;
	const char *dump;
};

static struct settings parse(int argc, char **argv)
{
	static const struct option options[] = {
		{"n", 1, 0, 'n'},    {"repeat", 1, 0, 'r'}, {"seed", 1, 0, 's'},
		{"dump", 1, 0, 'd'}, {"help", 0, 0, 'h'},   {0},
	};
	struct settings s = {.n = 96, .repeat = 1, .seed = 1};
	int c;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'n':
			s.n = (uint32_t)wl_option_integer("--n", optarg, 1, 16384);
			break;
		case 'r':
			s.repeat = wl_option_integer("--repeat", optarg, 1, 1000000000);
			break;
		case 's':
			s.seed = wl_option_integer("--seed", optarg, 0, UINT32_MAX);
			break;
		case 'd':
			s.dump = optarg;
			break;
		default:
			wl_option_usage(c, usage);
		}
	}
	wl_option_no_more(argc, argv, usage);
	return s;
}

static float *matrix(uint32_t n)
{
	float *m = calloc((size_t)n * n, sizeof(*m));
	if (!m) {
		fprintf(stderr, "matmul: out of memory for a %u × %u matrix\n", n, n);
		exit(1);
	}
	return m;
}

static void fill(float *m, uint32_t n, uint64_t seed)
{
	for (size_t i = 0; i < (size_t)n * n; i++)
		m[i] = (float)(wl_random(&seed) >> 40) / 8388608.0f - 1; /* [-1, 1) */
}

static void multiply(uint32_t n, const float *a, const float *b, float *c)
{
	for (uint32_t row = 0; row < n; row++) {
		for (uint32_t k = 0; k < n; k++) {
			float v = a[(size_t)row * n + k];
			for (uint32_t col = 0; col < n; col++)
				c[(size_t)row * n + col] = fmaf(v, b[(size_t)k * n + col],
								c[(size_t)row * n + col]);
		}
	}
}

static void check(uint32_t n, const float *want, const float *got, uint64_t round)
{
	for (size_t i = 0; i < (size_t)n * n; i++) {
		if (want[i] != got[i]) {
			fprintf(stderr,
				"matmul: wrong result in round %llu: c[%zu][%zu] is %.9g, not %.9g\n",
				(unsigned long long)round, i / n, i % n, (double)got[i],
				(double)want[i]);
			exit(1);
		}
	}
}

int main(int argc, char **argv)
{
	struct settings s = parse(argc, argv);
	size_t bytes = (size_t)s.n * s.n * sizeof(float);
	float *a = matrix(s.n), *b = matrix(s.n), *c = matrix(s.n), *want = matrix(s.n);
	unsigned tiles = (s.n + TILE - 1) / TILE;
	struct wl_gpu gpu;
	CUdeviceptr da, db, dc;
	fill(a, s.n, s.seed);
	fill(b, s.n, s.seed + 1);
	multiply(s.n, a, b, want);
	wl_gpu_open(&gpu, matmul_fatbin);
	CUfunction f = wl_gpu_function(&gpu, "matmul");
	WL_CU(cuMemAlloc, &da, bytes);
	WL_CU(cuMemAlloc, &db, bytes);
	WL_CU(cuMemAlloc, &dc, bytes);
	WL_CU(cuMemcpyHtoD, da, a, bytes);
	WL_CU(cuMemcpyHtoD, db, b, bytes);
	void *args[] = {&s.n, &da, &db, &dc};
	for (uint64_t round = 1; round <= s.repeat; round++) {
		WL_CU(cuMemsetD8, dc, 0xff, bytes); /* NaNs: an element nobody writes shows */
		WL_CU(cuLaunchKernel, f, tiles, tiles, 1, TILE, TILE, 1, 0, NULL, args, NULL);
		WL_CU(cuMemcpyDtoH, c, dc, bytes);
		check(s.n, want, c, round);
	}
	if (s.dump && wl_dump(s.dump, c, bytes))
		return 1;
	WL_CU(cuMemFree, da);
	WL_CU(cuMemFree, db);
	WL_CU(cuMemFree, dc);
	wl_gpu_close(&gpu);
	printf("matmul: ok (n=%u, repeat=%llu)\n", s.n, (unsigned long long)s.repeat);
	free(a);
	free(b);
	free(c);
	free(want);
	return 0;
}

#endif
