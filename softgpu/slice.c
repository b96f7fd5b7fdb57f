// SPDX-License-Identifier: Apache-2.0
/*
 * slice.c: slices of a device (green contexts) and the events of whole contexts. A slice is its
 * default stream: the other streams of it name that one as theirs (sg_stream.legacy) and have a
 * copy of its set of SMs. Which blocks go where is sched.c's business. A graph's commands have sets
 * of their own.
 */
#include "core.h"

#include <errno.h>
#include <stdlib.h>

#include "../common/clock.h"

/* Making a slice keeps the caller. */
static void take_time(void)
{
	const struct sg_model *m = sg_core.model;
	struct timespec t = rein_timespec(rein_now_ns() + m->slice_create_ns);
	if (m->mode == SG_MODE_FAST || !m->slice_create_ns)
		return;
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

CUresult sg_slice_new(struct sg_domain *d, const struct sg_sm_set *sms, struct sg_stream **out)
{
	*out = NULL;
	take_time();
	CUresult r = sg_core_enter();
	if (r != CUDA_SUCCESS)
		return r;
	struct sg_stream like = {.sms = (struct sg_sm_set *)sms}; /* only its set is looked at */
	struct sg_stream *s = sg_stream_add(d, &like, SG_STREAM_LEGACY, 0);
	r = s ? sg_channel_choose(s) : CUDA_ERROR_OUT_OF_MEMORY;
	if (r == CUDA_SUCCESS)
		r = sg_slice_fence(s);
	if (s && r != CUDA_SUCCESS)
		s->released = true; /* goes with the domain, at the latest */
	else
		*out = s;
	sg_core_leave();
	return r;
}

CUresult sg_slice_sync(struct sg_stream *slice)
{
	return sg_stream_sync_all(slice->domain, slice, true);
}

static void drop_fence(struct sg_fence **at)
{
	struct sg_fence *f = *at;
	*at = f->next;
	sg_item_put(f->item);
	free(f);
}

void sg_slice_free(struct sg_stream *slice)
{
	struct sg_domain *d = slice->domain;
	if (sg_core_enter() != CUDA_SUCCESS)
		return;
	for (struct sg_stream *o = d->streams; o; o = o->next)
		if (o->legacy == slice)
			o->legacy = NULL;
	for (struct sg_fence **at = &d->fences; *at;) {
		if ((*at)->slice == slice)
			drop_fence(at);
		else
			at = &(*at)->next;
	}
	slice->released = true;
	if (!slice->unfinished)
		sg_stream_discard(slice);
	sg_core_leave();
}

void sg_slice_forget(struct sg_domain *d)
{
	while (d->fences)
		drop_fence(&d->fences);
}

/* ---- events of a slice */

static bool belongs(const struct sg_stream *s, const struct sg_stream *slice)
{
	return !slice || s->legacy == slice;
}

CUresult sg_slice_fence(struct sg_stream *s)
{
	for (struct sg_fence **at = &s->domain->fences; *at;) {
		if (sg_item_done((*at)->item)) {
			drop_fence(at);
			continue;
		}
		if (belongs(s, (*at)->slice)) {
			struct sg_item *it = sg_item_mark(s, (*at)->item);
			if (!it)
				return CUDA_ERROR_OUT_OF_MEMORY;
			sg_item_put(it);
		}
		at = &(*at)->next;
	}
	return CUDA_SUCCESS;
}

/* The last unfinished items of a slice's streams, a reference each; *n of them. */
static struct sg_item **tails(struct sg_domain *d, const struct sg_stream *slice, uint32_t *n)
{
	uint32_t room = 1;
	for (struct sg_stream *s = d->streams; s; s = s->next)
		room++;
	struct sg_item **items = calloc(room, sizeof(struct sg_item *));
	*n = 0;
	for (struct sg_stream *s = d->streams; items && s; s = s->next) {
		if (!s->tail || !belongs(s, slice))
			continue;
		s->tail->refs++;
		items[(*n)++] = s->tail;
	}
	return items;
}

/* A mark that waits for all these items: the last one of a stream made for it. */
static struct sg_item *mark_all(struct sg_domain *d, struct sg_item **items, uint32_t n)
{
	struct sg_stream *s = sg_stream_add(d, NULL, SG_STREAM_NONBLOCKING, 0);
	if (!s)
		return NULL;
	struct sg_item *it = sg_item_mark(s, n ? items[0] : NULL);
	for (uint32_t i = 1; it && i < n; i++) {
		sg_item_put(it);
		it = sg_item_mark(s, items[i]);
	}
	s->released = true;
	if (!s->unfinished)
		sg_stream_discard(s);
	return it;
}

CUresult sg_slice_record(struct sg_domain *d, struct sg_stream *slice, struct sg_event *e)
{
	CUresult r = sg_core_enter();
	if (r != CUDA_SUCCESS)
		return r;
	r = (CUresult)rein_load_relaxed(&d->error);
	uint32_t n = 0;
	struct sg_item **items = r == CUDA_SUCCESS ? tails(d, slice, &n) : NULL;
	struct sg_item *it = items ? mark_all(d, items, n) : NULL;
	for (uint32_t i = 0; items && i < n; i++)
		sg_item_put(items[i]);
	free(items);
	if (it) {
		if (e->item)
			sg_item_put(e->item);
		e->item = it;
	} else if (r == CUDA_SUCCESS) {
		r = CUDA_ERROR_OUT_OF_MEMORY;
	}
	sg_core_leave();
	return r;
}

/* A default stream waits for what its blocking streams wait for; a mark in it would make each of
 * them wait for the work of all others besides. */
static bool waits_through_others(const struct sg_stream *s)
{
	if (s->kind != SG_STREAM_LEGACY)
		return false;
	for (const struct sg_stream *o = s->domain->streams; o; o = o->next)
		if (o->kind == SG_STREAM_BLOCKING && o->legacy == s && !o->released)
			return true;
	return false;
}

/* For streams that are made before the event comes. */
static CUresult add_fence(struct sg_domain *d, struct sg_stream *slice, struct sg_item *it)
{
	struct sg_fence *f = calloc(1, sizeof(*f));
	if (!f)
		return CUDA_ERROR_OUT_OF_MEMORY;
	it->refs++;
	*f = (struct sg_fence){.item = it, .slice = slice, .next = d->fences};
	d->fences = f;
	return CUDA_SUCCESS;
}

CUresult sg_slice_wait(struct sg_domain *d, struct sg_stream *slice, struct sg_event *e)
{
	CUresult r = sg_core_enter();
	if (r != CUDA_SUCCESS)
		return r;
	r = (CUresult)rein_load_relaxed(&d->error);
	struct sg_item *it = e->item;
	if (r == CUDA_SUCCESS && it && !sg_item_done(it)) {
		r = add_fence(d, slice, it);
		/* only released streams can go meanwhile, and these are passed over */
		for (struct sg_stream *s = d->streams; s && r == CUDA_SUCCESS; s = s->next) {
			if (s->released || !belongs(s, slice) || waits_through_others(s))
				continue;
			struct sg_item *mark = sg_item_mark(s, it);
			if (mark)
				sg_item_put(mark);
			else
				r = CUDA_ERROR_OUT_OF_MEMORY;
		}
	}
	sg_core_leave();
	return r;
}

const struct sg_sm_set *sg_cmd_sms(const struct sg_cmd *cmd)
{
	const struct sg_item *it = cmd->engine->item;
	return it->batch ? cmd->sms : it->stream->sms;
}
