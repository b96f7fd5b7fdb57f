// SPDX-License-Identifier: Apache-2.0
/* attribute_who.c: who there is: clients and processes, by number and name; and how long their
 * kernels take alone. Part of the first pass. */
#include "attribute_int.h"

/* So many GPU records of a kernel, and the fastest counts as its time alone. */
#define GPU_ALONE_LEAST 4

/* ---------------------------------------------------------------- who */

static uint64_t client_key(unsigned epoch, uint32_t client)
{
	return (uint64_t)(epoch + 1) << 32 | client;
}

static void set_name(struct rein_who *w, const char *name, size_t len)
{
	w->named = len && name[0];
	if (!w->named) {
		snprintf(w->name, sizeof(w->name), "process %u", w->pid);
		return;
	}
	memset(w->name, 0, sizeof(w->name));
	for (size_t i = 0; i < len && name[i]; i++)
		w->name[i] = name[i] >= ' ' && name[i] < 0x7f ? name[i] : '?';
}

static uint32_t new_who(struct rein_attributor *a, uint32_t pid, const char *name, size_t len)
{
	if (a->who.n >= REIN_ATTRIBUTE_WHOS)
		return REIN_WHO_UNKNOWN;
	struct rein_who *w = rein_list_add(&a->who);
	if (!w) {
		a->failed = true;
		return REIN_WHO_UNKNOWN;
	}
	w->epoch = a->epoch;
	w->pid = pid;
	set_name(w, name, len);
	return (uint32_t)(a->who.n - 1);
}

uint32_t rein_who_client(struct rein_attributor *a, uint32_t client)
{
	const uint32_t *known = rein_index_find(&a->clients, client_key(a->epoch, client));
	return known ? *known : REIN_WHO_UNKNOWN;
}

uint32_t rein_who_process(struct rein_attributor *a, uint32_t pid)
{
	bool fresh;
	if (!pid)
		return REIN_WHO_UNKNOWN;
	uint32_t *known = rein_index_at(&a->processes, pid, &fresh);
	if (!known)
		return REIN_WHO_UNKNOWN;
	if (fresh)
		*known = new_who(a, pid, "", 0);
	return *known;
}

/* Named in each segment; the last naming counts. */
void rein_who_note_client(struct rein_attributor *a, const struct rein_trace_name *n)
{
	bool fresh;
	uint32_t *at = rein_index_at(&a->clients, client_key(a->epoch, n->client), &fresh);
	if (!at)
		return;
	if (fresh)
		*at = new_who(a, n->pid, n->name, sizeof(n->name));
	if (*at == REIN_WHO_UNKNOWN)
		return;
	struct rein_who *w = rein_who_at(a, *at);
	uint32_t who = *at;
	w->client = n->client;
	w->prio = n->prio;
	w->managed = true;
	at = n->pid ? rein_index_at(&a->processes, n->pid, &fresh) : NULL;
	if (at)
		*at = who;
}

void rein_who_note_process(struct rein_attributor *a, const struct rein_trace_name *n)
{
	uint32_t who = rein_who_process(a, n->pid);
	struct rein_who *w = rein_who_at(a, who);
	if (who < REIN_WHO_FIRST || w->managed || !n->name[0])
		return;
	set_name(w, n->name, sizeof(n->name));
}

/* ---------------------------------------------------------------- times alone */

static uint64_t mix(uint64_t a, uint64_t b)
{
	uint64_t h = (a ^ (b >> 29)) * 0x9e3779b97f4a7c15ull + b * 0xbf58476d1ce4e5b9ull;
	return h ^ h >> 31;
}

static uint64_t model_key(uint32_t who, uint64_t key)
{
	return mix(key, who) | 1ull << 63 | 1;
}

static uint64_t gpu_key(uint32_t who, const struct rein_trace_record *r)
{
	return (mix(mix(r->a, r->entry), who) & ~(1ull << 63)) | 1;
}

struct rein_alone *rein_alone_at(struct rein_attributor *a, uint64_t key)
{
	bool fresh;
	uint32_t *at = rein_index_at(&a->kernels, key, &fresh);
	struct rein_alone *alone = NULL;
	if (at && fresh && (alone = rein_list_add(&a->alone)))
		*at = (uint32_t)(a->alone.n - 1);
	else if (at && !fresh && *at < a->alone.n)
		alone = (struct rein_alone *)a->alone.items + *at;
	return alone;
}

/* Named again and again while its time is not sure: the last one counts. */
void rein_alone_note_kernel(struct rein_attributor *a, const struct rein_trace_name *n)
{
	uint32_t who = rein_who_client(a, n->client);
	struct rein_alone *k = n->uid ? rein_alone_at(a, model_key(who, n->key)) : NULL;
	if (k && n->pid >= k->count)
		*k = (struct rein_alone){.ns = n->uid, .count = n->pid};
}

void rein_alone_note_gpu(struct rein_attributor *a, const struct rein_trace_record *r)
{
	uint32_t who = rein_who_client(a, r->stamp);
	a->out->has_gpu = true;
	if (who < REIN_WHO_FIRST)
		return;
	rein_who_at(a, who)->has_gpu = true;
	struct rein_alone *k = r->end > r->begin ? rein_alone_at(a, gpu_key(who, r)) : NULL;
	if (!k)
		return;
	if (!k->count || r->end - r->begin < k->ns)
		k->ns = r->end - r->begin;
	k->count += k->count < UINT32_MAX;
}

static const struct rein_alone *find_alone(const struct rein_attributor *a, uint64_t key)
{
	const uint32_t *at = rein_index_find(&a->kernels, key);
	return at && *at < a->alone.n ? (const struct rein_alone *)a->alone.items + *at : NULL;
}

uint64_t rein_alone_ns(const struct rein_attributor *a, uint32_t who,
                       const struct rein_trace_record *submit, const struct rein_trace_record *gpu)
{
	uint64_t key = submit ? rein_trace_key(submit) : gpu ? gpu->func : 0;
	const struct rein_alone *k = key ? find_alone(a, model_key(who, key)) : NULL;
	if (k)
		return k->ns;
	k = gpu ? find_alone(a, gpu_key(who, gpu)) : NULL;
	return k && k->count >= GPU_ALONE_LEAST ? k->ns : 0;
}
