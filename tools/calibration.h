// SPDX-License-Identifier: Apache-2.0
/*
 * calibration.h: from what the probes found of a GPU to its profile (daemon/profile.h describes
 * it): which gates are proven, by which recipe, with which time slice; the file, and the table
 * for people.
 *
 * What is chosen. The queue gate works if a hold of a second harmed nothing. Of the context gate's
 * recipes only those count that held in every cycle, left the result intact and took launches
 * meanwhile; the one that stops soonest is taken. A time slice counts if it is 100 us or longer
 * (about what a switch takes), makes an urgent short kernel wait less, leaves the other program a
 * fiftieth of its speed beside a saturating one, and costs it at most 1 % alone; the one with the
 * least latency is taken. Under MPS processes share one context on the GPU, so neither is used.
 */
#ifndef REIN_TOOLS_CALIBRATION_H
#define REIN_TOOLS_CALIBRATION_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>

#include "../common/util.h"

struct rein_cli_calibrated { /* whose facts these are */
	const char *uuid;    /* "GPU-…" */
	const char *name, *driver, *date;
};

/* The profile, a new reference; never NULL but for want of memory. `facts` as probe.h has them. */
json_t *rein_cli_profile_make(json_t *facts, const struct rein_cli_calibrated *of);

/* Can a file be made there? Its folder is made if only that is missing. 0 or -errno. */
REIN_MUST_CHECK int rein_cli_profile_try(const char *path);
/* Writes it whole or not at all. 0 or -errno. */
REIN_MUST_CHECK int rein_cli_profile_write(const char *path, const json_t *profile);

/* Is it in this folder, under a name that reind looks for there? Whatever the path looks like. */
bool rein_cli_profile_found(const char *folder, const char *path);

/* A table of what it says, and where it was written, to stdout. */
void rein_cli_profile_print(const char *path, const json_t *profile);

#endif
