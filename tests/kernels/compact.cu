// SPDX-License-Identifier: Apache-2.0
// compact.cu: keeps what is wanted, in order: votes within a warp, a scan of the warps' counts, and
// the blocks one after the other by a counter that each hands on (a chained scan).

extern "C" __global__ void compact(const int *in, int *out, int n, volatile int *handed, int limit)
{
	__shared__ int counts[32], base;
	int i = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.x % 32,
	    warp = threadIdx.x / 32;
	bool keep = i < n && in[i] < limit;
	unsigned votes = __ballot_sync(0xffffffffu, keep);
	if (lane == 0)
		counts[warp] = __popc(votes);
	__syncthreads();
	if (threadIdx.x == 0) {
		int sum = 0;
		for (int w = 0; w < blockDim.x / 32; w++) {
			int here = counts[w];
			counts[w] = sum;
			sum += here;
		}
		// handed[b]: 1 + how many all blocks before b have kept
		while (blockIdx.x && handed[blockIdx.x] == 0)
			;
		base = blockIdx.x ? handed[blockIdx.x] - 1 : 0;
		__threadfence();
		handed[blockIdx.x + 1] = base + sum + 1;
	}
	__syncthreads();
	if (keep)
		out[base + counts[warp] + __popc(votes & ((1u << lane) - 1))] = in[i];
}
