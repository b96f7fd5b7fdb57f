// SPDX-License-Identifier: Apache-2.0
/* compiled.cu: a kernel that NVRTC compiles for the GPU that is there (sm_90), loaded as the
 * machine code that it hands out: the software GPU's libnvrtc.so.13 has it be PTX. For a virtual
 * architecture there is none, as NVIDIA says. */
#include <cuda.h>
#include <nvrtc.h>

#include <dlfcn.h>

#include "t.h"

static const char source[] = "template <int BY> __global__ void scale(float *a)\n"
			     "{\n"
			     "	a[threadIdx.x] *= BY;\n"
			     "}\n";

#define CALL(f) ((decltype(&f))dlsym(nvrtc, #f))

static nvrtcProgram compile(void *nvrtc, const char *arch)
{
	nvrtcProgram p;
	const char *options[] = {arch};
	TRUE(CALL(nvrtcCreateProgram)(&p, source, "scale.cu", 0, NULL, NULL) == NVRTC_SUCCESS);
	TRUE(CALL(nvrtcAddNameExpression)(p, "scale<3>") == NVRTC_SUCCESS);
	TRUE(CALL(nvrtcCompileProgram)(p, 1, options) == NVRTC_SUCCESS);
	return p;
}

int main(void)
{
	cudaLibrary_t library;
	cudaKernel_t kernel;
	cudaDeviceProp device;
	char arch[40];
	const char *name;
	size_t size = 1;
	float *a, h[32];
	void *nvrtc = dlopen("libnvrtc.so.13", RTLD_NOW);
	TRUE(nvrtc != NULL);
	nvrtcProgram p = compile(nvrtc, "-arch=compute_90");
	TRUE(CALL(nvrtcGetCUBINSize)(p, &size) == NVRTC_SUCCESS && size == 0);
	TRUE(CALL(nvrtcDestroyProgram)(&p) == NVRTC_SUCCESS);

	OK(cudaGetDeviceProperties(&device, 0));
	snprintf(arch, sizeof(arch), "--gpu-architecture=sm_%d%d", device.major, device.minor);
	p = compile(nvrtc, arch);
	TRUE(CALL(nvrtcGetCUBINSize)(p, &size) == NVRTC_SUCCESS && size > 0);
	char *code = (char *)malloc(size);
	TRUE(CALL(nvrtcGetCUBIN)(p, code) == NVRTC_SUCCESS);
	TRUE(CALL(nvrtcGetLoweredName)(p, "scale<3>", &name) == NVRTC_SUCCESS);
	OK(cudaLibraryLoadData(&library, code, NULL, NULL, 0, NULL, NULL, 0));
	OK(cudaLibraryGetKernel(&kernel, library, name));
	free(code);
	OK(cudaMallocManaged(&a, sizeof(h)));
	for (int i = 0; i < 32; i++)
		a[i] = (float)i;
	void *args[] = {&a};
	OK(cudaLaunchKernel((const void *)kernel, dim3(1), dim3(32), args, 0, 0));
	OK(cudaDeviceSynchronize());
	for (int i = 0; i < 32; i++)
		TRUE(a[i] == 3.0f * (float)i);
	OK(cudaLibraryUnload(library));
	TRUE(CALL(nvrtcDestroyProgram)(&p) == NVRTC_SUCCESS);
	puts("ok");
	return 0;
}
