// SPDX-License-Identifier: Apache-2.0
/*
 * profile.h: what was measured of a GPU under a driver, as `rein calibrate` writes it, and what of
 * it the arbiter goes by. One JSON object a file, REIN_PROFILE_DIR/profile-<uuid>-<driver>.json:
 *
 *	{"profile_version": 1, "gpu": "GPU-…", "driver": "580.95.05",
 *	 "queue":   {"works": true, "point_ns": 900, "gives_up_slice": true,
 *	             "waits_for_ever": false},
 *	 "context": {"recipe": "disable", "hold_us": 700, "timeslice_us": 200}}
 *
 * hold_us: a hold and its end together. timeslice_us: the time slice of a program's contexts while
 * somebody more urgent is registered; with recipe "timeslice" nothing else is done to them.
 *
 * What a file leaves out was not proven and counts as false or 0. $REIN_PROFILE names one file that
 * is read instead, for whatever driver; "gpu" may be "*" there.
 *
 * What follows. The context gate holds only where a profile has a recipe. The queue gate holds
 * where a profile says that it works and that a waiting program gives up its time slice: where it
 * does not, waiting in the GPU takes from the urgent one what it waits for. `gates` in rein.conf
 * allows it without a profile, and takes away what it does not name.
 */
#ifndef REIN_PROFILE_H
#define REIN_PROFILE_H

#include "../common/profile.h"
#include "arbiter.h"
#include "config.h"

/* Reads the profiles; what cannot be read is passed by, with one line to `say`. Never fails:
 * without profiles there is what the configuration allows. */
void rein_profile_read(struct rein_gates_of *out, const struct rein_config *config,
                       void (*say)(const char *line));

/* One file's text. 0, or -EINVAL with a line in `why`. uuid all 0: "*". */
REIN_MUST_CHECK int rein_profile_parse(const char *text, size_t len, struct rein_gates *gates,
                                       uint8_t uuid[16], char *driver, size_t driver_len, char *why,
                                       size_t why_len);
/* What the configuration leaves of it. proven: by a profile. */
struct rein_gates rein_profile_allowed(const struct rein_gates *measured, bool proven,
                                       const struct rein_config *config);

#endif
