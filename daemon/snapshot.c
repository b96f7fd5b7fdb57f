// SPDX-License-Identifier: Apache-2.0
#include "snapshot.h"

#include <string.h>

#include "arbiter_int.h"
#include "server.h"

void rein_uuid_text(char text[REIN_UUID_LEN], const uint8_t uuid[16])
{
	char *p = text + sprintf(text, "GPU-");
	for (unsigned i = 0; i < 16; i++)
		p +=
		    sprintf(p, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
}

static void copy_client(const struct rein_arbiter *a, struct rein_arbiter_client *c,
                        const int *place, struct rein_snapshot_client *out, uint64_t now_ns)
{
	const struct rein_status *st = c->status;
	out->id = c->policy.id;
	out->holder = c->held ? c->holder : 0;
	out->prio = c->policy.prio;
	out->weight = c->policy.weight;
	out->latency_nice = c->policy.latency_nice;
	out->job = c->policy.job;
	out->band = c->policy.band;
	out->backlog_ns = c->policy.backlog_ns;
	rein_arbiter_measured(c, &out->measured);
	out->held = c->held;
	out->mode = c->mode;
	rein_arbiter_counts(c, &out->n);
	rein_arbiter_recent(c, now_ns, &out->recent);
	out->sms = c->sms;
	out->sms_now = c->points ? rein_load_relaxed(&c->points->sms) : 0;
	out->sms_of = c->points ? rein_load_relaxed(&c->points->sms_of) : 0;
	out->cupti = c->points ? rein_load_relaxed(&c->points->cupti) : 0;
	out->waiting = c->demand & REIN_DEMAND_WAITING;
	out->working = c->demand & REIN_DEMAND_ACTIVE;
	out->share = rein_arbiter_share(c, now_ns);
	uint32_t flags = rein_load_relaxed(&st->request_flags);
	out->declares = flags & REIN_REQUEST_DECLARED;
	out->background = flags & REIN_REQUEST_BACKGROUND;
	out->requests_open = rein_load_relaxed(&st->requests_open);
	out->late = rein_load_relaxed(&st->late);
	out->arrival_ns = rein_load_relaxed(&st->arrival_ns);
	out->deadline_ns = rein_load_relaxed(&st->deadline_ns);
	out->delay_ns = rein_points_delay(a, c, now_ns);
	for (unsigned i = 0; i < REIN_DEVICES_MAX; i++) {
		const struct rein_arbiter_slot *slot = &c->slot[i];
		if (!slot->seen || slot->device < 0)
			continue;
		out->metered |= slot->metered;
		out->devices |= 1ull << place[slot->device];
	}
}

static void do_copy(struct rein_arbiter *a, void *arg, uint64_t now_ns)
{
	struct rein_snapshot *snap = arg;
	int place[REIN_BOARD_DEVICES_MAX];
	rein_arbiter_scan(a, now_ns);
	rein_arbiter_account(a, now_ns);
	for (unsigned i = 0; i < REIN_BOARD_DEVICES_MAX; i++) {
		const struct rein_arbiter_device *d = a->device[i];
		if (!d)
			continue;
		place[i] = (int)snap->n_devices;
		memcpy(snap->device[snap->n_devices].uuid, d->uuid, 16);
		snap->device[snap->n_devices].clients = d->n;
		snap->device[snap->n_devices].gates = d->gates;
		snap->device[snap->n_devices++].active = rein_arbiter_device_active(d);
	}
	for (unsigned i = 0; i < a->n; i++)
		copy_client(a, a->client[i], place, &snap->client[snap->n_clients++], now_ns);
}

static int by_id(const void *x, const void *y)
{
	uint32_t a = ((const struct rein_snapshot_client *)x)->id;
	uint32_t b = ((const struct rein_snapshot_client *)y)->id;
	return a < b ? -1 : a > b;
}

struct rein_snapshot *rein_snapshot_take(struct rein_server *s)
{
	struct rein_snapshot *snap =
	    calloc(1, sizeof(*snap) + s->n_clients * sizeof(snap->client[0]));
	if (!snap)
		return NULL;
	rein_loop_call(s->loop, do_copy, snap);
	qsort(snap->client, snap->n_clients, sizeof(snap->client[0]), by_id);
	return snap;
}

void rein_snapshot_free(struct rein_snapshot *snap)
{
	free(snap);
}
