// SPDX-License-Identifier: Apache-2.0
/*
 * channel.c: the hardware queues that the streams of a context share. A channel lets its commands
 * go in the order of their submission, each when what it waits for has completed: a command that
 * must wait holds back those of other streams behind it, a memory operation that waits for a word
 * likewise. It does not wait for what it has let go.
 *
 * Streams of one priority share the model's number of channels, one after the other as they are
 * made. The NULL stream of a context has its own. A channel has a queue for work on the SMs and
 * one for copies. Event records, host functions and marks need none: they happen when what is
 * before them completes. A graph is let go as a whole; what waits inside it holds nobody else.
 *
 * Nothing can wait for itself that way: whatever an item waits for was submitted before it.
 */
#include "core.h"

#include <stdlib.h>

static struct sg_channels *find(const struct sg_domain *d, int priority)
{
	struct sg_channels *c = d->channels;
	while (c && c->priority != priority)
		c = c->next;
	return c;
}

CUresult sg_channel_choose(struct sg_stream *s)
{
	struct sg_domain *d = s->domain;
	if (sg_core.model->mode == SG_MODE_FAST)
		return CUDA_SUCCESS;
	struct sg_channels *c = find(d, s->priority);
	if (!c) {
		c = calloc(1, sizeof(*c));
		if (!c)
			return CUDA_ERROR_OUT_OF_MEMORY;
		c->priority = s->priority;
		c->next = d->channels;
		d->channels = c;
	}
	s->channels = &c->pair[c->streams++ % sg_core.model->channels];
	return CUDA_SUCCESS;
}

/* `waits`: a mark for an event. NULL: it needs no queue. */
static struct sg_channel *queue_of(struct sg_stream *s, const struct sg_item *it, bool waits)
{
	struct sg_channel_pair *c = s->channels;
	if (!c || (!it->n && !waits))
		return NULL;
	if (it->batch || !it->n)
		return &c->compute;
	switch (it->nodes[0].cmd->kind) {
	case SG_CMD_KERNEL:
	case SG_CMD_SET:
	case SG_CMD_MEMOP:
		return &c->compute;
	case SG_CMD_COPY:
		return &c->copy;
	case SG_CMD_HOST:
	case SG_CMD_MARK:
		break;
	}
	return NULL;
}

void sg_channel_enter(struct sg_stream *s, struct sg_item *it, bool waits)
{
	struct sg_channel *c = queue_of(s, it, waits);
	it->channel = c;
	if (!c)
		return;
	if (c->tail) {
		c->tail->channel_next = it;
		it->waiting++;
	}
	c->tail = it;
}

void sg_channel_leave(struct sg_item *it, uint64_t at_ns)
{
	struct sg_channel *c = it->channel;
	struct sg_item *next = it->channel_next;
	if (!c)
		return;
	it->channel = NULL;
	it->channel_next = NULL;
	if (c->tail == it)
		c->tail = NULL;
	if (!next)
		return;
	next->issue_ns = at_ns;
	if (--next->waiting == 0)
		sg_timeline_ready_item(next);
}

void sg_channel_forget(struct sg_domain *d)
{
	while (d->channels) {
		struct sg_channels *c = d->channels;
		d->channels = c->next;
		free(c);
	}
}
