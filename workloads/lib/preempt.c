// SPDX-License-Identifier: Apache-2.0
/* preempt.c: see preempt.h. */
#include "preempt.h"

/* The end of the last interval with a part before `before`, or `least`. */
static uint64_t last_end(const struct wl_slices *s, uint64_t before, uint64_t least)
{
	uint64_t end = least;
	for (size_t i = 0; i < s->n; i++) {
		if (s->v[i].start_ns >= before || s->v[i].end_ns <= end)
			continue;
		end = s->v[i].end_ns < before ? s->v[i].end_ns : before;
	}
	return end;
}

void wl_preempt_add(struct wl_preempt *p, uint64_t submitted_ns, uint64_t begin_ns, uint64_t end_ns,
                    const struct wl_slices *lower)
{
	uint64_t begin = begin_ns > submitted_ns ? begin_ns : submitted_ns;
	uint64_t end = end_ns > begin ? end_ns : begin;
	uint64_t last = last_end(lower, end, submitted_ns);
	uint64_t before = last_end(lower, begin, submitted_ns);
	wl_samples_add(&p->sample[WL_PREEMPT_LOWER], last - submitted_ns);
	wl_samples_add(&p->sample[WL_PREEMPT_BEGIN], begin - submitted_ns);
	wl_samples_add(&p->sample[WL_PREEMPT_HANDOVER], begin - before);
	wl_samples_add(&p->sample[WL_PREEMPT_ALONE], (last > begin ? last : begin) - submitted_ns);
	wl_samples_add(&p->sample[WL_PREEMPT_END], end - submitted_ns);
}

void wl_preempt_sort(struct wl_preempt *p)
{
	for (int w = 0; w < WL_PREEMPT_WHATS; w++)
		wl_sort(p->sample[w].v, p->sample[w].n);
}

void wl_preempt_fini(struct wl_preempt *p)
{
	for (int w = 0; w < WL_PREEMPT_WHATS; w++)
		wl_samples_fini(&p->sample[w]);
}
