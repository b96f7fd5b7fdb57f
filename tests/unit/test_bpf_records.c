// SPDX-License-Identifier: Apache-2.0
/* test_bpf_records.c: what BPF programs report becomes records; where a driver library's entry
 * points are, in files that make sense and in others. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "profiler/bpf/driver.h"
#include "profiler/bpf/records.h"
#include "tests/harness.h"

static struct rein_bpf_off off(void)
{
	return (struct rein_bpf_off){.begin_ns = 1000,
	                             .end_ns = 90000,
	                             .runnable_ns = 50000,
	                             .doing = {7, REIN_PHASE_GATE, 3},
	                             .client = 5,
	                             .tgid = 100,
	                             .thread = 101,
	                             .waker = 201,
	                             .waker_tgid = 200,
	                             .before_tgid = 300,
	                             .before_part = 200,
	                             .cpu = 2};
}

TEST(a_stretch_is_a_record)
{
	struct rein_bpf_off o = off();
	struct rein_trace_record r;
	rein_bpf_off_record(&o, &r);
	ck_assert_uint_eq(r.kind, REIN_TRACE_OFFCPU);
	ck_assert_uint_eq(r.stamp, 5);
	ck_assert_uint_eq(r.thread, 101);
	ck_assert_uint_eq(r.begin, 1000);
	ck_assert_uint_eq(r.end, 90000);
	ck_assert_uint_eq(r.a, 50000);
	ck_assert_uint_eq(r.result, REIN_PHASE_GATE);
	ck_assert_uint_eq(r.entry, 3);
	ck_assert_uint_eq(r.func, 7);
	ck_assert_uint_eq(r.number, 201);
	ck_assert_uint_eq(r.b & 0xffffffff, 200);
	ck_assert_uint_eq(r.b >> 32, 300);
	ck_assert_uint_eq(r.stream, 2);
	ck_assert_uint_eq(r.flags, 200);
	o.before_part = 256;
	rein_bpf_off_record(&o, &r);
	ck_assert_uint_eq(r.flags, 255);
	o.before_part = 0; /* of hundreds, each with a little */
	rein_bpf_off_record(&o, &r);
	ck_assert_uint_eq(r.flags, 1);
}
TEST_END

TEST(what_a_client_says_is_bounded)
{
	struct rein_bpf_off o = off();
	struct rein_trace_record r;
	o.doing.phase = REIN_PHASES;
	rein_bpf_off_record(&o, &r);
	ck_assert_uint_eq(r.result, REIN_PHASE_NONE);
	ck_assert_uint_eq(r.entry, 0);
	o.doing.phase = 0x10000 | REIN_PHASE_SYNC; /* not SYNC by its lower half */
	rein_bpf_off_record(&o, &r);
	ck_assert_uint_eq(r.result, REIN_PHASE_NONE);
	o.doing.phase = REIN_PHASE_SYNC; /* nobody holds who waits for the GPU */
	rein_bpf_off_record(&o, &r);
	ck_assert_uint_eq(r.result, REIN_PHASE_SYNC);
	ck_assert_uint_eq(r.entry, 0);
}
TEST_END

TEST(nothing_ends_before_it_begins)
{
	struct rein_bpf_off o = off();
	struct rein_trace_record r;
	o.end_ns = 900;
	rein_bpf_off_record(&o, &r);
	ck_assert_uint_eq(r.end, r.begin);
	ck_assert_uint_le(r.a, r.end);
}
TEST_END

TEST(outsiders_of_known_kinds_only)
{
	struct rein_bpf_outsider_key key = {.tgid = 44, .what = REIN_BPF_LAUNCH};
	struct rein_bpf_outsider o = {.begin_ns = 10, .end_ns = 20, .count = 6};
	struct rein_trace_record r;
	ck_assert(rein_bpf_outsider_record(&key, &o, &r));
	ck_assert_uint_eq(r.kind, REIN_TRACE_OUTSIDER);
	ck_assert_uint_eq(r.stamp, 0);
	ck_assert_uint_eq(r.thread, 44);
	ck_assert_uint_eq(r.result, REIN_OUTSIDER_LAUNCH);
	ck_assert_uint_eq(r.a, 6);
	ck_assert_uint_eq(r.begin, 10);
	ck_assert_uint_eq(r.end, 20);
	key.what = 0; /* what a cost was measured with */
	ck_assert(!rein_bpf_outsider_record(&key, &o, &r));
	key.what = REIN_BPF_EXIT + 1;
	ck_assert(!rein_bpf_outsider_record(&key, &o, &r));
}
TEST_END

TEST(a_process_is_named_once_a_segment)
{
	static struct rein_pid_names n;
	ck_assert(!rein_pid_names_news(&n, 0, "nobody"));
	ck_assert(rein_pid_names_news(&n, 7, "hog"));
	ck_assert(!rein_pid_names_news(&n, 7, "hog"));
	ck_assert(rein_pid_names_news(&n, 7, "other")); /* exec, or the PID came round */
	ck_assert(!rein_pid_names_news(&n, 7, "other"));
	ck_assert(rein_pid_names_news(&n, 7 + REIN_PID_NAMES, "far")); /* the same row */
	ck_assert(rein_pid_names_news(&n, 7, "other"));
	ck_assert(rein_pid_names_news(&n, 8, "sixteen letters!"));
	ck_assert(!rein_pid_names_news(&n, 8, "sixteen letters!"));
}
TEST_END

/* ---------------------------------------------------------------- the driver library */

static unsigned of_kind(const struct rein_driver_calls *c, uint64_t what)
{
	unsigned n = 0;
	for (unsigned i = 0; i < c->n; i++)
		n += c->what[i] == what;
	return n;
}

TEST(entry_points_of_a_driver)
{
	struct rein_driver_calls c;
	int fd = open(built("softgpu/libcuda.so.1"), O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(rein_driver_calls(fd, &c), 0);
	ck_assert_uint_eq(of_kind(&c, REIN_BPF_LAUNCH), 8);
	ck_assert_uint_ge(of_kind(&c, REIN_BPF_SYNC), 4);
	ck_assert_uint_eq(of_kind(&c, REIN_BPF_LAUNCH) + of_kind(&c, REIN_BPF_SYNC), c.n);
	ck_assert_uint_ne(c.first[0], 0);
	close(fd);
}
TEST_END

TEST(a_library_without_them)
{
	struct rein_driver_calls c;
	int fd = open(built("workloads/lc"), O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(rein_driver_calls(fd, &c), -ENOEXEC); /* it imports them */
	close(fd);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(rein_driver_calls(fd, &c), -ENOEXEC);
	close(fd);
}
TEST_END

/* Each byte of the headers turned over, and the file cut at each place: never more than a refusal.
 */
TEST(a_damaged_library)
{
	struct rein_driver_calls c;
	char path[96], *dir = strdup(temp_dir());
	static char image[1 << 16];
	snprintf(path, sizeof(path), "%s/lib", dir);
	int from = open(built("tests/preload/counter.so"), O_RDONLY | O_CLOEXEC);
	if (from < 0)
		from = open(built("softgpu/libcuda.so.1"), O_RDONLY | O_CLOEXEC);
	ssize_t n = pread(from, image, sizeof(image), 0);
	ck_assert_int_gt(n, 4096);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq(pwrite(fd, image, (size_t)n, 0), n);
	for (unsigned i = 0; i < 1024; i++) {
		char flipped = (char)~image[i];
		ck_assert_int_eq(pwrite(fd, &flipped, 1, i), 1);
		(void)!rein_driver_calls(fd, &c);
		ck_assert_uint_le(c.n, REIN_DRIVER_CALLS);
		ck_assert_int_eq(pwrite(fd, &image[i], 1, i), 1);
	}
	for (off_t len = n; len > 0; len -= 1021) {
		ck_assert_int_eq(ftruncate(fd, len), 0);
		(void)!rein_driver_calls(fd, &c);
		ck_assert_uint_le(c.n, REIN_DRIVER_CALLS);
	}
	close(fd);
	close(from);
	free(dir);
}
TEST_END

/* A /proc of our own, with one process. */
static void make_proc(const char *dir, const char *maps)
{
	char path[160];
	snprintf(path, sizeof(path), "%s/42", dir);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/42/map_files", dir);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/42/map_files/2000-3000", dir);
	ck_assert_int_eq(symlink("/dev/null", path), 0);
	snprintf(path, sizeof(path), "%s/42/maps", dir);
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs(maps, f);
	fclose(f);
}

TEST(the_library_that_a_process_runs)
{
	const char *dir = temp_dir();
	make_proc(dir, "1000-2000 r--p 00000000 08:01 77 /usr/lib/libcuda.so.1\n"
	               "1000-2000 r-xp 00000000 00:00 0 [vdso]\n"
	               "1000-2000 r-xp 00000000 08:01 78 /usr/lib/libcudart.so.13\n"
	               "2000-3000 r-xp 00001000 08:01 77 /usr/lib/libcuda.so.580.1 (deleted)\n");
	int fd = rein_driver_open(dir, 42);
	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(rein_driver_open(dir, 43), -ENOENT);
}
TEST_END

TEST(a_process_without_one)
{
	const char *dir = temp_dir();
	make_proc(dir, "1000-2000 r--p 00000000 08:01 77 /usr/lib/libcuda.so.1\n"
	               "2000-3000 r-xp 00000000 08:01 78 /usr/lib/notlibcuda.so.1\n"
	               "2000-3000 r-xp 00000000 00:00 0 /dev/zero/libcuda.so.1\n"
	               "nonsense\n\n");
	ck_assert_int_eq(rein_driver_open(dir, 42), -ENOENT);
}
TEST_END

TESTS("BPF's records", a_stretch_is_a_record, what_a_client_says_is_bounded,
      nothing_ends_before_it_begins, outsiders_of_known_kinds_only,
      a_process_is_named_once_a_segment, entry_points_of_a_driver, a_library_without_them,
      a_damaged_library, the_library_that_a_process_runs, a_process_without_one)
