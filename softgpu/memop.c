// SPDX-License-Identifier: Apache-2.0
/*
 * memop.c: memory operations of streams on the timeline. The front end does them: no SM time, no
 * worker. One whose wait is not satisfied stays in sg_core.closed, and its stream with it, until
 * the word has the value, whoever writes it: a kernel or a stream of this process, which is seen
 * at once; the host or another process, which nobody announces: so the engine thread looks again
 * and again, often at first, and less and less the longer it lasts: a hold of t ns ends up to
 * t / 20 late, within POLL_MIN_NS and POLL_MAX_NS. A long one costs some 5 % of a core; many, not
 * more.
 *
 * Everything here is under the engine's lock; nothing waits.
 */
#include "core.h"

#include "../common/clock.h"

#define POLL_MIN_NS 10000ull
#define POLL_MAX_NS 250000ull

static struct sg_timeline *timeline_of(const struct sg_node *nd)
{
	return &sg_core.device[nd->item->domain->device];
}

/* Does what can be done now; done at `at_ns` by the model's clock. False: it has to wait. */
static bool try_step(struct sg_node *nd, uint64_t at_ns)
{
	const struct sg_model *m = sg_core.model;
	struct sg_domain *d = nd->item->domain;
	struct sg_cmd *c = nd->cmd;
	if (rein_load_relaxed(&d->error) == CUDA_SUCCESS) {
		CUresult r = c->step(c);
		if (r == CUDA_ERROR_NOT_READY && !d->ending)
			return false;
		if (r == CUDA_ERROR_NOT_READY) /* the rest of the context's work goes with it */
			sg_core_poison(d, CUDA_ERROR_CONTEXT_IS_DESTROYED, NULL);
		else if (r != CUDA_SUCCESS)
			sg_core_poison(d, r, c->error_text);
	}
	nd->end_ns = at_ns + (m->mode == SG_MODE_FAST ? 0 : sg_model_memops_ns(m, c->memops));
	return true;
}

void sg_memop_start(struct sg_node *nd)
{
	const struct sg_item *it = nd->item;
	nd->start_ns = it->submit_ns > it->issue_ns ? it->submit_ns : it->issue_ns;
	if (nd->start_ns < nd->pred_end_ns)
		nd->start_ns = nd->pred_end_ns;
	nd->untimed = nd->timed_out = nd->ran = true;
	if (try_step(nd, nd->start_ns)) {
		sg_timeline_complete(nd);
		return;
	}
	struct sg_timeline *tl = timeline_of(nd);
	if (!tl->closed++)
		tl->closed_ns = nd->start_ns;
	nd->timed_next = sg_core.closed;
	sg_core.closed = nd;
}

bool sg_memop_poll(void)
{
	bool any = false;
	struct sg_node **at = &sg_core.closed;
	while (*at) {
		struct sg_node *nd = *at;
		if (!try_step(nd, rein_now_ns())) {
			at = &nd->timed_next;
			continue;
		}
		*at = nd->timed_next;
		timeline_of(nd)->closed--;
		sg_timeline_complete(nd); /* may free what nd is in */
		any = true;
	}
	return any;
}

uint64_t sg_memop_wake_ns(uint64_t now_ns)
{
	uint64_t wake = SG_NEVER;
	for (const struct sg_node *nd = sg_core.closed; nd; nd = nd->timed_next) {
		uint64_t every = now_ns > nd->start_ns ? (now_ns - nd->start_ns) / 20 : 0;
		if (every < POLL_MIN_NS)
			every = POLL_MIN_NS;
		if (every > POLL_MAX_NS)
			every = POLL_MAX_NS;
		if (now_ns + every < wake)
			wake = now_ns + every;
	}
	return wake;
}
