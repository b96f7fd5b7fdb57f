// SPDX-License-Identifier: Apache-2.0
/*
 * resolve.h: what the resolve_*.c clients share: whose function is this address, and a piece of
 * work whose result is known. The work runs through whatever functions the client has found.
 */
#ifndef REIN_TESTS_RESOLVE_H
#define REIN_TESTS_RESOLVE_H

#include <cuda.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#ifdef __aarch64__
#define OLDEST_GLIBC "GLIBC_2.17"
#else
#define OLDEST_GLIBC "GLIBC_2.2.5"
#endif

struct driver {
	CUresult (*init)(unsigned int);
	CUresult (*device_get)(CUdevice *, int);
	CUresult (*retain)(CUcontext *, CUdevice);
	CUresult (*release)(CUdevice);
	CUresult (*set_current)(CUcontext);
	CUresult (*mem_alloc)(CUdeviceptr *, size_t);
	CUresult (*mem_free)(CUdeviceptr);
	CUresult (*memset_d32)(CUdeviceptr, unsigned int, size_t);
	CUresult (*memcpy_dtoh)(void *, CUdeviceptr, size_t);
	CUresult (*stream_sync)(CUstream);
};

/* The file of the object that holds the address, "none" for NULL; rein's libcuda.so.1, which has
 * the name of the driver that it stands in for, is "stand-in". */
static inline const char *owner_of(const void *addr)
{
	Dl_info info;
	if (!addr || !dladdr(addr, &info))
		return addr ? "unknown" : "none";
	const char *slash = strrchr(info.dli_fname, '/');
	const char *file = slash ? slash + 1 : info.dli_fname;
	if (!strcmp(file, "libcuda.so.1")) {
		void *handle = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
		if (handle && dlsym(handle, "rein_standin"))
			file = "stand-in";
		if (handle)
			dlclose(handle);
	}
	return file;
}

/* "what: file" */
static inline void print_owner(const char *what, const void *addr)
{
	printf("%s: %s\n", what, owner_of(addr));
}

/* All of it from a handle. false: something is missing. */
static inline int find_all(struct driver *d, void *handle)
{
	const struct {
		void **to;
		const char *symbol;
	} functions[] = {
	    {(void **)&d->init, "cuInit"},
	    {(void **)&d->device_get, "cuDeviceGet"},
	    {(void **)&d->retain, "cuDevicePrimaryCtxRetain"},
	    {(void **)&d->release, "cuDevicePrimaryCtxRelease_v2"},
	    {(void **)&d->set_current, "cuCtxSetCurrent"},
	    {(void **)&d->mem_alloc, "cuMemAlloc_v2"},
	    {(void **)&d->mem_free, "cuMemFree_v2"},
	    {(void **)&d->memset_d32, "cuMemsetD32_v2"},
	    {(void **)&d->memcpy_dtoh, "cuMemcpyDtoH_v2"},
	    {(void **)&d->stream_sync, "cuStreamSynchronize"},
	};
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		if (!(*functions[i].to = dlsym(handle, functions[i].symbol)))
			return 0;
	return 1;
}

/* 0, or the number of the step that failed. */
static inline int run_work(const struct driver *d)
{
	enum { N = 1000 };
	unsigned int host[N];
	CUdevice device;
	CUcontext context;
	CUdeviceptr memory;

	memset(host, 0, sizeof(host));
	if (d->init(0) || d->device_get(&device, 0) || d->retain(&context, device))
		return 1;
	if (d->set_current(context) || d->mem_alloc(&memory, sizeof(host)))
		return 2;
	if (d->memset_d32(memory, 0x5eed5eed, N) || d->memcpy_dtoh(host, memory, sizeof(host)))
		return 3;
	for (int i = 0; i < N; i++)
		if (host[i] != 0x5eed5eed)
			return 4;
	if (d->stream_sync(NULL) || d->mem_free(memory) || d->release(device))
		return 5;
	return 0;
}

static inline int report_work(const struct driver *d)
{
	int step = run_work(d);
	if (step)
		printf("work: failed in step %d\n", step);
	else
		puts("work: right");
	return step;
}

#endif
