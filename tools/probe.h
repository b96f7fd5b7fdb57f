// SPDX-License-Identifier: Apache-2.0
/*
 * probe.h: runs one of the programs that ask a GPU something (workloads/gpu/, installed in
 * libexec/rein/gpu) and collects what it finds. They say a fact a line (workloads/lib/fact.h), end
 * themselves after a bounded time, and let go of whatever they hold when they are told to end.
 *
 * Each is a process group of its own: it is told to end (SIGTERM), and ended (SIGKILL) if it does
 * not, when its time is over or when the user interrupts rein. One at a time; one thread.
 */
#ifndef REIN_TOOLS_PROBE_H
#define REIN_TOOLS_PROBE_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "../common/util.h"

#define CLI_PROBE_ENV_MAX 8
#define CLI_PROBE_SKIPPED 77 /* it cannot be asked here */

struct rein_cli_probe {
	char path[PATH_MAX];
	const char *const *args;            /* after the name, NULL-terminated */
	const char *env[CLI_PROBE_ENV_MAX]; /* pairs of name and value; value NULL: unset */
	unsigned limit_s;
	json_t *facts; /* id → what was said of it, but for the note; what is found is added */
	/* Called when the fact device.stays was said; the program ends after it returns. */
	void (*stays)(pid_t pid, void *arg);
	void *arg;
	char why[256]; /* after a failure: the last thing that it complained of */
};

/* From now on SIGINT, SIGTERM and SIGHUP end a probe and are remembered. */
void rein_cli_probe_signals(void);
/* The signal that came, or 0. */
int rein_cli_probe_interrupted(void);

/* Its exit status, 128 + signal, or -errno: -ETIMEDOUT, -EINTR (interrupted), or it cannot be
 * started. Its process group is gone in any case. */
REIN_MUST_CHECK int rein_cli_probe_run(struct rein_cli_probe *p);

/* A fact's number; NAN if it was not found, or is none. `key`: "value", "p99", … */
double rein_cli_fact(const json_t *facts, const char *key, const char *id_fmt, ...)
    REIN_PRINTF(3, 4);
/* Whether a fact was found and is true. */
bool rein_cli_fact_true(const json_t *facts, const char *id_fmt, ...) REIN_PRINTF(2, 3);
const char *rein_cli_fact_text(const json_t *facts, const char *id); /* "" */

#endif
