// SPDX-License-Identifier: Apache-2.0
/* resolve_linked.c: a program linked against libcuda, and what the two special handles find. */
#include "resolve.h"

int main(void)
{
	const struct driver d = {
	    .init = cuInit,
	    .device_get = cuDeviceGet,
	    .retain = cuDevicePrimaryCtxRetain,
	    .release = cuDevicePrimaryCtxRelease,
	    .set_current = cuCtxSetCurrent,
	    .mem_alloc = cuMemAlloc,
	    .mem_free = cuMemFree,
	    .memset_d32 = cuMemsetD32,
	    .memcpy_dtoh = cuMemcpyDtoH,
	    .stream_sync = cuStreamSynchronize,
	};
	int failed = report_work(&d);

	print_owner("linked cuMemsetD32_v2", (void *)cuMemsetD32);
	print_owner("linked cuInit", (void *)cuInit);
	print_owner("linked cuMemGetInfo_v2", (void *)cuMemGetInfo);
	print_owner("default cuMemsetD32_v2", dlsym(RTLD_DEFAULT, "cuMemsetD32_v2"));
	print_owner("next cuMemsetD32_v2", dlsym(RTLD_NEXT, "cuMemsetD32_v2"));
	print_owner("next cuMemGetInfo_v2", dlsym(RTLD_NEXT, "cuMemGetInfo_v2"));
	print_owner("next getppid", dlsym(RTLD_NEXT, "getppid"));
	print_owner("main's cuMemsetD32_v2", dlsym(dlopen(NULL, RTLD_NOW), "cuMemsetD32_v2"));
	printf("same address: %s\n",
	       dlsym(RTLD_DEFAULT, "cuInit") == (void *)cuInit ? "yes" : "no");
	return failed;
}
