// SPDX-License-Identifier: Apache-2.0
/* duration.h: durations as people write them in configurations, options and task sets. Pure. */
#ifndef REIN_COMMON_DURATION_H
#define REIN_COMMON_DURATION_H

#include <stdint.h>

#include "util.h"

/* "200us", "4ms", "1.5 s", "150ns", "0" → ns; -EINVAL. A unit is required unless 0, and whole ns.
 */
REIN_MUST_CHECK int rein_duration_parse(const char *text, uint64_t *out_ns);

#endif
