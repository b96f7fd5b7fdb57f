// SPDX-License-Identifier: Apache-2.0
/*
 * The shared placement of processes that run together, in virtual time: co-running, priorities
 * and bandwidth across clients, percentages, and that nobody who is late, stopped or dead holds
 * the others for long.
 */
#include <string.h>

#include "softgpu/mps.h"
#include "tests/harness.h"

#define PATIENCE SG_MPS_PATIENCE_NS

static struct sg_model model; /* 4 SMs × 4 blocks of 256 threads: 16 slots for small blocks */
static struct sg_mps mps;

static void setup(void)
{
	memset(&model, 0, sizeof(model));
	memset(&mps, 0, sizeof(mps));
	model.mps = 1;
	model.sms = model.device_sms = 4;
	model.blocks_per_sm = 4;
	model.threads_per_sm = 1024;
	model.shared_per_sm = 64 * 1024;
	model.registers_per_sm = 65536;
	for (uint32_t i = 0; i < 4; i++)
		sg_mps_seat(&mps, &model, i, 4);
}

static struct sg_kernel kernel(uint64_t ready_ns, uint64_t blocks, uint64_t solo_ns)
{
	return (struct sg_kernel){.ready_ns = ready_ns,
	                          .blocks = blocks,
	                          .block_threads = 256,
	                          .solo_ns = solo_ns,
	                          .job = SG_MPS_JOBS};
}

struct client {
	uint32_t seat;
	struct sg_kernel *kernels;
	uint64_t acked[2], wake_ns;
};

static void put(struct client *c, struct sg_kernel *k)
{
	struct sg_kernel **at = &c->kernels;
	while (*at)
		at = &(*at)->next;
	*at = k;
}

/* One round; takes what is done off the list. How many completed. */
static int look(struct client *c, uint64_t now_ns)
{
	int done = 0;
	struct sg_mps_round r = {
	    .seat = c->seat, .now_ns = now_ns, .to_ns = now_ns, .kernels = c->kernels};
	memcpy(r.acked, c->acked, sizeof(r.acked));
	ck_assert_int_eq(sg_mps_round(&mps, &model, &r), 0);
	sg_mps_commit(&r);
	memcpy(c->acked, r.done, sizeof(r.done));
	c->wake_ns = r.wake_ns;
	for (struct sg_kernel **at = &c->kernels; *at;) {
		if ((*at)->done) {
			*at = (*at)->next;
			done++;
		} else {
			at = &(*at)->next;
		}
	}
	return done;
}

/* Both look every 10 ns, in turn. */
static void run_both(struct client *a, struct client *b, uint64_t from_ns, uint64_t to_ns)
{
	for (uint64_t now = from_ns; now <= to_ns; now += 10) {
		look(a, now);
		look(b, now);
	}
}

TEST(two_that_fit_run_together)
{
	setup();
	struct client a = {.seat = 0}, b = {.seat = 1};
	struct sg_kernel ka = kernel(100, 8, 1000), kb = kernel(100, 8, 1000);
	put(&a, &ka);
	put(&b, &kb);
	run_both(&a, &b, 0, 3000);
	ck_assert(ka.done && kb.done);
	ck_assert_uint_eq(ka.start_ns, 100);
	ck_assert_uint_eq(kb.start_ns, 100);
	ck_assert_uint_eq(ka.end_ns, 1100);
	ck_assert_uint_eq(kb.end_ns, 1100);
	ck_assert_uint_eq(mps.n_jobs, 0); /* nothing is left */
	ck_assert_uint_eq(mps.n_cohorts, 0);
}
TEST_END

TEST(two_that_fill_the_device_take_turns_by_blocks)
{
	setup();
	struct client a = {.seat = 0}, b = {.seat = 1};
	struct sg_kernel ka = kernel(0, 16, 1000), kb = kernel(10, 32, 2000),
			 ka2 = kernel(0, 16, 500);
	put(&a, &ka);
	put(&b, &kb);
	look(&a, 10);
	look(&b, 10);
	bool added = false;
	for (uint64_t now = 20; now < 6000; now += 10) {
		look(&a, now);
		if (ka.done && !added) { /* its successor, as its process would */
			added = true;
			ka2.ready_ns = ka.end_ns;
			put(&a, &ka2);
		}
		look(&b, now);
	}
	ck_assert_uint_eq(ka.end_ns, 1000);
	ck_assert_uint_eq(kb.start_ns, 1000);
	ck_assert_uint_eq(kb.end_ns, 3000); /* all its blocks go before the later kernel's */
	ck_assert_uint_eq(ka2.start_ns, 3000);
	ck_assert_uint_eq(ka2.end_ns, 3500);
}
TEST_END

TEST(priorities_count_across_clients)
{
	setup();
	struct client a = {.seat = 0}, b = {.seat = 1}, c = {.seat = 2};
	struct sg_kernel low = kernel(0, 64, 4000), late = kernel(100, 16, 500);
	struct sg_kernel high = kernel(200, 16, 500);
	high.priority = -1;
	put(&a, &low);
	put(&b, &late);
	put(&c, &high);
	for (uint64_t now = 0; now < 7000; now += 50) {
		look(&a, now);
		look(&b, now);
		look(&c, now);
	}
	ck_assert_uint_eq(high.start_ns, 1000); /* at the end of the first wave */
	ck_assert_uint_eq(low.end_ns, 4500);
	ck_assert_uint_eq(late.end_ns, 5000);
}
TEST_END

TEST(bandwidth_is_shared_across_clients)
{
	setup();
	struct client a = {.seat = 0}, b = {.seat = 1};
	struct sg_kernel ka = kernel(0, 8, 1000), kb = kernel(0, 8, 1000);
	ka.memory = kb.memory = 1;
	put(&a, &ka);
	put(&b, &kb);
	run_both(&a, &b, 0, 3000);
	ck_assert_uint_eq(ka.end_ns, 2000);
	ck_assert_uint_eq(kb.end_ns, 2000);
}
TEST_END

static bool overlap(uint32_t a, uint32_t b)
{
	for (uint32_t i = 0; i < mps.client[a].sms; i++)
		for (uint32_t j = 0; j < mps.client[b].sms; j++)
			if ((mps.client[a].first + i) % 4 == (mps.client[b].first + j) % 4)
				return true;
	return false;
}

TEST(percentages_confine)
{
	setup();
	sg_mps_seat(&mps, &model, 0, 2);
	sg_mps_seat(&mps, &model, 1, 2);
	ck_assert(!overlap(0, 1)); /* as long as there are free ones */
	struct client a = {.seat = 0}, b = {.seat = 1};
	/* 16 blocks on 2 SMs of 4 slots are two waves */
	struct sg_kernel ka = kernel(0, 16, 2000), kb = kernel(0, 8, 1000), kc = kernel(0, 4, 300);
	struct sg_sm_set first_seen = {0};
	sg_sm_add(&first_seen, 0);
	kc.on = &first_seen; /* a green context on the first SM that client 1 sees */
	put(&a, &ka);
	put(&b, &kb);
	put(&b, &kc);
	run_both(&a, &b, 0, 5000);
	ck_assert_uint_eq(ka.end_ns, 2000);
	ck_assert_uint_eq(kb.end_ns, 1000);
	ck_assert_uint_eq(kc.start_ns, 1000); /* its SM was full, the other client's would do */
	sg_mps_seat(&mps, &model, 2, 3);
	ck_assert(overlap(0, 2) && overlap(1, 2));
	sg_mps_seat(&mps, &model, 1, 0);
	sg_mps_seat(&mps, &model, 2, 0);
	sg_mps_seat(&mps, &model, 3, 2);
	ck_assert(!overlap(0, 3)); /* who has left has no SMs */
}
TEST_END

/* The model's clock waits for who is late to act on a completion: nothing moves. */
TEST(a_late_client_loses_nothing)
{
	setup();
	struct client a = {.seat = 0}, b = {.seat = 1};
	struct sg_kernel ka = kernel(0, 16, 1000), ka2 = kernel(0, 16, 1000);
	struct sg_kernel kb = kernel(0, 16, 1000), kb2 = kernel(0, 16, 1000);
	put(&a, &ka);
	look(&a, 0);
	put(&b, &kb);
	ck_assert_int_eq(look(&b, 10), 0);
	ck_assert_int_eq(look(&b, 100000), 0); /* a's is done; b looks long after its own end */
	ck_assert(mps.bells & 1);
	ck_assert_uint_eq(b.wake_ns, 100000 + PATIENCE);
	ck_assert_int_eq(look(&a, 150000), 1);
	ka2.ready_ns = ka.end_ns;
	put(&a, &ka2);
	look(&a, 150000);
	ck_assert_int_eq(look(&b, 150000), 1);
	ck_assert_uint_eq(kb.end_ns, 2000);
	kb2.ready_ns = 2000;
	put(&b, &kb2);
	look(&b, 150000);
	run_both(&a, &b, 150000, 150100);
	ck_assert_uint_eq(ka2.start_ns, 2000);
	ck_assert_uint_eq(kb2.start_ns, 3000);
}
TEST_END

TEST(a_stopped_client_is_not_waited_for_long)
{
	setup();
	struct client a = {.seat = 0}, b = {.seat = 1};
	struct sg_kernel ka = kernel(0, 16, 1000), ka2 = kernel(0, 16, 1000);
	struct sg_kernel kb[3] = {kernel(0, 16, 1000), kernel(0, 16, 1000), kernel(0, 16, 1000)};
	put(&a, &ka);
	put(&a, &ka2);
	look(&a, 0);
	put(&b, &kb[0]);
	look(&b, 10);
	ck_assert_int_eq(look(&b, 5000), 0);
	ck_assert_int_eq(look(&b, 5000 + PATIENCE - 1), 0);
	ck_assert_int_eq(look(&b, 5000 + PATIENCE), 1); /* both of a's ran meanwhile */
	ck_assert_uint_eq(kb[0].start_ns, 2000);
	put(&b, &kb[1]);
	look(&b, 5000 + PATIENCE);
	ck_assert(kb[1].done); /* it is not waited for any more */
	put(&b, &kb[2]);
	ck_assert_int_eq(look(&a, 9000 + PATIENCE), 2); /* it continues */
	ck_assert_uint_eq(ka2.end_ns, 2000);
	ck_assert_uint_eq(mps.client[0].absent, 0);
}
TEST_END

TEST(the_dead_leave_their_slots)
{
	setup();
	struct client a = {.seat = 0}, b = {.seat = 1};
	struct sg_kernel ka = kernel(0, 16, 1000000), ka2 = kernel(0, 16, 1000000);
	struct sg_kernel kb = kernel(0, 16, 1000);
	put(&a, &ka);
	put(&a, &ka2);
	look(&a, 0);
	put(&b, &kb);
	ck_assert_int_eq(look(&b, 500), 0);
	mps.bells = 0;
	sg_mps_seat(&mps, &model, 0, 0);
	ck_assert(mps.bells & 2);
	ck_assert_int_eq(look(&b, 600), 0);
	ck_assert_int_eq(look(&b, 5000), 1);
	ck_assert_uint_le(kb.end_ns, 1600);
	look(&b, 5000);
	ck_assert_uint_eq(mps.n_jobs, 0);
}
TEST_END

TEST(an_unknown_duration_is_waited_for)
{
	setup();
	struct client a = {.seat = 0}, b = {.seat = 1};
	struct sg_kernel ka = kernel(0, 16, 0), kb = kernel(10, 16, 500);
	put(&a, &ka);
	look(&a, 0);
	ck_assert_uint_eq(a.wake_ns, SG_NEVER); /* nobody else is there */
	put(&b, &kb);
	look(&b, 1000);
	ck_assert_uint_eq(b.wake_ns, 1000 + PATIENCE);
	ka.solo_ns = 2000;
	look(&a, 2000);
	run_both(&a, &b, 2000, 4000);
	ck_assert_uint_eq(ka.start_ns, 0); /* as if it had been known at once */
	ck_assert_uint_eq(ka.end_ns, 2000);
	ck_assert_uint_eq(kb.end_ns, 2500);
}
TEST_END

TEST(but_not_for_long)
{
	setup();
	struct client a = {.seat = 0}, b = {.seat = 1};
	struct sg_kernel ka = kernel(0, 16, 0), kb = kernel(10, 16, 500);
	put(&a, &ka);
	look(&a, 0);
	put(&b, &kb);
	look(&b, 1000);
	ck_assert_int_eq(look(&b, 1000 + PATIENCE), 1);
	ck_assert_uint_eq(kb.start_ns, 10);
	ka.solo_ns = 2000;
	uint64_t now = 5000 + PATIENCE;
	look(&b, now);
	ck_assert_int_eq(look(&a, now), 1);
	ck_assert_uint_eq(ka.start_ns, 510); /* when the clock was there */
	ck_assert_uint_eq(ka.end_ns, 2510);
}
TEST_END

TEST(one_client_cannot_have_all_jobs)
{
	setup();
	static struct sg_kernel many[SG_MPS_JOBS];
	struct client a = {.seat = 0}, b = {.seat = 1};
	for (int i = 0; i < SG_MPS_JOBS; i++) {
		many[i] = kernel(0, 1, 1000);
		put(&a, &many[i]);
	}
	struct sg_kernel kb = kernel(0, 1, 1000);
	put(&b, &kb);
	look(&a, 0);
	ck_assert_uint_eq(mps.n_jobs, SG_MPS_JOBS_EACH);
	look(&b, 0);
	ck_assert_uint_lt(kb.job, SG_MPS_JOBS);
	int done = 0;
	for (uint64_t now = 0; now < 100000; now += 100) {
		done += look(&a, now);
		look(&b, now);
	}
	ck_assert_int_eq(done, SG_MPS_JOBS); /* the others come as there is room */
	ck_assert(kb.done);
}
TEST_END

TESTS("software GPU: processes that run together", two_that_fit_run_together,
      two_that_fill_the_device_take_turns_by_blocks, priorities_count_across_clients,
      bandwidth_is_shared_across_clients, percentages_confine, a_late_client_loses_nothing,
      a_stopped_client_is_not_waited_for_long, the_dead_leave_their_slots,
      an_unknown_duration_is_waited_for, but_not_for_long, one_client_cannot_have_all_jobs)
