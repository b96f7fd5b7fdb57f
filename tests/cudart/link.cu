// SPDX-License-Identifier: Apache-2.0
/* link.cu: the driver's linker: two PTX texts that need each other made one image, which is loaded
 * and run; a text with an error, which is told in the log; and what is not taken. */
#include <cuda.h>

#include "t.h"

#define HEAD ".version 7.0\n.target sm_50\n.address_size 64\n"

static const char caller[] = HEAD ".extern .func (.param .b32 r) twice(.param .b32 x);\n"
				  ".extern .global .align 4 .u32 offset;\n"
				  ".visible .entry work(.param .u64 out)\n"
				  "{\n"
				  "	.reg .b32 %r<4>;\n"
				  "	.reg .b64 %d<4>;\n"
				  "	ld.param.u64 %d1, [out];\n"
				  "	cvta.to.global.u64 %d1, %d1;\n"
				  "	mov.u32 %r1, %tid.x;\n"
				  "	mul.wide.u32 %d2, %r1, 4;\n"
				  "	add.s64 %d1, %d1, %d2;\n"
				  "	{\n"
				  "		.param .b32 a;\n"
				  "		.param .b32 b;\n"
				  "		st.param.b32 [a], %r1;\n"
				  "		call.uni (b), twice, (a);\n"
				  "		ld.param.b32 %r2, [b];\n"
				  "	}\n"
				  "	ld.global.u32 %r3, [offset];\n"
				  "	add.s32 %r2, %r2, %r3;\n"
				  "	st.global.u32 [%d1], %r2;\n"
				  "	ret;\n"
				  "}\n";
static const char callee[] = HEAD ".visible .global .align 4 .u32 offset = 1000;\n"
				  ".visible .func (.param .b32 r) twice(.param .b32 x)\n"
				  "{\n"
				  "	.reg .b32 %r<2>;\n"
				  "	ld.param.b32 %r1, [x];\n"
				  "	add.s32 %r1, %r1, %r1;\n"
				  "	st.param.b32 [r], %r1;\n"
				  "	ret;\n"
				  "}\n";

template <class F> static void get(F **f, const char *name)
{
	cudaDriverEntryPointQueryResult found;
	OK(cudaGetDriverEntryPointByVersion(name, (void **)f, CUDA_VERSION, cudaEnableDefault,
	                                    &found));
	TRUE(found == cudaDriverEntryPointSuccess);
}

static decltype(cuLinkCreate) *create;
static decltype(cuLinkAddData) *add;
static decltype(cuLinkComplete) *complete;
static decltype(cuLinkDestroy) *destroy;
static decltype(cuModuleLoadData) *load;
static decltype(cuModuleGetFunction) *function;
static decltype(cuLaunchKernel) *launch;

static void linked(void)
{
	CUlinkState link;
	CUmodule module;
	CUfunction f;
	void *image;
	size_t size;
	int *out, h[32];
	TRUE(create(0, NULL, NULL, &link) == CUDA_SUCCESS);
	TRUE(complete(link, &image, &size) == CUDA_ERROR_INVALID_VALUE); /* nothing was added */
	TRUE(add(link, CU_JIT_INPUT_PTX, (void *)caller, sizeof(caller), "caller", 0, NULL, NULL) ==
	     CUDA_SUCCESS);
	TRUE(add(link, CU_JIT_INPUT_PTX, (void *)callee, sizeof(callee), "callee", 0, NULL, NULL) ==
	     CUDA_SUCCESS);
	TRUE(complete(link, &image, &size) == CUDA_SUCCESS && size);
	TRUE(load(&module, image) == CUDA_SUCCESS);
	TRUE(destroy(link) == CUDA_SUCCESS); /* the image goes with it, the module stays */
	TRUE(destroy(link) == CUDA_ERROR_INVALID_HANDLE);
	TRUE(function(&f, module, "work") == CUDA_SUCCESS);
	OK(cudaMalloc(&out, sizeof(h)));
	void *args[] = {&out};
	TRUE(launch(f, 1, 1, 1, 32, 1, 1, 0, NULL, args, NULL) == CUDA_SUCCESS);
	OK(cudaMemcpy(h, out, sizeof(h), cudaMemcpyDeviceToHost));
	for (int i = 0; i < 32; i++)
		TRUE(h[i] == 2 * i + 1000);
	OK(cudaFree(out));
}

static void refused(void)
{
	static const char broken[] = HEAD ".visible .entry bad()\n{\n	ret\n}\n";
	char log[300] = "";
	CUlinkState link;
	CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
	void *values[] = {log, (void *)sizeof(log)};
	TRUE(create(2, options, values, &link) == CUDA_SUCCESS);
	TRUE(add(link, CU_JIT_INPUT_PTX, (void *)broken, sizeof(broken), "bad", 0, NULL, NULL) ==
	     CUDA_ERROR_INVALID_PTX);
	TRUE(strstr(log, "line 7") != NULL);
	TRUE(add(link, CU_JIT_INPUT_LIBRARY, (void *)broken, sizeof(broken), "lib", 0, NULL,
	         NULL) == CUDA_ERROR_NOT_SUPPORTED);
	TRUE(destroy(link) == CUDA_SUCCESS);
}

int main(void)
{
	OK(cudaFree(NULL)); /* a context */
	get(&create, "cuLinkCreate");
	get(&add, "cuLinkAddData");
	get(&complete, "cuLinkComplete");
	get(&destroy, "cuLinkDestroy");
	get(&load, "cuModuleLoadData");
	get(&function, "cuModuleGetFunction");
	get(&launch, "cuLaunchKernel");
	linked();
	refused();
	puts("ok");
	return 0;
}
