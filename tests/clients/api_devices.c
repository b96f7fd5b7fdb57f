// SPDX-License-Identifier: Apache-2.0
/* api_devices.c: several devices (SOFTGPU_DEVICES=2 and more): separate memories, copies between
 * them, peers; streams and events of one that another waits for. */
#include "api_client.h"

#define N 256

/* Device after device: each copies from the one before, adds 1, and is waited for by the next,
 * all on streams of their own, ordered by events alone. */
static void around(int n)
{
	CUcontext ctx[16] = {NULL};
	CUdeviceptr p[16] = {0};
	CUstream s[16] = {NULL};
	CUevent e[16] = {NULL};
	CUfunction add[16] = {NULL};
	for (int i = 0; i < n; i++) {
		CUmodule m;
		CUdevice d;
		OK(cuDevicePrimaryCtxRetain(&ctx[i], i));
		OK(cuCtxSetCurrent(ctx[i]));
		OK(cuCtxGetDevice(&d));
		CHECK(d == i);
		OK(cuModuleLoadData(&m, kernels_ptx));
		OK(cuModuleGetFunction(&add[i], m, "add"));
		OK(cuMemAlloc(&p[i], N * sizeof(int)));
		OK(cuMemsetD32(p[i], 0, N));
		OK(cuCtxSynchronize()); /* the streams do not wait for the default stream */
		OK(cuStreamCreate(&s[i], CU_STREAM_NON_BLOCKING));
		OK(cuEventCreate(&e[i], CU_EVENT_DISABLE_TIMING));
	}
	for (int i = 0; i < 3 * n; i++) {
		int at = i % n, before = (i + n - 1) % n;
		OK(cuCtxSetCurrent(ctx[at]));
		OK(cuStreamWaitEvent(s[at], e[before], 0));
		OK(cuMemcpyPeerAsync(p[at], ctx[at], p[before], ctx[before], N * sizeof(int),
		                     s[at]));
		OK(launch(add[at], p[at], 1, N, s[at]));
		OK(cuEventRecord(e[at], s[at]));
	}
	EXPECT(CUDA_ERROR_INVALID_HANDLE, cuEventRecord(e[0], s[1])); /* of another context */
	OK(cuEventSynchronize(e[n - 1]));
	EXPECT_ALL(p[n - 1], 3 * n, N);
	for (int i = 0; i < n; i++) {
		OK(cuCtxSetCurrent(ctx[i]));
		OK(cuMemFree(p[i]));
		OK(cuStreamDestroy(s[i]));
		OK(cuEventDestroy(e[i]));
		OK(cuDevicePrimaryCtxRelease(i));
	}
}

static void what_they_say(int n)
{
	char name[100], bus[16];
	int v;
	CUdevice d;
	CUuuid uuid[16];
	for (int i = 0; i < n; i++) {
		OK(cuDeviceGet(&d, i));
		OK(cuDeviceGetName(name, sizeof(name), d));
		OK(cuDeviceGetUuid(&uuid[i], d));
		for (int j = 0; j < i; j++)
			CHECK(memcmp(&uuid[i], &uuid[j], sizeof(uuid[i])) != 0);
		OK(cuDeviceGetPCIBusId(bus, sizeof(bus), d));
		OK(cuDeviceGetByPCIBusId(&d, bus));
		CHECK(d == i);
		for (int j = 0; j < n; j++) {
			OK(cuDeviceCanAccessPeer(&v, i, j));
			CHECK(v == (i != j));
			if (i == j)
				continue;
			OK(cuDeviceGetP2PAttribute(&v, CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED, i,
			                           j));
			CHECK(v == 1);
			OK(cuDeviceGetP2PAttribute(
			    &v, CU_DEVICE_P2P_ATTRIBUTE_CUDA_ARRAY_ACCESS_SUPPORTED, i, j));
			CHECK(v == 0);
		}
		EXPECT(CUDA_ERROR_INVALID_DEVICE,
		       cuDeviceGetP2PAttribute(&v, CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED, i, i));
	}
	EXPECT(CUDA_ERROR_INVALID_DEVICE, cuDeviceGet(&d, n));
}

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
	CHECK(n >= 2 && n <= 16);
	what_they_say(n);
	around(n);
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
