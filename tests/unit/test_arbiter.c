// SPDX-License-Identifier: Apache-2.0
/* test_arbiter.c: the arbiter's core with a fake clock on plain memory: holds, lingers,
 * owners, several devices, death, accounts, live changes. */
#include "tests/unit/arbiter_rig.h"

/* ---------------------------------------------------------------- holds */

TEST(an_urgent_request_closes_and_its_end_opens)
{
	start(&rein_policy_prio);
	struct party *be = join("be", 0, "A"), *lc = join("lc", 50, "A");
	ck_assert(!closed(be) && metered(be) && !metered(lc));
	busy(be);
	ck_assert(!closed(be));
	busy(lc);
	ck_assert(closed(be) && !closed(lc));
	const struct rein_verdict *v = &be->control.verdict[0];
	ck_assert_uint_eq(rein_load_relaxed(&v->hold_mode), REIN_HOLD_LAUNCH);
	ck_assert_uint_eq(rein_load_relaxed(&v->seq) % 2, 0);
	ck_assert(lease(be) == now_ns + REIN_LEASE_NS);
	ck_assert(rein_load_relaxed(&v->backlog_ns) == REIN_POLICY_BACKLOG_NS);
	ck_assert_uint_eq(rein_load_relaxed(&v->backlog_launches), REIN_POLICY_BACKLOG_LAUNCHES);
	ck_assert_uint_eq(rein_load_relaxed(&lc->control.flags), REIN_CONTROL_NOTIFY_IDLE);
	ck_assert_uint_eq(be->c.holder, lc->c.policy.id);
	uint32_t generation = rein_load_relaxed(&v->generation);
	demand(be, REIN_DEMAND_ACTIVE | REIN_DEMAND_WAITING);
	pass(10 * REIN_MS);
	idle(lc);
	ck_assert(closed(be)); /* lingers */
	ck_assert(next_ns == now_ns + LINGER_NS);
	pass(LINGER_NS - 1);
	ck_assert(closed(be));
	ck_assert_uint_eq(wakes, 0);
	pass(1);
	ck_assert(!closed(be) && metered(be));
	ck_assert_uint_eq(wakes, 1);
	ck_assert_uint_eq(rein_load_relaxed(&v->hold_mode), REIN_HOLD_NONE);
	ck_assert_uint_eq(rein_load_relaxed(&v->generation), generation + 1);
	leave(be);
	leave(lc);
	finish();
}
TEST_END

static bool late(const struct party *p)
{
	return rein_load_acquire(&p->control.flags) & REIN_CONTROL_IDLE_LATE;
}

static void quick_requests(struct party *p)
{
	for (int i = 0; i < 2; i++) {
		busy(p);
		pass(REIN_MS);
		idle(p);
	}
}

TEST(who_is_alone_and_quick_may_tell_late_that_it_is_idle)
{
	start(&rein_policy_prio);
	struct party *lc = join("lc", 50, "A"), *other = join("other", 0, "B");
	ck_assert(!late(lc));
	busy(lc);
	ck_assert(!late(lc)); /* after a pause: its end is rung for */
	quick_requests(lc);
	ck_assert(late(lc) && !late(other));
	ck_assert_uint_eq(rein_load_acquire(&lc->control.flags), REIN_CONTROL_IDLE_LATE);
	pass(REIN_MS); /* no longer lingering: nobody is held for it */
	struct party *be = join("be", 0, "A");
	ck_assert(!late(lc) && !late(be) && !closed(be));
	quick_requests(lc);
	ck_assert(!late(lc));
	busy(be);
	busy(lc);
	ck_assert(closed(be)); /* somebody waits for it */
	ck_assert(rein_load_acquire(&lc->control.flags) & REIN_CONTROL_NOTIFY_IDLE);
	idle(lc);
	leave(be);
	ck_assert(late(lc));
	pass(REIN_S);
	busy(lc);
	ck_assert(!late(lc)); /* no longer quick */
	quick_requests(lc);
	ck_assert(late(lc));
	lc->c.policy.deadline_ns = 20 * REIN_MS; /* its ends are looked at closely */
	quick_requests(lc);
	ck_assert(!late(lc));
	lc->c.policy.deadline_ns = 0;
	quick_requests(lc);
	ck_assert(late(lc));
	lc->c.traceable = true;
	rein_arbiter_set_traced(a, true, now_ns);
	ck_assert(!late(lc));
	rein_store_release(&lc->status.request_flags, REIN_REQUEST_DECLARED);
	rein_arbiter_set_traced(a, false, now_ns);
	ck_assert(!late(lc));
	leave(other);
	leave(lc);
	finish();
}
TEST_END

TEST(a_gap_shorter_than_the_linger_lets_nobody_in)
{
	start(&rein_policy_prio);
	struct party *be = join("be", 0, "A"), *lc = join("lc", 50, "A");
	busy(be);
	busy(lc);
	for (unsigned i = 0; i < 100; i++) {
		pass(REIN_MS);
		idle(lc);
		pass(LINGER_NS - 1000);
		ck_assert(closed(be));
		if (i % 2) { /* idle, busy, idle between two looks: the linger begins anew */
			idle(lc);
			pass(LINGER_NS - 1000);
			ck_assert(closed(be));
		}
		busy(lc);
	}
	ck_assert(now_ns - lc->c.policy.active_since_ns > 100 * REIN_MS); /* one request */
	leave(be);
	leave(lc);
	finish();
}
TEST_END

TEST(who_is_idle_or_joins_later_is_held_too)
{
	start(&rein_policy_prio);
	struct party *be = join("be", 0, "A"), *lc = join("lc", 50, "A");
	busy(lc);
	ck_assert(closed(be)); /* what it submits next must wait */
	struct party *late = join("late", 10, "A");
	ck_assert(closed(late));
	struct party *other = join("other", 0, "B");
	ck_assert(!closed(other) && !metered(other));
	struct party *equal = join("equal", 50, "A");
	ck_assert(!closed(equal));
	struct party *none = join("none", 0, "");
	ck_assert(!closed(none));
	ck_assert_uint_eq(rein_load_relaxed(&none->control.verdict[0].board_device), UINT32_MAX);
	declare(none, 0, 'A');
	busy(none);
	ck_assert(closed(none));
	ck_assert_uint_eq(rein_load_relaxed(&none->control.verdict[0].board_device),
	                  rein_load_relaxed(&be->control.verdict[0].board_device));
	leave(lc);
	ck_assert(!closed(be) && !closed(none) && !closed(late));
	leave(be), leave(late), leave(other), leave(equal), leave(none);
	finish();
}
TEST_END

TEST(fifo_holds_nobody)
{
	start(&rein_policy_fifo);
	struct party *be = join("be", 0, "A"), *lc = join("lc", 50, "A");
	busy(be);
	busy(lc);
	pass(REIN_S);
	ck_assert(!closed(be) && !metered(be) && !closed(lc));
	ck_assert_uint_ge(rein_load_relaxed(&be->control.verdict[0].backlog_launches), 1);
	leave(be);
	leave(lc);
	finish();
}
TEST_END

/* ---------------------------------------------------------------- owners, devices, death */

TEST(owners_gen_is_odd_while_several_are_active)
{
	start(&rein_policy_prio);
	struct party *x = join("x", 0, "A"), *y = join("y", 0, "A"), *z = join("z", 0, "B");
	uint32_t dx = rein_load_relaxed(&x->control.verdict[0].board_device);
	uint32_t dz = rein_load_relaxed(&z->control.verdict[0].board_device);
	ck_assert_uint_ne(dx, dz);
	const rein_a32 *gen = &board.device[dx].owners_gen;
	ck_assert_uint_eq(rein_load_acquire(gen), 0);
	busy(x);
	busy(z);
	ck_assert_uint_eq(rein_load_acquire(gen), 0);
	busy(y);
	ck_assert_uint_eq(rein_load_acquire(gen), 1);
	idle(x);
	ck_assert_uint_eq(rein_load_acquire(gen), 1);
	pass(LINGER_NS);
	ck_assert_uint_eq(rein_load_acquire(gen), 2);
	busy(x);
	ck_assert_uint_eq(rein_load_acquire(gen), 3);
	leave(x); /* dies while active */
	ck_assert_uint_eq(rein_load_acquire(gen), 4);
	ck_assert_uint_eq(rein_load_acquire(&board.device[dz].owners_gen), 0);
	leave(y), leave(z);
	ck_assert_uint_eq(rein_load_acquire(gen) % 2, 0);
	finish();
}
TEST_END

TEST(a_process_is_held_on_all_its_devices)
{
	start(&rein_policy_prio);
	struct party *both = join("both", 10, "AB"), *lc = join("lc", 50, "A");
	struct party *small = join("small", 0, "B");
	const rein_a32 *gate_b = &both->control.verdict[1].gate;
	busy(both);
	busy(small);
	ck_assert(!closed(both) && closed(small));
	busy(lc); /* on A: `both` stops on B as well, and makes nobody wait there any more */
	ck_assert(closed(both));
	ck_assert(rein_load_acquire(gate_b) & REIN_GATE_CLOSED);
	ck_assert(!closed(small));
	ck_assert((rein_load_acquire(gate_b) & REIN_GATE_METERED) && metered(both)); /* alike */
	idle(lc);
	pass(LINGER_NS);
	ck_assert(!closed(both) && !(rein_load_acquire(gate_b) & REIN_GATE_CLOSED));
	ck_assert(closed(small));
	leave(both);
	ck_assert(!closed(small));
	leave(lc), leave(small);
	finish();
}
TEST_END

TEST(the_death_of_the_holder_frees_at_once)
{
	start(&rein_policy_prio);
	struct party *be = join("be", 0, "A"), *lc = join("lc", 50, "A");
	busy(be);
	busy(lc);
	demand(be, REIN_DEMAND_ACTIVE | REIN_DEMAND_WAITING);
	ck_assert(closed(be));
	leave(lc);
	ck_assert(!closed(be) && !metered(be));
	ck_assert_uint_eq(wakes, 1);
	ck_assert_ptr_null(rein_arbiter_find(a, 2));
	leave(be);
	ck_assert_uint_eq(a->n, 0);
	finish();
}
TEST_END

TEST(made_up_devices_do_not_use_up_the_table)
{
	start(&rein_policy_prio);
	struct party *liar[5], *honest;
	for (unsigned i = 0; i < 5; i++) {
		liar[i] = join("liar", 0, "");
		for (unsigned k = 0; k < REIN_DEVICES_MAX; k++)
			declare(liar[i], k, (char)(1 + i * REIN_DEVICES_MAX + k));
		rein_arbiter_look(a, &liar[i]->c, now_ns);
		run();
	}
	ck_assert_uint_eq(liar[0]->c.n_devices, REIN_DEVICES_MAX);
	ck_assert_uint_eq(liar[1]->c.n_devices, 0);
	ck_assert_uint_eq(rein_load_relaxed(&liar[1]->control.verdict[3].board_device), UINT32_MAX);
	honest = join("honest", 0, "");
	honest->c.uid = 1001;
	declare(honest, 0, 'H');
	declare(honest, 1, 'H'); /* the same device twice counts once */
	rein_arbiter_look(a, &honest->c, now_ns);
	run();
	ck_assert_uint_eq(honest->c.n_devices, 1);
	for (unsigned i = 0; i < 5; i++)
		leave(liar[i]);
	for (unsigned i = 0; i < REIN_BOARD_DEVICES_MAX; i++)
		ck_assert(!a->device[i] || a->device[i]->uuid[0] == 'H');
	leave(honest);
	finish();
}
TEST_END

/* ---------------------------------------------------------------- accounts, live changes, end */

static bool near(uint64_t ns, uint64_t expected_ns)
{
	return ns + REIN_US > expected_ns && ns < expected_ns + REIN_US;
}

TEST(time_is_charged_to_who_had_the_gpu)
{
	start(&rein_policy_prio);
	struct party *x = join("x", 0, "A"), *y = join("y", 0, "A"), *lc = join("lc", 9, "A");
	busy(x);
	pass(10 * REIN_MS);
	busy(y);
	pass(10 * REIN_MS); /* half each */
	busy(lc);
	pass(30 * REIN_MS); /* all of it */
	idle(lc);
	idle(y);
	pass(LINGER_NS);
	pass(5 * REIN_MS);
	rein_arbiter_account(a, now_ns);
	ck_assert(near(x->c.policy.used_ns, 20 * REIN_MS));
	ck_assert(near(y->c.policy.used_ns, 5 * REIN_MS));
	ck_assert(near(lc->c.policy.used_ns, 30 * REIN_MS));
	idle(x);
	pass(REIN_S / 2);
	double share = rein_arbiter_share(&lc->c, now_ns);
	ck_assert(share > 0.029 && share < 0.031);
	pass(2 * REIN_S);
	ck_assert(rein_arbiter_share(&lc->c, now_ns) == 0);
	busy(x);
	pass(3 * REIN_S);
	rein_arbiter_account(a, now_ns);
	share = rein_arbiter_share(&x->c, now_ns);
	ck_assert(share > 0.89 && share <= 1);
	leave(x), leave(y), leave(lc);
	finish();
}
TEST_END

TEST(parameters_change_live)
{
	start(&rein_policy_prio);
	struct party *x = join("x", 0, "A"), *y = join("y", 50, "A");
	char why[160];
	busy(x);
	busy(y);
	ck_assert(closed(x));
	const struct rein_arbiter_params up = {.prio = 80,
	                                       .weight = 5,
	                                       .linger_us = 1000,
	                                       .backlog_launches = 7,
	                                       .backlog_ns = 99,
	                                       .patience_ns = REIN_S,
	                                       .gate_implicit = true};
	ck_assert_uint_eq(x->control.flags & REIN_CONTROL_GATE_IMPLICIT, 0);
	ck_assert_int_eq(rein_arbiter_set(a, &x->c, &up, now_ns, why, sizeof(why)), 0);
	ck_assert_uint_ne(x->control.flags & REIN_CONTROL_GATE_IMPLICIT, 0);
	ck_assert(!closed(x) && closed(y) && !metered(x) && metered(y));
	ck_assert_uint_eq(rein_load_relaxed(&x->control.prio), 80);
	ck_assert_uint_eq(rein_load_relaxed(&x->control.linger_us), 1000);
	ck_assert_uint_eq(rein_load_relaxed(&x->control.verdict[0].backlog_launches), 7);
	ck_assert(rein_load_relaxed(&x->control.verdict[0].backlog_ns) == 99);
	leave(x), leave(y);
	finish();
}
TEST_END

/* Admission lowers a backlog, and lifts it again: that fills nobody's budget. */
TEST(a_new_backlog_forgives_nothing)
{
	start(&rein_policy_cbs);
	struct party *x = join("x", 0, "A");
	struct rein_arbiter_params params = {.weight = REIN_POLICY_WEIGHT,
	                                     .linger_us = REIN_POLICY_LINGER_US,
	                                     .patience_ns = REIN_LEASE_NS,
	                                     .backlog_launches = 7,
	                                     .backlog_ns = REIN_MS,
	                                     .budget_hard = true,
	                                     .period_ns = 100 * REIN_MS,
	                                     .budget_ns = 10 * REIN_MS};
	char why[160];
	ck_assert_int_eq(rein_arbiter_set(a, &x->c, &params, now_ns, why, sizeof(why)), 0);
	busy(x);
	pass(20 * REIN_MS);
	ck_assert(closed(x));
	params.backlog_ns = REIN_MS / 2;
	ck_assert_int_eq(rein_arbiter_set(a, &x->c, &params, now_ns, why, sizeof(why)), 0);
	ck_assert(closed(x));
	ck_assert(rein_load_relaxed(&x->control.verdict[0].backlog_ns) == REIN_MS / 2);
	params.budget_ns = 11 * REIN_MS; /* that is another reservation */
	ck_assert_int_eq(rein_arbiter_set(a, &x->c, &params, now_ns, why, sizeof(why)), 0);
	ck_assert(!closed(x));
	leave(x);
	finish();
}
TEST_END

TEST(policies_switch_live)
{
	start(&rein_policy_prio);
	struct party *be = join("be", 0, "A"), *lc = join("lc", 50, "A");
	busy(be);
	busy(lc);
	const struct rein_policy_params none = {0}, ageing = {.ageing_ns = REIN_MS};
	ck_assert(closed(be));
	ck_assert_int_eq(rein_arbiter_set_policy(a, &rein_policy_fifo, &none, now_ns), 0);
	ck_assert(!closed(be));
	ck_assert_int_eq(rein_arbiter_set_policy(a, &rein_policy_prio, &ageing, now_ns), 0);
	ck_assert(closed(be) && be->c.policy.priv != NULL);
	demand(be, REIN_DEMAND_ACTIVE | REIN_DEMAND_WAITING);
	for (unsigned i = 0; i < 60 && closed(be); i++) {
		rein_add_relaxed(&lc->status.total.submissions, 1);
		pass(REIN_MS);
	}
	ck_assert(!closed(be)); /* it aged */
	ck_assert_int_eq(rein_arbiter_set_policy(a, &rein_policy_fifo, &none, now_ns), 0);
	ck_assert_ptr_null(be->c.policy.priv);
	leave(be), leave(lc);
	finish();
}
TEST_END

/* A policy that has no memory for the second client: the switch leaves everything as it was. */
static unsigned meagre_left;
static struct rein_policy *meagre_init(const struct rein_policy_params *p);
static void meagre_fini(struct rein_policy *p)
{
	free(p);
}
static int meagre_join(struct rein_policy *p, struct rein_policy_client *c, uint64_t at_ns)
{
	return c->id == 2 ? -12 /* ENOMEM */ : 0;
}
static void meagre_leave(struct rein_policy *p, struct rein_policy_client *c, uint64_t at_ns)
{
	meagre_left++;
}
static const struct rein_policy_ops meagre = {.name = "meagre",
                                              .init = meagre_init,
                                              .fini = meagre_fini,
                                              .join = meagre_join,
                                              .leave = meagre_leave};
static struct rein_policy *meagre_init(const struct rein_policy_params *params)
{
	struct rein_policy *p = calloc(1, sizeof(*p));
	p->ops = &meagre;
	return p;
}

TEST(a_switch_that_fails_changes_nothing)
{
	start(&rein_policy_prio);
	const struct rein_policy_params none = {0}, ageing = {.ageing_ns = REIN_S};
	struct party *be = join("be", 0, "A"), *lc = join("lc", 50, "A");
	ck_assert_int_eq(rein_arbiter_set_policy(a, &rein_policy_prio, &ageing, now_ns), 0);
	void *priv = be->c.policy.priv;
	busy(lc);
	ck_assert_int_lt(rein_arbiter_set_policy(a, &meagre, &none, now_ns), 0);
	ck_assert_uint_eq(meagre_left, 1);
	ck_assert_ptr_eq(a->policy->ops, &rein_policy_prio);
	ck_assert_ptr_eq(be->c.policy.priv, priv);
	ck_assert(closed(be));
	leave(be), leave(lc);
	finish();
}
TEST_END

TEST(the_end_opens_every_gate_for_good)
{
	start(&rein_policy_prio);
	struct party *be = join("be", 0, "A"), *lc = join("lc", 50, "A");
	busy(be);
	busy(lc);
	demand(be, REIN_DEMAND_ACTIVE | REIN_DEMAND_WAITING);
	rein_arbiter_open_all(a);
	ck_assert_uint_eq(rein_load_acquire(&be->control.verdict[0].gate), REIN_GATE_OPEN);
	ck_assert_uint_eq(wakes, 1);
	rein_add_relaxed(&lc->status.demand, REIN_DEMAND_COUNT);
	rein_arbiter_scan(a, now_ns);
	ck_assert(rein_arbiter_step(a, now_ns + REIN_S) == UINT64_MAX);
	ck_assert(!closed(be));
	leave(be), leave(lc);
	finish();
}
TEST_END

/* Whatever words clients write, the rules hold after every step. */
TEST(random_histories_keep_the_rules)
{
	uint64_t seed = 88172645463325252ull;
	start(&rein_policy_prio);
	struct party *p[12];
	static const char *const devices[] = {"A", "A", "B", "AB"};
	for (unsigned i = 0; i < 12; i++)
		p[i] = join("p", i % 4 == 3 ? 0 : (int)(i % 5) * 10, devices[i % 4]);
	for (unsigned round = 0; round < 20000; round++) {
		seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
		struct party *x = p[seed % 12];
		if (seed >> 60 == 0) { /* it dies and another comes */
			int prio = x->c.policy.prio;
			unsigned i = seed % 12;
			leave(x);
			p[i] = join("p", prio, devices[i % 4]);
		} else if (seed >> 40 & 1) {
			rein_store_release(&x->status.demand, (uint32_t)(seed >> 16));
			rein_add_relaxed(&x->status.total.submissions, 1);
		}
		pass(seed >> 30 & 0xfffff);
		for (unsigned i = 0; i < 12; i++) {
			uint32_t g0 = rein_load_relaxed(&p[i]->control.verdict[0].gate);
			uint32_t g1 = rein_load_relaxed(&p[i]->control.verdict[1].gate);
			bool held = g0 & REIN_GATE_CLOSED;
			ck_assert_int_eq(held, p[i]->c.held);
			if (i % 4 == 3) /* its gates move together */
				ck_assert_uint_eq(g0, g1);
			if (!held)
				continue;
			ck_assert(lease(p[i]) > now_ns);
			const struct rein_arbiter_client *h = rein_arbiter_find(a, p[i]->c.holder);
			ck_assert_ptr_nonnull(h);
			ck_assert(h->live && !h->stalled && h->policy.prio > p[i]->c.policy.prio);
			ck_assert(h->flags & REIN_CONTROL_NOTIFY_IDLE);
		}
		for (unsigned d = 0; d < REIN_BOARD_DEVICES_MAX; d++)
			if (a->device[d])
				ck_assert_int_eq(rein_load_relaxed(&board.device[d].owners_gen) & 1,
				                 rein_arbiter_device_active(a->device[d]) > 1);
	}
	for (unsigned i = 0; i < 12; i++)
		leave(p[i]);
	finish();
}
TEST_END

TESTS("arbiter", an_urgent_request_closes_and_its_end_opens,
      who_is_alone_and_quick_may_tell_late_that_it_is_idle,
      a_gap_shorter_than_the_linger_lets_nobody_in, who_is_idle_or_joins_later_is_held_too,
      fifo_holds_nobody, owners_gen_is_odd_while_several_are_active,
      a_process_is_held_on_all_its_devices, the_death_of_the_holder_frees_at_once,
      made_up_devices_do_not_use_up_the_table, time_is_charged_to_who_had_the_gpu,
      parameters_change_live, a_new_backlog_forgives_nothing, policies_switch_live,
      a_switch_that_fails_changes_nothing, the_end_opens_every_gate_for_good,
      random_histories_keep_the_rules)
