// SPDX-License-Identifier: Apache-2.0
/*
 * rt_library.cu: code loaded the way inference engines load it: as a library, from memory, through
 * the runtime (cudaLibraryLoadData) and through the driver's functions had from
 * cudaGetDriverEntryPointByVersion and from dlsym(libcuda.so.1) + cuGetProcAddress, with no link to
 * libcuda; then launched by itself, captured, and replayed as a graph. What TensorRT does beside a
 * static cudart.
 *
 * WHAT IT ASKS of the GPU: do launches on such paths reach the driver as they were. HOW THE ANSWER
 * IS READ: exit status 0 and the bytes of --dump.
 */
#include <cuda.h>
#include <dlfcn.h>

#include "rt.h"

#define N 10000u
#define REPLAYS 300u

/* x[i] = a·x[i] + offset for i < n; offset is a global, 17 at first */
static const char ptx[] = ".version 6.5\n"
			  ".target sm_50\n"
			  ".address_size 64\n"
			  ".visible .global .align 4 .u32 offset = 17;\n"
			  ".visible .entry affine(.param .u64 p, .param .u32 a, .param .u32 n)\n"
			  "{\n"
			  "	.reg .pred %q;\n"
			  "	.reg .b32 %r<8>;\n"
			  "	.reg .b64 %d<4>;\n"
			  "	ld.param.u64 %d0, [p];\n"
			  "	ld.param.u32 %r0, [a];\n"
			  "	ld.param.u32 %r1, [n];\n"
			  "	mov.u32 %r2, %ctaid.x;\n"
			  "	mov.u32 %r3, %ntid.x;\n"
			  "	mov.u32 %r4, %tid.x;\n"
			  "	mad.lo.u32 %r2, %r2, %r3, %r4;\n"
			  "	setp.ge.u32 %q, %r2, %r1;\n"
			  "	@%q ret;\n"
			  "	cvta.to.global.u64 %d0, %d0;\n"
			  "	mul.wide.u32 %d1, %r2, 4;\n"
			  "	add.u64 %d0, %d0, %d1;\n"
			  "	ld.global.u32 %r5, [offset];\n"
			  "	ld.global.u32 %r6, [%d0];\n"
			  "	mad.lo.u32 %r6, %r6, %r0, %r5;\n"
			  "	st.global.u32 [%d0], %r6;\n"
			  "	ret;\n"
			  "}\n";

static struct {
	decltype(&cuLibraryLoadData) load;
	decltype(&cuLibraryUnload) unload;
	decltype(&cuLibraryGetKernel) kernel;
	decltype(&cuKernelGetFunction) function;
	decltype(&cuLibraryGetGlobal) global;
	decltype(&cuLaunchKernel) launch;
	decltype(&cuLaunchKernelEx) launch_ex;
	decltype(&cuMemcpyHtoD) to_device;
} cu;

static void cu_check(CUresult r, const char *call)
{
	if (r != CUDA_SUCCESS)
		rt_fail("%s: CUresult %d", call, (int)r);
}
#define CU(call) cu_check(call, #call)

static void by_runtime(const char *name, void **f, unsigned version)
{
	cudaDriverEntryPointQueryResult found;
	RT(cudaGetDriverEntryPointByVersion(name, f, version, cudaEnableDefault, &found));
	if (found != cudaDriverEntryPointSuccess || !*f)
		rt_fail("no driver entry point %s, version %u", name, version);
}

static void entries_by_runtime(void)
{
	by_runtime("cuLibraryLoadData", (void **)&cu.load, 12000);
	by_runtime("cuLibraryUnload", (void **)&cu.unload, 12000);
	by_runtime("cuLibraryGetKernel", (void **)&cu.kernel, 12000);
	by_runtime("cuKernelGetFunction", (void **)&cu.function, 12000);
	by_runtime("cuLibraryGetGlobal", (void **)&cu.global, 12000);
	by_runtime("cuLaunchKernel", (void **)&cu.launch, 7000);
	by_runtime("cuLaunchKernelEx", (void **)&cu.launch_ex, 12000);
	by_runtime("cuMemcpyHtoD", (void **)&cu.to_device, 7000);
}

static void entries_by_dlsym(void)
{
	typedef CUresult (*get_proc)(const char *, void **, int, cuuint64_t,
	                             CUdriverProcAddressQueryResult *);
	void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
	if (!library)
		rt_fail("%s", dlerror());
	get_proc get = (get_proc)dlsym(library, "cuGetProcAddress_v2");
	RT_TRUE(get != NULL);
	CU(get("cuLibraryLoadData", (void **)&cu.load, 12000, 0, NULL));
	CU(get("cuLibraryUnload", (void **)&cu.unload, 12000, 0, NULL));
	CU(get("cuLibraryGetKernel", (void **)&cu.kernel, 12000, 0, NULL));
	CU(get("cuKernelGetFunction", (void **)&cu.function, 12000, 0, NULL));
	CU(get("cuLibraryGetGlobal", (void **)&cu.global, 12000, 0, NULL));
	CU(get("cuLaunchKernelEx", (void **)&cu.launch_ex, 12000, 0, NULL));
	cu.launch = (decltype(cu.launch))dlsym(library, "cuLaunchKernel");
	cu.to_device = (decltype(cu.to_device))dlsym(library, "cuMemcpyHtoD_v2");
	RT_TRUE(cu.launch != NULL && cu.to_device != NULL);
}

static void finish(uint32_t *d, std::vector<uint32_t> want, uint32_t a, uint32_t offset,
                   unsigned times, const char *what)
{
	std::vector<uint32_t> got(N);
	RT(cudaDeviceSynchronize());
	RT(cudaMemcpy(got.data(), d, N * 4, cudaMemcpyDeviceToHost));
	for (uint32_t &x : want)
		x = rt_affine_cpu(x, a, offset, times);
	rt_same(got.data(), want.data(), N, what);
	RT(cudaFree(d));
}

static uint32_t *filled(const std::vector<uint32_t> &v)
{
	uint32_t *d;
	RT(cudaMalloc(&d, N * 4));
	RT(cudaMemcpy(d, v.data(), N * 4, cudaMemcpyHostToDevice));
	RT(cudaDeviceSynchronize()); /* a copy from pageable memory may return before it is there */
	return d;
}

/* All through the runtime: load, launch, capture, replay. */
static void runtime_library(cudaStream_t s)
{
	std::vector<uint32_t> want = rt_filled(N, 1);
	uint32_t *d = filled(want), a = 3, n = N;
	cudaLibrary_t library;
	cudaKernel_t kernel;
	cudaGraph_t graph;
	cudaGraphExec_t exec;
	void *args[] = {&d, &a, &n}, *offset;
	size_t bytes;
	RT(cudaLibraryLoadData(&library, ptx, NULL, NULL, 0, NULL, NULL, 0));
	RT(cudaLibraryGetKernel(&kernel, library, "affine"));
	RT(cudaLibraryGetGlobal(&offset, &bytes, library, "offset"));
	RT_TRUE(bytes == 4);
	uint32_t other = 23;
	RT(cudaMemcpy(offset, &other, 4, cudaMemcpyHostToDevice));
	RT(cudaDeviceSynchronize());
	for (unsigned i = 0; i < 200; i++)
		RT(cudaLaunchKernel((const void *)kernel, dim3(rt_blocks(N)), dim3(256), args, 0,
		                    s));
	RT(cudaStreamBeginCapture(s, cudaStreamCaptureModeRelaxed));
	for (unsigned i = 0; i < 4; i++)
		RT(cudaLaunchKernel((const void *)kernel, dim3(rt_blocks(N)), dim3(256), args, 0,
		                    s));
	RT(cudaStreamEndCapture(s, &graph));
	RT(cudaGraphInstantiate(&exec, graph, 0));
	for (unsigned i = 0; i < REPLAYS; i++)
		RT(cudaGraphLaunch(exec, s));
	RT(cudaStreamSynchronize(s));
	finish(d, want, 3, 23, 200 + 4 * REPLAYS, "runtime library");
	RT(cudaGraphExecDestroy(exec));
	RT(cudaGraphDestroy(graph));
	RT(cudaLibraryUnload(library));
}

/* Loaded and launched by the driver's functions, captured and replayed by the runtime's. */
static void driver_library(cudaStream_t s, uint32_t seed)
{
	std::vector<uint32_t> want = rt_filled(N, seed);
	uint32_t *d = filled(want), a = 5, n = N, other = 29;
	CUlibrary library;
	CUkernel kernel;
	CUfunction function;
	CUdeviceptr offset;
	CUlaunchConfig config = {};
	cudaGraph_t graph;
	cudaGraphExec_t exec;
	void *args[] = {&d, &a, &n};
	size_t bytes;
	CU(cu.load(&library, ptx, NULL, NULL, 0, NULL, NULL, 0));
	CU(cu.kernel(&kernel, library, "affine"));
	CU(cu.function(&function, kernel));
	CU(cu.global(&offset, &bytes, library, "offset"));
	CU(cu.to_device(offset, &other, 4));
	RT(cudaDeviceSynchronize());
	config.gridDimX = rt_blocks(N);
	config.blockDimX = 256;
	config.gridDimY = config.gridDimZ = config.blockDimY = config.blockDimZ = 1;
	config.hStream = (CUstream)s;
	for (unsigned i = 0; i < 100; i++) {
		CU(cu.launch(function, rt_blocks(N), 1, 1, 256, 1, 1, 0, (CUstream)s, args, NULL));
		CU(cu.launch_ex(&config, (CUfunction)kernel, args, NULL)); /* a kernel will do */
	}
	RT(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal));
	CU(cu.launch((CUfunction)kernel, rt_blocks(N), 1, 1, 256, 1, 1, 0, (CUstream)s, args,
	             NULL));
	CU(cu.launch_ex(&config, function, args, NULL));
	RT(cudaStreamEndCapture(s, &graph));
	RT(cudaGraphInstantiate(&exec, graph, 0));
	for (unsigned i = 0; i < REPLAYS; i++)
		RT(cudaGraphLaunch(exec, s));
	RT(cudaStreamSynchronize(s));
	finish(d, want, 5, 29, 200 + 2 * REPLAYS, "driver library");
	RT(cudaGraphExecDestroy(exec));
	RT(cudaGraphDestroy(graph));
	CU(cu.unload(library));
}

int main(int argc, char **argv)
{
	cudaStream_t s;
	rt_begin("rt_library", argc, argv);
	rt_device();
	RT(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
	runtime_library(s);
	entries_by_runtime();
	driver_library(s, 2);
	entries_by_dlsym();
	driver_library(s, 3);
	RT(cudaStreamDestroy(s));
	return rt_end();
}
