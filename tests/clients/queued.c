// SPDX-License-Identifier: Apache-2.0
/*
 * queued.c: what programs do while the GPU holds the work that they queued long before:
 *   sync      waits for its stream
 *   query     asks until it is done
 *   stream    destroys its stream, then waits for the context
 *   context   destroys the context
 *   reset     resets the primary context
 *   return    ends by returning from main
 *   exit      ends by exit() on another thread
 *   fork      a child that touches nothing ends; then as sync
 *   load      loads a module, launches from it, waits
 * queued MODE FILE: queues its work, waits for FILE to be there, does it and prints "done".
 */
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api_client.h"

#define KERNELS 200
#define N 64

static CUcontext ctx;
static CUstream stream;
static CUdeviceptr p;

static void result_is(unsigned kernels)
{
	unsigned host[N];
	OK(cuMemcpyDtoH(host, p, sizeof(host)));
	for (unsigned i = 0; i < N; i++)
		CHECK(host[i] == kernels);
}

static void launch_one(CUfunction f)
{
	unsigned n = N, one = 1;
	void *args[] = {&p, &one, &n};
	OK(cuLaunchKernel(f, 1, 1, 1, N, 1, 1, 0, stream, args, NULL));
}

static CUfunction load(void)
{
	CUmodule m;
	CUfunction f;
	OK(cuModuleLoadData(&m, kernels_ptx));
	OK(cuModuleGetFunction(&f, m, "add"));
	return f;
}

static void *exits(void *unused)
{
	printf("done\n");
	exit(0);
}

static void fork_child(void)
{
	pid_t child = fork();
	int status = 1;
	CHECK(child >= 0);
	if (child == 0)
		_exit(0);
	CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void then(const char *mode)
{
	pthread_t thread;
	if (!strcmp(mode, "sync")) {
		OK(cuStreamSynchronize(stream));
	} else if (!strcmp(mode, "query")) {
		CUresult r;
		while ((r = cuStreamQuery(stream)) == CUDA_ERROR_NOT_READY)
			usleep(500);
		OK(r);
	} else if (!strcmp(mode, "stream")) {
		OK(cuStreamDestroy(stream));
		OK(cuCtxSynchronize());
	} else if (!strcmp(mode, "context")) {
		OK(cuCtxDestroy(ctx));
	} else if (!strcmp(mode, "reset")) {
		OK(cuDevicePrimaryCtxReset(0));
	} else if (!strcmp(mode, "fork")) {
		fork_child();
		OK(cuStreamSynchronize(stream));
	} else if (!strcmp(mode, "load")) {
		launch_one(load());
		OK(cuStreamSynchronize(stream));
		result_is(KERNELS + 1);
	} else if (!strcmp(mode, "exit")) {
		CHECK(!pthread_create(&thread, NULL, exits, NULL));
		pause();
	} else {
		CHECK(!strcmp(mode, "return"));
	}
	if (!strcmp(mode, "sync") || !strcmp(mode, "query") || !strcmp(mode, "stream"))
		result_is(KERNELS);
}

int main(int argc, char **argv)
{
	CHECK(argc == 3);
	OK(cuInit(0));
	if (!strcmp(argv[1], "context"))
		OK(cuCtxCreate(&ctx, NULL, 0, 0));
	else
		OK(cuDevicePrimaryCtxRetain(&ctx, 0));
	OK(cuCtxSetCurrent(ctx));
	CUfunction f = load();
	OK(cuStreamCreate(&stream, 0));
	OK(cuMemAlloc(&p, N * 4));
	OK(cuMemsetD32(p, 0, N));
	for (unsigned i = 0; i < KERNELS; i++)
		launch_one(f);
	printf("queued\n");
	fflush(stdout);
	while (access(argv[2], F_OK) != 0)
		usleep(500);
	then(argv[1]);
	printf("done\n");
	return 0;
}
