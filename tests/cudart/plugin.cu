// SPDX-License-Identifier: Apache-2.0
// NVCC: -shared -Xcompiler -fPIC
/* plugin.cu: a shared library with a kernel and a variable of its own, for plugins.cu. */
#include <cuda_runtime.h>

__device__ int rounds;

static __global__ void work(int *p)
{
	p[threadIdx.x] += 1;
	if (threadIdx.x == 0)
		rounds++;
}

/* The number of its launches since it was loaded; < 0: an error. */
extern "C" int plugin_run(int *p)
{
	int n = 0;
	work<<<1, 32>>>(p);
	cudaError_t e = cudaMemcpyFromSymbol(&n, rounds, sizeof(n));
	return e == cudaSuccess ? n : -(int)e;
}
