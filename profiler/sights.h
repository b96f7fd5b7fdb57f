// SPDX-License-Identifier: Apache-2.0
/*
 * sights.h: who had the GPU open without the shim, by looks now and then (common/bystander.h), as
 * records: REIN_TRACE_OUTSIDER with REIN_OUTSIDER_OPEN. It needs no rights but to read /proc, and
 * says nothing of what they did there.
 *
 * A process is there from the look before the one that found it, or from its start if that came
 * later, to the last look that found it.
 *
 * rein_sights_add() from any thread; all else from the observer's.
 */
#ifndef REIN_SIGHTS_H
#define REIN_SIGHTS_H

#include <pthread.h>

#include "../common/bystander.h"
#include "bpf/bpf.h"

struct rein_sight;

struct rein_sights {
	pthread_mutex_t lock;     /* of fresh */
	struct rein_sight *fresh; /* newest first */
	struct rein_sight *last;  /* that was recorded; NULL: none yet */
	uint64_t begun_ns;
};

void rein_sights_init(struct rein_sights *s);
void rein_sights_fini(struct rein_sights *s);
/* A look; copied. Without memory it is forgotten. */
void rein_sights_add(struct rein_sights *s, const struct rein_bystanders *seen, uint64_t now_ns);
/* Recording begins: what was there before counts from now on. */
void rein_sights_begin(struct rein_sights *s, uint64_t now_ns);
/* The looks since the last call, as records; those of before the recording are left out. */
void rein_sights_take(struct rein_sights *s, const struct rein_bpf_sink *sink);
/* Recording is over. */
void rein_sights_forget(struct rein_sights *s);

#endif
