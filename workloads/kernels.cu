// SPDX-License-Identifier: Apache-2.0
// kernels.cu: the kernels of lc and be. Each thread takes its element `iterations` times through
// x → mul·x + add (mod 2³²). The host can jump ahead in that sequence (lib/affine.h), so every
// result is checked exactly, however long the kernel was made to run. mul and add are parameters
// so that no compiler folds the loop.

__device__ static void advance(unsigned *x, unsigned n, unsigned mul, unsigned add,
			       unsigned iterations)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i >= n)
		return;
	unsigned v = x[i];
	for (unsigned k = 0; k < iterations; k++)
		v = v * mul + add;
	x[i] = v;
}

extern "C" __global__ void lc_step(unsigned *x, unsigned n, unsigned mul, unsigned add,
				   unsigned iterations)
{
	advance(x, n, mul, add, iterations);
}

extern "C" __global__ void be_step(unsigned *x, unsigned n, unsigned mul, unsigned add,
				   unsigned iterations)
{
	advance(x, n, mul, add, iterations);
}
