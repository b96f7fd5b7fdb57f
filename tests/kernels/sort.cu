// SPDX-License-Identifier: Apache-2.0
// sort.cu: a bitonic sort of blocks in shared memory, a step of it in global memory, and a radix
// sort of one bit a pass.

extern "C" __global__ void bitonic_block(unsigned *x, int descending_odd)
{
	extern __shared__ unsigned s[];
	unsigned t = threadIdx.x, n = 2 * blockDim.x, *mine = x + (size_t)blockIdx.x * n;
	s[t] = mine[t];
	s[t + blockDim.x] = mine[t + blockDim.x];
	bool flip = descending_odd && (blockIdx.x & 1);
	for (unsigned size = 2; size <= n; size <<= 1)
		for (unsigned step = size / 2; step; step >>= 1) {
			__syncthreads();
			unsigned at = 2 * t - (t & (step - 1));
			bool down = ((at & size) != 0) != flip;
			unsigned a = s[at], b = s[at + step];
			if ((a > b) != down) {
				s[at] = b;
				s[at + step] = a;
			}
		}
	__syncthreads();
	mine[t] = s[t];
	mine[t + blockDim.x] = s[t + blockDim.x];
}

extern "C" __global__ void bitonic_step(unsigned *x, unsigned size, unsigned step)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x, j = i ^ step;
	if (j <= i)
		return;
	unsigned a = x[i], b = x[j];
	if ((a > b) == ((i & size) == 0)) {
		x[i] = b;
		x[j] = a;
	}
}

// One block; each pass keeps the order of what has the same bit.
extern "C" __global__ void radix_sort(unsigned *keys, unsigned *values, int n, int bits)
{
	extern __shared__ unsigned buf[];
	unsigned *k = buf, *v = buf + n, *k2 = v + n, *v2 = k2 + n;
	__shared__ unsigned zeros[32], total;
	unsigned t = threadIdx.x, lane = t % 32, warp = t / 32;
	if (t < n) {
		k[t] = keys[t];
		v[t] = values[t];
	}
	__syncthreads();
	for (int bit = 0; bit < bits; bit++) {
		bool zero = t < n && !(k[t] >> bit & 1);
		unsigned votes = __ballot_sync(0xffffffffu, zero);
		if (lane == 0)
			zeros[warp] = __popc(votes);
		__syncthreads();
		if (t == 0) {
			unsigned sum = 0;
			for (unsigned w = 0; w < blockDim.x / 32; w++) {
				unsigned here = zeros[w];
				zeros[w] = sum;
				sum += here;
			}
			total = sum;
		}
		__syncthreads();
		unsigned before = zeros[warp] + __popc(votes & ((1u << lane) - 1));
		if (t < n) {
			unsigned to = zero ? before : total + t - before;
			k2[to] = k[t];
			v2[to] = v[t];
		}
		__syncthreads();
		unsigned *swap = k;
		k = k2;
		k2 = swap;
		swap = v;
		v = v2;
		v2 = swap;
	}
	if (t < n) {
		keys[t] = k[t];
		values[t] = v[t];
	}
}
