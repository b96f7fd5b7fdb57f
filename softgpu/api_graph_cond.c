// SPDX-License-Identifier: Apache-2.0
/*
 * api_graph_cond.c: conditional nodes: graphs inside a graph, of which the value of a condition
 * chooses one (IF, SWITCH), or which run while it is not 0 (WHILE). Kernels set it.
 *
 * An executable graph has a snapshot of the bodies, and runs a conditional node as one command:
 * its payload runs what the bodies hold, one operation after the other. The model takes the
 * command for one kernel that did all of that; what could run side by side in a body does not.
 */
#include "api_graph.h"

#include <string.h>

struct sg_condition { /* what a CUgraphConditionalHandle is the address of */
	rein_a32 value;
	rein_a32 refs; /* the graph's, and those of executable graphs */
	bool assign;   /* every launch begins with the default */
	uint32_t value_at_launch;
	CUcontext ctx;
};

struct body {
	struct sg_op *ops; /* in an order that satisfies all dependencies */
	uint32_t n;
};

struct sg_branch {
	rein_a32 refs;
	struct sg_condition *condition;
	CUgraphConditionalNodeType type;
	unsigned n;
	struct body bodies[];
};

struct sg_defaults {
	rein_a32 refs;
	uint32_t n;
	struct sg_condition **conditions;
};

/* ---- conditions */

static struct sg_condition *condition_hold(struct sg_condition *c)
{
	rein_add_relaxed(&c->refs, 1);
	return c;
}

void sg_condition_drop(struct sg_condition *c)
{
	if (rein_add_seqcst(&c->refs, (uint32_t)-1) != 1)
		return;
	sg_handle_remove(c, SG_CONDITION);
	free(c);
}

bool sg_condition_set(uint64_t handle, uint32_t value)
{
	struct sg_condition *c = (struct sg_condition *)(uintptr_t)handle;
	if (!sg_handle_is(c, SG_CONDITION))
		return false;
	rein_store_release(&c->value, value); /* the graph that runs the kernel holds it */
	return true;
}

CUresult cuGraphConditionalHandleCreate(CUgraphConditionalHandle *pHandle_out, CUgraph hGraph,
                                        CUcontext ctx, unsigned int defaultLaunchValue,
                                        unsigned int flags)
{
	CUresult r = sg_graph_check(hGraph);
	if (r == CUDA_SUCCESS)
		r = sg_node_context(ctx, &ctx);
	if (r != CUDA_SUCCESS)
		return r;
	if (!pHandle_out || (flags & ~(unsigned)CU_GRAPH_COND_ASSIGN_DEFAULT))
		return CUDA_ERROR_INVALID_VALUE;
	struct sg_condition *c = calloc(1, sizeof(*c));
	if (!c)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*c = (struct sg_condition){.assign = flags & CU_GRAPH_COND_ASSIGN_DEFAULT,
	                           .value_at_launch = defaultLaunchValue,
	                           .ctx = ctx};
	rein_store_relaxed(&c->refs, 1);
	sg_lock();
	struct sg_condition **grown =
	    realloc(hGraph->conditions, (hGraph->n_conditions + 1) * sizeof(*grown));
	if (grown)
		hGraph->conditions = grown;
	r = grown ? sg_handle_add(c, SG_CONDITION) : CUDA_ERROR_OUT_OF_MEMORY;
	if (r == CUDA_SUCCESS)
		grown[hGraph->n_conditions++] = c;
	sg_unlock();
	if (r == CUDA_SUCCESS)
		*pHandle_out = (uintptr_t)c;
	else
		free(c);
	return r;
}

/* ---- nodes */

static bool size_fits(CUgraphConditionalNodeType type, unsigned size)
{
	switch (type) {
	case CU_GRAPH_COND_TYPE_IF:
		return size == 1 || size == 2;
	case CU_GRAPH_COND_TYPE_WHILE:
		return size == 1;
	case CU_GRAPH_COND_TYPE_SWITCH:
		return size > 0;
	default:
		return false;
	}
}

void sg_cond_op_free(struct sg_cond_op *c)
{
	for (unsigned i = 0; i < c->n; i++)
		if (c->bodies[i])
			sg_graph_free(c->bodies[i]);
	free(c->bodies);
	sg_condition_drop(c->condition);
}

static CUresult bodies_make(struct sg_cond_op *c)
{
	c->bodies = calloc(c->n, sizeof(CUgraph));
	CUresult r = c->bodies ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
	for (unsigned i = 0; i < c->n && r == CUDA_SUCCESS; i++) {
		CUgraph g = sg_graph_new();
		r = g ? sg_handle_add(g, SG_GRAPH) : CUDA_ERROR_OUT_OF_MEMORY;
		if (r == CUDA_SUCCESS) {
			g->child = true;
			c->bodies[i] = g;
		} else {
			free(g);
		}
	}
	if (r != CUDA_SUCCESS && !c->bodies)
		c->n = 0;
	return r;
}

CUresult sg_cond_add(CUgraphNode *out, CUgraph g, const CUgraphNode *deps, size_t n_deps,
                     CUDA_CONDITIONAL_NODE_PARAMS *p)
{
	struct sg_condition *condition = (struct sg_condition *)(uintptr_t)p->handle;
	struct sg_op op = {.kind = SG_OP_COND};
	CUresult r = sg_node_context(p->ctx, &op.ctx);
	if (r != CUDA_SUCCESS)
		return r;
	if (!sg_handle_is(condition, SG_CONDITION) || !size_fits(p->type, p->size) ||
	    condition->ctx != op.ctx)
		return CUDA_ERROR_INVALID_VALUE;
	op.cond = (struct sg_cond_op){condition_hold(condition), p->type, p->size, NULL};
	r = bodies_make(&op.cond);
	struct sg_cond_op made = op.cond;
	if (r == CUDA_SUCCESS)
		r = sg_node_add(out, g, deps, n_deps, &op);
	if (r == CUDA_SUCCESS) {
		p->phGraph_out = made.bodies;
	} else {
		sg_lock();
		sg_cond_op_free(&made);
		sg_unlock();
	}
	return r;
}

/* ---- what an executable graph has of them */

static CUresult body_add(struct body *b, const struct sg_op *op)
{
	struct sg_op *grown = realloc(b->ops, (b->n + 1) * sizeof(*grown));
	if (!grown)
		return CUDA_ERROR_OUT_OF_MEMORY;
	b->ops = grown;
	CUresult r = sg_op_copy(&grown[b->n], op);
	b->n += r == CUDA_SUCCESS;
	return r;
}

static CUresult body_fill(struct body *b, CUgraph g, CUcontext ctx)
{
	CUgraphNode *order;
	CUresult r = sg_graph_order(g, &order);
	if (r != CUDA_SUCCESS)
		return r;
	for (size_t i = 0; i < g->n_nodes && r == CUDA_SUCCESS; i++) {
		const struct sg_op *op = &order[i]->op;
		struct sg_op nested;
		switch (op->kind) {
		case SG_OP_KERNEL:
		case SG_OP_COPY:
		case SG_OP_SET:
			r = op->ctx == ctx ? body_add(b, op) : CUDA_ERROR_INVALID_VALUE;
			break;
		case SG_OP_EMPTY:
			break;
		case SG_OP_CHILD:
			r = body_fill(b, op->child, ctx);
			break;
		case SG_OP_COND:
			r = op->ctx == ctx ? sg_branch_op(&nested, op) : CUDA_ERROR_INVALID_VALUE;
			if (r == CUDA_SUCCESS) {
				r = body_add(b, &nested);
				sg_op_fini(&nested);
			}
			break;
		default: /* the manual's list of what a body may hold */
			r = CUDA_ERROR_NOT_SUPPORTED;
		}
	}
	free(order);
	return r;
}

void sg_branch_drop(struct sg_branch *b)
{
	if (rein_add_seqcst(&b->refs, (uint32_t)-1) != 1)
		return;
	for (unsigned i = 0; i < b->n; i++) {
		for (uint32_t j = 0; j < b->bodies[i].n; j++)
			sg_op_fini(&b->bodies[i].ops[j]);
		free(b->bodies[i].ops);
	}
	sg_condition_drop(b->condition);
	free(b);
}

void sg_branch_hold(struct sg_branch *b)
{
	rein_add_relaxed(&b->refs, 1);
}

CUresult sg_branch_op(struct sg_op *out, const struct sg_op *node)
{
	const struct sg_cond_op *c = &node->cond;
	struct sg_branch *b = calloc(1, sizeof(*b) + c->n * sizeof(b->bodies[0]));
	CUresult r = b ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
	if (r != CUDA_SUCCESS)
		return r;
	rein_store_relaxed(&b->refs, 1);
	b->condition = condition_hold(c->condition);
	b->type = c->type;
	b->n = c->n;
	for (unsigned i = 0; i < c->n && r == CUDA_SUCCESS; i++)
		r = body_fill(&b->bodies[i], c->bodies[i], node->ctx);
	if (r == CUDA_SUCCESS)
		*out = (struct sg_op){.kind = SG_OP_BRANCH, .ctx = node->ctx, .branch = b};
	else
		sg_branch_drop(b);
	return r;
}

/* For the model: a kernel as large as the largest one in the bodies. */
void sg_branch_describe(const struct sg_branch *b, struct sg_cmd *cmd)
{
	cmd->name = "conditional node";
	if (!cmd->blocks)
		cmd->blocks = cmd->block_threads = 1;
	for (unsigned i = 0; i < b->n; i++) {
		for (uint32_t j = 0; j < b->bodies[i].n; j++) {
			const struct sg_op *op = &b->bodies[i].ops[j];
			const struct sg_kernel_op *k = &op->kernel;
			if (op->kind == SG_OP_BRANCH)
				sg_branch_describe(op->branch, cmd);
			if (op->kind != SG_OP_KERNEL)
				continue;
			uint64_t blocks = (uint64_t)k->grid[0] * k->grid[1] * k->grid[2];
			uint32_t threads = k->block[0] * k->block[1] * k->block[2];
			uint32_t shared = k->f->info->static_shared_bytes + k->shared_bytes;
			uint32_t registers = k->f->info->registers;
#define LARGEST(member, value) cmd->member = (value) > cmd->member ? (value) : cmd->member
			LARGEST(blocks, blocks);
			LARGEST(block_threads, threads);
			LARGEST(block_shared_bytes, shared);
			LARGEST(thread_registers, registers);
#undef LARGEST
		}
	}
}

static CUresult run_body(const struct sg_branch *b, unsigned i, struct sg_cmd *cmd)
{
	CUresult r = CUDA_SUCCESS;
	for (uint32_t j = 0; i < b->n && j < b->bodies[i].n && r == CUDA_SUCCESS; j++)
		r = sg_op_run(&b->bodies[i].ops[j], cmd);
	return r;
}

CUresult sg_branch_run(const struct sg_branch *b, struct sg_cmd *cmd)
{
	CUresult r = CUDA_SUCCESS;
	uint32_t value = rein_load_acquire(&b->condition->value);
	switch (b->type) {
	case CU_GRAPH_COND_TYPE_IF: /* no second body: past the end, nothing runs */
		return run_body(b, value ? 0 : 1, cmd);
	case CU_GRAPH_COND_TYPE_WHILE:
		for (; value && r == CUDA_SUCCESS; value = rein_load_acquire(&b->condition->value))
			r = run_body(b, 0, cmd);
		return r;
	default:
		return run_body(b, value, cmd);
	}
}

/* ---- defaults: the first operation of a launch */

static CUresult defaults_of(CUgraph g, struct sg_defaults *d)
{
	CUresult r = CUDA_SUCCESS;
	for (size_t i = 0; i < g->n_conditions && r == CUDA_SUCCESS; i++) {
		struct sg_condition **grown;
		if (!g->conditions[i]->assign)
			continue;
		grown = realloc(d->conditions, (d->n + 1) * sizeof(struct sg_condition *));
		if (!grown)
			return CUDA_ERROR_OUT_OF_MEMORY;
		d->conditions = grown;
		grown[d->n++] = condition_hold(g->conditions[i]);
	}
	for (size_t i = 0; i < g->n_nodes && r == CUDA_SUCCESS; i++) {
		const struct sg_op *op = &g->nodes[i]->op;
		for (unsigned j = 0; op->kind == SG_OP_COND && j < op->cond.n && !r; j++)
			r = defaults_of(op->cond.bodies[j], d);
	}
	return r;
}

void sg_defaults_drop(struct sg_defaults *d)
{
	if (rein_add_seqcst(&d->refs, (uint32_t)-1) != 1)
		return;
	for (uint32_t i = 0; i < d->n; i++)
		sg_condition_drop(d->conditions[i]);
	free(d->conditions);
	free(d);
}

void sg_defaults_hold(struct sg_defaults *d)
{
	rein_add_relaxed(&d->refs, 1);
}

CUresult sg_defaults_op(struct sg_op *out, CUgraph g)
{
	struct sg_defaults *d = calloc(1, sizeof(*d));
	if (!d)
		return CUDA_ERROR_OUT_OF_MEMORY;
	rein_store_relaxed(&d->refs, 1);
	CUresult r = defaults_of(g, d);
	if (r == CUDA_SUCCESS && d->n)
		*out = (struct sg_op){.kind = SG_OP_DEFAULTS, .defaults = d};
	else
		sg_defaults_drop(d);
	if (r == CUDA_SUCCESS && out->kind != SG_OP_DEFAULTS)
		out->kind = SG_OP_EMPTY;
	return r;
}

uint32_t sg_defaults_count(const struct sg_defaults *d)
{
	return d->n;
}

void sg_defaults_assign(const struct sg_defaults *d)
{
	for (uint32_t i = 0; i < d->n; i++)
		rein_store_release(&d->conditions[i]->value, d->conditions[i]->value_at_launch);
}
