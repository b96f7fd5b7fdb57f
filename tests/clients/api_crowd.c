// SPDX-License-Identifier: Apache-2.0
/*
 * api_crowd.c: one of many processes on a device, which may be killed at any time: attaches, works,
 * checks its results, shares memory and an event, leaves; again and again without an argument, once
 * with one.
 */
#include "api_client.h"

#define N 512

static void work(struct gpu *g)
{
	CUdeviceptr p, extra;
	CUipcMemHandle h;
	CUipcEventHandle eh;
	CUevent e;
	CUstream s;
	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	OK(cuEventCreate(&e, CU_EVENT_INTERPROCESS | CU_EVENT_DISABLE_TIMING));
	OK(cuIpcGetEventHandle(&eh, e));
	OK(cuMemAlloc(&p, N * sizeof(int)));
	OK(cuMemAllocAsync(&extra, 1 << 20, s));
	OK(cuIpcGetMemHandle(&h, p));
	OK(cuMemsetD32Async(p, 1, N, s));
	for (int i = 0; i < 8; i++)
		OK(launch(g->add, p, 1, N, s));
	OK(cuStreamWriteValue32(s, p, 5, 0));
	OK(cuStreamWaitValue32(s, p, 5, CU_STREAM_WAIT_VALUE_EQ));
	OK(cuEventRecord(e, s));
	OK(cuStreamWaitEvent(NULL, e, 0));
	OK(cuMemsetD32Async(p, 9, 1, s));
	OK(cuMemFreeAsync(extra, s));
	EXPECT_ALL(p, 9, N);
	OK(cuMemFree(p));
	OK(cuEventDestroy(e));
	OK(cuStreamDestroy(s));
}

int main(int argc, char **argv)
{
	(void)argv;
	struct gpu g = gpu_open();
	for (;;) {
		work(&g);
		if (argc > 1)
			break;
	}
	puts("ok");
	return 0;
}
