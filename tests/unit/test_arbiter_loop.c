// SPDX-License-Identifier: Apache-2.0
/* test_arbiter_loop.c: the arbiter's real thread and clients as threads of the same process on the
 * same mapping, so that ThreadSanitizer sees both sides: demand, doorbell, gate, futex, and
 * joining and leaving meanwhile. */
#include <pthread.h>
#include <string.h>
#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "common/futex.h"
#include "daemon/histogram.h"
#include "daemon/loop.h"
#include "policy/policies.h"
#include "tests/harness.h"

struct party {
	struct rein_member m;
	struct rein_control control;
	struct rein_status status;
	pthread_t thread;
	unsigned requests, waits;
	uint64_t hold_ns; /* how long a request keeps the GPU */
	uint64_t gap_ns;
	rein_a32 *stop;
	unsigned limit; /* requests; 0: until stop */
};

static struct rein_board board;
static struct rein_loop *loop;
static rein_a32 stop;
static uint32_t last_id;

static void party_init(struct party *p, const char *name, int prio)
{
	struct rein_arbiter_client *c = &p->m.arbiter;
	memset(p, 0, sizeof(*p));
	c->policy.id = c->policy.job = ++last_id;
	c->policy.prio = prio;
	c->policy.weight = REIN_POLICY_WEIGHT;
	c->policy.linger_us = 50;
	c->policy.backlog_ns = REIN_POLICY_BACKLOG_NS;
	c->policy.backlog_launches = REIN_POLICY_BACKLOG_LAUNCHES;
	c->patience_ns = REIN_LEASE_NS;
	snprintf(c->name, sizeof(c->name), "%s", name);
	c->control = &p->control;
	c->status = &p->status;
	p->m.pid_fd = -1;
	p->m.doorbell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	p->stop = &stop;
	memset(p->status.device[0].uuid, 'A', 16);
	rein_store_release(&p->status.device[0].used, 1);
}

static void party_join(struct party *p)
{
	char why[160];
	ck_assert_int_eq(rein_loop_join(loop, &p->m, why, sizeof(why)), 0);
}

static void party_leave(struct party *p)
{
	rein_loop_leave(loop, &p->m);
	close(p->m.doorbell_fd);
}

static void publish(struct party *p, uint32_t bits)
{
	uint32_t seen = rein_load_relaxed(&p->status.demand), next;
	do {
		next = ((seen & ~(REIN_DEMAND_COUNT - 1)) + REIN_DEMAND_COUNT) | bits;
	} while (!rein_cas(&p->status.demand, &seen, next));
	if (rein_load_seqcst(&board.asleep))
		eventfd_write(p->m.doorbell_fd, 1);
}

static bool is_closed(struct party *p, uint32_t *gate)
{
	*gate = rein_load_acquire(&p->control.verdict[0].gate);
	return (*gate & REIN_GATE_CLOSED) &&
	       rein_now_ns() < rein_load_relaxed(&p->control.verdict[0].lease_until_ns);
}

/* What the shim's slow path does at a closed gate. */
static void pass_gate(struct party *p)
{
	uint32_t gate;
	if (!is_closed(p, &gate))
		return;
	p->waits++;
	publish(p, REIN_DEMAND_ACTIVE | REIN_DEMAND_WAITING);
	while (is_closed(p, &gate))
		rein_futex_wait(&p->control.verdict[0].gate, gate,
		                rein_load_relaxed(&p->control.verdict[0].lease_until_ns));
	publish(p, REIN_DEMAND_ACTIVE);
}

static void *party_main(void *arg)
{
	struct party *p = arg;
	while (!rein_load_relaxed(p->stop) && (!p->limit || p->requests < p->limit)) {
		publish(p, REIN_DEMAND_ACTIVE);
		pass_gate(p);
		rein_add_relaxed(&p->status.total.submissions, 1);
		usleep((useconds_t)(p->hold_ns / REIN_US));
		publish(p, 0);
		p->requests++;
		if (p->gap_ns)
			usleep((useconds_t)(p->gap_ns / REIN_US));
	}
	return NULL;
}

static void run_parties(enum rein_mode mode)
{
	struct party lc, be, other, guest;
	const struct rein_policy_params none = {0};
	memset(&board, 0, sizeof(board));
	rein_store_relaxed(&stop, 0);
	ck_assert_int_eq(rein_loop_start(&loop, &board, &rein_policy_prio, &none, mode), 0);
	party_init(&lc, "lc", 50);
	party_init(&be, "be", 0);
	party_init(&other, "other", 10);
	lc.hold_ns = 500 * REIN_US;
	lc.gap_ns = REIN_MS;
	lc.limit = 150;
	be.hold_ns = 100 * REIN_US;
	other.hold_ns = 100 * REIN_US;
	other.gap_ns = 2 * REIN_MS;
	struct party *all[] = {&be, &other, &lc};
	for (unsigned i = 0; i < 3; i++) {
		party_join(all[i]);
		ck_assert_int_eq(pthread_create(&all[i]->thread, NULL, party_main, all[i]), 0);
	}
	for (unsigned i = 0; i < 20; i++) { /* meanwhile others come and go */
		party_init(&guest, "guest", 99);
		party_join(&guest);
		publish(&guest, REIN_DEMAND_ACTIVE);
		usleep(500);
		party_leave(&guest); /* dies while it holds everybody */
	}
	pthread_join(lc.thread, NULL);
	rein_store_relaxed(&stop, 1);
	pthread_join(be.thread, NULL);
	pthread_join(other.thread, NULL);
	ck_assert_uint_eq(lc.requests, lc.limit);
	ck_assert_uint_ge(be.waits, 10); /* woken each time, not once a lease */
	ck_assert_uint_gt(be.requests, be.waits / 2);
	struct rein_loop_stats stats;
	rein_loop_stats(loop, &stats);
	ck_assert(stats.decisions > lc.limit && stats.decide_p50_ns > 0);
	ck_assert(stats.decide_p50_ns <= stats.decide_p99_ns);
	for (unsigned i = 0; i < 3; i++)
		party_leave(all[i]);
	rein_loop_stop(loop);
}

TEST(sleeping)
{
	run_parties(REIN_MODE_SLEEP);
}
TEST_END

TEST(spinning)
{
	run_parties(REIN_MODE_SPIN);
}
TEST_END

TEST(adaptive)
{
	run_parties(REIN_MODE_ADAPTIVE);
}
TEST_END

static bool gate_is_closed(void *arg)
{
	struct party *p = arg;
	return rein_load_acquire(&p->control.verdict[0].gate) & REIN_GATE_CLOSED;
}

static bool gate_is_open(void *arg)
{
	return !gate_is_closed(arg);
}

/* Once: store, look whether it sleeps, ring. No wake-up is lost, however often. */
TEST(no_arrival_is_missed_while_it_falls_asleep)
{
	struct party lc, be;
	const struct rein_policy_params none = {0};
	memset(&board, 0, sizeof(board));
	ck_assert_int_eq(rein_loop_start(&loop, &board, &rein_policy_prio, &none, REIN_MODE_SLEEP),
	                 0);
	party_init(&be, "be", 0);
	party_init(&lc, "lc", 50);
	lc.m.arbiter.policy.linger_us = 0;
	lc.m.arbiter.patience_ns = 10 * REIN_S;
	party_join(&be);
	party_join(&lc);
	for (unsigned i = 0; i < 300; i++) {
		publish(&lc, REIN_DEMAND_ACTIVE);
		ck_assert(eventually(gate_is_closed, &be, 10000));
		publish(&lc, 0); /* somebody is held for it: it rings at its end too */
		ck_assert(eventually(gate_is_open, &be, 10000));
	}
	party_leave(&lc);
	party_leave(&be);
	rein_loop_stop(loop);
}
TEST_END

/* Without the session thread: nobody calls leave until the gate is open. */
TEST(a_death_is_seen_by_the_arbiter_itself)
{
	struct party lc, be;
	const struct rein_policy_params none = {0};
	memset(&board, 0, sizeof(board));
	ck_assert_int_eq(rein_loop_start(&loop, &board, &rein_policy_prio, &none, REIN_MODE_SLEEP),
	                 0);
	party_init(&be, "be", 0);
	party_init(&lc, "lc", 50);
	lc.m.arbiter.patience_ns = 60 * REIN_S;
	pid_t pid = fork();
	if (pid == 0)
		for (;;)
			pause();
	lc.m.pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
	ck_assert_int_ge(lc.m.pid_fd, 0);
	party_join(&be);
	party_join(&lc);
	publish(&lc, REIN_DEMAND_ACTIVE);
	ck_assert(eventually(gate_is_closed, &be, 10000));
	kill(pid, SIGKILL);
	ck_assert(eventually(gate_is_open, &be, 10000));
	const struct rein_arbiter_params params = {.prio = 1};
	char why[160];
	ck_assert_int_eq(rein_loop_set(loop, &lc.m, &params, why, sizeof(why)), -ESRCH);
	party_leave(&lc);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	party_leave(&be);
	close(lc.m.pid_fd);
	rein_loop_stop(loop);
}
TEST_END

static bool heard_flood(void *arg)
{
	char line[REIN_LOOP_SAY_LEN];
	while (rein_loop_heard(loop, line))
		if (strstr(line, "floods its doorbell"))
			return true;
	eventfd_write(*(int *)arg, 1);
	return false;
}

static void *flood(void *arg)
{
	const struct party *p = arg;
	while (!rein_load_relaxed(&stop))
		for (unsigned i = 0; i < 1000; i++)
			eventfd_write(p->m.doorbell_fd, 1);
	return NULL;
}

TEST(a_flooded_doorbell_is_ignored_and_others_are_served)
{
	struct party liar, be, lc;
	const struct rein_policy_params none = {0};
	memset(&board, 0, sizeof(board));
	rein_store_relaxed(&stop, 0);
	ck_assert_int_eq(rein_loop_start(&loop, &board, &rein_policy_prio, &none, REIN_MODE_SLEEP),
	                 0);
	party_init(&liar, "liar", 0);
	party_init(&be, "be", 0);
	party_init(&lc, "lc", 50);
	party_join(&liar), party_join(&be), party_join(&lc);
	ck_assert_int_eq(pthread_create(&liar.thread, NULL, flood, &liar), 0);
	ck_assert(eventually(heard_flood, &liar.m.doorbell_fd, 60000));
	publish(&lc, REIN_DEMAND_ACTIVE);
	ck_assert(eventually(gate_is_closed, &be, 10000));
	party_leave(&lc);
	ck_assert(gate_is_open(&be));
	rein_store_relaxed(&stop, 1);
	pthread_join(liar.thread, NULL);
	party_leave(&liar), party_leave(&be);
	rein_loop_stop(loop);
}
TEST_END

TEST(quantiles_of_the_histogram)
{
	struct rein_histogram h = {0};
	ck_assert(rein_histogram_quantile(&h, 500) == 0);
	for (uint64_t ns = 1; ns <= 1000; ns++)
		rein_histogram_add(&h, ns * 1000);
	for (unsigned permille = 1; permille <= 1000; permille += 37) {
		uint64_t q = rein_histogram_quantile(&h, permille);
		ck_assert(q >= permille * 1000 && q <= permille * 1250 + 1000);
	}
	rein_histogram_add(&h, UINT64_MAX);
	ck_assert(rein_histogram_quantile(&h, 1000) == UINT64_MAX);
}
TEST_END

TESTS("arbiter loop", sleeping, spinning, adaptive, no_arrival_is_missed_while_it_falls_asleep,
      a_death_is_seen_by_the_arbiter_itself, a_flooded_doorbell_is_ignored_and_others_are_served,
      quantiles_of_the_histogram)
