// SPDX-License-Identifier: Apache-2.0
/* A recording in the order in which its records began, whatever order the daemon found them in. */
#include "tests/harness.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "profiler/names.h"
#include "profiler/recorder.h"
#include "profiler/sorted.h"

static struct rein_recorder *recorder;
static struct rein_recording recording;
static char dir[128];

static void start(uint32_t segment_bytes)
{
	snprintf(dir, sizeof(dir), "%s", temp_dir());
	recorder = calloc(1, sizeof(*recorder));
	ck_assert_ptr_nonnull(recorder);
	rein_recorder_init(recorder, dir, (gid_t)-1);
	recorder->segment_bytes = segment_bytes;
	recorder->segments = REIN_SORTED_EPOCHS;
}

static void put(const void *cell)
{
	rein_recorder_room(recorder, 1, 1);
	memcpy(rein_recorder_next(recorder), cell, sizeof(struct rein_trace_record));
	rein_recorder_add(recorder, 1);
}

static void put_span(uint32_t client, uint64_t begin, uint64_t end)
{
	put(&(struct rein_trace_record){
	    .stamp = client, .kind = REIN_TRACE_SYNC, .begin = begin, .end = end});
}

static void finish(void)
{
	char err[256];
	rein_recorder_close(recorder, 2);
	free(recorder);
	ck_assert_int_eq(rein_recording_open(&recording, dir, err, sizeof(err)), 0);
}

static struct {
	uint64_t n, looked, begin, end, first_client;
} seen;

static int look(void *arg, unsigned epoch, const struct rein_trace_record *r)
{
	seen.looked++;
	return 0;
}

static int see(void *arg, unsigned epoch, const struct rein_trace_record *r)
{
	ck_assert_uint_ge(r->begin, seen.begin);
	if (r->begin == seen.begin && seen.n)
		ck_assert_uint_le(r->end, seen.end);
	if (!seen.n++)
		seen.first_client = r->stamp;
	seen.begin = r->begin;
	seen.end = r->end;
	return 0;
}

static void read_all(uint64_t wanted)
{
	struct rein_sorted *s;
	memset(&seen, 0, sizeof(seen));
	ck_assert_int_eq(rein_sorted_open(&s, &recording, look, NULL), 0);
	ck_assert_uint_eq(rein_sorted_count(s), wanted);
	for (unsigned i = 0; i < 2; i++) { /* as often as wanted */
		seen.n = seen.begin = 0;
		ck_assert_int_eq(rein_sorted_read(s, see, NULL), 0);
		ck_assert_uint_eq(seen.n, wanted);
	}
	rein_sorted_free(s);
}

TEST(records_come_in_order)
{
	uint64_t seed = 1;
	const unsigned n = 3 * REIN_SORTED_RUN + 777;
	start(4 << 20);
	for (unsigned i = 0; i < n; i++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		uint64_t begin =
		    1000ull * i + (seed >> 40); /* in disorder over some 16,000 of them */
		put_span(1, begin, begin + (seed >> 20 & 0xffff));
	}
	put_span(2, 1, 1u << 31); /* began before all others, and is written last */
	finish();
	read_all(n + 1);
	ck_assert_uint_eq(seen.first_client, 2);
}
TEST_END

TEST(what_encloses_comes_first)
{
	start(4 << 20);
	put_span(1, 10, 20);
	put_span(2, 10, 30);
	put_span(3, 10, 10);
	finish();
	read_all(3);
	ck_assert_uint_eq(seen.first_client, 2);
	ck_assert_uint_eq(seen.end, 10);
}
TEST_END

TEST(what_is_no_record_is_passed_over)
{
	start(4 << 20);
	put_span(1, 10, 20);
	put_span(1, 20, 10); /* ends before it begins */
	put(&(struct rein_trace_record){.kind = REIN_TRACE_KINDS, .begin = 1, .end = 2});
	put(&(struct rein_trace_record){.kind = 0, .begin = 1, .end = 2});
	put(&(struct rein_trace_name){.kind = REIN_TRACE_CLIENT, .client = 1});
	put(&(struct rein_trace_name){.kind = REIN_TRACE_KERNEL, .client = 1});
	finish();
	read_all(1);
	ck_assert_uint_eq(seen.looked, 6);
}
TEST_END

TEST(a_recording_may_go_meanwhile)
{
	struct rein_sorted *s;
	char path[200];
	start(64 * 11);
	for (unsigned i = 0; i < 100; i++)
		put_span(1, i, i + 1);
	finish();
	memset(&seen, 0, sizeof(seen));
	ck_assert_int_eq(rein_sorted_open(&s, &recording, NULL, NULL), 0);
	for (unsigned i = 0; i < recording.n; i++) {
		rein_segment_path(path, sizeof(path), recording.dir, recording.segment[i].number);
		if (i % 2)
			ck_assert_int_eq(unlink(path), 0);
		else
			ck_assert_int_eq(truncate(path, 64 * 6), 0); /* nobody should, but may */
	}
	ck_assert_int_eq(rein_sorted_read(s, see, NULL), 0);
	ck_assert_uint_eq(seen.n, 50 + 25);
	rein_sorted_free(s);
}
TEST_END

/* ---------------------------------------------------------------- names */

static void note(struct rein_names *n, uint8_t kind, uint32_t client, uint64_t key,
                 const char *name)
{
	struct rein_trace_name cell = {
	    .client = client, .kind = kind, .key = key, .pid = client + 100};
	memcpy(cell.name, name, strlen(name));
	ck_assert_int_eq(rein_names_note(n, client / 1000, (const void *)&cell), 0);
}

TEST(the_last_name_counts)
{
	struct rein_names n = {0};
	char name[32];
	for (unsigned i = 0; i < 1000; i++) { /* named again in each of many segments */
		snprintf(name, sizeof(name), "client %u", i);
		note(&n, REIN_TRACE_CLIENT, i % 10, 7, name);
		note(&n, REIN_TRACE_KERNEL, 1, 1 + i % 500, "kernel");
		note(&n, REIN_TRACE_PROCESS, 0, 0, name);
	}
	const struct rein_trace_record left = {.stamp = 3, .kind = REIN_TRACE_LEFT, .end = 99};
	ck_assert_int_eq(rein_names_note(&n, 0, &left), 0);
	rein_names_settle(&n);
	ck_assert_uint_eq(n.clients.n, 10);
	ck_assert_uint_eq(n.kernels.n, 500);
	ck_assert_str_eq(rein_names_client(&n, rein_who(0, 3))->name, "client 993");
	ck_assert_uint_eq(rein_names_client(&n, rein_who(0, 3))->left_ns, 99);
	ck_assert_uint_eq(rein_names_client(&n, rein_who(0, 4))->left_ns, 0);
	ck_assert_uint_eq(rein_names_client(&n, rein_who(0, 4))->joined_ns, 7);
	ck_assert_ptr_null(rein_names_client(&n, rein_who(1, 3)));
	ck_assert_str_eq(rein_names_process(&n, 100)->name, "client 999");
	ck_assert_str_eq(rein_names_entry(rein_trace_entry("cuLaunchKernel")), "cuLaunchKernel");
	rein_names_free(&n);
}
TEST_END

TESTS("sorted recordings", records_come_in_order, what_encloses_comes_first,
      what_is_no_record_is_passed_over, a_recording_may_go_meanwhile, the_last_name_counts)
