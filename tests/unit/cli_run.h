// SPDX-License-Identifier: Apache-2.0
/* cli_run.h: runs the `rein` command as a function in a child, for the tests of tools/. */
#ifndef REIN_TESTS_CLI_RUN_H
#define REIN_TESTS_CLI_RUN_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness.h"
#include "tools/cli.h"

static char out[16384], err[16384];

static void slurp(const char *path, char *buf, size_t len)
{
	FILE *f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	buf[fread(buf, 1, len - 1, f)] = 0;
	fclose(f);
}

/* Runs `rein ARGS…` in a child; its status, with what it wrote in `out` and `err`. */
static int rein(const char *dir, char **argv)
{
	char out_path[128], err_path[128];
	int argc = 0, status;
	snprintf(out_path, sizeof(out_path), "%s/out", dir);
	snprintf(err_path, sizeof(err_path), "%s/err", dir);
	while (argv[argc])
		argc++;
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		if (!freopen(out_path, "w", stdout) || !freopen(err_path, "w", stderr))
			_exit(99);
		setenv("REIN_RUN_DIR", dir, 1);
		status = rein_cli_main(argc, argv);
		fflush(NULL);
		_exit(status);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	slurp(out_path, out, sizeof(out));
	slurp(err_path, err, sizeof(err));
	ck_assert_msg(WIFEXITED(status), "rein died: status %x, stderr %s", status, err);
	return WEXITSTATUS(status);
}
/* REIN(dir, "ps", "--json"): with `dir` as the run directory */
#define REIN(dir, ...) rein(dir, (char *[]){"rein", __VA_ARGS__, NULL})

static int lines(const char *text)
{
	int n = 0;
	for (; *text; text++)
		n += *text == '\n';
	return n;
}

#endif
