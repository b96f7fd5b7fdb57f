// SPDX-License-Identifier: Apache-2.0
/* resolve_dlopen.c: a program that opens the driver itself, privately, as the CUDA runtime does. */
#include "resolve.h"

#include <errno.h>

#define FIND(field, symbol) *(void **)&d.field = dlsym(handle, symbol)

int main(void)
{
	struct driver d = {0};
	void *handle = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
	if (!handle) {
		fprintf(stderr, "%s\n", dlerror());
		return 10;
	}
	errno = 42;
	FIND(init, "cuInit");
	printf("errno: %d\n", errno);
	printf("error after success: %s\n", dlerror() ? "yes" : "no");
	FIND(device_get, "cuDeviceGet");
	FIND(retain, "cuDevicePrimaryCtxRetain");
	FIND(release, "cuDevicePrimaryCtxRelease_v2");
	FIND(set_current, "cuCtxSetCurrent");
	FIND(mem_alloc, "cuMemAlloc_v2");
	FIND(mem_free, "cuMemFree_v2");
	FIND(memset_d32, "cuMemsetD32_v2");
	FIND(memcpy_dtoh, "cuMemcpyDtoH_v2");
	FIND(stream_sync, "cuStreamSynchronize");

	print_owner("dlsym cuMemsetD32_v2", (void *)d.memset_d32);
	print_owner("dlsym cuInit", (void *)d.init);
	print_owner("dlsym cuMemGetInfo_v2", dlsym(handle, "cuMemGetInfo_v2"));
	print_owner("dlsym cuNoSuchFunction", dlsym(handle, "cuNoSuchFunction"));
	printf("error after failure: %s\n", dlerror() ? "yes" : "no");
	printf("error twice: %s\n", dlerror() ? "yes" : "no");
	print_owner("dlvsym cuMemsetD32_v2", dlvsym(handle, "cuMemsetD32_v2", "NONE_1.0"));
	printf("error after a wrong version: %s\n", dlerror() ? "yes" : "no");
	print_owner("dlvsym getpid", dlvsym(handle, "getpid", OLDEST_GLIBC));
	print_owner("next dlvsym getpid", dlvsym(RTLD_NEXT, "getpid", OLDEST_GLIBC));
	return report_work(&d);
}
