// SPDX-License-Identifier: Apache-2.0
/* plugins.cu PLUGIN: loads a library with kernels, uses it, unloads it, again and again. */
#include <dlfcn.h>

#include "t.h"

int main(int argc, char **argv)
{
	int *d, host[32];
	TRUE(argc == 2);
	OK(cudaMalloc(&d, sizeof(host)));
	OK(cudaMemset(d, 0, sizeof(host)));
	for (int i = 0; i < 20; i++) {
		void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
		TRUE(library != NULL);
		int (*run)(int *) = (int (*)(int *))dlsym(library, "plugin_run");
		TRUE(run != NULL);
		TRUE(run(d) == 1 && run(d) == 2); /* its variable is new each time */
		TRUE(dlclose(library) == 0);
	}
	OK(cudaMemcpy(host, d, sizeof(host), cudaMemcpyDeviceToHost));
	TRUE(host[0] == 40 && host[31] == 40);
	puts("ok");
	return 0;
}
