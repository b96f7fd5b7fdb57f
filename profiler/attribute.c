// SPDX-License-Identifier: Apache-2.0
/* attribute.c: the two passes over a recording, and when which request is walked. */
#include "attribute.h"

#include <errno.h>
#include <stdlib.h>

#include "../common/clock.h"
#include "attribute_int.h"

/* Records of one moment come from many rings and kernels: this far behind the newest one all are
 * there. */
#define HORIZON_NS REIN_S

/* ---------------------------------------------------------------- the second pass */

/* `learn`: only what each walk teaches about how long work takes alone. */
static void walk_one(struct rein_attributor *a, const struct rein_todo *t, bool learn)
{
	struct rein_walk w = {.a = a, .w = &a->window};
	rein_walk(&w, t);
	if (!learn)
		rein_story_take(a, t, &w);
}

/* From when on records are still needed by what is not walked yet. */
static uint64_t needed_ns(const struct rein_attributor *a)
{
	const struct rein_todo *t = a->todo.items;
	uint64_t ns = a->window.newest_ns;
	for (size_t i = a->done; i < a->todo.n; i++)
		ns = rein_earlier(ns, t[i].begin);
	return ns;
}

/* Walks whatever ended that far behind the newest record; `all`: there is no more to come. */
static void walk_some(struct rein_attributor *a, bool all)
{
	const struct rein_todo *t = a->todo.items;
	size_t last = a->done;
	rein_window_sort(&a->window);
	while (last < a->todo.n && (all || t[last].end + HORIZON_NS <= a->window.newest_ns))
		walk_one(a, &t[last++], true);
	for (; a->done < last; a->done++)
		walk_one(a, &t[a->done], false);
	if (!all)
		rein_window_drop(&a->window, rein_earlier(needed_ns(a), a->window.newest_ns));
}

static void second_look(struct rein_attributor *a, const struct rein_trace_record *r)
{
	if (r->kind == REIN_TRACE_LOST && r->end >= a->from_ns)
		a->out->records_lost += r->a;
	if (!rein_window_add(a, r))
		walk_some(a, false);
}

/* ---------------------------------------------------------------- the whole */

static void name_constants(struct rein_attributor *a)
{
	static const char *const names[REIN_WHO_FIRST] = {"nobody", "itself", "somebody unknown",
	                                                  "others"};
	for (unsigned i = 0; i < REIN_WHO_FIRST; i++) {
		struct rein_who *w = rein_list_add(&a->who);
		if (w)
			snprintf(w->name, sizeof(w->name), "%s", names[i]);
		a->failed |= !w;
	}
}

static bool attributor_init(struct rein_attributor *a, const struct rein_attribute_wish *wish,
                            struct rein_attribution *out, size_t max_window)
{
	memset(a, 0, sizeof(*a));
	memset(out, 0, sizeof(*out));
	a->wish = *wish;
	a->out = out;
	a->who.size = sizeof(struct rein_who);
	a->spans.size = a->outsiders.size = a->open.size = a->seen.size = sizeof(struct rein_span);
	a->epochs.size = sizeof(struct rein_span);
	a->present.size = sizeof(struct rein_present);
	a->requests.size = sizeof(struct rein_request);
	a->todo.size = sizeof(struct rein_todo);
	a->lost.size = sizeof(struct rein_lost);
	a->alone.size = sizeof(struct rein_alone);
	a->max_requests = REIN_ATTRIBUTE_REQUESTS;
	a->scratch = malloc(REIN_CHAIN_MAX * sizeof(a->scratch[0]));
	name_constants(a);
	return rein_window_init(&a->window, max_window) && a->scratch && !a->failed;
}

static void attributor_fini(struct rein_attributor *a)
{
	struct rein_list *lists[] = {&a->who,     &a->spans, &a->outsiders, &a->open,
	                             &a->present, &a->seen,  &a->requests,  &a->todo,
	                             &a->lost,    &a->alone, &a->epochs};
	struct rein_index *indices[] = {&a->clients, &a->processes, &a->cells, &a->kernels};
	for (unsigned i = 0; i < REIN_ARRAY_LEN(lists); i++)
		rein_list_free(lists[i]);
	for (unsigned i = 0; i < REIN_ARRAY_LEN(indices); i++)
		free(indices[i]->row);
	rein_window_free(&a->window);
	free(a->scratch);
	free(a->marks);
}

struct pass {
	struct rein_attributor *a;
	void (*look)(struct rein_attributor *a, const struct rein_trace_record *r);
};

static int look(void *arg, const struct rein_trace_record *r)
{
	const struct pass *p = arg;
	p->look(p->a, r);
	return p->a->failed ? -ENOMEM : 0;
}

static int read_all(struct pass *p, const struct rein_recording *r)
{
	int err = 0;
	p->a->epoch = 0;
	for (unsigned i = 0; !err && i < r->n; i++) {
		p->a->out->has_offcpu |= (r->segment[i].header.sees & REIN_SEES_OFFCPU) != 0;
		p->a->looked |= (r->segment[i].header.sees & REIN_SEES_OPEN) != 0;
		err = rein_recording_read(r, i, look, p);
		p->a->epoch += r->segment[i].last;
	}
	return err;
}

/* No more room than there are records. */
static size_t window_for(const struct rein_recording *r)
{
	uint64_t cells = 2;
	for (unsigned i = 0; i < r->n; i++)
		cells += rein_earlier(r->segment[i].cells, REIN_ATTRIBUTE_WINDOW);
	return rein_earlier(cells, REIN_ATTRIBUTE_WINDOW);
}

int rein_attribute(const struct rein_recording *r, const struct rein_attribute_wish *wish,
                   struct rein_attribution *out)
{
	struct rein_attributor a;
	struct pass p = {.a = &a, .look = rein_marks_look};
	int err = attributor_init(&a, wish, out, window_for(r)) ? 0 : -ENOMEM;
	if (!err)
		err = read_all(&p, r);
	if (!err) {
		rein_marks_settle(&a);
		p.look = second_look;
		err = a.failed ? -ENOMEM : read_all(&p, r);
	}
	if (!err)
		walk_some(&a, true);
	err = !err && a.failed ? -ENOMEM : err;
	rein_story_finish(&a);
	attributor_fini(&a);
	if (err)
		rein_attribution_free(out);
	return err;
}

void rein_attribution_free(struct rein_attribution *a)
{
	free(a->who);
	free(a->requests);
	free(a->stories);
	free(a->lost);
	memset(a, 0, sizeof(*a));
}
