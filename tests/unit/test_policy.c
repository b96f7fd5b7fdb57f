// SPDX-License-Identifier: Apache-2.0
/* test_policy.c: what must hold for every policy, over random lives of random clients, and what
 * fixed priorities promise. The seed is fixed: a failure comes back. */
#include "tests/unit/policy_rig.h"

#define N_MAX 24
#define ROUNDS 20000

static struct rein_policy_client client[N_MAX];
static struct rein_policy_client *list[N_MAX];
static struct rein_policy_verdict verdict[N_MAX];
static unsigned n;

static uint32_t random_below(uint32_t limit)
{
	return (uint32_t)rig_random(limit);
}

static void random_clients(void)
{
	n = random_below(N_MAX + 1);
	memset(client, 0, sizeof(client));
	memset(verdict, 0, sizeof(verdict));
	int levels = random_below(2) ? 3 : 100; /* few levels: many equals */
	for (unsigned i = 0; i < n; i++) {
		list[i] = &client[i];
		client[i].id = client[i].job = i + 1;
		client[i].prio = (int)random_below((uint32_t)levels);
		client[i].weight = 100;
		client[i].backlog_ns = 1000 + i;
		client[i].backlog_launches = 1 + i;
		client[i].active = random_below(3) == 0;
		client[i].waiting = client[i].active && random_below(2);
		client[i].exempt = random_below(8) == 0;
	}
}

static struct rein_policy *start(const char *name, uint64_t ageing_ns)
{
	const struct rein_policy_params params = {.ageing_ns = ageing_ns};
	const struct rein_policy_ops *ops = rein_policy_find(name);
	CHECK(ops);
	struct rein_policy *p = ops->init(&params);
	CHECK(p && p->ops == ops);
	return p;
}

static void join_all(struct rein_policy *p)
{
	for (unsigned i = 0; i < n; i++) {
		bool active = list[i]->active;
		list[i]->active = false;
		if (p->ops->join)
			CHECK(p->ops->join(p, list[i], 1) == 0);
		list[i]->active = active;
		if (active && p->ops->ready)
			p->ops->ready(p, list[i], 1);
	}
}

static void end(struct rein_policy *p)
{
	for (unsigned i = 0; i < n; i++)
		if (p->ops->leave)
			p->ops->leave(p, list[i], 2);
	p->ops->fini(p);
}

static const struct rein_policy_client *by_id(uint32_t id)
{
	return id >= 1 && id <= n ? &client[id - 1] : NULL;
}

static int most_urgent_active(void)
{
	int top = -1;
	for (unsigned i = 0; i < n; i++)
		if (client[i].active && client[i].prio > top)
			top = client[i].prio;
	return top;
}

TEST(the_table)
{
	static const char *const names[] = {"classes", "prio", "edf",  "cbs",
	                                    "fair",    "mlfq", "fifo", NULL};
	ck_assert_ptr_null(rein_policy_find("nonesuch"));
	ck_assert_ptr_null(rein_policy_find(""));
	unsigned rows = 0;
	for (; rein_policies[rows]; rows++) {
		const struct rein_policy_ops *ops = rein_policies[rows];
		ck_assert_str_eq(ops->name, names[rows]);
		ck_assert_ptr_eq(rein_policy_find(ops->name), ops);
		ck_assert(ops->init && ops->fini && ops->decide);
		ck_assert_uint_gt(strlen(ops->summary), 10);
		ck_assert_uint_le(strlen(ops->summary), 90);
	}
	ck_assert_ptr_null(names[rows]);
}
TEST_END

/* ---------------------------------------------------------------- random lives */

static uint64_t some_ns(void)
{
	static const uint64_t ns[] = {1,           1000,  RIG_MS / 2,  RIG_MS,     5 * RIG_MS,
	                              33 * RIG_MS, RIG_S, 100 * RIG_S, 1ull << 62, UINT64_MAX / 2};
	uint64_t one = ns[rig_random(REIN_ARRAY_LEN(ns))];
	return one > 1000 ? one - rig_random(one / 4 + 1) : one;
}

static void random_params(struct rein_policy_params *p)
{
	*p = (struct rein_policy_params){0};
	if (rig_random(3) == 0)
		return;
	p->quantum_ns = rig_random(2) ? some_ns() : 0;
	p->boost_ns = rig_random(2) ? some_ns() : 0;
	p->overload = rig_random(2) ? REIN_OVERLOAD_DEGRADE : REIN_OVERLOAD_SHED;
	p->no_reclaim = rig_random(2);
	p->cap_period_ns = rig_random(2) ? some_ns() : 0;
	unsigned rows = 0;
	while (rein_policies[rows])
		rows++;
	for (unsigned b = 0; b < REIN_BANDS; b++) {
		p->inner[b] = rig_random(2) ? rein_policies[rig_random(rows)] : NULL;
		p->cap_permille[b] = (uint32_t)(rig_random(2) ? rig_random(1200) : 0);
	}
}

static void turn_active(struct rein_policy *p, struct rein_policy_client *c, uint64_t now_ns)
{
	c->active = !c->active;
	c->waiting = c->active && rig_random(4) == 0;
	if (c->active) {
		c->active_since_ns = now_ns;
		c->release_ns = now_ns - rig_random(now_ns < RIG_MS ? now_ns : RIG_MS);
		c->due_ns = c->deadline_ns ? c->release_ns + c->deadline_ns : 0;
		if (rig_random(8) == 0)
			c->due_ns = c->release_ns + 1 + rig_random(RIG_S); /* the program's word */
		if (p->ops->ready)
			p->ops->ready(p, c, now_ns);
	} else if (p->ops->idle) {
		p->ops->idle(p, c, now_ns);
	}
}

/* A client of any kind, joined; half of all are plain. */
static void random_join(struct rein_policy *p, struct rein_policy_client *c, uint32_t id,
                        uint64_t now_ns)
{
	*c = (struct rein_policy_client){.id = id, .job = id, .weight = 100};
	c->prio = (int)(rig_random(2) ? rig_random(100) : 0);
	c->band = (enum rein_band)rig_random(REIN_BANDS);
	if (rig_random(2)) {
		c->weight = (uint32_t)(rig_random(2) ? 1 : 10000);
		c->latency_nice = (int)rig_random(40) - 20;
		c->deadline_ns = rig_random(2) ? some_ns() : 0;
		c->period_ns = rig_random(2) ? some_ns() : 0;
		c->budget_ns = rig_random(2) ? some_ns() : 0;
		c->budget_hard = rig_random(2);
	}
	if (p->ops->join)
		CHECK(p->ops->join(p, c, now_ns) == 0);
	if (rig_random(4) == 0)
		turn_active(p, c, now_ns);
}

static void leave(struct rein_policy *p, struct rein_policy_client *c, uint64_t now_ns)
{
	if (c->active)
		turn_active(p, c, now_ns);
	if (p->ops->leave)
		p->ops->leave(p, c, now_ns);
}

static void charge(struct rein_policy *p, struct rein_policy_client *c, uint64_t now_ns)
{
	uint64_t ns = some_ns();
	c->used_ns = c->used_ns < (1ull << 63) - ns ? c->used_ns + ns : (1ull << 63) - 1;
	if (p->ops->charge)
		p->ops->charge(p, c, now_ns, ns);
}

/* One thing happens to one client. */
static void happen(struct rein_policy *p, struct rein_policy_client *c, uint64_t now_ns)
{
	switch (rig_random(8)) {
	case 0:
		c->exempt = rig_random(3) == 0;
		break;
	case 1:
		c->background = rig_random(3) == 0;
		break;
	case 2:
		leave(p, c, now_ns);
		random_join(p, c, c->id, now_ns); /* a change of parameters, or the id anew */
		break;
	case 3:
	case 4:
		charge(p, c, now_ns);
		break;
	default:
		turn_active(p, c, now_ns);
	}
}

/* The contract, whatever happens and whatever the parameters: tiny, huge, zero; time stands still,
 * ticks, or leaps. */
static void live(const struct rein_policy_ops *ops, unsigned steps)
{
	struct rein_policy_params params;
	random_params(&params);
	struct rein_policy *p = ops->init(&params);
	ck_assert_ptr_nonnull(p);
	memset(client, 0, sizeof(client));
	unsigned joined = 0, most = 1 + random_below(N_MAX);
	uint64_t now_ns = rig_random(2) ? 1 : RIG_S;
	for (unsigned step = 0; step < steps; step++) {
		uint64_t leap_ns = some_ns();
		now_ns += rig_random(3) ? rig_random(RIG_MS) : leap_ns < 10 * RIG_S ? leap_ns : 0;
		if (joined < most && rig_random(3) == 0) {
			list[joined] = &client[joined];
			random_join(p, list[joined], joined + 1, now_ns);
			joined++;
		}
		for (uint64_t k = rig_random(4); joined && k; k--)
			happen(p, list[rig_random(joined)], now_ns);
		memset(verdict, 0, sizeof(verdict));
		uint64_t next_ns = ops->decide(p, list, verdict, joined, now_ns);
		CHECK(next_ns > now_ns);
		check_contract(list, verdict, joined, true);
	}
	while (joined)
		leave(p, list[--joined], now_ns);
	p->ops->fini(p);
}

TEST(every_policy_keeps_the_contract)
{
	for (unsigned k = 0; rein_policies[k]; k++)
		for (unsigned life = 0; life < 400; life++)
			live(rein_policies[k], 150);
}
TEST_END

/* Thousands come and go on one instance; what a leak or a stale pointer would show under ASan. */
TEST(every_policy_outlives_its_clients)
{
	for (unsigned k = 0; rein_policies[k]; k++)
		live(rein_policies[k], 20000);
}
TEST_END

/* Two decisions at the same time, without anything in between, are the same: nothing flaps. */
TEST(every_policy_decides_the_same_twice)
{
	struct rein_policy_verdict again[N_MAX];
	for (unsigned k = 0; rein_policies[k]; k++)
		for (unsigned round = 0; round < 1000; round++) {
			random_clients();
			struct rein_policy *p = start(rein_policies[k]->name, 0);
			join_all(p);
			p->ops->decide(p, list, verdict, n, 1000);
			memset(again, 0, sizeof(again));
			p->ops->decide(p, list, again, n, 1000);
			for (unsigned i = 0; i < n; i++)
				CHECK(again[i].hold == verdict[i].hold &&
				      again[i].holder == verdict[i].holder &&
				      again[i].metered == verdict[i].metered);
			end(p);
		}
}
TEST_END

/* Whoever is alone on the device is not held and, without a budget, not metered. */
TEST(nobody_stands_in_its_own_way)
{
	for (unsigned k = 0; rein_policies[k]; k++) {
		struct rein_policy *p = start(rein_policies[k]->name, 0);
		client[0] = (struct rein_policy_client){.id = 7, .weight = 100, .prio = 3};
		list[0] = &client[0];
		n = 1;
		join_all(p);
		for (unsigned step = 0; step < 100; step++) {
			turn_active(p, list[0], 1000 + step * RIG_MS);
			charge(p, list[0], 1000 + step * RIG_MS);
			memset(verdict, 0, sizeof(verdict));
			p->ops->decide(p, list, verdict, 1, 1000 + step * RIG_MS);
			CHECK(!verdict[0].hold && !verdict[0].metered);
		}
		end(p);
	}
}
TEST_END

/* ---------------------------------------------------------------- fifo, prio */

TEST(fifo_never_holds_and_never_meters)
{
	for (unsigned round = 0; round < ROUNDS; round++) {
		random_clients();
		struct rein_policy *p = start("fifo", 0);
		CHECK(p->ops->decide(p, list, verdict, n, round) == UINT64_MAX);
		for (unsigned i = 0; i < n; i++)
			CHECK(!verdict[i].hold && !verdict[i].metered);
		end(p);
	}
}
TEST_END

TEST(prio_holds_exactly_those_below_the_most_urgent_active)
{
	struct rein_policy *p = start("prio", 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		random_clients();
		CHECK(p->ops->decide(p, list, verdict, n, round) == UINT64_MAX);
		int top = most_urgent_active();
		for (unsigned i = 0; i < n; i++) {
			bool below = client[i].prio < top && !client[i].exempt;
			CHECK(verdict[i].hold == below);
			if (below)
				CHECK(by_id(verdict[i].holder)->prio == top);
			else
				CHECK(verdict[i].holder == 0);
		}
	}
	n = 0;
	end(p);
}
TEST_END

TEST(prio_meters_whoever_could_be_preempted)
{
	struct rein_policy *p = start("prio", 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		random_clients();
		p->ops->decide(p, list, verdict, n, round);
		int highest = -1;
		for (unsigned i = 0; i < n; i++)
			highest = client[i].prio > highest ? client[i].prio : highest;
		for (unsigned i = 0; i < n; i++) {
			CHECK(verdict[i].metered == (client[i].prio < highest));
			CHECK(verdict[i].backlog_ns == client[i].backlog_ns);
			CHECK(verdict[i].backlog_launches == client[i].backlog_launches);
		}
	}
	n = 0;
	end(p);
}
TEST_END

/* Without ageing a busy urgent client starves the one below for ever; with it, it does not. */
TEST(prio_ageing_ends_starvation)
{
	for (int ageing = 0; ageing < 2; ageing++) {
		random_clients();
		n = 2;
		client[0] = (struct rein_policy_client){.id = 1, .prio = 5, .active = true};
		client[1] = (struct rein_policy_client){
		    .id = 2, .prio = 2, .active = true, .waiting = true};
		list[0] = &client[0];
		list[1] = &client[1];
		struct rein_policy *p = start("prio", ageing ? 1000 : 0);
		join_all(p);
		uint64_t now = 100, opened = 0, next;
		for (unsigned i = 0; i < 1000 && !opened; i++, now += 10) {
			memset(verdict, 0, sizeof(verdict));
			next = p->ops->decide(p, list, verdict, n, now);
			CHECK(!verdict[0].hold);
			CHECK(ageing ? next > now : next == UINT64_MAX);
			opened = verdict[1].hold ? 0 : now;
		}
		if (!ageing) {
			CHECK(opened == 0);
			end(p);
			continue;
		}
		CHECK(opened == 100 + 3 * 1000); /* three levels to climb */
		/* It no longer waits; it keeps the level for one step, then falls back. */
		client[1].waiting = false;
		memset(verdict, 0, sizeof(verdict));
		next = p->ops->decide(p, list, verdict, n, opened + 1);
		CHECK(!verdict[1].hold && next == opened + 1000);
		memset(verdict, 0, sizeof(verdict));
		p->ops->decide(p, list, verdict, n, next);
		CHECK(verdict[1].hold);
		ck_assert_uint_eq(verdict[1].holder, 1);
		end(p);
	}
}
TEST_END

/* With ageing no order lasts, so no deadline is promised; without it there is one. */
TEST(prio_promises_nothing_with_ageing)
{
	struct rein_task task[] = {
	    {.id = 1, .prio = 50, .period_ns = 50 * RIG_MS, .cost_ns = 5 * RIG_MS},
	    {.id = 2, .prio = 0}};
	uint64_t backlog_ns[] = {RIG_MS, RIG_MS}, response_ns[2];
	struct rein_bounds out = {.backlog_ns = backlog_ns, .response_ns = response_ns};
	struct rein_policy_params params = {0};
	ck_assert_int_eq(rein_policy_prio.admit(&params, task, 2, &out), 0);
	ck_assert(response_ns[0] < 50 * RIG_MS && response_ns[1] == UINT64_MAX);
	params.ageing_ns = RIG_MS;
	ck_assert_int_eq(rein_policy_prio.admit(&params, task, 2, &out), 1);
	ck_assert(response_ns[0] == UINT64_MAX);
}
TEST_END

TESTS("policy", the_table, every_policy_keeps_the_contract, every_policy_outlives_its_clients,
      every_policy_decides_the_same_twice, nobody_stands_in_its_own_way,
      fifo_never_holds_and_never_meters, prio_holds_exactly_those_below_the_most_urgent_active,
      prio_meters_whoever_could_be_preempted, prio_ageing_ends_starvation,
      prio_promises_nothing_with_ageing)
