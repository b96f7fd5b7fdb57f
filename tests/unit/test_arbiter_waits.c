// SPDX-License-Identifier: Apache-2.0
/* test_arbiter_waits.c: under every policy of the table: a client that makes no progress may be
 * waiting for one that is held, so nobody that is held for it is held for ever. */
#include "tests/unit/arbiter_rig.h"

#define WINDOW_NS (3 * REIN_S) /* within this everybody gets something */
#define SOME_NS (10 * REIN_MS)

static struct party *join_as(const char *name, int prio, enum rein_band band)
{
	struct party *p = join(name, prio, "A");
	bool timed = band == REIN_BAND_REALTIME;
	char why[160];
	struct rein_arbiter_params params = {.prio = prio,
	                                     .weight = REIN_POLICY_WEIGHT,
	                                     .linger_us = REIN_POLICY_LINGER_US,
	                                     .backlog_ns = REIN_POLICY_BACKLOG_NS,
	                                     .backlog_launches = REIN_POLICY_BACKLOG_LAUNCHES,
	                                     .patience_ns = REIN_LEASE_NS,
	                                     .band = band,
	                                     .declared = band != REIN_BAND_BATCH,
	                                     .deadline_ns = timed ? 20 * REIN_MS : 0,
	                                     .period_ns = timed ? 40 * REIN_MS : 0,
	                                     .budget_ns = timed ? 30 * REIN_MS : 0};
	ck_assert_int_eq(rein_arbiter_set(a, &p->c, &params, now_ns, why, sizeof(why)), 0);
	return p;
}

/* `waiter` shows nothing but, perhaps, that it runs; the others submit whenever they may. */
static void nobody_starves(struct party *waiter, struct party *const *others, unsigned n,
                           bool alive)
{
	uint64_t open_ns[4] = {0}, end_ns = now_ns + WINDOW_NS;
	while (now_ns < end_ns) {
		if (alive)
			rein_add_relaxed(&waiter->status.total.heartbeats, 1);
		for (unsigned i = 0; i < n; i++) {
			uint32_t want = closed(others[i]) ? REIN_DEMAND_ACTIVE | REIN_DEMAND_WAITING
			                                  : REIN_DEMAND_ACTIVE;
			if ((rein_load_relaxed(&others[i]->status.demand) & 3) != want)
				demand(others[i], want);
			if (!closed(others[i])) {
				rein_add_relaxed(&others[i]->status.total.submissions, 1);
				open_ns[i] += REIN_MS;
			}
			rein_add_relaxed(&others[i]->status.total.heartbeats, 1);
		}
		pass(REIN_MS);
	}
	for (unsigned i = 0; i < n; i++)
		ck_assert_msg(open_ns[i] >= SOME_NS,
		              "%s: %s is held for %s all the time, %s (%llu ms)",
		              a->policy->ops->name, others[i]->c.name, waiter->c.name,
		              alive ? "slow" : "hung", (unsigned long long)(open_ns[i] / REIN_MS));
}

static void try(const struct rein_policy_ops *ops, enum rein_band band, bool alive)
{
	start(ops);
	struct party *be[3] = {join_as("be", 0, REIN_BAND_BATCH),
	                       join_as("other", 0, REIN_BAND_BATCH)};
	struct party *lc = join_as("lc", band == REIN_BAND_BATCH ? 0 : 50, band);
	busy(be[0]);
	busy(lc);
	for (unsigned i = 0; i < 3;
	     i++) /* stalled from the second window on, and no less so then */
		nobody_starves(lc, be, 1, alive);
	nobody_starves(lc, be, 2, alive); /* a third one, that may be why the second is held */
	nobody_starves(lc, be, 2, alive);
	leave(lc), leave(be[0]), leave(be[1]);
	finish();
}

TEST(nobody_waits_for_ever_for_who_is_held)
{
	for (unsigned i = 0; rein_policies[i]; i++)
		for (int band = 0; band < REIN_BAND_IDLE; band++) {
			try(rein_policies[i], (enum rein_band)band, false);
			try(rein_policies[i], (enum rein_band)band, true);
		}
}
TEST_END

/* What outranks the one that hangs is not opened up for its sake. */
TEST(a_stalled_client_costs_only_those_below_it)
{
	start(&rein_policy_prio);
	struct party *be = join("be", 0, "A"), *mid = join("mid", 20, "A");
	busy(be);
	busy(mid);
	pass(REIN_LEASE_NS);
	ck_assert(mid->c.stalled && !closed(be));
	struct party *top = join("top", 60, "A");
	busy(top);
	for (unsigned i = 0; i < 5000; i++) {
		rein_add_relaxed(&top->status.total.submissions, 1);
		pass(REIN_MS);
		if (i >= 100) /* what was granted before lasts for a lease */
			ck_assert(closed(be) && closed(mid));
	}
	idle(top);
	pass(LINGER_NS);
	ck_assert(!closed(be));
	leave(be), leave(mid), leave(top);
	finish();
}
TEST_END

TESTS("waiting for who is held", nobody_waits_for_ever_for_who_is_held,
      a_stalled_client_costs_only_those_below_it)
