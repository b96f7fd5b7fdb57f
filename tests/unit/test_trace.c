// SPDX-License-Identifier: Apache-2.0
/* The shim's event records: what is written, when, by whom; and which thread has which ring. */
#include "tests/harness.h"
#include "tests/unit/fake_driver.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "interpose/request.h"
#include "interpose/trace.h"

static CUstream stream;
static struct rein_ring_cursor cursor;
static struct rein_trace_record got[REIN_RING_CELLS];
static unsigned n_got;

static void start(void)
{
	fake_start();
	stream = new_stream(CU_STREAM_NON_BLOCKING);
}

/* What all rings hold since the last time. */
static unsigned take(void)
{
	uint64_t lost = 0;
	n_got = 0;
	for (unsigned ring = 0; ring < REIN_RING_COUNT; ring++)
		n_got += rein_ring_read(REIN_RINGS, ring, &cursor, got + n_got,
		                        REIN_RING_CELLS - n_got, true, &lost);
	ck_assert_uint_eq(lost, 0);
	return n_got;
}

static const struct rein_trace_record *find(enum rein_trace_kind kind)
{
	for (unsigned i = 0; i < n_got; i++)
		if (got[i].kind == kind)
			return &got[i];
	ck_abort_msg("no record of kind %d among %u", kind, n_got);
}

static unsigned count(enum rein_trace_kind kind)
{
	unsigned n = 0;
	for (unsigned i = 0; i < n_got; i++)
		n += got[i].kind == kind;
	return n;
}

TEST(off_writes_nothing)
{
	start();
	launch(stream);
	hook_cuStreamSynchronize(stream);
	set_gate(REIN_GATE_METERED, REIN_S);
	launch(stream);
	rein_requests_end(rein_requests_begin(0, 0));
	ck_assert_uint_eq(take(), 0);
}
TEST_END

TEST(a_launch_is_recorded_as_it_was_made)
{
	const uint32_t grid[3] = {3, 4, 5}, block[3] = {32, 2, 1};
	start();
	launch(stream); /* active, so that the next one takes the short path */
	set_gate(REIN_GATE_TRACED, 0);
	uint64_t before = rein_trace_now();
	errno = 77;
	ck_assert_int_eq(hook_cuLaunchKernel((CUfunction)(uintptr_t)0x1234, 3, 4, 5, 32, 2, 1, 96,
	                                     stream, NULL, NULL),
	                 CUDA_SUCCESS);
	ck_assert_int_eq(errno, 77);
	uint64_t after = rein_trace_now();
	ck_assert_uint_eq(given(stream), 2);
	ck_assert_uint_eq(take(), 1);
	const struct rein_trace_record *r = find(REIN_TRACE_SUBMIT);
	ck_assert_uint_eq(r->thread, (uint32_t)syscall(SYS_gettid));
	ck_assert_uint_eq(r->entry, rein_trace_entry("cuLaunchKernel"));
	ck_assert_uint_eq(r->result, 0);
	ck_assert(before <= r->begin && r->begin <= r->end && r->end <= after);
	ck_assert_uint_eq(r->number, 2);
	ck_assert_uint_eq(rein_trace_key(r), rein_kmodel_key(0x1234, grid, block, 96));
	ck_assert(active());
	hook_cuStreamSynchronize(stream);
	ck_assert(!active()); /* it was counted like any other */
	ck_assert_uint_eq(take(), 2);
	ck_assert_uint_eq(find(REIN_TRACE_SYNC)->number, 2);
	ck_assert_uint_eq(find(REIN_TRACE_SYNC)->stream, r->stream);
	ck_assert_uint_eq(find(REIN_TRACE_SYNC)->entry, rein_trace_entry("cuStreamSynchronize"));
	(void)find(REIN_TRACE_IDLE);
}
TEST_END

/* Idle, metered, refused, blocking, pure ordering, a question answered with no. */
TEST(every_way_writes_its_records)
{
	CUevent event;
	char host[8];
	start();
	set_gate(REIN_GATE_TRACED, 0);
	launch(stream);
	ck_assert_uint_eq(take(), 2);
	(void)find(REIN_TRACE_ACTIVE);
	ck_assert_uint_eq(find(REIN_TRACE_SUBMIT)->number, 1);
	/* metered, behind work that does not end: a wait for room, given up */
	rein_backlog_patience_ns = 5 * REIN_MS;
	set_gate(REIN_GATE_TRACED | REIN_GATE_METERED, 0);
	ck_assert_int_eq(hook_cuMemcpyHtoDAsync_v2(1, host, sizeof(host), stream), CUDA_SUCCESS);
	ck_assert_uint_eq(take(), 2);
	ck_assert_uint_eq(find(REIN_TRACE_BACKLOG)->flags, REIN_TRACE_LAPSED);
	ck_assert_uint_eq(find(REIN_TRACE_BACKLOG)->stream, find(REIN_TRACE_SUBMIT)->stream);
	ck_assert_uint_eq(find(REIN_TRACE_SUBMIT)->a, sizeof(host));
	ck_assert_uint_eq(find(REIN_TRACE_SUBMIT)->b, 0);
	set_gate(REIN_GATE_TRACED, 0);
	fake_launch_result = CUDA_ERROR_INVALID_VALUE;
	ck_assert_int_eq(launch(stream), CUDA_ERROR_INVALID_VALUE);
	fake_launch_result = CUDA_SUCCESS;
	ck_assert_uint_eq(take(), 1);
	ck_assert_uint_eq(got[0].result, CUDA_ERROR_INVALID_VALUE);
	ck_assert_int_eq(hook_cuStreamQuery(stream), CUDA_ERROR_NOT_READY);
	ck_assert_int_eq(real.cuEventCreate(&event, CU_EVENT_DEFAULT), CUDA_SUCCESS);
	ck_assert_int_eq(hook_cuEventRecord(event, stream), CUDA_SUCCESS);
	ck_assert_uint_eq(take(), 0);
	ck_assert_int_eq(hook_cuMemcpyDtoH_v2(host, 1, sizeof(host)), CUDA_SUCCESS);
	take();
	ck_assert_uint_eq(find(REIN_TRACE_SUBMIT)->flags & REIN_TRACE_BLOCKING,
	                  REIN_TRACE_BLOCKING);
	ck_assert_uint_ne(find(REIN_TRACE_SUBMIT)->stream, REIN_TRACE_NO_STREAM);
}
TEST_END

static void *launch_in_thread(void *unused)
{
	launch(stream);
	return NULL;
}

static bool waits(void *unused)
{
	return demand() & REIN_DEMAND_WAITING;
}

TEST(a_closed_gate_is_recorded_with_its_holder)
{
	pthread_t thread;
	start();
	rein_store_relaxed(&REIN_CONTROL->verdict[0].holder, 42);
	set_gate(REIN_GATE_TRACED | REIN_GATE_CLOSED, 60 * REIN_S);
	uint64_t before = rein_now_ns();
	pthread_create(&thread, NULL, launch_in_thread, NULL);
	ck_assert(eventually(waits, NULL, 10000));
	set_gate(REIN_GATE_TRACED, 0);
	pthread_join(thread, NULL);
	take();
	const struct rein_trace_record *r = find(REIN_TRACE_GATE);
	ck_assert_uint_eq(r->number, 42);
	ck_assert(before <= r->begin && r->begin < r->end && r->end <= rein_now_ns());
	ck_assert_uint_eq(r->flags, 0);
	ck_assert_uint_ne(r->thread, (uint32_t)syscall(SYS_gettid));
	ck_assert_uint_eq(r->thread, find(REIN_TRACE_SUBMIT)->thread);
	/* and one that nobody opens: its lease lapses */
	set_gate(REIN_GATE_TRACED | REIN_GATE_CLOSED, REIN_MS);
	launch(stream);
	take();
	ck_assert_uint_eq(find(REIN_TRACE_GATE)->flags, REIN_TRACE_LAPSED);
}
TEST_END

TEST(declared_requests_are_recorded)
{
	start();
	set_gate(REIN_GATE_TRACED, 0);
	uint64_t arrival = rein_now_ns() - REIN_MS;
	uint64_t request = rein_requests_begin(arrival, 5 * REIN_MS);
	rein_requests_end(request);
	take();
	const struct rein_trace_record *begin = find(REIN_TRACE_REQUEST_BEGIN);
	ck_assert_uint_eq(begin->begin, arrival);
	ck_assert_uint_eq(begin->func, request);
	ck_assert_uint_eq(begin->flags, REIN_TRACE_DEADLINE);
	ck_assert_uint_eq(begin->a, arrival + 5 * REIN_MS);
	ck_assert_uint_eq(find(REIN_TRACE_REQUEST_END)->func, request);
	ck_assert_uint_eq(count(REIN_TRACE_ACTIVE), 1);
	ck_assert_uint_eq(count(REIN_TRACE_IDLE), 1);
}
TEST_END

TEST(what_is_captured_is_no_submission)
{
	CUgraph graph;
	start();
	set_gate(REIN_GATE_TRACED, 0);
	ck_assert_int_eq(hook_cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED),
	                 CUDA_SUCCESS);
	launch(stream);
	ck_assert_int_eq(hook_cuStreamEndCapture(stream, &graph), CUDA_SUCCESS);
	ck_assert_uint_eq(take(), 0);
}
TEST_END

/* ---------------------------------------------------------------- rings and threads */

static pthread_barrier_t together;

static void *write_one(void *alone)
{
	if (!alone)
		pthread_barrier_wait(&together);
	rein_trace_write(REIN_TRACE_SUBMIT, 0, 0, 0, 0, 0, 0);
	if (!alone)
		pthread_barrier_wait(&together);
	return NULL;
}

static uint64_t written_in(unsigned from, unsigned to)
{
	uint64_t sum = 0;
	for (unsigned i = from; i < to; i++)
		sum += rein_load_relaxed(&REIN_RINGS->ring[i].head);
	return sum;
}

TEST(rings_of_dead_threads_are_taken_again)
{
	pthread_t thread;
	start();
	for (unsigned i = 0; i < 5 * REIN_RING_COUNT; i++) {
		pthread_create(&thread, NULL, write_one, &together);
		pthread_join(thread, NULL);
	}
	ck_assert_uint_eq(written_in(REIN_RING_SHARED, REIN_RING_COUNT), 0);
	ck_assert_uint_eq(written_in(0, REIN_RING_COUNT), 5 * REIN_RING_COUNT);
	ck_assert_uint_eq(take(), 5 * REIN_RING_COUNT);
}
TEST_END

TEST(threads_beyond_share_a_ring_and_later_get_their_own)
{
	enum { THREADS = REIN_RING_COUNT + 8 };
	pthread_t thread[THREADS];
	start();
	pthread_barrier_init(&together, NULL, THREADS + 1);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, write_one, NULL);
	pthread_barrier_wait(&together);
	pthread_barrier_wait(&together);
	ck_assert_uint_eq(written_in(0, REIN_RING_SHARED), REIN_RING_SHARED);
	ck_assert_uint_eq(written_in(REIN_RING_SHARED, REIN_RING_COUNT),
	                  THREADS - REIN_RING_SHARED);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	ck_assert_uint_eq(take(), THREADS);
	pthread_barrier_destroy(&together);
	/* this one, had it had to share, would find the dead ones' rings soon */
	rein_tls.kernel_thread = (uint32_t)syscall(SYS_gettid);
	rein_tls.ring = REIN_RING_SHARED + 1;
	for (unsigned i = 0; i < 2000; i++)
		write_one(&together);
	ck_assert_uint_le(rein_tls.ring, REIN_RING_SHARED);
	ck_assert_uint_eq(take(), 2000);
}
TEST_END

/* A forked child holds nothing: what it writes reaches nobody. */
TEST(a_forked_child_writes_to_itself)
{
	int fd = memfd_create("rings", MFD_CLOEXEC), status;
	start();
	ck_assert_int_eq(ftruncate(fd, (off_t)REIN_RING_AREA_BYTES), 0);
	void *at = mmap(REIN_RINGS, REIN_RING_AREA_BYTES, PROT_READ | PROT_WRITE,
	                MAP_SHARED | MAP_FIXED, fd, 0);
	ck_assert_ptr_eq(at, REIN_RINGS);
	write_one(&together);
	ck_assert_uint_eq(written_in(0, REIN_RING_COUNT), 1);
	pid_t pid = fork();
	if (pid == 0) {
		rein_attach_let_go();
		write_one(&together);
		_exit(written_in(0, REIN_RING_COUNT) == 1 ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_uint_eq(written_in(0, REIN_RING_COUNT), 1);
	close(fd);
}
TEST_END

TEST(names_and_numbers_of_entries_agree)
{
	for (int i = 0; i < REIN_E_COUNT; i++)
		ck_assert_uint_eq(rein_entries[i].id, rein_trace_entry(rein_entries[i].name));
}
TEST_END

TESTS("event records", off_writes_nothing, a_launch_is_recorded_as_it_was_made,
      every_way_writes_its_records, a_closed_gate_is_recorded_with_its_holder,
      declared_requests_are_recorded, what_is_captured_is_no_submission,
      rings_of_dead_threads_are_taken_again, threads_beyond_share_a_ring_and_later_get_their_own,
      a_forked_child_writes_to_itself, names_and_numbers_of_entries_agree)
