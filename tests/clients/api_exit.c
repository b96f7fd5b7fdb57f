// SPDX-License-Identifier: Apache-2.0
/*
 * api_exit.c: ways to leave: `return` with everything open and work queued, `atexit` with CUDA
 * calls in a handler, `thread` with another thread inside CUDA, `detach` with threads that have
 * ended, `late` with the first CUDA call in a handler. Must end soon, with status 0.
 */
#include "api_client.h"

#include <pthread.h>
#include <unistd.h>

static struct gpu g;
static CUdeviceptr p;

static void CUDA_CB slow(void *arg)
{
	(void)arg;
	usleep(300000);
}

static void queue_work(void)
{
	CUstream s;
	OK(cuMemAlloc(&p, 4096));
	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	OK(cuLaunchHostFunc(s, slow, NULL));
	for (int i = 0; i < 100; i++)
		OK(launch(g.add, p, 1, 1024, s));
}

static void in_handler(void)
{
	CUdeviceptr q;
	int host[4];
	OK(cuMemAlloc(&q, sizeof(host)));
	OK(cuMemsetD32(q, 1, 4));
	OK(launch(g.add, q, 2, 4, NULL));
	OK(cuMemcpyDtoH(host, q, sizeof(host)));
	CHECK(host[3] == 3);
	OK(cuMemFree(q));
	OK(cuModuleUnload(g.module));
	OK(cuDevicePrimaryCtxRelease(0));
}

static void late(void)
{
	g = gpu_open();
	in_handler();
}

static void *forever(void *arg)
{
	OK(cuCtxSetCurrent(g.ctx));
	for (;;)
		if (launch(g.add, p, 1, 1024, CU_STREAM_PER_THREAD) != CUDA_SUCCESS ||
		    cuStreamSynchronize(CU_STREAM_PER_THREAD) != CUDA_SUCCESS)
			pause(); /* the process is ending */
	return arg;
}

static void CUDA_CB brief(void *arg)
{
	(void)arg;
	usleep(1000);
}

static void *once(void *arg)
{
	OK(cuCtxSetCurrent(g.ctx));
	OK(cuLaunchHostFunc(CU_STREAM_PER_THREAD, brief, NULL));
	OK(launch(g.add, p, 1, 1024, CU_STREAM_PER_THREAD));
	return arg;
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "return";
	pthread_t t;
	if (strcmp(how, "late") == 0) {
		atexit(late);
		return 0;
	}
	g = gpu_open();
	if (strcmp(how, "atexit") == 0) {
		atexit(in_handler);
	} else if (strcmp(how, "thread") == 0) {
		OK(cuMemAlloc(&p, 4096));
		CHECK(pthread_create(&t, NULL, forever, NULL) == 0);
		usleep(20000);
	} else if (strcmp(how, "detach") == 0) {
		OK(cuMemAlloc(&p, 4096));
		OK(cuMemsetD32(p, 0, 1024));
		for (int i = 0; i < 20; i++) {
			CHECK(pthread_create(&t, NULL, once, NULL) == 0);
			pthread_join(t, NULL);
			OK(cuCtxSynchronize()); /* work outlives the thread whose stream it is in */
		}
		EXPECT_ALL(p, 20, 1024);
	} else {
		queue_work();
	}
	return 0;
}
