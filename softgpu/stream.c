// SPDX-License-Identifier: Apache-2.0
/*
 * stream.c: streams and domains: making, asking, waiting, freeing. item.c has what is submitted
 * to them.
 */
#include "core.h"

#include <stdlib.h>

#include "../common/clock.h"
#include "../common/futex.h"

/* ---- streams */

void sg_stream_discard(struct sg_stream *s)
{
	struct sg_stream **at = &s->domain->streams;
	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	free(s->sms);
	free(s);
}

struct sg_stream *sg_stream_add(struct sg_domain *d, struct sg_stream *slice,
                                enum sg_stream_kind kind, int priority)
{
	struct sg_stream *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	if (slice && slice->sms && !(s->sms = malloc(sizeof(*s->sms)))) {
		free(s);
		return NULL;
	}
	if (s->sms)
		*s->sms = *slice->sms;
	s->legacy = kind == SG_STREAM_LEGACY ? s : slice ? slice : d->legacy;
	s->domain = d;
	s->kind = kind;
	s->priority = priority;
	s->id = ++sg_core.stream_ids;
	s->next = d->streams;
	d->streams = s;
	return s;
}

CUresult sg_stream_new(struct sg_domain *d, enum sg_stream_kind kind, int priority,
                       struct sg_stream **out)
{
	return sg_stream_new_in(d, NULL, kind, priority, out);
}

CUresult sg_stream_new_in(struct sg_domain *d, struct sg_stream *slice, enum sg_stream_kind kind,
                          int priority, struct sg_stream **out)
{
	if (kind == SG_STREAM_LEGACY && d->legacy)
		return CUDA_ERROR_INVALID_VALUE; /* a domain has one */
	CUresult r = sg_core_enter();
	if (r != CUDA_SUCCESS)
		return r;
	struct sg_stream *s = sg_stream_add(d, slice, kind, priority);
	r = s ? sg_channel_choose(s) : CUDA_ERROR_OUT_OF_MEMORY;
	if (r == CUDA_SUCCESS)
		r = sg_slice_fence(s);
	if (s && r != CUDA_SUCCESS) {
		s->released = true;
		if (!s->unfinished)
			sg_stream_discard(s);
	}
	sg_core_leave();
	if (r == CUDA_SUCCESS)
		*out = s;
	return r;
}

void sg_stream_free(struct sg_stream *s)
{
	if (sg_core_enter() != CUDA_SUCCESS)
		return;
	s->released = true;
	if (!s->unfinished)
		sg_stream_discard(s);
	sg_core_leave();
}

/* Does a sync of s wait for o? One of the legacy stream waits for the blocking streams too, one
 * of its whole slice for all of them. */
static bool covers(const struct sg_stream *s, const struct sg_stream *o, bool slice)
{
	return o == s || (s->kind == SG_STREAM_LEGACY && o->legacy == s &&
	                  (slice || o->kind == SG_STREAM_BLOCKING));
}

/* An unfinished item that a sync of `s` (NULL: of the whole domain) waits for and that was
 * submitted before `before_ns`. */
static struct sg_item *unfinished_of(struct sg_domain *d, const struct sg_stream *s)
{
	for (struct sg_stream *o = d->streams; o; o = o->next)
		if (o->tail && (!s || covers(s, o, false)))
			return o->tail;
	return NULL;
}

/* Waits for what is unfinished now; not for what others submit meanwhile. */
CUresult sg_stream_sync_all(struct sg_domain *d, struct sg_stream *s, bool slice)
{
	CUresult r = sg_core_enter();
	if (r != CUDA_SUCCESS)
		return r;
	sg_timeline_run(rein_now_ns());
	uint32_t n = 0, room = 0;
	for (struct sg_stream *o = d->streams; o; o = o->next)
		room += o->tail && (!s || covers(s, o, slice));
	struct sg_item *few[16], **items = few;
	if (room > REIN_ARRAY_LEN(few) && !(items = malloc(room * sizeof(struct sg_item *)))) {
		sg_core_leave();
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	for (struct sg_stream *o = d->streams; room && o; o = o->next) {
		if (!o->tail || (s && !covers(s, o, slice)))
			continue;
		o->tail->refs++;
		items[n++] = o->tail;
	}
	sg_core_leave();
	for (uint32_t i = 0; i < n; i++) {
		r = sg_core_enter();
		if (r != CUDA_SUCCESS)
			break;
		sg_item_wait(items[i]);
	}
	if (items != few)
		free(items);
	if (r != CUDA_SUCCESS || (r = sg_core_enter()) != CUDA_SUCCESS)
		return r;
	sg_executor_reap_here(); /* what was freed in stream order is free when a sync returns */
	sg_core_leave();
	return sg_domain_error(d);
}

CUresult sg_stream_sync(struct sg_stream *s)
{
	return sg_stream_sync_all(s->domain, s, false);
}

CUresult sg_stream_query(struct sg_stream *s)
{
	CUresult r = sg_core_enter();
	if (r != CUDA_SUCCESS)
		return r;
	sg_timeline_run(rein_now_ns());
	r = (CUresult)rein_load_relaxed(&s->domain->error);
	if (r == CUDA_SUCCESS && unfinished_of(s->domain, s))
		r = CUDA_ERROR_NOT_READY;
	sg_core_leave();
	return r;
}

uint64_t sg_stream_id(const struct sg_stream *s)
{
	return s->id;
}

void sg_stream_log_captured(const struct sg_stream *s)
{
	uint64_t now = rein_now_ns();
	sg_record_command(s->id, "captured", "event", now, now);
}

struct sg_domain *sg_stream_domain(const struct sg_stream *s)
{
	return s->domain;
}

enum sg_stream_kind sg_stream_kind_of(const struct sg_stream *s)
{
	return s->kind;
}

int sg_stream_priority(const struct sg_stream *s)
{
	return s->priority;
}

/* ---- domains */

CUresult sg_domain_new(int device, struct sg_domain **out)
{
	CUresult r = sg_core_start();
	if (r == CUDA_SUCCESS)
		r = sg_core_enter();
	if (r != CUDA_SUCCESS)
		return r;
	struct sg_domain *d = NULL;
	if (device < 0 || (uint32_t)device >= sg_core.model->n_devices)
		r = CUDA_ERROR_INVALID_DEVICE;
	else if (!(d = calloc(1, sizeof(*d))) ||
	         !(d->legacy = sg_stream_add(d, NULL, SG_STREAM_LEGACY, 0)))
		r = CUDA_ERROR_OUT_OF_MEMORY;
	if (r == CUDA_SUCCESS)
		d->device = device;
	else
		free(d);
	sg_core_leave();
	*out = r == CUDA_SUCCESS ? d : NULL;
	return r;
}

struct sg_stream *sg_domain_legacy(struct sg_domain *d)
{
	return d->legacy;
}

CUresult sg_domain_sync(struct sg_domain *d)
{
	return sg_stream_sync_all(d, NULL, false);
}

CUresult sg_domain_error(const struct sg_domain *d)
{
	return (CUresult)rein_load_acquire(&d->error);
}

void sg_domain_fail(struct sg_domain *d, CUresult error, const char *text)
{
	if (sg_core_enter() != CUDA_SUCCESS)
		return;
	sg_core_poison(d, error, text);
	sg_core_leave();
}

void sg_domain_end(struct sg_domain *d)
{
	if (sg_core_enter() != CUDA_SUCCESS)
		return;
	d->ending = true;
	sg_core_leave();
}

void sg_domain_free(struct sg_domain *d)
{
	sg_domain_end(d);
	sg_stream_sync_all(d, NULL, false);
	if (sg_core_enter() != CUDA_SUCCESS)
		return; /* forked, or the process ends: nobody may touch it any more */
	while (d->unreaped) {
		sg_executor_reap_here();
		sg_core_leave();
		if (sg_core_enter() != CUDA_SUCCESS)
			return; /* the process ends meanwhile */
	}
	sg_slice_forget(d);
	while (d->streams)
		sg_stream_discard(d->streams);
	sg_channel_forget(d);
	free(d);
	sg_core_leave();
}
