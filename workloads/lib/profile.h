// SPDX-License-Identifier: Apache-2.0
/*
 * profile.h: the software GPU's profile, for the demo and the preemption bench. What `rein
 * calibrate` would measure there is known: it is the model of docs/softgpu.md, whose constants are
 * an H200's. The fields are those of daemon/profile.h.
 */
#ifndef WORKLOADS_LIB_PROFILE_H
#define WORKLOADS_LIB_PROFILE_H

#include "words.h"

/* Adds to the environment of the daemon and of all programs what the queue gate and the context
 * gate need on the software GPU: its resource manager's double, and REIN_PROFILE with a profile
 * that is written to `path`, unless the user's environment names one. 0, or -1 after one line on
 * stderr. */
int wl_profile_software(struct wl_words *env, const char *path);

#endif
