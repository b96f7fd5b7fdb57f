// SPDX-License-Identifier: Apache-2.0
/*
 * saxpy.cu: y = a·x + y, round after round, checked against the CPU after each. One file, built
 * twice: by nvcc (the kernel, to a fat binary) and by the C compiler (the host part, which
 * embeds it). Each round adds to the last one's y, so a lost or repeated launch shows.
 */
#ifdef __CUDACC__

extern "C" __global__ void saxpy(unsigned n, float a, const float *x, float *y)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < n)
		y[i] = fmaf(a, x[i], y[i]);
}

#else

#include <getopt.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/arrivals.h"
#include "lib/dump.h"
#include "lib/gpu.h"
#include "lib/options.h"

WL_EMBED(saxpy_fatbin, FATBIN);

static const char usage[] = "usage: saxpy [--n N] [--repeat N] [--seed N] [--dump FILE]\n"
			    "  --n N        elements (default 65536)\n"
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
	struct settings s = {.n = 65536, .repeat = 1, .seed = 1};
	int c;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'n':
			s.n = (uint32_t)wl_option_integer("--n", optarg, 1, 1u << 28);
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

static float *filled(uint32_t n, uint64_t seed)
{
	float *v = malloc((size_t)n * sizeof(*v));
	if (!v) {
		fprintf(stderr, "saxpy: out of memory for %u elements\n", n);
		exit(1);
	}
	for (uint32_t i = 0; i < n; i++)
		v[i] = (float)(wl_random(&seed) >> 40) / 16777216.0f; /* [0, 1), exact */
	return v;
}

/* One round on the CPU; ends the program if the GPU's y differs in a bit. */
static void check(const struct settings *s, float a, const float *x, float *want, const float *got,
		  uint64_t round)
{
	for (uint32_t i = 0; i < s->n; i++) {
		want[i] = fmaf(a, x[i], want[i]);
		if (want[i] != got[i]) {
			fprintf(stderr, "saxpy: wrong result in round %llu: y[%u] is %.9g, not %.9g\n",
				(unsigned long long)round, i, (double)got[i], (double)want[i]);
			exit(1);
		}
	}
}

int main(int argc, char **argv)
{
	struct settings s = parse(argc, argv);
	size_t bytes = (size_t)s.n * sizeof(float);
	float a = 0.75f, *x = filled(s.n, s.seed), *y = filled(s.n, s.seed + 1),
	      *want = filled(s.n, s.seed + 1);
	struct wl_gpu gpu;
	CUdeviceptr dx, dy;
	wl_gpu_open(&gpu, saxpy_fatbin);
	CUfunction f = wl_gpu_function(&gpu, "saxpy");
	WL_CU(cuMemAlloc, &dx, bytes);
	WL_CU(cuMemAlloc, &dy, bytes);
	WL_CU(cuMemcpyHtoD, dx, x, bytes);
	WL_CU(cuMemcpyHtoD, dy, y, bytes);
	void *args[] = {&s.n, &a, &dx, &dy};
	for (uint64_t round = 1; round <= s.repeat; round++) {
		WL_CU(cuLaunchKernel, f, (s.n + 255) / 256, 1, 1, 256, 1, 1, 0, NULL, args, NULL);
		WL_CU(cuMemcpyDtoH, y, dy, bytes);
		check(&s, a, x, want, y, round);
	}
	if (s.dump && wl_dump(s.dump, y, bytes))
		return 1;
	WL_CU(cuMemFree, dx);
	WL_CU(cuMemFree, dy);
	wl_gpu_close(&gpu);
	printf("saxpy: ok (n=%u, repeat=%llu)\n", s.n, (unsigned long long)s.repeat);
	free(x);
	free(y);
	free(want);
	return 0;
}

#endif
