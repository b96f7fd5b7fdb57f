// SPDX-License-Identifier: Apache-2.0
/* api_memop.c: stream memory operations between kernels: gates and progress words in streams, on
 * the default streams, in graphs (by node, by capture, updated), opened by the host; conditions;
 * arguments. */
#include "api_client.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#define N 512

static struct gpu g;
static _Atomic unsigned *word; /* [0] gate, [1] progress; page-locked */
static CUdeviceptr gate, progress;

static CUstreamBatchMemOpParams *point(CUstreamBatchMemOpParams op[2], unsigned done, unsigned open)
{
	memset(op, 0, 2 * sizeof(*op));
	op[0].writeValue.operation = CU_STREAM_MEM_OP_WRITE_VALUE_32;
	op[0].writeValue.address = progress;
	op[0].writeValue.value = done;
	op[1].waitValue.operation = CU_STREAM_MEM_OP_WAIT_VALUE_32;
	op[1].waitValue.address = gate;
	op[1].waitValue.value = open;
	return op;
}

static void wait_until(unsigned done)
{
	for (int i = 0; i < 100000 && atomic_load(&word[1]) != done; i++)
		usleep(100);
	CHECK(atomic_load(&word[1]) == done);
}

static void reset(CUdeviceptr p)
{
	OK(cuCtxSynchronize());
	OK(cuMemsetD32(p, 0, N));
	OK(cuCtxSynchronize());
	atomic_store(&word[0], 0);
	atomic_store(&word[1], 0);
}

/* p = ((0 + 1) * 10 + 1) * 10 …, a closed point after each step that the host opens in turn */
static void steps(CUdeviceptr p, CUstream s)
{
	CUstreamBatchMemOpParams op[2];
	int want = 0;
	reset(p);
	for (unsigned i = 1; i <= 4; i++) {
		OK(launch(g.add, p, 1, N, s));
		OK(cuStreamBatchMemOp(s, 2, point(op, i, i), 0));
		OK(launch(g.mul, p, 10, N, s));
		want = (want + 1) * 10;
	}
	for (unsigned i = 1; i <= 4; i++) {
		wait_until(i);
		EXPECT(CUDA_ERROR_NOT_READY, cuStreamQuery(s));
		atomic_store(&word[0], i);
	}
	OK(cuStreamSynchronize(s));
	EXPECT_ALL(p, want, N);
}

static CUgraphNode kernel_node(CUgraph graph, CUfunction f, CUdeviceptr p, int v, CUgraphNode after)
{
	int n = N;
	void *params[] = {&p, &v, &n};
	CUDA_KERNEL_NODE_PARAMS k = {.func = f,
	                             .gridDimX = N / 128,
	                             .gridDimY = 1,
	                             .gridDimZ = 1,
	                             .blockDimX = 128,
	                             .blockDimY = 1,
	                             .blockDimZ = 1,
	                             .kernelParams = params};
	CUgraphNode node;
	OK(cuGraphAddKernelNode(&node, graph, after ? &after : NULL, after ? 1 : 0, &k));
	return node;
}

static void run_gated(CUgraphExec e, CUdeviceptr p, CUstream s, unsigned done, int want)
{
	reset(p);
	OK(cuGraphLaunch(e, s));
	wait_until(done);
	EXPECT(CUDA_ERROR_NOT_READY, cuStreamQuery(s));
	atomic_store(&word[0], done);
	OK(cuStreamSynchronize(s));
	EXPECT_ALL(p, want, N);
}

static void graph_of_nodes(CUdeviceptr p, CUstream s)
{
	CUgraph graph;
	CUgraphExec e;
	CUgraphNode first, middle;
	CUgraphNodeType type;
	CUstreamBatchMemOpParams op[2];
	CUDA_BATCH_MEM_OP_NODE_PARAMS m = {.ctx = g.ctx, .count = 2, .paramArray = point(op, 7, 7)};
	CUDA_BATCH_MEM_OP_NODE_PARAMS got;
	OK(cuGraphCreate(&graph, 0));
	first = kernel_node(graph, g.add, p, 3, NULL);
	OK(cuGraphAddBatchMemOpNode(&middle, graph, &first, 1, &m));
	kernel_node(graph, g.mul, p, 5, middle);
	memset(op, 0, sizeof(op)); /* it was copied */
	OK(cuGraphNodeGetType(middle, &type));
	CHECK(type == CU_GRAPH_NODE_TYPE_BATCH_MEM_OP);
	OK(cuGraphBatchMemOpNodeGetParams(middle, &got));
	CHECK(got.count == 2 && got.ctx == g.ctx && got.paramArray[0].writeValue.value == 7);
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphBatchMemOpNodeGetParams(first, &got));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphBatchMemOpNodeGetParams(middle, NULL));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphAddBatchMemOpNode(&first, graph, NULL, 0, NULL));
	m.count = 256;
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphAddBatchMemOpNode(&first, graph, NULL, 0, &m));
	m.count = 2;
	OK(cuGraphInstantiate(&e, graph, 0));
	run_gated(e, p, s, 7, 15);

	/* the executable graph's node gets other values, not another shape */
	point(op, 9, 9);
	OK(cuGraphExecBatchMemOpNodeSetParams(e, middle, &m));
	run_gated(e, p, s, 9, 15);
	m.count = 1;
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuGraphExecBatchMemOpNodeSetParams(e, middle, &m));
	m.count = 2;
	point(op, 11, 11);
	OK(cuGraphBatchMemOpNodeSetParams(middle, &m));
	OK(cuGraphExecDestroy(e));
	OK(cuGraphInstantiate(&e, graph, 0));
	run_gated(e, p, s, 11, 15);
	OK(cuGraphExecDestroy(e));
	OK(cuGraphDestroy(graph));
}

/* Issued during a capture they become nodes. */
static void captured(CUdeviceptr p, CUstream s)
{
	CUgraph graph;
	CUgraphExec e;
	size_t n = 0;
	CUstreamBatchMemOpParams op[2];
	reset(p);
	OK(cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_GLOBAL));
	OK(launch(g.add, p, 2, N, s));
	OK(cuStreamBatchMemOp(s, 2, point(op, 5, 5), 0));
	OK(launch(g.mul, p, 4, N, s));
	OK(cuStreamEndCapture(s, &graph));
	CHECK(atomic_load(&word[1]) == 0);
	OK(cuGraphGetNodes(graph, NULL, &n));
	CHECK(n == 3);
	OK(cuGraphInstantiate(&e, graph, 0));
	OK(cuGraphDestroy(graph));
	run_gated(e, p, s, 5, 8);
	OK(cuGraphExecDestroy(e));
}

/* A kernel's own store opens the gate of another stream. */
static void opened_by_a_kernel(CUdeviceptr p)
{
	CUstream a, b;
	CUdeviceptr flag;
	OK(cuMemAlloc(&flag, sizeof(int)));
	OK(cuMemsetD32(flag, 0, 1));
	OK(cuStreamCreate(&a, CU_STREAM_NON_BLOCKING));
	OK(cuStreamCreate(&b, CU_STREAM_NON_BLOCKING));
	reset(p);
	OK(cuStreamWaitValue32(a, flag, 1, CU_STREAM_WAIT_VALUE_EQ));
	OK(launch(g.mul, p, 3, N, a));
	EXPECT(CUDA_ERROR_NOT_READY, cuStreamQuery(a));
	OK(launch(g.add, p, 20, N, b));
	OK(launch(g.add, flag, 1, 1, b));
	OK(cuStreamSynchronize(a));
	EXPECT_ALL(p, 60, N);
	OK(cuMemFree(flag));
	OK(cuStreamDestroy(a));
	OK(cuStreamDestroy(b));
}

static void registered(CUdeviceptr p)
{
	int fd = memfd_create("api_memop", MFD_CLOEXEC);
	CHECK(fd >= 0 && ftruncate(fd, 4096) == 0);
	unsigned *mine = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(mine != MAP_FAILED);
	CUdeviceptr at;
	OK(cuMemHostRegister(mine, 4096, CU_MEMHOSTREGISTER_DEVICEMAP));
	OK(cuMemHostGetDevicePointer(&at, mine, 0));
	reset(p);
	OK(launch(g.add, p, 6, N, NULL));
	OK(cuStreamWriteValue32(NULL, at, 42, 0));
	OK(cuStreamWriteValue64(CU_STREAM_PER_THREAD, at + 8, 43, 0));
	OK(cuStreamSynchronize(CU_STREAM_PER_THREAD));
	OK(cuStreamSynchronize(NULL));
	unsigned seen[4];
	CHECK(pread(fd, seen, sizeof(seen), 0) == sizeof(seen));
	CHECK(seen[0] == 42 && seen[2] == 43);
	EXPECT_ALL(p, 6, N);
	OK(cuMemHostUnregister(mine));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuStreamWriteValue32(NULL, at, 42, 0));
	munmap(mine, 4096);
	close(fd);
}

struct row {
	uint64_t flags;
	uint64_t at, value;
	bool holds32, holds64;
};
#define BIG 0xffffffff00000000ull
static const struct row rows[] = {
    {CU_STREAM_WAIT_VALUE_GEQ, 5, 5, true, true},
    {CU_STREAM_WAIT_VALUE_GEQ, 4, 5, false, false},
    {CU_STREAM_WAIT_VALUE_GEQ, 3, 0xfffffffdu, true, false}, /* wraps */
    {CU_STREAM_WAIT_VALUE_GEQ, 0x80000006u, 5, false, true},
    {CU_STREAM_WAIT_VALUE_GEQ, 3, UINT64_MAX, true, true},
    {CU_STREAM_WAIT_VALUE_EQ, 7, 7, true, true},
    {CU_STREAM_WAIT_VALUE_EQ, 7, 6, false, false},
    {CU_STREAM_WAIT_VALUE_EQ, 7 | BIG, 7, true, false},
    {CU_STREAM_WAIT_VALUE_AND, 6, 4, true, true},
    {CU_STREAM_WAIT_VALUE_AND, 6, 9, false, false},
    {CU_STREAM_WAIT_VALUE_AND, BIG, BIG | 1, false, true},
    {CU_STREAM_WAIT_VALUE_NOR, 1, 2, true, true},
    {CU_STREAM_WAIT_VALUE_NOR, 0xffff0000u, 0xffffu, false, true},
    {CU_STREAM_WAIT_VALUE_NOR, UINT64_MAX, 0, false, false},
};

/* A query, once the GPU has had the time to look at what it waits for: a condition that holds ends
 * the wait soon, one that does not is still there a little later. */
static CUresult looked(CUstream s, bool holds)
{
	CUresult r = cuStreamQuery(s);
	for (int i = 0; i < (holds ? 20000 : 20) && r == CUDA_ERROR_NOT_READY; i++) {
		usleep(100);
		r = cuStreamQuery(s);
	}
	return r;
}

/* Each condition holds at its own value; that is asked, not waited for: a driver may disagree. */
static void conditions(CUstream s)
{
	_Atomic uint64_t *wide = (_Atomic uint64_t *)&word[16];
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		atomic_store(&word[0], (uint32_t)r->at);
		OK(cuStreamWaitValue32(s, gate, (uint32_t)r->value, r->flags));
		EXPECT(r->holds32 ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY, looked(s, r->holds32));
		atomic_store(&word[0], (uint32_t)r->value);
		OK(looked(s, true));
		atomic_store(wide, r->at);
		OK(cuStreamWaitValue64(s, gate + 64, r->value, r->flags));
		EXPECT(r->holds64 ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY, looked(s, r->holds64));
		atomic_store(wide, r->value);
		OK(looked(s, true));
	}
}

static void arguments(CUstream s)
{
	CUdeviceptr device;
	CUstreamBatchMemOpParams op[2] = {0};
	int n;
	OK(cuMemAlloc(&device, 64));
	OK(cuDeviceGetAttribute(&n, CU_DEVICE_ATTRIBUTE_CAN_USE_64_BIT_STREAM_MEM_OPS, 0));
	CHECK(n == 1);
	OK(cuDeviceGetAttribute(&n, CU_DEVICE_ATTRIBUTE_CAN_USE_STREAM_WAIT_VALUE_NOR, 0));
	CHECK(n == 1);

	OK(cuStreamWriteValue64(s, device, 1, 0));
	OK(cuStreamWriteValue32(NULL, device + 60, 1, 0));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuStreamWriteValue32(s, 0, 1, 0));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuStreamWriteValue32(s, device + 2, 1, 0));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuStreamWriteValue64(s, device + 4, 1, 0));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuStreamWriteValue32(s, device + 64, 1, 0));
	BEYOND(CUDA_ERROR_INVALID_VALUE, cuStreamWriteValue32(s, (CUdeviceptr)&n, 1, 0));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuStreamWriteValue32(s, gate, 1, 1));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuStreamWaitValue32(s, gate, 0, 4));
	BEYOND(CUDA_ERROR_INVALID_VALUE, cuStreamBatchMemOp(s, 1, NULL, 0));
	OK(cuStreamBatchMemOp(s, 0, op, 0));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuStreamBatchMemOp(s, 1, op, 0)); /* no operation */
	op[0].operation = op[1].operation = CU_STREAM_MEM_OP_BARRIER;
	OK(cuStreamBatchMemOp(s, 2, op, 0));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuStreamBatchMemOp(s, 2, op, 1));
	OK(cuDeviceGetAttribute(&n, CU_DEVICE_ATTRIBUTE_CAN_FLUSH_REMOTE_WRITES, 0));
	op[1].operation = CU_STREAM_MEM_OP_FLUSH_REMOTE_WRITES;
	EXPECT(n ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED, cuStreamBatchMemOp(s, 2, op, 0));
	EXPECT(n ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED,
	       cuStreamWaitValue32(s, gate, 0, CU_STREAM_WAIT_VALUE_FLUSH));
	CUstreamBatchMemOpParams *many = calloc(256, sizeof(*many));
	CHECK(many);
	for (int i = 0; i < 256; i++)
		many[i] = op[0];
	OK(cuStreamBatchMemOp(s, 255, many, 0));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuStreamBatchMemOp(s, 256, many, 0));
	free(many);
	OK(cuStreamSynchronize(s));
	BEYOND(CUDA_ERROR_INVALID_HANDLE, cuStreamWaitValue32((CUstream)&n, gate, 0, 0));
	OK(cuMemFree(device));
}

/* A page that may only be read can be waited on, if it is registered as such. */
static void read_only(CUstream s)
{
	CUdeviceptr at;
	int supported = 0;
	OK(cuDeviceGetAttribute(&supported, CU_DEVICE_ATTRIBUTE_READ_ONLY_HOST_REGISTER_SUPPORTED,
	                        0));
	CHECK(supported || api_on_driver);
	if (!supported)
		return;
	int fd = memfd_create("api_memop", MFD_CLOEXEC);
	CHECK(fd >= 0 && ftruncate(fd, 4096) == 0);
	void *ro = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(ro != MAP_FAILED);
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemHostRegister(ro, 4096, 0));
	OK(cuMemHostRegister(ro, 4096, CU_MEMHOSTREGISTER_READ_ONLY));
	OK(cuMemHostGetDevicePointer(&at, ro, 0));
	OK(cuStreamWaitValue32(s, at, 0, 0));
	OK(cuStreamSynchronize(s));
	OK(cuMemHostUnregister(ro));
	munmap(ro, 4096);
	close(fd);
}

/* Memory that is not the device's alone, or is no more, is refused. */
static void odd_memory(CUstream s)
{
	CUdeviceptr at, managed;
	OK(cuMemAllocManaged(&managed, 64, CU_MEM_ATTACH_GLOBAL));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuStreamWriteValue32(s, managed, 1, 0));
	OK(cuMemFree(managed));
	OK(cuMemAllocAsync(&at, 64, s));
	OK(cuMemFreeAsync(at, s));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuStreamWaitValue32(s, at, 1, 0));
	OK(cuStreamSynchronize(s));
}

/* What waits in a context that is destroyed is given up, with what comes after it. */
static void destroyed(void)
{
	CUcontext ctx;
	CUstream s;
	atomic_store(&word[0], 0);
	OK(cuCtxCreate(&ctx, NULL, 0, 0));
	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	OK(cuStreamWaitValue32(s, gate, 1, 0));
	OK(cuStreamWriteValue32(s, gate, 2, 0));
	EXPECT(CUDA_ERROR_NOT_READY, cuStreamQuery(s));
	OK(cuStreamDestroy(s)); /* returns at once */
	OK(cuCtxDestroy(ctx));
	CHECK(atomic_load(&word[0]) == 0);
}

/* ---- sections */

static CUdeviceptr numbers;
static CUstream stream;

static void begin(void)
{
	void *pinned;
	g = gpu_open();
	OK(cuMemAlloc(&numbers, N * sizeof(int)));
	OK(cuMemHostAlloc(&pinned, 4096, CU_MEMHOSTALLOC_DEVICEMAP));
	word = pinned;
	OK(cuMemHostGetDevicePointer(&gate, pinned, 0));
	progress = gate + 4;
	OK(cuStreamCreateWithPriority(&stream, CU_STREAM_NON_BLOCKING, -2));
}

static void in_streams(void)
{
	begin();
	steps(numbers, stream);
	steps(numbers, NULL);
	steps(numbers, CU_STREAM_PER_THREAD);
}

static void in_graphs(void)
{
	begin();
	graph_of_nodes(numbers, stream);
	captured(numbers, stream);
}

static void by_kernels(void)
{
	begin();
	opened_by_a_kernel(numbers);
}

static void host_memory(void)
{
	begin();
	registered(numbers);
}

static void comparisons(void)
{
	begin();
	conditions(stream);
}

static void refusals(void)
{
	begin();
	arguments(stream);
	read_only(stream);
}

static void odd_refusals(void)
{
	begin();
	odd_memory(stream);
}

static void given_up(void)
{
	begin();
	destroyed();
}

/* The process may end while a stream waits. */
static void left_waiting(void)
{
	begin();
	OK(cuMemsetD32(numbers, 0, N));
	OK(cuMemFreeHost((void *)word));
	OK(cuStreamWaitValue32(NULL, numbers, 1, CU_STREAM_WAIT_VALUE_EQ));
	EXPECT(CUDA_ERROR_NOT_READY, cuStreamQuery(NULL));
}

int main(int argc, char **argv)
{
	static const struct api_section list[] = {
	    SECTION(in_streams),  SECTION(in_graphs),   SECTION(by_kernels),
	    SECTION(host_memory), SECTION(comparisons), SECTION(refusals),
	    OURS(odd_refusals),   OURS(given_up),       OURS(left_waiting)};
	return API_RUN(argc, argv, list);
}
