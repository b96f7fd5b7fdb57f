// SPDX-License-Identifier: Apache-2.0
/*
 * ptx_parse.c: the module level of PTX: directives, variables and their initial values, function
 * heads. Bodies are only skipped here; ptx_body.c decodes those that kernels reach.
 */
#include <stdio.h>
#include <string.h>

#include "ptx_dec.h"

#define VAR_LIMIT ((uint64_t)1 << 31) /* nvcc's own */

struct pending { /* an initialiser, read once all variables have addresses */
	struct pending *next;
	struct ptx_sym *sym;
	uint32_t at;
};
struct parser {
	struct ptx_load *ld;
	uint32_t at;
	struct pending *pending;
	struct entry *entries, **last;
};
struct entry {
	struct entry *next;
	struct ptx_func func;
	struct ptx_kernel *k;
};

#define NAME(s) (int)((s).len < 120 ? (s).len : 120), (s).p

static uint64_t need_int(struct ptx_load *ld, uint32_t *at)
{
	char buf[48];
	if (ld->tok[*at].kind != PTX_TOK_INT)
		ptx_fail(ld, PTX_BAD_SYNTAX, ld->tok[*at].line, "number expected, not %s",
		         ptx_tok_text(ld, *at, buf, sizeof(buf)));
	return ld->tok[(*at)++].value;
}

static struct ptx_str need_name(struct ptx_load *ld, uint32_t *at)
{
	char buf[48];
	if (ld->tok[*at].kind != PTX_TOK_IDENT)
		ptx_fail(ld, PTX_BAD_SYNTAX, ld->tok[*at].line, "name expected, not %s",
		         ptx_tok_text(ld, *at, buf, sizeof(buf)));
	return ld->tok[(*at)++].s;
}

/* ---- variables */
uint32_t ptx_parse_var(struct ptx_load *ld, uint32_t at, struct ptx_var_decl *out)
{
	char buf[64];
	uint32_t line = ld->tok[at].line;
	uint64_t lanes = 1, align = 0, n = 1;
	*out = (struct ptx_var_decl){0};
	for (; ld->tok[at].kind == PTX_TOK_DOT; at++) {
		if (ptx_dot_is(ld, at, ".align")) {
			at++;
			align = need_int(ld, &at);
			if (!align || (align & (align - 1)) || align > 65536)
				ptx_fail(ld, PTX_BAD_SYNTAX, line, "bad alignment");
			at--;
		} else if (ptx_dot_is(ld, at, ".v2") || ptx_dot_is(ld, at, ".v4")) {
			lanes = ld->tok[at].s.p[2] == '2' ? 2 : 4;
		} else if (ptx_dot_is(ld, at, ".attribute")) {
			/* .managed, .unified: all memory is */
			out->managed |= ptx_dot_is(ld, at + 2, ".managed");
			at = ptx_skip_group(ld, at + 1) - 1;
		} else if (ptx_dot_is(ld, at, ".ptr")) {
			/* a hint on what a pointer points to: [.space] [.align n] */
			while (ptx_dot_is(ld, at + 1, ".global") ||
			       ptx_dot_is(ld, at + 1, ".shared") ||
			       ptx_dot_is(ld, at + 1, ".const") || ptx_dot_is(ld, at + 1, ".local"))
				at++;
			if (ptx_dot_is(ld, at + 1, ".align")) {
				at += 2;
				need_int(ld, &at);
				at--;
			}
		} else if (ptx_type_find(ld->tok[at].s)) {
			out->type = ptx_type_find(ld->tok[at].s);
		} else {
			ptx_fail(ld, PTX_UNSUPPORTED, line, "unsupported type or attribute %s",
			         ptx_tok_text(ld, at, buf, sizeof(buf)));
		}
	}
	if (!out->type || out->type->kind == 'p')
		ptx_fail(ld, PTX_BAD_SYNTAX, line, "variable without a type");
	out->name = need_name(ld, &at);
	while (ptx_accept(ld, &at, '[')) {
		uint64_t dim = 0;
		if (ptx_tok_is(ld, at, ']'))
			out->unsized = true;
		else
			dim = need_int(ld, &at);
		ptx_expect(ld, &at, ']');
		if (dim > VAR_LIMIT || n * (dim ? dim : 1) > VAR_LIMIT)
			ptx_fail(ld, PTX_BAD_SYNTAX, line, "variable '%.*s' is too large",
			         NAME(out->name));
		n *= dim;
	}
	out->bytes = n * lanes * out->type->size;
	out->align = align ? align : out->type->size * lanes;
	return at;
}

static void add_symbol(struct ptx_load *ld, struct ptx_str name, uint32_t line, struct ptx_sym *sym)
{
	struct ptx_sym *old = ptx_map_get(&ld->globals, 0, name);
	if (!old) {
		ptx_map_put(ld, &ld->globals, 0, name, sym);
		if (sym->kind == PTX_SYM_FUNC) {
			sym->func->number = ++ld->n_funcs;
			sym->func->next = ld->funcs;
			ld->funcs = sym->func;
		}
		return;
	}
	bool both_func = old->kind == PTX_SYM_FUNC && sym->kind == PTX_SYM_FUNC;
	if (both_func && (!old->func->body || !sym->func->body)) {
		if (sym->func->body) { /* a declaration before: now its body */
			sym->func->next = old->func->next;
			sym->func->number = old->func->number;
			*old->func = *sym->func;
		}
	} else if (old->kind == PTX_SYM_VAR && sym->kind == PTX_SYM_VAR &&
	           (old->extern_global || sym->extern_global)) {
		if (!sym->extern_global)
			*old = *sym;
	} else {
		ptx_fail(ld, PTX_BAD_SYNTAX, line, "'%.*s' is declared twice", NAME(name));
	}
}

/* True: the variable has its value already, from another module of the library. */
static bool allocate(struct ptx_load *ld, struct ptx_sym *sym, const struct ptx_var_decl *decl)
{
	struct ptx_module *m = ld->module;
	struct ptx_str name = decl->name;
	bool shared = decl->managed && m->mem.managed, fresh = true;
	void *p;
	m->vars = ptx_grow(ld, &m->keep, m->vars, m->n_vars, &m->cap_vars, sizeof(*m->vars));
	size_t bytes = sym->bytes ? sym->bytes : 1;
	size_t align = sym->align < 16 ? 16 : sym->align;
	if (shared)
		p = m->mem.managed(m->mem.managed_owner, name.p, name.len, bytes, align, &fresh);
	else
		p = m->mem.alloc(m->mem.self, bytes, align);
	if (!p)
		ptx_fail(ld, PTX_NO_MEMORY, 0, "no device memory for variable '%.*s' of %llu bytes",
		         NAME(name), (unsigned long long)sym->bytes);
	if (fresh)
		memset(p, 0, bytes);
	sym->addr = (uint64_t)(uintptr_t)p;
	m->vars[m->n_vars++] = (struct ptx_var){name, p, sym->bytes, shared};
	return !fresh;
}

/* Past an initialiser, up to the ',' or ';' behind it. */
static uint32_t skip_value(struct ptx_load *ld, uint32_t at)
{
	while (!ptx_tok_is(ld, at, ',') && !ptx_tok_is(ld, at, ';')) {
		if (ld->tok[at].kind == PTX_TOK_END)
			ptx_fail(ld, PTX_BAD_SYNTAX, ld->tok[at].line, "';' is missing");
		if (ptx_tok_is(ld, at, '{') || ptx_tok_is(ld, at, '('))
			at = ptx_skip_group(ld, at);
		else
			at++;
	}
	return at;
}

static void parse_variables(struct parser *p, enum ptx_space space, bool is_extern)
{
	struct ptx_load *ld = p->ld;
	uint32_t first = p->at, line = ld->tok[p->at].line;
	do {
		struct ptx_var_decl decl;
		uint32_t after = ptx_parse_var(ld, first, &decl);
		/* "name1, name2": the type is that of the first */
		if (p->at != first) {
			struct ptx_str name = need_name(ld, &p->at);
			decl.name = name;
			after = p->at;
		}
		struct ptx_sym *sym = ptx_alloc(ld, &ld->temp, sizeof(*sym));
		*sym = (struct ptx_sym){.kind = PTX_SYM_VAR,
		                        .space = space,
		                        .type = decl.type,
		                        .bytes = decl.bytes,
		                        .align = decl.align};
		if (space == PTX_SPACE_SHARED) {
			sym->dynamic = is_extern;
		} else if (is_extern) {
			sym->extern_global = true;
		} else if (decl.unsized && !ptx_tok_is(ld, after, '=')) {
			ptx_fail(ld, PTX_BAD_SYNTAX, line, "'%.*s' has no size", NAME(decl.name));
		}
		p->at = after;
		if (ptx_accept(ld, &p->at, '=')) {
			struct pending *q = ptx_alloc(ld, &ld->temp, sizeof(*q));
			*q = (struct pending){p->pending, sym, p->at};
			p->pending = q;
			if (decl.unsized) { /* x[] = {…}: as many as there are */
				uint32_t end = skip_value(ld, p->at), depth = 0, n = 1;
				for (uint32_t i = p->at; i < end; i++) {
					depth += ptx_tok_is(ld, i, '(');
					depth -= ptx_tok_is(ld, i, ')');
					n += ptx_tok_is(ld, i, ',') && !depth;
				}
				sym->bytes = (uint64_t)n * decl.type->size;
			}
			p->at = skip_value(ld, p->at);
		}
		if (space != PTX_SPACE_SHARED && !is_extern && allocate(ld, sym, &decl) &&
		    p->pending && p->pending->sym == sym)
			p->pending = p->pending->next;
		add_symbol(ld, decl.name, line, sym);
	} while (ptx_accept(ld, &p->at, ','));
	ptx_expect(ld, &p->at, ';');
}

/* ---- initial values */
static uint64_t symbol_value(struct ptx_load *ld, uint32_t *at)
{
	bool generic = ld->tok[*at].kind == PTX_TOK_IDENT && ptx_str_is(ld->tok[*at].s, "generic");
	if (generic) {
		++*at;
		ptx_expect(ld, at, '(');
	}
	uint32_t line = ld->tok[*at].line;
	struct ptx_str name = need_name(ld, at);
	struct ptx_sym *sym = ptx_map_get(&ld->globals, 0, name);
	if (!sym)
		ptx_fail(ld, PTX_BAD_SYNTAX, line, "'%.*s' is not declared", NAME(name));
	if (sym->kind == PTX_SYM_FUNC && sym->func->body) {
		sym->func->taken = true;
		if (generic)
			ptx_expect(ld, at, ')');
		return ptx_func_pointer(ld, sym->func);
	}
	if (sym->kind != PTX_SYM_VAR || sym->space == PTX_SPACE_SHARED || sym->extern_global)
		ptx_fail(ld, PTX_UNSUPPORTED, line,
		         "unsupported initial value: the address of '%.*s' (an external "
		         "function, a shared or external variable)",
		         NAME(name));
	uint64_t v = sym->addr;
	if (generic)
		ptx_expect(ld, at, ')');
	while (ptx_tok_is(ld, *at, '+') || ptx_tok_is(ld, *at, '-')) {
		bool minus = ptx_tok_is(ld, (*at)++, '-');
		uint64_t off = need_int(ld, at);
		v += minus ? 0 - off : off;
	}
	return v;
}

static uint64_t one_value(struct ptx_load *ld, uint32_t *at, const struct ptx_type *t)
{
	bool minus = ptx_accept(ld, at, '-');
	const struct ptx_token *tok = &ld->tok[*at];
	if (tok->kind == PTX_TOK_FLOAT) {
		double v;
		float f;
		uint32_t b32 = (uint32_t)tok->value;
		++*at;
		memcpy(&f, &b32, sizeof(f));
		memcpy(&v, &tok->value, sizeof(v));
		v = tok->single ? (double)f : v;
		v = minus ? -v : v;
		f = (float)v;
		uint64_t b64;
		memcpy(&b64, &v, sizeof(b64));
		memcpy(&b32, &f, sizeof(b32));
		return t->size == 8 ? b64 : b32;
	}
	if (tok->kind == PTX_TOK_IDENT)
		return symbol_value(ld, at);
	uint64_t v = need_int(ld, at);
	if (ptx_accept(ld, at, '(')) { /* 0xff00(address): one byte of it */
		uint64_t mask = v;
		if (!mask)
			ptx_fail(ld, PTX_BAD_SYNTAX, tok->line, "empty mask");
		v = (symbol_value(ld, at) & mask) >> __builtin_ctzll(mask);
		ptx_expect(ld, at, ')');
		return v;
	}
	if (t->kind == 'f' && t->size >= 4) { /* an integer for a float */
		double dv = minus ? -(double)v : (double)v;
		float f = (float)dv;
		uint32_t b32;
		memcpy(&v, &dv, sizeof(v));
		memcpy(&b32, &f, sizeof(b32));
		return t->size == 8 ? v : b32;
	}
	return minus ? 0 - v : v;
}

static uint32_t fill(struct ptx_load *ld, uint32_t at, const struct ptx_sym *sym, uint64_t *done,
                     unsigned depth)
{
	if (!ptx_tok_is(ld, at, '{')) {
		uint32_t line = ld->tok[at].line;
		uint64_t v = one_value(ld, &at, sym->type);
		if (*done + sym->type->size > sym->bytes)
			ptx_fail(ld, PTX_BAD_SYNTAX, line, "more initial values than elements");
		/* little-endian, as all hosts with CUDA are */
		memcpy((char *)(uintptr_t)sym->addr + *done, &v, sym->type->size);
		*done += sym->type->size;
		return at;
	}
	if (depth > 8)
		ptx_fail(ld, PTX_BAD_SYNTAX, ld->tok[at].line, "initial values nest too deeply");
	at++;
	while (!ptx_accept(ld, &at, '}')) {
		at = fill(ld, at, sym, done, depth + 1);
		if (!ptx_tok_is(ld, at, '}'))
			ptx_expect(ld, &at, ',');
	}
	return at;
}

/* ---- functions */
uint32_t ptx_parse_formals(struct ptx_load *ld, uint32_t at, struct ptx_formal **out, uint32_t *n)
{
	uint32_t cap = 0;
	ptx_expect(ld, &at, '(');
	while (!ptx_accept(ld, &at, ')')) {
		struct ptx_var_decl decl;
		if (*n)
			ptx_expect(ld, &at, ',');
		bool is_reg = ptx_dot_is(ld, at, ".reg");
		if (!is_reg && !ptx_dot_is(ld, at, ".param"))
			ptx_fail(ld, PTX_BAD_SYNTAX, ld->tok[at].line, "'.param' expected");
		at = ptx_parse_var(ld, at + 1, &decl);
		*out = ptx_grow(ld, &ld->temp, *out, *n, &cap, sizeof(**out));
		(*out)[(*n)++] =
		    (struct ptx_formal){decl.name, decl.bytes, decl.align, is_reg, !decl.unsized};
	}
	return at;
}

/* .maxntid and its like: up to three numbers, missing ones 1 */
static uint32_t three(struct ptx_load *ld, uint32_t at, uint32_t v[3])
{
	for (int i = 0; i < 3; i++)
		v[i] = 1;
	for (int i = 0; i < 3; i++) {
		v[i] = (uint32_t)need_int(ld, &at);
		if (i < 2 && !ptx_accept(ld, &at, ','))
			break;
	}
	return at;
}

uint32_t ptx_parse_limits(struct ptx_load *ld, uint32_t at, struct ptx_kernel_info *info)
{
	char buf[48];
	while (ld->tok[at].kind == PTX_TOK_DOT) {
		uint32_t v[3];
		if (ptx_dot_is(ld, at, ".maxntid")) {
			at = three(ld, at + 1, v);
			uint64_t n = (uint64_t)v[0] * v[1] * v[2];
			if (info && n && n < info->max_threads)
				info->max_threads = (uint32_t)n;
		} else if (ptx_dot_is(ld, at, ".reqntid")) {
			at = three(ld, at + 1, v);
			if (info)
				memcpy(info->required, v, sizeof(v));
		} else if (ptx_dot_is(ld, at, ".reqnctapercluster")) {
			at = three(ld, at + 1, v);
			if (info)
				memcpy(info->cluster, v, sizeof(v));
		} else if (ptx_dot_is(ld, at, ".minnctapersm") || ptx_dot_is(ld, at, ".maxnreg") ||
		           ptx_dot_is(ld, at, ".maxnctapersm") ||
		           ptx_dot_is(ld, at, ".maxclusterrank") ||
		           ptx_dot_is(ld, at, ".abi_preserve") ||
		           ptx_dot_is(ld, at, ".abi_preserve_control")) {
			at++;
			need_int(ld, &at);
		} else if (ptx_dot_is(ld, at, ".noreturn") ||
		           ptx_dot_is(ld, at, ".explicitcluster")) {
			at++;
		} else if (ptx_dot_is(ld, at, ".pragma")) {
			at = skip_value(ld, at);
			ptx_expect(ld, &at, ';');
		} else {
			ptx_fail(ld, PTX_UNSUPPORTED, ld->tok[at].line, "unsupported directive %s",
			         ptx_tok_text(ld, at, buf, sizeof(buf)));
		}
	}
	return at;
}

static char *kept_name(struct ptx_load *ld, struct ptx_str s)
{
	char *p = ptx_alloc(ld, ld->keep, s.len + 1);
	memcpy(p, s.p, s.len);
	return p;
}

static void parse_entry(struct parser *p)
{
	struct ptx_load *ld = p->ld;
	struct ptx_module *m = ld->module;
	struct entry *e = ptx_alloc(ld, &ld->temp, sizeof(*e));
	struct ptx_kernel *k = e->k = ptx_alloc(ld, ld->keep, sizeof(*k));
	e->func.line = ld->tok[p->at].line;
	e->func.name = need_name(ld, &p->at);
	k->module = m;
	k->info.name = kept_name(ld, e->func.name);
	k->info.max_threads = 1024;
	for (uint32_t i = 0; i < m->n_kernels; i++)
		if (!strcmp(m->kernels[i]->info.name, k->info.name))
			ptx_fail(ld, PTX_BAD_SYNTAX, e->func.line,
			         "kernel '%.*s' is declared twice", NAME(e->func.name));
	if (ptx_tok_is(ld, p->at, '('))
		p->at = ptx_parse_formals(ld, p->at, &e->func.formals, &e->func.n_formals);
	struct ptx_param *params =
	    ptx_alloc(ld, ld->keep, (e->func.n_formals + 1) * sizeof(*params));
	uint64_t off = 0;
	for (uint32_t i = 0; i < e->func.n_formals; i++) {
		struct ptx_formal *f = &e->func.formals[i];
		off = (off + f->align - 1) & ~(f->align - 1);
		if (f->is_reg || off + f->bytes > 32764)
			ptx_fail(ld, PTX_BAD_SYNTAX, e->func.line,
			         "the parameters of kernel '%.*s' are too large or in registers",
			         NAME(e->func.name));
		params[i] = (struct ptx_param){(uint32_t)off, (uint32_t)f->bytes};
		off += f->bytes;
	}
	k->info.params = params;
	k->info.n_params = e->func.n_formals;
	k->info.param_bytes = (uint32_t)off;
	p->at = ptx_parse_limits(ld, p->at, &k->info);
	if (ptx_accept(ld, &p->at, ';'))
		return; /* a declaration */
	if (!ptx_tok_is(ld, p->at, '{'))
		ptx_expect(ld, &p->at, '{');
	e->func.body = p->at + 1;
	p->at = ptx_skip_group(ld, p->at);
	m->kernels = ptx_grow(ld, &m->keep, m->kernels, m->n_kernels, &m->cap_kernels,
	                      sizeof(struct ptx_kernel *));
	m->kernels[m->n_kernels++] = k;
	e->func.end = p->at;
	*p->last = e;
	p->last = &e->next;
}

static void parse_func(struct parser *p)
{
	struct ptx_load *ld = p->ld;
	struct ptx_func *f = ptx_alloc(ld, &ld->temp, sizeof(*f));
	f->line = ld->tok[p->at].line;
	if (ptx_dot_is(ld, p->at, ".attribute"))
		p->at = ptx_skip_group(ld, p->at + 1);
	if (ptx_tok_is(ld, p->at, '('))
		p->at = ptx_parse_formals(ld, p->at, &f->results, &f->n_results);
	f->name = need_name(ld, &p->at);
	if (ptx_tok_is(ld, p->at, '('))
		p->at = ptx_parse_formals(ld, p->at, &f->formals, &f->n_formals);
	p->at = ptx_parse_limits(ld, p->at, NULL);
	struct ptx_sym *sym = ptx_alloc(ld, &ld->temp, sizeof(*sym));
	*sym = (struct ptx_sym){.kind = PTX_SYM_FUNC, .func = f};
	if (!ptx_accept(ld, &p->at, ';')) {
		if (!ptx_tok_is(ld, p->at, '{'))
			ptx_expect(ld, &p->at, '{');
		f->body = p->at + 1;
		p->at = ptx_skip_group(ld, p->at);
		f->end = p->at;
	}
	add_symbol(ld, f->name, f->line, sym);
}

/* ---- directives */
static void parse_target(struct parser *p)
{
	struct ptx_load *ld = p->ld;
	unsigned sm = 0;
	do {
		struct ptx_str s = need_name(ld, &p->at);
		if (s.len > 3 && !memcmp(s.p, "sm_", 3)) {
			for (uint32_t i = 3; i < s.len && s.p[i] >= '0' && s.p[i] <= '9'; i++)
				sm = sm < 100000 ? sm * 10 + (unsigned)(s.p[i] - '0') : sm;
		}
	} while (ptx_accept(ld, &p->at, ','));
	if (!sm)
		ptx_fail(ld, PTX_BAD_SYNTAX, ld->tok[p->at - 1].line, ".target names no sm_NN");
	ld->module->target_sm = sm;
}

static void parse_version(struct parser *p)
{
	const struct ptx_token *t = &p->ld->tok[p->at++];
	double v = 0;
	if (t->kind == PTX_TOK_FLOAT)
		memcpy(&v, &t->value, sizeof(v));
	if (!(v >= 1 && v < 100))
		ptx_fail(p->ld, PTX_BAD_SYNTAX, t->line, "bad .version");
	p->ld->version = (unsigned)(v * 10 + 0.5);
}

static bool linkage(const struct ptx_load *ld, uint32_t at)
{
	return ptx_dot_is(ld, at, ".visible") || ptx_dot_is(ld, at, ".extern") ||
	       ptx_dot_is(ld, at, ".weak") || ptx_dot_is(ld, at, ".common");
}

static void parse_directive(struct parser *p)
{
	struct ptx_load *ld = p->ld;
	char buf[64];
	bool is_extern = false;
	for (; linkage(ld, p->at); p->at++)
		is_extern |= ptx_dot_is(ld, p->at, ".extern");
	uint32_t at = p->at++;
	if (ptx_dot_is(ld, at, ".version")) {
		parse_version(p);
	} else if (ptx_dot_is(ld, at, ".target")) {
		parse_target(p);
	} else if (ptx_dot_is(ld, at, ".address_size")) {
		ld->address_size = (unsigned)need_int(ld, &p->at);
		if (ld->address_size != 64)
			ptx_fail(ld, PTX_UNSUPPORTED, ld->tok[at].line,
			         "unsupported .address_size %u: only 64 is", ld->address_size);
	} else if (ptx_dot_is(ld, at, ".file") || ptx_dot_is(ld, at, ".loc")) {
		p->at = ptx_skip_line(ld, at);
	} else if (ptx_dot_is(ld, at, ".section")) {
		while (ld->tok[p->at].kind == PTX_TOK_DOT || ld->tok[p->at].kind == PTX_TOK_IDENT)
			p->at++;
		if (!ptx_tok_is(ld, p->at, '{'))
			ptx_expect(ld, &p->at, '{');
		p->at = ptx_skip_group(ld, p->at);
	} else if (ptx_dot_is(ld, at, ".pragma")) {
		p->at = skip_value(ld, p->at);
		ptx_expect(ld, &p->at, ';');
	} else if (ptx_dot_is(ld, at, ".entry")) {
		parse_entry(p);
	} else if (ptx_dot_is(ld, at, ".func")) {
		parse_func(p);
	} else if (ptx_dot_is(ld, at, ".global")) {
		parse_variables(p, PTX_SPACE_GLOBAL, is_extern);
	} else if (ptx_dot_is(ld, at, ".const")) {
		p->at = ptx_skip_bank(ld, p->at);
		parse_variables(p, PTX_SPACE_CONST, is_extern);
	} else if (ptx_dot_is(ld, at, ".shared")) {
		parse_variables(p, PTX_SPACE_SHARED, is_extern);
	} else {
		ptx_fail(ld, PTX_UNSUPPORTED, ld->tok[at].line, "unsupported directive %s",
		         ptx_tok_text(ld, at, buf, sizeof(buf)));
	}
}

/* What a kernel reaches may be unsupported: then it is there, but cannot be launched. Malformed
 * text fails the module. */
static void decode_or_refuse(struct ptx_load *ld, struct entry *e, uint32_t number)
{
	jmp_buf out;
	memcpy(out, ld->out, sizeof(out));
	if (!setjmp(ld->out)) {
		ptx_decode_kernel(ld, &e->func, e->k, number);
	} else if (ld->status != PTX_UNSUPPORTED) {
		longjmp(out, 1);
	} else {
		struct ptx_error *why = ptx_alloc(ld, ld->keep, sizeof(*why));
		why->line = ld->err->line;
		snprintf(why->text, sizeof(why->text), "%.160s; kernel '%.60s'", ld->err->text,
		         e->k->info.name);
		e->k->info.refused = why;
		*ld->err = (struct ptx_error){0};
	}
	memcpy(ld->out, out, sizeof(out));
}

void ptx_parse_module(struct ptx_load *ld)
{
	struct parser p = {.ld = ld};
	char buf[48];
	p.last = &p.entries;
	if (!ptx_dot_is(ld, 0, ".version") && ld->tok[0].kind != PTX_TOK_DOT)
		ptx_fail(ld, PTX_BAD_SYNTAX, ld->tok[0].line, "PTX begins with .version, not %s",
		         ptx_tok_text(ld, 0, buf, sizeof(buf)));
	while (ld->tok[p.at].kind != PTX_TOK_END) {
		if (ptx_accept(ld, &p.at, ';'))
			continue;
		if (ld->tok[p.at].kind != PTX_TOK_DOT)
			ptx_fail(ld, PTX_BAD_SYNTAX, ld->tok[p.at].line,
			         "directive expected, not %s",
			         ptx_tok_text(ld, p.at, buf, sizeof(buf)));
		parse_directive(&p);
	}
	if (!ld->module->target_sm)
		ptx_fail(ld, PTX_BAD_SYNTAX, 1, "there is no .target");
	for (struct pending *q = p.pending; q; q = q->next) {
		uint64_t done = 0;
		if (q->sym->space == PTX_SPACE_SHARED || !q->sym->addr)
			ptx_fail(ld, PTX_BAD_SYNTAX, ld->tok[q->at].line,
			         "this variable may not have an initial value");
		fill(ld, q->at, q->sym, &done, 0);
	}
	struct ptx_func *kernels = NULL;
	for (struct entry *e = p.entries; e; e = e->next) {
		e->func.next = kernels;
		kernels = &e->func;
	}
	ptx_find_calls(ld, kernels);
	uint32_t number = 0;
	for (struct entry *e = p.entries; e; e = e->next) {
		e->k->module_id = ld->module->id;
		e->k->info.target_sm = ld->module->target_sm;
		decode_or_refuse(ld, e, ++number);
	}
}
