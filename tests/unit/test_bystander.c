// SPDX-License-Identifier: Apache-2.0
/* test_bystander.c: who has a GPU open and is no client, in a /proc made for the test. */
#include "daemon/bystander.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/harness.h"

static char proc[64], shm[80];

static void begin(void)
{
	snprintf(proc, sizeof(proc), "%s", temp_dir());
	snprintf(shm, sizeof(shm), "%s/shm", proc);
	ck_assert_int_eq(mkdir(shm, 0700), 0);
}

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

/* A process with one descriptor, and where its stack begins. */
static void process(int pid, const char *comm, int parent, unsigned long stack, const char *fd)
{
	char path[128], text[256];
	snprintf(path, sizeof(path), "%s/%d", proc, pid);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/%d/comm", proc, pid);
	snprintf(text, sizeof(text), "%s\n", comm);
	put(path, text);
	snprintf(path, sizeof(path), "%s/%d/stat", proc, pid);
	snprintf(text, sizeof(text),
	         "%d (%s) S %d 1 1 0 -1 4194304 84 0 0 0 0 0 0 0 20 0 1 0 100 2592768 231 "
	         "18446744073709551615 94000 95000 %lu 0 0 0\n",
	         pid, comm, parent, stack);
	put(path, text);
	snprintf(path, sizeof(path), "%s/%d/fd", proc, pid);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/%d/fd/3", proc, pid);
	ck_assert_int_eq(symlink(fd, path), 0);
}

static void maps(int pid, const char *path)
{
	char file[128], text[256];
	snprintf(file, sizeof(file), "%s/%d/maps", proc, pid);
	snprintf(text, sizeof(text),
	         "7f0000-7f1000 r-xp 00000000 08:01 12 /usr/lib/libc.so.6\n"
	         "7f2000-7f3000 rw-s 00000000 00:1b 34 %s\n",
	         path);
	put(file, text);
}

static struct rein_bystanders look(const pid_t *client, unsigned n)
{
	struct rein_bystanders found;
	rein_bystander_scan(proc, shm, client, n, &found);
	return found;
}

TEST(a_device_file_makes_one)
{
	begin();
	process(10, "client", 1, 111, "/dev/nvidia0");
	process(11, "python 3)", 1, 222, "/dev/nvidia12");
	process(12, "sh", 1, 333, "/dev/null");
	process(13, "monitor", 1, 444, "/dev/nvidiactl");
	process(14, "nvidia-smi", 1, 555, "/dev/nvidia0");
	process(24, "nvidia-cuda-mps", 1, 555, "/dev/nvidia0"); /* -control and -server alike */
	struct rein_bystanders b = look((pid_t[]){10}, 1);
	ck_assert_uint_eq(b.n, 1);
	ck_assert_int_eq(b.process[0].pid, 11);
	ck_assert_str_eq(b.process[0].comm, "python 3)");
	b = look((pid_t[]){10, 11}, 2);
	ck_assert_uint_eq(b.n, 0);
	b = look(NULL, 0);
	ck_assert_uint_eq(b.n, 2);
}
TEST_END

TEST(a_fork_of_a_client_is_none_until_it_calls_exec)
{
	begin();
	process(10, "client", 1, 111, "/dev/nvidia0");
	process(20, "loader", 10, 111, "/dev/nvidia0");
	process(21, "loader's own", 20, 111, "/dev/nvidia0");
	process(22, "exec", 10, 999, "/dev/nvidia0");
	process(23, "cannot see", 10, 0, "/dev/nvidia0");
	process(24, "fork of exec", 22, 999, "/dev/nvidia0");
	struct rein_bystanders b = look((pid_t[]){10}, 1);
	bool found[30] = {false};
	ck_assert_uint_eq(b.n, 3);
	for (unsigned i = 0; i < b.n; i++)
		found[b.process[i].pid] = true;
	ck_assert(found[22] && found[23] && found[24]);
}
TEST_END

TEST(a_software_gpu_counts_if_a_client_maps_it)
{
	char path[128];
	begin();
	process(10, "client", 1, 111, "/dev/null");
	process(11, "other", 1, 222, "/dev/null");
	process(12, "elsewhere", 1, 333, "/dev/null");
	maps(10, "/dev/shm/softgpu-0-mine");
	maps(11, "/dev/shm/softgpu-0-mine");
	maps(12, "/dev/shm/softgpu-0-theirs");
	ck_assert_uint_eq(look((pid_t[]){10}, 1).n, 0); /* there is none in `shm` at all */
	snprintf(path, sizeof(path), "%s/softgpu-0-mine", shm);
	put(path, "");
	struct rein_bystanders b = look((pid_t[]){10}, 1);
	ck_assert_uint_eq(b.n, 1);
	ck_assert_int_eq(b.process[0].pid, 11);
	ck_assert_uint_eq(look(NULL, 0).n, 0); /* nobody's */
	/* the real one is of no concern to clients of a software one, unless they have both */
	process(13, "desktop", 1, 444, "/dev/nvidia0");
	ck_assert_uint_eq(look((pid_t[]){10}, 1).n, 1);
	process(14, "both", 1, 555, "/dev/nvidia0");
	ck_assert_uint_eq(look((pid_t[]){10, 14}, 2).n, 2);
}
TEST_END

TEST(many_are_counted_and_some_named)
{
	begin();
	for (int pid = 100; pid < 140; pid++)
		process(pid, "x", 1, 1, "/dev/nvidia0");
	ck_assert_uint_eq(look(NULL, 0).n, 40);
}
TEST_END

TEST(nothing_there)
{
	struct rein_bystanders b;
	rein_bystander_scan("/nonexistent", "/nonexistent", NULL, 0, &b);
	ck_assert_uint_eq(b.n, 0);
}
TEST_END

/* By its own thread, on the real /proc: whatever is found, the answer comes, and ends. */
TEST(the_thread_answers_and_ends)
{
	struct rein_bystander_watch *w = rein_bystander_start();
	struct rein_bystanders b;
	pid_t self = getpid();
	uint64_t ns = 0;
	ck_assert_ptr_nonnull(w);
	ck_assert(!rein_bystander_get(w, &b, &ns));
	ck_assert(rein_bystander_wait(w, 0));
	for (int i = 0; i < 3; i++) {
		rein_bystander_look(w, &self, 1);
		rein_bystander_look(w, &self, 1); /* one is under way */
		ck_assert(rein_bystander_wait(w, 60000));
		uint64_t after_ns = rein_now_ns();
		usleep(1000); /* whoever asks late is told when it was */
		ck_assert(rein_bystander_get(w, &b, &ns));
		ck_assert_uint_le(ns, after_ns);
		ck_assert(!rein_bystander_get(w, &b, &ns));
	}
	rein_bystander_look(w, &self, 1);
	rein_bystander_stop(w);
}
TEST_END

TESTS("bystanders", a_device_file_makes_one, a_fork_of_a_client_is_none_until_it_calls_exec,
      a_software_gpu_counts_if_a_client_maps_it, many_are_counted_and_some_named, nothing_there,
      the_thread_answers_and_ends)
