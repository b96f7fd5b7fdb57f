// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_status.c: a hostile client: any bytes as its status object, changing between the arbiter's
 * looks, beside a client that behaves. The daemon's core must survive, and the honest client must
 * be held only by the policy's rule.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/arbiter.h"

static _Alignas(64) struct rein_board board;
static _Alignas(64) struct rein_control control[2];
static _Alignas(64) struct rein_status status[2];

static void no_wake(const rein_a32 *gate)
{
}

static void no_say(void *arg, const char *line)
{
}

static void join(struct rein_arbiter *a, struct rein_arbiter_client *c, int i, int prio)
{
	char why[128];
	memset(c, 0, sizeof(*c));
	memset(&control[i], 0, sizeof(control[i]));
	memset((void *)&status[i], 0, sizeof(status[i]));
	c->control = &control[i];
	c->status = &status[i];
	c->policy.id = c->policy.job = (uint32_t)i + 1;
	c->policy.prio = prio;
	c->policy.weight = 100;
	c->policy.linger_us = 200;
	c->policy.backlog_ns = 4000000;
	c->policy.backlog_launches = 8;
	c->patience_ns = 100000000;
	if (rein_arbiter_join(a, c, 1, why, sizeof(why)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct rein_arbiter_client liar, honest;
	struct rein_policy_params params = {0};
	struct rein_kmodel_entry entry;
	uint64_t now = 1000000;
	struct rein_arbiter *a = rein_arbiter_new(&board, rein_policy_find("prio"), &params);
	if (!a)
		abort();
	a->wake = no_wake;
	a->say = no_say;
	join(a, &liar, 0, 0);
	join(a, &honest, 1, 50);
	status[1].device[0].uuid[0] = 7;
	rein_store_release(&status[1].device[0].used, 1);
	rein_store_release(&status[1].demand, REIN_DEMAND_ACTIVE | REIN_DEMAND_COUNT);
	while (len) {
		size_t n = len < sizeof(status[0]) ? len : sizeof(status[0]);
		memcpy((void *)&status[0], data, n);
		data += n;
		len -= n;
		now += 1000000;
		rein_arbiter_scan(a, now);
		rein_arbiter_look(a, &liar, now);
		rein_arbiter_step(a, now);
		rein_arbiter_account(a, now);
		if (rein_load_acquire(&control[1].verdict[0].gate) & REIN_GATE_CLOSED)
			abort(); /* priority 0 never holds priority 50 */
		for (unsigned i = 0; i < 8; i++)
			(void)rein_kmodel_read(&status[0].kmodel, i, &entry);
	}
	rein_arbiter_leave(a, &liar, now);
	rein_arbiter_leave(a, &honest, now);
	rein_arbiter_free(a);
	return 0;
}
