// SPDX-License-Identifier: Apache-2.0
/* api.cu: the calls about devices, memory, symbols, functions and streams that the programs of
 * workloads/gpu/cudart/ do not make. */
#include <cuda.h>
#include <cuda_profiler_api.h>

#include "t.h"

#define N 1000

__device__ int table[64];
__constant__ float factors[8];
__device__ int *pointer_to_table = table;

static __global__ void use(int *out, int n)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < n)
		out[i] = table[i % 64] * (int)factors[i % 8] + pointer_to_table[1];
}

static __global__ void __launch_bounds__(128) limited(int *out)
{
	__shared__ int s[128];
	s[threadIdx.x] = out[threadIdx.x];
	__syncthreads();
	out[threadIdx.x] = s[127 - threadIdx.x];
}

static void devices(void)
{
	cudaDeviceProp p;
	int n = 0, v = 0, device = -1, driver = 0, runtime = 0;
	unsigned flags = 0;
	size_t limit = 0;
	char bus[32];
	OK(cudaDriverGetVersion(&driver));
	OK(cudaRuntimeGetVersion(&runtime));
	TRUE(driver >= 13000 && runtime == CUDART_VERSION);
	OK(cudaGetDeviceCount(&n));
	TRUE(n == 2);
	OK(cudaGetDevice(&device));
	TRUE(device == 0);
	OK(cudaGetDeviceProperties(&p, 0));
	TRUE(p.name[0] && p.major == 9 && p.warpSize == 32 && p.maxThreadsPerBlock == 1024);
	OK(cudaDeviceGetAttribute(&v, cudaDevAttrMultiProcessorCount, 0));
	TRUE(v == p.multiProcessorCount && v > 0);
	OK(cudaDeviceGetAttribute(&v, cudaDevAttrMaxGridDimX, 0));
	TRUE(v == p.maxGridSize[0]);
	OK(cudaDeviceGetAttribute(&v, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0));
	TRUE((size_t)v == p.sharedMemPerBlockOptin);
	IS(cudaDeviceGetAttribute(&v, cudaDevAttrWarpSize, 9), cudaErrorInvalidDevice);
	(void)cudaGetLastError();
	OK(cudaDeviceGetPCIBusId(bus, sizeof(bus), 0));
	OK(cudaDeviceGetByPCIBusId(&v, bus));
	TRUE(v == 0);
	OK(cudaSetDeviceFlags(cudaDeviceScheduleYield));
	OK(cudaGetDeviceFlags(&flags));
	TRUE((flags & cudaDeviceScheduleMask) == cudaDeviceScheduleYield);
	OK(cudaDeviceSetLimit(cudaLimitStackSize, 4096));
	OK(cudaDeviceGetLimit(&limit, cudaLimitStackSize));
	TRUE(limit >= 4096);
	OK(cudaDeviceSetCacheConfig(cudaFuncCachePreferL1));
	OK(cudaInitDevice(0, 0, 0));
	memset(&p, 0, sizeof(p));
	p.major = 7;
	OK(cudaChooseDevice(&v, &p));
	TRUE(v == 0);
	OK(cudaProfilerStart());
	OK(cudaProfilerStop());
}

static void functions(void)
{
	cudaFuncAttributes a;
	cudaKernel_t kernel;
	cudaFunction_t function;
	const char *name;
	size_t offset, size, room;
	int blocks = 0, block = 0, grid = 0;
	OK(cudaFuncGetAttributes(&a, limited));
	TRUE(a.sharedSizeBytes == 512 && a.maxThreadsPerBlock == 128 && a.numRegs > 0);
	OK(cudaFuncSetAttribute(use, cudaFuncAttributeMaxDynamicSharedMemorySize, 65536));
	OK(cudaFuncGetAttributes(&a, use));
	TRUE(a.maxDynamicSharedSizeBytes == 65536);
	OK(cudaFuncSetCacheConfig(use, cudaFuncCachePreferShared));
	OK(cudaFuncGetName(&name, (const void *)use));
	TRUE(strstr(name, "use") != NULL);
	OK(cudaFuncGetParamInfo((const void *)use, 1, &offset, &size));
	TRUE(offset == 8 && size == 4);
	OK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, use, 1024, 0));
	TRUE(blocks == 2);
	OK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, use, 1024, 65536));
	TRUE(blocks == 1);
	OK(cudaOccupancyMaxPotentialBlockSize(&grid, &block, use, 0, 0));
	TRUE(grid > 0 && block > 0 && block <= 1024);
	OK(cudaOccupancyAvailableDynamicSMemPerBlock(&room, (const void *)use, 2, 256));
	TRUE(room > 0);
	OK(cudaGetKernel(&kernel, (const void *)use));
	OK(cudaGetFuncBySymbol(&function, (const void *)use));
	TRUE(kernel != NULL && function != NULL);
	/* each names the same kernel */
	int *d, n = 64, host[64];
	void *args[] = {&d, &n};
	OK(cudaMalloc(&d, sizeof(host)));
	const void *const names[] = {(const void *)use, (const void *)kernel, (const void *)function};
	for (int i = 0; i < 3; i++) {
		OK(cudaMemset(d, 0xff, sizeof(host)));
		OK(cudaLaunchKernel(names[i], dim3(1), dim3(64), args, 0, 0));
		OK(cudaMemcpy(host, d, sizeof(host), cudaMemcpyDeviceToHost));
		TRUE(host[0] == 1 * 2 + 4); /* as symbols() left the variables */
	}
	OK(cudaFree(d));
}

static void symbols(void)
{
	int host[64], out[N], *d;
	float f[8];
	void *at;
	size_t size = 0;
	for (int i = 0; i < 64; i++)
		host[i] = 3 * i + 1;
	for (int i = 0; i < 8; i++)
		f[i] = (float)(i + 2);
	OK(cudaGetSymbolSize(&size, table));
	TRUE(size == sizeof(table));
	OK(cudaGetSymbolSize(&size, factors));
	TRUE(size == sizeof(f));
	OK(cudaMemcpyToSymbol(table, host, 128));
	OK(cudaMemcpyToSymbol(table, host + 32, 128, 128));
	OK(cudaMemcpyToSymbol(factors, f, sizeof(f)));
	OK(cudaMalloc(&d, sizeof(out)));
	use<<<(N + 127) / 128, 128>>>(d, N);
	OK(cudaGetLastError());
	OK(cudaMemcpy(out, d, sizeof(out), cudaMemcpyDefault));
	for (int i = 0; i < N; i++)
		TRUE(out[i] == host[i % 64] * (int)f[i % 8] + host[1]);
	OK(cudaGetSymbolAddress(&at, table));
	OK(cudaMemcpyFromSymbol(out, table, 8, 248));
	TRUE(out[0] == host[62] && out[1] == host[63]);
	OK(cudaMemcpyFromSymbol(d, table, 256, 0, cudaMemcpyDeviceToDevice));
	IS(cudaMemcpyToSymbol(table, host, 256, 4), cudaErrorInvalidValue);
	IS(cudaMemcpyToSymbol(table, host, 4, 0, cudaMemcpyDeviceToHost),
	   cudaErrorInvalidMemcpyDirection);
	IS(cudaGetSymbolAddress(&at, &host[0]), cudaErrorInvalidSymbol);
	IS(cudaGetLastError(), cudaErrorInvalidSymbol);
	OK(cudaFree(d));
}

static void memory(void)
{
	cudaPointerAttributes a;
	cudaPitchedPtr p;
	cudaMemcpy3DParms c = {};
	cudaExtent extent = make_cudaExtent(40, 5, 3);
	unsigned char host[3][6][48], back[3][6][48];
	size_t room = 0, total = 0;
	unsigned flags = 0;
	void *d = NULL, *h = NULL, *on_device = NULL;
	OK(cudaMemGetInfo(&room, &total));
	TRUE(room > 0 && room <= total);
	OK(cudaMalloc(&d, 0));
	TRUE(d == NULL);
	OK(cudaFree(NULL));
	OK(cudaFreeHost(NULL));
	OK(cudaMalloc(&d, 100));
	OK(cudaPointerGetAttributes(&a, d));
	TRUE(a.type == cudaMemoryTypeDevice && a.device == 0 && a.devicePointer == d && !a.hostPointer);
	OK(cudaHostAlloc(&h, 100, cudaHostAllocMapped | cudaHostAllocWriteCombined));
	OK(cudaHostGetFlags(&flags, h));
	TRUE(flags & cudaHostAllocWriteCombined);
	OK(cudaHostGetDevicePointer(&on_device, h, 0));
	OK(cudaPointerGetAttributes(&a, h));
	TRUE(a.type == cudaMemoryTypeHost && a.hostPointer == h && a.devicePointer == on_device);
	OK(cudaPointerGetAttributes(&a, &room));
	TRUE(a.type == cudaMemoryTypeUnregistered && a.hostPointer == &room);
	IS(cudaFree((char *)d + 1), cudaErrorInvalidValue);
	IS(cudaMemcpy(d, h, 4, (cudaMemcpyKind)9), cudaErrorInvalidMemcpyDirection);
	IS(cudaMemcpy2D(d, 8, h, 8, 9, 1, cudaMemcpyHostToDevice), cudaErrorInvalidPitchValue);
	OK(cudaFree(d));
	OK(cudaFreeHost(h));
	/* three dimensions: a box within a larger one, there and back */
	for (unsigned i = 0; i < sizeof(host); i++)
		((unsigned char *)host)[i] = (unsigned char)(i * 7);
	memset(back, 0, sizeof(back));
	OK(cudaMalloc3D(&p, extent));
	TRUE(p.pitch >= 40 && p.xsize == 40 && p.ysize == 5);
	OK(cudaMemset3D(p, 0x33, extent));
	c.srcPtr = make_cudaPitchedPtr(host, 48, 48, 6);
	c.srcPos = make_cudaPos(4, 1, 0);
	c.dstPtr = p;
	c.dstPos = make_cudaPos(2, 1, 1);
	c.extent = make_cudaExtent(30, 4, 2);
	c.kind = cudaMemcpyHostToDevice;
	OK(cudaMemcpy3D(&c));
	memset(&c, 0, sizeof(c));
	c.srcPtr = p;
	c.dstPtr = make_cudaPitchedPtr(back, 48, 48, 6);
	c.extent = extent;
	c.kind = cudaMemcpyDeviceToHost;
	OK(cudaMemcpy3DAsync(&c, 0));
	OK(cudaDeviceSynchronize());
	for (int z = 0; z < 3; z++)
		for (int y = 0; y < 5; y++)
			for (int x = 0; x < 40; x++) {
				bool in = x >= 2 && x < 32 && y >= 1 && z >= 1;
				TRUE(back[z][y][x] == (in ? host[z - 1][y][x + 2] : 0x33));
			}
	OK(cudaFree(p.ptr));
}

static void pools(void)
{
	cudaMemPool_t pool, again;
	cudaMemLocation here = {cudaMemLocationTypeDevice, 0};
	cudaMemPoolProps props = {};
	cudaMemAccessDesc access = {{cudaMemLocationTypeDevice, 0}, cudaMemAccessFlagsProtReadWrite};
	cudaMemAccessFlags flags;
	int *d, v = 0;
	OK(cudaMemGetDefaultMemPool(&pool, &here, cudaMemAllocationTypePinned));
	OK(cudaDeviceGetDefaultMemPool(&again, 0));
	TRUE(pool == again);
	props.allocType = cudaMemAllocationTypePinned;
	props.location = here;
	OK(cudaMemPoolCreate(&pool, &props));
	OK(cudaMemPoolSetAccess(pool, &access, 1));
	OK(cudaMemPoolGetAccess(&flags, pool, &here));
	TRUE(flags == cudaMemAccessFlagsProtReadWrite);
	OK(cudaDeviceSetMemPool(0, pool));
	OK(cudaDeviceGetMemPool(&again, 0));
	TRUE(pool == again);
	OK(cudaMallocAsync(&d, 4, 0));
	OK(cudaMemsetAsync(d, 1, 4, 0));
	OK(cudaMemcpyAsync(&v, d, 4, cudaMemcpyDefault, 0));
	OK(cudaFreeAsync(d, 0));
	OK(cudaStreamSynchronize(0));
	TRUE(v == 0x01010101);
	OK(cudaMemPoolDestroy(pool));
}

static void CUDART_CB called(cudaStream_t s, cudaError_t e, void *arg)
{
	*(int *)arg += e == cudaSuccess && s != NULL;
}

static void streams(void)
{
	cudaStream_t s, t;
	cudaEvent_t e, f;
	int least, greatest, priority = 9, device = 9, calls = 0;
	unsigned flags = 9;
	unsigned long long id = 0, other = 0;
	float ms;
	OK(cudaDeviceGetStreamPriorityRange(&least, &greatest));
	TRUE(greatest < least);
	OK(cudaStreamCreateWithPriority(&s, cudaStreamNonBlocking, greatest));
	OK(cudaStreamGetPriority(s, &priority));
	OK(cudaStreamGetFlags(s, &flags));
	OK(cudaStreamGetDevice(s, &device));
	TRUE(priority == greatest && flags == cudaStreamNonBlocking && device == 0);
	OK(cudaStreamCreate(&t));
	OK(cudaStreamGetId(s, &id));
	OK(cudaStreamGetId(t, &other));
	TRUE(id != other);
	OK(cudaStreamAddCallback(s, called, &calls, 0));
	OK(cudaStreamSynchronize(s));
	TRUE(calls == 1);
	OK(cudaEventCreateWithFlags(&e, cudaEventDisableTiming));
	OK(cudaEventCreate(&f));
	IS(cudaEventElapsedTime(&ms, e, f), cudaErrorInvalidResourceHandle);
	(void)cudaGetLastError();
	OK(cudaEventRecord(e, s));
	OK(cudaStreamWaitEvent(t, e, 0));
	OK(cudaStreamSynchronize(t));
	OK(cudaEventQuery(e));
	OK(cudaEventDestroy(e));
	OK(cudaEventDestroy(f));
	OK(cudaStreamDestroy(s));
	OK(cudaStreamDestroy(t));
}

static void entry_points(void)
{
	cudaDriverEntryPointQueryResult found;
	void *plain = NULL, *again = NULL, *per_thread = NULL;
	OK(cudaGetDriverEntryPointByVersion("cuStreamQuery", &plain, 13000, cudaEnableLegacyStream,
	                                    &found));
	TRUE(found == cudaDriverEntryPointSuccess && plain);
	OK(cudaGetDriverEntryPointByVersion("cuStreamQuery", &per_thread, 13000,
	                                    cudaEnablePerThreadDefaultStream, &found));
	TRUE(per_thread && per_thread != plain);
	OK(cudaGetDriverEntryPointByVersion("cuStreamQuery", &again, 13000, cudaEnableDefault, NULL));
#ifdef CUDA_API_PER_THREAD_DEFAULT_STREAM
	TRUE(again == per_thread);
#else
	TRUE(again == plain);
#endif
	OK(cudaGetDriverEntryPointByVersion("cuNothing", &again, 13000, cudaEnableDefault, &found));
	TRUE(found == cudaDriverEntryPointSymbolNotFound && !again);
}

/* One function on two devices, each with its own variables; copies between them. */
static void two_devices(void)
{
	int *d[2], host[64], one = 1, can = 0;
	for (int i = 0; i < 2; i++) {
		OK(cudaSetDevice(i));
		for (int k = 0; k < 64; k++)
			host[k] = 100 * i + k;
		float f[8] = {1, 1, 1, 1, 1, 1, 1, 1};
		OK(cudaMemcpyToSymbol(table, host, sizeof(host)));
		OK(cudaMemcpyToSymbol(factors, f, sizeof(f)));
		OK(cudaMalloc(&d[i], sizeof(host)));
		use<<<1, 64>>>(d[i], 64);
		OK(cudaGetLastError());
	}
	OK(cudaGetDevice(&one));
	TRUE(one == 1);
	OK(cudaDeviceCanAccessPeer(&can, 1, 0));
	if (can)
		OK(cudaDeviceEnablePeerAccess(0, 0));
	OK(cudaMemcpy(host, d[1], sizeof(host), cudaMemcpyDeviceToHost));
	TRUE(host[5] == 105 + 101);
	OK(cudaMemcpyPeer(d[1], 1, d[0], 0, sizeof(host)));
	OK(cudaMemcpy(host, d[1], sizeof(host), cudaMemcpyDeviceToHost));
	TRUE(host[5] == 5 + 1);
	OK(cudaDeviceReset());
	OK(cudaSetDevice(0));
	OK(cudaMemcpy(host, d[0], sizeof(host), cudaMemcpyDeviceToHost));
	TRUE(host[5] == 5 + 1);
	OK(cudaFree(d[0]));
}

int main(void)
{
	devices();
	symbols();
	functions();
	memory();
	pools();
	streams();
	entry_points();
	two_devices();
	puts("ok");
	return 0;
}
