// SPDX-License-Identifier: Apache-2.0
/*
 * device.c: the devices that clients declared, by UUID. A device exists while a client uses it.
 * Its index is its place on the board. What users other than root declare is bounded per user, so
 * that made-up UUIDs cannot use up the table.
 */
#include "arbiter_int.h"

#include <string.h>

static int device_free_index(const struct rein_arbiter *a, uid_t uid)
{
	int index = -1;
	unsigned same_user = 0;
	for (int i = REIN_BOARD_DEVICES_MAX - 1; i >= 0; i--) {
		if (!a->device[i])
			index = i;
		else if (a->device[i]->uid == uid)
			same_user++;
	}
	return uid && same_user >= REIN_DEVICES_MAX ? -1 : index;
}

/* Its place in the list of all that there were; REIN_BOARD_DEVICES_MAX: there is no more room. */
static unsigned gpu_of(struct rein_arbiter *a, const uint8_t uuid[16])
{
	unsigned i = 0;
	while (i < a->n_gpus && memcmp(a->gpu[i], uuid, 16) != 0)
		i++;
	if (i == a->n_gpus && i < REIN_BOARD_DEVICES_MAX)
		memcpy(a->gpu[a->n_gpus++], uuid, 16);
	return i;
}

static int device_get(struct rein_arbiter *a, const uint8_t uuid[16], uid_t uid, uint64_t now_ns)
{
	struct rein_arbiter_device *d = NULL;
	HASH_FIND (hh, a->by_uuid, uuid, 16, d)
		;
	if (d)
		return d->index;
	int index = device_free_index(a, uid);
	if (index < 0)
		return -1;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -1;
	memcpy(d->uuid, uuid, 16);
	d->index = index;
	d->gpu = gpu_of(a, uuid);
	d->uid = uid;
	d->charged_ns = now_ns;
	d->next_ns = UINT64_MAX;
	HASH_ADD(hh, a->by_uuid, uuid, 16, d);
	if (!d->hh.tbl) {
		free(d);
		return -1;
	}
	a->device[index] = d;
	rein_points_device(a, d);
	return index;
}

/* Who was alone on it is so no longer, or is again. */
static void device_notify(const struct rein_arbiter *a, const struct rein_arbiter_device *d)
{
	for (unsigned i = 0; i < d->n; i++)
		rein_client_notify(a, d->client[i]);
}

static bool device_has(const struct rein_arbiter_device *d, const struct rein_arbiter_client *c)
{
	for (unsigned i = 0; i < d->n; i++)
		if (d->client[i] == c)
			return true;
	return false;
}

void rein_device_look(struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns)
{
	for (unsigned i = 0; i < REIN_DEVICES_MAX; i++) {
		struct rein_arbiter_slot *s = &c->slot[i];
		if (s->seen || rein_load_acquire(&c->status->device[i].used) != 1)
			continue;
		uint8_t uuid[16];
		memcpy(uuid, c->status->device[i].uuid, sizeof(uuid));
		s->seen = true;
		c->slots = i + 1 > c->slots ? i + 1 : c->slots;
		s->device = device_get(a, uuid, c->uid, now_ns);
		if (s->device < 0) {
			if (a->say)
				a->say(a->say_arg,
				       "too many devices declared: one stays unscheduled");
			continue;
		}
		struct rein_arbiter_device *d = a->device[s->device];
		if (!device_has(d, c)) {
			rein_account_device(a, d, now_ns);
			d->client[d->n++] = c;
			device_notify(a, d);
			c->n_devices++;
			c->devices |= 1ull << d->index;
			rein_job_refresh(a, c);
		}
		rein_points_publish(a, c);
		rein_store_release(&c->control->verdict[i].board_device, (uint32_t)s->device);
		d->dirty = a->dirty = true;
	}
}

void rein_device_mark(struct rein_arbiter *a, struct rein_arbiter_client *c)
{
	for (unsigned i = 0; i < c->slots; i++)
		if (c->slot[i].seen && c->slot[i].device >= 0)
			a->device[c->slot[i].device]->dirty = a->dirty = true;
}

unsigned rein_arbiter_device_active(const struct rein_arbiter_device *d)
{
	unsigned n = 0;
	for (unsigned i = 0; i < d->n; i++)
		n += d->client[i]->live;
	return n;
}

void rein_device_publish_owners(struct rein_arbiter *a, unsigned index)
{
	struct rein_arbiter_device *d = a->device[index];
	bool several = rein_arbiter_device_active(d) > 1;
	if (several == d->several)
		return;
	d->several = several;
	rein_add_release(&a->board->device[index].owners_gen, 1);
}

static void device_drop(struct rein_arbiter *a, unsigned index)
{
	struct rein_arbiter_device *d = a->device[index];
	/* the table holds at least d, but the analyzer cannot know */
	HASH_DEL(a->by_uuid, d); // NOLINT(clang-analyzer-core.NullDereference)
	a->device[index] = NULL;
	free(d);
}

void rein_device_leave(struct rein_arbiter *a, struct rein_arbiter_client *c)
{
	for (unsigned i = 0; i < c->slots; i++) {
		int index = c->slot[i].seen ? c->slot[i].device : -1;
		struct rein_arbiter_device *d = index >= 0 ? a->device[index] : NULL;
		c->slot[i].seen = false;
		if (!d)
			continue;
		for (unsigned k = 0; k < d->n; k++)
			if (d->client[k] == c) {
				d->client[k] = d->client[--d->n];
				device_notify(a, d);
				break;
			}
		d->dirty = a->dirty = true;
		if (d->n == 0)
			device_drop(a, (unsigned)index);
	}
	c->n_devices = 0;
	c->devices = c->held_on = 0;
}
