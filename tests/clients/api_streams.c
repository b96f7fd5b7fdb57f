// SPDX-License-Identifier: Apache-2.0
/* api_streams.c: the order of work: legacy, blocking, non-blocking and per-thread streams, events,
 * callbacks, asynchronous copies. */
#include "api_client.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#define N 512
#define STEPS 40

static struct gpu g;

static CUdeviceptr begin(void)
{
	CUdeviceptr p = 0;
	g = gpu_open();
	OK(cuMemAlloc(&p, N * sizeof(int)));
	return p;
}

static void finish(CUdeviceptr p)
{
	OK(cuMemFree(p));
	OK(cuDevicePrimaryCtxRelease(0));
}

/* p = ((((0 + 1) * 2) + 1) * 2 …): right only if every step follows the one before */
static void chain(CUdeviceptr p, CUstream (*next)(int step, void *arg), void *arg)
{
	int want = 0;
	for (int i = 0; i < 20; i++) {
		OK(launch(g.add, p, 1, N, next(2 * i, arg)));
		OK(launch(g.mul, p, 2, N, next(2 * i + 1, arg)));
		want = (want + 1) * 2;
	}
	EXPECT_ALL(p, want, N);
	OK(cuMemsetD32(p, 0, N));
}

static CUstream same(int step, void *arg)
{
	(void)step;
	return arg;
}

/* Work in the legacy stream follows all work of blocking streams and precedes what comes later. */
static CUstream alternate(int step, void *arg)
{
	CUstream *s = arg;
	return step % 2 ? NULL : s[(step / 2) % 2];
}

static void order(void)
{
	CUstream s[2], nb;
	CUdeviceptr p = begin();
	OK(cuStreamCreate(&s[0], CU_STREAM_DEFAULT));
	OK(cuStreamCreateWithPriority(&s[1], CU_STREAM_DEFAULT, -3));
	OK(cuStreamCreate(&nb, CU_STREAM_NON_BLOCKING));
	OK(cuMemsetD32(p, 0, N));
	chain(p, same, NULL);
	chain(p, same, s[0]);
	chain(p, same, CU_STREAM_PER_THREAD);
	OK(cuCtxSynchronize()); /* the memset above went to the legacy stream: nb does not wait */
	chain(p, same, nb);
	chain(p, alternate, s);
	s[0] = CU_STREAM_PER_THREAD;
	chain(p, alternate, s);
	OK(cuStreamDestroy(s[1]));
	OK(cuStreamDestroy(nb));
	BEYOND(CUDA_ERROR_INVALID_HANDLE, cuStreamDestroy(nb));
	finish(p);
}

static void facts(void)
{
	CUstream s;
	CUcontext ctx;
	unsigned flags;
	int priority;
	unsigned long long id[4];
	CUdeviceptr p = begin();
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuStreamCreate(NULL, 0));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuStreamCreate(&s, 77));
	OK(cuStreamCreateWithPriority(&s, CU_STREAM_NON_BLOCKING, -100));
	OK(cuStreamGetPriority(s, &priority));
	CHECK(priority == -5);
	OK(cuStreamGetFlags(s, &flags));
	CHECK(flags == CU_STREAM_NON_BLOCKING);
	OK(cuStreamGetCtx(s, &ctx));
	CHECK(ctx == g.ctx);
	OK(cuStreamGetId(s, &id[0]));
	OK(cuStreamGetId(NULL, &id[1]));
	OK(cuStreamGetId(CU_STREAM_LEGACY, &id[2]));
	OK(cuStreamGetId(CU_STREAM_PER_THREAD, &id[3]));
	CHECK(id[1] == id[2] && id[0] != id[1] && id[3] != id[1] && id[3] != id[0]);
	OK(cuStreamQuery(s));
	OK(cuStreamDestroy(s));
	BEYOND(CUDA_ERROR_INVALID_HANDLE, cuStreamSynchronize(s));
	EXPECT(CUDA_ERROR_INVALID_HANDLE, cuStreamDestroy(NULL));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuStreamGetId(NULL, NULL));
	finish(p);
}

/* ---- host functions hold a stream up until they are let go */

static atomic_int gate_open, inside;

static void CUDA_CB hold(void *arg)
{
	(void)arg;
	atomic_store(&inside, 1);
	while (!atomic_load(&gate_open))
		usleep(200);
}

static void start_hold(CUstream s)
{
	atomic_store(&gate_open, 0);
	atomic_store(&inside, 0);
	OK(cuLaunchHostFunc(s, hold, NULL));
	while (!atomic_load(&inside))
		usleep(200);
}

static void CUDA_CB note(CUstream s, CUresult status, void *arg)
{
	(void)s;
	CHECK(status == CUDA_SUCCESS);
	atomic_fetch_add((atomic_int *)arg, 1);
}

static void events(void)
{
	CUstream a, b;
	CUevent e, start, end, untimed;
	float ms = -1;
	atomic_int noted = 0;
	CUdeviceptr p = begin();
	OK(cuStreamCreate(&a, CU_STREAM_NON_BLOCKING));
	OK(cuStreamCreate(&b, CU_STREAM_NON_BLOCKING));
	OK(cuEventCreate(&e, CU_EVENT_DEFAULT));
	OK(cuEventCreate(&start, CU_EVENT_DEFAULT));
	OK(cuEventCreate(&end, CU_EVENT_DEFAULT));
	OK(cuEventCreate(&untimed, CU_EVENT_DISABLE_TIMING));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuEventCreate(NULL, 0));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuEventCreate(&e, 0x100));
	OK(cuEventQuery(e)); /* never recorded: complete */
	OK(cuEventSynchronize(e));
	OK(cuStreamWaitEvent(b, e, 0)); /* no effect */
	EXPECT(CUDA_ERROR_INVALID_HANDLE, cuEventElapsedTime(&ms, start, end));

	OK(cuMemsetD32(p, 1, N));
	OK(cuCtxSynchronize());
	start_hold(a);
	OK(launch(g.add, p, 4, N, a));
	OK(cuEventRecord(e, a));
	OK(cuStreamWaitEvent(b, e, 0));
	OK(launch(g.mul, p, 10, N, b));
	OK(cuStreamAddCallback(b, note, &noted, 0));
	EXPECT(CUDA_ERROR_NOT_READY, cuEventQuery(e));
	EXPECT(CUDA_ERROR_NOT_READY, cuStreamQuery(a));
	EXPECT(CUDA_ERROR_NOT_READY, cuStreamQuery(b));
	usleep(5000);
	CHECK(atomic_load(&noted) == 0);
	atomic_store(&gate_open, 1);
	OK(cuStreamSynchronize(b));
	CHECK(atomic_load(&noted) == 1);
	OK(cuEventQuery(e));
	EXPECT_ALL(p, 50, N);

	OK(cuEventRecord(start, a));
	OK(launch(g.add, p, 1, N, a));
	OK(cuEventRecord(end, a));
	OK(cuEventSynchronize(end));
	OK(cuEventElapsedTime(&ms, start, end));
	CHECK(ms >= 0);
	OK(cuEventRecord(untimed, a));
	EXPECT(CUDA_ERROR_INVALID_HANDLE, cuEventElapsedTime(&ms, start, untimed));
	OK(cuStreamSynchronize(a));

	/* destroyed while it is still used: what was asked for happens all the same */
	start_hold(a);
	OK(cuEventRecord(e, a));
	OK(cuStreamWaitEvent(b, e, 0));
	OK(launch(g.add, p, 1, N, b));
	OK(cuEventDestroy(e));
	BEYOND(CUDA_ERROR_INVALID_HANDLE, cuEventRecord(e, b));
	OK(cuStreamDestroy(a));
	atomic_store(&gate_open, 1);
	OK(cuStreamSynchronize(b));
	EXPECT_ALL(p, 52, N);
	OK(cuEventDestroy(start));
	OK(cuEventDestroy(end));
	OK(cuEventDestroy(untimed));
	OK(cuStreamDestroy(b));
	finish(p);
}

static void *unload(void *module)
{
	OK(cuCtxSetCurrent(g.ctx));
	OK(cuModuleUnload(module));
	atomic_store(&inside, 2);
	return NULL;
}

/* An unload waits for what was submitted before it, the module's own kernels or not. */
static void unloading(void)
{
	CUmodule module;
	CUfunction add;
	CUstream s;
	pthread_t t;
	CUdeviceptr p = begin();
	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	OK(cuMemsetD32(p, 1, N));
	OK(cuCtxSynchronize());
	for (int own = 1; own >= 0; own--) {
		OK(cuModuleLoadData(&module, kernels_ptx));
		OK(cuModuleGetFunction(&add, module, "add"));
		OK(launch(add, p, 0, N, s)); /* drivers may load a function when it is used */
		OK(cuStreamSynchronize(s));
		start_hold(s);
		OK(launch(own ? add : g.add, p, 1, N, s));
		CHECK(pthread_create(&t, NULL, unload, module) == 0);
		usleep(20000);
		CHECK(atomic_load(&inside) == 1 || !own);
		CHECK(atomic_load(&inside) == 1 || own);
		atomic_store(&gate_open, 1);
		pthread_join(t, NULL);
		BEYOND(CUDA_ERROR_INVALID_HANDLE, launch(add, p, 0, N, s));
		OK(cuStreamSynchronize(s));
	}
	EXPECT_ALL(p, 3, N);
	OK(cuStreamDestroy(s));
	finish(p);
}

static void async_copies(void)
{
	CUstream s;
	int *pinned, pageable[N], back[N];
	CUdeviceptr p = begin();
	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	OK(cuMemHostAlloc((void **)&pinned, sizeof(pageable), 0));
	for (int i = 0; i < N; i++)
		pageable[i] = pinned[i] = 7;

	/* a pageable source has been read when the call returns, a pinned one has not */
	start_hold(s);
	OK(cuMemcpyHtoDAsync(p, pageable, sizeof(pageable), s));
	memset(pageable, 0, sizeof(pageable));
	atomic_store(&gate_open, 1);
	OK(cuStreamSynchronize(s));
	EXPECT_ALL(p, 7, N);
	start_hold(s);
	OK(cuMemcpyHtoDAsync(p, pinned, sizeof(pageable), s));
	for (int i = 0; i < N; i++)
		pinned[i] = 9;
	atomic_store(&gate_open, 1);
	OK(cuStreamSynchronize(s));
	EXPECT_ALL(p, 9, N);

	/* a pageable destination has been written when the call returns */
	OK(launch(g.add, p, 1, N, s));
	OK(cuMemcpyDtoHAsync(back, p, sizeof(back), s));
	for (int i = 0; i < N; i++)
		CHECK(back[i] == 10);
	/* a pinned one when the stream has got there */
	start_hold(s);
	OK(cuMemcpyDtoHAsync(pinned, p, sizeof(back), s));
	CHECK(pinned[0] == 9);
	atomic_store(&gate_open, 1);
	OK(cuStreamSynchronize(s));
	CHECK(pinned[0] == 10 && pinned[N - 1] == 10);
	OK(cuMemFreeHost(pinned));
	OK(cuStreamDestroy(s));
	finish(p);
}

/* ---- threads: each with its own default stream, its own memory */

static void *worker(void *arg)
{
	CUdeviceptr p;
	CUstream s;
	int host[N], round = (int)(size_t)arg;
	OK(cuCtxSetCurrent(g.ctx));
	OK(cuStreamCreate(&s, round % 2 ? CU_STREAM_NON_BLOCKING : CU_STREAM_DEFAULT));
	for (int i = 0; i < 10; i++) {
		CUstream use = i % 2 ? s : CU_STREAM_PER_THREAD;
		OK(cuMemAllocAsync(&p, sizeof(host), use));
		OK(cuMemsetD32Async(p, (unsigned)round, N, use));
		OK(launch(g.add, p, i, N, use));
		OK(cuMemcpyDtoHAsync(host, p, sizeof(host), use));
		OK(cuMemFreeAsync(p, use));
		OK(cuStreamSynchronize(use));
		for (int k = 0; k < N; k++)
			CHECK(host[k] == round + i);
	}
	OK(cuStreamDestroy(s));
	return NULL;
}

static void threads(void)
{
	pthread_t t[6];
	CUdeviceptr p = begin();
	for (size_t i = 0; i < 6; i++)
		CHECK(pthread_create(&t[i], NULL, worker, (void *)i) == 0);
	for (int i = 0; i < 6; i++)
		pthread_join(t[i], NULL);
	OK(cuCtxSynchronize());
	finish(p);
}

int main(int argc, char **argv)
{
	static const struct api_section list[] = {SECTION(order),        SECTION(facts),
	                                          SECTION(events),       SECTION(unloading),
	                                          SECTION(async_copies), SECTION(threads)};
	return API_RUN(argc, argv, list);
}
