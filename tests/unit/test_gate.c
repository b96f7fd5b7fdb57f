// SPDX-License-Identifier: Apache-2.0
/* The launch gate and the demand word: open, closed, lapsed, captured, off. */
#include "tests/harness.h"
#include "tests/unit/fake_driver.h"

#include <errno.h>

static CUstream stream;

static void start(void)
{
	fake_start();
	stream = new_stream(CU_STREAM_NON_BLOCKING);
}

static void *launch_in_thread(void *result)
{
	*(CUresult *)result = launch(stream);
	return NULL;
}

static bool waits(void *unused)
{
	return demand() & REIN_DEMAND_WAITING;
}

TEST(open_gate_calls_the_driver)
{
	start();
	ck_assert(!active());
	errno = 77;
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(launch(stream), CUDA_SUCCESS);
	ck_assert_int_eq(errno, 77);
	ck_assert_uint_eq(given(stream), 10);
	ck_assert(active());
	ck_assert_uint_eq(rein_load_relaxed(&REIN_STATUS->total.gate_waits), 0);
	ck_assert_uint_eq(rein_load_relaxed(&REIN_STATUS->total.requests), 1);
}
TEST_END

TEST(sync_ends_the_request)
{
	start();
	launch(stream);
	uint32_t before = demand();
	ck_assert_int_eq(hook_cuStreamSynchronize(stream), CUDA_SUCCESS);
	ck_assert(!active());
	ck_assert_uint_gt(demand() / REIN_DEMAND_COUNT, before / REIN_DEMAND_COUNT);
	ck_assert_uint_eq(rein_load_relaxed(&REIN_STATUS->total.submissions), 1);
	launch(stream);
	ck_assert(active());
	ck_assert_uint_eq(rein_load_relaxed(&REIN_STATUS->total.requests), 2);
}
TEST_END

TEST(closed_gate_holds_until_opened)
{
	pthread_t thread;
	CUresult r = CUDA_ERROR_UNKNOWN;
	start();
	set_gate(REIN_GATE_CLOSED, 60 * REIN_S);
	pthread_create(&thread, NULL, launch_in_thread, &r);
	ck_assert(eventually(waits, NULL, 10000));
	ck_assert(active());
	ck_assert_uint_eq(given(stream), 0);
	set_gate(REIN_GATE_OPEN, 0);
	pthread_join(thread, NULL);
	ck_assert_int_eq(r, CUDA_SUCCESS);
	ck_assert_uint_eq(given(stream), 1);
	ck_assert(!(demand() & REIN_DEMAND_WAITING));
	ck_assert_uint_eq(rein_load_relaxed(&REIN_STATUS->total.gate_waits), 1);
	ck_assert_uint_gt(rein_load_relaxed(&REIN_STATUS->total.gate_wait_ns), 0);
	ck_assert_uint_eq(rein_load_relaxed(&REIN_STATUS->total.lapses), 0);
}
TEST_END

TEST(lapsed_lease_counts_as_open)
{
	start();
	set_gate(REIN_GATE_CLOSED, 20 * REIN_MS);
	uint64_t until = rein_load_relaxed(&REIN_CONTROL->verdict[0].lease_until_ns);
	errno = 77;
	ck_assert_int_eq(launch(stream), CUDA_SUCCESS);
	ck_assert_int_eq(errno, 77);
	ck_assert_uint_ge(rein_now_ns(), until);
	ck_assert_uint_eq(rein_load_relaxed(&REIN_STATUS->total.lapses), 1);
	launch(stream); /* no wait any more */
	ck_assert_uint_eq(rein_load_relaxed(&REIN_STATUS->total.gate_waits), 1);
	ck_assert_uint_eq(given(stream), 2);
}
TEST_END

TEST(renewed_lease_holds_on)
{
	pthread_t thread;
	CUresult r = CUDA_ERROR_UNKNOWN;
	start();
	set_gate(REIN_GATE_CLOSED, 200 * REIN_MS);
	pthread_create(&thread, NULL, launch_in_thread, &r);
	ck_assert(eventually(waits, NULL, 10000));
	uint64_t first = rein_load_relaxed(&REIN_CONTROL->verdict[0].lease_until_ns);
	rein_store_release(&REIN_CONTROL->verdict[0].lease_until_ns, first + 60 * REIN_S);
	while (rein_now_ns() < first + 20 * REIN_MS)
		sched_yield();
	ck_assert_uint_eq(given(stream), 0);
	set_gate(REIN_GATE_OPEN, 0);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(rein_load_relaxed(&REIN_STATUS->total.lapses), 0);
}
TEST_END

TEST(capture_is_not_gated_nor_counted)
{
	CUgraph graph;
	start();
	set_gate(REIN_GATE_CLOSED | REIN_GATE_METERED, 60 * REIN_S);
	ck_assert_int_eq(hook_cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL), 0);
	launch(stream);
	ck_assert_uint_eq(given(stream), 1);
	ck_assert_uint_eq(fake_records, 0);
	ck_assert(!active());
	ck_assert_int_eq(hook_cuStreamEndCapture(stream, &graph), CUDA_SUCCESS);
	ck_assert(!rein_capture_any());
	/* other streams are gated while one captures */
	CUstream other = new_stream(0);
	hook_cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL);
	set_gate(REIN_GATE_CLOSED, 5 * REIN_MS);
	launch(other);
	ck_assert_uint_eq(rein_load_relaxed(&REIN_STATUS->total.gate_waits), 1);
	ck_assert(active());
	/* a destroyed stream captures no more */
	hook_cuStreamDestroy_v2(stream);
	ck_assert(!rein_capture_any());
}
TEST_END

TEST(ordering_is_neither_gated_nor_counted)
{
	struct fake_event event = {NULL, 0, 0};
	start();
	set_gate(REIN_GATE_CLOSED, 60 * REIN_S);
	hook_cuStreamWaitEvent(stream, NULL, 0);
	hook_cuEventRecord((CUevent)&event, stream);
	ck_assert_uint_eq(demand(), 0);
}
TEST_END

TEST(failed_launch_is_the_drivers_answer)
{
	start();
	fake_launch_result = CUDA_ERROR_INVALID_VALUE;
	ck_assert_int_eq(launch(stream), CUDA_ERROR_INVALID_VALUE);
	ck_assert(!active()); /* the slow path sees that nothing was submitted */
	fake_launch_result = CUDA_SUCCESS;
	launch(stream);
	fake_launch_result = CUDA_ERROR_INVALID_VALUE;
	ck_assert_int_eq(launch(stream), CUDA_ERROR_INVALID_VALUE);
	finish(stream);
	ck_assert(active()); /* the fast path does not: counted until something proves it over */
	ck_assert(rein_helper_look(false));
	ck_assert(!active());
}
TEST_END

TEST(disabled_shim_passes_through)
{
	setenv("REIN_DISABLE", "1", 1);
	start();
	set_gate(REIN_GATE_CLOSED, 60 * REIN_S);
	ck_assert_int_eq(launch(stream), CUDA_SUCCESS);
	ck_assert_int_eq(hook_cuStreamSynchronize(stream), CUDA_SUCCESS);
	ck_assert_uint_eq(given(stream), 1);
	ck_assert_uint_eq(demand(), 0);
}
TEST_END

TEST(devices_are_declared_once)
{
	start();
	launch(stream);
	ck_assert_uint_eq(rein_load_relaxed(&REIN_STATUS->device[0].used), 1);
	ck_assert_int_eq(REIN_STATUS->device[0].uuid[5], 0x40);
	rein_attach_device(1);
	rein_attach_device(0);
	ck_assert_uint_eq(rein_load_relaxed(&REIN_STATUS->device[1].used), 1);
	ck_assert_int_eq(REIN_STATUS->device[1].uuid[5], 0x41);
	ck_assert_uint_eq(rein_load_relaxed(&REIN_STATUS->device[2].used), 0);
}
TEST_END

TESTS("launch gate", open_gate_calls_the_driver, sync_ends_the_request,
      closed_gate_holds_until_opened, lapsed_lease_counts_as_open, renewed_lease_holds_on,
      capture_is_not_gated_nor_counted, ordering_is_neither_gated_nor_counted,
      failed_launch_is_the_drivers_answer, disabled_shim_passes_through, devices_are_declared_once)
