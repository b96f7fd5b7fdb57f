// SPDX-License-Identifier: Apache-2.0
/*
 * graph.c: an enemy whose unit is one graph of `batch` small kernels: one launch call, and the gate
 * at it is all that a host can do about it. The nodes are four chains, which meet every so many
 * layers: within a chain each node has its own map, so that the result tells their order.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "../lib/affine.h"
#include "../lib/arrivals.h"
#include "enemy.h"

#define CHAINS 4u
#define MEET 64u /* layers between two meetings */
#define THREADS 128u

static struct {
	CUdeviceptr data;
	CUgraph graph;
	CUgraphExec exec;
} g;

static struct wl_affine map_of(uint32_t node)
{
	struct wl_affine f = WL_AFFINE_STEP;
	f.add += node;
	return f;
}

static CUgraphNode add_node(const struct enemy *e, uint32_t node, const CUgraphNode *after,
                            size_t n_after)
{
	CUgraphNode made;
	struct wl_affine f = map_of(node);
	uint32_t n = e->elements / CHAINS, iterations = e->iterations;
	CUdeviceptr at = g.data + (CUdeviceptr)(node % CHAINS) * n * sizeof(uint32_t);
	void *args[] = {&at, &n, &f.mul, &f.add, &iterations};
	CUDA_KERNEL_NODE_PARAMS params = {
	    .func = wl_gpu_function(&e->gpu, "enemy_node"),
	    .gridDimX = (n + THREADS - 1) / THREADS,
	    .gridDimY = 1,
	    .gridDimZ = 1,
	    .blockDimX = THREADS,
	    .blockDimY = 1,
	    .blockDimZ = 1,
	    .kernelParams = args,
	};
	WL_CU(cuGraphAddKernelNode, &made, g.graph, after, n_after, &params);
	return made;
}

static void graph_open(struct enemy *e)
{
	CUgraphNode last[CHAINS], next[CHAINS];
	if (!e->elements)
		e->elements = CHAINS * 1024;
	enemy_need_multiple(e, CHAINS);
	WL_CU(cuStreamCreate, &e->stream, CU_STREAM_NON_BLOCKING);
	g.data = enemy_data(e, e->elements);
	WL_CU(cuGraphCreate, &g.graph, 0);
	for (uint32_t node = 0; node < e->batch; node++) {
		uint32_t layer = node / CHAINS, chain = node % CHAINS;
		if (layer == 0)
			next[chain] = add_node(e, node, NULL, 0);
		else if (layer % MEET == 0)
			next[chain] = add_node(e, node, last, CHAINS);
		else
			next[chain] = add_node(e, node, &last[chain], 1);
		for (uint32_t c = 0; chain == CHAINS - 1 && c < CHAINS; c++)
			last[c] = next[c];
	}
	WL_CU(cuGraphInstantiateWithFlags, &g.exec, g.graph, 0);
	e->words = e->elements;
}

static void graph_submit(struct enemy *e, uint64_t unit)
{
	WL_CU(cuGraphLaunch, g.exec, e->stream);
}

static void graph_collect(struct enemy *e)
{
	enemy_download(e, g.data, e->result, e->words);
}

static void graph_expect(const struct enemy *e, uint64_t units, uint32_t *want)
{
	uint64_t seed = e->seed;
	uint32_t n = e->elements / CHAINS;
	for (uint32_t chain = 0; chain < CHAINS; chain++) {
		struct wl_affine f = {.mul = 1, .add = 0};
		for (uint32_t node = chain; node < e->batch; node += CHAINS)
			f = wl_affine_then(f, wl_affine_power(map_of(node), e->iterations));
		f = wl_affine_power(f, units);
		for (uint32_t i = 0; i < n; i++)
			want[chain * n + i] = wl_affine_apply(f, (uint32_t)wl_random(&seed));
	}
}

static void graph_close(struct enemy *e)
{
	WL_CU(cuGraphExecDestroy, g.exec);
	WL_CU(cuGraphDestroy, g.graph);
	WL_CU(cuMemFree, g.data);
	WL_CU(cuStreamDestroy, e->stream);
}

const struct enemy_kind enemy_graph = {
    .name = "graph",
    .summary = "a graph of 5000 kernels, launched again and again",
    .iterations = 64,
    .batch = 5000,
    .depth = 2,
    .open = graph_open,
    .submit = graph_submit,
    .collect = graph_collect,
    .expect = graph_expect,
    .close = graph_close,
};
