// SPDX-License-Identifier: Apache-2.0
/* managed.cu: a __managed__ variable: the software GPU refuses it, by name. */
#include "t.h"

__managed__ int counter;

static __global__ void bump(int by)
{
	counter += by;
}

int main(void)
{
	bump<<<1, 1>>>(1);
	IS(cudaGetLastError(), cudaErrorNotSupported);
	bump<<<1, 1>>>(1); /* said once, refused each time */
	IS(cudaGetLastError(), cudaErrorNotSupported);
	puts("ok");
	return 0;
}
