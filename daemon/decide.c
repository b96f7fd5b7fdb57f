// SPDX-License-Identifier: Apache-2.0
/*
 * decide.c: asks the policy, device by device, and writes the verdicts that changed.
 *
 * A client with several devices is held (and metered) on all of them when one says so: the gate
 * words of its slots are alike, so its first one tells the whole. Being held it makes nobody
 * else wait: to the policy of its other devices it counts as idle. That can change their verdicts
 * in turn, so dirty devices are asked again, a bounded number of times.
 */
#include "arbiter_int.h"

#include <string.h>

#define ROUNDS_MAX 3

/* Held for a reason other than device `index`? */
static bool held_elsewhere(const struct rein_arbiter_client *c, int index)
{
	for (unsigned i = 0; i < REIN_DEVICES_MAX; i++)
		if (c->slot[i].seen && c->slot[i].hold && c->slot[i].device != index)
			return true;
	return false;
}

/* ---------------------------------------------------------------- asking */

/* Keeps the policy's answer; the client's other devices are asked again if it changed a hold. */
static void take_answer(struct rein_arbiter *a, struct rein_arbiter_client *c, int index,
                        const struct rein_policy_verdict *v)
{
	bool changed = false;
	for (unsigned i = 0; i < REIN_DEVICES_MAX; i++) {
		struct rein_arbiter_slot *s = &c->slot[i];
		if (!s->seen || s->device != index)
			continue;
		changed |= s->hold != v->hold;
		s->hold = v->hold;
		s->metered = v->metered;
		s->holder = v->hold ? v->holder : 0;
		s->backlog_ns = v->backlog_ns ? v->backlog_ns : c->policy.backlog_ns;
		s->backlog_launches =
		    v->backlog_launches ? v->backlog_launches : c->policy.backlog_launches;
	}
	if (!changed || c->n_devices < 2)
		return;
	for (unsigned i = 0; i < REIN_DEVICES_MAX; i++)
		if (c->slot[i].seen && c->slot[i].device >= 0 && c->slot[i].device != index)
			a->device[c->slot[i].device]->dirty = a->dirty = true;
}

static void ask(struct rein_arbiter *a, int index, uint64_t now_ns)
{
	struct rein_arbiter_device *d = a->device[index];
	struct rein_policy_client *ask_for[REIN_CLIENTS_MAX];
	for (unsigned i = 0; i < d->n; i++) {
		struct rein_arbiter_client *c = d->client[i];
		ask_for[i] = &c->policy;
		if (c->n_devices > 1)
			c->policy.active = c->live && !c->stalled && !held_elsewhere(c, index);
	}
	memset(a->verdict, 0, d->n * sizeof(a->verdict[0]));
	d->next_ns = a->policy->ops->decide(a->policy, ask_for, a->verdict, d->n, now_ns);
	d->dirty = false;
	for (unsigned i = 0; i < d->n; i++) {
		struct rein_arbiter_client *c = d->client[i];
		c->policy.active = c->live && !c->stalled;
		take_answer(a, c, index, &a->verdict[i]);
	}
	a->decisions++;
}

static void ask_all(struct rein_arbiter *a, uint64_t now_ns)
{
	for (unsigned round = 0; a->dirty && round < ROUNDS_MAX; round++) {
		a->dirty = false;
		for (int i = 0; i < REIN_BOARD_DEVICES_MAX; i++)
			if (a->device[i] && a->device[i]->dirty)
				ask(a, i, now_ns);
	}
	a->dirty = false;
	for (unsigned i = 0; i < REIN_BOARD_DEVICES_MAX; i++)
		if (a->device[i])
			a->device[i]->dirty = false;
}

/* ---------------------------------------------------------------- writing */

/* The order of a close (abi.h): lease, the rest under seq, then the gate. */
static void write_slot(struct rein_arbiter *a, struct rein_arbiter_client *c, unsigned i,
                       uint32_t gate, uint64_t now_ns)
{
	struct rein_arbiter_slot *s = &c->slot[i];
	struct rein_verdict *v = &c->control->verdict[i];
	uint32_t mode = gate & REIN_GATE_CLOSED ? REIN_HOLD_LAUNCH : REIN_HOLD_NONE;
	if (gate == s->written.gate && s->backlog_ns == s->written.backlog_ns &&
	    s->backlog_launches == s->written.backlog_launches)
		return;
	if (gate & ~s->written.gate & REIN_GATE_CLOSED)
		rein_store_relaxed(&v->lease_until_ns, now_ns + REIN_LEASE_NS);
	/* Each release keeps the odd count before it; ThreadSanitizer does not see fences. */
	uint32_t seq = rein_load_relaxed(&v->seq);
	rein_store_relaxed(&v->seq, seq + 1);
	rein_store_release(&v->hold_mode, mode);
	rein_store_release(&v->backlog_ns, s->backlog_ns);
	rein_store_release(&v->backlog_launches, s->backlog_launches);
	rein_store_release(&v->generation, rein_load_relaxed(&v->generation) + 1);
	rein_store_release(&v->seq, seq + 2);

	bool opens = s->written.gate & ~gate;
	s->written.gate = gate;
	s->written.backlog_ns = s->backlog_ns;
	s->written.backlog_launches = s->backlog_launches;
	rein_swap_seqcst(&v->gate, gate);
	/* A thread that waits set its bit before it looked at the gate; one of us sees the other.
	 */
	if (opens &&
	    rein_load_seqcst(&c->status->demand) & (REIN_DEMAND_ACTIVE | REIN_DEMAND_WAITING))
		a->wake(&v->gate);
}

/* The gate word of all its slots, alike: each bit that some device asks for. */
static uint32_t gate_of(const struct rein_arbiter_client *c, uint32_t *holder)
{
	uint32_t gate = REIN_GATE_OPEN;
	*holder = 0;
	for (unsigned i = 0; i < REIN_DEVICES_MAX; i++) {
		const struct rein_arbiter_slot *s = &c->slot[i];
		if (s->seen && s->metered)
			gate |= REIN_GATE_METERED;
		if (s->seen && s->hold) {
			gate |= REIN_GATE_CLOSED;
			*holder = *holder ? *holder : s->holder;
		}
	}
	return gate;
}

static void apply_client(struct rein_arbiter *a, struct rein_arbiter_client *c, bool closing,
                         uint64_t now_ns)
{
	uint32_t holder;
	uint32_t gate = gate_of(c, &holder);
	bool held = gate & REIN_GATE_CLOSED;
	if (held != closing)
		return;
	if (held != c->held)
		rein_account_client(a, c, now_ns);
	c->held = held;
	c->holder = holder;
	for (unsigned i = 0; i < REIN_DEVICES_MAX; i++)
		if (c->slot[i].seen)
			write_slot(a, c, i, gate, now_ns);
	if (held && a->tick_ns > now_ns + REIN_ARBITER_TICK_NS)
		a->tick_ns = now_ns + REIN_ARBITER_TICK_NS;
}

/* Who makes somebody wait must ring when it goes idle too, and show progress. */
static void apply_holders(struct rein_arbiter *a, uint64_t now_ns)
{
	bool was_holding[REIN_CLIENTS_MAX] = {false};
	for (unsigned i = 0; i < a->n; i++) {
		was_holding[i] = a->client[i]->holding;
		a->client[i]->holding = false;
	}
	struct rein_arbiter_client *holder = NULL;
	for (unsigned i = 0; i < a->n; i++) {
		uint32_t id = a->client[i]->held ? a->client[i]->holder : 0;
		if (!id)
			continue;
		if (!holder || holder->policy.id != id)
			holder = rein_arbiter_find(a, id);
		if (holder)
			holder->holding = true;
	}
	for (unsigned i = 0; i < a->n; i++) {
		struct rein_arbiter_client *c = a->client[i];
		if (c->holding == was_holding[i])
			continue;
		if (c->holding && !c->breath_ns) /* not after a breath: it goes on being slow */
			c->progress_ns = now_ns;
		rein_client_notify(c);
	}
}

void rein_decide(struct rein_arbiter *a, uint64_t now_ns)
{
	if (!a->dirty || a->opened)
		return;
	ask_all(a, now_ns);
	for (unsigned i = 0; i < REIN_BOARD_DEVICES_MAX; i++)
		if (a->device[i])
			rein_device_publish_owners(a, i);
	/* Closing first: who is let through must not meet work that is admitted a moment later. */
	for (unsigned i = 0; i < a->n; i++)
		apply_client(a, a->client[i], true, now_ns);
	for (unsigned i = 0; i < a->n; i++)
		apply_client(a, a->client[i], false, now_ns);
	apply_holders(a, now_ns);
}

void rein_decide_renew(struct rein_arbiter *a, uint64_t now_ns)
{
	for (unsigned i = 0; i < a->n; i++) {
		struct rein_arbiter_client *c = a->client[i];
		for (unsigned k = 0; c->held && k < REIN_DEVICES_MAX; k++)
			if (c->slot[k].written.gate & REIN_GATE_CLOSED)
				rein_store_relaxed(&c->control->verdict[k].lease_until_ns,
				                   now_ns + REIN_LEASE_NS);
	}
}

void rein_decide_open(struct rein_arbiter *a, struct rein_arbiter_client *c)
{
	for (unsigned i = 0; i < REIN_DEVICES_MAX; i++) {
		struct rein_arbiter_slot *s = &c->slot[i];
		s->hold = s->metered = false;
		if (s->seen)
			write_slot(a, c, i, REIN_GATE_OPEN, 0);
	}
	c->held = false;
	c->holder = 0;
}
