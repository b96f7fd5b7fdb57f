// SPDX-License-Identifier: Apache-2.0
/*
 * attribute_rig.h: recordings made by hand, and what the attribution makes of them. Times are in
 * microseconds after BASE. Included by one test program each.
 */
#ifndef REIN_TESTS_ATTRIBUTE_RIG_H
#define REIN_TESTS_ATTRIBUTE_RIG_H

#include "tests/harness.h"

#include <stdlib.h>
#include <string.h>

#include "common/abi.h"
#include "common/clock.h"
#include "profiler/attribute.h"

#define RIG __attribute__((unused)) /* no test uses all */
#define BASE 5000000000000ull
#define LC 1u
#define BE 2u
#define OTHER 3u
#define THREAD 100u
#define HOG_PID 4711u

static struct rein_recording recording;
static FILE *segment;
static uint64_t n_cells;
static struct rein_attribution got;
static uint32_t submissions[4];

/* ---------------------------------------------------------------- recordings by hand */

static uint64_t at(double us)
{
	return BASE + (uint64_t)(us * 1e3);
}

static RIG void put(const void *cell)
{
	ck_assert_uint_eq(fwrite(cell, sizeof(struct rein_trace_record), 1, segment), 1);
	n_cells++;
}

static RIG void put_name(uint8_t kind, uint32_t client, uint32_t pid, uint32_t uid, uint64_t key,
                         const char *name)
{
	struct rein_trace_name n = {
	    .client = client, .pid = pid, .kind = kind, .prio = 5, .uid = uid, .key = key};
	memcpy(n.name, name, strnlen(name, sizeof(n.name) - 1));
	put(&n);
}

/* What one daemon records. */
static RIG void start_segment(void)
{
	char path[256];
	const struct rein_segment_header h = {.magic = REIN_SEGMENT_MAGIC,
	                                      .major = REIN_SEGMENT_MAJOR};
	memset(submissions, 0, sizeof(submissions));
	unsigned number = ++recording.n;
	recording.segment[number - 1].number = number;
	recording.segment[number - 1].last = true;
	rein_segment_path(path, sizeof(path), recording.dir, number);
	segment = fopen(path, "w");
	ck_assert_ptr_nonnull(segment);
	ck_assert_uint_eq(fwrite(&h, sizeof(h), 1, segment), 1);
	n_cells = 0;
	put_name(REIN_TRACE_CLIENT, LC, 1001, 0, 1, "lc");
	put_name(REIN_TRACE_CLIENT, BE, 1002, 0, 1, "be");
	put_name(REIN_TRACE_CLIENT, OTHER, 1003, 0, 1, "other");
	put_name(REIN_TRACE_PROCESS, 0, HOG_PID, 0, 0, "hog");
}

static RIG void end_segment(void)
{
	ck_assert_int_eq(fclose(segment), 0);
	recording.segment[recording.n - 1].cells = n_cells;
}

static RIG void start(void)
{
	memset(&recording, 0, sizeof(recording));
	snprintf(recording.dir, sizeof(recording.dir), "%s", temp_dir());
	start_segment();
}

/* The daemon is gone, and another one records the same programs. */
static RIG void next_daemon(void)
{
	end_segment();
	start_segment();
}

static RIG void run(const struct rein_attribute_wish *wish)
{
	end_segment();
	ck_assert_int_eq(rein_attribute(&recording, wish, &got), 0);
	for (size_t i = 0; i < got.n_stories; i++) {
		const struct rein_story *s = &got.stories[i];
		const struct rein_request *r = &got.requests[s->request];
		uint64_t sum = 0;
		for (unsigned k = 0; k < s->n; k++)
			sum += s->part[k].ns;
		ck_assert_msg(sum == r->end_ns - r->begin_ns, "%s", s->sentence);
	}
}

static RIG struct rein_trace_record *span(uint8_t kind, uint32_t client, double begin, double end)
{
	static struct rein_trace_record r;
	r = (struct rein_trace_record){.stamp = client,
	                               .thread = THREAD + client,
	                               .kind = kind,
	                               .begin = at(begin),
	                               .end = at(end),
	                               .stream = 7};
	return &r;
}

static RIG void request(uint32_t client, double begin, double end, uint64_t id, double due)
{
	struct rein_trace_record *r = span(REIN_TRACE_REQUEST_BEGIN, client, begin, begin);
	r->func = id;
	r->flags = due > 0 ? REIN_TRACE_DEADLINE : 0;
	r->a = due > 0 ? at(due) : 0;
	put(r);
	r = span(REIN_TRACE_REQUEST_END, client, end, end);
	r->func = id;
	put(r);
}

static RIG void active(uint32_t client, double begin, double end)
{
	put(span(REIN_TRACE_ACTIVE, client, begin, begin));
	put(span(REIN_TRACE_IDLE, client, end, end));
}

static RIG struct rein_trace_record *kernel_cell(uint32_t client, double begin)
{
	struct rein_trace_record *r = span(REIN_TRACE_SUBMIT, client, begin, begin + 5);
	r->number = ++submissions[client];
	r->func = 0x1000;
	r->a = 8 | 1ull << 32 | 1ull << 48;
	r->b = 32ull << 32 | 1ull << 44 | 1ull << 56;
	return r;
}

/* A launch of the kernel that takes `alone` us (known: kernel_takes()). */
static uint32_t launch(uint32_t client, double begin)
{
	put(kernel_cell(client, begin));
	return submissions[client];
}

static RIG void kernel_takes(uint32_t client, double us)
{
	put_name(REIN_TRACE_KERNEL, client, 20, (uint32_t)(us * 1e3),
	         rein_trace_key(kernel_cell(client, 0)), "k");
	submissions[client]--;
}

static RIG void synced(uint32_t client, double begin, double end)
{
	struct rein_trace_record *r = span(REIN_TRACE_SYNC, client, begin, end);
	r->number = submissions[client];
	put(r);
}

static RIG void gate(uint32_t client, double begin, double end, uint32_t holder)
{
	struct rein_trace_record *r = span(REIN_TRACE_GATE, client, begin, end);
	r->number = holder;
	put(r);
}

static RIG void hold(uint32_t client, double begin, double end, uint32_t holder, unsigned mode)
{
	struct rein_trace_record *r = span(REIN_TRACE_HOLD, client, begin, end);
	r->number = holder;
	r->result = (uint16_t)mode;
	r->thread = r->stream = 0;
	put(r);
}

static RIG void gpu(uint32_t client, double begin, double end, uint32_t number, unsigned what)
{
	struct rein_trace_record *r = span(REIN_TRACE_GPU, client, begin, end);
	r->thread = 9999;
	r->number = number;
	r->result = (uint16_t)what;
	r->entry = 77;
	r->a = what == REIN_GPU_COPY ? 4096 : 8 | 1ull << 32 | 1ull << 48;
	put(r);
}

/* `part`: for so many 255ths of it that process had the CPU. */
static RIG void off_cpu_partly(uint32_t client, double begin, double runnable, double end,
                               uint32_t pid, uint8_t part)
{
	struct rein_trace_record *r = span(REIN_TRACE_OFFCPU, client, begin, end);
	r->a = at(runnable);
	r->b = (uint64_t)pid << 32;
	r->flags = part;
	put(r);
}

static RIG void off_cpu(uint32_t client, double begin, double runnable, double end, uint32_t pid)
{
	off_cpu_partly(client, begin, runnable, end, pid, 0);
}

/* Six requests of a millisecond each that nothing happened to, each second from BASE on: the median
 * that makes others late. */
static RIG void usual(void)
{
	for (unsigned i = 0; i < 6; i++) {
		double t = i * 10000.0;
		request(LC, t, t + 1000, 100 + i, 0);
		launch(LC, t + 10);
		synced(LC, t + 20, t + 990);
	}
}

/* ---------------------------------------------------------------- what is expected */

static RIG double part_us(const struct rein_story *s, enum rein_cause cause, const char *who)
{
	double us = 0;
	for (unsigned i = 0; i < s->n; i++)
		if (s->part[i].cause == cause &&
		    (!who || strcmp(got.who[s->part[i].who].name, who) == 0))
			us += (double)s->part[i].ns / 1e3;
	return us;
}

static RIG void expect(enum rein_cause cause, const char *who, double us)
{
	ck_assert_uint_ge(got.n_stories, 1);
	double is = part_us(&got.stories[0], cause, who);
	ck_assert_msg(is > us - 0.5 && is < us + 0.5, "%s by %s: %.1f us, not %.1f; %s",
	              rein_cause_name(cause), who ? who : "anybody", is, us,
	              got.stories[0].sentence);
}

static RIG void expect_story(unsigned n)
{
	const struct rein_attribute_wish wish = {.worst = 10};
	run(&wish);
	ck_assert_uint_eq(got.n_stories, n);
}

static RIG void stop(void)
{
	rein_attribution_free(&got);
}

#endif
