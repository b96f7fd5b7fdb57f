// SPDX-License-Identifier: Apache-2.0
/*
 * records.h: what the daemon recorded, for the commands that explain it. The recording's files are
 * read by the command itself, so that it also works after a daemon that is no more; one that runs
 * is asked to write down what its rings still hold, or to record for a while.
 *
 * Failures have been reported when a function returns an exit status. One thread.
 */
#ifndef REIN_TOOLS_RECORDS_H
#define REIN_TOOLS_RECORDS_H

#include "cli.h"

#include "../profiler/recording.h"

struct rein_cli_records {
	/* set by the caller; both 0: all there is */
	uint64_t last_ns, duration_ns;
	json_t
	    *more; /* what else the daemon is to do for the duration: the request's members; NULL */
	/* filled */
	uint64_t from_ns; /* what ended before does not count; 0: see last_ns */
	bool alive;       /* a daemon runs, and records */
	json_t *answer;   /* to the request with `more`, to be dropped; NULL: there was none */
	struct rein_recording files;
};

/* The value of --last or --duration: 0, or an exit status. */
int rein_cli_span(const struct rein_cli *cli, const char *option, const char *text, uint64_t *ns);
/* 0, or an exit status. With a duration it returns when that is over. */
int rein_cli_records(struct rein_cli *cli, struct rein_cli_records *r);
/* The exit status of a command that could not write `what` to `file`; `err` as errno. */
int rein_cli_not_written(const struct rein_cli *cli, const char *what, const char *file, int err);

#endif
