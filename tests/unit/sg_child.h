// SPDX-License-Identifier: Apache-2.0
/*
 * sg_child.h: for tests of the software GPU's engine that need a process of their own: the engine
 * reads its environment once per process, and shares a device with others. The test process
 * itself never starts an engine.
 */
#ifndef REIN_TESTS_SG_CHILD_H
#define REIN_TESTS_SG_CHILD_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/util.h"
#include "softgpu/engine.h"

/* In the child: says what is wrong and ends it. */
#define CHILD_CHECK(cond)                                                                          \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                 \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

/* env: "NAME=value" entries, NULL-terminated. Every child of one test process shares a device. */
static inline pid_t child_start(void (*fn)(void), const char *const *env)
{
	char shm[64];
	snprintf(shm, sizeof(shm), "test-%d", (int)getpid());
	fflush(NULL);
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid)
		return pid;
	setenv("SOFTGPU_SHM", shm, 1);
	for (; *env; env++)
		putenv(strdup(*env));
	fn();
	exit(0); /* with destructors: leaves the shared device */
}

static inline void shm_path(char *buf, size_t len)
{
	snprintf(buf, len, "/dev/shm/softgpu-%u-test-%d", (unsigned)getuid(), (int)getpid());
}

/* A path for a log; not in temp_dir(), which the first child to exit would remove. */
static inline void child_file(char *buf, size_t len, const char *what)
{
	snprintf(buf, len, "/tmp/rein-sg-test-%d.%s", (int)getpid(), what);
	unlink(buf);
}

static inline int child_wait(pid_t pid)
{
	int status = -1;
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static inline void child_run(void (*fn)(void), const char *const *env)
{
	ck_assert_int_eq(child_wait(child_start(fn, env)), 0);
}

static inline struct sg_domain *child_domain(void)
{
	struct sg_domain *d = NULL;
	CHILD_CHECK(sg_domain_new(0, &d) == CUDA_SUCCESS);
	return d;
}

static inline struct sg_cmd *child_cmd(enum sg_cmd_kind kind, const char *name)
{
	struct sg_cmd *c = calloc(1, sizeof(*c));
	CHILD_CHECK(c);
	c->kind = kind;
	c->name = name;
	c->blocks = 1;
	c->block_threads = 32;
	return c;
}

static inline void child_put(struct sg_stream *s, enum sg_cmd_kind kind, const char *name)
{
	CHILD_CHECK(sg_submit(s, child_cmd(kind, name)) == CUDA_SUCCESS);
}

#endif
