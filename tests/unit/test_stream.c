// SPDX-License-Identifier: Apache-2.0
/* What proves that work has completed: streams, events, contexts, destroyed streams, reuse. */
#include "tests/harness.h"
#include "tests/unit/fake_driver.h"

static struct rein_row *row_of(CUstream s)
{
	return rein_row_seek(s, 0);
}

static uint64_t left(CUstream s)
{
	struct rein_row *row = row_of(s);
	return rein_load_seqcst(&row->begun) - rein_load_seqcst(&row->completed);
}

static CUevent new_event(void)
{
	CUevent e;
	(void)fake_event_create(&e, 0);
	return e;
}

TEST(stream_sync_completes_its_stream_only)
{
	fake_start();
	CUstream a = new_stream(0), b = new_stream(0);
	launch(a);
	launch(b);
	launch(NULL);
	hook_cuStreamSynchronize(a);
	ck_assert_uint_eq(left(a), 0);
	ck_assert_uint_eq(left(b), 1);
	ck_assert(active());
	hook_cuStreamSynchronize(b);
	ck_assert(active());
	hook_cuStreamSynchronize(CU_STREAM_LEGACY); /* the same stream as NULL */
	ck_assert(!active());
}
TEST_END

TEST(failed_sync_completes_nothing)
{
	fake_start();
	launch(NULL);
	fake_sync_result = CUDA_ERROR_INVALID_HANDLE;
	hook_cuStreamSynchronize(NULL);
	ck_assert(active());
	fake_sync_result = CUDA_ERROR_ILLEGAL_ADDRESS; /* sticky: everything is over */
	hook_cuStreamSynchronize(NULL);
	ck_assert(!active());
}
TEST_END

TEST(query_completes_if_it_succeeds)
{
	fake_start();
	CUstream a = new_stream(0);
	launch(a);
	ck_assert_int_eq(hook_cuStreamQuery(a), CUDA_ERROR_NOT_READY);
	ck_assert(active());
	finish(a);
	ck_assert_int_eq(hook_cuStreamQuery(a), CUDA_SUCCESS);
	ck_assert(!active());
}
TEST_END

TEST(context_sync_completes_all_its_streams)
{
	fake_start();
	CUstream a = new_stream(0), b = new_stream(CU_STREAM_NON_BLOCKING);
	launch(a);
	launch(b);
	launch(NULL);
	hook_cuCtxSynchronize();
	ck_assert(!active());
}
TEST_END

TEST(default_streams_of_two_contexts_differ)
{
	fake_start();
	launch(NULL);
	hook_cuStreamSynchronize(NULL);
	fake_current = 1;
	rein_context_note(fake_context(1), 0);
	launch(NULL);
	fake_current = 0;
	launch(NULL);
	ck_assert_int_eq(hook_cuStreamSynchronize(NULL), CUDA_SUCCESS);
	ck_assert_uint_eq(left(NULL), 0);
	ck_assert(active());
	hook_cuCtxSynchronize();
	ck_assert(active());
	fake_current = 1;
	ck_assert_uint_eq(left(NULL), 1);
	hook_cuCtxSynchronize();
	ck_assert(!active());
}
TEST_END

static void *launch_per_thread(void *unused)
{
	hook_cuLaunchKernel_ptsz((CUfunction)0x1000, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL);
	return NULL;
}

TEST(per_thread_streams_differ_by_thread)
{
	pthread_t thread;
	fake_start();
	pthread_create(&thread, NULL, launch_per_thread, NULL);
	pthread_join(thread, NULL);
	launch_per_thread(NULL);
	hook_cuStreamSynchronize_ptsz(NULL);
	ck_assert(active());                 /* the other thread's is not ours to complete */
	ck_assert(!rein_helper_look(false)); /* nor the helper's to ask about */
	ck_assert(rein_helper_look(true));   /* but at last it counts as over */
	ck_assert(!active());
}
TEST_END

TEST(event_completes_what_came_before_its_record)
{
	fake_start();
	CUstream a = new_stream(0);
	CUevent e = new_event();
	launch(a);
	launch(a);
	hook_cuEventRecord(e, a);
	launch(a);
	hook_cuEventSynchronize(e);
	ck_assert_uint_eq(left(a), 1);
	ck_assert(active());
	hook_cuEventRecord(e, a);
	ck_assert_int_eq(hook_cuEventQuery(e), CUDA_ERROR_NOT_READY);
	finish(a);
	ck_assert_int_eq(hook_cuEventQuery(e), CUDA_SUCCESS);
	ck_assert(!active());
	hook_cuEventDestroy_v2(e);
}
TEST_END

TEST(event_recorded_anew_proves_its_new_record_only)
{
	fake_start();
	CUstream a = new_stream(0), b = new_stream(0);
	CUevent e = new_event();
	launch(a);
	hook_cuEventRecord(e, a);
	launch(b);
	/* another thread records the event anew while this one waits for the first record */
	uint64_t word = rein_event_look(e);
	hook_cuEventRecord(e, b);
	rein_event_done(e, word);
	ck_assert_uint_eq(left(a), 1);
	ck_assert_uint_eq(left(b), 1);
	hook_cuEventSynchronize(e);
	ck_assert_uint_eq(left(a), 1);
	ck_assert_uint_eq(left(b), 0);
}
TEST_END

TEST(event_destroyed_and_reused_proves_nothing)
{
	fake_start();
	CUstream a = new_stream(0);
	CUevent e = new_event();
	launch(a);
	hook_cuEventRecord(e, a);
	hook_cuEventDestroy_v2(e);
	ck_assert_uint_eq(rein_event_look(e), 0);
}
TEST_END

TEST(event_in_a_capture_proves_nothing)
{
	CUgraph graph;
	fake_start();
	CUstream a = new_stream(0);
	CUevent e = new_event();
	launch(a);
	hook_cuEventRecord(e, a);
	hook_cuStreamBeginCapture_v2(a, CU_STREAM_CAPTURE_MODE_GLOBAL);
	hook_cuEventRecord(e, a);
	ck_assert_uint_eq(rein_event_look(e), 0);
	hook_cuStreamEndCapture(a, &graph);
}
TEST_END

/* Recorded by us, then by a graph: that it has completed says nothing of our record any more. */
TEST(event_that_a_graph_records_proves_nothing)
{
	fake_start();
	CUstream a = new_stream(0);
	CUgraphNodeParams node = {.type = CU_GRAPH_NODE_TYPE_EVENT_RECORD};
	CUgraphNodeParams other = {.type = CU_GRAPH_NODE_TYPE_KERNEL};
	for (int how = 0; how < 8; how++) {
		CUevent e = new_event();
		launch(a);
		hook_cuEventRecord(e, a);
		ck_assert_uint_ne(rein_event_look(e), 0);
		node.eventRecord.event = other.eventRecord.event = e;
		hook_cuGraphAddNode_v2(NULL, NULL, NULL, NULL, 0, &other);
		ck_assert_uint_ne(rein_event_look(e), 0);
		switch (how) {
		case 0:
			hook_cuGraphAddEventRecordNode(NULL, NULL, NULL, 0, e);
			break;
		case 1:
			hook_cuGraphEventRecordNodeSetEvent(NULL, e);
			break;
		case 2:
			hook_cuGraphExecEventRecordNodeSetEvent(NULL, NULL, e);
			break;
		case 3:
			hook_cuGraphAddNode(NULL, NULL, NULL, 0, &node);
			break;
		case 4:
			hook_cuGraphAddNode_v2(NULL, NULL, NULL, NULL, 0, &node);
			break;
		case 5:
			hook_cuGraphNodeSetParams(NULL, &node);
			break;
		case 6:
			hook_cuGraphExecNodeSetParams(NULL, NULL, &node);
			break;
		default: /* a node by way of a capture */
			hook_cuEventRecordWithFlags(e, a, CU_EVENT_RECORD_EXTERNAL);
		}
		ck_assert_msg(rein_event_look(e) == 0, "way %d", how);
		hook_cuEventRecord(e, a); /* and so it stays, for a launch may come any time */
		ck_assert_msg(rein_event_look(e) == 0, "way %d", how);
		hook_cuEventSynchronize(e);
		ck_assert_uint_gt(left(a), 0);
		rein_event_drop(e); /* destroyed; the next one of this address is another event */
		hook_cuEventRecord(e, a);
		ck_assert_uint_ne(rein_event_look(e), 0);
		hook_cuEventDestroy_v2(e);
	}
}
TEST_END

TEST(event_of_a_whole_context_proves_nothing)
{
	fake_start();
	CUstream a = new_stream(0);
	CUevent e = new_event();
	launch(a);
	for (int green = 0; green < 2; green++) {
		hook_cuEventRecord(e, a);
		ck_assert_uint_ne(rein_event_look(e), 0);
		if (green)
			hook_cuGreenCtxRecordEvent(NULL, e);
		else
			hook_cuCtxRecordEvent(NULL, e);
		ck_assert_uint_eq(rein_event_look(e), 0);
	}
	hook_cuEventRecord(e, a); /* until it is recorded in a stream again */
	ck_assert_uint_ne(rein_event_look(e), 0);
}
TEST_END

static CUresult open_event(CUevent *out, CUipcEventHandle handle)
{
	return fake_event_create(out, 0);
}

static CUresult wait_event(CUstream s, CUevent e, unsigned flags)
{
	return fake_submit(s);
}

static CUevent shared_event;
static CUstream shared_stream;

static void *record_shared(void *unused)
{
	ck_assert_int_eq(hook_cuEventRecord(shared_event, shared_stream), CUDA_SUCCESS);
	return NULL;
}

static void *wait_for_shared(void *unused)
{
	ck_assert_int_eq(hook_cuStreamWaitEvent(shared_stream, shared_event, 0), CUDA_SUCCESS);
	return NULL;
}

static bool waits(void *unused)
{
	return demand() & REIN_DEMAND_WAITING;
}

static void held_at_the_gate(void *(*what)(void *))
{
	pthread_t thread;
	uint64_t before = rein_rows_returned();
	set_gate(REIN_GATE_CLOSED, 600 * REIN_S);
	pthread_create(&thread, NULL, what, NULL);
	ck_assert(eventually(waits, NULL, 20000));
	ck_assert_uint_eq(rein_rows_returned(), before);
	set_gate(REIN_GATE_OPEN, 0);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(rein_rows_returned(), before + 1);
	ck_assert(active());
	hook_cuStreamSynchronize(shared_stream);
	ck_assert(!active());
}

TEST(event_between_processes_is_a_submission)
{
	CUipcEventHandle handle = {{0}};
	fake_start();
	real.cuIpcOpenEventHandle = open_event;
	real.cuStreamWaitEvent = wait_event;
	shared_stream = new_stream(0);
	for (int exported = 0; exported < 2; exported++) {
		if (exported) {
			shared_event = new_event();
			hook_cuIpcGetEventHandle(&handle, shared_event);
		} else {
			ck_assert_int_eq(hook_cuIpcOpenEventHandle(&shared_event, handle), 0);
		}
		held_at_the_gate(record_shared);
		ck_assert_uint_eq(rein_event_look(shared_event), 0); /* theirs may be later */
		held_at_the_gate(wait_for_shared);
	}
	/* one of this process alone is neither */
	CUevent own = new_event();
	set_gate(REIN_GATE_CLOSED, 600 * REIN_S);
	hook_cuEventRecord(own, shared_stream);
	hook_cuStreamWaitEvent(shared_stream, own, 0);
	ck_assert(!active());
}
TEST_END

TEST(more_special_events_than_fit)
{
	enum { N = 5000 };
	fake_start();
	CUstream a = new_stream(0);
	CUevent ordinary = new_event();
	launch(a);
	hook_cuEventRecord(ordinary, a);
	struct fake_event *e = calloc(N, sizeof(*e));
	for (unsigned i = 0; i < N; i++)
		hook_cuGraphEventRecordNodeSetEvent(NULL, (CUevent)&e[i]);
	for (unsigned i = 0; i < N; i++)
		ck_assert(rein_event_kinds((CUevent)&e[i]) & REIN_EVENT_ELSEWHERE);
	ck_assert_uint_eq(rein_event_look(ordinary), 0); /* nobody can tell any more */
	free(e);
}
TEST_END

TEST(full_event_table_stays_conservative)
{
	enum { N = 20000 };
	fake_start();
	CUstream a = new_stream(0);
	launch(a);
	struct fake_event *e = calloc(N, sizeof(*e));
	unsigned tracked = 0;
	for (unsigned i = 0; i < N; i++)
		hook_cuEventRecord((CUevent)&e[i], a);
	for (unsigned i = 0; i < N; i++)
		tracked += rein_event_look((CUevent)&e[i]) != 0;
	ck_assert_uint_gt(tracked, 1000);
	ck_assert_uint_lt(tracked, N);
	for (unsigned i = 0; i < N; i++)
		rein_event_drop((CUevent)&e[i]);
	hook_cuEventRecord((CUevent)&e[N - 1], a);
	ck_assert_uint_ne(rein_event_look((CUevent)&e[N - 1]), 0);
	free(e);
}
TEST_END

TEST(destroyed_stream_counts_until_its_mark_completes)
{
	fake_start();
	CUstream a = new_stream(0);
	launch(a);
	struct rein_row *row = row_of(a);
	hook_cuStreamDestroy_v2(a);
	uint32_t asked = fake_queries;
	ck_assert_uint_eq(fake_records, 1);
	ck_assert(active());
	ck_assert_ptr_null(rein_row_seek(a, 0));
	ck_assert(!rein_helper_look(false));
	ck_assert_uint_eq(fake_queries, asked); /* never a question about a destroyed stream */
	((struct fake_stream *)a)->done = 1;
	ck_assert(rein_helper_look(false));
	ck_assert(!active());
	(void)row;
}
TEST_END

TEST(reused_handle_is_a_new_stream)
{
	fake_start();
	CUstream a = new_stream(0);
	launch(a);
	struct rein_row *old = row_of(a);
	hook_cuStreamDestroy_v2(a);
	rein_row_new(a, 0, 0); /* the driver gives the same handle again */
	launch(a);
	ck_assert_ptr_ne(row_of(a), old);
	hook_cuStreamSynchronize(a);
	ck_assert_uint_eq(left(a), 0);
	ck_assert(active()); /* the old one's work is not proven */
	hook_cuCtxSynchronize();
	ck_assert(!active());
}
TEST_END

TEST(rows_of_drained_streams_are_reused)
{
	fake_start();
	for (int i = 0; i < 3 * REIN_ROWS; i++) {
		CUstream a = new_stream(0);
		launch(a);
		hook_cuStreamSynchronize(a);
		hook_cuStreamDestroy_v2(a);
	}
	ck_assert_uint_lt(rein_rows_used(), 10);
	ck_assert(!active());
}
TEST_END

/* Only used ones are looked at whenever something completes. */
TEST(streams_never_used_cost_nothing)
{
	fake_start();
	CUstream made[150];
	for (int i = 0; i < 150; i++)
		made[i] = new_stream(CU_STREAM_NON_BLOCKING);
	ck_assert_uint_eq(rein_rows_used(), 0);
	launch(made[140]);
	launch(made[7]);
	launch(made[140]);
	ck_assert_uint_eq(rein_rows_used(), 2);
	ck_assert_ptr_eq(rein_row_used(0), row_of(made[140]));
	ck_assert_ptr_eq(rein_row_at(rein_row_number(row_of(made[7]))), rein_row_used(1));
	ck_assert_uint_eq(rein_rows_begun(), 3);
	hook_cuStreamSynchronize(made[140]);
	ck_assert(active());
	hook_cuCtxSynchronize();
	ck_assert(!active());
}
TEST_END

TEST(more_streams_than_rows)
{
	fake_start();
	CUstream last = NULL;
	for (int i = 0; i < 2 * REIN_ROWS; i++)
		launch(last = new_stream(0));
	hook_cuStreamSynchronize(last);
	ck_assert(active());
	hook_cuCtxSynchronize(); /* proves the first REIN_SYNC_ROWS of them only */
	ck_assert(active());
	ck_assert_uint_eq(rein_rows_returned(), 2 * REIN_ROWS);
	rein_rows_complete_scope(0);
	rein_demand_try_idle();
	ck_assert(!active());
}
TEST_END

TEST(blocking_copy_completes_blocking_streams)
{
	fake_start();
	CUstream blocking = new_stream(0), other = new_stream(CU_STREAM_NON_BLOCKING);
	launch(NULL);
	launch(blocking);
	launch(other);
	hook_cuMemcpyDtoH_v2(NULL, 0, 4);
	ck_assert_uint_eq(left(NULL), 0);
	ck_assert_uint_eq(left(blocking), 0);
	ck_assert_uint_eq(left(other), 1);
	hook_cuStreamSynchronize(other);
	ck_assert(!active());
	hook_cuMemcpyDtoH_v2(NULL, 0, 4);
	ck_assert(!active());
}
TEST_END

TEST(destroyed_context_is_over)
{
	fake_start();
	CUstream a = new_stream(0);
	launch(a);
	launch(NULL);
	hook_cuCtxDestroy_v2(fake_context(0));
	ck_assert(!active());
	ck_assert_ptr_null(rein_row_seek(a, 0));
}
TEST_END

static CUresult green_stream(CUstream *out, CUgreenCtx green, unsigned flags, int priority)
{
	return fake_stream_create(out, flags);
}

static CUresult green_destroy(CUgreenCtx green)
{
	return green ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

TEST(destroyed_green_context_is_over)
{
	fake_start();
	char handle[2] = {0};
	CUgreenCtx green = (CUgreenCtx)&handle[0], other = (CUgreenCtx)&handle[1];
	CUstream s, t;
	real.cuGreenCtxStreamCreate = green_stream;
	real.cuGreenCtxDestroy = green_destroy;
	ck_assert_int_eq(hook_cuGreenCtxStreamCreate(&s, green, CU_STREAM_NON_BLOCKING, 0), 0);
	ck_assert_int_eq(hook_cuGreenCtxStreamCreate(&t, other, CU_STREAM_NON_BLOCKING, 0), 0);
	launch(s);
	launch(t);
	ck_assert_int_ne(hook_cuGreenCtxDestroy(NULL), CUDA_SUCCESS);
	ck_assert(active());
	ck_assert_int_eq(hook_cuGreenCtxDestroy(green), CUDA_SUCCESS);
	ck_assert(active()); /* the other one's work is not over */
	ck_assert_ptr_null(rein_row_seek(s, 0));
	ck_assert_ptr_nonnull(rein_row_seek(t, 0));
	ck_assert_int_eq(hook_cuGreenCtxDestroy(other), CUDA_SUCCESS);
	ck_assert(!active());
}
TEST_END

TEST(helper_asks_nothing_while_a_capture_is_on)
{
	CUgraph graph;
	fake_start();
	CUstream a = new_stream(0), b = new_stream(0);
	launch(b);
	finish(b);
	hook_cuStreamBeginCapture_v2(a, CU_STREAM_CAPTURE_MODE_GLOBAL);
	uint32_t asked = fake_queries;
	ck_assert(!rein_helper_look(true));
	ck_assert_uint_eq(fake_queries, asked);
	hook_cuStreamEndCapture(a, &graph);
	ck_assert(rein_helper_look(false));
	ck_assert(!active());
}
TEST_END

TESTS("completion", stream_sync_completes_its_stream_only, failed_sync_completes_nothing,
      query_completes_if_it_succeeds, context_sync_completes_all_its_streams,
      default_streams_of_two_contexts_differ, per_thread_streams_differ_by_thread,
      event_completes_what_came_before_its_record, event_recorded_anew_proves_its_new_record_only,
      event_destroyed_and_reused_proves_nothing, event_in_a_capture_proves_nothing,
      event_that_a_graph_records_proves_nothing, event_of_a_whole_context_proves_nothing,
      event_between_processes_is_a_submission, more_special_events_than_fit,
      full_event_table_stays_conservative, destroyed_stream_counts_until_its_mark_completes,
      reused_handle_is_a_new_stream, rows_of_drained_streams_are_reused,
      streams_never_used_cost_nothing, more_streams_than_rows,
      blocking_copy_completes_blocking_streams, destroyed_context_is_over,
      destroyed_green_context_is_over, helper_asks_nothing_while_a_capture_is_on)
