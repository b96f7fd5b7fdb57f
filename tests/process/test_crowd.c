// SPDX-License-Identifier: Apache-2.0
/*
 * test_crowd.c: many processes on one software GPU that come and are killed in any order, while
 * they attach, work, wait or are stopped: the device never sticks, and nothing stays behind.
 */
#include "tests/harness.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROCESSES 30
#define AT_A_TIME 10
#define LIMIT_MS 30000

static char out[16384];

static struct proc start(const char *once, const char *mode)
{
	static char path[400], shm[64];
	snprintf(path, sizeof(path), "LD_LIBRARY_PATH=%s", built("softgpu"));
	snprintf(shm, sizeof(shm), "SOFTGPU_SHM=test-crowd-%d", (int)getpid());
	char *const argv[] = {(char *)built("tests/clients/api_crowd"), (char *)once, NULL};
	char *const env[] = {
	    path, shm, (char *)mode, "SOFTGPU_RM=1", ENV_NO_LEAK_CHECK, ENV_ENDS_ANYHOW, NULL};
	return proc_start(argv, env);
}

static int left_in_shm(void)
{
	char name[64];
	int n = 0;
	DIR *dir = opendir("/dev/shm");
	snprintf(name, sizeof(name), "test-crowd-%d", (int)getpid());
	for (struct dirent *d = dir ? readdir(dir) : NULL; d; d = readdir(dir))
		n += strstr(d->d_name, name) != NULL;
	if (dir)
		closedir(dir);
	return n;
}

/* One after the other is started; each that is too many is killed, at a random point. */
static void crowd(const char *mode, unsigned seed)
{
	struct proc p[AT_A_TIME];
	unsigned alive = 0;
	srandom(seed);
	for (int i = 0; i < PROCESSES; i++) {
		if (alive == AT_A_TIME) {
			unsigned victim = (unsigned)random() % alive;
			kill(p[victim].pid, SIGKILL);
			ck_assert_int_eq(proc_wait(&p[victim], out, sizeof(out), LIMIT_MS),
			                 128 + SIGKILL);
			p[victim] = p[--alive];
		}
		p[alive++] = start(NULL, mode);
		unsigned how = (unsigned)random() % 8;
		if (how == 0) /* while it attaches */
			usleep((unsigned)random() % 3000);
		else
			usleep((unsigned)random() % 30000);
		if (how < 2) {
			kill(p[alive - 1].pid, SIGKILL);
			ck_assert_int_eq(proc_wait(&p[--alive], out, sizeof(out), LIMIT_MS),
			                 128 + SIGKILL);
		} else if (how == 2) {
			kill(p[random() % alive].pid, SIGSTOP); /* it keeps no one else waiting */
		}
	}
	/* somebody new gets its work done beside those that live and those that are stopped */
	struct proc last = start("once", mode);
	int rc = proc_wait(&last, out, sizeof(out), LIMIT_MS);
	ck_assert_msg(rc == 0 && strstr(out, "ok\n"), "exit %d: %s", rc, out);
	while (alive) {
		kill(p[--alive].pid, SIGKILL);
		proc_wait(&p[alive], out, sizeof(out), LIMIT_MS);
	}
	last = start("once", mode); /* clears up after all of them */
	rc = proc_wait(&last, out, sizeof(out), LIMIT_MS);
	ck_assert_msg(rc == 0 && strstr(out, "ok\n"), "exit %d: %s", rc, out);
	ck_assert_int_eq(left_in_shm(), 0);
}

TEST(killed_in_any_order)
{
	crowd("SOFTGPU_MODE=wall", 1);
}
TEST_END

TEST(killed_in_any_order_where_they_run_together)
{
	crowd("SOFTGPU_MPS=1", 2);
}
TEST_END

TEST(many_at_once)
{
	struct proc p[PROCESSES];
	for (int i = 0; i < PROCESSES; i++)
		p[i] = start("once", "SOFTGPU_MODE=wall");
	for (int i = 0; i < PROCESSES; i++) {
		int rc = proc_wait(&p[i], out, sizeof(out), LIMIT_MS);
		ck_assert_msg(rc == 0 && strstr(out, "ok\n"), "%d: exit %d: %s", i, rc, out);
	}
	ck_assert_int_eq(left_in_shm(), 0);
}
TEST_END

TESTS("softgpu crowd", killed_in_any_order, killed_in_any_order_where_they_run_together,
      many_at_once)
