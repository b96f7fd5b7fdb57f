// SPDX-License-Identifier: Apache-2.0
// NVCC: -rdc=true
// LINK: tests/cudart/linked_part.cu
/* linked.cu: a program of two translation units that call each other's device code (-rdc): functions,
 * variables, strings and templates of both, and private things of one name. */
#include "linked.h"
#include "t.h"

__device__ int bias = 7;
static __device__ int secret = 1000; /* of this unit; the other has its own */

__device__ int back(int x)
{
	return x + secret;
}

static __global__ void kernel(int *p)
{
	int i = threadIdx.x;
	p[i] = scale(i) + twice(i) + bias;
	if (i == 0)
		printf("first unit, %d\n", twice(21));
}

int main(void)
{
	int host[32], *d, v = 100;
	OK(cudaMalloc(&d, sizeof(host)));
	kernel<<<1, 32>>>(d);
	OK(cudaGetLastError());
	OK(cudaMemcpy(host, d, sizeof(host), cudaMemcpyDeviceToHost));
	for (int i = 0; i < 32; i++)
		TRUE(host[i] == 3 * i + 1000 + 2 * i + 7);
	OK(cudaMemcpyToSymbol(bias, &v, sizeof(v)));
	launch_other(d);
	OK(cudaGetLastError());
	OK(cudaMemcpy(host, d, sizeof(host), cudaMemcpyDeviceToHost));
	for (int i = 0; i < 32; i++)
		TRUE(host[i] == 100 + 3 + 2 * i);
	puts("ok");
	return 0;
}
