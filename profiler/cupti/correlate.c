// SPDX-License-Identifier: Apache-2.0
/*
 * correlate.c: whose a record is. CUPTI numbers the driver calls, and a record has its call's
 * number. When a call begins, its number and the submission that the thread is making go into one
 * slot of a table; the record comes milliseconds later.
 *
 * A slot is written by the thread of the call and read by the agent's: word 0, which has the
 * number, is void while the others change, and is read before and after them. (Releases and
 * acquires for each word, and no fence, which ThreadSanitizer would not see: as in ring.h.)
 */
#include "agent_int.h"

#define SLOTS 65536u

static struct {
	rein_a64 who; /* correlation | owners_gen << 32; correlation 0: void */
	rein_a64 where, key, device;
} slots[SLOTS];

void rein_correlate_note(uint32_t correlation, const struct rein_agent_ticket *t)
{
	rein_a64 *who = &slots[correlation % SLOTS].who;
	rein_store_relaxed(who, 0);
	rein_store_release(&slots[correlation % SLOTS].where, t->where);
	rein_store_release(&slots[correlation % SLOTS].key, t->key);
	rein_store_release(&slots[correlation % SLOTS].device, t->board_device);
	rein_store_release(who, correlation | (uint64_t)t->owners_gen << 32);
}

struct rein_agent_ticket rein_correlate_find(uint32_t correlation)
{
	uint64_t who = rein_load_acquire(&slots[correlation % SLOTS].who);
	struct rein_agent_ticket t = {
	    .where = rein_load_acquire(&slots[correlation % SLOTS].where),
	    .key = rein_load_acquire(&slots[correlation % SLOTS].key),
	    .owners_gen = (uint32_t)(who >> 32),
	    .board_device = (uint32_t)rein_load_acquire(&slots[correlation % SLOTS].device),
	};
	if (!correlation || (uint32_t)who != correlation ||
	    rein_load_relaxed(&slots[correlation % SLOTS].who) != who)
		return (struct rein_agent_ticket){.board_device = REIN_BOARD_DEVICES_MAX};
	return t;
}
