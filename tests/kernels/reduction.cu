// SPDX-License-Identifier: Apache-2.0
// reduction.cu: sum and largest of an array: grid-stride loop, shuffles within a warp, shared
// memory between warps, one atomic a block.

static __device__ float warp_sum(float v)
{
	for (int step = 16; step; step >>= 1)
		v += __shfl_down_sync(0xffffffffu, v, step);
	return v;
}

extern "C" __global__ void reduce_sum(const float *x, int n, float *sum)
{
	__shared__ float part[32];
	float v = 0;
	for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
		v += x[i];
	v = warp_sum(v);
	if (threadIdx.x % 32 == 0)
		part[threadIdx.x / 32] = v;
	__syncthreads();
	if (threadIdx.x < 32) {
		v = warp_sum(threadIdx.x < blockDim.x / 32 ? part[threadIdx.x] : 0);
		if (threadIdx.x == 0)
			atomicAdd(sum, v);
	}
}

extern "C" __global__ void reduce_max(const unsigned *x, int n, unsigned *most)
{
	unsigned v = 0;
	for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
		v = max(v, x[i]);
	v = __reduce_max_sync(0xffffffffu, v);
	if (threadIdx.x % 32 == 0)
		atomicMax(most, v);
}
