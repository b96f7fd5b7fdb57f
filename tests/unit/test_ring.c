// SPDX-License-Identifier: Apache-2.0
/* The event rings alone: order, loss, several writers beside a reader, hostile contents; and the
 * conversion of ticks. */
#include "tests/harness.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/ring.h"
#include "common/ticks.h"

#define WRITERS 3 /* beside those of the shared ring */
#define SHARERS 2
#ifdef __SANITIZE_THREAD__
#define WRITES 30000u
#else
#define WRITES 300000u
#endif

static struct rein_ring_area *area;
static struct rein_trace_record out[REIN_RING_CELLS];

static void start(void)
{
	area = calloc(1, sizeof(*area));
	ck_assert_ptr_nonnull(area);
}

/* A record all of whose words follow from one number. */
static void words_of(uint64_t word[8], uint64_t n, uint32_t thread)
{
	word[0] = thread;
	word[1] = REIN_TRACE_SUBMIT | n << 32;
	for (unsigned i = 2; i < 8; i++)
		word[i] = n * i + thread;
}

static bool whole(const struct rein_trace_record *r, uint64_t n)
{
	uint64_t want[8], got[8];
	words_of(want, n, r->thread);
	memcpy(got, r, sizeof(got));
	return memcmp(want + 1, got + 1, 7 * sizeof(got[0])) == 0;
}

static uint64_t number_of(const struct rein_trace_record *r)
{
	return (r->begin - r->thread) / 2;
}

static void put(unsigned ring, uint64_t n)
{
	uint64_t word[8];
	words_of(word, n, 7);
	if (ring == REIN_RING_SHARED)
		rein_ring_put_shared(area, word);
	else
		rein_ring_put(area, ring, word);
}

TEST(records_come_out_in_order_and_once)
{
	struct rein_ring_cursor c = {0};
	uint64_t lost = 0;
	start();
	for (unsigned ring = 0; ring < REIN_RING_COUNT; ring++) {
		for (uint64_t n = 0; n < 100; n++)
			put(ring, n);
		ck_assert_uint_eq(rein_ring_read(area, ring, &c, out, 60, false, &lost), 60);
		ck_assert_uint_eq(rein_ring_read(area, ring, &c, out + 60, 60, false, &lost), 40);
		for (uint64_t n = 0; n < 100; n++)
			ck_assert(whole(&out[n], n) && out[n].thread == 7);
		ck_assert_uint_eq(rein_ring_read(area, ring, &c, out, 60, false, &lost), 0);
	}
	ck_assert_uint_eq(lost, 0);
}
TEST_END

TEST(a_full_ring_keeps_the_newest_and_counts_the_rest)
{
	start();
	for (unsigned ring = 0; ring < REIN_RING_COUNT; ring += REIN_RING_SHARED) {
		struct rein_ring_cursor c = {0};
		uint64_t lost = 0, all = REIN_RING_CELLS * 3 + 17;
		for (uint64_t n = 0; n < all; n++)
			put(ring, n);
		ck_assert_uint_eq(
		    rein_ring_read(area, ring, &c, out, REIN_RING_CELLS, false, &lost),
		    REIN_RING_CELLS);
		ck_assert_uint_eq(lost, all - REIN_RING_CELLS);
		for (uint64_t n = 0; n < REIN_RING_CELLS; n++)
			ck_assert(whole(&out[n], lost + n));
	}
}
TEST_END

/* A thread that was killed, or drops its record, after it had reserved a cell. */
TEST(a_reserved_cell_holds_the_reader_up_but_not_for_ever)
{
	struct rein_ring_cursor c = {0}, dead = {0};
	uint64_t lost = 0;
	unsigned n = 0;
	start();
	put(REIN_RING_SHARED, 0);
	rein_add_relaxed(&area->ring[REIN_RING_SHARED].head, 1);
	put(REIN_RING_SHARED, 2);
	ck_assert_uint_eq(rein_ring_read(area, REIN_RING_SHARED, &c, out, 9, false, &lost), 1);
	ck_assert_uint_eq(rein_ring_read(area, REIN_RING_SHARED, &c, out, 9, false, &lost), 0);
	for (unsigned i = 0; i < 1000 && !n; i++)
		n = rein_ring_read(area, REIN_RING_SHARED, &c, out, 9, false, &lost);
	ck_assert(n == 1 && whole(out, 2));
	ck_assert_uint_eq(lost, 1);
	ck_assert_uint_eq(rein_ring_read(area, REIN_RING_SHARED, &dead, out, 9, true, &lost), 2);
	ck_assert_uint_eq(lost, 2);
}
TEST_END

TEST(who_is_a_lap_behind_in_the_shared_ring_spoils_nothing)
{
	struct rein_ring_cursor c = {0};
	struct rein_ring_cell *cell;
	uint64_t lost = 0;
	start();
	cell = &area->cell[REIN_RING_SHARED][0];
	/* taken by number 0, who sleeps there; number CELLS finds it taken */
	rein_store_relaxed(&area->ring[REIN_RING_SHARED].head, 1);
	rein_store_relaxed(&cell->word[0], rein_ring_stamp(0, 0, false));
	for (uint64_t n = 1; n <= REIN_RING_CELLS; n++)
		put(REIN_RING_SHARED, n);
	ck_assert_uint_eq(rein_load_relaxed(&cell->word[0]), rein_ring_stamp(0, 0, false));
	ck_assert_uint_eq(
	    rein_ring_read(area, REIN_RING_SHARED, &c, out, REIN_RING_CELLS, true, &lost),
	    REIN_RING_CELLS - 1);
	ck_assert_uint_eq(lost, 2); /* 0, and the one that gave up */
	/* and one who finds a younger record there keeps it */
	rein_store_relaxed(&area->ring[REIN_RING_SHARED].head, 5);
	rein_store_relaxed(&area->cell[REIN_RING_SHARED][5].word[0],
	                   rein_ring_stamp(5 + REIN_RING_CELLS, 3, true));
	put(REIN_RING_SHARED, 5);
	ck_assert_uint_eq(rein_load_relaxed(&area->cell[REIN_RING_SHARED][5].word[0]),
	                  rein_ring_stamp(5 + REIN_RING_CELLS, 3, true));
}
TEST_END

/* ---------------------------------------------------------------- threads */

static rein_a32 writing;

static void *writer_main(void *arg)
{
	uintptr_t who = (uintptr_t)arg;
	uint64_t word[8];
	for (uint64_t n = 0; n < WRITES; n++) {
		words_of(word, n, (uint32_t)who);
		if (who < WRITERS)
			rein_ring_put(area, (unsigned)who, word);
		else
			rein_ring_put_shared(area, word);
	}
	rein_add_release(&writing, (uint32_t)-1);
	return NULL;
}

TEST(writers_and_a_reader_at_once)
{
	static uint64_t next[WRITERS + SHARERS];
	struct rein_ring_cursor c = {0};
	pthread_t thread[WRITERS + SHARERS];
	uint64_t lost = 0, taken = 0;
	bool more = true;
	start();
	rein_store_relaxed(&writing, WRITERS + SHARERS);
	for (uintptr_t i = 0; i < WRITERS + SHARERS; i++)
		pthread_create(&thread[i], NULL, writer_main, (void *)i);
	while (more) {
		bool last = !rein_load_acquire(&writing);
		more = !last;
		for (unsigned ring = 0; ring < REIN_RING_COUNT; ring++) {
			unsigned n =
			    rein_ring_read(area, ring, &c, out, REIN_RING_CELLS, last, &lost);
			taken += n;
			more |= n > 0;
			for (unsigned i = 0; i < n; i++) {
				uint64_t number = number_of(&out[i]);
				ck_assert_uint_lt(out[i].thread, WRITERS + SHARERS);
				ck_assert_msg(whole(&out[i], number), "a torn record");
				ck_assert_uint_ge(number, next[out[i].thread]);
				next[out[i].thread] = number + 1;
			}
		}
	}
	for (unsigned i = 0; i < WRITERS + SHARERS; i++)
		pthread_join(thread[i], NULL);
	ck_assert_uint_eq(taken + lost, (uint64_t)(WRITERS + SHARERS) * WRITES);
	ck_assert_uint_gt(taken, REIN_RING_CELLS);
}
TEST_END

static void *endless_main(void *unused)
{
	uint64_t word[8];
	for (uint64_t n = 0; rein_load_relaxed(&writing); n++) {
		words_of(word, n, 1);
		rein_ring_put(area, 0, word);
	}
	return NULL;
}

/* The reader keeps to the very cell that is written next. */
TEST(a_cell_that_is_overwritten_is_never_torn)
{
	struct rein_ring_cursor c = {0};
	pthread_t thread;
	uint64_t lost = 0, taken = 0;
	start();
	rein_store_relaxed(&writing, 1);
	pthread_create(&thread, NULL, endless_main, NULL);
	while (rein_load_acquire(&area->ring[0].head) < REIN_RING_CELLS)
		;
	for (unsigned i = 0; i < WRITES / 6; i++) {
		c.tail[0] = rein_load_acquire(&area->ring[0].head) - REIN_RING_CELLS;
		unsigned n = rein_ring_read(area, 0, &c, out, 3, false, &lost);
		taken += n;
		for (unsigned k = 0; k < n; k++)
			ck_assert_msg(whole(&out[k], number_of(&out[k])), "a torn record");
	}
	rein_store_relaxed(&writing, 0);
	pthread_join(thread, NULL);
	ck_assert_uint_gt(taken + lost, 0);
}
TEST_END

/* ---------------------------------------------------------------- hostile */

TEST(whatever_is_in_the_area_the_reader_survives)
{
	static const uint64_t heads[] = {1, REIN_RING_CELLS, UINT64_MAX, 3, 1ull << 63,
	                                 0, UINT64_MAX - 5};
	struct rein_ring_cursor c = {0};
	uint64_t lost = 0;
	start();
	srandom(1);
	for (unsigned round = 0; round < 200; round++) {
		unsigned ring = round % 2 ? REIN_RING_SHARED : 0;
		rein_store_relaxed(&area->ring[ring].head, heads[(unsigned)random() % 7] + round);
		for (unsigned i = 0; i < 64; i++) {
			uint64_t head = rein_load_relaxed(&area->ring[ring].head) - i;
			struct rein_ring_cell *cell = &area->cell[ring][head % REIN_RING_CELLS];
			rein_store_relaxed(&cell->word[0], rein_ring_stamp(head, 1, random() % 2));
			rein_store_relaxed(&cell->word[1], (uint64_t)random() * 0x10001);
		}
		unsigned n =
		    rein_ring_read(area, ring, &c, out, REIN_RING_CELLS, round % 3 == 0, &lost);
		ck_assert_uint_le(n, REIN_RING_CELLS);
		for (unsigned i = 0; i < n; i++)
			ck_assert(out[i].kind > REIN_TRACE_NONE &&
			          out[i].kind < REIN_TRACE_CLIENT_KINDS);
	}
}
TEST_END

/* ---------------------------------------------------------------- what records say */

TEST(a_launch_gives_the_models_key)
{
	const uint32_t grid[3] = {70000, 65535, 2}, block[3] = {1024, 3, 64};
	struct rein_trace_record r = {.kind = REIN_TRACE_SUBMIT,
	                              .func = 0x7f0012345678,
	                              .a = 70000 | 65535ull << 32 | 2ull << 48,
	                              .b = 49152 | 1024ull << 32 | 3ull << 44 | 64ull << 56};
	ck_assert_uint_eq(rein_trace_key(&r), rein_kmodel_key(r.func, grid, block, 49152));
	r.kind = REIN_TRACE_SYNC;
	ck_assert_uint_eq(rein_trace_key(&r), 0);
	ck_assert_uint_eq(rein_trace_entry("cuLaunchKernel"), 0xafbabdafu);
}
TEST_END

TEST(ticks_follow_the_clock)
{
	struct rein_tick_clock c = {0};
	rein_tick_clock_pair(&c, 1000, 500000);
	rein_tick_clock_pair(&c, 1000 + 25000000, 500000 + 10000000); /* 2.5 ticks a ns */
	ck_assert_uint_eq(rein_tick_clock_ns(&c, 1000 + 25000000), 10500000);
	ck_assert_uint_eq(rein_tick_clock_ns(&c, 1000 + 25000000 + 250), 10500100);
	ck_assert_uint_eq(rein_tick_clock_ns(&c, 1000 + 25000000 - 2500), 10499000);
	/* too near to say anything of the rate; then the rate has changed by 0.1 % */
	rein_tick_clock_pair(&c, 1000 + 25000100, 10500041);
	ck_assert_uint_eq(rein_tick_clock_ns(&c, 1000 + 25000000), 10500000);
	rein_tick_clock_pair(&c, 1000 + 25000000 + 250000000, 10500000 + 100100000);
	ck_assert_uint_eq(rein_tick_clock_ns(&c, 1000 + 275000000 + 250000000),
	                  110600000 + 100100000);
	/* a clock that stands still or goes back is not believed, nor is any tick of a liar's */
	rein_tick_clock_pair(&c, 5, 5);
	ck_assert_uint_eq(rein_tick_clock_ns(&c, 1000 + 275000000), 110600000);
	(void)rein_tick_clock_ns(&c, UINT64_MAX / 2);
	(void)rein_tick_clock_ns(&c, 0);
}
TEST_END

TESTS("event rings", records_come_out_in_order_and_once,
      a_full_ring_keeps_the_newest_and_counts_the_rest,
      a_reserved_cell_holds_the_reader_up_but_not_for_ever,
      who_is_a_lap_behind_in_the_shared_ring_spoils_nothing, writers_and_a_reader_at_once,
      a_cell_that_is_overwritten_is_never_torn, whatever_is_in_the_area_the_reader_survives,
      a_launch_gives_the_models_key, ticks_follow_the_clock)
