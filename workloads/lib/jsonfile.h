// SPDX-License-Identifier: Apache-2.0
/* jsonfile.h: whole JSON files, through jansson: read, or written so that a reader never sees half
 * of one. Programs that only write use jsonout.h, which needs no library. */
#ifndef WORKLOADS_LIB_JSONFILE_H
#define WORKLOADS_LIB_JSONFILE_H

#include <jansson.h>

/* "-" is stdout. Takes the reference. 0, or -1 after one line on stderr. The first keeps each
 * top-level member on one line, for long arrays; the second is for people. */
int wl_json_write(json_t *root, const char *path);
int wl_json_write_indented(json_t *root, const char *path);
/* NULL after one line on stderr. */
json_t *wl_json_read(const char *path);

#endif
