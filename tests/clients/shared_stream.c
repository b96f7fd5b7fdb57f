// SPDX-License-Identifier: Apache-2.0
/*
 * shared_stream.c: threads that share one stream, and know no order but that in which their calls
 * returned. A ball goes round: whoever has it gives the stream one operation on the common cell,
 * and passes it on, without asking the GPU. Meanwhile each works on a cell of its own, in the same
 * stream, and some ask whether the stream is done, wait for it, or record events. All operations
 * are x = x * a + b on 32 bits, so one that comes too early or too late shows.
 *
 *	shared_stream [--default] [--seconds S]
 */
#include "api_client.h"

#include <pthread.h>
#include <stdint.h>

#define THREADS 4
#define ROUNDS_MAX 100000000u

static CUcontext primary;
static CUstream shared; /* NULL with --default */
static CUfunction add, mul;
static CUdeviceptr cells; /* THREADS and the common one */
static _Atomic uint32_t ball;
static _Atomic int stop;
static uint32_t common = 1; /* whose ball it is */
static pthread_barrier_t ready;

static uint32_t next(uint64_t *random)
{
	*random = *random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*random >> 33);
}

/* One operation, on the GPU and on the host's copy. */
static void operate(CUdeviceptr cell, uint32_t *copy, uint64_t *random)
{
	uint32_t dice = next(random) % 32, kind = dice ? dice % 2 : 2, v = next(random) | 1;
	int n = 1;
	void *params[] = {&cell, &v, &n};
	if (kind == 2) {
		OK(cuMemsetD32Async(cell, v, 1, shared));
		*copy = v;
		return;
	}
	OK(cuLaunchKernel(kind ? add : mul, 1, 1, 1, 32, 1, 1, 0, shared, params, NULL));
	*copy = kind ? *copy + v : *copy * v;
}

/* What brings a stream home, and what follows it. */
static void disturb(uint64_t *random, CUevent event, CUstream other)
{
	CUresult r;
	switch (next(random) % 24) {
	case 0:
		OK(cuStreamSynchronize(shared));
		break;
	case 1:
	case 2:
		r = cuStreamQuery(shared);
		CHECK(r == CUDA_SUCCESS || r == CUDA_ERROR_NOT_READY);
		break;
	case 3:
	case 4:
		OK(cuEventRecord(event, shared));
		OK(cuStreamWaitEvent(other, event, 0));
		break;
	case 5:
		OK(cuEventRecord(event, other));
		OK(cuStreamWaitEvent(shared, event, 0));
		break;
	default:
		break;
	}
}

static void *thread_main(void *arg)
{
	uint32_t me = (uint32_t)(uintptr_t)arg, mine = 1, got = 0;
	uint64_t random = 77 + me;
	CUdeviceptr cell = cells + 4 * (me + 1);
	CUevent event;
	CUstream other;
	OK(cuCtxSetCurrent(primary));
	OK(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
	OK(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
	pthread_barrier_wait(&ready);
	for (uint32_t round = 0; round < ROUNDS_MAX && !stop; round++) {
		if (ball % THREADS == me) {
			operate(cells, &common, &random);
			ball++;
		}
		operate(cell, &mine, &random);
		disturb(&random, event, other);
		if (round % 64 == 63)
			OK(cuStreamSynchronize(shared)); /* a queue that only grows shows nothing */
	}
	OK(cuStreamSynchronize(shared));
	OK(cuMemcpyDtoH_v2(&got, cell, 4));
	CHECK(got == mine);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread[THREADS];
	CUmodule module;
	uint32_t got;
	double seconds = 1;
	bool ours = true;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--default") == 0)
			ours = false;
		else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc)
			seconds = atof(argv[++i]);
	}
	OK(cuInit(0));
	OK(cuDevicePrimaryCtxRetain(&primary, 0));
	OK(cuCtxSetCurrent(primary));
	OK(cuModuleLoadData(&module, kernels_ptx));
	OK(cuModuleGetFunction(&add, module, "add"));
	OK(cuModuleGetFunction(&mul, module, "mul"));
	OK(cuMemAlloc_v2(&cells, 4 * (THREADS + 1)));
	OK(cuMemsetD32_v2(cells, 1, THREADS + 1));
	OK(cuCtxSynchronize());
	if (ours)
		OK(cuStreamCreate(&shared, CU_STREAM_NON_BLOCKING));
	CHECK(pthread_barrier_init(&ready, NULL, THREADS) == 0);
	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&thread[i], NULL, thread_main, (void *)i) == 0);
	usleep((useconds_t)(seconds * 1e6));
	stop = 1;
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
	OK(cuStreamSynchronize(shared));
	OK(cuMemcpyDtoH_v2(&got, cells, 4));
	CHECK(got == common);
	printf("balls %u\n", (unsigned)ball);
	return 0;
}
