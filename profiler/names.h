// SPDX-License-Identifier: Apache-2.0
/*
 * names.h: who the numbers in a recording are: clients, processes, kernels, entry points.
 *
 * First rein_names_note() for every cell, then rein_names_settle(), then look-ups. A client is
 * known by its daemon (`epoch`, sorted.h) and its number there. Names are those that the recording
 * has; they come from other people's programs and may hold any printable character.
 * Threads: one at a time. Memory: for each client, process and kernel that is named.
 */
#ifndef REIN_NAMES_H
#define REIN_NAMES_H

#include "recording.h"

#define REIN_NAME_ROOM (sizeof(((struct rein_trace_name *)0)->name) + 1)

struct rein_named {
	uint64_t who, key; /* sorted by both; what they mean: the functions below */
	uint64_t at;       /* how many cells came before it: of equal ones the last counts */
	uint32_t pid;
	uint16_t prio;
	uint64_t joined_ns, left_ns; /* of a client; left 0: it had not ended */
	char name[REIN_NAME_ROOM];
};

struct rein_named_list {
	struct rein_named *items;
	size_t n, room;
};

struct rein_names {
	struct rein_named_list clients, processes, kernels, ends, classes;
	uint64_t cells;
};

static inline uint64_t rein_who(unsigned epoch, uint32_t client)
{
	return (uint64_t)epoch << 32 | client;
}

/* 0 or -ENOMEM. */
REIN_MUST_CHECK int rein_names_note(struct rein_names *n, unsigned epoch,
                                    const struct rein_trace_record *cell);
void rein_names_settle(struct rein_names *n);
void rein_names_free(struct rein_names *n);

/* `who`: rein_who(); NULL: it was never named. */
const struct rein_named *rein_names_client(const struct rein_names *n, uint64_t who);
/* The class that it had last; NULL: it was not recorded, by an older rein. */
const char *rein_names_class(const struct rein_names *n, uint64_t who);
/* A process without the shim; NULL: unknown. */
const struct rein_named *rein_names_process(const struct rein_names *n, uint32_t pid);
/* The kernel that a submission launched; NULL: it launched none, or one without a name. */
const char *rein_names_kernel(const struct rein_names *n, uint64_t who,
                              const struct rein_trace_record *r);
/* The name of an entry point, by rein_trace_entry(). */
const char *rein_names_entry(uint32_t entry);

#endif
