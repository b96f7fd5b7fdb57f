// SPDX-License-Identifier: Apache-2.0
/*
 * profile.h: where a GPU's profile lies: REIN_PROFILE_DIR/profile-<uuid>-<driver>.json. `rein
 * calibrate` writes it, the daemon reads it (daemon/profile.h describes what is in it).
 */
#ifndef REIN_COMMON_PROFILE_H
#define REIN_COMMON_PROFILE_H

#include <stddef.h>

#define REIN_PROFILE_DIR "/var/lib/rein"
#define REIN_PROFILE_GLOB "profile-*.json"
#define REIN_PROFILE_VERSION 1
#define REIN_PROFILE_DRIVER_LEN 64

/* The version of the driver that this machine has loaded, "580.159.04"; "software" if none is: then
 * all GPUs are software ones. */
void rein_profile_driver(char driver[REIN_PROFILE_DRIVER_LEN]);

#endif
