// SPDX-License-Identifier: Apache-2.0
/*
 * The attribution, cause by cause: recordings made by hand, in which it is known who delayed whom
 * for how long, with and without CUPTI's records.
 */
#include "tests/unit/attribute_rig.h"

/* ---------------------------------------------------------------- each cause */

TEST(its_thread_waited_for_a_cpu)
{
	start();
	kernel_takes(LC, 900);
	usual();
	request(LC, 100000, 106000, 1, 0);
	off_cpu(LC, 100100, 100400, 103400, HOG_PID); /* asleep, then runnable for 3 ms */
	launch(LC, 103980);
	synced(LC, 104000, 105990);
	off_cpu(LC, 104010, 104910, 105980, HOG_PID); /* woken at the end of its work */
	active(LC, 103980, 106000);
	expect_story(1);
	expect(REIN_CAUSE_RUN_QUEUE, "hog", 3000 + 1070);
	ck_assert(got.has_offcpu);
	ck_assert_msg(strstr(got.stories[0].sentence, "waiting for a CPU that hog (PID 4711) had"),
	              "%s", got.stories[0].sentence);
	stop();
}
TEST_END

TEST(several_had_the_cpu_while_it_waited)
{
	start();
	usual();
	request(LC, 100000, 108000, 1, 0);
	off_cpu_partly(LC, 100500, 101000, 106100, HOG_PID, 204);
	off_cpu_partly(LC, 107000, 107000, 107255, 0, 200); /* the idle task, for longest */
	launch(LC, 107980);
	expect_story(1);
	expect(REIN_CAUSE_RUN_QUEUE, "hog", 5100 * 204 / 255.0);
	expect(REIN_CAUSE_RUN_QUEUE, "nobody", 200);
	expect(REIN_CAUSE_RUN_QUEUE, "others", 5100 * 51 / 255.0 + 55);
	stop();
}
TEST_END

TEST(it_was_held_at_the_launch_gate)
{
	start();
	kernel_takes(LC, 900);
	usual();
	request(LC, 100000, 108000, 1, 0);
	gate(LC, 100010, 107000, OTHER);
	hold(LC, 99000, 103000, BE, REIN_HOLD_LAUNCH);
	hold(LC, 103000, 106950, OTHER, REIN_HOLD_LAUNCH);
	launch(LC, 107010);
	synced(LC, 107020, 107990);
	expect_story(1);
	/* the gate's own record names the last one; the holds say who when */
	expect(REIN_CAUSE_LAUNCH_GATE, "be", 2990);
	expect(REIN_CAUSE_LAUNCH_GATE, "other", 3950 + 50);
	stop();
}
TEST_END

TEST(a_gate_without_holds_goes_by_its_own_record)
{
	start();
	usual();
	request(LC, 100000, 108000, 1, 0);
	gate(LC, 100010, 107000, BE);
	launch(LC, 107010);
	synced(LC, 107020, 107990);
	expect_story(1);
	expect(REIN_CAUSE_LAUNCH_GATE, "be", 6990);
	stop();
}
TEST_END

TEST(it_was_held_on_the_gpu)
{
	start();
	kernel_takes(LC, 900);
	usual();
	request(LC, 100000, 109000, 1, 0);
	launch(LC, 100010);
	synced(LC, 100020, 108990);
	hold(LC, 100500, 108000, BE, REIN_HOLD_QUEUE);
	hold(LC, 108000, 108010, BE, REIN_HOLD_LAUNCH); /* stops nothing that is queued */
	expect_story(1);
	expect(REIN_CAUSE_QUEUE_GATE, "be", 7500);
	stop();
}
TEST_END

TEST(its_kernel_was_taken_off_the_gpu)
{
	start();
	kernel_takes(LC, 900);
	usual();
	request(LC, 100000, 109000, 1, 0);
	uint32_t n = launch(LC, 100010);
	synced(LC, 100020, 108990);
	hold(LC, 100500, 108400, BE, REIN_HOLD_CONTEXT); /* in force after 0.3 ms */
	gpu(LC, 100015, 108500, n, REIN_GPU_KERNEL);
	expect_story(1);
	expect(REIN_CAUSE_CONTEXT_GATE, "be", 8485 - 900);
	expect(REIN_CAUSE_GPU_OWN, NULL, 900);
	stop();
}
TEST_END

TEST(its_backlog_was_full)
{
	start();
	kernel_takes(LC, 900);
	usual();
	request(LC, 100000, 109000, 1, 0);
	put(span(REIN_TRACE_BACKLOG, LC, 100010, 106010));
	hold(LC, 101000, 102000, OTHER, REIN_HOLD_LAUNCH);
	launch(LC, 106020);
	synced(LC, 106030, 108990);
	expect_story(1);
	expect(REIN_CAUSE_BACKLOG, "itself", 5000);
	expect(REIN_CAUSE_QUEUE_GATE, "other", 1000);
	stop();
}
TEST_END

TEST(the_gpu_was_others_by_records)
{
	start();
	usual();
	request(LC, 100000, 109000, 1, 0);
	uint32_t n = launch(LC, 100010);
	synced(LC, 100020, 108990);
	gpu(BE, 99000, 106000, 1, REIN_GPU_KERNEL);
	gpu(OTHER, 106000, 107990, 1, REIN_GPU_KERNEL);
	gpu(LC, 108000, 108900, n, REIN_GPU_KERNEL);
	expect_story(1);
	expect(REIN_CAUSE_GPU_OTHERS, "be", 6000 - 15);
	expect(REIN_CAUSE_GPU_OTHERS, "other", 1990);
	expect(REIN_CAUSE_GPU_OWN, NULL, 900 + 10);
	expect(REIN_CAUSE_SYNC, NULL, 90);
	stop();
}
TEST_END

TEST(pieces_of_work_wait_for_each_other)
{
	start();
	usual();
	request(LC, 100000, 109000, 1, 0);
	uint32_t first = launch(LC, 100010), second = launch(LC, 100020),
		 third = launch(LC, 100030);
	synced(LC, 100040, 108990);
	gpu(LC, 100020, 102000, first, REIN_GPU_KERNEL);
	gpu(BE, 102000, 105000, 1, REIN_GPU_KERNEL);
	gpu(LC, 105005, 107000, second, REIN_GPU_KERNEL);
	gpu(LC, 107005, 108980, third, REIN_GPU_KERNEL);
	expect_story(1);
	expect(REIN_CAUSE_GPU_OTHERS, "be", 3000);
	expect(REIN_CAUSE_GPU_OWN, NULL, 1980 + 1995 + 1975 + 5 + 5 + 5);
	expect(REIN_CAUSE_CALL, NULL, 5);
	stop();
}
TEST_END

TEST(its_kernel_was_slower_than_alone)
{
	start();
	kernel_takes(LC, 900);
	usual();
	request(LC, 100000, 104000, 1, 0);
	uint32_t n = launch(LC, 100010);
	synced(LC, 100020, 103990);
	gpu(BE, 99000, 110000, 1, REIN_GPU_KERNEL);
	gpu(LC, 100015, 103980, n, REIN_GPU_KERNEL);
	expect_story(1);
	expect(REIN_CAUSE_SLOW_DOWN, "be", 3965 - 900);
	expect(REIN_CAUSE_GPU_OWN, NULL, 900);
	ck_assert(got.stories[0].part[0].estimate);
	stop();
}
TEST_END

TEST(its_copy_waited_for_copies)
{
	start();
	usual();
	request(LC, 100000, 109000, 1, 0);
	struct rein_trace_record *r = kernel_cell(LC, 100010);
	r->func = 0;
	r->a = 4096;
	r->b = 0;
	put(r);
	synced(LC, 100020, 108990);
	gpu(BE, 100000, 108000, 1, REIN_GPU_COPY);
	gpu(OTHER, 100000, 108000, 1, REIN_GPU_KERNEL); /* in no copy's way */
	gpu(LC, 108000, 108980, submissions[LC], REIN_GPU_COPY);
	expect_story(1);
	expect(REIN_CAUSE_COPY, "be", 8000 - 15);
	expect(REIN_CAUSE_GPU_OTHERS, NULL, 0);
	stop();
}
TEST_END

TEST(the_gpu_was_others_without_records)
{
	start();
	kernel_takes(LC, 900);
	usual();
	request(LC, 100000, 107000, 1, 0);
	active(BE, 90000, 200000);
	active(OTHER, 90000, 95000); /* over by then */
	launch(LC, 100010);
	launch(LC, 100020);
	synced(LC, 100030, 106990);
	expect_story(1);
	expect(REIN_CAUSE_GPU_OWN, NULL, 1800);
	expect(REIN_CAUSE_GPU_UNSPLIT, "be", 6975 - 1800);
	ck_assert(!got.has_gpu);
	stop();
}
TEST_END

TEST(who_is_held_is_not_blamed_once_it_has_drained)
{
	start();
	kernel_takes(LC, 900);
	usual();
	request(LC, 100000, 107000, 1, 0);
	active(BE, 50000, 200000);
	active(OTHER, 100000, 200000);
	hold(BE, 60000, 200000, LC, REIN_HOLD_LAUNCH);
	launch(LC, 100010);
	synced(LC, 100030, 106990);
	expect_story(1);
	expect(REIN_CAUSE_GPU_UNSPLIT, "other", 6975 - 900);
	expect(REIN_CAUSE_GPU_UNSPLIT, "be", 0);
	stop();
}
TEST_END

TEST(a_process_without_the_shim_is_a_culprit)
{
	start();
	kernel_takes(LC, 900);
	usual();
	request(LC, 100000, 107000, 1, 0);
	struct rein_trace_record *r = span(REIN_TRACE_OUTSIDER, 0, 99000, 107000);
	r->thread = HOG_PID;
	r->result = REIN_OUTSIDER_LAUNCH;
	r->a = 12;
	put(r);
	launch(LC, 100010);
	synced(LC, 100030, 106990);
	expect_story(1);
	expect(REIN_CAUSE_GPU_UNSPLIT, "hog", 6975 - 900);
	stop();
}
TEST_END

static void has_gpu_open(double begin, double end)
{
	struct rein_trace_record *r = span(REIN_TRACE_OUTSIDER, 0, begin, end);
	r->thread = HOG_PID;
	r->result = REIN_OUTSIDER_OPEN;
	put(r);
}

/* All that is known of it is that it has the GPU open: until it is looked again. */
TEST(who_only_has_the_gpu_open_is_a_culprit_if_nobody_else_is)
{
	start();
	kernel_takes(LC, 900);
	usual();
	has_gpu_open(90000, 95000);
	request(LC, 100000, 107000, 1, 0);
	launch(LC, 100010);
	synced(LC, 100030, 106990);
	expect_story(1);
	expect(REIN_CAUSE_GPU_UNSPLIT, "hog", 6975 - 900);
	ck_assert_msg(strstr(got.stories[0].sentence, "shared with unmanaged process 4711 (hog)"),
	              "%s", got.stories[0].sentence);
	stop();
	start();
	kernel_takes(LC, 900);
	usual();
	has_gpu_open(90000, 95000);
	active(BE, 99000, 108000);
	request(LC, 100000, 107000, 1, 0);
	launch(LC, 100010);
	synced(LC, 100030, 106990);
	expect_story(1);
	expect(REIN_CAUSE_GPU_UNSPLIT, "hog", 0);
	expect(REIN_CAUSE_GPU_UNSPLIT, "be", 6975 - 900);
	stop();
	start();
	kernel_takes(LC, 900);
	usual();
	has_gpu_open(70000, 75000);
	request(LC, 5100000, 5107000, 1, 0); /* long after it was seen there last */
	launch(LC, 5100010);
	synced(LC, 5100030, 5106990);
	expect_story(1);
	expect(REIN_CAUSE_GPU_UNSPLIT, "hog", 0);
	stop();
}
TEST_END

/* As when the daemon begins anew: its clients come back one after the other. */
TEST(who_joins_after_the_look_that_found_it_is_no_culprit)
{
	start();
	kernel_takes(LC, 900);
	usual();
	has_gpu_open(90000, 95000);
	put_name(REIN_TRACE_CLIENT, 4, HOG_PID, 0, 1, "back again");
	request(LC, 100000, 107000, 1, 0);
	launch(LC, 100010);
	synced(LC, 100030, 106990);
	expect_story(1);
	expect(REIN_CAUSE_GPU_UNSPLIT, "hog", 0);
	expect(REIN_CAUSE_GPU_UNSPLIT, "back again", 0);
	stop();
}
TEST_END

static void launches_outside(double begin, double end)
{
	struct rein_trace_record *r = span(REIN_TRACE_OUTSIDER, 0, begin, end);
	r->thread = HOG_PID;
	r->result = REIN_OUTSIDER_LAUNCH;
	r->a = 12;
	put(r);
}

/* Its launches are seen for five seconds; that it had the clients' GPU open, or not. */
static void launch_beside(bool open, bool looked)
{
	start();
	kernel_takes(LC, 900);
	usual();
	launches_outside(99000, 107000);
	launches_outside(5000000, 5001000);
	if (open)
		has_gpu_open(99000, 99000);
	request(LC, 100000, 107000, 1, 0);
	launch(LC, 100010);
	synced(LC, 100030, 106990);
	recording.segment[0].header.sees = looked ? REIN_SEES_OPEN : 0;
	expect_story(1);
}

TEST(who_launches_on_another_gpu_is_no_culprit)
{
	launch_beside(true, true);
	expect(REIN_CAUSE_GPU_UNSPLIT, "hog", 6975 - 900);
	stop();
	launch_beside(false, true);
	expect(REIN_CAUSE_GPU_UNSPLIT, "hog", 0);
	stop();
	launch_beside(false, false); /* nobody looked: it may have */
	expect(REIN_CAUSE_GPU_UNSPLIT, "hog", 6975 - 900);
	stop();
}
TEST_END

TEST(alone_on_the_gpu_nobody_is_blamed)
{
	start();
	kernel_takes(LC, 900);
	usual();
	request(LC, 100000, 107000, 1, 0);
	launch(LC, 100010);
	synced(LC, 100030, 106990);
	expect_story(1);
	expect(REIN_CAUSE_GPU_OWN, NULL, 6975);
	ck_assert_msg(strstr(got.stories[0].sentence, "nobody delayed it"), "%s",
	              got.stories[0].sentence);
	stop();
}
TEST_END

TEST(its_own_code_was_slow)
{
	start();
	kernel_takes(LC, 900);
	usual();
	request(LC, 100000, 108000, 1, 0);
	launch(LC, 100010);
	synced(LC, 100020, 100990);
	launch(LC, 106000); /* five ms of its own between two synchronisations */
	synced(LC, 106010, 107000);
	active(BE, 90000, 200000);
	expect_story(1);
	expect(REIN_CAUSE_HOST, NULL, 10 + 5010 + 1000);
	stop();
}
TEST_END

TEST(the_driver_kept_it)
{
	start();
	kernel_takes(LC, 900);
	usual();
	request(LC, 100000, 107000, 1, 0);
	struct rein_trace_record *r = kernel_cell(LC, 100010);
	r->end = at(106000); /* its queue was full, say */
	put(r);
	synced(LC, 106010, 106990);
	expect_story(1);
	expect(REIN_CAUSE_CALL, NULL, 5990);
	stop();
}
TEST_END

TESTS("attribution", its_thread_waited_for_a_cpu, several_had_the_cpu_while_it_waited,
      it_was_held_at_the_launch_gate, a_gate_without_holds_goes_by_its_own_record,
      it_was_held_on_the_gpu, its_kernel_was_taken_off_the_gpu, its_backlog_was_full,
      the_gpu_was_others_by_records, pieces_of_work_wait_for_each_other,
      its_kernel_was_slower_than_alone, its_copy_waited_for_copies,
      the_gpu_was_others_without_records, who_is_held_is_not_blamed_once_it_has_drained,
      a_process_without_the_shim_is_a_culprit,
      who_only_has_the_gpu_open_is_a_culprit_if_nobody_else_is,
      who_joins_after_the_look_that_found_it_is_no_culprit,
      who_launches_on_another_gpu_is_no_culprit, alone_on_the_gpu_nobody_is_blamed,
      its_own_code_was_slow, the_driver_kept_it)
