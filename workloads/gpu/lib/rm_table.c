// SPDX-License-Identifier: Apache-2.0
/* rm_table.c: the decoder of the resource manager's ioctls and the table it keeps; see rm.h. */
#include "rm.h"

#include <errno.h>
#include <linux/ioctl.h>
#include <stdio.h>
#include <string.h>

static uint32_t u32_at(const void *p, size_t offset)
{
	uint32_t v;
	memcpy(&v, (const char *)p + offset, sizeof(v));
	return v;
}

static uint64_t u64_at(const void *p, size_t offset)
{
	uint64_t v;
	memcpy(&v, (const char *)p + offset, sizeof(v));
	return v;
}

static const void *pointer_at(const void *p, size_t offset)
{
	return (const void *)(uintptr_t)u64_at(p, offset); // NOLINT(performance-no-int-to-ptr)
}

bool wl_rm_class_is_copy(uint32_t class_id)
{
	return class_id >= 0xa0b5 && class_id <= 0xffff && (class_id & 0xff) == 0xb5;
}

/* Memory objects come and go by the thousand; only what leads to channels is kept. */
static bool is_kept(uint32_t class_id)
{
	return rein_rm_is_client(class_id) || class_id == REIN_RM_CLASS_DEVICE ||
	       class_id == REIN_RM_CLASS_SUBDEVICE || class_id == WL_RM_CLASS_CTXSHARE ||
	       class_id == REIN_RM_CLASS_GROUP || rein_rm_is_channel(class_id) ||
	       rein_rm_is_compute(class_id) || wl_rm_class_is_copy(class_id);
}

static struct wl_rm_object *find(struct wl_rm_table *t, uint32_t client, uint32_t handle)
{
	for (uint32_t i = 0; i < t->objects; i++)
		if (t->object[i].client == client && t->object[i].handle == handle)
			return &t->object[i];
	return NULL;
}

const struct wl_rm_object *wl_rm_find(const struct wl_rm_table *t, uint32_t client, uint32_t handle)
{
	for (uint32_t i = 0; i < t->objects; i++)
		if (t->object[i].client == client && t->object[i].handle == handle)
			return &t->object[i];
	return NULL;
}

static void drop(struct wl_rm_table *t, uint32_t i)
{
	t->objects--;
	memmove(&t->object[i], &t->object[i + 1], (t->objects - i) * sizeof(t->object[0]));
}

/* Freeing an object frees what is below it; freeing a client, all that is its own. */
static void drop_tree(struct wl_rm_table *t, uint32_t client, uint32_t handle)
{
	uint32_t pending[WL_RM_OBJECTS];
	uint32_t n = 0;
	pending[n++] = handle;
	while (n > 0) {
		uint32_t at = pending[--n];
		for (uint32_t i = 0; i < t->objects;) {
			const struct wl_rm_object *o = &t->object[i];
			bool gone = o->client == client &&
			            (o->handle == at || o->parent == at || client == handle);
			if (gone && o->handle != at && n < WL_RM_OBJECTS)
				pending[n++] = o->handle;
			if (gone)
				drop(t, i);
			else
				i++;
		}
	}
}

static void count_class(struct wl_rm_table *t, uint32_t class_id)
{
	for (uint32_t i = 0; i < t->classes; i++) {
		if (t->class_count[i].class_id == class_id) {
			t->class_count[i].count++;
			return;
		}
	}
	if (t->classes == WL_RM_CLASSES)
		t->classes_lost++;
	else
		t->class_count[t->classes++] =
		    (struct wl_rm_class_count){.class_id = class_id, .count = 1};
}

static void count_control(struct wl_rm_table *t, uint32_t cmd, uint32_t size, uint32_t status)
{
	uint32_t i = 0;
	while (i < t->controls && (t->control[i].cmd != cmd || t->control[i].params_size != size))
		i++;
	if (i == WL_RM_CONTROLS) {
		t->controls_lost++;
		return;
	}
	if (i == t->controls)
		t->control[t->controls++] =
		    (struct wl_rm_control_count){.cmd = cmd, .params_size = size};
	t->control[i].count++;
	t->control[i].failed += status != 0;
	t->control[i].last_status = status;
}

/* Old callers pass no size and the resource manager takes its own; a smaller one holds less. */
static bool holds(const struct wl_rm_event *e, const void *params, uint32_t end)
{
	return params != NULL && (e->params_size == 0 || e->params_size >= end);
}

static void remember(struct wl_rm_table *t, int fd, const struct wl_rm_event *e)
{
	uint32_t client = rein_rm_is_client(e->class_id) ? e->object : e->client;
	if (rein_rm_is_client(e->class_id))
		drop_tree(t, client, client); /* its number was used before */
	else
		drop_tree(t, client, e->object);
	if (t->objects == WL_RM_OBJECTS) {
		t->objects_lost++;
		return;
	}
	t->object[t->objects++] = (struct wl_rm_object){
	    .client = client,
	    .handle = e->object,
	    .parent = e->parent,
	    .class_id = e->class_id,
	    .fd = fd,
	    .engine = e->engine,
	    .flags = e->flags,
	    .flags_known = e->flags != WL_RM_UNKNOWN,
	};
}

static void on_alloc(struct wl_rm_table *t, int fd, const void *arg, struct wl_rm_event *e)
{
	bool wide = e->size == 48;
	const void *params = pointer_at(arg, 16);
	e->kind = WL_RM_EVENT_ALLOC;
	e->client = u32_at(arg, 0);
	e->parent = u32_at(arg, 4);
	e->object = u32_at(arg, 8);
	e->class_id = u32_at(arg, 12);
	e->params_size = u32_at(arg, wide ? 32 : 24);
	e->status = u32_at(arg, wide ? 40 : 28);
	t->allocs++;
	if (e->status != 0)
		return;
	count_class(t, e->class_id);
	if (wide && u32_at(arg, 36) != 0)
		params = NULL; /* serialized: another layout */
	if (e->class_id == REIN_RM_CLASS_GROUP && holds(e, params, 16))
		e->engine = u32_at(params, 12);
	if (rein_rm_is_channel(e->class_id)) {
		if (holds(e, params, 24))
			e->flags = u32_at(params, 20);
		if (holds(e, params, 132))
			e->engine = u32_at(params, 128);
	}
	if (is_kept(e->class_id))
		remember(t, fd, e);
}

static void on_free(struct wl_rm_table *t, const void *arg, struct wl_rm_event *e)
{
	e->kind = WL_RM_EVENT_FREE;
	e->client = u32_at(arg, 0);
	e->parent = u32_at(arg, 4);
	e->object = u32_at(arg, 8);
	e->status = u32_at(arg, 12);
	t->frees++;
	if (e->status == 0)
		drop_tree(t, e->client, e->object);
}

static void on_bind(struct wl_rm_table *t, const struct wl_rm_event *e)
{
	struct wl_rm_object *o = find(t, e->client, e->object);
	if (o)
		o->engine = u32_at(e->params, 0);
}

static void on_control(struct wl_rm_table *t, const void *arg, struct wl_rm_event *e)
{
	e->kind = WL_RM_EVENT_CONTROL;
	e->client = u32_at(arg, 0);
	e->object = u32_at(arg, 4);
	e->cmd = u32_at(arg, 8);
	e->params_size = u32_at(arg, 24);
	e->status = u32_at(arg, 28);
	t->control_calls++;
	count_control(t, e->cmd, e->params_size, e->status);
	if (e->status != 0 || u32_at(arg, 12) != 0 || e->params_size == 0)
		return; /* refused, serialized, or nothing there */
	e->params = pointer_at(arg, 16);
	if (!e->params)
		return;
	if ((e->cmd == WL_RM_CMD_GROUP_BIND || e->cmd == WL_RM_CMD_CHANNEL_BIND) &&
	    e->params_size == 4)
		on_bind(t, e);
	if (e->cmd == REIN_RM_CMD_SET_TIMESLICE && e->params_size == 8) {
		t->set_timeslice_us = u64_at(e->params, 0);
		t->set_timeslices++;
	}
	if (e->cmd == WL_RM_CMD_SET_PREEMPTION && e->params_size >= 16) {
		t->set_preemption_flags = u32_at(e->params, 0);
		t->set_preemption_cilp = u32_at(e->params, 12);
		t->set_preemptions++;
	}
}

struct wl_rm_event wl_rm_observe(struct wl_rm_table *t, int fd, unsigned long request,
                                 const void *arg, int result)
{
	struct wl_rm_event e = {.engine = WL_RM_UNKNOWN, .flags = WL_RM_UNKNOWN};
	if (_IOC_TYPE(request) != REIN_RM_IOC_TYPE || result != 0 || !arg)
		return e;
	e.number = _IOC_NR(request);
	e.size = _IOC_SIZE(request);
	if (e.number == REIN_RM_ESC_XFER && e.size == 16) {
		e.number = u32_at(arg, 0);
		e.size = u32_at(arg, 4);
		arg = pointer_at(arg, 8);
		if (!arg)
			return e;
	}
	t->calls++;
	if (e.number == REIN_RM_ESC_ALLOC && (e.size == 32 || e.size == 48)) {
		on_alloc(t, fd, arg, &e);
	} else if (e.number == REIN_RM_ESC_CONTROL && e.size == 32) {
		on_control(t, arg, &e);
	} else if (e.number == REIN_RM_ESC_FREE && e.size == 16) {
		on_free(t, arg, &e);
	} else if (e.number == REIN_RM_ESC_ALLOC || e.number == REIN_RM_ESC_CONTROL ||
	           e.number == REIN_RM_ESC_FREE) {
		e.kind = WL_RM_EVENT_UNKNOWN;
		t->unknown_layouts++;
		t->last_unknown = e.number << 16 | (e.size & 0xffff);
	} else {
		e.kind = WL_RM_EVENT_OTHER;
		t->dups += e.number == WL_RM_ESC_DUP;
	}
	return e;
}

/* Fills what is below group `o`; the compute class stays 0 if there is no compute object. */
static int gather(const struct wl_rm_table *t, const struct wl_rm_object *o, struct wl_rm_group *g)
{
	int err = 0;
	*g = (struct wl_rm_group){.fd = o->fd,
	                          .client = o->client,
	                          .handle = o->handle,
	                          .device = o->parent,
	                          .engine = o->engine};
	for (uint32_t i = 0; i < t->objects; i++) {
		const struct wl_rm_object *c = &t->object[i];
		if (c->client != o->client || c->parent != o->handle ||
		    !rein_rm_is_channel(c->class_id))
			continue;
		if (g->channels == REIN_RM_DISABLE_MAX) {
			err = -E2BIG;
			break;
		}
		g->channel[g->channels++] = c->handle;
		g->channel_class = c->class_id;
		g->flags_known += c->flags_known;
		g->timeouts += c->flags_known && (c->flags & WL_RM_CHANNEL_ACQUIRE_TIMEOUT);
		for (uint32_t k = 0; k < t->objects && !g->compute_class; k++) {
			const struct wl_rm_object *e = &t->object[k];
			if (e->client == o->client && e->parent == c->handle &&
			    rein_rm_is_compute(e->class_id)) {
				g->compute_class = e->class_id;
				g->compute_channel = c->handle;
			}
		}
	}
	return err;
}

int wl_rm_compute_group(const struct wl_rm_table *t, struct wl_rm_group *g)
{
	struct wl_rm_group candidate;
	uint32_t candidates = 0;
	int err = -ENOENT;
	*g = (struct wl_rm_group){.fd = -1};
	for (uint32_t i = 0; i < t->objects; i++) {
		if (t->object[i].class_id != REIN_RM_CLASS_GROUP)
			continue;
		int gathered = gather(t, &t->object[i], &candidate);
		if (!candidate.compute_class)
			continue;
		if (candidates++ == 0 || candidate.channels > g->channels) {
			*g = candidate;
			err = gathered;
		}
	}
	g->candidates = candidates;
	for (uint32_t i = 0; i < t->objects && err != -ENOENT; i++) {
		const struct wl_rm_object *o = &t->object[i];
		if (o->client == g->client && o->class_id == REIN_RM_CLASS_SUBDEVICE &&
		    (o->parent == g->device || g->subdevice == 0))
			g->subdevice = o->handle;
	}
	for (uint32_t i = 0; i < t->controls; i++)
		if (t->control[i].cmd == REIN_RM_CMD_SCHEDULE &&
		    t->control[i].count > t->control[i].failed)
			g->schedule_size = t->control[i].params_size;
	return err;
}

unsigned wl_rm_groups(const struct wl_rm_table *t, char *text, size_t len)
{
	unsigned n = 0;
	size_t at = 0;
	struct wl_rm_group g;
	char engine[24];
	text[0] = '\0';
	for (uint32_t i = 0; i < t->objects; i++) {
		if (t->object[i].class_id != REIN_RM_CLASS_GROUP)
			continue;
		gather(t, &t->object[i], &g);
		wl_rm_engine_name(g.engine, engine, sizeof(engine));
		int wrote = snprintf(text + at, len - at, "%s%s: %u channel%s%s", n ? ", " : "",
		                     engine, g.channels, g.channels == 1 ? "" : "s",
		                     g.compute_class ? " with compute" : "");
		if (wrote > 0 && (size_t)wrote < len - at)
			at += (size_t)wrote;
		n++;
	}
	return n;
}
