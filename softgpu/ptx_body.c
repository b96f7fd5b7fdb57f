// SPDX-License-Identifier: Apache-2.0
/*
 * ptx_body.c: the body of a kernel or function: scopes, declarations, labels, statements; and the
 * final layout of the decoded kernel.
 */
#include <stdio.h>
#include <string.h>

#include "ptx_dec.h"

#define CODE_LIMIT (1u << 20)
#define NEST_LIMIT 64
#define SCOPE_LIMIT (1u << 20)
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

struct ptx_inst *ptx_append(struct ptx_dec *d, enum ptx_kind kind)
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
	return ptx_append(d, kind);
}

struct ptx_inst *ptx_emit(struct ptx_dec *d, enum ptx_kind kind)
{
	struct ptx_inst *in = ptx_append(d, kind);
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
void ptx_open_scope(struct ptx_dec *d, uint32_t parent)
{
	if (d->n_scopes >= SCOPE_LIMIT)
		ptx_fail(d->ld, PTX_UNSUPPORTED, 0, "too many blocks of statements");
	d->parent = ptx_grow(d->ld, &d->ld->temp, d->parent, d->n_scopes, &d->cap_scopes,
	                     sizeof(*d->parent));
	d->parent[d->n_scopes] = parent;
	d->scope = d->n_scopes++;
}

void ptx_declare(struct ptx_dec *d, struct ptx_str name, uint32_t line, struct ptx_sym value)
{
	if (ptx_map_get(&d->names, d->scope, name))
		ptx_fail(d->ld, PTX_BAD_SYNTAX, line, "'%.*s' is declared twice", NAME(name));
	struct ptx_sym *sym = ptx_alloc(d->ld, &d->ld->temp, sizeof(*sym));
	*sym = value;
	ptx_map_put(d->ld, &d->names, d->scope, name, sym);
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
			ptx_declare(d, name->s, name->line,
			            (struct ptx_sym){
					.kind = PTX_SYM_RANGE, .type = t, .count = (uint32_t)n});
		} else {
			struct ptx_sym sym = {.kind = PTX_SYM_REG, .type = t};
			sym.reg = ptx_new_reg(d, t->size == 1 ? 2 : t->size);
			ptx_declare(d, name->s, name->line, sym);
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
		struct ptx_sym sym = {.kind = PTX_SYM_VAR,
		                      .type = decl.type,
		                      .space = space,
		                      .bytes = decl.bytes,
		                      .align = decl.align};
		if (decl.unsized)
			ptx_fail(ld, PTX_BAD_SYNTAX, line, "'%.*s' has no size", NAME(decl.name));
		ptx_place(d, &sym, space == PTX_SPACE_SHARED ? &d->shared_bytes : NULL);
		ptx_declare(d, decl.name, line, sym);
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
	struct ptx_sym sym = {.kind = PTX_SYM_TABLE, .first = at + 3, .table_scope = d->scope};
	uint32_t line = ld->tok[at].line;
	for (at += 3; !ptx_tok_is(ld, at, ';'); at++)
		if (ld->tok[at].kind == PTX_TOK_END)
			ptx_fail(ld, PTX_BAD_SYNTAX, ld->tok[at].line, "';' is missing");
	sym.last = at;
	ptx_declare(d, name, line, sym);
	return at + 1;
}

static const struct ptx_opcode *find_opcode(struct ptx_str name)
{
	static const struct ptx_opcode *const tables[] = {
	    ptx_alu_opcodes,     ptx_data_opcodes,   ptx_mem_opcodes,   ptx_ctl_opcodes,
	    ptx_sync_opcodes,    ptx_async_opcodes,  ptx_video_opcodes, ptx_matrix_opcodes,
	    ptx_cluster_opcodes, ptx_texture_opcodes};
	for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
		for (const struct ptx_opcode *o = tables[t]; o->name; o++)
			if (ptx_str_is(name, o->name))
				return o;
	return NULL;
}

/* Forms with operands like nobody else's: refused before those are read, which would look
 * malformed. */
static void refuse_form(struct ptx_dec *d)
{
	static const char *const forms[][2] = {{"mma", ".sp"}, {"mma", ".sp::ordered_metadata"}};
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		if (ptx_str_is(d->stmt->op, forms[i][0]) && ptx_take(d, forms[i][1]))
			ptx_unsupported(d, NULL);
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
		if (ptx_dot_is(ld, at - 1, ".const"))
			at = ptx_skip_bank(ld, at);
	}
	const struct ptx_opcode *op = find_opcode(s.op);
	if (!op)
		ptx_unsupported(d, NULL);
	refuse_form(d);
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

uint32_t ptx_decode_block(struct ptx_dec *d, uint32_t at)
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
			ptx_open_scope(d, d->scope);
		} else if (ptx_accept(ld, &at, '}')) {
			if (!depth--)
				return at;
			d->scope = d->parent[d->scope];
		} else if (ptx_accept(ld, &at, ';')) {
			continue;
		} else if (t->kind == PTX_TOK_DOT) {
			at = decode_directive(d, at);
		} else if (t->kind == PTX_TOK_IDENT && ptx_tok_is(ld, at + 1, ':')) {
			if (ptx_dot_is(ld, at + 2, ".branchtargets")) {
				at = decode_table(d, at);
			} else if (ptx_dot_is(ld, at + 2, ".callprototype") ||
			           ptx_dot_is(ld, at + 2, ".calltargets")) {
				at = ptx_decode_prototype(d, at);
			} else {
				decode_label(d, at);
				at += 2;
			}
		} else {
			at = decode_instruction(d, at);
		}
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

void *ptx_keep(struct ptx_dec *d, const void *from, size_t size)
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

/* What lets the interpreter take a short way. */
static void mark_short_ways(struct ptx_dec *d)
{
	for (uint32_t i = d->n_code; i-- > 0;) {
		struct ptx_inst *in = &d->code[i], *next = in + 1;
		bool alu = in->kind == PTX_K_ALU && !in->guarded && in->count == 1;
		in->run = alu ? 1 : 0;
		if (alu && i + 1 < d->n_code && next->run < UINT8_MAX)
			in->run = (uint8_t)(next->run + 1);
		in->plain = (in->kind == PTX_K_LD || in->kind == PTX_K_ST) &&
		            in->space == PTX_SPACE_SHARED && in->asize == 4 && in->vec == 1 &&
		            in->size == 4 && in->rsize == 4 && !in->order;
	}
}

void ptx_decode_kernel(struct ptx_load *ld, struct ptx_func *f, struct ptx_kernel *k,
                       uint32_t number)
{
	struct ptx_dec d = {.ld = ld, .k = k, .owner = number, .reg_bytes = 256};
	d.areas = ptx_grow(ld, &ld->temp, NULL, 0, &d.cap_areas, sizeof(*d.areas));
	d.n_areas = 1;         /* the kernel itself */
	ptx_open_scope(&d, 0); /* scope 0 is the module */
	ptx_open_scope(&d, 0);
	for (uint32_t i = 0; i < f->n_formals; i++)
		ptx_declare(&d, f->formals[i].name, f->line,
		            (struct ptx_sym){.kind = PTX_SYM_VAR,
		                             .space = PTX_SPACE_PARAM,
		                             .addr = k->info.params[i].offset,
		                             .bytes = f->formals[i].bytes});
	ptx_decode_block(&d, f->body);
	for (uint32_t i = 0; i < d.n_returns; i++)
		d.code[d.returns[i]].target = d.n_code;
	ptx_append(&d, PTX_K_EXIT); /* the end of the body is a return */
	ptx_decode_areas(&d);
	resolve_branches(&d);
	k->info.static_shared_bytes = d.shared_bytes;
	uint32_t align = d.dyn_align < 16 ? 16 : d.dyn_align;
	k->dyn_shared = (d.shared_bytes + align - 1) & ~(align - 1);
	k->info.local_bytes = (d.local_bytes + 15) & ~15u;
	k->uses_stack = d.uses_stack;
	k->reg_bytes = ptx_compact_registers(&d, &k->info.registers);
	ptx_keep_regions(&d);
	lay_out_constants(&d);
	mark_short_ways(&d);
	k->code = ptx_keep(&d, d.code, d.n_code * sizeof(*d.code));
	k->n_code = d.n_code;
	for (uint32_t i = 0; i < d.n_code; i++) {
		if (d.code[i].kind != PTX_K_SREG)
			continue;
		uint32_t r = d.code[i].op;
		k->uses_envreg |= r == PTX_R_ENVREG1 || r == PTX_R_ENVREG2;
		if (r >= PTX_R_RESERVED_BEGIN && r <= PTX_R_RESERVED_CAP)
			k->reserved_shared = PTX_RESERVED_BYTES;
	}
	k->ext = ptx_keep(&d, d.ext, d.n_ext * sizeof(*d.ext));
	k->stages = ptx_keep(&d, d.stages, d.n_stages * sizeof(*d.stages));
}
