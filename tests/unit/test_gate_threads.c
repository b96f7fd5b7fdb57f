// SPDX-License-Identifier: Apache-2.0
/*
 * Many threads on the open path: exact counts, and no lock among them. A thread that is stopped
 * wherever it happens to be, by a signal whose handler waits, must not keep any other from
 * submitting: with a lock on the path the others would stand still sooner or later.
 */
#include "tests/harness.h"
#include "tests/unit/fake_driver.h"

#include <semaphore.h>
#include <signal.h>
#include <unistd.h>

#define THREADS 64
#define LAUNCHES 2000
#define FEW 3 /* of which one is stopped: a signal waits until its thread gets a core */
#define STOPS 30
#define PATIENCE_NS (60 * REIN_S)

static rein_a64 done[THREADS];
static rein_a32 stop, release_it, stopped_now;
static CUstream streams[THREADS];

static void *launch_many(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	for (unsigned i = 0; i < LAUNCHES; i++) {
		launch(streams[me]);
		launch(streams[0]);
		launch(NULL);
	}
	hook_cuStreamSynchronize(streams[me]);
	return NULL;
}

static void start_all(pthread_t *t, unsigned n, void *(*main)(void *))
{
	fake_start();
	for (unsigned i = 0; i < THREADS; i++)
		streams[i] = new_stream(CU_STREAM_NON_BLOCKING);
	for (unsigned i = 0; i < n; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, main, (void *)(uintptr_t)i), 0);
}

TEST(sixty_four_threads_count_exactly)
{
	pthread_t t[THREADS];
	start_all(t, THREADS, launch_many);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	ck_assert_uint_eq(given(streams[1]), LAUNCHES);
	ck_assert_uint_eq(given(streams[0]), (THREADS + 1) * LAUNCHES);
	ck_assert_uint_eq(rein_rows_begun(), 3ull * THREADS * LAUNCHES);
	ck_assert_uint_eq(rein_rows_returned(), rein_rows_begun());
	ck_assert(active());
	hook_cuCtxSynchronize();
	hook_cuStreamSynchronize(NULL);
	hook_cuStreamSynchronize(streams[0]);
	ck_assert(!active());
	ck_assert_uint_eq(rein_load_relaxed(&REIN_STATUS->total.gate_waits), 0);
}
TEST_END

static void stop_here(int signal)
{
	rein_store_release(&stopped_now, 1);
	while (!rein_load_acquire(&release_it))
		sched_yield();
	rein_store_release(&stopped_now, 0);
}

static void *launch_for_ever(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	while (!rein_load_acquire(&stop)) {
		launch(streams[me]);
		launch(streams[0]); /* shared with all others */
		rein_add_relaxed(&done[me],
		                 1); /* no pause: it is to be stopped in the midst of it */
	}
	return NULL;
}

static uint64_t done_by_others(unsigned but)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < FEW; i++)
		sum += i == but ? 0 : rein_load_relaxed(&done[i]);
	return sum;
}

static bool all_have_begun(void *unused)
{
	for (unsigned i = 0; i < FEW; i++)
		if (!rein_load_relaxed(&done[i]))
			return false;
	return true;
}

static void until(const rein_a32 *word, uint32_t value)
{
	uint64_t end = rein_now_ns() + PATIENCE_NS;
	while (rein_load_acquire(word) != value) {
		ck_assert(rein_now_ns() < end);
		sched_yield();
	}
}

TEST(a_stopped_thread_stops_no_other)
{
	pthread_t t[FEW];
	struct sigaction on_stop = {.sa_handler = stop_here};
	sigaction(SIGUSR1, &on_stop, NULL);
	start_all(t, FEW, launch_for_ever);
	ck_assert(eventually(all_have_begun, NULL, 60000)); /* rows are made under a lock, once */
	for (unsigned i = 0; i < STOPS; i++) {
		unsigned who = i * 37 % FEW;
		rein_store_release(&release_it, 0);
		pthread_kill(t[who], SIGUSR1);
		until(&stopped_now, 1);
		uint64_t before = done_by_others(who), end = rein_now_ns() + PATIENCE_NS;
		while (done_by_others(who) < before + 4ull * FEW) {
			ck_assert_msg(rein_now_ns() < end, "nobody goes on while one is stopped");
			sched_yield();
		}
		rein_store_release(&release_it, 1);
		until(&stopped_now, 0);
	}
	rein_store_release(&stop, 1);
	for (unsigned i = 0; i < FEW; i++)
		pthread_join(t[i], NULL);
	ck_assert_uint_eq(rein_rows_returned(), rein_rows_begun());
}
TEST_END

TESTS("threads", sixty_four_threads_count_exactly, a_stopped_thread_stops_no_other)
