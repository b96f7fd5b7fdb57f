// SPDX-License-Identifier: Apache-2.0
/*
 * request_dlopen.c: a program with requests that is not linked with the driver: it opens it only
 * after its first request, privately, as the CUDA runtime does. It ends the first one late, and
 * keeps a second one open until its argument, a file, is there.
 */
#include "../../include/rein.h"

#include <cuda.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PATIENCE_S 60

static void check(int ok, const char *what)
{
	if (!ok) {
		printf("failed: %s\n", what);
		exit(1);
	}
}

static void nap(int *naps, const char *what)
{
	check((*naps)++ < PATIENCE_S * 1000, what);
	usleep(1000);
}

/* The context whose making lets the process join. */
static void cuda_open(void)
{
	CUresult (*init)(unsigned flags), (*retain)(CUcontext * ctx, CUdevice device),
	    (*set)(CUcontext ctx);
	CUcontext ctx;
	void *driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
	check(driver != NULL, "there is a driver");
	*(void **)&init = dlsym(driver, "cuInit");
	*(void **)&retain = dlsym(driver, "cuDevicePrimaryCtxRetain");
	*(void **)&set = dlsym(driver, "cuCtxSetCurrent");
	check(init(0) == CUDA_SUCCESS && retain(&ctx, 0) == CUDA_SUCCESS &&
	          set(ctx) == CUDA_SUCCESS,
	      "a context");
}

int main(int argc, char **argv)
{
	int naps = 0;
	check(argc == 2, "a file is named");
	int before = rein_present();
	uint64_t first = rein_request_begin(0, 0);
	check((first != 0) == before, "only rein begins a request");
	cuda_open();
	while (!rein_joined())
		nap(&naps, "it has joined");
	printf("present before: %d, then: %d\n", before, rein_present());
	fflush(stdout);
	uint64_t second = rein_request_begin(0, 0);
	check(second != 0 && second != first, "a second request");
	rein_request_end(first);
	while (access(argv[1], F_OK) != 0)
		nap(&naps, "the file is there");
	rein_request_end(second);
	return 0;
}
