// SPDX-License-Identifier: Apache-2.0
/* conditions.cu: conditional nodes of graphs: IF with and without ELSE, SWITCH, WHILE, nested,
 * filled by nodes and by captures; values that launches begin with, and those that kernels set. */
#include "t.h"

static __global__ void set(cudaGraphConditionalHandle h, const int *value)
{
	cudaGraphSetConditional(h, (unsigned)*value);
}

static __global__ void add(int *at, int by)
{
	*at += by;
}

/* Counts down, and goes on while there is something left. */
static __global__ void down(int *left, cudaGraphConditionalHandle h)
{
	cudaGraphSetConditional(h, --*left > 0);
}

static cudaGraphNode_t kernel(cudaGraph_t g, cudaGraphNode_t after, void *f, void **args)
{
	cudaGraphNode_t node;
	cudaGraphNodeParams p = {cudaGraphNodeTypeKernel};
	p.kernel.func = f;
	p.kernel.gridDim = p.kernel.blockDim = dim3(1);
	p.kernel.kernelParams = args;
	OK(cudaGraphAddNode(&node, g, after ? &after : NULL, NULL, after != NULL, &p));
	return node;
}

static cudaGraph_t *condition(cudaGraph_t g, cudaGraphNode_t after, cudaGraphConditionalHandle h,
                              cudaGraphConditionalNodeType type, unsigned size,
                              cudaGraphNode_t *out)
{
	cudaGraphNode_t node;
	cudaGraphNodeType is;
	cudaGraphNodeParams p = {cudaGraphNodeTypeConditional};
	p.conditional.handle = h;
	p.conditional.type = type;
	p.conditional.size = size;
	OK(cudaGraphAddNode(&node, g, after ? &after : NULL, NULL, after != NULL, &p));
	OK(cudaGraphNodeGetType(node, &is));
	TRUE(is == cudaGraphNodeTypeConditional);
	if (out)
		*out = node;
	return p.conditional.phGraph_out;
}

static void body(cudaGraph_t g, int *at, int by)
{
	void *args[] = {&at, &by};
	kernel(g, NULL, (void *)add, args);
}

static int launch(cudaGraphExec_t e, int *memory, int value)
{
	int zero_and[2] = {value, 0}, result;
	OK(cudaMemcpy(memory, zero_and, sizeof(zero_and), cudaMemcpyHostToDevice));
	OK(cudaGraphLaunch(e, 0));
	OK(cudaDeviceSynchronize());
	OK(cudaMemcpy(&result, memory + 1, sizeof(result), cudaMemcpyDeviceToHost));
	return result;
}

/* set → node [ bodies that add 1, 10, 100 … ] → add 1000 */
static cudaGraphExec_t chooses(int *memory, cudaGraphConditionalNodeType type, unsigned size)
{
	cudaGraph_t g;
	cudaGraphExec_t e;
	cudaGraphNode_t node;
	cudaGraphConditionalHandle h;
	OK(cudaGraphCreate(&g, 0));
	OK(cudaGraphConditionalHandleCreate(&h, g));
	void *args[] = {&h, &memory};
	cudaGraphNode_t first = kernel(g, NULL, (void *)set, args);
	cudaGraph_t *bodies = condition(g, first, h, type, size, &node);
	for (unsigned i = 0, by = 1; i < size; i++, by *= 10)
		body(bodies[i], memory + 1, (int)by);
	int *at = memory + 1, by = 1000;
	void *last[] = {&at, &by};
	kernel(g, node, (void *)add, last);
	OK(cudaGraphInstantiate(&e, g, 0));
	IS(cudaGraphClone(&g, g), cudaErrorNotSupported);
	OK(cudaGraphDestroy(g)); /* what is instantiated stays */
	return e;
}

static void choices(int *memory)
{
	cudaGraphExec_t e = chooses(memory, cudaGraphCondTypeIf, 1);
	TRUE(launch(e, memory, 0) == 1000 && launch(e, memory, 7) == 1001);
	OK(cudaGraphExecDestroy(e));
	e = chooses(memory, cudaGraphCondTypeIf, 2);
	TRUE(launch(e, memory, 0) == 1010 && launch(e, memory, 7) == 1001);
	OK(cudaGraphExecDestroy(e));
	e = chooses(memory, cudaGraphCondTypeSwitch, 3);
	TRUE(launch(e, memory, 0) == 1001 && launch(e, memory, 2) == 1100);
	TRUE(launch(e, memory, 3) == 1000);
	OK(cudaGraphExecDestroy(e));
}

/* WHILE [ IF (always) [ add 5 ] → copy → down ], by captures; every launch begins with 1. */
static void loop(int *memory)
{
	cudaGraph_t g;
	cudaGraphExec_t e;
	cudaStream_t s;
	cudaGraphNode_t node;
	cudaGraphConditionalHandle again, always;
	const cudaGraphNode_t *deps;
	size_t n_deps;
	cudaStreamCaptureStatus status;
	OK(cudaStreamCreate(&s));
	OK(cudaStreamBeginCapture(s, cudaStreamCaptureModeGlobal));
	OK(cudaMemsetAsync(memory + 2, 0, 4, s));
	OK(cudaStreamGetCaptureInfo(s, &status, NULL, &g, &deps, NULL, &n_deps));
	TRUE(status == cudaStreamCaptureStatusActive && n_deps == 1);
	OK(cudaGraphConditionalHandleCreate(&again, g, 1, cudaGraphCondAssignDefault));
	cudaGraph_t *bodies = condition(g, deps[0], again, cudaGraphCondTypeWhile, 1, &node);
	OK(cudaStreamUpdateCaptureDependencies(s, &node, NULL, 1,
	                                       cudaStreamSetCaptureDependencies));
	add<<<1, 1, 0, s>>>(memory + 1, 100);
	OK(cudaStreamEndCapture(s, &g));

	OK(cudaGraphConditionalHandleCreate(&always, bodies[0], 1, cudaGraphCondAssignDefault));
	body(*condition(bodies[0], NULL, always, cudaGraphCondTypeIf, 1, &node), memory + 1, 5);
	OK(cudaStreamBeginCaptureToGraph(s, bodies[0], &node, NULL, 1,
	                                 cudaStreamCaptureModeGlobal));
	OK(cudaMemcpyAsync(memory + 2, memory + 1, 4, cudaMemcpyDeviceToDevice, s));
	down<<<1, 1, 0, s>>>(memory, again);
	OK(cudaStreamEndCapture(s, NULL));
	OK(cudaGraphInstantiate(&e, g, 0));

	int copied;
	TRUE(launch(e, memory, 10) == 150 && launch(e, memory, 1) == 105);
	OK(cudaMemcpy(&copied, memory + 2, 4, cudaMemcpyDeviceToHost));
	TRUE(copied == 5);
	OK(cudaGraphExecDestroy(e));
	OK(cudaGraphDestroy(g));
	OK(cudaStreamDestroy(s));
}

/* What the manual does not allow. */
static void refused(int *memory)
{
	cudaGraph_t g;
	cudaGraphExec_t e;
	cudaGraphNode_t node;
	cudaGraphConditionalHandle h;
	OK(cudaGraphCreate(&g, 0));
	OK(cudaGraphConditionalHandleCreate(&h, g));
	cudaGraphNodeParams p = {cudaGraphNodeTypeConditional};
	p.conditional.handle = h;
	p.conditional.type = cudaGraphCondTypeWhile;
	p.conditional.size = 2;
	IS(cudaGraphAddNode(&node, g, NULL, NULL, 0, &p), cudaErrorInvalidValue);
	p.conditional.size = 1;
	p.conditional.handle = 12345;
	IS(cudaGraphAddNode(&node, g, NULL, NULL, 0, &p), cudaErrorInvalidValue);
	cudaGraph_t *bodies = condition(g, NULL, h, cudaGraphCondTypeIf, 1, NULL);
	cudaHostNodeParams host = {[](void *) {}, NULL};
	OK(cudaGraphAddHostNode(&node, bodies[0], NULL, 0, &host));
	IS(cudaGraphInstantiate(&e, g, 0), cudaErrorNotSupported);
	OK(cudaGraphDestroyNode(node));
	IS(cudaGraphDestroy(bodies[0]), cudaErrorInvalidValue); /* the node's */
	body(bodies[0], memory, 1);
	OK(cudaGraphInstantiate(&e, g, 0));
	OK(cudaGraphExecDestroy(e));
	OK(cudaGraphDestroy(g));
	set<<<1, 1>>>(h, memory); /* gone with its graph */
	IS(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
}

int main(void)
{
	int *memory;
	OK(cudaMalloc(&memory, 64));
	choices(memory);
	loop(memory);
	refused(memory);
	puts("ok");
	return 0;
}
