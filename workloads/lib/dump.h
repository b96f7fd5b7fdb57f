// SPDX-License-Identifier: Apache-2.0
/* dump.h: result bytes to a file, for comparing runs. */
#ifndef WORKLOADS_LIB_DUMP_H
#define WORKLOADS_LIB_DUMP_H

#include <stddef.h>

/* 0, or -1 after one line on stderr. */
int wl_dump(const char *path, const void *data, size_t len);

#endif
