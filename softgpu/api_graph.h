// SPDX-License-Identifier: Apache-2.0
/* api_graph.h: what the three graph files share beyond api.h. */
#ifndef SOFTGPU_API_GRAPH_H
#define SOFTGPU_API_GRAPH_H

#include "api.h"

/* NOT_INITIALIZED, or INVALID_VALUE if it is none (as the manual has it for graphs). */
CUresult sg_graph_check(CUgraph g);
CUresult sg_node_check(CUgraphNode node);

/* An op from the parameters of a node; on success the caller gives it back by sg_op_fini(). ctx
 * NULL: the current context. */
CUresult sg_node_op_kernel(struct sg_op *op, const CUDA_KERNEL_NODE_PARAMS *p);
CUresult sg_node_op_copy(struct sg_op *op, const CUDA_MEMCPY3D *p, CUcontext ctx);
CUresult sg_node_op_set(struct sg_op *op, const CUDA_MEMSET_NODE_PARAMS *p, CUcontext ctx);
CUresult sg_node_op_host(struct sg_op *op, const CUDA_HOST_NODE_PARAMS *p);
CUresult sg_node_op_event(struct sg_op *op, enum sg_op_kind kind, CUevent e);
CUresult sg_node_op_memop(struct sg_op *op, const CUDA_BATCH_MEM_OP_NODE_PARAMS *p);
CUDA_KERNEL_NODE_PARAMS sg_kernel_params_of_v1(const CUDA_KERNEL_NODE_PARAMS_v1 *p);

struct sg_exec_node {
	struct sg_op op;
	uint32_t *deps; /* by place in the list */
	uint32_t n_deps;
	CUgraphNode origin; /* of the graph; compared, never followed */
	bool disabled;
};

struct CUgraphExec_st {
	unsigned long long flags;
	uint32_t id; /* for profilers */
	struct sg_exec_node *nodes;
	uint32_t n;
	struct sg_event *last; /* the latest launch */
	uint64_t last_stream;
};

/* Under sg_lock(). */
CUresult sg_exec_new(CUgraph g, CUgraphExec *out);
void sg_exec_free(CUgraphExec e);
CUresult sg_exec_check(CUgraphExec e);

/* Conditional nodes: api_graph_cond.c. A node from the general form's parameters, which get the
 * bodies; the op of an executable graph for a node (under sg_lock()); the op that begins a launch,
 * SG_OP_EMPTY if there is nothing to assign. */
CUresult sg_cond_add(CUgraphNode *out, CUgraph g, const CUgraphNode *deps, size_t n_deps,
                     CUDA_CONDITIONAL_NODE_PARAMS *p);
CUresult sg_branch_op(struct sg_op *out, const struct sg_op *node);
CUresult sg_defaults_op(struct sg_op *out, CUgraph g);

/* What a launch of e in the stream allocates and frees; INVALID_VALUE: it may not, as the manual
 * has it. */
CUresult sg_graph_memory_launch(CUgraphExec e, uint64_t stream);

/* The three things that are done with a valid op and that finish it. */
CUresult sg_node_add(CUgraphNode *out, CUgraph g, const CUgraphNode *deps, size_t n_deps,
                     struct sg_op *op);
CUresult sg_node_replace(CUgraphNode node, struct sg_op *op);
CUresult sg_exec_replace(CUgraphExec e, CUgraphNode node, struct sg_op *op);
/* A node of the given type, and somewhere to put what is asked of it, or INVALID_VALUE. */
CUresult sg_node_of(CUgraphNode node, enum sg_op_kind kind, const void *out);
/* Same number and types of operations: what an executable graph's node must keep. */
bool sg_memop_same_shape(const struct sg_memop_op *a, const struct sg_memop_op *b);
/* The current context if none is named. */
CUresult sg_node_context(CUcontext named, CUcontext *out);

/* Puts *op in the place of old (which it must match in kind, an empty copy or set counting as
 * what it was) and finishes old; on failure *op is finished. */
CUresult sg_op_replace(struct sg_op *old, struct sg_op *op);

#endif
