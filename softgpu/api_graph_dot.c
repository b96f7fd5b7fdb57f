// SPDX-License-Identifier: Apache-2.0
/* api_graph_dot.c: cuGraphDebugDotPrint: a graph as a picture in Graphviz' language. */
#include "api.h"

#include "api_graph.h"

static const char *const kinds[] = {
    [CU_GRAPH_NODE_TYPE_KERNEL] = "kernel",
    [CU_GRAPH_NODE_TYPE_MEMCPY] = "copy",
    [CU_GRAPH_NODE_TYPE_MEMSET] = "set",
    [CU_GRAPH_NODE_TYPE_HOST] = "host function",
    [CU_GRAPH_NODE_TYPE_GRAPH] = "graph",
    [CU_GRAPH_NODE_TYPE_EMPTY] = "empty",
    [CU_GRAPH_NODE_TYPE_WAIT_EVENT] = "wait for event",
    [CU_GRAPH_NODE_TYPE_EVENT_RECORD] = "record event",
    [CU_GRAPH_NODE_TYPE_BATCH_MEM_OP] = "memory operations",
    [CU_GRAPH_NODE_TYPE_MEM_ALLOC] = "allocation",
    [CU_GRAPH_NODE_TYPE_MEM_FREE] = "free",
    [CU_GRAPH_NODE_TYPE_CONDITIONAL] = "condition",
};

static void print_node(FILE *f, CUgraphNode node)
{
	CUgraphNodeType type = CU_GRAPH_NODE_TYPE_EMPTY;
	CUDA_KERNEL_NODE_PARAMS k;
	const char *name = NULL;
	(void)cuGraphNodeGetType(node, &type);
	const char *kind = (size_t)type < REIN_ARRAY_LEN(kinds) ? kinds[type] : NULL;
	if (type == CU_GRAPH_NODE_TYPE_KERNEL &&
	    cuGraphKernelNodeGetParams_v2(node, &k) == CUDA_SUCCESS && k.func)
		(void)cuFuncGetName(&name, k.func);
	fprintf(f, "\t\"%p\" [label=\"%s%s%s\"];\n", (void *)node, kind ? kind : "other",
	        name ? "\\n" : "", name ? name : "");
}

static void print_edges(FILE *f, CUgraph g)
{
	size_t n = 0;
	if (cuGraphGetEdges(g, NULL, NULL, &n) != CUDA_SUCCESS || !n)
		return;
	REIN_AUTO_FREE CUgraphNode *from = calloc(n, sizeof(CUgraphNode));
	REIN_AUTO_FREE CUgraphNode *to = calloc(n, sizeof(CUgraphNode));
	if (!from || !to || cuGraphGetEdges(g, from, to, &n) != CUDA_SUCCESS)
		return;
	for (size_t i = 0; i < n; i++)
		fprintf(f, "\t\"%p\" -> \"%p\";\n", (void *)from[i], (void *)to[i]);
}

/* The flags ask for more about each node; the kernels' names are all there is. */
CUresult cuGraphDebugDotPrint(CUgraph hGraph, const char *path, unsigned int flags)
{
	size_t n = 0;
	CUresult r = sg_graph_check(hGraph);
	(void)flags;
	if (r == CUDA_SUCCESS)
		r = path ? cuGraphGetNodes(hGraph, NULL, &n) : CUDA_ERROR_INVALID_VALUE;
	if (r != CUDA_SUCCESS)
		return r;
	REIN_AUTO_FREE CUgraphNode *nodes = calloc(n ? n : 1, sizeof(CUgraphNode));
	if (!nodes)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (n)
		r = cuGraphGetNodes(hGraph, nodes, &n);
	FILE *f = r == CUDA_SUCCESS ? fopen(path, "we") : NULL;
	if (!f)
		return r == CUDA_SUCCESS ? CUDA_ERROR_OPERATING_SYSTEM : r;
	fprintf(f, "digraph graph_%p {\n", (void *)hGraph);
	for (size_t i = 0; i < n; i++)
		print_node(f, nodes[i]);
	print_edges(f, hGraph);
	fprintf(f, "}\n");
	return fclose(f) == 0 ? CUDA_SUCCESS : CUDA_ERROR_OPERATING_SYSTEM;
}
