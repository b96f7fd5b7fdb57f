// SPDX-License-Identifier: Apache-2.0
/*
 * api_ipc.c: cuIpc*: memory and events of one process opened in another. How it is shared is in
 * ipc.h; here are CUDA's rules for it.
 *
 * An interprocess event stands for records in its shared ring, in this process too: a record is a
 * command of its stream that completes the number it got, a wait one that looks whether it is.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "api.h"

#include "../common/clock.h"
#include "../common/futex.h"
#include "ipc.h"

#define POLL_NS (2 * REIN_MS) /* of a sleeping host thread: a record's process may have died */

struct sg_ipc_share {
	struct sg_ipc_event *event;
	uint64_t id;
	uint32_t index;           /* of an own one */
	struct sg_ipc_list *list; /* of another process'; NULL: an own one */
};

static CUresult result_of(int error)
{
	switch (error) {
	case 0:
		return CUDA_SUCCESS;
	case SG_IPC_OWN:
		return CUDA_ERROR_INVALID_CONTEXT;
	case -EINVAL:
		return CUDA_ERROR_INVALID_HANDLE;
	case -ENOMEM:
	case -ENOSPC:
		return CUDA_ERROR_OUT_OF_MEMORY;
	default:
		return CUDA_ERROR_MAP_FAILED; /* its process or what it offered is gone */
	}
}

/* This process' number of the device that a handle's maker meant. */
static CUresult device_of(const struct sg_ipc_handle *h, int *device)
{
	for (int d = 0; sg_device_ok(d); d++) {
		if (sg_device_half_uuid(d) == h->uuid) {
			*device = d;
			return CUDA_SUCCESS;
		}
	}
	return CUDA_ERROR_INVALID_HANDLE;
}

/* ---- memory */

static CUresult offer(const struct sg_range *range)
{
	int fd;
	uint64_t offset;
	uint32_t index;
	CUresult r = sg_arena_file(range->device, range->base, &fd, &offset);
	if (r != CUDA_SUCCESS)
		return r;
	int e = sg_ipc_offer_block((unsigned)range->device, sg_device_half_uuid(range->device), fd,
	                           offset, range->size, &index);
	if (!e)
		sg_range_offered(range->base, index + 1);
	return result_of(e);
}

CUresult cuIpcGetMemHandle(CUipcMemHandle *pHandle, CUdeviceptr dptr)
{
	CUcontext ctx;
	struct sg_range range;
	CUresult r = sg_current(&ctx);
	if (r != CUDA_SUCCESS)
		return r;
	if (!pHandle || !sg_range_find(dptr, &range) || range.kind != SG_MEMORY_DEVICE ||
	    range.pool || range.module || range.freeing || range.mapped_bytes || range.access)
		return CUDA_ERROR_INVALID_VALUE;
	sg_lock();
	if (!sg_range_find(dptr, &range))
		r = CUDA_ERROR_INVALID_VALUE;
	else if (!range.offered)
		r = offer(&range);
	if (r == CUDA_SUCCESS && sg_range_find(dptr, &range) && range.offered) {
		struct sg_ipc_handle h;
		sg_ipc_handle(SG_IPC_BLOCK, range.offered - 1, &h);
		memset(pHandle, 0, sizeof(*pHandle));
		memcpy(pHandle, &h, sizeof(h));
	}
	sg_unlock();
	return r;
}

/* Maps part of a memory file and enters it as device memory of `t`. */
CUresult sg_range_import(struct sg_range *t, int fd, uint64_t offset, size_t size, uintptr_t *out)
{
	size_t before = offset % 4096;
	t->mapped_bytes = (before + size + 4095) & ~(size_t)4095;
	void *p = mmap(NULL, t->mapped_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
	               (off_t)(offset - before));
	if (p == MAP_FAILED)
		return CUDA_ERROR_MAP_FAILED;
	t->kind = SG_MEMORY_DEVICE;
	t->base = (uintptr_t)p + before;
	t->size = t->whole = size;
	CUresult r = sg_range_add(t);
	if (r != CUDA_SUCCESS)
		munmap(p, t->mapped_bytes);
	*out = t->base;
	return r;
}

/* Which handle a range was opened by, in one number. */
static uint64_t digest(const struct sg_ipc_handle *h)
{
	uint64_t d = 0xcbf29ce484222325ull;
	for (size_t i = 0; i < sizeof(*h); i++)
		d = (d ^ ((const uint8_t *)h)[i]) * 0x100000001b3ull;
	return d;
}

static CUresult open_block(CUcontext ctx, const struct sg_ipc_handle *h, uintptr_t *base)
{
	int device = 0;
	struct sg_ipc_block b;
	CUresult r = result_of(sg_ipc_open_block(h, &b));
	if (r != CUDA_SUCCESS)
		return r;
	r = device_of(h, &device);
	struct sg_range t = {.device = device, .ctx = ctx, .ipc_id = digest(h), .opens = 1};
	if (r == CUDA_SUCCESS)
		r = sg_range_import(&t, b.fd, b.offset, b.size, base);
	if (r == CUDA_SUCCESS && device != ctx->device) /* CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS */
		rein_or_seqcst(&ctx->peers, 1u << device);
	close(b.fd);
	return r;
}

CUresult cuIpcOpenMemHandle_v2(CUdeviceptr *pdptr, CUipcMemHandle handle, unsigned int Flags)
{
	CUcontext ctx;
	uintptr_t base;
	struct sg_ipc_handle h;
	CUresult r = sg_current(&ctx);
	if (r != CUDA_SUCCESS)
		return r;
	if (!pdptr || Flags != CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(&h, &handle, sizeof(h));
	sg_lock();
	if (!sg_range_opened(ctx, digest(&h), &base))
		r = open_block(ctx, &h, &base);
	sg_unlock();
	if (r == CUDA_SUCCESS)
		*pdptr = base;
	return r;
}

CUresult cuIpcOpenMemHandle(CUdeviceptr *pdptr, CUipcMemHandle handle, unsigned int Flags)
{
	return cuIpcOpenMemHandle_v2(pdptr, handle, Flags);
}

CUresult cuIpcCloseMemHandle(CUdeviceptr dptr)
{
	CUcontext ctx;
	struct sg_range range;
	bool last;
	CUresult r = sg_current(&ctx);
	if (r != CUDA_SUCCESS)
		return r;
	if (!sg_range_find(dptr, &range) || !range.opens || range.base != dptr)
		return CUDA_ERROR_INVALID_VALUE;
	if (range.opens == 1) { /* what may still use it; no lock is held */
		r = sg_domain_sync(range.ctx->domain);
		if (r != CUDA_SUCCESS)
			return r;
	}
	sg_lock();
	if (!sg_range_close(dptr, &last) || (last && !sg_range_remove(dptr, NULL)))
		r = CUDA_ERROR_INVALID_VALUE;
	sg_unlock();
	return r;
}

/* ---- events */

CUresult sg_ipc_event_make(CUevent e)
{
	e->ipc = calloc(1, sizeof(*e->ipc));
	if (!e->ipc)
		return CUDA_ERROR_OUT_OF_MEMORY;
	int device = e->ctx->device;
	int error = sg_ipc_offer_event((unsigned)device, sg_device_half_uuid(device),
	                               &e->ipc->index, &e->ipc->event);
	if (error) {
		free(e->ipc);
		e->ipc = NULL;
		return result_of(error);
	}
	e->ipc->id = rein_load_relaxed(&e->ipc->event->id);
	return CUDA_SUCCESS;
}

void sg_ipc_event_free(struct sg_ipc_share *s)
{
	if (s && s->list)
		sg_ipc_close_event(s->list);
	else if (s)
		sg_ipc_withdraw(SG_IPC_EVENT, s->index);
	free(s);
}

CUresult cuIpcGetEventHandle(CUipcEventHandle *pHandle, CUevent event)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!pHandle)
		return CUDA_ERROR_INVALID_VALUE;
	if (!sg_handle_is(event, SG_EVENT) || !event->ipc || event->ipc->list)
		return CUDA_ERROR_INVALID_HANDLE;
	struct sg_ipc_handle h;
	sg_ipc_handle(SG_IPC_EVENT, event->ipc->index, &h);
	memset(pHandle, 0, sizeof(*pHandle));
	memcpy(pHandle, &h, sizeof(h));
	return CUDA_SUCCESS;
}

CUresult cuIpcOpenEventHandle(CUevent *phEvent, CUipcEventHandle handle)
{
	CUcontext ctx;
	struct sg_ipc_handle h;
	int device = 0;
	CUresult r = sg_current(&ctx);
	if (r != CUDA_SUCCESS)
		return r;
	if (!phEvent)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(&h, &handle, sizeof(h));
	struct sg_ipc_share *s = calloc(1, sizeof(*s));
	if (!s)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = result_of(sg_ipc_open_event(&h, &s->list, &s->event));
	if (r != CUDA_SUCCESS) {
		free(s);
		return r;
	}
	s->id = h.id;
	r = device_of(&h, &device);
	if (r == CUDA_SUCCESS)
		r = sg_event_make(ctx, CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS, s, phEvent);
	if (r != CUDA_SUCCESS)
		sg_ipc_event_free(s);
	return r;
}

struct ipc_cmd {
	struct sg_cmd cmd;
	CUevent event; /* a reference */
	uint64_t number;
	struct sg_ipc_wait wait;
};

static CUresult record_step(struct sg_cmd *cmd)
{
	struct ipc_cmd *c = (struct ipc_cmd *)cmd;
	sg_ipc_record_complete(c->event->ipc->event, c->event->ipc->id, c->number);
	return CUDA_SUCCESS;
}

static CUresult wait_step(struct sg_cmd *cmd)
{
	return sg_ipc_wait_done(&((struct ipc_cmd *)cmd)->wait) ? CUDA_SUCCESS
	                                                        : CUDA_ERROR_NOT_READY;
}

/* In a context with an error a record was not done: others must not wait for it. */
static void record_destroy(struct sg_cmd *cmd)
{
	struct ipc_cmd *c = (struct ipc_cmd *)cmd;
	sg_ipc_record_complete(c->event->ipc->event, c->event->ipc->id, c->number);
	sg_event_drop(c->event);
	free(c);
}

static void wait_destroy(struct sg_cmd *cmd)
{
	sg_event_drop(((struct ipc_cmd *)cmd)->event);
	free(cmd);
}

static struct ipc_cmd *command(CUevent e, const char *name)
{
	struct ipc_cmd *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->cmd.kind = SG_CMD_MEMOP;
	c->cmd.name = name;
	c->event = e;
	rein_add_relaxed(&e->refs, 1);
	return c;
}

/* Blocks while too many records are unfinished, as a launch does when its channel is full. */
static CUresult next_number(CUevent e, uint64_t *number)
{
	struct sg_ipc_event *ev = e->ipc->event;
	for (;;) {
		uint32_t seen = rein_load_acquire(&ev->bell);
		*number = sg_ipc_record(ev, e->ipc->id);
		if (*number == SG_IPC_GONE) /* destroyed where it was made, or in use by too many */
			return CUDA_ERROR_INVALID_HANDLE;
		if (*number != SG_IPC_FULL)
			return CUDA_SUCCESS;
		CUresult r = sg_event_query(e->engine); /* does what is due here */
		if (r == CUDA_SUCCESS)
			r = sg_domain_error(e->ctx->domain);
		if (r != CUDA_SUCCESS)
			return r;
		rein_futex_wait(&ev->bell, seen, rein_now_ns() + POLL_NS);
	}
}

CUresult sg_ipc_event_record(CUevent e, struct sg_stream *s)
{
	struct ipc_cmd *c = command(e, "ipc_record");
	if (!c)
		return CUDA_ERROR_OUT_OF_MEMORY;
	CUresult r = next_number(e, &c->number);
	if (r != CUDA_SUCCESS) {
		wait_destroy(&c->cmd);
		return r;
	}
	c->cmd.step = record_step;
	c->cmd.destroy = record_destroy;
	return sg_submit(s, &c->cmd);
}

CUresult sg_ipc_event_wait(CUevent e, struct sg_stream *s)
{
	struct ipc_cmd *c = command(e, "ipc_wait");
	if (!c)
		return CUDA_ERROR_OUT_OF_MEMORY;
	c->wait = sg_ipc_wait_latest(e->ipc->event, e->ipc->id);
	c->cmd.step = wait_step;
	c->cmd.destroy = wait_destroy;
	return sg_submit(s, &c->cmd);
}

CUresult sg_ipc_event_query(CUevent e)
{
	CUresult r = sg_event_query(e->engine); /* does what is due here */
	struct sg_ipc_wait w = sg_ipc_wait_latest(e->ipc->event, e->ipc->id);
	if (r != CUDA_SUCCESS)
		return r;
	return sg_ipc_wait_done(&w) ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

CUresult sg_ipc_event_sync(CUevent e)
{
	struct sg_ipc_wait w = sg_ipc_wait_latest(e->ipc->event, e->ipc->id);
	for (;;) {
		uint32_t seen = rein_load_acquire(&w.event->bell);
		CUresult r = sg_event_query(e->engine);
		if (r == CUDA_SUCCESS)
			r = sg_domain_error(e->ctx->domain);
		if (r != CUDA_SUCCESS || sg_ipc_wait_done(&w))
			return r;
		rein_futex_wait(&w.event->bell, seen, rein_now_ns() + POLL_NS);
	}
}
