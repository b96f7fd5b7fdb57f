// SPDX-License-Identifier: Apache-2.0
/*
 * csv.h: the sink that writes one row for each slice, moment and change of a counter, with a header
 * row; quoting as in RFC 4180. Columns:
 *
 *	what       slice, instant, counter
 *	begin_ns, end_ns   CLOCK_MONOTONIC
 *	pid, process       0 and empty: none
 *	thread     0: it is no thread's
 *	track, category, name, value   value: a counter's
 *	flow       joins rows; empty: none
 *	args       key=value, by semicolons
 */
#ifndef REIN_CSV_H
#define REIN_CSV_H

#include "export.h"

/* NULL: no memory. `out` stays the caller's. */
struct rein_sink *rein_csv_new(FILE *out);
void rein_csv_free(struct rein_sink *s);

#endif
