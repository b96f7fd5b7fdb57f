// SPDX-License-Identifier: Apache-2.0
/*
 * test_ldcache.c: the loader's cache as ldconfig writes it, in both layouts, and damaged in every
 * place: read or refused, never overrun.
 */
#include "tests/harness.h"

#include <stdio.h>
#include <stdlib.h>

#include "interpose/standin/ldcache.c" // NOLINT(bugprone-suspicious-include)

#define WANTED "libcuda.so.1"

static unsigned char image[4096];
static size_t image_len;

static void put(const void *bytes, size_t len)
{
	ck_assert(image_len + len <= sizeof(image));
	memcpy(image + image_len, bytes, len);
	image_len += len;
}

/* soname, path, soname, path, …; offsets count from the header. */
static void new_format(const char *const *strings, uint32_t n)
{
	struct header h = {.magic = MAGIC, .n = n / 2};
	uint32_t at = (uint32_t)(sizeof(h) + n / 2 * sizeof(struct entry));
	memcpy(h.magic, MAGIC, sizeof(h.magic));
	for (uint32_t i = 0; i < n; i++)
		h.strings_len += (uint32_t)strlen(strings[i]) + 1;
	put(&h, sizeof(h));
	for (uint32_t i = 0; i < n; i += 2) {
		struct entry e = {.flags = 0x303, .soname = at};
		e.path = at + (uint32_t)strlen(strings[i]) + 1;
		at = e.path + (uint32_t)strlen(strings[i + 1]) + 1;
		put(&e, sizeof(e));
	}
	for (uint32_t i = 0; i < n; i++)
		put(strings[i], strlen(strings[i]) + 1);
}

static const char *const some[] = {
    "libcuda.so",   "/a/libcuda.so",   "libcuda.so.1",    "/32/libcuda.so.1",
    "libcuda.so.1", "/b/libcuda.so.1", "libcudart.so.13", "/c/libcudart.so.13",
};
#define N_SOME (sizeof(some) / sizeof(some[0]))

struct seen {
	unsigned n, take; /* the take-th is taken */
	char path[64];
};

static bool see(void *arg, const char *path)
{
	struct seen *s = arg;
	snprintf(s->path, sizeof(s->path), "%s", path);
	return ++s->n == s->take;
}

static bool find(struct seen *s, size_t len)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/ld.so.cache", temp_dir());
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(image, 1, len, f), len);
	ck_assert_int_eq(fclose(f), 0);
	return rein_ldcache_find(path, WANTED, see, s);
}

TEST(each_file_of_the_name_in_order)
{
	image_len = 0;
	new_format(some, N_SOME);
	struct seen first = {.take = 1}, second = {.take = 2}, none = {.take = 3};
	ck_assert(find(&first, image_len));
	ck_assert_str_eq(first.path, "/32/libcuda.so.1");
	ck_assert(find(&second, image_len));
	ck_assert_str_eq(second.path, "/b/libcuda.so.1");
	ck_assert(!find(&none, image_len));
	ck_assert_uint_eq(none.n, 2);
}
TEST_END

/* ldconfig -c compat: a table of the old format comes first. */
TEST(behind_an_old_table)
{
	struct seen s = {.take = 2};
	image_len = 0;
	put("ld.so-1.7.0\0\1\0\0\0", 16);
	put("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	new_format(some, N_SOME);
	ck_assert(find(&s, image_len));
	ck_assert_str_eq(s.path, "/b/libcuda.so.1");
}
TEST_END

TEST(cut_off_anywhere)
{
	image_len = 0;
	new_format(some, N_SOME);
	for (size_t len = 0; len < image_len; len++) {
		/* in memory of exactly that length, so that a sanitizer sees what lies behind */
		struct seen s = {.take = 3};
		char *copy = malloc(len ? len : 1);
		memcpy(copy, image, len);
		ck_assert(!walk(copy, len, WANTED, see, &s));
		ck_assert_uint_le(s.n, 2);
		free(copy);
	}
}
TEST_END

TEST(damaged_anywhere)
{
	static const unsigned char values[] = {0x00, 0x7f, 0x80, 0xff};
	for (size_t at = 0; at < 1000; at++) {
		for (size_t v = 0; v < sizeof(values); v++) {
			struct seen s = {.take = 99};
			image_len = 0;
			new_format(some, N_SOME);
			if (at >= image_len)
				return;
			char *copy = malloc(image_len);
			memcpy(copy, image, image_len);
			copy[at] = (char)values[v];
			ck_assert(!walk(copy, image_len, WANTED, see, &s));
			free(copy);
		}
	}
}
TEST_END

TEST(no_cache)
{
	struct seen s = {.take = 1};
	ck_assert(!rein_ldcache_find("/nonexistent/ld.so.cache", WANTED, see, &s));
	ck_assert(!rein_ldcache_find("/dev/null", WANTED, see, &s));
	ck_assert(!rein_ldcache_find("/", WANTED, see, &s));
	ck_assert_uint_eq(s.n, 0);
}
TEST_END

static bool readable(void *arg, const char *path)
{
	(void)arg;
	return access(path, R_OK) == 0;
}

/* This machine's own, where there is one: a dynamic program's libc is in it. */
TEST(the_real_one)
{
	if (access(REIN_LDCACHE, R_OK) == 0)
		ck_assert(rein_ldcache_find(REIN_LDCACHE, "libc.so.6", readable, NULL));
}
TEST_END

TESTS("ldcache", each_file_of_the_name_in_order, behind_an_old_table, cut_off_anywhere,
      damaged_anywhere, no_cache, the_real_one)
