// SPDX-License-Identifier: Apache-2.0
/*
 * rt_basic.cu: the everyday calls of the runtime API: <<<…>>>, device, pinned, mapped, registered,
 * and pitched memory, copies of every direction, symbols, sets, events, function attributes, and
 * errors that must come back as they are. No managed memory.
 *
 * WHAT IT ASKS of the GPU: are all results right. HOW THE ANSWER IS READ: exit status 0 and the
 * bytes of --dump, the same with and without the shim.
 */
#include "rt.h"

#define N 65536u

__device__ uint32_t device_table[256];
__constant__ uint32_t constant_pair[2];

static __global__ void from_symbols(uint32_t *x, unsigned n)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < n)
		x[i] = x[i] * constant_pair[0] + constant_pair[1] + device_table[i % 256];
}

static __global__ void bump_table(void)
{
	device_table[threadIdx.x] += threadIdx.x;
}

static __global__ void through_shared(uint32_t *x)
{
	extern __shared__ uint32_t s[];
	s[threadIdx.x] = x[blockIdx.x * blockDim.x + threadIdx.x];
	__syncthreads();
	x[blockIdx.x * blockDim.x + threadIdx.x] = s[blockDim.x - 1 - threadIdx.x];
}

static __global__ void __launch_bounds__(64) small(void)
{
}

static void many_launches(void)
{
	std::vector<uint32_t> want = rt_filled(N, 1), got(N);
	uint32_t *d;
	RT(cudaMalloc(&d, N * sizeof(*d)));
	RT(cudaMemcpy(d, want.data(), N * sizeof(*d), cudaMemcpyHostToDevice));
	for (unsigned i = 0; i < 2000; i++)
		rt_affine<<<rt_blocks(N), 256>>>(d, N, 2 * i + 3, i, 8);
	RT_LAUNCHED();
	for (unsigned i = 0; i < 300; i++) { /* one at a time, each waited for */
		rt_affine<<<rt_blocks(N), 256>>>(d, N, 5, i, 64);
		RT(cudaDeviceSynchronize());
	}
	RT(cudaMemcpy(got.data(), d, N * sizeof(*d), cudaMemcpyDeviceToHost));
	uint32_t a = 1, b = 0; /* all of it as one step */
	for (unsigned i = 0; i < 2300; i++) {
		uint32_t ka = i < 2000 ? 2 * i + 3 : 5, kb = i < 2000 ? i : i - 2000;
		for (unsigned r = 0; r < (i < 2000 ? 8u : 64u); r++) {
			a = ka * a;
			b = ka * b + kb;
		}
	}
	for (uint32_t &v : want)
		v = a * v + b;
	rt_same(got.data(), want.data(), N, "many launches");
	RT(cudaFree(d));
}

static void host_memory(void)
{
	std::vector<uint32_t> want = rt_filled(N, 2), registered(N);
	uint32_t *pinned, *mapped, *mapped_device, *d;
	size_t bytes = N * sizeof(*d);
	RT(cudaMallocHost(&pinned, bytes));
	RT(cudaHostAlloc(&mapped, bytes, cudaHostAllocMapped | cudaHostAllocPortable));
	RT(cudaHostGetDevicePointer(&mapped_device, mapped, 0));
	RT(cudaMalloc(&d, bytes));
	memcpy(pinned, want.data(), bytes);
	RT(cudaMemcpyAsync(d, pinned, bytes, cudaMemcpyHostToDevice, 0));
	rt_affine<<<rt_blocks(N), 256>>>(d, N, 7, 11, 10);
	RT(cudaMemcpyAsync(mapped_device, d, bytes, cudaMemcpyDefault, 0));
	rt_affine<<<rt_blocks(N), 256>>>(mapped_device, N, 13, 17, 1); /* over the bus */
	RT_LAUNCHED();
	RT(cudaStreamSynchronize(0));
	for (uint32_t &v : want)
		v = rt_affine_cpu(rt_affine_cpu(v, 7, 11, 10), 13, 17, 1);
	rt_same(mapped, want.data(), N, "mapped memory");
	RT(cudaHostRegister(registered.data(), bytes, cudaHostRegisterDefault));
	RT(cudaMemcpyAsync(registered.data(), mapped_device, bytes, cudaMemcpyDefault, 0));
	RT(cudaStreamSynchronize(0));
	RT(cudaHostUnregister(registered.data()));
	rt_same(registered.data(), want.data(), N, "registered memory");
	RT(cudaFreeHost(pinned));
	RT(cudaFreeHost(mapped));
	RT(cudaFree(d));
}

static void symbols(void)
{
	std::vector<uint32_t> want = rt_filled(N, 3), got(N), table = rt_filled(256, 4), back(256);
	uint32_t pair[2] = {9, 21}, *d;
	void *address;
	RT(cudaMalloc(&d, N * sizeof(*d)));
	RT(cudaMemcpyToSymbol(constant_pair, pair, sizeof(pair)));
	RT(cudaMemcpyToSymbolAsync(device_table, table.data(), 1024, 0, cudaMemcpyHostToDevice, 0));
	RT(cudaMemcpy(d, want.data(), N * sizeof(*d), cudaMemcpyHostToDevice));
	from_symbols<<<rt_blocks(N), 256>>>(d, N);
	bump_table<<<1, 256>>>();
	RT_LAUNCHED();
	RT(cudaMemcpy(got.data(), d, N * sizeof(*d), cudaMemcpyDeviceToHost));
	for (unsigned i = 0; i < N; i++)
		want[i] = want[i] * 9 + 21 + table[i % 256];
	rt_same(got.data(), want.data(), N, "symbols");
	RT(cudaMemcpyFromSymbol(back.data(), device_table, 1024));
	for (unsigned i = 0; i < 256; i++)
		table[i] += i;
	rt_same(back.data(), table.data(), 256, "copy from a symbol");
	RT(cudaGetSymbolAddress(&address, device_table));
	RT(cudaMemcpy(back.data(), address, 1024, cudaMemcpyDeviceToHost));
	rt_same(back.data(), table.data(), 256, "copy from a symbol's address");
	RT(cudaFree(d));
}

static void pitched(void)
{
	const unsigned w = 300, h = 77;
	std::vector<uint32_t> want = rt_filled(w * h, 5), got(w * h);
	uint32_t *d;
	size_t pitch;
	RT(cudaMallocPitch(&d, &pitch, w * 4, h));
	RT(cudaMemset2D(d, pitch, 0, w * 4, h));
	RT(cudaMemcpy2D(d, pitch, want.data(), w * 4, w * 4, h, cudaMemcpyHostToDevice));
	RT(cudaMemcpy2DAsync(got.data(), w * 4, d, pitch, w * 4, h, cudaMemcpyDeviceToHost, 0));
	RT(cudaStreamSynchronize(0));
	rt_same(got.data(), want.data(), w * h, "pitched memory");
	RT(cudaFree(d));
}

static void sets_and_shared(void)
{
	const unsigned n = 4096, block = 1024;
	std::vector<uint32_t> want(n), got(n);
	uint32_t *d, *e;
	RT(cudaMalloc(&d, n * 4));
	RT(cudaMalloc(&e, n * 4));
	RT(cudaMemset(d, 0x5a, n * 4));
	RT(cudaMemsetAsync(d, 0x11, n * 2, 0));
	RT(cudaFuncSetAttribute(through_shared, cudaFuncAttributeMaxDynamicSharedMemorySize,
	                        40960));
	through_shared<<<n / block, block, 40960>>>(d);
	RT_LAUNCHED();
	RT(cudaMemcpy(e, d, n * 4, cudaMemcpyDeviceToDevice));
	RT(cudaMemcpy(got.data(), e, n * 4, cudaMemcpyDeviceToHost));
	for (unsigned i = 0; i < n; i++)
		want[i] = i < n / 2 ? 0x11111111u : 0x5a5a5a5au;
	rt_same(got.data(), want.data(), n, "sets");
	RT(cudaFree(d));
	RT(cudaFree(e));
}

static void events_and_attributes(void)
{
	cudaEvent_t begin, end;
	cudaFuncAttributes a;
	uint32_t *d;
	float ms = -1;
	int blocks = 0;
	RT(cudaEventCreate(&begin));
	RT(cudaEventCreateWithFlags(&end, cudaEventBlockingSync));
	RT(cudaMalloc(&d, N * 4));
	RT(cudaMemset(d, 0, N * 4));
	RT(cudaEventRecord(begin, 0));
	rt_affine<<<rt_blocks(N), 256>>>(d, N, 3, 1, 2000);
	RT_LAUNCHED();
	RT(cudaEventRecord(end, 0));
	RT(cudaEventSynchronize(end));
	RT(cudaEventElapsedTime(&ms, begin, end));
	RT_TRUE(ms > 0 && ms < 10000);
	RT(cudaEventQuery(end));
	RT(cudaFuncGetAttributes(&a, rt_affine));
	RT_TRUE(a.maxThreadsPerBlock >= 256);
	RT(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, rt_affine, 256, 0));
	RT_TRUE(blocks > 0);
	RT(cudaEventDestroy(begin));
	RT(cudaEventDestroy(end));
	RT(cudaFree(d));
}

/* What is refused is refused as before, and leaves nothing behind. A launch with a wrong shape is an
 * invalid value: what runtime 13.0 on driver 580 says of a block of 4096, no longer
 * cudaErrorInvalidConfiguration. */
static void errors(void)
{
	cudaFuncAttributes a;
	uint32_t *d = NULL;
	rt_affine<<<1, 4096>>>(NULL, 0, 0, 0, 0);
	RT_REFUSED(cudaErrorInvalidValue, "a block of 4096");
	RT_REFUSED(cudaSuccess, "asked again");
	rt_affine<<<0, 32>>>(NULL, 0, 0, 0, 0);
	RT_REFUSED(cudaErrorInvalidValue, "no blocks");
	rt_affine<<<1, dim3(1, 1, 100)>>>(NULL, 0, 0, 0, 0);
	RT_REFUSED(cudaErrorInvalidValue, "a block 100 deep");
	RT(cudaFuncGetAttributes(&a, small)); /* by which a replay knows, too */
	RT_TRUE(a.maxThreadsPerBlock == 64);
	small<<<1, 128>>>();
	RT_REFUSED(cudaErrorInvalidValue, "more threads than __launch_bounds__");
	through_shared<<<1, 32, 1 << 20>>>(NULL);
	RT_REFUSED(cudaErrorInvalidValue, "1 MiB of shared memory");
	RT_IS(cudaErrorMemoryAllocation, cudaMalloc(&d, (size_t)1 << 60));
	RT_IS(cudaErrorMemoryAllocation, cudaGetLastError());
	RT_IS(cudaErrorInvalidValue, cudaFree((void *)0x100));
	RT_IS(cudaErrorInvalidValue, cudaGetLastError());
	RT_IS(cudaSuccess, cudaFree(NULL));
	RT_IS(cudaErrorInvalidDevice, cudaSetDevice(1000));
	RT_IS(cudaErrorInvalidDevice, cudaGetLastError());
	RT(cudaDeviceSynchronize());
}

int main(int argc, char **argv)
{
	rt_begin("rt_basic", argc, argv);
	rt_device();
	many_launches();
	host_memory();
	symbols();
	pitched();
	sets_and_shared();
	events_and_attributes();
	errors();
	return rt_end();
}
