// SPDX-License-Identifier: Apache-2.0
/* managed.cu: __managed__ variables: used by the host before and after kernels, with initial
 * values, as symbols, and by the kernels of two devices if there are two. */
#include "t.h"

__managed__ int counter = 40, table[3] = {1, 2, 3};
static __managed__ double big[5000];
__managed__ int *pointer;

static __global__ void bump(int by)
{
	if (threadIdx.x == 0)
		counter += by;
	__syncthreads();
	table[threadIdx.x] *= 10;
	big[4999 - threadIdx.x] = counter;
	if (pointer && threadIdx.x == 0)
		*pointer += counter;
}

static void on_all_devices(void)
{
	int n;
	OK(cudaGetDeviceCount(&n));
	for (int d = 0; d < n; d++) {
		OK(cudaSetDevice(d));
		counter = 100 * (d + 1);
		bump<<<1, 1>>>(d);
		OK(cudaDeviceSynchronize());
		TRUE(counter == 100 * (d + 1) + d && big[4999] == counter);
	}
	OK(cudaSetDevice(0));
}

static void as_symbols(void)
{
	int *address, value = 7, read = 0;
	size_t size;
	cudaPointerAttributes is;
	OK(cudaGetSymbolAddress((void **)&address, counter));
	OK(cudaGetSymbolSize(&size, table));
	TRUE(address == &counter && size == sizeof(table));
	OK(cudaMemcpyToSymbol(counter, &value, sizeof(value)));
	TRUE(counter == 7);
	OK(cudaMemcpyFromSymbol(&read, table, sizeof(read), 2 * sizeof(int)));
	TRUE(read == table[2]);
	OK(cudaPointerGetAttributes(&is, &counter));
	TRUE(is.type == cudaMemoryTypeManaged && is.devicePointer == &counter);
}

int main(void)
{
	TRUE(counter == 40 && table[1] == 2 && big[17] == 0 && !pointer); /* the first use of all */
	counter++;
	bump<<<1, 3>>>(1);
	OK(cudaDeviceSynchronize());
	TRUE(counter == 42 && table[2] == 30 && big[4997] == 42);
	OK(cudaMallocManaged(&pointer, sizeof(int)));
	*pointer = 5;
	bump<<<1, 1>>>(8);
	OK(cudaDeviceSynchronize());
	TRUE(*pointer == 55);
	OK(cudaFree(pointer));
	pointer = NULL;
	on_all_devices();
	as_symbols();
	puts("ok");
	return 0;
}
