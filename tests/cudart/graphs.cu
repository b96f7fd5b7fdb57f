// SPDX-License-Identifier: Apache-2.0
/* graphs.cu: graph nodes of each kind, read back, replaced, in the particular and the general form;
 * what a capture made; copies of graphs. */
#include "t.h"

#define N 256

__device__ int in_table[N], out_table[N];

static __global__ void add(int *p, int v)
{
	p[threadIdx.x] += v;
}

static __global__ void twice(int *p, int v)
{
	p[threadIdx.x] = 2 * p[threadIdx.x] + v;
}

static int *d, host[N];
static cudaStream_t stream;

static void run(cudaGraphExec_t exec)
{
	OK(cudaGraphLaunch(exec, stream));
	OK(cudaStreamSynchronize(stream));
	OK(cudaMemcpy(host, d, sizeof(host), cudaMemcpyDeviceToHost));
}

static void kernel_nodes(void)
{
	cudaGraph_t g;
	cudaGraphExec_t exec;
	cudaGraphNode_t a, b, nodes[4];
	cudaKernelNodeParams p = {}, q;
	int v = 5, w = 7;
	size_t n = 4;
	void *args[] = {&d, &v}, *other[] = {&d, &w};
	OK(cudaGraphCreate(&g, 0));
	p.func = (void *)add;
	p.gridDim = dim3(1);
	p.blockDim = dim3(N);
	p.kernelParams = args;
	OK(cudaGraphAddKernelNode(&a, g, NULL, 0, &p));
	OK(cudaGraphKernelNodeGetParams(a, &q));
	TRUE(q.func == (void *)add && q.blockDim.x == N && *(int *)q.kernelParams[1] == 5);
	p.func = (void *)twice;
	p.kernelParams = other;
	OK(cudaGraphAddKernelNode(&b, g, &a, 1, &p));
	OK(cudaGraphGetNodes(g, nodes, &n));
	TRUE(n == 2);
	n = 4;
	OK(cudaGraphGetRootNodes(g, nodes, &n));
	TRUE(n == 1 && nodes[0] == a);
	n = 4;
	cudaGraphNode_t from[4], to[4];
	OK(cudaGraphGetEdges(g, from, to, NULL, &n));
	TRUE(n == 1 && from[0] == a && to[0] == b);
	OK(cudaGraphInstantiate(&exec, g, 0));
	OK(cudaMemset(d, 0, sizeof(host)));
	run(exec);
	TRUE(host[3] == 2 * 5 + 7);
	OK(cudaGraphKernelNodeSetParams(a, &p)); /* the graph's, not the executable's */
	run(exec);
	TRUE(host[3] == 2 * (17 + 5) + 7);
	p.func = (void *)add;
	OK(cudaGraphExecKernelNodeSetParams(exec, b, &p));
	run(exec);
	TRUE(host[3] == 51 + 5 + 7);
	p.func = (void *)0x1234;
	TRUE(cudaGraphExecKernelNodeSetParams(exec, b, &p) != cudaSuccess);
	(void)cudaGetLastError();
	OK(cudaGraphExecDestroy(exec));
	OK(cudaGraphDestroy(g));
}

static void copies_and_sets(void)
{
	cudaGraph_t g;
	cudaGraphExec_t exec;
	cudaGraphNode_t set, to, from, back;
	cudaMemsetParams m = {}, m2;
	cudaMemcpy3DParms c;
	cudaGraphNodeType type;
	int source[N], *e;
	for (int i = 0; i < N; i++)
		source[i] = i * i;
	OK(cudaMalloc(&e, sizeof(source)));
	OK(cudaGraphCreate(&g, 0));
	m.dst = d;
	m.elementSize = 1;
	m.value = 0x11;
	m.width = sizeof(source);
	m.height = 1;
	OK(cudaGraphAddMemsetNode(&set, g, NULL, 0, &m));
	OK(cudaGraphMemsetNodeGetParams(set, &m2));
	TRUE(m2.dst == d && m2.value == 0x11 && m2.width == sizeof(source));
	OK(cudaGraphAddMemcpyNodeToSymbol(&to, g, &set, 1, in_table, source, 512, 512,
	                                  cudaMemcpyHostToDevice));
	OK(cudaGraphAddMemcpyNodeFromSymbol(&from, g, &to, 1, e, in_table, 512, 512,
	                                    cudaMemcpyDeviceToDevice));
	OK(cudaGraphAddMemcpyNode1D(&back, g, &from, 1, d, e, 512, cudaMemcpyDeviceToDevice));
	OK(cudaGraphNodeGetType(back, &type));
	TRUE(type == cudaGraphNodeTypeMemcpy);
	OK(cudaGraphMemcpyNodeGetParams(back, &c));
	TRUE(c.srcPtr.ptr == e && c.dstPtr.ptr == d && c.extent.width == 512 &&
	     c.extent.height == 1 && c.extent.depth == 1 && c.kind == cudaMemcpyDeviceToDevice);
	OK(cudaGraphInstantiate(&exec, g, 0));
	run(exec);
	TRUE(host[5] == 25 && host[127] == 127 * 127 && host[128] == 0x11111111);
	m.value = 0x22;
	OK(cudaGraphExecMemsetNodeSetParams(exec, set, &m));
	OK(cudaGraphExecMemcpyNodeSetParams1D(exec, back, d + 1, e, 512, cudaMemcpyDeviceToDevice));
	OK(cudaGraphExecMemcpyNodeSetParamsToSymbol(exec, to, in_table, source + 1, 512, 512,
	                                            cudaMemcpyHostToDevice));
	run(exec);
	TRUE(host[0] == 0x22222222 && host[1] == 1 && host[128] == 128 * 128 &&
	     host[129] == 0x22222222);
	IS(cudaGraphAddMemcpyNodeToSymbol(&to, g, NULL, 0, &source, source, 4, 0,
	                                  cudaMemcpyHostToDevice),
	   cudaErrorInvalidSymbol);
	(void)cudaGetLastError();
	OK(cudaGraphExecDestroy(exec));
	OK(cudaGraphDestroy(g));
	OK(cudaFree(e));
}

static void CUDART_CB count(void *arg)
{
	++*(int *)arg;
}

static void dot(cudaGraph_t g)
{
	char path[] = "/tmp/rein-graph-XXXXXX", text[4096];
	int fd = mkstemp(path);
	TRUE(fd >= 0);
	OK(cudaGraphDebugDotPrint(g, path, 0));
	ssize_t n = read(fd, text, sizeof(text) - 1);
	TRUE(n > 0 && close(fd) == 0 && unlink(path) == 0);
	text[n] = 0;
	TRUE(strncmp(text, "digraph", 7) == 0 && strstr(text, "twice") && strstr(text, "->"));
}

/* Each kind by cudaGraphAddNode. */
static void general_form(void)
{
	cudaGraph_t g, child;
	cudaGraphExec_t exec;
	cudaGraphNode_t kernel, copy, set, call, empty, nested, inner, record, wait;
	cudaGraphNodeParams p = {};
	cudaEvent_t event;
	int v = 3, calls = 0, one = 1;
	void *args[] = {&d, &v}, *by_one[] = {&d, &one};
	OK(cudaEventCreate(&event));
	OK(cudaGraphCreate(&g, 0));
	OK(cudaGraphCreate(&child, 0));
	p = cudaGraphNodeParams{};
	p.type = cudaGraphNodeTypeMemset;
	p.memset.dst = d;
	p.memset.elementSize = 4;
	p.memset.value = 1000;
	p.memset.width = N;
	p.memset.height = 1;
	OK(cudaGraphAddNode(&set, g, NULL, NULL, 0, &p));
	p = cudaGraphNodeParams{};
	p.type = cudaGraphNodeTypeKernel;
	p.kernel.func = (void *)add;
	p.kernel.gridDim = dim3(1);
	p.kernel.blockDim = dim3(N);
	p.kernel.kernelParams = args;
	OK(cudaGraphAddNode(&kernel, g, &set, NULL, 1, &p));
	p.kernel.kernelParams = by_one;
	OK(cudaGraphAddNode(&inner, child, NULL, NULL, 0, &p));
	p = cudaGraphNodeParams{};
	p.type = cudaGraphNodeTypeMemcpy;
	p.memcpy.copyParams.srcPtr = make_cudaPitchedPtr(d, 8, 8, 1);
	p.memcpy.copyParams.dstPtr = make_cudaPitchedPtr(d + 4, 8, 8, 1);
	p.memcpy.copyParams.extent = make_cudaExtent(8, 1, 1);
	p.memcpy.copyParams.kind = cudaMemcpyDefault;
	OK(cudaGraphAddNode(&copy, g, &kernel, NULL, 1, &p));
	p = cudaGraphNodeParams{};
	p.type = cudaGraphNodeTypeHost;
	p.host.fn = count;
	p.host.userData = &calls;
	OK(cudaGraphAddNode(&call, g, &copy, NULL, 1, &p));
	p = cudaGraphNodeParams{};
	p.type = cudaGraphNodeTypeGraph;
	p.graph.graph = child;
	OK(cudaGraphAddNode(&nested, g, &call, NULL, 1, &p));
	p = cudaGraphNodeParams{};
	p.type = cudaGraphNodeTypeEmpty;
	OK(cudaGraphAddNode(&empty, g, &nested, NULL, 1, &p));
	OK(cudaGraphAddEventRecordNode(&record, g, &empty, 1, event));
	OK(cudaGraphAddEventWaitNode(&wait, g, &record, 1, event));
	OK(cudaGraphInstantiateWithFlags(&exec, g, 0));
	run(exec);
	TRUE(host[9] == 1004 && calls == 1);
	OK(cudaEventQuery(event));
	OK(cudaGraphNodeSetEnabled(exec, kernel, 0));
	run(exec);
	TRUE(host[9] == 1001 && calls == 2);
	OK(cudaGraphNodeSetEnabled(exec, kernel, 1));
	p = cudaGraphNodeParams{};
	p.type = cudaGraphNodeTypeKernel;
	p.kernel.func = (void *)twice;
	p.kernel.gridDim = dim3(1);
	p.kernel.blockDim = dim3(N);
	p.kernel.kernelParams = args;
	OK(cudaGraphExecNodeSetParams(exec, kernel, &p));
	run(exec);
	TRUE(host[9] == 2004);
	OK(cudaGraphNodeSetParams(kernel, &p)); /* the graph's: seen once it is instantiated anew */
	IS(cudaGraphExecNodeSetParams(exec, copy, &p), cudaErrorInvalidValue); /* no kernel */
	(void)cudaGetLastError();
	OK(cudaGraphExecDestroy(exec));
	OK(cudaGraphInstantiate(&exec, g, 0));
	run(exec);
	TRUE(host[9] == 2004);
	dot(g);
	OK(cudaGraphExecDestroy(exec));
	OK(cudaGraphDestroy(child));
	OK(cudaGraphDestroy(g));
	OK(cudaEventDestroy(event));
}

static void captures(void)
{
	cudaGraph_t g, copy;
	cudaGraphExec_t exec;
	cudaGraphNode_t nodes[4], twin;
	cudaStreamCaptureStatus status;
	unsigned long long id = 0;
	cudaGraphInstantiateParams params = {};
	size_t n = 0;
	const cudaGraphNode_t *deps;
	OK(cudaMemset(d, 0, sizeof(host)));
	OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
	add<<<1, N, 0, stream>>>(d, 1);
	OK(cudaMemcpyAsync(d + 128, d, 4, cudaMemcpyDeviceToDevice, stream));
	OK(cudaStreamIsCapturing(stream, &status));
	TRUE(status == cudaStreamCaptureStatusActive);
	OK(cudaStreamGetCaptureInfo(stream, &status, &id, &g, &deps, NULL, &n));
	TRUE(id != 0 && n == 1);
	OK(cudaStreamEndCapture(stream, &g));
	n = 4;
	OK(cudaGraphGetNodes(g, nodes, &n));
	TRUE(n == 2);
	OK(cudaGraphClone(&copy, g));
	OK(cudaGraphNodeFindInClone(&twin, nodes[0], copy));
	TRUE(twin != nodes[0]);
	params.flags = 0;
	OK(cudaGraphInstantiateWithParams(&exec, copy, &params));
	TRUE(params.result_out == cudaGraphInstantiateSuccess);
	run(exec);
	run(exec);
	TRUE(host[5] == 2 && host[128] == 2);
	OK(cudaGraphExecDestroy(exec));
	OK(cudaGraphDestroy(copy));
	/* into a graph that is there */
	OK(cudaStreamBeginCaptureToGraph(stream, g, NULL, NULL, 0, cudaStreamCaptureModeRelaxed));
	twice<<<1, N, 0, stream>>>(d, 0);
	OK(cudaStreamEndCapture(stream, &g));
	n = 4;
	OK(cudaGraphGetNodes(g, nodes, &n));
	TRUE(n == 3);
	OK(cudaGraphDestroy(g));
}

int main(void)
{
	OK(cudaMalloc(&d, sizeof(host)));
	OK(cudaStreamCreate(&stream));
	kernel_nodes();
	copies_and_sets();
	general_form();
	captures();
	OK(cudaStreamDestroy(stream));
	OK(cudaFree(d));
	OK(cudaGetLastError());
	puts("ok");
	return 0;
}
