// SPDX-License-Identifier: Apache-2.0
/* profile.c: see profile.h. */
#include "profile.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* point_ns: two memory operations of SOFTGPU_MEMOP each. hold_us: the calls that hold and let go
 * (docs/softgpu.md, *Holding a process*). timeslice_us: of whoever can be preempted; what
 * `rein calibrate` would choose here. */
static const char software[] =
    "{\"profile_version\": 1, \"gpu\": \"*\", \"driver\": \"*\",\n"
    " \"queue\": {\"works\": true, \"point_ns\": 3000, \"gives_up_slice\": true,\n"
    "           \"waits_for_ever\": true},\n"
    " \"context\": {\"recipe\": \"disable\", \"hold_us\": 750, \"timeslice_us\": 50}}\n";

int wl_profile_software(struct wl_words *env, const char *path)
{
	const char *own = getenv("REIN_PROFILE");
	wl_words_add(env, "SOFTGPU_RM=1", NULL);
	if (own && *own)
		return 0;
	wl_words_print(env, "REIN_PROFILE=%s", path);
	FILE *f = fopen(path, "we");
	if (f) {
		bool good = fputs(software, f) >= 0;
		if (fclose(f) == 0 && good)
			return 0;
	}
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, path, strerror(errno));
	return -1;
}
