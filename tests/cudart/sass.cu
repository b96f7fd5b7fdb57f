// SPDX-License-Identifier: Apache-2.0
// NVCC: -gencode arch=compute_90,code=sm_90
/*
 * sass.cu: a program with machine code alone. Without an argument its launches are refused; with
 * "time" (SOFTGPU_SASS=time) they take their time, and nothing is executed: parameters, limits and
 * variables are those of the machine code all the same.
 */
#include "t.h"

struct box {
	char bytes[200];
};

__constant__ float table[4] = {1, 2, 3};
__device__ int counter = 7;

__global__ void many(int *a, float b, char c, double d, box e)
{
	__shared__ int s[333];
	s[threadIdx.x] = a[0];
	__syncthreads();
	a[1] = s[5] + (int)(b + c + d + e.bytes[3] + table[a[2]]) + counter;
}

__global__ __launch_bounds__(128) void few(int *out)
{
	*out = 5;
}

int main(int argc, char **argv)
{
	box e = {};
	int *out, n = 0;
	float t[4];
	cudaFuncAttributes a;
	bool timed = argc > 1 && !strcmp(argv[1], "time");
	if (timed)
		setenv("SOFTGPU_SASS", "time", 1);
	OK(cudaMallocManaged(&out, 3 * sizeof(*out)));
	out[0] = out[1] = out[2] = 1;
	many<<<2, 64>>>(out, 1, 2, 3, e);
	IS(cudaGetLastError(), timed ? cudaSuccess : cudaErrorNoKernelImageForDevice);
	if (timed) {
		few<<<1, 128>>>(out);
		OK(cudaGetLastError());
		OK(cudaDeviceSynchronize());
		TRUE(out[0] == 1 && out[1] == 1);
		OK(cudaMemcpyFromSymbol(&n, counter, sizeof(n)));
		OK(cudaMemcpyFromSymbol(t, table, sizeof(t)));
		TRUE(n == 7 && t[0] == 1 && t[2] == 3 && t[3] == 0);
		OK(cudaFuncGetAttributes(&a, many));
		TRUE(a.sharedSizeBytes == 333 * 4);
		few<<<1, 256>>>(out); /* more threads than it allows */
		IS(cudaGetLastError(), cudaErrorInvalidValue);
	}
	OK(cudaDeviceSynchronize());
	printf("ok\n");
	return 0;
}
