// SPDX-License-Identifier: Apache-2.0
#include "task.h"

#include <errno.h>
#include <string.h>

#include "../../common/clock.h"

static uint64_t max_ns(uint64_t x, uint64_t y)
{
	return x > y ? x : y;
}

struct rein_task rein_sim_task(const struct rein_sim_setup *setup, unsigned client)
{
	const struct rein_sim_client *c = &setup->client[client];
	const struct rein_policy_client *p = &c->policy;
	return (struct rein_task){
	    .id = client + 1,
	    .name = c->name,
	    .prio = p->prio,
	    .band = p->band,
	    .period_ns = p->budget_ns ? p->period_ns : 0,
	    .deadline_ns = p->deadline_ns,
	    .cost_ns = p->budget_ns,
	    .server = p->budget_ns && p->period_ns && !p->deadline_ns,
	    .longest_ns = max_ns(c->kernel_ns, max_ns(c->copy_in_ns, c->copy_out_ns)),
	    .backlog_ns = p->backlog_ns,
	    .linger_ns = c->declares ? 0 : p->linger_us * REIN_US,
	};
}

int rein_sim_admit(const struct rein_sim_setup *setup, struct rein_sim_client *client,
                   uint64_t *response_ns, struct rein_admission *out)
{
	unsigned n = setup->n;
	REIN_AUTO_FREE struct rein_task *task = calloc(n, sizeof(*task));
	REIN_AUTO_FREE uint64_t *backlog_ns = calloc(n, sizeof(*backlog_ns));
	struct rein_bounds bounds = {.backlog_ns = backlog_ns, .response_ns = response_ns};
	*out = (struct rein_admission){.verdict = REIN_ADMIT_NONE};
	for (unsigned i = 0; i < n; i++)
		response_ns[i] = UINT64_MAX;
	if (!setup->ops->admit)
		return 0;
	if (!task || !backlog_ns)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++)
		task[i] = rein_sim_task(setup, i);
	int err = rein_admission_ask(setup->ops, &setup->params, task, n, n, out);
	if (err)
		return err;
	for (unsigned i = 0; i < n; i++) {
		backlog_ns[i] = client[i].policy.backlog_ns;
		if (out->verdict == REIN_ADMIT_ACCEPT && out->backlog_ns < backlog_ns[i])
			backlog_ns[i] = client[i].policy.backlog_ns = out->backlog_ns;
	}
	err = setup->ops->admit(&setup->params, task, n, &bounds);
	return err < 0 ? err : 0;
}
