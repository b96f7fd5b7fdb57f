// SPDX-License-Identifier: Apache-2.0
// scan.cu: inclusive prefix sums: by blocks (shuffles, then the warps' sums), then the sums of the
// blocks before are added.

extern "C" __global__ void scan_blocks(const unsigned *in, unsigned *out, unsigned *sums, int n)
{
	__shared__ unsigned warps[32];
	int i = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.x % 32;
	unsigned v = i < n ? in[i] : 0;
	for (int step = 1; step < 32; step <<= 1) {
		unsigned other = __shfl_up_sync(0xffffffffu, v, step);
		if (lane >= step)
			v += other;
	}
	if (lane == 31)
		warps[threadIdx.x / 32] = v;
	__syncthreads();
	if (threadIdx.x < 32) {
		unsigned w = threadIdx.x < blockDim.x / 32 ? warps[threadIdx.x] : 0;
		for (int step = 1; step < 32; step <<= 1) {
			unsigned other = __shfl_up_sync(0xffffffffu, w, step);
			if (lane >= step)
				w += other;
		}
		warps[threadIdx.x] = w;
	}
	__syncthreads();
	if (threadIdx.x >= 32)
		v += warps[threadIdx.x / 32 - 1];
	if (i < n)
		out[i] = v;
	if (threadIdx.x == blockDim.x - 1 && sums)
		sums[blockIdx.x] = v;
}

extern "C" __global__ void scan_add(unsigned *out, const unsigned *sums, int n)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	if (blockIdx.x && i < n)
		out[i] += sums[blockIdx.x - 1];
}
