// SPDX-License-Identifier: Apache-2.0
/* test_common.c: the ABI's layout as numbers, the kernel-time model, sealed memory, descriptors
 * over sockets, the log. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/abi.h"
#include "common/clock.h"
#include "common/futex.h"
#include "common/log.h"
#include "common/sock.h"
#include "common/wire.h"
#include "tests/harness.h"

/* ---------------------------------------------------------------- ABI */

/* Numbers, not expressions: whoever moves a field must come here and raise REIN_ABI_MAJOR. */
TEST(the_abi_has_not_moved)
{
	ck_assert_uint_eq(REIN_ABI_MAJOR, 1);
	ck_assert_uint_eq(REIN_ABI_MAGIC, 0x6e696572);
	ck_assert_uint_eq(sizeof(struct rein_board), 64 + 64 * 64);
	ck_assert_uint_eq(offsetof(struct rein_board, daemon_pid), 16);
	ck_assert_uint_eq(offsetof(struct rein_board, instance), 20);
	ck_assert_uint_eq(offsetof(struct rein_board, asleep), 24);
	ck_assert_uint_eq(sizeof(struct rein_control), 64 + 16 * 64);
	ck_assert_uint_eq(offsetof(struct rein_control, client_id), 16);
	ck_assert_uint_eq(offsetof(struct rein_control, flags), 20);
	ck_assert_uint_eq(offsetof(struct rein_control, prio), 24);
	ck_assert_uint_eq(offsetof(struct rein_control, linger_us), 28);
	ck_assert_uint_eq(offsetof(struct rein_verdict, gate), 0);
	ck_assert_uint_eq(offsetof(struct rein_verdict, seq), 4);
	ck_assert_uint_eq(offsetof(struct rein_verdict, lease_until_ns), 8);
	ck_assert_uint_eq(offsetof(struct rein_verdict, hold_mode), 16);
	ck_assert_uint_eq(offsetof(struct rein_verdict, generation), 20);
	ck_assert_uint_eq(offsetof(struct rein_verdict, board_device), 24);
	ck_assert_uint_eq(offsetof(struct rein_verdict, backlog_launches), 28);
	ck_assert_uint_eq(offsetof(struct rein_verdict, backlog_ns), 32);
	ck_assert_uint_eq(offsetof(struct rein_verdict, point_ns), 40);
	ck_assert_uint_eq(offsetof(struct rein_verdict, sms), 48);
	ck_assert_uint_eq(offsetof(struct rein_verdict, timeslice_us), 52);
	ck_assert_uint_eq(offsetof(struct rein_status, demand), 16);
	ck_assert_uint_eq(offsetof(struct rein_status, total.submissions), 64);
	ck_assert_uint_eq(offsetof(struct rein_status, device), 128);
	ck_assert_uint_eq(offsetof(struct rein_status, kmodel), 512);
	ck_assert_uint_eq(sizeof(struct rein_status), 512 + 512 * 96);
	ck_assert_uint_eq(offsetof(struct rein_msg_hello, timing), REIN_HELLO_SIZE_1);
	ck_assert_uint_eq(sizeof(struct rein_msg_hello), 480);
	ck_assert_uint_eq(offsetof(struct rein_msg_welcome, promise), REIN_WELCOME_SIZE_1);
	ck_assert_uint_eq(sizeof(struct rein_msg_welcome), 520);
	ck_assert_uint_eq(REIN_FD_N, 4);
}
TEST_END

/* ---------------------------------------------------------------- kernel-time model */

static struct rein_kmodel model;

static uint64_t key_of(uint64_t func)
{
	const uint32_t grid[3] = {4, 2, 1}, block[3] = {128, 1, 1};
	return rein_kmodel_key(func, grid, block, 0);
}

TEST(a_key_tells_kernels_apart)
{
	const uint32_t g[3] = {1, 2, 3}, g2[3] = {1, 3, 2}, b[3] = {4, 5, 6}, b2[3] = {4, 6, 5};
	uint64_t k = rein_kmodel_key(7, g, b, 8);
	ck_assert(k != 0 && k == rein_kmodel_key(7, g, b, 8));
	ck_assert(k != rein_kmodel_key(8, g, b, 8) && k != rein_kmodel_key(7, g2, b, 8));
	ck_assert(k != rein_kmodel_key(7, g, b2, 8) && k != rein_kmodel_key(7, g, b, 9));
}
TEST_END

TEST(an_estimate_needs_two_samples_and_follows_them)
{
	memset(&model, 0, sizeof(model));
	uint64_t k = key_of(1);
	ck_assert(rein_kmodel_estimate(&model, k) == 0);
	rein_kmodel_sample(&model, k, 5000000, "lazy");
	ck_assert(rein_kmodel_is_bound(&model, k));
	ck_assert(rein_kmodel_estimate(&model, k) == 5000000);
	for (unsigned i = 0; i < 4; i++)
		rein_kmodel_sample(&model, k, 1000, NULL);
	uint64_t ns = rein_kmodel_estimate(&model, k);
	ck_assert(!rein_kmodel_is_bound(&model, k));
	ck_assert(ns >= 1000 && ns < 1500); /* the first, odd sample is forgotten */
	rein_kmodel_sample(&model, k, 3000, NULL);
	ck_assert(rein_kmodel_estimate(&model, k) > ns + 500); /* up quickly */
	for (unsigned i = 0; i < 1000; i++)                    /* one in ten takes twice as long */
		rein_kmodel_sample(&model, k, i % 10 ? 1000 : 2000, NULL);
	ck_assert(rein_kmodel_estimate(&model, k) > 1500);
	rein_kmodel_sample(&model, key_of(2), UINT64_MAX, NULL);
	rein_kmodel_sample(&model, key_of(2), UINT64_MAX, NULL);
	ck_assert(rein_kmodel_estimate(&model, key_of(2)) <= 3600 * REIN_S);
	rein_kmodel_sample(&model, key_of(3), 0, NULL);
	rein_kmodel_sample(&model, key_of(3), 0, NULL);
	ck_assert(rein_kmodel_estimate(&model, key_of(3)) == 1); /* known, so not 0 */
}
TEST_END

/* Times spread evenly over 1000…2000: the mean, and what about one in twenty exceeds. */
TEST(the_mean_and_a_high_quantile_are_tracked)
{
	uint32_t dice = 1;
	uint64_t k = key_of(1), mean = 0, high = 0, above = 0;
	memset(&model, 0, sizeof(model));
	for (unsigned i = 0; i < 6000; i++) {
		struct rein_kmodel_entry e = {0};
		dice = dice * 1664525u + 1013904223u;
		uint64_t ns = 1000 + (dice >> 16) % 1000;
		for (unsigned r = 0; i >= 1000 && r < REIN_KMODEL_ROWS && e.key != k; r++)
			(void)rein_kmodel_read(&model, r, &e);
		above += ns > e.high_ns && i >= 1000;
		mean += e.mean_ns;
		high += e.high_ns;
		rein_kmodel_sample(&model, k, ns, NULL);
	}
	ck_assert_uint_eq(rein_kmodel_samples(&model, k), 6000);
	ck_assert(mean / 5000 > 1450 && mean / 5000 < 1550);
	ck_assert(high / 5000 > 1850 && high / 5000 < 2000);
	ck_assert(above > 150 && above < 400);       /* 3 to 8 % */
	rein_kmodel_sample(&model, k, 100000, NULL); /* one odd sample is just that */
	rein_kmodel_sample(&model, k, 1500, NULL);
	for (unsigned i = 0; i < 60; i++)
		rein_kmodel_sample(&model, k, 1500, NULL);
	ck_assert_uint_lt(rein_kmodel_estimate(&model, k), 15000);
	for (unsigned i = 0; i < 40; i++) /* a lasting change is not */
		rein_kmodel_sample(&model, k, 50000, NULL);
	ck_assert_uint_gt(rein_kmodel_estimate(&model, k), 45000);
}
TEST_END

TEST(a_full_table_forgets_the_least_recent)
{
	memset(&model, 0, sizeof(model));
	unsigned known = 0;
	for (uint64_t f = 1; f <= 4 * REIN_KMODEL_ROWS; f++) {
		rein_kmodel_sample(&model, key_of(f), 10, "k");
		rein_kmodel_sample(&model, key_of(f), 10, "k");
		known += rein_kmodel_estimate(&model, key_of(f)) != 0;
	}
	ck_assert_uint_eq(known, 4 * REIN_KMODEL_ROWS); /* each one, when it was new */
	ck_assert(rein_kmodel_estimate(&model, key_of(1)) == 0);
	ck_assert(rein_kmodel_estimate(&model, key_of(4 * REIN_KMODEL_ROWS)) == 10);
}
TEST_END

TEST(shared_spans_are_upper_bounds)
{
	memset(&model, 0, sizeof(model));
	rein_kmodel_bound(&model, key_of(1), 900);
	rein_kmodel_bound(&model, key_of(1), 400);
	rein_kmodel_bound(&model, key_of(1), 700);
	ck_assert(rein_kmodel_estimate(&model, key_of(1)) == 400);
	rein_kmodel_sample(&model, key_of(1), 100, NULL);
	rein_kmodel_sample(&model, key_of(1), 100, NULL);
	rein_kmodel_bound(&model, key_of(1), 50);
	ck_assert(rein_kmodel_estimate(&model, key_of(1)) == 100);
}
TEST_END

TEST(hostile_contents_of_a_table_are_harmless)
{
	struct rein_kmodel_entry e;
	memset(&model, 0xff,
	       sizeof(model)); /* no NUL in the names, absurd numbers, every key taken */
	for (unsigned i = 0; i < 2 * REIN_KMODEL_ROWS; i++) {
		memset(&e, 'x', sizeof(e));
		ck_assert(rein_kmodel_read(&model, i, &e));
		ck_assert(memchr(e.name, 0, sizeof(e.name)) != NULL);
		for (const char *c = e.name; *c; c++)
			ck_assert(*c >= 0x20 && *c <= 0x7e);
	}
	ck_assert(rein_kmodel_estimate(&model, 5) == 0);
	rein_kmodel_sample(&model, 5, 1, "no room");
	rein_kmodel_sample(&model, UINT64_MAX, 1, NULL);
	ck_assert(rein_kmodel_estimate(&model, UINT64_MAX) > 0);
	memset(&model, 0, sizeof(model));
	ck_assert(!rein_kmodel_read(&model, 0, &e));
	ck_assert(e.key == 0 && e.name[0] == 0);
	rein_kmodel_sample(&model, 1, 7, "a\033[31mred\n");
	for (unsigned i = 0; i < REIN_KMODEL_ROWS; i++)
		if (rein_kmodel_read(&model, i, &e))
			ck_assert_str_eq(e.name, "a?[31mred?");
}
TEST_END

/* ---------------------------------------------------------------- sealed memory */

TEST(frozen_memory_cannot_be_written_shrunk_or_unsealed)
{
	int fd = rein_memfd_new("test", REIN_AREA_ALIGN);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	rein_a32 *own = mmap(NULL, REIN_AREA_ALIGN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(own, MAP_FAILED);
	ck_assert_int_eq(rein_memfd_freeze(fd), 0);
	/* What a hostile client could try with the descriptor. */
	ck_assert_ptr_eq(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	ck_assert_int_lt(write(fd, "x", 1), 0);
	ck_assert_int_lt(ftruncate(fd, 0), 0);
	ck_assert_int_lt(ftruncate(fd, 2 * REIN_AREA_ALIGN), 0);
	ck_assert_int_lt(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), 0);
	ck_assert_int_lt(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int again = open(path, O_RDWR | O_CLOEXEC);
	if (again >= 0) {
		ck_assert_int_lt(write(again, "x", 1), 0);
		ck_assert_ptr_eq(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0),
		                 MAP_FAILED);
		close(again);
	}
	rein_a32 *theirs = mmap(NULL, REIN_AREA_ALIGN, PROT_READ, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(theirs, MAP_FAILED);
	ck_assert_int_lt(mprotect(theirs, REIN_AREA_ALIGN, PROT_READ | PROT_WRITE), 0);
	/* The owner's mapping still writes, and the others see it. */
	rein_store_release(own, 42);
	ck_assert_uint_eq(rein_load_acquire(theirs), 42);
	munmap(own, REIN_AREA_ALIGN);
	munmap(theirs, REIN_AREA_ALIGN);
	close(fd);
}
TEST_END

TEST(shared_memory_can_be_written_but_not_shrunk)
{
	int fd = rein_memfd_new("test", 4096);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_lt(ftruncate(fd, 0), 0);
	ck_assert_ptr_ne(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	close(fd);
}
TEST_END

TEST(a_read_only_mapping_can_wait_and_be_woken)
{
	int fd = rein_memfd_new("test", 4096);
	rein_a32 *own = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(own, MAP_FAILED);
	ck_assert_int_eq(rein_memfd_freeze(fd), 0);
	pid_t pid = fork();
	if (pid == 0) {
		const rein_a32 *word = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
		while (rein_load_acquire(word) == 0)
			rein_futex_wait(word, 0, rein_now_ns() + 60 * REIN_S);
		_exit(rein_load_acquire(word) == 7 ? 0 : 1);
	}
	usleep(20000);
	uint64_t start_ns = rein_now_ns();
	rein_store_release(own, 7);
	rein_futex_wake_all(own);
	int status;
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	ck_assert(rein_now_ns() - start_ns < 30 * REIN_S);
}
TEST_END

/* ---------------------------------------------------------------- sockets */

static int open_fds(void)
{
	int n = 0;
	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

TEST(descriptors_travel_and_surplus_ones_are_closed)
{
	int pair[2], got[REIN_SOCK_FDS], sent[REIN_SOCK_FDS];
	char buf[16];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	for (unsigned i = 0; i < REIN_SOCK_FDS; i++)
		sent[i] = eventfd(i, EFD_CLOEXEC);
	int before = open_fds();

	unsigned n = 2;
	ck_assert_int_eq(rein_sock_send(pair[0], "hi", 2, sent, 3), 0);
	ck_assert_int_eq(rein_sock_recv(pair[1], buf, sizeof(buf), got, &n, 1000), 2);
	ck_assert_uint_eq(n, 2);
	ck_assert_int_eq(open_fds(), before + 2);
	for (unsigned i = 0; i < 2; i++) {
		uint64_t value = 0;
		ck_assert_int_eq(fcntl(got[i], F_GETFD), FD_CLOEXEC);
		if (i)
			ck_assert_int_eq(read(got[i], &value, sizeof(value)), sizeof(value));
		ck_assert_uint_eq(value, i);
		close(got[i]);
	}
	/* a receiver that wants none */
	ck_assert_int_eq(rein_sock_send(pair[0], "hi", 2, sent, REIN_SOCK_FDS), 0);
	ck_assert_int_eq(rein_sock_recv(pair[1], buf, sizeof(buf), NULL, NULL, 1000), 2);
	ck_assert_int_eq(open_fds(), before);
	/* a packet that is too long: refused, and nothing leaks */
	n = REIN_SOCK_FDS;
	ck_assert_int_eq(rein_sock_send(pair[0], "0123456789abcdefgh", 18, sent, 4), 0);
	ck_assert_int_eq(rein_sock_recv(pair[1], buf, sizeof(buf), got, &n, 1000), -EMSGSIZE);
	ck_assert_uint_eq(n, 0);
	ck_assert_int_eq(open_fds(), before);
	ck_assert_int_eq(rein_sock_send(pair[0], "x", 1, sent, REIN_SOCK_FDS + 1), -EINVAL);
	for (unsigned i = 0; i < REIN_SOCK_FDS; i++)
		close(sent[i]);
}
TEST_END

TEST(receiving_does_not_wait_longer_than_told)
{
	int pair[2];
	char buf[16];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(rein_sock_recv(pair[1], buf, sizeof(buf), NULL, NULL, 0), -EAGAIN);
	ck_assert_int_eq(rein_sock_recv(pair[1], buf, sizeof(buf), NULL, NULL, 5), -ETIMEDOUT);
	close(pair[0]);
	ck_assert_int_eq(rein_sock_recv(pair[1], buf, sizeof(buf), NULL, NULL, 1000), 0);
	ck_assert_int_eq(rein_sock_send(pair[1], "x", 1, NULL, 0), -EPIPE);
}
TEST_END

TEST(listening_replaces_the_dead_and_respects_the_living)
{
	char dir[128];
	struct stat st;
	snprintf(dir, sizeof(dir), "%s", temp_dir());
	int first = rein_sock_listen(dir, "s", 0666, 4);
	ck_assert_int_ge(first, 0);
	char path[160];
	snprintf(path, sizeof(path), "%s/s", dir);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0666);
	ck_assert_int_eq(rein_sock_listen(dir, "s", 0666, 4), -EADDRINUSE);
	int c = rein_sock_connect(dir, "s");
	ck_assert_int_ge(c, 0);
	close(first);
	ck_assert_int_eq(rein_sock_connect(dir, "s"), -ECONNREFUSED);
	int second = rein_sock_listen(dir, "s", 0600, 4);
	ck_assert_int_ge(second, 0);
	ck_assert_int_eq(rein_sock_connect(dir, "none"), -ENOENT);
	char longdir[200];
	memset(longdir, 'x', sizeof(longdir) - 1);
	longdir[sizeof(longdir) - 1] = 0;
	ck_assert_int_eq(rein_sock_connect(longdir, "s"), -ENAMETOOLONG);
	ck_assert_int_eq(rein_sock_listen("/nonesuch", "s", 0666, 4), -ENOENT);
}
TEST_END

TEST(where_the_run_directory_is)
{
	char dir[64];
	setenv("REIN_RUN_DIR", "/some/where", 1);
	ck_assert_int_eq(rein_run_dir(dir, sizeof(dir)), 0);
	ck_assert_str_eq(dir, "/some/where");
	ck_assert_int_eq(rein_run_dir(dir, 5), -ENAMETOOLONG);
	setenv("REIN_RUN_DIR", "", 1);
	ck_assert_int_eq(rein_run_dir(dir, sizeof(dir)), 0);
	if (geteuid() == 0)
		ck_assert_str_eq(dir, "/run/rein");
}
TEST_END

/* ---------------------------------------------------------------- log */

static void logged(char *buf, size_t len, int pipe_fd)
{
	ssize_t n = read(pipe_fd, buf, len - 1);
	buf[n > 0 ? n : 0] = 0;
}

TEST(a_line_is_cut_not_split_and_errno_stays)
{
	int fds[2], saved = dup(2);
	char buf[2048], big[1500], expected[64];
	ck_assert_int_eq(pipe2(fds, O_NONBLOCK), 0);
	dup2(fds[1], 2);
	unsetenv("REIN_LOG");
	rein_log_init("test", REIN_LOG_INFO, false);
	errno = 77;
	rein_info("a=%d b=%s", 1, "two");
	ck_assert_int_eq(errno, 77);
	logged(buf, sizeof(buf), fds[0]);
	snprintf(expected, sizeof(expected), "test[%d] info: a=1 b=two\n", (int)getpid());
	ck_assert_str_eq(buf, expected);

	rein_debug("not this");
	logged(buf, sizeof(buf), fds[0]);
	ck_assert_str_eq(buf, "");

	memset(big, 'y', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	rein_error("%s", big);
	logged(buf, sizeof(buf), fds[0]);
	ck_assert_uint_le(strlen(buf), 512);
	ck_assert_int_eq(buf[strlen(buf) - 1], '\n');
	ck_assert_int_eq(buf[strlen(buf) - 2], 'y');

	setenv("REIN_LOG", "debug", 1);
	rein_log_init("test", REIN_LOG_ERROR, true);
	rein_debug("x");
	logged(buf, sizeof(buf), fds[0]);
	ck_assert_str_eq(buf, "<7>debug: x\n");
	dup2(saved, 2);
}
TEST_END

TESTS("common", the_abi_has_not_moved, a_key_tells_kernels_apart,
      an_estimate_needs_two_samples_and_follows_them, the_mean_and_a_high_quantile_are_tracked,
      a_full_table_forgets_the_least_recent, shared_spans_are_upper_bounds,
      hostile_contents_of_a_table_are_harmless, frozen_memory_cannot_be_written_shrunk_or_unsealed,
      shared_memory_can_be_written_but_not_shrunk, a_read_only_mapping_can_wait_and_be_woken,
      descriptors_travel_and_surplus_ones_are_closed, receiving_does_not_wait_longer_than_told,
      listening_replaces_the_dead_and_respects_the_living, where_the_run_directory_is,
      a_line_is_cut_not_split_and_errno_stays)
