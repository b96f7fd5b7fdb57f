// SPDX-License-Identifier: Apache-2.0
/*
 * cuda_plugin.c: a library that uses CUDA as libraries with the runtime inside do: it opens the
 * driver for itself and keeps what it finds. Loaded and unloaded by tests/clients/ways.c.
 */
#include "../clients/resolve.h"

__attribute__((visibility("default"))) int plugin_work(int talk);

/* 0: right. The handle is closed again each time, as a library does that only looks. */
int plugin_work(int talk)
{
	struct driver d;
	void *handle = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
	if (!handle || !find_all(&d, handle))
		return 10;
	if (talk) {
		print_owner("plugin finds", (void *)d.memset_d32);
		print_owner("plugin finds cuInit", (void *)d.init);
	}
	int failed = run_work(&d);
	dlclose(handle);
	return failed;
}
