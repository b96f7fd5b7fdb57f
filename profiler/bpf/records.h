// SPDX-License-Identifier: Apache-2.0
/*
 * records.h: what BPF programs report (shared.h) as records of a recording. Pure functions.
 */
#ifndef REIN_BPF_RECORDS_H
#define REIN_BPF_RECORDS_H

#include "../recording.h"
#include "shared.h"

/* What the client says of itself is taken as far as it makes sense. */
void rein_bpf_off_record(const struct rein_bpf_off *off, struct rein_trace_record *r);
/* False: of no kind that is recorded. */
bool rein_bpf_outsider_record(const struct rein_bpf_outsider_key *key,
                              const struct rein_bpf_outsider *o, struct rein_trace_record *r);

/* Which processes a segment has named already. All 0: none. A row for each PID's low bits; who
 * loses it to another is named again. */
#define REIN_PID_NAMES 256u
struct rein_pid_names {
	struct {
		uint32_t pid;
		char comm[REIN_BPF_COMM];
	} row[REIN_PID_NAMES];
};

/* True: it is to be named, now. comm "": whatever it is called. */
bool rein_pid_names_news(struct rein_pid_names *n, uint32_t pid, const char *comm);

#endif
