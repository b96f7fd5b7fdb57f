// SPDX-License-Identifier: Apache-2.0
/*
 * The attribution as a whole: which requests there are and which are late, the matrix, and what
 * lies, overlaps or is missing, where only the sum must be right.
 */
#include "tests/unit/attribute_rig.h"

/* ---------------------------------------------------------------- whose, when, how many */

TEST(the_way_back_may_lead_through_the_request_before)
{
	start();
	kernel_takes(LC, 900);
	usual();
	/* the second arrived while the first was held; both end after that */
	request(LC, 100000, 108000, 1, 0);
	request(LC, 100500, 109000, 2, 0);
	gate(LC, 100010, 107000, BE);
	launch(LC, 107010);
	synced(LC, 107020, 107990);
	launch(LC, 108010);
	synced(LC, 108020, 108990);
	const struct rein_attribute_wish wish = {.worst = 10};
	run(&wish);
	ck_assert_uint_eq(got.n_stories, 2);
	ck_assert_uint_eq(got.requests[got.stories[0].request].id, 2);
	expect(REIN_CAUSE_LAUNCH_GATE, "be", 6500);
	stop();
}
TEST_END

TEST(deadlines_and_medians_say_what_is_late)
{
	start();
	usual();
	request(LC, 100000, 101000, 1, 100900); /* usual, but due */
	request(LC, 110000, 113000, 2, 115000); /* long, but in time */
	request(LC, 120000, 122500, 3, 0);      /* long */
	request(BE, 120000, 190000, 4, 0);      /* too few of its kind to say */
	const struct rein_attribute_wish wish = {.worst = 10};
	run(&wish);
	ck_assert_uint_eq(got.late, 2);
	ck_assert_uint_eq(got.n_requests, 10);
	ck_assert_uint_eq(got.n_stories, 2);
	ck_assert_uint_eq(got.requests[got.stories[0].request].id, 3);
	ck_assert_uint_eq(got.requests[got.stories[1].request].id, 1);
	ck_assert_msg(strstr(got.stories[1].sentence, "100.0 us over its deadline") ||
	                  strstr(got.stories[1].sentence, "0.10 ms over its deadline"),
	              "%s", got.stories[1].sentence);
	stop();
	const struct rein_attribute_wish any = {.worst = 3, .any = true, .pid = 1001};
	ck_assert_int_eq(rein_attribute(&recording, &any, &got), 0);
	ck_assert_uint_eq(got.n_stories, 3);
	ck_assert_uint_eq(got.requests[got.stories[0].request].id, 2);
	stop();
}
TEST_END

TEST(guessed_requests_are_from_idle_to_idle)
{
	start();
	kernel_takes(BE, 900);
	for (unsigned i = 0; i < 8; i++) {
		double t = i * 10000.0, more = i == 7 ? 4000 : 0;
		active(BE, t, t + 500); /* two with 100 us between them: one request */
		active(BE, t + 600, t + 1700 + more);
		if (more > 0)
			gate(BE, t + 610, t + 610 + more, LC);
		launch(BE, t + 620 + more);
		synced(BE, t + 630 + more, t + 1690 + more);
	}
	expect_story(1);
	ck_assert_uint_eq(got.n_requests, 8);
	expect(REIN_CAUSE_LAUNCH_GATE, "lc", 4000);
	stop();
}
TEST_END

TEST(a_job_at_work_counts_in_the_matrix_only)
{
	start();
	active(BE, 0, 3500000);
	gate(BE, 1000000, 1500000, LC);
	gate(BE, 2900000, 3100000, LC);
	for (unsigned i = 0; i < 6; i++)
		launch(BE, 500000 * i + 1);
	expect_story(0);
	ck_assert_uint_eq(got.n_requests, 0);
	uint64_t held = 0;
	for (size_t i = 0; i < got.n_lost; i++)
		if (strcmp(got.who[got.lost[i].culprit].name, "lc") == 0)
			held += got.lost[i].all_ns[REIN_CAUSE_LAUNCH_GATE];
	ck_assert_uint_eq(held, 700000000);
	stop();
}
TEST_END

TEST(the_matrix_adds_up_to_all_latencies)
{
	uint64_t sum = 0, latency = 0, late = 0, late_sum = 0;
	start();
	kernel_takes(LC, 900);
	usual();
	request(LC, 100000, 108000, 1, 0);
	gate(LC, 100010, 107000, BE);
	launch(LC, 107010);
	synced(LC, 107020, 107990);
	request(BE, 100000, 108000, 2, 0);
	expect_story(1);
	for (size_t i = 0; i < got.n_lost; i++)
		for (unsigned c = 0; c < REIN_CAUSES; c++) {
			sum += got.lost[i].all_ns[c];
			late_sum += got.lost[i].late_ns[c];
		}
	for (size_t i = 0; i < got.n_requests; i++) {
		latency += got.requests[i].end_ns - got.requests[i].begin_ns;
		if (got.requests[i].late)
			late += got.requests[i].end_ns - got.requests[i].begin_ns;
	}
	ck_assert_uint_eq(sum, latency);
	ck_assert_uint_eq(late_sum, late);
	stop();
}
TEST_END

/* A hundred processes had the CPU for 0.1 ms each, one of them for 30 ms; nothing named them. */
TEST(many_small_culprits_are_others)
{
	uint64_t others = 0, great = 0, sum = 0;
	unsigned culprits = 0;
	start();
	usual();
	request(LC, 100000, 150000, 1, 0);
	for (unsigned i = 0; i < 100; i++)
		off_cpu(LC, 100000 + i * 150, 100000 + i * 150, 100100 + i * 150, 5000 + i);
	off_cpu(LC, 115000, 115000, 145000, 5000);
	expect_story(1);
	for (size_t i = 0; i < got.n_lost; i++) {
		const struct rein_lost *l = &got.lost[i];
		bool is_it = strcmp(got.who[l->culprit].name, "process 5000") == 0;
		uint64_t ns = l->all_ns[REIN_CAUSE_RUN_QUEUE];
		culprits += ns > 0;
		sum += ns;
		others += l->culprit == REIN_WHO_OTHERS ? ns : 0;
		great += is_it ? ns : 0;
	}
	ck_assert_uint_eq(culprits, 2);
	ck_assert_uint_eq(great, 30100000);
	ck_assert_uint_eq(others, 9900000);
	ck_assert_uint_eq(sum, great + others);
	/* in the story some stand alone; none is unknown, and no number is told twice */
	ck_assert_uint_lt(got.stories[0].n, REIN_PARTS_MAX);
	expect(REIN_CAUSE_RUN_QUEUE, NULL, 40000);
	expect(REIN_CAUSE_UNKNOWN, NULL, 0);
	ck_assert_msg(strstr(got.stories[0].sentence, "CPU that process 5000 had"), "%s",
	              got.stories[0].sentence);
	stop();
}
TEST_END

/* One that is alone keeps its name, however small it is. */
TEST(a_single_small_culprit_is_named)
{
	start();
	usual();
	request(LC, 100000, 150000, 1, 0);
	gate(LC, 100010, 149000, BE);
	off_cpu(LC, 149100, 149100, 149200, HOG_PID);
	expect_story(1);
	bool named = false;
	for (size_t i = 0; i < got.n_lost; i++)
		named |= strcmp(got.who[got.lost[i].culprit].name, "hog") == 0;
	ck_assert(named);
	stop();
}
TEST_END

TEST(nothing_since_then_is_no_time)
{
	start();
	usual();
	const struct rein_attribute_wish wish = {.worst = 10, .from_ns = at(1e9)};
	run(&wish);
	ck_assert_uint_eq(got.n_requests, 0);
	ck_assert_uint_eq(got.until_ns, got.from_ns);
	stop();
}
TEST_END

TEST(only_the_last_seconds_count_if_asked)
{
	start();
	for (unsigned i = 0; i < 20; i++)
		request(LC, i * 100000.0, i * 100000.0 + 1000, i + 1, 0);
	struct rein_trace_record *lost = span(REIN_TRACE_LOST, LC, 0, 100000);
	lost->a = 1000; /* long before */
	put(lost);
	lost = span(REIN_TRACE_LOST, LC, 1800000, 1850000);
	lost->a = 7;
	put(lost);
	const struct rein_attribute_wish wish = {.worst = 10, .last_ns = 500 * REIN_MS};
	run(&wish);
	ck_assert_uint_eq(got.n_requests, 6);
	ck_assert_uint_eq(got.records_lost, 7);
	stop();
}
TEST_END

/* ---------------------------------------------------------------- many, and what lies */

static uint64_t random_bits(void)
{
	static uint64_t s = 88172645463325252ull;
	s ^= s << 13;
	s ^= s >> 7;
	return s ^= s << 17;
}

/* Everything at random, within a second: records that overlap, lack partners, name nobody. */
TEST(whatever_the_records_say_the_parts_add_up)
{
	static const uint8_t kinds[] = {
	    REIN_TRACE_SUBMIT, REIN_TRACE_SYNC,   REIN_TRACE_GATE,          REIN_TRACE_BACKLOG,
	    REIN_TRACE_ACTIVE, REIN_TRACE_IDLE,   REIN_TRACE_REQUEST_BEGIN, REIN_TRACE_REQUEST_END,
	    REIN_TRACE_GPU,    REIN_TRACE_OFFCPU, REIN_TRACE_OUTSIDER,      REIN_TRACE_HOLD,
	    REIN_TRACE_LEFT,   REIN_TRACE_LOST};
	for (unsigned round = 0; round < 20; round++) {
		start();
		for (unsigned i = 0; i < 3000; i++) {
			uint64_t x = random_bits();
			double begin = (double)(random_bits() % 1000000);
			double end = begin + (double)(random_bits() % (x & 7 ? 2000 : 200000));
			uint8_t kind = kinds[x % REIN_ARRAY_LEN(kinds)];
			struct rein_trace_record *r = span(kind, x >> 8 & 3, begin, end);
			if (kind >= REIN_TRACE_ACTIVE && kind <= REIN_TRACE_REQUEST_END)
				r->end = r->begin;
			r->thread = THREAD + (x >> 16 & 1);
			r->stream = x >> 18 & 15 ? (uint32_t)(x >> 22 & 1) : UINT32_MAX;
			r->number = (uint32_t)(x >> 24 & 31);
			r->func = x >> 30 & 63;
			r->result = (uint16_t)(x >> 40 & 7);
			r->flags = (uint8_t)(x >> 44 & 30);
			r->a = x >> 48 & 1 ? r->begin + 100 : 0;
			r->b = (random_bits() & 3) << 32;
			put(r);
		}
		const struct rein_attribute_wish wish = {.worst = 1000, .any = true};
		run(&wish);
		ck_assert_uint_gt(got.n_stories, 0);
		stop();
	}
}
TEST_END

/* Who was at work when its daemon died, or before the next one began, is not at work in what the
 * other one recorded. */
TEST(what_a_daemon_did_not_see_ends_with_its_records)
{
	start();
	put(span(REIN_TRACE_ACTIVE, BE, 0, 0));
	put(span(REIN_TRACE_ACTIVE, LC, 50, 50));
	launch(BE, 60);
	next_daemon();
	kernel_takes(LC, 900);
	usual();
	request(LC, 100000, 107000, 1, 0);
	launch(LC, 100010);
	synced(LC, 100030, 106990);
	next_daemon();
	put(span(REIN_TRACE_IDLE, OTHER, 300000, 300000));
	expect_story(1);
	for (unsigned i = 0; i < got.stories[0].n; i++)
		ck_assert_uint_lt(got.stories[0].part[i].who, REIN_WHO_FIRST);
	stop();
}
TEST_END

TEST(a_program_of_two_daemons_is_one_in_the_matrix)
{
	uint64_t lost = 0;
	unsigned rows = 0;
	start();
	for (unsigned i = 0; i < 2; i++) {
		double t = i * 1000000.0;
		if (i)
			next_daemon();
		kernel_takes(LC, 900);
		request(LC, t, t + 9000, i, 0);
		off_cpu(LC, t + 10, t + 10, t + 2010, 1001); /* its own thread had the CPU */
		gate(LC, t + 2100, t + 7100, BE);
		launch(LC, t + 7110);
		synced(LC, t + 7120, t + 8990);
	}
	expect_story(0);
	for (size_t i = 0; i < got.n_lost; i++) {
		const struct rein_lost *l = &got.lost[i];
		ck_assert_str_eq(got.who[l->victim].name, "lc");
		ck_assert_str_ne(got.who[l->culprit].name, "lc");
		rows += strcmp(got.who[l->culprit].name, "be") == 0;
		lost += l->all_ns[REIN_CAUSE_LAUNCH_GATE];
	}
	ck_assert_uint_eq(rows, 1);
	ck_assert_uint_eq(lost, 10000000);
	stop();
}
TEST_END

TEST(nothing_recorded_is_no_error)
{
	start();
	expect_story(0);
	ck_assert_uint_eq(got.n_requests, 0);
	stop();
}
TEST_END

TESTS("attribution, whole", the_way_back_may_lead_through_the_request_before,
      deadlines_and_medians_say_what_is_late, guessed_requests_are_from_idle_to_idle,
      a_job_at_work_counts_in_the_matrix_only, the_matrix_adds_up_to_all_latencies,
      many_small_culprits_are_others, a_single_small_culprit_is_named,
      nothing_since_then_is_no_time, only_the_last_seconds_count_if_asked,
      whatever_the_records_say_the_parts_add_up, what_a_daemon_did_not_see_ends_with_its_records,
      a_program_of_two_daemons_is_one_in_the_matrix, nothing_recorded_is_no_error)
