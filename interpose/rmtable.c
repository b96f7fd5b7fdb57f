// SPDX-License-Identifier: Apache-2.0
#include "rmtable.h"

#include <linux/ioctl.h>
#include <string.h>

#define SERIALIZED(flags) ((flags) != 0) /* another layout of the parameters */

/* ---------------------------------------------------------------- calls */

static unsigned size_of(unsigned number)
{
	return number == REIN_RM_ESC_FREE      ? sizeof(struct rein_rm_nvos00)
	       : number == REIN_RM_ESC_CONTROL ? sizeof(struct rein_rm_nvos54)
	                                       : sizeof(struct rein_rm_nvos64);
}

static bool is_known(const struct rein_rm_call *c)
{
	return c->size == size_of(c->number) ||
	       (c->number == REIN_RM_ESC_ALLOC && c->size == sizeof(struct rein_rm_nvos21));
}

struct rein_rm_call rein_rm_call_of(unsigned long request, void *arg)
{
	struct rein_rm_call c = {_IOC_NR(request), _IOC_SIZE(request), arg};
	if (_IOC_TYPE(request) != REIN_RM_IOC_TYPE || _IOC_DIR(request) != (_IOC_READ | _IOC_WRITE))
		c.arg = NULL;
	if (c.arg && c.number == REIN_RM_ESC_XFER && c.size == sizeof(struct rein_rm_xfer)) {
		struct rein_rm_xfer x;
		memcpy(&x, arg, sizeof(x));
		c = (struct rein_rm_call){x.number, x.size, (void *)(uintptr_t)x.arg};
	}
	if (!c.arg || (c.number != REIN_RM_ESC_FREE && c.number != REIN_RM_ESC_CONTROL &&
	               c.number != REIN_RM_ESC_ALLOC))
		return (struct rein_rm_call){0, 0, NULL};
	return c;
}

/* ---------------------------------------------------------------- the table */

static void spoil(struct rein_rm_table *t, const char *why)
{
	if (t->spoiled)
		return;
	t->spoiled = why;
	t->generation++;
}

static bool has(const struct rein_rm_table *t, uint32_t client, uint32_t handle)
{
	for (unsigned i = 0; i < t->objects; i++)
		if (t->object[i].handle == handle && t->object[i].client == client)
			return true;
	return false;
}

/* The object and what is below it. Clients are not kept, only what they own: a client's handle is
 * the name of all of that. */
static bool drop(struct rein_rm_table *t, uint32_t client, uint32_t handle)
{
	uint32_t pending[REIN_RM_OBJECTS + 1];
	unsigned n = 0, before = t->objects;
	pending[n++] = handle;
	while (n > 0) {
		uint32_t at = pending[--n];
		unsigned kept = 0, all = t->objects;
		for (unsigned i = 0; i < all; i++) {
			struct rein_rm_object o = t->object[i];
			bool gone = o.client == client &&
			            (handle == client || o.handle == at || o.parent == at);
			if (!gone)
				t->object[kept++] = o;
			else if (o.handle != at)
				pending[n++] = o.handle; /* each object once, so it fits */
		}
		t->objects = kept;
	}
	t->generation += t->objects != before;
	return t->objects != before;
}

bool rein_rm_frees(const struct rein_rm_table *t, const struct rein_rm_call *call)
{
	struct rein_rm_nvos00 f;
	if (call->number != REIN_RM_ESC_FREE || !is_known(call))
		return false;
	memcpy(&f, call->arg, sizeof(f));
	if (f.object != f.client)
		return has(t, f.client, f.object);
	for (unsigned i = 0; i < t->objects; i++)
		if (t->object[i].client == f.client)
			return true;
	return false;
}

void rein_rm_forget(struct rein_rm_table *t, const struct rein_rm_call *call)
{
	struct rein_rm_nvos00 f;
	memcpy(&f, call->arg, sizeof(f));
	(void)drop(t, f.client, f.object);
}

/* ---------------------------------------------------------------- learning */

/* Both layouts of an allocation, in the newer. */
static struct rein_rm_nvos64 alloc_of(const struct rein_rm_call *call)
{
	struct rein_rm_nvos64 a;
	struct rein_rm_nvos21 old;
	if (call->size == sizeof(a)) {
		memcpy(&a, call->arg, sizeof(a));
		return a;
	}
	memcpy(&old, call->arg, sizeof(old));
	return (struct rein_rm_nvos64){.client = old.client,
	                               .parent = old.parent,
	                               .object = old.object,
	                               .class_id = old.class_id,
	                               .params = old.params,
	                               .params_size = old.params_size,
	                               .status = old.status};
}

static struct rein_rm_nvos54 control_of(const struct rein_rm_call *call)
{
	struct rein_rm_nvos54 c;
	memcpy(&c, call->arg, sizeof(c));
	return c;
}

/* Memory objects come and go by the thousand; only what leads to channels is kept. */
static bool is_kept(uint32_t class_id)
{
	return class_id == REIN_RM_CLASS_DEVICE || class_id == REIN_RM_CLASS_SUBDEVICE ||
	       class_id == REIN_RM_CLASS_GROUP || rein_rm_is_channel(class_id) ||
	       rein_rm_is_compute(class_id);
}

bool rein_rm_matters(const struct rein_rm_call *call)
{
	if (!call->number || !is_known(call))
		return call->number;
	if (call->number == REIN_RM_ESC_ALLOC) {
		struct rein_rm_nvos64 a = alloc_of(call);
		return a.status == REIN_RM_OK &&
		       (is_kept(a.class_id) || rein_rm_is_client(a.class_id));
	}
	return call->number == REIN_RM_ESC_CONTROL &&
	       control_of(call).cmd == REIN_RM_CMD_SCHEDULE &&
	       control_of(call).status == REIN_RM_OK;
}

/* Older callers give no size; the resource manager then takes its own. */
static uint16_t engine_of(const struct rein_rm_nvos64 *a)
{
	uint32_t engine = 0;
	bool there = a->params && !SERIALIZED(a->flags) &&
	             (!a->params_size || a->params_size >= REIN_RM_GROUP_ENGINE + sizeof(engine));
	if (a->class_id == REIN_RM_CLASS_GROUP && there)
		memcpy(&engine, (const char *)(uintptr_t)a->params + REIN_RM_GROUP_ENGINE,
		       sizeof(engine));
	return engine < UINT16_MAX ? (uint16_t)engine : UINT16_MAX;
}

static bool learn_alloc(struct rein_rm_table *t, const struct rein_rm_nvos64 *a, int fd)
{
	if (a->status != REIN_RM_OK)
		return false;
	if (rein_rm_is_client(a->class_id))
		return drop(t, a->object, a->object); /* its number was another's before */
	if (!is_kept(a->class_id))
		return false;
	(void)drop(t, a->client, a->object);
	if (t->objects == REIN_RM_OBJECTS) {
		spoil(t, "it has more channels than there is room for");
		return true;
	}
	t->object[t->objects++] = (struct rein_rm_object){.client = a->client,
	                                                  .handle = a->object,
	                                                  .parent = a->parent,
	                                                  .class_id = (uint16_t)a->class_id,
	                                                  .engine = engine_of(a),
	                                                  .fd = fd};
	t->generation++;
	return true;
}

bool rein_rm_learn(struct rein_rm_table *t, const struct rein_rm_call *call, int fd, int result,
                   bool frees)
{
	unsigned before = t->generation;
	if (t->spoiled || !call->number)
		return false;
	if (!is_known(call)) {
		spoil(t, "the driver's ioctls have a layout that is not known");
	} else if (call->number == REIN_RM_ESC_FREE) {
		struct rein_rm_nvos00 f;
		memcpy(&f, call->arg, sizeof(f));
		if (frees && (result != 0 || f.status != REIN_RM_OK))
			spoil(t, "a channel could not be freed");
	} else if (result == 0 && call->number == REIN_RM_ESC_ALLOC) {
		struct rein_rm_nvos64 a = alloc_of(call);
		(void)learn_alloc(t, &a, fd);
	} else if (result == 0) {
		struct rein_rm_nvos54 c = control_of(call);
		if (c.cmd == REIN_RM_CMD_SCHEDULE && c.status == REIN_RM_OK && !SERIALIZED(c.flags))
			t->schedule_size = c.params_size;
	}
	return t->generation != before;
}

/* ---------------------------------------------------------------- groups */

static bool has_compute(const struct rein_rm_table *t, uint32_t client, uint32_t channel)
{
	for (unsigned i = 0; i < t->objects; i++) {
		const struct rein_rm_object *o = &t->object[i];
		if (o->client == client && o->parent == channel && rein_rm_is_compute(o->class_id))
			return true;
	}
	return false;
}

static bool is_subdevice_of(const struct rein_rm_object *o, const struct rein_rm_group *g)
{
	return o->client == g->client && o->class_id == REIN_RM_CLASS_SUBDEVICE &&
	       o->parent == g->device;
}

/* False: it runs no kernels. */
static bool gather(struct rein_rm_table *t, const struct rein_rm_object *group,
                   struct rein_rm_group *g)
{
	bool compute = false;
	*g = (struct rein_rm_group){.fd = group->fd,
	                            .client = group->client,
	                            .handle = group->handle,
	                            .device = group->parent};
	if (group->engine && group->engine > REIN_RM_ENGINE_GR7)
		return false;
	for (unsigned i = 0; i < t->objects; i++) {
		const struct rein_rm_object *o = &t->object[i];
		if (is_subdevice_of(o, g))
			g->subdevice = o->handle;
		if (o->client != g->client || o->parent != g->handle ||
		    !rein_rm_is_channel(o->class_id))
			continue;
		if (g->channels == REIN_RM_DISABLE_MAX)
			spoil(t, "it has more channels than one control can name");
		else
			g->channel[g->channels++] = o->handle;
		compute |= has_compute(t, g->client, o->handle);
	}
	return compute;
}

unsigned rein_rm_groups(struct rein_rm_table *t, struct rein_rm_group group[REIN_RM_GROUPS])
{
	struct rein_rm_group g;
	unsigned n = 0;
	for (unsigned i = 0; i < t->objects; i++) {
		if (t->object[i].class_id != REIN_RM_CLASS_GROUP || !gather(t, &t->object[i], &g))
			continue;
		if (n == REIN_RM_GROUPS)
			spoil(t, "it has more contexts than there is room for");
		else
			group[n++] = g;
	}
	return t->spoiled ? 0 : n;
}

bool rein_rm_still(const struct rein_rm_table *t, struct rein_rm_group *g)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < g->channels; i++)
		if (has(t, g->client, g->channel[i]))
			g->channel[kept++] = g->channel[i];
	g->channels = kept;
	return has(t, g->client, g->handle);
}
