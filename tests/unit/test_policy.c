// SPDX-License-Identifier: Apache-2.0
/* test_policy.c: what must hold for every policy, and what fixed priorities promise, over random
 * sets of clients. The seed is fixed: a failure comes back. */
#include <string.h>

#include "policy/policies.h"
#include "tests/harness.h"

#define N_MAX 24
#define ROUNDS 20000

static struct rein_policy_client client[N_MAX];
static struct rein_policy_client *list[N_MAX];
static struct rein_policy_verdict verdict[N_MAX];
static unsigned n;

static uint32_t random_below(uint32_t limit)
{
	static uint64_t state = 0x9e3779b97f4a7c15ull;
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 32) % limit;
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
	ck_assert_ptr_nonnull(ops);
	struct rein_policy *p = ops->init(&params);
	ck_assert_ptr_nonnull(p);
	ck_assert_ptr_eq(p->ops, ops);
	return p;
}

static void join_all(struct rein_policy *p)
{
	for (unsigned i = 0; i < n; i++)
		if (p->ops->join)
			ck_assert_int_eq(p->ops->join(p, list[i], 1), 0);
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
	ck_assert_str_eq(rein_policies[0]->name, "prio");
	ck_assert_ptr_null(rein_policy_find("nonesuch"));
	ck_assert_ptr_null(rein_policy_find(""));
	for (unsigned i = 0; rein_policies[i]; i++) {
		const struct rein_policy_ops *ops = rein_policies[i];
		ck_assert_ptr_eq(rein_policy_find(ops->name), ops);
		ck_assert(ops->init && ops->fini && ops->decide);
		ck_assert_uint_gt(strlen(ops->summary), 10);
	}
}
TEST_END

/* Of any policy: somebody who is active runs; whoever is held is held for an active client. */
TEST(every_policy_lets_somebody_run)
{
	for (unsigned k = 0; rein_policies[k]; k++)
		for (unsigned round = 0; round < ROUNDS / 4; round++) {
			random_clients();
			struct rein_policy *p = start(rein_policies[k]->name, 0);
			join_all(p);
			p->ops->decide(p, list, verdict, n, 1000);
			bool any_active = false, any_runs = false;
			for (unsigned i = 0; i < n; i++) {
				any_active |= client[i].active;
				any_runs |= client[i].active && !verdict[i].hold;
				if (!verdict[i].hold)
					continue;
				const struct rein_policy_client *h = by_id(verdict[i].holder);
				ck_assert_ptr_nonnull(h);
				ck_assert(h->active && h != &client[i]);
				ck_assert(!verdict[h->id - 1].hold);
				ck_assert(!client[i].exempt);
			}
			ck_assert(any_runs == any_active);
			end(p);
		}
}
TEST_END

TEST(fifo_never_holds_and_never_meters)
{
	for (unsigned round = 0; round < ROUNDS; round++) {
		random_clients();
		struct rein_policy *p = start("fifo", 0);
		ck_assert(p->ops->decide(p, list, verdict, n, round) == UINT64_MAX);
		for (unsigned i = 0; i < n; i++)
			ck_assert(!verdict[i].hold && !verdict[i].metered);
		end(p);
	}
}
TEST_END

TEST(prio_holds_exactly_those_below_the_most_urgent_active)
{
	struct rein_policy *p = start("prio", 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		random_clients();
		ck_assert(p->ops->decide(p, list, verdict, n, round) == UINT64_MAX);
		int top = most_urgent_active();
		for (unsigned i = 0; i < n; i++) {
			bool below = client[i].prio < top && !client[i].exempt;
			ck_assert_int_eq(verdict[i].hold, below);
			if (below)
				ck_assert_int_eq(by_id(verdict[i].holder)->prio, top);
			else
				ck_assert_uint_eq(verdict[i].holder, 0);
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
			ck_assert_int_eq(verdict[i].metered, client[i].prio < highest);
			ck_assert(verdict[i].backlog_ns == client[i].backlog_ns);
			ck_assert_uint_eq(verdict[i].backlog_launches, client[i].backlog_launches);
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
			ck_assert(!verdict[0].hold);
			ck_assert(ageing ? next > now : next == UINT64_MAX);
			opened = verdict[1].hold ? 0 : now;
		}
		if (!ageing) {
			ck_assert(opened == 0);
			end(p);
			continue;
		}
		ck_assert(opened == 100 + 3 * 1000); /* three levels to climb */
		/* It no longer waits; it keeps the level for one step, then falls back. */
		client[1].waiting = false;
		memset(verdict, 0, sizeof(verdict));
		next = p->ops->decide(p, list, verdict, n, opened + 1);
		ck_assert(!verdict[1].hold && next == opened + 1000);
		memset(verdict, 0, sizeof(verdict));
		p->ops->decide(p, list, verdict, n, next);
		ck_assert(verdict[1].hold);
		ck_assert_uint_eq(verdict[1].holder, 1);
		end(p);
	}
}
TEST_END

TESTS("policy", the_table, every_policy_lets_somebody_run, fifo_never_holds_and_never_meters,
      prio_holds_exactly_those_below_the_most_urgent_active, prio_meters_whoever_could_be_preempted,
      prio_ageing_ends_starvation)
