// SPDX-License-Identifier: Apache-2.0
/* test_policy_classes.c: the composite: bands above bands, background work, budgets that are used
 * up, caps, and inner policies that somebody chose. */
#include "tests/unit/policy_rig.h"

static struct policy_rig rig;

static struct rig_client *add(enum rein_band band, int prio, uint64_t cost_ns)
{
	return rig_add(&rig,
	               &(struct rig_client){.c.band = band, .c.prio = prio, .cost_ns = cost_ns});
}

static struct rig_client *add_task(uint64_t cost_ms, uint64_t period_ms)
{
	return rig_add(&rig, &(struct rig_client){.c.band = REIN_BAND_REALTIME,
	                                          .c.deadline_ns = period_ms * RIG_MS,
	                                          .c.period_ns = period_ms * RIG_MS,
	                                          .cost_ns = cost_ms * RIG_MS,
	                                          .every_ns = period_ms * RIG_MS});
}

static struct rig_client *add_server(uint64_t budget_ms, uint64_t period_ms, bool hard)
{
	return rig_add(&rig, &(struct rig_client){.c.band = REIN_BAND_REALTIME,
	                                          .c.budget_ns = budget_ms * RIG_MS,
	                                          .c.period_ns = period_ms * RIG_MS,
	                                          .c.budget_hard = hard,
	                                          .cost_ns = RIG_ENDLESS});
}

static void stop(struct rig_client *k)
{
	if (k->c.active) {
		if (rig.running == k - rig.client)
			rig.running = -1;
		k->c.active = false;
		if (rig.p->ops->idle)
			rig.p->ops->idle(rig.p, &k->c, rig.now_ns);
	}
	k->release_ns = UINT64_MAX;
}

/* One endless client of each band: the highest runs; all below are held for it, also the idle ones,
 * and metered; none above is held. */
TEST(each_band_holds_those_below)
{
	rig_start(&rig, "classes");
	for (unsigned b = 0; b < REIN_BANDS; b++)
		add((enum rein_band)b, b == REIN_BAND_INTERACTIVE ? 10 : 0, RIG_ENDLESS);
	for (unsigned top = 0; top < REIN_BANDS; top++) {
		rig_run(&rig, rig.now_ns + 100 * RIG_MS);
		for (unsigned b = 0; b < REIN_BANDS; b++) {
			ck_assert_int_eq(rig.client[b].v.hold, b > top);
			ck_assert_uint_eq(rig.client[b].v.holder, b > top ? top + 1 : 0);
			ck_assert_int_eq(rig.client[b].v.metered, b > 0);
		}
		stop(&rig.client[top]);
	}
	rig_end(&rig);
}
TEST_END

/* What the demo has: an undeclared trainer, a chat with a priority, a camera with a deadline. */
TEST(deadlines_then_priorities_then_the_rest)
{
	rig_start(&rig, "classes");
	struct rig_client *camera = add_task(8, 40);
	struct rig_client *chat =
	    rig_add(&rig, &(struct rig_client){.c.band = REIN_BAND_INTERACTIVE,
	                                       .c.prio = 60,
	                                       .cost_ns = 10 * RIG_MS,
	                                       .every_ns = 50 * RIG_MS});
	struct rig_client *train = add(REIN_BAND_BATCH, 0, RIG_ENDLESS);
	struct rig_client *notebook = rig_add(&rig, &(struct rig_client){.c.band = REIN_BAND_BATCH,
	                                                                 .cost_ns = 3 * RIG_MS,
	                                                                 .every_ns = 60 * RIG_MS});
	rig_run(&rig, 10 * RIG_S);
	ck_assert_uint_eq(camera->missed, 0);
	ck_assert_uint_le(camera->response_max_ns, 9 * RIG_MS);
	ck_assert_uint_le(chat->response_max_ns, 10 * RIG_MS + 8 * RIG_MS + 2 * RIG_MS);
	ck_assert_uint_gt(notebook->done, 150);
	ck_assert_uint_gt(train->service_ns, 10 * RIG_S * 5 / 10);
	ck_assert_uint_eq(rig.idle_ns, 0);
	rig_end(&rig);
}
TEST_END

/* Bands are the outer order: a deadline of tomorrow comes before priority 99. */
TEST(a_policy_decides_inside_its_band_only)
{
	rig_start(&rig, "classes");
	struct rig_client *far = add_task(1, 100000);
	far->cost_ns = RIG_ENDLESS;
	struct rig_client *high = add(REIN_BAND_INTERACTIVE, 99, RIG_ENDLESS);
	struct rig_client *low = add(REIN_BAND_INTERACTIVE, 1, RIG_ENDLESS);
	rig_run(&rig, RIG_S);
	ck_assert(!far->v.hold && high->v.hold && low->v.hold);
	stop(far);
	rig_run(&rig, 2 * RIG_S);
	ck_assert(!far->v.hold && !high->v.hold && low->v.hold);
	ck_assert_uint_eq(low->v.holder, high->c.id);
	rig_end(&rig);
}
TEST_END

TEST(background_work_counts_as_batch)
{
	rig_start(&rig, "classes");
	struct rig_client *chat = add(REIN_BAND_INTERACTIVE, 50, RIG_ENDLESS);
	struct rig_client *other = add(REIN_BAND_INTERACTIVE, 10, RIG_ENDLESS);
	struct rig_client *train = add(REIN_BAND_BATCH, 0, RIG_ENDLESS);
	rig_run(&rig, RIG_S);
	ck_assert(!chat->v.hold && other->v.hold && train->v.hold);
	chat->c.background = true;
	rig_decide(&rig);
	ck_assert(chat->v.hold && !other->v.hold && train->v.hold);
	ck_assert(other->v.metered); /* the first one's next request comes before it */
	stop(other);
	uint64_t then_ns = chat->service_ns;
	rig_run(&rig, 21 * RIG_S); /* among the batch, by shares */
	ck_assert_uint_ge(chat->service_ns - then_ns, 9 * RIG_S);
	ck_assert_uint_le(chat->service_ns - then_ns, 11 * RIG_S);
	chat->c.background = false;
	rig_decide(&rig);
	ck_assert(!chat->v.hold && train->v.hold);
	rig_end(&rig);
}
TEST_END

/* A soft budget that is used up must not starve the bands below; a hard one opens the device too.
 */
TEST(used_up_budgets_make_room_for_the_bands_below)
{
	for (unsigned hard = 0; hard < 2; hard++)
		for (unsigned cbs = 0; cbs < 2; cbs++) {
			rig.params.inner[REIN_BAND_REALTIME] = cbs ? &rein_policy_cbs : NULL;
			rig.hard = hard;
			rig_start(&rig, "classes");
			struct rig_client *a = add_server(10, 50, hard);
			struct rig_client *b = add_server(5, 50, hard);
			struct rig_client *train = add(REIN_BAND_BATCH, 0, RIG_ENDLESS);
			rig_run(&rig, 10 * RIG_S);
			ck_assert_uint_ge(a->service_ns, 198 * 10 * RIG_MS);
			ck_assert_uint_le(a->service_ns, 202 * 10 * RIG_MS);
			ck_assert_uint_le(b->service_ns, 202 * 5 * RIG_MS);
			ck_assert_uint_ge(train->service_ns, 69 * RIG_S / 10);
			stop(train);
			uint64_t then_ns = a->service_ns + b->service_ns;
			rig_run(&rig, 11 * RIG_S);
			uint64_t ns = a->service_ns + b->service_ns - then_ns;
			if (hard)
				ck_assert_uint_le(ns, 21 * 15 * RIG_MS);
			else
				ck_assert_uint_ge(ns, RIG_S - RIG_MS);
			rig_end(&rig);
		}
}
TEST_END

/* What drains after its gate closed for a band below is an overrun, and paid for. */
TEST(overruns_are_paid_for_in_a_band_too)
{
	for (unsigned cbs = 0; cbs < 2; cbs++) {
		rig.params.inner[REIN_BAND_REALTIME] = cbs ? &rein_policy_cbs : NULL;
		rig_start(&rig, "classes");
		struct rig_client *server = add_server(5, 50, false);
		server->kernel_ns = 20 * RIG_MS;
		add(REIN_BAND_BATCH, 0, RIG_ENDLESS);
		rig_run(&rig, 10 * RIG_S);
		ck_assert_uint_le(server->service_ns, 201 * 5 * RIG_MS + 20 * RIG_MS);
		ck_assert_uint_ge(server->service_ns, 195 * 5 * RIG_MS);
		rig_end(&rig);
	}
}
TEST_END

/* ---------------------------------------------------------------- caps */

TEST(a_cap_leaves_the_rest_to_the_bands_below)
{
	rig.params.cap_permille[REIN_BAND_INTERACTIVE] = 800;
	rig.params.cap_period_ns = 330 * RIG_MS; /* no multiple of a tick */
	rig_start(&rig, "classes");
	struct rig_client *endless = add(REIN_BAND_INTERACTIVE, 50, RIG_ENDLESS);
	struct rig_client *train = add(REIN_BAND_BATCH, 0, RIG_ENDLESS);
	rig_run(&rig, 10 * RIG_S);
	ck_assert_uint_ge(train->service_ns, 10 * RIG_S * 195 / 1000);
	ck_assert_uint_le(train->service_ns, 10 * RIG_S * 205 / 1000);
	ck_assert(endless->v.metered);
	stop(train); /* nobody below: it may go on */
	uint64_t then_ns = endless->service_ns;
	rig_run(&rig, 12 * RIG_S);
	ck_assert_uint_ge(endless->service_ns - then_ns, 2 * RIG_S - RIG_MS);
	ck_assert_uint_eq(rig.idle_ns, 0);
	rig_end(&rig);
}
TEST_END

/* Over its cap it gives way to all bands below, and to none above; the band above has its own. */
TEST(caps_of_two_bands)
{
	rig.params.cap_permille[REIN_BAND_REALTIME] = 300;
	rig.params.cap_permille[REIN_BAND_INTERACTIVE] = 200;
	rig_start(&rig, "classes");
	struct rig_client *rt = add_task(1, 100000);
	rt->cost_ns = RIG_ENDLESS;
	struct rig_client *chat = add(REIN_BAND_INTERACTIVE, 50, RIG_ENDLESS);
	struct rig_client *idle = add(REIN_BAND_IDLE, 0, RIG_ENDLESS);
	rig_run(&rig, 20 * RIG_S);
	ck_assert_double_eq_tol((double)rt->service_ns, 6e9, 5e7);
	ck_assert_double_eq_tol((double)chat->service_ns, 4e9, 5e7);
	ck_assert_double_eq_tol((double)idle->service_ns, 1e10, 1e8);
	rig_end(&rig);
}
TEST_END

/* ---------------------------------------------------------------- inner policies */

TEST(inner_policies_are_parameters)
{
	rig.params.inner[REIN_BAND_BATCH] = &rein_policy_fifo;
	rig.params.inner[REIN_BAND_INTERACTIVE] = &rein_policy_classes; /* never itself: prio */
	rig_start(&rig, "classes");
	struct rig_client *a = add(REIN_BAND_BATCH, 0, RIG_ENDLESS);
	struct rig_client *b = add(REIN_BAND_BATCH, 0, RIG_ENDLESS);
	struct rig_client *low = add(REIN_BAND_INTERACTIVE, 1, RIG_ENDLESS);
	struct rig_client *high = add(REIN_BAND_INTERACTIVE, 2, RIG_ENDLESS);
	rig_run(&rig, RIG_MS);
	ck_assert(a->v.hold && b->v.hold && low->v.hold && !high->v.hold);
	stop(low);
	stop(high);
	rig_run(&rig, RIG_S);
	ck_assert(!a->v.hold && !b->v.hold); /* fifo holds nobody */
	rig_end(&rig);
}
TEST_END

/* The lists of several devices on one instance: each decides for its own. */
TEST(devices_do_not_mix)
{
	struct rein_policy *p = rein_policy_classes.init(NULL);
	struct rein_policy_client c[4] = {{.id = 1, .band = REIN_BAND_INTERACTIVE, .prio = 5},
	                                  {.id = 2, .band = REIN_BAND_BATCH},
	                                  {.id = 3, .band = REIN_BAND_BATCH},
	                                  {.id = 4, .band = REIN_BAND_BATCH}};
	struct rein_policy_client *first[] = {&c[0], &c[1]}, *second[] = {&c[2], &c[3]};
	struct rein_policy_verdict v[2];
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_int_eq(p->ops->join(p, &c[i], 1), 0);
		c[i].active = true;
		p->ops->ready(p, &c[i], 1);
	}
	for (uint64_t now_ns = 2; now_ns < 100; now_ns++) {
		memset(v, 0, sizeof(v));
		p->ops->decide(p, first, v, 2, now_ns);
		ck_assert(!v[0].hold && !v[0].metered && v[1].hold && v[1].metered);
		memset(v, 0, sizeof(v));
		p->ops->decide(p, second, v, 2, now_ns);
		ck_assert(v[0].hold != v[1].hold);
	}
	for (unsigned i = 0; i < 4; i++)
		p->ops->leave(p, &c[i], 100);
	p->ops->fini(p);
}
TEST_END

/* A promise in the realtime band counts what the other bands have queued, and no more of them. */
TEST(admission_by_band)
{
	struct rein_task task[] = {{.id = 1,
	                            .band = REIN_BAND_REALTIME,
	                            .period_ns = 50 * RIG_MS,
	                            .deadline_ns = 20 * RIG_MS,
	                            .cost_ns = 5 * RIG_MS},
	                           {.id = 2, .band = REIN_BAND_INTERACTIVE, .prio = 99},
	                           {.id = 3, .band = REIN_BAND_BATCH}};
	uint64_t backlog_ns[] = {4 * RIG_MS, 4 * RIG_MS, 4 * RIG_MS}, response_ns[3];
	struct rein_bounds out = {.backlog_ns = backlog_ns, .response_ns = response_ns};
	struct rein_policy_params params = {0};
	ck_assert_int_eq(rein_policy_classes.admit(&params, task, 3, &out), 0);
	ck_assert_uint_ge(response_ns[0], 13 * RIG_MS);
	ck_assert_uint_le(response_ns[0], 20 * RIG_MS);
	ck_assert_uint_eq(response_ns[1], UINT64_MAX);
	backlog_ns[2] = 40 * RIG_MS;
	ck_assert_int_eq(rein_policy_classes.admit(&params, task, 3, &out), 1);
}
TEST_END

TESTS("policy classes", each_band_holds_those_below, deadlines_then_priorities_then_the_rest,
      a_policy_decides_inside_its_band_only, background_work_counts_as_batch,
      used_up_budgets_make_room_for_the_bands_below, overruns_are_paid_for_in_a_band_too,
      a_cap_leaves_the_rest_to_the_bands_below, caps_of_two_bands, inner_policies_are_parameters,
      devices_do_not_mix, admission_by_band)
