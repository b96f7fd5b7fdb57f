// SPDX-License-Identifier: Apache-2.0
/*
 * chrome.h: a recording as Chrome trace-event JSON, which Perfetto (ui.perfetto.dev) and
 * chrome://tracing open. Format: "Trace Event Format", the Chromium project.
 *
 * A process is a client, under its PID as the daemon sees it. Its threads carry what they did:
 * driver calls that submit (named by the kernel where it is known, else by the entry point), calls
 * that synchronise, waits at the gate (for whom) and for the backlog. Two tracks stand for the
 * process: "active", from idle to idle as far as its calls tell, and its declared requests, which
 * may overlap. What was still going on when its process ended, or the recording was cut, ends
 * there, marked so.
 *
 * Times are µs of CLOCK_MONOTONIC. The file is written as it is read, in two passes: names and
 * marks first, then the rest; memory grows with clients, kernels and marks only.
 */
#ifndef REIN_CHROME_H
#define REIN_CHROME_H

#include <stdio.h>

#include "recording.h"

struct rein_chrome_wish {
	uint64_t from_ns; /* what ended before is left out; 0: all */
	uint64_t last_ns; /* if not 0: instead, what ended so long before the newest record */
	bool alive;       /* its daemon still records: its last segment is not cut */
};

struct rein_chrome_result {
	uint64_t events, lost;
	unsigned clients, cuts;
	uint64_t from_ns, until_ns; /* of what was written; 0: nothing */
};

/* 0, or -errno. A write error is -EIO, or as fclose() will say. */
REIN_MUST_CHECK int rein_chrome_write(FILE *out, const struct rein_recording *r,
                                      const struct rein_chrome_wish *wish,
                                      struct rein_chrome_result *result);

#endif
