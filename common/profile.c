// SPDX-License-Identifier: Apache-2.0
#include "profile.h"

#include <stdio.h>
#include <string.h>

#include "util.h"

void rein_profile_driver(char driver[REIN_PROFILE_DRIVER_LEN])
{
	REIN_AUTO_FCLOSE FILE *f = fopen("/sys/module/nvidia/version", "re");
	if (!f || !fgets(driver, REIN_PROFILE_DRIVER_LEN, f))
		strcpy(driver, "software");
	driver[strcspn(driver, "\n")] = 0;
}
