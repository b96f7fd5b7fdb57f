// SPDX-License-Identifier: Apache-2.0
/*
 * held.c: kernels that only a context gate can interrupt, with results that are right to the bit or
 * not. Each prints how many kernels it ran; all but `exit` check their results.
 *
 *   held long N    launches a kernel N times; the test declares how long one takes
 *   held step N    the same, and waits for each
 *   held fork N    the same as long, and forks: children that end, and that become another program
 *   held stay MS   one kernel, which goes on until the program says stop
 *   held exit MS   ends that much after a launch, without waiting for the kernel
 */
#include "api_client.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define N 256
#define STEPS 500 /* of one `mix` */
#define FACTOR 1664525u

/* mix: p[i] = p[i] * FACTOR + v, STEPS times.   stay: the same until *stop; how often to n[i]. */
static const char ptx[] = ".version 7.0\n"
			  ".target sm_75\n"
			  ".address_size 64\n"
			  ".visible .entry mix(.param .u64 a_p, .param .u32 a_v)\n"
			  "{\n"
			  " .reg .pred %q;\n"
			  " .reg .b32 %r<8>;\n"
			  " .reg .b64 %d<4>;\n"
			  " ld.param.u64 %d1, [a_p];\n"
			  " ld.param.u32 %r2, [a_v];\n"
			  " mov.u32 %r1, %tid.x;\n"
			  " cvta.to.global.u64 %d2, %d1;\n"
			  " mul.wide.u32 %d3, %r1, 4;\n"
			  " add.s64 %d2, %d2, %d3;\n"
			  " ld.global.u32 %r3, [%d2];\n"
			  " mov.u32 %r4, 500;\n"
			  "again:\n"
			  " mad.lo.u32 %r3, %r3, 1664525, %r2;\n"
			  " add.u32 %r4, %r4, -1;\n"
			  " setp.ne.u32 %q, %r4, 0;\n"
			  " @%q bra again;\n"
			  " st.global.u32 [%d2], %r3;\n"
			  " ret;\n"
			  "}\n"
			  ".visible .entry stay(.param .u64 a_p, .param .u32 a_v,\n"
			  "                     .param .u64 a_n, .param .u64 a_stop)\n"
			  "{\n"
			  " .reg .pred %q;\n"
			  " .reg .b32 %r<8>;\n"
			  " .reg .b64 %d<8>;\n"
			  " ld.param.u64 %d1, [a_p];\n"
			  " ld.param.u32 %r2, [a_v];\n"
			  " ld.param.u64 %d4, [a_n];\n"
			  " ld.param.u64 %d6, [a_stop];\n"
			  " mov.u32 %r1, %tid.x;\n"
			  " cvta.to.global.u64 %d2, %d1;\n"
			  " cvta.to.global.u64 %d5, %d4;\n"
			  " cvta.to.global.u64 %d7, %d6;\n"
			  " mul.wide.u32 %d3, %r1, 4;\n"
			  " add.s64 %d2, %d2, %d3;\n"
			  " add.s64 %d5, %d5, %d3;\n"
			  " ld.global.u32 %r3, [%d2];\n"
			  " mov.u32 %r4, 0;\n"
			  "once_more:\n"
			  " mad.lo.u32 %r3, %r3, 1664525, %r2;\n"
			  " add.u32 %r4, %r4, 1;\n"
			  " ld.volatile.global.u32 %r5, [%d7];\n"
			  " setp.eq.u32 %q, %r5, 0;\n"
			  " @%q bra once_more;\n"
			  " st.global.u32 [%d2], %r3;\n"
			  " st.global.u32 [%d5], %r4;\n"
			  " ret;\n"
			  "}\n";

static CUfunction mix, stay;
static CUdeviceptr p;
static uint32_t values[N];

static void open_gpu(void)
{
	CUcontext ctx;
	CUmodule module;
	OK(cuInit(0));
	OK(cuDevicePrimaryCtxRetain(&ctx, 0));
	OK(cuCtxSetCurrent(ctx));
	OK(cuModuleLoadData(&module, ptx));
	OK(cuModuleGetFunction(&mix, module, "mix"));
	OK(cuModuleGetFunction(&stay, module, "stay"));
	OK(cuMemAlloc(&p, sizeof(values)));
	for (unsigned i = 0; i < N; i++)
		values[i] = i;
	OK(cuMemcpyHtoD(p, values, sizeof(values)));
}

static void expect_values(void)
{
	uint32_t got[N];
	OK(cuMemcpyDtoH(got, p, sizeof(got)));
	for (unsigned i = 0; i < N; i++) {
		if (got[i] == values[i])
			continue;
		fprintf(stderr, "[%u] is %u, expected %u\n", i, got[i], values[i]);
		exit(1);
	}
}

static void step(uint32_t *value, uint32_t v, uint64_t times)
{
	for (uint64_t k = 0; k < times; k++)
		*value = *value * FACTOR + v;
}

static void fork_one(bool becomes_another)
{
	int status;
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		if (becomes_another)
			execl("/bin/true", "true", (char *)NULL);
		exit(becomes_another);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(status == 0);
}

static void run_long(uint32_t rounds, bool waits, bool forks)
{
	for (uint32_t v = 1; v <= rounds; v++) {
		void *params[] = {&p, &v};
		OK(cuLaunchKernel(mix, 1, 1, 1, N, 1, 1, 0, NULL, params, NULL));
		if (waits)
			OK(cuCtxSynchronize());
		if (forks)
			fork_one(v % 2);
		for (unsigned i = 0; i < N; i++)
			step(&values[i], v, STEPS);
	}
	OK(cuCtxSynchronize());
	expect_values();
	printf("ok %u\n", rounds);
}

/* One warp: how far its lanes came differs at most by nothing, but each says for itself. */
static void run_stay(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};
	uint32_t v = 7, times[32];
	volatile uint32_t *stop;
	CUdeviceptr n, stop_dev;
	OK(cuMemAlloc(&n, sizeof(times)));
	OK(cuMemHostAlloc((void **)(uintptr_t)&stop, 64, CU_MEMHOSTALLOC_DEVICEMAP));
	OK(cuMemHostGetDevicePointer(&stop_dev, (void *)(uintptr_t)stop, 0));
	*stop = 0;
	void *params[] = {&p, &v, &n, &stop_dev};
	OK(cuLaunchKernel(stay, 1, 1, 1, 32, 1, 1, 0, NULL, params, NULL));
	while (nanosleep(&t, &t) != 0)
		;
	__atomic_store_n(stop, 1, __ATOMIC_RELEASE);
	OK(cuCtxSynchronize());
	OK(cuMemcpyDtoH(times, n, sizeof(times)));
	for (unsigned i = 0; i < 32; i++) {
		CHECK(times[i] > 0);
		step(&values[i], v, times[i]);
	}
	expect_values();
	printf("ok 1\n");
}

static void run_exit(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};
	uint32_t v = 1;
	void *params[] = {&p, &v};
	OK(cuLaunchKernel(mix, 1, 1, 1, N, 1, 1, 0, NULL, params, NULL));
	while (nanosleep(&t, &t) != 0)
		;
	printf("ok 1\n");
}

int main(int argc, char **argv)
{
	CHECK(argc == 3);
	setvbuf(stdout, NULL, _IOLBF, 0);
	open_gpu();
	if (strcmp(argv[1], "stay") == 0)
		run_stay(atol(argv[2]));
	else if (strcmp(argv[1], "exit") == 0)
		run_exit(atol(argv[2]));
	else
		run_long((uint32_t)atol(argv[2]), strcmp(argv[1], "step") == 0,
		         strcmp(argv[1], "fork") == 0);
	return 0;
}
