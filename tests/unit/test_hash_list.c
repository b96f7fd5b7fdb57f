// SPDX-License-Identifier: Apache-2.0
/* The lists that stand in for uthash: every macro of daemon/hash_list.h, by what uthash promises.
 */
#include "tests/harness.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/hash_list.h"

struct thing {
	uint64_t id;
	char name[16];
	UT_hash_handle hh;
};

static struct thing *things;

static struct thing *add(uint64_t id)
{
	struct thing *t = calloc(1, sizeof(*t));
	t->id = id;
	snprintf(t->name, sizeof(t->name), "thing%d", (int)id);
	HASH_ADD(hh, things, id, sizeof(t->id), t);
	ck_assert_ptr_nonnull(t->hh.tbl);
	return t;
}

static struct thing *find(uint64_t id)
{
	struct thing *t = (void *)1; /* must be overwritten either way */
	HASH_FIND (hh, things, &id, sizeof(id), t)
		;
	return t;
}

/* The ids in order, forwards by hh.next and backwards by hh.prev, must be these. */
static void expect(const uint64_t *ids, unsigned n)
{
	struct thing *t = things, *last = NULL;
	ck_assert_uint_eq(HASH_COUNT(things), n);
	for (unsigned i = 0; i < n; i++, t = t->hh.next) {
		ck_assert_ptr_nonnull(t);
		ck_assert_uint_eq(t->id, ids[i]);
		ck_assert_ptr_eq(t->hh.prev, last);
		last = t;
	}
	ck_assert_ptr_null(t);
}

static void drop(struct thing *t)
{
	HASH_DEL(things, t);
	free(t);
}

static void drop_all(void)
{
	struct thing *t, *next;
	HASH_ITER (hh, things, t, next) {
		HASH_DEL(things, t);
		memset(t, 0xee, sizeof(*t)); /* whoever looks at it afterwards goes astray */
		free(t);
	}
	ck_assert_ptr_null(things);
	ck_assert_uint_eq(HASH_COUNT(things), 0);
}

TEST(found_by_key_in_order_of_addition)
{
	ck_assert_ptr_null(find(1));
	ck_assert_uint_eq(HASH_COUNT(things), 0);
	struct thing *a = add(30), *b = add(10), *c = add(20);
	ck_assert_ptr_eq(find(30), a);
	ck_assert_ptr_eq(find(10), b);
	ck_assert_ptr_eq(find(20), c);
	ck_assert_ptr_null(find(40));
	expect((uint64_t[]){30, 10, 20}, 3);
	drop_all();
}
TEST_END

TEST(deleted_at_the_front_in_the_middle_and_at_the_end)
{
	for (uint64_t i = 1; i <= 5; i++)
		add(i);
	drop(find(3));
	ck_assert_ptr_null(find(3));
	expect((uint64_t[]){1, 2, 4, 5}, 4);
	drop(find(1));
	expect((uint64_t[]){2, 4, 5}, 3);
	drop(find(5));
	expect((uint64_t[]){2, 4}, 2);
	add(3);
	expect((uint64_t[]){2, 4, 3}, 3);
	drop(find(2));
	drop(find(4));
	drop(find(3));
	ck_assert_ptr_null(things);
	add(9);
	expect((uint64_t[]){9}, 1);
	drop_all();
}
TEST_END

TEST(iteration_survives_the_deletion_of_its_element)
{
	struct thing *t, *next;
	unsigned seen = 0;
	HASH_ITER (hh, things, t, next)
		ck_abort_msg("an empty list has no element");
	for (uint64_t i = 0; i < 10; i++)
		add(i);
	HASH_ITER (hh, things, t, next) {
		ck_assert_uint_eq(t->id, seen++);
		if (t->id % 3 != 1)
			drop(t);
	}
	ck_assert_uint_eq(seen, 10);
	expect((uint64_t[]){1, 4, 7}, 3);
	drop_all();
}
TEST_END

TEST(found_by_text)
{
	struct thing one = {.name = "ab"}, two = {.name = "abc"}, three = {.name = ""};
	struct thing *list = NULL, *t = NULL;
	HASH_ADD_STR(list, name, &one);
	HASH_ADD_STR(list, name, &two);
	HASH_ADD_STR(list, name, &three);
	HASH_FIND_STR(list, "abc", t);
	ck_assert_ptr_eq(t, &two);
	HASH_FIND_STR(list, "ab", t);
	ck_assert_ptr_eq(t, &one);
	HASH_FIND_STR(list, "", t);
	ck_assert_ptr_eq(t, &three);
	HASH_FIND_STR(list, "a", t);
	ck_assert_ptr_null(t);
	HASH_FIND_STR(list, "abcd", t);
	ck_assert_ptr_null(t);
}
TEST_END

/* By a key outside the element, of any length. */
TEST(found_by_a_key_of_their_own)
{
	static const char key[] = {1, 0, 2, 0};
	struct thing one = {.id = 1}, two = {.id = 2}, *list = NULL, *t = NULL;
	HASH_ADD_KEYPTR(hh, list, key, 3, &one);
	HASH_ADD_KEYPTR(hh, list, key, 4, &two);
	HASH_FIND (hh, list, key, 4, t)
		;
	ck_assert_ptr_eq(t, &two);
	HASH_FIND (hh, list, key, 3, t)
		;
	ck_assert_ptr_eq(t, &one);
	HASH_FIND (hh, list, key, 2, t)
		;
	ck_assert_ptr_null(t);
}
TEST_END

TESTS("hash_list", found_by_key_in_order_of_addition,
      deleted_at_the_front_in_the_middle_and_at_the_end,
      iteration_survives_the_deletion_of_its_element, found_by_text, found_by_a_key_of_their_own)
