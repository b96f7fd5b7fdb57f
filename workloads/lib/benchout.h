// SPDX-License-Identifier: Apache-2.0
/* benchout.h: the command line of a benchmark whose only option is where its results go. */
#ifndef WORKLOADS_LIB_BENCHOUT_H
#define WORKLOADS_LIB_BENCHOUT_H

#include <stddef.h>

/* --out DIR, by default bench/ in the build folder, into `out`; the folder is made. 0, or -1: said.
 * A wrong command line ends the program (options.h). */
int wl_bench_out(int argc, char **argv, const char *usage, char *out, size_t len);

#endif
