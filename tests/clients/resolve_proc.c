// SPDX-License-Identifier: Apache-2.0
/*
 * resolve_proc.c: a program that takes every function from cuGetProcAddress, old and new, as the
 * CUDA runtime does, and prints which symbol of which file it was given.
 */
#include "resolve.h"

static CUresult (*get_v1)(const char *, void **, int, cuuint64_t);
static CUresult (*get_v2)(const char *, void **, int, cuuint64_t, CUdriverProcAddressQueryResult *);

static void *ask(const char *name, int version, cuuint64_t flags)
{
	CUdriverProcAddressQueryResult status = CU_GET_PROC_ADDRESS_SUCCESS;
	void *v1 = NULL, *v2 = NULL;
	(void)get_v1(name, &v1, version, flags);
	(void)get_v2(name, &v2, version, flags, &status);
	Dl_info info;
	const char *file = "none", *symbol = "";
	if (v2 && dladdr(v2, &info)) {
		file = owner_of(v2);
		symbol = info.dli_sname ? info.dli_sname : "?";
	}
	printf("%s %d %llu: %s %s%s\n", name, version, (unsigned long long)flags, file, symbol,
	       v1 == v2 ? "" : " BUT ANOTHER FROM THE OLD FUNCTION");
	return v2;
}

#define FIND(field, name) *(void **)&d.field = ask(name, 13000, 0)

int main(void)
{
	const cuuint64_t legacy = CU_GET_PROC_ADDRESS_LEGACY_STREAM;
	const cuuint64_t per_thread = CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM;
	struct driver d = {0};
	void *handle = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
	if (!handle) {
		fprintf(stderr, "%s\n", dlerror());
		return 10;
	}
	*(void **)&get_v1 = dlsym(handle, "cuGetProcAddress");
	*(void **)&get_v2 = dlsym(handle, "cuGetProcAddress_v2");
	FIND(init, "cuInit");
	if (!d.init || d.init(0))
		return 11;
	FIND(device_get, "cuDeviceGet");
	FIND(retain, "cuDevicePrimaryCtxRetain");
	FIND(release, "cuDevicePrimaryCtxRelease");
	FIND(set_current, "cuCtxSetCurrent");
	FIND(mem_alloc, "cuMemAlloc");
	FIND(mem_free, "cuMemFree");
	FIND(memset_d32, "cuMemsetD32");
	FIND(memcpy_dtoh, "cuMemcpyDtoH");
	FIND(stream_sync, "cuStreamSynchronize");

	ask("cuMemGetInfo", 13000, 0); /* without a hook */
	ask("cuMemcpyHtoD", 2000, 0);
	ask("cuMemcpyHtoD", 3020, legacy);
	ask("cuMemcpyHtoD", 6050, per_thread); /* per-thread streams came with 7.0 */
	ask("cuMemcpyHtoD", 13000, per_thread);
	ask("cuStreamWaitValue32", 11060, 0);
	ask("cuStreamWaitValue32", 12000, per_thread);
	ask("cuCtxCreate", 11040, 0);
	ask("cuCtxCreate", 13000, 0);
	ask("cuGetProcAddress", 11030, 0);
	ask("cuGetProcAddress", 12000, 0);
	ask("cuNoSuchFunction", 13000, 0);
	return report_work(&d);
}
