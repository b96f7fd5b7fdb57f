// SPDX-License-Identifier: Apache-2.0
// kernels.cu: the kernels of the enemies and of the urgent program that they delay. All iterate
// x → mul·x + add (mod 2³²), in which the host can jump ahead (lib/affine.h), and each map differs
// from its neighbours', so that one step lost, repeated or out of order changes the result.
#include <cooperative_groups.h>

// Stamps: where stamps_room is not 0, each kernel that stamps notes %globaltimer at the begin of its
// first block and at the end of its last one. Kernels that stamp run one after the other.
// stamps_at points to stamps_room pairs (begin, end), begins filled with ~0 and ends with 0.
__device__ unsigned long long *stamps_at;
__device__ unsigned stamps_room, stamps_used, stamps_ended;

__device__ static unsigned long long now()
{
	unsigned long long t;
	asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(t));
	return t;
}

__device__ static void stamp_begin()
{
	if (threadIdx.x == 0 && stamps_room) {
		unsigned slot = *(volatile unsigned *)&stamps_used;
		if (slot < stamps_room)
			atomicMin(&stamps_at[2 * slot], now());
	}
}

__device__ static void stamp_end()
{
	if (!stamps_room) // the same for all threads
		return;
	__syncthreads();
	if (threadIdx.x)
		return;
	unsigned slot = *(volatile unsigned *)&stamps_used;
	if (slot < stamps_room)
		atomicMax(&stamps_at[2 * slot + 1], now());
	__threadfence();
	if (atomicAdd(&stamps_ended, 1) == gridDim.x - 1) {
		stamps_ended = 0;
		*(volatile unsigned *)&stamps_used = slot + 1;
	}
}

__device__ static unsigned advance(unsigned v, unsigned mul, unsigned add, unsigned iterations)
{
#pragma unroll 1 // the time is the iterations'
	for (unsigned k = 0; k < iterations; k++)
		v = v * mul + add;
	return v;
}

__device__ static void step(unsigned *x, unsigned n, unsigned mul, unsigned add,
			    unsigned iterations)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	stamp_begin();
	if (i < n)
		x[i] = advance(x[i], mul, add, iterations);
	stamp_end();
}

// ---- the same for both sides, under names that logs and declared times can tell apart
extern "C" __global__ void enemy_step(unsigned *x, unsigned n, unsigned mul, unsigned add,
				      unsigned iterations)
{
	step(x, n, mul, add, iterations);
}

extern "C" __global__ void urgent_step(unsigned *x, unsigned n, unsigned mul, unsigned add,
				       unsigned iterations)
{
	step(x, n, mul, add, iterations);
}

// ---- graph: a node; no stamps, since nodes run side by side
extern "C" __global__ void enemy_node(unsigned *x, unsigned n, unsigned mul, unsigned add,
				      unsigned iterations)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < n)
		x[i] = advance(x[i], mul, add, iterations);
}

// ---- persistent: each block stays for `steps` of `iterations`, or until the host says stop. The
// blocks end at different steps then, so each counts its own. The first one tells the host.
extern "C" __global__ void enemy_persistent(unsigned *x, unsigned mul, unsigned add,
					    unsigned iterations, unsigned long long steps,
					    unsigned long long *done, const volatile unsigned *stop,
					    volatile unsigned long long *progress)
{
	__shared__ unsigned over;
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x, v = x[i];
	unsigned long long s = 0;
	stamp_begin();
	for (; s < steps; s++) {
		if (threadIdx.x == 0)
			over = *stop;
		__syncthreads();
		bool end = over;
		__syncthreads();
		if (end)
			break;
		v = advance(v, mul, add, iterations);
		if (i == 0)
			*progress = *progress + 1;
	}
	x[i] = v;
	if (threadIdx.x == 0)
		done[blockIdx.x] += s;
	stamp_end();
}

// ---- bandwidth: reads one array and writes another, n vectors of four elements
extern "C" __global__ void enemy_bandwidth(uint4 *to, const uint4 *from, unsigned n, unsigned mul,
					   unsigned add)
{
	stamp_begin();
	for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
		uint4 v = from[i];
		v.x = v.x * mul + add;
		v.y = v.y * mul + add;
		v.z = v.z * mul + add;
		v.w = v.w * mul + add;
		to[i] = v;
	}
	stamp_end();
}

// ---- copy: sum → mul·sum + what was copied in, which is taken away: it must come again
extern "C" __global__ void enemy_sum(unsigned *sum, unsigned *in, unsigned n, unsigned mul)
{
	for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
		sum[i] = sum[i] * mul + in[i];
		in[i] = 0;
	}
}

// ---- cooperative: each step takes its element from another block's of the step before: wrong
// unless the whole grid waits in between. `steps` is even, so that the result is in x.
extern "C" __global__ void enemy_cooperative(unsigned *x, unsigned *y, unsigned mul, unsigned add,
					     unsigned iterations, unsigned steps)
{
	unsigned n = gridDim.x * blockDim.x, i = blockIdx.x * blockDim.x + threadIdx.x;
	unsigned from = (i + n / 2 + 1) % n;
	stamp_begin();
	for (unsigned s = 0; s < steps; s++) {
		y[i] = advance(x[from], mul, add, iterations);
		cooperative_groups::this_grid().sync();
		unsigned *t = x;
		x = y;
		y = t;
	}
	stamp_end();
}

// ---- streams: to ← own advanced + 3·neighbour, from one buffer to the other
extern "C" __global__ void enemy_mix(unsigned *to, const unsigned *own, const unsigned *neighbour,
				     unsigned n, unsigned mul, unsigned add, unsigned iterations)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < n)
		to[i] = advance(own[i], mul, add, iterations) + 3 * neighbour[i];
}
