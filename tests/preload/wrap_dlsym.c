// SPDX-License-Identifier: Apache-2.0
/*
 * wrap_dlsym.c: somebody else's interposer: wraps dlsym itself, finds the next one by its version,
 * as such libraries do, and says at the end how often it was asked for a CUDA function.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#ifdef __aarch64__
#define DLSYM_VERSION "GLIBC_2.17"
#else
#define DLSYM_VERSION "GLIBC_2.2.5"
#endif

static int asked;

__attribute__((visibility("default"))) void *dlsym(void *handle, const char *name)
{
	static void *(*next)(void *, const char *);
	if (!next)
		next = (void *(*)(void *, const char *))dlvsym(RTLD_NEXT, "dlsym", DLSYM_VERSION);
	asked += strncmp(name, "cuMemset", 8) == 0;
	return next(handle, name);
}

__attribute__((destructor)) static void report(void)
{
	fprintf(stderr, "wrap_dlsym: asked %s\n", asked ? "yes" : "no");
}
