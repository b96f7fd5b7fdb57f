// SPDX-License-Identifier: Apache-2.0
/*
 * test_admission_brute.c: the analyses against brute force, on thousands of small random sets: no
 * response above its bound, whatever the phases; exact where theory says so. A failure prints
 * the set. REIN_ADMISSION_SETS=N tries more sets.
 */
#include "tests/harness.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/admission_brute.h"

#define ROUNDS 12 /* random phases of one set */

static uint64_t seed;
static double tightest_sum;
static unsigned tightest_n;

static uint64_t pick(uint64_t from, uint64_t to)
{
	return from + brute_random(&seed) % (to - from + 1);
}

static unsigned sets(unsigned usual)
{
	const char *more = getenv("REIN_ADMISSION_SETS");
	return more ? (unsigned)strtoul(more, NULL, 10) : usual;
}

struct sample {
	struct rein_task task[BRUTE_TASKS];
	uint64_t block[BRUTE_TASKS], offset[BRUTE_TASKS], bound[BRUTE_TASKS];
	unsigned n;
	struct rein_policy_params params;
	int result;
};

static void print_sample(const struct sample *s)
{
	for (unsigned i = 0; i < s->n; i++)
		printf("  %u: T %lu D %lu C %lu prio %d band %d%s block %lu linger %lu offset %lu: "
		       "bound %ld\n",
		       i, s->task[i].period_ns, s->task[i].deadline_ns, s->task[i].cost_ns,
		       s->task[i].prio, s->task[i].band, s->task[i].server ? " server" : "",
		       s->block[i], s->task[i].linger_ns, s->offset[i], (long)s->bound[i]);
	printf("  change %lu reaction %lu slice %lu: %d\n", s->params.switch_ns,
	       s->params.reaction_ns, s->params.timeslice_ns, s->result);
	fflush(stdout);
}

typedef int analysis(const struct rein_policy_params *, const struct rein_task *, unsigned,
                     struct rein_bounds *);

static void analyse(struct sample *s, analysis *how)
{
	struct rein_bounds b = {.backlog_ns = s->block, .response_ns = s->bound};
	s->result = how(&s->params, s->task, s->n, &b);
	ck_assert_int_ge(s->result, 0);
}

static void random_tasks(struct sample *s, unsigned n, uint64_t period_max)
{
	memset(s, 0, sizeof(*s));
	s->n = n;
	s->params.timeslice_ns = 1;
	for (unsigned i = 0; i < n; i++) {
		struct rein_task *t = &s->task[i];
		t->id = i + 1;
		t->prio = 90 - (int)i;
		t->period_ns = pick(4, period_max);
		t->cost_ns = pick(1, t->period_ns * 2 / n > 1 ? t->period_ns * 2 / n : 1);
		t->deadline_ns = pick(t->cost_ns, t->period_ns);
	}
}

static struct brute device(struct sample *s, enum brute_rule rule, const uint64_t *block)
{
	return (struct brute){.rule = rule,
	                      .task = s->task,
	                      .block = block,
	                      .offset = s->offset,
	                      .n = s->n,
	                      .change = s->params.switch_ns,
	                      .reaction = s->params.reaction_ns,
	                      .slice = s->params.timeslice_ns,
	                      .random = &seed};
}

static uint64_t common_multiple(const struct sample *s)
{
	uint64_t all = 1;
	for (unsigned i = 0; i < s->n; i++) {
		uint64_t a = all, b = s->task[i].period_ns;
		while (b) {
			uint64_t rest = a % b;
			a = b;
			b = rest;
		}
		ck_assert_uint_gt(a, 0);
		all = all / a * s->task[i].period_ns;
	}
	return all;
}

static void no_blocks(const struct sample *s, uint64_t *one)
{
	for (unsigned i = 0; i < s->n; i++)
		one[i] = 1; /* the device's own step: it can be preempted after each */
}

/* Independent tasks that can be preempted at any time: the bound is what a synchronous release of
 * all gives, to the step. */
TEST(fixed_priorities_are_exact)
{
	unsigned safe = 0;
	for (unsigned k = 0; k < sets(1000); k++) {
		struct sample s;
		uint64_t one[BRUTE_TASKS];
		random_tasks(&s, (unsigned)pick(2, 4), 18);
		if (k % 3 == 0) /* beyond the period as well */
			for (unsigned i = 0; i < s.n; i++)
				s.task[i].deadline_ns = pick(s.task[i].cost_ns, 40);
		analyse(&s, rein_admission_fixed);
		no_blocks(&s, one);
		struct brute b = device(&s, BRUTE_FIXED, one);
		brute_run(&b, 3 * common_multiple(&s));
		safe += s.result == 0;
		bool same = true;
		for (unsigned i = 0; i < s.n; i++)
			same &= s.bound[i] == UINT64_MAX || s.bound[i] == b.t[i].response;
		if (!same || s.bound[0] == UINT64_MAX)
			print_sample(&s);
		ck_assert(same && s.bound[0] != UINT64_MAX);
	}
	ck_assert_uint_gt(safe, 10);
}
TEST_END

/* Without remainders: accepted if and only if a synchronous release of all misses nothing. */
TEST(edf_demand_is_exact)
{
	unsigned safe = 0, not_safe = 0;
	for (unsigned k = 0; k < sets(2000); k++) {
		struct sample s;
		uint64_t one[BRUTE_TASKS];
		random_tasks(&s, (unsigned)pick(2, 4), 18);
		analyse(&s, rein_admission_edf);
		no_blocks(&s, one);
		struct brute b = device(&s, BRUTE_EDF, one);
		brute_run(&b, 2 * common_multiple(&s) + 40);
		bool met = true;
		for (unsigned i = 0; i < s.n; i++)
			met &= b.t[i].response <= s.task[i].deadline_ns && b.t[i].pending <= 1;
		safe += met;
		not_safe += !met;
		if (met != (s.result == 0))
			print_sample(&s);
		ck_assert_int_eq(met, s.result == 0);
	}
	ck_assert_uint_gt(safe, 100);
	ck_assert_uint_gt(not_safe, 100);
}
TEST_END

/* ---------------------------------------------------------------- with everything */

/* Programs without timing, remainders, lingers, reaction, changes of context. */
static void make_hard(struct sample *s, bool servers)
{
	s->params.switch_ns = pick(0, 1) ? 0 : pick(0, 2);
	s->params.timeslice_ns = pick(1, 6);
	s->params.reaction_ns = pick(0, 1) ? 0 : pick(0, BRUTE_REACTION_MAX);
	for (unsigned i = 0; i < s->n; i++) {
		struct rein_task *t = &s->task[i];
		s->block[i] = t->backlog_ns = pick(1, 12);
		t->longest_ns = pick(1, s->block[i]);
		t->linger_ns = pick(0, 1) ? 0 : pick(0, 5);
		if (servers && pick(0, 2) == 0) {
			t->server = true;
			t->linger_ns = 0;
			t->deadline_ns = 0;
		}
	}
	if (servers) /* the brute server is charged for its work only */
		s->params.switch_ns = s->params.reaction_ns = 0;
	if (pick(0, 2)) {
		struct rein_task *t = &s->task[s->n - 1];
		*t = (struct rein_task){
		    .id = t->id, .prio = 0, .band = t->band, .backlog_ns = t->backlog_ns};
	}
}

/* No response above its bound, for tasks whose set is safe (or, with fixed priorities, for all:
 * a task does not depend on those below). */
static void compare(struct sample *s, enum brute_rule rule, analysis *how)
{
	analyse(s, how);
	if (s->result != 0 && rule != BRUTE_FIXED)
		return;
	uint64_t longest[BRUTE_TASKS] = {0}, far = 0;
	for (unsigned i = 0; i < s->n; i++)
		far = s->task[i].period_ns > far ? s->task[i].period_ns : far;
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct brute b = device(s, rule, s->block);
		b.least_urgent_first = round % 4 != 3;
		b.late = s->result == 0 && round % 3 == 2 ? pick(1, 20) : 0;
		for (unsigned i = 0; i < s->n; i++)
			s->offset[i] = pick(0, far) + far; /* after the queues have filled */
		if (round < 3)
			for (unsigned i = 0; i < s->n; i++)
				s->offset[i] = far + (s->n - i) * (1 - round / 2) * (round + 1);
		brute_run(&b, 14 * far);
		for (unsigned i = 0; i < s->n; i++) {
			if (s->task[i].server || !s->task[i].period_ns)
				continue;
			longest[i] = b.t[i].response > longest[i] ? b.t[i].response : longest[i];
			if (longest[i] <= s->bound[i])
				continue;
			print_sample(s);
			ck_abort_msg("task %u took %lu", i, longest[i]);
		}
	}
	for (unsigned i = 0; i < s->n; i++)
		if (longest[i] && s->bound[i] != UINT64_MAX) {
			tightest_sum += (double)longest[i] / (double)s->bound[i];
			tightest_n++;
		}
}

static void many(const char *what, enum brute_rule rule, analysis *how, bool servers,
                 void (*change)(struct sample *s))
{
	tightest_sum = tightest_n = 0;
	unsigned safe = 0, all = sets(1000);
	for (unsigned k = 0; k < all; k++) {
		struct sample s;
		random_tasks(&s, (unsigned)pick(2, 5), 120);
		for (unsigned i = 0; i < s.n && k % 2; i++) /* half of them likely to be safe */
			s.task[i].cost_ns = 1 + s.task[i].cost_ns / 5;
		for (unsigned i = 0; i < s.n && k % 4 == 1; i++)
			s.task[i].deadline_ns = s.task[i].period_ns;
		make_hard(&s, servers);
		if (change)
			change(&s);
		compare(&s, rule, how);
		safe += s.result == 0;
	}
	printf("%s: %u of %u random sets are safe; longest response / bound: mean %.2f\n", what,
	       safe, all, tightest_sum / tightest_n);
	ck_assert_uint_gt(safe, all / 40);
}

static void equals(struct sample *s)
{
	for (unsigned i = 0; i < s->n; i++)
		s->task[i].prio -= s->task[i].prio % 2;
}

static void bands(struct sample *s)
{
	for (unsigned i = 0; i < s->n; i++)
		s->task[i].band = i < s->n / 2 ? REIN_BAND_REALTIME : REIN_BAND_INTERACTIVE;
	if (!s->task[s->n - 1].period_ns)
		s->task[s->n - 1].band = REIN_BAND_BATCH;
}

TEST(fixed_bounds_hold)
{
	many("fixed priorities", BRUTE_FIXED, rein_admission_fixed, false, NULL);
}
TEST_END

TEST(equal_priorities_bounds_hold)
{
	many("fixed, with equals", BRUTE_FIXED, rein_admission_fixed, false, equals);
}
TEST_END

TEST(edf_bounds_hold)
{
	many("earliest deadline first", BRUTE_EDF, rein_admission_edf, false, NULL);
}
TEST_END

TEST(servers_do_no_harm)
{
	many("with servers that ask for ever", BRUTE_EDF, rein_admission_edf, true, NULL);
}
TEST_END

TEST(bands_bounds_hold)
{
	many("classes", BRUTE_CLASSES, rein_admission_classes, false, bands);
}
TEST_END

int main(void)
{
	const TTest *const tests[] = {fixed_priorities_are_exact,
	                              edf_demand_is_exact,
	                              fixed_bounds_hold,
	                              equal_priorities_bounds_hold,
	                              edf_bounds_hold,
	                              servers_do_no_harm,
	                              bands_bounds_hold};
	const char *text = getenv("REIN_ADMISSION_SEED");
	seed = text ? strtoull(text, NULL, 10) : 20240521;
	return harness_run("admission_brute", tests, REIN_ARRAY_LEN(tests));
}
