// SPDX-License-Identifier: Apache-2.0
/* api_errors.c: launches that are refused, and errors of running work, which poison the context. */
#include "api_client.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

static CUresult launch_shape(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                             unsigned by, unsigned bz, unsigned shared, CUdeviceptr p)
{
	int v = 0, n = 1;
	void *params[] = {&p, &v, &n};
	return cuLaunchKernel(f, gx, gy, gz, bx, by, bz, shared, NULL, params, NULL);
}

static void refused(void)
{
	struct gpu g = gpu_open();
	CUdeviceptr p;
	int n = 1, max_shared;
	void *params[] = {&p, &n};
	OK(cuMemAlloc(&p, 4096));
	OK(launch_shape(g.add, 1, 1, 1, 32, 1, 1, 0, p));
	EXPECT(CUDA_ERROR_INVALID_HANDLE, launch_shape(NULL, 1, 1, 1, 32, 1, 1, 0, p));
	EXPECT(CUDA_ERROR_INVALID_HANDLE, launch_shape((CUfunction)&p, 1, 1, 1, 32, 1, 1, 0, p));
	EXPECT(CUDA_ERROR_INVALID_VALUE, launch_shape(g.add, 0, 1, 1, 32, 1, 1, 0, p));
	EXPECT(CUDA_ERROR_INVALID_VALUE, launch_shape(g.add, 1, 1, 1, 0, 1, 1, 0, p));
	EXPECT(CUDA_ERROR_INVALID_VALUE, launch_shape(g.add, 1, 1, 1, 1025, 1, 1, 0, p));
	EXPECT(CUDA_ERROR_INVALID_VALUE, launch_shape(g.add, 1, 1, 1, 33, 32, 1, 0, p));
	EXPECT(CUDA_ERROR_INVALID_VALUE, launch_shape(g.add, 1, 1, 1, 1, 1, 65, 0, p));
	EXPECT(CUDA_ERROR_INVALID_VALUE, launch_shape(g.add, 1, 70000, 1, 32, 1, 1, 0, p));
	EXPECT(CUDA_ERROR_INVALID_VALUE, launch_shape(g.add, 1, 1, 1, 32, 1, 1, 1 << 20, p));
	EXPECT(CUDA_ERROR_INVALID_VALUE,
	       cuLaunchKernel(g.add, 1, 1, 1, 32, 1, 1, 0, NULL, NULL, NULL));
	/* more threads than the kernel was compiled for */
	EXPECT(CUDA_ERROR_INVALID_VALUE,
	       cuLaunchKernel(g.scaled, 1, 1, 1, 65, 1, 1, 512, NULL, params, NULL));
	/* much shared memory has to be asked for */
	EXPECT(CUDA_ERROR_INVALID_VALUE,
	       cuLaunchKernel(g.scaled, 1, 1, 1, 64, 1, 1, 49153, NULL, params, NULL));
	OK(cuDeviceGetAttribute(&max_shared, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN,
	                        0));
	EXPECT(CUDA_ERROR_INVALID_VALUE,
	       cuFuncSetAttribute(g.scaled, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
	                          max_shared + 1));
	if (max_shared > 49153) {
		OK(cuFuncSetAttribute(g.scaled, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
		                      max_shared));
		OK(cuLaunchKernel(g.scaled, 1, 1, 1, 64, 1, 1, 49153, NULL, params, NULL));
	}

	CUlaunchAttribute a[2] = {{.id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE, .value.cooperative = 1},
	                          {.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION,
	                           .value.programmaticStreamSerializationAllowed = 1}};
	CUlaunchConfig config = {.gridDimX = 1,
	                         .gridDimY = 1,
	                         .gridDimZ = 1,
	                         .blockDimX = 32,
	                         .blockDimY = 1,
	                         .blockDimZ = 1,
	                         .attrs = a,
	                         .numAttrs = 2};
	int v = 0;
	void *add_params[] = {&p, &v, &n};
	OK(cuLaunchKernelEx(&config, g.add, add_params, NULL));
	config.gridDimX = 1 << 20;
	EXPECT(CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE,
	       cuLaunchKernelEx(&config, g.add, add_params, NULL));
	EXPECT(CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE,
	       cuLaunchCooperativeKernel(g.add, 1 << 20, 1, 1, 32, 1, 1, 0, NULL, add_params));
	config.gridDimX = 2;
	a[0] = (CUlaunchAttribute){.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION,
	                           .value.clusterDim = {2, 1, 1}};
	OK(cuLaunchKernelEx(&config, g.add, add_params, NULL));
	a[0].value.clusterDim.x = 3; /* the grid has 2 blocks */
	EXPECT(CUDA_ERROR_INVALID_CLUSTER_SIZE, cuLaunchKernelEx(&config, g.add, add_params, NULL));
	a[0].value.clusterDim.x = config.gridDimX = 16;
	EXPECT(CUDA_ERROR_INVALID_CLUSTER_SIZE, cuLaunchKernelEx(&config, g.add, add_params, NULL));
	OK(cuFuncSetAttribute(g.add, CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED, 1));
	OK(cuLaunchKernelEx(&config, g.add, add_params, NULL));
	int fit;
	OK(cuOccupancyMaxPotentialClusterSize(&fit, g.add, &config));
	CHECK(fit == 16);
	OK(cuOccupancyMaxActiveClusters(&fit, g.add, &config));
	CHECK(fit >= 1);
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuLaunchKernelEx(NULL, g.add, add_params, NULL));
	OK(cuCtxSynchronize()); /* none of this is a sticky error */
	OK(cuMemFree(p));
}

/* How many clusters run at once: an H200's answers for blocks that fill an SM. */
static void clusters(void)
{
	static const int at_once[] = {132, 66, 39, 30, 22, 17, 15, 15, 9, 7,
	                              7,   7,  7,  7,  7,  7,  2,  2,  0, 0};
	struct gpu g = gpu_open();
	CUlaunchAttribute a = {.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION};
	CUlaunchConfig config = {
	    .gridDimY = 1, .gridDimZ = 1, .blockDimX = 128, .blockDimY = 1, .blockDimZ = 1};
	int sms, major, shared, n;
	OK(cuDeviceGetAttribute(&sms, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 0));
	OK(cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 0));
	OK(cuDeviceGetAttribute(&shared, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, 0));
	if (sms != 132 || major != 9)
		return; /* it is another GPU */
	OK(cuFuncSetAttribute(g.add, CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED, 1));
	OK(cuFuncSetAttribute(g.add, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, shared));
	config.sharedMemBytes = (unsigned)shared;
	config.attrs = &a;
	config.numAttrs = 1;
	for (unsigned i = 0; i < sizeof(at_once) / sizeof(at_once[0]); i++) {
		config.gridDimX = i + 1;
		a.value.clusterDim.x = i + 1;
		a.value.clusterDim.y = a.value.clusterDim.z = 1;
		OK(cuOccupancyMaxActiveClusters(&n, g.add, &config));
		CHECK(n == at_once[i]);
	}
}

static atomic_int told;

static void CUDA_CB tell(CUstream s, CUresult status, void *arg)
{
	(void)s;
	(void)arg;
	atomic_store(&told, (int)status);
}

static atomic_int go;

static void CUDA_CB hold(void *arg)
{
	(void)arg;
	while (!atomic_load(&go))
		usleep(200);
}

/* A kernel that writes where nothing is: every call of this context fails from then on, until it
 * is destroyed; other contexts are not affected. */
static void sticky(void)
{
	CUcontext ctx;
	CUdeviceptr p;
	CUmodule m;
	CUfunction add;
	CUstream s;
	CUevent e;
	int host;
	gpu_open();
	OK(cuCtxCreate(&ctx, NULL, 0, 0));
	OK(cuModuleLoadData(&m, kernels_ptx));
	OK(cuModuleGetFunction(&add, m, "add"));
	OK(cuMemAlloc(&p, 64));
	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	OK(cuEventCreate(&e, 0));
	atomic_store(&told, -1);
	OK(cuLaunchHostFunc(s, hold, NULL)); /* so that what follows is queued before the error */
	OK(launch(add, p + (1ull << 50), 1, 16, s));
	OK(cuEventRecord(e, s));
	OK(cuStreamAddCallback(s, tell, NULL, 0));
	atomic_store(&go, 1);
	EXPECT(CUDA_ERROR_ILLEGAL_ADDRESS, cuStreamSynchronize(s));
	EXPECT(CUDA_ERROR_ILLEGAL_ADDRESS, cuStreamQuery(s));
	EXPECT(CUDA_ERROR_ILLEGAL_ADDRESS, cuCtxSynchronize());
	EXPECT(CUDA_ERROR_ILLEGAL_ADDRESS, cuMemAlloc(&p, 64));
	EXPECT(CUDA_ERROR_ILLEGAL_ADDRESS, launch(add, p, 1, 16, s));
	EXPECT(CUDA_ERROR_ILLEGAL_ADDRESS, cuMemcpyDtoH(&host, p, 4));
	EXPECT(CUDA_ERROR_ILLEGAL_ADDRESS, cuEventQuery(e));
	for (int i = 0; i < 2000 && atomic_load(&told) == -1; i++)
		usleep(1000);
	CHECK(atomic_load(&told) == CUDA_ERROR_ILLEGAL_ADDRESS);
	OK(cuCtxDestroy(ctx));
	OK(cuCtxSynchronize()); /* the primary context below it */
}

/* Memory freed under a graph: the error shows when it is launched, not as a crash. */
static void freed_under_graph(void)
{
	CUcontext ctx;
	CUdeviceptr p;
	CUstream s;
	CUgraph graph;
	CUgraphExec exec;
	gpu_open();
	OK(cuCtxCreate(&ctx, NULL, 0, 0));
	OK(cuMemAlloc(&p, 64));
	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	OK(cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_RELAXED));
	OK(cuMemsetD8Async(p, 1, 64, s));
	OK(cuStreamEndCapture(s, &graph));
	OK(cuGraphInstantiate(&exec, graph, 0));
	OK(cuMemFree(p));
	OK(cuGraphLaunch(exec, s));
	EXPECT(CUDA_ERROR_ILLEGAL_ADDRESS, cuStreamSynchronize(s));
	OK(cuCtxDestroy(ctx));
	OK(cuGraphDestroy(graph));
	OK(cuGraphExecDestroy(exec));
}

/* One element too far: the line on stderr says which thread of which kernel, and where. */
static void one_past_the_end(void)
{
	CUcontext ctx;
	CUdeviceptr p, other;
	CUmodule m;
	CUfunction add;
	gpu_open();
	OK(cuCtxCreate(&ctx, NULL, 0, 0));
	OK(cuModuleLoadData(&m, kernels_ptx));
	OK(cuModuleGetFunction(&add, m, "add"));
	OK(cuMemAlloc(&other, 64)); /* neighbours do not count */
	OK(cuMemAlloc(&p, 64));
	OK(cuMemAlloc(&other, 64));
	OK(cuMemsetD32(p, 0, 16));
	OK(launch(add, p, 1, 16, NULL));
	OK(cuCtxSynchronize());
	fprintf(stderr, "one past the end is %#llx\n", (unsigned long long)p + 64);
	OK(launch(add, p, 1, 17, NULL));
	EXPECT(CUDA_ERROR_ILLEGAL_ADDRESS, cuCtxSynchronize());
	EXPECT(CUDA_ERROR_ILLEGAL_ADDRESS, cuMemcpyDtoD(other, p, 4));
	EXPECT(CUDA_ERROR_ILLEGAL_ADDRESS, cuCtxSynchronize()); /* sticky */
	OK(cuCtxDestroy(ctx));
}

/* A kernel with an instruction that there is not cannot be launched; its module is there. */
static void odd_kernel(void)
{
	static const char text[] = ".version 8.0\n.target sm_90a\n.address_size 64\n"
				   ".visible .entry fine()\n{ ret; }\n"
				   ".visible .entry odd()\n"
				   "{\n"
				   "\twgmma.fence.sync.aligned;\n"
				   "\tret;\n}\n";
	CUmodule m;
	CUfunction odd, fine;
	gpu_open();
	OK(cuModuleLoadData(&m, text));
	OK(cuModuleGetFunction(&odd, m, "odd"));
	OK(cuModuleGetFunction(&fine, m, "fine"));
	EXPECT(CUDA_ERROR_NOT_SUPPORTED,
	       cuLaunchKernel(odd, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL));
	OK(cuLaunchKernel(fine, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL));
	OK(cuCtxSynchronize());
	OK(cuModuleUnload(m));
}

int main(int argc, char **argv)
{
	static const struct api_section list[] = {SECTION(refused), SECTION(clusters),
	                                          OURS(odd_kernel), OURS(one_past_the_end),
	                                          SECTION(sticky),  OURS(freed_under_graph)};
	return API_RUN(argc, argv, list);
}
