// SPDX-License-Identifier: Apache-2.0
/* test_btf.c: the BTF search finds what is there, and follows no length that leaves the blob. */
#include "tests/harness.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "workloads/gpu/lib/btf.h"

/* ---- a small builder */
#define HEADER 24u
static uint32_t types[256];
static size_t n_words;
static char strings[512];
static size_t n_chars;

static uint32_t string(const char *s)
{
	size_t at = n_chars;
	memcpy(strings + at, s, strlen(s) + 1);
	n_chars += strlen(s) + 1;
	return (uint32_t)at;
}

static void word(uint32_t w)
{
	types[n_words++] = w;
}

static void type(uint32_t kind, uint32_t count, const char *name, uint32_t size_or_type)
{
	word(name ? string(name) : 0);
	word(kind << 24 | count);
	word(size_or_type);
}

/* Exactly as long as it is said to be, on the heap: AddressSanitizer sees any step outside. */
static uint8_t *blob(size_t *len)
{
	uint32_t h[6] = {0xeb9f | 1u << 16,       HEADER,           0, (uint32_t)(4 * n_words),
	                 (uint32_t)(4 * n_words), (uint32_t)n_chars};
	*len = HEADER + 4 * n_words + n_chars;
	uint8_t *b = malloc(*len);
	ck_assert_ptr_nonnull(b);
	memcpy(b, h, HEADER);
	memcpy(b + HEADER, types, 4 * n_words);
	memcpy(b + HEADER + 4 * n_words, strings, n_chars);
	return b;
}

/* One type of each kind, with what follows it, then the ones that are looked for. */
static uint8_t *sample(size_t *len)
{
	n_words = n_chars = 0;
	string("");
	type(1, 0, "int", 4); /* 1 */
	word(32);
	type(2, 0, NULL, 1); /* 2: pointer */
	type(3, 0, NULL, 0); /* 3: array */
	word(1), word(1), word(7);
	type(4, 2, "pair", 8); /* 4: structure */
	word(string("first")), word(1), word(0);
	word(string("second")), word(1), word(32);
	type(5, 1, "either", 4); /* 5: union */
	word(string("only")), word(1), word(0);
	type(6, 2, "colour", 4); /* 6: enumeration */
	word(string("red")), word(0), word(string("blue")), word(1);
	type(7, 0, "later", 0); /* 7: forward */
	type(13, 1, NULL, 1);   /* 8: prototype */
	word(0), word(1);
	type(12, 0, "do_it", 8);  /* 9: function */
	type(14, 0, "global", 1); /* 10: variable */
	word(0);
	type(15, 1, ".data", 4); /* 11: section */
	word(10), word(0), word(4);
	type(17, 0, "tag", 1); /* 12: declaration tag */
	word(0);
	type(19, 1, "wide", 8); /* 13: 64-bit enumeration */
	word(string("huge")), word(0), word(1);
	type(16, 0, "float", 4);      /* 14 */
	type(8, 0, "btf_trace_x", 2); /* 15: typedef */
	type(8, 0, "do_it", 1);       /* 16: another kind, the same name as 9 */
	return blob(len);
}

TEST(finds_by_kind_and_name)
{
	size_t len;
	uint8_t *b = sample(&len);
	struct wl_btf btf;
	ck_assert_int_eq(wl_btf_open(&btf, b, len), 0);
	ck_assert_int_eq(wl_btf_find(&btf, WL_BTF_STRUCT, "pair"), 4);
	ck_assert_int_eq(wl_btf_find(&btf, WL_BTF_FUNC, "do_it"), 9);
	ck_assert_int_eq(wl_btf_find(&btf, WL_BTF_TYPEDEF, "btf_trace_x"), 15);
	ck_assert_int_eq(wl_btf_find(&btf, WL_BTF_TYPEDEF, "do_it"), 16);
	ck_assert_int_eq(wl_btf_find(&btf, WL_BTF_TYPEDEF, "pair"), -ENOENT);
	ck_assert_int_eq(wl_btf_find(&btf, WL_BTF_FUNC, "do_i"), -ENOENT);
	free(b);
}
TEST_END

TEST(finds_members)
{
	size_t len;
	uint8_t *b = sample(&len);
	struct wl_btf btf;
	ck_assert_int_eq(wl_btf_open(&btf, b, len), 0);
	ck_assert_int_eq(wl_btf_member(&btf, 4, "first"), 0);
	ck_assert_int_eq(wl_btf_member(&btf, 4, "second"), 1);
	ck_assert_int_eq(wl_btf_member(&btf, 4, "third"), -ENOENT);
	ck_assert_int_eq(wl_btf_member(&btf, 9, "first"), -EINVAL); /* a function */
	ck_assert_int_eq(wl_btf_member(&btf, 99, "first"), -ENOENT);
	ck_assert_int_eq(wl_btf_member(&btf, 0, "first"), -ENOENT);
	ck_assert_int_eq(wl_btf_member(&btf, -1, "first"), -ENOENT);
	free(b);
}
TEST_END

TEST(refuses_wrong_headers)
{
	size_t len;
	uint8_t *b = sample(&len);
	struct wl_btf btf;
	static const struct {
		unsigned at;
		uint32_t value;
	} wrong[] = {
	    {0, 0xeb9e | 1u << 16}, /* magic */
	    {0, 0xeb9f | 2u << 16}, /* version */
	    {4, 20},                /* header shorter than a header */
	    {4, 0xffffffff},        /* header longer than the file */
	    {8, 0xffffffff},        /* types begin outside */
	    {12, 0xfffffff0},       /* types end outside; with the offset it would wrap */
	    {16, 0xffffffff},       /* strings begin outside */
	    {20, 0xffffffff},       /* strings end outside */
	    {20, 0},                /* no strings */
	};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		uint8_t *copy = malloc(len);
		ck_assert_ptr_nonnull(copy);
		memcpy(copy, b, len);
		memcpy(copy + wrong[i].at, &wrong[i].value, 4);
		ck_assert_msg(wl_btf_open(&btf, copy, len) == -EINVAL, "wrong header %zu", i);
		free(copy);
	}
	for (size_t cut = 0; cut < len; cut++)
		ck_assert_int_eq(wl_btf_open(&btf, b, cut), -EINVAL);
	b[len - 1] = 'x'; /* the last string has no end */
	ck_assert_int_eq(wl_btf_open(&btf, b, len), -EINVAL);
	free(b);
}
TEST_END

/* Types that claim more than there is, kinds that nobody knows, names outside the strings. */
TEST(refuses_wrong_types)
{
	static const uint32_t hostile[][3] = {
	    {0, 4u << 24 | 0xffff, 8},  /* 65535 members */
	    {0, 13u << 24 | 0xffff, 0}, /* 65535 parameters */
	    {0, 3u << 24, 0},           /* an array at the end of the types */
	    {0, 0u << 24, 0},           /* kind 0 */
	    {0, 20u << 24, 0},          /* the first kind that is not known */
	    {0, 31u << 24, 0},          /* the last one that fits */
	};
	struct wl_btf btf;
	size_t len;
	for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
		n_words = n_chars = 0;
		string("");
		word(hostile[i][0]), word(hostile[i][1]), word(hostile[i][2]);
		uint8_t *b = blob(&len);
		ck_assert_int_eq(wl_btf_open(&btf, b, len), 0);
		ck_assert_int_eq(wl_btf_find(&btf, WL_BTF_FUNC, "x"), -EINVAL);
		ck_assert_int_eq(wl_btf_member(&btf, 1, "x"), -EINVAL);
		free(b);
	}
	n_words = n_chars = 0;
	string("");
	word(0xffffffff), word(12u << 24), word(0); /* a function whose name is nowhere */
	word(0);                                    /* and a third of a type */
	uint8_t *b = blob(&len);
	ck_assert_int_eq(wl_btf_open(&btf, b, len), 0);
	ck_assert_int_eq(wl_btf_find(&btf, WL_BTF_FUNC, ""), -EINVAL);
	free(b);
}
TEST_END

/* Whatever single byte is wrong, the search ends and stays inside (the sanitizers watch). */
TEST(survives_any_wrong_byte)
{
	size_t len;
	uint8_t *b = sample(&len);
	struct wl_btf btf;
	for (size_t i = 0; i < len; i++) {
		uint8_t was = b[i];
		for (unsigned v = 1; v < 256; v *= 2) {
			b[i] = (uint8_t)(was ^ v);
			if (wl_btf_open(&btf, b, len) != 0)
				continue;
			ck_assert_int_lt(wl_btf_find(&btf, WL_BTF_STRUCT, "not there"), 0);
			(void)wl_btf_member(&btf, 4, "second");
		}
		b[i] = was;
	}
	free(b);
}
TEST_END

/* The running kernel's, where it has one. */
TEST(reads_the_kernels_own)
{
	void *data;
	size_t len;
	struct wl_btf btf;
	ck_assert_int_eq(wl_btf_read("/nowhere/at/all", &data, &len), -ENOENT);
	if (access("/sys/kernel/btf/vmlinux", R_OK) != 0)
		return;
	ck_assert_int_eq(wl_btf_read("/sys/kernel/btf/vmlinux", &data, &len), 0);
	ck_assert_int_eq(wl_btf_open(&btf, data, len), 0);
	int task = wl_btf_find(&btf, WL_BTF_STRUCT, "task_struct");
	ck_assert_int_gt(task, 0);
	ck_assert_int_gt(wl_btf_member(&btf, task, "comm"), 0);
	ck_assert_int_eq(wl_btf_find(&btf, WL_BTF_STRUCT, "no such structure"), -ENOENT);
	free(data);
}
TEST_END

TESTS("btf", finds_by_kind_and_name, finds_members, refuses_wrong_headers, refuses_wrong_types,
      survives_any_wrong_byte, reads_the_kernels_own)
