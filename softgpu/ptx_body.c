// SPDX-License-Identifier: Apache-2.0
/*
 * ptx_body.c: the body of a kernel: scopes, declarations, labels, statements; calls, by decoding
 * the callee's body in place; and the final layout of the decoded kernel.
 */
#include <stdio.h>
#include <string.h>

#include "ptx_dec.h"

#define CODE_LIMIT (1u << 20)
#define NEST_LIMIT 64
#define INLINE_LIMIT 64
#define NAME(s) (int)((s).len < 120 ? (s).len : 120), (s).p

/* ---- what handlers use */
static const char *stmt_text(const struct ptx_dec *d, char *buf, size_t len)
{
	size_t n = (size_t)snprintf(buf, len, "%.*s", NAME(d->stmt->op));
	for (uint32_t i = 0; i < d->stmt->n_mod && n < len; i++)
		n += (size_t)snprintf(buf + n, len - n, "%.*s", NAME(d->stmt->mod[i]));
	return buf;
}

void ptx_unsupported(struct ptx_dec *d, const char *why)
{
	char buf[140];
	stmt_text(d, buf, sizeof(buf));
	if (why)
		ptx_fail(d->ld, PTX_UNSUPPORTED, d->stmt->line,
		         "unsupported instruction '%s': %s not supported", buf, why);
	ptx_fail(d->ld, PTX_UNSUPPORTED, d->stmt->line, "unsupported instruction '%s'", buf);
}

void ptx_bad(struct ptx_dec *d, const char *what)
{
	char buf[120];
	ptx_fail(d->ld, PTX_BAD_SYNTAX, d->stmt->line, "instruction '%s': %s",
	         stmt_text(d, buf, sizeof(buf)), what);
}

bool ptx_take(struct ptx_dec *d, const char *mod)
{
	struct ptx_stmt *s = d->stmt;
	for (uint32_t i = 0; i < s->n_mod; i++) {
		if (!s->taken[i] && ptx_str_is(s->mod[i], mod)) {
			s->taken[i] = true;
			return true;
		}
	}
	return false;
}

int ptx_take_any(struct ptx_dec *d, const char *const *list)
{
	for (int i = 0; list[i]; i++)
		if (ptx_take(d, list[i]))
			return i;
	return -1;
}

const struct ptx_type *ptx_take_type(struct ptx_dec *d)
{
	struct ptx_stmt *s = d->stmt;
	for (uint32_t i = 0; i < s->n_mod; i++) {
		const struct ptx_type *t = s->taken[i] ? NULL : ptx_type_find(s->mod[i]);
		if (t) {
			s->taken[i] = true;
			return t;
		}
	}
	return NULL;
}

const struct ptx_type *ptx_need_type(struct ptx_dec *d)
{
	const struct ptx_type *t = ptx_take_type(d);
	if (!t)
		ptx_unsupported(d, "its type is");
	return t;
}

int ptx_take_round(struct ptx_dec *d)
{
	static const char *const names[] = {".rn", ".rz", ".rm", ".rp", NULL};
	return ptx_take_any(d, names);
}

void ptx_need_operands(struct ptx_dec *d, uint32_t min, uint32_t max)
{
	if (d->stmt->n_opd < min || d->stmt->n_opd > max)
		ptx_bad(d, "wrong number of operands");
}

static struct ptx_inst *append(struct ptx_dec *d, enum ptx_kind kind)
{
	uint32_t line = d->stmt ? d->stmt->line : 0;
	if (d->n_code >= CODE_LIMIT)
		ptx_fail(d->ld, PTX_UNSUPPORTED, line,
		         "kernel '%s' has more than %u instructions with its calls inlined",
		         d->k->info.name, CODE_LIMIT);
	d->code = ptx_grow(d->ld, &d->ld->temp, d->code, d->n_code, &d->cap_code, sizeof(*d->code));
	struct ptx_inst *in = &d->code[d->n_code++];
	*in = (struct ptx_inst){.kind = (uint8_t)kind, .line = line};
	return in;
}

struct ptx_inst *ptx_helper(struct ptx_dec *d, enum ptx_kind kind)
{
	return append(d, kind);
}

struct ptx_inst *ptx_emit(struct ptx_dec *d, enum ptx_kind kind)
{
	struct ptx_inst *in = append(d, kind);
	in->count = 1;
	in->guarded = d->stmt->guarded;
	in->guard_not = d->stmt->guard_not;
	in->guard = d->stmt->guard;
	return in;
}

void ptx_emit_built(struct ptx_dec *d, enum ptx_kind kind, const struct ptx_inst *built)
{
	struct ptx_inst *in = ptx_emit(d, kind);
	struct ptx_inst head = *in;
	*in = *built;
	in->kind = head.kind;
	in->count = head.count;
	in->guarded = head.guarded;
	in->guard_not = head.guard_not;
	in->guard = head.guard;
	in->line = head.line;
}

uint32_t ptx_ext(struct ptx_dec *d, uint32_t value)
{
	d->ext = ptx_grow(d->ld, &d->ld->temp, d->ext, d->n_ext, &d->cap_ext, sizeof(*d->ext));
	d->ext[d->n_ext] = value;
	return d->n_ext++;
}

void ptx_branch_to(struct ptx_dec *d, uint32_t index, bool in_ext, struct ptx_str name)
{
	d->fixups = ptx_grow(d->ld, &d->ld->temp, d->fixups, d->n_fixups, &d->cap_fixups,
	                     sizeof(*d->fixups));
	d->fixups[d->n_fixups++] = (struct ptx_fixup){index, in_ext, name, d->scope, d->stmt->line};
}

/* ---- scopes */
static void open_scope(struct ptx_dec *d, uint32_t parent)
{
	if (++d->depth > NEST_LIMIT * INLINE_LIMIT)
		ptx_fail(d->ld, PTX_UNSUPPORTED, 0, "blocks nest too deeply");
	d->parent = ptx_grow(d->ld, &d->ld->temp, d->parent, d->n_scopes, &d->cap_scopes,
	                     sizeof(*d->parent));
	d->parent[d->n_scopes] = parent;
	d->scope = d->n_scopes++;
}

static void declare(struct ptx_dec *d, struct ptx_str name, uint32_t line, struct ptx_sym *sym)
{
	if (ptx_map_get(&d->names, d->scope, name))
		ptx_fail(d->ld, PTX_BAD_SYNTAX, line, "'%.*s' is declared twice", NAME(name));
	ptx_map_put(d->ld, &d->names, d->scope, name, sym);
}

static struct ptx_sym *new_sym(struct ptx_dec *d, struct ptx_sym value)
{
	struct ptx_sym *sym = ptx_alloc(d->ld, &d->ld->temp, sizeof(*sym));
	*sym = value;
	return sym;
}

/* .reg .b32 %r<5>, %x; */
static uint32_t decode_reg(struct ptx_dec *d, uint32_t at)
{
	struct ptx_load *ld = d->ld;
	const struct ptx_type *t = ptx_type_find(ld->tok[at].s);
	char buf[48];
	if (ld->tok[at].kind != PTX_TOK_DOT || !t)
		ptx_fail(ld, PTX_UNSUPPORTED, ld->tok[at].line, "unsupported register type %s",
		         ptx_tok_text(ld, at, buf, sizeof(buf)));
	at++;
	do {
		const struct ptx_token *name = &ld->tok[at++];
		if (name->kind != PTX_TOK_IDENT)
			ptx_fail(ld, PTX_BAD_SYNTAX, name->line, "register name expected");
		if (ptx_accept(ld, &at, '<')) {
			uint64_t n = ld->tok[at].value;
			if (ld->tok[at].kind != PTX_TOK_INT || n > 1000000000)
				ptx_fail(ld, PTX_BAD_SYNTAX, name->line, "bad register range");
			at++;
			ptx_expect(ld, &at, '>');
			declare(d, name->s, name->line,
			        new_sym(d, (struct ptx_sym){.kind = PTX_SYM_RANGE,
			                                    .type = t,
			                                    .count = (uint32_t)n}));
		} else {
			struct ptx_sym *sym =
			    new_sym(d, (struct ptx_sym){.kind = PTX_SYM_REG, .type = t});
			sym->reg = ptx_new_reg(d, t->size == 1 ? 2 : t->size);
			declare(d, name->s, name->line, sym);
		}
	} while (ptx_accept(ld, &at, ','));
	ptx_expect(ld, &at, ';');
	return at;
}

/* .local, .shared and (for calls) .param variables of a block */
static uint32_t decode_var(struct ptx_dec *d, uint32_t at, enum ptx_space space)
{
	struct ptx_load *ld = d->ld;
	uint32_t first = at, line = ld->tok[at].line;
	do {
		struct ptx_var_decl decl;
		uint32_t after = ptx_parse_var(ld, first, &decl);
		if (at != first) { /* a further name of the same type */
			if (ld->tok[at].kind != PTX_TOK_IDENT)
				ptx_fail(ld, PTX_BAD_SYNTAX, line, "variable name expected");
			decl.name = ld->tok[at].s;
			after = at + 1;
		}
		at = after;
		struct ptx_sym *sym = new_sym(d, (struct ptx_sym){.kind = PTX_SYM_VAR,
		                                                  .type = decl.type,
		                                                  .space = space,
		                                                  .bytes = decl.bytes,
		                                                  .align = decl.align});
		if (decl.unsized)
			ptx_fail(ld, PTX_BAD_SYNTAX, line, "'%.*s' has no size", NAME(decl.name));
		ptx_place(d, sym, space == PTX_SPACE_SHARED ? &d->shared_bytes : &d->local_bytes);
		declare(d, decl.name, line, sym);
	} while (ptx_accept(ld, &at, ','));
	ptx_expect(ld, &at, ';');
	return at;
}

static void decode_label(struct ptx_dec *d, uint32_t at)
{
	struct ptx_str name = d->ld->tok[at].s;
	if (ptx_map_get(&d->labels, d->scope, name))
		ptx_fail(d->ld, PTX_BAD_SYNTAX, d->ld->tok[at].line, "label '%.*s' is there twice",
		         NAME(name));
	struct ptx_label *l = ptx_alloc(d->ld, &d->ld->temp, sizeof(*l));
	l->pc = d->n_code;
	ptx_map_put(d->ld, &d->labels, d->scope, name, l);
}

/* name: .branchtargets A, B, …; */
static uint32_t decode_table(struct ptx_dec *d, uint32_t at)
{
	struct ptx_load *ld = d->ld;
	struct ptx_str name = ld->tok[at].s;
	struct ptx_sym *sym = new_sym(
	    d, (struct ptx_sym){.kind = PTX_SYM_TABLE, .first = at + 3, .table_scope = d->scope});
	declare(d, name, ld->tok[at].line, sym);
	for (at += 3; !ptx_tok_is(ld, at, ';'); at++)
		if (ld->tok[at].kind == PTX_TOK_END)
			ptx_fail(ld, PTX_BAD_SYNTAX, ld->tok[at].line, "';' is missing");
	sym->last = at;
	return at + 1;
}

static const struct ptx_opcode *find_opcode(struct ptx_str name)
{
	static const struct ptx_opcode *const tables[] = {
	    ptx_alu_opcodes, ptx_data_opcodes, ptx_mem_opcodes, ptx_ctl_opcodes, ptx_sync_opcodes};
	for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
		for (const struct ptx_opcode *o = tables[t]; o->name; o++)
			if (ptx_str_is(name, o->name))
				return o;
	return NULL;
}

static uint32_t decode_guard(struct ptx_dec *d, uint32_t at)
{
	struct ptx_load *ld = d->ld;
	struct ptx_opd o;
	struct ptx_stmt *s = d->stmt;
	s->line = ld->tok[at].line;
	at = ptx_parse_operand(d, at + 1, &o);
	if (o.kind != PTX_O_PRED)
		ptx_fail(ld, PTX_BAD_SYNTAX, s->line, "the guard is not a predicate");
	s->guarded = true;
	s->guard = o.reg;
	s->guard_not = o.negated;
	return at;
}

static uint32_t decode_instruction(struct ptx_dec *d, uint32_t at)
{
	struct ptx_load *ld = d->ld;
	struct ptx_stmt s = {.line = ld->tok[at].line, .first = at};
	d->stmt = &s;
	char buf[48];
	if (ptx_tok_is(ld, at, '@'))
		at = decode_guard(d, at);
	if (ld->tok[at].kind != PTX_TOK_IDENT)
		ptx_fail(ld, PTX_BAD_SYNTAX, ld->tok[at].line, "instruction expected, not %s",
		         ptx_tok_text(ld, at, buf, sizeof(buf)));
	s.line = ld->tok[at].line;
	s.op = ld->tok[at++].s;
	while (ld->tok[at].kind == PTX_TOK_DOT) {
		if (s.n_mod == PTX_MAX_MODS)
			ptx_fail(ld, PTX_BAD_SYNTAX, s.line, "too many modifiers");
		s.mod[s.n_mod++] = ld->tok[at++].s;
	}
	const struct ptx_opcode *op = find_opcode(s.op);
	if (!op)
		ptx_unsupported(d, NULL);
	while (!ptx_tok_is(ld, at, ';')) {
		if (s.n_opd)
			ptx_expect(ld, &at, ',');
		if (s.n_opd == PTX_MAX_OPDS)
			ptx_bad(d, "too many operands");
		at = ptx_parse_operand(d, at, &s.opd[s.n_opd++]);
	}
	s.last = at;
	op->decode(d, op);
	for (uint32_t i = 0; i < s.n_mod; i++)
		if (!s.taken[i]) {
			snprintf(buf, sizeof(buf), "'%.*s' is",
			         (int)(s.mod[i].len < 40 ? s.mod[i].len : 40), s.mod[i].p);
			ptx_unsupported(d, buf);
		}
	d->stmt = NULL;
	return at + 1;
}

static uint32_t decode_directive(struct ptx_dec *d, uint32_t at)
{
	struct ptx_load *ld = d->ld;
	char buf[48];
	if (ptx_dot_is(ld, at, ".reg"))
		return decode_reg(d, at + 1);
	if (ptx_dot_is(ld, at, ".local") || ptx_dot_is(ld, at, ".param"))
		return decode_var(d, at + 1, PTX_SPACE_LOCAL);
	if (ptx_dot_is(ld, at, ".shared"))
		return decode_var(d, at + 1, PTX_SPACE_SHARED);
	if (ptx_dot_is(ld, at, ".loc") || ptx_dot_is(ld, at, ".file"))
		return ptx_skip_line(ld, at);
	if (ptx_dot_is(ld, at, ".pragma")) {
		for (; !ptx_tok_is(ld, at, ';'); at++)
			if (ld->tok[at].kind == PTX_TOK_END)
				ptx_fail(ld, PTX_BAD_SYNTAX, ld->tok[at].line, "';' is missing");
		return at + 1;
	}
	ptx_fail(ld, PTX_UNSUPPORTED, ld->tok[at].line, "unsupported directive %s",
	         ptx_tok_text(ld, at, buf, sizeof(buf)));
}

/* From behind the '{' to behind its '}'. */
static uint32_t decode_block(struct ptx_dec *d, uint32_t at)
{
	struct ptx_load *ld = d->ld;
	uint32_t depth = 0;
	for (;;) {
		const struct ptx_token *t = &ld->tok[at];
		if (t->kind == PTX_TOK_END)
			ptx_fail(ld, PTX_BAD_SYNTAX, t->line, "'}' is missing");
		if (ptx_accept(ld, &at, '{')) {
			if (++depth > NEST_LIMIT)
				ptx_fail(ld, PTX_UNSUPPORTED, t->line, "blocks nest too deeply");
			open_scope(d, d->scope);
		} else if (ptx_accept(ld, &at, '}')) {
			if (!depth--)
				return at;
			d->scope = d->parent[d->scope];
			d->depth--;
		} else if (ptx_accept(ld, &at, ';')) {
			continue;
		} else if (t->kind == PTX_TOK_DOT) {
			at = decode_directive(d, at);
		} else if (t->kind == PTX_TOK_IDENT && ptx_tok_is(ld, at + 1, ':')) {
			if (ptx_dot_is(ld, at + 2, ".branchtargets")) {
				at = decode_table(d, at);
			} else if (ptx_dot_is(ld, at + 2, ".callprototype") ||
			           ptx_dot_is(ld, at + 2, ".calltargets")) {
				/* only indirect calls need it, and those say that they cannot */
				while (!ptx_tok_is(ld, at, ';') && ld->tok[at].kind != PTX_TOK_END)
					at++;
			} else {
				decode_label(d, at);
				at += 2;
			}
		} else {
			at = decode_instruction(d, at);
		}
	}
}

/* ---- calls */
static struct ptx_sym *bind(struct ptx_dec *d, const struct ptx_formal *f, const struct ptx_opd *o)
{
	if (f->is_reg)
		ptx_unsupported(d, "parameters in registers are");
	if (o->kind != PTX_O_ADDR || o->sym->space != PTX_SPACE_LOCAL)
		ptx_unsupported(d, "an argument that is not a .param variable is");
	if ((uint64_t)o->offset > o->sym->bytes ||
	    (f->sized && o->sym->bytes - (uint64_t)o->offset < f->bytes))
		ptx_bad(d, "an argument is smaller than the parameter");
	struct ptx_sym *sym = ptx_alloc(d->ld, &d->ld->temp, sizeof(*sym));
	*sym = *o->sym;
	sym->addr += (uint64_t)o->offset;
	return sym;
}

static void bind_all(struct ptx_dec *d, const struct ptx_formal *f, uint32_t n,
                     const struct ptx_opd *list, uint32_t scope)
{
	if ((list ? list->n_items : 0) != n)
		ptx_bad(d, "the number of arguments differs from the function's");
	for (uint32_t i = 0; i < n; i++) {
		struct ptx_sym *sym = bind(d, &f[i], &list->items[i]);
		if (ptx_map_get(&d->names, scope, f[i].name))
			ptx_bad(d, "two parameters have one name");
		ptx_map_put(d->ld, &d->names, scope, f[i].name, sym);
	}
}

/* Lanes whose guard is false jump over the call. */
static void skip_unless_guard(struct ptx_dec *d, uint32_t *patch)
{
	struct ptx_inst *in = ptx_emit(d, d->stmt->guarded ? PTX_K_BRA : PTX_K_NOP);
	in->guard_not = !in->guard_not;
	*patch = d->n_code - 1;
	if (!d->stmt->guarded)
		in->guarded = false;
}

static void inline_call(struct ptx_dec *d, struct ptx_func *f, const struct ptx_opd *results,
                        const struct ptx_opd *args)
{
	struct ptx_stmt *stmt = d->stmt;
	uint32_t scope = d->scope, *returns = d->returns, n_returns = d->n_returns,
		 cap_returns = d->cap_returns, carry = d->carry, depth = d->depth, patch;
	if (f->active)
		ptx_unsupported(d, "recursion is");
	if (++d->inline_depth > INLINE_LIMIT)
		ptx_unsupported(d, "calls nested this deeply are");
	skip_unless_guard(d, &patch);
	open_scope(d, 0);
	bind_all(d, f->results, f->n_results, results, d->scope);
	bind_all(d, f->formals, f->n_formals, args, d->scope);
	f->active = true;
	d->returns = NULL;
	d->n_returns = d->cap_returns = d->carry = 0;
	decode_block(d, f->body);
	for (uint32_t i = 0; i < d->n_returns; i++)
		d->code[d->returns[i]].target = d->n_code;
	if (d->code[patch].kind == PTX_K_BRA)
		d->code[patch].target = d->n_code;
	f->active = false;
	d->inline_depth--;
	d->returns = returns;
	d->n_returns = n_returns;
	d->cap_returns = cap_returns;
	d->carry = carry;
	d->scope = scope;
	d->depth = depth;
	d->stmt = stmt;
}

/* Functions that CUDA's device run-time provides. */
static bool syscall_of(struct ptx_str name, enum ptx_syscall *out, uint32_t *args,
                       uint32_t *results)
{
	static const struct {
		const char *name;
		enum ptx_syscall op;
		uint32_t args, results;
	} known[] = {
	    {"vprintf", PTX_SYS_PRINTF, 2, 1},
	    {"__assertfail", PTX_SYS_ASSERT, 5, 0},
	    {"malloc", PTX_SYS_MALLOC, 1, 1},
	    {"free", PTX_SYS_FREE, 1, 0},
	};
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (!ptx_str_is(name, known[i].name))
			continue;
		*out = known[i].op;
		*args = known[i].args;
		*results = known[i].results;
		return true;
	}
	return false;
}

/* The arguments stay in local memory: ext holds their offsets. */
static void call_system(struct ptx_dec *d, enum ptx_syscall op, uint32_t n_args, uint32_t n_results,
                        const struct ptx_opd *results, const struct ptx_opd *args)
{
	if ((args ? args->n_items : 0) != n_args || (results ? results->n_items : 0) != n_results)
		ptx_bad(d, "wrong number of arguments");
	uint32_t first = d->n_ext;
	for (uint32_t i = 0; i < n_args + n_results; i++) {
		const struct ptx_opd *o =
		    i < n_args ? &args->items[i] : &results->items[i - n_args];
		if (o->kind != PTX_O_ADDR || o->sym->space != PTX_SPACE_LOCAL ||
		    o->sym->bytes < 4 || o->offset)
			ptx_unsupported(d, "an argument that is not a .param variable is");
		ptx_ext(d, (uint32_t)o->sym->addr);
		ptx_ext(d, (uint32_t)o->sym->bytes);
	}
	struct ptx_inst *in = ptx_emit(d, PTX_K_SYSCALL);
	in->op = (uint8_t)op;
	in->target = first;
}

void ptx_decode_call(struct ptx_dec *d)
{
	struct ptx_stmt *s = d->stmt;
	const struct ptx_opd *results = NULL, *args = NULL;
	uint32_t i = 0, n_args, n_results;
	enum ptx_syscall op;
	ptx_take(d, ".uni");
	if (i < s->n_opd && s->opd[i].kind == PTX_O_LIST)
		results = &s->opd[i++];
	if (i >= s->n_opd)
		ptx_bad(d, "no function is named");
	const struct ptx_opd *target = &s->opd[i++];
	if (target->kind == PTX_O_REG)
		ptx_unsupported(d, "a call through a function pointer is");
	if (target->kind != PTX_O_NAME || !target->sym || target->sym->kind != PTX_SYM_FUNC)
		ptx_bad(d, "the function called is not declared");
	if (i < s->n_opd && s->opd[i].kind == PTX_O_LIST)
		args = &s->opd[i++];
	if (i < s->n_opd)
		ptx_unsupported(d, "a call through a function pointer is");
	struct ptx_func *f = target->sym->func;
	if (f->body) {
		inline_call(d, f, results, args);
	} else if (syscall_of(f->name, &op, &n_args, &n_results)) {
		call_system(d, op, n_args, n_results, results, args);
	} else {
		char buf[80];
		snprintf(buf, sizeof(buf), "the external function '%.*s' is",
		         (int)(f->name.len < 50 ? f->name.len : 50), f->name.p);
		ptx_unsupported(d, buf);
	}
}

/* ---- the end of a kernel */
static void resolve_branches(struct ptx_dec *d)
{
	for (uint32_t i = 0; i < d->n_fixups; i++) {
		const struct ptx_fixup *f = &d->fixups[i];
		const struct ptx_label *l = NULL;
		for (uint32_t s = f->scope; s && !l; s = d->parent[s])
			l = ptx_map_get(&d->labels, s, f->name);
		if (!l)
			ptx_fail(d->ld, PTX_BAD_SYNTAX, f->line, "label '%.*s' is not there",
			         NAME(f->name));
		if (f->in_ext)
			d->ext[f->index] = l->pc;
		else
			d->code[f->index].target = l->pc;
	}
}

static void *keep(struct ptx_dec *d, const void *from, size_t size)
{
	void *p = ptx_alloc(d->ld, d->ld->keep, size ? size : 1);
	if (size)
		memcpy(p, from, size);
	return p;
}

/* Each constant in all 32 lanes, little-endian as all hosts with CUDA are. */
static void lay_out_constants(struct ptx_dec *d)
{
	uint8_t *block = ptx_alloc(d->ld, d->ld->keep, d->const_bytes + 256);
	for (uint32_t i = 0; i < d->n_consts; i++) {
		const struct ptx_constant *c = d->consts[i];
		uint64_t v = c->value + (c->dynamic ? d->k->dyn_shared : 0);
		for (unsigned lane = 0; lane < PTX_LANES; lane++)
			memcpy(block + c->off + lane * c->size, &v, c->size);
	}
	d->k->consts = block;
	d->k->const_bytes = d->const_bytes + 256;
}

void ptx_decode_kernel(struct ptx_load *ld, struct ptx_func *f, struct ptx_kernel *k,
                       uint32_t number)
{
	struct ptx_dec d = {.ld = ld, .k = k, .owner = number, .reg_bytes = 256};
	open_scope(&d, 0); /* scope 0 is the module */
	open_scope(&d, 0);
	for (uint32_t i = 0; i < f->n_formals; i++)
		declare(&d, f->formals[i].name, f->line,
		        new_sym(&d, (struct ptx_sym){.kind = PTX_SYM_VAR,
		                                     .space = PTX_SPACE_PARAM,
		                                     .addr = k->info.params[i].offset,
		                                     .bytes = f->formals[i].bytes}));
	decode_block(&d, f->body);
	for (uint32_t i = 0; i < d.n_returns; i++)
		d.code[d.returns[i]].target = d.n_code;
	append(&d, PTX_K_EXIT); /* the end of the body is a return */
	resolve_branches(&d);
	k->info.static_shared_bytes = d.shared_bytes;
	uint32_t align = d.dyn_align < 16 ? 16 : d.dyn_align;
	k->dyn_shared = (d.shared_bytes + align - 1) & ~(align - 1);
	k->info.local_bytes = (d.local_bytes + 15) & ~15u;
	k->reg_bytes = ptx_compact_registers(&d, &k->info.registers);
	lay_out_constants(&d);
	k->code = keep(&d, d.code, d.n_code * sizeof(*d.code));
	k->n_code = d.n_code;
	for (uint32_t i = 0; i < d.n_code; i++)
		k->uses_envreg |= d.code[i].kind == PTX_K_SREG &&
		                  (d.code[i].op == PTX_R_ENVREG1 || d.code[i].op == PTX_R_ENVREG2);
	k->ext = keep(&d, d.ext, d.n_ext * sizeof(*d.ext));
	k->stages = keep(&d, d.stages, d.n_stages * sizeof(*d.stages));
}
