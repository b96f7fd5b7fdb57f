// SPDX-License-Identifier: Apache-2.0
/* test_admission.c: admission control: examples with known answers, the search for an answer,
 * properties on random sets, hostile sets. Brute force is test_admission_brute.c. */
#include "tests/harness.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "common/clock.h"
#include "policy/policies.h"

#define N_MAX 32
#define T(p, d, c, pr)                                                                             \
	{                                                                                          \
		.period_ns = (p), .deadline_ns = (d), .cost_ns = (c), .prio = (pr)                 \
	}

static uint64_t none[REIN_POLICY_TASKS_MAX], response[REIN_POLICY_TASKS_MAX];
static struct rein_admission answer;

static uint64_t seed = 4711;

static uint64_t pick(uint64_t from, uint64_t to)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return from + seed % (to - from + 1);
}

typedef int analysis(const struct rein_policy_params *, const struct rein_task *, unsigned,
                     struct rein_bounds *);

static int bounds(analysis *how, const struct rein_policy_params *params,
                  const struct rein_task *task, unsigned n, const uint64_t *backlog)
{
	struct rein_bounds b = {.backlog_ns = backlog, .response_ns = response};
	return how(params, task, n, &b);
}

/* ---------------------------------------------------------------- known answers */

/* Burns & Wellings, Real-Time Systems and Programming Languages, response time analysis. */
TEST(burns_and_wellings)
{
	const struct rein_task task[] = {T(20, 20, 5, 1), T(7, 7, 3, 3), T(12, 12, 3, 2)};
	ck_assert_int_eq(bounds(rein_admission_fixed, NULL, task, 3, none), 0);
	ck_assert_uint_eq(response[0], 20);
	ck_assert_uint_eq(response[1], 3);
	ck_assert_uint_eq(response[2], 6);
}
TEST_END

/* Lehoczky, RTSS 1990: the worst request of a busy period need not be its first. */
TEST(lehoczky)
{
	const struct rein_task task[] = {T(70, 70, 26, 2), T(100, 120, 62, 1)};
	ck_assert_int_eq(bounds(rein_admission_fixed, NULL, task, 2, none), 0);
	ck_assert_uint_eq(response[1], 118);
}
TEST_END

/* Buttazzo, Hard Real-Time Computing Systems: EDF can, rate-monotonic priorities cannot. */
TEST(edf_beats_rate_monotonic)
{
	const struct rein_task task[] = {T(5, 5, 2, 2), T(7, 7, 4, 1)};
	ck_assert_int_eq(bounds(rein_admission_fixed, NULL, task, 2, none), 1);
	ck_assert_uint_eq(response[1], 8);
	ck_assert_int_eq(bounds(rein_admission_edf, NULL, task, 2, none), 0);
}
TEST_END

/* The same book's example of the processor demand criterion. */
TEST(processor_demand)
{
	struct rein_task task[] = {T(6, 4, 2, 0), T(8, 5, 2, 0), T(9, 7, 3, 0)};
	ck_assert_int_eq(bounds(rein_admission_edf, NULL, task, 3, none), 0);
	task[2].deadline_ns = 6;
	ck_assert_int_eq(bounds(rein_admission_edf, NULL, task, 3, none), 1);
}
TEST_END

TEST(full_utilisation)
{
	struct rein_task task[] = {T(4, 4, 2, 3), T(6, 6, 1, 2), T(12, 12, 4, 1)}; /* 1/2+1/6+1/3 */
	ck_assert_int_eq(bounds(rein_admission_edf, NULL, task, 3, none), 0);
	ck_assert_int_eq(bounds(rein_admission_fixed, NULL, task, 3, none), 0);
	task[2].cost_ns = 5;
	ck_assert_int_eq(bounds(rein_admission_edf, NULL, task, 3, none), 1);
	ck_assert_uint_eq(response[0], UINT64_MAX);
	ck_assert_int_eq(bounds(rein_admission_fixed, NULL, task, 3, none), 1);
	ck_assert_uint_eq(response[0], 2);
	ck_assert_uint_eq(response[2], UINT64_MAX);
}
TEST_END

/* Remainders of all less urgent tasks add up; the longest kernel counts where it is longer. */
TEST(remainders_add_up)
{
	struct rein_task task[] = {T(100, 50, 10, 9), T(200, 200, 20, 5), {.prio = 0}, {.prio = 0}};
	const uint64_t backlog[] = {40, 7, 5, 3};
	task[3].longest_ns = 11;
	ck_assert_int_eq(bounds(rein_admission_fixed, NULL, task, 4, backlog), 0);
	ck_assert_uint_eq(response[0], 10 + 7 + 5 + 11);
	ck_assert_uint_eq(response[1], 20 + 10 + 5 + 11);
	ck_assert_uint_eq(response[2], UINT64_MAX);
	ck_assert_int_eq(bounds(rein_admission_edf, NULL, task, 4, backlog), 0);
	ck_assert_uint_eq(response[0], 10 + 7 + 5 + 11);
	ck_assert_uint_eq(response[1], 20 + 10 + 5 + 11);
	task[0].deadline_ns = 32;
	ck_assert_int_eq(bounds(rein_admission_fixed, NULL, task, 4, backlog), 1);
	ck_assert_int_eq(bounds(rein_admission_edf, NULL, task, 4, backlog), 1);
}
TEST_END

/* By hand: what changes of context, the reaction and lingers add. */
TEST(changes_reaction_linger)
{
	struct rein_task task[] = {T(1000, 1000, 100, 9), T(2000, 2000, 200, 5), {.prio = 0}};
	const struct rein_policy_params p = {.switch_ns = 1, .reaction_ns = 10, .timeslice_ns = 50};
	const uint64_t backlog[] = {30, 30, 120};
	task[0].linger_ns = 7;
	ck_assert_int_eq(bounds(rein_admission_fixed, &p, task, 3, backlog), 0);
	/* itself and its two changes, the reaction, a remainder of one turn and one of three */
	ck_assert_uint_eq(response[0], 102 + 10 + (30 + 2) + (120 + 6));
	/* the other: cost, changes, one turn of the remainder it preempts, linger, reaction */
	ck_assert_uint_eq(response[1], 202 + 10 + (120 + 6) + (102 + 2 + 7 + 10));
}
TEST_END

/* By hand: deadlines less than the reaction apart change places; a task whose requests follow each
 * other too closely is in everybody's way, once; one that lingers must have done with that. */
TEST(edf_reaction)
{
	const struct rein_policy_params p = {.reaction_ns = 10};
	struct rein_task task[] = {T(1000, 100, 10, 0), T(1000, 105, 20, 0)};
	const uint64_t backlog[] = {7, 5};
	ck_assert_int_eq(bounds(rein_admission_edf, &p, task, 2, backlog), 0);
	/* reaction, the other one and its own reaction, its remainder, itself, 5 to be sure */
	ck_assert_uint_eq(response[0], 10 + (20 + 10) + 5 + 10 + 5);
	task[1].deadline_ns = 131; /* beyond 100 + 3 · 10: only its remainder */
	ck_assert_int_eq(bounds(rein_admission_edf, &p, task, 2, backlog), 0);
	ck_assert_uint_eq(response[0], 10 + 5 + 10 + 10);
	task[0] = (struct rein_task)T(100, 100, 59, 0);
	task[1] = (struct rein_task)T(1000, 1000, 100, 0);
	ck_assert_int_eq(bounds(rein_admission_edf, &p, task, 2, backlog), 0);
	ck_assert_uint_eq(response[0], 10 + 59 + 5 + 10);
	task[0].cost_ns = 66; /* it ends at 91, and at 101 the arbiter knows */
	ck_assert_int_eq(bounds(rein_admission_edf, &p, task, 2, backlog), 0);
	ck_assert_uint_eq(response[0], 10 + 66 + 5 + 10);
	/* six of these, the remainder let in too early, itself, reaction, 10 to be sure */
	ck_assert_uint_eq(response[1], 6 * (66 + 10) + 7 + 100 + 10 + 10);
	task[0].linger_ns = 9;
	ck_assert_int_eq(bounds(rein_admission_edf, &p, task, 2, backlog), 1);
}
TEST_END

/* Nobody without timing may be as urgent; with ageing nobody is safe from those below. */
TEST(no_bound)
{
	struct rein_task task[] = {T(100, 50, 10, 9), T(100, 50, 10, 5), {.prio = 5}};
	ck_assert_int_eq(bounds(rein_admission_fixed, NULL, task, 3, none), 1);
	ck_assert_uint_eq(response[0], 10);
	ck_assert_uint_eq(response[1], UINT64_MAX);
	task[2].prio = 4;
	ck_assert_int_eq(bounds(rein_admission_fixed, NULL, task, 3, none), 0);
	const struct rein_policy_params ageing = {.ageing_ns = 1};
	ck_assert_int_eq(bounds(rein_admission_fixed, &ageing, task, 3, none), 1);
	ck_assert_uint_eq(response[0], UINT64_MAX);
}
TEST_END

/* A server counts with its budget at any deadline, and with its remainder in every window. */
TEST(servers)
{
	struct rein_task task[] = {T(100, 40, 10, 0), T(100, 0, 50, 0)};
	const uint64_t backlog[] = {0, 5};
	task[1].server = true;
	task[1].backlog_ns = backlog[1];
	ck_assert_int_eq(bounds(rein_admission_edf, NULL, task, 2, backlog), 0);
	/* windows from 40 to 100: without the server; at 100, the server's 50 as well */
	ck_assert_uint_eq(response[0], 10 + 5);
	ck_assert_uint_eq(response[1], 10 + 50 + 5);
	ck_assert_uint_eq(rein_admission_server_response(&task[1], 50), 300); /* 50 and 5 overrun */
	ck_assert_uint_eq(rein_admission_server_response(&task[1], 45), 200);
	ck_assert_uint_eq(rein_admission_server_response(&task[1], UINT64_MAX), UINT64_MAX);
	ck_assert_uint_eq(rein_admission_server_response(&task[0], 1), UINT64_MAX);
}
TEST_END

/* Bands: those below are remainders to those above, those above are ahead of those below. */
TEST(bands)
{
	struct rein_task task[] = {T(100, 40, 10, 0),
	                           T(200, 100, 20, 50),
	                           T(200, 200, 20, 40),
	                           T(50, 50, 1, 0),
	                           {.band = REIN_BAND_IDLE}};
	const uint64_t backlog[] = {9, 3, 4, 2, 1};
	task[1].band = task[2].band = REIN_BAND_INTERACTIVE;
	task[3].band = REIN_BAND_BATCH; /* has timing, but its band promises nothing */
	ck_assert_int_eq(bounds(rein_admission_classes, NULL, task, 5, backlog), 0);
	ck_assert_uint_eq(response[0], 10 + 3 + 4 + 2 + 1);
	ck_assert_uint_eq(response[1], 10 + 20 + 4 + 2 + 1);
	ck_assert_uint_eq(response[2], 10 + 20 + 20 + 2 + 1);
	ck_assert_uint_eq(response[3], UINT64_MAX);
	/* somebody above without timing; a cap on its band bounds what it takes */
	task[0] = (struct rein_task){.band = REIN_BAND_REALTIME};
	ck_assert_int_eq(bounds(rein_admission_classes, NULL, task, 5, backlog), 1);
	ck_assert_uint_eq(response[1], UINT64_MAX);
	struct rein_policy_params p = {.cap_permille = {200}, .cap_period_ns = 100};
	ck_assert_int_eq(bounds(rein_admission_classes, &p, task, 5, backlog), 0);
	/* two periods of the cap, each overrun by 9; its remainder; itself; those below */
	ck_assert_uint_eq(response[1], 2 * (20 + 9) + 9 + 20 + 4 + 2 + 1);
	/* a cap that a band could come to: three requests in a period, each charged 9 + 2 + 1 of
	 * others' remainders too */
	p = (struct rein_policy_params){.cap_permille = {0, 960}, .cap_period_ns = 100};
	task[0] = (struct rein_task)T(100, 40, 10, 0);
	ck_assert_int_eq(bounds(rein_admission_classes, &p, task, 5, backlog), 0);
	p.cap_permille[1] = 950;
	ck_assert_int_eq(bounds(rein_admission_classes, &p, task, 5, backlog), 1);
	p.inner[REIN_BAND_INTERACTIVE] = &rein_policy_fifo;
	p.cap_permille[1] = 0;
	ck_assert_int_eq(bounds(rein_admission_classes, &p, task, 5, backlog), 0);
	ck_assert_uint_eq(response[1], UINT64_MAX);
}
TEST_END

/* ---------------------------------------------------------------- asking */

static const struct rein_policy_ops fixed_ops = {.name = "fixed", .admit = rein_admission_fixed};
static const struct rein_policy_ops edf_ops = {.name = "edf", .admit = rein_admission_edf};
static const struct rein_policy_ops silent_ops = {.name = "silent"};

#define MS(x) ((uint64_t)((x)*1e6))

/* chat, detect and train, in milliseconds. */
static void usual(struct rein_task *task)
{
	task[0] = (struct rein_task)T(MS(33), MS(20), MS(6), 80);
	task[1] = (struct rein_task)T(MS(100), MS(50), MS(20), 60);
	task[2] = (struct rein_task){.longest_ns = MS(2)};
	task[0].name = "chat";
	task[1].name = "detect";
	task[2].name = "train";
	for (unsigned i = 0; i < 3; i++)
		task[i].backlog_ns = MS(4);
}

static int ask(const struct rein_policy_ops *ops, const struct rein_task *task, unsigned n,
               unsigned candidate)
{
	int err = rein_admission_ask(ops, NULL, task, n, candidate, &answer);
	ck_assert_msg(answer.why[0], "no reason given");
	ck_assert_ptr_null(strchr(answer.why, '\n'));
	return err;
}

TEST(accepts)
{
	struct rein_task task[3];
	usual(task);
	ck_assert_int_eq(ask(&fixed_ops, task, 3, 0), 0);
	ck_assert_int_eq(answer.verdict, REIN_ADMIT_ACCEPT);
	ck_assert_uint_eq(answer.deadline_ns, MS(20));
	ck_assert_uint_eq(answer.response_ns, MS(14));
	/* it could bear 7 ms from each of the two below, and detect is further from its limit */
	ck_assert_uint_eq(answer.binding, 0);
	ck_assert_uint_le(answer.backlog_ns, MS(7));
	ck_assert_uint_ge(answer.backlog_ns, MS(6.9));
	ck_assert_ptr_nonnull(strstr(answer.why, "chat: ends within 14 of its 20 ms"));
	ck_assert_int_eq(ask(&fixed_ops, task, 3, 3), 0);
	ck_assert_int_eq(answer.verdict, REIN_ADMIT_ACCEPT);
	/* nobody can stand in its way */
	ck_assert_int_eq(ask(&fixed_ops, task, 1, 0), 0);
	ck_assert_uint_eq(answer.backlog_ns, UINT64_MAX);
}
TEST_END

TEST(lowers_the_backlog)
{
	struct rein_task task[3];
	usual(task);
	task[0].deadline_ns = MS(9);
	ck_assert_int_eq(ask(&fixed_ops, task, 3, 0), 0);
	ck_assert_int_eq(answer.verdict, REIN_ADMIT_ACCEPT);
	/* 6 of its own, 2 of train's longest kernel at least: 1 is left for detect */
	ck_assert_uint_le(answer.backlog_ns, MS(1));
	ck_assert_uint_ge(answer.backlog_ns, MS(0.99));
	ck_assert_int_ge(answer.slack_ns, 0);
	ck_assert_uint_eq(answer.binding, 0);
	ck_assert_ptr_nonnull(strstr(answer.why, "may keep 0.99"));
}
TEST_END

TEST(offers_a_later_deadline)
{
	struct rein_task task[3];
	usual(task);
	task[0].deadline_ns = MS(8.1); /* 6 + 2 + the least backlog of 0.2 */
	ck_assert_int_eq(ask(&fixed_ops, task, 3, 0), 0);
	ck_assert_int_eq(answer.verdict, REIN_ADMIT_LATER);
	ck_assert_uint_ge(answer.deadline_ns, MS(8.2));
	ck_assert_uint_le(answer.deadline_ns, MS(8.25));
	ck_assert_uint_le(answer.response_ns, answer.deadline_ns);
	ck_assert_uint_ge(answer.backlog_ns, REIN_ADMISSION_BACKLOG_MIN_NS);
	/* why not sooner, and who is in the way */
	ck_assert_msg(strstr(answer.why, " cannot have 8.1 ms: it could take 8.2 of its 8.1 ms") &&
	                  strstr(answer.why, "(the longest kernel: train's, 2 ms)"),
	              "%s", answer.why);
	/* and it is what it says */
	task[0].deadline_ns = answer.deadline_ns;
	ck_assert_int_eq(ask(&fixed_ops, task, 3, 0), 0);
	ck_assert_int_eq(answer.verdict, REIN_ADMIT_ACCEPT);
	/* bandwidth has no deadline that could be later */
	task[0].deadline_ns = 0;
	task[0].period_ns = MS(8.1);
	ck_assert_int_eq(ask(&fixed_ops, task, 1, 0), 0);
	ck_assert_int_eq(answer.verdict, REIN_ADMIT_ACCEPT);
	ck_assert_int_eq(ask(&fixed_ops, task, 3, 0), 0);
	ck_assert_int_eq(answer.verdict, REIN_ADMIT_REJECT);
}
TEST_END

TEST(rejects_for_another)
{
	struct rein_task task[3];
	usual(task);
	task[0].cost_ns = MS(19);
	task[1].deadline_ns = MS(40);
	ck_assert_int_eq(ask(&fixed_ops, task, 3, 0), 0);
	ck_assert_int_eq(answer.verdict, REIN_ADMIT_REJECT);
	ck_assert_uint_eq(answer.backlog_ns, 0);
	ck_assert_uint_eq(answer.binding, 1);
	ck_assert_int_lt(answer.slack_ns, 0);
	ck_assert_ptr_nonnull(strstr(answer.why, "detect could take"));
	task[0].cost_ns = task[0].deadline_ns = MS(33);
	ck_assert_int_eq(ask(&fixed_ops, task, 3, 0), 0);
	ck_assert_int_eq(answer.verdict, REIN_ADMIT_REJECT);
	ck_assert_ptr_nonnull(strstr(answer.why, "ask for 120% of the GPU"));
}
TEST_END

TEST(asks_for_nothing)
{
	struct rein_task task[3];
	usual(task);
	ck_assert_int_eq(ask(&silent_ops, task, 3, 0), 0);
	ck_assert_int_eq(answer.verdict, REIN_ADMIT_NONE);
	/* a newcomer without timing: let in if its longest kernel breaks no promise */
	ck_assert_int_eq(ask(&edf_ops, task, 3, 2), 0);
	ck_assert_int_eq(answer.verdict, REIN_ADMIT_ACCEPT);
	ck_assert_uint_eq(answer.response_ns, UINT64_MAX);
	task[2].longest_ns = MS(50);
	ck_assert_int_eq(ask(&edf_ops, task, 3, 2), 0);
	ck_assert_int_eq(answer.verdict, REIN_ADMIT_REJECT);
	ck_assert_int_eq(ask(&edf_ops, task, 3, 3), 0);
	ck_assert_int_eq(answer.verdict, REIN_ADMIT_REJECT);
	ck_assert_uint_eq(answer.binding, 0);
	ck_assert_int_eq(ask(&edf_ops, task + 2, 1, 1), 0);
	ck_assert_int_eq(answer.verdict, REIN_ADMIT_ACCEPT);
	ck_assert_int_eq(ask(&edf_ops, NULL, 0, 0), 0);
	ck_assert_int_eq(answer.verdict, REIN_ADMIT_ACCEPT);
}
TEST_END

TEST(nonsense_is_named)
{
	struct rein_task task[3];
	usual(task);
	task[1].cost_ns = 0;
	ck_assert_int_eq(ask(&edf_ops, task, 3, 0), -EINVAL);
	ck_assert_ptr_nonnull(strstr(answer.why, "detect: a period needs a budget"));
	task[1].cost_ns = MS(51);
	ck_assert_int_eq(ask(&edf_ops, task, 3, 0), -EINVAL);
	ck_assert_ptr_nonnull(strstr(answer.why, "detect: its cost of 51 ms is above"));
	task[1].cost_ns = MS(1);
	task[2].longest_ns = UINT64_MAX;
	ck_assert_int_eq(ask(&edf_ops, task, 3, 0), -EINVAL);
	ck_assert_int_eq(ask(&edf_ops, task, 2, 3), -EINVAL);
	ck_assert_int_eq(ask(&edf_ops, NULL, REIN_POLICY_TASKS_MAX + 1, 0), -E2BIG);
}
TEST_END

/* ---------------------------------------------------------------- properties */

static analysis *const analyses[] = {rein_admission_fixed, rein_admission_edf,
                                     rein_admission_classes};

static unsigned random_set(struct rein_task *task, uint64_t *backlog,
                           struct rein_policy_params *params)
{
	unsigned n = (unsigned)pick(1, 8);
	*params = (struct rein_policy_params){.switch_ns = pick(0, 1) * pick(0, 100000),
	                                      .reaction_ns = pick(0, 1) * pick(0, 100000)};
	for (unsigned i = 0; i < n; i++) {
		uint64_t period = pick(MS(5), MS(200));
		task[i] =
		    (struct rein_task)T(period, 0, 1 + pick(0, period / (n + 1)), (int)pick(0, 5));
		task[i].deadline_ns = pick(0, 2) ? pick(task[i].cost_ns, 2 * period) : 0;
		task[i].server = pick(0, 4) == 0;
		task[i].band = (int)pick(0, 1);
		task[i].longest_ns = pick(0, MS(2));
		task[i].linger_ns = pick(0, 1) * 200000;
		task[i].backlog_ns = backlog[i] = pick(0, MS(3));
		if (pick(0, 5) == 0)
			task[i].period_ns = 0;
	}
	return n;
}

/* Less backlog, less cost, one task fewer: nobody's bound is worse. */
TEST(less_is_never_worse)
{
	for (unsigned k = 0; k < 3000; k++) {
		struct rein_task task[8];
		uint64_t backlog[8], before[8];
		struct rein_policy_params params;
		unsigned n = random_set(task, backlog, &params);
		analysis *how = analyses[k % 3];
		int was = bounds(how, &params, task, n, backlog);
		memcpy(before, response, sizeof(before));
		unsigned i = (unsigned)pick(0, n - 1);
		bool gone = false;
		switch (pick(0, 3)) {
		case 0:
			backlog[i] = pick(0, backlog[i]);
			break;
		case 1:
			task[i].cost_ns = pick(1, task[i].cost_ns);
			break;
		case 2:
			params.switch_ns = pick(0, params.switch_ns);
			break;
		default: /* its best kind of absence */
			gone = true;
			task[i] = (struct rein_task){.prio = -1, .band = REIN_BAND_IDLE};
			backlog[i] = 0;
		}
		int now = bounds(how, &params, task, n, backlog);
		ck_assert_int_le(now, was);
		for (unsigned j = 0; j < n; j++)
			if (!(gone && j == i))
				ck_assert_msg(response[j] <= before[j], "set %u task %u: %lu > %lu",
				              k, j, response[j], before[j]);
	}
}
TEST_END

/* An answer is true: the set as granted is safe, and a little more backlog may not be. */
TEST(answers_are_true)
{
	unsigned count[4] = {0};
	for (unsigned k = 0; k < 1500; k++) {
		struct rein_task task[8];
		uint64_t backlog[8];
		struct rein_policy_params params;
		unsigned n = random_set(task, backlog, &params), c = (unsigned)pick(0, n);
		const struct rein_policy_ops ops = {.name = "x", .admit = analyses[k % 3]};
		if (rein_admission_ask(&ops, &params, task, n, c, &answer) < 0)
			continue;
		count[answer.verdict]++;
		ck_assert_int_gt((int)strlen(answer.why), 0);
		if (answer.verdict == REIN_ADMIT_REJECT) {
			ck_assert_uint_lt(answer.binding, n);
			ck_assert_int_lt(answer.slack_ns, 0);
			continue;
		}
		if (answer.verdict == REIN_ADMIT_LATER)
			task[c].deadline_ns = answer.deadline_ns;
		for (unsigned i = 0; i < n; i++)
			if (answer.backlog_ns < backlog[i])
				backlog[i] = answer.backlog_ns;
		ck_assert_int_eq(bounds(ops.admit, &params, task, n, backlog), 0);
		if (c < n && task[c].period_ns)
			ck_assert_uint_eq(response[c], answer.response_ns);
	}
	ck_assert_uint_gt(count[REIN_ADMIT_ACCEPT], 100);
	ck_assert_uint_gt(count[REIN_ADMIT_LATER], 10);
	ck_assert_uint_gt(count[REIN_ADMIT_REJECT], 100);
}
TEST_END

/* ---------------------------------------------------------------- hostile sets */

static uint64_t extreme(void)
{
	static const uint64_t odd[] = {0,
	                               1,
	                               2,
	                               3,
	                               UINT64_MAX,
	                               UINT64_MAX - 1,
	                               1ull << 63,
	                               INT64_MAX,
	                               REIN_ADMISSION_TIME_MAX_NS,
	                               REIN_ADMISSION_TIME_MAX_NS - 1,
	                               REIN_ADMISSION_TIME_MAX_NS + 1,
	                               1ull << 59,
	                               UINT32_MAX};
	uint64_t kind = pick(0, 3);
	return kind == 0 ? odd[pick(0, REIN_ARRAY_LEN(odd) - 1)]
	                 : pick(0, UINT64_MAX - 1) >> pick(1, 63);
}

TEST(extremes)
{
	for (unsigned k = 0; k < 8000; k++) {
		struct rein_task task[6];
		uint64_t backlog[6];
		unsigned n = (unsigned)pick(0, 6);
		struct rein_policy_params params = {.switch_ns = pick(0, 2) ? 0 : extreme(),
		                                    .reaction_ns = pick(0, 2) ? 0 : extreme(),
		                                    .timeslice_ns = pick(0, 2) ? 0 : extreme(),
		                                    .cap_period_ns = pick(0, 2) ? 0 : extreme()};
		for (unsigned i = 0; i < REIN_BANDS; i++)
			params.cap_permille[i] = pick(0, 3) ? 0 : (uint32_t)extreme();
		for (unsigned i = 0; i < n; i++) {
			task[i] =
			    (struct rein_task)T(extreme(), extreme(), extreme(), (int)extreme());
			task[i].band = pick(0, 9) ? (int)pick(0, 3) : (int)extreme();
			task[i].server = pick(0, 3) == 0;
			task[i].longest_ns = extreme();
			task[i].linger_ns = pick(0, 2) ? 0 : extreme();
			task[i].backlog_ns = backlog[i] = extreme();
			if (pick(0, 3)) /* often sensible enough to be looked at */
				task[i].cost_ns %= (task[i].deadline_ns | 1);
		}
		int r = bounds(analyses[k % 3], &params, task, n, backlog);
		ck_assert(r == 0 || r == 1 || r == -EINVAL);
		for (unsigned i = 0; i < n && r >= 0; i++) {
			if (!task[i].period_ns)
				ck_assert_uint_eq(response[i], UINT64_MAX);
			else
				ck_assert_uint_ge(response[i], task[i].cost_ns);
		}
		const struct rein_policy_ops ops = {.name = "x", .admit = analyses[k % 3]};
		if (k % 20 == 0)
			(void)!rein_admission_ask(&ops, &params, task, n, (unsigned)pick(0, n),
			                          &answer);
	}
}
TEST_END

/* The most tasks there can be, near the limit of what fits: an answer comes, though it may be no.
 */
TEST(a_thousand_tasks)
{
	static struct rein_task task[REIN_POLICY_TASKS_MAX];
	static uint64_t backlog[REIN_POLICY_TASKS_MAX];
	for (unsigned k = 0; k < 6; k++) {
		for (unsigned i = 0; i < REIN_POLICY_TASKS_MAX; i++) {
			uint64_t period = pick(MS(300), MS(3000));
			task[i] =
			    (struct rein_task)T(period, k % 2 ? 0 : period - MS(10),
			                        period / (k < 3 ? 1100 : 1030), (int)pick(0, 99));
			task[i].backlog_ns = backlog[i] = 10000;
			task[i].band = (int)pick(0, 1);
			task[i].server = k == 4 && i % 2;
		}
		for (unsigned a = 0; a < REIN_ARRAY_LEN(analyses); a++)
			ck_assert_int_ge(
			    bounds(analyses[a], NULL, task, REIN_POLICY_TASKS_MAX, backlog), 0);
	}
	/* periods of one step and of years: what there is no time to look at is not safe */
	for (unsigned i = 0; i < REIN_POLICY_TASKS_MAX; i++)
		task[i] =
		    (struct rein_task)T(i % 2 ? 1ull << 50 : 2048, 0, i % 2 ? 1ull << 39 : 1, 5);
	for (unsigned a = 0; a < REIN_ARRAY_LEN(analyses); a++)
		ck_assert_int_ge(bounds(analyses[a], NULL, task, REIN_POLICY_TASKS_MAX, none), 0);
}
TEST_END

TESTS("admission", burns_and_wellings, lehoczky, edf_beats_rate_monotonic, processor_demand,
      full_utilisation, remainders_add_up, changes_reaction_linger, edf_reaction, no_bound, servers,
      bands, accepts, lowers_the_backlog, offers_a_later_deadline, rejects_for_another,
      asks_for_nothing, nonsense_is_named, less_is_never_worse, answers_are_true, extremes,
      a_thousand_tasks)
