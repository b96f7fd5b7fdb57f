// SPDX-License-Identifier: Apache-2.0
/* jsonfile.h: whole JSON files, written so that a reader never sees half of one. */
#ifndef WORKLOADS_LIB_JSONFILE_H
#define WORKLOADS_LIB_JSONFILE_H

#include <jansson.h>

#include "stats.h"

/* "-" is stdout. Takes the reference. 0, or -1 after one line on stderr. The first keeps each
 * top-level member on one line, for long arrays; the second is for people. */
int wl_json_write(json_t *root, const char *path);
int wl_json_write_indented(json_t *root, const char *path);
/* NULL after one line on stderr. */
json_t *wl_json_read(const char *path);

/* {"p50_ns": …, "p95_ns": …, "p99_ns": …, "p999_ns": …, "mean_ns": …, "max_ns": …} of sorted v */
json_t *wl_json_percentiles(const uint64_t *sorted, size_t n);
/* [[upper edge in ns, count], …] from the first to the last bucket that is not empty */
json_t *wl_json_histogram(const struct wl_histogram *h);

#endif
