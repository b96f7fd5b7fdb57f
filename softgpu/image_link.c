// SPDX-License-Identifier: Apache-2.0
/*
 * image_link.c: several PTX texts made one, as the linker of -rdc programs does for translation
 * units: what one declares .extern another defines. The loader reads the texts one behind the
 * other as they are, but for two things that are put right here:
 *   - names private to a text that the compiler gives out in each: $str, $L__BB0_1, __unnamed_1.
 *     (Other private names carry a hash of their file.) They get the number of their text.
 *   - .weak definitions (inline functions, templates) that several texts have: the first counts,
 *     the others are blanked. Lines are kept.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image.h"

struct buffer {
	char *p;
	size_t n, room;
};

static bool put(struct buffer *b, const char *s, size_t n)
{
	if (!b->p || b->n + n + 1 > b->room) {
		size_t room = (b->n + n + 1) * 2;
		char *p = realloc(b->p, room);
		if (!p)
			return false;
		b->p = p;
		b->room = room;
	}
	memcpy(b->p + b->n, s, n);
	b->n += n;
	b->p[b->n] = 0;
	return true;
}

static bool word_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '$' || c == '%';
}

/* The end of what begins at p: a comment, a string, a word, or one character. */
static const char *token_end(const char *p)
{
	if (p[0] == '/' && p[1] == '/')
		return p + strcspn(p, "\n");
	if (p[0] == '/' && p[1] == '*') {
		const char *end = strstr(p + 2, "*/");
		return end ? end + 2 : p + strlen(p);
	}
	if (*p == '"') {
		for (p++; *p && *p != '"'; p++)
			if (*p == '\\' && p[1])
				p++;
		return *p ? p + 1 : p;
	}
	const char *q = p + 1;
	if (word_char(*p) || *p == '.')
		while (word_char(*q))
			q++;
	return q;
}

static bool is(const char *p, const char *end, const char *word)
{
	return (size_t)(end - p) == strlen(word) && memcmp(p, word, (size_t)(end - p)) == 0;
}

static bool is_name(const char *p)
{
	return word_char(*p) && !(*p >= '0' && *p <= '9');
}

/* A definition or declaration at the top level from p on (behind its linkage): its name, and where
 * it ends. A function ends with its body, everything else with a semicolon. */
static const char *item_end(const char *p, const char **name, size_t *len)
{
	int depth = 0;
	bool value = false;
	*name = NULL;
	for (const char *end; *p; p = end) {
		end = token_end(p);
		if (!depth && !*name && is_name(p)) {
			*name = p;
			*len = (size_t)(end - p);
		}
		value |= *p == '=' && !depth;
		depth += *p == '(' || *p == '{' || *p == '[';
		depth -= *p == ')' || *p == '}' || *p == ']';
		if (!depth && (*p == ';' || (*p == '}' && !value)))
			return end;
	}
	return p;
}

/* ".weak … NAME": was it defined in what there is already? */
static bool defined(const struct buffer *weak, const char *name, size_t len)
{
	for (size_t at = 0; at < weak->n; at += strlen(weak->p + at) + 1)
		if (strlen(weak->p + at) == len && memcmp(weak->p + at, name, len) == 0)
			return true;
	return false;
}

/* Copies [p, end), newlines only if it is to be blank. */
static bool copy(struct buffer *out, const char *p, const char *end, bool blank)
{
	if (!blank)
		return put(out, p, (size_t)(end - p));
	for (; p < end; p++)
		if (*p == '\n' && !put(out, p, 1))
			return false;
	return true;
}

static bool private_name(const char *p)
{
	return *p == '$' || strncmp(p, "__unnamed_", 10) == 0;
}

static bool append(struct buffer *out, struct buffer *weak, const char *text, unsigned number)
{
	char mark[16];
	const char *blank_until = text;
	int depth = 0;
	snprintf(mark, sizeof(mark), "$u%u", number);
	for (const char *p = text, *end; *p; p = end) {
		end = token_end(p);
		depth += *p == '{';
		depth -= *p == '}';
		if (!depth && p >= blank_until && is(p, end, ".weak")) {
			const char *name;
			size_t len = 0;
			const char *past = item_end(end, &name, &len);
			if (name && defined(weak, name, len))
				blank_until = past;
			else if (name && !(put(weak, name, len) && put(weak, "", 1)))
				return false;
		}
		bool blank = p < blank_until;
		if (!copy(out, p, end, blank))
			return false;
		if (!blank && number && private_name(p) && !put(out, mark, strlen(mark)))
			return false;
	}
	return !out->n || out->p[out->n - 1] == '\n' || put(out, "\n", 1);
}

char *image_link(char *const *texts, unsigned n, size_t *len)
{
	struct buffer out = {0}, weak = {0};
	bool ok = true;
	for (unsigned i = 0; i < n && ok; i++)
		ok = append(&out, &weak, texts[i], i);
	free(weak.p);
	if (!ok) {
		free(out.p);
		return NULL;
	}
	*len = out.n;
	return out.p;
}
