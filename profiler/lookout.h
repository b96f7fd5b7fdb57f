// SPDX-License-Identifier: Apache-2.0
/*
 * lookout.h: the BPF programs (bpf/bpf.h) as the collector uses them: there while something is
 * recorded and the configuration allows it, gone else. If they cannot be had, that is said once,
 * and recording goes on without.
 *
 * rein_lookout_want() from any thread, rein_lookout_report() under the collector's lock; all else
 * from the observer's.
 */
#ifndef REIN_LOOKOUT_H
#define REIN_LOOKOUT_H

#include "../common/atomic.h"
#include "bpf/bpf.h"
#include "bpf/records.h"

#define REIN_LOOKOUT_BPF 1u       /* the configuration allows it */
#define REIN_LOOKOUT_OUTSIDERS 2u /* processes without the shim are to be probed too */

/* What is seen of what could be, for people. */
struct rein_lookout_report {
	uint32_t sees;    /* REIN_SEES_* */
	unsigned probed;  /* processes without the shim */
	unsigned cost_ns; /* of one of their calls more; 0: not measured */
	char why[256];    /* why something is not seen; "": all is, or nothing is recorded */
};

struct rein_lookout {
	rein_a32 wanted; /* REIN_LOOKOUT_* */
	struct rein_bpf *bpf;
	bool refused;      /* it was tried while this is recorded */
	bool no_outsiders; /* the same for those */
	char why[256];
	struct rein_pid_names names;
};

void rein_lookout_want(struct rein_lookout *w, uint32_t wanted);
/* To be called before each look: loads what is wanted. `say`: what could not be, once. True: it has
 * just been loaded, nobody has joined. */
bool rein_lookout_load(struct rein_lookout *w, void (*say)(const char *line));
/* After the look: what is no longer wanted goes; tens of milliseconds. */
void rein_lookout_unload(struct rein_lookout *w, bool recording);
/* The name of a process is to be written, in this segment; found out if it is not known. */
bool rein_lookout_names(struct rein_lookout *w, struct rein_bpf_named *who);
void rein_lookout_new_segment(struct rein_lookout *w);
void rein_lookout_report(const struct rein_lookout *w, struct rein_lookout_report *out);

#endif
