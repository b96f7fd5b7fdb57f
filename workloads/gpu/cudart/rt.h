// SPDX-License-Identifier: Apache-2.0
/*
 * rt.h: what the runtime-API programs of this folder share. Each is an ordinary CUDA program that
 * knows nothing of schedulers; it checks every result against the CPU, and writes all result bytes
 * with `--dump FILE`, so that two runs (with and without something in between) can be compared
 * byte by byte. What they compute is integers (x → a·x + b mod 2³²) or floats that are exact, so
 * that the bytes are the same on every run and every GPU.
 *
 * Exit status: 0 all results right, 1 a CUDA error or a wrong result (one line on stderr), 2
 * usage, 77 this GPU or driver has nothing that could be tried (one line on stderr).
 */
#ifndef WORKLOADS_GPU_CUDART_RT_H
#define WORKLOADS_GPU_CUDART_RT_H

#include <cuda_runtime.h>

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vector>

#define RT_SKIP 77
#define RT_LIMIT_S 60 /* the longest a program may take, whatever the driver does */

static const char *rt_name = "?";
static int rt_wrong; /* answers that were not as expected */
static const char *rt_dump;
static const char *rt_mode; /* the first argument that is no option, or NULL */
static std::vector<unsigned char> *rt_bytes;

[[noreturn]] static inline void rt_fail(const char *fmt, ...)
{
	va_list ap;
	fflush(stdout);
	fprintf(stderr, "%s: ", rt_name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	_exit(1); /* not exit(): a failed program must not hang in its destructors */
}

[[noreturn]] static inline void rt_skip(const char *why)
{
	fprintf(stderr, "%s: skipped: %s\n", rt_name, why);
	exit(RT_SKIP);
}

static inline void rt_check(cudaError_t e, const char *call, const char *file, int line)
{
	if (e != cudaSuccess)
		rt_fail("%s:%d: %s: %s (%s)", file, line, call, cudaGetErrorName(e),
		        cudaGetErrorString(e));
}
/* RT(cudaMalloc(&p, n)): ends the program if it fails */
#define RT(call) rt_check((call), #call, __FILE__, __LINE__)
/* after <<<…>>> */
#define RT_LAUNCHED() rt_check(cudaGetLastError(), "kernel launch", __FILE__, __LINE__)
#define RT_TRUE(condition)                                                                         \
	((condition) ? (void)0 : rt_fail("%s:%d: not true: %s", __FILE__, __LINE__, #condition))

/* RT_IS(cudaErrorInvalidValue, call): an answer of the driver's. A wrong one fails the program at
 * its end: one run shows them all. */
static inline void rt_is(cudaError_t want, cudaError_t got, const char *call, const char *file,
                         int line)
{
	if (got == want)
		return;
	fprintf(stderr, "%s: %s:%d: %s: %s, expected %s\n", rt_name, file, line, call,
	        cudaGetErrorName(got), cudaGetErrorName(want));
	rt_wrong++;
}
#define RT_IS(want, call) rt_is(want, call, #call, __FILE__, __LINE__)
/* The error of the launch before it. */
#define RT_REFUSED(want, what) rt_is(want, cudaGetLastError(), what, __FILE__, __LINE__)

/* Command line and time limit. Calls no CUDA function. */
static inline void rt_begin(const char *name, int argc, char **argv)
{
	rt_name = name;
	rt_bytes = new std::vector<unsigned char>; /* never freed: atexit handlers use it */
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--dump") == 0 && i + 1 < argc) {
			rt_dump = argv[++i];
		} else if (argv[i][0] != '-' && !rt_mode) {
			rt_mode = argv[i];
		} else {
			fprintf(stderr, "usage: %s [MODE] [--dump FILE]\n", name);
			exit(2);
		}
	}
	alarm(RT_LIMIT_S);
}

/* Device 0 must be there. */
static inline void rt_device(void)
{
	int n = 0;
	cudaError_t e = cudaGetDeviceCount(&n);
	if (e != cudaSuccess || n == 0)
		rt_fail("no usable GPU: %s",
		        e == cudaSuccess ? "no device" : cudaGetErrorString(e));
	RT(cudaSetDevice(0));
}

static inline int rt_attribute(cudaDeviceAttr a)
{
	int v = 0;
	RT(cudaDeviceGetAttribute(&v, a, 0));
	return v;
}

/* Adds to what --dump writes. */
static inline void rt_result(const void *data, size_t len)
{
	const unsigned char *p = (const unsigned char *)data;
	rt_bytes->insert(rt_bytes->end(), p, p + len);
}

static inline uint64_t rt_digest(void)
{
	uint64_t h = 14695981039346656037ull; /* FNV-1a */
	for (size_t i = 0; i < rt_bytes->size(); i++)
		h = (h ^ (*rt_bytes)[i]) * 1099511628211ull;
	return h;
}

/* The last line of main(): return rt_end(); */
static inline int rt_end(void)
{
	if (rt_dump) {
		FILE *f = fopen(rt_dump, "wb");
		bool good =
		    f && fwrite(rt_bytes->data(), 1, rt_bytes->size(), f) == rt_bytes->size();
		if (!f || fclose(f) != 0 || !good)
			rt_fail("cannot write %s", rt_dump);
	}
	if (rt_wrong)
		rt_fail("%d answers are not as expected", rt_wrong);
	printf("%s: ok (%zu bytes, digest %016llx)\n", rt_name, rt_bytes->size(),
	       (unsigned long long)rt_digest());
	fflush(stdout);
	return 0;
}

/* ---- x → a·x + b mod 2³², `rounds` times: the work of most programs here */

static __global__ void rt_affine(uint32_t *x, unsigned n, uint32_t a, uint32_t b, unsigned rounds)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i >= n)
		return;
	uint32_t v = x[i];
	for (unsigned r = 0; r < rounds; r++)
		v = a * v + b;
	x[i] = v;
}

static inline uint32_t rt_affine_cpu(uint32_t v, uint32_t a, uint32_t b, uint64_t rounds)
{
	uint32_t ta = 1, tb = 0; /* the composition so far, by squaring */
	for (; rounds; rounds >>= 1) {
		if (rounds & 1) {
			tb = a * tb + b;
			ta = a * ta;
		}
		b = a * b + b;
		a = a * a;
	}
	return ta * v + tb;
}

static inline unsigned rt_blocks(unsigned n)
{
	return (n + 255) / 256;
}

static inline std::vector<uint32_t> rt_filled(unsigned n, uint32_t seed)
{
	std::vector<uint32_t> v(n);
	for (unsigned i = 0; i < n; i++)
		v[i] = rt_affine_cpu(seed + i, 1664525u, 1013904223u, 3);
	return v;
}

static inline void rt_same(const uint32_t *got, const uint32_t *want, unsigned n, const char *what)
{
	for (unsigned i = 0; i < n; i++)
		if (got[i] != want[i])
			rt_fail("%s: [%u] is %u, not %u", what, i, got[i], want[i]);
	rt_result(got, n * sizeof(*got));
}

#endif
