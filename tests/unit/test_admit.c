// SPDX-License-Identifier: Apache-2.0
/* test_admit.c: which clients stand in each other's way, and what the daemon makes of a policy's
 * analysis: who keeps a promise, who does not and why, and how short the others keep their queues.
 */
#include "daemon/admit_set.h"

#include <string.h>

#include "common/clock.h"
#include "policy/policies.h"
#include "tests/harness.h"

#define MS(n) ((n)*REIN_MS)

static const struct rein_policy_params params;
static struct rein_admit_set set;

static void begin(const struct rein_policy_ops *ops, unsigned room)
{
	rein_admit_set_fini(&set);
	set = (struct rein_admit_set){
	    .ops = ops, .params = params, .room = room, .explain_until_ns = UINT64_MAX};
	set.member = calloc(room, sizeof(*set.member));
	set.index = calloc(room, sizeof(*set.index));
	set.task = calloc(room, sizeof(*set.task));
	set.backlog_ns = calloc(2ul * room, sizeof(*set.backlog_ns));
	set.response_ns = set.backlog_ns + room;
}

/* One more client: its timing in ms, all 0: none. */
static struct rein_admit_member *add(const char *name, uint64_t devices, uint64_t deadline,
                                     uint64_t period, uint64_t budget)
{
	static const struct rein_class class = {
	    .backlog_ns = MS(4), .weight = 100, .band = REIN_BAND_AUTO, .linger_us = 200};
	const struct rein_grant g = {.class = &class};
	const struct rein_timing t = {MS(deadline), MS(period), MS(budget)};
	ck_assert_uint_lt(set.n, set.room);
	struct rein_admit_member *m = rein_admit_member_for(&set, NULL);
	m->task.name = name;
	m->task.id = set.n;
	m->devices = devices;
	rein_admit_member_set(&set, m, &t, &g);
	return m;
}

static unsigned judge_all(void)
{
	uint64_t covered = 0;
	unsigned groups = 0;
	while (rein_admit_group(&set, &covered)) {
		rein_admit_judge(&set);
		groups++;
	}
	return groups;
}

TEST(groups_are_who_shares_a_device_directly_or_not)
{
	static const unsigned sizes[] = {3, 2};
	uint64_t covered = 0;
	begin(&rein_policy_edf, 8);
	add("a", 1, 0, 0, 0);
	add("b", 1 | 4, 0, 0, 0);
	add("c", 2, 0, 0, 0);
	add("anywhere", 0, 0, 0, 0);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert(rein_admit_group(&set, &covered));
		ck_assert_uint_eq(set.n_group, sizes[i]);
	}
	ck_assert(!rein_admit_group(&set, &covered));
	/* nobody has declared a device yet: they may all take the same */
	begin(&rein_policy_edf, 2);
	add("a", 0, 0, 0, 0);
	add("b", 0, 0, 0, 0);
	covered = 0;
	ck_assert(rein_admit_group(&set, &covered));
	ck_assert_uint_eq(set.n_group, 2);
	ck_assert(!rein_admit_group(&set, &covered));
}
TEST_END

TEST(a_deadline_shortens_the_queues_of_its_own_device_only)
{
	begin(&rein_policy_edf, 8);
	struct rein_admit_member *chat = add("chat", 1, 12, 100, 10);
	struct rein_admit_member *near = add("near", 1, 0, 0, 0);
	struct rein_admit_member *far = add("far", 2, 0, 0, 0);
	ck_assert_uint_eq(judge_all(), 2);
	ck_assert(chat->safe && chat->response_ns >= MS(10) && chat->response_ns <= MS(12));
	ck_assert(near->cap_ns < MS(2) && near->cap_ns >= REIN_ADMISSION_BACKLOG_MIN_NS);
	ck_assert(far->cap_ns == UINT64_MAX && near->safe && far->safe);
}
TEST_END

TEST(one_that_takes_too_long_does_not_void_the_others)
{
	begin(&rein_policy_edf, 8);
	struct rein_admit_member *good = add("good", 1, 30, 100, 10);
	struct rein_admit_member *bad = add("bad", 1, 10, 100, 5);
	bad->measured_ns = MS(20);
	judge_all();
	ck_assert(good->safe && !bad->safe);
	ck_assert_str_eq(bad->why, "bad's requests take 20 ms of GPU time, more than its budget of "
	                           "5 ms; `rein set` changes the budget, if the deadlines leave "
	                           "room");
	/* under fixed priorities it takes all of that from who is less urgent */
	begin(&rein_policy_prio, 8);
	good = add("good", 1, 30, 100, 18);
	bad = add("bad", 1, 10, 100, 5);
	good->task.prio = 1;
	bad->task.prio = 2;
	bad->measured_ns = MS(20);
	judge_all();
	ck_assert(!good->safe && !bad->safe);
	ck_assert_msg(strstr(good->why, "bad's requests take"), "%s", good->why);
}
TEST_END

TEST(what_others_had_queued_is_no_excess)
{
	begin(&rein_policy_edf, 8);
	struct rein_admit_member *chat = add("chat", 1, 15, 100, 10);
	add("train", 1, 0, 0, 0); /* 4 ms */
	chat->measured_ns = MS(14);
	judge_all();
	ck_assert(chat->safe && !chat->beyond);
	chat->measured_ns = MS(16);
	judge_all();
	ck_assert(chat->beyond);
}
TEST_END

TEST(a_server_is_late_alone)
{
	begin(&rein_policy_cbs, 8);
	struct rein_admit_member *a = add("a", 1, 0, 50, 10);
	struct rein_admit_member *b = add("b", 1, 0, 100, 30);
	b->measured_ns = MS(90);
	judge_all();
	ck_assert(a->task.server && b->task.server);
	ck_assert(a->safe && !b->safe);
	ck_assert_msg(strstr(b->why, "b's requests take 90 ms"), "%s", b->why);
}
TEST_END

TEST(a_kernel_that_cannot_be_stopped)
{
	begin(&rein_policy_edf, 8);
	struct rein_admit_member *chat = add("chat", 1, 40, 100, 10);
	(void)add("other", 1, 90, 100, 20);
	struct rein_admit_member *train = add("train", 1, 0, 0, 0);
	train->task.longest_ns = MS(60);
	judge_all();
	ck_assert(!chat->safe && chat->response_ns > MS(70));
	ck_assert_msg(strstr(chat->why, "chat"), "%s", chat->why);
	/* nothing helps chat, but other is still in time if bulk keeps its queue short */
	begin(&rein_policy_edf, 8);
	chat = add("chat", 1, 40, 200, 10);
	struct rein_admit_member *other = add("other", 1, 93, 200, 20);
	train = add("train", 1, 0, 0, 0);
	train->task.longest_ns = MS(60);
	struct rein_admit_member *bulk = add("bulk", 1, 0, 0, 0);
	judge_all();
	ck_assert(!chat->safe && other->safe);
	ck_assert_msg(bulk->cap_ns >= REIN_ADMISSION_BACKLOG_MIN_NS && bulk->cap_ns < MS(4),
	              "cap %llu, other %llu", (unsigned long long)bulk->cap_ns,
	              (unsigned long long)other->response_ns);
}
TEST_END

/* What was queued before takes more turns, and each turn two changes of context. */
TEST(short_time_slices_count)
{
	struct rein_gates_of gates = {
	    .n = 2,
	    .device = {{.gates = {.can = REIN_CAN_CONTEXT, .timeslice_us = 200}},
	               {.gates = {.can = REIN_CAN_QUEUE, .timeslice_us = 10}}}};
	uint64_t response_ns[2];
	for (unsigned i = 0; i < 2; i++) {
		begin(&rein_policy_edf, 8);
		set.params.switch_ns = 100 * REIN_US;
		if (i)
			rein_admit_slices(&gates, &set.params);
		struct rein_admit_member *chat = add("chat", 1, 40, 100, 10);
		add("train", 1, 0, 0, 0)->task.longest_ns = MS(4);
		judge_all();
		response_ns[i] = chat->response_ns;
	}
	ck_assert_uint_eq(set.params.timeslice_ns, 200 * REIN_US); /* the second has no such gate */
	/* 4 ms in slices of 0.2 instead of 1: 16 more turns */
	ck_assert_uint_ge(response_ns[1], response_ns[0] + 16 * 2 * 100 * REIN_US);
	set.params.timeslice_ns = 50 * REIN_US; /* as configured */
	rein_admit_slices(&gates, &set.params);
	ck_assert_uint_eq(set.params.timeslice_ns, 50 * REIN_US);
}
TEST_END

TEST(a_policy_without_proofs)
{
	begin(&rein_policy_fair, 4);
	struct rein_admit_member *a = add("a", 1, 30, 100, 10), *b = add("b", 1, 0, 0, 0);
	judge_all();
	ck_assert(!a->safe && b->safe && b->cap_ns == UINT64_MAX);
	ck_assert_msg(strstr(a->why, "fair"), "%s", a->why);
}
TEST_END

TEST(more_than_anybody_analyses)
{
	begin(&rein_policy_edf, REIN_POLICY_TASKS_MAX + 1);
	for (unsigned i = 0; i <= REIN_POLICY_TASKS_MAX; i++)
		add("x", 1, 0, i == 7 ? 100 : 0, i == 7 ? 1 : 0);
	judge_all();
	ck_assert(!set.member[7].safe && set.member[8].safe);
	ck_assert_str_eq(set.member[7].why, "too many programs share the device for a promise");
	rein_admit_set_fini(&set);
}
TEST_END

TESTS("admission in the daemon", groups_are_who_shares_a_device_directly_or_not,
      a_deadline_shortens_the_queues_of_its_own_device_only,
      one_that_takes_too_long_does_not_void_the_others, what_others_had_queued_is_no_excess,
      a_server_is_late_alone, a_kernel_that_cannot_be_stopped, short_time_slices_count,
      a_policy_without_proofs, more_than_anybody_analyses)
