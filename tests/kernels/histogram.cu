// SPDX-License-Identifier: Apache-2.0
// histogram.cu: 256 bins: atomics on shared memory, then on global memory; and one in which the
// lanes that hit the same bin find each other first.

extern "C" __global__ void histogram(const unsigned char *x, int n, unsigned *bins)
{
	__shared__ unsigned mine[256];
	for (int i = threadIdx.x; i < 256; i += blockDim.x)
		mine[i] = 0;
	__syncthreads();
	for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
		atomicAdd(&mine[x[i]], 1u);
	__syncthreads();
	for (int i = threadIdx.x; i < 256; i += blockDim.x)
		atomicAdd(&bins[i], mine[i]);
}

extern "C" __global__ void histogram_match(const unsigned char *x, int n, unsigned *bins)
{
	for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
		unsigned same = __match_any_sync(__activemask(), (unsigned)x[i]);
		if (threadIdx.x % 32 == __ffs(same) - 1)
			atomicAdd(&bins[x[i]], (unsigned)__popc(same));
	}
}
