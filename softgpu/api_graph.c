// SPDX-License-Identifier: Apache-2.0
/*
 * api_graph.c: graphs as structures: nodes, dependencies, order, clones. What nodes hold is in
 * api_graph_node.c, running them in api_graph_exec.c.
 */
#include "api.h"

#include <string.h>

#include "api_graph.h"

CUresult sg_nodes_add(CUgraphNode **nodes, size_t *n, CUgraphNode node)
{
	for (size_t i = 0; i < *n; i++)
		if ((*nodes)[i] == node)
			return CUDA_SUCCESS;
	CUgraphNode *grown = realloc(*nodes, (*n + 1) * sizeof(*grown));
	if (!grown)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*nodes = grown;
	grown[(*n)++] = node;
	return CUDA_SUCCESS;
}

static void nodes_remove(CUgraphNode *nodes, size_t *n, CUgraphNode node)
{
	size_t kept = 0;
	for (size_t i = 0; i < *n; i++)
		if (nodes[i] != node)
			nodes[kept++] = nodes[i];
	*n = kept;
}

CUgraph sg_graph_new(void)
{
	return calloc(1, sizeof(struct CUgraph_st));
}

static void node_free(CUgraphNode node)
{
	sg_handle_remove(node, SG_NODE);
	if (node->op.kind == SG_OP_CHILD)
		sg_graph_free(node->op.child);
	else if (node->op.kind == SG_OP_COND)
		sg_cond_op_free(&node->op.cond);
	else
		sg_op_fini(&node->op);
	free(node->deps);
	free(node->view);
	free(node->hints);
	free(node);
}

void sg_graph_free(CUgraph g)
{
	sg_handle_remove(g, SG_GRAPH);
	for (size_t i = 0; i < g->n_nodes; i++)
		node_free(g->nodes[i]);
	for (size_t i = 0; i < g->n_conditions; i++)
		sg_condition_drop(g->conditions[i]);
	free(g->conditions);
	free(g->nodes);
	free(g);
}

/* The graphs of a child or conditional op are the new node's from here on, on success. */
CUresult sg_graph_add(CUgraph g, const CUgraphNode *deps, size_t n_deps, const struct sg_op *op,
                      CUgraphNode *out)
{
	CUgraphNode node = calloc(1, sizeof(*node));
	CUgraphNode *grown = realloc(g->nodes, (g->n_nodes + 1) * sizeof(*grown));
	if (grown)
		g->nodes = grown;
	CUresult r = node && grown ? sg_op_copy(&node->op, op) : CUDA_ERROR_OUT_OF_MEMORY;
	if (r != CUDA_SUCCESS) {
		free(node);
		return r;
	}
	node->graph = g;
	for (size_t i = 0; i < n_deps && r == CUDA_SUCCESS; i++)
		r = sg_nodes_add(&node->deps, &node->n_deps, deps[i]);
	if (r == CUDA_SUCCESS)
		r = sg_handle_add(node, SG_NODE);
	if (r != CUDA_SUCCESS) {
		if (op->kind == SG_OP_CHILD || op->kind == SG_OP_COND)
			node->op.kind = SG_OP_EMPTY; /* the caller still owns its graphs */
		node_free(node);
		return r;
	}
	grown[g->n_nodes++] = node;
	*out = node;
	return CUDA_SUCCESS;
}

CUresult sg_graph_order(CUgraph g, CUgraphNode **out)
{
	CUgraphNode *order = malloc((g->n_nodes + 1) * sizeof(*order));
	size_t n = 0;
	bool progress = true;
	if (!order)
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (size_t i = 0; i < g->n_nodes; i++)
		g->nodes[i]->mark = 0;
	/* nodes are nearly always added after what they depend on: one pass does it then */
	while (n < g->n_nodes && progress) {
		progress = false;
		for (size_t i = 0; i < g->n_nodes; i++) {
			CUgraphNode node = g->nodes[i];
			bool ready = !node->mark;
			for (size_t j = 0; j < node->n_deps && ready; j++)
				ready = node->deps[j]->mark != 0;
			if (ready) {
				order[n++] = node;
				node->mark = n;
				progress = true;
			}
		}
	}
	if (n < g->n_nodes) {
		free(order);
		return CUDA_ERROR_INVALID_VALUE;
	}
	*out = order;
	return CUDA_SUCCESS;
}

/* Nodes' marks are their places in g, used to find the copies of their dependencies. */
CUresult sg_graph_clone(CUgraph g, CUgraph *out)
{
	CUgraph copy = sg_graph_new();
	CUgraphNode *order = NULL;
	CUresult r = copy ? sg_graph_order(g, &order) : CUDA_ERROR_OUT_OF_MEMORY;
	for (size_t i = 0; i < g->n_nodes && r == CUDA_SUCCESS; i++) {
		struct sg_op op = order[i]->op;
		CUgraphNode node;
		if (op.kind == SG_OP_COND) { /* "The graph cannot be cloned", nor be a child */
			r = CUDA_ERROR_NOT_SUPPORTED;
			break;
		}
		if (op.kind == SG_OP_CHILD) {
			r = sg_graph_clone(order[i]->op.child, &op.child);
			if (r != CUDA_SUCCESS)
				break;
			op.child->child = true;
		}
		r = sg_graph_add(copy, NULL, 0, &op, &node);
		if (r != CUDA_SUCCESS) {
			if (op.kind == SG_OP_CHILD)
				sg_graph_free(op.child);
			break;
		}
		node->origin = order[i];
		order[i]->mark = i;
		for (size_t j = 0; j < order[i]->n_deps && r == CUDA_SUCCESS; j++)
			r = sg_nodes_add(&node->deps, &node->n_deps,
			                 copy->nodes[order[i]->deps[j]->mark]);
	}
	free(order);
	if (r != CUDA_SUCCESS && copy)
		sg_graph_free(copy);
	else
		*out = copy;
	return r;
}

/* ---- the calls */

CUresult sg_graph_check(CUgraph g)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	return sg_handle_is(g, SG_GRAPH) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult sg_node_check(CUgraphNode node)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	return sg_handle_is(node, SG_NODE) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuGraphCreate(CUgraph *phGraph, unsigned int flags)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!phGraph || flags != 0)
		return CUDA_ERROR_INVALID_VALUE;
	CUgraph g = sg_graph_new();
	r = g ? sg_handle_add(g, SG_GRAPH) : CUDA_ERROR_OUT_OF_MEMORY;
	if (r == CUDA_SUCCESS)
		*phGraph = g;
	else
		free(g);
	return r;
}

CUresult cuGraphDestroy(CUgraph hGraph)
{
	CUresult r = sg_graph_check(hGraph);
	if (r != CUDA_SUCCESS)
		return r;
	sg_lock();
	if (hGraph->capturing || hGraph->child || !sg_handle_remove(hGraph, SG_GRAPH))
		r = CUDA_ERROR_INVALID_VALUE;
	else
		sg_graph_free(hGraph);
	sg_unlock();
	return r;
}

CUresult cuGraphClone(CUgraph *phGraphClone, CUgraph originalGraph)
{
	CUresult r = sg_graph_check(originalGraph);
	if (r != CUDA_SUCCESS)
		return r;
	if (!phGraphClone)
		return CUDA_ERROR_INVALID_VALUE;
	CUgraph copy;
	sg_lock();
	r = sg_graph_clone(originalGraph, &copy);
	if (r == CUDA_SUCCESS) {
		r = sg_handle_add(copy, SG_GRAPH);
		if (r == CUDA_SUCCESS)
			*phGraphClone = copy;
		else
			sg_graph_free(copy);
	}
	sg_unlock();
	return r;
}

CUresult cuGraphNodeFindInClone(CUgraphNode *phNode, CUgraphNode hOriginalNode,
                                CUgraph hClonedGraph)
{
	CUresult r = sg_graph_check(hClonedGraph);
	if (r == CUDA_SUCCESS)
		r = sg_node_check(hOriginalNode);
	if (r != CUDA_SUCCESS)
		return r;
	if (!phNode)
		return CUDA_ERROR_INVALID_VALUE;
	r = CUDA_ERROR_INVALID_VALUE;
	sg_lock();
	for (size_t i = 0; i < hClonedGraph->n_nodes; i++) {
		if (hClonedGraph->nodes[i]->origin == hOriginalNode) {
			*phNode = hClonedGraph->nodes[i];
			r = CUDA_SUCCESS;
		}
	}
	sg_unlock();
	return r;
}

CUresult cuGraphDestroyNode(CUgraphNode hNode)
{
	CUresult r = sg_node_check(hNode);
	if (r != CUDA_SUCCESS)
		return r;
	sg_lock();
	CUgraph g = hNode->graph;
	if (g->capturing) {
		r = CUDA_ERROR_INVALID_VALUE;
	} else {
		for (size_t i = 0; i < g->n_nodes; i++)
			nodes_remove(g->nodes[i]->deps, &g->nodes[i]->n_deps, hNode);
		nodes_remove(g->nodes, &g->n_nodes, hNode);
		node_free(hNode);
	}
	sg_unlock();
	return r;
}

/* The manual's way to return a list: *n is its room and then its length; no list, only the
 * length; room beyond the list is cleared. */
struct out_list {
	size_t room, n;
};

static void list_put(CUgraphNode *list, struct out_list *l, CUgraphNode node)
{
	if (list && l->n < l->room)
		list[l->n] = node;
	l->n++;
}

static void list_end(CUgraphNode *list, struct out_list *l, size_t *n)
{
	for (size_t i = l->n; list && i < l->room; i++)
		list[i] = NULL;
	*n = list && l->n > l->room ? l->room : l->n;
}

CUresult cuGraphGetNodes(CUgraph hGraph, CUgraphNode *nodes, size_t *numNodes)
{
	CUresult r = sg_graph_check(hGraph);
	if (r != CUDA_SUCCESS)
		return r;
	if (!numNodes)
		return CUDA_ERROR_INVALID_VALUE;
	struct out_list l = {.room = *numNodes};
	sg_lock();
	for (size_t i = 0; i < hGraph->n_nodes; i++)
		list_put(nodes, &l, hGraph->nodes[i]);
	sg_unlock();
	list_end(nodes, &l, numNodes);
	return CUDA_SUCCESS;
}

CUresult cuGraphGetRootNodes(CUgraph hGraph, CUgraphNode *rootNodes, size_t *numRootNodes)
{
	CUresult r = sg_graph_check(hGraph);
	if (r != CUDA_SUCCESS)
		return r;
	if (!numRootNodes)
		return CUDA_ERROR_INVALID_VALUE;
	struct out_list l = {.room = *numRootNodes};
	sg_lock();
	for (size_t i = 0; i < hGraph->n_nodes; i++)
		if (hGraph->nodes[i]->n_deps == 0)
			list_put(rootNodes, &l, hGraph->nodes[i]);
	sg_unlock();
	list_end(rootNodes, &l, numRootNodes);
	return CUDA_SUCCESS;
}

CUresult cuGraphGetEdges(CUgraph hGraph, CUgraphNode *from, CUgraphNode *to, size_t *numEdges)
{
	CUresult r = sg_graph_check(hGraph);
	if (r != CUDA_SUCCESS)
		return r;
	if (!numEdges || !from != !to)
		return CUDA_ERROR_INVALID_VALUE;
	struct out_list f = {.room = *numEdges}, t = f;
	sg_lock();
	for (size_t i = 0; i < hGraph->n_nodes; i++) {
		for (size_t j = 0; j < hGraph->nodes[i]->n_deps; j++) {
			list_put(from, &f, hGraph->nodes[i]->deps[j]);
			list_put(to, &t, hGraph->nodes[i]);
		}
	}
	sg_unlock();
	list_end(from, &f, numEdges);
	list_end(to, &t, numEdges);
	return CUDA_SUCCESS;
}

CUresult cuGraphGetEdges_v2(CUgraph hGraph, CUgraphNode *from, CUgraphNode *to,
                            CUgraphEdgeData *edgeData, size_t *numEdges)
{
	CUresult r = cuGraphGetEdges(hGraph, from, to, numEdges);
	if (r == CUDA_SUCCESS && edgeData && from) /* all edges are plain */
		memset(edgeData, 0, *numEdges * sizeof(*edgeData));
	return r;
}

CUresult cuGraphNodeGetDependencies(CUgraphNode hNode, CUgraphNode *dependencies,
                                    size_t *numDependencies)
{
	CUresult r = sg_node_check(hNode);
	if (r != CUDA_SUCCESS)
		return r;
	if (!numDependencies)
		return CUDA_ERROR_INVALID_VALUE;
	struct out_list l = {.room = *numDependencies};
	sg_lock();
	for (size_t i = 0; i < hNode->n_deps; i++)
		list_put(dependencies, &l, hNode->deps[i]);
	sg_unlock();
	list_end(dependencies, &l, numDependencies);
	return CUDA_SUCCESS;
}

CUresult cuGraphNodeGetDependencies_v2(CUgraphNode hNode, CUgraphNode *dependencies,
                                       CUgraphEdgeData *edgeData, size_t *numDependencies)
{
	CUresult r = cuGraphNodeGetDependencies(hNode, dependencies, numDependencies);
	if (r == CUDA_SUCCESS && edgeData && dependencies)
		memset(edgeData, 0, *numDependencies * sizeof(*edgeData));
	return r;
}

CUresult cuGraphNodeGetDependentNodes(CUgraphNode hNode, CUgraphNode *dependentNodes,
                                      size_t *numDependentNodes)
{
	CUresult r = sg_node_check(hNode);
	if (r != CUDA_SUCCESS)
		return r;
	if (!numDependentNodes)
		return CUDA_ERROR_INVALID_VALUE;
	struct out_list l = {.room = *numDependentNodes};
	sg_lock();
	CUgraph g = hNode->graph;
	for (size_t i = 0; i < g->n_nodes; i++)
		for (size_t j = 0; j < g->nodes[i]->n_deps; j++)
			if (g->nodes[i]->deps[j] == hNode)
				list_put(dependentNodes, &l, g->nodes[i]);
	sg_unlock();
	list_end(dependentNodes, &l, numDependentNodes);
	return CUDA_SUCCESS;
}

CUresult cuGraphNodeGetDependentNodes_v2(CUgraphNode hNode, CUgraphNode *dependentNodes,
                                         CUgraphEdgeData *edgeData, size_t *numDependentNodes)
{
	CUresult r = cuGraphNodeGetDependentNodes(hNode, dependentNodes, numDependentNodes);
	if (r == CUDA_SUCCESS && edgeData && dependentNodes)
		memset(edgeData, 0, *numDependentNodes * sizeof(*edgeData));
	return r;
}

/* ---- edges */

static bool depends(CUgraphNode node, CUgraphNode on)
{
	for (size_t i = 0; i < node->n_deps; i++)
		if (node->deps[i] == on)
			return true;
	return false;
}

static CUresult change_edges(CUgraph g, const CUgraphNode *from, const CUgraphNode *to, size_t n,
                             bool add)
{
	CUresult r = sg_graph_check(g);
	if (r != CUDA_SUCCESS)
		return r;
	if (n && (!from || !to))
		return CUDA_ERROR_INVALID_VALUE;
	sg_lock();
	for (size_t i = 0; i < n && r == CUDA_SUCCESS; i++) {
		if (!sg_handle_is(from[i], SG_NODE) || !sg_handle_is(to[i], SG_NODE) ||
		    from[i]->graph != g || to[i]->graph != g || from[i] == to[i] ||
		    depends(to[i], from[i]) == add)
			r = CUDA_ERROR_INVALID_VALUE;
		else if (add)
			r = sg_nodes_add(&to[i]->deps, &to[i]->n_deps, from[i]);
		else
			nodes_remove(to[i]->deps, &to[i]->n_deps, from[i]);
	}
	sg_unlock();
	return r;
}

static CUresult plain_edges(const CUgraphEdgeData *e, size_t n)
{
	static const CUgraphEdgeData plain;
	CUresult r = sg_ready();
	for (size_t i = 0; e && i < n && r == CUDA_SUCCESS; i++)
		if (memcmp(&e[i], &plain, sizeof(plain)) != 0)
			r = sg_missing("graph edges with ports or types");
	return r;
}

CUresult cuGraphAddDependencies(CUgraph hGraph, const CUgraphNode *from, const CUgraphNode *to,
                                size_t numDependencies)
{
	return change_edges(hGraph, from, to, numDependencies, true);
}

CUresult cuGraphAddDependencies_v2(CUgraph hGraph, const CUgraphNode *from, const CUgraphNode *to,
                                   const CUgraphEdgeData *edgeData, size_t numDependencies)
{
	CUresult r = plain_edges(edgeData, numDependencies);
	return r == CUDA_SUCCESS ? change_edges(hGraph, from, to, numDependencies, true) : r;
}

CUresult cuGraphRemoveDependencies(CUgraph hGraph, const CUgraphNode *from, const CUgraphNode *to,
                                   size_t numDependencies)
{
	return change_edges(hGraph, from, to, numDependencies, false);
}

CUresult cuGraphRemoveDependencies_v2(CUgraph hGraph, const CUgraphNode *from,
                                      const CUgraphNode *to, const CUgraphEdgeData *edgeData,
                                      size_t numDependencies)
{
	CUresult r = plain_edges(edgeData, numDependencies);
	return r == CUDA_SUCCESS ? change_edges(hGraph, from, to, numDependencies, false) : r;
}
