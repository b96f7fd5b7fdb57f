// SPDX-License-Identifier: Apache-2.0
/*
 * The table of environment variables: the man page lists exactly its rows, each with who reads it
 * and its default, and nothing else in the shim, the daemon and the tools asks the environment.
 * Runs in the source tree.
 */
#include "tests/harness.h"

#include <ctype.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/env.h"
#include "common/util.h"
#include "tests/rig.h"

#define PAGE "tools/man/rein-environment.7.scd"

/* The page, its line breaks turned into spaces. An entry begins with its name between two '*', at
 * the start of a line, alone in it. */
struct entry {
	char name[64];
	const char *text;
};

static size_t read_page(char *page, struct entry *entry, size_t max)
{
	size_t n = 0;
	for (char *line = page, *next; line && *line; line = next) {
		next = strchr(line, '\n');
		size_t len = next ? (size_t)(next - line) : strlen(line);
		if (line[0] == '*' && len > 2 && line[len - 1] == '*') {
			ck_assert_uint_lt(n, max);
			snprintf(entry[n].name, sizeof(entry[n].name), "%.*s", (int)len - 2,
			         line + 1);
			entry[n++].text = line + len;
		}
		if (next)
			*next++ = ' ';
		if (line[0] == '#' || line[0] == '*') /* what comes before ends here */
			line[0] = 0;
	}
	return n;
}

/* Runs of blanks are one; the page breaks its lines where it likes. */
static void squeeze(char *text)
{
	char *to = text;
	for (const char *from = text; *from; from++)
		if (!isspace((unsigned char)*from) || (to > text && to[-1] != ' '))
			*to++ = isspace((unsigned char)*from) ? ' ' : *from;
	while (to > text && to[-1] == ' ')
		to--;
	*to = 0;
}

TEST(man_page_lists_the_table)
{
	REIN_AUTO_FREE char *page = rig_read(PAGE, &(size_t){0});
	ck_assert_msg(page != NULL, "no %s; run the tests in the source tree", PAGE);
	struct entry entry[2 * REIN_ENV_COUNT];
	size_t n = read_page(page, entry, REIN_ARRAY_LEN(entry));
	bool listed[REIN_ENV_COUNT] = {false};
	for (size_t i = 0; i < n; i++) {
		unsigned k = 0;
		while (k < REIN_ENV_COUNT && strcmp(rein_env_table[k].name, entry[i].name) != 0)
			k++;
		ck_assert_msg(k < REIN_ENV_COUNT, "%s lists %s, which nothing reads", PAGE,
		              entry[i].name);
		ck_assert_msg(!listed[k], "%s lists %s twice", PAGE, entry[i].name);
		listed[k] = true;
		REIN_AUTO_FREE char *text = strdup(entry[i].text);
		char want[256];
		squeeze(text);
		snprintf(want, sizeof(want), "Read by: %s. Default: %s", rein_env_table[k].who,
		         rein_env_table[k].fallback);
		size_t len = strlen(text);
		ck_assert_msg(len > strlen(want) && !strcmp(text + len - strlen(want), want),
		              "%s: the entry of %s ends \"%s\", want \"%s\"", PAGE, entry[i].name,
		              text, want);
	}
	for (unsigned k = 0; k < REIN_ENV_COUNT; k++)
		ck_assert_msg(listed[k], "%s lacks %s", PAGE, rein_env_table[k].name);
}
TEST_END

TEST(names_are_told_apart)
{
	for (unsigned i = 0; i < REIN_ENV_COUNT; i++) {
		ck_assert_uint_gt(strlen(rein_env_table[i].what), 0);
		for (unsigned k = 0; k < i; k++)
			ck_assert_str_ne(rein_env_table[i].name, rein_env_table[k].name);
	}
}
TEST_END

/* A variable that is asked for by name elsewhere would be missing from the table. */
TEST(nobody_else_asks_the_environment)
{
	static const char *const sources[] = {"common/*.[ch]", "interpose/*.[ch]",
	                                      "interpose/*/*.[ch]", "daemon/*.[ch]",
	                                      "tools/*.[ch]"};
	glob_t files = {0};
	for (size_t i = 0; i < REIN_ARRAY_LEN(sources); i++)
		ck_assert_int_ne(glob(sources[i], i ? GLOB_APPEND : 0, NULL, &files), GLOB_ABORTED);
	ck_assert_uint_gt(files.gl_pathc, 50);
	for (size_t i = 0; i < files.gl_pathc; i++) {
		REIN_AUTO_FREE char *text = rig_read(files.gl_pathv[i], &(size_t){0});
		ck_assert_ptr_nonnull(text);
		const char *at = strstr(text, "getenv(\"");
		ck_assert_msg(!at, "%s: %.40s…: use common/env.h", files.gl_pathv[i], at);
	}
	globfree(&files);
}
TEST_END

TEST(values)
{
	unsetenv("REIN_NAME");
	ck_assert_ptr_null(rein_env(REIN_ENV_NAME));
	ck_assert_ptr_null(rein_env_filled(REIN_ENV_NAME));
	setenv("REIN_NAME", "", 1);
	ck_assert_str_eq(rein_env(REIN_ENV_NAME), "");
	ck_assert_ptr_null(rein_env_filled(REIN_ENV_NAME));
	setenv("REIN_NAME", "x", 1);
	ck_assert_str_eq(rein_env_filled(REIN_ENV_NAME), "x");
}
TEST_END

static bool disabled_by(const char *value)
{
	if (value)
		setenv("REIN_DISABLE", value, 1);
	return rein_env_disabled();
}

/* It is read once in a process: a process each. */
TEST(kill_switch_off)
{
	ck_assert(!disabled_by(NULL));
	ck_assert(!disabled_by("1"));
}
TEST_END
TEST(kill_switch_empty)
{
	ck_assert(!disabled_by(""));
}
TEST_END
TEST(kill_switch_0)
{
	ck_assert(!disabled_by("0"));
}
TEST_END
TEST(kill_switch_on)
{
	ck_assert(disabled_by("1"));
	ck_assert(disabled_by("0"));
}
TEST_END
TEST(kill_switch_by_any_word)
{
	ck_assert(disabled_by("yes"));
}
TEST_END

TESTS("environment", man_page_lists_the_table, names_are_told_apart,
      nobody_else_asks_the_environment, values, kill_switch_off, kill_switch_empty, kill_switch_0,
      kill_switch_on, kill_switch_by_any_word)
