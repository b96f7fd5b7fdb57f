// SPDX-License-Identifier: Apache-2.0
/* linked_part.cu: the other unit. */
#include "linked.h"

static __device__ int secret = 3;

__device__ int scale(int x)
{
	return back(secret * x);
}

static __global__ void kernel(int *p)
{
	p[threadIdx.x] = bias + secret + twice((int)threadIdx.x);
	if (threadIdx.x == 0)
		printf("second unit, %d\n", bias);
}

void launch_other(int *p)
{
	kernel<<<1, 32>>>(p);
}
