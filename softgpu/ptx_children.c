// SPDX-License-Identifier: Apache-2.0
/*
 * ptx_children.c: kernels that kernels launch (CUDA dynamic parallelism, as of CUDA 12: the calls
 * __cudaCDP2…, whose prototypes nvcc -rdc=true writes into the PTX), and what else of the device
 * runtime programs use with them.
 *
 * A child runs when all blocks of its parent have ended, in the order of launches, and its own
 * children before the next one: the parent cannot wait for it (CUDA 12 took that away), it sees all
 * that its parent wrote, and whoever waits for the parent waits for it too. So streams and events
 * of the device runtime have nothing to order. A parent that spins for what a child does never
 * ends here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ptx_exec.h"

#define DEPTH_MAX 24 /* "maximum nesting depth" of the CUDA Programming Guide */
/* enum cudaError, of which this half knows no header */
#define ERROR_VALUE 1
#define ERROR_MEMORY 2
#define ERROR_CONFIGURATION 9
#define ERROR_DEPTH 65
#define ERROR_FUNCTION 98

struct ptx_child {
	struct ptx_child *next;
	const struct ptx_kernel *k;
	uint32_t grid[3], block[3], shared_bytes;
	uint8_t *params; /* memory of the device: the parent writes it */
};

/* ---- what the guest is told */

static void result32(struct ptx_warp *w, const struct ptx_inst *in, unsigned lane, unsigned at,
                     uint32_t error)
{
	struct ptx_job *j = w->worker->job;
	uint8_t *p = ptx_call_slot(w, in, lane, at, 4);
	if (p)
		memcpy(p, &error, 4);
	if (!error)
		return;
	pthread_mutex_lock(&j->lock);
	j->children.error = error;
	pthread_mutex_unlock(&j->lock);
}

/* An argument, or a place for a result, of `need` bytes. NULL: the job has failed. */
static uint8_t *slot(struct ptx_warp *w, const struct ptx_inst *in, unsigned lane, unsigned i,
                     uint32_t need)
{
	uint8_t *p = ptx_call_slot(w, in, lane, i, need);
	if (!p)
		ptx_fault(w, in, lane, PTX_ILLEGAL_ADDRESS, "a call's parameter is too small");
	return p;
}

/* Memory of the guest, `bytes` at a time as loads and stores take it. NULL: the job has failed. */
static uint8_t *guest(struct ptx_warp *w, const struct ptx_inst *in, unsigned lane, uint64_t addr,
                      uint32_t bytes, bool store)
{
	struct ptx_inst access = *in;
	enum ptx_space space;
	access.kind = store ? PTX_K_ST : PTX_K_LD;
	access.space = PTX_SPACE_GENERIC;
	return ptx_locate(w, &access, lane, addr, bytes, &space);
}

/* Writes a number where the guest's first argument points to. */
static bool give(struct ptx_warp *w, const struct ptx_inst *in, unsigned lane, unsigned results_at,
                 uint64_t value, uint32_t bytes)
{
	uint64_t addr;
	if (!ptx_call_argument(w, in, lane, 0, 8, &addr))
		return false;
	uint8_t *p = guest(w, in, lane, addr, bytes, true);
	if (!p)
		return false;
	ptx_copy_out(p, &value, bytes);
	result32(w, in, lane, results_at, 0);
	return true;
}

/* ---- launches */

static const struct ptx_kernel *kernel_of(const struct ptx_job *j, uint64_t pointer)
{
	const struct ptx_module *m = j->k->module;
	uint64_t place =
	    pointer - PTX_FUNC_BASE - PTX_KERNEL_NUMBER - ((uint64_t)j->k->module_id << 32);
	return place < ptx_kernel_count(m) ? ptx_kernel_at(m, (unsigned)place) : NULL;
}

/* (kernel, grid, block, shared bytes) → where its parameters are to be written; 0: an error */
static bool prepare(struct ptx_warp *w, const struct ptx_inst *in, unsigned lane)
{
	struct ptx_job *j = w->worker->job;
	uint64_t pointer, shared, address = 0;
	uint32_t error = ERROR_FUNCTION;
	const uint8_t *grid = slot(w, in, lane, 1, 12);
	const uint8_t *block = grid ? slot(w, in, lane, 2, 12) : NULL;
	uint8_t *out = block ? slot(w, in, lane, 4, 8) : NULL;
	if (!out || !ptx_call_argument(w, in, lane, 0, 8, &pointer) ||
	    !ptx_call_argument(w, in, lane, 3, 4, &shared))
		return false;
	const struct ptx_kernel *k = kernel_of(j, pointer);
	struct ptx_child *c = k ? calloc(1, sizeof(*c)) : NULL;
	if (c) {
		uint32_t bytes = k->info.param_bytes ? k->info.param_bytes : 1;
		c->k = k;
		c->shared_bytes = (uint32_t)shared;
		memcpy(c->grid, grid, 12);
		memcpy(c->block, block, 12);
		c->params = j->mem->alloc(j->mem->self, bytes, 16);
		error = c->params ? 0 : ERROR_MEMORY;
	}
	if (error) {
		free(c);
	} else {
		address = (uint64_t)(uintptr_t)c->params;
		pthread_mutex_lock(&j->lock);
		c->next = j->children.prepared;
		j->children.prepared = c;
		pthread_mutex_unlock(&j->lock);
	}
	memcpy(out, &address, 8);
	if (error) {
		pthread_mutex_lock(&j->lock);
		j->children.error = error;
		pthread_mutex_unlock(&j->lock);
	}
	return true;
}

static struct ptx_child *take(struct ptx_children *all, uint64_t address)
{
	struct ptx_child **at = &all->prepared;
	while (*at && (uint64_t)(uintptr_t)(*at)->params != address)
		at = &(*at)->next;
	struct ptx_child *c = *at;
	if (c)
		*at = c->next;
	return c;
}

/* The launch of a child in its parent's surroundings. */
static struct ptx_launch launch_of(const struct ptx_job *j, const struct ptx_child *c)
{
	struct ptx_launch l = *j->l;
	memcpy(l.grid, c->grid, sizeof(l.grid));
	memcpy(l.block, c->block, sizeof(l.block));
	memset(l.cluster, 0, sizeof(l.cluster));
	l.dynamic_shared_bytes = c->shared_bytes;
	l.params = c->params;
	l.cooperative = false;
	l.depth = j->l->depth + 1;
	return l;
}

static void child_free(const struct ptx_job *j, struct ptx_child *c)
{
	j->mem->free(j->mem->self, c->params);
	free(c);
}

/* (parameters, stream) → error */
static bool launch(struct ptx_warp *w, const struct ptx_inst *in, unsigned lane)
{
	struct ptx_job *j = w->worker->job;
	struct ptx_error why;
	uint64_t address;
	uint32_t error = 0;
	if (!ptx_call_argument(w, in, lane, 0, 8, &address))
		return false;
	pthread_mutex_lock(&j->lock);
	struct ptx_child *c = take(&j->children, address);
	pthread_mutex_unlock(&j->lock);
	if (c && c->k->info.refused)
		return ptx_fault(w, in, lane, PTX_UNSUPPORTED, "launch of kernel '%.60s': %.100s",
		                 c->k->info.name, c->k->info.refused->text);
	if (c) {
		struct ptx_launch l = launch_of(j, c);
		error = j->l->depth >= DEPTH_MAX                     ? ERROR_DEPTH
		        : ptx_check_launch(c->k, &l, &why) == PTX_OK ? 0
		                                                     : ERROR_CONFIGURATION;
	}
	if (c && !error) {
		c->next = NULL;
		pthread_mutex_lock(&j->lock);
		*(j->children.last ? j->children.last : &j->children.first) = c;
		j->children.last = &c->next;
		pthread_mutex_unlock(&j->lock);
	} else if (c) {
		child_free(j, c);
	}
	result32(w, in, lane, 2, c ? error : ERROR_VALUE);
	return true;
}

void ptx_children_run(struct ptx_job *j, struct ptx_result *res)
{
	struct ptx_children *all = &j->children;
	while (all->first) {
		struct ptx_child *c = all->first;
		struct ptx_launch l = launch_of(j, c);
		struct ptx_result r;
		all->first = c->next;
		if (j->status == PTX_OK) {
			j->status = ptx_run(c->k, &l, j->mem, &r, j->err);
			res->warp_instructions += r.warp_instructions;
			res->thread_instructions += r.thread_instructions;
			res->global_bytes += r.global_bytes;
		}
		child_free(j, c);
	}
	for (struct ptx_child *c = all->prepared, *next; c; c = next) {
		next = c->next;
		child_free(j, c);
	}
	if (all->texts)
		j->mem->free(j->mem->self, all->texts);
}

/* ---- the rest of the device runtime */

static bool last_error(struct ptx_warp *w, const struct ptx_inst *in, unsigned lane)
{
	struct ptx_job *j = w->worker->job;
	pthread_mutex_lock(&j->lock);
	uint32_t error = j->children.error;
	if (in->op == PTX_SYS_ERROR)
		j->children.error = 0;
	pthread_mutex_unlock(&j->lock);
	uint8_t *out = ptx_call_slot(w, in, lane, 0, 4);
	if (out)
		memcpy(out, &error, 4);
	return true;
}

static bool error_text(struct ptx_warp *w, const struct ptx_inst *in, unsigned lane)
{
	enum { WIDTH = 32 };
	static const struct {
		uint32_t error;
		char text[WIDTH];
	} texts[] = {
	    {0, "no error"},
	    {ERROR_VALUE, "invalid argument"},
	    {ERROR_MEMORY, "out of memory"},
	    {ERROR_CONFIGURATION, "invalid configuration argument"},
	    {ERROR_DEPTH, "launch exceeds nesting depth"},
	    {ERROR_FUNCTION, "invalid device function"},
	    {UINT32_MAX, "unrecognized error code"},
	};
	struct ptx_job *j = w->worker->job;
	uint64_t error, address = 0;
	uint8_t *out = slot(w, in, lane, 1, 8);
	if (!out || !ptx_call_argument(w, in, lane, 0, 4, &error))
		return false;
	size_t i = 0, n = sizeof(texts) / sizeof(texts[0]);
	while (i + 1 < n && texts[i].error != error)
		i++;
	pthread_mutex_lock(&j->lock);
	uint8_t *all = j->children.texts;
	if (!all) {
		all = j->children.texts = j->mem->alloc(j->mem->self, n * WIDTH, 16);
		for (size_t k = 0; all && k < n; k++)
			memcpy(all + k * WIDTH, texts[k].text, WIDTH);
	}
	pthread_mutex_unlock(&j->lock);
	if (all)
		address = (uint64_t)(uintptr_t)(all + i * WIDTH);
	memcpy(out, &address, 8);
	return true;
}

static bool release(struct ptx_warp *w, const struct ptx_inst *in, unsigned lane)
{
	const struct ptx_memory *mem = w->worker->job->mem;
	uint64_t p, lo = 0, hi;
	if (!ptx_call_argument(w, in, lane, 0, 8, &p))
		return false;
	bool ok = !p || (mem->check(mem->self, p, 1, &lo, &hi) && lo == p);
	if (p && ok) {
		memset(w->worker->ranges, 0, sizeof(w->worker->ranges));
		mem->free(mem->self, (void *)(uintptr_t)p);
	}
	result32(w, in, lane, 1, ok ? 0 : ERROR_VALUE);
	return true;
}

/* (to, from, bytes, kind, stream), (to, value, bytes, stream): done at once, byte by byte, since
 * either may be anywhere */
static bool move(struct ptx_warp *w, const struct ptx_inst *in, unsigned lane)
{
	bool copy = in->op == PTX_SYS_COPY;
	uint64_t to, from, bytes;
	if (!ptx_call_argument(w, in, lane, 0, 8, &to) ||
	    !ptx_call_argument(w, in, lane, 1, copy ? 8 : 4, &from) ||
	    !ptx_call_argument(w, in, lane, 2, 8, &bytes))
		return false;
	for (uint64_t i = 0; i < bytes; i++) {
		const uint8_t *s = copy ? guest(w, in, lane, from + i, 1, false) : NULL;
		uint8_t *d = guest(w, in, lane, to + i, 1, true), v = (uint8_t)from;
		if (!d || (copy && !s))
			return false;
		if (copy)
			ptx_copy_in(&v, s, 1);
		ptx_copy_out(d, &v, 1);
	}
	w->worker->res.global_bytes += copy ? 2 * bytes : bytes;
	result32(w, in, lane, copy ? 5 : 4, 0);
	return true;
}

/* A call that has nothing to do: its result is behind its arguments. */
static bool nothing(struct ptx_warp *w, const struct ptx_inst *in, unsigned lane)
{
	result32(w, in, lane, in->rsize, 0);
	return true;
}

bool ptx_exec_child(struct ptx_warp *w, const struct ptx_inst *in, unsigned lane)
{
	const struct ptx_memory *mem = w->worker->job->mem;
	uint64_t bytes;
	switch ((enum ptx_syscall)in->op) {
	case PTX_SYS_BUFFER:
		return prepare(w, in, lane);
	case PTX_SYS_LAUNCH:
		return launch(w, in, lane);
	case PTX_SYS_HANDLE:
		return give(w, in, lane, 2, 1, 8);
	case PTX_SYS_ERROR:
	case PTX_SYS_PEEK:
		return last_error(w, in, lane);
	case PTX_SYS_ERROR_TEXT:
		return error_text(w, in, lane);
	case PTX_SYS_DEVICE:
		return give(w, in, lane, 1, 0, 4);
	case PTX_SYS_DEVICES:
		return give(w, in, lane, 1, 1, 4);
	case PTX_SYS_DEVICE_MALLOC: {
		if (!ptx_call_argument(w, in, lane, 1, 8, &bytes))
			return false;
		void *p = bytes ? mem->alloc(mem->self, bytes, 256) : NULL;
		bool ok = give(w, in, lane, 2, (uint64_t)(uintptr_t)p, 8);
		if (ok && !p)
			result32(w, in, lane, 2, bytes ? ERROR_MEMORY : ERROR_VALUE);
		return ok;
	}
	case PTX_SYS_DEVICE_FREE:
		return release(w, in, lane);
	case PTX_SYS_COPY:
	case PTX_SYS_SET:
		return move(w, in, lane);
	default:
		return nothing(w, in, lane);
	}
}
