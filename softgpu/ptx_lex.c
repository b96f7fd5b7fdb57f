// SPDX-License-Identifier: Apache-2.0
/* ptx_lex.c: PTX text to tokens. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "ptx_lex.h"

bool ptx_str_eq(struct ptx_str a, struct ptx_str b)
{
	return a.len == b.len && !memcmp(a.p, b.p, a.len);
}

struct lexer {
	struct ptx_load *ld;
	const char *p, *end;
	uint32_t line, cap;
};

static struct ptx_token *push(struct lexer *lx, enum ptx_token_kind kind, const char *start)
{
	struct ptx_load *ld = lx->ld;
	ld->tok = ptx_grow(ld, &ld->temp, ld->tok, ld->n_tok, &lx->cap, sizeof(*ld->tok));
	struct ptx_token *t = &ld->tok[ld->n_tok++];
	*t = (struct ptx_token){.kind = kind, .line = lx->line};
	t->s = (struct ptx_str){start, (uint32_t)(lx->p - start)};
	return t;
}

static bool ident_char(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '$' || c == '%';
}

/* Blanks and comments; an unclosed comment is an error. */
static void skip_space(struct lexer *lx)
{
	while (lx->p < lx->end) {
		if (*lx->p == '\n') {
			lx->line++;
			lx->p++;
		} else if (isspace((unsigned char)*lx->p) || *lx->p == 0) {
			lx->p++;
		} else if (lx->end - lx->p > 1 && lx->p[0] == '/' && lx->p[1] == '/') {
			while (lx->p < lx->end && *lx->p != '\n')
				lx->p++;
		} else if (lx->end - lx->p > 1 && lx->p[0] == '/' && lx->p[1] == '*') {
			uint32_t start = lx->line;
			for (lx->p += 2;; lx->p++) {
				if (lx->end - lx->p < 2)
					ptx_fail(lx->ld, PTX_BAD_SYNTAX, start,
					         "comment is not closed");
				if (lx->p[0] == '*' && lx->p[1] == '/')
					break;
				lx->line += *lx->p == '\n';
			}
			lx->p += 2;
		} else {
			return;
		}
	}
}

static void lex_number(struct lexer *lx)
{
	const char *start = lx->p;
	char buf[64];
	while (lx->p < lx->end &&
	       (isalnum((unsigned char)*lx->p) ||
	        (*lx->p == '.' && lx->p + 1 < lx->end && isdigit((unsigned char)lx->p[1])) ||
	        ((*lx->p == '+' || *lx->p == '-') && lx->p > start + 1 &&
	         (lx->p[-1] == 'e' || lx->p[-1] == 'E') && start[1] != 'x' && start[1] != 'f' &&
	         start[1] != 'd')))
		lx->p++;
	size_t n = (size_t)(lx->p - start);
	if (lx->p < lx->end && *lx->p == '.' && !memchr(start, '.', n)) { /* "1." */
		lx->p++;
		n++;
	}
	if (n >= sizeof(buf))
		ptx_fail(lx->ld, PTX_BAD_SYNTAX, lx->line, "number is too long");
	memcpy(buf, start, n);
	buf[n] = 0;
	char *end;
	bool hex_float = n > 2 && buf[0] == '0' && strchr("fFdD", buf[1]);
	if (hex_float) {
		bool single = buf[1] == 'f' || buf[1] == 'F';
		uint64_t bits = strtoull(buf + 2, &end, 16);
		if (*end || n != (single ? 10u : 18u))
			ptx_fail(lx->ld, PTX_BAD_SYNTAX, lx->line, "bad number '%s'", buf);
		struct ptx_token *t = push(lx, PTX_TOK_FLOAT, start);
		t->single = single;
		t->value = bits;
	} else if (strpbrk(buf, ".eE") && !(buf[0] == '0' && (buf[1] | 32) == 'x')) {
		double v = strtod(buf, &end);
		if (*end)
			ptx_fail(lx->ld, PTX_BAD_SYNTAX, lx->line, "bad number '%s'", buf);
		memcpy(&push(lx, PTX_TOK_FLOAT, start)->value, &v, sizeof(v));
	} else {
		bool binary = buf[0] == '0' && (buf[1] | 32) == 'b';
		uint64_t v = strtoull(binary ? buf + 2 : buf, &end, binary ? 2 : 0);
		if (*end == 'U' || *end == 'u')
			end++;
		if (*end)
			ptx_fail(lx->ld, PTX_BAD_SYNTAX, lx->line, "bad number '%s'", buf);
		push(lx, PTX_TOK_INT, start)->value = v;
	}
}

static void lex_string(struct lexer *lx)
{
	const char *start = ++lx->p;
	while (lx->p < lx->end && *lx->p != '"' && *lx->p != '\n')
		lx->p += *lx->p == '\\' && lx->p + 1 < lx->end ? 2 : 1;
	if (lx->p >= lx->end || *lx->p != '"')
		ptx_fail(lx->ld, PTX_BAD_SYNTAX, lx->line, "string is not closed");
	push(lx, PTX_TOK_STRING, start);
	lx->p++;
}

static void lex_word(struct lexer *lx)
{
	const char *start = lx->p;
	bool dot = *lx->p == '.';
	lx->p += dot;
	while (lx->p < lx->end) {
		if (ident_char(*lx->p))
			lx->p++;
		else if (dot && lx->end - lx->p > 2 && lx->p[0] == ':' && lx->p[1] == ':')
			lx->p += 2;
		else
			break;
	}
	if (dot && lx->p == start + 1)
		ptx_fail(lx->ld, PTX_BAD_SYNTAX, lx->line, "a '.' without a name");
	push(lx, dot ? PTX_TOK_DOT : PTX_TOK_IDENT, start);
}

void ptx_tokenize(struct ptx_load *ld, const char *text, size_t len)
{
	struct lexer lx = {.ld = ld, .p = text, .end = text + len, .line = 1};
	/* room at once for as many as such a text usually has */
	lx.cap = (uint32_t)(len < 1u << 26 ? len / 3 + 64 : 1u << 24);
	ld->tok = ptx_alloc(ld, &ld->temp, lx.cap * sizeof(*ld->tok));
	for (;;) {
		skip_space(&lx);
		if (lx.p >= lx.end)
			break;
		char c = *lx.p;
		if (isdigit((unsigned char)c)) {
			lex_number(&lx);
		} else if (c == '.' || ident_char(c)) {
			lex_word(&lx);
		} else if (c == '"') {
			lex_string(&lx);
		} else if (strchr("{}()[]<>,;:=+-*/!@|&^~?", c)) {
			lx.p++;
			push(&lx, PTX_TOK_PUNCT, lx.p - 1)->value = (unsigned char)c;
		} else {
			ptx_fail(ld, PTX_BAD_SYNTAX, lx.line, "unexpected character 0x%02x",
			         (unsigned char)c);
		}
	}
	push(&lx, PTX_TOK_END, lx.p);
}

bool ptx_tok_is(const struct ptx_load *ld, uint32_t at, char punct)
{
	return ld->tok[at].kind == PTX_TOK_PUNCT && ld->tok[at].value == (unsigned char)punct;
}

bool ptx_dot_is(const struct ptx_load *ld, uint32_t at, const char *text)
{
	return ld->tok[at].kind == PTX_TOK_DOT && ptx_str_is(ld->tok[at].s, text);
}

bool ptx_accept(struct ptx_load *ld, uint32_t *at, char punct)
{
	if (!ptx_tok_is(ld, *at, punct))
		return false;
	++*at;
	return true;
}

void ptx_expect(struct ptx_load *ld, uint32_t *at, char punct)
{
	char buf[40];
	if (!ptx_accept(ld, at, punct))
		ptx_fail(ld, PTX_BAD_SYNTAX, ld->tok[*at].line, "'%c' expected, not %s", punct,
		         ptx_tok_text(ld, *at, buf, sizeof(buf)));
}

uint32_t ptx_skip_line(const struct ptx_load *ld, uint32_t at)
{
	uint32_t line = ld->tok[at].line;
	while (ld->tok[at].kind != PTX_TOK_END && ld->tok[at].line == line)
		at++;
	return at;
}

uint32_t ptx_skip_group(struct ptx_load *ld, uint32_t at)
{
	uint32_t line = ld->tok[at].line, depth = 0;
	for (;; at++) {
		if (ld->tok[at].kind == PTX_TOK_END)
			ptx_fail(ld, PTX_BAD_SYNTAX, line, "this bracket is not closed");
		if (ptx_tok_is(ld, at, '{') || ptx_tok_is(ld, at, '(') || ptx_tok_is(ld, at, '['))
			depth++;
		if (ptx_tok_is(ld, at, '}') || ptx_tok_is(ld, at, ')') || ptx_tok_is(ld, at, ']'))
			if (--depth == 0)
				return at + 1;
	}
}

uint32_t ptx_skip_bank(const struct ptx_load *ld, uint32_t at)
{
	bool bank = ptx_tok_is(ld, at, '[') && ld->tok[at + 1].kind == PTX_TOK_INT &&
	            ld->tok[at + 1].value < 11 && ptx_tok_is(ld, at + 2, ']') &&
	            ld->tok[at + 3].kind == PTX_TOK_DOT;
	return bank ? at + 3 : at;
}

const char *ptx_tok_text(const struct ptx_load *ld, uint32_t at, char *buf, size_t len)
{
	const struct ptx_token *t = &ld->tok[at];
	if (t->kind == PTX_TOK_END)
		return "the end of the text";
	size_t n = t->s.len < len - 3 ? t->s.len : len - 3;
	buf[0] = '\'';
	for (size_t i = 0; i < n; i++)
		buf[i + 1] = isprint((unsigned char)t->s.p[i]) ? t->s.p[i] : '?';
	buf[n + 1] = '\'';
	buf[n + 2] = 0;
	return buf;
}
