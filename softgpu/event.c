// SPDX-License-Identifier: Apache-2.0
/* event.c: events are references to the item that recorded them last. */
#include "core.h"

#include <stdlib.h>

#include "../common/clock.h"

struct sg_event *sg_event_new(void)
{
	return calloc(1, sizeof(struct sg_event));
}

void sg_event_free(struct sg_event *e)
{
	if (e->item && sg_core_enter() == CUDA_SUCCESS) {
		sg_item_put(e->item); /* a wait for it keeps waiting for the item */
		sg_core_leave();
	}
	free(e);
}

CUresult sg_event_record(struct sg_event *e, struct sg_stream *s)
{
	CUresult r = sg_core_enter();
	if (r != CUDA_SUCCESS)
		return r;
	r = (CUresult)rein_load_relaxed(&s->domain->error);
	struct sg_item *it = r == CUDA_SUCCESS ? sg_item_mark(s, NULL) : NULL;
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

CUresult sg_event_query(struct sg_event *e)
{
	CUresult r = sg_core_enter();
	if (r != CUDA_SUCCESS)
		return r;
	sg_timeline_run(rein_now_ns());
	if (e->item)
		r = sg_item_done(e->item) ? e->item->error : CUDA_ERROR_NOT_READY;
	sg_core_leave();
	return r;
}

CUresult sg_event_sync(struct sg_event *e)
{
	CUresult r = sg_core_enter();
	if (r != CUDA_SUCCESS)
		return r;
	sg_timeline_run(rein_now_ns());
	if (!e->item) {
		sg_core_leave();
		return CUDA_SUCCESS;
	}
	e->item->refs++;
	return sg_item_wait(e->item);
}

CUresult sg_stream_wait_event(struct sg_stream *s, struct sg_event *e)
{
	CUresult r = sg_core_enter();
	if (r != CUDA_SUCCESS)
		return r;
	r = (CUresult)rein_load_relaxed(&s->domain->error);
	if (r == CUDA_SUCCESS && e->item && !sg_item_done(e->item)) {
		struct sg_item *it = sg_item_mark(s, e->item);
		if (it)
			sg_item_put(it);
		else
			r = CUDA_ERROR_OUT_OF_MEMORY;
	}
	sg_core_leave();
	return r;
}

CUresult sg_event_elapsed(struct sg_event *start, struct sg_event *end, double *ms)
{
	CUresult r = sg_core_enter();
	if (r != CUDA_SUCCESS)
		return r;
	sg_timeline_run(rein_now_ns());
	const struct sg_item *a = start->item, *b = end->item;
	if (!a || !b)
		r = CUDA_ERROR_INVALID_HANDLE;
	else if (!sg_item_done(a) || !sg_item_done(b))
		r = CUDA_ERROR_NOT_READY;
	else if (a->error != CUDA_SUCCESS || b->error != CUDA_SUCCESS)
		r = a->error != CUDA_SUCCESS ? a->error : b->error;
	else
		*ms = (double)(int64_t)(b->end_ns - a->end_ns) / 1e6;
	sg_core_leave();
	return r;
}
