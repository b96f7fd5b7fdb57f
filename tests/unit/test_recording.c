// SPDX-License-Identifier: Apache-2.0
/* The flight recorder: its files, what is wrong with them, the collector's thread, and the trace
 * that is made of them. */
#include "tests/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/ticks.h"
#include "profiler/export.h"
#include "profiler/collector.h"
#include "profiler/recorder.h"

static char dir[128];
static struct rein_recording recording;
static char err[256];
static char said[512];
static unsigned n_said;

static void say(const char *line)
{
	snprintf(said, sizeof(said), "%s", line);
	n_said++;
}

static void start(void)
{
	snprintf(dir, sizeof(dir), "%s", temp_dir());
}

static struct rein_recorder *recorder_new(void)
{
	struct rein_recorder *r = calloc(1, sizeof(*r));
	ck_assert_ptr_nonnull(r);
	rein_recorder_init(r, dir, (gid_t)-1);
	r->say = say;
	return r;
}

/* ---------------------------------------------------------------- writing cells by hand */

static bool put(struct rein_recorder *r, const void *cell)
{
	bool fresh = rein_recorder_room(r, 1, rein_now_ns());
	memcpy(rein_recorder_next(r), cell, sizeof(struct rein_trace_record));
	rein_recorder_add(r, 1);
	return fresh;
}

static void put_name(struct rein_recorder *r, uint8_t kind, uint32_t client, uint64_t key,
                     const char *name)
{
	struct rein_trace_name n = {
	    .client = client, .pid = 1000 + client, .kind = kind, .prio = 5, .key = key};
	memcpy(n.name, name, strnlen(name, sizeof(n.name)));
	put(r, &n);
}

static void put_mark(struct rein_recorder *r, uint8_t kind, uint32_t client, uint64_t ns,
                     uint64_t request)
{
	put(r, &(struct rein_trace_record){.stamp = client,
	                                   .thread = 77,
	                                   .kind = kind,
	                                   .begin = ns,
	                                   .end = ns,
	                                   .stream = UINT32_MAX,
	                                   .func = request});
}

static void put_span(struct rein_recorder *r, uint8_t kind, uint32_t client, uint64_t begin,
                     uint64_t end, uint32_t number)
{
	put(r, &(struct rein_trace_record){.stamp = client,
	                                   .thread = 77,
	                                   .kind = kind,
	                                   .entry = rein_trace_entry("cuLaunchKernel"),
	                                   .begin = begin,
	                                   .end = end,
	                                   .number = number,
	                                   .func = 0x1000,
	                                   .a = 8 | 1ull << 32 | 1ull << 48,
	                                   .b = 32ull << 32 | 1ull << 44 | 1ull << 56});
}

/* ---------------------------------------------------------------- reading */

static int count_cell(void *arg, const struct rein_trace_record *cell)
{
	++*(uint64_t *)arg;
	return 0;
}

static uint64_t cells_of(unsigned segment)
{
	uint64_t n = 0;
	ck_assert_int_eq(rein_recording_read(&recording, segment, count_cell, &n), 0);
	return n;
}

static json_t *trace_of(const struct rein_export_wish *wish, struct rein_export_result *result)
{
	char *text = NULL;
	size_t len;
	json_error_t why;
	FILE *f = open_memstream(&text, &len);
	ck_assert_int_eq(rein_export_write(f, REIN_EXPORT_CHROME, &recording, wish, result), 0);
	fclose(f);
	json_t *root = json_loads(text, 0, &why);
	ck_assert_msg(root != NULL, "%s in %.2000s", why.text, text);
	free(text);
	return root;
}

/* The n-th event of this name and phase; its reference is borrowed. NULL: there is none. */
static json_t *event_of(const json_t *root, const char *phase, const char *name, unsigned n)
{
	size_t i;
	json_t *e;
	json_array_foreach(json_object_get(root, "traceEvents"), i, e)
	{
		if (strcmp(json_string_value(json_object_get(e, "ph")), phase) == 0 &&
		    strcmp(json_string_value(json_object_get(e, "name")), name) == 0 && n-- == 0)
			return e;
	}
	return NULL;
}

static json_t *arg_of(const json_t *event, const char *key)
{
	return json_object_get(json_object_get(event, "args"), key);
}

static double number_of(const json_t *event, const char *key)
{
	return json_number_value(json_object_get(event, key));
}

/* ---------------------------------------------------------------- the files */

TEST(the_oldest_segments_give_way)
{
	struct rein_recorder *r;
	unsigned fresh = 0;
	start();
	r = recorder_new();
	r->segment_bytes = 64 * 11; /* a header and ten cells */
	r->segments = 3;
	for (unsigned i = 0; i < 45; i++)
		fresh += put(r, &(struct rein_trace_record){.kind = REIN_TRACE_IDLE, .stamp = i});
	rein_recorder_close(r, 12345);
	ck_assert_uint_eq(fresh, 5);
	ck_assert_uint_eq(r->written, 45);
	ck_assert_uint_eq(r->lost, 0);
	ck_assert_int_eq(rein_recording_open(&recording, dir, err, sizeof(err)), 0);
	ck_assert_uint_eq(recording.n, 3);
	ck_assert_uint_eq(recording.segment[0].number, 3);
	ck_assert_uint_eq(cells_of(0), 10);
	ck_assert_uint_eq(cells_of(2), 5);
	ck_assert_uint_ne(recording.segment[0].header.ended_ns, 0);
	ck_assert_uint_eq(recording.segment[2].header.ended_ns, 12345);
	ck_assert(!recording.segment[0].last && recording.segment[2].last);
	/* the next daemon goes on numbering, and keeps what the last one left */
	struct rein_recorder *next = recorder_new();
	next->segments = 3;
	put(next, &(struct rein_trace_record){.kind = REIN_TRACE_IDLE});
	rein_recorder_flush(next, 1);
	ck_assert_int_eq(rein_recording_open(&recording, dir, err, sizeof(err)), 0);
	ck_assert_uint_eq(recording.n, 3);
	ck_assert_uint_eq(recording.segment[2].number, 6);
	ck_assert_uint_eq(recording.segment[2].header.ended_ns, 0);
	rein_recorder_close(next, 2);
	free(r);
	free(next);
}
TEST_END

/* A write that ends in the middle of a cell, as a kill or a full disk may leave it. */
TEST(what_is_broken_is_passed_over)
{
	char path[200];
	struct rein_segment_header h;
	start();
	struct rein_recorder *r = recorder_new();
	for (unsigned i = 0; i < 5; i++)
		put(r, &(struct rein_trace_record){.kind = REIN_TRACE_IDLE});
	rein_recorder_flush(r, 1);
	rein_segment_path(path, sizeof(path), r->dir, 1);
	ck_assert_int_eq(truncate(path, 64 * 6 - 9), 0);
	ck_assert_int_eq(rein_recording_open(&recording, dir, err, sizeof(err)), 0);
	ck_assert_uint_eq(cells_of(0), 4);
	ck_assert_int_eq(truncate(path, 63), 0);
	ck_assert_int_eq(rein_recording_open(&recording, dir, err, sizeof(err)), -ENOENT);
	/* another format, a newer one, another boot's */
	int fd = open(path, O_RDWR);
	memset(&h, 0, sizeof(h));
	strcpy(h.magic, REIN_SEGMENT_MAGIC);
	h.major = REIN_SEGMENT_MAJOR + 1;
	ck_assert_int_eq(pwrite(fd, &h, sizeof(h), 0), sizeof(h));
	ck_assert_int_eq(rein_recording_open(&recording, dir, err, sizeof(err)), -EPROTONOSUPPORT);
	ck_assert_ptr_nonnull(strstr(err, "newer"));
	h.major = REIN_SEGMENT_MAJOR;
	h.boot[0] = 1;
	ck_assert_int_eq(pwrite(fd, &h, sizeof(h), 0), sizeof(h));
	ck_assert_int_eq(rein_recording_open(&recording, dir, err, sizeof(err)), -ENOENT);
	close(fd);
	ck_assert_uint_eq(rein_segment_number("00000012.rec"), 12);
	ck_assert_uint_eq(rein_segment_number("99999999999.rec"), 0);
	ck_assert_uint_eq(rein_segment_number("12.rec.old"), 0);
	rein_recorder_close(r, 2);
	free(r);
}
TEST_END

TEST(a_full_disk_is_said_once_and_costs_records_only)
{
	const struct rlimit small = {64 * 4 + 10, RLIM_INFINITY},
			    none = {RLIM_INFINITY, RLIM_INFINITY};
	start();
	struct rein_recorder *r = recorder_new();
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	for (unsigned i = 0; i < 5; i++)
		put(r, &(struct rein_trace_record){.kind = REIN_TRACE_IDLE});
	rein_recorder_flush(r, rein_now_ns());
	put(r, &(struct rein_trace_record){.kind = REIN_TRACE_IDLE});
	rein_recorder_flush(r, rein_now_ns());
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
	ck_assert_uint_eq(n_said, 1);
	ck_assert_ptr_nonnull(strstr(said, "cannot write to"));
	ck_assert_uint_eq(r->written + r->lost, 6);
	ck_assert_uint_eq(r->written, 3);
	ck_assert_int_eq(rein_recording_open(&recording, dir, err, sizeof(err)), 0);
	ck_assert_uint_eq(cells_of(0), 3);
	/* tried again only after a while; then it is said that it goes well */
	rein_recorder_room(r, 1, rein_now_ns());
	ck_assert_int_eq(r->fd, -1);
	ck_assert(rein_recorder_room(r, 1, rein_now_ns() + REIN_RECORDER_RETRY_NS));
	ck_assert_uint_eq(n_said, 2);
	rein_recorder_close(r, 9);
	free(r);
}
TEST_END

TEST(an_unwritable_place_is_said_once)
{
	char path[200];
	start();
	snprintf(path, sizeof(path), "%s/%s", dir, REIN_RECORDING_DIR);
	close(open(path, O_CREAT | O_WRONLY, 0600)); /* a file where the folder should be */
	struct rein_recorder *r = recorder_new();
	for (unsigned i = 0; i < 3; i++) {
		put(r, &(struct rein_trace_record){.kind = REIN_TRACE_IDLE});
		rein_recorder_flush(r, rein_now_ns());
	}
	ck_assert_uint_eq(n_said, 1);
	ck_assert_ptr_nonnull(strstr(said, "scheduling goes on"));
	ck_assert_uint_eq(r->lost, 3);
	ck_assert_int_lt(rein_recording_open(&recording, dir, err, sizeof(err)), 0);
	free(r);
}
TEST_END

/* ---------------------------------------------------------------- the trace */

TEST(a_recording_becomes_a_trace)
{
	const uint32_t grid[3] = {8, 1, 1}, block[3] = {32, 1, 1};
	struct rein_export_wish wish = {0};
	struct rein_export_result result;
	start();
	struct rein_recorder *r = recorder_new();
	put_name(r, REIN_TRACE_CLIENT, 1, 0, "a \"name\"\\\n");
	put_name(r, REIN_TRACE_CLIENT, 2, 0, "this name takes all of its forty bytes, see");
	put_mark(r, REIN_TRACE_IDLE, 2, 9000, 0); /* read first, though it came second */
	put_mark(r, REIN_TRACE_ACTIVE, 2, 4000, 0);
	put_span(r, REIN_TRACE_SUBMIT, 2, 5000, 6500, 1);
	put_span(r, REIN_TRACE_GATE, 2, 4100, 4900, 1);
	put_mark(r, REIN_TRACE_REQUEST_BEGIN, 1, 1000, 0xabc);
	put_mark(r, REIN_TRACE_REQUEST_END, 1, 3000, 0xabc);
	put_mark(r, REIN_TRACE_REQUEST_BEGIN, 1, 5000, 0xdef); /* cut by its process' end */
	put_mark(r, REIN_TRACE_LEFT, 1, 8000, 0);
	put_name(r, REIN_TRACE_KERNEL, 2, rein_kmodel_key(0x1000, grid, block, 0), "my_kernel");
	rein_recorder_close(r, 10000);
	ck_assert_int_eq(rein_recording_open(&recording, dir, err, sizeof(err)), 0);
	json_t *root = trace_of(&wish, &result);
	const json_t *e = event_of(root, "M", "process_name", 0);
	ck_assert_str_eq(json_string_value(arg_of(e, "name")), "a \"name\"\\?");
	e = event_of(root, "M", "process_name", 1);
	ck_assert_uint_eq(strlen(json_string_value(arg_of(e, "name"))), 40);
	e = event_of(root, "X", "active", 0);
	ck_assert(number_of(e, "ts") == 4 && number_of(e, "dur") == 5 && !arg_of(e, "cut"));
	e = event_of(root, "X", "my_kernel", 0);
	ck_assert(number_of(e, "ts") == 5 && number_of(e, "dur") == 1.5);
	ck_assert_int_eq((int)number_of(e, "pid"), 1002);
	ck_assert_int_eq((int)number_of(e, "tid"), 77);
	e = event_of(root, "X", "gate closed", 0);
	ck_assert_str_eq(json_string_value(arg_of(e, "holder")), "a \"name\"\\?");
	ck_assert_ptr_nonnull(event_of(root, "b", "request", 1));
	e = event_of(root, "e", "request", 1);
	ck_assert(number_of(e, "ts") == 8);
	ck_assert_ptr_nonnull(strstr(json_string_value(arg_of(e, "cut")), "process ended"));
	ck_assert_ptr_null(event_of(root, "i", "the recording was cut here", 0));
	ck_assert_uint_eq(result.cuts, 0);
	json_decref(root);
	/* only what ended in the last 2 µs before the newest record */
	wish.last_ns = 2000;
	root = trace_of(&wish, &result);
	ck_assert_ptr_null(event_of(root, "X", "gate closed", 0));
	ck_assert_ptr_null(event_of(root, "X", "my_kernel", 0));
	ck_assert_ptr_nonnull(event_of(root, "X", "active", 0));
	ck_assert_ptr_nonnull(event_of(root, "i", "its process ended", 0));
	json_decref(root);
	free(r);
}
TEST_END

TEST(a_cut_is_marked)
{
	struct rein_export_wish wish = {0};
	struct rein_export_result result;
	start();
	struct rein_recorder *r = recorder_new();
	put_name(r, REIN_TRACE_CLIENT, 1, 0, "one");
	put_mark(r, REIN_TRACE_ACTIVE, 1, 4000, 0);
	put(r, &(struct rein_trace_record){
		   .stamp = 1, .kind = REIN_TRACE_LOST, .begin = 5000, .end = 6000, .a = 99});
	rein_recorder_flush(r, 7000); /* and is never closed */
	ck_assert_int_eq(rein_recording_open(&recording, dir, err, sizeof(err)), 0);
	json_t *root = trace_of(&wish, &result);
	ck_assert_uint_eq(result.cuts, 1);
	ck_assert_uint_eq(result.lost, 99);
	ck_assert_ptr_nonnull(event_of(root, "i", "99 events lost", 0));
	ck_assert(number_of(event_of(root, "i", "the recording was cut here", 0), "ts") == 6);
	const json_t *e = event_of(root, "X", "active", 0);
	ck_assert(number_of(e, "dur") == 2);
	ck_assert_ptr_nonnull(strstr(json_string_value(arg_of(e, "cut")), "recording was cut"));
	json_decref(root);
	wish.alive = true; /* its daemon goes on writing it */
	json_decref(trace_of(&wish, &result));
	ck_assert_uint_eq(result.cuts, 0);
	rein_recorder_close(r, 8000);
	free(r);
}
TEST_END

/* ---------------------------------------------------------------- the collector */

static struct rein_ring_area *rings;
static int rings_fd, status_fd;

static void make_client(void)
{
	rings_fd = memfd_create("rings", MFD_CLOEXEC);
	status_fd = memfd_create("status", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(rings_fd, (off_t)REIN_RING_AREA_BYTES), 0);
	ck_assert_int_eq(ftruncate(status_fd, REIN_AREA_ALIGN), 0);
	rings = mmap(NULL, sizeof(*rings), PROT_READ | PROT_WRITE, MAP_SHARED, rings_fd, 0);
	ck_assert_ptr_ne(rings, MAP_FAILED);
}

static void write_records(unsigned n, uint64_t begin, uint64_t end, unsigned flags)
{
	const uint64_t word[8] = {55, REIN_TRACE_SUBMIT | flags << 8, begin, end, 0, 0, 0, 0};
	for (unsigned i = 0; i < n; i++)
		rein_ring_put(rings, 3, word);
}

static struct rein_source *join(struct rein_collector *c, uint32_t id)
{
	const struct rein_source_info info = {.id = id,
	                                      .pid = 4000,
	                                      .name = "collected",
	                                      .class_name = "batch",
	                                      .rings_fd = rings_fd,
	                                      .status_fd = status_fd};
	struct rein_source *s = rein_collector_join(c, &info);
	ck_assert_ptr_nonnull(s);
	return s;
}

static struct {
	unsigned n[REIN_TRACE_KINDS];
	uint64_t lost, begin_min, end_max;
} seen;

static int see(void *arg, const struct rein_trace_record *r)
{
	if (r->kind < REIN_TRACE_KINDS)
		seen.n[r->kind]++;
	if (r->kind == REIN_TRACE_LOST)
		seen.lost += r->a;
	if (r->kind != REIN_TRACE_SUBMIT)
		return 0;
	ck_assert_uint_eq(r->stamp, 9);
	ck_assert_uint_eq(r->flags & REIN_TRACE_TICKS, 0);
	seen.end_max = r->end > seen.end_max ? r->end : seen.end_max;
	seen.begin_min = !seen.begin_min || r->begin < seen.begin_min ? r->begin : seen.begin_min;
	return 0;
}

static void see_all(void)
{
	memset(&seen, 0, sizeof(seen));
	ck_assert_int_eq(rein_recording_open(&recording, dir, err, sizeof(err)), 0);
	for (unsigned i = 0; i < recording.n; i++)
		ck_assert_int_eq(rein_recording_read(&recording, i, see, NULL), 0);
}

TEST(the_collector_records_while_it_is_on)
{
	struct rein_collector *c;
	struct rein_collector_stats stats;
	uint64_t now_ns = rein_now_ns();
	start();
	make_client();
	ck_assert_int_eq(rein_collector_start(&c, dir, (gid_t)-1, say), 0);
	struct rein_source *s = join(c, 9);
	rein_collector_stats(c, &stats);
	ck_assert(!stats.recording);
	ck_assert_int_eq(rein_recording_open(&recording, dir, err, sizeof(err)), -ENOENT);
	rein_collector_record(c, true);
	write_records(100, now_ns, now_ns + 5, 0);
	write_records(REIN_RING_CELLS, now_ns, now_ns + 5, 0);
	rein_collector_sync(c);
	rein_collector_stats(c, &stats);
	ck_assert(stats.recording && !stats.failing);
	see_all();
	ck_assert_uint_eq(seen.n[REIN_TRACE_CLIENT], 1);
	ck_assert_uint_eq(seen.n[REIN_TRACE_CLASS], 1);
	ck_assert_uint_eq(seen.n[REIN_TRACE_SUBMIT] + seen.lost, 100 + REIN_RING_CELLS);
	ck_assert_uint_eq(stats.lost, seen.lost);
	/* another class, and a process without the shim */
	const struct rein_bystanders there = {.n = 1, .process[0] = {.pid = 1, .comm = "init"}};
	rein_collector_reclass(c, s, "other");
	rein_collector_seen(c, &there, rein_now_ns());
	rein_collector_sync(c);
	see_all();
	ck_assert_uint_eq(seen.n[REIN_TRACE_CLASS], 2);
	ck_assert_uint_eq(seen.n[REIN_TRACE_OUTSIDER], 1);
	ck_assert_uint_eq(seen.n[REIN_TRACE_PROCESS], 1);
	ck_assert(recording.segment[0].header.sees & REIN_SEES_OPEN);
	/* what it wrote last is there although it has gone */
	write_records(10, now_ns, now_ns + 5, 0);
	rein_collector_leave(c, s);
	rein_collector_record(c, false);
	see_all();
	ck_assert_uint_eq(seen.n[REIN_TRACE_SUBMIT] + seen.lost, 110 + REIN_RING_CELLS);
	ck_assert_uint_eq(seen.n[REIN_TRACE_LEFT], 1);
	ck_assert_uint_ne(recording.segment[0].header.ended_ns, 0);
	rein_collector_stop(c);
	ck_assert_uint_eq(n_said, 0);
}
TEST_END

TEST(times_are_converted_and_bounded)
{
	struct rein_collector *c;
	start();
	make_client();
	ck_assert_int_eq(rein_collector_start(&c, dir, (gid_t)-1, say), 0);
	struct rein_source *s = join(c, 9);
	rein_collector_record(c, true);
	uint64_t before = rein_now_ns();
	write_records(1, rein_ticks(), rein_ticks(), rein_ticks_invariant() ? REIN_TRACE_TICKS : 0);
	rein_collector_sync(c);
	see_all();
	uint64_t after = rein_now_ns();
	ck_assert_uint_eq(seen.n[REIN_TRACE_SUBMIT], 1);
	ck_assert_uint_ge(seen.begin_min + 100 * REIN_US, before); /* two clocks, read apart */
	ck_assert_uint_le(seen.end_max, after);
	/* the future, a span of years, an end before its begin */
	write_records(1, UINT64_MAX - 5, UINT64_MAX, 0);
	write_records(1, 1, after, 0);
	write_records(1, after, before, 0);
	write_records(1, UINT64_MAX / 2, UINT64_MAX / 3, REIN_TRACE_TICKS);
	rein_collector_leave(c, s);
	rein_collector_stop(c);
	see_all();
	ck_assert_uint_eq(seen.n[REIN_TRACE_SUBMIT], 5);
	ck_assert_uint_le(seen.end_max, rein_now_ns());
}
TEST_END

TESTS("recordings", the_oldest_segments_give_way, what_is_broken_is_passed_over,
      a_full_disk_is_said_once_and_costs_records_only, an_unwritable_place_is_said_once,
      a_recording_becomes_a_trace, a_cut_is_marked, the_collector_records_while_it_is_on,
      times_are_converted_and_bounded)
