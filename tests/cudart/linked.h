// SPDX-License-Identifier: Apache-2.0
/* linked.h: what the two units of linked.cu know of each other. */
#ifndef TESTS_CUDART_LINKED_H
#define TESTS_CUDART_LINKED_H

#include <cuda_runtime.h>
#include <stdio.h>

extern __device__ int bias;
__device__ int scale(int x);
__device__ int back(int x);
void launch_other(int *p);

/* in both units: one of them counts */
template <typename T> __device__ __noinline__ T twice(T x)
{
	return x * 2;
}

#endif
