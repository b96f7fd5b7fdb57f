// SPDX-License-Identifier: Apache-2.0
/* metrics.c: where clients' figures are kept so that they outlive them, and gathering it all. */
#include "metrics.h"

#include <string.h>

#include "../common/clock.h"
#include "../common/version.h"
#include "server.h"
#include "snapshot.h"

#define OTHERS "(others)"

struct rein_metrics_class { /* as many as the configuration has had; never freed before the end */
	char name[REIN_CLASS_LEN];
	struct rein_tally tally;
	UT_hash_handle hh;
};

struct row_key {
	char class_name[REIN_CLASS_LEN], client[REIN_NAME_LEN];
};

struct rein_metrics_row {
	struct row_key key;
	struct rein_counts gone; /* of clients that have left, or have another class now */
	unsigned live;
	uint64_t left_ns; /* the last one did then */
	unsigned index;   /* while a view is filled */
	UT_hash_handle hh;
};

/* ---------------------------------------------------------------- counting */

/* All counters of struct rein_counts alike. */
#define N_COUNTS (sizeof(struct rein_counts) / sizeof(uint64_t))
static_assert(sizeof(struct rein_counts) % sizeof(uint64_t) == 0, "only counters");

/* to += now − before. The clients' word is not trusted: what fell does not make the sum fall. */
static void add_counts(struct rein_counts *to, const struct rein_counts *now,
                       const struct rein_counts *before)
{
	uint64_t t[N_COUNTS], n[N_COUNTS], b[N_COUNTS];
	memcpy(t, to, sizeof(t));
	memcpy(n, now, sizeof(n));
	memcpy(b, before, sizeof(b));
	for (unsigned i = 0; i < N_COUNTS; i++)
		t[i] += n[i] > b[i] ? n[i] - b[i] : 0;
	memcpy(to, t, sizeof(t));
}

/* NULL: out of memory, nothing is counted by class. */
static struct rein_metrics_class *class_get(struct rein_metrics *m, const char *name)
{
	struct rein_metrics_class *k = NULL;
	HASH_FIND_STR(m->classes, name, k);
	if (k)
		return k;
	k = calloc(1, sizeof(*k));
	if (!k)
		return NULL;
	snprintf(k->name, sizeof(k->name), "%s", name);
	HASH_ADD_STR(m->classes, name, k);
	if (k->hh.tbl)
		return k;
	free(k);
	return NULL;
}

/* The row of a name whose programs are gone longest gives way. False: all are in use. */
static bool make_room(struct rein_metrics *m)
{
	struct rein_metrics_row *oldest = NULL;
	for (struct rein_metrics_row *r = m->rows; r; r = r->hh.next)
		if (!r->live && (!oldest || r->left_ns < oldest->left_ns))
			oldest = r;
	if (!oldest)
		return false;
	HASH_DEL(m->rows, oldest);
	m->n_rows--;
	free(oldest);
	return true;
}

static struct rein_metrics_row *row_find(struct rein_metrics *m, const struct row_key *key)
{
	struct rein_metrics_row *r = NULL;
	HASH_FIND (hh, m->rows, key, sizeof(*key), r)
		;
	return r;
}

/* NULL: out of memory. One place is kept for those that there is none for. */
static struct rein_metrics_row *row_get(struct rein_metrics *m, const struct rein_client *c)
{
	struct row_key key = {0};
	snprintf(key.class_name, sizeof(key.class_name), "%s", c->class_name);
	snprintf(key.client, sizeof(key.client), "%s", c->member.arbiter.name);
	struct rein_metrics_row *r = row_find(m, &key);
	if (r)
		return r;
	if (m->n_rows >= REIN_METRICS_ROWS_MAX - 1 && !make_room(m)) {
		key = (struct row_key){.client = OTHERS};
		r = row_find(m, &key);
		if (r)
			return r;
	}
	r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	r->key = key;
	HASH_ADD(hh, m->rows, key, sizeof(key), r);
	if (!r->hh.tbl) {
		free(r);
		return NULL;
	}
	m->n_rows++;
	return r;
}

/* ---------------------------------------------------------------- clients */

void rein_metrics_join(struct rein_server *s, struct rein_client *c)
{
	struct rein_metrics_class *k = class_get(&s->metrics, c->class_name);
	c->member.arbiter.tally = k ? &k->tally : NULL;
	c->row = row_get(&s->metrics, c);
	if (c->row)
		c->row->live++;
}

static void row_leave(struct rein_client *c, const struct rein_counts *now)
{
	if (!c->row)
		return;
	add_counts(&c->row->gone, now, &c->counted);
	c->row->live--;
	c->row->left_ns = rein_now_ns();
	c->row = NULL;
}

void rein_metrics_leave(struct rein_server *s, struct rein_client *c)
{
	struct rein_counts now;
	rein_arbiter_counts(&c->member.arbiter, &now);
	row_leave(c, &now);
}

struct move {
	struct rein_arbiter_client *client;
	struct rein_tally *tally;
	struct rein_counts counts;
};

static void do_move(struct rein_arbiter *a, void *arg, uint64_t now_ns)
{
	struct move *m = arg;
	rein_arbiter_account(a, now_ns);
	rein_arbiter_counts(m->client, &m->counts);
	m->client->tally = m->tally;
}

void rein_metrics_move(struct rein_server *s, struct rein_client *c)
{
	struct rein_metrics_class *k = class_get(&s->metrics, c->class_name);
	struct move m = {.client = &c->member.arbiter, .tally = k ? &k->tally : NULL};
	rein_loop_call(s->loop, do_move, &m);
	row_leave(c, &m.counts);
	c->counted = m.counts;
	c->row = row_get(&s->metrics, c);
	if (c->row)
		c->row->live++;
}

/* ---------------------------------------------------------------- gathering */

struct tallies {
	struct rein_server *server;
	struct rein_metrics_view *view;
};

static void do_tallies(struct rein_arbiter *a, void *arg, uint64_t now_ns)
{
	const struct tallies *t = arg;
	struct rein_metrics_class_view *to = t->view->class;
	for (const struct rein_metrics_class *k = t->server->metrics.classes; k; k = k->hh.next)
		(to++)->tally = k->tally;
	t->view->n_gpus = a->n_gpus;
	for (unsigned i = 0; i < a->n_gpus; i++)
		memcpy(t->view->gpu[i].uuid, a->gpu[i], 16);
}

static void add_client(struct rein_metrics_row_view *r, const struct rein_client *k,
                       const struct rein_snapshot_client *c)
{
	add_counts(&r->n, &c->n, &k->counted);
	r->clients++;
	r->share += c->share;
	r->sms += c->sms_now;
	if (c->held && c->mode > r->gate)
		r->gate = c->mode;
	if (c->backlog_ns > r->backlog_ns)
		r->backlog_ns = c->backlog_ns;
	if (c->recent.response_p99_ns > r->response_p99_ns)
		r->response_p99_ns = c->recent.response_p99_ns;
}

static const struct rein_snapshot_client *find_in(const struct rein_snapshot *snap, uint32_t id)
{
	unsigned low = 0, high = snap->n_clients;
	while (low < high) {
		unsigned middle = (low + high) / 2;
		if (snap->client[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < snap->n_clients && snap->client[low].id == id ? &snap->client[low] : NULL;
}

static void fill_rows(struct rein_server *s, const struct rein_snapshot *snap,
                      struct rein_metrics_view *v)
{
	for (struct rein_metrics_row *r = s->metrics.rows; r; r = r->hh.next) {
		struct rein_metrics_row_view *to = &v->row[v->n_rows];
		memcpy(to->class_name, r->key.class_name, sizeof(to->class_name));
		memcpy(to->client, r->key.client, sizeof(to->client));
		to->n = r->gone;
		r->index = v->n_rows++;
	}
	for (const struct rein_conn *c = s->conns; c; c = c->next) {
		const struct rein_client *k = c->client;
		const struct rein_snapshot_client *found =
		    k && k->row ? find_in(snap, k->member.arbiter.policy.id) : NULL;
		if (found)
			add_client(&v->row[k->row->index], k, found);
		for (unsigned i = 0; k && i < v->n_classes; i++)
			v->class[i].clients += strcmp(v->class[i].name, k->class_name) == 0;
	}
}

static void fill_devices(const struct rein_snapshot *snap, struct rein_metrics_view *v)
{
	for (unsigned i = 0; i < v->n_gpus; i++)
		for (unsigned k = 0; k < snap->n_devices; k++)
			if (memcmp(v->gpu[i].uuid, snap->device[k].uuid, 16) == 0) {
				v->gpu[i].clients = snap->device[k].clients;
				v->gpu[i].active = snap->device[k].active;
			}
}

/* False: out of memory. */
static bool fill(struct rein_server *s, struct rein_metrics_view *v)
{
	struct tallies t = {s, v};
	struct rein_snapshot *snap = rein_snapshot_take(s);
	for (const struct rein_metrics_class *k = s->metrics.classes; k; k = k->hh.next)
		v->n_classes++;
	v->class = calloc(v->n_classes + 1, sizeof(*v->class));
	v->row = calloc(s->metrics.n_rows + 1, sizeof(*v->row));
	if (!snap || !v->class || !v->row) {
		rein_snapshot_free(snap);
		return false;
	}
	unsigned i = 0;
	for (const struct rein_metrics_class *k = s->metrics.classes; k; k = k->hh.next)
		memcpy(v->class[i++].name, k->name, sizeof(k->name));
	rein_loop_call(s->loop, do_tallies, &t);
	rein_loop_stats(s->loop, &v->loop);
	rein_collector_stats(s->collector, &v->events);
	v->version = REIN_VERSION;
	v->policy = s->policy->name;
	v->mode = rein_mode_name(rein_loop_mode(s->loop));
	v->uptime_ns = rein_now_ns() - s->started_ns;
	v->n_clients = s->n_clients;
	fill_devices(snap, v);
	fill_rows(s, snap, v);
	rein_snapshot_free(snap);
	return true;
}

const struct rein_metrics_text *rein_metrics_make(struct rein_server *s, bool open_metrics)
{
	struct rein_metrics_text *t = &s->metrics.made[open_metrics];
	uint64_t now_ns = rein_now_ns();
	if (t->made_ns && now_ns - t->made_ns < REIN_METRICS_FRESH_NS)
		return t;
	REIN_AUTO_FREE struct rein_metrics_view *v = calloc(1, sizeof(*v));
	free(t->text);
	*t = (struct rein_metrics_text){0};
	bool ok = v && fill(s, v);
	FILE *f = ok ? open_memstream(&t->text, &t->len) : NULL;
	if (f) {
		rein_metrics_text(f, v, open_metrics);
		ok = !ferror(f);
		ok = fclose(f) == 0 && ok;
	}
	if (v) {
		free(v->class);
		free(v->row);
	}
	if (!f || !ok)
		return NULL;
	t->made_ns = now_ns;
	return t;
}

void rein_metrics_free(struct rein_server *s)
{
	struct rein_metrics *m = &s->metrics;
	while (m->classes) {
		struct rein_metrics_class *k = m->classes;
		HASH_DEL(m->classes, k);
		free(k);
	}
	while (m->rows) {
		struct rein_metrics_row *r = m->rows;
		HASH_DEL(m->rows, r);
		free(r);
	}
	free(m->made[0].text);
	free(m->made[1].text);
	memset(m->made, 0, sizeof(m->made));
	free(m->scrape);
	m->scrape = NULL;
}
