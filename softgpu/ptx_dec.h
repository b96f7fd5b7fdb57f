// SPDX-License-Identifier: Apache-2.0
/*
 * ptx_dec.h: from tokens to struct ptx_inst. ptx_parse.c reads the module (variables, function
 * heads), ptx_graph.c finds who calls whom, ptx_body.c walks a kernel's statements, ptx_call.c
 * decodes calls, ptx_operand.c reads operands, and one handler an opcode (ptx_dec_*.c) checks
 * modifiers and operands and emits instructions.
 *
 * A handler takes every modifier that it understands; what is left over at its end makes the
 * instruction unsupported. So nothing is ever skipped.
 */
#ifndef SOFTGPU_PTX_DEC_H
#define SOFTGPU_PTX_DEC_H

#include "ptx_ir.h"
#include "ptx_lex.h"

struct ptx_type {
	const char *name; /* "u32": without the dot */
	char kind;        /* u s b f, p = predicate */
	uint8_t size;     /* bytes; 0 for a predicate */
};
const struct ptx_type *ptx_type_find(struct ptx_str s); /* ".u32"; NULL: not a type */

enum ptx_sym_kind {
	PTX_SYM_REG,
	PTX_SYM_RANGE,
	PTX_SYM_VAR,
	PTX_SYM_FUNC,
	PTX_SYM_TABLE,
	PTX_SYM_PROTO, /* of an indirect call: `func` has formals only */
};
struct ptx_sym {
	enum ptx_sym_kind kind;
	const struct ptx_type *type; /* registers */
	uint32_t reg;                /* registers: offset */
	uint32_t count, scope;       /* ranges */
	enum ptx_space space;        /* variables */
	uint64_t addr;
	uint64_t bytes;
	bool dynamic;       /* .extern .shared: placed behind all static ones */
	bool extern_global; /* declared only */
	bool frame;         /* local: `addr` is relative to the function's frame */
	struct ptx_func *func;
	uint32_t first, last; /* branch table: its tokens */
	uint32_t table_scope;
	uint64_t align;
	uint32_t owner; /* shared: the kernel that `addr` is right for */
};

struct ptx_formal {
	struct ptx_str name;
	uint64_t bytes, align;
	bool is_reg; /* old style: passed in a register */
	bool sized;
};
/* A .func or .entry. */
struct ptx_func {
	struct ptx_func *next;
	struct ptx_str name;
	uint32_t line;
	struct ptx_formal *formals; /* arguments */
	uint32_t n_formals;
	struct ptx_formal *results;
	uint32_t n_results;
	uint32_t body;          /* token after '{'; 0: external */
	uint32_t end;           /* token after its '}' */
	uint32_t number;        /* in the module, from 1: what a pointer to it says */
	bool outline;           /* called, not inlined: it may call itself, or uses alloca */
	bool taken;             /* there may be a pointer to it */
	uint32_t region, owner; /* its region in the code of kernel `owner` */
};

struct ptx_var_decl { /* one declared variable, before it has an address */
	struct ptx_str name;
	const struct ptx_type *type;
	uint64_t bytes, align;
	bool unsized; /* x[] */
	bool managed; /* .attribute(.managed) */
};

/* ---- operands */
enum ptx_opd_kind {
	PTX_O_REG,
	PTX_O_PRED,
	PTX_O_INT,
	PTX_O_FLOAT,
	PTX_O_ADDR, /* address of a variable plus offset */
	PTX_O_SREG,
	PTX_O_VEC,
	PTX_O_MEM,
	PTX_O_SINK,
	PTX_O_NAME,
	PTX_O_LIST,
};
struct ptx_opd {
	enum ptx_opd_kind kind;
	bool negated;        /* !%p; -%r, of vmad only */
	struct ptx_str part; /* %r.h1: of video instructions only; empty: all of it */
	uint32_t reg;        /* offset; special registers: enum ptx_sreg */
	uint8_t size;        /* registers: bytes a lane */
	bool single;         /* floats */
	bool has_base;       /* memory: reg is the base */
	uint64_t value;
	int64_t offset;
	const struct ptx_sym *sym;
	struct ptx_str name;
	struct ptx_opd *items; /* vectors, lists; memory: coordinates */
	uint32_t n_items;
	struct ptx_opd *second; /* d|p */
};

#define PTX_MAX_MODS 20
#define PTX_MAX_OPDS 8
struct ptx_stmt { /* one instruction as written */
	uint32_t line;
	uint32_t first, last; /* tokens, for messages */
	struct ptx_str op;
	struct ptx_str mod[PTX_MAX_MODS];
	bool taken[PTX_MAX_MODS];
	uint32_t n_mod;
	struct ptx_opd opd[PTX_MAX_OPDS];
	uint32_t n_opd;
	bool guarded, guard_not;
	uint32_t guard;
};

struct ptx_fixup {      /* a branch target not yet known */
	uint32_t index; /* of an instruction, or of ext */
	bool in_ext;
	struct ptx_str name;
	uint32_t scope, line;
};
struct ptx_label {
	uint32_t pc;
};
struct ptx_constant {
	uint64_t value;
	uint8_t size;
	bool dynamic; /* add where dynamic shared memory begins */
	uint32_t off;
};

struct ptx_area { /* the decoded code of a function that is called, not inlined; 0: the kernel */
	struct ptx_func *func;
	uint32_t pc, first_reg, frame_bytes, frame_align;
	uint32_t first_save, n_saves; /* of `saves` */
};

struct ptx_vreg { /* a register as declared, before ptx_live.c gives it a shared place */
	uint32_t off;
	uint8_t size; /* bytes a lane; 0: a predicate */
};

struct ptx_dec {
	struct ptx_load *ld;
	struct ptx_kernel *k;
	uint32_t owner; /* number of this kernel, from 1 */
	struct ptx_stmt *stmt;
	struct ptx_inst *code;
	uint32_t n_code, cap_code;
	uint32_t *ext;
	uint32_t n_ext, cap_ext;
	struct ptx_stage *stages;
	uint32_t n_stages, cap_stages;
	struct ptx_constant **consts;
	uint32_t n_consts, cap_consts, const_bytes;
	struct ptx_map const_map[2];
	uint32_t reg_bytes, local_bytes, shared_bytes, dyn_align;
	struct ptx_map names;  /* (scope, name) → struct ptx_sym */
	struct ptx_map labels; /* (scope, name) → struct ptx_label */
	uint32_t *parent;      /* of each scope; 0 = the module */
	uint32_t n_scopes, cap_scopes, scope;
	struct ptx_fixup *fixups;
	uint32_t n_fixups, cap_fixups;
	struct ptx_vreg *regs; /* in the order of their offsets */
	uint32_t n_regs, cap_regs;
	uint32_t sites;
	uint32_t sink[4];  /* registers for '_' */
	uint32_t carry;    /* the carry flag: a predicate, in the innermost function */
	uint32_t *returns; /* branches to the end of the function being inlined */
	uint32_t n_returns, cap_returns;
	uint32_t inline_depth;
	struct ptx_area *areas;
	uint32_t n_areas, cap_areas, area; /* `area`: being decoded */
	uint32_t frame_bytes, frame_align; /* of its frame, if it is not the kernel */
	bool calls_pointers, uses_stack;
	struct ptx_matrix_node *matrices; /* ptx_dec_matrix.c: those met so far */
	uint32_t *saves;                  /* struct ptx_region.saves */
	uint32_t n_saves, cap_saves;
};

/* ---- ptx_operand.c */
uint32_t ptx_new_reg(struct ptx_dec *d, unsigned size); /* offset; size 0: a predicate */
/* Gives a variable of the shared or local space its place. */
void ptx_place(struct ptx_dec *d, struct ptx_sym *sym, uint32_t *bytes);
struct ptx_sym *ptx_lookup(struct ptx_dec *d, struct ptx_str name);
uint32_t ptx_parse_operand(struct ptx_dec *d, uint32_t at, struct ptx_opd *out);
/* Operands of instructions: offsets with PTX_CONST. */
uint32_t ptx_const(struct ptx_dec *d, uint64_t value, unsigned size);
uint32_t ptx_src(struct ptx_dec *d, const struct ptx_opd *o, const struct ptx_type *t);
uint32_t ptx_src_any(struct ptx_dec *d, const struct ptx_opd *o, const struct ptx_type *t,
                     uint8_t *size); /* may be a wider register: *size says */
uint32_t ptx_dst(struct ptx_dec *d, const struct ptx_opd *o, unsigned size);
uint32_t ptx_dst_any(struct ptx_dec *d, const struct ptx_opd *o, unsigned min_size, uint8_t *size);
uint32_t ptx_dst_pred(struct ptx_dec *d, const struct ptx_opd *o);
/* A predicate source; a negated one is an error unless `negated` is given. */
uint32_t ptx_src_pred(struct ptx_dec *d, const struct ptx_opd *o, bool *negated);

/* ---- ptx_body.c */
struct ptx_inst *ptx_emit(struct ptx_dec *d, enum ptx_kind kind); /* guarded as the statement */
/* The same with the rest of the instruction: for handlers whose operands emit helpers first. */
void ptx_emit_built(struct ptx_dec *d, enum ptx_kind kind, const struct ptx_inst *built);
struct ptx_inst *ptx_helper(struct ptx_dec *d, enum ptx_kind kind); /* not counted */
uint32_t ptx_ext(struct ptx_dec *d, uint32_t value);                /* its index */
void ptx_branch_to(struct ptx_dec *d, uint32_t index, bool in_ext, struct ptx_str name);
_Noreturn void ptx_unsupported(struct ptx_dec *d, const char *why);
_Noreturn void ptx_bad(struct ptx_dec *d, const char *what);
bool ptx_take(struct ptx_dec *d, const char *mod); /* ".ftz" */
/* The first of several modifiers that is there: its index, or -1. `list` is NULL-terminated. */
int ptx_take_any(struct ptx_dec *d, const char *const *list);
const struct ptx_type *ptx_take_type(struct ptx_dec *d); /* NULL: none left */
const struct ptx_type *ptx_need_type(struct ptx_dec *d);
int ptx_take_round(struct ptx_dec *d); /* -1: none */
void ptx_need_operands(struct ptx_dec *d, uint32_t min, uint32_t max);
void ptx_decode_kernel(struct ptx_load *ld, struct ptx_func *f, struct ptx_kernel *k,
                       uint32_t number);
struct ptx_inst *ptx_append(struct ptx_dec *d, enum ptx_kind kind);
void ptx_open_scope(struct ptx_dec *d, uint32_t parent);
void ptx_declare(struct ptx_dec *d, struct ptx_str name, uint32_t line, struct ptx_sym value);
uint32_t ptx_decode_block(struct ptx_dec *d, uint32_t at); /* from behind '{' to behind its '}' */
void *ptx_keep(struct ptx_dec *d, const void *from, size_t size);
/* Not in the kernel's own body: .param names the variables of a call. */
static inline bool ptx_in_function(const struct ptx_dec *d)
{
	return d->inline_depth || d->area;
}

/* ---- ptx_graph.c */
void ptx_find_calls(struct ptx_load *ld, struct ptx_func *entries);
uint64_t ptx_func_pointer(const struct ptx_load *ld, const struct ptx_func *f);

/* ---- ptx_call.c */
void ptx_decode_call(struct ptx_dec *d);
uint32_t ptx_decode_prototype(struct ptx_dec *d, uint32_t at); /* name: .callprototype …; */
void ptx_decode_areas(struct ptx_dec *d); /* the functions that are called, not inlined */
void ptx_keep_regions(struct ptx_dec *d);

/* ---- handlers */
struct ptx_opcode {
	const char *name;
	void (*decode)(struct ptx_dec *d, const struct ptx_opcode *self);
	const char *operands; /* ptx_dec_alu.c: their types */
	const char *subs;     /* ptx_dec_alu.c: modifiers that are part of the name */
	int arg;
};
extern const struct ptx_opcode ptx_alu_opcodes[], ptx_data_opcodes[], ptx_mem_opcodes[],
    ptx_ctl_opcodes[], ptx_sync_opcodes[], ptx_async_opcodes[], ptx_video_opcodes[],
    ptx_matrix_opcodes[], ptx_cluster_opcodes[], ptx_texture_opcodes[];
void ptx_decode_cluster_barrier(struct ptx_dec *d); /* ptx_dec_cluster.c */

/* ---- ptx_dec_async.c: emits that so many bytes have come, to the barrier in this operand */
void ptx_complete_bytes(struct ptx_dec *d, const struct ptx_opd *barrier, uint32_t bytes);

/* ---- ptx_dec_video.c: cvt.pack, of which ".pack" is taken */
void ptx_decode_pack(struct ptx_dec *d);

/* ---- ptx_dec_mem.c */
enum ptx_scalar ptx_scalar_of(const struct ptx_type *t);
int ptx_take_space(struct ptx_dec *d);  /* enum ptx_space; -1: not said, so generic */
int ptx_take_order(struct ptx_dec *d);  /* enum ptx_order; and the scope */
bool ptx_take_hints(struct ptx_dec *d); /* true: there is an operand for a cache policy */
bool ptx_atomic_exists(enum ptx_atom_op op, const struct ptx_type *t);
/* An address operand into a, asize, imm, space, site. */
void ptx_address(struct ptx_dec *d, const struct ptx_opd *o, int space, struct ptx_inst *in);

/* ---- ptx_live.c */
/* Gives registers whose values are never needed at the same time one place, and estimates the
 * registers of a thread. Returns the new size of a warp's registers. */
uint32_t ptx_compact_registers(struct ptx_dec *d, uint32_t *estimate);

/* ---- ptx_parse.c */
struct ptx_var {
	struct ptx_str name;
	void *addr;
	size_t size;
	bool shared; /* with other modules: not ours to free */
};
struct ptx_module {
	struct ptx_pool keep;
	struct ptx_memory mem;
	struct ptx_kernel **kernels;
	uint32_t n_kernels, cap_kernels;
	struct ptx_var *vars; /* .global and .const */
	uint32_t n_vars, cap_vars;
	unsigned target_sm;
	uint32_t id; /* in this process; part of function pointers */
};
void ptx_parse_module(struct ptx_load *ld);
/* `at` behind the state space: reads "[.align n] [.v2] .type name[dims]…", several names apart. */
uint32_t ptx_parse_var(struct ptx_load *ld, uint32_t at, struct ptx_var_decl *out);
/* The parameters of a function or prototype, from '('. */
uint32_t ptx_parse_formals(struct ptx_load *ld, uint32_t at, struct ptx_formal **out, uint32_t *n);
uint32_t ptx_parse_limits(struct ptx_load *ld, uint32_t at, struct ptx_kernel_info *info);

#endif
