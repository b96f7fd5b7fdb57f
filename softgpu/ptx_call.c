// SPDX-License-Identifier: Apache-2.0
/*
 * ptx_call.c: calls. Most are inlined: the callee's body is decoded in place, its parameters are
 * the caller's .param variables. A function that may be active twice (it can reach itself, or is
 * called through a pointer), uses alloca, or would make the code too large is a region of its own:
 * its parameters lie at the beginning of its frame, results first, and a call copies them.
 */
#include <stdio.h>
#include <string.h>

#include "ptx_dec.h"

#define INLINE_DEPTH 24   /* deeper calls, and those of kernels of more instructions */
#define INLINE_CODE 50000 /* than this, are not inlined */
#define AREAS_MAX (1u << 16)

/* ---- parameters */
/* Where an argument is: a .param variable of the caller, large enough. */
static const struct ptx_sym *argument(struct ptx_dec *d, const struct ptx_formal *f,
                                      const struct ptx_opd *o)
{
	if (f->is_reg)
		ptx_unsupported(d, "parameters in registers are");
	if (o->kind != PTX_O_ADDR || o->sym->space != PTX_SPACE_LOCAL)
		ptx_unsupported(d, "an argument that is not a .param variable is");
	if ((uint64_t)o->offset > o->sym->bytes ||
	    (f->sized && o->sym->bytes - (uint64_t)o->offset < f->bytes))
		ptx_bad(d, "an argument is smaller than the parameter");
	return o->sym;
}

static void need_count(struct ptx_dec *d, const struct ptx_opd *list, uint32_t n)
{
	if ((list ? list->n_items : 0) != n)
		ptx_bad(d, "the number of arguments differs from the function's");
}

/* ---- inlined */
static void bind_all(struct ptx_dec *d, const struct ptx_formal *f, uint32_t n,
                     const struct ptx_opd *list, uint32_t scope)
{
	need_count(d, list, n);
	for (uint32_t i = 0; i < n; i++) {
		const struct ptx_opd *o = &list->items[i];
		struct ptx_sym *sym = ptx_alloc(d->ld, &d->ld->temp, sizeof(*sym));
		*sym = *argument(d, &f[i], o);
		sym->addr += (uint64_t)o->offset;
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
		 cap_returns = d->cap_returns, carry = d->carry, patch;
	d->inline_depth++;
	skip_unless_guard(d, &patch);
	ptx_open_scope(d, 0);
	bind_all(d, f->results, f->n_results, results, d->scope);
	bind_all(d, f->formals, f->n_formals, args, d->scope);
	d->returns = NULL;
	d->n_returns = d->cap_returns = d->carry = 0;
	ptx_decode_block(d, f->body);
	for (uint32_t i = 0; i < d->n_returns; i++)
		d->code[d->returns[i]].target = d->n_code;
	if (d->code[patch].kind == PTX_K_BRA)
		d->code[patch].target = d->n_code;
	d->inline_depth--;
	d->returns = returns;
	d->n_returns = n_returns;
	d->cap_returns = cap_returns;
	d->carry = carry;
	d->scope = scope;
	d->stmt = stmt;
}

/* ---- called */
/* The area of the kernel's code that is this function's; it is decoded later. */
static uint32_t area_of(struct ptx_dec *d, struct ptx_func *f)
{
	if (f->owner == d->owner)
		return f->region;
	if (d->n_areas >= AREAS_MAX)
		ptx_fail(d->ld, PTX_UNSUPPORTED, f->line, "kernel '%s' calls too many functions",
		         d->k->info.name);
	d->areas =
	    ptx_grow(d->ld, &d->ld->temp, d->areas, d->n_areas, &d->cap_areas, sizeof(*d->areas));
	f->owner = d->owner;
	f->region = d->n_areas;
	d->areas[d->n_areas] = (struct ptx_area){.func = f};
	d->uses_stack = true;
	return d->n_areas++;
}

static uint64_t placed(uint64_t *at, const struct ptx_formal *f)
{
	uint64_t here = (*at + f->align - 1) & ~(f->align - 1);
	*at = here + f->bytes;
	return here;
}

/* Sizes and alignments of all parameters: functions that agree in it can be called alike. */
static uint64_t signature(const struct ptx_func *f)
{
	uint64_t h = 14695981039346656037ull;
	for (uint32_t i = 0; i < f->n_results + f->n_formals; i++) {
		bool result = i < f->n_results;
		const struct ptx_formal *p =
		    result ? &f->results[i] : &f->formals[i - f->n_results];
		h = (h ^ (p->bytes * 2 + result)) * 1099511628211ull;
		h = (h ^ p->align) * 1099511628211ull;
	}
	return h;
}

/* What is copied between the caller's variables and the frame: three numbers each. */
static void copies(struct ptx_dec *d, const struct ptx_formal *f, uint32_t n,
                   const struct ptx_opd *list, uint64_t *at)
{
	need_count(d, list, n);
	for (uint32_t i = 0; i < n; i++) {
		const struct ptx_opd *o = &list->items[i];
		const struct ptx_sym *sym = argument(d, &f[i], o);
		if (!f[i].sized)
			ptx_unsupported(d, "an argument of unknown size is");
		ptx_ext(d, (uint32_t)(sym->addr + (uint64_t)o->offset));
		ptx_ext(d, (uint32_t)placed(at, &f[i]));
		ptx_ext(d, (uint32_t)f[i].bytes);
	}
}

/* `shape` says what is passed; it is the function itself unless it is called through `pointer`. */
static void real_call(struct ptx_dec *d, const struct ptx_func *shape, uint32_t area,
                      const struct ptx_opd *pointer, const struct ptx_opd *results,
                      const struct ptx_opd *args)
{
	static const struct ptx_type u64 = {"u64", 'u', 8};
	uint64_t sig = signature(shape), at = 0;
	struct ptx_inst in = {.op = pointer != NULL, .target = area, .imm = d->n_ext};
	ptx_ext(d, (uint32_t)sig);
	ptx_ext(d, (uint32_t)(sig >> 32));
	ptx_ext(d, shape->n_results);
	ptx_ext(d, shape->n_formals);
	copies(d, shape->results, shape->n_results, results, &at);
	copies(d, shape->formals, shape->n_formals, args, &at);
	if (pointer)
		in.a = ptx_src(d, pointer, &u64);
	in.site = d->area; /* the caller's frame has its size */
	ptx_emit_built(d, PTX_K_CALL, &in);
}

/* ---- functions that CUDA's device run-time provides */
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
	    {"cudaGraphSetConditional", PTX_SYS_CONDITION, 2, 0},
	    {"__cudaCDP2GetParameterBufferV2", PTX_SYS_BUFFER, 4, 1},
	    {"__cudaCDP2LaunchDeviceV2", PTX_SYS_LAUNCH, 2, 1},
	    {"__cudaCDP2StreamCreateWithFlags", PTX_SYS_HANDLE, 2, 1},
	    {"__cudaCDP2EventCreateWithFlags", PTX_SYS_HANDLE, 2, 1},
	    {"__cudaCDP2StreamDestroy", PTX_SYS_NOTHING, 1, 1},
	    {"__cudaCDP2StreamWaitEvent", PTX_SYS_NOTHING, 3, 1},
	    {"__cudaCDP2EventRecord", PTX_SYS_NOTHING, 2, 1},
	    {"__cudaCDP2EventDestroy", PTX_SYS_NOTHING, 1, 1},
	    {"__cudaCDP2GetLastError", PTX_SYS_ERROR, 0, 1},
	    {"__cudaCDP2PeekAtLastError", PTX_SYS_PEEK, 0, 1},
	    {"__cudaCDP2GetErrorString", PTX_SYS_ERROR_TEXT, 1, 1},
	    {"__cudaCDP2GetDevice", PTX_SYS_DEVICE, 1, 1},
	    {"__cudaCDP2GetDeviceCount", PTX_SYS_DEVICES, 1, 1},
	    {"__cudaCDP2Malloc", PTX_SYS_DEVICE_MALLOC, 2, 1},
	    {"__cudaCDP2Free", PTX_SYS_DEVICE_FREE, 1, 1},
	    {"__cudaCDP2MemcpyAsync", PTX_SYS_COPY, 5, 1},
	    {"__cudaCDP2MemsetAsync", PTX_SYS_SET, 4, 1},
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

/* The arguments stay in local memory: ext holds their offsets in the frame. */
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
	in->rsize = (uint8_t)n_args;
	in->target = first;
}

static void call_function(struct ptx_dec *d, struct ptx_func *f, const struct ptx_opd *results,
                          const struct ptx_opd *args)
{
	enum ptx_syscall op;
	uint32_t n_args, n_results;
	char buf[80];
	if (f->body) {
		if (f->outline || d->inline_depth >= INLINE_DEPTH || d->n_code > INLINE_CODE)
			real_call(d, f, area_of(d, f), NULL, results, args);
		else
			inline_call(d, f, results, args);
	} else if (syscall_of(f->name, &op, &n_args, &n_results)) {
		call_system(d, op, n_args, n_results, results, args);
	} else {
		snprintf(buf, sizeof(buf), "the external function '%.*s' is",
		         (int)(f->name.len < 50 ? f->name.len : 50), f->name.p);
		ptx_unsupported(d, buf);
	}
}

void ptx_decode_call(struct ptx_dec *d)
{
	struct ptx_stmt *s = d->stmt;
	const struct ptx_opd *results = NULL, *args = NULL, *proto = NULL;
	uint32_t i = 0;
	ptx_take(d, ".uni");
	if (i < s->n_opd && s->opd[i].kind == PTX_O_LIST)
		results = &s->opd[i++];
	if (i >= s->n_opd)
		ptx_bad(d, "no function is named");
	const struct ptx_opd *target = &s->opd[i++];
	if (i < s->n_opd && s->opd[i].kind == PTX_O_LIST)
		args = &s->opd[i++];
	if (i < s->n_opd)
		proto = &s->opd[i++];
	if (i < s->n_opd)
		ptx_bad(d, "wrong number of operands");
	if (target->kind == PTX_O_REG) {
		if (!proto || proto->kind != PTX_O_NAME || !proto->sym ||
		    proto->sym->kind != PTX_SYM_PROTO)
			ptx_bad(d, "a call through a pointer needs a .callprototype");
		d->calls_pointers = d->uses_stack = true;
		real_call(d, proto->sym->func, 0, target, results, args);
		return;
	}
	if (proto || target->kind != PTX_O_NAME || !target->sym ||
	    target->sym->kind != PTX_SYM_FUNC)
		ptx_bad(d, "the function called is not declared");
	call_function(d, target->sym->func, results, args);
}

/* name: .callprototype (.param .b32 _) _ (.param .b32 _); or name: .calltargets f, g; */
uint32_t ptx_decode_prototype(struct ptx_dec *d, uint32_t at)
{
	struct ptx_load *ld = d->ld;
	struct ptx_str name = ld->tok[at].s;
	uint32_t line = ld->tok[at].line;
	struct ptx_sym sym = {.kind = PTX_SYM_PROTO};
	bool list = ptx_dot_is(ld, at + 2, ".calltargets");
	at += 3;
	if (list) { /* functions that may be meant: all of one kind */
		const struct ptx_sym *first = ptx_map_get(&ld->globals, 0, ld->tok[at].s);
		if (ld->tok[at].kind != PTX_TOK_IDENT || !first || first->kind != PTX_SYM_FUNC)
			ptx_fail(ld, PTX_BAD_SYNTAX, line, "a list of functions is expected");
		sym.func = first->func;
		while (!ptx_tok_is(ld, at, ';') && ld->tok[at].kind != PTX_TOK_END)
			at++;
	} else {
		sym.func = ptx_alloc(ld, &ld->temp, sizeof(*sym.func));
		if (ptx_tok_is(ld, at, '('))
			at = ptx_parse_formals(ld, at, &sym.func->results, &sym.func->n_results);
		if (ld->tok[at].kind != PTX_TOK_IDENT)
			ptx_fail(ld, PTX_BAD_SYNTAX, line, "'_' is expected in a .callprototype");
		at++;
		if (ptx_tok_is(ld, at, '('))
			at = ptx_parse_formals(ld, at, &sym.func->formals, &sym.func->n_formals);
		at = ptx_parse_limits(ld, at, NULL);
	}
	ptx_expect(ld, &at, ';');
	ptx_declare(d, name, line, sym);
	return at;
}

/* ---- the functions themselves */
static void declare_formals(struct ptx_dec *d, const struct ptx_func *f,
                            const struct ptx_formal *list, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (list[i].is_reg)
			ptx_fail(d->ld, PTX_UNSUPPORTED, f->line,
			         "unsupported: function '%.*s' has parameters in registers",
			         (int)(f->name.len < 100 ? f->name.len : 100), f->name.p);
		struct ptx_sym sym = {.kind = PTX_SYM_VAR,
		                      .space = PTX_SPACE_LOCAL,
		                      .bytes = list[i].bytes,
		                      .align = list[i].align};
		ptx_place(d, &sym, NULL);
		ptx_declare(d, list[i].name, f->line, sym);
	}
}

static void decode_area(struct ptx_dec *d, uint32_t i)
{
	struct ptx_func *f = d->areas[i].func;
	d->area = i;
	d->frame_bytes = 0;
	d->frame_align = 16;
	d->carry = 0;
	memset(d->sink, 0, sizeof(d->sink));
	ptx_open_scope(d, 0);
	declare_formals(d, f, f->results, f->n_results);
	declare_formals(d, f, f->formals, f->n_formals);
	d->areas[i].pc = d->n_code;
	d->areas[i].first_reg = d->n_regs;
	ptx_decode_block(d, f->body);
	ptx_append(d, PTX_K_RET);
	d->areas[i].frame_bytes = (d->frame_bytes + 15) & ~15u;
	d->areas[i].frame_align = d->frame_align;
}

void ptx_decode_areas(struct ptx_dec *d)
{
	for (uint32_t i = 1; i < d->n_areas || d->calls_pointers;) {
		if (i < d->n_areas) {
			decode_area(d, i++);
			continue;
		}
		/* any function that a pointer may point to */
		d->calls_pointers = false;
		for (struct ptx_func *f = d->ld->funcs; f; f = f->next)
			if (f->body && f->taken)
				area_of(d, f);
	}
	d->area = 0;
}

/* What the interpreter needs of it all; registers have their final places. */
void ptx_keep_regions(struct ptx_dec *d)
{
	struct ptx_kernel *k = d->k;
	struct ptx_load *ld = d->ld;
	if (!k->uses_stack)
		return;
	struct ptx_region *r = ptx_alloc(ld, ld->keep, d->n_areas * sizeof(*r));
	uint32_t *of = ptx_alloc(ld, ld->keep, (ld->n_funcs + 1) * sizeof(*of));
	static const uint8_t bytes[] = {1, 2, 4, 8};
	for (uint32_t i = 0; i < d->n_areas; i++) {
		struct ptx_func *f = d->areas[i].func;
		r[i] = (struct ptx_region){.pc = d->areas[i].pc,
		                           .frame_bytes = d->areas[i].frame_bytes,
		                           .frame_align = d->areas[i].frame_align,
		                           .first_save = d->areas[i].first_save,
		                           .n_saves = d->areas[i].n_saves};
		for (uint32_t s = 0; s < r[i].n_saves; s++)
			r[i].save_bytes += bytes[d->saves[r[i].first_save + s] & 3];
		if (!f)
			continue;
		r[i].signature = signature(f);
		of[f->number] = i;
	}
	k->regions = r;
	k->n_regions = d->n_areas;
	k->region_of = of;
	k->n_funcs = ld->n_funcs;
	k->saves = ptx_keep(d, d->saves, d->n_saves * sizeof(*d->saves));
}
