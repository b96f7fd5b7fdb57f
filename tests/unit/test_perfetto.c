// SPDX-License-Identifier: Apache-2.0
/*
 * Traces for Perfetto: what is written by hand is decoded by protoc with the schema's own field
 * numbers (perfetto.proto), and held against what a trace must be (perfetto_check.py).
 */
#include "tests/harness.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <sys/resource.h>

#include "common/clock.h"
#include "common/doing.h"
#include "profiler/export.h"
#include "profiler/recorder.h"

#define LC 1u
#define BE 2u
#define LC_PID 1001u
#define BE_PID 1002u

static char dir[128];
static struct rein_recorder *recorder;
static struct rein_recording recording;
static struct rein_export_result result;

static void put(const void *cell)
{
	rein_recorder_room(recorder, 1, rein_now_ns());
	memcpy(rein_recorder_next(recorder), cell, sizeof(struct rein_trace_record));
	rein_recorder_add(recorder, 1);
}

static void put_name(uint8_t kind, uint32_t client, uint32_t pid, uint64_t key, const char *name)
{
	struct rein_trace_name n = {
	    .client = client, .pid = pid, .kind = kind, .prio = 50, .key = key};
	memcpy(n.name, name, strnlen(name, sizeof(n.name)));
	put(&n);
}

static struct rein_trace_record record(uint8_t kind, uint32_t client, uint64_t begin, uint64_t end)
{
	return (struct rein_trace_record){.stamp = client,
	                                  .thread = client + 70,
	                                  .kind = kind,
	                                  .begin = begin,
	                                  .end = end,
	                                  .stream = UINT32_MAX};
}

static void put_mark(uint8_t kind, uint32_t client, uint64_t ns, uint64_t request)
{
	struct rein_trace_record r = record(kind, client, ns, ns);
	r.func = request;
	put(&r);
}

static void put_call(uint8_t kind, uint32_t client, uint64_t begin, uint64_t end, uint32_t number)
{
	struct rein_trace_record r = record(kind, client, begin, end);
	r.entry =
	    rein_trace_entry(kind == REIN_TRACE_SUBMIT ? "cuLaunchKernel" : "cuStreamSynchronize");
	r.stream = 3;
	r.number = number;
	put(&r);
}

static void put_wait(uint32_t client, uint64_t begin, uint64_t end, uint32_t holder)
{
	struct rein_trace_record r = record(REIN_TRACE_GATE, client, begin, end);
	r.number = holder;
	put(&r);
}

static void put_gpu(uint32_t client, uint8_t what, uint64_t begin, uint64_t end, uint32_t number)
{
	struct rein_trace_record r = record(REIN_TRACE_GPU, client, begin, end);
	r.result = what | (what == REIN_GPU_COPY ? 1 << 8 : 0);
	r.stream = 3;
	r.number = number;
	r.b = 7ull << 32 | number;
	put(&r);
}

static void start(void)
{
	snprintf(dir, sizeof(dir), "%s", temp_dir());
	recorder = calloc(1, sizeof(*recorder));
	ck_assert_ptr_nonnull(recorder);
	rein_recorder_init(recorder, dir, (gid_t)-1);
	put_name(REIN_TRACE_CLIENT, LC, LC_PID, 0, "lc");
	put_name(REIN_TRACE_CLIENT, BE, BE_PID, 0, "be \"<b>\\");
}

static int write_trace(const char *path, enum rein_export_format format,
                       const struct rein_export_wish *wish)
{
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	int err = rein_export_write(f, format, &recording, wish, &result);
	return fclose(f) != 0 && !err ? -EIO : err;
}

/* The trace, decoded and checked. */
static json_t *trace(const struct rein_export_wish *wish)
{
	static const struct rein_export_wish all;
	static char out[1 << 20];
	char path[200], err[256];
	json_error_t why;
	rein_recorder_flush(recorder, rein_now_ns());
	ck_assert_int_eq(rein_recording_open(&recording, dir, err, sizeof(err)), 0);
	snprintf(path, sizeof(path), "%s/trace", dir);
	ck_assert_int_eq(write_trace(path, REIN_EXPORT_PERFETTO, wish ? wish : &all), 0);
	char *argv[] = {(char *)"python3", (char *)"tests/unit/perfetto_check.py", path, NULL};
	int status = proc_run(argv, NULL, out, sizeof(out), 60000);
	ck_assert_msg(status == 0, "%s", out);
	json_t *root = json_loads(out, 0, &why);
	ck_assert_msg(root != NULL, "%s in %.500s", why.text, out);
	return root;
}

static const char *text_of(const json_t *e, const char *key)
{
	const char *s = json_string_value(json_object_get(e, key));
	return s ? s : "";
}

static long long number_of(const json_t *e, const char *key)
{
	return json_integer_value(json_object_get(e, key));
}

/* The n-th of this track and name in `list`; NULL: there is none. Either may be "": any. */
static json_t *find(const json_t *root, const char *list, const char *track, const char *name,
                    unsigned n)
{
	size_t i;
	json_t *e;
	json_array_foreach(json_object_get(root, list), i, e)
	{
		if ((!*track || strcmp(text_of(e, "track"), track) == 0) &&
		    (!*name || strcmp(text_of(e, "name"), name) == 0) && n-- == 0)
			return e;
	}
	return NULL;
}

static const json_t *slice(const json_t *root, const char *track, const char *name, unsigned n)
{
	const json_t *e = find(root, "slices", track, name, n);
	ck_assert_msg(e != NULL, "no slice %s on %s in %s", name, track,
	              json_dumps(root, JSON_INDENT(1)));
	return e;
}

static void expect_span(const json_t *e, long long begin, long long end)
{
	ck_assert_int_eq(number_of(e, "begin"), begin);
	ck_assert_int_eq(number_of(e, "end"), end);
}

static const json_t *args(const json_t *e)
{
	return json_object_get(e, "args");
}

/* ---------------------------------------------------------------- tracks and flows */

TEST(calls_and_waits_stand_on_threads_and_flow)
{
	start();
	put_mark(REIN_TRACE_ACTIVE, LC, 4000, 0);
	put_call(REIN_TRACE_SUBMIT, LC, 5000, 6000, 1);
	put_call(REIN_TRACE_SUBMIT, LC, 6000, 7000, 2);
	put_wait(BE, 6500, 20000, LC);
	put_gpu(LC, REIN_GPU_KERNEL, 9000, 12000, 1); /* CUPTI's come late, and in disorder */
	put_call(REIN_TRACE_SYNC, LC, 8000, 18000, 2);
	put_gpu(LC, REIN_GPU_KERNEL, 12000, 17000, 2);
	put_mark(REIN_TRACE_IDLE, LC, 18000, 0);
	put_call(REIN_TRACE_SUBMIT, BE, 20000, 21000, 1); /* nobody waits for it: no flow */
	json_t *root = trace(NULL);
	expect_span(slice(root, "lc 1001/active", "active", 0), 4000, 18000);
	expect_span(slice(root, "lc 1001/thread 71", "cuLaunchKernel", 1), 6000, 7000);
	expect_span(slice(root, "lc 1001/thread 71", "cuStreamSynchronize", 0), 8000, 18000);
	const json_t *wait = slice(root, "be \"<b>\\ 1002/thread 72", "gate closed", 0);
	expect_span(wait, 6500, 20000);
	ck_assert_str_eq(text_of(args(wait), "holder"), "lc");
	ck_assert_int_eq(number_of(args(wait), "holder_pid"), LC_PID);
	expect_span(slice(root, "GPU 0/lc, stream 7", "kernel", 1), 12000, 17000);
	expect_span(slice(root, "GPU 0/owner", "lc", 0), 9000, 12000);
	expect_span(slice(root, "gate/waiting for lc", "be \"<b>\\", 0), 6500, 20000);
	ck_assert_ptr_nonnull(find(root, "instants", "lc 1001/holds", "be \"<b>\\ waits", 0));
	/* launch 1 → kernel 1; launch 2 → kernel 2 → sync; holder → wait */
	const json_t *flows = json_object_get(root, "flows");
	size_t hops = 0, i;
	json_t *flow;
	json_array_foreach(flows, i, flow) hops += json_array_size(flow);
	ck_assert_uint_eq(json_array_size(flows), 3);
	ck_assert_uint_eq(hops, 7);
	ck_assert_str_eq(json_string_value(json_array_get(
			     json_object_get(json_object_get(root, "labels"), "lc 1001"), 0)),
	                 "priority 50");
	json_decref(root);
}
TEST_END

TEST(two_at_once_share_the_owner_track)
{
	start();
	put_gpu(LC, REIN_GPU_KERNEL, 1000, 5000, 1);
	put_gpu(BE, REIN_GPU_KERNEL, 3000, 9000, 1);
	put_gpu(BE, REIN_GPU_COPY, 3000, 4000, 2);
	put_gpu(LC, REIN_GPU_KERNEL, 9000, 9500, 2);
	json_t *root = trace(NULL);
	expect_span(slice(root, "GPU 0/owner", "lc", 0), 1000, 3000);
	expect_span(slice(root, "GPU 0/owner", "lc + be \"<b>\\", 0), 3000, 5000);
	expect_span(slice(root, "GPU 0/owner", "be \"<b>\\", 0), 5000, 9000);
	expect_span(slice(root, "GPU 0/owner", "lc", 1), 9000, 9500);
	expect_span(slice(root, "GPU 0/be \"<b>\\, copies to the GPU", "copy", 0), 3000, 4000);
	json_decref(root);
}
TEST_END

TEST(long_names_are_written_whole)
{
	char name[41], all[160] = "";
	start();
	for (uint32_t i = 0; i < 4; i++) {
		memset(name, (int)('a' + i), 40);
		name[40] = 0;
		put_name(REIN_TRACE_CLIENT, 10 + i, 2000 + i, 0, name);
		put_gpu(10 + i, REIN_GPU_KERNEL, 1000, 5000, 1);
		if (i < 3)
			snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s",
			         i ? " + " : "", name);
	}
	strcat(all, " + 1 more");
	json_t *root = trace(NULL);
	expect_span(slice(root, "GPU 0/owner", all, 0), 1000, 5000);
	json_decref(root);
}
TEST_END

/* ---------------------------------------------------------------- nesting */

TEST(what_would_cross_goes_to_another_track)
{
	start();
	put_mark(REIN_TRACE_REQUEST_BEGIN, LC, 1000, 11);
	put_mark(REIN_TRACE_REQUEST_BEGIN, LC, 2000, 12);
	put_mark(REIN_TRACE_REQUEST_END, LC, 9000, 11);
	put_mark(REIN_TRACE_REQUEST_END, LC, 15000, 12);
	/* the same on a thread: a second call begins in the middle of the first, and outlasts it */
	put_call(REIN_TRACE_SUBMIT, LC, 100000, 200000, 1);
	put_call(REIN_TRACE_SUBMIT, LC, 150000, 250000, 2);
	put_call(REIN_TRACE_SUBMIT, LC, 160000, 170000, 3); /* within both */
	json_t *root = trace(NULL);
	expect_span(slice(root, "lc 1001/requests", "request", 0), 1000, 9000);
	expect_span(slice(root, "lc 1001/requests (2)", "request", 0), 2000, 15000);
	expect_span(slice(root, "lc 1001/thread 71/thread (2)", "cuLaunchKernel", 0), 150000,
	            250000);
	const json_t *inner = slice(root, "lc 1001/thread 71", "cuLaunchKernel", 0);
	expect_span(inner, 160000, 170000);
	ck_assert_int_eq(number_of(inner, "depth"), 1);
	ck_assert_uint_eq(result.clock_ns, 0);
	json_decref(root);
}
TEST_END

TEST(what_crosses_by_the_clocks_error_gives_way)
{
	start();
	put_call(REIN_TRACE_SUBMIT, LC, 10000, 20000, 1);
	put_call(REIN_TRACE_SUBMIT, LC, 19000, 30000, 2); /* begins 1 µs too early */
	put_call(REIN_TRACE_SYNC, LC, 40000, 50000, 2);
	struct rein_trace_record r = record(REIN_TRACE_OFFCPU, LC, 41000, 51500);
	put(&r); /* ends 1.5 µs too late */
	json_t *root = trace(NULL);
	expect_span(slice(root, "lc 1001/thread 71", "cuLaunchKernel", 1), 20000, 30000);
	expect_span(slice(root, "lc 1001/thread 71", "preempted", 0), 41000, 50000);
	ck_assert_uint_eq(result.clock_ns, 1500);
	const json_t *end = find(root, "instants", "recorder", "the recording ends", 0);
	ck_assert_int_eq(number_of(args(end), "clock_error_ns"), 1500);
	json_decref(root);
}
TEST_END

TEST(what_begins_or_ends_at_once_still_nests)
{
	start();
	put_call(REIN_TRACE_SYNC, LC, 1000, 9000, 1);
	struct rein_trace_record r = record(REIN_TRACE_OFFCPU, LC, 1000, 9000);
	r.a = 8000;
	r.b = BE_PID | (uint64_t)4711 << 32;
	r.number = 72;
	r.result = REIN_PHASE_SYNC;
	put(&r);
	put_name(REIN_TRACE_PROCESS, 0, 4711, 0, "hog");
	put_call(REIN_TRACE_SUBMIT, LC, 9000, 9000, 2); /* no time at all */
	put_call(REIN_TRACE_SUBMIT, LC, 9000, 9000, 3);
	put_call(REIN_TRACE_SUBMIT, LC, 9000, 9500, 4);
	json_t *root = trace(NULL);
	const json_t *blocked = slice(root, "lc 1001/thread 71", "blocked", 0);
	expect_span(blocked, 1000, 8000);
	ck_assert_int_eq(number_of(blocked, "depth"), 1);
	ck_assert_str_eq(text_of(args(blocked), "woken_by"), "be \"<b>\\");
	ck_assert_str_eq(text_of(args(blocked), "during"), "sync");
	const json_t *queued = slice(root, "lc 1001/thread 71", "run queue", 0);
	expect_span(queued, 8000, 9000);
	ck_assert_str_eq(text_of(args(queued), "had_cpu"), "hog");
	const json_t *last = slice(root, "lc 1001/thread 71", "cuLaunchKernel", 2);
	expect_span(last, 9000, 9500);
	ck_assert_int_eq(number_of(last, "depth"), 0);
	json_decref(root);
}
TEST_END

/* ---------------------------------------------------------------- counters, cuts, losses */

static long long value_at(const json_t *root, const char *track, long long ns)
{
	const json_t *series = json_object_get(json_object_get(root, "counters"), track);
	long long value = -1;
	size_t i;
	json_t *point;
	json_array_foreach(series, i, point)
	{
		if (json_integer_value(json_array_get(point, 0)) <= ns)
			value = json_integer_value(json_array_get(point, 1));
	}
	return value;
}

TEST(counters_count)
{
	const uint64_t ms = 1000000;
	start();
	put_call(REIN_TRACE_SUBMIT, LC, 1 * ms, 1 * ms + 10, 1);
	put_call(REIN_TRACE_SUBMIT, LC, 2 * ms, 2 * ms + 10, 2);
	put_call(REIN_TRACE_SUBMIT, LC, 2 * ms + 20, 2 * ms + 30, 3); /* too soon: written later */
	put_call(REIN_TRACE_SYNC, LC, 3 * ms, 4 * ms, 2);
	put_wait(BE, 5 * ms, 7 * ms, LC);
	put_wait(BE, 6 * ms, 8 * ms, LC);
	put_mark(REIN_TRACE_IDLE, LC, 9 * ms, 0);
	struct rein_trace_record lost = record(REIN_TRACE_LOST, BE, 9 * ms, 9 * ms);
	lost.a = 99;
	put(&lost);
	json_t *root = trace(NULL);
	const char *unfinished = "lc 1001/unfinished submissions";
	ck_assert_int_eq(value_at(root, unfinished, 1 * ms), 1);
	ck_assert_int_eq(value_at(root, unfinished, 2 * ms + 50), 2);
	ck_assert_int_eq(value_at(root, unfinished, 3 * ms), 3);
	ck_assert_int_eq(value_at(root, unfinished, 4 * ms), 1);
	ck_assert_int_eq(value_at(root, unfinished, 9 * ms), 0);
	ck_assert_int_eq(value_at(root, "gate/threads waiting", 5 * ms), 1);
	ck_assert_int_eq(value_at(root, "gate/threads waiting", 6 * ms), 2);
	ck_assert_int_eq(value_at(root, "gate/threads waiting", 8 * ms), 0);
	ck_assert_int_eq(value_at(root, "be \"<b>\\ 1002/lost records", 9 * ms), 99);
	ck_assert_uint_eq(result.lost, 99);
	json_decref(root);
}
TEST_END

TEST(what_was_submitted_before_idleness_is_done)
{
	const uint64_t ms = 1000000;
	start();
	put_call(REIN_TRACE_SUBMIT, LC, 1 * ms, 1 * ms + 10, 1);
	put_call(REIN_TRACE_SUBMIT, LC, 2 * ms, 2 * ms + 10, 2);
	put_mark(REIN_TRACE_IDLE, LC, 3 * ms, 0);
	put_call(REIN_TRACE_SUBMIT, LC, 4 * ms, 4 * ms + 10, 3);
	put_call(REIN_TRACE_SUBMIT, LC, 5 * ms, 5 * ms + 10, 4);
	put_call(REIN_TRACE_SYNC, LC, 6 * ms, 7 * ms, 3);
	json_t *root = trace(NULL);
	const char *unfinished = "lc 1001/unfinished submissions";
	ck_assert_int_eq(value_at(root, unfinished, 3 * ms), 0);
	ck_assert_int_eq(value_at(root, unfinished, 5 * ms), 2);
	ck_assert_int_eq(value_at(root, unfinished, 7 * ms), 1);
	json_decref(root);
}
TEST_END

TEST(cuts_are_marked)
{
	start();
	put_mark(REIN_TRACE_ACTIVE, LC, 4000, 0);
	put_mark(REIN_TRACE_REQUEST_BEGIN, BE, 4500, 7);
	put_call(REIN_TRACE_SUBMIT, LC, 5000, 6000, 1);
	json_t *root = trace(NULL); /* its recorder has not closed it */
	const json_t *cut = slice(root, "lc 1001/active", "active", 0);
	expect_span(cut, 4000, 6000);
	ck_assert_str_eq(text_of(args(cut), "cut"), "the recording was cut");
	cut = slice(root, "be \"<b>\\ 1002/requests", "request", 0);
	ck_assert_str_eq(text_of(args(cut), "cut"), "the recording was cut");
	ck_assert_int_eq(
	    number_of(find(root, "instants", "recorder", "the recording was cut here", 0), "ts"),
	    6000);
	ck_assert_uint_eq(result.cuts, 1);
	json_decref(root);
}
TEST_END

/* ---------------------------------------------------------------- filters */

TEST(one_process_and_whoever_made_it_wait)
{
	const uint32_t pid = BE_PID;
	const struct rein_export_wish wish = {.pids = &pid, .n_pids = 1};
	start();
	put_call(REIN_TRACE_SUBMIT, LC, 5000, 6000, 1);
	put_call(REIN_TRACE_SYNC, LC, 6000, 7000, 1);
	put_wait(BE, 5500, 9000, LC);
	put_call(REIN_TRACE_SUBMIT, BE, 9000, 9500, 1);
	json_t *root = trace(&wish);
	ck_assert_ptr_null(find(root, "slices", "lc 1001/thread 71", "", 0));
	ck_assert_ptr_nonnull(find(root, "instants", "lc 1001/holds", "", 0));
	slice(root, "be \"<b>\\ 1002/thread 72", "cuLaunchKernel", 0);
	slice(root, "gate/waiting for lc", "be \"<b>\\", 0);
	ck_assert_uint_eq(result.clients, 1);
	json_decref(root);
}
TEST_END

TEST(the_last_moments_only)
{
	const struct rein_export_wish wish = {.last_ns = 3000};
	start();
	put_mark(REIN_TRACE_ACTIVE, LC, 1000, 0);
	put_call(REIN_TRACE_SUBMIT, LC, 2000, 3000, 1); /* too early; so its flow is none */
	put_call(REIN_TRACE_SUBMIT, LC, 6500, 7500, 2); /* ends in it */
	put_call(REIN_TRACE_SYNC, LC, 8000, 10000, 1);
	json_t *root = trace(&wish);
	ck_assert_uint_eq(json_array_size(json_object_get(root, "flows")), 0);
	slice(root, "lc 1001/thread 71", "cuLaunchKernel", 0);
	ck_assert_ptr_null(find(root, "slices", "lc 1001/thread 71", "cuLaunchKernel", 1));
	expect_span(slice(root, "lc 1001/active", "active", 0), 1000,
	            10000); /* known from before */
	json_decref(root);
}
TEST_END

/* ---------------------------------------------------------------- other formats, and limits */

static char *csv(void)
{
	char *text = NULL;
	size_t len;
	const struct rein_export_wish all = {0};
	char err[256];
	rein_recorder_flush(recorder, rein_now_ns());
	ck_assert_int_eq(rein_recording_open(&recording, dir, err, sizeof(err)), 0);
	FILE *f = open_memstream(&text, &len);
	ck_assert_int_eq(rein_export_write(f, REIN_EXPORT_CSV, &recording, &all, &result), 0);
	fclose(f);
	return text;
}

TEST(rows_are_quoted)
{
	start();
	put_wait(BE, 5500, 9000, LC);
	char *text = csv();
	ck_assert_ptr_nonnull(strstr(text, "what,begin_ns,end_ns,pid,process,"));
	const char *row =
	    strstr(text, "slice,5500,9000,1002,\"be \"\"<b>\\\",72,\"thread\",\"gate\","
	                 "\"gate closed\",,");
	ck_assert_msg(row && strstr(row, "lapsed=0;holder=lc;holder_pid=1001\""), "%s", text);
	free(text);
}
TEST_END

TEST(a_full_disk_is_an_error)
{
	const struct rlimit small = {4096, RLIM_INFINITY}, none = {RLIM_INFINITY, RLIM_INFINITY};
	const struct rein_export_wish all = {0};
	char path[200], err[256];
	start();
	for (unsigned i = 0; i < 20000; i++)
		put_call(REIN_TRACE_SUBMIT, LC, 5000 + i * 100, 5050 + i * 100, i);
	rein_recorder_flush(recorder, rein_now_ns());
	ck_assert_int_eq(rein_recording_open(&recording, dir, err, sizeof(err)), 0);
	snprintf(path, sizeof(path), "%s/trace", dir);
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	int status = write_trace(path, REIN_EXPORT_PERFETTO, &all);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
	ck_assert_int_eq(status, -EIO);
}
TEST_END

TESTS("Perfetto traces", calls_and_waits_stand_on_threads_and_flow,
      two_at_once_share_the_owner_track, long_names_are_written_whole,
      what_would_cross_goes_to_another_track, what_crosses_by_the_clocks_error_gives_way,
      what_begins_or_ends_at_once_still_nests, counters_count,
      what_was_submitted_before_idleness_is_done, cuts_are_marked,
      one_process_and_whoever_made_it_wait, the_last_moments_only, rows_are_quoted,
      a_full_disk_is_an_error)
