// SPDX-License-Identifier: Apache-2.0
/*
 * gated.c: every way to submit, on every kind of stream, finds its gate closed and waits there;
 * then it does what it does without a gate. `calls`: real work. `names FILE`: each symbol named in
 * the file, with arguments of zero, which the driver may refuse, but not before the gate.
 */
#include <dlfcn.h>

#include "puppet_client.h"

#define N 64
#define BYTES (N * sizeof(int))

static struct gpu g;
static CUdeviceptr p, q, word;
static CUgraphExec exec;
static CUmemoryPool pool;
static int *host;

static void CUDA_CB nothing(void *arg)
{
	(void)arg;
}

static void CUDA_CB callback(CUstream s, CUresult r, void *arg)
{
	(void)s, (void)r, (void)arg;
}

/* ---------------------------------------------------------------- on a stream */

static CUresult do_launch(CUstream s)
{
	return launch(g.add, p, 0, N, s);
}

static CUresult do_launch_ex(CUstream s)
{
	int v = 0, n = N;
	void *params[] = {&p, &v, &n};
	CUlaunchConfig config = {.gridDimX = 1,
	                         .gridDimY = 1,
	                         .gridDimZ = 1,
	                         .blockDimX = N,
	                         .blockDimY = 1,
	                         .blockDimZ = 1,
	                         .hStream = s};
	return cuLaunchKernelEx(&config, g.add, params, NULL);
}

static CUresult do_cooperative(CUstream s)
{
	int v = 0, n = N;
	void *params[] = {&p, &v, &n};
	return cuLaunchCooperativeKernel(g.add, 1, 1, 1, N, 1, 1, 0, s, params);
}

static CUresult do_host_func(CUstream s)
{
	return cuLaunchHostFunc(s, nothing, NULL);
}

static CUresult do_callback(CUstream s)
{
	return cuStreamAddCallback(s, callback, NULL, 0);
}

static CUresult do_graph(CUstream s)
{
	return cuGraphLaunch(exec, s);
}

static CUresult do_upload(CUstream s)
{
	return cuGraphUpload(exec, s);
}

static CUresult do_copy(CUstream s)
{
	return cuMemcpyAsync(q, p, BYTES, s);
}

static CUresult do_to_device(CUstream s)
{
	return cuMemcpyHtoDAsync(q, host, BYTES, s);
}

static CUresult do_to_host(CUstream s)
{
	return cuMemcpyDtoHAsync(host, p, BYTES, s);
}

static CUresult do_within(CUstream s)
{
	return cuMemcpyDtoDAsync(q, p, BYTES, s);
}

static CUresult do_peer(CUstream s)
{
	return cuMemcpyPeerAsync(q, g.ctx, p, g.ctx, BYTES, s);
}

static CUDA_MEMCPY2D rectangle(void)
{
	return (CUDA_MEMCPY2D){.srcMemoryType = CU_MEMORYTYPE_DEVICE,
	                       .srcDevice = p,
	                       .srcPitch = 32,
	                       .dstMemoryType = CU_MEMORYTYPE_DEVICE,
	                       .dstDevice = q,
	                       .dstPitch = 32,
	                       .WidthInBytes = 16,
	                       .Height = 4};
}

static CUresult do_2d(CUstream s)
{
	CUDA_MEMCPY2D r = rectangle();
	return cuMemcpy2DAsync(&r, s);
}

static CUresult do_3d(CUstream s)
{
	CUDA_MEMCPY3D r = {.srcMemoryType = CU_MEMORYTYPE_DEVICE,
	                   .srcDevice = p,
	                   .srcPitch = 32,
	                   .srcHeight = 4,
	                   .dstMemoryType = CU_MEMORYTYPE_DEVICE,
	                   .dstDevice = q,
	                   .dstPitch = 32,
	                   .dstHeight = 4,
	                   .WidthInBytes = 16,
	                   .Height = 4,
	                   .Depth = 1};
	return cuMemcpy3DAsync(&r, s);
}

static CUresult do_set8(CUstream s)
{
	return cuMemsetD8Async(q, 1, BYTES, s);
}

static CUresult do_set16(CUstream s)
{
	return cuMemsetD16Async(q, 1, N, s);
}

static CUresult do_set32(CUstream s)
{
	return cuMemsetD32Async(q, 1, N, s);
}

static CUresult do_set2d(CUstream s)
{
	return cuMemsetD2D32Async(q, 32, 1, 4, 4, s);
}

static CUresult do_alloc(CUstream s)
{
	CUdeviceptr a = 0;
	CUresult r = cuMemAllocAsync(&a, 4096, s);
	CHECK(r != CUDA_SUCCESS || a != 0); /* on return, though the gate was closed */
	if (r == CUDA_SUCCESS)
		OK(cuMemFreeAsync(a, s));
	return r;
}

static CUresult do_alloc_from(CUstream s)
{
	CUdeviceptr a = 0;
	CUresult r = cuMemAllocFromPoolAsync(&a, 4096, pool, s);
	CHECK(r != CUDA_SUCCESS || a != 0);
	if (r == CUDA_SUCCESS)
		OK(cuMemFreeAsync(a, s));
	return r;
}

static CUresult do_write32(CUstream s)
{
	return cuStreamWriteValue32(s, word, 1, 0);
}

static CUresult do_wait32(CUstream s)
{
	return cuStreamWaitValue32(s, word, 0, CU_STREAM_WAIT_VALUE_GEQ);
}

static CUresult do_write64(CUstream s)
{
	return cuStreamWriteValue64(s, word + 8, 1, 0);
}

static CUresult do_wait64(CUstream s)
{
	return cuStreamWaitValue64(s, word + 8, 0, CU_STREAM_WAIT_VALUE_GEQ);
}

static CUresult do_batch(CUstream s)
{
	CUstreamBatchMemOpParams op;
	memset(&op, 0, sizeof(op));
	op.operation = CU_STREAM_MEM_OP_WRITE_VALUE_32;
	op.writeValue.address = word;
	op.writeValue.value = 1;
	return cuStreamBatchMemOp(s, 1, &op, 0);
}

static const struct {
	const char *name;
	CUresult (*call)(CUstream s);
} on_stream[] = {{"cuLaunchKernel", do_launch},
                 {"cuLaunchKernelEx", do_launch_ex},
                 {"cuLaunchCooperativeKernel", do_cooperative},
                 {"cuLaunchHostFunc", do_host_func},
                 {"cuStreamAddCallback", do_callback},
                 {"cuGraphLaunch", do_graph},
                 {"cuGraphUpload", do_upload},
                 {"cuMemcpyAsync", do_copy},
                 {"cuMemcpyHtoDAsync", do_to_device},
                 {"cuMemcpyDtoHAsync", do_to_host},
                 {"cuMemcpyDtoDAsync", do_within},
                 {"cuMemcpyPeerAsync", do_peer},
                 {"cuMemcpy2DAsync", do_2d},
                 {"cuMemcpy3DAsync", do_3d},
                 {"cuMemsetD8Async", do_set8},
                 {"cuMemsetD16Async", do_set16},
                 {"cuMemsetD32Async", do_set32},
                 {"cuMemsetD2D32Async", do_set2d},
                 {"cuMemAllocAsync", do_alloc},
                 {"cuMemAllocFromPoolAsync", do_alloc_from},
                 {"cuStreamWriteValue32", do_write32},
                 {"cuStreamWaitValue32", do_wait32},
                 {"cuStreamWriteValue64", do_write64},
                 {"cuStreamWaitValue64", do_wait64},
                 {"cuStreamBatchMemOp", do_batch}};

static void held_on(const char *kind, const char *name, CUresult (*call)(CUstream s), CUstream s)
{
	char text[100];
	snprintf(text, sizeof(text), "%s on a %s stream", name, kind);
	(void)ask('c');
	expect(CUDA_SUCCESS, call(s), text, __FILE__, __LINE__);
	expect_held(1, text, __LINE__);
	(void)ask('o');
	expect(CUDA_SUCCESS, call(s), text, __FILE__, __LINE__);
	expect_held(0, text, __LINE__);
}

/* ---------------------------------------------------------------- calls that wait */

static void blocking_calls(void)
{
	int back[N];
	CUDA_MEMCPY2D r = rectangle();
	HELD(cuMemcpyHtoD(q, host, BYTES));
	HELD(cuMemcpyDtoH(back, q, BYTES));
	HELD(cuMemcpyDtoD(q, p, BYTES));
	HELD(cuMemcpy(q, p, BYTES));
	HELD(cuMemcpyPeer(q, g.ctx, p, g.ctx, BYTES));
	HELD(cuMemcpy2D(&r));
	HELD(cuMemcpy2DUnaligned(&r));
	HELD(cuMemsetD8(q, 1, BYTES));
	HELD(cuMemsetD16(q, 1, N));
	HELD(cuMemsetD32(q, 1, N));
	HELD(cuMemsetD2D8(q, 32, 1, 16, 4));
	/* observed, never held */
	NOT_HELD(cuStreamSynchronize(NULL));
	NOT_HELD(cuCtxSynchronize());
	NOT_HELD(cuStreamQuery(NULL));
}

/* An invalid launch waits as any other, fails on return, and harms nothing. */
static void errors(CUstream s)
{
	(void)ask('c');
	EXPECT(CUDA_ERROR_INVALID_VALUE,
	       cuLaunchKernel(g.add, 1, 1, 1, 100000, 1, 1, 0, s, NULL, NULL));
	expect_held(1, "an invalid launch", __LINE__);
	HELD(do_launch(s));
	OK(cuStreamSynchronize(s));
}

/* Only for a class that says so. */
static void implicit_calls(void)
{
	CUdeviceptr a;
	CUmodule m;
	void *pinned;
	NOT_HELD(cuMemAlloc(&a, 4096));
	NOT_HELD(cuMemFree(a));
	(void)ask('i');
	HELD(cuMemAlloc(&a, 4096));
	HELD(cuMemFree(a));
	HELD(cuMemHostAlloc(&pinned, 4096, 0));
	HELD(cuMemFreeHost(pinned));
	HELD(cuModuleLoadData(&m, kernels_ptx));
	HELD(cuModuleUnload(m));
	(void)ask('I');
	NOT_HELD(cuMemAlloc(&a, 4096));
	NOT_HELD(cuMemFree(a));
}

/* Events of this process are order only; shared with another one they are submissions. */
static void events(CUstream s)
{
	CUevent own, shared;
	CUipcEventHandle handle;
	OK(cuEventCreate(&own, CU_EVENT_DISABLE_TIMING));
	OK(cuEventCreate(&shared, CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS));
	NOT_HELD(cuEventRecord(own, s));
	NOT_HELD(cuStreamWaitEvent(s, own, 0));
	NOT_HELD(cuEventRecord(shared, s)); /* nobody has it yet */
	OK(cuIpcGetEventHandle(&handle, shared));
	HELD(cuEventRecord(shared, s));
	HELD(cuStreamWaitEvent(s, shared, 0));
	OK(cuStreamSynchronize(s));
	OK(cuEventQuery(shared));
	OK(cuEventDestroy(own));
	OK(cuEventDestroy(shared));
}

static void make_graph(CUstream s)
{
	CUgraph graph;
	OK(cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
	OK(launch(g.add, p, 0, N, s));
	OK(cuStreamEndCapture(s, &graph));
	OK(cuGraphInstantiate(&exec, graph, 0));
	OK(cuGraphDestroy(graph));
}

static void all_calls(void)
{
	CUgreenCtx green;
	CUdevResource sms, part;
	CUdevResourceDesc desc;
	unsigned groups = 1;
	CUstream blocking, other, confined;
	OK(cuStreamCreate(&blocking, CU_STREAM_DEFAULT));
	OK(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
	OK(cuDeviceGetDevResource(0, &sms, CU_DEV_RESOURCE_TYPE_SM));
	OK(cuDevSmResourceSplitByCount(&part, &groups, &sms, NULL, 0, 4));
	OK(cuDevResourceGenerateDesc(&desc, &part, 1));
	OK(cuGreenCtxCreate(&green, desc, 0, CU_GREEN_CTX_DEFAULT_STREAM));
	OK(cuGreenCtxStreamCreate(&confined, green, CU_STREAM_NON_BLOCKING, 0));
	make_graph(other);
	const struct {
		const char *name;
		CUstream s;
	} kinds[] = {{"default", NULL},       {"legacy", CU_STREAM_LEGACY},
	             {"blocking", blocking},  {"per-thread", CU_STREAM_PER_THREAD},
	             {"non-blocking", other}, {"green-context", confined}};
	for (unsigned k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
		for (unsigned i = 0; i < sizeof(on_stream) / sizeof(on_stream[0]); i++)
			held_on(kinds[k].name, on_stream[i].name, on_stream[i].call, kinds[k].s);
	blocking_calls();
	errors(other);
	events(other);
	implicit_calls();
	OK(cuMemsetD32(q, 5, N));
	OK(launch(g.add, q, 2, N, confined));
	EXPECT_ALL(q, 7, N);
}

/* ---------------------------------------------------------------- by name */

typedef CUresult any_call(long, long, long, long, long, long, long, long, long, long, long, long,
                          long, long, long, long);

static void all_names(const char *path)
{
	char name[100];
	unsigned offered = 0;
	FILE *f = fopen(path, "r");
	CHECK(f != NULL);
	OK(cuCtxSynchronize());
	while (fscanf(f, "%99s", name) == 1) {
		any_call *call = (any_call *)dlsym(RTLD_DEFAULT, name);
		if (!call)
			continue; /* the driver lacks it, and nothing stands in for it */
		(void)ask('c');
		CUresult r = call(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
		expect_held(1, name, __LINE__);
		offered += r != CUDA_ERROR_NOT_SUPPORTED;
	}
	fclose(f);
	CHECK(offered > 60);
	OK(cuCtxSynchronize()); /* it has survived all of it */
}

int main(int argc, char **argv)
{
	g = gpu_open();
	OK(cuMemAlloc(&p, BYTES));
	OK(cuMemAlloc(&q, BYTES));
	OK(cuMemAlloc(&word, 64));
	OK(cuMemsetD8(word, 0, 64));
	OK(cuMemsetD32(p, 0, N));
	OK(cuMemHostAlloc((void **)&host, BYTES, 0));
	OK(cuDeviceGetDefaultMemPool(&pool, 0));
	OK(cuCtxSynchronize());
	if (argc > 2 && strcmp(argv[1], "names") == 0)
		all_names(argv[2]);
	else
		all_calls();
	puts("ok");
	return 0;
}
