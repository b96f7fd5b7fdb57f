// SPDX-License-Identifier: Apache-2.0
/* test_tools.c: the parts of the `rein` command, and the command itself where no daemon runs. */
#include "tests/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "tests/unit/cli_run.h"
#include "tools/locate.h"
#include "tools/table.h"

static void write_file(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
	ck_assert_int_eq(chmod(path, mode), 0);
}

TEST(numbers)
{
	long v = 7;
	ck_assert(rein_cli_number("0", 0, 99, &v) && v == 0);
	ck_assert(rein_cli_number("99", 0, 99, &v) && v == 99);
	ck_assert(rein_cli_number("-3", -5, 5, &v) && v == -3);
	static const char *const bad[] = {
	    "", " 1", "1 ", "+1", "0x10", "100", "-1", "1e1", "ten", "1.5", "99999999999999999999"};
	for (size_t i = 0; i < REIN_ARRAY_LEN(bad); i++)
		ck_assert_msg(!rein_cli_number(bad[i], 0, 99, &v), "'%s' was accepted", bad[i]);
	ck_assert_int_eq(v, -3);
}
TEST_END

TEST(table_aligns)
{
	static const struct rein_cli_column columns[] = {
	    {"N", true}, {"NAME", false}, {"LAST", false}};
	struct rein_cli_table t;
	char line[256];
	rein_cli_table_init(&t, columns, 3);
	for (int i = 0; i < 40; i++) {
		ck_assert(rein_cli_table_add(&t, "%d", i * 100));
		ck_assert(rein_cli_table_add(&t, "%.*s", i % 9, "abcdefghi"));
		ck_assert(rein_cli_table_add(&t, "x"));
	}
	ck_assert_uint_eq(rein_cli_table_rows(&t), 40);
	rein_cli_table_line(&t, 0, line, sizeof(line));
	ck_assert_str_eq(line, "   N  NAME      LAST");
	rein_cli_table_line(&t, 1, line, sizeof(line));
	ck_assert_str_eq(line, "   0            x");
	rein_cli_table_line(&t, 40, line, sizeof(line));
	ck_assert_str_eq(line, "3900  abc       x");
	rein_cli_table_line(&t, 40, line, 8); /* a short buffer cuts, never overruns */
	ck_assert_uint_lt(strlen(line), 8);
	rein_cli_table_fit(&t, 20, (unsigned[]){2, 1}, 2);
	rein_cli_table_line(&t, 40, line, sizeof(line));
	ck_assert_str_eq(line, "3900  abc       x");
	rein_cli_table_fit(&t, 17, (unsigned[]){2, 1}, 2);
	rein_cli_table_line(&t, 40, line, sizeof(line));
	ck_assert_str_eq(line, "3900  abc");
	rein_cli_table_fit(&t, 1, (unsigned[]){2, 1}, 2); /* some columns stay */
	rein_cli_table_line(&t, 40, line, sizeof(line));
	ck_assert_str_eq(line, "3900");
	rein_cli_table_free(&t);
}
TEST_END

TEST(cleans_names)
{
	char buf[8];
	ck_assert_str_eq(rein_cli_clean("a\033[1m\n", buf, sizeof(buf)), "a?[1m?");
	ck_assert_str_eq(rein_cli_clean("0123456789", buf, sizeof(buf)), "0123456");
}
TEST_END

TEST(finds_programs)
{
	char dir[64], path[PATH_MAX], file[128], list[256], *kept = getenv("PATH");
	kept = strdup(kept ? kept : "");
	snprintf(dir, sizeof(dir), "%s", temp_dir());
	snprintf(file, sizeof(file), "%s/tool", dir);
	write_file(file, "#!/bin/sh\n", 0755);
	snprintf(list, sizeof(list), "/nonexistent:%s", dir);
	setenv("PATH", list, 1);
	ck_assert_int_eq(rein_cli_locate_program("tool", path), 0);
	ck_assert_str_eq(path, file);
	ck_assert_int_eq(rein_cli_locate_program(file, path), 0);
	ck_assert_int_eq(rein_cli_locate_program("other", path), -ENOENT);
	ck_assert_int_eq(rein_cli_locate_program("", path), -ENOENT);
	ck_assert_int_eq(rein_cli_locate_program(dir, path), -EISDIR);
	ck_assert_int_eq(chmod(file, 0644), 0);
	ck_assert_int_eq(rein_cli_locate_program("tool", path), -EACCES);
	ck_assert_int_eq(rein_cli_locate_program(file, path), -EACCES);
	setenv("PATH", kept, 1);
	free(kept);
}
TEST_END

/* what the daemon will see when it has become the program */
TEST(finds_executables)
{
	char dir[64], file[128], other[128], sh[PATH_MAX], exe[PATH_MAX];
	snprintf(dir, sizeof(dir), "%s", temp_dir());
	snprintf(file, sizeof(file), "%s/tool", dir);
	snprintf(other, sizeof(other), "%s/link", dir);
	ck_assert_ptr_nonnull(realpath("/bin/sh", sh));
	rein_cli_locate_exe("/bin/sh", exe, sizeof(exe));
	ck_assert_str_eq(exe, sh);
	static const char *const scripts[] = {"#!/bin/sh\n", "#! /bin/sh -e\n", "#!/bin/sh",
	                                      "#!/usr/bin/env sh\n",
	                                      "#!/usr/bin/env -S A=b sh -e\n"};
	for (unsigned i = 0; i < REIN_ARRAY_LEN(scripts); i++) {
		write_file(file, scripts[i], 0755);
		rein_cli_locate_exe(file, exe, sizeof(exe));
		ck_assert_msg(strcmp(exe, sh) == 0, "%s: %s", scripts[i], exe);
	}
	ck_assert_int_eq(symlink(file, other), 0);
	rein_cli_locate_exe(other, exe, sizeof(exe));
	ck_assert_str_eq(exe, sh);
	/* no interpreter to be found: itself; one that names itself; no room */
	write_file(file, "#!/usr/bin/env\n", 0755);
	rein_cli_locate_exe(other, exe, sizeof(exe));
	ck_assert_str_eq(exe, file);
	char line[160];
	snprintf(line, sizeof(line), "#!%s\n", file);
	write_file(file, line, 0755);
	rein_cli_locate_exe(file, exe, sizeof(exe));
	ck_assert_str_eq(exe, file);
	rein_cli_locate_exe("/bin/sh", exe, strlen(sh));
	ck_assert_str_eq(exe, "");
	rein_cli_locate_exe("/nonexistent", exe, sizeof(exe));
	ck_assert_str_eq(exe, "");
}
TEST_END

TEST(finds_library)
{
	char dir[64], path[PATH_MAX], file[128];
	snprintf(dir, sizeof(dir), "%s", temp_dir());
	snprintf(file, sizeof(file), "%s/lib.so", dir);
	setenv("REIN_LIB", file, 1);
	ck_assert_int_eq(rein_cli_locate_library(path), -ENOENT);
	ck_assert_ptr_nonnull(strstr(path, "REIN_LIB"));
	write_file(file, "", 0644);
	ck_assert_int_eq(rein_cli_locate_library(path), 0);
	ck_assert_str_eq(path, file);
	ck_assert_int_eq(rein_cli_locate_softgpu(file, path), -ENOENT);
	snprintf(file, sizeof(file), "%s/softgpu", dir);
	ck_assert_str_eq(path, file);
}
TEST_END

TEST(helps)
{
	const char *dir = temp_dir();
	ck_assert_int_eq(REIN(dir, "help"), 0);
	ck_assert_ptr_nonnull(strstr(out, "a HIGHER number is MORE urgent"));
	for (const struct rein_cli_command *c = rein_cli_commands; c->name; c++) {
		ck_assert_ptr_nonnull(strstr(out, c->summary));
		ck_assert_ptr_eq(rein_cli_command_find(c->name), c);
	}
	for (const struct rein_cli_command *c = rein_cli_commands; c->name; c++) {
		ck_assert_int_eq(REIN(dir, "help", (char *)c->name), 0);
		ck_assert_ptr_nonnull(strstr(out, c->usage));
		ck_assert_int_eq(REIN(dir, (char *)c->name, "--help"), 0);
		ck_assert_ptr_nonnull(strstr(out, c->usage));
		ck_assert_str_eq(err, "");
	}
	ck_assert_int_eq(REIN(dir, "--version"), 0);
	ck_assert_str_eq(out, "rein " REIN_VERSION "\n");
}
TEST_END

/* every failure: its exit status, one line on stderr with this in it, nothing on stdout */
static struct { /* getopt permutes the words, so not const */
	int status;
	const char *says;
	char *argv[8];
} failures[] = {
    {2, "there is no command 'foo'", {"rein", "foo"}},
    {2, "there is no command 'foo'", {"rein", "help", "foo"}},
    {2, "unexpected argument 'x'", {"rein", "ps", "x"}},
    {2, "option '--bad'", {"rein", "status", "--bad"}},
    {2, "option '-x'", {"rein", "status", "-x"}},
    {2,
     "priority 120 is out of range; 0 (best effort) to 99 (most urgent)",
     {"rein", "run", "--prio", "120", "--", "true"}},
    {2, "priority -1 is out of range", {"rein", "run", "--prio", "-1", "true"}},
    {2, "priority 'high' is not a number", {"rein", "run", "--prio", "high", "true"}},
    {2, "'--prio' needs a value", {"rein", "run", "--prio"}},
    {2, "no program given", {"rein", "run", "--prio", "5"}},
    {2, "no program given", {"rein", "run", "--"}},
    {2,
     "too long; at most 31 bytes",
     {"rein", "run", "--class", "0123456789012345678901234567890123", "true"}},
    {127, "no such program", {"rein", "run", "--", "no-such-program"}},
    {127, "no such program", {"rein", "run", "/nonexistent/program"}},
    {126, "not executable", {"rein", "run", "/etc/passwd"}},
    {126, "a directory", {"rein", "run", "/tmp"}},
    {2, "no PID or name given", {"rein", "set", "--prio", "3"}},
    {2, "nothing to change", {"rein", "set", "12"}},
    {2, "out of range", {"rein", "set", "12", "--prio", "100"}},
    {2, "1 to 10000", {"rein", "set", "12", "--weight", "0"}},
    {2, "more than one", {"rein", "set", "12", "13", "--prio", "1"}},
    {2, "0.1 to 3600", {"rein", "top", "--interval", "0"}},
    {2, "0.1 to 3600", {"rein", "top", "--interval", "nan"}},
    {2, "count '0'", {"rein", "top", "--count", "0"}},
    {125, "no daemon answers at", {"rein", "ps"}},
    {125, "no daemon answers at", {"rein", "set", "12", "--prio", "1"}},
    {125, "no daemon answers at", {"rein", "status"}},
    {125, "no daemon answers at", {"rein", "top", "--batch"}},
    {125, "no daemon answers at", {"rein", "policy"}},
    {125, "no daemon answers at", {"rein", "reload"}},
    {125, "no daemon answers at", {"rein", "stop"}},
};

TEST(fails_in_one_line)
{
	const char *dir = temp_dir();
	for (size_t i = 0; i < REIN_ARRAY_LEN(failures); i++) {
		int status = rein(dir, failures[i].argv);
		ck_assert_msg(status == failures[i].status, "case %zu: status %d: %s", i, status,
		              err);
		ck_assert_msg(strstr(err, failures[i].says) != NULL, "case %zu: %s", i, err);
		ck_assert_msg(strncmp(err, "rein: ", 6) == 0 && lines(err) == 1, "case %zu: %s", i,
		              err);
		ck_assert_str_eq(out, "");
	}
}
TEST_END

TEST(fails_in_json)
{
	const char *dir = temp_dir();
	static char *cases[][6] = {{"rein", "ps", "--json"},
	                           {"rein", "ps", "--bad", "--json"},
	                           {"rein", "nothing", "--json"},
	                           {"rein", "run", "--prio", "x", "--json", "true"},
	                           {"rein", "run", "--json", "no-such-program"}};
	static const int want[] = {125, 2, 2, 2, 127};
	for (size_t i = 0; i < REIN_ARRAY_LEN(cases); i++) {
		ck_assert_int_eq(rein(dir, cases[i]), want[i]);
		CLI_AUTO_JSON json_t *o = json_loads(out, 0, NULL);
		ck_assert_msg(json_is_object(o), "case %zu: %s", i, out);
		ck_assert_int_eq(rein_cli_int(o, "schema_version"), 1);
		ck_assert(json_is_false(json_object_get(o, "ok")));
		ck_assert_int_eq(rein_cli_int(o, "exit_status"), want[i]);
		ck_assert_int_eq(lines(err), 1);
	}
	/* the program's own --json is not rein's */
	ck_assert_int_eq(REIN(dir, "run", "no-such-program", "--json"), 127);
	ck_assert_str_eq(out, "");
}
TEST_END

TEST(full_disk_is_a_failure)
{
	pid_t pid = fork();
	int status;
	if (pid == 0) {
		char *argv[] = {"rein", "help", NULL};
		if (!freopen("/dev/full", "w", stdout) || !freopen("/dev/null", "w", stderr))
			_exit(99);
		_exit(rein_cli_main(2, argv));
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(WEXITSTATUS(status), 125);
}
TEST_END

TESTS("tools", numbers, table_aligns, cleans_names, finds_programs, finds_executables,
      finds_library, helps, fails_in_one_line, fails_in_json, full_disk_is_a_failure)
