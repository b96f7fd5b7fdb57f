// SPDX-License-Identifier: Apache-2.0
/*
 * simtrace.h: writes a simulation as it runs in Chrome's trace-event format (JSON), which Perfetto
 * and chrome://tracing open: who had the SMs and the copy engines, whose gate was closed and for
 * whom, and every request. Nothing is kept in memory but the last state of each gate.
 * Source: "Trace Event Format", the Chromium project.
 */
#ifndef REIN_TOOLS_SIMTRACE_H
#define REIN_TOOLS_SIMTRACE_H

#include "../policy/sim/sim.h"

struct rein_simtrace {
	FILE *f;
	const struct rein_sim_setup *setup;
	uint64_t closed_ns[REIN_SIM_CLIENTS_MAX]; /* UINT64_MAX: its gate is open */
	uint32_t holder[REIN_SIM_CLIENTS_MAX];
	uint64_t requests;
};

/* 0 or -errno. The setup must outlive it. */
REIN_MUST_CHECK int rein_simtrace_open(struct rein_simtrace *t, const char *path,
                                       const struct rein_sim_setup *setup);
/* An observer (sim.h); arg: the struct rein_simtrace. */
void rein_simtrace_event(void *arg, const struct rein_sim_event *e);
/* 0 or -errno: everything is written, or not. */
REIN_MUST_CHECK int rein_simtrace_close(struct rein_simtrace *t);

#endif
