// SPDX-License-Identifier: Apache-2.0
/*
 * Row by row of entries.tbl: whatever submits work waits at the closed gate and passes the open
 * one; allocation and its like only for a class that says so; everything else never. The hooks are
 * called through pointers with arguments of zero, and the driver of this test does nothing.
 */
#include "tests/harness.h"
#include "tests/unit/fake_driver.h"

#include <stdio.h>

/* More arguments than any entry point has: what it does not have it does not look at. */
typedef CUresult any_call(long, long, long, long, long, long, long, long, long, long, long, long,
                          long, long, long, long);

static rein_a32 calls; /* of the driver */

static CUresult passed(void)
{
	rein_add_seqcst(&calls, 1);
	return CUDA_SUCCESS;
}

static CUresult call(any_call *f)
{
	return f(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
}

static void *call_in_thread(void *hook)
{
	ck_assert_int_eq(call((any_call *)hook), CUDA_SUCCESS);
	return NULL;
}

static bool waits(void *unused)
{
	return demand() & REIN_DEMAND_WAITING;
}

static any_call *hook_of(int entry)
{
	any_call *hook = (any_call *)rein_hook_of(entry);
	ck_assert_msg(hook != NULL, "%s has no hook", rein_entries[entry].name);
	((void **)&real)[entry] = (void *)passed;
	rein_store_release(&calls, 0);
	return hook;
}

static void expect_calls(int entry, uint32_t want, const char *when)
{
	uint32_t got = rein_load_seqcst(&calls);
	ck_assert_msg(got == want, "%s, %s: the driver was called %u times, not %u",
	              rein_entries[entry].name, when, got, want);
}

static void is_held(int entry)
{
	any_call *hook = hook_of(entry);
	pthread_t thread;
	set_gate(REIN_GATE_CLOSED, 600 * REIN_S);
	pthread_create(&thread, NULL, call_in_thread, (void *)hook);
	ck_assert_msg(eventually(waits, NULL, 20000), "%s does not wait at the closed gate",
	              rein_entries[entry].name);
	expect_calls(entry, 0, "closed gate");
	set_gate(REIN_GATE_OPEN, 0);
	pthread_join(thread, NULL);
	expect_calls(entry, 1, "gate opened");
	uint64_t before = rein_load_relaxed(&REIN_STATUS->total.gate_waits);
	ck_assert_int_eq(call(hook), CUDA_SUCCESS);
	expect_calls(entry, 2, "open gate");
	ck_assert_uint_eq(rein_load_relaxed(&REIN_STATUS->total.gate_waits), before);
}

static void is_not_held(int entry)
{
	any_call *hook = hook_of(entry);
	uint64_t before = rein_load_relaxed(&REIN_STATUS->total.gate_waits);
	set_gate(REIN_GATE_CLOSED, 600 * REIN_S);
	ck_assert_int_eq(call(hook), CUDA_SUCCESS);
	set_gate(REIN_GATE_OPEN, 0);
	expect_calls(entry, 1, "closed gate");
	ck_assert_uint_eq(rein_load_relaxed(&REIN_STATUS->total.gate_waits), before);
}

/* Arguments of more than two words go by reference there: zero would not do. */
static bool callable(int entry)
{
#ifdef __x86_64__
	return true;
#else
	return !strstr(rein_entries[entry].name, "cuIpcOpen");
#endif
}

static bool submits(int entry)
{
	return rein_entries[entry].class_id <= REIN_CLASS_ORDER;
}

static void every_row_of(unsigned class_id)
{
	unsigned n = 0;
	fake_start();
	for (int e = 0; e < REIN_E_COUNT; e++) {
		if (rein_entries[e].class_id != class_id)
			continue;
		is_held(e);
		n++;
	}
	ck_assert_uint_gt(n, 0);
}

TEST(launches)
{
	every_row_of(REIN_CLASS_LAUNCH);
}
TEST_END

TEST(graphs)
{
	every_row_of(REIN_CLASS_GRAPH);
}
TEST_END

TEST(copies)
{
	every_row_of(REIN_CLASS_COPY);
}
TEST_END

TEST(sets)
{
	every_row_of(REIN_CLASS_SET);
}
TEST_END

TEST(memory)
{
	every_row_of(REIN_CLASS_MEMORY);
}
TEST_END

TEST(order)
{
	every_row_of(REIN_CLASS_ORDER);
}
TEST_END

TEST(allocation_and_its_like_only_if_asked_for)
{
	unsigned n = 0;
	fake_start();
	launch(NULL); /* there is a context */
	for (int e = 0; e < REIN_E_COUNT; e++) {
		if (rein_entries[e].class_id != REIN_CLASS_IMPLICIT || !callable(e))
			continue;
		rein_store_release(&REIN_CONTROL->flags, 0);
		is_not_held(e);
		rein_store_release(&REIN_CONTROL->flags, REIN_CONTROL_GATE_IMPLICIT);
		is_held(e);
		n++;
	}
	ck_assert_uint_gt(n, 50);
}
TEST_END

/* It is no work: it ends no request and begins none that lasts. */
TEST(allocation_asks_for_the_gpu_while_it_waits)
{
	pthread_t thread;
	CUgraph graph;
	fake_start();
	launch(NULL);
	hook_cuStreamSynchronize(NULL);
	ck_assert(!active());
	rein_store_release(&REIN_CONTROL->flags, REIN_CONTROL_GATE_IMPLICIT);
	(void)hook_of(REIN_E_cuMemAlloc_v2);
	set_gate(REIN_GATE_CLOSED, 600 * REIN_S);
	pthread_create(&thread, NULL, call_in_thread, (void *)hook_cuMemAlloc_v2);
	ck_assert(eventually(waits, NULL, 20000));
	ck_assert(active());
	set_gate(REIN_GATE_OPEN, 0);
	pthread_join(thread, NULL);
	ck_assert(!active());
	ck_assert_uint_eq(rein_rows_begun(), 1);
	/* a capture must not wait */
	CUstream s = new_stream(0);
	hook_cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED);
	set_gate(REIN_GATE_CLOSED, 600 * REIN_S);
	ck_assert_int_eq(hook_cuMemAlloc_v2(NULL, 4), CUDA_SUCCESS);
	ck_assert(!active());
	hook_cuStreamEndCapture(s, &graph);
}
TEST_END

/* The rows that no test above drives: none of them is an unnoticed way to submit. */
TEST(nothing_else_is_hooked_that_submits)
{
	fake_start();
	for (int e = 0; e < REIN_E_COUNT; e++) {
		unsigned class_id = rein_entries[e].class_id;
		if (submits(e) || class_id == REIN_CLASS_IMPLICIT)
			ck_assert_msg(rein_hook_of(e) != NULL, "%s", rein_entries[e].name);
		ck_assert_msg(!submits(e) || !(rein_entries[e].options & REIN_OPT_NO_WORK),
		              "%s submits, and passes no gate", rein_entries[e].name);
		if (class_id > REIN_CLASS_IMPLICIT)
			ck_assert_msg(rein_hook_of(e) == NULL, "%s", rein_entries[e].name);
	}
}
TEST_END

TESTS("entries", launches, graphs, copies, sets, memory, order,
      allocation_and_its_like_only_if_asked_for, allocation_asks_for_the_gpu_while_it_waits,
      nothing_else_is_hooked_that_submits)
