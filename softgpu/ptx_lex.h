// SPDX-License-Identifier: Apache-2.0
/*
 * ptx_lex.h: tokens of PTX text, and what all stages of loading share: the arena their memory
 * comes from, the way they fail, and a hash map. Loading is single-threaded and ends in one jump
 * when anything is wrong: ptx_fail() never returns, ptx_module_load() catches it and frees both
 * arenas.
 */
#ifndef SOFTGPU_PTX_LEX_H
#define SOFTGPU_PTX_LEX_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ptx.h"

/* ---- slices of the text */
struct ptx_str {
	const char *p;
	uint32_t len;
};
/* Most comparisons fail at the first characters: no call, no length. */
static inline bool ptx_str_is(struct ptx_str s, const char *text)
{
	uint32_t i = 0;
	while (i < s.len && s.p[i] == text[i] && text[i])
		i++;
	return i == s.len && !text[i];
}
bool ptx_str_eq(struct ptx_str a, struct ptx_str b);

enum ptx_token_kind {
	PTX_TOK_END,
	PTX_TOK_IDENT,  /* add, %r1, $L__BB0_1, foo */
	PTX_TOK_DOT,    /* .u32, .global, .shared::cta; the slice includes the dot */
	PTX_TOK_INT,    /* value */
	PTX_TOK_FLOAT,  /* value: bits of a double; `single`: written 0f… */
	PTX_TOK_STRING, /* slice without the quotes */
	PTX_TOK_PUNCT,  /* value: the character */
};
struct ptx_token {
	enum ptx_token_kind kind;
	uint32_t line;
	struct ptx_str s;
	uint64_t value;
	bool single;
};

/* ---- memory of a load */
struct ptx_chunk;
struct ptx_pool {
	struct ptx_chunk *chunks;
	size_t used, cap, total;
};

/* ---- a hash map from (number, slice) to a pointer; keys are not copied */
struct ptx_map_slot {
	struct ptx_str key;
	uint32_t scope;
	void *value;
};
struct ptx_map {
	struct ptx_map_slot *slots;
	uint32_t cap, n;
};

/* ---- the state of one load */
struct ptx_load {
	jmp_buf out;
	struct ptx_error *err;
	enum ptx_status status;
	const struct ptx_memory *mem;
	struct ptx_module *module;
	struct ptx_pool temp;  /* freed when the load ends */
	struct ptx_pool *keep; /* lives with the module */
	struct ptx_token *tok; /* of the whole text; ends with PTX_TOK_END */
	uint32_t n_tok;
	struct ptx_map globals; /* name → struct ptx_sym */
	uint32_t static_shared; /* bytes of module-level .shared variables so far */
	struct ptx_func *funcs; /* all device functions of the module, by name */
	uint32_t n_funcs;
	unsigned version; /* major*10+minor of the PTX language */
	unsigned address_size;
};

_Noreturn void ptx_fail(struct ptx_load *ld, enum ptx_status status, uint32_t line, const char *fmt,
                        ...) __attribute__((format(printf, 4, 5)));
void *ptx_alloc(struct ptx_load *ld, struct ptx_pool *pool, size_t size); /* zeroed */
void ptx_pool_free(struct ptx_pool *pool);
/* Makes room for one more element in an array of the pool; returns the (moved) array. */
void *ptx_grow(struct ptx_load *ld, struct ptx_pool *pool, void *array, uint32_t n, uint32_t *cap,
               size_t size);

void *ptx_map_get(const struct ptx_map *m, uint32_t scope, struct ptx_str key);
/* The key must not be there yet. */
void ptx_map_put(struct ptx_load *ld, struct ptx_map *m, uint32_t scope, struct ptx_str key,
                 void *value);

void ptx_tokenize(struct ptx_load *ld, const char *text, size_t len);

/* ---- reading tokens: `at` is an index that the callers advance */
bool ptx_tok_is(const struct ptx_load *ld, uint32_t at, char punct);
bool ptx_dot_is(const struct ptx_load *ld, uint32_t at, const char *text);
void ptx_expect(struct ptx_load *ld, uint32_t *at, char punct);
bool ptx_accept(struct ptx_load *ld, uint32_t *at, char punct);
/* Past the rest of this source line. */
uint32_t ptx_skip_line(const struct ptx_load *ld, uint32_t at);
/* `at` is an opening bracket: past the one that closes it. */
uint32_t ptx_skip_group(struct ptx_load *ld, uint32_t at);
/* Behind .const: past the "[number]" of a bank, if there is one; all banks are one memory. */
uint32_t ptx_skip_bank(const struct ptx_load *ld, uint32_t at);
/* "near 'x'" for messages: the token as text, cut to fit */
const char *ptx_tok_text(const struct ptx_load *ld, uint32_t at, char *buf, size_t len);

#endif
