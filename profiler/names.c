// SPDX-License-Identifier: Apache-2.0
#include "names.h"

#include <errno.h>
#include <stdlib.h>

#include "entry_names.h" /* generated */

static int order(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int by_identity(const void *x, const void *y)
{
	const struct rein_named *a = x, *b = y;
	int o = order(a->who, b->who);
	return o ? o : order(a->key, b->key);
}

static int by_identity_and_age(const void *x, const void *y)
{
	int o = by_identity(x, y);
	return o ? o
	         : order(((const struct rein_named *)x)->at, ((const struct rein_named *)y)->at);
}

/* Each segment names everybody again: the last naming stays. */
static void settle(struct rein_named_list *l)
{
	size_t kept = 0;
	if (l->n)
		qsort(l->items, l->n, sizeof(l->items[0]), by_identity_and_age);
	for (size_t i = 0; i < l->n; i++)
		if (i + 1 == l->n || by_identity(&l->items[i], &l->items[i + 1]) != 0)
			l->items[kept++] = l->items[i];
	l->n = kept;
}

/* Names come again with each segment, so a full list is thinned out before it grows. */
static struct rein_named *add(struct rein_names *n, struct rein_named_list *l, uint64_t who,
                              uint64_t key)
{
	if (l->n == l->room)
		settle(l);
	if (l->n >= l->room / 2 + l->room / 4) {
		size_t room = l->room ? l->room * 2 : 64;
		struct rein_named *items = reallocarray(l->items, room, sizeof(*items));
		if (!items)
			return NULL;
		l->items = items;
		l->room = room;
	}
	l->items[l->n] = (struct rein_named){.who = who, .key = key, .at = n->cells};
	return &l->items[l->n++];
}

static int add_name(struct rein_names *n, struct rein_named_list *l, uint64_t who, uint64_t key,
                    const struct rein_trace_name *from)
{
	struct rein_named *item = add(n, l, who, key);
	if (!item)
		return -ENOMEM;
	item->pid = from->pid;
	item->prio = from->prio;
	item->joined_ns = from->key;
	memcpy(item->name, from->name, sizeof(from->name));
	return 0;
}

int rein_names_note(struct rein_names *n, unsigned epoch, const struct rein_trace_record *cell)
{
	const struct rein_trace_name *name = (const void *)cell;
	uint64_t who = rein_who(epoch, cell->stamp);
	struct rein_named *end;
	n->cells++;
	switch (cell->kind) {
	case REIN_TRACE_CLIENT:
		return add_name(n, &n->clients, who, 0, name);
	case REIN_TRACE_KERNEL:
		return add_name(n, &n->kernels, who, name->key, name);
	case REIN_TRACE_PROCESS:
		return add_name(n, &n->processes, 0, name->pid, name);
	case REIN_TRACE_CLASS:
		return add_name(n, &n->classes, who, 0, name);
	case REIN_TRACE_LEFT:
		end = add(n, &n->ends, who, 0);
		if (!end)
			return -ENOMEM;
		end->left_ns = cell->end;
		return 0;
	default:
		return 0;
	}
}

static struct rein_named *find(const struct rein_named_list *l, uint64_t who, uint64_t key)
{
	const struct rein_named wanted = {.who = who, .key = key};
	return l->n ? bsearch(&wanted, l->items, l->n, sizeof(wanted), by_identity) : NULL;
}

void rein_names_settle(struct rein_names *n)
{
	settle(&n->clients);
	settle(&n->kernels);
	settle(&n->processes);
	settle(&n->ends);
	settle(&n->classes);
	for (size_t i = 0; i < n->clients.n; i++) {
		const struct rein_named *end = find(&n->ends, n->clients.items[i].who, 0);
		n->clients.items[i].left_ns = end ? end->left_ns : 0;
	}
}

void rein_names_free(struct rein_names *n)
{
	free(n->clients.items);
	free(n->kernels.items);
	free(n->processes.items);
	free(n->ends.items);
	free(n->classes.items);
}

const struct rein_named *rein_names_client(const struct rein_names *n, uint64_t who)
{
	return find(&n->clients, who, 0);
}

const char *rein_names_class(const struct rein_names *n, uint64_t who)
{
	const struct rein_named *class = find(&n->classes, who, 0);
	return class ? class->name : NULL;
}

const struct rein_named *rein_names_process(const struct rein_names *n, uint32_t pid)
{
	return find(&n->processes, 0, pid);
}

const char *rein_names_kernel(const struct rein_names *n, uint64_t who,
                              const struct rein_trace_record *r)
{
	uint64_t key = rein_trace_key(r);
	const struct rein_named *k = key ? find(&n->kernels, who, key) : NULL;
	return k ? k->name : NULL;
}

static int by_entry(const void *x, const void *y)
{
	return order(((const struct rein_entry_name *)x)->id,
	             ((const struct rein_entry_name *)y)->id);
}

const char *rein_names_entry(uint32_t entry)
{
	const struct rein_entry_name key = {.id = entry};
	const struct rein_entry_name *e = bsearch(
	    &key, rein_entry_names, REIN_ARRAY_LEN(rein_entry_names), sizeof(key), by_entry);
	return e ? e->name : "an entry point that this rein does not know";
}
