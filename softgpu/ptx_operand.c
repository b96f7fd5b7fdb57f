// SPDX-License-Identifier: Apache-2.0
/* ptx_operand.c: types, symbols and operands: from names to places in the register file. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "ptx_dec.h"

static const struct ptx_type types[] = {
    {"u8", 'u', 1},
    {"s8", 's', 1},
    {"b8", 'b', 1},
    {"u16", 'u', 2},
    {"s16", 's', 2},
    {"b16", 'b', 2},
    {"u32", 'u', 4},
    {"s32", 's', 4},
    {"b32", 'b', 4},
    {"u64", 'u', 8},
    {"s64", 's', 8},
    {"b64", 'b', 8},
    {"f32", 'f', 4},
    {"f64", 'f', 8},
    {"pred", 'p', 0},
    {"f16", 'f', 2},
    {"bf16", 'f', 2},
    {"f16x2", 'f', 4},
    {"bf16x2", 'f', 4},
    {"u16x2", 'u', 4},
    {"s16x2", 's', 4},
    /* of conversions only */
    {"tf32", 'f', 4},
    {"e4m3x2", 'f', 2},
    {"e5m2x2", 'f', 2},
};

const struct ptx_type *ptx_type_find(struct ptx_str s)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (s.len && s.p[0] == '.' &&
		    ptx_str_is((struct ptx_str){s.p + 1, s.len - 1}, types[i].name))
			return &types[i];
	return NULL;
}

static const struct {
	const char *name;
	enum ptx_sreg reg;
	uint8_t size;
} sregs[] = {
    {"%tid.x", PTX_R_TID_X, 4},
    {"%tid.y", PTX_R_TID_Y, 4},
    {"%tid.z", PTX_R_TID_Z, 4},
    {"%ntid.x", PTX_R_NTID_X, 4},
    {"%ntid.y", PTX_R_NTID_Y, 4},
    {"%ntid.z", PTX_R_NTID_Z, 4},
    {"%ctaid.x", PTX_R_CTAID_X, 4},
    {"%ctaid.y", PTX_R_CTAID_Y, 4},
    {"%ctaid.z", PTX_R_CTAID_Z, 4},
    {"%nctaid.x", PTX_R_NCTAID_X, 4},
    {"%nctaid.y", PTX_R_NCTAID_Y, 4},
    {"%nctaid.z", PTX_R_NCTAID_Z, 4},
    {"%laneid", PTX_R_LANEID, 4},
    {"%warpid", PTX_R_WARPID, 4},
    {"%nwarpid", PTX_R_NWARPID, 4},
    {"%smid", PTX_R_SMID, 4},
    {"%nsmid", PTX_R_NSMID, 4},
    {"%gridid", PTX_R_GRIDID, 8},
    {"%lanemask_lt", PTX_R_LT, 4},
    {"%lanemask_le", PTX_R_LE, 4},
    {"%lanemask_eq", PTX_R_EQ, 4},
    {"%lanemask_ge", PTX_R_GE, 4},
    {"%lanemask_gt", PTX_R_GT, 4},
    {"%clock", PTX_R_CLOCK, 4},
    {"%clock_hi", PTX_R_CLOCK_HI, 4},
    {"%clock64", PTX_R_CLOCK64, 8},
    {"%globaltimer", PTX_R_TIMER, 8},
    {"%globaltimer_lo", PTX_R_TIMER_LO, 4},
    {"%globaltimer_hi", PTX_R_TIMER_HI, 4},
    {"%dynamic_smem_size", PTX_R_DYN_SMEM, 4},
    {"%total_smem_size", PTX_R_TOTAL_SMEM, 4},
    {"%aggr_smem_size", PTX_R_AGGR_SMEM, 4},
    {"%current_graph_exec", PTX_R_ZERO, 8},
    {"%reserved_smem_offset_begin", PTX_R_RESERVED_BEGIN, 4},
    {"%reserved_smem_offset_end", PTX_R_RESERVED_END, 4},
    {"%reserved_smem_offset_cap", PTX_R_RESERVED_CAP, 4},
    {"%reserved_smem_offset_0", PTX_R_RESERVED_BEGIN, 4},
    {"%reserved_smem_offset_1", PTX_R_RESERVED_1, 4},
    {"%envreg1", PTX_R_ENVREG1, 4},
    {"%envreg2", PTX_R_ENVREG2, 4},
    {"%is_explicit_cluster", PTX_R_IS_CLUSTER, 0},
    {"%clusterid.x", PTX_R_CLUSTERID_X, 4},
    {"%clusterid.y", PTX_R_CLUSTERID_Y, 4},
    {"%clusterid.z", PTX_R_CLUSTERID_Z, 4},
    {"%nclusterid.x", PTX_R_NCLUSTERID_X, 4},
    {"%nclusterid.y", PTX_R_NCLUSTERID_Y, 4},
    {"%nclusterid.z", PTX_R_NCLUSTERID_Z, 4},
    {"%cluster_ctaid.x", PTX_R_CLUSTER_CTAID_X, 4},
    {"%cluster_ctaid.y", PTX_R_CLUSTER_CTAID_Y, 4},
    {"%cluster_ctaid.z", PTX_R_CLUSTER_CTAID_Z, 4},
    {"%cluster_nctaid.x", PTX_R_CLUSTER_NCTAID_X, 4},
    {"%cluster_nctaid.y", PTX_R_CLUSTER_NCTAID_Y, 4},
    {"%cluster_nctaid.z", PTX_R_CLUSTER_NCTAID_Z, 4},
    {"%cluster_ctarank", PTX_R_CLUSTER_RANK, 4},
    {"%cluster_nctarank", PTX_R_CLUSTER_SIZE, 4},
};

uint32_t ptx_new_reg(struct ptx_dec *d, unsigned size)
{
	uint32_t bytes = size ? size * PTX_LANES : 4;
	uint32_t at = (d->reg_bytes + (size ? 63 : 3)) & ~(size ? 63u : 3u);
	if (at + bytes > 64u << 20)
		ptx_fail(d->ld, PTX_UNSUPPORTED, d->stmt ? d->stmt->line : 0,
		         "kernel '%s' needs more registers than the software GPU has",
		         d->k->info.name);
	d->reg_bytes = at + bytes;
	d->regs = ptx_grow(d->ld, &d->ld->temp, d->regs, d->n_regs, &d->cap_regs, sizeof(*d->regs));
	d->regs[d->n_regs++] = (struct ptx_vreg){at, (uint8_t)size};
	return at;
}

static struct ptx_sym *new_range_reg(struct ptx_dec *d, struct ptx_str name)
{
	uint32_t digits = 0;
	while (digits < name.len && isdigit((unsigned char)name.p[name.len - 1 - digits]))
		digits++;
	if (!digits || digits > 9 || digits == name.len)
		return NULL;
	struct ptx_str prefix = {name.p, name.len - digits};
	uint32_t index = 0;
	for (uint32_t i = prefix.len; i < name.len; i++)
		index = index * 10 + (uint32_t)(name.p[i] - '0');
	for (uint32_t s = d->scope; s; s = d->parent[s]) {
		struct ptx_sym *range = ptx_map_get(&d->names, s, prefix);
		if (!range || range->kind != PTX_SYM_RANGE || index >= range->count)
			continue;
		struct ptx_sym *sym = ptx_alloc(d->ld, &d->ld->temp, sizeof(*sym));
		sym->kind = PTX_SYM_REG;
		sym->type = range->type;
		sym->reg = ptx_new_reg(d, range->type->size == 1 ? 2 : range->type->size);
		ptx_map_put(d->ld, &d->names, s, name, sym);
		return sym;
	}
	return NULL;
}

void ptx_place(struct ptx_dec *d, struct ptx_sym *sym, uint32_t *bytes)
{
	if (!bytes) {
		sym->frame = d->area != 0;
		bytes = sym->frame ? &d->frame_bytes : &d->local_bytes;
		if (sym->frame && sym->align > d->frame_align)
			d->frame_align = (uint32_t)sym->align;
	}
	uint64_t at = (*bytes + sym->align - 1) & ~(sym->align - 1);
	if (at + sym->bytes > 1u << 28)
		ptx_fail(d->ld, PTX_UNSUPPORTED, d->stmt ? d->stmt->line : 0,
		         "kernel '%s' needs more memory for its variables than a GPU has",
		         d->k->info.name);
	sym->addr = at;
	sym->owner = d->owner;
	*bytes = (uint32_t)(at + sym->bytes);
}

struct ptx_sym *ptx_lookup(struct ptx_dec *d, struct ptx_str name)
{
	for (uint32_t s = d->scope; s; s = d->parent[s]) {
		struct ptx_sym *sym = ptx_map_get(&d->names, s, name);
		if (sym)
			return sym;
	}
	struct ptx_sym *sym = new_range_reg(d, name);
	return sym ? sym : ptx_map_get(&d->ld->globals, 0, name);
}

/* ---- parsing */
static bool find_sreg(struct ptx_dec *d, uint32_t *at, struct ptx_opd *out)
{
	struct ptx_str name = d->ld->tok[*at].s;
	const struct ptx_token *next = &d->ld->tok[*at + 1];
	uint32_t used = 1;
	if (ptx_str_is(name, "WARP_SZ")) {
		*out = (struct ptx_opd){.kind = PTX_O_INT, .value = PTX_LANES};
		*at += 1;
		return true;
	}
	if (name.p[0] != '%')
		return false;
	if (next->kind == PTX_TOK_DOT && next->s.p == name.p + name.len) {
		name.len += next->s.len;
		used = 2;
	}
	unsigned env;
	char end;
	char text[12];
	snprintf(text, sizeof(text), "%.*s", (int)(name.len < 11 ? name.len : 11), name.p);
	if (sscanf(text, "%%envreg%2u%c", &env, &end) == 1 && env != 1 && env != 2 && env < 32) {
		/* driver-defined; ours uses two of them, the others hold nothing */
		*out = (struct ptx_opd){.kind = PTX_O_SREG, .reg = PTX_R_ZERO, .size = 4};
		*at += 1;
		return true;
	}
	for (size_t i = 0; i < sizeof(sregs) / sizeof(sregs[0]); i++) {
		if (!ptx_str_is(name, sregs[i].name))
			continue;
		out->kind = PTX_O_SREG;
		out->reg = sregs[i].reg;
		out->size = sregs[i].size;
		*at += used;
		return true;
	}
	return false;
}

static _Noreturn void unknown(struct ptx_dec *d, uint32_t at)
{
	char buf[80];
	const struct ptx_token *t = &d->ld->tok[at];
	static const char *const special[] = {"%pm", "%envreg", "%reserved"};
	for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++)
		if (t->s.len > strlen(special[i]) &&
		    !strncmp(t->s.p, special[i], strlen(special[i])))
			ptx_fail(d->ld, PTX_UNSUPPORTED, t->line, "unsupported special register %s",
			         ptx_tok_text(d->ld, at, buf, sizeof(buf)));
	ptx_fail(d->ld, PTX_BAD_SYNTAX, t->line, "%s is not declared",
	         ptx_tok_text(d->ld, at, buf, sizeof(buf)));
}

static uint32_t parse_name(struct ptx_dec *d, uint32_t at, struct ptx_opd *out)
{
	struct ptx_load *ld = d->ld;
	struct ptx_str name = ld->tok[at].s;
	out->name = name;
	if (ptx_str_is(name, "_")) {
		out->kind = PTX_O_SINK;
		return at + 1;
	}
	struct ptx_sym *sym = ptx_lookup(d, name);
	if (!sym) {
		if (find_sreg(d, &at, out))
			return at;
		if (name.p[0] == '%')
			unknown(d, at);
		out->kind = PTX_O_NAME; /* a label: or so the handler must hope */
		return at + 1;
	}
	out->sym = sym;
	at++;
	if (sym->kind == PTX_SYM_REG) {
		out->kind = sym->type->kind == 'p' ? PTX_O_PRED : PTX_O_REG;
		out->reg = sym->reg;
		out->size = sym->type->size == 1 ? 2 : sym->type->size;
		if (ld->tok[at].kind == PTX_TOK_DOT && ld->tok[at].s.len > 2 &&
		    (ld->tok[at].s.p[1] == 'b' || ld->tok[at].s.p[1] == 'h'))
			out->part = ld->tok[at++].s;
	} else if (sym->kind == PTX_SYM_VAR) {
		out->kind = PTX_O_ADDR;
		if (sym->extern_global)
			ptx_fail(ld, PTX_UNSUPPORTED, ld->tok[at - 1].line,
			         "variable '%.*s' is external: linking is not supported; build "
			         "without -rdc",
			         (int)(name.len < 100 ? name.len : 100), name.p);
		if (sym->space == PTX_SPACE_SHARED && !sym->dynamic && sym->owner != d->owner)
			ptx_place(d, sym, &d->shared_bytes);
		if (sym->dynamic && sym->align > d->dyn_align)
			d->dyn_align = (uint32_t)sym->align;
		if ((ptx_tok_is(ld, at, '+') || ptx_tok_is(ld, at, '-')) &&
		    ld->tok[at + 1].kind == PTX_TOK_INT) {
			int64_t off = (int64_t)ld->tok[at + 1].value;
			out->offset = ptx_tok_is(ld, at, '-') ? (int64_t)(0 - (uint64_t)off) : off;
			at += 2;
		}
	} else {
		out->kind = PTX_O_NAME;
	}
	return at;
}

static uint32_t parse_items(struct ptx_dec *d, uint32_t at, char close, struct ptx_opd *out);

static uint32_t parse_memory(struct ptx_dec *d, uint32_t at, struct ptx_opd *out)
{
	struct ptx_load *ld = d->ld;
	struct ptx_opd base = {0};
	bool minus;
	*out = (struct ptx_opd){.kind = PTX_O_MEM};
	if (ld->tok[at].kind == PTX_TOK_INT) {
		out->offset = (int64_t)ld->tok[at++].value;
	} else if (ld->tok[at].kind != PTX_TOK_IDENT) {
		ptx_fail(ld, PTX_BAD_SYNTAX, ld->tok[at].line, "bad address");
	} else {
		at = parse_name(d, at, &base);
		if (base.kind == PTX_O_REG) {
			out->has_base = true;
			out->reg = base.reg;
			out->size = base.size;
		} else if (base.kind == PTX_O_ADDR) {
			out->sym = base.sym;
			out->offset = base.offset;
		} else if (base.kind == PTX_O_NAME) {
			char buf[80];
			ptx_fail(ld, PTX_BAD_SYNTAX, ld->tok[at - 1].line, "%s is not declared",
			         ptx_tok_text(ld, at - 1, buf, sizeof(buf)));
		} else {
			ptx_fail(ld, PTX_BAD_SYNTAX, ld->tok[at].line, "bad address");
		}
	}
	while (ptx_tok_is(ld, at, '+') || ptx_tok_is(ld, at, '-')) {
		minus = ptx_tok_is(ld, at++, '-');
		if (ptx_accept(ld, &at, '-'))
			minus = !minus;
		if (ld->tok[at].kind != PTX_TOK_INT)
			ptx_fail(ld, PTX_BAD_SYNTAX, ld->tok[at].line, "bad address offset");
		uint64_t v = ld->tok[at++].value;
		out->offset = (int64_t)((uint64_t)out->offset + (minus ? 0 - v : v));
	}
	if (ptx_accept(ld, &at, ',')) { /* [image, {x, y}] */
		if (ptx_accept(ld, &at, '{'))
			at = parse_items(d, at, '}', out);
		else
			at = parse_items(d, at, ']', out) - 1;
	}
	ptx_expect(ld, &at, ']');
	return at;
}

static uint32_t parse_items(struct ptx_dec *d, uint32_t at, char close, struct ptx_opd *out)
{
	struct ptx_load *ld = d->ld;
	uint32_t cap = 0;
	while (!ptx_accept(ld, &at, close)) {
		if (out->n_items)
			ptx_expect(ld, &at, ',');
		out->items =
		    ptx_grow(ld, &ld->temp, out->items, out->n_items, &cap, sizeof(*out->items));
		struct ptx_opd item = {0};
		if (ptx_tok_is(ld, at, '{') || ptx_tok_is(ld, at, '('))
			ptx_fail(ld, PTX_BAD_SYNTAX, ld->tok[at].line, "a list within a list");
		at = ptx_parse_operand(d, at, &item);
		out->items[out->n_items++] = item;
	}
	return at;
}

/* Behind a destination: "|p", a predicate that is written too. */
static uint32_t parse_second(struct ptx_dec *d, uint32_t at, struct ptx_opd *out)
{
	struct ptx_load *ld = d->ld;
	if (!ptx_tok_is(ld, at, '|'))
		return at;
	out->second = ptx_alloc(ld, &ld->temp, sizeof(*out->second));
	if (ld->tok[at + 1].kind != PTX_TOK_IDENT)
		ptx_fail(ld, PTX_BAD_SYNTAX, ld->tok[at].line, "a predicate expected after '|'");
	return parse_name(d, at + 1, out->second);
}

uint32_t ptx_parse_operand(struct ptx_dec *d, uint32_t at, struct ptx_opd *out)
{
	struct ptx_load *ld = d->ld;
	const struct ptx_token *t = &ld->tok[at];
	char buf[48];
	*out = (struct ptx_opd){.kind = PTX_O_INT};
	if (t->kind == PTX_TOK_INT || t->kind == PTX_TOK_FLOAT) {
		out->kind = t->kind == PTX_TOK_INT ? PTX_O_INT : PTX_O_FLOAT;
		out->value = t->value;
		out->single = t->single;
		return at + 1;
	}
	if (t->kind == PTX_TOK_IDENT)
		return parse_second(d, parse_name(d, at, out), out);
	if (ptx_tok_is(ld, at, '-') || ptx_tok_is(ld, at, '+') || ptx_tok_is(ld, at, '~')) {
		char sign = (char)t->value;
		t = &ld->tok[++at];
		if (t->kind == PTX_TOK_INT) {
			out->value = sign == '-'   ? 0 - t->value
			             : sign == '~' ? ~t->value
			                           : t->value;
			return at + 1;
		}
		if (t->kind == PTX_TOK_FLOAT && sign != '~') {
			out->kind = PTX_O_FLOAT;
			out->single = t->single;
			out->value =
			    t->value ^ (sign == '-' ? (t->single ? 1ull << 31 : 1ull << 63) : 0);
			return at + 1;
		}
		if (t->kind == PTX_TOK_IDENT && sign == '-') {
			at = parse_name(d, at, out);
			out->negated = true;
			if (out->kind == PTX_O_REG)
				return at;
		}
	} else if (ptx_tok_is(ld, at, '!') && ld->tok[at + 1].kind == PTX_TOK_IDENT) {
		at = parse_name(d, at + 1, out);
		if (out->kind != PTX_O_PRED)
			ptx_fail(ld, PTX_BAD_SYNTAX, t->line, "'!' before what is not a predicate");
		out->negated = true;
		return at;
	} else if (ptx_tok_is(ld, at, '[')) {
		return parse_memory(d, at + 1, out);
	} else if (ptx_tok_is(ld, at, '{')) {
		out->kind = PTX_O_VEC;
		return parse_second(d, parse_items(d, at + 1, '}', out), out);
	} else if (ptx_tok_is(ld, at, '(')) {
		out->kind = PTX_O_LIST;
		return parse_items(d, at + 1, ')', out);
	}
	ptx_fail(ld, PTX_BAD_SYNTAX, t->line, "operand expected, not %s",
	         ptx_tok_text(ld, at, buf, sizeof(buf)));
}

/* ---- operands of instructions */
static uint32_t constant(struct ptx_dec *d, uint64_t value, unsigned size, bool dynamic)
{
	if (size < 8)
		value &= (1ull << (8 * size)) - 1;
	struct ptx_map *map = &d->const_map[dynamic];
	struct ptx_str key = {(const char *)&value, sizeof(value)};
	struct ptx_constant *c = ptx_map_get(map, size, key);
	if (!c) {
		c = ptx_alloc(d->ld, &d->ld->temp, sizeof(*c));
		*c = (struct ptx_constant){value, (uint8_t)size, dynamic, d->const_bytes};
		d->const_bytes += size * PTX_LANES;
		d->consts = ptx_grow(d->ld, &d->ld->temp, d->consts, d->n_consts, &d->cap_consts,
		                     sizeof(*d->consts));
		d->consts[d->n_consts++] = c;
		ptx_map_put(d->ld, map, size,
		            (struct ptx_str){(const char *)&c->value, sizeof(c->value)}, c);
	}
	return c->off | PTX_CONST;
}

uint32_t ptx_const(struct ptx_dec *d, uint64_t value, unsigned size)
{
	return constant(d, value, size, false);
}

static uint64_t float_bits(const struct ptx_opd *o, const struct ptx_type *t)
{
	float f;
	double v;
	uint32_t b32 = (uint32_t)o->value;
	uint64_t b64 = o->value;
	memcpy(&f, &b32, sizeof(f));
	memcpy(&v, &b64, sizeof(v));
	if (t->size == 8) {
		if (!o->single)
			return b64;
		v = (double)f;
		memcpy(&b64, &v, sizeof(b64));
		return b64;
	}
	if (o->single)
		return b32;
	f = (float)v;
	memcpy(&b32, &f, sizeof(b32));
	return b32;
}

/* The address of a variable in the frame: where the frame begins, plus its place there. */
static uint32_t frame_address(struct ptx_dec *d, uint64_t at, unsigned size)
{
	uint32_t wide = ptx_new_reg(d, 8), narrow;
	uint32_t place = ptx_const(d, at, 8);
	struct ptx_inst *in = ptx_helper(d, PTX_K_ALU);
	in->size = 8;
	in->d = wide;
	in->a = PTX_FRAME;
	in->b = place;
	in->fn = ptx_lanes_find("add.u64");
	if (size == 8)
		return wide;
	narrow = ptx_new_reg(d, 4);
	in = ptx_helper(d, PTX_K_ALU);
	in->size = 4;
	in->d = narrow;
	in->a = wide;
	in->fn = ptx_lanes_find("cvt.u32.u64");
	return narrow;
}

static uint32_t immediate(struct ptx_dec *d, const struct ptx_opd *o, const struct ptx_type *t,
                          unsigned size)
{
	if (o->kind == PTX_O_FLOAT) {
		if (t->size < 4 || t->kind == 'u' || t->kind == 's')
			ptx_bad(d, "a floating-point constant where none may be");
		return ptx_const(d, float_bits(o, t), size);
	}
	if (o->kind == PTX_O_INT) {
		if (t->kind == 'f' && t->size >= 4 && strlen(t->name) == 3)
			ptx_bad(d, "an integer constant where a floating-point value is expected");
		/* a narrow immediate in a wider place is sign-extended if its type is signed */
		uint64_t v = o->value;
		if (t->size == 1 && size > 1)
			v = t->kind == 's' ? (uint64_t)(int64_t)(int8_t)v : (uint8_t)v;
		return ptx_const(d, v, size);
	}
	/* the address of a variable, in its own space */
	if (size < 4)
		ptx_bad(d, "an address does not fit the type");
	if (o->sym->frame)
		return frame_address(d, o->sym->addr + (uint64_t)o->offset, size);
	return constant(d, o->sym->addr + (uint64_t)o->offset, size, o->sym->dynamic);
}

static uint32_t read_sreg(struct ptx_dec *d, const struct ptx_opd *o, const struct ptx_type *t)
{
	/* %clock and others may be read as 64 bits too; a 64-bit one not as 32 */
	unsigned size = t->size;
	if (size != o->size && !(size == 8 && o->size == 4) && !(size == 4 && o->size == 8) &&
	    !(size == 2 && o->size == 4))
		ptx_bad(d, "the special register has another size");
	uint32_t reg = ptx_new_reg(d, size);
	struct ptx_inst *in = ptx_helper(d, PTX_K_SREG);
	in->op = (uint8_t)o->reg;
	in->size = (uint8_t)size;
	in->d = reg;
	return reg;
}

uint32_t ptx_src_any(struct ptx_dec *d, const struct ptx_opd *o, const struct ptx_type *t,
                     uint8_t *size)
{
	*size = t->size == 1 ? 2 : t->size;
	switch (o->kind) {
	case PTX_O_REG:
		if (o->negated || o->part.len)
			ptx_unsupported(d, "a negated register, or a part of one, is");
		if (o->size < *size)
			ptx_bad(d, "a source register is narrower than the type");
		*size = o->size;
		return o->reg;
	case PTX_O_SREG:
		return read_sreg(d, o, t);
	case PTX_O_INT:
	case PTX_O_FLOAT:
	case PTX_O_ADDR:
		return immediate(d, o, t, *size);
	case PTX_O_NAME:
		if (o->sym && o->sym->kind == PTX_SYM_FUNC && o->sym->func->body && *size == 8)
			return ptx_const(d, ptx_func_pointer(d->ld, o->sym->func), 8);
		if (o->sym && o->sym->kind == PTX_SYM_FUNC)
			ptx_unsupported(d, "a pointer to an external function is");
		for (uint32_t i = 0; *size == 8 && i < d->ld->module->n_kernels; i++)
			if (ptx_str_is(o->name, d->ld->module->kernels[i]->info.name))
				return ptx_const(d,
				                 PTX_FUNC_BASE + PTX_KERNEL_NUMBER + i +
				                     ((uint64_t)d->ld->module->id << 32),
				                 8);
		ptx_bad(d, "a source operand is not declared");
	default:
		ptx_bad(d, "a source operand is not a register or constant");
	}
}

uint32_t ptx_src(struct ptx_dec *d, const struct ptx_opd *o, const struct ptx_type *t)
{
	uint8_t size;
	uint32_t reg = ptx_src_any(d, o, t, &size);
	if (size != (t->size == 1 ? 2 : t->size))
		ptx_bad(d, "a source register has another size than the type");
	return reg;
}

uint32_t ptx_dst_any(struct ptx_dec *d, const struct ptx_opd *o, unsigned min_size, uint8_t *size)
{
	if (min_size < 2)
		min_size = 2;
	*size = (uint8_t)min_size;
	if (o->kind == PTX_O_SINK) {
		unsigned k = min_size == 2 ? 1 : min_size == 4 ? 2 : 3;
		if (!d->sink[k])
			d->sink[k] = ptx_new_reg(d, min_size);
		return d->sink[k];
	}
	if (o->kind != PTX_O_REG || o->negated)
		ptx_bad(d, "the destination is not a register");
	if (o->part.len)
		ptx_unsupported(d, "a part of a register as destination is");
	if (o->size < min_size)
		ptx_bad(d, "the destination register is narrower than the type");
	*size = o->size;
	return o->reg;
}

uint32_t ptx_dst(struct ptx_dec *d, const struct ptx_opd *o, unsigned size)
{
	uint8_t got;
	uint32_t reg = ptx_dst_any(d, o, size, &got);
	if (got != (size < 2 ? 2 : size))
		ptx_bad(d, "the destination register has another size than the type");
	return reg;
}

uint32_t ptx_dst_pred(struct ptx_dec *d, const struct ptx_opd *o)
{
	if (o->kind == PTX_O_SINK) {
		if (!d->sink[0])
			d->sink[0] = ptx_new_reg(d, 0);
		return d->sink[0];
	}
	if (o->kind != PTX_O_PRED || o->negated)
		ptx_bad(d, "the destination is not a predicate");
	return o->reg;
}

uint32_t ptx_src_pred(struct ptx_dec *d, const struct ptx_opd *o, bool *negated)
{
	if (negated)
		*negated = false;
	if (o->kind == PTX_O_INT) /* 0 or 1 */
		return ptx_const(d, o->value ? 0xffffffffu : 0, 4);
	if (o->kind == PTX_O_SREG && o->size == 0) {
		uint32_t reg = ptx_new_reg(d, 0);
		struct ptx_inst *in = ptx_helper(d, PTX_K_SREG);
		in->op = (uint8_t)o->reg;
		in->d = reg;
		return reg;
	}
	if (o->kind != PTX_O_PRED)
		ptx_bad(d, "a predicate is expected");
	if (o->negated && !negated)
		ptx_bad(d, "a negated predicate is not allowed here");
	if (negated)
		*negated = o->negated;
	return o->reg;
}
