// SPDX-License-Identifier: Apache-2.0
/*
 * The concurrency model: the shim's real fast and slow paths in several threads, and a miniature
 * arbiter in another, on one mapping, so that ThreadSanitizer sees both sides. The arbiter obeys
 * abi.h's doorbell rule and closes and opens the gate as demand comes and goes.
 *
 * Checked: no wake-up is lost in either direction over many transitions (a lost one would stand
 * still until a lease or a time-out of many seconds); a closed gate admits at most one submission
 * of each thread, the one already past the check; demand and counts agree with the truth at the
 * end.
 */
#include "tests/harness.h"
#include "tests/unit/fake_driver.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define THREADS 3
#define LONG_NS (30 * REIN_S)
#ifdef __SANITIZE_THREAD__
#define TRANSITIONS 100000
#else
#define TRANSITIONS 150000
#endif

static int bell, push; /* the two ends of the doorbell */
static rein_a32 stop, stuck, violations;
static rein_a32 wanted_transitions;
static rein_a64 closures, sleeps;
static struct rein_verdict *const verdict = &REIN_CONTROL->verdict[0];
static uint32_t traced; /* REIN_GATE_TRACED in every gate word, or 0 */

/* ---------------------------------------------------------------- the miniature arbiter */

/* Asleep until rung: its own word first, then demand; nothing but the bell wakes it. */
static void arbiter_sleep(uint32_t seen)
{
	uint64_t rung;
	(void)rein_swap_seqcst(&REIN_BOARD->asleep, 1);
	while (demand() == seen && !rein_load_acquire(&stop)) {
		rein_add_relaxed(&sleeps, 1);
		struct pollfd p = {.fd = bell, .events = POLLIN};
		if (poll(&p, 1, (int)(LONG_NS / REIN_MS)) == 0)
			rein_store_release(&stuck, 1);
		if (read(bell, &rung, sizeof(rung)) < 0)
			break;
	}
	(void)rein_swap_seqcst(&REIN_BOARD->asleep, 0);
}

static void close_gate(void)
{
	rein_store_release(&verdict->lease_until_ns, rein_now_ns() + LONG_NS);
	rein_add_release(&verdict->generation, 1);
	rein_store_release(&verdict->gate, REIN_GATE_CLOSED | traced);
	rein_add_relaxed(&closures, 1);
}

static void open_gate(void)
{
	rein_store_release(&verdict->gate, REIN_GATE_OPEN | traced);
	rein_futex_wake_all(&verdict->gate);
}

static void *arbiter_main(void *unused)
{
	uint32_t seen = demand();
	bool closed = false;
	for (unsigned turn = 0; !rein_load_acquire(&stop); turn++) {
		for (int i = 0; i < 50 && demand() == seen; i++)
			rein_cpu_relax();
		if (demand() == seen && turn % 3 == 0)
			arbiter_sleep(seen);
		seen = demand();
		/* closed only while nobody waits, so that each close is followed by an open */
		if (closed && (seen & REIN_DEMAND_WAITING || turn % 2)) {
			closed = false;
			open_gate();
		} else if (!closed && seen & REIN_DEMAND_ACTIVE && !(seen & REIN_DEMAND_WAITING)) {
			closed = true;
			close_gate();
		}
	}
	open_gate();
	return NULL;
}

/* ---------------------------------------------------------------- the clients */

/* Inside the driver: a second submission of one thread within one closure must not get here. */
static CUresult model_launch(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                             unsigned by, unsigned bz, unsigned shared, CUstream s, void **params,
                             void **extra)
{
	static __thread uint32_t admitted;
	uint32_t before = rein_load_seqcst(&verdict->generation);
	uint32_t gate = rein_load_seqcst(&verdict->gate);
	if (gate & REIN_GATE_CLOSED && rein_load_seqcst(&verdict->generation) == before) {
		if (admitted == before)
			rein_add_relaxed(&violations, 1);
		admitted = before;
	}
	return fake_submit(s);
}

static void *client_main(void *unused)
{
	CUstream s = new_stream(CU_STREAM_NON_BLOCKING);
	unsigned turn = 0;
	while (!rein_load_acquire(&stop)) {
		for (unsigned i = 0; i <= turn % 4; i++)
			launch(s);
		if (++turn % 7 == 0)
			hook_cuStreamQuery(s);
		hook_cuStreamSynchronize(s);
		if (turn % 64 == 0)
			usleep(20); /* lets the arbiter fall asleep */
		if (demand() / REIN_DEMAND_COUNT > rein_load_relaxed(&wanted_transitions) &&
		    rein_load_relaxed(&closures) > 100 && rein_load_relaxed(&sleeps) > 10)
			rein_store_release(&stop, 1);
	}
	return NULL;
}

static void run(unsigned clients, uint32_t transitions)
{
	pthread_t arbiter, client[THREADS];
	uint64_t one = 1;
	fake_start();
	real.cuLaunchKernel = model_launch;
	wanted_transitions = transitions;
	int ends[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends),
	                 0);
	bell = ends[0];
	push = ends[1];
	ck_assert_int_eq(rein_attach_bell(push), 0);
	pthread_create(&arbiter, NULL, arbiter_main, NULL);
	for (unsigned i = 0; i < clients; i++)
		pthread_create(&client[i], NULL, client_main, NULL);
	for (unsigned i = 0; i < clients; i++)
		pthread_join(client[i], NULL);
	/* a full one has been rung and not yet heard */
	ck_assert(write(push, &one, sizeof(one)) == sizeof(one) || errno == EAGAIN);
	pthread_join(arbiter, NULL);
	ck_assert_uint_eq(stuck, 0);
	ck_assert_uint_eq(violations, 0);
	ck_assert_uint_eq(rein_load_relaxed(&REIN_STATUS->total.lapses), 0);
	ck_assert_uint_ge(demand() / REIN_DEMAND_COUNT, transitions);
	/* everything was synchronised: the truth is idle, and so it says */
	ck_assert(rein_rows_all_completed());
	ck_assert_uint_eq(demand() & (REIN_DEMAND_COUNT - 1), 0);
	ck_assert_uint_eq(rein_rows_begun(), rein_rows_returned());
}

TEST(one_thread)
{
	run(1, TRANSITIONS);
}
TEST_END

TEST(several_threads)
{
	run(THREADS, TRANSITIONS);
}
TEST_END

/* The same with event records, and a reader of the rings beside it. */
static void *reader_main(void *unused)
{
	static struct rein_trace_record out[REIN_RING_CELLS];
	struct rein_ring_cursor c = {0};
	uint64_t lost = 0, submissions = 0;
	bool last;
	do {
		last = rein_load_acquire(&stop);
		for (unsigned ring = 0; ring < REIN_RING_COUNT; ring++) {
			unsigned n =
			    rein_ring_read(REIN_RINGS, ring, &c, out, REIN_RING_CELLS, last, &lost);
			for (unsigned i = 0; i < n; i++) {
				ck_assert_uint_ge(out[i].end, out[i].begin);
				submissions += out[i].kind == REIN_TRACE_SUBMIT;
			}
		}
	} while (!last);
	ck_assert_uint_gt(submissions, 0);
	return NULL;
}

TEST(several_threads_with_records)
{
	pthread_t reader;
	traced = REIN_GATE_TRACED;
	rein_store_release(&verdict->gate, REIN_GATE_OPEN | traced);
	pthread_create(&reader, NULL, reader_main, NULL);
	run(THREADS, TRANSITIONS / 2);
	pthread_join(reader, NULL);
}
TEST_END

/* Idle is declared by one thread while others submit: demand must never say idle at rest while
 * work is outstanding. */
static void *idle_main(void *arg)
{
	CUstream s = new_stream(CU_STREAM_NON_BLOCKING);
	for (unsigned i = 0; i < TRANSITIONS / 10; i++) {
		launch(s);
		if (!active())
			rein_store_release(&stuck, 1);
		hook_cuStreamSynchronize(s);
	}
	return NULL;
}

TEST(never_idle_with_work_outstanding)
{
	pthread_t client[THREADS];
	fake_start();
	for (unsigned i = 0; i < THREADS; i++)
		pthread_create(&client[i], NULL, idle_main, NULL);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(client[i], NULL);
	ck_assert_uint_eq(stuck, 0);
	ck_assert(!active());
}
TEST_END

TESTS("model", one_thread, several_threads, several_threads_with_records,
      never_idle_with_work_outstanding)
