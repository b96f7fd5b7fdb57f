// SPDX-License-Identifier: Apache-2.0
/* api_devices.c: two devices (SOFTGPU_DEVICES=2): separate memories, copies between them, peers. */
#include "api_client.h"

#define N 256

int main(void)
{
	CUcontext ctx[2];
	CUdeviceptr p[2];
	CUmodule m;
	CUfunction add;
	CUuuid uuid[2];
	size_t before, after, total;
	int n, can;
	OK(cuInit(0));
	OK(cuDeviceGetCount(&n));
	CHECK(n == 2);
	for (int i = 0; i < 2; i++) {
		OK(cuDeviceGetUuid(&uuid[i], i));
		OK(cuDevicePrimaryCtxRetain(&ctx[i], i));
		OK(cuCtxSetCurrent(ctx[i]));
		OK(cuMemAlloc(&p[i], N * sizeof(int)));
		OK(cuMemsetD32(p[i], (unsigned)i + 1, N));
		OK(cuCtxSynchronize());
	}
	CHECK(memcmp(&uuid[0], &uuid[1], sizeof(uuid[0])) != 0);
	OK(cuMemGetInfo(&before, &total));
	OK(cuCtxPushCurrent(ctx[0]));
	CUdeviceptr big;
	OK(cuMemAlloc(&big, total / 2));
	OK(cuCtxPopCurrent(NULL));
	OK(cuMemGetInfo(&after, &total));
	CHECK(before == after);

	OK(cuMemcpyPeer(p[1], ctx[1], p[0], ctx[0], N * sizeof(int)));
	EXPECT_ALL(p[1], 1, N);
	EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuMemcpyPeer(p[1], NULL, p[0], ctx[0], 4));

	/* a kernel may touch the other device's memory once access is enabled, not before */
	OK(cuDeviceCanAccessPeer(&can, 1, 0));
	CHECK(can);
	OK(cuModuleLoadData(&m, kernels_ptx));
	OK(cuModuleGetFunction(&add, m, "add"));
	EXPECT(CUDA_ERROR_PEER_ACCESS_NOT_ENABLED, cuCtxDisablePeerAccess(ctx[0]));
	OK(cuCtxEnablePeerAccess(ctx[0], 0));
	EXPECT(CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED, cuCtxEnablePeerAccess(ctx[0], 0));
	EXPECT(CUDA_ERROR_INVALID_DEVICE, cuCtxEnablePeerAccess(ctx[1], 0));
	OK(launch(add, p[0], 5, N, NULL));
	EXPECT_ALL(p[0], 6, N);
	OK(cuCtxDisablePeerAccess(ctx[0]));
	OK(launch(add, p[0], 5, N, NULL));
	EXPECT(CUDA_ERROR_ILLEGAL_ADDRESS, cuCtxSynchronize());
	OK(cuCtxSetCurrent(ctx[0]));
	OK(cuCtxSynchronize()); /* the other device's context is not poisoned */
	EXPECT_ALL(p[0], 6, N);
	puts("ok");
	return 0;
}
