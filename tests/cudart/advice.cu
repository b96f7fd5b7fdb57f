// SPDX-License-Identifier: Apache-2.0
/* advice.cu: advice on managed memory and prefetches, and what is answered after: for all of it,
 * for parts, where parts differ, and after it was freed. */
#include "t.h"

#define BYTES (64 << 10)

static char *p;

static int ask(cudaMemRangeAttribute what, size_t from, size_t n)
{
	int v = 77;
	OK(cudaMemRangeGetAttribute(&v, sizeof(v), what, p + from, n));
	return v;
}

int main(void)
{
	int by[4];
	cudaMemLocation gpu = {}, host = {};
	gpu.type = cudaMemLocationTypeDevice;
	host.type = cudaMemLocationTypeHost;
	OK(cudaMallocManaged(&p, BYTES));
	TRUE(ask(cudaMemRangeAttributeReadMostly, 0, BYTES) == 0);
	TRUE(ask(cudaMemRangeAttributePreferredLocation, 0, BYTES) == cudaInvalidDeviceId);

	OK(cudaMemAdvise(p, BYTES, cudaMemAdviseSetReadMostly, gpu));
	OK(cudaMemAdvise(p + 8192, 8192, cudaMemAdviseUnsetReadMostly, gpu));
	TRUE(ask(cudaMemRangeAttributeReadMostly, 0, 8192) == 1);
	TRUE(ask(cudaMemRangeAttributeReadMostly, 4096, 8192) == 0);
	TRUE(ask(cudaMemRangeAttributeReadMostly, 16384, BYTES - 16384) == 1);

	OK(cudaMemAdvise(p, BYTES / 2, cudaMemAdviseSetPreferredLocation, gpu));
	OK(cudaMemAdvise(p + BYTES / 2, BYTES / 2, cudaMemAdviseSetPreferredLocation, host));
	TRUE(ask(cudaMemRangeAttributePreferredLocation, 0, BYTES / 2) == 0);
	TRUE(ask(cudaMemRangeAttributePreferredLocation, BYTES / 2, 100) == cudaCpuDeviceId);
	TRUE(ask(cudaMemRangeAttributePreferredLocation, 0, BYTES) == cudaInvalidDeviceId);
	TRUE(ask(cudaMemRangeAttributePreferredLocationType, 0, 100) == cudaMemLocationTypeDevice);

	OK(cudaMemPrefetchAsync(p, BYTES, gpu, 0, 0));
	TRUE(ask(cudaMemRangeAttributeLastPrefetchLocation, 0, BYTES) == 0);

	OK(cudaMemAdvise(p, BYTES, cudaMemAdviseSetAccessedBy, gpu));
	OK(cudaMemAdvise(p, BYTES / 2, cudaMemAdviseSetAccessedBy, host));
	OK(cudaMemRangeGetAttribute(by, sizeof(by), cudaMemRangeAttributeAccessedBy, p, BYTES / 2));
	TRUE(by[0] == cudaCpuDeviceId && by[1] == 0 && by[2] == cudaInvalidDeviceId);
	OK(cudaMemRangeGetAttribute(by, sizeof(by), cudaMemRangeAttributeAccessedBy, p, BYTES));
	TRUE(by[0] == 0 && by[1] == cudaInvalidDeviceId);

	IS(cudaMemAdvise(p, BYTES + 1, cudaMemAdviseSetReadMostly, gpu), cudaErrorInvalidValue);
	gpu.id = 33;
	IS(cudaMemAdvise(p, BYTES, cudaMemAdviseSetAccessedBy, gpu), cudaErrorInvalidDevice);
	IS(cudaMemRangeGetAttribute(by, 3, cudaMemRangeAttributeReadMostly, p, BYTES),
	   cudaErrorInvalidValue);

	char *old = p;
	OK(cudaFree(p));
	OK(cudaMallocManaged(&p, BYTES));
	TRUE(p != old || ask(cudaMemRangeAttributeReadMostly, 0, 8192) == 0);
	OK(cudaFree(p));
	puts("ok");
	return 0;
}
