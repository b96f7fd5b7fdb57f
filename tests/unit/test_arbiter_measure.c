// SPDX-License-Identifier: Apache-2.0
/* test_arbiter_measure.c: when a request begins, ends and is due, what the policy is told of it,
 * and what is measured. */
#include <pthread.h>

#include "tests/unit/arbiter_rig.h"

/* ---------------------------------------------------------------- a policy that listens */

static char heard[64]; /* j(oin) l(eave) r(eady) i(dle), in order */

static void hear(char what)
{
	size_t n = strlen(heard);
	if (n + 1 < sizeof(heard))
		heard[n] = what;
}

static struct rein_policy *ear_init(const struct rein_policy_params *params);
static void ear_fini(struct rein_policy *p)
{
	free(p);
}
static int ear_join(struct rein_policy *p, struct rein_policy_client *c, uint64_t at_ns)
{
	ck_assert(!c->active);
	hear('j');
	return 0;
}
static void ear_leave(struct rein_policy *p, struct rein_policy_client *c, uint64_t at_ns)
{
	ck_assert(!c->active);
	hear('l');
}
static void ear_ready(struct rein_policy *p, struct rein_policy_client *c, uint64_t at_ns)
{
	ck_assert(c->active);
	hear('r');
}
static void ear_idle(struct rein_policy *p, struct rein_policy_client *c, uint64_t at_ns)
{
	ck_assert(!c->active);
	hear('i');
}
static struct rein_policy_verdict ear_says;
static uint64_t ear_next = UINT64_MAX;
static uint64_t ear_decide(struct rein_policy *p, struct rein_policy_client *const *c,
                           struct rein_policy_verdict *v, unsigned n, uint64_t at_ns)
{
	for (unsigned i = 0; i < n; i++)
		v[i] = ear_says;
	return ear_next > at_ns ? ear_next : UINT64_MAX;
}
static const struct rein_policy_ops ear = {.name = "ear",
                                           .init = ear_init,
                                           .fini = ear_fini,
                                           .join = ear_join,
                                           .leave = ear_leave,
                                           .ready = ear_ready,
                                           .idle = ear_idle,
                                           .decide = ear_decide};
static struct rein_policy *ear_init(const struct rein_policy_params *params)
{
	struct rein_policy *p = calloc(1, sizeof(*p));
	p->ops = &ear;
	memset(heard, 0, sizeof(heard));
	ear_says = (struct rein_policy_verdict){0};
	return p;
}

static bool was_heard(const char *what)
{
	bool same = strcmp(heard, what) == 0;
	memset(heard, 0, sizeof(heard));
	return same;
}

/* ---------------------------------------------------------------- helpers */

static void set_timing(struct party *p, int prio, uint64_t deadline_ns)
{
	char why[160];
	struct rein_arbiter_params params = {.prio = prio,
	                                     .weight = 1,
	                                     .linger_us = REIN_POLICY_LINGER_US,
	                                     .patience_ns = REIN_LEASE_NS,
	                                     .deadline_ns = deadline_ns,
	                                     .period_ns = deadline_ns};
	ck_assert_int_eq(rein_arbiter_set(a, &p->c, &params, now_ns, why, sizeof(why)), 0);
}

/* As the shim publishes what is open; `open` = 0: nothing, and idle. */
static void declare_requests(struct party *p, unsigned open, uint64_t arrival_ns, uint64_t due_ns)
{
	rein_store_relaxed(&p->status.requests_open, open);
	rein_store_relaxed(&p->status.arrival_ns, open ? arrival_ns : 0);
	rein_store_relaxed(&p->status.deadline_ns, open ? due_ns : 0);
	rein_store_release(&p->status.request_flags, REIN_REQUEST_DECLARED | REIN_REQUEST_EXACT);
	demand(p, open ? REIN_DEMAND_ACTIVE : 0);
}

static struct rein_measured measured(const struct party *p)
{
	struct rein_measured m;
	rein_arbiter_measured(&p->c, &m);
	return m;
}

static void ask_again(struct party *p)
{
	demand(p, (rein_load_relaxed(&p->status.demand) ^ REIN_DEMAND_WAITING) & 3);
}

/* ---------------------------------------------------------------- undeclared */

TEST(an_undeclared_request_is_due_after_its_begin)
{
	start(&ear);
	struct party *p = join("p", 0, "A");
	set_timing(p, 0, 20 * REIN_MS);
	ck_assert(was_heard("jlj"));
	busy(p);
	ck_assert(p->c.policy.release_ns == now_ns);
	ck_assert(p->c.policy.due_ns == now_ns + 20 * REIN_MS);
	pass(5 * REIN_MS);
	idle(p);
	pass(LINGER_NS / 2); /* a gap: still the same */
	busy(p);
	pass(10 * REIN_MS);
	idle(p);
	pass(LINGER_NS);
	ck_assert(was_heard("ri"));
	struct rein_measured m = measured(p);
	ck_assert_uint_eq(m.met, 1);
	ck_assert_uint_eq(m.missed, 0);
	/* 15 ms of work; the linger does not count, and the gap was the client's */
	ck_assert(m.cost_ns == 15 * REIN_MS);
	ck_assert(m.response_p99_ns >= 15 * REIN_MS && m.response_p99_ns < 20 * REIN_MS);
	busy(p);
	pass(23 * REIN_MS);
	idle(p);
	pass(LINGER_NS);
	m = measured(p);
	ck_assert_uint_eq(m.met, 1);
	ck_assert_uint_eq(m.missed, 1);
	ck_assert(m.late_max_ns == 3 * REIN_MS);
	ck_assert(m.cost_ns == 23 * REIN_MS);
	leave(p);
	finish();
}
TEST_END

TEST(the_cost_is_the_greatest_of_the_last)
{
	start(&rein_policy_fifo);
	struct party *p = join("p", 0, "A");
	for (unsigned i = 0; i < REIN_MEASURED_COSTS + 1; i++) {
		busy(p);
		pass((i == 0 ? 50 : i == 1 ? 7 : 2) * REIN_MS);
		idle(p);
		pass(LINGER_NS);
		if (i == 1)
			ck_assert(measured(p).cost_ns == 50 * REIN_MS);
	}
	ck_assert(measured(p).cost_ns == 7 * REIN_MS);
	ck_assert_uint_eq(measured(p).met + measured(p).missed, 0); /* it has no deadline */
	leave(p);
	finish();
}
TEST_END

TEST(parameters_join_the_policy_idle)
{
	start(&ear);
	struct party *p = join("p", 0, "A");
	busy(p);
	ck_assert_uint_eq(p->c.policy.due_ns, 0);
	set_timing(p, 0, REIN_MS);
	ck_assert(was_heard("jriljr"));
	ck_assert(p->c.policy.due_ns == p->c.policy.release_ns + REIN_MS); /* of the one open now */
	const struct rein_policy_params none = {0};
	ck_assert_int_eq(rein_arbiter_set_policy(a, &ear, &none, now_ns), 0);
	ck_assert(was_heard("jril"));
	leave(p);
	ck_assert(was_heard("il"));
	finish();
}
TEST_END

/* ---------------------------------------------------------------- declared */

TEST(declared_requests_follow_each_other)
{
	start(&ear);
	struct party *p = join("p", 9, "A");
	uint64_t t = now_ns;
	was_heard("j");
	pass(2 * REIN_MS);
	declare_requests(p, 1, t, t + 10 * REIN_MS); /* it had waited for 2 ms */
	ck_assert(p->c.policy.release_ns == t && p->c.policy.due_ns == t + 10 * REIN_MS);
	ck_assert(p->c.policy.active_since_ns == now_ns);
	pass(REIN_MS);
	/* a second one, more urgent, beside it: only the deadline is new */
	declare_requests(p, 2, t, t + 5 * REIN_MS);
	ck_assert(p->c.policy.release_ns == t && p->c.policy.due_ns == t + 5 * REIN_MS);
	ck_assert(was_heard("r"));
	pass(REIN_MS);
	/* the first ends: the second has arrived at t + 3 */
	declare_requests(p, 1, t + 3 * REIN_MS, t + 5 * REIN_MS);
	ck_assert(p->c.policy.release_ns == t + 3 * REIN_MS);
	ck_assert(was_heard("ir"));
	ck_assert_uint_eq(measured(p).met, 1);
	pass(3 * REIN_MS);
	declare_requests(p, 0, 0, 0);
	ck_assert(was_heard("i") && !p->c.policy.active);
	struct rein_measured m = measured(p);
	ck_assert_uint_eq(m.met, 1);
	ck_assert_uint_eq(m.missed, 1);
	ck_assert(m.late_max_ns == 2 * REIN_MS);
	leave(p);
	finish();
}
TEST_END

/* Work goes on when the last request has ended: that is no request, and not late. */
TEST(work_after_a_request_is_none)
{
	start(&ear);
	struct party *p = join("p", 9, "A");
	set_timing(p, 9, 10 * REIN_MS);
	was_heard("");
	declare_requests(p, 1, now_ns, 0);
	ck_assert(p->c.policy.due_ns == now_ns + 10 * REIN_MS); /* what was granted */
	pass(3 * REIN_MS);
	rein_store_relaxed(&p->status.requests_open, 0);
	rein_store_relaxed(&p->status.arrival_ns, 0);
	rein_store_release(&p->status.request_flags,
	                   REIN_REQUEST_DECLARED | REIN_REQUEST_BACKGROUND);
	demand(p, REIN_DEMAND_ACTIVE);
	ck_assert(was_heard("rir"));
	ck_assert_uint_eq(measured(p).met, 1);
	ck_assert_uint_eq(p->c.policy.due_ns, 0);
	pass(REIN_S);
	declare_requests(p, 1, now_ns, 0);
	ck_assert(was_heard("ir"));
	ck_assert_uint_eq(measured(p).missed, 0);
	declare_requests(p, 0, 0, 0);
	ck_assert_uint_eq(measured(p).met, 2);
	leave(p);
	finish();
}
TEST_END

TEST(lies_about_time_gain_nothing)
{
	start(&ear);
	struct party *granted = join("granted", 0, "A"), *nobody = join("nobody", 0, "A");
	set_timing(granted, 0, 10 * REIN_MS);
	declare_requests(granted, 1, now_ns + REIN_S, 1); /* from the future, due long ago */
	ck_assert(granted->c.policy.release_ns == now_ns);
	ck_assert(granted->c.policy.due_ns == now_ns + 10 * REIN_MS);
	declare_requests(granted, 1, now_ns + 2 * REIN_S, UINT64_MAX);
	ck_assert(granted->c.policy.due_ns == now_ns + 3600 * REIN_S);
	declare_requests(granted, 0, 0, 0);
	pass(REIN_S);
	declare_requests(granted, 1, 1, 0); /* from the last century: not before the last one */
	ck_assert(granted->c.policy.release_ns == now_ns - REIN_S);
	declare_requests(granted, 0, 0, 0);
	pass(60 * REIN_S);
	declare_requests(granted, 1, 1, 0);
	ck_assert(granted->c.policy.release_ns == now_ns - 10 * REIN_S);
	declare_requests(nobody, 1, now_ns, now_ns + REIN_MS);
	ck_assert_uint_eq(nobody->c.policy.due_ns, 0); /* nobody gave it that right */
	leave(granted), leave(nobody);
	finish();
}
TEST_END

/* ---------------------------------------------------------------- queues that drain */

/* `be` is closed after 10 ms of work for `lc`, which runs for 20 ms; it drains at `drained_ns`
 * after that, or never; 0: it does not tell. What of the 20 ms each is charged, in µs. */
static void drain(uint64_t drained_ns, bool tells, uint64_t be_us, uint64_t lc_us)
{
	start(&rein_policy_prio);
	struct party *be = join("be", 0, "A"), *lc = join("lc", 50, "A");
	rein_store_relaxed(&be->status.drained_ns, tells);
	busy(be);
	pass(10 * REIN_MS);
	busy(lc);
	uint64_t used_ns = be->c.policy.used_ns;
	ck_assert(closed(be) && used_ns == 10 * REIN_MS);
	pass(REIN_MS);
	if (drained_ns)
		rein_store_release(&be->status.drained_ns, now_ns - REIN_MS + drained_ns);
	pass(19 * REIN_MS);
	rein_arbiter_account(a, now_ns);
	uint64_t be_ns = be->c.policy.used_ns - used_ns, lc_ns = lc->c.policy.used_ns;
	ck_assert_msg(be_ns / REIN_US == be_us && (lc_ns + REIN_US / 2) / REIN_US == lc_us,
	              "%llu and %llu ns", (unsigned long long)be_ns, (unsigned long long)lc_ns);
	ck_assert(be_ns + lc_ns >= 20 * REIN_MS - 4 && be_ns + lc_ns <= 20 * REIN_MS);
	leave(be), leave(lc);
	finish();
}

TEST(a_closed_queue_is_charged_until_it_has_drained)
{
	drain(2 * REIN_MS, true, 1000, 19000);  /* half of it each */
	drain(REIN_MS / 2, true, 250, 19750);   /* seen late */
	drain(0, true, 4000, 16000);            /* at most its backlog, */
	drain(100 * REIN_S, true, 4000, 16000); /* whatever it says */
	drain(0, false, 0, 20000);
}
TEST_END

TEST(an_idle_queue_has_drained)
{
	start(&rein_policy_prio);
	struct party *be = join("be", 0, "A"), *lc = join("lc", 50, "A");
	rein_store_relaxed(&be->status.drained_ns, 1);
	busy(be);
	pass(REIN_MS);
	busy(lc);
	pass(REIN_MS);
	idle(be);
	pass(5 * REIN_MS);
	demand(be, REIN_DEMAND_ACTIVE | REIN_DEMAND_WAITING);
	pass(5 * REIN_MS);
	rein_arbiter_account(a, now_ns);
	ck_assert(be->c.policy.used_ns / REIN_US == 1500);
	ck_assert(lc->c.policy.used_ns / REIN_US == 10500);
	leave(be), leave(lc);
	finish();
}
TEST_END

/* A word that changes while it is looked at, now drained, now not, charges nobody for more time
 * than has passed. */
static rein_a32 liar_stops;

static void *lie(void *arg)
{
	struct party *be = arg;
	while (!rein_load_relaxed(&liar_stops)) {
		rein_store_relaxed(&be->status.drained_ns, START + 10 * REIN_MS);
		rein_store_relaxed(&be->status.drained_ns, UINT64_MAX);
	}
	return NULL;
}

TEST(a_word_that_changes_its_mind_costs_nobody)
{
	pthread_t liar;
	start(&rein_policy_prio);
	struct party *be = join("be", 0, "A"), *lc = join("lc", 50, "A");
	busy(be);
	pass(10 * REIN_MS);
	busy(lc);
	rein_store_relaxed(&liar_stops, 0);
	ck_assert_int_eq(pthread_create(&liar, NULL, lie, be), 0);
	bool right = true;
	for (unsigned i = 0; i < 1000000 && right; i++) {
		be->c.drain_left_ns = REIN_MS;
		now_ns += 100;
		rein_arbiter_account(a, now_ns);
		uint64_t lc_ns = lc->c.policy.used_ns, past_ns = now_ns - START;
		right = lc_ns <= past_ns && be->c.policy.used_ns <= past_ns - lc_ns;
	}
	rein_store_relaxed(&liar_stops, 1);
	pthread_join(liar, NULL);
	ck_assert(right);
	leave(be), leave(lc);
	finish();
}
TEST_END

/* ---------------------------------------------------------------- kernels, verdicts */

TEST(the_longest_kernel_is_looked_up_and_bounded)
{
	start(&rein_policy_fifo);
	struct party *p = join("p", 0, "A"), *liar = join("liar", 0, "A");
	static const uint32_t dim[3] = {1, 1, 1};
	for (unsigned i = 1; i <= 3; i++)
		for (unsigned k = 0; k < 4; k++)
			rein_kmodel_sample(&p->status.kmodel, rein_kmodel_key(i, dim, dim, 0),
			                   i * REIN_MS, NULL);
	rein_kmodel_sample(&p->status.kmodel, rein_kmodel_key(9, dim, dim, 0), REIN_S, NULL);
	struct rein_kmodel_row *row = &liar->status.kmodel.row[17];
	rein_store_relaxed(&row->high_ns, UINT64_MAX);
	rein_store_relaxed(&row->count, UINT32_MAX);
	rein_store_release(&row->key, 1);
	ck_assert_uint_eq(measured(p).longest_ns, 0);
	busy(p);
	pass(REIN_S); /* some ticks */
	ck_assert(measured(p).longest_ns >= 3 * REIN_MS);
	ck_assert(measured(p).longest_ns < 4 * REIN_MS); /* one sample is none */
	ck_assert(measured(liar).longest_ns == REIN_S);
	leave(p), leave(liar);
	finish();
}
TEST_END

TEST(the_whole_verdict_reaches_the_client)
{
	static struct rein_points points;
	start(&ear);
	a->gates.other.can = REIN_CAN_QUEUE;
	struct party *p = join("p", 0, "A");
	p->c.points = &points;
	rein_store_relaxed(&p->status.can, REIN_CAN_QUEUE);
	busy(p);
	const struct rein_verdict *v = &p->control.verdict[0];
	ear_says = (struct rein_policy_verdict){.metered = true,
	                                        .backlog_launches = 3,
	                                        .backlog_ns = 4,
	                                        .point_ns = 5,
	                                        .sms = 6,
	                                        .timeslice_us = 7};
	uint32_t generation = rein_load_relaxed(&v->generation);
	ask_again(p);
	ck_assert(metered(p));
	ck_assert_uint_eq(rein_load_relaxed(&v->backlog_launches), 3);
	ck_assert_uint_eq(rein_load_relaxed(&v->backlog_ns), 4);
	ck_assert_uint_eq(rein_load_relaxed(&v->point_ns), 0); /* nobody is more urgent */
	ck_assert_uint_eq(rein_load_relaxed(&v->sms), 6);
	ck_assert_uint_eq(rein_load_relaxed(&v->timeslice_us), 7);
	ck_assert_uint_eq(rein_load_relaxed(&v->generation), generation + 1);
	ask_again(p);
	ck_assert_uint_eq(rein_load_relaxed(&v->generation), generation + 1); /* the same */
	ear_says.sms = 60;
	struct party *urgent = join("urgent", 9, "A");
	ask_again(p);
	ck_assert_uint_eq(rein_load_relaxed(&v->sms), 60);
	ck_assert_uint_eq(rein_load_relaxed(&v->point_ns), 5);
	leave(p), leave(urgent);
	finish();
}
TEST_END

/* A hold for one's own budget needs nobody's progress, and ends when the policy says. */
TEST(a_hold_without_a_holder_lasts_as_long_as_it_says)
{
	start(&ear);
	struct party *p = join("p", 0, "A");
	demand(p, REIN_DEMAND_ACTIVE | REIN_DEMAND_WAITING);
	ear_says.hold = true;
	ear_next = now_ns + REIN_S;
	ask_again(p);
	ck_assert(closed(p) && p->c.holder == 0);
	for (unsigned i = 0; i < 99; i++) {
		pass(10 * REIN_MS);
		ck_assert(closed(p) && lease(p) > now_ns);
	}
	ear_says.hold = false;
	pass(10 * REIN_MS);
	ck_assert(!closed(p));
	ck_assert_uint_eq(says, 0);
	ear_says.hold = true; /* for nobody's sake and for ever: that is a mistake, and no hold */
	ear_next = UINT64_MAX;
	ask_again(p);
	ck_assert(!closed(p));
	leave(p);
	finish();
}
TEST_END

TESTS("requests and measures", an_undeclared_request_is_due_after_its_begin,
      the_cost_is_the_greatest_of_the_last, parameters_join_the_policy_idle,
      declared_requests_follow_each_other, work_after_a_request_is_none,
      lies_about_time_gain_nothing, a_closed_queue_is_charged_until_it_has_drained,
      an_idle_queue_has_drained, a_word_that_changes_its_mind_costs_nobody,
      the_longest_kernel_is_looked_up_and_bounded, the_whole_verdict_reaches_the_client,
      a_hold_without_a_holder_lasts_as_long_as_it_says)
