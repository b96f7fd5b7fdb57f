// SPDX-License-Identifier: Apache-2.0
/* test_policy_fair.c: shares by weight and what they withstand: sleepers, latency-nice, long
 * kernels, extreme weights, clients on several devices, virtual times that wrap around. */
#include <math.h>

#include "policy/turn.h"
#include "tests/unit/policy_rig.h"

#define QUANTUM REIN_TURN_QUANTUM_NS

static struct policy_rig rig;

static struct rig_client *add(uint32_t weight, int nice)
{
	return rig_add(&rig, &(struct rig_client){.c.weight = weight,
	                                          .c.latency_nice = nice,
	                                          .cost_ns = RIG_ENDLESS});
}

/* Jain's index of service per weight since the values in `from` were taken. */
static double jain(const uint64_t *from)
{
	double sum = 0, squares = 0;
	for (unsigned i = 0; i < rig.n; i++) {
		double x = (double)(rig.client[i].service_ns - from[i]) / rig.client[i].c.weight;
		sum += x;
		squares += x * x;
	}
	return sum * sum / (rig.n * squares);
}

/* Windows in which the lowest share is ten quanta, from anywhere. */
TEST(shares_follow_the_weights)
{
	for (unsigned round = 0; round < 25; round++) {
		rig_start(&rig, "fair");
		unsigned n = 2 + (unsigned)rig_random(round % 5 ? 14 : 63);
		uint64_t weights = 0, from[RIG_CLIENTS] = {0};
		for (unsigned i = 0; i < n; i++) {
			uint32_t weight = (uint32_t)(100 * (1 + rig_random(8)));
			add(weight, 0)->kernel_ns = RIG_MS / 4 + rig_random(2 * RIG_MS);
			weights += weight;
		}
		for (unsigned window = 0; window < 3; window++) {
			for (unsigned i = 0; i < n; i++)
				from[i] = rig.client[i].service_ns;
			rig_run(&rig, rig.now_ns + 10 * QUANTUM * (weights / 100));
			ck_assert_double_ge(jain(from), 0.99);
			rig_run(&rig, rig.now_ns + rig_random(100 * RIG_MS));
		}
		ck_assert_uint_eq(rig.idle_ns, 0);
		rig_end(&rig);
	}
}
TEST_END

/* At any time nobody is further from its share than a slice and a kernel of its own and of another.
 */
TEST(lag_is_bounded)
{
	for (unsigned round = 0; round < 20; round++) {
		rig_start(&rig, "fair");
		unsigned n = 2 + (unsigned)rig_random(8);
		double weights = 0, worst = 0, begin = (double)rig.now_ns;
		const double kernel = 2 * RIG_MS;
		for (unsigned i = 0; i < n; i++) {
			add((uint32_t)(100 + rig_random(700)), 0)->kernel_ns = (uint64_t)kernel;
			weights += rig.client[i].c.weight;
		}
		while (rig.now_ns < 3 * RIG_S) {
			rig_run(&rig, rig.now_ns + RIG_MS);
			for (unsigned i = 0; i < n; i++) {
				double share =
				    ((double)rig.now_ns - begin) * rig.client[i].c.weight / weights;
				double lag = fabs(share - (double)rig.client[i].service_ns);
				worst = lag > worst ? lag : worst;
			}
		}
		ck_assert_double_le(worst, QUANTUM + 2 * kernel);
		rig_end(&rig);
	}
}
TEST_END

TEST(sleepers_gain_nothing_and_lose_nothing)
{
	rig_start(&rig, "fair");
	struct rig_client *sleeper = add(100, 0), *other = add(100, 0);
	sleeper->release_ns = 5 * RIG_S; /* comes after the other had 5 s */
	rig_run(&rig, 5 * RIG_S);
	uint64_t then_ns = other->service_ns;
	rig_run(&rig, 6 * RIG_S);
	ck_assert_uint_ge(other->service_ns - then_ns, RIG_S / 2 - 2 * QUANTUM);
	ck_assert_uint_ge(sleeper->service_ns, RIG_S / 2 - 2 * QUANTUM);
	rig_end(&rig);

	/* alone for 5 s, gone, and back beside a newcomer: that was no debt */
	rig_start(&rig, "fair");
	struct rig_client *early = add(100, 0);
	early->cost_ns = 5 * RIG_S;
	early->pause_ns = RIG_S / 10;
	rig_run(&rig, 5 * RIG_S + RIG_S / 20);
	ck_assert_uint_eq(early->done, 1);
	struct rig_client *late = add(100, 0);
	then_ns = early->service_ns;
	rig_run(&rig, 6 * RIG_S + RIG_S / 10);
	ck_assert_uint_ge(early->service_ns - then_ns, RIG_S / 2 - 3 * QUANTUM);
	ck_assert_uint_ge(late->service_ns, RIG_S / 2 - 3 * QUANTUM);
	rig_end(&rig);
}
TEST_END

/* One kernel at a time, each thirty times a quantum, with a pause after each: it still gets half.
 */
TEST(a_pause_forgives_no_debt)
{
	rig_start(&rig, "fair");
	struct rig_client *longs = add(100, 0), *other = add(100, 0);
	longs->cost_ns = longs->kernel_ns = 240 * RIG_MS;
	longs->pause_ns = RIG_MS;
	rig_run(&rig, 20 * RIG_S);
	ck_assert_uint_le(longs->service_ns, 103 * RIG_S / 10);
	ck_assert_uint_ge(longs->service_ns, 93 * RIG_S / 10);
	ck_assert_uint_ge(other->service_ns, 97 * RIG_S / 10);
	rig_end(&rig);

	/* nor one that all of them make */
	rig_start(&rig, "fair");
	longs = rig_add(&rig, &(struct rig_client){.cost_ns = 240 * RIG_MS,
	                                           .kernel_ns = 240 * RIG_MS,
	                                           .pause_ns = 50 * RIG_MS});
	other = rig_add(&rig, &(struct rig_client){.cost_ns = 8 * RIG_MS, .pause_ns = 41 * RIG_MS});
	rig_run(&rig, 260 * RIG_MS);
	ck_assert(longs->done == 1 && other->done == 1);
	other->cost_ns = RIG_ENDLESS; /* back before the other is: its turn for 232 ms */
	rig_run(&rig, 500 * RIG_MS);
	ck_assert_uint_eq(longs->service_ns, 240 * RIG_MS);
	rig_run(&rig, RIG_S);
	ck_assert_uint_gt(longs->service_ns, 240 * RIG_MS);
	rig_end(&rig);
}
TEST_END

/* latency_nice: the same share, an earlier turn. */
TEST(latency_nice_moves_the_turn_and_not_the_share)
{
	uint64_t response_ns[2];
	for (unsigned nice = 0; nice < 2; nice++) {
		rig_start(&rig, "fair");
		struct rig_client *quick =
		    rig_add(&rig, &(struct rig_client){.c.latency_nice = nice ? -20 : 0,
		                                       .cost_ns = RIG_MS,
		                                       .every_ns = 40 * RIG_MS,
		                                       .first_ns = 3 * RIG_MS});
		for (unsigned i = 0; i < 4; i++)
			add(100, 0);
		rig_run(&rig, 4 * RIG_S);
		response_ns[nice] = quick->response_max_ns;
		rig_end(&rig);
	}
	ck_assert_uint_lt(response_ns[1], 3 * RIG_MS); /* its own and a kernel */
	ck_assert_uint_gt(response_ns[0], 2 * response_ns[1]);

	rig_start(&rig, "fair");
	struct rig_client *a = add(100, -20), *b = add(100, 19), *c = add(100, 0);
	uint64_t begin_ns = rig.now_ns, lead_ns = 0;
	while (rig.now_ns < 30 * RIG_S) { /* a short slice is never far ahead of its share */
		rig_run(&rig, rig.now_ns + RIG_MS);
		uint64_t share_ns = (rig.now_ns - begin_ns) / 3;
		if (a->service_ns > share_ns + lead_ns)
			lead_ns = a->service_ns - share_ns;
	}
	ck_assert_uint_le(lead_ns, QUANTUM / 4 + RIG_MS);
	ck_assert_uint_ge(b->service_ns, 10 * RIG_S - 5 * QUANTUM);
	ck_assert_uint_le(a->service_ns, 10 * RIG_S + 5 * QUANTUM);
	ck_assert_uint_ge(c->service_ns, 10 * RIG_S - 5 * QUANTUM);
	rig_end(&rig);
}
TEST_END

TEST(extreme_weights)
{
	rig_start(&rig, "fair");
	struct rig_client *light = add(1, 0);
	add(10000, 0);
	rig_run(&rig, 400 * RIG_S);
	ck_assert_uint_ge(light->service_ns, QUANTUM);
	ck_assert_uint_le(light->service_ns, 400 * RIG_S / 10001 + 2 * QUANTUM);
	rig_end(&rig);
}
TEST_END

/* Charges so large that virtual times wrap around a few times: the order survives. */
TEST(virtual_times_wrap_around)
{
	rig_start(&rig, "fair");
	struct rig_client *a = add(1, 0), *b = add(1, 0);
	for (unsigned i = 0; i < 3000; i++) {
		struct rig_client *turn = i % 2 ? a : b;
		for (unsigned k = 0; k < 2; k++)
			rig.p->ops->charge(rig.p, k ? &a->c : &b->c, rig.now_ns, UINT64_MAX / 3);
		rig.p->ops->charge(rig.p, &turn->c, rig.now_ns, RIG_S);
		rig_run(&rig, rig.now_ns + 3 * QUANTUM);
	}
	uint64_t more = a->service_ns > b->service_ns ? a->service_ns : b->service_ns;
	ck_assert_uint_ge(a->service_ns + b->service_ns - more, more / 2);
	rig_end(&rig);
}
TEST_END

/* A client of two devices whose virtual time is far ahead on the second: it waits, and not for
 * ever. The two lists are asked by hand. */
TEST(several_devices_starve_nobody)
{
	struct rein_policy_params params = {0};
	struct rein_policy *p = rein_policy_fair.init(&params);
	struct rein_policy_client both = {.id = 1, .weight = 100}, one = {.id = 2, .weight = 100};
	struct rein_policy_client *first[] = {&both}, *second[] = {&both, &one};
	struct rein_policy_verdict v[2] = {0};
	uint64_t now_ns = RIG_S;
	ck_assert(!p->ops->join(p, &both, now_ns) && !p->ops->join(p, &one, now_ns));
	both.active = one.active = true;
	p->ops->ready(p, &both, now_ns);
	p->ops->ready(p, &one, now_ns);
	p->ops->decide(p, second, v, 2, now_ns);
	p->ops->charge(p, &both, now_ns, 3600 * RIG_S); /* of the first device, alone there */
	uint64_t waited_ns = 0;
	for (; waited_ns < 10 * RIG_S; waited_ns += RIG_MS, now_ns += RIG_MS) {
		memset(v, 0, sizeof(v));
		p->ops->decide(p, first, v, 1, now_ns);
		ck_assert(!v[0].hold);
		memset(v, 0, sizeof(v));
		p->ops->decide(p, second, v, 2, now_ns);
		if (!v[0].hold)
			break;
		p->ops->charge(p, &one, now_ns, RIG_MS);
	}
	ck_assert_uint_gt(waited_ns, RIG_S / 2);
	ck_assert_uint_lt(waited_ns, 2 * RIG_S);
	p->ops->leave(p, &both, now_ns);
	p->ops->leave(p, &one, now_ns);
	p->ops->fini(p);
}
TEST_END

TEST(alone_on_the_device_or_alone_active)
{
	rig_start(&rig, "fair");
	struct rig_client *a = add(100, 0);
	rig_run(&rig, RIG_S);
	ck_assert(!a->v.hold && !a->v.metered);
	ck_assert_uint_eq(rig.decide_ns, UINT64_MAX);
	struct rig_client *b = add(100, 0);
	b->release_ns = UINT64_MAX;
	rig_run(&rig, 2 * RIG_S);
	ck_assert(!a->v.hold && a->v.metered && b->v.hold);
	ck_assert_uint_eq(rig.decide_ns, UINT64_MAX);
	rig_end(&rig);
}
TEST_END

TESTS("policy fair", shares_follow_the_weights, lag_is_bounded,
      sleepers_gain_nothing_and_lose_nothing, a_pause_forgives_no_debt,
      latency_nice_moves_the_turn_and_not_the_share, extreme_weights, virtual_times_wrap_around,
      several_devices_starve_nobody, alone_on_the_device_or_alone_active)
