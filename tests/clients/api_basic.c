// SPDX-License-Identifier: Apache-2.0
/* api_basic.c: initialisation, devices, contexts, modules, cuGetProcAddress, and vectorAdd. */
#include "api_client.h"

#include <pthread.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

static void before_init(void)
{
	CUdeviceptr p;
	CUcontext ctx;
	int n;
	OK(cuDriverGetVersion(&n));
	CHECK(n == 13000);
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuDriverGetVersion(NULL));
	EXPECT(CUDA_ERROR_NOT_INITIALIZED, cuDeviceGetCount(&n));
	EXPECT(CUDA_ERROR_NOT_INITIALIZED, cuMemAlloc(&p, 16));
	EXPECT(CUDA_ERROR_NOT_INITIALIZED, cuCtxGetCurrent(&ctx));
	EXPECT(CUDA_ERROR_NOT_INITIALIZED, cuCtxSynchronize());
	EXPECT(CUDA_ERROR_NOT_INITIALIZED, cuStreamSynchronize(NULL));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuInit(1));
	OK(cuInit(0));
	OK(cuInit(0));
}

static void errors(void)
{
	const char *text;
	OK(cuGetErrorName(CUDA_ERROR_ILLEGAL_ADDRESS, &text));
	CHECK(strcmp(text, "CUDA_ERROR_ILLEGAL_ADDRESS") == 0);
	OK(cuGetErrorString(CUDA_ERROR_ILLEGAL_ADDRESS, &text));
	CHECK(strcmp(text, "an illegal memory access was encountered") == 0);
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuGetErrorName((CUresult)12345, &text));
	CHECK(text == NULL);
	BEYOND(CUDA_ERROR_INVALID_VALUE, cuGetErrorString(CUDA_SUCCESS, NULL));
}

static void devices(void)
{
	CUdevice dev;
	CUuuid uuid, again;
	char name[100], bus[20];
	size_t total;
	int n, v;
	OK(cuInit(0));
	OK(cuDeviceGetCount(&n));
	CHECK(n >= 1);
	OK(cuDeviceGet(&dev, 0));
	EXPECT(CUDA_ERROR_INVALID_DEVICE, cuDeviceGet(&dev, n));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuDeviceGet(NULL, 0));
	OK(cuDeviceGetName(name, sizeof(name), dev));
	CHECK(strlen(name) > 0);
	OK(cuDeviceTotalMem(&total, dev));
	CHECK(total > 1 << 20);
	OK(cuDeviceGetUuid(&uuid, dev));
	OK(cuDeviceGetUuid(&again, dev));
	CHECK(memcmp(&uuid, &again, sizeof(uuid)) == 0);
	OK(cuDeviceGetPCIBusId(bus, sizeof(bus), dev));
	OK(cuDeviceGetByPCIBusId(&v, bus));
	CHECK(v == dev);
	OK(cuDeviceGetAttribute(&v, CU_DEVICE_ATTRIBUTE_WARP_SIZE, dev));
	CHECK(v == 32);
	for (int a = 1; a < CU_DEVICE_ATTRIBUTE_MAX; a++)
		OK(cuDeviceGetAttribute(&v, a, dev));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuDeviceGetAttribute(&v, CU_DEVICE_ATTRIBUTE_MAX, dev));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuDeviceGetAttribute(NULL, 1, dev));
}

static void *other_thread(void *arg)
{
	CUcontext ctx;
	OK(cuCtxGetCurrent(&ctx));
	CHECK(ctx == NULL); /* each thread has a stack of its own */
	EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuCtxSynchronize());
	OK(cuCtxSetCurrent(arg));
	OK(cuCtxSynchronize());
	return NULL;
}

static void contexts(void)
{
	CUcontext a, b, c;
	CUdevice dev;
	unsigned flags, version;
	unsigned long long id_a, id_b;
	pthread_t t;
	OK(cuInit(0));
	EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuCtxSynchronize());
	EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuCtxPopCurrent(&a));
	EXPECT(CUDA_ERROR_INVALID_DEVICE, cuCtxCreate(&a, NULL, 0, 99));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuCtxCreate(&a, NULL, 0x10000, 0));
	OK(cuCtxCreate(&a, NULL, CU_CTX_SCHED_BLOCKING_SYNC, 0));
	OK(cuCtxCreate(&b, NULL, 0, 0));
	OK(cuCtxGetCurrent(&c));
	CHECK(c == b);
	OK(cuCtxGetId(a, &id_a));
	OK(cuCtxGetId(NULL, &id_b));
	CHECK(id_a != id_b);
	OK(cuCtxPopCurrent(&c));
	CHECK(c == b);
	OK(cuCtxGetFlags(&flags));
	CHECK(flags == CU_CTX_SCHED_BLOCKING_SYNC);
	OK(cuCtxGetDevice(&dev));
	CHECK(dev == 0);
	OK(cuCtxGetApiVersion(a, &version));
	CHECK(version == 3020);
	CHECK(pthread_create(&t, NULL, other_thread, a) == 0);
	pthread_join(t, NULL);
	OK(cuCtxPushCurrent(b));
	OK(cuCtxDestroy(a)); /* still below b on the stack */
	BEYOND(CUDA_ERROR_CONTEXT_IS_DESTROYED, cuCtxDestroy(a));
	OK(cuCtxDestroy(b)); /* the current one is popped */
	OK(cuCtxGetCurrent(&c));
	CHECK(c == a);
	EXPECT(CUDA_ERROR_CONTEXT_IS_DESTROYED, cuCtxSynchronize());
	OK(cuCtxSetCurrent(NULL));
	EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuCtxSynchronize());
	BEYOND(CUDA_ERROR_INVALID_CONTEXT, cuCtxSetCurrent((CUcontext)&flags));
}

static void primary_context(void)
{
	CUcontext c, primary;
	unsigned flags;
	int active;
	OK(cuInit(0));
	OK(cuDevicePrimaryCtxGetState(0, &flags, &active));
	CHECK(!active);
	OK(cuDevicePrimaryCtxRetain(&primary, 0));
	OK(cuDevicePrimaryCtxRetain(&c, 0));
	CHECK(c == primary);
	EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuCtxDestroy(primary));
	OK(cuCtxSetCurrent(primary));
	OK(cuDevicePrimaryCtxRelease(0));
	OK(cuCtxSynchronize());
	OK(cuDevicePrimaryCtxRelease(0));
	EXPECT(CUDA_ERROR_CONTEXT_IS_DESTROYED, cuCtxSynchronize());
	EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuDevicePrimaryCtxRelease(0));
	OK(cuCtxSetCurrent(primary)); /* the CUDA runtime does that before it retains it */
	OK(cuDevicePrimaryCtxRetain(&c, 0));
	CHECK(c == primary);
	OK(cuCtxSynchronize()); /* the same context, alive again */
}

/* For the sections below. */
static void use_primary(void)
{
	CUcontext ctx;
	OK(cuInit(0));
	OK(cuDevicePrimaryCtxRetain(&ctx, 0));
	OK(cuCtxSetCurrent(ctx));
}

static void limits(void)
{
	size_t v;
	int least, greatest;
	use_primary();
	OK(cuCtxSetLimit(CU_LIMIT_STACK_SIZE, 4096));
	OK(cuCtxGetLimit(&v, CU_LIMIT_STACK_SIZE));
	CHECK(v == 4096);
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuCtxGetLimit(NULL, CU_LIMIT_STACK_SIZE));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuCtxGetLimit(&v, CU_LIMIT_MAX));
	OK(cuCtxGetLimit(&v, CU_LIMIT_CIG_ENABLED)); /* cuBLAS asks */
	CHECK(v == 0);
	OK(cuCtxGetStreamPriorityRange(&least, &greatest));
	CHECK(greatest < least);
}

static void vector_add(void)
{
	enum { N = 1000 };
	CUmodule m;
	CUfunction f;
	CUdeviceptr d[3];
	float a[N], b[N], c[N];
	int n = N;
	use_primary();
	OK(cuModuleLoadData(&m, kernels_ptx));
	OK(cuModuleGetFunction(&f, m, "vector_add"));
	EXPECT(CUDA_ERROR_NOT_FOUND, cuModuleGetFunction(&f, m, "no_such_kernel"));
	OK(cuModuleGetFunction(&f, m, "vector_add"));
	for (int i = 0; i < N; i++) {
		a[i] = (float)i;
		b[i] = 0.5f * (float)i;
	}
	for (int i = 0; i < 3; i++)
		OK(cuMemAlloc(&d[i], sizeof(a)));
	OK(cuMemcpyHtoD(d[0], a, sizeof(a)));
	OK(cuMemcpyHtoD(d[1], b, sizeof(b)));
	void *params[] = {&d[0], &d[1], &d[2], &n};
	OK(cuLaunchKernel(f, (N + 255) / 256, 1, 1, 256, 1, 1, 0, NULL, params, NULL));
	OK(cuMemcpyDtoH(c, d[2], sizeof(c)));
	for (int i = 0; i < N; i++)
		CHECK(c[i] == a[i] + b[i]);

	/* the same by one buffer of parameters, without the padding at the end of a C struct */
	struct packed {
		CUdeviceptr a, b, c;
		int n;
	} buffer = {d[0], d[2], d[2], N};
	size_t size = offsetof(struct packed, n) + sizeof(int);
	void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &buffer, CU_LAUNCH_PARAM_BUFFER_SIZE,
	                 &size, CU_LAUNCH_PARAM_END};
	OK(cuLaunchKernel(f, (N + 255) / 256, 1, 1, 256, 1, 1, 0, NULL, NULL, extra));
	OK(cuMemcpyDtoH(c, d[2], sizeof(c)));
	for (int i = 0; i < N; i++)
		CHECK(c[i] == a[i] + a[i] + b[i]);
	EXPECT(CUDA_ERROR_INVALID_VALUE,
	       cuLaunchKernel(f, 1, 1, 1, 32, 1, 1, 0, NULL, params, extra));
	size = sizeof(buffer); /* with it */
	EXPECT(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES,
	       cuLaunchKernel(f, 1, 1, 1, 32, 1, 1, 0, NULL, NULL, extra));
	for (int i = 0; i < 3; i++)
		OK(cuMemFree(d[i]));
	OK(cuModuleUnload(m));
	BEYOND(CUDA_ERROR_INVALID_HANDLE, cuModuleUnload(m));
}

static void modules(void)
{
	struct gpu g = gpu_open();
	CUdeviceptr scale, p;
	CUfunction all[8];
	CUlibrary lib;
	CUkernel kernel;
	CUfunction f;
	CUmodule m;
	const char *name;
	size_t bytes, offset;
	unsigned n;
	int v = 5, host[100];
	OK(cuModuleGetGlobal(&scale, &bytes, g.module, "scale"));
	CHECK(bytes == 4);
	OK(cuMemcpyHtoD(scale, &v, 4));
	OK(cuMemAlloc(&p, sizeof(host)));
	OK(cuMemsetD32(p, 7, 100));
	n = 100;
	void *params[] = {&p, &n};
	OK(cuLaunchKernel(g.scaled, 2, 1, 1, 64, 1, 1, 256, NULL, params, NULL));
	EXPECT_ALL(p, 35, 100);
	OK(cuModuleGetFunctionCount(&n, g.module));
	CHECK(n == 4);
	OK(cuModuleEnumerateFunctions(all, 4, g.module));
	OK(cuFuncGetName(&name, g.add));
	CHECK(strcmp(name, "add") == 0);
	OK(cuFuncGetModule(&m, g.add));
	CHECK(m == g.module);
	OK(cuFuncGetParamInfo(g.add, 1, &offset, &bytes));
	CHECK(offset == 8 && bytes == 4);
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuFuncGetParamInfo(g.add, 3, &offset, &bytes));
	OK(cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, g.scaled));
	CHECK(v == 64);
	OK(cuOccupancyMaxActiveBlocksPerMultiprocessor(&v, g.add, 128, 0));
	CHECK(v >= 1);
	EXPECT(CUDA_ERROR_INVALID_HANDLE, cuFuncGetAttribute(&v, 0, NULL));

	OK(cuLibraryLoadData(&lib, kernels_ptx, NULL, NULL, 0, NULL, NULL, 0));
	OK(cuLibraryGetKernel(&kernel, lib, "add"));
	OK(cuKernelGetName(&name, kernel));
	CHECK(strcmp(name, "add") == 0);
	OK(cuKernelGetFunction(&f, kernel));
	OK(cuMemsetD32(p, 1, 100));
	OK(launch(f, p, 2, 100, NULL));
	OK(launch((CUfunction)kernel, p, 3, 100, NULL)); /* a kernel may stand for its function */
	EXPECT_ALL(p, 6, 100);
	OK(cuLibraryUnload(lib));
	BEYOND(CUDA_ERROR_INVALID_HANDLE, cuLibraryGetKernel(&kernel, lib, "add"));
	OK(cuMemFree(p));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemFree(scale)); /* the module's, not ours */
	OK(cuModuleUnload(g.module));
}

/* A library is loaded where no context is current, and belongs to none. */
static void library_alone(void)
{
	CUlibrary lib;
	CUkernel kernel;
	CUfunction f;
	CUcontext ctx = NULL;
	unsigned n;
	OK(cuInit(0));
	OK(cuCtxSetCurrent(NULL));
	OK(cuLibraryLoadData(&lib, kernels_ptx, NULL, NULL, 0, NULL, NULL, 0));
	OK(cuLibraryGetKernelCount(&n, lib));
	CHECK(n == 4);
	OK(cuLibraryGetKernel(&kernel, lib, "add"));
	EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuKernelGetFunction(&f, kernel));
	OK(cuCtxGetCurrent(&ctx));
	CHECK(ctx == NULL);
	use_primary();
	OK(cuKernelGetFunction(&f, kernel));
	OK(cuLibraryUnload(lib));
}

static void bad_modules(void)
{
	static const char unknown[] = ".version 8.0\n.target sm_75\n.address_size 64\n"
				      ".visible .entry k()\n{\n\t.reg .b32 %r<2>;\n"
				      "\tmov.u32 %r1, %frobnicate;\n\tret;\n}\n";
	CUmodule m = NULL;
	char log[256] = "", info[64] = "x";
	CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES,
	                          CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES};
	void *values[] = {log, (void *)(size_t)sizeof(log), info, (void *)(size_t)sizeof(info)};
	use_primary();
	CUresult r = cuModuleLoadDataEx(&m, unknown, 4, options, values);
	CHECK(r == CUDA_ERROR_INVALID_PTX || r == CUDA_ERROR_NOT_SUPPORTED);
	CHECK(m == NULL);
	CHECK(strstr(log, "frobnicate") && strstr(log, "line 7"));
	CHECK((size_t)values[1] == strlen(log));
	CHECK(info[0] == 0);
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuModuleLoadData(&m, NULL));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuModuleLoadData(NULL, kernels_ptx));
	EXPECT(CUDA_ERROR_FILE_NOT_FOUND, cuModuleLoad(&m, "/nonexistent/file.ptx"));
	EXPECT(CUDA_ERROR_INVALID_PTX, cuModuleLoadData(&m, ".version 8.0\n.target sm_75\n}{"));
	EXPECT(CUDA_ERROR_INVALID_IMAGE, cuModuleLoadData(&m, "some text that is no PTX"));
}

static void proc_addresses(void)
{
	CUdriverProcAddressQueryResult status;
	void *a, *b;
	OK(cuGetProcAddress("cuMemAlloc", &a, 13000, CU_GET_PROC_ADDRESS_DEFAULT, &status));
	CHECK(status == CU_GET_PROC_ADDRESS_SUCCESS && a == (void *)cuMemAlloc);
	OK(cuGetProcAddress("cuMemAlloc", &b, 2000, CU_GET_PROC_ADDRESS_DEFAULT, &status));
	CHECK(b && b != a); /* the 32-bit form of CUDA 2 */
	OK(cuGetProcAddress("cuLaunchKernel", &a, 13000, CU_GET_PROC_ADDRESS_LEGACY_STREAM,
	                    &status));
	OK(cuGetProcAddress("cuLaunchKernel", &b, 13000,
	                    CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM, &status));
	CHECK(a == (void *)cuLaunchKernel && b && a != b);
	OK(cuGetProcAddress("cuCtxCreate", &a, 12000, 0, &status));
	OK(cuGetProcAddress("cuCtxCreate", &b, 13000, 0, &status));
	CHECK(a && b == (void *)cuCtxCreate && a != b);
	/* no per-thread form: the plain one */
	OK(cuGetProcAddress("cuInit", &a, 13000, CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM,
	                    &status));
	CHECK(a == (void *)cuInit);
	OK(cuGetProcAddress("cuGraphLaunch", &a, 9000, 0, &status));
	CHECK(!a && status == CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT);
	OK(cuGetProcAddress("cuNoSuchThing", &a, 13000, 0, &status));
	CHECK(!a && status == CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
	OK(cuGetProcAddress("", &a, 0, 0, NULL)); /* the CUDA runtime's first call */
	CHECK(!a);
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuGetProcAddress("cuInit", &a, 99000, 0, &status));
	BEYOND(CUDA_ERROR_INVALID_VALUE, cuGetProcAddress(NULL, &a, 13000, 0, &status));
	BEYOND(CUDA_ERROR_INVALID_VALUE, cuGetProcAddress("cuInit", NULL, 13000, 0, &status));
}

static void not_there(void)
{
	CUuuid unknown = {{1}};
	const void *table = &unknown;
	CUexternalMemory memory;
	CUDA_EXTERNAL_MEMORY_HANDLE_DESC d = {.type = CU_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD};
	CHECK(cuGetExportTable(&table, &unknown) != CUDA_SUCCESS);
	/* named on stderr: the test that runs this program looks for it */
	EXPECT(CUDA_ERROR_NOT_SUPPORTED, cuImportExternalMemory(&memory, &d));
	EXPECT(CUDA_ERROR_NOT_SUPPORTED, cuImportExternalMemory(&memory, &d));
}

static void forked(void)
{
	int status;
	use_primary();
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		CUdeviceptr p;
		EXPECT(CUDA_ERROR_NOT_INITIALIZED, cuMemAlloc(&p, 16));
		EXPECT(CUDA_ERROR_NOT_INITIALIZED, cuCtxSynchronize());
		EXPECT(CUDA_ERROR_NOT_INITIALIZED, cuInit(0));
		exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
	OK(cuCtxSynchronize());
}

int main(int argc, char **argv)
{
	static const struct api_section list[] = {
	    SECTION(before_init), SECTION(errors),          SECTION(devices),
	    SECTION(contexts),    SECTION(primary_context), SECTION(limits),
	    SECTION(vector_add),  SECTION(modules),         SECTION(library_alone),
	    SECTION(bad_modules), SECTION(proc_addresses),  OURS(not_there),
	    SECTION(forked)};
	return API_RUN(argc, argv, list);
}
