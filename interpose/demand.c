// SPDX-License-Identifier: Apache-2.0
#include "demand.h"

#include "attach.h"
#include "helper.h"
#include "request.h"
#include "stream.h"
#include "trace.h"

rein_a64 rein_attention = REIN_ATT_UNRESOLVED | REIN_ATT_IDLE | REIN_ATT_SURE;

static rein_a32 waiters;
static rein_a32 owed; /* 1: the daemon and the helper may sleep, and are to be woken */

static uint32_t truth(void)
{
	uint32_t bits = 0;
	if (!(rein_load_seqcst(&rein_attention) & REIN_ATT_SURE))
		bits |= REIN_DEMAND_ACTIVE;
	if (rein_load_seqcst(&waiters))
		bits |= REIN_DEMAND_WAITING;
	return bits;
}

/*
 * Everyone who changes the truth publishes after. The word is read before the truth and its
 * count grows at each publication, equal bits or not: so a publisher that was overtaken fails
 * its compare-and-swap, and the last word written holds the last truth.
 */
void rein_demand_publish(void)
{
	rein_a32 *demand = &REIN_STATUS->demand;
	rein_requests_publish();
	uint32_t seen = rein_load_seqcst(demand);
	uint32_t next;
	do {
		next = ((seen & ~(REIN_DEMAND_COUNT - 1)) + REIN_DEMAND_COUNT) | truth();
	} while (!rein_cas(demand, &seen, next));
}

/* The doorbell rule of abi.h: the word is stored, now look whether the daemon sleeps. */
static void ring_if_asleep(void)
{
	if (rein_load_seqcst(&REIN_BOARD->asleep))
		rein_attach_ring();
}

void rein_demand_changed(void)
{
	rein_demand_publish();
	ring_if_asleep();
}

bool rein_demand_is_idle(void)
{
	return rein_load_seqcst(&rein_attention) & REIN_ATT_SURE;
}

bool rein_demand_begin(void)
{
	uint64_t seen = rein_load_seqcst(&rein_attention);
	if (REIN_LIKELY(!(seen & REIN_ATT_IDLE)))
		return false;
	while (!rein_cas(&rein_attention, &seen, (seen & ~REIN_ATT_SURE) + REIN_ATT_ATTEMPT))
		;
	rein_demand_publish();
	(void)rein_swap_seqcst(&owed, 1);
	if (!(rein_and_seqcst(&rein_attention, ~REIN_ATT_IDLE) & REIN_ATT_IDLE)) {
		rein_demand_announce(); /* another thread was first, and may be kept from it */
		return false;
	}
	rein_trace_mark(REIN_TRACE_ACTIVE, 0, 0, 0);
	rein_requests_active();
	return true;
}

void rein_demand_announce(void)
{
	if (REIN_LIKELY(!rein_load_seqcst(&owed)) || !rein_swap_seqcst(&owed, 0))
		return;
	ring_if_asleep();
	rein_helper_wake();
}

bool rein_demand_active(void)
{
	bool was_idle = rein_demand_begin();
	rein_demand_announce();
	return was_idle;
}

/* Begins an attempt and returns its number; 0: another one is under way, or it is idle already. */
static uint64_t attempt(void)
{
	uint64_t seen = rein_load_seqcst(&rein_attention), next;
	do {
		if (seen & REIN_ATT_IDLE)
			return 0;
		next = (seen | REIN_ATT_IDLE) + REIN_ATT_ATTEMPT;
		if (next < REIN_ATT_ATTEMPT) /* 0 is no number */
			next += REIN_ATT_ATTEMPT;
	} while (!rein_cas(&rein_attention, &seen, next));
	return next / REIN_ATT_ATTEMPT;
}

/* Ends it, unless a submission took it back: idle for sure, or not. */
static bool conclude(uint64_t number, bool idle)
{
	uint64_t seen = rein_load_seqcst(&rein_attention), next;
	do {
		if (seen / REIN_ATT_ATTEMPT != number || !(seen & REIN_ATT_IDLE))
			return false;
		next = idle ? seen | REIN_ATT_SURE : seen & ~REIN_ATT_IDLE;
	} while (!rein_cas(&rein_attention, &seen, next));
	return true;
}

static bool nothing_left(void)
{
	return !rein_requests_any() && rein_rows_all_completed();
}

/* Held, when all that the driver was given has completed, the first time that this is seen: what
 * still ran behind a closed gate is charged to us and not to who was let through. */
static void note_drained(void)
{
	static rein_a64 known; /* what had been given to it then */
	uint64_t returned = 0;
	if (!(rein_load_relaxed(&REIN_GATE_WORD) & REIN_GATE_CLOSED))
		return;
	for (unsigned i = 0; i < rein_rows_used(); i++) {
		const struct rein_row *row = rein_row_used(i);
		uint64_t given = rein_load_seqcst(&row->returned);
		if (rein_load_seqcst(&row->completed) < given)
			return;
		returned += given;
	}
	if (rein_swap_seqcst(&known, returned) != returned)
		rein_store_release(&REIN_STATUS->drained_ns, rein_now_ns());
}

/* Whoever finds another's attempt under way leaves it to that one, which therefore looks again
 * after it has given up. Queries of an idle client are many: they look at no row. */
void rein_demand_try_idle(void)
{
	note_drained();
	while (!(rein_load_seqcst(&rein_attention) & REIN_ATT_IDLE) && nothing_left()) {
		uint64_t number = attempt();
		if (!number)
			return;
		bool idle = nothing_left();
		if (!conclude(number, idle) || !idle)
			continue;
		rein_trace_mark(REIN_TRACE_IDLE, 0, 0, 0);
		rein_demand_totals();
		rein_demand_publish();
		if (rein_load_relaxed(&REIN_CONTROL->flags) & REIN_CONTROL_NOTIFY_IDLE)
			ring_if_asleep();
		return;
	}
}

void rein_demand_try_idle_late(void)
{
	if (!(rein_load_relaxed(&REIN_CONTROL->flags) & REIN_CONTROL_IDLE_LATE) ||
	    !rein_helper_on())
		rein_demand_try_idle();
}

void rein_demand_wait(void)
{
	if (rein_add_seqcst(&waiters, 1) != 0)
		return;
	rein_demand_publish();
	ring_if_asleep();
}

void rein_demand_wait_over(void)
{
	if (rein_add_seqcst(&waiters, (uint32_t)-1) == 1)
		rein_demand_publish();
}

void rein_demand_totals(void)
{
	note_drained();
	rein_store_relaxed(&REIN_STATUS->total.submissions,
	                   rein_rows_returned() - rein_attach_submissions_before());
	rein_add_relaxed(&REIN_STATUS->total.heartbeats, 1);
}
