/* SPDX-License-Identifier: Apache-2.0 */
/* work.h: what changes cells: kernels, copies, sets, host functions. */
#ifndef RANDOM_WORK_H
#define RANDOM_WORK_H

#include "order.h"

/* The same call as a program compiled for per-thread default streams makes it. */
CUresult cuLaunchKernel_ptsz(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                             unsigned by, unsigned bz, unsigned shared, CUstream s, void **params,
                             void **extra);
CUresult cuMemcpyHtoDAsync_v2_ptsz(CUdeviceptr dst, const void *src, size_t n, CUstream s);
CUresult cuMemsetD32Async_ptsz(CUdeviceptr p, unsigned v, size_t n, CUstream s);

struct step { /* x = x * a + b for some of a cell */
	CUfunction f;
	CUdeviceptr p;
	uint32_t a, b, n;
	void *params[4];
};

static inline void step_set(struct step *k, CUfunction f, const struct cell *c, struct world *w)
{
	k->f = f;
	k->p = c->dev;
	k->a = 3 + 2 * pick(w, 50);
	k->b = 1 + pick(w, 1000);
	k->n = chance(w, 70) ? CELL : 1 + pick(w, CELL);
	k->params[0] = &k->p;
	k->params[1] = &k->n;
	k->params[2] = &k->a;
	k->params[3] = &k->b;
}

static inline CUresult launch_step(struct world *w, struct step *k, struct stream *s,
                                   const char *name, unsigned cell)
{
	CUstream h = s->handle;
	unsigned block = CELL / BLOCKS;
	if (s->kind == PER_THREAD && chance(w, 50))
		return CALL(
		    w,
		    cuLaunchKernel_ptsz(k->f, BLOCKS, 1, 1, block, 1, 1, 0, NULL, k->params, NULL),
		    "cuLaunchKernel_ptsz %s c%u %s *%u+%u", name, cell, s->name, k->a, k->b);
	unsigned how = pick(w, 10);
	if (how == 0)
		return CALL(
		    w, cuLaunchCooperativeKernel(k->f, BLOCKS, 1, 1, block, 1, 1, 0, h, k->params),
		    "cuLaunchCooperativeKernel %s c%u %s *%u+%u", name, cell, s->name, k->a, k->b);
	if (how < 3) {
		CUlaunchConfig config = {.gridDimX = BLOCKS,
		                         .gridDimY = 1,
		                         .gridDimZ = 1,
		                         .blockDimX = block,
		                         .blockDimY = 1,
		                         .blockDimZ = 1,
		                         .hStream = h};
		return CALL(w, cuLaunchKernelEx(&config, k->f, k->params, NULL),
		            "cuLaunchKernelEx %s c%u %s *%u+%u", name, cell, s->name, k->a, k->b);
	}
	return CALL(w, cuLaunchKernel(k->f, BLOCKS, 1, 1, block, 1, 1, 0, h, k->params, NULL),
	            "cuLaunchKernel %s c%u %s *%u+%u", name, cell, s->name, k->a, k->b);
}

static inline void do_step_on(struct world *w, struct stream *s, struct cell *c)
{
	struct step k;
	char name[8];
	unsigned which = pick(w, KERNELS);
	order_cell(w, s, c);
	enter(w, s->ctx);
	step_set(&k, w->step[s->ctx][which], c, w);
	snprintf(name, sizeof(name), "k%u", which);
	if (launch_step(w, &k, s, name, cell_no(w, c)) == CUDA_SUCCESS) {
		commit(w, s);
		touched(c, s);
	}
}

static inline void do_step(struct world *w)
{
	int ctx = w->cur;
	struct cell *c = pick_cell(w, true, ctx, NULL);
	if (c)
		do_step_on(w, pick_stream(w, ctx), c);
}

static inline void do_burst(struct world *w)
{
	struct stream *s = pick_stream(w, w->cur);
	int ctx = w->cur;
	for (unsigned n = 3 + pick(w, 8); n; n--) {
		struct cell *c = pick_cell(w, true, ctx, NULL);
		if (c)
			do_step_on(w, s, c);
	}
}

/* dst = dst * a + src, of two cells */
static inline void do_mix(struct world *w)
{
	struct stream *s = pick_stream(w, w->cur);
	struct cell *dst = pick_cell(w, true, s->ctx, NULL), *src = pick_cell(w, true, s->ctx, dst);
	uint32_t n = CELL, a = 3 + 2 * pick(w, 50);
	if (!dst || !src)
		return;
	order_cell(w, s, dst);
	order_cell(w, s, src);
	enter(w, s->ctx);
	void *params[] = {&dst->dev, &src->dev, &n, &a};
	CUresult r =
	    CALL(w,
	         cuLaunchKernel(w->mix[s->ctx], BLOCKS, 1, 1, CELL / BLOCKS, 1, 1, 0, s->handle,
	                        params, NULL),
	         "cuLaunchKernel mix c%u c%u %s *%u", cell_no(w, dst), cell_no(w, src), s->name, a);
	if (r == CUDA_SUCCESS) {
		commit(w, s);
		touched(dst, s);
		touched(src, s);
	}
}

/* ---------------------------------------------------------------- sets */

static inline void do_set(struct world *w)
{
	struct stream *s = pick_stream(w, w->cur);
	struct cell *c = pick_cell(w, true, s->ctx, NULL);
	unsigned v = pick(w, 100000), how = pick(w, 8), at = pick(w, CELL / 2);
	CUresult r;
	if (!c)
		return;
	if (how < 2)
		s = legacy_of(w, s->ctx); /* calls without a stream */
	order_cell(w, s, c);
	enter(w, s->ctx);
	unsigned i = cell_no(w, c);
	CUdeviceptr p = c->dev + 4 * at;
	if (how == 0)
		r = CALL(w, cuMemsetD32(p, v, 7), "cuMemsetD32 c%u %u", i, v);
	else if (how == 1)
		r = CALL(w, cuMemsetD2D32(c->dev, 64, v, 5, 4), "cuMemsetD2D32 c%u %u", i, v);
	else if (how == 2)
		r = CALL(w, cuMemsetD8Async(p, (unsigned char)v, 33, s->handle),
		         "cuMemsetD8Async c%u %u %s", i, v, s->name);
	else if (how == 3)
		r = CALL(w, cuMemsetD16Async(p, (unsigned short)v, 21, s->handle),
		         "cuMemsetD16Async c%u %u %s", i, v, s->name);
	else if (how == 4)
		r = CALL(w, cuMemsetD2D8Async(c->dev, 64, (unsigned char)v, 11, 7, s->handle),
		         "cuMemsetD2D8Async c%u %u %s", i, v, s->name);
	else if (how == 5 && s->kind == PER_THREAD)
		r = CALL(w, cuMemsetD32Async_ptsz(p, v, 9, NULL), "cuMemsetD32Async_ptsz c%u %u %s",
		         i, v, s->name);
	else
		r = CALL(w, cuMemsetD32Async(p, v, CELL - at, s->handle),
		         "cuMemsetD32Async c%u %u %s", i, v, s->name);
	if (r == CUDA_SUCCESS) {
		commit(w, s);
		touched(c, s);
	}
}

/* ---------------------------------------------------------------- copies */

struct span { /* of a copy: bytes */
	size_t at, n;
};

static inline struct span some_of(struct world *w)
{
	struct span p = {0, CELL_BYTES};
	if (chance(w, 40)) {
		p.at = 4 * pick(w, CELL / 2);
		p.n = 1 + pick(w, (unsigned)(CELL_BYTES - p.at));
	}
	return p;
}

/* Both cells are in order before, and touched after. */
static inline void copied(struct world *w, struct stream *s, struct cell *dst, struct cell *src,
                          CUresult r)
{
	if (r != CUDA_SUCCESS)
		return;
	commit(w, s);
	touched(dst, s);
	touched(src, s);
}

static inline void do_upload(struct world *w)
{
	struct stream *s = pick_stream(w, w->cur);
	struct cell *src = pick_cell(w, false, 0, NULL), *dst = pick_cell(w, true, s->ctx, NULL);
	struct span p = some_of(w);
	unsigned how = pick(w, 5);
	if (!src || !dst)
		return;
	if (how == 0)
		s = legacy_of(w, s->ctx);
	if (src->kind == PAGEABLE) /* is read when the call is made, not in the stream's turn */
		settle(w, src);
	order_cell(w, s, src);
	order_cell(w, s, dst);
	enter(w, s->ctx);
	CUdeviceptr to = dst->dev + p.at;
	char *from = (char *)src->host + p.at;
	unsigned i = cell_no(w, dst), k = cell_no(w, src);
	CUresult r;
	if (how == 0)
		r = CALL(w, cuMemcpyHtoD(to, from, p.n), "cuMemcpyHtoD c%u c%u", i, k);
	else if (how == 1)
		r = CALL(w, cuMemcpyAsync(to, (CUdeviceptr)(uintptr_t)from, p.n, s->handle),
		         "cuMemcpyAsync c%u c%u %s", i, k, s->name);
	else if (how == 2 && s->kind == PER_THREAD)
		r = CALL(w, cuMemcpyHtoDAsync_v2_ptsz(to, from, p.n, NULL),
		         "cuMemcpyHtoDAsync_ptsz c%u c%u %s", i, k, s->name);
	else
		r = CALL(w, cuMemcpyHtoDAsync(to, from, p.n, s->handle),
		         "cuMemcpyHtoDAsync c%u c%u %s", i, k, s->name);
	copied(w, s, dst, src, r);
}

/* A synchronous one has completed on return, and so has what it came after. */
static inline void do_download(struct world *w)
{
	struct stream *s = pick_stream(w, w->cur);
	struct cell *dst = pick_cell(w, false, 0, NULL), *src = pick_cell(w, true, s->ctx, NULL);
	struct span p = some_of(w);
	bool sync = chance(w, 40);
	if (!src || !dst)
		return;
	if (sync)
		s = legacy_of(w, s->ctx);
	order_cell(w, s, src);
	order_cell(w, s, dst);
	enter(w, s->ctx);
	CUdeviceptr from = src->dev + p.at;
	char *to = (char *)dst->host + p.at;
	unsigned i = cell_no(w, dst), k = cell_no(w, src);
	CUresult r;
	if (sync)
		r = CALL(w, cuMemcpyDtoH(to, from, p.n), "cuMemcpyDtoH c%u c%u", i, k);
	else
		r = CALL(w, cuMemcpyDtoHAsync(to, from, p.n, s->handle),
		         "cuMemcpyDtoHAsync c%u c%u %s", i, k, s->name);
	copied(w, s, dst, src, r);
	if (sync && r == CUDA_SUCCESS) {
		join(&w->host, &s->last);
		uint32_t sum = 0;
		for (unsigned j = 0; j < CELL; j++)
			sum = sum * 31 + dst->host[j];
		out(w, "%u.  sees %08x\n", w->id, sum);
	}
}

static inline CUresult copy_2d(struct world *w, struct stream *s, struct cell *dst,
                               struct cell *src)
{
	CUDA_MEMCPY2D c;
	memset(&c, 0, sizeof(c));
	c.srcMemoryType = c.dstMemoryType = CU_MEMORYTYPE_DEVICE;
	c.srcDevice = src->dev;
	c.dstDevice = dst->dev;
	c.srcPitch = 64;
	c.dstPitch = 32;
	c.WidthInBytes = 20 + pick(w, 12);
	c.Height = 1 + pick(w, 8);
	return CALL(w, cuMemcpy2DAsync(&c, s->handle), "cuMemcpy2DAsync c%u c%u %zux%zu %s",
	            cell_no(w, dst), cell_no(w, src), c.WidthInBytes, c.Height, s->name);
}

static inline void do_copy(struct world *w)
{
	struct stream *s = pick_stream(w, w->cur);
	struct cell *dst = pick_cell(w, true, s->ctx, NULL), *src = pick_cell(w, true, s->ctx, dst);
	struct span p = some_of(w);
	unsigned how = pick(w, 6);
	if (!src || !dst)
		return;
	if (how == 0)
		s = legacy_of(w, s->ctx);
	order_cell(w, s, src);
	order_cell(w, s, dst);
	enter(w, s->ctx);
	unsigned i = cell_no(w, dst), k = cell_no(w, src);
	CUresult r;
	if (how == 0)
		r = CALL(w, cuMemcpyDtoD(dst->dev + p.at, src->dev + p.at, p.n),
		         "cuMemcpyDtoD c%u c%u", i, k);
	else if (how == 1)
		r = copy_2d(w, s, dst, src);
	else
		r = CALL(w, cuMemcpyDtoDAsync(dst->dev + p.at, src->dev + p.at, p.n, s->handle),
		         "cuMemcpyDtoDAsync c%u c%u %s", i, k, s->name);
	copied(w, s, dst, src, r);
}

/* Between the two contexts, which may be on two devices. */
static inline void do_peer_copy(struct world *w)
{
	if (!w->ctx[1])
		return;
	int from = (int)pick(w, 2), to = !from, in = chance(w, 50) ? from : to;
	bool sync = chance(w, 20);
	struct stream *s = sync ? legacy_of(w, w->cur) : pick_stream(w, in);
	struct cell *dst = pick_cell(w, true, to, NULL), *src = pick_cell(w, true, from, NULL);
	if (!src || !dst)
		return;
	if (sync) { /* which context's stream it uses is not for the program to rely on */
		settle(w, dst);
		settle(w, src);
	}
	order_cell(w, s, src);
	order_cell(w, s, dst);
	enter(w, s->ctx);
	unsigned i = cell_no(w, dst), k = cell_no(w, src);
	CUresult r;
	if (sync)
		r = CALL(w, cuMemcpyPeer(dst->dev, w->ctx[to], src->dev, w->ctx[from], CELL_BYTES),
		         "cuMemcpyPeer c%u c%u", i, k);
	else
		r = CALL(w,
		         cuMemcpyPeerAsync(dst->dev, w->ctx[to], src->dev, w->ctx[from], CELL_BYTES,
		                           s->handle),
		         "cuMemcpyPeerAsync c%u c%u %s", i, k, s->name);
	copied(w, s, dst, src, r);
	if (sync && r == CUDA_SUCCESS)
		sync_stream(w, s);
}

/* ---------------------------------------------------------------- the host */

struct note { /* for a host function: h = h * a + b of a host cell */
	uint32_t *host, a, b;
	bool keep; /* it may be called again: a graph's */
};

static inline void note_apply(const struct note *n)
{
	for (unsigned i = 0; i < 8; i++)
		n->host[i] = n->host[i] * n->a + n->b;
}

static inline void CUDA_CB host_function(void *arg)
{
	struct note *n = arg;
	note_apply(n);
	if (!n->keep)
		free(n);
}

static inline void CUDA_CB callback(CUstream s, CUresult status, void *arg)
{
	(void)s;
	(void)status;
	host_function(arg);
}

static inline struct note *note_new(struct world *w, const struct cell *c, bool keep)
{
	struct note *n = malloc(sizeof(*n));
	must(n != NULL, "out of memory");
	*n = (struct note){c->host, 3 + 2 * pick(w, 50), 1 + pick(w, 1000), keep};
	return n;
}

static inline void do_host_function(struct world *w)
{
	struct stream *s = pick_stream(w, w->cur);
	struct cell *c = pick_cell(w, false, 0, NULL);
	if (!c)
		return;
	order_cell(w, s, c);
	enter(w, s->ctx);
	struct note *n = note_new(w, c, false);
	unsigned i = cell_no(w, c);
	CUresult r = chance(w, 70) ? CALL(w, cuLaunchHostFunc(s->handle, host_function, n),
	                                  "cuLaunchHostFunc c%u %s", i, s->name)
	                           : CALL(w, cuStreamAddCallback(s->handle, callback, n, 0),
	                                  "cuStreamAddCallback c%u %s", i, s->name);
	if (r == CUDA_SUCCESS) {
		commit(w, s);
		touched(c, s);
	} else {
		free(n);
	}
}

/* The program itself writes what the GPU has left it. */
static inline void do_host_write(struct world *w)
{
	struct cell *c = pick_cell(w, false, 0, NULL);
	if (!c)
		return;
	settle(w, c);
	struct note n = {c->host, 3 + 2 * pick(w, 50), 1 + pick(w, 1000), true};
	note_apply(&n);
}

#endif
