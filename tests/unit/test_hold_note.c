// SPDX-License-Identifier: Apache-2.0
/*
 * Holds as records: the arbiter tells who was held for whom, how and from when to when; the
 * collector, on its own thread, has them in the recording.
 */
#include "tests/unit/arbiter_rig.h"

#include "profiler/collector.h"
#include "profiler/recording.h"

static struct told {
	uint32_t client;
	struct rein_hold hold;
	uint64_t until_ns;
} told[64];
static unsigned n_told;

static void keep(void *unused, uint32_t client, const struct rein_hold *h, uint64_t until_ns)
{
	ck_assert_uint_lt(n_told, 64);
	told[n_told++] = (struct told){client, *h, until_ns};
}

static void listen_to(struct rein_arbiter *arbiter)
{
	n_told = 0;
	arbiter->note_hold = keep;
}

TEST(each_hold_is_told_with_its_holder)
{
	start(&rein_policy_prio);
	struct party *be = join("be", 0, "A"), *lc = join("lc", 50, "A");
	struct party *top = join("top", 90, "A");
	listen_to(a);
	busy(be);
	pass(REIN_MS);
	ck_assert_uint_eq(n_told, 0);
	uint64_t from_ns = now_ns;
	busy(lc);
	pass(3 * REIN_MS);
	ck_assert_uint_eq(n_told, 0); /* it lasts */
	uint64_t second_ns = now_ns;
	busy(top); /* now both are held for this one */
	ck_assert_uint_eq(n_told, 1);
	ck_assert_uint_eq(told[0].client, be->c.policy.id);
	ck_assert_uint_eq(told[0].hold.holder, lc->c.policy.id);
	ck_assert_uint_eq(told[0].hold.mode, REIN_HOLD_LAUNCH);
	ck_assert_uint_eq(told[0].hold.since_ns, from_ns);
	ck_assert_uint_eq(told[0].until_ns, second_ns);
	pass(2 * REIN_MS);
	idle(lc);
	idle(top);
	pass(2 * LINGER_NS);
	ck_assert_uint_eq(n_told, 3);
	for (unsigned i = 1; i < 3; i++) {
		ck_assert_uint_eq(told[i].hold.holder, top->c.policy.id);
		ck_assert_uint_eq(told[i].hold.since_ns, second_ns);
		ck_assert_uint_gt(told[i].until_ns, second_ns + 2 * REIN_MS);
	}
	leave(top);
	leave(lc);
	leave(be);
	ck_assert_uint_eq(n_told, 3);
	finish();
}
TEST_END

TEST(a_long_hold_is_told_in_pieces_and_at_the_end)
{
	uint64_t sum_ns = 0;
	start(&rein_policy_prio);
	struct party *be = join("be", 0, "A"), *lc = join("lc", 50, "A");
	listen_to(a);
	busy(be);
	busy(lc);
	uint64_t from_ns = now_ns;
	for (unsigned i = 0; i < 100; i++) { /* it shows progress */
		pass(10 * REIN_MS);
		busy(lc);
	}
	ck_assert_uint_ge(n_told, 2);
	ck_assert_uint_le(n_told, 10);
	leave(be); /* while it is held */
	for (unsigned i = 0; i < n_told; i++) {
		ck_assert_uint_eq(told[i].hold.since_ns, from_ns + sum_ns);
		sum_ns += told[i].until_ns - told[i].hold.since_ns;
	}
	ck_assert_uint_eq(sum_ns, now_ns - from_ns);
	leave(lc);
	finish();
}
TEST_END

/* ---------------------------------------------------------------- in the recording */

static uint64_t found[2], n_found;

static int look_for_holds(void *unused, const struct rein_trace_record *r)
{
	if (r->kind != REIN_TRACE_HOLD)
		return 0;
	ck_assert_uint_eq(r->stamp, 7);
	ck_assert_uint_eq(r->number, 9);
	ck_assert_uint_eq(r->result, REIN_HOLD_QUEUE);
	ck_assert_uint_eq(r->thread, 0);
	found[0] = r->begin;
	found[1] = r->end;
	n_found++;
	return 0;
}

static void say_nothing(const char *line)
{
}

TEST(holds_are_recorded)
{
	struct rein_collector *c;
	static struct rein_recording recording;
	const char *dir = temp_dir();
	char err[256];
	ck_assert_int_eq(rein_collector_start(&c, dir, (gid_t)-1, say_nothing), 0);
	rein_collector_record(c, true);
	for (unsigned i = 0; i < 3000; i++)
		rein_collector_hold(c, &(struct rein_hold_note){.client = 7,
		                                                .holder = 9,
		                                                .mode = REIN_HOLD_QUEUE,
		                                                .begin_ns = 1000 + i,
		                                                .end_ns = 2000 + i});
	rein_collector_sync(c);
	rein_collector_stop(c);
	ck_assert_int_eq(rein_recording_open(&recording, dir, err, sizeof(err)), 0);
	for (unsigned i = 0; i < recording.n; i++)
		ck_assert_int_eq(rein_recording_read(&recording, i, look_for_holds, NULL), 0);
	ck_assert_uint_eq(n_found, 3000);
	ck_assert_uint_eq(found[0], 3999);
	ck_assert_uint_eq(found[1], 4999);
}
TEST_END

TESTS("hold notes", each_hold_is_told_with_its_holder, a_long_hold_is_told_in_pieces_and_at_the_end,
      holds_are_recorded)
