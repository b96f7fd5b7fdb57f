// SPDX-License-Identifier: Apache-2.0
#include "event.h"

#define SETS 512
#define WAYS 8
#define TARGET_BITS 48 /* a word: row number + 1, then the count; enough for years of launches */

static_assert(REIN_ROWS < 1u << (64 - TARGET_BITS), "a row number fits beside the count");

static struct {
	rein_a64 event; /* 0: free */
	rein_a64 word;
} table[SETS][WAYS];

#define SPECIAL_SETS 128
static struct {
	rein_a64 event; /* 0: free */
	rein_a32 kinds;
} special[SPECIAL_SETS][WAYS];
static rein_a32 special_any; /* 0: there never was one; then nobody looks any further */
#define ANY_FIT 1u
#define ANY_TOO_MANY 2u

static unsigned set_of(uint64_t event)
{
	return (unsigned)((event ^ event >> 7 ^ event >> 17) % SETS);
}

static rein_a64 *find(CUevent handle)
{
	uint64_t event = (uint64_t)(uintptr_t)handle;
	unsigned set = set_of(event);
	for (unsigned i = 0; event && i < WAYS; i++)
		if (rein_load_acquire(&table[set][i].event) == event)
			return &table[set][i].word;
	return NULL;
}

/* All claim the first free way, so two threads that record a new event end in the same entry. */
static rein_a64 *find_or_claim(CUevent handle)
{
	uint64_t event = (uint64_t)(uintptr_t)handle;
	unsigned set = set_of(event);
	rein_a64 *word = find(handle);
	for (unsigned i = 0; !word && i < WAYS; i++) {
		uint64_t key = 0;
		if (rein_cas(&table[set][i].event, &key, event) || key == event)
			word = &table[set][i].word;
	}
	return word;
}

void rein_event_forget(CUevent event)
{
	rein_a64 *word = find(event);
	if (word)
		(void)rein_swap_seqcst(word, 0);
}

#define LAUNCH_COMPLETION_EVENT 12 /* since CUDA 12.3; its value begins with the event too */

void rein_event_launched(const CUlaunchConfig *config)
{
	for (unsigned i = 0; config->attrs && i < config->numAttrs; i++) {
		const CUlaunchAttribute *a = &config->attrs[i];
		if (a->id == CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT ||
		    (int)a->id == LAUNCH_COMPLETION_EVENT)
			rein_event_forget(a->value.programmaticEvent.event);
	}
}

void rein_event_note(CUevent event, struct rein_row *row, uint64_t target)
{
	rein_a64 *word = event ? find_or_claim(event) : NULL;
	uint64_t number = (uint64_t)(row - rein_row_at(0)) + 1;
	if (word && target < 1ull << TARGET_BITS)
		rein_store_release(word, number << TARGET_BITS | target);
}

void rein_event_special(CUevent handle, unsigned kinds)
{
	uint64_t event = (uint64_t)(uintptr_t)handle;
	unsigned set = set_of(event) % SPECIAL_SETS;
	if (!event)
		return;
	for (unsigned i = 0; i < WAYS; i++) {
		uint64_t key = 0;
		if (!rein_cas(&special[set][i].event, &key, event) && key != event)
			continue;
		rein_or_seqcst(&special[set][i].kinds, kinds);
		rein_or_seqcst(&special_any, ANY_FIT);
		rein_event_forget(handle);
		return;
	}
	rein_or_seqcst(&special_any, ANY_TOO_MANY);
}

unsigned rein_event_kinds(CUevent handle)
{
	uint64_t event = (uint64_t)(uintptr_t)handle;
	unsigned any = rein_load_seqcst(&special_any), set = set_of(event) % SPECIAL_SETS;
	if (REIN_LIKELY(!any) || !event)
		return 0;
	if (any & ANY_TOO_MANY)
		return REIN_EVENT_ELSEWHERE | REIN_EVENT_SHARED;
	for (unsigned i = 0; i < WAYS; i++)
		if (rein_load_acquire(&special[set][i].event) == event)
			return rein_load_acquire(&special[set][i].kinds);
	return 0;
}

static void drop_special(uint64_t event)
{
	unsigned set = set_of(event) % SPECIAL_SETS;
	for (unsigned i = 0; event && i < WAYS; i++)
		if (rein_load_acquire(&special[set][i].event) == event) {
			rein_store_release(&special[set][i].kinds, 0);
			rein_store_release(&special[set][i].event, 0);
		}
}

void rein_event_drop(CUevent handle)
{
	uint64_t event = (uint64_t)(uintptr_t)handle;
	unsigned set = set_of(event);
	if (rein_load_relaxed(&special_any))
		drop_special(event);
	for (unsigned i = 0; event && i < WAYS; i++)
		if (rein_load_acquire(&table[set][i].event) == event) {
			rein_store_release(&table[set][i].word, 0);
			rein_store_release(&table[set][i].event, 0);
		}
}

uint64_t rein_event_look(CUevent event)
{
	rein_a64 *word = find(event);
	/* special, whatever a record that was under way may have noted since */
	if (!word || rein_event_kinds(event) & REIN_EVENT_ELSEWHERE)
		return 0;
	return rein_load_seqcst(word);
}

struct rein_row *rein_event_proves(uint64_t word, uint64_t *target)
{
	unsigned number = (unsigned)(word >> TARGET_BITS) - 1;
	*target = word & ((1ull << TARGET_BITS) - 1);
	return word && number < REIN_ROWS ? rein_row_at(number) : NULL;
}

void rein_event_done(CUevent event, uint64_t word)
{
	uint64_t target;
	struct rein_row *row = rein_event_proves(word, &target);
	if (row && rein_event_look(event) == word)
		rein_row_complete(row, target);
}
