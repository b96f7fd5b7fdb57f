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
	struct sg_exec_node *nodes;
	uint32_t n;
	struct sg_event *last; /* the latest launch */
	uint64_t last_stream;
};

/* Under sg_lock(). */
CUresult sg_exec_new(CUgraph g, CUgraphExec *out);
void sg_exec_free(CUgraphExec e);
CUresult sg_exec_check(CUgraphExec e);

/* Puts *op in the place of old (which it must match in kind, an empty copy or set counting as
 * what it was) and finishes old; on failure *op is finished. */
CUresult sg_op_replace(struct sg_op *old, struct sg_op *op);

#endif
