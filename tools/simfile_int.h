// SPDX-License-Identifier: Apache-2.0
/* simfile_int.h: what simfile.c (keys and values) and simclient.c (clients) share only. */
#ifndef REIN_TOOLS_SIMFILE_INT_H
#define REIN_TOOLS_SIMFILE_INT_H

#include "simfile.h"

#define SIM_NAME_LEN 48
#define SIM_NOT_SAID UINT32_MAX /* of what has a default that depends on the rest */

struct rein_simfile_client { /* one [client]: what it becomes, and what is not a number */
	struct rein_sim_client client;
	char name[SIM_NAME_LEN], after[SIM_NAME_LEN], times[200];
	int line, after_line, times_line;
	unsigned count, arrival, band, budget_mode, unknown, declares;
	double scale;
	uint64_t linger_ns;
	uint64_t weight, priority, launches;
	int64_t latency_nice;
};

struct rein_simfile_global {
	unsigned sharing, slice_preempts, charging, overload, reclaim;
	uint64_t copy_engines, sms, queue;
	unsigned inner[REIN_BANDS]; /* index in rein_policies, SIM_NOT_SAID */
};

struct rein_simfile_reading {
	struct rein_simfile *file;
	struct rein_simfile_global global;
	struct rein_simfile_client *entry;
	unsigned n;
	enum { IN_NONE, IN_SIM, IN_CLIENT } kind;
	FILE *stream;
	const char *path;
	char section[64];
	int line;
	bool failed;
	char *err;
	size_t err_len;
};

/* -EINVAL, after noting the first one's file, line and text. */
REIN_PRINTF(3, 4)
int rein_simfile_fail(struct rein_simfile_reading *r, int line, const char *fmt, ...);

/* simclient.c: makes the clients of all that was read. 0, or -EINVAL after rein_simfile_fail(). */
REIN_MUST_CHECK int rein_simfile_clients(struct rein_simfile_reading *r);

#endif
