// SPDX-License-Identifier: Apache-2.0
/*
 * arbiter_rig.h: the arbiter's core on plain memory with a fake clock, and the clients of a test.
 * Included by one test program each.
 */
#ifndef REIN_TESTS_ARBITER_RIG_H
#define REIN_TESTS_ARBITER_RIG_H

#include <string.h>

#include "common/clock.h"
#include "daemon/arbiter.h"
#include "policy/policies.h"
#include "tests/harness.h"

#define LINGER_NS (200 * REIN_US)
#define START (1000 * REIN_S)
#define RIG __attribute__((unused)) /* no test uses all */

struct party {
	struct rein_arbiter_client c;
	struct rein_control control;
	struct rein_status status;
};

static struct rein_board board;
static struct rein_arbiter *a;
static uint64_t now_ns, next_ns;
static unsigned wakes, says;
static char said[512];
static uint32_t last_id;

static RIG void count_wake(const rein_a32 *gate)
{
	wakes++;
}

static RIG void keep_said(void *arg, const char *line)
{
	says++;
	snprintf(said, sizeof(said), "%s", line);
}

static RIG void start(const struct rein_policy_ops *ops)
{
	memset(&board, 0, sizeof(board));
	now_ns = START;
	wakes = says = 0;
	last_id = 0;
	a = rein_arbiter_new(&board, ops, NULL);
	ck_assert_ptr_nonnull(a);
	a->wake = count_wake;
	a->say = keep_said;
}

static RIG void declare(struct party *p, unsigned slot, char device)
{
	memset(p->status.device[slot].uuid, device, 16);
	rein_store_release(&p->status.device[slot].used, 1);
}

static RIG struct party *join(const char *name, int prio, const char *devices)
{
	struct party *p = calloc(1, sizeof(*p));
	char why[160];
	p->c.policy.id = p->c.policy.job = ++last_id;
	p->c.policy.prio = prio;
	p->c.policy.weight = REIN_POLICY_WEIGHT;
	p->c.policy.linger_us = REIN_POLICY_LINGER_US;
	p->c.policy.backlog_ns = REIN_POLICY_BACKLOG_NS;
	p->c.policy.backlog_launches = REIN_POLICY_BACKLOG_LAUNCHES;
	p->c.patience_ns = REIN_LEASE_NS;
	p->c.pid = 100 + (pid_t)last_id;
	p->c.uid = 1000;
	snprintf(p->c.name, sizeof(p->c.name), "%s", name);
	p->c.control = &p->control;
	p->c.status = &p->status;
	for (unsigned i = 0; devices[i]; i++)
		declare(p, i, devices[i]);
	ck_assert_int_eq(rein_arbiter_join(a, &p->c, now_ns, why, sizeof(why)), 0);
	next_ns = rein_arbiter_step(a, now_ns);
	return p;
}

static RIG void leave(struct party *p)
{
	rein_arbiter_leave(a, &p->c, now_ns);
	free(p);
}

static RIG void run(void)
{
	rein_arbiter_scan(a, now_ns);
	next_ns = rein_arbiter_step(a, now_ns);
	ck_assert(next_ns > now_ns);
}

/* Lets time pass as the loop would: stops wherever the arbiter asked to be called. */
static RIG void pass(uint64_t ns)
{
	uint64_t end_ns = now_ns + ns;
	while (next_ns <= end_ns) {
		now_ns = next_ns;
		run();
	}
	now_ns = end_ns;
	run();
}

static RIG void demand(struct party *p, uint32_t bits)
{
	uint32_t word = rein_load_relaxed(&p->status.demand);
	rein_store_release(&p->status.demand,
	                   ((word & ~(REIN_DEMAND_COUNT - 1)) + REIN_DEMAND_COUNT) | bits);
	run();
}

static RIG void busy(struct party *p)
{
	demand(p, REIN_DEMAND_ACTIVE);
}

static RIG void idle(struct party *p)
{
	demand(p, 0);
}

static RIG bool closed(const struct party *p)
{
	return rein_load_acquire(&p->control.verdict[0].gate) & REIN_GATE_CLOSED;
}

static RIG bool metered(const struct party *p)
{
	return rein_load_acquire(&p->control.verdict[0].gate) & REIN_GATE_METERED;
}

static RIG uint64_t lease(const struct party *p)
{
	return rein_load_relaxed(&p->control.verdict[0].lease_until_ns);
}

static RIG void finish(void)
{
	rein_arbiter_free(a);
}

#endif
