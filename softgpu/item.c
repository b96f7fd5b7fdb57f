// SPDX-License-Identifier: Apache-2.0
/*
 * item.c: the order of what is submitted. CUDA's rules: a stream is in order; an item of a
 * domain's legacy stream waits for all earlier work of its blocking streams, and their later
 * work waits for it; a wait refers to the record that was the latest when the wait was submitted.
 */
#include "core.h"

#include <stdlib.h>
#include <string.h>

#include "../common/clock.h"
#include "../common/futex.h"

/* ---- items */

static struct sg_item *new_item(struct sg_stream *s, uint32_t n, uint32_t n_links, uint64_t n_outs)
{
	size_t nodes = (size_t)n * sizeof(struct sg_node);
	size_t links = n_links * sizeof(struct sg_link);
	struct sg_item *it = calloc(1, sizeof(*it) + nodes + links + n_outs * sizeof(uint32_t));
	if (!it)
		return NULL;
	it->stream = s;
	it->domain = s->domain;
	it->n = it->left = n;
	it->refs = 1;
	it->links = (struct sg_link *)((char *)it->nodes + nodes);
	it->outs = (uint32_t *)((char *)it->links + links);
	return it;
}

void sg_item_put(struct sg_item *it)
{
	if (--it->refs == 0)
		free(it);
}

bool sg_item_done(const struct sg_item *it)
{
	return rein_load_acquire(&it->done);
}

static void link_items(struct sg_item *it, struct sg_item *before)
{
	struct sg_link *l = it->links++;
	l->waiter = it;
	l->next = before->waiters;
	before->waiters = l;
	it->waiting++;
}

/* How many items of other streams a new item of s waits for; with `it`, links them. */
static uint32_t link_implicit(struct sg_stream *s, struct sg_item *it)
{
	struct sg_domain *d = s->domain;
	uint32_t n = 0;
	if (s->kind == SG_STREAM_BLOCKING && s->legacy && s->legacy->tail) {
		n++;
		if (it)
			link_items(it, s->legacy->tail);
	}
	if (s->kind != SG_STREAM_LEGACY)
		return n;
	for (struct sg_stream *b = d->streams; b; b = b->next) {
		if (b->kind != SG_STREAM_BLOCKING || b->legacy != s || !b->tail)
			continue;
		n++;
		if (it)
			link_items(it, b->tail);
	}
	return n;
}

static void append(struct sg_stream *s, struct sg_item *it, struct sg_item *after)
{
	it->submit_ns = rein_now_ns();
	link_implicit(s, it);
	if (after)
		link_items(it, after);
	sg_channel_enter(s, it, after != NULL);
	if (s->tail) {
		s->tail->next = it;
		it->waiting++;
	}
	s->tail = it;
	s->unfinished++;
	if (!it->waiting) {
		sg_timeline_ready_item(it);
		sg_timeline_run(it->submit_ns);
	}
}

static void release(struct sg_item *it, uint64_t pred_end_ns)
{
	if (pred_end_ns > it->pred_end_ns)
		it->pred_end_ns = pred_end_ns;
	if (--it->waiting == 0)
		sg_timeline_ready_item(it);
}

/* To streams on other SMs the way is longer. */
static uint64_t way_ns(const struct sg_stream *from, const struct sg_stream *to)
{
	const struct sg_sm_set *a = from->sms, *b = to->sms;
	bool same = a && b ? sg_sm_same(a, b) : a == b;
	return same ? 0 : sg_core.model->slice_swap_ns;
}

/* For those who wait for room. Where there is no time to model, half a queue at once: a wake-up
 * costs more than a small kernel. */
static bool has_room(const struct sg_stream *s)
{
	return sg_core.model->mode != SG_MODE_FAST ||
	       s->unfinished <= sg_core.model->queue_depth / 2;
}

static void leave_stream(struct sg_item *it)
{
	struct sg_stream *s = it->stream;
	it->stream = NULL;
	s->unfinished--;
	if (s->tail == it)
		s->tail = NULL;
	if (s->space_sleepers && has_room(s)) {
		rein_add_release(&s->space, 1);
		rein_futex_wake_all(&s->space);
	}
	if (s->released && !s->unfinished)
		sg_stream_discard(s);
}

void sg_item_complete(struct sg_item *it)
{
	it->error = (CUresult)rein_load_relaxed(&it->domain->error);
	sg_channel_leave(it, it->end_ns);
	if (it->next)
		release(it->next, it->end_ns);
	for (struct sg_link *l = it->waiters; l; l = l->next)
		release(l->waiter, it->end_ns + way_ns(it->stream, l->waiter->stream));
	it->next = NULL;
	it->waiters = NULL;
	rein_store_release(&it->done, 1);
	if (it->sleepers)
		rein_futex_wake_all(&it->done);
	leave_stream(it);
	if (it->n)
		sg_executor_reap(it);
	else
		sg_item_put(it);
}

CUresult sg_item_wait(struct sg_item *it)
{
	CUresult r = CUDA_SUCCESS;
	while (!sg_item_done(it) && r == CUDA_SUCCESS) {
		it->sleepers++;
		sg_core_leave();
		/* bounded, so that a process that ends under us does not leave us asleep */
		rein_futex_wait(&it->done, 0, rein_now_ns() + 100 * REIN_MS);
		r = sg_core_enter();
		if (r != CUDA_SUCCESS)
			return r; /* going down: the item is left to the end of the process */
		it->sleepers--;
	}
	r = it->error;
	sg_item_put(it);
	sg_core_leave();
	return r;
}

struct sg_item *sg_item_mark(struct sg_stream *s, struct sg_item *after)
{
	if (after && sg_item_done(after))
		after = NULL;
	struct sg_item *it = new_item(s, 0, link_implicit(s, NULL) + !!after, 0);
	if (!it)
		return NULL;
	it->refs++;
	append(s, it, after);
	return it;
}

/* ---- submission */

static uint64_t count_edges(struct sg_cmd *const *cmds, uint32_t n)
{
	uint64_t edges = 0;
	for (uint32_t i = 0; i < n; i++)
		edges += cmds[i]->n_deps;
	return edges;
}

/* Turns "waits for" lists into "is waited for by" lists. False: an index is out of range. */
static bool connect_nodes(struct sg_item *it)
{
	for (uint32_t i = 0; i < it->n; i++) {
		const struct sg_cmd *c = it->nodes[i].cmd;
		it->nodes[i].waiting = c->n_deps;
		for (uint32_t j = 0; j < c->n_deps; j++) {
			if (c->deps[j] >= it->n)
				return false;
			it->nodes[c->deps[j]].n_out++;
		}
	}
	uint32_t *out = it->outs;
	for (uint32_t i = 0; i < it->n; i++) {
		it->nodes[i].out = out;
		out += it->nodes[i].n_out;
		it->nodes[i].n_out = 0;
	}
	for (uint32_t i = 0; i < it->n; i++) {
		const struct sg_cmd *c = it->nodes[i].cmd;
		for (uint32_t j = 0; j < c->n_deps; j++) {
			struct sg_node *before = &it->nodes[c->deps[j]];
			before->out[before->n_out++] = i;
		}
	}
	return true;
}

/* A cycle would never complete. Kahn: count what can be reached from nodes that wait for none. */
static bool is_acyclic(struct sg_item *it)
{
	struct sg_node *list = NULL;
	uint32_t seen = 0;
	for (uint32_t i = 0; i < it->n; i++) {
		if (it->nodes[i].waiting)
			continue;
		it->nodes[i].next = list;
		list = &it->nodes[i];
	}
	while (list) {
		struct sg_node *nd = list;
		list = nd->next;
		nd->next = NULL;
		seen++;
		for (uint32_t i = 0; i < nd->n_out; i++) {
			struct sg_node *succ = &it->nodes[nd->out[i]];
			if (--succ->waiting)
				continue;
			succ->next = list;
			list = succ;
		}
	}
	for (uint32_t i = 0; i < it->n; i++)
		it->nodes[i].waiting = it->nodes[i].cmd->n_deps;
	return seen == it->n;
}

/* As a driver does when its channel is full. The lock is dropped meanwhile. */
static CUresult wait_for_room(struct sg_stream *s)
{
	CUresult r = (CUresult)rein_load_relaxed(&s->domain->error);
	while (r == CUDA_SUCCESS && s->unfinished >= sg_core.model->queue_depth) {
		uint32_t seen = rein_load_acquire(&s->space);
		s->space_sleepers++;
		sg_core_leave();
		rein_futex_wait(&s->space, seen, rein_now_ns() + 100 * REIN_MS);
		r = sg_core_enter();
		if (r != CUDA_SUCCESS)
			return r;
		s->space_sleepers--;
		r = (CUresult)rein_load_relaxed(&s->domain->error);
	}
	if (r != CUDA_SUCCESS)
		sg_core_leave();
	return r;
}

/* Under the lock. On success *out may be given a reference. */
static CUresult make_item(struct sg_stream *s, struct sg_cmd *const *cmds, uint32_t n, bool batch,
                          struct sg_item **out)
{
	uint64_t edges = batch ? count_edges(cmds, n) : 0;
	struct sg_item *it = new_item(s, n, link_implicit(s, NULL), edges);
	if (!it)
		return CUDA_ERROR_OUT_OF_MEMORY;
	it->batch = batch;
	for (uint32_t i = 0; i < n; i++) {
		it->nodes[i].cmd = cmds[i];
		it->nodes[i].item = it;
	}
	if (edges && (!connect_nodes(it) || !is_acyclic(it))) {
		sg_item_put(it);
		return CUDA_ERROR_INVALID_VALUE;
	}
	for (uint32_t i = 0; i < n; i++)
		cmds[i]->engine = &it->nodes[i];
	if (out) {
		it->refs++;
		*out = it;
	}
	s->domain->unreaped += !!n;
	append(s, it, NULL);
	return CUDA_SUCCESS;
}

static void destroy_all(struct sg_cmd *const *cmds, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (cmds[i]->destroy)
			cmds[i]->destroy(cmds[i]);
		else
			free(cmds[i]);
	}
}

static CUresult submit(struct sg_stream *s, struct sg_cmd *const *cmds, uint32_t n, bool batch,
                       struct sg_item **out)
{
	CUresult r = sg_core_enter();
	if (r == CUDA_SUCCESS)
		r = wait_for_room(s);
	if (r == CUDA_SUCCESS) {
		r = make_item(s, cmds, n, batch, out);
		if (r != CUDA_SUCCESS || !out)
			sg_core_leave(); /* else the lock stays for sg_item_wait() */
	}
	if (r != CUDA_SUCCESS)
		destroy_all(cmds, n);
	return r;
}

CUresult sg_submit(struct sg_stream *s, struct sg_cmd *cmd)
{
	return submit(s, &cmd, 1, false, NULL);
}

CUresult sg_submit_batch(struct sg_stream *s, struct sg_cmd *const *cmds, uint32_t n)
{
	return submit(s, cmds, n, true, NULL);
}

CUresult sg_submit_wait(struct sg_stream *s, struct sg_cmd *cmd)
{
	struct sg_item *it = NULL;
	CUresult r = submit(s, &cmd, 1, false, &it);
	return r == CUDA_SUCCESS ? sg_item_wait(it) : r;
}
