// SPDX-License-Identifier: Apache-2.0
/*
 * ends.c: the client becomes idle again, whatever ends how, with nobody to say so
 * (puppet_client.h): green      a stream of a green context, made and used while no other context
 * was ever current default    the default stream of a green context, then the green context goes
 * with work pending primary    the primary context is reset, released and retained again, with work
 * pending contexts   a context after the other, more than the shim has room for rings      streams
 * and events of each context come and go, handles are reused
 */
#include "puppet_client.h"

#include <pthread.h>

#define N 256

static void expect_idle(int line)
{
	for (int i = 0; i < 10000; i++) {
		char answer = ask('a');
		if (answer == 'n' || !answer)
			return;
		usleep(1000);
	}
	fprintf(stderr, "line %d: still active\n", line);
	exit(1);
}
#define EXPECT_IDLE() expect_idle(__LINE__)
#define EXPECT_ACTIVE() CHECK(ask('a') != 'n')

static CUgreenCtx green_new(CUdevice device)
{
	CUdevResource all, part;
	CUdevResourceDesc desc;
	CUgreenCtx green;
	unsigned n = 1;
	OK(cuDeviceGetDevResource(device, &all, CU_DEV_RESOURCE_TYPE_SM));
	OK(cuDevSmResourceSplitByCount(&part, &n, &all, NULL, 0, 2));
	OK(cuDevResourceGenerateDesc(&desc, &part, 1));
	OK(cuGreenCtxCreate(&green, desc, device, CU_GREEN_CTX_DEFAULT_STREAM));
	return green;
}

static CUfunction load(CUmodule *m)
{
	CUfunction f;
	OK(cuModuleLoadData(m, kernels_ptx));
	OK(cuModuleGetFunction(&f, *m, "add"));
	return f;
}

static void green(void)
{
	CUcontext ctx;
	CUmodule m;
	CUstream s;
	CUdeviceptr p;
	OK(cuInit(0));
	CUgreenCtx g = green_new(0);
	OK(cuGreenCtxStreamCreate(&s, g, CU_STREAM_NON_BLOCKING, 0));
	OK(cuCtxFromGreenCtx(&ctx, g));
	OK(cuCtxSetCurrent(ctx));
	CUfunction add = load(&m);
	OK(cuMemAlloc(&p, N * sizeof(int)));
	OK(cuMemsetD32Async(p, 1, N, s));
	OK(launch(add, p, 1, N, s));
	EXPECT_IDLE();
	OK(cuStreamSynchronize(s));
	EXPECT_ALL(p, 2, N);
	EXPECT_IDLE();
	OK(cuStreamDestroy(s));
	OK(cuGreenCtxDestroy(g));
	EXPECT_IDLE();
}

static void default_stream(void)
{
	struct gpu o = gpu_open();
	CUcontext ctx;
	CUdeviceptr p;
	OK(cuMemAlloc(&p, N * sizeof(int)));
	OK(cuMemsetD32(p, 1, N));
	CUgreenCtx g = green_new(0);
	OK(cuCtxFromGreenCtx(&ctx, g));
	OK(cuCtxSetCurrent(ctx));
	for (int i = 0; i < 10; i++)
		OK(launch(o.add, p, 1, N, NULL));
	EXPECT_IDLE();
	(void)ask('m');
	for (int i = 0; i < 100; i++)
		OK(launch(o.add, p, 1, N, NULL));
	OK(cuGreenCtxDestroy(g));
	EXPECT_IDLE();
	OK(cuCtxSetCurrent(o.ctx));
	for (int i = 0; i < 100; i++)
		OK(launch(o.add, p, 1, N, NULL));
	EXPECT_IDLE();
	OK(cuCtxSynchronize());
	EXPECT_IDLE();
}

static void primary(void)
{
	for (int i = 0; i < 20; i++) {
		struct gpu g = gpu_open();
		CUdeviceptr p;
		CUstream s, t;
		OK(cuMemAlloc(&p, N * sizeof(int)));
		OK(cuMemsetD32(p, 1, N));
		OK(cuStreamCreate(&s, 0));
		OK(cuStreamCreate(&t, CU_STREAM_NON_BLOCKING));
		(void)ask(i % 2 ? 'm' : 'o');
		for (int k = 0; k < 40; k++)
			OK(launch(g.add, p, 1, N, k % 3 ? s : k % 2 ? t : NULL));
		if (i % 4 == 3)
			OK(cuStreamDestroy(s));
		OK(i % 3 ? cuDevicePrimaryCtxRelease(0) : cuDevicePrimaryCtxReset(0));
		EXPECT_IDLE();
	}
}

static void contexts(void)
{
	OK(cuInit(0));
	for (int i = 0; i < 80; i++) {
		CUcontext ctx;
		CUmodule m;
		CUdeviceptr p;
#if CUDA_VERSION >= 13000
		OK(cuCtxCreate(&ctx, NULL, 0, 0));
#else
		OK(cuCtxCreate(&ctx, 0, 0));
#endif
		CUfunction add = load(&m);
		OK(cuMemAlloc(&p, N * sizeof(int)));
		(void)ask(i % 2 ? 'm' : 'o');
		for (int k = 0; k < 20; k++)
			OK(launch(add, p, 1, N, NULL));
		if (i % 4)
			OK(cuCtxDestroy(ctx));
		EXPECT_IDLE();
	}
}

static void rings(void)
{
	struct gpu g = gpu_open();
	CUdeviceptr p;
	OK(cuMemAlloc(&p, N * sizeof(int)));
	OK(cuMemsetD32(p, 1, N));
	for (int i = 0; i < 600; i++) {
		CUstream s;
		CUevent e;
		OK(cuStreamCreate(&s, i % 2));
		OK(cuEventCreate(&e, i % 3 ? CU_EVENT_DISABLE_TIMING : 0));
		if (i % 50 == 0)
			(void)ask(i % 100 ? 'm' : 'o');
		OK(launch(g.add, p, 1, N, s));
		OK(cuEventRecord(e, s));
		OK(launch(g.add, p, 1, N, s));
		if (i % 5 == 0)
			OK(cuEventSynchronize(e));
		OK(cuEventDestroy(e));
		OK(cuStreamDestroy(s));
		if (i % 100 == 99)
			EXPECT_IDLE();
	}
	EXPECT_IDLE();
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	static const struct {
		const char *name;
		void (*run)(void);
	} modes[] = {{"green", green},
	             {"default", default_stream},
	             {"primary", primary},
	             {"contexts", contexts},
	             {"rings", rings}};
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (strcmp(mode, modes[i].name) == 0) {
			modes[i].run();
			return 0;
		}
	fprintf(stderr, "usage: ends green|default|primary|contexts|rings\n");
	return 2;
}
