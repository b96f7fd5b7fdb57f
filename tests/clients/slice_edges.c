// SPDX-License-Identifier: Apache-2.0
/*
 * slice_edges.c: while a kernel of the legacy default stream runs in the program's slice: an event
 * of the per-thread default stream, which no work went to yet, comes after it (--order); a forked
 * child is told what the driver says, and nothing else (--fork).
 */
#include "api_expect.h"

static const char ptx[] = ".version 7.0\n.target sm_70\n.address_size 64\n"
			  ".visible .entry slow() { ret; }\n";

static void order(void)
{
	CUevent there;
	OK(cuEventCreate(&there, CU_EVENT_DISABLE_TIMING));
	OK(cuEventRecord(there, CU_STREAM_PER_THREAD));
	OK(cuEventSynchronize(there));
	printf("default stream %d\n", (int)cuStreamQuery(NULL));
}

static void in_child(void)
{
	CUdeviceptr p;
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		(void)cuMemAlloc_v2(&p, 16);
		_exit(0);
	}
	waitpid(child, NULL, 0);
}

int main(int argc, char **argv)
{
	CUcontext primary;
	CUmodule module;
	CUfunction slow;
	OK(cuInit(0));
	OK(cuDevicePrimaryCtxRetain(&primary, 0));
	OK(cuCtxSetCurrent(primary));
	OK(cuModuleLoadData(&module, ptx));
	OK(cuModuleGetFunction(&slow, module, "slow"));
	OK(cuLaunchKernel(slow, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL));
	if (argc > 1 && strcmp(argv[1], "--order") == 0)
		order();
	else
		in_child();
	OK(cuStreamSynchronize(NULL));
	return 0;
}
