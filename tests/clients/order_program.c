// SPDX-License-Identifier: Apache-2.0
/*
 * order_program.c CASE: one thing whose order or outcome interposition could spoil, for
 * tests/process/test_order.c. Prints "@stream NAME ID" for what the order log calls by number.
 */
#include "api_client.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#define N 256
#define BYTES (N * sizeof(int))

static struct gpu g;

static void name_stream(const char *name, CUstream s)
{
	unsigned long long id;
	OK(cuStreamGetId(s, &id));
	printf("@stream %s %llu\n", name, id);
	fflush(stdout);
}

/* ---- kernels on a blocking stream, then a synchronous copy on the legacy default stream */

static void sync_copy(void)
{
	CUdeviceptr p;
	CUstream s;
	int host[N];
	OK(cuMemAlloc(&p, BYTES));
	OK(cuMemsetD32(p, 0, N));
	OK(cuStreamCreate(&s, CU_STREAM_DEFAULT));
	name_stream("blocking", s);
	name_stream("legacy", CU_STREAM_LEGACY);
	for (int round = 1; round <= 10; round++) {
		for (int i = 0; i < 3; i++)
			OK(launch(g.add, p, 1, N, s));
		OK(cuMemcpyDtoH(host, p, BYTES));
		for (int i = 0; i < N; i++)
			CHECK(host[i] == 3 * round);
	}
}

/* ---- everything that can follow a kernel in its stream */

static CUcontext peer;
static CUdeviceptr far, near, word;
static int *pinned;
static CUfunction together;

static void CUDA_CB doubled(void *arg)
{
	int *v = arg;
	for (int i = 0; i < N; i++)
		v[i] = 2 * v[i];
}

static void CUDA_CB tripled(CUstream s, CUresult status, void *arg)
{
	int *v = arg;
	(void)s;
	CHECK(status == CUDA_SUCCESS);
	for (int i = 0; i < N; i++)
		v[i] = 3 * v[i];
}

static void chain(const char *name, CUstream s)
{
	CUdeviceptr p = near;
	int v = 7, n = N, want = 1;
	void *params[] = {&p, &v, &n};
	OK(cuCtxSynchronize());
	name_stream(name, s);
	OK(cuMemsetD32Async(p, 1, N, s));
	for (unsigned round = 1; round <= 3; round++) {
		OK(launch(g.add, p, 5, N, s));
		OK(cuLaunchCooperativeKernel(together, 2, 1, 1, 128, 1, 1, 0, s, params));
		OK(cuMemcpyDtoHAsync(pinned, p, BYTES, s));
		OK(cuLaunchHostFunc(s, doubled, pinned));
		OK(cuStreamAddCallback(s, tripled, pinned, 0));
		OK(cuMemcpyHtoDAsync(p, pinned, BYTES, s));
		OK(cuStreamWriteValue32(s, word, round, 0));
		OK(cuStreamWaitValue32(s, word, round, CU_STREAM_WAIT_VALUE_EQ));
		OK(launch(g.add, p, 1, N, s));
		OK(cuMemcpyPeerAsync(far, peer, p, g.ctx, BYTES, s));
		OK(cuMemsetD32Async(p, 0, N, s));
		OK(cuMemcpyPeerAsync(p, g.ctx, far, peer, BYTES, s));
		want = (want + 5) * 7 * 6 + 1;
	}
	OK(cuMemcpyDtoHAsync(pinned, p, BYTES, s));
	OK(cuStreamSynchronize(s));
	for (int i = 0; i < N; i++)
		CHECK(pinned[i] == want);
	OK(cuMemsetD32Async(word, 0, 1, s));
	OK(cuStreamSynchronize(s));
}

static CUstream green_stream(void)
{
	CUdevResource all, part;
	CUdevResourceDesc desc;
	CUgreenCtx green;
	CUstream s;
	unsigned n = 1;
	OK(cuDeviceGetDevResource(0, &all, CU_DEV_RESOURCE_TYPE_SM));
	OK(cuDevSmResourceSplitByCount(&part, &n, &all, NULL, 0, 2));
	OK(cuDevResourceGenerateDesc(&desc, &part, 1));
	OK(cuGreenCtxCreate(&green, desc, 0, CU_GREEN_CTX_DEFAULT_STREAM));
	OK(cuGreenCtxStreamCreate(&s, green, CU_STREAM_NON_BLOCKING, 0));
	return s;
}

static void chains(void)
{
	CUstream s[3];
	OK(cuDevicePrimaryCtxRetain(&peer, 1));
	OK(cuCtxSetCurrent(peer));
	OK(cuMemAlloc(&far, BYTES));
	OK(cuCtxSetCurrent(g.ctx));
	OK(cuMemAlloc(&near, BYTES));
	OK(cuMemAlloc(&word, 4));
	OK(cuMemsetD32(word, 0, 1));
	OK(cuMemHostAlloc((void **)&pinned, BYTES, 0));
	together = g.mul;
	OK(cuStreamCreate(&s[0], CU_STREAM_DEFAULT));
	OK(cuStreamCreate(&s[1], CU_STREAM_NON_BLOCKING));
	OK(cuStreamCreateWithPriority(&s[2], CU_STREAM_NON_BLOCKING, -2));
	chain("null", NULL);
	chain("per_thread", CU_STREAM_PER_THREAD);
	chain("blocking", s[0]);
	chain("non_blocking", s[1]);
	chain("priority", s[2]);
	chain("green", green_stream());
}

/* ---- the pointer of a stream-ordered allocation is there on return, whatever the gate does */

static void alloc(void)
{
	CUstream s;
	CUdeviceptr p[20], base;
	size_t size;
	int host[N];
	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 20; i++) {
			p[i] = 0;
			OK(cuMemAllocAsync(&p[i], BYTES, s));
			CHECK(p[i] != 0);
			OK(cuMemGetAddressRange(&base, &size, p[i]));
			CHECK(base == p[i] && size == BYTES);
			for (int k = 0; k < i; k++)
				CHECK(p[k] != p[i]);
			OK(cuMemsetD32Async(p[i], (unsigned)i, N, s));
			OK(launch(g.add, p[i], round, N, s));
		}
		for (int i = 0; i < 20; i++) {
			OK(cuMemcpyDtoHAsync(host, p[i], BYTES, s));
			OK(cuMemFreeAsync(p[i], s));
			OK(cuStreamSynchronize(s));
			CHECK(host[0] == i + round && host[N - 1] == i + round);
		}
	}
	CUdeviceptr none = 1;
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemAllocAsync(&none, 0, s));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemAllocAsync(NULL, 16, s));
	CHECK(none == 1);
}

/* ---- an invalid launch fails in its own call, and nothing else suffers */

static void invalid(void)
{
	CUdeviceptr p;
	CUstream s;
	int v = 1, n = N;
	void *params[] = {&p, &v, &n};
	OK(cuMemAlloc(&p, BYTES));
	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	OK(cuMemsetD32Async(p, 0, N, s));
	for (int i = 1; i <= 20; i++) {
		OK(launch(g.add, p, 1, N, s));
		EXPECT(CUDA_ERROR_INVALID_VALUE,
		       cuLaunchKernel(g.add, 1, 1, 1, 2048, 1, 1, 0, s, params, NULL));
		EXPECT(CUDA_ERROR_INVALID_VALUE,
		       cuLaunchKernel(g.add, 0, 1, 1, 1, 1, 1, 0, s, params, NULL));
		EXPECT(CUDA_ERROR_INVALID_HANDLE,
		       cuLaunchKernel(NULL, 1, 1, 1, 1, 1, 1, 0, s, params, NULL));
		EXPECT(CUDA_ERROR_INVALID_HANDLE,
		       launch(g.add, p, 1, N, (CUstream)(uintptr_t)0x4560));
		EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoDAsync(p, NULL, BYTES, s));
		EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphLaunch(NULL, s));
		OK(launch(g.add, p, 1, N, s));
		OK(cuStreamSynchronize(s));
		EXPECT_ALL(p, 2 * i, N);
	}
}

/* ---- a program that knows only the default stream: works until it is killed, or --rounds */

static void default_stream(int rounds)
{
	CUdeviceptr p;
	int host[N];
	OK(cuMemAlloc(&p, BYTES));
	OK(cuMemsetD32(p, 0, N));
	for (int i = 1; rounds == 0 || i <= rounds; i++) {
		OK(launch(g.add, p, 1, N, NULL));
		OK(cuMemcpyDtoH(host, p, BYTES));
		CHECK(host[0] == i && host[N - 1] == i);
	}
}

/* ---- one stream waits for another, whose work the gate holds back */

static CUstream waits, works;
static CUevent done;

/* The stream that waits was given its wait before what ends it: the host is in the middle. */
static void *syncs(void *arg)
{
	(void)arg;
	OK(cuCtxSetCurrent(g.ctx));
	OK(cuStreamSynchronize(waits));
	return NULL;
}

static void cross_wait(void)
{
	CUdeviceptr p, q, flag;
	pthread_t thread;
	OK(cuMemAlloc(&p, BYTES));
	OK(cuMemAlloc(&q, BYTES));
	OK(cuMemAlloc(&flag, 4));
	OK(cuMemsetD32(p, 0, N));
	OK(cuMemsetD32(q, 0, N));
	OK(cuMemsetD32(flag, 0, 1));
	OK(cuCtxSynchronize());
	OK(cuStreamCreate(&waits, CU_STREAM_NON_BLOCKING));
	OK(cuStreamCreate(&works, CU_STREAM_NON_BLOCKING));
	OK(cuEventCreate(&done, CU_EVENT_DISABLE_TIMING));
	name_stream("waits", waits);
	name_stream("works", works);
	for (int i = 1; i <= 20; i++) {
		OK(launch(g.add, p, 1, N, works));
		OK(cuEventRecord(done, works));
		OK(cuStreamWaitEvent(waits, done, 0));
		OK(launch(g.add, q, 1, N, waits));
		OK(cuStreamWaitValue32(waits, flag, (unsigned)i, CU_STREAM_WAIT_VALUE_GEQ));
		OK(cuMemcpyDtoDAsync(q, p, BYTES, waits));
		CHECK(pthread_create(&thread, NULL, syncs, NULL) == 0);
		usleep(500);
		for (int k = 0; k < 3; k++)
			OK(launch(g.add, p, 1, N, works));
		OK(cuStreamWriteValue32(works, flag, (unsigned)i, 0));
		pthread_join(thread, NULL);
		EXPECT_ALL(q, 4 * i, N);
	}
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	g = gpu_open();
	if (!strcmp(what, "sync_copy"))
		sync_copy();
	else if (!strcmp(what, "chains"))
		chains();
	else if (!strcmp(what, "alloc"))
		alloc();
	else if (!strcmp(what, "invalid"))
		invalid();
	else if (!strcmp(what, "default_stream"))
		default_stream(argc > 2 ? atoi(argv[2]) : 0);
	else if (!strcmp(what, "cross_wait"))
		cross_wait();
	else {
		fprintf(stderr,
		        "usage: %s sync_copy|chains|alloc|invalid|default_stream [ROUNDS]|"
		        "cross_wait\n",
		        argv[0]);
		return 2;
	}
	OK(cuCtxSynchronize());
	printf("ok\n");
	return 0;
}
