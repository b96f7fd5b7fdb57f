// SPDX-License-Identifier: Apache-2.0
/* topview.h: what `rein top` shows of each client: a row of a table, or a line of CSV. */
#ifndef REIN_TOOLS_TOPVIEW_H
#define REIN_TOOLS_TOPVIEW_H

#include "cli.h"
#include "table.h"

enum rein_cli_order {
	CLI_BY_PRIO,
	CLI_BY_SHARE, /* of the GPU */
	CLI_BY_P99,
	CLI_BY_GATE, /* its part of the time that it waited at its gate */
	CLI_N_ORDERS
};
extern const char *const rein_cli_order_names[CLI_N_ORDERS]; /* as `--sort` takes them */

/* The clients of an answer to the op `clients`, in that order: borrowed references, NULL-ended, to
 * be freed by the caller. NULL: out of memory. */
const json_t **rein_cli_sorted(const json_t *answer, enum rein_cli_order order);
/* Fills an uninitialised table. */
void rein_cli_top_table(const json_t *answer, enum rein_cli_order order, struct rein_cli_table *t);
/* Leaves out what is least wanted until a line fits into so many characters. */
void rein_cli_top_fit(struct rein_cli_table *t, unsigned room);
/* RFC 4180; the titles, or one line a client. `time_s`: of the reading, by the wall clock. */
void rein_cli_top_csv_titles(FILE *f);
void rein_cli_top_csv(FILE *f, const json_t *answer, enum rein_cli_order order, double time_s);

#endif
