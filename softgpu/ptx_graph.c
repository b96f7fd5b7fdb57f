// SPDX-License-Identifier: Apache-2.0
/*
 * ptx_graph.c: who calls whom, from the tokens of the bodies, before anything is decoded. A
 * function that can reach itself cannot be inlined; one whose name stands anywhere but as the
 * target of a call may be called through a pointer.
 */
#include <string.h>

#include "ptx_dec.h"

struct edge {
	struct edge *next; /* of the same callee */
	struct ptx_func *caller;
};
struct node {
	struct ptx_func *func;
	struct edge *callers;
	uint32_t calls; /* to functions that may be recursive, as far as is known */
};

static struct ptx_func *function(const struct ptx_load *ld, uint32_t at)
{
	const struct ptx_token *t = &ld->tok[at];
	if (t->kind != PTX_TOK_IDENT || t->s.p[0] == '%' || t->s.p[0] == '$')
		return NULL;
	const struct ptx_sym *sym = ptx_map_get(&ld->globals, 0, t->s);
	return sym && sym->kind == PTX_SYM_FUNC ? sym->func : NULL;
}

/* `at` is behind the word "call": the token that names what is called. */
static uint32_t target_of(struct ptx_load *ld, uint32_t at)
{
	while (ld->tok[at].kind == PTX_TOK_DOT)
		at++;
	if (ptx_tok_is(ld, at, '(')) {
		at = ptx_skip_group(ld, at);
		at += ptx_tok_is(ld, at, ',');
	}
	return at;
}

static void scan(struct ptx_load *ld, struct ptx_func *f, struct node *nodes)
{
	for (uint32_t at = f->body; at < f->end; at++) {
		if (ld->tok[at].kind != PTX_TOK_IDENT)
			continue;
		if (ptx_str_is(ld->tok[at].s, "alloca"))
			f->outline = true; /* what it takes is given back when it returns */
		uint32_t target = ptx_str_is(ld->tok[at].s, "call") ? target_of(ld, at + 1) : 0;
		struct ptx_func *callee = function(ld, target ? target : at);
		if (!callee || !callee->body)
			continue;
		if (!target) {
			callee->taken = true;
			continue;
		}
		at = target;
		if (!f->number)
			continue; /* nobody calls a kernel */
		struct edge *e = ptx_alloc(ld, &ld->temp, sizeof(*e));
		*e = (struct edge){nodes[callee->number].callers, f};
		nodes[callee->number].callers = e;
		nodes[f->number].calls++;
	}
}

/* Takes away functions that call none that are left: what remains can reach a circle. */
static void mark_recursive(struct ptx_load *ld, struct node *nodes)
{
	uint32_t *leaves = ptx_alloc(ld, &ld->temp, (ld->n_funcs + 1) * sizeof(*leaves)), n = 0;
	for (uint32_t i = 1; i <= ld->n_funcs; i++)
		if (!nodes[i].calls)
			leaves[n++] = i;
	while (n)
		for (struct edge *e = nodes[leaves[--n]].callers; e; e = e->next)
			if (!--nodes[e->caller->number].calls)
				leaves[n++] = e->caller->number;
	for (uint32_t i = 1; i <= ld->n_funcs; i++)
		if (nodes[i].calls)
			nodes[i].func->outline = true;
}

void ptx_find_calls(struct ptx_load *ld, struct ptx_func *entries)
{
	if (!ld->n_funcs)
		return;
	struct node *nodes = ptx_alloc(ld, &ld->temp, (ld->n_funcs + 1) * sizeof(*nodes));
	for (struct ptx_func *f = ld->funcs; f; f = f->next)
		nodes[f->number].func = f;
	for (struct ptx_func *f = ld->funcs; f; f = f->next)
		if (f->body)
			scan(ld, f, nodes);
	for (struct ptx_func *f = entries; f; f = f->next)
		scan(ld, f, nodes);
	mark_recursive(ld, nodes);
}

uint64_t ptx_func_pointer(const struct ptx_load *ld, const struct ptx_func *f)
{
	return PTX_FUNC_BASE + ((uint64_t)ld->module->id << 32) + f->number;
}
