// SPDX-License-Identifier: Apache-2.0
/*
 * Which submissions a flow leads on from: those for which there is a record of what the GPU did, or
 * of a call that waited just for them. Three bits a submission, by (client, stream, number), 64
 * numbers in an item. A hash stands for the item, and one for the flow: a collision would join two.
 */
#include <errno.h>

#include "export_int.h"

#define FLOWS_MAX (1u << 22) /* items: 128 MiB; what is beyond has no flow */

struct flow_end {
	uint64_t tag; /* 0: free */
	uint64_t leads_on, begun, ended;
};

static bool has_flow(const struct rein_trace_record *r)
{
	return r->stream != UINT32_MAX && r->number;
}

static uint64_t tag_of(uint64_t who, uint32_t stream, uint64_t number)
{
	uint64_t tag = rein_mix3(who, stream, number);
	return tag ? tag : 1;
}

static struct flow_end *at(const struct flow_ends *f, uint64_t tag)
{
	size_t i = (size_t)tag & (f->room - 1);
	while (f->items[i].tag && f->items[i].tag != tag)
		i = (i + 1) & (f->room - 1);
	return &f->items[i];
}

static int grow(struct flow_ends *f)
{
	struct flow_ends old = *f;
	f->room = old.room ? old.room * 2 : 1024;
	f->items = calloc(f->room, sizeof(f->items[0]));
	if (!f->items) {
		*f = old;
		return -ENOMEM;
	}
	for (size_t i = 0; i < old.room; i++)
		if (old.items[i].tag)
			*at(f, old.items[i].tag) = old.items[i];
	free(old.items);
	return 0;
}

int rein_flow_note(struct export *x, unsigned epoch, const struct rein_trace_record *r)
{
	struct flow_ends *f = &x->flows;
	if ((r->kind != REIN_TRACE_GPU && r->kind != REIN_TRACE_SYNC) || !has_flow(r))
		return 0;
	if (f->n >= f->room / 2 && f->room < FLOWS_MAX && grow(f) < 0)
		return -ENOMEM;
	if (f->n >= f->room / 2 + f->room / 4)
		return 0;
	uint64_t tag = tag_of(rein_who(epoch, r->stamp), r->stream, r->number / 64);
	struct flow_end *e = at(f, tag);
	f->n += !e->tag;
	e->tag = tag;
	e->leads_on |= 1ull << r->number % 64;
	return 0;
}

/* The item of a submission, and its bit there; NULL: none. */
static struct flow_end *find(struct export *x, uint64_t who, const struct rein_trace_record *r,
                             uint64_t *bit)
{
	if (!has_flow(r) || !x->flows.room)
		return NULL;
	struct flow_end *e = at(&x->flows, tag_of(who, r->stream, r->number / 64));
	*bit = 1ull << r->number % 64;
	return e->tag ? e : NULL;
}

static uint64_t number_of(uint64_t who, const struct rein_trace_record *r)
{
	return tag_of(~who, r->stream, r->number);
}

uint64_t rein_flow_begin(struct export *x, uint64_t who, const struct rein_trace_record *r)
{
	uint64_t bit;
	struct flow_end *e = find(x, who, r, &bit);
	if (!e || !(e->leads_on & bit) || r->begin < x->from_ns)
		return 0;
	e->begun |= bit;
	return number_of(who, r);
}

uint64_t rein_flow_pass(struct export *x, uint64_t who, const struct rein_trace_record *r)
{
	uint64_t bit;
	const struct flow_end *e = find(x, who, r, &bit);
	return e && e->begun & bit ? number_of(who, r) : 0;
}

uint64_t rein_flow_end(struct export *x, uint64_t who, const struct rein_trace_record *r)
{
	uint64_t bit;
	struct flow_end *e = find(x, who, r, &bit);
	if (!e || !(e->begun & bit) || e->ended & bit)
		return 0;
	e->ended |= bit;
	return number_of(who, r);
}
