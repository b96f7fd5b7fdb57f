// SPDX-License-Identifier: Apache-2.0
/*
 * api_op.c: one piece of work, from its description to the engine: eager, captured and graph work
 * are the same struct sg_op.
 *
 * Destructors run on the engine's threads: nothing here takes sg_lock() in one.
 */
#include "api.h"

#include <string.h>

#include "trace.h"

struct op_cmd {
	struct sg_cmd cmd;
	struct sg_op op;
	unsigned memop_at; /* those before it are done */
	uint32_t deps[];
};

CUresult sg_op_copy(struct sg_op *dst, const struct sg_op *src)
{
	*dst = *src;
	if (src->kind == SG_OP_KERNEL) {
		size_t n = src->kernel.f->info->param_bytes;
		dst->kernel.params = malloc(n ? n : 1);
		if (!dst->kernel.params)
			return CUDA_ERROR_OUT_OF_MEMORY;
		if (n)
			memcpy(dst->kernel.params, src->kernel.params, n);
		sg_module_hold(src->kernel.f->module);
	} else if (src->kind == SG_OP_RECORD || src->kind == SG_OP_WAIT) {
		rein_add_relaxed(&src->event->refs, 1);
	} else if (src->kind == SG_OP_COPY) {
		dst->copy.staged = NULL;
	} else if (src->kind == SG_OP_MEMOP) {
		size_t bytes = src->memop.n * sizeof(*src->memop.ops);
		dst->memop.ops = malloc(bytes);
		if (!dst->memop.ops)
			return CUDA_ERROR_OUT_OF_MEMORY;
		memcpy(dst->memop.ops, src->memop.ops, bytes);
	} else if (src->kind == SG_OP_ALLOC || src->kind == SG_OP_FREE) {
		sg_graph_memory_hold(src->memory);
	} else if (src->kind == SG_OP_BRANCH) {
		sg_branch_hold(src->branch);
	} else if (src->kind == SG_OP_DEFAULTS) {
		sg_defaults_hold(src->defaults);
	}
	return CUDA_SUCCESS;
}

void sg_op_fini(struct sg_op *op)
{
	if (op->kind == SG_OP_KERNEL) {
		free(op->kernel.params);
		sg_module_drop(op->kernel.f->module);
	} else if (op->kind == SG_OP_RECORD || op->kind == SG_OP_WAIT) {
		sg_event_drop(op->event);
	} else if (op->kind == SG_OP_COPY) {
		free(op->copy.staged);
	} else if (op->kind == SG_OP_MEMOP) {
		free(op->memop.ops);
	} else if (op->kind == SG_OP_ALLOC || op->kind == SG_OP_FREE) {
		sg_graph_memory_drop(op->memory);
	} else if (op->kind == SG_OP_BRANCH) {
		sg_branch_drop(op->branch);
	} else if (op->kind == SG_OP_DEFAULTS) {
		sg_defaults_drop(op->defaults);
	}
	op->kind = SG_OP_EMPTY;
}

/* ---- payloads */

/* In wall-clock mode the interpreter must leave the other core to the programs and the daemon
 * whose timing is the point; elsewhere it may use the machine. */
static uint32_t workers(void)
{
	return sg_the_model()->mode == SG_MODE_WALL ? 1 : 0;
}

static CUresult run_kernel(const struct sg_kernel_op *k, struct sg_cmd *cmd)
{
	size_t stack = k->f->module->ctx->limits[CU_LIMIT_STACK_SIZE];
	uint16_t on[SG_SMS_MAX];
	struct ptx_launch launch = {
	    .grid = {k->grid[0], k->grid[1], k->grid[2]},
	    .block = {k->block[0], k->block[1], k->block[2]},
	    .cluster = {k->cluster[0], k->cluster[1], k->cluster[2]},
	    .dynamic_shared_bytes = k->shared_bytes,
	    .params = k->params,
	    .n_sms = sg_the_model()->sms,
	    .max_workers = workers(),
	    .cooperative = k->cooperative,
	    .stack_bytes = stack > PTX_STACK_BYTES ? (uint32_t)stack : 0,
	    .pause = sg_cmd_pause(cmd),
	};
	const struct sg_sm_set *sms = sg_cmd_sms(cmd);
	for (uint16_t i = 0; sms && i < SG_SMS_MAX; i++)
		if (sg_sm_has(sms, i))
			on[launch.n_on++] = i;
	launch.on = sms ? on : NULL;
	struct ptx_result result = {0};
	struct ptx_error err = {0};
	enum ptx_status status =
	    ptx_run(k->f->kernel, &launch, &k->f->module->ctx->memory, &result, &err);
	cmd->instructions += result.warp_instructions;
	cmd->global_bytes += result.global_bytes;
	if (status != PTX_OK)
		snprintf(cmd->error_text, sizeof(cmd->error_text), "%s: %s", k->f->info->name,
		         err.text);
	return sg_ptx_result(status);
}

CUresult sg_op_run(const struct sg_op *op, struct sg_cmd *cmd)
{
	switch (op->kind) {
	case SG_OP_KERNEL:
		return run_kernel(&op->kernel, cmd);
	case SG_OP_COPY:
		return sg_copy_run(&op->copy, cmd->error_text, sizeof(cmd->error_text));
	case SG_OP_SET:
		return sg_set_run(&op->set, cmd->error_text, sizeof(cmd->error_text));
	case SG_OP_BRANCH:
		return sg_branch_run(op->branch, cmd);
	case SG_OP_HOST:
		if (op->host.callback)
			op->host.callback(op->host.stream, sg_domain_error(op->ctx->domain),
			                  op->host.data);
		else
			op->host.fn(op->host.data);
		return CUDA_SUCCESS;
	default:
		return CUDA_SUCCESS;
	}
}

static CUresult run(struct sg_cmd *cmd)
{
	return sg_op_run(&((struct op_cmd *)cmd)->op, cmd);
}

static CUresult step(struct sg_cmd *cmd)
{
	struct op_cmd *c = (struct op_cmd *)cmd;
	if (c->op.kind == SG_OP_DEFAULTS) {
		sg_defaults_assign(c->op.defaults);
		return CUDA_SUCCESS;
	}
	return sg_memop_step(&c->op.memop, &c->memop_at, cmd->error_text, sizeof(cmd->error_text));
}

static void destroy(struct sg_cmd *cmd)
{
	struct op_cmd *c = (struct op_cmd *)cmd;
	sg_op_fini(&c->op);
	free(cmd->trace);
	free(c);
}

/* ---- commands */

static void describe_kernel(struct sg_cmd *cmd, const struct sg_kernel_op *k)
{
	const struct ptx_kernel_info *info = k->f->info;
	cmd->kind = SG_CMD_KERNEL;
	cmd->name = info->name; /* lives in the module, which the op holds */
	cmd->blocks = (uint64_t)k->grid[0] * k->grid[1] * k->grid[2];
	cmd->block_threads = k->block[0] * k->block[1] * k->block[2];
	cmd->block_shared_bytes = info->static_shared_bytes + k->shared_bytes;
	cmd->thread_registers = info->registers;
	cmd->cooperative = k->cooperative;
}

struct sg_cmd *sg_op_command(const struct sg_op *op, const uint32_t *deps, uint32_t n_deps)
{
	struct op_cmd *c = calloc(1, sizeof(*c) + n_deps * sizeof(*deps));
	if (!c)
		return NULL;
	if (sg_op_copy(&c->op, op) != CUDA_SUCCESS) {
		free(c);
		return NULL;
	}
	c->cmd.destroy = destroy;
	c->cmd.run = run;
	if (REIN_UNLIKELY(rein_load_relaxed(&sg_traced)))
		c->cmd.trace = sg_trace_new(&c->op);
	if (op->green) /* green contexts' objects stay */
		c->cmd.sms = &op->green->sms;
	if (n_deps) {
		memcpy(c->deps, deps, n_deps * sizeof(*deps));
		c->cmd.deps = c->deps;
		c->cmd.n_deps = n_deps;
	}
	switch (op->kind) {
	case SG_OP_KERNEL:
		describe_kernel(&c->cmd, &op->kernel);
		break;
	case SG_OP_COPY:
		c->cmd.kind = SG_CMD_COPY;
		c->cmd.dir = op->copy.dir;
		c->cmd.bytes = op->copy.width * op->copy.height * op->copy.depth;
		break;
	case SG_OP_SET:
		c->cmd.kind = SG_CMD_SET;
		c->cmd.bytes = (uint64_t)op->set.width * op->set.height * op->set.element;
		break;
	case SG_OP_HOST:
		c->cmd.kind = SG_CMD_HOST;
		c->cmd.always_run = op->host.callback != NULL; /* it is told of errors */
		break;
	case SG_OP_MEMOP:
		c->cmd.kind = SG_CMD_MEMOP;
		c->cmd.run = NULL;
		c->cmd.step = step;
		c->cmd.memops = op->memop.n;
		break;
	case SG_OP_DEFAULTS:
		c->cmd.kind = SG_CMD_MEMOP;
		c->cmd.run = NULL;
		c->cmd.step = step;
		c->cmd.memops = sg_defaults_count(op->defaults);
		break;
	case SG_OP_BRANCH:
		c->cmd.kind = SG_CMD_KERNEL;
		sg_branch_describe(op->branch, &c->cmd);
		break;
	default:
		c->cmd.kind = SG_CMD_MARK;
		c->cmd.run = NULL;
	}
	return &c->cmd;
}

CUresult sg_issue(CUstream s, const struct sg_op *op, bool wait)
{
	sg_lock();
	CUresult r = sg_capture_op(s, op);
	sg_unlock();
	if (r != CUDA_SUCCESS)
		return r == CUDA_ERROR_NOT_READY ? CUDA_SUCCESS : r;
	struct op_cmd *c = (struct op_cmd *)sg_op_command(op, NULL, 0);
	if (!c)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (op->kind == SG_OP_COPY && !wait) {
		wait = sg_copy_waits(&op->copy);
		if (!wait && sg_copy_stage(&c->op.copy) != CUDA_SUCCESS)
			wait = true; /* no room to stage: then the source must stay until done */
	}
	if (c->cmd.trace)
		c->cmd.trace->async = !wait;
	return wait ? sg_submit_wait(s->engine, &c->cmd) : sg_submit(s->engine, &c->cmd);
}
